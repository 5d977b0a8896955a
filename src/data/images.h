/* images.h - a data set out of image files of any sizes. */
#ifndef CN_IMAGES_H
#define CN_IMAGES_H

#include "data/dataset.h"
#include "data/paths.h"

/* Files and their labels, in the order in which they were added. */
typedef struct cn_image_list {
    int count, room;
    char **paths;
    char **masks; /* their files; NULL where images have none */
    int32_t *labels;
} cn_image_list;

cn_status cn_image_list_add(cn_image_list *list, const char *path, int32_t label, cn_error *err);
/* An image with a mask; a list has masks for all images or for none. */
cn_status cn_image_list_add_mask(cn_image_list *list, const char *path, const char *mask,
                                 cn_error *err);

/* By the ending of a file's name, which images are listed by. */
bool cn_is_image_name(const char *name);

/* Where the images of each part are, and what they show. */
typedef struct cn_image_set {
    cn_image_list parts[CN_PARTS];
    int classes;
    char **class_names;   /* NULL: numbers */
    const float *targets; /* NULL, or the rows of targets, `classes` each, that the labels number */
    cn_task_kind task;    /* of these */
    const char *colors;   /* the file that tells the colors of masks; NULL: they have values */
    bool masked; /* for segmentation; without class names `classes` is found in the masks */
} cn_image_set;

void cn_image_set_free(cn_image_set *set); /* the lists */

/*
 * Reads the images of a split, each brought to one shape by cn_image_fit: that of the request's
 * options or, what they leave open, the median of all images' rows and columns. They are U8 or,
 * where any has more than 8 bits, F32 in [0, 1]. `what` stands for the set in errors.
 */
cn_status cn_images_load(cn_dataset **data, const cn_image_set *set, const cn_request *request,
                         const char *what, cn_error *err);

/* Says which files to test or to validate on have the same bytes as one to train on (duplicates.c). */
cn_status cn_images_find_shared(const cn_image_set *set, const cn_request *request, cn_error *err);

/* Says how many rows of a table name the image of another row of the same part. */
cn_status cn_images_find_repeated(const cn_image_set *set, const cn_request *request,
                                  cn_error *err);

/* Does the request leave out an image with this error, and go on without it? */
bool cn_image_may_be_skipped(cn_status status, const cn_request *request);

#endif

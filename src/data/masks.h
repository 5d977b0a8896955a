/* masks.h - what the values of a set's masks stand for. */
#ifndef CN_MASKS_H
#define CN_MASKS_H

#include "data/images.h"
#include "formats/image.h"

/* Value v of a mask is class class_of[v], or CN_MASK_IGNORED. */
typedef struct cn_mask_table {
    uint8_t class_of[256];
    int classes;
    char **names;          /* one block for cn_release; NULL: numbers */
    cn_mask_colors colors; /* what makes values of colors; none with count 0 */
} cn_mask_table;

/* Reads names of classes and their colors, in the order of the lines (mask_colors.c). *names is one
 * block for cn_release, and the path has to outlive *c. */
cn_status cn_mask_colors_read(cn_mask_colors *c, char ***names, const char *path, cn_error *err);

/*
 * Looks at the masks of all parts. A file of colors, which colors= or the set names, has the classes.
 * Else `set->class_names` are the names of 0, 1 and so on where the set
 * has them. Else 0 and 255 alone are two classes; with others 255 is ignored, unless the option
 * says another value or none; and values that are not 0, 1 and so on make as many classes as there
 * are different ones, which have them as names.
 */
cn_status cn_mask_table_find(cn_mask_table *table, const cn_image_set *set,
                             const cn_request *request, const char *what, cn_error *err);

/* The same out of the values that all masks have, of 0 to 255, where the set has so many classes by
 * name (0: none by name). */
cn_status cn_mask_table_make(cn_mask_table *t, const bool present[256], int named,
                             const cn_request *request, const char *what, cn_error *err);
/* CN_ERR_FORMAT: element i is no value of a mask. */
cn_status cn_masks_refuse(const char *what, size_t i, double value, cn_error *err);

/* Reads the mask of an image of so many rows and columns (NULL: of the mask's own, after both have
 * been compared once) into out (n_H, n_W), by the nearest pixel
 * of the part that the image was made of. */
cn_status cn_mask_read(uint8_t *out, const int n[2], const char *path, const int image[2],
                       const cn_image_opts *opts, const cn_mask_table *table, cn_error *err);

#endif

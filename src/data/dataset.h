/* dataset.h - what a reader of data sets is, and what it has at hand. */
#ifndef CN_DATASET_H
#define CN_DATASET_H

#include "data/samples.h"

/* What there is to say about how a set was read: a line each, or NULL for nothing. */
typedef struct cn_remarks {
    char *text;
    int skipped; /* damaged images left out */
    int shared;  /* files to test or validate on that are among those to train on */
    bool median; /* the images' size is the median of their files' */
} cn_remarks;

/* Adds a line, with what would break it (line feeds, control characters) written as escapes. */
cn_status cn_remark(cn_remarks *remarks, cn_error *err, const char *format, ...) CN_PRINTF(3, 4);

/* Says that a file of images is larger than the memory for them, but packed, and so read whole. */
cn_status cn_remark_packed(cn_remarks *remarks, const char *path, cn_error *err);

/* What stands behind the path of a spec, ",size=64x64,background=black", each a bit. */
typedef enum cn_option_bit {
    CN_OPTION_SIZE = 1,
    CN_OPTION_CHANNELS = 2,
    CN_OPTION_FIT = 4,
    CN_OPTION_BACKGROUND = 8,
    CN_OPTION_LAYOUT = 16,
    CN_OPTION_RANGE = 32,
    CN_OPTION_IGNORE = 64,
    CN_OPTION_ROOT = 128,
    CN_OPTION_RESIZE = 256,
    CN_OPTION_CENTER_CROP = 512,
    CN_OPTION_TASK = 1024,
    CN_OPTION_COLUMNS = 2048,
    CN_OPTION_COLORS = 4096,
    CN_OPTIONS_OF_FILES = CN_OPTION_SIZE | CN_OPTION_CHANNELS | CN_OPTION_FIT |
                          CN_OPTION_BACKGROUND | CN_OPTION_RANGE | CN_OPTION_RESIZE |
                          CN_OPTION_CENTER_CROP,
    CN_OPTIONS_OF_MASKS = CN_OPTIONS_OF_FILES | CN_OPTION_IGNORE | CN_OPTION_COLORS,
    CN_OPTIONS_OF_ARRAYS = CN_OPTION_LAYOUT | CN_OPTION_RANGE | CN_OPTION_SIZE | CN_OPTION_CHANNELS,
    CN_OPTIONS_OF_ARRAY_FILES = CN_OPTIONS_OF_ARRAYS | CN_OPTION_IGNORE | CN_OPTION_TASK,
} cn_option_bit;

/* Channels last, (n, n_H, n_W, n_C), or first. */
typedef enum cn_layout { CN_LAYOUT_NHWC, CN_LAYOUT_NCHW } cn_layout;

typedef struct cn_data_opts {
    unsigned given; /* bits of those that the spec says; the rest is the reader's to find */
    int height, width;
    int channels; /* 1 gray, 2 gray and alpha, 3 color, 4 color and alpha, or of other kinds */
    cn_layout layout;
    char root[512];       /* the folder that a table's paths are relative to; "": the table's */
    char columns[512];    /* of a table, between bars, that are targets; "": all numbers */
    char colors[512];     /* the file that tells the colors of masks; "": none, or the set's own */
    cn_task_kind task;    /* of a table or of arrays, where CN_OPTION_TASK is given */
    int ignore;           /* the value of masks that is no class; -1: none */
    cn_image_opts images; /* `deep` counts where the set is for a model */
} cn_data_opts;

/* Reads the options at the end of a spec; `takes` has the bits of those that its kind understands.
 */
cn_status cn_data_opts_read(cn_data_opts *opts, const char *options, unsigned takes,
                            const char *kind, cn_error *err);

/* What a reader is asked for, and where it leaves remarks. */
typedef struct cn_request {
    cn_subset split;
    bool skip_damaged; /* image files that cannot be read are left out, with a remark */
    cn_remarks *remarks;
    const cn_data_opts *opts;
    int height, width;     /* of image files where neither an option nor a model says it; 0: any */
    const cn_model *model; /* that the set is for: what the spec leaves open is in `opts` as it
                              takes images; NULL: none */
    size_t memory;         /* the budget, in bytes; 0: half of what is free (cn_request_memory) */
    cn_report report;      /* of how many images have been looked at */
} cn_request;

/*
 * A kind of data set. A reader is one file that ends in its const descriptor, and one row of the
 * table in spec.c.
 */
typedef struct cn_reader {
    const char *name;  /* the spec is "name:path", or "name" alone */
    const char *usage; /* "mnist:DIR", for messages */
    /* What the names of files of this kind end in, any packing left out; NULL behind the last. */
    const char *endings[6];
    /* Does this directory hold such a set? By names only; NULL for never. */
    bool (*detects)(const char *path);
    unsigned takes; /* the options behind the path, as bits */
    bool
        two_parts; /* it reads CN_SUBSET_TRAIN and CN_SUBSET_TEST alone: the others are made of these */
    /* `path`, without options, is "" where the spec is the name alone. *data stays as it is where
     * the set has no images for CN_SUBSET_VALIDATION. */
    cn_status (*load)(cn_dataset **data, const char *path, const cn_request *request,
                      cn_error *err);
} cn_reader;

extern const cn_reader cn_reader_digits, cn_reader_mnist, cn_reader_idx, cn_reader_cifar10,
    cn_reader_cifar100, cn_reader_hdf5, cn_reader_npz, cn_reader_npy, cn_reader_csv,
    cn_reader_masks, cn_reader_folder;

/* Enters a folder that holds another one alone, and no images, until there are several; are there
 * (folder.c)? A folder named as a part of a set is not entered. `dir` has room for a path. */
bool cn_folder_unwrap(char *dir);

/*
 * What a set is made of. Images are U8 or F32 (n, n_H, n_W, n_C); a U8 value times `scale` lies
 * in [0, 1], F32 values stay as they are. `class_names` may be NULL: "0", "1" and so on.
 */
typedef struct cn_dataset_parts {
    cn_tensor images; /* without data: `samples` has them */
    /* What makes images, from their originals: of image i the sample rows[i], or where that is NULL
     * i itself. NULL: there is nothing but the tensor. */
    cn_samples *samples;
    int *rows;
    cn_tensor labels; /* I32 (n), each in 0..classes-1; empty where there are masks */
    /* U8 (n, n_H, n_W), each in 0..classes-1 or CN_MASK_IGNORED; without data where `mask_samples`
     * has them, in the same rows as the images; or empty. */
    cn_tensor masks;
    cn_samples *mask_samples;
    cn_tensor targets; /* F32 (n, classes); or empty */
    cn_task_kind task; /* with targets: which of the two that have them */
    int classes;
    int known; /* the first so many are those of a model, the rest are not; 0: all are */
    float scale;
    const char *const *class_names; /* copied */
    cn_image_opts image_opts;       /* how the images were made; low and high of F32 values */
    bool from_files;                /* image files, which were brought to one shape */
    bool certain;                   /* of F32 values: that is their range */
} cn_dataset_parts;

/* What the parts of a set must be; `what` stands for it in errors (dataset_check.c). */
cn_status cn_check_images(const cn_tensor *images, const char *what, cn_error *err);
cn_status cn_check_labels(const cn_dataset_parts *parts, const char *what, cn_error *err);
cn_status cn_check_masks(const cn_dataset_parts *parts, const char *what, cn_error *err);
cn_status cn_check_targets(const cn_dataset_parts *parts, const char *what, cn_error *err);

/*
 * Finds the range that arrays have by the values in them, unless an option says it, sets `scale` of
 * U8 or low, high and `certain` of F32, and remarks on what is not usual. `request` NULL: no
 * option, no remarks. `what` stands for the set.
 */
cn_status cn_find_range(cn_dataset_parts *parts, const cn_request *request, const char *what,
                        cn_error *err);
/* The same where the least and the largest value are known; the images need no data. */
cn_status cn_find_range_of(cn_dataset_parts *parts, double least, double most,
                           const cn_request *request, const char *what, cn_error *err);
/* The range of whole numbers that are no bytes: of sensors, or signed; false where they have none.
 */
bool cn_is_range_of_whole_numbers(double least, double most, double *low, double *high);
/* The rows, columns and channels, shape[1] to shape[3], of an image of so many values: a square of one
 * channel or of three, unless options say what they make; false where they make none. */
bool cn_shape_of_row(int shape[4], int values, const cn_request *request);
/* Brings arrays (n, values, 1, 1) to that shape. *first: their channels came first, and where there
 * are no data it is the caller's to turn them. */
cn_status cn_settle_rows(cn_tensor *images, bool *first, const cn_request *request,
                         const char *what, cn_error *err);
/* Brings arrays (n, n_C, n_H, n_W) to (n, n_H, n_W, n_C) where an option or their shape says so;
 * *first as above. */
cn_status cn_settle_layout(cn_tensor *images, bool *first, const cn_request *request,
                           const char *what, cn_error *err);

/* Made of image files, and so as cn_dataset_image_opts says. */
bool cn_dataset_is_of_files(const cn_dataset *data);
/* Is the range of its values what it was found to be? */
bool cn_dataset_range_is_certain(const cn_dataset *data);
/* The range of values that has 0 and 1 of an image file at its ends, for a set that a model looks
 * at: where the set's own is not certain and the values fit into the model's, that is it. */
void cn_dataset_range_for(const cn_dataset *data, const cn_image_opts *model, double *low,
                          double *high);

/* Makes a set of its parts and takes the tensors over, which must own their memory; on failure
 * they stay the caller's. `what` stands for the set in errors. */
cn_status cn_dataset_adopt(cn_dataset **data, cn_dataset_parts *parts, const char *what,
                           cn_error *err);

/* How many classes a model that the set was matched with has; else all. The images of the others
 * come behind those of these. */
int cn_dataset_known_classes(const cn_dataset *data);
/* Class i becomes class map[i] of `classes`, of which the first `known` are known. */
cn_status cn_dataset_rename_classes(cn_dataset *data, const int *map, int known, int classes,
                                    const char *const *names, cn_error *err);
/* map[i] is the model's number of the set's class i, or -1. Returns how many are -1. */
int cn_dataset_map_classes(const cn_dataset *data, const cn_model *model, int *map);

/* The sums of channel c of image i. */
cn_moments cn_dataset_moments(const cn_dataset *data, int i, int c);
/* What other images of the same set have in common with these: all but the tensors and samples. */
cn_dataset_parts cn_dataset_parts_like(const cn_dataset *data);
/* Frees what cn_dataset_adopt has not taken over. */
void cn_dataset_parts_free(cn_dataset_parts *parts);
/* The least and the largest of all values. */
void cn_dataset_ends(const cn_dataset *data, double *least, double *most);
/* Bytes of an image. */
size_t cn_dataset_image_bytes(const cn_dataset *data);
/* The bytes that the set's images take in memory, with tables and the cache. */
size_t cn_dataset_memory(const cn_dataset *data);
/* Lets go of cached images until that is at most `memory` bytes, as far as the cache goes. Sets that
 * were parted share it. */
void cn_dataset_shrink(const cn_dataset *data, size_t memory);
/* Do all images lie in a tensor? */
bool cn_dataset_in_memory(const cn_dataset *data);
/* Image i, in the set's own memory or in `room`, which is an image's size. With a framing the part
 * of its original that this chooses, in `room`. To be called by any thread. */
cn_status cn_dataset_image(const cn_dataset *data, int i, const cn_framing *framing, void *room,
                           const void **image, cn_error *err);
/* cn_dataset_batch, its images on a pool (NULL: in order). */
cn_status cn_dataset_batch_on(const cn_dataset *data, cn_pool *pool, const int *index, int n,
                              const float *mean, const float *std, float *x, int32_t *labels,
                              cn_error *err);
/* The budget; where none is given, the system is asked. SIZE_MAX: it does not say. */
size_t cn_request_memory(const cn_request *request);
/* Would so many bytes of images lie in memory, with a part of them held out? Of few the system is not
 * asked. */
bool cn_request_holds(const cn_request *request, size_t bytes);
/* The budget for what follows; 0, none given, stays so. */
size_t cn_memory_left(size_t memory, size_t used);
/* Would a set of so many images like those of `form` lie in memory, and their masks if there are
 * any, with a part of it held out? */
bool cn_fits_in_memory(int count, const cn_tensor *form, bool masked, const cn_request *request);
/* Targets of images index[0..n-1] into y (n, classes), or NULL for the first n; standardized as
 * (t - mean) / std where these are given. */
void cn_dataset_target_rows(const cn_dataset *data, const int *index, int n, const float *mean,
                            const float *std, float *y);

/* The labels of an image: 1, or a mask's pixels. */
size_t cn_dataset_label_size(const cn_dataset *data);
/* Image i's mask, in the set's own memory or in `room`, which is a mask's size. To be called by any
 * thread. */
cn_status cn_dataset_mask(const cn_dataset *data, int i, void *room, const uint8_t **mask,
                          cn_error *err);
/* A mask's n pixels as labels, CN_LABEL_IGNORED for those without a class. */
void cn_mask_labels(const uint8_t *mask, size_t n, int32_t *labels);

cn_remarks *cn_dataset_remarks_of(cn_dataset *data);
/* The members of cn_remarks. */
int cn_dataset_shared(const cn_dataset *data);
bool cn_dataset_size_is_median(const cn_dataset *data);
/* Says of a set to train on that its classes are of very different sizes (balance.c). */
cn_status cn_remark_on_balance(const cn_dataset *data, cn_remarks *remarks, cn_error *err);
/* The set takes the remarks over, in place of those that it has. */
void cn_dataset_set_remarks(cn_dataset *data, cn_remarks *remarks);
/* The name of the reader, which must outlive the set. */
void cn_dataset_set_layout(cn_dataset *data, const char *layout);

/* What an image's value is multiplied by to lie in [0, 1]: 1 for F32. */
float cn_dataset_scale(const cn_dataset *data);

/* The parts that a set may come in, numbered as CN_SUBSET_TRAIN, CN_SUBSET_TEST and CN_SUBSET_VALIDATION. Does image i
 * of this part belong to the split, when the parts have so many images? */
enum { CN_PARTS = 3 };
bool cn_split_takes(const int counts[CN_PARTS], cn_subset split, int part, int i);
/* How many images of this part do. */
int cn_split_count(const int counts[CN_PARTS], cn_subset split, int part);
/* Says where a split is not what its name promises. */
cn_status cn_split_remark(const int counts[CN_PARTS], const cn_request *request, cn_error *err);
/* Copies what a split takes of this part, of which `all` is the whole. */
cn_status cn_dataset_part(cn_dataset **data, const cn_dataset *all, const int counts[CN_PARTS],
                          cn_subset split, int part, cn_error *err);
/* The images of both, in a set of the first one's classes; frees both, also on failure. Either may
 * be NULL. */
cn_status cn_dataset_join(cn_dataset **data, cn_dataset *first, cn_dataset *second, cn_error *err);

#endif

/* dataset.h - what a reader of data sets is, and what it has at hand. */
#ifndef CN_DATASET_H
#define CN_DATASET_H

#include "base/base.h"

/* What there is to say about how a set was read: a line each, or NULL for nothing. */
typedef struct cn_remarks {
    char *text;
} cn_remarks;

/* Adds a line, with what would break it (line feeds, control characters) written as escapes. */
cn_status cn_remark(cn_remarks *remarks, cn_error *err, const char *format, ...) CN_PRINTF(3, 4);

/* What a reader is asked for, and where it leaves remarks. */
typedef struct cn_request {
    cn_split split;
    cn_remarks *remarks;
} cn_request;

/*
 * A kind of data set. A reader is one file that ends in its const descriptor, and one row of the
 * table in spec.c.
 */
typedef struct cn_reader {
    const char *name;  /* the spec is "name:path", or "name" alone */
    const char *usage; /* "mnist:DIR", for messages */
    /* Does this directory hold such a set? By names only; NULL for never. */
    bool (*detects)(const char *path);
    bool takes_options; /* behind the path: ",size=64x64" */
    /* `path` is "" where the spec is the name alone. */
    cn_status (*load)(cn_dataset **data, const char *path, const cn_request *request,
                      cn_error *err);
} cn_reader;

extern const cn_reader cn_reader_digits, cn_reader_mnist, cn_reader_idx, cn_reader_cifar10,
    cn_reader_cifar100, cn_reader_hdf5, cn_reader_npz, cn_reader_npy, cn_reader_csv,
    cn_reader_folder;

/*
 * What a set is made of. Pictures are U8 or F32 (n, n_H, n_W, n_C); a U8 value times `scale` lies
 * in [0, 1], F32 values are taken as they are. `class_names` may be NULL: "0", "1" and so on.
 */
typedef struct cn_dataset_parts {
    cn_tensor images;
    cn_tensor labels; /* I32 (n), each in 0..classes-1 */
    int classes;
    float scale;
    const char *const *class_names; /* copied */
} cn_dataset_parts;

/* Makes a set of its parts and takes the two tensors over, which must own their memory; on failure
 * they stay the caller's. `what` stands for the set in errors. */
cn_status cn_dataset_adopt(cn_dataset **data, cn_dataset_parts *parts, const char *what,
                           cn_error *err);

/* The set takes the remarks over, in place of those that it has. */
void cn_dataset_set_remarks(cn_dataset *data, cn_remarks *remarks);

/* The pictures as they lie in memory, U8 or F32 (n, n_H, n_W, n_C), and what a value is multiplied
 * with to lie in [0, 1]: 1 for F32. */
const cn_tensor *cn_dataset_images(const cn_dataset *data);
float cn_dataset_scale(const cn_dataset *data);

/* Of pictures that come without a test set, every fifth is for testing: number 4, 9 and so on. */
bool cn_is_fifth(int i);
/* Copies the pictures of one split. */
cn_status cn_every_fifth(cn_dataset **part, const cn_dataset *all, cn_split split, cn_error *err);

#endif

/*
 * augment.h - training pictures changed at random, and the operations that change them.
 *
 * Nothing here keeps a state of random numbers: what a picture is changed by is a function of the
 * seed, the epoch and the picture's index in its data set.
 */
#ifndef CN_AUGMENT_H
#define CN_AUGMENT_H

#include "base/base.h"

/* ---- the operations, on one picture each */

/* crop.c: out[r][c] = in[r + down][c + right], read from right to left where `flip`. Pictures of
 * rows x columns pixels of `pixel` bytes; `down` and `right` are smaller than the picture. */
typedef struct cn_crop {
    int rows, columns;
    size_t pixel;
    cn_border border;
    int down, right;
    bool flip;
} cn_crop;
void cn_crop_picture(const cn_crop *crop, const void *in, void *out);

/* ---- what one picture is changed by (augment.c) */

typedef struct cn_augment_draws {
    bool flip;
    int down, right; /* of the crop: each from -crop to crop */
} cn_augment_draws;

void cn_augment_draw(const cn_augment *augment, uint64_t seed, int epoch, int index,
                     cn_augment_draws *draws);

/* CN_ERR_ARGUMENT where a member is out of its range, or too large for pictures of this shape.
 * `what` names the caller. */
cn_status cn_augment_check(const cn_augment *augment, const int shape[3], const char *what,
                           cn_error *err);

/* ---- batches (augmenter.c) */

/* The memory that augmenting takes, made once. */
typedef struct cn_augmenter {
    const cn_dataset *data;
    cn_augment augment;
    uint64_t seed;
    const float *mean, *std;
    int chunk;      /* pictures worked on at a time */
    void *pictures; /* of them, as the data set has them; NULL where there is nothing to do */
} cn_augmenter;

/* `mean` and `std` may be NULL, and must outlive it, as `data` must. */
cn_status cn_augmenter_create(cn_augmenter *augmenter, const cn_dataset *data,
                              const cn_augment *augment, uint64_t seed, const float *mean,
                              const float *std, cn_error *err);
void cn_augmenter_free(cn_augmenter *augmenter);
/* cn_dataset_batch with the pictures changed as the seed and the epoch say. Allocates nothing. */
void cn_augmenter_run(cn_augmenter *augmenter, int epoch, const int *index, int n, float *x,
                      int32_t *labels);

#endif

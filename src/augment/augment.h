/*
 * augment.h - training images changed at random, and the operations that change them.
 *
 * Nothing here keeps a state of random numbers: what an image is changed by is a function of the
 * seed, the epoch and the image's index in its data set.
 */
#ifndef CN_AUGMENT_H
#define CN_AUGMENT_H

#include "formats/image.h"

/* ---- the operations, on one image each */

/* Where a position beyond 0 .. n-1 looks in an image mirrored at its outermost pixels. */
int cn_reflect(int64_t i, int n);

/* crop.c: out[r][c] = in[r + down][c + right], read from right to left where `flip`, and then turned
 * by so many quarters, counter-clockwise; 1 and 3 are for squares. Images of rows x columns pixels of
 * `pixel` bytes; `down` and `right` are smaller than the image. */
typedef struct cn_crop {
    int rows, columns;
    size_t pixel;
    cn_border border;
    uint8_t fill; /* what bytes beyond a border of zeros are */
    int down, right;
    bool flip;
    int turns;
} cn_crop;
void cn_crop_image(const cn_crop *crop, const void *in, void *out);

/* warp.c: the image turned by `angle` (radians, counter-clockwise), enlarged by `scale`, both
 * about its center, and moved by `down` and `right` pixels; `out` is another image than `in`. */
typedef struct cn_warp {
    double angle, scale, down, right;
} cn_warp;
void cn_warp_image(const cn_warp *warp, const int shape[3], cn_border border, const float *in,
                   float *out);
/* The same of a mask of rows x columns, by the nearest pixel; what lies beyond a border of zeros has
 * no class. */
void cn_warp_mask(const cn_warp *warp, int rows, int columns, cn_border border, const uint8_t *in,
                  uint8_t *out);

/* jitter.c: factors; values end up from `least` to `most`. */
typedef struct cn_jitter {
    float brightness, contrast, saturation;
} cn_jitter;
void cn_jitter_image(const cn_jitter *jitter, const int shape[3], float least, float most,
                     float *x);

/* ---- what one image is changed by (augment.c) */

/* Where the draws of a part come from, and the least area that it has of its image. */
typedef struct cn_frame {
    uint64_t seed, stream;
    int index;
    double least;
} cn_frame;
/* The part, of an image of so many rows and columns; for cn_framing. */
cn_image_part cn_frame_choose(const void *frame, int rows, int columns);

typedef struct cn_augment_draws {
    cn_frame frame;  /* of random-resized-crop */
    int down, right; /* of the crop: each from -crop to crop */
    bool flip;
    int turns; /* quarters of one, counter-clockwise */
    cn_warp warp;
    cn_jitter jitter;
    int hole[2];  /* row and column of the cutout's first pixel; may lie outside */
    int partner;  /* of mixup: an index in the data set, */
    float weight; /* and the image's own part, from 0.5 to 1 */
} cn_augment_draws;

/* For image `index` of `size`, of this shape; epochs count from 1. */
void cn_augment_draw(const cn_augment *augment, uint64_t seed, int epoch, int index, int size,
                     const int shape[3], cn_augment_draws *draws);

/* CN_ERR_ARGUMENT where a member is out of its range, or too large for images of this shape.
 * `what` names the caller. */
cn_status cn_augment_check(const cn_augment *augment, const int shape[3], const char *what,
                           cn_error *err);

/* ---- batches (augmenter.c) */

/* The memory that augmenting takes, made once: for a chunk of images, which are worked on
 * together. What an augmentation does not need is NULL. */
typedef struct cn_augmenter {
    const cn_dataset *data;
    cn_augment augment;
    uint64_t seed;
    const float *mean, *std;
    const float *target_mean, *target_std; /* NULL, or one per target; set after it is created */
    int outputs;                           /* a row of targets */
    int chunk;
    cn_augment_draws *draws;
    void *images;   /* as the data set has them, where they do not lie in memory */
    void *cropped;  /* the same, moved */
    float *single;  /* one image, before it is warped */
    float *floats;  /* warped and jittered */
    float *partner; /* one image to mix with */
    uint8_t *masks; /* for segmentation, three masks: cropped, warped, and read */
} cn_augmenter;

/* `mean` and `std` may be NULL, and must outlive it, as `data` must. `outputs` counts the model's:
 * the classes, or 1. */
cn_status cn_augmenter_create(cn_augmenter *augmenter, const cn_dataset *data,
                              const cn_augment *augment, uint64_t seed, const float *mean,
                              const float *std, int outputs, cn_error *err);
void cn_augmenter_free(cn_augmenter *augmenter);
/* cn_dataset_batch with the images changed as the seed and the epoch say. With mixup the truth is
 * in targets (n, outputs), which may be NULL without it. Allocates nothing itself. */
cn_status cn_augmenter_run(cn_augmenter *augmenter, int epoch, const int *index, int n, float *x,
                           int32_t *labels, float *targets, cn_error *err);

#endif

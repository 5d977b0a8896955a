/* pixels.h - images made into the floats that a model takes. */
#ifndef CN_PIXELS_H
#define CN_PIXELS_H

#include "base/base.h"

/*
 * out[i] = (images[index[i]] * scale - mean[c]) / std[c], i = 0 .. n-1, for U8 or F32 images
 * (count, n_H, n_W, n_C). `index` NULL means 0 .. n-1; mean and std may both be NULL (0 and 1).
 * Allocates nothing; the same pixel gives the same bits wherever it stands.
 */
void cn_pixels_normalize(const cn_tensor *images, float scale, const int *index, int n,
                         const float *mean, const float *std, float *out);

#endif

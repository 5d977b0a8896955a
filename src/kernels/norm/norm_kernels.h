/* norm_kernels.h - the loops of batch norm, layer norm and group norm, for one instruction set. */
#ifndef CN_NORM_KERNELS_H
#define CN_NORM_KERNELS_H

#include "base/activation.h"
#include "base/base.h"

typedef struct cn_norm_kernels {
    /* Batch norm's, over the rows of x (rows, c), with the formulas of norm_template.h. The
     * activation, which is NONE or CLIP, is fused; without one, backward does not read `shift`. */
    void (*column_sums)(size_t rows, int c, const float *x, const float *pivot, float *sums);
    void (*scale_columns)(size_t rows, int c, const float *x, const float *mean, const float *scale,
                          const float *shift, cn_activation activation, float *y);
    void (*backward_sums)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                          const float *scale, const float *shift, cn_activation activation,
                          float *sums);
    void (*backward)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                     const float *scale, const float *shift, cn_activation activation,
                     const float *b, const float *k, float *dx);

    /* Layer norm's, over rows of c, with the formulas of layer_norm_template.h: gamma, beta (c),
     * moments (rows, 2) and dx may be NULL; sums (2 c) accumulated. */
    void (*rows)(size_t rows, int c, const float *x, const float *gamma, const float *beta,
                 float epsilon, float *moments, float *y);
    void (*rows_backward)(size_t rows, int c, const float *x, const float *dy, const float *gamma,
                          const float *moments, float *sums, float *dx);
    /* dx = scale dy - k (x - mean) - b, with mean, scale, k and b one number per column. */
    void (*group_backward)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                           const float *scale, const float *k, const float *b, float *dx);
} cn_norm_kernels;

#endif

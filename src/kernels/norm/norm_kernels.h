/* norm_kernels.h - the loops of batch norm, layer norm and group norm, for one instruction set. */
#ifndef CN_NORM_KERNELS_H
#define CN_NORM_KERNELS_H

#include "base/activation.h"
#include "base/base.h"

typedef struct cn_norm_kernels {
    /* Over the rows of x (rows, c), and what batch norm needs: see norm_template.h. `scale` NULL:
     * no ReLU follows. */
    void (*column_sums)(size_t rows, int c, const float *x, const float *pivot, float *sums);
    void (*scale_columns)(size_t rows, int c, const float *x, const float *mean, const float *scale,
                          const float *shift, cn_activation activation, float *y);
    void (*backward_sums)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                          const float *scale, const float *shift, float *sums);
    void (*backward)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                     const float *scale, const float *shift, const float *b, const float *k,
                     float *dx);

    /* Over rows of c, with row_template.h's formulas: gamma, beta (c), moments (rows, 2) and dx may
     * be NULL; sums (2 c) accumulated. */
    void (*rows)(size_t rows, int c, const float *x, const float *gamma, const float *beta,
                 float epsilon, float *moments, float *y);
    void (*rows_backward)(size_t rows, int c, const float *x, const float *dy, const float *gamma,
                          const float *moments, float *sums, float *dx);
    /* dx = scale dy - k (x - mean) - b, the latter four one number per column. */
    void (*group_backward)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                           const float *scale, const float *k, const float *b, float *dx);
} cn_norm_kernels;

#endif

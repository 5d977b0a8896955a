/* pool_kernels.h - the loops of pooling, for one instruction set. */
#ifndef CN_POOL_KERNELS_H
#define CN_POOL_KERNELS_H

#include "base/geometry.h"
#include "base/threads.h"

typedef struct cn_pool_kernels {
    /* Strides of 0 stand for adaptive windows, of averages only: rows
     *     floor(p h / oh) <= r < ceil((p + 1) h / oh)
     * and columns alike. A maximum ignores the padding; an average divides by the number of
     * elements inside the image. With `ties` every element equal to the maximum receives the
     * gradient, else the first one. A NaN in a window gives NaN. dx is overwritten. x, y and dy
     * must be readable one vector past their ends. */
    void (*max_forward)(const cn_conv_problem *s, const float *x, float *y, cn_pool *pool);
    void (*max_backward)(const cn_conv_problem *s, const float *x, const float *y, const float *dy,
                         bool ties, float *dx, cn_pool *pool);
    void (*average_forward)(const cn_conv_problem *s, const float *x, float *y, cn_pool *pool);
    void (*average_backward)(const cn_conv_problem *s, const float *dy, float *dx, cn_pool *pool);
} cn_pool_kernels;

#endif

/*
 * kernels.h - the float32 inner loops, one table of functions per instruction set.
 *
 * The loops are written once (*_template.h), compiled once per instruction set (kernels_*.c),
 * and selected at run time by cn_kernels_get. Convolution, pooling, norms and optimizers have
 * tables of their own. Letters: x is A_prev, y is Z, w is W, b is b, and dx, dy, dw, db are their
 * gradients.
 */
#ifndef CN_KERNELS_H
#define CN_KERNELS_H

#include "kernels/conv/conv.h"
#include "kernels/elementwise/elementwise_kernels.h"
#include "kernels/norm/norm_kernels.h"
#include "kernels/optimizer/optimizer_kernels.h"
#include "kernels/pool/pool_kernels.h"

typedef struct cn_kernels {
    const char *isa; /* "scalar", "avx2", "avx512" */
    int lanes;       /* floats in a vector */
    /* Measures the processor's peak: `steps` times 12 vector multiply-adds and nothing else.
     * Returns the number of floating-point operations. */
    double (*multiply_add)(size_t steps);

    const cn_conv_kernels *conv;
    const cn_pool_kernels *pool;
    const cn_norm_kernels *norm;
    const cn_optimizer_kernels *optimizer;
    const cn_elementwise *elementwise;

    /* Over rows of `columns`. dx = y (dy - sum(dy y)). */
    void (*softmax)(size_t rows, int columns, const float *x, float *y);
    void (*softmax_backward)(size_t rows, int columns, const float *y, const float *dy, float *dx);
    /* y = w[0] x[0] + .. + w[3] x[3]; and y += factor x. */
    void (*weighted_sum4)(int n, const float w[4], const float *const x[4], float *y);
    void (*add_scaled)(int n, float factor, const float *x, float *y);
    /* y = scale x, or 0 x where the 24-bit hash of key and index is below limit. */
    void (*dropout)(size_t n, const uint32_t key[2], int limit, float scale, const float *x,
                    float *y);
    /* y = activation(a + b). */
    void (*sum)(size_t n, const float *a, const float *b, cn_activation activation, float *y);
    /* y = factor x. */
    void (*scale)(size_t n, float factor, const float *x, float *y);
    /* y += x. */
    void (*add)(size_t n, const float *x, float *y);
} cn_kernels;

/* The best table that this processor supports, or the one that CONVNET_ISA names. */
const cn_kernels *cn_kernels_get(void);
/* A table by name, or NULL where it is unknown, not compiled in, or this processor lacks it. */
const cn_kernels *cn_kernels_named(const char *isa);
/* The kind of the element-wise function with this name, the same in every table; CN_ACTIVATION_NONE
 * where there is none. */
int cn_elementwise_find(const char *name);
/* These, or the next best where they use a bf16 instruction that this processor lacks. */
const cn_kernels *cn_kernels_with_bf16(const cn_kernels *k);

#endif

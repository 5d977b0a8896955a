/*
 * kernels.h - the float32 inner loops, one table of functions an instruction set.
 *
 * The loops are written once (*_template.h), compiled once an instruction set (kernels_*.c), and
 * chosen at run time by cn_kernels_get. Letters: x is A_prev, y is Z, w is W, b is b, and dx, dy,
 * dw, db their gradients.
 */
#ifndef CN_KERNELS_H
#define CN_KERNELS_H

#include "kernels/conv/conv.h"

/* The numbers of one step of an optimiser. */
typedef struct cn_update {
    float scale, limit; /* of the gradient; 1 and INFINITY leave it as it is */
    float decay, keep;  /* weight decay into the gradient, or apart from it: 0 and 1 are none */
    float rate, momentum, take, beta1, beta2, epsilon;
    bool nesterov;
} cn_update;

typedef struct cn_kernels {
    const char *isa; /* "scalar", "avx2", "avx512" */
    int lanes;       /* floats in a vector */
    /* Nothing but multiply-adds, `steps` times 12 vectors of them: what the processor can do.
     * Returns their floating-point operations. */
    double (*multiply_add)(size_t steps);

    const cn_conv_method *const *conv_methods; /* for cn_conv_plan_make */

    /* Over rows of `columns`: y += b in every row, where b is not NULL, then the activation, which
     * is NONE or CLIP here and below; and db += the sum of all rows of dy, which are readable one
     * vector past their end. */
    void (*bias)(size_t rows, int columns, const float *b, cn_activation activation, float *y);
    void (*bias_backward)(size_t rows, int columns, const float *dy, float *db);

    /* Pooling. Strides of 0 stand for adaptive windows, rows floor(p h / oh) <= r < ceil((p + 1) h
     * / oh) and columns alike; averages only. A maximum ignores the padding, an average divides by
     * the elements inside. With `ties` every element equal to the maximum receives the gradient,
     * else the first one. A NaN in a window gives NaN. dx overwritten. x, y and dy must be readable
     * one vector past their ends. */
    void (*max_pool_forward)(const cn_conv_problem *s, const float *x, float *y, cn_pool *pool);
    void (*max_pool_backward)(const cn_conv_problem *s, const float *x, const float *y,
                              const float *dy, bool ties, float *dx, cn_pool *pool);
    void (*average_pool_forward)(const cn_conv_problem *s, const float *x, float *y, cn_pool *pool);
    void (*average_pool_backward)(const cn_conv_problem *s, const float *dy, float *dx,
                                  cn_pool *pool);

    /* Element by element; outputs may alias inputs. Backward multiplies dy by the derivative,
     * found from the output y. */
    void (*relu)(size_t n, const float *x, float *y);
    void (*relu_backward)(size_t n, const float *y, const float *dy, float *dx);
    void (*sigmoid)(size_t n, const float *x, float *y);
    void (*sigmoid_backward)(size_t n, const float *y, const float *dy, float *dx);
    void (*tanh)(size_t n, const float *x, float *y);
    void (*tanh_backward)(size_t n, const float *y, const float *dy, float *dx);
    void (*leaky_relu)(size_t n, float slope, const float *x, float *y);
    void (*leaky_relu_backward)(size_t n, float slope, const float *y, const float *dy, float *dx);
    void (*relu6)(size_t n, const float *x, float *y);
    void (*relu6_backward)(size_t n, const float *y, const float *dy, float *dx);
    void (*hard_sigmoid)(size_t n, const float *x, float *y);
    void (*hard_sigmoid_backward)(size_t n, const float *y, const float *dy, float *dx);
    void (*elu)(size_t n, float alpha, const float *x, float *y);
    void (*elu_backward)(size_t n, float alpha, const float *y, const float *dy, float *dx);
    void (*softplus)(size_t n, const float *x, float *y);
    void (*softplus_backward)(size_t n, const float *y, const float *dy, float *dx);
    /* The same, but that backward finds the derivative from the input x. */
    void (*hard_swish)(size_t n, const float *x, float *y);
    void (*hard_swish_backward)(size_t n, const float *x, const float *dy, float *dx);
    void (*silu)(size_t n, const float *x, float *y);
    void (*silu_backward)(size_t n, const float *x, const float *dy, float *dx);
    void (*gelu)(size_t n, const float *x, float *y);
    void (*gelu_backward)(size_t n, const float *x, const float *dy, float *dx);
    void (*gelu_tanh)(size_t n, const float *x, float *y);
    void (*gelu_tanh_backward)(size_t n, const float *x, const float *dy, float *dx);
    /* Over rows of `columns`. dx = y (dy - sum(dy y)). */
    void (*softmax)(size_t rows, int columns, const float *x, float *y);
    void (*softmax_backward)(size_t rows, int columns, const float *y, const float *dy, float *dx);
    /* Over rows of c, with row_template.h's formulas: gamma, beta (c), moments (rows, 2) and dx may
     * be NULL; sums (2 c) accumulated. */
    void (*layer_norm)(size_t rows, int c, const float *x, const float *gamma, const float *beta,
                       float epsilon, float *moments, float *y);
    void (*layer_norm_backward)(size_t rows, int c, const float *x, const float *dy,
                                const float *gamma, const float *moments, float *sums, float *dx);
    /* dx = scale dy - k (x - mean) - b, the latter four a number a column. */
    void (*group_norm_backward)(size_t rows, int c, const float *x, const float *dy,
                                const float *mean, const float *scale, const float *k,
                                const float *b, float *dx);
    /* y = w[0] x[0] + .. + w[3] x[3]; and y += factor x. */
    void (*weighted_sum4)(int n, const float w[4], const float *const x[4], float *y);
    void (*add_scaled)(int n, float factor, const float *x, float *y);
    /* y = scale x, or 0 x where the 24 bits that key and index hash to are below limit. */
    void (*dropout)(size_t n, const uint32_t key[2], int limit, float scale, const float *x,
                    float *y);
    /* y = activation(a + b). */
    void (*sum)(size_t n, const float *a, const float *b, cn_activation activation, float *y);
    /* y = factor x. */
    void (*scale)(size_t n, float factor, const float *x, float *y);
    /* y += x. */
    void (*add)(size_t n, const float *x, float *y);

    /* Over the rows of x (rows, c), and what batch norm needs: see norm_template.h. `scale` NULL:
     * no ReLU behind it. */
    void (*column_sums)(size_t rows, int c, const float *x, const float *pivot, float *sums);
    void (*scale_columns)(size_t rows, int c, const float *x, const float *mean, const float *scale,
                          const float *shift, cn_activation activation, float *y);
    void (*norm_backward_sums)(size_t rows, int c, const float *x, const float *dy,
                               const float *mean, const float *scale, const float *shift,
                               float *sums);
    void (*norm_backward)(size_t rows, int c, const float *x, const float *dy, const float *mean,
                          const float *scale, const float *shift, const float *b, const float *k,
                          float *dx);

    /* Optimisers: cn_update has the letters. Each starts from
     *     d = clamp(scale g, -limit, limit) + decay w,   w = keep w
     * and goes on as cn_optimizer says; no array may overlap another. */
    /* v = momentum v + take d;  w -= rate v, with nesterov w -= rate (d + momentum v). Without
     * momentum v may be NULL, and is not read. */
    void (*sgd)(size_t n, const cn_update *u, const float *g, float *v, float *w);
    /* m = beta1 m + (1 - beta1) d;  v = beta2 v + (1 - beta2) d^2;
     * w -= rate m / (sqrt(v) + epsilon): the caller puts the corrections of the biases into rate
     * and epsilon. */
    void (*adam)(size_t n, const cn_update *u, const float *g, float *m, float *v, float *w);
    /* v = beta2 v + (1 - beta2) d^2;  m = momentum m + d / (sqrt(v) + epsilon);  w -= rate m.
     * Without momentum m may be NULL, and is not read. */
    void (*rmsprop)(size_t n, const cn_update *u, const float *g, float *m, float *v, float *w);
    /* The sum of x^2, in double precision. */
    double (*sum_squares)(size_t n, const float *x);
    /* a += part (w - a). */
    void (*blend)(size_t n, float part, const float *w, float *a);
} cn_kernels;

/* The best table that this processor runs, or the one that CONVNET_ISA names. */
const cn_kernels *cn_kernels_get(void);
/* A table by name, or NULL where it is unknown, not compiled in, or this processor lacks it. */
const cn_kernels *cn_kernels_named(const char *isa);
/* These, or, where they need an instruction for bf16 that this processor lacks, the next best. */
const cn_kernels *cn_kernels_with_bf16(const cn_kernels *k);

#endif

/* optimizer_kernels.h - the loops of the optimizers, for one instruction set. */
#ifndef CN_OPTIMIZER_KERNELS_H
#define CN_OPTIMIZER_KERNELS_H

#include "base/base.h"

/* The numbers of one step of an optimizer. */
typedef struct cn_update {
    float scale, limit; /* of the gradient; 1 and INFINITY: none */
    float decay, keep; /* weight decay, added to the gradient or decoupled from it; 0 and 1: none */
    float rate, momentum, take, beta1, beta2, epsilon;
    bool nesterov;
} cn_update;

typedef struct cn_optimizer_kernels {
    /* The steps, in the letters of cn_update. All begin with
     *     d = clamp(scale g, -limit, limit) + decay w
     *     w = keep w
     * No two arrays may overlap. */
    /*     v = momentum v + take d
     *     w = w - rate v,  with nesterov w - rate (d + momentum v)
     * Without momentum v is not read, and may be NULL. */
    void (*sgd)(size_t n, const cn_update *u, const float *g, float *v, float *w);
    /*     m = beta1 m + (1 - beta1) d
     *     v = beta2 v + (1 - beta2) d^2
     *     w = w - rate m / (sqrt(v) + epsilon)
     * The caller's rate and epsilon contain the bias corrections. */
    void (*adam)(size_t n, const cn_update *u, const float *g, float *m, float *v, float *w);
    /*     v = beta2 v + (1 - beta2) d^2
     *     m = momentum m + d / (sqrt(v) + epsilon)
     *     w = w - rate m
     * Without momentum m is not read, and may be NULL. */
    void (*rmsprop)(size_t n, const cn_update *u, const float *g, float *m, float *v, float *w);
    /* The sum of x^2, in double precision. */
    double (*sum_squares)(size_t n, const float *x);
    /* a += part (w - a). */
    void (*blend)(size_t n, float part, const float *w, float *a);
} cn_optimizer_kernels;

#endif

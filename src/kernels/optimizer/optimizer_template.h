/*
 * optimizer_template.h - the steps of the optimizers: optimizer_kernels.h has their formulas.
 *
 * Parameter: LANES. Provides: optimizer_kernels.
 */

#ifndef CN_OPTIMIZER_TEMPLATE_H
#define CN_OPTIMIZER_TEMPLATE_H

#include "kernels/optimizer/optimizer_kernels.h"
#include "kernels/tile/vector_template.h"

static void blend(size_t n, float part, const float *w, float *a)
{
    IVDEP
    for (size_t i = 0; i < n; i++) a[i] += part * (w[i] - a[i]);
}

/* Eight sums at once hide the latency of the addition. */
static double sum_squares(size_t n, const float *x)
{
    double sums[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        UNROLL
        for (size_t j = 0; j < 8; j++) sums[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (; i < n; i++) sum += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < 8; j++) sum += sums[j];
    return sum;
}

/* The gradient, scaled, clipped (a NaN stays NaN) and with weight decay. */
INLINE float direction(const cn_update *u, float g, float w)
{
    const float limit = u->limit;
    g *= u->scale;
    g = g > limit ? limit : g;
    g = g < -limit ? -limit : g;
    return u->decay == 0 ? g : g + u->decay * w; /* 0 times an infinity would be NaN */
}

static void sgd(size_t n, const cn_update *given, const float *g, float *v, float *w)
{
    const cn_update u = *given; /* a copy that no write to w can change */
    const float ahead = u.nesterov ? u.momentum : 1, now = u.nesterov ? 1 : 0;
    if (!v || u.momentum == 0) {
        IVDEP
        for (size_t i = 0; i < n; i++) w[i] = u.keep * w[i] - u.rate * direction(&u, g[i], w[i]);
        return;
    }
    IVDEP
    for (size_t i = 0; i < n; i++) {
        const float d = direction(&u, g[i], w[i]);
        v[i] = u.momentum * v[i] + u.take * d;
        w[i] = u.keep * w[i] - u.rate * (now * d + ahead * v[i]);
    }
}

static void adam(size_t n, const cn_update *given, const float *g, float *m, float *v, float *w)
{
    const cn_update u = *given;
    IVDEP
    for (size_t i = 0; i < n; i++) {
        const float d = direction(&u, g[i], w[i]);
        m[i] = u.beta1 * m[i] + (1 - u.beta1) * d;
        v[i] = u.beta2 * v[i] + (1 - u.beta2) * d * d;
        w[i] = u.keep * w[i] - u.rate * m[i] / (sqrtf(v[i]) + u.epsilon);
    }
}

static void rmsprop(size_t n, const cn_update *given, const float *g, float *m, float *v, float *w)
{
    const cn_update u = *given;
    if (!m || u.momentum == 0) {
        IVDEP
        for (size_t i = 0; i < n; i++) {
            const float d = direction(&u, g[i], w[i]);
            v[i] = u.beta2 * v[i] + (1 - u.beta2) * d * d;
            w[i] = u.keep * w[i] - u.rate * d / (sqrtf(v[i]) + u.epsilon);
        }
        return;
    }
    IVDEP
    for (size_t i = 0; i < n; i++) {
        const float d = direction(&u, g[i], w[i]);
        v[i] = u.beta2 * v[i] + (1 - u.beta2) * d * d;
        m[i] = u.momentum * m[i] + d / (sqrtf(v[i]) + u.epsilon);
        w[i] = u.keep * w[i] - u.rate * m[i];
    }
}

static const cn_optimizer_kernels optimizer_kernels = {
    .sgd = sgd, .adam = adam, .rmsprop = rmsprop, .sum_squares = sum_squares, .blend = blend};

#endif

/*
 * row_template.h - sums of weighted rows, and dropout.
 *
 * Parameter: LANES. Provides: weighted_sum4, add_scaled, dropout.
 */

#ifndef CN_ROW_TEMPLATE_H
#define CN_ROW_TEMPLATE_H

#include "kernels/tile/vector_template.h"

/* y = sum over k of w[k] x[k] */
static void weighted_sum4(int n, const float w[4], const float *const x[4], float *y)
{
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3];
    const float w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
    IVDEP
    for (int j = 0; j < n; j++) y[j] = (w0 * x0[j] + w1 * x1[j]) + (w2 * x2[j] + w3 * x3[j]);
}

static void add_scaled(int n, float factor, const float *x, float *y)
{
    IVDEP
    for (int j = 0; j < n; j++) y[j] += factor * x[j];
}

/*
 * Element i is kept where the upper 24 bits of hash(key, i) are at least `limit`. The hash is
 * lowbias32 (Wellons 2018) of i + key[0], with key[1] mixed in half way, so that similar keys do
 * not give shifted copies of one pattern. A multiplication, not a selection: a NaN stays NaN.
 */
INLINE vf dropout_factor(vu at, const uint32_t key[2], int limit, float scale)
{
    vu h = at + key[0];
    h ^= h >> 16;
    h *= 0x21f0aaadu;
    h ^= key[1];
    h ^= h >> 15;
    h *= 0x735a2d97u;
    h ^= h >> 15;
    return (vf)((vi)broadcast(scale) & ((vi)(h >> 8) >= limit));
}

static void dropout(size_t n, const uint32_t key[2], int limit, float scale, const float *x,
                    float *y)
{
    vu at;
    UNROLL
    for (int j = 0; j < LANES; j++) at[j] = (uint32_t)j;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES, at += LANES)
        store(y + i, load(x + i) * dropout_factor(at, key, limit, scale));
    if (i < n) store_part(y + i, load(x + i) * dropout_factor(at, key, limit, scale), (int)(n - i));
}

#endif

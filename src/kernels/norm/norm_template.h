/*
 * norm_template.h - the loops of batch norm: sums over the rows of a matrix, and scales of its
 * columns.
 *
 * x (rows, c) has one row per pixel and one column per channel. Four rows are added at a time, so
 * that the sums, which lie in memory, are rarely loaded and stored; the inner loop runs over
 * channels, and is vectorized whatever their number.
 *
 * Parameter: LANES. Provides: norm_kernels.
 */
#ifndef CN_NORM_TEMPLATE_H
#define CN_NORM_TEMPLATE_H

#include "kernels/norm/layer_norm_template.h"
#include "kernels/norm/norm_kernels.h"
#include "kernels/tile/vector_template.h"

/* sums[j] = sum of d, sums[c + j] = sum of d^2, over d = x[i, j] - pivot[j]. With a pivot near the
 * mean, the variance that is computed from them does not cancel. */
static void column_sums(size_t rows, int c, const float *x, const float *pivot, float *sums)
{
    float *squares = sums + c;
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    for (; rows >= 4; rows -= 4, x += 4 * (size_t)c) {
        const float *x1 = x + c, *x2 = x1 + c, *x3 = x2 + c;
        IVDEP
        for (int j = 0; j < c; j++) {
            const float d0 = x[j] - pivot[j], d1 = x1[j] - pivot[j];
            const float d2 = x2[j] - pivot[j], d3 = x3[j] - pivot[j];
            sums[j] += (d0 + d1) + (d2 + d3);
            squares[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
    }
    for (; rows > 0; rows--, x += c) {
        IVDEP
        for (int j = 0; j < c; j++) {
            const float d = x[j] - pivot[j];
            sums[j] += d;
            squares[j] += d * d;
        }
    }
}

/* y[i, j] = (x[i, j] - mean[j]) scale[j] + shift[j], then the activation */
static void scale_columns(size_t rows, int c, const float *x, const float *mean, const float *scale,
                          const float *shift, cn_activation activation, float *y)
{
    for (; rows > 0; rows--, x += c, y += c) {
        if (activation.kind) {
            IVDEP
            for (int j = 0; j < c; j++)
                y[j] = activate1((x[j] - mean[j]) * scale[j] + shift[j], activation);
        } else {
            IVDEP
            for (int j = 0; j < c; j++) y[j] = (x[j] - mean[j]) * scale[j] + shift[j];
        }
    }
}

/* The gradient before a fused activation, whose input is d scale + shift: dy where that lies between
 * the bounds, of which the upper one counts where CAPPED (ReLU6), else 0. */
INLINE float mask_clip(const bool CAPPED, float d, float scale, float shift, cn_activation a,
                       float dy)
{
    const float y = d * scale + shift;
    return (y <= a.lower) | (CAPPED & (y >= a.upper)) ? 0 : dy;
}

INLINE void masked_backward_sums(const bool CAPPED, size_t rows, int c, const float *x,
                                 const float *dy, const float *mean, const float *scale,
                                 const float *shift, cn_activation a, float *sums, float *crossed)
{
    for (; rows >= 2; rows -= 2, x += 2 * (size_t)c, dy += 2 * (size_t)c) {
        const float *x1 = x + c, *dy1 = dy + c;
        IVDEP
        for (int j = 0; j < c; j++) {
            const float d0 = x[j] - mean[j], d1 = x1[j] - mean[j];
            const float g0 = mask_clip(CAPPED, d0, scale[j], shift[j], a, dy[j]);
            const float g1 = mask_clip(CAPPED, d1, scale[j], shift[j], a, dy1[j]);
            sums[j] += g0 + g1;
            crossed[j] += g0 * d0 + g1 * d1;
        }
    }
    if (rows == 0) return;
    IVDEP
    for (int j = 0; j < c; j++) {
        const float d = x[j] - mean[j], g = mask_clip(CAPPED, d, scale[j], shift[j], a, dy[j]);
        sums[j] += g;
        crossed[j] += g * d;
    }
}

/* With d = x - mean, and dy masked by the activation of d scale + shift, if there is one:
 *     sums[j]     = sum of dy[i, j]
 *     sums[c + j] = sum of dy[i, j] d[i, j] */
static void norm_backward_sums(size_t rows, int c, const float *x, const float *dy,
                               const float *mean, const float *scale, const float *shift,
                               cn_activation a, float *sums)
{
    float *crossed = sums + c;
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    if (a.kind && a.upper < INFINITY) {
        masked_backward_sums(true, rows, c, x, dy, mean, scale, shift, a, sums, crossed);
        return;
    }
    if (a.kind) {
        masked_backward_sums(false, rows, c, x, dy, mean, scale, shift, a, sums, crossed);
        return;
    }
    for (; rows > 0; rows--, x += c, dy += c) {
        IVDEP
        for (int j = 0; j < c; j++) {
            sums[j] += dy[j];
            crossed[j] += dy[j] * (x[j] - mean[j]);
        }
    }
}

INLINE void masked_backward(const bool CAPPED, size_t rows, int c, const float *x, const float *dy,
                            const float *mean, const float *scale, const float *shift,
                            cn_activation a, const float *b, const float *k, float *dx)
{
    for (; rows > 0; rows--, x += c, dy += c, dx += c) {
        IVDEP
        for (int j = 0; j < c; j++) {
            const float d = x[j] - mean[j], g = mask_clip(CAPPED, d, scale[j], shift[j], a, dy[j]);
            dx[j] = scale[j] * (g - b[j]) - k[j] * d;
        }
    }
}

/* dx[i, j] = scale[j] (dy[i, j] - b[j]) - k[j] (x[i, j] - mean[j]), dy as in norm_backward_sums */
static void norm_backward(size_t rows, int c, const float *x, const float *dy, const float *mean,
                          const float *scale, const float *shift, cn_activation a, const float *b,
                          const float *k, float *dx)
{
    if (a.kind && a.upper < INFINITY) {
        masked_backward(true, rows, c, x, dy, mean, scale, shift, a, b, k, dx);
        return;
    }
    if (a.kind) {
        masked_backward(false, rows, c, x, dy, mean, scale, shift, a, b, k, dx);
        return;
    }
    for (; rows > 0; rows--, x += c, dy += c, dx += c) {
        IVDEP
        for (int j = 0; j < c; j++) dx[j] = scale[j] * (dy[j] - b[j]) - k[j] * (x[j] - mean[j]);
    }
}

static const cn_norm_kernels norm_kernels = {.column_sums = column_sums,
                                             .scale_columns = scale_columns,
                                             .backward_sums = norm_backward_sums,
                                             .backward = norm_backward,
                                             .rows = layer_norm,
                                             .rows_backward = layer_norm_backward,
                                             .group_backward = group_norm_backward};

#endif

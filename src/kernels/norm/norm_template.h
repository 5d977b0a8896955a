/*
 * norm_template.h - sums over the rows of a matrix, and what batch norm does with them.
 *
 * x (rows, c): a pixel a row, a channel a column. Four rows are added before a sum is touched, so
 * that the sums, which lie in memory, cost little; the inner loop runs over channels and becomes
 * vectors whatever their number.
 *
 * Parameter: LANES. Provides: norm_kernels.
 */
#ifndef CN_NORM_TEMPLATE_H
#define CN_NORM_TEMPLATE_H

#include "kernels/norm/layer_norm_template.h"
#include "kernels/norm/norm_kernels.h"
#include "kernels/tile/vector_template.h"

/* sums[j] = sum of d, sums[c + j] = sum of d^2, over d = x[i, j] - pivot[j]. A pivot near the mean
 * keeps the variance that is found from them from cancelling. */
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

/* dy where the ReLU behind d scale + shift lets it through, else 0. */
INLINE float behind_relu(float d, float scale, float shift, float dy)
{
    return d * scale + shift <= 0 ? 0 : dy;
}

/* With d = x - mean: sums[j] = sum of dy[i, j], sums[c + j] = sum of dy[i, j] d[i, j]; where shift
 * is given, of the dy that a ReLU behind d scale + shift lets through. */
static void norm_backward_sums(size_t rows, int c, const float *x, const float *dy,
                               const float *mean, const float *scale, const float *shift,
                               float *sums)
{
    float *crossed = sums + c;
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    for (; rows >= 2 && shift; rows -= 2, x += 2 * (size_t)c, dy += 2 * (size_t)c) {
        const float *x1 = x + c, *dy1 = dy + c;
        IVDEP
        for (int j = 0; j < c; j++) {
            const float d0 = x[j] - mean[j], d1 = x1[j] - mean[j];
            const float g0 = behind_relu(d0, scale[j], shift[j], dy[j]);
            const float g1 = behind_relu(d1, scale[j], shift[j], dy1[j]);
            sums[j] += g0 + g1;
            crossed[j] += g0 * d0 + g1 * d1;
        }
    }
    for (; rows > 0; rows--, x += c, dy += c) {
        IVDEP
        for (int j = 0; j < c; j++) {
            const float d = x[j] - mean[j];
            const float g = shift ? behind_relu(d, scale[j], shift[j], dy[j]) : dy[j];
            sums[j] += g;
            crossed[j] += g * d;
        }
    }
}

/* dx[i, j] = scale[j] (dy[i, j] - b[j]) - k[j] (x[i, j] - mean[j]), dy as in norm_backward_sums */
static void norm_backward(size_t rows, int c, const float *x, const float *dy, const float *mean,
                          const float *scale, const float *shift, const float *b, const float *k,
                          float *dx)
{
    for (; rows > 0; rows--, x += c, dy += c, dx += c) {
        if (shift) {
            IVDEP
            for (int j = 0; j < c; j++) {
                const float d = x[j] - mean[j];
                dx[j] = scale[j] * (behind_relu(d, scale[j], shift[j], dy[j]) - b[j]) - k[j] * d;
            }
        } else {
            IVDEP
            for (int j = 0; j < c; j++) dx[j] = scale[j] * (dy[j] - b[j]) - k[j] * (x[j] - mean[j]);
        }
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

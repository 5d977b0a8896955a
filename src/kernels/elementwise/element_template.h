/*
 * element_template.h - the exponential, softmax, sums and multiples.
 *
 * Plain loops that compilers vectorize. An output may be the same array as an input.
 *
 * Parameter: LANES. Provides: exp_lane, multiply_add, softmax, softmax_backward, sum, scale, add.
 */
#ifndef CN_ELEMENT_TEMPLATE_H
#define CN_ELEMENT_TEMPLATE_H

#include "kernels/kernels.h"
#include "kernels/tile/vector_template.h"

/*
 * e^x to about 1 ulp, without a branch. x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor
 * polynomial of degree 7 (the first omitted term is r^8 / 40320 < 6e-9); 2^n by the exponent's
 * bits. Adding 1.5 2^23 rounds to an integer, which then stands in the low bits. ln 2 comes in two
 * parts, the first short enough that its product with n is exact.
 */
INLINE float exp_lane(float x)
{
    const float rounder = 12582912.0f;
    x = x > 88.0f ? 88.0f : x;
    const float clamped = x < -87.0f ? -87.0f : x;
    const float shifted = fmadd1(clamped, 1.44269504f, rounder), n = shifted - rounder;
    const float r = fmadd1(n, 2.12194440e-4f, fmadd1(n, -0.693359375f, clamped));
    float e = 1.0f / 5040;
    e = fmadd1(e, r, 1.0f / 720);
    e = fmadd1(e, r, 1.0f / 120);
    e = fmadd1(e, r, 1.0f / 24);
    e = fmadd1(e, r, 1.0f / 6);
    e = fmadd1(e, r, 0.5f);
    e = fmadd1(e, r, 1.0f);
    e = fmadd1(e, r, 1.0f);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23; /* the low 9 bits of `shifted` are n */
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.0f ? 0.0f : e * power;
}

/* 12 independent sums hide the latency of two multiply-add units, and fit 16 registers. */
static double multiply_add(size_t steps)
{
    vf sum[12];
    volatile float one = 1;
    const vf factor = broadcast(one);
    UNROLL
    for (int i = 0; i < 12; i++) sum[i] = broadcast(one + (float)i);
    for (size_t s = 0; s < steps; s++) {
        UNROLL
        for (int i = 0; i < 12; i++) sum[i] = fmadd(sum[i], factor, factor);
    }
    for (int i = 0; i < 12; i++) one = sum[i][0]; /* used, so that it is computed */
    return (double)steps * 12 * LANES * 2;
}

/* y = e^(x - max) / sum: subtracting the maximum keeps e^x finite. */
static void softmax(size_t rows, int columns, const float *x, float *y)
{
    for (size_t r = 0; r < rows; r++, x += columns, y += columns) {
        float most = x[0], sum = 0;
        for (int j = 1; j < columns; j++) most = x[j] > most ? x[j] : most;
        IVDEP
        for (int j = 0; j < columns; j++) y[j] = exp_lane(x[j] - most);
        for (int j = 0; j < columns; j++) sum += y[j];
        const float scale = 1 / sum;
        for (int j = 0; j < columns; j++) y[j] *= scale;
    }
}

/* y_j = e^x_j / sum:  dx_j = y_j (dy_j - sum_k dy_k y_k) */
static void softmax_backward(size_t rows, int columns, const float *y, const float *dy, float *dx)
{
    for (size_t r = 0; r < rows; r++, y += columns, dy += columns, dx += columns) {
        float sum = 0;
        for (int j = 0; j < columns; j++) sum += dy[j] * y[j];
        IVDEP
        for (int j = 0; j < columns; j++) dx[j] = y[j] * (dy[j] - sum);
    }
}

static void sum(size_t n, const float *a, const float *b, cn_activation activation, float *y)
{
    if (activation.kind) {
        IVDEP
        for (size_t i = 0; i < n; i++) y[i] = activate1(a[i] + b[i], activation);
        return;
    }
    IVDEP
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void scale(size_t n, float factor, const float *x, float *y)
{
    IVDEP
    for (size_t i = 0; i < n; i++) y[i] = factor * x[i];
}

static void add(size_t n, const float *x, float *y)
{
    IVDEP
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

#endif

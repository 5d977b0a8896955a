/*
 * layer_norm_template.h - layer norm, a row at a time; and group norm backward.
 *
 * Parameter: LANES. Provides: layer_norm, layer_norm_backward, group_norm_backward.
 */
#ifndef CN_LAYER_NORM_TEMPLATE_H
#define CN_LAYER_NORM_TEMPLATE_H

#include "kernels/tile/vector_template.h"

INLINE float sum_of_lanes(vf v)
{
    float sum = 0;
    for (int j = 0; j < LANES; j++) sum += v[j];
    return sum;
}

/* The mean of a row, and 1 / sqrt(variance + epsilon): two passes, so that nothing cancels. */
static void row_moments(int c, const float *x, float epsilon, float moments[2])
{
    vf sum = {0}, square = {0};
    float mean = 0, var = 0;
    int j = 0;
    for (; j + LANES <= c; j += LANES) sum += load(x + j);
    for (; j < c; j++) mean += x[j];
    mean = (mean + sum_of_lanes(sum)) / (float)c;
    for (j = 0; j + LANES <= c; j += LANES) {
        const vf d = load(x + j) - mean;
        square += d * d;
    }
    for (; j < c; j++) var += (x[j] - mean) * (x[j] - mean);
    var = (var + sum_of_lanes(square)) / (float)c;
    moments[0] = mean;
    moments[1] = 1 / sqrtf(var + epsilon);
}

/* y = gamma (x - mean) rstd + beta, row by row; gamma and beta (c) may be NULL. Writes each row's
 * mean and rstd to moments (rows, 2), unless that is NULL. */
static void layer_norm(size_t rows, int c, const float *x, const float *gamma, const float *beta,
                       float epsilon, float *moments, float *y)
{
    for (; rows > 0; rows--, x += c, y += c) {
        float here[2];
        row_moments(c, x, epsilon, here);
        const float mean = here[0], rstd = here[1];
        IVDEP
        for (int j = 0; j < c; j++)
            y[j] = (gamma ? gamma[j] : 1) * ((x[j] - mean) * rstd) + (beta ? beta[j] : 0);
        if (moments) memcpy(moments, here, sizeof here), moments += 2;
    }
}

/* With x_hat = (x - mean) rstd and g = gamma dy:
 *     sums[j]     += sum over the rows of dy x_hat
 *     sums[c + j] += sum over the rows of dy
 *     dx           = rstd (g - mean of g - x_hat mean of g x_hat), unless dx is NULL */
static void layer_norm_backward(size_t rows, int c, const float *x, const float *dy,
                                const float *gamma, const float *moments, float *sums, float *dx)
{
    for (; rows > 0; rows--, x += c, dy += c, moments += 2) {
        const float mean = moments[0], rstd = moments[1];
        vf first = {0}, second = {0};
        float a = 0, b = 0;
        int j = 0;
        for (; j + LANES <= c; j += LANES) {
            vf g = load(dy + j);
            if (gamma) g *= load(gamma + j);
            first += g;
            second += g * (load(x + j) - mean);
        }
        for (; j < c; j++) {
            const float g = (gamma ? gamma[j] : 1) * dy[j];
            a += g;
            b += g * (x[j] - mean);
        }
        a = (a + sum_of_lanes(first)) / (float)c;
        b = (b + sum_of_lanes(second)) / (float)c * rstd;
        IVDEP
        for (j = 0; j < c; j++) {
            sums[j] += dy[j] * ((x[j] - mean) * rstd);
            sums[c + j] += dy[j];
        }
        if (!dx) continue;
        IVDEP
        for (j = 0; j < c; j++)
            dx[j] = rstd * ((gamma ? gamma[j] : 1) * dy[j] - a - (x[j] - mean) * rstd * b);
        dx += c;
    }
}

/* dx[i, j] = scale[j] dy[i, j] - k[j] (x[i, j] - mean[j]) - b[j] */
static void group_norm_backward(size_t rows, int c, const float *x, const float *dy,
                                const float *mean, const float *scale, const float *k,
                                const float *b, float *dx)
{
    for (; rows > 0; rows--, x += c, dy += c, dx += c) {
        IVDEP
        for (int j = 0; j < c; j++) dx[j] = scale[j] * dy[j] - k[j] * (x[j] - mean[j]) - b[j];
    }
}

#endif

/*
 * bias_template.h - a bias by itself: added to rows, and its gradient, the sum of rows.
 *
 * Parameter: LANES. Provides: bias, bias_backward, add_columns.
 */
#ifndef CN_BIAS_TEMPLATE_H
#define CN_BIAS_TEMPLATE_H

#include "kernels/tile/vector_template.h"

/* NV neighboring vectors of every pixel, summed over them. */
INLINE void sum_pixels(const int NV, size_t pixels, const float *dy, size_t pixel, float *sums)
{
    vf acc[8] = {{0}};
    for (size_t p = 0; p < pixels; p++, dy += pixel) {
        UNROLL
        for (int j = 0; j < NV; j++) acc[j] += load(dy + j * LANES);
    }
    UNROLL
    for (int j = 0; j < NV; j++) store(sums + j * LANES, acc[j]);
}

/*
 * db[k] += sum over pixels of dy[., k]. As many pixels as fill whole vectors are summed lane by
 * lane first (3 vectors hold 4 pixels of 6 channels with 8 lanes), so that no channel count is
 * slow.
 */
static void add_columns(size_t pixels, int oc, const float *dy, float *db)
{
    float sums[16 * LANES];
    int together = 1;
    while (together < LANES && together * oc % LANES != 0) together++;
    const size_t period = (size_t)(together * oc), whole = pixels / (size_t)together;
    size_t done = 0;
    if (together * oc <= 16 * LANES && together * oc % LANES == 0 && whole > 1) {
        size_t j = 0;
        for (; j + 8 * LANES <= period; j += 8 * LANES)
            sum_pixels(8, whole, dy + j, period, sums + j);
        for (; j + 2 * LANES <= period; j += 2 * LANES)
            sum_pixels(2, whole, dy + j, period, sums + j);
        if (j < period) sum_pixels(1, whole, dy + j, period, sums + j);
        for (j = 0; j < period; j++) db[j % (size_t)oc] += sums[j];
        done = whole * (size_t)together;
    }
    for (size_t p = done; p < pixels; p++)
        for (int k = 0; k < oc; k++) db[k] += dy[p * (size_t)oc + (size_t)k];
}

static void bias(size_t rows, int columns, const float *b, cn_activation activation, float *y)
{
    for (size_t r = 0; r < rows; r++, y += columns) {
        int j = 0;
        for (; j + LANES <= columns; j += LANES) {
            vf sum = load(y + j);
            if (b) sum += load(b + j);
            if (activation.kind) sum = activate_lanes(sum, activation);
            store(y + j, sum);
        }
        for (; j < columns; j++) {
            const float sum = b ? y[j] + b[j] : y[j];
            y[j] = activation.kind ? activate1(sum, activation) : sum;
        }
    }
}

static void bias_backward(size_t rows, int columns, const float *dy, float *db)
{
    add_columns(rows, columns, dy, db);
}

#endif

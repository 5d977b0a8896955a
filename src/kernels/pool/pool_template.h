/*
 * pool_template.h - maximum and average over windows; vectors run over the channels.
 *
 *     y[i,p,q,c] = max or mean of x[i,r,s,c] over the pixels (r, s) of window (p, q)
 *
 * Parameter: LANES. Provides: pool_kernels.
 */
#ifndef CN_POOL_TEMPLATE_H
#define CN_POOL_TEMPLATE_H

#include "kernels/pool/pool_kernels.h"
#include "kernels/tile/vector_template.h"

/* The part of window (p, q) inside the image: rows r0 <= r < r1, columns s0 <= s < s1. */
typedef struct inside {
    int r0, r1, s0, s1;
} inside;

INLINE inside window_inside(const cn_conv_problem *s, int p, int q)
{
    if (s->sh == 0) /* adaptive */
        return (inside){(int)((ptrdiff_t)p * s->h / s->oh),
                        (int)(((ptrdiff_t)(p + 1) * s->h + s->oh - 1) / s->oh),
                        (int)((ptrdiff_t)q * s->w / s->ow),
                        (int)(((ptrdiff_t)(q + 1) * s->w + s->ow - 1) / s->ow)};
    const int r = p * s->sh - s->pt, c = q * s->sw - s->pl;
    return (inside){max(0, r), min(s->h, r + s->fh), max(0, c), min(s->w, c + s->fw)};
}

INLINE ptrdiff_t pixel(const cn_conv_problem *s, int r, int column)
{
    return ((ptrdiff_t)r * s->w + column) * s->c;
}

/* Channel blocks of a pixel: whole vectors, the last one moved back so that it ends with the pixel
 * (writing some channels twice). A pixel narrower than a vector is one block. */
INLINE int next_block(int c, int channels)
{
    const int next = c + LANES;
    return next >= channels ? channels : min(next, max(channels - LANES, c + 1));
}

/* Writes a block of a pixel: as a whole vector where that ends before `end`, else `channels` only.
 */
INLINE void store_block(float *p, vf v, int channels, const float *end)
{
    if (channels >= LANES || p + LANES <= end)
        store(p, v);
    else
        store_part(p, v, channels);
}

typedef struct pooling {
    const cn_conv_problem *s;
    const float *x, *y, *dy;
    float *out;
    int parts; /* forward: of an image's rows of outputs */
    bool ties;
} pooling;

/* Reduces a window of `rows` x `columns` pixels from x on, `row` and `pixel` floats apart. */
typedef vf reduction(const float *x, int rows, int columns, ptrdiff_t row, ptrdiff_t pixel);

INLINE vf window_maximum(const float *x, int rows, int columns, ptrdiff_t row, ptrdiff_t pixel)
{
    vf most = load(x);
    for (int u = 0; u < rows; u++) {
        for (int v = 0; v < columns; v++) {
            const vf e = load(x + u * row + v * pixel);
            most = select((e > most) | (e != e), e, most); /* a NaN wins, and stays */
        }
    }
    return most;
}

INLINE vf window_mean(const float *x, int rows, int columns, ptrdiff_t row, ptrdiff_t pixel)
{
    vf sum = {0};
    for (int u = 0; u < rows; u++)
        for (int v = 0; v < columns; v++) sum += load(x + u * row + v * pixel);
    return sum / (float)(rows * columns);
}

/* A part of an image, forward. The most common window, 2 x 2, has an unrolled copy. */
INLINE void pool_part(const pooling *job, int task, reduction *reduce)
{
    const cn_conv_problem *s = job->s;
    const int image = task / job->parts, part = task % job->parts;
    const int first = (int)((int64_t)part * s->oh / job->parts);
    const int last = (int)((int64_t)(part + 1) * s->oh / job->parts);
    const ptrdiff_t row = (ptrdiff_t)s->w * s->c, out_row = (ptrdiff_t)s->ow * s->c;
    const float *x = job->x + (ptrdiff_t)image * s->h * row;
    float *y = job->out + ((ptrdiff_t)image * s->oh + first) * out_row;
    const float *end = y + (last - first) * out_row;
    for (int p = first; p < last; p++) {
        for (int q = 0; q < s->ow; q++, y += s->c) {
            const inside n = window_inside(s, p, q);
            const int rows = n.r1 - n.r0, columns = n.s1 - n.s0;
            const float *window = x + n.r0 * row + (ptrdiff_t)n.s0 * s->c;
            for (int c = 0; c < s->c; c = next_block(c, s->c)) {
                const vf v = rows == 2 && columns == 2
                                 ? reduce(window + c, 2, 2, row, s->c)
                                 : reduce(window + c, rows, columns, row, s->c);
                store_block(y + c, v, s->c, end);
            }
        }
    }
}

static void max_pool_task(void *argument, int task, int worker)
{
    (void)worker;
    pool_part(argument, task, window_maximum);
}

static void average_pool_task(void *argument, int task, int worker)
{
    (void)worker;
    pool_part(argument, task, window_mean);
}

static void max_pool_forward(const cn_conv_problem *s, const float *x, float *y, cn_pool *pool)
{
    pooling job = {.s = s, .x = x, .out = y, .parts = cn_pool_parts(pool, s->m, (size_t)s->oh)};
    cn_pool_run(pool, s->m * job.parts, max_pool_task, &job);
}

static void average_pool_forward(const cn_conv_problem *s, const float *x, float *y, cn_pool *pool)
{
    pooling job = {.s = s, .x = x, .out = y, .parts = cn_pool_parts(pool, s->m, (size_t)s->oh)};
    cn_pool_run(pool, s->m * job.parts, average_pool_task, &job);
}

/* dx += v for a block of a pixel. Lanes that belong to the next pixel, or that an earlier block has
 * already written, add nothing. */
INLINE void add_block(float *p, vf v, vi lanes, int channels, const float *end)
{
    const vf zero = {0};
    if (p + LANES <= end)
        store(p, load(p) + select(lanes, v, zero));
    else
        for (int j = 0; j < min(channels, LANES); j++) p[j] += lanes[j] ? v[j] : 0;
}

/* The lanes of the block at channel c that are its own: those from `from` on, within the pixel. */
INLINE vi own_lanes(int c, int from, int channels)
{
    return first_lanes(channels - c) & ~first_lanes(from - c);
}

/* Row p of arbitrary windows: dx += dy where x is the window's maximum, at the first such element
 * or, with ties, at all. Where the maximum is NaN, the NaNs count as maxima. */
static void max_windows_backward(const pooling *job, const float *x, const float *y,
                                 const float *dy, float *dx, int p, const float *end)
{
    const cn_conv_problem *s = job->s;
    for (int q = 0; q < s->ow; q++, y += s->c, dy += s->c) {
        const inside n = window_inside(s, p, q);
        for (int c = 0, from = 0; c < s->c; from = c + LANES, c = next_block(c, s->c)) {
            const vf most = load(y + c), gradient = load(dy + c);
            vi left = own_lanes(c, from, s->c);
            for (int r = n.r0; r < n.r1; r++) {
                for (int k = n.s0; k < n.s1; k++) {
                    const vf e = load(x + pixel(s, r, k) + c);
                    const vi found = ((e == most) | ((e != e) & (most != most))) & left;
                    add_block(dx + pixel(s, r, k) + c, gradient, found, s->c, end);
                    if (!job->ties) left &= ~found;
                }
            }
        }
    }
}

/* Windows that tile the image: each element of dx belongs to one, and is written once. */
static bool windows_tile(const cn_conv_problem *s)
{
    return s->pt == 0 && s->pl == 0 && s->sh == s->fh && s->sw == s->fw && s->h == s->oh * s->fh &&
           s->w == s->ow * s->fw;
}

/* A row of such windows. What a block writes past its pixel, that of the next pixel overwrites; the
 * last block of a row writes exactly. */
INLINE void max_row_backward(const pooling *job, const float *x, const float *y, const float *dy,
                             float *dx, const int rows, const int columns)
{
    const cn_conv_problem *s = job->s;
    const ptrdiff_t row = (ptrdiff_t)s->w * s->c;
    for (int q = 0; q < s->ow; q++, x += columns * s->c, dx += columns * s->c) {
        for (int c = 0; c < s->c; c = next_block(c, s->c)) {
            const vf most = load(y + q * s->c + c), gradient = load(dy + q * s->c + c);
            vi left = first_lanes(LANES);
            for (int u = 0; u < rows; u++) {
                for (int v = 0; v < columns; v++) {
                    const ptrdiff_t at = u * row + v * s->c + c;
                    const vf e = load(x + at);
                    const vi found = ((e == most) | ((e != e) & (most != most))) & left;
                    const float *row_end = dx + u * row + (s->ow - q) * columns * s->c;
                    store_block(dx + at, select(found, gradient, (vf){0}), s->c, row_end);
                    if (!job->ties) left &= ~found;
                }
            }
        }
    }
}

static void max_pool_backward_task(void *argument, int task, int worker)
{
    (void)worker;
    const pooling *job = argument;
    const cn_conv_problem *s = job->s;
    const ptrdiff_t row = (ptrdiff_t)s->w * s->c, out_row = (ptrdiff_t)s->ow * s->c;
    const ptrdiff_t in = s->h * row, out = s->oh * out_row;
    const float *x = job->x + task * in, *y = job->y + task * out, *dy = job->dy + task * out;
    float *dx = job->out + task * in;
    const float *end = dx + in;
    const bool tiled = windows_tile(s);
    if (!tiled) memset(dx, 0, (size_t)in * sizeof *dx);
    for (int p = 0; p < s->oh; p++, y += out_row, dy += out_row) {
        const ptrdiff_t at = p * s->fh * row;
        if (tiled && s->fh == 2 && s->fw == 2)
            max_row_backward(job, x + at, y, dy, dx + at, 2, 2);
        else if (tiled)
            max_row_backward(job, x + at, y, dy, dx + at, s->fh, s->fw);
        else
            max_windows_backward(job, x, y, dy, dx, p, end);
    }
}

static void max_pool_backward(const cn_conv_problem *s, const float *x, const float *y,
                              const float *dy, bool ties, float *dx, cn_pool *pool)
{
    pooling job = {.s = s, .x = x, .y = y, .dy = dy, .out = dx, .ties = ties};
    cn_pool_run(pool, s->m, max_pool_backward_task, &job);
}

static void average_pool_backward_task(void *argument, int task, int worker)
{
    (void)worker;
    const pooling *job = argument;
    const cn_conv_problem *s = job->s;
    const ptrdiff_t in = (ptrdiff_t)s->h * s->w * s->c, out = (ptrdiff_t)s->oh * s->ow * s->c;
    const float *dy = job->dy + task * out;
    float *dx = job->out + task * in;
    const float *end = dx + in;
    memset(dx, 0, (size_t)in * sizeof *dx);
    for (int p = 0; p < s->oh; p++) {
        for (int q = 0; q < s->ow; q++, dy += s->c) {
            const inside n = window_inside(s, p, q);
            const float share = 1 / (float)((n.r1 - n.r0) * (n.s1 - n.s0));
            for (int c = 0, from = 0; c < s->c; from = c + LANES, c = next_block(c, s->c)) {
                const vi lanes = own_lanes(c, from, s->c);
                const vf part = load(dy + c) * share;
                for (int r = n.r0; r < n.r1; r++)
                    for (int k = n.s0; k < n.s1; k++)
                        add_block(dx + pixel(s, r, k) + c, part, lanes, s->c, end);
            }
        }
    }
}

static void average_pool_backward(const cn_conv_problem *s, const float *dy, float *dx,
                                  cn_pool *pool)
{
    pooling job = {.s = s, .dy = dy, .out = dx};
    cn_pool_run(pool, s->m, average_pool_backward_task, &job);
}

static const cn_pool_kernels pool_kernels = {.max_forward = max_pool_forward,
                                             .max_backward = max_pool_backward,
                                             .average_forward = average_pool_forward,
                                             .average_backward = average_pool_backward};

#endif

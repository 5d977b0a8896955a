/*
 * depthwise_blocks_template.h - depthwise convolution, forward, where x and y are in the caches:
 * rows are read in place.
 *
 * A block of 2 x 4 neighboring outputs is computed at a time, for all channels. Each vector of x
 * that its windows share is loaded once: for a 3 x 3 kernel, 24 vectors of x and 9 of w make 72
 * multiply-adds. Where x and y come from memory, these are too many streams at once, and the order
 * of depthwise_template.h is better.
 *
 * Parameter: LANES. Provides: blocks_method.
 */
#ifndef CN_DEPTHWISE_BLOCKS_TEMPLATE_H
#define CN_DEPTHWISE_BLOCKS_TEMPLATE_H

#include "kernels/depthwise/depthwise_weights_template.h"

enum {
    CACHED_FLOATS = 2 << 20, /* of x and y: then they are in the caches */
    CONFLICT = 512,          /* pixels this many floats apart share sets of the first-level cache */
    DEEP = 2,                /* rows of a block; it has BLOCK columns */
    ROWS_SEEN = 5,           /* the most rows of x that a block reads */
    SIDE_VECTORS = 4         /* channel vectors at a time, at the left and right of the image */
};

typedef struct block_rows {
    const cn_conv_problem *s;
    const float *x, *zeros; /* an image; a row of zeros in place of rows outside it */
    const float *packed, *bias;
    cn_activation activation;
    float *y;     /* of the image */
    int channels; /* a part of c: x, packed, bias and y begin at its first channel */
} block_rows;

/* The taps of channel vector n, which lie LINE floats apart. */
INLINE const float *taps_at(const block_rows *t, int n)
{
    const int plane = n / VECTORS, vector = n % VECTORS;
    return t->packed + (ptrdiff_t)plane * t->s->fh * t->s->fw * LINE + vector * LANES;
}

INLINE const float *block_row(const block_rows *t, int r)
{
    return r < 0 || r >= t->s->h ? t->zeros : t->x + (ptrdiff_t)r * t->s->w * t->s->c;
}

/* R x BLOCK outputs of a K x K kernel of stride S, whose windows leave no row of x. */
INLINE void sum_deep_block(const int K, const int S, const int R, const block_rows *t, int p, int q)
{
    const cn_conv_problem *s = t->s;
    const ptrdiff_t pixel = s->c, row = (ptrdiff_t)s->ow * s->c;
    const float *x[ROWS_SEEN], *bias = t->bias;
    const cn_activation activation = t->activation;
    float *y = t->y + p * row + q * pixel;
    UNROLL
    for (int r = 0; r < K + (R - 1) * S; r++)
        x[r] = block_row(t, p * S - s->pt + r) + (q * S - s->pl) * pixel;
    for (int n = 0, j = 0; j < t->channels; n++, j += LANES) {
        const float *w = taps_at(t, n);
        vf acc[DEEP][BLOCK];
        UNROLL
        for (int o = 0; o < R; o++) {
            UNROLL
            for (int i = 0; i < BLOCK; i++) acc[o][i] = bias ? load(bias + j) : (vf){0};
        }
        UNROLL
        for (int r = 0; r < K + (R - 1) * S; r++) {
            UNROLL
            for (int i = 0; i < (BLOCK - 1) * S + K; i++) {
                const vf e = load(x[r] + i * pixel + j);
                UNROLL
                for (int o = 0; o < R; o++) {
                    const int u = r - o * S;
                    UNROLL
                    for (int v = 0; v < K; v++)
                        if (u >= 0 && u < K && i >= v && (i - v) % S == 0 && (i - v) / S < BLOCK)
                            acc[o][(i - v) / S] =
                                fmadd(e, load(w + (u * K + v) * LINE), acc[o][(i - v) / S]);
                }
            }
        }
        UNROLL
        for (int o = 0; o < R; o++) {
            UNROLL
            for (int i = 0; i < BLOCK; i++)
                store(y + o * row + i * pixel + j,
                      activation.kind ? activate_lanes(acc[o][i], activation) : acc[o][i]);
        }
    }
}

/* V channel vectors, from vector n on, of an output at a side: taps v0 <= v < v1 are inside. */
INLINE void sum_side(const int V, const block_rows *t, int p, int q, int v0, int v1, int n)
{
    const cn_conv_problem *s = t->s;
    const ptrdiff_t pixel = s->c;
    vf acc[SIDE_VECTORS];
    UNROLL
    for (int k = 0; k < V; k++) acc[k] = t->bias ? load(t->bias + (n + k) * LANES) : (vf){0};
    for (int u = 0; u < s->fh; u++) {
        const float *x = block_row(t, p * s->sh - s->pt + u) + (q * s->sw - s->pl) * pixel;
        for (int v = v0; v < v1; v++) {
            UNROLL
            for (int k = 0; k < V; k++)
                acc[k] = fmadd(load(x + v * pixel + (n + k) * LANES),
                               load(taps_at(t, n + k) + (u * s->fw + v) * LINE), acc[k]);
        }
    }
    UNROLL
    for (int k = 0; k < V; k++)
        store(t->y + ((ptrdiff_t)p * s->ow + q) * pixel + (n + k) * LANES,
              t->activation.kind ? activate_lanes(acc[k], t->activation) : acc[k]);
}

static void sum_sides(const block_rows *t, int p, int q0, int q1)
{
    const cn_conv_problem *s = t->s;
    const int vectors = t->channels / LANES;
    for (int q = q0; q < q1; q++) {
        const int left = q * s->sw - s->pl;
        const int v0 = max(0, -left), v1 = min(s->fw, s->w - left);
        int n = 0;
        for (; n + SIDE_VECTORS <= vectors; n += SIDE_VECTORS)
            sum_side(SIDE_VECTORS, t, p, q, v0, v1, n);
        for (; n < vectors; n++) sum_side(1, t, p, q, v0, v1, n);
    }
}

/* Columns q0 .. q1 - 1, at least BLOCK, of one or two rows from p on. The last block may overlap
 * the one before it. */
typedef void deep_function(const block_rows *t, int p, int rows, int q0, int q1);

#define DEEP_BLOCKS(K, S)                                                                   \
    static void deep_blocks_##K##x##S(const block_rows *t, int p, int rows, int q0, int q1) \
    {                                                                                       \
        for (int q = q0; q < q1; q += BLOCK)                                                \
            if (rows == DEEP)                                                               \
                sum_deep_block(K, S, DEEP, t, p, min(q, q1 - BLOCK));                       \
            else                                                                            \
                sum_deep_block(K, S, 1, t, p, min(q, q1 - BLOCK));                          \
    }
DEEP_BLOCKS(3, 1)
DEEP_BLOCKS(3, 2)

static deep_function *deep_function_of(const cn_conv_problem *s)
{
    if (s->fh != 3 || s->fw != 3 || s->sh != s->sw || s->dilation_h > 1 || s->dilation_w > 1)
        return NULL;
    return s->sh == 1 ? deep_blocks_3x1 : s->sh == 2 ? deep_blocks_3x2 : NULL;
}

/* The outputs q0 <= q < q1 whose windows leave no row of x. */
INLINE void inner_columns(const cn_conv_problem *s, int *q0, int *q1)
{
    const int last = s->w + s->pl - s->fw;
    *q0 = div_ceil(s->pl, s->sw);
    *q1 = last >= 0 ? min(s->ow, last / s->sw + 1) : 0;
}

/* Divided into tasks: (image, band of rows, slice of channels). */
typedef struct blocks_job {
    block_rows rows; /* without the image and the slice */
    const float *x;
    float *y;
    int pairs, bands, slices; /* groups of DEEP rows, and bands, per image; slices per band */
} blocks_job;

static void blocks_task(void *argument, int task, int worker)
{
    const blocks_job *job = argument;
    const cn_conv_problem *s = job->rows.s;
    const int slice = task % job->slices, band = task / job->slices % job->bands;
    const int i = task / job->slices / job->bands, lines = div_ceil(s->c, LINE);
    const int first = slice * lines / job->slices * LINE;
    const int end = min(s->oh, (band + 1) * job->pairs / job->bands * DEEP);
    block_rows t = job->rows;
    int q0, q1;
    (void)worker;
    t.channels = min(s->c, (slice + 1) * lines / job->slices * LINE) - first;
    t.x = job->x + (ptrdiff_t)i * s->h * s->w * s->c + first;
    t.packed += (ptrdiff_t)first * s->fh * s->fw;
    if (t.bias) t.bias += first;
    t.y = job->y + (ptrdiff_t)i * s->oh * s->ow * s->c + first;
    inner_columns(s, &q0, &q1);
    for (int p = band * job->pairs / job->bands * DEEP; p < end; p += DEEP) {
        const int rows = min(DEEP, end - p);
        deep_function_of(s)(&t, p, rows, q0, q1);
        for (int o = p; o < p + rows; o++) {
            sum_sides(&t, o, 0, q0);
            sum_sides(&t, o, q1, s->ow);
        }
    }
}

/* ---- the method */

PLANNING bool blocks_support(const cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    const double floats = ((double)s->h * s->w + (double)s->oh * s->ow) * s->m * s->oc;
    int q0, q1;
    inner_columns(s, &q0, &q1);
    return is_depthwise(s) && deep_function_of(s) && s->oc % LANES == 0 && s->oc % CONFLICT != 0 &&
           floats <= CACHED_FLOATS && q1 - q0 >= BLOCK;
}

PLANNING void blocks_plan(cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    pass->packed = packed_taps(s);
    pass->scratch = (size_t)s->w * (size_t)s->c; /* a row of zeros */
}

static void blocks_forward(const cn_conv_pass *pass, const cn_conv_args *a)
{
    const cn_conv_problem *s = &pass->problem;
    const int threads = cn_pool_threads(a->pool), pairs = div_ceil(s->oh, DEEP);
    const int bands = partitions_of(a->m, pairs, threads);
    blocks_job job = {.rows = {.s = s,
                               .zeros = a->scratch,
                               .packed = a->w,
                               .bias = a->b,
                               .activation = a->activation},
                      .x = a->x,
                      .y = a->y,
                      .pairs = pairs,
                      .bands = bands,
                      .slices = partitions_of(a->m * bands, div_ceil(s->c, LINE), threads)};
    memset(a->scratch, 0, (size_t)s->w * (size_t)s->c * sizeof *a->scratch);
    cn_pool_run(a->pool, a->m * job.bands * job.slices, blocks_task, &job);
}

static const cn_conv_method blocks_method = {
    .name = "depthwise blocks",
    .supports = blocks_support,
    .plan = blocks_plan,
    .pack = rings_pack,
    .run = {[CN_CONV_FORWARD] = blocks_forward},
};

#endif

/*
 * direct_template.h - direct convolution on register tiles, forward.
 *
 *     y[i,p,q,k] = b[k] + sum_{u,v,j} x[i, p sh + u - pt, q sw + v - pl, j] w[u,v,j,k]
 *
 * One tile computes a few neighbors in a row of y, for one panel of channels: for each kernel row u
 * inside the image it multiplies runs of x, (v, j), by a panel of packed weights. Where rows are
 * too short to fill tiles, it computes the same pixel of several images (batch tiling). Backward
 * data is also such a correlation, of dy (phases_template.h).
 *
 * Letters are those of cn_conv_problem (base/geometry.h); bands, runs and groups of images those of
 * input_view_template.h; a panel is PANEL channels (tile_template.h).
 *
 * Parameter: LANES. Provides: correlation and how to divide it, correlate_task, partitions_of;
 * is_dense, note_tile; direct_forward_method.
 */
#ifndef CN_DIRECT_TEMPLATE_H
#define CN_DIRECT_TEMPLATE_H

#include "kernels/conv/input_view_template.h"
#include "kernels/conv/packing_template.h"

enum {
    RUN_PIXELS = 96, /* pixels of a 1 x 1 convolution at a time, */
    RUN_LEAST = 24,  /* and where one run is divided for the threads' sake */
    TASKS = 4,       /* per thread, where the problem has as many; */
    EVEN = 32,       /* up to this many, where that balances better by more than 1 / 32 */
};

/* The number of partitions that the `parts` equal parts of each of `blocks` work blocks are divided
 * into: enough for TASKS tasks per thread, or more where the slowest thread then has less to do (of
 * 9 tasks, one of two threads has 5). */
static int partitions_of(int blocks, int parts, int threads)
{
    const int wanted = threads > 1 ? TASKS * threads : 1, enough = EVEN * threads;
    int best = min(parts, div_ceil(wanted, blocks)), least = INT32_MAX;
    for (int n = best; n <= parts; n++) {
        const int most = div_ceil(blocks * n, threads) * div_ceil(parts, n);
        if (most < least - least / EVEN) best = n, least = most;
        if (blocks >= enough / n) break;
    }
    return best;
}

/* Whether one of the threads has much more to do than another, with this many tasks. */
static bool uneven(int tasks, int threads)
{
    return div_ceil(tasks, threads) * threads > tasks + tasks / EVEN;
}

typedef struct correlation {
    input_view g;
    const float *packed, *bias; /* folded, the bias repeats every `biases` channels */
    float *y;
    int biases;
    ptrdiff_t y_image, y_row, y_pixel; /* backward data writes every s-th pixel, */
    ptrdiff_t y_first;                 /* from this one on */
    int oc;
    bool add;
    cn_activation activation;
    bool batch_tiling;      /* as cn_conv_blocking says */
    int panels, partitions; /* of weights, and of the panels */
    float *scratch;
    size_t band;
} correlation;

/* Whether rows fill tiles badly, as 7 = 4 + 3 pixels do, and there are images to fill them instead.
 * Only small images: those of a tile are copied, or read, together. */
INLINE bool batch_tiling_pays(const input_view *g)
{
    return g->m >= TILE_ROWS_2 && g->oh * g->ow <= RUN_PIXELS &&
           3 * g->ow <= 2 * TILE_ROWS_2 * tiles_of(g->ow, TILE_ROWS_2);
}

PLANNING cn_conv_blocking correlation_blocking(const input_view *g, int oc)
{
    if (batch_tiling_pays(g)) {
        cn_conv_blocking b = block_view(g, BAND_FLOATS, 0, TILE_ROWS_2 * g->oh * g->ow);
        b.batch_tiling = true;
        return b;
    }
    /* A panel writes a part of each output pixel: a band's outputs stay in the cache, too. */
    return block_view(g, BAND_FLOATS, g->oh > 1 ? oc : 0, TILE_ROWS_1);
}

/* Divides the work into tasks: (group of images, band of rows, run of pixels, partition of the
 * panels). The number of threads only decides who computes an output, never how. */
static void divide_correlation(correlation *s, const cn_conv_blocking *planned, int threads)
{
    input_view *g = &s->g;
    const int wanted = threads > 1 ? TASKS * threads : 1, most = div_ceil(g->m, wanted);
    s->batch_tiling = planned->batch_tiling;
    divide_view(g, planned, s->batch_tiling ? max(most, TILE_ROWS_2) : most);
    s->panels = div_ceil(s->oc, PANEL);
    g->run = g->run < g->ow ? min(g->run, RUN_PIXELS) : g->run;
    if (g->run == g->ow && g->oh == 1 && uneven(g->groups * s->panels, threads))
        g->run = max(div_ceil(g->ow, threads), min(g->ow, RUN_LEAST));
    g->runs = div_ceil(g->ow, g->run);
    s->partitions = partitions_of(g->groups * g->bands * g->runs, s->panels, threads);
    s->band = band_floats(g);
}

/* One panel of weights, or several for a single pixel of a 1 x 1 convolution. `job` holds what its
 * tiles have in common: setting up such a struct takes as long as a few steps of a tile. */
typedef struct weights_panel {
    int vectors, count;
    const float *packed;
    tile job;
} weights_panel;

static weights_panel panel_of(const correlation *s, int column, int count, const float *bias)
{
    const input_view *g = &s->g;
    const int vectors = panel_vectors_at(s->oc, column), depth = g->fw * g->c;
    return (weights_panel){.vectors = vectors,
                           .count = count,
                           .packed = s->packed + (ptrdiff_t)g->fh * depth * column,
                           .job = {.N = 1,
                                   .K = depth,
                                   .at = g->row,
                                   .lda = (ptrdiff_t)g->sw * g->c,
                                   .bt = (ptrdiff_t)depth * vectors * LANES,
                                   .ldc = s->y_pixel,
                                   .columns = min(s->oc - column, count * PANEL),
                                   .bias = bias,
                                   .accumulate = s->add,
                                   .activation = s->activation,
                                   .pairs = g->pairs}};
}

/* Points the tiles at pixel q of output row p; y is the image's output from the panel on. */
INLINE void seek(const correlation *s, weights_panel *w, const float *rows, int p, int q, float *y)
{
    const input_view *g = &s->g;
    const int top = p * g->sh - g->pt;
    const int u0 = min(g->fh, max(0, -top)), u1 = max(u0, min(g->fh, g->h - top));
    w->job.a = rows + (top + u0) * g->row + (ptrdiff_t)q * g->sw * g->c;
    w->job.b = w->packed + u0 * w->job.bt;
    w->job.c = y + p * s->y_row + q * s->y_pixel;
    w->job.T = u1 - u0;
}

/* Output rows p0 <= p < p1, pixels q0 <= q < q1. */
static void correlate_rows(const correlation *s, weights_panel *w, const float *rows, int p0,
                           int p1, int q0, int q1, float *y)
{
    /* The next row overwrites what a row writes past its end, where it follows it directly. */
    const ptrdiff_t spare = s->y_row == (ptrdiff_t)s->g.ow * s->oc ? s->y_row : 0;
    for (int p = p0; p < p1; p++) {
        seek(s, w, rows, p, q0, y);
        w->job.spare = p + 1 < p1 ? spare : 0;
        if (w->count > 1)
            run_row(&w->job, (ptrdiff_t)w->job.K * PANEL);
        else
            run_rows(&w->job, false, q1 - q0, w->vectors);
    }
}

/* n whole images that lie `image` floats apart. */
static void correlate_batch(const correlation *s, weights_panel *w, const float *rows, int n,
                            ptrdiff_t image, float *y)
{
    w->job.lda = image;
    w->job.ldc = s->y_image;
    for (int p = 0; p < s->g.oh; p++)
        for (int q = 0; q < s->g.ow; q++) {
            seek(s, w, rows, p, q, y);
            run_rows(&w->job, false, n, w->vectors);
        }
}

/* The bias of n channels from `column` on, in whole vectors: in place, or copied to `room`. */
INLINE const float *panel_bias(const correlation *s, int column, int n, float *room)
{
    if (!s->bias || (s->biases == s->oc && column + n <= s->oc))
        return s->bias ? s->bias + column : NULL;
    for (int j = 0, k = column % s->biases; j < n; j++, k = k + 1 < s->biases ? k + 1 : 0)
        room[j] = s->bias[k];
    return room;
}

static void correlate_task(void *argument, int task, int worker)
{
    const correlation *s = argument;
    const input_view *g = &s->g;
    const int partition = task % s->partitions, run = task / s->partitions % g->runs;
    const int band = task / s->partitions / g->runs % g->bands;
    const int group = task / s->partitions / g->runs / g->bands;
    const int p0 = band * g->band_rows, p1 = min(g->oh, p0 + g->band_rows);
    const int i0 = group * g->group, i1 = min(g->m, i0 + g->group);
    const int q0 = run * g->run, q1 = min(g->ow, q0 + g->run);
    ptrdiff_t image = 0;
    float *copy = s->scratch + (size_t)worker * s->band;
    const float *rows =
        g->gather ? gathered_pixels(g, q0, q1, copy) : padded_rows(g, i0, i1, p0, p1, copy, &image);
    const int panel0 = partition * s->panels / s->partitions;
    const int panel1 = (partition + 1) * s->panels / s->partitions;
    const int end = min(s->oc, panel1 * PANEL);
    const int most =
        !s->batch_tiling && q1 - q0 == 1 && g->fh == 1 && rows_in_panels(g->pairs) ? ROW_PANELS : 1;
    for (int column = panel0 * PANEL, count; column < end; column += count * PANEL) {
        float room[ROW_PANELS * PANEL];
        count = min(most, div_ceil(end - column, PANEL));
        weights_panel w = panel_of(s, column, count, panel_bias(s, column, count * PANEL, room));
        float *y = s->y + i0 * s->y_image + column;
        prefetch_panel(&w.job, w.packed + g->fh * w.job.bt,
                       s->batch_tiling ? g->oh * g->ow : (i1 - i0) * (p1 - p0),
                       s->batch_tiling ? i1 - i0 : q1 - q0, w.vectors);
        if (s->batch_tiling) correlate_batch(s, &w, rows, i1 - i0, image, y);
        for (int i = i0; i < i1 && !s->batch_tiling; i++, y += s->y_image)
            correlate_rows(s, &w, rows + (i - i0) * image, p0, p1, q0, q1, y);
    }
}

/* How many tasks a divided correlation has. */
INLINE int correlation_tasks(const correlation *s)
{
    return s->g.groups * s->g.bands * s->g.runs * s->partitions;
}

/* ---- the method */

/* The problem with pairs of channels as channels, and with neighbors in a row of y folded. */
static cn_conv_problem direct_problem(const cn_conv_pass *pass, int m)
{
    cn_conv_problem s = pass->problem;
    s.m = m;
    if (pass->pairs) s.c = pairs_of(s.c);
    return folded(&s, pass->as.direct.fold).s;
}

static correlation forward_correlation(const cn_conv_pass *pass, int m)
{
    const cn_conv_problem f = direct_problem(pass, m);
    return (correlation){.g = view_of(&f, pass->pairs ? pass->problem.c : 0, true),
                         .oc = f.oc,
                         .biases = pass->problem.oc,
                         .y_pixel = f.oc,
                         .y_row = (ptrdiff_t)f.ow * f.oc,
                         .y_image = (ptrdiff_t)f.oh * f.ow * f.oc};
}

static bool is_dense(const cn_conv_problem *s)
{
    return s->groups == 1 && s->dilation_h == 1 && s->dilation_w == 1;
}

PLANNING bool direct_supports(const cn_conv_pass *pass)
{
    return is_dense(&pass->problem);
}

/* For the description of the plan: the rows and vectors of tiles for this many columns. */
PLANNING void note_tile(cn_conv_pass *pass, int columns)
{
    pass->tile[1] = columns > LANES ? 2 : 1;
    pass->tile[0] = panel_rows(pass->tile[1], pass->pairs);
}

PLANNING void direct_plan(cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    pass->pairs = pass->options.bf16 && p->c > 1; /* one channel would fill half of a pair */
    pass->as.direct.fold = choose_fold(p);
    const cn_conv_problem f = direct_problem(pass, p->m);
    correlation s = forward_correlation(pass, p->m);
    pass->as.direct.blocking = correlation_blocking(&s.g, s.oc);
    divide_correlation(&s, &pass->as.direct.blocking, pass->options.threads);
    pass->packed = direct_packed(&f) + (pass->pairs ? paired_weights(p->fh, p->fw, f.c, p->oc) : 0);
    pass->scratch = s.band * (size_t)pass->options.threads;
    note_tile(pass, f.oc);
}

static void direct_pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    cn_conv_problem s = pass->problem;
    const cn_conv_problem f = direct_problem(pass, s.m);
    if (pass->pairs) {
        float *pairs = packed + direct_packed(&f);
        pair_channels(&s, w, pairs, threads_for(paired_weights(s.fh, s.fw, f.c, s.oc), pool));
        w = pairs;
        s.c = f.c;
    }
    pack_folded(&s, pass->as.direct.fold, w, packed, pool);
}

static void direct_forward(const cn_conv_pass *pass, const cn_conv_args *a)
{
    correlation f = forward_correlation(pass, a->m);
    f.g.x = a->x;
    f.y = a->y;
    f.packed = a->w;
    f.bias = a->b;
    f.add = a->add;
    f.activation = a->activation;
    f.scratch = a->scratch;
    divide_correlation(&f, &pass->as.direct.blocking, cn_pool_threads(a->pool));
    cn_pool_run(a->pool, correlation_tasks(&f), correlate_task, &f);
}

static const cn_conv_method direct_forward_method = {
    .name = "direct",
    .supports = direct_supports,
    .plan = direct_plan,
    .pack = direct_pack,
    .run = {[CN_CONV_FORWARD] = direct_forward},
};

#endif

/*
 * direct_weights_template.h - backward weights on register tiles.
 *
 *     dw[u,v,j,k] = sum_{i,p,q} x[i, p sh + u - pt, q sw + v - pl, j] dy[i,p,q,k]
 *     db[k]       = sum_{i,p,q} dy[i,p,q,k]
 *
 * A tile holds a few rows (v, j) of one kernel row u of dw and one panel of channels k, and sums
 * over pixels: x is read transposed, dy a panel at a time. Threads divide dw, not the pixels, so
 * the order of a sum never depends on them.
 *
 * Parameter: LANES. Provides: direct_weights_method.
 */
#ifndef CN_DIRECT_WEIGHTS_TEMPLATE_H
#define CN_DIRECT_WEIGHTS_TEMPLATE_H

#include "kernels/conv/bias_template.h"
#include "kernels/conv/direct_template.h"

enum {
    GRADIENT_PIXELS = 96, /* the fewest that a tile sums over, since it also reads and writes dw */
    COPIED_PIXELS = 256,  /* the same where x is copied for the tiles */
    COPIED_TOGETHER = 8,  /* pixels copied at a time: their cache lines stay in the cache */
};

typedef struct weights_gradient {
    input_view g;
    const float *dy;
    float *dw, *db;
    int oc, biases;
    int panels, tiles; /* of dw's columns, and of the fw c rows of one kernel row */
    int partitions;    /* that dw is divided into */
    float *scratch;
    bool copies_dy, copies_x; /* dy is copied for the panels; x for the tiles, too */
    bool pairs;               /* of neighboring pixels of a row, in both copies */
    int chunk;                /* tiles of rows copied at a time */
    size_t band, tile,
        panel;     /* floats per thread: rows of x, a tile's copy, a panel's copy of dy */
    size_t worker; /* and in all */
} weights_gradient;

/*
 * A step of the sums: output rows p0 <= p < p1 and columns q0 <= q < q1 of images i0 <= i < i1, for
 * the entries e0 <= e < e1 of dw. An entry is (panel, kernel row u, tile of rows).
 */
typedef struct work_block {
    int i0, i1, p0, p1, q0, q1;
    int e0, e1;
    const float *rows; /* see padded_rows */
    ptrdiff_t image;
    float *tiles_of_x, *panels; /* copies, pixels in the order (p, i, q) */
    const float *dy;            /* at (i0, p0, q0), in place or the first of the panels */
    ptrdiff_t dy_row, dy_image; /* in pixels, or pairs of them */
} work_block;

/* Copies pixels of one panel of dy one after the other; sums[j] += their sum. */
INLINE void copy_pixels(const int NV, int pixels, const float *from, int oc, float *copy, vf *sums)
{
    for (int q = 0; q < pixels; q++, from += oc, copy += NV * LANES) {
        UNROLL
        for (int j = 0; j < NV; j++) {
            const vf v = load(from + j * LANES);
            store(copy + j * LANES, v);
            sums[j] += v;
        }
        prefetch(from + COPIED_TOGETHER * (ptrdiff_t)oc);
    }
}

/* The same as pairs of pixels, the last of an odd number with zeros. */
INLINE void pair_neighbors(const int NV, int pixels, const float *from, int oc, float *copy,
                           vf *sums)
{
    for (int q = 0; q < pixels; q += 2, from += 2 * (ptrdiff_t)oc, copy += NV * LANES) {
        UNROLL
        for (int j = 0; j < NV; j++) {
            const vf v = load(from + j * LANES);
            const vf next = q + 1 < pixels ? load(from + oc + j * LANES) : (vf){0};
            store(copy + j * LANES, pair_lanes(v, next));
            sums[j] += v;
            sums[j] += next;
        }
        prefetch(from + COPIED_TOGETHER * (ptrdiff_t)oc);
        prefetch(from + (COPIED_TOGETHER + 1) * (ptrdiff_t)oc);
    }
}

/* Copies pixels of a panel, as floats or as pairs. */
INLINE void copy_panel(const weights_gradient *s, int vectors, int pixels, const float *from,
                       float *copy, vf *sums)
{
    if (vectors == 2 && s->pairs)
        pair_neighbors(2, pixels, from, s->oc, copy, sums);
    else if (s->pairs)
        pair_neighbors(1, pixels, from, s->oc, copy, sums);
    else if (vectors == 2)
        copy_pixels(2, pixels, from, s->oc, copy, sums);
    else
        copy_pixels(1, pixels, from, s->oc, copy, sums);
}

/* Whether db is summed while panels are copied: not where their columns are folded channels. */
INLINE bool copies_sum_db(const weights_gradient *s)
{
    return s->copies_dy && s->biases == s->oc;
}

/*
 * Copies the columns of dy that the entries read, panel by panel: pixels that lie a power of two
 * apart would compete for a few sets of the first-level cache. The copy reads every number, and so
 * it sums db, too: the task that has a panel's first entry adds it.
 */
static void copy_panels(const weights_gradient *s, work_block *z)
{
    const input_view *g = &s->g;
    const int per_panel = g->fh * s->tiles, together = s->pairs ? 2 : 1;
    const bool sum_db = s->db && copies_sum_db(s);
    ptrdiff_t done = 0;
    z->dy = s->dy + (((ptrdiff_t)z->i0 * g->oh + z->p0) * g->ow + z->q0) * s->oc;
    z->dy_row = g->ow;
    z->dy_image = (ptrdiff_t)g->oh * g->ow;
    if (!s->copies_dy) return;
    z->dy = z->panels;
    z->dy_image = div_ceil(z->q1 - z->q0, together);
    z->dy_row = (z->i1 - z->i0) * z->dy_image;
    for (int p = z->p0; p < z->p1; p++)
        for (int i = z->i0; i < z->i1; i++)
            for (int q = z->q0; q < z->q1; q += COPIED_TOGETHER) {
                const int pixels = min(COPIED_TOGETHER, z->q1 - q);
                const float *from = s->dy + (((ptrdiff_t)i * g->oh + p) * g->ow + q) * s->oc;
                float *to = z->panels;
                for (int panel = z->e0 / per_panel; panel * per_panel < z->e1; panel++) {
                    const int column = panel * PANEL, vectors = panel_vectors_at(s->oc, column);
                    vf sums[2] = {{0}, {0}};
                    copy_panel(s, vectors, pixels, from + column, to + done * vectors * LANES,
                               sums);
                    to += s->panel;
                    if (!sum_db || panel * per_panel < z->e0) continue;
                    for (int j = 0; j < min(PANEL, s->oc - column); j++)
                        s->db[column + j] += sums[j / LANES][j % LANES];
                }
                done += div_ceil(pixels, together);
            }
}

/* Rows first <= row < first + rows of dw: tile `part` of `count` nearly equal ones. */
INLINE int tile_of(int depth, int part, int count, int *first)
{
    const int n = depth / count, more = depth % count;
    *first = part * n + min(part, more);
    return n + (part < more);
}

/* The output rows low <= p < high of a work block for which kernel row u lies inside the image:
 * 0 <= p sh + u - pt < h. */
INLINE void rows_seen(const input_view *g, const work_block *z, int u, int *low, int *high)
{
    const int last = g->h - 1 + g->pt - u;
    *low = max(z->p0, g->pt > u ? div_ceil(g->pt - u, g->sh) : 0);
    *high = min(z->p1, last < 0 ? 0 : last / g->sh + 1);
}

/* Copies n <= TILE_ROWS_2 neighbors of every pixel, in whole vectors: the next pixel overwrites the
 * excess. */
INLINE void copy_rows(int n, int pixels, const float *from, ptrdiff_t step, float *copy)
{
    for (int q = 0; q < pixels; q++, from += step, copy += n) {
        for (int j = 0; j < TILE_ROWS_2; j += LANES) store(copy + j, load(from + j));
        prefetch(from + COPIED_TOGETHER * step);
    }
}

/* The same as pairs of pixels. */
INLINE void pair_copied_rows(int n, int pixels, const float *from, ptrdiff_t step, float *copy)
{
    for (int q = 0; q < pixels; q += 2, from += 2 * step, copy += n) {
        for (int j = 0; j < TILE_ROWS_2; j += LANES)
            store(copy + j,
                  pair_lanes(load(from + j), q + 1 < pixels ? load(from + step + j) : (vf){0}));
        prefetch(from + COPIED_TOGETHER * step);
        prefetch(from + (COPIED_TOGETHER + 1) * step);
    }
}

/*
 * Copies what tiles part0 <= part < part1 of kernel row u read of x, tile by tile: a tile reads a
 * few of a pixel's many channels, and pixels a power of two apart would compete for a few sets of
 * the cache.
 */
static void copy_tiles(const weights_gradient *s, const work_block *z, int u, int part0, int part1)
{
    const input_view *g = &s->g;
    const int few = g->fw * g->c / s->tiles, more = g->fw * g->c % s->tiles; /* as in tile_of */
    const ptrdiff_t step = (ptrdiff_t)g->sw * g->c, first = part0 * few + min(part0, more);
    ptrdiff_t done = 0;
    int low, high;
    rows_seen(g, z, u, &low, &high);
    for (int p = low; p < high; p++)
        for (int i = z->i0; i < z->i1; i++)
            for (int q = z->q0; q < z->q1; q += COPIED_TOGETHER) {
                const int pixels = min(COPIED_TOGETHER, z->q1 - q);
                const float *from = z->rows + (i - z->i0) * z->image +
                                    (p * g->sh + u - g->pt) * g->row + q * step + first;
                float *to = z->tiles_of_x;
                for (int part = part0; part < part1; part++, to += s->tile) {
                    const int n = few + (part < more);
                    if (s->pairs)
                        pair_copied_rows(n, pixels, from, step, to + done * n);
                    else
                        copy_rows(n, pixels, from, step, to + done * n);
                    from += n;
                }
                done += div_ceil(pixels, s->pairs ? 2 : 1);
            }
}

/* Adds a work block's sum to one entry of dw. `copy`: what its tile reads of x, if that is copied.
 */
static void add_gradient(const weights_gradient *s, const work_block *z, int entry,
                         const float *copy)
{
    const input_view *g = &s->g;
    const int part = entry % s->tiles, u = entry / s->tiles % g->fh;
    const int depth = g->fw * g->c, panel = entry / s->tiles / g->fh, column = panel * PANEL;
    const int vectors = panel_vectors_at(s->oc, column);
    const ptrdiff_t width = s->copies_dy ? vectors * LANES : s->oc;
    const int count = s->copies_x ? s->tiles : tiles_of(depth, panel_rows(vectors, s->pairs));
    int low, high, row;
    rows_seen(g, z, u, &low, &high);
    if (part >= count || low >= high) return;
    const int n = tile_of(depth, part, count, &row);
    tile job = {.a = z->rows + (low * g->sh + u - g->pt) * g->row +
                     (ptrdiff_t)z->q0 * g->sw * g->c + row,
                .b = z->dy + (panel - z->e0 / s->tiles / g->fh) * (ptrdiff_t)s->panel +
                     (low - z->p0) * z->dy_row * width,
                .c = s->dw + ((ptrdiff_t)u * depth + row) * s->oc + column,
                .N = z->i1 - z->i0,
                .T = high - low,
                .K = z->q1 - z->q0,
                .an = z->image,
                .at = g->sh * g->row,
                .lda = (ptrdiff_t)g->sw * g->c,
                .bn = z->dy_image * width,
                .bt = z->dy_row * width,
                .ldb = width,
                .ldc = s->oc,
                .columns = min(s->oc - column, vectors * LANES),
                .accumulate = true,
                .pairs = s->pairs};
    if (s->copies_x) {
        job.a = copy;
        job.lda = n;
        job.K = (int)z->dy_row * job.T;
        job.N = job.T = 1;
    }
    tiles[s->pairs][1][vectors - 1][n - 1](&job, 1);
}

/* The entries of tiles part0 <= part < part1 of kernel row u. */
static void add_chunk(const weights_gradient *s, const work_block *z, int u, int part0, int part1)
{
    const int per_panel = s->g.fh * s->tiles, before = u * s->tiles;
    bool taken = !s->copies_x;
    for (int panel = z->e0 / per_panel; panel * per_panel < z->e1; panel++) {
        const int first = panel * per_panel + before + part0;
        const int low = max(z->e0, first), high = min(z->e1, first + part1 - part0);
        if (low < high && !taken) copy_tiles(s, z, u, part0, part1);
        taken |= low < high;
        for (int e = low; e < high; e++)
            add_gradient(s, z, e, z->tiles_of_x + (size_t)(e - first) * s->tile);
    }
}

/* A partition of dw's entries, over all images: which thread computes an entry does not change its
 * sum. The first task is db, where copying panels does not sum it. */
static void gradient_task(void *argument, int task, int worker)
{
    const weights_gradient *s = argument;
    const input_view *g = &s->g;
    if (task == 0) {
        const size_t floats = (size_t)g->m * (size_t)g->oh * (size_t)g->ow * (size_t)s->oc;
        if (s->db && !copies_sum_db(s))
            add_columns(floats / (size_t)s->biases, s->biases, s->dy, s->db);
        return;
    }
    const int64_t entries = (int64_t)s->panels * g->fh * s->tiles, partition = task - 1;
    float *band = s->scratch + (size_t)worker * s->worker, *tiles_of_x = band + s->band;
    work_block z = {.e0 = (int)(partition * entries / s->partitions),
                    .e1 = (int)((partition + 1) * entries / s->partitions),
                    .tiles_of_x = tiles_of_x,
                    .panels = tiles_of_x + s->tile * (size_t)s->chunk};
    if (z.e0 == z.e1) return;
    for (int part = 0; part < g->groups * g->bands * g->runs; part++) {
        z.i0 = part / g->runs / g->bands * g->group;
        z.p0 = part / g->runs % g->bands * g->band_rows;
        z.q0 = part % g->runs * g->run;
        z.i1 = min(g->m, z.i0 + g->group);
        z.p1 = min(g->oh, z.p0 + g->band_rows);
        z.q1 = min(g->ow, z.q0 + g->run);
        z.rows = padded_rows(g, z.i0, z.i1, z.p0, z.p1, band, &z.image);
        copy_panels(s, &z);
        for (int u = 0; u < g->fh; u++)
            for (int part0 = 0; part0 < s->tiles; part0 += s->chunk)
                add_chunk(s, &z, u, part0, min(s->tiles, part0 + s->chunk));
    }
}

/* dw[u,v,j,k] += sum_e dw'[u, v + e sw, j, (e, k)], the gradient of fold's w'. */
static void unfold(const cn_conv_problem *s, const fold *f, const float *wide, float *dw)
{
    const int oc = s->oc, rows = f->s.fw * s->c;
    for (int u = 0; u < s->fh; u++)
        for (int e = 0; e < f->g; e++)
            for (int r = 0; r < s->fw * s->c; r++) {
                const float *from = wide + ((ptrdiff_t)u * rows + r + e * s->sw * s->c) * f->s.oc;
                float *to = dw + ((ptrdiff_t)u * s->fw * s->c + r) * oc;
                for (int k = 0; k < oc; k++) to[k] += from[e * oc + k];
            }
}

/* ---- the method */

static cn_conv_problem weights_problem(const cn_conv_pass *pass, int m)
{
    cn_conv_problem s = pass->problem;
    s.m = m;
    return folded(&s, pass->as.weights.fold).s;
}

/* Floats of the gradient of folded weights, which is then unfolded; 0 where they are not folded. */
static size_t folded_floats(const cn_conv_pass *pass, const cn_conv_problem *f)
{
    if (pass->as.weights.fold == 1) return 0;
    return (size_t)f->fh * (size_t)f->fw * (size_t)f->c * (size_t)f->oc;
}

static weights_gradient gradient_of(const cn_conv_pass *pass, const cn_conv_problem *f)
{
    weights_gradient s = {.g = view_of(f, 0, f->sh == 1),
                          .oc = f->oc,
                          .biases = pass->problem.oc,
                          .partitions = pass->options.threads,
                          .copies_dy = pass->as.weights.copies_dy,
                          .copies_x = pass->as.weights.copies_x,
                          .pairs = pass->pairs,
                          .chunk = pass->as.weights.chunk,
                          .band = pass->as.weights.band,
                          .tile = pass->as.weights.tile,
                          .panel = pass->as.weights.panel,
                          .worker = pass->as.weights.worker};
    s.panels = div_ceil(f->oc, PANEL);
    s.tiles = tiles_of(f->fw * f->c, panel_rows(f->oc > LANES ? 2 : 1, s.pairs));
    return s;
}

PLANNING void weights_plan(cn_conv_pass *pass)
{
    pass->as.weights.fold = choose_fold(&pass->problem);
    const cn_conv_problem f = weights_problem(pass, pass->problem.m);
    /* Pairs need both copies; with one vector of channels these take longer than the products. */
    pass->pairs = pass->options.bf16 && f.oc > LANES;
    const bool copies_dy = pass->pairs || f.oc > PANEL;
    /* A copied number is used once per panel; overlapping windows copy it several times. */
    const bool copies_x =
        pass->pairs || (copies_dy && f.sw * f.c > PANEL && (f.fw == 1 || f.oc >= 8 * PANEL));
    pass->as.weights.copies_dy = copies_dy;
    pass->as.weights.copies_x = copies_x;
    weights_gradient s = gradient_of(pass, &f);
    input_view *g = &s.g;
    pass->as.weights.blocking =
        block_view(g, BAND_FLOATS, f.oc, copies_x ? COPIED_PIXELS : GRADIENT_PIXELS);
    divide_view(g, &pass->as.weights.blocking, g->m);
    const size_t pixels = (size_t)g->most_group * (size_t)g->band_rows * (size_t)g->most_run;
    size_t worker = band_floats(g);
    pass->as.weights.band = worker;
    pass->as.weights.chunk = s.tiles;
    if (copies_dy) {
        pass->as.weights.panel = pixels * PANEL;
        /* A partition may begin and end inside a panel. */
        worker += pixels * PANEL * (size_t)min(s.panels, s.panels / pass->options.threads + 2);
    }
    if (copies_x) {
        const size_t one = pixels * TILE_ROWS_2 + LANES;
        const size_t all = one * (size_t)s.tiles, some = BAND_FLOATS + one;
        pass->as.weights.tile = one;
        pass->as.weights.chunk = min(s.tiles, (int)(BAND_FLOATS / one) + 1);
        worker += all < some ? all : some; /* chunks limit the memory */
    }
    pass->as.weights.worker = worker;
    pass->scratch = worker * (size_t)pass->options.threads + folded_floats(pass, &f);
    note_tile(pass, f.oc);
}

static void direct_backward_weights(const cn_conv_pass *pass, const cn_conv_args *a)
{
    cn_conv_problem s = pass->problem;
    s.m = a->m;
    const fold wide = folded(&s, pass->as.weights.fold);
    const size_t floats = folded_floats(pass, &wide.s);
    weights_gradient f = gradient_of(pass, &wide.s);
    divide_view(&f.g, &pass->as.weights.blocking, f.g.m);
    f.g.x = a->x;
    f.dy = a->dy;
    f.dw = floats ? a->scratch : a->dw;
    f.db = a->db;
    f.scratch = a->scratch + floats;
    memset(a->scratch, 0, floats * sizeof *a->scratch);
    cn_pool_run(a->pool, 1 + f.partitions, gradient_task, &f);
    if (floats) unfold(&s, &wide, a->scratch, a->dw);
}

static const cn_conv_method direct_weights_method = {
    .name = "direct",
    .supports = direct_supports,
    .plan = weights_plan,
    .run = {[CN_CONV_BACKWARD_WEIGHTS] = direct_backward_weights},
};

#endif

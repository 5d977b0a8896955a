/*
 * winograd_template.h - 3 x 3 convolutions of stride 1 with a quarter of the multiplications.
 *
 * Winograd's F(4x4, 3x3) computes four outputs of a 3-tap filter as a product of polynomials, from
 * their values at six points. With d a 6 x 6 tile of x, g a filter and Y a 4 x 4 tile of y:
 *
 *     Y  = A' [(G g G') * (B' d B)] A                       36 products for 16 outputs
 *     dg = G' [sum over tiles of (B' d B) * (A dY A')] G    backward weights
 *
 * where * is element by element and ' transposes: summed over channels, each of the 36 elements
 * (planes) is a matrix product. Backward data is forward of dy with flipped, transposed filters.
 * docs/kernels.md derives the matrices; winograd_transforms_template.h has them.
 *
 * F(2x2, 3x3) has 4 x 4 tiles and 16 products for 4 outputs, but fewer filter elements. It is for
 * one small image, where reading filters takes longer than multiplying.
 *
 * Parameter: LANES. Provides: winograd_4x4_method, winograd_2x2_method.
 */
#ifndef CN_WINOGRAD_TEMPLATE_H
#define CN_WINOGRAD_TEMPLATE_H

#include "kernels/conv/bias_template.h"
#include "kernels/conv/direct_template.h"
#include "kernels/winograd/winograd_transforms_template.h"

enum {
    PLANES = 36, /* of tiles with 4 x 4 outputs; smaller tiles have fewer */
    TILE_BYTES =
        512 * 1024,   /* of transformed tiles at a time, in and out: the second-level cache */
    TILES_LEAST = 24, /* per block: as often a transformed weight is used when it is read */
    FILTERS_PER_TILE = 4096,     /* with many filters, one tile per this many of a plane, */
    TILES_MOST = 128,            /* up to this many tiles */
    CACHED_FILTERS = 128 * 1024, /* filters whose 36 planes stay in the last-level cache */
    TILES_PER_TASK = 4,          /* of a transform, where all threads work on one block */
    WINOGRAD_CHANNELS = 16,      /* fewer channels do not pay for the transforms */
};

/* ---- the work */

/* A correlation with 3 x 3 windows: forward, or backward data with dy as x. */
typedef struct winograd {
    const float *x, *u, *bias; /* u: transformed filters, a packed matrix a plane */
    float *y;
    int m, h, w, c, pt, pl, oh, ow, oc;
    int side, planes;              /* a tile has side x side outputs, (side + 2)^2 planes */
    int tiles_w, tiles_h, count;   /* tiles per row and column of an image; of all images */
    int block, most;               /* tiles of a block; the most that were planned for */
    ptrdiff_t pitch_in, pitch_out; /* floats from one transformed tile to the next */
    bool add;
    cn_activation activation;
    float *scratch;
} winograd;

/* A work block. */
typedef struct block {
    const winograd *f;
    float *v, *m; /* tiles in, [planes][block][c], and out, [planes][block][oc] */
    int first, n; /* its tiles */
} block;

/* Plans the most tiles of a block. Each block reads all filters: where they are many, larger blocks
 * pay, although their tiles exceed the second-level cache. */
PLANNING int tiles_at_a_time(const cn_conv_problem *s, int side)
{
    const int planes = (side + 2) * (side + 2);
    const int fits = TILE_BYTES / (int)sizeof(float) / planes / (s->c + s->oc);
    const int64_t filters = (int64_t)s->c * s->oc / FILTERS_PER_TILE;
    const int balanced = filters < TILES_MOST ? (int)filters : TILES_MOST;
    return max(TILES_LEAST, max(fits, balanced));
}

static winograd winograd_of(const cn_conv_problem *s, int side, int most)
{
    winograd f = {.m = s->m,
                  .h = s->h,
                  .w = s->w,
                  .c = s->c,
                  .pt = s->pt,
                  .pl = s->pl,
                  .oh = s->oh,
                  .ow = s->ow,
                  .oc = s->oc,
                  .side = side,
                  .planes = (side + 2) * (side + 2)};
    f.tiles_w = div_ceil(s->ow, side);
    f.tiles_h = div_ceil(s->oh, side);
    f.count = s->m * f.tiles_h * f.tiles_w;
    f.most = min(f.count, most);
    f.block = div_ceil(f.count, div_ceil(f.count, f.most));
    f.pitch_in = s->c;
    f.pitch_out = s->oc;
    return f;
}

/* The problem of backward data: x is dy, and the padding is 2 minus forward's. */
static cn_conv_problem flipped_problem(const cn_conv_problem *s)
{
    cn_conv_problem f = *s;
    f.h = s->oh;
    f.w = s->ow;
    f.c = s->oc;
    f.oh = s->h;
    f.ow = s->w;
    f.oc = s->c;
    f.pt = 2 - s->pt;
    f.pl = 2 - s->pl;
    return f;
}

/*
 * The side of the tiles, or 0 where the direct sum is faster. The direct sum has 9 products per
 * output and reads 9 filter elements. Tiles have and read 36 or 16; their transforms cost an eighth
 * or a quarter of the products more, and reading an element costs as much as 13 products from
 * memory, or 4 from the last-level cache.
 */
PLANNING int winograd_side(const cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    if (pass->options.no_winograd || !is_dense(s)) return 0;
    if (s->fh != 3 || s->fw != 3 || s->sh != 1 || s->sw != 1) return 0;
    if (s->c < WINOGRAD_CHANNELS || s->oc < WINOGRAD_CHANNELS) return 0;
    if (s->c % LANES != 0 || s->oc % LANES != 0) return 0;
    const double m = s->m;
    const double fours = m * div_ceil(s->oh, 4) * div_ceil(s->ow, 4);
    const double twos = m * div_ceil(s->oh, 2) * div_ceil(s->ow, 2);
    const int read = (int64_t)s->c * s->oc > CACHED_FILTERS ? 13 : 4;
    const double by_fours = 41 * fours + 36 * read, by_twos = 20 * twos + 16 * read;
    if (fmin(by_fours, by_twos) >= 9 * (m * s->oh * s->ow + read) || twos >= 1 << 30) return 0;
    return by_fours <= by_twos ? 4 : 2;
}

/* n floats, rounded up to an odd number of cache lines, so that arrays at this distance do not
 * compete for a few sets of the cache. */
INLINE ptrdiff_t spaced(size_t n)
{
    return (ptrdiff_t)((n + 15) / 16 | 1) * 16;
}

/* Floats of a plane: of input tiles, [block][c]; of output tiles, [block][oc]; of filters; and of
 * the sums that are their gradients. */
INLINE ptrdiff_t plane_in(const winograd *f)
{
    return spaced((size_t)f->block * (size_t)f->pitch_in);
}

INLINE ptrdiff_t plane_out(const winograd *f)
{
    return spaced((size_t)f->block * (size_t)f->pitch_out);
}

INLINE ptrdiff_t plane_filters(const winograd *f)
{
    return spaced(packed_floats(f->c, f->oc));
}

INLINE ptrdiff_t plane_sums(const winograd *f)
{
    return spaced((size_t)f->c * (size_t)f->oc);
}

static size_t filters_floats(const winograd *f)
{
    return (size_t)f->planes * (size_t)plane_filters(f);
}

static size_t block_floats(const winograd *f)
{
    const size_t most = (size_t)f->most;
    return (size_t)f->planes *
           (size_t)(spaced(most * (size_t)f->pitch_in) + spaced(most * (size_t)f->pitch_out));
}

/* Backward data's filters for LANES channels j and LANES channels k: those of w, [3][3][oc][c],
 * rotated by 180 degrees and transposed. */
static void rotated_filters(const winograd *f, const float *w, int j, int k, vf g[LANES][9])
{
    for (int t = 0; t < 9; t++) {
        vf square[LANES];
        transpose(w + ((ptrdiff_t)(8 - t) * f->oc + k) * f->c + j, f->c, square);
        UNROLL
        for (int i = 0; i < LANES; i++) g[i][t] = square[i];
    }
}

/* The transformed filters of a correlation, made from w; with `flip`, those of backward data. */
typedef struct filter_packing {
    const winograd *f;
    const float *w;
    float *u; /* planes of c x oc, each as packed panels of columns */
    bool flip;
} filter_packing;

static void filters_task(void *argument, int task, int worker)
{
    const filter_packing *z = argument;
    const winograd *f = z->f;
    const ptrdiff_t plane = plane_filters(f), tap = (ptrdiff_t)f->c * f->oc;
    const int k = task * LANES, column = k / PANEL * PANEL;
    const int width = panel_vectors_at(f->oc, column) * LANES;
    float *to = z->u + (ptrdiff_t)f->c * column + (k - column);
    vf g[LANES][9];
    (void)worker;
    for (int j = 0; j < f->c; j++, to += width) {
        const int i = z->flip ? j % LANES : 0;
        if (!z->flip) {
            UNROLL
            for (int t = 0; t < 9; t++) g[0][t] = load(z->w + t * tap + (ptrdiff_t)j * f->oc + k);
        } else if (i == 0) {
            rotated_filters(f, z->w, j, k, g);
        }
        vf planes[PLANES];
        if (f->side == 4)
            transform(filter_line, 3, 6, g[i], planes);
        else
            transform(filter_line_2, 3, 4, g[i], planes);
        for (int p = 0; p < f->planes; p++) store(to + p * plane, planes[p]);
    }
}

static void transform_filters(const winograd *f, const float *w, bool flip, float *u, cn_pool *pool)
{
    filter_packing z = {.f = f, .w = w, .u = u, .flip = flip};
    cn_pool_run(threads_for(filters_floats(f), pool), f->oc / LANES, filters_task, &z);
}

/* The image, and the first output row and column, of tile t. */
INLINE void tile_origin(const winograd *f, int t, int *image, int *row, int *column)
{
    *image = t / (f->tiles_h * f->tiles_w);
    *row = t / f->tiles_w % f->tiles_h * f->side;
    *column = t % f->tiles_w * f->side;
}

/* Transforms tile t of x, n x n pixels, all channels, into v [planes][block][c] at `slot`. */
INLINE void transform_input_of(line_transform *line, const int n, const winograd *f, int t,
                               int slot, float *v)
{
    static const float zeros[LANES];
    const float *at[PLANES];
    int image, row, column, step[PLANES];
    tile_origin(f, t, &image, &row, &column);
    for (int i = 0; i < n * n; i++) {
        const int r = row - f->pt + i / n, q = column - f->pl + i % n;
        const bool inside = r >= 0 && r < f->h && q >= 0 && q < f->w;
        at[i] = inside ? f->x + (((ptrdiff_t)image * f->h + r) * f->w + q) * f->c : zeros;
        step[i] = inside;
    }
    v += slot * f->pitch_in;
    for (int j = 0; j < f->c; j += LANES) {
        vf d[PLANES], planes[PLANES];
        for (int i = 0; i < n * n; i++) d[i] = load(at[i] + j * step[i]);
        transform(line, n, n, d, planes);
        for (int p = 0; p < n * n; p++) store(v + p * plane_in(f) + j, planes[p]);
    }
}

static void transform_input(const winograd *f, int t, int slot, float *v)
{
    if (f->side == 4)
        transform_input_of(input_line, 6, f, t, slot, v);
    else
        transform_input_of(input_line_2, 4, f, t, slot, v);
}

/* Writes the n x n outputs of tile t, from m [planes][block][oc] at `slot`. */
INLINE void transform_output_of(line_transform *line, const int n, const winograd *f, int t,
                                int slot, const float *m)
{
    int image, row, column;
    tile_origin(f, t, &image, &row, &column);
    const int rows = min(n, f->oh - row), columns = min(n, f->ow - column);
    float *y = f->y + (((ptrdiff_t)image * f->oh + row) * f->ow + column) * f->oc;
    m += slot * f->pitch_out;
    for (int k = 0; k < f->oc; k += LANES) {
        vf planes[PLANES], out[4 * 4];
        for (int p = 0; p < (n + 2) * (n + 2); p++) planes[p] = load(m + p * plane_out(f) + k);
        transform(line, n + 2, n, planes, out);
        const vf bias = f->bias ? load(f->bias + k) : (vf){0};
        for (int r = 0; r < rows; r++)
            for (int q = 0; q < columns; q++) {
                float *at = y + ((ptrdiff_t)r * f->ow + q) * f->oc + k;
                vf v = out[r * n + q] + bias;
                if (f->add) v += load(at);
                store(at, f->activation.kind ? activate_lanes(v, f->activation) : v);
            }
    }
}

static void transform_output(const winograd *f, int t, int slot, const float *m)
{
    if (f->side == 4)
        transform_output_of(output_line, 4, f, t, slot, m);
    else
        transform_output_of(output_line_2, 2, f, t, slot, m);
}

/* One plane's product: m[t][k] = sum over j of v[t][j] u[j][k]. */
static void multiply_plane(const block *z, int p)
{
    const winograd *f = z->f;
    for (int column = 0; column < f->oc; column += PANEL) {
        const int vectors = panel_vectors_at(f->oc, column), width = vectors * LANES;
        tile job = {.a = z->v + p * plane_in(f),
                    .b = f->u + p * plane_filters(f) + (ptrdiff_t)f->c * column,
                    .c = z->m + p * plane_out(f) + column,
                    .N = 1,
                    .T = 1,
                    .K = f->c,
                    .lda = f->pitch_in,
                    .ldc = f->pitch_out,
                    .columns = width};
        prefetch_panel(&job, job.b + (ptrdiff_t)f->c * width, 1, z->n, vectors);
        run_rows(&job, false, z->n, vectors);
    }
}

static block block_at(const winograd *f, int index, float *scratch)
{
    const int first = index * f->block;
    return (block){.f = f,
                   .v = scratch,
                   .m = scratch + f->planes * plane_in(f),
                   .first = first,
                   .n = min(f->block, f->count - first)};
}

/* A block by one thread: tiles in, products, tiles out. */
static void block_task(void *argument, int task, int worker)
{
    const winograd *f = argument;
    const block z = block_at(f, task, f->scratch + (size_t)worker * block_floats(f));
    for (int t = 0; t < z.n; t++) transform_input(f, z.first + t, t, z.v);
    for (int p = 0; p < f->planes; p++) multiply_plane(&z, p);
    for (int t = 0; t < z.n; t++) transform_output(f, z.first + t, t, z.m);
}

/* A block by all threads. */
static void input_task(void *argument, int task, int worker)
{
    const block *z = argument;
    (void)worker;
    for (int t = task * TILES_PER_TASK; t < min(z->n, (task + 1) * TILES_PER_TASK); t++)
        transform_input(z->f, z->first + t, t, z->v);
}

static void product_task(void *argument, int p, int worker)
{
    (void)worker;
    multiply_plane(argument, p);
}

static void output_task(void *argument, int task, int worker)
{
    const block *z = argument;
    (void)worker;
    for (int t = task * TILES_PER_TASK; t < min(z->n, (task + 1) * TILES_PER_TASK); t++)
        transform_output(z->f, z->first + t, t, z->m);
}

/* Each thread has its blocks; where they are few, all threads work on one block after the other. */
static void winograd_correlate(winograd *f, cn_pool *pool)
{
    const int blocks = div_ceil(f->count, f->block), threads = cn_pool_threads(pool);
    if (threads == 1 || blocks >= TASKS * threads) {
        cn_pool_run(pool, blocks, block_task, f);
        return;
    }
    for (int i = 0; i < blocks; i++) {
        block z = block_at(f, i, f->scratch);
        cn_pool_run(pool, div_ceil(z.n, TILES_PER_TASK), input_task, &z);
        cn_pool_run(pool, f->planes, product_task, &z);
        cn_pool_run(pool, div_ceil(z.n, TILES_PER_TASK), output_task, &z);
    }
}

/* ---- backward weights: the transforms of a block by tiles, then the products by planes */

typedef struct winograd_weights {
    winograd f;
    block z; /* tiles of x in v, and of dy in m */
    const float *dy;
    float *u, *dw; /* u: the sums [36][c][oc] */
} winograd_weights;

/* Transforms tile t of dy into m [36][block][oc] at `slot`: A dY A'. */
static void transform_gradient(const winograd *f, const float *dy, int t, int slot, float *m)
{
    static const float zeros[LANES];
    const float *at[16];
    int image, row, column, step[16];
    tile_origin(f, t, &image, &row, &column);
    for (int i = 0; i < 16; i++) {
        const int p = row + i / 4, q = column + i % 4;
        const bool inside = p < f->oh && q < f->ow;
        at[i] = inside ? dy + (((ptrdiff_t)image * f->oh + p) * f->ow + q) * f->oc : zeros;
        step[i] = inside;
    }
    m += slot * f->pitch_out;
    for (int k = 0; k < f->oc; k += LANES) {
        vf d[16], planes[PLANES];
        UNROLL
        for (int i = 0; i < 16; i++) d[i] = load(at[i] + k * step[i]);
        transform(gradient_line, 4, 6, d, planes);
        for (int p = 0; p < PLANES; p++) store(m + p * plane_out(f) + k, planes[p]);
    }
}

static void transform_task(void *argument, int task, int worker)
{
    const winograd_weights *g = argument;
    const block *z = &g->z;
    (void)worker;
    for (int t = task * TILES_PER_TASK; t < min(z->n, (task + 1) * TILES_PER_TASK); t++) {
        transform_input(&g->f, z->first + t, t, z->v);
        transform_gradient(&g->f, g->dy, z->first + t, t, z->m);
    }
}

/* u[p][j][k] (+)= sum over the block's tiles of v[p][t][j] m[p][t][k]. */
static void plane_task(void *argument, int p, int worker)
{
    const winograd_weights *g = argument;
    const winograd *f = &g->f;
    (void)worker;
    for (int column = 0; column < f->oc; column += PANEL) {
        const int vectors = panel_vectors_at(f->oc, column);
        tile job = {.a = g->z.v + p * plane_in(f),
                    .b = g->z.m + p * plane_out(f) + column,
                    .c = g->u + p * plane_sums(f) + column,
                    .N = 1,
                    .T = 1,
                    .K = g->z.n,
                    .lda = f->pitch_in,
                    .ldb = f->pitch_out,
                    .ldc = f->oc,
                    .columns = vectors * LANES,
                    .accumulate = g->z.first > 0};
        run_rows(&job, true, f->c, vectors);
    }
}

/* dw += G' u G. */
static void filter_gradient_task(void *argument, int j, int worker)
{
    const winograd_weights *g = argument;
    const winograd *f = &g->f;
    const ptrdiff_t tap = (ptrdiff_t)f->c * f->oc;
    float *dw = g->dw;
    (void)worker;
    for (int k = 0; k < f->oc; k += LANES) {
        vf planes[PLANES], taps[9];
        const ptrdiff_t at = (ptrdiff_t)j * f->oc + k;
        for (int p = 0; p < PLANES; p++) planes[p] = load(g->u + p * plane_sums(f) + at);
        transform(filter_gradient_line, 6, 3, planes, taps);
        UNROLL
        for (int t = 0; t < 9; t++) store(dw + t * tap + at, load(dw + t * tap + at) + taps[t]);
    }
}

static size_t sums_floats(const winograd *f)
{
    return PLANES * (size_t)plane_sums(f);
}

/* ---- the methods */

PLANNING bool winograd_4x4_supports(const cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    if (winograd_side(pass) != 4) return false;
    /* Backward transforms filters, or their gradients, in every call: few tiles do not repay it. */
    return pass->direction == CN_CONV_FORWARD ||
           (double)s->m * div_ceil(s->oh, 4) * div_ceil(s->ow, 4) >= TILES_LEAST;
}

PLANNING bool winograd_2x2_supports(const cn_conv_pass *pass)
{
    return winograd_side(pass) == 2;
}

/* The correlation of a pass, for m images. */
static winograd winograd_of_pass(const cn_conv_pass *pass, int m)
{
    cn_conv_problem s = pass->problem;
    s.m = m;
    if (pass->direction == CN_CONV_BACKWARD_DATA) s = flipped_problem(&s);
    winograd f = winograd_of(&s, pass->as.winograd.side, pass->as.winograd.tiles);
    if (pass->direction == CN_CONV_BACKWARD_WEIGHTS) {
        /* Products that sum over tiles read one cache line of each. */
        f.pitch_in = spaced((size_t)s.c);
        f.pitch_out = spaced((size_t)s.oc);
    }
    return f;
}

PLANNING void winograd_plan(cn_conv_pass *pass, int side)
{
    pass->as.winograd.side = side;
    pass->as.winograd.tiles = tiles_at_a_time(&pass->problem, side);
    const winograd f = winograd_of_pass(pass, pass->problem.m);
    if (pass->direction == CN_CONV_BACKWARD_WEIGHTS) {
        pass->scratch = sums_floats(&f) + block_floats(&f);
        return;
    }
    pass->scratch = block_floats(&f) * (size_t)pass->options.threads;
    if (pass->direction == CN_CONV_FORWARD)
        pass->packed = filters_floats(&f);
    else
        pass->scratch += filters_floats(&f);
}

PLANNING void winograd_4x4_plan(cn_conv_pass *pass)
{
    winograd_plan(pass, 4);
}

PLANNING void winograd_2x2_plan(cn_conv_pass *pass)
{
    winograd_plan(pass, 2);
}

static void winograd_pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    const winograd f = winograd_of_pass(pass, pass->problem.m);
    transform_filters(&f, w, false, packed, pool);
}

static void winograd_forward(const cn_conv_pass *pass, const cn_conv_args *a)
{
    winograd f = winograd_of_pass(pass, a->m);
    f.x = a->x;
    f.u = a->w;
    f.bias = a->b;
    f.add = a->add;
    f.activation = a->activation;
    f.y = a->y;
    f.scratch = a->scratch;
    winograd_correlate(&f, a->pool);
}

static void winograd_backward_data(const cn_conv_pass *pass, const cn_conv_args *a)
{
    winograd f = winograd_of_pass(pass, a->m);
    transform_filters(&f, a->w, true, a->scratch, a->pool);
    f.x = a->dy;
    f.y = a->dx;
    f.u = a->scratch;
    f.scratch = a->scratch + filters_floats(&f);
    winograd_correlate(&f, a->pool);
}

static void winograd_backward_weights(const cn_conv_pass *pass, const cn_conv_args *a)
{
    winograd_weights g = {
        .f = winograd_of_pass(pass, a->m), .dy = a->dy, .u = a->scratch, .dw = a->dw};
    const winograd *f = &g.f;
    g.f.x = a->x;
    for (int i = 0; i < div_ceil(f->count, f->block); i++) {
        g.z = block_at(f, i, a->scratch + sums_floats(f));
        cn_pool_run(a->pool, div_ceil(g.z.n, TILES_PER_TASK), transform_task, &g);
        cn_pool_run(a->pool, PLANES, plane_task, &g);
    }
    cn_pool_run(a->pool, f->c, filter_gradient_task, &g);
    if (a->db) add_columns((size_t)f->m * (size_t)f->oh * (size_t)f->ow, f->oc, a->dy, a->db);
}

static const cn_conv_method winograd_4x4_method = {
    .name = "winograd 4x4",
    .supports = winograd_4x4_supports,
    .plan = winograd_4x4_plan,
    .pack = winograd_pack,
    .run = {winograd_forward, winograd_backward_data, winograd_backward_weights},
};

/* Forward only: in backward, the direct sum is faster where tiles are few. */
static const cn_conv_method winograd_2x2_method = {
    .name = "winograd 2x2",
    .supports = winograd_2x2_supports,
    .plan = winograd_2x2_plan,
    .pack = winograd_pack,
    .run = {[CN_CONV_FORWARD] = winograd_forward},
};

#endif

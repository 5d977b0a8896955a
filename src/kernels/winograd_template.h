/*
 * winograd_template.h - 3 x 3 convolutions of stride 1 with a quarter of the multiplications.
 *
 * Winograd's F(4x4, 3x3): four outputs of a 3-tap filter are the products of polynomials, found
 * from their values at six points. With d a 6 x 6 tile of x, g a filter, Y a 4 x 4 tile of y:
 *
 *     Y  = A' [(G g G') * (B' d B)] A                       36 products for 16 outputs
 *     dg = G' [sum over tiles of (B' d B) * (A dY A')] G    backward weights
 *
 * where * is element by element: summed over channels, each of the 36 elements (planes) is a matrix
 * product. Backward data is the forward of dy with flipped, transposed filters.
 *
 * The points 0, +-1/sqrt 2, +-sqrt 2, infinity instead of the textbook's 0, +-1, +-2 have the same
 * operation count and a fraction of the error (the family +-c, +-1/c: arXiv 2201.10369). With
 * a = 1/sqrt 2, b = sqrt 2 and M(x) = x (x^2 - 1/2) (x^2 - 2), rows in the order of the points:
 *     A'[i][j] = point_j^i                                      infinity: 1 at i = 3
 *     G[j][k]  = point_j^k / M'(point_j)                        infinity: 1 at k = 2
 *     B'[j]    = the coefficients of M(x) / (x - point_j)       infinity: those of M(x)
 */

#define POINT_A 0.70710678f
#define POINT_B 1.41421356f

enum {
    PLANES = 36,
    TILE_BYTES =
        512 * 1024,         /* of transformed tiles at a time, in and out: the second-level cache */
    TILES_LEAST = 24,       /* at a time, so that a transformed weight is used that often */
    FILTERS_A_TILE = 4096,  /* or more tiles: this many filters of a plane for each */
    TILES_A_UNIT = 4,       /* to transform, where threads share the tiles of a block */
    WINOGRAD_CHANNELS = 32, /* fewer channels do not pay for the transforms */
};

/* ---- one line of each transform; elements are `s` apart, and `t` in the result */

/* B' d: 6 to 6. */
INLINE void input_line(const vf *d, const int s, vf *o, const int t)
{
    const vf even_a = d[4 * s] - 2 * d[2 * s], odd_a = POINT_A * (d[3 * s] - 2 * d[s]);
    const vf even_b = d[4 * s] - 0.5f * d[2 * s], odd_b = POINT_B * (d[3 * s] - 0.5f * d[s]);
    o[0] = d[0] - 2.5f * d[2 * s] + d[4 * s];
    o[t] = even_a + odd_a;
    o[2 * t] = even_a - odd_a;
    o[3 * t] = even_b + odd_b;
    o[4 * t] = even_b - odd_b;
    o[5 * t] = d[s] - 2.5f * d[3 * s] + d[5 * s];
}

/* A' m: 6 to 4. */
INLINE void output_line(const vf *m, const int s, vf *o, const int t)
{
    const vf sum_a = m[s] + m[2 * s], odd_a = POINT_A * (m[s] - m[2 * s]);
    const vf sum_b = m[3 * s] + m[4 * s], odd_b = POINT_B * (m[3 * s] - m[4 * s]);
    o[0] = m[0] + sum_a + sum_b;
    o[t] = odd_a + odd_b;
    o[2 * t] = 0.5f * sum_a + 2 * sum_b;
    o[3 * t] = 0.5f * odd_a + 2 * odd_b + m[5 * s];
}

/* A y: 4 to 6. */
INLINE void gradient_line(const vf *y, const int s, vf *o, const int t)
{
    const vf even_a = y[0] + 0.5f * y[2 * s], odd_a = POINT_A * (y[s] + 0.5f * y[3 * s]);
    const vf even_b = y[0] + 2 * y[2 * s], odd_b = POINT_B * (y[s] + 2 * y[3 * s]);
    o[0] = y[0];
    o[t] = even_a + odd_a;
    o[2 * t] = even_a - odd_a;
    o[3 * t] = even_b + odd_b;
    o[4 * t] = even_b - odd_b;
    o[5 * t] = y[3 * s];
}

/* G g: 3 to 6. M' is -3/2 at +-a, 6 at +-b. */
INLINE void filter_line(const vf *g, const int s, vf *o, const int t)
{
    const vf even_a = (-2.0f / 3) * (g[0] + 0.5f * g[2 * s]), odd_a = (-2.0f / 3 * POINT_A) * g[s];
    const vf even_b = (1.0f / 6) * (g[0] + 2 * g[2 * s]), odd_b = (1.0f / 6 * POINT_B) * g[s];
    o[0] = g[0];
    o[t] = even_a + odd_a;
    o[2 * t] = even_a - odd_a;
    o[3 * t] = even_b + odd_b;
    o[4 * t] = even_b - odd_b;
    o[5 * t] = g[2 * s];
}

/* G' u: 6 to 3. */
INLINE void filter_gradient_line(const vf *u, const int s, vf *o, const int t)
{
    const vf sum_a = (-2.0f / 3) * (u[s] + u[2 * s]),
             odd_a = (-2.0f / 3 * POINT_A) * (u[s] - u[2 * s]);
    const vf sum_b = (1.0f / 6) * (u[3 * s] + u[4 * s]),
             odd_b = (1.0f / 6 * POINT_B) * (u[3 * s] - u[4 * s]);
    o[0] = u[0] + sum_a + sum_b;
    o[t] = odd_a + odd_b;
    o[2 * t] = 0.5f * sum_a + 2 * sum_b + u[5 * s];
}

typedef void line_transform(const vf *in, int s, vf *out, int t);

/* Both sides: a [from][from] tile to a [to][to] one. */
INLINE void transform(line_transform *line, const int from, const int to, const vf *in, vf *out)
{
    vf half[6 * 6];
    UNROLL
    for (int j = 0; j < from; j++) line(in + j, from, half + j, from);
    UNROLL
    for (int i = 0; i < to; i++) line(half + i * from, 1, out + i * to, 1);
}

/* ---- the work */

/* A correlation of 3 x 3 windows: forward, or backward data with dy in the place of x. */
typedef struct winograd {
    const float *x, *u, *bias; /* u: transformed filters, a packed matrix a plane */
    float *y;
    int m, h, w, c, pt, pl, oh, ow, oc;
    int across, down, count;       /* tiles of a picture's row and column; of all pictures */
    int block;                     /* tiles at a time */
    ptrdiff_t pitch_in, pitch_out; /* floats from one transformed tile to the next */
    float relu;
    float *scratch;
} winograd;

/* A block, while it is worked on. */
typedef struct block {
    const winograd *f;
    float *v, *m; /* tiles in, [36][block][c], and out, [36][block][oc] */
    int first, n; /* its tiles */
} block;

static winograd winograd_of(const cn_conv_shape *s)
{
    winograd f = {.m = s->m,
                  .h = s->h,
                  .w = s->w,
                  .c = s->c,
                  .pt = s->pt,
                  .pl = s->pl,
                  .oh = s->oh,
                  .ow = s->ow,
                  .oc = s->oc};
    f.across = parts_of(s->ow, 4);
    f.down = parts_of(s->oh, 4);
    f.count = s->m * f.down * f.across;
    /* A block reads all filters: where they are many, tiles rather leave the second-level cache. */
    const int fits = TILE_BYTES / (int)sizeof(float) / PLANES / (s->c + s->oc);
    const int balanced = (int)((int64_t)s->c * s->oc / FILTERS_A_TILE);
    const int most = larger(TILES_LEAST, larger(fits, balanced));
    f.block = parts_of(f.count, parts_of(f.count, most));
    f.pitch_in = s->c;
    f.pitch_out = s->oc;
    return f;
}

/* Backward data's: x is dy, and a window begins 2 - p before its output. */
static cn_conv_shape flipped_shape(const cn_conv_shape *s)
{
    cn_conv_shape f = *s;
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
 * Chosen by the batch that was planned for, so that packed weights suit every call. The direct sum
 * has 9 products an output and reads 9 filter elements, Winograd's 36 a tile, with its transforms
 * like 41, and 36; to read one from memory takes as long as about 13 products.
 */
static bool winograd_pays(const cn_conv_shape *s)
{
    if (s->direct || s->fh != 3 || s->fw != 3 || s->sh != 1 || s->sw != 1) return false;
    if (s->c < WINOGRAD_CHANNELS || s->oc < WINOGRAD_CHANNELS) return false;
    if (s->c % LANES != 0 || s->oc % LANES != 0) return false;
    const double m = s->batch ? s->batch : s->m;
    const double count = m * parts_of(s->oh, 4) * parts_of(s->ow, 4);
    return 41 * count + 36 * 13 < 9 * (m * s->oh * s->ow + 13) && count < 1 << 30;
}

/* n floats, or a few more: an odd number of cache lines, so that what lies that far apart does not
 * share a few sets of the cache. */
INLINE ptrdiff_t spaced(size_t n)
{
    return (ptrdiff_t)((n + 15) / 16 | 1) * 16;
}

/* The planes of tiles in, [block][c], of tiles out, [block][oc], of filters and of their sums. */
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
    return PLANES * (size_t)plane_filters(f);
}

static size_t block_floats(const winograd *f)
{
    return PLANES * (size_t)(plane_in(f) + plane_out(f));
}

/* One of backward data's filters for each of LANES channels j and of LANES k: in w, [3][3][oc][c],
 * turned by 180 degrees and transposed. */
static void turned_filters(const winograd *f, const float *w, int j, int k, vf g[LANES][9])
{
    for (int t = 0; t < 9; t++) {
        float square[LANES][LANES];
        turn(w + ((ptrdiff_t)(8 - t) * f->oc + k) * f->c + j, f->c, square);
        for (int i = 0; i < LANES; i++) g[i][t] = load(square[i]);
    }
}

/* The filters of a correlation, and what they are made from: with `flip` backward data's w. */
typedef struct filters {
    const winograd *f;
    const float *w;
    float *u; /* 36 planes of c x oc, each as packed panels of columns */
    bool flip;
} filters;

static void filters_unit(void *argument, int unit, int worker)
{
    const filters *z = argument;
    const winograd *f = z->f;
    const ptrdiff_t plane = plane_filters(f), tap = (ptrdiff_t)f->c * f->oc;
    const int k = unit * LANES, column = k / PANEL * PANEL;
    const int width = panel_vectors_at(f->oc, column) * LANES;
    float *to = z->u + (ptrdiff_t)f->c * column + (k - column);
    vf g[LANES][9];
    (void)worker;
    for (int j = 0; j < f->c; j++, to += width) {
        const int i = z->flip ? j % LANES : 0;
        if (!z->flip) {
            for (int t = 0; t < 9; t++) g[0][t] = load(z->w + t * tap + (ptrdiff_t)j * f->oc + k);
        } else if (i == 0) {
            turned_filters(f, z->w, j, k, g);
        }
        vf planes[PLANES];
        transform(filter_line, 3, 6, g[i], planes);
        for (int p = 0; p < PLANES; p++) store(to + p * plane, planes[p]);
    }
}

static void transform_filters(const winograd *f, const float *w, bool flip, float *u, cn_pool *pool)
{
    filters z = {.f = f, .w = w, .u = u, .flip = flip};
    cn_pool_run(packers(filters_floats(f), pool), f->oc / LANES, filters_unit, &z);
}

/* Where tile t begins: its picture, and its first output row and column. */
INLINE void tile_place(const winograd *f, int t, int *image, int *row, int *column)
{
    *image = t / (f->down * f->across);
    *row = t / f->across % f->down * 4;
    *column = t % f->across * 4;
}

/* Tile t of x, all channels, into v [36][block][c] at `slot`. */
static void transform_input(const winograd *f, int t, int slot, float *v)
{
    static const float zeros[LANES];
    const float *at[PLANES];
    int image, row, column, step[PLANES];
    tile_place(f, t, &image, &row, &column);
    for (int i = 0; i < PLANES; i++) {
        const int r = row - f->pt + i / 6, q = column - f->pl + i % 6;
        const bool inside = r >= 0 && r < f->h && q >= 0 && q < f->w;
        at[i] = inside ? f->x + (((ptrdiff_t)image * f->h + r) * f->w + q) * f->c : zeros;
        step[i] = inside;
    }
    v += slot * f->pitch_in;
    for (int j = 0; j < f->c; j += LANES) {
        vf d[PLANES], planes[PLANES];
        for (int i = 0; i < PLANES; i++) d[i] = load(at[i] + j * step[i]);
        transform(input_line, 6, 6, d, planes);
        for (int p = 0; p < PLANES; p++) store(v + p * plane_in(f) + j, planes[p]);
    }
}

/* The outputs of tile t from m [36][block][oc] at `slot`. */
static void transform_output(const winograd *f, int t, int slot, const float *m)
{
    int image, row, column;
    tile_place(f, t, &image, &row, &column);
    const int rows = smaller(4, f->oh - row), columns = smaller(4, f->ow - column);
    float *y = f->y + (((ptrdiff_t)image * f->oh + row) * f->ow + column) * f->oc;
    m += slot * f->pitch_out;
    for (int k = 0; k < f->oc; k += LANES) {
        vf planes[PLANES], out[16];
        for (int p = 0; p < PLANES; p++) planes[p] = load(m + p * plane_out(f) + k);
        transform(output_line, 6, 4, planes, out);
        const vf bias = f->bias ? load(f->bias + k) : (vf){0};
        for (int r = 0; r < rows; r++)
            for (int q = 0; q < columns; q++) {
                const vf v = out[r * 4 + q] + bias;
                store(y + ((ptrdiff_t)r * f->ow + q) * f->oc + k,
                      f->relu > 0 ? clip_lanes(v, f->relu) : v);
            }
    }
}

/* One of the 36 products: m[t][k] = sum over j of v[t][j] u[j][k]. */
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
                    .ldb = width,
                    .ldc = f->pitch_out,
                    .columns = width};
        run_rows(&job, false, z->n, vectors);
    }
}

static block block_at(const winograd *f, int index, float *scratch)
{
    const int first = index * f->block;
    return (block){.f = f,
                   .v = scratch,
                   .m = scratch + PLANES * plane_in(f),
                   .first = first,
                   .n = smaller(f->block, f->count - first)};
}

/* A block by one thread: tiles in, 36 products, tiles out. */
static void block_unit(void *argument, int unit, int worker)
{
    const winograd *f = argument;
    const block z = block_at(f, unit, f->scratch + (size_t)worker * block_floats(f));
    for (int t = 0; t < z.n; t++) transform_input(f, z.first + t, t, z.v);
    for (int p = 0; p < PLANES; p++) multiply_plane(&z, p);
    for (int t = 0; t < z.n; t++) transform_output(f, z.first + t, t, z.m);
}

/* A block by all threads. */
static void input_unit(void *argument, int unit, int worker)
{
    const block *z = argument;
    (void)worker;
    for (int t = unit * TILES_A_UNIT; t < smaller(z->n, (unit + 1) * TILES_A_UNIT); t++)
        transform_input(z->f, z->first + t, t, z->v);
}

static void product_unit(void *argument, int p, int worker)
{
    (void)worker;
    multiply_plane(argument, p);
}

static void output_unit(void *argument, int unit, int worker)
{
    const block *z = argument;
    (void)worker;
    for (int t = unit * TILES_A_UNIT; t < smaller(z->n, (unit + 1) * TILES_A_UNIT); t++)
        transform_output(z->f, z->first + t, t, z->m);
}

/* Each thread its blocks, or where they are few, all threads one block after the other. */
static void winograd_correlate(winograd *f, cn_pool *pool)
{
    const int blocks = parts_of(f->count, f->block), threads = cn_pool_threads(pool);
    if (threads == 1 || blocks >= UNITS * threads) {
        cn_pool_run(pool, blocks, block_unit, f);
        return;
    }
    for (int i = 0; i < blocks; i++) {
        block z = block_at(f, i, f->scratch);
        cn_pool_run(pool, parts_of(z.n, TILES_A_UNIT), input_unit, &z);
        cn_pool_run(pool, PLANES, product_unit, &z);
        cn_pool_run(pool, parts_of(z.n, TILES_A_UNIT), output_unit, &z);
    }
}

static void winograd_backward_data(const cn_conv_shape *s, const float *dy, const float *w,
                                   float *dx, float *scratch, cn_pool *pool)
{
    const cn_conv_shape flipped = flipped_shape(s);
    winograd f = winograd_of(&flipped);
    transform_filters(&f, w, true, scratch, pool);
    f.x = dy;
    f.y = dx;
    f.u = scratch;
    f.scratch = scratch + filters_floats(&f);
    winograd_correlate(&f, pool);
}

static void winograd_forward(const cn_conv_shape *s, const float *x, const float *packed,
                             const float *b, float relu, float *y, float *scratch, cn_pool *pool)
{
    winograd f = winograd_of(s);
    f.x = x;
    f.u = packed;
    f.bias = b;
    f.relu = relu;
    f.y = y;
    f.scratch = scratch;
    winograd_correlate(&f, pool);
}

/* ---- backward weights: transforms of a block by tiles, then products by planes */

typedef struct winograd_weights {
    winograd f;
    block z; /* tiles of x in v, and of dy in m */
    const float *dy;
    float *u, *dw; /* u: the sums [36][c][oc] */
} winograd_weights;

/* Products that sum over tiles read them a line at a time. */
static winograd winograd_weights_of(const cn_conv_shape *s)
{
    winograd f = winograd_of(s);
    f.pitch_in = spaced((size_t)s->c);
    f.pitch_out = spaced((size_t)s->oc);
    return f;
}

/* Tile t of dy into m [36][block][oc] at `slot`: A dY A'. */
static void transform_gradient(const winograd *f, const float *dy, int t, int slot, float *m)
{
    static const float zeros[LANES];
    const float *at[16];
    int image, row, column, step[16];
    tile_place(f, t, &image, &row, &column);
    for (int i = 0; i < 16; i++) {
        const int p = row + i / 4, q = column + i % 4;
        const bool inside = p < f->oh && q < f->ow;
        at[i] = inside ? dy + (((ptrdiff_t)image * f->oh + p) * f->ow + q) * f->oc : zeros;
        step[i] = inside;
    }
    m += slot * f->pitch_out;
    for (int k = 0; k < f->oc; k += LANES) {
        vf d[16], planes[PLANES];
        for (int i = 0; i < 16; i++) d[i] = load(at[i] + k * step[i]);
        transform(gradient_line, 4, 6, d, planes);
        for (int p = 0; p < PLANES; p++) store(m + p * plane_out(f) + k, planes[p]);
    }
}

static void transform_unit(void *argument, int unit, int worker)
{
    const winograd_weights *g = argument;
    const block *z = &g->z;
    (void)worker;
    for (int t = unit * TILES_A_UNIT; t < smaller(z->n, (unit + 1) * TILES_A_UNIT); t++) {
        transform_input(&g->f, z->first + t, t, z->v);
        transform_gradient(&g->f, g->dy, z->first + t, t, z->m);
    }
}

/* u[p][j][k] (+)= sum over the block's tiles of v[p][t][j] m[p][t][k]. */
static void plane_unit(void *argument, int p, int worker)
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
static void filter_gradient_unit(void *argument, int j, int worker)
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
        for (int t = 0; t < 9; t++) store(dw + t * tap + at, load(dw + t * tap + at) + taps[t]);
    }
}

static size_t sums_floats(const winograd *f)
{
    return PLANES * (size_t)plane_sums(f);
}

static void winograd_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                      float *dw, float *scratch, cn_pool *pool)
{
    winograd_weights g = {.f = winograd_weights_of(s), .dy = dy, .u = scratch, .dw = dw};
    const winograd *f = &g.f;
    g.f.x = x;
    for (int i = 0; i < parts_of(f->count, f->block); i++) {
        g.z = block_at(f, i, scratch + sums_floats(f));
        cn_pool_run(pool, parts_of(g.z.n, TILES_A_UNIT), transform_unit, &g);
        cn_pool_run(pool, PLANES, plane_unit, &g);
    }
    cn_pool_run(pool, f->c, filter_gradient_unit, &g);
}

/* ---- scratch memory: the most that one of the passes takes */

static size_t winograd_scratch(const cn_conv_shape *s, int threads)
{
    const cn_conv_shape flipped = flipped_shape(s);
    const winograd f = winograd_of(s), data = winograd_of(&flipped);
    const winograd gradient = winograd_weights_of(s);
    const size_t forward = block_floats(&f) * (size_t)threads;
    const size_t back = filters_floats(&data) + block_floats(&data) * (size_t)threads;
    const size_t weights = sums_floats(&gradient) + block_floats(&gradient);
    const size_t most = forward > back ? forward : back;
    return most > weights ? most : weights;
}

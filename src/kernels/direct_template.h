/*
 * direct_template.h - direct convolution on register tiles: forward, backward data, backward
 * weights.
 *
 *     y[i,p,q,k]  = b[k] + sum_{u,v,j} x[i, p sh + u - pt, q sw + v - pl, j] w[u,v,j,k]
 *     dx[i,r,s,j] = sum_{u,v,k : r = p sh + u - pt, s = q sw + v - pl} dy[i,p,q,k] w[u,v,j,k]
 *     dw[u,v,j,k] = sum_{i,p,q} x[i, p sh + u - pt, q sw + v - pl, j] dy[i,p,q,k]
 *
 * In a row of x the taps (v, j) of a window are one run of fw c neighbours: no column matrix is
 * ever built. Rows of a picture with padding are copied, a band at a time, into rows that hold
 * their zeros; kernel rows outside the picture are left out of the sum, so a band needs none above
 * and below. Without padding rows are read where they are.
 */

enum {
    BAND_FLOATS = 48 * 1024, /* of padded rows at a time: they stay in the second-level cache */
    GRADIENT_PIXELS = 96,    /* that a tile of dw sums over at least: it is read and written, too */
    RUN_PIXELS = 96,         /* of a 1 x 1 convolution at a time, forward */
    UNITS = 4,               /* pieces of work a thread, where the problem has as many */
};

INLINE int parts_of(int n, int size)
{
    return (n + size - 1) / size;
}

/* ---- rows of pictures, padded or in place */

/* The pictures that windows slide over. A window may begin inside: pt and pl of either sign. */
typedef struct pictures {
    const float *x;
    int m, h, w, c;
    int fh, fw, sh, sw, pt, pl, oh, ow;
    int columns;          /* of a padded row */
    bool in_place;        /* no window leaves its row: it is not copied */
    ptrdiff_t row, image; /* floats from one to the next; a padded row's or the picture's */
    int band_rows, bands; /* output rows of a band, and bands of a picture */
    int run, runs;        /* output pixels of a row taken at a time, and such runs of a row */
    int group, groups;    /* pictures taken together, whole ones only */
} pictures;

/* Without its split. `joined`: each row of outputs begins where the one before it ends. */
static pictures pictures_of(const cn_conv_shape *s, const float *x, bool joined)
{
    pictures g = {.x = x,
                  .m = s->m,
                  .h = s->h,
                  .w = s->w,
                  .c = s->c,
                  .fh = s->fh,
                  .fw = s->fw,
                  .sh = s->sh,
                  .sw = s->sw,
                  .pt = s->pt,
                  .pl = s->pl,
                  .oh = s->oh,
                  .ow = s->ow};
    /* The pixels of a 1 x 1 convolution are one long row, taken in runs. */
    if (joined && s->fh == 1 && s->fw == 1 && s->sh == 1 && s->sw == 1 && s->pt == 0 &&
        s->pl == 0 && s->oh == s->h && s->ow == s->w && (int64_t)s->m * s->h * s->w <= INT32_MAX) {
        g.w = g.ow = s->m * s->h * s->w;
        g.m = g.h = g.oh = 1;
    }
    g.columns = (g.ow - 1) * g.sw + g.fw;
    g.in_place = g.pl <= 0 && g.columns - g.pl <= g.w;
    g.row = (ptrdiff_t)(g.in_place ? g.w : g.columns) * g.c;
    g.image = (ptrdiff_t)g.h * g.w * g.c;
    return g;
}

/* Splits the pictures so that what is worked on, with `beside` more floats an output pixel, takes
 * `floats`, but at least `pixels` output pixels: bands of rows; where whole pictures fit, groups of
 * up to `most`; a single row, runs. */
static void split(pictures *g, int floats, int beside, int pixels, int most)
{
    const ptrdiff_t row = larger(1, g->sh) * g->row + (ptrdiff_t)g->ow * beside;
    const int fits = larger((int)(floats / (row > 0 ? row : 1)), parts_of(pixels, g->ow));
    g->band_rows = larger(1, smaller(g->oh, fits));
    g->bands = parts_of(g->oh, g->band_rows);
    g->group = g->bands > 1 ? 1 : larger(1, smaller(fits / g->oh, most));
    g->groups = parts_of(g->m, g->group);
    const int run = larger(pixels, floats / smaller(floats, g->c * g->sw + beside));
    g->run = g->oh == 1 && g->in_place ? smaller(g->ow, run) : g->ow;
    g->runs = parts_of(g->ow, g->run);
}

/* Rows of x that the output rows p0 <= p < p1 look at: first <= r < end. */
INLINE int first_row(const pictures *g, int p0)
{
    return smaller(g->h, larger(0, p0 * g->sh - g->pt));
}

INLINE int end_row(const pictures *g, int p1)
{
    return larger(0, smaller(g->h, (p1 - 1) * g->sh + g->fh - g->pt));
}

/* What the padded rows of one group take. */
static size_t band_floats(const pictures *g)
{
    if (g->in_place) return 0;
    const int rows = smaller(g->h, (g->band_rows - 1) * g->sh + g->fh);
    return (size_t)g->group * (size_t)rows * (size_t)g->row + 2 * LANES;
}

/* The rows that output rows p0 <= p < p1 of pictures i0 <= i < i1 look at, in place or copied into
 * `band`. Returns where row 0 of picture i0 is, or would be; *image floats lead to the next. */
static const float *padded_rows(const pictures *g, int i0, int i1, int p0, int p1, float *band,
                                ptrdiff_t *image)
{
    *image = g->image;
    if (g->in_place) return g->x + i0 * g->image - (ptrdiff_t)g->pl * g->c;
    const int first = first_row(g, p0), end = larger(first, end_row(g, p1));
    const int left = smaller(g->columns, larger(0, g->pl)), from = larger(0, -g->pl);
    const int inside = larger(0, smaller(g->columns - left, g->w - from));
    const size_t c = (size_t)g->c, zeros = (size_t)left * c, copied = (size_t)inside * c;
    float *out = band;
    for (int i = i0; i < i1; i++) {
        for (int r = first; r < end; r++, out += g->row) {
            const float *row = g->x + i * g->image + ((ptrdiff_t)r * g->w + from) * g->c;
            memset(out, 0, zeros * sizeof *out);
            if (copied) memcpy(out + zeros, row, copied * sizeof *out);
            memset(out + zeros + copied, 0, ((size_t)g->row - zeros - copied) * sizeof *out);
        }
    }
    *image = (end - first) * g->row;
    return band - first * g->row;
}

/* ---- few output channels: folding */

/*
 * Six channels fill six of eight lanes, and a tile that is one vector wide spends its time
 * spreading scalars. So neighbouring output pixels become channels: in memory y (oh, ow, oc) is
 * also (oh, ow / g, g oc), and y'[p, q, (e, k)] = sum_{u,v,j} x[p sh + u, (q g + e) sw + v, j]
 * w[u,v,j,k] is a convolution of stride g sw whose window is (g - 1) sw wider: its weights are
 *     w'[u, v + e sw, j, (e, k)] = w[u,v,j,k], and zero elsewhere.
 */
typedef struct folded {
    cn_conv_shape s;
    int g;
} folded;

/* The g that divides ow with the least vector operations a pixel; half more are counted for tiles
 * of one vector (measured: 1.4 on Zen 3). */
static folded fold(const cn_conv_shape *s)
{
    int best = 1, cost = INT32_MAX;
    for (int g = 1; g <= LANES && (g == 1 || g * s->oc <= PANEL); g++) {
        if (s->ow % g != 0) continue;
        const int vectors = parts_of(g * s->oc, LANES);
        const int wider = s->fw + (g - 1) * s->sw;
        const int now = smaller(1 << 15, wider) * vectors * (vectors == 1 ? 1680 : 1120) / g;
        if (now < cost) {
            cost = now;
            best = g;
        }
    }
    folded f = {.s = *s, .g = best};
    f.s.fw += (best - 1) * s->sw;
    f.s.sw *= best;
    f.s.ow /= best;
    f.s.oc *= best;
    return f;
}

/* ---- packed weights */

/*
 * A [depth][columns] matrix in panels of PANEL columns, each [depth][width]: the width is the
 * panel's columns rounded up to whole vectors, with zeros beyond the last one. A panel begins at
 * depth * its first column.
 */
static size_t packed_floats(int depth, int columns)
{
    return (size_t)depth * (size_t)parts_of(columns, LANES) * LANES;
}

INLINE int panel_vectors_at(int columns, int column)
{
    return columns - column > LANES ? 2 : 1;
}

static size_t direct_packed(const cn_conv_shape *s)
{
    const folded f = fold(s);
    return packed_floats(f.s.fh * f.s.fw * f.s.c, f.s.oc);
}

/* w [fh][fw][c][oc] is the matrix as it stands: depth (u, v, j), columns k. Folded it has one
 * panel. */
static void direct_pack(const cn_conv_shape *s, const float *w, float *packed)
{
    const folded f = fold(s);
    for (int column = 0; column < f.s.oc; column += PANEL) {
        const int width = panel_vectors_at(f.s.oc, column) * LANES;
        const int n = smaller(width, s->oc - column);
        for (int u = 0; u < s->fh; u++) {
            for (int v = 0; v < f.s.fw; v++) {
                for (int j = 0; j < s->c; j++, packed += width) {
                    for (int k = 0; k < width; k += LANES) store(packed + k, (vf){0});
                    for (int e = 0; e < f.g; e++) {
                        const int tap = v - e * s->sw;
                        if (tap < 0 || tap >= s->fw) continue;
                        const float *row =
                            w + (((ptrdiff_t)u * s->fw + tap) * s->c + j) * s->oc + column;
                        for (int k = 0; k < n; k++) packed[e * s->oc + k] = row[k];
                    }
                }
            }
        }
    }
}

/* ---- forward: a correlation, which backward data is, too */

typedef struct correlation {
    pictures g;
    const float *packed, *bias; /* bias repeats after biases channels */
    float *y;
    int biases;
    ptrdiff_t y_image, y_row, y_pixel; /* backward data writes every s-th pixel */
    int oc;
    bool relu;
    int panels, shares; /* of weights; and the parts that they are shared out in */
    float *scratch;
    size_t band;
} correlation;

/* Cuts the work into units (group of pictures, band of rows, run of pixels, share of the panels).
 * The threads' number only decides who computes an output, never how. */
static void plan_correlation(correlation *s, int threads)
{
    pictures *g = &s->g;
    const int wanted = threads > 1 ? UNITS * threads : 1;
    split(g, BAND_FLOATS, 0, TILE_ROWS_1, parts_of(g->m, wanted));
    g->run = g->run < g->ow ? smaller(g->run, RUN_PIXELS) : g->run;
    g->runs = parts_of(g->ow, g->run);
    s->panels = parts_of(s->oc, PANEL);
    s->shares = smaller(s->panels, parts_of(wanted, g->groups * g->bands * g->runs));
    s->band = band_floats(g);
}

/* Output row p, pixels q0 <= q < q1, of one panel. */
static void correlate_row(const correlation *s, const float *rows, int p, int q0, int q1,
                          int column, const float *bias, float *y)
{
    const pictures *g = &s->g;
    const int vectors = panel_vectors_at(s->oc, column), width = vectors * LANES;
    const int depth = g->fw * g->c, top = p * g->sh - g->pt;
    const int u0 = smaller(g->fh, larger(0, -top)), u1 = larger(u0, smaller(g->fh, g->h - top));
    tile job = {.a = rows + (top + u0) * g->row + (ptrdiff_t)q0 * g->sw * g->c,
                .b = s->packed + (ptrdiff_t)g->fh * depth * column + (ptrdiff_t)u0 * depth * width,
                .c = y + p * s->y_row + q0 * s->y_pixel + column,
                .N = 1,
                .T = u1 - u0,
                .K = depth,
                .at = g->row,
                .lda = (ptrdiff_t)g->sw * g->c,
                .bt = (ptrdiff_t)depth * width,
                .ldb = width,
                .ldc = s->y_pixel,
                .columns = smaller(s->oc - column, width),
                .bias = bias,
                .relu = s->relu};
    run_rows(&job, q1 - q0, vectors);
}

static void correlate_unit(void *argument, int unit, int worker)
{
    const correlation *s = argument;
    const pictures *g = &s->g;
    const int share = unit % s->shares, run = unit / s->shares % g->runs;
    const int band = unit / s->shares / g->runs % g->bands;
    const int group = unit / s->shares / g->runs / g->bands;
    const int p0 = band * g->band_rows, p1 = smaller(g->oh, p0 + g->band_rows);
    const int i0 = group * g->group, i1 = smaller(g->m, i0 + g->group);
    const int q0 = run * g->run, q1 = smaller(g->ow, q0 + g->run);
    ptrdiff_t image;
    const float *rows =
        padded_rows(g, i0, i1, p0, p1, s->scratch + (size_t)worker * s->band, &image);
    const int panel0 = share * s->panels / s->shares;
    const int panel1 = (share + 1) * s->panels / s->shares;
    for (int column = panel0 * PANEL; column < smaller(s->oc, panel1 * PANEL); column += PANEL) {
        float bias[PANEL] = {0};
        for (int j = 0; s->bias && j < smaller(PANEL, s->oc - column); j++)
            bias[j] = s->bias[(column + j) % s->biases];
        for (int i = i0; i < i1; i++)
            for (int p = p0; p < p1; p++)
                correlate_row(s, rows + (i - i0) * image, p, q0, q1, column, s->bias ? bias : NULL,
                              s->y + i * s->y_image);
    }
}

static void correlate(correlation *s, cn_pool *pool)
{
    const pictures *g = &s->g;
    cn_pool_run(pool, g->groups * g->bands * g->runs * s->shares, correlate_unit, s);
}

static correlation forward_correlation(const cn_conv_shape *s, const float *x, float *y,
                                       int threads)
{
    const cn_conv_shape f = fold(s).s;
    correlation forward = {.g = pictures_of(&f, x, true),
                           .y = y,
                           .oc = f.oc,
                           .biases = s->oc,
                           .y_pixel = f.oc,
                           .y_row = (ptrdiff_t)f.ow * f.oc,
                           .y_image = (ptrdiff_t)f.oh * f.ow * f.oc};
    plan_correlation(&forward, threads);
    return forward;
}

static void direct_forward(const cn_conv_shape *s, const float *x, const float *packed,
                           const float *b, bool relu, float *y, float *scratch, cn_pool *pool)
{
    correlation f = forward_correlation(s, x, y, cn_pool_threads(pool));
    f.packed = packed;
    f.bias = b;
    f.relu = relu;
    f.scratch = scratch;
    correlate(&f, pool);
}

/* ---- backward data: one correlation of dy with flipped weights for each phase of the stride */

/*
 * Along one axis the rows r of dx with (r + before) mod stride = phase see only the kernel rows
 * u = phase + t stride, t < taps. With r + before = phase + stride z, p = z - t:
 *     dx[r] = sum_{t<taps} dy[z - t] w[phase + t stride]
 * a correlation without stride of dy with the flipped taps, whose window starts at z - taps + 1.
 */
typedef struct phase {
    int first, count; /* r = first, first + stride, ...: count of them */
    int taps, before; /* kernel rows, and the zeros before dy (negative: dy skipped) */
} phase;

static phase phase_of(int number, int size, int kernel, int stride, int before)
{
    phase f;
    f.first = ((number - before) % stride + stride) % stride;
    f.count = f.first < size ? (size - 1 - f.first) / stride + 1 : 0;
    f.taps = number < kernel ? (kernel - 1 - number) / stride + 1 : 0;
    f.before = f.taps - 1 - (f.first + before - number) / stride;
    return f;
}

/* The taps of phase (a, b), flipped and transposed: depth (t_h, t_w, k), columns j. */
static void pack_phase(const cn_conv_shape *s, int a, int b, int taps_h, int taps_w, const float *w,
                       float *packed)
{
    for (int column = 0; column < s->c; column += PANEL) {
        const int width = panel_vectors_at(s->c, column) * LANES;
        const int n = smaller(width, s->c - column);
        for (int th = taps_h - 1; th >= 0; th--) {
            for (int tw = taps_w - 1; tw >= 0; tw--, packed += (ptrdiff_t)s->oc * width) {
                const int u = a + th * s->sh, v = b + tw * s->sw;
                const float *tap = w + (((ptrdiff_t)u * s->fw + v) * s->c + column) * s->oc;
                for (int k = 0; k < s->oc; k++) {
                    for (int j = 0; j < n; j++)
                        packed[(ptrdiff_t)k * width + j] = tap[(ptrdiff_t)j * s->oc + k];
                    for (int j = n; j < width; j++) packed[(ptrdiff_t)k * width + j] = 0;
                }
            }
        }
    }
}

static correlation phase_correlation(const cn_conv_shape *s, const phase *v, const phase *h,
                                     const float *dy, float *dx, int threads)
{
    const cn_conv_shape flipped = {.m = s->m,
                                   .h = s->oh,
                                   .w = s->ow,
                                   .c = s->oc,
                                   .fh = v->taps,
                                   .fw = h->taps,
                                   .sh = 1,
                                   .sw = 1,
                                   .pt = v->before,
                                   .pl = h->before,
                                   .oh = v->count,
                                   .ow = h->count,
                                   .oc = s->c};
    correlation f = {.g = pictures_of(&flipped, dy, s->sh == 1 && s->sw == 1),
                     .oc = s->c,
                     .y = dx + ((ptrdiff_t)v->first * s->w + h->first) * s->c,
                     .y_pixel = (ptrdiff_t)s->sw * s->c,
                     .y_row = (ptrdiff_t)s->sh * s->w * s->c,
                     .y_image = (ptrdiff_t)s->h * s->w * s->c};
    plan_correlation(&f, threads);
    return f;
}

static void backward_data_by_phases(const cn_conv_shape *s, const float *dy, const float *w,
                                    float *dx, float *scratch, cn_pool *pool)
{
    for (int a = 0; a < s->sh; a++) {
        for (int b = 0; b < s->sw; b++) {
            const phase v = phase_of(a, s->h, s->fh, s->sh, s->pt);
            const phase h = phase_of(b, s->w, s->fw, s->sw, s->pl);
            if (v.count == 0 || h.count == 0) continue;
            correlation f = phase_correlation(s, &v, &h, dy, dx, cn_pool_threads(pool));
            pack_phase(s, a, b, v.taps, h.taps, w, scratch);
            f.packed = scratch;
            f.scratch = scratch + packed_floats(v.taps * h.taps * s->oc, s->c);
            correlate(&f, pool);
        }
    }
}

/* ---- backward data with few input channels: products, then sums */

/*
 * The other order of the same sum. Where c fills a fraction of a vector, the (u, v, j) of a whole
 * window fill them all: for each pixel of dy first the products
 *     t[p, q, (u, v, j)] = sum_k dy[p, q, k] w[u,v,j,k]
 * a few rows at a time, and then each window is added where it lies: dx[p sh + u - pt, ...] += t.
 */
enum { PRODUCT_FLOATS = 4 * 1024 }; /* of t at a time: half of the first-level cache */

typedef struct products {
    const cn_conv_shape *s;
    const float *dy, *packed;
    float *dx, *scratch;
    int width, rows; /* of t: a pixel's floats, whole vectors; output rows at a time */
} products;

static products products_of(const cn_conv_shape *s)
{
    products f = {.s = s, .width = parts_of(s->fh * s->fw * s->c, LANES) * LANES};
    const int row = smaller(PRODUCT_FLOATS, f.width) * smaller(PRODUCT_FLOATS, s->ow);
    f.rows = smaller(s->oh, larger(1, PRODUCT_FLOATS / row));
    return f;
}

static size_t products_floats(const products *f)
{
    return (size_t)f->rows * (size_t)f->s->ow * (size_t)f->width + LANES;
}

/* The transpose of w [(u, v, j)][k]: depth k, columns (u, v, j). */
static void pack_transposed(const cn_conv_shape *s, const float *w, float *packed)
{
    const int columns = s->fh * s->fw * s->c, depth = s->oc;
    for (int column = 0; column < columns; column += PANEL) {
        const int width = panel_vectors_at(columns, column) * LANES;
        for (int k = 0; k < depth; k++, packed += width)
            for (int j = 0; j < width; j++)
                packed[j] = column + j < columns ? w[(ptrdiff_t)(column + j) * depth + k] : 0;
    }
}

/* x[0..n-1] += t[0..n-1]. In whole vectors, which add 0 to what lies behind, unless `last`: what
 * lies behind a picture may be another thread's. */
INLINE void add_run(float *x, const float *t, int n, vi tail, bool last)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES) store(x + j, load(x + j) + load(t + j));
    if (!last)
        store(x + j, load(x + j) + choose(tail, load(t + j), (vf){0}));
    else
        for (; j < n; j++) x[j] += t[j];
}

/* Adds the windows of row p of dy, which begin every `width` floats of t, to the picture dx. */
static void add_windows(const cn_conv_shape *s, const float *t, int width, int p, float *dx)
{
    const int run = s->fw * s->c, top = p * s->sh - s->pt;
    const int u0 = larger(0, -top), u1 = smaller(s->fh, s->h - top);
    const ptrdiff_t row = (ptrdiff_t)s->w * s->c;
    const float *end = dx + s->h * row; /* of the picture: rows may be shorter than a vector */
    for (int q = 0; q < s->ow; q++, t += width) {
        const int left = q * s->sw - s->pl;
        const int v0 = larger(0, -left), v1 = smaller(s->fw, s->w - left);
        if (v0 >= v1) continue;
        const int n = (v1 - v0) * s->c;
        const vi tail = first_lanes(n % LANES);
        float *x = dx + (top + u0) * row + (ptrdiff_t)(left + v0) * s->c;
        const float *from = t + u0 * run + v0 * s->c;
        for (int u = u0; u < u1; u++, x += row, from += run)
            add_run(x, from, n, tail, end - x < n + LANES);
    }
}

static void products_unit(void *argument, int unit, int worker)
{
    const products *f = argument;
    const cn_conv_shape *s = f->s;
    const ptrdiff_t dy_row = (ptrdiff_t)s->ow * s->oc, in = (ptrdiff_t)s->h * s->w * s->c;
    const int columns = s->fh * s->fw * s->c;
    const float *dy = f->dy + unit * s->oh * dy_row;
    float *dx = f->dx + unit * in, *t = f->scratch + (size_t)worker * products_floats(f);
    memset(dx, 0, (size_t)in * sizeof *dx);
    for (int p0 = 0; p0 < s->oh; p0 += f->rows) {
        const int p1 = smaller(s->oh, p0 + f->rows);
        for (int column = 0; column < columns; column += PANEL) {
            const int vectors = panel_vectors_at(columns, column), width = vectors * LANES;
            tile job = {.a = dy + p0 * dy_row,
                        .b = f->packed + (ptrdiff_t)s->oc * column,
                        .c = t + column,
                        .N = 1,
                        .T = 1,
                        .K = s->oc,
                        .lda = s->oc,
                        .ldb = width,
                        .ldc = f->width,
                        .columns = width};
            run_rows(&job, (p1 - p0) * s->ow, vectors);
        }
        for (int p = p0; p < p1; p++)
            add_windows(s, t + (ptrdiff_t)(p - p0) * s->ow * f->width, f->width, p, dx);
    }
}

/* Whether the products take fewer vector operations a picture than the phases: a sum is counted as
 * 5 multiply-adds (it loads, adds and stores), tiles of one vector as in fold. */
static bool products_pay(const cn_conv_shape *s)
{
    const double pixels = (double)s->oh * s->ow, taps = (double)s->fh * s->fw;
    const double one_vector = s->c <= LANES ? 1.5 : 1;
    const double by_phases =
        (double)s->h * s->w / (s->sh * s->sw) * taps * s->oc * parts_of(s->c, LANES) * one_vector;
    const double by_products = pixels * (s->oc * (double)parts_of(s->fh * s->fw * s->c, LANES) +
                                         5.0 * s->fh * parts_of(s->fw * s->c, LANES));
    return by_products < by_phases;
}

static void direct_backward_data(const cn_conv_shape *s, const float *dy, const float *w, float *dx,
                                 float *scratch, cn_pool *pool)
{
    if (!products_pay(s)) {
        backward_data_by_phases(s, dy, w, dx, scratch, pool);
        return;
    }
    products f = products_of(s);
    pack_transposed(s, w, scratch);
    f.dy = dy;
    f.dx = dx;
    f.packed = scratch;
    f.scratch = scratch + packed_floats(s->oc, s->fh * s->fw * s->c);
    cn_pool_run(pool, s->m, products_unit, &f);
}

/* ---- backward weights */

typedef struct weights_gradient {
    pictures g;
    const float *dy;
    float *dw, *db;
    int oc, biases;
    int panels, tiles; /* of dw's columns, and of the fw c rows of one kernel row */
    int shares;        /* parts that dw is shared out in */
    float *scratch;
    size_t band, panel; /* floats of a worker's: padded rows of x, a panel of dy */
} weights_gradient;

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
        for (size_t j = 0; j < period; j += LANES) {
            vf sum = {0};
            for (size_t p = 0; p < whole; p++) sum += load(dy + p * period + j);
            store(sums + j, sum);
        }
        for (size_t j = 0; j < period; j++) db[j % (size_t)oc] += sums[j];
        done = whole * (size_t)together;
    }
    for (size_t p = done; p < pixels; p++)
        for (int k = 0; k < oc; k++) db[k] += dy[p * (size_t)oc + (size_t)k];
}

/* What is summed over at a time: output rows p0 <= p < p1 and columns q0 <= q < q1 of pictures
 * i0 <= i < i1, with their rows of x and one panel of dy. */
typedef struct piece {
    int i0, i1, p0, p1, q0, q1;
    const float *rows; /* see padded_rows */
    ptrdiff_t image;
    const float *dy; /* at (i0, p0, q0) and the panel's first column */
    ptrdiff_t dy_image, dy_row, dy_pixel;
} piece;

/*
 * The panel's columns of dy. Where they are part of a longer pixel they are copied side by side:
 * pixels that lie a power of two apart would share a few sets of the first-level cache, and push
 * each other out.
 */
static void take_panel(const weights_gradient *s, int panel, float *copy, piece *z)
{
    const pictures *g = &s->g;
    const int column = panel * PANEL, width = panel_vectors_at(s->oc, column) * LANES;
    const ptrdiff_t row = (ptrdiff_t)g->ow * s->oc;
    const float *from =
        s->dy + ((ptrdiff_t)z->i0 * g->oh + z->p0) * row + (ptrdiff_t)z->q0 * s->oc + column;
    z->dy = from;
    z->dy_pixel = s->oc;
    z->dy_row = row;
    z->dy_image = g->oh * row;
    if (s->oc <= PANEL) return;
    z->dy = copy;
    z->dy_pixel = width;
    z->dy_row = (ptrdiff_t)(z->q1 - z->q0) * width;
    z->dy_image = (z->p1 - z->p0) * z->dy_row;
    for (int i = z->i0; i < z->i1; i++, from += g->oh * row)
        for (int p = 0; p < z->p1 - z->p0; p++)
            for (int q = 0; q < z->q1 - z->q0; q++, copy += width)
                for (int j = 0; j < width; j += LANES)
                    store(copy + j, load(from + p * row + (ptrdiff_t)q * s->oc + j));
}

/* Entry (panel, kernel row u, tile of rows) of dw, summed over one piece. */
static void add_gradient(const weights_gradient *s, const piece *z, int entry)
{
    const pictures *g = &s->g;
    const int part = entry % s->tiles, u = entry / s->tiles % g->fh;
    const int depth = g->fw * g->c, column = entry / s->tiles / g->fh * PANEL;
    const int vectors = panel_vectors_at(s->oc, column);
    const int count = tiles_of(depth, panel_rows(vectors));
    if (part >= count) return;
    const int n = depth / count + (part < depth % count);
    const int row = part * (depth / count) + smaller(part, depth % count);
    /* The output rows whose kernel row u lies inside the picture: 0 <= p sh + u - pt < h. */
    const int low = larger(z->p0, g->pt > u ? parts_of(g->pt - u, g->sh) : 0);
    const int last = g->h - 1 + g->pt - u;
    const int high = smaller(z->p1, last < 0 ? 0 : last / g->sh + 1);
    if (low >= high) return;
    const tile job = {.a = z->rows + (low * g->sh + u - g->pt) * g->row +
                           (ptrdiff_t)z->q0 * g->sw * g->c + row,
                      .b = z->dy + (low - z->p0) * z->dy_row,
                      .c = s->dw + ((ptrdiff_t)u * depth + row) * s->oc + column,
                      .N = z->i1 - z->i0,
                      .T = high - low,
                      .K = z->q1 - z->q0,
                      .an = z->image,
                      .at = g->sh * g->row,
                      .lda = (ptrdiff_t)g->sw * g->c,
                      .bn = z->dy_image,
                      .bt = z->dy_row,
                      .ldb = z->dy_pixel,
                      .ldc = s->oc,
                      .columns = smaller(s->oc - column, vectors * LANES),
                      .accumulate = true};
    tiles[1][vectors - 1][n - 1](&job);
}

/* A share of dw's entries over all pictures: who computes an entry does not change its sum. The
 * first unit is db. */
static void gradient_unit(void *argument, int unit, int worker)
{
    const weights_gradient *s = argument;
    const pictures *g = &s->g;
    if (unit == 0) {
        const size_t floats = (size_t)g->m * (size_t)g->oh * (size_t)g->ow * (size_t)s->oc;
        if (s->db) add_columns(floats / (size_t)s->biases, s->biases, s->dy, s->db);
        return;
    }
    const int per_panel = g->fh * s->tiles, entries = s->panels * per_panel, share = unit - 1;
    const int e0 = (int)((int64_t)share * entries / s->shares);
    const int e1 = (int)((int64_t)(share + 1) * entries / s->shares);
    float *band = s->scratch + (size_t)worker * (s->band + s->panel);
    for (int part = 0; part < g->groups * g->bands * g->runs; part++) {
        piece z = {.i0 = part / g->runs / g->bands * g->group,
                   .p0 = part / g->runs % g->bands * g->band_rows,
                   .q0 = part % g->runs * g->run};
        z.i1 = smaller(g->m, z.i0 + g->group);
        z.p1 = smaller(g->oh, z.p0 + g->band_rows);
        z.q1 = smaller(g->ow, z.q0 + g->run);
        z.rows = padded_rows(g, z.i0, z.i1, z.p0, z.p1, band, &z.image);
        for (int e = e0; e < e1; e++) {
            if (e == e0 || e % per_panel == 0) take_panel(s, e / per_panel, band + s->band, &z);
            add_gradient(s, &z, e);
        }
    }
}

/* Of the folded convolution. */
static weights_gradient gradient_of(const cn_conv_shape *s, const float *x)
{
    weights_gradient f = {.g = pictures_of(s, x, true), .oc = s->oc};
    split(&f.g, BAND_FLOATS, PANEL, GRADIENT_PIXELS, f.g.m);
    f.panels = parts_of(s->oc, PANEL);
    f.tiles = tiles_of(f.g.fw * f.g.c, s->oc > LANES ? TILE_ROWS_2 : TILE_ROWS_1);
    f.band = band_floats(&f.g);
    if (s->oc > PANEL)
        f.panel = (size_t)f.g.group * (size_t)f.g.band_rows * (size_t)f.g.run * PANEL;
    return f;
}

/* dw[u,v,j,k] += sum_e dw'[u, v + e sw, j, (e, k)], the gradient of fold's w'. */
static void unfold(const cn_conv_shape *s, const folded *f, const float *wide, float *dw)
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

static size_t wide_floats(const folded *f)
{
    return f->g == 1 ? 0 : (size_t)f->s.fh * (size_t)f->s.fw * (size_t)f->s.c * (size_t)f->s.oc;
}

static void direct_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                    float *dw, float *db, float *scratch, cn_pool *pool)
{
    const folded wide = fold(s);
    weights_gradient f = gradient_of(&wide.s, x);
    f.dy = dy;
    f.dw = wide.g == 1 ? dw : scratch;
    f.db = db;
    f.biases = s->oc;
    f.scratch = scratch + wide_floats(&wide);
    f.shares = cn_pool_threads(pool);
    memset(scratch, 0, wide_floats(&wide) * sizeof *scratch);
    cn_pool_run(pool, 1 + f.shares, gradient_unit, &f);
    if (wide.g > 1) unfold(s, &wide, scratch, dw);
}

/* ---- scratch memory: the most that one of the passes takes */

static size_t direct_scratch(const cn_conv_shape *s, int threads)
{
    const size_t workers = (size_t)threads;
    const folded wide = fold(s);
    size_t most = forward_correlation(s, NULL, NULL, threads).band * workers;
    const weights_gradient gradient = gradient_of(&wide.s, NULL);
    const size_t weights = (gradient.band + gradient.panel) * workers + wide_floats(&wide);
    if (weights > most) most = weights;
    if (products_pay(s)) {
        const products f = products_of(s);
        const size_t data =
            products_floats(&f) * workers + packed_floats(s->oc, s->fh * s->fw * s->c);
        return data > most ? data : most;
    }
    for (int a = 0; a < s->sh; a++) {
        for (int b = 0; b < s->sw; b++) {
            const phase v = phase_of(a, s->h, s->fh, s->sh, s->pt);
            const phase h = phase_of(b, s->w, s->fw, s->sw, s->pl);
            if (v.count == 0 || h.count == 0) continue;
            const size_t data = phase_correlation(s, &v, &h, NULL, NULL, threads).band * workers +
                                packed_floats(v.taps * h.taps * s->oc, s->c);
            if (data > most) most = data;
        }
    }
    return most;
}

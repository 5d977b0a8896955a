/*
 * backward_data_template.h - the gradient of a convolution's input, in three ways.
 *
 *     dx[i,r,s,j] = sum_{u,v,k : r = p sh + u - pt, s = q sw + v - pl} dy[i,p,q,k] w[u,v,j,k]
 */

/* ---- one correlation of dy with flipped weights for each phase of the stride */

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
typedef struct phase_packing {
    const cn_conv_shape *s;
    int a, b, taps_h, taps_w;
    const float *w;
    float *packed;
} phase_packing;

/* One tap of a panel of n columns: packed[k][j] = tap[j][k]. */
static void pack_tap(const float *tap, int depth, int n, int width, float *packed)
{
    for (int j = 0; j < width; j += LANES) {
        for (int k = 0; k < depth; k += LANES) {
            const int rows = smaller(LANES, n - j), columns = smaller(LANES, depth - k);
            vf square[LANES] = {{0}};
            const float *from = tap + (ptrdiff_t)j * depth + k;
            if (rows == LANES && columns == LANES) {
                turn(from, depth, square);
            } else {
                for (int l = 0; l < rows; l++)
                    for (int i = 0; i < columns; i++) square[i][l] = from[(ptrdiff_t)l * depth + i];
            }
            for (int i = 0; i < columns; i++)
                store(packed + (ptrdiff_t)(k + i) * width + j, square[i]);
        }
    }
}

static void phase_unit(void *argument, int unit, int worker)
{
    const phase_packing *z = argument;
    const cn_conv_shape *s = z->s;
    const int column = unit * PANEL, width = panel_vectors_at(s->c, column) * LANES;
    float *packed = z->packed + (ptrdiff_t)z->taps_h * z->taps_w * s->oc * column;
    (void)worker;
    for (int th = z->taps_h - 1; th >= 0; th--) {
        for (int tw = z->taps_w - 1; tw >= 0; tw--, packed += (ptrdiff_t)s->oc * width) {
            const int u = z->a + th * s->sh, v = z->b + tw * s->sw;
            const float *tap = z->w + (((ptrdiff_t)u * s->fw + v) * s->c + column) * s->oc;
            pack_tap(tap, s->oc, smaller(width, s->c - column), width, packed);
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
                                   .oc = s->c,
                                   .halves = s->halves};
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
            const size_t floats = packed_floats(v.taps * h.taps * s->oc, s->c);
            phase_packing z = {s, a, b, v.taps, h.taps, w, scratch};
            cn_pool_run(packers(floats, pool), parts_of(s->c, PANEL), phase_unit, &z);
            f.packed = scratch;
            f.scratch = scratch + floats;
            correlate(&f, pool);
        }
    }
}

/* ---- 1 x 1 with a stride: one long row of products, spread over dx */

/*
 * Only every sh-th row and sw-th column of dx was seen, each pixel by one of dy. As in the forward
 * pass the pixels of dy are one long row, whatever the length of the picture's; first, a run of
 * pixels and a share of the channels at a time,
 *     t[q, j] = sum_k dy[q, k] w[j, k]
 * and then t is copied to where it belongs, with the zeros around it: dx is written once, in order.
 */
typedef struct spreading {
    const cn_conv_shape *s;
    const float *dy, *packed;
    float *dx, *scratch;
    int pixels, columns; /* of t */
    int depth;           /* pairs of a pixel of dy, which are copied behind t; 0 without them */
} spreading;

static bool spreads(const cn_conv_shape *s)
{
    return s->fh == 1 && s->fw == 1 && (s->sh > 1 || s->sw > 1) && s->pt == 0 && s->pl == 0 &&
           (s->oh - 1) * s->sh < s->h && (s->ow - 1) * s->sw < s->w &&
           (int64_t)s->m * s->oh * s->ow <= INT32_MAX;
}

static spreading spreading_of(const cn_conv_shape *s)
{
    spreading f = {.s = s, .pixels = smaller(RUN_PIXELS, s->m * s->oh * s->ow)};
    f.columns = smaller(parts_of(s->c, PANEL), BAND_FLOATS / RUN_PIXELS / PANEL) * PANEL;
    f.depth = s->halves ? s->oc : 0;
    return f;
}

static size_t spreading_floats(const spreading *f)
{
    return (size_t)f->pixels * (size_t)(f->columns + f->depth);
}

/* Channels j0 <= j < j1 of pixel q of the long row, and the zeros up to the next one. */
static void spread_pixel(const cn_conv_shape *s, int q, int j0, int j1, const float *t, float *dx)
{
    const int column = q % s->ow, row = q / s->ow % s->oh, image = q / s->ow / s->oh;
    const int r1 = row + 1 < s->oh ? (row + 1) * s->sh : s->h;
    const int c1 = column + 1 < s->ow ? (column + 1) * s->sw : s->w;
    const size_t bytes = (size_t)(j1 - j0) * sizeof *dx;
    for (int r = row * s->sh; r < r1; r++)
        for (int c = column * s->sw; c < c1; c++) {
            float *x = dx + (((ptrdiff_t)image * s->h + r) * s->w + c) * s->c + j0;
            if (r == row * s->sh && c == column * s->sw)
                memcpy(x, t, bytes);
            else
                memset(x, 0, bytes);
        }
}

static void spread_unit(void *argument, int unit, int worker)
{
    const spreading *f = argument;
    const cn_conv_shape *s = f->s;
    const int shares = parts_of(s->c, f->columns), j0 = unit % shares * f->columns;
    const int j1 = smaller(s->c, j0 + f->columns), q0 = unit / shares * f->pixels;
    const int q1 = smaller(s->m * s->oh * s->ow, q0 + f->pixels);
    float *t = f->scratch + (size_t)worker * spreading_floats(f);
    float *pairs = t + (ptrdiff_t)f->pixels * f->columns;
    if (f->depth) pair_pixels(f->dy + (ptrdiff_t)q0 * s->halves, q1 - q0, s->halves, pairs);
    for (int column = j0; column < j1; column += PANEL) {
        const int vectors = panel_vectors_at(s->c, column), width = vectors * LANES;
        tile job = {.a = f->depth ? pairs : f->dy + (ptrdiff_t)q0 * s->oc,
                    .b = f->packed + (ptrdiff_t)s->oc * column,
                    .c = t + column - j0,
                    .N = 1,
                    .T = 1,
                    .K = s->oc,
                    .lda = s->oc,
                    .ldc = f->columns,
                    .columns = width,
                    .pairs = f->depth > 0};
        run_rows(&job, false, q1 - q0, vectors);
    }
    for (int q = q0; q < q1; q++)
        spread_pixel(s, q, j0, j1, t + (ptrdiff_t)(q - q0) * f->columns, f->dx);
}

static void backward_data_by_spreading(const cn_conv_shape *s, const float *dy, const float *w,
                                       float *dx, float *scratch, cn_pool *pool)
{
    const size_t floats = packed_floats(s->oc, s->c);
    phase_packing z = {s, 0, 0, 1, 1, w, scratch};
    spreading f = spreading_of(s);
    f.dy = dy;
    f.dx = dx;
    f.packed = scratch;
    f.scratch = scratch + floats;
    cn_pool_run(packers(floats, pool), parts_of(s->c, PANEL), phase_unit, &z);
    cn_pool_run(pool, parts_of(s->m * s->oh * s->ow, f.pixels) * parts_of(s->c, f.columns),
                spread_unit, &f);
}

/* ---- few input channels: products, then sums */

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
                        .ldc = f->width,
                        .columns = width};
            run_rows(&job, false, (p1 - p0) * s->ow, vectors);
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
    if (spreads(s)) {
        backward_data_by_spreading(s, dy, w, dx, scratch, pool);
        return;
    }
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

/*
 * depthwise_template.h - a convolution of every channel by itself; vectors run over the channels.
 *
 *     y[i,p,q,k]  = b[k] + sum_{u,v} x[i, p sh + u dh - pt, q sw + v dw - pl, k] w[u,v,k]
 *     dx[i,r,s,k] = sum_{u,v : r = p sh + u dh - pt, s = q sw + v dw - pl} dy[i,p,q,k] w[u,v,k]
 *     dw[u,v,k]   = sum_{i,p,q} x[i, p sh + u dh - pt, q sw + v dw - pl, k] dy[i,p,q,k]
 *
 * Without a sum over channels there is little to multiply, and the memory decides: each number of x
 * and y should cross it once. So rows are done one after the other, while the rows above are still
 * in the cache, and a few neighbours of a row at a time, whose windows overlap: a number that was
 * loaded is multiplied by every tap of its kernel row that sees it.
 */

enum {
    BLOCK = 4,               /* neighbours done at a time */
    MOST_TAPS = 7,           /* of a kernel row, for blocks */
    CHUNK = 16 * LANES,      /* channels taken along a row: their taps stay in the first cache */
    BAND_OUTPUTS = 16 * 1024 /* floats of a unit of work */
};

/* One row of outputs, and the taps that it sums over: output q and tap v meet in the input's column
 * first + q step + v gap, where there is one. */
typedef struct line {
    const float *x, *w;     /* the first kernel row that lies in the picture: its column 0, tap 0 */
    ptrdiff_t x_row, w_row; /* floats from one kernel row to the next */
    ptrdiff_t w_tap;        /* and from one tap to the next */
    int rows, taps;         /* kernel rows in the picture, taps of each */
    int first, step, gap;
    int width, channels; /* of the input's row */
    int count;           /* outputs */
    ptrdiff_t y_pixel;   /* floats from one output to the next */
} line;

/* The outputs q0 <= q < q1 whose windows do not leave the row. */
static void inner_part(const line *l, int *q0, int *q1)
{
    const int last = l->width - 1 - (l->taps - 1) * l->gap - l->first;
    *q0 = smaller(l->count, l->first < 0 ? parts_of(-l->first, l->step) : 0);
    *q1 = larger(*q0, smaller(l->count, last < 0 ? 0 : last / l->step + 1));
}

/* The taps v0 <= v < v1 of output q that lie in the row. */
INLINE void taps_inside(const line *l, int q, int *v0, int *v1)
{
    const int column = l->first + q * l->step;
    *v0 = column < 0 ? parts_of(-column, l->gap) : 0;
    *v1 = smaller(l->taps, column < l->width ? parts_of(l->width - column, l->gap) : 0);
}

/* The channel at which a vector of outputs begins: the last one is moved back so that it ends with
 * its pixel, and finds some channels twice. */
INLINE int moved_back(const line *l, int c)
{
    return smaller(c, larger(0, l->channels - LANES));
}

/* ---- forward: outputs in registers, taps walk by */

typedef struct output_sums {
    line l;
    const float *bias; /* or NULL */
    float *y;
    bool relu;
} output_sums;

INLINE void put_sum(const output_sums *s, float *y, vf sum)
{
    if (s->relu) sum = relu_lanes(sum);
    if (s->l.channels >= LANES)
        store(y, sum);
    else
        store_part(y, sum, s->l.channels);
}

/* Outputs q .. q + BLOCK - 1, channels c .., of TAPS taps a kernel row and the step STEP. */
INLINE void output_block(const int TAPS, const int STEP, const output_sums *s, int q, int c)
{
    const line *l = &s->l;
    vf acc[BLOCK];
    UNROLL
    for (int j = 0; j < BLOCK; j++) acc[j] = s->bias ? load(s->bias + c) : (vf){0};
    const float *x = l->x + (ptrdiff_t)(l->first + q * l->step) * l->channels + c;
    const float *w = l->w + c;
    for (int u = 0; u < l->rows; u++, x += l->x_row, w += l->w_row) {
        vf tap[MOST_TAPS];
        UNROLL
        for (int v = 0; v < TAPS; v++) tap[v] = load(w + v * l->w_tap);
        UNROLL
        for (int i = 0; i < (BLOCK - 1) * STEP + TAPS; i++) {
            const vf e = load(x + (ptrdiff_t)i * l->channels);
            UNROLL
            for (int v = 0; v < TAPS; v++)
                if (i >= v && (i - v) % STEP == 0 && (i - v) / STEP < BLOCK)
                    acc[(i - v) / STEP] += e * tap[v];
        }
    }
    UNROLL
    for (int j = 0; j < BLOCK; j++) put_sum(s, s->y + (q + j) * l->y_pixel + c, acc[j]);
}

/* Any output, VECTORS vectors of channels from c on. */
INLINE void output_pixel(const int VECTORS, const output_sums *s, int q, int c)
{
    const line *l = &s->l;
    vf acc[4];
    int v0, v1;
    taps_inside(l, q, &v0, &v1);
    UNROLL
    for (int j = 0; j < VECTORS; j++) acc[j] = s->bias ? load(s->bias + c + j * LANES) : (vf){0};
    for (int u = 0; u < l->rows; u++) {
        for (int v = v0; v < v1; v++) {
            const float *x = l->x + u * l->x_row + c +
                             (ptrdiff_t)(l->first + q * l->step + v * l->gap) * l->channels;
            const float *w = l->w + u * l->w_row + v * l->w_tap + c;
            UNROLL
            for (int j = 0; j < VECTORS; j++) acc[j] += load(x + j * LANES) * load(w + j * LANES);
        }
    }
    UNROLL
    for (int j = 0; j < VECTORS; j++) put_sum(s, s->y + q * l->y_pixel + c + j * LANES, acc[j]);
}

static void output_pixels(const output_sums *s, int q0, int q1, int c0, int c1)
{
    for (int q = q0; q < q1; q++) {
        int c = c0;
        for (; c + 4 * LANES <= c1; c += 4 * LANES) output_pixel(4, s, q, c);
        for (; c < c1; c += LANES) output_pixel(1, s, q, moved_back(&s->l, c));
    }
}

/* At least BLOCK outputs whose windows do not leave the row. The last block is moved back. */
INLINE void output_blocks(const int TAPS, const int STEP, const output_sums *s, int q0, int q1,
                          int c0, int c1)
{
    for (int q = q0; q < q1; q += BLOCK)
        for (int c = c0; c < c1; c += LANES)
            output_block(TAPS, STEP, s, smaller(q, q1 - BLOCK), moved_back(&s->l, c));
}

/* ---- backward weights: the same windows, with outputs given, and sums of taps */

typedef struct tap_sums {
    line l; /* its w unused */
    const float *dy;
    float *dw, *db; /* as the line's w; both in whole vectors */
} tap_sums;

INLINE void taps_block(const int TAPS, const int STEP, const tap_sums *s, int q, int c)
{
    const line *l = &s->l;
    vf d[BLOCK], sum = load(s->db + c);
    UNROLL
    for (int j = 0; j < BLOCK; j++) {
        d[j] = load(s->dy + (q + j) * l->y_pixel + c);
        sum += d[j];
    }
    store(s->db + c, sum);
    const float *x = l->x + (ptrdiff_t)(l->first + q * l->step) * l->channels + c;
    float *dw = s->dw + c;
    for (int u = 0; u < l->rows; u++, x += l->x_row, dw += l->w_row) {
        vf acc[MOST_TAPS];
        UNROLL
        for (int v = 0; v < TAPS; v++) acc[v] = load(dw + v * l->w_tap);
        UNROLL
        for (int i = 0; i < (BLOCK - 1) * STEP + TAPS; i++) {
            const vf e = load(x + (ptrdiff_t)i * l->channels);
            UNROLL
            for (int v = 0; v < TAPS; v++)
                if (i >= v && (i - v) % STEP == 0 && (i - v) / STEP < BLOCK)
                    acc[v] += e * d[(i - v) / STEP];
        }
        UNROLL
        for (int v = 0; v < TAPS; v++) store(dw + v * l->w_tap, acc[v]);
    }
}

static void taps_pixels(const tap_sums *s, int q0, int q1, int c0, int c1)
{
    const line *l = &s->l;
    for (int q = q0; q < q1; q++) {
        int v0, v1;
        taps_inside(l, q, &v0, &v1);
        for (int c = c0; c < c1; c += LANES) {
            const vf d = load(s->dy + q * l->y_pixel + c);
            store(s->db + c, load(s->db + c) + d);
            for (int u = 0; u < l->rows; u++) {
                for (int v = v0; v < v1; v++) {
                    const int column = l->first + q * l->step + v * l->gap;
                    const vf e = load(l->x + u * l->x_row + (ptrdiff_t)column * l->channels + c);
                    float *dw = s->dw + u * l->w_row + v * l->w_tap + c;
                    store(dw, load(dw) + e * d);
                }
            }
        }
    }
}

/* No sum may be added twice: what whole blocks leave over is done pixel by pixel. */
INLINE void taps_blocks(const int TAPS, const int STEP, const tap_sums *s, int q0, int q1, int c0,
                        int c1)
{
    int q = q0;
    for (; q + BLOCK <= q1; q += BLOCK)
        for (int c = c0; c < c1; c += LANES) taps_block(TAPS, STEP, s, q, c);
    taps_pixels(s, q, q1, c0, c1);
}

/* ---- the instances */

typedef void outputs_function(const output_sums *s, int q0, int q1, int c0, int c1);
typedef void taps_function(const tap_sums *s, int q0, int q1, int c0, int c1);

#define LINES(TAPS, STEP)                                                                     \
    static void outputs_##TAPS##x##STEP(const output_sums *s, int q0, int q1, int c0, int c1) \
    {                                                                                         \
        output_blocks(TAPS, STEP, s, q0, q1, c0, c1);                                         \
    }                                                                                         \
    static void taps_##TAPS##x##STEP(const tap_sums *s, int q0, int q1, int c0, int c1)       \
    {                                                                                         \
        taps_blocks(TAPS, STEP, s, q0, q1, c0, c1);                                           \
    }

LINES(1, 1)
LINES(2, 1)
LINES(3, 1)
LINES(4, 1)
LINES(5, 1)
LINES(6, 1)
LINES(7, 1)
LINES(1, 2)
LINES(2, 2)
LINES(3, 2)
LINES(4, 2)
LINES(5, 2)
LINES(6, 2)
LINES(7, 2)

#define LINES_OF(kind, STEP)                                                                 \
    {                                                                                        \
        kind##_1x##STEP, kind##_2x##STEP, kind##_3x##STEP, kind##_4x##STEP, kind##_5x##STEP, \
            kind##_6x##STEP, kind##_7x##STEP                                                 \
    }

static outputs_function *const outputs_lines[2][MOST_TAPS] = {LINES_OF(outputs, 1),
                                                              LINES_OF(outputs, 2)};
static taps_function *const taps_lines[2][MOST_TAPS] = {LINES_OF(taps, 1), LINES_OF(taps, 2)};

/* Are there instances for this line? */
INLINE bool has_blocks(const line *l, int q0, int q1)
{
    return l->gap == 1 && l->step <= 2 && l->taps <= MOST_TAPS && q1 - q0 >= BLOCK;
}

static void outputs_line(const output_sums *s)
{
    const line *l = &s->l;
    int q0, q1;
    inner_part(l, &q0, &q1);
    for (int c0 = 0; c0 < l->channels; c0 += CHUNK) {
        const int c1 = smaller(l->channels, c0 + CHUNK);
        if (!has_blocks(l, q0, q1)) {
            output_pixels(s, 0, l->count, c0, c1);
            continue;
        }
        output_pixels(s, 0, q0, c0, c1);
        outputs_lines[l->step - 1][l->taps - 1](s, q0, q1, c0, c1);
        output_pixels(s, q1, l->count, c0, c1);
    }
}

static void taps_line(const tap_sums *s, int c0, int c1)
{
    const line *l = &s->l;
    int q0, q1;
    inner_part(l, &q0, &q1);
    if (!has_blocks(l, q0, q1)) {
        taps_pixels(s, 0, l->count, c0, c1);
        return;
    }
    taps_pixels(s, 0, q0, c0, c1);
    taps_lines[l->step - 1][l->taps - 1](s, q0, q1, c0, c1);
    taps_pixels(s, q1, l->count, c0, c1);
}

/* ---- pictures */

typedef struct depthwise {
    const cn_conv_shape *s;
    int dh, dw;
    const float *x, *w, *dy, *bias;
    float *out; /* y or dx */
    bool relu;
    int band, bands; /* rows of `out` a unit, and units a picture */
    float *sums;     /* backward weights: each part's sums of taps, then of the bias */
    int pitch;       /* channels in whole vectors */
    int parts, shares;
} depthwise;

static depthwise depthwise_of(const cn_conv_shape *s)
{
    return (depthwise){.s = s,
                       .dh = larger(1, s->dh),
                       .dw = larger(1, s->dw),
                       .pitch = parts_of(s->oc, LANES) * LANES};
}

/* The line of output row p of picture i, with the weights' rows `pitch` floats wide. */
static line forward_line(const depthwise *f, int i, int p, int pitch)
{
    const cn_conv_shape *s = f->s;
    const ptrdiff_t row = (ptrdiff_t)s->w * s->oc;
    const int top = p * s->sh - s->pt;
    const int u0 = smaller(s->fh, top < 0 ? parts_of(-top, f->dh) : 0);
    const int u1 = smaller(s->fh, top < s->h ? parts_of(s->h - top, f->dh) : 0);
    return (line){.x = f->x + (ptrdiff_t)i * s->h * row + (top + (ptrdiff_t)u0 * f->dh) * row,
                  .w = f->w + (ptrdiff_t)u0 * s->fw * pitch,
                  .x_row = f->dh * row,
                  .w_row = (ptrdiff_t)s->fw * pitch,
                  .w_tap = pitch,
                  .rows = larger(0, u1 - u0),
                  .taps = s->fw,
                  .first = -s->pl,
                  .step = s->sw,
                  .gap = f->dw,
                  .width = s->w,
                  .channels = s->oc,
                  .count = s->ow,
                  .y_pixel = s->oc};
}

static void depthwise_unit(void *argument, int unit, int worker)
{
    const depthwise *f = argument;
    const cn_conv_shape *s = f->s;
    const int i = unit / f->bands, p0 = unit % f->bands * f->band;
    (void)worker;
    for (int p = p0; p < smaller(s->oh, p0 + f->band); p++) {
        const output_sums row = {.l = forward_line(f, i, p, s->oc),
                                 .bias = f->bias,
                                 .y = f->out + ((ptrdiff_t)i * s->oh + p) * s->ow * s->oc,
                                 .relu = f->relu};
        outputs_line(&row);
    }
}

static int rows_of_band(int rows, int width, int channels)
{
    const ptrdiff_t row = (ptrdiff_t)width * channels;
    return smaller(rows, row < BAND_OUTPUTS ? (int)(BAND_OUTPUTS / row) : 1);
}

/* w may be read a vector past its end. */
static void depthwise_forward(const cn_conv_shape *s, const float *x, const float *w,
                              const float *b, bool relu, float *y, cn_pool *pool)
{
    depthwise f = depthwise_of(s);
    f.x = x;
    f.w = w;
    f.bias = b;
    f.relu = relu;
    f.out = y;
    f.band = rows_of_band(s->oh, s->ow, s->oc);
    f.bands = parts_of(s->oh, f.band);
    cn_pool_run(pool, s->m * f.bands, depthwise_unit, &f);
}

/* ---- backward data */

/*
 * Along one axis element r of dx is reached by the taps u with r + before = p stride + u dilation
 * for some p. With g the greatest common divisor of stride and dilation, these are every
 * (stride / g)-th tap, and p goes down by dilation / g from one to the next. So a row of dx is a
 * few lines, one for each column modulo the stride, that sum over a part of the taps.
 */
typedef struct reach {
    int tap, count;     /* the first tap, and how many */
    int place;          /* p of the first */
    int tap_step, step; /* to the next tap; and how much less its p is */
} reach;

static int common_divisor(int a, int b)
{
    while (b) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static reach reach_of(int r, int before, int kernel, int stride, int dilation)
{
    const int g = common_divisor(stride, dilation);
    reach f = {.tap_step = stride / g, .step = dilation / g};
    for (int u = 0; u < smaller(kernel, f.tap_step); u++) {
        const int64_t distance = (int64_t)r + before - (int64_t)u * dilation;
        if (distance % stride != 0) continue;
        f.tap = u;
        f.count = parts_of(kernel - u, f.tap_step);
        f.place = (int)(distance / stride);
    }
    return f;
}

/* Leaves those taps whose p lies in 0 .. size - 1. */
static reach within(reach f, int size)
{
    const int skipped = f.place >= size ? parts_of(f.place - size + 1, f.step) : 0;
    const int end = smaller(f.count, f.place < 0 ? 0 : f.place / f.step + 1);
    f.count = larger(0, end - skipped);
    f.tap += skipped * f.tap_step;
    f.place -= skipped * f.step;
    return f;
}

static void depthwise_data_unit(void *argument, int unit, int worker)
{
    const depthwise *f = argument;
    const cn_conv_shape *s = f->s;
    const int i = unit / f->bands, r0 = unit % f->bands * f->band;
    const ptrdiff_t dy_row = (ptrdiff_t)s->ow * s->oc;
    (void)worker;
    for (int r = r0; r < smaller(s->h, r0 + f->band); r++) {
        const reach v = within(reach_of(r, s->pt, s->fh, s->sh, f->dh), s->oh);
        for (int t = 0; t < smaller(s->sw, s->w); t++) {
            const reach h = reach_of(t, s->pl, s->fw, s->sw, f->dw);
            /* The columns' taps in the order in which dy lies: from the last one. */
            const int last = larger(0, h.count - 1);
            const output_sums row = {
                .l = {.x = f->dy + ((ptrdiff_t)i * s->oh + v.place) * dy_row,
                      .w = f->w + ((ptrdiff_t)v.tap * s->fw + h.tap + last * h.tap_step) * s->oc,
                      .x_row = -v.step * dy_row,
                      .w_row = (ptrdiff_t)v.tap_step * s->fw * s->oc,
                      .w_tap = -(ptrdiff_t)h.tap_step * s->oc,
                      .rows = h.count > 0 ? v.count : 0,
                      .taps = last + 1,
                      .first = h.place - last * h.step,
                      .step = 1,
                      .gap = h.step,
                      .width = s->ow,
                      .channels = s->oc,
                      .count = (s->w - 1 - t) / s->sw + 1,
                      .y_pixel = (ptrdiff_t)s->sw * s->oc},
                .y = f->out + (((ptrdiff_t)i * s->h + r) * s->w + t) * s->oc};
            outputs_line(&row);
        }
    }
}

static void depthwise_backward_data(const cn_conv_shape *s, const float *dy, const float *w,
                                    float *dx, cn_pool *pool)
{
    depthwise f = depthwise_of(s);
    f.dy = dy;
    f.w = w;
    f.out = dx;
    f.band = rows_of_band(s->h, s->w, s->oc);
    f.bands = parts_of(s->h, f.band);
    cn_pool_run(pool, s->m * f.bands, depthwise_data_unit, &f);
}

/* ---- backward weights */

/* dw is small, and every output gives to all of it. So the rows of all pictures are cut into parts,
 * as many as the shape says, each with sums of its own, which are then added in their order. */
enum { MOST_PARTS = 32, PART_OUTPUTS = 256 };

static int gradient_parts(const cn_conv_shape *s)
{
    const double outputs = (double)s->m * s->oh * s->ow;
    const int rows = s->m > INT32_MAX / s->oh ? INT32_MAX : s->m * s->oh;
    return larger(1,
                  smaller(rows, outputs / PART_OUTPUTS < MOST_PARTS ? (int)(outputs / PART_OUTPUTS)
                                                                    : MOST_PARTS));
}

static size_t part_floats(const depthwise *f)
{
    return (size_t)(f->s->fh * f->s->fw + 1) * (size_t)f->pitch;
}

static size_t depthwise_scratch(const cn_conv_shape *s)
{
    const depthwise f = depthwise_of(s);
    return (size_t)gradient_parts(s) * part_floats(&f);
}

/* A share of the channels, of one part of the rows. */
static void depthwise_weights_unit(void *argument, int unit, int worker)
{
    const depthwise *f = argument;
    const cn_conv_shape *s = f->s;
    const int part = unit / f->shares, share = unit % f->shares;
    const int chunks = parts_of(s->oc, CHUNK), taps = s->fh * s->fw;
    const int from = share * chunks / f->shares * CHUNK;
    const int to = smaller(f->pitch, (share + 1) * chunks / f->shares * CHUNK);
    const int64_t rows = (int64_t)s->m * s->oh;
    float *own = f->sums + (size_t)part * part_floats(f);
    (void)worker;
    for (int t = 0; t <= taps; t++)
        memset(own + (ptrdiff_t)t * f->pitch + from, 0, (size_t)(to - from) * sizeof *own);
    for (int64_t r = rows * part / f->parts; r < rows * (part + 1) / f->parts; r++) {
        tap_sums row = {.l = forward_line(f, (int)(r / s->oh), (int)(r % s->oh), f->pitch),
                        .dy = f->dy + r * s->ow * s->oc,
                        .db = own + (ptrdiff_t)taps * f->pitch};
        row.dw = own + (row.l.w - f->w);
        for (int c = from; c < to; c += CHUNK) taps_line(&row, c, smaller(to, c + CHUNK));
    }
}

/* out[c] += the parts' sums[c]. */
static void add_parts(const depthwise *f, const float *part_sums, float *out)
{
    const size_t step = part_floats(f);
    for (int c = 0; c < f->s->oc; c += LANES) {
        vf sum = {0};
        for (int part = 0; part < f->parts; part++)
            sum += load(part_sums + (size_t)part * step + c);
        for (int j = 0; j < smaller(LANES, f->s->oc - c); j++) out[c + j] += sum[j];
    }
}

static void depthwise_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                       float *dw, float *db, float *scratch, cn_pool *pool)
{
    depthwise f = depthwise_of(s);
    const int taps = s->fh * s->fw;
    f.x = x;
    f.dy = dy;
    f.w = f.sums = scratch;
    f.parts = gradient_parts(s);
    f.shares = smaller(parts_of(s->oc, CHUNK), parts_of(UNITS * cn_pool_threads(pool), f.parts));
    cn_pool_run(pool, f.parts * f.shares, depthwise_weights_unit, &f);
    for (int t = 0; t < taps; t++)
        add_parts(&f, scratch + (ptrdiff_t)t * f.pitch, dw + (ptrdiff_t)t * s->oc);
    if (db) add_parts(&f, scratch + (ptrdiff_t)taps * f.pitch, db);
}

/*
 * depthwise_template.h - depthwise convolution (every channel by itself), forward and backward
 * data; vectors run over the channels.
 *
 *     y[i,p,q,k]  = b[k] + sum_{u,v} x[i,r,s,k] w[u,v,k]
 *     dx[i,r,s,k] = sum_{u,v} dy[i,p,q,k] w[u,v,k]
 *     with          r = p sh + u d_h - pt,  s = q sw + v d_w - pl,  dilations d_h and d_w
 *
 * Without a sum over channels there is little arithmetic, and memory bandwidth decides: each number
 * of x and y should be transferred once, in memory order. So each row of x is read as a whole, and
 * copied with its zeros into planes of 16 channels. In a plane neighbors are adjacent, where in x
 * they lie n_C floats apart (and would evict each other from the cache where that is a power of
 * two). Planes are ring buffers: a new row replaces one that no later window reads, so that they
 * stay in the second-level cache. Then a row of y is computed, plane by plane.
 *
 * Parameter: LANES. Provides: depthwise, ring, forward and backward data.
 */
#ifndef CN_DEPTHWISE_TEMPLATE_H
#define CN_DEPTHWISE_TEMPLATE_H

#include "kernels/conv/direct_template.h"

enum {
    LINE = 16, /* channels of a plane: a cache line, which is written as a whole */
    VECTORS = LINE / LANES,
    BLOCK = LANES == 16 ? 8 : 4, /* neighboring outputs whose sums are in registers */
    MOST_TAPS = 9                /* taps whose sums, and addresses, are in registers */
};

/* ---- rows in a ring */

typedef struct ring_shape {
    int h, w, c;       /* of the tensor that rows are copied from */
    int left, columns; /* zeros before a row's copy; its length with all zeros */
    int slots;         /* rows of the ring: those that a window reads */
    int planes;
    ptrdiff_t row, plane; /* floats */
} ring_shape;

/* Computes the other members. */
static void finish_ring(ring_shape *g)
{
    g->planes = div_ceil(g->c, LINE);
    g->row = (ptrdiff_t)g->columns * LINE;
    g->plane = g->slots * g->row;
}

static size_t ring_floats(const ring_shape *g)
{
    return (size_t)g->planes * (size_t)g->plane;
}

typedef struct ring {
    const ring_shape *g;
    const float *image;
    float *planes;
    int first, end; /* the planes in use */
    int next;       /* the first row not yet copied */
} ring;

/* Splits n pixels of c channels into planes first .. end - 1, which lie `plane` floats apart. After
 * the last channel a plane holds what follows in memory, or zeros at the end of x: results there
 * are not used. */
static void split_pixels(const float *from, int n, int c, int first, int end, float *to,
                         ptrdiff_t plane)
{
    for (int q = 0; q < n; q++, from += c, to += LINE) {
        const int whole = q == n - 1 ? min(end, c / LINE) : end;
        for (int k = first; k < whole; k++) {
            UNROLL
            for (int j = 0; j < LINE; j += LANES)
                store(to + k * plane + j, load(from + k * LINE + j));
        }
        for (int k = max(first, whole); k < end; k++) {
            memset(to + k * plane, 0, LINE * sizeof *to);
            memcpy(to + k * plane, from + k * LINE, (size_t)(c - k * LINE) * sizeof *to);
        }
    }
}

/* Copies those of the rows first <= r < end that the ring does not hold yet; calls go upwards. */
static void load_rows(ring *z, int first, int end)
{
    const ring_shape *g = z->g;
    const int inside = min(g->w, g->columns - g->left);
    const size_t zeros = (size_t)g->left * LINE, copied = (size_t)inside * LINE;
    for (int r = max(z->next, first); r < end; r++) {
        float *to = z->planes + r % g->slots * g->row;
        for (int k = z->first; k < z->end; k++) {
            float *row = to + k * g->plane;
            memset(row, 0, zeros * sizeof *row);
            memset(row + zeros + copied, 0, ((size_t)g->row - zeros - copied) * sizeof *row);
        }
        split_pixels(z->image + (ptrdiff_t)r * g->w * g->c, inside, g->c, z->first, z->end,
                     to + zeros, g->plane);
    }
    z->next = max(z->next, end);
}

/* The row that will be copied next: the loops prefetch it while they compute. */
INLINE const float *next_row(const ring *z)
{
    return z->image + (ptrdiff_t)z->next * z->g->w * z->g->c;
}

/* ---- forward and backward data: sums of a few neighbors in registers, over all taps */

/* One row of outputs, of one plane. */
typedef struct row_sums {
    const float *x;        /* slot 0, tap 0 of the first output */
    const float *w, *bias; /* bias NULL: none */
    float *y;
    int slot, slots, slot_step; /* the first kernel row's; of the ring; from one row to the next */
    int rows, taps;             /* kernel rows, and taps of each */
    int gap, step;              /* columns from a tap to the next, and from an output to the next */
    int count, channels;        /* outputs; channels that exist, of 16 */
    ptrdiff_t row;              /* floats of a slot */
    ptrdiff_t w_row, w_tap, y_out;
    cn_activation activation;
    const float *prefetch; /* what will be copied next, one line per output; y's next row, too */
    ptrdiff_t y_row;
} row_sums;

/* Vectors j .. j + V - 1 of BLOCK outputs from q on. TAPS and STEP are 0 where they are not
 * constant; where they are, there is no gap between taps. */
INLINE void sum_block(const int V, const int TAPS, const int STEP, const row_sums *s, int q, int j,
                      float *out, ptrdiff_t out_step)
{
    vf acc[BLOCK][VECTORS];
    const ptrdiff_t step = (STEP ? STEP : s->step) * LINE, x_tap = (ptrdiff_t)s->gap * LINE;
    UNROLL
    for (int i = 0; i < BLOCK; i++) {
        UNROLL
        for (int k = 0; k < V; k++) acc[i][k] = s->bias ? load(s->bias + (j + k) * LANES) : (vf){0};
    }
    int slot = s->slot;
    const float *w = s->w + j * LANES;
    for (int u = 0; u < s->rows; u++, w += s->w_row) {
        const float *x = s->x + slot * s->row + q * step + j * LANES;
        if (TAPS) {
            vf tap[MOST_TAPS][VECTORS];
            UNROLL
            for (int v = 0; v < TAPS; v++) {
                UNROLL
                for (int k = 0; k < V; k++) tap[v][k] = load(w + v * s->w_tap + k * LANES);
            }
            UNROLL
            for (int i = 0; i < (BLOCK - 1) * STEP + TAPS; i++) {
                UNROLL
                for (int k = 0; k < V; k++) {
                    const vf e = load(x + i * LINE + k * LANES);
                    UNROLL
                    for (int v = 0; v < TAPS; v++)
                        if (i >= v && (i - v) % STEP == 0 && (i - v) / STEP < BLOCK)
                            acc[(i - v) / STEP][k] = fmadd(e, tap[v][k], acc[(i - v) / STEP][k]);
                }
            }
        } else {
            for (int v = 0; v < s->taps; v++, x += x_tap) {
                UNROLL
                for (int k = 0; k < V; k++) {
                    const vf tap = load(w + v * s->w_tap + k * LANES);
                    UNROLL
                    for (int i = 0; i < BLOCK; i++)
                        acc[i][k] = fmadd(load(x + i * step + k * LANES), tap, acc[i][k]);
                }
            }
        }
        slot += s->slot_step;
        if (slot >= s->slots) slot -= s->slots;
    }
    if (s->activation.kind) {
        UNROLL
        for (int i = 0; i < BLOCK; i++) {
            UNROLL
            for (int k = 0; k < V; k++) acc[i][k] = activate_lanes(acc[i][k], s->activation);
        }
    }
    UNROLL
    for (int i = 0; i < BLOCK; i++) {
        UNROLL
        for (int k = 0; k < V; k++) store(out + i * out_step + (j + k) * LANES, acc[i][k]);
    }
}

/* A row in blocks. The last one may reach past the row, where the copies hold zeros. A block that
 * does not fit y goes through `spare`. */
INLINE void sum_row(const int V, const int TAPS, const int STEP, const row_sums *job)
{
    const row_sums s = *job;
    for (int q = 0; q < s.count; q += BLOCK) {
        float spare[BLOCK * LINE], *y = s.y + q * s.y_out;
        const int n = min(BLOCK, s.count - q);
        const bool whole = n == BLOCK && s.channels >= LINE;
        UNROLL
        for (int i = 0; i < BLOCK; i++) {
            __builtin_prefetch(s.prefetch + (q + i) * LINE);
            __builtin_prefetch(y + s.y_row + i * s.y_out, 1);
        }
        for (int j = 0; j < VECTORS; j += V)
            sum_block(V, TAPS, STEP, &s, q, j, whole ? y : spare, whole ? s.y_out : LINE);
        if (whole) continue;
        for (int i = 0; i < n; i++, y += s.y_out)
            memcpy(y, spare + i * LINE, (size_t)min(LINE, s.channels) * sizeof *y);
    }
}

typedef void sums_function(const row_sums *s);

/* With AVX2 the sums of 2 vectors and 3 of their taps fill the registers. */
#define SUMS(TAPS, STEP)                                               \
    static void sum_row_##TAPS##x##STEP(const row_sums *s)             \
    {                                                                  \
        sum_row(LANES == 8 && TAPS <= 3 ? VECTORS : 1, TAPS, STEP, s); \
    }
SUMS(0, 0)
SUMS(1, 1)
SUMS(2, 1)
SUMS(3, 1)
SUMS(5, 1)
SUMS(7, 1)
SUMS(3, 2)
SUMS(5, 2)

static sums_function *sums_of(const row_sums *s)
{
    static sums_function *const known[3][8] = {
        {NULL},
        {NULL, sum_row_1x1, sum_row_2x1, sum_row_3x1, NULL, sum_row_5x1, NULL, sum_row_7x1},
        {NULL, NULL, NULL, sum_row_3x2, NULL, sum_row_5x2, NULL, NULL}};
    const bool in_table = s->step <= 2 && s->taps <= 7 && (s->gap == 1 || s->taps == 1);
    sums_function *const found = in_table ? known[s->step][s->taps] : NULL;
    return found ? found : sum_row_0x0;
}

/* ---- the weights: the taps of a plane one after the other, zeros after the last channel */

static size_t packed_taps(const cn_conv_problem *s)
{
    return (size_t)s->fh * (size_t)s->fw * (size_t)div_ceil(s->oc, LINE) * LINE;
}

static void pack_taps(const cn_conv_problem *s, const float *w, float *packed)
{
    for (int from = 0; from < s->oc; from += LINE)
        for (int t = 0; t < s->fh * s->fw; t++, packed += LINE)
            for (int j = 0; j < LINE; j++)
                packed[j] = from + j < s->oc ? w[(ptrdiff_t)t * s->oc + from + j] : 0;
}

/* ---- images */

typedef struct depthwise {
    const cn_conv_problem *s;
    ring_shape g;
    const float *in, *dy, *packed, *bias; /* in: x, or backward data's dy */
    float *out;                           /* y or dx */
    cn_activation activation;
    int band, bands; /* rows of `out` per task; bands per image */
    int parts;       /* backward weights: parts of the rows of all images */
    int partitions;  /* of the planes */
    float *scratch, *tap_sums;
} depthwise;

/* The first plane of a partition. */
INLINE int partition_begin(const depthwise *f, int partition)
{
    return partition * f->g.planes / f->partitions;
}

/* Divides the work into bands and partitions, so that there are tasks for all threads. */
static void divide_depthwise(depthwise *f, int rows, const cn_pool *pool)
{
    const int threads = cn_pool_threads(pool), wanted = threads > 1 ? TASKS * threads : 1;
    f->partitions = min(f->g.planes, div_ceil(wanted, f->s->m));
    f->bands = min(div_ceil(rows, 4), div_ceil(wanted, min(wanted, f->s->m * f->partitions)));
    f->band = div_ceil(rows, f->bands);
    f->bands = div_ceil(rows, f->band);
}

/* ---- forward */

/* The kernel rows u0 <= u < u1 that lie inside the image for output row p. */
INLINE void rows_inside(const depthwise *f, int p, int *u0, int *u1)
{
    const int top = p * f->s->sh - f->s->pt;
    *u0 = top < 0 ? div_ceil(-top, f->s->dilation_h) : 0;
    *u1 = min(f->s->fh, top < f->s->h ? div_ceil(f->s->h - top, f->s->dilation_h) : 0);
}

static depthwise forward_of(const cn_conv_problem *s)
{
    depthwise f = {.s = s};
    f.g = (ring_shape){.h = s->h,
                       .w = s->w,
                       .c = s->oc,
                       .left = s->pl,
                       .columns = (div_ceil(s->ow, BLOCK) * BLOCK - 1) * s->sw +
                                  (s->fw - 1) * s->dilation_w + 1,
                       .slots = min(s->h, (s->fh - 1) * s->dilation_h + 1)};
    f.g.left = min(f.g.left, f.g.columns);
    finish_ring(&f.g);
    return f;
}

static void forward_row(const depthwise *f, ring *z, int p, float *y)
{
    const cn_conv_problem *s = f->s;
    const ring_shape *g = &f->g;
    int u0, u1;
    rows_inside(f, p, &u0, &u1);
    const int top = p * s->sh - s->pt, rows = max(0, u1 - u0);
    if (rows > 0) load_rows(z, max(0, top), top + (u1 - 1) * f->s->dilation_h + 1);
    row_sums row = {.slot = rows > 0 ? (top + u0 * f->s->dilation_h) % g->slots : 0,
                    .slots = g->slots,
                    .slot_step = f->s->dilation_h,
                    .rows = rows,
                    .taps = s->fw,
                    .gap = f->s->dilation_w,
                    .step = s->sw,
                    .count = s->ow,
                    .row = g->row,
                    .w_row = (ptrdiff_t)s->fw * LINE,
                    .w_tap = LINE,
                    .y_out = s->oc,
                    .activation = f->activation,
                    .y_row = (ptrdiff_t)s->ow * s->oc};
    sums_function *const sum = sums_of(&row);
    for (int k = z->first; k < z->end; k++) {
        float bias[LINE] = {0};
        row.channels = min(LINE, s->oc - k * LINE);
        if (f->bias) memcpy(bias, f->bias + k * LINE, (size_t)row.channels * sizeof *bias);
        row.bias = bias;
        row.x = z->planes + k * g->plane;
        row.w = f->packed + ((ptrdiff_t)k * s->fh + u0) * s->fw * LINE;
        row.y = y + k * LINE;
        row.prefetch = next_row(z) + (ptrdiff_t)(k - z->first) * s->ow * LINE;
        sum(&row);
    }
}

/* The ring of a task: (image, band, partition). */
static ring ring_of(const depthwise *f, int task, int worker)
{
    const int partition = task % f->partitions, i = task / f->partitions / f->bands;
    return (ring){.g = &f->g,
                  .image = f->in + (ptrdiff_t)i * f->g.h * f->g.w * f->g.c,
                  .planes = f->scratch + (size_t)worker * ring_floats(&f->g),
                  .first = partition_begin(f, partition),
                  .end = partition_begin(f, partition + 1)};
}

static void depthwise_task(void *argument, int task, int worker)
{
    const depthwise *f = argument;
    const cn_conv_problem *s = f->s;
    const int band = task / f->partitions % f->bands, i = task / f->partitions / f->bands;
    ring z = ring_of(f, task, worker);
    for (int p = band * f->band; p < min(s->oh, (band + 1) * f->band); p++)
        forward_row(f, &z, p, f->out + ((ptrdiff_t)i * s->oh + p) * s->ow * s->oc);
}

static void depthwise_forward(const cn_conv_pass *pass, const cn_conv_args *a)
{
    cn_conv_problem s = pass->problem;
    s.m = a->m;
    depthwise f = forward_of(&s);
    f.in = a->x;
    f.packed = a->w;
    f.bias = a->b;
    f.activation = a->activation;
    f.out = a->y;
    f.scratch = a->scratch;
    divide_depthwise(&f, s.oh, a->pool);
    cn_pool_run(a->pool, s.m * f.bands * f.partitions, depthwise_task, &f);
}

/* ---- backward data */

/*
 * Along one axis, tap u reaches element r of dx if r + before = p stride + u dilation for some p.
 * With g the greatest common divisor of stride and dilation, every (stride / g)-th tap does, and p
 * decreases by dilation / g from one such tap to the next. So a row of dx is a few sums over a part
 * of the taps, one for each column modulo the stride.
 */
typedef struct reach {
    int tap, tap_step; /* the last tap; from it downwards to the one before it */
    int p, step;       /* its p, the lowest; upwards to that of the tap before it */
    int count;
} reach;

/* Of those taps whose p lies in 0 .. size - 1. */
static reach reach_of(int r, int before, int kernel, int stride, int dilation, int size)
{
    const int g = common_divisor(stride, dilation), tap_step = stride / g, step = dilation / g;
    int first = 0;
    for (; first < tap_step; first++)
        if (((int64_t)r + before - (int64_t)first * dilation) % stride == 0) break;
    if (first >= min(tap_step, kernel)) return (reach){0};
    int count = div_ceil(kernel - first, tap_step);
    const int highest = (int)(((int64_t)r + before - (int64_t)first * dilation) / stride);
    const int skipped = highest >= size ? div_ceil(highest - size + 1, step) : 0;
    if (highest < 0 || skipped >= count) return (reach){0};
    count = min(count, highest / step + 1);
    return (reach){.tap = first + (count - 1) * tap_step,
                   .tap_step = tap_step,
                   .p = highest - (count - 1) * step,
                   .step = step,
                   .count = max(0, count - skipped)};
}

/* Columns of dx that are `column` modulo the stride. */
INLINE int columns_like(const cn_conv_problem *s, int column)
{
    return (s->w - 1 - column) / s->sw + 1;
}

/* The taps that reach them, the same ones for all, thanks to the zeros around dy. */
static reach columns_reach(const cn_conv_problem *s, int column)
{
    const int reaches = (s->fw - 1) * s->dilation_w; /* no q lies further out than this many */
    reach f = reach_of(column + reaches * s->sw, s->pl, s->fw, s->sw, s->dilation_w, INT32_MAX);
    f.p -= reaches;
    return f;
}

static depthwise data_of(const cn_conv_problem *s)
{
    depthwise f = {.s = s};
    int low = 0, high = 0;
    for (int t = 0; t < min(s->sw, s->w); t++) {
        const reach h = columns_reach(s, t);
        if (h.count == 0) continue;
        low = min(low, h.p);
        high = max(high,
                   h.p + (h.count - 1) * h.step + div_ceil(columns_like(s, t), BLOCK) * BLOCK - 1);
    }
    f.g = (ring_shape){.h = s->oh,
                       .w = s->ow,
                       .c = s->oc,
                       .left = -low,
                       .columns = high + 1 - low,
                       .slots = min(s->oh, (s->fh - 1) * s->dilation_h / s->sh + 1)};
    finish_ring(&f.g);
    return f;
}

static void data_row(const depthwise *f, ring *z, int r, float *dx)
{
    const cn_conv_problem *s = f->s;
    const ring_shape *g = &f->g;
    const reach v = reach_of(r, s->pt, s->fh, s->sh, f->s->dilation_h, s->oh);
    const int below =
        r + s->pt - (s->fh - 1) * f->s->dilation_h; /* sh times the lowest p that may reach r */
    if (v.count > 0)
        load_rows(z, below > 0 ? div_ceil(below, s->sh) : 0, v.p + (v.count - 1) * v.step + 1);
    for (int t = 0; t < min(s->sw, s->w); t++) {
        const reach h = columns_reach(s, t);
        row_sums row = {.slot = v.p % g->slots,
                        .slots = g->slots,
                        .slot_step = v.step,
                        .rows = h.count > 0 ? v.count : 0,
                        .taps = h.count,
                        .gap = h.step,
                        .step = 1,
                        .count = columns_like(s, t),
                        .row = g->row,
                        .w_row = -(ptrdiff_t)v.tap_step * s->fw * LINE,
                        .w_tap = -(ptrdiff_t)h.tap_step * LINE,
                        .y_out = (ptrdiff_t)s->sw * s->oc,
                        .y_row = (ptrdiff_t)s->w * s->oc};
        sums_function *const sum = sums_of(&row);
        for (int k = z->first; k < z->end; k++) {
            row.channels = min(LINE, s->oc - k * LINE);
            row.x = z->planes + k * g->plane + (ptrdiff_t)(g->left + h.p) * LINE;
            row.w = f->packed + (((ptrdiff_t)k * s->fh + v.tap) * s->fw + h.tap) * LINE;
            row.y = dx + (ptrdiff_t)t * s->oc + k * LINE;
            row.prefetch = next_row(z) + (ptrdiff_t)(k - z->first) * row.count * LINE;
            sum(&row);
        }
    }
}

static void depthwise_data_task(void *argument, int task, int worker)
{
    const depthwise *f = argument;
    const cn_conv_problem *s = f->s;
    const int band = task / f->partitions % f->bands, i = task / f->partitions / f->bands;
    ring z = ring_of(f, task, worker);
    for (int r = band * f->band; r < min(s->h, (band + 1) * f->band); r++)
        data_row(f, &z, r, f->out + ((ptrdiff_t)i * s->h + r) * s->w * s->oc);
}

static void depthwise_backward_data(const cn_conv_pass *pass, const cn_conv_args *a)
{
    cn_conv_problem s = pass->problem;
    s.m = a->m;
    depthwise f = data_of(&s);
    pack_taps(&s, a->w, a->scratch);
    f.in = a->dy;
    f.packed = a->scratch;
    f.out = a->dx;
    f.scratch = a->scratch + packed_taps(&s);
    divide_depthwise(&f, s.h, a->pool);
    cn_pool_run(a->pool, s.m * f.bands * f.partitions, depthwise_data_task, &f);
}

#endif

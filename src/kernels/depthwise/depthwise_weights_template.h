/*
 * depthwise_weights_template.h - depthwise convolution, backward weights.
 *
 *     dw[u,v,k] += sum_{i,p,q} x[i, p sh + u d_h - pt, q sw + v d_w - pl, k] dy[i,p,q,k]
 *     db[k]     += sum_{i,p,q} dy[i,p,q,k]
 *
 * with dilations d_h and d_w. Reads x from forward's rings, and a row of dy from planes like
 * theirs. The sums of up to 9 taps stay in registers over a row of outputs.
 *
 * Parameter: LANES. Provides: backward weights; rings_method.
 */
#ifndef CN_DEPTHWISE_WEIGHTS_TEMPLATE_H
#define CN_DEPTHWISE_WEIGHTS_TEMPLATE_H

#include "kernels/depthwise/depthwise_template.h"

/* dw is small, and every output contributes to all of it. So the rows of all images are divided
 * into parts, whose number depends on the shape alone. Each has its own sums, which are then added
 * in order. */
enum { MOST_PARTS = 32, PART_OUTPUTS = 256 };

static int gradient_parts(const cn_conv_problem *s)
{
    const double outputs = (double)s->m * s->oh * s->ow, rows = (double)s->m * s->oh;
    const double parts = outputs / PART_OUTPUTS < rows ? outputs / PART_OUTPUTS : rows;
    return parts < 1 ? 1 : parts < MOST_PARTS ? (int)parts : MOST_PARTS;
}

/* All channels, in whole planes. */
INLINE ptrdiff_t sums_pitch(const depthwise *f)
{
    return (ptrdiff_t)f->g.planes * LINE;
}

static size_t part_floats(const depthwise *f)
{
    return (size_t)(f->s->fh * f->s->fw + 1) * (size_t)sums_pitch(f);
}

/* Some taps, of one row of outputs: dw[t] += sum_q x[t][q] dy[q], db += sum_q dy[q]. */
typedef struct tap_sums {
    const float *x[MOST_TAPS], *dy; /* in plane 0 */
    float *dw[MOST_TAPS], *db;      /* db NULL: other taps have summed it */
    int count, step;                /* outputs; columns from one to the next */
    int first, end;                 /* planes */
    ptrdiff_t x_plane, dy_plane;    /* floats */
    const float *prefetch[2];       /* the rows that will be copied next */
} tap_sums;

INLINE void sum_taps(const int N, const tap_sums *s)
{
    const ptrdiff_t step = (ptrdiff_t)s->step * LINE, end = s->count * step;
    for (int k = s->first; k < s->end; k++) {
        for (int q = 0; q < s->count; q++) {
            __builtin_prefetch(s->prefetch[0] + ((ptrdiff_t)(k - s->first) * s->count + q) * LINE);
            __builtin_prefetch(s->prefetch[1] + ((ptrdiff_t)(k - s->first) * s->count + q) * LINE);
        }
        for (int j = 0; j < LINE; j += LANES) {
            vf acc[MOST_TAPS], sum = {0};
            const float *x[MOST_TAPS], *dy = s->dy + k * s->dy_plane + j;
            UNROLL
            for (int t = 0; t < N; t++) {
                acc[t] = load(s->dw[t] + k * LINE + j);
                x[t] = s->x[t] + k * s->x_plane + j;
            }
            for (ptrdiff_t at = 0; at < end; at += step, dy += LINE) {
                const vf d = load(dy);
                sum += d;
                UNROLL
                for (int t = 0; t < N; t++) acc[t] = fmadd(load(x[t] + at), d, acc[t]);
            }
            UNROLL
            for (int t = 0; t < N; t++) store(s->dw[t] + k * LINE + j, acc[t]);
            if (s->db) store(s->db + k * LINE + j, load(s->db + k * LINE + j) + sum);
        }
    }
}

typedef void taps_function(const tap_sums *s);

#define TAPS(N)                                 \
    static void sum_taps_##N(const tap_sums *s) \
    {                                           \
        sum_taps(N, s);                         \
    }
TAPS(0)
TAPS(1)
TAPS(2)
TAPS(3)
TAPS(4)
TAPS(5)
TAPS(6)
TAPS(7)
TAPS(8)
TAPS(9)
static taps_function *const taps_of[] = {sum_taps_0, sum_taps_1, sum_taps_2, sum_taps_3,
                                         sum_taps_4, sum_taps_5, sum_taps_6, sum_taps_7,
                                         sum_taps_8, sum_taps_9};

/* Output row p, whose gradients have been copied to planes of dy. */
static void taps_row(const depthwise *f, ring *z, int p, const float *dy, const float *next_dy,
                     float *part_sums)
{
    const cn_conv_problem *s = f->s;
    const ring_shape *g = &f->g;
    int u0, u1;
    rows_inside(f, p, &u0, &u1);
    const int count = max(0, u1 - u0) * s->fw, top = p * s->sh - s->pt;
    const int groups = max(1, tiles_of(count, MOST_TAPS));
    if (count > 0) load_rows(z, max(0, top), top + (u1 - 1) * s->dilation_h + 1);
    tap_sums job = {.dy = dy,
                    .db = part_sums + (ptrdiff_t)s->fh * s->fw * sums_pitch(f),
                    .count = s->ow,
                    .step = s->sw,
                    .first = z->first,
                    .end = z->end,
                    .x_plane = g->plane,
                    .dy_plane = (ptrdiff_t)s->ow * LINE,
                    .prefetch = {next_row(z), next_dy}};
    for (int i = 0, from = 0; i < groups; i++, job.db = NULL) {
        const int n = count / groups + (i < count % groups);
        for (int t = 0; t < n; t++, from++) {
            const int u = u0 + from / s->fw, v = from % s->fw;
            job.x[t] = z->planes + (top + u * s->dilation_h) % g->slots * g->row +
                       (ptrdiff_t)v * s->dilation_w * LINE;
            job.dw[t] = part_sums + ((ptrdiff_t)u * s->fw + v) * sums_pitch(f);
        }
        taps_of[n](&job);
    }
}

INLINE size_t dy_floats(const depthwise *f)
{
    return (size_t)f->s->ow * (size_t)f->g.planes * LINE;
}

/* A partition of the channels, of one part of the rows. */
static void depthwise_weights_task(void *argument, int task, int worker)
{
    const depthwise *f = argument;
    const cn_conv_problem *s = f->s;
    const int part = task / f->partitions, partition = task % f->partitions;
    const int64_t rows = (int64_t)s->m * s->oh;
    const int64_t r0 = rows * part / f->parts, r1 = rows * (part + 1) / f->parts;
    float *part_sums = f->tap_sums + (size_t)part * part_floats(f);
    float *dy = f->scratch + (size_t)worker * (ring_floats(&f->g) + dy_floats(f));
    ring z = {.g = &f->g,
              .planes = dy + dy_floats(f),
              .first = partition_begin(f, partition),
              .end = partition_begin(f, partition + 1)};
    for (int t = 0; t <= s->fh * s->fw; t++)
        memset(part_sums + t * sums_pitch(f) + (ptrdiff_t)z.first * LINE, 0,
               (size_t)(z.end - z.first) * LINE * sizeof *part_sums);
    for (int64_t r = r0; r < r1; r++) {
        const int p = (int)(r % s->oh);
        if (p == 0) z.next = 0;
        z.image = f->in + (ptrdiff_t)(r / s->oh) * s->h * s->w * s->oc;
        split_pixels(f->dy + r * s->ow * s->oc, s->ow, s->oc, z.first, z.end, dy,
                     (ptrdiff_t)s->ow * LINE);
        taps_row(f, &z, p, dy, f->dy + (r + 1) * s->ow * s->oc, part_sums);
    }
}

/* out[c] += the parts' sums[c]. */
static void add_parts(const depthwise *f, const float *part_sums, float *out)
{
    for (int c = 0; c < f->s->oc; c += LANES) {
        vf sum = {0};
        for (int part = 0; part < f->parts; part++)
            sum += load(part_sums + (size_t)part * part_floats(f) + c);
        for (int j = 0; j < min(LANES, f->s->oc - c); j++) out[c + j] += sum[j];
    }
}

static void depthwise_backward_weights(const cn_conv_pass *pass, const cn_conv_args *a)
{
    cn_conv_problem s = pass->problem;
    s.m = a->m;
    depthwise f = forward_of(&s);
    const int taps = s.fh * s.fw;
    f.in = a->x;
    f.dy = a->dy;
    f.parts = gradient_parts(&s);
    f.tap_sums = a->scratch;
    f.scratch = a->scratch + (size_t)f.parts * part_floats(&f);
    divide_depthwise(&f, 1, a->pool);
    cn_pool_run(a->pool, f.parts * f.partitions, depthwise_weights_task, &f);
    for (int t = 0; t < taps; t++)
        add_parts(&f, a->scratch + t * sums_pitch(&f), a->dw + (ptrdiff_t)t * s.oc);
    if (a->db) add_parts(&f, a->scratch + taps * sums_pitch(&f), a->db);
}

/* ---- the method, in all three directions */

static bool is_depthwise(const cn_conv_problem *s)
{
    return s->groups > 1 && s->groups == s->c && s->oc == s->c;
}

PLANNING bool rings_support(const cn_conv_pass *pass)
{
    return is_depthwise(&pass->problem);
}

PLANNING void rings_plan(cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    const depthwise forward = forward_of(s), data = data_of(s);
    const size_t threads = (size_t)pass->options.threads;
    switch (pass->direction) {
    case CN_CONV_FORWARD:
        pass->packed = packed_taps(s);
        pass->scratch = threads * ring_floats(&forward.g);
        break;
    case CN_CONV_BACKWARD_DATA:
        pass->scratch = packed_taps(s) + threads * ring_floats(&data.g);
        break;
    default:
        pass->scratch = (size_t)gradient_parts(s) * part_floats(&forward) +
                        threads * (ring_floats(&forward.g) + dy_floats(&forward));
    }
}

static void rings_pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    (void)pool;
    pack_taps(&pass->problem, w, packed);
}

static const cn_conv_method rings_method = {
    .name = "depthwise rings",
    .supports = rings_support,
    .plan = rings_plan,
    .pack = rings_pack,
    .run = {depthwise_forward, depthwise_backward_data, depthwise_backward_weights},
};

#endif

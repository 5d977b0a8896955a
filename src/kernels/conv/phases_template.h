/*
 * phases_template.h - direct backward data: a correlation of dy for each phase of the stride.
 *
 *     dx[i,r,s,j] = sum_{u,v,k : r = p sh + u - pt, s = q sw + v - pl} dy[i,p,q,k] w[u,v,j,k]
 *
 * Along one axis, only the kernel rows u = phase + t stride, t < taps, reach the rows r of dx with
 * (r + before) mod stride = phase. With r + before = phase + stride z and p = z - t,
 *
 *     dx[r] = sum_{t < taps} dy[z - t] w[phase + t stride]
 *
 * is a correlation of stride 1 of dy with the flipped taps, whose window starts at z - taps + 1.
 *
 * Parameter: LANES. Provides: phase_task, data_problem, data_weights; phases_method.
 */
#ifndef CN_PHASES_TEMPLATE_H
#define CN_PHASES_TEMPLATE_H

#include "kernels/conv/direct_template.h"

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
    const cn_conv_problem *s;
    int a, b, taps_h, taps_w;
    const float *w;
    float *packed;
} phase_packing;

/* One tap of a panel of n columns: packed[k][j] = tap[j][k]. */
static void pack_tap(const float *tap, int depth, int n, int width, float *packed)
{
    for (int j = 0; j < width; j += LANES) {
        for (int k = 0; k < depth; k += LANES) {
            const int rows = min(LANES, n - j), columns = min(LANES, depth - k);
            vf square[LANES] = {{0}};
            const float *from = tap + (ptrdiff_t)j * depth + k;
            if (rows == LANES && columns == LANES) {
                transpose(from, depth, square);
            } else {
                for (int l = 0; l < rows; l++)
                    for (int i = 0; i < columns; i++) square[i][l] = from[(ptrdiff_t)l * depth + i];
            }
            for (int i = 0; i < columns; i++)
                store(packed + (ptrdiff_t)(k + i) * width + j, square[i]);
        }
    }
}

static void phase_task(void *argument, int task, int worker)
{
    const phase_packing *z = argument;
    const cn_conv_problem *s = z->s;
    const int column = task * PANEL, width = panel_vectors_at(s->c, column) * LANES;
    float *packed = z->packed + (ptrdiff_t)z->taps_h * z->taps_w * s->oc * column;
    (void)worker;
    for (int th = z->taps_h - 1; th >= 0; th--) {
        for (int tw = z->taps_w - 1; tw >= 0; tw--, packed += (ptrdiff_t)s->oc * width) {
            const int u = z->a + th * s->sh, v = z->b + tw * s->sw;
            const float *tap = z->w + (((ptrdiff_t)u * s->fw + v) * s->c + column) * s->oc;
            pack_tap(tap, s->oc, min(width, s->c - column), width, packed);
        }
    }
}

/* The correlation of phase (a, b); false where dx has no such pixels. If `filters` is not 0, the
 * filters of s are pairs of that many. */
static bool phase_correlation(const cn_conv_problem *s, int filters, int a, int b, phase_packing *z,
                              correlation *f)
{
    const phase v = phase_of(a, s->h, s->fh, s->sh, s->pt);
    const phase h = phase_of(b, s->w, s->fw, s->sw, s->pl);
    if (v.count == 0 || h.count == 0) return false;
    const cn_conv_problem flipped = {.m = s->m,
                                     .h = s->oh,
                                     .w = s->ow,
                                     .c = s->oc,
                                     .fh = v.taps,
                                     .fw = h.taps,
                                     .sh = 1,
                                     .sw = 1,
                                     .pt = v.before,
                                     .pl = h.before,
                                     .oh = v.count,
                                     .ow = h.count,
                                     .oc = s->c};
    *z = (phase_packing){.s = s, .a = a, .b = b, .taps_h = v.taps, .taps_w = h.taps};
    *f = (correlation){.g = view_of(&flipped, filters, s->sh == 1 && s->sw == 1),
                       .oc = s->c,
                       .y_pixel = (ptrdiff_t)s->sw * s->c,
                       .y_row = (ptrdiff_t)s->sh * s->w * s->c,
                       .y_image = (ptrdiff_t)s->h * s->w * s->c};
    f->y_first = ((ptrdiff_t)v.first * s->w + h.first) * s->c;
    return true;
}

/* ---- the method */

/* The problem with pairs of filters as filters, which backward data sums over. */
static cn_conv_problem data_problem(const cn_conv_pass *pass, int m)
{
    cn_conv_problem s = pass->problem;
    s.m = m;
    if (pass->pairs) s.oc = pairs_of(s.oc);
    return s;
}

static size_t paired_data_weights(const cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    return pass->pairs ? paired_weights(p->fh, p->fw, p->c, pairs_of(p->oc)) : 0;
}

/* The weights in place, or as pairs in scratch memory; *scratch is what is left of that. */
static const float *data_weights(const cn_conv_pass *pass, const cn_conv_args *a, float **scratch)
{
    const size_t floats = paired_data_weights(pass);
    *scratch = a->scratch + floats;
    if (!pass->pairs) return a->w;
    pair_filters(&pass->problem, a->w, a->scratch, threads_for(floats, a->pool));
    return a->scratch;
}

PLANNING bool phases_support(const cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    return is_dense(p) && (int64_t)p->sh * p->sw <= CN_CONV_MAX_PHASES;
}

PLANNING void phases_plan(cn_conv_pass *pass)
{
    pass->pairs = pass->options.bf16 && pass->problem.oc > 1;
    const cn_conv_problem s = data_problem(pass, pass->problem.m);
    const int filters = pass->pairs ? pass->problem.oc : 0;
    for (int n = 0; n < s.sh * s.sw; n++) {
        phase_packing z;
        correlation f;
        cn_conv_blocking *blocking = &pass->as.phases.blocking[n];
        if (!phase_correlation(&s, filters, n / s.sw, n % s.sw, &z, &f)) continue;
        *blocking = correlation_blocking(&f.g, f.oc);
        divide_correlation(&f, blocking, pass->options.threads);
        const size_t data =
            f.band * (size_t)pass->options.threads + packed_floats(z.taps_h * z.taps_w * s.oc, s.c);
        if (data > pass->scratch) pass->scratch = data;
    }
    pass->scratch += paired_data_weights(pass);
    note_tile(pass, s.c);
}

static void phases_backward_data(const cn_conv_pass *pass, const cn_conv_args *a)
{
    const cn_conv_problem s = data_problem(pass, a->m);
    const int filters = pass->pairs ? pass->problem.oc : 0;
    float *scratch;
    const float *w = data_weights(pass, a, &scratch);
    for (int n = 0; n < s.sh * s.sw; n++) {
        phase_packing z;
        correlation f;
        if (!phase_correlation(&s, filters, n / s.sw, n % s.sw, &z, &f)) continue;
        const size_t floats = packed_floats(z.taps_h * z.taps_w * s.oc, s.c);
        z.w = w;
        z.packed = scratch;
        cn_pool_run(threads_for(floats, a->pool), div_ceil(s.c, PANEL), phase_task, &z);
        f.g.x = a->dy;
        f.y = a->dx + f.y_first;
        f.packed = scratch;
        f.scratch = scratch + floats;
        divide_correlation(&f, &pass->as.phases.blocking[n], cn_pool_threads(a->pool));
        cn_pool_run(a->pool, correlation_tasks(&f), correlate_task, &f);
    }
}

static const cn_conv_method phases_method = {
    .name = "direct",
    .supports = phases_support,
    .plan = phases_plan,
    .run = {[CN_CONV_BACKWARD_DATA] = phases_backward_data},
};

#endif

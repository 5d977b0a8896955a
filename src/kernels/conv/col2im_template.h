/*
 * col2im_template.h - backward data with few input channels: GEMM and col2im.
 *
 *     dx[i,r,s,j] = sum_{u,v,k : r = p sh + u - pt, s = q sw + v - pl} dy[i,p,q,k] w[u,v,j,k]
 *
 * The same sum in another order. Where c fills a fraction of a vector, the (u, v, j) of a whole
 * window fill several: for each pixel of dy, a few rows at a time, first the products
 *
 *     t[p, q, (u, v, j)] = sum_k dy[p, q, k] w[u,v,j,k]
 *
 * (the GEMM), and then each window is added to dx where it lies (col2im):
 *
 *     dx[p sh + u - pt, q sw + v - pl, j] += t[p, q, (u, v, j)]
 *
 * Parameter: LANES. Provides: col2im_method.
 */
#ifndef CN_COL2IM_TEMPLATE_H
#define CN_COL2IM_TEMPLATE_H

#include "kernels/conv/direct_template.h"

enum { COLUMN_FLOATS = 4 * 1024 }; /* floats of t at a time: half of the first-level cache */

typedef struct col2im {
    const cn_conv_problem *s;
    const float *dy, *packed;
    float *dx, *scratch;
    int width, rows; /* of t: a pixel's floats, whole vectors; output rows at a time */
} col2im;

static col2im columns_of(const cn_conv_problem *s)
{
    col2im f = {.s = s, .width = div_ceil(s->fh * s->fw * s->c, LANES) * LANES};
    const int row = min(COLUMN_FLOATS, f.width) * min(COLUMN_FLOATS, s->ow);
    f.rows = min(s->oh, max(1, COLUMN_FLOATS / row));
    return f;
}

static size_t columns_floats(const col2im *f)
{
    return (size_t)f->rows * (size_t)f->s->ow * (size_t)f->width + LANES;
}

/* The transpose of w [(u, v, j)][k]: depth k, columns (u, v, j). */
static void pack_transposed(const cn_conv_problem *s, const float *w, float *packed)
{
    const int columns = s->fh * s->fw * s->c, depth = s->oc;
    for (int column = 0; column < columns; column += PANEL) {
        const int width = panel_vectors_at(columns, column) * LANES;
        for (int k = 0; k < depth; k++, packed += width)
            for (int j = 0; j < width; j++)
                packed[j] = column + j < columns ? w[(ptrdiff_t)(column + j) * depth + k] : 0;
    }
}

/* x[0..n-1] += t[0..n-1], in whole vectors, which add 0 to what follows. Not so with `last`: what
 * follows an image may belong to another thread. */
INLINE void add_run(float *x, const float *t, int n, vi tail, bool last)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES) store(x + j, load(x + j) + load(t + j));
    if (!last)
        store(x + j, load(x + j) + select(tail, load(t + j), (vf){0}));
    else
        for (; j < n; j++) x[j] += t[j];
}

/* Adds the windows of row p of dy, which begin every `width` floats of t, to the image dx. */
static void add_windows(const cn_conv_problem *s, const float *t, int width, int p, float *dx)
{
    const int run = s->fw * s->c, top = p * s->sh - s->pt;
    const int u0 = max(0, -top), u1 = min(s->fh, s->h - top);
    const ptrdiff_t row = (ptrdiff_t)s->w * s->c;
    const float *end = dx + s->h * row; /* of the image: rows may be shorter than a vector */
    for (int q = 0; q < s->ow; q++, t += width) {
        const int left = q * s->sw - s->pl;
        const int v0 = max(0, -left), v1 = min(s->fw, s->w - left);
        if (v0 >= v1) continue;
        const int n = (v1 - v0) * s->c;
        const vi tail = first_lanes(n % LANES);
        float *x = dx + (top + u0) * row + (ptrdiff_t)(left + v0) * s->c;
        const float *from = t + u0 * run + v0 * s->c;
        for (int u = u0; u < u1; u++, x += row, from += run)
            add_run(x, from, n, tail, end - x < n + LANES);
    }
}

static void col2im_task(void *argument, int task, int worker)
{
    const col2im *f = argument;
    const cn_conv_problem *s = f->s;
    const ptrdiff_t dy_row = (ptrdiff_t)s->ow * s->oc, in = (ptrdiff_t)s->h * s->w * s->c;
    const int window = s->fh * s->fw * s->c;
    const float *dy = f->dy + task * s->oh * dy_row;
    float *dx = f->dx + task * in, *t = f->scratch + (size_t)worker * columns_floats(f);
    memset(dx, 0, (size_t)in * sizeof *dx);
    for (int p0 = 0; p0 < s->oh; p0 += f->rows) {
        const int p1 = min(s->oh, p0 + f->rows);
        for (int column = 0; column < window; column += PANEL) {
            const int vectors = panel_vectors_at(window, column), width = vectors * LANES;
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

/* Whether this takes fewer vector operations per image than the phases. An addition to dx counts as
 * 5 multiply-adds (it loads, adds and stores), tiles of one vector count as in choose_fold. */
PLANNING bool col2im_pays(const cn_conv_problem *s)
{
    const double pixels = (double)s->oh * s->ow, taps = (double)s->fh * s->fw;
    const double one_vector = s->c <= LANES ? 1.5 : 1;
    const double by_phases =
        (double)s->h * s->w / (s->sh * s->sw) * taps * s->oc * div_ceil(s->c, LANES) * one_vector;
    const double by_col2im = pixels * (s->oc * (double)div_ceil(s->fh * s->fw * s->c, LANES) +
                                       5.0 * s->fh * div_ceil(s->fw * s->c, LANES));
    return by_col2im < by_phases;
}

/* ---- the method */

PLANNING bool col2im_supports(const cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    return is_dense(p) &&
           (col2im_pays(p) || (int64_t)p->sh * p->sw > CN_CONV_MAX_PHASES || pass->options.method);
}

PLANNING void col2im_plan(cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    const col2im f = columns_of(p);
    pass->scratch = columns_floats(&f) * (size_t)pass->options.threads +
                    packed_floats(p->oc, p->fh * p->fw * p->c);
    note_tile(pass, f.width);
}

static void col2im_backward_data(const cn_conv_pass *pass, const cn_conv_args *a)
{
    cn_conv_problem s = pass->problem;
    s.m = a->m;
    col2im f = columns_of(&s);
    pack_transposed(&s, a->w, a->scratch);
    f.dy = a->dy;
    f.dx = a->dx;
    f.packed = a->scratch;
    f.scratch = a->scratch + packed_floats(s.oc, s.fh * s.fw * s.c);
    cn_pool_run(a->pool, s.m, col2im_task, &f);
}

static const cn_conv_method col2im_method = {
    .name = "GEMM and col2im",
    .supports = col2im_supports,
    .plan = col2im_plan,
    .run = {[CN_CONV_BACKWARD_DATA] = col2im_backward_data},
};

#endif

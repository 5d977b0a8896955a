/*
 * strided_1x1_template.h - backward data of a 1 x 1 convolution with a stride: one long row of
 * products, which is then scattered over dx.
 *
 * Only every sh-th row and sw-th column of dx is not zero, and each of its pixels depends on one
 * pixel of dy. As in the forward pass the pixels of dy are one long row, however short the image's
 * rows are. For a run of pixels and a partition of the channels at a time,
 *
 *     t[q, j] = sum_k dy[q, k] w[j, k]
 *
 * is computed, and then copied to where it belongs, with the zeros around it: dx is written once,
 * in memory order.
 *
 * Parameter: LANES. Provides: strided_1x1_method.
 */
#ifndef CN_STRIDED_1X1_TEMPLATE_H
#define CN_STRIDED_1X1_TEMPLATE_H

#include "kernels/conv/phases_template.h"

typedef struct scattering {
    const cn_conv_problem *s;
    const float *dy, *packed;
    float *dx, *scratch;
    int pixels, columns; /* of t */
    int depth, filters;  /* pairs of a pixel of dy, which are stored after t, and the filters that
                            they are made from; depth 0: no pairs */
} scattering;

static scattering scattering_of(const cn_conv_problem *s, bool pairs)
{
    scattering f = {.s = s, .pixels = min(RUN_PIXELS, s->m * s->oh * s->ow)};
    f.columns = min(div_ceil(s->c, PANEL), BAND_FLOATS / RUN_PIXELS / PANEL) * PANEL;
    f.depth = pairs ? s->oc : 0;
    return f;
}

static size_t scattering_floats(const scattering *f)
{
    return (size_t)f->pixels * (size_t)(f->columns + f->depth);
}

/* Channels j0 <= j < j1 of pixel q of the long row, and the zeros up to the next one. */
static void scatter_pixel(const cn_conv_problem *s, int q, int j0, int j1, const float *t,
                          float *dx)
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

static void scatter_task(void *argument, int task, int worker)
{
    const scattering *f = argument;
    const cn_conv_problem *s = f->s;
    const int partitions = div_ceil(s->c, f->columns), j0 = task % partitions * f->columns;
    const int j1 = min(s->c, j0 + f->columns), q0 = task / partitions * f->pixels;
    const int q1 = min(s->m * s->oh * s->ow, q0 + f->pixels);
    float *t = f->scratch + (size_t)worker * scattering_floats(f);
    float *pairs = t + (ptrdiff_t)f->pixels * f->columns;
    if (f->depth) pair_pixels(f->dy + (ptrdiff_t)q0 * f->filters, q1 - q0, f->filters, pairs);
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
        scatter_pixel(s, q, j0, j1, t + (ptrdiff_t)(q - q0) * f->columns, f->dx);
}

/* ---- the method */

PLANNING bool strided_1x1_supports(const cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    return is_dense(s) && s->fh == 1 && s->fw == 1 && (s->sh > 1 || s->sw > 1) && s->pt == 0 &&
           s->pl == 0 && (s->oh - 1) * s->sh < s->h && (s->ow - 1) * s->sw < s->w &&
           (int64_t)s->m * s->oh * s->ow <= INT32_MAX;
}

PLANNING void strided_1x1_plan(cn_conv_pass *pass)
{
    pass->pairs = pass->options.bf16 && pass->problem.oc > 1;
    const cn_conv_problem s = data_problem(pass, pass->problem.m);
    const scattering f = scattering_of(&s, pass->pairs);
    pass->scratch = scattering_floats(&f) * (size_t)pass->options.threads +
                    packed_floats(s.oc, s.c) + paired_data_weights(pass);
    note_tile(pass, s.c);
}

static void strided_1x1_backward_data(const cn_conv_pass *pass, const cn_conv_args *a)
{
    const cn_conv_problem s = data_problem(pass, a->m);
    const size_t floats = packed_floats(s.oc, s.c);
    scattering f = scattering_of(&s, pass->pairs);
    float *scratch;
    phase_packing z = {&s, 0, 0, 1, 1, data_weights(pass, a, &scratch), NULL};
    z.packed = scratch;
    f.dy = a->dy;
    f.dx = a->dx;
    f.filters = pass->problem.oc;
    f.packed = scratch;
    f.scratch = scratch + floats;
    cn_pool_run(threads_for(floats, a->pool), div_ceil(s.c, PANEL), phase_task, &z);
    cn_pool_run(a->pool, div_ceil(s.m * s.oh * s.ow, f.pixels) * div_ceil(s.c, f.columns),
                scatter_task, &f);
}

static const cn_conv_method strided_1x1_method = {
    .name = "strided 1x1",
    .supports = strided_1x1_supports,
    .plan = strided_1x1_plan,
    .run = {[CN_CONV_BACKWARD_DATA] = strided_1x1_backward_data},
};

#endif

/*
 * grouped_template.h - grouped convolutions, forward, where they lie: a group is a direct
 * convolution whose pixels are a part of the image's.
 *
 *     y[i,p,q,k] = b[k] + sum_{u,v,j} x[i, p sh + u - pt, q sw + v - pl, g c' + j] w[u,v,j,k]
 *
 * with j < c' = c / groups and g = k / (oc / groups). A band of rows of the group's channels is
 * copied with its zeros, as padded rows are in input_view_template.h, and tiles write y in place.
 * Slices are copied both ways (slices_template.h); they remain for what gains more from them:
 * Winograd's method with many channels, folding of few, pairs of bf16.
 *
 * Parameter: LANES. Provides: grouped_method.
 */
#ifndef CN_GROUPED_TEMPLATE_H
#define CN_GROUPED_TEMPLATE_H

#include "kernels/conv/slices_template.h"
#include "kernels/winograd/winograd_template.h"

/* Winograd's method repays its transforms, and the copies of slices, from this product of tiles and
 * channels of a group on. (Measured: 24 channels are equal with 16 tiles; with 4 tiles 64 are not
 * enough, with 49 tiles 16 are.) */
enum { WINOGRAD_TILE_CHANNELS = 512 };

/* The convolution of one group. */
static cn_conv_problem group_problem(const cn_conv_pass *pass, int m)
{
    cn_conv_problem s = pass->problem;
    s.m = m;
    s.c /= s.groups;
    s.oc /= s.groups;
    s.groups = 1;
    return s;
}

/* The correlation of the first group. */
static correlation grouped_correlation(const cn_conv_pass *pass, int m)
{
    const cn_conv_problem *p = &pass->problem, s = group_problem(pass, m);
    return (correlation){.g = view_of_group(&s, p->c),
                         .oc = s.oc,
                         .biases = s.oc,
                         .y_pixel = p->oc,
                         .y_row = (ptrdiff_t)p->ow * p->oc,
                         .y_image = (ptrdiff_t)p->oh * p->ow * p->oc};
}

/* ---- the method */

PLANNING bool grouped_supports(const cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    const cn_conv_pass one = {.problem = group_problem(pass, p->m), .options = pass->options};
    const cn_conv_problem *s = &one.problem;
    /* Slices can be folded into whole vectors, and make pairs of bf16. */
    if (p->groups == 1 || !is_dense(s) || s->oc % LANES != 0 || pass->options.bf16) return false;
    const double count = (double)s->m * div_ceil(s->oh, 4) * div_ceil(s->ow, 4);
    return winograd_side(&one) == 0 || count * min(s->c, s->oc) < WINOGRAD_TILE_CHANNELS;
}

PLANNING void grouped_plan(cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem, one = group_problem(pass, p->m);
    correlation s = grouped_correlation(pass, p->m);
    pass->as.direct.fold = 1;
    pass->as.direct.blocking = correlation_blocking(&s.g, s.oc);
    divide_correlation(&s, &pass->as.direct.blocking, pass->options.threads);
    /* And a copy of a group's weights, from which they are packed. */
    pass->packed = (size_t)p->groups * direct_packed(&one) + weights_of_group(&one);
    pass->scratch = s.band * (size_t)pass->options.threads;
    note_tile(pass, s.oc);
}

static void grouped_pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    const cn_conv_problem *p = &pass->problem, s = group_problem(pass, p->m);
    float *copy = packed + (size_t)p->groups * direct_packed(&s);
    for (int g = 0; g < p->groups; g++, packed += direct_packed(&s)) {
        take_group(&s, p->oc, w, g, copy);
        pack_folded(&s, 1, copy, packed, pool);
    }
}

/* A task of the correlation of one group. */
static void grouped_task(void *argument, int task, int worker)
{
    correlation s = *(const correlation *)argument;
    const int tasks = correlation_tasks(&s), g = task / tasks;
    s.g.x += (ptrdiff_t)g * s.g.c;
    s.y += (ptrdiff_t)g * s.oc;
    s.packed += g * (ptrdiff_t)packed_floats(s.g.fh * s.g.fw * s.g.c, s.oc);
    if (s.bias) s.bias += (ptrdiff_t)g * s.oc;
    correlate_task(&s, task % tasks, worker);
}

static void grouped_forward(const cn_conv_pass *pass, const cn_conv_args *a)
{
    correlation f = grouped_correlation(pass, a->m);
    f.g.x = a->x;
    f.y = a->y;
    f.packed = a->w;
    f.bias = a->b;
    f.activation = a->activation;
    f.scratch = a->scratch;
    divide_correlation(&f, &pass->as.direct.blocking, cn_pool_threads(a->pool));
    cn_pool_run(a->pool, correlation_tasks(&f) * pass->problem.groups, grouped_task, &f);
}

static const cn_conv_method grouped_method = {
    .name = "grouped direct",
    .supports = grouped_supports,
    .plan = grouped_plan,
    .pack = grouped_pack,
    .run = {[CN_CONV_FORWARD] = grouped_forward},
};

#endif

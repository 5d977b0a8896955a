/*
 * slices_template.h - grouped and dilated convolutions, reduced to dense ones.
 *
 *     y[i,p,q,k] = b[k] + sum_{u,v,j} x[i, r, t, g c' + j] w[u,v,j,k]
 *     with  r = p sh + u d_h - pt,  t = q sw + v d_w - pl
 *
 * and j < c' = c / groups, g = k / (oc / groups), dilations d_h and d_w. A group is a dense
 * convolution of its channels. A dilated window reads every d_h-th row only: with e the greatest
 * common divisor of sh and d_h, the outputs p = (d_h / e) p' + a of one a read the rows
 *
 *     r = p sh + u d_h - pt = d_h (p' sh / e + u) + a sh - pt
 *
 * which are every d_h-th row, and on these rows p' is the output of a convolution of stride sh / e
 * without dilation. The same holds for columns. So slices of x, with their zeros, are copied into a
 * batch, convolved, and the outputs copied to where they belong (space to batch). A slice has the
 * channels of a group, every d_h-th row and every d_w-th column; per group each image has d_h / e
 * times d_w / e slices, all of one size.
 *
 * Parameter: LANES. Provides: floats_of; groups_method, space_to_batch_method.
 */
#ifndef CN_SLICES_TEMPLATE_H
#define CN_SLICES_TEMPLATE_H

#include "kernels/conv/direct_template.h"

enum {
    SLICES_IN_CACHE = 48 * 1024, /* floats of slices that one thread convolves at a time */
    SLICES_TOGETHER = 1 << 20,   /* and that all threads do, where there is one group */
    SLICE_OUTPUTS = 512          /* at least, to repay packing weights for them */
};

/* The slices of a pass. pass[1] is the convolution of several of them as a batch. */
typedef struct slices {
    const cn_conv_pass *pass;
    const cn_conv_args *args;
    const cn_conv_problem *s, *part; /* of the whole, and of a batch of slices */
    int groups, phases_h, phases_w;  /* phases: outputs with different a */
    int count;                       /* slices of a group, (image, phase, phase) */
    size_t worker;                   /* floats of a thread's scratch memory */
} slices;

static size_t floats_of(int a, int b, int c, int d)
{
    return (size_t)a * (size_t)b * (size_t)c * (size_t)d;
}

static slices slices_of(const cn_conv_pass *pass, const cn_conv_args *args)
{
    slices f = {.pass = pass,
                .args = args,
                .s = &pass->problem,
                .part = &pass[1].problem,
                .groups = pass->problem.groups,
                .phases_h = pass->as.slices.phases_h,
                .phases_w = pass->as.slices.phases_w};
    f.count = (args ? args->m : pass->problem.m) * f.phases_h * f.phases_w;
    f.worker = pass->as.slices.x + pass->as.slices.y + pass->as.slices.w + pass[1].scratch;
    return f;
}

/* ---- copying */

/* The pixels of a tensor that make up a slice: rows row + r row_step, columns alike, `c` channels
 * from `channel` on. */
typedef struct slice_view {
    ptrdiff_t image; /* floats before the image */
    int h, w, pixel; /* of the tensor; pixel: its channels */
    int row, row_step, column, column_step;
    int channel, c;
    int rows, columns; /* of the slice */
} slice_view;

/* The positions first <= i < end of a slice's line whose place, start + i step, is inside n. */
INLINE void inside_of(int start, int step, int n, int count, int *first, int *end)
{
    *first = start < 0 ? min(count, div_ceil(-start, step)) : 0;
    *end = start < n ? max(*first, min(count, div_ceil(n - start, step))) : *first;
}

/* Copies a slice from or to a tensor. Pixels outside the tensor read as zeros, and are not written.
 */
INLINE void copy_slice(const bool to_slice, const slice_view *z, float *tensor, float *slice)
{
    const size_t c = (size_t)z->c, line = c * (size_t)z->columns;
    const ptrdiff_t step = (ptrdiff_t)z->column_step * z->pixel;
    int top, bottom, left, right;
    inside_of(z->row, z->row_step, z->h, z->rows, &top, &bottom);
    inside_of(z->column, z->column_step, z->w, z->columns, &left, &right);
    for (int r = 0; r < z->rows; r++, slice += line) {
        const bool inside = r >= top && r < bottom && left < right;
        const ptrdiff_t row = z->row + (ptrdiff_t)r * z->row_step;
        if (to_slice && !inside) memset(slice, 0, line * sizeof *slice);
        if (!inside) continue;
        float *pixel = tensor + z->image + row * z->w * z->pixel + z->channel +
                       (z->column + (ptrdiff_t)left * z->column_step) * z->pixel;
        float *own = slice + (size_t)left * c;
        if (to_slice) memset(slice, 0, (size_t)left * c * sizeof *slice);
        for (int q = left; q < right; q++, pixel += step, own += c) {
            if (to_slice)
                copy_run(pixel, own, z->c);
            else
                copy_run(own, pixel, z->c);
        }
        if (to_slice) memset(own, 0, (size_t)(z->columns - right) * c * sizeof *own);
    }
}

/* Where slice n of group g lies in x. */
static slice_view slice_in_x(const slices *f, int n, int g)
{
    const cn_conv_problem *s = f->s;
    const int b = n % f->phases_w, a = n / f->phases_w % f->phases_h;
    const int i = n / f->phases_w / f->phases_h;
    return (slice_view){.image = (ptrdiff_t)i * s->h * s->w * s->c,
                        .h = s->h,
                        .w = s->w,
                        .pixel = s->c,
                        .row = a * s->sh - s->pt,
                        .row_step = s->dilation_h,
                        .column = b * s->sw - s->pl,
                        .column_step = s->dilation_w,
                        .channel = g * f->part->c,
                        .c = f->part->c,
                        .rows = f->part->h,
                        .columns = f->part->w};
}

/* And in y. */
static slice_view slice_in_y(const slices *f, int n, int g)
{
    const cn_conv_problem *s = f->s;
    const int b = n % f->phases_w, a = n / f->phases_w % f->phases_h;
    const int i = n / f->phases_w / f->phases_h;
    return (slice_view){.image = (ptrdiff_t)i * s->oh * s->ow * s->oc,
                        .h = s->oh,
                        .w = s->ow,
                        .pixel = s->oc,
                        .row = a,
                        .row_step = f->phases_h,
                        .column = b,
                        .column_step = f->phases_w,
                        .channel = g * f->part->oc,
                        .c = f->part->oc,
                        .rows = f->part->oh,
                        .columns = f->part->ow};
}

/* Slices first .. first + n - 1 of a group, one after the other. */
typedef struct transfer {
    const slices *f;
    slice_view (*slice_in)(const slices *f, int n, int g);
    float *tensor, *slices;
    int first, group;
    bool to_slices;
} transfer;

static void transfer_task(void *argument, int task, int worker)
{
    const transfer *t = argument;
    const slice_view z = t->slice_in(t->f, t->first + task, t->group);
    float *slice = t->slices + (ptrdiff_t)floats_of(1, z.rows, z.columns, z.c) * task;
    (void)worker;
    if (t->to_slices)
        copy_slice(true, &z, t->tensor, slice);
    else
        copy_slice(false, &z, t->tensor, slice);
}

/* The weights of group g, (fh, fw, c) rows of s.oc of the `filters` of all groups. */
static __attribute__((noinline)) void take_group(const cn_conv_problem *s, int filters,
                                                 const float *w, int g, float *to)
{
    const size_t rows = floats_of(s->fh, s->fw, s->c, 1), n = (size_t)s->oc;
    for (size_t r = 0; r < rows; r++)
        copy_run(w + r * (size_t)filters + (size_t)g * n, to + r * n, s->oc);
}

/* Floats of them, and of a vector that may be read past their end. */
static size_t weights_of_group(const cn_conv_problem *s)
{
    return floats_of(s->fh, s->fw, s->c, s->oc) + LANES;
}

/* ---- the three passes */

/* A batch of the slices of group g, from `first` on: by one thread, or by the pool's. */
static void run_slices(const slices *f, int g, int first, int worker, cn_pool *pool)
{
    const cn_conv_pass *pass = f->pass;
    const cn_conv_args *a = f->args;
    const int n = min(f->part->m, f->count - first);
    float *x = a->scratch + (size_t)worker * f->worker;
    float *y = x + pass->as.slices.x, *w = y + pass->as.slices.y;
    /* A transfer writes either the tensor or the slices. */
    transfer in_x = {f, slice_in_x, (float *)(uintptr_t)a->x, x, first, g, true};
    transfer in_y = {f, slice_in_y, (float *)(uintptr_t)a->dy, y, first, g, true};
    cn_conv_args part = {.m = n,
                         .x = x,
                         .b = a->b ? a->b + (ptrdiff_t)g * f->part->oc : NULL,
                         .activation = a->activation,
                         .dy = y,
                         .y = y,
                         .dx = x,
                         .dw = f->groups > 1 ? w : a->dw,
                         .db = a->db ? a->db + (ptrdiff_t)g * f->part->oc : NULL,
                         .scratch = w + pass->as.slices.w,
                         .pool = pool};
    if (pass->direction == CN_CONV_FORWARD) {
        part.w = a->w + (size_t)g * pass[1].packed;
        in_y.tensor = a->y;
    } else if (pass->direction == CN_CONV_BACKWARD_DATA) {
        part.w = f->groups > 1 ? w : a->w;
        in_x.tensor = a->dx;
        if (f->groups > 1) take_group(f->part, f->s->oc, a->w, g, w);
    }
    if (pass->direction != CN_CONV_BACKWARD_DATA) cn_pool_run(pool, n, transfer_task, &in_x);
    if (pass->direction != CN_CONV_FORWARD) cn_pool_run(pool, n, transfer_task, &in_y);
    pass[1].method->run[pass->direction](&pass[1], &part);
    in_x.to_slices = in_y.to_slices = false;
    if (pass->direction == CN_CONV_FORWARD) cn_pool_run(pool, n, transfer_task, &in_y);
    if (pass->direction == CN_CONV_BACKWARD_DATA) cn_pool_run(pool, n, transfer_task, &in_x);
}

/* Some slices of one group. */
static void slices_task(void *argument, int task, int worker)
{
    const slices *f = argument;
    run_slices(f, task % f->groups, task / f->groups * f->part->m, worker, NULL);
}

/* dw of one group, from all slices. */
static void group_weights_task(void *argument, int g, int worker)
{
    const slices *f = argument;
    const cn_conv_pass *pass = f->pass;
    float *dw = f->args->dw, *w = f->args->scratch + (size_t)worker * f->worker +
                                  pass->as.slices.x + pass->as.slices.y;
    const int rows = f->s->fh * f->s->fw * f->part->c, oc = f->part->oc;
    memset(w, 0, pass->as.slices.w * sizeof *w);
    for (int first = 0; first < f->count; first += f->part->m)
        run_slices(f, g, first, worker, NULL);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < oc; k++)
            dw[(ptrdiff_t)r * f->s->oc + (ptrdiff_t)g * oc + k] += w[(ptrdiff_t)r * oc + k];
}

static void slices_run(const cn_conv_pass *pass, const cn_conv_args *a)
{
    slices f = slices_of(pass, a);
    /* Elements that no window covers are in no slice. */
    if (pass->direction == CN_CONV_BACKWARD_DATA)
        memset(a->dx, 0, floats_of(a->m, f.s->h, f.s->w, f.s->c) * sizeof *a->dx);
    if (f.groups == 1)
        for (int first = 0; first < f.count; first += f.part->m)
            run_slices(&f, 0, first, 0, a->pool);
    else if (pass->direction == CN_CONV_BACKWARD_WEIGHTS)
        cn_pool_run(a->pool, f.groups, group_weights_task, &f);
    else
        cn_pool_run(a->pool, f.groups * div_ceil(f.count, f.part->m), slices_task, &f);
}

/* ---- the methods */

PLANNING bool groups_support(const cn_conv_pass *pass)
{
    return pass->problem.groups > 1;
}

PLANNING bool space_to_batch_supports(const cn_conv_pass *pass)
{
    const cn_conv_problem *p = &pass->problem;
    return p->groups == 1 && !is_dense(p);
}

PLANNING void slices_plan(cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    const int eh = common_divisor(s->sh, s->dilation_h), ew = common_divisor(s->sw, s->dilation_w);
    const int phases_h = s->dilation_h / eh, phases_w = s->dilation_w / ew;
    const int threads = s->groups > 1 ? 1 : pass->options.threads;
    cn_conv_problem part = *s;
    part.dilation_h = part.dilation_w = part.groups = 1;
    part.sh /= eh;
    part.sw /= ew;
    part.oh = div_ceil(s->oh, phases_h);
    part.ow = div_ceil(s->ow, phases_w);
    part.h = (part.oh - 1) * part.sh + s->fh;
    part.w = (part.ow - 1) * part.sw + s->fw;
    part.pt = part.pl = 0;
    part.c = s->c / s->groups;
    part.oc = s->oc / s->groups;
    const size_t x = floats_of(1, part.h, part.w, part.c);
    const size_t y = floats_of(1, part.oh, part.ow, part.oc);
    const size_t fit = (s->groups > 1 ? SLICES_IN_CACHE : SLICES_TOGETHER) / (x + y);
    const int least = div_ceil(SLICE_OUTPUTS, min(SLICE_OUTPUTS, part.oh * part.ow));
    part.m = min(s->m * phases_h * phases_w, max(least, (int)fit));
    cn_conv_plan_inner(pass, &part, threads);
    pass->as.slices.phases_h = phases_h;
    pass->as.slices.phases_w = phases_w;
    pass->as.slices.x = x * (size_t)part.m + LANES;
    pass->as.slices.y = y * (size_t)part.m + LANES;
    pass->as.slices.w = s->groups > 1 ? weights_of_group(&part) : 0;
    const slices f = slices_of(pass, NULL);
    pass->scratch = f.worker * (size_t)(s->groups > 1 ? pass->options.threads : 1);
    /* And a copy of a group's weights, from which they are packed. */
    if (pass->direction == CN_CONV_FORWARD)
        pass->packed = (size_t)s->groups * pass[1].packed + pass->as.slices.w;
}

static void slices_pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    const slices f = slices_of(pass, NULL);
    float *copy = packed + (size_t)f.groups * pass[1].packed;
    for (int g = 0; g < f.groups; g++, packed += pass[1].packed) {
        if (f.groups > 1) take_group(f.part, f.s->oc, w, g, copy);
        pass[1].method->pack(&pass[1], f.groups > 1 ? copy : w, packed, pool);
    }
}

static const cn_conv_method groups_method = {
    .name = "groups",
    .supports = groups_support,
    .plan = slices_plan,
    .pack = slices_pack,
    .run = {slices_run, slices_run, slices_run},
};

static const cn_conv_method space_to_batch_method = {
    .name = "space to batch",
    .supports = space_to_batch_supports,
    .plan = slices_plan,
    .pack = slices_pack,
    .run = {slices_run, slices_run, slices_run},
};

#endif

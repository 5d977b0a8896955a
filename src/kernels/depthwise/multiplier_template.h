/*
 * multiplier_template.h - several outputs per channel (a depth multiplier): a depthwise convolution
 * of repeated channels.
 *
 * Parameter: LANES. Provides: multiplier_method.
 */
#ifndef CN_MULTIPLIER_TEMPLATE_H
#define CN_MULTIPLIER_TEMPLATE_H

#include "kernels/conv/slices_template.h"

/* `times` copies of each of n numbers side by side. */
typedef struct repetition {
    int h, w, c, times; /* of x */
    const float *x;
    float *copies, *dx;
} repetition;

static repetition repetition_of(const cn_conv_pass *pass, const cn_conv_args *args)
{
    const cn_conv_problem *s = &pass->problem;
    return (repetition){.h = s->h,
                        .w = s->w,
                        .c = s->c,
                        .times = s->oc / s->c,
                        .x = args->x,
                        .copies = args->scratch,
                        .dx = args->dx};
}

static void repeat_task(void *argument, int task, int worker)
{
    const repetition *f = argument;
    const size_t n = floats_of(1, f->h, f->w, f->c), from = n * (size_t)task;
    float *to = f->copies + from * (size_t)f->times;
    (void)worker;
    for (size_t j = 0; j < n; j++)
        for (int e = 0; e < f->times; e++) *to++ = f->x[from + j];
}

static void add_repeated_task(void *argument, int task, int worker)
{
    const repetition *f = argument;
    const size_t n = floats_of(1, f->h, f->w, f->c), first = n * (size_t)task;
    const float *from = f->copies + first * (size_t)f->times;
    (void)worker;
    for (size_t j = 0; j < n; j++) {
        float sum = 0;
        for (int e = 0; e < f->times; e++) sum += *from++;
        f->dx[first + j] = sum;
    }
}

/* ---- the method */

PLANNING bool multiplier_supports(const cn_conv_pass *pass)
{
    const cn_conv_problem *s = &pass->problem;
    return s->groups > 1 && s->groups == s->c && s->oc > s->c;
}

static size_t repetition_floats(const cn_conv_problem *wide)
{
    return floats_of(wide->m, wide->h, wide->w, wide->c) + LANES;
}

PLANNING void multiplier_plan(cn_conv_pass *pass)
{
    cn_conv_problem wide = pass->problem;
    wide.c = wide.groups = wide.oc;
    cn_conv_plan_inner(pass, &wide, pass->options.threads);
    pass->packed = pass[1].packed;
    pass->scratch = repetition_floats(&wide) + pass[1].scratch;
}

static void multiplier_pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    pass[1].method->pack(&pass[1], w, packed, pool);
}

/* x is repeated before the pass, or the gradient of its copies summed after it. */
static void multiplier_run(const cn_conv_pass *pass, const cn_conv_args *a)
{
    repetition f = repetition_of(pass, a);
    cn_conv_args wide = *a;
    wide.x = wide.dx = f.copies;
    wide.scratch += repetition_floats(&pass[1].problem);
    if (pass->direction != CN_CONV_BACKWARD_DATA) cn_pool_run(a->pool, a->m, repeat_task, &f);
    pass[1].method->run[pass->direction](&pass[1], &wide);
    if (pass->direction == CN_CONV_BACKWARD_DATA) cn_pool_run(a->pool, a->m, add_repeated_task, &f);
}

static const cn_conv_method multiplier_method = {
    .name = "depth multiplier",
    .supports = multiplier_supports,
    .plan = multiplier_plan,
    .pack = multiplier_pack,
    .run = {multiplier_run, multiplier_run, multiplier_run},
};

#endif

/* bench_conv.c - a convolution with its data, and multiply-adds alone, to be timed. */
#include "bench_conv.h"

#include <math.h>

/* ---- the peak */

enum { PEAK_STEPS = 1 << 18 };

static void multiply_add_unit(void *argument, int unit, int worker)
{
    const bench_machine *m = argument;
    (void)unit;
    (void)worker;
    m->kernels->multiply_add(PEAK_STEPS);
}

void bench_multiply_add(void *machine)
{
    bench_machine *m = machine;
    cn_pool_run(m->pool, cn_pool_threads(m->pool), multiply_add_unit, m);
}

double bench_multiply_add_operations(const bench_machine *m)
{
    return m->kernels->multiply_add(PEAK_STEPS) * cn_pool_threads(m->pool);
}

/* ---- a convolution */

static cn_status floats(cn_tensor *t, size_t count, cn_rng *rng, cn_error *err)
{
    cn_status status = cn_tensor_create(t, CN_DTYPE_F32, 1, (int[]){(int)(count ? count : 1)}, err);
    if (status != CN_OK || !rng) return status;
    float *data = t->data;
    for (size_t i = 0; i < count; i++) data[i] = (float)cn_rng_rand(rng) - 0.5f;
    return CN_OK;
}

cn_status bench_conv_open(bench_conv *c, bench_machine *m, const cn_conv_problem *s,
                          cn_conv_options how, bool packs, cn_rng *rng, cn_error *err)
{
    const size_t pixels = (size_t)s->m * (size_t)s->h * (size_t)s->w;
    const size_t outputs = (size_t)s->m * (size_t)s->oh * (size_t)s->ow;
    const size_t weights =
        (size_t)s->fh * (size_t)s->fw * (size_t)(s->c / s->groups) * (size_t)s->oc;
    *c = (bench_conv){.machine = m, .s = *s, .packs = packs};
    how.threads = cn_pool_threads(m->pool);
    cn_conv_plan_make(&c->plan, m->kernels->conv->methods, s, how);
    cn_status status = floats(&c->x, pixels * (size_t)s->c, rng, err);
    if (status == CN_OK) status = floats(&c->y, outputs * (size_t)s->oc, rng, err);
    if (status == CN_OK) status = floats(&c->w, weights, rng, err);
    if (status == CN_OK) status = floats(&c->b, (size_t)s->oc, rng, err);
    if (status == CN_OK) status = floats(&c->packed, c->plan.packed, NULL, err);
    if (status == CN_OK) status = floats(&c->scratch, c->plan.scratch, NULL, err);
    if (status == CN_OK)
        cn_conv_pack(&c->plan, c->w.data, c->packed.data, m->pool);
    else
        bench_conv_close(c);
    return status;
}

void bench_conv_close(bench_conv *c)
{
    cn_tensor *const all[] = {&c->x, &c->y, &c->w, &c->b, &c->packed, &c->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cn_tensor_free(all[i]);
}

static cn_conv_args args_of(const bench_conv *c)
{
    return (cn_conv_args){
        .m = c->s.m, .w = c->w.data, .scratch = c->scratch.data, .pool = c->machine->pool};
}

void bench_forward(void *conv)
{
    bench_conv *c = conv;
    cn_conv_args args = args_of(c);
    if (c->packs) cn_conv_pack(&c->plan, c->w.data, c->packed.data, args.pool);
    args.x = c->x.data;
    args.w = c->packed.data;
    args.b = c->b.data;
    args.activation = (cn_activation){.kind = CN_ACTIVATION_CLIP, .upper = INFINITY};
    args.y = c->y.data;
    cn_conv_run(&c->plan, CN_CONV_FORWARD, &args);
}

void bench_backward_data(void *conv)
{
    bench_conv *c = conv;
    cn_conv_args args = args_of(c);
    args.dy = c->y.data;
    args.dx = c->x.data;
    cn_conv_run(&c->plan, CN_CONV_BACKWARD_DATA, &args);
}

void bench_backward_weights(void *conv)
{
    bench_conv *c = conv;
    cn_conv_args args = args_of(c);
    args.x = c->x.data;
    args.dy = c->y.data;
    args.dw = c->w.data;
    args.db = c->b.data;
    cn_conv_run(&c->plan, CN_CONV_BACKWARD_WEIGHTS, &args);
}

double bench_operations(const cn_conv_problem *s)
{
    return 2.0 * s->m * s->oh * s->ow * s->oc * s->fh * s->fw * s->c / s->groups;
}

/*
 * cpu.c - the CPU in float32: the layers of src/layers, over the kernels of this processor and a
 * pool of threads.
 *
 * Its memory is the host's, so nothing is copied: parameters are the model's own block.
 *
 * The optimizer's step is one kernel call per chunk, over the pool. The padding between tensors
 * stays zero: its gradients are zero, and so is its decay. Clipping by norm needs all gradients
 * first: one sum of squares per chunk, added up in order. All that is done to a chunk is done while
 * it is in the cache.
 *
 * Adam's bias corrections, m / (1 - beta1^t) and v / (1 - beta2^t), are moved into its rate and
 * epsilon, which saves two divisions per element:
 *
 *     rate m / c1 / (sqrt(v / c2) + epsilon)
 *         = (rate sqrt(c2) / c1) m / (sqrt(v) + epsilon sqrt(c2))
 */
#include "backends/backend.h"
#include "base/math.h"

#include <math.h>
#include <string.h>

typedef struct cpu {
    const cn_kernels *kernels;
    cn_pool *pool;
} cpu;

static const cn_kernels *kernels_for(const cn_session_opts *opts)
{
    const cn_kernels *kernels = cn_kernels_get();
    return opts->precision == CN_PRECISION_BF16 ? cn_kernels_with_bf16(kernels) : kernels;
}

/* ---- the device and its memory */

static void close(void *device)
{
    cpu *c = device;
    if (c) cn_pool_free(c->pool);
    cn_release(c);
}

static cn_status open(const cn_session_opts *opts, void **device, cn_error *err)
{
    cpu *c = cn_allocate(1, sizeof *c, "session: threads", err);
    if (!c) return CN_ERR_MEMORY;
    c->kernels = kernels_for(opts);
    cn_status status = cn_pool_create(&c->pool, opts->threads, err);
    if (status != CN_OK) {
        close(c);
        return status;
    }
    *device = c;
    return CN_OK;
}

static void *allocate(void *device, size_t bytes, const char *what, cn_error *err)
{
    (void)device;
    return cn_allocate(bytes, 1, what, err);
}

static void release(void *device, void *memory)
{
    (void)device;
    cn_release(memory);
}

static void zero(void *device, size_t n, void *x)
{
    (void)device;
    memset(x, 0, n * sizeof(float));
}

static void prepare(void *device, const cn_session_opts *opts, bool alone, cn_call *call)
{
    const cpu *c = device;
    call->kernels = c ? c->kernels : kernels_for(opts);
    call->pool = c && !alone ? c->pool : NULL;
}

/* ---- element by element */

static void add(void *device, size_t n, const void *x, void *y)
{
    const cpu *c = device;
    cn_map_run(c->pool, c->kernels->add, n, x, y);
}

static void scale(void *device, size_t n, double factor, void *x)
{
    const cpu *c = device;
    cn_map_with_run(c->pool, c->kernels->scale, (float)factor, n, x, x);
}

static size_t count_not_finite(void *device, size_t n, const void *x, bool *nan)
{
    (void)device;
    return cn_count_not_finite(n, x, nan);
}

static void blend(void *device, size_t n, double part, const float *w, float *average)
{
    const cpu *c = device;
    cn_map_with_run(c->pool, c->kernels->optimizer->blend, (float)part, n, w, average);
}

/* ---- loss and step */

static double loss(void *device, const cn_loss_call *call)
{
    (void)device;
    return cn_loss_run(call->plan, call->m, call->z, call->y_hat, call->Y, call->gradient,
                       call->weight);
}

typedef struct step_job {
    const cn_update_step *s;
    const cn_kernels *kernels;
    cn_update update;  /* without the members that differ between chunks */
    double correction; /* Adam's, of the rate */
} step_job;

/* The gradients of a chunk, multiplied by the step's factor. */
static float *gradients_of(const step_job *job, const cn_update_chunk *u)
{
    float *g = (float *)job->s->gradients + u->from;
    if (job->s->factor != 1) job->kernels->scale(u->count, (float)job->s->factor, g, g);
    return g;
}

static void measure_task(void *argument, int task, int worker)
{
    const step_job *job = argument;
    cn_update_chunk *u = &job->s->plan->chunks[job->s->first + task];
    (void)worker;
    u->squares = job->kernels->optimizer->sum_squares(u->count, gradients_of(job, u));
}

static void measure(void *device, const cn_update_step *s)
{
    const cpu *c = device;
    step_job job = {.s = s, .kernels = c->kernels};
    cn_pool_run(c->pool, s->end - s->first, measure_task, &job);
}

static void step_task(void *argument, int task, int worker)
{
    const step_job *job = argument;
    const cn_update_chunk *u = &job->s->plan->chunks[job->s->first + task];
    const cn_optimizer *o = job->s->optimizer;
    float *g = gradients_of(job, u);
    float *w = (float *)job->s->weights + u->from, *first = NULL, *second = NULL;
    int blocks = cn_optimizer_state_blocks(o);
    double rate = job->s->rate * u->rate, decay = o->weight_decay * u->decay;
    cn_update update = job->update;
    (void)worker;
    if (blocks > 0) first = (float *)job->s->state + u->from;
    if (blocks > 1) second = first + job->s->size;
    update.rate = (float)(rate * job->correction);
    update.decay = o->decoupled ? 0 : (float)decay;
    update.keep = o->decoupled ? (float)(1 - rate * decay) : 1;
    switch (o->kind) {
    case CN_OPTIMIZER_SGD: job->kernels->optimizer->sgd(u->count, &update, g, first, w); break;
    case CN_OPTIMIZER_RMSPROP:
        job->kernels->optimizer->rmsprop(u->count, &update, g, second, first, w);
        break;
    default: job->kernels->optimizer->adam(u->count, &update, g, first, second, w);
    }
    if (job->s->replace) memcpy(g, w, u->count * sizeof *w);
}

static void step(void *device, const cn_update_step *s)
{
    const cpu *c = device;
    const cn_optimizer *o = s->optimizer;
    bool adam = o->kind == CN_OPTIMIZER_ADAM || o->kind == CN_OPTIMIZER_ADAMW;
    double c1 = adam ? 1 - cn_pow(o->beta1, (double)s->t) : 1;
    double root = adam ? sqrt(1 - cn_pow(o->beta2, (double)s->t)) : 1;
    step_job job = {
        .s = s,
        .kernels = c->kernels,
        .correction = root / c1,
        .update = {.scale = 1,
                   .limit = o->clip_value > 0 ? (float)o->clip_value : INFINITY,
                   .momentum = (float)o->momentum,
                   .take = s->t > 1 ? (float)(1 - o->dampening) : 1,
                   .beta1 = (float)o->beta1,
                   .beta2 = (float)(o->kind == CN_OPTIMIZER_RMSPROP ? o->alpha : o->beta2),
                   .epsilon = (float)(o->epsilon * root),
                   .nesterov = o->nesterov},
    };
    if (o->clip_norm > 0) {
        double squares = 0;
        for (int i = 0; i < s->plan->count; i++) squares += s->plan->chunks[i].squares;
        double scale = o->clip_norm / (sqrt(squares) + 1e-6);
        job.update.scale = scale < 1 || isnan(scale) ? (float)scale : 1;
    }
    cn_pool_run(c->pool, s->end - s->first, step_task, &job);
}

const cn_backend cn_cpu_backend = {
    .name = "cpu",
    .dtype = CN_DTYPE_F32,
    .host = true,
    .open = open,
    .close = close,
    .allocate = allocate,
    .free = release,
    .zero = zero,
    .ops = cn_layer_cpu_ops,
    .prepare = prepare,
    .add = add,
    .scale = scale,
    .mask_relu = cn_mask_relu,
    .count_not_finite = count_not_finite,
    .loss = loss,
    .measure = measure,
    .step = step,
    .blend = blend,
};

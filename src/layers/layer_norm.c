/*
 * layer_norm.c - layer normalization (Ba, Kiros and Hinton 2016), row by row.
 *
 *     X_hat = (X - mu) / sqrt(var + epsilon)     mu, var the row's mean and (biased) variance
 *     Y     = gamma X_hat + beta
 *
 * A row is the last axis, n_C elements of a pixel, as in Keras and in ConvNeXt; with all_axes a
 * whole example. gamma and beta have the row's shape. Training and prediction do the same.
 */
#include "layers/layer.h"

#include <string.h>

#define AT(member) offsetof(cn_layer_norm_opts, member)
static const cn_option options[] = {
    {"all_axes", CN_OPTION_BOOL, .offset = AT(all_axes)},
    {"epsilon", CN_OPTION_FLOAT, .offset = AT(epsilon), .fallback = 1e-5},
    {"no_scale", CN_OPTION_BOOL, .offset = AT(no_scale)},
    {"no_shift", CN_OPTION_BOOL, .offset = AT(no_shift)},
    {0},
};

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_layer_norm_opts *o = layer->options;
    cn_shape row = {1, {layer->in.n[layer->in.rank - 1]}};
    cn_layer_parameter *at = layer->parameters;
    (void)context, (void)err;
    if (o->all_axes) row = layer->in;
    if (!o->no_scale) *at++ = (cn_layer_parameter){.role = "weight", .shape = row, .start = 1};
    if (!o->no_shift) *at++ = (cn_layer_parameter){.role = "bias", .shape = row};
    layer->parameter_count = (int)(at - layer->parameters);
    return CN_OK;
}

/* ---- chunks of rows over the pool, whose number does not depend on the threads */

enum { CHUNKS = 32 }; /* at most: each leaves sums of 2 c floats */

typedef struct rows_job {
    const cn_call *call;
    size_t rows, chunk; /* rows of a chunk */
    int c;              /* elements of a row */
    const float *x, *dy;
    float *y, *dx, *cache, *sums;
    int scale, shift; /* which weight is gamma and which beta; -1 for none */
} rows_job;

static rows_job job_of(const cn_call *call)
{
    const cn_layer_norm_opts *o = call->layer->options;
    const cn_shape *in = &call->layer->in;
    rows_job job = {.call = call,
                    .x = call->x[0],
                    .dy = call->dy,
                    .y = call->y,
                    .dx = call->dx[0],
                    .cache = call->cache,
                    .sums = call->scratch,
                    .scale = -1,
                    .shift = -1};
    int weights = 0;
    if (!o->no_scale) job.scale = weights++;
    if (!o->no_shift) job.shift = weights++;
    job.c = o->all_axes ? (int)cn_shape_count(in) : in->n[in->rank - 1];
    job.rows = (size_t)call->m * cn_shape_count(in) / (size_t)job.c;
    job.chunk = (job.rows + CHUNKS - 1) / CHUNKS;
    return job;
}

static int chunks_of(const rows_job *job)
{
    return (int)((job->rows + job->chunk - 1) / job->chunk);
}

static const float *weight_at(const rows_job *job, int k)
{
    return k < 0 ? NULL : job->call->w[k];
}

static size_t rows_of(const rows_job *job, int chunk)
{
    size_t left = job->rows - (size_t)chunk * job->chunk;
    return left < job->chunk ? left : job->chunk;
}

static void forward_task(void *argument, int task, int worker)
{
    const rows_job *job = argument;
    const cn_call *call = job->call;
    const cn_layer_norm_opts *o = call->layer->options;
    size_t row = (size_t)task * job->chunk, at = row * (size_t)job->c;
    (void)worker;
    call->kernels->norm->rows(rows_of(job, task), job->c, job->x + at, weight_at(job, job->scale),
                              weight_at(job, job->shift), (float)o->epsilon,
                              call->training ? job->cache + 2 * row : NULL, job->y + at);
}

static void backward_task(void *argument, int task, int worker)
{
    const rows_job *job = argument;
    const cn_call *call = job->call;
    size_t row = (size_t)task * job->chunk, at = row * (size_t)job->c;
    float *sums = job->sums + (size_t)task * 2 * (size_t)job->c;
    (void)worker;
    memset(sums, 0, 2 * (size_t)job->c * sizeof *sums);
    call->kernels->norm->rows_backward(rows_of(job, task), job->c, job->x + at, job->dy + at,
                                       weight_at(job, job->scale), job->cache + 2 * row, sums,
                                       job->dx ? job->dx + at : NULL);
}

/* ---- the layer */

static void forward(const cn_call *call)
{
    rows_job job = job_of(call);
    cn_pool_run(call->pool, chunks_of(&job), forward_task, &job);
}

static void backward(const cn_call *call)
{
    rows_job job = job_of(call);
    size_t c = (size_t)job.c;
    /* X_hat depends on X also by mu and var: see the kernel. */
    cn_pool_run(call->pool, chunks_of(&job), backward_task, &job);
    for (int i = 0; i < chunks_of(&job); i++) {
        const float *sums = job.sums + (size_t)i * 2 * c;
        float *d_gamma = job.scale >= 0 ? call->dw[job.scale] : NULL;
        float *d_beta = job.shift >= 0 ? call->dw[job.shift] : NULL;
        /* Y = gamma X_hat + beta:   d_gamma = sum of dY X_hat,  d_beta = sum of dY */
        if (d_gamma) call->kernels->add(c, sums, d_gamma);
        if (d_beta) call->kernels->add(c, sums + c, d_beta);
    }
}

static void requirements(const cn_call *call, int threads, cn_requirements *r)
{
    rows_job job = job_of(call);
    (void)threads;
    if (!call->training) return;
    r->cache = 2 * job.rows;
    /* Fewer rows may make more chunks, but never more than rows. */
    r->scratch = (job.rows < CHUNKS ? job.rows : CHUNKS) * 2 * (size_t)job.c;
}

static size_t averaged(const cn_layer *layer, int m)
{
    const cn_layer_norm_opts *o = layer->options;
    (void)m;
    return o->all_axes ? cn_shape_count(&layer->in) : (size_t)layer->in.n[layer->in.rank - 1];
}

const cn_layer_type cn_layer_norm_type = {
    .name = "layer_norm",
    .word = "layernorm",
    .options = options,
    .options_size = sizeof(cn_layer_norm_opts),
    .backward_reads = CN_READS_X,
    .in_place = true,
    .averaged = averaged,
    .infer = infer,
};

const cn_layer_ops cn_layer_norm_cpu = {
    .requirements = requirements,
    .forward = forward,
    .backward = backward,
};

cn_node cn_layer_norm(cn_model *model, cn_node x, const cn_layer_norm_opts *opts)
{
    return cn_model_add(model, &cn_layer_norm_type, opts, opts ? opts->name : NULL, &x, 1);
}

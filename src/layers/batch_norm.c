/*
 * batch_norm.c - batch normalization (Ioffe and Szegedy 2015), channel by channel.
 *
 *     mu[c]  = mean of X[.., c]                    over the examples and their pixels
 *     var[c] = mean of (X[.., c] - mu[c])^2        over the same
 *     X_hat  = (X - mu) / sqrt(var + epsilon)
 *     Y      = gamma X_hat + beta
 *
 *     X, Y (m, n_H, n_W, n_C) or (m, n_C); gamma, beta, mu, var (n_C).
 *
 * In training mu and var are those of the batch, and the running ones move towards them:
 *
 *     running = momentum running + (1 - momentum) batch        var with n / (n - 1), unbiased
 *
 * Calls that share a batch (cn_call.totals) take mu and var over all of it.
 *
 * A session that does not train uses the running ones: the layer is then a scale and a shift.
 * A following ReLU or ReLU6 is fused into this layer in both passes.
 */
#include "layers/layer.h"

#include <math.h>
#include <string.h>

#define AT(member) offsetof(cn_batch_norm_opts, member)
static const cn_option options[] = {
    {"momentum", CN_OPTION_FLOAT, .offset = AT(momentum), .below = 1, .fallback = 0.9},
    {"epsilon", CN_OPTION_FLOAT, .offset = AT(epsilon), .fallback = 1e-5},
    {"no_scale", CN_OPTION_BOOL, .offset = AT(no_scale)},
    {"no_shift", CN_OPTION_BOOL, .offset = AT(no_shift)},
    {0},
};

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_batch_norm_opts *o = layer->options;
    cn_shape channels = {1, {layer->in.n[layer->in.rank - 1]}};
    cn_layer_parameter *at = layer->parameters;
    (void)context, (void)err;
    if (!o->no_scale) *at++ = (cn_layer_parameter){.role = "weight", .shape = channels, .start = 1};
    if (!o->no_shift) *at++ = (cn_layer_parameter){.role = "bias", .shape = channels};
    *at++ = (cn_layer_parameter){.role = "running_mean", .shape = channels, .buffer = true};
    *at++ =
        (cn_layer_parameter){.role = "running_var", .shape = channels, .buffer = true, .start = 1};
    layer->parameter_count = (int)(at - layer->parameters);
    return CN_OK;
}

/* ---- the arrays of a call */

/* Arrays of n_C floats each lie this far apart, so that vectors may read past their ends. */
static size_t stride(int c)
{
    return ((size_t)c + 15) / 16 * 16;
}

/* Where things are among a layer's weights; NULL where it has none. */
typedef struct parts {
    const float *gamma, *beta;
    float *d_gamma, *d_beta;
    float *mean, *var; /* running */
} parts;

static parts parts_of(const cn_call *call)
{
    const cn_batch_norm_opts *o = call->layer->options;
    int gamma = 0, beta = !o->no_scale, mean = call->layer->parameter_count - 2;
    return (parts){
        .gamma = o->no_scale ? NULL : call->w[gamma],
        .beta = o->no_shift ? NULL : call->w[beta],
        .d_gamma = o->no_scale ? NULL : call->dw[gamma],
        .d_beta = o->no_shift ? NULL : call->dw[beta],
        .mean = call->w[mean],
        .var = call->w[mean + 1],
    };
}

/* What a forward pass in training caches, and what a session that does not train packs, n_C each:
 * the layer is (x - mean) scale + shift, which does not cancel where x is near the mean. */
typedef struct cache {
    float *mean, *scale, *shift, *rstd; /* rstd = 1 / sqrt(var + epsilon) */
} cache;

static cache cache_at(float *base, int c)
{
    size_t n = stride(c);
    return (cache){base, base + n, base + 2 * n, base + 3 * n};
}

static void set_scale(const parts *p, const cache *k, int j, double mean, double var,
                      double epsilon)
{
    double rstd = 1 / sqrt(var + epsilon);
    k->mean[j] = (float)mean;
    k->rstd[j] = (float)rstd;
    k->scale[j] = (float)(p->gamma ? (double)p->gamma[j] * rstd : rstd);
    k->shift[j] = p->beta ? p->beta[j] : 0;
}

/* ---- work over the pool: chunks of rows whose number does not depend on the threads */

enum { CHUNKS = 256 }; /* at most: each leaves sums of 2 n_C floats */

typedef struct rows_job {
    const cn_call *call;
    size_t rows, chunk;
    int c;
    cache k;
    const float *x, *dy;
    float *y, *dx;
    const float *b, *d; /* backward */
    float *sums;        /* 2 c per chunk */
} rows_job;

static rows_job job_of(const cn_call *call)
{
    const cn_shape *in = &call->layer->in;
    rows_job job = {.call = call,
                    .c = in->n[in->rank - 1],
                    .x = call->x[0],
                    .dy = call->dy,
                    .y = call->y,
                    .dx = call->dx[0],
                    .sums = call->scratch};
    job.rows = (size_t)call->m * cn_shape_count(in) / (size_t)job.c;
    job.chunk = CN_MAP_CHUNK / (size_t)job.c + 1;
    if (job.rows / job.chunk >= CHUNKS) job.chunk = job.rows / CHUNKS + 1;
    job.k = cache_at(call->training ? call->cache : call->packed, job.c);
    return job;
}

static int chunks_of(const rows_job *job)
{
    return (int)((job->rows + job->chunk - 1) / job->chunk);
}

/* The rows of a chunk, and its first element. */
static size_t chunk_at(const rows_job *job, int chunk, size_t *first)
{
    size_t row = (size_t)chunk * job->chunk, left = job->rows - row;
    *first = row * (size_t)job->c;
    return left < job->chunk ? left : job->chunk;
}

static double total(const rows_job *job, size_t j)
{
    double sum = 0;
    for (int i = 0; i < chunks_of(job); i++)
        sum += (double)job->sums[(size_t)i * 2 * (size_t)job->c + j];
    return sum;
}

/* ---- forward */

static void sums_task(void *argument, int task, int worker)
{
    const rows_job *job = argument;
    size_t first, rows = chunk_at(job, task, &first);
    (void)worker;
    job->call->kernels->norm->column_sums(rows, job->c, job->x + first, job->x,
                                          job->sums + (size_t)task * 2 * (size_t)job->c);
}

static void scale_task(void *argument, int task, int worker)
{
    const rows_job *job = argument;
    const cn_call *call = job->call;
    size_t first, rows = chunk_at(job, task, &first);
    (void)worker;
    call->kernels->norm->scale_columns(rows, job->c, job->x + first, job->k.mean, job->k.scale,
                                       job->k.shift, call->activation, job->y + first);
}

/* The running ones move towards those of the batch. */
static void move(const parts *p, int j, double keep, double n, double mean, double var)
{
    double unbiased = n > 1 ? var * n / (n - 1) : var;
    p->mean[j] = (float)(keep * (double)p->mean[j] + (1 - keep) * mean);
    p->var[j] = (float)(keep * (double)p->var[j] + (1 - keep) * unbiased);
}

/* The batch's mean and variance, from sums of differences to the first row. Moves the running ones.
 */
static void gather_statistics(rows_job *job)
{
    const cn_call *call = job->call;
    const cn_batch_norm_opts *o = call->layer->options;
    const parts p = parts_of(call);
    double n = (double)job->rows;
    cn_pool_run(call->pool, chunks_of(job), sums_task, job);
    for (int j = 0; j < job->c; j++) {
        double off = total(job, (size_t)j) / n, square = total(job, (size_t)job->c + (size_t)j) / n;
        double mean = (double)job->x[j] + off, var = square - off * off;
        if (var < 0) var = 0;
        set_scale(&p, &job->k, j, mean, var, o->epsilon);
        move(&p, j, o->momentum, n, mean, var);
    }
}

/* This call's part of the sums over the batch, of X and of X^2. They are taken as differences to
 * the call's first row, x0, and moved to 0, which all calls share, in double: what cancels in
 * the variance costs (mu / sigma)^2 of its last digit, as much as X has of it in float. */
static void forward_sums(const cn_call *call, double *sums)
{
    rows_job job = job_of(call);
    double n = (double)job.rows, *squares = sums + 1 + job.c;
    cn_pool_run(call->pool, chunks_of(&job), sums_task, &job);
    *sums++ = n;
    for (int j = 0; j < job.c; j++) {
        double off = total(&job, (size_t)j), square = total(&job, (size_t)job.c + (size_t)j);
        double x0 = (double)job.x[j];
        sums[j] = n * x0 + off;
        squares[j] = square + x0 * (2 * off + n * x0);
    }
}

/* Those of all calls that share the batch. */
static void take_totals(rows_job *job)
{
    const cn_call *call = job->call;
    const cn_batch_norm_opts *o = call->layer->options;
    const parts p = parts_of(call);
    const double n = call->totals->forward[0], *sums = call->totals->forward + 1;
    for (int j = 0; j < job->c; j++) {
        double mean = sums[j] / n, var = sums[job->c + j] / n - mean * mean;
        if (var < 0) var = 0;
        set_scale(&p, &job->k, j, mean, var, o->epsilon);
        if (call->totals->moves) move(&p, j, o->momentum, n, mean, var);
    }
}

static void forward(const cn_call *call)
{
    rows_job job = job_of(call);
    if (call->totals)
        take_totals(&job);
    else if (call->training)
        gather_statistics(&job);
    cn_pool_run(call->pool, chunks_of(&job), scale_task, &job);
}

/* Not training: scale and shift, found once. */
static void pack(const cn_call *call)
{
    const cn_batch_norm_opts *o = call->layer->options;
    const parts p = parts_of(call);
    int c = call->layer->in.n[call->layer->in.rank - 1];
    if (call->training) return;
    const cache k = cache_at(call->packed, c);
    for (int j = 0; j < c; j++)
        set_scale(&p, &k, j, (double)p.mean[j], (double)p.var[j], o->epsilon);
}

/* Y = gamma rstd (X W + b - mu) + beta = X (W gamma rstd) + (b - mu) gamma rstd + beta */
static void fold(const cn_call *call, size_t rows, const void *weights, const void *biases,
                 void *new_weights, void *new_biases)
{
    const float *w = weights, *b = biases;
    float *folded_w = new_weights, *folded_b = new_biases;
    const cn_batch_norm_opts *o = call->layer->options;
    const parts p = parts_of(call);
    int c = call->layer->in.n[call->layer->in.rank - 1];
    for (int j = 0; j < c; j++) {
        double scale = (p.gamma ? (double)p.gamma[j] : 1) / sqrt((double)p.var[j] + o->epsilon);
        double bias = (b ? (double)b[j] : 0) - (double)p.mean[j];
        folded_b[j] = (float)(bias * scale + (p.beta ? (double)p.beta[j] : 0));
        for (size_t i = 0; i < rows; i++)
            folded_w[i * (size_t)c + (size_t)j] =
                (float)((double)w[i * (size_t)c + (size_t)j] * scale);
    }
}

/* ---- backward */

static void backward_sums_task(void *argument, int task, int worker)
{
    const rows_job *job = argument;
    const cn_call *call = job->call;
    size_t first, rows = chunk_at(job, task, &first);
    (void)worker;
    call->kernels->norm->backward_sums(rows, job->c, job->x + first, job->dy + first, job->k.mean,
                                       job->k.scale, job->k.shift, call->activation,
                                       job->sums + (size_t)task * 2 * (size_t)job->c);
}

static void backward_task(void *argument, int task, int worker)
{
    const rows_job *job = argument;
    const cn_call *call = job->call;
    size_t first, rows = chunk_at(job, task, &first);
    (void)worker;
    call->kernels->norm->backward(rows, job->c, job->x + first, job->dy + first, job->k.mean,
                                  job->k.scale, job->k.shift, call->activation, job->b, job->d,
                                  job->dx + first);
}

/* Y = gamma X_hat + beta:   d_beta = sum of dY,  d_gamma = sum of dY X_hat */
static void add_to_weights(const rows_job *job, const parts *p, int j, double sum, double product)
{
    if (p->d_beta) p->d_beta[j] += (float)sum;
    if (p->d_gamma) p->d_gamma[j] += (float)(product * (double)job->k.rstd[j]);
}

/* Sums of dY and of dY (X - mu); the gradients of gamma and beta are those of this call. */
static void backward_sums(const cn_call *call, double *sums)
{
    rows_job job = job_of(call);
    const parts p = parts_of(call);
    cn_pool_run(call->pool, chunks_of(&job), backward_sums_task, &job);
    if (sums) *sums++ = (double)job.rows;
    for (int j = 0; j < job.c; j++) {
        double sum = total(&job, (size_t)j), product = total(&job, (size_t)job.c + (size_t)j);
        add_to_weights(&job, &p, j, sum, product);
        if (!sums) continue;
        sums[j] = sum;
        sums[job.c + j] = product;
    }
}

static void call_sums(const cn_call *call, bool backward, double *sums)
{
    if (backward)
        backward_sums(call, sums);
    else
        forward_sums(call, sums);
}

static void backward(const cn_call *call)
{
    rows_job job = job_of(call);
    const parts p = parts_of(call);
    const double *all = call->totals ? call->totals->backward : NULL;
    float *b = job.sums + CHUNKS * 2 * (size_t)job.c, *d = b + stride(job.c);
    double n = all ? all[0] : (double)job.rows;
    if (!all) cn_pool_run(call->pool, chunks_of(&job), backward_sums_task, &job);
    for (int j = 0; j < job.c; j++) {
        double sum = all ? all[1 + j] : total(&job, (size_t)j);
        double product = all ? all[1 + job.c + j] : total(&job, (size_t)job.c + (size_t)j);
        double rstd = (double)job.k.rstd[j];
        if (!all) add_to_weights(&job, &p, j, sum, product);
        /* X_hat depends on X also by mu and var, which takes the mean off dY, and the part along
         * X_hat:
         *     dX = gamma rstd (dY - d_beta / n - X_hat d_gamma / n) */
        b[j] = (float)(sum / n);
        d[j] = (float)((double)job.k.scale[j] * rstd * rstd * product / n);
    }
    if (!call->dx[0]) return;
    job.b = b, job.d = d;
    cn_pool_run(call->pool, chunks_of(&job), backward_task, &job);
}

static void requirements(const cn_call *call, int threads, cn_requirements *r)
{
    int c = call->layer->in.n[call->layer->in.rank - 1];
    (void)threads;
    r->packed = call->training ? 0 : 4 * stride(c);
    r->cache = call->training ? 4 * stride(c) : 0;
    r->scratch = call->training ? CHUNKS * 2 * (size_t)c + 2 * stride(c) : 0;
}

static size_t averaged(const cn_layer *layer, int m)
{
    return (size_t)m * cn_shape_count(&layer->in) / (size_t)layer->in.n[layer->in.rank - 1];
}

const cn_layer_type cn_batch_norm_type = {
    .name = "batch_norm",
    .word = "batchnorm",
    .options = options,
    .options_size = sizeof(cn_batch_norm_opts),
    .backward_reads = CN_READS_X,
    .in_place = true,
    .fuses_relu = true,
    .masks_relu = true,
    .averaged = averaged,
    .channel_affine = true,
    .infer = infer,
};

const cn_layer_ops cn_batch_norm_cpu = {
    .requirements = requirements,
    .pack = pack,
    .forward = forward,
    .backward = backward,
    .sums = call_sums,
    .fold = fold,
};

cn_node cn_batch_norm(cn_model *model, cn_node x, const cn_batch_norm_opts *opts)
{
    return cn_model_add(model, &cn_batch_norm_type, opts, opts ? opts->name : NULL, &x, 1);
}

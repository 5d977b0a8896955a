/*
 * group_norm.c - group normalization (Wu and He 2018): over each group of channels of an example.
 *
 *     X_hat = (X - mu) / sqrt(var + epsilon)     mu, var the mean and (biased) variance over the
 *                                                pixels and the n_C / groups channels of a group
 *     Y     = gamma X_hat + beta                 gamma, beta (n_C)
 *
 *     X, Y (m, n_H, n_W, n_C) or (m, n_C).
 *
 * Instance normalization is groups = n_C; with one group the whole example is normalized together.
 * Training and prediction do the same. Each example is one task, and sums over its pixels are
 * computed by batch norm's kernels.
 */
#include "layers/layer.h"

#include <math.h>

#define AT(member) offsetof(cn_group_norm_opts, member)
static const cn_option options[] = {
    {"groups", CN_OPTION_INT, .bare = true, .offset = AT(groups), .least = 1},
    {"epsilon", CN_OPTION_FLOAT, .offset = AT(epsilon), .fallback = 1e-5},
    {"no_scale", CN_OPTION_BOOL, .offset = AT(no_scale)},
    {"no_shift", CN_OPTION_BOOL, .offset = AT(no_shift)},
    {0},
};

static int channels_of(const cn_layer *layer)
{
    return layer->in.n[layer->in.rank - 1];
}

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_group_norm_opts *o = layer->options;
    cn_shape channels = {1, {channels_of(layer)}};
    cn_layer_parameter *at = layer->parameters;
    if (channels.n[0] % o->groups != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: %d groups do not divide the %d channels", context,
                       o->groups, channels.n[0]);
    if (!o->no_scale) *at++ = (cn_layer_parameter){.role = "weight", .shape = channels, .start = 1};
    if (!o->no_shift) *at++ = (cn_layer_parameter){.role = "bias", .shape = channels};
    layer->parameter_count = (int)(at - layer->parameters);
    return CN_OK;
}

/* Arrays of n_C floats each lie this far apart, so that vectors may read past their ends. */
static size_t stride(const cn_layer *layer)
{
    return ((size_t)channels_of(layer) + 31) / 16 * 16;
}

/* ---- an example: arrays of n_C floats in scratch memory, or cached for backward */

enum { MEAN, SCALE, RSTD, FORWARD_ARRAYS, SHIFT = FORWARD_ARRAYS, SUMS, ARRAYS = SUMS + 2 };
enum { FALL = SUMS + 2, REST, BACKWARD_ARRAYS }; /* of backward's own, from SUMS on */

static float *cache_at(const cn_call *call, int image, int array)
{
    float *base = call->training ? call->cache : call->scratch;
    size_t arrays = call->training ? FORWARD_ARRAYS : ARRAYS;
    return base + ((size_t)image * arrays + (size_t)array) * stride(call->layer);
}

static float *scratch_at(const cn_call *call, int image, int array)
{
    size_t arrays = call->training ? BACKWARD_ARRAYS : ARRAYS;
    return (float *)call->scratch + ((size_t)image * arrays + (size_t)array) * stride(call->layer);
}

static const float *gamma_of(const cn_call *call)
{
    const cn_group_norm_opts *o = call->layer->options;
    return o->no_scale ? NULL : call->w[0];
}

/* Means and deviations of the groups, from the channels' sums around the first pixel. */
static void find_moments(const cn_call *call, int image, size_t rows, const float *x)
{
    const cn_group_norm_opts *o = call->layer->options;
    int c = channels_of(call->layer), size = c / o->groups;
    const float *sums = scratch_at(call, image, SUMS), *gamma = gamma_of(call);
    float *mean = cache_at(call, image, MEAN), *scale = cache_at(call, image, SCALE);
    float *rstd = cache_at(call, image, RSTD);
    double n = (double)rows;
    for (int g = 0; g < c; g += size) {
        double mu = 0, var = 0;
        for (int j = g; j < g + size; j++)
            mu += ((double)x[j] + (double)sums[j] / n) / (double)size;
        for (int j = g; j < g + size; j++) {
            double off = mu - (double)x[j];
            var += ((double)sums[c + j] - 2 * off * (double)sums[j]) / n + off * off;
        }
        double r = 1 / sqrt((var < 0 ? 0 : var / size) + o->epsilon); /* a NaN stays */
        for (int j = g; j < g + size; j++) {
            mean[j] = (float)mu;
            rstd[j] = (float)r;
            scale[j] = (float)(gamma ? (double)gamma[j] * r : r);
        }
    }
}

static void forward_task(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const cn_group_norm_opts *o = call->layer->options;
    int c = channels_of(call->layer);
    size_t count = cn_shape_count(&call->layer->in), rows = count / (size_t)c;
    const float *x = (const float *)call->x[0] + (size_t)image * count;
    const float *beta = o->no_shift ? NULL : call->w[!o->no_scale];
    float *shift = scratch_at(call, image, SHIFT);
    (void)worker;
    call->kernels->norm->column_sums(rows, c, x, x, scratch_at(call, image, SUMS));
    find_moments(call, image, rows, x);
    for (int j = 0; j < c; j++) shift[j] = beta ? beta[j] : 0;
    call->kernels->norm->scale_columns(rows, c, x, cache_at(call, image, MEAN),
                                       cache_at(call, image, SCALE), shift, call->activation,
                                       (float *)call->y + (size_t)image * count);
}

static void backward_task(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const cn_group_norm_opts *o = call->layer->options;
    int c = channels_of(call->layer), size = c / o->groups;
    size_t count = cn_shape_count(&call->layer->in), rows = count / (size_t)c;
    const float *x = (const float *)call->x[0] + (size_t)image * count;
    const float *dy = (const float *)call->dy + (size_t)image * count;
    const float *mean = cache_at(call, image, MEAN), *scale = cache_at(call, image, SCALE);
    const float *rstd = cache_at(call, image, RSTD);
    float *sums = scratch_at(call, image, SUMS);
    float *fall = scratch_at(call, image, FALL), *rest = scratch_at(call, image, REST);
    double n = (double)rows * size;
    (void)worker;
    call->kernels->norm->backward_sums(rows, c, x, dy, mean, scale, NULL, (cn_activation){0}, sums);
    if (!call->dx[0]) return;
    /* With g = gamma dY, X_hat depends on X also by mu and var of its group:
     *     dX = rstd (g - mean of g - X_hat mean of g X_hat) */
    for (int g = 0; g < c; g += size) {
        double r = (double)rstd[g], first = 0, second = 0;
        for (int j = g; j < g + size; j++) {
            first += (double)scale[j] * (double)sums[j];
            second += (double)scale[j] * (double)sums[c + j];
        }
        for (int j = g; j < g + size; j++) {
            fall[j] = (float)(second * r * r / n);
            rest[j] = (float)(first / n);
        }
    }
    call->kernels->norm->group_backward(rows, c, x, dy, mean, scale, fall, rest,
                                        (float *)call->dx[0] + (size_t)image * count);
}

/* ---- the layer */

static void forward(const cn_call *call)
{
    cn_call own = *call;
    cn_pool_run(call->pool, call->m, forward_task, &own);
}

static void backward(const cn_call *call)
{
    const cn_group_norm_opts *o = call->layer->options;
    cn_call own = *call;
    int c = channels_of(call->layer);
    float *d_gamma = o->no_scale ? NULL : call->dw[0];
    float *d_beta = o->no_shift ? NULL : call->dw[!o->no_scale];
    cn_pool_run(call->pool, call->m, backward_task, &own);
    /* Y = gamma X_hat + beta:   d_gamma = sum of dY X_hat,  d_beta = sum of dY */
    for (int image = 0; image < call->m; image++) {
        const float *sums = scratch_at(call, image, SUMS), *rstd = cache_at(call, image, RSTD);
        for (int j = 0; d_gamma && j < c; j++) d_gamma[j] += sums[c + j] * rstd[j];
        for (int j = 0; d_beta && j < c; j++) d_beta[j] += sums[j];
    }
}

static void requirements(const cn_call *call, int threads, cn_requirements *r)
{
    size_t arrays = (size_t)call->m * stride(call->layer);
    (void)threads;
    r->cache = call->training ? arrays * FORWARD_ARRAYS : 0;
    r->scratch = arrays * (call->training ? BACKWARD_ARRAYS : ARRAYS);
}

static size_t averaged(const cn_layer *layer, int m)
{
    const cn_group_norm_opts *o = layer->options;
    (void)m;
    return cn_shape_count(&layer->in) / (size_t)o->groups;
}

const cn_layer_type cn_group_norm_type = {
    .name = "group_norm",
    .word = "groupnorm",
    .options = options,
    .options_size = sizeof(cn_group_norm_opts),
    .backward_reads = CN_READS_X,
    .in_place = true,
    .fuses_relu = true,
    .averaged = averaged,
    .infer = infer,
};

const cn_layer_ops cn_group_norm_cpu = {
    .requirements = requirements,
    .forward = forward,
    .backward = backward,
};

cn_node cn_group_norm(cn_model *model, cn_node x, const cn_group_norm_opts *opts)
{
    return cn_model_add(model, &cn_group_norm_type, opts, opts ? opts->name : NULL, &x, 1);
}

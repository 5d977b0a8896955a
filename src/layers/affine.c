/*
 * affine.c - a learned scale and shift of each channel; and a learned array.
 *
 *     affine      Y[.., c] = weight[c] X[.., c] + bias[c]
 *     constant    Y[i, ..] = weight[..], the same for every example, whatever X is; not learned if
 *                 `fixed`
 *
 * An affine layer is a batch norm without its statistics, or ConvNeXt's layer scale; a constant is
 * one side of a sum or a product, such as a position embedding.
 */
#include "layers/layer.h"

#include <limits.h>
#include <string.h>

/* ---- affine */

#define AT(member) offsetof(cn_affine_opts, member)
static const cn_option affine_options[] = {
    {"no_scale", CN_OPTION_BOOL, .offset = AT(no_scale)},
    {"no_shift", CN_OPTION_BOOL, .offset = AT(no_shift)},
    {0},
};
#undef AT

static int channels_of(const cn_layer *layer)
{
    return layer->in.n[layer->in.rank - 1];
}

static cn_status affine_infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_affine_opts *o = layer->options;
    const cn_shape channels = {1, {channels_of(layer)}};
    cn_layer_parameter *at = layer->parameters;
    if (o->no_scale && o->no_shift)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: neither a scale nor a shift", context);
    if (!o->no_scale) *at++ = (cn_layer_parameter){.role = "weight", .shape = channels, .start = 1};
    if (!o->no_shift) *at++ = (cn_layer_parameter){.role = "bias", .shape = channels};
    layer->parameter_count = (int)(at - layer->parameters);
    return CN_OK;
}

/* The scale and the shift among a call's weights; NULL where there is none. */
static const float *scale_of(const cn_call *call)
{
    const cn_affine_opts *o = call->layer->options;
    return o->no_scale ? NULL : call->w[0];
}

static const float *shift_of(const cn_call *call)
{
    const cn_affine_opts *o = call->layer->options;
    return o->no_shift ? NULL : call->w[!o->no_scale];
}

static void affine_task(void *argument, int task, int worker)
{
    const cn_call *call = argument;
    const size_t count = cn_shape_count(&call->layer->in), c = (size_t)channels_of(call->layer);
    const float *x = (const float *)call->x[0] + (size_t)task * count;
    const float *scale = scale_of(call), *shift = shift_of(call);
    float *y = (float *)call->y + (size_t)task * count;
    (void)worker;
    for (size_t row = 0; row < count; row += c)
        for (size_t j = 0; j < c; j++) {
            const float product = scale ? scale[j] * x[row + j] : x[row + j];
            y[row + j] = shift ? product + shift[j] : product;
        }
}

static void affine_forward(const cn_call *call)
{
    cn_pool_run(call->pool, call->m, affine_task, (void *)(uintptr_t)call);
}

/* One image: its sums of dY X and of dY, in scratch memory, a row of pixels at a time so that each
 * sum is short; and dX. */
static void affine_backward_task(void *argument, int task, int worker)
{
    const cn_call *call = argument;
    const size_t count = cn_shape_count(&call->layer->in), c = (size_t)channels_of(call->layer);
    const size_t row = call->layer->in.rank == 3 ? (size_t)call->layer->in.n[1] * c : c;
    const float *x = (const float *)call->x[0] + (size_t)task * count;
    const float *dy = (const float *)call->dy + (size_t)task * count, *scale = scale_of(call);
    float *dx = call->dx[0];
    float *sums = (float *)call->scratch + (size_t)task * 4 * c, *part = sums + 2 * c;
    (void)worker;
    memset(sums, 0, 2 * c * sizeof *sums);
    for (size_t first = 0; first < count; first += row) {
        memset(part, 0, 2 * c * sizeof *part);
        for (size_t at = first; at < first + row; at += c)
            for (size_t j = 0; j < c; j++) {
                part[j] += dy[at + j] * x[at + j];
                part[c + j] += dy[at + j];
            }
        for (size_t j = 0; j < 2 * c; j++) sums[j] += part[j];
    }
    /* Y = weight X + bias:  dX = weight dY */
    for (size_t at = 0; dx && at < count; at += c)
        for (size_t j = 0; j < c; j++)
            dx[(size_t)task * count + at + j] = scale ? scale[j] * dy[at + j] : dy[at + j];
}

static void affine_backward(const cn_call *call)
{
    const cn_affine_opts *o = call->layer->options;
    const size_t c = (size_t)channels_of(call->layer);
    float *d_scale = o->no_scale ? NULL : call->dw[0];
    float *d_shift = o->no_shift ? NULL : call->dw[!o->no_scale];
    cn_pool_run(call->pool, call->m, affine_backward_task, (void *)(uintptr_t)call);
    /* Y = weight X + bias:  d_weight = sum of dY X,  d_bias = sum of dY */
    for (int i = 0; i < call->m; i++) {
        const float *sums = (const float *)call->scratch + (size_t)i * 4 * c;
        for (size_t j = 0; d_scale && j < c; j++) d_scale[j] += sums[j];
        for (size_t j = 0; d_shift && j < c; j++) d_shift[j] += sums[c + j];
    }
}

static void affine_requirements(const cn_call *call, int threads, cn_requirements *r)
{
    (void)threads;
    r->scratch = call->training ? (size_t)call->m * 4 * (size_t)channels_of(call->layer) : 0;
}

/* Y = weight (X W + b) + bias = X (W weight) + b weight + bias */
static void affine_fold(const cn_call *call, size_t rows, const void *weights, const void *biases,
                        void *new_weights, void *new_biases)
{
    const size_t c = (size_t)channels_of(call->layer);
    const float *w = weights, *b = biases, *scale = scale_of(call), *shift = shift_of(call);
    float *folded_w = new_weights, *folded_b = new_biases;
    for (size_t j = 0; j < c; j++) {
        const double by = scale ? (double)scale[j] : 1;
        folded_b[j] = (float)((b ? (double)b[j] : 0) * by + (shift ? (double)shift[j] : 0));
        for (size_t i = 0; i < rows; i++) folded_w[i * c + j] = (float)((double)w[i * c + j] * by);
    }
}

const cn_layer_type cn_affine_type = {
    .name = "affine",
    .options = affine_options,
    .options_size = sizeof(cn_affine_opts),
    .backward_reads = CN_READS_X,
    .in_place = true,
    .channel_affine = true,
    .infer = affine_infer,
};

const cn_layer_ops cn_affine_cpu = {
    .requirements = affine_requirements,
    .forward = affine_forward,
    .backward = affine_backward,
    .fold = affine_fold,
};

/* ---- constant */

#define AT(member) offsetof(cn_constant_opts, member)
static const cn_option constant_options[] = {
    {"size", CN_OPTION_PAIR, .bare = true, .offset = AT(size), .least = 1},
    {"channels", CN_OPTION_INT, .offset = AT(channels), .least = 1, .fallback = 1},
    {"fixed", CN_OPTION_BOOL, .offset = AT(fixed)},
    {0},
};
#undef AT

static cn_status constant_infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_constant_opts *o = layer->options;
    (void)context, (void)err;
    layer->out = (cn_shape){3, {o->size[0], o->size[1], o->channels}};
    layer->parameters[0] =
        (cn_layer_parameter){.role = "weight", .shape = layer->out, .buffer = o->fixed};
    layer->parameter_count = 1;
    return CN_OK;
}

static void constant_forward(const cn_call *call)
{
    const size_t count = cn_shape_count(&call->layer->out);
    for (int i = 0; i < call->m; i++)
        memcpy((float *)call->y + (size_t)i * count, call->w[0], count * sizeof(float));
}

static void constant_backward(const cn_call *call)
{
    const size_t count = cn_shape_count(&call->layer->out);
    const float *dy = call->dy;
    float *dw = call->dw[0];
    /* Y[i, ..] = weight[..]:  d_weight[..] += sum over i of dY[i, ..],  dX = 0 */
    for (int i = 0; dw && i < call->m; i++)
        for (size_t k = 0; k < count; k++) dw[k] += dy[(size_t)i * count + k];
    if (call->dx[0])
        memset(call->dx[0], 0, (size_t)call->m * cn_shape_count(&call->layer->in) * sizeof(float));
}

const cn_layer_type cn_constant_type = {
    .name = "constant",
    .options = constant_options,
    .options_size = sizeof(cn_constant_opts),
    .infer = constant_infer,
};

const cn_layer_ops cn_constant_cpu = {
    .forward = constant_forward,
    .backward = constant_backward,
};

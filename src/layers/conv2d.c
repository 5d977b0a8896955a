/*
 * conv2d.c - two-dimensional convolution (correlation: the filter is not flipped), of all channels,
 * of groups of them, or of every channel by itself.
 *
 *     Z[i,p,q,c] = b[c] + sum over u,v,k of W[u,v,k,c]
 *                  A_prev[i, p s_H + u d_H - pad_top, q s_W + v d_W - pad_left, g(c) K + k]
 *
 *     A_prev (m, n_H_prev, n_W_prev, n_C_prev), zero outside the image; W (f_H, f_W, K, n_C) with
 *     K = n_C_prev / groups; b (n_C); Z (m, n_H, n_W, n_C) with
 *     n = floor((n_prev + pads - (f - 1) d - 1) / s) + 1; g(c) = floor(c groups / n_C), c's group.
 *
 * Backward, from dZ = dL/dZ: each line of the sum gives its term to both of its factors.
 */
#include "layers/layer.h"

#include <limits.h>

#define AT(member) offsetof(cn_conv2d_opts, member)
static const cn_option options[] = {
    {"filters", CN_OPTION_INT, .bare = true, .offset = AT(filters), .least = 1},
    {"kernel", CN_OPTION_PAIR, .bare = true, .offset = AT(kernel), .least = 1},
    {"stride", CN_OPTION_PAIR, .offset = AT(stride), .least = 1, .fallback = 1},
    {"pad", CN_OPTION_ENUM, .offset = AT(pad), .words = cn_padding_words},
    {"pads", CN_OPTION_PADS, .offset = AT(pads)},
    {"no_bias", CN_OPTION_BOOL, .offset = AT(no_bias)},
    {"init", CN_OPTION_ENUM, .offset = AT(init), .words = cn_init_words},
    {"dilation", CN_OPTION_PAIR, .offset = AT(dilation), .least = 1, .fallback = 1},
    {"groups", CN_OPTION_INT, .offset = AT(groups), .least = 1, .fallback = 1},
    {0},
};
#undef AT

#define AT(member) offsetof(cn_depthwise_conv2d_opts, member)
static const cn_option depthwise_options[] = {
    {"kernel", CN_OPTION_PAIR, .bare = true, .offset = AT(kernel), .least = 1},
    {"stride", CN_OPTION_PAIR, .offset = AT(stride), .least = 1, .fallback = 1},
    {"pad", CN_OPTION_ENUM, .offset = AT(pad), .words = cn_padding_words},
    {"pads", CN_OPTION_PADS, .offset = AT(pads)},
    {"no_bias", CN_OPTION_BOOL, .offset = AT(no_bias)},
    {"init", CN_OPTION_ENUM, .offset = AT(init), .words = cn_init_words},
    {"dilation", CN_OPTION_PAIR, .offset = AT(dilation), .least = 1, .fallback = 1},
    {"depth_multiplier", CN_OPTION_INT, .offset = AT(depth_multiplier), .least = 1, .fallback = 1,
     .alias = "multiplier"},
    {0},
};

/* Output and weights, once the window is known. */
static void set_shapes(cn_layer *layer, int n_C, int groups, cn_init init, bool no_bias)
{
    const cn_window *w = &layer->window;
    int K = layer->in.n[2] / groups;
    double window = (double)w->kernel[0] * w->kernel[1];
    layer->groups = groups;
    layer->out = (cn_shape){3, {w->out[0], w->out[1], n_C}};
    layer->parameters[0] = (cn_layer_parameter){
        .role = "weight",
        .shape = {4, {w->kernel[0], w->kernel[1], K, n_C}},
        .init = init,
        .fan_in = window * K,
        .fan_out = window * n_C / groups,
    };
    layer->parameters[1] = (cn_layer_parameter){.role = "bias", .shape = {1, {n_C}}};
    layer->parameter_count = no_bias ? 1 : 2;
}

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_conv2d_opts *o = layer->options;
    cn_status status =
        cn_layer_window(layer, o->kernel, o->stride, o->dilation, o->pad, o->pads, context, err);
    if (status == CN_OK)
        status = cn_check_groups(o->groups, layer->in.n[2], o->filters, context, err);
    if (status == CN_OK) set_shapes(layer, o->filters, o->groups, o->init, o->no_bias);
    return status;
}

static cn_status infer_depthwise(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_depthwise_conv2d_opts *o = layer->options;
    cn_status status =
        cn_layer_window(layer, o->kernel, o->stride, o->dilation, o->pad, o->pads, context, err);
    if (status != CN_OK) return status;
    int channels = layer->in.n[2];
    if (o->depth_multiplier > INT_MAX / channels)
        return cn_fail(err, CN_ERR_SHAPE,
                       "%s: depth_multiplier %d for %d channels, expected at most %d", context,
                       o->depth_multiplier, channels, INT_MAX / channels);
    set_shapes(layer, o->depth_multiplier * channels, channels, o->init, o->no_bias);
    return CN_OK;
}

void cn_conv2d_requirements(const cn_call *call, int threads, cn_requirements *r)
{
    const cn_conv_problem problem = cn_layer_problem(call->layer, call->m);
    const cn_conv_options how = {.threads = threads,
                                 .no_winograd = call->no_winograd,
                                 .bf16 = call->precision == CN_PRECISION_BF16};
    cn_conv_plan_make(&r->conv, call->kernels->conv->methods, &problem, how);
    r->packed = r->conv.packed;
    r->scratch = r->conv.scratch;
}

void cn_conv2d_pack(const cn_call *call)
{
    cn_conv_pack(call->conv, call->w[0], call->packed, call->pool);
}

void cn_conv2d_forward(const cn_call *call)
{
    const cn_conv_args args = {.m = call->m,
                               .x = call->x[0],
                               .w = call->packed,
                               .b = call->w[1],
                               .add = call->add,
                               .activation = call->activation,
                               .y = call->y,
                               .scratch = call->scratch,
                               .pool = call->pool};
    cn_conv_run(call->conv, CN_CONV_FORWARD, &args);
}

void cn_conv2d_backward(const cn_call *call)
{
    const cn_conv_args args = {.m = call->m,
                               .x = call->x[0],
                               .w = call->w[0],
                               .dy = call->dy,
                               .dx = call->dx[0],
                               .dw = call->dw[0],
                               .db = call->dw[1],
                               .scratch = call->scratch,
                               .pool = call->pool};
    /* Z[i,p,q,c] = b[c] + sum of A_prev[i, p s_H + u d_H - pad_top, ..., g(c) K + k] W[u,v,k,c]
     *     dW[u,v,k,c] += A_prev[i, p s_H + u d_H - pad_top, ..., g(c) K + k] dZ[i,p,q,c]
     *     db[c]       += dZ[i,p,q,c] */
    if (call->dw[0]) cn_conv_run(call->conv, CN_CONV_BACKWARD_WEIGHTS, &args);
    /* The same line, in its other factor:
     *     dA_prev[i, p s_H + u d_H - pad_top, ..., g(c) K + k] += W[u,v,k,c] dZ[i,p,q,c] */
    if (call->dx[0]) cn_conv_run(call->conv, CN_CONV_BACKWARD_DATA, &args);
}

void cn_conv2d_describe(const cn_requirements *r, cn_pass pass, char text[CN_METHOD_TEXT])
{
    static const cn_conv_direction directions[] = {CN_CONV_FORWARD, CN_CONV_BACKWARD_DATA,
                                                   CN_CONV_BACKWARD_WEIGHTS};
    cn_conv_plan_describe(&r->conv, directions[pass], text);
}

/* The kernels do, for a dense convolution. */
static bool adds(const cn_layer *layer)
{
    const int *dilation = layer->window.dilation;
    return layer->groups == 1 && dilation[0] <= 1 && dilation[1] <= 1;
}

static size_t multiply_adds(const cn_layer *layer)
{
    return cn_shape_count(&layer->parameters[0].shape) * (size_t)layer->window.out[0] *
           (size_t)layer->window.out[1];
}

const cn_layer_type cn_conv2d_type = {
    .name = "conv2d",
    .word = "conv",
    .options = options,
    .options_size = sizeof(cn_conv2d_opts),
    .backward_reads = CN_READS_X,
    .fuses_relu = true,
    .folds_norm = true,
    .infer = infer,
    .adds = adds,
    .multiply_adds = multiply_adds,
};

const cn_layer_ops cn_conv2d_cpu = {
    .requirements = cn_conv2d_requirements,
    .pack = cn_conv2d_pack,
    .forward = cn_conv2d_forward,
    .backward = cn_conv2d_backward,
    .describe = cn_conv2d_describe,
};

const cn_layer_type cn_depthwise_conv2d_type = {
    .name = "depthwise_conv2d",
    .word = "depthwise",
    .options = depthwise_options,
    .options_size = sizeof(cn_depthwise_conv2d_opts),
    .backward_reads = CN_READS_X,
    .fuses_relu = true,
    .folds_norm = true,
    .infer = infer_depthwise,
    .multiply_adds = multiply_adds,
};

const cn_layer_ops cn_depthwise_conv2d_cpu = {
    .requirements = cn_conv2d_requirements,
    .pack = cn_conv2d_pack,
    .forward = cn_conv2d_forward,
    .backward = cn_conv2d_backward,
    .describe = cn_conv2d_describe,
};

cn_node cn_conv2d(cn_model *model, cn_node x, const cn_conv2d_opts *opts)
{
    return cn_model_add(model, &cn_conv2d_type, opts, opts ? opts->name : NULL, &x, 1);
}

cn_node cn_depthwise_conv2d(cn_model *model, cn_node x, const cn_depthwise_conv2d_opts *opts)
{
    return cn_model_add(model, &cn_depthwise_conv2d_type, opts, opts ? opts->name : NULL, &x, 1);
}

/*
 * dense.c - a fully connected layer.
 *
 *     Z[i,j] = b[j] + sum over k of A_prev[i,k] W[k,j]
 *
 *     A_prev (m, n_in), an input of rank 3 read as n_in = n_H n_W n_C; W (n_in, n_out); b (n_out);
 *     Z (m, n_out).
 *
 * Backward, from dZ = dL/dZ:
 *
 *     dW[k,j]      += sum over i of A_prev[i,k] dZ[i,j]
 *     db[j]        += sum over i of dZ[i,j]
 *     dA_prev[i,k]  = sum over j of dZ[i,j] W[k,j]
 *
 * It runs as a 1 x 1 convolution (conv2d.c) of images of one pixel with n_in channels.
 */
#include "layers/layer.h"

#define AT(member) offsetof(cn_dense_opts, member)
static const cn_option options[] = {
    {"units", CN_OPTION_INT, .bare = true, .offset = AT(units), .least = 1},
    {"no_bias", CN_OPTION_BOOL, .offset = AT(no_bias)},
    {"init", CN_OPTION_ENUM, .offset = AT(init), .words = cn_init_words},
    {0},
};

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_dense_opts *o = layer->options;
    int n_in = (int)cn_shape_count(&layer->in);
    (void)context, (void)err;
    layer->out = (cn_shape){1, {o->units}};
    layer->groups = 1;
    layer->window = (cn_window){
        .in = {1, 1}, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .out = {1, 1}};
    layer->parameters[0] = (cn_layer_parameter){
        .role = "weight",
        .shape = {2, {n_in, o->units}},
        .init = o->init,
        .fan_in = n_in,
        .fan_out = o->units,
    };
    layer->parameters[1] = (cn_layer_parameter){.role = "bias", .shape = {1, {o->units}}};
    layer->parameter_count = o->no_bias ? 1 : 2;
    return CN_OK;
}

static size_t multiply_adds(const cn_layer *layer)
{
    return cn_shape_count(&layer->parameters[0].shape);
}

const cn_layer_type cn_dense_type = {
    .name = "dense",
    .options = options,
    .options_size = sizeof(cn_dense_opts),
    .backward_reads = CN_READS_X,
    .fuses_relu = true,
    .folds_norm = true,
    .infer = infer,
    .multiply_adds = multiply_adds,
};

const cn_layer_ops cn_dense_cpu = {
    .requirements = cn_conv2d_requirements,
    .pack = cn_conv2d_pack,
    .forward = cn_conv2d_forward,
    .backward = cn_conv2d_backward,
    .describe = cn_conv2d_describe,
};

cn_node cn_dense(cn_model *model, cn_node x, const cn_dense_opts *opts)
{
    return cn_model_add(model, &cn_dense_type, opts, opts ? opts->name : NULL, &x, 1);
}

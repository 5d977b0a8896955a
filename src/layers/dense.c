/*
 * dense.c - a fully connected layer.
 *
 *     Z[i,j] = b[j] + sum over k of A_prev[i,k] W[k,j]
 *
 *     A_prev (m, n_in), an input of rank 3 read as n_in = n_H n_W n_C; W (n_in, n_out); b (n_out);
 *     Z (m, n_out).
 *
 * To the kernels it is a 1 x 1 convolution of one picture of 1 x m pixels, n_in channels each.
 */
#include "layers/layer.h"

#define AT(member) offsetof(cn_dense_opts, member)
static const cn_option options[] = {
    {"units", CN_OPTION_INT, .bare = true, .offset = AT(units), .least = 1},
    {"no_bias", CN_OPTION_BOOL, .offset = AT(no_bias)},
    {"init", CN_OPTION_ENUM, .offset = AT(init), .words = cn_init_words},
    {0},
};

static cn_status infer(cn_layer *layer, const char *place, cn_error *err)
{
    const cn_dense_opts *o = layer->options;
    int n_in = (int)cn_shape_count(&layer->in);
    (void)place, (void)err;
    layer->out = (cn_shape){1, {o->units}};
    layer->weights[0] = (cn_weight){
        .role = "weight",
        .shape = {2, {n_in, o->units}},
        .init = o->init,
        .fan_in = n_in,
        .fan_out = o->units,
    };
    layer->weights[1] = (cn_weight){.role = "bias", .shape = {1, {o->units}}};
    layer->weight_count = o->no_bias ? 1 : 2;
    return CN_OK;
}

static cn_conv_shape shape(const cn_call *call)
{
    const int *n = call->layer->weights[0].shape.n, m = call->m;
    return (cn_conv_shape){.m = 1,
                           .h = 1,
                           .w = m,
                           .c = n[0],
                           .fh = 1,
                           .fw = 1,
                           .sh = 1,
                           .sw = 1,
                           .oh = 1,
                           .ow = m,
                           .oc = n[1],
                           .bf16 = call->precision == CN_PRECISION_BF16};
}

static void needs(const cn_call *call, int threads, cn_needs *n)
{
    cn_conv_shape s = shape(call);
    n->packed = call->kernels->conv_packed(&s);
    n->scratch = call->kernels->conv_scratch(&s, threads);
}

static void pack(const cn_call *call)
{
    cn_conv_shape s = shape(call);
    call->kernels->conv_pack(&s, call->w[0], call->packed, call->pool);
}

static void forward(const cn_call *call)
{
    cn_conv_shape s = shape(call);
    call->kernels->conv_forward(&s, call->x[0], call->packed, call->w[1], call->activation.upper,
                                call->y, call->scratch, call->pool);
}

static void backward(const cn_call *call)
{
    cn_conv_shape s = shape(call);
    /* Z[i,j] = b[j] + sum of A_prev[i,k] W[k,j]
     *     dW[k,j] += A_prev[i,k] dZ[i,j]
     *     db[j]   += dZ[i,j] */
    if (call->dw[0])
        call->kernels->conv_backward_weights(&s, call->x[0], call->dy, call->dw[0], call->dw[1],
                                             call->scratch, call->pool);
    /*     dA_prev[i,k] = sum over j of dZ[i,j] W[k,j] */
    if (call->dx[0])
        call->kernels->conv_backward_data(&s, call->dy, call->w[0], call->dx[0], call->scratch,
                                          call->pool);
}

static size_t multiply_adds(const cn_layer *layer)
{
    return cn_shape_count(&layer->weights[0].shape);
}

const cn_layer_type cn_dense_type = {
    .name = "dense",
    .options = options,
    .options_size = sizeof(cn_dense_opts),
    .backward_reads = CN_READS_X,
    .fuses_relu = true,
    .fuses_relu6 = true,
    .folds_norm = true,
    .infer = infer,
    .needs = needs,
    .pack = pack,
    .forward = forward,
    .backward = backward,
    .multiply_adds = multiply_adds,
};

cn_node cn_dense(cn_model *model, cn_node x, cn_dense_opts opts)
{
    return cn_model_add(model, &cn_dense_type, &opts, opts.name, &x, 1);
}

/*
 * adaptive_pool.c - the mean over windows whose size follows from the output's, as in PyTorch's
 * AdaptiveAvgPool2d; and the mean over the whole image.
 *
 *     A[i,p,q,c] = mean of A_prev[i,r,t,c] over
 *                  floor(p n_H_prev / n_H) <= r < ceil((p + 1) n_H_prev / n_H)
 *                  floor(q n_W_prev / n_W) <= t < ceil((q + 1) n_W_prev / n_W)
 *
 *     A_prev (m, n_H_prev, n_W_prev, n_C); A (m, n_H, n_W, n_C), for global pooling (m, n_C).
 *
 * Where the sizes do not divide each other, windows overlap, or repeat elements.
 */
#include "layers/layer.h"

static const cn_option options[] = {
    {"size", CN_OPTION_PAIR, .bare = true, .offset = offsetof(cn_adaptive_pool_opts, size),
     .least = 1},
    {0},
};

static cn_status check_rank(const cn_layer *layer, const char *context, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (layer->in.rank == 3) return CN_OK;
    return cn_fail(err, CN_ERR_SHAPE, "%s: input has shape %s, expected (n_H, n_W, n_C)", context,
                   cn_shape_text(layer->in.rank, layer->in.n, text));
}

static cn_status adaptive_infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_adaptive_pool_opts *o = layer->options;
    layer->out = (cn_shape){3, {o->size[0], o->size[1], layer->in.n[2]}};
    return check_rank(layer, context, err);
}

static cn_status global_infer(cn_layer *layer, const char *context, cn_error *err)
{
    layer->out = (cn_shape){1, {layer->in.n[2]}};
    return check_rank(layer, context, err);
}

/* Strides of 0 ask the kernels for these windows. */
static cn_conv_problem shape_of(const cn_call *call)
{
    const cn_shape *in = &call->layer->in, *out = &call->layer->out;
    bool global = out->rank == 1;
    return (cn_conv_problem){.m = call->m,
                             .h = in->n[0],
                             .w = in->n[1],
                             .c = in->n[2],
                             .oh = global ? 1 : out->n[0],
                             .ow = global ? 1 : out->n[1],
                             .oc = in->n[2]};
}

static void forward(const cn_call *call)
{
    cn_conv_problem s = shape_of(call);
    call->kernels->pool->average_forward(&s, call->x[0], call->y, call->pool);
}

static void backward(const cn_call *call)
{
    cn_conv_problem s = shape_of(call);
    /* A[i,p,q,c] = mean of a window:  dA_prev[each of its N elements] += dA[i,p,q,c] / N */
    if (call->dx[0]) call->kernels->pool->average_backward(&s, call->dy, call->dx[0], call->pool);
}

const cn_layer_type cn_adaptive_average_pool_type = {
    .name = "adaptive_average_pool",
    .word = "adaptiveavgpool",
    .options = options,
    .options_size = sizeof(cn_adaptive_pool_opts),
    .infer = adaptive_infer,
};

const cn_layer_ops cn_adaptive_average_pool_cpu = {
    .forward = forward,
    .backward = backward,
};

const cn_layer_type cn_global_average_pool_type = {
    .name = "global_average_pool",
    .word = "gap",
    .infer = global_infer,
};

const cn_layer_ops cn_global_average_pool_cpu = {
    .forward = forward,
    .backward = backward,
};

cn_node cn_adaptive_average_pool(cn_model *model, cn_node x, const cn_adaptive_pool_opts *opts)
{
    return cn_model_add(model, &cn_adaptive_average_pool_type, opts, opts ? opts->name : NULL, &x,
                        1);
}

cn_node cn_global_average_pool(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_global_average_pool_type, NULL, NULL, &x, 1);
}

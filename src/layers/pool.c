/*
 * pool.c - maximum and average pooling.
 *
 *     maximum   A[i,p,q,c] = max over u,v of A_prev[i,r,t,c]
 *     average   A[i,p,q,c] = 1/N sum over u,v of A_prev[i,r,t,c]
 *     with      r = p s_H + u - pad_top,  t = q s_W + v - pad_left
 *
 *     A_prev (m, n_H_prev, n_W_prev, n_C); A (m, n_H, n_W, n_C) with
 *     n = floor((n_prev + pads - f) / s) + 1; u < f_H, v < f_W; (r, t) inside the image, N of them.
 *
 * Padding takes no part in either. A maximum that several elements share belongs to the first of
 * them, row by row, and so does its gradient. A window that holds a NaN gives NaN.
 */
#include "layers/layer.h"

#define AT(member) offsetof(cn_pool_opts, member)
static const cn_option options[] = {
    {"size", CN_OPTION_PAIR, .bare = true, .offset = AT(size), .least = 1},
    {"stride", CN_OPTION_PAIR, .offset = AT(stride)}, /* 0: the window */
    {"pad", CN_OPTION_ENUM, .offset = AT(pad), .words = cn_padding_words},
    {"pads", CN_OPTION_PADS, .offset = AT(pads)},
    {0},
};

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_pool_opts *o = layer->options;
    const int *stride = o->stride[0] || o->stride[1] ? o->stride : o->size;
    for (int i = 0; i < 4; i++)
        if (o->pads[i] >= o->size[i % 2])
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: pads %d %d %d %d, expected less than the window of %d x %d",
                           context, o->pads[0], o->pads[1], o->pads[2], o->pads[3], o->size[0],
                           o->size[1]);
    cn_status status = cn_layer_window(layer, o->size, stride, NULL, o->pad, o->pads, context, err);
    if (status != CN_OK) return status;
    layer->out = (cn_shape){3, {layer->window.out[0], layer->window.out[1], layer->in.n[2]}};
    return CN_OK;
}

static void max_forward(const cn_call *call)
{
    cn_conv_problem s = cn_layer_problem(call->layer, call->m);
    call->kernels->pool->max_forward(&s, call->x[0], call->y, call->pool);
}

static void max_backward(const cn_call *call)
{
    cn_conv_problem s = cn_layer_problem(call->layer, call->m);
    /* A[i,p,q,c] = max over u,v of A_prev[...]:
     *     dA_prev[the first that equals A[i,p,q,c]] += dA[i,p,q,c] */
    if (call->dx[0])
        call->kernels->pool->max_backward(&s, call->x[0], call->y, call->dy, false, call->dx[0],
                                          call->pool);
}

static void average_forward(const cn_call *call)
{
    cn_conv_problem s = cn_layer_problem(call->layer, call->m);
    call->kernels->pool->average_forward(&s, call->x[0], call->y, call->pool);
}

static void average_backward(const cn_call *call)
{
    cn_conv_problem s = cn_layer_problem(call->layer, call->m);
    /* A[i,p,q,c] = 1/N sum over u,v of A_prev[...]:
     *     dA_prev[each of them] += dA[i,p,q,c] / N */
    if (call->dx[0]) call->kernels->pool->average_backward(&s, call->dy, call->dx[0], call->pool);
}

const cn_layer_type cn_max_pool_type = {
    .name = "max_pool",
    .word = "maxpool",
    .options = options,
    .options_size = sizeof(cn_pool_opts),
    .backward_reads = CN_READS_X | CN_READS_Y,
    .maximum = true,
    .infer = infer,
};

const cn_layer_ops cn_max_pool_cpu = {
    .forward = max_forward,
    .backward = max_backward,
};

const cn_layer_type cn_average_pool_type = {
    .name = "average_pool",
    .word = "avgpool",
    .options = options,
    .options_size = sizeof(cn_pool_opts),
    .infer = infer,
};

const cn_layer_ops cn_average_pool_cpu = {
    .forward = average_forward,
    .backward = average_backward,
};

cn_node cn_max_pool(cn_model *model, cn_node x, const cn_pool_opts *opts)
{
    return cn_model_add(model, &cn_max_pool_type, opts, opts ? opts->name : NULL, &x, 1);
}

cn_node cn_average_pool(cn_model *model, cn_node x, const cn_pool_opts *opts)
{
    return cn_model_add(model, &cn_average_pool_type, opts, opts ? opts->name : NULL, &x, 1);
}

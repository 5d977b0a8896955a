/*
 * silu.c - the sigmoid linear unit, or swish (Elfwing, Uchibe and Doya 2017).
 *
 *     A = Z s,   s = 1 / (1 + exp(-Z))
 *
 * A falls before it rises, so backward needs the input.
 */
#include "layers/layer.h"

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->silu, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = Z s:  dZ = dA (s + Z s (1 - s)) */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->silu_backward, n, call->x[0], call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_silu_type = {
    .name = "silu",
    .backward_reads = CN_READS_X,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_silu(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_silu_type, NULL, NULL, &x, 1);
}

/*
 * softplus.c - a smooth ReLU (Dugas et al. 2000).
 *
 *     A = ln(1 + exp(Z))
 *
 * Its derivative is 1 / (1 + exp(-Z)) = 1 - exp(-A), so backward needs the output alone.
 */
#include "layers/layer.h"

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->softplus, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = ln(1 + exp(Z)):  dZ = dA (1 - exp(-A)) */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->softplus_backward, n, call->y, call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_softplus_type = {
    .name = "softplus",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_softplus(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_softplus_type, NULL, NULL, &x, 1);
}

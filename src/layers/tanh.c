/*
 * tanh.c - the hyperbolic tangent.
 *
 *     A = tanh(Z)
 *
 * Its derivative is 1 - A^2, so backward needs the output alone.
 */
#include "layers/layer.h"

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->tanh, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = tanh(Z):  dZ = dA (1 - A^2) */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->tanh_backward, n, call->y, call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_tanh_type = {
    .name = "tanh",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_tanh(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_tanh_type, NULL, NULL, &x, 1);
}

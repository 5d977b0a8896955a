/*
 * relu.c - the rectified linear unit.
 *
 *     A = max(Z, 0)
 *
 * The derivative is 1 where A > 0, and 0 elsewhere: 0 at the kink itself. A NaN stays one.
 */
#include "layers/layer.h"

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->relu, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = max(Z, 0):  dZ = dA where A > 0, else 0 */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->relu_backward, n, call->y, call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_relu_type = {
    .name = "relu",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_relu(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_relu_type, NULL, NULL, &x, 1);
}

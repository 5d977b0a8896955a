/*
 * relu6.c - a ReLU that ends at 6 (Krizhevsky 2010), as in MobileNet.
 *
 *     A = min(max(Z, 0), 6)
 *
 * The derivative is 1 where 0 < A < 6, and 0 elsewhere. A NaN stays one.
 */
#include "layers/layer.h"

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->relu6, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = min(max(Z, 0), 6):  dZ = dA where 0 < A < 6, else 0 */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->relu6_backward, n, call->y, call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_relu6_type = {
    .name = "relu6",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_relu6(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_relu6_type, NULL, NULL, &x, 1);
}

/*
 * sigmoid.c - the logistic function.
 *
 *     A = 1 / (1 + exp(-Z))
 *
 * Its derivative is A (1 - A), so backward needs the output alone.
 */
#include "layers/layer.h"

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->sigmoid, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = 1 / (1 + exp(-Z)):  dZ = dA A (1 - A) */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->sigmoid_backward, n, call->y, call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_sigmoid_type = {
    .name = "sigmoid",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_sigmoid(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_sigmoid_type, NULL, NULL, &x, 1);
}

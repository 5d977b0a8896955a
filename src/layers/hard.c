/*
 * hard.c - straight lines in place of the sigmoid and of SiLU (Howard et al. 2019, MobileNetV3).
 *
 *     hard_sigmoid   A = min(max(Z + 3, 0), 6) / 6
 *     hard_swish     A = Z min(max(Z + 3, 0), 6) / 6
 *
 * The derivative at a kink is that of the flat side; of hard_swish at 3 it is 1. Hard_swish falls
 * before it rises, so its backward needs the input.
 */
#include "layers/layer.h"

static void hard_sigmoid_forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->hard_sigmoid, n, call->x[0], call->y);
}

static void hard_sigmoid_backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = min(max(Z + 3, 0), 6) / 6:  dZ = dA / 6 where 0 < A < 1, else 0 */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->hard_sigmoid_backward, n, call->y, call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_hard_sigmoid_type = {
    .name = "hard_sigmoid",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = hard_sigmoid_forward,
    .backward = hard_sigmoid_backward,
};

cn_node cn_hard_sigmoid(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_hard_sigmoid_type, NULL, NULL, &x, 1);
}

static void hard_swish_forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, call->kernels->hard_swish, n, call->x[0], call->y);
}

static void hard_swish_backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = Z min(max(Z + 3, 0), 6) / 6:
     *     dZ = dA (2 Z + 3) / 6 where -3 < Z < 3; dA above, 0 below */
    if (call->dx[0])
        cn_map_backward_run(call->pool, call->kernels->hard_swish_backward, n, call->x[0], call->dy,
                            call->dx[0]);
}

const cn_layer_type cn_hard_swish_type = {
    .name = "hard_swish",
    .backward_reads = CN_READS_X,
    .in_place = true,
    .forward = hard_swish_forward,
    .backward = hard_swish_backward,
};

cn_node cn_hard_swish(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_hard_swish_type, NULL, NULL, &x, 1);
}

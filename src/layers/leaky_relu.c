/*
 * leaky_relu.c - a ReLU that lets a part of what is negative through (Maas, Hannun and Ng 2013).
 *
 *     A = Z where Z > 0, else slope Z
 *
 * A has the sign of Z, so backward needs the output alone. At the kink the derivative is the slope.
 */
#include "layers/layer.h"

#define AT(member) offsetof(cn_leaky_relu_opts, member)
static const cn_option options[] = {
    {"slope", CN_OPTION_FLOAT, .bare = true, .offset = AT(slope), .fallback = 0.01},
    {0},
};

static float slope_of(const cn_call *call)
{
    return (float)((const cn_leaky_relu_opts *)call->layer->options)->slope;
}

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_with_run(call->pool, call->kernels->leaky_relu, slope_of(call), n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = Z where Z > 0, else slope Z:  dZ = dA where A > 0, else slope dA */
    if (call->dx[0])
        cn_map_with_backward_run(call->pool, call->kernels->leaky_relu_backward, slope_of(call), n,
                                 call->y, call->dy, call->dx[0]);
}

const cn_layer_type cn_leaky_relu_type = {
    .name = "leaky_relu",
    .options = options,
    .options_size = sizeof(cn_leaky_relu_opts),
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_leaky_relu(cn_model *model, cn_node x, cn_leaky_relu_opts opts)
{
    return cn_model_add(model, &cn_leaky_relu_type, &opts, opts.name, &x, 1);
}

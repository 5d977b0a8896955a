/*
 * gelu.c - the Gaussian error linear unit (Hendrycks and Gimpel 2016).
 *
 *     A = Z G(Z),   G(Z) = (1 + erf(Z / sqrt(2))) / 2, the normal distribution's integral
 *     tanh form:    G(Z) = (1 + tanh(sqrt(2 / pi) (Z + 0.044715 Z^3))) / 2
 *
 * A falls before it rises, so backward needs the input.
 */
#include "layers/layer.h"

static const cn_option options[] = {
    {"tanh", CN_OPTION_BOOL, .offset = offsetof(cn_gelu_opts, tanh)},
    {0},
};

static bool is_tanh(const cn_call *call)
{
    return ((const cn_gelu_opts *)call->layer->options)->tanh;
}

static void forward(const cn_call *call)
{
    const cn_kernels *k = call->kernels;
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_run(call->pool, is_tanh(call) ? k->gelu_tanh : k->gelu, n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    const cn_kernels *k = call->kernels;
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = Z G(Z):  dZ = dA (G(Z) + Z G'(Z)) */
    if (call->dx[0])
        cn_map_backward_run(call->pool, is_tanh(call) ? k->gelu_tanh_backward : k->gelu_backward, n,
                            call->x[0], call->dy, call->dx[0]);
}

const cn_layer_type cn_gelu_type = {
    .name = "gelu",
    .options = options,
    .options_size = sizeof(cn_gelu_opts),
    .backward_reads = CN_READS_X,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_gelu(cn_model *model, cn_node x, cn_gelu_opts opts)
{
    return cn_model_add(model, &cn_gelu_type, &opts, opts.name, &x, 1);
}

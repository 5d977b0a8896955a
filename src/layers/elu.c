/*
 * elu.c - the exponential linear unit (Clevert, Unterthiner and Hochreiter 2015).
 *
 *     A = Z where Z > 0, else alpha (exp(Z) - 1)
 *
 * There the derivative is alpha exp(Z) = A + alpha, so backward needs the output alone.
 */
#include "layers/layer.h"

#define AT(member) offsetof(cn_elu_opts, member)
static const cn_option options[] = {
    {"alpha", CN_OPTION_FLOAT, .bare = true, .offset = AT(alpha), .fallback = 1},
    {0},
};

static float alpha_of(const cn_call *call)
{
    return (float)((const cn_elu_opts *)call->layer->options)->alpha;
}

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_with_run(call->pool, call->kernels->elu, alpha_of(call), n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* A = Z where Z > 0, else alpha (exp(Z) - 1):  dZ = dA where A > 0, else dA (A + alpha) */
    if (call->dx[0])
        cn_map_with_backward_run(call->pool, call->kernels->elu_backward, alpha_of(call), n,
                                 call->y, call->dy, call->dx[0]);
}

const cn_layer_type cn_elu_type = {
    .name = "elu",
    .options = options,
    .options_size = sizeof(cn_elu_opts),
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_elu(cn_model *model, cn_node x, cn_elu_opts opts)
{
    return cn_model_add(model, &cn_elu_type, &opts, opts.name, &x, 1);
}

/*
 * scale.c - a number times the input.
 *
 *     Y = factor X
 */
#include "layers/layer.h"

#define AT(member) offsetof(cn_scale_opts, member)
static const cn_option options[] = {
    {"factor", CN_OPTION_FLOAT, .bare = true, .offset = AT(factor), .fallback = 1},
    {0},
};

static float factor_of(const cn_call *call)
{
    return (float)((const cn_scale_opts *)call->layer->options)->factor;
}

static void forward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    cn_map_with_run(call->pool, call->kernels->scale, factor_of(call), n, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* Y = factor X:  dX = factor dY */
    if (call->dx[0])
        cn_map_with_run(call->pool, call->kernels->scale, factor_of(call), n, call->dy,
                        call->dx[0]);
}

const cn_layer_type cn_scale_type = {
    .name = "scale",
    .options = options,
    .options_size = sizeof(cn_scale_opts),
    .in_place = true,
    .forward = forward,
    .backward = backward,
};

cn_node cn_scale(cn_model *model, cn_node x, cn_scale_opts opts)
{
    return cn_model_add(model, &cn_scale_type, &opts, opts.name, &x, 1);
}

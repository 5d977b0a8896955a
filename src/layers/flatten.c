/*
 * flatten.c - views an example's (n_H, n_W, n_C) as one row of n_H n_W n_C elements.
 *
 * The memory is the same, so nothing runs, forward or backward.
 */
#include "layers/layer.h"

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    (void)context, (void)err;
    layer->out = (cn_shape){1, {(int)cn_shape_count(&layer->in)}};
    return CN_OK;
}

const cn_layer_type cn_flatten_type = {.name = "flatten", .view = true, .infer = infer};

const cn_layer_ops cn_flatten_cpu = {.forward = NULL};

cn_node cn_flatten(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_flatten_type, NULL, NULL, &x, 1);
}

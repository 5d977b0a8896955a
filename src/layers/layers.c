/* layers.c - the table of layers: one row enrols a type. */
#include "layers/layer.h"

#include <string.h>

static const cn_layer_type *const types[] = {
    &cn_conv2d_type,
    &cn_depthwise_conv2d_type,
    &cn_conv_transpose2d_type,
    &cn_max_pool_type,
    &cn_average_pool_type,
    &cn_dense_type,
    &cn_flatten_type,
    &cn_softmax_type,
    &cn_batch_norm_type,
    &cn_add_type,
    &cn_concat_type,
    &cn_adaptive_average_pool_type,
    &cn_global_average_pool_type,
    &cn_zero_pad2d_type,
    &cn_crop2d_type,
    &cn_upsample2d_type,
    &cn_dropout_type,
    &cn_layer_norm_type,
    &cn_group_norm_type,
};
enum { TYPES = sizeof types / sizeof *types };

const cn_layer_type *cn_layer_type_at(int i)
{
    return i < TYPES ? types[i] : cn_activation_types[i - TYPES];
}

const cn_layer_type *cn_layer_type_find(const char *name)
{
    const cn_layer_type *type;
    for (int i = 0; (type = cn_layer_type_at(i)); i++)
        if (strcmp(name, type->name) == 0 || (type->word && strcmp(name, type->word) == 0))
            return type;
    return NULL;
}

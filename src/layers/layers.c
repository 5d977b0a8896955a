/* layers.c - the table of layers: one row enrols a type. */
#include "layers/layer.h"

#include <string.h>

const cn_layer_type *const cn_layer_types[] = {
    &cn_conv2d_type,
    &cn_depthwise_conv2d_type,
    &cn_conv_transpose2d_type,
    &cn_max_pool_type,
    &cn_average_pool_type,
    &cn_dense_type,
    &cn_flatten_type,
    &cn_relu_type,
    &cn_sigmoid_type,
    &cn_tanh_type,
    &cn_softmax_type,
    &cn_batch_norm_type,
    &cn_scale_type,
    &cn_add_type,
    &cn_concat_type,
    &cn_leaky_relu_type,
    &cn_relu6_type,
    &cn_elu_type,
    &cn_silu_type,
    &cn_gelu_type,
    &cn_softplus_type,
    &cn_hard_sigmoid_type,
    &cn_hard_swish_type,
    &cn_adaptive_average_pool_type,
    &cn_global_average_pool_type,
    &cn_zero_pad2d_type,
    &cn_crop2d_type,
    &cn_upsample2d_type,
    &cn_dropout_type,
    &cn_layer_norm_type,
    &cn_group_norm_type,
    NULL,
};

const cn_layer_type *cn_layer_type_find(const char *name)
{
    for (int i = 0; cn_layer_types[i]; i++) {
        const cn_layer_type *type = cn_layer_types[i];
        if (strcmp(name, type->name) == 0 || (type->word && strcmp(name, type->word) == 0))
            return type;
    }
    return NULL;
}

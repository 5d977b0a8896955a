/* input.c - the examples that a session is given: node 0 of every model. */
#include "layers/layer.h"

const cn_layer_type cn_input_type = {.name = "input"};

cn_node cn_input(cn_model *model)
{
    return model ? 0 : -1;
}

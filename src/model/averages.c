/*
 * averages.c - normalizations of single values.
 *
 * In training batch norm takes the mean and the variance of each channel over the batch and its
 * pixels. After a global average pool, with a batch of 1, these are of a single value: minus its
 * mean it is always 0, nothing before the layer learns, and a variance of 0 goes into running_var.
 * PyTorch refuses that, Keras does not. Layer and group norm have a single value where a row or a
 * group is one channel of one pixel, for every batch.
 */
#include "model/averages.h"

/* Is a mean of the layer, in a training batch of m, one over several values? */
static bool suffices(const cn_layer *layer, int m)
{
    return !layer->type->averaged || layer->type->averaged(layer, m) > 1;
}

cn_status cn_check_averages(const cn_model *model, int m, const char *what, cn_error *err)
{
    for (int i = 0; i < model->layer_count; i++) {
        const cn_layer *layer = &model->layers[i];
        if (suffices(layer, m)) continue;
        if (suffices(layer, 2))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: %s: one value per channel in a batch of 1, which is always 0 after "
                           "its mean is taken off; expected a batch of 2 or more to train",
                           what, layer->name);
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%s: %s: a mean over a single value, which is always 0 after it is taken "
                       "off: nothing before it would learn",
                       what, layer->name);
    }
    return CN_OK;
}

int cn_least_batch(const cn_model *model)
{
    for (int i = 0; i < model->layer_count; i++)
        if (!suffices(&model->layers[i], 1)) return 2;
    return 1;
}

/*
 * averages.c - normalisations of single values.
 *
 * A training's batch norm takes the mean and the variance of each channel over the batch and the
 * pixels; after a global average pool, and with a batch of 1, that is a single value: it minus its
 * mean is 0, whatever it is, nothing before the layer learns, and a variance of 0 goes into
 * running_var. PyTorch refuses that, Keras does not. Layer and group norm see a single value where
 * they are given one channel and one pixel at a time, for every batch.
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

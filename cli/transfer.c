/* transfer.c - a training that begins with what another network has learnt. */
#include "transfer.h"

#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors that could not be taken over, as a list to be shown. */
typedef struct leftovers {
    int count;
    char names[400];
} leftovers;

static void add_left(const char *name, void *user)
{
    leftovers *left = user;
    size_t used = strlen(left->names);
    left->count++;
    if (used + strlen(name) + 8 < sizeof left->names)
        snprintf(left->names + used, sizeof left->names - used, "%s%s", used ? ", " : "", name);
    else if (used >= 3 && strcmp(left->names + used - 3, "...") != 0)
        snprintf(left->names + used, sizeof left->names - used, ", ...");
}

/* The network of the file, for these pictures and classes. */
static cn_status adapt(cn_model **model, const cn_model *from, const cn_dataset *data,
                       uint64_t seed, const cli_common *common, cn_error *err)
{
    int outputs = cn_model_output_size(from), classes = cn_dataset_classes(data);
    if (outputs == 1 && classes == 2) classes = 1; /* one probability tells two classes apart */
    cn_status status = cn_model_adapt(model, from, cn_dataset_shape(data), classes, seed, err);
    if (status == CN_OK && outputs != classes)
        cli_say(common, "Head   the last layer of weights is new: %d outputs in place of %d",
                classes, outputs);
    return status;
}

cn_status cli_learn_normalization(cn_model *model, const cn_dataset *data, cn_error *err)
{
    int channels = cn_dataset_shape(data)[2];
    float *mean = malloc(2 * (size_t)channels * sizeof *mean);
    if (!mean) {
        snprintf(err->text, sizeof err->text, "out of memory");
        return err->status = CN_ERR_MEMORY;
    }
    cn_dataset_statistics(data, mean, mean + channels);
    cn_status status = cn_model_set_normalization(model, mean, mean + channels, err);
    free(mean);
    return status;
}

/* Pixels look to the first layer as they did when it learnt. */
static cn_status keep_normalization(cn_model *model, const cn_model *from, const cn_dataset *data,
                                    cn_error *err)
{
    if (cn_dataset_shape(data)[2] != cn_model_input_shape(from)[2])
        return cli_learn_normalization(model, data, err);
    return from->mean ? cn_model_set_normalization(model, from->mean, from->std, err) : CN_OK;
}

cn_status cli_start_from(cn_model **model, const char *file, const char *layers,
                         const cn_dataset *data, const cli_common *common, cn_error *err)
{
    cn_model *from = NULL, *made = NULL;
    leftovers left = {0};
    int copied;
    cn_status status = cn_model_load(&from, file, err);
    if (status != CN_OK) return status;
    if (layers)
        status = cli_open_model(&made, layers, cn_dataset_shape(data), cn_dataset_classes(data),
                                common->seed, err);
    else
        status = adapt(&made, from, data, common->seed, common, err);
    if (status == CN_OK) status = cn_model_transfer(made, from, &copied, add_left, &left, err);
    if (status == CN_OK) status = keep_normalization(made, from, data, err);
    if (status == CN_OK) {
        cli_say(common, "From   %s: %d of %d parameter tensors%s%s", file, copied,
                copied + left.count, left.count ? "; begins anew: " : "", left.names);
        *model = made;
        made = NULL;
    }
    cn_model_free(made);
    cn_model_free(from);
    return status;
}

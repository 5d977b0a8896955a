/* transfer.c - a training that begins with what another network has learnt. */
#include "transfer.h"

#include "data/dataset.h"
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

/* Has the file's network learnt these very classes? The sets (NULL, or of the same classes) then
 * get its order, and if not, *other is that network with another number of outputs: so that its
 * last layer, which names other classes, is not taken over. */
static cn_status compare_classes(cn_model **other, const cn_model *from, cn_dataset *const sets[3],
                                 cn_error *err)
{
    int classes = cn_dataset_classes(sets[0]), outputs = cn_model_output_size(from);
    cn_task_kind task = cn_dataset_task(sets[0]);
    if (cn_model_task(from) != task && (cn_task_has_targets(task) || from->task)) return CN_OK;
    if (cn_task_has_targets(task)) outputs = cn_model_answers(from);
    if (classes != (outputs == 1 && !cn_task_has_targets(task) ? 2 : outputs))
        return CN_OK; /* a new one anyhow */
    int *map = malloc((size_t)classes * sizeof *map);
    if (!map) {
        snprintf(err->text, sizeof err->text, "out of memory");
        return err->status = CN_ERR_MEMORY;
    }
    int lacking = cn_dataset_map_classes(sets[0], from, map);
    cn_status status = CN_OK;
    if (lacking > 0)
        status = cn_model_adapt(other, from, cn_model_input_shape(from), outputs + 1, 0, err);
    for (int i = 0; i < 3 && lacking == 0 && status == CN_OK; i++)
        if (sets[i]) status = cn_dataset_match_classes(sets[i], from, err);
    free(map);
    return status;
}

/* The network of the file, for these images and classes. */
static cn_status adapt(cn_model **model, const cn_model *from, const cn_dataset *data,
                       uint64_t seed, const cli_common *common, cn_error *err)
{
    int outputs = cn_model_output_size(from), classes = cn_dataset_classes(data);
    cn_task_kind task = cn_dataset_task(data);
    if (!cn_task_has_targets(task)) task = CN_TASK_CLASSIFICATION;
    /* One probability tells two classes apart. */
    if (outputs == 1 && classes == 2 && task == CN_TASK_CLASSIFICATION && !from->task) classes = 1;
    cn_status status =
        cn_model_adapt_task(model, from, cn_dataset_shape(data), classes, task, seed, err);
    if (status == CN_OK && outputs != classes && common)
        cli_say(common, "Head   the last layer of weights is new: %d output%s in place of %d",
                classes, cn_plural(classes), outputs);
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
    cn_image_opts images = cn_model_image_opts(from);
    cn_status status =
        from->mean ? cn_model_set_normalization(model, from->mean, from->std, err) : CN_OK;
    return status == CN_OK ? cn_model_set_image_opts(model, &images, err) : status;
}

/* The network in the file; where it holds weights alone, those of the network `layers`, which may be
 * NULL, as it was made to be. */
static cn_status open_source(cn_model **from, const char *file, const char *layers,
                             const cn_dataset *data, const cli_common *common, cn_error *err)
{
    int shape[3], classes;
    cn_status status = cli_load_model_for(from, file, data, false, err);
    if (status == CN_OK || !layers || cli_is_model_file(layers) ||
        (status != CN_ERR_FORMAT && status != CN_ERR_UNSUPPORTED))
        return status;
    cli_natural_shape(layers, shape, &classes);
    return cli_open_weights(from, file, layers, shape, classes, true, common, err);
}

cn_status cli_start_from(cn_model **model, const char *file, const char *layers,
                         cn_dataset *const sets[3], const cli_common *common, cn_error *err)
{
    const cn_dataset *data = sets[0];
    cn_model *from = NULL, *made = NULL, *other = NULL;
    leftovers left = {0};
    int copied;
    cn_status status = open_source(&from, file, layers, data, common, err);
    if (status != CN_OK) return status;
    status = compare_classes(&other, from, sets, err);
    if (status == CN_OK && other) {
        cli_say(common, "Head   the last layer of weights is new: the classes are others");
        cn_model_free(from);
        from = other;
    }
    if (status == CN_OK && layers)
        status = cli_open_model_for(&made, layers, data, common->seed, err);
    else if (status == CN_OK)
        status = adapt(&made, from, data, common->seed, other ? NULL : common, err);
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

/* models.c - which model a text means. */
#include "cli.h"

#include "base/base.h"
#include "formats/model_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void cli_natural_shape(const char *model, int shape[3], int *classes)
{
    static const int usual[3] = {28, 28, 1};
    memcpy(shape, usual, sizeof usual);
    *classes = 10;
    for (int i = 0; cn_zoo_at(i); i++) {
        if (strcmp(model, cn_zoo_at(i)->name) != 0) continue;
        memcpy(shape, cn_zoo_at(i)->shape, sizeof usual);
        *classes = cn_zoo_at(i)->classes;
    }
}

/* The network that a newcomer is given for such images. */
const char *cli_default_model(const cn_dataset *data)
{
    const int *shape = cn_dataset_shape(data);
    static const char *const small[] = {"digits", "lenet5", "signs"};
    if (cn_dataset_task(data) == CN_TASK_SEGMENTATION) return "unet-small";
    for (size_t k = 0; k < sizeof small / sizeof *small; k++) {
        int natural[3], classes;
        cli_natural_shape(small[k], natural, &classes);
        if (memcmp(shape, natural, sizeof natural) == 0) return small[k];
    }
    return "conv 16 3x3 same, relu, maxpool 2 same, conv 32 3x3 same, relu, maxpool 2 same, "
           "dense 64, relu, dense classes";
}

bool cli_is_zoo(const char *text)
{
    for (int i = 0; cn_zoo_at(i); i++)
        if (strcmp(text, cn_zoo_at(i)->name) == 0) return true;
    return false;
}

bool cli_is_model_file(const char *text)
{
    static const char ending[] = ".safetensors";
    struct stat info;
    size_t length = strlen(text), tail = sizeof ending - 1;
    if (cli_is_zoo(text)) return false;
    if (length >= tail && strcmp(text + length - tail, ending) == 0) return true;
    return stat(text, &info) == 0;
}

cn_status cli_explain_open(cn_status status, cn_error *err)
{
    const size_t used = strlen(err->text);
    if (status == CN_ERR_SHAPE)
        snprintf(err->text + used, sizeof err->text - used, ", as in --shape 224x224");
    return status;
}

cn_status cli_load_model(cn_model **model, const char *file, const cli_shapes *shapes,
                         cn_error *err)
{
    return cli_explain_open(cn_model_load_sized(model, file, shapes ? shapes->sizes : NULL,
                                                shapes ? shapes->count : 0, err),
                            err);
}

cn_status cli_network_shape(const char *text, const cli_shapes *shapes, int shape[3], int *classes,
                            cn_error *err)
{
    int natural;
    cli_natural_shape(text, shape, &natural);
    if (*classes == 0) *classes = natural;
    if (!shapes || shapes->count == 0) return CN_OK;
    if (shapes->count > 1 || shapes->sizes[0].name)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%.60s: one input, which has no name: expected one --shape, as in 28x28x1",
                       text);
    memcpy(shape, shapes->sizes[0].shape, 3 * sizeof *shape);
    if (shape[2] == 0) shape[2] = 1;
    return CN_OK;
}

cn_status cli_open_model(cn_model **model, const char *text, const cli_shapes *shapes, int classes,
                         uint64_t seed, cn_error *err)
{
    int shape[3];
    if (cli_is_model_file(text)) return cli_load_model(model, text, shapes, err);
    cn_status status = cli_network_shape(text, shapes, shape, &classes, err);
    return status == CN_OK ? cn_model_parse(model, text, shape, classes, seed, err) : status;
}

cn_status cli_load_model_for(cn_model **model, const char *file, const cn_dataset *data,
                             bool shape_only, cn_error *err)
{
    cn_input_size size = {.name = NULL};
    cn_status status = shape_only ? cn_model_load_shapes(model, file, NULL, 0, err)
                                  : cn_model_load(model, file, err);
    for (int n = 2; n <= 3 && status == CN_ERR_SHAPE; n++) { /* the file's channels if it can be */
        memcpy(size.shape, cn_dataset_shape(data), (size_t)n * sizeof *size.shape);
        status = shape_only ? cn_model_load_shapes(model, file, &size, 1, err)
                            : cn_model_load_sized(model, file, &size, 1, err);
    }
    return status;
}

cn_status cli_open_model_for(cn_model **model, const char *text, const cn_dataset *data,
                             uint64_t seed, cn_error *err)
{
    if (cli_is_model_file(text)) return cli_load_model_for(model, text, data, false, err);
    return cn_model_parse_task(model, text, cn_dataset_shape(data), cn_dataset_classes(data),
                               cn_dataset_task(data), seed, err);
}

static void tell(const cn_weight_match *match, void *common)
{
    if (match->problem)
        fprintf(stderr, "%s: %s\n", match->name ? match->name : match->found, match->problem);
    else
        cli_say(common, "%s <- %s", match->name, match->found);
}

cn_status cli_open_weights(cn_model **model, const char *file, const char *network,
                           const int shape[3], int classes, bool partial, const cli_common *common,
                           cn_error *err)
{
    cn_load_weights_opts opts = {.partial = partial, .match = tell, .user = (void *)common};
    cn_model *m = NULL;
    cn_status status = cn_model_parse(&m, network, shape, classes, common->seed, err);
    if (status == CN_OK) status = cn_model_load_weights(m, file, &opts, err);
    if (status == CN_OK)
        *model = m;
    else
        cn_model_free(m);
    return status;
}

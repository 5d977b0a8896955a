/* weights_load.c - another framework's weights, in its layout, as a model's parameters. */
#include "formats/channels_first.h"
#include "formats/weights.h"

#include <stdio.h>
#include <string.h>

/* What loading needs. */
typedef struct loading {
    cn_model *model;
    const cn_weight_file *file;
    const cn_shape **order; /* of flattened images (channels_first.h) */
    float *block;           /* the new parameters */
    const cn_load_weights_opts *opts;
    int loaded, missing, extra, misshapen;
    char first[160]; /* of the problems */
} loading;

static void report(loading *l, const char *name, const char *found, const char *problem)
{
    if (problem && !l->first[0])
        snprintf(l->first, sizeof l->first, "%.60s: %.90s", name ? name : found, problem);
    if (l->opts->match) l->opts->match(&(cn_weight_match){name, found, problem}, l->opts->user);
}

static void load_pair(loading *l, int parameter, int tensor)
{
    const cn_named_tensor *t = &l->file->tensors[tensor];
    const cn_tensor *value = &t->value;
    const char *name = l->model->parameters[parameter].name;
    char problem[2 * CN_SHAPE_TEXT + 32], found[CN_SHAPE_TEXT], wanted[CN_SHAPE_TEXT];
    int k, axes[4];
    cn_shape shape;
    const cn_layer *layer = cn_weights_layer(l->model, parameter, &k);
    cn_weights_shape(l->file->style, layer, k, l->order[layer->inputs[0]], axes, &shape);
    if (shape.rank != value->rank ||
        memcmp(shape.n, value->shape, (size_t)shape.rank * sizeof *shape.n) != 0) {
        snprintf(problem, sizeof problem, "shape %s, expected %s",
                 cn_shape_text(value->rank, value->shape, found),
                 cn_shape_text(shape.rank, shape.n, wanted));
        l->misshapen++;
        report(l, name, t->name, problem);
        return;
    }
    float *to = l->block + layer->parameters[k].offset;
    if (l->file->style == CN_STYLE_PYTORCH)
        cn_from_channels_first(axes, value->data, to);
    else
        memcpy(to, value->data, cn_tensor_count(value) * sizeof *to);
    l->loaded++;
    report(l, name, t->name, NULL);
}

static cn_status load_all(loading *l, const char *path, cn_error *err)
{
    cn_weight_pair *pairs = NULL;
    int count = 0;
    cn_status status = cn_weights_pair(l->model, l->file, &pairs, &count, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < count; i++) {
        int parameter = pairs[i].parameter, tensor = pairs[i].tensor;
        const char *name = parameter >= 0 ? l->model->parameters[parameter].name : NULL;
        if (parameter >= 0 && tensor >= 0) {
            load_pair(l, parameter, tensor);
        } else if (name) {
            l->missing++;
            report(l, name, NULL, "missing");
        } else {
            l->extra++;
            report(l, NULL, l->file->tensors[tensor].name, "extra");
        }
    }
    cn_release(pairs);
    if (l->loaded > 0 && (l->opts->partial || !l->first[0])) return CN_OK;
    if (l->missing > 0 && l->file->passed_over > 0)
        return cn_fail(
            err, CN_ERR_SHAPE,
            "%.60s: not the weights of this network: %d missing, %d extra, %d of another "
            "shape, and %d array%s passed over; the first of these: %.100s",
            path, l->missing, l->extra, l->misshapen, l->file->passed_over,
            cn_plural(l->file->passed_over), l->file->passed);
    return cn_fail(err, CN_ERR_SHAPE,
                   "%.80s: not the weights of this network: %d missing, %d extra, %d of another "
                   "shape%s%.140s",
                   path, l->missing, l->extra, l->misshapen, l->first[0] ? "; the first: " : "",
                   l->first);
}

cn_status cn_model_load_weights(cn_model *model, const char *path, const cn_load_weights_opts *opts,
                                cn_error *err)
{
    static const cn_load_weights_opts usual;
    if (!model || !path) return cn_fail(err, CN_ERR_ARGUMENT, "model_load_weights: NULL argument");
    if (!model->finished || model->shape_only)
        return cn_fail(err, CN_ERR_ARGUMENT, "model_load_weights: the model is not finished");
    cn_weight_file file = {.count = 0};
    loading l = {.model = model, .file = &file, .opts = opts ? opts : &usual};
    cn_status status = cn_weight_file_load(&file, path, err);
    if (status != CN_OK) return status;
    l.order = cn_allocate((size_t)model->layer_count, sizeof *l.order, path, err);
    if (l.order) l.block = cn_allocate(model->block_size + 1, sizeof *l.block, path, err);
    if (!l.block)
        status = CN_ERR_MEMORY;
    else
        status = cn_weights_order(model, file.style, l.order, err);
    if (status == CN_OK && model->block_size)
        memcpy(l.block, model->block, model->block_size * sizeof *l.block);
    if (status == CN_OK) status = load_all(&l, path, err);
    if (status == CN_OK) {
        memcpy(model->block, l.block, model->block_size * sizeof *l.block);
        cn_model_weights_changed(model);
    }
    cn_release((void *)l.order);
    cn_release(l.block);
    cn_weight_file_free(&file);
    return status;
}

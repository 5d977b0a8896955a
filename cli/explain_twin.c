/* explain_twin.c - a model as it predicts, made so that its gradients can be found. */
#include "explain.h"

#include "model/model.h"

#include <math.h>
#include <string.h>

static bool is(const cn_layer *layer, const char *type)
{
    return strcmp(layer->type->name, type) == 0;
}

static int channels_of(const cn_layer *layer)
{
    return layer->out.n[layer->out.rank - 1];
}

/* The layer, or what stands for it when the model predicts. */
static cn_node add(cn_model *twin, const cn_layer *layer)
{
    const cn_node x = layer->inputs[0];
    const char *name = layer->name;
    if (is(layer, "dropout")) return cn_scale(twin, x, &(cn_scale_opts){.name = name, .factor = 1});
    if (!is(layer, "batch_norm"))
        return cn_model_add(twin, layer->type, layer->options, name, layer->inputs,
                            layer->input_count);
    if (layer->out.rank == 3)
        return cn_depthwise_conv2d(twin, x,
                                   &(cn_depthwise_conv2d_opts){.name = name, .kernel = {1}});
    return cn_dense(twin, x, &(cn_dense_opts){.name = name, .units = channels_of(layer)});
}

/* y = gamma (x - mean) / sqrt(var + epsilon) + beta  as  y = w x + b. */
static void fold(const cn_model *model, const cn_layer *norm, cn_model *twin, const cn_layer *to)
{
    const cn_batch_norm_opts *o = norm->options;
    const float *gamma = NULL, *beta = NULL, *mean, *var;
    const int c = channels_of(norm), last = norm->parameter_count - 1;
    float *w = twin->block + to->parameters[0].offset, *b = twin->block + to->parameters[1].offset;
    if (!o->no_scale) gamma = model->block + norm->parameters[0].offset;
    if (!o->no_shift) beta = model->block + norm->parameters[!o->no_scale].offset;
    mean = model->block + norm->parameters[last - 1].offset;
    var = model->block + norm->parameters[last].offset;
    memset(w, 0, cn_shape_count(&to->parameters[0].shape) * sizeof *w);
    for (int k = 0; k < c; k++) {
        double epsilon = o->epsilon != 0 ? o->epsilon : 1e-5;
        double scale = (gamma ? (double)gamma[k] : 1) / sqrt((double)var[k] + epsilon);
        w[norm->out.rank == 3 ? k : k * c + k] = (float)scale;
        b[k] = (float)((beta ? (double)beta[k] : 0) - (double)mean[k] * scale);
    }
}

static void copy_weights(const cn_model *model, int i, cn_model *twin)
{
    const cn_layer *from = &model->layers[i], *to = &twin->layers[i];
    if (is(from, "batch_norm")) {
        fold(model, from, twin, to);
        return;
    }
    for (int k = 0; k < to->parameter_count; k++)
        memcpy(twin->block + to->parameters[k].offset, model->block + from->parameters[k].offset,
               cn_shape_count(&to->parameters[k].shape) * sizeof(float));
}

cn_status cli_explain_twin(cn_model **out, const cn_model *model, bool logits, cn_error *err)
{
    cn_model *twin = NULL;
    const cn_layer *end = &model->layers[model->output];
    cn_node last = model->output;
    cn_status status = cn_model_create(&twin, model->layers[0].out.n, err);
    if (status != CN_OK) return status;
    if (logits && (is(end, "softmax") || is(end, "sigmoid"))) last = end->inputs[0];
    cn_input(twin);
    for (int i = 1; i <= last; i++) add(twin, &model->layers[i]);
    status = cn_model_finish(twin, last, 0, err);
    if (status != CN_OK) {
        cn_model_free(twin);
        return status;
    }
    for (int i = 1; i <= last; i++) copy_weights(model, i, twin);
    cn_model_weights_changed(twin);
    *out = twin;
    return CN_OK;
}

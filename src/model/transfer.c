/*
 * transfer.c - begins a network with the weights of another (transfer learning).
 *
 * The first layers respond to edges and textures, which most images have; the last one separates
 * the classes. So a network for other classes keeps all weights but those of its last layer.
 */
#include "model/model.h"

#include <string.h>

/* ---- copying */

static const cn_parameter *find(const cn_model *m, const char *name)
{
    for (int i = 0; i < m->parameter_count; i++)
        if (strcmp(m->parameters[i].name, name) == 0) return &m->parameters[i];
    return NULL;
}

static bool same_shape(const cn_tensor *a, const cn_tensor *b)
{
    return a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof(int)) == 0;
}

cn_status cn_model_transfer(cn_model *to, const cn_model *from, int *copied,
                            void (*left)(const char *name, void *user), void *user, cn_error *err)
{
    if (!to || !from || !to->finished || !from->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "transfer: a model is NULL or not finished");
    int count = 0;
    for (int i = 0; i < to->parameter_count; i++) {
        const cn_parameter *p = &to->parameters[i], *source = find(from, p->name);
        count += source && same_shape(&source->value, &p->value);
    }
    if (count == 0)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "transfer: the models have no parameter of equal name and shape; the first "
                       "ones are %.60s and %.60s",
                       to->parameter_count ? to->parameters[0].name : "none",
                       from->parameter_count ? from->parameters[0].name : "none");
    for (int i = 0; i < to->parameter_count; i++) {
        const cn_parameter *p = &to->parameters[i], *source = find(from, p->name);
        if (source && same_shape(&source->value, &p->value))
            memcpy(p->value.data, source->value.data, cn_tensor_count(&p->value) * sizeof(float));
        else if (left)
            left(p->name, user);
    }
    to->version++;
    if (copied) *copied = count;
    return CN_OK;
}

/* ---- another head */

/* The option that says how many outputs a layer of this type has for every pixel, or NULL. */
static const cn_option *width_option(const cn_layer_type *type)
{
    const cn_option *option = cn_option_find(type, "units");
    return option ? option : cn_option_find(type, "filters");
}

/* The last layer before the output that chooses how many channels there are; 0: none. */
static int find_head(const cn_model *m)
{
    int i = m->output;
    while (i > 0 && !width_option(m->layers[i].type)) i = m->layers[i].inputs[0];
    return i;
}

/* Adds layer i of `from`, as the head with another number of outputs. */
static cn_status add_layer(cn_model *m, const cn_model *from, int i, bool head, int classes,
                           cn_error *err)
{
    const cn_layer *layer = &from->layers[i];
    const cn_layer_type *type = layer->type;
    void *options = NULL;
    if (type->options) {
        options = cn_allocate(1, type->options_size, "model", err);
        if (!options) return CN_ERR_MEMORY;
        memcpy(options, layer->options, type->options_size);
        if (head) cn_option_set(width_option(type), options, 1, &(double){classes});
    }
    cn_node node = cn_model_add(m, type, options, layer->name, layer->inputs, layer->input_count);
    cn_release(options);
    return node < 0 ? cn_fail(err, m->error.status, "%s", m->error.text) : CN_OK;
}

/* The output, or a softmax after it where it is no loss's last layer: logits, as other programs
 * leave them. A model that was trained with a loss of its own has the output that it needs. */
static cn_node add_softmax(cn_model *m, const cn_model *from)
{
    const bool logits = m->layers[from->output].type->loss == CN_LOSS_DEFAULT;
    const cn_shape *out = &m->layers[from->output].out;
    if (!logits || from->loss != CN_LOSS_DEFAULT || out->n[out->rank - 1] < 2) return from->output;
    if (from->task == CN_TASK_REGRESSION) return from->output;
    return cn_softmax(m, from->output);
}

cn_status cn_model_end_in_softmax(cn_model **model, cn_error *err)
{
    cn_model *m = NULL, *from = *model;
    cn_status status = cn_model_expect_single(from, "model", err);
    if (status == CN_OK) status = cn_model_create(&m, from->layers[0].out.n, err);
    for (int i = 1; i < from->layer_count && status == CN_OK; i++)
        status = add_layer(m, from, i, false, 0, err);
    const cn_node output = status == CN_OK ? add_softmax(m, from) : -1;
    if (status == CN_OK && output == from->output) {
        cn_model_free(m);
        return CN_OK;
    }
    if (status == CN_OK) status = cn_model_finish_zero(m, output, SIZE_MAX, err);
    if (status == CN_OK && m->parameter_count > 0)
        status = cn_model_transfer(m, from, NULL, NULL, NULL, err);
    if (status == CN_OK && from->mean)
        status = cn_model_set_normalization(m, from->mean, from->std, err);
    if (status == CN_OK && from->class_count)
        status =
            cn_model_set_classes(m, from->class_count, (const char *const *)from->class_names, err);
    if (status != CN_OK) {
        cn_model_free(m);
        return status;
    }
    m->images = from->images;
    cn_model_free(from);
    *model = m;
    return CN_OK;
}

cn_status cn_model_adapt(cn_model **model, const cn_model *from, const int shape[3], int classes,
                         uint64_t seed, cn_error *err)
{
    cn_task_kind task = from ? from->task : CN_TASK_CLASSIFICATION;
    return cn_model_adapt_task(model, from, shape, classes, task, seed, err);
}

/* The layers of `from`, the head with another number of outputs, and the end that the task wants. */
static cn_status add_layers(cn_model *m, const cn_model *from, int head, int classes,
                            cn_task_kind task, cn_node *output, cn_error *err)
{
    const cn_layer *last = &from->layers[from->output];
    bool ends = task != from->task && last->type->loss != CN_LOSS_DEFAULT &&
                from->output == from->layer_count - 1;
    cn_status status = CN_OK;
    for (int i = 1; i < from->layer_count - ends && status == CN_OK; i++)
        status = add_layer(m, from, i, i == head, classes, err);
    if (status != CN_OK) return status;
    if (task == from->task)
        *output = add_softmax(m, from);
    else
        *output = cn_task_end(m, ends ? last->inputs[0] : from->output, task);
    return CN_OK;
}

cn_status cn_model_adapt_task(cn_model **model, const cn_model *from, const int shape[3],
                              int classes, cn_task_kind task, uint64_t seed, cn_error *err)
{
    cn_node output = -1;
    if (!model || !from || !from->finished || !shape)
        return cn_fail(err, CN_ERR_ARGUMENT, "adapt: NULL argument, or a model not finished");
    cn_model *m = NULL;
    if (cn_model_expect_single(from, "adapt", err) != CN_OK) return CN_ERR_UNSUPPORTED;
    int head = cn_model_output_size(from) == classes ? 0 : find_head(from);
    if (head == 0 && cn_model_output_size(from) != classes)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "adapt: no layer chooses the %d outputs, which should become %d",
                       cn_model_output_size(from), classes);
    cn_status status = cn_model_create(&m, shape, err);
    if (status == CN_OK) status = add_layers(m, from, head, classes, task, &output, err);
    if (status == CN_OK) status = cn_model_finish(m, output, seed, err);
    if (status == CN_OK && cn_model_output_size(m) != classes)
        status = cn_fail(err, CN_ERR_SHAPE,
                         "adapt: with images of (%d, %d, %d) the network has %d outputs, expected "
                         "%d",
                         shape[0], shape[1], shape[2], cn_model_output_size(m), classes);
    if (status == CN_OK) status = cn_model_transfer(m, from, NULL, NULL, NULL, err);
    if (status == CN_OK && from->mean && shape[2] == from->layers[0].out.n[2])
        status = cn_model_set_normalization(m, from->mean, from->std, err);
    if (status == CN_OK) {
        m->task = task;
        m->images = from->images;
        if (!m->mean) m->images.low = m->images.high = 0;
    }
    if (status == CN_OK)
        *model = m;
    else
        cn_model_free(m);
    return status;
}

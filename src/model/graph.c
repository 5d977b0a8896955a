/*
 * graph.c - builds a model: layers are added one by one, and each one's shape is computed at once.
 *
 * The model stores the first error, and every later call does nothing, so a program checks once, at
 * cn_model_finish. An error names the layer and its position: "conv2d_2 (after max_pool_1)".
 */
#include "base/counter.h"
#include "model/model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    CONTEXT_SIZE = 2 * CN_NAME_SIZE + 16,
    FLOATS_ALIGNED = CN_ALIGN / sizeof(float),
    /* Names and plans take time that grows with the square of this: seconds. The deepest published
     * networks have a third of it. */
    MOST_LAYERS = 10000,
};

/* ---- making and freeing */

cn_status cn_model_create(cn_model **model, const int shape[3], cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (!model || !shape) return cn_fail(err, CN_ERR_ARGUMENT, "model: NULL argument");
    if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1 ||
        (double)shape[0] * shape[1] * shape[2] > INT_MAX)
        return cn_fail(err, CN_ERR_SHAPE,
                       "model: input shape %s, expected (n_H, n_W, n_C) with extents of at least 1 "
                       "and at most %d elements",
                       cn_shape_text(3, shape, text), INT_MAX);
    cn_model *m = cn_allocate(1, sizeof *m, "model", err);
    if (!m) return CN_ERR_MEMORY;
    m->layer_capacity = 16;
    m->layers = cn_allocate((size_t)m->layer_capacity, sizeof *m->layers, "model", err);
    if (!m->layers) {
        cn_release(m);
        return CN_ERR_MEMORY;
    }
    cn_layer *input = &m->layers[m->layer_count++];
    input->type = &cn_input_type;
    strcpy(input->name, "input");
    input->in = input->out = (cn_shape){3, {shape[0], shape[1], shape[2]}};
    *model = m;
    return CN_OK;
}

static void free_layer(cn_layer *layer)
{
    cn_release(layer->options);
    cn_release(layer->text);
}

void cn_model_free(cn_model *m)
{
    if (!m) return;
    for (int i = 0; i < m->layer_count; i++) free_layer(&m->layers[i]);
    for (int i = 0; i < m->class_count; i++) cn_release(m->class_names[i]);
    cn_release(m->layers);
    cn_release(m->block);
    cn_release(m->parameters);
    cn_release(m->parameter_names);
    cn_release(m->class_names);
    cn_release(m->mean);
    cn_release(m->target_mean);
    cn_release(m->thresholds);
    cn_release(m->std);
    cn_release(m->ports);
    cn_release(m->output_nodes);
    cn_release(m->port_names);
    cn_release(m);
}

/* ---- adding a layer */

static int find_name(const cn_model *m, const char *name)
{
    for (int i = 0; i < m->layer_count; i++)
        if (strcmp(m->layers[i].name, name) == 0) return i;
    return -1;
}

/* The name given, or the type's with the first free number: "conv2d_1". */
static cn_status name_layer(const cn_model *m, cn_layer *layer, const char *name, cn_error *err)
{
    const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
    if (!name) {
        int number = 1;
        for (int i = 0; i < m->layer_count; i++) number += m->layers[i].type == layer->type;
        do snprintf(layer->name, sizeof layer->name, "%s_%d", layer->type->name, number++);
        while (find_name(m, layer->name) >= 0);
        return CN_OK;
    }
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof layer->name || strspn(name, allowed) != length)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%s: name \"%.80s\", expected 1 to %d letters, digits or any of _-./",
                       layer->type->name, name, CN_NAME_SIZE - 1);
    if (find_name(m, name) >= 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: the name \"%s\" is taken by layer %d",
                       layer->type->name, name, find_name(m, name));
    memcpy(layer->name, name, length + 1);
    return CN_OK;
}

static cn_status copy_options(cn_layer *layer, const void *options, const char *context,
                              cn_error *err)
{
    const cn_layer_type *type = layer->type;
    if (type->options) {
        layer->options = cn_allocate(1, type->options_size, context, err);
        if (!layer->options) return CN_ERR_MEMORY;
        if (options) memcpy(layer->options, options, type->options_size);
        /* Every options struct begins with its name, which is the caller's memory. */
        *(const char **)layer->options = NULL;
        cn_status status = cn_options_settle(type, layer->options, context, err);
        if (status != CN_OK) return status;
    }
    return CN_OK;
}

/* What follows the type in the text form: further inputs, options, "from" an input that is not the
 * layer before, "as" a name that was given. */
static cn_status describe(const cn_model *m, cn_layer *layer, bool named, const char *context,
                          cn_error *err)
{
    char *options = cn_options_text(layer->type, layer->options);
    size_t room = options ? strlen(options) + (CN_MAX_INPUTS + 1) * (CN_NAME_SIZE + 8) : 0;
    if (options) layer->text = cn_allocate(room, 1, context, err);
    if (layer->text) {
        char *at = layer->text, *end = at + room;
        for (int i = 1; i < layer->input_count; i++)
            at += snprintf(at, (size_t)(end - at), " %s", m->layers[layer->inputs[i]].name);
        if (options[0]) at += snprintf(at, (size_t)(end - at), " %s", options);
        if (layer->inputs[0] != m->layer_count - 1)
            at += snprintf(at, (size_t)(end - at), " from %s", m->layers[layer->inputs[0]].name);
        if (named) at += snprintf(at, (size_t)(end - at), " as %s", layer->name);
        memmove(layer->text, layer->text + 1, (size_t)(at - layer->text)); /* the first space */
    }
    cn_release(options);
    return layer->text ? CN_OK : cn_fail(err, CN_ERR_MEMORY, "%s: out of memory", context);
}

/* The counts that later arithmetic relies on: an example's elements fit an int, and a weight's the
 * address space. */
static cn_status check_sizes(const cn_layer *layer, const char *context, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    double count = 1;
    for (int i = 0; i < layer->out.rank; i++) count *= layer->out.n[i];
    if (count > INT_MAX)
        return cn_fail(err, CN_ERR_SHAPE, "%s: output %s has more than %d elements", context,
                       cn_shape_text(layer->out.rank, layer->out.n, text), INT_MAX);
    for (int i = 0; i < layer->parameter_count; i++) {
        const cn_shape *shape = &layer->parameters[i].shape;
        size_t elements = 1;
        bool fits = true;
        for (int j = 0; j < shape->rank; j++)
            fits = fits && cn_multiply(elements, (size_t)shape->n[j], &elements);
        if (!fits || elements > SIZE_MAX / 64)
            return cn_fail(err, CN_ERR_SHAPE, "%s: %s %s exceeds the address space", context,
                           layer->parameters[i].role, cn_shape_text(shape->rank, shape->n, text));
    }
    return CN_OK;
}

static cn_status build_layer(const cn_model *m, cn_layer *layer, const void *options,
                             const char *name, cn_error *err)
{
    char context[CONTEXT_SIZE];
    int most = layer->type->most_inputs;
    if (layer->input_count < (most ? 2 : 1) || layer->input_count > (most ? most : 1))
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %d inputs, expected %s%d", layer->type->name,
                       layer->input_count, most > 2 ? "2 to " : "", most ? most : 1);
    for (int i = 0; i < layer->input_count; i++)
        if (layer->inputs[i] < 0 || layer->inputs[i] >= m->layer_count)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: input %d is no layer of this model, which has layers 0 to %d",
                           layer->type->name, layer->inputs[i], m->layer_count - 1);
    cn_status status = name_layer(m, layer, NULL, err);
    bool named = name && strcmp(name, layer->name) != 0;
    if (named) status = name_layer(m, layer, name, err);
    if (status != CN_OK) return status;
    const cn_layer *before = &m->layers[layer->inputs[0]];
    snprintf(context, sizeof context, "%s (after %s)", layer->name, before->name);
    for (int i = 0; i < layer->input_count; i++)
        layer->inputs_of[i] = m->layers[layer->inputs[i]].out;
    layer->in = layer->out = before->out;
    status = copy_options(layer, options, context, err);
    if (status == CN_OK) status = describe(m, layer, named, context, err);
    if (status == CN_OK && layer->type->infer) status = layer->type->infer(layer, context, err);
    if (status == CN_OK) status = check_sizes(layer, context, err);
    return status;
}

static cn_status reserve_layer(cn_model *m, cn_error *err)
{
    if (m->layer_count >= MOST_LAYERS)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "model: more than %d layers", MOST_LAYERS);
    if (m->layer_count < m->layer_capacity) return CN_OK;
    int capacity = 2 * m->layer_capacity;
    cn_layer *layers = cn_allocate((size_t)capacity, sizeof *layers, "model", err);
    if (!layers) return CN_ERR_MEMORY;
    memcpy(layers, m->layers, (size_t)m->layer_count * sizeof *layers);
    cn_release(m->layers);
    m->layers = layers;
    m->layer_capacity = capacity;
    return CN_OK;
}

cn_node cn_model_add(cn_model *m, const cn_layer_type *type, const void *options, const char *name,
                     const cn_node *inputs, int input_count)
{
    if (!m || m->finished || m->error.status != CN_OK) return -1;
    cn_layer layer = {.type = type, .input_count = input_count};
    for (int i = 0; i < input_count && i < CN_MAX_INPUTS; i++) layer.inputs[i] = inputs[i];
    if (reserve_layer(m, &m->error) != CN_OK ||
        build_layer(m, &layer, options, name, &m->error) != CN_OK) {
        free_layer(&layer);
        return -1;
    }
    m->layers[m->layer_count] = layer;
    return m->layer_count++;
}

/* ---- finishing */

/* Every layer but the output must have a reader: one without was forgotten. */
static cn_status check_graph(const cn_model *m, cn_node output, cn_error *err)
{
    for (int i = 0; i < m->layer_count; i++) {
        bool read = i == output;
        for (int j = i + 1; j < m->layer_count && !read; j++)
            for (int k = 0; k < m->layers[j].input_count; k++)
                read = read || m->layers[j].inputs[k] == i;
        if (!read)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "model: no layer reads %s, and it is not the output, which is %s",
                           m->layers[i].name, m->layers[output].name);
    }
    return CN_OK;
}

/* Finds the place in the block of every weight that is trained, or of every buffer; adds up
 * their elements. */
static cn_status place_weights(cn_model *m, bool buffers, size_t most, size_t *elements,
                               cn_error *err)
{
    for (int i = 0; i < m->layer_count; i++)
        for (int j = 0; j < m->layers[i].parameter_count; j++) {
            cn_layer_parameter *parameter = &m->layers[i].parameters[j];
            size_t count = cn_shape_count(&parameter->shape);
            if (parameter->buffer != buffers) continue;
            if (count > most - m->parameter_elements - m->buffer_elements)
                return cn_fail(err, CN_ERR_SHAPE,
                               "model: more than the %zu parameters that may be, at %s.%s", most,
                               m->layers[i].name, parameter->role);
            *elements += count;
            parameter->offset = m->block_size;
            parameter->rate = parameter->decay = 1;
            m->block_size += (count + FLOATS_ALIGNED - 1) / FLOATS_ALIGNED * FLOATS_ALIGNED;
            m->parameter_count++;
        }
    return CN_OK;
}

static cn_status place_all_weights(cn_model *m, size_t most, cn_error *err)
{
    m->block_size = m->parameter_elements = m->buffer_elements = 0;
    m->parameter_count = 0;
    cn_status status = place_weights(m, false, most, &m->parameter_elements, err);
    m->trained_size = m->block_size;
    return status == CN_OK ? place_weights(m, true, most, &m->buffer_elements, err) : status;
}

static void list_parameters(cn_model *m)
{
    int at = 0;
    for (int i = 0; i < m->layer_count; i++)
        for (int j = 0; j < m->layers[i].parameter_count; j++, at++) {
            const cn_layer_parameter *parameter = &m->layers[i].parameters[j];
            snprintf(m->parameter_names[at], sizeof m->parameter_names[at], "%s.%s",
                     m->layers[i].name, parameter->role);
            m->parameters[at] = (cn_parameter){
                .name = m->parameter_names[at],
                .value = cn_tensor_view(CN_DTYPE_F32, parameter->shape.rank, parameter->shape.n,
                                        m->shape_only ? NULL : m->block + parameter->offset),
                .buffer = parameter->buffer,
            };
        }
}

cn_status cn_model_finish_zero(cn_model *m, cn_node output, size_t most, cn_error *err)
{
    if (!m) return cn_fail(err, CN_ERR_ARGUMENT, "model: NULL argument");
    if (m->error.status != CN_OK) return cn_fail(err, m->error.status, "%s", m->error.text);
    if (m->finished) return cn_fail(err, CN_ERR_ARGUMENT, "model: it is finished already");
    if (output < 0 || output >= m->layer_count)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: output %d, expected a layer from 0 to %d",
                       output, m->layer_count - 1);
    cn_status status = check_graph(m, output, err);
    if (status == CN_OK) status = place_all_weights(m, most, err);
    if (status != CN_OK) return status;

    size_t tensors = (size_t)m->parameter_count;
    if (!m->shape_only)
        m->block = cn_allocate(m->block_size, sizeof *m->block, "model: parameters", err);
    if (m->block || m->shape_only)
        m->parameters = cn_allocate(tensors, sizeof *m->parameters, "model: parameters", err);
    if (m->parameters)
        m->parameter_names = cn_allocate(tensors, sizeof *m->parameter_names, "model", err);
    if (!m->parameter_names) {
        cn_release(m->block);
        cn_release(m->parameters);
        m->block = NULL;
        m->parameters = NULL;
        return CN_ERR_MEMORY;
    }
    list_parameters(m);
    m->output = output;
    m->finished = true;
    return CN_OK;
}

/* A dense layer's weights (n_in, n_out) are those of a 1 x 1 convolution. */
static void initialize_dirac(const cn_layer_parameter *parameter, float *value, uint64_t seed,
                             uint64_t stream)
{
    const cn_shape *shape = &parameter->shape;
    int c = shape->n[shape->rank - 2], n_c = shape->n[shape->rank - 1], middle = 0;
    if (shape->rank == 4) middle = (shape->n[0] - 1) / 2 * shape->n[1] + (shape->n[1] - 1) / 2;
    double limit = 1 / sqrt(parameter->fan_in);
    size_t n = cn_shape_count(shape);
    for (size_t i = 0; i < n; i++) {
        int filter = (int)(i % (size_t)n_c), channel = (int)(i / (size_t)n_c % (size_t)c);
        bool at = i / (size_t)n_c / (size_t)c == (size_t)middle && channel == filter;
        value[i] = filter < c ? at : (float)(limit * (2 * cn_counter_uniform(seed, stream, i) - 1));
    }
}

/* Glorot and Bengio 2010, He et al. 2015: cn_init states the distributions. Parameter i draws from
 * stream i, element by element, so the weights are the same on every machine. */
static void initialize(const cn_layer_parameter *parameter, float *value, uint64_t seed,
                       uint64_t stream)
{
    size_t n = cn_shape_count(&parameter->shape);
    if (parameter->fan_in == 0) {
        for (size_t i = 0; i < n; i++) value[i] = parameter->start;
        return;
    }
    if (parameter->init == CN_INIT_DIRAC) {
        initialize_dirac(parameter, value, seed, stream);
        return;
    }
    cn_init init = parameter->init == CN_INIT_DEFAULT ? CN_INIT_GLOROT_UNIFORM : parameter->init;
    bool he = init == CN_INIT_HE_UNIFORM || init == CN_INIT_HE_NORMAL;
    bool normal = init == CN_INIT_GLOROT_NORMAL || init == CN_INIT_HE_NORMAL;
    double variance = he ? 2 / parameter->fan_in : 2 / (parameter->fan_in + parameter->fan_out);
    double scale = sqrt(normal ? variance : 3 * variance); /* U(-l, l) has variance l^2 / 3 */
    for (size_t i = 0; i < n; i++)
        value[i] = (float)(scale * (normal ? cn_counter_normal(seed, stream, i)
                                           : 2 * cn_counter_uniform(seed, stream, i) - 1));
}

cn_status cn_model_finish(cn_model *m, cn_node output, uint64_t seed, cn_error *err)
{
    cn_status status = cn_model_finish_zero(m, output, SIZE_MAX, err);
    if (status != CN_OK || m->shape_only) return status;
    uint64_t stream = 0;
    for (int i = 0; i < m->layer_count; i++)
        for (int j = 0; j < m->layers[i].parameter_count; j++, stream++) {
            const cn_layer_parameter *parameter = &m->layers[i].parameters[j];
            initialize(parameter, m->block + parameter->offset, seed, stream);
        }
    return CN_OK;
}

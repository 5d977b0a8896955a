/*
 * onnx_ports.c - several inputs and outputs of a model as those of an ONNX graph.
 *
 * A model has them packed into one input and one output (src/model/ports.c); the graph has them as
 * they are. So the slices that part the input become the inputs themselves, and the concatenation
 * of the outputs is left out: read again, both are made anew.
 */
#include "formats/onnx_export.h"

#include <stdio.h>
#include <string.h>

/* ---- names */

/* Is it the layer's name, or could it be that of something beside the layer's value? */
static bool meets(const char *port, const char *layer)
{
    const size_t n = strlen(layer);
    return strncmp(port, layer, n) == 0 && (port[n] == '\0' || port[n] == '.' || port[n] == '/');
}

static bool meets_any(const cn_model *m, const char *layer)
{
    for (int i = 0; i < m->input_ports + m->output_ports; i++)
        if (meets(m->ports[i].name, layer)) return true;
    return false;
}

/* The input whose value the layer's is; -1: none. */
static int input_given(const cn_onnx_graph *g, cn_node node)
{
    const cn_model *m = g->model;
    const cn_layer *layer = &m->layers[node];
    if (node == 0) return m->input_ports == 1 && strcmp(g->source, m->ports[0].name) == 0 ? 0 : -1;
    const bool same = layer->type == &cn_reshape_type || layer->type == &cn_flatten_type;
    const int i = cn_model_input_of(m, same ? layer->inputs[0] : node);
    if (i < 0 || layer->out.rank != m->ports[i].rank) return -1;
    return memcmp(layer->out.n, m->ports[i].shape, (size_t)layer->out.rank * sizeof(int)) ? -1 : i;
}

/* No parameter has the name of an input or an output, and no output that of another value. */
static cn_status check_names(const cn_onnx_graph *g, bool normalize, const char *path,
                             cn_error *err)
{
    const cn_model *m = g->model;
    for (int i = 0; i < m->input_ports + m->output_ports; i++) {
        const char *name = m->ports[i].name;
        const cn_node node = i < m->input_ports ? -1 : m->output_nodes[i - m->input_ports];
        for (int k = 0; k < m->parameter_count; k++)
            if (strcmp(name, m->parameters[k].name) == 0)
                return cn_fail(err, CN_ERR_UNSUPPORTED,
                               "%.80s: %.60s is the name of a parameter and of an input or output",
                               path, name);
        if (normalize && meets(name, "normalization"))
            return cn_fail(err, CN_ERR_UNSUPPORTED,
                           "%.80s: an input or output is called %.60s, as the normalization is",
                           path, name);
        for (int k = 0; node >= 0 && k < m->input_ports; k++)
            if (strcmp(name, m->ports[k].name) == 0 && (normalize || input_given(g, node) != k))
                return cn_fail(err, CN_ERR_UNSUPPORTED,
                               "%.80s: %.60s is the name of an input and of an output", path, name);
    }
    return CN_OK;
}

cn_status cn_onnx_rename(cn_onnx_graph *g, cn_model *copy, bool normalize, const char *path,
                         cn_error *err)
{
    const cn_model *m = g->model;
    g->source = m->ports ? m->ports[0].name : m->layers[0].name;
    if (!m->ports) return CN_OK;
    if (normalize && m->input_ports > 1)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: several inputs have no normalization",
                       path);
    cn_layer *layers = cn_allocate((size_t)m->layer_count, sizeof *layers, path, err);
    if (!layers) return CN_ERR_MEMORY;
    memcpy(layers, m->layers, (size_t)m->layer_count * sizeof *layers);
    int number = 1;
    for (int i = 1; i < m->layer_count; i++)
        while (meets_any(m, layers[i].name)) /* no other layer's name has a ~ */
            snprintf(layers[i].name, sizeof layers[i].name, "value~%d", number++);
    *copy = *m;
    copy->layers = layers;
    g->named = m;
    g->model = copy;
    return check_names(g, normalize, path, err);
}

/* ---- inputs and outputs */

/* An input or output of floats, (batch, n_C, n_H, n_W) or (batch, n). */
static void write_value(cn_onnx_graph *g, int field, const cn_port *port)
{
    enum { FLOAT = 1 };
    const int *n = port->shape;
    const int image[] = {n[2], n[0], n[1]};
    size_t value = cn_proto_begin(g->out, field);
    cn_proto_text(g->out, 1, port->name);
    size_t type = cn_proto_begin(g->out, 2), tensor = cn_proto_begin(g->out, 1);
    cn_proto_int(g->out, 1, FLOAT);
    size_t extents = cn_proto_begin(g->out, 2);
    for (int i = -1; i < port->rank; i++) {
        size_t extent = cn_proto_begin(g->out, 1);
        if (i < 0)
            cn_proto_text(g->out, 2, "batch");
        else
            cn_proto_int(g->out, 1, port->rank == 3 ? image[i] : n[i]);
        cn_proto_end(g->out, extent);
    }
    cn_proto_end(g->out, extents);
    cn_proto_end(g->out, tensor);
    cn_proto_end(g->out, type);
    cn_proto_end(g->out, value);
}

void cn_onnx_inputs(cn_onnx_graph *g)
{
    cn_port port;
    for (int i = 0; cn_model_input(g->model, i, &port); i++) write_value(g, 11, &port);
}

void cn_onnx_outputs(cn_onnx_graph *g)
{
    const cn_model *m = g->model;
    cn_port port;
    for (int i = 0; cn_model_output(m, i, &port); i++) {
        write_value(g, 12, &port);
        if (!m->ports) continue;
        const cn_onnx_place last = {g, &m->layers[m->output_nodes[i]], NULL};
        const int given = input_given(g, m->output_nodes[i]);
        if (given < 0 || strcmp(port.name, m->ports[given].name) != 0)
            cn_onnx_plain_node(&last, "Identity", cn_onnx_value_name(g, m->output_nodes[i]),
                               port.name);
    }
}

/* ---- layers */

void cn_onnx_mark(const cn_model *m, bool *needed)
{
    needed[m->output] = !m->ports;
    for (int i = 0; i < m->output_ports; i++) needed[m->output_nodes[i]] = true;
    for (int i = m->layer_count - 1; i > 0; i--)
        for (int k = 0; needed[i] && k < m->layers[i].input_count; k++)
            needed[m->layers[i].inputs[k]] = true;
}

/* Does a layer read the slice as something else than the input that it is? */
static bool is_read_flat(const cn_onnx_graph *g, const bool *needed, int slice)
{
    const cn_model *m = g->model;
    for (int i = slice + 1; i < m->layer_count; i++)
        for (int k = 0; needed[i] && k < m->layers[i].input_count; k++)
            if (m->layers[i].inputs[k] == slice && input_given(g, i) < 0) return true;
    return false;
}

/* An input's elements in the order of memory, as (batch, n, 1, 1). */
static void write_flat(const cn_onnx_place *n, const cn_port *port)
{
    static const int shape[] = {0, -1, 1, 1};
    char numbers[CN_ONNX_NAME], last[CN_ONNX_NAME];
    const char *x = port->name;
    if (port->rank == 3) {
        cn_onnx_inner_name(last, n, "channels_last");
        cn_onnx_transpose(n, x, last, cn_onnx_channels_last);
        x = last;
    }
    cn_onnx_integers(n->g, cn_onnx_parameter_name(numbers, n, "shape"), 4, shape);
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Reshape", n->layer->name,
                                   (const char *[]){x, numbers, NULL}, n->layer->name));
}

bool cn_onnx_unpack(cn_onnx_graph *g, const bool *needed, int i)
{
    const cn_onnx_place n = {g, &g->model->layers[i], NULL};
    const int given = input_given(g, i), part = cn_model_input_of(g->model, i);
    if (given >= 0)
        cn_onnx_plain_node(&n, "Identity", g->model->ports[given].name, n.layer->name);
    else if (part >= 0 && is_read_flat(g, needed, i))
        write_flat(&n, &g->model->ports[part]);
    return given >= 0 || part >= 0;
}

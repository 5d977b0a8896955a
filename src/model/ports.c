/*
 * ports.c - models of several inputs or outputs.
 *
 * The engine knows one input and one output. Several of them are packed:
 *
 *     input (1, 1, N)  = the elements of input 0, those of input 1, ..; each is a slice of it
 *     output (N)       = concat(flatten(output 0), flatten(output 1), ..), a tree of concats
 *
 * A port says what a part is called and what shape it has. Layers do the rest, and train like all
 * others. Whoever reads files (the importer, a model file) names the ports here, where they are
 * checked against the layers; so whoever writes them may rely on that.
 */
#include "model/model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t cn_port_count(const cn_port *port)
{
    size_t count = 1;
    for (int k = 0; k < port->rank; k++) count *= (size_t)port->shape[k];
    return count;
}

/* ---- the names and shapes that are given */

static cn_status check_name(const cn_port *ports, int i, int from, const char *side, cn_error *err)
{
    const char *name = ports[i].name;
    const size_t length = strlen(name);
    bool plain = length >= 1 && length <= CN_PORT_NAME && cn_is_utf8(name);
    for (size_t k = 0; k < length && plain; k++) plain = (unsigned char)name[k] >= ' ';
    if (!plain)
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: the name of %s %d is empty, longer than %d bytes, not UTF-8 or has "
                       "control characters",
                       side, i - from, CN_PORT_NAME);
    for (int k = from; k < i; k++)
        if (strcmp(ports[k].name, name) == 0)
            return cn_fail(err, CN_ERR_FORMAT, "model: two %ss are called \"%.60s\"", side, name);
    return CN_OK;
}

/* Checks ports from..from+count-1, and finds where each begins. */
static cn_status place_ports(cn_port *ports, int from, int count, const cn_shape *whole,
                             const char *side, cn_error *err)
{
    double at = 0;
    if (count < 1 || count > CN_MOST_PORTS)
        return cn_fail(err, CN_ERR_FORMAT, "model: %d %ss, expected 1 to %d", count, side,
                       CN_MOST_PORTS);
    for (int i = from; i < from + count; i++) {
        cn_port *port = &ports[i];
        double elements = 1;
        cn_status status = check_name(ports, i, from, side, err);
        if (status != CN_OK) return status;
        for (int k = 0; k < port->rank && k < 3; k++)
            elements *= port->shape[k] < 1 ? (double)INFINITY : port->shape[k];
        if ((port->rank != 1 && port->rank != 3) || at + elements > INT_MAX)
            return cn_fail(err, CN_ERR_FORMAT,
                           "model: the shape of %s \"%.60s\" is no (n_H, n_W, n_C) or (n), or has "
                           "too many elements",
                           side, port->name);
        port->offset = (int)at;
        at += elements;
    }
    if (at != (double)cn_shape_count(whole))
        return cn_fail(err, CN_ERR_FORMAT, "model: the %ss have %.0f elements, expected %zu", side,
                       at, cn_shape_count(whole));
    return CN_OK;
}

/* ---- the layers that they belong to */

int cn_model_input_of(const cn_model *m, cn_node node)
{
    const cn_layer *layer = &m->layers[node];
    if (m->input_ports < 2 || layer->type != &cn_slice_type || layer->inputs[0] != 0) return -1;
    const cn_slice_opts *o = layer->options;
    for (int i = 0; i < m->input_ports; i++)
        if (o->axis == CN_AXIS_CHANNELS && o->step == 1 && o->begin == m->ports[i].offset &&
            (size_t)o->count == cn_port_count(&m->ports[i]))
            return i;
    return -1;
}

static cn_status check_inputs(const cn_model *m, cn_error *err)
{
    const cn_shape *in = &m->layers[0].out;
    if (m->input_ports == 1) {
        const cn_port *port = &m->ports[0];
        if (port->rank == 1 ? in->n[2] == port->shape[0]
                            : memcmp(port->shape, in->n, 3 * sizeof *in->n) == 0)
            return CN_OK;
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: input \"%.60s\" has another shape than the input", port->name);
    }
    if (in->n[0] != 1 || in->n[1] != 1)
        return cn_fail(err, CN_ERR_FORMAT, "model: of several inputs, the shape is 1 x 1 x %zu",
                       cn_shape_count(in));
    for (int i = 1; i < m->layer_count; i++)
        for (int k = 0; k < m->layers[i].input_count; k++)
            if (m->layers[i].inputs[k] == 0 && m->layers[i].type != &cn_constant_type &&
                cn_model_input_of(m, i) < 0)
                return cn_fail(err, CN_ERR_FORMAT,
                               "model: layer \"%.60s\" reads several inputs, and is none of them",
                               m->layers[i].name);
    return CN_OK;
}

/* The layer whose value a part of the joined outputs is; -1: another shape. */
static cn_node source_of(const cn_model *m, cn_node part, const cn_port *port)
{
    const cn_layer *layer = &m->layers[part];
    if (port->rank == 1) return layer->out.rank == 1 ? part : -1;
    if (layer->type != &cn_flatten_type || layer->in.rank != 3) return -1;
    return memcmp(layer->in.n, port->shape, 3 * sizeof *port->shape) == 0 ? layer->inputs[0] : -1;
}

/* Walks the concats that join the outputs, and finds a part for each: the first value on the way
 * down that is not larger. `open` has room for what is still to be walked. */
static cn_status find_outputs(cn_model *m, cn_node *open, cn_error *err)
{
    const cn_port *ports = m->ports + m->input_ports;
    int count = 0, found = 0;
    open[count++] = m->output;
    while (count > 0 && found < m->output_ports) {
        const cn_node at = open[--count];
        const cn_layer *layer = &m->layers[at];
        if (cn_shape_count(&layer->out) > cn_port_count(&ports[found]) &&
            layer->type == &cn_concat_type && layer->out.rank == 1) {
            for (int k = layer->input_count - 1; k >= 0; k--) open[count++] = layer->inputs[k];
            continue;
        }
        const cn_node source = cn_shape_count(&layer->out) == cn_port_count(&ports[found])
                                   ? source_of(m, at, &ports[found])
                                   : -1;
        if (source < 0) break;
        m->output_nodes[found++] = source;
    }
    if (found == m->output_ports) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "model: output \"%.60s\" is no part of \"%.60s\", which joins the outputs",
                   ports[found].name, m->layers[m->output].name);
}

static cn_status check_outputs(cn_model *m, cn_error *err)
{
    const cn_port *port = &m->ports[m->input_ports];
    const cn_shape *out = &m->layers[m->output].out;
    if (m->output_ports == 1) {
        m->output_nodes[0] = m->output;
        if (port->rank == out->rank &&
            memcmp(port->shape, out->n, (size_t)out->rank * sizeof *out->n) == 0)
            return CN_OK;
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: output \"%.60s\" has another shape than the output", port->name);
    }
    /* Each concat on the way down leaves at most all of its inputs but one. */
    const size_t room = (size_t)m->layer_count * (CN_MAX_INPUTS - 1) + 1;
    cn_node *open = cn_allocate(room, sizeof *open, "model: outputs", err);
    if (!open) return CN_ERR_MEMORY;
    cn_status status = find_outputs(m, open, err);
    cn_release(open);
    return status;
}

/* ---- setting them */

static void drop_ports(cn_model *m)
{
    cn_release(m->ports);
    cn_release(m->output_nodes);
    cn_release(m->port_names);
    m->ports = NULL;
    m->output_nodes = NULL;
    m->port_names = NULL;
    m->input_ports = m->output_ports = 0;
}

/* Copies them with their names. */
static cn_status copy_ports(cn_model *m, int inputs, int outputs, const cn_port *ports,
                            cn_error *err)
{
    const size_t count = (size_t)inputs + (size_t)outputs;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += strlen(ports[i].name) + 1;
    m->ports = cn_allocate(count, sizeof *m->ports, "model: ports", err);
    if (m->ports)
        m->output_nodes =
            cn_allocate((size_t)outputs, sizeof *m->output_nodes, "model: ports", err);
    if (m->output_nodes) m->port_names = cn_allocate(bytes, 1, "model: ports", err);
    if (!m->port_names) return CN_ERR_MEMORY;
    char *name = m->port_names;
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(ports[i].name) + 1;
        m->ports[i] = ports[i];
        m->ports[i].name = memcpy(name, ports[i].name, size);
        name += size;
    }
    m->input_ports = inputs;
    m->output_ports = outputs;
    return CN_OK;
}

cn_status cn_model_set_ports(cn_model *m, int inputs, int outputs, const cn_port *ports,
                             cn_error *err)
{
    const cn_shape *out = &m->layers[m->output].out;
    if (inputs < 1 || outputs < 1 || inputs > CN_MOST_PORTS || outputs > CN_MOST_PORTS)
        return cn_fail(err, CN_ERR_FORMAT, "model: %d inputs and %d outputs, expected 1 to %d",
                       inputs, outputs, CN_MOST_PORTS);
    drop_ports(m);
    cn_status status = copy_ports(m, inputs, outputs, ports, err);
    if (status == CN_OK) status = place_ports(m->ports, 0, inputs, &m->layers[0].out, "input", err);
    if (status == CN_OK) status = place_ports(m->ports, inputs, outputs, out, "output", err);
    if (status == CN_OK) status = check_inputs(m, err);
    if (status == CN_OK) status = check_outputs(m, err);
    if (status != CN_OK) drop_ports(m);
    return status;
}

/* Eight values become one, eight of these another, and so on: an element is copied once per level.
 */
cn_node cn_model_join(cn_model *m, const cn_node *given, int count, cn_error *err)
{
    cn_node *nodes = cn_allocate((size_t)count, sizeof *nodes, "model: outputs", err);
    if (!nodes) return -1;
    for (int i = 0; i < count; i++) {
        nodes[i] = given[i];
        if (nodes[i] >= 0 && m->layers[nodes[i]].out.rank != 1)
            nodes[i] = cn_model_add(m, &cn_flatten_type, NULL, NULL, &nodes[i], 1);
    }
    while (count > 1) {
        int left = 0;
        for (int i = 0; i < count; i += CN_MAX_INPUTS, left++) {
            const int n = count - i < CN_MAX_INPUTS ? count - i : CN_MAX_INPUTS;
            nodes[left] =
                n == 1 ? nodes[i] : cn_model_add(m, &cn_concat_type, NULL, NULL, nodes + i, n);
        }
        count = left;
    }
    const cn_node joined = nodes[0];
    cn_release(nodes);
    if (joined < 0) cn_fail(err, m->error.status, "%s", m->error.text);
    return joined;
}

/* ---- asking */

int cn_model_input_count(const cn_model *m)
{
    return !m || !m->finished ? 0 : m->ports ? m->input_ports : 1;
}

int cn_model_output_count(const cn_model *m)
{
    return !m || !m->finished ? 0 : m->ports ? m->output_ports : 1;
}

/* The port of a model that has one. */
static cn_port port_of(const cn_layer *layer)
{
    cn_port port = {.name = layer->name, .rank = layer->out.rank};
    memcpy(port.shape, layer->out.n, sizeof port.shape);
    return port;
}

bool cn_model_input(const cn_model *m, int i, cn_port *out)
{
    if (!out || i < 0 || i >= cn_model_input_count(m)) return false;
    *out = m->ports ? m->ports[i] : port_of(&m->layers[0]);
    return true;
}

bool cn_model_output(const cn_model *m, int i, cn_port *out)
{
    if (!out || i < 0 || i >= cn_model_output_count(m)) return false;
    *out = m->ports ? m->ports[m->input_ports + i] : port_of(&m->layers[m->output]);
    return true;
}

/* "a, b, c": the names, as many as there is room for. */
static void list_names(const cn_port *ports, int count, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++) {
        const int n = snprintf(text + used, size - used, "%s%.24s", i ? ", " : "", ports[i].name);
        used += (size_t)n;
        if (used + 4 < size) continue;
        snprintf(text + size - 4, 4, "...");
        return;
    }
}

cn_status cn_model_expect_single(const cn_model *m, const char *what, cn_error *err)
{
    char names[80];
    const bool inputs = m->input_ports > 1;
    if (!inputs && m->output_ports < 2) return CN_OK;
    list_names(inputs ? m->ports : m->ports + m->input_ports,
               inputs ? m->input_ports : m->output_ports, names, sizeof names);
    return cn_fail(err, CN_ERR_UNSUPPORTED, "%.60s: %d %s (%s), expected one%s", what,
                   inputs ? m->input_ports : m->output_ports, inputs ? "inputs" : "outputs", names,
                   inputs ? ""
                          : "; cn_model_select_output and convert --output make a model of one");
}

/* ---- one output of several */

static cn_node find_output(const cn_model *m, const char *name)
{
    cn_port port;
    for (int i = 0; cn_model_output(m, i, &port); i++)
        if (strcmp(port.name, name) == 0) return m->ports ? m->output_nodes[i] : m->output;
    return -1;
}

/* Adds the layers that the output depends on. */
static cn_status add_live(cn_model *m, const cn_model *from, cn_node output, cn_node *place,
                          cn_error *err)
{
    cn_node inputs[CN_MAX_INPUTS];
    place[output] = 1; /* marked, until it is added */
    for (int i = output; i > 0; i--)
        for (int k = 0; place[i] && k < from->layers[i].input_count; k++)
            place[from->layers[i].inputs[k]] = 1;
    place[0] = 0;
    for (int i = 1; i <= output; i++) {
        const cn_layer *layer = &from->layers[i];
        if (!place[i]) continue;
        for (int k = 0; k < layer->input_count; k++) inputs[k] = place[layer->inputs[k]];
        place[i] =
            cn_model_add(m, layer->type, layer->options, layer->name, inputs, layer->input_count);
        if (place[i] < 0) return cn_fail(err, m->error.status, "%s", m->error.text);
    }
    return CN_OK;
}

/* All inputs, and the output; none where there is only one of each. */
static cn_status keep_ports(cn_model *m, const cn_model *from, const char *output, cn_error *err)
{
    if (from->input_ports < 2) return CN_OK;
    const size_t inputs = (size_t)from->input_ports;
    cn_port *ports = cn_allocate(inputs + 1, sizeof *ports, "model: ports", err);
    if (!ports) return CN_ERR_MEMORY;
    memcpy(ports, from->ports, inputs * sizeof *ports);
    ports[inputs] = port_of(&m->layers[m->output]);
    ports[inputs].name = output;
    cn_status status = cn_model_set_ports(m, from->input_ports, 1, ports, err);
    cn_release(ports);
    return status;
}

static cn_status copy_values(cn_model *m, const cn_model *from, cn_error *err)
{
    cn_status status = CN_OK;
    if (m->parameter_count > 0) status = cn_model_transfer(m, from, NULL, NULL, NULL, err);
    if (status == CN_OK && from->mean)
        status = cn_model_set_normalization(m, from->mean, from->std, err);
    if (status == CN_OK && from->class_count == cn_model_columns(m))
        status =
            cn_model_set_classes(m, from->class_count, (const char *const *)from->class_names, err);
    m->images = from->images;
    return status;
}

cn_status cn_model_select_output(cn_model **model, const cn_model *from, const char *output,
                                 cn_error *err)
{
    char names[120];
    cn_model *m = NULL;
    if (!model || !from || !output || !from->finished || from->shape_only)
        return cn_fail(err, CN_ERR_ARGUMENT, "select_output: NULL argument, or not finished");
    const cn_node node = find_output(from, output);
    if (node < 0) {
        const cn_port only = port_of(&from->layers[from->output]);
        list_names(from->ports ? from->ports + from->input_ports : &only,
                   cn_model_output_count(from), names, sizeof names);
        return cn_fail(err, CN_ERR_ARGUMENT, "the model has no output \"%.60s\", only %s", output,
                       names);
    }
    cn_node *place = cn_allocate((size_t)from->layer_count, sizeof *place, "model", err);
    if (!place) return CN_ERR_MEMORY;
    cn_status status = cn_model_create(&m, from->layers[0].out.n, err);
    if (status == CN_OK) status = add_live(m, from, node, place, err);
    if (status == CN_OK) status = cn_model_finish_zero(m, place[node], SIZE_MAX, err);
    if (status == CN_OK) status = keep_ports(m, from, output, err);
    if (status == CN_OK) status = copy_values(m, from, err);
    cn_release(place);
    if (status == CN_OK)
        *model = m;
    else
        cn_model_free(m);
    return status;
}

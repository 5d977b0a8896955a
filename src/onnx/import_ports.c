/*
 * import_ports.c - the inputs and outputs of an ONNX graph, as those of a model.
 *
 * One input is the model's own. Several are packed into it, (1, 1, N), in their order: each is a
 * slice of it, and an image a reshape of that. Several outputs are joined (cn_model_join). The names
 * are those of the file (src/model/ports.c). Sizes that the file leaves open are given by the caller.
 */
#include "onnx/import.h"

#include <limits.h>
#include <string.h>

/* ---- inputs */

/* Is what reads the input a Transpose from channels last to channels first? */
static bool is_turned(const cn_onnx_file *file, cn_span name)
{
    int64_t perm[CN_ONNX_RANK];
    for (int i = 0; i < file->node_count; i++) {
        const cn_graph_node *node = &file->nodes[i];
        if (node->input_count < 1 || !cn_span_equal(node->inputs[0], name)) continue;
        if (!cn_span_is(node->op, "Transpose")) continue;
        return cn_onnx_get_ints(node, "perm", perm, CN_ONNX_RANK) == 4 && perm[0] == 0 &&
               perm[1] == 3;
    }
    return false;
}

/* (C, H, W), or (H, W, C) of TensorFlow's; (C, W); (C): the order of the axes here, which sizes that are
 * given do not change. */
static const int *find_order(const cn_onnx_file *file, cn_onnx_port *port)
{
    static const int as_it_is[] = {0, 1, 2}, turned[] = {1, 2, 0}, line[] = {1, 0};
    bool few[CN_ONNX_RANK];
    if (port->order) return port->order;
    for (int k = 0; k < port->rank; k++) few[k] = port->dims[k] >= 1 && port->dims[k] <= 4;
    port->order = port->rank == 3 ? line : as_it_is;
    if (port->rank == 4 && !is_turned(file, port->name) && (few[1] || few[2] || !few[3]))
        port->order = turned;
    return port->order;
}

/* An axis gets a size, and so do all with its name. */
static void give_size(cn_onnx_file *file, cn_onnx_port *port, int axis, int64_t size)
{
    const cn_span symbol = port->symbols[axis];
    port->dims[axis] = size;
    for (port = file->inputs; symbol.size && port < file->inputs + file->input_count; port++)
        for (int k = 0; k < port->rank; k++)
            if (cn_span_equal(port->symbols[k], symbol)) port->dims[k] = size;
}

static cn_status give_shape(cn_importer *im, cn_onnx_port *port, const int shape[3])
{
    const int ones = 4 - port->rank;
    char name[CN_SPAN_TEXT];
    if (ones < 0) return CN_OK; /* and an error later */
    const int *order = find_order(im->file, port);
    for (int k = 0; k < 3; k++) {
        const int axis = k < ones ? 0 : order[k - ones] + 1;
        const int64_t size = axis ? port->dims[axis] : 1;
        if (shape[k] < 1 || size == shape[k]) continue;
        if (size > 0)
            return cn_import_fail(im, CN_ERR_ARGUMENT, "input %s: n_%c is %lld, not %d",
                                  cn_span_text(port->name, name), "HWC"[k], (long long)size,
                                  shape[k]);
        give_size(im->file, port, axis, shape[k]);
    }
    return CN_OK;
}

/* A size without a name is for the only input, or for all that are no vectors. */
static cn_status give_sizes(cn_importer *im)
{
    cn_onnx_file *file = im->file;
    cn_status status = CN_OK;
    for (int k = 0; k < file->size_count; k++) {
        const cn_input_size *s = &file->sizes[k];
        bool found = !s->name;
        for (int i = 0; i < file->input_count && status == CN_OK; i++) {
            cn_onnx_port *port = &file->inputs[i];
            const cn_value *v = cn_import_find(im, port->name, 0);
            if (!v || v->kind == CN_VALUE_CONSTANT ||
                (s->name ? !cn_span_is(port->name, s->name)
                         : port->rank == 2 && file->input_count > 1))
                continue;
            found = true;
            status = give_shape(im, port, s->shape);
        }
        if (!found) return cn_import_fail(im, CN_ERR_ARGUMENT, "no input is called %s", s->name);
    }
    return status;
}

/* The layout of an input's examples, and their shape here: (H, W, C). */
static cn_status read_input(cn_importer *im, cn_onnx_port *port, cn_layout *layout, int shape[3],
                            bool *last)
{
    char name[CN_SPAN_TEXT], symbol[CN_SPAN_TEXT];
    const int rank = port->rank - 1;
    int dims[3] = {0};
    double elements = 1;
    cn_span_text(port->name, name);
    if (!port->has_shape)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED,
                              "input %s has no shape, expected one of rank 1 to 4: (m, C, H, W)",
                              name);
    if (rank < 0 || rank > 3)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED,
                              "input %s has rank %d, expected 1 to 4: (m, C, H, W)", name,
                              port->rank);
    for (int k = 0; k < rank; k++) {
        if (port->dims[k + 1] < 1)
            return cn_import_fail(
                im, CN_ERR_SHAPE,
                "input %.40s: axis %d (\"%.30s\") has no fixed size: expected the "
                "shape (n_H, n_W, n_C)",
                name, k + 1, cn_span_text(port->symbols[k + 1], symbol));
        dims[k] = (int)port->dims[k + 1];
        elements *= dims[k];
    }
    if (elements > INT_MAX)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "input %s has more than %d elements", name,
                              INT_MAX);
    const int *order = find_order(im->file, port);
    *last = rank == 3 && order[0] == 0;
    shape[0] = shape[1] = shape[2] = 1;
    for (int k = 0; k < rank; k++) shape[3 - rank + k] = dims[order[k]];
    cn_layout_set(layout, rank, dims, order);
    return CN_OK;
}

/* The file's name as a text; one that is none becomes "", which cn_model_set_ports refuses. */
static const char *port_name(cn_importer *im, int i, cn_span name)
{
    char *text = im->port_names[i];
    if (name.size <= CN_PORT_NAME && !memchr(name.bytes, 0, name.size))
        memcpy(text, name.bytes, name.size);
    return text;
}

/* All of them have the same examples. */
static cn_status read_batch(cn_importer *im, const cn_onnx_port *port)
{
    char name[CN_SPAN_TEXT];
    const int64_t batch = port->dims[0];
    if (im->input_count > 0 && batch > 0 && im->batch > 0 && batch != im->batch)
        return cn_import_fail(
            im, CN_ERR_UNSUPPORTED, "input %s has %lld examples, and another input %lld",
            cn_span_text(port->name, name), (long long)batch, (long long)im->batch);
    if (im->input_count == 0 || batch > 0) im->batch = batch;
    return CN_OK;
}

/* Notes input i of those that are no initializers; the model does not exist yet. */
static cn_status note_input(cn_importer *im, cn_onnx_port *port, int64_t *at)
{
    cn_value *v = cn_import_find(im, port->name, 0);
    cn_port *made = &im->ports[im->input_count];
    char name[CN_SPAN_TEXT];
    bool last = false;
    if (v->kind == CN_VALUE_TENSOR)
        return cn_import_fail(im, CN_ERR_FORMAT, "two inputs are called %s",
                              cn_span_text(port->name, name));
    cn_status status = read_input(im, port, &v->layout, made->shape, &last);
    if (status == CN_OK) status = read_batch(im, port);
    if (status != CN_OK) return status;
    made->name = port_name(im, im->input_count, port->name);
    made->rank = v->layout.rank < 2 ? 1 : 3;
    if (made->rank == 1) made->shape[0] = made->shape[2];
    im->channels_last = im->channels_last || last;
    v->kind = CN_VALUE_TENSOR;
    *at += (int64_t)cn_layout_count(&v->layout);
    im->input_count++;
    return CN_OK;
}

/* The node of input i out of several. */
static cn_status cut_input(cn_importer *im, const cn_port *port, int begin, cn_value *v)
{
    const cn_node whole = cn_input(im->model);
    const cn_slice_opts o = {.count = (int)cn_port_count(port), .begin = begin};
    cn_status status = cn_import_add(im, "slice", &o, &whole, 1, NULL, &v->node);
    if (status != CN_OK || port->rank == 1) return status;
    return cn_value_image(im, v, port->shape[0], port->shape[1], port->shape[2], &v->node);
}

static cn_status make_inputs(cn_importer *im, int64_t elements)
{
    const cn_port *only = &im->ports[0];
    int shape[3] = {1, 1, (int)elements}, begin = 0, i = 0;
    if (elements > INT_MAX)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "the inputs have more than %d elements",
                              INT_MAX);
    if (im->input_count == 1 && only->rank == 3) memcpy(shape, only->shape, sizeof shape);
    cn_status status = cn_model_create(&im->model, shape, im->err);
    for (int k = 0; k < im->file->input_count && status == CN_OK; k++) {
        cn_value *v = cn_import_find(im, im->file->inputs[k].name, 0);
        if (v->kind != CN_VALUE_TENSOR) continue;
        v->node = cn_input(im->model);
        if (im->input_count > 1) status = cut_input(im, &im->ports[i], begin, v);
        begin += (int)cn_port_count(&im->ports[i++]);
    }
    return status;
}

static cn_status read_initializers(cn_importer *im)
{
    const cn_onnx_file *file = im->file;
    for (int i = 0; i < file->tensor_count; i++) {
        cn_value *v = cn_import_find(im, file->tensors[i].name, file->tensors[i].scope);
        cn_onnx_constant *c = cn_allocate(1, sizeof *c, file->path, im->err);
        if (!v || !c) {
            cn_release(c);
            return v ? CN_ERR_MEMORY : cn_import_malformed(im, "an initializer without a name");
        }
        *c = (cn_onnx_constant){.real = cn_onnx_type_is_real(file->tensors[i].type),
                                .learnt = true,
                                .tensor = file->tensors[i],
                                .rank = file->tensors[i].rank,
                                .count = file->tensors[i].count,
                                .next = im->constants};
        memcpy(c->dims, file->tensors[i].dims, sizeof c->dims);
        im->constants = c;
        v->kind = CN_VALUE_CONSTANT;
        v->constant = c;
    }
    return CN_OK;
}

cn_status cn_import_inputs(cn_importer *im)
{
    cn_onnx_file *file = im->file;
    const size_t most = (size_t)file->input_count + (size_t)file->output_count + 1;
    int64_t elements = 0;
    cn_status status = read_initializers(im);
    if (status != CN_OK) return status;
    im->ports = cn_allocate(most, sizeof *im->ports, file->path, im->err);
    im->port_names = cn_allocate(most, sizeof *im->port_names, file->path, im->err);
    if (!im->ports || !im->port_names) return CN_ERR_MEMORY;
    status = give_sizes(im);
    for (int i = 0; i < file->input_count && status == CN_OK; i++) {
        const cn_value *v = cn_import_find(im, file->inputs[i].name, 0);
        if (!v) return cn_import_malformed(im, "an input without a name");
        if (v->kind != CN_VALUE_CONSTANT) status = note_input(im, &file->inputs[i], &elements);
    }
    if (status != CN_OK) return status;
    if (im->input_count == 0 || file->output_count == 0)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "no %s",
                              im->input_count == 0 ? "inputs" : "outputs");
    return make_inputs(im, elements);
}

/* ---- outputs */

/* (C, H, W) comes out as (H, W, C), and (C, W) as (1, W, C), unless the input, too, is channels last;
 * everything else in its own order. */
static cn_status order_output(cn_importer *im, cn_value *y)
{
    static const int image[] = {1, 2, 0}, line[] = {1, 0}, same[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int rank = y->layout.rank, *n = y->layout.dims;
    const int *order = im->channels_last || rank > 3 ? same
                       : rank == 3                   ? image
                       : rank == 2                   ? line
                                                     : same;
    cn_status status = cn_value_order(im, y, order);
    if (status != CN_OK) return status;
    if (rank < 2 || rank > 3) return cn_value_row(im, y, &y->node);
    return cn_value_image(im, y, rank == 3 ? n[order[0]] : 1, n[order[rank - 2]],
                          n[order[rank - 1]], &y->node);
}

cn_status cn_import_output_value(cn_importer *im, int i, cn_node *node)
{
    const cn_span name = im->file->outputs[i].name;
    const cn_value *output = cn_import_find(im, name, 0);
    cn_port *port = &im->ports[im->input_count + i];
    char text[CN_SPAN_TEXT];
    if (!output || output->kind != CN_VALUE_TENSOR || output->part)
        return cn_import_fail(im, CN_ERR_FORMAT, "output %s does not depend on the input",
                              cn_span_text(name, text));
    cn_value y = *output;
    cn_status status = order_output(im, &y);
    if (status != CN_OK) return status;
    const cn_shape *out = &im->model->layers[y.node].out;
    *node = y.node;
    port->name = port_name(im, im->input_count + i, name);
    port->rank = out->rank;
    memcpy(port->shape, out->n, sizeof port->shape);
    return CN_OK;
}

cn_status cn_import_ports(cn_importer *im, cn_model *model)
{
    cn_error inner;
    const int outputs = im->file->output_count;
    if (im->input_count == 1 && outputs == 1) return CN_OK;
    cn_status status = cn_model_set_ports(model, im->input_count, outputs, im->ports, &inner);
    return status == CN_OK ? CN_OK : cn_import_fail(im, status, "%.150s", inner.text);
}

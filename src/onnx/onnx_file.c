/*
 * onnx_file.c - the ONNX form, IR versions 3 to 13 (onnx/onnx, onnx.proto3): Protocol Buffers in
 * the wire form of wire.h. The fields that are read, by their numbers:
 *
 *     ModelProto        7 graph (GraphProto), 8 opset_import (1 domain, 2 version),
 *                       14 metadata_props (1 key, 2 value)
 *     GraphProto        1 node, 5 initializer (TensorProto), 11 input, 12 output (ValueInfoProto)
 *     NodeProto         1 input, 2 output, 3 name, 4 op_type, 5 attribute, 7 domain
 *     AttributeProto    1 name, 2 f, 3 i, 4 s, 5 t, 6 g (GraphProto), 7 floats, 8 ints, 20 type
 *     TensorProto       1 dims, 2 data_type, 4 float_data, 5 int32_data, 7 int64_data, 8 name,
 *                       9 raw_data, 10 double_data, 11 uint64_data, 13 external_data,
 *                       14 data_location
 *     ValueInfoProto    1 name, 2 type (1 tensor_type (1 elem_type, 2 shape (1 dim (1 dim_value,
 *                       2 dim_param))))
 *
 * Other fields, such as documentation and types of values in between, are passed over. Everything
 * is counted before it is stored, and the counts have limits far above those of the largest
 * networks.
 */
#include "onnx/onnx_file.h"

#include "base/source.h"

#include <string.h>

/* A file that exceeds one of them is no image network: the deepest has 3,000 nodes. */
enum {
    MOST_NODES = 100000,
    MOST_TENSORS = 100000,
    MOST_NAMES = 1000000,
    MOST_ATTRIBUTES = 1000000,
    MOST_PORTS = 1000,
    MOST_METADATA = 10000,
};
static const size_t MOST_BYTES = (size_t)1 << 31; /* the limit of Protocol Buffers */

/* ---- types */

size_t cn_onnx_type_size(int64_t type)
{
    static const uint8_t sizes[] = {
        [CN_ONNX_FLOAT] = 4,    [CN_ONNX_UINT8] = 1,  [CN_ONNX_INT8] = 1,   [CN_ONNX_UINT16] = 2,
        [CN_ONNX_INT16] = 2,    [CN_ONNX_INT32] = 4,  [CN_ONNX_INT64] = 8,  [CN_ONNX_BOOL] = 1,
        [CN_ONNX_FLOAT16] = 2,  [CN_ONNX_DOUBLE] = 8, [CN_ONNX_UINT32] = 4, [CN_ONNX_UINT64] = 8,
        [CN_ONNX_BFLOAT16] = 2,
    };
    return type >= 0 && type < (int64_t)sizeof sizes ? sizes[type] : 0;
}

bool cn_onnx_type_is_real(int64_t type)
{
    return type == CN_ONNX_FLOAT || type == CN_ONNX_DOUBLE || type == CN_ONNX_FLOAT16 ||
           type == CN_ONNX_BFLOAT16;
}

/* ---- what is malformed */

typedef struct reader {
    cn_onnx_file *file;
    const uint8_t *bytes; /* the file's first */
    cn_error *err;
    int names, attributes; /* counted, then stored */
    cn_span graph;
} reader;

static cn_status malformed(const reader *r, const uint8_t *at, const char *what)
{
    return cn_fail(r->err, CN_ERR_FORMAT, "%.100s: byte %zu: malformed %s", r->file->path,
                   (size_t)(at - r->bytes), what);
}

static cn_status end_of(const reader *r, const cn_wire *w, const char *what)
{
    return w->broken ? malformed(r, w->at, what) : CN_OK;
}

static cn_status too_many(const reader *r, const char *what, int most)
{
    return cn_fail(r->err, CN_ERR_UNSUPPORTED, "%.100s: more than %d %s", r->file->path, most,
                   what);
}

/* ---- tensors */

static bool read_external(cn_onnx_tensor *t, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    cn_span key = {NULL, 0}, value = {NULL, 0};
    while (cn_wire_next(&w, &f)) {
        if (f.type != CN_WIRE_BYTES) continue;
        if (f.number == 1) key = f.span;
        if (f.number == 2) value = f.span;
    }
    if (w.broken) return false;
    if (cn_span_is(key, "location")) t->location = value;
    const bool offset = cn_span_is(key, "offset"), length = cn_span_is(key, "length");
    if (!offset && !length) return true;
    uint64_t number = 0;
    if (value.size == 0 || value.size > 18) return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9') return false;
        number = number * 10 + (uint64_t)(value.bytes[i] - '0');
    }
    if (offset)
        t->offset = number;
    else
        t->length = number, t->has_length = true;
    return true;
}

static bool add_dim(cn_onnx_tensor *t, uint64_t value)
{
    if (t->rank == CN_ONNX_RANK) return false;
    t->dims[t->rank++] = (int64_t)value;
    return true;
}

static bool read_dims(cn_onnx_tensor *t, const cn_field *f)
{
    uint64_t value;
    if (f->type == CN_WIRE_VARINT) return add_dim(t, f->value);
    if (f->type != CN_WIRE_BYTES) return false;
    cn_wire w = cn_wire_open(f->span);
    while (cn_wire_number(&w, CN_WIRE_VARINT, &value))
        if (!add_dim(t, value)) return false;
    return !w.broken;
}

static bool read_tensor_field(cn_onnx_tensor *t, const cn_field *f)
{
    switch (f->number) {
    case 1: return read_dims(t, f);
    case 2: t->type = (int64_t)f->value; return f->type == CN_WIRE_VARINT;
    case 8: t->name = f->span; return f->type == CN_WIRE_BYTES;
    case 9:
        t->raw = f->span;
        t->has_raw = true;
        return f->type == CN_WIRE_BYTES;
    case 13: return f->type == CN_WIRE_BYTES && read_external(t, f->span);
    case 14: t->external = f->value == 1; return f->type == CN_WIRE_VARINT && f->value <= 1;
    default: return true;
    }
}

cn_status cn_onnx_tensor_read(cn_onnx_tensor *t, cn_span message, const char *what, cn_error *err)
{
    char name[CN_SPAN_TEXT];
    cn_wire w = cn_wire_open(message);
    cn_field f;
    bool good = true;
    *t = (cn_onnx_tensor){.message = message, .count = 1};
    while (good && cn_wire_next(&w, &f)) good = read_tensor_field(t, &f);
    if (!good || w.broken)
        return cn_fail(err, CN_ERR_FORMAT, "%.100s: tensor %s is malformed", what,
                       cn_span_text(t->name, name));
    for (int k = 0; k < t->rank; k++)
        if (t->dims[k] < 0 || t->dims[k] > INT32_MAX ||
            !cn_multiply(t->count, (size_t)t->dims[k], &t->count) || t->count > SIZE_MAX / 16)
            return cn_fail(
                err, CN_ERR_FORMAT,
                "%.100s: tensor %s: extent %lld of axis %d, or all of them together, are "
                "more than can be",
                what, cn_span_text(t->name, name), (long long)t->dims[k], k);
    return CN_OK;
}

/* ---- inputs and outputs */

static bool read_dim(cn_onnx_port *port, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    int64_t size = -1;
    if (port->rank == CN_ONNX_RANK) return false;
    while (cn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == CN_WIRE_VARINT) size = (int64_t)f.value;
        if (f.number == 2 && f.type == CN_WIRE_BYTES) port->symbols[port->rank] = f.span;
    }
    if (w.broken) return false;
    port->dims[port->rank++] = size < 0 || size > INT32_MAX ? -1 : size;
    return true;
}

static bool read_shape(cn_onnx_port *port, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    port->has_shape = true;
    while (cn_wire_next(&w, &f))
        if (f.number == 1 && (f.type != CN_WIRE_BYTES || !read_dim(port, f.span))) return false;
    return !w.broken;
}

static bool read_tensor_type(cn_onnx_port *port, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    while (cn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == CN_WIRE_VARINT) port->type = (int64_t)f.value;
        if (f.number == 2 && (f.type != CN_WIRE_BYTES || !read_shape(port, f.span))) return false;
    }
    return !w.broken;
}

static bool read_type(cn_onnx_port *port, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    while (cn_wire_next(&w, &f))
        if (f.number == 1 && (f.type != CN_WIRE_BYTES || !read_tensor_type(port, f.span)))
            return false;
    return !w.broken;
}

static bool read_port(cn_onnx_port *port, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    *port = (cn_onnx_port){.type = 0};
    while (cn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == CN_WIRE_BYTES) port->name = f.span;
        if (f.number == 2 && (f.type != CN_WIRE_BYTES || !read_type(port, f.span))) return false;
    }
    return !w.broken;
}

/* ---- nodes */

static bool read_attribute(cn_onnx_attribute *a, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    *a = (cn_onnx_attribute){.message = message};
    while (cn_wire_next(&w, &f)) {
        const bool bytes = f.type == CN_WIRE_BYTES;
        if (f.number == 1 && bytes) a->name = f.span;
        if (f.number == 2 && f.type == CN_WIRE_FIXED32) {
            const uint32_t bits = (uint32_t)f.value;
            memcpy(&a->f, &bits, sizeof a->f);
        }
        if (f.number == 3 && f.type == CN_WIRE_VARINT) a->i = (int64_t)f.value;
        if (f.number == 4 && bytes) a->s = f.span;
        if (f.number == 5 && bytes) a->tensor = f.span;
        if (f.number == 6 && bytes) a->graph = f.span;
        if (f.number == 20 && f.type == CN_WIRE_VARINT) a->type = (int64_t)f.value;
    }
    return !w.broken;
}

/* Counts what a node holds, so that it can be stored. */
static bool count_node(reader *r, cn_graph_node *node, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    *node = (cn_graph_node){.input_count = 0};
    while (cn_wire_next(&w, &f)) {
        if (f.type != CN_WIRE_BYTES) continue;
        node->input_count += f.number == 1;
        node->output_count += f.number == 2;
        node->attribute_count += f.number == 5;
        if (f.number == 3) node->name = f.span;
        if (f.number == 4) node->op = f.span;
        if (f.number == 7) node->domain = f.span;
    }
    r->names += node->input_count + node->output_count;
    r->attributes += node->attribute_count;
    return !w.broken;
}

static cn_status store_node(reader *r, cn_graph_node *node, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    cn_span *inputs = r->file->names + r->names, *outputs = inputs + node->input_count;
    cn_onnx_attribute *attributes = r->file->attributes + r->attributes;
    node->inputs = inputs;
    node->outputs = outputs;
    node->attributes = attributes;
    r->names += node->input_count + node->output_count;
    r->attributes += node->attribute_count;
    while (cn_wire_next(&w, &f)) {
        if (f.type != CN_WIRE_BYTES) continue;
        if (f.number == 1) *inputs++ = f.span;
        if (f.number == 2) *outputs++ = f.span;
        if (f.number == 5 && !read_attribute(attributes++, f.span))
            return malformed(r, f.span.bytes, "attribute");
    }
    return CN_OK;
}

/* ---- the graph */

static cn_status count_graph(reader *r)
{
    cn_onnx_file *file = r->file;
    cn_wire w = cn_wire_open(r->graph);
    cn_field f;
    while (cn_wire_next(&w, &f)) {
        const bool known = f.number == 1 || f.number == 5 || f.number == 11 || f.number == 12;
        if (known && f.type != CN_WIRE_BYTES) return malformed(r, w.at, "graph");
        file->node_count += f.number == 1;
        file->tensor_count += f.number == 5;
        file->input_count += f.number == 11;
        file->output_count += f.number == 12;
        if (f.number == 15)
            return cn_fail(r->err, CN_ERR_UNSUPPORTED, "%.100s: holds sparse tensors", file->path);
        if (file->node_count > MOST_NODES) return too_many(r, "nodes", MOST_NODES);
        if (file->tensor_count > MOST_TENSORS) return too_many(r, "tensors", MOST_TENSORS);
        if (file->input_count > MOST_PORTS || file->output_count > MOST_PORTS)
            return too_many(r, "inputs or outputs", MOST_PORTS);
    }
    return end_of(r, &w, "graph");
}

static cn_status read_graph_field(reader *r, const cn_field *f)
{
    cn_onnx_file *file = r->file;
    switch (f->number) {
    case 1:
        if (!count_node(r, &file->nodes[file->node_count++], f->span))
            return malformed(r, f->span.bytes, "node");
        if (r->names > MOST_NAMES) return too_many(r, "inputs and outputs of nodes", MOST_NAMES);
        if (r->attributes > MOST_ATTRIBUTES) return too_many(r, "attributes", MOST_ATTRIBUTES);
        return CN_OK;
    case 5:
        return cn_onnx_tensor_read(&file->tensors[file->tensor_count++], f->span, file->path,
                                   r->err);
    case 11:
        return read_port(&file->inputs[file->input_count++], f->span)
                   ? CN_OK
                   : malformed(r, f->span.bytes, "input");
    case 12:
        return read_port(&file->outputs[file->output_count++], f->span)
                   ? CN_OK
                   : malformed(r, f->span.bytes, "output");
    default: return CN_OK;
    }
}

static cn_status store_nodes(reader *r)
{
    cn_onnx_file *file = r->file;
    cn_wire w = cn_wire_open(r->graph);
    cn_field f;
    cn_status status = CN_OK;
    file->names = cn_allocate((size_t)r->names + 1, sizeof *file->names, file->path, r->err);
    file->attributes =
        cn_allocate((size_t)r->attributes + 1, sizeof *file->attributes, file->path, r->err);
    if (!file->names || !file->attributes) return CN_ERR_MEMORY;
    r->names = r->attributes = 0;
    for (int i = 0; status == CN_OK && cn_wire_next(&w, &f);)
        if (f.number == 1) status = store_node(r, &file->nodes[i++], f.span);
    return status;
}

static cn_status read_graph(reader *r)
{
    cn_onnx_file *file = r->file;
    cn_wire w = cn_wire_open(r->graph);
    cn_field f;
    cn_status status = count_graph(r);
    if (status != CN_OK) return status;
    file->nodes = /* and for what gives a branch's outputs their names */
        cn_allocate((size_t)file->node_count + (size_t)file->output_count + 1, sizeof *file->nodes,
                    "nodes", r->err);
    file->tensors =
        cn_allocate((size_t)file->tensor_count + 1, sizeof *file->tensors, "tensors", r->err);
    file->inputs =
        cn_allocate((size_t)file->input_count + 1, sizeof *file->inputs, "inputs", r->err);
    file->outputs =
        cn_allocate((size_t)file->output_count + 1, sizeof *file->outputs, "outputs", r->err);
    if (!file->nodes || !file->tensors || !file->inputs || !file->outputs) return CN_ERR_MEMORY;
    file->node_count = file->tensor_count = file->input_count = file->output_count = 0;
    while (status == CN_OK && cn_wire_next(&w, &f)) status = read_graph_field(r, &f);
    return status == CN_OK ? store_nodes(r) : status;
}

/* ---- the model */

static bool read_opset(cn_onnx_file *file, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    cn_span domain = {NULL, 0};
    int64_t version = 0;
    while (cn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == CN_WIRE_BYTES) domain = f.span;
        if (f.number == 2 && f.type == CN_WIRE_VARINT) version = (int64_t)f.value;
    }
    if (domain.size == 0 || cn_span_is(domain, "ai.onnx")) file->opset = version;
    return !w.broken;
}

static bool read_pair(cn_onnx_pair *pair, cn_span message)
{
    cn_wire w = cn_wire_open(message);
    cn_field f;
    *pair = (cn_onnx_pair){.key = {NULL, 0}};
    while (cn_wire_next(&w, &f)) {
        if (f.number == 1 && f.type == CN_WIRE_BYTES) pair->key = f.span;
        if (f.number == 2 && f.type == CN_WIRE_BYTES) pair->value = f.span;
    }
    return !w.broken;
}

static cn_status read_metadata(reader *r, cn_span model)
{
    cn_onnx_file *file = r->file;
    cn_wire w = cn_wire_open(model);
    cn_field f;
    file->metadata =
        cn_allocate((size_t)file->metadata_count + 1, sizeof *file->metadata, "metadata", r->err);
    if (!file->metadata) return CN_ERR_MEMORY;
    for (int i = 0; cn_wire_next(&w, &f);)
        if (f.number == 14 && !read_pair(&file->metadata[i++], f.span))
            return malformed(r, f.span.bytes, "metadata");
    return CN_OK;
}

static cn_status read_model(reader *r, cn_span model)
{
    cn_onnx_file *file = r->file;
    cn_wire w = cn_wire_open(model);
    cn_field f;
    int graphs = 0;
    while (cn_wire_next(&w, &f)) {
        file->function_count += f.number == 25;
        if (f.number != 7 && f.number != 8 && f.number != 14) continue;
        if (f.type != CN_WIRE_BYTES) return malformed(r, w.at, "model");
        if (f.number == 7) r->graph = f.span, graphs++;
        if (f.number == 8 && !read_opset(file, f.span))
            return malformed(r, f.span.bytes, "opset_import");
        if (f.number == 14 && ++file->metadata_count > MOST_METADATA)
            return too_many(r, "metadata", MOST_METADATA);
    }
    cn_status status = end_of(r, &w, "model");
    if (status != CN_OK) return status;
    if (graphs != 1)
        return cn_fail(r->err, CN_ERR_FORMAT, "%.100s: %d graphs, expected one", file->path,
                       graphs);
    if (file->opset < 1)
        return cn_fail(r->err, CN_ERR_FORMAT, "%.100s: no version of the operators (opset_import)",
                       file->path);
    status = read_metadata(r, model);
    return status == CN_OK ? read_graph(r) : status;
}

cn_status cn_onnx_file_read(cn_onnx_file *file, const char *name, cn_span bytes, cn_error *err)
{
    *file = (cn_onnx_file){.path = name, .in_memory = true, .bytes = bytes.bytes};
    reader r = {.file = file, .bytes = bytes.bytes, .err = err};
    cn_status status = read_model(&r, bytes);
    if (status != CN_OK) cn_onnx_file_free(file);
    return status;
}

cn_status cn_onnx_file_load(cn_onnx_file *file, const char *path, cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_status status = cn_file_read(path, MOST_BYTES, cn_onnx_detect, &bytes, &size, err);
    if (status == CN_OK && !cn_onnx_detect(bytes, size))
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: not an ONNX model", path);
    if (status == CN_OK) status = cn_onnx_file_read(file, path, (cn_span){bytes, size}, err);
    if (status != CN_OK) {
        cn_release(bytes);
        return status;
    }
    file->owned = bytes;
    file->in_memory = false;
    return CN_OK;
}

void cn_onnx_file_free(cn_onnx_file *file)
{
    while (file->branches) {
        cn_onnx_file *branch = file->branches;
        file->branches = branch->branches;
        branch->branches = NULL;
        cn_onnx_file_free(branch);
        cn_release(branch);
    }
    cn_release(file->nodes);
    cn_release(file->tensors);
    cn_release(file->inputs);
    cn_release(file->outputs);
    cn_release(file->metadata);
    cn_release(file->names);
    cn_release(file->attributes);
    cn_release(file->owned);
    *file = (cn_onnx_file){.path = NULL};
}

/* ---- branches */

/* A new array of this one's elements, with so many more in place of `gone`; NULL: no memory. */
static void *put(void *from, int count, int at, int gone, const void *more, int extra, size_t size,
                 cn_error *err)
{
    const size_t head = (size_t)at * size, middle = (size_t)extra * size;
    const size_t tail = (size_t)(count - at - gone) * size;
    uint8_t *to = cn_allocate((size_t)(count + extra) + 1, size, "branches", err);
    if (!to) return NULL;
    memcpy(to, from, head);
    memcpy(to + head, more, middle);
    memcpy(to + head + middle, (uint8_t *)from + head + (size_t)gone * size, tail);
    cn_release(from);
    return to;
}

cn_status cn_onnx_take_branch(cn_onnx_file *file, int at, const char *name, cn_error *err)
{
    const cn_graph_node taken = file->nodes[at];
    const cn_onnx_attribute *a = cn_onnx_attribute_find(&taken, name);
    cn_onnx_file *b = cn_allocate(1, sizeof *b, "branches", err);
    if (!b) return CN_ERR_MEMORY;
    *b = (cn_onnx_file){.path = file->path, .branches = file->branches};
    file->branches = b;
    reader r = {.file = b, .bytes = file->bytes, .err = err};
    if (a) r.graph = a->graph;
    if (file->branch_count == CN_ONNX_BRANCHES) return too_many(&r, "branches", CN_ONNX_BRANCHES);
    const int scope = ++file->branch_count;
    file->outer[scope] = taken.scope;
    cn_status status = read_graph(&r);
    if (status != CN_OK) return status;
    if (b->input_count || b->output_count != taken.output_count)
        return cn_fail(err, CN_ERR_FORMAT, "%.100s: If: a %s with other inputs or outputs",
                       file->path, name);
    const int count = b->node_count + b->output_count;
    if (count > MOST_NODES - file->node_count) return too_many(&r, "nodes", MOST_NODES);
    for (int i = 0; i < b->tensor_count; i++) b->tensors[i].scope = scope;
    for (int i = 0; i < count; i++) {
        cn_graph_node *n = &b->nodes[i];
        const int k = i - b->node_count;
        if (k >= 0) {
            *n = (cn_graph_node){.name = taken.name,
                                 .op = {(const uint8_t *)"Identity", 8},
                                 .input_count = 1,
                                 .output_count = 1,
                                 .inputs = &b->outputs[k].name,
                                 .outputs = &taken.outputs[k]};
        }
        n->scope = scope;
        n->output_scope = k < 0 ? scope : taken.output_scope;
    }
    cn_graph_node *nodes =
        put(file->nodes, file->node_count, at, 1, b->nodes, count, sizeof *nodes, err);
    if (!nodes) return CN_ERR_MEMORY;
    file->nodes = nodes;
    file->node_count += count - 1;
    cn_onnx_tensor *tensors = put(file->tensors, file->tensor_count, file->tensor_count, 0,
                                  b->tensors, b->tensor_count, sizeof *tensors, err);
    if (!tensors) return CN_ERR_MEMORY;
    file->tensors = tensors;
    file->tensor_count += b->tensor_count;
    return CN_OK;
}

/*
 * A model has no magic number. What begins one are fields of ModelProto with their types: numbers 1
 * (ir_version, a small number) or 2 (producer_name), each a varint or a text; exporters write
 * ir_version first.
 */
bool cn_onnx_detect(const uint8_t *head, size_t size)
{
    if (size < 4 || head[0] != 0x08 || head[1] < 1 || head[1] > 64) return false;
    const int number = head[2] >> 3, type = head[2] & 7;
    if (number == 5) return type == CN_WIRE_VARINT;
    return type == CN_WIRE_BYTES && number >= 2 && number <= 14;
}

/* ---- attributes */

const cn_onnx_attribute *cn_onnx_attribute_find(const cn_graph_node *node, const char *name)
{
    for (int i = 0; i < node->attribute_count; i++)
        if (cn_span_is(node->attributes[i].name, name)) return &node->attributes[i];
    return NULL;
}

int64_t cn_onnx_get_int(const cn_graph_node *node, const char *name, int64_t otherwise)
{
    const cn_onnx_attribute *a = cn_onnx_attribute_find(node, name);
    return a ? a->i : otherwise;
}

float cn_onnx_get_float(const cn_graph_node *node, const char *name, float otherwise)
{
    const cn_onnx_attribute *a = cn_onnx_attribute_find(node, name);
    return a ? a->f : otherwise;
}

double cn_onnx_get_decimal(const cn_graph_node *node, const char *name, float otherwise)
{
    return cn_onnx_decimal(cn_onnx_get_float(node, name, otherwise));
}

bool cn_onnx_get_is(const cn_graph_node *node, const char *name, const char *text,
                    const char *otherwise)
{
    const cn_onnx_attribute *a = cn_onnx_attribute_find(node, name);
    return a ? cn_span_is(a->s, text) : strcmp(text, otherwise) == 0;
}

/* The numbers of field `number`, one after another or packed, into ints or reals. */
static int read_list(const cn_graph_node *node, const char *name, uint32_t number, int type,
                     uint64_t *out, int most)
{
    const cn_onnx_attribute *a = cn_onnx_attribute_find(node, name);
    int count = 0;
    uint64_t value;
    cn_field f;
    if (!a) return 0;
    cn_wire w = cn_wire_open(a->message);
    while (cn_wire_next(&w, &f)) {
        if (f.number != number) continue;
        if (f.type == type) {
            if (count == most) return -1;
            out[count++] = f.value;
        } else if (f.type == CN_WIRE_BYTES) {
            cn_wire packed = cn_wire_open(f.span);
            while (cn_wire_number(&packed, type, &value)) {
                if (count == most) return -1;
                out[count++] = value;
            }
        }
    }
    return count;
}

int cn_onnx_get_ints(const cn_graph_node *node, const char *name, int64_t *out, int most)
{
    return read_list(node, name, 8, CN_WIRE_VARINT, (uint64_t *)out, most);
}

int cn_onnx_get_floats(const cn_graph_node *node, const char *name, float *out, int most)
{
    uint64_t values[64];
    int count = read_list(node, name, 7, CN_WIRE_FIXED32, values, most < 64 ? most : 64);
    for (int i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t)values[i];
        memcpy(&out[i], &bits, sizeof *out);
    }
    return count;
}

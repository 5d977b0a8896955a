/*
 * onnx_export.c - a model as an ONNX file (ONNX 1.22: IR version 13, operator set 27).
 *
 * Messages of the schema onnx.proto, with the numbers of the fields that are written:
 *
 *   ModelProto      1 ir_version, 2 producer_name, 3 producer_version, 7 graph, 8 opset_import,
 *                   14 metadata_props
 *   GraphProto      1 node, 2 name, 5 initializer, 11 input, 12 output
 *   NodeProto       1 input, 2 output, 3 name, 4 op_type, 5 attribute
 *   AttributeProto  1 name, 2 f, 3 i, 4 s, 8 ints, 20 type (1 float, 2 int, 3 text, 7 ints)
 *   TensorProto     1 dims, 2 data_type (1 float, 7 int64), 8 name, 9 raw_data, little-endian
 *   ValueInfoProto  1 name, 2 type;  TypeProto 1 tensor_type;  Tensor 1 elem_type, 2 shape;
 *                   TensorShapeProto 1 dim;  Dimension 1 dim_value, 2 dim_param
 *   OperatorSetIdProto  1 domain, 2 version;   StringStringEntryProto  1 key, 2 value
 *
 * The graph is written for ONNX's layout: images are (batch, n_C, n_H, n_W), and "batch" may be any
 * number. Parameters keep their names, and so do layers: "conv2d_1.weight", "relu_1". What the
 * graph cannot say is in the metadata, as JSON: "classes", "normalization", "images" and "loss" as
 * in a model file (docs/models.md).
 */
#include "formats/onnx_export.h"

#include "base/json.h"
#include "base/sink.h"
#include "formats/channels_first.h"

#include <limits.h>
#include <string.h>

enum { FLOAT = 1, INT64 = 7 };

/* ---- nodes */

size_t cn_onnx_node(cn_onnx_graph *g, const char *op, const char *name, const char *const *inputs,
                    const char *output)
{
    size_t begin = cn_proto_begin(g->out, 1);
    for (; *inputs; inputs++) cn_proto_text(g->out, 1, *inputs);
    cn_proto_text(g->out, 2, output);
    cn_proto_text(g->out, 3, name);
    cn_proto_text(g->out, 4, op);
    return begin;
}

void cn_onnx_end(cn_onnx_graph *g, size_t begin)
{
    cn_proto_end(g->out, begin);
}

static size_t begin_attribute(cn_onnx_graph *g, const char *name, int type)
{
    size_t begin = cn_proto_begin(g->out, 5);
    cn_proto_text(g->out, 1, name);
    cn_proto_int(g->out, 20, type);
    return begin;
}

void cn_onnx_float(cn_onnx_graph *g, const char *name, double value)
{
    size_t begin = begin_attribute(g, name, 1);
    cn_proto_float(g->out, 2, (float)value);
    cn_proto_end(g->out, begin);
}

void cn_onnx_int(cn_onnx_graph *g, const char *name, int64_t value)
{
    size_t begin = begin_attribute(g, name, 2);
    cn_proto_int(g->out, 3, value);
    cn_proto_end(g->out, begin);
}

void cn_onnx_text(cn_onnx_graph *g, const char *name, const char *value)
{
    size_t begin = begin_attribute(g, name, 3);
    cn_proto_text(g->out, 4, value);
    cn_proto_end(g->out, begin);
}

void cn_onnx_ints(cn_onnx_graph *g, const char *name, int count, const int *values)
{
    size_t begin = begin_attribute(g, name, 7);
    for (int i = 0; i < count; i++) cn_proto_int(g->out, 8, values[i]);
    cn_proto_end(g->out, begin);
}

/* ---- initializers */

static size_t begin_tensor(cn_onnx_graph *g, const char *name, int type, int rank, const int *shape)
{
    size_t begin = cn_proto_begin(g->out, 5);
    for (int i = 0; i < rank; i++) cn_proto_int(g->out, 1, shape[i]);
    cn_proto_int(g->out, 2, type);
    cn_proto_text(g->out, 8, name);
    return begin;
}

void cn_onnx_floats(cn_onnx_graph *g, const char *name, int rank, const int *shape,
                    const float *values)
{
    size_t begin = begin_tensor(g, name, FLOAT, rank, shape), count = 1;
    for (int i = 0; i < rank; i++) count *= (size_t)shape[i];
    cn_proto_bytes(g->out, 9, values, count * sizeof *values);
    cn_proto_end(g->out, begin);
}

void cn_onnx_integers(cn_onnx_graph *g, const char *name, int count, const int *values)
{
    int64_t wide[8];
    for (int i = 0; i < count; i++) wide[i] = values[i];
    size_t begin = begin_tensor(g, name, INT64, 1, &count);
    cn_proto_bytes(g->out, 9, wide, (size_t)count * sizeof *wide);
    cn_proto_end(g->out, begin);
}

/* ---- metadata */

static void write_pair(cn_proto *out, const char *key, const char *value)
{
    size_t begin = cn_proto_begin(out, 14);
    cn_proto_text(out, 1, key);
    cn_proto_text(out, 2, value);
    cn_proto_end(out, begin);
}

static cn_status write_metadata(cn_proto *out, const cn_model *model, bool normalize, cn_error *err)
{
    static const char *const keys[] = {"classes", "normalization", "images", "loss"};
    cn_status status = CN_OK;
    json_t *json = cn_model_to_json(model, err);
    if (!json) return CN_ERR_MEMORY;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && status == CN_OK; i++) {
        const json_t *value = json_object_get(json, keys[i]);
        if (!value || (normalize && strcmp(keys[i], "normalization") == 0)) continue;
        char *text = cn_json_text(value, "model: its metadata as text", err);
        if (!text) status = CN_ERR_MEMORY;
        if (text) write_pair(out, keys[i], text);
        cn_release(text);
    }
    json_decref(json);
    return status;
}

/* ---- the graph */

/* x = (value - mean) / std, of each channel. */
static void write_normalization(cn_onnx_graph *g)
{
    const cn_model *m = g->model;
    const int shape[] = {1, m->layers[0].out.n[2], 1, 1};
    cn_onnx_floats(g, "normalization.mean", 4, shape, m->mean);
    cn_onnx_floats(g, "normalization.std", 4, shape, m->std);
    cn_onnx_end(g, cn_onnx_node(g, "Sub", "normalization/center",
                                (const char *[]){g->source, "normalization.mean", NULL},
                                "normalization/center"));
    cn_onnx_end(g, cn_onnx_node(g, "Div", "normalization",
                                (const char *[]){"normalization/center", "normalization.std", NULL},
                                "normalization"));
    g->source = "normalization";
}

static cn_status write_graph(cn_onnx_graph *g, bool normalize, cn_error *err)
{
    const cn_model *m = g->model;
    bool *needed = cn_allocate((size_t)m->layer_count, sizeof *needed, "layers", err);
    if (!needed) return CN_ERR_MEMORY;
    cn_onnx_mark(m, needed);
    size_t begin = cn_proto_begin(g->out, 7);
    cn_proto_text(g->out, 2, "convnet");
    cn_onnx_inputs(g);
    if (normalize) write_normalization(g);
    for (int i = 1; i < m->layer_count && g->error.status == CN_OK; i++)
        if (needed[i] && !cn_onnx_unpack(g, needed, i)) cn_onnx_layer(g, i);
    cn_onnx_outputs(g);
    cn_proto_end(g->out, begin);
    cn_release(needed);
    if (g->error.status == CN_OK) return CN_OK;
    return cn_fail(err, g->error.status, "%s", g->error.text);
}

/* Names every type of layer that cannot be written, at once. */
static cn_status check_layers(const cn_model *m, const char *path, cn_error *err)
{
    char names[160] = "";
    for (int i = 1; i < m->layer_count; i++) {
        const cn_layer *layer = &m->layers[i];
        size_t used = strlen(names);
        if (cn_onnx_has_layer(layer->type) || strstr(names, layer->type->name)) continue;
        if (used + strlen(layer->type->name) + 3 < sizeof names) {
            if (used) strcat(names, ", ");
            strcat(names, layer->type->name);
        }
    }
    if (!names[0]) return CN_OK;
    return cn_fail(err, CN_ERR_UNSUPPORTED, "%.80s: ONNX export does not know: %s", path, names);
}

/* A layer's value has its name, and a parameter its layer's and its role: both are names of values. */
static cn_status check_names(const cn_model *m, const char *path, cn_error *err)
{
    for (int i = 1; i < m->layer_count; i++)
        for (int k = 0; k < m->parameter_count && strchr(m->layers[i].name, '.'); k++)
            if (strcmp(m->layers[i].name, m->parameters[k].name) == 0)
                return cn_fail(err, CN_ERR_UNSUPPORTED,
                               "%.80s: %.60s is the name of a layer and of a parameter", path,
                               m->layers[i].name);
    return CN_OK;
}

static cn_status write_model(cn_proto *out, cn_onnx_graph *g, bool normalize, cn_error *err)
{
    cn_proto_int(out, 1, CN_ONNX_IR);
    cn_proto_text(out, 2, "convnet");
    cn_proto_text(out, 3, cn_version());
    cn_status status = write_graph(g, normalize, err);
    if (status != CN_OK) return status;
    size_t begin = cn_proto_begin(out, 8);
    cn_proto_text(out, 1, "");
    cn_proto_int(out, 2, CN_ONNX_OPSET);
    cn_proto_end(out, begin);
    return write_metadata(out, g->named ? g->named : g->model, normalize, err);
}

cn_status cn_onnx_save(const cn_model *model, const char *path, bool normalize, cn_error *err)
{
    cn_proto out = {.size = 0};
    cn_sink *sink = NULL;
    cn_onnx_graph g = {.out = &out, .model = model};
    cn_model copy = {.layers = NULL};
    cn_status status = check_layers(model, path, err);
    if (status == CN_OK) status = check_names(model, path, err);
    if (status != CN_OK) return status;
    if (normalize && !model->mean)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: the model has no normalization to write",
                       path);
    g.order = cn_allocate((size_t)model->layer_count, sizeof *g.order, path, err);
    if (!g.order) return CN_ERR_MEMORY;
    status = cn_flattened_order(model, g.order)
                 ? cn_onnx_rename(&g, &copy, normalize, path, err)
                 : cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory for the graph", path);
    if (status == CN_OK) status = write_model(&out, &g, normalize, err);
    if (status == CN_OK && out.failed)
        status = cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory for the file", path);
    if (status == CN_OK && out.size > INT_MAX)
        status = cn_fail(err, CN_ERR_UNSUPPORTED,
                         "%.120s: a file of %zu bytes, but a message may have at most %d", path,
                         out.size, INT_MAX);
    if (status == CN_OK) status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = cn_sink_write(sink, out.bytes, out.size, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    cn_release((void *)g.order);
    cn_release(copy.layers);
    cn_proto_free(&out);
    return status;
}

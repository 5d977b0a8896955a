/*
 * keras_export.c - a model as a file of Keras 3, .keras, and its weights alone, .weights.h5.
 *
 * A ZIP archive of three members:
 *
 *   metadata.json      {"keras_version": ...}
 *   config.json        the network: class_name "Functional", and of each layer its class, its name, its
 *                      options, and by "keras_history" the layers that it reads
 *   model.weights.h5   HDF5: layers/conv2d/vars/0, layers/conv2d_1/vars/0, ...: the layers of a class
 *                      are counted in the order that Keras gives them, and parameters in that of the
 *                      layer
 *
 * That order is not the file's: layers are sorted by their depth, the longest way to the output, the
 * deepest first; those of one depth as a search from the output back, inputs in their order, first
 * meets them.
 */
#include "formats/keras_export.h"

#include "base/json.h"
#include "formats/hdf5_weights.h"
#include "formats/zip_save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- layers, one by one */

int cn_keras_refuse(cn_keras_graph *g, const char *why)
{
    const cn_layer *layer = &g->model->layers[g->layer];
    cn_fail(g->err, CN_ERR_UNSUPPORTED, "%.100s: %.60s (%s): Keras: %s", g->path, layer->name,
            layer->type->name, why);
    return -1;
}

/* Room for one more. */
static bool grow(cn_keras_graph *g)
{
    if (g->count < g->room) return true;
    const int room = g->room ? 2 * g->room : 64;
    cn_keras_layer *more = cn_allocate((size_t)room, sizeof *more, g->path, g->err);
    if (!more) return false;
    if (g->count) memcpy(more, g->layers, (size_t)g->count * sizeof *more);
    cn_release(g->layers);
    g->layers = more;
    g->room = room;
    return true;
}

int cn_keras_add(cn_keras_graph *g, const char *type, const char *suffix, int x, cn_shape out,
                 json_t *config)
{
    if (x < 0 || !config || !grow(g)) {
        json_decref(config);
        if (x >= 0 && !config) cn_fail(g->err, CN_ERR_MEMORY, "%.100s: no memory", g->path);
        return -1;
    }
    cn_keras_layer *layer = &g->layers[g->count];
    *layer = (cn_keras_layer){
        .type = type, .inputs = {x}, .input_count = 1, .out = out, .config = config};
    snprintf(layer->name, sizeof layer->name, "%s%s%s", g->model->layers[g->layer].name,
             suffix ? "_" : "", suffix ? suffix : "");
    for (char *at = layer->name; *at; at++)
        if (*at == '/' || *at == '.')
            *at = '_'; /* which names of Keras, or PyTorch's, may not have */
    g->count++;        /* the configuration is the graph's now */
    for (int i = 0; i < g->count - 1; i++)
        if (strcmp(g->layers[i].name, layer->name) == 0)
            return cn_keras_refuse(g, "two layers would have one name");
    if (json_object_set_new(config, "name", json_string(layer->name)) != 0) {
        cn_fail(g->err, CN_ERR_MEMORY, "%.100s: no memory", g->path);
        return -1;
    }
    return g->count - 1;
}

/* Marks the layers that the output depends on. */
static void mark_layers(const cn_model *m, bool *live)
{
    live[m->output] = true;
    for (int i = m->output; i > 0; i--)
        for (int k = 0; live[i] && k < m->layers[i].input_count; k++)
            live[m->layers[i].inputs[k]] = true;
}

static cn_status add_layers(cn_keras_graph *g)
{
    const cn_model *m = g->model;
    const cn_shape *in = &m->layers[0].out;
    bool *live = cn_allocate((size_t)m->layer_count, sizeof *live, g->path, g->err);
    if (!live) return CN_ERR_MEMORY;
    mark_layers(m, live);
    g->value[0] = cn_keras_add(
        g, "InputLayer", NULL, 0, *in,
        json_pack("{s[niii] ss}", "batch_shape", in->n[0], in->n[1], in->n[2], "dtype", "float32"));
    bool ok = g->value[0] == 0;
    if (ok) g->layers[0].input_count = 0;
    for (g->layer = 1; ok && g->layer < m->layer_count; g->layer++)
        if (live[g->layer]) ok = (g->value[g->layer] = cn_keras_layer_add(g)) >= 0;
    cn_release(live);
    return ok ? CN_OK : g->err->status;
}

/* ---- the network */

/* "keras_history" and the shape of what a layer makes. */
static json_t *tensor(const cn_keras_layer *from)
{
    json_t *shape = json_pack("[n]");
    for (int i = 0; i < from->out.rank; i++)
        if (json_array_append_new(shape, json_integer(from->out.n[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{ss s{so ss s[sii]}}", "class_name", "__keras_tensor__", "config", "shape",
                     shape, "dtype", "float32", "keras_history", from->name, 0, 0);
}

static json_t *layer_json(const cn_keras_graph *g, const cn_keras_layer *layer)
{
    json_t *inputs = json_array(), *nodes = json_array();
    bool ok = inputs && nodes;
    for (int k = 0; k < layer->input_count && ok; k++)
        ok = json_array_append_new(inputs, tensor(&g->layers[layer->inputs[k]])) == 0;
    json_t *node = !ok            ? NULL
                   : layer->joins ? json_pack("{s[O] s{}}", "args", inputs, "kwargs")
                                  : json_pack("{sO s{}}", "args", inputs, "kwargs");
    json_decref(inputs);
    if (layer->input_count > 0) ok = ok && json_array_append_new(nodes, node) == 0;
    if (layer->input_count == 0) json_decref(node);
    if (!ok) {
        json_decref(nodes);
        return NULL;
    }
    return json_pack("{ss ss sO sn ss so}", "module", "keras.layers", "class_name", layer->type,
                     "config", layer->config, "registered_name", "name", layer->name,
                     "inbound_nodes", nodes);
}

static char *network_text(const cn_keras_graph *g)
{
    const cn_keras_layer *output = &g->layers[g->value[g->model->output]];
    json_t *layers = json_array();
    bool ok = layers != NULL;
    for (int i = 0; i < g->count && ok; i++)
        ok = json_array_append_new(layers, layer_json(g, &g->layers[i])) == 0;
    json_t *root = ok ? json_pack("{ss ss s{ss sb sO s[sii] s[sii]} ss}", "module",
                                  "keras.src.models.functional", "class_name", "Functional",
                                  "config", "name", "convnet", "trainable", 1, "layers", layers,
                                  "input_layers", g->layers[0].name, 0, 0, "output_layers",
                                  output->name, 0, 0, "registered_name", "Functional")
                      : NULL;
    json_decref(layers);
    if (!root) cn_fail(g->err, CN_ERR_MEMORY, "%.100s: no memory for its network", g->path);
    char *text = root ? cn_json_text(root, g->path, g->err) : NULL;
    json_decref(root);
    return text;
}

/* ---- the order of Keras */

/* A layer on the way of the search, and which of its inputs comes next. */
typedef struct step {
    int layer, next;
} step;

static cn_status find_order(cn_keras_graph *g)
{
    step *way = cn_allocate((size_t)g->count, sizeof *way, g->path, g->err);
    int length = 0, met = 0;
    if (!way) return CN_ERR_MEMORY;
    for (int i = 0; i < g->count; i++) g->layers[i].first = -1;
    for (int i = g->count - 1; i >= 0; i--)
        for (int k = 0; k < g->layers[i].input_count; k++) {
            cn_keras_layer *from = &g->layers[g->layers[i].inputs[k]];
            if (from->depth <= g->layers[i].depth) from->depth = g->layers[i].depth + 1;
        }
    const int output = g->value[g->model->output];
    g->layers[output].first = met++;
    way[length++] = (step){output, 0};
    while (length > 0) {
        step *now = &way[length - 1];
        const cn_keras_layer *layer = &g->layers[now->layer];
        if (now->next == layer->input_count) {
            length--;
            continue;
        }
        const int x = layer->inputs[now->next++];
        if (g->layers[x].first >= 0) continue;
        g->layers[x].first = met++;
        way[length++] = (step){x, 0};
    }
    cn_release(way);
    return CN_OK;
}

static int by_order(const void *a, const void *b)
{
    const cn_keras_layer *x = *(const cn_keras_layer *const *)a;
    const cn_keras_layer *y = *(const cn_keras_layer *const *)b;
    return x->depth != y->depth ? y->depth - x->depth : x->first - y->first;
}

/* ---- weights */

/* Classes with parameters, and the words that groups of them begin with. */
static const struct {
    const char *type, *group;
} groups[] = {
    {"Conv2D", "conv2d"},
    {"DepthwiseConv2D", "depthwise_conv2d"},
    {"Conv2DTranspose", "conv2d_transpose"},
    {"Dense", "dense"},
    {"BatchNormalization", "batch_normalization"},
    {"LayerNormalization", "layer_normalization"},
    {"GroupNormalization", "group_normalization"},
};
enum { GROUPS = sizeof groups / sizeof *groups, PATH = 64 };

static int group_of(const cn_keras_layer *layer)
{
    for (int i = 0; i < GROUPS; i++)
        if (strcmp(layer->type, groups[i].type) == 0) return i;
    return -1;
}

typedef struct weight_list {
    const cn_keras_layer **order; /* of layers with weights */
    char (*paths)[PATH];
    cn_named_tensor *tensors;
    int count;
} weight_list;

static void list_layer(weight_list *l, const cn_model *m, const cn_layer *layer, const char *group,
                       int number)
{
    int axes[4];
    for (int k = 0; k < layer->parameter_count; k++) {
        char *path = l->paths[l->count], count[16] = "";
        cn_shape shape;
        if (number > 0) snprintf(count, sizeof count, "_%d", number);
        snprintf(path, PATH, "layers/%s%s/vars/%d", group, count, k);
        cn_weights_shape(CN_STYLE_KERAS, layer, k, NULL, axes, &shape);
        l->tensors[l->count++] =
            (cn_named_tensor){path, cn_tensor_view(CN_DTYPE_F32, shape.rank, shape.n,
                                                   m->block + layer->parameters[k].offset)};
    }
}

static cn_status list_weights(const cn_keras_graph *g, weight_list *l)
{
    const size_t most = (size_t)g->model->parameter_count + 1;
    int layers = 0, numbers[GROUPS] = {0};
    l->order = cn_allocate((size_t)g->count, sizeof *l->order, g->path, g->err);
    l->paths = cn_allocate(most, sizeof *l->paths, g->path, g->err);
    l->tensors = cn_allocate(most, sizeof *l->tensors, g->path, g->err);
    if (!l->order || !l->paths || !l->tensors) return CN_ERR_MEMORY;
    for (int i = 0; i < g->count; i++)
        if (group_of(&g->layers[i]) >= 0) l->order[layers++] = &g->layers[i];
    qsort((void *)l->order, (size_t)layers, sizeof *l->order, by_order);
    for (int i = 0; i < layers; i++) {
        const int group = group_of(l->order[i]);
        list_layer(l, g->model, l->order[i]->weights, groups[group].group, numbers[group]++);
    }
    return CN_OK;
}

static cn_status weight_bytes(cn_keras_graph *g, uint8_t **bytes, size_t *size)
{
    weight_list l = {.count = 0};
    cn_status status = find_order(g);
    if (status == CN_OK) status = list_weights(g, &l);
    if (status == CN_OK)
        status = cn_hdf5_weights_write(l.tensors, l.count, g->path, bytes, size, g->err);
    cn_release((void *)l.order);
    cn_release(l.paths);
    cn_release(l.tensors);
    return status;
}

/* ---- files */

static cn_status make_graph(cn_keras_graph *g, const cn_model *model, const char *path,
                            cn_error *err)
{
    *g = (cn_keras_graph){.model = model, .path = path, .err = err};
    g->value = cn_allocate((size_t)model->layer_count, sizeof *g->value, path, err);
    return g->value ? add_layers(g) : CN_ERR_MEMORY;
}

static void free_graph(cn_keras_graph *g)
{
    for (int i = 0; i < g->count; i++) json_decref(g->layers[i].config);
    cn_release(g->layers);
    cn_release(g->value);
}

static cn_status write_archive(const char *network, const uint8_t *weights, size_t size,
                               const char *path, cn_error *err)
{
    static const char metadata[] = "{\"keras_version\":\"3.0.0\"}";
    const cn_zip_bytes members[] = {
        {metadata, sizeof metadata - 1}, {network, strlen(network)}, {weights, size}};
    static const char *const names[] = {"metadata.json", "config.json", "model.weights.h5"};
    cn_zip_writer z;
    cn_status status = cn_zip_writer_open(&z, path, 3, err);
    for (int i = 0; i < 3 && status == CN_OK; i++)
        status = cn_zip_writer_add(&z, names[i], "", &members[i], 1, err);
    if (status == CN_OK) status = cn_zip_writer_end(&z, err);
    cn_zip_writer_close(&z);
    return status;
}

static cn_status write_file(const uint8_t *bytes, size_t size, const char *path, cn_error *err)
{
    cn_sink *sink = NULL;
    cn_status status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = cn_sink_write(sink, bytes, size, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    return status;
}

static cn_status save(const cn_model *model, const char *path, bool whole, cn_error *err)
{
    cn_error own = {CN_OK, ""};
    cn_keras_graph g;
    uint8_t *weights = NULL;
    size_t size = 0;
    char *network = NULL;
    cn_status status = make_graph(&g, model, path, err ? err : &own);
    if (status == CN_OK) status = weight_bytes(&g, &weights, &size);
    if (status == CN_OK && whole) {
        network = network_text(&g);
        status = network ? write_archive(network, weights, size, path, g.err) : g.err->status;
    } else if (status == CN_OK) {
        status = write_file(weights, size, path, g.err);
    }
    cn_release(network);
    cn_release(weights);
    free_graph(&g);
    return status;
}

cn_status cn_keras_save(const cn_model *model, const char *path, cn_error *err)
{
    return save(model, path, true, err);
}

cn_status cn_keras_weights_save(const cn_model *model, const char *path, cn_error *err)
{
    return save(model, path, false, err);
}

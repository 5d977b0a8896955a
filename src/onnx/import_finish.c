/*
 * import_finish.c - the last part of an import: the layers that the outputs depend on become the
 * model, and its weights are filled.
 *
 * While nodes are imported, a weight is only noted, with the constant that it is filled from
 * (cn_import_fill): the model has no memory for it before it is finished, and its layer may turn out
 * not to be needed.
 */
#include "onnx/import.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

/* ---- weights */

cn_status cn_import_fill(cn_importer *im, cn_node node, const char *role, cn_onnx_constant *c,
                         cn_fill **fill)
{
    if (im->fill_count == im->fill_capacity) {
        const int capacity = im->fill_capacity ? 2 * im->fill_capacity : 64;
        cn_fill *more = cn_allocate((size_t)capacity, sizeof *more, im->file->path, im->err);
        if (!more) return CN_ERR_MEMORY;
        if (im->fill_count) memcpy(more, im->fills, (size_t)im->fill_count * sizeof *more);
        cn_release(im->fills);
        im->fills = more;
        im->fill_capacity = capacity;
    }
    *fill = &im->fills[im->fill_count++];
    **fill = (cn_fill){.node = node, .role = role, .constant = c, .factor = 1};
    return CN_OK;
}

void cn_fill_axis(cn_fill *fill, size_t count, size_t stride)
{
    fill->count[fill->axes] = count;
    fill->stride[fill->axes++] = stride;
}

/* Elements that the walk takes, and the last that it looks at. */
static bool fits(const cn_fill *fill, size_t n)
{
    size_t count = 1, last = 0;
    for (int k = 0; k < fill->axes; k++) {
        count *= fill->count[k];
        last += (fill->count[k] - 1) * fill->stride[k];
    }
    return count == n && last < fill->constant->count;
}

static void copy_weight(const cn_fill *fill, const float *from, float *to, size_t n)
{
    size_t index[CN_FILL_AXES] = {0}, at = 0;
    for (size_t i = 0; i < n; i++) {
        to[i] = fill->factor * from[at];
        for (int k = fill->axes - 1; k >= 0; k--) {
            at += fill->stride[k];
            if (++index[k] < fill->count[k]) break;
            at -= fill->stride[k] * fill->count[k];
            index[k] = 0;
        }
    }
}

/* Fills the weight of the finished model; its constant is given back if nothing else holds it. */
static cn_status run_fill(cn_importer *im, cn_model *m, const cn_fill *fill, cn_node node)
{
    const cn_layer *layer = &m->layers[node];
    const bool loaded = fill->constant->loaded;
    for (int j = 0; j < layer->parameter_count; j++) {
        const cn_layer_parameter *weight = &layer->parameters[j];
        if (strcmp(weight->role, fill->role) != 0) continue;
        const size_t n = cn_shape_count(&weight->shape);
        if (!fill->constant->real || !fits(fill, n))
            return cn_fail(im->err, CN_ERR_FORMAT,
                           "%.80s: the %s of %.60s has not the shape that its layer needs",
                           im->file->path, weight->role, layer->name);
        cn_status status = cn_constant_load(im, fill->constant);
        if (status != CN_OK) return status;
        copy_weight(fill, fill->constant->reals, m->block + weight->offset, n);
        if (!loaded) {
            cn_release(fill->constant->reals);
            fill->constant->reals = NULL;
            fill->constant->loaded = false;
        }
        return CN_OK;
    }
    return CN_OK;
}

/* ---- the finished model */

/* Marks the layers that the output depends on. */
static void mark_layers(const cn_model *m, cn_node output, bool *live)
{
    live[0] = live[output] = true;
    for (int i = output; i > 0; i--)
        for (int k = 0; live[i] && k < m->layers[i].input_count; k++)
            live[m->layers[i].inputs[k]] = true;
}

/* Another model, of the layers that are needed; `place` says where each went. */
static cn_status rebuild(cn_importer *im, cn_node output, cn_node *place, cn_model **made)
{
    const cn_model *from = im->model;
    bool *live = cn_allocate((size_t)from->layer_count, sizeof *live, im->file->path, im->err);
    if (!live) return CN_ERR_MEMORY;
    mark_layers(from, output, live);
    cn_status status = cn_model_create(made, from->layers[0].out.n, im->err);
    for (int i = 1; i < from->layer_count && status == CN_OK; i++) {
        const cn_layer *layer = &from->layers[i];
        char own[CN_NAME_SIZE];
        cn_node inputs[CN_MAX_INPUTS];
        place[i] = -1;
        if (!live[i]) continue;
        for (int k = 0; k < layer->input_count; k++) inputs[k] = place[layer->inputs[k]];
        /* A name that the type would have been given is given anew. */
        snprintf(own, sizeof own, "%.50s_", layer->type->name);
        const bool named = strncmp(layer->name, own, strlen(own)) != 0;
        place[i] = cn_model_add(*made, layer->type, layer->options, named ? layer->name : NULL,
                                inputs, layer->input_count);
        if (place[i] < 0)
            status = cn_fail(im->err, (*made)->error.status, "%.80s: %.160s", im->file->path,
                             (*made)->error.text);
    }
    cn_release(live);
    return status;
}

/* The node of the only output, or of all of them joined. */
static cn_status find_output(cn_importer *im, cn_node *output)
{
    const int count = im->file->output_count;
    cn_node *nodes = cn_allocate((size_t)count, sizeof *nodes, "outputs", im->err);
    if (!nodes) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    for (int i = 0; i < count && status == CN_OK; i++)
        status = cn_import_output_value(im, i, &nodes[i]);
    if (status == CN_OK)
        *output = count > 1 ? cn_model_join(im->model, nodes, count, im->err) : nodes[0];
    cn_release(nodes);
    return status == CN_OK && *output < 0 ? im->err->status : status;
}

static cn_status finish(cn_importer *im, bool shape_only, cn_model **model)
{
    cn_model *made = NULL;
    cn_node output = 0;
    cn_status status = find_output(im, &output);
    if (status != CN_OK) return status;
    cn_node *place = cn_allocate((size_t)im->model->layer_count, sizeof *place, "layers", im->err);
    if (!place) return CN_ERR_MEMORY;
    status = rebuild(im, output, place, &made);
    if (status == CN_OK) {
        made->shape_only = shape_only;
        status = cn_model_finish_zero(made, place[output], SIZE_MAX, im->err);
    }
    if (status == CN_OK) status = cn_import_ports(im, made);
    for (int i = 0; i < im->fill_count && status == CN_OK && !shape_only; i++)
        if (place[im->fills[i].node] > 0)
            status = run_fill(im, made, &im->fills[i], place[im->fills[i].node]);
    cn_release(place);
    if (status == CN_OK)
        *model = made;
    else
        cn_model_free(made);
    return status;
}

/* Names of classes, normalization and the like, as this library's own export writes them: one text
 * of JSON each. Another program's texts under these keys, which mean something else, are passed
 * over. */
static cn_status read_metadata(cn_importer *im, cn_model *model)
{
    static const char *const keys[] = {"classes", "loss", "normalization", "images"};
    json_t *object = json_object();
    for (int i = 0; i < im->file->metadata_count; i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            const cn_span key = im->file->metadata[i].key, text = im->file->metadata[i].value;
            if (!cn_span_is(key, keys[k])) continue;
            json_t *value = cn_json_value((const char *)text.bytes, text.size);
            if (value && json_object_set_new(object, keys[k], value) != 0) {
                json_decref(object);
                return cn_import_fail(im, CN_ERR_MEMORY, "no memory for metadata");
            }
        }
    cn_error ignored;
    cn_status status = cn_model_read_metadata(model, object, &ignored);
    json_decref(object);
    return status == CN_ERR_MEMORY ? cn_import_fail(im, status, "%.150s", ignored.text) : CN_OK;
}

cn_status cn_import_finish(cn_importer *im, bool shape_only, cn_model **model)
{
    cn_status status = finish(im, shape_only, model);
    if (status != CN_OK) return status;
    status = read_metadata(im, *model);
    if (status != CN_OK) {
        cn_model_free(*model);
        *model = NULL;
    }
    return status;
}

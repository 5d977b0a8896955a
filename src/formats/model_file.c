/*
 * model_file.c - a model as one safetensors file.
 *
 *   tensors                   the parameters, F32, by their names: "conv2d_1.weight"
 *   __metadata__["convnet"]   {"format": 1, "graph": {...}}, JSON as text: the layers, the input's
 *                             shape, class names, normalization (src/model/model_json.c)
 *
 * The file must hold the graph's parameters, all of them and nothing else but, in a checkpoint of a
 * training (src/train/checkpoint.c), tensors whose names begin with "training:". No parameter's
 * name holds a colon.
 */
#include "formats/model_file.h"

#include "base/json.h"
#include "base/signature.h"
#include "formats/npz_save.h"
#include "onnx/onnx.h"

#include <string.h>
#include <sys/stat.h>

enum { FORMAT = 1 };

#define KEY "convnet"

/* The last part of a path, for errors that quote another function's text behind it. */
static const char *tail(const char *path)
{
    enum { TAIL = 80 };
    size_t length = strlen(path);
    return length > TAIL ? path + length - TAIL : path;
}

/* ---- Saving */

char *cn_model_graph_text(const cn_model *model, cn_error *err)
{
    json_t *graph = cn_model_to_json(model, err);
    if (!graph) return NULL;
    json_t *json = json_pack("{s:i, s:o}", "format", FORMAT, "graph", graph);
    char *text = json ? cn_json_text(json, "model: the graph as text", err) : NULL;
    if (!json) cn_fail(err, CN_ERR_MEMORY, "model: no memory for its graph as text");
    json_decref(json);
    return text;
}

cn_status cn_model_file_save(const cn_model *model, const cn_safetensors *more, const char *path,
                             cn_error *err)
{
    cn_safetensors file = {0};
    size_t texts = 1 + (size_t)more->metadata_count;
    size_t tensors = (size_t)model->parameter_count + (size_t)more->tensor_count;
    cn_status status = CN_ERR_MEMORY;
    char *text = cn_model_graph_text(model, err);
    if (text) file.metadata = cn_allocate(texts, sizeof *file.metadata, path, err);
    if (file.metadata) file.tensors = cn_allocate(tensors + 1, sizeof *file.tensors, path, err);
    if (!file.tensors) goto done;
    file.metadata[file.metadata_count++] = (cn_text_pair){.key = KEY, .value = text};
    for (int i = 0; i < more->metadata_count; i++)
        file.metadata[file.metadata_count++] = more->metadata[i];
    for (int i = 0; i < model->parameter_count; i++)
        file.tensors[file.tensor_count++] =
            (cn_named_tensor){model->parameters[i].name, model->parameters[i].value};
    for (int i = 0; i < more->tensor_count; i++)
        file.tensors[file.tensor_count++] = more->tensors[i];
    status = cn_safetensors_save(&file, path, err);
done:
    cn_release(file.tensors);
    cn_release(file.metadata);
    cn_release(text);
    return status;
}

cn_status cn_model_save(const cn_model *model, const char *path, cn_error *err)
{
    static const cn_safetensors nothing;
    static const char *const foreign[] = {".onnx", ".npz", ".h5", ".keras"};
    if (!model || !path) return cn_fail(err, CN_ERR_ARGUMENT, "model_save: NULL argument");
    if (!model->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "model_save: the model is not finished");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (cn_ends_in(path, foreign[i]))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%.120s: model_save writes .safetensors; model_export writes %s", path,
                           foreign[i]);
    return cn_model_file_save(model, &nothing, path, err);
}

/* ---- Loading */

/* The graph in a file's metadata as a model without weights. */
static cn_status read_graph(cn_model **model, const cn_safetensors *file, bool shape_only,
                            size_t most, const char *path, cn_error *err)
{
    cn_error inner = {CN_OK, ""};
    json_t *json = NULL;
    const char *text = cn_safetensors_metadata(file, KEY);
    if (!text)
        return cn_fail(err, CN_ERR_FORMAT, "%s: holds no model: expected __metadata__[\"" KEY "\"]",
                       tail(path));
    cn_status status = cn_json_read(&json, text, strlen(text), tail(path), "graph", 0, err);
    if (status != CN_OK) return status;
    const json_t *format = json_object_get(json, "format");
    const json_t *graph = json_object_get(json, "graph");
    if (!json_is_integer(format) || json_integer_value(format) != FORMAT)
        status = cn_fail(err, CN_ERR_UNSUPPORTED, "%s: model format %lld, expected %d", tail(path),
                         (long long)json_integer_value(format), FORMAT);
    else if (!graph || json_object_size(json) != 2)
        status = cn_fail(err, CN_ERR_FORMAT, "%s: expected \"format\" and \"graph\" in the graph",
                         tail(path));
    else {
        status = cn_model_from_json(model, graph, shape_only, most, &inner);
        /* What would be a caller's mistake while building is the file's here. */
        if (status == CN_ERR_ARGUMENT || status == CN_ERR_SHAPE) status = CN_ERR_FORMAT;
        if (status != CN_OK) cn_fail(err, status, "%s: %s", tail(path), inner.text);
    }
    json_decref(json);
    return status;
}

static cn_status copy_parameter(const cn_parameter *p, const cn_safetensors *file, const char *path,
                                cn_error *err)
{
    char want[CN_SHAPE_TEXT], found[CN_SHAPE_TEXT];
    const cn_named_tensor *t = cn_safetensors_find(file, p->name);
    if (!t)
        return cn_fail(err, CN_ERR_FORMAT, "%s: expected a tensor %.60s, found none", tail(path),
                       p->name);
    const int *shape = p->value.shape;
    if (t->value.dtype != CN_DTYPE_F32 || t->value.rank != p->value.rank ||
        memcmp(t->value.shape, shape, (size_t)p->value.rank * sizeof *shape) != 0)
        return cn_fail(err, CN_ERR_FORMAT, "%s: tensor %.50s: expected F32 %s, found %s %s",
                       tail(path), p->name, cn_shape_text(p->value.rank, shape, want),
                       t->value.dtype == CN_DTYPE_F32 ? "F32" : "another dtype,",
                       cn_shape_text(t->value.rank, t->value.shape, found));
    if (p->value.data)
        memcpy(p->value.data, t->value.data, cn_tensor_count(&t->value) * sizeof(float));
    return CN_OK;
}

/* What a checkpoint holds beside the model. */
static bool is_training(const cn_safetensors *file, int i)
{
    return cn_safetensors_metadata(file, CN_TRAINING_KEY) != NULL &&
           strncmp(file->tensors[i].name, CN_TRAINING_PREFIX, strlen(CN_TRAINING_PREFIX)) == 0;
}

/* Names are unique in both lists, so equal counts and no missing one leave none over. */
static cn_status copy_parameters(const cn_model *model, const cn_safetensors *file,
                                 const char *path, cn_error *err)
{
    for (int i = 0; i < model->parameter_count; i++) {
        cn_status status = copy_parameter(&model->parameters[i], file, path, err);
        if (status != CN_OK) return status;
    }
    int count = 0;
    for (int i = 0; i < file->tensor_count; i++) count += !is_training(file, i);
    if (count != model->parameter_count)
        return cn_fail(err, CN_ERR_FORMAT, "%s: %d tensors, but the graph has %d parameters",
                       tail(path), count, model->parameter_count);
    return CN_OK;
}

/* The elements of what is no training's: no graph in the file can have more. */
static size_t count_elements(const cn_safetensors *file)
{
    size_t elements = 0;
    for (int i = 0; i < file->tensor_count; i++) {
        const cn_tensor *t = &file->tensors[i].value;
        size_t count = 1; /* fits: the tensor lies in the file */
        for (int k = 0; k < t->rank; k++) count *= (size_t)t->shape[k];
        if (!is_training(file, i)) elements += count;
    }
    return elements;
}

static cn_status read_model(cn_model **model, const cn_safetensors *file, bool shape_only,
                            const char *path, cn_error *err)
{
    cn_model *m = NULL;
    cn_status status = read_graph(&m, file, shape_only, count_elements(file), path, err);
    if (status == CN_OK) status = copy_parameters(m, file, path, err);
    if (status == CN_OK)
        *model = m;
    else
        cn_model_free(m);
    return status;
}

cn_status cn_model_file_read(cn_model **model, const cn_safetensors *file, const char *path,
                             cn_error *err)
{
    return read_model(model, file, false, path, err);
}

/* Is it an ONNX model, by its first bytes, or by its name where they are no other format's? Where they
 * cannot be read, the reader that follows says why. A pipe's could not be read twice. */
static bool is_onnx(const char *path)
{
    uint8_t head[CN_HEAD];
    size_t got = 0;
    cn_source *source = NULL;
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) return false;
    if (cn_source_open(&source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return false;
    if (cn_source_read_some(source, head, sizeof head, &got, NULL) != CN_OK) got = 0;
    cn_source_close(source);
    return cn_onnx_detect(head, got) ||
           (cn_ends_in(path, ".onnx") && !cn_signature_find(head, got));
}

/* By the name: other archives, such as PyTorch's, are ZIP files, too. */
static bool is_npz(const char *path)
{
    return cn_ends_in(path, ".npz");
}

static cn_status load_sized(cn_model **model, const char *path, bool shape_only,
                            const cn_input_size *sizes, int count, cn_error *err)
{
    if (is_onnx(path)) return cn_onnx_load(model, path, shape_only, sizes, count, err);
    cn_safetensors file = {0};
    cn_status status = is_npz(path) ? cn_npz_load(&file, path, err)
                       : shape_only ? cn_safetensors_outline(&file, path, err)
                                    : cn_safetensors_load(&file, path, err);
    if (status == CN_OK && count)
        status = cn_fail(err, CN_ERR_ARGUMENT,
                         "%.120s: its inputs have sizes, which only ONNX files leave open", path);
    if (status == CN_OK) status = read_model(model, &file, shape_only, path, err);
    cn_safetensors_free(&file);
    return status;
}

cn_status cn_model_load_sized(cn_model **model, const char *path, const cn_input_size *sizes,
                              int count, cn_error *err)
{
    if (!model || !path || count < 0 || (count && !sizes))
        return cn_fail(err, CN_ERR_ARGUMENT, "model_load: NULL argument");
    return load_sized(model, path, false, sizes, count, err);
}

cn_status cn_model_load(cn_model **model, const char *path, cn_error *err)
{
    return cn_model_load_sized(model, path, NULL, 0, err);
}

cn_status cn_model_load_shapes(cn_model **model, const char *path, const cn_input_size *sizes,
                               int count, cn_error *err)
{
    return load_sized(model, path, true, sizes, count, err);
}

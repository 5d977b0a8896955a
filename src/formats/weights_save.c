/* weights_save.c - a model's parameters as the weights of another framework's network. */
#include "formats/channels_first.h"
#include "formats/npz_save.h"
#include "formats/weights.h"

#include "base/sink.h"

#include <string.h>

/* Fills the tensor, which has a shape and memory, with parameter i. */
static cn_status fill(cn_tensor *t, const cn_model *model, int i, const cn_weight_file *like,
                      const cn_shape *const *order, const char *path, cn_error *err)
{
    int k, axes[4];
    cn_shape shape;
    char found[CN_SHAPE_TEXT], wanted[CN_SHAPE_TEXT];
    const cn_layer *layer = cn_weights_layer(model, i, &k);
    const float *from = model->block + layer->parameters[k].offset;
    cn_weights_shape(like->style, layer, k, order[layer->inputs[0]], axes, &shape);
    if (shape.rank != t->rank || memcmp(shape.n, t->shape, (size_t)t->rank * sizeof *t->shape) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%.80s: %.60s has shape %s, expected %s", path,
                       model->parameters[i].name, cn_shape_text(t->rank, t->shape, found),
                       cn_shape_text(shape.rank, shape.n, wanted));
    if (like->style == CN_STYLE_PYTORCH)
        cn_to_channels_first(axes, from, t->data);
    else
        memcpy(t->data, from, cn_tensor_count(t) * sizeof *from);
    return CN_OK;
}

/* Overwrites the file's tensors, all of them. */
static cn_status fill_all(const cn_model *model, cn_weight_file *like, const cn_shape **order,
                          const char *path, cn_error *err)
{
    cn_weight_pair *pairs = NULL;
    int count = 0;
    cn_status status = cn_weights_order(model, like->style, order, err);
    if (status == CN_OK) status = cn_weights_pair(model, like, &pairs, &count, err);
    for (int i = 0; i < count && status == CN_OK; i++) {
        int parameter = pairs[i].parameter, tensor = pairs[i].tensor;
        if (parameter < 0)
            status = cn_fail(err, CN_ERR_SHAPE, "%.100s: the model has nothing for %.80s", path,
                             like->tensors[tensor].name);
        else if (tensor < 0)
            status = cn_fail(err, CN_ERR_SHAPE, "%.100s: has nothing for the model's %.80s", path,
                             model->parameters[parameter].name);
        else
            status = fill(&like->tensors[tensor].value, model, parameter, like, order, path, err);
    }
    cn_release(pairs);
    return status;
}

/* An HDF5 file keeps all that it has, but for the elements: Keras looks for groups and attributes
 * that hold no weights. */
static cn_status save_hdf5(const cn_weight_file *file, const char *like, const char *path,
                           cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_sink *sink = NULL;
    cn_status status = cn_file_read(like, SIZE_MAX / 4, NULL, &bytes, &size, err);
    for (int i = 0; i < file->count && status == CN_OK; i++) {
        const cn_tensor *t = &file->tensors[i].value;
        size_t place = file->places[i], length = cn_tensor_count(t) * sizeof(float);
        if (place == 0 || place > size || length > size - place)
            status = cn_fail(err, CN_ERR_UNSUPPORTED,
                             "%.100s: %.80s is not float32, little-endian, in its place", like,
                             file->tensors[i].name);
        else
            memcpy(bytes + place, t->data, length);
    }
    if (status == CN_OK) status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = cn_sink_write(sink, bytes, size, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    cn_release(bytes);
    return status;
}

static cn_status save_safetensors(const cn_weight_file *file, const char *path, cn_error *err)
{
    cn_safetensors out = {.tensors = file->tensors, .tensor_count = file->count};
    return cn_safetensors_save(&out, path, err);
}

cn_status cn_weights_save(const cn_model *model, const char *like, const char *path,
                          cn_weights_form form, cn_error *err)
{
    cn_weight_file file = {.count = 0};
    cn_status status = cn_weight_file_load(&file, like, err);
    if (status != CN_OK) return status;
    const cn_shape **order = cn_allocate((size_t)model->layer_count, sizeof *order, path, err);
    status = order ? fill_all(model, &file, order, like, err) : CN_ERR_MEMORY;
    if (status == CN_OK && form == CN_WEIGHTS_HDF5 && (!file.places || file.archive))
        status = cn_fail(err, CN_ERR_ARGUMENT, "%.100s: no HDF5 file to be written like", like);
    if (status == CN_OK)
        status = form == CN_WEIGHTS_HDF5  ? save_hdf5(&file, like, path, err)
                 : form == CN_WEIGHTS_NPZ ? cn_npz_save(file.tensors, file.count, path, err)
                                          : save_safetensors(&file, path, err);
    cn_release((void *)order);
    cn_weight_file_free(&file);
    return status;
}

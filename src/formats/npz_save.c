/*
 * npz_save.c - NumPy's .npz, written, and a model in it.
 *
 * An archive of arrays, NAME.npy each (zip_save.c). A model's has its parameters by their names and
 * an array of bytes, "convnet": the JSON text that a model file has as metadata.
 */
#include "formats/npz_save.h"

#include "formats/array.h"
#include "formats/npy.h"
#include "formats/zip_save.h"

#include <jansson.h>
#include <string.h>

/* ---- writing */

cn_status cn_npz_save(const cn_named_tensor *tensors, int count, const char *path, cn_error *err)
{
    cn_zip_writer z;
    cn_status status = cn_zip_writer_open(&z, path, count, err);
    for (int i = 0; i < count && status == CN_OK; i++) {
        const cn_tensor *t = &tensors[i].value;
        uint8_t head[CN_NPY_HEAD];
        const cn_zip_bytes parts[] = {{head, cn_npy_head(t, head)},
                                      {t->data, cn_tensor_count(t) * cn_dtype_size(t->dtype)}};
        status = cn_zip_writer_add(&z, tensors[i].name, ".npy", parts, 2, err);
    }
    if (status == CN_OK) status = cn_zip_writer_end(&z, err);
    cn_zip_writer_close(&z);
    return status;
}

/* ---- reading */

/* Array i as a tensor, or as the text; others are passed over. */
static cn_status take_array(cn_safetensors *file, json_t *storage, const cn_array_file *archive,
                            int i, cn_error *err)
{
    const cn_array_about *about = &archive->abouts[i];
    const bool text =
        strcmp(about->name, "convnet") == 0 && about->element == CN_ELEMENT_U8 && about->rank == 1;
    cn_array array = {.data = NULL};
    if (!text && about->element != CN_ELEMENT_F32) return CN_OK;
    if (json_object_get(storage, about->name))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %.60s: there twice", archive->path,
                       about->name);
    cn_status status = archive->read(archive, i, &array, err);
    if (status != CN_OK) return status;
    json_t *value = text ? json_stringn(array.data, (size_t)about->shape[0]) : json_true();
    if (!value || json_object_set_new(storage, about->name, value) != 0) {
        cn_release(array.data);
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %.60s: not UTF-8, or no memory for it",
                       archive->path, about->name);
    }
    const char *name = json_object_iter_key(json_object_iter_at(storage, about->name));
    if (text) {
        file->metadata[0] = (cn_text_pair){name, json_string_value(value)};
        file->metadata_count = 1;
        cn_release(array.data);
    } else {
        cn_named_tensor *t = &file->tensors[file->tensor_count++];
        t->name = name;
        t->value = cn_tensor_view(CN_DTYPE_F32, about->rank, about->shape, array.data);
        t->value.owned = array.data;
    }
    return CN_OK;
}

cn_status cn_npz_load(cn_safetensors *out, const char *path, cn_error *err)
{
    cn_safetensors file = {0};
    cn_array_file archive = {.path = NULL};
    cn_status status = cn_npz_open(&archive, path, err);
    if (status != CN_OK) return status;
    file.storage = json_object();
    file.metadata = cn_allocate(1, sizeof *file.metadata, path, err);
    file.tensors = cn_allocate((size_t)archive.count + 1, sizeof *file.tensors, path, err);
    if (!file.storage || !file.metadata || !file.tensors)
        status = cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory for its arrays", path);
    for (int i = 0; i < archive.count && status == CN_OK; i++)
        status = take_array(&file, file.storage, &archive, i, err);
    cn_array_file_close(&archive);
    if (status == CN_OK && file.metadata_count == 0)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.120s: holds no model: expected an array \"convnet\", its graph", path);
    if (status == CN_OK)
        *out = file;
    else
        cn_safetensors_free(&file);
    return status;
}

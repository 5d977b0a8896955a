/* weights_file.c - reads files of weights in any of the formats that frameworks write. */
#include "formats/hdf5_weights.h"

#include "base/json.h"
#include "base/signature.h"
#include "formats/array.h"
#include "formats/zip.h"

#include <stdio.h>
#include <string.h>

/* Room for one more tensor; grows by doubling. */
static bool make_room(cn_weight_file *file, cn_error *err)
{
    if (file->count < file->room) return true;
    size_t room = file->room ? 2 * (size_t)file->room : 64, count = (size_t)file->count;
    cn_named_tensor *tensors = cn_allocate(room, sizeof *tensors, "weights", err);
    size_t *places = cn_allocate(room, sizeof *places, "weights", err);
    if (!tensors || !places) {
        cn_release(tensors);
        cn_release(places);
        return false;
    }
    if (count) memcpy(tensors, file->tensors, count * sizeof *tensors);
    if (count) memcpy(places, file->places, count * sizeof *places);
    cn_release(file->tensors);
    cn_release(file->places);
    file->tensors = tensors;
    file->places = places;
    file->room = (int)room;
    return true;
}

cn_status cn_weight_file_add(cn_weight_file *file, const char *name, cn_tensor *tensor,
                             size_t place, cn_error *err)
{
    cn_tensor t = *tensor;
    char *copy = cn_allocate(strlen(name) + 1, 1, name, err);
    *tensor = (cn_tensor){0};
    if (!copy || !make_room(file, err)) {
        cn_release(copy);
        cn_tensor_free(&t);
        return CN_ERR_MEMORY;
    }
    strcpy(copy, name);
    file->places[file->count] = place;
    file->tensors[file->count++] = (cn_named_tensor){copy, t};
    return CN_OK;
}

void cn_weight_file_pass(cn_weight_file *file, const char *name, const char *why)
{
    if (file->passed_over++ == 0)
        snprintf(file->passed, sizeof file->passed, "%.60s: %.48s", name, why);
}

static cn_status read_safetensors(cn_weight_file *file, const char *path, cn_error *err)
{
    cn_status status = cn_safetensors_load_floats(&file->storage, path, err);
    file->tensors = file->storage.tensors;
    file->count = file->storage.tensor_count;
    file->passed_over = file->storage.passed_over;
    memcpy(file->passed, file->storage.passed, sizeof file->passed);
    file->style = CN_STYLE_PYTORCH;
    return status;
}

static cn_status read_hdf5(cn_weight_file *file, const char *path, cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_status status = cn_file_read(path, SIZE_MAX / 4, NULL, &bytes, &size, err);
    if (status == CN_OK) status = cn_hdf5_weights_read(file, bytes, size, path, err);
    cn_release(bytes);
    file->style = CN_STYLE_KERAS;
    return status;
}

/* ---- archives */

/* What a .keras file holds its weights in, beside texts. */
static const char keras_member[] = "model.weights.h5";

static cn_status read_keras(cn_weight_file *file, const char *path, const cn_zip_member *member,
                            cn_error *err)
{
    cn_source *source = NULL;
    uint8_t *bytes = NULL;
    cn_status status = cn_zip_open(&source, path, member, err);
    if (status == CN_OK) {
        bytes = cn_allocate(member->size + 1, 1, path, err);
        status =
            bytes ? cn_source_read(source, bytes, member->size, member->name, err) : CN_ERR_MEMORY;
    }
    if (status == CN_OK) status = cn_source_end(source, err);
    cn_source_close(source);
    if (status == CN_OK) status = cn_hdf5_weights_read(file, bytes, member->size, path, err);
    cn_release(bytes);
    file->style = CN_STYLE_KERAS;
    return status;
}

/* Adds an array of floats; others are passed over. */
static cn_status read_member(cn_weight_file *file, const cn_array_file *archive, int i,
                             cn_error *err)
{
    const cn_array_about *about = &archive->abouts[i];
    cn_array array = {.data = NULL};
    cn_tensor t = {0};
    size_t elements;
    if (!cn_element_is_float(about->element)) {
        if (cn_array_count(about, &elements) && elements > 1)
            cn_weight_file_pass(file, about->name, cn_element_name(about->element));
        return CN_OK;
    }
    cn_status status = archive->read(archive, i, &array, err);
    if (status == CN_OK)
        status = cn_tensor_create(&t, CN_DTYPE_F32, about->rank, about->shape, err);
    for (size_t k = 0; status == CN_OK && k < cn_tensor_count(&t); k++)
        ((float *)t.data)[k] = (float)cn_array_value(&array, k);
    cn_release(array.data);
    return status == CN_OK ? cn_weight_file_add(file, about->name, &t, 0, err) : status;
}

/* Whose words the names end in, PyTorch's where they are both's. */
static cn_weight_style find_style(const cn_weight_file *file)
{
    static const char *const words[] = {"kernel", "gamma", "beta", "moving_mean", "/vars/"};
    for (int i = 0; i < file->count; i++)
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            if (strstr(file->tensors[i].name, words[k])) return CN_STYLE_KERAS;
    return CN_STYLE_PYTORCH;
}

static cn_status read_npz(cn_weight_file *file, const char *path, cn_error *err)
{
    cn_array_file archive = {.path = NULL};
    cn_status status = cn_npz_open(&archive, path, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < archive.count && status == CN_OK; i++)
        status = read_member(file, &archive, i, err);
    if (archive.passed_over > 0 && file->passed_over == 0)
        snprintf(file->passed, sizeof file->passed, "%.110s", archive.passed);
    file->passed_over += archive.passed_over;
    cn_array_file_close(&archive);
    file->style = find_style(file);
    return status;
}

/* PyTorch's own archives have their numbers behind a pickle, a program that would have to be run. */
static cn_status refuse_pickle(const char *path, cn_error *err)
{
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%s: weights as torch.save writes them, which are a program: save them by "
                   "safetensors.torch.save_file",
                   path);
}

static cn_status read_zip(cn_weight_file *file, const char *path, cn_error *err)
{
    cn_zip_member *members = NULL;
    int count = 0, keras = -1;
    bool pickled = false;
    cn_status status = cn_zip_list(&members, &count, path, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < count; i++) {
        if (strcmp(members[i].name, keras_member) == 0) keras = i;
        pickled = pickled || cn_ends_in(members[i].name, "/data.pkl");
    }
    status = pickled      ? refuse_pickle(path, err)
             : keras >= 0 ? read_keras(file, path, &members[keras], err)
                          : read_npz(file, path, err);
    cn_release(members);
    file->archive = true;
    return status;
}

/* ---- a model in several files, as Hugging Face's libraries write large ones
 *
 * {"metadata": {...}, "weight_map": {"conv1.weight": "model-00001-of-00002.safetensors", ...}}
 */

static const char index_ending[] = ".safetensors.index.json";

static bool is_object(const uint8_t *bytes, size_t size)
{
    return size > 0 && bytes[0] == '{';
}

/* All weights of the safetensors file of this name, in the folder of the index. */
static cn_status add_shard(cn_weight_file *file, const char *index, const char *name, cn_error *err)
{
    const char *slash = strrchr(index, '/');
    const size_t folder = slash ? (size_t)(slash - index) + 1 : 0;
    cn_safetensors shard = {.storage = NULL};
    if (!name[0] || strchr(name, '/') || strchr(name, '\\'))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.100s: weight_map: %.80s: expected the name of a file beside it", index,
                       name);
    char *path = cn_allocate(folder + strlen(name) + 1, 1, name, err);
    if (!path) return CN_ERR_MEMORY;
    memcpy(path, index, folder);
    strcpy(path + folder, name);
    cn_status status = cn_safetensors_load_floats(&shard, path, err);
    cn_release(path);
    for (int i = 0; i < shard.tensor_count && status == CN_OK; i++)
        status = cn_weight_file_add(file, shard.tensors[i].name, &shard.tensors[i].value, 0, err);
    if (status == CN_OK && file->passed_over == 0)
        memcpy(file->passed, shard.passed, sizeof file->passed);
    file->passed_over += shard.passed_over;
    cn_safetensors_free(&shard);
    return status;
}

/* The files that the map names, each once, in its order. */
static cn_status add_shards(cn_weight_file *file, const char *path, const json_t *index,
                            cn_error *err)
{
    json_t *map = json_object_get(index, "weight_map"), *value, *seen = json_object();
    const char *key;
    cn_status status = seen ? CN_OK : cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory", path);
    if (seen && !json_is_object(map))
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: weight_map: expected an object", path);
    json_object_foreach(map, key, value)
    {
        const char *name = json_string_value(value);
        if (status != CN_OK || (name && json_object_get(seen, name))) continue;
        if (!name)
            status = cn_fail(err, CN_ERR_FORMAT,
                             "%.100s: weight_map: %.60s: expected a file's name", path, key);
        else if (json_object_set_new(seen, name, json_true()) != 0)
            status = cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory", path);
        else
            status = add_shard(file, path, name, err);
    }
    json_decref(seen);
    return status;
}

static cn_status read_index(cn_weight_file *file, const char *path, cn_error *err)
{
    enum { MOST = 1 << 26 };
    uint8_t *bytes = NULL;
    size_t size = 0;
    json_t *index = NULL;
    cn_status status = cn_file_read(path, MOST, is_object, &bytes, &size, err);
    if (status == CN_OK)
        status = cn_json_read(&index, (const char *)bytes, size, path, "index", 0, err);
    if (status == CN_OK) status = add_shards(file, path, index, err);
    json_decref(index);
    cn_release(bytes);
    file->style = CN_STYLE_PYTORCH;
    return status;
}

/* ---- any of them */

cn_status cn_weight_file_load(cn_weight_file *out, const char *path, cn_error *err)
{
    cn_weight_file file = {.count = 0};
    const cn_signature *kind = cn_signature_of_file(path);
    const char first = kind                                                   ? kind->bytes[0]
                       : cn_ends_in(path, ".h5") || cn_ends_in(path, ".hdf5") ? '\x89'
                                                                              : 0;
    cn_status status = cn_ends_in(path, index_ending) ? read_index(&file, path, err)
                       : first == '\x89' && (!kind || kind->bytes[1] == 'H')
                           ? read_hdf5(&file, path, err)
                       : first == 'P' && kind->bytes[1] == 'K' ? read_zip(&file, path, err)
                                                               : read_safetensors(&file, path, err);
    if (status == CN_OK)
        *out = file;
    else
        cn_weight_file_free(&file);
    return status;
}

void cn_weight_file_free(cn_weight_file *file)
{
    for (int i = 0; file->room && i < file->count; i++) {
        cn_release((void *)(uintptr_t)file->tensors[i].name);
        cn_tensor_free(&file->tensors[i].value);
    }
    if (file->room) cn_release(file->tensors);
    cn_release(file->places);
    cn_safetensors_free(&file->storage);
    *file = (cn_weight_file){.count = 0};
}

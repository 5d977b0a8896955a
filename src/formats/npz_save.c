/*
 * npz_save.c - NumPy's .npz, written, and a model in it.
 *
 * A ZIP archive (PKWARE APPNOTE.TXT 6.3.10) of stored members; zip.c has the numbers of the fields.
 * Every member's header, with its size and CRC-32, comes before its bytes, and the directory behind
 * all of them. A model's archive has its parameters by their names and an array of bytes,
 * "convnet": the JSON text that a model file has as metadata.
 */
#include "formats/npz_save.h"

#include "base/sink.h"
#include "formats/array.h"
#include "formats/npy.h"

#include <jansson.h>
#include <string.h>
#include <zlib.h>

/* ---- writing */

/* What the directory repeats of a member. */
typedef struct member {
    const char *name; /* without .npy */
    uint32_t crc, size, header;
} member;

static size_t put(uint8_t *out, size_t at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) out[at++] = (uint8_t)(value >> 8 * i);
    return at;
}

/* The fields that a member's header and its row of the directory have in common. */
static size_t put_member(uint8_t *out, size_t at, const member *m)
{
    enum { VERSION = 20, UTF8 = 1 << 11, FIRST_DAY = 1 << 5 | 1 }; /* 1 January 1980 */
    at = put(out, at, VERSION, 2);
    at = put(out, at, UTF8, 2);
    at = put(out, at, 0, 4); /* stored; at midnight */
    at = put(out, at, FIRST_DAY, 2);
    at = put(out, at, m->crc, 4);
    at = put(out, at, m->size, 4);
    at = put(out, at, m->size, 4);
    at = put(out, at, strlen(m->name) + 4, 2);
    return put(out, at, 0, 2);
}

static cn_status write_name(cn_sink *sink, const member *m, cn_error *err)
{
    cn_status status = cn_sink_write(sink, m->name, strlen(m->name), err);
    return status == CN_OK ? cn_sink_write(sink, ".npy", 4, err) : status;
}

static cn_status write_member(cn_sink *sink, member *m, const cn_tensor *t, uint64_t *offset,
                              const char *path, cn_error *err)
{
    uint8_t head[CN_NPY_HEAD], header[30];
    const size_t length = cn_npy_head(t, head),
                 bytes = cn_tensor_count(t) * cn_dtype_size(t->dtype);
    const uint64_t after = *offset + sizeof header + strlen(m->name) + 4 + length + bytes;
    if (after >= UINT32_MAX || bytes > UINT32_MAX)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: an archive of 4 GiB or more", path);
    m->header = (uint32_t)*offset;
    m->size = (uint32_t)(length + bytes);
    m->crc = (uint32_t)crc32_z(crc32_z(0, head, length), t->data, bytes);
    *offset = after;
    put_member(header, put(header, 0, 0x04034b50, 4), m);
    cn_status status = cn_sink_write(sink, header, sizeof header, err);
    if (status == CN_OK) status = write_name(sink, m, err);
    return status == CN_OK ? cn_npy_write(sink, t, err) : status;
}

static cn_status write_directory(cn_sink *sink, const member *members, int count, uint64_t offset,
                                 cn_error *err)
{
    uint8_t row[46], end[22];
    size_t size = 0;
    cn_status status = CN_OK;
    for (int i = 0; i < count && status == CN_OK; i++) {
        const member *m = &members[i];
        size_t at = put_member(row, put(row, put(row, 0, 0x02014b50, 4), 20, 2), m);
        at = put(row, at, 0, 8); /* no comment, disk 0, no attributes */
        at = put(row, at, 0, 2);
        put(row, at, m->header, 4);
        size += sizeof row + strlen(m->name) + 4;
        status = cn_sink_write(sink, row, sizeof row, err);
        if (status == CN_OK) status = write_name(sink, m, err);
    }
    size_t at = put(end, put(end, 0, 0x06054b50, 4), 0, 4);
    at = put(end, put(end, at, (uint64_t)count, 2), (uint64_t)count, 2);
    at = put(end, put(end, at, size, 4), offset, 4);
    put(end, at, 0, 2);
    return status == CN_OK ? cn_sink_write(sink, end, sizeof end, err) : status;
}

cn_status cn_npz_save(const cn_named_tensor *tensors, int count, const char *path, cn_error *err)
{
    enum { MOST_MEMBERS = 65534 };
    cn_sink *sink = NULL;
    uint64_t offset = 0;
    if (count > MOST_MEMBERS)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: %d arrays, expected at most %d", path,
                       count, MOST_MEMBERS);
    member *members = cn_allocate((size_t)count + 1, sizeof *members, path, err);
    if (!members) return CN_ERR_MEMORY;
    cn_status status = cn_sink_open(&sink, path, err);
    for (int i = 0; i < count && status == CN_OK; i++) {
        members[i].name = tensors[i].name;
        status = write_member(sink, &members[i], &tensors[i].value, &offset, path, err);
    }
    if (status == CN_OK) status = write_directory(sink, members, count, offset, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    cn_release(members);
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

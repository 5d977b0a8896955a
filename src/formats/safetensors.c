/*
 * safetensors.c - the safetensors form, version 0.4 (huggingface/safetensors, README.md).
 *
 *   byte     size   what
 *   0        8      n, little-endian: the size of the header, at most 100,000,000
 *   8        n      the header: a JSON object, padded with spaces
 *   8 + n    rest   the elements of all tensors, little-endian, in C order
 *
 *   {"__metadata__": {"key": "text", ...},
 *    "name": {"dtype": "F32", "shape": [3, 4], "data_offsets": [begin, end]}, ...}
 *
 * Offsets count from byte 8 + n. Together the tensors cover the rest of the file, without holes or
 * overlaps, and end - begin is the size that dtype and shape ask for: a file that says otherwise
 * lies, and is refused before anything is allocated.
 */
#include "formats/safetensors.h"
#include "base/json.h"
#include "base/signature.h"
#include "base/sink.h"
#include "formats/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are read as they lie");

enum { HEADER_LIMIT = 100000000, HEADER_ALIGN = 8 };

#define METADATA "__metadata__"

/* The first DTYPES are ours; of the others, floats are widened to F32 where that is asked for. */
static const struct {
    const char *name;
    cn_dtype dtype;
    size_t size; /* of an element in the file */
    bool is_float;
} dtypes[] = {
    {"F64", CN_DTYPE_F64, 8, true},  {"F32", CN_DTYPE_F32, 4, true},
    {"I32", CN_DTYPE_I32, 4, false}, {"U8", CN_DTYPE_U8, 1, false},
    {"F16", CN_DTYPE_F32, 2, true},  {"BF16", CN_DTYPE_F32, 2, true},
    {"I64", CN_DTYPE_I32, 8, false}, {"U64", CN_DTYPE_I32, 8, false},
    {"U32", CN_DTYPE_I32, 4, false}, {"I16", CN_DTYPE_I32, 2, false},
    {"U16", CN_DTYPE_I32, 2, false}, {"I8", CN_DTYPE_I32, 1, false},
    {"BOOL", CN_DTYPE_U8, 1, false},
};
enum { DTYPES = 4, ALL_DTYPES = sizeof dtypes / sizeof *dtypes };

/* What a reader makes of the tensors. */
typedef enum reading {
    READ_ALL,     /* each as it is; what no cn_dtype is, is an error */
    READ_OUTLINE, /* names and shapes */
    READ_FLOATS,  /* those of floats and rank 1 to 4, as F32; the others are passed over */
} reading;

static cn_status no_memory(const char *path, cn_error *err)
{
    return cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory for the header", path);
}

/* ---- Reading */

/* A tensor as the header announces it. */
typedef struct entry {
    const char *name;
    int dtype; /* row of dtypes; -1: unknown, and passed over */
    bool passed_over;
    int rank, shape[CN_MAX_RANK];
    size_t begin, end;
} entry;

static cn_status read_dtype(entry *e, const json_t *object, reading how, const char *file,
                            cn_error *err)
{
    const char *text = json_string_value(json_object_get(object, "dtype"));
    for (int i = 0; text && i < (how == READ_FLOATS ? ALL_DTYPES : DTYPES); i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            e->dtype = i;
            e->passed_over = how == READ_FLOATS && !dtypes[i].is_float;
            return CN_OK;
        }
    if (!text) return cn_fail(err, CN_ERR_FORMAT, "%.100s: tensor %.60s: no dtype", file, e->name);
    if (how == READ_FLOATS) { /* F8_E4M3, C64 and whatever comes: no weights of ours */
        e->dtype = -1;
        e->passed_over = true;
        return CN_OK;
    }
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.100s: tensor %.60s: dtype %.12s, expected F64, F32, I32 or U8", file, e->name,
                   text);
}

/* The shape, and into *bytes what it asks for. */
static cn_status read_shape(entry *e, const json_t *object, reading how, const char *file,
                            size_t *bytes, cn_error *err)
{
    const json_t *shape = json_object_get(object, "shape");
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape))
        return cn_fail(err, CN_ERR_FORMAT, "%.100s: tensor %.60s: no shape", file, e->name);
    const bool ours = rank >= 1 && rank <= CN_MAX_RANK;
    if (!ours && how != READ_FLOATS)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.100s: tensor %.60s: rank %zu, expected 1 to %d",
                       file, e->name, rank, CN_MAX_RANK);
    *bytes = e->dtype < 0 ? 1 : dtypes[e->dtype].size;
    e->rank = ours ? (int)rank : 0;
    if (!ours) e->passed_over = true;
    for (size_t i = 0; i < rank; i++) {
        const json_t *extent = json_array_get(shape, i);
        json_int_t value = json_integer_value(extent);
        if (how == READ_FLOATS && json_is_integer(extent) && value == 0) e->passed_over = true;
        if (!json_is_integer(extent) || value < !e->passed_over || value > INT32_MAX)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.100s: tensor %.60s: extent %zu: expected 1 to %d, found %lld", file,
                           e->name, i, INT32_MAX, (long long)value);
        if (!cn_multiply(*bytes, (size_t)value, bytes))
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.100s: tensor %.60s: the shape exceeds the address space", file,
                           e->name);
        if (ours) e->shape[i] = (int)value;
    }
    return CN_OK;
}

static cn_status read_offsets(entry *e, const json_t *object, const char *file, size_t bytes,
                              cn_error *err)
{
    const json_t *offsets = json_object_get(object, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.100s: tensor %.60s: data_offsets: expected [begin, end]", file, e->name);
    e->begin = (size_t)json_integer_value(begin);
    e->end = (size_t)json_integer_value(end);
    if (e->end - e->begin != bytes && e->dtype >= 0)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.100s: tensor %.60s: data_offsets: expected %zu bytes, found %zu", file,
                       e->name, bytes, e->end - e->begin);
    return CN_OK;
}

static cn_status read_entry(entry *e, const char *name, const json_t *object, reading how,
                            const char *file, cn_error *err)
{
    size_t bytes = 0;
    e->name = name;
    if (json_object_size(object) != 3)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.100s: tensor %.60s: expected dtype, shape and data_offsets", file, name);
    cn_status status = read_dtype(e, object, how, file, err);
    if (status == CN_OK) status = read_shape(e, object, how, file, &bytes, err);
    if (status == CN_OK) status = read_offsets(e, object, file, bytes, err);
    return status;
}

static int by_offset(const void *a, const void *b)
{
    size_t x = ((const entry *)a)->begin, y = ((const entry *)b)->begin;
    return (x > y) - (x < y);
}

/* Every tensor begins where the one before it ends, the last ends where the file does. */
static cn_status check_cover(const entry *entries, size_t count, cn_source *s, cn_error *err)
{
    size_t end = 0, capacity = cn_source_capacity(s);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].begin != end)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%s: tensor %.60s: begins at offset %zu, expected %zu, where the one "
                           "before it ends",
                           cn_source_name(s), entries[i].name, entries[i].begin, end);
        end = entries[i].end;
    }
    if (end > capacity || (capacity != SIZE_MAX && end < capacity))
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: expected %zu bytes of tensors, found %zu",
                       cn_source_name(s), cn_source_offset(s), end, capacity);
    return CN_OK;
}

/* CN_OK for the beginning of a safetensors file, and of what is not known. */
static cn_status check_kind(const cn_source *s, const uint8_t *head, size_t size, cn_error *err)
{
    const cn_signature *other = cn_signature_find(head, size);
    if (!other || other->kind == CN_SIGNATURE_MODEL) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT, "%s: not a safetensors file (%s)", cn_source_name(s),
                   other->name);
}

static cn_status not_a_size(cn_source *s, const uint8_t prefix[8], uint64_t size, size_t most,
                            cn_error *err)
{
    uint8_t head[CN_HEAD];
    size_t got = 0;
    memcpy(head, prefix, 8);
    cn_source_read_some(s, head + 8, sizeof head - 8, &got, NULL);
    cn_status status = check_kind(s, head, 8 + got, err);
    if (status != CN_OK) return status;
    return cn_fail(err, CN_ERR_FORMAT, "%s: byte 0: a header of %llu bytes, expected 2 to %zu",
                   cn_source_name(s), (unsigned long long)size, most);
}

/* The header's size, checked, then the header as JSON. */
static cn_status read_header(cn_source *s, json_t **header, cn_error *err)
{
    uint8_t prefix[8];
    uint64_t size = 0;
    cn_status status = cn_source_read(s, prefix, sizeof prefix, "header size", err);
    if (status != CN_OK) return status;
    for (int i = 7; i >= 0; i--) size = size << 8 | prefix[i];
    size_t most = cn_source_capacity(s) < HEADER_LIMIT ? cn_source_capacity(s) : HEADER_LIMIT;
    if (size < 2 || size > most) return not_a_size(s, prefix, size, most, err);
    char *text = cn_allocate((size_t)size, 1, "safetensors header", err);
    if (!text) return CN_ERR_MEMORY;
    status = cn_source_read(s, text, (size_t)size, "header", err);
    if (status == CN_OK) { /* gzip's first bytes may pass for a size */
        uint8_t head[CN_HEAD];
        size_t more = size < sizeof head - 8 ? (size_t)size : sizeof head - 8;
        memcpy(head, prefix, 8);
        memcpy(head + 8, text, more);
        status = check_kind(s, head, 8 + more, err);
    }
    if (status == CN_OK) {
        status = cn_json_read(header, text, (size_t)size, cn_source_name(s), "header", 8, err);
        if (status == CN_OK && text[0] != '{')
            status = cn_fail(err, CN_ERR_FORMAT, "%s: byte 8: header: expected {, found %02x",
                             cn_source_name(s), (unsigned char)text[0]);
    }
    cn_release(text);
    return status;
}

static cn_status read_metadata(cn_safetensors *file, const json_t *metadata, reading how,
                               const char *name, cn_error *err)
{
    if (!metadata || (how == READ_FLOATS && !json_is_object(metadata))) return CN_OK;
    if (!json_is_object(metadata))
        return cn_fail(err, CN_ERR_FORMAT, "%s: " METADATA ": expected an object", name);
    file->metadata = cn_allocate(json_object_size(metadata), sizeof *file->metadata, name, err);
    if (!file->metadata) return CN_ERR_MEMORY;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (how == READ_FLOATS && !json_is_string(value)) continue;
        if (!json_is_string(value))
            return cn_fail(err, CN_ERR_FORMAT, "%s: " METADATA ": %.60s: expected a text", name,
                           key);
        file->metadata[file->metadata_count++] = (cn_text_pair){key, json_string_value(value)};
    }
    return CN_OK;
}

/* The header's tensors in the order of their bytes; nothing of their size is allocated yet. */
static cn_status read_entries(const json_t *header, cn_source *s, reading how, entry **out,
                              size_t *count, cn_error *err)
{
    const char *name;
    json_t *value;
    entry *entries = cn_allocate(json_object_size(header) + 1, sizeof *entries, "tensors", err);
    if (!entries) return CN_ERR_MEMORY;
    *out = entries;
    json_object_foreach((json_t *)(uintptr_t)header, name, value)
    {
        if (strcmp(name, METADATA) == 0) continue;
        cn_status status =
            read_entry(&entries[(*count)++], name, value, how, cn_source_name(s), err);
        if (status != CN_OK) return status;
    }
    qsort(entries, *count, sizeof *entries, by_offset);
    return check_cover(entries, *count, s, err);
}

static cn_status pass_over(cn_source *s, size_t size, const char *name, cn_error *err)
{
    uint8_t block[4096];
    cn_status status = CN_OK;
    for (; size > 0 && status == CN_OK; size -= size < sizeof block ? size : sizeof block)
        status = cn_source_read(s, block, size < sizeof block ? size : sizeof block, name, err);
    return status;
}

/* F64, F16 or BF16, which is the upper half of an F32. */
static float widen(const uint8_t *from, int dtype)
{
    double wide = 0;
    uint16_t half = 0;
    if (dtypes[dtype].size == sizeof wide) {
        memcpy(&wide, from, sizeof wide);
        return (float)wide;
    }
    memcpy(&half, from, sizeof half);
    if (strcmp(dtypes[dtype].name, "F16") == 0) return (float)cn_half_value(half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The elements, which are next in the file, as the tensor has them. */
static cn_status read_elements(cn_tensor *t, const entry *e, reading how, cn_source *s,
                               cn_error *err)
{
    const bool same = how != READ_FLOATS || strcmp(dtypes[e->dtype].name, "F32") == 0;
    const cn_dtype dtype = how == READ_FLOATS ? CN_DTYPE_F32 : dtypes[e->dtype].dtype;
    *t = (cn_tensor){0};
    cn_status status = cn_tensor_create(t, dtype, e->rank, e->shape, err);
    if (status != CN_OK) return status;
    if (same) return cn_source_read(s, t->data, e->end - e->begin, e->name, err);
    uint8_t *bytes = cn_allocate(e->end - e->begin, 1, e->name, err);
    if (!bytes) return CN_ERR_MEMORY;
    status = cn_source_read(s, bytes, e->end - e->begin, e->name, err);
    for (size_t i = 0; status == CN_OK && i < cn_tensor_count(t); i++)
        ((float *)t->data)[i] = widen(bytes + i * dtypes[e->dtype].size, e->dtype);
    cn_release(bytes);
    return status;
}

/* Counts an array that is passed over, unless it has one element or none, as counters have. */
static void note_passed(cn_safetensors *file, const entry *e, const json_t *object)
{
    const bool known = e->dtype >= 0;
    if (e->end - e->begin <= (known ? dtypes[e->dtype].size : 0)) return;
    if (file->passed_over++ > 0) return;
    if (known && dtypes[e->dtype].is_float)
        snprintf(file->passed, sizeof file->passed, "%.70s: rank %zu", e->name,
                 json_array_size(json_object_get(object, "shape")));
    else
        snprintf(file->passed, sizeof file->passed, "%.70s: dtype %.16s", e->name,
                 json_string_value(json_object_get(object, "dtype")));
}

static cn_status read_tensors(cn_safetensors *file, const entry *entries, size_t count, reading how,
                              cn_source *s, cn_error *err)
{
    file->tensors = cn_allocate(count + 1, sizeof *file->tensors, cn_source_name(s), err);
    if (!file->tensors) return CN_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const entry *e = &entries[i];
        cn_named_tensor *t = &file->tensors[file->tensor_count];
        cn_status status = CN_OK;
        if (e->passed_over) {
            note_passed(file, e, json_object_get(file->storage, e->name));
            status = pass_over(s, e->end - e->begin, e->name, err);
        } else {
            t->name = e->name;
            t->value = cn_tensor_view(dtypes[e->dtype].dtype, e->rank, e->shape, NULL);
            file->tensor_count++;
            if (how != READ_OUTLINE) status = read_elements(&t->value, e, how, s, err);
        }
        if (status != CN_OK) return status;
    }
    return how != READ_OUTLINE ? cn_source_end(s, err) : CN_OK;
}

static cn_status read_file(cn_safetensors *out, cn_source *source, reading how, cn_error *err)
{
    cn_safetensors file = {0};
    json_t *header = NULL;
    entry *entries = NULL;
    size_t count = 0;
    cn_status status = read_header(source, &header, err);
    file.storage = header;
    if (status == CN_OK)
        status = read_metadata(&file, json_object_get(header, METADATA), how,
                               cn_source_name(source), err);
    if (status == CN_OK) status = read_entries(header, source, how, &entries, &count, err);
    if (status == CN_OK) status = read_tensors(&file, entries, count, how, source, err);
    cn_release(entries);
    if (status == CN_OK)
        *out = file;
    else
        cn_safetensors_free(&file);
    return status;
}

cn_status cn_safetensors_read(cn_safetensors *file, cn_source *source, cn_error *err)
{
    return read_file(file, source, READ_ALL, err);
}

static cn_status load(cn_safetensors *file, const char *path, reading how, cn_error *err)
{
    cn_source *source = NULL;
    /* Plain: a header's size may begin with gzip's magic number. */
    cn_status status = cn_source_open(&source, path, CN_SOURCE_PLAIN, err);
    if (status == CN_OK) status = read_file(file, source, how, err);
    cn_source_close(source);
    return status;
}

cn_status cn_safetensors_load(cn_safetensors *file, const char *path, cn_error *err)
{
    return load(file, path, READ_ALL, err);
}

cn_status cn_safetensors_outline(cn_safetensors *file, const char *path, cn_error *err)
{
    return load(file, path, READ_OUTLINE, err);
}

cn_status cn_safetensors_read_floats(cn_safetensors *file, cn_source *source, cn_error *err)
{
    return read_file(file, source, READ_FLOATS, err);
}

cn_status cn_safetensors_load_floats(cn_safetensors *file, const char *path, cn_error *err)
{
    return load(file, path, READ_FLOATS, err);
}

void cn_safetensors_free(cn_safetensors *file)
{
    if (!file) return;
    for (int i = 0; i < file->tensor_count; i++) cn_tensor_free(&file->tensors[i].value);
    cn_release(file->tensors);
    cn_release(file->metadata);
    json_decref(file->storage);
    *file = (cn_safetensors){0};
}

const cn_named_tensor *cn_safetensors_find(const cn_safetensors *file, const char *name)
{
    for (int i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

const char *cn_safetensors_metadata(const cn_safetensors *file, const char *key)
{
    for (int i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0) return file->metadata[i].value;
    return NULL;
}

/* ---- Writing */

static size_t tensor_bytes(const cn_tensor *t)
{
    return cn_tensor_count(t) * cn_dtype_size(t->dtype);
}

/* The widest elements first, so that all of them are aligned; then by name. */
static int by_width_and_name(const void *a, const void *b)
{
    const cn_named_tensor *x = a, *y = b;
    size_t u = cn_dtype_size(x->value.dtype), v = cn_dtype_size(y->value.dtype);
    return u != v ? (u < v) - (u > v) : strcmp(x->name, y->name);
}

/* A tensor's entry in the header; NULL: out of memory. */
static json_t *describe(const cn_tensor *t, size_t begin)
{
    size_t end = begin + tensor_bytes(t);
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    const char *dtype = "";
    for (int i = 0; i < DTYPES; i++)
        if (dtypes[i].dtype == t->dtype) dtype = dtypes[i].name;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

/* The header, unless a name is no UTF-8, is used twice, or is reserved. */
static cn_status make_header(const cn_safetensors *file, const cn_named_tensor *order,
                             json_t *header, const char *path, cn_error *err)
{
    size_t offset = 0;
    json_t *metadata = json_object();
    if (json_object_set_new(header, METADATA, metadata) != 0) return no_memory(path, err);
    for (int i = 0; i < file->metadata_count; i++) {
        const cn_text_pair *pair = &file->metadata[i];
        if (!cn_is_utf8(pair->key) || !cn_is_utf8(pair->value) ||
            json_object_get(metadata, pair->key))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%.100s: metadata %.60s: given twice, or not UTF-8", path, pair->key);
        if (json_object_set_new(metadata, pair->key, json_string(pair->value)) != 0)
            return no_memory(path, err);
    }
    for (int i = 0; i < file->tensor_count; i++) {
        const char *name = order[i].name;
        const cn_tensor *t = &order[i].value;
        if (!t->data)
            return cn_fail(err, CN_ERR_ARGUMENT, "%.100s: tensor %.60s: empty", path, name);
        if (!cn_is_utf8(name) || json_object_get(header, name))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%.100s: tensor %.60s: the name is reserved, used twice, or not UTF-8",
                           path, name);
        if (json_object_set_new(header, name, describe(t, offset)) != 0)
            return no_memory(path, err);
        offset += tensor_bytes(t);
    }
    return CN_OK;
}

static cn_status write_header(cn_sink *sink, const json_t *header, const char *path, cn_error *err)
{
    static const char spaces[HEADER_ALIGN] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
    uint8_t prefix[8];
    char *text = cn_json_text(header, path, err);
    if (!text) return CN_ERR_MEMORY;
    size_t size = strlen(text), pad = (HEADER_ALIGN - size % HEADER_ALIGN) % HEADER_ALIGN;
    for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)((uint64_t)(size + pad) >> 8 * i);
    cn_status status = CN_OK;
    if (size + pad > HEADER_LIMIT)
        status = cn_fail(err, CN_ERR_ARGUMENT, "%.120s: a header of %zu bytes, expected at most %d",
                         path, size + pad, HEADER_LIMIT);
    if (status == CN_OK) status = cn_sink_write(sink, prefix, sizeof prefix, err);
    if (status == CN_OK) status = cn_sink_write(sink, text, size, err);
    if (status == CN_OK) status = cn_sink_write(sink, spaces, pad, err);
    cn_release(text);
    return status;
}

cn_status cn_safetensors_save(const cn_safetensors *file, const char *path, cn_error *err)
{
    size_t count = (size_t)file->tensor_count;
    cn_sink *sink = NULL;
    json_t *header = NULL;
    cn_status status = CN_ERR_MEMORY;
    cn_named_tensor *order = cn_allocate(count + 1, sizeof *order, "tensors", err);
    if (!order) goto done;
    header = json_object();
    if (count) memcpy(order, file->tensors, count * sizeof *order);
    qsort(order, count, sizeof *order, by_width_and_name);
    status = make_header(file, order, header, path, err);
    if (status == CN_OK) status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = write_header(sink, header, path, err);
    for (size_t i = 0; status == CN_OK && i < count; i++)
        status = cn_sink_write(sink, order[i].value.data, tensor_bytes(&order[i].value), err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
done:
    cn_sink_close(sink);
    json_decref(header);
    cn_release(order);
    return status;
}

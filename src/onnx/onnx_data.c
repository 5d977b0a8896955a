/*
 * onnx_data.c - the elements of an ONNX tensor: in raw_data, in a list of its type, or in a file
 * beside the model.
 *
 * External data are a file whose name stands in the model, so it is somebody else's choice which
 * one is opened. It must be a plain name, and is opened relative to the model's folder, without
 * following a link; it must be a regular file, and hold the bytes that are asked for. They are
 * counted before memory is allocated for them.
 */
#define _POSIX_C_SOURCE 200809L
#include "onnx/onnx_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_NAME = 255 };

static cn_status fail(const cn_onnx_file *file, const cn_onnx_tensor *t, cn_status status,
                      const char *what, cn_error *err)
{
    char name[CN_SPAN_TEXT];
    return cn_fail(err, status, "%.80s: tensor %s: %s", file->path, cn_span_text(t->name, name),
                   what);
}

/* ---- numbers in lists */

/* The field that has a type's elements, and the type of its numbers. */
static uint32_t list_of(int64_t type, int *wire)
{
    *wire = CN_WIRE_VARINT;
    switch (type) {
    case CN_ONNX_FLOAT: *wire = CN_WIRE_FIXED32; return 4;
    case CN_ONNX_DOUBLE: *wire = CN_WIRE_FIXED64; return 10;
    case CN_ONNX_INT64: return 7;
    case CN_ONNX_UINT32:
    case CN_ONNX_UINT64: return 11;
    default: return 5; /* int32_data: the small ones, also the bits of 16-bit floats */
    }
}

/* Counts the numbers of the list, and stores the lowest `size` bytes of each where `out` is not
 * NULL; SIZE_MAX where they are malformed, or more than `most`. */
static size_t read_list(const cn_onnx_tensor *t, size_t size, uint8_t *out, size_t most)
{
    int type;
    const uint32_t number = list_of(t->type, &type);
    size_t count = 0;
    uint64_t value;
    cn_field f;
    cn_wire w = cn_wire_open(t->message);
    while (cn_wire_next(&w, &f)) {
        if (f.number != number) continue;
        const bool single = f.type == type;
        if (!single && f.type != CN_WIRE_BYTES) return SIZE_MAX;
        cn_wire packed = single ? w : cn_wire_open(f.span);
        for (bool first = single; first || (!single && cn_wire_number(&packed, type, &value));
             first = false) {
            if (single) value = f.value;
            if (count == most) return SIZE_MAX;
            for (size_t k = 0; out && k < size; k++)
                out[count * size + k] = (uint8_t)(value >> 8 * k);
            count++;
        }
        if (!single && packed.broken) return SIZE_MAX;
    }
    return count;
}

/* ---- the file beside the model */

static cn_status open_external(const cn_onnx_file *file, const cn_onnx_tensor *t, int *opened,
                               cn_error *err)
{
    char given[MOST_NAME + 1];
    struct stat about;
    if (file->in_memory)
        return fail(file, t, CN_ERR_FORMAT, "external data, but the model is no file", err);
    if (t->location.size < 1 || t->location.size > MOST_NAME)
        return fail(file, t, CN_ERR_FORMAT, "external data in a file without a name", err);
    memcpy(given, t->location.bytes, t->location.size);
    given[t->location.size] = '\0';
    const char *name = given;
    while (strncmp(name, "./", 2) == 0) name += 2; /* this folder */
    if (strlen(given) != t->location.size || !*name || strchr(name, '/') || strchr(name, '\\') ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return fail(file, t, CN_ERR_FORMAT,
                    "external data must be in a file beside the model, by a plain name", err);
    const char *slash = strrchr(file->path, '/');
    char *folder = cn_allocate(strlen(file->path) + 2, 1, "folder", err);
    if (!folder) return CN_ERR_MEMORY;
    memcpy(folder, slash ? file->path : ".", slash ? (size_t)(slash - file->path) + 1 : 1);
    const int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cn_release(folder);
    if (at < 0) return fail(file, t, CN_ERR_IO, "the model's folder cannot be opened", err);
    const int found = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const int number = errno;
    close(at);
    if (found < 0) {
        char text[CN_SPAN_TEXT];
        return cn_fail(err, CN_ERR_IO, "%.80s: external data %s: %s", file->path,
                       cn_span_text(t->location, text),
                       number == ELOOP ? "a link, expected a file" : cn_system_text(number));
    }
    if (fstat(found, &about) != 0 || !S_ISREG(about.st_mode)) {
        close(found);
        return fail(file, t, CN_ERR_IO, "external data are in no regular file", err);
    }
    const uint64_t size = (uint64_t)about.st_size, bytes = t->count * cn_onnx_type_size(t->type);
    if ((t->has_length && t->length != bytes) || t->offset > size || bytes > size - t->offset) {
        close(found);
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.80s: external data: expected %llu bytes at %llu, found %llu of %llu",
                       file->path, (unsigned long long)bytes, (unsigned long long)t->offset,
                       (unsigned long long)(t->has_length ? t->length : bytes),
                       (unsigned long long)size);
    }
    *opened = found;
    return CN_OK;
}

static cn_status read_external(const cn_onnx_file *file, const cn_onnx_tensor *t, uint8_t *out,
                               cn_error *err)
{
    int from = -1;
    cn_status status = open_external(file, t, &from, err);
    const size_t bytes = t->count * cn_onnx_type_size(t->type);
    for (size_t got = 0; status == CN_OK && got < bytes;) {
        const ssize_t n = pread(from, out + got, bytes - got, (off_t)(t->offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) status = fail(file, t, CN_ERR_IO, "external data cannot be read", err);
        if (n > 0) got += (size_t)n;
    }
    if (from >= 0) close(from);
    return status;
}

/* ---- elements */

cn_status cn_onnx_tensor_check(const cn_onnx_file *file, const cn_onnx_tensor *t, cn_error *err)
{
    const size_t size = cn_onnx_type_size(t->type);
    if (size == 0) {
        char name[CN_SPAN_TEXT];
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.80s: tensor %s: elements of type %lld",
                       file->path, cn_span_text(t->name, name), (long long)t->type);
    }
    if (t->external) {
        int opened;
        cn_status status = open_external(file, t, &opened, err);
        if (status == CN_OK) close(opened);
        return status;
    }
    const size_t found = t->has_raw ? t->raw.size / size : read_list(t, size, NULL, t->count);
    if (found != t->count || (t->has_raw && t->raw.size % size))
        return fail(file, t, CN_ERR_FORMAT, "not as many elements as its shape has", err);
    return CN_OK;
}

/* A tensor's elements, little-endian; *owned is to be released. */
static cn_status open_bytes(const cn_onnx_file *file, const cn_onnx_tensor *t,
                            const uint8_t **bytes, uint8_t **owned, cn_error *err)
{
    const size_t size = cn_onnx_type_size(t->type);
    *owned = NULL;
    cn_status status = cn_onnx_tensor_check(file, t, err);
    if (status != CN_OK) return status;
    if (t->has_raw && !t->external) {
        *bytes = t->raw.bytes;
        return CN_OK;
    }
    *owned = cn_allocate(t->count + 1, size, file->path, err);
    if (!*owned) return CN_ERR_MEMORY;
    *bytes = *owned;
    if (t->external) return read_external(file, t, *owned, err);
    read_list(t, size, *owned, t->count);
    return CN_OK;
}

static uint64_t bits_at(const uint8_t *bytes, size_t size, size_t i)
{
    uint64_t bits = 0;
    for (size_t k = 0; k < size; k++) bits |= (uint64_t)bytes[i * size + k] << 8 * k;
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. */
static float half_of(uint32_t bits)
{
    const uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31) return float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent > 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    const float small = (float)fraction * 0x1p-24f;
    return sign ? -small : small;
}

static int64_t int_of(int64_t type, uint64_t bits)
{
    switch (type) {
    case CN_ONNX_INT8: return (int8_t)bits;
    case CN_ONNX_INT16: return (int16_t)bits;
    case CN_ONNX_INT32: return (int32_t)bits;
    case CN_ONNX_BOOL: return bits != 0;
    default: return (int64_t)bits;
    }
}

static double real_of(int64_t type, uint64_t bits)
{
    double value;
    switch (type) {
    case CN_ONNX_FLOAT: return (double)float_of((uint32_t)bits);
    case CN_ONNX_FLOAT16: return (double)half_of((uint32_t)bits);
    case CN_ONNX_BFLOAT16: return (double)float_of((uint32_t)bits << 16);
    case CN_ONNX_DOUBLE: memcpy(&value, &bits, sizeof value); return value;
    case CN_ONNX_UINT64: return (double)bits;
    default: return (double)int_of(type, bits);
    }
}

cn_status cn_onnx_tensor_reals(const cn_onnx_file *file, const cn_onnx_tensor *t, float *out,
                               cn_error *err)
{
    const size_t size = cn_onnx_type_size(t->type);
    const uint8_t *bytes;
    uint8_t *owned;
    cn_status status = open_bytes(file, t, &bytes, &owned, err);
    if (status == CN_OK && t->type == CN_ONNX_FLOAT && t->count)
        memcpy(out, bytes, t->count * sizeof *out);
    else
        for (size_t i = 0; status == CN_OK && i < t->count; i++)
            out[i] = (float)real_of(t->type, bits_at(bytes, size, i));
    cn_release(owned);
    return status;
}

cn_status cn_onnx_tensor_ints(const cn_onnx_file *file, const cn_onnx_tensor *t, int64_t *out,
                              cn_error *err)
{
    const size_t size = cn_onnx_type_size(t->type);
    const uint8_t *bytes;
    uint8_t *owned;
    if (cn_onnx_type_is_real(t->type))
        return fail(file, t, CN_ERR_FORMAT, "fractions, expected integers", err);
    cn_status status = open_bytes(file, t, &bytes, &owned, err);
    for (size_t i = 0; status == CN_OK && i < t->count; i++)
        out[i] = int_of(t->type, bits_at(bytes, size, i));
    cn_release(owned);
    return status;
}

/* ---- numbers that somebody wrote down */

double cn_onnx_decimal(float x)
{
    char text[CN_NUMBER_TEXT];
    double value;
    /* Nine digits tell every float. */
    for (int digits = 1; digits <= 9 && isfinite(x); digits++) {
        cn_format(text, sizeof text, "%.*g", digits, (double)x);
        if (cn_number_read(text, &value) && (float)value == x) return value;
    }
    return (double)x;
}

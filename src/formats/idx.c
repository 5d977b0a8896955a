/*
 * idx.c - the IDX form of arrays (Y. LeCun, C. Cortes, C. Burges: The MNIST database).
 *
 *   byte    size      what
 *   0       2         0, 0
 *   2       1         element: 0x08 unsigned byte, 0x0C int32, 0x0D float, 0x0E double
 *   3       1         rank r, 1 to 4
 *   4       4 r       extents, big-endian unsigned, the slowest axis first
 *   4+4r    product   elements, big-endian, in C order
 *
 * The form also has signed bytes (0x09) and shorts (0x0B): refused, for no data set here has them.
 */
#include "formats/idx.h"

#include "base/signature.h"

#include <string.h>

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool element_type(uint8_t code, cn_dtype *dtype)
{
    switch (code) {
    case 0x08: *dtype = CN_DTYPE_U8; return true;
    case 0x0c: *dtype = CN_DTYPE_I32; return true;
    case 0x0d: *dtype = CN_DTYPE_F32; return true;
    case 0x0e: *dtype = CN_DTYPE_F64; return true;
    }
    return false;
}

/* Brings elements of `size` bytes from big-endian into this machine's order, in place. */
static void to_native(uint8_t *p, size_t count, size_t size)
{
    for (size_t i = 0; size == 4 && i < count; i++, p += 4) {
        uint32_t word = big_endian(p);
        memcpy(p, &word, sizeof word);
    }
    for (size_t i = 0; size == 8 && i < count; i++, p += 8) {
        uint64_t word = (uint64_t)big_endian(p) << 32 | big_endian(p + 4);
        memcpy(p, &word, sizeof word);
    }
}

static cn_status read_shape(cn_source *s, int rank, int *shape, cn_error *err)
{
    uint8_t extents[4 * CN_MAX_RANK];
    size_t begin = cn_source_offset(s);
    cn_status status = cn_source_read(s, extents, 4 * (size_t)rank, "extents", err);
    for (int i = 0; i < rank && status == CN_OK; i++) {
        uint32_t extent = big_endian(extents + 4 * i);
        if (extent < 1 || extent > INT32_MAX)
            return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: extent %u, expected 1 to %d",
                           cn_source_name(s), begin + 4 * (size_t)i, (unsigned)extent, INT32_MAX);
        shape[i] = (int)extent;
    }
    return status;
}

/* Nothing is allocated for more elements than the file can hold. */
static cn_status check_size(const cn_source *s, int rank, const int *shape, size_t element,
                            cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    size_t bytes = element, capacity = cn_source_capacity(s);
    for (int i = 0; i < rank; i++)
        if (!cn_multiply(bytes, (size_t)shape[i], &bytes) || bytes > capacity)
            return cn_fail(
                err, CN_ERR_FORMAT,
                "%s: byte %zu: expected %s elements of %zu bytes, found at most %zu bytes",
                cn_source_name(s), cn_source_offset(s), cn_shape_text(rank, shape, text), element,
                capacity);
    return CN_OK;
}

/* A view without data of what the header announces. */
static cn_status read_header(cn_source *s, cn_tensor *form, cn_error *err)
{
    uint8_t magic[4];
    char other[CN_FOUND_TEXT];
    int shape[CN_MAX_RANK];
    cn_dtype dtype;
    cn_status status = cn_source_read(s, magic, sizeof magic, "magic number", err);
    if (status != CN_OK) return status;
    if (magic[0] != 0 || magic[1] != 0 || !element_type(magic[2], &dtype))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%s: byte 0: expected an IDX magic number (00 00, then 08, 0c, 0d or 0e), "
                       "found %s",
                       cn_source_name(s), cn_source_found(s, magic, sizeof magic, other));
    if (magic[3] < 1 || magic[3] > CN_MAX_RANK)
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte 3: rank %d, expected 1 to %d",
                       cn_source_name(s), magic[3], CN_MAX_RANK);
    status = read_shape(s, magic[3], shape, err);
    if (status == CN_OK) status = check_size(s, magic[3], shape, cn_dtype_size(dtype), err);
    if (status == CN_OK) *form = cn_tensor_view(dtype, magic[3], shape, NULL);
    return status;
}

cn_status cn_idx_read(cn_source *s, cn_tensor *out, cn_error *err)
{
    cn_tensor form = {0}, t = {0};
    cn_status status = read_header(s, &form, err);
    if (status == CN_OK)
        status = cn_tensor_output(&t, form.dtype, form.rank, form.shape, cn_source_name(s), err);
    if (status != CN_OK) return status;
    size_t count = cn_tensor_count(&t), size = cn_dtype_size(t.dtype);
    status = cn_source_read(s, t.data, count * size, "elements", err);
    if (status == CN_OK) status = cn_source_end(s, err);
    if (status != CN_OK) {
        cn_tensor_free(&t);
        return status;
    }
    to_native(t.data, count, size);
    *out = t;
    return CN_OK;
}

cn_status cn_idx_locate(cn_source *s, cn_tensor *out, size_t *bytes, size_t *offset, bool *found,
                        cn_error *err)
{
    cn_status status = read_header(s, out, err);
    *found = status == CN_OK && cn_source_place(s, offset);
    if (status != CN_OK) return status;
    *bytes = cn_dtype_size(out->dtype); /* which does not overflow, as has been checked */
    for (int i = 0; i < out->rank; i++) *bytes *= (size_t)out->shape[i];
    return *found ? cn_source_check_rest(s, *bytes, err) : CN_OK;
}

/* tensor.c - arrays with a shape. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>

size_t cn_dtype_size(cn_dtype dtype)
{
    switch (dtype) {
    case CN_DTYPE_F32: return sizeof(float);
    case CN_DTYPE_F64: return sizeof(double);
    case CN_DTYPE_I32: return sizeof(int32_t);
    case CN_DTYPE_U8: return sizeof(uint8_t);
    }
    return 0;
}

const char *cn_shape_text(int rank, const int *shape, char text[CN_SHAPE_TEXT])
{
    size_t used = 0;
    text[used++] = '(';
    for (int i = 0; i < rank && used + 16 < CN_SHAPE_TEXT; i++)
        used += (size_t)snprintf(text + used, CN_SHAPE_TEXT - used, i ? ", %d" : "%d", shape[i]);
    snprintf(text + used, CN_SHAPE_TEXT - used, ")");
    return text;
}

/* The elements of a shape, or CN_ERR_SHAPE where it is not one. */
static cn_status shape_count(int rank, const int *shape, size_t *count, const char *what,
                             cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (rank < 1 || rank > CN_MAX_RANK)
        return cn_fail(err, CN_ERR_SHAPE, "%s: rank %d, expected 1 to %d", what, rank, CN_MAX_RANK);
    *count = 1;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 1)
            return cn_fail(err, CN_ERR_SHAPE, "%s: shape %s has an extent below 1", what,
                           cn_shape_text(rank, shape, text));
        if (!cn_multiply(*count, (size_t)shape[i], count))
            return cn_fail(err, CN_ERR_SHAPE, "%s: shape %s overflows the address space", what,
                           cn_shape_text(rank, shape, text));
    }
    return CN_OK;
}

static cn_status create(cn_tensor *t, cn_dtype dtype, int rank, const int *shape, const char *what,
                        cn_error *err)
{
    size_t count;
    if (!t || !shape) return cn_fail(err, CN_ERR_ARGUMENT, "%s: NULL argument", what);
    if (cn_dtype_size(dtype) == 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: unknown dtype %d", what, (int)dtype);
    cn_status status = shape_count(rank, shape, &count, what, err);
    if (status != CN_OK) return status;
    void *data = cn_allocate(count, cn_dtype_size(dtype), what, err);
    if (!data) return CN_ERR_MEMORY;
    *t = cn_tensor_view(dtype, rank, shape, data);
    t->owned = data;
    return CN_OK;
}

cn_status cn_tensor_create(cn_tensor *t, cn_dtype dtype, int rank, const int *shape, cn_error *err)
{
    return create(t, dtype, rank, shape, "tensor", err);
}

cn_tensor cn_tensor_view(cn_dtype dtype, int rank, const int *shape, void *data)
{
    if (rank < 1 || rank > CN_MAX_RANK || !shape) return (cn_tensor){0};
    cn_tensor t = {.dtype = dtype, .rank = rank, .data = data};
    memcpy(t.shape, shape, (size_t)rank * sizeof *shape);
    return t;
}

void cn_tensor_free(cn_tensor *t)
{
    if (!t) return;
    cn_release(t->owned);
    *t = (cn_tensor){0};
}

size_t cn_tensor_count(const cn_tensor *t)
{
    if (!t || !t->data) return 0;
    size_t count = 1;
    for (int i = 0; i < t->rank; i++) count *= (size_t)t->shape[i];
    return count;
}

cn_status cn_tensor_output(cn_tensor *t, cn_dtype dtype, int rank, const int *shape,
                           const char *what, cn_error *err)
{
    char want[CN_SHAPE_TEXT], got[CN_SHAPE_TEXT];
    if (!t) return cn_fail(err, CN_ERR_ARGUMENT, "%s: NULL output", what);
    if (!t->data) return create(t, dtype, rank, shape, what, err);
    if (t->dtype != dtype)
        return cn_fail(err, CN_ERR_SHAPE, "%s: output has dtype %d, expected %d", what,
                       (int)t->dtype, (int)dtype);
    if (t->rank != rank || memcmp(t->shape, shape, (size_t)rank * sizeof *shape) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: output has shape %s, expected %s", what,
                       cn_shape_text(t->rank, t->shape, got), cn_shape_text(rank, shape, want));
    return CN_OK;
}

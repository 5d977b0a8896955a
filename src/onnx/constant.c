/* constant.c - the constants of an ONNX graph: initializers, and what is computed from them. */
#include "onnx/import.h"

#include <string.h>

/* `im->budget` is what all folded constants together may have: a shape that claims more is refused
 * before memory is allocated for it. */
cn_onnx_constant *cn_constant_new(cn_importer *im, bool real, int rank, const int64_t *dims)
{
    size_t count = 1;
    for (int k = 0; k < rank; k++)
        if (dims[k] < 0 || !cn_multiply(count, (size_t)dims[k], &count) || count > im->budget) {
            cn_import_malformed(im, "a constant with more elements than can be");
            return NULL;
        }
    cn_onnx_constant *c = cn_allocate(1, sizeof *c, im->file->path, im->err);
    if (!c) return NULL;
    c->next = im->constants;
    im->constants = c;
    c->real = real;
    c->rank = rank;
    if (rank) memcpy(c->dims, dims, (size_t)rank * sizeof *dims);
    c->count = count;
    c->loaded = true;
    if (real)
        c->reals = cn_allocate(count + 1, sizeof *c->reals, im->file->path, im->err);
    else
        c->ints = cn_allocate(count + 1, sizeof *c->ints, im->file->path, im->err);
    if (!c->reals && !c->ints) return NULL;
    im->budget -= count;
    return c;
}

cn_status cn_constant_load(cn_importer *im, cn_onnx_constant *c)
{
    if (c->loaded) return CN_OK;
    cn_status status = cn_onnx_tensor_check(im->file, &c->tensor, im->err);
    if (status != CN_OK) return status;
    if (c->real)
        c->reals = cn_allocate(c->count + 1, sizeof *c->reals, im->file->path, im->err);
    else
        c->ints = cn_allocate(c->count + 1, sizeof *c->ints, im->file->path, im->err);
    if (!c->reals && !c->ints) return CN_ERR_MEMORY;
    c->loaded = true;
    return c->real ? cn_onnx_tensor_reals(im->file, &c->tensor, c->reals, im->err)
                   : cn_onnx_tensor_ints(im->file, &c->tensor, c->ints, im->err);
}

void cn_constants_free(cn_importer *im)
{
    while (im->constants) {
        cn_onnx_constant *next = im->constants->next;
        cn_release(im->constants->reals);
        cn_release(im->constants->ints);
        cn_release(im->constants->of_batch);
        cn_release(im->constants);
        im->constants = next;
    }
}

void cn_constant_strides(const cn_onnx_constant *c, size_t *strides)
{
    size_t stride = 1;
    for (int k = c->rank - 1; k >= 0; k--) {
        strides[k] = stride;
        stride *= (size_t)c->dims[k];
    }
}

/* dataset_check.c - what the parts of a data set must be: dtype, shape and values. */
#include "data/dataset.h"

#include <math.h>
#include <string.h>

cn_status cn_check_images(const cn_tensor *images, const char *what, cn_error *err)
{
    if (images->rank != 4 || (images->dtype != CN_DTYPE_U8 && images->dtype != CN_DTYPE_F32))
        return cn_fail(err, CN_ERR_SHAPE,
                       "%s: images of rank %d and dtype %d, expected U8 or F32 (n, n_H, n_W, n_C)",
                       what, images->rank, (int)images->dtype);
    if (images->dtype != CN_DTYPE_F32 || !images->data) return CN_OK;
    const float *x = images->data;
    size_t count = cn_tensor_count(images), each = count / (size_t)images->shape[0];
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return cn_fail(err, CN_ERR_FORMAT, "%s: image %zu: element %zu is %g, not finite", what,
                           i / each, i % each, (double)x[i]);
    return CN_OK;
}

cn_status cn_check_labels(const cn_dataset_parts *parts, const char *what, cn_error *err)
{
    const int32_t *labels = parts->labels.data;
    int n = parts->images.shape[0];
    if (parts->classes < 1)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %d classes, expected at least 1", what,
                       parts->classes);
    if (parts->labels.rank != 1 || parts->labels.dtype != CN_DTYPE_I32)
        return cn_fail(err, CN_ERR_SHAPE, "%s: labels of rank %d and dtype %d, expected I32 (n)",
                       what, parts->labels.rank, (int)parts->labels.dtype);
    if (parts->labels.shape[0] != n)
        return cn_fail(err, CN_ERR_SHAPE, "%s: %d image%s, but %d label%s", what, n, cn_plural(n),
                       parts->labels.shape[0], cn_plural(parts->labels.shape[0]));
    for (int i = 0; i < n; i++)
        if (labels[i] < 0 || labels[i] >= parts->classes)
            return cn_fail(err, CN_ERR_FORMAT, "%s: label %d is %d, expected 0 to %d", what, i,
                           (int)labels[i], parts->classes - 1);
    return CN_OK;
}

cn_status cn_check_masks(const cn_dataset_parts *parts, const char *what, cn_error *err)
{
    char found[CN_SHAPE_TEXT], wanted[CN_SHAPE_TEXT];
    const cn_tensor *masks = &parts->masks;
    const uint8_t *value = masks->data;
    if (parts->classes < 1 || parts->classes > CN_MASK_IGNORED)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %d classes, expected 1 to %d", what,
                       parts->classes, (int)CN_MASK_IGNORED);
    if (masks->dtype != CN_DTYPE_U8 || masks->rank != 3 ||
        memcmp(masks->shape, parts->images.shape, 3 * sizeof(int)) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: masks %s of dtype %d, expected U8 %s", what,
                       cn_shape_text(masks->rank, masks->shape, found), (int)masks->dtype,
                       cn_shape_text(3, parts->images.shape, wanted));
    for (size_t i = 0, n = value ? cn_tensor_count(masks) : 0; i < n; i++)
        if (value[i] >= parts->classes && value[i] != CN_MASK_IGNORED)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%s: mask %zu has a pixel of %d, expected 0 to %d, or %d for no class",
                           what, i / (n / (size_t)masks->shape[0]), value[i], parts->classes - 1,
                           (int)CN_MASK_IGNORED);
    return CN_OK;
}

cn_status cn_check_targets(const cn_dataset_parts *parts, const char *what, cn_error *err)
{
    char found[CN_SHAPE_TEXT];
    const cn_tensor *t = &parts->targets;
    const float *value = t->data;
    if (parts->task != CN_TASK_MULTI_LABEL && parts->task != CN_TASK_REGRESSION)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%s: targets for task %d, expected several labels per image or regression",
                       what, (int)parts->task);
    if (t->dtype != CN_DTYPE_F32 || t->rank != 2 || t->shape[0] != parts->images.shape[0] ||
        t->shape[1] != parts->classes)
        return cn_fail(err, CN_ERR_SHAPE, "%s: targets %s of dtype %d, expected F32 (%d, %d)", what,
                       cn_shape_text(t->rank, t->shape, found), (int)t->dtype,
                       parts->images.shape[0], parts->classes);
    for (size_t i = 0, n = cn_tensor_count(t); i < n; i++) {
        bool label = value[i] == 0 || value[i] == 1;
        if (parts->task == CN_TASK_MULTI_LABEL ? !label : !isfinite(value[i]))
            return cn_fail(err, CN_ERR_FORMAT, "%s: image %zu: target %zu is %g, expected %s", what,
                           i / (size_t)parts->classes, i % (size_t)parts->classes, (double)value[i],
                           parts->task == CN_TASK_MULTI_LABEL ? "0 or 1" : "a finite number");
    }
    return CN_OK;
}

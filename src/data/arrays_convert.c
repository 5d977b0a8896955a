/* arrays_convert.c - arrays of any element made into pictures and labels. */
#include "data/arrays.h"

#include <string.h>

/* Element i as a double, which holds every label and every pixel exactly. */
static double value_at(const cn_array *array, size_t i)
{
    switch (array->about.element) {
    case CN_ELEMENT_U8: return ((const uint8_t *)array->data)[i];
    case CN_ELEMENT_U16: return ((const uint16_t *)array->data)[i];
    case CN_ELEMENT_I32: return ((const int32_t *)array->data)[i];
    case CN_ELEMENT_I64: return (double)((const int64_t *)array->data)[i];
    case CN_ELEMENT_F32: return (double)((const float *)array->data)[i];
    case CN_ELEMENT_F64: return ((const double *)array->data)[i];
    }
    return 0;
}

static cn_status to_bytes(uint8_t *out, const cn_array *array, size_t count, const char *path,
                          cn_error *err)
{
    for (size_t i = 0; i < count; i++) {
        double value = value_at(array, i);
        if (value < 0 || value > 255)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: %s: element %zu is %.17g, expected a pixel of 0 to 255", path,
                           array->about.name, i, value);
        out[i] = (uint8_t)value;
    }
    return CN_OK;
}

static void to_floats(float *out, const cn_array *array, size_t count)
{
    double scale = array->about.element == CN_ELEMENT_U16 ? 1.0 / UINT16_MAX : 1.0;
    for (size_t i = 0; i < count; i++) out[i] = (float)(value_at(array, i) * scale);
}

cn_status cn_arrays_pictures(cn_tensor *images, cn_array *array, const char *path, cn_error *err)
{
    const cn_array_about *about = &array->about;
    int shape[CN_MAX_RANK] = {about->shape[0], about->shape[1], about->shape[2],
                              about->rank == 4 ? about->shape[3] : 1};
    cn_element e = about->element;
    bool bytes = e == CN_ELEMENT_U8 || e == CN_ELEMENT_I32 || e == CN_ELEMENT_I64;
    if (e == CN_ELEMENT_U8 || e == CN_ELEMENT_F32) {
        *images = cn_tensor_view(bytes ? CN_U8 : CN_F32, 4, shape, array->data);
        images->owned = array->data;
        array->data = NULL;
        return CN_OK;
    }
    cn_tensor t = {0};
    cn_status status = cn_tensor_create(&t, bytes ? CN_U8 : CN_F32, 4, shape, err);
    size_t count = cn_tensor_count(&t);
    if (status == CN_OK && bytes) status = to_bytes(t.data, array, count, path, err);
    if (status == CN_OK && !bytes) to_floats(t.data, array, count);
    if (status != CN_OK) {
        cn_tensor_free(&t);
        return status;
    }
    cn_release(array->data);
    array->data = NULL;
    *images = t;
    return CN_OK;
}

cn_status cn_arrays_labels(cn_tensor *labels, const cn_array *array, int *most, const char *path,
                           cn_error *err)
{
    /* Names and counters are kept a class; a set with more than this is no set of classes. */
    enum { MOST_CLASSES = 65536 };
    size_t count;
    cn_tensor t = {0};
    if (!cn_array_count(&array->about, &count) || count > INT32_MAX)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %s: too many labels", path, array->about.name);
    cn_status status = cn_tensor_create(&t, CN_I32, 1, (int[]){(int)count}, err);
    for (size_t i = 0; status == CN_OK && i < count; i++) {
        double value = value_at(array, i);
        bool fits = value >= 0 && value < MOST_CLASSES && value == (double)(int)value;
        if (!fits)
            status = cn_fail(err, CN_ERR_FORMAT,
                             "%.120s: %s: label %zu is %.17g, expected a whole number of 0 to %d",
                             path, array->about.name, i, value, MOST_CLASSES - 1);
        ((int32_t *)t.data)[i] = fits ? (int32_t)value : 0;
        if (fits && value > *most) *most = (int)value;
    }
    if (status == CN_OK)
        *labels = t;
    else
        cn_tensor_free(&t);
    return status;
}

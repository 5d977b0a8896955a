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

static bool is_float(cn_element e)
{
    return e == CN_ELEMENT_F32 || e == CN_ELEMENT_F64;
}

/* Whole numbers beyond bytes that are of no usual range: the first is named. */
static cn_status refuse(const cn_array *array, size_t count, const char *path, cn_error *err)
{
    size_t i = 0;
    while (i + 1 < count && value_at(array, i) >= 0 && value_at(array, i) <= 255) i++;
    return cn_fail(
        err, CN_ERR_FORMAT,
        "%.120s: %s: element %zu is %.17g, expected a pixel of 0 to 255; range=LOW..HIGH "
        "names another range",
        path, array->about.name, i, value_at(array, i));
}

/* U8 or F32 for the values that there are. */
static cn_status choose_dtype(cn_dtype *dtype, const cn_array *array, size_t count, bool any,
                              const char *path, cn_error *err)
{
    double least = value_at(array, 0), most = least, low, high;
    for (size_t i = 0; i < count; i++) {
        double value = value_at(array, i);
        if (value < least) least = value;
        if (value > most) most = value;
    }
    *dtype = least >= 0 && most <= 255 ? CN_U8 : CN_F32;
    if (*dtype == CN_U8 || any || array->about.element == CN_ELEMENT_U16 ||
        cn_is_range_of_whole_numbers(least, most, &low, &high))
        return CN_OK;
    return refuse(array, count, path, err);
}

cn_status cn_arrays_pictures(cn_tensor *images, cn_array *array, bool any, const char *path,
                             cn_error *err)
{
    const cn_array_about *about = &array->about;
    int shape[CN_MAX_RANK] = {about->shape[0], about->shape[1], about->shape[2],
                              about->rank == 4 ? about->shape[3] : 1};
    cn_element e = about->element;
    if (e == CN_ELEMENT_U8 || e == CN_ELEMENT_F32) {
        *images = cn_tensor_view(e == CN_ELEMENT_U8 ? CN_U8 : CN_F32, 4, shape, array->data);
        images->owned = array->data;
        array->data = NULL;
        return CN_OK;
    }
    cn_tensor t = {0};
    cn_dtype dtype = CN_F32;
    size_t count = 0;
    cn_status status = CN_OK;
    if (cn_array_count(about, &count) && !is_float(e))
        status = choose_dtype(&dtype, array, count, any, path, err);
    if (status == CN_OK) status = cn_tensor_create(&t, dtype, 4, shape, err);
    if (status != CN_OK) return status;
    for (size_t i = 0; i < count; i++)
        if (dtype == CN_U8)
            ((uint8_t *)t.data)[i] = (uint8_t)value_at(array, i);
        else
            ((float *)t.data)[i] = (float)value_at(array, i);
    cn_release(array->data);
    array->data = NULL;
    *images = t;
    return CN_OK;
}

void cn_arrays_scale(cn_dataset_parts *parts)
{
    double low = parts->image_opts.low, high = parts->image_opts.high;
    size_t count = cn_tensor_count(&parts->images);
    float *x = parts->images.data;
    if (parts->images.dtype != CN_F32) return;
    for (size_t i = 0; i < count; i++) x[i] = (float)(((double)x[i] - low) * (1 / (high - low)));
    parts->image_opts.low = 0;
    parts->image_opts.high = 1;
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

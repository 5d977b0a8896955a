/* arrays_convert.c - arrays of any element made into images and labels. */
#include "data/arrays.h"

#include <math.h>
#include <string.h>

cn_status cn_arrays_refuse(const cn_array_about *about, size_t i, double value, const char *path,
                           cn_error *err)
{
    return cn_fail(
        err, CN_ERR_FORMAT,
        "%.120s: %s: element %zu is %.17g, expected a pixel of 0 to 255; range=LOW..HIGH "
        "names another range",
        path, about->name, i, value);
}

bool cn_arrays_dtype(cn_dtype *dtype, const cn_array_about *about, double least, double most,
                     bool any)
{
    double low, high;
    *dtype = least >= 0 && most <= 255 ? CN_DTYPE_U8 : CN_DTYPE_F32;
    return *dtype == CN_DTYPE_U8 || any || about->element == CN_ELEMENT_U16 ||
           cn_is_range_of_whole_numbers(least, most, &low, &high);
}

/* U8 or F32 for the values that there are. */
static cn_status choose_dtype(cn_dtype *dtype, const cn_array *array, size_t count, bool any,
                              const char *path, cn_error *err)
{
    double least = cn_array_value(array, 0), most = least;
    for (size_t i = 0; i < count; i++) {
        double value = cn_array_value(array, i);
        if (value < least) least = value;
        if (value > most) most = value;
    }
    if (cn_arrays_dtype(dtype, &array->about, least, most, any)) return CN_OK;
    size_t i = 0; /* the first that is too large */
    while (i + 1 < count && cn_array_value(array, i) >= 0 && cn_array_value(array, i) <= 255) i++;
    return cn_arrays_refuse(&array->about, i, cn_array_value(array, i), path, err);
}

void cn_arrays_shape(int shape[4], const cn_array_about *about)
{
    for (int i = 0; i < 4; i++) shape[i] = i < about->rank ? about->shape[i] : 1;
}

cn_status cn_arrays_images(cn_tensor *images, cn_array *array, bool any, const char *path,
                           cn_error *err)
{
    const cn_array_about *about = &array->about;
    int shape[CN_MAX_RANK];
    cn_arrays_shape(shape, about);
    cn_element e = about->element;
    if (e == CN_ELEMENT_U8 || e == CN_ELEMENT_F32) {
        *images =
            cn_tensor_view(e == CN_ELEMENT_U8 ? CN_DTYPE_U8 : CN_DTYPE_F32, 4, shape, array->data);
        images->owned = array->data;
        array->data = NULL;
        return CN_OK;
    }
    cn_tensor t = {0};
    cn_dtype dtype = CN_DTYPE_F32;
    size_t count = 0;
    cn_status status = CN_OK;
    if (cn_array_count(about, &count) && !cn_element_is_float(e))
        status = choose_dtype(&dtype, array, count, any, path, err);
    if (status == CN_OK) status = cn_tensor_create(&t, dtype, 4, shape, err);
    if (status != CN_OK) return status;
    for (size_t i = 0; i < count; i++)
        if (dtype == CN_DTYPE_U8)
            ((uint8_t *)t.data)[i] = (uint8_t)cn_array_value(array, i);
        else
            ((float *)t.data)[i] = (float)cn_array_value(array, i);
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
    if (parts->images.dtype != CN_DTYPE_F32) return;
    for (size_t i = 0; i < count; i++) x[i] = (float)(((double)x[i] - low) * (1 / (high - low)));
    parts->image_opts.low = 0;
    parts->image_opts.high = 1;
}

int cn_arrays_one_hot(const cn_array_about *about, int n)
{
    bool numbers = about->element != CN_ELEMENT_TEXT;
    bool rows = numbers && about->rank == 2 && about->shape[0] == n && about->shape[1] > 1;
    return rows && !(n == 1 && about->shape[1] == n) ? about->shape[1] : 0;
}

/* The place of the 1 in a row of zeros, or -1. */
static int32_t place_of_one(const cn_array *array, size_t row, int columns)
{
    int32_t place = -1;
    for (int k = 0; k < columns; k++) {
        double value = cn_array_value(array, row * (size_t)columns + (size_t)k);
        if (value == 0) continue;
        if (value != 1 || place >= 0) return -1;
        place = k;
    }
    return place;
}

/* (n, classes), but for a list (1, n) or (n, 1). */
static bool are_rows(const cn_array_about *a)
{
    return a->rank == 2 && a->shape[0] > 1 && a->shape[1] > 1;
}

bool cn_arrays_are_targets(const cn_array *array)
{
    const cn_array_about *a = &array->about;
    bool rows = are_rows(a);
    size_t n = (size_t)a->shape[0];
    if (!rows && !cn_array_count(a, &n)) return false;
    for (size_t i = 0; i < n; i++) {
        double value = rows ? place_of_one(array, i, a->shape[1]) : cn_array_value(array, i);
        if (rows ? value < 0 : value != floor(value)) return true;
    }
    return false;
}

cn_status cn_arrays_targets(cn_tensor *targets, const cn_array *array, bool *binary, cn_error *err)
{
    const cn_array_about *a = &array->about;
    const int each = are_rows(a) ? a->shape[1] : 1;
    size_t n = 0;
    if (!cn_array_count(a, &n) || n > INT32_MAX) n = 0; /* refused as an empty tensor */
    const int shape[2] = {(int)n / each, each};
    cn_status status = cn_tensor_create(targets, CN_DTYPE_F32, 2, shape, err);
    for (size_t i = 0; status == CN_OK && i < cn_tensor_count(targets); i++) {
        float value = (float)cn_array_value(array, i);
        *binary = *binary && (value == 0 || value == 1);
        ((float *)targets->data)[i] = value;
    }
    return status;
}

static cn_status read_list(int32_t *labels, const cn_array *array, size_t count, const char *path,
                           cn_error *err)
{
    for (size_t i = 0; i < count; i++) {
        double value = cn_array_value(array, i);
        if (!(value >= 0 && value <= INT32_MAX) || value != (double)(int32_t)value)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: %s: label %zu is %.17g, expected a whole number of 0 to %d",
                           path, array->about.name, i, value, INT32_MAX);
        labels[i] = (int32_t)value;
    }
    return CN_OK;
}

cn_status cn_arrays_labels(cn_tensor *labels, const cn_array *array, const char *path,
                           cn_error *err)
{
    const cn_array_about *a = &array->about;
    bool rows = are_rows(a);
    size_t count;
    cn_tensor t = {0};
    if (!cn_array_count(a, &count) || count > INT32_MAX)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %s: too many labels", path, a->name);
    if (rows) count = (size_t)a->shape[0];
    cn_status status = cn_tensor_create(&t, CN_DTYPE_I32, 1, (int[]){(int)count}, err);
    if (status == CN_OK && !rows) status = read_list(t.data, array, count, path, err);
    for (size_t i = 0; status == CN_OK && rows && i < count; i++)
        ((int32_t *)t.data)[i] = place_of_one(array, i, a->shape[1]);
    if (status == CN_OK)
        *labels = t;
    else
        cn_tensor_free(&t);
    return status;
}

cn_status cn_arrays_names(char ***names, cn_array *array, const char *path, cn_error *err)
{
    const cn_array_about *a = &array->about;
    size_t count, room = a->width + 1;
    char **list = NULL, *texts = NULL;
    if (!cn_array_count(a, &count) || count > INT32_MAX)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %s: too many labels", path, a->name);
    list = cn_allocate(count, sizeof *list, path, err);
    if (list) texts = cn_allocate(count, room, path, err);
    cn_status status = texts ? CN_OK : CN_ERR_MEMORY;
    for (size_t i = 0; status == CN_OK && i < count; i++) {
        list[i] = texts + i * room; /* which zeros end */
        memcpy(list[i], (const char *)array->data + i * a->width, a->width);
        if (!list[i][0])
            status = cn_fail(err, CN_ERR_FORMAT, "%.120s: %s: label %zu is an empty text", path,
                             a->name, i);
    }
    if (status != CN_OK) {
        cn_release(list);
        cn_release(texts);
        return status;
    }
    cn_release(array->data);
    array->data = texts;
    *names = list;
    return CN_OK;
}

/* array.c - what all files of arrays have in common. */
#include "formats/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} elements[] = {{"u1", 1}, {"u2", 2}, {"i4", 4}, {"i8", 8}, {"f4", 4}, {"f8", 8},
                {"i1", 1}, {"i2", 2}, {"u4", 4}, {"u8", 8}, {"f2", 2}, {"text", 1}};

size_t cn_array_element_size(const cn_array_about *about)
{
    return about->element == CN_ELEMENT_TEXT ? about->width : elements[about->element].size;
}

bool cn_element_is_float(cn_element element)
{
    return elements[element].name[0] == 'f';
}

const char *cn_element_name(cn_element element)
{
    return elements[element].name;
}

void cn_array_file_pass(cn_array_file *file, const char *name, const char *why)
{
    if (file->passed_over++ == 0)
        snprintf(file->passed, sizeof file->passed, "%.40s: %.110s", name, why);
}

void cn_swap_bytes(uint8_t *p, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++, p += size)
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            uint8_t kept = p[a];
            p[a] = p[b];
            p[b] = kept;
        }
}

/* 1 bit of sign, 5 of an exponent that is 15 too large, 10 of a fraction. */
double cn_half_value(uint16_t half)
{
    int exponent = half >> 10 & 31;
    double fraction = half & 1023, sign = half >> 15 ? -1.0 : 1.0;
    if (exponent == 31) return fraction > 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

double cn_array_value(const cn_array *array, size_t i)
{
    switch (array->about.element) {
    case CN_ELEMENT_U8: return ((const uint8_t *)array->data)[i];
    case CN_ELEMENT_U16: return ((const uint16_t *)array->data)[i];
    case CN_ELEMENT_I32: return ((const int32_t *)array->data)[i];
    case CN_ELEMENT_I64: return (double)((const int64_t *)array->data)[i];
    case CN_ELEMENT_F32: return (double)((const float *)array->data)[i];
    case CN_ELEMENT_F64: return ((const double *)array->data)[i];
    case CN_ELEMENT_I8: return ((const int8_t *)array->data)[i];
    case CN_ELEMENT_I16: return ((const int16_t *)array->data)[i];
    case CN_ELEMENT_U32: return ((const uint32_t *)array->data)[i];
    case CN_ELEMENT_U64: return (double)((const uint64_t *)array->data)[i];
    case CN_ELEMENT_F16: return cn_half_value(((const uint16_t *)array->data)[i]);
    case CN_ELEMENT_TEXT: break;
    }
    return (double)NAN;
}

bool cn_array_count(const cn_array_about *about, size_t *count)
{
    size_t product = 1, bytes;
    for (int i = 0; i < about->rank; i++)
        if (!cn_multiply(product, (size_t)about->shape[i], &product)) return false;
    *count = product;
    return cn_multiply(product, cn_array_element_size(about), &bytes);
}

cn_status cn_array_file_add(cn_array_file *file, const cn_array_about *about, cn_error *err)
{
    bool full = (file->count & (file->count - 1)) == 0; /* room for the next power of two */
    if (full) {
        size_t room = file->count ? 2 * (size_t)file->count : 1;
        cn_array_about *more = cn_allocate(room, sizeof *more, file->path, err);
        if (!more) return CN_ERR_MEMORY;
        if (file->count) memcpy(more, file->abouts, (size_t)file->count * sizeof *more);
        cn_release(file->abouts);
        file->abouts = more;
    }
    file->abouts[file->count++] = *about;
    return CN_OK;
}

void cn_array_file_close(cn_array_file *file)
{
    if (file->close) file->close(file);
    cn_release(file->abouts);
    for (int i = 0; file->class_names && i < file->classes; i++) cn_release(file->class_names[i]);
    cn_release(file->class_names);
    *file = (cn_array_file){.path = NULL};
}

/*
 * picture_fit.c - a picture brought to a model's size and channels.
 *
 * Each axis by itself, n_in pixels to n_out:
 *   shrinking   out[i] = sum over j of overlap(i, j) in[j], the share of [i r, (i + 1) r) that
 *               pixel j covers, r = n_in / n_out: the mean over the area
 *   growing     out[i] = (1 - t) in[j] + t in[j + 1], j + t = (i + 1/2) r - 1/2, held at the edges
 */
#include "base/base.h"

#include <math.h>

/* The input pixels that an output pixel looks at. */
typedef struct span {
    int first, last;
} span;

static double centre(int n_in, int n_out, int i)
{
    double x = (i + 0.5) * n_in / n_out - 0.5;
    return x < 0 ? 0 : x > n_in - 1 ? n_in - 1 : x;
}

static span find_span(int n_in, int n_out, int i)
{
    if (n_out < n_in) {
        int64_t begin = (int64_t)i * n_in, end = begin + n_in;
        return (span){(int)(begin / n_out), (int)((end - 1) / n_out)};
    }
    int first = (int)centre(n_in, n_out, i);
    return (span){first, first + 1 < n_in ? first + 1 : first};
}

static double weight(int n_in, int n_out, int i, int j)
{
    if (n_out >= n_in) return 1 - fabs(centre(n_in, n_out, i) - j);
    /* In units of 1 / n_out input pixels, both intervals have whole ends. */
    int64_t begin = (int64_t)i * n_in, end = begin + n_in;
    int64_t low = (int64_t)j * n_out, high = low + n_out;
    if (low < begin) low = begin;
    if (high > end) high = end;
    return (double)(high - low) / n_in;
}

/* line (n_W, n_C) = the rows of the image that make up row i of n_H, weighted. */
static void mix_rows(const cn_tensor *image, int n_H, int i, double *line)
{
    size_t width = (size_t)image->shape[1] * (size_t)image->shape[2];
    span rows = find_span(image->shape[0], n_H, i);
    for (size_t x = 0; x < width; x++) line[x] = 0;
    for (int j = rows.first; j <= rows.last; j++) {
        const uint8_t *bytes = (const uint8_t *)image->data + (size_t)j * width;
        const float *floats = (const float *)image->data + (size_t)j * width;
        double w = weight(image->shape[0], n_H, i, j);
        if (image->dtype == CN_U8)
            for (size_t x = 0; x < width; x++) line[x] += w * bytes[x];
        else
            for (size_t x = 0; x < width; x++) line[x] += w * (double)floats[x];
    }
}

/* pixel (n_C) = the columns of the line that make up column i of n_W, weighted. */
static void mix_columns(const double *line, const int *shape, int n_W, int i, double *pixel)
{
    span columns = find_span(shape[1], n_W, i);
    for (int c = 0; c < shape[2]; c++) pixel[c] = 0;
    for (int j = columns.first; j <= columns.last; j++) {
        double w = weight(shape[1], n_W, i, j);
        for (int c = 0; c < shape[2]; c++)
            pixel[c] += w * line[(size_t)j * (size_t)shape[2] + (size_t)c];
    }
}

static uint8_t to_byte(double value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* Channels: 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha, which is `opaque` by itself. */
static void convert_pixel(const double *in, int n_in, double *out, int n_out, double opaque)
{
    bool colour = n_in >= 3;
    double luma = colour ? 0.299 * in[0] + 0.587 * in[1] + 0.114 * in[2] : in[0];
    if (n_out <= 2)
        out[0] = luma;
    else
        for (int c = 0; c < 3; c++) out[c] = colour ? in[c] : in[0];
    if (n_out % 2 == 0) out[n_out - 1] = n_in % 2 == 0 ? in[n_in - 1] : opaque;
}

/* Row i of the output, from `line`. */
static void fit_row(const cn_tensor *image, const double *line, cn_tensor *out, int i)
{
    const int *shape = out->shape + 1;
    size_t at = (size_t)i * (size_t)shape[1] * (size_t)shape[2];
    bool bytes = image->dtype == CN_U8;
    for (int j = 0; j < shape[1]; j++) {
        double pixel[4], converted[4];
        mix_columns(line, image->shape, shape[1], j, pixel);
        convert_pixel(pixel, image->shape[2], converted, shape[2], bytes ? 255 : 1);
        for (int c = 0; c < shape[2]; c++, at++)
            if (bytes)
                ((uint8_t *)out->data)[at] = to_byte(converted[c]);
            else
                ((float *)out->data)[at] = (float)converted[c];
    }
}

cn_status cn_image_fit(const cn_tensor *image, const int shape[3], cn_tensor *out, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (!image || !image->data || !shape || !out)
        return cn_fail(err, CN_ERR_ARGUMENT, "image_fit: NULL argument");
    const int *in = image->shape;
    if ((image->dtype != CN_U8 && image->dtype != CN_F32) || image->rank != 3 || in[0] < 1 ||
        in[1] < 1 || in[2] < 1 || in[2] > 4)
        return cn_fail(err, CN_ERR_SHAPE,
                       "image_fit: image %s of dtype %d, expected U8 or F32 (n_H, n_W, 1 to 4)",
                       cn_shape_text(image->rank, in, text), (int)image->dtype);
    if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1 || shape[2] > 4)
        return cn_fail(err, CN_ERR_SHAPE, "image_fit: to %s, expected (n_H, n_W, 1 to 4)",
                       cn_shape_text(3, shape, text));
    double *line = cn_allocate((size_t)image->shape[1] * (size_t)image->shape[2], sizeof *line,
                               "image_fit: a row", err);
    if (!line) return CN_ERR_MEMORY;
    cn_status status = cn_tensor_output(out, image->dtype, 4,
                                        (int[]){1, shape[0], shape[1], shape[2]}, "image_fit", err);
    for (int i = 0; status == CN_OK && i < shape[0]; i++) {
        mix_rows(image, shape[0], i, line);
        fit_row(image, line, out, i);
    }
    cn_release(line);
    return status;
}

/*
 * image_fit.c - the one way in which an image comes to a model's size and channels, in training
 * and evaluation, for `convnet predict` and for whoever calls cn_image_fit.
 *
 * Orientation is the decoder's. Then, in this order:
 *
 *   alpha       v = a v + (1 - a) background, of two or four channels brought to one or three
 *   crop        the part around the center with the proportions of n_H : n_W, unless stretched
 *   resize      each axis by itself, n_in pixels to n_out
 *     shrinking   out[i] = sum over j of overlap(i, j) in[j], the share of [i r, (i + 1) r) that
 *                 pixel j covers, r = n_in / n_out: the mean over the area
 *     growing     out[i] = (1 - t) in[j] + t in[j + 1], j + t = (i + 1/2) r - 1/2, held at the
 *                 edges
 *   channels    as many stay as they are; gray from color by ITU-R BT.601 luma, color from gray
 *               three times the same. Five and more become nothing else.
 */
#include "formats/image.h"

#include <math.h>

/* ---- Weights of an axis */

/* The input pixels that an output pixel looks at. */
typedef struct span {
    int first, last;
} span;

static double center(int n_in, int n_out, int i)
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
    int first = (int)center(n_in, n_out, i);
    return (span){first, first + 1 < n_in ? first + 1 : first};
}

static double weight(int n_in, int n_out, int i, int j)
{
    if (n_out >= n_in) return 1 - fabs(center(n_in, n_out, i) - j);
    /* In units of 1 / n_out input pixels, both intervals have whole ends. */
    int64_t begin = (int64_t)i * n_in, end = begin + n_in;
    int64_t low = (int64_t)j * n_out, high = low + n_out;
    if (low < begin) low = begin;
    if (high > end) high = end;
    return (double)(high - low) / n_in;
}

/* ---- The image */

/* The part of an image that is looked at, and how. */
typedef struct fitting {
    const cn_tensor *image;
    cn_image_part part;
    int channels;      /* of a pixel once alpha is composed */
    bool composed;     /* over the background, */
    double background; /* of this value */
    bool bytes;        /* in the output; else floats in [0, 1] */
    double opaque;     /* 255 or 1 */
} fitting;

cn_image_part cn_image_fit_part(int rows, int columns, int n_H, int n_W, cn_fit_mode fit)
{
    cn_image_part part = {.height = rows, .width = columns};
    int64_t height = rows, width = columns;
    if (fit != CN_FIT_CROP) return part;
    int64_t tall = (2 * width * n_H + n_W) / (2 * (int64_t)n_W), h = tall < height ? tall : height;
    int64_t wide = (2 * height * n_W + n_H) / (2 * (int64_t)n_H), w = wide < width ? wide : width;
    part.height = h < 1 ? 1 : (int)h;
    part.width = w < 1 ? 1 : (int)w;
    part.top = (int)((height - part.height) / 2);
    part.left = (int)((width - part.width) / 2);
    return part;
}

static fitting plan(const cn_tensor *image, const int shape[3], const cn_image_opts *opts)
{
    fitting f = {
        .image = image,
        .part = cn_image_fit_part(image->shape[0], image->shape[1], shape[0], shape[1], opts->fit),
        .channels = image->shape[2],
        .composed =
            (image->shape[2] == 2 || image->shape[2] == 4) && (shape[2] == 1 || shape[2] == 3),
        .bytes = image->dtype == CN_DTYPE_U8 && !opts->deep};
    f.opaque = f.bytes ? 255 : 1;
    f.background = opts->background == CN_BACKGROUND_BLACK ? 0 : f.opaque;
    if (f.composed) f.channels--;
    return f;
}

/* Element i in the units of the output. */
static double value_at(const fitting *f, size_t i)
{
    if (f->bytes) return ((const uint8_t *)f->image->data)[i];
    if (f->image->dtype == CN_DTYPE_F32) return (double)((const float *)f->image->data)[i];
    return (double)((float)((const uint8_t *)f->image->data)[i] / 255.0f);
}

/* line (width, channels) += w times a row, from element `at` on. */
static void add_row(const fitting *f, size_t at, double w, double *line)
{
    size_t channels = (size_t)f->channels, count = (size_t)f->part.width * channels;
    if (!f->composed) {
        for (size_t x = 0; x < count; x++) line[x] += w * value_at(f, at + x);
        return;
    }
    for (int x = 0; x < f->part.width; x++, at += channels + 1)
        for (size_t c = 0; c < channels; c++) {
            double a = value_at(f, at + channels);
            double over = a * value_at(f, at + c) + (f->opaque - a) * f->background;
            *line++ += w * (over / f->opaque);
        }
}

/* line (width, channels) = the rows of the image that make up row i of n_H, weighted. */
static void mix_rows(const fitting *f, int n_H, int i, double *line)
{
    size_t columns = (size_t)f->image->shape[1], channels = (size_t)f->image->shape[2];
    span rows = find_span(f->part.height, n_H, i);
    for (size_t x = 0; x < (size_t)f->part.width * (size_t)f->channels; x++) line[x] = 0;
    for (int j = rows.first; j <= rows.last; j++) {
        size_t at = ((size_t)(f->part.top + j) * columns + (size_t)f->part.left) * channels;
        add_row(f, at, weight(f->part.height, n_H, i, j), line);
    }
}

/* pixel (channels) = the columns of the line that make up column i of n_W, weighted. */
static void mix_columns(const fitting *f, const double *line, int n_W, int i, double *pixel)
{
    span columns = find_span(f->part.width, n_W, i);
    for (int c = 0; c < f->channels; c++) pixel[c] = 0;
    for (int j = columns.first; j <= columns.last; j++) {
        double w = weight(f->part.width, n_W, i, j);
        for (int c = 0; c < f->channels; c++)
            pixel[c] += w * line[(size_t)j * (size_t)f->channels + (size_t)c];
    }
}

static uint8_t to_byte(double value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

/* Channels: 1 gray, 2 gray and alpha, 3 color, 4 color and alpha, which is `opaque` by itself. */
static void convert_pixel(const double *in, int n_in, double *out, int n_out, double opaque)
{
    bool color = n_in >= 3;
    if (n_in == n_out) {
        for (int c = 0; c < n_in; c++) out[c] = in[c];
        return;
    }
    double luma = color ? 0.299 * in[0] + 0.587 * in[1] + 0.114 * in[2] : in[0];
    if (n_out <= 2)
        out[0] = luma;
    else
        for (int c = 0; c < 3; c++) out[c] = color ? in[c] : in[0];
    if (n_out % 2 == 0) out[n_out - 1] = n_in % 2 == 0 ? in[n_in - 1] : opaque;
}

/* Row i of the output, from `line`, behind which a pixel as it comes has room, and one converted. */
static void fit_row(const fitting *f, double *line, cn_tensor *out, int i)
{
    double *pixel = line + (size_t)f->part.width * (size_t)f->channels;
    double *converted = pixel + f->channels;
    const int *shape = out->shape + 1;
    size_t at = (size_t)i * (size_t)shape[1] * (size_t)shape[2];
    for (int j = 0; j < shape[1]; j++) {
        mix_columns(f, line, shape[1], j, pixel);
        convert_pixel(pixel, f->channels, converted, shape[2], f->opaque);
        for (int c = 0; c < shape[2]; c++, at++)
            if (f->bytes)
                ((uint8_t *)out->data)[at] = to_byte(converted[c]);
            else
                ((float *)out->data)[at] = (float)converted[c];
    }
}

static bool channels_fit(int from, int to)
{
    return from == to || (from <= 4 && to <= 4);
}

cn_status cn_image_check_channels(const cn_tensor *image, int channels, const char *name,
                                  cn_error *err)
{
    int found = image->shape[2];
    if (channels_fit(found, channels)) return CN_OK;
    return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: an image of %d channel%s, expected %d", name,
                   found, cn_plural(found), channels);
}

cn_status cn_image_fit(const cn_tensor *image, const int shape[3], const cn_image_opts *opts,
                       cn_tensor *out, cn_error *err)
{
    static const cn_image_opts defaults;
    char text[CN_SHAPE_TEXT];
    if (!image || !image->data || !shape || !out)
        return cn_fail(err, CN_ERR_ARGUMENT, "image_fit: NULL argument");
    const int *in = image->shape;
    if ((image->dtype != CN_DTYPE_U8 && image->dtype != CN_DTYPE_F32) || image->rank != 3 ||
        in[0] < 1 || in[1] < 1 || in[2] < 1 || in[2] > CN_IMAGE_CHANNELS)
        return cn_fail(err, CN_ERR_SHAPE,
                       "image_fit: image %s of dtype %d, expected U8 or F32 (n_H, n_W, 1 to %d)",
                       cn_shape_text(image->rank, in, text), (int)image->dtype, CN_IMAGE_CHANNELS);
    if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1 || shape[2] > CN_IMAGE_CHANNELS)
        return cn_fail(err, CN_ERR_SHAPE, "image_fit: to %s, expected (n_H, n_W, 1 to %d)",
                       cn_shape_text(3, shape, text), CN_IMAGE_CHANNELS);
    if (!channels_fit(in[2], shape[2]))
        return cn_fail(err, CN_ERR_SHAPE, "image_fit: image %s, expected %d channel%s",
                       cn_shape_text(3, in, text), shape[2], cn_plural(shape[2]));
    fitting f = plan(image, shape, opts ? opts : &defaults);
    double *line = cn_allocate(((size_t)f.part.width + 1) * (size_t)f.channels + (size_t)shape[2],
                               sizeof *line, "image_fit: a row", err);
    if (!line) return CN_ERR_MEMORY;
    cn_status status = cn_tensor_output(out, f.bytes ? CN_DTYPE_U8 : CN_DTYPE_F32, 4,
                                        (int[]){1, shape[0], shape[1], shape[2]}, "image_fit", err);
    for (int i = 0; status == CN_OK && i < shape[0]; i++) {
        mix_rows(&f, shape[0], i, line);
        fit_row(&f, line, out, i);
    }
    cn_release(line);
    return status;
}

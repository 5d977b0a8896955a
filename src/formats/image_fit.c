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
 *                 edges of the part
 *   channels    as many stay as they are; gray from color by ITU-R BT.601 luma, color from gray
 *               three times the same. Five and more become nothing else.
 *
 * The weights of an axis are whole numbers, as the ends of all intervals are in units of 1 / n_out
 * pixels (growing: half of that), and each output's have the same sum. So the sums over bytes are
 * exact, in whatever arithmetic they are taken, and are divided once, at the end. An image that was
 * decoded reduced, z of its pixels in one, has pixels z times as wide.
 */
#include "formats/image.h"

#include <string.h>

/* ---- Weights of an axis */

/* Output i looks at the input pixels first[i] to first[i] + taps - 1 with its row of weights. */
typedef struct axis {
    int n_out, taps;
    int *first;
    double *weights; /* (n_out, taps): whole numbers */
    double total;    /* of a row */
} axis;

static void free_axis(axis *a)
{
    cn_release(a->first);
    cn_release(a->weights);
}

/* Output i is the interval from begin to end, in units of 1 / n_out pixels of the image. */
static void fill_shrinking(axis *a, int from, int length, int reduced, int n_in)
{
    const int64_t width = (int64_t)reduced * a->n_out; /* of a pixel of the tensor */
    for (int i = 0; i < a->n_out; i++) {
        int64_t begin = (int64_t)from * a->n_out + (int64_t)i * length, end = begin + length;
        int64_t first = begin / width, latest = n_in - a->taps;
        a->first[i] = (int)(first < latest ? first : latest);
        for (int t = 0; t < a->taps; t++) {
            int64_t low = (a->first[i] + t) * width, high = low + width;
            if (low < begin) low = begin;
            if (high > end) high = end;
            a->weights[(size_t)i * (size_t)a->taps + (size_t)t] =
                high > low ? (double)(high - low) : 0;
        }
    }
    a->total = length;
}

/* Output i lies at c in units of 1 / (2 n_out) pixels, counted from the part's first one. */
static void fill_growing(axis *a, int from, int length)
{
    const int64_t unit = 2 * (int64_t)a->n_out, last = unit * (length - 1);
    for (int i = 0; i < a->n_out; i++) {
        int64_t c = (2 * (int64_t)i + 1) * length - a->n_out;
        double *w = a->weights + (size_t)i * (size_t)a->taps;
        if (c < 0) c = 0;
        if (c > last) c = last;
        int j = (int)(c / unit);
        if (j > length - a->taps) j = length - a->taps;
        int64_t t = c - j * unit;
        a->first[i] = from + j;
        w[0] = (double)(unit - t);
        if (a->taps > 1) w[1] = (double)t;
    }
    a->total = (double)unit;
}

/* `length` pixels of an image become n_out; the tensor has n_in along this axis. */
static cn_status make_axis(axis *a, int n_in, int from, int length, int reduced, int n_out,
                           cn_error *err)
{
    bool shrinks = n_out < length;
    int64_t taps = 2;
    if (shrinks) taps = ((int64_t)length + n_out - 1) / n_out / reduced + 2;
    a->n_out = n_out;
    a->taps = taps > n_in ? n_in : (int)taps;
    if (!shrinks && a->taps > length) a->taps = length;
    a->first = cn_allocate((size_t)n_out, sizeof *a->first, "image_fit", err);
    a->weights = a->first ? cn_allocate((size_t)n_out * (size_t)a->taps, sizeof *a->weights,
                                        "image_fit", err)
                          : NULL;
    if (!a->weights) return CN_ERR_MEMORY;
    if (shrinks)
        fill_shrinking(a, from, length, reduced, n_in);
    else
        fill_growing(a, from, length);
    return CN_OK;
}

/* ---- The image */

/* The columns of an image that are looked at, and how. */
typedef struct fitting {
    const cn_tensor *image;
    axis rows, columns;
    int left, width;   /* the columns of the tensor that any output looks at */
    int channels;      /* of a pixel once alpha is composed */
    bool composed;     /* over the background, */
    double background; /* of this value */
    bool bytes;        /* in the output; else floats in [0, 1] */
    bool exact;        /* sums over rows are exact in single precision */
    double opaque;     /* 255 or 1 */
    void *line;        /* (width, channels): the sums over rows */
    double *pixel;     /* of the output, as it comes, and behind it converted */
} fitting;

cn_image_part cn_image_fit_part(int rows, int columns, int n_H, int n_W, const cn_image_opts *opts)
{
    cn_image_part part = {.height = rows, .width = columns};
    int64_t height = rows, width = columns, shorter = rows < columns ? rows : columns;
    int64_t resize = opts->resize;
    if (opts->fit != CN_FIT_CROP) return part;
    int64_t tall = (2 * width * n_H + n_W) / (2 * (int64_t)n_W), h = tall < height ? tall : height;
    int64_t wide = (2 * height * n_W + n_H) / (2 * (int64_t)n_H), w = wide < width ? wide : width;
    if (resize > 0) { /* smaller parts alone: there is nothing beyond the image */
        int64_t rows_of_it = (2 * n_H * shorter + resize) / (2 * resize);
        int64_t columns_of_it = (2 * n_W * shorter + resize) / (2 * resize);
        if (rows_of_it <= h && columns_of_it <= w) h = rows_of_it, w = columns_of_it;
    }
    part.height = h < 1 ? 1 : (int)h;
    part.width = w < 1 ? 1 : (int)w;
    part.top = (int)((height - part.height) / 2);
    part.left = (int)((width - part.width) / 2);
    return part;
}

static cn_status plan(fitting *f, const cn_tensor *image, const cn_image_view *view,
                      const int shape[3], const cn_image_opts *opts, cn_error *err)
{
    const cn_image_part *part = &view->part;
    /* A whole number below 2^24 is exact as a float. */
    const double exact = 16777216;
    f->image = image;
    f->channels = image->shape[2];
    f->composed =
        (image->shape[2] == 2 || image->shape[2] == 4) && (shape[2] == 1 || shape[2] == 3);
    f->bytes = image->dtype == CN_DTYPE_U8 && !opts->deep;
    f->opaque = f->bytes ? 255 : 1;
    f->background = opts->background == CN_BACKGROUND_BLACK ? 0 : f->opaque;
    if (f->composed) f->channels--;
    cn_status status =
        make_axis(&f->rows, image->shape[0], part->top, part->height, view->reduced, shape[0], err);
    if (status == CN_OK)
        status = make_axis(&f->columns, image->shape[1], part->left, part->width, view->reduced,
                           shape[1], err);
    if (status != CN_OK) return status;
    f->exact = f->bytes && !f->composed && 255 * f->rows.total < exact;
    f->left = f->columns.first[0];
    f->width = f->columns.first[shape[1] - 1] + f->columns.taps - f->left;
    f->line = cn_allocate((size_t)f->width * (size_t)f->channels,
                          f->exact ? sizeof(float) : sizeof(double), "image_fit: a row", err);
    f->pixel = f->line ? cn_allocate((size_t)f->channels + (size_t)shape[2], sizeof *f->pixel,
                                     "image_fit: a pixel", err)
                       : NULL;
    return f->pixel ? CN_OK : CN_ERR_MEMORY;
}

/* Element i in the units of the output. */
static double value_at(const fitting *f, size_t i)
{
    if (f->bytes) return ((const uint8_t *)f->image->data)[i];
    if (f->image->dtype == CN_DTYPE_F32) return (double)((const float *)f->image->data)[i];
    return (double)((float)((const uint8_t *)f->image->data)[i] / 255.0f);
}

/* The first element of the tensor's row j that is looked at. */
static size_t row_at(const fitting *f, int j)
{
    const int *in = f->image->shape;
    return ((size_t)j * (size_t)in[1] + (size_t)f->left) * (size_t)in[2];
}

/* line += w times the row that begins with element `at`. */
static void add_row(const fitting *f, size_t at, double w)
{
    size_t channels = (size_t)f->channels, count = (size_t)f->width * channels;
    double *line = f->line;
    if (!f->composed) {
        for (size_t x = 0; x < count; x++) line[x] += w * value_at(f, at + x);
        return;
    }
    for (int x = 0; x < f->width; x++, at += channels + 1)
        for (size_t c = 0; c < channels; c++) {
            double a = value_at(f, at + channels);
            double over = a * value_at(f, at + c) + (f->opaque - a) * f->background;
            *line++ += w * (over / f->opaque);
        }
}

static void add_row_exactly(size_t count, const uint8_t *restrict in, float w, float *restrict line)
{
    for (size_t x = 0; x < count; x++) line[x] += w * (float)in[x];
}

/* line = the rows of the image that make up row i of n_H, weighted. */
static void mix_rows(const fitting *f, int i)
{
    size_t count = (size_t)f->width * (size_t)f->channels;
    const double *w = f->rows.weights + (size_t)i * (size_t)f->rows.taps;
    memset(f->line, 0, count * (f->exact ? sizeof(float) : sizeof(double)));
    for (int t = 0; t < f->rows.taps; t++) {
        size_t at = row_at(f, f->rows.first[i] + t);
        if (w[t] == 0) continue;
        if (f->exact)
            add_row_exactly(count, (const uint8_t *)f->image->data + at, (float)w[t], f->line);
        else
            add_row(f, at, w[t]);
    }
}

/* pixel (channels) = the columns of the line that make up column i of n_W, weighted. */
static void mix_columns(const fitting *f, int i, double *pixel)
{
    const axis *a = &f->columns;
    const double *w = a->weights + (size_t)i * (size_t)a->taps,
                 scale = 1 / (f->rows.total * a->total);
    const size_t channels = (size_t)f->channels;
    const size_t at = (size_t)(a->first[i] - f->left) * channels;
    for (size_t c = 0; c < channels; c++) pixel[c] = 0;
    for (size_t t = 0; t < (size_t)a->taps; t++)
        for (size_t c = 0; c < channels; c++) {
            size_t from = at + t * channels + c;
            pixel[c] += w[t] * (f->exact ? (double)((const float *)f->line)[from]
                                         : ((const double *)f->line)[from]);
        }
    for (size_t c = 0; c < channels; c++) pixel[c] *= scale;
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

/* A row of bytes in color, as most are: mix_columns and to_byte of every pixel. */
static void fit_row_of_color(const fitting *f, uint8_t *restrict out)
{
    const axis *a = &f->columns;
    const double *w = a->weights, scale = 1 / (f->rows.total * a->total);
    const int n = a->n_out, taps = a->taps;
    for (int j = 0; j < n; j++, w += taps, out += 3) {
        const float *in = (const float *)f->line + (size_t)(a->first[j] - f->left) * 3;
        double r = 0, g = 0, b = 0;
        for (int t = 0; t < taps; t++, in += 3) {
            r += w[t] * (double)in[0];
            g += w[t] * (double)in[1];
            b += w[t] * (double)in[2];
        }
        out[0] = to_byte(r * scale);
        out[1] = to_byte(g * scale);
        out[2] = to_byte(b * scale);
    }
}

/* Row i of the output, from the line. */
static void fit_row(const fitting *f, cn_tensor *out, int i)
{
    double *pixel = f->pixel, *converted = pixel + f->channels;
    const int *shape = out->shape + 1;
    size_t at = (size_t)i * (size_t)shape[1] * (size_t)shape[2];
    if (f->exact && f->channels == 3 && shape[2] == 3) {
        fit_row_of_color(f, (uint8_t *)out->data + at);
        return;
    }
    for (int j = 0; j < shape[1]; j++) {
        mix_columns(f, j, pixel);
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

static cn_status check(const cn_tensor *image, const int shape[3], cn_error *err)
{
    char text[CN_SHAPE_TEXT];
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
    return CN_OK;
}

cn_status cn_image_fit_view(const cn_tensor *image, const cn_image_view *view, const int shape[3],
                            const cn_image_opts *opts, cn_tensor *out, cn_error *err)
{
    fitting f = {.line = NULL};
    cn_status status = check(image, shape, err);
    if (status == CN_OK) status = plan(&f, image, view, shape, opts, err);
    if (status == CN_OK)
        status = cn_tensor_output(out, f.bytes ? CN_DTYPE_U8 : CN_DTYPE_F32, 4,
                                  (int[]){1, shape[0], shape[1], shape[2]}, "image_fit", err);
    for (int i = 0; status == CN_OK && i < shape[0]; i++) {
        mix_rows(&f, i);
        fit_row(&f, out, i);
    }
    free_axis(&f.rows);
    free_axis(&f.columns);
    cn_release(f.line);
    cn_release(f.pixel);
    return status;
}

cn_status cn_image_fit(const cn_tensor *image, const int shape[3], const cn_image_opts *opts,
                       cn_tensor *out, cn_error *err)
{
    static const cn_image_opts defaults;
    if (!image || !image->data || !shape || !out)
        return cn_fail(err, CN_ERR_ARGUMENT, "image_fit: NULL argument");
    cn_status status = check(image, shape, err);
    if (status != CN_OK) return status;
    if (!opts) opts = &defaults;
    cn_image_aim aim = {.n_H = shape[0], .n_W = shape[1], .opts = opts};
    cn_image_view view = cn_image_view_of(image->shape[0], image->shape[1], &aim);
    return cn_image_fit_view(image, &view, shape, opts, out, err);
}

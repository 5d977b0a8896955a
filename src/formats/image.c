/* image.c - reads an image of any format the library was built with. */
#include "formats/image.h"
#include "base/signature.h"

#include <string.h>

static const cn_image_format *const formats[] = {
    &cn_image_png, &cn_image_jpeg, &cn_image_webp, &cn_image_tiff, &cn_image_gif,
    &cn_image_pnm, &cn_image_pam,  &cn_image_bmp,  NULL,
};

/* Above any image within the budget: 2^28 pixels of 16-bit RGBA. */
#define FILE_LIMIT (8 * CN_IMAGE_PIXELS)

const cn_image_format *cn_image_format_of(const uint8_t *bytes, size_t size)
{
    for (int i = 0; formats[i]; i++)
        if (formats[i]->detects(bytes, size)) return formats[i];
    return NULL;
}

cn_status cn_image_check(const char *name, size_t height, size_t width, int channels, size_t most,
                         cn_error *err)
{
    size_t pixels, samples;
    if (height < 1 || width < 1)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: an image of %zu x %zu, expected 1 x 1 or more",
                       name, height, width);
    if (!cn_multiply(height, width, &pixels) || pixels > CN_IMAGE_PIXELS)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "%.120s: an image of %zu x %zu, expected at most %zu pixels", name, height,
                       width, CN_IMAGE_PIXELS);
    if (!cn_multiply(pixels, (size_t)channels, &samples) || samples > 4 * CN_IMAGE_PIXELS)
        return cn_fail(
            err, CN_ERR_UNSUPPORTED,
            "%.120s: an image of %zu x %zu with %d channels, expected at most %zu values", name,
            height, width, channels, 4 * CN_IMAGE_PIXELS);
    if (pixels > most)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: an image of %zu x %zu in a file that can hold %zu pixels at most",
                       name, height, width, most);
    return CN_OK;
}

cn_status cn_image_refuse_lossy(const char *name, const char *format, cn_error *err)
{
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: a mask as %s, which changes values: expected one as PNG", name, format);
}

cn_status cn_image_create(cn_tensor *image, const char *name, cn_dtype dtype, size_t height,
                          size_t width, int channels, size_t most, cn_error *err)
{
    cn_status status = cn_image_check(name, height, width, channels, most, err);
    if (status != CN_OK) return status;
    return cn_tensor_create(image, dtype, 3, (int[]){(int)height, (int)width, channels}, err);
}

cn_status cn_image_decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                          cn_image_depth depth, cn_error *err)
{
    char found[CN_FOUND_TEXT], brief[CN_BRIEF_PATH];
    name = cn_brief_path(name, brief);
    const cn_image_format *format = cn_image_format_of(bytes, size);
    if (format && !format->decode)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "%.120s: a %s image, but this library was built without %s", name,
                       format->name, format->library);
    if (format) return format->decode(image, name, bytes, size, depth, err);
    if (size == 0)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte 0: expected an image, found an empty file",
                       name);
    return cn_fail(
        err, CN_ERR_UNSUPPORTED,
        "%.120s: byte 0: expected a PNG, JPEG, WebP, TIFF, GIF, BMP, PNM or PAM image, found %s",
        name, cn_bytes_found(bytes, size, found));
}

cn_image_view cn_image_view_of(int rows, int columns, const cn_image_aim *aim)
{
    cn_image_view view = {.rows = rows, .columns = columns, .reduced = 1};
    view.part = aim->framing ? aim->framing->choose(aim->framing->argument, rows, columns)
                             : cn_image_fit_part(rows, columns, aim->n_H, aim->n_W, aim->opts);
    return view;
}

static bool is_image(const uint8_t *bytes, size_t size)
{
    return cn_image_format_of(bytes, size);
}

cn_status cn_image_read(cn_tensor *image, const char *path, cn_image_depth depth, cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_status status = cn_file_read(path, FILE_LIMIT, is_image, &bytes, &size, err);
    if (status == CN_OK) status = cn_image_decode(image, path, bytes, size, depth, err);
    cn_release(bytes);
    return status;
}

static cn_status decode_for(cn_tensor *image, cn_image_view *view, const char *name,
                            const uint8_t *bytes, size_t size, const cn_image_aim *aim,
                            cn_error *err)
{
    const cn_image_format *format = cn_image_format_of(bytes, size);
    if (format && format->decode_for)
        return format->decode_for(image, view, name, bytes, size, aim, err);
    cn_image_depth depth = aim->opts->deep ? CN_IMAGE_AS_STORED : CN_IMAGE_BYTES;
    cn_status status = cn_image_decode(image, name, bytes, size, depth, err);
    if (status == CN_OK) *view = cn_image_view_of(image->shape[0], image->shape[1], aim);
    return status;
}

cn_status cn_image_read_for(cn_tensor *image, cn_image_view *view, const char *path,
                            const cn_image_aim *aim, cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_status status = cn_file_read(path, FILE_LIMIT, is_image, &bytes, &size, err);
    if (status == CN_OK) status = decode_for(image, view, path, bytes, size, aim, err);
    cn_release(bytes);
    return status;
}

cn_status cn_image_load(cn_tensor *image, const char *path, cn_error *err)
{
    cn_tensor t = {0};
    if (!image || !path) return cn_fail(err, CN_ERR_ARGUMENT, "image: NULL argument");
    cn_status status = cn_image_read(&t, path, CN_IMAGE_BYTES, err);
    if (status == CN_OK && image->data) {
        status = cn_tensor_output(image, CN_DTYPE_U8, 3, t.shape, path, err);
        if (status == CN_OK) memcpy(image->data, t.data, cn_tensor_count(&t));
    } else if (status == CN_OK) {
        *image = t;
        t = (cn_tensor){0};
    }
    cn_tensor_free(&t);
    return status;
}

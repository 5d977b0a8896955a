/*
 * mask.c - masks as files: an image whose values are classes, read as they are stored, and written
 * as PNG with a palette, or as PGM; and an image with the classes' colors over it.
 *
 * Color i of the palette is PASCAL VOC's: with the bits of i called ...b5 b4 b3 b2 b1 b0, red is
 * b0 b3 b6 from the highest bit down, green b1 b4 b7, and blue b2 b5. 255 is the lightest of them.
 */
#include "base/sink.h"
#include "formats/image.h"

#include <string.h>

static void color_of(int i, uint8_t color[3])
{
    color[0] = color[1] = color[2] = 0;
    for (int bit = 7; bit >= 0 && i > 0; bit--, i >>= 3)
        for (int c = 0; c < 3; c++) color[c] = (uint8_t)(color[c] | ((i >> c & 1) << bit));
}

/* ---- Reading */

/* The same color everywhere, and an alpha channel that differs: that has the classes, or none has. */
static bool is_in_alpha(const cn_tensor *image)
{
    size_t channels = (size_t)image->shape[2], each = cn_dtype_size(image->dtype);
    size_t color = (channels - 1) * each, pixels = cn_tensor_count(image) / channels;
    const char *first = image->data, *at = first;
    bool differs = false;
    for (size_t i = 0; channels % 2 == 0 && i < pixels; i++, at += channels * each) {
        if (memcmp(at, first, color) != 0) return false;
        differs = differs || memcmp(at + color, first + color, each) != 0;
    }
    return differs;
}

/* The first channel of an image as classes. */
static cn_status take_values(cn_tensor *mask, const cn_tensor *image, const char *path,
                             cn_error *err)
{
    size_t channels = (size_t)image->shape[2], pixels = cn_tensor_count(image) / channels;
    uint8_t *value = mask->data;
    for (size_t i = 0; i < pixels; i++) {
        if (image->dtype == CN_DTYPE_U8) {
            value[i] = ((const uint8_t *)image->data)[i * channels];
            continue;
        }
        double v = 65535 * (double)((const float *)image->data)[i * channels] + 0.5;
        if (v >= 256)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: a mask with a pixel of %.0f, expected a class of 0 to 255",
                           path, v - 0.5);
        value[i] = (uint8_t)v;
    }
    return CN_OK;
}

/* The color of class v, which is gray where nobody says it. */
static int32_t color_said(const cn_mask_colors *colors, int v)
{
    return colors ? colors->color[v] : v * 0x10101;
}

/* Do colors tell the classes of an image? Those of gray are values, unless all colors are gray. */
static bool are_meant(const cn_mask_colors *colors, const cn_tensor *image)
{
    bool meant = colors || image->shape[2] >= 3;
    for (int v = 0; colors && image->shape[2] < 3 && v < colors->count; v++)
        meant = meant && colors->color[v] % 0x10101 == 0;
    return meant;
}

/* The classes of an image's colors. `deep`: 16 bits say more than they do. */
static cn_status take_colors(cn_tensor *mask, const cn_tensor *image, bool deep,
                             const cn_mask_colors *colors, const char *path, cn_error *err)
{
    const uint8_t *x = image->data;
    const int channels = image->shape[2], step = channels >= 3,
              count = colors ? colors->count : 256;
    int v = 0; /* neighbors are mostly the same */
    for (size_t i = 0; i < cn_tensor_count(mask); i++, x += channels) {
        const int32_t color = x[0] << 16 | x[step] << 8 | x[2 * step];
        if (color != color_said(colors, v))
            for (v = 0; v < count && color != color_said(colors, v);) v++;
        if (v == count || deep)
            return cn_fail(err, CN_ERR_UNSUPPORTED,
                           "%.100s: a mask in color, with a pixel of %d,%d,%d: expected %.80s",
                           path, x[0], x[step], x[2 * step],
                           colors ? colors->path
                                  : "gray or a palette, whose values are the classes, or "
                                    "class_dict.csv or colors=FILE with name,r,g,b");
        ((uint8_t *)mask->data)[i] = (uint8_t)v;
    }
    return CN_OK;
}

cn_status cn_mask_load_colors(cn_tensor *mask, const char *path, const cn_mask_colors *colors,
                              cn_error *err)
{
    cn_tensor image = {0}, shown = {0};
    bool empty = mask && !mask->data, deep = false, meant = false;
    if (!mask || !path) return cn_fail(err, CN_ERR_ARGUMENT, "mask: NULL argument");
    cn_status status = cn_image_read(&image, path, CN_IMAGE_INDICES, err);
    if (status == CN_OK && is_in_alpha(&image))
        status = cn_fail(err, CN_ERR_UNSUPPORTED,
                         "%.120s: a mask of one color, whose alpha channel alone differs, expected "
                         "the classes in gray or a palette",
                         path);
    if (status == CN_OK && (colors || image.shape[2] >= 3)) {
        deep = image.dtype != CN_DTYPE_U8;
        if (deep || image.shape[2] < 3) status = cn_image_read(&shown, path, CN_IMAGE_BYTES, err);
    }
    const cn_tensor *seen = shown.data ? &shown : &image;
    if (status == CN_OK) status = cn_tensor_output(mask, CN_DTYPE_U8, 2, image.shape, path, err);
    if (status == CN_OK) {
        meant = are_meant(colors, seen);
        status = meant ? take_colors(mask, seen, deep && !colors, colors, path, err)
                       : take_values(mask, &image, path, err);
        if (status != CN_OK && empty) cn_tensor_free(mask);
    }
    cn_tensor_free(&image);
    cn_tensor_free(&shown);
    return status;
}

cn_status cn_mask_load(cn_tensor *mask, const char *path, cn_error *err)
{
    return cn_mask_load_colors(mask, path, NULL, err);
}

/* ---- Writing */

static cn_status check_mask(const cn_tensor *mask, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (!mask || !mask->data) return cn_fail(err, CN_ERR_ARGUMENT, "mask: NULL argument");
    if (mask->dtype == CN_DTYPE_U8 && mask->rank == 2) return CN_OK;
    return cn_fail(err, CN_ERR_SHAPE, "mask: %s of dtype %d, expected U8 (n_H, n_W)",
                   cn_shape_text(mask->rank, mask->shape, text), (int)mask->dtype);
}

#ifdef CONVNET_HAVE_PNG

#include <png.h>

static cn_status save_png(const cn_tensor *mask, const char *path, cn_error *err)
{
    uint8_t palette[3 * 256];
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)mask->shape[1],
                     .height = (png_uint_32)mask->shape[0],
                     .format = PNG_FORMAT_RGB_COLORMAP,
                     .colormap_entries = 256};
    for (int i = 0; i < 256; i++) color_of(i, palette + 3 * (size_t)i);
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png) + sizeof palette;
    uint8_t *bytes = cn_allocate(size, 1, path, err);
    cn_sink *sink = NULL;
    if (!bytes) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    if (!png_image_write_to_memory(&png, bytes, &size, 0, mask->data, 0, palette))
        status = cn_fail(err, CN_ERR_IO, "%.120s: PNG: %s", path, png.message);
    if (status == CN_OK) status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = cn_sink_write(sink, bytes, size, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    cn_release(bytes);
    return status;
}

#else

static cn_status save_png(const cn_tensor *mask, const char *path, cn_error *err)
{
    (void)mask;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: a PNG image, but this library was built without libpng "
                   "(CONVNET_PNG); .pgm it can write",
                   path);
}

#endif

cn_status cn_mask_save(const cn_tensor *mask, const char *path, cn_error *err)
{
    cn_status status =
        path ? check_mask(mask, err) : cn_fail(err, CN_ERR_ARGUMENT, "mask: NULL argument");
    if (status != CN_OK) return status;
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".png") == 0) return save_png(mask, path, err);
    const cn_tensor gray =
        cn_tensor_view(CN_DTYPE_U8, 3, (int[]){mask->shape[0], mask->shape[1], 1}, mask->data);
    return cn_image_save(&gray, path, err);
}

/* ---- Over an image */

/* Half of the image's color and half of the class's. */
static void mix(const uint8_t *pixel, int channels, int class_index, uint8_t out[3])
{
    uint8_t color[3];
    bool plain = class_index == 0 || class_index == CN_MASK_IGNORED;
    color_of(class_index, color);
    for (int c = 0; c < 3; c++) {
        int own = pixel[channels >= 3 ? c : 0];
        out[c] = (uint8_t)(plain ? own : (own + color[c] + 1) / 2);
    }
}

cn_status cn_mask_overlay(const cn_tensor *image, const cn_tensor *mask, cn_tensor *overlay,
                          cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    cn_status status = image && image->data && overlay
                           ? check_mask(mask, err)
                           : cn_fail(err, CN_ERR_ARGUMENT, "overlay: NULL argument");
    if (status != CN_OK) return status;
    if (image->dtype != CN_DTYPE_U8 || image->rank != 3 || image->shape[0] != mask->shape[0] ||
        image->shape[1] != mask->shape[1])
        return cn_fail(err, CN_ERR_SHAPE,
                       "overlay: image %s of dtype %d, expected U8 (%d, %d, n_C)",
                       cn_shape_text(image->rank, image->shape, text), (int)image->dtype,
                       mask->shape[0], mask->shape[1]);
    int channels = image->shape[2];
    const uint8_t *pixel = image->data, *value = mask->data;
    status = cn_tensor_output(overlay, CN_DTYPE_U8, 3, (int[]){mask->shape[0], mask->shape[1], 3},
                              "overlay", err);
    for (size_t i = 0, n = cn_tensor_count(mask); status == CN_OK && i < n; i++)
        mix(pixel + i * (size_t)channels, channels, value[i], (uint8_t *)overlay->data + 3 * i);
    return status;
}

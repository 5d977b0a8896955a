/*
 * image_save.c - writes an image as PNG, or as PNM (pgm(5), ppm(5)):
 *
 *   "P5" (gray) or "P6" (color), newline, width, space, height, newline, "255", newline, samples
 */
#include "base/sink.h"
#include "formats/image.h"

#include <stdio.h>
#include <string.h>

/* A file's bytes at once: none of it is seen before all of it is there. */
static cn_status write_file(const char *path, const void *head, size_t head_size, const void *body,
                            size_t body_size, cn_error *err)
{
    cn_sink *sink = NULL;
    cn_status status = cn_sink_open(&sink, path, err);
    if (status == CN_OK && head_size) status = cn_sink_write(sink, head, head_size, err);
    if (status == CN_OK) status = cn_sink_write(sink, body, body_size, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    return status;
}

static cn_status save_pnm(const cn_tensor *image, const char *path, cn_error *err)
{
    char head[64];
    int length = snprintf(head, sizeof head, "P%d\n%d %d\n255\n", image->shape[2] == 1 ? 5 : 6,
                          image->shape[1], image->shape[0]);
    return write_file(path, head, (size_t)length, image->data, cn_tensor_count(image), err);
}

#ifdef CONVNET_HAVE_PNG

#include <png.h>

static cn_status save_png(const cn_tensor *image, const char *path, cn_error *err)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)image->shape[1],
                     .height = (png_uint_32)image->shape[0],
                     .format = image->shape[2] == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *bytes = cn_allocate(size, 1, path, err);
    if (!bytes) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    if (png_image_write_to_memory(&png, bytes, &size, 0, image->data, 0, NULL))
        status = write_file(path, NULL, 0, bytes, size, err);
    else
        status = cn_fail(err, CN_ERR_IO, "%.120s: PNG: %s", path, png.message);
    cn_release(bytes);
    return status;
}

#else

static cn_status save_png(const cn_tensor *image, const char *path, cn_error *err)
{
    (void)image;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: a PNG image, but this library was built without libpng "
                   "(CONVNET_PNG); .ppm it can write",
                   path);
}

#endif

cn_status cn_image_save(const cn_tensor *image, const char *path, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (!image || !image->data || !path)
        return cn_fail(err, CN_ERR_ARGUMENT, "image: NULL argument");
    if (image->dtype != CN_DTYPE_U8 || image->rank != 3 ||
        (image->shape[2] != 1 && image->shape[2] != 3))
        return cn_fail(err, CN_ERR_SHAPE,
                       "%.120s: an image of shape %s and dtype %d, expected U8 (n_H, n_W, 1 or 3)",
                       path, cn_shape_text(image->rank, image->shape, text), (int)image->dtype);
    if (cn_ends_in(path, ".png")) return save_png(image, path, err);
    if (cn_ends_in(path, ".pnm") || cn_ends_in(path, image->shape[2] == 1 ? ".pgm" : ".ppm"))
        return save_pnm(image, path, err);
    return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: expected a name that ends in .png, .pnm or %s",
                   path, image->shape[2] == 1 ? ".pgm" : ".ppm");
}

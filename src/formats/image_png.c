/*
 * image_png.c - PNG through libpng's classic interface, with limits set before reading.
 *
 * Palettes and fewer than 8 bits are expanded, 16 bits are scaled to 8 or kept as floats, a
 * transparent color becomes an alpha channel; gamma and color profiles are left alone. Exif lies
 * in a chunk eXIf, before the pixels or after them (PNG 3, 11.3.4.5).
 */
#include "formats/image.h"

#include <string.h>

static bool detects(const uint8_t *bytes, size_t size)
{
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    return size >= sizeof signature && memcmp(bytes, signature, sizeof signature) == 0;
}

static size_t big_endian(const uint8_t *b)
{
    return (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
}

/* The first chunk: bytes 16 and 20 width and height; 24 bits per sample; 25: 0 gray, 2 color, 3
 * palette, 4 gray and alpha, 6 color and alpha (PNG 1.2, 11.2.2). A chunk is its length, its name, so
 * many bytes and a checksum; Exif is looked for in those near the beginning. */
static bool find_form(cn_image_form *form, const char *path)
{
    uint8_t head[4096];
    size_t size = 0, length;
    bool turned = false;
    if (!cn_image_read_head(path, head, sizeof head, &size) || size < 26) return false;
    for (size_t at = 8; at + 8 <= size; at += length + 12) {
        const uint8_t *chunk = head + at;
        length = big_endian(chunk);
        if (length > size - at - 8) break;
        if (memcmp(chunk + 4, "eXIf", 4) == 0) turned = cn_exif_orientation(chunk + 8, length) >= 5;
    }
    *form = (cn_image_form){.color = head[25] & 2,
                            .deep = head[24] == 16,
                            .rows = cn_image_extent(big_endian(head + (turned ? 16 : 20))),
                            .columns = cn_image_extent(big_endian(head + (turned ? 20 : 16)))};
    return true;
}

#ifdef CONVNET_HAVE_PNG

#include <png.h>
#include <setjmp.h>

/* Everything that must survive a longjmp lives here, in the frame above the one that jumps back. */
typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    size_t size, at;
    bool keep;    /* 16 bits, where there are so many */
    bool indices; /* of a palette, and samples as they are stored */
    cn_error *err;
    cn_status status;
    jmp_buf jump;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    cn_tensor image;
} reader;

static _Noreturn void failed(png_structp png, png_const_charp text)
{
    reader *r = png_get_error_ptr(png);
    r->status = cn_fail(r->err, CN_ERR_FORMAT, "%.120s: byte %zu: PNG: %s", r->name, r->at, text);
    longjmp(r->jump, 1);
}

/* Warnings concern chunks that do not change the pixels. */
static void warned(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t count)
{
    reader *r = png_get_io_ptr(png);
    if (count > r->size - r->at) png_error(png, "the file is cut short");
    memcpy(out, r->bytes + r->at, count);
    r->at += count;
}

static void set_limits(png_structp png)
{
    enum { OTHER_CHUNKS = 128, CHUNK_BYTES = 8 << 20 };
    png_set_user_limits(png, CN_IMAGE_PIXELS, CN_IMAGE_PIXELS);
    png_set_chunk_cache_max(png, OTHER_CHUNKS);
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
}

/* The header says how many bytes there are to inflate; deflate gives at most 1,032 for one. */
static size_t most_pixels(const reader *r)
{
    size_t bits = (size_t)png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
    return r->size > SIZE_MAX / (1032 * 8) ? SIZE_MAX : r->size * 1032 * 8 / bits;
}

/* A row of big-endian samples becomes floats in its own, larger, memory: from the end on. */
static void to_floats(uint8_t *row, size_t count)
{
    while (count-- > 0) {
        float value = (float)(row[2 * count] << 8 | row[2 * count + 1]) / UINT16_MAX;
        memcpy(row + sizeof value * count, &value, sizeof value);
    }
}

static int find_orientation(const reader *r)
{
#ifdef PNG_eXIf_SUPPORTED
    png_bytep bytes = NULL;
    png_uint_32 size = 0;
    if (png_get_eXIf_1(r->png, r->info, &size, &bytes) && bytes)
        return cn_exif_orientation(bytes, size);
#endif
    (void)r;
    return 1;
}

static cn_status read_image(reader *r)
{
    if (setjmp(r->jump)) return r->status;
    set_limits(r->png);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
    size_t most = most_pixels(r);
    if (r->indices)
        png_set_packing(r->png); /* a byte a sample, whose value stays */
    else
        png_set_expand(r->png);
    r->keep = r->keep && png_get_bit_depth(r->png, r->info) == 16;
    if (!r->keep) png_set_scale_16(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    size_t height = png_get_image_height(r->png, r->info);
    r->status = cn_image_create(&r->image, r->name, r->keep ? CN_DTYPE_F32 : CN_DTYPE_U8, height,
                                png_get_image_width(r->png, r->info),
                                png_get_channels(r->png, r->info), most, r->err);
    if (r->status != CN_OK) return r->status;
    r->rows = cn_allocate(height, sizeof *r->rows, r->name, r->err);
    if (!r->rows) return CN_ERR_MEMORY;
    size_t row = (size_t)r->image.shape[1] * (size_t)r->image.shape[2];
    size_t bytes = row * cn_dtype_size(r->image.dtype);
    for (size_t i = 0; i < height; i++) r->rows[i] = (png_bytep)r->image.data + i * bytes;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, r->info);
    for (size_t i = 0; r->keep && i < height; i++) to_floats(r->rows[i], row);
    return cn_image_orient(&r->image, find_orientation(r), r->name, r->err);
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    reader r = {.name = name, .bytes = bytes, .size = size, .err = err};
    r.keep = depth != CN_IMAGE_BYTES;
    r.indices = depth == CN_IMAGE_INDICES;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, failed, warned);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    r.status = r.info ? read_image(&r)
                      : cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory to read a PNG", name);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    cn_release(r.rows);
    if (r.status == CN_OK)
        *image = r.image;
    else
        cn_tensor_free(&r.image);
    return r.status;
}

#endif

const cn_image_format cn_image_png = {
    .name = "PNG",
    .library = "libpng (CONVNET_PNG)",
    .detects = detects,
    .find_form = find_form,
#ifdef CONVNET_HAVE_PNG
    .decode = decode,
#endif
};

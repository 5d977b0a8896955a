/*
 * image_gif.c - GIF (Graphics Interchange Format 89a) through giflib: the first frame.
 *
 *   byte   size   what
 *   0      6      "GIF87a" or "GIF89a"
 *   6      2      width of the canvas, and 2 its height, little-endian
 *   10     1      bit 7: a palette of 2 << (bits 0 to 2) colors follows at byte 13
 *   then          extensions, of which the one for graphics tells which color is transparent, and
 *                 the first frame: its place on the canvas, its own palette if it has one, pixels
 *
 * A palette of grays makes a gray image, and transparency an alpha channel: of a color, and of what
 * the frame leaves uncovered. No later frame is looked at.
 */
#include "formats/image.h"

#include <string.h>

static bool detects(const uint8_t *bytes, size_t size)
{
    return size >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0);
}

#ifdef CONVNET_HAVE_GIF

#include "base/source.h"

#include <gif_lib.h>

/* From memory, or front to back from a file. */
typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    size_t size, at;
    cn_source *source; /* NULL: memory */
    GifFileType *gif;
    bool indices;    /* of the palette, for a mask */
    int transparent; /* the color; -1: none */
    int channels;
    int rows, columns; /* of the canvas, which holds the frame in any case, as viewers have it */
    const ColorMapObject *palette;
} reader;

static int read_bytes(GifFileType *gif, GifByteType *out, int count)
{
    reader *r = gif->UserData;
    size_t wanted = (size_t)count, left = r->size - r->at;
    if (r->source) {
        size_t got = 0;
        cn_status status = cn_source_read_some(r->source, out, wanted, &got, NULL);
        return status == CN_OK ? (int)got : 0;
    }
    if (wanted > left) wanted = left;
    memcpy(out, r->bytes + r->at, wanted);
    r->at += wanted;
    return (int)wanted;
}

static cn_status failed(const reader *r, int code, cn_error *err)
{
    const char *text = GifErrorString(code);
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory to read a GIF", r->name);
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: GIF: %s", r->name, r->at,
                   text ? text : "the file is cut short");
}

/* ---- What precedes the pixels */

static cn_status read_extension(reader *r, cn_error *err)
{
    enum { LENGTH = 4, FLAGS = 1, COLOR = 4 };
    int code = 0;
    GifByteType *block = NULL;
    int result = DGifGetExtension(r->gif, &code, &block);
    while (result == GIF_OK && block) {
        /* A block's first byte is its length. */
        if (code == GRAPHICS_EXT_FUNC_CODE && block[0] >= LENGTH)
            r->transparent = block[FLAGS] & 1 ? block[COLOR] : -1;
        result = DGifGetExtensionNext(r->gif, &block);
    }
    return result == GIF_OK ? CN_OK : failed(r, r->gif->Error, err);
}

/* Up to the first frame. */
static cn_status find_frame(reader *r, cn_error *err)
{
    GifRecordType kind = UNDEFINED_RECORD_TYPE;
    r->transparent = -1;
    for (;;) {
        if (DGifGetRecordType(r->gif, &kind) != GIF_OK) return failed(r, r->gif->Error, err);
        if (kind == IMAGE_DESC_RECORD_TYPE) break;
        if (kind != EXTENSION_RECORD_TYPE)
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: GIF: no image in the file",
                           r->name, r->at);
        cn_status status = read_extension(r, err);
        if (status != CN_OK) return status;
    }
    return DGifGetImageDesc(r->gif) == GIF_OK ? CN_OK : failed(r, r->gif->Error, err);
}

static bool is_gray(const ColorMapObject *palette)
{
    for (int i = 0; i < palette->ColorCount; i++) {
        const GifColorType c = palette->Colors[i];
        if (c.Red != c.Green || c.Red != c.Blue) return false;
    }
    return true;
}

static int at_least(int extent, int least)
{
    return extent < least ? least : extent;
}

/* The palette, the canvas, and how many channels its colors make. */
static cn_status find_colors(reader *r, cn_error *err)
{
    const GifImageDesc *frame = &r->gif->Image;
    r->rows = at_least(r->gif->SHeight, frame->Top + frame->Height);
    r->columns = at_least(r->gif->SWidth, frame->Left + frame->Width);
    bool whole = frame->Width == r->columns && frame->Height == r->rows;
    r->palette = frame->ColorMap ? frame->ColorMap : r->gif->SColorMap;
    if (!r->palette)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: GIF: no palette", r->name, r->at);
    if (frame->Width < 1 || frame->Height < 1)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: GIF: a frame of %d x %d", r->name,
                       r->at, frame->Height, frame->Width);
    r->channels = is_gray(r->palette) ? 1 : 3;
    if (r->transparent >= 0 || !whole) r->channels++;
    if (r->indices) r->channels = 1;
    return CN_OK;
}

static cn_status open_gif(reader *r, cn_error *err)
{
    int code = 0;
    r->gif = DGifOpen(r, read_bytes, &code);
    if (!r->gif) return failed(r, code, err);
    cn_status status = find_frame(r, err);
    return status == CN_OK ? find_colors(r, err) : status;
}

static void close_gif(reader *r)
{
    int code = 0;
    if (r->gif) DGifCloseFile(r->gif, &code);
}

/* ---- Pixels */

/* A row of the frame onto its place. */
static cn_status put_row(const reader *r, cn_tensor *image, int row, const GifPixelType *line,
                         cn_error *err)
{
    const GifImageDesc *frame = &r->gif->Image;
    size_t channels = (size_t)r->channels, width = (size_t)image->shape[1];
    size_t first = (size_t)(frame->Top + row) * width + (size_t)frame->Left;
    uint8_t *out = (uint8_t *)image->data + first * channels;
    for (int x = 0; x < frame->Width; x++, out += channels) {
        int index = line[x];
        if (index >= r->palette->ColorCount)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: GIF: pixel (%d, %d) has color %d of a palette of %d", r->name,
                           row, x, index, r->palette->ColorCount);
        const GifColorType color = r->palette->Colors[index];
        out[0] = r->indices ? (uint8_t)index : color.Red;
        if (channels >= 3) {
            out[1] = color.Green;
            out[2] = color.Blue;
        }
        if (channels % 2 == 0) out[channels - 1] = index == r->transparent ? 0 : 255;
    }
    return CN_OK;
}

/* Rows of an interlaced frame come in four passes. */
static cn_status read_rows(const reader *r, cn_tensor *image, GifPixelType *line, cn_error *err)
{
    static const int begins[4] = {0, 4, 2, 1}, steps[4] = {8, 8, 4, 2};
    const GifImageDesc *frame = &r->gif->Image;
    cn_status status = CN_OK;
    for (int pass = 0; pass < (frame->Interlace ? 4 : 1); pass++) {
        int begin = frame->Interlace ? begins[pass] : 0, step = frame->Interlace ? steps[pass] : 1;
        for (int row = begin; status == CN_OK && row < frame->Height; row += step) {
            if (DGifGetLine(r->gif, line, frame->Width) != GIF_OK)
                return failed(r, r->gif->Error, err);
            status = put_row(r, image, row, line, err);
        }
    }
    return status;
}

/* For masks: what the frame leaves uncovered is of the background's color. */
static void fill(const reader *r, cn_tensor *image)
{
    if (r->indices) memset(image->data, r->gif->SBackGroundColor, cn_tensor_count(image));
}

static cn_status read_image(reader *r, cn_tensor *image, cn_error *err)
{
    /* Codes of 12 bits, each of which stands for 4,096 pixels at most. */
    size_t per_byte = 4096 * 8 / 12, most = SIZE_MAX;
    if (r->size < SIZE_MAX / per_byte) most = r->size * per_byte;
    cn_status status = open_gif(r, err);
    if (status != CN_OK) return status;
    status = cn_image_create(image, r->name, CN_DTYPE_U8, (size_t)r->rows, (size_t)r->columns,
                             r->channels, most, err);
    if (status != CN_OK) return status;
    GifPixelType *line = cn_allocate((size_t)r->gif->Image.Width, sizeof *line, r->name, err);
    if (!line) return CN_ERR_MEMORY;
    fill(r, image);
    status = read_rows(r, image, line, err);
    cn_release(line);
    return status;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    reader r = {.name = name, .bytes = bytes, .size = size, .indices = depth == CN_IMAGE_INDICES};
    cn_tensor t = {0};
    cn_status status = read_image(&r, &t, err);
    close_gif(&r);
    if (status == CN_OK)
        *image = t;
    else
        cn_tensor_free(&t);
    return status;
}

static bool find_form(cn_image_form *form, const char *path)
{
    reader r = {.name = path};
    if (cn_source_open(&r.source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return false;
    bool found = open_gif(&r, NULL) == CN_OK;
    if (found)
        *form = (cn_image_form){.color = r.channels >= 3, .rows = r.rows, .columns = r.columns};
    close_gif(&r);
    cn_source_close(r.source);
    return found;
}

#endif

const cn_image_format cn_image_gif = {
    .name = "GIF",
    .library = "giflib (CONVNET_GIF)",
    .detects = detects,
#ifdef CONVNET_HAVE_GIF
    .decode = decode,
    .find_form = find_form,
#endif
};

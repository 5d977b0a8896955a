/*
 * image_bmp.c - Windows and OS/2 bitmaps (Microsoft's BITMAPFILEHEADER, BITMAPCOREHEADER and
 * BITMAPINFOHEADER to BITMAPV5HEADER; OS/2's BITMAPINFOHEADER2). Numbers are little-endian.
 *
 *   byte   size   what
 *   0      2      "BM"
 *   10     4      where the pixels lie
 *   14     4      h, the header's size: 12 (OS/2 1), 16 or 64 (OS/2 2), 40, 52, 56, 108, 124
 *   18     4      width, and 4 height: above 0 the last row comes first, below 0 the first;
 *                 with h = 12 two bytes each, and then two bytes each of planes and bits
 *   26     2      planes, and 2 bits per pixel: 1, 2, 4, 8 of a palette, 16, 24, 32
 *   30     4      compression: 0 none, 1 RLE8, 2 RLE4, 3 bit fields, 6 the same with alpha
 *   46     4      colors in the palette; 0: all that the bits can tell apart
 *   54     4      masks of red, green, blue and alpha: behind the header where h = 40
 *   14 + h        the palette: blue, green, red and, but for h = 12, an unused byte
 *
 * A row takes a multiple of 4 bytes. Run lengths come in pairs of bytes: n > 0 and what is there n
 * times; 0 0 ends a row, 0 1 the image; 0 2 x y moves on; 0 n is followed by n pixels as they are.
 *
 * A palette of grays makes a gray image. The fourth byte of 32 bits is no alpha unless a mask says
 * so.
 */
#include "formats/image.h"

#include <string.h>

enum { FILE_HEADER = 14, CORE = 12, OS2_SHORT = 16, INFO = 40, WITH_MASKS = 52, OS2 = 64 };
enum { PLAIN, RLE8, RLE4, BIT_FIELDS, ALPHA_BIT_FIELDS = 6 };

typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    size_t size;
    size_t width, height;
    size_t behind, pixels; /* where the header ends, and these lie */
    bool top_down;
    unsigned bits, compression;
    uint32_t masks[4];
    const uint8_t *palette;
    size_t colors, entry; /* of the palette; bytes of one */
    bool indices;         /* of the palette, for a mask */
    int channels;
} reader;

static uint32_t word_at(const reader *r, size_t at, int width)
{
    uint32_t value = 0;
    while (width-- > 0) value = value << 8 | r->bytes[at + (size_t)width];
    return value;
}

static bool is_header(uint32_t size)
{
    static const uint32_t sizes[] = {CORE, OS2_SHORT, INFO, WITH_MASKS, 56, OS2, 108, 124};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (size == sizes[i]) return true;
    return false;
}

static bool detects(const uint8_t *bytes, size_t size)
{
    reader r = {.bytes = bytes};
    return size >= FILE_HEADER + 4 && bytes[0] == 'B' && bytes[1] == 'M' &&
           is_header(word_at(&r, FILE_HEADER, 4));
}

static cn_status cut_short(const reader *r, const char *what, size_t at, size_t expected,
                           cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: BMP: %s: expected %zu bytes, found %zu",
                   r->name, at, what, expected, at < r->size ? r->size - at : 0);
}

/* ---- The header */

static cn_status check_kind(const reader *r, uint32_t header, cn_error *err)
{
    unsigned bits = r->bits;
    bool fits = false;
    switch (r->compression) {
    case PLAIN:
        fits = bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 24 ||
               bits == 32;
        break;
    case RLE8: fits = bits == 8 && !r->top_down; break;
    case RLE4: fits = bits == 4 && !r->top_down; break;
    case BIT_FIELDS:
    case ALPHA_BIT_FIELDS: fits = (bits == 16 || bits == 32) && header != OS2; break;
    }
    if (fits) return CN_OK;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: BMP of %u bits with compression %u, expected 1 to 32 bits, none, RLE "
                   "or bit fields",
                   r->name, bits, r->compression);
}

static cn_status read_masks(reader *r, uint32_t header, size_t *behind, cn_error *err)
{
    static const uint32_t of_16[4] = {0x7c00, 0x3e0, 0x1f}, of_32[4] = {0xff0000, 0xff00, 0xff};
    size_t at = FILE_HEADER + INFO, count = 3;
    if (r->bits != 16 && r->bits != 32) return CN_OK;
    if (r->compression == PLAIN) {
        memcpy(r->masks, r->bits == 16 ? of_16 : of_32, sizeof r->masks);
        return CN_OK;
    }
    if (r->compression == ALPHA_BIT_FIELDS || header > WITH_MASKS) count = 4;
    if (at + 4 * count > r->size) return cut_short(r, "masks", at, 4 * count, err);
    if (header == INFO) *behind += 4 * count;
    for (size_t i = 0; i < count; i++) {
        uint32_t mask = r->masks[i] = word_at(r, at + 4 * i, 4);
        while (mask && !(mask & 1)) mask >>= 1;
        bool gap = mask & (mask + 1);
        if (gap || (i < 3 && !mask))
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: byte %zu: BMP: a mask of %08x, expected ones side by side",
                           r->name, at + 4 * i, (unsigned)r->masks[i]);
    }
    return CN_OK;
}

/* Its colors, and whether all of them are gray. */
static cn_status read_palette(reader *r, uint32_t header, size_t at, cn_error *err)
{
    size_t most = (size_t)1 << r->bits, told = header >= INFO ? word_at(r, 46, 4) : 0;
    bool gray = true;
    r->entry = header == CORE ? 3 : 4;
    r->colors = told > 0 && told < most ? told : most;
    /* Where there is less room before the pixels, there are fewer. */
    size_t room = r->pixels > at ? (r->pixels - at) / r->entry : most;
    if (room < r->colors) r->colors = room;
    if (at > r->size || r->colors > (r->size - at) / r->entry)
        return cut_short(r, "palette", at, r->colors * r->entry, err);
    r->palette = r->bytes + at;
    for (size_t i = 0; i < r->colors; i++) {
        const uint8_t *color = r->palette + i * r->entry;
        gray = gray && color[0] == color[1] && color[0] == color[2];
    }
    r->channels = gray || r->indices ? 1 : 3;
    return CN_OK;
}

static cn_status read_header(reader *r, cn_error *err)
{
    uint32_t header = word_at(r, FILE_HEADER, 4);
    size_t behind = FILE_HEADER + header;
    bool core = header == CORE;
    if (behind > r->size) return cut_short(r, "header", FILE_HEADER, header, err);
    int64_t width = (int32_t)word_at(r, 18, core ? 2 : 4);
    int64_t height = (int32_t)word_at(r, core ? 20 : 22, core ? 2 : 4);
    r->bits = word_at(r, core ? 24 : 28, 2);
    r->compression = header >= INFO ? word_at(r, 30, 4) : PLAIN;
    r->top_down = height < 0;
    if (width < 1 || height == 0)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: byte 18: BMP of width %lld and height %lld, expected 1 or more",
                       r->name, (long long)width, (long long)height);
    r->width = (size_t)width;
    r->height = (size_t)(height < 0 ? -height : height);
    r->pixels = word_at(r, 10, 4);
    cn_status status = check_kind(r, header, err);
    if (status == CN_OK) status = read_masks(r, header, &behind, err);
    if (status != CN_OK) return status;
    r->channels = r->masks[3] ? 4 : 3;
    r->behind = behind;
    return r->bits <= 8 ? read_palette(r, header, behind, err) : CN_OK;
}

static cn_status check_place(const reader *r, cn_error *err)
{
    if (r->pixels >= r->behind && r->pixels <= r->size) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: byte 10: BMP: pixels from byte %zu on, expected %zu to %zu", r->name,
                   r->pixels, r->behind, r->size);
}

/* ---- Pixels */

/* Pixel x of row y, counted from the top, is color `index` of the palette. */
static cn_status put(const reader *r, cn_tensor *image, size_t y, size_t x, unsigned index,
                     cn_error *err)
{
    size_t channels = (size_t)r->channels;
    uint8_t *out = (uint8_t *)image->data + (y * r->width + x) * channels;
    if (index >= r->colors)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: BMP: pixel (%zu, %zu) has color %u of a palette of %zu", r->name, y,
                       x, index, r->colors);
    const uint8_t *color = r->palette + index * r->entry;
    if (r->indices)
        out[0] = (uint8_t)index;
    else
        for (size_t c = 0; c < channels; c++) out[c] = color[2 - c];
    return CN_OK;
}

static uint8_t scaled(uint32_t pixel, uint32_t mask)
{
    if (!mask) return 0;
    while (!(mask & 1)) {
        mask >>= 1;
        pixel >>= 1;
    }
    return (uint8_t)(((uint64_t)(pixel & mask) * 255 + mask / 2) / mask);
}

static cn_status read_row(const reader *r, cn_tensor *image, size_t y, const uint8_t *in,
                          cn_error *err)
{
    size_t channels = (size_t)r->channels, bytes = r->bits / 8;
    uint8_t *out = (uint8_t *)image->data + y * r->width * channels;
    for (size_t x = 0; x < r->width; x++, out += channels) {
        if (r->bits <= 8) {
            size_t bit = x * r->bits;
            unsigned byte = in[bit / 8];
            unsigned index = byte >> (8 - r->bits - bit % 8) & ((1u << r->bits) - 1);
            cn_status status = put(r, image, y, x, index, err);
            if (status != CN_OK) return status;
        } else if (r->bits == 24) {
            for (size_t c = 0; c < 3; c++) out[c] = in[3 * x + 2 - c];
        } else {
            uint32_t pixel = 0;
            for (size_t b = bytes; b-- > 0;) pixel = pixel << 8 | in[x * bytes + b];
            for (size_t c = 0; c < channels; c++) out[c] = scaled(pixel, r->masks[c]);
        }
    }
    return CN_OK;
}

static cn_status read_plain(const reader *r, cn_tensor *image, size_t row, size_t stride,
                            cn_error *err)
{
    size_t all = (r->height - 1) * stride + row; /* the last need not be filled up */
    if (r->size - r->pixels < all) return cut_short(r, "pixels", r->pixels, all, err);
    for (size_t i = 0; i < r->height; i++) {
        size_t y = r->top_down ? i : r->height - 1 - i;
        cn_status status = read_row(r, image, y, r->bytes + r->pixels + i * stride, err);
        if (status != CN_OK) return status;
    }
    return CN_OK;
}

/* Where a run ends up. */
typedef struct cursor {
    size_t at;   /* in the file */
    size_t x, y; /* y from the bottom */
} cursor;

/* Pixels of a run, `count` of them: half bytes with RLE4. They come from the bytes at c->at, all
 * from the first one where it is repeated. */
static cn_status put_run(const reader *r, cn_tensor *image, cursor *c, size_t count, bool repeated,
                         cn_error *err)
{
    bool halves = r->compression == RLE4;
    size_t bytes = repeated ? 1 : halves ? (count + 1) / 2 : count;
    if (r->size - c->at < bytes) return cut_short(r, "a run", c->at, bytes, err);
    if (c->y >= r->height || count > r->width - c->x)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: byte %zu: BMP: a run of %zu pixels goes beyond the image", r->name,
                       c->at, count);
    for (size_t i = 0; i < count; i++) {
        unsigned value = r->bytes[c->at + (repeated ? 0 : halves ? i / 2 : i)];
        if (halves) value = i % 2 ? value & 15 : value >> 4;
        cn_status status = put(r, image, r->height - 1 - c->y, c->x++, value, err);
        if (status != CN_OK) return status;
    }
    /* Runs as they are fill up two bytes. */
    c->at += repeated ? 1 : bytes + bytes % 2;
    return CN_OK;
}

static cn_status read_runs(const reader *r, cn_tensor *image, cn_error *err)
{
    enum { END_OF_ROW, END, MOVE };
    cursor c = {.at = r->pixels};
    for (;;) {
        if (c.at > r->size || r->size - c.at < 2) return cut_short(r, "a run", c.at, 2, err);
        unsigned count = r->bytes[c.at], code = r->bytes[c.at + 1];
        cn_status status = CN_OK;
        c.at += count ? 1 : 2;
        if (count > 0) {
            status = put_run(r, image, &c, count, true, err);
        } else if (code == END_OF_ROW) {
            c.x = 0;
            c.y++;
        } else if (code == END) {
            return CN_OK;
        } else if (code == MOVE) {
            if (r->size - c.at < 2) return cut_short(r, "a move", c.at, 2, err);
            c.x += r->bytes[c.at];
            c.y += r->bytes[c.at + 1];
            c.at += 2;
            if (c.x > r->width || c.y >= r->height)
                status = cn_fail(err, CN_ERR_FORMAT,
                                 "%.120s: byte %zu: BMP: a move goes beyond the image", r->name,
                                 c.at - 2);
        } else {
            status = put_run(r, image, &c, code, false, err);
        }
        if (status != CN_OK) return status;
    }
}

/* What no run reaches has color 0. */
static cn_status fill(const reader *r, cn_tensor *image, cn_error *err)
{
    cn_status status = CN_OK;
    for (size_t y = 0; y < r->height; y++)
        for (size_t x = 0; status == CN_OK && x < r->width; x++)
            status = put(r, image, y, x, 0, err);
    return status;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    enum { LONGEST_RUN = 255 };
    reader r = {.name = name, .bytes = bytes, .size = size};
    cn_tensor t = {0};
    r.indices = depth == CN_IMAGE_INDICES;
    cn_status status = read_header(&r, err);
    if (status == CN_OK) status = check_place(&r, err);
    if (status != CN_OK) return status;
    bool runs = r.compression == RLE8 || r.compression == RLE4;
    size_t left = size - r.pixels, most = left * 8 / r.bits;
    if (runs) most = left / 2 * LONGEST_RUN;
    status = cn_image_create(&t, name, CN_DTYPE_U8, r.height, r.width, r.channels, most, err);
    if (status != CN_OK) return status;
    if (runs) {
        status = fill(&r, &t, err);
        if (status == CN_OK) status = read_runs(&r, &t, err);
    } else {
        size_t row = (r.width * r.bits + 7) / 8;
        status = read_plain(&r, &t, row, (row + 3) / 4 * 4, err);
    }
    if (status == CN_OK)
        *image = t;
    else
        cn_tensor_free(&t);
    return status;
}

static bool find_form(cn_image_form *form, const char *path)
{
    enum { HEAD = FILE_HEADER + 124 + 16 + 4 * 256 }; /* with the palette */
    uint8_t head[HEAD];
    reader r = {.name = path, .bytes = head};
    if (!cn_image_read_head(path, head, sizeof head, &r.size) || !detects(head, r.size) ||
        read_header(&r, NULL) != CN_OK)
        return false;
    *form = (cn_image_form){.color = r.channels >= 3,
                            .rows = cn_image_extent(r.height),
                            .columns = cn_image_extent(r.width)};
    return true;
}

const cn_image_format cn_image_bmp = {
    .name = "BMP",
    .detects = detects,
    .decode = decode,
    .find_form = find_form,
};

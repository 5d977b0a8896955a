/*
 * image_pnm.c - the portable bit, gray and color maps of netpbm (pbm(5), pgm(5), ppm(5)).
 *
 *   "P2" gray or "P3" color, samples as decimal numbers; "P5", "P6" the same, samples as bytes
 *   white space, width, white space, height, white space, greatest value (1 to 65535)
 *   one white space; then the samples, row by row. Above 255 a sample has two bytes, big-endian.
 *
 *   "P1" bits as digits, white space between them or not; "P4" eight bits per byte, the first the
 *   highest, a row filled up to whole bytes
 *   white space, width, white space, height; "P4": one white space; then the bits, 1 for black
 *
 * From # to the end of a line is a comment, in the header and between decimal numbers. Samples are
 * scaled to 0..255, rounded to the nearest, or kept as floats where 255 is not enough; those of a
 * mask are as they are stored, so that black bits are of class 1.
 */
#include "formats/image.h"

typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    size_t size, at;
    bool indices; /* of a mask */
} reader;

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(reader *r)
{
    bool comment = false;
    for (; r->at < r->size; r->at++) {
        uint8_t c = r->bytes[r->at];
        if (c == '#') comment = true;
        if (!comment && !is_space(c)) return;
        if (c == '\n' || c == '\r') comment = false;
    }
}

/* A decimal number from `low` to `high` after white space and comments. */
static cn_status read_number(reader *r, const char *what, size_t low, size_t high, size_t *out,
                             cn_error *err)
{
    skip_space(r);
    size_t begin = r->at, value = 0;
    for (; r->at < r->size && r->bytes[r->at] >= '0' && r->bytes[r->at] <= '9'; r->at++)
        if (value <= high) value = value * 10 + (size_t)(r->bytes[r->at] - '0');
    if (r->at == begin)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: %s: expected a number, found %s",
                       r->name, begin, what, begin < r->size ? "something else" : "the end");
    if (value < low || value > high)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: %s: expected %zu to %zu, found %s%zu",
                       r->name, begin, what, low, high, value > high ? "at least " : "", value);
    *out = value;
    return CN_OK;
}

/* Element i of the image = a sample of 0 to `most`. */
static void set(cn_tensor *image, size_t i, size_t value, size_t most)
{
    if (image->dtype == CN_DTYPE_U8)
        ((uint8_t *)image->data)[i] = (uint8_t)((value * 255 + most / 2) / most);
    else
        ((float *)image->data)[i] = (float)value / (float)most;
}

/* What a sample of `most` is divided by: an index is none of a scale. */
static size_t unit_of(const reader *r, size_t most)
{
    return !r->indices ? most : most > 255 ? 65535 : 255;
}

static cn_status read_plain(reader *r, cn_tensor *image, size_t most, cn_error *err)
{
    size_t count = cn_tensor_count(image);
    for (size_t i = 0; i < count; i++) {
        size_t value;
        cn_status status = read_number(r, "sample", 0, most, &value, err);
        if (status != CN_OK) return status;
        set(image, i, value, unit_of(r, most));
    }
    return CN_OK;
}

static cn_status read_raw(reader *r, cn_tensor *image, size_t most, cn_error *err)
{
    size_t count = cn_tensor_count(image), width = most > 255 ? 2 : 1;
    if ((r->size - r->at) / width < count)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected %zu bytes, found %zu",
                       r->name, r->at, count * width, r->size - r->at);
    for (size_t i = 0; i < count; i++, r->at += width) {
        size_t value = r->bytes[r->at];
        if (width == 2) value = value << 8 | r->bytes[r->at + 1];
        if (value > most)
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: sample %zu, expected 0 to %zu",
                           r->name, r->at, value, most);
        set(image, i, value, unit_of(r, most));
    }
    return CN_OK;
}

/* ---- Bits */

static void set_bit(const reader *r, cn_tensor *image, size_t i, unsigned bit)
{
    ((uint8_t *)image->data)[i] = (uint8_t)(r->indices ? bit : bit ? 0 : 255);
}

static cn_status read_digits(reader *r, cn_tensor *image, cn_error *err)
{
    size_t count = cn_tensor_count(image);
    for (size_t i = 0; i < count; i++) {
        skip_space(r);
        if (r->at == r->size || (r->bytes[r->at] != '0' && r->bytes[r->at] != '1'))
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: bit: expected 0 or 1, found %s",
                           r->name, r->at, r->at < r->size ? "something else" : "the end");
        set_bit(r, image, i, r->bytes[r->at++] == '1');
    }
    return CN_OK;
}

static cn_status read_bits(reader *r, cn_tensor *image, cn_error *err)
{
    size_t height = (size_t)image->shape[0], width = (size_t)image->shape[1];
    size_t row = (width + 7) / 8;
    if ((r->size - r->at) / row < height)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected %zu bytes, found %zu",
                       r->name, r->at, height * row, r->size - r->at);
    for (size_t y = 0; y < height; y++, r->at += row)
        for (size_t x = 0; x < width; x++) {
            unsigned byte = r->bytes[r->at + x / 8];
            set_bit(r, image, y * width + x, byte >> (7 - x % 8) & 1);
        }
    return CN_OK;
}

/* ---- Files */

static bool detects(const uint8_t *bytes, size_t size)
{
    bool magic = size >= 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6';
    return magic && (size == 2 || is_space(bytes[2]) || bytes[2] == '#');
}

typedef struct header {
    size_t width, height, most;
    bool plain, bits; /* in decimal; of 1 and 0 */
    int channels;
} header;

/* What precedes the samples; the reader is then at the first. */
static cn_status read_header(reader *r, header *h, cn_error *err)
{
    char kind = (char)r->bytes[1];
    *h = (header){.most = 1, .plain = kind <= '3', .bits = kind == '1' || kind == '4'};
    h->channels = kind == '3' || kind == '6' ? 3 : 1;
    r->at = 2;
    cn_status status = read_number(r, "width", 1, INT32_MAX, &h->width, err);
    if (status == CN_OK) status = read_number(r, "height", 1, INT32_MAX, &h->height, err);
    if (status == CN_OK && !h->bits)
        status = read_number(r, "greatest value", 1, 65535, &h->most, err);
    if (status != CN_OK) return status;
    if (r->at == r->size || !is_space(r->bytes[r->at]))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected white space", r->name,
                       r->at);
    r->at++;
    return CN_OK;
}

/* The pixels that the rest of the file has room for. */
static size_t most_pixels(const reader *r, const header *h)
{
    size_t left = r->size - r->at;
    if (h->bits) return h->plain ? left : left > SIZE_MAX / 8 ? SIZE_MAX : left * 8;
    /* A decimal sample takes two bytes, but for the last. */
    size_t sample = h->plain || h->most > 255 ? 2 : 1;
    return (left + (h->plain ? 1 : 0)) / sample / (size_t)h->channels;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    reader r = {.name = name, .bytes = bytes, .size = size};
    r.indices = depth == CN_IMAGE_INDICES;
    header h;
    cn_tensor t = {0};
    cn_status status = read_header(&r, &h, err);
    if (status != CN_OK) return status;
    bool keep = depth != CN_IMAGE_BYTES && h.most > 255;
    status = cn_image_create(&t, name, keep ? CN_DTYPE_F32 : CN_DTYPE_U8, h.height, h.width,
                             h.channels, most_pixels(&r, &h), err);
    if (status != CN_OK) return status;
    if (h.bits)
        status = h.plain ? read_digits(&r, &t, err) : read_bits(&r, &t, err);
    else
        status = h.plain ? read_plain(&r, &t, h.most, err) : read_raw(&r, &t, h.most, err);
    skip_space(&r);
    if (status == CN_OK && r.at < size)
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected the end, found more bytes",
                         name, r.at);
    if (status == CN_OK)
        *image = t;
    else
        cn_tensor_free(&t);
    return status;
}

static bool find_form(cn_image_form *form, const char *path)
{
    uint8_t head[512]; /* comments have room, too */
    reader r = {.name = path, .bytes = head};
    header h;
    if (!cn_image_read_head(path, head, sizeof head, &r.size) || !detects(head, r.size) ||
        read_header(&r, &h, NULL) != CN_OK)
        return false;
    *form = (cn_image_form){.color = h.channels == 3,
                            .deep = h.most > 255,
                            .rows = cn_image_extent(h.height),
                            .columns = cn_image_extent(h.width)};
    return true;
}

const cn_image_format cn_image_pnm = {
    .name = "PNM",
    .detects = detects,
    .decode = decode,
    .find_form = find_form,
};

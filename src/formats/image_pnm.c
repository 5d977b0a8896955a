/*
 * image_pnm.c - the portable grey and colour maps of netpbm (pgm(5), ppm(5)).
 *
 *   "P2" grey or "P3" colour, samples as decimal numbers; "P5", "P6" the same, samples as bytes
 *   white space, width, white space, height, white space, greatest value (1 to 65535)
 *   one white space; then the samples, row by row. Above 255 a sample has two bytes, big-endian.
 *
 * From # to the end of a line is a comment, in the header and between decimal numbers. Samples are
 * scaled to 0..255, rounded to the nearest, or kept as floats where 255 is not enough; those of a
 * mask are not scaled.
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

static bool detects(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 'P' &&
           (bytes[1] == '2' || bytes[1] == '3' || bytes[1] == '5' || bytes[1] == '6');
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    reader r = {.name = name, .bytes = bytes, .size = size, .at = 2};
    r.indices = depth == CN_IMAGE_INDICES;
    bool plain = bytes[1] <= '3';
    int channels = bytes[1] == '2' || bytes[1] == '5' ? 1 : 3;
    size_t width, height, most;
    cn_tensor t = {0};
    cn_status status = read_number(&r, "width", 1, INT32_MAX, &width, err);
    if (status == CN_OK) status = read_number(&r, "height", 1, INT32_MAX, &height, err);
    if (status == CN_OK) status = read_number(&r, "greatest value", 1, 65535, &most, err);
    if (status != CN_OK) return status;
    if (r.at == size || !is_space(bytes[r.at]))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected white space", name, r.at);
    r.at++;
    /* A decimal sample takes two bytes, but for the last. */
    size_t sample = plain || most > 255 ? 2 : 1;
    size_t room = (size - r.at + (plain ? 1 : 0)) / sample / (size_t)channels;
    bool keep = depth != CN_IMAGE_BYTES && most > 255;
    status = cn_image_create(&t, name, keep ? CN_DTYPE_F32 : CN_DTYPE_U8, height, width, channels,
                             room, err);
    if (status != CN_OK) return status;
    status = plain ? read_plain(&r, &t, most, err) : read_raw(&r, &t, most, err);
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

const cn_image_format cn_image_pnm = {
    .name = "PNM",
    .detects = detects,
    .decode = decode,
};

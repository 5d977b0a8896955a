/*
 * image_pam.c - netpbm's arbitrary map, pam(5).
 *
 *   "P7", newline, then a line for each of
 *     WIDTH n, HEIGHT n, DEPTH n (channels), MAXVAL n (the greatest value, 1 to 65535)
 *     TUPLTYPE word: BLACKANDWHITE, GRAYSCALE, RGB, and these with _ALPHA; or others
 *     # and a comment
 *   "ENDHDR", newline
 *   the samples, a pixel's channels side by side, row by row; above MAXVAL 255 two bytes each,
 *   big-endian
 *
 * Two and four channels have alpha where the type says so, or there is none, and are as many
 * channels of another kind otherwise.
 */
#include "formats/image.h"

#include <string.h>

enum { KEYS = 4, WORD = 64 };

typedef struct reader {
    const char *name;
    const uint8_t *bytes;
    size_t size, at;
    size_t values[KEYS]; /* by the order of `keys`; 0: not said yet */
    char type[WORD];
} reader;

enum { WIDTH, HEIGHT, DEPTH, MAXVAL };
static const struct key {
    const char *name;
    size_t most;
} keys[KEYS] = {
    {"WIDTH", INT32_MAX}, {"HEIGHT", INT32_MAX}, {"DEPTH", CN_IMAGE_CHANNELS}, {"MAXVAL", 65535}};

static bool detects(const uint8_t *bytes, size_t size)
{
    return size >= 3 && memcmp(bytes, "P7\n", 3) == 0;
}

/* ---- The header */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line, without blanks at its ends, cut to the room that there is. */
static bool next_line(reader *r, char line[WORD])
{
    const char *text = (const char *)r->bytes + r->at;
    const char *end = r->at < r->size ? memchr(text, '\n', r->size - r->at) : NULL;
    if (!end) return false;
    size_t length = (size_t)(end - text);
    r->at += length + 1;
    for (; length > 0 && is_blank(*text); length--) text++;
    while (length > 0 && is_blank(text[length - 1])) length--;
    if (length >= WORD) length = WORD - 1;
    memcpy(line, text, length);
    line[length] = 0;
    return true;
}

/* Splits a line behind its first word; what follows that. */
static char *split(char *line)
{
    char *value = line;
    while (*value && !is_blank(*value)) value++;
    while (is_blank(*value)) *value++ = 0;
    return value;
}

static cn_status read_value(reader *r, size_t at, int key, const char *text, cn_error *err)
{
    size_t value = 0;
    const char *c = text;
    for (; cn_is_digit(*c); c++)
        if (value <= keys[key].most) value = value * 10 + (size_t)(*c - '0');
    if (*c || value < 1 || value > keys[key].most)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: %s \"%.20s\", expected 1 to %zu",
                       r->name, at, keys[key].name, text, keys[key].most);
    r->values[key] = value;
    return CN_OK;
}

static cn_status read_line(reader *r, size_t at, char *line, cn_error *err)
{
    const char *value = split(line);
    for (int i = 0; i < KEYS; i++)
        if (strcmp(line, keys[i].name) == 0) return read_value(r, at, i, value, err);
    if (strcmp(line, "TUPLTYPE") != 0)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: byte %zu: \"%.20s\", expected WIDTH, HEIGHT, DEPTH, MAXVAL, "
                       "TUPLTYPE or ENDHDR",
                       r->name, at, line);
    strcpy(r->type, value);
    return CN_OK;
}

static cn_status read_header(reader *r, cn_error *err)
{
    char line[WORD];
    r->at = 3;
    for (;;) {
        size_t at = r->at;
        if (!next_line(r, line))
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: byte %zu: expected a line that ends the header (ENDHDR)",
                           r->name, at);
        if (strcmp(line, "ENDHDR") == 0) break;
        if (!line[0] || line[0] == '#') continue;
        cn_status status = read_line(r, at, line, err);
        if (status != CN_OK) return status;
    }
    for (int i = 0; i < KEYS; i++)
        if (!r->values[i])
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected a %s in the header",
                           r->name, r->at, keys[i].name);
    return CN_OK;
}

static bool ends_in_alpha(const char *type)
{
    const char *end = strstr(type, "_ALPHA");
    return end && !end[6];
}

/* Channels that are no gray or color, with alpha or without: their number, else 0. */
static int own_channels(const reader *r)
{
    size_t depth = r->values[DEPTH];
    bool usual = depth == 1 || depth == 3;
    if (depth == 2 || depth == 4) usual = !r->type[0] || ends_in_alpha(r->type);
    return usual ? 0 : (int)depth;
}

/* ---- Samples */

static cn_status read_samples(reader *r, cn_tensor *image, bool indices, cn_error *err)
{
    size_t count = cn_tensor_count(image), most = r->values[MAXVAL], width = most > 255 ? 2 : 1;
    size_t unit = !indices ? most : most > 255 ? 65535 : 255; /* an index is none of a scale */
    if ((r->size - r->at) / width < count)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected %zu bytes, found %zu",
                       r->name, r->at, count * width, r->size - r->at);
    for (size_t i = 0; i < count; i++, r->at += width) {
        size_t value = r->bytes[r->at];
        if (width == 2) value = value << 8 | r->bytes[r->at + 1];
        if (value > most)
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: sample %zu, expected 0 to %zu",
                           r->name, r->at, value, most);
        if (image->dtype == CN_DTYPE_U8)
            ((uint8_t *)image->data)[i] = (uint8_t)((value * 255 + unit / 2) / unit);
        else
            ((float *)image->data)[i] = (float)value / (float)unit;
    }
    return CN_OK;
}

static cn_status decode(cn_tensor *image, const char *name, const uint8_t *bytes, size_t size,
                        cn_image_depth depth, cn_error *err)
{
    reader r = {.name = name, .bytes = bytes, .size = size};
    cn_tensor t = {0};
    cn_status status = read_header(&r, err);
    if (status != CN_OK) return status;
    bool keep = depth != CN_IMAGE_BYTES && r.values[MAXVAL] > 255;
    size_t pixel = r.values[DEPTH] * (r.values[MAXVAL] > 255 ? 2 : 1);
    status = cn_image_create(&t, name, keep ? CN_DTYPE_F32 : CN_DTYPE_U8, r.values[HEIGHT],
                             r.values[WIDTH], (int)r.values[DEPTH], (size - r.at) / pixel, err);
    if (status != CN_OK) return status;
    status = read_samples(&r, &t, depth == CN_IMAGE_INDICES, err);
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
    uint8_t head[1024]; /* comments have room, too */
    reader r = {.name = path, .bytes = head};
    if (!cn_image_read_head(path, head, sizeof head, &r.size) || !detects(head, r.size) ||
        read_header(&r, NULL) != CN_OK)
        return false;
    *form = (cn_image_form){.color = r.values[DEPTH] >= 3,
                            .deep = r.values[MAXVAL] > 255,
                            .channels = own_channels(&r),
                            .rows = cn_image_extent(r.values[HEIGHT]),
                            .columns = cn_image_extent(r.values[WIDTH])};
    return true;
}

const cn_image_format cn_image_pam = {
    .name = "PAM",
    .detects = detects,
    .decode = decode,
    .find_form = find_form,
};

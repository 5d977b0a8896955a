/*
 * image_form.c - whether an image file has color and more than 8 bits, from its header alone.
 *
 *   PNG    bytes 16 and 20: width and height; byte 24: bits per sample; byte 25: 0 gray, 2 color, 3 palette, 4 gray and alpha, 6 color
 *          and alpha (PNG 1.2, 11.2.2)
 *   JPEG   segments FF marker length; in that of a frame (C0 to CF but C4, C8, CC): the precision,
 *          height, width, and the number of components, 1 for gray (ITU T.81, B.2.2)
 *   PNM    P2, P5 gray, P3, P6 color; more than 8 bits where the greatest value is above 255
 */
#include "base/source.h"
#include "formats/image.h"

#include <string.h>

enum { PNG_HEADER = 26, PNM_HEADER = 512 };

/* The first so many bytes, fewer where the file is shorter. */
typedef struct head {
    cn_source *source;
    uint8_t bytes[PNM_HEADER];
    size_t size;
} head;

/* Passes over bytes; false at the end of the file. */
static bool skip(cn_source *s, size_t count)
{
    uint8_t scratch[1024];
    for (size_t n; count > 0; count -= n) {
        n = count < sizeof scratch ? count : sizeof scratch;
        if (cn_source_read(s, scratch, n, "header", NULL) != CN_OK) return false;
    }
    return true;
}

/* A segment that may hold Exif data: do they turn rows into columns? */
static bool read_exif(cn_source *s, size_t size, bool *turned)
{
    static const char exif[6] = "Exif\0";
    uint8_t *bytes = cn_allocate(size, 1, "header", NULL);
    if (!bytes) return false;
    bool read = cn_source_read(s, bytes, size, "segment", NULL) == CN_OK;
    if (read && memcmp(bytes, exif, sizeof exif) == 0)
        *turned = cn_exif_orientation(bytes + sizeof exif, size - sizeof exif) >= 5;
    cn_release(bytes);
    return read;
}

/* From the second byte on. */
static bool read_jpeg(cn_source *s, cn_image_form *form)
{
    uint8_t b[8];
    bool turned = false; /* rows are shown as columns */
    for (;;) {
        if (cn_source_read(s, b, 2, "marker", NULL) != CN_OK || b[0] != 0xff) return false;
        while (b[1] == 0xff) /* any number of them may fill up */
            if (cn_source_read(s, b + 1, 1, "marker", NULL) != CN_OK) return false;
        bool frame = b[1] >= 0xc0 && b[1] <= 0xcf && b[1] != 0xc4 && b[1] != 0xc8 && b[1] != 0xcc;
        if (b[1] == 0xd9 || b[1] == 0xda) return false; /* the end, or pixels without a frame */
        uint8_t marker = b[1];
        if (cn_source_read(s, b, 2, "segment", NULL) != CN_OK) return false;
        size_t length = (size_t)b[0] << 8 | b[1];
        if (length < 2) return false;
        if (marker == 0xe1 && length > 8) {
            if (!read_exif(s, length - 2, &turned)) return false;
            continue;
        }
        if (!frame) {
            if (!skip(s, length - 2)) return false;
            continue;
        }
        if (length < 8 || cn_source_read(s, b, 6, "frame", NULL) != CN_OK) return false;
        int rows = b[1] << 8 | b[2], columns = b[3] << 8 | b[4];
        *form = (cn_image_form){.color = b[5] != 1,
                                .rows = turned ? columns : rows,
                                .columns = turned ? rows : columns};
        return true;
    }
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 0 for one that no image has. */
static int extent(size_t n)
{
    return n <= CN_IMAGE_PIXELS ? (int)n : 0;
}

static int big_endian(const uint8_t *b)
{
    return extent((size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3]);
}

/* The third number behind the magic, beyond comments. */
static bool read_pnm(const head *h, cn_image_form *form)
{
    size_t at = 2, most = 0, numbers[3] = {0};
    for (int i = 0; i < 3; i++) {
        while (at < h->size && (is_space(h->bytes[at]) || h->bytes[at] == '#'))
            if (h->bytes[at] == '#')
                while (at < h->size && h->bytes[at] != '\n' && h->bytes[at] != '\r') at++;
            else
                at++;
        most = 0;
        for (; at < h->size && h->bytes[at] >= '0' && h->bytes[at] <= '9'; at++)
            if (most <= CN_IMAGE_PIXELS) most = 10 * most + (size_t)(h->bytes[at] - '0');
        numbers[i] = most;
    }
    *form = (cn_image_form){.color = h->bytes[1] == '3' || h->bytes[1] == '6',
                            .deep = most > 255,
                            .rows = extent(numbers[1]),
                            .columns = extent(numbers[0])};
    return at < h->size;
}

bool cn_image_find_form(cn_image_form *form, const char *path)
{
    head h = {.size = 0};
    bool found = false;
    if (cn_source_open(&h.source, path, CN_SOURCE_PLAIN, NULL) != CN_OK) return false;
    if (cn_source_read(h.source, h.bytes, 2, "header", NULL) != CN_OK) goto done;
    if (cn_image_jpeg.detects((const uint8_t[]){h.bytes[0], h.bytes[1], 0xff}, 3)) {
        found = read_jpeg(h.source, form);
        goto done;
    }
    if (cn_source_read_some(h.source, h.bytes + 2, PNM_HEADER - 2, &h.size, NULL) != CN_OK)
        goto done;
    h.size += 2;
    if (h.size >= PNG_HEADER && cn_image_png.detects(h.bytes, h.size)) {
        *form = (cn_image_form){.color = h.bytes[25] & 2,
                                .deep = h.bytes[24] == 16,
                                .rows = big_endian(h.bytes + 20),
                                .columns = big_endian(h.bytes + 16)};
        found = true;
    } else if (cn_image_pnm.detects(h.bytes, h.size)) {
        found = read_pnm(&h, form);
    }
done:
    if (found && (form->rows < 1 || form->columns < 1 ||
                  (size_t)form->rows > CN_IMAGE_PIXELS / (size_t)form->columns))
        form->rows = form->columns = 0;
    cn_source_close(h.source);
    return found;
}

/*
 * image_orient.c - which way up an image is: Exif's orientation (CIPA DC-008, Exif 2.3, 4.6.4).
 *
 * Exif is a TIFF file (TIFF 6.0, section 2) inside of an image file, of which one entry counts
 * here:
 *
 *   byte      size   what
 *   0         2      "II" little-endian, "MM" big-endian: the order of bytes of all that follows
 *   2         2      42
 *   4         4      d, where the directory lies
 *   d         2      how many entries it has
 *   d + 2     12     an entry: 2 bytes tag, 2 type, 4 count, 4 value, which is at their beginning
 *   d + 14    12     the next one
 *
 * Tag 0x112, type 3 (16 bits) or 4 (32 bits), count 1: the orientation, 1 to 8. Stored row 0 and
 * column 0 are then, as a viewer shows the image,
 *
 *          1     2      3       4       5     6      7       8
 *   row    top   top    bottom  bottom  left  right  right   left
 *   column left  right  right   left    top   top    bottom  bottom
 *
 * What is damaged says nothing: the image is then as it is stored.
 */
#include "formats/image.h"

#include <string.h>

typedef struct exif {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
} exif;

/* The number of 2 or 4 bytes at an offset; *ok becomes false where it is not within the file. */
static uint32_t number_at(const exif *e, size_t at, size_t width, bool *ok)
{
    uint32_t value = 0;
    if (at > e->size || width > e->size - at) {
        *ok = false;
        return 0;
    }
    for (size_t i = 0; i < width; i++)
        value = value << 8 | e->bytes[at + (e->big_endian ? i : width - 1 - i)];
    return value;
}

int cn_exif_orientation(const uint8_t *bytes, size_t size)
{
    enum { FIRST = 2, ENTRY = 12, ORIENTATION = 0x112, SHORT = 3, LONG = 4 };
    exif e = {bytes, size, size > 0 && bytes[0] == 'M'};
    bool ok = size >= 2 && (memcmp(bytes, "II", 2) == 0 || memcmp(bytes, "MM", 2) == 0);
    if (!ok || number_at(&e, 2, 2, &ok) != 42) return 1;
    size_t directory = number_at(&e, 4, 4, &ok);
    size_t count = number_at(&e, directory, 2, &ok);
    for (size_t i = 0; ok && i < count; i++) {
        size_t at = directory + FIRST + i * ENTRY;
        if (number_at(&e, at, 2, &ok) != ORIENTATION) continue;
        uint32_t type = number_at(&e, at + 2, 2, &ok), values = number_at(&e, at + 4, 4, &ok);
        uint32_t value = number_at(&e, at + 8, type == LONG ? 4 : 2, &ok);
        bool fits = ok && (type == SHORT || type == LONG) && values == 1;
        return fits && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

cn_status cn_image_orient(cn_tensor *image, int orientation, const char *name, cn_error *err)
{
    if (orientation <= 1) return CN_OK;
    bool turned = orientation >= 5; /* rows and columns change places */
    bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    size_t rows = (size_t)image->shape[0], columns = (size_t)image->shape[1];
    size_t pixel = (size_t)image->shape[2] * cn_dtype_size(image->dtype);
    size_t height = turned ? columns : rows, width = turned ? rows : columns;
    const char *from = image->data;
    cn_tensor t = {0};
    const int shape[3] = {(int)height, (int)width, image->shape[2]};
    if (cn_tensor_create(&t, image->dtype, 3, shape, NULL) != CN_OK)
        return cn_fail(err, CN_ERR_MEMORY, "%.120s: no memory to turn the image", name);
    char *to = t.data;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++, to += pixel) {
            size_t row = turned ? x : y, column = turned ? y : x;
            if (from_bottom) row = rows - 1 - row;
            if (from_right) column = columns - 1 - column;
            memcpy(to, from + (row * columns + column) * pixel, pixel);
        }
    cn_tensor_free(image);
    *image = t;
    return CN_OK;
}

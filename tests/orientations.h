/* orientations.h - Exif data, and how an image is shown that they speak of. */
#ifndef TEST_ORIENTATIONS_H
#define TEST_ORIENTATIONS_H

#include "files.h"
#include "formats/image.h"

enum { EXIF = 44 };
static inline size_t put_number(uint8_t *to, uint32_t value, size_t width, bool big)
{
    for (size_t i = 0; i < width; i++) to[i] = (uint8_t)(value >> 8 * (big ? width - 1 - i : i));
    return width;
}

/* A directory of two entries, a width and the orientation, of type 3 or 4. */
static inline void make_exif(uint8_t exif[EXIF], uint32_t orientation, bool big, uint32_t type)
{
    const uint32_t entries[2][4] = {{0x100, 3, 1, 77}, {0x112, type, 1, orientation}};
    size_t at = 2;
    memset(exif, 0, EXIF);
    memset(exif, big ? 'M' : 'I', 2);
    at += put_number(exif + at, 42, 2, big);
    at += put_number(exif + at, 14, 4, big);
    at = 14 + put_number(exif + 14, 2, 2, big);
    for (int i = 0; i < 2; i++, at += 12) {
        put_number(exif + at, entries[i][0], 2, big);
        put_number(exif + at + 2, entries[i][1], 2, big);
        put_number(exif + at + 4, entries[i][2], 4, big);
        put_number(exif + at + 8, entries[i][3], entries[i][1] == 4 ? 4 : 2, big);
    }
}

/* A stored image of 2 x 3 pixels, and what Pillow's ImageOps.exif_transpose makes of it. */
static const uint8_t stored[6] = {10, 20, 30, 40, 50, 60};
static const struct {
    int height;
    uint8_t pixels[6];
} shown[9] = {
    {2, {10, 20, 30, 40, 50, 60}}, /* 0 is no orientation */
    {2, {10, 20, 30, 40, 50, 60}}, {2, {30, 20, 10, 60, 50, 40}}, {2, {60, 50, 40, 30, 20, 10}},
    {2, {40, 50, 60, 10, 20, 30}}, {3, {10, 40, 20, 50, 30, 60}}, {3, {40, 10, 50, 20, 60, 30}},
    {3, {60, 30, 50, 20, 40, 10}}, {3, {30, 60, 20, 50, 10, 40}},
};

/* Decodes, and compares with what is to be shown: each of its pixels is `side` x `side` large, and its
 * channels, but for alpha, are the same. */
static inline void expect_shown(const uint8_t *bytes, size_t size, uint32_t orientation, int side,
                                int channels)
{
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    if (cn_image_decode(&t, "image", bytes, size, CN_IMAGE_AS_STORED, &err) != CN_OK)
        fail_msg("%s", err.text);
    int height = shown[orientation].height, width = 6 / height;
    assert_memory_equal(t.shape, ((int[]){height * side, width * side, channels}), 12);
    int pixel = channels > 3 ? 3 : channels;
    for (int y = 0; y < height * side; y++)
        for (int x = 0; x < width * side * pixel; x++) {
            int at = (y * width * side + x / pixel) * channels + x % pixel;
            int value = t.dtype == CN_DTYPE_U8 ? ((uint8_t *)t.data)[at]
                                               : (int)(((float *)t.data)[at] * 255.0f + 0.5f);
            assert_int_equal(value, shown[orientation].pixels[y / side * width + x / pixel / side]);
        }
    cn_tensor_free(&t);
}

#endif

/*
 * crop.c - an image moved by whole pixels and mirrored: copies of rows, exact for every type.
 *
 *     out[r][c] = in[reflect(r + down)][reflect(c + right)]      or zero beyond the border
 *     out[r][c] = out[r][columns - 1 - c]                        where it is flipped
 *
 *     out[r][c] = out[c][columns - 1 - r]                        where it is turned by a quarter
 *
 * reflect mirrors at the outermost pixel, without repeating it: -1 is 1, and n is n - 2.
 */
#include "augment/augment.h"

#include <string.h>

static inline void mirror(const uint8_t *from, int count, size_t pixel, uint8_t *to)
{
    for (const uint8_t *p = from + (size_t)count * pixel; p != from; to += pixel) {
        p -= pixel;
        memcpy(to, p, pixel);
    }
}

/* `count` pixels, the last one first. A constant size lets a pixel be moved in registers. */
static void copy_mirrored(const uint8_t *from, int count, size_t pixel, uint8_t *to)
{
    switch (pixel) {
    case 1: mirror(from, count, 1, to); break;   /* gray bytes */
    case 3: mirror(from, count, 3, to); break;   /* colored bytes */
    case 4: mirror(from, count, 4, to); break;   /* gray floats */
    case 12: mirror(from, count, 12, to); break; /* colored floats */
    default: mirror(from, count, pixel, to);
    }
}

static void crop_row(const cn_crop *crop, const uint8_t *in, uint8_t *out)
{
    const int n = crop->columns, right = crop->right;
    const int first = right < 0 ? -right : 0, end = right > 0 ? n - right : n;
    const size_t pixel = crop->pixel;
    const uint8_t *inside = in + (size_t)(first + right) * pixel;
    if (crop->flip)
        copy_mirrored(inside, end - first, pixel, out + (size_t)(n - end) * pixel);
    else
        memcpy(out + (size_t)first * pixel, inside, (size_t)(end - first) * pixel);
    for (int c = first > 0 ? 0 : end; c < (first > 0 ? first : n); c++) {
        uint8_t *to = out + (size_t)(crop->flip ? n - 1 - c : c) * pixel;
        if (crop->border == CN_BORDER_REFLECT)
            memcpy(to, in + (size_t)cn_reflect(c + right, n) * pixel, pixel);
        else
            memset(to, crop->fill, pixel);
    }
}

/* Pixel by pixel: of the turned image, where the one before has it, and then where `in` has it. */
static void crop_turned(const cn_crop *crop, const uint8_t *in, uint8_t *out)
{
    const int rows = crop->rows, columns = crop->columns;
    for (int at = 0; at < rows * columns; at++, out += crop->pixel) {
        int r = at / columns, c = at % columns;
        if (crop->turns & 2) {
            r = rows - 1 - r;
            c = columns - 1 - c;
        }
        if (crop->turns & 1) {
            int before = r;
            r = c;
            c = columns - 1 - before;
        }
        r += crop->down;
        c = (crop->flip ? columns - 1 - c : c) + crop->right;
        bool outside = r < 0 || r >= rows || c < 0 || c >= columns;
        if (outside && crop->border == CN_BORDER_ZERO) {
            memset(out, crop->fill, crop->pixel);
            continue;
        }
        if (outside) {
            r = cn_reflect(r, rows);
            c = cn_reflect(c, columns);
        }
        memcpy(out, in + ((size_t)r * (size_t)columns + (size_t)c) * crop->pixel, crop->pixel);
    }
}

void cn_crop_image(const cn_crop *crop, const void *in, void *out)
{
    if (crop->turns > 0) {
        crop_turned(crop, in, out);
        return;
    }
    const size_t row = (size_t)crop->columns * crop->pixel;
    for (int r = 0; r < crop->rows; r++) {
        int from = r + crop->down;
        bool outside = from < 0 || from >= crop->rows;
        uint8_t *to = (uint8_t *)out + (size_t)r * row;
        if (outside && crop->border == CN_BORDER_ZERO)
            memset(to, crop->fill, row);
        else
            crop_row(crop, (const uint8_t *)in + (size_t)cn_reflect(from, crop->rows) * row, to);
    }
}

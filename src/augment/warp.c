/*
 * warp.c - an image turned, enlarged and moved at once: one bilinear look-up a pixel.
 *
 * With positions relative to the center of the image, rows counted downwards, the pixel of `out`
 * at (r, c) comes from
 *
 *     r_in = ( cos(angle) (r - down) + sin(angle) (c - right)) / scale
 *     c_in = (-sin(angle) (r - down) + cos(angle) (c - right)) / scale
 *
 * and is interpolated between the four pixels around that place:
 *
 *     a b      out = (1 - v) ((1 - u) a + u b) + v ((1 - u) c + u d)
 *     c d      u, v = the fractions of c_in and r_in
 *
 * Positions are whole multiples of 2^-16: so quarter turns and moves by whole pixels are exact, and
 * a row is walked through by adding.
 */
#include "augment/augment.h"

#include "base/math.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { BITS = 16, ONE = 1 << BITS };

int cn_reflect(int64_t i, int n)
{
    const int64_t period = n > 1 ? 2 * ((int64_t)n - 1) : 1;
    i = (i < 0 ? -i : i) % period;
    return (int)(i < n ? i : period - i);
}

typedef struct plane {
    const float *x;
    int rows, columns;
    cn_border border;
} plane;

/* The pixel at (r, c), which may lie outside; NULL stands for zeros. */
static const float *pixel_at(const plane *p, int64_t r, int64_t c, int channels)
{
    bool outside = r < 0 || r >= p->rows || c < 0 || c >= p->columns;
    if (outside && p->border == CN_BORDER_ZERO) return NULL;
    size_t row = (size_t)cn_reflect(r, p->rows), column = (size_t)cn_reflect(c, p->columns);
    return p->x + (row * (size_t)p->columns + column) * (size_t)channels;
}

/* Where some of the four pixels lie outside. */
static void border_pixel(const plane *p, int64_t r, int64_t c, float v, float u, int channels,
                         float *out)
{
    const float *corner[4] = {pixel_at(p, r, c, channels), pixel_at(p, r, c + 1, channels),
                              pixel_at(p, r + 1, c, channels), pixel_at(p, r + 1, c + 1, channels)};
    for (int k = 0; k < channels; k++) {
        float a = corner[0] ? corner[0][k] : 0, b = corner[1] ? corner[1][k] : 0;
        float d = corner[2] ? corner[2][k] : 0, e = corner[3] ? corner[3][k] : 0;
        out[k] = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * e);
    }
}

/* A row of outputs whose first pixel comes from (r, c), the next from (r + dr, c + dc). */
INLINE void warp_row(const plane *p, int64_t r, int64_t c, int64_t dr, int64_t dc, int channels,
                     float *out)
{
    const size_t row = (size_t)p->columns * (size_t)channels;
    for (int i = 0; i < p->columns; i++, r += dr, c += dc, out += channels) {
        int64_t r0 = r >> BITS, c0 = c >> BITS;
        float v = (float)(r & (ONE - 1)) / ONE, u = (float)(c & (ONE - 1)) / ONE;
        if (r0 < 0 || r0 >= p->rows - 1 || c0 < 0 || c0 >= p->columns - 1) {
            border_pixel(p, r0, c0, v, u, channels, out);
            continue;
        }
        const float *above = p->x + (size_t)r0 * row + (size_t)(c0 * channels);
        const float *below = above + row;
        for (int k = 0; k < channels; k++)
            out[k] = (1 - v) * ((1 - u) * above[k] + u * above[k + channels]) +
                     v * ((1 - u) * below[k] + u * below[k + channels]);
    }
}

static int64_t fixed(double x)
{
    return llround(x * ONE);
}

void cn_warp_image(const cn_warp *warp, const int shape[3], cn_border border, const float *in,
                   float *out)
{
    const plane p = {.x = in, .rows = shape[0], .columns = shape[1], .border = border};
    const double cosine = cn_cos(warp->angle) / warp->scale,
                 sine = cn_sin(warp->angle) / warp->scale;
    const double middle_r = 0.5 * (shape[0] - 1), middle_c = 0.5 * (shape[1] - 1);
    const int64_t dr = fixed(sine), dc = fixed(cosine);
    for (int i = 0; i < shape[0]; i++, out += (size_t)shape[1] * (size_t)shape[2]) {
        double down = i - middle_r - warp->down, right = -middle_c - warp->right;
        int64_t r = fixed(cosine * down + sine * right + middle_r);
        int64_t c = fixed(-sine * down + cosine * right + middle_c);
        switch (shape[2]) {
        case 1: warp_row(&p, r, c, dr, dc, 1, out); break;
        case 3: warp_row(&p, r, c, dr, dc, 3, out); break;
        default: warp_row(&p, r, c, dr, dc, shape[2], out);
        }
    }
}

void cn_warp_mask(const cn_warp *warp, int rows, int columns, cn_border border, const uint8_t *in,
                  uint8_t *out)
{
    const double cosine = cn_cos(warp->angle) / warp->scale,
                 sine = cn_sin(warp->angle) / warp->scale;
    const double middle_r = 0.5 * (rows - 1), middle_c = 0.5 * (columns - 1);
    const int64_t dr = fixed(sine), dc = fixed(cosine);
    for (int i = 0; i < rows; i++) {
        double down = i - middle_r - warp->down, right = -middle_c - warp->right;
        int64_t r = fixed(cosine * down + sine * right + middle_r) + ONE / 2;
        int64_t c = fixed(-sine * down + cosine * right + middle_c) + ONE / 2;
        for (int j = 0; j < columns; j++, r += dr, c += dc) {
            int64_t row = r >> BITS, column = c >> BITS;
            bool outside = row < 0 || row >= rows || column < 0 || column >= columns;
            if (outside && border == CN_BORDER_ZERO)
                *out++ = CN_MASK_IGNORED;
            else
                *out++ = in[(size_t)cn_reflect(row, rows) * (size_t)columns +
                            (size_t)cn_reflect(column, columns)];
        }
    }
}

/* shapes.h - circles, squares and triangles on textured ground, and their masks. */
#ifndef TEST_SHAPES_H
#define TEST_SHAPES_H

#include "convnet.h"

#include <math.h>
#include <stdint.h>

/* 0 ground, 1 circle, 2 square, 3 triangle. */
enum { SHAPES_CLASSES = 4 };

typedef struct shapes_figure {
    int kind;
    double row, column, radius, angle, color[3];
} shapes_figure;

static inline double shapes_draw(cn_rng *rng, double low, double high)
{
    return low + (high - low) * cn_rng_rand(rng);
}

/* Is a point in a figure? The triangle has equal sides. */
static inline bool shapes_inside(const shapes_figure *f, double row, double column)
{
    double y = row - f->row, x = column - f->column;
    double u = cos(f->angle) * x + sin(f->angle) * y, v = cos(f->angle) * y - sin(f->angle) * x;
    if (f->kind == 1) return x * x + y * y < f->radius * f->radius;
    if (f->kind == 2) return fmax(fabs(u), fabs(v)) < 0.85 * f->radius;
    return v < 0.6 * f->radius && v > 1.7321 * fabs(u) - 1.2 * f->radius;
}

/* image (size, size, 3) and mask (size, size): one to three figures, the later over the earlier,
 * each of a color that differs from the ground's. */
static inline void shapes_fill(cn_rng *rng, int size, uint8_t *image, uint8_t *mask)
{
    shapes_figure figures[3];
    double ground[3], wave[2] = {shapes_draw(rng, 0.2, 0.9), shapes_draw(rng, 0.2, 0.9)};
    int count = (int)cn_rng_randint(rng, 1, 4);
    for (int c = 0; c < 3; c++) ground[c] = shapes_draw(rng, 40, 215);
    for (int i = 0; i < count; i++) {
        shapes_figure *f = &figures[i];
        f->kind = (int)cn_rng_randint(rng, 1, SHAPES_CLASSES);
        f->radius = shapes_draw(rng, 0.14, 0.24) * size;
        f->row = shapes_draw(rng, f->radius, size - f->radius);
        f->column = shapes_draw(rng, f->radius, size - f->radius);
        f->angle = shapes_draw(rng, 0, 6.2832);
        for (int c = 0; c < 3; c++)
            f->color[c] = ground[c] + (ground[c] < 128 ? 1 : -1) * shapes_draw(rng, 45, 110);
    }
    for (int r = 0; r < size; r++)
        for (int c = 0; c < size; c++) {
            const shapes_figure *top = NULL;
            for (int i = 0; i < count; i++)
                if (shapes_inside(&figures[i], r, c)) top = &figures[i];
            double texture = 14 * sin(wave[0] * r) * sin(wave[1] * c);
            *mask++ = (uint8_t)(top ? top->kind : 0);
            for (int k = 0; k < 3; k++) {
                double value =
                    (top ? top->color[k] : ground[k] + texture) + shapes_draw(rng, -16, 16);
                *image++ = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
        }
}

#endif

/* The operations that augmentation is made of, each exactly as its head comment says. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "augment/augment.h"

/* ---- crop and flip */

/* What numpy.pad(mode="reflect") puts at i of n. */
static int mirrored(int i, int n)
{
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

/* The byte that cn_crop_image should write at (r, c), byte k of the pixel. */
static uint8_t cropped(const cn_crop *crop, const uint8_t *in, int r, int c, size_t k)
{
    int row = r + crop->down, column = (crop->flip ? crop->columns - 1 - c : c) + crop->right;
    if (crop->border == CN_BORDER_ZERO &&
        (row < 0 || row >= crop->rows || column < 0 || column >= crop->columns))
        return 0;
    row = mirrored(row, crop->rows);
    column = mirrored(column, crop->columns);
    return in[(size_t)(row * crop->columns + column) * crop->pixel + k];
}

static void a_crop_moves_mirrors_and_fills(void **state)
{
    enum { ROWS = 5, COLUMNS = 7, MOST = 16 };
    static const size_t pixels[] = {1, 2, 3, 4, 5, 12, 16};
    uint8_t in[ROWS * COLUMNS * MOST], out[ROWS * COLUMNS * MOST + 1];
    (void)state;
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)(1 + i % 251);
    for (size_t p = 0; p < sizeof pixels / sizeof *pixels; p++)
        for (int border = 0; border < 2; border++)
            for (int flip = 0; flip < 2; flip++)
                for (int down = 1 - ROWS; down < ROWS; down++)
                    for (int right = 1 - COLUMNS; right < COLUMNS; right++) {
                        cn_crop crop = {.rows = ROWS,
                                        .columns = COLUMNS,
                                        .pixel = pixels[p],
                                        .border = (cn_border)border,
                                        .down = down,
                                        .right = right,
                                        .flip = flip};
                        size_t bytes = ROWS * COLUMNS * pixels[p];
                        memset(out, 0xee, sizeof out);
                        cn_crop_image(&crop, in, out);
                        for (size_t i = 0; i < bytes; i++) {
                            int at = (int)(i / pixels[p]);
                            assert_int_equal(out[i], cropped(&crop, in, at / COLUMNS, at % COLUMNS,
                                                             i % pixels[p]));
                        }
                        assert_int_equal(out[bytes], 0xee);
                    }
}

static void a_flip_twice_is_the_image(void **state)
{
    uint8_t in[3 * 4 * 3], once[sizeof in], twice[sizeof in];
    cn_crop flip = {.rows = 3, .columns = 4, .pixel = 3, .flip = true};
    (void)state;
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)i;
    cn_crop_image(&flip, in, once);
    cn_crop_image(&flip, once, twice);
    assert_memory_equal(twice, in, sizeof in);
    assert_memory_equal(once, in + 9, 3);
}

/* ---- warp */

enum { MOST_FLOATS = 13 * 13 * 4 };

/* -8 .. 8, in steps that bilinear quarters keep exact. */
static void fill(float *x, size_t n, uint32_t seed)
{
    cn_rng rng;
    cn_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = (float)cn_rng_randint(&rng, -64, 65) / 8.0f;
}

static void a_warp_by_nothing_is_the_image(void **state)
{
    static const int shapes[][3] = {{1, 1, 1}, {5, 8, 3}, {13, 4, 2}};
    float in[MOST_FLOATS], out[MOST_FLOATS];
    (void)state;
    for (int i = 0; i < 3; i++) {
        const int *n = shapes[i];
        size_t count = (size_t)n[0] * (size_t)n[1] * (size_t)n[2];
        fill(in, count, 1);
        for (int border = 0; border < 2; border++) {
            memset(out, 0xff, sizeof out);
            cn_warp_image(&(cn_warp){.scale = 1}, n, (cn_border)border, in, out);
            assert_memory_equal(out, in, count * sizeof *in);
        }
    }
}

/* A quarter turn to the left: numpy.rot90. */
static void quarter_turns_are_exact(void **state)
{
    (void)state;
    for (int n = 1; n <= 13; n += 3)
        for (int channels = 1; channels <= 4; channels++)
            for (int turns = -3; turns <= 4; turns++) {
                float in[MOST_FLOATS], out[MOST_FLOATS];
                size_t count = (size_t)(n * n * channels);
                fill(in, count, 2);
                cn_warp warp = {.angle = turns * 3.141592653589793 / 2, .scale = 1};
                cn_warp_image(&warp, (int[]){n, n, channels}, CN_BORDER_ZERO, in, out);
                for (int r = 0; r < n; r++)
                    for (int c = 0; c < n; c++) {
                        int row = r, column = c;
                        for (int t = 0; t < (turns + 4) % 4; t++) {
                            int kept = row;
                            row = column;
                            column = n - 1 - kept;
                        }
                        assert_memory_equal(out + (r * n + c) * channels,
                                            in + (row * n + column) * channels,
                                            (size_t)channels * sizeof *in);
                    }
            }
}

static void whole_shifts_are_crops(void **state)
{
    enum { ROWS = 6, COLUMNS = 7, CHANNELS = 3, COUNT = ROWS * COLUMNS * CHANNELS };
    float in[COUNT], warped[COUNT], cropped_image[COUNT];
    (void)state;
    fill(in, COUNT, 3);
    for (int border = 0; border < 2; border++)
        for (int down = 1 - ROWS; down < ROWS; down++)
            for (int right = 1 - COLUMNS; right < COLUMNS; right++) {
                cn_warp warp = {.scale = 1, .down = down, .right = right};
                cn_crop crop = {.rows = ROWS,
                                .columns = COLUMNS,
                                .pixel = CHANNELS * sizeof(float),
                                .border = (cn_border)border,
                                .down = -down,
                                .right = -right};
                cn_warp_image(&warp, (int[]){ROWS, COLUMNS, CHANNELS}, (cn_border)border, in,
                              warped);
                cn_crop_image(&crop, in, cropped_image);
                for (int i = 0; i < COUNT; i++) assert_float_equal(warped[i], cropped_image[i], 0);
            }
}

/* What warp.c's head comment says, in double precision. */
static double warped_value(const cn_warp *w, const int n[3], cn_border border, const float *in,
                           int r, int c, int k)
{
    double middle[2] = {(n[0] - 1) / 2.0, (n[1] - 1) / 2.0};
    double down = r - middle[0] - w->down, right = c - middle[1] - w->right, sum = 0;
    double from_r = (cos(w->angle) * down + sin(w->angle) * right) / w->scale + middle[0];
    double from_c = (-sin(w->angle) * down + cos(w->angle) * right) / w->scale + middle[1];
    for (int i = 0; i < 4; i++) {
        int row = (int)floor(from_r) + i / 2, column = (int)floor(from_c) + i % 2;
        double weight = (1 - fabs(from_r - row)) * (1 - fabs(from_c - column));
        bool outside = row < 0 || row >= n[0] || column < 0 || column >= n[1];
        if (outside && border == CN_BORDER_ZERO) continue;
        row = mirrored(row, n[0]);
        column = mirrored(column, n[1]);
        sum += weight * in[(row * n[1] + column) * n[2] + k];
    }
    return sum;
}

static void any_warp_is_what_its_formula_says(void **state)
{
    const int n[3] = {11, 13, 3};
    float in[11 * 13 * 3], out[11 * 13 * 3];
    cn_rng rng;
    (void)state;
    cn_rng_seed(&rng, 4);
    for (int round = 0; round < 60; round++) {
        cn_border border = (cn_border)(round % 2);
        cn_warp w = {.angle = 6.28 * (cn_rng_rand(&rng) - 0.5),
                     .scale = 0.3 + 1.5 * cn_rng_rand(&rng),
                     .down = 10 * (cn_rng_rand(&rng) - 0.5),
                     .right = 10 * (cn_rng_rand(&rng) - 0.5)};
        fill(in, sizeof in / sizeof *in, (uint32_t)round);
        cn_warp_image(&w, n, border, in, out);
        /* Positions are off by up to 2^-17 a column, neighbors by up to 16. */
        for (int i = 0; i < n[0] * n[1] * n[2]; i++)
            assert_float_equal(
                out[i], warped_value(&w, n, border, in, i / n[2] / n[1], i / n[2] % n[1], i % n[2]),
                16 * 2 * 14 * ldexp(1, -17));
    }
}

/* ---- colors */

/* Brightness, contrast, saturation: one after the other. */
static void jitter_steps(const cn_jitter *j, int pixels, int channels, double *x)
{
    const double luma[3] = {0.299, 0.587, 0.114};
    double mean = 0;
    for (int i = 0; i < pixels * channels; i++) x[i] *= j->brightness;
    for (int i = 0; i < pixels * channels; i++)
        mean += (channels == 3 ? luma[i % 3] : 1.0 / channels) * x[i] / pixels;
    for (int i = 0; i < pixels * channels; i++) x[i] = mean + j->contrast * (x[i] - mean);
    for (int i = 0; i < pixels; i++) {
        double gray = 0;
        for (int k = 0; k < channels; k++)
            gray += (channels == 3 ? luma[k] : 1.0 / channels) * x[i * channels + k];
        for (int k = 0; k < channels; k++)
            x[i * channels + k] = gray + j->saturation * (x[i * channels + k] - gray);
    }
}

static void jitter_is_three_steps_and_a_limit(void **state)
{
    enum { ROWS = 4, COLUMNS = 5, PIXELS = ROWS * COLUMNS };
    static const cn_jitter jitters[] = {{1, 1, 1}, {1.2f, 1, 1}, {1, 0.5f, 1},
                                        {1, 1, 0}, {1, 1, 1.8f}, {0.7f, 1.4f, 0.3f}};
    (void)state;
    for (int channels = 1; channels <= 4; channels++)
        for (size_t t = 0; t < sizeof jitters / sizeof *jitters; t++)
            for (int limited = 0; limited < 2; limited++) {
                float x[PIXELS * 4];
                double y[PIXELS * 4], least = limited ? -3 : -INFINITY,
                                      most = limited ? 4 : INFINITY;
                fill(x, (size_t)(PIXELS * channels), 6);
                for (int i = 0; i < PIXELS * channels; i++) y[i] = x[i];
                jitter_steps(&jitters[t], PIXELS, channels, y);
                cn_jitter_image(&jitters[t], (int[]){ROWS, COLUMNS, channels}, (float)least,
                                (float)most, x);
                for (int i = 0; i < PIXELS * channels; i++)
                    assert_float_equal(x[i], fmin(fmax(y[i], least), most), 1e-5);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crop_moves_mirrors_and_fills),
        cmocka_unit_test(a_flip_twice_is_the_image),
        cmocka_unit_test(a_warp_by_nothing_is_the_image),
        cmocka_unit_test(quarter_turns_are_exact),
        cmocka_unit_test(whole_shifts_are_crops),
        cmocka_unit_test(any_warp_is_what_its_formula_says),
        cmocka_unit_test(jitter_is_three_steps_and_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

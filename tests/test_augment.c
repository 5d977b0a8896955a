/* Augmentation: the draws by their statistics, whole batches, the text form. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "augment/augment.h"

/* ---- draws */

enum { DRAWN = 20000 };

static void draw(const cn_augment *a, int epoch, int index, cn_augment_draws *draws)
{
    cn_augment_draw(a, 3, epoch, index, DRAWN, (int[]){8, 12, 3}, draws);
}

static void flips_are_even_and_independent(void **state)
{
    cn_augment a = {.flip = CN_FLIP_RANDOM};
    int flipped = 0, both = 0;
    (void)state;
    for (int i = 0; i < DRAWN; i++) {
        cn_augment_draws first, second;
        draw(&a, 1, i, &first);
        draw(&a, 2, i, &second);
        flipped += first.flip;
        both += first.flip && second.flip;
    }
    /* Five standard deviations of a binomial count. */
    assert_in_range(flipped, DRAWN / 2 - 354, DRAWN / 2 + 354);
    assert_in_range(both, DRAWN / 4 - 307, DRAWN / 4 + 307);
}

static void alternating_flips_alternate(void **state)
{
    cn_augment a = {.flip = CN_FLIP_ALTERNATING};
    int flipped = 0;
    (void)state;
    for (int i = 0; i < DRAWN; i++) {
        cn_augment_draws epoch[4];
        for (int e = 0; e < 4; e++) draw(&a, e + 1, i, &epoch[e]);
        for (int e = 1; e < 4; e++) assert_int_not_equal(epoch[e].flip, epoch[e - 1].flip);
        flipped += epoch[0].flip;
    }
    assert_in_range(flipped, DRAWN / 2 - 354, DRAWN / 2 + 354);
}

/* All eight of a square, and the four of another image, as often as each other. */
static void all_flips_are_even(void **state)
{
    const cn_augment a = {.flip = CN_FLIP_ALL};
    (void)state;
    for (int square = 0; square < 2; square++) {
        int count[8] = {0}, kinds = square ? 8 : 4;
        for (int i = 0; i < DRAWN; i++) {
            cn_augment_draws d;
            cn_augment_draw(&a, 3, 1, i, DRAWN, (int[]){4, square ? 4 : 5, 1}, &d);
            assert_in_range(d.turns, 0, 3);
            count[2 * d.turns + d.flip]++;
        }
        for (int k = 0; k < 8; k++) {
            double expected = square || k / 2 % 2 == 0 ? (double)DRAWN / kinds : 0;
            assert_true(fabs(count[k] - expected) <= 5 * sqrt(expected));
        }
    }
}

/* Pixel (r, c) of what numpy.rot90 makes of an image that is cropped and flipped. */
static void images_are_turned_after_they_are_moved(void **state)
{
    enum { ROWS = 4, COLUMNS = 4, SHORT = 3, PIXEL = 3 };
    uint8_t in[ROWS * COLUMNS * PIXEL], moved[sizeof in], out[sizeof in];
    (void)state;
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)(i * 5 + 1);
    for (int which = 0; which < 2 * 2 * 4 * 3; which++) {
        cn_crop c = {.rows = which % 3 ? ROWS : SHORT,
                     .columns = COLUMNS,
                     .pixel = PIXEL,
                     .border = which / 3 % 2 ? CN_BORDER_REFLECT : CN_BORDER_ZERO,
                     .fill = 9,
                     .down = which % 3 - 1,
                     .right = 1 - which % 3,
                     .flip = which / 6 % 2};
        const int turns = which / 12, last[2] = {c.rows - 1, c.columns - 1};
        if (turns % 2 && c.rows != c.columns) continue;
        cn_crop_image(&c, in, moved);
        c.turns = turns;
        cn_crop_image(&c, in, out);
        for (int i = 0; i < c.rows * c.columns; i++) {
            int row = i / COLUMNS, column = i % COLUMNS;
            int from[4][2] = {{row, column},
                              {column, last[1] - row},
                              {last[0] - row, last[1] - column},
                              {last[0] - column, row}};
            int place = from[turns][0] * COLUMNS + from[turns][1];
            assert_memory_equal(out + i * PIXEL, moved + place * PIXEL, PIXEL);
        }
    }
}

static void crops_are_uniform(void **state)
{
    enum { CROP = 2, PLACES = 2 * CROP + 1 };
    cn_augment a = {.crop = CROP};
    int count[PLACES][PLACES] = {{0}};
    double chi_square = 0, expected = (double)DRAWN / (PLACES * PLACES);
    (void)state;
    for (int i = 0; i < DRAWN; i++) {
        cn_augment_draws d;
        draw(&a, 1, i, &d);
        assert_in_range(d.down + CROP, 0, 2 * CROP);
        assert_in_range(d.right + CROP, 0, 2 * CROP);
        count[d.down + CROP][d.right + CROP]++;
    }
    for (int i = 0; i < PLACES * PLACES; i++) {
        double off = count[i / PLACES][i % PLACES] - expected;
        chi_square += off * off / expected;
    }
    /* 24 degrees of freedom: exceeded once in a hundred thousand. */
    assert_true(chi_square < 67.5);
}

/* cmocka's own comparison is one of floats. */
static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.9g, expected %.9g +- %.3g", value, expected, tolerance);
}

/* Uniform from low to high: by mean and variance, to five standard deviations. */
static void assert_uniform(double sum, double squares, double low, double high)
{
    double mean = sum / DRAWN, variance = squares / DRAWN - mean * mean;
    double width = high - low, expected = width * width / 12;
    assert_near(mean, (low + high) / 2, 5 * sqrt(expected / DRAWN));
    assert_near(variance, expected, 5 * expected * sqrt(0.8 / DRAWN));
}

static void sizes_are_uniform(void **state)
{
    enum { MEMBERS = 7 };
    const double radians = 3.141592653589793 / 180;
    const cn_augment a = {.shift = 2,
                          .rotate = 30,
                          .scale = 0.25,
                          .brightness = 0.5,
                          .contrast = 0.25,
                          .saturation = 1};
    const double low[MEMBERS] = {-2, -2, -30 * radians, 0.75, 0.5, 0.75, 0};
    const double high[MEMBERS] = {2, 2, 30 * radians, 1.25, 1.5, 1.25, 2};
    double sum[MEMBERS] = {0}, squares[MEMBERS] = {0}, products = 0;
    (void)state;
    for (int i = 0; i < DRAWN; i++) {
        cn_augment_draws d;
        draw(&a, 1, i, &d);
        const double drawn[MEMBERS] = {d.warp.down,        d.warp.right,        d.warp.angle,
                                       d.warp.scale,       d.jitter.brightness, d.jitter.contrast,
                                       d.jitter.saturation};
        for (int k = 0; k < MEMBERS; k++) {
            assert_true(drawn[k] >= low[k] && drawn[k] <= high[k]);
            sum[k] += drawn[k];
            squares[k] += drawn[k] * drawn[k];
        }
        products += d.warp.down * d.warp.right;
    }
    for (int k = 0; k < MEMBERS; k++) assert_uniform(sum[k], squares[k], low[k], high[k]);
    assert_near(products / DRAWN, 0, 5 * 4.0 / 3 / sqrt(DRAWN));
}

/* A Beta(alpha, alpha) variate b has mean 0.5 and variance 1 / (4 (2 alpha + 1)), and |b - 0.5| is
 * the weight less 0.5. */
static void mixup_weights_are_beta_variates(void **state)
{
    static const double alphas[] = {0.01, 0.2, 0.5, 1, 4, 100};
    (void)state;
    for (size_t k = 0; k < sizeof alphas / sizeof *alphas; k++) {
        const cn_augment a = {.mixup = alphas[k]};
        double squares = 0, fourth = 0, partners = 0, partner_squares = 0;
        for (int i = 0; i < DRAWN; i++) {
            cn_augment_draws d;
            draw(&a, 1, i, &d);
            assert_true(d.weight >= 0.5f && d.weight <= 1);
            double off = (d.weight - 0.5) * (d.weight - 0.5);
            squares += off;
            fourth += off * off;
            partners += d.partner;
            partner_squares += (double)d.partner * d.partner;
            assert_in_range(d.partner, 0, DRAWN - 1);
        }
        double expected = 1 / (4 * (2 * alphas[k] + 1));
        double deviation = sqrt(fourth / DRAWN - squares / DRAWN * squares / DRAWN);
        assert_near(squares / DRAWN, expected, 5 * deviation / sqrt(DRAWN) + 1e-6);
        assert_uniform(partners, partner_squares, -0.5, DRAWN - 0.5);
    }
}

static void a_hole_may_be_centered_anywhere(void **state)
{
    enum { ROWS = 8, COLUMNS = 12 };
    const cn_augment a = {.cutout = 5};
    int count[ROWS][COLUMNS] = {{0}};
    double chi_square = 0, expected = (double)DRAWN / (ROWS * COLUMNS);
    (void)state;
    for (int i = 0; i < DRAWN; i++) {
        cn_augment_draws d;
        draw(&a, 1, i, &d);
        assert_in_range(d.hole[0] + 2, 0, ROWS - 1);
        assert_in_range(d.hole[1] + 2, 0, COLUMNS - 1);
        count[d.hole[0] + 2][d.hole[1] + 2]++;
    }
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double off = count[i / COLUMNS][i % COLUMNS] - expected;
        chi_square += off * off / expected;
    }
    /* 95 degrees of freedom: exceeded once in a hundred thousand. */
    assert_true(chi_square < 163);
}

/* ---- batches */

/* Random images of rows x columns x channels. */
static cn_dataset *noise(int n, cn_dtype dtype, int rows, int columns, int channels)
{
    int shape[4] = {n, rows, columns, channels};
    cn_dataset *data = NULL;
    cn_tensor images = {0};
    cn_rng rng;
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    assert_non_null(labels);
    assert_int_equal(cn_tensor_create(&images, dtype, 4, shape, NULL), CN_OK);
    cn_rng_seed(&rng, 11);
    for (size_t i = 0; i < cn_tensor_count(&images); i++) {
        int value = (int)cn_rng_randint(&rng, 0, 256);
        if (dtype == CN_DTYPE_U8)
            ((uint8_t *)images.data)[i] = (uint8_t)value;
        else
            ((float *)images.data)[i] = (float)value / 255.0f;
    }
    for (int i = 0; i < n; i++) labels[i] = i % 3;
    assert_int_equal(cn_dataset_create(&data, &images, labels, 3, NULL), CN_OK);
    cn_tensor_free(&images);
    free(labels);
    return data;
}

/* Everything at once. */
static const cn_augment everything = {.border = CN_BORDER_REFLECT,
                                      .crop = 3,
                                      .flip = CN_FLIP_RANDOM,
                                      .shift = 1,
                                      .rotate = 20,
                                      .scale = 0.1,
                                      .brightness = 0.2,
                                      .contrast = 0.2,
                                      .saturation = 0.2,
                                      .cutout = 4,
                                      .mixup = 0.5};

/* Whatever the batches, an image of an epoch is the same floats. */
static void batches_change_no_bit(void **state)
{
    enum { N = 150, ROWS = 9, COLUMNS = 11, CHANNELS = 3, EACH = ROWS * COLUMNS * CHANNELS };
    static const int sizes[] = {1, 7, N};
    const float mean[CHANNELS] = {0.4f, 0.5f, 0.6f}, std[CHANNELS] = {0.2f, 0.3f, 0.4f};
    static float x[3][N * EACH], targets[3][N * 3];
    int index[N];
    int32_t labels[N];
    (void)state;
    for (int i = 0; i < N; i++) index[i] = (i * 7 + 3) % N;
    for (int dtype = 0; dtype < 2; dtype++) {
        cn_dataset *data = noise(N, dtype ? CN_DTYPE_U8 : CN_DTYPE_F32, ROWS, COLUMNS, CHANNELS);
        cn_augmenter a;
        assert_int_equal(cn_augmenter_create(&a, data, &everything, 5, mean, std, 3, NULL), CN_OK);
        for (int s = 0; s < 3; s++) {
            for (int i = 0; i < N; i += sizes[s])
                cn_augmenter_run(&a, 2, index + i, N - i < sizes[s] ? N - i : sizes[s],
                                 x[s] + (size_t)i * EACH, labels + i, targets[s] + (size_t)i * 3,
                                 NULL);
            for (int i = 0; i < N; i++) assert_int_equal(labels[i], index[i] % 3);
        }
        for (int s = 1; s < 3; s++) {
            assert_memory_equal(x[0], x[s], sizeof x[s]);
            assert_memory_equal(targets[0], targets[s], sizeof targets[s]);
        }
        cn_augmenter_run(&a, 3, index, N, x[1], labels, targets[1], NULL);
        assert_memory_not_equal(x[0], x[1], sizeof x[1]);
        cn_augmenter_free(&a);
        cn_dataset_free(data);
    }
}

/* The augmented images first .. first+n-1 of epoch 1. */
static void run(const cn_dataset *data, const cn_augment *augment, int n, const float *mean,
                const float *std, float *x, float *targets)
{
    int index[64];
    int32_t labels[64];
    cn_augmenter a;
    for (int i = 0; i < n; i++) index[i] = i;
    assert_int_equal(cn_augmenter_create(&a, data, augment, 5, mean, std, 3, NULL), CN_OK);
    cn_augmenter_run(&a, 1, index, n, x, labels, targets, NULL);
    cn_augmenter_free(&a);
}

/* Crop and flip, then warp, then jitter, then normalize: by the operations themselves. */
static void operations_follow_one_another(void **state)
{
    enum { N = 20, ROWS = 9, COLUMNS = 11, CHANNELS = 3, EACH = ROWS * COLUMNS * CHANNELS };
    const int shape[3] = {ROWS, COLUMNS, CHANNELS};
    const float mean[CHANNELS] = {0.4f, 0.5f, 0.6f}, std[CHANNELS] = {0.2f, 0.3f, 0.4f};
    static float x[N * EACH], plain[N * EACH];
    cn_augment a = everything;
    cn_dataset *data = noise(N, CN_DTYPE_U8, ROWS, COLUMNS, CHANNELS);
    (void)state;
    a.cutout = 0;
    a.mixup = 0;
    run(data, &(cn_augment){0}, N, NULL, NULL, plain, NULL);
    run(data, &a, N, mean, std, x, NULL);
    for (int i = 0; i < N; i++) {
        float moved[EACH], warped[EACH];
        cn_augment_draws d;
        cn_augment_draw(&a, 5, 1, i, N, shape, &d);
        cn_crop crop = {.rows = ROWS,
                        .columns = COLUMNS,
                        .pixel = CHANNELS * sizeof(float),
                        .border = a.border,
                        .down = d.down,
                        .right = d.right,
                        .flip = d.flip};
        cn_crop_image(&crop, plain + i * EACH, moved);
        cn_warp_image(&d.warp, shape, a.border, moved, warped);
        cn_jitter_image(&d.jitter, shape, 0, 1, warped);
        for (int k = 0; k < EACH; k++)
            assert_float_equal(x[i * EACH + k], (warped[k] - mean[k % 3]) / std[k % 3], 1e-5);
    }
    cn_dataset_free(data);
}

/* Floats may be anything, so a jitter does not cut them off. */
static void float_images_keep_their_range(void **state)
{
    enum { N = 64, EACH = 16 };
    const cn_augment a = {.brightness = 1};
    float x[N * EACH], plain[N * EACH], largest = 0;
    cn_dataset *data = noise(N, CN_DTYPE_F32, 4, 4, 1);
    (void)state;
    run(data, &(cn_augment){0}, N, NULL, NULL, plain, NULL);
    run(data, &a, N, NULL, NULL, x, NULL);
    for (int i = 0; i < N; i++) {
        cn_augment_draws d;
        cn_augment_draw(&a, 5, 1, i, N, (int[]){4, 4, 1}, &d);
        for (int k = i * EACH; k < (i + 1) * EACH; k++) {
            assert_float_equal(x[k], d.jitter.brightness * plain[k], 1e-6);
            if (x[k] > largest) largest = x[k];
        }
    }
    assert_true(largest > 1);
    cn_dataset_free(data);
}

static void a_cutout_is_a_square_of_zeros(void **state)
{
    enum { N = 64, ROWS = 6, COLUMNS = 7, CHANNELS = 3, EACH = ROWS * COLUMNS * CHANNELS };
    const float mean[CHANNELS] = {0.41f, 0.52f, 0.63f}, std[CHANNELS] = {0.2f, 0.3f, 0.4f};
    static float x[N * EACH], plain[N * EACH];
    cn_dataset *data = noise(N, CN_DTYPE_U8, ROWS, COLUMNS, CHANNELS);
    (void)state;
    for (int side = 1; side <= ROWS; side++) {
        const cn_augment a = {.cutout = side};
        run(data, &(cn_augment){0}, N, mean, std, plain, NULL);
        run(data, &a, N, mean, std, x, NULL);
        for (int i = 0; i < N * EACH; i++) {
            cn_augment_draws d;
            cn_augment_draw(&a, 5, 1, i / EACH, N, (int[]){ROWS, COLUMNS, CHANNELS}, &d);
            int r = i % EACH / CHANNELS / COLUMNS - d.hole[0];
            int c = i % EACH / CHANNELS % COLUMNS - d.hole[1];
            bool inside = r >= 0 && r < side && c >= 0 && c < side;
            assert_true(x[i] == (inside ? 0 : plain[i]));
        }
    }
    cn_dataset_free(data);
}

/* Both images are as the epoch shows them, and the truth is mixed like they are. */
static void mixup_mixes_images_and_truth(void **state)
{
    enum { N = 40, EACH = 5 * 4 * 2 };
    cn_augment a = {.crop = 2, .flip = CN_FLIP_RANDOM, .cutout = 2};
    float x[N * EACH], apart[N * EACH], targets[N * 3];
    cn_dataset *data = noise(N, CN_DTYPE_U8, 5, 4, 2);
    (void)state;
    run(data, &a, N, NULL, NULL, apart, NULL);
    a.mixup = 0.8;
    run(data, &a, N, NULL, NULL, x, targets);
    for (int i = 0; i < N; i++) {
        cn_augment_draws d;
        cn_augment_draw(&a, 5, 1, i, N, (int[]){5, 4, 2}, &d);
        const float *other = apart + d.partner * EACH;
        for (int k = 0; k < EACH; k++)
            assert_float_equal(x[i * EACH + k],
                               d.weight * apart[i * EACH + k] + (1 - d.weight) * other[k], 1e-6);
        float truth[3] = {0};
        truth[i % 3] += d.weight;
        truth[d.partner % 3] += 1 - d.weight;
        for (int k = 0; k < 3; k++) assert_float_equal(targets[i * 3 + k], truth[k], 1e-6);
    }
    cn_dataset_free(data);
}

/* One output means the probability of class 1. */
static void a_single_output_has_one_target(void **state)
{
    enum { N = 30 };
    const cn_augment a = {.mixup = 1};
    uint8_t pixels[N] = {0};
    int32_t labels[N];
    int index[N];
    float x[N], targets[N];
    cn_dataset *data = NULL;
    cn_augmenter m;
    (void)state;
    for (int i = 0; i < N; i++) {
        labels[i] = i % 2;
        index[i] = i;
    }
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){N, 1, 1, 1}, pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 2, NULL), CN_OK);
    assert_int_equal(cn_augmenter_create(&m, data, &a, 5, NULL, NULL, 1, NULL), CN_OK);
    cn_augmenter_run(&m, 1, index, N, x, labels, targets, NULL);
    for (int i = 0; i < N; i++) {
        cn_augment_draws d;
        cn_augment_draw(&a, 5, 1, i, N, (int[]){1, 1, 1}, &d);
        float truth = d.weight * (float)(i % 2) + (1 - d.weight) * (float)(d.partner % 2);
        assert_float_equal(targets[i], truth, 1e-6);
        assert_int_equal(labels[i], i % 2);
    }
    cn_augmenter_free(&m);
    cn_dataset_free(data);
}

static void nothing_asked_for_is_the_plain_batch(void **state)
{
    enum { N = 5, EACH = 16 };
    float x[N * EACH], y[N * EACH];
    int32_t labels[N];
    int index[N] = {3, 1, 4, 0, 2};
    cn_augmenter a;
    cn_dataset *data = noise(N, CN_DTYPE_U8, 4, 4, 1);
    (void)state;
    assert_int_equal(cn_augmenter_create(&a, data, &(cn_augment){0}, 5, NULL, NULL, 3, NULL),
                     CN_OK);
    cn_augmenter_run(&a, 1, index, N, x, labels, NULL, NULL);
    cn_dataset_batch(data, index, N, NULL, NULL, y, labels, NULL);
    assert_memory_equal(x, y, sizeof x);
    cn_augmenter_free(&a);
    cn_dataset_free(data);
}

/* ---- options */

static void the_text_form_is_read(void **state)
{
    cn_augment a = {.crop = 9};
    (void)state;
    assert_int_equal(cn_augment_parse(&a, "", NULL), CN_OK);
    assert_int_equal(a.crop, 0);
    assert_int_equal(cn_augment_parse(&a, " flip,crop=4  border=reflect ", NULL), CN_OK);
    assert_int_equal(a.flip, CN_FLIP_RANDOM);
    assert_int_equal(a.crop, 4);
    assert_int_equal(a.border, CN_BORDER_REFLECT);
    assert_int_equal(cn_augment_parse(&a, "flip=all", NULL), CN_OK);
    assert_int_equal(a.flip, CN_FLIP_ALL);
    assert_int_equal(cn_augment_parse(&a, "flip=alternating border=zero mixup=0", NULL), CN_OK);
    assert_int_equal(a.flip, CN_FLIP_ALTERNATING);
    assert_int_equal(a.crop, 0);
    assert_int_equal(a.border, CN_BORDER_ZERO);
    assert_int_equal(cn_augment_parse(&a,
                                      "shift=1.5 rotate=10 scale=.1 jitter=0.3 cutout=8 "
                                      "mixup=2e-1",
                                      NULL),
                     CN_OK);
    assert_float_equal(a.shift, 1.5, 0);
    assert_float_equal(a.rotate, 10, 0);
    assert_float_equal(a.scale, 0.1, 0);
    assert_float_equal(a.brightness, 0.3, 0);
    assert_float_equal(a.contrast, 0.3, 0);
    assert_float_equal(a.saturation, 0.3, 0);
    assert_int_equal(a.cutout, 8);
    assert_float_equal(a.mixup, 0.2, 0);
    assert_int_equal(cn_augment_parse(&a, "brightness=0.1 contrast=0.2 saturation=0.4", NULL),
                     CN_OK);
    assert_float_equal(a.brightness, 0.1, 0);
    assert_float_equal(a.contrast, 0.2, 0);
    assert_float_equal(a.saturation, 0.4, 0);
}

static void wrong_texts_are_named(void **state)
{
    static const struct {
        const char *text, *error;
    } wrong[] = {
        {"flip crop", "augmentation: expected crop=PIXELS, found \"crop\""},
        {"crop=", "augmentation: expected crop=PIXELS, found \"crop=\""},
        {"crop=4x", "augmentation: expected crop=PIXELS, found \"crop=4x\""},
        {"crop=1.5", "augmentation: expected crop=PIXELS, found \"crop=1.5\""},
        {"crop=99999999999", "augmentation: expected crop=PIXELS, found \"crop=99999999999\""},
        {"crop=+4", "augmentation: expected crop=PIXELS, found \"crop=+4\""},
        {"crop=-4", "augmentation: expected crop=PIXELS, found \"crop=-4\""},
        {"scale=nan", "augmentation: expected scale=FRACTION, found \"scale=nan\""},
        {"scale=1e999", "augmentation: expected scale=FRACTION, found \"scale=1e999\""},
        {"rotate=0x10", "augmentation: expected rotate=DEGREES, found \"rotate=0x10\""},
        {"mixup= 0.2", "augmentation: expected mixup=ALPHA, found \"mixup=\""},
        {"flip=rand", "augmentation: expected flip=random|alternating|all, found \"flip=rand\""},
        {"flip=", "augmentation: expected flip=random|alternating|all, found \"flip=\""},
        {"border", "augmentation: expected border=zero|reflect, found \"border\""},
        {"crop=1 flip crop=2", "augmentation: \"crop=2\": crop was given before"},
        {"jitter=1 contrast=0.5", "augmentation: \"contrast=0.5\": jitter was given before"},
        {"saturation=1 jitter=0", "augmentation: \"jitter=0\": saturation was given before"},
        {"flop",
         "augmentation: expected one of flip, border, crop, shift, rotate, scale, jitter, "
         "brightness, contrast, saturation, cutout, mixup, random-resized-crop, found \"flop\""},
        {"=3",
         "augmentation: expected one of flip, border, crop, shift, rotate, scale, jitter, "
         "brightness, contrast, saturation, cutout, mixup, random-resized-crop, found \"=3\""},
    };
    cn_augment a = {.crop = 9};
    cn_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(cn_augment_parse(&a, wrong[i].text, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].error);
        assert_int_equal(a.crop, 9);
    }
    assert_int_equal(cn_augment_parse(NULL, "flip", &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_augment_parse(&a, NULL, &err), CN_ERR_ARGUMENT);
}

static void what_does_not_suit_the_images_is_refused(void **state)
{
    static const struct {
        cn_augment augment;
        const char *error;
    } wrong[] = {
        {{.crop = 8}, "fit: crop is 8, expected 0 to 7 for images of 8 x 12"},
        {{.crop = -1}, "fit: crop is -1, expected 0 to 7 for images of 8 x 12"},
        {{.flip = (cn_flip)4}, "fit: flip is 4, expected 0 to 3 for images of 8 x 12"},
        {{.border = (cn_border)2}, "fit: border is 2, expected 0 to 1 for images of 8 x 12"},
        {{.shift = 7.5}, "fit: shift is 7.5, expected 0 to 7 for images of 8 x 12"},
        {{.rotate = 181}, "fit: rotate is 181, expected 0 to 180 for images of 8 x 12"},
        {{.scale = 1}, "fit: scale is 1, expected 0 to 0.9 for images of 8 x 12"},
        {{.brightness = 2}, "fit: brightness is 2, expected 0 to 1 for images of 8 x 12"},
        {{.contrast = -0.5}, "fit: contrast is -0.5, expected 0 to 1 for images of 8 x 12"},
        {{.saturation = NAN}, "fit: saturation is nan, expected 0 to 1 for images of 8 x 12"},
        {{.cutout = 9}, "fit: cutout is 9, expected 0 to 8 for images of 8 x 12"},
        {{.mixup = INFINITY}, "fit: mixup is inf, expected 0 to 1000 for images of 8 x 12"},
    };
    const int shape[3] = {8, 12, 1};
    const cn_augment most = {.crop = 7,
                             .shift = 7,
                             .rotate = 180,
                             .scale = 0.9,
                             .brightness = 1,
                             .contrast = 1,
                             .saturation = 1,
                             .cutout = 8,
                             .mixup = 1000};
    cn_error err;
    (void)state;
    assert_int_equal(cn_augment_check(&most, shape, "fit", &err), CN_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(cn_augment_check(&wrong[i].augment, shape, "fit", &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips_are_even_and_independent),
        cmocka_unit_test(alternating_flips_alternate),
        cmocka_unit_test(all_flips_are_even),
        cmocka_unit_test(images_are_turned_after_they_are_moved),
        cmocka_unit_test(crops_are_uniform),
        cmocka_unit_test(sizes_are_uniform),
        cmocka_unit_test(mixup_weights_are_beta_variates),
        cmocka_unit_test(a_hole_may_be_centered_anywhere),
        cmocka_unit_test(batches_change_no_bit),
        cmocka_unit_test(operations_follow_one_another),
        cmocka_unit_test(float_images_keep_their_range),
        cmocka_unit_test(a_cutout_is_a_square_of_zeros),
        cmocka_unit_test(mixup_mixes_images_and_truth),
        cmocka_unit_test(a_single_output_has_one_target),
        cmocka_unit_test(nothing_asked_for_is_the_plain_batch),
        cmocka_unit_test(the_text_form_is_read),
        cmocka_unit_test(wrong_texts_are_named),
        cmocka_unit_test(what_does_not_suit_the_images_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

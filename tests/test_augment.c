/* Augmentation: each operation exactly, the draws by their statistics, the text form. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/augment.h"

/* ---- crop and flip */

/* What numpy.pad(mode="reflect") puts at i of n. */
static int mirrored(int i, int n)
{
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * (n - 1) - i;
    return i;
}

/* The byte that cn_crop_picture should write at (r, c), byte k of the pixel. */
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
                        cn_crop_picture(&crop, in, out);
                        for (size_t i = 0; i < bytes; i++) {
                            int at = (int)(i / pixels[p]);
                            assert_int_equal(out[i], cropped(&crop, in, at / COLUMNS, at % COLUMNS,
                                                             i % pixels[p]));
                        }
                        assert_int_equal(out[bytes], 0xee);
                    }
}

static void a_flip_twice_is_the_picture(void **state)
{
    uint8_t in[3 * 4 * 3], once[sizeof in], twice[sizeof in];
    cn_crop flip = {.rows = 3, .columns = 4, .pixel = 3, .flip = true};
    (void)state;
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)i;
    cn_crop_picture(&flip, in, once);
    cn_crop_picture(&flip, once, twice);
    assert_memory_equal(twice, in, sizeof in);
    assert_memory_equal(once, in + 9, 3);
}

/* ---- draws */

enum { DRAWN = 20000 };

static void flips_are_even_and_independent(void **state)
{
    cn_augment a = {.flip = CN_FLIP_RANDOM};
    int flipped = 0, both = 0;
    (void)state;
    for (int i = 0; i < DRAWN; i++) {
        cn_augment_draws first, second;
        cn_augment_draw(&a, 3, 1, i, &first);
        cn_augment_draw(&a, 3, 2, i, &second);
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
        for (int e = 0; e < 4; e++) cn_augment_draw(&a, 3, e + 1, i, &epoch[e]);
        for (int e = 1; e < 4; e++) assert_int_not_equal(epoch[e].flip, epoch[e - 1].flip);
        flipped += epoch[0].flip;
    }
    assert_in_range(flipped, DRAWN / 2 - 354, DRAWN / 2 + 354);
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
        cn_augment_draw(&a, 7, 1, i, &d);
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

/* ---- batches */

/* Random pictures of rows x columns x channels. */
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
        if (dtype == CN_U8)
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

/* Whatever the batches, a picture of an epoch is the same floats. */
static void batches_change_no_bit(void **state)
{
    enum { N = 150, ROWS = 9, COLUMNS = 11, CHANNELS = 3, EACH = ROWS * COLUMNS * CHANNELS };
    static const int sizes[] = {1, 7, N};
    const float mean[CHANNELS] = {0.4f, 0.5f, 0.6f}, std[CHANNELS] = {0.2f, 0.3f, 0.4f};
    int index[N];
    int32_t labels[N];
    (void)state;
    for (int i = 0; i < N; i++) index[i] = (i * 7 + 3) % N;
    for (int dtype = 0; dtype < 2; dtype++) {
        cn_dataset *data = noise(N, dtype ? CN_U8 : CN_F32, ROWS, COLUMNS, CHANNELS);
        cn_augment augment = {.border = CN_BORDER_REFLECT, .crop = 3, .flip = CN_FLIP_RANDOM};
        float *x[3];
        cn_augmenter a;
        assert_int_equal(cn_augmenter_create(&a, data, &augment, 5, mean, std, NULL), CN_OK);
        for (int s = 0; s < 3; s++) {
            x[s] = malloc(sizeof(float) * N * EACH);
            assert_non_null(x[s]);
            for (int i = 0; i < N; i += sizes[s]) {
                int m = N - i < sizes[s] ? N - i : sizes[s];
                cn_augmenter_run(&a, 2, index + i, m, x[s] + (size_t)i * EACH, labels + i);
            }
            for (int i = 0; i < N; i++) assert_int_equal(labels[i], index[i] % 3);
        }
        assert_memory_equal(x[0], x[1], sizeof(float) * N * EACH);
        assert_memory_equal(x[0], x[2], sizeof(float) * N * EACH);
        cn_augmenter_run(&a, 3, index, N, x[1], labels);
        assert_memory_not_equal(x[0], x[1], sizeof(float) * N * EACH);
        cn_augmenter_free(&a);
        for (int s = 0; s < 3; s++) free(x[s]);
        cn_dataset_free(data);
    }
}

static void nothing_asked_for_is_the_plain_batch(void **state)
{
    enum { N = 5, EACH = 16 };
    float x[N * EACH], y[N * EACH];
    int32_t labels[N];
    int index[N] = {3, 1, 4, 0, 2};
    cn_augmenter a;
    cn_dataset *data = noise(N, CN_U8, 4, 4, 1);
    (void)state;
    assert_int_equal(cn_augmenter_create(&a, data, &(cn_augment){0}, 5, NULL, NULL, NULL), CN_OK);
    cn_augmenter_run(&a, 1, index, N, x, labels);
    cn_dataset_batch(data, index, N, NULL, NULL, y, labels);
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
    assert_int_equal(cn_augment_parse(&a, "flip=alternating border=zero", NULL), CN_OK);
    assert_int_equal(a.flip, CN_FLIP_ALTERNATING);
    assert_int_equal(a.crop, 0);
    assert_int_equal(a.border, CN_BORDER_ZERO);
}

static void wrong_texts_are_named(void **state)
{
    static const struct {
        const char *text, *error;
    } wrong[] = {
        {"flip crop", "augmentation: expected crop=PIXELS, found \"crop\""},
        {"crop=0", "augmentation: expected crop=PIXELS, found \"crop=0\""},
        {"crop=4x", "augmentation: expected crop=PIXELS, found \"crop=4x\""},
        {"crop=99999999999", "augmentation: expected crop=PIXELS, found \"crop=99999999999\""},
        {"crop=+4", "augmentation: expected crop=PIXELS, found \"crop=+4\""},
        {"flip=rand", "augmentation: expected flip=random|alternating, found \"flip=rand\""},
        {"flip=", "augmentation: expected flip=random|alternating, found \"flip=\""},
        {"border", "augmentation: expected border=zero|reflect, found \"border\""},
        {"crop=1 flip crop=2", "augmentation: \"crop=2\": there are two of crop"},
    };
    cn_augment a = {.crop = 9};
    cn_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(cn_augment_parse(&a, wrong[i].text, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].error);
        assert_int_equal(a.crop, 9);
    }
    assert_int_equal(cn_augment_parse(&a, "flop", &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "expected flip"));
    assert_non_null(strstr(err.text, "found \"flop\""));
    assert_int_equal(cn_augment_parse(NULL, "flip", &err), CN_ERR_ARGUMENT);
}

static void what_does_not_suit_the_pictures_is_refused(void **state)
{
    const int shape[3] = {8, 12, 1};
    cn_error err;
    (void)state;
    assert_int_equal(cn_augment_check(&(cn_augment){.crop = 7}, shape, "fit", &err), CN_OK);
    assert_int_equal(cn_augment_check(&(cn_augment){.crop = 8}, shape, "fit", &err),
                     CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "fit: a crop of 8 pixels of pictures of (8, 12, 1), expected 0 "
                                  "to 7");
    assert_int_equal(cn_augment_check(&(cn_augment){.crop = -1}, shape, "fit", &err),
                     CN_ERR_ARGUMENT);
    assert_int_equal(cn_augment_check(&(cn_augment){.flip = (cn_flip)3}, shape, "fit", &err),
                     CN_ERR_ARGUMENT);
    assert_int_equal(cn_augment_check(&(cn_augment){.border = (cn_border)2}, shape, "fit", &err),
                     CN_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crop_moves_mirrors_and_fills),
        cmocka_unit_test(a_flip_twice_is_the_picture),
        cmocka_unit_test(flips_are_even_and_independent),
        cmocka_unit_test(alternating_flips_alternate),
        cmocka_unit_test(crops_are_uniform),
        cmocka_unit_test(batches_change_no_bit),
        cmocka_unit_test(nothing_asked_for_is_the_plain_batch),
        cmocka_unit_test(the_text_form_is_read),
        cmocka_unit_test(wrong_texts_are_named),
        cmocka_unit_test(what_does_not_suit_the_pictures_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

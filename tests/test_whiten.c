/* Whitening: what the filters make of the patches they come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "convnet.h"

static cn_dataset *digits(void)
{
    cn_dataset *data;
    assert_int_equal(cn_dataset_load(&data, "digits", CN_SUBSET_TRAIN, NULL, NULL), CN_OK);
    return data;
}

/* The outputs' covariance over all patches of 200 images. */
static void outputs_are_uncorrelated(void **state)
{
    enum { IMAGES = 200, N = 4, FILTERS = 7, PATCHES = IMAGES * 7 * 7 };
    static float x[IMAGES * 64];
    static int index[IMAGES];
    static int32_t labels[IMAGES];
    cn_dataset *all = digits(), *data;
    cn_model *m;
    cn_session *s;
    (void)state;
    for (int i = 0; i < IMAGES; i++) index[i] = i;
    assert_int_equal(cn_dataset_slice(&data, all, 0, IMAGES, NULL), CN_OK);
    assert_int_equal(cn_model_create(&m, (int[]){8, 8, 1}, NULL), CN_OK);
    cn_node y = cn_conv2d(m, cn_input(m),
                          &(cn_conv2d_opts){.name = "first", .filters = FILTERS, .kernel = {2}});
    assert_int_equal(cn_model_finish(m, y, 1, NULL), CN_OK);
    assert_int_equal(cn_model_whiten(m, "first", data, 1e-9, NULL), CN_OK);

    assert_int_equal(cn_session_create(&s, m, &(cn_session_opts){.batch = IMAGES}, NULL), CN_OK);
    cn_dataset_batch(data, index, IMAGES, NULL, NULL, x, labels, NULL);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){IMAGES, 8, 8, 1}, x);
    assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
    const float *z = cn_session_output(s).data;
    for (int i = 0; i < FILTERS; i++)
        for (int j = 0; j < FILTERS; j++) {
            double sum = 0;
            for (int p = 0; p < PATCHES; p++)
                sum += (double)z[p * FILTERS + i] * (double)z[p * FILTERS + j] / PATCHES;
            double want = i == j ? 1 : i == j + N || j == i + N ? -1 : 0;
            assert_true(fabs(sum - want) < 1e-3);
        }
    cn_session_free(s);
    cn_model_free(m);
    cn_dataset_free(data);
    cn_dataset_free(all);
}

/* Principal directions: a filter's length is 1 / sqrt(variance), so it grows with the filter. */
static void directions_fall_in_order(void **state)
{
    cn_dataset *data = digits();
    cn_model *m;
    cn_parameter w;
    (void)state;
    assert_int_equal(
        cn_model_parse(&m, "conv 9 3x3 as first, sigmoid", (int[]){8, 8, 1}, 10, 1, NULL), CN_OK);
    assert_int_equal(cn_model_whiten(m, "first", data, 1e-6, NULL), CN_OK);
    assert_true(cn_model_parameter(m, 0, &w));
    const float *value = w.value.data;
    double before = 0;
    for (int i = 0; i < 9; i++) {
        double length = 0;
        for (int k = 0; k < 9; k++) length += pow((double)value[k * 9 + i], 2);
        assert_true(length > before);
        before = length;
    }
    cn_model_free(m);
    cn_dataset_free(data);
}

static void what_cannot_be_whitened_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"relu as first", "whiten: first is a relu, expected a conv2d that reads the input"},
        {"relu, conv 3 3x3 as first",
         "whiten: first is a conv2d, expected a conv2d that reads the input"},
        {"conv 3 3x3", "whiten: no layer is called first"},
        {"conv 9 2x2 as first",
         "whiten: first has 9 filters of 2 x 2 x 1, expected at most twice as many as the values "
         "of a patch, which may be 512, and one group"},
    };
    cn_dataset *data = digits();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m;
        cn_error err;
        assert_int_equal(cn_model_parse(&m, cases[i][0], (int[]){8, 8, 1}, 10, 1, &err), CN_OK);
        assert_true(cn_model_whiten(m, "first", data, 1e-6, &err) != CN_OK);
        assert_string_equal(err.text, cases[i][1]);
        assert_int_equal(cn_model_whiten(m, "first", data, 0, &err), CN_ERR_ARGUMENT);
        cn_model_free(m);
    }
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_uncorrelated),
        cmocka_unit_test(directions_fall_in_order),
        cmocka_unit_test(what_cannot_be_whitened_is_refused),
    };
    return cmocka_run_group_tests_name("whiten", tests, NULL, NULL);
}

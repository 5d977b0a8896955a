/* test_model_errors.c - models that cannot be built: the first error is the one reported. */
#include "convnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef cn_node build(cn_model *m);

static cn_node large_kernel(cn_model *m)
{
    cn_node x = cn_max_pool(m, cn_input(m), &(cn_pool_opts){.size = {2}});
    x = cn_conv2d(m, x, &(cn_conv2d_opts){.filters = 1, .kernel = {9}});
    return cn_dense(m, x, &(cn_dense_opts){.units = -3}); /* a later error is not the one */
}
static cn_node no_filters(cn_model *m)
{
    return cn_conv2d(m, cn_input(m), &(cn_conv2d_opts){.kernel = {3}});
}
static cn_node negative_stride(cn_model *m)
{
    return cn_conv2d(m, cn_input(m),
                     &(cn_conv2d_opts){.filters = 1, .kernel = {3}, .stride = {-2}});
}
static cn_node pads_and_same(cn_model *m)
{
    return cn_conv2d(
        m, cn_input(m),
        &(cn_conv2d_opts){.filters = 1, .kernel = {3}, .pad = CN_PADDING_SAME, .pads = {0, 1}});
}
static cn_node unknown_padding(cn_model *m)
{
    return cn_conv2d(m, cn_input(m),
                     &(cn_conv2d_opts){.filters = 1, .kernel = {3}, .pad = (cn_padding)2});
}
static cn_node wide_pads(cn_model *m)
{
    return cn_max_pool(m, cn_input(m), &(cn_pool_opts){.size = {2, 3}, .pads = {1, 2, 2, 2}});
}
static cn_node pool_after_dense(cn_model *m)
{
    cn_node x = cn_dense(m, cn_input(m), &(cn_dense_opts){.units = 5, .name = "head"});
    return cn_max_pool(m, x, &(cn_pool_opts){.size = {2}});
}
static cn_node foreign_input(cn_model *m)
{
    return cn_relu(m, 4);
}
static cn_node taken_name(cn_model *m)
{
    cn_node x = cn_dense(m, cn_input(m), &(cn_dense_opts){.units = 5, .name = "head"});
    return cn_dense(m, x, &(cn_dense_opts){.units = 5, .name = "head"});
}
static cn_node bad_name(cn_model *m)
{
    return cn_dense(m, cn_input(m), &(cn_dense_opts){.units = 5, .name = "a b"});
}
static cn_node forgotten_branch(cn_model *m)
{
    cn_node x = cn_relu(m, cn_input(m));
    cn_tanh(m, x);
    return cn_sigmoid(m, x);
}
static cn_node huge_output(cn_model *m)
{
    return cn_conv2d(m, cn_input(m), &(cn_conv2d_opts){.filters = 1 << 30, .kernel = {1}});
}
static cn_node no_output(cn_model *m)
{
    (void)m;
    return 7;
}

static void the_first_error_is_reported(void **state)
{
    static const struct {
        build *build;
        cn_status status;
        const char *text;
    } cases[] = {
        {large_kernel, CN_ERR_SHAPE,
         "@conv2d_1 (after max_pool_1): kernel 9 x 9 does not fit a 4 x 4"},
        {no_filters, CN_ERR_ARGUMENT, "conv2d_1 (after input): filters is 0, expected at least 1"},
        {negative_stride, CN_ERR_ARGUMENT,
         "conv2d_1 (after input): stride is -2, expected at least 1"},
        {pads_and_same, CN_ERR_ARGUMENT,
         "conv2d_1 (after input): pads are given, but \"same\" finds them itself"},
        {unknown_padding, CN_ERR_ARGUMENT, "conv2d_1 (after input): pad is 2, expected 0 to 1"},
        {wide_pads, CN_ERR_ARGUMENT,
         "max_pool_1 (after input): pads 1 2 2 2, expected less than the window of 2 x 3"},
        {pool_after_dense, CN_ERR_SHAPE,
         "max_pool_1 (after head): input has shape (5), expected (n_H, n_W, n_C)"},
        {foreign_input, CN_ERR_ARGUMENT,
         "relu: input 4 is no layer of this model, which has layers 0 to 0"},
        {taken_name, CN_ERR_ARGUMENT, "dense: the name \"head\" is taken by layer 1"},
        {bad_name, CN_ERR_ARGUMENT,
         "dense: name \"a b\", expected 1 to 63 letters, digits or any of _-./"},
        {forgotten_branch, CN_ERR_ARGUMENT,
         "model: no layer reads tanh_1, and it is not the output, which is sigmoid_1"},
        {huge_output, CN_ERR_SHAPE,
         "conv2d_1 (after input): output (8, 8, 1073741824) has more than 2147483647 elements"},
        {no_output, CN_ERR_ARGUMENT, "model: output 7, expected a layer from 0 to 0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m;
        cn_error err = {0};
        assert_int_equal(cn_model_create(&m, (int[]){8, 8, 2}, &err), CN_OK);
        cn_node x = cases[i].build(m);
        assert_int_equal(cn_model_finish(m, x, 1, &err), cases[i].status);
        assert_int_equal(err.status, cases[i].status);
        if (cases[i].text[0] == '@')
            assert_memory_equal(err.text, cases[i].text + 1, strlen(cases[i].text) - 1);
        else
            assert_string_equal(err.text, cases[i].text);
        cn_model_free(m);
    }
}

static void convolutions_that_do_not_fit_are_explained(void **state)
{
    static const struct {
        const char *text;
        cn_status status;
        const char *error;
    } cases[] = {
        {"conv 3 3x3 groups 2", CN_ERR_SHAPE,
         "conv2d_1 (after input): 2 groups, expected a divisor of the input's 2 channels and of "
         "the 3 filters"},
        {"conv 3 3x3 dilation 3x4", CN_ERR_SHAPE,
         "conv2d_1 (after input): kernel 3 x 3 with dilation 3 x 4 does not fit a 8 x 8 input "
         "padded to 8 columns"},
        {"conv 3 3x3 dilation 2147483647", CN_ERR_SHAPE,
         "conv2d_1 (after input): a kernel that reaches over 4294967295 elements"},
        {"conv 3 3x3 same dilation 1073741823", CN_ERR_SHAPE,
         "conv2d_1 (after input): a padded side of 2147483654 elements is too long"},
        {"relu, depthwise 9", CN_ERR_SHAPE,
         "depthwise_conv2d_1 (after relu_1): kernel 9 x 9 does not fit a 8 x 8 input padded to 8 "
         "rows"},
        {"depthwise 3 depth_multiplier 2000000000", CN_ERR_SHAPE,
         "depthwise_conv2d_1 (after input): depth_multiplier 2000000000 for 2 channels, expected "
         "at "
         "most 1073741823"},
        {"convtranspose 3 2 groups 2", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after input): 2 groups, expected a divisor of the input's 2 channels "
         "and of the 3 filters"},
        {"convtranspose 3 2 stride 3x1 output_padding 1", CN_ERR_ARGUMENT,
         "conv_transpose2d_1 (after input): output_padding 1 x 1, expected less than the stride, "
         "3 x 1"},
        {"convtranspose 3 2 stride 2 same output_padding 1", CN_ERR_ARGUMENT,
         "conv_transpose2d_1 (after input): output_padding is given, but \"same\" finds the "
         "output's size itself"},
        {"convtranspose 3 1 pads 0x3x0x5", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after input): pads 3 and 5 leave nothing of the output's 8 columns"},
        {"convtranspose 3 1 stride 2147483647", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after input): an output of 15032385530 rows is too large"},
        {"dense 4, convtranspose 3 1", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after dense_1): input has shape (4), expected (n_H, n_W, n_C)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m = NULL;
        cn_error err = {0};
        assert_int_equal(cn_model_parse(&m, cases[i].text, (int[]){8, 8, 2}, 10, 1, &err),
                         cases[i].status);
        assert_string_equal(err.text, cases[i].error);
        assert_null(m);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    cn_error err;
    cn_model *m = NULL;
    (void)state;
    assert_int_equal(cn_model_create(&m, (int[]){8, 0, 1}, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "model: input shape (8, 0, 1), expected (n_H, n_W, n_C) with "
                                  "extents of at least 1 and at most 2147483647 elements");
    assert_int_equal(cn_model_create(&m, (int[]){50000, 50000, 1}, NULL), CN_ERR_SHAPE);
    assert_int_equal(cn_model_create(NULL, (int[]){8, 8, 1}, NULL), CN_ERR_ARGUMENT);
    assert_null(m);
    assert_int_equal(cn_model_finish(NULL, 0, 1, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_input(NULL), -1);
    assert_int_equal(cn_relu(NULL, 0), -1);
    assert_int_equal(cn_model_parse(&m, "relu", (int[]){2, 2, 1}, 10, 1, NULL), CN_OK);
    assert_int_equal(cn_model_finish(m, 1, 1, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "model: it is finished already");
    assert_int_equal(cn_tanh(m, 1), -1);
    cn_model_free(m);
    cn_model_free(NULL);
}

/* Planning takes time that grows with the square: a file's graph must not ask for hours. */
static void too_many_layers_are_refused(void **state)
{
    (void)state;
    cn_model *model = NULL;
    cn_error err;
    assert_int_equal(cn_model_create(&model, (int[]){1, 1, 1}, NULL), CN_OK);
    cn_node x = cn_input(model);
    for (int i = 1; i < 10000; i++) x = cn_relu(model, x);
    assert_int_equal(x, 9999);
    assert_true(cn_relu(model, x) < 0);
    assert_int_equal(cn_model_finish(model, x, 1, &err), CN_ERR_UNSUPPORTED);
    assert_string_equal(err.text, "model: more than 10000 layers");
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_error_is_reported),
        cmocka_unit_test(convolutions_that_do_not_fit_are_explained),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(too_many_layers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

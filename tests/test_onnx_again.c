/*
 * test_onnx_again.c - a model that is written as ONNX and read again gives the same bits.
 *
 * Every type of layer takes part, and networks of the zoo, with random weights and
 * statistics. tests/onnx_networks.py does the same to networks that came as ONNX files.
 */
#include "formats/onnx_export.h"
#include "model/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "draw.h"
#include "folder.h"

enum { EXAMPLES = 2 };

static cn_model *make(const char *text, const int shape[3])
{
    cn_model *m = NULL;
    cn_error err;
    if (cn_model_parse(&m, text, shape, 3, 1, &err) != CN_OK) fail_msg("%s: %s", text, err.text);
    return m;
}

/* Numbers around those that a network begins with, so that none is 0 or 1. */
static void randomize(cn_model *m, uint64_t *random)
{
    cn_parameter p;
    for (int k = 0; cn_model_parameter(m, k, &p); k++) {
        float *values = p.value.data;
        for (size_t i = 0; i < cn_tensor_count(&p.value); i++)
            values[i] += (float)draw_real(random, 0.01, 0.3);
    }
    cn_model_weights_changed(m);
}

/* The outputs for these examples; free(). */
static float *run(cn_model *m, const float *x, size_t *count)
{
    cn_session *session = NULL;
    cn_error err;
    const int *n = cn_model_input_shape(m), shape[] = {EXAMPLES, n[0], n[1], n[2]};
    const cn_session_opts opts = {.batch = EXAMPLES, .threads = 1};
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, shape, (void *)(uintptr_t)x);
    if (cn_session_create_inference(&session, m, &opts, &err) != CN_OK ||
        cn_session_forward(session, &X, &err) != CN_OK)
        fail_msg("%s", err.text);
    const cn_tensor y = cn_session_output(session);
    *count = cn_tensor_count(&y);
    float *copy = malloc(*count * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, y.data, *count * sizeof *copy);
    cn_session_free(session);
    return copy;
}

/* Where the largest difference may not be 0, `most` says how large a part of the largest output. */
static void check(const char *text, const int shape[3], double most)
{
    cn_model *m = make(text, shape), *again = NULL;
    char path[FILES_PATH];
    cn_error err;
    uint64_t random = 7;
    size_t count, other, n = EXAMPLES * (size_t)(shape[0] * shape[1] * shape[2]);
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)draw_real(&random, -1, 1);
    randomize(m, &random);
    files_join(path, folder, "again.onnx");
    if (cn_model_export(m, path, NULL, &err) != CN_OK) fail_msg("%s: %s", text, err.text);
    if (cn_model_load(&again, path, &err) != CN_OK) fail_msg("%s: %s", text, err.text);
    float *first = run(m, x, &count), *second = run(again, x, &other);
    assert_int_equal(count, other);
    double apart = 0, range = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(isfinite(first[i]));
        apart = fmax(apart, fabs((double)first[i] - (double)second[i]));
        range = fmax(range, fabs((double)first[i]));
    }
    if (most == 0 ? memcmp(first, second, count * sizeof *first) != 0 : apart > most * range)
        fail_msg("%s: differs by %g of the largest output", text, apart / range);
    free(first);
    free(second);
    free(x);
    cn_model_free(again);
    cn_model_free(m);
}

/* ---- layers */

static const char *const layers[] = {
    "conv 4 3x2, dense 3",
    "conv 4 4x4 stride 3x2 same no_bias, relu, dense 3",
    "conv 6 3x3 pads 1x2x0x3 dilation 2x1 groups 2, tanh, dense 3",
    "depthwise 3x3 same depth_multiplier 2, sigmoid, dense 3",
    "conv 6 3x3 same no_bias, batchnorm epsilon 0.001, relu, dense 3",
    "convtranspose 4 2x2 stride 2, relu6, dense 3",
    "convtranspose 6 3x4 stride 2x3 pads 1x0x1x2 output_padding 1x2 groups 3, dense 3",
    "convtranspose 4 1x2 stride 3x3 same, dense 3",
    "convtranspose 3 2x2 dilation 2 no_bias, softmax",
    "maxpool 3 stride 2 pads 1, dense 3",
    "avgpool 3 stride 2 pads 1x0x2x1, dense 3",
    "gap, dense 3",
    "adaptiveavgpool 3x4, dense 3",
    "adaptiveavgpool 4x3, dense 3",
    "adaptiveavgpool 12x1, dense 3",
    "zeropad 1x2x3x0, dense 3",
    "crop 1x2x3x1, dense 3",
    "upsample 2x3, dense 3",
    "upsample 3x2 bilinear, dense 3",
    "batchnorm no_scale, batchnorm no_shift epsilon 0.1, dense 3",
    "layernorm epsilon 0.001, layernorm all_axes, dense 3",
    "layernorm all_axes no_scale epsilon 0.1, layernorm no_scale no_shift, dense 3",
    "groupnorm 3, groupnorm 6 no_scale, groupnorm 1 no_shift, dense 3",
    "dense 12, groupnorm 3, dense 3",
    "leaky_relu 0.2, elu 0.7, gelu, dense 3",
    "gelu approximate, silu, softplus, dense 3",
    "hard_sigmoid, hard_swish, scale 0.3, dense 3",
    "flatten, relu, dropout 0.5, batchnorm, layernorm, dense 4",
    "conv 4 3x3, flatten",
    "flatten as a, dense 432, add a, dense 4",
    "flatten as a, dense 7, concat a, dense 3, sigmoid",
    "flatten, groupnorm 8, dense 3",
    "shift 0.3, clip -0.5 0.7, dense 3",
    "affine, affine no_scale, affine no_shift, flatten, affine, dense 3",
    "constant 9x8 channels 6, dense 3",
    "constant 1x1 channels 6 as c, plus input, dense 3",
    "gap, dense 6, sigmoid, multiply input, dense 3",
    "conv 6 1x1 as a, conv 1 1x1 from input, subtract a, conv 6 1x1, maximum a, dense 3",
    "conv 6 1x1, minimum input, dense 3",
    "sigmoid, shift 0.1 as a, relu from input, divide a, dense 3",
    "sigmoid as a, dense 6, sigmoid as b, power a, dense 3",
    "resize 13x5, dense 3",
    "resize 18x24 linear, dense 3",
    "resize 7x11 linear align_corners, dense 3",
    "resize 13x10 cubic pytorch cubic_a -0.5, dense 3",
    "resize 13x9 cubic inside, dense 3",
    "resize 22x20 nearest asymmetric ceil scale_h 2.5 scale_w 2.5, dense 3",
    "resize 5x5 linear scale_h 0.6 scale_w 0.7, dense 3",
    "resize 4x4 linear symmetric scale_h 0.45 scale_w 0.6, dense 3",
    "resize 4x5 linear antialias, resize 3x3 cubic antialias inside, dense 3",
    "resize 6x5 cubic antialias scale_h 0.7 scale_w 0.7, dense 3",
    "resize 5x4 linear crop crop_y 0.25 crop_x -0.5 crop_h 0.5 crop_w 1.25 outside 3, dense 3",
    "resize 7x4 nearest crop crop_y 1 crop_h -1, dense 3",
    "pad 1x2x3x0 value 0.3, dense 3",
    "pad 1x2x3x0 reflect, pad 2x1x0x1 edge, pad 1x1x2x2 wrap, dense 3",
    "lrn 3 alpha 0.2 beta 0.6 bias 1.5, dense 3",
    "log_softmax, dense 4, log_softmax",
    "reshape 4x6, conv 3 1x1, dense 3",
    "transpose 72x6, relu, dense 3",
    "transpose 9x8 inner 6, conv 3 3x3, dense 3",
    "slice 2 begin 1 step 3, slice 3 begin 2 step 2 columns, slice 3 begin 1 rows, dense 3",
    "conv 4 3x3 same as left, conv 3 5x5 same from input as right, concat left, softmax",
};
enum { LAYERS = sizeof layers / sizeof *layers };

static void every_layer_gives_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < LAYERS; i++) check(layers[i], (int[]){9, 8, 6}, 0);
}

/* A Transpose is no layer for the importer: the dense layer takes its elements in another order, and
 * adds its products in that order. */
static void elements_that_are_only_renamed_may_be_added_in_another_order(void **state)
{
    (void)state;
    check("flatten, transpose 4x9, dense 3", (int[]){9, 8, 6}, 1e-6);
}

static void every_type_that_can_be_written_takes_part(void **state)
{
    const cn_layer_type *type;
    (void)state;
    for (int t = 0; (type = cn_layer_type_at(t)); t++) {
        bool found = !cn_onnx_has_layer(type);
        for (int i = 0; i < LAYERS && !found; i++) {
            cn_model *m = make(layers[i], (int[]){9, 8, 6});
            for (int k = 0; k < m->layer_count; k++) found = found || m->layers[k].type == type;
            cn_model_free(m);
        }
        if (!found) fail_msg("%s has no row", type->name);
    }
}

/* A file has floats, options are doubles: 1e-5, not 1e-5 rounded to float. */
static void options_are_the_numbers_that_were_written(void **state)
{
    cn_model *m =
        make("batchnorm epsilon 0.003 momentum 0.95, scale 0.3, dense 3", (int[]){9, 8, 6});
    cn_model *again = NULL;
    char path[FILES_PATH];
    (void)state;
    files_join(path, folder, "options.onnx");
    assert_int_equal(cn_model_export(m, path, NULL, NULL), CN_OK);
    assert_int_equal(cn_model_load(&again, path, NULL), CN_OK);
    const cn_batch_norm_opts *norm = again->layers[1].options;
    const cn_scale_opts *scale = again->layers[2].options;
    assert_true(norm->epsilon == 0.003 && norm->momentum == 0.95 && scale->factor == 0.3);
    cn_model_free(again);
    cn_model_free(m);
}

/* ---- networks */

static void networks_of_the_zoo_give_the_same_bits(void **state)
{
    static const struct {
        const char *name;
        int shape[3];
    } networks[] = {
        {"lenet5", {28, 28, 1}},   {"signs", {64, 64, 3}},      {"happy", {64, 64, 3}},
        {"digits", {8, 8, 1}},     {"mnist-fast", {28, 28, 1}}, {"signs-fast", {64, 64, 3}},
        {"resnet20", {32, 32, 3}}, {"unet-small", {32, 32, 3}}, {"mobilenet-v2", {32, 32, 3}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        check(networks[i].name, networks[i].shape, 0);
}

/* "a" has a parameter "a.weight", and a layer of that name a value of it. */
static void a_value_and_a_parameter_of_one_name_are_refused(void **state)
{
    cn_model *m = make("conv 4 3x3 as a, relu as a.weight, dense 3", (int[]){9, 8, 6});
    char path[FILES_PATH];
    cn_error err;
    (void)state;
    files_join(path, folder, "twice.onnx");
    assert_int_equal(cn_model_export(m, path, NULL, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "a.weight");
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_gives_the_same_bits),
        cmocka_unit_test(elements_that_are_only_renamed_may_be_added_in_another_order),
        cmocka_unit_test(every_type_that_can_be_written_takes_part),
        cmocka_unit_test(options_are_the_numbers_that_were_written),
        cmocka_unit_test(networks_of_the_zoo_give_the_same_bits),
        cmocka_unit_test(a_value_and_a_parameter_of_one_name_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

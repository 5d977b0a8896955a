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
#include <stdio.h>

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

/* The lines of tests/onnx_layers.txt but for its remarks. */
enum { MOST_LAYERS = 128, LINE = 200 };
static char layers[MOST_LAYERS][LINE];
static int layer_count;

static int read_layers(void **state)
{
    FILE *file = fopen(TEST_SOURCE_DIR "/tests/onnx_layers.txt", "r");
    assert_non_null(file);
    while (layer_count < MOST_LAYERS && fgets(layers[layer_count], LINE, file)) {
        char *line = layers[layer_count];
        assert_non_null(strchr(line, '\n'));
        *strchr(line, '\n') = '\0';
        layer_count += line[0] != '#';
    }
    assert_true(layer_count > 0 && feof(file));
    fclose(file);
    return set_up(state);
}

static void every_layer_gives_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < layer_count; i++) check(layers[i], (int[]){9, 8, 6}, 0);
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
        for (int i = 0; i < layer_count && !found; i++) {
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
    return cmocka_run_group_tests(tests, read_layers, tear_down);
}

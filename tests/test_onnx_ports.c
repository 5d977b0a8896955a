/*
 * test_onnx_ports.c - ONNX networks of several inputs and outputs: what they compute, that their
 * names travel, and that hostile ones are refused. tests/onnx_ports.py has onnxruntime beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "draw.h"
#include "folder.h"
#include "onnx_bytes.h"

/* ---- a small network: an image and a row of numbers, three outputs */

enum { C = 2, H = 2, W = 3, ROW = 3, UNITS = 2, PIXELS = C * H * W };

typedef struct network {
    float w[ROW][UNITS], scale[C];
} network;

/* image times a number per channel; the row times a matrix; and both of the means of the image's
 * first channels. */
static void make_graph(message *graph, const network *n)
{
    static const int64_t image[] = {0, C, H, W}, row[] = {0, ROW}, units[] = {0, UNITS};
    graph->size = 0;
    put_node(graph, "Mul", "image scale", "bright");
    put_node(graph, "Gemm", "row head.weight", "head");
    put_node(graph, "GlobalAveragePool", "bright", "means");
    put_node(graph, "Flatten", "means", "flat");
    put_node(graph, "Add", "flat head", "both");
    put_floats(graph, "head.weight", 2, (int64_t[]){ROW, UNITS}, &n->w[0][0]);
    put_floats(graph, "scale", 3, (int64_t[]){C, 1, 1}, n->scale);
    put_port(graph, 11, "image", 4, image);
    put_port(graph, 11, "row", 2, row);
    put_port(graph, 12, "both", 2, units);
    put_port(graph, 12, "bright", 4, image);
    put_port(graph, 12, "head", 2, units);
}

static cn_model *make_model_of(const network *n)
{
    static message graph, bytes;
    cn_model *model = NULL;
    cn_error err = {0};
    make_graph(&graph, n);
    make_model(&bytes, &graph, 18);
    if (read_model(&model, &bytes, &err) != CN_OK) fail_msg("%s", err.text);
    return model;
}

static int find_port(const cn_model *m, bool input, const char *name, cn_port *port)
{
    for (int i = 0; input ? cn_model_input(m, i, port) : cn_model_output(m, i, port); i++)
        if (strcmp(port->name, name) == 0) return i;
    fail_msg("no %s", name);
    return -1;
}

/* The outputs of one example, an image with channels last; free(). */
static float *run_model(cn_model *m, const float *image, const float *row)
{
    cn_error err = {0};
    cn_session *session = NULL;
    cn_port port;
    const int *n = cn_model_input_shape(m), shape[] = {1, n[0], n[1], n[2]};
    float *x = malloc((size_t)n[2] * sizeof *x), *y;
    assert_non_null(x);
    assert_int_equal(n[2], PIXELS + ROW);
    find_port(m, true, "image", &port);
    memcpy(x + port.offset, image, PIXELS * sizeof *x);
    find_port(m, true, "row", &port);
    memcpy(x + port.offset, row, ROW * sizeof *x);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, shape, x);
    const cn_session_opts opts = {.batch = 1, .threads = 1};
    if (cn_session_create_inference(&session, m, &opts, &err) != CN_OK ||
        cn_session_forward(session, &X, &err) != CN_OK)
        fail_msg("%s", err.text);
    const cn_tensor Y = cn_session_output(session);
    const size_t bytes = cn_tensor_count(&Y) * sizeof *y;
    y = malloc(bytes);
    assert_non_null(y);
    memcpy(y, Y.data, bytes);
    cn_session_free(session);
    free(x);
    return y;
}

static void draw_inputs(float image[PIXELS], float row[ROW])
{
    uint64_t random = 11;
    for (int i = 0; i < PIXELS; i++) image[i] = (float)draw_real(&random, -1, 1);
    for (int i = 0; i < ROW; i++) row[i] = (float)draw_real(&random, -1, 1);
}

static void check_outputs(cn_model *m, const network *n)
{
    float image[PIXELS], row[ROW];
    cn_port port;
    draw_inputs(image, row);
    float *y = run_model(m, image, row);
    assert_int_equal(find_port(m, false, "bright", &port), 1);
    assert_int_equal(port.rank, 3);
    assert_memory_equal(port.shape, ((int[]){H, W, C}), 3 * sizeof(int));
    for (int i = 0; i < PIXELS; i++) assert_true(y[port.offset + i] == image[i] * n->scale[i % C]);
    for (int u = 0; u < UNITS; u++) {
        double head = 0, mean = 0;
        for (int k = 0; k < ROW; k++) head += (double)row[k] * (double)n->w[k][u];
        for (int p = 0; p < H * W; p++)
            mean += (double)image[p * C + u] * (double)n->scale[u] / (H * W);
        assert_int_equal(find_port(m, false, "head", &port), 2);
        assert_int_equal(port.rank, 1);
        assert_true(fabs((double)y[port.offset + u] - head) < 1e-6);
        assert_int_equal(find_port(m, false, "both", &port), 0);
        assert_true(fabs((double)y[port.offset + u] - head - mean) < 1e-6);
    }
    free(y);
}

static void all_outputs_of_all_inputs_are_computed(void **state)
{
    network n;
    draw_weights(&n, sizeof n);
    cn_model *m = make_model_of(&n);
    (void)state;
    assert_int_equal(cn_model_input_count(m), 2);
    assert_int_equal(cn_model_output_count(m), 3);
    assert_int_equal(cn_model_output_size(m), PIXELS + 2 * UNITS);
    check_outputs(m, &n);
    cn_model_free(m);
}

static void names_survive_every_format_that_holds_a_model(void **state)
{
    static const char *const files[] = {"a.safetensors", "a.npz", "a.onnx"};
    network n;
    draw_weights(&n, sizeof n);
    cn_model *m = make_model_of(&n);
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cn_model *again = NULL;
        cn_error err;
        cn_port port;
        char path[FILES_PATH];
        files_join(path, folder, files[i]);
        if (cn_model_export(m, path, NULL, &err) != CN_OK) fail_msg("%s", err.text);
        if (cn_model_load(&again, path, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(find_port(again, true, "row", &port), 1);
        check_outputs(again, &n);
        cn_parameter p;
        int k = 0;
        while (cn_model_parameter(again, k, &p) && strcmp(p.name, "head.weight") != 0) k++;
        assert_true(cn_model_parameter(again, k, &p)); /* a layer and an output are "head" */
        cn_model_free(again);
    }
    cn_model_free(m);
}

static void an_output_can_be_taken_alone(void **state)
{
    network n;
    draw_weights(&n, sizeof n);
    cn_model *m = make_model_of(&n), *one = NULL;
    float image[PIXELS], row[ROW];
    cn_error err;
    cn_port port, only;
    (void)state;
    draw_inputs(image, row);
    if (cn_model_select_output(&one, m, "both", &err) != CN_OK) fail_msg("%s", err.text);
    float *all = run_model(m, image, row), *part = run_model(one, image, row);
    find_port(m, false, "both", &port);
    assert_int_equal(find_port(one, false, "both", &only), 0);
    assert_int_equal(cn_model_output_count(one), 1);
    assert_int_equal(cn_model_output_size(one), UNITS);
    assert_memory_equal(all + port.offset, part, UNITS * sizeof *part);
    free(part);
    cn_model_free(one);
    one = NULL;
    /* What it does not need is gone. */
    if (cn_model_select_output(&one, m, "bright", &err) != CN_OK) fail_msg("%s", err.text);
    part = run_model(one, image, row);
    find_port(m, false, "bright", &port);
    assert_memory_equal(all + port.offset, part, PIXELS * sizeof *part);
    assert_int_equal(cn_model_parameter_elements(one), C);
    free(part);
    free(all);
    cn_model_free(one);
    assert_int_equal(cn_model_select_output(&one, m, "boxes", &err), CN_ERR_ARGUMENT);
    assert_says(err, "no output \"boxes\", only both, bright, head");
    cn_model_free(m);
}

/* Outputs of one operator: Y, the mean, and 1 / sqrt(variance + epsilon), of each example. */
static void a_layer_norm_gives_its_statistics(void **state)
{
    static message graph, node, bytes;
    static const int64_t row[] = {0, ROW}, one[] = {0, 1};
    const float weight[ROW] = {1, 1, 1}, x[2][ROW] = {{1, 2, 6}, {-3, 0, 6}};
    cn_model *m = NULL;
    cn_session *session = NULL;
    cn_error err = {0};
    (void)state;
    graph.size = 0;
    begin_node(&node, "LayerNormalization", "x weight", "y mean inverse");
    put_message(&graph, 1, &node);
    put_floats(&graph, "weight", 1, (int64_t[]){ROW}, weight);
    put_port(&graph, 11, "x", 2, row);
    put_port(&graph, 12, "inverse", 2, one), put_port(&graph, 12, "mean", 2, one);
    put_port(&graph, 12, "y", 2, row);
    make_model(&bytes, &graph, 17);
    if (read_model(&m, &bytes, &err) != CN_OK) fail_msg("%s", err.text);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){2, 1, 1, ROW}, (void *)(uintptr_t)x);
    const cn_session_opts opts = {.batch = 2, .threads = 1};
    assert_int_equal(cn_session_create_inference(&session, m, &opts, &err), CN_OK);
    assert_int_equal(cn_session_forward(session, &X, &err), CN_OK);
    const float *y = cn_session_output(session).data;
    for (int i = 0; i < 2; i++, y += 2 + ROW) {
        const double mean = i ? 1 : 3, inverse = 1 / sqrt((i ? 14 : 14.0 / 3) + 1e-5);
        assert_true(fabs((double)y[0] - inverse) < 1e-6);
        assert_true(fabs((double)y[1] - mean) < 1e-6);
        for (int k = 0; k < ROW; k++)
            assert_true(fabs((double)y[2 + k] - ((double)x[i][k] - mean) * inverse) < 1e-5);
    }
    cn_session_free(session);
    cn_model_free(m);
}

/* ---- training */

static void gradients_are_right_and_a_session_learns(void **state)
{
    network n;
    draw_weights(&n, sizeof n);
    cn_model *m = make_model_of(&n);
    enum { OUT = PIXELS + 2 * UNITS, BATCH = 4 };
    float x[BATCH * (PIXELS + ROW)], y[BATCH * OUT] = {0};
    uint64_t random = 5;
    cn_gradcheck_row worst;
    cn_session *session = NULL;
    cn_error err;
    double first = 0, loss = 0;
    (void)state;
    if (cn_gradcheck(m, NULL, &worst, &err) != CN_OK) fail_msg("%s", err.text);
    assert_true(worst.twin_error < 1e-6 && worst.engine_error < 1e-4);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (float)draw_real(&random, -1, 1);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){BATCH, 1, 1, PIXELS + ROW}, x);
    cn_tensor Y = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){BATCH, OUT}, y);
    const cn_session_opts opts = {.batch = BATCH,
                                  .training = true,
                                  .threads = 1,
                                  .loss.kind = CN_LOSS_MEAN_SQUARED_ERROR,
                                  .optimizer.kind = CN_OPTIMIZER_SGD};
    if (cn_session_create(&session, m, &opts, &err) != CN_OK) fail_msg("%s", err.text);
    for (int step = 0; step < 100; step++) {
        assert_int_equal(cn_session_forward(session, &X, &err), CN_OK);
        if (cn_session_loss(session, &Y, &loss, &err) != CN_OK) fail_msg("%s", err.text);
        if (step == 0) first = loss;
        assert_int_equal(cn_session_backward(session, &err), CN_OK);
        assert_int_equal(cn_session_step(session, 0.5, &err), CN_OK);
    }
    assert_true(loss < 0.05 * first);
    cn_session_free(session);
    cn_model_free(m);
}

static void what_has_one_input_or_output_refuses_several(void **state)
{
    network n;
    draw_weights(&n, sizeof n);
    cn_model *m = make_model_of(&n), *made = NULL;
    cn_dataset *digits = NULL;
    cn_metrics metrics;
    cn_tensor image = {0}, X = {0};
    cn_error err;
    char path[FILES_PATH];
    (void)state;
    assert_int_equal(cn_dataset_load(&digits, "digits", CN_SUBSET_TEST, NULL, &err), CN_OK);
    assert_int_equal(cn_fit(m, digits, NULL, NULL, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "fit: 2 inputs (image, row), expected one");
    assert_int_equal(cn_evaluate(m, digits, NULL, &metrics, NULL, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "2 inputs");
    assert_int_equal(cn_model_adapt(&made, m, (int[]){8, 8, 1}, 3, 1, &err), CN_ERR_UNSUPPORTED);
    assert_int_equal(cn_tensor_create(&image, CN_DTYPE_U8, 3, (int[]){2, 2, 3}, &err), CN_OK);
    assert_int_equal(cn_image_prepare(m, &image, &X, &err), CN_ERR_UNSUPPORTED);
    files_join(path, folder, "a.keras");
    assert_int_equal(cn_model_export(m, path, NULL, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "2 inputs");
    cn_tensor_free(&image);
    cn_dataset_free(digits);
    cn_model_free(m);
}

/* ---- hostile graphs */

enum { FEW = 4 };

/* "Relu x -> y", with inputs and outputs as put_port_text has them. */
static void make_relu(message *graph, const char *const inputs[FEW], const char *const outputs[FEW])
{
    graph->size = 0;
    put_node(graph, "Relu", "x", "y");
    for (int i = 0; i < FEW && inputs[i]; i++) put_port_text(graph, 11, inputs[i]);
    for (int i = 0; i < FEW && outputs[i]; i++) put_port_text(graph, 12, outputs[i]);
}

static void hostile_inputs_and_outputs_are_refused(void **state)
{
    static message g;
    static char name[300];
    static const struct {
        const char *inputs[FEW], *outputs[FEW], *text;
    } cases[] = {
        {{"x n,4"}, {NULL}, "no outputs"},
        {{NULL}, {"y n,4"}, "no inputs"},
        {{"x n,4", "x n,4"}, {"y n,4"}, "two inputs are called x"},
        {{"x n,4"}, {"y n,4", "y n,4"}, "two outputs are called \"y\""},
        {{"x n,4"}, {"y n,4", "z n,4"}, "nothing makes the output z"},
        {{"x n,4"}, {"y n,4", " n,4"}, "nothing makes the output"},
        {{"x 2,4", "z 3,4"}, {"y 2,4"}, "input z has 3 examples, and another input 2"},
        {{"x n,1073741824,1,1", "z n,1073741824,1,1"},
         {"y n,1073741824,1,1"},
         "more than 2147483647 elements"},
        {{"x n,4", "z n,2147483648,1073741824,1073741824"}, {"y n,4"}, "z"},
        {{"x n,4", name}, {"y n,4"}, "longer than 255 bytes"},
        {{"x n,4", "a\033[2J n,4"}, {"y n,4"}, "control characters"},
        {{"x n,4", "\xff\xfe n,4"}, {"y n,4"}, "not UTF-8"},
        {{"x n,4", " n,4"}, {"y n,4"}, "an input without a name"},
    };
    (void)state;
    memset(name, 'n', sizeof name - 5);
    strcpy(name + sizeof name - 5, " n,4");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_relu(&g, cases[i].inputs, cases[i].outputs);
        assert_refused(&g, cases[i].text);
    }
    make_relu(&g, (const char *[FEW]){"x n,4"}, (const char *[FEW]){"y n,4", "c n,4"});
    put_floats(&g, "c", 2, (int64_t[]){1, 1}, (float[]){1});
    assert_refused(&g, "output c does not depend on the input");
}

static void a_thousand_outputs_are_read_and_more_refused(void **state)
{
    enum { MANY = 1000 };
    static message g, bytes;
    const int64_t row[] = {0, 2};
    char name[16];
    cn_model *m = NULL;
    cn_error err;
    cn_port port;
    (void)state;
    make_relu(&g, (const char *[FEW]){"x n,2"}, (const char *[FEW]){NULL});
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "y%d", i);
        put_node(&g, "Identity", "y", name);
        put_port(&g, 12, name, 2, row);
    }
    make_model(&bytes, &g, 18);
    if (read_model(&m, &bytes, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_model_output_count(m), MANY);
    assert_true(cn_model_output(m, MANY - 1, &port));
    assert_int_equal(port.offset, 2 * (MANY - 1));
    assert_false(cn_model_output(m, MANY, &port));
    cn_model_free(m);
    put_node(&g, "Identity", "y", "z"), put_port(&g, 12, "z", 2, row);
    assert_refused(&g, "inputs or outputs");
}

/* An error or a model, whatever the bytes are. */
static void damaged_files_are_refused_or_read(void **state)
{
    static message graph, whole, damaged;
    network n;
    draw_weights(&n, sizeof n);
    (void)state;
    make_graph(&graph, &n);
    make_model(&whole, &graph, 18);
    for (size_t i = 0; i < 9 * whole.size; i++) {
        cn_model *m = NULL;
        cn_error err = {0};
        damaged = damaged_at(&whole, i);
        if (read_model(&m, &damaged, &err) == CN_OK)
            assert_true(cn_model_output_count(m) >= 1);
        else
            assert_true(err.text[0]);
        cn_model_free(m);
    }
}

/* ---- hostile model files */

/* Reads the model's graph again, with a value of it replaced. */
static void assert_json_refused(const cn_model *m, const char *key, const char *value,
                                const char *text)
{
    cn_error err = {0};
    cn_model *again = NULL;
    json_t *graph = cn_model_to_json(m, &err);
    json_t *other = json_loads(value, JSON_DECODE_ANY, NULL);
    assert_non_null(graph);
    assert_non_null(other);
    json_object_set_new(graph, key, other);
    if (cn_model_from_json(&again, graph, true, SIZE_MAX, &err) == CN_OK)
        fail_msg("%s: read, expected \"%s\"", value, text);
    assert_says(err, text);
    json_decref(graph);
}

static void a_graph_whose_ports_are_not_those_of_its_layers_is_refused(void **state)
{
    network n;
    draw_weights(&n, sizeof n);
    cn_model *m = make_model_of(&n);
    (void)state;
    assert_json_refused(m, "inputs", "[{\"name\": \"image\", \"shape\": [2, 3, 2]}]",
                        "the inputs have 12 elements, expected 15");
    assert_json_refused(m, "inputs",
                        "[{\"name\": \"row\", \"shape\": [3]}, {\"name\": \"image\", "
                        "\"shape\": [2, 3, 2]}]",
                        "reads several inputs, and is none of them");
    assert_json_refused(m, "inputs", "[]", "no two lists of 1 to 1000");
    assert_json_refused(m, "outputs", "null", "no two lists of 1 to 1000");
    assert_json_refused(m, "outputs", "[{\"name\": \"a\"}]", "no \"name\" with a \"shape\"");
    assert_json_refused(m, "outputs", "[{\"name\": \"a\", \"shape\": [4, 4]}]",
                        "one or three positive integers");
    assert_json_refused(m, "outputs", "[{\"name\": \"a\", \"shape\": [99999999999]}]",
                        "one or three positive integers");
    assert_json_refused(m, "outputs",
                        "[{\"name\": \"a\", \"shape\": [2147483647, 2147483647, 2147483647]}]",
                        "has too many elements");
    assert_json_refused(m, "outputs",
                        "[{\"name\": \"a\", \"shape\": [2]}, {\"name\": \"b\", \"shape\": [12]},"
                        " {\"name\": \"a\", \"shape\": [2]}]",
                        "two outputs are called \"a\"");
    assert_json_refused(m, "outputs",
                        "[{\"name\": \"a\", \"shape\": [3]}, {\"name\": \"b\", \"shape\": [13]}]",
                        "output \"a\" is no part of");
    assert_json_refused(m, "outputs",
                        "[{\"name\": \"a\", \"shape\": [2]}, {\"name\": \"b\", \"shape\": [3, 2, "
                        "2]}, {\"name\": \"c\", \"shape\": [2]}]",
                        "output \"b\" is no part of");
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_outputs_of_all_inputs_are_computed),
        cmocka_unit_test(names_survive_every_format_that_holds_a_model),
        cmocka_unit_test(an_output_can_be_taken_alone),
        cmocka_unit_test(a_layer_norm_gives_its_statistics),
        cmocka_unit_test(gradients_are_right_and_a_session_learns),
        cmocka_unit_test(what_has_one_input_or_output_refuses_several),
        cmocka_unit_test(hostile_inputs_and_outputs_are_refused),
        cmocka_unit_test(a_thousand_outputs_are_read_and_more_refused),
        cmocka_unit_test(damaged_files_are_refused_or_read),
        cmocka_unit_test(a_graph_whose_ports_are_not_those_of_its_layers_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

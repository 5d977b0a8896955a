/*
 * test_onnx_patterns.c - files in which a layer is several operators, or an operator is none.
 *
 * Channels last, as tf2onnx has them: Transposes around every operator that wants channels first,
 * everything else between them on the layout as it is. And GELU as it was written before it was an
 * operator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "draw.h"
#include "files.h"
#include "onnx_bytes.h"

enum { C = 3, SIDE = 5, FILTERS = 6, UNITS = 4, EXAMPLES = 2, PIXELS = C * SIDE * SIDE };

static float w[FILTERS * C * 9], bias[FILTERS], dense[FILTERS * UNITS];

static void turn(message *graph, const char *from, const char *to, bool channels_last)
{
    static message node;
    static const int64_t last[] = {0, 2, 3, 1}, first[] = {0, 3, 1, 2};
    begin_node(&node, "Transpose", from, to);
    put_int_list(&node, "perm", 4, channels_last ? last : first);
    put_message(graph, 1, &node);
}

static void put_conv(message *graph, const char *inputs)
{
    static message node;
    begin_node(&node, "Conv", inputs, "z");
    put_int_list(&node, "kernel_shape", 2, (int64_t[]){3, 3});
    put_int_list(&node, "pads", 4, (int64_t[]){1, 1, 1, 1});
    put_message(graph, 1, &node);
}

/* Convolution, bias, ReLU, zeros around some sides, the mean of all pixels, a dense layer. */
static void make_network(message *model, bool last)
{
    static message graph;
    static const int64_t pads_last[] = {0, 1, 2, 0, 0, 0, 1, 0},
                         pads_first[] = {0, 0, 1, 2, 0, 0, 0, 1};
    graph.size = 0;
    if (last) turn(&graph, "x", "xc", false);
    put_conv(&graph, last ? "xc w" : "x w");
    if (last) turn(&graph, "z", "zl", true);
    put_node(&graph, "Add", last ? "zl bias" : "z bias", "b");
    put_node(&graph, "Relu", "b", "a");
    put_node(&graph, "Pad", "a pads", "p");
    put_node(&graph, "ReduceMean", "p axes", "g");
    put_node(&graph, "Squeeze", "g axes", "s");
    put_node(&graph, "MatMul", "s dense", "y");
    put_floats(&graph, "w", 4, (int64_t[]){FILTERS, C, 3, 3}, w);
    put_floats(&graph, "bias", last ? 1 : 3, (int64_t[]){FILTERS, 1, 1}, bias);
    put_floats(&graph, "dense", 2, (int64_t[]){FILTERS, UNITS}, dense);
    put_ints(&graph, "pads", 8, last ? pads_last : pads_first);
    put_ints(&graph, "axes", 2, last ? (int64_t[]){1, 2} : (int64_t[]){2, 3});
    if (last)
        put_port(&graph, 11, "x", 4, (int64_t[]){0, SIDE, SIDE, C});
    else
        put_port(&graph, 11, "x", 4, (int64_t[]){0, C, SIDE, SIDE});
    put_port(&graph, 12, "y", 2, (int64_t[]){0, UNITS});
    make_model(model, &graph, 18);
}

static cn_model *load(const message *m)
{
    cn_model *model = NULL;
    cn_error err;
    if (read_model(&model, m, &err) != CN_OK) fail_msg("%s", err.text);
    return model;
}

static void run(cn_model *m, float *x, float *y, size_t count)
{
    cn_session *session = NULL;
    cn_error err;
    const cn_session_opts opts = {.batch = EXAMPLES, .threads = 1};
    const cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){EXAMPLES, SIDE, SIDE, C}, x);
    if (cn_session_create_inference(&session, m, &opts, &err) != CN_OK ||
        cn_session_forward(session, &X, &err) != CN_OK)
        fail_msg("%s", err.text);
    const cn_tensor out = cn_session_output(session);
    assert_int_equal(cn_tensor_count(&out), count);
    memcpy(y, out.data, count * sizeof *y);
    cn_session_free(session);
}

static void draw_all(uint64_t *random, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) values[i] = (float)draw_real(random, -1, 1);
}

static void both_layouts_give_the_same_bits(void **state)
{
    static message files[2];
    float x[EXAMPLES * PIXELS], y[2][EXAMPLES * UNITS];
    uint64_t random = 3;
    (void)state;
    draw_all(&random, w, sizeof w / sizeof *w);
    draw_all(&random, bias, FILTERS);
    draw_all(&random, dense, FILTERS * UNITS);
    draw_all(&random, x, EXAMPLES * PIXELS);
    for (int last = 0; last < 2; last++) {
        make_network(&files[last], last);
        cn_model *m = load(&files[last]);
        run(m, x, y[last], EXAMPLES * UNITS);
        for (int i = 1; i < m->layer_count; i++)
            assert_string_not_equal(m->layers[i].type->name, "transpose"); /* nothing moves */
        cn_model_free(m);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
}

/* A shortcut of a ResNet that adds channels of zeros. */
static void channels_are_padded(void **state)
{
    static message graph, file;
    float x[EXAMPLES * PIXELS], y[EXAMPLES * PIXELS * 2];
    uint64_t random = 4;
    (void)state;
    graph.size = 0;
    put_ints(&graph, "pads", 8, (int64_t[]){0, 1, 0, 0, 0, 2, 0, 0});
    put_node(&graph, "Pad", "x pads", "y");
    put_port(&graph, 11, "x", 4, (int64_t[]){0, C, SIDE, SIDE});
    put_port(&graph, 12, "y", 4, (int64_t[]){0, C + 3, SIDE, SIDE});
    make_model(&file, &graph, 18);
    draw_all(&random, x, EXAMPLES * PIXELS);
    cn_model *m = load(&file);
    run(m, x, y, EXAMPLES * PIXELS * 2);
    for (int i = 0; i < EXAMPLES * SIDE * SIDE; i++)
        for (int c = 0; c < C + 3; c++) {
            const float want = c >= 1 && c < C + 1 ? x[i * C + c - 1] : 0;
            assert_true(y[i * (C + 3) + c] == want);
        }
    cn_model_free(m);
}

/* As exporters write functions whose numbers take the type of a tensor: 2, an integer, times x. */
static void channels_are_summed_as_norms(void **state)
{
    static message graph, file;
    static const int64_t two = 2;
    float x[EXAMPLES * PIXELS], y[EXAMPLES * 3 * C];
    uint64_t random = 6;
    (void)state;
    graph.size = 0;
    put_node(&graph, "CastLike", "two x", "t");
    put_node(&graph, "Mul", "x t", "m");
    put_node(&graph, "ReduceL1", "m axes", "a");
    put_node(&graph, "ReduceL2", "m axes", "b");
    put_node(&graph, "ReduceSumSquare", "m axes", "c");
    static message node;
    begin_node(&node, "Concat", "a b c", "y");
    put_int(&node, "axis", 1);
    put_message(&graph, 1, &node);
    put_ints(&graph, "two", 1, &two);
    put_ints(&graph, "axes", 2, (int64_t[]){2, 3});
    put_port(&graph, 11, "x", 4, (int64_t[]){0, C, SIDE, SIDE});
    put_port(&graph, 12, "y", 4, (int64_t[]){0, 3 * C, 1, 1});
    make_model(&file, &graph, 18);
    draw_all(&random, x, EXAMPLES * PIXELS);
    cn_model *m = load(&file);
    run(m, x, y, EXAMPLES * 3 * C);
    for (int i = 0; i < EXAMPLES; i++)
        for (int c = 0; c < C; c++) {
            double absolute = 0, squares = 0;
            for (int k = 0; k < SIDE * SIDE; k++) {
                const double value = 2 * (double)x[(i * SIDE * SIDE + k) * C + c];
                absolute += fabs(value);
                squares += value * value;
            }
            const float *found = y + i * 3 * C + c;
            assert_true(fabs((double)found[0] - absolute) < 1e-5 * absolute);
            assert_true(fabs((double)found[C] - sqrt(squares)) < 1e-5 * absolute);
            assert_true(fabs((double)found[2 * C] - squares) < 1e-5 * squares);
        }
    cn_model_free(m);
}

/* ---- GELU */

/* The model of these nodes, x and the constants root 2, its inverse, 1, 2 and 1/2. */
static cn_status load_elements(cn_model **model, const char *const nodes[][3], cn_error *err)
{
    static message graph, file;
    const int64_t image[] = {0, C, SIDE, SIDE};
    static const struct {
        const char *name;
        float value;
    } numbers[] = {
        {"root", 1.41421356f}, {"inverse", 0.707106781f}, {"one", 1}, {"two", 2}, {"half", 0.5f}};
    graph.size = 0;
    for (int i = 0; nodes[i][0]; i++) put_node(&graph, nodes[i][0], nodes[i][1], nodes[i][2]);
    for (int i = 0; i < 5; i++) put_floats(&graph, numbers[i].name, 0, NULL, &numbers[i].value);
    put_port(&graph, 11, "x", 4, image);
    put_port(&graph, 12, "y", 4, image);
    make_model(&file, &graph, 17);
    return read_model(model, &file, err);
}

static void a_gelu_in_five_operators_is_one_layer(void **state)
{
    static const char *const forms[][6][3] = {
        {{"Div", "x root", "a"},
         {"Erf", "a", "b"},
         {"Add", "b one", "c"},
         {"Mul", "x c", "d"},
         {"Mul", "d half", "y"}}, /* PyTorch */
        {{"Mul", "x half", "h"},
         {"Mul", "x inverse", "a"},
         {"Erf", "a", "b"},
         {"Add", "one b", "c"},
         {"Mul", "h c", "y"}}, /* TensorFlow */
        {{"Mul", "x inverse", "a"},
         {"Erf", "a", "b"},
         {"Add", "b one", "c"},
         {"Mul", "c half", "d"},
         {"Mul", "d x", "y"}},
        {{"Mul", "inverse x", "a"},
         {"Erf", "a", "b"},
         {"Add", "b one", "c"},
         {"Div", "c two", "d"},
         {"Mul", "x d", "y"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        cn_model *m = NULL;
        cn_error err;
        if (load_elements(&m, forms[i], &err) != CN_OK) fail_msg("form %zu: %s", i, err.text);
        assert_int_equal(m->layer_count, 2);
        assert_string_equal(m->layers[1].type->name, "gelu");
        cn_model_free(m);
    }
}

static void parts_of_a_gelu_are_no_values(void **state)
{
    static const char *const forms[][6][3] = {
        {{"Erf", "x", "y"}},
        {{"Div", "x root", "a"}, {"Erf", "a", "y"}},
        {{"Div", "x root", "a"}, {"Erf", "a", "b"}, {"Relu", "b", "y"}},
        {{"Div", "x root", "a"}, {"Erf", "a", "b"}, {"Add", "b two", "y"}},
        {{"Div", "x root", "a"}, {"Erf", "a", "b"}, {"Add", "b one", "c"}, {"Add", "c x", "y"}},
        {{"Div", "x root", "a"},
         {"Erf", "a", "b"},
         {"Add", "b one", "c"},
         {"Relu", "x", "r"},
         {"Mul", "c r", "y"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        cn_model *m = NULL;
        cn_error err;
        cn_status status = load_elements(&m, forms[i], &err);
        if (status != (i == 1 ? CN_ERR_FORMAT : CN_ERR_UNSUPPORTED))
            fail_msg("form %zu: status %d", i, (int)status);
    }
}

/* ---- as_strided */

/* All elements of the batch in a row, and of each example the PIXELS from PIXELS times its index on:
 * so PyTorch's exporter says that a mean is contiguous. */
static cn_status load_strided(cn_model **model, int64_t stride, cn_error *err)
{
    static message graph, node, file;
    int64_t offsets[PIXELS];
    static const int64_t image[] = {0, C, SIDE, SIDE};
    for (int i = 0; i < PIXELS; i++) offsets[i] = i;
    graph.size = 0;
    put_ints(&graph, "all", 1, (int64_t[]){-1});
    put_ints(&graph, "zero", 1, (int64_t[]){0});
    put_ints(&graph, "one", 1, (int64_t[]){1});
    put_ints(&graph, "stride", 1, &stride);
    put_ints(&graph, "axes", 3, (int64_t[]){1, 2, 3});
    put_ints(&graph, "row", PIXELS, offsets);
    put_ints(&graph, "shape", 4, (int64_t[]){1, C, SIDE, SIDE});
    put_node(&graph, "Reshape", "row shape", "offsets");
    put_node(&graph, "Reshape", "x all", "f");
    begin_node(&node, "Shape", "x", "s");
    put_int(&node, "start", 0);
    put_int(&node, "end", 1);
    put_message(&graph, 1, &node);
    put_node(&graph, "Squeeze", "s", "m");
    put_node(&graph, "Range", "zero m one", "r");
    put_node(&graph, "Mul", "r stride", "b");
    put_node(&graph, "Unsqueeze", "b axes", "u");
    put_node(&graph, "Add", "u offsets", "i");
    put_node(&graph, "Gather", "f i", "g");
    put_node(&graph, "Relu", "g", "y");
    put_port(&graph, 11, "x", 4, image);
    put_port(&graph, 12, "y", 4, image);
    make_model(&file, &graph, 18);
    return read_model(model, &file, err);
}

static void elements_that_stay_where_they_are_are_not_gathered(void **state)
{
    cn_model *m = NULL;
    cn_error err;
    (void)state;
    if (load_strided(&m, PIXELS, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(m->layer_count, 2);
    assert_string_equal(m->layers[1].type->name, "relu");
    cn_model_free(m);
    assert_int_equal(load_strided(&m, PIXELS - 1, &err), CN_ERR_UNSUPPORTED);
}

/* ---- adaptive pooling, as windows that are gathered */

enum { P = 4, R = 2, Q = 2, S = 3 }; /* windows of 5 rows and of 5 columns, and what they hold */

/* One index may be another, and something may read the windows as they are. */
static cn_status load_windows(cn_model **model, int wrong, bool leak, cn_error *err)
{
    static message graph, file, node, indices;
    static const int64_t dims[] = {P, R, Q, S, 2}, to_windows[] = {2, 3, 0, 1},
                         back[] = {4, 5, 0, 1, 2, 3};
    int64_t values[P * R * Q * S * 2], *at = values;
    for (int p = 0; p < P; p++)
        for (int r = 0; r < R; r++)
            for (int q = 0; q < Q; q++)
                for (int s = 0; s < S; s++) {
                    *at++ = p * SIDE / P + r;
                    *at++ = q * SIDE / Q + s;
                }
    values[5] += wrong;
    graph.size = indices.size = 0;
    begin_node(&node, "Transpose", "x", "t"), put_int_list(&node, "perm", 4, to_windows);
    put_message(&graph, 1, &node);
    put_node(&graph, "GatherND", "t indices", "g");
    begin_node(&node, "Transpose", "g", "w"), put_int_list(&node, "perm", 6, back);
    put_message(&graph, 1, &node);
    if (leak) put_node(&graph, "Relu", "w", "v");
    begin_node(&node, "ReduceMean", leak ? "v axes" : "w axes", "y"), put_int(&node, "keepdims", 0);
    put_message(&graph, 1, &node);
    for (int k = 0; k < 5; k++) put_number(&indices, 1, (uint64_t)dims[k]);
    put_number(&indices, 2, CN_ONNX_INT64);
    put_text(&indices, 8, "indices");
    put_bytes(&indices, 9, values, sizeof values);
    put_message(&graph, 5, &indices);
    put_ints(&graph, "axes", 2, (int64_t[]){3, -1});
    put_port(&graph, 11, "x", 4, (int64_t[]){0, C, SIDE, SIDE});
    put_port(&graph, 12, "y", 4, (int64_t[]){0, C, P, Q});
    make_model(&file, &graph, 18);
    return read_model(model, &file, err);
}

static void gathered_windows_and_their_means_are_an_adaptive_pooling(void **state)
{
    float x[EXAMPLES * PIXELS], y[EXAMPLES * P * Q * C];
    uint64_t random = 9;
    cn_model *m = NULL;
    cn_error err;
    (void)state;
    draw_all(&random, x, EXAMPLES * PIXELS);
    if (load_windows(&m, 0, false, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(m->layer_count, 2);
    run(m, x, y, EXAMPLES * P * Q * C);
    for (int i = 0; i < EXAMPLES; i++)
        for (int p = 0; p < P; p++)
            for (int q = 0; q < Q; q++)
                for (int c = 0; c < C; c++) {
                    double sum = 0;
                    for (int h = p * SIDE / P; h < p * SIDE / P + R; h++)
                        for (int v = q * SIDE / Q; v < q * SIDE / Q + S; v++)
                            sum += (double)x[((i * SIDE + h) * SIDE + v) * C + c];
                    const float found = y[((i * P + p) * Q + q) * C + c];
                    assert_true(fabs((double)found - sum / (R * S)) < 1e-6);
                }
    cn_model_free(m);
    assert_int_equal(load_windows(&m, 1, false, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "not as the windows of a pooling");
    assert_int_equal(load_windows(&m, 0, true, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "Relu (v): the batch's axis is not the first");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_layouts_give_the_same_bits),
        cmocka_unit_test(channels_are_padded),
        cmocka_unit_test(channels_are_summed_as_norms),
        cmocka_unit_test(a_gelu_in_five_operators_is_one_layer),
        cmocka_unit_test(parts_of_a_gelu_are_no_values),
        cmocka_unit_test(gathered_windows_and_their_means_are_an_adaptive_pooling),
        cmocka_unit_test(elements_that_stay_where_they_are_are_not_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

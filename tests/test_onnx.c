/*
 * test_onnx.c - models from ONNX files: what they compute, and that hostile files are refused.
 *
 * Each operator is tried by the cases of the onnx package, which are not needed here:
 * tests/onnx_suite.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "draw.h"
#include "files.h"
#include "onnx_bytes.h"

/* ---- a small network: Conv, Relu, Flatten, Gemm */

enum { C = 2, SIDE = 4, FILTERS = 3, UNITS = 2, FLAT = FILTERS * SIDE * SIDE };

typedef struct network {
    float w[FILTERS][C][3][3], b[FILTERS], dense[UNITS][FLAT], bias[UNITS];
} network;

static void make_network(message *model, const network *n)
{
    static message graph, node;
    graph.size = 0;
    begin_node(&node, "Conv", "x w b", "z");
    put_int_list(&node, "kernel_shape", 2, (int64_t[]){3, 3});
    put_int_list(&node, "pads", 4, (int64_t[]){1, 1, 1, 1});
    put_message(&graph, 1, &node);
    put_node(&graph, "Relu", "z", "a");
    put_node(&graph, "Flatten", "a", "f");
    begin_node(&node, "Gemm", "f dense bias", "y");
    put_int(&node, "transB", 1);
    put_message(&graph, 1, &node);
    put_floats(&graph, "w", 4, (int64_t[]){FILTERS, C, 3, 3}, &n->w[0][0][0][0]);
    put_floats(&graph, "b", 1, (int64_t[]){FILTERS}, n->b);
    put_floats(&graph, "dense", 2, (int64_t[]){UNITS, FLAT}, &n->dense[0][0]);
    put_floats(&graph, "bias", 1, (int64_t[]){UNITS}, n->bias);
    put_port(&graph, 11, "x", 4, (int64_t[]){0, C, SIDE, SIDE});
    put_port(&graph, 12, "y", 2, (int64_t[]){0, UNITS});
    make_model(model, &graph, 18);
}

/* The same in double, channels first, as ONNX defines it. */
static void compute(const network *n, float x[C][SIDE][SIDE], double y[UNITS])
{
    for (int u = 0; u < UNITS; u++) y[u] = (double)n->bias[u];
    for (int k = 0; k < FILTERS; k++)
        for (int p = 0; p < SIDE; p++)
            for (int q = 0; q < SIDE; q++) {
                double z = (double)n->b[k];
                for (int c = 0; c < C; c++)
                    for (int u = 0; u < 3; u++)
                        for (int v = 0; v < 3; v++) {
                            int r = p + u - 1, s = q + v - 1;
                            if (r < 0 || r >= SIDE || s < 0 || s >= SIDE) continue;
                            z += (double)n->w[k][c][u][v] * (double)x[c][r][s];
                        }
                for (int u = 0; z > 0 && u < UNITS; u++)
                    y[u] += z * (double)n->dense[u][(k * SIDE + p) * SIDE + q];
            }
}

/* The output of one example, channels first, through a session. */
static void run_model(cn_model *model, const float *x, int c, int h, int w, float *y, int outputs)
{
    cn_error err = {0};
    cn_session *session = NULL;
    cn_tensor X = {0};
    const cn_session_opts opts = {.batch = 1, .threads = 1};
    assert_int_equal(cn_tensor_create(&X, CN_DTYPE_F32, 4, (int[]){1, h, w, c}, &err), CN_OK);
    for (int k = 0; k < c; k++)
        for (int p = 0; p < h * w; p++) ((float *)X.data)[p * c + k] = x[k * h * w + p];
    if (cn_session_create(&session, model, &opts, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_session_forward(session, &X, &err), CN_OK);
    cn_tensor Y = cn_session_output(session);
    assert_int_equal(cn_tensor_count(&Y), outputs);
    memcpy(y, Y.data, (size_t)outputs * sizeof *y);
    cn_session_free(session);
    cn_tensor_free(&X);
}

static void check_network(cn_model *model, const network *n)
{
    float x[C][SIDE][SIDE], y[UNITS];
    double want[UNITS];
    uint64_t random = 7;
    for (int i = 0; i < C * SIDE * SIDE; i++) (&x[0][0][0])[i] = (float)draw_real(&random, -1, 1);
    compute(n, x, want);
    run_model(model, &x[0][0][0], C, SIDE, SIDE, y, UNITS);
    for (int u = 0; u < UNITS; u++) assert_true(fabs((double)y[u] - want[u]) < 1e-5);
}

static void a_network_computes_what_onnx_defines(void **state)
{
    static message bytes;
    network n;
    draw_weights(&n, sizeof n);
    cn_model *model = NULL;
    cn_error err = {0};
    (void)state;
    make_network(&bytes, &n);
    if (read_model(&model, &bytes, &err) != CN_OK) fail_msg("%s", err.text);
    check_network(model, &n);
    cn_model_free(model);
}

static void a_network_is_saved_and_loaded_again(void **state)
{
    static message bytes;
    char folder[FILES_PATH], path[FILES_PATH], saved[FILES_PATH];
    network n;
    draw_weights(&n, sizeof n);
    cn_model *model = NULL, *again = NULL;
    cn_error err = {0};
    (void)state;
    files_make_folder(folder);
    files_join(path, folder, "net.bin"); /* the content tells what it is */
    files_join(saved, folder, "net.safetensors");
    make_network(&bytes, &n);
    files_write(path, bytes.bytes, bytes.size);
    if (cn_model_load(&model, path, &err) != CN_OK) fail_msg("%s", err.text);
    if (cn_model_save(model, saved, &err) != CN_OK) fail_msg("%s", err.text);
    if (cn_model_load(&again, saved, &err) != CN_OK) fail_msg("%s", err.text);
    check_network(again, &n);
    cn_model_free(model);
    cn_model_free(again);
    remove(path);
    remove(saved);
    rmdir(folder);
}

static void a_network_can_be_trained(void **state)
{
    static message bytes;
    network n;
    draw_weights(&n, sizeof n);
    cn_model *model = NULL;
    cn_gradcheck_row worst;
    cn_error err = {0};
    (void)state;
    make_network(&bytes, &n);
    assert_int_equal(read_model(&model, &bytes, &err), CN_OK);
    if (cn_gradcheck(model, NULL, &worst, &err) != CN_OK) fail_msg("%s", err.text);
    assert_true(worst.twin_error < 1e-6 && worst.engine_error < 1e-4);
    cn_model_free(model);
}

/* ---- types of elements */

/* y = relu(x) + c, with c in every type that has a fraction. */
static void floats_of_other_widths_are_widened(void **state)
{
    static const uint64_t bits[][2] = {
        {CN_ONNX_FLOAT16, 0xc100}, {CN_ONNX_BFLOAT16, 0xc020}, {CN_ONNX_DOUBLE, 0}};
    static const double number = -2.5;
    static message graph, model, t;
    (void)state;
    for (int i = 0; i < 6; i++) {
        const int64_t type = (int64_t)bits[i / 2][0];
        const bool raw = i % 2;
        cn_model *m = NULL;
        cn_error err = {0};
        float x = 1, y;
        graph.size = t.size = 0;
        put_number(&t, 1, 1);
        put_number(&t, 2, (uint64_t)type);
        put_text(&t, 8, "c");
        if (type == CN_ONNX_DOUBLE)
            put_bytes(&t, raw ? 9 : 10, &number, sizeof number);
        else if (raw)
            put_bytes(&t, 9, &bits[i / 2][1], 2);
        else
            put_number(&t, 5, bits[i / 2][1]);
        put_message(&graph, 5, &t);
        put_node(&graph, "Relu", "x", "r");
        put_node(&graph, "Add", "r c", "y");
        put_port(&graph, 11, "x", 2, (int64_t[]){0, 1});
        put_port(&graph, 12, "y", 2, (int64_t[]){0, 1});
        make_model(&model, &graph, 18);
        if (read_model(&m, &model, &err) != CN_OK) fail_msg("%s", err.text);
        run_model(m, &x, 1, 1, 1, &y, 1);
        assert_true(y == -1.5f);
        cn_model_free(m);
    }
}

/* ---- axes */

enum { ROW = 8 };

/* y (m, 8) from x (m, 4, 1, 2) through the nodes of the graph. */
static void check_row(message *graph, const float want[ROW])
{
    static message model;
    static const float x[ROW] = {0, 1, 2, 3, 4, 5, 6, 7};
    cn_model *m = NULL;
    cn_error err = {0};
    float y[ROW];
    put_port(graph, 11, "x", 4, (int64_t[]){0, 4, 1, 2});
    put_port(graph, 12, "y", 2, (int64_t[]){0, ROW});
    make_model(&model, graph, 18);
    if (read_model(&m, &model, &err) != CN_OK) fail_msg("%s", err.text);
    run_model(m, x, 4, 1, 2, y, ROW);
    for (int i = 0; i < ROW; i++) assert_true(y[i] == want[i]);
    cn_model_free(m);
}

static void channels_are_shuffled(void **state)
{
    static message graph, node;
    (void)state;
    graph.size = 0;
    put_ints(&graph, "apart", 5, (int64_t[]){-1, 2, 2, 1, 2});
    put_ints(&graph, "together", 4, (int64_t[]){0, 4, 1, -1});
    put_node(&graph, "Reshape", "x apart", "a");
    begin_node(&node, "Transpose", "a", "b");
    put_int_list(&node, "perm", 5, (int64_t[]){0, 2, 1, 3, 4});
    put_message(&graph, 1, &node);
    put_node(&graph, "Reshape", "b together", "c");
    put_node(&graph, "Relu", "c", "d");
    put_node(&graph, "Flatten", "d", "y");
    check_row(&graph, (float[]){0, 1, 4, 5, 2, 3, 6, 7});
}

/* The shape of a Reshape, calculated from that of a batch of any size. */
static void calculated_shapes_are_numbers(void **state)
{
    static message graph, node;
    (void)state;
    graph.size = 0;
    put_ints(&graph, "first", 1, (int64_t[]){0});
    put_ints(&graph, "rest", 1, (int64_t[]){-1});
    put_node(&graph, "Shape", "x", "s");
    put_node(&graph, "Gather", "s first", "m");
    begin_node(&node, "Concat", "m rest", "u");
    put_int(&node, "axis", 0);
    put_message(&graph, 1, &node);
    put_node(&graph, "Reshape", "x u", "r");
    put_node(&graph, "Relu", "r", "y");
    check_row(&graph, (float[]){0, 1, 2, 3, 4, 5, 6, 7});
}

/* Each channel weighted by itself, as squeeze-and-excitation does. */
static void channels_are_weighted(void **state)
{
    static message graph;
    (void)state;
    graph.size = 0;
    put_node(&graph, "GlobalMaxPool", "x", "g");
    put_node(&graph, "Mul", "g x", "a");
    put_node(&graph, "Flatten", "a", "y");
    check_row(&graph, (float[]){0, 1, 6, 9, 20, 25, 42, 49});
}

static void logits_get_a_softmax_and_classes_their_names(void **state)
{
    static message bytes, pair;
    network n;
    draw_weights(&n, sizeof n);
    cn_model *model = NULL;
    cn_error err = {0};
    float x[C * SIDE * SIDE] = {1, 2, 3}, y[UNITS];
    (void)state;
    make_network(&bytes, &n);
    pair.size = 0;
    put_text(&pair, 1, "classes");
    put_text(&pair, 2, "[\"cat\", \"dog\"]");
    put_message(&bytes, 14, &pair);
    if (read_model(&model, &bytes, &err) != CN_OK) fail_msg("%s", err.text);
    assert_string_equal(cn_model_class_name(model, 1), "dog");
    if (cn_model_end_in_softmax(&model, &err) != CN_OK) fail_msg("%s", err.text);
    assert_string_equal(cn_model_class_name(model, 0), "cat");
    run_model(model, x, C, SIDE, SIDE, y, UNITS);
    assert_true(y[0] > 0 && y[1] > 0 && fabs((double)y[0] + (double)y[1] - 1) < 1e-6);
    cn_model_free(model);
}

/* ---- hostile files */

static void refuse(const message *bytes, cn_status status, const char *part)
{
    cn_model *model = NULL;
    cn_error err = {0};
    assert_int_equal(read_model(&model, bytes, &err), status);
    assert_null(model);
    assert_int_equal(err.status, status);
    if (!strstr(err.text, part)) fail_msg("\"%s\" lacks \"%s\"", err.text, part);
}

/* y = relu(x), of two channels, beside what a test has put into the graph. */
static void refuse_graph(message *graph, cn_status status, const char *part)
{
    static message model;
    put_port(graph, 11, "x", 4, (int64_t[]){0, 2, 3, 3});
    put_port(graph, 12, "y", 4, (int64_t[]){0, 2, 3, 3});
    make_model(&model, graph, 18);
    refuse(&model, status, part);
}

/* Every truncation, and every bit turned: an error, or a model that can be run. */
static void damaged_files_are_errors_or_models(void **state)
{
    static message bytes, damaged;
    network n;
    draw_weights(&n, sizeof n);
    cn_error err;
    (void)state;
    make_network(&bytes, &n);
    damaged = bytes;
    for (size_t size = 0; size < bytes.size; size++) {
        cn_model *model = NULL;
        damaged.size = size;
        assert_int_not_equal(read_model(&model, &damaged, &err), CN_OK);
        assert_null(model);
    }
    damaged.size = bytes.size;
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        cn_model *model = NULL;
        damaged.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (read_model(&model, &damaged, &err) == CN_OK) assert_non_null(model);
        cn_model_free(model);
        damaged.bytes[bit / 8] = bytes.bytes[bit / 8];
    }
}

static void sizes_that_overflow_are_refused(void **state)
{
    static const struct {
        int rank;
        int64_t dims[4];
    } shapes[] = {
        {4, {65536, 65536, 65536, 65536}}, /* 2^64: 0 elements, if that overflowed */
        {3, {0x7fffffff, 0x7fffffff, 4}},  {1, {-1}}, {1, {INT64_MAX}},
        {2, {1 << 20, 1 << 20}}, /* no overflow, but no such file */
    };
    static message graph, t;
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        graph.size = t.size = 0;
        for (int k = 0; k < shapes[i].rank; k++) put_number(&t, 1, (uint64_t)shapes[i].dims[k]);
        put_number(&t, 2, CN_ONNX_FLOAT);
        put_text(&t, 8, "c");
        put_bytes(&t, 9, "", 0);
        put_message(&graph, 5, &t);
        put_node(&graph, "Add", "x c", "y");
        refuse_graph(&graph, CN_ERR_FORMAT, "");
    }
}

static void ranks_that_do_not_match_are_refused(void **state)
{
    static message graph, t;
    static const float w[8] = {0};
    (void)state;
    graph.size = t.size = 0;
    for (int k = 0; k < 9; k++) put_number(&t, 1, 1);
    put_number(&t, 2, CN_ONNX_FLOAT);
    put_text(&t, 8, "c");
    put_bytes(&t, 9, w, 4);
    put_message(&graph, 5, &t);
    put_node(&graph, "Relu", "x", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "tensor");

    graph.size = 0; /* a convolution's weights of rank 1 */
    put_floats(&graph, "w", 1, (int64_t[]){8}, w);
    put_node(&graph, "Conv", "x w", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "rank");

    graph.size = 0; /* a bias for other filters */
    put_floats(&graph, "w", 4, (int64_t[]){2, 2, 1, 1}, w);
    put_floats(&graph, "b", 1, (int64_t[]){7}, w);
    put_node(&graph, "Conv", "x w b", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "bias");
}

static void tensors_without_their_elements_are_refused(void **state)
{
    static message graph, t;
    static const float w[4] = {0};
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        graph.size = t.size = 0;
        for (int k = 0; k < 3; k++) put_number(&t, 1, k ? 1 : 2);
        put_number(&t, 2, kind == 2 ? 8 : CN_ONNX_FLOAT); /* 8: texts */
        put_text(&t, 8, "c");
        if (kind == 0) put_bytes(&t, 9, w, 7);
        if (kind == 1) put_bytes(&t, 4, w, 12);
        if (kind == 3) put_bytes(&t, 4, w, 6); /* one and a half */
        put_message(&graph, 5, &t);
        put_node(&graph, "Add", "x c", "y");
        refuse_graph(&graph, kind == 2 ? CN_ERR_UNSUPPORTED : CN_ERR_FORMAT, "c");
    }
}

/* Of integers, what is none: 1 / 0, ln(-1) and e^1000. */
static void functions_without_a_whole_result_are_refused(void **state)
{
    static const struct {
        const char *op;
        int64_t of;
    } cases[] = {{"Reciprocal", 0}, {"Log", -1}, {"Exp", 1000}};
    static message graph;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        graph.size = 0;
        put_ints(&graph, "n", 1, &cases[i].of);
        put_node(&graph, cases[i].op, "n", "c");
        put_node(&graph, "Add", "x c", "y");
        refuse_graph(&graph, CN_ERR_FORMAT, "is no integer");
    }
}

static void cycles_are_refused(void **state)
{
    static message graph;
    (void)state;
    graph.size = 0;
    put_node(&graph, "Add", "x y", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "nothing before it makes");
    graph.size = 0;
    put_node(&graph, "Add", "x b", "a");
    put_node(&graph, "Relu", "a", "b");
    put_node(&graph, "Relu", "b", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "nothing before it makes");
    graph.size = 0;
    put_node(&graph, "Relu", "x", "y");
    put_node(&graph, "Tanh", "x", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "two values");
}

/* A graph within an attribute within a graph ... is never entered. */
static void depth_costs_nothing(void **state)
{
    static message inner, outer, graph, node;
    (void)state;
    inner.size = 0;
    for (int depth = 0; depth < 5000; depth++) {
        outer.size = 0;
        put_message(&outer, depth % 3 == 0 ? 6 : depth % 3 == 1 ? 5 : 1, &inner);
        inner.size = outer.size;
        memcpy(inner.bytes, outer.bytes, outer.size);
    }
    graph.size = 0;
    begin_node(&node, "If", "x", "y");
    put_message(&node, 5, &inner);
    put_message(&graph, 1, &node);
    refuse_graph(&graph, CN_ERR_UNSUPPORTED, "If");
}

static void groups_are_malformed(void **state)
{
    static message model;
    (void)state;
    for (unsigned type = 3; type <= 7; type++) {
        if (type == 5) continue;
        model.size = 0;
        put_number(&model, 1, 10);
        put_byte(&model, 2 << 3 | type);
        refuse(&model, CN_ERR_FORMAT, "malformed");
    }
}

/* A shape claims more elements than could be. */
static void constants_have_a_budget(void **state)
{
    static message graph;
    (void)state;
    graph.size = 0;
    put_ints(&graph, "s", 4, (int64_t[]){1, 1 << 30, 1 << 30, 16});
    put_node(&graph, "ConstantOfShape", "s", "c");
    put_node(&graph, "Add", "x c", "y");
    refuse_graph(&graph, CN_ERR_FORMAT, "more elements than can be");
    graph.size = 0;
    put_ints(&graph, "s", 4, (int64_t[]){0, -1, INT64_MAX, INT64_MIN});
    put_node(&graph, "Reshape", "x s", "y");
    refuse_graph(&graph, CN_ERR_UNSUPPORTED, "Reshape");
}

static void all_that_is_missing_is_named(void **state)
{
    static message graph;
    (void)state;
    graph.size = 0;
    put_node(&graph, "Einsum", "x", "a");
    put_node(&graph, "Relu", "a", "b");
    put_node(&graph, "FancyNet", "b", "y");
    refuse_graph(&graph, CN_ERR_UNSUPPORTED, "Einsum (a), FancyNet (y)");
}

/* ---- external data */

typedef struct outside {
    const char *location, *offset, *length;
    cn_status status;
} outside;

/* A model in `folder` whose constant, two floats, lies elsewhere. */
static cn_status load_external(const char *folder, const outside *o, cn_error *err)
{
    static message graph, model, t, pair;
    const char *texts[][2] = {
        {"location", o->location}, {"offset", o->offset}, {"length", o->length}};
    char path[FILES_PATH];
    cn_model *m = NULL;
    graph.size = t.size = 0;
    put_number(&t, 1, 2);
    put_number(&t, 1, 1);
    put_number(&t, 1, 1);
    put_number(&t, 2, CN_ONNX_FLOAT);
    put_text(&t, 8, "c");
    for (int k = 0; k < 3; k++) {
        if (!texts[k][1]) continue;
        pair.size = 0;
        put_text(&pair, 1, texts[k][0]);
        put_text(&pair, 2, texts[k][1]);
        put_message(&t, 13, &pair);
    }
    put_number(&t, 14, 1);
    put_message(&graph, 5, &t);
    put_node(&graph, "Add", "x c", "y");
    put_port(&graph, 11, "x", 4, (int64_t[]){0, 2, 1, 1});
    put_port(&graph, 12, "y", 4, (int64_t[]){0, 2, 1, 1});
    make_model(&model, &graph, 18);
    files_join(path, folder, "net.onnx");
    files_write(path, model.bytes, model.size);
    cn_status status = cn_model_load(&m, path, err);
    if (status == CN_OK) {
        float x[2] = {1, 2}, y[2];
        run_model(m, x, 2, 1, 1, y, 2);
        assert_true(y[0] == 11 && y[1] == 22);
    }
    cn_model_free(m);
    return status;
}

static void external_data_do_not_escape(void **state)
{
    static const outside cases[] = {
        {"net.onnx.data", "4", "8", CN_OK},
        {"net.onnx.data", "4", NULL, CN_OK},
        {"./net.onnx.data", "4", "8", CN_OK},
        {"./", "4", "8", CN_ERR_FORMAT},
        {"./../outside.data", "4", "8", CN_ERR_FORMAT},
        {"../outside.data", "4", "8", CN_ERR_FORMAT},
        {"/etc/passwd", "0", "8", CN_ERR_FORMAT},
        {"inner/net.data", "4", "8", CN_ERR_FORMAT},
        {"..", "0", "8", CN_ERR_FORMAT},
        {"", "0", "8", CN_ERR_FORMAT},
        {NULL, "0", "8", CN_ERR_FORMAT},
        {"link.data", "4", "8", CN_ERR_IO},
        {"inner", "0", "8", CN_ERR_IO},
        {"fifo", "0", "8", CN_ERR_IO},
        {"none", "0", "8", CN_ERR_IO},
        {"net.onnx.data", "8", "8", CN_ERR_FORMAT},
        {"net.onnx.data", "4", "4", CN_ERR_FORMAT},
        {"net.onnx.data", "4", "12", CN_ERR_FORMAT},
        {"net.onnx.data", "18446744073709551612", "8", CN_ERR_FORMAT},
        {"net.onnx.data", "999999999999999999", "8", CN_ERR_FORMAT},
        {"net.onnx.data", "-4", "8", CN_ERR_FORMAT},
    };
    char folder[FILES_PATH], path[FILES_PATH];
    const float data[3] = {0, 10, 20};
    (void)state;
    files_make_folder(folder);
    files_join(path, folder, "net.onnx.data");
    files_write(path, data, sizeof data);
    files_join(path, folder, "link.data");
    assert_int_equal(symlink("net.onnx.data", path), 0);
    files_join(path, folder, "inner");
    assert_int_equal(mkdir(path, 0700), 0);
    files_join(path, folder, "fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_error err = {0};
        cn_status status = load_external(folder, &cases[i], &err);
        if (status != cases[i].status)
            fail_msg("%s at %s: status %d: %s", cases[i].location, cases[i].offset, (int)status,
                     err.text);
    }
    static const char *const made[] = {"net.onnx", "net.onnx.data", "link.data", "fifo", "inner"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        files_join(path, folder, made[i]);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_computes_what_onnx_defines),
        cmocka_unit_test(a_network_is_saved_and_loaded_again),
        cmocka_unit_test(a_network_can_be_trained),
        cmocka_unit_test(floats_of_other_widths_are_widened),
        cmocka_unit_test(channels_are_shuffled),
        cmocka_unit_test(calculated_shapes_are_numbers),
        cmocka_unit_test(channels_are_weighted),
        cmocka_unit_test(logits_get_a_softmax_and_classes_their_names),
        cmocka_unit_test(damaged_files_are_errors_or_models),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(ranks_that_do_not_match_are_refused),
        cmocka_unit_test(tensors_without_their_elements_are_refused),
        cmocka_unit_test(functions_without_a_whole_result_are_refused),
        cmocka_unit_test(cycles_are_refused),
        cmocka_unit_test(depth_costs_nothing),
        cmocka_unit_test(groups_are_malformed),
        cmocka_unit_test(constants_have_a_budget),
        cmocka_unit_test(all_that_is_missing_is_named),
        cmocka_unit_test(external_data_do_not_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

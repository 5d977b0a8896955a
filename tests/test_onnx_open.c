/*
 * test_onnx_open.c - what ONNX files leave open: sizes of inputs, which whoever loads the file gives, and
 * the branch of an If, which then is known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "folder.h"
#include "onnx_bytes.h"

enum { C = 2, MOST = 128 };

/* The output of one example, image or not, with channels last. */
static void run_model(cn_model *m, const float *x, float y[MOST])
{
    cn_error err = {0};
    cn_session *session = NULL;
    const int *n = cn_model_input_shape(m), shape[] = {1, n[0], n[1], n[2]};
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, shape, (void *)(uintptr_t)x);
    const cn_session_opts opts = {.batch = 1, .threads = 1};
    if (cn_session_create_inference(&session, m, &opts, &err) != CN_OK ||
        cn_session_forward(session, &X, &err) != CN_OK)
        fail_msg("%s", err.text);
    const cn_tensor Y = cn_session_output(session);
    assert_in_range(cn_tensor_count(&Y), 1, MOST);
    memcpy(y, Y.data, cn_tensor_count(&Y) * sizeof *y);
    cn_session_free(session);
}

static cn_model *expect_model(const message *graph, const cn_input_size *sizes, int count)
{
    cn_error err = {0};
    cn_model *m = read_graph(graph, sizes, count, &err);
    if (!m) fail_msg("%s", err.text);
    return m;
}

/* ---- sizes */

/* Every second pixel, stretched again to the size that a Shape says. */
static void make_stretched(message *graph, const char *input)
{
    static message node;
    graph->size = 0;
    begin_node(&node, "MaxPool", "x", "p");
    put_int_list(&node, "kernel_shape", 2, (int64_t[]){1, 1});
    put_int_list(&node, "strides", 2, (int64_t[]){2, 2});
    put_message(graph, 1, &node);
    put_node(graph, "Shape", "x", "xs"), put_node(graph, "Shape", "p", "ps");
    put_node(graph, "Slice", "ps zero two", "nc"), put_node(graph, "Slice", "xs two four", "hw");
    begin_node(&node, "Concat", "nc hw", "size");
    put_int(&node, "axis", 0);
    put_message(graph, 1, &node);
    begin_node(&node, "Resize", "p - - size", "y");
    static message text;
    const char *const texts[][2] = {{"coordinate_transformation_mode", "asymmetric"},
                                    {"nearest_mode", "floor"}};
    for (int i = 0; i < 2; i++) {
        text.size = 0;
        put_text(&text, 1, texts[i][0]), put_text(&text, 4, texts[i][1]);
        put_number(&text, 20, 3);
        put_message(&node, 5, &text);
    }
    put_message(graph, 1, &node);
    put_ints(graph, "zero", 1, (int64_t[]){0}), put_ints(graph, "two", 1, (int64_t[]){2});
    put_ints(graph, "four", 1, (int64_t[]){4});
    put_port_text(graph, 11, input), put_port_text(graph, 12, "y n,2,h,w");
}

static void shapes_are_computed_of_the_size_that_is_given(void **state)
{
    static message graph;
    static const char *const inputs[] = {"x n,2,h,w", "x n,2,,", "x n,c,h,w", "x ,,,"};
    static const int sizes[][3] = {{5, 7, 2}, {1, 1, 2}, {4, 3, 2}};
    float x[MOST], y[MOST];
    (void)state;
    for (int i = 0; i < MOST; i++) x[i] = (float)i;
    for (size_t k = 0; k < sizeof inputs / sizeof *inputs; k++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const int h = sizes[s][0], w = sizes[s][1], down = (h + 1) / 2, right = (w + 1) / 2;
            const cn_input_size size = {s ? "x" : NULL, {h, w, k < 2 ? 0 : C}};
            make_stretched(&graph, inputs[k]);
            cn_model *m = expect_model(&graph, &size, 1);
            assert_memory_equal(cn_model_input_shape(m), sizes[s], sizeof sizes[s]);
            run_model(m, x, y);
            for (int i = 0; i < h; i++)
                for (int j = 0; j < w * C; j++) {
                    const int row = 2 * (i * down / h), column = 2 * (j / C * right / w);
                    assert_true(y[i * w * C + j] == x[(row * w + column) * C + j % C]);
                }
            cn_model_free(m);
        }
}

/* Of channels last, of a line, and of a vector; and by a name that axes have in common. */
static void sizes_fit_every_rank(void **state)
{
    static message graph;
    static const struct {
        const char *input;
        int given[3], shape[3];
    } cases[] = {{"x n,height,width,3", {9, 8, 0}, {9, 8, 3}},
                 {"x n,4,w", {1, 6, 0}, {1, 6, 4}},
                 {"x n,k", {1, 1, 7}, {1, 1, 7}},
                 {"x n,16,h,w", {7, 3, 0}, {7, 3, 16}},
                 {"x n,3,s,s", {8, 0, 0}, {8, 8, 3}},
                 {"x 1,3,8,8", {8, 8, 3}, {8, 8, 3}}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cn_input_size size = {NULL,
                                    {cases[i].given[0], cases[i].given[1], cases[i].given[2]}};
        graph.size = 0;
        put_node(&graph, "Relu", "x", "y");
        put_port_text(&graph, 11, cases[i].input), put_port_text(&graph, 12, "y n");
        cn_model *m = expect_model(&graph, &size, 1);
        assert_memory_equal(cn_model_input_shape(m), cases[i].shape, sizeof cases[i].shape);
        cn_model_free(m);
    }
}

static void each_of_several_inputs_has_its_size(void **state)
{
    static message graph;
    const cn_input_size sizes[] = {{"row", {1, 1, 3}}, {"x", {4, 5, 0}}};
    cn_port port;
    (void)state;
    graph.size = 0;
    put_node(&graph, "Relu", "x", "y"), put_node(&graph, "Relu", "row", "z");
    put_node(&graph, "Relu", "mask", "v");
    put_port_text(&graph, 11, "x n,3,h,w"), put_port_text(&graph, 11, "row n,k");
    put_port_text(&graph, 11, "mask n,1,h,w");
    put_port_text(&graph, 12, "y n"), put_port_text(&graph, 12, "z n");
    put_port_text(&graph, 12, "v n");
    cn_model *m = expect_model(&graph, sizes, 2);
    assert_true(cn_model_input(m, 1, &port));
    assert_int_equal(port.shape[0], 3);
    assert_true(cn_model_input(m, 2, &port)); /* h and w are those of x */
    assert_memory_equal(port.shape, ((int[]){4, 5, 1}), 3 * sizeof(int));
    cn_model_free(m);
}

static void sizes_that_are_missing_or_disagree_are_refused(void **state)
{
    static message graph;
    static const struct {
        const char *input;
        cn_input_size size;
        const char *text;
        cn_status status;
    } cases[] = {
        {"x n,3,h,w",
         {NULL, {0, 0, 0}},
         "input x: axis 2 (\"h\") has no fixed size: expected the shape (n_H, n_W, n_C)",
         CN_ERR_SHAPE},
        {"x n,3,8,", {NULL, {8, 0, 0}}, "axis 3 (\"\") has no fixed size", CN_ERR_SHAPE},
        {"x n,,8,8", {NULL, {8, 8, 0}}, "axis 1 (\"\") has no fixed size", CN_ERR_SHAPE},
        {"x n,k", {NULL, {0, 0, 0}}, "axis 1 (\"k\") has no", CN_ERR_SHAPE},
        {"x n,k", {"x", {8, 8, 0}}, "input x: n_H is 1, not 8", CN_ERR_ARGUMENT},
        {"x n,3,8,w", {NULL, {9, 9, 0}}, "input x: n_H is 8, not 9", CN_ERR_ARGUMENT},
        {"x n,3,8,8,w", {NULL, {8, 8, 3}}, "input x has rank 5", CN_ERR_UNSUPPORTED},
        {"x n", {NULL, {8, 8, 3}}, "input x: n_H is 1, not 8", CN_ERR_ARGUMENT},
        {"x n,c,8,8", {NULL, {8, 8, 3}}, "", CN_OK},
        {"x n,3,s,s", {NULL, {8, 9, 0}}, "input x: n_W is 8, not 9", CN_ERR_ARGUMENT},
        {"x s,3,s,8", {NULL, {8, 8, 0}}, "", CN_OK}, /* a batch of 8, too */
        {"x s,3,s,8", {NULL, {0, 0, 0}}, "axis 2 (\"s\") has no", CN_ERR_SHAPE},
        {"x n,3,h,w", {"z", {8, 8, 0}}, "no input is called z", CN_ERR_ARGUMENT},
        {"x n,30000,h,w", {NULL, {1000000, 1000000, 0}}, "elements", CN_ERR_UNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_error err = {0};
        graph.size = 0;
        put_node(&graph, "Relu", "x", "y");
        put_port_text(&graph, 11, cases[i].input), put_port_text(&graph, 12, "y n");
        cn_model *m = read_graph(&graph, &cases[i].size, 1, &err);
        assert_true(!m == (cases[i].status != CN_OK));
        cn_model_free(m);
        assert_says(err, cases[i].text);
        assert_int_equal(err.status, cases[i].status);
    }
}

/* Other formats leave nothing open. */
static void a_file_that_fixes_its_sizes_keeps_them(void **state)
{
    static const char *const files[] = {"a.onnx", "a.safetensors", "a.npz"};
    cn_model *m = NULL, *again = NULL;
    cn_error err = {0};
    char path[FILES_PATH];
    (void)state;
    assert_int_equal(cn_model_parse(&m, "conv 2 3x3, relu", (int[]){5, 6, 1}, 2, 1, &err), CN_OK);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cn_input_size size = {NULL, {5, 6, 0}};
        files_join(path, folder, files[i]);
        if (cn_model_export(m, path, NULL, &err) != CN_OK) fail_msg("%s", err.text);
        const cn_status status = cn_model_load_sized(&again, path, &size, 1, &err);
        assert_int_equal(status, i == 0 ? CN_OK : CN_ERR_ARGUMENT);
        if (i > 0) assert_says(err, "which only ONNX files leave open");
        cn_model_free(again);
        again = NULL;
        size.shape[1] = 7;
        assert_int_equal(cn_model_load_sized(&again, path, &size, 1, &err), CN_ERR_ARGUMENT);
        if (i == 0) assert_says(err, "input input: n_W is 6, not 7");
        assert_null(again);
    }
    assert_int_equal(cn_model_load_sized(&again, path, NULL, 1, &err), CN_ERR_ARGUMENT);
    cn_model_free(m);
}

/* ---- branches */

/* y = If(condition); a branch of size 0 is left out. */
static void put_if(message *graph, const char *condition, const char *outputs,
                   const message *then_branch, const message *else_branch)
{
    static message node, attribute;
    const message *const branches[] = {then_branch, else_branch};
    begin_node(&node, "If", condition, outputs);
    for (int i = 0; i < 2; i++) {
        if (branches[i]->size == 0) continue;
        attribute.size = 0;
        put_text(&attribute, 1, i ? "else_branch" : "then_branch");
        put_message(&attribute, 6, branches[i]);
        put_number(&attribute, 20, 5);
        put_message(&node, 5, &attribute);
    }
    put_message(graph, 1, &node);
}

static void put_truth(message *graph, const char *name, bool truth)
{
    static message t;
    t.size = 0;
    put_number(&t, 2, CN_ONNX_BOOL);
    put_text(&t, 8, name);
    put_bytes(&t, 9, &(uint8_t){truth}, 1);
    put_message(graph, 5, &t);
}

/* A branch of one node. */
static message branch_of(const char *op, const char *inputs, const char *output)
{
    static message made;
    char port[MOST];
    made.size = 0;
    if (op) put_node(&made, op, inputs, output);
    snprintf(port, sizeof port, "%s n", output);
    put_port_text(&made, 12, port);
    return made;
}

/* Two in a row, whose branches use the same names, and one in a branch, which has a c of its own and
 * reads a from outside: by the truths a = -x or x, and y = 2 relu(a), |a| or 3 a. */
static void make_branches(message *graph, const bool truths[3])
{
    static message then_branch, else_branch, inner;
    graph->size = inner.size = 0;
    then_branch = branch_of("Neg", "x", "t");
    else_branch = branch_of(NULL, "", "x"); /* a value from outside as it is */
    put_if(graph, "first", "a", &then_branch, &else_branch);

    then_branch.size = 0;
    put_node(&then_branch, "Relu", "a", "t");
    put_node(&then_branch, "Mul", "t c", "u");
    put_floats(&then_branch, "c", 1, (int64_t[]){1}, (float[]){2});
    put_port_text(&then_branch, 12, "u n");
    else_branch = branch_of("Abs", "a", "t");
    put_if(&inner, "third", "y", &then_branch, &else_branch);
    put_port_text(&inner, 12, "y n"); /* called as the value outside */
    else_branch = branch_of("Mul", "a c", "t");
    put_if(graph, "second", "y", &inner, &else_branch);
    put_truth(graph, "first", truths[0]), put_truth(graph, "second", truths[1]);
    put_truth(graph, "third", truths[2]);
    put_floats(graph, "c", 1, (int64_t[]){1}, (float[]){3});
    put_port_text(graph, 11, "x n,3"), put_port_text(graph, 12, "y n,3");
}

static void the_branch_of_a_known_condition_is_taken(void **state)
{
    static message graph;
    const float x[3] = {-2, 0, 5};
    float y[MOST];
    (void)state;
    for (int k = 0; k < 8; k++) {
        const bool truths[3] = {k & 1, k & 2, k & 4};
        make_branches(&graph, truths);
        cn_model *m = expect_model(&graph, NULL, 0);
        run_model(m, x, y);
        for (int i = 0; i < 3; i++) {
            const float a = truths[0] ? -x[i] : x[i];
            const float inside = truths[2] ? 2 * (a > 0 ? a : 0) : a < 0 ? -a : a;
            assert_true(y[i] == (truths[1] ? inside : 3 * a));
        }
        cn_model_free(m);
    }
}

/* As PyTorch exports x.squeeze(3): an axis goes where it has one element. */
static void a_condition_may_be_a_size_that_is_given(void **state)
{
    static message graph, node, then_branch, else_branch;
    (void)state;
    for (int w = 1; w <= 2; w++) {
        const cn_input_size size = {NULL, {4, w, 0}};
        graph.size = 0;
        put_node(&graph, "Shape", "x", "s");
        begin_node(&node, "Gather", "s three", "width");
        put_int(&node, "axis", 0);
        put_message(&graph, 1, &node);
        put_node(&graph, "Equal", "width one", "is_one");
        then_branch = branch_of("Squeeze", "x three", "t");
        else_branch = branch_of("Identity", "x", "t");
        put_if(&graph, "is_one", "y", &then_branch, &else_branch);
        put_ints(&graph, "three", 1, (int64_t[]){3}), put_ints(&graph, "one", 1, (int64_t[]){1});
        put_port_text(&graph, 11, "x n,2,h,w"), put_port_text(&graph, 12, "y n");
        cn_model *m = expect_model(&graph, &size, 1);
        int rank;
        const int *n = cn_model_output_shape(m, &rank);
        assert_int_equal(rank, 3);
        assert_memory_equal(n, w == 1 ? ((int[]){1, 4, 2}) : ((int[]){4, 2, 2}), 3 * sizeof *n);
        cn_model_free(m);
    }
}

static void make_one_if(message *graph, const char *condition, const message *then_branch)
{
    static message none;
    graph->size = 0;
    put_if(graph, condition, "y", then_branch, &none);
    put_truth(graph, "c", true), put_ints(graph, "two", 2, (int64_t[]){1, 1});
    put_port_text(graph, 11, "x n,3"), put_port_text(graph, 12, "y n,3");
}

static void hostile_branches_are_refused(void **state)
{
    static message graph, b, none;
    (void)state;
    b = branch_of("Relu", "x", "t");
    make_one_if(&graph, "x", &b);
    assert_refused(&graph, "If (y): expected a condition that does not depend on the input");
    make_one_if(&graph, "two", &b);
    assert_refused(&graph, "expected a condition that does not");
    make_one_if(&graph, "-", &b);
    assert_refused(&graph, "expected a condition that does not");
    make_one_if(&graph, "c", &none);
    assert_refused(&graph, "If: a then_branch with other inputs or outputs");
    put_port_text(&b, 12, "t n");
    make_one_if(&graph, "c", &b);
    assert_refused(&graph, "If: a then_branch with other inputs or outputs");
    b = branch_of("Relu", "x", "t");
    put_port_text(&b, 11, "x n,3");
    make_one_if(&graph, "c", &b);
    assert_refused(&graph, "If: a then_branch with other inputs or outputs");
    b = branch_of("Relu", "y", "t");
    make_one_if(&graph, "c", &b);
    assert_refused(&graph, "reads y, which nothing before it makes");
    b = branch_of("Relu", "x", "t");
    put_node(&b, "Neg", "x", "t");
    make_one_if(&graph, "c", &b);
    assert_refused(&graph, "two values are called t");
    b = branch_of("Relu", "x", "t"), b.size--;
    make_one_if(&graph, "c", &b);
    assert_refused(&graph, "malformed graph");
    b = branch_of("Erf", "x", "t");
    make_one_if(&graph, "c", &b);
    assert_refused(&graph, "Erf (t)");
}

static void branches_in_branches_have_a_limit(void **state)
{
    static message graph, b, next, none;
    (void)state;
    for (int depth = CN_ONNX_BRANCHES; depth <= CN_ONNX_BRANCHES + 1; depth++) {
        b = branch_of("Relu", "x", "t");
        for (int i = 1; i < depth; i++) {
            next.size = 0;
            put_if(&next, "c", "t", &b, &none);
            put_port_text(&next, 12, "t n");
            b = next;
        }
        make_one_if(&graph, "c", &b);
        if (depth > CN_ONNX_BRANCHES)
            assert_refused(&graph, "more than 256 branches");
        else
            cn_model_free(expect_model(&graph, NULL, 0));
    }
}

/* An error or a model, whatever the bytes are. */
static void damaged_files_are_refused_or_read(void **state)
{
    static message graph, whole;
    const cn_input_size size = {NULL, {1, 1, 3}};
    (void)state;
    make_branches(&whole, (const bool[]){true, true, true});
    for (size_t i = 0; i < 9 * whole.size; i++) {
        cn_error err = {0};
        graph = damaged_at(&whole, i);
        cn_model *m = read_graph(&graph, &size, 1, &err);
        assert_true(m || err.text[0]);
        cn_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_computed_of_the_size_that_is_given),
        cmocka_unit_test(sizes_fit_every_rank),
        cmocka_unit_test(each_of_several_inputs_has_its_size),
        cmocka_unit_test(sizes_that_are_missing_or_disagree_are_refused),
        cmocka_unit_test(a_file_that_fixes_its_sizes_keeps_them),
        cmocka_unit_test(the_branch_of_a_known_condition_is_taken),
        cmocka_unit_test(a_condition_may_be_a_size_that_is_given),
        cmocka_unit_test(hostile_branches_are_refused),
        cmocka_unit_test(branches_in_branches_have_a_limit),
        cmocka_unit_test(damaged_files_are_refused_or_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

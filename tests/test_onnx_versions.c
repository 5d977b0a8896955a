/*
 * test_onnx_versions.c - operators as old versions have them, and as converters write them: Caffe2
 * and early PyTorch say along which axis a constant lies, Upsample had its scales in attributes, and
 * quantizers store weights as integers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files.h"
#include "onnx_bytes.h"

enum { C = 2, H = 2, W = 2, COUNT = C * H * W };

static message graph, node;

/* The graph, over an image x of (C, H, W), as a file of this version. */
static cn_status load(cn_model **model, int opset, cn_error *err)
{
    static message file;
    put_port(&graph, 11, "x", 4, (int64_t[]){0, C, H, W});
    put_port(&graph, 12, "y", 4, (int64_t[]){0, C, H, W});
    make_model(&file, &graph, opset);
    return read_model(model, &file, err);
}

/* What it makes of the pixels 1 to 8 in its order, (C, H, W), and back in the same. */
static void expect(int opset, int side, const float *wanted)
{
    cn_model *model = NULL;
    cn_session *session = NULL;
    cn_error err;
    float x[COUNT];
    for (int i = 0; i < COUNT; i++) x[i % 4 * C + i / 4] = (float)(i + 1);
    const cn_session_opts opts = {.batch = 1, .threads = 1};
    const cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, H, W, C}, x);
    if (load(&model, opset, &err) != CN_OK ||
        cn_session_create_inference(&session, model, &opts, &err) != CN_OK ||
        cn_session_forward(session, &X, &err) != CN_OK)
        fail_msg("%s", err.text);
    const cn_tensor y = cn_session_output(session);
    assert_int_equal(cn_tensor_count(&y), C * side * side);
    for (int c = 0; c < C; c++)
        for (int i = 0; i < side * side; i++)
            assert_float_equal(((const float *)y.data)[i * C + c], wanted[c * side * side + i], 0);
    cn_session_free(session);
    cn_model_free(model);
}

static void refuse(int opset, const char *text)
{
    cn_model *model = NULL;
    cn_error err;
    assert_int_not_equal(load(&model, opset, &err), CN_OK);
    if (!strstr(err.text, text)) fail_msg("%s", err.text);
}

static void begin(void)
{
    graph.size = 0;
}

static void put_scale(const char *name, float value)
{
    static message a;
    uint8_t bytes[sizeof value];
    memcpy(bytes, &value, sizeof value);
    a.size = 0;
    put_text(&a, 1, name);
    put_varint(&a, 2 << 3 | 5);
    for (size_t i = 0; i < sizeof bytes; i++) put_byte(&a, bytes[i]);
    put_number(&a, 20, 1);
    put_message(&node, 5, &a);
}

/* A tensor of bytes with a sign. */
static void put_int8(const char *name, int rank, const int64_t *dims, const int8_t *values)
{
    static message t;
    size_t count = 1;
    t.size = 0;
    for (int k = 0; k < rank; k++) {
        put_number(&t, 1, (uint64_t)dims[k]);
        count *= (size_t)dims[k];
    }
    put_number(&t, 2, CN_ONNX_INT8);
    put_text(&t, 8, name);
    put_bytes(&t, 9, values, count);
    put_message(&graph, 5, &t);
}

static void constants_lie_along_the_axis_that_is_named(void **state)
{
    static const float k[] = {10, 20}, along_channels[] = {11, 12, 13, 14, 25, 26, 27, 28},
                       along_columns[] = {11, 22, 13, 24, 15, 26, 17, 28};
    (void)state;
    for (int axis = 1; axis >= -3; axis -= 4) {
        begin();
        begin_node(&node, "Add", "x k", "y");
        put_int(&node, "broadcast", 1);
        put_int(&node, "axis", axis);
        put_message(&graph, 1, &node);
        put_floats(&graph, "k", 1, (int64_t[]){C}, k);
        expect(6, H, along_channels);
    }
    begin();
    begin_node(&node, "Add", "x k", "y");
    put_int(&node, "broadcast", 1);
    put_message(&graph, 1, &node);
    put_floats(&graph, "k", 1, (int64_t[]){W}, k);
    expect(6, H, along_columns);
    begin();
    begin_node(&node, "Add", "x k", "y");
    put_int(&node, "axis", 4);
    put_message(&graph, 1, &node);
    put_floats(&graph, "k", 1, (int64_t[]){W}, k);
    refuse(6, "Add (y): axis 4 of 4");
}

static void old_slopes_are_of_channels(void **state)
{
    static const float slopes[] = {0.5f, 0.25f},
                       wanted[] = {-.5f, -1, -1.5f, -2, -1.25f, -1.5f, -1.75f, -2};
    (void)state;
    begin();
    put_node(&graph, "Neg", "x", "n");
    put_node(&graph, "PRelu", "n s", "y");
    put_floats(&graph, "s", 1, (int64_t[]){C}, slopes);
    expect(6, H, wanted);
}

static void the_first_upsample_has_its_scales_in_attributes(void **state)
{
    float wanted[COUNT * 4];
    (void)state;
    for (int c = 0; c < C; c++)
        for (int i = 0; i < 2 * H; i++)
            for (int k = 0; k < 2 * W; k++)
                wanted[(c * 2 * H + i) * 2 * W + k] = (float)(c * 4 + i / 2 * W + k / 2 + 1);
    begin();
    begin_node(&node, "Upsample", "x", "y");
    put_scale("height_scale", 2);
    put_scale("width_scale", 2);
    put_message(&graph, 1, &node);
    expect(1, 2 * H, wanted);
    begin();
    put_node(&graph, "Upsample", "x", "y");
    refuse(9, "neither scales nor sizes");
}

static void integer_weights_become_numbers(void **state)
{
    static const int8_t q[] = {3, -1, 5, 7}, zero[] = {1, 3};
    static const float scales[] = {0.5f, 2};
    /* (3 - 1) / 2 = 1 and (-1 - 1) / 2 = -1 of the first filter, 2 (5 - 3) = 4 and 8 of the other */
    static const float wanted[] = {-4, -4, -4, -4, 44, 56, 68, 80};
    (void)state;
    begin();
    begin_node(&node, "DequantizeLinear", "q s z", "w");
    put_int(&node, "axis", 0);
    put_message(&graph, 1, &node);
    put_node(&graph, "Conv", "x w", "y");
    put_int8("q", 4, (int64_t[]){2, C, 1, 1}, q);
    put_int8("z", 1, (int64_t[]){2}, zero);
    put_floats(&graph, "s", 1, (int64_t[]){2}, scales);
    expect(13, H, wanted);
    begin();
    begin_node(&node, "DequantizeLinear", "q s", "w");
    put_int(&node, "axis", 4);
    put_message(&graph, 1, &node);
    put_node(&graph, "Conv", "x w", "y");
    put_int8("q", 4, (int64_t[]){2, C, 1, 1}, q);
    put_floats(&graph, "s", 1, (int64_t[]){2}, scales);
    refuse(13, "scales or zero points that do not fit");
}

static void operators_of_others_are_named_with_their_domain(void **state)
{
    (void)state;
    begin();
    begin_node(&node, "FusedConv", "x", "y");
    put_text(&node, 7, "com.microsoft");
    put_message(&graph, 1, &node);
    refuse(17, "not supported: com.microsoft.FusedConv (y)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_lie_along_the_axis_that_is_named),
        cmocka_unit_test(old_slopes_are_of_channels),
        cmocka_unit_test(the_first_upsample_has_its_scales_in_attributes),
        cmocka_unit_test(integer_weights_become_numbers),
        cmocka_unit_test(operators_of_others_are_named_with_their_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_onnx_graph.c - the bytes of an exported ONNX file, read back by a decoder of the wire format
 * that is the test's own. Whether onnx and onnxruntime take the files is test_onnx_export.sh's to
 * say; this needs neither.
 */
#include "convnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"

/* ---- the wire format */

typedef struct bytes {
    const uint8_t *at, *end;
} bytes;

static uint64_t take_varint(bytes *b)
{
    uint64_t value = 0;
    int shift = 0;
    do {
        assert_true(b->at < b->end && shift < 64);
        value |= (uint64_t)(*b->at & 127) << shift;
        shift += 7;
    } while (*b->at++ & 128);
    return value;
}

/* The next field: its number, and a number or the bytes that it holds. */
static int take_field(bytes *b, uint64_t *number, bytes *inside)
{
    uint64_t tag = take_varint(b);
    switch (tag & 7) {
    case 0: *number = take_varint(b); break;
    case 2:
        *number = take_varint(b);
        assert_true(*number <= (uint64_t)(b->end - b->at));
        *inside = (bytes){b->at, b->at + *number};
        b->at += *number;
        break;
    case 5: b->at += 4; break;
    default: fail_msg("wire type %d", (int)(tag & 7));
    }
    assert_true(b->at <= b->end);
    return (int)(tag >> 3);
}

/* Field `wanted` of a message, the i-th of its occurrences. */
static bool find(bytes message, int wanted, int i, uint64_t *number, bytes *inside)
{
    while (message.at < message.end)
        if (take_field(&message, number, inside) == wanted && i-- == 0) return true;
    return false;
}

static bytes message_at(bytes message, int wanted, int i)
{
    bytes inside = {NULL, NULL};
    uint64_t number;
    if (!find(message, wanted, i, &number, &inside)) fail_msg("no field %d, %d", wanted, i);
    return inside;
}

static int number_at(bytes message, int wanted, int i)
{
    bytes inside;
    uint64_t number = 0;
    if (!find(message, wanted, i, &number, &inside)) fail_msg("no field %d, %d", wanted, i);
    return (int)number;
}

static int count(bytes message, int wanted)
{
    bytes inside;
    uint64_t number;
    int i = 0;
    while (find(message, wanted, i, &number, &inside)) i++;
    return i;
}

static void assert_text(bytes text, const char *expected)
{
    if ((size_t)(text.end - text.at) != strlen(expected) ||
        memcmp(text.at, expected, strlen(expected)) != 0)
        fail_msg("\"%.*s\", expected \"%s\"", (int)(text.end - text.at), (const char *)text.at,
                 expected);
}

/* ---- exported models */

enum { NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12 }; /* of GraphProto */

/* A model of 2 x 3 images of 2 channels. */
static cn_model *make(const char *text)
{
    cn_model *m = NULL;
    cn_error err;
    if (cn_model_parse(&m, text, (int[]){2, 3, 2}, 2, 1, &err) != CN_OK) fail_msg("%s", err.text);
    return m;
}

/* The ModelProto; free *memory. */
static bytes export(const cn_model *m, const cn_export_opts *opts, uint8_t **memory)
{
    char path[FILES_PATH];
    cn_error err;
    size_t size;
    files_join(path, folder, "model.onnx");
    if (cn_model_export(m, path, opts, &err) != CN_OK) fail_msg("%s", err.text);
    *memory = files_read(path, &size);
    return (bytes){*memory, *memory + size};
}

static void graph_has_nodes_in_order(void **state)
{
    static const char *const ops[] = {
        "Conv", "BatchNormalization", "Relu", "MaxPool", "Flatten", "Gemm", "Softmax"};
    cn_model *m = make("conv 4 2x2 same no_bias, batchnorm, relu, maxpool 2, dense 3");
    uint8_t *memory;
    bytes file = export(m, NULL, &memory), graph = message_at(file, 7, 0);
    (void)state;
    assert_int_equal(number_at(file, 1, 0), 13); /* IR version */
    assert_int_equal(number_at(message_at(file, 8, 0), 2, 0), 27);
    assert_int_equal(count(graph, NODE), 7);
    for (int i = 0; i < 7; i++) assert_text(message_at(message_at(graph, NODE, i), 4, 0), ops[i]);
    assert_int_equal(count(graph, INPUT), 1);
    assert_text(message_at(message_at(graph, INPUT, 0), 1, 0), "input");
    assert_text(message_at(message_at(graph, OUTPUT, 0), 1, 0), "softmax_1");
    /* (batch, n_C, n_H, n_W) */
    bytes type = message_at(message_at(message_at(graph, INPUT, 0), 2, 0), 1, 0);
    bytes shape = message_at(type, 2, 0);
    assert_int_equal(count(shape, 1), 4);
    assert_text(message_at(message_at(shape, 1, 0), 2, 0), "batch");
    for (int i = 0; i < 3; i++) {
        static const int extents[] = {2, 2, 3};
        assert_int_equal(number_at(message_at(shape, 1, i + 1), 1, 0), extents[i]);
    }
    free(memory);
    cn_model_free(m);
}

/* Element (o, c, h, w) of the file is (h, w, c, o) of the model. */
static void dense_weights_are_put_into_the_order_of_channels_first(void **state)
{
    cn_model *m = make("flatten, relu, dense 2");
    cn_parameter p;
    uint8_t *memory;
    (void)state;
    assert_true(cn_model_parameter(m, 0, &p));
    float *w = p.value.data;
    for (int i = 0; i < 24; i++) w[i] = (float)i;
    bytes graph = message_at(export(m, NULL, &memory), 7, 0);
    bytes tensor = message_at(graph, INITIALIZER, 0), raw = message_at(tensor, 9, 0);
    assert_text(message_at(tensor, 8, 0), "dense_1.weight");
    assert_int_equal(number_at(tensor, 1, 0), 2);
    assert_int_equal(number_at(tensor, 1, 1), 12);
    assert_int_equal(raw.end - raw.at, 24 * sizeof(float));
    for (int o = 0; o < 2; o++)
        for (int c = 0; c < 2; c++)
            for (int h = 0; h < 2; h++)
                for (int x = 0; x < 3; x++, raw.at += sizeof(float)) {
                    float value;
                    memcpy(&value, raw.at, sizeof value);
                    assert_int_equal((int)value, ((h * 3 + x) * 2 + c) * 2 + o);
                }
    free(memory);
    cn_model_free(m);
}

static void metadata_has_classes_and_normalization(void **state)
{
    cn_model *m = make("dense 2");
    uint8_t *memory;
    (void)state;
    assert_int_equal(cn_model_set_classes(m, 2, (const char *const[]){"cat", "dog"}, NULL), CN_OK);
    assert_int_equal(cn_model_set_normalization(m, (float[]){1, 2}, (float[]){4, 8}, NULL), CN_OK);
    bytes file = export(m, NULL, &memory);
    assert_int_equal(count(file, 14), 2);
    assert_text(message_at(message_at(file, 14, 0), 1, 0), "classes");
    assert_text(message_at(message_at(file, 14, 0), 2, 0), "[\"cat\",\"dog\"]");
    assert_text(message_at(message_at(file, 14, 1), 1, 0), "normalization");
    assert_text(message_at(message_at(file, 14, 1), 2, 0),
                "{\"mean\":[1.0,2.0],\"std\":[4.0,8.0]}");
    free(memory);

    file = export(m, &(cn_export_opts){.normalize = true}, &memory);
    bytes graph = message_at(file, 7, 0);
    assert_int_equal(count(file, 14), 1);
    assert_text(message_at(message_at(graph, NODE, 0), 4, 0), "Sub");
    assert_text(message_at(message_at(graph, NODE, 1), 4, 0), "Div");
    assert_text(message_at(message_at(graph, NODE, 2), 1, 0), "normalization");
    free(memory);
    cn_model_free(m);
}

static void what_cannot_be_written_is_refused(void **state)
{
    cn_model *m = make("dense 2");
    char path[FILES_PATH];
    cn_error err;
    (void)state;
    assert_int_equal(cn_model_export(m, "model.xyz", NULL, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "model.xyz");
    assert_says(err, ".onnx");
    files_join(path, folder, "x.onnx");
    assert_int_equal(cn_model_export(m, path, &(cn_export_opts){.normalize = true}, &err),
                     CN_ERR_ARGUMENT);
    assert_says(err, "no normalization");
    assert_int_equal(access(path, F_OK), -1);
    files_join(path, folder, "no/x.onnx");
    assert_int_equal(cn_model_export(m, path, NULL, &err), CN_ERR_IO);
    assert_int_equal(cn_model_export(NULL, path, NULL, &err), CN_ERR_ARGUMENT);
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_has_nodes_in_order),
        cmocka_unit_test(dense_weights_are_put_into_the_order_of_channels_first),
        cmocka_unit_test(metadata_has_classes_and_normalization),
        cmocka_unit_test(what_cannot_be_written_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

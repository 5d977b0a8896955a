/*
 * onnx_bytes.h - writes ONNX files for tests, as bytes: a writer that shares no code with the
 * library's, and lets a test write what no exporter would.
 */
#ifndef TEST_ONNX_BYTES_H
#define TEST_ONNX_BYTES_H

#include "draw.h"
#include "files.h"
#include "onnx/onnx.h"

#include <stdlib.h>
#include <string.h>

typedef struct message {
    uint8_t bytes[1 << 16];
    size_t size;
} message;

/* Damage number i, below 9 times its size: for each byte its eight bits turned, one by one, and the
 * rest cut off from there. */
static inline message damaged_at(const message *whole, size_t i)
{
    message m = *whole;
    if (i % 9 < 8)
        m.bytes[i / 9] ^= (uint8_t)(1 << i % 9);
    else
        m.size = i / 9;
    return m;
}

static inline void put_byte(message *m, unsigned byte)
{
    assert_true(m->size < sizeof m->bytes);
    m->bytes[m->size++] = (uint8_t)byte;
}

static inline void put_varint(message *m, uint64_t value)
{
    for (; value >= 128; value >>= 7) put_byte(m, (unsigned)(value & 127) | 128);
    put_byte(m, (unsigned)value);
}

static inline void put_number(message *m, int field, uint64_t value)
{
    put_varint(m, (uint64_t)field << 3);
    put_varint(m, value);
}

static inline void put_bytes(message *m, int field, const void *bytes, size_t size)
{
    put_varint(m, (uint64_t)field << 3 | 2);
    put_varint(m, size);
    for (size_t i = 0; i < size; i++) put_byte(m, ((const uint8_t *)bytes)[i]);
}

static inline void put_text(message *m, int field, const char *text)
{
    put_bytes(m, field, text, strlen(text));
}

static inline void put_message(message *m, int field, const message *inner)
{
    put_bytes(m, field, inner->bytes, inner->size);
}

static inline void put_shaped(message *graph, int field, const char *name, size_t length,
                              const message *shape)
{
    static message port, type, tensor;
    port.size = type.size = tensor.size = 0;
    put_number(&tensor, 1, CN_ONNX_FLOAT);
    put_message(&tensor, 2, shape);
    put_message(&type, 1, &tensor);
    put_bytes(&port, 1, name, length);
    put_message(&port, 2, &type);
    put_message(graph, field, &port);
}

/* An input or output with this type; a dimension of 0 is the batch's, "n". */
static inline void put_port(message *graph, int field, const char *name, int rank,
                            const int64_t *dims)
{
    static message shape, dim;
    shape.size = 0;
    for (int k = 0; k < rank; k++) {
        dim.size = 0;
        if (dims[k])
            put_number(&dim, 1, (uint64_t)dims[k]);
        else
            put_text(&dim, 2, "n");
        put_message(&shape, 1, &dim);
    }
    put_shaped(graph, field, name, strlen(name), &shape);
}

/* The same from "NAME n,3,height,": what is no number is a name, or nothing. */
static inline void put_port_text(message *graph, int field, const char *text)
{
    static message shape, dim;
    const size_t length = strcspn(text, " ");
    shape.size = 0;
    for (const char *at = text + length; *at;) {
        const size_t n = strcspn(++at, ",");
        dim.size = 0;
        if (*at >= '0' && *at <= '9')
            put_number(&dim, 1, strtoull(at, NULL, 10));
        else if (n)
            put_bytes(&dim, 2, at, n);
        put_message(&shape, 1, &dim);
        at += n;
    }
    put_shaped(graph, field, text, length, &shape);
}

/* A TensorProto of raw floats. */
static inline void make_floats(message *t, const char *name, int rank, const int64_t *dims,
                               const float *values)
{
    size_t count = 1;
    t->size = 0;
    for (int k = 0; k < rank; k++) {
        put_number(t, 1, (uint64_t)dims[k]);
        count *= (size_t)dims[k];
    }
    put_number(t, 2, CN_ONNX_FLOAT);
    put_text(t, 8, name);
    put_bytes(t, 9, values, count * sizeof *values);
}

/* Numbers of -1 to 1 in a struct of floats. */
static inline void draw_weights(void *network, size_t size)
{
    uint64_t random = 1;
    float *values = network;
    for (size_t i = 0; i < size / sizeof *values; i++) values[i] = (float)draw_real(&random, -1, 1);
}

static inline void put_floats(message *graph, const char *name, int rank, const int64_t *dims,
                              const float *values)
{
    static message t;
    make_floats(&t, name, rank, dims, values);
    put_message(graph, 5, &t);
}

static inline void put_ints(message *graph, const char *name, int count, const int64_t *values)
{
    static message t;
    t.size = 0;
    put_number(&t, 1, (uint64_t)count);
    put_number(&t, 2, CN_ONNX_INT64);
    put_text(&t, 8, name);
    put_bytes(&t, 9, values, (size_t)count * sizeof *values);
    put_message(graph, 5, &t);
}

/* An attribute of integers; of one, of a float. */
static inline void put_int_list(message *node, const char *name, int count, const int64_t *values)
{
    static message a;
    a.size = 0;
    put_text(&a, 1, name);
    for (int i = 0; i < count; i++) put_number(&a, 8, (uint64_t)values[i]);
    put_number(&a, 20, 7);
    put_message(node, 5, &a);
}

static inline void put_int(message *node, const char *name, int64_t value)
{
    static message a;
    a.size = 0;
    put_text(&a, 1, name);
    put_number(&a, 3, (uint64_t)value);
    put_number(&a, 20, 2);
    put_message(node, 5, &a);
}

/* A node's names, from "x w b" and "y"; "-" leaves one out. Attributes follow. */
static inline void begin_node(message *node, const char *op, const char *inputs,
                              const char *outputs)
{
    const char *lists[] = {inputs, outputs};
    node->size = 0;
    for (int k = 0; k < 2; k++)
        for (const char *at = lists[k]; *at;) {
            size_t n = strcspn(at, " ");
            put_bytes(node, k + 1, at, n == 1 && *at == '-' ? 0 : n);
            at += n + (at[n] == ' ');
        }
    put_text(node, 4, op);
}

static inline void put_node(message *graph, const char *op, const char *inputs, const char *outputs)
{
    static message node;
    begin_node(&node, op, inputs, outputs);
    put_message(graph, 1, &node);
}

static inline void make_model(message *model, const message *graph, int opset)
{
    static message version;
    model->size = version.size = 0;
    put_number(&version, 2, (uint64_t)opset);
    put_number(model, 1, 10);
    put_text(model, 2, "a test");
    put_message(model, 8, &version);
    put_message(model, 7, graph);
}

/* The model of the graph, with sizes for what it leaves open; NULL where it is refused. */
static inline cn_model *read_graph(const message *graph, const cn_input_size *sizes, int count,
                                   cn_error *err)
{
    static message bytes;
    cn_onnx_file file;
    cn_model *model = NULL;
    make_model(&bytes, graph, 18);
    cn_status status =
        cn_onnx_file_read(&file, "model.onnx", (cn_span){bytes.bytes, bytes.size}, err);
    if (status != CN_OK) return NULL;
    file.sizes = sizes;
    file.size_count = count;
    status = cn_onnx_import(&model, &file, false, err);
    assert_true((status == CN_OK) == (model != NULL));
    cn_onnx_file_free(&file);
    return model;
}

static inline void assert_refused(const message *graph, const char *text)
{
    cn_error err = {0};
    if (read_graph(graph, NULL, 0, &err)) fail_msg("read, expected \"%s\"", text);
    assert_says(err, text);
}

static inline cn_status read_model(cn_model **model, const message *bytes, cn_error *err)
{
    cn_onnx_file file;
    cn_status status =
        cn_onnx_file_read(&file, "model.onnx", (cn_span){bytes->bytes, bytes->size}, err);
    if (status != CN_OK) return status;
    status = cn_onnx_import(model, &file, false, err);
    cn_onnx_file_free(&file);
    return status;
}

#endif

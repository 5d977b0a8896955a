/*
 * wire.h - the wire form of Protocol Buffers (encoding version 3), read where it lies.
 *
 * A message is a row of fields, each a tag and a value. The tag is a varint, number << 3 | type;
 * a varint has 7 bits per byte, the lowest first, and a set top bit where another byte follows.
 *
 *     type 0   a varint
 *     type 1   8 bytes, little-endian
 *     type 2   a varint, the size, and so many bytes: a text, a message, or packed numbers
 *     type 5   4 bytes, little-endian
 *
 * Types 3 and 4 enclose groups, which were given up before ONNX: here they are malformed. Nothing
 * is copied, allocated or read recursively: a field of type 2 is a slice of the same bytes, which
 * its reader may open as a message in turn. So a file's depth is the depth of the functions that
 * read it.
 */
#ifndef CN_WIRE_H
#define CN_WIRE_H

#include "base/base.h"

/* Bytes that belong to somebody else, such as a text without an end. */
typedef struct cn_span {
    const uint8_t *bytes;
    size_t size;
} cn_span;

typedef struct cn_wire {
    const uint8_t *at, *end;
    bool broken; /* at the first byte of what is malformed */
} cn_wire;

enum { CN_WIRE_VARINT = 0, CN_WIRE_FIXED64 = 1, CN_WIRE_BYTES = 2, CN_WIRE_FIXED32 = 5 };

typedef struct cn_field {
    uint32_t number;
    int type;
    uint64_t value; /* of types 0, 1 and 5 */
    cn_span span;   /* of type 2 */
} cn_field;

cn_wire cn_wire_open(cn_span message);
/* The next field; false at the end, and where it is malformed (`broken`). */
bool cn_wire_next(cn_wire *wire, cn_field *field);
/* The next number of a packed field whose elements are of this type; false as above. */
bool cn_wire_number(cn_wire *wire, int type, uint64_t *value);

/* ---- spans */

bool cn_span_is(cn_span span, const char *text);
bool cn_span_equal(cn_span a, cn_span b);
/* A span for an error text: its beginning, control characters made visible. Returns text. */
enum { CN_SPAN_TEXT = 64 };
const char *cn_span_text(cn_span span, char text[CN_SPAN_TEXT]);

#endif

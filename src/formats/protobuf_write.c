/*
 * protobuf_write.c - the wire format of Protocol Buffers (its public description, "Encoding").
 *
 *   varint    an integer in groups of 7 bits, the lowest first; bit 7 of a byte: more follow
 *   tag       varint: field number << 3 | wire type
 *   type 0    varint: int64, negative numbers as their two's complement in 64 bits
 *   type 2    varint length, then that many bytes: text, bytes, a message
 *   type 5    4 bytes, little-endian: float
 *
 * A model in ONNX needs no more than these. A generated encoder would need the schema at build time
 * and a copy of all weights.
 */
#include "formats/protobuf_write.h"

#include <string.h>

enum { VARINT = 0, LENGTH = 2, FIXED32 = 5, LONGEST_VARINT = 10 };

void cn_proto_free(cn_proto *p)
{
    cn_release(p->bytes);
    *p = (cn_proto){.size = 0};
}

/* Room for `size` more bytes, which the caller then fills; NULL: there is none. */
static uint8_t *extend(cn_proto *p, size_t size)
{
    if (p->failed || size > SIZE_MAX / 2 - p->size) {
        p->failed = true;
        return NULL;
    }
    if (p->size + size > p->capacity) {
        size_t capacity = 2 * p->capacity > p->size + size ? 2 * p->capacity : p->size + size;
        uint8_t *bytes = cn_allocate(capacity, 1, "message", NULL);
        if (!bytes) {
            p->failed = true;
            return NULL;
        }
        if (p->size) memcpy(bytes, p->bytes, p->size);
        cn_release(p->bytes);
        p->bytes = bytes;
        p->capacity = capacity;
    }
    p->size += size;
    return p->bytes + p->size - size;
}

static size_t encode(uint64_t value, uint8_t out[LONGEST_VARINT])
{
    size_t size = 0;
    do {
        out[size] = (uint8_t)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
        size++;
    } while (value);
    return size;
}

static void append(cn_proto *p, const void *bytes, size_t size)
{
    uint8_t *at = extend(p, size);
    if (at && size) memcpy(at, bytes, size);
}

static void append_varint(cn_proto *p, uint64_t value)
{
    uint8_t bytes[LONGEST_VARINT];
    append(p, bytes, encode(value, bytes));
}

static void append_tag(cn_proto *p, int field, int type)
{
    append_varint(p, (uint64_t)field << 3 | (uint64_t)type);
}

void cn_proto_int(cn_proto *p, int field, int64_t value)
{
    append_tag(p, field, VARINT);
    append_varint(p, (uint64_t)value);
}

void cn_proto_float(cn_proto *p, int field, float value)
{
    uint32_t bits;
    uint8_t bytes[4];
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(bits >> 8 * i);
    append_tag(p, field, FIXED32);
    append(p, bytes, sizeof bytes);
}

void cn_proto_bytes(cn_proto *p, int field, const void *bytes, size_t size)
{
    append_tag(p, field, LENGTH);
    append_varint(p, size);
    append(p, bytes, size);
}

void cn_proto_text(cn_proto *p, int field, const char *text)
{
    cn_proto_bytes(p, field, text, strlen(text));
}

size_t cn_proto_begin(cn_proto *p, int field)
{
    append_tag(p, field, LENGTH);
    return p->size;
}

/* The length stands before the message, and is known now: the message moves up by its digits. */
void cn_proto_end(cn_proto *p, size_t begin)
{
    uint8_t digits[LONGEST_VARINT];
    size_t length = p->size - begin, count = encode(length, digits);
    if (!extend(p, count)) return;
    memmove(p->bytes + begin + count, p->bytes + begin, length);
    memcpy(p->bytes + begin, digits, count);
}

/*
 * protobuf_write.h - writes the wire format of Protocol Buffers into memory.
 *
 * Messages nest by cn_proto_begin and cn_proto_end. No call fails: the first lack of memory is
 * kept in `failed`, and everything after it does nothing.
 */
#ifndef CN_PROTOBUF_WRITE_H
#define CN_PROTOBUF_WRITE_H

#include "base/base.h"

typedef struct cn_proto {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
} cn_proto;

void cn_proto_free(cn_proto *p);

/* One field each, by its number in the schema. */
void cn_proto_int(cn_proto *p, int field, int64_t value);
void cn_proto_float(cn_proto *p, int field, float value);
void cn_proto_text(cn_proto *p, int field, const char *text);
void cn_proto_bytes(cn_proto *p, int field, const void *bytes, size_t size);

/* What is written between the two is a message in this field. */
size_t cn_proto_begin(cn_proto *p, int field);
void cn_proto_end(cn_proto *p, size_t begin);

#endif

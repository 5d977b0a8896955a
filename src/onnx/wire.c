/* wire.c - see wire.h. */
#include "onnx/wire.h"

#include <string.h>

cn_wire cn_wire_open(cn_span message)
{
    const uint8_t *from = message.bytes; /* NULL of nothing */
    return (cn_wire){.at = from, .end = message.size ? from + message.size : from};
}

static bool broken(cn_wire *w)
{
    w->broken = true;
    return false;
}

/* At most ten bytes, of which the last adds one bit. */
static bool read_varint(cn_wire *w, uint64_t *value)
{
    uint64_t sum = 0;
    for (int shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        const uint8_t byte = *w->at++;
        if (shift == 63 && byte > 1) return broken(w);
        sum |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return broken(w);
}

static bool read_fixed(cn_wire *w, size_t size, uint64_t *value)
{
    if ((size_t)(w->end - w->at) < size) return broken(w);
    *value = 0;
    for (size_t i = 0; i < size; i++) *value |= (uint64_t)w->at[i] << 8 * i;
    w->at += size;
    return true;
}

bool cn_wire_number(cn_wire *w, int type, uint64_t *value)
{
    if (w->broken || w->at == w->end) return false;
    if (type == CN_WIRE_VARINT) return read_varint(w, value);
    return read_fixed(w, type == CN_WIRE_FIXED64 ? 8 : 4, value);
}

bool cn_wire_next(cn_wire *w, cn_field *field)
{
    uint64_t tag, size;
    if (w->broken || w->at == w->end) return false;
    if (!read_varint(w, &tag)) return false;
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return broken(w);
    *field = (cn_field){.number = (uint32_t)(tag >> 3), .type = (int)(tag & 7)};
    switch (field->type) {
    case CN_WIRE_VARINT: return read_varint(w, &field->value);
    case CN_WIRE_FIXED64: return read_fixed(w, 8, &field->value);
    case CN_WIRE_FIXED32: return read_fixed(w, 4, &field->value);
    case CN_WIRE_BYTES:
        if (!read_varint(w, &size)) return false;
        if (size > (uint64_t)(w->end - w->at)) return broken(w);
        field->span = (cn_span){w->at, (size_t)size};
        w->at += size;
        return true;
    default: return broken(w);
    }
}

/* ---- spans */

bool cn_span_is(cn_span span, const char *text)
{
    return span.size == strlen(text) && (span.size == 0 || !memcmp(span.bytes, text, span.size));
}

bool cn_span_equal(cn_span a, cn_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

const char *cn_span_text(cn_span span, char text[CN_SPAN_TEXT])
{
    size_t n = span.size < CN_SPAN_TEXT - 4 ? span.size : CN_SPAN_TEXT - 4;
    for (size_t i = 0; i < n; i++)
        text[i] = span.bytes[i] >= ' ' && span.bytes[i] < 0x7f ? (char)span.bytes[i] : '?';
    memcpy(text + n, n < span.size ? "..." : "", n < span.size ? 4 : 1);
    return text;
}

/*
 * unpack_zlib.c - gzip and bare deflate through zlib. Members of gzip that follow each other are
 * one stream (RFC 1952).
 */
#define ZLIB_CONST /* next_in points to const bytes */
#include "base/unpack.h"

#include <zlib.h>

/* Deflate codes at most 258 bytes in 2 bits (RFC 1951: a length of one bit, a distance of one
 * bit): it cannot shrink by more than 1,032 to 1. */
enum { DEFLATE_RATIO = 1032, CHUNK = 1 << 16 };

typedef struct member {
    z_stream z;
    bool bare;  /* deflate without gzip's header: one member, without a checksum */
    bool ended; /* between two members, or after the last */
} member;

static bool detects(const uint8_t *bytes, size_t size)
{
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

static cn_status open_stream(void **state, bool bare, const char *file, cn_error *err)
{
    member *m = cn_allocate(1, sizeof *m, file, err);
    if (!m) return CN_ERR_MEMORY;
    m->bare = bare;
    if (inflateInit2(&m->z, bare ? -MAX_WBITS : MAX_WBITS + 16) != Z_OK) {
        cn_release(m);
        return cn_fail(err, CN_ERR_MEMORY, "%s: no memory to inflate it", file);
    }
    *state = m;
    return CN_OK;
}

static cn_status open_gzip(void **state, const char *file, cn_error *err)
{
    return open_stream(state, false, file, err);
}

static cn_status open_deflate(void **state, const char *file, cn_error *err)
{
    return open_stream(state, true, file, err);
}

static void close_stream(void *state)
{
    member *m = state;
    if (m) inflateEnd(&m->z);
    cn_release(m);
}

static cn_status run(void *state, cn_unpack_step *step, const char *file, size_t at, cn_error *err)
{
    member *m = state;
    const char *kind = m->bare ? "deflate" : "gzip";
    if (m->ended && (m->bare || step->in_left == 0)) {
        step->ended = true;
        return CN_OK;
    }
    if (m->ended) inflateReset(&m->z);
    size_t input = step->in_left < CHUNK ? step->in_left : CHUNK;
    size_t output = step->out_left < CHUNK ? step->out_left : CHUNK;
    m->z.next_in = step->in;
    m->z.avail_in = (uInt)input;
    m->z.next_out = step->out;
    m->z.avail_out = (uInt)output;
    int result = inflate(&m->z, Z_NO_FLUSH);
    size_t used = input - m->z.avail_in, made = output - m->z.avail_out;
    step->in += used;
    step->in_left -= used;
    step->out += made;
    step->out_left -= made;
    m->ended = result == Z_STREAM_END;
    if (result == Z_OK || result == Z_STREAM_END) return CN_OK;
    if (result == Z_MEM_ERROR)
        return cn_fail(err, CN_ERR_MEMORY, "%s: no memory to inflate it", file);
    if (result == Z_BUF_ERROR)
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: the %s stream is cut short", file,
                       at + used, kind);
    return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: the %s stream is corrupt: %s", file,
                   at + used, kind, m->z.msg ? m->z.msg : "a dictionary is asked");
}

const cn_unpacker cn_unpacker_gzip = {
    .name = "gzip",
    .ratio = DEFLATE_RATIO,
    .detects = detects,
    .open = open_gzip,
    .run = run,
    .close = close_stream,
};

const cn_unpacker cn_unpacker_deflate = {
    .name = "deflate",
    .ratio = DEFLATE_RATIO,
    .open = open_deflate,
    .run = run,
    .close = close_stream,
};

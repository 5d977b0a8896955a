/*
 * unpack_xz.c - xz through liblzma; streams that follow each other are one (The .xz File Format
 * 1.2.0).
 */
#include "base/unpack.h"

#include <string.h>

/*
 * LZMA's best case is a match of 273 bytes at the last distance: 14 binary decisions (match,
 * repeated, which distance, long; 2 for the class of the length, 8 for the length), each of which
 * costs at least -log2(2017 / 2048) = 0.0220 bits, since a probability stays 31 / 2048 away from
 * certainty: 273 * 8 / (14 * 0.0220) = 7,091 to 1.
 */
enum { LZMA_RATIO = 7100 };

static bool detects(const uint8_t *bytes, size_t size)
{
    static const uint8_t magic[6] = {0xfd, '7', 'z', 'X', 'Z', 0};
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

#ifdef CONVNET_HAVE_LZMA

#include <lzma.h>

/* What xz -9 needs is 65 MiB; a header may ask for 4 GiB. */
#define MEMORY_LIMIT ((uint64_t)256 << 20)

static cn_status open_stream(void **state, const char *file, cn_error *err)
{
    lzma_stream *z = cn_allocate(1, sizeof *z, file, err);
    if (!z) return CN_ERR_MEMORY;
    *z = (lzma_stream)LZMA_STREAM_INIT;
    if (lzma_stream_decoder(z, MEMORY_LIMIT, LZMA_CONCATENATED) != LZMA_OK) {
        cn_release(z);
        return cn_fail(err, CN_ERR_MEMORY, "%s: no memory to unpack it", file);
    }
    *state = z;
    return CN_OK;
}

static void close_stream(void *state)
{
    lzma_stream *z = state;
    if (z) lzma_end(z);
    cn_release(z);
}

static cn_status run(void *state, cn_unpack_step *step, const char *file, size_t at, cn_error *err)
{
    lzma_stream *z = state;
    z->next_in = step->in;
    z->avail_in = step->in_left;
    z->next_out = step->out;
    z->avail_out = step->out_left;
    lzma_ret result = lzma_code(z, step->in_left > 0 ? LZMA_RUN : LZMA_FINISH);
    at += step->in_left - z->avail_in;
    step->in = z->next_in;
    step->in_left = z->avail_in;
    step->out = z->next_out;
    step->out_left = z->avail_out;
    step->ended = result == LZMA_STREAM_END;
    switch (result) {
    case LZMA_OK:
    case LZMA_STREAM_END: return CN_OK;
    case LZMA_MEM_ERROR: return cn_fail(err, CN_ERR_MEMORY, "%s: no memory to unpack it", file);
    case LZMA_MEMLIMIT_ERROR:
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "%s: unpacking it takes %zu MiB of memory, expected at most %zu", file,
                       (size_t)(lzma_memusage(z) >> 20), (size_t)(MEMORY_LIMIT >> 20));
    case LZMA_BUF_ERROR:
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: the xz stream is cut short", file, at);
    case LZMA_OPTIONS_ERROR:
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: byte %zu: an xz stream with unknown options",
                       file, at);
    default: return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: the xz stream is corrupt", file, at);
    }
}

#else

static cn_status open_stream(void **state, const char *file, cn_error *err)
{
    (void)state;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%s: packed with xz, but this library was built without liblzma "
                   "(CONVNET_LZMA): unpack it with xz -dk",
                   file);
}

static cn_status run(void *state, cn_unpack_step *step, const char *file, size_t at, cn_error *err)
{
    (void)at;
    step->ended = true;
    return open_stream(&state, file, err);
}

static void close_stream(void *state)
{
    (void)state;
}

#endif

const cn_unpacker cn_unpacker_xz = {
    .name = "xz",
    .ratio = LZMA_RATIO,
    .detects = detects,
    .open = open_stream,
    .run = run,
    .close = close_stream,
};

/* unpack.h - compressed bytes unpacked as they are read; what is recognized by its first bytes is a
 * row of the table in source.c. */
#ifndef CN_UNPACK_H
#define CN_UNPACK_H

#include "base/base.h"

/* A step: packed bytes that are there, and room for unpacked ones; both move on. */
typedef struct cn_unpack_step {
    const uint8_t *in;
    size_t in_left; /* 0: the file has ended */
    uint8_t *out;
    size_t out_left;
    bool ended; /* set by the unpacker: the stream is whole, and nothing follows */
} cn_unpack_step;

typedef struct cn_unpacker {
    const char *name;
    size_t ratio; /* the most unpacked bytes per packed byte */
    bool (*detects)(const uint8_t *bytes, size_t size); /* NULL: used only on request */
    cn_status (*open)(void **state, const char *file, cn_error *err);
    /* `file` and `at`, the offset of the step's first byte, are for errors. */
    cn_status (*run)(void *state, cn_unpack_step *step, const char *file, size_t at, cn_error *err);
    void (*close)(void *state); /* NULL is fine */
} cn_unpacker;

extern const cn_unpacker cn_unpacker_gzip, cn_unpacker_xz, cn_unpacker_deflate;

#endif

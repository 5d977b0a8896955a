/* signature.h - what a file is, by its first bytes. */
#ifndef CN_SIGNATURE_H
#define CN_SIGNATURE_H

#include "base/source.h"

typedef enum cn_signature_kind {
    CN_SIGNATURE_OTHER,
    CN_SIGNATURE_IMAGE, /* or what people take for one: WebP, HEIC */
    CN_SIGNATURE_MODEL, /* safetensors */
} cn_signature_kind;

typedef struct cn_signature {
    const char *bytes; /* where they are, "." stands for any byte and "_" for a space of any kind */
    size_t length, offset;
    const char *name; /* "a PNG image" */
    cn_signature_kind kind;
} cn_signature;

/* NULL where the bytes, of which CN_HEAD are enough, begin no known format. */
const cn_signature *cn_signature_find(const uint8_t *bytes, size_t size);
/* The same of a file; NULL also where it cannot be read. */
const cn_signature *cn_signature_of_file(const char *path);

/*
 * For errors of readers whose format it is not: "a Git LFS pointer", else the first four bytes,
 * "02 7f 00 10", or "an empty file". `head` is what was read of the source until now, from its
 * beginning; more is read. Returns text.
 */
enum { CN_FOUND_TEXT = 64 };
const char *cn_source_found(cn_source *source, const uint8_t *head, size_t size,
                            char text[CN_FOUND_TEXT]);
const char *cn_bytes_found(const uint8_t *bytes, size_t size, char text[CN_FOUND_TEXT]);

#endif

/* source.h - bytes read front to back, from a file or from memory, unpacked on the way. */
#ifndef CN_SOURCE_H
#define CN_SOURCE_H

#include "base/base.h"

#include <sys/stat.h>

/* Opens a file to read it. A directory is refused, and so is a named pipe, which nobody may ever write to;
 * /dev/stdin, and what lies in /dev/fd and /proc, may be a pipe. */
cn_status cn_file_open(int *file, struct stat *about, const char *path, cn_error *err);

typedef struct cn_source cn_source;

/*
 * CN_SOURCE_UNPACK recognizes gzip and, where the library was built with liblzma, xz by their first
 * bytes and unpacks them; anything else is read as it is. CN_SOURCE_PLAIN never unpacks: for
 * formats whose own first bytes may look like gzip's.
 */
typedef enum cn_source_mode { CN_SOURCE_PLAIN, CN_SOURCE_UNPACK } cn_source_mode;

/* Opens a file as cn_file_open does. What cannot be opened is CN_ERR_IO, with its name. */
cn_status cn_source_open(cn_source **source, const char *path, cn_source_mode mode, cn_error *err);
/* Reads from memory, which must outlive the source. `name` stands for the file's in errors. */
cn_status cn_source_memory(cn_source **source, const char *name, const void *bytes, size_t size,
                           cn_source_mode mode, cn_error *err);

/* A part of a file, as archives hold their members. */
typedef struct cn_source_part {
    const char *name;      /* for errors, after the file's name */
    size_t offset, packed; /* where its bytes lie, and how many they are */
    bool deflated;         /* they are a bare deflate stream (RFC 1951) */
    size_t size;           /* of what is read, unpacked */
    bool has_crc;
    uint32_t crc; /* CRC-32 of what is read, checked by cn_source_end */
} cn_source_part;
/* CN_ERR_FORMAT where `packed` bytes cannot unpack to `size`. */
cn_status cn_source_open_part(cn_source **source, const char *path, const cn_source_part *part,
                              cn_error *err);
void cn_source_close(cn_source *source);

/* The file's name, and how many (unpacked) bytes have been read. */
const char *cn_source_name(const cn_source *source);
size_t cn_source_offset(const cn_source *source);
/* No more bytes than this can follow: what a header announces is checked against it before any
 * memory is allocated. SIZE_MAX where the size cannot be known (a pipe). */
size_t cn_source_capacity(const cn_source *source);

/* The byte of the file that is read next; false where the bytes are unpacked on the way, come from
 * memory, or cannot be read twice. */
bool cn_source_place(const cn_source *source, size_t *offset);

/* Reads exactly `size` bytes and unpacks no further. `what` names them in errors. */
cn_status cn_source_read(cn_source *source, void *out, size_t size, const char *what,
                         cn_error *err);
/* Reads up to `size` bytes; *got is less at the end only. */
cn_status cn_source_read_some(cn_source *source, void *out, size_t size, size_t *got,
                              cn_error *err);
/* Passes over bytes; false where there are fewer. */
bool cn_source_skip(cn_source *source, size_t size);
/* What cn_source_read and cn_source_end find with the last `size` bytes, which are only read where
 * there is a checksum of them. */
cn_status cn_source_check_rest(cn_source *source, size_t size, cn_error *err);
/* CN_OK where nothing follows, and a checksum, if there is one, is right; CN_ERR_FORMAT otherwise.
 */
cn_status cn_source_end(cn_source *source, cn_error *err);

/* A whole file, not unpacked, of at most `limit` bytes; free *bytes with cn_release. Where
 * `accepts` (may be NULL) says no to its first bytes, CN_HEAD of them unless the file is shorter,
 * these are all that is read: what is no image may be a device without an end. */
enum { CN_HEAD = 132 };
typedef bool cn_accepts(const uint8_t *bytes, size_t size);
cn_status cn_file_read(const char *path, size_t limit, cn_accepts *accepts, uint8_t **bytes,
                       size_t *size, cn_error *err);

#endif

/* zip_save.h - writes ZIP archives of stored members. */
#ifndef CN_ZIP_SAVE_H
#define CN_ZIP_SAVE_H

#include "base/sink.h"

/* What the directory repeats of a member. */
typedef struct cn_zip_row {
    const char *name, *ending; /* together its name; they must live until the end */
    uint32_t crc, size, header;
} cn_zip_row;

typedef struct cn_zip_writer {
    cn_sink *sink;
    const char *path;
    cn_zip_row *rows;
    int count, room;
    uint64_t offset;
} cn_zip_writer;

/* Bytes that follow each other in a member. */
typedef struct cn_zip_bytes {
    const void *bytes;
    size_t size;
} cn_zip_bytes;

/* Opens an archive of at most `most` members. CN_ERR_UNSUPPORTED for more than a directory holds. */
cn_status cn_zip_writer_open(cn_zip_writer *z, const char *path, int most, cn_error *err);
/* Adds a member of these `count` runs of bytes. CN_ERR_UNSUPPORTED from 4 GiB on. */
cn_status cn_zip_writer_add(cn_zip_writer *z, const char *name, const char *ending,
                            const cn_zip_bytes *bytes, int count, cn_error *err);
/* Writes the directory: the file takes the place of an older one. */
cn_status cn_zip_writer_end(cn_zip_writer *z, cn_error *err);
void cn_zip_writer_close(cn_zip_writer *z);

#endif

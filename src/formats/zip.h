/* zip.h - the members of a ZIP archive, stored or deflated. */
#ifndef CN_ZIP_H
#define CN_ZIP_H

#include "base/source.h"

enum { CN_ZIP_NAME = 168 };
typedef struct cn_zip_member {
    char name[CN_ZIP_NAME];      /* a longer name is cut */
    size_t header, packed, size; /* where its own header lies, its bytes there, and unpacked */
    uint32_t crc;
    int method; /* 0 stored, 8 deflated */
    bool encrypted;
} cn_zip_member;

/* The directory of an archive; free *members with cn_release. */
cn_status cn_zip_list(cn_zip_member **members, int *count, const char *path, cn_error *err);

/* Opens a member to read what it holds; `path` is the archive's. */
cn_status cn_zip_open(cn_source **source, const char *path, const cn_zip_member *member,
                      cn_error *err);

#endif

/* array_files.h - arrays as NPY, and archives of them, made in memory; sets of images loaded from them. */
#ifndef TEST_ARRAY_FILES_H
#define TEST_ARRAY_FILES_H

#include <zlib.h>

#include "convnet.h"
#include "files.h"

typedef struct bytes {
    uint8_t at[8192];
    size_t size;
} bytes;

static inline void put(bytes *b, const void *data, size_t size)
{
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, data, size);
    b->size += size;
}

static inline void put_number(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++, value >>= 8) put(b, &(uint8_t){(uint8_t)value}, 1);
}

static inline bytes make_npy(const char *header, const void *data, size_t size)
{
    bytes b = {{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0}, 8};
    put_number(&b, strlen(header), 2);
    put(&b, header, strlen(header));
    put(&b, data, size);
    return b;
}

/* An array of `shape` whose elements are `data`. */
static inline bytes make_array(const char *descr, const char *shape, const void *data, size_t size)
{
    char header[128];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n",
             descr, shape);
    return make_npy(header, data, size);
}

/* ---- archives */

typedef struct member {
    const char *name;
    bytes content;
    bool deflated, wide; /* wide: sizes in a ZIP64 field, as numpy.savez writes them */
} member;

static inline bytes deflated(const bytes *b)
{
    bytes out = {{0}, 0};
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)b->at;
    z.avail_in = (uInt)b->size;
    z.next_out = out.at;
    z.avail_out = sizeof out.at;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.size = z.total_out;
    deflateEnd(&z);
    return out;
}

static inline bytes make_zip(const member *members, int count, bool zip64)
{
    bytes b = {{0}, 0}, directory = {{0}, 0};
    for (int i = 0; i < count; i++) {
        const member *m = &members[i];
        bytes packed = m->deflated ? deflated(&m->content) : m->content;
        uint32_t crc = (uint32_t)crc32(0, m->content.at, (uInt)m->content.size);
        size_t header = b.size, name = strlen(m->name);
        put(&b, "PK\3\4\24\0\0\0", 8);
        put_number(&b, m->deflated ? 8 : 0, 2);
        put_number(&b, 0, 16);
        put_number(&b, name, 2);
        put_number(&b, 4, 2);
        put(&b, m->name, name);
        put_number(&b, 0x77, 4); /* an extra field that nobody knows */
        put(&b, packed.at, packed.size);
        put(&directory, "PK\1\2\24\0\24\0\0\0", 10);
        put_number(&directory, m->deflated ? 8 : 0, 2);
        put_number(&directory, 0, 4);
        put_number(&directory, crc, 4);
        put_number(&directory, m->wide ? UINT32_MAX : packed.size, 4);
        put_number(&directory, m->wide ? UINT32_MAX : m->content.size, 4);
        put_number(&directory, name, 2);
        put_number(&directory, m->wide ? 24 : 0, 2);
        put_number(&directory, 0, 10);
        put_number(&directory, header, 4);
        put(&directory, m->name, name);
        if (!m->wide) continue;
        put_number(&directory, 9, 4);
        put_number(&directory, 1 | 16 << 16, 4);
        put_number(&directory, m->content.size, 8);
        put_number(&directory, packed.size, 8);
    }
    size_t at = b.size, size = directory.size, end64 = at + size;
    put(&b, directory.at, size);
    if (zip64) {
        put(&b, "PK\6\6", 4);
        put_number(&b, 44, 8);
        put_number(&b, 0, 12);
        put_number(&b, (uint64_t)count, 8);
        put_number(&b, (uint64_t)count, 8);
        put_number(&b, size, 8);
        put_number(&b, at, 8);
        put(&b, "PK\6\7", 4);
        put_number(&b, 0, 4);
        put_number(&b, end64, 8);
        put_number(&b, 1, 4);
    }
    put(&b, "PK\5\6\0\0\0\0", 8);
    put_number(&b, zip64 ? UINT16_MAX : (uint64_t)count, 2);
    put_number(&b, zip64 ? UINT16_MAX : (uint64_t)count, 2);
    put_number(&b, zip64 ? UINT32_MAX : size, 4);
    put_number(&b, zip64 ? UINT32_MAX : at, 4);
    put_number(&b, 3, 2);
    put(&b, "end", 3);
    return b;
}

/* ---- sets of images */

/* n images of 2 x 3 whose pixels begin at `first`. */
static inline bytes make_images(int n, int first)
{
    char header[128];
    uint8_t data[256];
    for (int i = 0; i < 6 * n; i++) data[i] = (uint8_t)(first + i);
    snprintf(header, sizeof header,
             "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 2, 3), }\n", n);
    return make_npy(header, data, (size_t)(6 * n));
}

/* Labels 0, 1, 2, 0 ... */
static inline bytes make_labels(int n)
{
    char header[128];
    uint8_t data[64];
    for (int i = 0; i < n; i++) data[i] = (uint8_t)(i % 3);
    snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }\n",
             n);
    return make_npy(header, data, (size_t)n);
}

static inline cn_status load(cn_dataset **data, const char *kind, const char *path, cn_subset split,
                             cn_error *err)
{
    char spec[FILES_PATH + 80];
    snprintf(spec, sizeof spec, "%s%s", kind, path);
    return cn_dataset_load(data, spec, split, NULL, err);
}

static inline void check(const char *kind, const char *path, cn_subset split, int n, int first)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    float x[6];
    int32_t label;
    if (load(&data, kind, path, split, &err) != CN_OK) fail_msg("%s%s: %s", kind, path, err.text);
    assert_int_equal(cn_dataset_size(data), n);
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){2, 3, 1}), 12);
    cn_dataset_batch(data, (int[]){0}, 1, NULL, NULL, x, &label, NULL);
    for (int i = 0; i < 6; i++) assert_float_equal(x[i], (float)(first + i) / 255, 1e-6);
    cn_dataset_free(data);
}

static inline void expect_failure(const char *kind, const char *path, cn_status status,
                                  const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(load(&data, kind, path, CN_SUBSET_TRAIN, &err), status);
    assert_null(data);
    assert_says(err, part);
}

#endif

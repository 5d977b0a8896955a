/* NPY and NPZ: arrays of every element and order, archives, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <zlib.h>

#include "files.h"
#include "formats/npy.h"
#include "formats/zip.h"

typedef struct bytes {
    uint8_t at[8192];
    size_t size;
} bytes;

static void put(bytes *b, const void *data, size_t size)
{
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, data, size);
    b->size += size;
}

static void put_number(bytes *b, uint64_t value, int size)
{
    for (int i = 0; i < size; i++, value >>= 8) put(b, &(uint8_t){(uint8_t)value}, 1);
}

/* ---- NPY */

static bytes make_npy(const char *header, const void *data, size_t size)
{
    bytes b = {{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0}, 8};
    put_number(&b, strlen(header), 2);
    put(&b, header, strlen(header));
    put(&b, data, size);
    return b;
}

static cn_status read_npy(const bytes *b, cn_array *array, cn_error *err)
{
    cn_source *s = NULL;
    uint8_t *exact = files_exact(b->at, b->size);
    cn_status status = cn_source_memory(&s, "seed", exact, b->size, CN_SOURCE_PLAIN, err);
    if (status == CN_OK) status = cn_npy_read(s, "a", array, err);
    cn_source_close(s);
    free(exact);
    return status;
}

static void expect_npy(const bytes *b, cn_status status, const char *part)
{
    cn_array array = {.data = NULL};
    cn_error err = {CN_OK, ""};
    assert_int_equal(read_npy(b, &array, &err), status);
    assert_null(array.data);
    assert_says(err, "seed");
    assert_says(err, part);
}

static void every_element_and_order_is_read(void **state)
{
    (void)state;
    const struct {
        const char *descr;
        cn_element element;
        uint8_t data[16];
    } cases[] = {
        {"|u1", CN_ELEMENT_U8, {3, 250}},
        {"|b1", CN_ELEMENT_U8, {1, 0}},
        {"<u2", CN_ELEMENT_U16, {1, 2, 3, 4}},
        {">u2", CN_ELEMENT_U16, {2, 1, 4, 3}},
        {"<i4", CN_ELEMENT_I32, {1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff}},
        {">i4", CN_ELEMENT_I32, {4, 3, 2, 1, 0xff, 0xff, 0xff, 0xff}},
        {"<i8", CN_ELEMENT_I64, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {">i8", CN_ELEMENT_I64, {8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 9}},
        {"<f4", CN_ELEMENT_F32, {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}},
        {">f4", CN_ELEMENT_F32, {0x3f, 0x80, 0, 0, 0xc0}},
        {"<f8", CN_ELEMENT_F64, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}},
        {">f8", CN_ELEMENT_F64, {0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 0xc0}},
        {"|i1", CN_ELEMENT_I8, {5, 0xff}},
        {"<i2", CN_ELEMENT_I16, {1, 2, 0xff, 0xff}},
        {">i2", CN_ELEMENT_I16, {2, 1, 0xff, 0xff}},
        {"<u4", CN_ELEMENT_U32, {1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff}},
        {">u4", CN_ELEMENT_U32, {4, 3, 2, 1, 0xff, 0xff, 0xff, 0xff}},
        {"<u8", CN_ELEMENT_U64, {1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {">u8", CN_ELEMENT_U64, {8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 9}},
        {"<f2", CN_ELEMENT_F16, {0, 0x3c, 0, 0xc0}},
        {">f2", CN_ELEMENT_F16, {0x3c, 0, 0xc0, 0}},
    };
    const int8_t i8[] = {5, -1};
    const int16_t i16[] = {0x0201, -1};
    const uint32_t u32[] = {0x04030201, UINT32_MAX};
    const uint16_t f16[] = {0x3c00, 0xc000};
    const uint16_t u16[] = {0x0201, 0x0403};
    const int32_t i32[] = {0x04030201, -1};
    const int64_t i64[] = {0x0807060504030201, 9};
    const float f32[] = {1, -2};
    const double f64[] = {1, -2};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[128];
        cn_array a = {.data = NULL};
        cn_element e = cases[i].element;
        const void *want[] = {cases[i].data, u16, i32, i64, f32, f64, i8, i16, u32, i64, f16};
        snprintf(header, sizeof header,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n", cases[i].descr);
        bytes b = make_npy(header, cases[i].data,
                           2 * cn_array_element_size(&(cn_array_about){.element = e}));
        assert_int_equal(read_npy(&b, &a, NULL), CN_OK);
        assert_int_equal(a.about.element, e);
        assert_int_equal(a.about.rank, 1);
        assert_int_equal(a.about.shape[0], 2);
        assert_memory_equal(a.data, want[e],
                            2 * cn_array_element_size(&(cn_array_about){.element = e}));
        cn_release(a.data);
    }
}

static void fortran_order_is_turned(void **state)
{
    (void)state;
    /* a[i][j][k] = 100 i + 10 j + k, shape (2, 3, 4): i runs fastest in the file. */
    uint8_t data[24];
    size_t n = 0;
    for (int k = 0; k < 4; k++)
        for (int j = 0; j < 3; j++)
            for (int i = 0; i < 2; i++) data[n++] = (uint8_t)(100 * i + 10 * j + k);
    bytes b = make_npy("{\"shape\":(2,3,4L),'fortran_order':True,'descr':'|u1'}", data, 24);
    cn_array a = {.data = NULL};
    assert_int_equal(read_npy(&b, &a, NULL), CN_OK);
    const uint8_t *at = a.data;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) assert_int_equal(*at++, 100 * i + 10 * j + k);
    cn_release(a.data);
}

static void later_versions_have_longer_headers(void **state)
{
    (void)state;
    const char header[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}";
    for (uint8_t version = 2; version <= 3; version++) {
        bytes b = {{0x93, 'N', 'U', 'M', 'P', 'Y', version, 0}, 8};
        cn_array a = {.data = NULL};
        put_number(&b, sizeof header - 1, 4);
        put(&b, header, sizeof header - 1);
        put(&b, "x", 1);
        assert_int_equal(read_npy(&b, &a, NULL), CN_OK);
        assert_int_equal(*(uint8_t *)a.data, 'x');
        cn_release(a.data);
    }
}

static void lies_of_npy_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *header;
        cn_status status;
        const char *says;
    } cases[] = {
        {"", CN_ERR_FORMAT, "expected a dictionary of descr, fortran_order and shape"},
        {"{}", CN_ERR_FORMAT, "expected a dictionary"},
        {"{'descr': '|u1', 'fortran_order': False}", CN_ERR_FORMAT, "expected a dictionary"},
        {"{'descr': '|u1', 'shape': (4,)}", CN_ERR_FORMAT, "expected a dictionary"},
        {"{'descr': '|u1', 'fortran_order': 0, 'shape': (4,)}", CN_ERR_FORMAT, "byte 44: expected"},
        {"{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (4,)}", CN_ERR_FORMAT,
         "expected a dictionary"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (4,)} x", CN_ERR_FORMAT,
         "expected a dictionary"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (-4,)}", CN_ERR_FORMAT,
         "expected a dictionary"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (4", CN_ERR_FORMAT,
         "expected a dictionary"},
        {"{'descr': [('r', '|u1')], 'fortran_order': False, 'shape': (4,)}", CN_ERR_UNSUPPORTED,
         "elements '['"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (4,)}", CN_ERR_UNSUPPORTED,
         "elements '<c8', expected b1, u or i of 1, 2, 4 or 8 bytes, f2, f4, f8, S or U"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (4,)}", CN_ERR_UNSUPPORTED, "'|O'"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': ()}", CN_ERR_UNSUPPORTED,
         "rank 0, expected 1 to 4"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 4)}", CN_ERR_UNSUPPORTED,
         "rank 5"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (0,)}", CN_ERR_UNSUPPORTED,
         "extent 0 of the shape is 0"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 99999999999999999999999)}",
         CN_ERR_UNSUPPORTED, "extent 1 of the shape is above 2147483647"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647, "
         "2147483647)}",
         CN_ERR_FORMAT, "expected (2147483647, 2147483647, 2147483647"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (5,)}", CN_ERR_FORMAT,
         "expected (5) elements of 1 bytes, found at most 4 bytes"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}", CN_ERR_FORMAT,
         "expected the end, found more bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bytes b = make_npy(cases[i].header, "abcd", 4);
        expect_npy(&b, cases[i].status, cases[i].says);
    }
    bytes b = make_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}\n", "abcd", 4);
    for (size_t size = 0; size < b.size; size++) {
        bytes cut = b;
        cut.size = size;
        expect_npy(&cut, CN_ERR_FORMAT, "expected");
    }
    b.at[9] = 0xff;
    expect_npy(&b, CN_ERR_FORMAT, "byte 8: a header of 65336 bytes");
    b.at[6] = 4;
    expect_npy(&b, CN_ERR_UNSUPPORTED, "byte 6: version 4, expected 1 to 3");
    b.at[0] = 'x';
    expect_npy(&b, CN_ERR_FORMAT, "byte 0: expected an NPY array (93 NUMPY), found 78 4e 55 4d");
}

/* ---- Archives made here */

enum { MOST_MEMBERS = 6 };

typedef struct member {
    const char *name;
    bytes content;
    bool deflated, wide; /* wide: sizes in a ZIP64 field, as numpy.savez writes them */
} member;

static bytes deflated(const bytes *b)
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

static bytes make_zip(const member *members, int count, bool zip64)
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

/* n images of 2 x 3 whose pixels begin at `first`. */
static bytes make_images(int n, int first)
{
    char header[128];
    uint8_t data[256];
    for (int i = 0; i < 6 * n; i++) data[i] = (uint8_t)(first + i);
    snprintf(header, sizeof header,
             "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 2, 3), }\n", n);
    return make_npy(header, data, (size_t)(6 * n));
}

/* Labels 0, 1, 2, 0 ... */
static bytes make_labels(int n)
{
    char header[128];
    uint8_t data[64];
    for (int i = 0; i < n; i++) data[i] = (uint8_t)(i % 3);
    snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }\n",
             n);
    return make_npy(header, data, (size_t)n);
}

static cn_status load(cn_dataset **data, const char *kind, const char *path, cn_subset split,
                      cn_error *err)
{
    char spec[FILES_PATH + 80];
    snprintf(spec, sizeof spec, "%s%s", kind, path);
    return cn_dataset_load(data, spec, split, NULL, err);
}

static void check(const char *kind, const char *path, cn_subset split, int n, int first)
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

static void expect_failure(const char *kind, const char *path, cn_status status, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(load(&data, kind, path, CN_SUBSET_TRAIN, &err), status);
    assert_null(data);
    assert_says(err, part);
}

static void archives_hold_both_splits(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "mnist.npz");
    for (int form = 0; form < 8; form++) {
        bool pack = form & 1, wide = form & 2, zip64 = form & 4;
        const member members[] = {{"x_test.npy", make_images(4, 50), pack, wide},
                                  {"notes.txt", make_labels(1), false, false},
                                  {"y_test.npy", make_labels(4), !pack, wide},
                                  {"x_train.npy", make_images(7, 10), pack, !wide},
                                  {"y_train.npy", make_labels(7), pack, wide}};
        bytes b = make_zip(members, 5, zip64);
        files_write(path, b.at, b.size);
        check("npz:", path, CN_SUBSET_TRAIN, 7, 10);
        check("npz:", path, CN_SUBSET_TEST, 4, 50);
        check("", folder, CN_SUBSET_TRAIN, 7, 10);
    }
    files_remove_folder(folder);
}

/* Without a word of testing, every fifth image is for that: number 4 is the first. */
static void other_names_will_do(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    const member members[] = {{"arr_0.npy", make_images(10, 0), true, true},
                              {"arr_1.npy", make_labels(10), true, true}};
    bytes b = make_zip(members, 2, false);
    files_write(files_join(path, folder, "all.npz"), b.at, b.size);
    check("npz:", path, CN_SUBSET_TRAIN, 8, 0);
    check("npz:", path, CN_SUBSET_TEST, 2, 24);
    /* What a file says by its name. */
    files_write(files_join(path, folder, "test_all.npz"), b.at, b.size);
    const member more[] = {{"images.npy", make_images(6, 100), true, true},
                           {"labels.npy", make_labels(6), true, true}};
    b = make_zip(more, 2, false);
    files_write(files_join(path, folder, "train_all.npz"), b.at, b.size);
    check("npz:", path, CN_SUBSET_TRAIN, 6, 100);
    check("npz:", path, CN_SUBSET_TEST, 10, 0);
    check("npz:", folder, CN_SUBSET_TEST, 10, 0);
    files_remove_folder(folder);
}

static void damaged_archives_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (int form = 0; form < 2; form++) {
        const member members[] = {{"x.npy", make_images(10, 0), form, form},
                                  {"y.npy", make_labels(10), form, form}};
        bytes b = make_zip(members, 2, form);
        for (size_t size = 0; size < b.size; size++) {
            remove(path); /* some file systems wait for the disk where a file is overwritten */
            files_write(path, b.at, size);
            expect_failure("npz:", path, CN_ERR_FORMAT, "a.npz");
        }
        /* No flipped bit is trusted: either nothing changes, or an error says so. */
        for (size_t bit = 0; bit < 8 * b.size; bit++) {
            cn_dataset *data = NULL;
            bytes bad = b;
            bad.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            remove(path);
            files_write(path, bad.at, bad.size);
            cn_error err = {CN_OK, ""};
            if (load(&data, "npz:", path, CN_SUBSET_TRAIN, &err) != CN_OK) {
                assert_says(err, "a.npz");
                continue;
            }
            cn_dataset_free(data);
            check("npz:", path, CN_SUBSET_TRAIN, 8, 0);
        }
    }
    files_remove_folder(folder);
}

static void lying_archives_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    member members[] = {{"x.npy", make_images(10, 0), false, false},
                        {"y.npy", make_labels(10), false, false}};
    bytes good = make_zip(members, 2, false), b = good;
    size_t row = 0;
    while (memcmp(b.at + row, "PK\1\2", 4) != 0) row++;
    b.at[row + 8] = 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "1 of other kinds");
    b = good;
    b.at[row + 16] ^= 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "a.npz: x.npy: damaged: its CRC-32 is");
    b = good;
    b.at[row + 24] ^= 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "a.npz: x.npy: expected");
    b = good;
    b.at[row + 42] ^= 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "expected a ZIP member's header");
    b = good;
    b.at[b.size - 3 - 12] = 0xff;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "a ZIP directory of");
    files_write(path, "", 0);
    expect_failure("npz:", path, CN_ERR_FORMAT, "no ZIP archive");
    expect_failure("npz:", "/dev/null", CN_ERR_UNSUPPORTED, "not a regular file");
    expect_failure("npz:", "", CN_ERR_ARGUMENT, "expected a path after the colon");
    /* A row that claims 4 GiB from a few deflated bytes. */
    members[0].deflated = true;
    members[0].wide = true;
    b = make_zip(members, 2, false);
    for (row = 0; memcmp(b.at + row, "PK\1\2", 4) != 0;) row++;
    b.at[row + 46 + 5 + 8 + 4] = 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "deflated ones");
    files_remove_folder(folder);
}

static void labels_lie_beside_their_images(void **state)
{
    (void)state;
    const char *names[][2] = {{"x_train.npy", "y_train.npy"},
                              {"X.npy", "y.npy"},
                              {"images.npy", "labels.npy"},
                              {"flowers.npy", "flowers_labels.npy"},
                              {"train_set_x.npy", "train_set_y.npy"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[FILES_PATH], path[FILES_PATH];
        bytes images = make_images(10, 0), labels = make_labels(10);
        files_make_folder(folder);
        files_write(files_join(path, folder, names[i][1]), labels.at, labels.size);
        files_write(files_join(path, folder, names[i][0]), images.at, images.size);
        check("npy:", path, CN_SUBSET_TRAIN, 8, 0);
        check("npy:", path, CN_SUBSET_TEST, 2, 24);
        check("", folder, CN_SUBSET_TEST, 2, 24);
        files_remove_folder(folder);
    }
    char folder[FILES_PATH], path[FILES_PATH];
    bytes images = make_images(10, 0), labels = make_labels(9);
    files_make_folder(folder);
    files_write(files_join(path, folder, "x.npy"), images.at, images.size);
    expect_failure("npy:", path, CN_ERR_IO, "expected labels beside it");
    expect_failure("npy:", folder, CN_ERR_IO, "expected a file for npy, found none");
    files_write(files_join(path, folder, "y.npy"), labels.at, labels.size);
    expect_failure(
        "npy:", folder, CN_ERR_FORMAT,
        "x is (10, 2, 3): expected labels (10), or one-hot (10, classes), found y (9) u1");
    const double bad[10] = {0, 1, 2, 1.5};
    labels = make_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10,)}", bad, sizeof bad);
    files_write(path, labels.at, labels.size);
    expect_failure("npy:", folder, CN_ERR_FORMAT, "y: label 3 is 1.5, expected a whole number");
    files_remove_folder(folder);
}

/* Floats are taken as they are, whatever their range, and normalized by what they are. */
static void floats_are_normalized_like_bytes(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    float data[60], x[60], mean, std;
    double sum = 0, squares = 0;
    int32_t y[10];
    int index[10];
    for (int i = 0; i < 60; i++) data[i] = 100.0f * (float)(i % 13) - 300;
    bytes labels = make_labels(10),
          images = make_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 2, 3)}", data,
                            sizeof data);
    files_make_folder(folder);
    files_write(files_join(path, folder, "y.npy"), labels.at, labels.size);
    files_write(files_join(path, folder, "x.npy"), images.at, images.size);
    cn_dataset *set = NULL;
    assert_int_equal(load(&set, "npy:", path, CN_SUBSET_TRAIN, NULL), CN_OK);
    cn_dataset_statistics(set, &mean, &std);
    for (int i = 0; i < 8; i++) index[i] = i;
    cn_dataset_batch(set, index, 8, &mean, &std, x, y, NULL);
    for (int i = 0; i < 48; i++) sum += (double)x[i], squares += (double)x[i] * (double)x[i];
    assert_float_equal(sum / 48, 0, 1e-5);
    assert_float_equal(squares / 48, 1, 1e-4);
    cn_dataset_free(set);
    files_remove_folder(folder);
}

/* An array of `shape` whose elements are `data`. */
static bytes make_array(const char *descr, const char *shape, const void *data, size_t size)
{
    char header[128];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n",
             descr, shape);
    return make_npy(header, data, size);
}

static void put_pair(const char *path, bytes images, bytes labels)
{
    const member members[] = {{"x.npy", images, false, false}, {"y.npy", labels, false, false}};
    bytes b = make_zip(members, 2, false);
    files_write(path, b.at, b.size);
}

/* Five images of one pixel. */
static bytes five_images(void)
{
    return make_array("|u1", "(5, 1, 1)", "\0\1\2\3\377", 5);
}

static cn_dataset *load_all(const char *path)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (load(&data, "npz:", path, CN_SUBSET_ALL, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static void labels_with_gaps_keep_their_names(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const struct {
        int32_t labels[5];
        const char *names[3], *remarks;
    } cases[] = {
        {{1, 2, 3, 1, 2},
         {"1", "2", "3"},
         "labels from 1 to 3 make 3 classes, which have them as names\n"},
        {{1000000, 5, 70, 5, 70},
         {"5", "70", "1000000"},
         "labels from 5 to 1000000 make 3 classes, which have them as names\n"},
        {{0, 2, 2, 0, 2147483647},
         {"0", "2", "2147483647"},
         "labels from 0 to 2147483647 make 3 classes, which have them as names\n"},
        {{2, 0, 1, 0, 1}, {"0", "1", "2"}, ""},
    };
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_pair(path, five_images(), make_array("<i4", "(5,)", cases[i].labels, 20));
        cn_dataset *data = load_all(path);
        assert_int_equal(cn_dataset_classes(data), 3);
        assert_string_equal(cn_dataset_remarks(data), cases[i].remarks);
        for (int k = 0; k < 3; k++)
            assert_string_equal(cn_dataset_class_name(data, k), cases[i].names[k]);
        for (int k = 0; k < 5; k++)
            assert_int_equal(atoi(cn_dataset_class_name(data, cn_dataset_label(data, k))),
                             cases[i].labels[k]);
        cn_dataset_free(data);
    }
    files_remove_folder(folder);
}

/* All parts agree on the classes, also on those that only one of them has. */
/* Texts of one byte per character and of four, in both orders of bytes. */
static void names_may_be_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    static const uint32_t little[] = {'c', 'a', 't', 0xf6, 'r',  0,   'c', 'a',
                                      't', 'c', 'a', 't',  0xf6, 'r', 0};
    uint8_t big[sizeof little];
    for (size_t i = 0; i < sizeof little; i++) big[i] = (uint8_t)(little[i / 4] >> 8 * (3 - i % 4));
    uint8_t small[sizeof little];
    for (size_t i = 0; i < sizeof little; i++) small[i] = (uint8_t)(little[i / 4] >> 8 * (i % 4));
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    const bytes forms[3] = {make_array("|S3", "(5,)",
                                       "catdog"
                                       "catcatdog",
                                       15),
                            make_array("<U3", "(5,)", small, sizeof small),
                            make_array(">U3", "(5, 1)", big, sizeof big)};
    for (int i = 0; i < 3; i++) {
        put_pair(path, five_images(), forms[i]);
        cn_dataset *data = load_all(path);
        assert_int_equal(cn_dataset_classes(data), 2);
        assert_string_equal(cn_dataset_class_name(data, 0), "cat");
        assert_string_equal(cn_dataset_class_name(data, 1), i ? "\xc3\xb6r" : "dog");
        for (int k = 0; k < 5; k++)
            assert_int_equal(cn_dataset_label(data, k), k == 1 || k == 4 ? 1 : 0);
        cn_dataset_free(data);
    }
    put_pair(path, five_images(),
             make_array("|S3", "(5,)",
                        "1\0\0"
                        "5\0\0"
                        "1\0\0"
                        "70\0"
                        "5\0\0",
                        15));
    cn_dataset *data = load_all(path); /* numbers, however they are written */
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_string_equal(cn_dataset_class_name(data, 2), "70");
    cn_dataset_free(data);
    put_pair(path, five_images(), make_array("|S3", "(5,)", "catdog\0\0\0catdog", 15));
    expect_failure("npz:", path, CN_ERR_FORMAT, "y: label 2 is an empty text");
    memset(big, 0xff, 4);
    put_pair(path, five_images(), make_array("<U3", "(5,)", big, sizeof big));
    expect_failure("npz:", path, CN_ERR_FORMAT, "text 0 has character 4294967295");
    /* Numbers come first: other texts, such as the files' names, are no labels then. */
    const member members[] = {{"x.npy", five_images(), false, false},
                              {"files.npy", forms[0], false, false},
                              {"y.npy", make_labels(5), false, false}};
    bytes b = make_zip(members, 3, false);
    files_write(path, b.at, b.size);
    data = load_all(path);
    assert_string_equal(cn_dataset_class_name(data, 0), "0");
    cn_dataset_free(data);
    files_remove_folder(folder);
}

/* (n, values): squares, unless options say what they are. */
static void rows_of_values_are_images(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], spec[FILES_PATH + 64];
    uint8_t values[5 * 12];
    float x[12];
    int32_t label;
    cn_error err;
    for (size_t i = 0; i < sizeof values; i++) values[i] = (uint8_t)i;
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    static const struct {
        const char *options;
        int shape[3], second; /* value 1 of an image is which of the row */
    } cases[] = {{"", {2, 2, 3}, 1},
                 {",layout=nchw", {2, 2, 3}, 4},
                 {",size=3x4", {3, 4, 1}, 1},
                 {",size=3x2", {3, 2, 2}, 1},
                 {",size=1x4,channels=3,layout=nchw", {1, 4, 3}, 4}};
    const uint8_t one_hot[5 * 4] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0};
    for (int hot = 0; hot < 2; hot++) {
        put_pair(path, make_array("|u1", "(5, 12)", values, sizeof values),
                 hot ? make_array("|u1", "(5, 4)", one_hot, sizeof one_hot) : make_labels(5));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            cn_dataset *data = NULL;
            snprintf(spec, sizeof spec, "%s%s", path, cases[i].options);
            if (load(&data, "npz:", spec, CN_SUBSET_ALL, &err) != CN_OK) fail_msg("%s", err.text);
            assert_memory_equal(cn_dataset_shape(data), cases[i].shape, sizeof cases[i].shape);
            cn_dataset_batch(data, (int[]){2}, 1, NULL, NULL, x, &label, NULL);
            assert_float_equal(x[1], (float)(24 + cases[i].second) / 255, 1e-6f);
            assert_non_null(strstr(cn_dataset_remarks(data), "rows of 12 values are read as"));
            cn_dataset_free(data);
        }
    }
    snprintf(spec, sizeof spec, "%s,size=5x5", path);
    expect_failure("npz:", spec, CN_ERR_FORMAT, "expected images");
    put_pair(path, make_array("|u1", "(5, 7)", values, 35), make_labels(5));
    expect_failure("npz:", path, CN_ERR_FORMAT, "or (n, values), to train on, found x (5, 7) u1");
    put_pair(path, five_images(), make_labels(5));
    snprintf(spec, sizeof spec, "%s,size=5x5", path);
    expect_failure("npz:", spec, CN_ERR_ARGUMENT, "size= is for images that are rows of values");
    files_remove_folder(folder);
}

static void parts_are_told_by_their_names(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const char *const names[][3] = {{"x_val.npy", "y_val.npy", "a.npz"},
                                    {"val_images.npy", "val_labels.npy", "a.npz"},
                                    {"X_valid.npy", "Y_valid.npy", "a.npz"}};
    files_make_folder(folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const member members[] = {{"x_train.npy", make_images(6, 0), false, false},
                                  {"y_train.npy", make_labels(6), false, false},
                                  {"x_test.npy", make_images(2, 50), false, false},
                                  {"y_test.npy", make_labels(2), false, false},
                                  {names[i][0], make_images(3, 100), false, false},
                                  {names[i][1], make_labels(3), false, false}};
        bytes b = make_zip(members, 6, false);
        files_write(files_join(path, folder, names[i][2]), b.at, b.size);
        check("npz:", path, CN_SUBSET_TRAIN, 6, 0);
        check("npz:", path, CN_SUBSET_TEST, 2, 50);
        check("npz:", path, CN_SUBSET_VALIDATION, 3, 100);
        check("npz:", path, CN_SUBSET_ALL, 11, 0);
    }
    remove(path);
    const char *files[] = {"x_train.npy", "y_train.npy", "x_val.npy", "y_val.npy"};
    for (int i = 0; i < 4; i++) {
        bytes b = i % 2 ? make_labels(3 + i) : make_images(4 + i, 10 * i);
        files_write(files_join(path, folder, files[i]), b.at, b.size);
    }
    check("npy:", folder, CN_SUBSET_TRAIN, 4, 0);
    check("npy:", folder, CN_SUBSET_VALIDATION, 6, 20);
    check("npy:", files_join(path, folder, "x_val.npy"), CN_SUBSET_TRAIN, 4, 0);
    files_remove_folder(folder);
}

static void one_hot_labels_are_taken(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const float rows[20] = {0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0};
    const int expected[5] = {1, 0, 2, 1, 0};
    float bad[20];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, five_images(), make_array("<f4", "(5, 4)", rows, sizeof rows));
    cn_dataset *data = load_all(path);
    assert_int_equal(cn_dataset_classes(data), 4); /* also the one without examples */
    for (int i = 0; i < 5; i++) assert_int_equal(cn_dataset_label(data, i), expected[i]);
    cn_dataset_free(data);
    for (int kind = 0; kind < 3; kind++) { /* two ones, none, half a one */
        memcpy(bad, rows, sizeof rows);
        bad[8] = kind == 0 ? 1 : 0;
        if (kind > 0) bad[10] = kind == 1 ? 0 : 0.5f;
        put_pair(path, five_images(), make_array("<f4", "(5, 4)", bad, sizeof bad));
        expect_failure("npz:", path, CN_ERR_FORMAT,
                       "y: row 2 of the labels: expected a 1 and zeros");
    }
    put_pair(path, five_images(), make_array("<f4", "(4, 4)", rows, 64));
    expect_failure(
        "npz:", path, CN_ERR_FORMAT,
        "x is (5, 1, 1): expected labels (5), or one-hot (5, classes), found y (4, 4) f4");
    files_remove_folder(folder);
}

/* Images and labels of every element, in both orders of bytes. */
static void every_element_is_a_pixel_and_a_label(void **state)
{
    (void)state;
    const struct {
        const char *name;
        int size; /* of an element */
    } kinds[] = {{"u1", 1}, {"i1", 1}, {"u2", 2}, {"i2", 2}, {"u4", 4},
                 {"i4", 4}, {"u8", 8}, {"i8", 8}, {"f2", 2}};
    const uint16_t halves[5] = {0, 0x3c00, 0x3c00, 0, 0x3c00};
    char folder[FILES_PATH], path[FILES_PATH], descr[8];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int big = 0; big < 2; big++) {
            uint8_t data[40] = {0};
            bool half = kinds[i].name[0] == 'f';
            int size = kinds[i].size;
            for (int k = 0; k < 5; k++)
                for (int b = 0; b < size; b++) {
                    int value = half ? halves[k] : halves[k] != 0;
                    data[k * size + (big ? size - 1 - b : b)] =
                        (uint8_t)(b < 4 ? value >> (8 * b) : 0);
                }
            snprintf(descr, sizeof descr, "%c%s", size == 1 ? '|' : big ? '>' : '<', kinds[i].name);
            put_pair(path, make_array(descr, "(5, 1, 1)", data, (size_t)(5 * size)),
                     make_array(descr, "(5,)", data, (size_t)(5 * size)));
            cn_dataset *set = load_all(path);
            for (int k = 0; k < 5; k++) {
                float x;
                int32_t label;
                cn_dataset_batch(set, &k, 1, NULL, NULL, &x, &label, NULL);
                assert_int_equal(label, halves[k] != 0);
                assert_float_equal(x, (float)label, 0); /* truth values, whatever their type */
            }
            cn_dataset_free(set);
        }
    files_remove_folder(folder);
}

/* binary16: normal and subnormal numbers, both signs. */
static void half_precision_has_its_values(void **state)
{
    (void)state;
    const uint16_t halves[5] = {0x3555, 0xc400, 0x7bff, 0x0001, 0x83ff};
    const double values[5] = {0.333251953125, -4, 65504, 5.9604644775390625e-8,
                              -6.097555160522461e-5};
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, make_array("<f2", "(5, 1, 1)", halves, 10),
             make_array("|u1", "(5,)", "\0\0\0\0", 5));
    cn_dataset *set = load_all(path);
    for (int k = 0; k < 5; k++) {
        float x;
        int32_t label;
        cn_dataset_batch(set, &k, 1, NULL, NULL, &x, &label, NULL);
        assert_true((double)x == values[k]);
    }
    cn_dataset_free(set);
    files_remove_folder(folder);
}

/* A file is of the kind that its ending says; .npy may be packed, each file by itself. */
static void files_are_told_by_their_endings(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const member members[] = {{"x.npy", make_images(10, 0), true, false},
                              {"y.npy", make_labels(10), true, false}};
    bytes zip = make_zip(members, 2, false), images = make_images(10, 0), labels = make_labels(10);
    files_make_folder(folder);
    files_write(files_join(path, folder, "Set.NPZ"), zip.at, zip.size);
    check("", path, CN_SUBSET_TRAIN, 8, 0);
    check("", folder, CN_SUBSET_TRAIN, 8, 0);
    remove(path);
    expect_failure("", path, CN_ERR_IO, "Set.NPZ");
    const char *const names[][2] = {{"x_train.npy.gz", "y_train.npy"},
                                    {"x_train.npy", "y_train.npy.gz"},
                                    {"x_train.npy.gz", "y_train.npy.gz"},
                                    {"flowers.npy.gz", "flowers_labels.npy.gz"},
                                    {"X.npy", "Y.npy"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int k = 0; k < 2; k++) {
            const bytes *b = k ? &labels : &images;
            files_join(path, folder, names[i][k]);
            gzFile file = gzopen(path, strstr(path, ".gz") ? "wb" : "wbT");
            assert_int_equal(gzwrite(file, b->at, (unsigned)b->size), b->size);
            gzclose(file);
        }
        check("npy:", folder, CN_SUBSET_TRAIN, 8, 0);
        check("", folder, CN_SUBSET_TRAIN, 8, 0);
        check("", files_join(path, folder, names[i][0]), CN_SUBSET_TEST, 2, 24);
        if (i == 2) { /* the same once more, unpacked */
            files_write(files_join(path, folder, "x_train.npy"), images.at, images.size);
            check("", folder, CN_SUBSET_TRAIN, 8, 0);
            remove(path);
        }
        for (int k = 0; k < 2; k++) remove(files_join(path, folder, names[i][k]));
    }
    files_remove_folder(folder);
}

static void what_is_passed_over_is_named(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, make_array("<c8", "(1, 1, 1)", "12345678", 8), make_labels(5));
    expect_failure("npz:", path, CN_ERR_FORMAT,
                   "found y (5) u1, and 1 of other kinds (x: elements '<c8'");
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_and_order_is_read),
        cmocka_unit_test(fortran_order_is_turned),
        cmocka_unit_test(later_versions_have_longer_headers),
        cmocka_unit_test(lies_of_npy_are_refused),
        cmocka_unit_test(archives_hold_both_splits),
        cmocka_unit_test(other_names_will_do),
        cmocka_unit_test(damaged_archives_are_refused),
        cmocka_unit_test(lying_archives_are_refused),
        cmocka_unit_test(labels_lie_beside_their_images),
        cmocka_unit_test(floats_are_normalized_like_bytes),
        cmocka_unit_test(labels_with_gaps_keep_their_names),
        cmocka_unit_test(names_may_be_labels),
        cmocka_unit_test(rows_of_values_are_images),
        cmocka_unit_test(parts_are_told_by_their_names),
        cmocka_unit_test(one_hot_labels_are_taken),
        cmocka_unit_test(every_element_is_a_pixel_and_a_label),
        cmocka_unit_test(half_precision_has_its_values),
        cmocka_unit_test(files_are_told_by_their_endings),
        cmocka_unit_test(what_is_passed_over_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

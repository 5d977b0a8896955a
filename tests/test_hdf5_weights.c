/*
 * test_hdf5_weights.c - the small reader of HDF5, on files made here byte by byte: both forms of
 * groups and headers, every truncation, every flipped bit, and lies that files have told before.
 * tests/keras_weights.py does it with what Keras writes.
 */
#include "convnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "files.h"
#include "formats/hdf5_weights.h"

/* ---- files */

enum { MOST = 2048 };
typedef struct image {
    uint8_t at[MOST];
    size_t size;
} image;

static void put(image *f, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) f->at[f->size++] = (uint8_t)(i < 8 ? value >> 8 * i : 0);
}

static void put_text(image *f, const char *text, size_t size)
{
    memcpy(f->at + f->size, text, size);
    f->size += size;
}

static void put_floats(image *f)
{
    static const float values[] = {1.5f, -2};
    memcpy(f->at + f->size, values, sizeof values);
    f->size += sizeof values;
}

/* IEEE 754, 4 bytes. */
static void put_float_type(image *f)
{
    put(f, 0x11, 1);
    put(f, 0x1f20, 3);
    put(f, 4, 4);
    put(f, 0, 2);
    put(f, 32, 2);
    put(f, 0x17000817, 4); /* exponent at 23, 8 bits; fraction at 0, 23 bits */
    put(f, 127, 4);
}

/* Where things lie in the first file. */
enum { ROOT = 96, TREE = 136, HEAP = 184, NAMES = 216, ENTRIES = 232, ARRAY = 280, DATA = 384 };

/* As version 1.6 of libhdf5 and h5py write it: "kernel", of 2 floats. */
static image old_form(void)
{
    image f = {{0}, 0};
    put_text(&f, "\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0", 16);
    put(&f, 0x00100004, 8);
    put(&f, 0, 8); /* base */
    put(&f, UINT64_MAX, 8);
    put(&f, DATA + 8, 8);
    put(&f, UINT64_MAX, 8);
    put(&f, 0, 8);
    put(&f, ROOT, 8);
    put(&f, 0, 24);
    put(&f, 0x00010001, 8); /* ROOT: version 1, 1 message */
    put(&f, 24, 8);
    put(&f, 0x00100011, 8);
    put(&f, TREE, 8);
    put(&f, HEAP, 8);
    put_text(&f, "TREE\0\0\1\0", 8);
    put(&f, UINT64_MAX, 8);
    put(&f, UINT64_MAX, 8);
    put(&f, 0, 8);
    put(&f, ENTRIES, 8);
    put(&f, 8, 8);
    put_text(&f, "HEAP\0\0\0\0", 8);
    put(&f, 16, 8);
    put(&f, UINT64_MAX, 8);
    put(&f, NAMES, 8);
    put_text(&f, "\0\0\0\0\0\0\0\0kernel\0\0", 16);
    put_text(&f, "SNOD\1\0\1\0", 8);
    put(&f, 8, 8);
    put(&f, ARRAY, 8);
    put(&f, 0, 24);
    put(&f, 0x00030001, 8); /* ARRAY: version 1, 3 messages */
    put(&f, 88, 8);
    put(&f, 0x00100001, 8);
    put(&f, 0x0101, 8);
    put(&f, 2, 8);
    put(&f, 0x00180003, 8);
    put_float_type(&f);
    put(&f, 0, 4);
    put(&f, 0x00180008, 8);
    put(&f, 0x0103, 2);
    put(&f, DATA, 8);
    put(&f, 8, 8);
    put(&f, 0, 6);
    assert_int_equal(f.size, DATA);
    put_floats(&f);
    return f;
}

/* As later versions do where they may: links in the header, the numbers, too. */
static image new_form(void)
{
    enum { GROUP = 48, SET = 84 };
    image f = {{0}, 0};
    put_text(&f, "\x89HDF\r\n\x1a\n\2\x08\x08\0", 12);
    put(&f, 0, 8);
    put(&f, UINT64_MAX, 8);
    put(&f, 256, 8);
    put(&f, GROUP, 8);
    put(&f, 0, 4);
    put_text(&f, "OHDR\2\0", 6); /* GROUP */
    put(&f, 21, 1);
    put_text(&f, "\6\x11\0\0", 4);
    put_text(&f, "\1\0\6kernel", 9);
    put(&f, SET, 8);
    put(&f, 0, 8);
    assert_int_equal(f.size, SET);
    put_text(&f, "OHDR\2\0", 6);
    put(&f, 56, 1);
    put_text(&f, "\1\xc\0\0", 4);
    put_text(&f, "\2\1\0\1", 4);
    put(&f, 2, 8);
    put_text(&f, "\3\x14\0\0", 4);
    put_float_type(&f);
    put_text(&f, "\x8\xc\0\0", 4);
    put_text(&f, "\3\0\x8\0", 4);
    put_floats(&f);
    put(&f, 0, 8);
    return f;
}

static cn_status read_image(const image *f, size_t size, cn_weight_file *file, cn_error *err)
{
    uint8_t *exact = files_exact(f->at, size);
    *file = (cn_weight_file){.count = 0};
    cn_status status = cn_hdf5_weights_read(file, exact, size, "seed", err);
    free(exact);
    return status;
}

/* ---- tests */

static void both_forms_are_read(void **state)
{
    const image forms[] = {old_form(), new_form()};
    (void)state;
    for (int i = 0; i < 2; i++) {
        cn_weight_file file;
        cn_error err;
        if (read_image(&forms[i], forms[i].size, &file, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(file.count, 1);
        assert_string_equal(file.tensors[0].name, "kernel");
        assert_int_equal(file.tensors[0].value.rank, 1);
        assert_int_equal(file.tensors[0].value.shape[0], 2);
        assert_true(((float *)file.tensors[0].value.data)[0] == 1.5f);
        assert_true(((float *)file.tensors[0].value.data)[1] == -2);
        if (i == 0) assert_int_equal(file.places[0], DATA);
        cn_weight_file_free(&file);
    }
}

/* An error, or arrays that the file can hold. */
static void damage_is_an_error_or_harmless(void **state)
{
    const image forms[] = {old_form(), new_form()};
    (void)state;
    for (int i = 0; i < 2; i++) {
        cn_weight_file file;
        cn_error err;
        for (size_t size = 0; size < forms[i].size; size++) {
            err.status = CN_OK;
            cn_status status = read_image(&forms[i], size, &file, &err);
            assert_true(status == CN_OK || (err.status == status && err.text[0]));
            if (i == 0) assert_int_not_equal(status, CN_OK);
            cn_weight_file_free(&file);
        }
        for (size_t bit = 0; bit < 8 * forms[i].size; bit++) {
            image damaged = forms[i];
            damaged.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            read_image(&damaged, damaged.size, &file, &err);
            for (int k = 0; k < file.count; k++)
                assert_true(cn_tensor_count(&file.tensors[k].value) <= damaged.size);
            cn_weight_file_free(&file);
        }
    }
}

enum { TYPE = ARRAY + 48 };

static void put_at(image *f, size_t at, uint64_t value, int bytes)
{
    const size_t size = f->size;
    f->size = at;
    put(f, value, bytes);
    f->size = size;
}

/* bfloat16, as opaque elements of 2 bytes and as floats with an exponent of 8 bits. */
static void brain_floats_are_read(void **state)
{
    (void)state;
    for (int opaque = 0; opaque < 2; opaque++) {
        static const float wanted[] = {0, 1.5f, 0, -2};
        image f = old_form();
        cn_weight_file file;
        cn_error err;
        put_at(&f, ARRAY + 32, 4, 8);
        put_at(&f, TYPE, opaque ? 0x15 : 0x11, 1);
        put_at(&f, TYPE + 4, 2, 4);
        put_at(&f, TYPE + 10, 16, 2);
        if (read_image(&f, f.size, &file, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(file.count, 1);
        assert_int_equal(cn_tensor_count(&file.tensors[0].value), 4);
        assert_memory_equal(file.tensors[0].value.data, wanted, sizeof wanted);
        assert_int_equal(file.places[0], 0);
        cn_weight_file_free(&file);
    }
}

static void what_is_passed_over_is_counted(void **state)
{
    static const struct {
        size_t at;
        uint64_t value;
        int bytes;
        const char *passed;
    } cases[] = {
        {ENTRIES + 16, UINT64_MAX, 8, "kernel: a link, which is not followed"},
        {TYPE, 0x10, 1, "kernel: integers"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image f = old_form();
        cn_weight_file file;
        cn_error err;
        put_at(&f, cases[i].at, cases[i].value, cases[i].bytes);
        if (read_image(&f, f.size, &file, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(file.count, 0);
        assert_int_equal(file.passed_over, 1);
        assert_string_equal(file.passed, cases[i].passed);
        cn_weight_file_free(&file);
    }
}

/* The old form with `bytes` of a number changed. */
static void expect_lie(size_t at, uint64_t value, int bytes, cn_status status, const char *says)
{
    image f = old_form();
    cn_weight_file file;
    cn_error err = {CN_OK, ""};
    put_at(&f, at, value, bytes);
    cn_status found = read_image(&f, f.size, &file, &err);
    if (found != status) fail_msg("byte %zu: status %d: %s", at, (int)found, err.text);
    if (says) assert_says(err, says);
    cn_weight_file_free(&file);
}

static void lies_are_refused(void **state)
{
    (void)state;
    expect_lie(TREE + 5, 200, 1, CN_ERR_FORMAT, "a lower level of the tree");
    expect_lie(TREE + 5, 1, 1, CN_ERR_FORMAT, "a tree of a group"); /* its child is no tree */
    expect_lie(TREE + 6, 0xffff, 2, CN_ERR_FORMAT, "as many children");
    expect_lie(HEAP + 8, UINT64_MAX, 8, CN_ERR_FORMAT, "a heap inside the file");
    expect_lie(HEAP + 24, UINT64_MAX - 4, 8, CN_ERR_FORMAT, "a heap inside the file");
    expect_lie(NAMES + 14, 0x4141, 2, CN_ERR_FORMAT, "a name that ends");
    expect_lie(ENTRIES + 6, 0xffff, 2, CN_ERR_FORMAT, "as many entries");
    expect_lie(ENTRIES + 8, 16, 8, CN_ERR_FORMAT, "a name inside the heap");
    /* A group inside itself: names grow until they are too long for a weight's. */
    expect_lie(ENTRIES + 16, ROOT, 8, CN_OK, NULL);
    expect_lie(ARRAY + 32, UINT64_MAX, 8, CN_OK, NULL); /* an extent that no array of ours has */
    expect_lie(ARRAY + 32, INT32_MAX, 8, CN_ERR_FORMAT, "expected 8589934588 bytes in one piece");
    expect_lie(ARRAY + 32, 1, 8, CN_ERR_FORMAT, "expected 4 bytes in one piece, found 8");
    expect_lie(DATA - 22, DATA + 1, 8, CN_ERR_FORMAT, "found 0"); /* past the end */
    expect_lie(DATA - 23, 2, 1, CN_ERR_UNSUPPORTED, "kernel lies in chunks");
    expect_lie(ARRAY + 16, 0x07, 2, CN_OK, NULL); /* external files, but then no shape */
    /* The header's messages go on in the header itself, again and again. */
    expect_lie(ARRAY + 72, 0x10, 2, CN_ERR_FORMAT, NULL);
    expect_lie(24, 1, 8, CN_ERR_FORMAT, "the superblock's own address");
    expect_lie(13, 4, 1, CN_ERR_FORMAT, "addresses and lengths of 8 bytes");
}

/* Addresses count from the end of a user's block, which may have any bytes. */
static void a_block_of_the_users_is_passed(void **state)
{
    const size_t blocks[] = {512, 1024, 256};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const image f = old_form();
        image moved = {.size = blocks[i] + f.size};
        cn_weight_file file;
        cn_error err = {CN_OK, ""};
        memset(moved.at, 'u', blocks[i]);
        memcpy(moved.at + blocks[i], f.at, f.size);
        put_at(&moved, blocks[i] + 24, i == 1 ? 0 : blocks[i], 8);
        cn_status status = read_image(&moved, moved.size, &file, &err);
        if (i == 2) {
            assert_int_equal(status, CN_ERR_FORMAT);
            assert_says(err, "expected an HDF5 file with a superblock");
            continue;
        }
        if (status != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(file.count, 1);
        assert_true(((const float *)file.tensors[0].value.data)[1] == -2);
        assert_int_equal(file.places[0], blocks[i] + DATA);
        cn_weight_file_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_are_read),   cmocka_unit_test(damage_is_an_error_or_harmless),
        cmocka_unit_test(brain_floats_are_read), cmocka_unit_test(what_is_passed_over_is_counted),
        cmocka_unit_test(lies_are_refused),      cmocka_unit_test(a_block_of_the_users_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

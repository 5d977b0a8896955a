/* NPY: arrays of every element and order, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "array_files.h"
#include "formats/npy.h"

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
        {"{'descr': '|O', 'fortran_order': False, 'shape': (4,)}", CN_ERR_UNSUPPORTED,
         "elements '|O', Python objects, which are pickled"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_and_order_is_read),
        cmocka_unit_test(fortran_order_is_turned),
        cmocka_unit_test(later_versions_have_longer_headers),
        cmocka_unit_test(lies_of_npy_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

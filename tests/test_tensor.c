/* test_tensor.c - tensors: what is made, what is refused, the rule for outputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "files.h"

#include <limits.h>

static void a_new_tensor_is_zero_and_aligned(void **state)
{
    (void)state;
    const cn_dtype dtypes[] = {CN_DTYPE_F32, CN_DTYPE_F64, CN_DTYPE_I32, CN_DTYPE_U8};
    for (int i = 0; i < 4; i++) {
        cn_tensor t = {0};
        assert_int_equal(cn_tensor_create(&t, dtypes[i], 3, (int[]){2, 3, 5}, NULL), CN_OK);
        assert_int_equal(cn_tensor_count(&t), 30);
        assert_int_equal((uintptr_t)t.data % CN_ALIGN, 0);
        for (size_t k = 0; k < 30 * cn_dtype_size(dtypes[i]); k++)
            assert_int_equal(((const uint8_t *)t.data)[k], 0);
        cn_tensor_free(&t);
        assert_null(t.data);
        assert_int_equal(cn_tensor_count(&t), 0);
    }
}

static void what_is_no_shape_is_refused(void **state)
{
    (void)state;
    cn_tensor t = {0};
    cn_error err;
    const int most[4] = {INT_MAX, INT_MAX, INT_MAX, INT_MAX};
    assert_int_equal(cn_tensor_create(&t, CN_DTYPE_F32, 0, most, &err), CN_ERR_SHAPE);
    assert_int_equal(cn_tensor_create(&t, CN_DTYPE_F32, 5, most, &err), CN_ERR_SHAPE);
    assert_says(err, "tensor: rank 5, expected 1 to 4");
    assert_int_equal(cn_tensor_create(&t, CN_DTYPE_F32, 2, (int[]){3, 0}, &err), CN_ERR_SHAPE);
    assert_says(err, "tensor: shape (3, 0) has an extent below 1");
    assert_int_equal(cn_tensor_create(&t, CN_DTYPE_F32, 4, most, &err), CN_ERR_SHAPE);
    assert_says(err, "overflows the address space");
    assert_int_equal(cn_tensor_create(&t, CN_DTYPE_F64, 2, most, &err), CN_ERR_MEMORY);
    assert_int_equal(cn_tensor_create(&t, (cn_dtype)9, 1, most, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_tensor_create(NULL, CN_DTYPE_F32, 1, most, &err), CN_ERR_ARGUMENT);
    assert_null(t.data);
}

/* Its struct has room for four extents: a fifth would be read from beyond them. */
static void a_view_of_no_shape_is_empty(void **state)
{
    (void)state;
    float x[6] = {0};
    const int shape[5] = {2, 3, 1, 1, 1};
    cn_tensor t = cn_tensor_view(CN_DTYPE_F32, 2, shape, x);
    assert_ptr_equal(t.data, x);
    assert_int_equal(cn_tensor_count(&t), 6);
    const int ranks[] = {5, 0, -1};
    for (int i = 0; i < 3; i++) {
        t = cn_tensor_view(CN_DTYPE_F32, ranks[i], shape, x);
        assert_null(t.data);
        assert_int_equal(t.rank, 0);
    }
}

static void an_output_is_allocated_or_kept(void **state)
{
    (void)state;
    cn_tensor t = {0};
    cn_error err;
    const int shape[2] = {2, 3};
    assert_int_equal(cn_tensor_output(&t, CN_DTYPE_F32, 2, shape, "layer: y", &err), CN_OK);
    void *data = t.data;
    assert_int_equal(cn_tensor_output(&t, CN_DTYPE_F32, 2, shape, "layer: y", &err), CN_OK);
    assert_ptr_equal(t.data, data);
    assert_int_equal(cn_tensor_output(&t, CN_DTYPE_F64, 2, shape, "layer: y", &err), CN_ERR_SHAPE);
    assert_says(err, "layer: y: output has dtype 0, expected 1");
    assert_int_equal(cn_tensor_output(&t, CN_DTYPE_F32, 1, shape, "layer: y", &err), CN_ERR_SHAPE);
    assert_says(err, "layer: y: output has shape (2, 3), expected (2)");
    cn_tensor_free(&t);
    assert_int_equal(cn_tensor_output(&t, CN_DTYPE_F32, 1, (int[]){-1}, "layer: y", &err),
                     CN_ERR_SHAPE);
    assert_says(err, "layer: y: shape (-1)");
    assert_int_equal(cn_tensor_output(NULL, CN_DTYPE_F32, 2, shape, "layer: y", &err),
                     CN_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_tensor_is_zero_and_aligned),
        cmocka_unit_test(what_is_no_shape_is_refused),
        cmocka_unit_test(a_view_of_no_shape_is_empty),
        cmocka_unit_test(an_output_is_allocated_or_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

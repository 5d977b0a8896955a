/* test_block_errors.c - what the eight building blocks say of bad arguments, and leave alone. */
#include "convnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static cn_error err;

static void ok(cn_status status)
{
    if (status != CN_OK) fail_msg("%s", err.text);
}

static cn_tensor tensor(cn_dtype dtype, int a, int b, int c, int d)
{
    cn_tensor t = {0};
    ok(cn_tensor_create(&t, dtype, 4, (int[]){a, b, c, d}, &err));
    return t;
}

static void expect(cn_status found, cn_status status, const char *text)
{
    assert_string_equal(err.text, text);
    assert_int_equal(found, status);
    assert_int_equal(err.status, status);
}

static cn_tensor of(cn_dtype dtype, int rank, const int *shape)
{
    static double memory[1000]; /* only its address matters: every call fails before reading */
    return cn_tensor_view(dtype, rank, shape, memory);
}

#define SHAPE(...)  \
    (int[])         \
    {               \
        __VA_ARGS__ \
    }

static void bad_convolutions_are_refused(void **state)
{
    (void)state;
    const cn_hparameters h = {.stride = 1};
    cn_tensor A = tensor(CN_DTYPE_F64, 2, 3, 4, 3), W = tensor(CN_DTYPE_F64, 2, 2, 3, 8);
    cn_tensor b = tensor(CN_DTYPE_F64, 1, 1, 1, 8), Z = {0}, empty = {0}, bad;
    cn_conv_cache cache = {.hparameters = {.f = 77}};

#define CONV(A_, W_, b_, h_, Z_, status, text) \
    expect(cn_conv_forward(A_, W_, b_, h_, Z_, &cache, &err), status, "conv_forward: " text)
    CONV(NULL, &W, &b, h, &Z, CN_ERR_ARGUMENT, "A_prev is NULL");
    CONV(&A, NULL, &b, h, &Z, CN_ERR_ARGUMENT, "W is NULL");
    CONV(&A, &W, NULL, h, &Z, CN_ERR_ARGUMENT, "b is NULL");
    CONV(&A, &W, &b, h, NULL, CN_ERR_ARGUMENT, "Z is NULL");
    CONV(&empty, &W, &b, h, &Z, CN_ERR_ARGUMENT, "A_prev is empty");
    bad = of(CN_DTYPE_F64, 3, SHAPE(3, 4, 3));
    CONV(&bad, &W, &b, h, &Z, CN_ERR_SHAPE,
         "A_prev has rank 3, expected (m, n_H_prev, n_W_prev, n_C_prev)");
    CONV(&A, &bad, &b, h, &Z, CN_ERR_SHAPE, "W has rank 3, expected (f, f, n_C_prev, n_C)");
    CONV(&A, &W, &bad, h, &Z, CN_ERR_SHAPE, "b has rank 3, expected (1, 1, 1, n_C)");
    bad = of(CN_DTYPE_F64, 4, SHAPE(2, 0, 4, 3));
    CONV(&bad, &W, &b, h, &Z, CN_ERR_SHAPE,
         "A_prev has shape (2, 0, 4, 3), with an extent below 1");
    bad = of(CN_DTYPE_U8, 4, SHAPE(2, 3, 4, 3));
    CONV(&bad, &W, &b, h, &Z, CN_ERR_ARGUMENT, "A_prev has dtype U8, expected F32 or F64");
    bad = of(CN_DTYPE_F32, 4, SHAPE(2, 2, 3, 8));
    CONV(&A, &bad, &b, h, &Z, CN_ERR_ARGUMENT, "W is F32, A_prev is F64");
    bad = of(CN_DTYPE_F32, 4, SHAPE(1, 1, 1, 8));
    CONV(&A, &W, &bad, h, &Z, CN_ERR_ARGUMENT, "b is F32, A_prev is F64");
    bad = of(CN_DTYPE_F64, 4, SHAPE(2, 3, 3, 8));
    CONV(&A, &bad, &b, h, &Z, CN_ERR_SHAPE, "W is 2 x 3, expected a square f x f");
    bad = of(CN_DTYPE_F64, 4, SHAPE(2, 2, 4, 8));
    CONV(&A, &bad, &b, h, &Z, CN_ERR_SHAPE, "W has 4 input channels, A_prev has 3");
    bad = of(CN_DTYPE_F64, 4, SHAPE(1, 1, 1, 7));
    CONV(&A, &W, &bad, h, &Z, CN_ERR_SHAPE, "b has shape (1, 1, 1, 7), expected (1, 1, 1, 8)");
    CONV(&A, &W, &b, ((cn_hparameters){.stride = 0}), &Z, CN_ERR_ARGUMENT,
         "stride 0 x 0, expected at least 1 x 1");
    CONV(&A, &W, &b, ((cn_hparameters){.stride = 1, .pad = -1}), &Z, CN_ERR_ARGUMENT,
         "pad -1, expected at least 0");
    CONV(&A, &W, &b, ((cn_hparameters){.stride = 1, .pad = 2147483647}), &Z, CN_ERR_SHAPE,
         "a padded side of 4294967297 elements is too long");
    bad = of(CN_DTYPE_F64, 4, SHAPE(6, 6, 3, 8));
    CONV(&A, &bad, &b, ((cn_hparameters){.stride = 1, .pad = 1}), &Z, CN_ERR_SHAPE,
         "kernel 6 x 6 does not fit a 3 x 4 input padded to 5 rows");
    bad = of(CN_DTYPE_F64, 4, SHAPE(2, 2, 2, 8));
    CONV(&A, &W, &b, h, &bad, CN_ERR_SHAPE,
         "Z: output has shape (2, 2, 2, 8), expected (2, 2, 3, 8)");
    bad = cn_tensor_view(CN_DTYPE_F64, 4, SHAPE(2, 2, 3, 8), A.data);
    CONV(&A, &W, &b, h, &bad, CN_ERR_ARGUMENT, "an output shares memory with an input");
#undef CONV

    assert_null(Z.data);
    assert_int_equal(cache.hparameters.f, 77);
    assert_null(cache.A_prev.data);
    cn_tensor_free(&A);
    cn_tensor_free(&W);
    cn_tensor_free(&b);
}

static void bad_backward_convolutions_are_refused(void **state)
{
    (void)state;
    cn_tensor A = tensor(CN_DTYPE_F64, 2, 3, 4, 3), W = tensor(CN_DTYPE_F64, 2, 2, 3, 8);
    cn_tensor b = tensor(CN_DTYPE_F64, 1, 1, 1, 8), Z = {0}, bad, dA = {0}, dW = {0}, db = {0};
    cn_conv_cache cache, empty = {0};
    ok(cn_conv_forward(&A, &W, &b, (cn_hparameters){.stride = 1}, &Z, &cache, &err));

#define CONV(dZ_, cache_, dA_, dW_, db_, status, text)                                          \
    expect(cn_conv_backward(dZ_, cache_, dA_, dW_, db_, &err), status, "conv_backward: " text); \
    assert_true(!dA.data && !dW.data && !db.data)
    CONV(NULL, &cache, &dA, &dW, &db, CN_ERR_ARGUMENT, "dZ is NULL");
    CONV(&Z, NULL, &dA, &dW, &db, CN_ERR_ARGUMENT, "cache is NULL");
    CONV(&Z, &empty, &dA, &dW, &db, CN_ERR_ARGUMENT, "cache is empty: conv_forward fills it");
    CONV(&Z, &cache, NULL, &dW, &db, CN_ERR_ARGUMENT, "dA_prev is NULL");
    CONV(&Z, &cache, &dA, NULL, &db, CN_ERR_ARGUMENT, "dW is NULL");
    CONV(&Z, &cache, &dA, &dW, NULL, CN_ERR_ARGUMENT, "db is NULL");
    bad = of(CN_DTYPE_F64, 4, SHAPE(2, 2, 2, 8));
    CONV(&bad, &cache, &dA, &dW, &db, CN_ERR_SHAPE,
         "dZ has shape (2, 2, 2, 8), expected (2, 2, 3, 8)");
    bad = of(CN_DTYPE_F32, 4, SHAPE(2, 2, 3, 8));
    CONV(&bad, &cache, &dA, &dW, &db, CN_ERR_ARGUMENT, "dZ is F32, the cache's A_prev is F64");
    bad = of(CN_DTYPE_F64, 4, SHAPE(1, 1, 1, 9));
    CONV(&Z, &cache, &dA, &dW, &bad, CN_ERR_SHAPE,
         "db: output has shape (1, 1, 1, 9), expected (1, 1, 1, 8)");
    bad = cn_tensor_view(CN_DTYPE_F64, 4, SHAPE(2, 2, 3, 8), W.data);
    CONV(&Z, &cache, &dA, &bad, &db, CN_ERR_ARGUMENT, "an output shares memory with an input");
    cache.hparameters.stride = 2;
    CONV(&Z, &cache, &dA, &dW, &db, CN_ERR_SHAPE,
         "dZ has shape (2, 2, 3, 8), expected (2, 1, 2, 8)");
#undef CONV

    cn_tensor *all[] = {&A, &W, &b, &Z};
    for (int i = 0; i < 4; i++) cn_tensor_free(all[i]);

    /* dW and db of a 1 x 1 convolution of one channel look alike: they may not be one tensor. */
    A = tensor(CN_DTYPE_F64, 1, 2, 2, 1);
    W = tensor(CN_DTYPE_F64, 1, 1, 1, 1);
    b = tensor(CN_DTYPE_F64, 1, 1, 1, 1);
    ok(cn_conv_forward(&A, &W, &b, (cn_hparameters){.stride = 1}, &Z, &cache, &err));
    expect(cn_conv_backward(&Z, &cache, &dA, &dW, &dW, &err), CN_ERR_ARGUMENT,
           "conv_backward: two outputs share memory");
    assert_true(!dA.data && !dW.data);
    for (int i = 0; i < 4; i++) cn_tensor_free(all[i]);
}

static void bad_poolings_are_refused(void **state)
{
    (void)state;
    const cn_hparameters h = {.stride = 2, .f = 2};
    cn_tensor X = tensor(CN_DTYPE_F64, 2, 4, 5, 3), A = {0}, dX = {0}, empty = {0}, bad;
    cn_pool_cache cache, none = {0};

#define POOL(X_, h_, mode, A_, status, text)                                              \
    expect(cn_pool_forward(X_, h_, mode, A_, NULL, &err), status, "pool_forward: " text); \
    assert_null(A.data)
    POOL(NULL, h, CN_POOL_MAX, &A, CN_ERR_ARGUMENT, "A_prev is NULL");
    POOL(&empty, h, CN_POOL_MAX, &A, CN_ERR_ARGUMENT, "A_prev is empty");
    POOL(&X, h, CN_POOL_MAX, NULL, CN_ERR_ARGUMENT, "A is NULL");
    POOL(&X, h, (cn_pool_mode)2, &A, CN_ERR_ARGUMENT,
         "unknown mode 2, expected CN_POOL_MAX or CN_POOL_AVERAGE");
    POOL(&X, ((cn_hparameters){.stride = 0, .f = 2}), CN_POOL_MAX, &A, CN_ERR_ARGUMENT,
         "stride 0 x 0, expected at least 1 x 1");
    POOL(&X, ((cn_hparameters){.stride = 1}), CN_POOL_MAX, &A, CN_ERR_ARGUMENT,
         "kernel 0 x 0, expected at least 1 x 1");
    POOL(&X, ((cn_hparameters){.stride = 1, .f = 5}), CN_POOL_AVERAGE, &A, CN_ERR_SHAPE,
         "kernel 5 x 5 does not fit a 4 x 5 input padded to 4 rows");
    bad = of(CN_DTYPE_I32, 4, SHAPE(2, 4, 5, 3));
    POOL(&bad, h, CN_POOL_MAX, &A, CN_ERR_ARGUMENT, "A_prev has dtype I32, expected F32 or F64");
#undef POOL

    ok(cn_pool_forward(&X, h, CN_POOL_MAX, &A, &cache, &err));
#define POOL(A_, cache_, mode, dX_, status, text)                                          \
    expect(cn_pool_backward(A_, cache_, mode, dX_, &err), status, "pool_backward: " text); \
    assert_null(dX.data)
    POOL(NULL, &cache, CN_POOL_MAX, &dX, CN_ERR_ARGUMENT, "dA is NULL");
    POOL(&A, NULL, CN_POOL_MAX, &dX, CN_ERR_ARGUMENT, "cache is NULL");
    POOL(&A, &none, CN_POOL_MAX, &dX, CN_ERR_ARGUMENT, "cache is empty: pool_forward fills it");
    POOL(&A, &cache, CN_POOL_MAX, NULL, CN_ERR_ARGUMENT, "dA_prev is NULL");
    POOL(&A, &cache, (cn_pool_mode)-1, &dX, CN_ERR_ARGUMENT,
         "unknown mode -1, expected CN_POOL_MAX or CN_POOL_AVERAGE");
    bad = of(CN_DTYPE_F64, 4, SHAPE(2, 2, 2, 4));
    POOL(&bad, &cache, CN_POOL_MAX, &dX, CN_ERR_SHAPE,
         "dA has shape (2, 2, 2, 4), expected (2, 2, 2, 3)");
    bad = of(CN_DTYPE_F32, 4, SHAPE(2, 2, 2, 3));
    POOL(&bad, &cache, CN_POOL_MAX, &dX, CN_ERR_ARGUMENT, "dA is F32, the cache's A_prev is F64");
    POOL(&A, &cache, CN_POOL_MAX, &bad, CN_ERR_SHAPE, "dA_prev: output has dtype 0, expected 1");
#undef POOL
    cn_tensor_free(&X);
    cn_tensor_free(&A);
}

static void bad_small_calls_are_refused(void **state)
{
    (void)state;
    cn_tensor X = tensor(CN_DTYPE_F64, 2, 3, 4, 2), out = {0}, empty = {0}, bad;
    cn_tensor a = of(CN_DTYPE_F64, 3, SHAPE(2, 2, 3)), b = of(CN_DTYPE_F64, 3, SHAPE(1, 1, 1));
    double Z = 77;

    expect(cn_zero_pad(NULL, 1, &out, &err), CN_ERR_ARGUMENT, "zero_pad: X is NULL");
    expect(cn_zero_pad(&X, 1, NULL, &err), CN_ERR_ARGUMENT, "zero_pad: X_pad is NULL");
    expect(cn_zero_pad(&X, -1, &out, &err), CN_ERR_ARGUMENT,
           "zero_pad: pad -1, expected at least 0");
    expect(cn_zero_pad(&a, 1, &out, &err), CN_ERR_SHAPE,
           "zero_pad: X has rank 3, expected (m, n_H, n_W, n_C)");
    expect(cn_zero_pad(&X, 0, &X, &err), CN_ERR_ARGUMENT,
           "zero_pad: an output shares memory with an input");

    expect(cn_conv_single_step(NULL, &a, &b, &Z, &err), CN_ERR_ARGUMENT,
           "conv_single_step: a_slice_prev is NULL");
    expect(cn_conv_single_step(&a, &X, &b, &Z, &err), CN_ERR_SHAPE,
           "conv_single_step: W has rank 4, expected (f, f, n_C_prev)");
    expect(cn_conv_single_step(&a, &b, &b, &Z, &err), CN_ERR_SHAPE,
           "conv_single_step: W has shape (1, 1, 1), expected (2, 2, 3)");
    expect(cn_conv_single_step(&a, &a, &a, &Z, &err), CN_ERR_SHAPE,
           "conv_single_step: b has shape (2, 2, 3), expected (1, 1, 1)");
    bad = of(CN_DTYPE_F32, 3, SHAPE(2, 2, 3));
    expect(cn_conv_single_step(&a, &bad, &b, &Z, &err), CN_ERR_ARGUMENT,
           "conv_single_step: W is F32, a_slice_prev is F64");
    expect(cn_conv_single_step(&a, &a, &b, NULL, &err), CN_ERR_ARGUMENT,
           "conv_single_step: Z is NULL");
    assert_true(Z == 77);

    expect(cn_create_mask_from_window(&empty, &out, &err), CN_ERR_ARGUMENT,
           "create_mask_from_window: x is empty");
    expect(cn_create_mask_from_window(&X, NULL, &err), CN_ERR_ARGUMENT,
           "create_mask_from_window: mask is NULL");
    bad = of(CN_DTYPE_F64, 4, SHAPE(1, 1, 1, 1));
    bad.rank = 5;
    expect(cn_create_mask_from_window(&bad, &out, &err), CN_ERR_SHAPE,
           "create_mask_from_window: x has rank 5, expected 1 to 4");

    expect(cn_distribute_value(1, 0, 2, &out, &err), CN_ERR_SHAPE,
           "distribute_value: shape (0, 2), expected at least (1, 1)");
    expect(cn_distribute_value(1, 2, 2, NULL, &err), CN_ERR_ARGUMENT,
           "distribute_value: a is NULL");
    bad = of(CN_DTYPE_U8, 2, SHAPE(2, 2));
    expect(cn_distribute_value(1, 2, 2, &bad, &err), CN_ERR_SHAPE,
           "distribute_value: a: output has dtype 3, expected 1");
    assert_null(out.data);
    cn_tensor_free(&X);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_convolutions_are_refused),
        cmocka_unit_test(bad_backward_convolutions_are_refused),
        cmocka_unit_test(bad_poolings_are_refused),
        cmocka_unit_test(bad_small_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

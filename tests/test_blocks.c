/*
 * test_blocks.c - the eight building blocks beyond the published figures: gradients against finite
 * differences, F32 against F64, orientation, ties and NaNs, failing allocations.
 */
#include "convnet.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cn_error err;

static void ok(cn_status status)
{
    if (status != CN_OK) fail_msg("%s", err.text);
}

/* ---- allocations that fail: this definition takes the place of the C library's */

static int allocations_left = -1; /* negative: no limit */

void *aligned_alloc(size_t alignment, size_t size)
{
    void *block;
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

/* ---- tensors */

static cn_tensor tensor(cn_dtype dtype, int a, int b, int c, int d)
{
    cn_tensor t = {0};
    ok(cn_tensor_create(&t, dtype, 4, (int[]){a, b, c, d}, &err));
    return t;
}

static double get(const cn_tensor *t, size_t i)
{
    return t->dtype == CN_DTYPE_F32   ? (double)((float *)t->data)[i]
           : t->dtype == CN_DTYPE_F64 ? ((double *)t->data)[i]
                                      : ((uint8_t *)t->data)[i];
}

static void set(cn_tensor *t, size_t i, double value)
{
    if (t->dtype == CN_DTYPE_F32)
        ((float *)t->data)[i] = (float)value;
    else
        ((double *)t->data)[i] = value;
}

static size_t at(const cn_tensor *t, int i, int h, int w, int c)
{
    return (size_t)(((i * t->shape[1] + h) * t->shape[2] + w) * t->shape[3] + c);
}

/* A copy in another dtype, in a block that ends with its last element: the sanitizer sees a read
 * beyond it. */
static cn_tensor exact_copy(const cn_tensor *t, cn_dtype dtype)
{
    void *data = malloc(cn_tensor_count(t) * cn_dtype_size(dtype));
    assert_non_null(data);
    cn_tensor copy = cn_tensor_view(dtype, t->rank, t->shape, data);
    for (size_t i = 0; i < cn_tensor_count(t); i++) set(&copy, i, get(t, i));
    return copy;
}

static void fill_integers(cn_rng *rng, cn_tensor *t)
{
    for (size_t i = 0; i < cn_tensor_count(t); i++) set(t, i, (double)cn_rng_randint(rng, -4, 5));
}

/* Distinct values a whole apart, in random order: no ties, and small steps cross none. */
static void fill_distinct(cn_rng *rng, cn_tensor *t)
{
    int n = (int)cn_tensor_count(t), *order = malloc((size_t)n * sizeof *order);
    assert_non_null(order);
    cn_rng_permutation(rng, n, order);
    for (int i = 0; i < n; i++) set(t, (size_t)i, order[i] - n / 2.0);
    free(order);
}

static double largest(const cn_tensor *t)
{
    double most = 0;
    for (size_t i = 0; i < cn_tensor_count(t); i++) most = fmax(most, fabs(get(t, i)));
    return most;
}

static void poison(cn_tensor *t)
{
    for (size_t i = 0; i < cn_tensor_count(t); i++) set(t, i, NAN);
}

/* ---- problems: a convolution or a pooling with all its arrays */

typedef struct problem {
    cn_hparameters h;
    cn_pool_mode mode;
    cn_tensor A_prev, W, b, Z, dZ, dA_prev, dW, db;
} problem;

static void release(problem *p)
{
    cn_tensor *all[] = {&p->A_prev, &p->W, &p->b, &p->Z, &p->dZ, &p->dA_prev, &p->dW, &p->db};
    for (int i = 0; i < 8; i++) cn_tensor_free(all[i]);
}

/* Outputs start as NaN, so that an element that is not written shows. */
static void prepare_outputs(problem *p, const int *shape_Z)
{
    const int *a = p->A_prev.shape, *w = p->W.shape;
    cn_dtype dtype = p->A_prev.dtype;
    p->Z = tensor(dtype, shape_Z[0], shape_Z[1], shape_Z[2], shape_Z[3]);
    p->dZ = tensor(dtype, shape_Z[0], shape_Z[1], shape_Z[2], shape_Z[3]);
    p->dA_prev = tensor(dtype, a[0], a[1], a[2], a[3]);
    poison(&p->Z);
    poison(&p->dA_prev);
    if (!p->W.data) return;
    p->dW = tensor(dtype, w[0], w[1], w[2], w[3]);
    p->db = tensor(dtype, 1, 1, 1, w[3]);
    poison(&p->dW);
    poison(&p->db);
}

static int output_size(int n_prev, int f, int pad, int stride)
{
    return (int)floor((n_prev - f + 2 * pad) / (double)stride) + 1;
}

static problem conv_problem(int m, int n_H, int n_W, int n_C_prev, int n_C, int f, cn_hparameters h)
{
    problem p = {.h = h};
    p.A_prev = tensor(CN_DTYPE_F64, m, n_H, n_W, n_C_prev);
    p.W = tensor(CN_DTYPE_F64, f, f, n_C_prev, n_C);
    p.b = tensor(CN_DTYPE_F64, 1, 1, 1, n_C);
    prepare_outputs(&p, (int[]){m, output_size(n_H, f, h.pad, h.stride),
                                output_size(n_W, f, h.pad, h.stride), n_C});
    return p;
}

static problem pool_problem(int m, int n_H, int n_W, int n_C, cn_pool_mode mode, cn_hparameters h)
{
    problem p = {.h = h, .mode = mode};
    p.A_prev = tensor(CN_DTYPE_F64, m, n_H, n_W, n_C);
    prepare_outputs(&p, (int[]){m, output_size(n_H, h.f, 0, h.stride),
                                output_size(n_W, h.f, 0, h.stride), n_C});
    return p;
}

static void forward(problem *p)
{
    if (p->W.data)
        ok(cn_conv_forward(&p->A_prev, &p->W, &p->b, p->h, &p->Z, NULL, &err));
    else
        ok(cn_pool_forward(&p->A_prev, p->h, p->mode, &p->Z, NULL, &err));
}

static void forward_and_backward(problem *p)
{
    cn_conv_cache conv;
    cn_pool_cache pool;
    if (p->W.data) {
        ok(cn_conv_forward(&p->A_prev, &p->W, &p->b, p->h, &p->Z, &conv, &err));
        ok(cn_conv_backward(&p->dZ, &conv, &p->dA_prev, &p->dW, &p->db, &err));
    } else {
        ok(cn_pool_forward(&p->A_prev, p->h, p->mode, &p->Z, &pool, &err));
        ok(cn_pool_backward(&p->dZ, &pool, p->mode, &p->dA_prev, &err));
    }
}

/* ---- gradients against finite differences */

static double loss(problem *p)
{
    double sum = 0;
    forward(p);
    for (size_t i = 0; i < cn_tensor_count(&p->Z); i++) sum += get(&p->Z, i) * get(&p->dZ, i);
    return sum;
}

/* The loss is linear in x as far as the step goes, so the difference is exact but for rounding. */
static void check_gradient(problem *p, cn_tensor *x, const cn_tensor *dx)
{
    const double step = 0.25;
    for (size_t i = 0; i < cn_tensor_count(x); i++) {
        double kept = get(x, i);
        set(x, i, kept + step);
        double above = loss(p);
        set(x, i, kept - step);
        double below = loss(p);
        set(x, i, kept);
        double want = (above - below) / (2 * step), found = get(dx, i);
        if (!(fabs(found - want) <= 1e-7 * fmax(1, fabs(want))))
            fail_msg("gradient %zu is %.17g, differences say %.17g", i, found, want);
    }
}

static void conv_gradients_are_differences(void **state)
{
    (void)state;
    cn_rng rng;
    cn_rng_seed(&rng, 1);
    for (int f = 1; f <= 3; f++)
        for (int stride = 1; stride <= 3; stride++)
            for (int pad = 0; pad <= 3; pad++) {
                problem p = conv_problem(2, 5, 4 + stride, 2, 3, f,
                                         (cn_hparameters){.stride = stride, .pad = pad});
                cn_tensor *drawn[] = {&p.A_prev, &p.W, &p.b, &p.dZ};
                for (int i = 0; i < 4; i++) ok(cn_rng_fill_randn(&rng, drawn[i], &err));
                forward_and_backward(&p);
                check_gradient(&p, &p.A_prev, &p.dA_prev);
                check_gradient(&p, &p.W, &p.dW);
                check_gradient(&p, &p.b, &p.db);
                release(&p);
            }
}

static void pool_gradients_are_differences(void **state)
{
    (void)state;
    cn_rng rng;
    cn_rng_seed(&rng, 2);
    for (int mode = CN_POOL_MAX; mode <= CN_POOL_AVERAGE; mode++)
        for (int f = 1; f <= 4; f++)
            for (int stride = 1; stride <= 3; stride++) {
                problem p = pool_problem(2, 7, 4 + stride, 3, (cn_pool_mode)mode,
                                         (cn_hparameters){.stride = stride, .f = f});
                fill_distinct(&rng, &p.A_prev);
                ok(cn_rng_fill_randn(&rng, &p.dZ, &err));
                forward_and_backward(&p);
                check_gradient(&p, &p.A_prev, &p.dA_prev);
                release(&p);
            }
}

/* ---- F32 against F64 */

static problem in_f32(const problem *p)
{
    problem q = {.h = p->h, .mode = p->mode};
    q.A_prev = exact_copy(&p->A_prev, CN_DTYPE_F32);
    if (p->W.data) {
        q.W = exact_copy(&p->W, CN_DTYPE_F32);
        q.b = exact_copy(&p->b, CN_DTYPE_F32);
    }
    prepare_outputs(&q, p->Z.shape);
    cn_tensor_free(&q.dZ);
    q.dZ = exact_copy(&p->dZ, CN_DTYPE_F32);
    return q;
}

static void release_copies(problem *q)
{
    free(q->A_prev.data);
    free(q->W.data);
    free(q->b.data);
    free(q->dZ.data);
    q->A_prev = q->W = q->b = q->dZ = (cn_tensor){0};
    release(q);
}

static void check_close(const char *what, const cn_tensor *a, const cn_tensor *b, double tolerance)
{
    double allowed = tolerance * largest(a);
    for (size_t i = 0; i < cn_tensor_count(a); i++)
        if (!(fabs(get(a, i) - get(b, i)) <= allowed))
            fail_msg("%s [%zu] is %.9g in F64, %.9g in F32", what, i, get(a, i), get(b, i));
}

static void compare_dtypes(problem *p, double tolerance)
{
    problem q = in_f32(p);
    forward_and_backward(p);
    forward_and_backward(&q);
    check_close("Z", &p->Z, &q.Z, tolerance);
    check_close("dA_prev", &p->dA_prev, &q.dA_prev, tolerance);
    if (p->W.data) {
        check_close("dW", &p->dW, &q.dW, tolerance);
        check_close("db", &p->db, &q.db, tolerance);
    }
    release_copies(&q);
}

static int draw(cn_rng *rng, int low, int high)
{
    return (int)cn_rng_randint(rng, low, high + 1);
}

/* Integers so small that every sum is exact must come out equal; of random numbers each sum of
 * products is off by some roundings of 6e-8, relative to the array's largest element. */
static void conv_is_the_same_in_f32(void **state)
{
    (void)state;
    cn_rng rng;
    cn_rng_seed(&rng, 3);
    for (int i = 0; i < 120; i++) {
        int f = draw(&rng, 1, 5), pad = draw(&rng, 0, 3), stride = draw(&rng, 1, 4);
        int low = f - 2 * pad < 1 ? 1 : f - 2 * pad;
        problem p = conv_problem(draw(&rng, 1, 3), draw(&rng, low, low + 9),
                                 draw(&rng, low, low + 9), draw(&rng, 1, 19), draw(&rng, 1, 37), f,
                                 (cn_hparameters){.stride = stride, .pad = pad});
        cn_tensor *drawn[] = {&p.A_prev, &p.W, &p.b, &p.dZ};
        for (int j = 0; j < 4; j++) fill_integers(&rng, drawn[j]);
        compare_dtypes(&p, 0);
        for (int j = 0; j < 4; j++) ok(cn_rng_fill_randn(&rng, drawn[j], &err));
        compare_dtypes(&p, 3e-6);
        release(&p);
    }
}

static void pooling_is_the_same_in_f32(void **state)
{
    (void)state;
    cn_rng rng;
    cn_rng_seed(&rng, 4);
    for (int i = 0; i < 200; i++) {
        int f = draw(&rng, 1, 5), stride = draw(&rng, 1, 4);
        problem p = pool_problem(draw(&rng, 1, 3), draw(&rng, f, f + 9), draw(&rng, f, f + 9),
                                 draw(&rng, 1, 37), i % 2 ? CN_POOL_MAX : CN_POOL_AVERAGE,
                                 (cn_hparameters){.stride = stride, .f = f});
        /* Integers between -4 and 4 tie often; a division by f f is exact for powers of two. */
        fill_integers(&rng, &p.A_prev);
        fill_integers(&rng, &p.dZ);
        compare_dtypes(&p, i % 2 || f == 1 || f == 2 || f == 4 ? 0 : 1e-6);
        for (size_t j = 0; j < cn_tensor_count(&p.A_prev); j++) /* representable in F32 */
            set(&p.A_prev, j, (float)cn_rng_randn(&rng));
        compare_dtypes(&p, 1e-6);
        release(&p);
    }
}

/* ---- orientation: a flipped or transposed kernel, or a stride left out, would show */

static void an_impulse_shows_the_kernel(void **state)
{
    (void)state;
    for (int dtype = CN_DTYPE_F32; dtype <= CN_DTYPE_F64; dtype++) {
        cn_tensor A_prev = tensor((cn_dtype)dtype, 1, 5, 7, 1), Z = {0};
        cn_tensor W = tensor((cn_dtype)dtype, 3, 3, 1, 1), b = tensor((cn_dtype)dtype, 1, 1, 1, 1);
        cn_tensor dA_prev = {0}, dW = {0}, db = {0};
        cn_conv_cache cache;
        set(&A_prev, at(&A_prev, 0, 2, 4, 0), 1);
        for (int u = 0; u < 3; u++)
            for (int v = 0; v < 3; v++) set(&W, at(&W, u, v, 0, 0), 10 * u + v + 1);
        set(&b, 0, 0.5);
        ok(cn_conv_forward(&A_prev, &W, &b, (cn_hparameters){.stride = 2, .pad = 1}, &Z, &cache,
                           &err));
        /* Window (h, w) begins at row 2 h - 1 and column 2 w - 1. */
        for (int h = 0; h < 3; h++)
            for (int w = 0; w < 4; w++) {
                int u = 2 - (2 * h - 1), v = 4 - (2 * w - 1);
                bool seen = u >= 0 && u < 3 && v >= 0 && v < 3;
                assert_true(get(&Z, at(&Z, 0, h, w, 0)) == 0.5 + (seen ? 10 * u + v + 1 : 0));
            }
        /* One gradient, at (1, 2): it paints the kernel into dA_prev, and the window, which holds
         * the impulse at its center, into dW. */
        cn_tensor dZ = tensor((cn_dtype)dtype, 1, 3, 4, 1);
        set(&dZ, at(&dZ, 0, 1, 2, 0), 2);
        ok(cn_conv_backward(&dZ, &cache, &dA_prev, &dW, &db, &err));
        for (int r = 0; r < 5; r++)
            for (int s = 0; s < 7; s++) {
                int u = r - 1, v = s - 3;
                bool seen = u >= 0 && u < 3 && v >= 0 && v < 3;
                assert_true(get(&dA_prev, at(&dA_prev, 0, r, s, 0)) ==
                            (seen ? 2 * (10 * u + v + 1) : 0));
            }
        for (size_t j = 0; j < 9; j++) assert_true(get(&dW, j) == (j == 4 ? 2 : 0));
        assert_true(get(&db, 0) == 2);
        cn_tensor *all[] = {&A_prev, &Z, &W, &b, &dA_prev, &dW, &db, &dZ};
        for (int i = 0; i < 8; i++) cn_tensor_free(all[i]);
    }
}

/* ---- ties and NaNs */

/* Pools `x`, 2 x 4 pixels, with 2 x 2 windows side by side, and sends 1 and 10 back. */
static void pool_row(cn_dtype dtype, cn_pool_mode mode, const double x[8], double A[2],
                     double dA_prev[8])
{
    cn_tensor a = tensor(dtype, 1, 2, 4, 1), out = {0}, dout = tensor(dtype, 1, 1, 2, 1), da = {0};
    cn_pool_cache cache;
    for (size_t i = 0; i < 8; i++) set(&a, i, x[i]);
    set(&dout, 0, 1);
    set(&dout, 1, 10);
    ok(cn_pool_forward(&a, (cn_hparameters){.stride = 2, .f = 2}, mode, &out, &cache, &err));
    ok(cn_pool_backward(&dout, &cache, mode, &da, &err));
    for (size_t i = 0; i < 2; i++) A[i] = get(&out, i);
    for (size_t i = 0; i < 8; i++) dA_prev[i] = get(&da, i);
    cn_tensor_free(&a);
    cn_tensor_free(&out);
    cn_tensor_free(&dout);
    cn_tensor_free(&da);
}

static void every_tie_gets_the_whole_gradient(void **state)
{
    (void)state;
    const double x[8] = {3, 1, -2, -2, 0, 3, -5, -2}, want[8] = {1, 0, 10, 10, 0, 1, 0, 10};
    for (int dtype = CN_DTYPE_F32; dtype <= CN_DTYPE_F64; dtype++) {
        double A[2], dA_prev[8];
        pool_row((cn_dtype)dtype, CN_POOL_MAX, x, A, dA_prev);
        assert_true(A[0] == 3 && A[1] == -2);
        for (int i = 0; i < 8; i++) assert_true(dA_prev[i] == want[i]);
    }
}

static void a_window_with_a_nan_is_nan(void **state)
{
    (void)state;
    const double x[8] = {3, 9, 1, 2, NAN, 4, 0, 5}, want[8] = {0, 0, 0, 0, 1, 0, 0, 10};
    const double infinite[8] = {-INFINITY, -INFINITY, 1, INFINITY, -INFINITY, -INFINITY, 0, 5};
    for (int dtype = CN_DTYPE_F32; dtype <= CN_DTYPE_F64; dtype++) {
        double A[2], dA_prev[8];
        pool_row((cn_dtype)dtype, CN_POOL_MAX, x, A, dA_prev);
        assert_true(isnan(A[0]) && A[1] == 5);
        for (int i = 0; i < 8; i++) assert_true(dA_prev[i] == want[i]);
        pool_row((cn_dtype)dtype, CN_POOL_AVERAGE, x, A, dA_prev);
        assert_true(isnan(A[0]) && A[1] == 2);
        for (int i = 0; i < 8; i++) assert_true(dA_prev[i] == (i % 4 < 2 ? 0.25 : 2.5));
        pool_row((cn_dtype)dtype, CN_POOL_MAX, infinite, A, dA_prev);
        assert_true(A[0] == -INFINITY && A[1] == INFINITY);
        assert_true(dA_prev[0] == 1 && dA_prev[5] == 1 && dA_prev[3] == 10 && dA_prev[2] == 0);
    }
}

static void mask_marks_maxima_or_nans(void **state)
{
    (void)state;
    for (int dtype = CN_DTYPE_F32; dtype <= CN_DTYPE_F64; dtype++) {
        cn_tensor x = tensor((cn_dtype)dtype, 1, 1, 1, 5), mask = {0};
        const double ties[5] = {2, -1, 2, 0, 1}, nans[5] = {2, NAN, 7, NAN, 1};
        for (size_t i = 0; i < 5; i++) set(&x, i, ties[i]);
        ok(cn_create_mask_from_window(&x, &mask, &err));
        assert_int_equal(mask.dtype, CN_DTYPE_U8);
        assert_memory_equal(mask.data, ((uint8_t[]){1, 0, 1, 0, 0}), 5);
        for (size_t i = 0; i < 5; i++) set(&x, i, nans[i]);
        ok(cn_create_mask_from_window(&x, &mask, &err));
        assert_memory_equal(mask.data, ((uint8_t[]){0, 1, 0, 1, 0}), 5);
        cn_tensor_free(&x);
        cn_tensor_free(&mask);
    }
}

/* ---- the smaller blocks in both precisions */

static void zero_pad_surrounds_with_zeros(void **state)
{
    (void)state;
    for (int dtype = CN_DTYPE_F32; dtype <= CN_DTYPE_F64; dtype++)
        for (int pad = 0; pad <= 3; pad++) {
            cn_tensor X = tensor((cn_dtype)dtype, 2, 3, 4, 2);
            cn_tensor X_pad = tensor((cn_dtype)dtype, 2, 3 + 2 * pad, 4 + 2 * pad, 2);
            for (size_t i = 0; i < cn_tensor_count(&X); i++) set(&X, i, (double)i + 1);
            poison(&X_pad);
            ok(cn_zero_pad(&X, pad, &X_pad, &err));
            for (int i = 0; i < 2; i++)
                for (int h = 0; h < 3 + 2 * pad; h++)
                    for (int w = 0; w < 4 + 2 * pad; w++)
                        for (int c = 0; c < 2; c++) {
                            bool in = h >= pad && h < 3 + pad && w >= pad && w < 4 + pad;
                            double want = in ? get(&X, at(&X, i, h - pad, w - pad, c)) : 0;
                            assert_true(get(&X_pad, at(&X_pad, i, h, w, c)) == want);
                        }
            cn_tensor_free(&X);
            cn_tensor_free(&X_pad);
        }
}

static void single_step_and_distribute_in_f32(void **state)
{
    (void)state;
    float a[] = {1, 2, 3, 4}, w[] = {0.5f, -1, 2, 3}, bias[] = {0.25f}, shares[6];
    const int shape[] = {2, 2, 1}, one[] = {1, 1, 1};
    cn_tensor A = cn_tensor_view(CN_DTYPE_F32, 3, shape, a),
              W = cn_tensor_view(CN_DTYPE_F32, 3, shape, w);
    cn_tensor b = cn_tensor_view(CN_DTYPE_F32, 3, one, bias);
    cn_tensor out = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){2, 3}, shares), fresh = {0};
    double Z;
    ok(cn_conv_single_step(&A, &W, &b, &Z, &err));
    assert_true(Z == 0.5 - 2 + 6 + 12 + 0.25);
    ok(cn_distribute_value(3, 2, 3, &out, &err));
    for (int i = 0; i < 6; i++) assert_true(shares[i] == 0.5f);
    ok(cn_distribute_value(3, 2, 3, &fresh, &err));
    assert_int_equal(fresh.dtype, CN_DTYPE_F64);
    cn_tensor_free(&fresh);
}

/* A stride with nowhere to go, even the largest, takes no time. */
static void a_huge_stride_is_harmless(void **state)
{
    (void)state;
    cn_rng rng;
    cn_rng_seed(&rng, 5);
    problem p = conv_problem(1, 5, 6, 2, 3, 3, (cn_hparameters){.stride = 2147483647, .pad = 1});
    cn_tensor *drawn[] = {&p.A_prev, &p.W, &p.b, &p.dZ};
    for (int i = 0; i < 4; i++) fill_integers(&rng, drawn[i]);
    compare_dtypes(&p, 0);
    release(&p);
}

/* ---- failing allocations */

enum { CALLS = 7 };

/* Makes call number `call`; its outputs are empty before. */
static cn_status make_call(int call, const problem *p, cn_tensor out[3])
{
    const cn_conv_cache conv = {p->A_prev, p->W, p->b, p->h};
    const cn_pool_cache pool = {p->A_prev, {.stride = 1, .f = 2}};
    cn_hparameters h = pool.hparameters;
    switch (call) {
    case 0: return cn_zero_pad(&p->A_prev, 1, &out[0], &err);
    case 1: return cn_conv_forward(&p->A_prev, &p->W, &p->b, p->h, &out[0], NULL, &err);
    case 2: return cn_conv_backward(&p->dZ, &conv, &out[0], &out[1], &out[2], &err);
    case 3: return cn_pool_forward(&p->A_prev, h, CN_POOL_MAX, &out[0], NULL, &err);
    case 4: return cn_pool_backward(&p->dZ, &pool, CN_POOL_MAX, &out[0], &err);
    case 5: return cn_create_mask_from_window(&p->A_prev, &out[0], &err);
    default: return cn_distribute_value(1, 2, 2, &out[0], &err);
    }
}

static void a_failed_allocation_changes_nothing(void **state)
{
    (void)state;
    /* f = 2, no padding and as many channels out as in: one dZ serves both backward calls. */
    problem wide = conv_problem(1, 4, 5, 3, 3, 2, (cn_hparameters){.stride = 1});
    problem narrow = in_f32(&wide);
    for (int i = 0; i < 2 * CALLS; i++) {
        cn_status status = CN_ERR_MEMORY;
        int failures = 0;
        for (int n = 0; status != CN_OK; n++) {
            cn_tensor out[3] = {0};
            allocations_left = n;
            status = make_call(i % CALLS, i < CALLS ? &wide : &narrow, out);
            allocations_left = -1;
            if (status != CN_OK) {
                assert_int_equal(status, CN_ERR_MEMORY);
                failures++;
            }
            for (int j = 0; j < 3; j++) {
                if (status != CN_OK) assert_null(out[j].data);
                cn_tensor_free(&out[j]);
            }
        }
        /* conv_backward makes three outputs, in F32 a copy and scratch as well. */
        if (i % CALLS == 2) assert_int_equal(failures, i < CALLS ? 3 : 5);
        assert_true(failures >= 1);
    }
    release(&wide);
    release_copies(&narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_gradients_are_differences),
        cmocka_unit_test(pool_gradients_are_differences),
        cmocka_unit_test(conv_is_the_same_in_f32),
        cmocka_unit_test(pooling_is_the_same_in_f32),
        cmocka_unit_test(an_impulse_shows_the_kernel),
        cmocka_unit_test(every_tie_gets_the_whole_gradient),
        cmocka_unit_test(a_window_with_a_nan_is_nan),
        cmocka_unit_test(mask_marks_maxima_or_nans),
        cmocka_unit_test(zero_pad_surrounds_with_zeros),
        cmocka_unit_test(single_step_and_distribute_in_f32),
        cmocka_unit_test(a_huge_stride_is_harmless),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_random.c - numpy's stream against values that numpy itself drew, and the counter-based
 * generator against its authors' vectors and the laws its draws should follow.
 *
 * With r = numpy.random.RandomState(seed), numpy 2.4 and 1.24:
 *   few draws   r.randn(3), r.rand(2), r.permutation(8), r.randint(0, 10, 4),
 *               r.randint(-5, 2**40, 2), in this order
 *   many draws  FNV-1a hashes of the bytes of r.rand(100000),
 *               floor(r.randn(100000) 2**30) as int64 (a C library's log may differ in the last
 *               bit), r.permutation(10000) as int32, r.randint(-100, 1000, 10000) as int64
 */
#include "base/counter.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct few_draws {
    uint32_t seed;
    double randn[3], rand[2];
    int permutation[8];
    int64_t small[4], large[2];
} few_draws;

static const few_draws few[] = {
    {0,
     {0x1.c398ef3e5cfa5p+0, 0x1.99c2cfacc8953p-2, 0x1.f51d25222c9abp-1},
     {0x1.b1d2904fd0ef6p-2, 0x1.4ab2a21899b5bp-1},
     {3, 1, 2, 7, 5, 0, 6, 4},
     {6, 7, 7, 8},
     {107679279944, 309611862788}},
    {1,
     {0x1.9fd5190657c50p+0, -0x1.393822fb7d9adp-1, -0x1.0e6c872548fd2p-1},
     {0x1.964a3677bfbe8p-2, 0x1.13dfc97629f54p-1},
     {1, 7, 0, 3, 4, 2, 5, 6},
     {2, 4, 7, 7},
     {608665458660, 96714728756}},
    {3,
     {0x1.c9e38e3e13df2p+0, 0x1.befc703152c8ap-2, 0x1.8b40edd841de6p-4},
     {0x1.c93057dbf8d2ap-1, 0x1.cae6ed81332adp-1},
     {5, 6, 3, 4, 0, 2, 7, 1},
     {7, 8, 1, 6},
     {556451041198, 417829558680}},
    {123456789,
     {0x1.1b405f672012dp+1, 0x1.106f56cae59a6p+1, 0x1.d77a660b51b2dp+0},
     {0x1.072abbe7264a6p-2, 0x1.81610e8407223p-1},
     {1, 2, 7, 3, 0, 6, 4, 5},
     {2, 4, 5, 1},
     {770306662757, 928530939018}},
    {4294967295u,
     {0x1.4bfc38c486d8ap-1, 0x1.56b192e507eeep-1, -0x1.149e836f192fdp+0},
     {0x1.d1999c0aed972p-1, 0x1.1b835369cb7f1p-1},
     {2, 0, 3, 4, 1, 5, 6, 7},
     {4, 0, 7, 8},
     {923013001740, 1071050786422}},
};

static void a_few_draws_are_numpys(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof few / sizeof *few; s++) {
        const few_draws *want = &few[s];
        cn_rng rng;
        int permutation[8];
        cn_rng_seed(&rng, want->seed);
        for (int i = 0; i < 3; i++) assert_true(cn_rng_randn(&rng) == want->randn[i]);
        for (int i = 0; i < 2; i++) assert_true(cn_rng_rand(&rng) == want->rand[i]);
        cn_rng_permutation(&rng, 8, permutation);
        assert_memory_equal(permutation, want->permutation, sizeof permutation);
        for (int i = 0; i < 4; i++) assert_true(cn_rng_randint(&rng, 0, 10) == want->small[i]);
        for (int i = 0; i < 2; i++)
            assert_true(cn_rng_randint(&rng, -5, (int64_t)1 << 40) == want->large[i]);
    }
}

static uint64_t hash(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ byte[i]) * 0x100000001b3u;
    return h;
}

static void many_draws_are_numpys(void **state)
{
    (void)state;
    const struct {
        uint32_t seed;
        uint64_t rand, randn, permutation, randint;
    } many[] = {
        {1, 0xaf7b7c2ad335ccd9, 0x6ff6eed755ba6d48, 0x8e571ed8b0c45775, 0x0e394ac7b9291d01},
        {3, 0x0ddeba760945a5aa, 0xb4f3ab4c0d82ec22, 0x74b0ca590d3497dd, 0x479fafa32c65ed07},
    };
    static int permutation[10000];
    for (size_t s = 0; s < sizeof many / sizeof *many; s++) {
        const uint64_t empty = 0xcbf29ce484222325;
        uint64_t rand_hash = empty, randn_hash = empty, randint_hash = empty;
        cn_rng rng;
        cn_rng_seed(&rng, many[s].seed);
        for (int i = 0; i < 100000; i++) {
            double u = cn_rng_rand(&rng);
            rand_hash = hash(rand_hash, &u, sizeof u);
        }
        for (int i = 0; i < 100000; i++) {
            int64_t rounded = (int64_t)floor(cn_rng_randn(&rng) * 1073741824.0);
            randn_hash = hash(randn_hash, &rounded, sizeof rounded);
        }
        cn_rng_permutation(&rng, 10000, permutation);
        for (int i = 0; i < 10000; i++) {
            int64_t draw = cn_rng_randint(&rng, -100, 1000);
            randint_hash = hash(randint_hash, &draw, sizeof draw);
        }
        assert_true(rand_hash == many[s].rand);
        assert_true(randn_hash == many[s].randn);
        assert_true(hash(empty, permutation, sizeof permutation) == many[s].permutation);
        assert_true(randint_hash == many[s].randint);
    }
}

static void a_copied_state_continues_the_same(void **state)
{
    (void)state;
    cn_rng a, b;
    cn_rng_seed(&a, 7);
    cn_rng_randn(&a); /* leaves the second half of a pair in the state */
    b = a;
    for (int i = 0; i < 1000; i++) assert_true(cn_rng_randn(&a) == cn_rng_randn(&b));
}

static void randint_covers_its_range_and_no_more(void **state)
{
    (void)state;
    cn_rng rng;
    bool seen[5] = {false};
    cn_rng_seed(&rng, 2);
    for (int i = 0; i < 200; i++) {
        int64_t draw = cn_rng_randint(&rng, -2, 3);
        assert_true(draw >= -2 && draw < 3);
        seen[draw + 2] = true;
    }
    for (int i = 0; i < 5; i++) assert_true(seen[i]);
    assert_true(cn_rng_randint(&rng, 9, 10) == 9);
    assert_true(cn_rng_randint(&rng, INT64_MIN, INT64_MAX) < INT64_MAX);
}

static void fill_randn_fills_in_order(void **state)
{
    (void)state;
    cn_rng rng, same;
    cn_tensor wide = {0}, narrow = {0}, labels = {0}, empty = {0};
    const int shape[] = {2, 3};
    cn_error err;
    assert_int_equal(cn_tensor_create(&wide, CN_DTYPE_F64, 2, shape, NULL), CN_OK);
    assert_int_equal(cn_tensor_create(&narrow, CN_DTYPE_F32, 2, shape, NULL), CN_OK);
    assert_int_equal(cn_tensor_create(&labels, CN_DTYPE_I32, 2, shape, NULL), CN_OK);
    cn_rng_seed(&rng, 1);
    same = rng;
    assert_int_equal(cn_rng_fill_randn(&rng, &wide, NULL), CN_OK);
    assert_int_equal(cn_rng_fill_randn(&rng, &narrow, NULL), CN_OK);
    for (int i = 0; i < 6; i++) assert_true(((double *)wide.data)[i] == cn_rng_randn(&same));
    for (int i = 0; i < 6; i++)
        assert_true(((float *)narrow.data)[i] == (float)cn_rng_randn(&same));
    assert_int_equal(cn_rng_fill_randn(&rng, &labels, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "rng_fill_randn: dtype 2, expected F32 or F64");
    assert_int_equal(cn_rng_fill_randn(&rng, &empty, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "rng_fill_randn: the tensor is empty");
    assert_int_equal(cn_rng_fill_randn(NULL, &wide, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "rng_fill_randn: NULL rng");
    cn_tensor_free(&wide);
    cn_tensor_free(&narrow);
    cn_tensor_free(&labels);
}

/* The known answers that Random123, the authors' library, publishes for philox4x32-10. */
static void philox_gives_its_known_answers(void **state)
{
    (void)state;
    const uint32_t all = 0xffffffff;
    const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{all, all, all, all}, {all, all}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t out[4];
        cn_philox(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
    /* Seed, stream and index reach the key and the counter whole. */
    assert_true(cn_counter_uint32(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
                0xd16cfe09);
}

/* n draws of mean 0 and variance 1 have a mean within 5 / sqrt(n), or once in two million. */
static void counter_draws_follow_their_laws(void **state)
{
    (void)state;
    const int n = 40000;
    double mean = 0, square = 0, fourth = 0, uniform = 0, lagged = 0;
    for (int i = 0; i < n; i++) {
        uint64_t index = (uint64_t)i;
        double z = cn_counter_normal(1, 2, index), u = cn_counter_uniform(1, 3, index);
        assert_true(u >= 0 && u < 1);
        mean += z / n;
        square += z * z / n;
        fourth += z * z * z * z / n;
        uniform += (u - 0.5) * sqrt(12) / n;
        lagged += z * cn_counter_normal(1, 2, index + 1) / n;
    }
    assert_true(fabs(mean) < 5 / sqrt(n));
    assert_true(fabs(square - 1) < 5 * sqrt(2.0 / n));
    assert_true(fabs(fourth - 3) < 5 * sqrt(96.0 / n));
    assert_true(fabs(uniform) < 5 / sqrt(n));
    assert_true(fabs(lagged) < 5 / sqrt(n));
}

/* Each of the 24 orders of four items comes up as often as the others: chi-square, 23 degrees of
 * freedom, beyond 56 once in ten thousand. The draws are fixed, so the result is, too. */
static void shuffle_is_fair(void **state)
{
    (void)state;
    const int rounds = 24000;
    int times[256] = {0};
    double chi_square = 0;
    for (int i = 0; i < rounds; i++) {
        int items[4] = {0, 1, 2, 3};
        cn_counter_shuffle(5, (uint64_t)i, 4, items);
        assert_int_equal(1 << items[0] | 1 << items[1] | 1 << items[2] | 1 << items[3], 15);
        times[items[0] << 6 | items[1] << 4 | items[2] << 2 | items[3]]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        if (times[i] == 0) continue;
        orders++;
        chi_square += pow(times[i] - rounds / 24.0, 2) / (rounds / 24.0);
    }
    assert_int_equal(orders, 24);
    assert_true(chi_square < 56);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_draws_are_numpys),
        cmocka_unit_test(many_draws_are_numpys),
        cmocka_unit_test(a_copied_state_continues_the_same),
        cmocka_unit_test(randint_covers_its_range_and_no_more),
        cmocka_unit_test(fill_randn_fills_in_order),
        cmocka_unit_test(philox_gives_its_known_answers),
        cmocka_unit_test(counter_draws_follow_their_laws),
        cmocka_unit_test(shuffle_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

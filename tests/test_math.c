/* test_math.c - the library's own exp, log, pow, sin and cos, beside the C library's long doubles.
 */
#include "base/math.h"
#include "draw.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { DRAWS = 200000 };

/* How many units in the last place of the true value the found one is off. */
static double ulps(double found, long double truth)
{
    const double nearest = (double)truth;
    if (found == nearest) return 0;
    const double unit = fmax(fabs(nearest) * DBL_EPSILON / 2, 0x1p-1074);
    return (double)(fabsl((long double)found - truth) / (long double)unit);
}

/* Relative errors are counted in halves of DBL_EPSILON, which are 1/2 to 1 unit in the last place.
 */
static void assert_ulps(const char *what, double x, double found, long double truth, double most)
{
    if (!(ulps(found, truth) <= most))
        fail_msg("%s(%.17g) is %.17g, expected %.17Lg", what, x, found, truth);
}

static void exponentials_are_right_to_the_last_places(void **state)
{
    uint64_t random = 1;
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double x = draw_real(&random, -708, 709), y = draw_real(&random, -1, 1);
        assert_ulps("exp", x, cn_exp(x), expl((long double)x), 3);
        assert_ulps("exp", y, cn_exp(y), expl((long double)y), 3);
    }
    assert_true(cn_exp(0) == 1 && cn_exp(-INFINITY) == 0 && cn_exp(INFINITY) == INFINITY);
    assert_true(cn_exp(-800) == 0 && cn_exp(800) == INFINITY && isnan(cn_exp(NAN)));
    assert_true(cn_exp(-740) > 0);
}

static void logarithms_are_right_to_the_last_places(void **state)
{
    uint64_t random = 2;
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double u = draw_real(&random, 0, 2), wide = ldexp(u, draw_int(&random, -1000, 1000));
        if (u == 0) continue;
        assert_ulps("log", u, cn_log(u), logl((long double)u), 4);
        assert_ulps("log", wide, cn_log(wide), logl((long double)wide), 4);
        assert_ulps("log1p", u, cn_log1p(u), log1pl((long double)u), 4);
        const double small = ldexp(u, -40);
        assert_ulps("log1p", small, cn_log1p(small), log1pl((long double)small), 4);
    }
    assert_true(cn_log(1) == 0 && cn_log(0) == -INFINITY && cn_log(INFINITY) == INFINITY);
    assert_true(isnan(cn_log(-1)) && isnan(cn_log(NAN)) && cn_log1p(0) == 0);
    assert_ulps("log", DBL_MIN / 4, cn_log(DBL_MIN / 4), logl((long double)DBL_MIN / 4), 4);
}

static void angles_are_right_to_a_few_places(void **state)
{
    uint64_t random = 3;
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const double x = draw_real(&random, -7, 7), far = draw_real(&random, -1e5, 1e5);
        assert_true(fabsl((long double)cn_sin(x) - sinl((long double)x)) <= 3e-16L);
        assert_true(fabsl((long double)cn_cos(x) - cosl((long double)x)) <= 3e-16L);
        assert_true(fabsl((long double)cn_sin(far) - sinl((long double)far)) <= 3e-16L);
        assert_true(fabsl((long double)cn_cos(far) - cosl((long double)far)) <= 3e-16L);
    }
    assert_true(cn_sin(0) == 0 && cn_cos(0) == 1 && cn_cos(3.14159265358979323846) == -1);
    assert_true(isnan(cn_sin(INFINITY)) && isnan(cn_cos(1e9)) && isnan(cn_cos(NAN)));
}

static void powers_of_whole_numbers_are_products(void **state)
{
    uint64_t random = 4;
    (void)state;
    assert_true(cn_pow(3, 5) == 243 && cn_pow(2, -3) == 0.125 && cn_pow(0, 0) == 1);
    assert_true(cn_pow(0.1, 2) == 0.1 * 0.1 && cn_pow(0.7, 1) == 0.7 && cn_pow(0, 0.5) == 0);
    for (int i = 0; i < DRAWS / 10; i++) {
        const double x = draw_real(&random, 0.5, 1), y = draw_real(&random, -40, 40);
        const int n = draw_int(&random, 0, 5000);
        const long double truth = powl((long double)x, (long double)y);
        assert_true(fabsl((long double)cn_pow(x, y) - truth) <= 1e-14L * truth);
        const long double whole = powl((long double)x, n);
        if (whole > 1e-290L)
            assert_true(fabsl((long double)cn_pow(x, n) - whole) <= 2e-12L * whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_are_right_to_the_last_places),
        cmocka_unit_test(logarithms_are_right_to_the_last_places),
        cmocka_unit_test(angles_are_right_to_a_few_places),
        cmocka_unit_test(powers_of_whole_numbers_are_products),
    };
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}

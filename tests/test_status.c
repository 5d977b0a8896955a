/* The library says which version it is, and what each status means. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/base.h"

static void version_is_the_headers(void **state)
{
    char expected[32];
    (void)state;
    snprintf(expected, sizeof(expected), "%d.%d.%d", CN_VERSION_MAJOR, CN_VERSION_MINOR,
             CN_VERSION_PATCH);
    assert_string_equal(cn_version(), expected);
}

static void every_status_has_a_meaning(void **state)
{
    (void)state;
#define CHECK(name, value, meaning)  \
    assert_int_equal((name), value); \
    assert_string_equal(cn_status_text(name), meaning);
    CN_STATUS_MAP(CHECK)
#undef CHECK
    assert_string_equal(cn_status_text((cn_status)1000), "unknown status");
}

static void a_failure_writes_the_error(void **state)
{
    cn_error err = {CN_OK, "untouched"};
    (void)state;
    assert_int_equal(cn_fail(&err, CN_ERR_IO, "%s: %d", "disk", 7), CN_ERR_IO);
    assert_int_equal(err.status, CN_ERR_IO);
    assert_string_equal(err.text, "disk: 7");
    assert_int_equal(cn_fail(NULL, CN_ERR_SHAPE, "nobody listens"), CN_ERR_SHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_is_the_headers),
        cmocka_unit_test(every_status_has_a_meaning),
        cmocka_unit_test(a_failure_writes_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_text.c - UTF-8: the first and the last code of every length, and what is not one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void well_formed_text_is_known(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "plain",
        "\x01\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "Katze \xf0\x9f\x90\x88, gro\xc3\x9f",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(cn_is_utf8(good[i]));
}

static void ill_formed_text_is_known(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",                 /* in the middle of a code */
        "\xc3",                 /* cut short */
        "\xc3z",                /* broken off */
        "\xe2\x82",             /* cut short */
        "\xf0\x9f\x90",         /* cut short */
        "\xc0\x80",             /* longer than needed */
        "\xc1\xbf",             /* longer than needed */
        "\xe0\x9f\xbf",         /* longer than needed */
        "\xf0\x8f\xbf\xbf",     /* longer than needed */
        "\xed\xa0\x80",         /* a surrogate */
        "\xed\xbf\xbf",         /* a surrogate */
        "\xf4\x90\x80\x80",     /* beyond the last code */
        "\xf8\x88\x80\x80\x80", /* five bytes */
        "\xff",                 /* no beginning */
        "fine until h\xe9re",   /* Latin-1 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(cn_is_utf8(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_known),
        cmocka_unit_test(ill_formed_text_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

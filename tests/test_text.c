/* test_text.c - UTF-8: the first and the last code of every length, and what is not one; numbers as
 * text, in every locale that is here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "draw.h"

#include <locale.h>
#include <string.h>

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

static void check_numbers(void)
{
    static const struct {
        double number;
        const char *text;
    } known[] = {
        {0, "0"},          {120, "120"},   {-2147483648.0, "-2147483648"},  {0.1, "0.1"},
        {1e-5, "1e-05"},   {-2.5, "-2.5"}, {1.0 / 3, "0.3333333333333333"}, {1e22, "1e+22"},
        {5e-324, "5e-324"}};
    char text[CN_NUMBER_TEXT];
    double back;
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_string_equal(cn_number_text(known[i].number, text), known[i].text);
        assert_true(cn_number_read(known[i].text, &back));
        assert_true(back == known[i].number);
    }
    for (int i = 0; i < 1000; i++) {
        double number = draw_real(&random, -1, 1) * (i % 2 ? 1e-9 : 1e300);
        assert_true(cn_number_read(cn_number_text(number, text), &back));
        assert_true(back == number);
    }
    assert_true(cn_number_read(".5", &back) && back == 0.5);
    assert_true(cn_number_read("5.", &back) && back == 5);
}

static void numbers_survive_in_every_locale(void **state)
{
    static const char *const names[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_NUMERIC, names[i])) check_numbers();
    setlocale(LC_NUMERIC, "C");
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const bad[] = {"",       ".",     "-",  "1,5", "1x2", "nan", "inf", "0x10",
                                      "1e9999", "1.2.3", "1e", " 1",  "1 ",  "--1", "5f"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double untouched = 7;
        if (cn_number_read(bad[i], &untouched)) fail_msg("\"%s\" passed for a number", bad[i]);
        assert_true(untouched == 7);
    }
    char digits[200];
    memset(digits, '1', sizeof digits);
    digits[199] = '\0';
    assert_false(cn_number_read(digits, &(double){0}));
}

static void a_text_on_one_line_has_escapes_for_what_would_break_it(void **state)
{
    (void)state;
    char plain[32];
    assert_string_equal(cn_plain_text("two\nlines\r\t", plain, sizeof plain), "two\\nlines\\r\\t");
    assert_string_equal(cn_plain_text("\x1b[2J\x7f", plain, sizeof plain), "\\x1b[2J\\x7f");
    assert_string_equal(cn_plain_text("\xc2\x9b \xc2\xa0\xc3\xa9", plain, sizeof plain),
                        "\\x9b \xc2\xa0\xc3\xa9");
    assert_string_equal(cn_plain_text("abc\n", plain, 5), "abc"); /* no half escape */
}

static void the_end_of_a_long_path_is_kept(void **state)
{
    (void)state;
    char brief[CN_BRIEF_PATH], path[300] = "folder/";
    assert_string_equal(cn_brief_path("folder/1.png", brief), "folder/1.png");
    memset(path + 7, 'a', 113);
    assert_ptr_equal(cn_brief_path(path, brief), path);
    memset(path + 7, 'a', 250);
    strcpy(path + 257, "/1.png");
    assert_string_equal(cn_brief_path(path, brief) + 120 - 9, "aaa/1.png");
    assert_int_equal(strlen(brief), 120);
    assert_memory_equal(brief, "folder/aaaaaaaaaaaaaaaaaaaaaaa...aaa", 36);
    for (size_t i = 7; i < 257; i += 2) memcpy(path + i, "\xc3\xa9", 2);
    assert_true(cn_is_utf8(cn_brief_path(path, brief)));
    assert_true(cn_is_utf8(cn_brief_path(path + 1, brief))); /* cut a byte further */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_known),
        cmocka_unit_test(ill_formed_text_is_known),
        cmocka_unit_test(numbers_survive_in_every_locale),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(a_text_on_one_line_has_escapes_for_what_would_break_it),
        cmocka_unit_test(the_end_of_a_long_path_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

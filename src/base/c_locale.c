/*
 * c_locale.c - text and numbers that do not depend on the locale.
 *
 * A program with decimal commas (a German desktop application, say) calls setlocale, and from then
 * on printf writes 0,5 and strtod stops at the point of 0.5. The files that we read and write are
 * the same everywhere, and so are the errors. script/lint locale sees to it that only this file and
 * src/base/json.c call the functions that look at the locale.
 */
#include "base/c_locale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

locale_t cn_c_locale_enter(void)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return c ? uselocale(c) : (locale_t)0;
}

void cn_c_locale_leave(locale_t before)
{
    if (before) freelocale(uselocale(before));
}

int cn_vformat(char *text, size_t size, const char *format, va_list args)
{
    locale_t before = cn_c_locale_enter();
    int length = vsnprintf(text, size, format, args);
    cn_c_locale_leave(before);
    return length;
}

int cn_format(char *text, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = cn_vformat(text, size, format, args);
    va_end(args);
    return length;
}

const char *cn_system_text(int number)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const char *text = c ? strerror_l(number, c) : "unknown error";
    if (c) freelocale(c);
    return text;
}

/* ---- numbers */

const char *cn_number_text(double number, char text[CN_NUMBER_TEXT])
{
    int digits = 1;
    double back;
    if (fabs(number) < 1e15 && number == floor(number)) { /* 10 rather than 1e+01 */
        cn_format(text, CN_NUMBER_TEXT, "%.0f", number);
        return text;
    }
    do cn_format(text, CN_NUMBER_TEXT, "%.*g", digits, number);
    while (digits++ < 17 && cn_number_read(text, &back) && back != number);
    return text;
}

const char *cn_number_scan(const char *text, double *number)
{
    enum { LONGEST = 96 };
    char digits[LONGEST + 1], *end;
    /* strtod would take spaces, hexadecimal digits, "inf" and "nan", too. */
    size_t length = strspn(text, "0123456789.eE+-");
    if (length > LONGEST) return NULL;
    memcpy(digits, text, length);
    digits[length] = '\0';
    locale_t before = cn_c_locale_enter();
    double value = strtod(digits, &end);
    cn_c_locale_leave(before);
    if (end == digits || !isfinite(value)) return NULL;
    *number = value;
    return text + (end - digits);
}

bool cn_number_read(const char *text, double *number)
{
    double value;
    const char *end = cn_number_scan(text, &value);
    if (!end || *end != '\0') return false;
    *number = value;
    return true;
}

/* ---- letters */

bool cn_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool cn_is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || cn_is_digit(c);
}

char cn_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool cn_same_letters(const char *a, const char *b)
{
    while (*a && cn_lower(*a) == cn_lower(*b)) a++, b++;
    return cn_lower(*a) == cn_lower(*b);
}

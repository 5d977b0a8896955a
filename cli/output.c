/* output.c - messages on standard error, figures as text, JSON on standard output. */
#include "cli.h"

#include "base/base.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_error(const char *command, const char *format, ...)
{
    char text[8192];
    size_t length = strlen(command);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* The library may begin with the same word. */
    bool said = strncmp(text, command, length) == 0 && strncmp(text + length, ": ", 2) == 0;
    fprintf(stderr, "convnet %s: %s\n", command, said ? text + length + 2 : text);
    return CLI_FAILED;
}

void cli_say(const cli_common *common, const char *format, ...)
{
    if (common->quiet) return;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static bool has_line(const char *text, const char *line, size_t length)
{
    for (; *text; text += strcspn(text, "\n") + 1)
        if (strcspn(text, "\n") == length && strncmp(text, line, length) == 0) return true;
    return false;
}

void cli_say_remarks(const cli_common *common, const char *command, const cn_dataset *data,
                     const cn_dataset *before)
{
    for (const char *line = cn_dataset_remarks(data); *line; line += strcspn(line, "\n") + 1) {
        size_t length = strcspn(line, "\n");
        if (!before || !has_line(cn_dataset_remarks(before), line, length))
            cli_say(common, "convnet %s: %.*s", command, (int)length, line);
    }
}

/* ---- names */

/* Bytes of the first `most` characters. */
static size_t bytes_of(const char *text, int most, int *characters)
{
    size_t at = 0;
    for (*characters = 0; text[at]; ++*characters) {
        if (*characters == most) break;
        at++;
        while (((unsigned char)text[at] & 0xc0) == 0x80) at++;
    }
    return at;
}

int cli_name_width(const char *name)
{
    char plain[CLI_CELL];
    int characters;
    bytes_of(cn_plain_text(name, plain, sizeof plain), CLI_CELL, &characters);
    return characters;
}

const char *cli_cell(const char *name, int width, bool right, char cell[CLI_CELL])
{
    char plain[CLI_CELL];
    int characters;
    size_t bytes = bytes_of(cn_plain_text(name, plain, sizeof plain), width, &characters);
    int blanks = width - characters, room = CLI_CELL - 1 - (int)bytes;
    if (blanks > room) blanks = room;
    snprintf(cell, CLI_CELL, "%*s%.*s%*s", right ? blanks : 0, "", (int)bytes, plain,
             right ? 0 : blanks, "");
    return cell;
}

/* ---- figures */

const char *cli_count_text(size_t n, char text[CLI_COUNT_TEXT])
{
    char digits[CLI_COUNT_TEXT];
    int length = snprintf(digits, sizeof digits, "%zu", n);
    char *out = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

const char *cli_rate_text(double rate, char text[CLI_COUNT_TEXT])
{
    if (rate >= 9.95) return cli_count_text((size_t)(rate + 0.5), text);
    snprintf(text, CLI_COUNT_TEXT, "%.1f", rate);
    return text;
}

const char *cli_bytes_text(size_t bytes, char text[CLI_COUNT_TEXT])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++) value /= 1024;
    snprintf(text, CLI_COUNT_TEXT, "%.1f %s", value, units[unit]);
    return text;
}

const char *cli_shape_text(int rank, const int *shape, char text[CLI_COUNT_TEXT * 2])
{
    int used = 0;
    text[0] = '\0';
    for (int i = 0; i < rank; i++)
        used +=
            snprintf(text + used, CLI_COUNT_TEXT * 2 - (size_t)used, i ? " x %d" : "%d", shape[i]);
    return text;
}

/* ---- JSON */

static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    if (value || !text) return value;
    char *copy = malloc(strlen(text) + 1); /* a file's name need not be UTF-8 */
    if (!copy) return NULL;
    strcpy(copy, text);
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

void cli_put_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, text_value(value));
}

void cli_put_number(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void cli_put_whole(json_t *object, const char *key, size_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

void cli_print_json(json_t *object)
{
    /* Nine digits name every float32, and 0.989 stays 0.989. */
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}

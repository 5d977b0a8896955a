/*
 * json.c - JSON as text, written and read with Jansson where memory may run out.
 *
 * json_dumps goes on without the bytes that it found no memory for. So the text is measured, room
 * for all of it is made, and it is written there.
 *
 * json_loadb does, too: a token that outgrows its buffer when there is no memory lacks a letter.
 * In a number an assertion of Jansson's notices; in a string, where only that one allocation fails,
 * nobody does in time. Elsewhere memory that has run out is reported.
 *
 * Jansson prints numbers with the C library and mends a decimal comma afterwards, if it is a single
 * byte; so it is called in the "C" locale.
 */
#include "base/json.h"

#include "base/c_locale.h"

static size_t dump(const json_t *json, char *text, size_t size)
{
    locale_t before = cn_c_locale_enter();
    size_t needed = json_dumpb(json, text, size, JSON_COMPACT | JSON_ENCODE_ANY);
    cn_c_locale_leave(before);
    return needed;
}

char *cn_json_text(const json_t *json, const char *what, cn_error *err)
{
    size_t size = dump(json, NULL, 0);
    char *text = cn_allocate(size + 1, 1, what, err);
    if (!text) return NULL;
    if (size > 0 && dump(json, text, size) == size) return text;
    cn_release(text);
    cn_fail(err, CN_ERR_MEMORY, "%s: no memory to write JSON", what);
    return NULL;
}

cn_status cn_json_read(json_t **json, const char *text, size_t size, const char *file,
                       const char *part, size_t offset, cn_error *err)
{
    json_error_t where = {.position = 0};
    locale_t before = cn_c_locale_enter();
    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    cn_c_locale_leave(before);
    if (*json) return CN_OK;
    if (!where.text[0]) return cn_fail(err, CN_ERR_MEMORY, "%s: no memory for the %s", file, part);
    return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: %s: %.100s", file,
                   offset + (size_t)where.position, part, where.text);
}

json_t *cn_json_value(const char *text, size_t size)
{
    locale_t before = cn_c_locale_enter();
    json_t *value = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    cn_c_locale_leave(before);
    return value;
}

/*
 * table_json.c - lines of JSON as a table:
 *
 *   {"file_name": "1.png", "label": "cat"}       file_name,label
 *   {"file_name": "2.png", "label": "dog"}       "1.png","cat"
 *                                                "2.png","dog"
 *
 * The columns are the keys of the first object. The elements of a list stand between bars, null is
 * an empty field, and what is an object itself is its text.
 */
#include "data/table.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

/* The table as it grows; after a failure nothing is added any more. */
typedef struct writer {
    const char *path;
    char *text;
    size_t used, room;
    cn_status status;
    cn_error *err;
} writer;

static void put(writer *w, const char *bytes, size_t size)
{
    if (w->status != CN_OK) return;
    if (size >= w->room - w->used) {
        const size_t room = 2 * (w->room + size) + 256;
        char *more = cn_allocate(room, 1, w->path, w->err);
        if (!more) {
            w->status = CN_ERR_MEMORY;
            return;
        }
        if (w->text) memcpy(more, w->text, w->used);
        cn_release(w->text);
        w->text = more;
        w->room = room;
    }
    memcpy(w->text + w->used, bytes, size);
    w->used += size;
}

/* As a part of a quoted field. */
static void put_text(writer *w, const char *text)
{
    for (const char *quote; (quote = strchr(text, '"')) != NULL; text = quote + 1) {
        put(w, text, (size_t)(quote + 1 - text));
        put(w, "\"", 1);
    }
    put(w, text, strlen(text));
}

/* `list`: what is one becomes its elements. */
static void put_value(writer *w, const json_t *value, bool list)
{
    if (!value || json_is_null(value)) return;
    if (json_is_string(value)) {
        put_text(w, json_string_value(value));
    } else if (list && json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0) put(w, "|", 1);
            put_value(w, json_array_get(value, i), false);
        }
    } else {
        char *text = cn_json_text(value, w->path, w->err);
        if (text) put_text(w, text);
        if (!text) w->status = CN_ERR_MEMORY;
        cn_release(text);
    }
}

/* The row of an object, or of its keys, in the order of those of the first. */
static void put_row(writer *w, json_t *first, json_t *object, bool keys)
{
    size_t left = json_object_size(first);
    const char *key;
    json_t *value;
    json_object_foreach(first, key, value)
    {
        put(w, "\"", 1);
        if (keys)
            put_text(w, key);
        else
            put_value(w, json_object_get(object, key), true);
        put(w, --left == 0 ? "\"\n" : "\",", 2);
    }
}

/* The object of a line, which has no keys but those of the first. */
static cn_status put_object(writer *w, json_t **first, json_t *object, int line)
{
    const char *key;
    json_t *value;
    char plain[40];
    if (json_object_size(object) == 0)
        return cn_fail(w->err, CN_ERR_FORMAT, "%.120s: line %d: expected an object with keys",
                       w->path, line);
    if (!*first) {
        *first = json_incref(object);
        put_row(w, object, object, true);
    }
    json_object_foreach(object, key, value)
    {
        if (json_object_get(*first, key)) continue;
        return cn_fail(w->err, CN_ERR_FORMAT,
                       "%.120s: line %d: the key %s, which the first line has not", w->path, line,
                       cn_plain_text(key, plain, sizeof plain));
    }
    put_row(w, *first, object, false);
    return w->status;
}

bool cn_table_is_json(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{';
}

cn_status cn_table_from_json(uint8_t **bytes, size_t *size, const char *path, cn_error *err)
{
    writer w = {.path = path, .status = CN_OK, .err = err};
    json_t *first = NULL;
    const char *begin = (const char *)*bytes, *end;
    cn_status status = CN_OK;
    int line = 0;
    for (const char *at = begin; status == CN_OK && *at; at = *end ? end + 1 : end) {
        char part[24];
        json_t *object = NULL;
        end = at + strcspn(at, "\n");
        line++;
        if (at + strspn(at, " \t\r") >= end) { /* so that lines count */
            put(&w, "\n", 1);
            continue;
        }
        snprintf(part, sizeof part, "line %d", line);
        status =
            cn_json_read(&object, at, (size_t)(end - at), path, part, (size_t)(at - begin), err);
        if (status == CN_OK) status = put_object(&w, &first, object, line);
        json_decref(object);
    }
    json_decref(first);
    if (status == CN_OK) put(&w, "", 1);
    if (status == CN_OK) status = w.status;
    cn_release(status == CN_OK ? (void *)*bytes : (void *)w.text);
    if (status != CN_OK) return status;
    *bytes = (uint8_t *)w.text;
    *size = w.used - 1; /* it ends with a zero */
    return CN_OK;
}

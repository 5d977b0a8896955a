/*
 * page.c - writes a page around its data.
 *
 * The data are JSON in a <script type="application/json">, which no browser runs. In it every "<"
 * is written as \u003c, so that no name can end the element: "<" occurs in JSON within strings only.
 */
#include "page.h"

#include "base/sink.h"

#include <stdlib.h>
#include <string.h>

/* ---- base64 (RFC 4648) */

size_t cli_page_text_size(size_t n)
{
    return (n + 2) / 3 * 4;
}

json_t *cli_page_bytes(const unsigned char *x, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = cli_page_text_size(n);
    char *text = malloc(size + 1), *to = text;
    if (!text) return NULL;
    for (size_t i = 0; i < n; i += 3) {
        unsigned group = (unsigned)x[i] << 16;
        if (i + 1 < n) group |= (unsigned)x[i + 1] << 8;
        if (i + 2 < n) group |= x[i + 2];
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = i + 1 < n ? digits[group >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[group & 63] : '=';
    }
    json_t *value = json_stringn(text, size);
    free(text);
    return value;
}

json_t *cli_page_floats(const float *x, size_t n)
{
    unsigned char *bytes = malloc(n * 4 + 1);
    if (!bytes) return NULL;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (unsigned k = 0; k < 4; k++) bytes[4 * i + k] = (unsigned char)(bits >> 8 * k);
    }
    json_t *value = cli_page_bytes(bytes, n * 4);
    free(bytes);
    return value;
}

json_t *cli_page_wholes(const int *x, int n)
{
    json_t *array = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(array, json_integer(x[i]));
    return array;
}

/* ---- the file */

/* Where json_dump_callback writes to; jansson hands on no more than that something failed. */
typedef struct target {
    cn_sink *sink;
    cn_error *err;
} target;

static int write_escaped(const char *text, size_t size, void *user)
{
    const target *t = user;
    while (size > 0) {
        const char *less = memchr(text, '<', size);
        size_t plain = less ? (size_t)(less - text) : size;
        if (cn_sink_write(t->sink, text, plain, t->err) != CN_OK) return -1;
        if (!less) return 0;
        if (cn_sink_write(t->sink, "\\u003c", 6, t->err) != CN_OK) return -1;
        text += plain + 1;
        size -= plain + 1;
    }
    return 0;
}

cn_status cli_page_write(const cli_page *page, const json_t *data, const char *path, cn_error *err)
{
    cn_error inner = {.status = CN_ERR_MEMORY, .text = "out of memory"};
    cn_sink *sink = NULL;
    target t = {.err = &inner};
    cn_status status = cn_sink_open(&sink, path, err);
    if (status != CN_OK) return status;
    t.sink = sink;
    status = cn_sink_write(sink, page->before, page->before_size, err);
    if (status == CN_OK &&
        json_dump_callback(data, write_escaped, &t, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0) {
        *err = inner;
        status = inner.status;
    }
    if (status == CN_OK) status = cn_sink_write(sink, page->after, page->after_size, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    return status;
}

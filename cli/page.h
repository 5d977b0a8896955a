/*
 * page.h - writes a self-contained HTML page: the text of cli/pages/, which CMake embeds, around
 * figures as JSON. docs/pages.md says what the pages may do.
 */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include "cli.h"

/* A page, up to where the data stand and from there on. */
typedef struct cli_page {
    const unsigned char *before;
    size_t before_size;
    const unsigned char *after;
    size_t after_size;
} cli_page;

extern const cli_page cli_page_explain, cli_page_report;

/* Writes the page with these data; a reader sees the old file or the new one. */
cn_status cli_page_write(const cli_page *page, const json_t *data, const char *path, cn_error *err);

/* n floats as base64 text of their little-endian bytes, or n bytes. NULL: out of memory. */
json_t *cli_page_floats(const float *x, size_t n);
json_t *cli_page_bytes(const unsigned char *x, size_t n);
/* The bytes that base64 text of n bytes takes. */
size_t cli_page_text_size(size_t n);
/* An array of whole numbers. */
json_t *cli_page_wholes(const int *x, int n);

#endif

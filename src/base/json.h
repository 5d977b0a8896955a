/* json.h - JSON as text. */
#ifndef CN_JSON_H
#define CN_JSON_H

#include "base/base.h"

#include <jansson.h>

/* The value as compact text, ended by a NUL; free it with cn_release. NULL, with an error that
 * names `what`, where memory runs out. */
char *cn_json_text(const json_t *json, const char *what, cn_error *err);

/*
 * Reads JSON, in which no key may come twice, into *json, which becomes NULL on failure. Errors
 * name the file, the part of it and the byte, counted from `offset`.
 */
cn_status cn_json_read(json_t **json, const char *text, size_t size, const char *file,
                       const char *part, size_t offset, cn_error *err);

/* Any JSON value, also one that is neither object nor array; NULL where the text is none, or memory
 * runs out. */
json_t *cn_json_value(const char *text, size_t size);

#endif

/*
 * json.c - JSON as text.
 *
 * json_dumps goes on without the bytes that it found no memory for. So the text is measured, room
 * for all of it is made, and it is written there.
 */
#include "formats/json.h"

char *cn_json_text(const json_t *json, const char *what, cn_error *err)
{
    size_t size = json_dumpb(json, NULL, 0, JSON_COMPACT);
    char *text = cn_allocate(size + 1, 1, what, err);
    if (!text) return NULL;
    if (size > 0 && json_dumpb(json, text, size, JSON_COMPACT) == size) return text;
    cn_release(text);
    cn_fail(err, CN_ERR_MEMORY, "%s: no memory to write JSON", what);
    return NULL;
}

/* remarks.c - what there is to say about how a set was read. */
#include "data/dataset.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

cn_status cn_remark(cn_remarks *remarks, cn_error *err, const char *format, ...)
{
    enum { LINE = 512 };
    char line[LINE], plain[4 * LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, LINE, format, args);
    va_end(args);
    size_t old = remarks->text ? strlen(remarks->text) : 0;
    size_t length = strlen(cn_plain_text(line, plain, sizeof plain));
    char *text = cn_allocate(old + length + 2, 1, "remarks", err);
    if (!text) return CN_ERR_MEMORY;
    if (old) memcpy(text, remarks->text, old);
    memcpy(text + old, plain, length);
    text[old + length] = '\n';
    cn_release(remarks->text);
    remarks->text = text;
    return CN_OK;
}

cn_status cn_remark_packed(cn_remarks *remarks, const char *path, cn_error *err)
{
    return cn_remark(remarks, err,
                     "%s: exceeds the memory for images, but is packed, so that all of it is read",
                     path);
}

/* text.c - what is well-formed text, and how it ends. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>

bool cn_is_utf8(const char *text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* of a code of 1 to 4 bytes */
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        uint32_t code = *at++;
        int more = code < 0x80         ? 0
                   : code >> 5 == 0x06 ? 1
                   : code >> 4 == 0x0e ? 2
                   : code >> 3 == 0x1e ? 3
                                       : -1;
        if (more < 0) return false;
        if (more > 0) code &= 0x3fu >> more;
        for (int i = 0; i < more; i++) {
            if (*at >> 6 != 2) return false;
            code = code << 6 | (*at++ & 0x3fu);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        if (code < least[more] || code > 0x10ffff || surrogate) return false;
    }
    return true;
}

const char *cn_plural(int n)
{
    return n == 1 ? "" : "s";
}

const char *cn_plain_text(const char *text, char *plain, size_t room)
{
    char letter[8];
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        /* U+0080 to U+009F, the second row of control characters, are C2 80 to C2 9F in UTF-8. */
        bool second = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
        int length = *at == '\n'                ? snprintf(letter, sizeof letter, "\\n")
                     : *at == '\r'              ? snprintf(letter, sizeof letter, "\\r")
                     : *at == '\t'              ? snprintf(letter, sizeof letter, "\\t")
                     : *at < ' ' || *at == 0x7f ? snprintf(letter, sizeof letter, "\\x%02x", *at)
                     : second                   ? snprintf(letter, sizeof letter, "\\x%02x", at[1])
                                                : snprintf(letter, sizeof letter, "%c", *at);
        if (used + (size_t)length >= room) break;
        memcpy(plain + used, letter, (size_t)length);
        used += (size_t)length;
        at += second;
    }
    plain[used] = 0;
    return plain;
}

/* Does a byte stand within a character of UTF-8? */
static bool is_within(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

const char *cn_brief_path(const char *path, char brief[CN_BRIEF_PATH])
{
    enum { BEGIN = 30, LEFT_OUT = 3, END = CN_BRIEF_PATH - 1 - BEGIN - LEFT_OUT };
    size_t length = strlen(path), begin = BEGIN;
    if (length < CN_BRIEF_PATH) return path;
    const char *end = path + length - END;
    while (begin > 0 && is_within(path[begin])) begin--;
    while (is_within(*end)) end++;
    snprintf(brief, CN_BRIEF_PATH, "%.*s...%s", (int)begin, path, end);
    return brief;
}

int cn_text_distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    int row[LONGEST + 1];
    size_t length = strlen(b);
    if (length > LONGEST) return LONGEST;
    for (size_t j = 0; j <= length; j++) row[j] = (int)j;
    for (int i = 0; a[i]; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            int change = diagonal + (a[i] != b[j]);
            int drop = row[j + 1] + 1, insert = row[j] + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < drop ? change : drop;
            if (insert < row[j + 1]) row[j + 1] = insert;
        }
    }
    return row[length];
}

bool cn_ends_in(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

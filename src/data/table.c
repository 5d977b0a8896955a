/* table.c - a table as text (RFC 4180), a row at a time. */
#include "data/table.h"
#include "base/signature.h"
#include "base/source.h"
#include "data/paths.h"
#include "formats/array.h"

#include <string.h>

/* Lines of paths and labels are not larger, nor are the pixels of MNIST. */
enum { MOST_BYTES = 1 << 30 };

static bool is_wide(const uint8_t *bytes, size_t size)
{
    return size >= 2 && (bytes[0] ^ bytes[1]) == 1 && bytes[0] >= 0xfe;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    return is_wide(bytes, size) || !memchr(bytes, 0, size);
}

/* Half of a pair where the text ends too early. */
static uint32_t unit_at(const uint8_t *in, size_t size, size_t i, bool big)
{
    return i + 1 < size ? (uint32_t)in[i + !big] << 8 | in[i + big] : 0xd800;
}

/* UTF-16 behind its mark, as Windows writes it, becomes UTF-8 in a copy; half of a pair becomes what
 * UTF-8 has not. */
static cn_status narrow(uint8_t **bytes, size_t *size, const char *path, cn_error *err)
{
    const uint8_t *in = *bytes;
    const bool big = in[0] == 0xfe;
    uint8_t *out = cn_allocate(*size, 2, path, err);
    size_t used = 0, i = 2;
    if (!out) return CN_ERR_MEMORY;
    while (i < *size) {
        uint32_t c = unit_at(in, *size, i, big), next = unit_at(in, *size, i + 2, big);
        const bool pair = (c & 0xfc00) == 0xd800 && (next & 0xfc00) == 0xdc00;
        if (pair) c = 0x10000 + ((c & 0x3ff) << 10 | (next & 0x3ff));
        used += cn_utf8_put(out + used, c);
        i += pair ? 4 : 2;
    }
    cn_release(*bytes);
    *bytes = out;
    *size = used;
    return CN_OK;
}

/* Of the first line, without what is quoted; a blank where there is no other. */
static char find_separator(const char *text)
{
    static const char separators[] = ",;\t ";
    int count[4] = {0}, best = 0;
    bool quoted = false;
    for (; *text && (quoted || (*text != '\n' && *text != '\r')); text++) {
        const char *found = strchr(separators, *text);
        if (*text == '"') quoted = !quoted;
        if (found && !quoted) count[found - separators]++;
    }
    for (int i = 1; i < 3; i++)
        if (count[i] > count[best]) best = i;
    return count[best] == 0 && count[3] > 0 ? ' ' : separators[best];
}

/* Lists of "path label", which have no other separator: a tab in place of the last blank of each line. */
static void put_tabs(char *text)
{
    for (char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\r\n");
        char *last = end;
        while (last > text && last[-1] == ' ') last--;
        while (last > text && last[-1] != ' ') last--;
        if (last > text) last[-1] = '\t';
    }
}

/* Labels become names in a model file, which is UTF-8. The text is what is left up to its first wrong
 * line, where there is one. */
static cn_status check_encoding(const char *path, char *text, size_t size, cn_error *err)
{
    int line = 1;
    if (!is_text((const uint8_t *)text, size))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: expected text, found a byte of 0", path);
    if (cn_is_utf8(text)) return CN_OK;
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1, line++) {
        *end = 0;
        if (!cn_is_utf8(text)) break;
    }
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: line %d: expected text in UTF-8, found another encoding", path, line);
}

cn_status cn_table_open(cn_table *t, const char *path, cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    *t = (cn_table){.path = path};
    cn_status status = cn_file_read(path, MOST_BYTES, is_text, &bytes, &size, err);
    if (status != CN_OK) return status;
    if (is_wide(bytes, size)) status = narrow(&bytes, &size, path, err);
    if (status == CN_OK) status = check_encoding(path, (char *)bytes, size, err);
    bool json = status == CN_OK && cn_table_is_json((char *)bytes);
    if (json) status = cn_table_from_json(&bytes, &size, path, err);
    if (status != CN_OK) {
        cn_release(bytes);
        return status;
    }
    t->line = json ? -1 : 0;
    t->text = t->at = (char *)bytes;                        /* cn_allocate leaves zeros behind it */
    if (strncmp(t->at, "\xef\xbb\xbf", 3) == 0) t->at += 3; /* how some editors begin UTF-8 */
    t->separator = find_separator(t->at);
    if (strncmp(t->at, "sep=", 4) == 0 && t->at[4]) { /* how spreadsheets say it */
        t->separator = t->at[4];
        t->at += 5;
    }
    const cn_signature *other = cn_signature_find(bytes, size);
    t->other = other ? other->name : NULL;
    if (t->separator == ' ' && !other) put_tabs(t->at);
    if (t->separator == ' ') t->separator = '\t';
    return CN_OK;
}

void cn_table_close(cn_table *t)
{
    cn_release(t->text);
    cn_release(t->fields);
    *t = (cn_table){.path = NULL};
}

static bool is_blank(const cn_table *t, char c)
{
    return c == ' ' || (c == '\t' && t->separator != '\t');
}

/* Cuts a field out, undoing quotes and leaving blanks around it out, and steps behind the separator
 * or the end of the line, which is given back (0 at the end). NULL for a quote that is not closed,
 * or text behind one. */
static char *take_field(cn_table *t, char *ending)
{
    char *from = t->at;
    while (is_blank(t, *from)) from++;
    char *field = from, *to = from;
    if (*from == '"') {
        for (from++; *from && !(from[0] == '"' && from[1] != '"'); from++) {
            if (*from == '"') from++;
            t->inside += *from == '\n';
            *to++ = *from;
        }
        if (*from++ != '"') return NULL;
        while (is_blank(t, *from)) from++;
    } else {
        while (*from && *from != t->separator && *from != '\n' && *from != '\r') *to++ = *from++;
    }
    for (;; to--) {
        if (to - field >= 2 && to[-2] == '\xc2' && to[-1] == '\xa0')
            to--; /* a blank of the web */
        else if (to == field || !(is_blank(t, to[-1]) || to[-1] == '\r' || to[-1] == '\n'))
            break;
    }
    size_t returns = strspn(from, "\r");
    from += returns;
    *ending = returns && *from != '\n' && *from ? '\n' : *from;
    if (returns == 0 && *from && *from != t->separator && *from != '\n') return NULL;
    t->at = *from && (returns == 0 || *from == '\n') ? from + 1 : from;
    *to = 0;
    return field + (field < to ? strspn(field, " \t\r\n") : 0);
}

static cn_status add_field(cn_table *t, char *field, cn_error *err)
{
    enum { MOST_FIELDS = 1 << 24 };
    if (t->count == MOST_FIELDS)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: more than %d fields", t->path, t->line,
                       MOST_FIELDS);
    cn_status status =
        cn_array_grow(&t->fields, sizeof *t->fields, t->count, &t->room, t->path, err);
    if (status != CN_OK) return status;
    t->fields[t->count++] = field;
    return CN_OK;
}

cn_status cn_table_next(cn_table *t, bool *more, cn_error *err)
{
    const char blanks[] = {' ', '\t', '\r', t->separator, 0};
    char ending = t->separator;
    cn_status status = CN_OK;
    t->line += t->inside;
    t->inside = t->count = 0;
    *more = false;
    for (;; t->at++) { /* lines without anything in any field */
        size_t blank = strspn(t->at, blanks);
        if (!t->at[blank]) return CN_OK;
        t->line++;
        if (t->at[blank] != '\n') break;
        t->at += blank;
    }
    while (status == CN_OK && ending == t->separator) {
        char *field = take_field(t, &ending);
        if (!field) {
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: line %d: expected fields, found a quote that is not closed%s%s",
                           t->path, t->line, t->other ? " in " : "", t->other ? t->other : "");
        }
        status = add_field(t, field, err);
    }
    *more = status == CN_OK;
    return status;
}

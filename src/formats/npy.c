/*
 * npy.c - the NPY form of arrays (NumPy Enhancement Proposal 1, versions 1.0, 2.0 and 3.0).
 *
 *   byte   size      what
 *   0      6         93 'N' 'U' 'M' 'P' 'Y'
 *   6      2         version: 1, 2 or 3, then 0
 *   8      2 or 4    length h of the header, little-endian; 4 bytes from version 2 on
 *   ...    h         a Python dictionary as text, filled up with spaces and a line feed:
 *                    {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 28, 28), }
 *   ...    product   the elements, the last axis fastest, or the first with fortran_order
 *
 * descr is the order of bytes (< little, > big, | none, = the machine's that wrote it, taken as
 * little), the kind (u, i, f; b for bool) and the size of an element in bytes. Read are u and i of
 * 1, 2, 4 and 8 bytes, f of 2, 4 and 8, and b1; and texts, S of so many bytes and U of so many
 * characters of 4 bytes each, which become UTF-8.
 */
#include "formats/npy.h"

#include "base/signature.h"

#include <stdio.h>
#include <string.h>

enum { HEADER = 65536 }; /* NumPy writes less than 128 bytes; records with many fields take more */

/* ---- The dictionary */

typedef struct text {
    const char *at, *end;
} text;

static void skip_space(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

/* Steps over the word where it comes next. */
static bool take(text *t, const char *word)
{
    size_t length = strlen(word);
    skip_space(t);
    if ((size_t)(t->end - t->at) < length || strncmp(t->at, word, length) != 0) return false;
    t->at += length;
    return true;
}

/* 'quoted' or "quoted"; false where it is not, or is longer than the room. */
static bool take_string(text *t, char *out, size_t room)
{
    skip_space(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) return false;
    const char *begin = t->at + 1;
    const char *close = memchr(begin, *t->at, (size_t)(t->end - begin));
    if (!close || (size_t)(close - begin) >= room) return false;
    memcpy(out, begin, (size_t)(close - begin));
    out[close - begin] = 0;
    t->at = close + 1;
    return true;
}

/* A number up to INT32_MAX; what is above is given as INT64_MAX. Python 2 wrote an L behind it. */
static bool take_number(text *t, int64_t *out)
{
    skip_space(t);
    const char *begin = t->at;
    int64_t value = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
        if (value <= INT32_MAX) value = 10 * value + (*t->at - '0');
    if (t->at == begin) return false;
    if (t->at < t->end && *t->at == 'L') t->at++;
    *out = value > INT32_MAX ? INT64_MAX : value;
    return true;
}

/* What the dictionary says. */
typedef struct facts {
    char descr[16];
    bool fortran, has_descr, has_order, has_shape;
    int rank;
    int64_t shape[CN_MAX_RANK]; /* of the first axes */
} facts;

/* (), (3,) or (3, 4) */
static bool take_shape(text *t, facts *f)
{
    f->rank = 0;
    if (!take(t, "(")) return false;
    while (!take(t, ")")) {
        int64_t extent;
        if (!take_number(t, &extent)) return false;
        if (f->rank < CN_MAX_RANK) f->shape[f->rank] = extent;
        f->rank++;
        if (!take(t, ",")) return take(t, ")");
    }
    return true;
}

static bool take_entry(text *t, facts *f)
{
    char key[16];
    if (!take_string(t, key, sizeof key) || !take(t, ":")) return false;
    if (strcmp(key, "descr") == 0 && !f->has_descr) {
        f->has_descr = true;
        /* A list of fields: a record, which is none of ours. */
        if (take(t, "[")) {
            strcpy(f->descr, "[");
            return true;
        }
        return take_string(t, f->descr, sizeof f->descr);
    }
    if (strcmp(key, "fortran_order") == 0 && !f->has_order) {
        f->has_order = true;
        f->fortran = take(t, "True");
        return f->fortran || take(t, "False");
    }
    if (strcmp(key, "shape") == 0 && !f->has_shape) {
        f->has_shape = true;
        return take_shape(t, f);
    }
    return false;
}

static bool take_dictionary(text *t, facts *f)
{
    if (!take(t, "{")) return false;
    while (!take(t, "}")) {
        if (!take_entry(t, f)) return false;
        if (f->descr[0] == '[') return true;
        if (!take(t, ",") && !take(t, "}")) return false;
        if (t->at[-1] == '}') break;
    }
    skip_space(t);
    return t->at == t->end && f->has_descr && f->has_order && f->has_shape;
}

/* ---- The header */

/* What is beside the elements in a header. */
typedef struct order {
    bool big_endian, fortran;
    bool wide; /* characters of 4 bytes */
} order;

/* S and U with the size of a text. */
static bool find_text(const char *descr, cn_array_about *about, order *o)
{
    enum { WIDE = 4 };
    size_t size = 0;
    const char *at = descr + 2;
    o->wide = descr[1] == 'U';
    if (descr[1] != 'S' && !o->wide) return false;
    for (; cn_is_digit(*at) && size <= CN_TEXT_MOST; at++) size = 10 * size + (size_t)(*at - '0');
    about->element = CN_ELEMENT_TEXT;
    about->width = o->wide ? WIDE * size : size;
    return !*at && about->width >= 1 && about->width <= CN_TEXT_MOST;
}

static bool find_element(const char *descr, cn_array_about *about, order *o)
{
    if (!descr[0] || !strchr("<>|=", descr[0])) return false;
    o->big_endian = descr[0] == '>';
    if (find_text(descr, about, o)) return true;
    const char *name = strcmp(descr + 1, "b1") == 0 ? "u1" : descr + 1;
    for (int i = CN_ELEMENT_U8; i <= CN_ELEMENT_F16; i++)
        if (strcmp(name, cn_element_name((cn_element)i)) == 0) {
            about->element = (cn_element)i;
            return true;
        }
    return false;
}

static cn_status use_facts(const facts *f, cn_source *s, cn_array_about *about, order *found,
                           cn_error *err)
{
    cn_array_about a = *about;
    order o = {.fortran = f->fortran};
    if (strcmp(f->descr, "|O") == 0)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "%s: elements '|O', Python objects, which are pickled: save numbers or text",
                       cn_source_name(s));
    if (!find_element(f->descr, &a, &o))
        return cn_fail(
            err, CN_ERR_UNSUPPORTED,
            "%s: elements '%s', expected b1, u or i of 1, 2, 4 or 8 bytes, f2, f4, f8, S or U",
            cn_source_name(s), f->descr);
    if (f->rank < 1 || f->rank > CN_MAX_RANK)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: rank %d, expected 1 to %d", cn_source_name(s),
                       f->rank, CN_MAX_RANK);
    a.rank = f->rank;
    for (int i = 0; i < f->rank; i++) {
        if (f->shape[i] < 1 || f->shape[i] > INT32_MAX)
            return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: extent %d of the shape is %s",
                           cn_source_name(s), i, f->shape[i] < 1 ? "0" : "above 2147483647");
        a.shape[i] = (int)f->shape[i];
    }
    *about = a;
    *found = o;
    return CN_OK;
}

static cn_status read_header(cn_source *s, cn_array_about *about, order *found, cn_error *err)
{
    static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    uint8_t head[12];
    char other[CN_FOUND_TEXT];
    cn_status status = cn_source_read(s, head, 10, "header", err);
    if (status != CN_OK) return status;
    if (memcmp(head, magic, sizeof magic) != 0)
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte 0: expected an NPY array (93 NUMPY), found %s",
                       cn_source_name(s), cn_source_found(s, head, 10, other));
    if (head[6] < 1 || head[6] > 3)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: byte 6: version %d, expected 1 to 3",
                       cn_source_name(s), head[6]);
    size_t length = head[8] | (size_t)head[9] << 8;
    if (head[6] > 1) {
        status = cn_source_read(s, head + 10, 2, "header", err);
        if (status != CN_OK) return status;
        length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    }
    if (length > HEADER || length > cn_source_capacity(s))
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte 8: a header of %zu bytes, expected at most %d",
                       cn_source_name(s), length, (int)HEADER);
    char *letters = cn_allocate(length + 1, 1, cn_source_name(s), err);
    if (!letters) return CN_ERR_MEMORY;
    status = cn_source_read(s, letters, length, "header", err);
    text t = {letters, letters + length};
    facts f = {.rank = 0};
    if (status == CN_OK)
        status = take_dictionary(&t, &f)
                     ? use_facts(&f, s, about, found, err)
                     : cn_fail(err, CN_ERR_FORMAT,
                               "%s: byte %zu: expected a dictionary of descr, fortran_order and "
                               "shape",
                               cn_source_name(s),
                               cn_source_offset(s) - length + (size_t)(t.at - letters));
    cn_release(letters);
    return status;
}

cn_status cn_npy_header(cn_source *s, cn_array_about *about, cn_error *err)
{
    order ignored;
    return read_header(s, about, &ignored, err);
}

/* ---- The elements */

/* Element (i0, i1, i2, i3) lies at i0 + n0 (i1 + n1 (i2 + n2 i3)) in Fortran's order. */
static void to_c_order(const cn_array_about *about, const uint8_t *in, uint8_t *out)
{
    size_t n[CN_MAX_RANK] = {1, 1, 1, 1}, size = cn_array_element_size(about);
    for (int i = 0; i < about->rank; i++) n[i] = (size_t)about->shape[i];
    for (size_t i0 = 0; i0 < n[0]; i0++)
        for (size_t i1 = 0; i1 < n[1]; i1++)
            for (size_t i2 = 0; i2 < n[2]; i2++)
                for (size_t i3 = 0; i3 < n[3]; i3++, out += size)
                    memcpy(out, in + size * (i0 + n[0] * (i1 + n[1] * (i2 + n[2] * i3))), size);
}

size_t cn_utf8_put(uint8_t *out, uint32_t c)
{
    size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t marks[4] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(marks[more] | c);
    return more + 1;
}

/* Texts of characters of 4 bytes become UTF-8 in the place that they have. */
static cn_status to_utf8(cn_source *s, uint8_t *data, size_t count, size_t width, cn_error *err)
{
    for (size_t i = 0; i < count; i++, data += width) {
        size_t used = 0;
        for (size_t at = 0; at < width; at += 4) {
            uint32_t c;
            memcpy(&c, data + at, sizeof c);
            if (c == 0) break;
            if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return cn_fail(err, CN_ERR_FORMAT,
                               "%s: text %zu has character %u, which Unicode "
                               "has not",
                               cn_source_name(s), i, (unsigned)c);
            used += cn_utf8_put(data + used, c);
        }
        memset(data + used, 0, width - used);
    }
    return CN_OK;
}

static bool is_big_endian(void)
{
    const uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* How many elements there are; nothing is allocated for more than the file can hold. */
static cn_status count_elements(size_t *count, const cn_source *s, const cn_array_about *about,
                                cn_error *err)
{
    char shape[CN_SHAPE_TEXT];
    size_t size = cn_array_element_size(about), capacity = cn_source_capacity(s);
    if (cn_array_count(about, count) && *count <= capacity / size) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%s: byte %zu: expected %s elements of %zu bytes, found at most %zu bytes",
                   cn_source_name(s), cn_source_offset(s),
                   cn_shape_text(about->rank, about->shape, shape), size, capacity);
}

static cn_status read_elements(cn_source *s, const cn_array_about *about, order found,
                               cn_array *out, cn_error *err)
{
    size_t count = 0, size = cn_array_element_size(about);
    bool texts = about->element == CN_ELEMENT_TEXT, swap = found.big_endian != is_big_endian();
    cn_status status = count_elements(&count, s, about, err);
    if (status != CN_OK) return status;
    uint8_t *data = cn_allocate(count, size, cn_source_name(s), err);
    if (!data) return CN_ERR_MEMORY;
    status = cn_source_read(s, data, count * size, "elements", err);
    if (status == CN_OK) status = cn_source_end(s, err);
    if (status == CN_OK && swap && !texts) cn_swap_bytes(data, count, size);
    if (status == CN_OK && swap && found.wide) cn_swap_bytes(data, count * size / 4, 4);
    if (status == CN_OK && found.wide) status = to_utf8(s, data, count, size, err);
    if (status == CN_OK && found.fortran && about->rank > 1) {
        uint8_t *turned = cn_allocate(count, size, cn_source_name(s), err);
        if (turned) to_c_order(about, data, turned);
        if (!turned) status = CN_ERR_MEMORY;
        cn_release(data);
        data = turned;
    }
    if (status == CN_OK)
        *out = (cn_array){*about, data};
    else
        cn_release(data);
    return status;
}

cn_status cn_npy_read(cn_source *s, const char *name, cn_array *out, cn_error *err)
{
    cn_array_about about = {.name = ""};
    order found;
    snprintf(about.name, sizeof about.name, "%s", name);
    cn_status status = read_header(s, &about, &found, err);
    return status == CN_OK ? read_elements(s, &about, found, out, err) : status;
}

cn_status cn_npy_locate(cn_source *s, cn_array_place *place, bool *found, cn_error *err)
{
    cn_array_about about = {.name = ""};
    order o;
    size_t count = 0;
    cn_status status = read_header(s, &about, &o, err);
    *found = false;
    if (status != CN_OK || !cn_source_place(s, &place->offset) || (o.fortran && about.rank > 1))
        return status;
    place->element = about.element;
    place->swapped = o.big_endian != is_big_endian();
    status = count_elements(&count, s, &about, err);
    if (status == CN_OK)
        status = cn_source_check_rest(s, count * cn_array_element_size(&about), err);
    *found = status == CN_OK;
    return status;
}

/* ---- Writing: version 1.0, the elements' beginning aligned to 64 bytes, as NumPy does */

size_t cn_npy_head(const cn_tensor *t, uint8_t head[CN_NPY_HEAD])
{
    enum { BEGIN = 10, UNIT = 64 };
    static const char *const descr[] = {[CN_DTYPE_F32] = "<f4",
                                        [CN_DTYPE_F64] = "<f8",
                                        [CN_DTYPE_I32] = "<i4",
                                        [CN_DTYPE_U8] = "|u1"};
    char shape[CN_SHAPE_TEXT];
    size_t used = 0;
    for (int i = 0; i < t->rank; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%d%s", i ? " " : "",
                                 t->shape[i], i + 1 < t->rank || t->rank == 1 ? "," : "");
    int length = snprintf((char *)head + BEGIN, CN_NPY_HEAD - BEGIN,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                          descr[t->dtype], shape);
    size_t whole = (BEGIN + (size_t)length + UNIT) / UNIT * UNIT, header = whole - BEGIN;
    memset(head + BEGIN + length, ' ', header - (size_t)length);
    head[whole - 1] = '\n';
    memcpy(head, (const uint8_t[]){0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0}, 8);
    head[8] = (uint8_t)header;
    head[9] = (uint8_t)(header >> 8);
    return whole;
}

cn_status cn_npy_write(cn_sink *sink, const cn_tensor *t, cn_error *err)
{
    uint8_t head[CN_NPY_HEAD];
    cn_status status = cn_sink_write(sink, head, cn_npy_head(t, head), err);
    if (status != CN_OK) return status;
    return cn_sink_write(sink, t->data, cn_tensor_count(t) * cn_dtype_size(t->dtype), err);
}

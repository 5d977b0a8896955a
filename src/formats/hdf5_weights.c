/*
 * hdf5_weights.c - arrays of floats in an HDF5 file (HDF5 File Format Specification 3.0), by a reader
 * of our own.
 *
 * Weights come from strangers, and libhdf5 has let files overwrite memory again and again. A child
 * process around it would need a program of its own, and does not suit a library. What Keras and the
 * course write is a small part of the format, in which nothing has to be trusted: it is read here
 * from memory, and each access is checked. libhdf5 (hdf5.c) reads data sets.
 *
 * Little-endian; addresses count from the superblock, and all ones stand for none. It begins the file, or
 * follows a block of the user's, of 512, 1024, 2048, .. bytes.
 *
 *   superblock 0, 1   0 8 89 "HDF" 0d 0a 1a 0a;  8 1 version;  13 1 bytes of an address, 14 1 of a
 *                     length: both 8;  24 (version 1: 28) 8 base address: its own;  40 (44) 8 root's header
 *              2, 3   9 1 and 10 1 the same;  12 8 base address;  36 8 root's header
 *   header, version 1 0 1 version;  2 2 messages;  8 4 bytes of the first block;  16 messages:
 *                     2 type, 2 size, 4 flags, then so many bytes
 *           version 2 "OHDR";  4 1 version;  5 1 flags: 3 size of the next field, 4 order, 10 and 20
 *                     more fields;  bytes of the first block;  messages: 1 type, 2 size, 1 flags,
 *                     2 order, if flags say so;  4 checksum, also of each further block "OCHK"
 *   messages          1 dataspace   0 1 version;  1 1 rank;  8 (version 2: 4) extents of 8 bytes
 *                     3 datatype    0 1 version << 4 | class 0: integer, 1: float, 5: opaque;  1 1 bit
 *                                   0: big-endian;  4 4 size;  10 2 precision;  13 1 bits of the exponent
 *                     6 link        0 1 version;  1 1 flags;  a name and an address
 *                     8 layout      0 1 version 3 or 4;  1 1 class 0: 2 size, bytes; 1: 8 address, 8 size;
 *                                   2: chunks, 3: arrays of other files, which are not read
 *                     7 external files, b filters: not read
 *                     10 more       8 address and 8 size of a further block of messages
 *                     11 group      0 8 address of a B-tree, 8 8 of a heap of names
 *   B-tree            "TREE";  4 1 type 0;  5 1 level;  6 2 children;  24 8 key, 8 child, ...
 *   level 0's child   "SNOD";  6 2 entries;  8 entries of 40 bytes: 0 8 name in the heap, 8 8 header,
 *                     none for a soft link
 *   heap              "HEAP";  8 8 size;  24 8 address
 */
#include "formats/hdf5_weights.h"

#include "formats/array.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_OBJECTS = 65536, /* links followed, and nodes of trees looked at */
    MOST_BLOCKS = 64,     /* of one header */
    LEVELS = 8,           /* of a tree */
};
#define NOWHERE UINT64_MAX

static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

/* A group or an array whose header has still to be read. */
typedef struct object {
    uint64_t header;
    char path[CN_ARRAY_NAME];
} object;

typedef struct reader {
    const uint8_t *bytes; /* from the superblock on */
    size_t size, block;   /* bytes before it */
    const char *file;     /* its name */
    cn_weight_file *out;
    object *waiting; /* a stack */
    int count, room, seen;
    size_t stored; /* bytes of arrays so far: no honest file has more than it is long */
    cn_error *err;
} reader;

/* ---- bytes */

/* `size` bytes at this address, or NULL. */
static const uint8_t *look(const reader *r, uint64_t at, uint64_t size)
{
    return at <= r->size && size <= r->size - at ? r->bytes + at : NULL;
}

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static cn_status broken(const reader *r, uint64_t at, const char *what)
{
    return cn_fail(r->err, CN_ERR_FORMAT, "%.100s: byte %llu: HDF5: expected %s", r->file,
                   (unsigned long long)at, what);
}

/* ---- objects that wait */

/* The optimizer's state of a network that was trained: arrays that look like weights. */
static bool is_optimizer(const char *parent, const char *name, size_t length)
{
    static const char *const groups[] = {"optimizer", "optimizer_weights"};
    for (size_t i = 0; i < 2; i++)
        if (!parent[0] && length == strlen(groups[i]) && memcmp(name, groups[i], length) == 0)
            return true;
    return false;
}

/* A link to another name, or into another file. */
static void pass_link(reader *r, const char *name, size_t length)
{
    char text[48];
    snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text), name);
    cn_weight_file_pass(r->out, text, "a link, which is not followed");
}

static cn_status push(reader *r, uint64_t header, const char *parent, const char *name,
                      size_t length)
{
    object o = {.header = header};
    if (header == NOWHERE) return pass_link(r, name, length), CN_OK;
    int used = snprintf(o.path, sizeof o.path, "%s%s%.*s", parent, parent[0] ? "/" : "",
                        (int)(length < sizeof o.path ? length : sizeof o.path), name);
    if (++r->seen > MOST_OBJECTS)
        return cn_fail(r->err, CN_ERR_FORMAT, "%.100s: HDF5: more than %d objects", r->file,
                       MOST_OBJECTS);
    if (used >= (int)sizeof o.path) return CN_OK; /* a name too long is no weight's */
    if (is_optimizer(parent, name, length)) return CN_OK;
    if (r->count == r->room) {
        int room = r->room ? 2 * r->room : 64;
        object *more = cn_allocate((size_t)room, sizeof *more, r->file, r->err);
        if (!more) return CN_ERR_MEMORY;
        if (r->count) memcpy(more, r->waiting, (size_t)r->count * sizeof *more);
        cn_release(r->waiting);
        r->waiting = more;
        r->room = room;
    }
    r->waiting[r->count++] = o;
    return CN_OK;
}

/* ---- groups, as versions before 1.8 write them */

typedef struct heap {
    uint64_t at, size;
} heap;

static cn_status read_entry(reader *r, const uint8_t *entry, heap names, const char *parent)
{
    uint64_t name = number(entry, 8);
    if (name >= names.size) return broken(r, names.at, "a name inside the heap");
    const char *text = (const char *)r->bytes + names.at + name;
    const char *end = memchr(text, 0, names.size - name);
    if (!end) return broken(r, names.at + name, "a name that ends");
    return push(r, number(entry + 8, 8), parent, text, (size_t)(end - text));
}

static cn_status read_entries(reader *r, uint64_t at, heap names, const char *parent)
{
    enum { ENTRY = 40 };
    const uint8_t *node = look(r, at, 8);
    if (!node || memcmp(node, "SNOD", 4) != 0) return broken(r, at, "a group's entries, SNOD");
    size_t count = number(node + 6, 2);
    const uint8_t *entry = look(r, at + 8, count * ENTRY);
    if (!entry) return broken(r, at, "as many entries as there are said to be");
    cn_status status = CN_OK;
    for (size_t i = 0; i < count && status == CN_OK; i++)
        status = read_entry(r, entry + i * ENTRY, names, parent);
    return status;
}

/* A node of a tree, and the child that comes next. */
typedef struct branch {
    uint64_t at;
    int level, count, next;
} branch;

static cn_status open_branch(reader *r, uint64_t at, int below, branch *out)
{
    const uint8_t *node = look(r, at, 24);
    if (!node || memcmp(node, "TREE", 4) != 0 || node[4] != 0)
        return broken(r, at, "a tree of a group");
    *out = (branch){.at = at, .level = node[5], .count = (int)number(node + 6, 2)};
    if (out->level >= below) return broken(r, at, "a lower level of the tree");
    if (!look(r, at + 24, (uint64_t)out->count * 16))
        return broken(r, at, "as many children as there are said to be");
    if (++r->seen > MOST_OBJECTS) return broken(r, at, "fewer nodes of trees");
    return CN_OK;
}

static cn_status read_tree(reader *r, uint64_t at, heap names, const char *parent)
{
    branch path[LEVELS];
    int depth = 1;
    cn_status status = open_branch(r, at, LEVELS, &path[0]);
    while (status == CN_OK && depth > 0) {
        branch *b = &path[depth - 1];
        if (b->next == b->count) {
            depth--;
            continue;
        }
        uint64_t child = number(r->bytes + b->at + 32 + 16 * (uint64_t)b->next++, 8);
        if (b->level == 0)
            status = read_entries(r, child, names, parent);
        else
            status = open_branch(r, child, b->level, &path[depth++]);
    }
    return status;
}

static cn_status read_group(reader *r, const uint8_t *message, size_t size, const char *parent)
{
    if (size < 16) return broken(r, (uint64_t)(message - r->bytes), "a group's addresses");
    uint64_t at = number(message + 8, 8);
    const uint8_t *head = look(r, at, 32);
    if (!head || memcmp(head, "HEAP", 4) != 0) return broken(r, at, "a heap of names");
    heap names = {.at = number(head + 24, 8), .size = number(head + 8, 8)};
    if (!look(r, names.at, names.size)) return broken(r, at, "a heap inside the file");
    return read_tree(r, number(message, 8), names, parent);
}

/* A link of a newer group: soft and external ones are passed over. */
static cn_status read_link(reader *r, const uint8_t *m, size_t size, const char *parent)
{
    size_t at = 2;
    if (size < 4 || m[0] != 1) return broken(r, (uint64_t)(m - r->bytes), "a link of version 1");
    int flags = m[1], width = 1 << (flags & 3);
    int type = flags & 8 ? m[at++] : 0;
    if (flags & 4) at += 8;
    if (flags & 16) at++;
    if (at + (size_t)width > size) return broken(r, (uint64_t)(m - r->bytes), "a whole link");
    uint64_t length = number(m + at, width);
    at += (size_t)width;
    if (length <= size - at && type != 0) return pass_link(r, (const char *)m + at, length), CN_OK;
    if (length > size - at || size - at - length < 8)
        return broken(r, (uint64_t)(m - r->bytes), "a whole link");
    return push(r, number(m + at + length, 8), parent, (const char *)m + at, (size_t)length);
}

/* ---- arrays */

/* What the messages of a header say of an array. */
typedef struct array {
    int rank, shape[CN_MAX_RANK];
    bool floats, integers, brain, big_endian, elsewhere, in_pieces, has_layout;
    size_t width;
    const uint8_t *data; /* NULL: not stored in one piece */
    uint64_t stored;
} array;

static void read_space(array *a, const uint8_t *m, size_t size)
{
    size_t at = size > 0 && m[0] == 2 ? 4 : 8;
    int rank = size > 1 ? m[1] : 0;
    if (size < at + 8 * (size_t)rank || rank < 1 || rank > CN_MAX_RANK) return;
    for (int i = 0; i < rank; i++) {
        uint64_t extent = number(m + at + 8 * (size_t)i, 8);
        if (extent < 1 || extent > INT32_MAX) return;
        a->shape[i] = (int)extent;
    }
    a->rank = rank;
}

/*
 * IEEE 754 of 2, 4 or 8 bytes, or bfloat16, the upper half of one of 4. NumPy has no type for the last,
 * so that Keras has h5py write it as opaque elements of 2 bytes.
 */
static void read_type(array *a, const uint8_t *m, size_t size)
{
    const int class = size < 8 ? -1 : m[0] & 15;
    if (class >= 0) a->width = number(m + 4, 4);
    a->integers = class == 0;
    a->brain = class == 5 && a->width == 2;
    a->floats = a->brain;
    if (size < 20 || class != 1 || (m[1] & 64)) return;
    a->big_endian = m[1] & 1;
    a->brain = a->width == 2 && m[13] == 8;
    a->floats = number(m + 10, 2) == 8 * a->width &&
                ((a->width == 2 && (m[13] == 5 || a->brain)) || (a->width == 4 && m[13] == 8) ||
                 (a->width == 8 && m[13] == 11));
}

static void read_layout(const reader *r, array *a, const uint8_t *m, size_t size)
{
    if (size < 2 || (m[0] != 3 && m[0] != 4)) return;
    a->has_layout = true;
    if (m[1] > 1) a->in_pieces = true;
    if (m[1] == 0 && size >= 4 && number(m + 2, 2) <= size - 4) {
        a->stored = number(m + 2, 2);
        a->data = m + 4;
    } else if (m[1] == 1 && size >= 18) {
        a->stored = number(m + 10, 8);
        a->data = look(r, number(m + 2, 8), a->stored);
    }
}

static float element(const array *a, size_t i)
{
    uint8_t own[8];
    const uint8_t *from = a->data + i * a->width;
    for (size_t k = 0; k < a->width; k++) own[k] = from[a->big_endian ? a->width - 1 - k : k];
    float single;
    double wide;
    memcpy(&wide, own, sizeof wide < a->width ? sizeof wide : a->width);
    memcpy(&single, own, sizeof single < a->width ? sizeof single : a->width);
    if (a->width == 8) return (float)wide;
    if (a->brain) {
        const uint32_t bits = (uint32_t)number(own, 2) << 16;
        memcpy(&single, &bits, sizeof single);
        return single;
    }
    return a->width == 2 ? (float)cn_half_value((uint16_t)number(own, 2)) : single;
}

static cn_status take_array(reader *r, const array *a, const object *o)
{
    size_t count = 1, bytes = a->width;
    for (int i = 0; i < a->rank; i++) {
        count *= (size_t)a->shape[i]; /* below `bytes`, if that does not overflow */
        if (!cn_multiply(bytes, (size_t)a->shape[i], &bytes)) bytes = SIZE_MAX;
        if (bytes == SIZE_MAX) break;
    }
    if (a->elsewhere || a->in_pieces || !a->has_layout)
        return cn_fail(
            r->err, CN_ERR_UNSUPPORTED,
            "%.80s: HDF5: %.60s lies in chunks, packed or in another file, expected in one "
            "piece, as Keras writes it and h5repack -f NONE -l CONTI",
            r->file, o->path);
    if (!a->data || a->stored != bytes)
        return cn_fail(r->err, CN_ERR_FORMAT,
                       "%.80s: HDF5: %.80s: expected %zu bytes in one piece, found %llu", r->file,
                       o->path, bytes, (unsigned long long)(a->data ? a->stored : 0));
    if (bytes > r->size - r->stored)
        return cn_fail(r->err, CN_ERR_FORMAT,
                       "%.80s: HDF5: %.80s: the arrays are larger than the file", r->file, o->path);
    r->stored += bytes;
    cn_tensor t = {0};
    cn_status status = cn_tensor_create(&t, CN_DTYPE_F32, a->rank, a->shape, r->err);
    if (status != CN_OK) return status;
    for (size_t i = 0; i < count; i++) ((float *)t.data)[i] = element(a, i);
    const bool as_is = a->width == sizeof(float) && !a->big_endian;
    const size_t place = (size_t)(a->data - r->bytes) + r->block;
    return cn_weight_file_add(r->out, o->path, &t, as_is ? place : 0, r->err);
}

/* ---- headers */

/* A header's blocks of messages. */
typedef struct header {
    struct {
        uint64_t at, size;
    } blocks[MOST_BLOCKS];
    int count, version;
    bool ordered; /* version 2: messages have a number */
} header;

static cn_status open_header(const reader *r, uint64_t at, header *h)
{
    const uint8_t *p = look(r, at, 16);
    *h = (header){.version = 1, .count = 1};
    if (p && p[0] == 1) {
        h->blocks[0].at = at + 16;
        h->blocks[0].size = number(p + 8, 4);
        return CN_OK;
    }
    if (!p || memcmp(p, "OHDR", 4) != 0 || p[4] != 2) return broken(r, at, "an object's header");
    int flags = p[5], width = 1 << (flags & 3);
    uint64_t begin = at + 6 + (flags & 32 ? 16 : 0) + (flags & 16 ? 4 : 0);
    const uint8_t *length = look(r, begin, (uint64_t)width);
    if (!length) return broken(r, at, "an object's header");
    h->version = 2;
    h->ordered = flags & 4;
    h->blocks[0].at = begin + (uint64_t)width;
    h->blocks[0].size = number(length, width);
    return CN_OK;
}

/* "OCHK", messages and a checksum in version 2; messages alone in version 1. */
static cn_status add_block(const reader *r, header *h, const uint8_t *m, size_t size)
{
    if (size < 16 || h->count == MOST_BLOCKS)
        return broken(r, (uint64_t)(m - r->bytes), "fewer blocks of messages");
    uint64_t at = number(m, 8), length = number(m + 8, 8);
    const uint8_t *block = look(r, at, length);
    if (h->version == 2 && (length < 8 || !block || memcmp(block, "OCHK", 4) != 0))
        return broken(r, at, "a block of messages, OCHK");
    h->blocks[h->count].at = h->version == 2 ? at + 4 : at;
    h->blocks[h->count++].size = h->version == 2 ? length - 8 : length;
    return CN_OK;
}

static cn_status read_message(reader *r, header *h, array *a, const object *o, int type,
                              const uint8_t *m, size_t size)
{
    switch (type) {
    case 0x01: read_space(a, m, size); return CN_OK;
    case 0x03: read_type(a, m, size); return CN_OK;
    case 0x06: return read_link(r, m, size, o->path);
    case 0x07: a->elsewhere = true; return CN_OK;
    case 0x08: read_layout(r, a, m, size); return CN_OK;
    case 0x0b: a->in_pieces = true; return CN_OK; /* and packed */
    case 0x10: return add_block(r, h, m, size);
    case 0x11: return read_group(r, m, size, o->path);
    default: return CN_OK;
    }
}

static cn_status read_block(reader *r, header *h, array *a, const object *o, int i)
{
    const size_t head = h->version == 1 ? 8 : h->ordered ? 6 : 4;
    uint64_t at = h->blocks[i].at, left = h->blocks[i].size;
    const uint8_t *p = look(r, at, left);
    if (!p) return broken(r, at, "messages inside the file");
    cn_status status = CN_OK;
    while (left >= head && status == CN_OK) {
        int type = h->version == 1 ? (int)number(p, 2) : p[0];
        size_t size = number(p + (h->version == 1 ? 2 : 1), 2);
        bool shared = p[h->version == 1 ? 4 : 3] & 2; /* its bytes lie elsewhere */
        p += head;
        left -= head;
        if (size > left) return broken(r, (uint64_t)(p - r->bytes), "a whole message");
        if (!shared) status = read_message(r, h, a, o, type, p, size);
        p += size;
        left -= size;
    }
    return status;
}

static cn_status read_object(reader *r, const object *o)
{
    header h;
    array a = {.rank = 0};
    cn_status status = open_header(r, o->header, &h);
    for (int i = 0; status == CN_OK && i < h.count; i++) status = read_block(r, &h, &a, o, i);
    if (status == CN_OK && a.rank > 0 && a.integers) {
        bool one = true;
        for (int k = 0; k < a.rank; k++) one = one && a.shape[k] == 1;
        if (!one) cn_weight_file_pass(r->out, o->path, "integers");
    }
    return status == CN_OK && a.rank > 0 && a.floats ? take_array(r, &a, o) : status;
}

/* ---- the file */

static cn_status find_root(reader *r, uint64_t *root)
{
    const uint8_t *p;
    while ((p = look(r, r->block, 96)) && memcmp(p, signature, sizeof signature) != 0)
        r->block = r->block ? 2 * r->block : 512;
    if (!p || p[8] > 3) return broken(r, 0, "an HDF5 file with a superblock of version 0 to 3");
    const bool old = p[8] < 2;
    const size_t more = p[8] == 1 ? 4 : 0;
    if (number(p + (old ? 13 : 9), 2) != 0x0808)
        return broken(r, old ? 13 : 9, "addresses and lengths of 8 bytes");
    const uint64_t base = number(p + (old ? 24 + more : 12), 8);
    if (base != 0 && base != r->block)
        return broken(r, r->block + (old ? 24 + more : 12), "the superblock's own address");
    r->bytes += r->block;
    r->size -= r->block;
    *root = number(p + (old ? 64 + more : 36), 8);
    return CN_OK;
}

cn_status cn_hdf5_weights_read(cn_weight_file *file, const uint8_t *bytes, size_t size,
                               const char *path, cn_error *err)
{
    reader r = {.bytes = bytes, .size = size, .file = path, .out = file, .err = err};
    uint64_t root = NOWHERE;
    cn_status status = find_root(&r, &root);
    if (status == CN_OK) status = push(&r, root, "", "", 0);
    while (status == CN_OK && r.count > 0) {
        object o = r.waiting[--r.count];
        status = read_object(&r, &o);
    }
    cn_release(r.waiting);
    return status;
}

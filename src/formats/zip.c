/*
 * zip.c - reads ZIP archives (PKWARE APPNOTE.TXT 6.3.10), with ZIP64, from one file.
 *
 * Everything is little-endian. At the end of the file, behind which a comment may stand:
 *
 *   end of directory   0   4   50 4b 05 06
 *                      10  2   members, ffff: see ZIP64
 *                      12  4   bytes of the directory, ffffffff: see ZIP64
 *                      16  4   its offset, ffffffff: see ZIP64
 *                      20  2   bytes of the comment that follows
 *
 *   ZIP64 locator      0   4   50 4b 06 07, 20 bytes before the end of directory
 *                      8   8   offset of the ZIP64 end of directory
 *
 *   ZIP64 end          0   4   50 4b 06 06
 *                      32  8   members;  40  8  bytes of the directory;  48  8  its offset
 *
 * The directory, a row a member:
 *
 *   0   4   50 4b 01 02               24  4   size, ffffffff: in the extra field 1
 *   8   2   flags, bit 0: encrypted   28  2   bytes of the name; 30 2 of the extra fields,
 *   10  2   0 stored, 8 deflated              32 2 of the comment
 *   16  4   CRC-32                    42  4   offset of its header, ffffffff: in the extra field 1
 *   20  4   packed size, likewise     46      name, extra fields, comment
 *
 * Extra fields are 2 bytes of a number, 2 of a length, and so many bytes. Number 1 holds 8 bytes
 * each of those that were ffffffff, in this order: size, packed size, offset.
 *
 * A member's header: 0 4 50 4b 03 04; 26 2 bytes of the name, 28 2 of the extra fields; 30 both,
 * then the packed bytes. What else it says is repeated in the directory, which counts.
 */
#include "formats/zip.h"

#include "base/signature.h"

#include <string.h>

enum {
    END = 22,
    LOCATOR = 20,
    END64 = 56,
    ROW = 46,
    HEADER = 30,
    COMMENT = 65535,
    DIRECTORY = 16 << 20, /* more is refused: 100,000 members have 10 MiB */
};

static uint64_t little_endian(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static bool has_mark(const uint8_t *p, uint8_t a, uint8_t b)
{
    return p[0] == 'P' && p[1] == 'K' && p[2] == a && p[3] == b;
}

/* Exactly these bytes of the file. */
static cn_status read_at(const char *path, const char *what, size_t offset, void *out, size_t size,
                         cn_error *err)
{
    cn_source *s = NULL;
    cn_source_part part = {.name = what, .offset = offset, .packed = size, .size = size};
    cn_status status = cn_source_open_part(&s, path, &part, err);
    if (status == CN_OK) status = cn_source_read(s, out, size, what, err);
    cn_source_close(s);
    return status;
}

/* ---- Where the directory is */

typedef struct directory {
    uint64_t count, size, offset;
} directory;

static cn_status read_end64(directory *d, const char *path, const uint8_t *locator, cn_error *err)
{
    uint8_t end[END64];
    uint64_t offset = little_endian(locator + 8, 8);
    cn_status status = read_at(path, "ZIP64 directory", (size_t)offset, end, sizeof end, err);
    if (status != CN_OK) return status;
    if (!has_mark(end, 6, 6))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: expected the ZIP64 end of directory",
                       path, (size_t)offset);
    *d = (directory){little_endian(end + 32, 8), little_endian(end + 40, 8),
                     little_endian(end + 48, 8)};
    return CN_OK;
}

/* `tail` is the file's last `size` bytes. */
static cn_status find_directory(directory *d, const char *path, const uint8_t *tail, size_t size,
                                cn_error *err)
{
    for (size_t at = size < END ? 0 : size - END + 1; at-- > 0;) {
        const uint8_t *end = tail + at;
        if (!has_mark(end, 5, 6) || at + END + little_endian(end + 20, 2) != size) continue;
        *d = (directory){little_endian(end + 10, 2), little_endian(end + 12, 4),
                         little_endian(end + 16, 4)};
        if (at >= LOCATOR && has_mark(end - LOCATOR, 6, 7))
            return read_end64(d, path, end - LOCATOR, err);
        return CN_OK;
    }
    const cn_signature *other = cn_signature_of_file(path);
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: no ZIP archive: %s", path,
                   other && other->bytes[0] != 'P' ? other->name : "its end is not a directory's");
}

static cn_status read_directory(directory *d, const char *path, cn_error *err)
{
    cn_source *s = NULL;
    cn_status status = cn_source_open(&s, path, CN_SOURCE_PLAIN, err);
    if (status != CN_OK) return status;
    size_t whole = cn_source_capacity(s);
    cn_source_close(s);
    size_t size = whole < LOCATOR + END + COMMENT ? whole : LOCATOR + END + COMMENT;
    uint8_t *tail = cn_allocate(size + 1, 1, path, err);
    if (!tail) return CN_ERR_MEMORY;
    status = read_at(path, "end", whole - size, tail, size, err);
    if (status == CN_OK) status = find_directory(d, path, tail, size, err);
    cn_release(tail);
    return status;
}

/* ---- Its rows */

/* Sizes and offset that did not fit into 32 bits. */
static void read_extra(cn_zip_member *m, const uint8_t *extra, size_t size)
{
    const size_t missing = UINT32_MAX;
    while (size >= 4) {
        size_t number = little_endian(extra, 2), length = little_endian(extra + 2, 2);
        extra += 4;
        size -= 4;
        if (length > size) return;
        size_t *fields[] = {&m->size, &m->packed, &m->header};
        for (size_t i = 0, at = 0; number == 1 && i < 3; i++)
            if (*fields[i] == missing && at + 8 <= length) {
                *fields[i] = (size_t)little_endian(extra + at, 8);
                at += 8;
            }
        extra += length;
        size -= length;
    }
}

static cn_status read_row(cn_zip_member *m, const char *path, const uint8_t *row, size_t left,
                          size_t *used, cn_error *err)
{
    if (left < ROW || !has_mark(row, 1, 2))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: expected another member in the ZIP directory",
                       path);
    size_t name = little_endian(row + 28, 2), extra = little_endian(row + 30, 2);
    *used = ROW + name + extra + little_endian(row + 32, 2);
    if (*used > left)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: the ZIP directory is cut short", path);
    *m = (cn_zip_member){.header = little_endian(row + 42, 4),
                         .packed = little_endian(row + 20, 4),
                         .size = little_endian(row + 24, 4),
                         .crc = (uint32_t)little_endian(row + 16, 4),
                         .method = (int)little_endian(row + 10, 2),
                         .encrypted = row[8] & 1};
    memcpy(m->name, row + ROW, name < CN_ZIP_NAME ? name : CN_ZIP_NAME - 1);
    read_extra(m, row + ROW + name, extra);
    return CN_OK;
}

cn_status cn_zip_list(cn_zip_member **out, int *count, const char *path, cn_error *err)
{
    directory d = {0, 0, 0};
    cn_status status = read_directory(&d, path, err);
    if (status != CN_OK) return status;
    if (d.size > DIRECTORY || d.count > d.size / ROW)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: a ZIP directory of %zu bytes for %zu members, expected at most %d "
                       "bytes, of which %d a member",
                       path, (size_t)d.size, (size_t)d.count, (int)DIRECTORY, (int)ROW);
    uint8_t *rows = cn_allocate((size_t)d.size + 1, 1, path, err);
    cn_zip_member *members = cn_allocate((size_t)d.count + 1, sizeof *members, path, err);
    status = rows && members
                 ? read_at(path, "directory", (size_t)d.offset, rows, (size_t)d.size, err)
                 : CN_ERR_MEMORY;
    for (size_t i = 0, at = 0, used = 0; status == CN_OK && i < d.count; i++, at += used)
        status = read_row(&members[i], path, rows + at, (size_t)d.size - at, &used, err);
    cn_release(rows);
    if (status == CN_OK) {
        *out = members;
        *count = (int)d.count;
    } else {
        cn_release(members);
    }
    return status;
}

cn_status cn_zip_open(cn_source **source, const char *path, const cn_zip_member *m, cn_error *err)
{
    uint8_t header[HEADER];
    if (m->encrypted || (m->method != 0 && m->method != 8))
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "%.120s: %s: %s, expected a member that is stored or deflated", path,
                       m->name, m->encrypted ? "encrypted" : "packed in another way");
    cn_status status = read_at(path, m->name, m->header, header, HEADER, err);
    if (status != CN_OK) return status;
    if (!has_mark(header, 3, 4))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %s: byte %zu: expected a ZIP member's header",
                       path, m->name, m->header);
    cn_source_part part = {
        .name = m->name,
        .offset = m->header + HEADER + (size_t)little_endian(header + 26, 2) +
                  (size_t)little_endian(header + 28, 2),
        .packed = m->packed,
        .deflated = m->method == 8,
        .size = m->size,
        .has_crc = true,
        .crc = m->crc,
    };
    return cn_source_open_part(source, path, &part, err);
}

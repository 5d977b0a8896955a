/*
 * zip_save.c - ZIP archives (PKWARE APPNOTE.TXT 6.3.10), written: members that are stored as they
 * are; zip.c has the numbers of the fields.
 *
 * Every member's header, with its size and CRC-32, comes before its bytes, and the directory behind
 * all of them. The same members give the same bytes.
 */
#include "formats/zip_save.h"

#include <string.h>
#include <zlib.h>

static size_t put(uint8_t *out, size_t at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) out[at++] = (uint8_t)(value >> 8 * i);
    return at;
}

static size_t name_length(const cn_zip_row *row)
{
    return strlen(row->name) + strlen(row->ending);
}

/* The fields that a member's header and its row of the directory have in common. */
static size_t put_member(uint8_t *out, size_t at, const cn_zip_row *row)
{
    enum { VERSION = 20, UTF8 = 1 << 11, FIRST_DAY = 1 << 5 | 1 }; /* 1 January 1980 */
    at = put(out, at, VERSION, 2);
    at = put(out, at, UTF8, 2);
    at = put(out, at, 0, 4); /* stored; at midnight */
    at = put(out, at, FIRST_DAY, 2);
    at = put(out, at, row->crc, 4);
    at = put(out, at, row->size, 4);
    at = put(out, at, row->size, 4);
    at = put(out, at, name_length(row), 2);
    return put(out, at, 0, 2);
}

static cn_status write_name(cn_sink *sink, const cn_zip_row *row, cn_error *err)
{
    cn_status status = cn_sink_write(sink, row->name, strlen(row->name), err);
    return status == CN_OK ? cn_sink_write(sink, row->ending, strlen(row->ending), err) : status;
}

cn_status cn_zip_writer_open(cn_zip_writer *z, const char *path, int most, cn_error *err)
{
    enum { MOST_MEMBERS = 65534 };
    *z = (cn_zip_writer){.path = path, .room = most};
    if (most > MOST_MEMBERS)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: %d arrays, expected at most %d", path,
                       most, MOST_MEMBERS);
    z->rows = cn_allocate((size_t)most + 1, sizeof *z->rows, path, err);
    return z->rows ? cn_sink_open(&z->sink, path, err) : CN_ERR_MEMORY;
}

cn_status cn_zip_writer_add(cn_zip_writer *z, const char *name, const char *ending,
                            const cn_zip_bytes *bytes, int count, cn_error *err)
{
    uint8_t header[30];
    cn_zip_row row = {.name = name, .ending = ending, .header = (uint32_t)z->offset};
    uint64_t after = z->offset + sizeof header + name_length(&row), size = 0;
    uLong crc = 0;
    if (z->count == z->room || name_length(&row) > UINT16_MAX)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: no room for %.60s", z->path, name);
    for (int i = 0; i < count; i++) {
        if (bytes[i].size >= UINT32_MAX - size || after + size + bytes[i].size >= UINT32_MAX)
            return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: an archive of 4 GiB or more", z->path);
        size += bytes[i].size;
        if (bytes[i].size > 0) crc = crc32_z(crc, bytes[i].bytes, bytes[i].size);
    }
    row.size = (uint32_t)size;
    row.crc = (uint32_t)crc;
    put_member(header, put(header, 0, 0x04034b50, 4), &row);
    cn_status status = cn_sink_write(z->sink, header, sizeof header, err);
    if (status == CN_OK) status = write_name(z->sink, &row, err);
    for (int i = 0; i < count && status == CN_OK; i++)
        status = cn_sink_write(z->sink, bytes[i].bytes, bytes[i].size, err);
    z->offset = after + size;
    z->rows[z->count++] = row;
    return status;
}

cn_status cn_zip_writer_end(cn_zip_writer *z, cn_error *err)
{
    uint8_t row[46], end[22];
    size_t size = 0;
    cn_status status = CN_OK;
    for (int i = 0; i < z->count && status == CN_OK; i++) {
        size_t at = put_member(row, put(row, put(row, 0, 0x02014b50, 4), 20, 2), &z->rows[i]);
        at = put(row, at, 0, 8); /* no comment, disk 0, no attributes */
        at = put(row, at, 0, 2);
        put(row, at, z->rows[i].header, 4);
        size += sizeof row + name_length(&z->rows[i]);
        status = cn_sink_write(z->sink, row, sizeof row, err);
        if (status == CN_OK) status = write_name(z->sink, &z->rows[i], err);
    }
    size_t at = put(end, put(end, 0, 0x06054b50, 4), 0, 4);
    at = put(end, put(end, at, (uint64_t)z->count, 2), (uint64_t)z->count, 2);
    at = put(end, put(end, at, size, 4), z->offset, 4);
    put(end, at, 0, 2);
    if (status == CN_OK) status = cn_sink_write(z->sink, end, sizeof end, err);
    return status == CN_OK ? cn_sink_commit(z->sink, err) : status;
}

void cn_zip_writer_close(cn_zip_writer *z)
{
    cn_sink_close(z->sink);
    cn_release(z->rows);
    *z = (cn_zip_writer){.path = NULL};
}

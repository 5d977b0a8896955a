/* source.c - files and memory as streams of bytes. */
#include "base/source.h"
#include "base/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 1 << 16 };

static const cn_unpacker *const unpackers[] = {
    &cn_unpacker_gzip,
    &cn_unpacker_xz,
    NULL,
};

struct cn_source {
    int file;                    /* -1 when reading from memory */
    bool sized;                  /* raw_size is known */
    const cn_unpacker *unpacker; /* NULL: the bytes are read as they are */
    void *unpacking;             /* its state */
    size_t raw_size;             /* of the file or the memory */
    size_t raw_offset;           /* raw bytes taken into `next` so far */
    size_t offset;               /* bytes given to the reader */
    bool part;                   /* of a file: raw_size and size are limits, crc is kept */
    size_t begin, size;          /* of the part: its first byte in the file, its size unpacked */
    bool has_crc;
    uint32_t crc, expected_crc;
    const uint8_t *next; /* raw bytes not yet used */
    size_t available;
    char name[128]; /* its tail, where it is longer: errors have room for 256 bytes */
    uint8_t chunk[CHUNK];
};

static cn_status create(cn_source **source, const char *name, cn_error *err)
{
    cn_source *s = cn_allocate(1, sizeof *s, name, err);
    if (!s) return CN_ERR_MEMORY;
    s->file = -1;
    size_t length = strlen(name);
    if (length < sizeof s->name)
        memcpy(s->name, name, length + 1);
    else
        snprintf(s->name, sizeof s->name, "...%s", name + length - (sizeof s->name - 4));
    *source = s;
    return CN_OK;
}

void cn_source_close(cn_source *s)
{
    if (!s) return;
    if (s->unpacker) s->unpacker->close(s->unpacking);
    if (s->file >= 0) close(s->file);
    cn_release(s);
}

/* Takes the next chunk of raw bytes where none is left; at the end, available stays 0. */
static cn_status refill(cn_source *s, cn_error *err)
{
    if (s->available > 0 || s->file < 0) return CN_OK;
    size_t most =
        s->part && s->raw_size - s->raw_offset < CHUNK ? s->raw_size - s->raw_offset : CHUNK;
    ssize_t got;
    do got = read(s->file, s->chunk, most);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cn_fail(err, CN_ERR_IO, "%s: byte %zu: cannot be read: %s", s->name, s->raw_offset,
                       cn_system_text(errno));
    s->next = s->chunk;
    s->available = (size_t)got;
    s->raw_offset += (size_t)got;
    return CN_OK;
}

/* Decides by the first bytes whether to unpack. */
static cn_status recognize(cn_source *s, cn_source_mode mode, cn_error *err)
{
    cn_status status = refill(s, err);
    if (status != CN_OK || mode == CN_SOURCE_PLAIN) return status;
    for (int i = 0; unpackers[i]; i++) {
        if (!unpackers[i]->detects(s->next, s->available)) continue;
        status = unpackers[i]->open(&s->unpacking, s->name, err);
        if (status == CN_OK) s->unpacker = unpackers[i];
        return status;
    }
    return CN_OK;
}

/* /dev/stdin, or the /dev/fd/63 of a shell's <(...): what the process was given open, and may be a pipe. */
static bool was_given(const char *path)
{
    return strcmp(path, "/dev/stdin") == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
           strncmp(path, "/proc/", 6) == 0;
}

cn_status cn_file_open(int *file, struct stat *about, const char *path, cn_error *err)
{
    char brief[CN_BRIEF_PATH];
    const bool given = was_given(path);
    /* Opening a named pipe would wait for somebody to write to it. */
    const int opened = open(path, O_RDONLY | O_CLOEXEC | (given ? 0 : O_NONBLOCK));
    if (opened < 0 || fstat(opened, about) != 0) {
        const int error = errno;
        if (opened >= 0) close(opened);
        return cn_fail(err, CN_ERR_IO, "%s: cannot be opened: %s", cn_brief_path(path, brief),
                       cn_system_text(error));
    }
    const mode_t mode = about->st_mode;
    if (!S_ISDIR(mode) && (given || !S_ISFIFO(mode))) {
        *file = opened;
        return CN_OK;
    }
    close(opened);
    return cn_fail(err, CN_ERR_IO, "%s: expected a file, found a %s", cn_brief_path(path, brief),
                   S_ISDIR(mode) ? "directory" : "named pipe");
}

static cn_status open_file(cn_source *s, const char *path, cn_error *err)
{
    struct stat about;
    cn_status status = cn_file_open(&s->file, &about, path, err);
    if (status != CN_OK) return status;
    s->sized = S_ISREG(about.st_mode);
    s->raw_size = s->sized ? (size_t)about.st_size : 0;
    return CN_OK;
}

cn_status cn_source_open(cn_source **source, const char *path, cn_source_mode mode, cn_error *err)
{
    cn_source *s = NULL;
    cn_status status = create(&s, path, err);
    if (status != CN_OK) return status;
    status = open_file(s, path, err);
    if (status == CN_OK) status = recognize(s, mode, err);
    if (status == CN_OK)
        *source = s;
    else
        cn_source_close(s);
    return status;
}

/* Checks the part against the file that was opened, and goes there. */
static cn_status enter_part(cn_source *s, const cn_source_part *part, cn_error *err)
{
    size_t most = part->packed;
    if (!s->sized)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "%s: not a regular file, which archives are read from", s->name);
    if (part->offset > s->raw_size || part->packed > s->raw_size - part->offset)
        return cn_fail(err, CN_ERR_FORMAT, "%s: %zu bytes from byte %zu on, in a file of %zu",
                       s->name, part->packed, part->offset, s->raw_size);
    if (part->deflated && !cn_multiply(most, cn_unpacker_deflate.ratio, &most)) most = SIZE_MAX;
    if (part->size > most || (!part->deflated && part->size != most))
        return cn_fail(err, CN_ERR_FORMAT, "%s: expected %zu bytes out of %zu%s", s->name,
                       part->size, part->packed, part->deflated ? " deflated ones" : "");
    if (lseek(s->file, (off_t)part->offset, SEEK_SET) < 0)
        return cn_fail(err, CN_ERR_IO, "%s: cannot be read: %s", s->name, cn_system_text(errno));
    s->part = true;
    s->raw_size = part->packed;
    s->begin = part->offset;
    s->size = part->size;
    s->has_crc = part->has_crc;
    s->expected_crc = part->crc;
    if (!part->deflated) return CN_OK;
    cn_status status = cn_unpacker_deflate.open(&s->unpacking, s->name, err);
    if (status == CN_OK) s->unpacker = &cn_unpacker_deflate;
    return status;
}

cn_status cn_source_open_part(cn_source **source, const char *path, const cn_source_part *part,
                              cn_error *err)
{
    enum { NAMES = 4096 };
    char name[NAMES];
    cn_source *s = NULL;
    snprintf(name, NAMES, "%s: %s", path, part->name);
    cn_status status = create(&s, name, err);
    if (status != CN_OK) return status;
    status = open_file(s, path, err);
    if (status == CN_OK) status = enter_part(s, part, err);
    if (status == CN_OK)
        *source = s;
    else
        cn_source_close(s);
    return status;
}

cn_status cn_source_memory(cn_source **source, const char *name, const void *bytes, size_t size,
                           cn_source_mode mode, cn_error *err)
{
    cn_source *s = NULL;
    cn_status status = create(&s, name, err);
    if (status != CN_OK) return status;
    s->sized = true;
    s->raw_size = s->raw_offset = s->available = size;
    s->next = bytes;
    status = recognize(s, mode, err);
    if (status == CN_OK)
        *source = s;
    else
        cn_source_close(s);
    return status;
}

const char *cn_source_name(const cn_source *s)
{
    return s->name;
}

size_t cn_source_offset(const cn_source *s)
{
    return s->offset;
}

bool cn_source_place(const cn_source *s, size_t *offset)
{
    *offset = s->begin + s->offset;
    return s->file >= 0 && s->sized && !s->unpacker;
}

size_t cn_source_capacity(const cn_source *s)
{
    size_t most;
    if (!s->sized) return SIZE_MAX;
    if (s->part) return s->size > s->offset ? s->size - s->offset : 0;
    if (!s->unpacker) return s->raw_size > s->offset ? s->raw_size - s->offset : 0;
    return cn_multiply(s->raw_size, s->unpacker->ratio, &most) ? most : SIZE_MAX;
}

/* Unpacks up to `size` bytes; *got is less at the end of the stream only. */
static cn_status unpack_some(cn_source *s, uint8_t *out, size_t size, size_t *got, cn_error *err)
{
    *got = 0;
    while (*got < size) {
        cn_status status = refill(s, err);
        if (status != CN_OK) return status;
        cn_unpack_step step = {
            .in = s->next, .in_left = s->available, .out = out + *got, .out_left = size - *got};
        status = s->unpacker->run(s->unpacking, &step, s->name, s->raw_offset - s->available, err);
        if (status != CN_OK) return status;
        s->next = step.in;
        s->available = step.in_left;
        *got = size - step.out_left;
        if (step.ended) return CN_OK;
    }
    return CN_OK;
}

static cn_status copy_some(cn_source *s, uint8_t *out, size_t size, size_t *got, cn_error *err)
{
    *got = 0;
    while (*got < size) {
        cn_status status = refill(s, err);
        if (status != CN_OK) return status;
        if (s->available == 0) return CN_OK;
        size_t part = size - *got < s->available ? size - *got : s->available;
        memcpy(out + *got, s->next, part);
        s->next += part;
        s->available -= part;
        *got += part;
    }
    return CN_OK;
}

cn_status cn_source_read_some(cn_source *s, void *out, size_t size, size_t *got, cn_error *err)
{
    cn_status status =
        s->unpacker ? unpack_some(s, out, size, got, err) : copy_some(s, out, size, got, err);
    s->offset += *got;
    if (s->has_crc) s->crc = (uint32_t)crc32_z(s->crc, out, *got);
    return status;
}

cn_status cn_source_read(cn_source *s, void *out, size_t size, const char *what, cn_error *err)
{
    size_t got, begin = s->offset;
    cn_status status = cn_source_read_some(s, out, size, &got, err);
    if (status == CN_OK && got < size)
        return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: %s: expected %zu bytes, found %zu",
                       s->name, begin, what, size, got);
    return status;
}

bool cn_source_skip(cn_source *s, size_t size)
{
    uint8_t scratch[1024];
    for (size_t n; size > 0; size -= n) {
        n = size < sizeof scratch ? size : sizeof scratch;
        if (cn_source_read(s, scratch, n, "header", NULL) != CN_OK) return false;
    }
    return true;
}

static cn_status more_follows(const cn_source *s, size_t begin, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: expected the end, found more bytes", s->name,
                   begin);
}

cn_status cn_source_check_rest(cn_source *s, size_t size, cn_error *err)
{
    uint8_t scratch[4096];
    cn_status status = CN_OK;
    if (cn_source_capacity(s) > size) return more_follows(s, s->offset + size, err);
    if (!s->has_crc && cn_source_capacity(s) == size) return CN_OK;
    for (size_t n; status == CN_OK && size > 0; size -= n) {
        n = size < sizeof scratch ? size : sizeof scratch;
        status = cn_source_read(s, scratch, n, "elements", err);
    }
    return status == CN_OK ? cn_source_end(s, err) : status;
}

cn_status cn_source_end(cn_source *s, cn_error *err)
{
    uint8_t byte;
    uint32_t crc = s->crc;
    size_t got, begin = s->offset;
    cn_status status = cn_source_read_some(s, &byte, 1, &got, err);
    if (status == CN_OK && got > 0) return more_follows(s, begin, err);
    if (status == CN_OK && s->has_crc && crc != s->expected_crc)
        return cn_fail(err, CN_ERR_FORMAT, "%s: damaged: its CRC-32 is %08x, expected %08x",
                       s->name, (unsigned)crc, (unsigned)s->expected_crc);
    return status;
}

/* Doubles a block, so that a pipe of unknown length is read in linear time. */
static cn_status grow(uint8_t **block, size_t *room, size_t most, const char *path, cn_error *err)
{
    size_t larger = *room > most / 2 ? most : *room * 2;
    uint8_t *fresh = cn_allocate(larger, 1, path, err);
    if (!fresh) return CN_ERR_MEMORY;
    memcpy(fresh, *block, *room);
    cn_release(*block);
    *block = fresh;
    *room = larger;
    return CN_OK;
}

/* One byte more than the limit is enough to know that it is exceeded. */
static cn_status read_all(cn_source *s, size_t limit, cn_accepts *accepts, uint8_t **block,
                          size_t *used, cn_error *err)
{
    uint8_t head[CN_HEAD];
    size_t got, most = limit + 1;
    size_t room = s->sized && s->raw_size < limit ? s->raw_size + 1 : CHUNK;
    if (room < sizeof head) room = sizeof head;
    if (room > most) room = most;
    cn_status status =
        cn_source_read_some(s, head, sizeof head < room ? sizeof head : room, used, err);
    if (status != CN_OK) return status;
    bool wanted = !accepts || accepts(head, *used);
    if (!(*block = cn_allocate(wanted ? room : *used, 1, s->name, err))) return CN_ERR_MEMORY;
    memcpy(*block, head, *used);
    if (!wanted) return CN_OK;
    for (; status == CN_OK; status = grow(block, &room, most, s->name, err)) {
        status = cn_source_read_some(s, *block + *used, room - *used, &got, err);
        *used += got;
        if (status != CN_OK || *used < room) return status;
        if (*used > limit) break;
    }
    if (status != CN_OK) return status;
    return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: more than %zu bytes", s->name, limit);
}

cn_status cn_file_read(const char *path, size_t limit, cn_accepts *accepts, uint8_t **bytes,
                       size_t *size, cn_error *err)
{
    cn_source *s = NULL;
    uint8_t *block = NULL;
    size_t used = 0;
    cn_status status = cn_source_open(&s, path, CN_SOURCE_PLAIN, err);
    if (status != CN_OK) return status;
    status = s->sized && s->raw_size > limit
                 ? cn_fail(err, CN_ERR_UNSUPPORTED, "%s: %zu bytes, expected at most %zu", path,
                           s->raw_size, limit)
                 : read_all(s, limit, accepts, &block, &used, err);
    cn_source_close(s);
    if (status == CN_OK) {
        *bytes = block;
        *size = used;
    } else {
        cn_release(block);
    }
    return status;
}

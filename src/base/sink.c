/*
 * sink.c - a temporary file, fsync, rename, fsync of the folder.
 *
 * A process that is killed while it writes leaves its temporary file behind, and the next save to
 * the same name removes it. What tells it from one that is being written is a lock: its writer
 * holds one from the file's creation to the rename, and the system drops it with the process.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/sink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct cn_sink {
    int file;                 /* -1 once closed */
    bool committed;           /* the temporary file has become the file */
    char path[PATH_MAX];      /* where the file goes, links resolved */
    char temporary[PATH_MAX]; /* where it is until then */
    char folder[PATH_MAX];    /* of both */
    const char *name;         /* the caller's, for errors: its tail where it is long */
};

static const char *tail(const char *path)
{
    enum { TAIL = 120 };
    size_t length = strlen(path);
    return length > TAIL ? path + length - TAIL : path;
}

static cn_status failed(const cn_sink *s, const char *what, cn_error *err)
{
    return cn_fail(err, CN_ERR_IO, "%s: %s: %s", s->name, what, cn_system_text(errno));
}

/* Follows links to the file that is to be replaced, if there is one; *mode becomes its mode. */
static cn_status resolve(cn_sink *s, const char *path, mode_t *mode, cn_error *err)
{
    struct stat about;
    if (stat(path, &about) == 0) {
        if (!S_ISREG(about.st_mode))
            return cn_fail(err, CN_ERR_IO, "%s: cannot be written: it exists and is no plain file",
                           s->name);
        *mode = about.st_mode & 0777;
        if (!realpath(path, s->path)) return failed(s, "cannot be written", err);
    } else if (lstat(path, &about) == 0) {
        return cn_fail(err, CN_ERR_IO, "%s: cannot be written: it is a link that leads nowhere",
                       s->name);
    } else if (snprintf(s->path, PATH_MAX, "%s", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return failed(s, "cannot be written", err);
    }
    const char *slash = strrchr(s->path, '/');
    if (!slash)
        strcpy(s->folder, ".");
    else
        snprintf(s->folder, PATH_MAX, "%.*s", (int)(slash - s->path + 1), s->path);
    return CN_OK;
}

/* ---- the temporary file: PATH.tmp-PROCESS-NUMBER */

#define MARK ".tmp-"

/* True for what create_temporary adds to a path: the mark, a number, a dash, a number. */
static bool is_ending(const char *text)
{
    if (strncmp(text, MARK, sizeof MARK - 1) != 0) return false;
    text += sizeof MARK - 1;
    size_t process = strspn(text, "0123456789");
    if (process == 0 || text[process] != '-') return false;
    text += process + 1;
    size_t number = strspn(text, "0123456789");
    return number > 0 && text[number] == '\0';
}

/* Removes a temporary file unless a process is writing it. Once locked, the name must still be this
 * file's: it may have been renamed in between, and the name may belong to another save. */
static void remove_if_abandoned(const char *path)
{
    struct stat held, named;
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return;
    if (fstat(file, &held) == 0 && S_ISREG(held.st_mode) && flock(file, LOCK_EX | LOCK_NB) == 0 &&
        lstat(path, &named) == 0 && named.st_dev == held.st_dev && named.st_ino == held.st_ino)
        unlink(path);
    close(file);
}

/* Removes the temporary files of earlier saves to this path that were killed. Failure is harmless.
 */
static void sweep(const cn_sink *s)
{
    char path[PATH_MAX];
    const char *slash = strrchr(s->path, '/'), *base = slash ? slash + 1 : s->path;
    size_t length = strlen(base);
    DIR *folder = opendir(s->folder);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, base, length) != 0 || !is_ending(entry->d_name + length))
            continue;
        if (snprintf(path, PATH_MAX, "%s%s", s->path, entry->d_name + length) < PATH_MAX)
            remove_if_abandoned(path);
    }
    closedir(folder);
}

/* Takes the lock that marks the file as being written. False when another process has found the
 * file before it was locked, and is about to remove it. File systems without locks do without. */
static bool lock(int file)
{
    struct stat about;
    if (flock(file, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
    return fstat(file, &about) != 0 || about.st_nlink > 0;
}

/* A name that no other process and no other save of this one uses. */
static cn_status create_temporary(cn_sink *s, cn_error *err)
{
    for (int attempt = 0; s->file < 0; attempt++) {
        if (snprintf(s->temporary, PATH_MAX, "%s" MARK "%ld-%d", s->path, (long)getpid(), attempt) <
            PATH_MAX)
            s->file = open(s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        else
            errno = ENAMETOOLONG;
        if (s->file < 0 && errno != EEXIST) {
            s->temporary[0] = '\0'; /* there is nothing to remove */
            return failed(s, "cannot be written", err);
        }
        if (s->file >= 0 && !lock(s->file)) {
            close(s->file);
            s->file = -1;
        }
    }
    return CN_OK;
}

/* ---- the interface */

cn_status cn_sink_open(cn_sink **sink, const char *path, cn_error *err)
{
    mode_t mode = 0;
    if (!path[0]) return cn_fail(err, CN_ERR_ARGUMENT, "the name of the file to write is empty");
    cn_sink *s = cn_allocate(1, sizeof *s, tail(path), err);
    if (!s) return CN_ERR_MEMORY;
    s->file = -1;
    s->name = tail(path);
    cn_status status = resolve(s, path, &mode, err);
    if (status == CN_OK) {
        sweep(s);
        status = create_temporary(s, err);
    }
    if (status == CN_OK && mode && fchmod(s->file, mode) != 0)
        status = failed(s, "the old file's permissions cannot be kept", err);
    if (status == CN_OK)
        *sink = s;
    else
        cn_sink_close(s);
    return status;
}

cn_status cn_sink_write(cn_sink *s, const void *bytes, size_t size, cn_error *err)
{
    const char *next = bytes;
    while (size > 0) {
        ssize_t put = write(s->file, next, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(s, "cannot be written", err);
        next += put;
        size -= (size_t)put;
    }
    return CN_OK;
}

/* A rename is on the disk when its folder is. Not every file system can sync a folder. */
static cn_status sync_folder(const cn_sink *s, cn_error *err)
{
    int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failed(s, "its folder cannot be opened", err);
    int result = fsync(folder);
    if (result != 0 && (errno == EINVAL || errno == ENOTSUP)) result = 0;
    cn_status status = result == 0 ? CN_OK : failed(s, "its folder cannot be synced", err);
    close(folder);
    return status;
}

cn_status cn_sink_commit(cn_sink *s, cn_error *err)
{
    if (fsync(s->file) != 0) return failed(s, "cannot be synced", err);
    /* Still open, that is locked: closed, it could be taken for abandoned. */
    if (rename(s->temporary, s->path) != 0) return failed(s, "cannot be put in place", err);
    s->committed = true;
    int closed = close(s->file);
    s->file = -1;
    return closed == 0 ? sync_folder(s, err) : failed(s, "cannot be closed", err);
}

void cn_sink_close(cn_sink *s)
{
    if (!s) return;
    if (s->file >= 0) close(s->file);
    if (s->temporary[0] && !s->committed) unlink(s->temporary);
    cn_release(s);
}

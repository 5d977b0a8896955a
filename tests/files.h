/* files.h - scratch folders and files for tests of readers and writers. */
#ifndef TEST_FILES_H
#define TEST_FILES_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILES_PATH = 512 };

/* A file system in memory that has room for all tests that may run at once; a container's is often of
 * 64 MiB. */
static inline bool files_in_memory(const char *folder)
{
    const double room = 1 << 30;
    struct statvfs about;
    return access(folder, W_OK | X_OK) == 0 && statvfs(folder, &about) == 0 &&
           (double)about.f_bavail * (double)about.f_frsize >= room;
}

/* A new, empty folder; its path is in `path`. In memory where the system has such a file system: a
 * test may write thousands of files, and a disk waits for each. */
static inline void files_make_folder(char path[FILES_PATH])
{
    const char *root = getenv("TMPDIR");
    if (!root) root = files_in_memory("/dev/shm") ? "/dev/shm" : "/tmp";
    snprintf(path, FILES_PATH, "%s/convnet-test-XXXXXX", root);
    assert_non_null(mkdtemp(path));
}

static inline char *files_join(char out[FILES_PATH], const char *folder, const char *name)
{
    assert_true(snprintf(out, FILES_PATH, "%s/%s", folder, name) < FILES_PATH);
    return out;
}

/* How many entries a folder has. */
static inline int files_count(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    closedir(dir);
    return count;
}

/* Removes a folder of plain files. */
static inline void files_remove_folder(const char *folder)
{
    char path[FILES_PATH];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove(files_join(path, folder, entry->d_name));
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

static inline void files_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* The bytes of a file; free them. */
static inline uint8_t *files_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long end = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc((size_t)end + 1);
    assert_non_null(bytes);
    *size = fread(bytes, 1, (size_t)end, file);
    assert_int_equal(*size, end);
    fclose(file);
    return bytes;
}

/* A copy in a block of just its size, so that a sanitizer sees a read past the end; free it. */
static inline uint8_t *files_exact(const void *bytes, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    if (size) memcpy(exact, bytes, size);
    return exact;
}

/* Where real data sets lie: CONVNET_SHARED, or ../shared beside the source tree. False, and a line
 * on stderr, where this one is missing. */
static inline bool files_shared(char out[FILES_PATH], const char *name)
{
    const char *shared = getenv("CONVNET_SHARED");
    if (shared)
        snprintf(out, FILES_PATH, "%s/%s", shared, name);
    else
        snprintf(out, FILES_PATH, "%s/../shared/%s", TEST_SOURCE_DIR, name);
    if (access(out, R_OK) == 0) return true;
    fprintf(stderr, "skipped: no %s (CONVNET_SHARED names the folder above it)\n", out);
    return false;
}

/* An error that does not say what a reader of it needs is a defect. */
#define assert_says(err, part)                                                  \
    do {                                                                        \
        if (!strstr((err).text, part))                                          \
            fail_msg("the error \"%s\" does not say \"%s\"", (err).text, part); \
    } while (0)

#endif

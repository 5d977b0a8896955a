/* trees.h - scratch folders of images and tables, for tests of the sets that they make. */
#ifndef TEST_TREES_H
#define TEST_TREES_H

#include "files.h"

/* Writes folder/name, where name may begin with sub-folders, which are made. */
static inline void put(const char *root, const char *name, const void *bytes, size_t size)
{
    char path[FILES_PATH];
    files_join(path, root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    files_write(path, bytes, size);
}

/* A gray image of one value. */
static inline void put_gray(const char *root, const char *name, int height, int width, int value)
{
    uint8_t bytes[4096];
    size_t head = (size_t)snprintf((char *)bytes, 32, "P5 %d %d 255\n", width, height);
    size_t size = (size_t)(height * width);
    assert_true(head + size <= sizeof bytes);
    memset(bytes + head, value, size);
    put(root, name, bytes, head + size);
}

static inline void put_text(const char *root, const char *name, const char *text)
{
    put(root, name, text, strlen(text));
}

/* Removes a folder and what is below it: of our own making, two folders deep. */
static inline void remove_tree(const char *root)
{
    char command[FILES_PATH + 16];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    assert_int_equal(system(command), 0);
}

#endif

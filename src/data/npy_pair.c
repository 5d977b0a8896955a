/* npy_pair.c - images in a .npy file, and labels in the one beside it. */
#include "data/npy_pair.h"
#include "formats/npy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* `path` with the `length` characters at `at` replaced, packed or not; false where no such file is.
 */
static bool find_replaced(char labels[CN_PATH_ROOM], const char *path, const char *at,
                          size_t length, const char *by)
{
    static const char *const packings[] = {"", ".gz", ".xz"};
    int end = (int)cn_path_unpacked(path) - (int)(at + length - path);
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++) {
        int used = snprintf(labels, CN_PATH_ROOM, "%.*s%s%.*s%s", (int)(at - path), path, by, end,
                            at + length, packings[i]);
        if (used > 0 && used < CN_PATH_ROOM && access(labels, F_OK) == 0) return true;
    }
    return false;
}

bool cn_npy_find_labels(char labels[CN_PATH_ROOM], const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *images = strstr(name, "images");
    if (images && (find_replaced(labels, path, images, 6, "labels") ||
                   find_replaced(labels, path, images, 6, "masks")))
        return true;
    for (const char *at = name; *at; at++) {
        bool alone =
            (*at == 'x' || *at == 'X') && (at == name || !cn_is_word(at[-1])) && !cn_is_word(at[1]);
        if (alone && (find_replaced(labels, path, at, 1, *at == 'x' ? "y" : "Y") ||
                      find_replaced(labels, path, at, 1, *at == 'x' ? "Y" : "y")))
            return true;
    }
    const char *end = path + cn_path_unpacked(path) - 4;
    return cn_path_ends_in(path, ".npy") && (find_replaced(labels, path, end, 0, "_labels") ||
                                             find_replaced(labels, path, end, 0, "_masks"));
}

typedef struct pair {
    char paths[2][CN_PATH_ROOM];
} pair;

static cn_status read_array(const cn_array_file *file, int i, cn_array *out, cn_error *err)
{
    const pair *p = file->handle;
    cn_source *s = NULL;
    cn_status status = cn_source_open(&s, p->paths[i], CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_read(s, file->abouts[i].name, out, err);
    cn_source_close(s);
    return status;
}

static cn_status locate(const cn_array_file *file, int i, cn_array_place *place, bool *found,
                        cn_error *err)
{
    const pair *p = file->handle;
    cn_source *s = NULL;
    cn_status status = cn_source_open(&s, p->paths[i], CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_locate(s, place, found, err);
    place->path = p->paths[i];
    cn_source_close(s);
    return status;
}

static void close_pair(cn_array_file *file)
{
    cn_release(file->handle);
}

/* Adds the array in paths[i], named after the file. */
static cn_status add(cn_array_file *file, const pair *p, int i, cn_error *err)
{
    cn_array_about about = {.name = ""};
    cn_source *s = NULL;
    const char *slash = strrchr(p->paths[i], '/'), *name = slash ? slash + 1 : p->paths[i];
    snprintf(about.name, sizeof about.name, "%.*s", (int)strcspn(name, "."), name);
    cn_status status = cn_source_open(&s, p->paths[i], CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_header(s, &about, err);
    cn_source_close(s);
    return status == CN_OK ? cn_array_file_add(file, &about, err) : status;
}

cn_status cn_npy_open_pair(cn_array_file *out, const char *path, cn_error *err)
{
    pair *p = cn_allocate(1, sizeof *p, path, err);
    if (!p) return CN_ERR_MEMORY;
    cn_array_file file = {
        .path = path, .read = read_array, .locate = locate, .close = close_pair, .handle = p};
    cn_status status = CN_OK;
    if (snprintf(p->paths[0], CN_PATH_ROOM, "%s", path) >= CN_PATH_ROOM)
        status = cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", path);
    if (status == CN_OK) status = add(&file, p, 0, err);
    if (status == CN_OK && !cn_npy_find_labels(p->paths[1], path))
        status = cn_fail(
            err, CN_ERR_IO,
            "%.120s: expected labels beside it, in a file with \"labels\" for \"images\" or "
            "\"masks\", y for x, or \"_labels\" or \"_masks\" added, found none",
            path);
    if (status == CN_OK) status = add(&file, p, 1, err);
    if (status == CN_OK)
        *out = file;
    else
        cn_array_file_close(&file);
    return status;
}

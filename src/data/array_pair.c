/* array_pair.c - images in a file of arrays, and labels in the one beside it. */
#include "data/array_pair.h"
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

bool cn_array_pair_find(char labels[CN_PATH_ROOM], const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (int i = 0; i < 2; i++) {
        const char *const word = i ? "imgs" : "images", *const images = strstr(name, word);
        if (images && (find_replaced(labels, path, images, strlen(word), "labels") ||
                       find_replaced(labels, path, images, strlen(word), "masks")))
            return true;
    }
    for (const char *at = name; *at; at++) {
        bool alone =
            (*at == 'x' || *at == 'X') && (at == name || !cn_is_word(at[-1])) && !cn_is_word(at[1]);
        if (alone && (find_replaced(labels, path, at, 1, *at == 'x' ? "y" : "Y") ||
                      find_replaced(labels, path, at, 1, *at == 'x' ? "Y" : "y")))
            return true;
    }
    const char *end = path + cn_path_unpacked(path);
    while (end > name && *--end != '.') continue;
    return find_replaced(labels, path, end, 0, "_labels") ||
           find_replaced(labels, path, end, 0, "_masks");
}

/* ---- A .npy */

static cn_status read_npy(const cn_array_file *file, int i, cn_array *out, cn_error *err)
{
    cn_source *s = NULL;
    cn_status status = cn_source_open(&s, file->path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_read(s, file->abouts[i].name, out, err);
    cn_source_close(s);
    return status;
}

static cn_status locate_npy(const cn_array_file *file, int i, cn_array_place *place, bool *found,
                            cn_error *err)
{
    cn_source *s = NULL;
    (void)i;
    cn_status status = cn_source_open(&s, file->path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_locate(s, place, found, err);
    cn_source_close(s);
    return status;
}

cn_status cn_npy_open(cn_array_file *out, const char *path, cn_error *err)
{
    cn_array_about about = {.name = ""};
    cn_source *s = NULL;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(about.name, sizeof about.name, "%.*s", (int)strcspn(name, "."), name);
    *out = (cn_array_file){.path = path, .read = read_npy, .locate = locate_npy};
    cn_status status = cn_source_open(&s, path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_header(s, &about, err);
    cn_source_close(s);
    return status == CN_OK ? cn_array_file_add(out, &about, err) : status;
}

/* ---- Two files */

typedef struct pair {
    cn_array_file files[2];
    char labels[CN_PATH_ROOM];
} pair;

static cn_status read_array(const cn_array_file *file, int i, cn_array *out, cn_error *err)
{
    const cn_array_file *files = ((const pair *)file->handle)->files;
    return i == 0 ? files[0].read(files, 0, out, err) : files[1].read(files + 1, i - 1, out, err);
}

static cn_status locate(const cn_array_file *file, int i, cn_array_place *place, bool *found,
                        cn_error *err)
{
    const cn_array_file *files = ((const pair *)file->handle)->files;
    place->path = files[i > 0].path;
    return files[i > 0].locate(files + (i > 0), i > 0 ? i - 1 : 0, place, found, err);
}

static void close_pair(cn_array_file *file)
{
    pair *p = file->handle;
    for (int k = 0; k < 2; k++) cn_array_file_close(&p->files[k]);
    cn_release(p);
}

/* The array of the first file, and those of the second. */
static cn_status join(cn_array_file *out, pair *p, cn_array_opener open, cn_error *err)
{
    cn_array_file file = {.path = p->files[0].path,
                          .read = read_array,
                          .locate = locate,
                          .close = close_pair,
                          .handle = p};
    cn_status status = open(&p->files[1], p->labels, err);
    if (status == CN_OK) status = cn_array_file_add(&file, p->files[0].abouts, err);
    for (int i = 0; status == CN_OK && i < p->files[1].count; i++)
        status = cn_array_file_add(&file, &p->files[1].abouts[i], err);
    if (status == CN_OK)
        *out = file;
    else
        cn_array_file_close(&file);
    return status;
}

cn_status cn_array_pair_open(cn_array_file *out, const char *path, cn_array_opener open,
                             cn_error *err)
{
    cn_array_file first = {.path = path};
    pair *p = cn_allocate(1, sizeof *p, path, err);
    cn_status status = p ? open(&first, path, err) : CN_ERR_MEMORY;
    if (status == CN_OK && first.count == 1 && cn_array_pair_find(p->labels, path)) {
        p->files[0] = first;
        return join(out, p, open, err);
    }
    if (status == CN_OK && open == cn_npy_open)
        status = cn_fail(
            err, CN_ERR_IO,
            "%.120s: expected labels beside it, in a file with \"labels\" for \"images\" or "
            "\"masks\", y for x, or \"_labels\" or \"_masks\" added, found none",
            path);
    cn_release(p);
    if (status == CN_OK)
        *out = first;
    else
        cn_array_file_close(&first);
    return status;
}

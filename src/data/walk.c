/*
 * walk.c - the files of a folder and of all folders below it.
 *
 * The folders that are still to be listed are a list that grows at its end. Each remembers the one
 * that it lies in, and which folder of the file system it is: one that is among those above it,
 * which a link may lead to, is not entered again.
 */
#include "data/paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct folder {
    char *name; /* below the first one; "" for that one */
    int above;  /* -1: none */
    dev_t device;
    ino_t inode;
} folder;

typedef struct walk {
    const char *root;
    folder *folders;
    int count, room;
    cn_names files;
    int file_room;
} walk;

static bool is_above(const walk *w, int at, const struct stat *about)
{
    for (; at >= 0; at = w->folders[at].above)
        if (w->folders[at].device == about->st_dev && w->folders[at].inode == about->st_ino)
            return true;
    return false;
}

static cn_status add_folder(walk *w, const char *name, int above, const struct stat *about,
                            cn_error *err)
{
    cn_status status =
        cn_array_grow(&w->folders, sizeof *w->folders, w->count, &w->room, "file names", err);
    char *made = status == CN_OK ? cn_name_copy(name, err) : NULL;
    if (!made) return status == CN_OK ? CN_ERR_MEMORY : status;
    w->folders[w->count++] = (folder){made, above, about->st_dev, about->st_ino};
    return CN_OK;
}

static cn_status add_file(walk *w, const char *name, cn_error *err)
{
    cn_status status = cn_array_grow(&w->files.names, sizeof *w->files.names, w->files.count,
                                     &w->file_room, "file names", err);
    char *made = status == CN_OK ? cn_name_copy(name, err) : NULL;
    if (!made) return status == CN_OK ? CN_ERR_MEMORY : status;
    w->files.names[w->files.count++] = made;
    return CN_OK;
}

/* Adds what lies in folder `at`. A name that has no room in a path cannot be opened either. */
static cn_status list_folder(walk *w, int at, cn_error *err)
{
    char dir[CN_PATH_ROOM], below[CN_PATH_ROOM], path[CN_PATH_ROOM];
    const char *name = w->folders[at].name;
    cn_names names = {NULL, 0};
    struct stat about;
    if (!cn_path_join(dir, w->root, name))
        return cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", w->root);
    cn_status status = cn_names_list(&names, *name ? dir : w->root, NULL, err);
    for (int i = 0; status == CN_OK && i < names.count; i++) {
        const char *entry = names.names[i];
        if (cn_is_litter(entry)) continue;
        bool fits = *name ? cn_path_join(below, name, entry) : strlen(entry) < CN_PATH_ROOM;
        if (fits && !*name) strcpy(below, entry);
        if (!fits || !cn_path_join(path, w->root, below))
            status = cn_fail(err, CN_ERR_IO, "%.60s/%.60s: the path is too long", w->root, below);
        else if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
            status = add_file(w, below, err);
        else if (!is_above(w, at, &about))
            status = add_folder(w, below, at, &about, err);
    }
    cn_names_free(&names);
    return status;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists folder after folder, to the end or until there is a file that is wanted. */
static cn_status run(walk *w, bool (*wanted)(const char *name), bool *found, cn_error *err)
{
    struct stat about;
    int seen = 0;
    *found = false;
    if (stat(w->root, &about) != 0)
        return cn_fail(err, CN_ERR_IO, "%.120s: %s", w->root, cn_system_text(errno));
    cn_status status = add_folder(w, "", -1, &about, err);
    for (int at = 0; status == CN_OK && !*found && at < w->count; at++) {
        status = list_folder(w, at, err);
        for (; wanted && !*found && seen < w->files.count; seen++)
            *found = wanted(w->files.names[seen]);
    }
    for (int i = 0; i < w->count; i++) cn_release(w->folders[i].name);
    cn_release(w->folders);
    if (status != CN_OK) cn_names_free(&w->files);
    return status;
}

cn_status cn_names_walk(cn_names *files, const char *dir, cn_error *err)
{
    walk w = {.root = dir};
    bool found;
    cn_status status = run(&w, NULL, &found, err);
    if (status != CN_OK) return status;
    if (w.files.count) qsort(w.files.names, (size_t)w.files.count, sizeof *w.files.names, compare);
    *files = w.files;
    return CN_OK;
}

bool cn_names_any(const char *dir, bool (*wanted)(const char *name))
{
    walk w = {.root = dir};
    bool found;
    (void)run(&w, wanted, &found, NULL);
    cn_names_free(&w.files);
    return found;
}

/* paths.c - finds and lists the files of a data set. */
#include "data/paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cn_path_join(char path[CN_PATH_ROOM], const char *dir, const char *name)
{
    int length = snprintf(path, CN_PATH_ROOM, "%s/%s", dir, name);
    return length > 0 && length < CN_PATH_ROOM;
}

bool cn_path_find(char path[CN_PATH_ROOM], const char *dir, const char *name)
{
    static const char *const endings[] = {"", ".gz", ".xz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int length = snprintf(path, CN_PATH_ROOM, "%s/%s%s", dir, name, endings[i]);
        if (length > 0 && length < CN_PATH_ROOM && access(path, F_OK) == 0) return true;
    }
    return false;
}

const char *cn_spec_options(const char *spec)
{
    const char *options = spec + strlen(spec);
    bool equals = false;
    for (const char *at = options; at > spec && *at != '/'; at--) {
        if (*at == '=') equals = true;
        if (*at != ',') continue;
        if (!equals) break;
        options = at;
        equals = false;
    }
    return options;
}

cn_said cn_name_says(const char *name)
{
    return strstr(name, "train")  ? CN_SAYS_TRAIN
           : strstr(name, "test") ? CN_SAYS_TEST
                                  : CN_SAYS_NOTHING;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

cn_said cn_path_says(const char *path)
{
    return cn_name_says(last_part(path));
}

bool cn_path_sibling(char sibling[CN_PATH_ROOM], const char *path)
{
    static const char *const words[] = {"train", "test"};
    cn_said mine = cn_path_says(path);
    if (mine == CN_SAYS_NOTHING) return false;
    const char *word = strstr(last_part(path), words[mine]);
    int length = snprintf(sibling, CN_PATH_ROOM, "%.*s%s%s", (int)(word - path), path,
                          words[1 - (int)mine], word + strlen(words[mine]));
    return length > 0 && length < CN_PATH_ROOM && access(sibling, F_OK) == 0;
}

/* Adds a copy of a name; *room is how many the list has room for. */
static cn_status add(cn_names *list, int *room, const char *name, cn_error *err)
{
    if (list->count == *room) {
        int more = *room ? 2 * *room : 64;
        char **names = cn_allocate((size_t)more, sizeof *names, "file names", err);
        if (!names) return CN_ERR_MEMORY;
        if (list->count) memcpy(names, list->names, (size_t)list->count * sizeof *names);
        cn_release(list->names);
        list->names = names;
        *room = more;
    }
    char *copy = cn_allocate(strlen(name) + 1, 1, "file names", err);
    if (!copy) return CN_ERR_MEMORY;
    list->names[list->count++] = strcpy(copy, name);
    return CN_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

cn_status cn_names_list(cn_names *out, const char *path, bool (*wanted)(const char *name),
                        cn_error *err)
{
    enum { MOST_NAMES = 1 << 28 }; /* the room, doubled, must stay an int */
    cn_names list = {NULL, 0};
    int room = 0;
    cn_status status = CN_OK;
    DIR *dir = opendir(path);
    if (!dir) return cn_fail(err, CN_ERR_IO, "%.120s: %s", path, cn_system_text(errno));
    for (struct dirent *entry; status == CN_OK && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.' || (wanted && !wanted(entry->d_name))) continue;
        status = list.count < MOST_NAMES ? add(&list, &room, entry->d_name, err)
                                         : cn_fail(err, CN_ERR_UNSUPPORTED,
                                                   "%.120s: more than %d files", path, MOST_NAMES);
    }
    closedir(dir);
    if (status != CN_OK) {
        cn_names_free(&list);
        return status;
    }
    if (list.count) qsort(list.names, (size_t)list.count, sizeof *list.names, compare);
    *out = list;
    return CN_OK;
}

void cn_names_free(cn_names *list)
{
    for (int i = 0; i < list->count; i++) cn_release(list->names[i]);
    cn_release(list->names);
    *list = (cn_names){NULL, 0};
}

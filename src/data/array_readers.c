/* array_readers.c - the kinds of data sets that are files of arrays: HDF5. */
#include "data/arrays.h"
#include "data/paths.h"

#include <string.h>
#include <sys/stat.h>

static bool ends_in(const char *name, const char *ending)
{
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

static bool is_hdf5(const char *name)
{
    return ends_in(name, ".h5") || ends_in(name, ".hdf5");
}

/* The file of a folder that holds the set: the only one, or the one that says train. */
static cn_status choose_file(char path[CN_PATH_ROOM], const char *dir,
                             bool (*wanted)(const char *name), const char *kind, cn_error *err)
{
    cn_names names = {NULL, 0};
    int found = -1, trains = 0;
    cn_status status = cn_names_list(&names, dir, wanted, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < names.count; i++)
        if (strstr(names.names[i], "train")) trains++, found = i;
    if (names.count == 1) found = 0;
    if (names.count == 0)
        status = cn_fail(err, CN_ERR_IO, "%.120s: expected a file for %s, found none", dir, kind);
    else if (names.count > 1 && trains != 1)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: %d files for %s, of which %d say train; %s:FILE takes one", dir,
                         names.count, kind, trains, kind);
    else if (!cn_path_join(path, dir, names.names[found]))
        status = cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", dir);
    cn_names_free(&names);
    return status;
}

static bool has(const char *dir, bool (*wanted)(const char *name))
{
    cn_names names = {NULL, 0};
    bool any = cn_names_list(&names, dir, wanted, NULL) == CN_OK && names.count > 0;
    cn_names_free(&names);
    return any;
}

static cn_status load(cn_dataset **data, const char *path, cn_split split,
                      bool (*wanted)(const char *name), cn_array_opener open, const char *kind,
                      cn_error *err)
{
    char chosen[CN_PATH_ROOM];
    struct stat about;
    if (!path[0])
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: expected a path after the colon, found nothing",
                       kind);
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return cn_arrays_load(data, path, split, open, err);
    cn_status status = choose_file(chosen, path, wanted, kind, err);
    return status == CN_OK ? cn_arrays_load(data, chosen, split, open, err) : status;
}

static bool detects_hdf5(const char *dir)
{
    return has(dir, is_hdf5);
}

static cn_status load_hdf5(cn_dataset **data, const char *path, cn_split split, cn_error *err)
{
    return load(data, path, split, is_hdf5, cn_hdf5_open, "hdf5", err);
}

const cn_reader cn_reader_hdf5 = {
    .name = "hdf5",
    .usage = "hdf5:DIR|FILE",
    .detects = detects_hdf5,
    .load = load_hdf5,
};

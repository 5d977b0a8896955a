/* array_readers.c - the kinds of data sets that are files of arrays: HDF5, NPZ, NPY. */
#include "data/array_pair.h"
#include "data/paths.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How the kinds differ. */
typedef struct kind {
    const char *name;
    /* Does a file of this name in the folder hold images, in this form? */
    bool (*wanted)(const char *dir, const char *name);
    cn_array_opener open;
} kind;

/* libhdf5 and ZIP archives want to jump to and fro, so that their files are not packed. */
static bool is_plain(const char *name, const char *ending)
{
    return cn_path_ends_in(name, ending) && cn_path_unpacked(name) == strlen(name);
}

static bool is_hdf5(const char *dir, const char *name)
{
    (void)dir;
    return is_plain(name, ".h5") || is_plain(name, ".hdf5");
}

static bool is_npz(const char *dir, const char *name)
{
    (void)dir;
    return is_plain(name, ".npz");
}

/* Images are told from labels by the labels that lie beside them. */
static bool is_paired(const char *dir, const char *name)
{
    char path[CN_PATH_ROOM], labels[CN_PATH_ROOM];
    return cn_path_join(path, dir, name) && cn_array_pair_find(labels, path);
}

/* Of a file that is there packed and unpacked, the latter counts. */
static bool is_npy(const char *dir, const char *name)
{
    char path[CN_PATH_ROOM];
    if (!cn_path_ends_in(name, ".npy") || !is_paired(dir, name) || !cn_path_join(path, dir, name))
        return false;
    size_t plain = cn_path_unpacked(path);
    bool packed = path[plain] != 0;
    path[plain] = 0;
    return !packed || access(path, F_OK) != 0;
}

static const kind hdf5 = {"hdf5", is_hdf5, cn_hdf5_open};
static const kind npz = {"npz", is_npz, cn_npz_open};
static const kind npy = {"npy", is_npy, cn_npy_open};

/* The file of a folder that holds the set: the only one, or the one that says train; of those with
 * labels beside them, where there are such. */
static cn_status choose_file(char path[CN_PATH_ROOM], const char *dir, const kind *k, cn_error *err)
{
    cn_names names = {NULL, 0};
    int found = -1, count = 0, trains = 0;
    bool paired = false;
    cn_status status = cn_names_list(&names, dir, NULL, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < names.count; i++)
        paired = paired || (k->wanted(dir, names.names[i]) && is_paired(dir, names.names[i]));
    for (int i = 0; i < names.count; i++) {
        if (!k->wanted(dir, names.names[i]) || (paired && !is_paired(dir, names.names[i])))
            continue;
        bool train = cn_name_says(names.names[i]) == CN_SAYS_TRAIN;
        if (train || count == 0) found = i;
        count++;
        trains += train;
    }
    if (count == 0)
        status =
            cn_fail(err, CN_ERR_IO, "%.120s: expected a file for %s, found none", dir, k->name);
    else if (count > 1 && trains != 1)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: %d files for %s, of which %d say train; %s:FILE takes one", dir,
                         count, k->name, trains, k->name);
    else if (!cn_path_join(path, dir, names.names[found]))
        status = cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", dir);
    cn_names_free(&names);
    return status;
}

static bool detects(const char *dir, const kind *k)
{
    cn_names names = {NULL, 0};
    bool any = false;
    if (cn_names_list(&names, dir, NULL, NULL) != CN_OK) return false;
    for (int i = 0; i < names.count && !any; i++) any = k->wanted(dir, names.names[i]);
    cn_names_free(&names);
    return any;
}

static cn_status load(cn_dataset **data, const char *path, const cn_request *request, const kind *k,
                      cn_error *err)
{
    char chosen[CN_PATH_ROOM];
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return cn_arrays_load(data, path, request, k->open, err);
    cn_status status = choose_file(chosen, path, k, err);
    return status == CN_OK ? cn_arrays_load(data, chosen, request, k->open, err) : status;
}

/* ---- The readers */

static bool detects_hdf5(const char *dir)
{
    return detects(dir, &hdf5);
}

static cn_status load_hdf5(cn_dataset **data, const char *path, const cn_request *request,
                           cn_error *err)
{
    return load(data, path, request, &hdf5, err);
}

const cn_reader cn_reader_hdf5 = {
    .name = "hdf5",
    .usage = "hdf5:PATH",
    .endings = {".h5", ".hdf5"},
    .detects = detects_hdf5,
    .takes = CN_OPTIONS_OF_ARRAY_FILES,
    .load = load_hdf5,
};

static bool detects_npz(const char *dir)
{
    return detects(dir, &npz);
}

static cn_status load_npz(cn_dataset **data, const char *path, const cn_request *request,
                          cn_error *err)
{
    return load(data, path, request, &npz, err);
}

const cn_reader cn_reader_npz = {
    .name = "npz",
    .usage = "npz:PATH",
    .endings = {".npz"},
    .detects = detects_npz,
    .takes = CN_OPTIONS_OF_ARRAY_FILES,
    .load = load_npz,
};

static bool detects_npy(const char *dir)
{
    return detects(dir, &npy);
}

static cn_status load_npy(cn_dataset **data, const char *path, const cn_request *request,
                          cn_error *err)
{
    return load(data, path, request, &npy, err);
}

const cn_reader cn_reader_npy = {
    .name = "npy",
    .usage = "npy:PATH",
    .endings = {".npy"},
    .detects = detects_npy,
    .takes = CN_OPTIONS_OF_ARRAY_FILES,
    .load = load_npy,
};

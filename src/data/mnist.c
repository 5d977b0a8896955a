/*
 * mnist.c - sets in MNIST's four IDX files: MNIST, Fashion-MNIST, KMNIST, EMNIST and your own.
 *
 *   train-images-idx3-ubyte   images (n, n_H, n_W), or (n, n_H, n_W, n_C): bytes, or floats
 *   train-labels-idx1-ubyte   (n) bytes or 32-bit integers
 *   t10k-images-idx3-ubyte    the same for testing
 *   t10k-labels-idx1-ubyte
 *
 * Plain or packed (.gz, .xz), with a dot before idx as some archives unpack them, with test for t10k, and
 * with a word in front, as in EMNIST's emnist-letters-train-images-idx3-ubyte: the only one in the
 * folder, or the one that is given behind it, DIR/emnist-letters.
 */
#include "data/dataset.h"
#include "data/labels.h"
#include "data/paths.h"
#include "data/stored.h"
#include "formats/idx.h"

#include <stdio.h>
#include <string.h>

typedef enum content { IMAGES, LABELS } content;

/* Where the files are, and what their names begin with. */
typedef struct place {
    char dir[CN_PATH_ROOM], prefix[64];
} place;

/* The path of the file as it is spelled here, the usual way first; false where there is none. */
static bool find(char path[CN_PATH_ROOM], const place *at, cn_subset split, content what)
{
    static const char *const words[] = {"train", "t10k", "test"};
    char name[128];
    const int first = split == CN_SUBSET_TRAIN ? 0 : 1, last = split == CN_SUBSET_TRAIN ? 0 : 2;
    for (int word = first; word <= last; word++)
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, "%s%s-%s%cidx%d-ubyte", at->prefix, words[word],
                     what == IMAGES ? "images" : "labels", "-."[i], what == IMAGES ? 3 : 1);
            if (cn_path_find(path, at->dir, name)) return true;
        }
    return false;
}

static bool has_images(const place *at)
{
    char path[CN_PATH_ROOM];
    return find(path, at, CN_SUBSET_TRAIN, IMAGES) || find(path, at, CN_SUBSET_TEST, IMAGES);
}

/* Takes what the names of all images in the folder begin with; nothing where they begin with several words. */
static void find_prefix(place *at)
{
    cn_names names = {NULL, 0};
    int found = 0;
    if (cn_names_list(&names, at->dir, NULL, NULL) != CN_OK) return;
    for (int i = 0; i < names.count; i++) {
        const char *end = strstr(names.names[i], "-images");
        size_t length = 0; /* up to the word before it */
        for (const char *c = names.names[i]; end && c < end; c++)
            if (*c == '-') length = (size_t)(c + 1 - names.names[i]);
        if (length == 0 || length >= sizeof at->prefix ||
            strncmp(names.names[i], at->prefix, length) == 0)
            continue;
        found++;
        snprintf(at->prefix, sizeof at->prefix, "%.*s", (int)length, names.names[i]);
    }
    cn_names_free(&names);
    if (found != 1) at->prefix[0] = 0;
}

/* A folder, or one and what its files' names begin with. */
static place place_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    place at = {.prefix = ""}, prefixed;
    snprintf(at.dir, sizeof at.dir, "%s", path);
    if (has_images(&at)) return at;
    if (cn_is_folder(path)) find_prefix(&at);
    if (cn_is_folder(path)) return at;
    snprintf(prefixed.dir, sizeof prefixed.dir, "%.*s", slash ? (int)(slash - path) : 1,
             slash ? path : ".");
    snprintf(prefixed.prefix, sizeof prefixed.prefix, "%.60s-", slash ? slash + 1 : path);
    return has_images(&prefixed) ? prefixed : at;
}

static cn_status find_file(char path[CN_PATH_ROOM], const place *at, cn_subset split, content what,
                           cn_error *err)
{
    if (find(path, at, split, what)) return CN_OK;
    return cn_fail(err, CN_ERR_IO, "%.120s: expected %s%s-%s-idx%d-ubyte (or .gz, .xz), found none",
                   at->dir, at->prefix, split == CN_SUBSET_TRAIN ? "train" : "t10k",
                   what == IMAGES ? "images" : "labels", what == IMAGES ? 3 : 1);
}

static cn_status read_file(cn_tensor *t, const char *path, cn_error *err)
{
    cn_source *source = NULL;
    cn_status status = cn_source_open(&source, path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_idx_read(source, t, err);
    cn_source_close(source);
    return status;
}

/* Images (n, n_H, n_W) become (n, n_H, n_W, 1), and channels come last. */
static cn_status settle(cn_tensor *t, bool *first, const cn_request *request, const char *path,
                        cn_error *err)
{
    char shape[CN_SHAPE_TEXT];
    bool flat = t->rank == 3;
    *first = false;
    if (flat) t->shape[t->rank++] = 1;
    if (t->rank != 4 || (t->dtype != CN_DTYPE_U8 && t->dtype != CN_DTYPE_F32))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: %zu-byte elements %s, expected bytes or floats of rank 3 or 4",
                       path, cn_dtype_size(t->dtype), cn_shape_text(t->rank, t->shape, shape));
    return flat ? CN_OK : cn_settle_layout(t, first, request, path, err);
}

/* Images that are too many for memory, from byte `offset` of their file on. */
static cn_status store_images(cn_dataset_parts *parts, const char *path, size_t offset,
                              const cn_request *request, cn_error *err)
{
    const uint16_t one = 1;
    cn_stored_form form = {.element = CN_ELEMENT_U8};
    cn_stored *stored = NULL;
    cn_status status = settle(&parts->images, &form.channels_first, request, path, err);
    if (status != CN_OK) return status;
    form.dtype = parts->images.dtype;
    if (form.dtype == CN_DTYPE_F32) { /* stored with the highest byte first */
        form.element = CN_ELEMENT_F32;
        form.swapped = *(const uint8_t *)&one == 1;
    }
    memcpy(form.shape, parts->images.shape + 1, sizeof form.shape);
    status = cn_stored_create(&stored, &form, err);
    if (status == CN_OK) status = cn_stored_add(stored, path, offset, parts->images.shape[0], err);
    if (status == CN_OK)
        return cn_stored_samples(&parts->samples, stored, cn_request_memory(request), request, path,
                                 err);
    cn_stored_free(stored);
    return status;
}

static cn_status read_images(cn_dataset_parts *parts, const place *at, const cn_request *request,
                             cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_source *source = NULL;
    bool lies_there, first;
    size_t offset = 0, bytes = 0;
    cn_tensor t = {0};
    cn_status status = find_file(path, at, request->split, IMAGES, err);
    if (status == CN_OK) status = cn_source_open(&source, path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_idx_locate(source, &t, &bytes, &offset, &lies_there, err);
    cn_source_close(source);
    if (status != CN_OK) return status;
    bool large = !cn_request_holds(request, bytes);
    parts->images = t;
    if (large && lies_there) return store_images(parts, path, offset, request, err);
    if (large) status = cn_remark_packed(request->remarks, path, err);
    parts->images = (cn_tensor){0};
    if (status == CN_OK) status = read_file(&parts->images, path, err);
    return status == CN_OK ? settle(&parts->images, &first, request, path, err) : status;
}

/* Labels as I32, each at most `most`. */
static cn_status read_labels(cn_tensor *labels, const place *at, cn_subset split, int most,
                             cn_error *err)
{
    char path[CN_PATH_ROOM], shape[CN_SHAPE_TEXT];
    cn_tensor t = {0}, out = {0};
    cn_status status = find_file(path, at, split, LABELS, err);
    if (status == CN_OK) status = read_file(&t, path, err);
    if (status != CN_OK) return status;
    if (t.rank != 1 || (t.dtype != CN_DTYPE_U8 && t.dtype != CN_DTYPE_I32))
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.120s: %zu-byte elements %s, expected bytes or int32 of rank 1", path,
                         cn_dtype_size(t.dtype), cn_shape_text(t.rank, t.shape, shape));
    if (status == CN_OK) status = cn_tensor_create(&out, CN_DTYPE_I32, 1, t.shape, err);
    for (int i = 0; status == CN_OK && i < t.shape[0]; i++) {
        int label = t.dtype == CN_DTYPE_U8 ? ((uint8_t *)t.data)[i] : ((int32_t *)t.data)[i];
        if (label < 0 || label > most)
            status = cn_fail(err, CN_ERR_FORMAT, "%.120s: byte %zu: label %d, expected 0 to %d",
                             path, 8 + (size_t)i * cn_dtype_size(t.dtype), label, most);
        ((int32_t *)out.data)[i] = label;
    }
    cn_tensor_free(&t);
    if (status == CN_OK)
        *labels = out;
    else
        cn_tensor_free(&out);
    return status;
}

static bool detects(const char *path)
{
    const place at = place_of(path);
    return has_images(&at);
}

/* The classes of the other split's labels count as well, so that both splits agree on how many
 * there are; a set may lack that split. `classes` is 0 where the labels say how many there are. */
static cn_status load_classes(cn_dataset **data, const char *path, const cn_request *request,
                              int classes, cn_error *err)
{
    char file[CN_PATH_ROOM];
    char **names = NULL;
    cn_dataset_parts parts = {.scale = 0};
    cn_tensor other = {0};
    cn_subset split = request->split,
              rest = split == CN_SUBSET_TRAIN ? CN_SUBSET_TEST : CN_SUBSET_TRAIN;
    int most = classes ? classes - 1 : INT32_MAX;
    if (!path[0])
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "dataset: expected a folder's path after the colon, found nothing");
    const place at = place_of(path);
    cn_status status = read_labels(&parts.labels, &at, split, most, err);
    if (status == CN_OK && !classes && find(file, &at, rest, LABELS))
        status = read_labels(&other, &at, rest, most, err);
    if (status == CN_OK && !classes) {
        int32_t *const labels[CN_PARTS] = {parts.labels.data, other.data};
        const int counts[CN_PARTS] = {parts.labels.shape[0], other.data ? other.shape[0] : 0};
        status = cn_labels_number(labels, counts, &classes, &names, request->remarks, path, err);
    }
    parts.classes = classes;
    parts.class_names = (const char *const *)names;
    if (status == CN_OK) status = read_images(&parts, &at, request, err);
    if (status == CN_OK) status = cn_find_range(&parts, request, path, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, path, err);
    cn_release(names);
    cn_tensor_free(&other);
    cn_tensor_free(&parts.images);
    cn_samples_free(parts.samples);
    cn_tensor_free(&parts.labels);
    return status;
}

static cn_status load_mnist(cn_dataset **data, const char *path, const cn_request *request,
                            cn_error *err)
{
    return load_classes(data, path, request, 10, err);
}

static cn_status load_idx(cn_dataset **data, const char *path, const cn_request *request,
                          cn_error *err)
{
    return load_classes(data, path, request, 0, err);
}

/* Ten classes: a label above 9 is an error. */
const cn_reader cn_reader_mnist = {
    .name = "mnist",
    .usage = "mnist:DIR",
    .two_parts = true,
    .load = load_mnist,
};

/* As many classes as there are labels. */
const cn_reader cn_reader_idx = {
    .name = "idx",
    .takes = CN_OPTIONS_OF_ARRAYS,
    .usage = "idx:DIR",
    .detects = detects,
    .two_parts = true,
    .load = load_idx,
};

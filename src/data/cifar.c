/*
 * cifar.c - CIFAR-10 and CIFAR-100 in their binary version (A. Krizhevsky: Learning Multiple Layers
 * of Features from Tiny Images, 2009; https://www.cs.toronto.edu/~kriz/cifar.html).
 *
 * A file is records without a header, images of 32 x 32 in color:
 *
 *   CIFAR-10    byte   size   what
 *               0      1      label, 0 to 9
 *               1      1024   red, row by row; then green, then blue
 *
 *   CIFAR-100   0      1      coarse label, 0 to 19: not read
 *               1      1      fine label, 0 to 99
 *               2      1024   red, row by row; then green, then blue
 *
 * CIFAR-10 is data_batch_1.bin to data_batch_5.bin and test_batch.bin, where a part of the test set
 * under any name test_batch*.bin will do; CIFAR-100 is train.bin and test.bin. Each file plain or
 * packed: .gz, .xz.
 */
#include "base/source.h"
#include "data/dataset.h"
#include "data/paths.h"
#include "data/stored.h"

#include <string.h>
#include <unistd.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE };

/* Of images in one file: twice what the largest holds, so that a packed file cannot grow without
 * end. */
enum { MOST_IMAGES = 100000 };

/* How the two differ. */
typedef struct form {
    const char *name;
    int classes, label_bytes; /* the last of these is the label */
    int usual;                /* images in a file, to make room for at once */
    const char *const *class_names;
} form;

static const char *const names_10[] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

static const char *const names_100[] = {
    "apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
    "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow_tree", "wolf",          "woman",     "worm",
};

static const form cifar_10 = {"cifar10", 10, 1, 10000, names_10};
static const form cifar_100 = {"cifar100", 100, 2, 50000, names_100};
_Static_assert(sizeof names_10 / sizeof *names_10 == 10, "a name a class");
_Static_assert(sizeof names_100 / sizeof *names_100 == 100, "a name a class");

/* Images and labels as they come in: the tensors have room for more than `count`. */
typedef struct pile {
    cn_tensor images, labels;
    int count;
    cn_stored *stored; /* images that are too many for memory stay in their files */
    /* Of a first round, which only looks how much there is. */
    bool look, packed;
    size_t bytes;
} pile;

static cn_status set_room(pile *p, int room, cn_error *err)
{
    cn_tensor images = {0}, labels = {0};
    cn_status status = CN_OK;
    if (!p->stored)
        status = cn_tensor_create(&images, CN_DTYPE_U8, 4, (int[]){room, SIDE, SIDE, 3}, err);
    if (status == CN_OK) status = cn_tensor_create(&labels, CN_DTYPE_I32, 1, &room, err);
    if (status != CN_OK) {
        cn_tensor_free(&images);
        return status;
    }
    if (p->count) {
        if (!p->stored) memcpy(images.data, p->images.data, (size_t)p->count * IMAGE);
        memcpy(labels.data, p->labels.data, (size_t)p->count * sizeof(int32_t));
    }
    cn_tensor_free(&p->images);
    cn_tensor_free(&p->labels);
    p->images = images;
    p->labels = labels;
    return CN_OK;
}

/* Three planes become pixels of three channels. */
static void interleave(const uint8_t *restrict planes, uint8_t *restrict pixels)
{
    for (size_t i = 0; i < PLANE; i++) {
        pixels[3 * i] = planes[i];
        pixels[3 * i + 1] = planes[PLANE + i];
        pixels[3 * i + 2] = planes[2 * PLANE + i];
    }
}

/* Adds the records of a file to the pile. */
static cn_status read_records(pile *p, const form *f, cn_source *s, cn_error *err)
{
    enum { MOST_LABELS = 2 };
    uint8_t record[MOST_LABELS + IMAGE];
    size_t size = (size_t)f->label_bytes + IMAGE, got;
    int before = p->count;
    for (;;) {
        size_t at = cn_source_offset(s);
        cn_status status = cn_source_read_some(s, record, size, &got, err);
        if (status != CN_OK) return status;
        if (got == 0 && at > 0) return CN_OK;
        if (got < size)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%s: byte %zu: expected a record of %zu bytes, found %zu",
                           cn_source_name(s), at, size, got);
        int label = record[f->label_bytes - 1];
        if (label >= f->classes)
            return cn_fail(err, CN_ERR_FORMAT, "%s: byte %zu: label %d, expected 0 to %d",
                           cn_source_name(s), at + (size_t)f->label_bytes - 1, label,
                           f->classes - 1);
        if (p->count - before == MOST_IMAGES)
            return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: more than %d images", cn_source_name(s),
                           MOST_IMAGES);
        if (p->count == p->labels.shape[0]) status = set_room(p, 2 * p->count, err);
        if (status != CN_OK) return status;
        if (!p->stored)
            interleave(record + f->label_bytes,
                       (uint8_t *)p->images.data + (size_t)p->count * IMAGE);
        ((int32_t *)p->labels.data)[p->count++] = label;
    }
}

/* `files` more of its kind, itself included, are going to follow. */
static cn_status read_file(pile *p, const form *f, const char *path, int files, cn_error *err)
{
    cn_source *s = NULL;
    size_t place;
    int before = p->count;
    cn_status status = cn_source_open(&s, path, CN_SOURCE_UNPACK, err);
    if (status != CN_OK) return status;
    if (p->look) { /* what a packed file holds can only be guessed */
        size_t usual = (size_t)f->usual * ((size_t)f->label_bytes + IMAGE);
        bool packed = !cn_source_place(s, &place);
        p->packed = p->packed || packed;
        p->bytes += packed && usual < cn_source_capacity(s) ? usual : cn_source_capacity(s);
        cn_source_close(s);
        return CN_OK;
    }
    size_t most = cn_source_capacity(s) / ((size_t)f->label_bytes + IMAGE);
    int expected = most < 1 ? 1 : most < (size_t)f->usual ? (int)most : f->usual;
    if (!p->labels.data || p->labels.shape[0] - p->count < expected)
        status = set_room(p, p->count + files * expected, err);
    if (status == CN_OK) status = read_records(p, f, s, err);
    cn_source_close(s);
    if (status == CN_OK && p->stored)
        status = cn_stored_add(p->stored, path, (size_t)f->label_bytes, p->count - before, err);
    return status;
}

static cn_status read_named(pile *p, const form *f, const char *dir, const char *name, int files,
                            cn_error *err)
{
    char path[CN_PATH_ROOM];
    if (!cn_path_find(path, dir, name))
        return cn_fail(err, CN_ERR_IO, "%.120s: expected %s (or .gz, .xz), found %s", dir, name,
                       cn_path_find(path, dir, "data_batch_1")
                           ? "data_batch_1 of the version for Python, which is pickled"
                           : "none");
    return read_file(p, f, path, files, err);
}

/* ---- CIFAR-10's files */

static cn_status read_batches(pile *p, const char *dir, cn_error *err)
{
    enum { BATCHES = 5 };
    static const char *const batches[BATCHES] = {
        "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
        "data_batch_4.bin", "data_batch_5.bin",
    };
    cn_status status = CN_OK;
    for (int i = 0; status == CN_OK && i < BATCHES; i++)
        status = read_named(p, &cifar_10, dir, batches[i], BATCHES - i, err);
    return status;
}

/* The length of a name without the .gz or .xz at its end. */
static size_t unpacked_length(const char *name)
{
    size_t length = strlen(name);
    if (length >= 3 &&
        (strcmp(name + length - 3, ".gz") == 0 || strcmp(name + length - 3, ".xz") == 0))
        length -= 3;
    return length;
}

static bool is_test_batch(const char *name)
{
    size_t length = unpacked_length(name);
    return strncmp(name, "test_batch", 10) == 0 && length >= 14 &&
           strncmp(name + length - 4, ".bin", 4) == 0;
}

/* All of the test set, or else the parts of it that there are. */
static cn_status read_tests(pile *p, const char *dir, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names parts = {NULL, 0};
    if (cn_path_find(path, dir, "test_batch.bin")) return read_file(p, &cifar_10, path, 1, err);
    cn_status status = cn_names_list(&parts, dir, is_test_batch, err);
    if (status == CN_OK && parts.count == 0)
        status = cn_fail(err, CN_ERR_IO,
                         "%.120s: expected test_batch.bin (or .gz, .xz), found none", dir);
    for (int i = 0; status == CN_OK && i < parts.count; i++) {
        const char *name = parts.names[i];
        size_t length = unpacked_length(name);
        /* The same part, packed in another way, comes right behind. */
        bool again = i > 0 && unpacked_length(parts.names[i - 1]) == length &&
                     strncmp(parts.names[i - 1], name, length) == 0;
        if (!again && cn_path_join(path, dir, name))
            status = read_file(p, &cifar_10, path, parts.count - i, err);
    }
    cn_names_free(&parts);
    return status;
}

/* ---- The readers */

static cn_status finish(cn_dataset **data, pile *p, const form *f, const char *dir,
                        const cn_request *request, cn_error *err)
{
    cn_status status = p->count < p->labels.shape[0] ? set_room(p, p->count, err) : CN_OK;
    if (status != CN_OK) return status;
    const cn_tensor view = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){p->count, SIDE, SIDE, 3}, NULL);
    cn_dataset_parts parts = {.images = p->stored ? view : p->images,
                              .labels = p->labels,
                              .classes = f->classes,
                              .scale = 1.0f / 255.0f,
                              .class_names = f->class_names};
    if (p->stored)
        status = cn_stored_samples(&parts.samples, p->stored, cn_request_memory(request), request,
                                   dir, err);
    p->stored = NULL; /* the samples have it, or nobody */
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, dir, err);
    if (status == CN_OK) p->images = p->labels = (cn_tensor){0};
    cn_samples_free(parts.samples);
    return status;
}

static cn_status read_all(pile *p, const form *f, const char *dir, cn_subset split, cn_error *err)
{
    bool train = split == CN_SUBSET_TRAIN;
    if (f == &cifar_100) return read_named(p, f, dir, train ? "train.bin" : "test.bin", 1, err);
    return train ? read_batches(p, dir, err) : read_tests(p, dir, err);
}

/* Where the images will lie: in memory, or in their files. */
static cn_status choose_place(pile *p, const form *f, const char *dir, const cn_request *request,
                              cn_error *err)
{
    const cn_stored_form records = {.element = CN_ELEMENT_U8,
                                    .channels_first = true,
                                    .stride = (size_t)f->label_bytes + IMAGE,
                                    .shape = {SIDE, SIDE, 3},
                                    .dtype = CN_DTYPE_U8};
    pile first = {.look = true};
    cn_status status = read_all(&first, f, dir, request->split, err);
    if (status != CN_OK || cn_request_holds(request, first.bytes)) return status;
    if (first.packed) return cn_remark_packed(request->remarks, dir, err);
    return cn_stored_create(&p->stored, &records, err);
}

static cn_status load(cn_dataset **data, const form *f, const char *dir, const cn_request *request,
                      cn_error *err)
{
    pile p = {.count = 0};
    if (!dir[0])
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%s: expected a folder's path after the colon, found nothing", f->name);
    cn_status status = choose_place(&p, f, dir, request, err);
    if (status == CN_OK) status = read_all(&p, f, dir, request->split, err);
    if (status == CN_OK) status = finish(data, &p, f, dir, request, err);
    cn_stored_free(p.stored);
    cn_tensor_free(&p.images);
    cn_tensor_free(&p.labels);
    return status;
}

static cn_status load_10(cn_dataset **data, const char *path, const cn_request *request,
                         cn_error *err)
{
    return load(data, &cifar_10, path, request, err);
}

static cn_status load_100(cn_dataset **data, const char *path, const cn_request *request,
                          cn_error *err)
{
    return load(data, &cifar_100, path, request, err);
}

static bool detects_10(const char *dir)
{
    char path[CN_PATH_ROOM];
    return cn_path_find(path, dir, "data_batch_1.bin") || cn_path_find(path, dir, "data_batch_1");
}

/* Names as common as train.bin need a third to be told by. */
static bool detects_100(const char *dir)
{
    char path[CN_PATH_ROOM];
    return cn_path_find(path, dir, "train.bin") && cn_path_find(path, dir, "test.bin") &&
           cn_path_find(path, dir, "fine_label_names.txt");
}

const cn_reader cn_reader_cifar10 = {
    .name = "cifar10",
    .usage = "cifar10:DIR",
    .detects = detects_10,
    .two_parts = true,
    .load = load_10,
};

const cn_reader cn_reader_cifar100 = {
    .name = "cifar100",
    .usage = "cifar100:DIR",
    .detects = detects_100,
    .two_parts = true,
    .load = load_100,
};

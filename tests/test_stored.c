/* Arrays that are read from their files while they are used: the same as in memory, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <unistd.h>
#include <zlib.h>

#include "convnet.h"
#include "data/dataset.h"
#include "folder.h"
#include "model/model.h"
#include "trees.h"

enum { CLASSES = 3, ALL = 45, SIDE = 8, PIXELS = SIDE * SIDE };

/* In memory; with a cache of some of the images; with none. */
static const size_t budgets[] = {(size_t)1 << 30, 4000, 1};
enum { BUDGETS = 3 };

/* ---- Files */

typedef struct bytes {
    uint8_t at[1 << 18];
    size_t size;
} bytes;

/* Value v as the element that NumPy calls so ("<u2", ">f4"). */
static void add_value(bytes *b, const char *element, double v)
{
    const bool big = element[0] == '>';
    const int size = element[2] - '0';
    uint64_t bits = 0;
    if (element[1] == 'f' && size == 4) {
        float f = (float)v;
        memcpy(&bits, &f, 4);
    } else if (element[1] == 'f') {
        memcpy(&bits, &v, 8);
    } else {
        bits = (uint64_t)(int64_t)v;
    }
    assert_true(b->size + 8 <= sizeof b->at);
    for (int i = 0; i < size; i++)
        b->at[b->size++] = (uint8_t)(bits >> 8 * (big ? size - 1 - i : i));
}

/* What is in image i at place k: different everywhere. */
static int value_of(int i, int k)
{
    return (i * 37 + k * (i % 3 + 1) + k / SIDE * (i % 7)) % 256;
}

static void add_npy_head(bytes *b, const char *element, const char *shape)
{
    char text[128];
    int length =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n",
                 element, shape);
    memcpy(b->at + b->size, (uint8_t[]){0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)length, 0},
           10);
    memcpy(b->at + b->size + 10, text, (size_t)length);
    b->size += 10 + (size_t)length;
}

static void add_images(bytes *b, const char *element, int channels, double factor, double offset)
{
    for (int i = 0; i < ALL; i++)
        for (int k = 0; k < PIXELS * channels; k++)
            add_value(b, element, value_of(i, k) * factor + offset);
}

static void add_labels(bytes *b)
{
    add_npy_head(b, "|u1", "45,");
    for (int i = 0; i < ALL; i++) b->at[b->size++] = (uint8_t)(i % CLASSES);
}

static bytes *new_bytes(void)
{
    bytes *b = calloc(1, sizeof *b);
    assert_non_null(b);
    return b;
}

static void write_bytes(const char *name, bytes *b)
{
    put(folder, name, b->at, b->size);
    free(b);
}

/* x.npy and y.npy. */
static void write_npy(const char *element, const char *shape, int channels, double factor,
                      double offset)
{
    bytes *x = new_bytes(), *y = new_bytes();
    add_npy_head(x, element, shape);
    add_images(x, element, channels, factor, offset);
    add_labels(y);
    write_bytes("x.npy", x);
    write_bytes("y.npy", y);
}

/* ---- Sets */

static cn_status try_load(cn_dataset **data, const char *spec, cn_subset split, size_t memory,
                          cn_error *err)
{
    char full[FILES_PATH + 64];
    cn_dataset_opts opts = {.memory = memory};
    const char *colon = strchr(spec, ':');
    snprintf(full, sizeof full, "%.*s:%s%s", (int)(colon - spec), spec, folder, colon + 1);
    return cn_dataset_load(data, full, split, &opts, err);
}

static cn_dataset *load(const char *spec, cn_subset split, size_t memory)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (try_load(&data, spec, split, memory, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static cn_model *make_model(const cn_dataset *data)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, "conv 3 3x3 same, batchnorm, relu, maxpool 2, dense classes",
                       cn_dataset_shape(data), cn_dataset_classes(data), 5, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

static cn_model *train(const cn_dataset *data, int threads, const char *augment)
{
    cn_dataset *kept = NULL, *held = NULL;
    cn_model *model = make_model(data);
    cn_error err = {CN_OK, ""};
    float mean[4], std[4];
    cn_fit_opts opts = {.epochs = 2, .batch = 8, .threads = threads, .seed = 7};
    assert_int_equal(cn_augment_parse(&opts.augment, augment, NULL), CN_OK);
    assert_int_equal(cn_dataset_split(&kept, &held, data, 0.2, 3, NULL), CN_OK);
    cn_dataset_statistics(kept, mean, std);
    assert_int_equal(cn_model_set_normalization(model, mean, std, NULL), CN_OK);
    opts.valid = held;
    if (cn_fit(model, kept, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    cn_dataset_free(kept);
    cn_dataset_free(held);
    return model;
}

static void assert_same_model(const cn_model *a, const cn_model *b)
{
    assert_int_equal(a->block_size, b->block_size);
    assert_memory_equal(a->block, b->block, a->block_size * sizeof *a->block);
}

/* The same images, labels, words and training at every budget. */
static void check_set(const char *spec, cn_subset split, const char *augment)
{
    cn_dataset *whole = load(spec, split, budgets[0]);
    const int *shape = cn_dataset_shape(whole), n = cn_dataset_size(whole);
    const size_t image = (size_t)(shape[0] * shape[1] * shape[2]);
    float *x = calloc(2 * image, sizeof *x), mean[2][4], std[2][4];
    cn_model *first = train(whole, 1, augment);
    assert_true(cn_dataset_in_memory(whole));
    cn_dataset_statistics(whole, mean[0], std[0]);
    for (int b = 1; b < BUDGETS; b++) {
        cn_dataset *data = load(spec, split, budgets[b]);
        assert_false(cn_dataset_in_memory(data));
        assert_null(cn_dataset_images(data)->data);
        assert_int_equal(cn_dataset_images(data)->dtype, cn_dataset_images(whole)->dtype);
        assert_int_equal(cn_dataset_size(data), n);
        assert_memory_equal(cn_dataset_shape(data), shape, 3 * sizeof *shape);
        assert_string_equal(cn_dataset_remarks(data), cn_dataset_remarks(whole));
        assert_memory_equal(cn_dataset_labels(data), cn_dataset_labels(whole),
                            (size_t)n * sizeof(int32_t));
        for (int i = 0; i < n; i++) {
            cn_dataset_batch(whole, &i, 1, NULL, NULL, x, NULL, NULL);
            assert_int_equal(cn_dataset_batch(data, &i, 1, NULL, NULL, x + image, NULL, NULL),
                             CN_OK);
            assert_memory_equal(x, x + image, image * sizeof *x);
        }
        cn_dataset_statistics(data, mean[1], std[1]);
        assert_memory_equal(mean[1], mean[0], (size_t)shape[2] * sizeof(float));
        assert_memory_equal(std[1], std[0], (size_t)shape[2] * sizeof(float));
        for (int threads = 1; threads <= 2; threads++) {
            cn_model *model = train(data, threads, augment);
            assert_same_model(model, first);
            cn_model_free(model);
        }
        cn_dataset_free(data);
    }
    cn_model_free(first);
    cn_dataset_free(whole);
    free(x);
}

/* ---- NPY */

static void npy_of_every_element_gives_the_same_bits(void **state)
{
    static const struct {
        const char *element, *shape;
        int channels;
        double factor, offset;
    } cases[] = {
        {"|u1", "45, 8, 8", 1, 1, 0},
        {"|u1", "45, 8, 8, 3", 3, 1, 0},
        {"|u1", "45, 3, 8, 8", 3, 1, 0},
        {"<f4", "45, 8, 8, 1", 1, 1 / 255.0, 0},
        {">f4", "45, 3, 8, 8", 3, 2 / 255.0, -1},
        {"<f8", "45, 8, 8", 1, 1 / 255.0, 0},
        {"<i8", "45, 8, 8", 1, 1, 0},
        {"<u2", "45, 8, 8", 1, 257, 0},
        {">i2", "45, 8, 8, 2", 2, 1, -128},
        {"<i4", "45, 64", 1, 1, 0},
        {"<u2", "45, 192", 3, 255, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_npy(cases[i].element, cases[i].shape, cases[i].channels, cases[i].factor,
                  cases[i].offset);
        check_set("npy:/x.npy", CN_SUBSET_ALL, i % 2 ? "flip crop=1" : "random-resized-crop=0.5");
    }
}

static void an_odd_array_is_refused_as_in_memory(void **state)
{
    static const char *const words[] = {"is 70000, expected a pixel of 0 to 255", "not finite"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        write_npy(k ? "<f4" : "<i4", "45, 8, 8", 1, 1, k ? 0 : -100000);
        bytes *x = new_bytes();
        add_npy_head(x, k ? "<f4" : "<i4", "45, 8, 8");
        for (int i = 0; i < ALL * PIXELS; i++)
            add_value(x, k ? "<f4" : "<i4", i < 1000 ? i % 256 : k ? (double)NAN : 70000);
        write_bytes("x.npy", x);
        for (int b = 0; b < BUDGETS; b++) {
            cn_dataset *data = NULL;
            cn_error err = {CN_OK, ""};
            assert_int_equal(try_load(&data, "npy:/x.npy", CN_SUBSET_ALL, budgets[b], &err),
                             CN_ERR_FORMAT);
            assert_says(err, words[k]);
            assert_null(data);
        }
    }
}

static void what_is_packed_is_read_whole_and_said(void **state)
{
    (void)state;
    write_npy("|u1", "45, 8, 8", 1, 1, 0);
    char path[FILES_PATH], packed[FILES_PATH];
    gzFile gz = gzopen(files_join(packed, folder, "x.npy.gz"), "wb");
    bytes *x = new_bytes();
    add_npy_head(x, "|u1", "45, 8, 8");
    add_images(x, "|u1", 1, 1, 0);
    assert_int_equal(gzwrite(gz, x->at, (unsigned)x->size), (int)x->size);
    gzclose(gz);
    free(x);
    remove(files_join(path, folder, "x.npy"));
    cn_dataset *data = load("npy:/x.npy.gz", CN_SUBSET_ALL, 1);
    assert_true(cn_dataset_in_memory(data));
    assert_non_null(strstr(cn_dataset_remarks(data), "exceeds the memory for images"));
    cn_dataset_free(data);
}

/* ---- NPZ */

typedef struct member {
    const char *name;
    bytes *content;
    size_t at;
} member;

static void add_little(bytes *b, uint64_t v, int size)
{
    for (int i = 0; i < size; i++) b->at[b->size++] = (uint8_t)(v >> 8 * i);
}

/* The fields that a member's header and its row in the directory share; `damage` spoils the CRC. */
static void add_fields(bytes *b, const member *m, uint32_t damage)
{
    uint32_t crc = (uint32_t)crc32(0, m->content->at, (unsigned)m->content->size) ^ damage;
    add_little(b, 20, 2);
    add_little(b, 0, 8);
    add_little(b, crc, 4);
    add_little(b, m->content->size, 4);
    add_little(b, m->content->size, 4);
    add_little(b, strlen(m->name), 2);
    add_little(b, 0, 2);
}

static void add_bytes(bytes *b, const void *from, size_t size)
{
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, from, size);
    b->size += size;
}

static void write_npz(member *members, int count, uint32_t damage)
{
    bytes *zip = new_bytes();
    for (int i = 0; i < count; i++) {
        members[i].at = zip->size;
        add_little(zip, 0x04034b50, 4);
        add_fields(zip, &members[i], damage);
        add_bytes(zip, members[i].name, strlen(members[i].name));
        add_bytes(zip, members[i].content->at, members[i].content->size);
    }
    size_t directory = zip->size;
    for (int i = 0; i < count; i++) {
        add_little(zip, 0x02014b50, 4);
        add_little(zip, 20, 2);
        add_fields(zip, &members[i], damage);
        add_little(zip, 0, 2);
        add_little(zip, 0, 8);
        add_little(zip, members[i].at, 4);
        add_bytes(zip, members[i].name, strlen(members[i].name));
        free(members[i].content);
    }
    size_t size = zip->size - directory;
    add_little(zip, 0x06054b50, 4);
    add_little(zip, 0, 4);
    add_little(zip, (uint64_t)count, 2);
    add_little(zip, (uint64_t)count, 2);
    add_little(zip, size, 4);
    add_little(zip, directory, 4);
    add_little(zip, 0, 2);
    write_bytes("set.npz", zip);
}

static bytes *new_images(const char *element, const char *shape)
{
    bytes *b = new_bytes();
    add_npy_head(b, element, shape);
    add_images(b, element, 1, 1, 0);
    return b;
}

static bytes *new_labels(void)
{
    bytes *b = new_bytes();
    add_labels(b);
    return b;
}

/* Both parts are read from the one file, alone and joined. */
static void npz_gives_the_same_bits(void **state)
{
    (void)state;
    member members[] = {{"x_train.npy", new_images("|u1", "45, 8, 8"), 0},
                        {"y_train.npy", new_labels(), 0},
                        {"x_test.npy", new_images("|u1", "45, 8, 8"), 0},
                        {"y_test.npy", new_labels(), 0}};
    write_npz(members, 4, 0);
    check_set("npz:/set.npz", CN_SUBSET_TRAIN, "flip");
    check_set("npz:/set.npz", CN_SUBSET_ALL, "flip");
}

static void a_damaged_member_is_noticed_without_reading_it_into_memory(void **state)
{
    (void)state;
    cn_error err;
    cn_dataset *data = NULL;
    member members[] = {{"x.npy", new_images("|u1", "45, 8, 8"), 0}, {"y.npy", new_labels(), 0}};
    write_npz(members, 2, 1);
    assert_int_equal(try_load(&data, "npz:/set.npz", CN_SUBSET_ALL, 1, &err), CN_ERR_FORMAT);
    assert_says(err, "CRC-32");
}

/* ---- IDX and CIFAR */

static void write_idx(const char *name, uint8_t type, const uint32_t *shape, int rank)
{
    bytes *b = new_bytes();
    add_bytes(b, (uint8_t[]){0, 0, type, (uint8_t)rank}, 4);
    for (int i = 0; i < rank; i++)
        for (int k = 24; k >= 0; k -= 8) b->at[b->size++] = (uint8_t)(shape[i] >> k);
    if (rank == 1)
        for (int i = 0; i < ALL; i++) b->at[b->size++] = (uint8_t)(i % CLASSES);
    else if (type == 0x08)
        add_images(b, "|u1", rank == 4 ? 3 : 1, 1, 0);
    else
        add_images(b, ">f4", rank == 4 ? 3 : 1, 1 / 255.0, 0);
    write_bytes(name, b);
}

static void idx_gives_the_same_bits(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        uint32_t plain[] = {ALL, SIDE, SIDE, 1}, color[] = {ALL, 3, SIDE, SIDE};
        const uint32_t *shape = k & 1 ? color : plain;
        for (int part = 0; part < 2; part++) {
            write_idx(part ? "t10k-images-idx3-ubyte" : "train-images-idx3-ubyte",
                      k & 2 ? 0x0d : 0x08, shape, k & 1 ? 4 : 3);
            write_idx(part ? "t10k-labels-idx1-ubyte" : "train-labels-idx1-ubyte", 0x08, shape, 1);
        }
        check_set("idx:", CN_SUBSET_TRAIN, "crop=1");
        check_set("idx:", CN_SUBSET_ALL, "");
    }
}

static void write_records(const char *name, int first, int count, int label_bytes)
{
    enum { IMAGE = 3072 };
    bytes *b = new_bytes();
    for (int i = first; i < first + count; i++) {
        for (int k = 0; k < label_bytes; k++) b->at[b->size++] = (uint8_t)(i % CLASSES);
        for (int k = 0; k < IMAGE; k++) b->at[b->size++] = (uint8_t)value_of(i, k);
    }
    write_bytes(name, b);
}

static void cifar_gives_the_same_bits(void **state)
{
    char name[32];
    (void)state;
    for (int i = 1; i <= 5; i++) {
        snprintf(name, sizeof name, "data_batch_%d.bin", i);
        write_records(name, 3 * i, 3, 1);
    }
    write_records("test_batch.bin", 40, 4, 1);
    write_records("train.bin", 0, 10, 2);
    write_records("test.bin", 20, 4, 2);
    check_set("cifar10:", CN_SUBSET_TRAIN, "flip");
    check_set("cifar100:", CN_SUBSET_ALL, "");
}

/* ---- HDF5 */

#ifdef CONVNET_HAVE_HDF5

#include <hdf5.h>

static void put_array(hid_t file, const char *name, hid_t stored, int rank, const hsize_t *shape,
                      const double *values)
{
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void hdf5_gives_the_same_bits(void **state)
{
    const hid_t stored[] = {H5T_STD_U8LE, H5T_STD_I16BE, H5T_IEEE_F32LE, H5T_IEEE_F64BE,
                            H5T_STD_I64LE};
    char path[FILES_PATH];
    double *images = calloc(ALL * PIXELS, sizeof *images), labels[ALL];
    (void)state;
    for (int i = 0; i < ALL; i++) {
        labels[i] = i % CLASSES;
        for (int k = 0; k < PIXELS; k++) images[i * PIXELS + k] = value_of(i, k);
    }
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        hid_t file =
            H5Fcreate(files_join(path, folder, "set.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        put_array(file, "x_train", stored[i], 3, (hsize_t[]){ALL, SIDE, SIDE}, images);
        put_array(file, "y_train", H5T_STD_U8LE, 1, (hsize_t[]){ALL}, labels);
        H5Fclose(file);
        check_set("hdf5:/set.h5", CN_SUBSET_ALL, "flip");
    }
    free(images);
}

#else

static void hdf5_gives_the_same_bits(void **state)
{
    (void)state;
    print_message("skipped: built without libhdf5\n");
    skip();
}

#endif

/* ---- Files that change */

enum { CHANGES = 3 }; /* after this step of the second epoch */

static void (*change)(const char *path);

static bool change_late(const cn_progress *p, void *user)
{
    char path[FILES_PATH];
    (void)user;
    if (p->epoch == 2 && p->step == CHANGES) change(files_join(path, folder, "x.npy"));
    return false;
}

static void cut(const char *path)
{
    assert_int_equal(truncate(path, 400), 0);
}

static void write_into(const char *path)
{
    int file = open(path, O_WRONLY);
    assert_int_equal(pwrite(file, "x", 1, 500), 1);
    const struct timespec times[2] = {{1000, 0}, {1000, 5}};
    assert_int_equal(futimens(file, times), 0);
    close(file);
}

static void take_away(const char *path)
{
    assert_int_equal(remove(path), 0);
}

static void a_training_whose_file_changes_can_go_on(void **state)
{
    static const struct {
        void (*change)(const char *path);
        const char *words;
    } cases[] = {{cut, "cut short while it was used"},
                 {write_into, "written to while it was used"}};
    (void)state;
    for (size_t c = 0; c < 4; c++) {
        char path[FILES_PATH];
        cn_error err = {CN_OK, ""};
        cn_progress last = {.epoch = 0};
        write_npy("|u1", "45, 8, 8", 1, 1, 0);
        cn_dataset *data = load("npy:/x.npy", CN_SUBSET_ALL, 1);
        cn_model *whole = make_model(data), *model = make_model(data), *resumed = make_model(data);
        cn_fit_opts opts = {.epochs = 2, .batch = 8, .threads = 1 + (int)c % 2, .seed = 2};
        assert_int_equal(cn_fit(whole, data, &opts, NULL, NULL), CN_OK);
        change = cases[c / 2].change;
        opts.progress = change_late;
        opts.checkpoint.path = files_join(path, folder, "checkpoint.safetensors");
        assert_int_equal(cn_fit(model, data, &opts, &last, &err), CN_ERR_IO);
        assert_says(err, "x.npy");
        assert_says(err, cases[c / 2].words);
        assert_int_equal(last.epoch, 2);
        assert_true(last.step >= CHANGES && last.step < last.steps);
        cn_dataset_free(data);
        write_npy("|u1", "45, 8, 8", 1, 1, 0);
        data = load("npy:/x.npy", CN_SUBSET_ALL, 1);
        opts.progress = NULL;
        opts.resume = opts.checkpoint.path;
        if (cn_fit(resumed, data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
        assert_same_model(resumed, whole);
        cn_dataset_free(data);
        cn_model_free(whole);
        cn_model_free(model);
        cn_model_free(resumed);
    }
}

static void a_file_whose_name_vanishes_is_still_read(void **state)
{
    cn_error err = {CN_OK, ""};
    (void)state;
    write_npy("|u1", "45, 8, 8", 1, 1, 0);
    cn_dataset *data = load("npy:/x.npy", CN_SUBSET_ALL, 1);
    cn_model *whole = make_model(data), *model = make_model(data);
    cn_fit_opts opts = {.epochs = 2, .batch = 8, .threads = 2, .seed = 2};
    assert_int_equal(cn_fit(whole, data, &opts, NULL, NULL), CN_OK);
    change = take_away;
    opts.progress = change_late;
    if (cn_fit(model, data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    assert_same_model(model, whole);
    cn_dataset_free(data);
    cn_model_free(whole);
    cn_model_free(model);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(npy_of_every_element_gives_the_same_bits),
        IN_A_FOLDER(an_odd_array_is_refused_as_in_memory),
        IN_A_FOLDER(what_is_packed_is_read_whole_and_said),
        IN_A_FOLDER(npz_gives_the_same_bits),
        IN_A_FOLDER(a_damaged_member_is_noticed_without_reading_it_into_memory),
        IN_A_FOLDER(idx_gives_the_same_bits),
        IN_A_FOLDER(cifar_gives_the_same_bits),
        IN_A_FOLDER(hdf5_gives_the_same_bits),
        IN_A_FOLDER(a_training_whose_file_changes_can_go_on),
        IN_A_FOLDER(a_file_whose_name_vanishes_is_still_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* HDF5: the course's sets and others, true and lying. Without libhdf5, what is said then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "files.h"

static cn_status load(cn_dataset **data, const char *kind, const char *path, cn_subset split,
                      cn_error *err)
{
    char spec[FILES_PATH + 16];
    snprintf(spec, sizeof spec, "%s%s", kind, path);
    return cn_dataset_load(data, spec, split, NULL, err);
}

static void expect_failure(const char *path, cn_subset split, cn_status status, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(load(&data, "hdf5:", path, split, &err), status);
    assert_null(data);
    assert_says(err, part);
}

#ifdef CONVNET_HAVE_HDF5

#include <hdf5.h>

enum { ROWS = 3, COLUMNS = 2, CHANNELS = 3, IMAGE = ROWS * COLUMNS * CHANNELS, MOST = 16 };

static void put(hid_t file, const char *name, hid_t stored, hid_t type, int rank,
                const hsize_t *shape, const void *data)
{
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    if (data) assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static hid_t create(const char *folder, const char *name)
{
    char path[FILES_PATH];
    hid_t file = H5Fcreate(files_join(path, folder, name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* n images of bytes first, first + 1 ... and labels 0, 1, 2, 0 ... as (n), or as (1, n). */
static void put_set(hid_t file, const char *images, const char *labels, hsize_t n, int first,
                    bool flat)
{
    uint8_t pixels[MOST * IMAGE];
    int64_t numbers[MOST];
    assert_true(n <= MOST);
    for (size_t i = 0; i < n * IMAGE; i++) pixels[i] = (uint8_t)((size_t)first + i);
    for (size_t i = 0; i < n; i++) numbers[i] = (int64_t)i % 3;
    put(file, images, H5T_STD_U8LE, H5T_NATIVE_UINT8, 4, (hsize_t[]){n, ROWS, COLUMNS, CHANNELS},
        pixels);
    if (flat)
        put(file, labels, H5T_STD_I64LE, H5T_NATIVE_INT64, 1, &n, numbers);
    else
        put(file, labels, H5T_STD_I32BE, H5T_NATIVE_INT64, 2, (hsize_t[]){1, n}, numbers);
}

static void check(const char *kind, const char *path, cn_subset split, int n, int classes,
                  int first)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    float x[IMAGE];
    int32_t label;
    if (load(&data, kind, path, split, &err) != CN_OK) fail_msg("%s%s: %s", kind, path, err.text);
    assert_int_equal(cn_dataset_size(data), n);
    assert_int_equal(cn_dataset_classes(data), classes);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){ROWS, COLUMNS, CHANNELS}), 12);
    cn_dataset_batch(data, (int[]){1}, 1, NULL, NULL, x, &label, NULL);
    assert_int_equal(label, 1);
    for (int i = 0; i < IMAGE; i++)
        assert_float_equal(x[i], (float)(first + IMAGE + i) / 255, 1e-6);
    cn_dataset_free(data);
}

/* Two files, labels as (1, n) in one of them and classes by number: the course's form. */
static void the_courses_form_is_read(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const int64_t classes[] = {0, 1, 2, 3};
    files_make_folder(folder);
    hid_t file = create(folder, "train_hands.h5");
    put_set(file, "train_set_x", "train_set_y", 5, 10, false);
    put(file, "list_classes", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (hsize_t[]){4}, classes);
    H5Fclose(file);
    file = create(folder, "test_hands.h5");
    /* As many test images as classes: the list of classes is not taken for labels. */
    put_set(file, "test_set_x", "test_set_y", 4, 20, true);
    put(file, "list_classes", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (hsize_t[]){4}, classes);
    H5Fclose(file);
    check("hdf5:", folder, CN_SUBSET_TRAIN, 5, 4, 10);
    check("hdf5:", folder, CN_SUBSET_TEST, 4, 4, 20);
    check("", folder, CN_SUBSET_TRAIN, 5, 4, 10);
    check("hdf5:", files_join(path, folder, "train_hands.h5"), CN_SUBSET_TEST, 4, 4, 20);
    check("hdf5:", files_join(path, folder, "test_hands.h5"), CN_SUBSET_TRAIN, 5, 4, 10);
    files_remove_folder(folder);
}

/* As PCam has them: x and y in files of their own, labels (n, 1, 1, 1), and masks that are not read. */
static void labels_may_lie_in_files_beside(void **state)
{
    static const char *const parts[] = {"train", "test", "valid"};
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], name[64];
    uint8_t pixels[MOST * IMAGE], labels[MOST];
    files_make_folder(folder);
    for (hsize_t k = 0; k < 3; k++) {
        const hsize_t n = 4 + k;
        for (size_t i = 0; i < MOST * IMAGE; i++) pixels[i] = (uint8_t)(10 * k + i);
        for (size_t i = 0; i < MOST; i++) labels[i] = i % 2;
        snprintf(name, sizeof name, "camelyonpatch_level_2_split_%s_x.h5", parts[k]);
        hid_t file = create(folder, name);
        put(file, "x", H5T_STD_U8LE, H5T_NATIVE_UINT8, 4, (hsize_t[]){n, ROWS, COLUMNS, CHANNELS},
            pixels);
        H5Fclose(file);
        snprintf(name, sizeof name, "camelyonpatch_level_2_split_%s_y.h5", parts[k]);
        file = create(folder, name);
        put(file, "y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 4, (hsize_t[]){n, 1, 1, 1}, labels);
        H5Fclose(file);
        snprintf(name, sizeof name, "camelyonpatch_level_2_split_%s_mask.h5", parts[k]);
        file = create(folder, name);
        put(file, "mask", H5T_STD_U8LE, H5T_NATIVE_UINT8, 4, (hsize_t[]){n, ROWS, COLUMNS, 1},
            pixels);
        H5Fclose(file);
    }
    check("", folder, CN_SUBSET_TRAIN, 4, 2, 0);
    check("", folder, CN_SUBSET_TEST, 5, 2, 10);
    check("hdf5:", files_join(path, folder, "camelyonpatch_level_2_split_train_x.h5"),
          CN_SUBSET_VALIDATION, 6, 2, 20);
    check("", files_join(path, folder, "camelyonpatch_level_2_split_test_x.h5"), CN_SUBSET_TRAIN, 4,
          2, 0);
    /* Labels alone are no set. */
    expect_failure(files_join(path, folder, "camelyonpatch_level_2_split_test_y.h5"),
                   CN_SUBSET_TRAIN, CN_ERR_FORMAT, "expected labels (4)");
    files_remove_folder(folder);
}

static void one_file_of_any_names_will_do(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "all.hdf5");
    hid_t file = create(folder, "all.hdf5");
    put_set(file, "photographs", "kinds", 10, 5, true);
    H5Gclose(H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Lcreate_external("train.h5", "/x", file, "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    check("hdf5:", folder, CN_SUBSET_TRAIN, 8, 3, 5);
    cn_dataset *test = NULL;
    assert_int_equal(load(&test, "", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(test), 2);
    assert_int_equal(cn_dataset_label(test, 0), 4 % 3);
    cn_dataset_free(test);
    file = create(folder, "all.hdf5");
    put_set(file, "x_train", "y_train", 5, 1, true);
    put_set(file, "x_test", "y_test", 2, 2, true);
    H5Fclose(file);
    check("hdf5:", path, CN_SUBSET_TRAIN, 5, 3, 1);
    check("hdf5:", path, CN_SUBSET_TEST, 2, 3, 2);
    files_remove_folder(folder);
}

static void classes_have_their_names(void **state)
{
    (void)state;
    const char fixed[3][4] = {"cat", "dog", "elk"};
    const char *varying[3] = {"cat", "dog", "elk"};
    for (int kind = 0; kind < 2; kind++) {
        char folder[FILES_PATH];
        cn_dataset *data = NULL;
        files_make_folder(folder);
        hid_t file = create(folder, "pets.h5"), type = H5Tcopy(H5T_C_S1);
        put_set(file, "x", "y", 10, 5, true);
        H5Tset_size(type, kind ? H5T_VARIABLE : 3);
        char packed[9];
        for (int i = 0; i < 9; i++) packed[i] = fixed[i / 3][i % 3];
        put(file, "list_classes", type, type, 1, (hsize_t[]){3},
            kind ? (const void *)varying : packed);
        H5Tclose(type);
        H5Fclose(file);
        assert_int_equal(load(&data, "hdf5:", folder, CN_SUBSET_TRAIN, NULL), CN_OK);
        assert_string_equal(cn_dataset_class_name(data, 0), "cat");
        assert_string_equal(cn_dataset_class_name(data, 2), "elk");
        cn_dataset_free(data);
        files_remove_folder(folder);
    }
}

static void elements_become_pixels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    const uint16_t wide[5] = {0, 65535, 32768, 1, 2};
    const double doubles[5] = {0, 0.5, -1.5, 2, 3}, bad[5] = {0, 1, 2, 256, 4};
    const uint8_t labels[5] = {0, 1, 0, 1, 0};
    const hsize_t shape[4] = {5, 1, 1, 1};
    const struct {
        hid_t stored, type;
        const void *values;
        float second;
    } cases[] = {{H5T_STD_U16BE, H5T_NATIVE_UINT16, wide, 1},
                 {H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, doubles, 0.5f},
                 {H5T_IEEE_F64BE, H5T_NATIVE_DOUBLE, doubles, 0.5f},
                 {H5T_STD_I16LE, H5T_NATIVE_UINT8, labels, 1},
                 {H5T_STD_U32LE, H5T_NATIVE_UINT8, labels, 1}};
    files_make_folder(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x;
        int32_t y;
        cn_dataset *data = NULL;
        hid_t file = create(folder, "a.h5");
        put(file, "x", cases[i].stored, cases[i].type, 4, shape, cases[i].values);
        put(file, "y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, (hsize_t[]){5, 1}, labels);
        H5Fclose(file);
        assert_int_equal(load(&data, "", folder, CN_SUBSET_TRAIN, NULL), CN_OK);
        cn_dataset_batch(data, (int[]){1}, 1, NULL, NULL, &x, &y, NULL);
        assert_float_equal(x, cases[i].second, 1e-7);
        assert_int_equal(y, 1);
        cn_dataset_free(data);
    }
    hid_t file = create(folder, "a.h5");
    put(file, "x", H5T_STD_I32LE, H5T_NATIVE_DOUBLE, 4, shape, bad);
    put(file, "y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, shape, labels);
    H5Fclose(file);
    expect_failure(folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "x: element 3 is 256, expected a pixel of");
    files_remove_folder(folder);
}

/* Arrays in groups, truth values as h5py writes them, and what is none of ours. */
static void groups_hold_arrays(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const int8_t truths[] = {0, 1}, labels[5] = {0, 1, 1, 0, 1};
    cn_dataset *data = NULL;
    files_make_folder(folder);
    files_join(path, folder, "a.h5");
    hid_t file = create(folder, "a.h5"), boolean = H5Tenum_create(H5T_STD_I8LE);
    const char *const groups[] = {"data", "data/train", "data/test", "data/val"};
    for (int i = 0; i < 4; i++)
        H5Gclose(H5Gcreate2(file, groups[i], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    put_set(file, "data/train/images", "data/train/labels", 10, 0, true);
    put_set(file, "data/test/images", "data/test/labels", 4, 30, false);
    put_set(file, "data/val/images", "data/val/labels", 3, 60, true);
    H5Lcreate_hard(file, "data", file, "data/test/again", H5P_DEFAULT, H5P_DEFAULT); /* a circle */
    H5Fclose(file);
    check("hdf5:", path, CN_SUBSET_TRAIN, 10, 3, 0);
    check("hdf5:", path, CN_SUBSET_TEST, 4, 3, 30);
    check("hdf5:", path, CN_SUBSET_VALIDATION, 3, 3, 60);

    H5Tenum_insert(boolean, "FALSE", &truths[0]);
    H5Tenum_insert(boolean, "TRUE", &truths[1]);
    file = create(folder, "a.h5");
    put(file, "x", boolean, boolean, 4, (hsize_t[]){5, 1, 1, 1}, labels);
    put(file, "y", boolean, boolean, 1, (hsize_t[]){5}, labels);
    H5Fclose(file);
    assert_int_equal(load(&data, "hdf5:", path, CN_SUBSET_ALL, NULL), CN_OK);
    for (int i = 0; i < 5; i++) assert_int_equal(cn_dataset_label(data, i), labels[i]);
    cn_dataset_free(data);

    hid_t record = H5Tcreate(H5T_COMPOUND, 4);
    H5Tinsert(record, "a", 0, H5T_NATIVE_INT32);
    file = create(folder, "a.h5");
    put(file, "table", record, record, 1, (hsize_t[]){5}, NULL);
    put(file, "y", boolean, boolean, 1, (hsize_t[]){5}, labels);
    H5Fclose(file);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "found y (5) u1, and 1 of other kinds (table: records)");
    H5Tclose(record);
    H5Tclose(boolean);
    files_remove_folder(folder);
}

/* Strings of a fixed length, filled up with zeros or blanks, and of any. */
static void names_may_be_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], longer[300];
    const uint8_t pixels[5] = {0, 1, 2, 3, 255};
    const char fixed[5 * 4] = "cat\0dog\0cat\0cat\0dog";
    const char *varying[5] = {"cat", "dog", "cat", "cat", "dog"};
    files_make_folder(folder);
    files_join(path, folder, "a.h5");
    for (int form = 0; form < 2; form++) {
        hid_t type = H5Tcopy(H5T_C_S1), file = create(folder, "a.h5");
        H5Tset_size(type, form ? H5T_VARIABLE : 4);
        if (form) H5Tset_cset(type, H5T_CSET_UTF8);
        put(file, "x", H5T_STD_U8LE, H5T_NATIVE_UINT8, 3, (hsize_t[]){5, 1, 1}, pixels);
        put(file, "names", type, type, 1, (hsize_t[]){5}, form ? (const void *)varying : fixed);
        H5Fclose(file);
        cn_dataset *data = NULL;
        cn_error err;
        if (load(&data, "hdf5:", path, CN_SUBSET_ALL, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(cn_dataset_classes(data), 2);
        assert_string_equal(cn_dataset_class_name(data, 1), "dog");
        for (int k = 0; k < 5; k++)
            assert_int_equal(cn_dataset_label(data, k), k == 1 || k == 4 ? 1 : 0);
        cn_dataset_free(data);
        H5Tclose(type);
    }
    memset(longer, 'a', sizeof longer);
    longer[299] = 0;
    varying[3] = longer;
    hid_t type = H5Tcopy(H5T_C_S1), file = create(folder, "a.h5");
    H5Tset_size(type, H5T_VARIABLE);
    put(file, "x", H5T_STD_U8LE, H5T_NATIVE_UINT8, 3, (hsize_t[]){5, 1, 1}, pixels);
    put(file, "names", type, type, 1, (hsize_t[]){5}, varying);
    H5Fclose(file);
    H5Tclose(type);
    expect_failure(path, CN_SUBSET_ALL, CN_ERR_UNSUPPORTED, "names: text 3 has 299 bytes");
    files_remove_folder(folder);
}

/* The superblock of a later libhdf5: its version is byte 8. */
static void a_later_version_is_libhdf5s_to_refuse(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    size_t size;
    files_make_folder(folder);
    hid_t file = create(folder, "a.h5");
    put_set(file, "x", "y", 10, 0, true);
    H5Fclose(file);
    uint8_t *bytes = files_read(files_join(path, folder, "a.h5"), &size);
    bytes[8] = 99;
    files_write(path, bytes, size);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "a.h5: HDF5: the file cannot be read: bad superblock");
    free(bytes);
    files_remove_folder(folder);
}

/* A dataset of 2^31 images of which nothing is stored; one whose values lie in another file; one
 * whose chunks compress better than deflate can. */
static void put_lie(const char *folder, int kind)
{
    const hsize_t shape[4] = {1u << 30, 1u << 10, 1u << 10, 4}, chunk[4] = {1, 64, 64, 4};
    const uint8_t labels[4] = {0};
    hid_t file = create(folder, "lie.h5"), plan = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(4, kind == 1 ? (hsize_t[]){4, 2, 2, 1} : shape, NULL);
    if (kind == 1) H5Pset_external(plan, "/etc/hostname", 0, 16);
    if (kind == 2) H5Pset_chunk(plan, 4, chunk);
    if (kind == 2) H5Pset_deflate(plan, 9);
    hid_t set = H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    if (kind == 1)
        put(file, "y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, (hsize_t[]){4}, labels);
    else
        put(file, "y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, shape, NULL);
    H5Sclose(space);
    H5Pclose(plan);
    H5Fclose(file);
}

static size_t leave_as_it_is(unsigned flags, size_t count, const unsigned values[], size_t bytes,
                             size_t *size, void **buffer)
{
    (void)flags, (void)count, (void)values, (void)size, (void)buffer;
    return bytes;
}

/* h5py's own filter is in few other libraries. */
static void a_missing_filter_is_named(void **state)
{
    (void)state;
    const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32000, 1, 1, "lzf", NULL, NULL, leave_as_it_is};
    const hsize_t shape[3] = {4, 2, 2};
    const uint8_t values[16] = {0};
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    hid_t file = create(folder, "a.h5"), plan = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(3, shape, NULL);
    H5Zregister(&filter);
    H5Pset_chunk(plan, 3, shape);
    H5Pset_filter(plan, filter.id, H5Z_FLAG_MANDATORY, 0, NULL);
    hid_t set = H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    put(file, "y", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, shape, values);
    H5Sclose(space);
    H5Pclose(plan);
    H5Fclose(file);
    H5Zunregister(filter.id);
    expect_failure(files_join(path, folder, "a.h5"), CN_SUBSET_TRAIN, CN_ERR_UNSUPPORTED,
                   "x is packed with the filter \"lzf\", which this libhdf5 does not have");
    files_remove_folder(folder);
}

static void lies_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    size_t size;
    files_make_folder(folder);
    expect_failure(folder, CN_SUBSET_TRAIN, CN_ERR_IO, "expected a file for hdf5, found none");
    expect_failure(files_join(path, folder, "a.h5"), CN_SUBSET_TRAIN, CN_ERR_IO, "No such file");
    files_write(path, "not HDF5", 8);
    expect_failure(folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT, "file signature not found");
    H5Fclose(create(folder, "a.h5"));
    expect_failure(folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT, "found no arrays");
    put_lie(folder, 0);
    expect_failure(files_join(path, folder, "lie.h5"), CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "found at most");
    put_lie(folder, 1);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_UNSUPPORTED, "x: its values lie in other files");
    put_lie(folder, 2);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_FORMAT, "found at most 0 bytes");
    expect_failure(folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "2 files for hdf5, of which 0 say train");
    hid_t file = create(folder, "lie.h5");
    put_set(file, "x", "y", 10, 0, true);
    put(file, "z", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1, (hsize_t[]){10}, "0123456789");
    H5Fclose(file);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "labels: expected one array, found y and z");
    file = create(folder, "lie.h5");
    put_set(file, "x_test", "y_test", 10, 0, true);
    H5Fclose(file);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "to train on, found x_test (10, 3, 2, 3) u1, y_test");
    file = create(folder, "lie.h5");
    put_set(file, "x", "y", 10, 0, true);
    put(file, "list_classes", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (hsize_t[]){2}, NULL);
    H5Fclose(file);
    expect_failure(path, CN_SUBSET_TRAIN, CN_ERR_FORMAT, "label 2 is 2, expected 0 to 1");
    uint8_t *bytes = files_read(path, &size);
    for (size_t cut = 0; cut < size; cut += 61) {
        cn_dataset *data = NULL;
        cn_error err = {CN_OK, ""};
        files_write(path, bytes, cut);
        assert_int_not_equal(load(&data, "hdf5:", path, CN_SUBSET_TRAIN, &err), CN_OK);
        assert_says(err, "HDF5");
    }
    free(bytes);
    files_remove_folder(folder);
}

/* libhdf5 reports on stderr by itself: what it had been told stays, what we do is silent. */
static herr_t count_report(hid_t stack, void *user)
{
    (void)stack;
    ++*(int *)user;
    return 0;
}

static void the_library_is_silent(void **state)
{
    (void)state;
    int reports = 0;
    H5E_auto2_t report;
    void *user;
    H5Eset_auto2(H5E_DEFAULT, count_report, &reports);
    expect_failure("/dev/null", CN_SUBSET_TRAIN, CN_ERR_FORMAT, "HDF5");
    assert_int_equal(reports, 0);
    H5Eget_auto2(H5E_DEFAULT, &report, &user);
    assert_true(report == count_report && user == &reports);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void signs_is_what_it_is(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    if (!files_shared(folder, "data/signs")) skip();
    cn_dataset *data = NULL;
    assert_int_equal(load(&data, "hdf5:", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 120);
    assert_int_equal(cn_dataset_classes(data), 6);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){64, 64, 3}), 12);
    cn_dataset_free(data);
    data = NULL;
    assert_int_equal(load(&data, "", folder, CN_SUBSET_TRAIN, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 1080);
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_courses_form_is_read),
        cmocka_unit_test(labels_may_lie_in_files_beside),
        cmocka_unit_test(one_file_of_any_names_will_do),
        cmocka_unit_test(classes_have_their_names),
        cmocka_unit_test(elements_become_pixels),
        cmocka_unit_test(a_missing_filter_is_named),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(the_library_is_silent),
        cmocka_unit_test(signs_is_what_it_is),
        cmocka_unit_test(groups_hold_arrays),
        cmocka_unit_test(names_may_be_labels),
        cmocka_unit_test(a_later_version_is_libhdf5s_to_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void without_libhdf5_it_is_said(void **state)
{
    (void)state;
    expect_failure("train_signs.h5", CN_SUBSET_TRAIN, CN_ERR_UNSUPPORTED,
                   "built without libhdf5 (CONVNET_HDF5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_libhdf5_it_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif

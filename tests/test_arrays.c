/* Arrays as sets of images: which are images and labels, and of what elements and shapes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "array_files.h"

static void labels_lie_beside_their_images(void **state)
{
    (void)state;
    const char *names[][2] = {
        {"x_train.npy", "y_train.npy"},        {"X.npy", "y.npy"},
        {"images.npy", "labels.npy"},          {"kmnist-imgs.npy", "kmnist-labels.npy"},
        {"flowers.npy", "flowers_labels.npy"}, {"train_set_x.npy", "train_set_y.npy"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[FILES_PATH], path[FILES_PATH];
        bytes images = make_images(10, 0), labels = make_labels(10);
        files_make_folder(folder);
        files_write(files_join(path, folder, names[i][1]), labels.at, labels.size);
        files_write(files_join(path, folder, names[i][0]), images.at, images.size);
        check("npy:", path, CN_SUBSET_TRAIN, 8, 0);
        check("npy:", path, CN_SUBSET_TEST, 2, 24);
        check("", folder, CN_SUBSET_TEST, 2, 24);
        files_remove_folder(folder);
    }
    char folder[FILES_PATH], path[FILES_PATH];
    bytes images = make_images(10, 0), labels = make_labels(9);
    files_make_folder(folder);
    files_write(files_join(path, folder, "x.npy"), images.at, images.size);
    expect_failure("npy:", path, CN_ERR_IO, "expected labels beside it");
    expect_failure("npy:", folder, CN_ERR_IO, "expected a file for npy, found none");
    files_write(files_join(path, folder, "y.npy"), labels.at, labels.size);
    expect_failure(
        "npy:", folder, CN_ERR_FORMAT,
        "x is (10, 2, 3): expected labels (10), or one-hot (10, classes), found y (9) u1");
    const double bad[10] = {0, 1, 2, 1.5};
    labels = make_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10,)}", bad, sizeof bad);
    files_write(path, labels.at, labels.size);
    cn_dataset *data = NULL; /* a fraction: numbers to learn */
    assert_int_equal(load(&data, "npy:", folder, CN_SUBSET_ALL, NULL), CN_OK);
    assert_int_equal(cn_dataset_task(data), CN_TASK_REGRESSION);
    for (int i = 0; i < 10; i++)
        assert_float_equal(((const float *)cn_dataset_targets(data)->data)[i], bad[i], 0);
    cn_dataset_free(data);
    const double negative[10] = {0, 1, 2, -1};
    labels =
        make_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10,)}", negative, sizeof bad);
    files_write(path, labels.at, labels.size);
    expect_failure("npy:", folder, CN_ERR_FORMAT, "y: label 3 is -1, expected a whole number");
    files_remove_folder(folder);
}

/* Floats are taken as they are, whatever their range, and normalized by what they are. */
static void floats_are_normalized_like_bytes(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    float data[60], x[60], mean, std;
    double sum = 0, squares = 0;
    int32_t y[10];
    int index[10];
    for (int i = 0; i < 60; i++) data[i] = 100.0f * (float)(i % 13) - 300;
    bytes labels = make_labels(10),
          images = make_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 2, 3)}", data,
                            sizeof data);
    files_make_folder(folder);
    files_write(files_join(path, folder, "y.npy"), labels.at, labels.size);
    files_write(files_join(path, folder, "x.npy"), images.at, images.size);
    cn_dataset *set = NULL;
    assert_int_equal(load(&set, "npy:", path, CN_SUBSET_TRAIN, NULL), CN_OK);
    cn_dataset_statistics(set, &mean, &std);
    for (int i = 0; i < 8; i++) index[i] = i;
    cn_dataset_batch(set, index, 8, &mean, &std, x, y, NULL);
    for (int i = 0; i < 48; i++) sum += (double)x[i], squares += (double)x[i] * (double)x[i];
    assert_float_equal(sum / 48, 0, 1e-5);
    assert_float_equal(squares / 48, 1, 1e-4);
    cn_dataset_free(set);
    files_remove_folder(folder);
}

static void put_pair(const char *path, bytes images, bytes labels)
{
    const member members[] = {{"x.npy", images, false, false}, {"y.npy", labels, false, false}};
    bytes b = make_zip(members, 2, false);
    files_write(path, b.at, b.size);
}

/* Five images of one pixel. */
static bytes five_images(void)
{
    return make_array("|u1", "(5, 1, 1)", "\0\1\2\3\377", 5);
}

static cn_dataset *load_all(const char *path)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (load(&data, "npz:", path, CN_SUBSET_ALL, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static void labels_with_gaps_keep_their_names(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const struct {
        int32_t labels[5];
        const char *names[3], *remarks;
    } cases[] = {
        {{1, 2, 3, 1, 2},
         {"1", "2", "3"},
         "labels from 1 to 3 make 3 classes, which have them as names\n"},
        {{1000000, 5, 70, 5, 70},
         {"5", "70", "1000000"},
         "labels from 5 to 1000000 make 3 classes, which have them as names\n"},
        {{0, 2, 2, 0, 2147483647},
         {"0", "2", "2147483647"},
         "labels from 0 to 2147483647 make 3 classes, which have them as names\n"},
        {{2, 0, 1, 0, 1}, {"0", "1", "2"}, ""},
    };
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_pair(path, five_images(), make_array("<i4", "(5,)", cases[i].labels, 20));
        cn_dataset *data = load_all(path);
        assert_int_equal(cn_dataset_classes(data), 3);
        assert_string_equal(cn_dataset_remarks(data), cases[i].remarks);
        for (int k = 0; k < 3; k++)
            assert_string_equal(cn_dataset_class_name(data, k), cases[i].names[k]);
        for (int k = 0; k < 5; k++)
            assert_int_equal(atoi(cn_dataset_class_name(data, cn_dataset_label(data, k))),
                             cases[i].labels[k]);
        cn_dataset_free(data);
    }
    files_remove_folder(folder);
}

/* All parts agree on the classes, also on those that only one of them has. */
/* Texts of one byte per character and of four, in both orders of bytes. */
static void names_may_be_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    static const uint32_t little[] = {'c', 'a', 't', 0xf6, 'r',  0,   'c', 'a',
                                      't', 'c', 'a', 't',  0xf6, 'r', 0};
    uint8_t big[sizeof little];
    for (size_t i = 0; i < sizeof little; i++) big[i] = (uint8_t)(little[i / 4] >> 8 * (3 - i % 4));
    uint8_t small[sizeof little];
    for (size_t i = 0; i < sizeof little; i++) small[i] = (uint8_t)(little[i / 4] >> 8 * (i % 4));
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    const bytes forms[3] = {make_array("|S3", "(5,)",
                                       "catdog"
                                       "catcatdog",
                                       15),
                            make_array("<U3", "(5,)", small, sizeof small),
                            make_array(">U3", "(5, 1)", big, sizeof big)};
    for (int i = 0; i < 3; i++) {
        put_pair(path, five_images(), forms[i]);
        cn_dataset *data = load_all(path);
        assert_int_equal(cn_dataset_classes(data), 2);
        assert_string_equal(cn_dataset_class_name(data, 0), "cat");
        assert_string_equal(cn_dataset_class_name(data, 1), i ? "\xc3\xb6r" : "dog");
        for (int k = 0; k < 5; k++)
            assert_int_equal(cn_dataset_label(data, k), k == 1 || k == 4 ? 1 : 0);
        cn_dataset_free(data);
    }
    put_pair(path, five_images(),
             make_array("|S3", "(5,)",
                        "1\0\0"
                        "5\0\0"
                        "1\0\0"
                        "70\0"
                        "5\0\0",
                        15));
    cn_dataset *data = load_all(path); /* numbers, however they are written */
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_string_equal(cn_dataset_class_name(data, 2), "70");
    cn_dataset_free(data);
    put_pair(path, five_images(), make_array("|S3", "(5,)", "catdog\0\0\0catdog", 15));
    expect_failure("npz:", path, CN_ERR_FORMAT, "y: label 2 is an empty text");
    memset(big, 0xff, 4);
    put_pair(path, five_images(), make_array("<U3", "(5,)", big, sizeof big));
    expect_failure("npz:", path, CN_ERR_FORMAT, "text 0 has character 4294967295");
    /* Numbers come first: other texts, such as the files' names, are no labels then. */
    const member members[] = {{"x.npy", five_images(), false, false},
                              {"files.npy", forms[0], false, false},
                              {"y.npy", make_labels(5), false, false}};
    bytes b = make_zip(members, 3, false);
    files_write(path, b.at, b.size);
    data = load_all(path);
    assert_string_equal(cn_dataset_class_name(data, 0), "0");
    assert_non_null(strstr(cn_dataset_remarks(data), "passed over 1 array of "));
    assert_non_null(strstr(cn_dataset_remarks(data), "a.npz: the first is files\n"));
    cn_dataset_free(data);
    files_remove_folder(folder);
}

/* (n, values): squares, unless options say what they are. */
static void rows_of_values_are_images(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], spec[FILES_PATH + 64];
    uint8_t values[5 * 12];
    float x[12];
    int32_t label;
    cn_error err;
    for (size_t i = 0; i < sizeof values; i++) values[i] = (uint8_t)i;
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    static const struct {
        const char *options;
        int shape[3], second; /* value 1 of an image is which of the row */
    } cases[] = {{"", {2, 2, 3}, 1},
                 {",layout=nchw", {2, 2, 3}, 4},
                 {",size=3x4", {3, 4, 1}, 1},
                 {",size=3x2", {3, 2, 2}, 1},
                 {",size=1x4,channels=3,layout=nchw", {1, 4, 3}, 4}};
    const uint8_t one_hot[5 * 4] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0};
    for (int hot = 0; hot < 2; hot++) {
        put_pair(path, make_array("|u1", "(5, 12)", values, sizeof values),
                 hot ? make_array("|u1", "(5, 4)", one_hot, sizeof one_hot) : make_labels(5));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            cn_dataset *data = NULL;
            snprintf(spec, sizeof spec, "%s%s", path, cases[i].options);
            if (load(&data, "npz:", spec, CN_SUBSET_ALL, &err) != CN_OK) fail_msg("%s", err.text);
            assert_memory_equal(cn_dataset_shape(data), cases[i].shape, sizeof cases[i].shape);
            cn_dataset_batch(data, (int[]){2}, 1, NULL, NULL, x, &label, NULL);
            assert_float_equal(x[1], (float)(24 + cases[i].second) / 255, 1e-6f);
            assert_non_null(strstr(cn_dataset_remarks(data), "rows of 12 values are read as"));
            cn_dataset_free(data);
        }
    }
    snprintf(spec, sizeof spec, "%s,size=5x5", path);
    expect_failure("npz:", spec, CN_ERR_FORMAT, "expected images");
    put_pair(path, make_array("|u1", "(5, 7)", values, 35), make_labels(5));
    expect_failure("npz:", path, CN_ERR_FORMAT, "or (n, values), to train on, found x (5, 7) u1");
    put_pair(path, five_images(), make_labels(5));
    snprintf(spec, sizeof spec, "%s,size=5x5", path);
    expect_failure("npz:", spec, CN_ERR_ARGUMENT, "size= is for images that are rows of values");
    files_remove_folder(folder);
}

static void parts_are_told_by_their_names(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const char *const names[][3] = {{"x_val.npy", "y_val.npy", "a.npz"},
                                    {"val_images.npy", "val_labels.npy", "a.npz"},
                                    {"X_valid.npy", "Y_valid.npy", "a.npz"}};
    files_make_folder(folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const member members[] = {{"x_train.npy", make_images(6, 0), false, false},
                                  {"y_train.npy", make_labels(6), false, false},
                                  {"x_test.npy", make_images(2, 50), false, false},
                                  {"y_test.npy", make_labels(2), false, false},
                                  {names[i][0], make_images(3, 100), false, false},
                                  {names[i][1], make_labels(3), false, false}};
        bytes b = make_zip(members, 6, false);
        files_write(files_join(path, folder, names[i][2]), b.at, b.size);
        check("npz:", path, CN_SUBSET_TRAIN, 6, 0);
        check("npz:", path, CN_SUBSET_TEST, 2, 50);
        check("npz:", path, CN_SUBSET_VALIDATION, 3, 100);
        check("npz:", path, CN_SUBSET_ALL, 11, 0);
    }
    remove(path);
    const char *files[] = {"x_train.npy", "y_train.npy", "x_val.npy", "y_val.npy"};
    for (int i = 0; i < 4; i++) {
        bytes b = i % 2 ? make_labels(3 + i) : make_images(4 + i, 10 * i);
        files_write(files_join(path, folder, files[i]), b.at, b.size);
    }
    check("npy:", folder, CN_SUBSET_TRAIN, 4, 0);
    check("npy:", folder, CN_SUBSET_VALIDATION, 6, 20);
    check("npy:", files_join(path, folder, "x_val.npy"), CN_SUBSET_TRAIN, 4, 0);
    files_remove_folder(folder);
}

/* As PatchCamelyon has them; but what is alone is images, if of one pixel. */
static void labels_may_have_axes_of_one(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const uint8_t pixels[20] = {0};
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (int kind = 0; kind < 2; kind++) {
        put_pair(path,
                 make_array("|u1", kind ? "(5, 1, 1, 1)" : "(5, 2, 2, 1)", pixels, kind ? 5 : 20),
                 make_array("|u1", kind ? "(5, 1)" : "(5, 1, 1, 1)", "\0\1\1\0\2", 5));
        cn_dataset *data = load_all(path);
        assert_int_equal(cn_dataset_classes(data), 3);
        assert_int_equal(cn_dataset_shape(data)[0], kind ? 1 : 2);
        assert_int_equal(cn_dataset_label(data, 4), 2);
        cn_dataset_free(data);
    }
    put_pair(path, make_array("|u1", "(5, 2, 2, 1)", pixels, 20),
             make_array("|u1", "(4, 1, 1, 1)", "\0\1\1\0", 4));
    expect_failure("npz:", path, CN_ERR_FORMAT,
                   "x is (5, 2, 2, 1): expected labels (5), or one-hot (5, classes), found y (4, "
                   "1, 1, 1) u1");
    files_remove_folder(folder);
}

static void one_hot_labels_are_taken(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const float rows[20] = {0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0};
    const int expected[5] = {1, 0, 2, 1, 0};
    float bad[20];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, five_images(), make_array("<f4", "(5, 4)", rows, sizeof rows));
    cn_dataset *data = load_all(path);
    assert_int_equal(cn_dataset_classes(data), 4); /* also the one without examples */
    for (int i = 0; i < 5; i++) assert_int_equal(cn_dataset_label(data, i), expected[i]);
    cn_dataset_free(data);
    for (int kind = 0; kind < 4; kind++) { /* two ones, none: labels; half a one, NaN: numbers */
        memcpy(bad, rows, sizeof rows);
        bad[8] = kind == 0 ? 1 : 0;
        if (kind > 0) bad[10] = kind == 1 ? 0 : kind == 2 ? 0.5f : NAN;
        put_pair(path, five_images(), make_array("<f4", "(5, 4)", bad, sizeof bad));
        if (kind == 3) {
            expect_failure("npz:", path, CN_ERR_FORMAT, "image 2: target 2 is nan");
            continue;
        }
        data = load_all(path);
        assert_int_equal(cn_dataset_task(data),
                         kind < 2 ? CN_TASK_MULTI_LABEL : CN_TASK_REGRESSION);
        assert_non_null(strstr(cn_dataset_remarks(data), "the labels are no classes, but "));
        assert_memory_equal(cn_dataset_targets(data)->data, bad, sizeof bad);
        cn_dataset_free(data);
    }
    put_pair(path, five_images(), make_array("<f4", "(4, 4)", rows, 64));
    expect_failure(
        "npz:", path, CN_ERR_FORMAT,
        "x is (5, 1, 1): expected labels (5), or one-hot (5, classes), found y (4, 4) f4");
    files_remove_folder(folder);
}

/* Images and labels of every element, in both orders of bytes. */
static void expect_targets(const char *spec, cn_task_kind task, int count, const float *targets)
{
    cn_dataset *data = load_all(spec);
    assert_int_equal(cn_dataset_task(data), task);
    assert_int_equal(cn_dataset_classes(data), count);
    if (strstr(spec, "task=")) assert_null(strstr(cn_dataset_remarks(data), "no classes, but"));
    const cn_tensor *t = cn_dataset_targets(data);
    if (targets) assert_memory_equal(t->data, targets, cn_tensor_count(t) * sizeof *targets);
    cn_dataset_free(data);
}

static void a_task_says_what_labels_are(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], spec[FILES_PATH + 32];
    const float ages[5] = {41, 3, 0, 1, 7}, fractions[5] = {1, 2, 0.5F, 3, 4};
    const float rows[10] = {0, 1, 1, 0, 1, 0, 0, 1, 0, 1}, names[5] = {0};
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, five_images(), make_array("<f4", "(5,)", ages, sizeof ages));
    expect_targets(path, CN_TASK_CLASSIFICATION, 5, NULL);
    snprintf(spec, sizeof spec, "%s,task=regression", path);
    expect_targets(spec, CN_TASK_REGRESSION, 1, ages);
    put_pair(path, five_images(), make_array("<f4", "(5, 2)", rows, sizeof rows));
    expect_targets(path, CN_TASK_CLASSIFICATION, 2, NULL);
    expect_targets(spec, CN_TASK_REGRESSION, 2, rows);
    snprintf(spec, sizeof spec, "%s,task=multi-label", path);
    expect_targets(spec, CN_TASK_MULTI_LABEL, 2, rows);
    /* Along another axis than the first, too. */
    put_pair(path, five_images(), make_array("<f4", "(1, 5)", fractions, sizeof fractions));
    expect_targets(path, CN_TASK_REGRESSION, 1, fractions);
    expect_failure("npz:", spec, CN_ERR_FORMAT,
                   "labels that do not fit task=, which wants 0 and 1");
    snprintf(spec, sizeof spec, "%s,task=classification", path);
    expect_failure("npz:", spec, CN_ERR_FORMAT, "task=, which wants whole numbers from 0 on or");
    put_pair(path, five_images(), make_array("<f4", "(5, 2)", rows, sizeof rows));
    expect_targets(spec, CN_TASK_CLASSIFICATION, 2, NULL);
    put_pair(path, five_images(), make_array("|S4", "(5,)", names, sizeof names));
    snprintf(spec, sizeof spec, "%s,task=regression", path);
    expect_failure("npz:", spec, CN_ERR_FORMAT, "labels that are names here, expected numbers");
    put_pair(path, five_images(), make_array("|u1", "(5, 1, 1)", names, 5));
    files_join(path, folder, "m.npy");
    uint8_t pixels[5 * 4 * 4] = {0};
    bytes images = make_array("|u1", "(5, 4, 4)", pixels, sizeof pixels);
    files_write(path, images.at, images.size);
    files_join(spec, folder, "m_masks.npy");
    files_write(spec, images.at, images.size);
    snprintf(spec, sizeof spec, "%s,task=regression", path);
    expect_failure("npy:", spec, CN_ERR_ARGUMENT, "task= is for labels, found masks");
    files_remove_folder(folder);
}

static void every_element_is_a_pixel_and_a_label(void **state)
{
    (void)state;
    const struct {
        const char *name;
        int size; /* of an element */
    } kinds[] = {{"u1", 1}, {"i1", 1}, {"u2", 2}, {"i2", 2}, {"u4", 4},
                 {"i4", 4}, {"u8", 8}, {"i8", 8}, {"f2", 2}};
    const uint16_t halves[5] = {0, 0x3c00, 0x3c00, 0, 0x3c00};
    char folder[FILES_PATH], path[FILES_PATH], descr[8];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int big = 0; big < 2; big++) {
            uint8_t data[40] = {0};
            bool half = kinds[i].name[0] == 'f';
            int size = kinds[i].size;
            for (int k = 0; k < 5; k++)
                for (int b = 0; b < size; b++) {
                    int value = half ? halves[k] : halves[k] != 0;
                    data[k * size + (big ? size - 1 - b : b)] =
                        (uint8_t)(b < 4 ? value >> (8 * b) : 0);
                }
            snprintf(descr, sizeof descr, "%c%s", size == 1 ? '|' : big ? '>' : '<', kinds[i].name);
            put_pair(path, make_array(descr, "(5, 1, 1)", data, (size_t)(5 * size)),
                     make_array(descr, "(5,)", data, (size_t)(5 * size)));
            cn_dataset *set = load_all(path);
            for (int k = 0; k < 5; k++) {
                float x;
                int32_t label;
                cn_dataset_batch(set, &k, 1, NULL, NULL, &x, &label, NULL);
                assert_int_equal(label, halves[k] != 0);
                assert_float_equal(x, (float)label, 0); /* truth values, whatever their type */
            }
            cn_dataset_free(set);
        }
    files_remove_folder(folder);
}

/* binary16: normal and subnormal numbers, both signs. */
static void half_precision_has_its_values(void **state)
{
    (void)state;
    const uint16_t halves[5] = {0x3555, 0xc400, 0x7bff, 0x0001, 0x83ff};
    const double values[5] = {0.333251953125, -4, 65504, 5.9604644775390625e-8,
                              -6.097555160522461e-5};
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, make_array("<f2", "(5, 1, 1)", halves, 10),
             make_array("|u1", "(5,)", "\0\0\0\0", 5));
    cn_dataset *set = load_all(path);
    for (int k = 0; k < 5; k++) {
        float x;
        int32_t label;
        cn_dataset_batch(set, &k, 1, NULL, NULL, &x, &label, NULL);
        assert_true((double)x == values[k]);
    }
    cn_dataset_free(set);
    files_remove_folder(folder);
}

/* A file is of the kind that its ending says; .npy may be packed, each file by itself. */
static void files_are_told_by_their_endings(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const member members[] = {{"x.npy", make_images(10, 0), true, false},
                              {"y.npy", make_labels(10), true, false}};
    bytes zip = make_zip(members, 2, false), images = make_images(10, 0), labels = make_labels(10);
    files_make_folder(folder);
    files_write(files_join(path, folder, "Set.NPZ"), zip.at, zip.size);
    check("", path, CN_SUBSET_TRAIN, 8, 0);
    check("", folder, CN_SUBSET_TRAIN, 8, 0);
    remove(path);
    expect_failure("", path, CN_ERR_IO, "Set.NPZ");
    const char *const names[][2] = {{"x_train.npy.gz", "y_train.npy"},
                                    {"x_train.npy", "y_train.npy.gz"},
                                    {"x_train.npy.gz", "y_train.npy.gz"},
                                    {"flowers.npy.gz", "flowers_labels.npy.gz"},
                                    {"X.npy", "Y.npy"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int k = 0; k < 2; k++) {
            const bytes *b = k ? &labels : &images;
            files_join(path, folder, names[i][k]);
            gzFile file = gzopen(path, strstr(path, ".gz") ? "wb" : "wbT");
            assert_int_equal(gzwrite(file, b->at, (unsigned)b->size), b->size);
            gzclose(file);
        }
        check("npy:", folder, CN_SUBSET_TRAIN, 8, 0);
        check("", folder, CN_SUBSET_TRAIN, 8, 0);
        check("", files_join(path, folder, names[i][0]), CN_SUBSET_TEST, 2, 24);
        if (i == 2) { /* the same once more, unpacked */
            files_write(files_join(path, folder, "x_train.npy"), images.at, images.size);
            check("", folder, CN_SUBSET_TRAIN, 8, 0);
            remove(path);
        }
        for (int k = 0; k < 2; k++) remove(files_join(path, folder, names[i][k]));
    }
    files_remove_folder(folder);
}

static void what_is_passed_over_is_named(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    put_pair(path, make_array("<c8", "(1, 1, 1)", "12345678", 8), make_labels(5));
    expect_failure(
        "npz:", path, CN_ERR_FORMAT,
        "found y (5) u1, and 1 of other kinds (x: elements '<c8', expected b1, u or i of 1, "
        "2, 4 or 8 bytes, f2, f4, f8, S or U)");
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_lie_beside_their_images),
        cmocka_unit_test(floats_are_normalized_like_bytes),
        cmocka_unit_test(labels_with_gaps_keep_their_names),
        cmocka_unit_test(names_may_be_labels),
        cmocka_unit_test(rows_of_values_are_images),
        cmocka_unit_test(parts_are_told_by_their_names),
        cmocka_unit_test(labels_may_have_axes_of_one),
        cmocka_unit_test(one_hot_labels_are_taken),
        cmocka_unit_test(a_task_says_what_labels_are),
        cmocka_unit_test(every_element_is_a_pixel_and_a_label),
        cmocka_unit_test(half_precision_has_its_values),
        cmocka_unit_test(files_are_told_by_their_endings),
        cmocka_unit_test(what_is_passed_over_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

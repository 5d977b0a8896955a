/* Sets of images and masks, from arrays and from files: their classes, and the same bits in memory and
 * read while they are used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "array_files.h"
#include "augment/augment.h"
#include "data/dataset.h"
#include "model/model.h"

enum { ALL = 20, SIDE = 8, PIXELS = SIDE * SIDE, CHANNELS = 3 };

/* In memory; with a cache of some of the images; with none. */
static const size_t budgets[] = {(size_t)1 << 30, 4000, 1};
enum { BUDGETS = 3 };

static char folder[FILES_PATH];

static int set_up(void **state)
{
    char path[FILES_PATH];
    (void)state;
    files_make_folder(folder);
    mkdir(files_join(path, folder, "images"), 0700);
    mkdir(files_join(path, folder, "masks"), 0700);
    return 0;
}

static int tear_down(void **state)
{
    char command[FILES_PATH + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static int pixel(int i, int k)
{
    return (i * 53 + k * (i % 4 + 1) + k / 8 * (i % 5)) % 256;
}

/* Classes 0, 1 and 2, and some pixels without one. */
static int class_at(int i, int k)
{
    return (i + k) % 11 == 0 ? 255 : (i * 5 + k * k / 3) % 3;
}

/* ---- Sets */

static cn_status try_load_at(cn_dataset **data, const char *spec, size_t memory, cn_error *err)
{
    char full[FILES_PATH + 64];
    cn_dataset_opts opts = {.memory = memory};
    const char *colon = strchr(spec, ':');
    snprintf(full, sizeof full, "%.*s:%s%s", (int)(colon - spec), spec, folder, colon + 1);
    return cn_dataset_load(data, full, CN_SUBSET_ALL, &opts, err);
}

static cn_dataset *load_at(const char *spec, size_t memory)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (try_load_at(&data, spec, memory, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static void expect_error(const char *spec, size_t memory, cn_status status, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(try_load_at(&data, spec, memory, &err), status);
    assert_says(err, part);
    assert_null(data);
}

static cn_status train(cn_model **model, const cn_dataset *data, int threads, cn_error *err)
{
    float mean[CHANNELS], std[CHANNELS], weights[8];
    cn_fit_opts opts = {.epochs = 2, .batch = 6, .threads = threads, .seed = 7};
    assert_int_equal(cn_augment_parse(&opts.augment, "flip crop=1 rotate=10", NULL), CN_OK);
    if (cn_model_parse_task(model, "conv 4 3x3 same, relu, conv classes 1x1 same",
                            cn_dataset_shape(data), cn_dataset_classes(data), CN_TASK_SEGMENTATION,
                            5, err) != CN_OK)
        fail_msg("%s", err->text);
    cn_dataset_statistics(data, mean, std);
    cn_dataset_class_weights(data, weights);
    opts.loss.class_weights = weights;
    opts.valid = data;
    assert_int_equal(cn_model_set_normalization(*model, mean, std, NULL), CN_OK);
    return cn_fit(*model, data, &opts, NULL, err);
}

/* Labels as they are expected, and the same training, at every budget. */
static void check_set(const char *spec, int classes, int32_t (*label)(int i, int k))
{
    cn_model *first = NULL;
    char remarks[512] = "";
    for (int b = 0; b < BUDGETS; b++) {
        cn_dataset *data = load_at(spec, budgets[b]);
        cn_error err = {CN_OK, ""};
        float x[PIXELS * CHANNELS];
        int32_t labels[PIXELS];
        assert_int_equal(cn_dataset_task(data), CN_TASK_SEGMENTATION);
        assert_int_equal(cn_dataset_classes(data), classes);
        assert_int_equal(cn_dataset_in_memory(data), b == 0);
        assert_int_equal(cn_dataset_masks(data)->data != NULL, b == 0);
        if (b == 0) snprintf(remarks, sizeof remarks, "%s", cn_dataset_remarks(data));
        assert_string_equal(cn_dataset_remarks(data), remarks);
        for (int i = 0; i < ALL; i++) {
            assert_int_equal(cn_dataset_batch(data, &i, 1, NULL, NULL, x, labels, NULL), CN_OK);
            for (int k = 0; k < PIXELS; k++) assert_int_equal(labels[k], label(i, k));
            assert_true(x[5] == (float)pixel(i, 5) * (1.0f / 255.0f));
        }
        for (int threads = 1; threads <= 2; threads++) {
            cn_model *model = NULL;
            if (train(&model, data, threads, &err) != CN_OK) fail_msg("%s", err.text);
            if (!first) {
                first = model;
                continue;
            }
            assert_int_equal(model->block_size, first->block_size);
            assert_memory_equal(model->block, first->block,
                                first->block_size * sizeof *first->block);
            cn_model_free(model);
        }
        cn_dataset_free(data);
    }
    cn_model_free(first);
}

static int32_t plain_label(int i, int k)
{
    int c = class_at(i, k);
    return c == 255 ? CN_LABEL_IGNORED : c;
}

/* ---- Arrays */

static bytes images_array(const char *shape)
{
    uint8_t data[ALL * PIXELS * CHANNELS];
    for (int i = 0; i < ALL; i++)
        for (int k = 0; k < PIXELS * CHANNELS; k++)
            data[i * PIXELS * CHANNELS + k] = (uint8_t)pixel(i, k);
    return make_array("|u1", shape, data, sizeof data);
}

/* Masks whose values are those of class_at, times `factor` but for 255. */
static bytes masks_array(const char *descr, const char *shape, int factor)
{
    const bool wide = descr[2] == '4';
    uint8_t data[4 * ALL * PIXELS] = {0};
    for (int i = 0; i < ALL * PIXELS; i++) {
        int v = class_at(i / PIXELS, i % PIXELS);
        float f = (float)(v == 255 ? v : v * factor);
        if (wide)
            memcpy(data + 4 * i, &f, 4);
        else
            data[i] = (uint8_t)f;
    }
    return make_array(descr, shape, data, wide ? sizeof data : sizeof data / 4);
}

static void write_npz(const char *images, const char *masks, const char *shape, int factor)
{
    const member members[] = {{images, images_array("(20, 8, 8, 3)"), false, false},
                              {masks, masks_array("|u1", shape, factor), false, false}};
    char path[FILES_PATH];
    bytes b = make_zip(members, 2, false);
    files_write(files_join(path, folder, "set.npz"), b.at, b.size);
}

static void masks_are_told_by_names_and_shapes(void **state)
{
    static const char *const names[][2] = {{"x.npy", "y.npy"},
                                           {"train_images.npy", "train_masks.npy"},
                                           {"a.npy", "b.npy"},
                                           {"b.npy", "a.npy"}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *const shapes[4] = {"(20, 1, 8, 8)", "(20, 8, 8, 1)", "(20, 8, 8)",
                                       "(20, 8, 8)"};
        write_npz(names[i][0], names[i][1], shapes[i], 1);
        check_set("npz:/set.npz", 3, plain_label);
    }
}

static void masks_with_gaps_have_their_values_as_names(void **state)
{
    (void)state;
    write_npz("x.npy", "y.npy", "(20, 8, 8)", 35);
    cn_dataset *data = load_at("npz:/set.npz", 1);
    assert_string_equal(cn_dataset_class_name(data, 2), "70");
    assert_non_null(strstr(cn_dataset_remarks(data), "3 different values from 0 to 70"));
    cn_dataset_free(data);
    check_set("npz:/set.npz", 3, plain_label);
}

static int32_t every_label(int i, int k)
{
    int c = class_at(i, k);
    return c == 255 ? 3 : c;
}

static int32_t label_without_ones(int i, int k)
{
    int c = class_at(i, k);
    return c == 1 ? CN_LABEL_IGNORED : c == 2 ? 1 : c == 255 ? 2 : 0;
}

static void another_value_may_be_ignored(void **state)
{
    (void)state;
    write_npz("x.npy", "y.npy", "(20, 8, 8)", 1);
    check_set("npz:/set.npz,ignore=none", 4, every_label);
    check_set("npz:/set.npz,ignore=1", 3, label_without_ones);
}

static void masks_of_floats_lie_beside_npy(void **state)
{
    char path[FILES_PATH];
    (void)state;
    bytes x = images_array("(20, 8, 8, 3)"), y = masks_array("<f4", "(20, 8, 8)", 1);
    files_write(files_join(path, folder, "images.npy"), x.at, x.size);
    files_write(files_join(path, folder, "masks.npy"), y.at, y.size);
    check_set("npy:/images.npy", 3, plain_label);
    const float odd = 1.5F;
    memcpy(y.at + y.size - 4, &odd, 4);
    files_write(path, y.at, y.size);
    expect_error("npy:/images.npy", 1, CN_ERR_FORMAT, "element 1279 is 1.5");
    expect_error("npy:/images.npy", budgets[0], CN_ERR_FORMAT, "element 1279 is 1.5");
}

static void what_is_no_mask_is_refused(void **state)
{
    const member members[] = {{"x_train.npy", images_array("(20, 8, 8, 3)"), false, false},
                              {"y_train.npy", make_labels(ALL), false, false}};
    char path[FILES_PATH];
    (void)state;
    bytes b = make_zip(members, 2, false);
    files_write(files_join(path, folder, "set.npz"), b.at, b.size);
    expect_error("npz:/set.npz,ignore=3", 0, CN_ERR_ARGUMENT, "ignore= is for masks");
}

/* ---- Files */

static void write_files(void)
{
    char path[FILES_PATH], name[32];
    uint8_t file[256 + PIXELS * CHANNELS];
    for (int i = 0; i < ALL; i++) {
        size_t size = (size_t)snprintf((char *)file, 32, "P6 %d %d 255\n", SIDE, SIDE);
        for (int k = 0; k < PIXELS * CHANNELS; k++) file[size++] = (uint8_t)pixel(i, k);
        snprintf(name, sizeof name, "images/%02d.ppm", i);
        files_write(files_join(path, folder, name), file, size);
        size = (size_t)snprintf((char *)file, 32, "P5 %d %d 255\n", SIDE, SIDE);
        for (int k = 0; k < PIXELS; k++) file[size++] = (uint8_t)class_at(i, k);
        snprintf(name, sizeof name, "masks/%02d.pgm", i);
        files_write(files_join(path, folder, name), file, size);
    }
}

static void masks_of_files_give_the_same_bits(void **state)
{
    (void)state;
    write_files();
    check_set("masks:", 3, plain_label);
}

static void parts_share_the_masks(void **state)
{
    const int index[] = {11, 3, 3};
    static const int map[] = {2, 0, 1};
    static const char *const names[] = {"b", "c", "a"};
    (void)state;
    write_files();
    for (int b = 0; b < BUDGETS; b++) {
        cn_dataset *data = load_at("masks:", budgets[b]), *part = NULL, *again = NULL;
        float x[PIXELS * CHANNELS];
        int32_t labels[PIXELS];
        assert_int_equal(cn_dataset_select(&part, data, index, 3, NULL), CN_OK);
        assert_int_equal(cn_dataset_rename_classes(part, map, 3, 3, names, NULL), CN_OK);
        assert_int_equal(cn_dataset_rename_classes(part, map, 3, 3, names, NULL), CN_OK);
        cn_dataset_batch(data, (int[]){3}, 1, NULL, NULL, x, labels, NULL);
        for (int k = 0; k < PIXELS; k++) assert_int_equal(labels[k], plain_label(3, k));
        cn_dataset_free(data);
        assert_int_equal(cn_dataset_slice(&again, part, 1, 2, NULL), CN_OK);
        cn_dataset_free(part);
        cn_dataset_batch(again, (int[]){1}, 1, NULL, NULL, x, labels, NULL);
        for (int k = 0; k < PIXELS; k++) {
            int32_t was = plain_label(3, k);
            assert_int_equal(labels[k], was == CN_LABEL_IGNORED ? was : map[map[was]]);
        }
        cn_dataset_free(again);
    }
}

static void a_mask_that_is_gone_ends_a_training_with_its_name(void **state)
{
    char path[FILES_PATH];
    cn_error err = {CN_OK, ""};
    cn_model *model = NULL;
    (void)state;
    write_files();
    cn_dataset *data = load_at("masks:", 1);
    remove(files_join(path, folder, "masks/07.pgm"));
    assert_int_equal(train(&model, data, 2, &err), CN_ERR_IO);
    assert_says(err, "masks/07.pgm");
    cn_model_free(model);
    cn_dataset_free(data);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(masks_are_told_by_names_and_shapes),
        IN_A_FOLDER(masks_with_gaps_have_their_values_as_names),
        IN_A_FOLDER(another_value_may_be_ignored),
        IN_A_FOLDER(masks_of_floats_lie_beside_npy),
        IN_A_FOLDER(what_is_no_mask_is_refused),
        IN_A_FOLDER(masks_of_files_give_the_same_bits),
        IN_A_FOLDER(parts_share_the_masks),
        IN_A_FOLDER(a_mask_that_is_gone_ends_a_training_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

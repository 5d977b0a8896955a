/* Sets that are read while they are used: the same as in memory, bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "augment/augment.h"
#include "convnet.h"
#include "data/dataset.h"
#include "model/model.h"
#include "trees.h"

enum { CLASSES = 3, EACH = 16, ALL = CLASSES * EACH, SIDE = 12 };
enum { TABLES = 8000, IMAGE = SIDE * SIDE * 3 }; /* a little more than paths and tables take */

/* In memory; with a cache of some of the images; with none. */
static const size_t budgets[] = {(size_t)1 << 30, TABLES + 20 * IMAGE, 1};
enum { BUDGETS = 3 };

static char folder[FILES_PATH];

/* Images of many sizes, in color, and all different. */
static void put_image(const char *name, int seed)
{
    uint8_t bytes[4096];
    int height = 14 + seed * 7 % 11, width = 13 + seed * 5 % 13;
    size_t size = (size_t)snprintf((char *)bytes, 32, "P6 %d %d 255\n", width, height);
    for (int i = 0; i < height * width * 3; i++)
        bytes[size++] = (uint8_t)(seed * 37 + i * (seed % 3 + 1) + i / width * seed % 17);
    put(folder, name, bytes, size);
}

static int set_up(void **state)
{
    char name[32];
    (void)state;
    files_make_folder(folder);
    for (int i = 0; i < ALL; i++) {
        snprintf(name, sizeof name, "%d/%02d.ppm", i % CLASSES, i);
        put_image(name, i);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static cn_dataset *load(size_t memory, bool skip)
{
    char spec[FILES_PATH + 64];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    cn_dataset_opts opts = {.memory = memory, .skip_damaged = skip};
    snprintf(spec, sizeof spec, "folder:%s,size=%dx%d", folder, SIDE, SIDE);
    if (cn_dataset_load(&data, spec, CN_SUBSET_ALL, &opts, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static cn_model *make_model(void)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, "conv 4 3x3 same, batchnorm, relu, maxpool 2, dense classes",
                       (int[]){SIDE, SIDE, 3}, CLASSES, 5, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

static void assert_same_model(const cn_model *a, const cn_model *b)
{
    assert_int_equal(a->block_size, b->block_size);
    assert_memory_equal(a->block, b->block, a->block_size * sizeof *a->block);
}

static cn_model *train(const cn_dataset *data, const char *augment, int threads, int shards)
{
    cn_dataset *kept = NULL, *held = NULL;
    cn_model *model = make_model();
    cn_error err = {CN_OK, ""};
    float mean[3], std[3];
    cn_fit_opts opts = {.epochs = 2, .batch = 12, .threads = threads, .shards = shards, .seed = 7};
    assert_int_equal(cn_augment_parse(&opts.augment, augment, NULL), CN_OK);
    assert_int_equal(cn_dataset_split(&kept, &held, data, 0.25, 3, NULL), CN_OK);
    cn_dataset_statistics(kept, mean, std);
    assert_int_equal(cn_model_set_normalization(model, mean, std, NULL), CN_OK);
    opts.valid = held;
    opts.best.monitor = CN_MONITOR_LOSS;
    opts.best.keep = true;
    if (cn_fit(model, kept, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    cn_dataset_free(kept);
    cn_dataset_free(held);
    return model;
}

static void a_training_gives_the_same_bits(void **state)
{
    static const char *const augments[] = {"", "flip crop=2 border=reflect mixup=0.3",
                                           "rotate=10 jitter=0.2 cutout=3",
                                           "random-resized-crop=0.3 flip mixup=0.2"};
    (void)state;
    for (size_t a = 0; a < sizeof augments / sizeof *augments; a++)
        for (int shards = 1; shards <= 3; shards += 2) {
            cn_model *first = NULL;
            for (int b = 0; b < BUDGETS; b++) {
                cn_dataset *data = load(budgets[b], false);
                assert_int_equal(cn_dataset_in_memory(data), b == 0);
                assert_int_equal(cn_dataset_images(data)->data != NULL, b == 0);
                for (int threads = 1; threads <= 3; threads++) {
                    cn_model *model = train(data, augments[a], threads, shards);
                    if (first) assert_same_model(model, first);
                    if (!first)
                        first = model;
                    else
                        cn_model_free(model);
                }
                cn_dataset_free(data);
            }
            cn_model_free(first);
        }
}

static void an_evaluation_gives_the_same_figures(void **state)
{
    (void)state;
    cn_dataset *whole = load(budgets[0], false);
    cn_model *model = train(whole, "", 1, 1);
    for (int tta = CN_TTA_NONE; tta <= CN_TTA_SHIFT; tta++) {
        cn_evaluate_opts opts = {.tta = (cn_tta)tta, .batch = 10};
        cn_metrics expected, found;
        assert_int_equal(cn_evaluate(model, whole, &opts, &expected, NULL, NULL), CN_OK);
        for (int b = 1; b < BUDGETS; b++) {
            cn_dataset *data = load(budgets[b], false);
            assert_int_equal(cn_evaluate(model, data, &opts, &found, NULL, NULL), CN_OK);
            assert_true(found.loss == expected.loss);
            assert_int_equal(found.correct, expected.correct);
            cn_dataset_free(data);
        }
    }
    cn_model_free(model);
    cn_dataset_free(whole);
}

/* Images that the cache has let go of are made again. */
static void a_cache_that_shrinks_changes_no_image(void **state)
{
    enum { PAGE = 4096 };
    float x[IMAGE], y[IMAGE];
    (void)state;
    cn_dataset *whole = load(budgets[0], false), *data = load(TABLES + 45 * IMAGE, false);
    size_t first = cn_dataset_memory(data), cached = 45 * IMAGE;
    for (int kept = 45; kept >= 0; kept -= 9) {
        size_t target = first - cached + (size_t)kept * IMAGE;
        cn_dataset_shrink(data, target);
        assert_in_range(cn_dataset_memory(data), 1, target + PAGE);
        cn_dataset_shrink(data, SIZE_MAX); /* which it is anyway */
        for (int i = 0; i < ALL; i++) {
            cn_dataset_batch(whole, &i, 1, NULL, NULL, x, NULL, NULL);
            assert_int_equal(cn_dataset_batch(data, &i, 1, NULL, NULL, y, NULL, NULL), CN_OK);
            assert_memory_equal(x, y, sizeof x);
        }
    }
    assert_true(cn_dataset_memory(data) < first - cached + PAGE);
    cn_dataset_free(data);
    cn_dataset_free(whole);
}

static void parts_share_the_files(void **state)
{
    const int index[] = {40, 3, 3, 17, 0};
    float x[5 * IMAGE], y[5 * IMAGE], mean[2][3], std[2][3], weights[2][CLASSES];
    int32_t labels[2][5];
    (void)state;
    for (int b = 0; b < BUDGETS; b++) {
        cn_dataset *data = load(budgets[b], false), *part = NULL, *slice = NULL;
        assert_int_equal(cn_dataset_select(&part, data, index, 5, NULL), CN_OK);
        assert_int_equal(cn_dataset_slice(&slice, part, 1, 3, NULL), CN_OK);
        cn_dataset_batch(data, index, 5, NULL, NULL, x, labels[0], NULL);
        cn_dataset_free(data);
        cn_dataset_batch(part, (int[]){0, 1, 2, 3, 4}, 5, NULL, NULL, y, labels[1], NULL);
        cn_dataset_free(part);
        assert_memory_equal(x, y, sizeof x);
        assert_memory_equal(labels[0], labels[1], sizeof labels[0]);
        cn_dataset_batch(slice, (int[]){2}, 1, NULL, NULL, y, labels[1], NULL);
        assert_memory_equal(x + 3 * IMAGE, y, IMAGE * sizeof *x);
        cn_dataset_statistics(slice, mean[b > 0], std[b > 0]);
        cn_dataset_class_weights(slice, weights[b > 0]);
        assert_memory_equal(mean[b > 0], mean[0], sizeof mean[0]);
        assert_memory_equal(std[b > 0], std[0], sizeof std[0]);
        assert_memory_equal(weights[b > 0], weights[0], sizeof weights[0]);
        cn_dataset_free(slice);
    }
}

static void damaged_files_are_left_out_alike(void **state)
{
    (void)state;
    put_text(folder, "0/00.ppm", "P6 9 9 255\n too short");
    put_text(folder, "1/25.ppm", "no image");
    cn_dataset *whole = load(budgets[0], true);
    for (int b = 1; b < BUDGETS; b++) {
        cn_dataset *data = load(budgets[b], true);
        assert_int_equal(cn_dataset_size(data), ALL - 2);
        assert_int_equal(cn_dataset_skipped(data), 2);
        assert_string_equal(cn_dataset_remarks(data), cn_dataset_remarks(whole));
        for (int i = 0; i < ALL - 2; i++) {
            float x[IMAGE], y[IMAGE];
            int32_t label[2];
            cn_dataset_batch(whole, &i, 1, NULL, NULL, x, &label[0], NULL);
            assert_int_equal(cn_dataset_batch(data, &i, 1, NULL, NULL, y, &label[1], NULL), CN_OK);
            assert_memory_equal(x, y, sizeof x);
            assert_int_equal(label[0], label[1]);
        }
        cn_model *models[] = {train(whole, "flip random-resized-crop", 2, 1),
                              train(data, "flip random-resized-crop", 2, 1)};
        assert_same_model(models[0], models[1]);
        cn_model_free(models[0]);
        cn_model_free(models[1]);
        cn_dataset_free(data);
    }
    cn_dataset_free(whole);
}

/* ---- files that vanish */

enum { VANISHES = 3 }; /* after this step of the second epoch */

static bool take_away(const cn_progress *p, void *user)
{
    char path[FILES_PATH];
    (void)user;
    if (p->epoch == 2 && p->step == VANISHES)
        for (int i = 0; i < ALL; i++) {
            char name[32];
            snprintf(name, sizeof name, "%d/%02d.ppm", i % CLASSES, i);
            remove(files_join(path, folder, name));
        }
    return false;
}

static void a_training_whose_files_vanish_can_go_on(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 2; threads++) {
        char path[FILES_PATH];
        cn_error err = {CN_OK, ""};
        cn_progress last = {.epoch = 0};
        cn_model *whole = make_model(), *model = make_model(), *resumed = make_model();
        cn_fit_opts opts = {.epochs = 2, .batch = 8, .threads = threads, .seed = 2};
        cn_dataset *data = load(1, false);
        assert_int_equal(cn_fit(whole, data, &opts, NULL, NULL), CN_OK);
        opts.progress = take_away;
        opts.checkpoint.path = files_join(path, folder, "checkpoint.safetensors");
        assert_int_equal(cn_fit(model, data, &opts, &last, &err), CN_ERR_IO);
        assert_says(err, ".ppm");
        assert_int_equal(last.epoch, 2);
        assert_true(last.step >= VANISHES && last.step < last.steps);
        for (int i = 0; i < ALL; i++) {
            char name[32];
            snprintf(name, sizeof name, "%d/%02d.ppm", i % CLASSES, i);
            put_image(name, i);
        }
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

static void an_evaluation_names_the_file_that_is_gone(void **state)
{
    char path[FILES_PATH];
    cn_error err = {CN_OK, ""};
    cn_metrics metrics;
    cn_model *model = make_model();
    cn_dataset *data = load(1, false);
    (void)state;
    remove(files_join(path, folder, "2/11.ppm"));
    assert_int_equal(cn_evaluate(model, data, NULL, &metrics, NULL, &err), CN_ERR_IO);
    assert_says(err, "2/11.ppm");
    put_text(folder, "2/11.ppm", "P6 9 9 255\n too short");
    assert_int_equal(cn_evaluate(model, data, NULL, &metrics, NULL, &err), CN_ERR_FORMAT);
    assert_says(err, "2/11.ppm");
    cn_dataset_free(data);
    cn_model_free(model);
}

/* ---- loading */

static bool stop_late(int done, int total, void *user)
{
    int *calls = user;
    assert_int_equal(total, ALL);
    assert_int_equal(done, ALL);
    return ++*calls == 2; /* headers first, then the images */
}

static void loading_can_be_stopped(void **state)
{
    char spec[FILES_PATH + 64];
    int calls = 0;
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    (void)state;
    for (size_t memory = 1; memory <= (size_t)1 << 30; memory += ((size_t)1 << 30) - 1) {
        cn_dataset_opts opts = {.memory = memory, .progress = stop_late, .user = &calls};
        calls = 0;
        snprintf(spec, sizeof spec, "folder:%s", folder);
        assert_int_equal(cn_dataset_load(&data, spec, CN_SUBSET_ALL, &opts, &err), CN_ERR_STOPPED);
        assert_says(err, "stopped after 48 of 48 images");
        assert_int_equal(calls, 2);
        assert_null(data);
    }
}

/* ---- parts of images */

static void a_resize_leaves_a_part_of_the_middle(void **state)
{
    const cn_image_opts opts = {.resize = 256};
    (void)state;
    /* 224/256 of the shorter side of 375 is 328.125. */
    cn_image_part part = cn_image_fit_part(375, 500, 224, 224, &opts);
    assert_int_equal(part.height, 328);
    assert_int_equal(part.width, 328);
    assert_int_equal(part.top, 23);
    assert_int_equal(part.left, 86);
    /* What would go beyond the image is the largest part instead. */
    part = cn_image_fit_part(256, 256, 224, 448, &opts);
    assert_int_equal(part.height, 128);
    assert_int_equal(part.width, 256);
}

static void a_resize_is_refused_where_it_cannot_be(void **state)
{
    static const char *const options[] = {"size=12x12,resize=8", "size=12x12,resize=16,fit=stretch",
                                          "size=12x12,center-crop=12", "center-crop=12,size=9x9",
                                          "resize=0"};
    char spec[FILES_PATH + 64];
    cn_error err;
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        cn_dataset *data = NULL;
        snprintf(spec, sizeof spec, "folder:%s,%s", folder, options[i]);
        assert_int_equal(cn_dataset_load(&data, spec, CN_SUBSET_ALL, NULL, &err), CN_ERR_ARGUMENT);
    }
}

static void a_model_remembers_the_resize(void **state)
{
    char spec[FILES_PATH + 64], path[FILES_PATH];
    cn_dataset *data = NULL, *again = NULL;
    cn_model *model = make_model();
    cn_error err = {CN_OK, ""};
    (void)state;
    snprintf(spec, sizeof spec, "folder:%s,resize=14,center-crop=%d", folder, SIDE);
    if (cn_dataset_load(&data, spec, CN_SUBSET_ALL, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_fit(model, data, NULL, NULL, NULL), CN_OK);
    files_join(path, folder, "model.safetensors");
    assert_int_equal(cn_model_save(model, path, NULL), CN_OK);
    cn_model_free(model);
    assert_int_equal(cn_model_load(&model, path, NULL), CN_OK);
    assert_int_equal(cn_model_image_opts(model).resize, 14);
    cn_dataset_opts opts = {.model = model};
    snprintf(spec, sizeof spec, "folder:%s", folder);
    assert_int_equal(cn_dataset_load(&again, spec, CN_SUBSET_ALL, &opts, NULL), CN_OK);
    assert_memory_equal(cn_dataset_images(data)->data, cn_dataset_images(again)->data, ALL * IMAGE);
    cn_tensor X = {0};
    float x[IMAGE];
    files_join(path, folder, "0/00.ppm");
    assert_int_equal(cn_image_load_for(model, path, &X, NULL), CN_OK);
    cn_model_normalization(model, 0, 1, x, x + 3);
    float mean[3], std[3];
    memcpy(mean, x, sizeof mean);
    memcpy(std, x + 3, sizeof std);
    cn_dataset_batch(data, (int[]){0}, 1, mean, std, x, NULL, NULL);
    assert_memory_equal(X.data, x, sizeof x);
    cn_tensor_free(&X);
    cn_dataset_free(data);
    cn_dataset_free(again);
    cn_model_free(model);
}

static void drawn_parts_have_the_area_and_the_proportions_asked_for(void **state)
{
    enum { DRAWS = 4000, ROWS = 375, COLUMNS = 500 };
    const double pixels = (double)ROWS * COLUMNS;
    double sum = 0, down = 0;
    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        const cn_frame frame = {.seed = 1, .stream = 2, .index = i, .least = 0.2};
        cn_image_part p = cn_frame_choose(&frame, ROWS, COLUMNS);
        double area = (double)p.height * p.width / pixels, ratio = (double)p.width / p.height;
        assert_true(p.top >= 0 && p.top + p.height <= ROWS);
        assert_true(p.left >= 0 && p.left + p.width <= COLUMNS);
        assert_true(area > 0.19 && area <= 1.0);
        assert_true(ratio > 0.74 && ratio < 1.35);
        sum += area;
        down += ROWS > p.height ? (double)p.top / (ROWS - p.height) : 0.5;
    }
    assert_true(fabs(down / DRAWS - 0.5) < 0.03);
    assert_true(sum / DRAWS > 0.45 &&
                sum / DRAWS < 0.62); /* large ones that do not fit are drawn again */
    const cn_frame frame = {.least = 1};
    cn_image_part p = cn_frame_choose(&frame, 10, 100); /* nothing fits: the middle, 4 : 3 */
    assert_int_equal(p.height, 10);
    assert_int_equal(p.width, 13);
    assert_int_equal(p.left, 43);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_training_gives_the_same_bits),
        IN_A_FOLDER(an_evaluation_gives_the_same_figures),
        IN_A_FOLDER(a_cache_that_shrinks_changes_no_image),
        IN_A_FOLDER(parts_share_the_files),
        IN_A_FOLDER(damaged_files_are_left_out_alike),
        IN_A_FOLDER(a_training_whose_files_vanish_can_go_on),
        IN_A_FOLDER(an_evaluation_names_the_file_that_is_gone),
        IN_A_FOLDER(loading_can_be_stopped),
        cmocka_unit_test(a_resize_leaves_a_part_of_the_middle),
        IN_A_FOLDER(a_resize_is_refused_where_it_cannot_be),
        IN_A_FOLDER(a_model_remembers_the_resize),
        cmocka_unit_test(drawn_parts_have_the_area_and_the_proportions_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

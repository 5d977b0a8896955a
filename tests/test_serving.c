/* A model is shown what it learned from: layouts and ranges of arrays, and images of any shape. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "files.h"
#include "model/model.h"

#define assert_close(a, b, tolerance) assert_true(fabs((double)(a) - (double)(b)) <= tolerance)

/* ---- Arrays in files */

/* One member of folder/a.npz is a NPY of this dtype and shape, the other has n labels of 0; as NPY
 * files, x.npy and y.npy. */
static void put_npy(const char *folder, const char *name, const char *descr, const char *shape,
                    const void *values, size_t size)
{
    char path[FILES_PATH];
    uint8_t bytes[4096] = "\x93NUMPY\1\0";
    int length =
        snprintf((char *)bytes + 10, 200,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", descr, shape);
    bytes[8] = (uint8_t)length;
    assert_true(10 + (size_t)length + size <= sizeof bytes);
    memcpy(bytes + 10 + length, values, size);
    files_write(files_join(path, folder, name), bytes, 10 + (size_t)length + size);
}

/* Five images as x.npy, and their labels; loads what there is to train on, four of them. */
static cn_dataset *load(const char *descr, const char *shape, const void *values, size_t size,
                        const char *options, cn_error *err)
{
    const uint8_t labels[5] = {0, 1, 0, 1, 0};
    char folder[FILES_PATH], spec[FILES_PATH + 64];
    cn_dataset *data = NULL;
    files_make_folder(folder);
    put_npy(folder, "x.npy", descr, shape, values, size);
    put_npy(folder, "y.npy", "|u1", "5,", labels, 5);
    snprintf(spec, sizeof spec, "npy:%s/x.npy%s", folder, options);
    cn_status status = cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, err);
    assert_true((status == CN_OK) == (data != NULL));
    files_remove_folder(folder);
    return data;
}

/* Images of two pixels, of which the first one's are `values`; the others are 0. */
static void expect_range(const char *descr, const void *values, size_t size, const char *options,
                         double low, double high, const float *batch, const char *said)
{
    uint8_t all[80] = {0};
    float x[2];
    int32_t label;
    cn_error err = {CN_OK, ""};
    memcpy(all, values, size);
    cn_dataset *data = load(descr, "5, 1, 2, 1", all, 5 * size, options, &err);
    if (!data) fail_msg("%s", err.text);
    cn_image_opts opts = cn_dataset_image_opts(data);
    assert_close(opts.low, low, 1e-12);
    assert_close(opts.high, high, 1e-12);
    cn_dataset_batch(data, (int[]){0}, 1, NULL, NULL, x, &label, NULL);
    assert_close(x[0], batch[0], 1e-7);
    assert_close(x[1], batch[1], 1e-7);
    const char *remarks = cn_dataset_remarks(data);
    if (said && !strstr(remarks, said)) fail_msg("\"%s\" does not say \"%s\"", remarks, said);
    if (!said && strstr(remarks, "values")) fail_msg("\"%s\": too much", remarks);
    cn_dataset_free(data);
}
#define FLOATS(...)  ((const float[2]){__VA_ARGS__})
#define BYTES(...)   ((const uint8_t[2]){__VA_ARGS__})
#define WORDS(...)   ((const uint16_t[2]){__VA_ARGS__})
#define NUMBERS(...) ((const int32_t[2]){__VA_ARGS__})

static void the_range_of_values_is_recognized(void **state)
{
    (void)state;
    expect_range("<f4", FLOATS(0, 0.5f), 8, "", 0, 1, FLOATS(0, 0.5f), NULL);
    expect_range("<f4", FLOATS(0.25f, 1), 8, "", 0, 1, FLOATS(0.25f, 1), NULL);
    expect_range("<f4", FLOATS(-0.02f, 1.04f), 8, "", 0, 1, FLOATS(-0.02f, 1.04f), NULL);
    expect_range("<f4", FLOATS(-1, 0.9f), 8, "", -1, 1, FLOATS(-1, 0.9f), "values are of -1 to 1");
    expect_range("<f4", FLOATS(-0.5f, 0.4f), 8, "", -0.5, 0.5, FLOATS(-0.5f, 0.4f), "-0.5 to 0.5");
    expect_range("<f4", FLOATS(3, 254), 8, "", 0, 255, FLOATS(3, 254), "values are of 0 to 255");
    expect_range("<f4", FLOATS(3, 100), 8, "", 0, 255, FLOATS(3, 100),
                 "from 0 to 100 are taken to be of 0 to 255, black to white; range=LOW..HIGH");
    expect_range("<f4", FLOATS(3, 16), 8, "", 0, 16, FLOATS(3, 16), "values are of 0 to 16");
    expect_range("<f4", FLOATS(-2.5f, 3), 8, "", -2.5, 3, FLOATS(-2.5f, 3),
                 "values from -2.5 to 3 are of no usual range");
    expect_range("<f4", FLOATS(-2.5f, 1 + 1 / 3.0f), 8, "", -2.5, (double)(1 + 1 / 3.0f),
                 FLOATS(-2.5f, 1 + 1 / 3.0f), "values from -2.5 to 1.333333 are");
    expect_range("<f4", FLOATS(3, 16), 8, ",range=-10.5..20", -10.5, 20, FLOATS(3, 16), NULL);
    expect_range("|b1", BYTES(0, 1), 2, "", 0, 1, FLOATS(0, 1), "values are of 0 to 1,");
    expect_range("|u1", BYTES(0, 1), 2, "", 0, 1, FLOATS(0, 1), "values are of 0 to 1,");
    expect_range("|u1", BYTES(51, 255), 2, "", 0, 1, FLOATS(0.2f, 1), NULL);
    expect_range("|u1", BYTES(8, 16), 2, "", 0, 1, FLOATS(0.5f, 1), "values are of 0 to 16");
    expect_range("|u1", BYTES(8, 15), 2, ",range=0..15", 0, 1, FLOATS(8 / 15.0f, 1), NULL);
    expect_range("<u2", WORDS(257, 65535), 4, "", 0, 1, FLOATS(1 / 255.0f, 1), "0 to 65535");
    expect_range("<u2", WORDS(51, 255), 4, "", 0, 1, FLOATS(0.2f, 1), NULL);
    expect_range("<u2", WORDS(819, 4095), 4, "", 0, 1, FLOATS(0.2f, 1), "0 to 4095");
    expect_range("<i4", NUMBERS(51, 255), 8, "", 0, 1, FLOATS(0.2f, 1), NULL);
    expect_range("<i4", NUMBERS(-128, 127), 8, "", 0, 1, FLOATS(0, 1), "-128 to 127");
    expect_range("<i4", NUMBERS(250, 500), 8, ",range=0..500", 0, 1, FLOATS(0.5f, 1), NULL);
}

static void values_without_a_range_are_refused(void **state)
{
    (void)state;
    const int32_t large[10] = {0, 300}, negative[10] = {0, -1};
    const uint8_t bytes[10] = {0, 200};
    cn_error err;
    assert_null(load("<i4", "5, 1, 2, 1", large, sizeof large, "", &err));
    assert_says(err, "x: element 1 is 300, expected a pixel of 0 to 255; range=LOW..HIGH");
    assert_null(load("<i4", "5, 1, 2, 1", negative, sizeof negative, "", &err));
    assert_says(err, "x: element 1 is -1, expected a pixel");
    assert_null(load("|u1", "5, 1, 2, 1", bytes, 10, ",range=1..2", &err));
    assert_says(err, "bytes have a range from 0 on");
    const char *wrong[] = {",range=1..1", ",range=0",    ",range=..1",   ",range=0..1x",
                           ",range=2..1", ",layout=hwc", ",range=0..1e3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(load("|u1", "5, 1, 2, 1", bytes, 10, wrong[i], &err));
        assert_says(err, "layout=nhwc|nchw, range=LOW..HIGH");
    }
    assert_null(load("|u1", "5, 1, 2, 1", bytes, 10, ",size=2x2", &err));
    assert_says(err, "size= is for images that are rows of values: x has rank 4");
}

/* Every image is 0, 1, 2 ... as it lies in the file; `want` are its first pixel's channels. */
static void expect_layout(const char *shape, int each, const char *options, const int *found,
                          const int *want, const char *said)
{
    uint8_t bytes[5 * 96];
    float x[96];
    int32_t label;
    cn_error err = {CN_OK, ""};
    for (int i = 0; i < 5 * each; i++) bytes[i] = (uint8_t)(i % each + 150);
    cn_dataset *data = load("|u1", shape, bytes, 5 * (size_t)each, options, &err);
    if (!data) fail_msg("%s: %s", shape, err.text);
    assert_memory_equal(cn_dataset_shape(data), found, 3 * sizeof *found);
    cn_dataset_batch(data, (int[]){3}, 1, NULL, NULL, x, &label, NULL);
    for (int c = 0; c < found[2] && c < 3; c++) assert_close(x[c] * 255, want[c] + 150, 1e-4);
    const char *remarks = cn_dataset_remarks(data);
    if (said && !strstr(remarks, said)) fail_msg("\"%s\" does not say \"%s\"", remarks, said);
    if (!said && strstr(remarks, "channel")) fail_msg("\"%s\": too much", remarks);
    cn_dataset_free(data);
}
#define SHAPE(...) ((const int[3]){__VA_ARGS__})

static void channels_that_come_first_are_recognized(void **state)
{
    (void)state;
    expect_layout("5, 4, 6, 3", 72, ",layout=nhwc", SHAPE(4, 6, 3), SHAPE(0, 1, 2), NULL);
    expect_layout("5, 5, 6, 3", 90, "", SHAPE(5, 6, 3), SHAPE(0, 1, 2), NULL);
    expect_layout("5, 3, 5, 6", 90, "", SHAPE(5, 6, 3), SHAPE(0, 30, 60),
                  "read as 3 channels of 5 x 6: channels first; layout=nhwc");
    expect_layout("5, 1, 5, 6", 30, "", SHAPE(5, 6, 1), SHAPE(0), "read as 1 channel of 5 x 6");
    expect_layout("5, 4, 4, 5", 80, "", SHAPE(4, 5, 4), SHAPE(0, 20, 40), "4 channels of 4 x 5");
    expect_layout("5, 3, 5, 6", 90, ",layout=nhwc", SHAPE(3, 5, 6), SHAPE(0, 1, 2), NULL);
    expect_layout("5, 3, 5, 4", 60, "", SHAPE(3, 5, 4), SHAPE(0, 1, 2),
                  "read as 3 x 5 with 4 channels: channels last; layout=nchw");
    expect_layout("5, 3, 5, 4", 60, ",layout=nchw", SHAPE(5, 4, 3), SHAPE(0, 20, 40), NULL);
    expect_layout("5, 5, 5, 3", 75, ",layout=nchw", SHAPE(5, 3, 5), SHAPE(0, 15, 30), NULL);
    expect_layout("5, 6, 3, 5", 90, "", SHAPE(6, 3, 5), SHAPE(0, 1, 2),
                  "with 5 channels: channels");
}

/* ---- What a model sees */

static cn_model *make_model(const int shape[3])
{
    cn_model *m = NULL;
    assert_int_equal(cn_model_parse(&m, "dense 2", shape, 2, 1, NULL), CN_OK);
    return m;
}

static void train(cn_model *model, const cn_dataset *data)
{
    float mean[4], std[4];
    cn_error err;
    cn_dataset_statistics(data, mean, std);
    assert_int_equal(cn_model_set_normalization(model, mean, std, NULL), CN_OK);
    if (cn_fit(model, data, &(cn_fit_opts){.epochs = 1}, NULL, &err) != CN_OK)
        fail_msg("%s", err.text);
}

static cn_dataset *make_set(cn_dtype dtype, const void *pixels)
{
    static const int32_t labels[4] = {0, 1, 0, 1};
    cn_dataset *data = NULL;
    cn_tensor images = cn_tensor_view(dtype, 4, (int[]){4, 1, 2, 1}, (void *)(uintptr_t)pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 2, NULL), CN_OK);
    return data;
}

/* The same images as bytes and as floats of four ranges: a model of any of them measures all of
 * them alike, and predicts bytes as it does its own. */
static void ranges_meet_the_models(void **state)
{
    (void)state;
    const uint8_t bytes[8] = {0, 255, 200, 10, 90, 160, 30, 220};
    const struct {
        double low, high;
    } ranges[] = {{0, 1}, {0, 255}, {-1, 1}, {-0.5, 0.5}, {0, 65535}};
    enum { RANGES = sizeof ranges / sizeof *ranges };
    cn_dataset *sets[RANGES + 1];
    sets[RANGES] = make_set(CN_DTYPE_U8, bytes);
    for (int i = 0; i < RANGES; i++) {
        float x[8];
        for (int k = 0; k < 8; k++)
            x[k] = (float)(ranges[i].low + bytes[k] / 255.0 * (ranges[i].high - ranges[i].low));
        sets[i] = make_set(CN_DTYPE_F32, x);
    }
    double losses[RANGES + 1][RANGES + 1];
    for (int i = 0; i <= RANGES; i++) {
        cn_model *model = make_model(SHAPE(1, 2, 1));
        cn_session *session = NULL;
        cn_tensor Y = {0}, y = {0}, X = {0};
        train(model, sets[i]);
        for (int k = 0; k <= RANGES; k++) {
            cn_metrics metrics;
            assert_int_equal(cn_evaluate(model, sets[k], &(cn_evaluate_opts){.threads = 1},
                                         &metrics, NULL, NULL),
                             CN_OK);
            losses[i][k] = metrics.loss;
            assert_close(metrics.loss, losses[0][0], 1e-5);
        }
        cn_tensor pixels =
            cn_tensor_view(CN_DTYPE_U8, 4, (int[]){4, 1, 2, 1}, (void *)(uintptr_t)bytes);
        cn_tensor one = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){1, 2, 1}, (void *)(uintptr_t)bytes);
        assert_int_equal(cn_session_create(&session, model, &(cn_session_opts){.batch = 4}, NULL),
                         CN_OK);
        assert_int_equal(cn_session_predict(session, &pixels, &Y, NULL), CN_OK);
        assert_int_equal(cn_image_prepare(model, &one, &X, NULL), CN_OK);
        assert_int_equal(cn_session_predict(session, &X, &y, NULL), CN_OK);
        assert_memory_equal(Y.data, y.data, 2 * sizeof(float));
        double loss = 0;
        for (int k = 0; k < 4; k++) loss -= log((double)((float *)Y.data)[2 * k + k % 2]) / 4;
        assert_close(loss, losses[0][0], 1e-5);
        cn_tensor_free(&X);
        cn_tensor_free(&Y);
        cn_tensor_free(&y);
        cn_session_free(session);
        cn_model_free(model);
    }
    for (int i = 0; i <= RANGES; i++) cn_dataset_free(sets[i]);
}

/* An array that stays dark, or that has no range of its own, has the model's. */
static void dark_arrays_have_the_models_range(void **state)
{
    (void)state;
    const float bright[8] = {0, 255, 200, 10, 90, 160, 30, 220};
    const float dark[8] = {0, 20, 30, 10, 9, 16, 3, 22},
                bare[8] = {-3, 2, 1, -1.5f, 0.5f, 1, 2, -2};
    double low, high;
    cn_dataset *set = make_set(CN_DTYPE_F32, dark);
    const cn_image_opts wide = {.low = 0, .high = 4000}, unit = {.low = 0, .high = 1};
    cn_dataset_range_for(set, &wide, &low, &high);
    assert_close(high, 4000, 0);
    cn_dataset_range_for(set, &unit, &low, &high);
    assert_close(high, 255, 0);
    cn_dataset_free(set);
    set = make_set(CN_DTYPE_F32, bare);
    cn_dataset_range_for(set, &unit, &low, &high);
    assert_close(high, 1, 0);
    cn_dataset_free(set);
    set = make_set(CN_DTYPE_F32, bright);
    cn_dataset_range_for(set, &unit, &low, &high);
    assert_close(high, 255, 0);
    cn_dataset_free(set);
}

/* A folder of two classes, each with wide and tall images of other values. */
static void put_images(const char *folder, int most)
{
    char path[FILES_PATH], name[32];
    for (int i = 0; i < 4; i++) {
        uint8_t bytes[256];
        int width = i % 2 ? 9 : 4, height = i % 2 ? 4 : 11;
        snprintf(name, sizeof name, "%d", i / 2);
        mkdir(files_join(path, folder, name), 0700);
        snprintf(name, sizeof name, "%d/%d.pgm", i / 2, i);
        int head = snprintf((char *)bytes, 32, "P5 %d %d %d\n", width, height, most);
        int size = width * height * (most > 255 ? 2 : 1);
        for (int k = 0; k < size; k++) bytes[head + k] = (uint8_t)(k * 37 + i * 11);
        files_write(files_join(path, folder, name), bytes, (size_t)(head + size));
    }
}

/* The very bits, whatever is said of fit and depth, after the model was saved and loaded. */
static void a_prepared_file_is_what_evaluation_sees(void **state)
{
    (void)state;
    const char *options[] = {",size=6x6", ",size=6x6,fit=stretch", ",size=5x8,channels=3", ""};
    for (int form = 0; form < 8; form++) {
        char folder[FILES_PATH], path[FILES_PATH], spec[FILES_PATH + 64], saved[FILES_PATH];
        char command[FILES_PATH + 16];
        cn_dataset *data = NULL, *again = NULL;
        cn_model *model = NULL;
        cn_error err = {CN_OK, ""};
        files_make_folder(folder);
        put_images(folder, form & 4 ? 65535 : 255);
        snprintf(spec, sizeof spec, "folder:%s%s", folder, options[form & 3]);
        if (cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err) != CN_OK)
            fail_msg("%s", err.text);
        model = make_model(cn_dataset_shape(data));
        train(model, data);
        files_join(saved, folder, "model.safetensors");
        assert_int_equal(cn_model_save(model, saved, NULL), CN_OK);
        cn_model_free(model);
        assert_int_equal(cn_model_load(&model, saved, NULL), CN_OK);
        snprintf(spec, sizeof spec, "folder:%s", folder); /* the model knows the rest */
        if (cn_dataset_load(&again, spec, CN_SUBSET_TRAIN, &(cn_dataset_opts){.model = model},
                            &err) != CN_OK)
            fail_msg("%s", err.text);
        for (int i = 0; i < 4; i++) {
            float x[256];
            int32_t label;
            char name[32];
            cn_tensor X = {0};
            snprintf(name, sizeof name, "%d/%d.pgm", i / 2, i);
            files_join(path, folder, name);
            if (cn_image_load_for(model, path, &X, &err) != CN_OK) fail_msg("%s", err.text);
            cn_dataset_batch(again, &i, 1, model->mean, model->std, x, &label, NULL);
            assert_memory_equal(x, X.data, cn_tensor_count(&X) * sizeof(float));
            cn_dataset_batch(data, &i, 1, model->mean, model->std, x, &label, NULL);
            assert_memory_equal(x, X.data, cn_tensor_count(&X) * sizeof(float));
            cn_tensor_free(&X);
        }
        assert_int_equal(cn_model_image_opts(model).fit, (form & 3) == 1);
        assert_int_equal(cn_model_image_opts(model).deep, form >= 4);
        cn_dataset_free(data);
        cn_dataset_free(again);
        cn_model_free(model);
        snprintf(command, sizeof command, "rm -r '%s'", folder);
        assert_int_equal(system(command), 0);
    }
}

/* ---- What a model remembers */

static void a_model_file_keeps_how_images_were_made(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_model *model = make_model(SHAPE(2, 2, 1)), *again = NULL;
    const cn_image_opts all[] = {
        {.low = 0},
        {.fit = CN_FIT_STRETCH},
        {.background = CN_BACKGROUND_BLACK, .deep = true},
        {.fit = CN_FIT_STRETCH, .low = -0.1, .high = 255},
    };
    files_make_folder(folder);
    files_join(path, folder, "m.safetensors");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(cn_model_set_image_opts(model, &all[i], NULL), CN_OK);
        assert_int_equal(cn_model_save(model, path, NULL), CN_OK);
        assert_int_equal(cn_model_load(&again, path, NULL), CN_OK);
        cn_image_opts found = cn_model_image_opts(again);
        assert_int_equal(found.fit, all[i].fit);
        assert_int_equal(found.background, all[i].background);
        assert_int_equal(found.deep, all[i].deep);
        assert_close(found.low, all[i].low, 0);
        assert_close(found.high, all[i].high, 0);
        cn_model_free(again);
    }
    files_remove_folder(folder);
    const cn_image_opts wrong[] = {{.fit = (cn_fit_mode)2},
                                   {.background = (cn_background)-1},
                                   {.low = 2, .high = 1},
                                   {.low = 0, .high = INFINITY},
                                   {.low = NAN, .high = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(cn_model_set_image_opts(model, &wrong[i], NULL), CN_ERR_ARGUMENT);
    cn_model_free(model);
}

static void a_wrong_memory_of_images_is_refused(void **state)
{
    (void)state;
    const char *wrong[] = {"[]",
                           "{\"fit\": \"crop\"}",
                           "{\"background\": 1}",
                           "{\"bits\": 12}",
                           "{\"range\": [1]}",
                           "{\"range\": [2, 1]}",
                           "{\"range\": 1}",
                           "{\"color\": 1}"};
    cn_model *model = make_model(SHAPE(2, 2, 1)), *again = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *json = cn_model_to_json(model, NULL);
        assert_null(json_object_get(json, "images")); /* nothing is known yet */
        assert_int_equal(json_object_set_new(json, "images", json_loads(wrong[i], 0, NULL)), 0);
        assert_int_not_equal(cn_model_from_json(&again, json, false, SIZE_MAX, NULL), CN_OK);
        assert_null(again);
        json_decref(json);
    }
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_range_of_values_is_recognized),
        cmocka_unit_test(values_without_a_range_are_refused),
        cmocka_unit_test(channels_that_come_first_are_recognized),
        cmocka_unit_test(ranges_meet_the_models),
        cmocka_unit_test(dark_arrays_have_the_models_range),
        cmocka_unit_test(a_prepared_file_is_what_evaluation_sees),
        cmocka_unit_test(a_model_file_keeps_how_images_were_made),
        cmocka_unit_test(a_wrong_memory_of_images_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

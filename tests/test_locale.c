/* test_locale.c - a process with decimal commas reads and writes the same numbers as any other.
 *
 * The locales are those that are installed, and one that localedef makes here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convnet.h"
#include "files.h"

#include <locale.h>

static const int shape[3] = {8, 8, 1};
static char folder[FILES_PATH];

/* Every text of numbers that the library reads. */
static void texts_are_read(void **state)
{
    (void)state;
    cn_augment augment;
    cn_model *model = NULL;
    cn_error err;
    if (cn_augment_parse(&augment, "rotate=1.5,scale=0.25", &err) != CN_OK)
        fail_msg("%s", err.text);
    assert_true(augment.rotate == 1.5);
    assert_true(augment.scale == 0.25);
    assert_int_equal(cn_augment_parse(&augment, "rotate=1,5", &err), CN_ERR_ARGUMENT);
    if (cn_model_parse(&model, "dropout 0.25, batchnorm epsilon 1e-4, dense 2", shape, 2, 1,
                       &err) != CN_OK)
        fail_msg("%s", err.text);
    cn_layer_info info;
    assert_true(cn_model_layer(model, 1, &info));
    assert_string_equal(info.options, "0.25");
    assert_true(cn_model_layer(model, 2, &info));
    assert_string_equal(info.options, "epsilon 0.0001");
    cn_model_free(model);
}

static void errors_have_decimal_points(void **state)
{
    (void)state;
    cn_model *model = NULL;
    cn_dataset *data = NULL;
    cn_error err;
    cn_fit_opts opts = {.schedule = {.end = 1.5}};
    assert_int_equal(cn_dataset_load(&data, "digits", CN_SUBSET_TEST, NULL, &err), CN_OK);
    assert_int_equal(cn_model_parse(&model, "dense 10", shape, 10, 1, &err), CN_OK);
    assert_int_equal(cn_fit(model, data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "1.5"));
    assert_int_equal(cn_model_load(&model, "/no/such/model", &err), CN_ERR_IO);
    assert_non_null(strstr(err.text, "No such file or directory"));
    cn_model_free(model);
    cn_dataset_free(data);
}

static void same_bytes(const char *a, const char *b)
{
    char command[2 * FILES_PATH + 20];
    snprintf(command, sizeof command, "cmp -s '%s' '%s'", a, b);
    if (system(command) != 0) fail_msg("%s and %s differ", a, b);
}

/* Trains a little with a checkpoint, saves, loads and goes on: `name` is of the files written. */
static void train(const char *name, char model_path[FILES_PATH])
{
    char checkpoint[FILES_PATH];
    cn_model *model = NULL, *loaded = NULL;
    cn_dataset *data = NULL;
    cn_error err;
    files_join(checkpoint, folder, "checkpoint");
    files_join(model_path, folder, name);
    cn_fit_opts opts = {.epochs = 1,
                        .threads = 1,
                        .learning_rate = 0.00125,
                        .schedule = {.kind = CN_SCHEDULE_POLYNOMIAL, .end = 0.5},
                        .augment = {.rotate = 2.5},
                        .checkpoint.path = checkpoint};
    assert_int_equal(cn_dataset_load(&data, "digits", CN_SUBSET_TEST, NULL, &err), CN_OK);
    assert_int_equal(cn_model_parse(&model, "dropout 0.25, dense 10", shape, 10, 1, &err), CN_OK);
    float mean = 0.125f, deviation = 0.3333f;
    assert_int_equal(cn_model_set_normalization(model, &mean, &deviation, &err), CN_OK);
    if (cn_fit(model, data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    opts.resume = checkpoint;
    if (cn_fit(model, data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    if (cn_model_save(model, model_path, &err) != CN_OK) fail_msg("%s", err.text);
    if (cn_model_load(&loaded, model_path, &err) != CN_OK) fail_msg("%s", err.text);
    cn_model_free(loaded);
    cn_model_free(model);
    cn_dataset_free(data);
}

static void files_are_the_same(void **state)
{
    (void)state;
    char here[FILES_PATH], there[FILES_PATH], now[100];
    snprintf(now, sizeof now, "%s", setlocale(LC_ALL, NULL));
    train("comma.safetensors", here);
    setlocale(LC_ALL, "C");
    train("point.safetensors", there);
    setlocale(LC_ALL, now);
    same_bytes(here, there);
}

/* Runs the tests in a locale where it is one with commas; true where it is. */
static bool run(const char *name, int *failed)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read),
        cmocka_unit_test(errors_have_decimal_points),
        cmocka_unit_test(files_are_the_same),
    };
    char half[8];
    if (!setlocale(LC_ALL, name)) return false;
    snprintf(half, sizeof half, "%.1f", 0.5);
    if (strcmp(half, "0.5") == 0) return false;
    *failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
    return true;
}

int main(void)
{
    static const char *const installed[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    char command[2 * FILES_PATH + 100];
    int failed = 0;
    bool ran = false;
    files_make_folder(folder);
    for (size_t i = 0; i < sizeof installed / sizeof *installed; i++)
        if (run(installed[i], &failed)) ran = true;
    snprintf(command, sizeof command,
             "localedef -i de_DE -f UTF-8 '%s/commas' >/dev/null 2>&1; test -d '%s/commas'", folder,
             folder);
    if (system(command) == 0 && setenv("LOCPATH", folder, 1) == 0 && run("commas", &failed))
        ran = true;
    setlocale(LC_ALL, "C");
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) failed++;
    if (failed) return 1;
    if (ran) return 0;
    printf("skipped: no locale with decimal commas is installed, nor does localedef make one\n");
    return 77;
}

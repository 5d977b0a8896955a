/* Classes of a set brought into the order of a model's, by their names; what it does not have. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "data/dataset.h"
#include "trees.h"

/* A model that takes a pixel near i / 2 for class i: -40 (x - i / 2)^2 without its x^2 is linear.
 */
static cn_model *make_model(int classes, const char *const *names)
{
    cn_model *m = NULL;
    char text[32];
    const int shape[3] = {1, 1, 1};
    snprintf(text, sizeof text, "dense %d", classes);
    assert_int_equal(cn_model_parse(&m, text, shape, classes, 1, NULL), CN_OK);
    if (names) assert_int_equal(cn_model_set_classes(m, classes, names, NULL), CN_OK);
    cn_parameter weight, bias;
    assert_true(cn_model_parameter(m, 0, &weight) && cn_model_parameter(m, 1, &bias));
    float *w = weight.value.data, *b = bias.value.data;
    for (int i = 0; i < classes; i++) {
        float at = (float)i / 2;
        w[i] = 80 * at;
        b[i] = -40 * at * at;
    }
    return m;
}

/* A folder of classes with two images each, of the value given. */
typedef struct group {
    const char *name;
    int value;
} group;

static cn_dataset *make_set(const group *groups, int count)
{
    char folder[FILES_PATH], name[128];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    files_make_folder(folder);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "%s/%d.pgm", groups[i].name, k);
            put_gray(folder, name, 1, 1, groups[i].value);
        }
    if (cn_dataset_load(&data, folder, CN_SUBSET_ALL, NULL, &err) != CN_OK)
        fail_msg("%s", err.text);
    remove_tree(folder);
    return data;
}

static const char *const animals[] = {"cat", "dog", "eel"};

/* Evaluates and expects so many right; confusion has room for 5 classes. */
static cn_metrics evaluate(cn_model *m, const cn_dataset *data, cn_tta tta, int64_t *confusion)
{
    cn_metrics metrics;
    cn_error err = {CN_OK, ""};
    cn_evaluate_opts opts = {.batch = 3, .tta = tta};
    if (cn_evaluate(m, data, &opts, &metrics, confusion, &err) != CN_OK) fail_msg("%s", err.text);
    return metrics;
}

static void names_decide(void **state)
{
    (void)state;
    const char *const order[] = {"eel", "cat", "dog"};
    cn_model *m = make_model(3, order);
    cn_dataset *data = make_set((group[]){{"cat", 128}, {"dog", 255}, {"eel", 0}}, 3);
    assert_int_equal(cn_dataset_match_classes(data, m, NULL), CN_OK);
    assert_string_equal(cn_dataset_remarks(data), "");
    for (int i = 0; i < 3; i++) assert_string_equal(cn_dataset_class_name(data, i), order[i]);
    int64_t confusion[9];
    cn_metrics found = evaluate(m, data, CN_TTA_NONE, confusion);
    assert_int_equal(found.correct, 6);
    assert_memory_equal(confusion, ((int64_t[]){2, 0, 0, 0, 2, 0, 0, 0, 2}), sizeof confusion);
    cn_dataset_free(data);
    cn_model_free(m);
}

static void some_of_the_classes_are_enough(void **state)
{
    (void)state;
    cn_model *m = make_model(3, animals);
    cn_dataset *data = make_set((group[]){{"dog", 128}, {"eel", 255}}, 2);
    assert_int_equal(cn_dataset_match_classes(data, m, NULL), CN_OK);
    assert_string_equal(cn_dataset_remarks(data), "");
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_int_equal(evaluate(m, data, CN_TTA_NONE, NULL).correct, 4);
    cn_dataset_free(data);
    cn_model_free(m);
}

static void classes_that_the_model_lacks_count_as_wrong(void **state)
{
    (void)state;
    cn_model *m = make_model(3, animals);
    const group some[] = {{"dog", 128}, {"eel", 255}};
    const group more[] = {{"ant", 0}, {"dog", 128}, {"eel", 255}, {"fox", 128}};
    for (int tta = 0; tta < 2; tta++) {
        cn_dataset *data = make_set(some, 2), *other = make_set(more, 4);
        int64_t confusion[25];
        assert_int_equal(cn_dataset_match_classes(data, m, NULL), CN_OK);
        assert_int_equal(cn_dataset_match_classes(other, m, NULL), CN_OK);
        assert_string_equal(
            cn_dataset_remarks(other),
            "the model does not have the classes ant, fox: 4 images count as wrong\n");
        assert_int_equal(cn_dataset_classes(other), 5);
        assert_string_equal(cn_dataset_class_name(other, 3), "ant");
        cn_metrics all = evaluate(m, data, (cn_tta)tta, NULL);
        cn_metrics found = evaluate(m, other, (cn_tta)tta, confusion);
        assert_int_equal(found.count, 8);
        assert_int_equal(found.correct, 4);
        assert_true(found.accuracy == 0.5);
        assert_true(fabs(found.loss - all.loss) < 1e-6);
        const int64_t expected[25] = {0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2,
                                      0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0};
        assert_memory_equal(confusion, expected, sizeof expected);
        cn_error err;
        assert_int_equal(cn_fit(m, other, NULL, NULL, &err), CN_ERR_ARGUMENT);
        assert_says(err, "2 of the data's classes are not the model's: ant, ...");
        cn_dataset_free(data);
        cn_dataset_free(other);
    }
    cn_model_free(m);
}

static void without_any_in_common_it_is_refused(void **state)
{
    (void)state;
    cn_error err;
    cn_model *m = make_model(3, animals);
    cn_dataset *data = make_set((group[]){{"fox", 0}, {"gnu", 1}, {"hen", 2}}, 3);
    assert_int_equal(cn_dataset_match_classes(data, m, &err), CN_ERR_ARGUMENT);
    assert_says(err,
                "the model's classes are cat, dog, eel; none of them is in the data, which has "
                "fox, gnu, hen");
    cn_dataset_free(data);
    cn_model_free(m);
}

/* Sets of arrays have numbers for names; so have models that learnt from them. */
static void without_names_the_order_decides(void **state)
{
    (void)state;
    const int32_t labels[] = {1, 0};
    const uint8_t pixels[] = {128, 0};
    cn_tensor images =
        cn_tensor_view(CN_DTYPE_U8, 4, (int[]){2, 1, 1, 1}, (void *)(uintptr_t)pixels);
    cn_model *named = make_model(3, animals), *plain = make_model(3, NULL);
    for (int classes = 2; classes <= 3; classes++) {
        cn_dataset *data = NULL;
        assert_int_equal(cn_dataset_create(&data, &images, labels, classes, NULL), CN_OK);
        assert_int_equal(cn_dataset_match_classes(data, named, NULL), CN_OK);
        assert_int_equal(cn_dataset_classes(data), 3);
        assert_string_equal(cn_dataset_class_name(data, 1), "dog");
        assert_int_equal(evaluate(named, data, CN_TTA_NONE, NULL).correct, 2);
        cn_dataset_free(data);
    }
    cn_dataset *data = make_set((group[]){{"cat", 0}, {"dog", 128}, {"eel", 255}}, 3);
    assert_int_equal(cn_dataset_match_classes(data, plain, NULL), CN_OK);
    assert_string_equal(cn_dataset_class_name(data, 1), "dog");
    assert_int_equal(evaluate(plain, data, CN_TTA_NONE, NULL).correct, 6);
    cn_dataset_free(data);
    data = make_set((group[]){{"cat", 0}, {"dog", 128}}, 2);
    assert_int_equal(cn_dataset_match_classes(data, plain, NULL), CN_ERR_ARGUMENT);
    cn_dataset_free(data);
    cn_model_free(named);
    cn_model_free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_decide),
        cmocka_unit_test(some_of_the_classes_are_enough),
        cmocka_unit_test(classes_that_the_model_lacks_count_as_wrong),
        cmocka_unit_test(without_any_in_common_it_is_refused),
        cmocka_unit_test(without_names_the_order_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

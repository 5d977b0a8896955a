/* Several labels per image, and numbers: sets, tables, training, metrics and files. The figures are
 * those of scikit-learn for the same numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "data/dataset.h"
#include "trees.h"

#define assert_close(a, b)                                                 \
    do {                                                                   \
        double assert_a = (a), assert_b = (b);                             \
        if (!(fabs(assert_a - assert_b) < 1e-6))                           \
            fail_msg("%s is %.9g, expected %.9g", #a, assert_a, assert_b); \
    } while (0)

/* Labels with ties among the probabilities. */
enum { LABELLED = 8 };
static const float label_truth[LABELLED][2] = {{1, 0}, {0, 1}, {1, 1}, {0, 0},
                                               {1, 0}, {0, 1}, {0, 1}, {1, 0}};
static const float label_hat[LABELLED][2] = {{.9f, .3f},  {.8f, .3f},   {.8f, .7f}, {.2f, .1f},
                                             {.35f, .6f}, {.35f, .55f}, {.1f, .9f}, {.6f, .55f}};

/* What lies in an image is what a model of two identity weights gives. */
static cn_dataset *make_set(cn_task_kind task, int n, const float *x, const float *targets)
{
    static const char *const names[] = {"left", "right"};
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){n, 1, 2, 1}, (void *)(uintptr_t)x);
    cn_tensor T = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){n, 2}, (void *)(uintptr_t)targets);
    if (cn_dataset_create_targets(&data, task, &X, &T, names, &err) != CN_OK)
        fail_msg("%s", err.text);
    return data;
}

static cn_model *make_identity(cn_task_kind task)
{
    cn_model *m = NULL;
    cn_error err = {CN_OK, ""};
    cn_parameter w;
    if (cn_model_parse_task(&m, "dense classes no_bias", (int[]){1, 2, 1}, 2, task, 1, &err) !=
        CN_OK)
        fail_msg("%s", err.text);
    assert_true(cn_model_parameter(m, 0, &w));
    memcpy(w.value.data, (float[]){1, 0, 0, 1}, 4 * sizeof(float));
    cn_model_weights_changed(m);
    return m;
}

static cn_dataset *make_labels(void)
{
    float logits[LABELLED][2];
    for (int i = 0; i < LABELLED; i++)
        for (int k = 0; k < 2; k++) logits[i][k] = logf(label_hat[i][k] / (1 - label_hat[i][k]));
    return make_set(CN_TASK_MULTI_LABEL, LABELLED, logits[0], label_truth[0]);
}

static void labels_are_judged(void **state)
{
    (void)state;
    cn_dataset *data = make_labels();
    cn_model *m = make_identity(CN_TASK_MULTI_LABEL);
    cn_metrics metrics;
    cn_column_metrics c[2];
    cn_error err = {CN_OK, ""};
    if (cn_evaluate_columns(m, data, &(cn_evaluate_opts){.batch = 3}, &metrics, c, &err) != CN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(c[0].positives, 4);
    assert_close(c[0].average_precision, 0.7708333333333333);
    assert_close(c[0].auc, 0.8125);
    assert_close(c[0].f1, 0.75);
    assert_close(c[0].precision, 0.75);
    assert_close(c[0].recall, 0.75);
    assert_close(c[1].average_precision, 0.7928571428571428);
    assert_close(c[1].auc, 0.75);
    assert_close(c[1].f1, 0.6666666666666666);
    assert_close(c[1].precision, 0.6);
    assert_close(c[1].recall, 0.75);
    assert_close(metrics.mean_average_precision, 0.7818452380952381);
    assert_close(metrics.mean_auc, 0.78125);
    assert_close(metrics.mean_f1, 0.7083333333333333);
    assert_close(metrics.accuracy, 0.6875);
    assert_close(metrics.loss, 0.5436597414);
    assert_int_equal(metrics.judged, 2 * LABELLED);
    assert_int_equal(metrics.correct, 11);
    assert_true(isnan(metrics.mean_r_squared) && isnan(metrics.mean_iou));
    assert_true(isnan(c[0].r_squared));

    /* At another threshold other labels are there. */
    assert_int_equal(cn_model_set_thresholds(m, (float[]){0.85f, 0.2f}, &err), CN_OK);
    assert_int_equal(cn_evaluate_columns(m, data, NULL, &metrics, c, &err), CN_OK);
    assert_close(c[0].precision, 1);
    assert_close(c[0].recall, 0.25);
    assert_close(c[1].recall, 1);
    assert_close(c[1].precision, 4.0 / 7);
    assert_close(c[0].threshold, (double)0.85f);
    assert_close(c[0].average_precision, 0.7708333333333333);
    cn_model_free(m);
    cn_dataset_free(data);
}

/* A label that all images have, or none, has no AUC, and is in no mean. */
static void undefined_figures_are_left_out(void **state)
{
    static const float x[3][2] = {{1, 2}, {-1, 1}, {0, -3}};
    static const float truth[3][2] = {{0, 1}, {0, 0}, {0, 0}};
    (void)state;
    cn_dataset *data = make_set(CN_TASK_MULTI_LABEL, 3, x[0], truth[0]);
    cn_model *m = make_identity(CN_TASK_MULTI_LABEL);
    cn_metrics metrics;
    cn_column_metrics c[2];
    cn_error err = {CN_OK, ""};
    assert_int_equal(cn_evaluate_columns(m, data, NULL, &metrics, c, &err), CN_OK);
    assert_true(isnan(c[0].average_precision) && isnan(c[0].auc) && isnan(c[0].recall));
    assert_close(c[0].f1, 0);
    assert_close(metrics.mean_average_precision, 1);
    assert_close(metrics.mean_auc, 1);
    cn_model_free(m);
    cn_dataset_free(data);
}

static void thresholds_have_the_best_f1(void **state)
{
    (void)state;
    cn_dataset *data = make_labels();
    cn_model *m = make_identity(CN_TASK_MULTI_LABEL), *read = NULL;
    cn_error err = {CN_OK, ""};
    char folder[FILES_PATH], path[FILES_PATH];
    assert_close((double)cn_model_threshold(m, 0), 0.5);
    if (cn_model_choose_thresholds(m, data, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    /* left: 4 of the first 6, F1 0.8, down to 0.35; right: 4 of the first 7, F1 8/11, or 3 of 5, 2/3 */
    assert_close((double)cn_model_threshold(m, 0), (0.35 + 0.2) / 2);
    assert_close((double)cn_model_threshold(m, 1), (0.3 + 0.1) / 2);

    files_make_folder(folder);
    assert_int_equal(cn_model_save(m, files_join(path, folder, "m.safetensors"), &err), CN_OK);
    if (cn_model_load(&read, path, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_model_task(read), CN_TASK_MULTI_LABEL);
    assert_true(cn_model_threshold(read, 0) == cn_model_threshold(m, 0));
    assert_true(cn_model_threshold(read, 1) == cn_model_threshold(m, 1));
    assert_int_equal(cn_model_set_thresholds(m, (float[]){0.5f, 1.5f}, &err), CN_ERR_ARGUMENT);
    assert_says(err, "threshold 1 is 1.5, expected 0 to 1");
    cn_model_free(read);
    cn_model_free(m);
    cn_dataset_free(data);
    remove_tree(folder);
}

static void numbers_are_judged(void **state)
{
    static const float hat[4][2] = {{2.5f, 0}, {2, 8}, {8, 2}, {-0.5f, 3}};
    static const float truth[4][2] = {{3, -0.5f}, {2, 7}, {7, 1.5f}, {-1, 4}};
    (void)state;
    cn_dataset *data = make_set(CN_TASK_REGRESSION, 4, hat[0], truth[0]);
    cn_model *m = make_identity(CN_TASK_REGRESSION);
    cn_metrics metrics;
    cn_column_metrics c[2];
    cn_error err = {CN_OK, ""};
    if (cn_evaluate_columns(m, data, NULL, &metrics, c, &err) != CN_OK) fail_msg("%s", err.text);
    assert_close(c[0].r_squared, 0.9541984732824428);
    assert_close(c[0].mean_squared_error, 0.375);
    assert_close(c[0].mean_absolute_error, 0.5);
    assert_close(c[1].r_squared, 0.9206349206349207);
    assert_close(c[1].mean_squared_error, 0.625);
    assert_close(c[1].mean_absolute_error, 0.75);
    assert_close(metrics.mean_r_squared, 0.9374166969586817);
    assert_close(metrics.mean_squared_error, 0.5);
    assert_close(metrics.loss, 0.5);
    assert_true(isnan(metrics.accuracy) && isnan(metrics.mean_auc));
    assert_int_equal(metrics.judged, 0);
    assert_int_equal(cn_evaluate(m, data, &(cn_evaluate_opts){.loss = CN_LOSS_MEAN_ABSOLUTE_ERROR},
                                 &metrics, NULL, &err),
                     CN_OK);
    assert_close(metrics.loss, 0.625);

    /* The same answers, standardized: only the loss is another. */
    assert_int_equal(cn_model_set_targets(m, (float[]){1, 0}, (float[]){2, 1}, &err), CN_OK);
    assert_int_equal(cn_evaluate_columns(m, data, NULL, &metrics, c, &err), CN_OK);
    assert_close(c[0].mean_absolute_error, (3 + 3 + 10 + 1) / 4.0);
    float y[] = {2, 3, -1, 5};
    cn_model_restore_targets(m, 2, y);
    assert_memory_equal(y, ((float[]){5, 3, -1, 5}), sizeof y);
    assert_int_equal(cn_model_set_targets(m, (float[]){1, 0}, (float[]){2, 0}, &err),
                     CN_ERR_ARGUMENT);
    cn_model_free(m);
    cn_dataset_free(data);
}

/* Numbers far from 0 are learned, and come back in their units, also from a file. */
static void numbers_are_learned(void **state)
{
    enum { N = 64 };
    (void)state;
    float x[N][2], truth[N][2];
    cn_rng rng;
    cn_model *m = NULL, *read = NULL;
    cn_metrics metrics, again;
    cn_progress last;
    cn_error err = {CN_OK, ""};
    char folder[FILES_PATH], path[FILES_PATH];
    cn_rng_seed(&rng, 3);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 2; k++) x[i][k] = (float)cn_rng_randn(&rng);
        truth[i][0] = 1000 + 50 * x[i][0];
        truth[i][1] = 0.01f * x[i][0] - 0.02f * x[i][1];
    }
    cn_dataset *data = make_set(CN_TASK_REGRESSION, N, x[0], truth[0]);
    assert_int_equal(
        cn_model_parse_task(&m, "dense classes", (int[]){1, 2, 1}, 2, CN_TASK_REGRESSION, 1, &err),
        CN_OK);
    cn_fit_opts opts = {
        .epochs = 60, .batch = 16, .learning_rate = 0.05, .valid = data, .best = {.keep = true}};
    if (cn_fit(m, data, &opts, &last, &err) != CN_OK) fail_msg("%s", err.text);
    assert_true(isnan(last.train_accuracy) && isnan(last.valid_accuracy));
    assert_true(last.valid_r_squared > 0.99);
    assert_int_equal(cn_model_task(m), CN_TASK_REGRESSION);
    assert_int_equal(cn_evaluate(m, data, NULL, &metrics, NULL, &err), CN_OK);
    assert_true(metrics.mean_r_squared > 0.99 && metrics.mean_absolute_error < 2);

    files_make_folder(folder);
    assert_int_equal(cn_model_save(m, files_join(path, folder, "m.safetensors"), &err), CN_OK);
    if (cn_model_load(&read, path, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_evaluate(read, data, NULL, &again, NULL, &err), CN_OK);
    assert_true(again.mean_squared_error == metrics.mean_squared_error);

    /* A training that goes on keeps the scale of the model. */
    float before[2] = {0, 0}, after[2] = {0, 0};
    cn_model_restore_targets(read, 1, before);
    assert_int_equal(cn_fit(read, data, &(cn_fit_opts){.epochs = 1}, NULL, &err), CN_OK);
    cn_model_restore_targets(read, 1, after);
    assert_memory_equal(before, after, sizeof before);

    opts.best.monitor = CN_MONITOR_ACCURACY;
    assert_int_equal(cn_fit(m, data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_says(err, "an accuracy is of classes");
    cn_model_free(m);
    cn_model_free(read);
    cn_dataset_free(data);
    remove_tree(folder);
}

static void labels_are_learned(void **state)
{
    enum { N = 64 };
    (void)state;
    float x[N][2], truth[N][2];
    cn_rng rng;
    cn_model *m = NULL;
    cn_metrics metrics;
    cn_error err = {CN_OK, ""};
    cn_rng_seed(&rng, 4);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 2; k++) {
            x[i][k] = (float)cn_rng_randn(&rng);
            truth[i][k] = x[i][k] > 0.3f;
        }
    cn_dataset *data = make_set(CN_TASK_MULTI_LABEL, N, x[0], truth[0]);
    assert_int_equal(
        cn_model_parse_task(&m, "dense classes", (int[]){1, 2, 1}, 2, CN_TASK_MULTI_LABEL, 1, &err),
        CN_OK);
    for (int mixup = 0; mixup < 2; mixup++) {
        cn_fit_opts opts = {
            .epochs = 40, .batch = 16, .learning_rate = 0.1, .augment.mixup = mixup ? 0.1 : 0};
        if (cn_fit(m, data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(cn_evaluate(m, data, NULL, &metrics, NULL, &err), CN_OK);
        assert_true(metrics.mean_average_precision > 0.99 && metrics.mean_auc > 0.99);
        assert_true(metrics.accuracy > 0.9);
    }
    cn_model_free(m);
    cn_dataset_free(data);
}

/* ---- Tables */

static cn_dataset *expect_set(const char *folder, const char *name, cn_subset subset)
{
    char spec[2 * FILES_PATH + 96];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "csv:%s/%s", folder, name);
    if (cn_dataset_load(&data, spec, subset, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static void expect_failure(const char *folder, const char *name, const char *part)
{
    char spec[2 * FILES_PATH + 96];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "csv:%s/%s", folder, name);
    assert_int_not_equal(cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err), CN_OK);
    assert_null(data);
    assert_says(err, part);
}

static void expect_targets(const cn_dataset *data, cn_task_kind task, const char *names, int n,
                           const float *targets)
{
    char found[200] = "";
    const cn_tensor *t = cn_dataset_targets(data);
    assert_int_equal(cn_dataset_task(data), task);
    for (int i = 0; i < cn_dataset_classes(data); i++) {
        if (i) strcat(found, ",");
        strcat(found, cn_dataset_class_name(data, i));
    }
    assert_string_equal(found, names);
    assert_non_null(t);
    assert_int_equal(t->shape[0], n);
    assert_int_equal(t->shape[1], cn_dataset_classes(data));
    for (size_t i = 0; i < cn_tensor_count(t); i++)
        assert_close((double)((const float *)t->data)[i], (double)targets[i]);
    assert_int_equal(cn_dataset_label(data, 0), 0);
}

static void put_images(const char *folder)
{
    static const char *const names[] = {"a.pgm", "b.pgm", "c.pgm", "d.pgm"};
    for (int i = 0; i < 4; i++) put_gray(folder, names[i], 2, 2, 10 * i);
}

static void columns_of_0_and_1_are_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "t.csv", "beach,path,note,boat\n1,a.pgm,x,0\n0,b.pgm,y,0\n1,c.pgm,z,1\n");
    cn_dataset *data = expect_set(folder, "t.csv", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_MULTI_LABEL, "beach,boat", 3, (float[]){1, 0, 0, 0, 1, 1});
    assert_non_null(strstr(cn_dataset_remarks(data), "passed over the column note"));
    cn_dataset_free(data);
    data = expect_set(folder, "t.csv,task=regression,columns=boat", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_REGRESSION, "boat", 3, (float[]){0, 0, 1});
    cn_dataset_free(data);
    remove_tree(folder);
}

static void labels_stand_between_bars(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "t.csv", "path,label\na.pgm,tree | sea\nb.pgm,\nc.pgm,sea\nd.pgm,|tree|\n");
    cn_dataset *data = expect_set(folder, "t.csv", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_MULTI_LABEL, "sea,tree", 4, (float[]){1, 1, 0, 0, 1, 0, 0, 1});
    cn_dataset_free(data);
    put_text(folder, "c.csv", "path,label\na.pgm,tree\nb.pgm,sea\n");
    data = expect_set(folder, "c.csv", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_task(data), CN_TASK_CLASSIFICATION);
    cn_dataset_free(data);
    data = expect_set(folder, "c.csv,task=multi-label", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_MULTI_LABEL, "sea,tree", 2, (float[]){0, 1, 1, 0});
    cn_dataset_free(data);
    put_text(folder, "e.csv", "path,label\na.pgm,tree\nb.pgm,\n");
    expect_failure(folder, "e.csv", "line 3: expected path,label, found no label");
    remove_tree(folder);
}

static void columns_of_numbers_are_learned(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "t.csv",
             "path,age,weight,split\na.pgm,41,70.5,train\nb.pgm,-3,1e2,train\nc.pgm,5,0,test\n");
    cn_dataset *data = expect_set(folder, "t.csv", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_REGRESSION, "age,weight", 2, (float[]){41, 70.5f, -3, 100});
    cn_dataset_free(data);
    data = expect_set(folder, "t.csv,columns=weight", CN_SUBSET_TEST);
    expect_targets(data, CN_TASK_REGRESSION, "weight", 1, (float[]){0});
    cn_dataset_free(data);
    data = expect_set(folder, "t.csv", CN_SUBSET_ALL);
    assert_int_equal(cn_dataset_size(data), 3);
    cn_dataset_free(data);

    put_text(folder, "one.csv", "path,height\na.pgm,1.5\nb.pgm,2\n");
    data = expect_set(folder, "one.csv", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_REGRESSION, "height", 2, (float[]){1.5f, 2});
    assert_non_null(strstr(cn_dataset_remarks(data), "task=classification"));
    cn_dataset_free(data);
    data = expect_set(folder, "one.csv,task=classification", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_task(data), CN_TASK_CLASSIFICATION);
    assert_string_equal(cn_dataset_class_name(data, 0), "1.5");
    cn_dataset_free(data);

    put_text(folder, "bad.csv", "path,age,weight\na.pgm,41,70.5\nb.pgm,,3\n");
    expect_failure(folder, "bad.csv", "line 3: \"\" in column age, expected a number");
    put_text(folder, "nan.csv", "path,age,weight\na.pgm,41,70.5\nb.pgm,nan,3\n");
    expect_failure(folder, "nan.csv", "line 3: \"nan\" in column age, expected a number");
    put_text(folder, "short.csv", "path,age,weight\na.pgm,41,70.5\nb.pgm,3\n");
    expect_failure(folder, "short.csv", "line 3: expected a path and 3 fields in all, found 2");
    expect_failure(folder, "t.csv,columns=size", "no column is called size");
    expect_failure(folder, "t.csv,columns=age|age|age|age|age", "a column is named twice");
    expect_failure(folder, "t.csv,task=multi-label", "task=multi-label wants columns of 0 and 1");
    remove_tree(folder);
}

static void expect_remark(const cn_dataset *data, const char *part)
{
    if (!strstr(cn_dataset_remarks(data), part))
        fail_msg("\"%s\" lacks \"%s\"", cn_dataset_remarks(data), part);
}

/* A single 1 in every row is a class; what is empty or -1 is no label. */
static void rows_with_a_single_1_are_classes(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "t.csv", "id,nv,mel,bcc\na,0.0,1.0,0.0\nb,True,False,False\nc,0,0,1\n");
    cn_dataset *data = expect_set(folder, "t.csv", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_task(data), CN_TASK_CLASSIFICATION);
    assert_memory_equal(cn_dataset_labels(data), ((int32_t[]){1, 0, 2}), 12);
    assert_string_equal(cn_dataset_class_name(data, 1), "mel");
    expect_remark(data, "each row has a single 1: the columns are classes");
    cn_dataset_free(data);
    data = expect_set(folder, "t.csv,task=multi-label", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_MULTI_LABEL, "nv,mel,bcc", 3,
                   (float[]){0, 1, 0, 1, 0, 0, 0, 0, 1});
    cn_dataset_free(data);
    put_text(folder, "u.csv", "path,Edema,Cyst\na.pgm,,1.0\nb.pgm,-1.0,\nc.pgm,1.0,0.0\n");
    data = expect_set(folder, "u.csv", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_MULTI_LABEL, "Edema,Cyst", 3, (float[]){0, 1, 0, 0, 1, 0});
    expect_remark(data, "3 labels that are empty or -1 are taken for 0");
    cn_dataset_free(data);
    expect_failure(folder, "u.csv,task=classification", "wants a single 1 per row");
    expect_failure(folder, "u.csv,task=regression", "line 2: \"\" in column Edema");
    remove_tree(folder);
}

static void numbers_of_rows_are_not_learned(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "t.csv",
             ",id,path,age,fold,Unnamed: 5\n0,7,a.pgm,41.5,1,3\n1,8,b.pgm,3,2,4\n");
    cn_dataset *data = expect_set(folder, "t.csv", CN_SUBSET_TRAIN);
    expect_targets(data, CN_TASK_REGRESSION, "age", 2, (float[]){41.5f, 3});
    expect_remark(data,
                  "to be learned: the column age\npassed over the columns (no name), id, fold");
    cn_dataset_free(data);
    remove_tree(folder);
}

/* columns= names the labels where no heading does; other forms of lists, splits and separators. */
static void labels_come_in_many_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *options;
        cn_task_kind task;
        const char *names;
        int n;
    } forms[] = {
        {"fname,phylum,age\na.pgm,ant,1\nb.pgm,bee,2\n", ",columns=phylum", CN_TASK_CLASSIFICATION,
         "ant,bee", 2},
        {"path,age,x\na.pgm,5,1\nb.pgm,7,2\n", ",columns=age,task=classification",
         CN_TASK_CLASSIFICATION, "5,7", 2},
        {"Image Index,Finding Labels,Age\na.pgm,cyst|edema,1\nb.pgm,edema,2\n", "",
         CN_TASK_MULTI_LABEL, "cyst,edema", 2},
        {"image,labels\na,\"['sea', \"\"tree\"\"]\"\nb,[]\n", "", CN_TASK_MULTI_LABEL, "sea,tree",
         2},
        {"image,tags\na,sea tree\nb,tree\n", ",task=multi-label", CN_TASK_MULTI_LABEL, "sea,tree",
         2},
        {"image,tags\na,\"big sea, tree\"\nb,tree\n", ",task=multi-label", CN_TASK_MULTI_LABEL,
         "big sea,tree", 2},
        {"sep=;\npath;label\na.pgm;x,1\nb.pgm;y\n", "", CN_TASK_CLASSIFICATION, "x,1,y", 2},
        {"path,label,is_valid\na.pgm,x,False\nb.pgm,y,True\n", "", CN_TASK_CLASSIFICATION, "x,y",
         1},
        {"image_id,dx,age\na,x,1\nb,y,2\n", "", CN_TASK_CLASSIFICATION, "x,y", 2},
        {"id,label,x,y\n0,a,2,3\n1,b,4,5\n", "", CN_TASK_CLASSIFICATION, "a,b", 2},
        {"id,x,y\n0,1,2\n1,3,4\n", "", CN_TASK_REGRESSION, "x,y", 2}, /* no rows of pixels */
    };
    char folder[FILES_PATH], name[64], found[64];
    files_make_folder(folder);
    put_images(folder);
    put_gray(folder, "0.pgm", 2, 2, 1);
    put_gray(folder, "1.pgm", 2, 2, 1);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        put_text(folder, "t.csv", forms[i].text);
        snprintf(name, sizeof name, "t.csv%s", forms[i].options);
        cn_dataset *data = expect_set(folder, name, CN_SUBSET_TRAIN);
        found[0] = 0;
        for (int k = 0; k < cn_dataset_classes(data); k++)
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", k ? "," : "",
                     cn_dataset_class_name(data, k));
        assert_string_equal(found, forms[i].names);
        assert_int_equal(cn_dataset_task(data), forms[i].task);
        assert_int_equal(cn_dataset_size(data), forms[i].n);
        cn_dataset_free(data);
    }
    put_text(folder, "t.csv", "ImageId,EncodedPixels\na,1 3 10 5\n");
    expect_failure(folder, "t.csv", "column EncodedPixels: masks as lengths of runs are not read");
    put_text(folder, "t.csv", "id,phylum,sex\na,ant,m\n");
    expect_failure(folder, "t.csv", "columns=NAME says which has the labels");
    remove_tree(folder);
}

/* Paths of another machine are found by their last part below root=; what is not there may be skipped. */
static void files_of_a_table_may_have_moved(void **state)
{
    (void)state;
    char folder[FILES_PATH], name[FILES_PATH + 16], spec[2 * FILES_PATH + 32];
    const cn_dataset_opts skip = {.skip_damaged = true};
    cn_dataset *data = NULL;
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "t.csv", "path,label\n/elsewhere/a.pgm,x\nC:\\me\\b.pgm,y\ngone/e.pgm,z\n");
    snprintf(name, sizeof name, "t.csv,root=%s", folder);
    expect_failure(folder, name, "line 4: no image gone/e.pgm");
    snprintf(spec, sizeof spec, "csv:%s/t.csv,root=%s", folder, folder);
    assert_int_equal(cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, &skip, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 2);
    assert_int_equal(cn_dataset_skipped(data), 1);
    expect_remark(data, "t.csv/gone/e.pgm: cannot be opened");
    cn_dataset_free(data);
    remove_tree(folder);
}

/* Other parts have the same columns, in whatever order. */
static void parts_have_the_same_columns(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_images(folder);
    put_text(folder, "train.csv", "path,x,y\na.pgm,1,2.5\nb.pgm,3,4\n");
    put_text(folder, "test.csv", "y,path,x\n7,c.pgm,8\n");
    cn_dataset *data = expect_set(folder, "train.csv", CN_SUBSET_TEST);
    expect_targets(data, CN_TASK_REGRESSION, "x,y", 1, (float[]){8, 7});
    cn_dataset_free(data);
    put_text(folder, "test.csv", "z,path,x\n7,c.pgm,8\n");
    expect_failure(folder, "train.csv", "expected the 2 columns of the other part, found 1");
    put_text(folder, "test.csv", "path,width,height\nc.pgm,8,8\n");
    data = expect_set(folder, "train.csv", CN_SUBSET_TRAIN);
    assert_non_null(strstr(cn_dataset_remarks(data), "test.csv, which has no labels"));
    cn_dataset_free(data);
    remove_tree(folder);
}

/* ---- What does not fit */

static void tasks_do_not_mix(void **state)
{
    static const float x[2][2] = {{1, 2}, {3, 4}}, binary[2][2] = {{1, 0}, {0, 1}};
    (void)state;
    cn_dataset *labels = make_set(CN_TASK_MULTI_LABEL, 2, x[0], binary[0]);
    cn_dataset *numbers = make_set(CN_TASK_REGRESSION, 2, x[0], x[0]), *none = NULL;
    cn_model *m = NULL, *other = NULL;
    cn_metrics metrics;
    cn_error err = {CN_OK, ""};
    int rank;
    assert_int_equal(cn_model_parse(&m, "dense 2", (int[]){1, 2, 1}, 2, 1, &err), CN_OK);
    assert_int_equal(cn_fit(m, labels, NULL, NULL, &err), CN_ERR_SHAPE);
    assert_says(err, "want a sigmoid at the end; the model ends in softmax");
    assert_int_equal(cn_fit(m, numbers, NULL, NULL, &err), CN_ERR_SHAPE);
    assert_says(err, "want no softmax at the end");
    assert_int_equal(cn_model_task(m), CN_TASK_CLASSIFICATION);
    assert_int_equal(cn_dataset_match_classes(numbers, m, &err), CN_ERR_ARGUMENT);
    assert_says(err, "the model gives a class per image, the data have numbers");
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){2, 1, 2, 1}, (void *)(uintptr_t)x[0]);
    cn_tensor T = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){2, 2}, (void *)(uintptr_t)x[0]);
    assert_int_equal(cn_dataset_create_targets(&none, CN_TASK_MULTI_LABEL, &X, &T, NULL, &err),
                     CN_ERR_FORMAT);
    assert_says(err, "image 0: target 1 is 2, expected 0 or 1");
    cn_model_free(m);

    /* Another task gets another end. */
    assert_int_equal(cn_model_parse_task(&m, "dense 3, relu, dense classes", (int[]){1, 2, 1}, 4,
                                         CN_TASK_CLASSIFICATION, 1, &err),
                     CN_OK);
    assert_int_equal(cn_model_adapt(&other, m, (int[]){1, 2, 1}, 2, 1, &err), CN_OK);
    assert_int_equal(cn_fit(other, numbers, NULL, NULL, &err), CN_ERR_SHAPE);
    cn_model_free(other);
    assert_int_equal(cn_evaluate_columns(m, labels, NULL, &metrics, &(cn_column_metrics){0}, &err),
                     CN_ERR_SHAPE);
    assert_non_null(cn_model_output_shape(m, &rank));
    cn_model_free(m);

    m = make_identity(CN_TASK_REGRESSION);
    assert_int_equal(
        cn_evaluate(m, numbers, &(cn_evaluate_opts){.tta = CN_TTA_MIRROR}, &metrics, NULL, &err),
        CN_ERR_ARGUMENT);
    assert_says(err, "nor for several labels or numbers");
    cn_model_free(m);
    cn_dataset_free(labels);
    cn_dataset_free(numbers);
}

/* Labels in another order go to their places; what the model lacks is refused. */
static void labels_are_matched_by_name(void **state)
{
    static const float x[2][2] = {{1, 2}, {3, 4}}, binary[2][2] = {{1, 0}, {1, 1}};
    (void)state;
    cn_dataset *data = make_set(CN_TASK_MULTI_LABEL, 2, x[0], binary[0]);
    cn_model *m = make_identity(CN_TASK_MULTI_LABEL);
    cn_error err = {CN_OK, ""};
    const char *turned[] = {"right", "left"}, *other[] = {"left", "top"};
    assert_int_equal(cn_model_set_classes(m, 2, turned, &err), CN_OK);
    if (cn_dataset_match_classes(data, m, &err) != CN_OK) fail_msg("%s", err.text);
    expect_targets(data, CN_TASK_MULTI_LABEL, "right,left", 2, (float[]){0, 1, 1, 1});
    assert_int_equal(cn_model_set_classes(m, 2, other, &err), CN_OK);
    assert_int_equal(cn_dataset_match_classes(data, m, &err), CN_ERR_ARGUMENT);
    assert_says(err, "the data have the label right, which the model does not have");
    cn_model_free(m);
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_judged),
        cmocka_unit_test(undefined_figures_are_left_out),
        cmocka_unit_test(thresholds_have_the_best_f1),
        cmocka_unit_test(numbers_are_judged),
        cmocka_unit_test(numbers_are_learned),
        cmocka_unit_test(labels_are_learned),
        cmocka_unit_test(columns_of_0_and_1_are_labels),
        cmocka_unit_test(labels_stand_between_bars),
        cmocka_unit_test(columns_of_numbers_are_learned),
        cmocka_unit_test(rows_with_a_single_1_are_classes),
        cmocka_unit_test(numbers_of_rows_are_not_learned),
        cmocka_unit_test(labels_come_in_many_forms),
        cmocka_unit_test(files_of_a_table_may_have_moved),
        cmocka_unit_test(parts_have_the_same_columns),
        cmocka_unit_test(tasks_do_not_mix),
        cmocka_unit_test(labels_are_matched_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

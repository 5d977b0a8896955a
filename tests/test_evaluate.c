/* test_evaluate.c - what is measured is what was trained, and nothing is made of NaN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convnet.h"
#include "files.h"

#include <math.h>

static const int shape[3] = {8, 8, 1};

static cn_model *make_model(const char *text)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, text, shape, 10, 1, &err) != CN_OK) fail_msg("%s", err.text);
    return model;
}

static cn_dataset *digits(void)
{
    cn_dataset *data = NULL;
    cn_error err;
    if (cn_dataset_load(&data, "digits", CN_SUBSET_TEST, NULL, &err) != CN_OK)
        fail_msg("%s", err.text);
    return data;
}

/* The mean loss of a model over the set, from its outputs and the formula. */
static double loss_by_hand(cn_model *model, const cn_dataset *data, cn_loss_kind kind)
{
    int n = cn_dataset_size(data);
    double sum = 0;
    cn_session *session = NULL;
    cn_error err;
    assert_int_equal(cn_session_create(&session, model, &(cn_session_opts){.batch = 1}, &err),
                     CN_OK);
    for (int i = 0; i < n; i++) {
        float x[64];
        int32_t label;
        cn_tensor Y = {0}, X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 8, 8, 1}, x);
        cn_dataset_batch(data, &i, 1, NULL, NULL, x, &label, NULL);
        assert_int_equal(cn_session_predict(session, &X, &Y, &err), CN_OK);
        const float *y = Y.data;
        for (int j = 0; j < 10; j++) {
            double hat = (double)y[j], truth = j == label;
            if (kind == CN_LOSS_CROSS_ENTROPY)
                sum -= truth * log(hat);
            else if (kind == CN_LOSS_BINARY_CROSS_ENTROPY)
                sum -= (truth * log(hat) + (1 - truth) * log(1 - hat)) / 10;
            else
                sum += (hat - truth) * (hat - truth) / 10;
        }
        cn_tensor_free(&Y);
    }
    cn_session_free(session);
    return sum / n;
}

static void close_to(double found, double expected)
{
    /* Float32 outputs, and logits that the fused loss does not round. */
    if (!(fabs(found - expected) < 1e-5 * fabs(expected)))
        fail_msg("found %.9g, expected %.9g", found, expected);
}

/* Trains with a loss; validation, evaluation, the saved model and views measure the same one. */
static void check_loss(const char *text, cn_loss_kind kind, cn_loss_kind usual)
{
    char folder[FILES_PATH], path[FILES_PATH];
    cn_model *model = make_model(text), *saved = NULL;
    cn_dataset *data = digits();
    cn_progress last;
    cn_metrics metrics;
    cn_error err;
    cn_fit_opts opts = {.epochs = 2, .threads = 1, .valid = data, .loss.kind = kind};
    if (cn_fit(model, data, &opts, &last, &err) != CN_OK) fail_msg("%s", err.text);
    double expected = loss_by_hand(model, data, kind);
    close_to(last.valid_loss, expected);
    assert_int_equal(
        cn_evaluate(model, data, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, &err), CN_OK);
    close_to(metrics.loss, expected);

    files_make_folder(folder);
    files_join(path, folder, "model.safetensors");
    assert_int_equal(cn_model_save(model, path, &err), CN_OK);
    assert_int_equal(cn_model_load(&saved, path, &err), CN_OK);
    files_remove_folder(folder);
    assert_int_equal(
        cn_evaluate(saved, data, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, &err), CN_OK);
    close_to(metrics.loss, expected);
    cn_evaluate_opts other = {.threads = 1, .loss = usual};
    assert_int_equal(cn_evaluate(saved, data, &other, &metrics, NULL, &err), CN_OK);
    close_to(metrics.loss, loss_by_hand(saved, data, usual));
    /* Views change little, and another loss by far more. */
    other = (cn_evaluate_opts){.threads = 1, .tta = CN_TTA_MIRROR, .loss = kind};
    assert_int_equal(cn_evaluate(saved, data, &other, &metrics, NULL, &err), CN_OK);
    double asked = metrics.loss;
    other.loss = CN_LOSS_DEFAULT;
    assert_int_equal(cn_evaluate(saved, data, &other, &metrics, NULL, &err), CN_OK);
    assert_true(metrics.loss == asked);
    other.loss = usual;
    assert_int_equal(cn_evaluate(saved, data, &other, &metrics, NULL, &err), CN_OK);
    assert_true(metrics.loss != asked);
    cn_model_free(model);
    cn_model_free(saved);
    cn_dataset_free(data);
}

static void the_loss_measured_is_the_one_trained(void **state)
{
    (void)state;
    check_loss("dense 10", CN_LOSS_MEAN_SQUARED_ERROR, CN_LOSS_CROSS_ENTROPY);
    check_loss("dense 10", CN_LOSS_BINARY_CROSS_ENTROPY, CN_LOSS_CROSS_ENTROPY);
    check_loss("dense 10, sigmoid", CN_LOSS_MEAN_SQUARED_ERROR, CN_LOSS_BINARY_CROSS_ENTROPY);
}

/* ---- numbers that are not finite */

static void set_first(cn_model *model, const char *name, float value)
{
    cn_parameter p;
    for (int i = 0; cn_model_parameter(model, i, &p); i++)
        if (strcmp(p.name, name) == 0) {
            *(float *)p.value.data = value;
            return;
        }
    fail_msg("no parameter %s", name);
}

/* Predicting and evaluating give an error with these words. */
static void expect_error(cn_model *model, float pixel, const char *words)
{
    cn_dataset *data = digits();
    cn_session *session = NULL;
    cn_metrics metrics;
    cn_tensor X = {0}, Y = {0};
    cn_error err;
    cn_session_opts opts = {.batch = 2, .threads = 1};
    assert_int_equal(cn_session_create(&session, model, &opts, &err), CN_OK);
    assert_int_equal(cn_tensor_create(&X, CN_DTYPE_F32, 4, (int[]){3, 8, 8, 1}, &err), CN_OK);
    for (int i = 0; i < 3 * 64; i++) ((float *)X.data)[i] = 0.5F;
    ((float *)X.data)[2 * 64] = pixel;
    assert_int_equal(cn_session_predict(session, &X, &Y, &err), CN_ERR_DIVERGED);
    if (!strstr(err.text, words)) fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    assert_null(Y.data);
    for (cn_tta tta = CN_TTA_NONE; isfinite(pixel) && tta <= CN_TTA_SHIFT; tta++) {
        cn_evaluate_opts with = {.threads = 1, .tta = tta};
        assert_int_equal(cn_evaluate(model, data, &with, &metrics, NULL, &err), CN_ERR_DIVERGED);
        if (!strstr(err.text, words)) fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    }
    cn_tensor_free(&X);
    cn_session_free(session);
    cn_dataset_free(data);
}

static void nothing_is_made_of_nan(void **state)
{
    static const char text[] = "conv 4 3x3 same, batchnorm, relu, conv 4 3x3, maxpool 2, dense 10";
    static const struct {
        const char *parameter, *error;
        float value;
    } cases[] = {
        {"conv2d_1.weight", "the first NaN is in conv2d_1.weight (1 of 36 numbers)", NAN},
        {"batch_norm_1.running_var", "the first NaN is in batch_norm_1.running_var (1 of 4", NAN},
        {"conv2d_2.bias", "the first infinity is in conv2d_2.bias (1 of 4 numbers)", INFINITY},
        {"dense_1.bias", "the first NaN is in dense_1.bias (1 of 10 numbers)", NAN},
        /* Finite weights whose sums are not. */
        {"conv2d_2.bias", "is in the output of dense_1", 3e38F},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *model = make_model(text);
        cn_parameter p;
        for (int k = 0; cases[i].value == 3e38F && cn_model_parameter(model, k, &p); k++)
            if (strcmp(p.name, "dense_1.weight") == 0)
                for (size_t j = 0; j < cn_tensor_count(&p.value); j++)
                    ((float *)p.value.data)[j] = 100;
        set_first(model, cases[i].parameter, cases[i].value);
        expect_error(model, 0.5F, cases[i].error);
        cn_model_free(model);
    }
    cn_model *model = make_model(text);
    expect_error(model, NAN, "predict: the output is not finite; the first NaN is in the images");
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_measured_is_the_one_trained),
        cmocka_unit_test(nothing_is_made_of_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_averages.c - normalizations of single values are refused, or such a batch is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convnet.h"

#include <string.h>

static cn_model *model_of(const char *text)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, text, (int[]){8, 8, 1}, 10, 1, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

#define ONE_VALUE "conv 4 3x3, gap, batchnorm, dense 10"

static void planning_refuses(void **state)
{
    static const struct {
        const char *text;
        int batch;
        const char *error;
    } cases[] = {
        {ONE_VALUE, 1, "session: batch_norm_1: one value per channel in a batch of 1"},
        {"conv 4 8x8, batchnorm, dense 10", 1, "session: batch_norm_1: one value per channel"},
        {ONE_VALUE, 2, NULL},
        {"conv 4 7x7, batchnorm, dense 10", 1, NULL},
        {"conv 4 3x3, gap, groupnorm 4, dense 10", 8,
         "session: group_norm_1: a mean over a single value"},
        {"conv 4 3x3, gap, groupnorm 2, dense 10", 1, NULL},
        {"conv 1 3x3, layernorm, dense 10", 8, "session: layer_norm_1: a mean over a single value"},
        {"conv 1 3x3, layernorm all_axes, dense 10", 1, NULL},
        {"conv 1 3x3, gap, layernorm all_axes, dense 10", 4, "session: layer_norm_1: a mean over"},
        {"conv 2 3x3, gap, layernorm, dense 10", 1, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *model = model_of(cases[i].text);
        cn_session *session = NULL;
        cn_error err;
        cn_session_opts opts = {.batch = cases[i].batch, .training = true, .threads = 1};
        cn_status status = cn_session_create(&session, model, &opts, &err);
        assert_int_equal(status, cases[i].error ? CN_ERR_ARGUMENT : CN_OK);
        if (cases[i].error && !strstr(err.text, cases[i].error)) fail_msg("%s", err.text);
        cn_session_free(session);
        /* Predicting takes what has been gathered. */
        session = NULL;
        opts = (cn_session_opts){.batch = 1, .threads = 1};
        assert_int_equal(cn_session_create(&session, model, &opts, &err), CN_OK);
        cn_session_free(session);
        cn_model_free(model);
    }
}

static void a_smaller_forward_is_refused(void **state)
{
    cn_model *model = model_of(ONE_VALUE);
    cn_session *session = NULL;
    cn_error err;
    float x[2 * 64] = {0};
    cn_session_opts opts = {.batch = 2, .training = true, .threads = 1};
    (void)state;
    assert_int_equal(cn_session_create(&session, model, &opts, &err), CN_OK);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 8, 8, 1}, x);
    assert_int_equal(cn_session_forward(session, &X, &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "forward: batch_norm_1: one value per channel"));
    X.shape[0] = 2;
    assert_int_equal(cn_session_forward(session, &X, &err), CN_OK);
    cn_session_free(session);
    cn_model_free(model);
}

typedef struct seen {
    int steps;
} seen;

static bool count_steps(const cn_progress *p, void *user)
{
    ((seen *)user)->steps = p->steps;
    return false;
}

/* Of `size` images in batches of `batch`, so many steps. */
static void expect_steps(const char *text, int size, int batch, int steps)
{
    cn_model *model = model_of(text);
    cn_dataset *all = NULL, *data = NULL;
    cn_error err;
    seen found = {0};
    cn_fit_opts opts = {.epochs = 2,
                        .batch = batch,
                        .threads = 1,
                        .seed = 3,
                        .progress = count_steps,
                        .user = &found};
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TEST, NULL, &err), CN_OK);
    assert_int_equal(cn_dataset_slice(&data, all, 0, size, &err), CN_OK);
    if (cn_fit(model, data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(found.steps, steps);
    cn_parameter p;
    for (int i = 0; cn_model_parameter(model, i, &p); i++)
        for (size_t k = 0; strstr(p.name, "running_var") && k < cn_tensor_count(&p.value); k++)
            assert_true(((float *)p.value.data)[k] > 0);
    cn_model_free(model);
    cn_dataset_free(data);
    cn_dataset_free(all);
}

static void a_last_batch_of_one_is_left_out(void **state)
{
    (void)state;
    expect_steps(ONE_VALUE, 21, 5, 4);
    expect_steps(ONE_VALUE, 22, 5, 5);
    expect_steps(ONE_VALUE, 20, 5, 4);
    expect_steps("conv 4 3x3, batchnorm, gap, dense 10", 21, 5, 5);
    cn_model *model = model_of(ONE_VALUE);
    cn_dataset *all = NULL, *data = NULL;
    cn_error err;
    cn_fit_opts opts = {.batch = 1};
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TEST, NULL, &err), CN_OK);
    assert_int_equal(cn_dataset_slice(&data, all, 0, 9, &err), CN_OK);
    assert_int_equal(cn_fit(model, data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "one value per channel"));
    cn_model_free(model);
    cn_dataset_free(data);
    cn_dataset_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planning_refuses),
        cmocka_unit_test(a_smaller_forward_is_refused),
        cmocka_unit_test(a_last_batch_of_one_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

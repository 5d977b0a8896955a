/* cn_gradcheck finds right gradients right, and wrong ones wrong, in the engine and in a twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "layers/loss.h"
#include "model/gradcheck.h"

/* Differences of the loss in double are good to about 1e-9, a float32 gradient to about 1e-6. */
static const double TWIN_GOOD = 1e-6, ENGINE_GOOD = 1e-4, WRONG = 1e-2;

static cn_model *parse(const char *text, int h, int w, int c)
{
    cn_model *m = NULL;
    cn_error err = {0};
    int shape[3] = {h, w, c};
    if (cn_model_parse(&m, text, shape, 10, 1, &err) != CN_OK) fail_msg("%s: %s", text, err.text);
    return m;
}

static cn_gradcheck_row check(cn_model *m, cn_gradcheck_opts opts)
{
    cn_gradcheck_row worst = {0};
    cn_error err = {0};
    if (cn_gradcheck(m, &opts, &worst, &err) != CN_OK) fail_msg("%s", err.text);
    return worst;
}

static void right_gradients_pass(void **state)
{
    static const struct {
        const char *text;
        int h, w, c;
        cn_loss_kind loss;
    } models[] = {
        {"lenet5", 28, 28, 1, CN_LOSS_DEFAULT},
        {"conv 4 3x3 stride 2, relu, maxpool 2, dense 7, tanh, dense 5", 9, 11, 3, CN_LOSS_DEFAULT},
        {"conv 4 3 same, avgpool 3 stride 2, sigmoid", 8, 8, 2, CN_LOSS_DEFAULT},
        {"maxpool 3 stride 1, relu, dense 4, softmax", 6, 6, 2, CN_LOSS_MEAN_SQUARED_ERROR},
        {"relu, flatten, dense 4, sigmoid", 5, 5, 2, CN_LOSS_CROSS_ENTROPY},
        {"conv 3 2 same, softmax", 5, 5, 2, CN_LOSS_CROSS_ENTROPY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        cn_model *m = parse(models[i].text, models[i].h, models[i].w, models[i].c);
        cn_gradcheck_row worst =
            check(m, (cn_gradcheck_opts){.samples = 20, .loss = models[i].loss});
        if (!(worst.twin_error < TWIN_GOOD && worst.engine_error < ENGINE_GOOD))
            fail_msg("%s: twin_error %g, engine_error %g at %s", models[i].text, worst.twin_error,
                     worst.engine_error, worst.name);
        assert_true(worst.checked >= 20);
        cn_model_free(m);
    }
}

/* ---- a row a tensor, the same ones for the same seed */

typedef struct seen {
    int n;
    cn_gradcheck_row rows[8];
} seen;

static void keep_row(const cn_gradcheck_row *row, void *user)
{
    seen *s = user;
    assert_true(s->n < 8);
    s->rows[s->n++] = *row;
}

static void rows_are_deterministic(void **state)
{
    cn_model *m = parse("conv 2 3x3, relu, dense 3 no_bias", 6, 6, 1);
    seen once = {0}, again = {0}, other = {0};
    (void)state;
    check(m, (cn_gradcheck_opts){.samples = 10, .seed = 7, .row = keep_row, .user = &once});
    check(m, (cn_gradcheck_opts){.samples = 10, .seed = 7, .row = keep_row, .user = &again});
    check(m, (cn_gradcheck_opts){.samples = 10, .seed = 8, .row = keep_row, .user = &other});
    assert_int_equal(once.n, 4);
    assert_string_equal(once.rows[0].name, "conv2d_1.weight");
    assert_string_equal(once.rows[1].name, "conv2d_1.bias");
    assert_string_equal(once.rows[2].name, "dense_1.weight");
    assert_string_equal(once.rows[3].name, "input");
    assert_int_equal(once.rows[0].checked, 10);
    assert_int_equal(once.rows[1].checked, 2); /* that is all it has */
    for (int i = 0; i < once.n; i++) {
        assert_true(once.rows[i].twin_error == again.rows[i].twin_error);
        assert_true(once.rows[i].engine_error == again.rows[i].engine_error);
    }
    assert_true(once.rows[0].twin_error != other.rows[0].twin_error);
    cn_model_free(m);
}

/* ---- wrong gradients */

/* A tanh whose backward forgets the derivative, and one that is a little off. */
static void forgetful_backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    memmove(call->dx[0], call->dy, n * sizeof(float));
}

static void inexact_backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    float *dx = call->dx[0];
    cn_activation_cpu.backward(call);
    dx[n - 1] *= 1.05f;
}

/* The CPU's functions, but for the backward of tanh. */
static const cn_layer_ops *forgetful_ops(const cn_layer_type *type)
{
    static cn_layer_ops ops;
    ops = cn_activation_cpu;
    ops.backward = forgetful_backward;
    return strcmp(type->name, "tanh") == 0 ? &ops : cn_layer_cpu_ops(type);
}

static const cn_layer_ops *inexact_ops(const cn_layer_type *type)
{
    static cn_layer_ops ops;
    ops = cn_activation_cpu;
    ops.backward = inexact_backward;
    return strcmp(type->name, "tanh") == 0 ? &ops : cn_layer_cpu_ops(type);
}

static cn_gradcheck_row check_tanh(const cn_layer_ops *(*ops)(const cn_layer_type *type))
{
    cn_backend backend = cn_cpu_backend;
    cn_gradcheck_row worst;
    cn_error err = {0};
    cn_model *m = NULL;
    backend.ops = ops;
    assert_int_equal(cn_model_create(&m, (int[]){4, 4, 2}, &err), CN_OK);
    cn_node x = cn_input(m);
    x = cn_tanh(m, x);
    x = cn_dense(m, x, &(cn_dense_opts){.units = 3});
    assert_int_equal(cn_model_finish(m, x, 1, &err), CN_OK);
    assert_int_equal(cn_gradcheck_on(m, NULL, &backend, &worst, &err), CN_OK);
    cn_model_free(m);
    return worst;
}

static void a_wrong_engine_is_found(void **state)
{
    (void)state;
    assert_true(check_tanh(cn_layer_cpu_ops).engine_error < ENGINE_GOOD);
    assert_true(check_tanh(forgetful_ops).engine_error > WRONG);
    assert_true(check_tanh(inexact_ops).engine_error > WRONG);
    assert_true(check_tanh(forgetful_ops).twin_error < TWIN_GOOD); /* no fault of the twin's */
    assert_string_equal(check_tanh(inexact_ops).name, "input");
}

/* A twin of this model, forward and backward done, ready for differences. */
static cn_twin_model *run_twin(const cn_model *m, const double *target)
{
    cn_twin_model *t = NULL;
    cn_error err = {0};
    assert_int_equal(cn_twin_model_create(&t, m, 1, &err), CN_OK);
    for (size_t i = 0; i < t->layers[0].count; i++) t->layers[0].y[i] = sin((double)i + 1);
    cn_twin_model_forward(t, 0, 0);
    cn_twin_model_loss(t, CN_LOSS_MEAN_SQUARED_ERROR, target, true);
    cn_twin_model_backward(t);
    return t;
}

static void a_wrong_twin_is_found(void **state)
{
    const double target[4] = {0.5, -0.25, 1, 2};
    cn_model *m = parse("conv 2 3x3, tanh, dense 4, softmax", 5, 5, 1);
    cn_twin_model *t = run_twin(m, target);
    (void)state;
    for (int i = 0; i < m->layer_count; i++)
        for (int j = 0; j < (i ? m->layers[i].parameter_count : 1); j++) {
            size_t n = i ? cn_shape_count(&m->layers[i].parameters[j].shape) : t->layers[0].count;
            cn_twin_array array = {"one of them",
                                   i,
                                   n,
                                   i ? t->layers[i].w[j] : t->layers[0].y,
                                   i ? t->layers[i].dw[j] : t->layers[0].dy,
                                   0};
            double before = array.value[n / 2], scale = cn_gradient_scale(n, array.gradient);
            size_t checked;
            assert_true(cn_gradcheck_differences(t, &array, CN_LOSS_MEAN_SQUARED_ERROR, target,
                                                 1000, 1, &checked) < TWIN_GOOD);
            assert_int_equal(checked, n);
            assert_true(array.value[n / 2] == before);
            array.gradient[n / 2] += 0.05 * scale;
            assert_true(cn_gradcheck_differences(t, &array, CN_LOSS_MEAN_SQUARED_ERROR, target,
                                                 1000, 1, &checked) > WRONG);
            array.gradient[n / 2] = NAN;
            assert_true(isinf(cn_gradcheck_differences(t, &array, CN_LOSS_MEAN_SQUARED_ERROR,
                                                       target, 1000, 1, &checked)));
            array.gradient[n / 2] = 0;
        }
    cn_twin_model_free(t);
    cn_model_free(m);
}

/* ---- kinks */

/* An element on the kink has no derivative, one beside it has, with a smaller step. */
static void kinks_are_stepped_around(void **state)
{
    cn_error err = {0};
    cn_model *m = NULL;
    const double target[4] = {1, 1, 1, 1};
    size_t checked;
    (void)state;
    assert_int_equal(cn_model_create(&m, (int[]){1, 4, 1}, &err), CN_OK);
    assert_int_equal(cn_model_finish(m, cn_relu(m, cn_input(m)), 1, &err), CN_OK);
    cn_twin_model *t = run_twin(m, target);
    cn_twin_layer *input = &t->layers[0];
    input->y[0] = 0, input->y[1] = 1e-6, input->y[2] = -1e-6, input->y[3] = 3;
    cn_twin_model_forward(t, 0, 1e-5);
    assert_int_equal(t->layers[1].decisions.near, 2);
    cn_twin_model_loss(t, CN_LOSS_MEAN_SQUARED_ERROR, target, true);
    cn_twin_model_backward(t);
    cn_twin_array array = {"input", 0, 4, input->y, input->dy, 0};
    assert_true(cn_gradcheck_differences(t, &array, CN_LOSS_MEAN_SQUARED_ERROR, target, 64, 1,
                                         &checked) < TWIN_GOOD);
    assert_int_equal(checked, 3);
    cn_twin_model_free(t);
    cn_model_free(m);
}

/* A maximum that another element has just overtaken. */
static void ties_are_stepped_around(void **state)
{
    cn_error err = {0};
    cn_model *m = NULL;
    const double target[2] = {0, 0};
    size_t checked;
    (void)state;
    assert_int_equal(cn_model_create(&m, (int[]){1, 4, 1}, &err), CN_OK);
    cn_node x = cn_max_pool(m, cn_input(m), &(cn_pool_opts){.size = {1, 2}});
    assert_int_equal(cn_model_finish(m, x, 1, &err), CN_OK);
    cn_twin_model *t = run_twin(m, target);
    cn_twin_layer *input = &t->layers[0];
    input->y[0] = input->y[1] = 2;           /* a tie: neither has a derivative */
    input->y[2] = 1, input->y[3] = 1 + 1e-6; /* nearly one */
    cn_twin_model_forward(t, 0, 1e-5);
    assert_int_equal(t->layers[1].decisions.near, 1);
    cn_twin_model_loss(t, CN_LOSS_MEAN_SQUARED_ERROR, target, true);
    cn_twin_model_backward(t);
    cn_twin_array array = {"input", 0, 4, input->y, input->dy, 0};
    assert_true(cn_gradcheck_differences(t, &array, CN_LOSS_MEAN_SQUARED_ERROR, target, 64, 1,
                                         &checked) < TWIN_GOOD);
    assert_int_equal(checked, 2);
    cn_twin_model_free(t);
    cn_model_free(m);
}

static void errors_are_relative_but_not_to_dust(void **state)
{
    (void)state;
    assert_true(fabs(cn_gradient_error(1.0, 1.01, 0.1) - 0.01 / 1.01) < 1e-9);
    assert_true(cn_gradient_error(1e-9, 2e-9, 1) < 1e-8); /* tiny beside its neighbors */
    assert_true(cn_gradient_error(0, 1e-14, 0) < 1e-3);   /* all zero but for rounding */
    assert_true(cn_gradient_error(0, 0, 0) == 0);
    assert_true(isinf(cn_gradient_error(NAN, 1, 1)));
    const double g[2] = {3, 4};
    assert_true(fabs(cn_gradient_scale(2, g) - sqrt(12.5)) < 1e-15);
}

static void bad_arguments_are_refused(void **state)
{
    cn_error err = {0};
    cn_model *m = parse("relu, dense 3", 4, 4, 1), *open = NULL;
    cn_gradcheck_row worst = {.checked = 99};
    (void)state;
    assert_int_equal(cn_gradcheck(NULL, NULL, &worst, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_create(&open, (int[]){4, 4, 1}, &err), CN_OK);
    assert_int_equal(cn_gradcheck(open, NULL, &worst, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_gradcheck(m, &(cn_gradcheck_opts){.batch = -1}, &worst, &err),
                     CN_ERR_ARGUMENT);
    assert_int_equal(cn_gradcheck(m, &(cn_gradcheck_opts){.samples = -1}, &worst, &err),
                     CN_ERR_ARGUMENT);
    assert_int_equal(cn_gradcheck(m, &(cn_gradcheck_opts){.loss = (cn_loss_kind)17}, &worst, &err),
                     CN_ERR_ARGUMENT);
    assert_int_equal(worst.checked, 99);
    assert_int_equal(cn_gradcheck(m, NULL, NULL, NULL), CN_OK);
    cn_model_free(open);
    /* The logarithm of a ReLU's zero. */
    cn_model_free(m);
    assert_int_equal(cn_model_create(&m, (int[]){4, 4, 3}, &err), CN_OK);
    assert_int_equal(cn_model_finish(m, cn_relu(m, cn_input(m)), 1, &err), CN_OK);
    assert_int_equal(
        cn_gradcheck(m, &(cn_gradcheck_opts){.loss = CN_LOSS_CROSS_ENTROPY}, &worst, &err),
        CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "relu_1"));
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_gradients_pass),
        cmocka_unit_test(rows_are_deterministic),
        cmocka_unit_test(a_wrong_engine_is_found),
        cmocka_unit_test(a_wrong_twin_is_found),
        cmocka_unit_test(kinks_are_stepped_around),
        cmocka_unit_test(ties_are_stepped_around),
        cmocka_unit_test(errors_are_relative_but_not_to_dust),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("gradcheck", tests, NULL, NULL);
}

/* Trouble: the first NaN or infinity of a step is named, whichever array it is in. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/math.h"
#include "files.h"
#include "model/model.h"
#include "model/nonfinite.h"
#include "train/train.h"

enum { M = 3, SIDE = 6, CLASSES = 4 };

/* A session after a forward, and what it ran. */
typedef struct step {
    cn_model *model;
    cn_session *session;
    float x[M * SIDE * SIDE];
    int32_t labels[M];
    cn_tensor X, Y;
} step;

static void begin(step *s, const char *layers)
{
    cn_error err;
    if (cn_model_parse(&s->model, layers, (int[]){SIDE, SIDE, 1}, CLASSES, 1, &err) != CN_OK)
        fail_msg("%s", err.text);
    cn_session_opts opts = {.batch = M, .training = true, .threads = 2, .input_gradient = true};
    assert_int_equal(cn_session_create(&s->session, s->model, &opts, NULL), CN_OK);
    for (int i = 0; i < M * SIDE * SIDE; i++) s->x[i] = 0.1f * (float)(i % 7);
    for (int i = 0; i < M; i++) s->labels[i] = i;
    s->X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){M, SIDE, SIDE, 1}, s->x);
    s->Y = cn_tensor_view(CN_DTYPE_I32, 1, (int[]){M}, s->labels);
}

static void end(step *s)
{
    cn_session_free(s->session);
    cn_model_free(s->model);
}

static cn_nonfinite find(step *s)
{
    cn_nonfinite found = {.index = 77};
    assert_int_equal(cn_session_forward(s->session, &s->X, NULL), CN_OK);
    assert_int_equal(cn_session_find_nonfinite(s->session, &s->Y, &found, NULL), CN_OK);
    return found;
}

static const char layers[] = "conv 3 3x3 same, relu, maxpool 2, dense 5, tanh, dense classes";

static void counts_every_kind_at_every_place(void **state)
{
    (void)state;
    enum { N = 10000 };
    static float x[N];
    bool nan = false;
    for (int i = 0; i < N; i++) x[i] = i % 2 ? 3.4e38f : -1e-45f;
    assert_int_equal(cn_count_not_finite(N, x, &nan), 0);
    for (int i = 0; i < N; i += 97) {
        float before = x[i];
        x[i] = i % 3 ? INFINITY : -INFINITY;
        assert_int_equal(cn_count_not_finite(N, x, &nan), 1);
        assert_false(nan);
        x[i] = i % 3 ? NAN : -NAN;
        assert_int_equal(cn_count_not_finite(N, x, &nan), 1);
        assert_true(nan);
        nan = false;
        x[i] = before;
    }
    assert_int_equal(cn_count_not_finite(0, x, NULL), 0);
    for (int i = 0; i < N; i++) x[i] = NAN;
    assert_int_equal(cn_count_not_finite(N, x, NULL), N);
}

static void finds_nothing_where_nothing_is(void **state)
{
    (void)state;
    step s;
    begin(&s, layers);
    assert_null(find(&s).layer);
    end(&s);
}

static void names_the_first_array_of_all(void **state)
{
    (void)state;
    static const struct {
        const char *parameter; /* NULL: a pixel */
        float value;
        const char *layer, *what;
        bool nan;
    } cases[] = {
        {NULL, NAN, "input", "the images", true},
        {NULL, INFINITY, "input", "the images", false},
        {"conv2d_1.bias", NAN, "conv2d_1", "conv2d_1.bias", true},
        {"dense_2.weight", INFINITY, "dense_2", "dense_2.weight", false},
        {"dense_1.weight", 3e38f, "dense_1", "the output of dense_1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        step s;
        cn_parameter p;
        begin(&s, layers);
        if (!cases[i].parameter) s.x[40] = cases[i].value;
        for (int k = 0; cases[i].parameter && cn_model_parameter(s.model, k, &p); k++)
            for (size_t j = 0; strcmp(p.name, cases[i].parameter) == 0 && j < 8; j++)
                if (j < cn_tensor_count(&p.value)) ((float *)p.value.data)[j] = cases[i].value;
        if (strcmp(cases[i].what, "the output of dense_1") == 0)
            for (int k = 0; k < M * SIDE * SIDE; k++) s.x[k] *= 1000;
        cn_nonfinite t = find(&s);
        assert_non_null(t.layer);
        assert_string_equal(t.layer, cases[i].layer);
        assert_string_equal(t.what, cases[i].what);
        assert_int_equal(t.nan, cases[i].nan);
        assert_in_range(t.count, 1, t.elements);
        end(&s);
    }
}

/* tanh'(x) = 1 - y^2 is finite, and so is everything forward: the gradient overflows. */
static void names_a_gradient_that_overflows(void **state)
{
    (void)state;
    step s;
    cn_parameter p;
    begin(&s, "dense 2 no_bias, dense 4 no_bias");
    for (int i = 0; i < M * SIDE * SIDE; i++) s.x[i] = 1e20f;
    for (int k = 0; cn_model_parameter(s.model, k, &p); k++)
        for (size_t j = 0; j < cn_tensor_count(&p.value); j++)
            ((float *)p.value.data)[j] = k == 0 ? 0 : (j % 2 ? 1e20f : -1e20f);
    cn_nonfinite t = find(&s);
    assert_non_null(t.layer);
    assert_string_equal(t.what, "the gradient of dense_1.weight");
    end(&s);
}

/* Who looks and finds nothing has the gradients that loss and backward find. */
static void looking_is_a_loss_and_a_backward(void **state)
{
    (void)state;
    step a, b;
    double loss;
    begin(&a, layers);
    begin(&b, layers);
    for (int i = 0; i < 3; i++) {
        find(&a);
        assert_int_equal(cn_session_step(a.session, 0.1, NULL), CN_OK);
        assert_int_equal(cn_session_forward(b.session, &b.X, NULL), CN_OK);
        assert_int_equal(cn_session_loss(b.session, &b.Y, &loss, NULL), CN_OK);
        assert_int_equal(cn_session_backward(b.session, NULL), CN_OK);
        assert_int_equal(cn_session_step(b.session, 0.1, NULL), CN_OK);
    }
    assert_memory_equal(a.model->block, b.model->block, a.model->block_size * sizeof(float));
    end(&a);
    end(&b);
}

static void what_cannot_be_looked_at_is_refused(void **state)
{
    (void)state;
    step s;
    cn_nonfinite t;
    cn_error err;
    begin(&s, layers);
    assert_int_equal(cn_session_find_nonfinite(s.session, &s.Y, &t, &err), CN_ERR_ARGUMENT);
    assert_says(err, "after cn_session_forward");
    assert_int_equal(cn_session_find_nonfinite(NULL, &s.Y, &t, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_session_forward(s.session, &s.X, NULL), CN_OK);
    assert_int_equal(cn_session_find_nonfinite(s.session, &s.Y, NULL, &err), CN_ERR_ARGUMENT);
    s.labels[1] = CLASSES;
    assert_int_equal(cn_session_find_nonfinite(s.session, &s.Y, &t, &err), CN_ERR_ARGUMENT);
    end(&s);
}

/* ---- through cn_fit */

static bool spoil(const cn_progress *p, void *user)
{
    cn_parameter bias;
    if (p->epoch == 2 && p->step == 2 && !p->epoch_end) {
        assert_true(cn_model_parameter(user, 1, &bias));
        ((float *)bias.value.data)[0] = INFINITY;
        cn_model_weights_changed(user);
    }
    return false;
}

/* tanh swallows an infinity: no loss and no gradient shows it, the epoch's end does. And a
 * checkpoint from before it stays. */
static void an_infinite_weight_that_hides_is_found(void **state)
{
    (void)state;
    char folder[FILES_PATH], file[FILES_PATH];
    cn_dataset *data = NULL;
    cn_model *model = NULL, *kept = NULL;
    cn_error err;
    files_make_folder(folder);
    files_join(file, folder, "a.checkpoint");
    assert_int_equal(cn_dataset_load(&data, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(
        cn_model_parse(&model, "dense 8, tanh, dense classes", (int[]){8, 8, 1}, 10, 1, NULL),
        CN_OK);
    cn_fit_opts opts = {.epochs = 3, .progress = spoil, .user = model, .checkpoint.path = file};
    assert_int_equal(cn_fit(model, data, &opts, NULL, &err), CN_ERR_DIVERGED);
    assert_says(err, "fit: the model became infinite in epoch 2 at step 6 of 6; the first is "
                     "dense_1.bias, 1 of 8 numbers; a learning rate below 0.002");
    assert_int_equal(cn_model_load(&kept, file, &err), CN_OK);
    assert_false(cn_model_find_nonfinite(kept, &(cn_nonfinite){0}));
    cn_model_free(kept);
    cn_model_free(model);
    cn_dataset_free(data);
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_every_kind_at_every_place),
        cmocka_unit_test(finds_nothing_where_nothing_is),
        cmocka_unit_test(names_the_first_array_of_all),
        cmocka_unit_test(names_a_gradient_that_overflows),
        cmocka_unit_test(looking_is_a_loss_and_a_backward),
        cmocka_unit_test(what_cannot_be_looked_at_is_refused),
        cmocka_unit_test(an_infinite_weight_that_hides_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Training: fit does what its head comment says, bit for bit, and evaluate counts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/train.h"

enum { IMAGES = 37, SIDE = 4, BATCH = 8, STEPS = 5 };
static const int shape[3] = {SIDE, SIDE, 1};

/* Images of noise whose upper (class 0) or lower half (class 1) is brighter. */
static cn_dataset *halves(void)
{
    uint8_t pixels[IMAGES * SIDE * SIDE];
    int32_t labels[IMAGES];
    cn_dataset *data = NULL;
    cn_rng rng;
    cn_rng_seed(&rng, 5);
    for (int i = 0; i < IMAGES; i++) {
        labels[i] = (int32_t)cn_rng_randint(&rng, 0, 2);
        for (int k = 0; k < SIDE * SIDE; k++) {
            bool bright = (k >= SIDE * SIDE / 2) == (labels[i] == 1);
            pixels[i * SIDE * SIDE + k] =
                (uint8_t)(cn_rng_randint(&rng, 0, 100) + (bright ? 80 : 0));
        }
    }
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){IMAGES, SIDE, SIDE, 1}, pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 2, NULL), CN_OK);
    return data;
}

static cn_model *network(void)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, "conv 4 3x3 same, relu, maxpool 2, dense classes", shape, 2, 3,
                       &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

/* All parameters, one after the other; the caller frees. */
static float *weights(cn_model *model)
{
    float *all = malloc(cn_model_parameter_elements(model) * sizeof *all), *out = all;
    cn_parameter p;
    assert_non_null(all);
    for (int i = 0; cn_model_parameter(model, i, &p); i++) {
        memcpy(out, p.value.data, cn_tensor_count(&p.value) * sizeof *out);
        out += cn_tensor_count(&p.value);
    }
    return all;
}

static void assert_same_weights(cn_model *a, cn_model *b)
{
    float *x = weights(a), *y = weights(b);
    assert_int_equal(cn_model_parameter_elements(a), cn_model_parameter_elements(b));
    assert_memory_equal(x, y, cn_model_parameter_elements(a) * sizeof *x);
    free(x);
    free(y);
}

/* What cn_fit stands for, without shuffling and at a constant rate: `steps` steps. */
static void train_by_hand(cn_model *model, const cn_dataset *data, int steps, double rate)
{
    cn_session *s = NULL;
    cn_session_opts opts = {.batch = BATCH, .training = true};
    float x[BATCH * SIDE * SIDE];
    int32_t labels[BATCH];
    assert_int_equal(cn_session_create(&s, model, &opts, NULL), CN_OK);
    for (int step = 0; step < steps; step++) {
        int index[BATCH], first = step % STEPS * BATCH, m = 0;
        double loss;
        for (; m < BATCH && first + m < IMAGES; m++) index[m] = first + m;
        cn_dataset_batch(data, index, m, NULL, NULL, x, labels, NULL);
        cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, SIDE, SIDE, 1}, x);
        cn_tensor Y = cn_tensor_view(CN_DTYPE_I32, 1, (int[]){m}, labels);
        assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
        assert_int_equal(cn_session_loss(s, &Y, &loss, NULL), CN_OK);
        assert_int_equal(cn_session_backward(s, NULL), CN_OK);
        assert_int_equal(cn_session_step(s, rate, NULL), CN_OK);
    }
    cn_session_free(s);
}

static void order_depends_on_seed_and_epoch_only(void **state)
{
    enum { N = 100 };
    int a[N], b[N], seen[N] = {0};
    (void)state;
    memset(b, 0xff, sizeof b); /* what was there does not count */
    cn_order_shuffle(1, 2, N, a);
    cn_order_shuffle(1, 2, N, b);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < N; i++) seen[a[i]]++;
    for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    cn_order_shuffle(1, 3, N, b);
    assert_memory_not_equal(a, b, sizeof a);
    cn_order_shuffle(2, 2, N, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void the_largest_output_names_the_class(void **state)
{
    (void)state;
    assert_int_equal(cn_predicted_class((float[]){0.1f, 0.7f, 0.2f}, 3), 1);
    assert_int_equal(cn_predicted_class((float[]){0.4f, 0.2f, 0.4f}, 3), 0);
    assert_int_equal(cn_predicted_class((float[]){0.5f}, 1), 0);
    assert_int_equal(cn_predicted_class((float[]){0.6f}, 1), 1);
    const float y[] = {0.9f, 0.1f, 0.2f, 0.8f, 0.3f, 0.7f};
    cn_tally t = cn_tally_correct(y, 3, 2, (int32_t[]){0, 0, 1});
    assert_int_equal(t.correct, 2);
    assert_int_equal(t.judged, 3);
    t = cn_tally_correct(y, 3, 2, (int32_t[]){0, CN_LABEL_IGNORED, 1});
    assert_int_equal(t.correct, 2);
    assert_int_equal(t.judged, 2);
}

static void fit_is_the_loop_by_hand(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *fitted = network(), *by_hand = network();
    cn_fit_opts opts = {.epochs = 2,
                        .batch = BATCH,
                        .no_shuffle = true,
                        .learning_rate = 0.01,
                        .schedule = {.kind = CN_SCHEDULE_CONSTANT}};
    assert_int_equal(cn_fit(fitted, data, &opts, NULL, NULL), CN_OK);
    train_by_hand(by_hand, data, 2 * STEPS, 0.01);
    assert_same_weights(fitted, by_hand);
    cn_model_free(fitted);
    cn_model_free(by_hand);
    cn_dataset_free(data);
}

static void fit_learns_and_threads_change_no_bit(void **state)
{
    enum { MODELS = 4 };
    (void)state;
    cn_dataset *data = halves();
    cn_model *models[MODELS];
    for (int i = 0; i < MODELS; i++) {
        cn_fit_opts opts = {.epochs = 30,
                            .batch = BATCH,
                            .threads = i + 1,
                            .seed = 9,
                            .learning_rate = 0.01,
                            .augment = {.flip = CN_FLIP_RANDOM}};
        cn_progress last;
        models[i] = network();
        assert_int_equal(cn_fit(models[i], data, &opts, &last, NULL), CN_OK);
        assert_float_equal(last.train_accuracy, 1.0, 0);
        assert_true(last.train_loss < 0.2);
        assert_int_equal(last.epoch, 30);
        assert_true(isnan(last.valid_accuracy));
    }
    for (int i = 1; i < MODELS; i++) assert_same_weights(models[0], models[i]);
    for (int i = 0; i < MODELS; i++) cn_model_free(models[i]);
    cn_dataset_free(data);
}

/* One thread makes its batches in line, several have them made in the background. */
static void augmentation_is_the_same_for_any_threads(void **state)
{
    enum { MODELS = 4 };
    (void)state;
    cn_dataset *data = halves();
    cn_model *models[MODELS], *plain = network();
    cn_fit_opts opts = {.epochs = 4, .batch = BATCH, .seed = 2};
    assert_int_equal(cn_fit(plain, data, &opts, NULL, NULL), CN_OK);
    assert_int_equal(cn_augment_parse(&opts.augment,
                                      "flip crop=1 rotate=20 scale=0.2 shift=0.5 jitter=0.3 "
                                      "cutout=2 mixup=0.4 border=reflect",
                                      NULL),
                     CN_OK);
    for (int i = 0; i < MODELS; i++) {
        models[i] = network();
        opts.threads = i + 1;
        assert_int_equal(cn_fit(models[i], data, &opts, NULL, NULL), CN_OK);
    }
    for (int i = 1; i < MODELS; i++) assert_same_weights(models[0], models[i]);
    float *x = weights(plain), *y = weights(models[0]);
    assert_memory_not_equal(x, y, cn_model_parameter_elements(plain) * sizeof *x);
    free(x);
    free(y);
    cn_model_free(plain);
    for (int i = 0; i < MODELS; i++) cn_model_free(models[i]);
    cn_dataset_free(data);
}

/* What the callbacks of a training have seen. */
typedef struct witness {
    int steps, epochs;
    int stop_at; /* step, counted over all epochs; 0: never */
    double last_rate;
} witness;

static bool watch(const cn_progress *p, void *user)
{
    witness *w = user;
    assert_int_equal(p->epochs, 3);
    assert_int_equal(p->steps, STEPS);
    assert_true(p->train_loss > 0);
    assert_true(p->seconds >= 0);
    if (p->epoch_end) {
        w->epochs++;
        assert_int_equal(p->epoch, w->epochs);
        assert_int_equal(p->step, STEPS);
        assert_false(isnan(p->valid_accuracy) || isnan(p->valid_loss));
        return false;
    }
    assert_int_equal(p->step, w->steps % STEPS + 1);
    assert_int_equal(p->epoch, w->steps / STEPS + 1);
    assert_true(isnan(p->valid_accuracy) && isnan(p->valid_loss));
    if (w->steps > 0) assert_true(p->learning_rate < w->last_rate);
    w->last_rate = p->learning_rate;
    return ++w->steps == w->stop_at;
}

static void callbacks_see_every_step_and_epoch(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *model = network();
    witness seen = {0};
    cn_progress last;
    cn_metrics metrics;
    cn_fit_opts opts = {
        .epochs = 3, .batch = BATCH, .valid = data, .progress = watch, .user = &seen};
    assert_int_equal(cn_fit(model, data, &opts, &last, NULL), CN_OK);
    assert_int_equal(seen.steps, 3 * STEPS);
    assert_int_equal(seen.epochs, 3);
    assert_true(last.epoch_end);
    assert_int_equal(
        cn_evaluate(model, data, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, NULL), CN_OK);
    assert_float_equal(metrics.accuracy, last.valid_accuracy, 0);
    assert_float_equal(metrics.loss, last.valid_loss, 1e-6);
    cn_model_free(model);
    cn_dataset_free(data);
}

static bool stop_at_seven(const cn_progress *p, void *user)
{
    (void)user;
    return !p->epoch_end && (p->epoch - 1) * STEPS + p->step == 7;
}

static void stopping_keeps_the_steps_so_far(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *stopped = network(), *by_hand = network();
    cn_progress last = {0};
    cn_error err;
    cn_fit_opts opts = {.epochs = 3,
                        .batch = BATCH,
                        .no_shuffle = true,
                        .learning_rate = 0.01,
                        .schedule = {.kind = CN_SCHEDULE_CONSTANT},
                        .progress = stop_at_seven};
    assert_int_equal(cn_fit(stopped, data, &opts, &last, &err), CN_ERR_STOPPED);
    assert_string_equal(err.text, "fit: stopped in epoch 2 after step 2 of 5");
    assert_int_equal(last.epoch, 2);
    assert_int_equal(last.step, 2);
    train_by_hand(by_hand, data, 7, 0.01);
    assert_same_weights(stopped, by_hand);
    cn_model_free(stopped);
    cn_model_free(by_hand);
    cn_dataset_free(data);
}

static void a_loss_that_is_not_finite_is_named(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *model = network();
    cn_parameter p;
    cn_error err;
    assert_true(cn_model_parameter(model, 0, &p));
    ((float *)p.value.data)[0] = NAN;
    cn_fit_opts opts = {.batch = BATCH};
    assert_int_equal(cn_fit(model, data, &opts, NULL, &err), CN_ERR_DIVERGED);
    assert_string_equal(err.text,
                        "fit: the loss became NaN in epoch 1 at step 1 of 5; the first is "
                        "conv2d_1.weight, 1 of 36 numbers; the model began with it");
    cn_model_free(model);
    cn_dataset_free(data);
}

static void what_cannot_be_trained_is_refused(void **state)
{
    (void)state;
    static const struct {
        cn_fit_opts opts;
        const char *text;
    } wrong[] = {
        {{.epochs = -1}, "fit: -1 epochs, expected at least 1"},
        {{.batch = -2}, "fit: a batch of -2, expected at least 1"},
        {{.learning_rate = -0.5}, "fit: learning rate -0.5, expected a positive number"},
        {{.schedule = {.kind = (cn_schedule_kind)9}}, "fit: unknown schedule 9"},
        {{.augment.crop = 4}, "augmentation: crop is 4, expected 0 to 3 for images of 4 x 4"},
    };
    cn_dataset *data = halves(), *other = NULL;
    cn_model *model = network(), *three = NULL;
    cn_error err;
    cn_progress last = {.epoch = 77};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(cn_fit(model, data, &wrong[i].opts, &last, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].text);
    }
    assert_int_equal(cn_fit(NULL, data, NULL, &last, &err), CN_ERR_ARGUMENT);
    assert_int_equal(last.epoch, 77);

    assert_int_equal(cn_dataset_load(&other, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_fit(model, other, NULL, NULL, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text,
                        "fit: the model takes images of (4, 4, 1), the data has (8, 8, 1)");
    assert_int_equal(cn_model_parse(&three, "dense 3", shape, 3, 0, NULL), CN_OK);
    assert_int_equal(cn_fit(three, data, NULL, NULL, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "fit: the model has 3 outputs, the data 2 classes");
    cn_model_free(three);
    cn_model_free(model);
    cn_dataset_free(other);
    cn_dataset_free(data);
}

static void a_batch_may_exceed_the_data(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *a = network(), *b = network();
    cn_fit_opts exact = {.batch = IMAGES}, large = {.batch = INT32_MAX};
    assert_int_equal(cn_fit(a, data, &exact, NULL, NULL), CN_OK);
    assert_int_equal(cn_fit(b, data, &large, NULL, NULL), CN_OK);
    assert_same_weights(a, b);
    cn_model_free(a);
    cn_model_free(b);
    cn_dataset_free(data);
}

static void confusions_add_up(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *one = NULL;
    cn_metrics metrics;
    int64_t confusion[4] = {9, 9, 9, 9};
    int labels[2] = {0};
    assert_int_equal(cn_model_parse(&one, "dense 1, sigmoid", shape, 2, 1, NULL), CN_OK);
    cn_fit_opts opts = {.epochs = 40, .batch = BATCH, .learning_rate = 0.02};
    assert_int_equal(cn_fit(one, data, &opts, NULL, NULL), CN_OK);
    assert_int_equal(
        cn_evaluate(one, data, &(cn_evaluate_opts){.threads = 2}, &metrics, confusion, NULL),
        CN_OK);
    for (int i = 0; i < IMAGES; i++) labels[cn_dataset_label(data, i)]++;
    assert_int_equal(metrics.count, IMAGES);
    assert_int_equal(confusion[0] + confusion[1], labels[0]);
    assert_int_equal(confusion[2] + confusion[3], labels[1]);
    assert_int_equal(confusion[0] + confusion[3], metrics.correct);
    assert_float_equal(metrics.accuracy, (double)metrics.correct / IMAGES, 0);
    assert_true(metrics.accuracy > 0.9);
    assert_int_equal(cn_evaluate(one, data, &(cn_evaluate_opts){.threads = 1}, NULL, NULL, NULL),
                     CN_ERR_ARGUMENT);
    cn_model_free(one);
    cn_dataset_free(data);
}

/* Averages of cn_session_predict's outputs over images that the test has moved itself. */
static void views_are_averaged(void **state)
{
    static const char *const networks[] = {"conv 4 3x3 same, tanh, dense 2",
                                           "conv 4 3x3 same, tanh, dense 1, sigmoid"};
    static const struct {
        int move, flip;
        double weight[2]; /* mirror, shift */
    } views[] = {{0, 0, {0.5, 0.25}}, {0, 1, {0.5, 0.25}}, {-1, 0, {0, 0.125}},
                 {-1, 1, {0, 0.125}}, {1, 0, {0, 0.125}},  {1, 1, {0, 0.125}}};
    enum { EACH = SIDE * SIDE };
    (void)state;
    cn_dataset *data = halves();
    for (int k = 0; k < 4; k++) {
        cn_model *model = NULL;
        cn_session *session = NULL;
        float plain[IMAGES * EACH], x[IMAGES * EACH];
        int index[IMAGES], correct = 0;
        int32_t labels[IMAGES];
        double logit[IMAGES] = {0}, loss = 0;
        for (int i = 0; i < IMAGES; i++) index[i] = i;
        cn_dataset_batch(data, index, IMAGES, NULL, NULL, plain, labels, NULL);
        assert_int_equal(cn_model_parse(&model, networks[k / 2], shape, 2, 8, NULL), CN_OK);
        cn_session_opts opts = {.batch = IMAGES};
        assert_int_equal(cn_session_create(&session, model, &opts, NULL), CN_OK);
        for (size_t v = 0; v < sizeof views / sizeof *views; v++) {
            for (int i = 0; i < IMAGES * EACH; i++) {
                int r = i % EACH / SIDE + views[v].move, c = i % SIDE;
                c = (views[v].flip ? SIDE - 1 - c : c) + views[v].move;
                r = r < 0 ? -r : r >= SIDE ? 2 * (SIDE - 1) - r : r;
                c = c < 0 ? -c : c >= SIDE ? 2 * (SIDE - 1) - c : c;
                x[i] = plain[i / EACH * EACH + r * SIDE + c];
            }
            cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){IMAGES, SIDE, SIDE, 1}, x),
                      Y = {0};
            assert_int_equal(cn_session_predict(session, &X, &Y, NULL), CN_OK);
            const float *y = Y.data;
            for (int i = 0; i < IMAGES; i++)
                logit[i] += views[v].weight[k % 2] *
                            (k < 2 ? log(y[2 * i + 1]) - log(y[2 * i]) : log(y[i] / (1.0 - y[i])));
            cn_tensor_free(&Y);
        }
        for (int i = 0; i < IMAGES; i++) {
            double p = 1 / (1 + exp(-logit[i]));
            correct += (p > 0.5) == (labels[i] == 1);
            loss -= log(labels[i] ? p : 1 - p) / IMAGES;
        }
        cn_metrics metrics;
        cn_evaluate_opts with = {.tta = k % 2 ? CN_TTA_SHIFT : CN_TTA_MIRROR, .batch = 10};
        assert_int_equal(cn_evaluate(model, data, &with, &metrics, NULL, NULL), CN_OK);
        assert_int_equal(metrics.correct, correct);
        assert_true(fabs(metrics.loss - loss) < 1e-5);
        cn_session_free(session);
        cn_model_free(model);
    }
    cn_dataset_free(data);
}

static void evaluation_options_are_checked(void **state)
{
    (void)state;
    cn_dataset *data = halves();
    cn_model *model = network();
    cn_metrics a, b;
    cn_error err;
    cn_evaluate_opts opts = {.batch = 7};
    assert_int_equal(cn_evaluate(model, data, &opts, &a, NULL, NULL), CN_OK);
    assert_int_equal(cn_evaluate(model, data, NULL, &b, NULL, NULL), CN_OK);
    assert_int_equal(a.correct, b.correct);
    assert_true(fabs(a.loss - b.loss) < 1e-6);
    opts.batch = -1;
    assert_int_equal(cn_evaluate(model, data, &opts, &a, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "evaluate: a batch of -1, expected at least 1");
    opts = (cn_evaluate_opts){.tta = (cn_tta)3};
    assert_int_equal(cn_evaluate(model, data, &opts, &a, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "evaluate: unknown test-time augmentation 3");
    cn_model_free(model);
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_depends_on_seed_and_epoch_only),
        cmocka_unit_test(the_largest_output_names_the_class),
        cmocka_unit_test(fit_is_the_loop_by_hand),
        cmocka_unit_test(fit_learns_and_threads_change_no_bit),
        cmocka_unit_test(augmentation_is_the_same_for_any_threads),
        cmocka_unit_test(callbacks_see_every_step_and_epoch),
        cmocka_unit_test(stopping_keeps_the_steps_so_far),
        cmocka_unit_test(a_loss_that_is_not_finite_is_named),
        cmocka_unit_test(what_cannot_be_trained_is_refused),
        cmocka_unit_test(a_batch_may_exceed_the_data),
        cmocka_unit_test(confusions_add_up),
        cmocka_unit_test(views_are_averaged),
        cmocka_unit_test(evaluation_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_fit_options.c - what cn_fit does beside stepping: accumulation, averages, the best epoch,
 * early stopping, plateaus, and what validation measures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "train/train.h"

/* Part of the digits, to train on and to validate with. */
typedef struct digits {
    cn_dataset *train, *valid;
} digits;

static digits load(void)
{
    cn_dataset *all = NULL;
    digits d = {0};
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&d.train, all, 0, 256, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&d.valid, all, 256, 100, NULL), CN_OK);
    cn_dataset_free(all);
    return d;
}

static void unload(digits d)
{
    cn_dataset_free(d.train);
    cn_dataset_free(d.valid);
}

static cn_model *network(void)
{
    cn_model *m = NULL;
    cn_error err;
    if (cn_model_parse(&m, "conv 4 3x3 same, relu, maxpool 2, dense classes", (int[]){8, 8, 1}, 10,
                       3, &err) != CN_OK)
        fail_msg("%s", err.text);
    return m;
}

static void fit(cn_model *m, const digits *d, cn_fit_opts opts, cn_progress *last)
{
    cn_error err;
    if (cn_fit(m, d->train, &opts, last, &err) != CN_OK) fail_msg("%s", err.text);
}

/* ---- what a callback writes down */

enum { MOST_STEPS = 400, MOST_EPOCHS = 60 };

typedef struct record {
    cn_model *model;
    int steps, epochs;
    float *weights[MOST_STEPS]; /* after each step, where there is a model */
    double rate[MOST_STEPS], loss[MOST_EPOCHS], accuracy[MOST_EPOCHS];
    int best[MOST_EPOCHS];
} record;

static bool write_down(const cn_progress *p, void *user)
{
    record *r = user;
    if (p->epoch_end) {
        r->loss[r->epochs] = p->valid_loss;
        r->accuracy[r->epochs] = p->valid_accuracy;
        r->best[r->epochs++] = p->best_epoch;
        return false;
    }
    if (r->model) {
        size_t bytes = r->model->block_size * sizeof(float);
        r->weights[r->steps] = malloc(bytes);
        assert_non_null(r->weights[r->steps]);
        memcpy(r->weights[r->steps], r->model->block, bytes);
    }
    r->rate[r->steps++] = p->learning_rate;
    return false;
}

static void release(record *r)
{
    for (int i = 0; i < r->steps; i++) free(r->weights[i]);
}

/* ---- accumulation */

static void accumulated_batches_are_one_large_batch(void **state)
{
    digits d = load();
    cn_model *one = network(), *four = network();
    cn_progress a, b;
    (void)state;
    const cn_optimizer sgd = {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9};
    fit(one, &d, (cn_fit_opts){.epochs = 3, .batch = 60, .optimizer = sgd, .learning_rate = 0.05},
        &a);
    fit(four, &d,
        (cn_fit_opts){
            .epochs = 3, .batch = 15, .accumulate = 4, .optimizer = sgd, .learning_rate = 0.05},
        &b);
    assert_int_equal(a.steps, 5); /* the last has 16 examples: batches of 15 and 1 */
    assert_int_equal(b.steps, 5);
    assert_true(fabs(a.train_loss - b.train_loss) < 1e-5);
    for (size_t i = 0; i < one->block_size; i++)
        assert_true(fabs((double)one->block[i] - (double)four->block[i]) < 1e-5);
    cn_model_free(one);
    cn_model_free(four);
    unload(d);
}

/* ---- averages */

static void an_average_is_what_it_says(void **state)
{
    static const cn_average averages[] = {
        {.kind = CN_AVERAGE_EMA},
        {.kind = CN_AVERAGE_EMA, .decay = 0.3, .every = 3},
        {.kind = CN_AVERAGE_LOOKAHEAD},
        {.kind = CN_AVERAGE_LOOKAHEAD, .decay = 0.8, .every = 4, .power = 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof averages / sizeof *averages; i++) {
        digits d = load();
        const cn_average *o = &averages[i];
        bool ema = o->kind == CN_AVERAGE_EMA;
        double decay = o->decay > 0 ? o->decay : ema ? 0.999 : 0.5;
        int every = o->every > 0 ? o->every : ema ? 1 : 5, updates = 0;
        cn_model *m = network();
        record r = {.model = m};
        cn_progress last;
        cn_metrics metrics;
        size_t n = m->block_size;
        double *a = malloc(n * sizeof *a);
        assert_non_null(a);
        for (size_t k = 0; k < n; k++) a[k] = (double)m->block[k];
        fit(m, &d,
            (cn_fit_opts){.epochs = 2,
                          .batch = 32,
                          .learning_rate = 0.01,
                          .average = *o,
                          .valid = d.valid,
                          .progress = write_down,
                          .user = &r},
            &last);
        assert_int_equal(r.steps, 16);
        /* Lookahead has put the average into the weights that the callback sees. */
        for (int s = 1; ema && s <= 16; s++) {
            if (s % every != 0) continue;
            updates++;
            double part = fmin(decay, (1.0 + updates) / (10.0 + updates));
            for (size_t k = 0; k < n; k++)
                a[k] = part * a[k] + (1 - part) * (double)r.weights[s - 1][k];
        }
        for (int s = every; !ema && s <= 16; s += every)
            for (size_t k = 0; k < n; k++) a[k] = (double)r.weights[s - 1][k];
        for (size_t k = 0; k < n; k++) assert_true(fabs((double)m->block[k] - a[k]) < 1e-5);
        assert_int_equal(
            cn_evaluate(m, d.valid, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, NULL),
            CN_OK);
        assert_true(fabs(metrics.loss - last.valid_loss) < 1e-6);
        free(a);
        release(&r);
        cn_model_free(m);
        unload(d);
    }
}

/* One update of lookahead after the last step of five: w = d w0 + (1 - d) w5. */
static void lookahead_pulls_the_weights_back(void **state)
{
    (void)state;
    for (int power = 0; power <= 2; power += 2) {
        digits d = load();
        cn_model *start = network(), *plain = network(), *m = network();
        cn_fit_opts opts = {.batch = 52, .learning_rate = 0.01}; /* 5 steps */
        fit(plain, &d, opts, NULL);
        opts.average = (cn_average){.kind = CN_AVERAGE_LOOKAHEAD, .decay = 0.25, .power = power};
        fit(m, &d, opts, NULL);
        for (size_t k = 0; k < m->block_size; k++) {
            double want = 0.25 * (double)start->block[k] + 0.75 * (double)plain->block[k];
            assert_true(fabs((double)m->block[k] - want) < 1e-6);
        }
        cn_model_free(start);
        cn_model_free(plain);
        cn_model_free(m);
        unload(d);
    }
}

static void without_its_time_an_average_of_lookahead_decays_less(void **state)
{
    digits d = load();
    cn_model *m = network();
    record r = {.model = m};
    float *start = malloc(m->block_size * sizeof *start);
    (void)state;
    assert_non_null(start);
    memcpy(start, m->block, m->block_size * sizeof *start);
    cn_model *plain = network();
    record p = {.model = plain};
    cn_fit_opts opts = {.batch = 64, .learning_rate = 0.01, .progress = write_down, .user = &p};
    fit(plain, &d, opts, NULL); /* 4 steps */
    opts.user = &r;
    opts.average = (cn_average){.kind = CN_AVERAGE_LOOKAHEAD, .decay = 0.8, .every = 2, .power = 3};
    fit(m, &d, opts, NULL);
    for (size_t k = 0; k < m->block_size; k++) { /* at step 2 of 4: 0.8 / 8 */
        double want = 0.1 * (double)start[k] + 0.9 * (double)p.weights[1][k];
        assert_true(fabs((double)r.weights[1][k] - want) < 1e-6);
    }
    free(start);
    release(&r);
    release(&p);
    cn_model_free(m);
    cn_model_free(plain);
    unload(d);
}

/* ---- the best epoch */

/* The first epoch that beats those before it by more than min_delta, and so on; -1: none. */
static int best_of(const double *score, int epochs, double min_delta)
{
    int best = 0;
    for (int e = 1; e < epochs; e++)
        if (score[e] > score[best] + min_delta) best = e;
    return best;
}

static void early_stopping_restores_the_best_weights(void **state)
{
    (void)state;
    for (int monitor = 0; monitor < 2; monitor++)
        for (int patience = 2; patience <= 4; patience++) {
            digits d = load();
            cn_model *m = network();
            record r = {0};
            cn_progress last;
            cn_metrics metrics;
            double score[MOST_EPOCHS];
            fit(m, &d,
                (cn_fit_opts){.epochs = MOST_EPOCHS,
                              .batch = 16,
                              .learning_rate = 0.03,
                              .schedule = {.kind = CN_SCHEDULE_CONSTANT},
                              .best = {.patience = patience,
                                       .min_delta = monitor ? 0 : 0.005,
                                       .monitor = (cn_monitor)monitor},
                              .valid = d.valid,
                              .progress = write_down,
                              .user = &r},
                &last);
            for (int e = 0; e < r.epochs; e++) score[e] = monitor ? r.accuracy[e] : -r.loss[e];
            int best = best_of(score, r.epochs, monitor ? 0 : 0.005);
            assert_true(r.epochs < MOST_EPOCHS);
            assert_int_equal(last.epoch, r.epochs);
            assert_int_equal(last.best_epoch, best + 1);
            assert_int_equal(r.epochs, best + 1 + patience);
            assert_int_equal(
                cn_evaluate(m, d.valid, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, NULL),
                CN_OK);
            assert_true(fabs(metrics.loss - r.loss[best]) < 1e-6);
            assert_float_equal(metrics.accuracy, r.accuracy[best], 0);
            cn_model_free(m);
            unload(d);
        }
}

static void keeping_the_best_trains_to_the_end(void **state)
{
    digits d = load();
    cn_model *kept = network(), *last_one = network();
    record r = {0};
    cn_progress last;
    cn_metrics metrics;
    (void)state;
    cn_fit_opts opts = {.epochs = 12,
                        .batch = 16,
                        .learning_rate = 0.05,
                        .schedule = {.kind = CN_SCHEDULE_CONSTANT},
                        .valid = d.valid,
                        .progress = write_down,
                        .user = &r};
    fit(last_one, &d, opts, &last);
    double final_loss = last.valid_loss;
    r = (record){0};
    opts.best.keep = true;
    fit(kept, &d, opts, &last);
    assert_int_equal(r.epochs, 12);
    assert_float_equal(last.valid_loss, final_loss, 0); /* keeping changes no step */
    for (int e = 0; e < 12; e++) assert_true(r.loss[last.best_epoch - 1] <= r.loss[e]);
    assert_int_equal(
        cn_evaluate(kept, d.valid, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, NULL), CN_OK);
    assert_true(fabs(metrics.loss - r.loss[last.best_epoch - 1]) < 1e-6);
    assert_true(metrics.loss < final_loss);
    cn_model_free(kept);
    cn_model_free(last_one);
    unload(d);
}

/* ---- plateaus */

static void the_rate_falls_on_plateaus(void **state)
{
    digits d = load();
    cn_model *m = network();
    record r = {0};
    (void)state;
    fit(m, &d,
        (cn_fit_opts){.epochs = 30,
                      .batch = 32,
                      .learning_rate = 0.05,
                      .schedule = {.kind = CN_SCHEDULE_PLATEAU, .patience = 2, .factor = 0.5},
                      .valid = d.valid,
                      .progress = write_down,
                      .user = &r},
        NULL);
    double best = INFINITY, rate = 0.05;
    int stale = 0, falls = 0;
    for (int e = 0; e < 30; e++) {
        for (int s = 0; s < 8; s++) assert_float_equal(r.rate[8 * e + s], rate, 1e-15);
        if (r.loss[e] < best) {
            best = r.loss[e];
            stale = 0;
        } else if (++stale == 2) {
            rate *= 0.5;
            stale = 0;
            falls++;
        }
    }
    assert_true(falls > 1);
    cn_model_free(m);
    unload(d);
}

/* ---- losses */

static void validation_measures_the_plain_loss(void **state)
{
    digits d = load();
    cn_model *m = network();
    cn_progress last;
    cn_metrics metrics;
    float weights[10];
    (void)state;
    cn_dataset_class_weights(d.train, weights);
    fit(m, &d,
        (cn_fit_opts){.epochs = 4,
                      .loss = {.label_smoothing = 0.3, .class_weights = weights},
                      .valid = d.valid},
        &last);
    assert_int_equal(
        cn_evaluate(m, d.valid, &(cn_evaluate_opts){.threads = 1}, &metrics, NULL, NULL), CN_OK);
    assert_true(fabs(metrics.loss - last.valid_loss) < 1e-6);
    cn_model_free(m);
    unload(d);
}

static void balanced_weights_let_classes_count_alike(void **state)
{
    uint8_t pixels[6] = {0};
    cn_dataset *data = NULL;
    float weights[4];
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){6, 1, 1, 1}, pixels);
    (void)state;
    assert_int_equal(cn_dataset_create(&data, &images, (int32_t[]){0, 3, 0, 1, 0, 1}, 4, NULL),
                     CN_OK);
    cn_dataset_class_weights(data, weights);
    assert_float_equal(weights[0], 6.0 / (4 * 3), 1e-7);
    assert_float_equal(weights[1], 6.0 / (4 * 2), 1e-7);
    assert_float_equal(weights[2], 0, 0);
    assert_float_equal(weights[3], 6.0 / 4, 1e-7);
    cn_dataset_free(data);
}

/* ---- wrong options, and the same bits */

static void what_makes_no_sense_is_refused(void **state)
{
    static const struct {
        cn_fit_opts opts;
        bool no_valid;
        const char *text;
    } wrong[] = {
        {{.accumulate = -1}, false, "fit: -1 batches a step, expected at least 1"},
        {{.best = {.keep = true}}, true, "fit: keeping the best epoch needs a validation set"},
        {{.best = {.patience = 3}}, true, "fit: early stopping needs a validation set"},
        {{.schedule = {.kind = CN_SCHEDULE_PLATEAU}},
         true,
         "fit: the plateau schedule needs a validation set"},
        {{.best = {.patience = -1}}, false, "fit: a patience of -1 epochs, expected 1 or more"},
        {{.best = {.min_delta = NAN}}, false, "fit: min_delta nan, expected a number of 0 or more"},
        {{.best = {.monitor = (cn_monitor)3}}, false, "fit: unknown monitor 3"},
        {{.average = {.kind = (cn_average_kind)3}}, false, "fit: unknown average 3"},
        {{.average = {.kind = CN_AVERAGE_EMA, .decay = 1}},
         false,
         "fit: average: decay 1, expected between 0 and 1"},
        {{.average = {.every = -1}}, false, "fit: average: every -1 steps, expected 1 or more"},
        {{.average = {.power = -1}}, false, "fit: average: power -1, expected 0 or more"},
    };
    digits d = load();
    cn_model *m = network();
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cn_error err;
        cn_fit_opts opts = wrong[i].opts;
        if (!wrong[i].no_valid) opts.valid = d.valid;
        assert_int_equal(cn_fit(m, d.train, &opts, NULL, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].text);
    }
    cn_error err;
    assert_int_equal(cn_model_freeze(m, "*", true, NULL), CN_OK);
    assert_int_equal(cn_fit(m, d.train, NULL, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "fit: every parameter is frozen, nothing can be learnt");
    cn_model_free(m);
    unload(d);
}

/* What is given and not used is refused; beside what uses it, it is taken. */
static void what_nothing_uses_is_refused(void **state)
{
    static const struct {
        cn_fit_opts opts;
        const char *text;
    } wrong[] = {
        {{.schedule = {.peak = 0.5}}, "fit: schedule: peak goes with the one-cycle schedule"},
        {{.schedule = {.start = 0.5}}, "fit: schedule: start goes with the one-cycle schedule"},
        {{.schedule = {.kind = CN_SCHEDULE_CONSTANT, .end = 0.5}},
         "fit: schedule: end goes with a schedule that falls gradually or by plateaus"},
        {{.schedule = {.power = 2}}, "fit: schedule: power goes with the polynomial schedule"},
        {{.schedule = {.factor = 0.5}},
         "fit: schedule: factor goes with the step and plateau schedules"},
        {{.schedule = {.every = 1}}, "fit: schedule: every goes with the step schedule"},
        {{.schedule = {.milestones = {1}}},
         "fit: schedule: milestones goes with the step schedule"},
        {{.schedule = {.patience = 2}}, "fit: schedule: patience goes with the plateau schedule"},
        {{.average = {.decay = 0.9}}, "fit: average: decay goes with a kind of average"},
        {{.average = {.every = 2}}, "fit: average: every goes with a kind of average"},
        {{.average = {.kind = CN_AVERAGE_EMA, .power = 2}},
         "fit: average: power goes with lookahead"},
        {{.best = {.min_delta = 0.1}},
         "fit: best: min_delta goes with keep, patience or a plateau"},
        {{.best = {.monitor = CN_MONITOR_ACCURACY}},
         "fit: best: monitor goes with keep, patience or a plateau"},
        {{.checkpoint.steps = 5}, "fit: an interval of checkpoints goes with a file for them"},
        {{.epochs = 3, .schedule = {.warmup = 3}},
         "fit: schedule: warm-up of 3 epochs, expected fewer than the training's 3"},
        {{.epochs = 3, .schedule = {.kind = CN_SCHEDULE_STEP, .milestones = {2, 3}}},
         "fit: schedule: milestone 3, expected one before the last of 3 epochs"},
        {{.epochs = 3, .schedule = {.kind = CN_SCHEDULE_STEP, .every = 3}},
         "fit: schedule: every 3 epochs, expected fewer than the training's 3"},
    };
    static const cn_fit_opts right[] = {
        {.schedule = {.kind = CN_SCHEDULE_ONE_CYCLE, .start = 0.5, .peak = 0.5, .end = 0.1}},
        {.schedule = {.kind = CN_SCHEDULE_POLYNOMIAL, .power = 2, .end = 0.1}},
        {.epochs = 2, .schedule = {.kind = CN_SCHEDULE_STEP, .every = 1, .factor = 0.5}},
        {.epochs = 2, .schedule = {.kind = CN_SCHEDULE_STEP, .milestones = {1}}},
        {.schedule = {.kind = CN_SCHEDULE_PLATEAU, .patience = 2, .factor = 0.5},
         .best = {.min_delta = 0.1}},
        {.average = {.kind = CN_AVERAGE_LOOKAHEAD, .decay = 0.9, .every = 2, .power = 2},
         .best = {.keep = true, .min_delta = 0.1, .monitor = CN_MONITOR_ACCURACY}},
        {.schedule = {.warmup = 0.5, .end = 0.5}},
    };
    digits d = load();
    cn_model *m = network();
    cn_error err;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cn_fit_opts opts = wrong[i].opts;
        opts.valid = d.valid;
        assert_int_equal(cn_fit(m, d.train, &opts, NULL, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].text);
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        cn_fit_opts opts = right[i];
        opts.valid = d.valid;
        if (cn_fit(m, d.train, &opts, NULL, &err) != CN_OK) fail_msg("%zu: %s", i, err.text);
    }
    cn_model_free(m);
    unload(d);
}

static void threads_change_no_bit(void **state)
{
    digits d = load();
    cn_model *models[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        models[i] = network();
        fit(models[i], &d,
            (cn_fit_opts){.epochs = 4,
                          .batch = 16,
                          .accumulate = 2,
                          .threads = i + 1,
                          .seed = 4,
                          .schedule = {.kind = CN_SCHEDULE_ONE_CYCLE, .warmup = 0.5},
                          .optimizer = {.kind = CN_OPTIMIZER_ADAMW, .clip_norm = 1},
                          .loss = {.label_smoothing = 0.1},
                          .average = {.kind = CN_AVERAGE_EMA},
                          .best = {.keep = true},
                          .valid = d.valid},
            NULL);
    }
    for (int i = 1; i < 3; i++)
        assert_memory_equal(models[i]->block, models[0]->block,
                            models[0]->block_size * sizeof(float));
    for (int i = 0; i < 3; i++) cn_model_free(models[i]);
    unload(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accumulated_batches_are_one_large_batch),
        cmocka_unit_test(an_average_is_what_it_says),
        cmocka_unit_test(lookahead_pulls_the_weights_back),
        cmocka_unit_test(without_its_time_an_average_of_lookahead_decays_less),
        cmocka_unit_test(early_stopping_restores_the_best_weights),
        cmocka_unit_test(keeping_the_best_trains_to_the_end),
        cmocka_unit_test(the_rate_falls_on_plateaus),
        cmocka_unit_test(validation_measures_the_plain_loss),
        cmocka_unit_test(balanced_weights_let_classes_count_alike),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(what_nothing_uses_is_refused),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Checkpoints: a training that goes on from one writes the bits of one that never stopped, and a
 * file that is not this training's is refused with the reason. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "files.h"
#include "model/model.h"
#include "train/checkpoint.h"

enum { BATCH = 10, EPOCHS = 3, IMAGES = 87, STEPS = 9 };

typedef struct fixture {
    char folder[FILES_PATH], file[FILES_PATH], first[FILES_PATH];
    cn_dataset *data, *valid;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    cn_dataset *all = NULL;
    files_make_folder(f.folder);
    files_join(f.file, f.folder, "a.checkpoint");
    files_join(f.first, f.folder, "first.checkpoint");
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.data, all, 0, IMAGES, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.valid, all, IMAGES, 30, NULL), CN_OK);
    cn_dataset_free(all);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    files_remove_folder(f->folder);
    cn_dataset_free(f->data);
    cn_dataset_free(f->valid);
    return 0;
}

static cn_model *network_of(const char *text)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, text, (int[]){8, 8, 1}, 10, 3, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

static cn_model *network(void)
{
    return network_of("conv 4 3x3 same, relu, maxpool 2, dense classes");
}

static void assert_same_bits(const cn_model *a, const cn_model *b)
{
    assert_int_equal(a->block_size, b->block_size);
    assert_memory_equal(a->block, b->block, a->block_size * sizeof *a->block);
}

/* A progress callback that stops after so many steps, counted over the whole training. */
static bool stop_after(const cn_progress *p, void *user)
{
    const int *steps = user;
    return !p->epoch_end && (p->epoch - 1) * p->steps + p->step == *steps;
}

static bool stop_at_epoch_end(const cn_progress *p, void *user)
{
    (void)user;
    return p->epoch_end;
}

static cn_fit_opts options(const fixture *f)
{
    return (cn_fit_opts){.epochs = EPOCHS,
                         .batch = BATCH,
                         .seed = 5,
                         .learning_rate = 0.01,
                         .valid = f->valid,
                         .threads = 1};
}

/* The weights, and what is reported of the last epoch, of an uninterrupted training. */
static cn_model *train_through(const fixture *f, cn_fit_opts opts, cn_progress *last)
{
    cn_model *model = network();
    assert_int_equal(cn_fit(model, f->data, &opts, last, NULL), CN_OK);
    return model;
}

static void stopped_at_any_step_it_goes_on_with_the_same_bits(void **state)
{
    const fixture *f = *state;
    cn_progress through, last;
    cn_model *whole = train_through(f, options(f), &through);
    for (int steps = 1; steps <= EPOCHS * STEPS; steps++) {
        cn_model *model = network(), *other = network_of("conv 4 3x3 same, relu, maxpool 2, "
                                                         "dense classes");
        cn_error err;
        cn_fit_opts opts = options(f);
        opts.checkpoint.path = f->file;
        opts.progress = stop_after;
        opts.user = &steps;
        assert_int_equal(cn_fit(model, f->data, &opts, NULL, NULL), CN_ERR_STOPPED);
        cn_fit_opts rest = options(f);
        rest.resume = f->file;
        rest.threads = 1 + steps % 4;
        if (cn_fit(other, f->data, &rest, &last, &err) != CN_OK) fail_msg("%s", err.text);
        assert_same_bits(other, whole);
        assert_float_equal(last.train_loss, through.train_loss, 0);
        assert_float_equal(last.valid_loss, through.valid_loss, 0);
        assert_int_equal(last.epoch, EPOCHS);
        cn_model_free(model);
        cn_model_free(other);
    }
    cn_model_free(whole);
}

static void stopped_at_an_epochs_end_it_goes_on_with_the_next(void **state)
{
    const fixture *f = *state;
    cn_progress last;
    cn_model *whole = train_through(f, options(f), &last), *model = network();
    cn_fit_opts opts = options(f);
    opts.checkpoint.path = f->file;
    opts.progress = stop_at_epoch_end;
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        assert_int_equal(cn_fit(model, f->data, &opts, &last, NULL), CN_ERR_STOPPED);
        assert_int_equal(last.epoch, epoch);
        opts.resume = f->file;
    }
    assert_int_equal(cn_fit(model, f->data, &opts, &last, NULL), CN_OK);
    assert_same_bits(model, whole);
    cn_model_free(model);
    cn_model_free(whole);
}

/* ---- whatever a step may depend on */

typedef struct recipe {
    const char *name, *layers;
    cn_fit_opts opts;
} recipe;

#define RESIDUAL                                                                               \
    "conv 4 3x3 same, batchnorm, relu, conv 4 3x3 same no_bias, batchnorm, add relu_1, relu, " \
    "maxpool 2, dense classes"

/* What is left out is as `options` has it. */
static const recipe recipes[] = {
    {"adam, batch norm, a residual block", RESIDUAL, {.learning_rate = 0.01}},
    {"sgd with everything",
     RESIDUAL,
     {.learning_rate = 0.05,
      .optimizer = {.kind = CN_OPTIMIZER_SGD,
                    .momentum = 0.9,
                    .nesterov = true,
                    .weight_decay = 5e-4,
                    .clip_norm = 1},
      .loss = {.label_smoothing = 0.1},
      .average = {.kind = CN_AVERAGE_EMA, .decay = 0.9},
      .schedule = {.kind = CN_SCHEDULE_ONE_CYCLE, .warmup = 0.5},
      .augment = {.flip = CN_FLIP_ALTERNATING, .crop = 1, .cutout = 2, .mixup = 0.2}}},
    {"adamw, lookahead, gradients of two batches",
     "depthwise 3x3 same depth_multiplier 3, gelu, avgpool 2, dense 9, silu, dense classes",
     {.learning_rate = 0.01,
      .accumulate = 2,
      .optimizer = {.kind = CN_OPTIMIZER_ADAMW},
      .average = {.kind = CN_AVERAGE_LOOKAHEAD, .every = 3},
      .augment = {.shift = 1, .rotate = 10, .scale = 0.1, .contrast = 0.2}}},
    {"rmsprop, plateau, the best epoch",
     "conv 6 3x3 stride 2, leaky_relu, dense classes",
     {.learning_rate = 0.05,
      .optimizer = {.kind = CN_OPTIMIZER_RMSPROP, .momentum = 0.5},
      .schedule = {.kind = CN_SCHEDULE_PLATEAU, .patience = 1, .factor = 0.5},
      .best = {.keep = true}}},
};

/* Trains by the recipe; stops after `stop` steps unless that is 0, and writes f->file. */
static cn_model *follow(const fixture *f, const recipe *r, int threads, int stop, bool resume)
{
    cn_model *model = network_of(r->layers);
    cn_error err;
    cn_fit_opts opts = r->opts;
    opts.epochs = EPOCHS;
    opts.batch = BATCH;
    opts.seed = 5;
    opts.valid = f->valid;
    opts.threads = threads;
    opts.checkpoint.path = stop || resume ? f->file : NULL;
    opts.resume = resume ? f->file : NULL;
    opts.progress = stop ? stop_after : NULL;
    opts.user = &stop;
    cn_status status = cn_fit(model, f->data, &opts, NULL, &err);
    if (status != (stop ? CN_ERR_STOPPED : CN_OK))
        fail_msg("%s, %d threads, stopped after %d: %s", r->name, threads, stop, err.text);
    return model;
}

static void threads_and_stops_change_no_bit_of_any_recipe(void **state)
{
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        cn_model *whole = follow(f, &recipes[i], 1, 0, false);
        for (int threads = 2; threads <= 4; threads++) {
            cn_model *model = follow(f, &recipes[i], threads, 0, false);
            if (memcmp(model->block, whole->block, whole->block_size * sizeof(float)) != 0)
                fail_msg("%s: %d threads change bits", recipes[i].name, threads);
            cn_model_free(model);
        }
        for (int stop = 2; stop < 13; stop += 3) {
            cn_model_free(follow(f, &recipes[i], 1 + stop % 4, stop, false));
            cn_model_free(follow(f, &recipes[i], 3, stop + 1, true));
            cn_model *model = follow(f, &recipes[i], 1 + (stop + 1) % 4, 0, true);
            if (memcmp(model->block, whole->block, whole->block_size * sizeof(float)) != 0)
                fail_msg("%s: stopped after %d and %d, other bits", recipes[i].name, stop,
                         stop + 1);
            cn_model_free(model);
        }
        cn_model_free(whole);
    }
}

/* ---- more epochs: EPOCHS that go on to LONGER, and LONGER at once with the shorter's schedule */

enum { LONGER = EPOCHS + 2 };

typedef struct curve {
    double loss[LONGER + 1], rate[LONGER * STEPS + 1];
} curve;

static bool draw_curve(const cn_progress *p, void *user)
{
    curve *c = user;
    if (p->epoch_end)
        c->loss[p->epoch] = p->valid_loss;
    else
        c->rate[(p->epoch - 1) * STEPS + p->step] = p->learning_rate;
    return false;
}

/* Trains by the recipe, and writes f->file. */
static cn_model *train_for(const fixture *f, const recipe *r, cn_fit_opts opts, curve *c)
{
    cn_model *model = network_of(r->layers);
    cn_error err;
    opts.batch = BATCH;
    opts.seed = 5;
    opts.valid = f->valid;
    opts.threads = 1;
    opts.checkpoint.path = f->file;
    opts.progress = draw_curve;
    opts.user = c;
    if (cn_fit(model, f->data, &opts, NULL, &err) != CN_OK) fail_msg("%s: %s", r->name, err.text);
    return model;
}

static void a_finished_training_can_be_extended(void **state)
{
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        const recipe *r = &recipes[i];
        curve old = {{0}, {0}}, whole = {{0}, {0}};
        cn_fit_opts opts = r->opts;
        opts.epochs = EPOCHS;
        cn_model_free(train_for(f, r, opts, &old));
        curve longer = old;
        opts.epochs = LONGER;
        opts.resume = f->file;
        cn_model *extended = train_for(f, r, opts, &longer);
        opts.resume = NULL;
        opts.schedule_epochs = EPOCHS;
        cn_model *at_once = train_for(f, r, opts, &whole);
        assert_memory_equal(whole.loss, old.loss, (EPOCHS + 1) * sizeof *old.loss);
        assert_memory_equal(whole.rate, old.rate, (EPOCHS * STEPS + 1) * sizeof *old.rate);
        assert_memory_equal(&whole, &longer, sizeof whole);
        assert_true(longer.loss[LONGER] != 0);
        assert_same_bits(extended, at_once);
        cn_model_free(extended);
        cn_model_free(at_once);
    }
}

/* One that was stopped in its second epoch: the old schedule to its end, then its last rate. */
static void a_stopped_training_can_be_extended(void **state)
{
    const fixture *f = *state;
    curve old = {{0}, {0}}, longer = {{0}, {0}};
    int steps = STEPS + 4;
    cn_fit_opts opts = recipes[0].opts;
    opts.epochs = EPOCHS;
    cn_model_free(train_for(f, &recipes[0], opts, &old));
    opts.batch = BATCH;
    opts.seed = 5;
    opts.valid = f->valid;
    opts.checkpoint.path = f->file;
    opts.progress = stop_after;
    opts.user = &steps;
    cn_model *model = network_of(RESIDUAL);
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, NULL), CN_ERR_STOPPED);
    cn_model_free(model);
    opts.epochs = LONGER;
    opts.resume = f->file;
    cn_model_free(train_for(f, &recipes[0], opts, &longer));
    for (int s = STEPS + 5; s <= EPOCHS * STEPS; s++) assert_true(longer.rate[s] == old.rate[s]);
    for (int e = 2; e <= EPOCHS; e++) assert_true(longer.loss[e] == old.loss[e]);
    for (int s = EPOCHS * STEPS; s <= LONGER * STEPS; s++)
        assert_true(longer.rate[s] == old.rate[EPOCHS * STEPS]);
}

/* Only if it is asked for; and what was asked for holds for the next time. */
static void the_schedule_is_stretched(void **state)
{
    const fixture *f = *state;
    curve longer = {{0}, {0}};
    cn_schedule cosine = {.kind = CN_SCHEDULE_COSINE};
    cn_fit_opts opts = recipes[0].opts;
    opts.epochs = EPOCHS;
    cn_model_free(train_for(f, &recipes[0], opts, &longer));
    opts.epochs = LONGER - 1;
    opts.schedule_epochs = LONGER;
    opts.resume = f->file;
    cn_model_free(train_for(f, &recipes[0], opts, &longer));
    opts.epochs = LONGER;
    opts.schedule_epochs = 0;
    cn_model_free(train_for(f, &recipes[0], opts, &longer));
    for (int s = 0; s < LONGER * STEPS; s++)
        assert_true(longer.rate[s + 1] == cn_schedule_rate(&cosine, 0.01, s, STEPS,
                                                           s < EPOCHS * STEPS ? EPOCHS : LONGER));
}

/* ---- what is refused */

/* A checkpoint of the fixture's training, in the middle of its second epoch. */
static void write_checkpoint(const fixture *f)
{
    cn_model *model = network();
    int steps = STEPS + 4;
    cn_fit_opts opts = options(f);
    opts.checkpoint.path = f->file;
    opts.progress = stop_after;
    opts.user = &steps;
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, NULL), CN_ERR_STOPPED);
    cn_model_free(model);
}

/* The training is refused with this text, and the model is what it was. */
static void expect_refused(const fixture *f, cn_model *model, const cn_dataset *data,
                           cn_fit_opts opts, const char *text)
{
    cn_error err;
    float before = model->block[0];
    opts.resume = f->file;
    assert_int_not_equal(cn_fit(model, data, &opts, NULL, &err), CN_OK);
    assert_says(err, text);
    assert_float_equal(model->block[0], before, 0);
    cn_model_free(model);
}

static void another_training_is_refused_by_name(void **state)
{
    const fixture *f = *state;
    cn_fit_opts same = options(f), other;
    write_checkpoint(f);
#define REFUSED(member, value, text)                        \
    do {                                                    \
        other = same;                                       \
        other.member = value;                               \
        expect_refused(f, network(), f->data, other, text); \
    } while (0)
    REFUSED(epochs, 2,
            "a.checkpoint: epochs: the training began with 3, found 2, expected as many or more");
    REFUSED(batch, 11, "batch: the training began with 10, found 11");
    REFUSED(seed, 6, "seed: the training began with \"5\", found \"6\"");
    REFUSED(learning_rate, 0.02, "learning rate: the training began with 0.01, found 0.02");
    REFUSED(no_shuffle, true, "no shuffle: the training began with no, found yes");
    REFUSED(optimizer.kind, CN_OPTIMIZER_SGD,
            "optimizer: the training began with \"adam\", found \"sgd\"");
    REFUSED(optimizer.weight_decay, 0.1, "weight decay: the training began with 0, found 0.1");
    REFUSED(augment.crop, 1, "augment: crop: the training began with 0, found 1");
    REFUSED(average.kind, CN_AVERAGE_EMA,
            "average: the training began with \"none\", found \"ema\"");
    REFUSED(precision, CN_PRECISION_BF16,
            "precision: the training began with \"f32\", found \"bf16\"");
    REFUSED(schedule.kind, CN_SCHEDULE_CONSTANT,
            "schedule: the training began with \"cosine\", found \"constant\"");
    REFUSED(augment.flip, CN_FLIP_RANDOM,
            "augment: flip: the training began with \"none\", found \"random\"");
    REFUSED(best.keep, true, "best: keep: the training began with no, found yes");
    REFUSED(loss.label_smoothing, 0.1, "label smoothing: ");
    REFUSED(valid, f->data, "validation images: not those that the training began with");
    REFUSED(valid, NULL, "validation images: not those");
#undef REFUSED
    expect_refused(f, network(), f->valid, same, "training images: not those");
    expect_refused(f, network_of("conv 4 3x3 same, relu, maxpool 2, dense 10, softmax"), f->data,
                   (cn_fit_opts){.epochs = 2}, "epochs");
    expect_refused(
        f, network_of("conv 5 3x3 same, relu, maxpool 2, dense 10"), f->data, same,
        "another network: layer 1 was conv2d_1 (4 3x3 same), found conv2d_1 (5 3x3 same)");
    expect_refused(f, network_of("conv 4 3x3 same, relu, maxpool 2, dense 5, dense 10"), f->data,
                   same, "another network: layer 4 was dense_1 (10), found dense_1 (5)");
    cn_model *model = network();
    assert_int_equal(cn_model_set_normalization(model, (float[]){0.1f}, (float[]){1}, NULL), CN_OK);
    expect_refused(f, model, f->data, same, "normalization have changed");
}

/* A file whose numbers would lead out of the data is refused, wherever they stand. */
static void a_checkpoint_that_lies_is_refused(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *was, *becomes, *text;
    } lies[] = {
        {"\\\"epoch\\\":2", "\\\"epoch\\\":4", "state \"epoch\""},
        {"\\\"epoch\\\":2", "\\\"epoch\\\":0", "state \"epoch\""},
        {"\\\"step\\\":4", "\\\"step\\\":-", "byte"},
        {"\\\"step\\\":4", "\\\"stop\\\":4", "state \"step\""},
        {"\\\"seen\\\":40", "\\\"seen\\\":99", "state \"seen\""},
        {"\\\"seen\\\":40", "\\\"seen\\\":00", "byte"},
        {"\\\"epoch_end\\\":false", "\\\"epoch_end\\\":12345", "state \"epoch_end\""},
        {"\\\"updates\\\":\\\"13", "\\\"updates\\\":\\\"1x", "state \"updates\""},
        {"\\\"format\\\":1,\\\"version", "\\\"format\\\":7,\\\"version", "checkpoint format 7"},
        {"training:moment_1:dense_1.bias", "training:moment_9:dense_1.bias",
         "moment_1:dense_1.bias"},
    };
    write_checkpoint(f);
    size_t size;
    uint8_t *good = files_read(f->file, &size);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        uint8_t *bad = malloc(size);
        assert_non_null(bad);
        memcpy(bad, good, size);
        size_t length = strlen(lies[i].was), at = 0;
        assert_int_equal(length, strlen(lies[i].becomes));
        while (at + length < size && memcmp(bad + at, lies[i].was, length) != 0) at++;
        if (at + length >= size) fail_msg("no %s in the file", lies[i].was);
        memcpy(bad + at, lies[i].becomes, length);
        files_write(f->file, bad, size);
        expect_refused(f, network(), f->data, options(f), lies[i].text);
        free(bad);
    }
    free(good);
}

/* ---- writing */

typedef struct events {
    int written, failed;
    cn_error last;
} events;

static void count_event(const cn_error *result, void *user)
{
    events *e = user;
    *(result->status == CN_OK ? &e->written : &e->failed) += 1;
    e->last = *result;
}

static void intervals_are_kept(void **state)
{
    const fixture *f = *state;
    static const struct {
        int epochs, steps;
        double seconds;
        int written;
    } cases[] = {{0, 0, 0, 3}, {2, 0, 0, 2}, {0, 5, 0, 6}, {0, 0, 1e-9, 27}, {0, 0, 1000, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        events seen = {0};
        cn_fit_opts opts = options(f);
        opts.checkpoint.path = f->file;
        opts.checkpoint.epochs = cases[i].epochs;
        opts.checkpoint.steps = cases[i].steps;
        opts.checkpoint.seconds = cases[i].seconds;
        opts.checkpoint.written = count_event;
        opts.user = &seen;
        cn_model_free(train_through(f, opts, NULL));
        assert_int_equal(seen.written, cases[i].written);
        assert_int_equal(seen.failed, 0);
    }
}

static void a_checkpoint_that_cannot_be_written_changes_nothing(void **state)
{
    const fixture *f = *state;
    events seen = {0};
    cn_fit_opts opts = options(f);
    cn_model *whole = train_through(f, opts, NULL);
    opts.checkpoint.path = "no/such/folder/a.checkpoint";
    opts.checkpoint.written = count_event;
    opts.user = &seen;
    cn_model *model = train_through(f, opts, NULL);
    assert_same_bits(model, whole);
    assert_int_equal(seen.written, 0);
    assert_int_equal(seen.failed, EPOCHS);
    assert_says(seen.last, "no/such/folder/a.checkpoint");
    cn_model_free(model);
    cn_model_free(whole);
}

static void the_note_comes_back(void **state)
{
    const fixture *f = *state;
    char text[40];
    cn_error err;
    cn_fit_opts opts = options(f);
    opts.checkpoint.path = f->file;
    opts.checkpoint.note = "gr\xc3\xbc\xc3\x9f \"dich\"";
    cn_model *model = train_through(f, opts, NULL), *loaded = NULL;
    assert_int_equal(cn_checkpoint_note(f->file, text, sizeof text, &err), CN_OK);
    assert_string_equal(text, opts.checkpoint.note);
    assert_int_equal(cn_checkpoint_note(f->file, text, 5, &err), CN_ERR_ARGUMENT);
    /* A checkpoint is a model; a model is no checkpoint. */
    assert_int_equal(cn_model_load(&loaded, f->file, NULL), CN_OK);
    assert_same_bits(loaded, model);
    assert_int_equal(cn_model_save(model, f->first, NULL), CN_OK);
    assert_int_equal(cn_checkpoint_note(f->first, text, sizeof text, &err), CN_ERR_FORMAT);
    assert_says(err, "no checkpoint");
    cn_model_free(loaded);
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_at_any_step_it_goes_on_with_the_same_bits),
        cmocka_unit_test(stopped_at_an_epochs_end_it_goes_on_with_the_next),
        cmocka_unit_test(threads_and_stops_change_no_bit_of_any_recipe),
        cmocka_unit_test(a_finished_training_can_be_extended),
        cmocka_unit_test(a_stopped_training_can_be_extended),
        cmocka_unit_test(the_schedule_is_stretched),
        cmocka_unit_test(another_training_is_refused_by_name),
        cmocka_unit_test(a_checkpoint_that_lies_is_refused),
        cmocka_unit_test(intervals_are_kept),
        cmocka_unit_test(a_checkpoint_that_cannot_be_written_changes_nothing),
        cmocka_unit_test(the_note_comes_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

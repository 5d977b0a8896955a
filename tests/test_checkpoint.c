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

enum { BATCH = 10, EPOCHS = 3, PICTURES = 87, STEPS = 9 };

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
    assert_int_equal(cn_dataset_load(&all, "digits", CN_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.data, all, 0, PICTURES, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.valid, all, PICTURES, 30, NULL), CN_OK);
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
        opts.checkpoint = f->file;
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
    opts.checkpoint = f->file;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_at_any_step_it_goes_on_with_the_same_bits),
        cmocka_unit_test(stopped_at_an_epochs_end_it_goes_on_with_the_next),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

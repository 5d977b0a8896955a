/* Ranks, here threads: any number of them ends with the bits of one process. */
#include "shard_training.h"

#include "rank_threads.h"
#include "train/shards.h"

/* ---- ranks */

typedef struct rank_job {
    const cn_dataset *data;
    cn_fit_opts opts;
    cn_communicator comm;
    rank_self self;
    cn_model *model;
    cn_progress last;
    cn_status status;
    cn_error err;
} rank_job;

static void *rank_main(void *argument)
{
    rank_job *job = argument;
    job->opts.communicator = &job->comm;
    job->status = cn_fit(job->model, job->data, &job->opts, &job->last, &job->err);
    return NULL;
}

/* Trains on so many ranks, which share memory or do not, each with the options that `change` (may
 * be NULL) makes for it. Returns how many bytes they sent, all together. */
static size_t train_on(rank_job *jobs, int ranks, bool background, bool shares,
                       const cn_dataset *data, const cn_fit_opts *opts,
                       void (*change)(int rank, rank_job *job))
{
    pthread_t threads[RANKS_MOST];
    post_office office;
    office_open(&office, ranks);
    office.shares = shares;
    for (int r = 0; r < ranks; r++) {
        jobs[r] = (rank_job){.data = data, .opts = *opts, .model = network()};
        jobs[r].comm = rank_communicator(&jobs[r].self, &office, r, background);
        if (change) change(r, &jobs[r]);
    }
    for (int r = 0; r < ranks; r++)
        assert_int_equal(pthread_create(&threads[r], NULL, rank_main, &jobs[r]), 0);
    for (int r = 0; r < ranks; r++) pthread_join(threads[r], NULL);
    size_t sent = office.sent;
    office_close(&office);
    return sent;
}

static size_t train(rank_job *jobs, int ranks, bool background, const cn_dataset *data,
                    const cn_fit_opts *opts, void (*change)(int rank, rank_job *job))
{
    return train_on(jobs, ranks, background, false, data, opts, change);
}

static void free_jobs(rank_job *jobs, int ranks)
{
    for (int r = 0; r < ranks; r++) cn_model_free(jobs[r].model);
}

/* The same model and the same figures from one process and from ranks, which share memory or do
 * not. */
static void check_ranks(const fixture *f, const cn_fit_opts *opts, int ranks, bool background)
{
    cn_error err = {CN_OK, ""};
    cn_progress last;
    rank_job jobs[RANKS_MOST];
    cn_model *alone = network();
    if (cn_fit(alone, f->data, opts, &last, &err) != CN_OK) fail_msg("%s", err.text);
    for (int shares = 0; shares < 2; shares++) {
        train_on(jobs, ranks, background, shares, f->data, opts, NULL);
        for (int r = 0; r < ranks; r++) {
            if (jobs[r].status != CN_OK) fail_msg("%d of %d: %s", r, ranks, jobs[r].err.text);
            assert_same(alone, jobs[r].model);
            assert_true(jobs[r].last.train_loss == last.train_loss);
            assert_true(jobs[r].last.train_accuracy == last.train_accuracy);
            if (opts->valid) assert_true(jobs[r].last.valid_loss == last.valid_loss);
        }
        free_jobs(jobs, ranks);
    }
    cn_model_free(alone);
}

/* ---- the bits of one process */

static void test_any_number_of_ranks_gives_the_same_bits(void **state)
{
    const fixture *f = *state;
    const cn_fit_opts opts = options(f);
    for (int ranks = 1; ranks <= SHARDS; ranks++) check_ranks(f, &opts, ranks, ranks % 2 == 0);
}

static void test_a_number_of_shards_that_is_no_power_of_two(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    opts.batch = 12;
    opts.shards = 6;
    for (int ranks = 2; ranks <= 5; ranks++) check_ranks(f, &opts, ranks, true);
}

static void test_all_that_a_step_may_do_on_several_ranks(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    opts.accumulate = 2;
    opts.augment = (cn_augment){.flip = CN_FLIP_RANDOM, .crop = 1, .mixup = 0.4};
    opts.average.kind = CN_AVERAGE_EMA;
    opts.optimizer = (cn_optimizer){.kind = CN_OPTIMIZER_ADAMW, .clip_norm = 0.5};
    opts.best.keep = true;
    check_ranks(f, &opts, 3, true);
    opts.threads = 2;
    check_ranks(f, &opts, 2, false);
}

static void test_synchronized_batch_norms_on_any_number_of_ranks(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    opts.sync_batch_norm = true;
    opts.epochs = 1;
    for (int ranks = 1; ranks <= SHARDS; ranks++) check_ranks(f, &opts, ranks, ranks % 2 == 0);
    opts.threads = 2;
    check_ranks(f, &opts, 2, true);
    opts.threads = 1;
    opts.batch = 12;
    opts.shards = 6;
    check_ranks(f, &opts, 5, true);
}

/* The last batch of an epoch, of 3 images, leaves ranks without any. */
static void test_all_that_a_step_with_synchronized_batch_norms_may_do(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    opts.sync_batch_norm = true;
    opts.batch = 24;
    opts.accumulate = 3;
    opts.augment = (cn_augment){.flip = CN_FLIP_RANDOM, .crop = 1, .mixup = 0.4};
    opts.average.kind = CN_AVERAGE_EMA;
    opts.optimizer = (cn_optimizer){.kind = CN_OPTIMIZER_ADAMW, .clip_norm = 0.5};
    opts.best.keep = true;
    check_ranks(f, &opts, 3, true);
    check_ranks(f, &opts, 8, true);
    opts.threads = 2;
    check_ranks(f, &opts, 2, false);
}

/* `user` is the model. */
static bool halve_weights_once(const cn_progress *p, void *user)
{
    cn_model *model = user;
    if (p->epoch != 1 || p->step != 2 || p->epoch_end) return false;
    for (size_t i = 0; i < model->trained_size; i++) model->block[i] /= 2;
    cn_model_weights_changed(model);
    return false;
}

static void give_its_model(int rank, rank_job *job)
{
    (void)rank;
    job->opts.user = job->model;
}

/* What ranks have packed for each other is out of date then. */
static void test_weights_that_a_callback_changes(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    rank_job jobs[RANKS_MOST];
    cn_model *alone = network();
    opts.progress = halve_weights_once;
    opts.user = alone;
    assert_int_equal(cn_fit(alone, f->data, &opts, NULL, NULL), CN_OK);
    for (int shares = 0; shares < 2; shares++) {
        train_on(jobs, 2, true, shares, f->data, &opts, give_its_model);
        for (int r = 0; r < 2; r++) {
            assert_int_equal(jobs[r].status, CN_OK);
            assert_same(alone, jobs[r].model);
        }
        free_jobs(jobs, 2);
    }
    cn_model_free(alone);
}

static void give_it_threads(int rank, rank_job *job)
{
    job->opts.threads = 1 + rank % 2;
}

/* They may have planned other ways to pack weights, and pack their own. */
static void test_ranks_with_different_threads(void **state)
{
    const fixture *f = *state;
    const cn_fit_opts opts = options(f);
    rank_job jobs[RANKS_MOST];
    cn_model *alone = network();
    assert_int_equal(cn_fit(alone, f->data, &opts, NULL, NULL), CN_OK);
    train_on(jobs, 3, true, true, f->data, &opts, give_it_threads);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(jobs[r].status, CN_OK);
        assert_same(alone, jobs[r].model);
    }
    free_jobs(jobs, 3);
    cn_model_free(alone);
}

/* In float32 sums of the reference backend's doubles. */
static void test_the_reference_backend_on_several_ranks(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    opts.backend = "reference";
    opts.epochs = 1;
    opts.valid = NULL;
    check_ranks(f, &opts, 3, true);
}

static void test_a_rank_sends_as_much_as_a_ring_would(void **state)
{
    const fixture *f = *state;
    rank_job jobs[RANKS_MOST];
    cn_fit_opts opts = options(f);
    opts.valid = NULL;
    opts.epochs = 1;
    for (int ranks = 2; ranks <= 8; ranks *= 2) {
        size_t sent = train(jobs, ranks, true, f->data, &opts, NULL);
        double steps = (IMAGES + BATCH - 1) / BATCH, n = (double)ranks;
        double bytes = (double)(jobs[0].model->block_size * sizeof(float));
        double ideal = 2 * (n - 1) / n * bytes * n * steps;
        /* Besides, each rank tells all others the figures of its shards, 200 bytes at most, and, at
         * the start, what it begins with. */
        double figures = (n - 1) * n * (200 * (steps + 2) + 8 * (CN_STATE_MOST + 2));
        assert_true((double)sent >= ideal);
        assert_true((double)sent <= ideal + figures);
        free_jobs(jobs, ranks);
    }
}

/* ---- errors */

static void test_ranks_that_do_not_fit(void **state)
{
    const fixture *f = *state;
    rank_job jobs[RANKS_MOST];
    cn_fit_opts opts = options(f);
    opts.shards = 2;
    train(jobs, 3, true, f->data, &opts, NULL);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(jobs[r].status, CN_ERR_ARGUMENT);
        assert_string_equal(jobs[r].err.text,
                            "fit: 3 ranks share out 2 shards, expected as many shards or more");
    }
    free_jobs(jobs, 3);
}

static void spoil(int rank, rank_job *job)
{
    if (rank == 1) job->opts.batch = -5;
}

static void give_other_data(int rank, rank_job *job)
{
    if (rank == 2) job->data = job->opts.valid;
}

static void give_another_rate(int rank, rank_job *job)
{
    if (rank == 1) job->opts.learning_rate *= 2;
}

static void synchronize(int rank, rank_job *job)
{
    if (rank == 1) job->opts.sync_batch_norm = true;
}

static void give_another_weight(int rank, rank_job *job)
{
    if (rank == 1) job->model->block[0] += 1;
}

static void test_ranks_that_do_not_begin_alike(void **state)
{
    const fixture *f = *state;
    const cn_fit_opts opts = options(f);
    const struct {
        void (*change)(int rank, rank_job *job);
        const char *error;
    } rows[] = {
        {give_another_rate, "fit: rank 1 does not begin like rank 0: learning rate"},
        {synchronize, "fit: rank 1 does not begin like rank 0: synchronized batch norms"},
        {give_other_data, "fit: rank 2 does not begin like rank 0: training images"},
        {give_another_weight, "fit: rank 1 does not begin like rank 0: the model's parameters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rank_job jobs[RANKS_MOST];
        train(jobs, 3, true, f->data, &opts, rows[i].change);
        for (int r = 0; r < 3; r++) {
            assert_int_equal(jobs[r].status, CN_ERR_ARGUMENT);
            assert_string_equal(jobs[r].err.text, rows[i].error);
        }
        free_jobs(jobs, 3);
    }
}

static bool stop_at_step_2(const cn_progress *p, void *user)
{
    (void)user;
    return p->step == 2;
}

static void stop_rank_2(int rank, rank_job *job)
{
    if (rank == 2) job->opts.progress = stop_at_step_2;
}

static void test_an_error_or_a_stop_of_one_rank_is_that_of_all(void **state)
{
    const fixture *f = *state;
    rank_job jobs[RANKS_MOST];
    cn_fit_opts opts = options(f);
    train(jobs, 3, true, f->data, &opts, spoil);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(jobs[r].status, CN_ERR_ARGUMENT);
        assert_string_equal(jobs[r].err.text,
                            "rank 1 of 3: fit: a batch of -5, expected at least 1");
    }
    free_jobs(jobs, 3);
    train(jobs, 3, true, f->data, &opts, stop_rank_2);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(jobs[r].status, CN_ERR_STOPPED);
        assert_int_equal(jobs[r].last.step, 2);
        assert_same(jobs[0].model, jobs[r].model);
    }
    free_jobs(jobs, 3);
}

static void test_a_loss_that_is_not_finite_ends_all_ranks(void **state)
{
    const fixture *f = *state;
    rank_job jobs[RANKS_MOST];
    cn_fit_opts opts = options(f);
    opts.learning_rate = 1e30;
    opts.epochs = 1;
    for (int i = 0; i < 3; i++) {
        opts.sync_batch_norm = i == 1;
        train_on(jobs, 2, true, i == 2, f->data, &opts, NULL);
        for (int r = 0; r < 2; r++) {
            assert_int_equal(jobs[r].status, CN_ERR_DIVERGED);
            assert_string_equal(jobs[r].err.text, jobs[0].err.text);
            assert_non_null(strstr(jobs[r].err.text, "fit: "));
        }
        free_jobs(jobs, 2);
    }
}

/* ---- checkpoints */

static bool stop_at_step_3(const cn_progress *p, void *user)
{
    (void)user;
    return p->epoch == 2 && p->step == 3;
}

static void test_another_number_of_ranks_goes_on_with_the_same_bits(void **state)
{
    const fixture *f = *state;
    cn_error err;
    rank_job jobs[RANKS_MOST];
    cn_model *whole = network();
    cn_fit_opts opts = options(f);
    for (int before = 1; before <= 3; before++) {
        opts.sync_batch_norm = before == 2;
        cn_model_free(whole);
        whole = network();
        assert_int_equal(cn_fit(whole, f->data, &opts, NULL, NULL), CN_OK);
        opts.progress = stop_at_step_3;
        opts.checkpoint.path = f->file;
        train_on(jobs, before, true, before > 1, f->data, &opts, NULL);
        for (int r = 0; r < before; r++) assert_int_equal(jobs[r].status, CN_ERR_STOPPED);
        free_jobs(jobs, before);
        opts.progress = NULL;
        opts.checkpoint.path = NULL;
        opts.resume = f->file;
        train_on(jobs, 4 - before, true, before == 1, f->data, &opts, NULL);
        for (int r = 0; r < 4 - before; r++) {
            if (jobs[r].status != CN_OK) fail_msg("%s", jobs[r].err.text);
            assert_same(whole, jobs[r].model);
        }
        free_jobs(jobs, 4 - before);
        opts.resume = NULL;
    }
    opts.resume = f->file;
    opts.shards = 4;
    assert_int_equal(cn_fit(whole, f->data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "shards: the training began with 8, found 4"));
    cn_model_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_number_of_ranks_gives_the_same_bits),
        cmocka_unit_test(test_a_number_of_shards_that_is_no_power_of_two),
        cmocka_unit_test(test_all_that_a_step_may_do_on_several_ranks),
        cmocka_unit_test(test_synchronized_batch_norms_on_any_number_of_ranks),
        cmocka_unit_test(test_all_that_a_step_with_synchronized_batch_norms_may_do),
        cmocka_unit_test(test_weights_that_a_callback_changes),
        cmocka_unit_test(test_ranks_with_different_threads),
        cmocka_unit_test(test_the_reference_backend_on_several_ranks),
        cmocka_unit_test(test_a_rank_sends_as_much_as_a_ring_would),
        cmocka_unit_test(test_ranks_that_do_not_fit),
        cmocka_unit_test(test_ranks_that_do_not_begin_alike),
        cmocka_unit_test(test_an_error_or_a_stop_of_one_rank_is_that_of_all),
        cmocka_unit_test(test_a_loss_that_is_not_finite_ends_all_ranks),
        cmocka_unit_test(test_another_number_of_ranks_goes_on_with_the_same_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

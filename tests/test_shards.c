/* Batches in shards: one process and several ranks, here threads, end with the same bits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <math.h>

#include "files.h"
#include "model/model.h"
#include "rank_threads.h"
#include "train/shards.h"

enum { SHARDS = 8, BATCH = 16, IMAGES = 75, VALID = 30 };

typedef struct fixture {
    char folder[FILES_PATH], file[FILES_PATH];
    cn_dataset *data, *valid;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    cn_dataset *all = NULL;
    files_make_folder(f.folder);
    files_join(f.file, f.folder, "a.checkpoint");
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.data, all, 0, IMAGES, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.valid, all, IMAGES, VALID, NULL), CN_OK);
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

static cn_model *network(void)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model,
                       "conv 6 3x3 same, batchnorm, relu, maxpool 2, dropout 0.2, conv 8 3x3 same, "
                       "batchnorm, relu, dense classes",
                       (int[]){8, 8, 1}, 10, 3, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

static cn_fit_opts options(const fixture *f)
{
    return (cn_fit_opts){.epochs = 2,
                         .batch = BATCH,
                         .shards = SHARDS,
                         .threads = 1,
                         .seed = 4,
                         .learning_rate = 0.01,
                         .valid = f->valid};
}

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

static void assert_same(const cn_model *a, const cn_model *b)
{
    assert_int_equal(a->block_size, b->block_size);
    assert_memory_equal(a->block, b->block, a->block_size * sizeof *a->block);
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

/* ---- the tree */

/* The sum of leaves from .. from + 2^level - 1, written from the definition. */
static float sum_of(const float *leaves, int n, int level, int from)
{
    if (level == 0) return leaves[from];
    int middle = from + (1 << (level - 1));
    float left = sum_of(leaves, n, level - 1, from);
    return middle < n ? left + sum_of(leaves, n, level - 1, middle) : left;
}

/* By cn_tree_push, of the nodes that a tree of leaves first .. end-1 leaves open. */
static int open_sums(const float *leaves, int n, int first, int end, cn_tree *tree, float *sums)
{
    *tree = (cn_tree){.leaves = n};
    for (int k = first; k < end; k++) {
        int at = tree->depth;
        sums[at] = leaves[k];
        for (int j = cn_tree_push(tree, (cn_tree_node){0, k}); j > 0; j--, at--)
            sums[at - 1] += sums[at];
    }
    return tree->depth;
}

static void test_a_sum_does_not_depend_on_how_its_leaves_are_shared_out(void **state)
{
    enum { MOST = 40 };
    float leaves[MOST];
    (void)state;
    for (int i = 0; i < MOST; i++) leaves[i] = 1 / (1 + (float)i);
    for (int n = 1; n <= MOST; n++)
        for (int ranks = 1; ranks <= n; ranks++) {
            int level = 0;
            while (1 << level < n) level++;
            cn_tree whole = {.leaves = n};
            float sums[CN_TREE_DEPTH];
            for (int r = 0; r < ranks; r++) {
                cn_tree part;
                float parts[CN_TREE_DEPTH];
                int count = open_sums(leaves, n, cn_group_first(n, r, ranks),
                                      cn_group_first(n, r + 1, ranks), &part, parts);
                for (int i = 0; i < count; i++) {
                    int at = whole.depth;
                    sums[at] = parts[i];
                    for (int j = cn_tree_push(&whole, part.open[i]); j > 0; j--, at--)
                        sums[at - 1] += sums[at];
                }
            }
            assert_int_equal(whole.depth, 1);
            assert_true(sums[0] == sum_of(leaves, n, level, 0));
        }
}

/* ---- one process */

/* Without batch norm a step with shards is the step without, but for roundings. */
static void test_shards_follow_the_gradient_of_the_whole_batch(void **state)
{
    const fixture *f = *state;
    cn_error err = {CN_OK, ""};
    cn_model *whole = NULL, *cut = NULL;
    const float weights[10] = {1, 2, 3, 1, 1, 1, 0.5F, 1, 1, 4};
    cn_fit_opts opts = options(f);
    opts.loss.class_weights = weights;
    opts.optimizer.kind = CN_OPTIMIZER_SGD;
    for (int shards = 1; shards <= 8; shards = 8 * shards) {
        cn_model **model = shards == 1 ? &whole : &cut;
        assert_int_equal(cn_model_parse(model, "conv 6 3x3 same, relu, maxpool 2, dense classes",
                                        (int[]){8, 8, 1}, 10, 3, NULL),
                         CN_OK);
        opts.shards = shards;
        if (cn_fit(*model, f->data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    }
    assert_true(memcmp(whole->block, cut->block, whole->block_size * sizeof(float)) != 0);
    for (size_t i = 0; i < whole->block_size; i++)
        assert_float_equal(whole->block[i], cut->block[i], 1e-5); /* ten steps of about 1e-7 */
    cn_model_free(whole);
    cn_model_free(cut);
}

static void test_one_shard_is_no_shards(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    cn_model *none = network(), *one = network();
    opts.shards = 0;
    assert_int_equal(cn_fit(none, f->data, &opts, NULL, NULL), CN_OK);
    opts.shards = 1;
    assert_int_equal(cn_fit(one, f->data, &opts, NULL, NULL), CN_OK);
    assert_same(none, one);
    cn_model_free(none);
    cn_model_free(one);
}

/* A running mean is the mean of those that the shards leave. */
static void test_batch_norm_statistics_are_the_mean_over_the_shards(void **state)
{
    const fixture *f = *state;
    static const char text[] = "batchnorm, dense classes";
    cn_model *cut = NULL, *part = NULL;
    cn_dataset *data = NULL;
    double mean = 0, var = 0;
    cn_fit_opts opts = options(f);
    cn_parameter p;
    opts.epochs = 1;
    opts.valid = NULL;
    opts.no_shuffle = true;
    assert_int_equal(cn_dataset_slice(&data, f->data, 0, BATCH, NULL), CN_OK);
    assert_int_equal(cn_model_parse(&cut, text, (int[]){8, 8, 1}, 10, 3, NULL), CN_OK);
    opts.shards = 2;
    assert_int_equal(cn_fit(cut, data, &opts, NULL, NULL), CN_OK);
    cn_dataset_free(data);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(cn_dataset_slice(&data, f->data, k * 8, 8, NULL), CN_OK);
        assert_int_equal(cn_model_parse(&part, text, (int[]){8, 8, 1}, 10, 3, NULL), CN_OK);
        opts.shards = 1;
        opts.batch = 8;
        assert_int_equal(cn_fit(part, data, &opts, NULL, NULL), CN_OK);
        for (int i = 0; cn_model_parameter(part, i, &p); i++) {
            if (strstr(p.name, "running_mean")) mean += (double)*(float *)p.value.data / 2;
            if (strstr(p.name, "running_var")) var += (double)*(float *)p.value.data / 2;
        }
        cn_model_free(part);
        cn_dataset_free(data);
    }
    for (int i = 0; cn_model_parameter(cut, i, &p); i++) {
        if (strstr(p.name, "running_mean")) assert_float_equal(*(float *)p.value.data, mean, 1e-6);
        if (strstr(p.name, "running_var")) assert_float_equal(*(float *)p.value.data, var, 1e-6);
    }
    cn_model_free(cut);
}

/* ---- ranks */

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

/* ---- synchronized batch norms */

static const char normed[] = "conv 6 3x3 same, batchnorm, relu, maxpool 2, conv 8 3x3 same, "
                             "batchnorm, relu, dense 12, batchnorm, dense classes";

/* A training of a few steps, from the same weights. */
static cn_model *train_normed(const fixture *f, cn_fit_opts opts)
{
    cn_error err;
    cn_model *model = NULL;
    opts.epochs = 1;
    opts.valid = NULL;
    opts.learning_rate = 0.02;
    opts.optimizer.kind = CN_OPTIMIZER_SGD;
    assert_int_equal(cn_model_parse(&model, normed, (int[]){8, 8, 1}, 10, 3, NULL), CN_OK);
    if (cn_fit(model, f->data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    return model;
}

/* The largest difference of two models' parameters and buffers. */
static float distance(const cn_model *a, const cn_model *b)
{
    float most = 0;
    for (size_t i = 0; i < a->block_size; i++) most = fmaxf(most, fabsf(a->block[i] - b->block[i]));
    return most;
}

/* The layer over all shards is the layer over the batch, in both passes: five steps end where those
 * of one shard do, by the kernels and by the twins in double, and where shards by themselves do
 * not. The last batch, of 11, leaves shards of one image. */
static void test_synchronized_batch_norms_are_those_of_the_whole_batch(void **state)
{
    const fixture *f = *state;
    cn_fit_opts opts = options(f);
    cn_model *apart = NULL, *together = NULL;
    opts.shards = 1;
    cn_model *whole = train_normed(f, opts);
    opts.backend = "reference";
    cn_model *twin = train_normed(f, opts);
    opts.backend = NULL;
    opts.shards = 4;
    apart = train_normed(f, opts);
    opts.sync_batch_norm = true;
    opts.shards = SHARDS;
    together = train_normed(f, opts);
    assert_true(distance(whole, together) < 1e-5F);
    assert_true(distance(twin, together) < 1e-5F);
    assert_true(distance(whole, apart) > 1e-2F);
    cn_model_free(whole);
    cn_model_free(twin);
    cn_model_free(apart);
    cn_model_free(together);
}

/* A batch that is not cut is synchronized; so is a network without batch norms. */
static void test_what_there_is_nothing_to_synchronize_in(void **state)
{
    const fixture *f = *state;
    const char *const texts[] = {normed, "conv 6 3x3 same, relu, maxpool 2, dense classes"};
    for (int i = 0; i < 2; i++) {
        cn_model *models[2] = {NULL};
        cn_fit_opts opts = options(f);
        opts.accumulate = 2;
        opts.shards = i == 0 ? 1 : SHARDS;
        for (int sync = 0; sync < 2; sync++) {
            opts.sync_batch_norm = sync;
            assert_int_equal(cn_model_parse(&models[sync], texts[i], (int[]){8, 8, 1}, 10, 3, NULL),
                             CN_OK);
            assert_int_equal(cn_fit(models[sync], f->data, &opts, NULL, NULL), CN_OK);
        }
        assert_same(models[0], models[1]);
        cn_model_free(models[0]);
        cn_model_free(models[1]);
    }
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

/* ---- errors */

static void test_the_reference_backend_has_no_synchronized_batch_norms(void **state)
{
    const fixture *f = *state;
    cn_error err;
    cn_model *model = network();
    cn_fit_opts opts = options(f);
    opts.backend = "reference";
    opts.sync_batch_norm = true;
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, &err), CN_ERR_UNSUPPORTED);
    assert_string_equal(err.text, "fit: the backend reference has no batch norm over several "
                                  "shards, expected cpu, or 1 shard");
    cn_model_free(model);
}

/* Of one value per channel and shard there is no batch norm, but there is of the whole batch. */
static void test_shards_of_one_image(void **state)
{
    const fixture *f = *state;
    cn_error err;
    cn_model *model = NULL;
    cn_fit_opts opts = options(f);
    opts.batch = SHARDS;
    opts.epochs = 1;
    assert_int_equal(
        cn_model_parse(&model, "dense 12, batchnorm, dense classes", (int[]){8, 8, 1}, 10, 3, NULL),
        CN_OK);
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "one value per channel in a batch of 1"));
    opts.sync_batch_norm = true;
    if (cn_fit(model, f->data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    cn_model_free(model);
}

static void test_shards_and_ranks_that_do_not_fit(void **state)
{
    const fixture *f = *state;
    cn_error err;
    rank_job jobs[RANKS_MOST];
    cn_model *model = network();
    cn_fit_opts opts = options(f);
    opts.shards = 3;
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "fit: a batch of 16 cannot be cut into 3 shards of equal size");
    opts.shards = -1;
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "fit: -1 shards, expected 1 to 4096");
    opts.shards = 2;
    train(jobs, 3, true, f->data, &opts, NULL);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(jobs[r].status, CN_ERR_ARGUMENT);
        assert_string_equal(jobs[r].err.text,
                            "fit: 3 ranks share out 2 shards, expected as many shards or more");
    }
    free_jobs(jobs, 3);
    cn_model_free(model);
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
        cmocka_unit_test(test_a_sum_does_not_depend_on_how_its_leaves_are_shared_out),
        cmocka_unit_test(test_shards_follow_the_gradient_of_the_whole_batch),
        cmocka_unit_test(test_one_shard_is_no_shards),
        cmocka_unit_test(test_batch_norm_statistics_are_the_mean_over_the_shards),
        cmocka_unit_test(test_any_number_of_ranks_gives_the_same_bits),
        cmocka_unit_test(test_a_number_of_shards_that_is_no_power_of_two),
        cmocka_unit_test(test_all_that_a_step_may_do_on_several_ranks),
        cmocka_unit_test(test_weights_that_a_callback_changes),
        cmocka_unit_test(test_ranks_with_different_threads),
        cmocka_unit_test(test_the_reference_backend_on_several_ranks),
        cmocka_unit_test(test_a_rank_sends_as_much_as_a_ring_would),
        cmocka_unit_test(test_synchronized_batch_norms_are_those_of_the_whole_batch),
        cmocka_unit_test(test_what_there_is_nothing_to_synchronize_in),
        cmocka_unit_test(test_synchronized_batch_norms_on_any_number_of_ranks),
        cmocka_unit_test(test_all_that_a_step_with_synchronized_batch_norms_may_do),
        cmocka_unit_test(test_the_reference_backend_has_no_synchronized_batch_norms),
        cmocka_unit_test(test_shards_of_one_image),
        cmocka_unit_test(test_shards_and_ranks_that_do_not_fit),
        cmocka_unit_test(test_ranks_that_do_not_begin_alike),
        cmocka_unit_test(test_an_error_or_a_stop_of_one_rank_is_that_of_all),
        cmocka_unit_test(test_a_loss_that_is_not_finite_ends_all_ranks),
        cmocka_unit_test(test_another_number_of_ranks_goes_on_with_the_same_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

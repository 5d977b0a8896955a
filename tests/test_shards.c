/* Batches in shards: their sums, and trainings of one process. */
#include "shard_training.h"

#include <math.h>

#include "train/shards.h"

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

/* ---- shards */

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

static void test_shards_that_do_not_fit(void **state)
{
    const fixture *f = *state;
    cn_error err;
    cn_model *model = network();
    cn_fit_opts opts = options(f);
    opts.shards = 3;
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "fit: a batch of 16 cannot be cut into 3 shards of equal size");
    opts.shards = -1;
    assert_int_equal(cn_fit(model, f->data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "fit: -1 shards, expected 1 to 4096");
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sum_does_not_depend_on_how_its_leaves_are_shared_out),
        cmocka_unit_test(test_shards_follow_the_gradient_of_the_whole_batch),
        cmocka_unit_test(test_one_shard_is_no_shards),
        cmocka_unit_test(test_batch_norm_statistics_are_the_mean_over_the_shards),
        cmocka_unit_test(test_synchronized_batch_norms_are_those_of_the_whole_batch),
        cmocka_unit_test(test_what_there_is_nothing_to_synchronize_in),
        cmocka_unit_test(test_the_reference_backend_has_no_synchronized_batch_norms),
        cmocka_unit_test(test_shards_of_one_image),
        cmocka_unit_test(test_shards_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

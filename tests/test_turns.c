/*
 * test_turns.c - less memory for the same numbers: weights packed layer by layer, and a validation in
 * the memory of the training that it interrupts.
 */
#include "networks.h"

#include "train/train.h"

static const char *const texts[] = {
    "conv 16 3x3 same, batchnorm, relu as a, conv 16 3x3 same, batchnorm, add a, relu, "
    "conv 16 3x3 stride 2, batchnorm, relu, dense 8, relu, dense 3",
    "batchnorm, conv 6 3x3 same groups 2, relu, depthwise 3x3, batchnorm, convtranspose 4 2x2 "
    "stride 2, "
    "dropout 0.3, gap, dense 3",
};
enum { NETWORKS = sizeof texts / sizeof *texts, STEPS = 3 };

static void learn(cn_session *s, const batch *b)
{
    double loss;
    assert_int_equal(cn_session_forward(s, &b->X, NULL), CN_OK);
    assert_int_equal(cn_session_loss(s, &b->Y, &loss, NULL), CN_OK);
    assert_int_equal(cn_session_backward(s, NULL), CN_OK);
    assert_int_equal(cn_session_step(s, 0.1, NULL), CN_OK);
}

static void expect_outputs(cn_session *a, cn_session *b, const batch *examples)
{
    assert_int_equal(cn_session_forward(a, &examples->X, NULL), CN_OK);
    assert_int_equal(cn_session_forward(b, &examples->X, NULL), CN_OK);
    const cn_tensor y = cn_session_output(a), z = cn_session_output(b);
    assert_memory_equal(y.data, z.data, cn_tensor_count(&y) * sizeof(float));
}

static void expect_same_weights(const cn_model *a, const cn_model *b)
{
    assert_int_equal(a->block_size, b->block_size);
    assert_memory_equal(a->block, b->block, a->block_size * sizeof(float));
}

static void repacking_takes_less_memory_and_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < NETWORKS; i++)
        for (int training = 0; training < 2; training++) {
            cn_model *m[2] = {parse(texts[i]), parse(texts[i])};
            cn_session_opts opts = {.batch = 5, .threads = 2, .training = training};
            cn_memory kept, repacked;
            batch b;
            make_batch(&b, 5, 3);
            assert_int_equal(cn_session_memory(m[0], &opts, &kept, NULL), CN_OK);
            cn_session *s = create(m[0], opts);
            opts.repack = true;
            assert_int_equal(cn_session_memory(m[1], &opts, &repacked, NULL), CN_OK);
            assert_true(repacked.workspace < kept.workspace);
            assert_int_equal(repacked.activations, kept.activations);
            cn_session *r = create(m[1], opts);
            for (int k = 0; training && k < STEPS; k++) learn(s, &b), learn(r, &b);
            expect_outputs(s, r, &b);
            expect_same_weights(m[0], m[1]);
            cn_session_free(s);
            cn_session_free(r);
            for (int k = 0; k < 2; k++) cn_model_free(m[k]);
        }
}

/* Training and validation in one memory, and in two: with weights that are kept, and repacked; with a
 * batch to validate on that fits into the training's memory, and one that makes it grow. */
static void a_validation_in_a_trainings_memory_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * NETWORKS; i++) {
        cn_model *m[2] = {parse(texts[i % NETWORKS]), parse(texts[i % NETWORKS])};
        const bool large = i / NETWORKS % 2, repack = i / NETWORKS / 2;
        const cn_session_opts train = {
            .batch = 5, .threads = 2, .training = true, .repack = repack};
        const cn_session_opts look = {.batch = large ? 64 : 3, .threads = 2};
        cn_session *apart = NULL, *inside = NULL;
        batch b, few;
        make_batch(&b, 5, 3);
        make_batch(&few, 3, 3);
        cn_session *s = create(m[0], train), *lender = create(m[1], train);
        assert_int_equal(cn_session_create_inference(&apart, m[0], &look, NULL), CN_OK);
        assert_int_equal(cn_session_create_inference_in(&inside, lender, &look, NULL), CN_OK);
        for (int k = 0; k < STEPS; k++) {
            learn(s, &b);
            learn(lender, &b);
            expect_outputs(apart, inside, &few);
            expect_outputs(apart, inside, &few);
        }
        expect_outputs(s, lender, &b);
        expect_same_weights(m[0], m[1]);
        /* What the other has overwritten is no result. */
        assert_int_equal(cn_session_forward(inside, &few.X, NULL), CN_OK);
        assert_null(cn_session_output(lender).data);
        cn_session_free(apart);
        cn_session_free(inside);
        cn_session_free(s);
        cn_session_free(lender);
        for (int k = 0; k < 2; k++) cn_model_free(m[k]);
    }
}

/* What cn_fit takes for resnet18 at 64 x 64, beside the data. Parameters, gradients and momentum are 43 MiB
 * each. */
static void a_validation_costs_a_training_no_memory(void **state)
{
    const size_t MiB = (size_t)1 << 20;
    cn_fit_opts fit = {
        .batch = 32, .threads = 2, .optimizer = {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9}};
    cn_model *m = NULL;
    cn_memory alone, both, kept;
    (void)state;
    assert_int_equal(cn_model_parse_shapes(&m, "resnet18", (int[]){64, 64, 3}, 10, NULL), CN_OK);
    cn_fit_options_complete(&fit, 1000, CN_TASK_CLASSIFICATION);
    cn_session_opts train = cn_fit_session_opts(&fit), look = cn_fit_validation_opts(&fit);
    assert_int_equal(cn_session_memory(m, &train, &alone, NULL), CN_OK);
    assert_int_equal(cn_session_shared_memory(m, &train, &look, &both, NULL), CN_OK);
    assert_int_equal(both.total, alone.total);
    assert_int_equal(both.optimizer, both.gradients);
    assert_true(both.total < 220 * MiB);
    /* Gradients that are summed over several forwards keep packed weights between them. */
    fit.accumulate = 2;
    train = cn_fit_session_opts(&fit);
    assert_int_equal(cn_session_memory(m, &train, &kept, NULL), CN_OK);
    assert_true(kept.workspace > alone.workspace + 20 * MiB);
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repacking_takes_less_memory_and_changes_no_bit),
        cmocka_unit_test(a_validation_in_a_trainings_memory_changes_no_bit),
        cmocka_unit_test(a_validation_costs_a_training_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

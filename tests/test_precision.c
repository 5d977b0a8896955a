/* test_precision.c - sessions and trainings whose products are of bf16, beside those in float32. */
#include "networks.h"

#include "files.h"
#include "train/train.h"

/* Half the distance between 1 and the next bf16: the relative error of one rounding. */
#define BF16_ROUNDING 0x1p-8

/* ---- sessions */

/* Squares summed over all gradients: of those in float32, and of what the others differ by. */
typedef struct sums {
    double all, off;
} sums;

static void compare_gradients(const cn_session *exact, const cn_session *rounded, sums *s)
{
    cn_parameter a, b;
    for (int i = 0; cn_session_gradient(exact, i, &a) && cn_session_gradient(rounded, i, &b); i++)
        for (size_t k = 0; k < cn_tensor_count(&a.value); k++) {
            const double x = (double)((const float *)a.value.data)[k];
            const double y = (double)((const float *)b.value.data)[k];
            s->all += x * x;
            s->off += (x - y) * (x - y);
        }
}

/* Every number of a network is a few products away from rounded ones, so errors are a few
 * roundings, and unless nothing is rounded, not zero. */
static void gradients_are_float32s_but_for_roundings(void **state)
{
    static const char *const texts[] = {
        "conv 20 5x5 same, relu, maxpool 2, conv 33 3x3 stride 2, relu, dense 40, relu, dense 3",
        "conv 48 1x1, relu, conv 24 1x1 stride 2, relu, dense 3",
        "conv 24 3x3 dilation 2, relu, convtranspose 20 3x3 stride 2, relu, dense 3",
        "conv 40 2x3 groups 2, depthwise 3x3 same, conv 17 1x1, relu, gap, dense 3",
    };
    static batch b;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cn_session_opts opts = {.batch = MOST, .training = true};
        cn_model *m = parse(texts[i]);
        cn_session *exact = create(m, opts);
        opts.precision = CN_PRECISION_BF16;
        cn_session *rounded = create(m, opts);
        make_batch(&b, MOST, 3);
        const double loss = forward_loss(exact, &b), other = forward_loss(rounded, &b);
        assert_int_equal(cn_session_backward(exact, NULL), CN_OK);
        assert_int_equal(cn_session_backward(rounded, NULL), CN_OK);
        sums s = {0, 0};
        compare_gradients(exact, rounded, &s);
        const double error = sqrt(s.off / s.all);
        if (!(error > BF16_ROUNDING / 16 && error < 8 * BF16_ROUNDING &&
              fabs(loss - other) < 4 * BF16_ROUNDING * loss))
            fail_msg("%s: gradients differ by %g, losses %g and %g", texts[i], error, loss, other);
        cn_session_free(exact);
        cn_session_free(rounded);
        cn_model_free(m);
    }
}

static void threads_do_not_change_the_bits(void **state)
{
    static batch b;
    float *first = NULL;
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        cn_model *m = parse("conv 20 5x5 same, relu, conv 70 3x3 stride 2, relu, conv 9 1x1, dense "
                            "40, relu, dense 3");
        cn_session *s = create(m, (cn_session_opts){.batch = MOST,
                                                    .threads = threads,
                                                    .training = true,
                                                    .precision = CN_PRECISION_BF16});
        for (int step = 0; step < 3; step++) {
            forward_loss(s, make_batch(&b, MOST - step, 3));
            assert_int_equal(cn_session_backward(s, NULL), CN_OK);
            assert_int_equal(cn_session_step(s, 0.1, NULL), CN_OK);
        }
        const size_t bytes = m->block_size * sizeof *m->block;
        if (!first) {
            first = malloc(bytes);
            assert_non_null(first);
            memcpy(first, m->block, bytes);
        }
        assert_memory_equal(first, m->block, bytes);
        cn_session_free(s);
        cn_model_free(m);
    }
    free(first);
}

static void an_unknown_precision_is_refused(void **state)
{
    cn_error err;
    cn_session *s = NULL;
    cn_model *m = parse("dense 3");
    (void)state;
    const cn_session_opts opts = {.precision = (cn_precision)2};
    assert_int_equal(cn_session_create(&s, m, &opts, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "session: precision 2, expected F32 (0) or BF16 (1)");
    cn_model_free(m);
}

/* ---- trainings */

static cn_dataset *load(const char *spec, cn_subset split, int most)
{
    cn_dataset *all = NULL, *data = NULL;
    cn_error err;
    if (cn_dataset_load(&all, spec, split, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    const int size = cn_dataset_size(all) < most ? cn_dataset_size(all) : most;
    assert_int_equal(cn_dataset_slice(&data, all, 0, size, NULL), CN_OK);
    cn_dataset_free(all);
    return data;
}

static cn_model *network(const char *text, const cn_dataset *data)
{
    cn_model *m = NULL;
    cn_error err;
    if (cn_model_parse(&m, text, cn_dataset_shape(data), cn_dataset_classes(data), 1, &err) !=
        CN_OK)
        fail_msg("%s", err.text);
    return m;
}

/* Accuracy on the test set after a training, measured with the same precision. */
static double accuracy(const char *text, const cn_dataset *data, const cn_dataset *test, int epochs,
                       cn_precision precision)
{
    cn_error err = {0};
    cn_metrics metrics = {0};
    cn_model *m = network(text, data);
    const cn_fit_opts opts = {.epochs = epochs,
                              .seed = 1,
                              .learning_rate = 2e-3,
                              .optimizer = {.kind = CN_OPTIMIZER_ADAM},
                              .precision = precision};
    const cn_evaluate_opts evaluation = {.precision = precision};
    if (cn_fit(m, data, &opts, NULL, &err) != CN_OK ||
        cn_evaluate(m, test, &evaluation, &metrics, NULL, &err) != CN_OK)
        fail_msg("%s", err.text);
    cn_model_free(m);
    return metrics.accuracy;
}

static void learns_as_well(const char *text, const char *spec, int images, int epochs, double least,
                           double margin)
{
    cn_dataset *data = load(spec, CN_SUBSET_TRAIN, images),
               *test = load(spec, CN_SUBSET_TEST, 2000);
    const double exact = accuracy(text, data, test, epochs, CN_PRECISION_F32);
    const double rounded = accuracy(text, data, test, epochs, CN_PRECISION_BF16);
    print_message("%s: accuracy %.4f in float32, %.4f with products of bf16\n", text, exact,
                  rounded);
    if (!(exact >= least && rounded >= exact - margin))
        fail_msg("accuracy %.4f, expected at least %.4f of %.4f in float32", rounded,
                 exact - margin, exact);
    cn_dataset_free(data);
    cn_dataset_free(test);
}

static void digits_are_learnt_as_well_as_in_float32(void **state)
{
    (void)state;
    learns_as_well("conv 24 3x3 same, relu, maxpool 2, conv 32 2x2, relu, dense classes", "digits",
                   INT32_MAX, 5, 0.9, 0.02);
}

static void lenet5_learns_a_part_of_mnist_as_well_as_in_float32(void **state)
{
    char folder[FILES_PATH], spec[FILES_PATH + 8];
    (void)state;
    if (!files_shared(folder, "data/mnist")) skip();
    snprintf(spec, sizeof spec, "mnist:%s", folder);
    learns_as_well("lenet5", spec, 10000, 3, 0.94, 0.01);
}

/* ---- checkpoints */

/* Stops the training after its seventh step. */
static bool stop(const cn_progress *p, void *user)
{
    (void)user;
    return p->epoch == 1 && p->step == 7;
}

static void a_checkpoint_goes_on_with_its_precision_only(void **state)
{
    char folder[FILES_PATH], file[FILES_PATH];
    cn_error err = {0};
    (void)state;
    files_make_folder(folder);
    files_join(file, folder, "bf16.checkpoint");
    cn_dataset *data = load("digits", CN_SUBSET_TEST, 100);
    cn_model *whole = network("conv 24 3x3, relu, dense classes", data);
    cn_model *parts = network("conv 24 3x3, relu, dense classes", data);
    cn_fit_opts opts = {.epochs = 2, .batch = 9, .precision = CN_PRECISION_BF16};
    assert_int_equal(cn_fit(whole, data, &opts, NULL, &err), CN_OK);

    opts.checkpoint.path = file;
    opts.progress = stop;
    assert_int_equal(cn_fit(parts, data, &opts, NULL, &err), CN_ERR_STOPPED);
    opts.progress = NULL;
    opts.resume = file;
    opts.precision = CN_PRECISION_F32;
    assert_int_equal(cn_fit(parts, data, &opts, NULL, &err), CN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "precision: the training began with \"bf16\", found \"f32\""));
    opts.precision = CN_PRECISION_BF16;
    assert_int_equal(cn_fit(parts, data, &opts, NULL, &err), CN_OK);
    assert_memory_equal(whole->block, parts->block, whole->block_size * sizeof *whole->block);

    cn_model_free(whole);
    cn_model_free(parts);
    cn_dataset_free(data);
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_float32s_but_for_roundings),
        cmocka_unit_test(threads_do_not_change_the_bits),
        cmocka_unit_test(an_unknown_precision_is_refused),
        cmocka_unit_test(digits_are_learnt_as_well_as_in_float32),
        cmocka_unit_test(lenet5_learns_a_part_of_mnist_as_well_as_in_float32),
        cmocka_unit_test(a_checkpoint_goes_on_with_its_precision_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_reference.c - the backend of plain double-precision loops beside the CPU's. */
#include "networks.h"

#include "files.h"
#include "train/train.h"

#include <dirent.h>

/* ---- sessions */

static const char *const more_texts[] = {
    "conv 6 3x3 same, batchnorm, relu, depthwise 3x3 same, relu6, convtranspose 4 2x2 stride 2, "
    "elu, dropout 0.25, dense 3",
    "conv 4 3x3 same as a, batchnorm, relu, conv 4 3x3 same, batchnorm, add a, relu, concat a, "
    "adaptiveavgpool 2, dense 3",
};
enum { MORE = sizeof more_texts / sizeof *more_texts };

static cn_model *network(int i)
{
    return i < MORE ? parse(more_texts[i]) : model_number(i - MORE);
}

/* The largest difference of two arrays, over the largest value of the first or 1. */
static double difference(size_t n, const float *a, const float *b)
{
    double most = 0, largest = 1;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)a[i]));
        if (isnan(a[i]) || isnan(b[i])) return INFINITY;
    }
    return most / largest;
}

static void compare(const cn_tensor *a, const cn_tensor *b, double limit, const char *what, int i)
{
    double off = difference(cn_tensor_count(a), a->data, b->data);
    if (!(off <= limit)) fail_msg("network %d: %s is off by %g", i, what, off);
}

/* Forward, loss, gradients and statistics of a training agree to the rounding of float32, and so
 * does what is predicted afterwards. */
static void both_backends_compute_the_same(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i <= MORE + TEXTS; i++) {
        cn_model *m[2] = {network(i), network(i)};
        cn_session *s[2], *p[2];
        double loss[2];
        make_batch(&b, 5, cn_model_output_size(m[0]));
        for (int k = 0; k < 2; k++) {
            cn_session_opts opts = {.batch = 6,
                                    .training = true,
                                    .input_gradient = true,
                                    .backend = k ? "reference" : NULL};
            s[k] = create(m[k], opts);
            p[k] = create(m[k], (cn_session_opts){.batch = 2, .backend = opts.backend});
            loss[k] = forward_loss(s[k], &b);
            assert_int_equal(cn_session_backward(s[k], NULL), CN_OK);
        }
        assert_true(fabs(loss[0] - loss[1]) <= 1e-5 * fabs(loss[1]));
        cn_tensor y = cn_session_output(s[0]), other = cn_session_output(s[1]);
        compare(&y, &other, 1e-5, "the output", i);
        cn_parameter g, h;
        for (int j = 0; cn_model_parameter(m[0], j, &g); j++) {
            assert_true(cn_model_parameter(m[1], j, &h));
            if (g.buffer) compare(&g.value, &h.value, 1e-5, g.name, i);
            if (g.buffer) continue;
            assert_true(cn_session_gradient(s[0], j, &g) && cn_session_gradient(s[1], j, &h));
            compare(&h.value, &g.value, 1e-3, g.name, i);
        }
        y = cn_session_input_gradient(s[0]), other = cn_session_input_gradient(s[1]);
        compare(&y, &other, 1e-4, "the input's gradient", i);
        cn_tensor Y[2] = {{0}, {0}};
        for (int k = 0; k < 2; k++)
            assert_int_equal(cn_session_predict(p[k], &b.X, &Y[k], NULL), CN_OK);
        compare(&Y[0], &Y[1], 1e-5, "the prediction", i);
        for (int k = 0; k < 2; k++) {
            cn_tensor_free(&Y[k]);
            cn_session_free(s[k]);
            cn_session_free(p[k]);
            cn_model_free(m[k]);
        }
    }
}

/* A few steps of every optimizer, with clipping and decay, end at the same weights. */
static void optimizers_take_the_same_steps(void **state)
{
    static batch b;
    static const cn_optimizer optimizers[] = {
        {.kind = CN_OPTIMIZER_ADAM, .weight_decay = 0.1},
        {.kind = CN_OPTIMIZER_ADAMW, .clip_norm = 0.1},
        {.kind = CN_OPTIMIZER_SGD},
        {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9, .nesterov = true, .clip_value = 0.01},
        {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.1},
        {.kind = CN_OPTIMIZER_RMSPROP, .clip_norm = 0.5},
        {.kind = CN_OPTIMIZER_RMSPROP, .momentum = 0.5, .decay_all = true, .weight_decay = 0.1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++) {
        cn_model *m[2];
        for (int k = 0; k < 2; k++) {
            m[k] = parse("conv 4 3x3, tanh, avgpool 2, dense 3");
            cn_session *s = create(m[k], (cn_session_opts){.batch = 8,
                                                           .training = true,
                                                           .optimizer = optimizers[i],
                                                           .backend = k ? "reference" : "cpu"});
            make_batch(&b, 8, 3);
            for (int step = 0; step < 4; step++) {
                forward_loss(s, &b);
                assert_int_equal(cn_session_backward(s, NULL), CN_OK);
                forward_loss(s, &b);
                assert_int_equal(cn_session_backward_accumulate(s, NULL), CN_OK);
                assert_int_equal(cn_session_step(s, 0.01, NULL), CN_OK);
            }
            cn_session_free(s);
        }
        double off = difference(m[0]->block_size, m[0]->block, m[1]->block);
        if (!(off <= 2e-5)) fail_msg("optimizer %zu: weights are off by %g", i, off);
        for (int k = 0; k < 2; k++) cn_model_free(m[k]);
    }
}

/* Losses from logits that leave nothing of a probability, smoothing and class weights. */
static void losses_agree(void **state)
{
    static batch b;
    static const float weights[3] = {0.5F, 0, 2};
    static const struct {
        const char *text;
        cn_loss_opts loss;
    } cases[] = {
        {"scale 4000, dense 3", {.kind = CN_LOSS_DEFAULT}},
        {"scale 4000, dense 1, sigmoid", {.kind = CN_LOSS_DEFAULT}},
        {"dense 3", {.label_smoothing = 0.1, .class_weights = weights}},
        {"dense 1, sigmoid", {.label_smoothing = 0.1, .class_weights = weights}},
        {"dense 3", {.kind = CN_LOSS_BINARY_CROSS_ENTROPY, .label_smoothing = 0.1}},
        {"dense 3", {.kind = CN_LOSS_MEAN_SQUARED_ERROR}},
        {"dense 3", {.kind = CN_LOSS_MEAN_ABSOLUTE_ERROR}},
        {"dense 3", {.kind = CN_LOSS_DICE}},
        {"dense 3", {.kind = CN_LOSS_FOCAL, .class_weights = weights}},
        {"scale 400, dense 3", {.kind = CN_LOSS_FOCAL}},
        {"dense 1, sigmoid", {.kind = CN_LOSS_FOCAL, .class_weights = weights}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double loss[2];
        cn_model *m = parse(cases[i].text);
        for (int k = 0; k < 2; k++) {
            cn_session *s = create(m, (cn_session_opts){.batch = 8,
                                                        .loss = cases[i].loss,
                                                        .backend = k ? "reference" : NULL});
            loss[k] = forward_loss(s, make_batch(&b, 8, cn_model_output_size(m)));
            cn_session_free(s);
        }
        if (!(fabs(loss[0] - loss[1]) <= 1e-5 * fabs(loss[1])))
            fail_msg("%s: %.9g, expected %.9g", cases[i].text, loss[0], loss[1]);
        cn_model_free(m);
    }
}

/* Targets of a mean squared error may be negative: no row is left out for that. */
static void negative_targets_count(void **state)
{
    static batch b;
    double loss[2];
    (void)state;
    cn_model *m = parse("dense 3");
    make_batch(&b, 8, 3);
    for (int i = 0; i < 8 * 3; i++) b.targets[i] -= 0.5F;
    for (int k = 0; k < 2; k++) {
        cn_session *s = create(m, (cn_session_opts){.batch = 8,
                                                    .loss.kind = CN_LOSS_MEAN_SQUARED_ERROR,
                                                    .backend = k ? "reference" : NULL});
        assert_int_equal(cn_session_forward(s, &b.X, NULL), CN_OK);
        assert_int_equal(cn_session_loss(s, &b.soft, &loss[k], NULL), CN_OK);
        cn_session_free(s);
    }
    assert_true(fabs(loss[0] - loss[1]) <= 1e-5 * fabs(loss[1]));
    cn_model_free(m);
}

/* The plan: nothing is fused, and no two buffers share memory. */
static void layers_run_one_by_one(void **state)
{
    cn_plan plan;
    (void)state;
    cn_model *m = parse(more_texts[0]);
    for (int training = 0; training < 2; training++) {
        cn_session_opts opts = {.batch = 2, .training = training, .backend = "reference"};
        assert_int_equal(cn_plan_create(&plan, m, &opts, NULL), CN_OK);
        size_t sum = 0;
        for (int i = 1; i < m->layer_count; i++) {
            assert_true(plan.steps[i].forward && plan.steps[i].by == i);
            assert_true(plan.steps[i].y != plan.steps[i].x[0]);
        }
        for (int i = 0; i < plan.buffer_count; i++) {
            assert_int_equal(plan.buffers[i].dtype, CN_DTYPE_F64);
            sum += plan.buffers[i].bytes;
        }
        assert_true(sum == plan.activations);
        cn_plan_free(&plan);
    }
    cn_model_free(m);
}

static void what_is_not_there_is_named(void **state)
{
    cn_session *s = NULL;
    cn_error err;
    (void)state;
    cn_model *m = parse("dense 3");
    assert_int_equal(cn_session_create(&s, m, &(cn_session_opts){.backend = "gpu"}, &err),
                     CN_ERR_ARGUMENT);
    assert_string_equal(err.text,
                        "session: no backend is called \"gpu\", expected cpu or reference");
    cn_session_opts opts = {.backend = "reference", .precision = CN_PRECISION_BF16};
    assert_int_equal(cn_session_create(&s, m, &opts, &err), CN_ERR_UNSUPPORTED);
    assert_string_equal(err.text, "session: precision BF16 with the backend reference, which "
                                  "computes in double precision");
    assert_null(s);
    cn_model_free(m);
}

/* What double precision adds to the weights survives a step, and what others write is seen. */
static void weights_are_the_models(void **state)
{
    static batch b;
    cn_parameter w;
    (void)state;
    cn_model *m = parse("dense 3");
    cn_session *s = create(m, (cn_session_opts){.batch = 4,
                                                .training = true,
                                                .optimizer = {.kind = CN_OPTIMIZER_SGD},
                                                .backend = "reference"});
    make_batch(&b, 4, 3);
    float before = m->block[0];
    /* Each step is too small for float32, all of them together are not. */
    for (int step = 0; step < 64; step++) {
        forward_loss(s, &b);
        assert_int_equal(cn_session_backward(s, NULL), CN_OK);
        assert_true(cn_session_gradient(s, 0, &w));
        double rate = 0x1p-28 / fabs((double)*(float *)w.value.data) * fabs((double)before);
        assert_int_equal(cn_session_step(s, rate, NULL), CN_OK);
    }
    assert_true(m->block[0] != before);
    double loss = forward_loss(s, &b);
    assert_true(cn_model_parameter(m, 0, &w));
    ((float *)w.value.data)[0] += 1;
    cn_model_weights_changed(m);
    assert_true(fabs(forward_loss(s, &b) - loss) > 1e-3);
    cn_session_free(s);
    cn_model_free(m);
}

/* ---- trainings */

static cn_dataset *digits(int count)
{
    cn_dataset *all = NULL, *few = NULL;
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TRAIN, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&few, all, 0, count, NULL), CN_OK);
    cn_dataset_free(all);
    return few;
}

/* The course's networks learn a few images, and both backends measure the same. */
static void courses_networks_train(void **state)
{
    static const char *const networks[] = {"digits", "lenet5", "signs"};
    (void)state;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        enum { N = 8, SIDE = 28 };
        static float x[N * SIDE * SIDE];
        int32_t labels[N];
        cn_dataset *data = NULL;
        cn_model *m = NULL;
        cn_progress first, last;
        cn_metrics found[2];
        cn_error err = {0};
        const int shape[] = {N, SIDE, SIDE, 1};
        for (int k = 0; k < N; k++) labels[k] = k % 2;
        for (int k = 0; k < N * SIDE * SIDE; k++)
            x[k] = (float)((k / (SIDE * SIDE)) % 2) + 0.1F * (float)(k % 7);
        cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, shape, x);
        assert_int_equal(cn_dataset_create(&data, &X, labels, 2, &err), CN_OK);
        if (cn_model_parse(&m, networks[i], shape + 1, 2, 3, &err) != CN_OK)
            fail_msg("%s", err.text);
        cn_fit_opts opts = {.epochs = 1, .batch = N, .learning_rate = 0.003};
        opts.backend = "reference";
        assert_int_equal(cn_fit(m, data, &opts, &first, &err), CN_OK);
        opts.epochs = 4;
        if (cn_fit(m, data, &opts, &last, &err) != CN_OK) fail_msg("%s", err.text);
        assert_true(last.train_loss < first.train_loss);
        for (int k = 0; k < 2; k++) {
            cn_evaluate_opts how = {.backend = k ? "reference" : NULL};
            assert_int_equal(cn_evaluate(m, data, &how, &found[k], NULL, &err), CN_OK);
        }
        assert_true(fabs(found[0].loss - found[1].loss) <= 1e-5);
        assert_int_equal(found[0].correct, found[1].correct);
        cn_dataset_free(data);
        cn_model_free(m);
    }
}

static bool stop_after_two_steps(const cn_progress *p, void *user)
{
    (void)user;
    return !p->epoch_end && p->step == 2;
}

/* A training that goes on from a checkpoint ends with the bits of one that was never stopped. */
static void a_checkpoint_holds_double_precision(void **state)
{
    char folder[FILES_PATH], path[FILES_PATH];
    cn_model *m[2];
    cn_dataset *data = digits(40);
    cn_error err = {0};
    (void)state;
    files_make_folder(folder);
    files_join(path, folder, "checkpoint");
    for (int k = 0; k < 2; k++) {
        cn_fit_opts opts = {.epochs = 2, .batch = 10, .backend = "reference"};
        assert_int_equal(cn_model_parse(&m[k], "conv 3 3x3, batchnorm, relu, dense 10",
                                        (int[]){8, 8, 1}, 10, 5, &err),
                         CN_OK);
        if (k == 1) {
            opts.checkpoint.path = path;
            opts.progress = stop_after_two_steps;
            assert_int_equal(cn_fit(m[k], data, &opts, NULL, &err), CN_ERR_STOPPED);
            opts.checkpoint.path = NULL;
            opts.progress = NULL;
            opts.resume = path;
            opts.backend = "cpu";
            assert_int_equal(cn_fit(m[k], data, &opts, NULL, &err), CN_ERR_ARGUMENT);
            opts.backend = "reference";
        }
        if (cn_fit(m[k], data, &opts, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    }
    assert_memory_equal(m[0]->block, m[1]->block, m[0]->block_size * sizeof(float));
    for (int k = 0; k < 2; k++) cn_model_free(m[k]);
    cn_dataset_free(data);
    files_remove_folder(folder);
}

/* ---- the twins stay independent of what they check */

static void twins_include_no_code_that_they_check(void **state)
{
    static const char folder[] = TEST_SOURCE_DIR "/src/reference";
    DIR *d = opendir(folder);
    int read = 0;
    (void)state;
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        char path[FILES_PATH], line[256];
        if (entry->d_name[0] == '.') continue;
        FILE *file = fopen(files_join(path, folder, entry->d_name), "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
            if (strncmp(line, "#include \"", 10) != 0) continue;
            const char *name = line + 10;
            if (strncmp(name, "reference/", 10) != 0 && strncmp(name, "base/", 5) != 0)
                fail_msg("%s: %s", entry->d_name, line);
        }
        fclose(file);
        read++;
    }
    closedir(d);
    assert_true(read > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_backends_compute_the_same),
        cmocka_unit_test(optimizers_take_the_same_steps),
        cmocka_unit_test(losses_agree),
        cmocka_unit_test(negative_targets_count),
        cmocka_unit_test(layers_run_one_by_one),
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(weights_are_the_models),
        cmocka_unit_test(courses_networks_train),
        cmocka_unit_test(a_checkpoint_holds_double_precision),
        cmocka_unit_test(twins_include_no_code_that_they_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

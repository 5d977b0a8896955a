/* test_session.c - running a model: losses, the order of calls, the optimizer, prediction, and the
 * same bits for any number of threads. */
#include "networks.h"

/* ---- allocations are counted: the library has one door to the heap */

static int allocations;

void *aligned_alloc(size_t alignment, size_t size)
{
    void *block;
    allocations++;
    return posix_memalign(&block, alignment, size) == 0 ? block : NULL;
}

/* ---- losses */

/* A model whose output is its last layer's bias: the weights are zero. */
static cn_session *constant_output(cn_model **model, const char *text, cn_loss_kind loss,
                                   const float *bias, int n)
{
    cn_parameter p;
    *model = parse(text);
    for (int i = 0; cn_model_parameter(*model, i, &p); i++)
        memset(p.value.data, 0, cn_tensor_count(&p.value) * sizeof(float));
    assert_true(cn_model_parameter(*model, 1, &p));
    memcpy(p.value.data, bias, (size_t)n * sizeof(float));
    return create(*model, (cn_session_opts){.batch = 4, .threads = 1, .loss = {.kind = loss}});
}

static void losses_have_their_textbook_values(void **state)
{
    static batch b;
    static const struct {
        const char *text;
        float bias[3];
        cn_loss_kind loss;
        double expected; /* labels 0, 1, 0, 1 or 0, 1, 2, 0 */
    } cases[] = {
        {"dense 3", {0, 0, 0}, CN_LOSS_DEFAULT, 1.0986122886681098},
        {"dense 3", {400, 0, 0}, CN_LOSS_DEFAULT, 200},
        {"dense 3", {1, 2, 3}, CN_LOSS_CROSS_ENTROPY, 3.4076059644443806 - 7.0 / 4},
        {"dense 1, sigmoid", {0}, CN_LOSS_DEFAULT, 0.6931471805599453},
        {"dense 1, sigmoid", {-500}, CN_LOSS_DEFAULT, 250},
        {"dense 1, sigmoid", {500}, CN_LOSS_BINARY_CROSS_ENTROPY, 250},
        {"dense 1, sigmoid", {0}, CN_LOSS_MEAN_SQUARED_ERROR, 0.25},
        {"dense 3", {0, 0, 0}, CN_LOSS_MEAN_SQUARED_ERROR, 2.0 / 9},
        {"dense 3", {0, 0, 0}, CN_LOSS_MEAN_ABSOLUTE_ERROR, 4.0 / 9},
        {"dense 1, sigmoid", {0}, CN_LOSS_MEAN_ABSOLUTE_ERROR, 0.5},
        {"dense 3", {0, 0, 0}, CN_LOSS_BINARY_CROSS_ENTROPY, 0.6365141682948128},
        {"dense 3, softmax", {-90, -90, 90}, CN_LOSS_BINARY_CROSS_ENTROPY, 34.53877639491068},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m;
        int outputs = cases[i].text[6] - '0';
        cn_session *s = constant_output(&m, cases[i].text, cases[i].loss, cases[i].bias, outputs);
        make_batch(&b, 4, outputs);
        double loss = forward_loss(s, &b);
        if (!(fabs(loss - cases[i].expected) <= 1e-6 * cases[i].expected))
            fail_msg("case %zu: %.17g, expected %.17g", i, loss, cases[i].expected);
        /* The same in one-hot targets. */
        float y[12] = {0};
        for (int j = 0; j < 4; j++)
            if (outputs == 1)
                y[j] = (float)b.labels[j];
            else
                y[j * outputs + b.labels[j]] = 1;
        b.Y = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){4, outputs}, y);
        assert_true(fabs(forward_loss(s, &b) - loss) <= 1e-12 * loss);
        cn_session_free(s);
        cn_model_free(m);
    }
}

static void wrong_labels_are_named(void **state)
{
    static batch b;
    cn_error err;
    double loss = 5;
    cn_model *m = parse("dense 3");
    cn_session *s = create(m, (cn_session_opts){.batch = 4});
    (void)state;
    make_batch(&b, 4, 3);
    assert_int_equal(cn_session_loss(s, &b.Y, &loss, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "loss: no outputs yet, call cn_session_forward first");
    assert_int_equal(cn_session_forward(s, &b.X, NULL), CN_OK);
    b.labels[2] = 3;
    assert_int_equal(cn_session_loss(s, &b.Y, &loss, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "loss: label 3 of example 2, expected 0 to 2 (3 classes)");
    b.Y.shape[0] = 3;
    assert_int_equal(cn_session_loss(s, &b.Y, &loss, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "loss: labels have shape (3), expected (4)");
    b.Y = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){4, 2}, b.x);
    assert_int_equal(cn_session_loss(s, &b.Y, &loss, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "loss: targets have shape (4, 2), expected (4, 3)");
    b.Y.dtype = CN_DTYPE_U8;
    assert_int_equal(cn_session_loss(s, &b.Y, &loss, &err), CN_ERR_ARGUMENT);
    assert_true(loss == 5);
    cn_session_free(s);
    cn_model_free(m);

    m = parse("conv 3 3x3");
    s = create(m, (cn_session_opts){.batch = 4});
    make_batch(&b, 4, 3);
    assert_int_equal(cn_session_forward(s, &b.X, NULL), CN_OK);
    assert_int_equal(cn_session_loss(s, &b.Y, &loss, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "loss: labels have shape (4), expected (4, 7, 6)");
    cn_session_free(s);
    cn_model_free(m);
}

/* ---- calls in the wrong order, and other arguments */

static void calls_in_the_wrong_order_are_refused(void **state)
{
    static batch b;
    cn_error err;
    (void)state;
    cn_model *m = parse("dense 3");
    cn_session *s = create(m, (cn_session_opts){.batch = 4, .training = true});
    cn_session *predicts = create(m, (cn_session_opts){.batch = 4});
    make_batch(&b, 4, 3);
    assert_null(cn_session_output(s).data);
    assert_int_equal(cn_session_backward(s, &err), CN_ERR_ARGUMENT);
    assert_string_equal(
        err.text,
        "backward: no loss to start from, call cn_session_forward and cn_session_loss first");
    assert_int_equal(cn_session_step(s, 0.1, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "step: no gradients to follow, call cn_session_backward first");
    forward_loss(s, &b);
    assert_int_equal(cn_session_backward(s, NULL), CN_OK);
    assert_int_equal(cn_session_step(s, NAN, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "step: learning rate nan, expected 0 or more");
    assert_int_equal(cn_session_step(s, 0.1, NULL), CN_OK);
    assert_int_equal(cn_session_step(s, 0.1, NULL), CN_ERR_ARGUMENT);
    assert_null(cn_session_input_gradient(s).data);
    forward_loss(predicts, &b);
    assert_int_equal(cn_session_backward(predicts, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "backward: the session was not created with .training = true");
    cn_parameter p;
    assert_false(cn_session_gradient(predicts, 0, &p));

    b.X.shape[0] = 5;
    assert_int_equal(cn_session_forward(s, &b.X, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "forward: 5 examples, expected at most the batch of 4");
    b.X.shape[3] = 1;
    assert_int_equal(cn_session_forward(s, &b.X, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "forward: X has shape (5, 9, 8, 1), expected (m, 9, 8, 2)");
    cn_session_free(s);
    cn_session_free(predicts);
    cn_model_free(m);
}

static void wrong_session_options_are_refused(void **state)
{
    static const struct {
        cn_session_opts opts;
        const char *text;
    } cases[] = {
        {{.batch = -1}, "session: batch -1, expected 1 to 16777216"},
        {{.batch = INT32_MAX}, "session: batch 2147483647, expected 1 to 16777216"},
        {{.batch = 1, .loss = {.kind = (cn_loss_kind)9}}, "session: unknown loss 9"},
        {{.optimizer = {.kind = (cn_optimizer_kind)5}}, "session: unknown optimizer 5"},
        {{.optimizer = {.momentum = 1}}, "session: momentum 1, expected from 0 to less than 1"},
        {{.optimizer = {.beta1 = 2}}, "session: beta1 2, expected from 0 to less than 1"},
        {{.optimizer = {.epsilon = -1}}, "session: epsilon -1, expected a number above 0"},
    };
    (void)state;
    cn_model *m = parse("dense 3"), *raw;
    cn_session *s = NULL;
    cn_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cn_session_create(&s, m, &cases[i].opts, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, cases[i].text);
        assert_null(s);
    }
    assert_int_equal(cn_model_create(&raw, (int[]){2, 2, 1}, NULL), CN_OK);
    assert_int_equal(cn_session_create(&s, raw, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "session: the model is NULL or not finished");
    cn_model_free(raw);
    cn_model_free(m);
}

/* ---- training */

static void training_lowers_the_loss(void **state)
{
    static batch b;
    static const cn_optimizer optimizers[] = {{.kind = CN_OPTIMIZER_ADAM},
                                              {.kind = CN_OPTIMIZER_SGD},
                                              {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9}};
    static const double rates[] = {0.01, 0.03, 0.01};
    (void)state;
    for (int i = 0; i <= TEXTS; i++)
        for (int o = 0; o < 3; o++) {
            cn_model *m = model_number(i);
            cn_session *s = create(
                m, (cn_session_opts){.batch = 8, .training = true, .optimizer = optimizers[o]});
            make_batch(&b, 8, cn_model_output_size(m));
            double first = forward_loss(s, &b), last = first;
            for (int step = 0; step < 60; step++) {
                last = forward_loss(s, &b);
                assert_int_equal(cn_session_backward(s, NULL), CN_OK);
                assert_int_equal(cn_session_step(s, rates[o], NULL), CN_OK);
            }
            if (!(last < first - 1e-3))
                fail_msg("model %d, optimizer %d: from %g to %g", i, o, first, last);
            cn_session_free(s);
            cn_model_free(m);
        }
}

/* One weight, one example: the optimizers' own equations in double. */
static void optimizers_follow_their_equations(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        cn_model *m = NULL;
        cn_node x;
        cn_parameter w, g;
        cn_optimizer optimizer = {.kind = (cn_optimizer_kind)kind, .momentum = kind ? 0.5 : 0};
        assert_int_equal(cn_model_create(&m, (int[]){1, 1, 1}, NULL), CN_OK);
        x = cn_dense(m, cn_input(m), &(cn_dense_opts){.units = 1, .no_bias = true});
        assert_int_equal(cn_model_finish(m, x, 4, NULL), CN_OK);
        cn_session *s = create(m, (cn_session_opts){.training = true, .optimizer = optimizer});
        assert_true(cn_model_parameter(m, 0, &w));
        double weight = (double)*(float *)w.value.data, first = 0, second = 0;
        cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 1, 1, 1}, &(float){1.5F});
        cn_tensor Y = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){1, 1}, &(float){3});
        for (int t = 1; t <= 5; t++) {
            double loss, gradient = 2 * 1.5 * (1.5 * weight - 3);
            assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
            assert_int_equal(cn_session_loss(s, &Y, &loss, NULL), CN_OK);
            assert_int_equal(cn_session_backward(s, NULL), CN_OK);
            assert_true(cn_session_gradient(s, 0, &g));
            assert_true(fabs((double)*(float *)g.value.data - gradient) < 1e-4);
            assert_int_equal(cn_session_step(s, 0.1, NULL), CN_OK);
            if (kind == CN_OPTIMIZER_ADAM) {
                first = 0.9 * first + 0.1 * gradient;
                second = 0.999 * second + 0.001 * gradient * gradient;
                weight -= 0.1 * sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t)) * first /
                          (sqrt(second) + 1e-7);
            } else {
                first = 0.5 * first + gradient;
                weight -= 0.1 * first;
            }
            assert_true(fabs((double)*(float *)w.value.data - weight) < 1e-5);
        }
        cn_session_free(s);
        cn_model_free(m);
    }
}

static void threads_do_not_change_a_bit(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i <= TEXTS; i++) {
        cn_model *models[3];
        for (int threads = 1; threads <= 3; threads++) {
            cn_model *m = models[threads - 1] = model_number(i);
            cn_session *s =
                create(m, (cn_session_opts){.batch = 8, .threads = threads, .training = true});
            for (int step = 0; step < 6; step++) {
                make_batch(&b, 8 - step % 3, cn_model_output_size(m));
                forward_loss(s, &b);
                assert_int_equal(cn_session_backward(s, NULL), CN_OK);
                assert_int_equal(cn_session_step(s, 0.01, NULL), CN_OK);
            }
            cn_session_free(s);
        }
        for (int j = 1; j < 3; j++)
            assert_memory_equal(models[j]->block, models[0]->block,
                                models[0]->block_size * sizeof(float));
        for (int j = 0; j < 3; j++) cn_model_free(models[j]);
    }
}

/* What a model's own output tells: the examples are ones. */
static int count_zeros(cn_session *s, int n, float *ones)
{
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 100, 400, 1}, ones);
    assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
    const float *y = cn_session_output(s).data;
    int zeros = 0;
    for (int i = 0; i < n; i++) {
        assert_true(y[i] == 0 || fabsf(y[i] - 1 / 0.75F) < 1e-6F);
        zeros += y[i] == 0;
    }
    return zeros;
}

static void dropout_leaves_out_its_rate_and_another_part_each_step(void **state)
{
    enum { N = 40000 };
    static float ones[N], first[N];
    cn_model *m = NULL;
    (void)state;
    for (int i = 0; i < N; i++) ones[i] = 1;
    assert_int_equal(cn_model_create(&m, (int[]){100, 400, 1}, NULL), CN_OK);
    cn_node x = cn_dropout(m, cn_input(m), &(cn_dropout_opts){.rate = 0.25});
    assert_int_equal(cn_model_finish(m, x, 1, NULL), CN_OK);
    for (int threads = 1; threads <= 3; threads++) {
        cn_session *s =
            create(m, (cn_session_opts){.threads = threads, .training = true, .seed = 7});
        int zeros = count_zeros(s, N, ones), both = 0;
        /* The standard deviation is sqrt(40000 / 4 * 3 / 4) = 87. */
        assert_true(abs(zeros - N / 4) < 350);
        if (threads > 1) assert_memory_equal(cn_session_output(s).data, first, sizeof first);
        memcpy(first, cn_session_output(s).data, sizeof first);
        count_zeros(s, N, ones);
        const float *second = cn_session_output(s).data;
        for (int i = 0; i < N; i++) both += first[i] == 0 && second[i] == 0;
        assert_true(abs(both - N / 16) < 200); /* independent; 48 */
        cn_session_free(s);
    }
    cn_session *s = create(m, (cn_session_opts){.batch = 1});
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 100, 400, 1}, ones);
    assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
    assert_memory_equal(cn_session_output(s).data, ones, sizeof ones);
    cn_session_free(s);
    cn_model_free(m);
}

static void a_small_call_is_a_small_batch(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i <= TEXTS; i++) {
        cn_model *m = model_number(i);
        cn_session_opts opts = {.batch = 8, .training = true, .threads = 1};
        cn_session *large = create(m, opts), *small;
        opts.batch = 3;
        small = create(m, opts);
        make_batch(&b, 8, cn_model_output_size(m)); /* leaves results of 8 behind */
        forward_loss(large, &b);
        assert_int_equal(cn_session_backward(large, NULL), CN_OK);
        make_batch(&b, 3, cn_model_output_size(m));
        assert_true(fabs(forward_loss(large, &b) - forward_loss(small, &b)) < 1e-6);
        assert_int_equal(cn_session_output(large).shape[0], 3);
        assert_int_equal(cn_session_backward(large, NULL), CN_OK);
        assert_int_equal(cn_session_backward(small, NULL), CN_OK);
        cn_parameter p, q;
        for (int j = 0; cn_session_gradient(large, j, &p) && cn_session_gradient(small, j, &q); j++)
            for (size_t k = 0; k < cn_tensor_count(&p.value); k++) {
                double a = (double)((float *)p.value.data)[k];
                assert_true(fabs(a - (double)((float *)q.value.data)[k]) <= 1e-5 + 1e-5 * fabs(a));
            }
        cn_session_free(large);
        cn_session_free(small);
        cn_model_free(m);
    }
}

static void assert_close(const float *a, const float *b, double scale, int n)
{
    double largest = 0;
    for (int i = 0; i < n; i++)
        if (fabs((double)b[i]) > largest) largest = fabs((double)b[i]);
    for (int i = 0; i < n; i++)
        assert_true(fabs(scale * (double)a[i] - (double)b[i]) <= 1e-4 * largest);
}

/* A batch is worked on in pieces, and memory is shared in another way when predicting: each
 * example alone must give the same output and the same gradient. */
static void an_example_does_not_depend_on_the_others(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i <= TEXTS; i++) {
        cn_model *m = model_number(i);
        int n = cn_model_output_size(m);
        cn_session_opts opts = {.batch = 8, .training = true, .input_gradient = true};
        cn_session *all = create(m, opts);
        cn_session *predicts = create(m, (cn_session_opts){.batch = 8});
        opts.batch = 1;
        cn_session *one = create(m, opts);
        make_batch(&b, 8, n);
        forward_loss(all, &b);
        forward_loss(predicts, &b);
        const float *y = cn_session_output(all).data;
        assert_memory_equal(y, cn_session_output(predicts).data, (size_t)(8 * n) * sizeof *y);
        assert_int_equal(cn_session_backward(all, NULL), CN_OK);
        const float *dx = cn_session_input_gradient(all).data;
        for (int j = 0; j < 8; j++) {
            b.X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 9, 8, 2}, b.x + j * EXAMPLE);
            b.Y = cn_tensor_view(CN_DTYPE_I32, 1, (int[]){1}, b.labels + j);
            forward_loss(one, &b);
            assert_int_equal(cn_session_backward(one, NULL), CN_OK);
            assert_close(y + j * n, cn_session_output(one).data, 1, n);
            assert_close(dx + j * EXAMPLE, cn_session_input_gradient(one).data, 8, EXAMPLE);
        }
        cn_session_free(all);
        cn_session_free(predicts);
        cn_session_free(one);
        cn_model_free(m);
    }
}

static void a_step_allocates_nothing(void **state)
{
    static batch b;
    static const char *const backends[] = {"cpu", "reference"};
    double loss;
    (void)state;
    for (int i = 0; i < 2; i++) {
        cn_model *m = parse(network_texts[0]);
        cn_session *s = create(
            m,
            (cn_session_opts){.batch = 8, .threads = 2, .training = true, .backend = backends[i]});
        make_batch(&b, 8, 3);
        float y[24];
        cn_tensor Y = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){8, 3}, y);
        int before = allocations;
        assert_true(before > 0);
        for (int step = 0; step < 3; step++) {
            assert_int_equal(cn_session_forward(s, &b.X, NULL), CN_OK);
            assert_int_equal(cn_session_loss(s, &b.Y, &loss, NULL), CN_OK);
            assert_int_equal(cn_session_backward(s, NULL), CN_OK);
            assert_int_equal(cn_session_step(s, 0.01, NULL), CN_OK);
            assert_int_equal(cn_session_predict(s, &b.X, &Y, NULL), CN_OK);
        }
        assert_int_equal(allocations, before);
        cn_session_free(s);
        cn_model_free(m);
    }
}

/* ---- visiting */

typedef struct visits {
    int seen[8], count, stop_at;
    float last[64];
} visits;

static bool see(int layer, const cn_tensor *y, void *user)
{
    visits *v = user;
    v->seen[v->count++] = layer;
    if (y->rank == 2) memcpy(v->last, y->data, cn_tensor_count(y) * sizeof(float));
    return layer == v->stop_at;
}

/* Fused layers once, as the last of them; the last of all is the output. */
static void a_visitor_sees_each_layer(void **state)
{
    static const struct {
        const char *backend;
        int count, layers[6];
    } cases[] = {{"cpu", 4, {2, 3, 4, 5}}, {"reference", 5, {1, 2, 3, 4, 5}}};
    static batch b;
    cn_error err;
    (void)state;
    cn_model *m = parse("conv 4 3x3 same, relu, maxpool 2, dense 3, softmax");
    make_batch(&b, 4, 3);
    for (int k = 0; k < 2; k++) {
        visits v = {.stop_at = -1};
        cn_session *s = NULL;
        const cn_session_opts opts = {.batch = 4, .backend = cases[k].backend};
        assert_int_equal(cn_session_create_inference(&s, m, &opts, &err), CN_OK);
        assert_int_equal(cn_session_visit(s, &b.X, see, &v, &err), CN_OK);
        assert_int_equal(v.count, cases[k].count);
        assert_memory_equal(v.seen, cases[k].layers, (size_t)v.count * sizeof *v.seen);
        cn_tensor y = cn_session_output(s);
        assert_memory_equal(v.last, y.data, cn_tensor_count(&y) * sizeof(float));
        v = (visits){.stop_at = 3};
        assert_int_equal(cn_session_visit(s, &b.X, see, &v, &err), CN_ERR_STOPPED);
        assert_null(cn_session_output(s).data);
        assert_int_equal(cn_session_visit(s, &b.X, NULL, NULL, &err), CN_ERR_ARGUMENT);
        cn_session_free(s);
    }
    const cn_session_opts trains = {.training = true};
    cn_session *s = NULL;
    assert_int_equal(cn_session_create_inference(&s, m, &trains, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text,
                        "session: .training = true, but an inference session never trains");
    cn_model_free(m);
}

/* ---- prediction */

static void predictions_do_not_depend_on_the_batch(void **state)
{
    static batch b;
    static uint8_t pixels[MOST * EXAMPLE];
    static float normalized[MOST * EXAMPLE];
    const float mean[] = {0.4F, 0.6F}, std[] = {0.25F, 2};
    (void)state;
    cn_model *m = parse(network_texts[0]);
    assert_int_equal(cn_model_set_normalization(m, mean, std, NULL), CN_OK);
    make_batch(&b, 7, 3);
    for (int i = 0; i < 7 * EXAMPLE; i++) {
        pixels[i] = (uint8_t)(i * 37 % 256);
        normalized[i] = ((float)pixels[i] / 255 - mean[i % 2]) / std[i % 2];
    }
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){7, 9, 8, 2}, normalized);
    cn_tensor U = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){7, 9, 8, 2}, pixels);
    cn_tensor from_floats = {0}, from_pixels = {0};
    cn_session *s = create(m, (cn_session_opts){.batch = 8});
    cn_session *three = create(m, (cn_session_opts){.batch = 3});
    assert_int_equal(cn_session_predict(s, &X, &from_floats, NULL), CN_OK);
    assert_int_equal(cn_session_predict(three, &U, &from_pixels, NULL), CN_OK);
    assert_int_equal(from_pixels.shape[0], 7);
    assert_int_equal(from_pixels.shape[1], 3);
    for (int i = 0; i < 21; i++)
        assert_true(fabsf(((float *)from_floats.data)[i] - ((float *)from_pixels.data)[i]) < 1e-5F);
    for (int i = 0; i < 7; i++) {
        const float *y = (float *)from_floats.data + 3 * i;
        assert_true(fabsf(y[0] + y[1] + y[2] - 1) < 1e-5F);
    }
    cn_error err;
    X.dtype = CN_DTYPE_I32;
    assert_int_equal(cn_session_predict(s, &X, &from_floats, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "predict: X has dtype 2, expected F32 or U8");
    cn_tensor_free(&from_floats);
    cn_tensor_free(&from_pixels);
    cn_session_free(s);
    cn_session_free(three);
    cn_model_free(m);
}

/* Sessions pack weights: what another session trained, or a view changed, must be seen. */
static void changed_weights_are_seen(void **state)
{
    static batch b;
    cn_parameter w;
    (void)state;
    cn_model *m = parse(network_texts[0]);
    cn_session *trains = create(m, (cn_session_opts){.batch = 4, .training = true});
    cn_session *predicts = create(m, (cn_session_opts){.batch = 4});
    make_batch(&b, 4, 3);
    double before = forward_loss(predicts, &b);
    assert_true(before == forward_loss(trains, &b));
    assert_int_equal(cn_session_backward(trains, NULL), CN_OK);
    assert_int_equal(cn_session_step(trains, 0.01, NULL), CN_OK);
    double after = forward_loss(predicts, &b);
    assert_true(after != before && after == forward_loss(trains, &b));
    assert_true(cn_model_parameter(m, 0, &w));
    for (int i = 0; i < 2; i++) {
        ((float *)w.value.data)[i] += 0.5F;
        cn_model_weights_changed(m);
        before = after;
        after = forward_loss(predicts, &b);
        assert_true(after != before && after == forward_loss(trains, &b));
    }
    cn_session_free(trains);
    cn_session_free(predicts);
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_have_their_textbook_values),
        cmocka_unit_test(wrong_labels_are_named),
        cmocka_unit_test(calls_in_the_wrong_order_are_refused),
        cmocka_unit_test(wrong_session_options_are_refused),
        cmocka_unit_test(training_lowers_the_loss),
        cmocka_unit_test(optimizers_follow_their_equations),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(dropout_leaves_out_its_rate_and_another_part_each_step),
        cmocka_unit_test(a_small_call_is_a_small_batch),
        cmocka_unit_test(an_example_does_not_depend_on_the_others),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(a_visitor_sees_each_layer),
        cmocka_unit_test(predictions_do_not_depend_on_the_batch),
        cmocka_unit_test(changed_weights_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_plan.c - what a plan decides: memory that is shared, what is fused; and that gradients are
 * still those of the loss. */
#include "networks.h"

#include "model/plan_text.h"

/* ---- the plan */

static void live_buffers_never_overlap(void **state)
{
    (void)state;
    for (int i = 0; i <= TEXTS; i++)
        for (int training = 0; training < 2; training++) {
            cn_plan plan;
            cn_model *m = model_number(i);
            cn_session_opts opts = {.batch = 5, .training = training, .input_gradient = training};
            assert_int_equal(cn_plan_create(&plan, m, &opts, NULL), CN_OK);
            assert_null(plan.updates.chunks); /* of a network of any size: a session lists them */
            size_t sum = 0;
            for (int a = 0; a < plan.buffer_count; a++) {
                const cn_buffer *p = &plan.buffers[a];
                assert_true(p->first <= p->last);
                assert_true(p->offset % CN_ALIGN == 0 && p->offset + p->bytes <= plan.activations);
                sum += p->bytes;
                for (int b = 0; b < a; b++) {
                    const cn_buffer *q = &plan.buffers[b];
                    bool meet = p->first <= q->last && q->first <= p->last;
                    bool overlap =
                        p->offset < q->offset + q->bytes && q->offset < p->offset + p->bytes;
                    assert_false(meet && overlap);
                }
            }
            assert_true(training || plan.activations < sum);
            cn_plan_free(&plan);
            cn_model_free(m);
        }
}

/* ---- the plan as text */

enum { PLAN_TEXT = 8192 };

/* The rows of a plan, a line each. */
static void print_plan(const cn_model *m, cn_session_opts opts, char text[PLAN_TEXT])
{
    char line[CN_ROW_TEXT];
    cn_plan plan;
    cn_plan_row row;
    size_t used = 0;
    assert_int_equal(cn_plan_create(&plan, m, &opts, NULL), CN_OK);
    for (int i = 0; cn_plan_row_at(&plan, i, &row); i++)
        used += (size_t)snprintf(text + used, PLAN_TEXT - used, "%s\n",
                                 cn_plan_row_text(&plan, &row, line));
    assert_true(used < PLAN_TEXT);
    cn_plan_free(&plan);
}

/* Fused layers, methods and buffers of small networks; bytes and where they lie
 * count as well. The methods are those of the kernels in plain C. */
static void plans_are_as_written(void **state)
{
    static const struct {
        const char *network;
        cn_session_opts opts;
        const char *text;
    } cases[] = {
        /* A residual block, predicting: the second convolution adds to the branch. */
        {"conv 4 3x3 same, relu as a, conv 4 3x3 same, batchnorm, relu, conv 4 3x3 same, "
         "batchnorm, add a, relu, dense 3",
         {.batch = 1},
         "input -> buffer 0 (576 bytes at 1088)\n"
         "conv2d_1 + a: direct 4x2 -> buffer 1 (1088 bytes at 0)\n"
         "conv2d_2 + batch_norm_1 + relu_2: direct 4x2 -> buffer 2 (1088 bytes at 1088)\n"
         "conv2d_3 + batch_norm_2 + add_1 + relu_3: direct 4x2 -> added to buffer 1 (1088 bytes at "
         "0)\n"
         "dense_1: direct 4x1 -> buffer 3 (128 bytes at 1088)\n"
         "softmax_1: softmax -> buffer 4 (128 bytes at 0)\n"},
        /* And training: the gradient of the sum is that of both branches. */
        {"conv 4 3x3 same, relu as a, conv 4 3x3 same, batchnorm, relu, conv 4 3x3 same, "
         "batchnorm, add a, relu, dense 3",
         {.batch = 2, .training = true},
         "input -> buffer 0 (1088 bytes at 12672)\n"
         "conv2d_1 + a: direct 4x2 -> buffer 1 (2112 bytes at 0)\n"
         "conv2d_2: direct 4x2 -> buffer 2 (2112 bytes at 2112)\n"
         "batch_norm_1 + relu_2: batch_norm -> buffer 3 (2112 bytes at 4224)\n"
         "conv2d_3: direct 4x2 -> buffer 4 (2112 bytes at 6336)\n"
         "batch_norm_2: batch_norm -> buffer 5 (2112 bytes at 8448)\n"
         "add_1 + relu_3: add -> buffer 5 (2112 bytes at 8448)\n"
         "dense_1: direct 4x1 -> buffer 6 (128 bytes at 10560)\n"
         "softmax_1: softmax -> buffer 7 (128 bytes at 13760)\n"
         "loss + softmax_1: cross-entropy of logits -> buffer 8 (128 bytes at 13888)\n"
         "dense_1: data direct 4x2, weights direct 4x1 -> buffer 9 (2112 bytes at 10560)\n"
         "relu_3: relu -> buffer 9 (2112 bytes at 10560)\n"
         "add_1: add -> buffer 9 (2112 bytes at 10560)\n"
         "batch_norm_2: batch_norm -> buffer 10 (2112 bytes at 8448)\n"
         "conv2d_3: data direct 4x1, weights direct 4x2 -> buffer 11 (2112 bytes at 6336)\n"
         "batch_norm_1 + relu_2: batch_norm -> buffer 11 (2112 bytes at 6336)\n"
         "conv2d_2: data direct 4x1, weights direct 4x2 -> buffer 12 (2112 bytes at 2112) added to "
         "buffer 9\n"
         "a: relu -> buffer 9 (2112 bytes at 10560)\n"
         "conv2d_1: weights direct 4x2\n"},
        /* Groups of whole vectors of filters, and of others. */
        {"conv 8 3x3 same, conv 16 3x3 same groups 2, conv 12 3x3 same groups 2, dense 3",
         {.batch = 1},
         "input -> buffer 0 (576 bytes at 0)\n"
         "conv2d_1: direct 4x2 -> buffer 1 (2112 bytes at 4160)\n"
         "conv2d_2: grouped direct 4x2 -> buffer 2 (4160 bytes at 0)\n"
         "conv2d_3: groups: direct 4x2 -> buffer 3 (3136 bytes at 4160)\n"
         "dense_1: direct 4x1 -> buffer 4 (128 bytes at 0)\n"
         "softmax_1: softmax -> buffer 5 (128 bytes at 128)\n"},
        /* A concatenation. */
        {"conv 4 3x3 same as a, conv 2 5x5 same from input, concat a, gap, dense 3",
         {.batch = 1},
         "input -> buffer 0 (576 bytes at 0)\n"
         "a: direct 4x2 -> buffer 1 (1088 bytes at 1600)\n"
         "conv2d_2: direct 4x2 -> buffer 2 (576 bytes at 2688)\n"
         "concat_1: concat -> buffer 3 (1600 bytes at 0)\n"
         "global_average_pool_1: global_average_pool -> buffer 4 (128 bytes at 1600)\n"
         "dense_1: direct 4x1 -> buffer 5 (128 bytes at 0)\n"
         "softmax_1: softmax -> buffer 6 (128 bytes at 128)\n"},
        /* A U, training: a gradient that is summed, a ReLU masked after its pooling. */
        {"conv 4 3x3 same, relu, conv 4 3x3 same, relu as a, maxpool 2, conv 4 3x3 same, relu, "
         "maxpool 2, conv 4 1x1, relu, convtranspose 4 4x4 stride 4, concat a, conv 3 1x1",
         {.batch = 2, .training = true},
         "input -> buffer 0 (1088 bytes at 16256)\n"
         "conv2d_1 + relu_1: direct 4x2 -> buffer 1 (2112 bytes at 8320)\n"
         "conv2d_2 + a: direct 4x2 -> buffer 2 (2112 bytes at 10432)\n"
         "max_pool_1: max_pool -> buffer 3 (576 bytes at 17344)\n"
         "conv2d_3 + relu_3: direct 4x2 -> buffer 4 (576 bytes at 17920)\n"
         "max_pool_2: max_pool -> buffer 5 (192 bytes at 18496)\n"
         "conv2d_4 + relu_4: direct 4x1 -> buffer 6 (192 bytes at 18688)\n"
         "conv_transpose2d_1: direct 4x1 -> buffer 7 (2112 bytes at 4160)\n"
         "concat_1: concat -> buffer 8 (4160 bytes at 0)\n"
         "conv2d_5: direct 4x1 -> buffer 9 (1600 bytes at 4160)\n"
         "softmax_1: softmax -> buffer 10 (1600 bytes at 14656)\n"
         "loss + softmax_1: cross-entropy of logits -> buffer 11 (1600 bytes at 12544)\n"
         "conv2d_5: data direct 4x2, weights direct 4x1 -> buffer 12 (4160 bytes at 4160)\n"
         "concat_1: concat -> buffer 13 (2112 bytes at 0), buffer 14 (2112 bytes at 12544)\n"
         "conv_transpose2d_1: data direct 4x1, weights direct 4x1 -> buffer 15 (192 bytes at "
         "2112)\n"
         "relu_4: relu -> buffer 15 (192 bytes at 2112)\n"
         "conv2d_4: data direct 4x1, weights direct 4x1 -> buffer 16 (192 bytes at 576)\n"
         "max_pool_2 + relu_3: max_pool -> buffer 17 (576 bytes at 0)\n"
         "conv2d_3: data direct 4x1, weights direct 4x2 -> buffer 18 (576 bytes at 2112)\n"
         "max_pool_1: max_pool -> buffer 19 (2112 bytes at 0) added to buffer 14\n"
         "a: relu -> buffer 14 (2112 bytes at 12544)\n"
         "conv2d_2: data direct 4x1, weights direct 4x2 -> buffer 20 (2112 bytes at 0)\n"
         "relu_1: relu -> buffer 20 (2112 bytes at 0)\n"
         "conv2d_1: weights direct 4x2\n"},
        /* Batch norms folded, with a ReLU6 after each. */
        {"conv 4 3x3 same, batchnorm, relu6, depthwise 3x3 same, batchnorm, relu6, gap, dense 3",
         {.batch = 1},
         "input -> buffer 0 (576 bytes at 1088)\n"
         "conv2d_1 + batch_norm_1 + relu6_1: direct 4x2 -> buffer 1 (1088 bytes at 0)\n"
         "depthwise_conv2d_1 + batch_norm_2 + relu6_2: depthwise blocks -> buffer 2 (1088 bytes at "
         "1088)\n"
         "global_average_pool_1: global_average_pool -> buffer 3 (128 bytes at 0)\n"
         "dense_1: direct 4x1 -> buffer 4 (128 bytes at 128)\n"
         "softmax_1: softmax -> buffer 5 (128 bytes at 0)\n"},
        /* A norm that runs fuses a ReLU6, forward and backward; a convolution forward alone. */
        {"conv 4 3x3 same, relu6, batchnorm, relu6, dense 3",
         {.batch = 2, .training = true},
         "input -> buffer 0 (1088 bytes at 6336)\n"
         "conv2d_1 + relu6_1: direct 4x2 -> buffer 1 (2112 bytes at 0)\n"
         "batch_norm_1 + relu6_2: batch_norm -> buffer 2 (2112 bytes at 2112)\n"
         "dense_1: direct 4x1 -> buffer 3 (128 bytes at 4224)\n"
         "softmax_1: softmax -> buffer 4 (128 bytes at 7424)\n"
         "loss + softmax_1: cross-entropy of logits -> buffer 5 (128 bytes at 7552)\n"
         "dense_1: data direct 4x2, weights direct 4x1 -> buffer 6 (2112 bytes at 4224)\n"
         "batch_norm_1 + relu6_2: batch_norm -> buffer 6 (2112 bytes at 4224)\n"
         "relu6_1: relu6 -> buffer 6 (2112 bytes at 4224)\n"
         "conv2d_1: weights direct 4x2\n"},
        /* A ReLU before a maximum pooling is masked after it, a clip with another bound is not. */
        {"conv 2 3x3 same, clip -1 1e39, maxpool 2, dense 3",
         {.batch = 2, .training = true},
         "input -> buffer 0 (1088 bytes at 0)\n"
         "conv2d_1: direct 4x1 -> buffer 1 (1088 bytes at 1088)\n"
         "clip_1: clip -> buffer 1 (1088 bytes at 1088)\n"
         "max_pool_1: max_pool -> buffer 2 (320 bytes at 3264)\n"
         "dense_1: direct 4x1 -> buffer 3 (128 bytes at 2176)\n"
         "softmax_1: softmax -> buffer 4 (128 bytes at 3904)\n"
         "loss + softmax_1: cross-entropy of logits -> buffer 5 (128 bytes at 2304)\n"
         "dense_1: data direct 4x2, weights direct 4x1 -> buffer 6 (320 bytes at 3584)\n"
         "max_pool_1: max_pool -> buffer 7 (1088 bytes at 2176)\n"
         "clip_1: clip -> buffer 7 (1088 bytes at 2176)\n"
         "conv2d_1: weights direct 4x1\n"},
        /* What ended at 6 still does. */
        {"conv 4 3x3 same, relu6, relu, dense 4, relu, relu6, dense 3",
         {.batch = 1},
         "input -> buffer 0 (576 bytes at 1088)\n"
         "conv2d_1 + relu6_1 + relu_1: direct 4x2 -> buffer 1 (1088 bytes at 0)\n"
         "dense_1 + relu_2 + relu6_2: direct 4x1 -> buffer 2 (128 bytes at 1088)\n"
         "dense_2: direct 4x1 -> buffer 3 (128 bytes at 0)\n"
         "softmax_1: softmax -> buffer 4 (128 bytes at 128)\n"},
        /* What is read twice is not worked on in place; a sigmoid keeps its logits. */
        {"conv 2 3x3 as a, tanh, add a, dense 1, sigmoid",
         {.batch = 1},
         "input -> buffer 0 (576 bytes at 0)\n"
         "a: direct 4x1 -> buffer 1 (384 bytes at 576)\n"
         "tanh_1: tanh -> buffer 2 (384 bytes at 0)\n"
         "add_1: add -> buffer 2 (384 bytes at 0)\n"
         "dense_1: direct 4x1 -> buffer 3 (128 bytes at 384)\n"
         "sigmoid_1: sigmoid -> buffer 4 (128 bytes at 0)\n"},
        /* The reference backend: every layer by itself. */
        {"conv 4 3x3 same, batchnorm, relu, flatten, dropout 0.5, dense 3",
         {.batch = 1, .backend = "reference"},
         "input -> buffer 0 (1088 bytes at 10560)\n"
         "conv2d_1: conv2d -> buffer 1 (2112 bytes at 0)\n"
         "batch_norm_1: batch_norm -> buffer 2 (2112 bytes at 2112)\n"
         "relu_1: relu -> buffer 3 (2112 bytes at 4224)\n"
         "flatten_1: flatten -> buffer 4 (2112 bytes at 6336)\n"
         "dropout_1: dropout -> buffer 5 (2112 bytes at 8448)\n"
         "dense_1: dense -> buffer 6 (128 bytes at 11648)\n"
         "softmax_1: softmax -> buffer 7 (128 bytes at 11776)\n"},
    };
    char text[PLAN_TEXT];
    (void)state;
    const char *isa = getenv("CONVNET_ISA");
    assert_int_equal(setenv("CONVNET_ISA", "scalar", 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m = NULL;
        cn_session_opts opts = cases[i].opts;
        assert_int_equal(cn_model_parse(&m, cases[i].network, (int[]){8, 8, 2}, 3, 5, NULL), CN_OK);
        opts.threads = 1;
        print_plan(m, opts, text);
        if (strcmp(text, cases[i].text) != 0)
            fail_msg("%s:\n%s\nexpected\n%s", cases[i].network, text, cases[i].text);
        cn_model_free(m);
    }
    if (isa)
        setenv("CONVNET_ISA", isa, 1);
    else
        unsetenv("CONVNET_ISA");
}

/* NaN wherever no buffer lives at this moment. */
static void poison(const cn_plan *plan, float *activations, int moment)
{
    for (size_t i = 0; i < plan->activations / sizeof *activations; i++) {
        const size_t at = i * sizeof *activations;
        bool live = false;
        for (int b = 0; b < plan->buffer_count; b++) {
            const cn_buffer *p = &plan->buffers[b];
            live = live || (p->first <= moment && moment <= p->last && at >= p->offset &&
                            at < p->offset + p->bytes);
        }
        if (!live) activations[i] = NAN;
    }
}

static void no_result_depends_on_dead_memory(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i <= TEXTS; i++) {
        cn_plan plan;
        cn_model *m = model_number(i);
        cn_session_opts opts = {.batch = 5, .threads = 1, .training = true, .input_gradient = true};
        make_batch(&b, 5, cn_model_output_size(m));
        cn_session *clean = create(m, opts), *dirty = create(m, opts);
        assert_int_equal(cn_plan_create(&plan, m, &opts, NULL), CN_OK);
        float *activations = activations_of(dirty, &plan);
        double loss = forward_loss(clean, &b), other;
        for (size_t j = 0; j < plan.activations / sizeof(float); j++) activations[j] = NAN;
        assert_int_equal(cn_session_forward(dirty, &b.X, NULL), CN_OK);
        poison(&plan, activations, m->layer_count);
        assert_int_equal(cn_session_loss(dirty, &b.Y, &other, NULL), CN_OK);
        assert_true(loss == other);
        poison(&plan, activations, m->layer_count);
        assert_int_equal(cn_session_backward(clean, NULL), CN_OK);
        assert_int_equal(cn_session_backward(dirty, NULL), CN_OK);
        cn_parameter p, q;
        for (int j = 0; cn_session_gradient(clean, j, &p) && cn_session_gradient(dirty, j, &q); j++)
            assert_memory_equal(p.value.data, q.value.data, cn_tensor_count(&p.value) * 4);
        poison(&plan, activations, 2 * m->layer_count + 1);
        cn_tensor y = cn_session_output(clean), y_dirty = cn_session_output(dirty);
        assert_memory_equal(y.data, y_dirty.data, cn_tensor_count(&y) * sizeof(float));
        cn_tensor dx = cn_session_input_gradient(clean),
                  dx_dirty = cn_session_input_gradient(dirty);
        assert_memory_equal(dx.data, dx_dirty.data, 5 * EXAMPLE * sizeof(float));
        cn_plan_free(&plan);
        cn_session_free(clean);
        cn_session_free(dirty);
        cn_model_free(m);
    }
}

static void a_memory_plan_is_what_a_session_takes(void **state)
{
    cn_memory memory;
    (void)state;
    cn_model *m = parse("dense 4 no_bias, dense 3");
    /* 144 x 4 + 4 x 3 + 3, each rounded up to 16 floats. */
    size_t block = (576 + 16 + 16) * sizeof(float);
    cn_session_opts opts = {.batch = 2, .threads = 1, .training = true};
    assert_int_equal(cn_session_memory(m, &opts, &memory, NULL), CN_OK);
    assert_int_equal(memory.parameters, block);
    assert_int_equal(memory.gradients, block);
    assert_int_equal(memory.optimizer, 2 * block);
    assert_true(memory.activations >= (2 * 144 + 4 * 16) * sizeof(float));
    assert_int_equal(memory.total, 4 * block + memory.activations + memory.workspace);
    opts.optimizer.kind = CN_OPTIMIZER_SGD;
    assert_int_equal(cn_session_memory(m, &opts, &memory, NULL), CN_OK);
    assert_int_equal(memory.optimizer, 0);
    opts.training = false;
    assert_int_equal(cn_session_memory(m, &opts, &memory, NULL), CN_OK);
    assert_int_equal(memory.gradients, 0);
    cn_model_free(m);
}

/* ---- gradients */

/* The slope of the loss along one direction in an array w, by a central difference. */
static double slope_of(cn_session *s, const batch *b, float *w, const float *kept, size_t n,
                       uint64_t stream, double h)
{
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            w[i] = kept[i] + (float)((side ? h : -h) * cn_counter_normal(17, stream, i));
        cn_model_weights_changed(cn_session_trained(s));
        loss[side] = forward_loss(s, b);
    }
    memcpy(w, kept, n * sizeof *w);
    cn_model_weights_changed(cn_session_trained(s));
    return (loss[1] - loss[0]) / (2 * h);
}

/* Where a kink lies within the step, a shorter step may still be free of it: the gradient must
 * agree with one of three. It does to 0.2 % and the rounding of a float32 loss. */
static void check_direction(cn_session *s, const batch *b, float *w, const float *g, size_t n,
                            uint64_t stream, const char *name)
{
    double slope = 0, squares = 0, found = 0;
    float *kept = malloc(n * sizeof *kept);
    assert_non_null(kept);
    memcpy(kept, w, n * sizeof *w);
    for (size_t i = 0; i < n; i++) {
        slope += cn_counter_normal(17, stream, i) * (double)g[i];
        squares += (double)g[i] * (double)g[i];
    }
    bool agrees = false;
    for (double h = 1e-3; h > 5e-5 && !agrees; h /= 4) {
        found = slope_of(s, b, w, kept, n, stream, h);
        agrees = fabs(found - slope) <= 2e-3 * sqrt(squares) + 1e-7 / h;
    }
    free(kept);
    if (!agrees)
        fail_msg("%s: gradient %g, difference %g (norm %g)", name, slope, found, sqrt(squares));
}

/* Every network under every loss; with labels, and with targets between 0 and 1. */
static void gradients_are_those_of_the_loss(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i <= TEXTS; i++)
        for (int kind = 1, soft = 0; kind <= 4; kind += soft, soft = !soft) {
            cn_model *m = model_number(i);
            cn_parameter w, g;
            int outputs = cn_model_output_size(m);
            if (kind == CN_LOSS_CROSS_ENTROPY && outputs == 1) {
                cn_model_free(m);
                continue;
            }
            cn_session_opts opts = {.batch = 4,
                                    .training = true,
                                    .input_gradient = true,
                                    .threads = 1,
                                    .loss = {.kind = (cn_loss_kind)kind}};
            cn_session *s = create(m, opts);
            make_batch(&b, 4, outputs);
            if (soft) b.Y = b.soft;
            for (int j = 0; cn_model_parameter(m, j, &w); j++) {
                forward_loss(s, &b);
                assert_int_equal(cn_session_backward(s, NULL), CN_OK);
                assert_true(cn_session_gradient(s, j, &g));
                assert_string_equal(g.name, w.name);
                size_t n = cn_tensor_count(&w.value);
                float *copy = malloc(n * sizeof *copy);
                assert_non_null(copy);
                memcpy(copy, g.value.data, n * sizeof *copy);
                check_direction(s, &b, w.value.data, copy, n, (uint64_t)j, w.name);
                free(copy);
            }
            forward_loss(s, &b);
            assert_int_equal(cn_session_backward(s, NULL), CN_OK);
            static float dx[4 * EXAMPLE];
            memcpy(dx, cn_session_input_gradient(s).data, sizeof dx);
            check_direction(s, &b, b.x, dx, 4 * EXAMPLE, 99, "input");
            cn_session_free(s);
            cn_model_free(m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_buffers_never_overlap),
        cmocka_unit_test(plans_are_as_written),
        cmocka_unit_test(no_result_depends_on_dead_memory),
        cmocka_unit_test(a_memory_plan_is_what_a_session_takes),
        cmocka_unit_test(gradients_are_those_of_the_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

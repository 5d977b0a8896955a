/* test_plan.c - what a plan decides: memory that is shared, what is fused; and that gradients are
 * still those of the loss. */
#include "networks.h"

/* ---- the plan */

static void live_buffers_never_overlap(void **state)
{
    (void)state;
    for (int i = 0; i <= TEXTS; i++)
        for (int training = 0; training < 2; training++) {
            cn_plan plan;
            cn_model *m = model_number(i);
            cn_session_opts opts = {.batch = 5, .training = training, .input_gradient = training};
            assert_int_equal(cn_plan_create(&plan, m, opts, NULL), CN_OK);
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

static void what_can_be_fused_is(void **state)
{
    cn_plan plan;
    (void)state;
    cn_model *m = parse(network_texts[0]);
    assert_int_equal(cn_plan_create(&plan, m, (cn_session_opts){.training = true}, NULL), CN_OK);
    const cn_plan_step *step = plan.steps;
    /* 1 conv, 2 relu, 3 maxpool, 4 conv, 5 relu, 6 flatten, 7 dense, 8 relu, 9 dense, 10 softmax */
    assert_true(step[1].activation.upper == INFINITY && !step[2].forward && step[1].y == step[2].y);
    assert_true(step[3].mask && !step[2].backward);
    assert_true(step[4].activation.upper == INFINITY && step[5].backward && !step[5].forward &&
                !step[6].forward);
    assert_true(step[7].activation.upper == INFINITY && step[8].y == step[7].y &&
                step[8].dx[0] == step[8].dy);
    assert_true(!step[10].backward && plan.loss.fused && plan.loss_gradient == step[9].dy);
    assert_int_equal(step[1].dx[0], CN_NO_BUFFER);
    assert_true(step[10].y != step[9].y); /* the logits are kept */
    cn_plan_free(&plan);
    cn_model_free(m);

    /* 1 conv, 2 relu6, 3 batchnorm, 4 relu6, 5 dense: a norm that runs does not end at 6. */
    m = parse("conv 4 3x3, relu6, batchnorm, relu6, dense classes");
    assert_int_equal(cn_plan_create(&plan, m, (cn_session_opts){.training = true}, NULL), CN_OK);
    step = plan.steps;
    assert_true(step[1].activation.upper == 6 && !step[2].forward && step[2].backward);
    assert_true(!step[3].activation.kind && step[4].forward);
    cn_plan_free(&plan);
    cn_model_free(m);

    /* 1 conv, 2 and 3 both: what ended at 6 still does. */
    const char *const both[] = {"conv 4 3x3, relu6, relu, dense classes",
                                "conv 4 3x3, relu, relu6, dense classes"};
    for (int i = 0; i < 2; i++) {
        m = parse(both[i]);
        assert_int_equal(cn_plan_create(&plan, m, (cn_session_opts){0}, NULL), CN_OK);
        assert_true(plan.steps[1].activation.upper == 6 && !plan.steps[2].forward &&
                    !plan.steps[3].forward);
        cn_plan_free(&plan);
        cn_model_free(m);
    }
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
        assert_int_equal(cn_plan_create(&plan, m, opts, NULL), CN_OK);
        float *activations = activations_of(dirty, &plan);
        double loss = forward_loss(clean, &b), other;
        for (size_t j = 0; j < plan.activations / sizeof(float); j++) activations[j] = NAN;
        assert_int_equal(cn_forward(dirty, &b.X, NULL), CN_OK);
        poison(&plan, activations, m->layer_count);
        assert_int_equal(cn_loss(dirty, &b.Y, &other, NULL), CN_OK);
        assert_true(loss == other);
        poison(&plan, activations, m->layer_count);
        assert_int_equal(cn_backward(clean, NULL), CN_OK);
        assert_int_equal(cn_backward(dirty, NULL), CN_OK);
        cn_parameter p, q;
        for (int j = 0; cn_gradient(clean, j, &p) && cn_gradient(dirty, j, &q); j++)
            assert_memory_equal(p.value.data, q.value.data, cn_tensor_count(&p.value) * 4);
        poison(&plan, activations, 2 * m->layer_count + 1);
        cn_tensor y = cn_output(clean), y_dirty = cn_output(dirty);
        assert_memory_equal(y.data, y_dirty.data, cn_tensor_count(&y) * sizeof(float));
        cn_tensor dx = cn_input_gradient(clean), dx_dirty = cn_input_gradient(dirty);
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
    assert_int_equal(cn_memory_plan(m, opts, &memory, NULL), CN_OK);
    assert_int_equal(memory.parameters, block);
    assert_int_equal(memory.gradients, block);
    assert_int_equal(memory.optimizer, 2 * block);
    assert_true(memory.activations >= (2 * 144 + 4 * 16) * sizeof(float));
    assert_int_equal(memory.total, 4 * block + memory.activations + memory.workspace);
    opts.optimizer.kind = CN_SGD;
    assert_int_equal(cn_memory_plan(m, opts, &memory, NULL), CN_OK);
    assert_int_equal(memory.optimizer, 0);
    opts.training = false;
    assert_int_equal(cn_memory_plan(m, opts, &memory, NULL), CN_OK);
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
        cn_model_weights_changed(cn_session_model(s));
        loss[side] = forward_loss(s, b);
    }
    memcpy(w, kept, n * sizeof *w);
    cn_model_weights_changed(cn_session_model(s));
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
        for (int kind = 1, soft = 0; kind <= 3; kind += soft, soft = !soft) {
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
                assert_int_equal(cn_backward(s, NULL), CN_OK);
                assert_true(cn_gradient(s, j, &g));
                assert_string_equal(g.name, w.name);
                size_t n = cn_tensor_count(&w.value);
                float *copy = malloc(n * sizeof *copy);
                assert_non_null(copy);
                memcpy(copy, g.value.data, n * sizeof *copy);
                check_direction(s, &b, w.value.data, copy, n, (uint64_t)j, w.name);
                free(copy);
            }
            forward_loss(s, &b);
            assert_int_equal(cn_backward(s, NULL), CN_OK);
            static float dx[4 * EXAMPLE];
            memcpy(dx, cn_input_gradient(s).data, sizeof dx);
            check_direction(s, &b, b.x, dx, 4 * EXAMPLE, 99, "input");
            cn_session_free(s);
            cn_model_free(m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_buffers_never_overlap),
        cmocka_unit_test(what_can_be_fused_is),
        cmocka_unit_test(no_result_depends_on_dead_memory),
        cmocka_unit_test(a_memory_plan_is_what_a_session_takes),
        cmocka_unit_test(gradients_are_those_of_the_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

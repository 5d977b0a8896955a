/*
 * test_optimizer.c - steps: every optimizer and option against its equations in double, on the
 * engine's own gradients; clipping, freezing, factors, accumulation, and any number of threads.
 */
#include "networks.h"

#include "model/optimizer.h"

/* ---- the equations, as cn_optimizer states them */

typedef struct element {
    double w, m, v;
} element;

typedef struct twin {
    cn_optimizer o; /* defaults filled in */
    int t;
    double rate;
} twin;

static void twin_element(const twin *s, double g, double rate, double decay, element *e)
{
    const cn_optimizer *o = &s->o;
    if (o->decoupled)
        e->w *= 1 - rate * decay;
    else
        g += decay * e->w;
    if (o->kind == CN_OPTIMIZER_SGD) {
        e->m = s->t == 1 ? g : o->momentum * e->m + (1 - o->dampening) * g;
        e->w -= rate * (o->momentum == 0 ? g : o->nesterov ? g + o->momentum * e->m : e->m);
    } else if (o->kind == CN_OPTIMIZER_RMSPROP) {
        e->v = o->alpha * e->v + (1 - o->alpha) * g * g;
        e->m = o->momentum * e->m + g / (sqrt(e->v) + o->epsilon);
        e->w -= rate * e->m;
    } else {
        e->m = o->beta1 * e->m + (1 - o->beta1) * g;
        e->v = o->beta2 * e->v + (1 - o->beta2) * g * g;
        double m_hat = e->m / (1 - pow(o->beta1, s->t)), v_hat = e->v / (1 - pow(o->beta2, s->t));
        e->w -= rate * m_hat / (sqrt(v_hat) + o->epsilon);
    }
}

/* ---- a model beside its twin */

static const char network[] = "conv 4 3x3 same, batchnorm, relu, maxpool 2, conv 5 3x3, relu, "
                              "dense 7, relu, dense 3";

typedef struct pair {
    cn_model *model;
    cn_session *session;
    twin twin;
    element *elements; /* one a float of the model's block */
} pair;

static void begin(pair *p, cn_optimizer o)
{
    *p = (pair){.model = p->model, .twin = {.o = o, .rate = 0.01}};
    assert_int_equal(cn_optimizer_settle(&p->twin.o, NULL), CN_OK);
    p->session = create(p->model, (cn_session_opts){.batch = 8, .training = true, .optimizer = o});
    p->elements = calloc(p->model->block_size, sizeof *p->elements);
    assert_non_null(p->elements);
    for (size_t i = 0; i < p->model->block_size; i++) p->elements[i].w = (double)p->model->block[i];
}

static void end(pair *p)
{
    cn_session_free(p->session);
    cn_model_free(p->model);
    free(p->elements);
}

/* min(1, clip_norm / (|g| + 1e-6)) over all that is not frozen. */
static double clip_scale(const pair *p)
{
    double squares = 0;
    cn_parameter g;
    for (int i = 0; i < p->model->parameter_count; i++) {
        if (!cn_session_gradient(p->session, i, &g)) continue;
        for (size_t k = 0; k < cn_tensor_count(&g.value); k++)
            squares += pow((double)((float *)g.value.data)[k], 2);
    }
    double limit = p->twin.o.clip_norm;
    return limit == 0 ? 1 : fmin(1, limit / (sqrt(squares) + 1e-6));
}

/* One step of both, on the batch; what a parameter's factors are is asked of `factors`. */
typedef void factors(const char *name, double *rate, double *decay);

static void step(pair *p, const batch *b, factors *of)
{
    const cn_optimizer *o = &p->twin.o;
    cn_parameter g;
    forward_loss(p->session, b);
    assert_int_equal(cn_session_backward(p->session, NULL), CN_OK);
    double scale = clip_scale(p), limit = o->clip_value > 0 ? o->clip_value : INFINITY;
    p->twin.t++;
    for (int i = 0; i < p->model->parameter_count; i++) {
        double rate = 1, decay = 1;
        if (!cn_session_gradient(p->session, i, &g)) continue;
        if (of) of(g.name, &rate, &decay);
        if (g.value.rank == 1 && !o->decay_all) decay = 0;
        size_t from = (size_t)((const float *)p->model->parameters[i].value.data - p->model->block);
        for (size_t k = 0; k < cn_tensor_count(&g.value); k++) {
            double value = scale * (double)((float *)g.value.data)[k];
            twin_element(&p->twin, fmax(-limit, fmin(limit, value)), rate * p->twin.rate,
                         decay * o->weight_decay, &p->elements[from + k]);
        }
    }
    assert_int_equal(cn_session_step(p->session, p->twin.rate, NULL), CN_OK);
}

/* Statistics, which no optimizer moves, are left out. */
static void assert_followed(const pair *p, const char *what)
{
    for (size_t i = 0; i < p->model->trained_size; i++)
        if (!(fabs((double)p->model->block[i] - p->elements[i].w) <= 2e-5))
            fail_msg("%s: element %zu is %.9g, the equations say %.9g", what, i,
                     (double)p->model->block[i], p->elements[i].w);
}

static const struct {
    const char *name;
    cn_optimizer o;
} cases[] = {
    {"sgd", {.kind = CN_OPTIMIZER_SGD}},
    {"momentum", {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9}},
    {"dampening", {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9, .dampening = 0.4}},
    {"nesterov", {.kind = CN_OPTIMIZER_SGD, .momentum = 0.8, .nesterov = true}},
    {"decay", {.kind = CN_OPTIMIZER_SGD, .momentum = 0.8, .weight_decay = 0.5}},
    {"decay of all", {.kind = CN_OPTIMIZER_SGD, .weight_decay = 0.5, .decay_all = true}},
    {"decoupled",
     {.kind = CN_OPTIMIZER_SGD, .momentum = 0.8, .weight_decay = 0.5, .decoupled = true}},
    {"adam", {.epsilon = 1e-4}},
    {"adam, other betas", {.beta1 = 0.5, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.2}},
    {"adamw", {.kind = CN_OPTIMIZER_ADAMW, .epsilon = 1e-4}},
    {"adamw, all",
     {.kind = CN_OPTIMIZER_ADAMW, .epsilon = 1e-4, .weight_decay = 0.7, .decay_all = true}},
    {"rmsprop", {.kind = CN_OPTIMIZER_RMSPROP, .epsilon = 1e-3}},
    {"rmsprop, momentum",
     {.kind = CN_OPTIMIZER_RMSPROP, .epsilon = 1e-3, .alpha = 0.9, .momentum = 0.5}},
    {"clip by norm", {.kind = CN_OPTIMIZER_SGD, .clip_norm = 0.05}},
    {"a norm that is not met", {.kind = CN_OPTIMIZER_SGD, .clip_norm = 1e6}},
    {"clip by value", {.kind = CN_OPTIMIZER_SGD, .clip_value = 0.01}},
    {"clip by both", {.epsilon = 1e-3, .clip_norm = 0.3, .clip_value = 0.02, .weight_decay = 0.1}},
};
enum { CASES = sizeof cases / sizeof *cases, STEPS = 6 };

static void every_optimizer_follows_its_equations(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        pair p = {.model = parse(network)};
        begin(&p, cases[i].o);
        for (int s = 0; s < STEPS; s++) step(&p, make_batch(&b, 8 - s, 3), NULL);
        assert_followed(&p, cases[i].name);
        end(&p);
    }
}

static void scaled(const char *name, double *rate, double *decay)
{
    if (strstr(name, ".bias")) *rate = 8, *decay = 0.25;
    if (strcmp(name, "dense_1.weight") == 0) *rate = 0;
}

static void factors_scale_rates_and_decay(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        pair p = {.model = parse(network)};
        assert_int_equal(cn_model_scale_rate(p.model, "*.bias", 8, NULL), CN_OK);
        assert_int_equal(cn_model_scale_decay(p.model, "*_?.b*s", 0.25, NULL), CN_OK);
        assert_int_equal(cn_model_scale_rate(p.model, "dense_1.weight", 0, NULL), CN_OK);
        begin(&p, cases[i].o);
        for (int s = 0; s < STEPS; s++) step(&p, make_batch(&b, 8, 3), scaled);
        assert_followed(&p, cases[i].name);
        end(&p);
    }
}

/* ---- freezing */

static void frozen(const char *name, double *rate, double *decay)
{
    if (strncmp(name, "conv2d", 6) == 0 || strcmp(name, "dense_2.bias") == 0) *rate = *decay = 0;
}

static void what_is_frozen_neither_moves_nor_costs(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        if (cases[i].o.clip_norm > 0) continue; /* the norm leaves out dense_2.bias, the twin not */
        pair p = {.model = parse(network)};
        assert_int_equal(cn_model_freeze(p.model, "conv2d*", true, NULL), CN_OK);
        assert_int_equal(cn_model_freeze(p.model, "dense_2.bias", true, NULL), CN_OK);
        begin(&p, cases[i].o);
        for (int s = 0; s < STEPS; s++) step(&p, make_batch(&b, 8, 3), frozen);
        assert_followed(&p, cases[i].name);
        cn_parameter g;
        for (int k = 0; k < p.model->parameter_count; k++) {
            if (!cn_session_gradient(p.session, k, &g) || strncmp(g.name, "conv2d", 6) != 0)
                continue;
            for (size_t j = 0; j < cn_tensor_count(&g.value); j++)
                assert_true(((float *)g.value.data)[j] == 0);
        }
        end(&p);
    }
}

static void a_frozen_beginning_has_no_backward(void **state)
{
    cn_plan plan = {0};
    cn_model *m = parse("conv 4 3x3 same, relu, conv 5 3x3, relu, dense 3");
    (void)state;
    assert_int_equal(cn_model_freeze(m, "conv*", true, NULL), CN_OK);
    assert_int_equal(cn_plan_create(&plan, m, &(cn_session_opts){.training = true}, NULL), CN_OK);
    for (int i = 0; i < m->layer_count; i++)
        assert_int_equal(plan.steps[i].backward, strcmp(m->layers[i].name, "dense_1") == 0);
    cn_plan_free(&plan);
    assert_int_equal(cn_model_freeze(m, "*", false, NULL), CN_OK);
    assert_int_equal(cn_plan_create(&plan, m, &(cn_session_opts){.training = true}, NULL), CN_OK);
    assert_true(plan.steps[1].backward && plan.steps[3].backward);
    cn_plan_free(&plan);
    cn_model_free(m);
}

/* The first gradients of the first layer, where the one behind it is frozen or not. */
static void gradients_through(const char *text, bool freeze, double first[8])
{
    static batch b;
    char pattern[CN_NAME_SIZE + 2];
    cn_parameter g;
    cn_model *m = parse(text);
    snprintf(pattern, sizeof pattern, "%s.*", m->layers[2].name);
    if (freeze) assert_int_equal(cn_model_freeze(m, pattern, true, NULL), CN_OK);
    cn_session *s = create(m, (cn_session_opts){.batch = 8, .training = true});
    forward_loss(s, make_batch(&b, 8, 3));
    assert_int_equal(cn_session_backward(s, NULL), CN_OK);
    assert_true(cn_session_gradient(s, 0, &g));
    for (int i = 0; i < 8; i++) first[i] = (double)((float *)g.value.data)[i];
    cn_session_free(s);
    cn_model_free(m);
}

static void gradients_pass_through_what_is_frozen(void **state)
{
    static const char *const texts[] = {
        "conv 4 3x3 same", "convtranspose 4 3x3", "depthwise 3x3 same",
        "batchnorm",       "groupnorm 2",         "layernorm",
        "dense 6"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[160];
        double free_[8], frozen_[8];
        snprintf(text, sizeof text, "conv 4 1x1, %s, tanh, dense 3", texts[i]);
        gradients_through(text, false, free_);
        gradients_through(text, true, frozen_);
        for (int k = 0; k < 8; k++) assert_true(free_[k] == frozen_[k] && free_[k] != 0);
    }
}

static void patterns_that_match_nothing_are_refused(void **state)
{
    cn_error err;
    cn_model *m = parse("dense 3, batchnorm, dense 3"), *raw = NULL;
    (void)state;
    assert_int_equal(cn_model_freeze(m, "conv*", true, &err), CN_ERR_ARGUMENT);
    assert_string_equal(
        err.text, "freeze: no parameter's name matches \"conv*\"; the first is \"dense_1.weight\"");
    assert_int_equal(cn_model_freeze(m, "*running_mean", true, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_freeze(m, "", true, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_freeze(m, "dense_1.weigh", true, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_freeze(m, "dense_1.weight?", true, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_scale_rate(m, "*", -1, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "scale rate: factor -1, expected a number of 0 or more");
    assert_int_equal(cn_model_scale_decay(m, "*", NAN, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_scale_decay(m, NULL, 1, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_freeze(NULL, "*", true, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_create(&raw, (int[]){2, 2, 1}, NULL), CN_OK);
    assert_int_equal(cn_model_freeze(raw, "*", true, &err), CN_ERR_ARGUMENT);
    cn_model_free(raw);
    cn_model_free(m);
}

/* ---- accumulation */

/* The gradients of the whole batch, or of its parts one after the other. */
static cn_session *gradients_of(cn_model *m, cn_loss_opts loss, const int *parts, int count)
{
    static batch b;
    cn_session *s = create(m, (cn_session_opts){.batch = 8, .training = true, .loss = loss});
    for (int i = 0, from = 0; i < count; from += parts[i++]) {
        make_batch(&b, parts[i], 3);
        b.X.data = b.x + from * EXAMPLE;
        b.Y.data = b.labels + from;
        forward_loss(s, &b);
        assert_int_equal(i ? cn_session_backward_accumulate(s, NULL) : cn_session_backward(s, NULL),
                         CN_OK);
    }
    return s;
}

static void parts_of_a_batch_add_up(void **state)
{
    const float weights[3] = {0.2F, 3, 1};
    const cn_loss_opts losses[] = {{0},
                                   {.label_smoothing = 0.2},
                                   {.class_weights = weights},
                                   {.kind = CN_LOSS_MEAN_SQUARED_ERROR}};
    (void)state;
    for (int l = 0; l < 4; l++) {
        cn_model *m = parse("conv 4 3x3 same, relu, maxpool 2, dense 3");
        cn_session *all = gradients_of(m, losses[l], (int[]){8}, 1);
        cn_session *even = gradients_of(m, losses[l], (int[]){2, 2, 2, 2}, 4);
        cn_session *odd = gradients_of(m, losses[l], (int[]){5, 1, 2}, 3);
        cn_parameter a, b, c;
        for (int i = 0; cn_session_gradient(all, i, &a); i++) {
            assert_true(cn_session_gradient(even, i, &b) && cn_session_gradient(odd, i, &c));
            for (size_t k = 0; k < cn_tensor_count(&a.value); k++) {
                double want = (double)((float *)a.value.data)[k];
                assert_true(fabs((double)((float *)b.value.data)[k] - want) <= 1e-6);
                assert_true(fabs((double)((float *)c.value.data)[k] - want) <= 1e-6);
            }
        }
        cn_session_free(all);
        cn_session_free(even);
        cn_session_free(odd);
        cn_model_free(m);
    }
}

static void a_step_ends_what_adds_up(void **state)
{
    static batch b;
    (void)state;
    cn_model *m = parse("dense 3"), *same = parse("dense 3");
    cn_session *s = create(m, (cn_session_opts){.batch = 8, .training = true});
    cn_session *t = create(same, (cn_session_opts){.batch = 8, .training = true});
    for (int i = 0; i < 3; i++) {
        make_batch(&b, 8, 3);
        forward_loss(s, &b);
        forward_loss(t, &b);
        assert_int_equal(cn_session_backward_accumulate(s, NULL),
                         CN_OK); /* the first of its step */
        assert_int_equal(cn_session_backward(t, NULL), CN_OK);
        assert_int_equal(cn_session_step(s, 0.1, NULL), CN_OK);
        assert_int_equal(cn_session_step(t, 0.1, NULL), CN_OK);
    }
    assert_memory_equal(m->block, same->block, m->block_size * sizeof *m->block);
    assert_int_equal(cn_session_backward_accumulate(s, NULL), CN_ERR_ARGUMENT);
    assert_int_equal(cn_session_backward_accumulate(NULL, NULL), CN_ERR_ARGUMENT);
    cn_session_free(s);
    cn_session_free(t);
    cn_model_free(m);
    cn_model_free(same);
}

/* ---- units */

/* Tensors of several chunks, and small ones between them. */
static void units_cover_what_is_trained_once(void **state)
{
    (void)state;
    cn_model *m = parse("dense 700, batchnorm, dense 61, relu, dense 3");
    assert_int_equal(cn_model_freeze(m, "dense_2.weight", true, NULL), CN_OK);
    assert_int_equal(cn_model_scale_rate(m, "dense_3.bias", 2, NULL), CN_OK);
    const cn_optimizer o = {.kind = CN_OPTIMIZER_SGD, .weight_decay = 0.1};
    cn_update_plan plan = {0};
    assert_int_equal(cn_optimizer_plan(&plan, m, &o, NULL), CN_OK);
    int *covered = calloc(m->block_size, sizeof *covered);
    assert_non_null(covered);
    for (int i = 0; i < plan.count; i++) {
        assert_true(plan.chunks[i].count <= CN_MAP_CHUNK);
        for (size_t k = 0; k < plan.chunks[i].count; k++) covered[plan.chunks[i].from + k]++;
    }
    cn_parameter p;
    for (int i = 0; cn_model_parameter(m, i, &p); i++) {
        bool moves = !p.buffer && strcmp(p.name, "dense_2.weight") != 0;
        size_t from = (size_t)((float *)p.value.data - m->block);
        for (size_t k = 0; k < cn_tensor_count(&p.value); k++)
            assert_int_equal(covered[from + k], moves);
    }
    free(covered);
    cn_release(plan.chunks);
    cn_model_free(m);
}

static void threads_change_no_bit(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i < CASES; i++) {
        cn_model *models[3];
        for (int threads = 1; threads <= 3; threads++) {
            cn_model *m = models[threads - 1] = parse("conv 64 3x3 same, relu, dense 40, dense 3");
            cn_session *s = create(
                m, (cn_session_opts){
                       .batch = 8, .threads = threads, .training = true, .optimizer = cases[i].o});
            for (int k = 0; k < 2; k++) {
                forward_loss(s, make_batch(&b, 8, 3));
                assert_int_equal(cn_session_backward(s, NULL), CN_OK);
                forward_loss(s, make_batch(&b, 5, 3));
                assert_int_equal(cn_session_backward_accumulate(s, NULL), CN_OK);
                assert_int_equal(cn_session_step(s, 0.01, NULL), CN_OK);
            }
            cn_session_free(s);
        }
        for (int k = 1; k < 3; k++)
            assert_memory_equal(models[k]->block, models[0]->block,
                                models[0]->block_size * sizeof(float));
        for (int k = 0; k < 3; k++) cn_model_free(models[k]);
    }
}

static void wrong_options_are_named(void **state)
{
    static const struct {
        cn_optimizer o;
        const char *text;
    } wrong[] = {
        {{.kind = (cn_optimizer_kind)4}, "session: unknown optimizer 4"},
        {{.dampening = 1}, "session: dampening 1, expected from 0 to less than 1"},
        {{.alpha = -1}, "session: alpha -1, expected from 0 to less than 1"},
        {{.weight_decay = -1}, "session: weight decay -1, expected a number of 0 or more"},
        {{.clip_norm = NAN}, "session: clip norm nan, expected a number of 0 or more"},
        {{.clip_value = INFINITY}, "session: clip value inf, expected a number of 0 or more"},
        {{.kind = CN_OPTIMIZER_SGD, .nesterov = true},
         "session: Nesterov's momentum with momentum 0 and dampening 0, expected momentum above 0 "
         "and no dampening"},
        {{.momentum = 0.9}, "session: optimizer: momentum goes with SGD and RMSprop"},
        {{.kind = CN_OPTIMIZER_RMSPROP, .momentum = 0.9, .dampening = 0.1},
         "session: optimizer: dampening goes with SGD with momentum"},
        {{.kind = CN_OPTIMIZER_RMSPROP, .momentum = 0.9, .nesterov = true},
         "session: optimizer: Nesterov's momentum goes with SGD"},
        {{.kind = CN_OPTIMIZER_SGD, .beta1 = 0.9},
         "session: optimizer: beta1 goes with Adam and AdamW"},
        {{.kind = CN_OPTIMIZER_RMSPROP, .beta2 = 0.9},
         "session: optimizer: beta2 goes with Adam and AdamW"},
        {{.alpha = 0.9}, "session: optimizer: alpha goes with RMSprop"},
        {{.kind = CN_OPTIMIZER_SGD, .epsilon = 1e-6},
         "session: optimizer: epsilon goes with Adam, AdamW and RMSprop"},
        {{.decoupled = true}, "session: optimizer: decoupled goes with weight decay"},
        {{.kind = CN_OPTIMIZER_SGD, .decay_all = true},
         "session: optimizer: decay_all goes with weight decay"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cn_error err;
        cn_optimizer o = wrong[i].o;
        assert_int_equal(cn_optimizer_settle(&o, &err), CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].text);
    }
}

static void wrong_loss_options_are_named(void **state)
{
    const struct {
        cn_loss_opts o;
        const char *text;
    } wrong[] = {
        {{.label_smoothing = 1}, "session: label smoothing 1, expected from 0 to less than 1"},
        {{.kind = CN_LOSS_MEAN_SQUARED_ERROR, .label_smoothing = 0.1},
         "session: label smoothing is for cross-entropies, the loss is another"},
        {{.class_weights = (const float[]){1, -1, 1}},
         "session: class 1 has weight -1, expected a number of 0 or more"},
        {{.class_weights = (const float[]){0, 0, 0}}, "session: all 3 class weights are 0"},
        {{.kind = CN_LOSS_BINARY_CROSS_ENTROPY, .class_weights = (const float[]){1, 1, 1}},
         "session: class weights are for cross-entropy and the focal loss, and for their binary "
         "kinds with one output; the loss is another"},
    };
    (void)state;
    cn_model *m = parse("dense 3");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cn_error err;
        cn_session *s = NULL;
        assert_int_equal(cn_session_create(&s, m, &(cn_session_opts){.loss = wrong[i].o}, &err),
                         CN_ERR_ARGUMENT);
        assert_string_equal(err.text, wrong[i].text);
    }
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_optimizer_follows_its_equations),
        cmocka_unit_test(factors_scale_rates_and_decay),
        cmocka_unit_test(what_is_frozen_neither_moves_nor_costs),
        cmocka_unit_test(a_frozen_beginning_has_no_backward),
        cmocka_unit_test(gradients_pass_through_what_is_frozen),
        cmocka_unit_test(patterns_that_match_nothing_are_refused),
        cmocka_unit_test(parts_of_a_batch_add_up),
        cmocka_unit_test(a_step_ends_what_adds_up),
        cmocka_unit_test(units_cover_what_is_trained_once),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(wrong_loss_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

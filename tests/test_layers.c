/*
 * Every layer of the layer table, and every loss, engine against twin.
 *
 * A case is a model of one to three layers, built through the public API: the layer under test with
 * random options (layer_rows.h), maybe one before and one after it, so that what a plan fuses,
 * computes in place or leaves out is met, too. Compared are the output, the loss, the gradient of
 * the input and of every parameter. Where a case uses integers there are ties, and zeros at the
 * kink of a ReLU.
 *
 *     test_layers                all cases of all types
 *     test_layers TYPE NUMBER    one case, as a failure prints it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer_rows.h"
#include "layers/loss.h"
#include "model/averages.h"
#include "model/gradcheck.h"

enum {
#if defined(__SANITIZE_THREAD__) || defined(TEST_EMULATED)
    CASES = 50, /* of each type: a minute is made of a second */
#else
    CASES = 150, /* of each type */
#endif
    MOST_CLASSES = 64,
    FEW_LAYERS = 6, /* with the input: more are deep */
    LONG_SUM = 1000 /* products: more are deep, too */
};

/*
 * What float32 may be off by, in units of the largest of the two numbers and the root of the mean
 * square of the tensor (cn_gradient_error): sums of a few hundred products, whose roundings of
 * 2^-24 = 6e-8 add up to less than this. PyTorch's gradcheck, in double, allows 1e-3.
 *
 * Models with branches have up to twelve layers one behind the other instead of three, and a dense
 * layer behind an image sums thousands of products: how much of their rounding stays depends on
 * the order that the compiler sums in, too.
 *
 * The gradient behind a softmax sums to zero over each row, behind a batch norm over each channel:
 * what is summed further on, a bias's gradient above all, is small beside its terms, whose rounding
 * stays.
 */
static const double TOLERANCE = 1e-5, TOLERANCE_DEEP = 3e-5, TOLERANCE_ZERO_SUM = 1e-4;

/* ---- building a model */

typedef struct trial {
    const char *type;
    int number;
    uint64_t random;
    bool integers; /* weights and inputs: sums are exact, and so are ties */
    cn_model *model;
    cn_session *session;
    cn_twin_model *twin;
    cn_loss_plan loss;
    double class_weights[MOST_CLASSES];
    cn_tensor x, y;
    double *target;
    int m, failures;
} trial;

static cn_node build_before(trial *t, cn_node x, const int *n)
{
    switch (draw(&t->random) % 6) {
    case 0: return conv2d(t->model, x, n, &t->random);
    case 1: return cn_tanh(t->model, x);
    case 2:
        return cn_relu(t->model,
                       cn_conv2d(t->model, x, &(cn_conv2d_opts){.filters = 5, .kernel = {1}}));
    default: return x;
    }
}

static cn_node build_after(trial *t, cn_node x)
{
    const cn_shape *out = &t->model->layers[x].out;
    switch (draw(&t->random) % 10) {
    case 0: return cn_relu(t->model, x);
    case 1: return out->n[out->rank - 1] < 100 ? cn_softmax(t->model, x) : x;
    case 2: return cn_sigmoid(t->model, x);
    case 3: return cn_dense(t->model, x, &(cn_dense_opts){.units = 3});
    case 4:
        return cn_relu(t->model,
                       cn_dense(t->model, cn_relu(t->model, x), &(cn_dense_opts){.units = 4}));
    case 5:
        if (out->rank == 3)
            return cn_max_pool(t->model, cn_relu(t->model, x),
                               &(cn_pool_opts){.size = {2, 2}, .pad = CN_PADDING_SAME});
        return x;
    default: return x;
    }
}

static const char *const exact_types[] = {
    "conv2d",
    "depthwise_conv2d",
    "conv_transpose2d",
    "dense",
    "max_pool",
    "flatten",
    "relu",
    "relu6",
    "add",
    "concat",
    "zero_pad2d",
    "crop2d",
};
static const char *const last_types[] = {
    "average_pool", "leaky_relu", "scale", "hard_sigmoid", "hard_swish", "batch_norm",
};

/* Do integers stay integers, up to the last layer's output? Only then are ties the same in float32
 * and in double. */
static bool exact(const cn_model *m)
{
    for (int i = 1; i < m->layer_count; i++) {
        bool whole = false, last = i == m->layer_count - 1;
        for (size_t k = 0; k < sizeof exact_types / sizeof *exact_types; k++)
            whole = whole || !strcmp(m->layers[i].type->name, exact_types[k]);
        for (size_t k = 0; last && k < sizeof last_types / sizeof *last_types; k++)
            whole = whole || !strcmp(m->layers[i].type->name, last_types[k]);
        if (!whole) return false;
    }
    return true;
}

static void build_model(trial *t)
{
    cn_error err = {0};
    int side = draw(&t->random) % 4 ? 9 : 20, n[3];
    for (int i = 0; i < 2; i++) n[i] = draw_int(&t->random, 1, side);
    n[2] = draw_int(&t->random, 1, draw(&t->random) % 8 ? 9 : 33);
    assert_int_equal(cn_model_create(&t->model, n, &err), CN_OK);
    cn_node x = build_before(t, cn_input(t->model), n);
    if (draw(&t->random) % 8 == 0 && (!strcmp(t->type, "softmax") || !strcmp(t->type, "dense")))
        x = cn_flatten(t->model, x);
    if (x >= 0) x = build(t->model, x, t->type, t->model->layers[x].out.n, &t->random);
    if (x >= 0) x = build_after(t, x);
    if (cn_model_finish(t->model, x, 1, &err) != CN_OK) fail_msg("%s", err.text);

    t->integers = exact(t->model) && draw(&t->random) % 2;
    for (int i = 1; i < t->model->layer_count; i++)
        for (int j = 0; j < t->model->layers[i].parameter_count; j++) {
            const cn_layer_parameter *parameter = &t->model->layers[i].parameters[j];
            float *w = t->model->block + parameter->offset;
            double fan_in = parameter->fan_in > 0 ? parameter->fan_in : 1;
            for (size_t k = 0; k < cn_shape_count(&parameter->shape); k++)
                w[k] = t->integers ? (float)draw_int(&t->random, -2, 2)
                                   : (float)(draw_real(&t->random, -1, 1) * sqrt(3 / fan_in));
        }
}

/* A transposed convolution's output: n = (n_prev - 1) s + (f - 1) d + 1 - pads + output_padding. */
static void check_transposed(const cn_layer *layer, int axis, bool same)
{
    const cn_conv_transpose2d_opts *o = layer->options;
    const cn_window *w = &layer->window;
    int n = layer->in.n[axis], s = o->stride[axis],
        f = (o->kernel[axis] - 1) * o->dilation[axis] + 1;
    int out = same ? n * s
                   : (n - 1) * s + f - o->pads[axis] - o->pads[axis + 2] + o->output_padding[axis];
    int total = f > s ? f - s : 0;
    assert_int_equal(layer->out.n[axis], out);
    assert_int_equal(w->before[axis], same ? total / 2 : o->pads[axis]);
}

/* SAME and VALID once more, so that a wrong output size or pad is not the twin's as well. */
static void check_geometry(trial *t)
{
    for (int i = 1; i < t->model->layer_count; i++) {
        const cn_layer *layer = &t->model->layers[i];
        const cn_window *w = &layer->window;
        for (int axis = 0; axis < 2 && w->kernel[0] > 0 && layer->out.rank == 3; axis++) {
            bool same = strstr(layer->text, "same") != NULL;
            int n = layer->in.n[axis], s = w->stride[axis];
            int f = (w->kernel[axis] - 1) * w->dilation[axis] + 1;
            if (layer->type == &cn_conv_transpose2d_type) {
                check_transposed(layer, axis, same);
                continue;
            }
            int out = same ? (n + s - 1) / s : (n + w->before[axis] + w->after[axis] - f) / s + 1;
            int total = (out - 1) * s + f - n;
            assert_int_equal(layer->out.n[axis], out);
            assert_int_equal(w->out[axis], out);
            if (!same) continue;
            assert_int_equal(w->before[axis], total > 0 ? total / 2 : 0);
            assert_int_equal(w->after[axis], total > 0 ? total - total / 2 : 0);
        }
    }
}

/* A loss that fits: a cross-entropy needs outputs from (0, 1), and takes its fused form or not. */
static cn_loss_kind draw_loss(trial *t)
{
    const cn_layer *output = &t->model->layers[t->model->output];
    bool softmax = !strcmp(output->type->name, "softmax");
    bool sigmoid = !strcmp(output->type->name, "sigmoid");
    bool several = output->out.n[output->out.rank - 1] > 1;
    if (softmax && !several) return CN_LOSS_MEAN_SQUARED_ERROR;
    if (!softmax && !sigmoid)
        return draw(&t->random) % 2 ? CN_LOSS_DEFAULT : CN_LOSS_MEAN_SQUARED_ERROR;
    cn_loss_kind kind = (cn_loss_kind)draw_int(&t->random, 0, 5);
    return kind == CN_LOSS_CROSS_ENTROPY && !several ? CN_LOSS_DEFAULT : kind;
}

/* The loss's options, and the same for the twin: smoothing and class weights where they may be. */
static cn_loss_opts draw_loss_options(trial *t, float *weights)
{
    const cn_layer *output = &t->model->layers[t->model->output];
    cn_loss_opts o = {.kind = draw_loss(t)};
    int columns = output->out.n[output->out.rank - 1], classes = columns == 1 ? 2 : columns;
    cn_loss_plan plain;
    assert_int_equal(cn_loss_choose(output, &o, &plain, NULL), CN_OK);
    bool binary = plain.kind == CN_LOSS_BINARY_CROSS_ENTROPY;
    if (plain.kind == CN_LOSS_MEAN_SQUARED_ERROR || plain.kind == CN_LOSS_DICE) return o;
    binary = binary || plain.binary;
    if (plain.kind != CN_LOSS_FOCAL && draw(&t->random) % 3 == 0)
        o.label_smoothing = draw_real(&t->random, 0, 0.9);
    if (draw(&t->random) % 3 == 0 && (!binary || columns == 1) && classes <= MOST_CLASSES) {
        for (int j = 0; j < classes; j++) {
            weights[j] = (float)draw_real(&t->random, 0.1, 3);
            t->class_weights[j] = (double)weights[j];
        }
        o.class_weights = weights;
    }
    return o;
}

static void create_data(trial *t)
{
    float weights[MOST_CLASSES];
    cn_error err = {0};
    const cn_layer *output = &t->model->layers[t->model->output];
    /* Of two numbers, batch norm makes 1 and -1: their gradient is rounding. */
    int least = strcmp(t->type, "batch_norm") ? 1 : 8;
    int shape[CN_MAX_RANK] = {t->m = draw_int(&t->random, least, least + 3)};
    cn_session_opts opts = {.batch = t->m + draw_int(&t->random, 0, 2),
                            .threads = draw_int(&t->random, 1, 3),
                            .training = true,
                            .input_gradient = true,
                            .loss = draw_loss_options(t, weights)};
    memcpy(shape + 1, cn_model_input_shape(t->model), 3 * sizeof *shape);
    assert_int_equal(cn_tensor_create(&t->x, CN_DTYPE_F32, 4, shape, &err), CN_OK);
    memcpy(shape + 1, output->out.n, (size_t)output->out.rank * sizeof *shape);
    assert_int_equal(cn_tensor_create(&t->y, CN_DTYPE_F32, output->out.rank + 1, shape, &err),
                     CN_OK);
    t->target = calloc(cn_tensor_count(&t->y), sizeof *t->target);
    assert_non_null(t->target);
    if (cn_session_create(&t->session, t->model, &opts, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_loss_choose(output, &opts.loss, &t->loss, &err), CN_OK);
    assert_int_equal(cn_twin_model_create(&t->twin, t->model, t->m, &err), CN_OK);
    t->twin->how =
        (cn_ref_targets){.smoothing = opts.loss.label_smoothing,
                         .class_weights = opts.loss.class_weights ? t->class_weights : NULL};
}

static void describe(const trial *t)
{
    printf("test_layers %s %d\n    input %s", t->type, t->number, t->integers ? "integers " : "");
    for (int i = 0; i < 3; i++) printf("%d ", cn_model_input_shape(t->model)[i]);
    for (int i = 1; i < t->model->layer_count; i++)
        printf("-> %s %s", t->model->layers[i].name, t->model->layers[i].text);
    printf(" loss %d%s%s, smoothing %g, batch of %d\n", (int)t->loss.kind,
           t->loss.fused ? " fused" : "", t->loss.class_weights ? " with class weights" : "",
           t->loss.smoothing, t->m);
}

/* An input whose decisions float32 cannot turn, and targets. */
static void fill_data(trial *t)
{
    float *x = t->x.data, *y = t->y.data;
    size_t near = 1, n = cn_tensor_count(&t->x);
    for (int draws = 0; draws < 100 && near > 0; draws++) {
        near = 0;
        for (size_t i = 0; i < n; i++) {
            x[i] = t->integers ? (float)draw_int(&t->random, -3, 3)
                               : (float)draw_real(&t->random, -1.7, 1.7);
            t->twin->layers[0].y[i] = (double)x[i];
        }
        cn_twin_model_forward(t->twin, 0, 1e-5);
        for (int i = 0; i < t->model->layer_count; i++) near += t->twin->layers[i].decisions.near;
    }
    if (near > 0) describe(t);
    assert_int_equal(near, 0);
    for (size_t i = 0; i < cn_tensor_count(&t->y); i++) {
        y[i] = (float)draw_real(&t->random, 0, 1);
        t->target[i] = (double)y[i];
    }
}

/* Labels in place of the targets: one a row of the outputs. */
static void draw_labels(trial *t)
{
    cn_error err = {0};
    const cn_shape *out = &t->model->layers[t->model->output].out;
    size_t n = (size_t)t->loss.columns;
    int shape[CN_MAX_RANK] = {t->m}, rank = out->rank;
    if (draw(&t->random) % 2) return;
    memcpy(shape + 1, out->n, (size_t)(rank - 1) * sizeof *shape);
    if (t->loss.columns == t->loss.size && draw(&t->random) % 2) rank = 1;
    cn_tensor_free(&t->y);
    assert_int_equal(cn_tensor_create(&t->y, CN_DTYPE_I32, rank, shape, &err), CN_OK);
    size_t labels = cn_tensor_count(&t->y);
    memset(t->target, 0, labels * n * sizeof *t->target);
    for (size_t i = 0; i < labels; i++) {
        int label = draw_int(&t->random, 0, n == 1 ? 1 : (int)n - 1);
        bool ignored = out->rank == 3 && i > 0 && draw(&t->random) % 8 == 0;
        ((int32_t *)t->y.data)[i] = ignored ? CN_LABEL_IGNORED : label;
        if (ignored)
            t->target[i * n] = (double)NAN;
        else
            t->target[i * n + (n == 1 ? 0 : (size_t)label)] = n == 1 ? label : 1;
    }
}

/* ---- comparing */

/* Whether roundings have many layers, or sums of thousands of products, to add up in. */
static bool deep(const cn_model *m)
{
    bool found = m->layer_count > FEW_LAYERS;
    for (int i = 1; i < m->layer_count; i++)
        for (int j = 0; j < m->layers[i].parameter_count; j++)
            found = found || m->layers[i].parameters[j].fan_in > LONG_SUM;
    return found;
}

/* `terms`: what the elements are sums of is this large; their rounding stays where they cancel. */
static void compare(trial *t, const char *what, size_t n, const float *engine, const double *twin,
                    double terms)
{
    double scale = fmax(cn_gradient_scale(n, twin), terms);
    double tolerance = deep(t->model) ? TOLERANCE_DEEP : TOLERANCE;
    for (int i = 1; i < t->model->layer_count; i++)
        if ((t->model->layers[i].type == &cn_softmax_type && !t->loss.fused) ||
            t->model->layers[i].type == &cn_batch_norm_type)
            tolerance = TOLERANCE_ZERO_SUM;
    for (size_t i = 0; i < n; i++) {
        double error = cn_gradient_error((double)engine[i], twin[i], scale);
        if (error <= tolerance) continue;
        if (t->failures++ == 0) describe(t);
        printf("    %s[%zu] is %.9g, the twin says %.9g: off by %.1e\n", what, i, (double)engine[i],
               twin[i], error);
        return;
    }
}

/* A normalized row's gradient is what is left of dy without its mean and its part along the row,
 * nothing at all of one element: dy times the largest 1 / sqrt(var + epsilon) is what cancels. */
static double normalized_terms(const trial *t)
{
    double terms = 0;
    for (int i = 1; i < t->model->layer_count; i++) {
        const cn_layer_type *type = t->model->layers[i].type;
        const cn_twin_layer *layer = &t->twin->layers[i];
        if (type == &cn_layer_norm_type || type == &cn_group_norm_type)
            terms =
                fmax(terms, cn_gradient_scale(layer->count, layer->dy) / sqrt(SMALLEST_EPSILON));
    }
    return terms;
}

static void compare_all(trial *t)
{
    cn_error err = {0};
    cn_parameter g;
    double loss, want = cn_twin_model_loss(t->twin, t->loss.kind, t->target, true);
    int at = 0;
    cn_twin_model_backward(t->twin);
    assert_int_equal(cn_session_forward(t->session, &t->x, &err), CN_OK);
    cn_tensor y = cn_session_output(t->session);
    const cn_twin_layer *output = &t->twin->layers[t->model->output];
    assert_int_equal(cn_tensor_count(&y), output->count);
    compare(t, "output", output->count, y.data, output->y, 0);
    if (cn_session_loss(t->session, &t->y, &loss, &err) != CN_OK) fail_msg("%s", err.text);
    if (!(fabs(loss - want) <= TOLERANCE * fmax(1, fabs(want)))) {
        if (t->failures++ == 0) describe(t);
        printf("    the loss is %.9g, the twin says %.9g\n", loss, want);
    }
    assert_int_equal(cn_session_backward(t->session, &err), CN_OK);
    cn_tensor dx = cn_session_input_gradient(t->session);
    compare(t, "input gradient", t->twin->layers[0].count, dx.data, t->twin->layers[0].dy,
            normalized_terms(t));
    for (int i = 1; i < t->model->layer_count; i++)
        for (int j = 0; j < t->model->layers[i].parameter_count; j++) {
            bool trained = !t->model->layers[i].parameters[j].buffer;
            assert_int_equal(cn_session_gradient(t->session, at++, &g), trained);
            if (!trained) continue;
            const cn_twin_layer *layer = &t->twin->layers[i];
            const cn_shape *out = &t->model->layers[i].out;
            double summed = (double)layer->count / out->n[out->rank - 1];
            /* Before a batch norm all terms are off by the rounding of the mean taken off them. */
            bool norm = !strcmp(t->type, "batch_norm");
            double terms = g.value.rank > 1 ? 0
                                            : cn_gradient_scale(layer->count, layer->dy) *
                                                  (norm ? summed : sqrt(summed));
            compare(t, g.name, cn_tensor_count(&g.value), g.value.data, layer->dw[j], terms);
        }
    assert_false(cn_session_gradient(t->session, at, &g));
}

static int run_trial(const char *type, int number)
{
    trial t = {.type = type, .number = number, .random = (uint64_t)number + 1};
    for (const char *c = type; *c; c++) t.random = (t.random ^ (uint64_t)*c) * 0x100000001b3;
    /* Normalizations of single values are refused, as tests/test_averages.c sees to. */
    for (build_model(&t); cn_check_averages(t.model, 2, "", NULL) != CN_OK; build_model(&t))
        cn_model_free(t.model);
    check_geometry(&t);
    create_data(&t);
    fill_data(&t);
    draw_labels(&t);
    compare_all(&t);
    t.twin->step++;
    cn_twin_model_forward(t.twin, 0, 0);
    if (t.failures == 0) compare_all(&t); /* nothing is left over from the first run */
    cn_loss_release(&t.loss);
    cn_session_free(t.session);
    cn_twin_model_free(t.twin);
    cn_model_free(t.model);
    cn_tensor_free(&t.x);
    cn_tensor_free(&t.y);
    free(t.target);
    return t.failures;
}

/* ---- the tests */

static void every_type_has_a_row_and_a_twin(void **state)
{
    (void)state;
    for (int i = 0; cn_layer_type_at(i); i++) {
        const cn_layer_type *type = cn_layer_type_at(i);
        const bool activation = is_activation(type);
        if (!find_row(type->name) && !activation)
            fail_msg("%s: add a row to tests/layer_rows.h", type->name);
        if (!cn_twin_find(type->name))
            fail_msg("%s: add its twin to src/reference/%s.c", type->name,
                     activation ? "ref_activation" : "reference");
    }
    for (int i = 0; i < ROWS; i++) assert_non_null(cn_layer_type_find(rows[i].type));
}

static void every_case_of_a_type(void **state)
{
    const cn_layer_type *type = *state;
    int failed = 0;
    for (int number = 0; number < CASES && failed < 5; number++)
        failed += run_trial(type->name, number) > 0;
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
    enum { MOST_TYPES = 100 };
    struct CMUnitTest tests[MOST_TYPES] = {cmocka_unit_test(every_type_has_a_row_and_a_twin)};
    size_t n = 1;
    for (; cn_layer_type_at((int)n - 1) && n < MOST_TYPES; n++) {
        const cn_layer_type *type = cn_layer_type_at((int)n - 1);
        tests[n] = (struct CMUnitTest){type->name, every_case_of_a_type, NULL, NULL,
                                       (void *)(uintptr_t)type};
    }
    if (argc == 3 && cn_layer_type_find(argv[1])) {
        int failures = run_trial(argv[1], atoi(argv[2]));
        puts(failures ? "failed" : "passed");
        return failures > 0;
    }
    if (argc != 1) return fputs("usage: test_layers [TYPE NUMBER]\n", stderr), 2;
    return _cmocka_run_group_tests("layers", tests, n, NULL, NULL);
}

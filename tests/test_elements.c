/*
 * The functions of cn_kernels that work element by element or row by row, activations and
 * optimizers, for every instruction set that this processor has, against their twins.
 *
 *     test_elements                               everything
 *     test_elements FUNCTION INSTRUCTIONS CASE    one case, as a failure prints it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/counter.h"
#include "kernel_walk.h"
#include "layers/layer.h"

/* ---- element by element */

/* Numbers at which functions like to go wrong. */
static const float special[] = {0.0f,   -0.0f,  1e-45f, -1e-45f, 1e-38f,   -1e-38f,   1e-7f,
                                17.0f,  -17.0f, 88.0f,  -88.0f,  89.0f,    -89.0f,    104.0f,
                                -104.f, 1e30f,  -1e30f, NAN,     INFINITY, -INFINITY, 0.625f};

static float *take_special(job *j, const char *what, size_t n, double range)
{
    float *x = take(j, what, n);
    for (size_t i = 0; i < n; i++)
        x[i] = draw(&j->random) % 8
                   ? (float)draw_real(&j->random, -range, range)
                   : special[draw(&j->random) % (sizeof special / sizeof *special)];
    return x;
}

/* The function of that layer, but for its parameter. */
static cn_activation activation_of(const char *name)
{
    cn_activation a = cn_layer_type_find(name)->activation;
    if (!a.kind) a.kind = cn_elementwise_find(name);
    if (!a.kind) fail_msg("%s: add a row to elementwise in activation_template.h", name);
    if (!cn_ref_activation_find(name)) fail_msg("%s: add its twin to ref_activation.c", name);
    return a;
}

/* Runs the function beside its input and over it: the answer must be the same. */
static void check_unary(job *j, const cn_kernels *k, const cn_activation *a, size_t n,
                        const float *x, const double *want, const double *slack)
{
    float *y = take(j, "y", n), *both = take_copy(j, "x = y", n, x);
    k->elementwise[a->kind].forward(n, a, x, y);
    k->elementwise[a->kind].forward(n, a, both, both);
    check_canaries(j, k);
    compare(j, k, "y", n, y, want, slack);
    compare_bits(j, k, "y over x", n, both, y);
}

/* Where `want` is NaN it is so because of the input: what a NaN passes back may be anything. */
static void check_unary_backward(job *j, const cn_kernels *k, const cn_activation *a, size_t n,
                                 const float *from, const float *dy, const double *want,
                                 const double *slack)
{
    float *dx = take(j, "dx", n), *both = take_copy(j, "dy = dx", n, dy);
    k->elementwise[a->kind].backward(n, a, from, dy, dx);
    k->elementwise[a->kind].backward(n, a, from, both, both);
    check_canaries(j, k);
    for (size_t i = 0; i < n; i++)
        if (isnan(want[i])) dx[i] = both[i] = NAN;
    compare(j, k, "dx", n, dx, want, slack);
    compare_bits(j, k, "dx over dy", n, both, dx);
}

/* ReLU and ReLU6 are exact, as are their derivatives at a kink and at infinity. */
static void clip(job *j)
{
    const cn_ref_activation *twin = cn_ref_activation_find(j->function);
    const cn_activation a = activation_of(j->function);
    size_t n = (size_t)j->s.m;
    float *x = take_special(j, "x", n, draw(&j->random) % 2 ? 3 : 9),
          *dy = take_input(j, "dy", n, 9);
    float *y = take(j, "y", n);
    double *want = take_doubles(j, n), *want_dx = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) {
        if (draw(&j->random) % 16 == 0) x[i] = 6;
        want[i] = twin->value((double)x[i], 0);
        y[i] = (float)want[i];
        want_dx[i] = isnan(x[i]) ? NAN : (double)dy[i] * twin->derivative((double)x[i], 0);
    }
    for (int t = 0; j->tables[t]; t++) {
        check_unary(j, j->tables[t], &a, n, x, want, NULL);
        check_unary_backward(j, j->tables[t], &a, n, y, dy, want_dx, NULL);
    }
}

/* An activation is good to 6 roundings of its result, 3 units in the last place; results near the
 * smallest normal float, 2^-126, may be flushed to zero. */
static double *rounding_of(job *j, size_t n, const double *want)
{
    double *slack = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) slack[i] = 6 * ROUNDING * fabs(want[i]) + 0x1p-125;
    return slack;
}

static void sigmoid(job *j)
{
    const cn_ref_activation *twin = cn_ref_activation_find(j->function);
    const cn_activation a = activation_of(j->function);
    size_t n = (size_t)j->s.m;
    float *x = take_special(j, "x", n, 20), *dy = take_input(j, "dy", n, 9), *y = take(j, "y", n);
    double *want = take_doubles(j, n), *want_dx = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) want[i] = twin->value((double)x[i], 0);
    for (int t = 0; j->tables[t]; t++)
        check_unary(j, j->tables[t], &a, n, x, want, rounding_of(j, n, want));
    for (size_t i = 0; i < n; i++) { /* the derivative, from the rounded y */
        y[i] = (float)want[i];
        want_dx[i] = (double)dy[i] * (double)y[i] * (1 - (double)y[i]);
    }
    for (int t = 0; j->tables[t]; t++)
        check_unary_backward(j, j->tables[t], &a, n, y, dy, want_dx, rounding_of(j, n, want_dx));
}

static void hyperbolic_tangent(job *j)
{
    const cn_ref_activation *twin = cn_ref_activation_find(j->function);
    const cn_activation a = activation_of(j->function);
    size_t n = (size_t)j->s.m;
    float *x = take_special(j, "x", n, 5), *dy = take_input(j, "dy", n, 9), *y = take(j, "y", n);
    double *want = take_doubles(j, n), *want_dx = take_doubles(j, n), *slack = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) want[i] = twin->value((double)x[i], 0);
    for (int t = 0; j->tables[t]; t++)
        check_unary(j, j->tables[t], &a, n, x, want, rounding_of(j, n, want));
    for (size_t i = 0; i < n; i++) { /* 1 - y^2 is off by a rounding of y^2, however small it is */
        y[i] = (float)want[i];
        want_dx[i] = (double)dy[i] * (1 - (double)y[i] * (double)y[i]);
        slack[i] = 4 * ROUNDING * fabs((double)dy[i]);
    }
    for (int t = 0; j->tables[t]; t++)
        check_unary_backward(j, j->tables[t], &a, n, y, dy, want_dx, slack);
}

/* ---- the other activations, against the twin of their name */

/*
 * Roundings of the result: 6, as above; where an exponential's argument was itself rounded, its
 * size more. Results below 3e-36 may be flushed to zero.
 */
static double forward_slack(const char *name, double parameter, double x, double want)
{
    double roundings = 6, cut = fmin(fabs(x), 14);
    if (!strcmp(name, "gelu"))
        roundings += parameter == 0 ? cut * cut : 5 * (cut + 0.045 * cut * cut * cut);
    return roundings * ROUNDING * fabs(want) + 0x1p-118;
}

static void activation(job *j)
{
    const cn_ref_activation *twin = cn_ref_activation_find(j->function);
    const cn_layer_type *type = cn_layer_type_find(j->function);
    cn_activation a = activation_of(j->function);
    size_t n = (size_t)j->s.m;
    const bool form = type->options && type->options->kind == CN_OPTION_BOOL;
    a.parameter = form ? (float)(draw(&j->random) % 2) : (float)draw_real(&j->random, 0.01, 2);
    float *x = take_special(j, "x", n, draw(&j->random) % 2 ? 4 : 16);
    float *dy = take_input(j, "dy", n, 9), *y = take(j, "y", n);
    double *want = take_doubles(j, n), *slack = take_doubles(j, n), *want_dx = take_doubles(j, n);
    double *slack_dx = take_doubles(j, n), parameter = (double)a.parameter;
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < twin->kinks; k++) /* at a kink that sums find, or away from it */
            if (twin->kink[k] != 0 && fabs((double)x[i] - twin->kink[k]) < 1e-4)
                x[i] = (float)twin->kink[k];
        want[i] = twin->value((double)x[i], parameter);
        slack[i] = forward_slack(j->function, parameter, (double)x[i], want[i]);
        y[i] = (float)want[i];
        want_dx[i] =
            isnan(want[i]) ? NAN : (double)dy[i] * twin->derivative((double)x[i], parameter);
        /* Sums of terms of about 1, or alpha, that may cancel. */
        slack_dx[i] = 6 * ROUNDING * fabs((double)dy[i]) * fmax(1, parameter) + 0x1p-125;
    }
    for (int t = 0; j->tables[t]; t++) {
        const float *from = type->backward_reads & CN_READS_X ? x : y;
        check_unary(j, j->tables[t], &a, n, x, want, slack);
        check_unary_backward(j, j->tables[t], &a, n, from, dy, want_dx, slack_dx);
    }
}

/* x - max is off by a rounding, which exp turns into a relative error; the sum of n positive
 * numbers by n roundings. */
static void softmax(job *j)
{
    size_t rows = (size_t)j->s.m, n = rows * (size_t)j->s.c;
    int columns = j->s.c;
    double range = draw(&j->random) % 4 ? 10 : 300;
    float *x = take(j, "x", n), *dy = take_input(j, "dy", n, 9), *y = take(j, "y", n);
    double *want = take_doubles(j, n), *slack = take_doubles(j, n), *wide;
    for (size_t i = 0; i < n; i++) x[i] = (float)draw_real(&j->random, -range, range);
    if (n && !(draw(&j->random) % 4)) x[draw(&j->random) % n] = NAN;
    cn_ref_softmax_forward(rows, columns, wide = widen(j, n, x), want);
    for (size_t i = 0; i < n; i++)
        slack[i] = (columns + 6 + 2 * range) * ROUNDING * want[i] + 0x1p-125;
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *out = take(j, "y", n), *both = take_copy(j, "x = y", n, x);
        k->softmax(rows, columns, x, out);
        k->softmax(rows, columns, both, both);
        check_canaries(j, k);
        compare(j, k, "y", n, out, want, slack);
        compare_bits(j, k, "y over x", n, both, out);
    }
    for (size_t i = 0; i < n; i++) y[i] = (float)want[i];
    for (size_t r = 0; r < rows; r++) { /* dx = y (dy - sum(dy y)), from the rounded y */
        double sum = 0, magnitude = 0;
        for (size_t i = r * (size_t)columns; i < (r + 1) * (size_t)columns; i++) {
            sum += (double)dy[i] * (double)y[i];
            magnitude += fabs((double)dy[i] * (double)y[i]);
        }
        for (size_t i = r * (size_t)columns; i < (r + 1) * (size_t)columns; i++) {
            want[i] = (double)y[i] * ((double)dy[i] - sum);
            slack[i] = (columns + 3) * ROUNDING * (double)y[i] * (fabs((double)dy[i]) + magnitude) +
                       0x1p-125;
        }
    }
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *dx = take(j, "dx", n), *both = take_copy(j, "dy = dx", n, dy);
        k->softmax_backward(rows, columns, y, dy, dx);
        k->softmax_backward(rows, columns, y, both, both);
        check_canaries(j, k);
        compare(j, k, "dx", n, dx, want, slack);
        compare_bits(j, k, "dx over dy", n, both, dx);
    }
}

static void add(job *j)
{
    size_t n = (size_t)j->s.m;
    float *x = take_input(j, "x", n, 99), *y = take_input(j, "y", n, 99);
    double *want = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) want[i] = (double)(x[i] + y[i]);
    for (int t = 0; j->tables[t]; t++) {
        float *sum = take_copy(j, "sum", n, y);
        j->tables[t]->add(n, x, sum);
        check_canaries(j, j->tables[t]);
        compare(j, j->tables[t], "y", n, sum, want, NULL);
    }
}

/* ---- whole arrays times a number, and towards another */

static void scaling(job *j)
{
    size_t n = (size_t)j->s.m;
    float factor = (float)draw_real(&j->random, -2, 2);
    float *x = take_input(j, "x", n, 5), *w = take_input(j, "w", n, 5);
    double *scaled = take_doubles(j, n), *blended = take_doubles(j, n), *slack = take_doubles(j, n);
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        double a = (double)x[i], b = (double)w[i];
        scaled[i] = (double)(x[i] * factor);
        blended[i] = a + (double)factor * (b - a);
        slack[i] = 4 * ROUNDING * (fabs(a) + fabs((double)factor) * (fabs(a) + fabs(b)));
        squares += a * a;
    }
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *y = take_copy(j, "scaled", n, x), *a = take_copy(j, "blended", n, x);
        double sum = k->optimizer->sum_squares(n, x);
        k->scale(n, factor, y, y);
        k->optimizer->blend(n, factor, w, a);
        check_canaries(j, k);
        compare(j, k, "scaled", n, y, scaled, NULL);
        compare(j, k, "blended", n, a, blended, slack);
        compare(j, k, "sum of squares", 1, &(float){(float)sum}, &squares,
                &(double){ROUNDING * squares});
    }
}

/* ---- rows: layer norm, sums of rows, dropout */

static void layer_norm(job *j)
{
    size_t rows = (size_t)j->s.m, n = rows * (size_t)j->s.c, c = (size_t)j->s.c;
    float epsilon = 0.1f, *gamma = draw(&j->random) % 4 ? take_input(j, "gamma", c, 3) : NULL;
    float *beta = draw(&j->random) % 4 ? take_input(j, "beta", c, 3) : NULL;
    float *x = take_input(j, "x", n, 9), *dy = take_input(j, "dy", n, 9);
    double *wide = widen(j, n, x), *wide_dy = widen(j, n, dy);
    double *wide_gamma = gamma ? widen(j, c, gamma) : NULL;
    double *wide_beta = beta ? widen(j, c, beta) : NULL;
    double *y = take_doubles(j, n), *dx = take_doubles(j, n), *slack = take_doubles(j, n);
    double *sums = take_doubles(j, 2 * c), *slack_sums = take_doubles(j, 2 * c);
    for (size_t r = 0; r < rows; r++) {
        const cn_ref_set s = {r * c, 1, j->s.c, j->s.c, c};
        cn_ref_set_norm_forward(&s, (double)epsilon, wide, wide_gamma, wide_beta, y);
        cn_ref_set_norm_backward(&s, (double)epsilon, wide, wide_gamma, wide_dy, dx, sums,
                                 sums + c);
    }
    /* Sums of c or of `rows` products of about 10 by 10, times 1 / sqrt(0.1) at most. */
    for (size_t i = 0; i < n; i++) slack[i] = (10 + (double)c / 8) * 100 * ROUNDING;
    for (size_t i = 0; i < 2 * c; i++) slack_sums[i] = (10 + (double)rows) * 100 * ROUNDING;
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *out = take(j, "y", n), *over = take_copy(j, "x = y", n, x);
        float *moments = take(j, "moments", 2 * rows), *gradient = take(j, "dx", n);
        float *over_dy = take_copy(j, "dy = dx", n, dy), *got = take(j, "sums", 2 * c);
        k->norm->rows(rows, j->s.c, x, gamma, beta, epsilon, moments, out);
        k->norm->rows(rows, j->s.c, over, gamma, beta, epsilon, NULL, over);
        memset(got, 0, 2 * c * sizeof *got);
        k->norm->rows_backward(rows, j->s.c, x, dy, gamma, moments, got, NULL);
        memset(got, 0, 2 * c * sizeof *got);
        k->norm->rows_backward(rows, j->s.c, x, dy, gamma, moments, got, gradient);
        compare(j, k, "sums", 2 * c, got, sums, slack_sums);
        k->norm->rows_backward(rows, j->s.c, x, over_dy, gamma, moments, got, over_dy);
        check_canaries(j, k);
        compare(j, k, "y", n, out, y, slack);
        compare_bits(j, k, "y over x", n, over, out);
        compare(j, k, "dx", n, gradient, dx, slack);
        compare_bits(j, k, "dx over dy", n, over_dy, gradient);
    }
}

static void group_norm_backward(job *j)
{
    size_t rows = (size_t)j->s.m, c = (size_t)j->s.c, n = rows * c;
    float *x = take_input(j, "x", n, 9), *dy = take_input(j, "dy", n, 9);
    float *mean = take_input(j, "mean", c, 9), *scale = take_input(j, "scale", c, 9);
    float *fall = take_input(j, "k", c, 9), *rest = take_input(j, "b", c, 9);
    double *want = take_doubles(j, n), *slack = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) {
        double first = (double)scale[i % c] * (double)dy[i];
        double second = (double)fall[i % c] * ((double)x[i] - (double)mean[i % c]);
        want[i] = first - second - (double)rest[i % c];
        slack[i] = 4 * ROUNDING * (fabs(first) + fabs(second) + fabs((double)rest[i % c]) + 1);
    }
    for (int t = 0; j->tables[t]; t++) {
        float *dx = take_copy(j, "dy = dx", n, dy);
        j->tables[t]->norm->group_backward(rows, j->s.c, x, dx, mean, scale, fall, rest, dx);
        check_canaries(j, j->tables[t]);
        compare(j, j->tables[t], "dx", n, dx, want, slack);
    }
}

static void row_sums(job *j)
{
    size_t n = (size_t)j->s.m;
    const float w[4] = {1, -2, 3, 0.5f}, *x[4];
    double *want = take_doubles(j, n), *want_added = take_doubles(j, n);
    double *slack = take_doubles(j, n);
    for (int k = 0; k < 4; k++) x[k] = take_input(j, "x", n, 99);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++) want[i] += (double)w[k] * (double)x[k][i];
        want_added[i] = (double)x[1][i] - 2 * (double)x[0][i];
        slack[i] = j->real ? 16 * ROUNDING : 0;
    }
    for (int t = 0; j->tables[t]; t++) {
        float *y = take(j, "y", n), *sum = take_copy(j, "sum", n, x[1]);
        j->tables[t]->weighted_sum4((int)n, w, x, y);
        j->tables[t]->add_scaled((int)n, -2, x[0], sum);
        check_canaries(j, j->tables[t]);
        compare(j, j->tables[t], "y", n, y, want, slack);
        compare(j, j->tables[t], "sum", n, sum, want_added, slack);
    }
}

/* The first run of a layer's elements, whose key the twin finds from the seed. */
static void dropout(job *j)
{
    size_t n = (size_t)j->s.m;
    uint64_t seed = draw(&j->random);
    double rate = draw_real(&j->random, 0.01, 0.99);
    const uint32_t seeds[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t key[4];
    float *x = take_input(j, "x", n, 9);
    double *want = take_doubles(j, n), *slack = take_doubles(j, n);
    cn_philox((const uint32_t[]){0, 3, 5, 0}, seeds, key);
    cn_ref_dropout(n, rate, seed, 5, 3, widen(j, n, x), want);
    for (size_t i = 0; i < n; i++) slack[i] = 4 * ROUNDING * fabs(want[i]);
    for (int t = 0; j->tables[t]; t++) {
        float *y = take(j, "y", n), *over = take_copy(j, "x = y", n, x);
        int limit = (int)(rate * 0x1p24 + 0.5);
        j->tables[t]->dropout(n, key, limit, (float)(1 / (1 - rate)), x, y);
        j->tables[t]->dropout(n, key, limit, (float)(1 / (1 - rate)), over, over);
        check_canaries(j, j->tables[t]);
        compare(j, j->tables[t], "y", n, y, want, slack);
        compare_bits(j, j->tables[t], "y over x", n, over, y);
    }
}

/* ---- optimizers: some roundings of the magnitudes that enter each formula */

/* One element in double, each with the slack that its roundings deserve. */
typedef struct element {
    double w, m, v, w_slack, m_slack, v_slack;
} element;

typedef void equations(const cn_update *u, double g, element *e);

/* d and its slack, and w decayed. */
static double direct(const cn_update *u, double g, element *e, double *slack)
{
    double d = g * (double)u->scale, limit = (double)u->limit, w = e->w;
    d = d > limit ? limit : d < -limit ? -limit : d;
    *slack = 4 * ROUNDING * (fabs(d) + fabs((double)u->decay * w));
    e->w *= (double)u->keep;
    e->w_slack = 4 * ROUNDING * fabs(e->w);
    return d + (double)u->decay * w;
}

static void move(const cn_update *u, double way, double slack, element *e)
{
    e->w -= (double)u->rate * way;
    e->w_slack +=
        (double)u->rate * slack + 8 * ROUNDING * (fabs(e->w) + fabs((double)u->rate * way));
}

static void sgd_equations(const cn_update *u, double g, element *e)
{
    double slack, d = direct(u, g, e, &slack), momentum = (double)u->momentum;
    if (momentum == 0) {
        move(u, d, slack, e);
        return;
    }
    e->m_slack = slack + 4 * ROUNDING * (fabs(momentum * e->m) + fabs((double)u->take * d));
    e->m = momentum * e->m + (double)u->take * d;
    if (u->nesterov)
        move(u, d + momentum * e->m, slack + e->m_slack + 4 * ROUNDING * fabs(d), e);
    else
        move(u, e->m, e->m_slack, e);
}

/* v, and what divides by its root. */
static double spread_of(const cn_update *u, double d, double slack, element *e)
{
    double b2 = (double)u->beta2;
    e->v = b2 * e->v + (1 - b2) * d * d;
    e->v_slack = 8 * ROUNDING * e->v + 2 * (1 - b2) * fabs(d) * slack;
    return sqrt(e->v) + (double)u->epsilon;
}

static void adam_equations(const cn_update *u, double g, element *e)
{
    double slack, d = direct(u, g, e, &slack), b1 = (double)u->beta1;
    e->m_slack = slack + 4 * ROUNDING * (fabs(b1 * e->m) + fabs((1 - b1) * d));
    e->m = b1 * e->m + (1 - b1) * d;
    double root = spread_of(u, d, slack, e);
    move(u, e->m / root, (e->m_slack + fabs(e->m) * (e->v_slack / e->v + 8 * ROUNDING)) / root, e);
}

static void rmsprop_equations(const cn_update *u, double g, element *e)
{
    double slack, d = direct(u, g, e, &slack), momentum = (double)u->momentum;
    double root = spread_of(u, d, slack, e), unit = d / root;
    double unit_slack = (slack + fabs(d) * (e->v_slack / e->v + 8 * ROUNDING)) / root;
    e->m_slack = unit_slack + 4 * ROUNDING * (fabs(momentum * e->m) + fabs(unit));
    e->m = momentum * e->m + unit;
    move(u, e->m, e->m_slack, e);
}

static cn_update draw_update(job *j)
{
    bool decoupled = draw(&j->random) % 2;
    float decay = draw(&j->random) % 2 ? 0.1f : 0;
    return (cn_update){.scale = draw(&j->random) % 2 ? 0.3f : 1,
                       .limit = draw(&j->random) % 2 ? 0.5f : INFINITY,
                       .decay = decoupled ? 0 : decay,
                       .keep = decoupled ? 1 - decay : 1,
                       .rate = (float)draw_real(&j->random, 0.001, 1),
                       .momentum = draw(&j->random) % 2 ? 0.9f : 0,
                       .take = draw(&j->random) % 2 ? 1 : 0.75f,
                       .beta1 = 0.9f,
                       .beta2 = 0.999f,
                       .epsilon = draw(&j->random) % 2 ? 1e-7f : 1e-3f,
                       .nesterov = draw(&j->random) % 2};
}

typedef void optimizer(const cn_kernels *k, size_t n, const cn_update *u, const float *g, float *m,
                       float *v, float *w);

static void run_sgd(const cn_kernels *k, size_t n, const cn_update *u, const float *g, float *m,
                    float *v, float *w)
{
    (void)v;
    k->optimizer->sgd(n, u, g, m, w);
}

static void run_adam(const cn_kernels *k, size_t n, const cn_update *u, const float *g, float *m,
                     float *v, float *w)
{
    k->optimizer->adam(n, u, g, m, v, w);
}

static void run_rmsprop(const cn_kernels *k, size_t n, const cn_update *u, const float *g, float *m,
                        float *v, float *w)
{
    k->optimizer->rmsprop(n, u, g, m, v, w);
}

static void optimize(job *j, equations *twin, optimizer *run)
{
    size_t n = (size_t)j->s.m;
    const cn_update u = draw_update(j);
    float *g = take_input(j, "g", n, 5), *m = take_input(j, "m", n, 5);
    float *v = take_input(j, "v", n, 5), *w = take_input(j, "w", n, 5);
    double *want[6];
    for (int i = 0; i < 6; i++) want[i] = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) {
        v[i] = fabsf(v[i]) + 0.01f; /* a sum of squares */
        element e = {.w = (double)w[i], .m = (double)m[i], .v = (double)v[i]};
        twin(&u, (double)g[i], &e);
        const double all[6] = {e.w, e.w_slack, e.m, e.m_slack, e.v, e.v_slack};
        for (int k = 0; k < 6; k++) want[k][i] = all[k];
    }
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *out_m = take_copy(j, "m", n, m), *out_v = take_copy(j, "v", n, v);
        float *out_w = take_copy(j, "w", n, w);
        bool keeps_m = run == run_adam || u.momentum > 0;
        run(k, n, &u, g, keeps_m ? out_m : NULL, out_v, out_w);
        check_canaries(j, k);
        compare(j, k, "w", n, out_w, want[0], want[1]);
        if (keeps_m) compare(j, k, "m", n, out_m, want[2], want[3]);
        if (run != run_sgd) compare(j, k, "v", n, out_v, want[4], want[5]);
    }
}

static void sgd(job *j)
{
    optimize(j, sgd_equations, run_sgd);
}

static void adam(job *j)
{
    optimize(j, adam_equations, run_adam);
}

static void rmsprop(job *j)
{
    optimize(j, rmsprop_equations, run_rmsprop);
}

/* Every function of one element that has no row here is compared with its twin by `activation`. */
static const row rows[] = {
    {"relu", clip, ELEMENTS, 200},         {"relu6", clip, ELEMENTS, 200},
    {"sigmoid", sigmoid, ELEMENTS, 200},   {"tanh", hyperbolic_tangent, ELEMENTS, 200},
    {"softmax", softmax, ROWS, 200},       {"add", add, ELEMENTS, 200},
    {"layer_norm", layer_norm, ROWS, 200}, {"group_norm_backward", group_norm_backward, ROWS, 200},
    {"row_sums", row_sums, ELEMENTS, 200}, {"dropout", dropout, ELEMENTS, 200},
    {"scaling", scaling, ELEMENTS, 200},   {"sgd", sgd, ELEMENTS, 200},
    {"adam", adam, ELEMENTS, 200},         {"rmsprop", rmsprop, ELEMENTS, 200},
};

int main(int argc, char **argv)
{
    enum { ROWS_HERE = sizeof rows / sizeof *rows, MOST = 60 };
    row all[MOST];
    size_t n = ROWS_HERE;
    memcpy(all, rows, sizeof rows);
    for (int i = 0; cn_activation_types[i] && n < MOST; i++) {
        const char *name = cn_activation_types[i]->name;
        bool own = false;
        for (size_t k = 0; k < ROWS_HERE; k++) own = own || !strcmp(rows[k].name, name);
        if (!own) all[n++] = (row){name, activation, ELEMENTS, 400};
    }
    return walk("test_elements", all, n, argc, argv);
}

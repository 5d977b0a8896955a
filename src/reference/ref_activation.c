/*
 * ref_activation.c - the activations: softmax, and the functions of one element in one table.
 *
 *     softmax        y[k] = exp(x[k]) / sum over j of exp(x[j])
 *                    dx[k] = y[k] (dy[k] - sum over j of dy[j] y[j])
 *
 * Softmax subtracts the row's maximum first, which changes nothing but avoids overflow.
 *
 * Of the others, y = f(x) and dx = dy f'(x), the table has f and f':
 *
 *     relu           y = max(x, 0)
 *     relu6          y = min(max(x, 0), 6)
 *     leaky_relu     y = x where x > 0, else slope x
 *     hard_sigmoid   y = min(max(x + 3, 0), 6) / 6
 *     hard_swish     y = x hard_sigmoid(x)
 *     scale          y = factor x
 *     shift          y = x + offset
 *     sigmoid        y = 1 / (1 + exp(-x))
 *     tanh           y = tanh(x)
 *     elu            y = x where x > 0, else alpha (exp(x) - 1)
 *     softplus       y = ln(1 + exp(x))
 *     silu           y = x sigmoid(x)
 *     gelu           y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2
 *     approximate    y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
 *
 * At an infinity they are their limits: x sigmoid(x) falls to 0 on the left, say.
 */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

void cn_ref_softmax_forward(size_t rows, int columns, const double *x, double *y)
{
    for (size_t i = 0; i < rows; i++, x += columns, y += columns) {
        double top = x[0], sum = 0;
        for (int k = 1; k < columns; k++) top = fmax(top, x[k]);
        for (int k = 0; k < columns; k++) sum += exp(x[k] - top);
        for (int k = 0; k < columns; k++) y[k] = exp(x[k] - top) / sum;
    }
}

void cn_ref_softmax_backward(size_t rows, int columns, const double *x, const double *dy,
                             double *dx)
{
    cn_ref_softmax_forward(rows, columns, x, dx);
    for (size_t i = 0; i < rows; i++, dy += columns, dx += columns) {
        double sum = 0;
        for (int k = 0; k < columns; k++) sum += dy[k] * dx[k];
        for (int k = 0; k < columns; k++) dx[k] *= dy[k] - sum;
    }
}

/* ---- of one element */

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x; /* a NaN is kept */
}

static double relu(double x, double unused)
{
    (void)unused;
    return clamp(x, 0, INFINITY);
}

static double relu_derivative(double x, double unused)
{
    (void)unused;
    return x > 0;
}

static double relu6(double x, double unused)
{
    (void)unused;
    return clamp(x, 0, 6);
}

static double relu6_derivative(double x, double unused)
{
    (void)unused;
    return x > 0 && x < 6;
}

static double leaky_relu(double x, double slope)
{
    return x > 0 ? x : slope * x;
}

static double leaky_relu_derivative(double x, double slope)
{
    return x > 0 ? 1 : slope;
}

static double hard_sigmoid(double x, double unused)
{
    (void)unused;
    return clamp(x + 3, 0, 6) / 6;
}

static double hard_sigmoid_derivative(double x, double unused)
{
    (void)unused;
    return x > -3 && x < 3 ? 1.0 / 6 : 0;
}

static double hard_swish(double x, double unused)
{
    (void)unused;
    return x <= -3 ? 0 : x >= 3 ? x : x * (x + 3) / 6;
}

static double hard_swish_derivative(double x, double unused)
{
    (void)unused;
    return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6;
}

static double scale(double x, double factor)
{
    return factor * x;
}

static double scale_derivative(double x, double factor)
{
    (void)x;
    return factor;
}

static double shift(double x, double offset)
{
    return x + offset;
}

static double shift_derivative(double x, double offset)
{
    (void)x, (void)offset;
    return 1;
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static double sigmoid(double x, double unused)
{
    (void)unused;
    return logistic(x);
}

/* 1 - sigmoid(x) = sigmoid(-x), without cancellation. */
static double sigmoid_derivative(double x, double unused)
{
    (void)unused;
    return logistic(x) * logistic(-x);
}

static double hyperbolic_tangent(double x, double unused)
{
    (void)unused;
    return tanh(x);
}

static double tanh_derivative(double x, double unused)
{
    (void)unused;
    return 1 - tanh(x) * tanh(x);
}

static double elu(double x, double alpha)
{
    return x > 0 ? x : alpha * expm1(x);
}

static double elu_derivative(double x, double alpha)
{
    return x > 0 ? 1 : alpha * exp(x);
}

static double softplus(double x, double unused)
{
    (void)unused;
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double softplus_derivative(double x, double unused)
{
    (void)unused;
    return logistic(x);
}

static double silu(double x, double unused)
{
    (void)unused;
    return x == -INFINITY ? 0 : x * logistic(x);
}

static double silu_derivative(double x, double unused)
{
    (void)unused;
    return isinf(x) ? x > 0 : logistic(x) * (1 + x * logistic(-x));
}

static double gelu_exact(double x)
{
    return x == -INFINITY ? 0 : x * erfc(-x * sqrt(0.5)) / 2;
}

static double gelu_exact_derivative(double x)
{
    const double two_pi = 6.283185307179586;
    return isinf(x) ? x > 0 : erfc(-x * sqrt(0.5)) / 2 + x * exp(-x * x / 2) / sqrt(two_pi);
}

/* (1 + tanh(u)) / 2 = sigmoid(2 u): without cancellation. */
static double twice_inner(double x)
{
    const double two_over_pi = 0.6366197723675814;
    return 2 * sqrt(two_over_pi) * (x + 0.044715 * x * x * x);
}

static double gelu_tanh(double x)
{
    return x == -INFINITY ? 0 : x * logistic(twice_inner(x));
}

static double gelu_tanh_derivative(double x)
{
    const double two_over_pi = 0.6366197723675814, u = twice_inner(x);
    const double slope = 2 * sqrt(two_over_pi) * (1 + 3 * 0.044715 * x * x);
    return isinf(x) ? x > 0 : logistic(u) + x * logistic(u) * logistic(-u) * slope;
}

static double gelu(double x, double approximate)
{
    return approximate != 0 ? gelu_tanh(x) : gelu_exact(x);
}

static double gelu_derivative(double x, double approximate)
{
    return approximate != 0 ? gelu_tanh_derivative(x) : gelu_exact_derivative(x);
}

/* ---- their parameters */

static double slope_of(const void *options)
{
    return ((const cn_leaky_relu_opts *)options)->slope;
}

static double factor_of(const void *options)
{
    return ((const cn_scale_opts *)options)->factor;
}

static double offset_of(const void *options)
{
    return ((const cn_shift_opts *)options)->offset;
}

static double alpha_of(const void *options)
{
    return ((const cn_elu_opts *)options)->alpha;
}

static double approximate_of(const void *options)
{
    return ((const cn_gelu_opts *)options)->approximate;
}

/* ---- the table */

static const cn_ref_activation activations[] = {
    {"relu", relu, relu_derivative, NULL, 1, {0}},
    {"relu6", relu6, relu6_derivative, NULL, 2, {0, 6}},
    {"leaky_relu", leaky_relu, leaky_relu_derivative, slope_of, 1, {0}},
    {"hard_sigmoid", hard_sigmoid, hard_sigmoid_derivative, NULL, 2, {-3, 3}},
    {"hard_swish", hard_swish, hard_swish_derivative, NULL, 2, {-3, 3}},
    {"scale", scale, scale_derivative, factor_of, 0, {0}},
    {"shift", shift, shift_derivative, offset_of, 0, {0}},
    {"sigmoid", sigmoid, sigmoid_derivative, NULL, 0, {0}},
    {"tanh", hyperbolic_tangent, tanh_derivative, NULL, 0, {0}},
    {"elu", elu, elu_derivative, alpha_of, 1, {0}},
    {"softplus", softplus, softplus_derivative, NULL, 0, {0}},
    {"silu", silu, silu_derivative, NULL, 0, {0}},
    {"gelu", gelu, gelu_derivative, approximate_of, 0, {0}},
};

const cn_ref_activation *cn_ref_activation_find(const char *name)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(activations[i].name, name) == 0) return &activations[i];
    return NULL;
}

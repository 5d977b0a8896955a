/*
 * ref_activation.c - the activations, each with its derivative in x:
 *
 *     relu       y = max(x, 0)           dx = dy where x > 0, else 0
 *     sigmoid    y = 1 / (1 + exp(-x))   dx = dy y (1 - y)
 *     tanh       y = tanh(x)             dx = dy (1 - y^2)
 *     softmax    y[k] = exp(x[k]) / sum over j of exp(x[j])
 *                dx[k] = y[k] (dy[k] - sum over j of dy[j] y[j])
 *
 * Softmax subtracts the row's maximum first, which changes nothing but avoids overflow.
 *
 *     leaky_relu     y = x where x > 0, else slope x
 *     relu6          y = min(max(x, 0), 6)
 *     hard_sigmoid   y = min(max(x + 3, 0), 6) / 6
 *     hard_swish     y = x hard_sigmoid(x)
 *     elu            y = x where x > 0, else alpha (exp(x) - 1)
 *     softplus       y = ln(1 + exp(x))
 *     silu           y = x sigmoid(x)
 *     gelu           y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2
 *     gelu_tanh      y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
 *
 * At an infinity they are their limits: x sigmoid(x) falls to 0 on the left, say.
 */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

void cn_ref_relu_forward(size_t n, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; /* a NaN is kept */
}

void cn_ref_relu_backward(size_t n, const double *x, const double *dy, double *dx)
{
    for (size_t i = 0; i < n; i++) dx[i] = x[i] > 0 ? dy[i] : 0;
}

/* An element decides for its sign. It is near to the other one when within `reach` of zero; zero
 * itself does not count: it is a dark pixel or a lost unit, in float32 as well. */
cn_ref_decisions cn_ref_relu_decisions(size_t n, const double *x, double reach)
{
    cn_ref_decisions found = {0, 0};
    for (size_t i = 0; i < n; i++) {
        found.pattern = (found.pattern ^ (x[i] > 0)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
        found.near += x[i] != 0 && fabs(x[i]) <= reach;
    }
    return found;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

void cn_ref_sigmoid_forward(size_t n, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++) y[i] = sigmoid(x[i]);
}

/* 1 - sigmoid(x) = sigmoid(-x), without cancellation. */
void cn_ref_sigmoid_backward(size_t n, const double *x, const double *dy, double *dx)
{
    for (size_t i = 0; i < n; i++) dx[i] = dy[i] * sigmoid(x[i]) * sigmoid(-x[i]);
}

void cn_ref_tanh_forward(size_t n, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++) y[i] = tanh(x[i]);
}

void cn_ref_tanh_backward(size_t n, const double *x, const double *dy, double *dx)
{
    for (size_t i = 0; i < n; i++) dx[i] = dy[i] * (1 - tanh(x[i]) * tanh(x[i]));
}

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

/* ---- those of one element that are found by name */

static double leaky_relu(double x, double slope)
{
    return x > 0 ? x : slope * x;
}

static double leaky_relu_derivative(double x, double slope)
{
    return x > 0 ? 1 : slope;
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
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
    return sigmoid(x);
}

static double silu(double x, double unused)
{
    (void)unused;
    return x == -INFINITY ? 0 : x * sigmoid(x);
}

static double silu_derivative(double x, double unused)
{
    (void)unused;
    return isinf(x) ? x > 0 : sigmoid(x) * (1 + x * sigmoid(-x));
}

static double gelu(double x, double unused)
{
    (void)unused;
    return x == -INFINITY ? 0 : x * erfc(-x * sqrt(0.5)) / 2;
}

static double gelu_derivative(double x, double unused)
{
    (void)unused;
    const double two_pi = 6.283185307179586;
    return isinf(x) ? x > 0 : erfc(-x * sqrt(0.5)) / 2 + x * exp(-x * x / 2) / sqrt(two_pi);
}

/* (1 + tanh(u)) / 2 = sigmoid(2 u): without cancellation. */
static double twice_inner(double x)
{
    const double two_over_pi = 0.6366197723675814;
    return 2 * sqrt(two_over_pi) * (x + 0.044715 * x * x * x);
}

static double gelu_tanh(double x, double unused)
{
    (void)unused;
    return x == -INFINITY ? 0 : x * sigmoid(twice_inner(x));
}

static double gelu_tanh_derivative(double x, double unused)
{
    (void)unused;
    const double two_over_pi = 0.6366197723675814, u = twice_inner(x);
    const double slope = 2 * sqrt(two_over_pi) * (1 + 3 * 0.044715 * x * x);
    return isinf(x) ? x > 0 : sigmoid(u) + x * sigmoid(u) * sigmoid(-u) * slope;
}

const cn_ref_activation *cn_ref_activation_find(const char *name)
{
    static const cn_ref_activation all[] = {
        {"leaky_relu", leaky_relu, leaky_relu_derivative, 1, {0}},
        {"relu6", relu6, relu6_derivative, 2, {0, 6}},
        {"hard_sigmoid", hard_sigmoid, hard_sigmoid_derivative, 2, {-3, 3}},
        {"hard_swish", hard_swish, hard_swish_derivative, 2, {-3, 3}},
        {"elu", elu, elu_derivative, 1, {0}},
        {"softplus", softplus, softplus_derivative, 0, {0}},
        {"silu", silu, silu_derivative, 0, {0}},
        {"gelu", gelu, gelu_derivative, 0, {0}},
        {"gelu_tanh", gelu_tanh, gelu_tanh_derivative, 0, {0}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) return &all[i];
    return NULL;
}

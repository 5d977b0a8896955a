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
 */
#include "reference/reference.h"

#include <math.h>

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

/*
 * ref_loss.c - the losses of m examples with n outputs each, and their derivatives in y_hat:
 *
 *     cross-entropy          L = -1/m sum of y log y_hat         dy = -y / (m y_hat)
 *     binary cross-entropy   L = -1/(m n) sum of y log y_hat + (1 - y) log(1 - y_hat)
 *                            dy = (y_hat - y) / (m n y_hat (1 - y_hat))
 *     mean squared error     L = 1/(m n) sum of (y_hat - y)^2    dy = 2 (y_hat - y) / (m n)
 *
 * 0 log 0 counts as 0. A label is the target row that is 1 at the label and 0 elsewhere.
 */
#include "reference/reference.h"

#include <math.h>

static double cross_entropy(int m, size_t n, const double *y_hat, const double *y, double *dy)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)m * n; i++) {
        if (y[i] > 0) sum -= y[i] * log(y_hat[i]);
        if (dy) dy[i] = y[i] > 0 ? -y[i] / (m * y_hat[i]) : 0;
    }
    return sum / m;
}

static double binary_cross_entropy(int m, size_t n, const double *y_hat, const double *y,
                                   double *dy)
{
    double count = (double)m * (double)n, sum = 0;
    for (size_t i = 0; i < (size_t)m * n; i++) {
        if (y[i] > 0) sum -= y[i] * log(y_hat[i]);
        if (y[i] < 1) sum -= (1 - y[i]) * log(1 - y_hat[i]);
        if (dy) dy[i] = (y_hat[i] - y[i]) / (count * y_hat[i] * (1 - y_hat[i]));
    }
    return sum / count;
}

static double mean_squared_error(int m, size_t n, const double *y_hat, const double *y, double *dy)
{
    double count = (double)m * (double)n, sum = 0;
    for (size_t i = 0; i < (size_t)m * n; i++) {
        sum += (y_hat[i] - y[i]) * (y_hat[i] - y[i]);
        if (dy) dy[i] = 2 * (y_hat[i] - y[i]) / count;
    }
    return sum / count;
}

cn_ref_loss *cn_ref_loss_of(cn_loss_kind kind)
{
    switch (kind) {
    case CN_LOSS_CROSS_ENTROPY: return cross_entropy;
    case CN_LOSS_BINARY_CROSS_ENTROPY: return binary_cross_entropy;
    case CN_LOSS_MEAN_SQUARED_ERROR: return mean_squared_error;
    default: return NULL;
    }
}

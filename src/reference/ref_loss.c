/*
 * ref_loss.c - the losses, each with its derivative in y_hat:
 *
 *     cross-entropy          L = -1/m sum over i of log y_hat[i, label[i]]
 *                            dy[i, label[i]] = -1 / (m y_hat[i, label[i]]), 0 elsewhere
 *     binary cross-entropy   L = -1/n sum of y log y_hat + (1 - y) log(1 - y_hat)
 *                            dy = (y_hat - y) / (n y_hat (1 - y_hat))
 *     mean squared error     L = 1/n sum of (y_hat - y)^2,  dy = 2 (y_hat - y) / n
 */
#include "reference/reference.h"

#include <math.h>

double cn_ref_cross_entropy(int m, int columns, const double *y_hat, const int32_t *labels,
                            double *dy)
{
    double sum = 0;
    for (int i = 0; i < m; i++)
        for (int k = 0; k < columns; k++) {
            size_t at = (size_t)i * (size_t)columns + (size_t)k;
            bool hit = k == labels[i];
            if (hit) sum -= log(y_hat[at]);
            if (dy) dy[at] = hit ? -1 / (m * y_hat[at]) : 0;
        }
    return sum / m;
}

double cn_ref_binary_cross_entropy(size_t n, const double *y_hat, const double *y, double *dy)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (y[i] > 0) sum -= y[i] * log(y_hat[i]); /* 0 log 0 counts as 0 */
        if (y[i] < 1) sum -= (1 - y[i]) * log(1 - y_hat[i]);
        if (dy) dy[i] = (y_hat[i] - y[i]) / ((double)n * y_hat[i] * (1 - y_hat[i]));
    }
    return sum / (double)n;
}

double cn_ref_mean_squared_error(size_t n, const double *y_hat, const double *y, double *dy)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (y_hat[i] - y[i]) * (y_hat[i] - y[i]);
        if (dy) dy[i] = 2 * (y_hat[i] - y[i]) / (double)n;
    }
    return sum / (double)n;
}

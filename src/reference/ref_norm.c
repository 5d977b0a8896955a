/* ref_norm.c - batch normalisation in double, by its definition: two passes, and the gradient as
 * the sum of what goes by way of x itself, of the mean and of the variance. */
#include "reference/reference.h"

#include <math.h>

/* Mean and biased variance of column j. */
static void moments(size_t rows, int c, int j, const double *x, double *mean, double *var)
{
    *mean = *var = 0;
    for (size_t i = 0; i < rows; i++) *mean += x[i * (size_t)c + (size_t)j] / (double)rows;
    for (size_t i = 0; i < rows; i++) {
        double off = x[i * (size_t)c + (size_t)j] - *mean;
        *var += off * off / (double)rows;
    }
}

void cn_ref_batch_norm_forward(size_t rows, int c, double epsilon, const double *x,
                               const double *gamma, const double *beta, double *y)
{
    for (int j = 0; j < c; j++) {
        double mean, var;
        moments(rows, c, j, x, &mean, &var);
        for (size_t i = 0; i < rows; i++) {
            size_t at = i * (size_t)c + (size_t)j;
            double x_hat = (x[at] - mean) / sqrt(var + epsilon);
            y[at] = (gamma ? gamma[j] : 1) * x_hat + (beta ? beta[j] : 0);
        }
    }
}

void cn_ref_batch_norm_backward(size_t rows, int c, double epsilon, const double *x,
                                const double *gamma, const double *dy, double *dx, double *d_gamma,
                                double *d_beta)
{
    double n = (double)rows;
    for (int j = 0; j < c; j++) {
        double mean, var, g = gamma ? gamma[j] : 1;
        moments(rows, c, j, x, &mean, &var);
        double deviation = sqrt(var + epsilon), d_var = 0, d_mean = 0;
        if (d_gamma) d_gamma[j] = 0;
        if (d_beta) d_beta[j] = 0;
        for (size_t i = 0; i < rows; i++) {
            size_t at = i * (size_t)c + (size_t)j;
            double off = x[at] - mean;
            if (d_gamma) d_gamma[j] += dy[at] * off / deviation;
            if (d_beta) d_beta[j] += dy[at];
            d_var += dy[at] * g * off * -0.5 / (deviation * deviation * deviation);
            d_mean += dy[at] * g * -1 / deviation;
        }
        for (size_t i = 0; i < rows; i++) {
            size_t at = i * (size_t)c + (size_t)j;
            dx[at] = dy[at] * g / deviation + d_var * 2 * (x[at] - mean) / n + d_mean / n;
        }
    }
}

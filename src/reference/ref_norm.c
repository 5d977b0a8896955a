/* ref_norm.c - the normalizations in double, by their definition: two passes, and a gradient that
 * is the sum of those through x itself, through the mean and through the variance. */
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

void cn_ref_batch_norm_predict(size_t rows, int c, double epsilon, const double *x,
                               const double *gamma, const double *beta, const double *mean,
                               const double *var, double *y)
{
    for (size_t at = 0; at < rows * (size_t)c; at++) {
        size_t j = at % (size_t)c;
        double x_hat = (x[at] - mean[j]) / sqrt(var[j] + epsilon);
        y[at] = (gamma ? gamma[j] : 1) * x_hat + (beta ? beta[j] : 0);
    }
}

void cn_ref_batch_norm_move(size_t rows, int c, double momentum, const double *x, double *mean,
                            double *var)
{
    double n = (double)rows;
    for (int j = 0; j < c; j++) {
        double batch_mean, batch_var;
        moments(rows, c, j, x, &batch_mean, &batch_var);
        if (rows > 1) batch_var *= n / (n - 1);
        mean[j] = momentum * mean[j] + (1 - momentum) * batch_mean;
        var[j] = momentum * var[j] + (1 - momentum) * batch_var;
    }
}

/* ---- layer and group norm: sets of elements, each by itself */

/* Element k of a set, pixel by pixel. */
static size_t member(const cn_ref_set *s, size_t k)
{
    return s->first + k / (size_t)s->channels * (size_t)s->stride + k % (size_t)s->channels;
}

static void set_moments(const cn_ref_set *s, size_t n, const double *x, double *mean, double *var)
{
    *mean = *var = 0;
    for (size_t k = 0; k < n; k++) *mean += x[member(s, k)] / (double)n;
    for (size_t k = 0; k < n; k++) {
        double off = x[member(s, k)] - *mean;
        *var += off * off / (double)n;
    }
}

void cn_ref_set_norm_forward(const cn_ref_set *s, double epsilon, const double *x,
                             const double *gamma, const double *beta, double *y)
{
    double mean, var;
    size_t n = s->pixels * (size_t)s->channels;
    set_moments(s, n, x, &mean, &var);
    for (size_t k = 0; k < n; k++) {
        size_t at = member(s, k), j = at % s->period;
        y[at] =
            (gamma ? gamma[j] : 1) * (x[at] - mean) / sqrt(var + epsilon) + (beta ? beta[j] : 0);
    }
}

void cn_ref_set_norm_backward(const cn_ref_set *s, double epsilon, const double *x,
                              const double *gamma, const double *dy, double *dx, double *d_gamma,
                              double *d_beta)
{
    double mean, var, d_var = 0, d_mean = 0;
    size_t n = s->pixels * (size_t)s->channels;
    set_moments(s, n, x, &mean, &var);
    double deviation = sqrt(var + epsilon);
    for (size_t k = 0; k < n; k++) {
        size_t at = member(s, k), j = at % s->period;
        double d_hat = dy[at] * (gamma ? gamma[j] : 1), off = x[at] - mean;
        if (d_gamma) d_gamma[j] += dy[at] * off / deviation;
        if (d_beta) d_beta[j] += dy[at];
        d_var -= d_hat * off / (2 * deviation * deviation * deviation);
        d_mean -= d_hat / deviation;
    }
    for (size_t k = 0; k < n; k++) {
        size_t at = member(s, k), j = at % s->period;
        double d_hat = dy[at] * (gamma ? gamma[j] : 1), off = x[at] - mean;
        dx[at] = d_hat / deviation + d_var * 2 * off / (double)n + d_mean / (double)n;
    }
}

/*
 * ref_loss.c - the losses of m rows with n outputs each, and their derivatives in y_hat:
 *
 *     cross-entropy          L = -1/D sum of t log y_hat         dy = -t / (D y_hat)
 *     binary cross-entropy   L = -1/(D n) sum of t log y_hat + u log(1 - y_hat)
 *                            dy = (u / (1 - y_hat) - t / y_hat) / (D n)
 *     mean squared error     L = 1/(m n) sum of (y_hat - y)^2    dy = 2 (y_hat - y) / (m n)
 *
 * 0 log 0 counts as 0. A label is the target row that is 1 at the label and 0 elsewhere.
 *
 * With label smoothing s and class weights w, t = w ((1 - s) y + s / n), and in the binary loss
 * t = w[1] ((1 - s) y + s / 2), u = w[0] ((1 - s) (1 - y) + s / 2). D is the sum of the weights of
 * y, unsmoothed; without class weights it is m.
 */
#include "reference/reference.h"

#include <math.h>

static double weight(cn_ref_targets how, size_t j)
{
    return how.class_weights ? how.class_weights[j] : 1;
}

static double cross_entropy(size_t m, size_t n, const double *y_hat, const double *y,
                            cn_ref_targets how, double *dy)
{
    double sum = 0, D = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) D += weight(how, j) * y[i * n + j];
    if (!how.class_weights) D = (double)m;
    for (size_t i = 0; i < m * n; i++) {
        double smooth = y[i] * (1 - how.smoothing) + how.smoothing / (double)n;
        double t = weight(how, i % n) * smooth;
        if (t > 0) sum -= t * log(y_hat[i]);
        if (dy) dy[i] = t > 0 ? -t / (D * y_hat[i]) : 0;
    }
    return sum / D;
}

static double binary_cross_entropy(size_t m, size_t n, const double *y_hat, const double *y,
                                   cn_ref_targets how, double *dy)
{
    double sum = 0, D = 0;
    for (size_t i = 0; i < m * n; i++)
        D += how.class_weights ? weight(how, 1) * y[i] + weight(how, 0) * (1 - y[i]) : 1;
    for (size_t i = 0; i < m * n; i++) {
        double t = y[i] * (1 - how.smoothing) + how.smoothing / 2, u = 1 - t;
        if (how.class_weights) t *= weight(how, 1), u *= weight(how, 0);
        if (t > 0) sum -= t * log(y_hat[i]);
        if (u > 0) sum -= u * log(1 - y_hat[i]);
        if (dy) dy[i] = ((t + u) * y_hat[i] - t) / (D * y_hat[i] * (1 - y_hat[i]));
    }
    return sum / D;
}

static double mean_squared_error(size_t m, size_t n, const double *y_hat, const double *y,
                                 cn_ref_targets how, double *dy)
{
    double count = (double)m * (double)n, sum = 0;
    (void)how;
    for (size_t i = 0; i < m * n; i++) {
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

/* ---- from the logits z, where y_hat may be so near to 0 or 1 that nothing is left of it */

/* y_hat = softmax(z):  log y_hat[j] = z[j] - log sum over k of exp z[k] */
static double softmax_cross_entropy(size_t m, size_t n, const double *z, const double *y,
                                    cn_ref_targets how, double *dz)
{
    double sum = 0, D = 0;
    for (size_t i = 0; i < m * n; i++) D += weight(how, i % n) * y[i];
    if (!how.class_weights) D = (double)m;
    for (size_t row = 0; row < m * n; row += n) {
        double top = z[row], powers = 0, total = 0;
        for (size_t j = 1; j < n; j++) top = fmax(top, z[row + j]);
        for (size_t j = 0; j < n; j++) powers += exp(z[row + j] - top);
        for (size_t j = 0; j < n; j++) {
            double smooth = y[row + j] * (1 - how.smoothing) + how.smoothing / (double)n;
            double t = weight(how, j) * smooth;
            if (t > 0) sum -= t * (z[row + j] - top - log(powers));
            total += t;
            if (dz) dz[row + j] = -t / D;
        }
        for (size_t j = 0; dz && j < n; j++)
            dz[row + j] += total * exp(z[row + j] - top) / powers / D;
    }
    return sum / D;
}

/* y_hat = 1 / (1 + exp(-z)):  -log y_hat = log(1 + exp(-z)),  -log(1 - y_hat) = log(1 + exp(z)) */
static double sigmoid_cross_entropy(size_t m, size_t n, const double *z, const double *y,
                                    cn_ref_targets how, double *dz)
{
    double sum = 0, D = 0;
    for (size_t i = 0; i < m * n; i++)
        D += how.class_weights ? weight(how, 1) * y[i] + weight(how, 0) * (1 - y[i]) : 1;
    for (size_t i = 0; i < m * n; i++) {
        double t = y[i] * (1 - how.smoothing) + how.smoothing / 2, u = 1 - t;
        double rest = log1p(exp(-fabs(z[i])));
        if (how.class_weights) t *= weight(how, 1), u *= weight(how, 0);
        sum += t * (fmax(-z[i], 0) + rest) + u * (fmax(z[i], 0) + rest);
        if (dz) dz[i] = ((t + u) / (1 + exp(-z[i])) - t) / D;
    }
    return sum / D;
}

cn_ref_loss *cn_ref_loss_of_logits(cn_loss_kind kind)
{
    switch (kind) {
    case CN_LOSS_CROSS_ENTROPY: return softmax_cross_entropy;
    case CN_LOSS_BINARY_CROSS_ENTROPY: return sigmoid_cross_entropy;
    default: return NULL;
    }
}

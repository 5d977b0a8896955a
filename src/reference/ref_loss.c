/*
 * ref_loss.c - the losses of m rows with n outputs each, and their derivatives in y_hat:
 *
 *     cross-entropy          L = -1/D sum of t log y_hat         dy = -t / (D y_hat)
 *     binary cross-entropy   L = -1/(D n) sum of t log y_hat + u log(1 - y_hat)
 *                            dy = (u / (1 - y_hat) - t / y_hat) / (D n)
 *     mean squared error     L = 1/(m n) sum of (y_hat - y)^2    dy = 2 (y_hat - y) / (m n)
 *     mean absolute error    L = 1/(m n) sum of |y_hat - y|      dy = sign(y_hat - y) / (m n)
 *
 *     focal loss             L = -1/D sum of t (1 - y_hat)^2 log y_hat
 *                            dy = t (2 (1 - y_hat) log y_hat - (1 - y_hat)^2 / y_hat) / D
 *     Dice loss              L = 1 - mean of (2 I + 1) / (S + 1) over examples and outputs,
 *                            I = sum of y_hat y, S = sum of y_hat + y over an example's rows
 *                            dy = ((2 I + 1) / (S + 1)^2 - 2 y / (S + 1)) / (examples n)
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

/* A row without a label, which has no part in a loss: its targets are NaN. */
static bool ignored(const double *row)
{
    return isnan(row[0]);
}

/* D: the rows that count, or the weights of their targets; with `each`, all their outputs. */
static double divisor(size_t m, size_t n, const double *y, cn_ref_targets how, bool each)
{
    double sum = 0;
    for (size_t i = 0; i < m; i++) {
        if (ignored(y + i * n)) continue;
        if (!how.class_weights) sum += each ? (double)n : 1;
        for (size_t j = i * n; how.class_weights && j < (i + 1) * n; j++)
            sum += each ? weight(how, 1) * y[j] + weight(how, 0) * (1 - y[j])
                        : weight(how, j % n) * y[j];
    }
    return sum;
}

static double cross_entropy(size_t m, size_t n, const double *y_hat, const double *y,
                            cn_ref_targets how, double *dy)
{
    double sum = 0, D = divisor(m, n, y, how, false);
    for (size_t i = 0; i < m * n; i++) {
        if (dy) dy[i] = 0;
        if (ignored(y + i / n * n)) continue;
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
    double sum = 0, D = divisor(m, n, y, how, true);
    for (size_t i = 0; i < m * n; i++) {
        if (dy) dy[i] = 0;
        if (ignored(y + i / n * n)) continue;
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
    double count = divisor(m, n, y, (cn_ref_targets){0}, true), sum = 0;
    (void)how;
    for (size_t i = 0; i < m * n; i++) {
        if (dy) dy[i] = 0;
        if (ignored(y + i / n * n)) continue;
        sum += (y_hat[i] - y[i]) * (y_hat[i] - y[i]);
        if (dy) dy[i] = 2 * (y_hat[i] - y[i]) / count;
    }
    return sum / count;
}

static double mean_absolute_error(size_t m, size_t n, const double *y_hat, const double *y,
                                  cn_ref_targets how, double *dy)
{
    double count = divisor(m, n, y, (cn_ref_targets){0}, true), sum = 0;
    (void)how;
    for (size_t i = 0; i < m * n; i++) {
        bool counts = !ignored(y + i / n * n);
        double difference = counts ? y_hat[i] - y[i] : 0;
        sum += fabs(difference);
        if (dy) dy[i] = difference == 0 ? 0 : copysign(1 / count, difference);
    }
    return sum / count;
}

/* -t (1 - p)^2 log p, and its derivative in p added to *slope. */
static double focal_term(double t, double p, double *slope)
{
    if (t == 0) return 0;
    *slope += t * (2 * (1 - p) * log(p) - (1 - p) * (1 - p) / p);
    return -t * (1 - p) * (1 - p) * log(p);
}

static double focal(size_t m, size_t n, const double *y_hat, const double *y, cn_ref_targets how,
                    double *dy)
{
    double sum = 0, D = divisor(m, n, y, how, how.binary);
    for (size_t i = 0; i < m * n; i++) {
        double slope = 0, back = 0;
        bool counts = !ignored(y + i / n * n);
        if (counts) sum += focal_term(weight(how, how.binary ? 1 : i % n) * y[i], y_hat[i], &slope);
        if (counts && how.binary)
            sum += focal_term(weight(how, 0) * (1 - y[i]), 1 - y_hat[i], &back);
        if (dy) dy[i] = (slope - back) / D;
    }
    return sum / D;
}

static double dice(size_t m, size_t n, const double *y_hat, const double *y, cn_ref_targets how,
                   double *dy)
{
    size_t rows = how.rows ? how.rows : 1;
    const size_t examples = m / rows;
    double sum = 0, count = (double)examples * (double)n;
    for (size_t k = 0; k < examples * n; k++) {
        size_t first = k / n * rows * n + k % n; /* output k % n in example k / n */
        double I = 0, S = 0;
        for (size_t i = first; i < first + rows * n; i += n) {
            if (ignored(y + i / n * n)) continue;
            I += y_hat[i] * y[i];
            S += y_hat[i] + y[i];
        }
        sum += 1 - (2 * I + 1) / (S + 1);
        for (size_t i = first; dy && i < first + rows * n; i += n)
            dy[i] = ignored(y + i / n * n)
                        ? 0
                        : ((2 * I + 1) / ((S + 1) * (S + 1)) - 2 * y[i] / (S + 1)) / count;
    }
    return sum / count;
}

cn_ref_loss *cn_ref_loss_of(cn_loss_kind kind)
{
    switch (kind) {
    case CN_LOSS_CROSS_ENTROPY: return cross_entropy;
    case CN_LOSS_BINARY_CROSS_ENTROPY: return binary_cross_entropy;
    case CN_LOSS_MEAN_SQUARED_ERROR: return mean_squared_error;
    case CN_LOSS_MEAN_ABSOLUTE_ERROR: return mean_absolute_error;
    case CN_LOSS_DICE: return dice;
    case CN_LOSS_FOCAL: return focal;
    default: return NULL;
    }
}

/* ---- from the logits z, where y_hat may be so near to 0 or 1 that nothing is left of it */

/* y_hat = softmax(z):  log y_hat[j] = z[j] - log sum over k of exp z[k] */
static double softmax_cross_entropy(size_t m, size_t n, const double *z, const double *y,
                                    cn_ref_targets how, double *dz)
{
    double sum = 0, D = divisor(m, n, y, how, false);
    for (size_t row = 0; row < m * n; row += n) {
        for (size_t j = 0; dz && j < n; j++) dz[row + j] = 0;
        if (ignored(y + row)) continue;
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
    double sum = 0, D = divisor(m, n, y, how, true);
    for (size_t i = 0; i < m * n; i++) {
        if (dz) dz[i] = 0;
        if (ignored(y + i / n * n)) continue;
        double t = y[i] * (1 - how.smoothing) + how.smoothing / 2, u = 1 - t;
        double rest = log1p(exp(-fabs(z[i])));
        if (how.class_weights) t *= weight(how, 1), u *= weight(how, 0);
        sum += t * (fmax(-z[i], 0) + rest) + u * (fmax(z[i], 0) + rest);
        if (dz) dz[i] = ((t + u) / (1 + exp(-z[i])) - t) / D;
    }
    return sum / D;
}

/* The logarithm of p = e^z / (1 + e^z), of z between two outputs. */
static double log_sigmoid(double z)
{
    return (z < 0 ? z : 0) - log1p(exp(-fabs(z)));
}

static double focal_term_of_log(double t, double log_p, double *slope)
{
    double p = exp(log_p), rest = -expm1(log_p);
    *slope += t * (2 * p * rest * log_p - rest * rest);
    return -t * rest * rest * log_p;
}

/* By a[j] = y_hat[j] dL/dy_hat[j]: dz[j] = a[j] - y_hat[j] sum(a), or with a sigmoid
 * a1 (1 - y_hat) - a0 y_hat. */
static double focal_of_logits(size_t m, size_t n, const double *z, const double *y,
                              cn_ref_targets how, double *dz)
{
    double sum = 0, D = divisor(m, n, y, how, how.binary);
    for (size_t row = 0; row < m * n; row += n) {
        double top = z[row], powers = 0, total = 0;
        for (size_t j = 0; dz && j < n; j++) dz[row + j] = 0;
        if (ignored(y + row)) continue;
        for (size_t j = 1; j < n; j++) top = fmax(top, z[row + j]);
        for (size_t j = 0; j < n; j++) powers += exp(z[row + j] - top);
        for (size_t j = row; j < row + n; j++) {
            double log_p = how.binary ? log_sigmoid(z[j]) : z[j] - top - log(powers);
            double a1 = 0, a0 = 0;
            sum += focal_term_of_log(weight(how, how.binary ? 1 : j - row) * y[j], log_p, &a1);
            if (how.binary)
                sum += focal_term_of_log(weight(how, 0) * (1 - y[j]), log_sigmoid(-z[j]), &a0);
            if (dz) dz[j] = how.binary ? a1 * exp(log_sigmoid(-z[j])) - a0 * exp(log_p) : a1;
            total += a1;
        }
        for (size_t j = row; dz && j < row + n; j++) {
            if (!how.binary) dz[j] -= total * exp(z[j] - top) / powers;
            dz[j] /= D;
        }
    }
    return sum / D;
}

/* y_hat[j] of a row of logits. */
static double probability(size_t n, const double *z, size_t j, bool binary)
{
    double powers = 0;
    if (binary) return exp(log_sigmoid(z[j]));
    for (size_t k = 0; k < n; k++) powers += exp(z[k] - z[j]);
    return 1 / powers;
}

/* dz of a row in place of dy: y_hat (1 - y_hat) dy, or y_hat[j] sum of y_hat[k] (dy[j] - dy[k]). */
static void dice_row(size_t n, const double *z, bool binary, double *dy)
{
    double mean = 0;
    for (size_t k = 0; !binary && k < n; k++) mean += probability(n, z, k, false) * dy[k];
    for (size_t j = 0; j < n; j++) {
        double p = probability(n, z, j, binary);
        dy[j] = binary ? p * exp(log_sigmoid(-z[j])) * dy[j] : p * (dy[j] - mean);
    }
}

static double dice_of_logits(size_t m, size_t n, const double *z, const double *y,
                             cn_ref_targets how, double *dz)
{
    size_t rows = how.rows ? how.rows : 1;
    const size_t examples = m / rows;
    double sum = 0, count = (double)examples * (double)n;
    for (size_t k = 0; k < examples * n; k++) {
        size_t first = k / n * rows, j = k % n;
        double I = 0, S = 0;
        for (size_t row = first; row < first + rows; row++) {
            if (ignored(y + row * n)) continue;
            double p = probability(n, z + row * n, j, how.binary);
            I += p * y[row * n + j];
            S += p + y[row * n + j];
        }
        sum += 1 - (2 * I + 1) / (S + 1);
        for (size_t row = first; dz && row < first + rows; row++)
            dz[row * n + j] =
                ignored(y + row * n)
                    ? 0
                    : ((2 * I + 1) / ((S + 1) * (S + 1)) - 2 * y[row * n + j] / (S + 1)) / count;
    }
    for (size_t row = 0; dz && row < m; row++) dice_row(n, z + row * n, how.binary, dz + row * n);
    return sum / count;
}

cn_ref_loss *cn_ref_loss_of_logits(cn_loss_kind kind)
{
    switch (kind) {
    case CN_LOSS_CROSS_ENTROPY: return softmax_cross_entropy;
    case CN_LOSS_BINARY_CROSS_ENTROPY: return sigmoid_cross_entropy;
    case CN_LOSS_FOCAL: return focal_of_logits;
    case CN_LOSS_DICE: return dice_of_logits;
    default: return NULL;
    }
}

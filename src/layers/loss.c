/*
 * loss.c - what training minimises, over m examples of n outputs each.
 *
 *     cross-entropy          L = -1/m sum over i of log y_hat[i, label[i]]
 *                              = -1/m sum over i,j of y[i,j] log y_hat[i,j]
 *     binary cross-entropy   L = -1/(m n) sum of y log y_hat + (1 - y) log(1 - y_hat)
 *     mean squared error     L =  1/(m n) sum of (y_hat - y)^2
 *
 * A label stands for the targets y[label] = 1, others 0; where there is one output, for y = label,
 * which is 0 or 1.
 *
 * Fused with the softmax (sigmoid) before it, a cross-entropy is found from the logits z, which
 * loses nothing where y_hat underflows, and its gradient needs no division:
 *
 *     softmax   log y_hat[j] = z[j] - log sum over k of exp z[k]       dz = (y_hat sum(y) - y) / m
 *     sigmoid   -log y_hat = log(1 + exp(-z))                          dz = (y_hat - y) / (m n)
 *
 * Sums are in double precision.
 */
#include "layers/loss.h"

#include <math.h>
#include <string.h>

/* Not fused, a probability below this one counts as this one, and has no gradient: the logarithm
 * and the reciprocal stay finite floats. */
static const double TINY = 1e-30;

cn_status cn_loss_choose(const cn_layer *output, cn_loss_kind kind, cn_loss_plan *plan,
                         cn_error *err)
{
    bool softmax = output->type == &cn_softmax_type, sigmoid = output->type == &cn_sigmoid_type;
    if (kind < CN_LOSS_DEFAULT || kind > CN_LOSS_MEAN_SQUARED_ERROR)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: unknown loss %d", (int)kind);
    if (kind == CN_LOSS_DEFAULT)
        kind = softmax   ? CN_LOSS_CROSS_ENTROPY
               : sigmoid ? CN_LOSS_BINARY_CROSS_ENTROPY
                         : CN_LOSS_MEAN_SQUARED_ERROR;
    *plan = (cn_loss_plan){
        .kind = kind,
        .fused = (softmax && kind == CN_LOSS_CROSS_ENTROPY) ||
                 (sigmoid && kind == CN_LOSS_BINARY_CROSS_ENTROPY),
        .output = output,
        .size = (int)cn_shape_count(&output->out),
        .columns = output->out.n[output->out.rank - 1],
    };
    return CN_OK;
}

/* ---- checks */

static cn_status check_labels(const cn_loss_plan *p, int m, const cn_tensor *Y, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    int classes = p->size == 1 ? 2 : p->size;
    if (p->columns != p->size)
        return cn_fail(err, CN_ERR_SHAPE,
                       "loss: labels need an output of shape (classes), the model's is %s: "
                       "give F32 targets",
                       cn_shape_text(p->output->out.rank, p->output->out.n, text));
    if (Y->rank != 1 || Y->shape[0] != m)
        return cn_fail(err, CN_ERR_SHAPE, "loss: labels have shape %s, expected (%d)",
                       cn_shape_text(Y->rank, Y->shape, text), m);
    const int32_t *label = Y->data;
    for (int i = 0; i < m; i++)
        if (label[i] < 0 || label[i] >= classes)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "loss: label %d of example %d, expected 0 to %d (%d classes)",
                           (int)label[i], i, classes - 1, classes);
    return CN_OK;
}

cn_status cn_loss_check(const cn_loss_plan *p, int m, const cn_tensor *Y, cn_error *err)
{
    char found[CN_SHAPE_TEXT], wanted[CN_SHAPE_TEXT];
    if (!Y || !Y->data) return cn_fail(err, CN_ERR_ARGUMENT, "loss: NULL or empty Y");
    if (p->kind == CN_LOSS_CROSS_ENTROPY && p->columns == 1)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "loss: cross-entropy needs 2 outputs or more, the model has 1: end it in a "
                       "sigmoid, for binary cross-entropy");
    if (Y->dtype == CN_I32) return check_labels(p, m, Y, err);
    if (Y->dtype != CN_F32)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "loss: Y has dtype %d, expected I32 labels or F32 targets", (int)Y->dtype);
    const cn_shape *out = &p->output->out;
    int shape[CN_MAX_RANK] = {m};
    memcpy(shape + 1, out->n, (size_t)out->rank * sizeof *shape);
    if (Y->rank != out->rank + 1 || memcmp(Y->shape, shape, (size_t)Y->rank * sizeof *shape) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "loss: targets have shape %s, expected %s",
                       cn_shape_text(Y->rank, Y->shape, found),
                       cn_shape_text(out->rank + 1, shape, wanted));
    return CN_OK;
}

/* ---- the three losses, over one row at a time: dx is z's gradient when fused, else y_hat's */

/* y[j] of a row. */
static double target(const cn_tensor *Y, size_t row, int columns, int j)
{
    if (Y->dtype == CN_F32) return ((const float *)Y->data)[row * (size_t)columns + (size_t)j];
    int32_t label = ((const int32_t *)Y->data)[row];
    return columns == 1 ? label : j == label;
}

/* log sum over k of exp z[k], with the largest taken off so that no exponential overflows. */
static double log_sum_exp(int n, const float *z)
{
    double largest = z[0], sum = 0;
    for (int j = 1; j < n; j++)
        if (z[j] > largest) largest = z[j];
    for (int j = 0; j < n; j++) sum += exp(z[j] - largest);
    return largest + log(sum);
}

/* The logarithm, and 1 / p; a NaN stays one. */
static double safe_log(double p)
{
    return log(p < TINY ? TINY : p);
}

static double safe_reciprocal(double p)
{
    return p < TINY ? 0 : 1 / p;
}

static double cross_entropy_row(const cn_loss_plan *p, double scale, const float *z,
                                const float *y_hat, const cn_tensor *Y, size_t row, float *dx)
{
    int n = p->columns;
    double loss = 0, total = 0, log_sum = p->fused ? log_sum_exp(n, z) : 0;
    for (int j = 0; j < n; j++) {
        double y = target(Y, row, n, j);
        if (y != 0) loss -= y * (p->fused ? z[j] - log_sum : safe_log(y_hat[j]));
        total += y;
        if (dx && !p->fused) dx[j] = (float)(-y * safe_reciprocal(y_hat[j]) * scale);
    }
    if (dx && p->fused)
        for (int j = 0; j < n; j++)
            dx[j] = (float)((y_hat[j] * total - target(Y, row, n, j)) * scale);
    return loss;
}

static double binary_row(const cn_loss_plan *p, double scale, const float *z, const float *y_hat,
                         const cn_tensor *Y, size_t row, float *dx)
{
    double loss = 0;
    for (int j = 0; j < p->columns; j++) {
        double y = target(Y, row, p->columns, j), hat = y_hat[j];
        if (p->fused) {
            /* -y log y_hat - (1 - y) log(1 - y_hat), both from log(1 + exp(-|z|)) */
            loss += (z[j] > 0 ? z[j] : 0) - y * z[j] + log1p(exp(-fabs((double)z[j])));
            if (dx) dx[j] = (float)((hat - y) * scale);
        } else {
            loss -= y * safe_log(hat) + (1 - y) * safe_log(1 - hat);
            if (dx)
                dx[j] = (float)(((1 - y) * safe_reciprocal(1 - hat) - y * safe_reciprocal(hat)) *
                                scale);
        }
    }
    return loss;
}

static double squared_row(const cn_loss_plan *p, double scale, const float *y_hat,
                          const cn_tensor *Y, size_t row, float *dx)
{
    double loss = 0;
    for (int j = 0; j < p->columns; j++) {
        double difference = y_hat[j] - target(Y, row, p->columns, j);
        loss += difference * difference;
        if (dx) dx[j] = (float)(2 * difference * scale);
    }
    return loss;
}

double cn_loss_run(const cn_loss_plan *p, int m, const float *z, const float *y_hat,
                   const cn_tensor *Y, float *gradient)
{
    size_t rows = (size_t)m * (size_t)(p->size / p->columns);
    double scale = p->kind == CN_LOSS_CROSS_ENTROPY ? 1.0 / m : 1.0 / ((double)m * p->size);
    double sum = 0;
    for (size_t row = 0; row < rows; row++) {
        size_t from = row * (size_t)p->columns;
        const float *z_row = p->fused ? z + from : NULL, *hat = y_hat + from;
        float *dx = gradient ? gradient + from : NULL;
        switch (p->kind) {
        case CN_LOSS_CROSS_ENTROPY:
            sum += cross_entropy_row(p, scale, z_row, hat, Y, row, dx);
            break;
        case CN_LOSS_BINARY_CROSS_ENTROPY:
            sum += binary_row(p, scale, z_row, hat, Y, row, dx);
            break;
        default: sum += squared_row(p, scale, hat, Y, row, dx);
        }
    }
    return sum * scale;
}

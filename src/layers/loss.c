/*
 * loss.c - the losses, over m examples. An output (n) has one row of n columns per example, an
 * output (n_H, n_W, n) one row per pixel; i counts all rows, j the columns.
 *
 *     cross-entropy          L = -1/D sum over i,j of w[j] y[i,j] log y_hat[i,j]
 *     binary cross-entropy   L = -1/(D n) sum of y log y_hat + (1 - y) log(1 - y_hat)
 *     mean squared error     L =  1/(D n) sum of (y_hat - y)^2
 *
 * D is the number of rows and every w[j] is 1, unless there are class weights w: then
 * D = sum over i,j of w[j] y[i,j], so that L stays a mean. A label stands for the targets
 * y[label] = 1, others 0. With one column it stands for y = label, which is 0 or 1, and class
 * weights replace y by w[1] y and 1 - y by w[0] (1 - y).
 *
 * Label smoothing s replaces y by (1 - s) y + s / n (but not in D), with n = 2 in the binary loss.
 * This is PyTorch's formula, except that its D has no w where targets are not labels.
 *
 * Fused with the softmax (sigmoid) before it, a cross-entropy is computed from the logits z: it
 * stays exact where y_hat underflows, and its gradient needs no division. With t the targets as
 * they stand in the sum, w y or for the binary loss t1 = w[1] y and t0 = w[0] (1 - y):
 *
 *     softmax   log y_hat[j] = z[j] - log sum over k of exp z[k]
 *               dz = (y_hat sum(t) - t) / D
 *     sigmoid   -log y_hat = log(1 + exp(-z))
 *               dz = (y_hat (t0 + t1) - t1) / (D n)
 *
 * Sums are in double precision.
 */
#include "layers/loss.h"

#include "base/math.h"

#include <math.h>
#include <string.h>

/* Not fused: a smaller probability counts as this one, and has no gradient, so that the logarithm
 * and the reciprocal stay finite floats. */
static const double TINY = 1e-30;

/* ---- choosing */

static cn_status check_options(const cn_loss_opts *o, const cn_loss_plan *p, cn_error *err)
{
    int classes = p->columns == 1 ? 2 : p->columns;
    bool entropy = p->kind == CN_LOSS_CROSS_ENTROPY;
    bool binary = p->kind == CN_LOSS_BINARY_CROSS_ENTROPY;
    double sum = 0;
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: label smoothing %g, expected from 0 to less than 1",
                       o->label_smoothing);
    if (o->label_smoothing > 0 && !entropy && !binary)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: label smoothing is for cross-entropies, the loss is another");
    if (!o->class_weights) return CN_OK;
    if (!entropy && !(binary && p->columns == 1))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: class weights are for cross-entropy, and for its binary kind with "
                       "one output; the loss is another");
    for (int j = 0; j < classes; j++) {
        double w = (double)o->class_weights[j];
        if (!(w >= 0) || isinf(w))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "session: class %d has weight %g, expected a number of 0 or more", j, w);
        sum += w;
    }
    return sum > 0 ? CN_OK
                   : cn_fail(err, CN_ERR_ARGUMENT, "session: all %d class weights are 0", classes);
}

cn_loss_kind cn_loss_resolve(const cn_layer *output, cn_loss_kind kind)
{
    if (kind != CN_LOSS_DEFAULT) return kind;
    const cn_loss_kind own = output->type->loss;
    return own != CN_LOSS_DEFAULT ? own : CN_LOSS_MEAN_SQUARED_ERROR;
}

cn_status cn_loss_choose(const cn_layer *output, const cn_loss_opts *opts, cn_loss_plan *plan,
                         cn_error *err)
{
    cn_loss_kind kind = opts->kind;
    if (kind < CN_LOSS_DEFAULT || kind > CN_LOSS_MEAN_SQUARED_ERROR)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: unknown loss %d", (int)kind);
    kind = cn_loss_resolve(output, kind);
    cn_loss_plan made = {
        .kind = kind,
        .fused = kind == output->type->loss,
        .output = output,
        .size = (int)cn_shape_count(&output->out),
        .columns = output->out.n[output->out.rank - 1],
        .smoothing = opts->label_smoothing,
    };
    cn_status status = check_options(opts, &made, err);
    if (status != CN_OK) return status;
    if (opts->class_weights) {
        size_t n = made.columns == 1 ? 2 : (size_t)made.columns;
        made.class_weights = cn_allocate(n, sizeof(float), "session: class weights", err);
        if (!made.class_weights) return CN_ERR_MEMORY;
        memcpy(made.class_weights, opts->class_weights, n * sizeof(float));
    }
    *plan = made;
    return CN_OK;
}

void cn_loss_release(cn_loss_plan *plan)
{
    cn_release(plan->class_weights);
    plan->class_weights = NULL;
}

/* ---- checks */

/* One label per row: the output's shape without its columns, or (m) where an example has one row. */
static cn_status check_labels(const cn_loss_plan *p, int m, const cn_tensor *Y, cn_error *err)
{
    char found[CN_SHAPE_TEXT], wanted[CN_SHAPE_TEXT];
    const cn_shape *out = &p->output->out;
    int classes = p->columns == 1 ? 2 : p->columns, pixels = p->size / p->columns;
    int shape[CN_MAX_RANK] = {m};
    memcpy(shape + 1, out->n, (size_t)(out->rank - 1) * sizeof *shape);
    bool flat = pixels == 1 && Y->rank == 1 && Y->shape[0] == m;
    if (!flat &&
        (Y->rank != out->rank || memcmp(Y->shape, shape, (size_t)Y->rank * sizeof *shape) != 0))
        return cn_fail(err, CN_ERR_SHAPE, "loss: labels have shape %s, expected %s",
                       cn_shape_text(Y->rank, Y->shape, found),
                       cn_shape_text(out->rank, shape, wanted));
    const int32_t *label = Y->data;
    for (size_t i = 0; i < (size_t)m * (size_t)pixels; i++)
        if (label[i] < 0 || label[i] >= classes)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "loss: label %d of example %d, expected 0 to %d (%d classes)",
                           (int)label[i], (int)(i / (size_t)pixels), classes - 1, classes);
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
    if (Y->dtype == CN_DTYPE_I32) return check_labels(p, m, Y, err);
    if (Y->dtype != CN_DTYPE_F32)
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
    if (Y->dtype == CN_DTYPE_F32)
        return ((const float *)Y->data)[row * (size_t)columns + (size_t)j];
    int32_t label = ((const int32_t *)Y->data)[row];
    return columns == 1 ? label : j == label;
}

/* The weight of a row whose target is y for class j. */
static double weigh(const cn_loss_plan *p, int j, double y)
{
    return p->class_weights ? p->class_weights[j] * y : y;
}

/* D of the head comment. */
static double divisor(const cn_loss_plan *p, size_t rows, const cn_tensor *Y)
{
    if (!p->class_weights) return (double)rows;
    double sum = 0;
    for (size_t row = 0; row < rows; row++)
        for (int j = 0; j < p->columns; j++) {
            double y = target(Y, row, p->columns, j);
            sum += p->columns == 1 ? weigh(p, 1, y) + weigh(p, 0, 1 - y) : weigh(p, j, y);
        }
    return sum;
}

/* log sum over k of exp z[k], with the largest taken off so that no exponential overflows. */
static double log_sum_exp(int n, const float *z)
{
    double largest = z[0], sum = 0;
    for (int j = 1; j < n; j++)
        if (z[j] > largest) largest = z[j];
    for (int j = 0; j < n; j++) sum += cn_exp(z[j] - largest);
    return largest + cn_log(sum);
}

/* The logarithm, and 1 / p; a NaN stays one. */
static double safe_log(double p)
{
    return cn_log(p < TINY ? TINY : p);
}

static double safe_reciprocal(double p)
{
    return p < TINY ? 0 : 1 / p;
}

/* t[j] = w[j] ((1 - s) y[j] + s / n) */
static double entropy_target(const cn_loss_plan *p, const cn_tensor *Y, size_t row, int j)
{
    double y = target(Y, row, p->columns, j);
    return weigh(p, j, (1 - p->smoothing) * y + p->smoothing / p->columns);
}

static double cross_entropy_row(const cn_loss_plan *p, double scale, const float *z,
                                const float *y_hat, const cn_tensor *Y, size_t row, float *dx)
{
    int n = p->columns;
    double loss = 0, total = 0, log_sum = p->fused ? log_sum_exp(n, z) : 0;
    for (int j = 0; j < n; j++) {
        double t = entropy_target(p, Y, row, j);
        if (t != 0) loss -= t * (p->fused ? z[j] - log_sum : safe_log(y_hat[j]));
        total += t;
        if (dx && !p->fused) dx[j] = (float)(-t * safe_reciprocal(y_hat[j]) * scale);
    }
    if (dx && p->fused)
        for (int j = 0; j < n; j++)
            dx[j] = (float)((y_hat[j] * total - entropy_target(p, Y, row, j)) * scale);
    return loss;
}

static double binary_row(const cn_loss_plan *p, double scale, const float *z, const float *y_hat,
                         const cn_tensor *Y, size_t row, float *dx)
{
    double loss = 0;
    for (int j = 0; j < p->columns; j++) {
        double y = (1 - p->smoothing) * target(Y, row, p->columns, j) + p->smoothing / 2;
        double t1 = weigh(p, 1, y), t0 = weigh(p, 0, 1 - y), hat = y_hat[j];
        if (p->fused) {
            /* -t1 log y_hat - t0 log(1 - y_hat), both from log(1 + exp(-|z|)) */
            double one = (z[j] > 0 ? z[j] : 0) + cn_log1p(cn_exp(-fabs((double)z[j])));
            loss += (t0 + t1) * one - t1 * z[j];
            if (dx) dx[j] = (float)((hat * (t0 + t1) - t1) * scale);
        } else {
            loss -= t1 * safe_log(hat) + t0 * safe_log(1 - hat);
            if (dx)
                dx[j] =
                    (float)((t0 * safe_reciprocal(1 - hat) - t1 * safe_reciprocal(hat)) * scale);
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
                   const cn_tensor *Y, float *gradient, double *weight)
{
    size_t rows = (size_t)m * (size_t)(p->size / p->columns);
    double D = divisor(p, rows, Y), sum = 0;
    /* Examples that all weigh nothing have neither loss nor gradient. */
    double scale = D == 0 ? 0 : p->kind == CN_LOSS_CROSS_ENTROPY ? 1 / D : 1 / (D * p->columns);
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
    if (weight) *weight = D;
    return sum * scale;
}

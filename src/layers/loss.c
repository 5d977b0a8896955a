/*
 * loss.c - the losses, over m examples. An output (n) has one row of n columns per example, an
 * output (n_H, n_W, n) one row per pixel; i counts all rows, j the columns.
 *
 *     cross-entropy          L = -1/D sum over i,j of w[j] y[i,j] log y_hat[i,j]
 *     binary cross-entropy   L = -1/(D n) sum of y log y_hat + (1 - y) log(1 - y_hat)
 *     mean squared error     L =  1/(D n) sum of (y_hat - y)^2
 *     mean absolute error    L =  1/(D n) sum of |y_hat - y|, whose derivative at 0 counts as 0
 *
 *     focal loss             L = -1/D sum over i,j of w[j] y[i,j] (1 - y_hat[i,j])^2 log y_hat[i,j]
 *                            of a sigmoid: -1/(D n) sum of w[1] y (1 - y_hat)^2 log y_hat
 *                                                        + w[0] (1 - y) y_hat^2 log(1 - y_hat)
 *     Dice loss              in loss_dice.c
 *
 * A row labeled CN_LABEL_IGNORED has no part in any of them.
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
 * The focal loss is always found so, with a[j] = t[j] (2 y_hat[j] (1 - y_hat[j]) log y_hat[j]
 * - (1 - y_hat[j])^2), which is y_hat[j] times the derivative in y_hat[j]:
 *
 *     softmax   dz[j] = (a[j] - y_hat[j] sum(a)) / D
 *     sigmoid   dz = (a1 (1 - y_hat) - a0 y_hat) / (D n), where a1 is that of t1 and y_hat, and a0
 *               that of t0 and 1 - y_hat
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
    if (p->kind == CN_LOSS_FOCAL && !p->fused)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: the focal loss wants a softmax or a sigmoid at the end, the model "
                       "ends in %s",
                       p->output->type->name);
    if (o->label_smoothing > 0 && !entropy && !binary)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: label smoothing is for cross-entropies, the loss is another");
    if (!o->class_weights) return CN_OK;
    if (p->kind == CN_LOSS_FOCAL) {
        entropy = !p->binary;
        binary = p->binary;
    }
    if (!entropy && !(binary && p->columns == 1))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: class weights are for cross-entropy and the focal loss, and for "
                       "their binary kinds with one output; the loss is another");
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
    if (kind < CN_LOSS_DEFAULT || kind > CN_LOSS_MEAN_ABSOLUTE_ERROR)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: unknown loss %d", (int)kind);
    kind = cn_loss_resolve(output, kind);
    const cn_loss_kind own = output->type->loss;
    const bool either = kind == CN_LOSS_FOCAL || kind == CN_LOSS_DICE;
    cn_loss_plan made = {
        .kind = kind,
        .fused = kind == own || (either && own != CN_LOSS_DEFAULT),
        .binary = either && own == CN_LOSS_BINARY_CROSS_ENTROPY,
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
        if ((label[i] < 0 || label[i] >= classes) &&
            !(out->rank == 3 && label[i] == CN_LABEL_IGNORED))
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

double cn_loss_target(const cn_tensor *Y, size_t row, int columns, int j)
{
    if (Y->dtype == CN_DTYPE_F32)
        return ((const float *)Y->data)[row * (size_t)columns + (size_t)j];
    int32_t label = ((const int32_t *)Y->data)[row];
    return columns == 1 ? label : j == label;
}

bool cn_loss_ignores(const cn_tensor *Y, size_t row)
{
    return Y->dtype == CN_DTYPE_I32 && ((const int32_t *)Y->data)[row] == CN_LABEL_IGNORED;
}

/* The weight of a row whose target is y for class j. */
static double weigh(const cn_loss_plan *p, int j, double y)
{
    return p->class_weights ? p->class_weights[j] * y : y;
}

/* D of the head comment. */
static double divisor(const cn_loss_plan *p, size_t rows, const cn_tensor *Y)
{
    double sum = 0;
    const int rows_each = p->size / p->columns;
    if (p->kind == CN_LOSS_DICE) return (double)rows / rows_each;
    for (size_t row = 0; !p->class_weights && row < rows; row++) sum += !cn_loss_ignores(Y, row);
    for (size_t row = 0; p->class_weights && row < rows; row++)
        for (int j = 0; j < p->columns; j++) {
            if (cn_loss_ignores(Y, row)) break;
            double y = cn_loss_target(Y, row, p->columns, j);
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
    double y = cn_loss_target(Y, row, p->columns, j);
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
        double y = (1 - p->smoothing) * cn_loss_target(Y, row, p->columns, j) + p->smoothing / 2;
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
        double difference = y_hat[j] - cn_loss_target(Y, row, p->columns, j);
        loss += difference * difference;
        if (dx) dx[j] = (float)(2 * difference * scale);
    }
    return loss;
}

static double absolute_row(const cn_loss_plan *p, double scale, const float *y_hat,
                           const cn_tensor *Y, size_t row, float *dx)
{
    double loss = 0;
    for (int j = 0; j < p->columns; j++) {
        double difference = y_hat[j] - cn_loss_target(Y, row, p->columns, j);
        loss += fabs(difference);
        if (dx) dx[j] = (float)((difference > 0) - (difference < 0)) * (float)scale;
    }
    return loss;
}

/* a of the head comment, and the loss's term, for the target t of a probability and its logarithm.
 */
static double focal_term(double t, double hat, double log_hat, double *loss)
{
    double rest = 1 - hat;
    *loss -= t * rest * rest * log_hat;
    return t * (2 * hat * rest * log_hat - rest * rest);
}

static double focal_row(const cn_loss_plan *p, double scale, const float *z, const cn_tensor *Y,
                        size_t row, float *dx)
{
    int n = p->columns;
    double loss = 0, sum = 0, log_sum = log_sum_exp(n, z);
    for (int j = 0; j < n; j++) {
        double t = weigh(p, j, cn_loss_target(Y, row, n, j));
        if (t != 0) sum += focal_term(t, cn_exp(z[j] - log_sum), z[j] - log_sum, &loss);
    }
    for (int j = 0; dx && j < n; j++) {
        double t = weigh(p, j, cn_loss_target(Y, row, n, j)), ignored = 0;
        double hat = cn_exp(z[j] - log_sum), a = 0;
        if (t != 0) a = focal_term(t, hat, z[j] - log_sum, &ignored);
        dx[j] = (float)((a - hat * sum) * scale);
    }
    return loss;
}

static double focal_binary_row(const cn_loss_plan *p, double scale, const float *z,
                               const cn_tensor *Y, size_t row, float *dx)
{
    double loss = 0;
    for (int j = 0; j < p->columns; j++) {
        double y = cn_loss_target(Y, row, p->columns, j);
        double one = cn_log1p(cn_exp(-fabs((double)z[j])));
        double log_hat = (z[j] < 0 ? z[j] : 0) - one, log_rest = log_hat - z[j];
        double hat = cn_exp(log_hat), rest = cn_exp(log_rest);
        double a1 = focal_term(weigh(p, 1, y), hat, log_hat, &loss);
        double a0 = focal_term(weigh(p, 0, 1 - y), rest, log_rest, &loss);
        if (dx) dx[j] = (float)((a1 * rest - a0 * hat) * scale);
    }
    return loss;
}

/* What a row adds to the loss; its gradient in dx, which may be NULL. */
static double run_row(const cn_loss_plan *p, double scale, const float *z, const float *hat,
                      const cn_tensor *Y, size_t row, float *dx)
{
    if (cn_loss_ignores(Y, row)) {
        if (dx) memset(dx, 0, (size_t)p->columns * sizeof *dx);
        return 0;
    }
    switch (p->kind) {
    case CN_LOSS_CROSS_ENTROPY: return cross_entropy_row(p, scale, z, hat, Y, row, dx);
    case CN_LOSS_BINARY_CROSS_ENTROPY: return binary_row(p, scale, z, hat, Y, row, dx);
    case CN_LOSS_FOCAL:
        return p->binary ? focal_binary_row(p, scale, z, Y, row, dx)
                         : focal_row(p, scale, z, Y, row, dx);
    case CN_LOSS_MEAN_ABSOLUTE_ERROR: return absolute_row(p, scale, hat, Y, row, dx);
    default: return squared_row(p, scale, hat, Y, row, dx);
    }
}

double cn_loss_run(const cn_loss_plan *p, int m, const float *z, const float *y_hat,
                   const cn_tensor *Y, float *gradient, double *weight)
{
    size_t rows = (size_t)m * (size_t)(p->size / p->columns);
    double D = divisor(p, rows, Y), sum = 0;
    if (weight) *weight = D;
    if (p->kind == CN_LOSS_DICE) return cn_loss_dice(p, m, z, y_hat, Y, gradient);
    bool of_row = p->kind == CN_LOSS_CROSS_ENTROPY || (p->kind == CN_LOSS_FOCAL && !p->binary);
    /* Examples that all weigh nothing have neither loss nor gradient. */
    double scale = D == 0 ? 0 : of_row ? 1 / D : 1 / (D * p->columns);
    for (size_t row = 0; row < rows; row++) {
        size_t from = row * (size_t)p->columns;
        const float *z_row = p->fused ? z + from : NULL;
        sum += run_row(p, scale, z_row, y_hat + from, Y, row, gradient ? gradient + from : NULL);
    }
    return sum * scale;
}

/*
 * gradcheck.c - are a model's gradients right? Two comparisons, so that neither can hide a fault:
 *
 *   twin_error     the twins' gradients against differences of the loss, all in double:
 *                      dL/dw = (L(w + h) - L(w - h)) / (2 h)
 *                  at sampled elements. It finds a derivative that does not belong to its function.
 *   engine_error   the engine's float32 gradients against the twins', at every element. It finds
 *                  whatever the engine does otherwise than the equations say, forward or backward.
 *
 * The error of a against b is |a - b| / (max(|a|, |b|, r) + 1e-10), r the root of the mean square
 * of the tensor's gradients: an element that is tiny beside its neighbors is held to their
 * accuracy, since it is a sum of terms like theirs, and where all are zero, rounding is no error.
 *
 * Batch norm's running buffers are put back to what they were.
 *
 * The step. L is known to about 2^-52, which the difference divides by h, and the formula is off by
 * h^2 L'''/6: h = 2^-15 max(1, |w|) keeps both below 1e-9.
 *
 * Kinks. ReLU and maximum pooling have no derivative where a decision changes: a sign, the position
 * of a maximum. The twins report their decisions, so a difference is rejected if one of its two
 * sides decides otherwise than the middle: the step is made smaller, by up to 2^-10, and if that
 * does not help, another element is taken (`checked` counts those that were compared). And since
 * rounding may turn a decision in the engine, the batch is drawn up to eight times, until no
 * decision is within 1e-5 of changing; of eight batches, the one with the fewest is used.
 */
#include "model/gradcheck.h"

#include "base/counter.h"
#include "layers/loss.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

static const double STEP = 0x1p-15, SMALLEST_STEP = 0x1p-25, REACH = 1e-5, FLOOR = 1e-10;
enum { DRAWS = 8, TRIES = 4 /* elements tried for each that is wanted */ };

/* Streams of the counter-based generator; 0 .. DRAWS - 1 are those of the batches. */
enum { TARGETS = DRAWS, SAMPLES };

double cn_gradient_scale(size_t n, const double *gradient)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += gradient[i] * gradient[i];
    return n > 0 ? sqrt(sum / (double)n) : 0;
}

double cn_gradient_error(double a, double b, double scale)
{
    double error = fabs(a - b) / (fmax(fmax(fabs(a), fabs(b)), scale) + FLOOR);
    return isnan(error) ? INFINITY : error; /* so that a maximum keeps it */
}

/* ---- differences */

/* The loss with one element moved; false where a decision turned. */
static bool loss_at(cn_twin_model *t, const cn_twin_array *array, size_t i, double value,
                    cn_loss_kind kind, const double *target, double *loss)
{
    bool same = true;
    array->value[i] = value;
    cn_twin_model_forward(t, array->layer, 0);
    for (int k = 0; k < t->model->layer_count; k++)
        same = same && t->layers[k].decisions.pattern == t->layers[k].pattern;
    *loss = cn_twin_model_loss(t, kind, target, false);
    return same;
}

/* dL/dw of element i, or false where every step meets a kink. */
static bool difference(cn_twin_model *t, const cn_twin_array *array, size_t i, cn_loss_kind kind,
                       const double *target, double *slope)
{
    const double w = array->value[i];
    bool smooth = false;
    for (double step = STEP; !smooth && step >= SMALLEST_STEP; step /= 32) {
        double above = w + step * fmax(1, fabs(w)), below = w - step * fmax(1, fabs(w));
        double high, low;
        smooth = loss_at(t, array, i, above, kind, target, &high) &&
                 loss_at(t, array, i, below, kind, target, &low);
        if (smooth) *slope = (high - low) / (above - below);
    }
    array->value[i] = w;
    return smooth;
}

double cn_gradcheck_differences(cn_twin_model *t, const cn_twin_array *array, cn_loss_kind loss,
                                const double *target, int samples, uint64_t seed, size_t *checked)
{
    const bool all = array->n <= (size_t)samples;
    const size_t wanted = all ? array->n : (size_t)samples, tries = all ? wanted : TRIES * wanted;
    const double scale = fmax(cn_gradient_scale(array->n, array->gradient), array->floor);
    double worst = 0, slope = 0;
    *checked = 0;
    for (size_t i = 0; i < tries && *checked < wanted; i++) {
        size_t at = all ? i : (size_t)(cn_counter_uniform(seed, SAMPLES, i) * (double)array->n);
        if (!difference(t, array, at, loss, target, &slope)) continue;
        worst = fmax(worst, cn_gradient_error(array->gradient[at], slope, scale));
        ++*checked;
    }
    cn_twin_model_forward(t, array->layer, REACH);
    return worst;
}

/* ---- one check: a batch, the twins, the engine */

typedef struct check {
    cn_model *model;
    cn_gradcheck_opts opts;
    const cn_backend *backend;
    cn_loss_plan loss;
    cn_twin_model *twin;
    cn_session *session;
    float *buffers; /* as they were */
    cn_tensor x, y; /* the batch and its targets */
    double *target; /* y in double */
} check;

/* Fills the batch from a stream; returns how many decisions are about to turn. */
static size_t draw_batch(check *c, uint64_t stream)
{
    cn_twin_layer *input = &c->twin->layers[0];
    float *x = c->x.data;
    size_t near = 0;
    for (size_t i = 0; i < input->count; i++) {
        x[i] = (float)cn_counter_normal(c->opts.seed, stream, i);
        input->y[i] = (double)x[i];
    }
    cn_twin_model_forward(c->twin, 0, REACH);
    for (int i = 0; i < c->model->layer_count; i++) near += c->twin->layers[i].decisions.near;
    return near;
}

static void choose_batch(check *c)
{
    size_t fewest = SIZE_MAX;
    uint64_t best = 0;
    for (uint64_t stream = 0; stream < DRAWS && fewest > 0; stream++) {
        size_t near = draw_batch(c, stream);
        if (near < fewest) fewest = near, best = stream;
    }
    draw_batch(c, best);
}

/* Numbers from [0, 1), or for a cross-entropy a 1 in every row. */
static void draw_targets(check *c)
{
    const size_t columns = (size_t)c->loss.columns, n = cn_tensor_count(&c->y);
    float *y = c->y.data;
    for (size_t i = 0; i < n; i++) {
        double u = cn_counter_uniform(c->opts.seed, TARGETS, i);
        y[i] = (float)u;
        if (c->loss.kind == CN_LOSS_CROSS_ENTROPY) {
            double row = cn_counter_uniform(c->opts.seed, TARGETS, i / columns);
            y[i] = i % columns == (size_t)(row * (double)columns);
        }
        c->target[i] = (double)y[i];
    }
}

static cn_status create(check *c, cn_error *err)
{
    const cn_layer *output = &c->model->layers[c->model->output];
    int shape[CN_MAX_RANK] = {c->opts.batch};
    cn_loss_opts loss = {.kind = c->opts.loss};
    cn_status status = cn_loss_choose(output, &loss, &c->loss, err);
    if (status != CN_OK) return status;
    status = cn_twin_model_create(&c->twin, c->model, c->opts.batch, err);
    if (status != CN_OK) return status;
    const cn_session_opts opts = {
        .batch = c->opts.batch, .training = true, .input_gradient = true, .loss = loss};
    status = cn_session_create_on(&c->session, c->model, &opts, c->backend, err);
    if (status != CN_OK) return status;
    memcpy(shape + 1, cn_model_input_shape(c->model), 3 * sizeof *shape);
    status = cn_tensor_create(&c->x, CN_DTYPE_F32, 4, shape, err);
    if (status != CN_OK) return status;
    memcpy(shape + 1, output->out.n, (size_t)output->out.rank * sizeof *shape);
    status = cn_tensor_create(&c->y, CN_DTYPE_F32, output->out.rank + 1, shape, err);
    if (status != CN_OK) return status;
    c->target = cn_allocate(cn_tensor_count(&c->y), sizeof *c->target, "gradcheck", err);
    if (!c->target) return CN_ERR_MEMORY;
    size_t n = c->model->block_size - c->model->trained_size;
    c->buffers = cn_allocate(n, sizeof *c->buffers, "gradcheck", err);
    if (!c->buffers) return CN_ERR_MEMORY;
    memcpy(c->buffers, c->model->block + c->model->trained_size, n * sizeof *c->buffers);
    return CN_OK;
}

static void destroy(check *c)
{
    size_t n = c->model->block_size - c->model->trained_size;
    if (c->buffers)
        memcpy(c->model->block + c->model->trained_size, c->buffers, n * sizeof *c->buffers);
    cn_release(c->buffers);
    cn_twin_model_free(c->twin);
    cn_session_free(c->session);
    cn_tensor_free(&c->x);
    cn_tensor_free(&c->y);
    cn_release(c->target);
}

/* Forward, loss and backward, by the twins and by the engine. */
static cn_status run_both(check *c, cn_error *err)
{
    double engine_loss;
    choose_batch(c);
    draw_targets(c);
    double loss = cn_twin_model_loss(c->twin, c->loss.kind, c->target, true);
    if (!isfinite(loss))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "gradcheck: the loss of a random batch is %g: does this loss fit an output "
                       "of %s?",
                       loss, c->model->layers[c->model->output].name);
    cn_twin_model_backward(c->twin);
    cn_status status = cn_session_forward(c->session, &c->x, err);
    if (status == CN_OK) status = cn_session_loss(c->session, &c->y, &engine_loss, err);
    if (status == CN_OK) status = cn_session_backward(c->session, err);
    return status;
}

static void report(check *c, const cn_twin_array *array, uint64_t stream, const float *engine,
                   cn_gradcheck_row *worst)
{
    cn_gradcheck_row row = {.name = array->name};
    double scale = fmax(cn_gradient_scale(array->n, array->gradient), array->floor);
    row.twin_error = cn_gradcheck_differences(c->twin, array, c->loss.kind, c->target,
                                              c->opts.samples, c->opts.seed + stream, &row.checked);
    for (size_t i = 0; i < array->n; i++)
        row.engine_error =
            fmax(row.engine_error, cn_gradient_error((double)engine[i], array->gradient[i], scale));
    if (c->opts.row) c->opts.row(&row, c->opts.user);
    if (row.engine_error >= worst->engine_error) worst->name = row.name;
    worst->checked += row.checked;
    worst->twin_error = fmax(worst->twin_error, row.twin_error);
    worst->engine_error = fmax(worst->engine_error, row.engine_error);
}

/* A bias before a batch norm has no effect: its gradient is a sum that cancels, and what is left of
 * it rounding. It is held to a hundredth of what it would be if all terms had one sign. */
static double bias_floor(const cn_twin_layer *at, const cn_tensor *gradient)
{
    double sum = 0;
    if (gradient->rank > 1) return 0;
    for (size_t i = 0; i < at->count; i++) sum += fabs(at->dy[i]);
    return sum / gradient->shape[0] / 100;
}

static void report_all(check *c, cn_gradcheck_row *worst)
{
    int parameter = 0;
    for (int i = 0; i < c->model->layer_count; i++) {
        cn_twin_layer *at = &c->twin->layers[i];
        for (int j = 0; j < c->model->layers[i].parameter_count; j++, parameter++) {
            cn_parameter gradient;
            if (!cn_session_gradient(c->session, parameter, &gradient)) continue; /* a buffer */
            const cn_twin_array array = {gradient.name, i,         cn_tensor_count(&gradient.value),
                                         at->w[j],      at->dw[j], bias_floor(at, &gradient.value)};
            report(c, &array, (uint64_t)parameter + 1, gradient.value.data, worst);
        }
    }
    cn_tensor dx = cn_session_input_gradient(c->session);
    cn_twin_layer *input = &c->twin->layers[0];
    const cn_twin_array array = {"input", 0, input->count, input->y, input->dy, 0};
    report(c, &array, 0, dx.data, worst);
}

cn_status cn_gradcheck_on(cn_model *model, const cn_gradcheck_opts *opts, const cn_backend *backend,
                          cn_gradcheck_row *worst, cn_error *err)
{
    check c = {.model = model, .backend = backend};
    cn_gradcheck_row sum = {.name = "input"};
    if (!model || !model->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "gradcheck: the model is NULL or not finished");
    if (opts) c.opts = *opts;
    if (c.opts.batch == 0) c.opts.batch = 2;
    if (c.opts.samples == 0) c.opts.samples = 64;
    if (c.opts.batch < 1 || c.opts.samples < 1)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "gradcheck: batch %d and samples %d, expected at least 1 of each",
                       c.opts.batch, c.opts.samples);
    cn_status status = create(&c, err);
    if (status == CN_OK) status = run_both(&c, err);
    if (status == CN_OK) report_all(&c, &sum);
    if (status == CN_OK && worst) *worst = sum;
    destroy(&c);
    return status;
}

cn_status cn_gradcheck(cn_model *model, const cn_gradcheck_opts *opts, cn_gradcheck_row *worst,
                       cn_error *err)
{
    return cn_gradcheck_on(model, opts, cn_backends[0], worst, err);
}

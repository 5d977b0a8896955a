/*
 * fit.c - training: epochs of shuffled batches, each one forward, loss, backward and step.
 *
 *     for every epoch                              order = shuffle(seed, epoch)
 *         for every batch of the order             the last one may be smaller
 *             X, Y = pictures, labels              augmented, normalised as the model says
 *             L = loss(forward(X), Y)              L must be finite
 *             w = w - rate(step) direction(dL/dw)  SGD or Adam
 *         measure the validation set
 *
 * Everything is allocated before the first step, and the result is a function of the model, the
 * data and the options but `threads`.
 */
#include "train/augment.h"
#include "train/train.h"

#include "model/session.h"

#include <math.h>

enum { DEFAULT_BATCH = 64 };
static const double default_rate = 1e-3;

/* A training that runs: the options with their defaults filled in, and what changes. */
typedef struct fit {
    cn_model *model;
    const cn_dataset *data;
    cn_fit_opts opts;
    cn_session *session;
    cn_evaluator evaluator; /* empty without a validation set */
    cn_augmenter augmenter;
    int *order;
    int32_t *labels;
    cn_progress progress;
    double loss_sum; /* this epoch's, so are the next three */
    int seen, correct;
    double epoch_seconds;
} fit;

static cn_status check_options(const cn_fit_opts *o, cn_error *err)
{
    if (o->epochs < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %d epochs, expected at least 1", o->epochs);
    if (o->batch < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: a batch of %d, expected at least 1", o->batch);
    if (!(o->learning_rate >= 0) || isinf(o->learning_rate))
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: learning rate %g, expected a positive number",
                       o->learning_rate);
    if (o->schedule < CN_SCHEDULE_DEFAULT || o->schedule > CN_SCHEDULE_COSINE)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: unknown schedule %d", (int)o->schedule);
    return CN_OK;
}

static void fill_defaults(cn_fit_opts *o, int size)
{
    if (o->epochs == 0) o->epochs = 1;
    if (o->batch == 0) o->batch = DEFAULT_BATCH;
    if (o->batch > size) o->batch = size;
    if (o->learning_rate == 0) o->learning_rate = default_rate;
}

/* Sessions and buffers: the only part of a training that allocates. */
static cn_status prepare(fit *f, cn_error *err)
{
    size_t size = (size_t)cn_dataset_size(f->data), batch = (size_t)f->opts.batch;
    cn_session_opts opts = {.batch = f->opts.batch,
                            .threads = f->opts.threads,
                            .training = true,
                            .loss = f->opts.loss,
                            .optimizer = f->opts.optimizer};

    cn_status status = cn_session_create(&f->session, f->model, opts, err);
    if (status == CN_OK && f->opts.valid)
        status = cn_evaluator_create(&f->evaluator, f->model, opts, err);
    if (status == CN_OK)
        status = cn_augmenter_create(&f->augmenter, f->data, &f->opts.augment, f->opts.seed,
                                     f->model->mean, f->model->std, err);
    if (status != CN_OK) return status;
    f->order = cn_allocate(size, sizeof *f->order, "fit: order", err);
    if (!f->order) return CN_ERR_MEMORY;
    f->labels = cn_allocate(batch, sizeof *f->labels, "fit: labels", err);
    return f->labels ? CN_OK : CN_ERR_MEMORY;
}

static void release(fit *f)
{
    cn_session_free(f->session);
    cn_evaluator_free(&f->evaluator);
    cn_augmenter_free(&f->augmenter);
    cn_release(f->order);
    cn_release(f->labels);
}

/* True when the callback asks to stop. */
static bool report(fit *f)
{
    cn_progress *p = &f->progress;
    p->train_loss = f->loss_sum / f->seen;
    p->train_accuracy = (double)f->correct / f->seen;
    p->images_per_second = f->epoch_seconds > 0 ? f->seen / f->epoch_seconds : 0;
    return f->opts.progress && f->opts.progress(p, f->opts.user);
}

/* Forward, loss, backward and step over the examples index[0..m-1]. */
static cn_status train_batch(fit *f, const int *index, int m, cn_error *err)
{
    const cn_progress *p = &f->progress;
    const int *shape = cn_model_input_shape(f->model);
    float *x = cn_session_input(f->session);
    double loss;

    cn_augmenter_run(&f->augmenter, p->epoch, index, m, x, f->labels);
    cn_tensor X = cn_tensor_view(CN_F32, 4, (int[]){m, shape[0], shape[1], shape[2]}, x);
    cn_tensor Y = cn_tensor_view(CN_I32, 1, (int[]){m}, f->labels);
    cn_status status = cn_forward(f->session, &X, err);
    if (status == CN_OK) status = cn_loss(f->session, &Y, &loss, err);
    if (status != CN_OK) return status;
    if (!isfinite(loss))
        return cn_fail(err, CN_ERR_DIVERGED,
                       "fit: the loss became %s in epoch %d at step %d of %d; "
                       "a learning rate below %g may help",
                       isnan(loss) ? "NaN" : "infinite", p->epoch, p->step, p->steps,
                       f->opts.learning_rate);
    f->loss_sum += loss * m;
    f->correct +=
        cn_count_correct(cn_output(f->session).data, m, cn_model_output_size(f->model), f->labels);
    f->seen += m;
    status = cn_backward(f->session, err);
    return status == CN_OK ? cn_step(f->session, p->learning_rate, err) : status;
}

/* One pass over the examples, a callback after each step; CN_ERR_STOPPED when one asks to. */
static cn_status train_epoch(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    int size = cn_dataset_size(f->data), batch = f->opts.batch;
    int64_t steps_before = (int64_t)(p->epoch - 1) * p->steps;
    int64_t steps_in_all = (int64_t)p->epochs * p->steps;

    f->loss_sum = f->epoch_seconds = 0;
    f->seen = f->correct = 0;
    p->epoch_end = false;
    p->valid_loss = p->valid_accuracy = NAN;
    if (!f->opts.no_shuffle) cn_order_shuffle(f->opts.seed, p->epoch, size, f->order);
    for (int first = 0, m; first < size; first += m) {
        double start = cn_seconds();
        m = size - first < batch ? size - first : batch;
        p->step = first / batch + 1;
        p->learning_rate = cn_schedule_rate(f->opts.schedule, f->opts.learning_rate,
                                            steps_before + p->step - 1, steps_in_all);
        cn_status status = train_batch(f, f->order + first, m, err);
        if (status != CN_OK) return status;
        double spent = cn_seconds() - start;
        f->epoch_seconds += spent;
        p->seconds += spent;
        if (report(f))
            return cn_fail(err, CN_ERR_STOPPED, "fit: stopped in epoch %d after step %d of %d",
                           p->epoch, p->step, p->steps);
    }
    return CN_OK;
}

/* The end of an epoch: validation, then the callback. */
static cn_status finish_epoch(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    p->epoch_end = true;
    if (f->opts.valid) {
        cn_metrics metrics;
        cn_status status = cn_evaluator_run(&f->evaluator, f->opts.valid, &metrics, NULL, err);
        if (status != CN_OK) return status;
        p->valid_loss = metrics.loss;
        p->valid_accuracy = metrics.accuracy;
    }
    if (report(f))
        return cn_fail(err, CN_ERR_STOPPED, "fit: stopped after epoch %d of %d", p->epoch,
                       p->epochs);
    return CN_OK;
}

cn_status cn_fit(cn_model *model, const cn_dataset *data, const cn_fit_opts *opts,
                 cn_progress *last, cn_error *err)
{
    if (!model || !data) return cn_fail(err, CN_ERR_ARGUMENT, "fit: model or data is NULL");
    fit f = {.model = model, .data = data};
    if (opts) f.opts = *opts;
    cn_status status = check_options(&f.opts, err);
    if (status == CN_OK) status = cn_check_fit(model, data, "fit", err);
    if (status == CN_OK && f.opts.valid)
        status = cn_check_fit(model, f.opts.valid, "fit: validation", err);
    if (status != CN_OK) return status;

    int size = cn_dataset_size(data);
    fill_defaults(&f.opts, size);
    status = prepare(&f, err);
    if (status != CN_OK) goto done;
    for (int i = 0; i < size; i++) f.order[i] = i;
    f.progress.epochs = f.opts.epochs;
    f.progress.steps = (size - 1) / f.opts.batch + 1;
    for (int epoch = 1; epoch <= f.opts.epochs && status == CN_OK; epoch++) {
        f.progress.epoch = epoch;
        status = train_epoch(&f, err);
        if (status == CN_OK) status = finish_epoch(&f, err);
    }
    if (last && (status == CN_OK || status == CN_ERR_STOPPED)) *last = f.progress;
done:
    release(&f);
    return status;
}

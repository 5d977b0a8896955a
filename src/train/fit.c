/*
 * fit.c - training: epochs of shuffled batches, each one forward, loss, backward and step.
 *
 *     for every epoch                              order = shuffle(seed, epoch)
 *         for every step                           the last one of an epoch may be smaller
 *             for every batch of the step          one, unless gradients are accumulated
 *                 X, Y = images, labels          augmented, normalized as the model says
 *                 L = loss(forward(X), Y)          L must be finite
 *                 g = dL/dw                        the mean over the step's examples
 *             w = optimizer(w, g, rate(step))
 *             average = blend(average, w)          where one is asked for
 *         measure the validation set               with the average where there is one
 *         keep the weights if they are the best    or stop, if none have been for long
 *
 * Everything is allocated before the first step, and the result is a function of the model, the
 * data and the options but `threads`.
 *
 * list_state says all that a training remembers from step to step. A checkpoint may be written
 * after any step; a training that goes on from one fills the list and enters the loop where the
 * other one left it.
 */
#include "data/dataset.h"
#include "train/train.h"

#include "layers/loss.h"
#include "model/averages.h"
#include "model/model.h"
#include "model/session.h"
#include "train/checkpoint.h"
#include "train/learn.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* A training that runs: the options with their defaults filled in, and what changes. */
typedef struct fit {
    cn_model *model;
    const cn_dataset *data;
    cn_fit_opts opts;
    cn_session *session;
    float *mean, *std;      /* of the data's values, n_C of each */
    cn_evaluator evaluator; /* empty without a validation set */
    cn_averager averager;
    cn_best_tracker best;
    cn_group group;
    cn_learner learner;
    uint8_t *decisions; /* one per rank */
    bool due;           /* a checkpoint, as rank 0 says */
    bool saves;         /* does rank 0 write any? */
    bool stale;         /* the packed weights that ranks share */
    cn_progress progress;
    int schedule_epochs; /* how long the schedule is */
    double loss_sum;     /* this epoch's, so are the next three */
    int seen;
    double correct; /* examples, or of segmentation the part of each one's pixels */
    double epoch_seconds;
    double waited; /* for batches, when the epoch began */
    /* A batch or a validation image could not be read, and the training stands between two steps: what has been
     * learnt is kept, as when it is stopped. */
    bool unread;
    struct { /* the epoch before this one, at its end */
        cn_progress progress;
        double loss_sum, correct, seconds;
        int seen;
    } before;
    cn_state state;
    /* Of the data and of what is frozen or scaled, where checkpoints are written or read. */
    uint64_t train_digest, valid_digest, tuning_digest;
    int unsaved_steps, unsaved_epochs; /* since the last checkpoint, so is the next */
    double saved_at;
} fit;

/* That there is something to learn; a model without parameters does what it does. */
static cn_status check_frozen(const cn_model *model, cn_error *err)
{
    for (int i = 0; i < model->layer_count; i++)
        if (cn_layer_learns(&model->layers[i])) return CN_OK;
    if (model->parameter_elements == 0) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT, "fit: every parameter is frozen, nothing can be learnt");
}

/* What measures the validation set. */
static cn_status prepare_validation(fit *f, const cn_session_opts *opts, cn_error *err)
{
    const cn_fit_opts *o = &f->opts;
    if (!o->valid) return CN_OK;
    cn_status status = cn_evaluator_create(&f->evaluator, f->model, *opts, f->session, err);
    if (status == CN_OK) status = cn_evaluator_take_targets(&f->evaluator, o->valid, err);
    if (status == CN_OK)
        status = cn_evaluator_share(&f->evaluator, &f->group, cn_dataset_size(o->valid), err);
    if (status == CN_OK) status = cn_evaluator_read(&f->evaluator, o->valid, o->threads, err);
    return status;
}

/* Of the shards, and what each batch of them is made by. */
static cn_status prepare_learner(fit *f, const cn_session_opts *opts, cn_error *err)
{
    const cn_fit_opts *o = &f->opts;
    int threads = 1;
    cn_status status = cn_thread_count(o->threads, &threads, err);
    if (status != CN_OK) return status;
    const bool together = cn_runs_together(o, f->model);
    int least = cn_least_batch(f->model);
    /* Where one example will do, a shard may be empty, too. */
    if (least > 1 && !together) least *= o->shards;
    const cn_loader_opts batches = {.data = f->data,
                                    .augment = o->augment,
                                    .mean = f->mean,
                                    .std = f->std,
                                    .target_mean = f->model->target_mean,
                                    .target_std = f->model->target_std,
                                    .outputs = cn_model_output_size(f->model),
                                    .batch = o->batch,
                                    .least = least,
                                    .epochs = o->epochs,
                                    .shards = o->shards,
                                    .accumulate = o->accumulate,
                                    .seed = o->seed,
                                    .no_shuffle = o->no_shuffle,
                                    /* One thread means one processor: there is nobody to make a
                                     * batch while it trains. */
                                    .background = threads > 1,
                                    .threads = threads};
    f->learner = (cn_learner){.model = f->model,
                              .data = f->data,
                              .session = f->session,
                              .progress = &f->progress,
                              .learning_rate = o->learning_rate};
    return cn_learner_create(&f->learner, &f->group, opts, &batches, together, err);
}

/* Sessions, memory and threads: the only part of a training that allocates. */
static cn_status prepare(fit *f, cn_error *err)
{
    const cn_fit_opts *o = &f->opts;
    const bool together = cn_runs_together(o, f->model);
    cn_session_opts opts = cn_fit_session_opts(o);
    const cn_session_opts shard = opts;
    cn_status status = together ? cn_check_averages(f->model, o->batch, "session", err) : CN_OK;
    if (status == CN_OK && together)
        status = cn_session_create_part(&f->session, f->model, &opts, NULL, err);
    if (status == CN_OK && !together) status = cn_session_create(&f->session, f->model, &opts, err);
    opts = cn_fit_validation_opts(o);
    if (status == CN_OK) status = prepare_validation(f, &opts, err);
    if (status == CN_OK) status = cn_averager_create(&f->averager, f->model, o->average, err);
    if (status == CN_OK)
        status = cn_best_tracker_create(&f->best, f->model, o->best, &o->schedule, err);
    if (status != CN_OK) return status;
    size_t channels = (size_t)cn_model_input_shape(f->model)[2];
    f->mean = cn_allocate(2 * channels, sizeof *f->mean, "fit: normalization", err);
    f->decisions = cn_allocate((size_t)f->group.size, 1, "fit: ranks", err);
    if (!f->mean || !f->decisions) return CN_ERR_MEMORY;
    f->std = f->mean + channels;
    cn_normalization_of(f->model, f->data, f->mean, f->std);
    return prepare_learner(f, &shard, err);
}

/* ---- checkpoints */

/* Which parameters are frozen, and the factors of the others. */
static uint64_t digest_tuning(const cn_model *model)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (int i = 0; i < model->layer_count; i++)
        for (int j = 0; j < model->layers[i].parameter_count; j++) {
            const cn_layer_parameter *w = &model->layers[i].parameters[j];
            const double factors[] = {w->frozen ? 1 : 0, w->rate, w->decay};
            uint64_t bits[3];
            memcpy(bits, factors, sizeof bits);
            for (int k = 0; k < 3; k++) hash = (hash ^ bits[k]) * UINT64_C(1099511628211);
        }
    return hash;
}

/* All that the training remembers, and all that it depends on. */
static void list_state(fit *f)
{
    cn_state *s = &f->state;
    cn_progress *p = &f->progress;
    int size = cn_dataset_size(f->data);
    cn_session_state(f->session, s);
    cn_averager_state(&f->averager, s);
    cn_best_tracker_state(&f->best, p->epochs, s);
    cn_state_add_int(s, "epoch", &p->epoch, 1, p->epochs);
    cn_state_add_int(s, "step", &p->step, 0, p->steps);
    cn_state_add(s, "epoch_end", CN_STATE_FLAG, &p->epoch_end);
    cn_state_add(s, "loss_sum", CN_STATE_NUMBER, &f->loss_sum);
    cn_state_add_int(s, "seen", &f->seen, 1, size);
    cn_state_add(s, "correct", CN_STATE_NUMBER, &f->correct);
    cn_state_add(s, "valid_loss", CN_STATE_NUMBER, &p->valid_loss);
    cn_state_add(s, "valid_accuracy", CN_STATE_NUMBER, &p->valid_accuracy);
    if (cn_dataset_masks(f->data))
        cn_state_add(s, "valid_mean_iou", CN_STATE_NUMBER, &p->valid_mean_iou);
    if (cn_dataset_task(f->data) == CN_TASK_MULTI_LABEL)
        cn_state_add(s, "valid_mean_ap", CN_STATE_NUMBER, &p->valid_mean_ap);
    if (cn_dataset_task(f->data) == CN_TASK_REGRESSION)
        cn_state_add(s, "valid_r_squared", CN_STATE_NUMBER, &p->valid_r_squared);
    cn_state_add(s, "learning_rate", CN_STATE_NUMBER, &p->learning_rate);
    cn_state_add(s, "seconds", CN_STATE_NUMBER, &p->seconds);
    cn_state_add(s, "epoch_seconds", CN_STATE_NUMBER, &f->epoch_seconds);

    cn_state_add_int(s, "schedule_epochs", &f->schedule_epochs, 1, INT_MAX);

    cn_fit_options_terms(&f->opts, cn_dataset_classes(f->data), s);
    cn_state_term(s, "frozen or scaled parameters", CN_STATE_DIGEST, &f->tuning_digest);
    cn_state_term(s, "training images", CN_STATE_DIGEST, &f->train_digest);
    cn_state_term(s, "validation images", CN_STATE_DIGEST, &f->valid_digest);
}

/* What cn_evaluate measures later; the usual loss need not be told. */
static void remember_loss(cn_model *model, cn_loss_kind kind)
{
    const cn_layer *output = &model->layers[model->output];
    model->loss = kind == cn_loss_resolve(output, CN_LOSS_DEFAULT) ? CN_LOSS_DEFAULT : kind;
}

/* Everything that checkpoints need beside the training itself, and ranks to compare; goes on from a
 * checkpoint if asked to. */
static cn_status prepare_checkpoints(fit *f, cn_error *err)
{
    const cn_fit_opts *o = &f->opts;
    f->saved_at = cn_seconds();
    if (!o->checkpoint.path && !o->resume && f->group.size == 1) return CN_OK;
    cn_status status =
        cn_dataset_digest(f->data, cn_session_input(f->session), &f->train_digest, err);
    if (status == CN_OK && o->valid)
        status = cn_dataset_digest(o->valid, cn_session_input(f->session), &f->valid_digest, err);
    if (status != CN_OK) return status;
    f->tuning_digest = digest_tuning(f->model);
    list_state(f);
    if (!o->resume) return CN_OK;
    status = cn_checkpoint_load(f->model, &f->state, o->resume, err);
    if (o->schedule_epochs > 0) f->schedule_epochs = o->schedule_epochs; /* asked for */
    return status;
}

/* That it cannot be written is the caller's to hear of, and no reason to end the training. That
 * there is nothing worth writing is: the checkpoint before it is. */
static cn_status save_checkpoint(fit *f, cn_error *err)
{
    cn_error result = {CN_OK, ""};
    cn_status status = f->saves ? cn_shards_collect(&f->learner.shards, err) : CN_OK;
    if (!f->opts.checkpoint.path || status != CN_OK) return status;
    status = cn_check_parameters(f->model, &f->progress, f->opts.learning_rate, err);
    if (status != CN_OK) return status;
    if (f->group.rank == 0) {
        cn_checkpoint_save(f->model, &f->state, f->opts.checkpoint.note, f->opts.checkpoint.path,
                           &result);
        if (f->opts.checkpoint.written) f->opts.checkpoint.written(&result, f->opts.user);
    }
    f->unsaved_steps = f->unsaved_epochs = 0;
    f->saved_at = cn_seconds();
    return CN_OK;
}

static bool is_due(const fit *f)
{
    const cn_checkpoint_opts *c = &f->opts.checkpoint;
    return (c->steps && f->unsaved_steps >= c->steps) ||
           (c->epochs && f->unsaved_epochs >= c->epochs) ||
           (c->seconds > 0 && cn_seconds() - f->saved_at >= c->seconds);
}

static cn_status agree_to_save(fit *f, cn_error *err)
{
    f->decisions[f->group.rank] = f->opts.checkpoint.path != NULL;
    cn_status status = cn_group_gather(&f->group, 1, f->decisions, err);
    f->saves = f->decisions[0];
    return status;
}

static cn_status save_if_due(fit *f, cn_error *err)
{
    return f->due ? save_checkpoint(f, err) : CN_OK;
}

/* ---- the loop */

static void release(fit *f)
{
    cn_learner_free(&f->learner);
    cn_group_free(&f->group);
    cn_evaluator_free(&f->evaluator);
    cn_session_free(f->session);
    cn_averager_free(&f->averager);
    cn_best_tracker_free(&f->best);
    cn_release(f->mean);
    cn_release(f->decisions);
}

/* The means over this epoch so far. */
static void tally(fit *f)
{
    cn_progress *p = &f->progress;
    p->train_loss = f->loss_sum / f->seen;
    bool numbers = cn_dataset_task(f->data) == CN_TASK_REGRESSION;
    p->train_accuracy = numbers ? NAN : f->correct / f->seen;
    p->images_per_second = f->epoch_seconds > 0 ? f->seen / f->epoch_seconds : 0;
    p->wait_seconds = cn_loader_waited(f->learner.loader) - f->waited;
}

/* What the ranks decide after a step: one that asks to stop stops all; rank 0 has the clock. */
enum { STOP = 1, SAVE = 2, STALE = 4 };

/* *stop becomes true when a callback asks for it. */
static cn_status report(fit *f, bool *stop, cn_error *err)
{
    tally(f);
    *stop = f->opts.progress && f->opts.progress(&f->progress, f->opts.user);
    f->due = is_due(f);
    if (f->group.size == 1) return CN_OK;
    f->decisions[f->group.rank] = (uint8_t)((*stop ? STOP : 0) | (f->due ? SAVE : 0) |
                                            (cn_shards_stale(&f->learner.shards) ? STALE : 0));
    cn_status status = cn_group_gather(&f->group, 1, f->decisions, err);
    f->due = f->decisions[0] & SAVE;
    for (int i = 0; i < f->group.size; i++) {
        if (f->decisions[i] & STOP) *stop = true;
        if (f->decisions[i] & STALE) f->stale = true;
    }
    return status;
}

/* Adds the step's figures to the epoch's. */
static void count(fit *f)
{
    const cn_shards *s = &f->learner.shards;
    for (int i = 0; i < s->count * s->batches; i++) {
        f->loss_sum += s->results[i].loss;
        f->correct += s->results[i].correct;
        f->seen += s->results[i].examples;
    }
}

/* One step of the optimizer. */
static cn_status train_step(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    const cn_fit_opts *o = &f->opts;
    int64_t done = (int64_t)(p->epoch - 1) * p->steps + p->step - 1;
    int first = (p->step - 1) * o->accumulate, left = cn_loader_steps(f->learner.loader) - first;
    p->learning_rate =
        cn_schedule_rate(&o->schedule, o->learning_rate, done, p->steps, f->schedule_epochs) *
        cn_schedule_plateau(&o->schedule, f->best.falls);
    int64_t number = (int64_t)(p->epoch - 1) * cn_loader_steps(f->learner.loader) + first;
    cn_status status = f->stale ? cn_shards_pack_again(&f->learner.shards, err) : CN_OK;
    f->stale = false;
    if (status == CN_OK)
        status = cn_learn(&f->learner, left < o->accumulate ? left : o->accumulate, number, err);
    f->unread = f->learner.unread;
    if (status == CN_OK) count(f);
    if (status == CN_OK) status = cn_shards_step(&f->learner.shards, p->learning_rate, err);
    if (status == CN_OK)
        cn_averager_step(&f->averager, f->session, done + 1,
                         (int64_t)f->schedule_epochs * p->steps);
    if (status == CN_OK) cn_shards_pack(&f->learner.shards);
    return status;
}

static void begin_epoch(fit *f)
{
    cn_progress *p = &f->progress;
    f->before.progress = *p;
    f->before.loss_sum = f->loss_sum;
    f->before.correct = f->correct;
    f->before.seconds = f->epoch_seconds;
    f->before.seen = f->seen;
    f->loss_sum = f->epoch_seconds = 0;
    f->seen = 0;
    f->correct = 0;
    f->waited = cn_loader_waited(f->learner.loader);
    p->epoch++;
    p->step = 0;
    p->epoch_end = false;
    p->valid_loss = p->valid_accuracy = p->valid_mean_iou = NAN;
    p->valid_mean_ap = p->valid_r_squared = NAN;
}

/* The step that has been begun is none: back to the end of the one before it. */
static void step_back(fit *f)
{
    if (--f->progress.step > 0) return;
    f->progress = f->before.progress;
    f->loss_sum = f->before.loss_sum;
    f->correct = f->before.correct;
    f->epoch_seconds = f->before.seconds;
    f->seen = f->before.seen;
}

/* The steps of the epoch that are left, all of them unless it goes on from a checkpoint, a callback
 * after each; CN_ERR_STOPPED when one asks to. */
static cn_status train_epoch(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    bool stop;
    while (p->step < p->steps) {
        double start = cn_seconds();
        p->step++;
        cn_status status = train_step(f, err);
        if (status != CN_OK && f->unread) step_back(f);
        if (status != CN_OK) return status;
        double spent = cn_seconds() - start;
        f->epoch_seconds += spent;
        p->seconds += spent;
        f->unsaved_steps++;
        status = report(f, &stop, err);
        if (status != CN_OK) return status;
        if (stop)
            return cn_fail(err, CN_ERR_STOPPED, "fit: stopped in epoch %d after step %d of %d",
                           p->epoch, p->step, p->steps);
        if (p->step < p->steps) status = save_if_due(f, err); /* else behind the epoch's end */
        if (status != CN_OK) return status;
    }
    return CN_OK;
}

/* The last epoch is over, or early stopping has made it the last. */
static bool ended(const fit *f)
{
    const cn_progress *p = &f->progress;
    return p->epoch_end && (p->epoch == p->epochs || cn_best_tracker_stops(&f->best));
}

/* Measures the validation set, with the average in the model's place where there is one. */
static cn_status validate(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    cn_metrics metrics;
    cn_averager_swap(&f->averager);
    cn_status status = cn_evaluator_run(&f->evaluator, f->opts.valid, &metrics, NULL, err);
    if (status == CN_OK) {
        p->valid_loss = metrics.loss;
        p->valid_accuracy = metrics.accuracy;
        p->valid_mean_iou = metrics.mean_iou;
        p->valid_mean_ap = metrics.mean_average_precision;
        p->valid_r_squared = metrics.mean_r_squared;
        bool by_iou = f->opts.best.monitor == CN_MONITOR_MEAN_IOU;
        cn_best_tracker_epoch(&f->best, p->epoch, metrics.loss,
                              by_iou ? metrics.mean_iou : metrics.accuracy);
        p->best_epoch = f->best.epoch;
    }
    cn_averager_swap(&f->averager);
    return status;
}

/* The end of an epoch: validation, then the callback. */
static cn_status finish_epoch(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    bool stop;
    cn_status status = cn_check_parameters(f->model, p, f->opts.learning_rate, err);
    if (status == CN_OK && f->opts.valid) {
        status = validate(f, err);
        f->unread = f->group.size == 1 && status != CN_OK && status != CN_ERR_DIVERGED;
    }
    if (status != CN_OK) return status;
    p->epoch_end = true;
    f->unsaved_epochs++;
    status = report(f, &stop, err);
    if (status != CN_OK) return status;
    if (stop)
        return cn_fail(err, CN_ERR_STOPPED, "fit: stopped after epoch %d of %d", p->epoch,
                       p->epochs);
    return ended(f) ? CN_OK : save_if_due(f, err); /* the last: at the very end */
}

/* From where the progress stands to the end, or to where the callback asks to stop. */
static cn_status run(fit *f, cn_error *err)
{
    cn_progress *p = &f->progress;
    cn_status status = CN_OK;
    if (p->epoch > 0) tally(f); /* going on, maybe from the very end */
    p->best_epoch = f->best.epoch;
    int64_t epochs_before = p->epoch_end ? p->epoch : p->epoch - 1;
    int64_t batches = p->epoch_end ? 0 : (int64_t)p->step * f->opts.accumulate;
    if (batches > cn_loader_steps(f->learner.loader))
        batches = cn_loader_steps(f->learner.loader); /* a short last step */
    cn_loader_start(f->learner.loader,
                    epochs_before * cn_loader_steps(f->learner.loader) + batches);
    while (status == CN_OK && !ended(f)) {
        if (p->epoch_end) begin_epoch(f);
        status = train_epoch(f, err);
        if (status == CN_OK) status = finish_epoch(f, err);
    }
    if (f->unread && f->progress.epoch > 0) save_checkpoint(f, NULL);
    if (status != CN_OK && status != CN_ERR_STOPPED) return status;
    cn_status saved = save_checkpoint(f, err);
    return saved == CN_OK ? status : saved;
}

/* An image whose class is none of the model's has no loss. */
static cn_status check_known(const cn_dataset *data, cn_error *err)
{
    int known = cn_dataset_known_classes(data), classes = cn_dataset_classes(data);
    if (known == classes) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "fit: %d of the data's classes are not the model's: %.80s%s", classes - known,
                   cn_dataset_class_name(data, known), classes - known > 1 ? ", ..." : "");
}

static cn_status check(const fit *f, cn_error *err)
{
    const cn_dataset *valid = f->opts.valid;
    cn_status status = cn_fit_options_check(&f->opts, err);
    if (status == CN_OK) status = check_known(f->data, err);
    if (status == CN_OK && valid) status = check_known(valid, err);
    if (status == CN_OK) status = cn_check_fit(f->model, f->data, "fit", err);
    if (status == CN_OK && valid) status = cn_check_fit(f->model, valid, "fit: validation", err);
    if (status == CN_OK && f->opts.best.monitor == CN_MONITOR_MEAN_IOU &&
        !cn_dataset_masks(f->data))
        status = cn_fail(err, CN_ERR_ARGUMENT,
                         "fit: best: a mean IoU is of masks, the data have a class per image");
    if (status == CN_OK && f->opts.best.monitor == CN_MONITOR_ACCURACY &&
        cn_dataset_task(f->data) == CN_TASK_REGRESSION)
        status = cn_fail(err, CN_ERR_ARGUMENT,
                         "fit: best: an accuracy is of classes, the data have numbers");
    return status == CN_OK ? check_frozen(f->model, err) : status;
}

/* Everything up to the first step. */
static cn_status begin(fit *f, cn_error *err)
{
    cn_status status = cn_model_expect_single(f->model, "fit", err);
    if (status == CN_OK) status = check(f, err);
    if (status != CN_OK) return status;
    cn_fit_options_complete(&f->opts, cn_dataset_size(f->data), cn_dataset_task(f->data));
    status = cn_fit_options_check_shards(&f->opts, err);
    if (status != CN_OK) return status;
    f->model->images = cn_learned_image_opts(f->model, f->data);
    status = cn_learn_targets(f->model, f->data, err);
    if (status != CN_OK) return status;
    status = prepare(f, err);
    if (status != CN_OK) return status;
    f->progress =
        (cn_progress){.epoch_end = true,
                      .epochs = f->opts.epochs,
                      .valid_mean_iou = NAN,
                      .valid_mean_ap = NAN,
                      .valid_r_squared = NAN,
                      .steps = (cn_loader_steps(f->learner.loader) - 1) / f->opts.accumulate + 1};
    f->schedule_epochs = f->opts.schedule_epochs > 0 ? f->opts.schedule_epochs : f->opts.epochs;
    return prepare_checkpoints(f, err);
}

cn_status cn_fit(cn_model *model, const cn_dataset *data, const cn_fit_opts *opts,
                 cn_progress *last, cn_error *err)
{
    if (!model || !data) return cn_fail(err, CN_ERR_ARGUMENT, "fit: model or data is NULL");
    fit f = {.model = model, .data = data, .stale = true};
    if (opts) f.opts = *opts;
    const cn_image_opts before = model->images;
    const cn_task_kind task_before = model->task;
    cn_status status = cn_group_create(&f.group, f.opts.communicator, err);
    if (status == CN_OK) status = cn_group_agree(&f.group, begin(&f, err), err);
    if (status == CN_OK) status = cn_group_check_same(&f.group, model, &f.state, err);
    if (status == CN_OK) status = cn_shards_place(&f.learner.shards, err);
    if (status == CN_OK) status = agree_to_save(&f, err);
    if (status == CN_OK) {
        remember_loss(model, f.opts.loss.kind);
        status = run(&f, err);
    }
    if (status == CN_OK || status == CN_ERR_STOPPED || (f.unread && f.progress.epoch > 0)) {
        cn_averager_swap(&f.averager);
        cn_best_tracker_restore(&f.best);
        if (last) *last = f.progress;
    }
    if (f.progress.epoch == 0) { /* nothing was trained */
        model->images = before;
        model->task = task_before;
    }
    release(&f);
    return status;
}

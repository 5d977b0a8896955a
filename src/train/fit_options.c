/*
 * fit_options.c - the options of a training: what is wrong with them, what they are where nothing
 * is given, and what of them a checkpoint must find as it was.
 */
#include "train/train.h"

#include "backends/backend.h"
#include "train/shards.h"

#include <math.h>
#include <stddef.h>

/* Images a step. In a mask each pixel is an example, of which a few images have enough for a gradient:
 * more steps learn more. Each shard has one at least. */
enum { BATCH = 64, BATCH_MASKS = 4 };

/* An option that the training would not look at is a mistake, and nobody would hear of it. */
static cn_status check_unused(const cn_fit_opts *o, cn_error *err)
{
    const cn_schedule *s = &o->schedule;
    const bool step = s->kind == CN_SCHEDULE_STEP, plateau = s->kind == CN_SCHEDULE_PLATEAU;
    const bool one_cycle = s->kind == CN_SCHEDULE_ONE_CYCLE;
    const bool polynomial = s->kind == CN_SCHEDULE_POLYNOMIAL;
    const bool averages = o->average.kind != CN_AVERAGE_NONE;
    const bool compares = o->best.keep || o->best.patience > 0 || plateau;
    const struct {
        bool given, used;
        const char *what, *goes_with;
    } rows[] = {
        {s->start != 0, one_cycle, "schedule: start", "the one-cycle schedule"},
        {s->peak != 0, one_cycle, "schedule: peak", "the one-cycle schedule"},
        {s->end != 0, !step && s->kind != CN_SCHEDULE_CONSTANT, "schedule: end",
         "a schedule that falls gradually or by plateaus"},
        {s->power != 0, polynomial, "schedule: power", "the polynomial schedule"},
        {s->factor != 0, step || plateau, "schedule: factor", "the step and plateau schedules"},
        {s->every != 0, step, "schedule: every", "the step schedule"},
        {s->milestones[0] != 0, step, "schedule: milestones", "the step schedule"},
        {s->patience != 0, plateau, "schedule: patience", "the plateau schedule"},
        {o->average.decay > 0, averages, "average: decay", "a kind of average"},
        {o->average.every > 0, averages, "average: every", "a kind of average"},
        {o->average.power > 0, o->average.kind == CN_AVERAGE_LOOKAHEAD, "average: power",
         "lookahead"},
        {o->best.min_delta > 0, compares, "best: min_delta", "keep, patience or a plateau"},
        {o->best.monitor == CN_MONITOR_ACCURACY || o->best.monitor == CN_MONITOR_MEAN_IOU, compares,
         "best: monitor", "keep, patience or a plateau"},
        {o->checkpoint.epochs || o->checkpoint.steps || o->checkpoint.seconds > 0,
         o->checkpoint.path != NULL, "an interval of checkpoints", "a file for them"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given && !rows[i].used)
            return cn_fail(err, CN_ERR_ARGUMENT, "fit: %s goes with %s", rows[i].what,
                           rows[i].goes_with);
    return CN_OK;
}

/* What of the schedule would come after the last epoch. */
static cn_status check_length(const cn_fit_opts *o, cn_error *err)
{
    const cn_schedule *s = &o->schedule;
    const int epochs = o->schedule_epochs > 0 ? o->schedule_epochs : o->epochs > 0 ? o->epochs : 1;
    if (o->schedule_epochs < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: a schedule of %d epochs, expected at least 1",
                       o->schedule_epochs);
    if (s->warmup >= epochs)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: schedule: warm-up of %g epochs, expected fewer than the training's %d",
                       s->warmup, epochs);
    for (int i = 0; i < CN_MAX_MILESTONES; i++)
        if (s->milestones[i] >= epochs)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "fit: schedule: milestone %d, expected one before the last of %d epochs",
                           s->milestones[i], epochs);
    if (s->every >= epochs)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: schedule: every %d epochs, expected fewer than the training's %d",
                       s->every, epochs);
    return CN_OK;
}

cn_status cn_fit_options_check(const cn_fit_opts *o, cn_error *err)
{
    if (o->epochs < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %d epochs, expected at least 1", o->epochs);
    if (o->batch < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: a batch of %d, expected at least 1", o->batch);
    if (o->shards < 0 || o->shards > CN_MOST_SHARDS)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %d shards, expected 1 to %d", o->shards,
                       CN_MOST_SHARDS);
    if (o->accumulate < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %d batches a step, expected at least 1",
                       o->accumulate);
    if (!(o->learning_rate >= 0) || isinf(o->learning_rate))
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: learning rate %g, expected a positive number",
                       o->learning_rate);
    if (o->checkpoint.epochs < 0 || o->checkpoint.steps < 0 || !(o->checkpoint.seconds >= 0))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: a checkpoint every %d epochs, %d steps or %g seconds, expected 0 or "
                       "more",
                       o->checkpoint.epochs, o->checkpoint.steps, o->checkpoint.seconds);
    const char *wants = o->best.keep                              ? "keeping the best epoch"
                        : o->best.patience > 0                    ? "early stopping"
                        : o->schedule.kind == CN_SCHEDULE_PLATEAU ? "the plateau schedule"
                                                                  : NULL;
    if (wants && !o->valid)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %s needs a validation set", wants);
    cn_status status = cn_schedule_check(&o->schedule, err);
    if (status == CN_OK) status = check_unused(o, err);
    return status == CN_OK ? check_length(o, err) : status;
}

void cn_fit_options_complete(cn_fit_opts *o, int size, cn_task_kind task)
{
    if (o->epochs == 0) o->epochs = 1;
    if (!o->backend) o->backend = cn_backends[0]->name;
    if (o->accumulate == 0) o->accumulate = 1;
    if (o->shards == 0) o->shards = 1;
    if (o->batch == 0 && task != CN_TASK_SEGMENTATION) o->batch = BATCH;
    if (o->batch == 0) o->batch = o->shards > BATCH_MASKS ? o->shards : BATCH_MASKS;
    if (o->batch > size) o->batch = size;
    if (o->threads == 0 && o->communicator) o->threads = o->communicator->threads;
    if (o->learning_rate == 0) o->learning_rate = cn_optimizer_default_rate(o->optimizer.kind);
    if (o->checkpoint.steps == 0 && o->checkpoint.seconds == 0 && o->checkpoint.epochs == 0)
        o->checkpoint.epochs = 1;
}

cn_status cn_fit_options_check_shards(const cn_fit_opts *o, cn_error *err)
{
    const int ranks = o->communicator ? o->communicator->size : 1;
    if (o->batch % o->shards != 0)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: a batch of %d cannot be cut into %d shards of equal size", o->batch,
                       o->shards);
    if (ranks > o->shards)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: %d ranks share out %d shard%s, expected as many shards or more", ranks,
                       o->shards, cn_plural(o->shards));
    return CN_OK;
}

static const cn_state_member terms[] = {
    {"batch", CN_STATE_INT, offsetof(cn_fit_opts, batch)},
    {"shards", CN_STATE_INT, offsetof(cn_fit_opts, shards)},
    {"synchronized batch norms", CN_STATE_FLAG, offsetof(cn_fit_opts, sync_batch_norm)},
    {"seed", CN_STATE_COUNT, offsetof(cn_fit_opts, seed)},
    {"no shuffle", CN_STATE_FLAG, offsetof(cn_fit_opts, no_shuffle)},
    {"backend", CN_STATE_TEXT, offsetof(cn_fit_opts, backend)},
    {"learning rate", CN_STATE_NUMBER, offsetof(cn_fit_opts, learning_rate)},
    {"accumulate", CN_STATE_INT, offsetof(cn_fit_opts, accumulate)},
    {"schedule: warm-up", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.warmup)},
    {"schedule: start", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.start)},
    {"schedule: peak", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.peak)},
    {"schedule: end", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.end)},
    {"schedule: power", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.power)},
    {"schedule: factor", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.factor)},
    {"schedule: every", CN_STATE_INT, offsetof(cn_fit_opts, schedule.every)},
    {"schedule: patience", CN_STATE_INT, offsetof(cn_fit_opts, schedule.patience)},
    {"momentum", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.momentum)},
    {"dampening", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.dampening)},
    {"nesterov", CN_STATE_FLAG, offsetof(cn_fit_opts, optimizer.nesterov)},
    {"beta1", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.beta1)},
    {"beta2", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.beta2)},
    {"alpha", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.alpha)},
    {"epsilon", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.epsilon)},
    {"weight decay", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.weight_decay)},
    {"decoupled", CN_STATE_FLAG, offsetof(cn_fit_opts, optimizer.decoupled)},
    {"decay all", CN_STATE_FLAG, offsetof(cn_fit_opts, optimizer.decay_all)},
    {"clip norm", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.clip_norm)},
    {"clip value", CN_STATE_NUMBER, offsetof(cn_fit_opts, optimizer.clip_value)},
    {"label smoothing", CN_STATE_NUMBER, offsetof(cn_fit_opts, loss.label_smoothing)},
    {"average: decay", CN_STATE_NUMBER, offsetof(cn_fit_opts, average.decay)},
    {"average: every", CN_STATE_INT, offsetof(cn_fit_opts, average.every)},
    {"average: power", CN_STATE_NUMBER, offsetof(cn_fit_opts, average.power)},
    {"best: keep", CN_STATE_FLAG, offsetof(cn_fit_opts, best.keep)},
    {"best: patience", CN_STATE_INT, offsetof(cn_fit_opts, best.patience)},
    {"best: min delta", CN_STATE_NUMBER, offsetof(cn_fit_opts, best.min_delta)},
    {"augment: crop", CN_STATE_INT, offsetof(cn_fit_opts, augment.crop)},
    {"augment: shift", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.shift)},
    {"augment: rotate", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.rotate)},
    {"augment: scale", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.scale)},
    {"augment: brightness", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.brightness)},
    {"augment: contrast", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.contrast)},
    {"augment: saturation", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.saturation)},
    {"augment: cutout", CN_STATE_INT, offsetof(cn_fit_opts, augment.cutout)},
    {"augment: mixup", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.mixup)},
    {"augment: random-resized-crop", CN_STATE_NUMBER,
     offsetof(cn_fit_opts, augment.random_resized_crop)},
    {.name = NULL},
};

static const char *const milestone_terms[CN_MAX_MILESTONES] = {
    "milestone 1", "milestone 2", "milestone 3", "milestone 4",
    "milestone 5", "milestone 6", "milestone 7", "milestone 8"};

/* The enums' words; where 0 is a default, that is the word it stands for. */
static const char *const precisions[] = {"f32", "bf16"};
static const char *const schedules[] = {"cosine",     "constant",  "cosine", "step",
                                        "polynomial", "one-cycle", "plateau"};
static const char *const optimizers[] = {"adam", "sgd", "adamw", "rmsprop"};
static const char *const losses[] = {
    "default", "cross-entropy", "binary cross-entropy", "mean squared error",
    "dice",    "focal",         "mean absolute error"};
static const char *const averages[] = {"none", "ema", "lookahead"};
static const char *const monitors[] = {"loss", "accuracy", "mean IoU"};
static const char *const borders[] = {"zero", "reflect"};
static const char *const flips[] = {"none", "random", "alternating", "all"};

void cn_fit_options_terms(const cn_fit_opts *o, int classes, cn_state *state)
{
    cn_state_term_growing(state, "epochs", &o->epochs);
    cn_state_term_word(state, "precision", &o->precision, precisions);
    cn_state_term_word(state, "schedule", &o->schedule.kind, schedules);
    cn_state_term_word(state, "optimizer", &o->optimizer.kind, optimizers);
    cn_state_term_word(state, "loss", &o->loss.kind, losses);
    cn_state_term_word(state, "average", &o->average.kind, averages);
    cn_state_term_word(state, "best: monitor", &o->best.monitor, monitors);
    cn_state_term_word(state, "augment: border", &o->augment.border, borders);
    cn_state_term_word(state, "augment: flip", &o->augment.flip, flips);
    cn_state_terms(state, terms, o);
    for (int i = 0; i < CN_MAX_MILESTONES; i++)
        cn_state_term(state, milestone_terms[i], CN_STATE_INT, &o->schedule.milestones[i]);
    if (o->loss.class_weights)
        cn_state_term_floats(state, "class weights", o->loss.class_weights, (size_t)classes);
}

cn_session_opts cn_fit_session_opts(const cn_fit_opts *o)
{
    return (cn_session_opts){.batch = o->batch / o->shards,
                             .threads = o->threads,
                             .training = true,
                             .seed = o->seed,
                             /* Each forward comes after a step, unless a step has several. */
                             .repack = o->accumulate == 1 && o->shards == 1,
                             .precision = o->precision,
                             .loss = o->loss,
                             .optimizer = o->optimizer,
                             .backend = o->backend};
}

cn_session_opts cn_fit_validation_opts(const cn_fit_opts *o)
{
    return (cn_session_opts){.batch = o->batch,
                             .threads = o->threads,
                             .precision = o->precision,
                             .loss.kind = o->loss.kind,
                             .backend = o->backend};
}

cn_status cn_fit_memory(const cn_model *model, const cn_fit_opts *o, cn_memory *memory,
                        cn_error *err)
{
    const cn_session_opts train = cn_fit_session_opts(o), valid = cn_fit_validation_opts(o);
    return cn_session_shared_memory(model, &train, &valid, memory, err);
}

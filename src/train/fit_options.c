/*
 * fit_options.c - the options of a training: what is wrong with them, what they are where nothing
 * is given, and what of them a checkpoint must find as it was.
 */
#include "train/train.h"

#include <math.h>
#include <stddef.h>

enum { DEFAULT_BATCH = 64 };
static const double default_rate = 1e-3;

cn_status cn_fit_options_check(const cn_fit_opts *o, cn_error *err)
{
    if (o->epochs < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %d epochs, expected at least 1", o->epochs);
    if (o->batch < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: a batch of %d, expected at least 1", o->batch);
    if (o->accumulate < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %d batches a step, expected at least 1",
                       o->accumulate);
    if (!(o->learning_rate >= 0) || isinf(o->learning_rate))
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: learning rate %g, expected a positive number",
                       o->learning_rate);
    if (o->checkpoint_epochs < 0 || o->checkpoint_steps < 0 || !(o->checkpoint_seconds >= 0))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: a checkpoint every %d epochs, %d steps or %g seconds, expected 0 or "
                       "more",
                       o->checkpoint_epochs, o->checkpoint_steps, o->checkpoint_seconds);
    const char *wants = o->best.keep                              ? "keeping the best epoch"
                        : o->best.patience > 0                    ? "early stopping"
                        : o->schedule.kind == CN_SCHEDULE_PLATEAU ? "the plateau schedule"
                                                                  : NULL;
    if (wants && !o->valid)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: %s needs a validation set", wants);
    return cn_schedule_check(&o->schedule, err);
}

void cn_fit_options_complete(cn_fit_opts *o, int size)
{
    if (o->epochs == 0) o->epochs = 1;
    if (o->batch == 0) o->batch = DEFAULT_BATCH;
    if (o->batch > size) o->batch = size;
    if (o->accumulate == 0) o->accumulate = 1;
    if (o->learning_rate == 0) o->learning_rate = default_rate;
    if (o->checkpoint_steps == 0 && o->checkpoint_seconds == 0 && o->checkpoint_epochs == 0)
        o->checkpoint_epochs = 1;
}

static const cn_state_member terms[] = {
    {"epochs", CN_STATE_INT, offsetof(cn_fit_opts, epochs)},
    {"batch", CN_STATE_INT, offsetof(cn_fit_opts, batch)},
    {"seed", CN_STATE_COUNT, offsetof(cn_fit_opts, seed)},
    {"no shuffle", CN_STATE_FLAG, offsetof(cn_fit_opts, no_shuffle)},
    {"precision", CN_STATE_INT, offsetof(cn_fit_opts, precision)},
    {"learning rate", CN_STATE_NUMBER, offsetof(cn_fit_opts, learning_rate)},
    {"accumulate", CN_STATE_INT, offsetof(cn_fit_opts, accumulate)},
    {"schedule", CN_STATE_INT, offsetof(cn_fit_opts, schedule.kind)},
    {"schedule: warm-up", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.warmup)},
    {"schedule: start", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.start)},
    {"schedule: peak", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.peak)},
    {"schedule: end", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.end)},
    {"schedule: power", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.power)},
    {"schedule: factor", CN_STATE_NUMBER, offsetof(cn_fit_opts, schedule.factor)},
    {"schedule: every", CN_STATE_INT, offsetof(cn_fit_opts, schedule.every)},
    {"schedule: patience", CN_STATE_INT, offsetof(cn_fit_opts, schedule.patience)},
    {"optimizer", CN_STATE_INT, offsetof(cn_fit_opts, optimizer.kind)},
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
    {"loss", CN_STATE_INT, offsetof(cn_fit_opts, loss.kind)},
    {"label smoothing", CN_STATE_NUMBER, offsetof(cn_fit_opts, loss.label_smoothing)},
    {"average", CN_STATE_INT, offsetof(cn_fit_opts, average.kind)},
    {"average: decay", CN_STATE_NUMBER, offsetof(cn_fit_opts, average.decay)},
    {"average: every", CN_STATE_INT, offsetof(cn_fit_opts, average.every)},
    {"average: power", CN_STATE_NUMBER, offsetof(cn_fit_opts, average.power)},
    {"best: keep", CN_STATE_FLAG, offsetof(cn_fit_opts, best.keep)},
    {"best: patience", CN_STATE_INT, offsetof(cn_fit_opts, best.patience)},
    {"best: min delta", CN_STATE_NUMBER, offsetof(cn_fit_opts, best.min_delta)},
    {"best: monitor", CN_STATE_INT, offsetof(cn_fit_opts, best.monitor)},
    {"augment: border", CN_STATE_INT, offsetof(cn_fit_opts, augment.border)},
    {"augment: crop", CN_STATE_INT, offsetof(cn_fit_opts, augment.crop)},
    {"augment: flip", CN_STATE_INT, offsetof(cn_fit_opts, augment.flip)},
    {"augment: shift", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.shift)},
    {"augment: rotate", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.rotate)},
    {"augment: scale", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.scale)},
    {"augment: brightness", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.brightness)},
    {"augment: contrast", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.contrast)},
    {"augment: saturation", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.saturation)},
    {"augment: cutout", CN_STATE_INT, offsetof(cn_fit_opts, augment.cutout)},
    {"augment: mixup", CN_STATE_NUMBER, offsetof(cn_fit_opts, augment.mixup)},
    {.name = NULL},
};

static const char *const milestone_terms[CN_MAX_MILESTONES] = {
    "milestone 1", "milestone 2", "milestone 3", "milestone 4",
    "milestone 5", "milestone 6", "milestone 7", "milestone 8"};

void cn_fit_options_terms(const cn_fit_opts *o, int classes, cn_state *state)
{
    cn_state_terms(state, terms, o);
    for (int i = 0; i < CN_MAX_MILESTONES; i++)
        cn_state_term(state, milestone_terms[i], CN_STATE_INT, &o->schedule.milestones[i]);
    if (o->loss.class_weights)
        cn_state_term_floats(state, "class weights", o->loss.class_weights, (size_t)classes);
}

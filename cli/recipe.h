/* recipe.h - how `convnet train` learns: the options of optimizer, rate, loss and averages. */
#ifndef RECIPE_H
#define RECIPE_H

#include "cli.h"

/* What the options' table fills in; zero where nothing is given. */
typedef struct cli_recipe {
    double rate;
    /* The step. */
    int optimizer, accumulate;
    double momentum, weight_decay, bias_rate, clip_norm, clip_value;
    bool nesterov;
    const char *freeze;
    /* The rate over time. */
    int schedule, plateau;
    double warmup, start, peak, end, power, factor;
    const char *milestones;
    /* The loss. */
    int loss;
    double smoothing;
    const char *class_weights;
    /* Which weights are kept. */
    int keep, patience, average, average_every;
    double min_delta, average_decay, average_power;
} cli_recipe;

/* The words of the choices, in the order that cli_recipe_apply knows. */
#define CLI_OPTIMIZERS "adam|sgd|adamw|rmsprop"
#define CLI_SCHEDULES  "cosine|constant|step|polynomial|one-cycle|plateau"

/* CN_ERR_ARGUMENT for an option among those typed that would not be used beside the others. What a
 * named recipe brings, and the options typed beside it leave no use for, is left out. */
cn_status cli_recipe_check(const cli_recipe *recipe, const cli_common *typed, cn_error *err);

/*
 * Puts the recipe into the options of a training, and freezes and scales the model's parameters.
 * Class weights are allocated, for the caller to free once the training is over. An error is in the
 * words of the command's options.
 */
cn_status cli_recipe_apply(const cli_recipe *recipe, const cn_dataset *data, cn_model *model,
                           cn_fit_opts *opts, float **class_weights, cn_error *err);

/* "adamw, rate 0.002, cosine" into text; returns text. */
enum { CLI_RECIPE_TEXT = 120 };
const char *cli_recipe_text(const cli_recipe *recipe, const cn_fit_opts *opts,
                            char text[CLI_RECIPE_TEXT]);

#endif

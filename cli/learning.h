/* learning.h - how `convnet train` learns: the options of optimizer, rate, loss and averages. */
#ifndef LEARNING_H
#define LEARNING_H

#include "cli.h"

/* What the options' table fills in: numbers in their place in `fit`, choices by the place of their
 * word, and texts. */
typedef struct cli_learning {
    cn_fit_opts fit;
    int optimizer, schedule, loss, average, keep;
    double bias_rate;
    const char *freeze, *milestones, *class_weights;
} cli_learning;

/* The words of the choices, in the order of their enums; schedules in that of cli_learning_check. */
#define CLI_OPTIMIZERS "adam|sgd|adamw|rmsprop"
#define CLI_SCHEDULES  "cosine|constant|step|polynomial|one-cycle|plateau"

/* Sets the kinds in `fit`, and what they do not look at to zero. CN_ERR_ARGUMENT for an option among
 * those typed that would not be used beside the others; what a recipe brings, and the options typed
 * beside it leave no use for, is left out. */
cn_status cli_learning_check(cli_learning *learning, const cli_common *typed, cn_error *err);

/*
 * What needs the data and the model: milestones and class weights go into *opts, a copy of `fit`;
 * the model's parameters are frozen and scaled. Class weights are allocated, for the caller to free
 * once the training is over. An error is in the words of the command's options.
 */
cn_status cli_learning_apply(const cli_learning *learning, const cn_dataset *data, cn_model *model,
                             cn_fit_opts *opts, float **class_weights, cn_error *err);

/* "adamw, rate 0.002, cosine" into text; returns text. */
enum { CLI_LEARNING_TEXT = 120 };
const char *cli_learning_text(const cli_learning *learning, char text[CLI_LEARNING_TEXT]);

#endif

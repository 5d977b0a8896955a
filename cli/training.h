/* training.h - a training of the command: what it begins with, and what it says at its end. */
#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "cli.h"

#include "progress.h"
#include "ranks.h"
#include "reading.h"
#include "train_options.h"

/* All that a training needs and makes. */
typedef struct cli_training {
    const cli_train_options *o;
    cli_ranks ranks;
    int shards;
    cli_reading reading;
    cn_dataset *train, *valid, *test; /* valid NULL with --validation-split 0 */
    cn_model *model;
    const char *model_text;
    char *out;
    cli_progress shown;
    json_t *arguments; /* for the checkpoint's note */
    json_t *page;      /* of --report, else NULL */
    bool checkpointed; /* the last checkpoint could be written */
    float *class_weights;
} cli_training;

/* ---- its beginning (training_begin.c) */

/* What cn_fit is asked for, but for what calls back. */
cn_fit_opts cli_training_fit_opts(const cli_training *t);
/* The same with all defaults. */
cn_fit_opts cli_training_complete_fit_opts(const cli_training *t);
/* Loads the data and makes the model: what may fail on one rank and not on another. CLI_DONE, or the exit
 * status with the error printed; so are those below. */
int cli_training_prepare(cli_training *t);

/* ---- its end (training_end.c) */

/* It was interrupted, and its state or, without checkpoints, its model saved: says how to go on. Returns the
 * exit status of a process that this signal ends. */
int cli_training_report_stop(const cli_training *t, const cn_progress *last, int signal_number);
/* A file could not be read any more: the training has ended between two steps. Saves what was learnt. */
void cli_training_save_unread(const cli_training *t, const cn_progress *last);
/* Measures the test set, and says what has come of it all. */
int cli_training_report_end(const cli_training *t, const cn_progress *last);
/* Writes the page of --report. */
int cli_training_write_page(const cli_training *t);

#endif

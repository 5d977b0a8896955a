/* progress.h - shows how a training goes: a bar on a terminal, a line an epoch anywhere. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "cli.h"

enum { CLI_SPARK = 16 };

typedef struct cli_progress {
    bool lines, bar, colors;
    bool spark;             /* the terminal shows UTF-8: the losses so far, as a curve of blocks */
    double loss[CLI_SPARK]; /* of the last epochs */
    int losses;
    bool visible;        /* the bar stands on the terminal */
    double start, drawn; /* seconds; when the training began, when the bar was drawn last */
} cli_progress;

/* Quiet shows nothing. */
void cli_progress_start(cli_progress *shown, const cli_common *common);
/* After a step: redraws the bar, at most ten times a second. */
void cli_progress_step(cli_progress *shown, const cn_progress *p);
/* After an epoch: its line, in the place of the bar. */
void cli_progress_epoch(cli_progress *shown, const cn_progress *p);
/* Removes a bar that may stand there. */
void cli_progress_clear(cli_progress *shown);

#endif

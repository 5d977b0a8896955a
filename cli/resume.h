/* resume.h - what a checkpoint keeps of the command that began a training. */
#ifndef CLI_RESUME_H
#define CLI_RESUME_H

#include "cli.h"

/*
 * A training's arguments, so that --resume FILE alone goes on with it. The list is JSON; what says
 * how one run shows itself (--json, --quiet) or where its checkpoints are is not in it.
 */

/* The arguments of a new training; NULL: out of memory. */
json_t *cli_arguments_of(const cli_common *common);

/*
 * The options of the training in a checkpoint: those it began with, then those given now, which
 * come second and win. `options` is zeroed and of command->size; it refers to *list, which becomes
 * the arguments of both, and to *expanded, which the caller frees. CLI_DONE, or the exit status
 * with the error printed.
 */
int cli_arguments_resumed(const cli_command *command, const char *file, const cli_common *given,
                          void *options, json_t **list, char ***expanded);

/* How often to write checkpoints, from "5", "5 epochs", "500 steps", "90 s" or "10 min"; false for
 * anything else. */
bool cli_read_interval(const char *text, cn_fit_opts *opts);

/* A word of a shell command line: as it is, or between quotes. Free it; NULL: out of memory. */
char *cli_shell_word(const char *text);

#endif

/* ranks.h - a subcommand that several processes run together: one of them speaks. */
#ifndef CLI_RANKS_H
#define CLI_RANKS_H

#include "cli.h"

#include "train/group.h"

typedef struct cli_ranks {
    cn_communicator comm;
    cn_group group;
    bool launched; /* by MPI's launcher, though maybe alone */
    FILE *held;    /* of all ranks but the first: what went to standard error */
    int errors;    /* a copy of the standard error that there was */
} cli_ranks;

/* Joins the ranks that MPI's launcher has started; where it has not started this process, it is
 * alone, and MPI is not touched. From now on all ranks but the first keep what they print. Returns
 * CLI_DONE, or another code with the error printed. */
int cli_ranks_open(cli_ranks *ranks, const char *command);
/* CLI_DONE where all ranks are; else the code of the first that is not, whose message is printed if
 * it has not been. */
int cli_ranks_agree(cli_ranks *ranks, int code);
void cli_ranks_close(cli_ranks *ranks);
/* NULL where this process is alone. */
const cn_communicator *cli_ranks_communicator(const cli_ranks *ranks);
/* "2 ranks on 1 host, " into text; "" where this process is alone. */
const char *cli_ranks_text(const cli_ranks *ranks, char text[CLI_COUNT_TEXT * 2]);

#endif

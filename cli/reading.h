/* reading.h - data sets for a subcommand: within one budget of memory, with progress. */
#ifndef CLI_READING_H
#define CLI_READING_H

#include "cli.h"

#include "ranks.h"

typedef struct cli_reading {
    cn_dataset_opts opts; /* for every set */
    size_t budget;        /* what --memory says; 0: nothing */
    size_t used;          /* by the sets that have been loaded */
    int share;            /* of the processes on this machine, each loads its own */
    bool terminal, visible;
    double start, drawn; /* seconds */
} cli_reading;

/* `ranks` NULL: this process is alone. */
void cli_reading_begin(cli_reading *reading, const cli_common *common, size_t memory,
                       const cli_ranks *ranks);
/* cn_dataset_load: of the budget, what the sets before have left. */
cn_status cli_reading_load(cli_reading *reading, cn_dataset **data, const char *spec,
                           cn_subset subset, cn_error *err);

#endif

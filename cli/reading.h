/* reading.h - data sets for a subcommand: within one budget of memory, with progress. */
#ifndef CLI_READING_H
#define CLI_READING_H

#include "cli.h"

#include "ranks.h"

typedef struct cli_reading {
    cn_dataset_opts opts; /* for every set */
    size_t budget;        /* for images; 0: nothing is said */
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

/* Of the --memory of a training, what images may take while they are loaded: what the process takes
 * for itself is not among it. */
size_t cli_memory_for_images(size_t memory);
/* Bytes that a training takes beside its images, and where they are more than the budget, the half, quarter, ..
 * of its batch that would fit (0: none) with the bytes that it would take. */
typedef struct cli_room {
    size_t training, smaller;
    int batch;
    bool fits;
} cli_room;

/* Cached images of the sets, the first of which is trained on (NULL: none; those that were parted
 * from one share its cache), make room for a training of this network. All is 0 where there is no such network. */
cli_room cli_reading_leave(const cli_reading *reading, const char *network, const cn_fit_opts *opts,
                           const cn_dataset *sets[3]);

#endif

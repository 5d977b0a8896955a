/* transfer.h - a training that begins with what another network has learnt. */
#ifndef CLI_TRANSFER_H
#define CLI_TRANSFER_H

#include "cli.h"

/* `sets` are to train on, to validate on and to test on; the last two may be NULL.
 * The network in `file`, with as many outputs as the data has classes, or the network `layers` (a
 * name, layers or a file; may be NULL), with what it has in common with the one in the file. Says
 * what was taken over, and what begins anew: the last layer of weights where the file's classes are
 * others. Where they are the same, the sets get their order. */
cn_status cli_start_from(cn_model **model, const char *file, const char *layers,
                         cn_dataset *const sets[3], const cli_common *common, cn_error *err);

/* Gives the model the normalization of these images. */
cn_status cli_learn_normalization(cn_model *model, const cn_dataset *data, cn_error *err);

#endif

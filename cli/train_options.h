/* train_options.h - what `convnet train` can be told. */
#ifndef CLI_TRAIN_OPTIONS_H
#define CLI_TRAIN_OPTIONS_H

#include "learning.h"

typedef struct cli_train_options {
    cli_common common;
    uint64_t valid_seed;
    const char *data, *model, *out, *augment;
    const char *report, *from, *whiten, *named, *checkpoint, *checkpoint_every, *resume;
    int epochs, batch, shards;
    double valid;
    int tta, precision;
    size_t memory;
    bool stretch, skip_damaged;
    const char *backend;
    cli_learning learning;
} cli_train_options;

extern const cli_option cli_train_table[];

#endif

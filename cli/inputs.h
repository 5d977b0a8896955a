/* inputs.h - the images that arguments name: files, and what lies in folders. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "cli.h"

typedef struct cli_input {
    char *path;
    const char *name; /* the end of the path that tells it from others: a file's name, or its place
                         below the folder that was named */
    bool is_empty;    /* a folder without images, not an image */
} cli_input;

typedef struct cli_inputs {
    cli_input *items;
    int count, room;
    bool folders; /* some were found in folders */
} cli_inputs;

/* In the order of the arguments; a folder's images at every depth, in the order of their paths. */
cn_status cli_inputs_find(cli_inputs *inputs, int count, char *const *operands, cn_error *err);
void cli_inputs_free(cli_inputs *inputs);

/* Makes the folders that lie above a file. CN_ERR_IO names the one that could not be made. */
cn_status cli_make_folders(const char *path, cn_error *err);

#endif

/* saving.h - the files that a training writes. */
#ifndef CLI_SAVING_H
#define CLI_SAVING_H

#include "cli.h"

/* That a file can be written there is better known before the training than after. CLI_DONE, or the
 * exit status with the error printed, as below; `option` names an empty one. */
int cli_check_out(const char *option, const char *out);

/* Saves to `out` or, where that fails, beside other temporary files: hours of training are not lost
 * to a full disk. */
int cli_save(const cn_model *model, const char *out);

#endif

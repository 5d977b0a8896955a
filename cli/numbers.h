/* numbers.h - arrays of floats in files, and what a model makes of them. */
#ifndef CLI_NUMBERS_H
#define CLI_NUMBERS_H

#include "cli.h"

typedef enum cli_layout { CLI_NHWC, CLI_NCHW } cli_layout;

/* The array of a .npy file as F32 (m, n_H, n_W, n_C), which must be the model's input; the file has
 * the axes in the order of the layout. */
cn_status cli_numbers_load(cn_tensor *X, const cn_model *model, const char *path, cli_layout layout,
                           cn_error *err);
/* Writes F32 (m, ...) as .npy or, with the name of the array, .npz; images in the layout. */
cn_status cli_numbers_save(const cn_tensor *Y, const char *name, const char *path,
                           cli_layout layout, cn_error *err);

/* The outputs Y (m, ...) for X (m, n_H, n_W, n_C), which is not normalized: plain numbers, of which
 * some may be NaN. */
cn_status cli_numbers_run(cn_model *model, const cn_session_opts *opts, const cn_tensor *X,
                          cn_tensor *Y, cn_error *err);

#endif

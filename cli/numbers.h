/* numbers.h - arrays of floats in files, and what a model makes of them. */
#ifndef CLI_NUMBERS_H
#define CLI_NUMBERS_H

#include "cli.h"

typedef enum cli_layout { CLI_NHWC, CLI_NCHW } cli_layout;

/* The arrays of .npy files as F32 X (m, n_H, n_W, n_C), the model's input: of each of its inputs one
 * "NAME=FILE", or of the only one "FILE". Files have their axes in the order of the layout. */
cn_status cli_numbers_load(cn_tensor *X, const cn_model *model, const char *const *files, int count,
                           cli_layout layout, cn_error *err);
/* Adds the shape of the examples of "NAME=FILE", or of "FILE" for every input. */
cn_status cli_numbers_shape(const char *text, cli_layout layout, cli_shapes *shapes, cn_error *err);
/* Writes F32 Y (m, ...), the model's output: as .npy or, by its name, as .npz, and several as .npz;
 * images in the layout. */
cn_status cli_numbers_save(const cn_tensor *Y, const cn_model *model, const char *path,
                           cli_layout layout, cn_error *err);
/* CN_ERR_ARGUMENT unless a file of this name can hold the model's outputs. */
cn_status cli_numbers_expect(const cn_model *model, const char *path, cn_error *err);
/* Port i of m examples, each of `size` elements, as an array of its own: F32 (m, ...). */
cn_status cli_numbers_part(const cn_tensor *Y, const cn_port *port, cn_tensor *part, cn_error *err);

/* The outputs Y (m, ...) for X (m, n_H, n_W, n_C), which is not normalized: plain numbers, of which
 * some may be NaN. */
cn_status cli_numbers_run(cn_model *model, const cn_session_opts *opts, const cn_tensor *X,
                          cn_tensor *Y, cn_error *err);

#endif

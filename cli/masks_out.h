/* masks_out.h - the masks and overlays that `convnet predict --out DIR` writes. */
#ifndef CLI_MASKS_OUT_H
#define CLI_MASKS_OUT_H

#include "inputs.h"

/* CN_ERR_ARGUMENT where two images would have one mask: DIR/masks/NAME.png. */
cn_status cli_check_masks_out(const cli_inputs *inputs, cn_error *err);
/* Writes DIR/masks/NAME.png and DIR/overlays/NAME.png (.pgm and .ppm without libpng), NAME without
 * the image's ending. */
cn_status cli_write_masks(const char *dir, const cli_input *input, const cn_tensor *image,
                          const cn_tensor *mask, cn_error *err);

#endif

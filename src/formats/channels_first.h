/*
 * channels_first.h - parameters as PyTorch and ONNX lay them out.
 *
 * There images are (n_C, n_H, n_W), and every weight has its output first. Four axes are enough for
 * all of them, seen as (height, width, in, out):
 *
 *     convolution              (f_H, f_W, n_C_prev / groups, n_C)  -> (n_C, n_C_prev / groups, f_H,
 *                                                                      f_W)
 *     transposed convolution   (f_H, f_W, n_C / groups, n_C_prev)  -> (n_C_prev, n_C / groups, f_H,
 *                                                                      f_W)
 *     dense after an image     (n_H, n_W, n_C_prev, n_out)         -> (n_out, n_C_prev n_H n_W)
 *     dense                    (1, 1, n_in, n_out)                 -> (n_out, n_in)
 *     of the image's shape     (n_H, n_W, n_C, 1)                  -> (n_C, n_H, n_W)
 */
#ifndef CN_CHANNELS_FIRST_H
#define CN_CHANNELS_FIRST_H

#include "model/model.h"

/* out[o][i][h][w] = in[h][w][i][o]; n are the extents h, w, i, o. */
void cn_to_channels_first(const int n[4], const float *in, float *out);
/* out[h][w][i][o] = in[o][i][h][w], with the same n. */
void cn_from_channels_first(const int n[4], const float *in, float *out);

/*
 * The order of flattened images. Where an image is flattened here, its channels come last, and
 * there, first. A value of rank 1 that comes from a flattened image may have its elements in their
 * order if everything that reads it, up to a dense layer, works element by element:
 * order[i] is then the image's shape (n_H, n_W, n_C), for value i of the model, and else NULL.
 * `order` has room for all layers. False: out of memory.
 */
bool cn_flattened_order(const cn_model *model, const cn_shape **order);

/* Parameter k of a layer as such an array: `axes` become the extents h, w, i, o, and `shape` the
 * shape that PyTorch gives it. `flattened` is the order of the layer's input. */
void cn_channels_first_shape(const cn_layer *layer, int k, const cn_shape *flattened, int axes[4],
                             cn_shape *shape);

#endif

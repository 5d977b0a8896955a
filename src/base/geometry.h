/* geometry.h - the sizes of a convolution or a pooling, and nothing of how it is computed. */
#ifndef CN_GEOMETRY_H
#define CN_GEOMETRY_H

#include "base/base.h"

/* ---- windows (geometry.c) */

/*
 * A window sliding over an image, along both axes: [0] vertical, [1] horizontal. The output's
 * element i looks at the input's elements i stride - before + u dilation, u = 0 .. kernel - 1.
 */
typedef struct cn_window {
    int in[2], kernel[2], stride[2], before[2], after[2], out[2];
    int dilation[2]; /* 0 stands for 1 */
} cn_window;

/* The elements from the first that a window sees to the last: (kernel - 1) dilation + 1. */
int64_t cn_window_extent(const cn_window *window, int axis);

/*
 * Fills in out, and with CN_PADDING_SAME before and after, from in, kernel, stride and, with CN_PADDING_VALID,
 * before and after. The one place where an output's size is computed:
 *     out = floor((in + before + after - extent) / stride) + 1
 * `what` names the layer in errors: a kernel that does not fit, a stride below 1, a negative pad.
 */
cn_status cn_window_fit(cn_window *window, cn_padding padding, const char *what, cn_error *err);

/* ---- problems */

/*
 * x (m, h, w, c), w (fh, fw, c / groups, oc), y (m, oh, ow, oc):
 *
 *     y[i, p, q, k] = b[k] + sum over u, v, j of
 *                     x[i, p sh + u dilation_h - pt, q sw + v dilation_w - pl, g c / groups + j]
 *                     w[u, v, j, k]
 *
 * where x counts as zero outside the image, and g = k / (oc / groups) is the group of channel k.
 * Every member but pt and pl is at least 1. A dense layer is the 1 x 1 convolution of images of one
 * pixel. For pooling oc = c, and dilation and groups are not read.
 */
typedef struct cn_conv_problem {
    int m, h, w, c;
    int fh, fw, sh, sw, pt, pl; /* filter, stride, zeros above and to the left */
    int oh, ow, oc;
    int dilation_h, dilation_w, groups;
} cn_conv_problem;

#endif

/* geometry.c - sliding windows: output sizes and SAME padding. */
#include "base/geometry.h"

#include <stdio.h>

/* TensorFlow's SAME: out = ceil(in / stride); what the windows reach beyond the image is padded,
 * half before (rounded down), the rest after. */
static void pad_same(cn_window *w, int axis)
{
    int out = (w->in[axis] - 1) / w->stride[axis] + 1;
    int64_t total = (int64_t)(out - 1) * w->stride[axis] + cn_window_extent(w, axis) - w->in[axis];
    w->before[axis] = total > 0 ? (int)(total / 2) : 0;
    w->after[axis] = total > 0 ? (int)(total - total / 2) : 0;
}

int64_t cn_window_extent(const cn_window *w, int axis)
{
    int dilation = w->dilation[axis] ? w->dilation[axis] : 1;
    return (int64_t)(w->kernel[axis] - 1) * dilation + 1;
}

static cn_status does_not_fit(const cn_window *w, int axis, int64_t padded, const char *what,
                              cn_error *err)
{
    char dilated[64] = "";
    if (cn_window_extent(w, axis) > w->kernel[axis])
        snprintf(dilated, sizeof dilated, " with dilation %d x %d", w->dilation[0], w->dilation[1]);
    return cn_fail(err, CN_ERR_SHAPE,
                   "%s: kernel %d x %d%s does not fit a %d x %d input padded to %lld %s", what,
                   w->kernel[0], w->kernel[1], dilated, w->in[0], w->in[1], (long long)padded,
                   axis ? "columns" : "rows");
}

cn_status cn_window_fit(cn_window *w, cn_padding padding, const char *what, cn_error *err)
{
    if (padding != CN_PADDING_VALID && padding != CN_PADDING_SAME)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: unknown padding %d", what, (int)padding);
    for (int axis = 0; axis < 2; axis++) {
        if (w->kernel[axis] < 1)
            return cn_fail(err, CN_ERR_ARGUMENT, "%s: kernel %d x %d, expected at least 1 x 1",
                           what, w->kernel[0], w->kernel[1]);
        if (w->stride[axis] < 1)
            return cn_fail(err, CN_ERR_ARGUMENT, "%s: stride %d x %d, expected at least 1 x 1",
                           what, w->stride[0], w->stride[1]);
        if (w->dilation[axis] < 0)
            return cn_fail(err, CN_ERR_ARGUMENT, "%s: dilation %d x %d, expected at least 1 x 1",
                           what, w->dilation[0], w->dilation[1]);
        if (cn_window_extent(w, axis) > INT32_MAX)
            return cn_fail(err, CN_ERR_SHAPE, "%s: a kernel that reaches over %lld elements", what,
                           (long long)cn_window_extent(w, axis));
        if (w->before[axis] < 0 || w->after[axis] < 0)
            return cn_fail(err, CN_ERR_ARGUMENT, "%s: pad %d, expected at least 0", what,
                           w->before[axis] < 0 ? w->before[axis] : w->after[axis]);
        if (padding == CN_PADDING_SAME) pad_same(w, axis);
        int64_t padded = (int64_t)w->in[axis] + w->before[axis] + w->after[axis];
        if (padded > INT32_MAX)
            return cn_fail(err, CN_ERR_SHAPE, "%s: a padded side of %lld elements is too long",
                           what, (long long)padded);
        if (cn_window_extent(w, axis) > padded) return does_not_fit(w, axis, padded, what, err);
        w->out[axis] = (int)((padded - cn_window_extent(w, axis)) / w->stride[axis]) + 1;
    }
    return CN_OK;
}

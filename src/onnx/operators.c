/* operators.c - see operators.h. */
#include "onnx/operators.h"

#include <limits.h>
#include <string.h>

/* ---- windows */

cn_status cn_onnx_axes_read(cn_importer *im, const char *name, int axes, int otherwise, int *out)
{
    int64_t values[2];
    const int count = cn_onnx_get_ints(im->node, name, values, 2);
    out[0] = out[1] = otherwise;
    if (axes == 1) out[0] = strcmp(name, "output_padding") == 0 ? 0 : 1;
    if (count == 0) return CN_OK;
    if (count != axes)
        return cn_import_fail(im, CN_ERR_FORMAT, "%s: expected %d numbers", name, axes);
    for (int k = 0; k < axes; k++) {
        if (values[k] < 0 || values[k] > INT_MAX / 2)
            return cn_import_fail(im, CN_ERR_FORMAT, "%s: %lld", name, (long long)values[k]);
        out[2 - axes + k] = (int)values[k];
    }
    return CN_OK;
}

static cn_status read_pads(cn_importer *im, cn_onnx_window *w)
{
    int64_t values[4];
    const int count = cn_onnx_get_ints(im->node, "pads", values, 4), first = 2 - w->axes;
    if (count == 0) return CN_OK;
    if (count != 2 * w->axes)
        return cn_import_fail(im, CN_ERR_FORMAT, "pads: expected %d numbers", 2 * w->axes);
    for (int k = 0; k < w->axes; k++)
        for (int side = 0; side < 2; side++) {
            const int64_t pad = values[side * w->axes + k];
            if (pad < 0 || pad > INT_MAX / 4)
                return cn_import_fail(im, CN_ERR_UNSUPPORTED, "pads: %lld", (long long)pad);
            w->pads[2 * side + first + k] = (int)pad;
        }
    return CN_OK;
}

/* auto_pad's SAME: as many outputs as strides begin in the input. */
static void pad_same(cn_onnx_window *w, int axis, int n, bool lower)
{
    const int64_t extent = (int64_t)(w->kernel[axis] - 1) * w->dilation[axis] + 1;
    const int64_t out = ((int64_t)n - 1) / w->stride[axis] + 1;
    int64_t total = (out - 1) * w->stride[axis] + extent - n;
    if (total < 0) total = 0;
    w->pads[axis] = (int)(lower ? total - total / 2 : total / 2);
    w->pads[2 + axis] = (int)(total - w->pads[axis]);
}

/* The size of the output, with ceil_mode also where the last window is not whole, but not where it
 * would begin beyond the input and the padding before it. */
static cn_status find_out(cn_importer *im, cn_onnx_window *w, int axis, int n)
{
    const int64_t s = w->stride[axis];
    const int64_t extent = (int64_t)(w->kernel[axis] - 1) * w->dilation[axis] + 1;
    const int64_t padded = (int64_t)n + w->pads[axis] + w->pads[2 + axis];
    const bool ceil = cn_onnx_get_int(im->node, "ceil_mode", 0) != 0;
    int64_t room = padded - extent, out;
    if (room < 0 && !(ceil && room + s > 0))
        return cn_import_fail(im, CN_ERR_FORMAT, "a window of %lld over %lld elements",
                              (long long)extent, (long long)padded);
    out = ceil ? (room + s - 1) / s + 1 : room / s + 1;
    if (ceil && out > 1 && (out - 1) * s >= (int64_t)n + w->pads[axis]) out--;
    const int64_t missing = (out - 1) * s + extent - padded;
    w->extra[axis] = missing > 0 ? (int)missing : 0;
    w->out[axis] = (int)out;
    return CN_OK;
}

cn_status cn_onnx_window_read(cn_importer *im, const int shape[3], int axes, const int64_t *kernel,
                              cn_onnx_window *w)
{
    *w = (cn_onnx_window){.axes = axes};
    cn_status status = cn_onnx_axes_read(im, "kernel_shape", axes, 0, w->kernel);
    if (status == CN_OK) status = cn_onnx_axes_read(im, "strides", axes, 1, w->stride);
    if (status == CN_OK) status = cn_onnx_axes_read(im, "dilations", axes, 1, w->dilation);
    if (status == CN_OK) status = read_pads(im, w);
    if (status != CN_OK) return status;
    for (int k = 2 - axes; k < 2; k++) {
        if (kernel && w->kernel[k] == 0) w->kernel[k] = (int)kernel[k - 2 + axes];
        if (w->kernel[k] < 1 || w->stride[k] < 1 || w->dilation[k] < 1 ||
            (kernel && w->kernel[k] != kernel[k - 2 + axes]) ||
            ((int64_t)w->kernel[k] - 1) * w->dilation[k] > INT_MAX / 4)
            return cn_import_fail(im, CN_ERR_FORMAT, "kernel %d, stride %d, dilation %d",
                                  w->kernel[k], w->stride[k], w->dilation[k]);
    }
    const bool upper = cn_onnx_get_is(im->node, "auto_pad", "SAME_UPPER", "NOTSET");
    const bool lower = cn_onnx_get_is(im->node, "auto_pad", "SAME_LOWER", "NOTSET");
    if (cn_onnx_get_is(im->node, "auto_pad", "VALID", "NOTSET")) memset(w->pads, 0, sizeof w->pads);
    w->out[0] = 1;
    for (int k = 2 - axes; k < 2 && status == CN_OK; k++) {
        if (upper || lower) pad_same(w, k, shape[k], lower);
        status = find_out(im, w, k, shape[k]);
    }
    return status;
}

/* ---- outputs */

void cn_give(cn_importer *im, int i, cn_node node, const cn_layout *layout)
{
    cn_value *y = cn_import_output(im, i);
    if (!y) return;
    y->kind = CN_VALUE_TENSOR;
    y->node = node;
    y->layout = *layout;
}

void cn_give_pixels(cn_importer *im, int axes, cn_node node, int h, int w, int c)
{
    cn_layout l;
    if (axes == 2)
        cn_layout_set_image(&l, c, h, w);
    else
        cn_layout_set(&l, 2, (int[]){c, w}, (int[]){1, 0});
    cn_give(im, 0, node, &l);
}

/* ---- axes */

int cn_logical_axis(const cn_value *v, int64_t axis)
{
    const int rank = v->layout.rank + 1;
    if (axis < 0) axis += rank;
    return axis > 0 && axis < rank ? (int)axis - 1 : -1;
}

cn_status cn_axes_read(cn_importer *im, const cn_value *v, int i, bool chosen[CN_ONNX_RANK])
{
    int64_t axes[CN_ONNX_RANK];
    int count;
    cn_status status = cn_import_ints(im, i, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int k = 0; k < v->layout.rank; k++) chosen[k] = false;
    if (count == 0) return cn_import_unsupported(im, "along the examples of a batch");
    for (int k = 0; k < count; k++) {
        const int axis = cn_logical_axis(v, axes[k]);
        if (axis < 0) return cn_import_unsupported(im, "along the examples of a batch");
        chosen[axis] = true;
    }
    return CN_OK;
}

cn_status cn_value_trailing(cn_importer *im, cn_value *v, const bool *chosen, cn_node *node)
{
    const cn_layout *l = &v->layout;
    int order[CN_AXES], count = 0, last = 1;
    bool own[CN_AXES] = {false};
    for (int k = 0; k < l->rank; k++)
        for (int j = 0; chosen[k] && j < l->parts[k]; j++) own[l->part[k][j]] = true;
    for (int at = 0; at < l->axes; at++)
        if (!own[at]) order[count++] = at;
    for (int k = 0; k < l->rank; k++) {
        for (int j = 0; chosen[k] && j < l->parts[k]; j++) order[count++] = l->part[k][j];
        if (chosen[k]) last *= l->dims[k];
    }
    cn_status status = cn_value_permute(im, v, order);
    if (status != CN_OK) return status;
    const cn_shape *out = &im->model->layers[v->node].out;
    *node = v->node;
    if (out->n[out->rank - 1] == last) return CN_OK;
    const int rest = (int)(cn_layout_count(&v->layout) / (size_t)last);
    return cn_value_image(im, v, 1, rest, last, node);
}

cn_status cn_value_channels(cn_importer *im, cn_value *v, int axis, cn_node *node)
{
    bool chosen[CN_ONNX_RANK] = {false};
    chosen[axis] = true;
    return cn_value_trailing(im, v, chosen, node);
}

cn_status cn_fill_channels(cn_importer *im, cn_node node, const char *role, cn_onnx_constant *c,
                           int channels)
{
    cn_fill *fill;
    if (c->count != (size_t)channels && c->count != 1)
        return cn_import_fail(im, CN_ERR_FORMAT, "%zu numbers for %d channels", c->count, channels);
    cn_status status = cn_import_fill(im, node, role, c, &fill);
    if (status == CN_OK) cn_fill_axis(fill, (size_t)channels, c->count == 1 ? 0 : 1);
    return status;
}

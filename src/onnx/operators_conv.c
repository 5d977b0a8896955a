/*
 * operators_conv.c - convolutions and products of matrices.
 *
 * A weight of (M, C / groups, kH, kW) becomes (kH, kW, C / groups, M), one of a transposed
 * convolution (C, M / groups, kH, kW) becomes (kH, kW, M / groups, C). The rows of a dense layer's
 * weight are put into the order in which its input's elements lie in memory: after a Flatten that
 * is (H, W, C), where the file has (C, H, W).
 */
#include "onnx/operators.h"

#include <limits.h>
#include <string.h>

/* Input i as a constant that is not loaded; NULL where it is left out. */
static cn_status weight_of(cn_importer *im, int i, int rank, cn_onnx_constant **c)
{
    const cn_value *v = cn_import_input(im, i);
    *c = NULL;
    if (!v) return CN_OK;
    if (v->kind != CN_VALUE_CONSTANT || !v->constant->real)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "input %d is no constant of fractions", i);
    *c = v->constant;
    if (rank > 0 && (*c)->rank != rank)
        return cn_import_fail(im, CN_ERR_FORMAT, "input %d has rank %d, expected %d", i, (*c)->rank,
                              rank);
    for (int k = 0; k < (*c)->rank; k++)
        if ((*c)->dims[k] < 1)
            return cn_import_fail(im, CN_ERR_FORMAT, "input %d has no elements", i);
    return CN_OK;
}

/* What a convolution and a transposed one have in common, read and checked. */
typedef struct conv {
    int axes, shape[3], groups;
    cn_node x;
    cn_onnx_constant *w, *b;
    cn_onnx_window window;
} conv;

static cn_status read_conv(cn_importer *im, conv *c, bool transposed)
{
    const cn_value *v;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status != CN_OK) return status;
    c->axes = v->layout.rank - 1;
    status = cn_value_pixels(im, v, &c->x, c->shape);
    if (status == CN_OK) status = weight_of(im, 1, c->axes + 2, &c->w);
    if (status == CN_OK) status = weight_of(im, 2, 1, &c->b);
    if (status == CN_OK && !c->w) status = cn_import_malformed(im, "no weights");
    if (status != CN_OK) return status;
    const int64_t groups = cn_onnx_get_int(im->node, "group", 1), channels = c->shape[2];
    const int64_t *dims = c->w->dims;
    const int64_t seen = transposed ? dims[0] : dims[1] * groups;
    const int64_t filters = transposed ? dims[1] * groups : dims[0];
    if (groups < 1 || groups > channels || channels % groups || seen != channels ||
        filters > INT_MAX || filters % groups || dims[1] > INT_MAX)
        return cn_import_fail(
            im, CN_ERR_FORMAT, "weights of %lld x %lld for %lld channels in %lld groups",
            (long long)dims[0], (long long)dims[1], (long long)channels, (long long)groups);
    if (c->b && c->b->dims[0] != filters)
        return cn_import_fail(im, CN_ERR_FORMAT, "a bias of %lld for %lld filters",
                              (long long)c->b->dims[0], (long long)filters);
    for (int k = 2; k < c->w->rank; k++)
        if (dims[k] > INT_MAX / 4) return cn_import_malformed(im, "a kernel too large");
    c->groups = (int)groups;
    return CN_OK;
}

/* (kH, kW, second, first) from (first, second, kH, kW). */
static cn_status fill_conv(cn_importer *im, const conv *c, cn_node node)
{
    cn_fill *fill;
    cn_status status = cn_import_fill(im, node, "weight", c->w, &fill);
    if (status != CN_OK) return status;
    size_t strides[CN_ONNX_RANK];
    cn_constant_strides(c->w, strides);
    for (int k = 2; k < c->w->rank; k++) cn_fill_axis(fill, (size_t)c->w->dims[k], strides[k]);
    cn_fill_axis(fill, (size_t)c->w->dims[1], strides[1]);
    cn_fill_axis(fill, (size_t)c->w->dims[0], strides[0]);
    return c->b ? cn_fill_channels(im, node, "bias", c->b, (int)c->b->dims[0]) : CN_OK;
}

static cn_status import_conv(cn_importer *im, const cn_graph_node *node)
{
    conv c = {.axes = 0};
    cn_node y;
    (void)node;
    cn_status status = read_conv(im, &c, false);
    if (status == CN_OK)
        status = cn_onnx_window_read(im, c.shape, c.axes, c.w->dims + 2, &c.window);
    if (status != CN_OK) return status;
    const cn_onnx_window *w = &c.window;
    const int filters = (int)c.w->dims[0];
    const bool depthwise = c.groups > 1 && c.groups == c.shape[2];
    cn_conv2d_opts o = {.filters = filters,
                        .kernel = {w->kernel[0], w->kernel[1]},
                        .stride = {w->stride[0], w->stride[1]},
                        .dilation = {w->dilation[0], w->dilation[1]},
                        .groups = c.groups,
                        .no_bias = !c.b};
    cn_depthwise_conv2d_opts d = {.kernel = {w->kernel[0], w->kernel[1]},
                                  .stride = {w->stride[0], w->stride[1]},
                                  .dilation = {w->dilation[0], w->dilation[1]},
                                  .depth_multiplier = filters / c.groups,
                                  .no_bias = !c.b};
    memcpy(o.pads, w->pads, sizeof o.pads);
    memcpy(d.pads, w->pads, sizeof d.pads);
    status = depthwise ? cn_import_add(im, "depthwise_conv2d", &d, &c.x, 1, c.w, &y)
                       : cn_import_add(im, "conv2d", &o, &c.x, 1, c.w, &y);
    if (status == CN_OK) status = fill_conv(im, &c, y);
    if (status == CN_OK) cn_give_pixels(im, c.axes, y, w->out[0], w->out[1], filters);
    return status;
}

/* ---- transposed */

/* The padding that makes the output as large as output_shape, or SAME, asks for. */
static cn_status fit_output(cn_importer *im, const conv *c, int output_padding[2],
                            cn_onnx_window *w)
{
    int wanted[2];
    const bool upper = cn_onnx_get_is(im->node, "auto_pad", "SAME_UPPER", "NOTSET");
    const bool lower = cn_onnx_get_is(im->node, "auto_pad", "SAME_LOWER", "NOTSET");
    cn_status status = cn_onnx_axes_read(im, "output_shape", c->axes, 0, wanted);
    if (status != CN_OK) return status;
    for (int k = 2 - c->axes; k < 2; k++) {
        const int64_t n = c->shape[k], s = w->stride[k];
        const int64_t whole = (n - 1) * s + (int64_t)(w->kernel[k] - 1) * w->dilation[k] + 1;
        const bool given = cn_onnx_attribute_find(im->node, "output_shape") != NULL;
        if (!given && !upper && !lower) continue;
        const int64_t out = given ? wanted[k] : n * s;
        const int64_t total = whole + output_padding[k] - out;
        if (out < 1 || out > INT_MAX) return cn_import_malformed(im, "an output size");
        if (total < 0) output_padding[k] -= (int)total;
        const int64_t cut = total < 0 ? 0 : total;
        w->pads[k] = (int)(upper ? cut / 2 : cut - cut / 2);
        w->pads[2 + k] = (int)(cut - w->pads[k]);
    }
    return CN_OK;
}

static cn_status import_conv_transpose(cn_importer *im, const cn_graph_node *node)
{
    conv c = {.axes = 0};
    int padding[2], out[2] = {1, 1};
    const int whole[3] = {INT_MAX / 2, INT_MAX / 2, 1}; /* the window is over the output */
    cn_node y;
    (void)node;
    cn_status status = read_conv(im, &c, true);
    if (status == CN_OK) status = cn_onnx_window_read(im, whole, c.axes, c.w->dims + 2, &c.window);
    if (status == CN_OK) status = cn_onnx_axes_read(im, "output_padding", c.axes, 0, padding);
    if (status == CN_OK) status = fit_output(im, &c, padding, &c.window);
    if (status != CN_OK) return status;
    const cn_onnx_window *w = &c.window;
    cn_conv_transpose2d_opts o = {.filters = (int)c.w->dims[1] * c.groups,
                                  .kernel = {w->kernel[0], w->kernel[1]},
                                  .stride = {w->stride[0], w->stride[1]},
                                  .dilation = {w->dilation[0], w->dilation[1]},
                                  .groups = c.groups,
                                  .no_bias = !c.b};
    memcpy(o.pads, w->pads, sizeof o.pads);
    if (c.axes == 1) o.kernel[0] = o.stride[0] = o.dilation[0] = 1;
    /* A zero second would stand for the first: then the padding moves to the columns' end. */
    for (int k = 0; k < 2; k++) {
        o.output_padding[k] = padding[k];
        if (padding[k] >= o.stride[k])
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "output padding %d with a stride of %d",
                                  padding[k], o.stride[k]);
    }
    if (o.output_padding[0] && !o.output_padding[1]) {
        if (o.pads[2] < o.output_padding[0])
            return cn_import_unsupported(im, "output padding of rows alone");
        o.pads[2] -= o.output_padding[0];
        o.output_padding[0] = 0;
    }
    status = cn_import_add(im, "conv_transpose2d", &o, &c.x, 1, c.w, &y);
    if (status == CN_OK) status = fill_conv(im, &c, y);
    if (status != CN_OK) return status;
    for (int k = 0; k < 2; k++) out[k] = im->model->layers[y].out.n[k];
    cn_give_pixels(im, c.axes, y, out[0], out[1], o.filters);
    return CN_OK;
}

/* ---- matrices */

/* A weight (K, N), or (N, K), whose rows are put into the order of the value's memory; all of its
 * axes belong to the one logical axis. */
static cn_status fill_rows(cn_importer *im, cn_node node, cn_onnx_constant *w, const cn_layout *l,
                           size_t row, size_t column, size_t n, float factor)
{
    cn_fill *fill;
    size_t strides[CN_AXES] = {0}, stride = row;
    cn_status status = cn_import_fill(im, node, "weight", w, &fill);
    if (status != CN_OK) return status;
    fill->factor = factor;
    for (int j = l->parts[0] - 1; j >= 0; j--) {
        strides[l->part[0][j]] = stride;
        stride *= (size_t)l->size[l->part[0][j]];
    }
    for (int k = 0; k < l->axes; k++) cn_fill_axis(fill, (size_t)l->size[k], strides[k]);
    cn_fill_axis(fill, n, column);
    return CN_OK;
}

/* The bias of a Gemm: (N), (1, N), or one number for all. */
static cn_status fill_bias(cn_importer *im, cn_node node, cn_onnx_constant *c, int n, float beta)
{
    cn_status status = cn_fill_channels(im, node, "bias", c, n);
    if (status == CN_OK) im->fills[im->fill_count - 1].factor = beta;
    return status;
}

static cn_status import_gemm(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    cn_onnx_constant *w, *b;
    cn_node x, y;
    cn_layout l;
    const bool turned = cn_onnx_get_int(node, "transB", 0) != 0;
    cn_status status = cn_import_tensor(im, 0, 1, &given);
    if (status == CN_OK) status = weight_of(im, 1, 2, &w);
    if (status == CN_OK) status = weight_of(im, 2, 0, &b);
    if (status != CN_OK) return status;
    if (!w) return cn_import_malformed(im, "no weights");
    if (cn_onnx_get_int(node, "transA", 0)) return cn_import_unsupported(im, "transA");
    const int64_t k = w->dims[turned], n = w->dims[!turned];
    if (k != given->layout.dims[0] || n > INT_MAX)
        return cn_import_fail(im, CN_ERR_FORMAT, "weights of %lld rows for %d elements",
                              (long long)k, given->layout.dims[0]);
    cn_value v = *given;
    if (v.layout.axes + 1 > CN_FILL_AXES) status = cn_value_order(im, &v, (int[]){0});
    if (status == CN_OK) status = cn_value_row(im, &v, &x);
    const cn_dense_opts o = {.units = (int)n, .no_bias = !b};
    if (status == CN_OK) status = cn_import_add(im, "dense", &o, &x, 1, w, &y);
    if (status == CN_OK)
        status = fill_rows(im, y, w, &v.layout, turned ? 1 : (size_t)n, turned ? (size_t)k : 1,
                           (size_t)n, cn_onnx_get_float(node, "alpha", 1));
    if (status == CN_OK && b)
        status = fill_bias(im, y, b, (int)n, cn_onnx_get_float(node, "beta", 1));
    if (status != CN_OK) return status;
    cn_layout_set(&l, 1, (int[]){(int)n}, (int[]){0});
    cn_give(im, 0, y, &l);
    return CN_OK;
}

/* A product along one axis of several is a convolution by a 1 x 1 kernel: element (i, j) of the
 * matrix, strides apart, is what input i of k gives to output j of n. */
static cn_status matmul_pixels(cn_importer *im, cn_value v, int axis, cn_onnx_constant *w, int k,
                               int n, const size_t strides[2])
{
    cn_node x, y;
    cn_fill *fill;
    cn_status status = cn_value_channels(im, &v, axis, &x);
    const cn_conv2d_opts o = {.filters = n, .kernel = {1, 1}, .no_bias = true};
    if (status == CN_OK && im->model->layers[x].out.rank != 3)
        status = cn_value_image(im, &v, 1, (int)(cn_layout_count(&v.layout) / (size_t)k), k, &x);
    if (status == CN_OK) status = cn_import_add(im, "conv2d", &o, &x, 1, w, &y);
    if (status == CN_OK) status = cn_import_fill(im, y, "weight", w, &fill);
    if (status != CN_OK) return status;
    cn_fill_axis(fill, (size_t)k, strides[0]);
    cn_fill_axis(fill, (size_t)n, strides[1]);
    cn_layout *l = &v.layout;
    l->axes -= l->parts[axis];
    l->parts[axis] = n > 1;
    l->part[axis][0] = l->axes;
    if (n > 1) l->size[l->axes++] = n;
    l->dims[axis] = n;
    cn_give(im, 0, y, l);
    return CN_OK;
}

/* The matrix is the first of both: it is multiplied with the columns of the second. */
static cn_status matmul_left(cn_importer *im, cn_onnx_constant *w)
{
    const cn_value *v;
    cn_status status = cn_import_tensor(im, 1, -1, &v);
    if (status != CN_OK) return status;
    const int rank = v->layout.rank, axis = rank - 2;
    if (rank < 2 || w->rank != 2 || w->dims[1] != v->layout.dims[axis] || w->dims[0] < 1 ||
        w->dims[0] > INT_MAX)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a constant of rank %d on the left", w->rank);
    status = cn_constant_load(im, w);
    if (status != CN_OK) return status;
    if (cn_is_averaging(w, false)) return cn_import_row_means(im, v, (int)w->dims[0]);
    return matmul_pixels(im, *v, axis, w, (int)w->dims[1], (int)w->dims[0],
                         (size_t[]){1, (size_t)w->dims[1]});
}

static cn_status import_matmul(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v, *first = cn_import_input(im, 0);
    cn_onnx_constant *w;
    bool done = false;
    (void)node;
    if (first && first->kind == CN_VALUE_CONSTANT && first->constant->real)
        return matmul_left(im, first->constant);
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = weight_of(im, 1, 2, &w);
    if (status != CN_OK) return status;
    const int rank = v->layout.rank;
    if (!w || rank < 1 || w->dims[0] != v->layout.dims[rank - 1] || w->dims[1] > INT_MAX)
        return cn_import_malformed(im, "weights of another number of rows");
    if (rank == 1) return import_gemm(im, im->node);
    status = cn_import_column_means(im, v, w, &done);
    if (done || status != CN_OK) return status;
    return matmul_pixels(im, *v, rank - 1, w, (int)w->dims[0], (int)w->dims[1],
                         (size_t[]){(size_t)w->dims[1], 1});
}

const cn_operator cn_operators_conv[] = {
    {"Conv", import_conv}, {"ConvTranspose", import_conv_transpose},
    {"Gemm", import_gemm}, {"MatMul", import_matmul},
    {NULL, NULL},
};

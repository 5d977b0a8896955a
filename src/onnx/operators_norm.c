/* operators_norm.c - normalizations, and functions along an axis. */
#include "onnx/operators.h"

#include <string.h>

/* Input i as a constant that need not be loaded; an error where it is left out. */
static cn_status parameter(cn_importer *im, int i, cn_onnx_constant **c)
{
    const cn_value *v = cn_import_input(im, i);
    if (!v || v->kind != CN_VALUE_CONSTANT || !v->constant->real)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "input %d is no constant of fractions", i);
    *c = v->constant;
    return CN_OK;
}

/* A parameter of the normalized axes' shape, in the order of memory: they are its last axes. */
static cn_status fill_trailing(cn_importer *im, cn_node node, const char *role, cn_onnx_constant *c,
                               const cn_layout *l, int axis)
{
    cn_fill *fill;
    size_t strides[CN_AXES] = {0}, stride = 1, count = 1;
    bool own[CN_AXES] = {false};
    for (int k = l->rank - 1; k >= axis; k--)
        for (int j = l->parts[k] - 1; j >= 0; j--) {
            const int at = l->part[k][j];
            strides[at] = stride;
            stride *= (size_t)l->size[at];
            own[at] = true;
        }
    cn_status status = cn_import_fill(im, node, role, c, &fill);
    if (status != CN_OK) return status;
    for (int at = 0; at < l->axes; at++) count += own[at];
    if (c->count == 1 && stride != 1) {
        cn_fill_axis(fill, stride, 0);
        return CN_OK;
    }
    if (count > CN_FILL_AXES || c->count != stride)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "%s of %zu numbers", role, c->count);
    for (int at = 0; at < l->axes; at++)
        if (own[at]) cn_fill_axis(fill, (size_t)l->size[at], strides[at]);
    if (fill->axes == 0) cn_fill_axis(fill, 1, 0);
    return CN_OK;
}

static cn_status import_batch_norm(cn_importer *im, const cn_graph_node *node)
{
    static const char *const roles[] = {"weight", "bias", "running_mean", "running_var"};
    const cn_value *given;
    cn_onnx_constant *c[4];
    cn_node x, y;
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    for (int i = 0; i < 4 && status == CN_OK; i++) status = parameter(im, i + 1, &c[i]);
    if (status != CN_OK) return status;
    if (given->layout.rank < 1) return cn_import_malformed(im, "no channels");
    for (int k = 1; k < node->output_count; k++)
        if (cn_import_gives(im, k)) return cn_import_unsupported(im, "its statistics as outputs");
    cn_value v = *given;
    const double momentum = cn_onnx_get_decimal(node, "momentum", 0.9f);
    const cn_batch_norm_opts o = {.momentum = momentum > 0 && momentum < 1 ? momentum : 0.9,
                                  .epsilon = cn_onnx_get_decimal(node, "epsilon", 1e-5f)};
    /* Without pixels nothing moves: each element has numbers of its own. */
    const bool row = v.layout.rank == 1;
    status = row ? cn_value_row(im, &v, &x) : cn_value_channels(im, &v, 0, &x);
    if (status == CN_OK) status = cn_import_add(im, "batch_norm", &o, &x, 1, c[0], &y);
    for (int i = 0; i < 4 && status == CN_OK; i++)
        status = row ? fill_trailing(im, y, roles[i], c[i], &v.layout, 0)
                     : cn_fill_channels(im, y, roles[i], c[i], v.layout.dims[0]);
    if (status == CN_OK) cn_give(im, 0, y, &v.layout);
    return status;
}

/* ---- over groups of channels */

/* Instance norm is group norm with a group for every channel. What a group has beside pixels, such
 * as channels that a Reshape put together, lies after the groups' axis where it comes from an
 * image: then nothing moves. */
static cn_status group_norm(cn_importer *im, int groups, int channels, cn_onnx_constant *scale,
                            cn_onnx_constant *shift)
{
    const cn_value *given;
    cn_node x, y;
    cn_fill *fill;
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status != CN_OK) return status;
    cn_value v = *given;
    const cn_group_norm_opts o = {.groups = groups,
                                  .epsilon = cn_onnx_get_decimal(im->node, "epsilon", 1e-5f)};
    if (groups < 1 || channels % groups)
        return cn_import_fail(im, CN_ERR_FORMAT, "%d groups of %d channels", groups, channels);
    status = cn_value_channels(im, &v, 0, &x);
    if (status == CN_OK && im->model->layers[x].out.rank != 3)
        status = cn_value_image(im, &v, 1, (int)(cn_layout_count(&v.layout) / (size_t)channels),
                                channels, &x);
    if (status == CN_OK) status = cn_import_add(im, "group_norm", &o, &x, 1, scale, &y);
    for (int i = 0; i < 2 && status == CN_OK; i++) {
        cn_onnx_constant *c = i ? shift : scale;
        const char *role = i ? "bias" : "weight";
        if (c->count != (size_t)groups || groups == channels) {
            status = cn_fill_channels(im, y, role, c, channels);
            continue;
        }
        status = cn_import_fill(im, y, role, c, &fill); /* one number per group */
        if (status == CN_OK) cn_fill_axis(fill, (size_t)groups, 1);
        if (status == CN_OK) cn_fill_axis(fill, (size_t)(channels / groups), 0);
    }
    if (status == CN_OK) cn_give(im, 0, y, &v.layout);
    return status;
}

static cn_status import_instance_norm(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    cn_onnx_constant *scale = NULL, *shift = NULL;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = parameter(im, 1, &scale);
    if (status == CN_OK) status = parameter(im, 2, &shift);
    if (status != CN_OK) return status;
    if (v->layout.rank < 1) return cn_import_malformed(im, "no channels");
    return group_norm(im, v->layout.dims[0], v->layout.dims[0], scale, shift);
}

static cn_status import_group_norm(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    cn_onnx_constant *scale = NULL, *shift = NULL;
    const int64_t groups = cn_onnx_get_int(node, "num_groups", 0);
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = parameter(im, 1, &scale);
    if (status == CN_OK) status = parameter(im, 2, &shift);
    if (status != CN_OK) return status;
    if (v->layout.rank < 1 || groups < 1 || groups > v->layout.dims[0])
        return cn_import_fail(im, CN_ERR_FORMAT, "%lld groups", (long long)groups);
    return group_norm(im, (int)groups, v->layout.dims[0], scale, shift);
}

/* ---- over the last axes */

/* The mean and 1 / sqrt(variance + epsilon) of each row, where something reads them: outputs 1 and 2.
 */
static cn_status give_statistics(cn_importer *im, const cn_value *x, const bool *chosen,
                                 double epsilon)
{
    cn_value mean, centered, y, power = {.kind = CN_VALUE_CONSTANT};
    if (!cn_import_gives(im, 1) && !cn_import_gives(im, 2)) return CN_OK;
    cn_status status = cn_import_mean(im, x, chosen, &mean);
    if (status == CN_OK) cn_give(im, 1, mean.node, &mean.layout);
    if (status != CN_OK || !cn_import_gives(im, 2)) return status;
    power.constant = cn_constant_new(im, true, 0, NULL);
    if (!power.constant) return im->err->status;
    power.constant->reals[0] = -0.5f;
    centered = y = mean;
    status = cn_import_binary(im, "subtract", x, &mean, &centered);
    if (status == CN_OK) status = cn_import_binary(im, "multiply", &centered, &centered, &y);
    if (status == CN_OK) status = cn_import_mean(im, &y, chosen, &y);
    if (status == CN_OK)
        status = cn_import_map(im, "shift", &(cn_shift_opts){.offset = epsilon}, &y, &y);
    if (status == CN_OK) status = cn_import_two(im, "power", &y, &power, &y);
    if (status == CN_OK) cn_give(im, 2, y.node, &y.layout);
    return status;
}

static cn_status import_layer_norm(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    cn_onnx_constant *scale = NULL, *shift = NULL;
    cn_node x, y;
    bool chosen[CN_ONNX_RANK] = {false};
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status == CN_OK) status = parameter(im, 1, &scale);
    if (status == CN_OK && cn_import_input(im, 2)) status = parameter(im, 2, &shift);
    if (status != CN_OK) return status;
    cn_value v = *given;
    const int axis = cn_logical_axis(&v, cn_onnx_get_int(node, "axis", -1));
    if (axis < 0) return cn_import_unsupported(im, "over the examples of a batch");
    for (int k = axis; k < v.layout.rank; k++) chosen[k] = true;
    cn_layer_norm_opts o = {.epsilon = cn_onnx_get_decimal(node, "epsilon", 1e-5f),
                            .no_shift = !shift};
    /* Over all of an example, in whatever order it lies. */
    o.all_axes = axis == 0 && im->model->layers[v.node].out.rank == 3;
    x = v.node;
    if (axis > 0) status = cn_value_trailing(im, &v, chosen, &x);
    if (status == CN_OK) status = cn_import_add(im, "layer_norm", &o, &x, 1, scale, &y);
    if (status == CN_OK) status = fill_trailing(im, y, "weight", scale, &v.layout, axis);
    if (status == CN_OK && shift) status = fill_trailing(im, y, "bias", shift, &v.layout, axis);
    if (status == CN_OK) cn_give(im, 0, y, &v.layout);
    return status == CN_OK ? give_statistics(im, given, chosen, o.epsilon) : status;
}

/* Before version 13 the axes from `axis` on are one, as if flattened. */
static cn_status import_softmax(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    cn_node x, y;
    const bool old = im->file->opset < 13;
    bool chosen[CN_ONNX_RANK] = {false};
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status != CN_OK) return status;
    cn_value v = *given;
    const int axis = cn_logical_axis(&v, cn_onnx_get_int(node, "axis", old ? 1 : -1));
    if (axis < 0) return cn_import_unsupported(im, "over the examples of a batch");
    for (int k = axis; k < (old ? v.layout.rank : axis + 1); k++) chosen[k] = true;
    status = cn_value_trailing(im, &v, chosen, &x);
    const char *type = cn_span_is(node->op, "LogSoftmax") ? "log_softmax" : "softmax";
    if (status == CN_OK) status = cn_import_add(im, type, NULL, &x, 1, NULL, &y);
    if (status == CN_OK) cn_give(im, 0, y, &v.layout);
    return status;
}

static cn_status import_lrn(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    cn_node x, y;
    const int64_t size = cn_onnx_get_int(node, "size", 0);
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status != CN_OK) return status;
    if (size < 1 || size > INT32_MAX || given->layout.rank < 1)
        return cn_import_fail(im, CN_ERR_FORMAT, "size %lld", (long long)size);
    cn_value v = *given;
    const cn_local_response_norm_opts o = {
        .size = (int)size,
        .alpha = cn_onnx_get_decimal(node, "alpha", 1e-4f),
        .beta = cn_onnx_get_decimal(node, "beta", 0.75f),
        .bias = cn_onnx_get_decimal(node, "bias", 1),
    };
    status = cn_value_channels(im, &v, 0, &x);
    if (status == CN_OK) status = cn_import_add(im, "local_response_norm", &o, &x, 1, NULL, &y);
    if (status == CN_OK) cn_give(im, 0, y, &v.layout);
    return status;
}

const cn_operator cn_operators_norm[] = {
    {"BatchNormalization", import_batch_norm},
    {"InstanceNormalization", import_instance_norm},
    {"GroupNormalization", import_group_norm},
    {"LayerNormalization", import_layer_norm},
    {"Softmax", import_softmax},
    {"LogSoftmax", import_softmax},
    {"LRN", import_lrn},
    {NULL, NULL},
};

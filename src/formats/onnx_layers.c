/*
 * onnx_layers.c - each type of layer as operators of ONNX, in ONNX's layout.
 *
 * One function per kind, and one row of `rows` per type. Images have their channels first, so the
 * last axis here is axis 1 there, as it is of values of rank 1.
 */
#include "formats/channels_first.h"
#include "formats/onnx_export.h"

#include <stdio.h>
#include <string.h>

/* ---- what they share */

typedef cn_onnx_place node;

/* "conv2d_1/flatten": a value or a node of the layer beside its own, and "conv2d_1.weight". */
const char *cn_onnx_inner_name(char name[CN_ONNX_NAME], const node *n, const char *last)
{
    snprintf(name, CN_ONNX_NAME, "%s/%s", n->layer->name, last);
    return name;
}

const char *cn_onnx_parameter_name(char name[CN_ONNX_NAME], const node *n, const char *role)
{
    const cn_layer *layer = n->layer;
    for (int k = 0; k < layer->parameter_count && n->g->named; k++)
        if (strcmp(layer->parameters[k].role, role) == 0) {
            layer = &n->g->named->layers[layer - n->g->model->layers];
            break;
        }
    snprintf(name, CN_ONNX_NAME, "%s.%s", layer->name, role);
    return name;
}

const char *cn_onnx_value_name(const cn_onnx_graph *g, cn_node i)
{
    return i == 0 ? g->source : g->model->layers[i].name;
}

/* The layer's own node, which reads x and makes its value. */
static size_t own_node(const node *n, const char *op, const char *x)
{
    return cn_onnx_node(n->g, op, n->layer->name, (const char *[]){x, NULL}, n->layer->name);
}

/* A node without attributes from x to y, both named. */
void cn_onnx_plain_node(const node *n, const char *op, const char *x, const char *y)
{
    cn_onnx_end(n->g, cn_onnx_node(n->g, op, y, (const char *[]){x, NULL}, y));
}

void cn_onnx_transpose(const node *n, const char *x, const char *y, const int order[4])
{
    size_t begin = cn_onnx_node(n->g, "Transpose", y, (const char *[]){x, NULL}, y);
    cn_onnx_ints(n->g, "perm", 4, order);
    cn_onnx_end(n->g, begin);
}

const int cn_onnx_channels_last[] = {0, 2, 3, 1}, cn_onnx_channels_first[] = {0, 3, 1, 2};

/* Writes parameter k as an initializer of its own name. */
void cn_onnx_write_parameter(const node *n, int k)
{
    const cn_layer_parameter *w = &n->layer->parameters[k];
    const float *values = n->g->model->block + w->offset;
    char name[CN_ONNX_NAME];
    int axes[4];
    cn_shape shape;
    cn_channels_first_shape(n->layer, k, n->g->order[n->layer->inputs[0]], axes, &shape);
    float *turned = cn_allocate(cn_shape_count(&shape), sizeof *turned, "weights", &n->g->error);
    if (!turned) return;
    cn_to_channels_first(axes, values, turned);
    cn_onnx_floats(n->g, cn_onnx_parameter_name(name, n, w->role), shape.rank, shape.n, turned);
    cn_release(turned);
}

/* Writes the parameter of this role, or in its place an array of this shape that holds the value,
 * where the layer has none. */
static void write_or_fill(const node *n, const char *role, const cn_shape *shape, float value)
{
    char name[CN_ONNX_NAME];
    for (int k = 0; k < n->layer->parameter_count; k++)
        if (strcmp(n->layer->parameters[k].role, role) == 0) {
            cn_onnx_write_parameter(n, k);
            return;
        }
    size_t count = cn_shape_count(shape);
    float *values = cn_allocate(count, sizeof *values, "weights", &n->g->error);
    if (!values) return;
    for (size_t i = 0; i < count; i++) values[i] = value;
    cn_onnx_floats(n->g, cn_onnx_parameter_name(name, n, role), shape->rank, shape->n, values);
    cn_release(values);
}

static void write_number(const node *n, const char *name, float value)
{
    cn_onnx_floats(n->g, name, 0, NULL, &value);
}

/* ---- convolutions and dense layers */

/* Opens the layer's node with x, its weights and, if there is one, its bias. */
static size_t node_with_weights(const node *n, const char *op, const char *x)
{
    char weight[CN_ONNX_NAME], bias[CN_ONNX_NAME];
    bool has_bias = n->layer->parameter_count > 1;
    for (int k = 0; k < n->layer->parameter_count; k++) cn_onnx_write_parameter(n, k);
    return cn_onnx_node(n->g, op, n->layer->name,
                        (const char *[]){x, cn_onnx_parameter_name(weight, n, "weight"),
                                         has_bias ? cn_onnx_parameter_name(bias, n, "bias") : NULL,
                                         NULL},
                        n->layer->name);
}

static void window_attributes(const node *n, const char *const name_of_kernel)
{
    const cn_window *w = &n->layer->window;
    const int pads[] = {w->before[0], w->before[1], w->after[0], w->after[1]};
    const int dilations[] = {w->dilation[0] ? w->dilation[0] : 1,
                             w->dilation[1] ? w->dilation[1] : 1};
    cn_onnx_ints(n->g, name_of_kernel, 2, w->kernel);
    cn_onnx_ints(n->g, "strides", 2, w->stride);
    cn_onnx_ints(n->g, "pads", 4, pads);
    if (dilations[0] != 1 || dilations[1] != 1) cn_onnx_ints(n->g, "dilations", 2, dilations);
}

static void convolution(const node *n)
{
    size_t begin = node_with_weights(n, "Conv", n->x);
    window_attributes(n, "kernel_shape");
    cn_onnx_int(n->g, "group", n->layer->groups);
    cn_onnx_end(n->g, begin);
}

/* Rows below and columns on the right that Z has more than the pads leave. */
static void transposed_convolution(const node *n)
{
    const cn_window *w = &n->layer->window;
    int more[2], pads[4];
    for (int axis = 0; axis < 2; axis++) {
        int full = (w->out[axis] - 1) * w->stride[axis] + (int)cn_window_extent(w, axis);
        more[axis] = w->in[axis] - (full - w->before[axis] - w->after[axis]);
        pads[axis] = w->before[axis];
        pads[axis + 2] = w->after[axis];
        if (more[axis] < 0) { /* less of it: as if there were more padding */
            pads[axis + 2] -= more[axis];
            more[axis] = 0;
        }
    }
    size_t begin = node_with_weights(n, "ConvTranspose", n->x);
    const int dilations[] = {w->dilation[0] ? w->dilation[0] : 1,
                             w->dilation[1] ? w->dilation[1] : 1};
    cn_onnx_ints(n->g, "kernel_shape", 2, w->kernel);
    cn_onnx_ints(n->g, "strides", 2, w->stride);
    cn_onnx_ints(n->g, "pads", 4, pads);
    cn_onnx_ints(n->g, "dilations", 2, dilations);
    cn_onnx_ints(n->g, "output_padding", 2, more);
    cn_onnx_int(n->g, "group", n->layer->groups);
    cn_onnx_end(n->g, begin);
}

static void dense(const node *n)
{
    char flat[CN_ONNX_NAME];
    const char *x = n->x;
    if (n->layer->in.rank == 3) {
        x = cn_onnx_inner_name(flat, n, "flatten");
        cn_onnx_plain_node(n, "Flatten", n->x, x);
    }
    size_t begin = node_with_weights(n, "Gemm", x);
    cn_onnx_int(n->g, "transB", 1);
    cn_onnx_end(n->g, begin);
}

/* Where the elements' order is not left to ONNX, the channels go last before they are flattened. */
static void flatten(const node *n)
{
    char turned[CN_ONNX_NAME];
    const char *x = n->x;
    if (n->layer->in.rank == 3 && !n->g->order[n->layer - n->g->model->layers]) {
        x = cn_onnx_inner_name(turned, n, "transpose");
        cn_onnx_transpose(n, n->x, x, cn_onnx_channels_last);
    }
    cn_onnx_plain_node(n, "Flatten", x, n->layer->name);
}

/* ---- pooling, padding, resizing */

static void max_pool(const node *n)
{
    size_t begin = own_node(n, "MaxPool", n->x);
    window_attributes(n, "kernel_shape");
    cn_onnx_end(n->g, begin);
}

/* Padding takes no part, which is the operator's default. */
static void average_pool(const node *n)
{
    size_t begin = own_node(n, "AveragePool", n->x);
    window_attributes(n, "kernel_shape");
    cn_onnx_end(n->g, begin);
}

static void global_average_pool(const node *n)
{
    char mean[CN_ONNX_NAME];
    cn_onnx_plain_node(n, "GlobalAveragePool", n->x, cn_onnx_inner_name(mean, n, "mean"));
    cn_onnx_plain_node(n, "Flatten", mean, n->layer->name);
}

/* The matrix that averages `from` elements to `to`: row p has 1 / N at the N elements from
 * floor(p from / to) up to ceil((p + 1) from / to). Transposed for the columns. */
static void write_averages(const node *n, const char *name, int from, int to, bool transposed)
{
    const int shape[] = {transposed ? from : to, transposed ? to : from};
    float *values = cn_allocate((size_t)from * (size_t)to, sizeof *values, "means", &n->g->error);
    if (!values) return;
    for (int64_t p = 0; p < to; p++) {
        int64_t first = p * from / to, end = ((p + 1) * from + to - 1) / to;
        for (int64_t r = first; r < end; r++)
            values[transposed ? r * to + p : p * from + r] = 1.0f / (float)(end - first);
    }
    cn_onnx_floats(n->g, name, 2, shape, values);
    cn_release(values);
}

/* Windows of one size are an ordinary pooling. Others are means over rows, then over columns: two
 * products by constant matrices. */
static void adaptive_average_pool(const node *n)
{
    const cn_shape *in = &n->layer->in, *out = &n->layer->out;
    char rows[CN_ONNX_NAME], columns[CN_ONNX_NAME], between[CN_ONNX_NAME];
    if (in->n[0] % out->n[0] == 0 && in->n[1] % out->n[1] == 0) {
        const int size[] = {in->n[0] / out->n[0], in->n[1] / out->n[1]};
        size_t begin = own_node(n, "AveragePool", n->x);
        cn_onnx_ints(n->g, "kernel_shape", 2, size);
        cn_onnx_ints(n->g, "strides", 2, size);
        cn_onnx_end(n->g, begin);
        return;
    }
    cn_onnx_inner_name(between, n, "means_of_rows");
    write_averages(n, cn_onnx_parameter_name(rows, n, "rows"), in->n[0], out->n[0], false);
    write_averages(n, cn_onnx_parameter_name(columns, n, "columns"), in->n[1], out->n[1], true);
    cn_onnx_end(n->g,
                cn_onnx_node(n->g, "MatMul", between, (const char *[]){rows, n->x, NULL}, between));
    cn_onnx_end(n->g, cn_onnx_node(n->g, "MatMul", n->layer->name,
                                   (const char *[]){between, columns, NULL}, n->layer->name));
}

static void zero_pad(const node *n)
{
    const cn_pads_opts *o = n->layer->options;
    const int pads[] = {0, 0, o->pads[0], o->pads[1], 0, 0, o->pads[2], o->pads[3]};
    char name[CN_ONNX_NAME];
    cn_onnx_integers(n->g, cn_onnx_parameter_name(name, n, "pads"), 8, pads);
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Pad", n->layer->name, (const char *[]){n->x, name, NULL},
                                   n->layer->name));
}

static void crop(const node *n)
{
    const cn_pads_opts *o = n->layer->options;
    const int *size = n->layer->out.n;
    char starts[CN_ONNX_NAME], ends[CN_ONNX_NAME], axes[CN_ONNX_NAME];
    cn_onnx_integers(n->g, cn_onnx_parameter_name(starts, n, "starts"), 2, o->pads);
    cn_onnx_integers(n->g, cn_onnx_parameter_name(ends, n, "ends"), 2,
                     (const int[]){o->pads[0] + size[0], o->pads[1] + size[1]});
    cn_onnx_integers(n->g, cn_onnx_parameter_name(axes, n, "axes"), 2, (const int[]){2, 3});
    cn_onnx_end(n->g,
                cn_onnx_node(n->g, "Slice", n->layer->name,
                             (const char *[]){n->x, starts, ends, axes, NULL}, n->layer->name));
}

static void upsample(const node *n)
{
    const cn_upsample_opts *o = n->layer->options;
    const bool nearest = o->method == CN_UPSAMPLE_NEAREST;
    const float scales[] = {1, 1, (float)o->factor[0], (float)o->factor[1]};
    char name[CN_ONNX_NAME];
    cn_onnx_floats(n->g, cn_onnx_parameter_name(name, n, "scales"), 1, (const int[]){4}, scales);
    size_t begin = cn_onnx_node(n->g, "Resize", n->layer->name,
                                (const char *[]){n->x, "", name, NULL}, n->layer->name);
    cn_onnx_text(n->g, "mode", nearest ? "nearest" : "linear");
    cn_onnx_text(n->g, "coordinate_transformation_mode", nearest ? "asymmetric" : "half_pixel");
    if (nearest) cn_onnx_text(n->g, "nearest_mode", "floor");
    cn_onnx_end(n->g, begin);
}

/* ---- normalizations */

static cn_shape channels_of(const cn_layer *layer)
{
    return (cn_shape){1, {layer->in.n[layer->in.rank - 1]}};
}

static void batch_norm(const node *n)
{
    const cn_batch_norm_opts *o = n->layer->options;
    const cn_shape channels = channels_of(n->layer);
    char scale[CN_ONNX_NAME], shift[CN_ONNX_NAME], mean[CN_ONNX_NAME], variance[CN_ONNX_NAME];
    write_or_fill(n, "weight", &channels, 1);
    write_or_fill(n, "bias", &channels, 0);
    write_or_fill(n, "running_mean", &channels, 0);
    write_or_fill(n, "running_var", &channels, 1);
    size_t begin =
        cn_onnx_node(n->g, "BatchNormalization", n->layer->name,
                     (const char *[]){n->x, cn_onnx_parameter_name(scale, n, "weight"),
                                      cn_onnx_parameter_name(shift, n, "bias"),
                                      cn_onnx_parameter_name(mean, n, "running_mean"),
                                      cn_onnx_parameter_name(variance, n, "running_var"), NULL},
                     n->layer->name);
    cn_onnx_float(n->g, "epsilon", o->epsilon);
    cn_onnx_float(n->g, "momentum", o->momentum);
    cn_onnx_end(n->g, begin);
}

/* Over the channels of an image only where they are last; a whole example is an axis from 1 on. */
static void layer_norm(const node *n)
{
    const cn_layer_norm_opts *o = n->layer->options;
    const bool image = n->layer->in.rank == 3, turn = image && !o->all_axes;
    char scale[CN_ONNX_NAME], shift[CN_ONNX_NAME], before[CN_ONNX_NAME], after[CN_ONNX_NAME];
    const char *x = n->x, *y = n->layer->name;
    const int *size = n->layer->in.n;
    cn_shape row = channels_of(n->layer);
    if (image && o->all_axes) row = (cn_shape){3, {size[2], size[0], size[1]}};
    if (turn) {
        cn_onnx_transpose(n, n->x, cn_onnx_inner_name(before, n, "channels_last"),
                          cn_onnx_channels_last);
        x = before;
        y = cn_onnx_inner_name(after, n, "normalized");
    }
    write_or_fill(n, "weight", &row, 1);
    if (!o->no_shift) write_or_fill(n, "bias", &row, 0);
    size_t begin = cn_onnx_node(
        n->g, "LayerNormalization", y,
        (const char *[]){x, cn_onnx_parameter_name(scale, n, "weight"),
                         o->no_shift ? NULL : cn_onnx_parameter_name(shift, n, "bias"), NULL},
        y);
    cn_onnx_int(n->g, "axis", o->all_axes ? 1 : -1);
    cn_onnx_float(n->g, "epsilon", o->epsilon);
    cn_onnx_end(n->g, begin);
    if (turn) cn_onnx_transpose(n, y, n->layer->name, cn_onnx_channels_first);
}

static void group_norm(const node *n)
{
    const cn_group_norm_opts *o = n->layer->options;
    const cn_shape channels = channels_of(n->layer);
    char scale[CN_ONNX_NAME], shift[CN_ONNX_NAME];
    write_or_fill(n, "weight", &channels, 1);
    write_or_fill(n, "bias", &channels, 0);
    size_t begin = cn_onnx_node(n->g, "GroupNormalization", n->layer->name,
                                (const char *[]){n->x, cn_onnx_parameter_name(scale, n, "weight"),
                                                 cn_onnx_parameter_name(shift, n, "bias"), NULL},
                                n->layer->name);
    cn_onnx_int(n->g, "num_groups", o->groups);
    cn_onnx_float(n->g, "epsilon", o->epsilon);
    cn_onnx_end(n->g, begin);
}

/* ---- functions of one element, and joins */

static void relu(const node *n)
{
    cn_onnx_end(n->g, own_node(n, "Relu", n->x));
}
static void sigmoid(const node *n)
{
    cn_onnx_end(n->g, own_node(n, "Sigmoid", n->x));
}
static void tangent(const node *n)
{
    cn_onnx_end(n->g, own_node(n, "Tanh", n->x));
}
static void softplus(const node *n)
{
    cn_onnx_end(n->g, own_node(n, "Softplus", n->x));
}
/* As PyTorch writes it: the operator Swish, of operator set 24, is one that few programs have. */
static void silu(const node *n)
{
    char factor[CN_ONNX_NAME];
    cn_onnx_plain_node(n, "Sigmoid", n->x, cn_onnx_inner_name(factor, n, "sigmoid"));
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Mul", n->layer->name,
                                   (const char *[]){n->x, factor, NULL}, n->layer->name));
}

static void hard_swish(const node *n)
{
    cn_onnx_end(n->g, own_node(n, "HardSwish", n->x));
}

static void clip_between(const node *n, float least, float most)
{
    char lower[CN_ONNX_NAME], upper[CN_ONNX_NAME];
    write_number(n, cn_onnx_parameter_name(lower, n, "lower"), least);
    write_number(n, cn_onnx_parameter_name(upper, n, "upper"), most);
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Clip", n->layer->name,
                                   (const char *[]){n->x, lower, upper, NULL}, n->layer->name));
}

static void relu6(const node *n)
{
    clip_between(n, 0, 6);
}

static void clip(const node *n)
{
    const cn_clip_opts *o = n->layer->options;
    clip_between(n, (float)o->lower, (float)o->upper);
}

static void leaky_relu(const node *n)
{
    const cn_leaky_relu_opts *o = n->layer->options;
    size_t begin = own_node(n, "LeakyRelu", n->x);
    cn_onnx_float(n->g, "alpha", o->slope);
    cn_onnx_end(n->g, begin);
}

static void elu(const node *n)
{
    const cn_elu_opts *o = n->layer->options;
    size_t begin = own_node(n, "Elu", n->x);
    cn_onnx_float(n->g, "alpha", o->alpha);
    cn_onnx_end(n->g, begin);
}

static void gelu(const node *n)
{
    const cn_gelu_opts *o = n->layer->options;
    size_t begin = own_node(n, "Gelu", n->x);
    cn_onnx_text(n->g, "approximate", o->approximate ? "tanh" : "none");
    cn_onnx_end(n->g, begin);
}

static void hard_sigmoid(const node *n)
{
    size_t begin = own_node(n, "HardSigmoid", n->x);
    cn_onnx_float(n->g, "alpha", 1.0 / 6);
    cn_onnx_float(n->g, "beta", 0.5);
    cn_onnx_end(n->g, begin);
}

/* The operator with a number as its second input. */
static void with_number(const node *n, const char *op, const char *role, double value)
{
    char name[CN_ONNX_NAME];
    write_number(n, cn_onnx_parameter_name(name, n, role), (float)value);
    cn_onnx_end(n->g, cn_onnx_node(n->g, op, n->layer->name, (const char *[]){n->x, name, NULL},
                                   n->layer->name));
}

static void scale(const node *n)
{
    const cn_scale_opts *o = n->layer->options;
    with_number(n, "Mul", "factor", o->factor);
}

static void shift(const node *n)
{
    const cn_shift_opts *o = n->layer->options;
    with_number(n, "Add", "offset", o->offset);
}

static void dropout(const node *n)
{
    const cn_dropout_opts *o = n->layer->options;
    char name[CN_ONNX_NAME];
    write_number(n, cn_onnx_parameter_name(name, n, "ratio"), (float)o->rate);
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Dropout", n->layer->name,
                                   (const char *[]){n->x, name, NULL}, n->layer->name));
}

static void softmax(const node *n)
{
    size_t begin = own_node(n, "Softmax", n->x);
    cn_onnx_int(n->g, "axis", 1);
    cn_onnx_end(n->g, begin);
}

static size_t join(const node *n, const char *op)
{
    const char *inputs[CN_MAX_INPUTS + 1] = {NULL};
    for (int i = 0; i < n->layer->input_count; i++)
        inputs[i] = cn_onnx_value_name(n->g, n->layer->inputs[i]);
    return cn_onnx_node(n->g, op, n->layer->name, inputs, n->layer->name);
}

static void add(const node *n)
{
    cn_onnx_end(n->g, join(n, "Add"));
}

static void concat(const node *n)
{
    size_t begin = join(n, "Concat");
    cn_onnx_int(n->g, "axis", 1);
    cn_onnx_end(n->g, begin);
}

/* ---- the table */

static const struct {
    const char *type;
    void (*write)(const node *n);
} rows[] = {
    {"conv2d", convolution},
    {"depthwise_conv2d", convolution},
    {"conv_transpose2d", transposed_convolution},
    {"dense", dense},
    {"flatten", flatten},
    {"max_pool", max_pool},
    {"average_pool", average_pool},
    {"global_average_pool", global_average_pool},
    {"adaptive_average_pool", adaptive_average_pool},
    {"zero_pad2d", zero_pad},
    {"crop2d", crop},
    {"upsample2d", upsample},
    {"batch_norm", batch_norm},
    {"layer_norm", layer_norm},
    {"group_norm", group_norm},
    {"relu", relu},
    {"relu6", relu6},
    {"leaky_relu", leaky_relu},
    {"sigmoid", sigmoid},
    {"hard_sigmoid", hard_sigmoid},
    {"hard_swish", hard_swish},
    {"tanh", tangent},
    {"elu", elu},
    {"softplus", softplus},
    {"silu", silu},
    {"gelu", gelu},
    {"scale", scale},
    {"shift", shift},
    {"clip", clip},
    {"dropout", dropout},
    {"softmax", softmax},
    {"add", add},
    {"concat", concat},
    {"plus", cn_onnx_binary},
    {"multiply", cn_onnx_binary},
    {"subtract", cn_onnx_binary},
    {"divide", cn_onnx_binary},
    {"maximum", cn_onnx_binary},
    {"minimum", cn_onnx_binary},
    {"power", cn_onnx_binary},
    {"affine", cn_onnx_affine},
    {"constant", cn_onnx_constant},
    {"reshape", cn_onnx_reshape},
    {"transpose", cn_onnx_transpose_layer},
    {"slice", cn_onnx_slice},
    {"resize2d", cn_onnx_resize},
    {"pad2d", cn_onnx_pad},
    {"log_softmax", cn_onnx_log_softmax},
    {"local_response_norm", cn_onnx_local_response_norm},
};
enum { ROWS = sizeof rows / sizeof *rows };

static int find_row(const cn_layer_type *type)
{
    int i = 0;
    while (i < ROWS && strcmp(rows[i].type, type->name) != 0) i++;
    return i;
}

bool cn_onnx_has_layer(const cn_layer_type *type)
{
    return find_row(type) < ROWS;
}

bool cn_onnx_layer(cn_onnx_graph *g, int i)
{
    const cn_layer *layer = &g->model->layers[i];
    int row = find_row(layer->type);
    if (row == ROWS) return false;
    rows[row].write(&(node){g, layer, cn_onnx_value_name(g, layer->inputs[0])});
    return true;
}

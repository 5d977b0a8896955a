/*
 * layer_rows.h - the rows of test_layers.c: how each type of layer is built, with random options
 * that fit its input.
 */
#ifndef TEST_LAYER_ROWS_H
#define TEST_LAYER_ROWS_H

#include "draw.h"
#include "model/model.h"

#include <string.h>

/* Adds a layer of the type behind x, whose shape is n. */
typedef cn_node builder(cn_model *m, cn_node x, const int *n, uint64_t *random);

/* ---- options that several types have */

/* A kernel, a stride and pads for an image n: the window fits, with more padding than image now
 * and then, and stays with at least one element in the image where `pooling`. */
static void draw_window(uint64_t *random, const int *n, bool pooling, int kernel[2], int stride[2],
                        cn_padding *pad, int pads[4])
{
    *pad = draw(random) % 2 ? CN_PADDING_SAME : CN_PADDING_VALID;
    for (int axis = 0; axis < 2; axis++) {
        kernel[axis] = draw_int(random, 1, *pad == CN_PADDING_SAME ? 5 : n[axis] < 5 ? n[axis] : 5);
        stride[axis] = draw_int(random, 1, 4);
        for (int side = axis; *pad == CN_PADDING_VALID && side < 4; side += 2)
            pads[side] = draw(random) % 2 ? 0 : draw_int(random, 0, kernel[axis] - pooling);
    }
    if (draw(random) % 4 == 0) stride[0] = stride[1] = 0; /* the default */
    if (kernel[0] == kernel[1] && draw(random) % 2) kernel[1] = 0;
}

/* Gaps for a window that fits without: below the image there is always room for them. */
static void draw_dilation(uint64_t *random, const int kernel[2], cn_padding pad, int dilation[2],
                          int pads[4])
{
    for (int axis = 0; axis < 2; axis++) {
        int f = kernel[axis] ? kernel[axis] : kernel[0];
        dilation[axis] = draw_int(random, 1, 3);
        if (pad == CN_PADDING_VALID) pads[2 + axis] += (f - 1) * (dilation[axis] - 1);
    }
}

/* Groups that the n_C channels fall into: a divisor, 1 and n_C more often than others. */
static int draw_groups(uint64_t *random, int n_C)
{
    int groups = draw(random) % 2 ? n_C : draw_int(random, 1, n_C);
    while (n_C % groups) groups--;
    return draw(random) % 3 ? groups : 1;
}

/* ---- one layer */

static cn_node conv2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_conv2d_opts o = {.groups = draw_groups(random, n[2]), .no_bias = draw(random) % 4 == 0};
    o.filters = draw_int(random, 1, draw(random) % 4 ? 9 : 40);
    o.filters = (o.filters + o.groups - 1) / o.groups * o.groups;
    draw_window(random, n, false, o.kernel, o.stride, &o.pad, o.pads);
    if (draw(random) % 3 == 0) draw_dilation(random, o.kernel, o.pad, o.dilation, o.pads);
    return cn_conv2d(m, x, &o);
}

static cn_node depthwise_conv2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_depthwise_conv2d_opts o = {.depth_multiplier = draw(random) % 4 ? 0 : draw_int(random, 1, 4),
                                  .no_bias = draw(random) % 4 == 0};
    draw_window(random, n, false, o.kernel, o.stride, &o.pad, o.pads);
    if (draw(random) % 3 == 0) draw_dilation(random, o.kernel, o.pad, o.dilation, o.pads);
    return cn_depthwise_conv2d(m, x, &o);
}

static cn_node conv_transpose2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_conv_transpose2d_opts o = {.pad = draw(random) % 2 ? CN_PADDING_SAME : CN_PADDING_VALID,
                                  .groups = draw_groups(random, n[2]),
                                  .no_bias = draw(random) % 4 == 0};
    o.filters = o.groups * draw_int(random, 1, o.groups > 4 ? 1 : 5);
    for (int axis = 0; axis < 2; axis++) {
        int f = o.kernel[axis] = draw_int(random, 1, 4),
            s = o.stride[axis] = draw_int(random, 1, 3);
        int d = o.dilation[axis] = draw(random) % 4 ? 1 : draw_int(random, 2, 3);
        int room = (n[axis] - 1) * s + (f - 1) * d; /* one less than the output without pads */
        if (o.pad == CN_PADDING_SAME) continue;
        o.pads[axis] = draw_int(random, 0, room < f ? room : f);
        room -= o.pads[axis];
        o.pads[axis + 2] = draw_int(random, 0, room < f ? room : f);
        o.output_padding[axis] = draw_int(random, 0, s - 1);
    }
    if (o.output_padding[1] == 0) o.output_padding[0] = 0; /* which would stand for the first */
    return cn_conv_transpose2d(m, x, &o);
}

static cn_node max_pool(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_pool_opts o = {0};
    draw_window(random, n, true, o.size, o.stride, &o.pad, o.pads);
    return cn_max_pool(m, x, &o);
}

static cn_node average_pool(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_pool_opts o = {0};
    draw_window(random, n, true, o.size, o.stride, &o.pad, o.pads);
    return cn_average_pool(m, x, &o);
}

static cn_node dense(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    return cn_dense(m, x,
                    &(cn_dense_opts){.units = draw_int(random, 1, draw(random) % 4 ? 20 : 100),
                                     .no_bias = draw(random) % 4 == 0});
}

#define WITHOUT_OPTIONS(type)                                                           \
    static cn_node build_##type(cn_model *m, cn_node x, const int *n, uint64_t *random) \
    {                                                                                   \
        (void)n, (void)random;                                                          \
        return cn_##type(m, x);                                                         \
    }
WITHOUT_OPTIONS(flatten)
WITHOUT_OPTIONS(relu)
WITHOUT_OPTIONS(sigmoid)
WITHOUT_OPTIONS(tanh)
WITHOUT_OPTIONS(softmax)
WITHOUT_OPTIONS(relu6)
WITHOUT_OPTIONS(silu)
WITHOUT_OPTIONS(softplus)
WITHOUT_OPTIONS(hard_sigmoid)
WITHOUT_OPTIONS(hard_swish)
WITHOUT_OPTIONS(global_average_pool)

static cn_node batch_norm(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_batch_norm_opts o = {.epsilon = draw(random) % 2 ? 0.01 : 0.1,
                            .no_scale = draw(random) % 4 == 0,
                            .no_shift = draw(random) % 4 == 0};
    (void)n;
    return cn_batch_norm(m, x, &o);
}

static cn_node scale(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    double factor = draw(random) % 2 ? draw_real(random, 0.01, 2) : 0;
    return cn_scale(m, x, &(cn_scale_opts){.factor = factor});
}

static cn_node clip(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_clip_opts o = {.lower = draw(random) % 2 ? draw_real(random, -1, 0.5) : 0};
    (void)n;
    o.upper = o.lower + draw_real(random, 0.1, 2);
    return cn_model_add(m, cn_layer_type_find("clip"), &o, NULL, &x, 1);
}

static cn_node leaky_relu(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    double slope = draw(random) % 2 ? draw_real(random, 0.01, 2) : 0;
    return cn_leaky_relu(m, x, &(cn_leaky_relu_opts){.slope = slope});
}

static cn_node elu(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    double alpha = draw(random) % 2 ? draw_real(random, 0.01, 2) : 0;
    return cn_elu(m, x, &(cn_elu_opts){.alpha = alpha});
}

static cn_node gelu(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    return cn_gelu(m, x, &(cn_gelu_opts){.approximate = draw(random) % 2});
}

static cn_node adaptive_average_pool(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_adaptive_pool_opts o = {0};
    for (int axis = 0; axis < 2; axis++)
        o.size[axis] = draw_int(random, 1, draw(random) % 4 ? n[axis] : 2 * n[axis]);
    return cn_adaptive_average_pool(m, x, &o);
}

static cn_node zero_pad2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_pads_opts o = {0};
    (void)n;
    for (int i = 0; i < 4; i++) o.pads[i] = draw(random) % 2 ? draw_int(random, 0, 4) : 0;
    return cn_zero_pad2d(m, x, &o);
}

static cn_node crop2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_pads_opts o = {0};
    for (int i = 0; i < 4; i++) o.pads[i] = draw_int(random, 0, (n[i % 2] - 1) / 2);
    return cn_crop2d(m, x, &o);
}

static cn_node upsample2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    cn_upsample_opts o = {.factor = {draw_int(random, 1, 3), draw_int(random, 0, 3)},
                          .method = (cn_upsample_method)(draw(random) % 2)};
    return cn_upsample2d(m, x, &o);
}

static cn_node dropout(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n;
    return cn_dropout(m, x, &(cn_dropout_opts){.rate = draw_real(random, 0.01, 0.9)});
}

/* Of layer and group norm. */
static const double SMALLEST_EPSILON = 0.1;

static cn_node layer_norm(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_layer_norm_opts o = {.all_axes = draw(random) % 2,
                            .epsilon = draw(random) % 2 ? SMALLEST_EPSILON : 1,
                            .no_scale = draw(random) % 4 == 0,
                            .no_shift = draw(random) % 4 == 0};
    (void)n;
    return cn_layer_norm(m, x, &o);
}

static cn_node group_norm(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_group_norm_opts o = {.groups = draw_int(random, 1, n[2]),
                            .epsilon = draw(random) % 2 ? SMALLEST_EPSILON : 1,
                            .no_scale = draw(random) % 4 == 0,
                            .no_shift = draw(random) % 4 == 0};
    while (n[2] % o.groups != 0) o.groups--;
    return cn_group_norm(m, x, &o);
}

/* ---- branches that meet */

/* A branch of x's shape: something to add to it. */
static cn_node draw_branch(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    switch (draw(random) % 6) {
    case 0: return cn_tanh(m, x);
    case 1: return cn_relu(m, x);
    case 2: return x;
    case 3: return cn_sigmoid(m, cn_relu(m, x));
    default:
        return cn_conv2d(
            m, x,
            &(cn_conv2d_opts){
                .filters = n[2], .kernel = {3}, .pad = CN_PADDING_SAME, .no_bias = true});
    }
}

/* Sums of branches that share readers, buffers and ReLUs in every way. */
static cn_node add(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_node nodes[6] = {x, draw_branch(m, x, n, random)};
    int count = 2, sums = draw_int(random, 1, 3);
    for (int i = 0; i < sums; i++) {
        cn_node a = nodes[draw_int(random, 0, count - 1)], b = nodes[count - 1];
        cn_node sum = draw(random) % 2 ? cn_add(m, a, b) : cn_add(m, b, a);
        nodes[count++] = draw(random) % 2 ? draw_branch(m, sum, n, random) : sum;
    }
    return nodes[count - 1];
}

static cn_node concat(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_node inputs[8] = {x};
    int count = draw_int(random, 2, 8);
    for (int i = 1; i < count; i++)
        inputs[i] = draw(random) % 3
                        ? draw_branch(m, inputs[i - 1], n, random)
                        : cn_conv2d(m, x, &(cn_conv2d_opts){.filters = i, .kernel = {1}});
    return cn_concat(m, inputs, count);
}

/* ---- arrangements */

/* A divisor of n. */
static int draw_divisor(uint64_t *random, int n)
{
    int divisor = draw_int(random, 1, n);
    while (n % divisor) divisor--;
    return divisor;
}

static cn_node reshape(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    int rows = draw_divisor(random, n[0] * n[1]);
    cn_reshape_opts o = {.size = {rows, draw_divisor(random, n[0] * n[1] / rows)}};
    return cn_model_add(m, &cn_reshape_type, &o, NULL, &x, 1);
}

static cn_node transpose(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    int a = draw_divisor(random, n[0] * n[1]), b = draw_divisor(random, n[0] * n[1] / a);
    cn_transpose_opts o = {.axes = {a, b * draw_divisor(random, n[2])}};
    if (draw(random) % 2)
        o = (cn_transpose_opts){.axes = {a, b}, .inner = draw_divisor(random, n[2])};
    return cn_model_add(m, &cn_transpose_type, &o, NULL, &x, 1);
}

static cn_node slice(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_slice_opts o = {.axis = (cn_axis)draw_int(random, 0, 2), .step = draw_int(random, 0, 3)};
    int extent = n[2 - o.axis], step = o.step ? o.step : 1;
    o.begin = draw_int(random, 0, extent - 1);
    o.count = draw_int(random, 1, (extent - 1 - o.begin) / step + 1);
    return cn_model_add(m, &cn_slice_type, &o, NULL, &x, 1);
}

static cn_node affine(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_affine_opts o = {.no_scale = draw(random) % 4 == 0};
    (void)n;
    o.no_shift = !o.no_scale && draw(random) % 4 == 0;
    return cn_model_add(m, &cn_affine_type, &o, NULL, &x, 1);
}

/* Added to what it begins beside, or alone. */
static cn_node constant(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_constant_opts o = {.size = {n[0], n[1]}, .channels = n[2]};
    cn_node c = cn_model_add(m, &cn_constant_type, &o, NULL, &x, 1);
    return draw(random) % 2 ? c : cn_add(m, x, c);
}

static cn_node resize2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_resize_opts o = {.method = (cn_resize_method)draw_int(random, 0, 2),
                        .coordinates = (cn_coordinates)draw_int(random, 0, 5),
                        .rounding = (cn_rounding)draw_int(random, 0, 3),
                        .inside = draw(random) % 4 == 0};
    for (int axis = 0; axis < 2; axis++) o.size[axis] = draw_int(random, 1, 2 * n[axis]);
    if (o.method == CN_RESIZE_CUBIC && draw(random) % 2) o.cubic = -0.5;
    if (draw(random) % 4 == 0) o.scale_h = (double)o.size[0] / n[0] + 0.01;
    o.antialias = o.method != CN_RESIZE_NEAREST && draw(random) % 2;
    if (o.coordinates == CN_COORDINATES_CROP) {
        o.crop_y = draw_real(random, -0.3, 0.6), o.crop_x = draw_real(random, 0, 0.4);
        o.crop_h = draw_real(random, -0.5, 0.9), o.crop_w = draw_real(random, 0.2, 0.6);
        o.outside = draw_int(random, 0, 1);
    }
    /* After a ReLU, a share that rounding leaves of 0 would make a decision of nothing. */
    x = cn_model_add_layer(m, "shift", &x, 1, "0.7");
    return cn_model_add(m, &cn_resize2d_type, &o, NULL, &x, 1);
}

static cn_node pad2d(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_pad_opts o = {.mode = (cn_pad_mode)draw_int(random, 0, 3)};
    for (int i = 0; i < 4; i++) o.pads[i] = draw_int(random, 0, n[i % 2] - 1);
    if (draw(random) % 2) o.value = draw_int(random, -2, 2);
    return cn_model_add(m, &cn_pad2d_type, &o, NULL, &x, 1);
}

static cn_node log_softmax(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    (void)n, (void)random;
    return cn_model_add(m, &cn_log_softmax_type, NULL, NULL, &x, 1);
}

static cn_node local_response_norm(cn_model *m, cn_node x, const int *n, uint64_t *random)
{
    cn_local_response_norm_opts o = {.size = draw_int(random, 1, n[2] + 1),
                                     .alpha = draw(random) % 2 ? draw_real(random, 0.01, 1) : 0,
                                     .beta = draw(random) % 2 ? draw_real(random, 0.3, 1) : 0,
                                     .bias = draw(random) % 2 ? draw_real(random, 0.5, 2) : 0};
    return cn_model_add(m, &cn_local_response_norm_type, &o, NULL, &x, 1);
}

/* ---- functions of two inputs */

/* Something to take x with: of its shape, or with one element along some axes; along the channels
 * only where `one_channel`, since a softmax would not see what all of them have in common. */
static cn_node draw_other(cn_model *m, cn_node x, const int *n, uint64_t *random, bool one_channel)
{
    cn_adaptive_pool_opts o = {0};
    for (int k = 0; k < 2; k++) o.size[k] = draw(random) % 2 ? n[k] : 1;
    bool channels = draw(random) % 2 || !one_channel;
    if (draw(random) % 4 == 0 && n[0] * n[1] > 1) return cn_global_average_pool(m, cn_tanh(m, x));
    x = cn_adaptive_average_pool(m, x, &o);
    return cn_conv2d(m, x, &(cn_conv2d_opts){.filters = channels ? n[2] : 1, .kernel = {1}});
}

/* ln(1 + e^tanh x), from 0.3 to 1.3: a divisor, a base and an exponent. */
static cn_node away_from_zero(cn_model *m, cn_node x)
{
    return cn_softplus(m, cn_tanh(m, x));
}

static cn_node binary(cn_model *m, cn_node x, const int *n, uint64_t *random, const char *type)
{
    const bool sums = strcmp(type, "plus") == 0 || strcmp(type, "subtract") == 0;
    const bool first = draw(random) % 4 == 0; /* the one that may be spread */
    const bool power = strcmp(type, "power") == 0, divide = strcmp(type, "divide") == 0;
    cn_node other = draw_other(m, x, n, random, !sums && !divide);
    if (power || (divide && first)) x = away_from_zero(m, x);
    if (power || divide) other = away_from_zero(m, other);
    return cn_model_add_layer(m, type, first ? (cn_node[]){other, x} : (cn_node[]){x, other}, 2,
                              "");
}

#define OF_TWO(type)                                                                    \
    static cn_node build_##type(cn_model *m, cn_node x, const int *n, uint64_t *random) \
    {                                                                                   \
        return binary(m, x, n, random, #type);                                          \
    }
OF_TWO(plus)
OF_TWO(multiply)
OF_TWO(subtract)
OF_TWO(divide)
OF_TWO(maximum)
OF_TWO(minimum)
OF_TWO(power)

/* ---- the table */

/* One row per layer type; a function of one element may do without. */
static const struct row {
    const char *type;
    builder *build;
} rows[] = {
    {"conv2d", conv2d},
    {"depthwise_conv2d", depthwise_conv2d},
    {"conv_transpose2d", conv_transpose2d},
    {"max_pool", max_pool},
    {"average_pool", average_pool},
    {"dense", dense},
    {"flatten", build_flatten},
    {"relu", build_relu},
    {"sigmoid", build_sigmoid},
    {"tanh", build_tanh},
    {"softmax", build_softmax},
    {"batch_norm", batch_norm},
    {"add", add},
    {"concat", concat},
    {"global_average_pool", build_global_average_pool},
    {"adaptive_average_pool", adaptive_average_pool},
    {"zero_pad2d", zero_pad2d},
    {"crop2d", crop2d},
    {"upsample2d", upsample2d},
    {"dropout", dropout},
    {"layer_norm", layer_norm},
    {"group_norm", group_norm},
    {"scale", scale},
    {"clip", clip},
    {"leaky_relu", leaky_relu},
    {"relu6", build_relu6},
    {"elu", elu},
    {"silu", build_silu},
    {"gelu", gelu},
    {"softplus", build_softplus},
    {"hard_sigmoid", build_hard_sigmoid},
    {"hard_swish", build_hard_swish},
    {"reshape", reshape},
    {"transpose", transpose},
    {"slice", slice},
    {"affine", affine},
    {"resize2d", resize2d},
    {"pad2d", pad2d},
    {"log_softmax", log_softmax},
    {"local_response_norm", local_response_norm},
    {"constant", constant},
    {"plus", build_plus},
    {"multiply", build_multiply},
    {"subtract", build_subtract},
    {"divide", build_divide},
    {"maximum", build_maximum},
    {"minimum", build_minimum},
    {"power", build_power},
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct row *find_row(const char *type)
{
    for (int i = 0; i < ROWS; i++)
        if (!strcmp(rows[i].type, type)) return &rows[i];
    return NULL;
}

/* Whether the type is a function of one element. */
static bool is_activation(const cn_layer_type *type)
{
    for (int i = 0; cn_activation_types[i]; i++)
        if (cn_activation_types[i] == type) return true;
    return false;
}

/* Adds a layer of the type: as its row says, or, a function of one element, with its option drawn
 * or left at the default. */
static cn_node build(cn_model *m, cn_node x, const char *name, const int *n, uint64_t *random)
{
    if (find_row(name)) return find_row(name)->build(m, x, n, random);
    const cn_layer_type *type = cn_layer_type_find(name);
    double options[8] = {0}, value = draw(random) % 2 ? draw_real(random, 0.01, 2) : 0;
    if (type->options) cn_option_set(type->options, options, 1, &value);
    return cn_model_add(m, type, type->options ? options : NULL, NULL, &x, 1);
}

#endif

/*
 * keras_layers.c - each type of layer as layers of Keras 3, whose layout and formulas are ours.
 *
 * What Keras has no option for is a layer of its own beside it: explicit pads are a ZeroPadding2D, what
 * a transposed convolution leaves out is a Cropping2D, and a dense layer of an image has a Flatten.
 */
#include "formats/keras_export.h"

#include <stdio.h>
#include <string.h>

typedef cn_keras_graph graph;

static const cn_layer *ours(const graph *g)
{
    return &g->model->layers[g->layer];
}

/* The layer of Keras that makes input k of ours. */
static int input(const graph *g, int k)
{
    return g->value[ours(g)->inputs[k]];
}

/* The layer's own, of its first input's value. */
static int own(graph *g, const char *type, json_t *config)
{
    return cn_keras_add(g, type, NULL, input(g, 0), ours(g)->out, config);
}

static int with_weights(graph *g, int layer)
{
    if (layer >= 0) g->layers[layer].weights = ours(g);
    return layer;
}

static void option(const graph *g, const char *name, double value[4])
{
    cn_option_get(cn_option_find(ours(g)->type, name), ours(g)->options, value);
}

static double number(const graph *g, const char *name)
{
    double value[4];
    option(g, name, value);
    return value[0];
}

static bool flag(const graph *g, const char *name)
{
    return number(g, name) != 0;
}

/* The object with one more member, which is taken; NULL where memory runs out. */
static json_t *with(json_t *config, const char *key, json_t *value)
{
    if (json_object_set_new(config, key, value) == 0) return config;
    json_decref(config);
    return NULL;
}

/* ---- windows */

static json_t *pair(const int value[2])
{
    return json_pack("[ii]", value[0], value[1]);
}

static json_t *dilation_of(const cn_window *w)
{
    return json_pack("[ii]", w->dilation[0] ? w->dilation[0] : 1,
                     w->dilation[1] ? w->dilation[1] : 1);
}

static bool is_dilated(const cn_window *w)
{
    return w->dilation[0] > 1 || w->dilation[1] > 1;
}

static json_t *sides(const int before[2], const int after[2])
{
    return json_pack("{s[[ii][ii]]}", "padding", before[0], after[0], before[1], after[1]);
}

/* "same" where Keras finds the same pads, else "valid" after a layer that adds them. */
static const char *padding(graph *g, int *x)
{
    const cn_layer *layer = ours(g);
    const cn_window *w = &layer->window;
    const int *b = w->before, *a = w->after;
    if (*x < 0 || (!b[0] && !b[1] && !a[0] && !a[1])) return "valid";
    if (number(g, "pad") == CN_PADDING_SAME) return "same";
    cn_shape out = layer->in;
    for (int axis = 0; axis < 2; axis++) out.n[axis] += b[axis] + a[axis];
    *x = cn_keras_add(g, "ZeroPadding2D", "pad", *x, out, sides(b, a));
    return "valid";
}

static int convolution(graph *g)
{
    const cn_layer *layer = ours(g);
    const cn_window *w = &layer->window;
    const bool depthwise = layer->type == &cn_depthwise_conv2d_type;
    if (is_dilated(w) && (w->stride[0] > 1 || w->stride[1] > 1))
        return cn_keras_refuse(g, "strides together with dilation");
    if (depthwise && w->stride[0] != w->stride[1])
        return cn_keras_refuse(g, "a stride that is not the same both ways");
    int x = input(g, 0);
    const char *pads = padding(g, &x);
    json_t *config = json_pack("{so so so ss sb}", "kernel_size", pair(w->kernel), "strides",
                               pair(w->stride), "dilation_rate", dilation_of(w), "padding", pads,
                               "use_bias", layer->parameter_count > 1);
    if (depthwise) {
        config = with(config, "depth_multiplier", json_integer(layer->out.n[2] / layer->in.n[2]));
    } else {
        config = with(config, "filters", json_integer(layer->out.n[2]));
        config = with(config, "groups", json_integer(layer->groups));
    }
    return with_weights(
        g, cn_keras_add(g, depthwise ? "DepthwiseConv2D" : "Conv2D", NULL, x, layer->out, config));
}

/* The window is that of the convolution from Z: Z's size is its input's. Rows that Z has below those
 * that are made by windows are output_padding; what pads take away is cropped. */
static int transposed(graph *g)
{
    const cn_layer *layer = ours(g);
    const cn_window *w = &layer->window;
    const int *before = w->before;
    int more[2], after[2];
    cn_shape whole = layer->out;
    if (layer->groups > 1) return cn_keras_refuse(g, "groups of a transposed convolution");
    if (is_dilated(w) && (w->stride[0] > 1 || w->stride[1] > 1))
        return cn_keras_refuse(g, "strides together with dilation");
    for (int axis = 0; axis < 2; axis++) {
        const int made = (w->out[axis] - 1) * w->stride[axis] + (int)cn_window_extent(w, axis);
        const int end = before[axis] + w->in[axis]; /* of Z among what is made */
        more[axis] = end > made ? end - made : 0;
        after[axis] = made + more[axis] - end;
        whole.n[axis] = made + more[axis];
    }
    const bool cropped = before[0] || before[1] || after[0] || after[1];
    json_t *config = json_pack("{so so so so ss si sb}", "kernel_size", pair(w->kernel), "strides",
                               pair(w->stride), "dilation_rate", dilation_of(w), "output_padding",
                               pair(more), "padding", "valid", "filters", layer->out.n[2],
                               "use_bias", layer->parameter_count > 1);
    const int z = with_weights(g, cn_keras_add(g, "Conv2DTranspose", cropped ? "whole" : NULL,
                                               input(g, 0), whole, config));
    if (z < 0 || !cropped) return z;
    json_t *crop = json_pack("{s[[ii][ii]]}", "cropping", before[0], after[0], before[1], after[1]);
    return cn_keras_add(g, "Cropping2D", NULL, z, layer->out, crop);
}

/* Is no element of the value negative? Then a maximum does not see zeros around it. */
static bool is_positive(const cn_layer *layer)
{
    static const char *const words[] = {"relu", "relu6", "sigmoid", "hard_sigmoid", "softmax"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(layer->type->name, words[i]) == 0) return true;
    return false;
}

static int pool(graph *g)
{
    const cn_layer *layer = ours(g);
    const cn_window *w = &layer->window;
    const bool maximum = layer->type == &cn_max_pool_type;
    const bool padded = w->before[0] || w->before[1] || w->after[0] || w->after[1];
    if (padded && number(g, "pad") != CN_PADDING_SAME &&
        !(maximum && is_positive(&g->model->layers[layer->inputs[0]])))
        return cn_keras_refuse(g, "pads of a pooling that are not \"same\"");
    int x = input(g, 0);
    const char *pads = padding(g, &x);
    json_t *config = json_pack("{so so ss}", "pool_size", pair(w->kernel), "strides",
                               pair(w->stride), "padding", pads);
    return cn_keras_add(g, maximum ? "MaxPooling2D" : "AveragePooling2D", NULL, x, layer->out,
                        config);
}

static int global_pool(graph *g)
{
    return own(g, "GlobalAveragePooling2D", json_pack("{sb}", "keepdims", ours(g)->out.rank == 3));
}

static int adaptive_pool(graph *g)
{
    const cn_layer *layer = ours(g);
    const int *in = layer->in.n, *out = layer->out.n;
    if (in[0] % out[0] || in[1] % out[1])
        return own(g, "AdaptiveAveragePooling2D", json_pack("{so}", "output_size", pair(out)));
    const int size[2] = {in[0] / out[0], in[1] / out[1]};
    return own(g, "AveragePooling2D",
               json_pack("{so so ss}", "pool_size", pair(size), "strides", pair(size), "padding",
                         "valid"));
}

/* ---- dense layers and norms */

static int dense(graph *g)
{
    const cn_layer *layer = ours(g);
    const cn_shape row = {1, {(int)cn_shape_count(&layer->in)}};
    int x = input(g, 0);
    if (layer->in.rank == 3) x = cn_keras_add(g, "Flatten", "flatten", x, row, json_object());
    json_t *config =
        json_pack("{si sb}", "units", layer->out.n[0], "use_bias", layer->parameter_count > 1);
    return with_weights(g, cn_keras_add(g, "Dense", NULL, x, layer->out, config));
}

static int norm(graph *g)
{
    const cn_layer *layer = ours(g);
    json_t *config = json_pack("{sf sb sb}", "epsilon", number(g, "epsilon"), "scale",
                               !flag(g, "no_scale"), "center", !flag(g, "no_shift"));
    if (layer->type == &cn_batch_norm_type) {
        config = with(config, "momentum", json_real(number(g, "momentum")));
        return with_weights(g, own(g, "BatchNormalization", config));
    }
    if (layer->type == &cn_group_norm_type) {
        config = with(config, "groups", json_integer((json_int_t)number(g, "groups")));
        return with_weights(g, own(g, "GroupNormalization", config));
    }
    const bool all = flag(g, "all_axes") && layer->in.rank == 3;
    config = with(config, "axis", all ? json_pack("[iii]", 1, 2, 3) : json_pack("[i]", -1));
    return with_weights(g, own(g, "LayerNormalization", config));
}

static int dropout(graph *g)
{
    return own(g, "Dropout", json_pack("{sf}", "rate", number(g, "rate")));
}

/* ---- functions of one element */

static int activation(graph *g)
{
    const char *name = ours(g)->type->name;
    if (strcmp(name, "gelu") == 0 && flag(g, "approximate"))
        return cn_keras_refuse(g, "the approximate form of GELU");
    return own(g, "Activation", json_pack("{ss}", "activation", name));
}

static int relu(graph *g)
{
    const bool six = strcmp(ours(g)->type->name, "relu6") == 0;
    return own(g, "ReLU", six ? json_pack("{sf}", "max_value", 6.0) : json_object());
}

static int clip(graph *g)
{
    if (number(g, "lower") != 0) return cn_keras_refuse(g, "a lower bound that is not 0");
    return own(g, "ReLU", json_pack("{sf}", "max_value", number(g, "upper")));
}

static int leaky_relu(graph *g)
{
    return own(g, "LeakyReLU", json_pack("{sf}", "negative_slope", number(g, "slope")));
}

static int elu(graph *g)
{
    return own(g, "ELU", json_pack("{sf}", "alpha", number(g, "alpha")));
}

static int scale(graph *g)
{
    return own(g, "Rescaling", json_pack("{sf sf}", "scale", number(g, "factor"), "offset", 0.0));
}

static int shift(graph *g)
{
    return own(g, "Rescaling", json_pack("{sf sf}", "scale", 1.0, "offset", number(g, "offset")));
}

/* ---- several inputs */

/* Values of channels alone become images of one pixel, beside others that are images. */
static int join(graph *g, const char *type)
{
    const cn_layer *layer = ours(g);
    bool images = false;
    int inputs[CN_MAX_INPUTS];
    char suffix[24];
    for (int k = 0; k < layer->input_count; k++) images = images || layer->inputs_of[k].rank == 3;
    for (int k = 0; k < layer->input_count; k++) {
        const cn_shape *own_shape = &layer->inputs_of[k];
        inputs[k] = input(g, k);
        if (!images || own_shape->rank == 3) continue;
        const cn_shape pixel = {3, {1, 1, own_shape->n[0]}};
        snprintf(suffix, sizeof suffix, "pixel_%d", k);
        inputs[k] = cn_keras_add(g, "Reshape", suffix, inputs[k], pixel,
                                 json_pack("{s[iii]}", "target_shape", 1, 1, own_shape->n[0]));
        if (inputs[k] < 0) return -1;
    }
    const int made = cn_keras_add(g, type, NULL, inputs[0], layer->out,
                                  strcmp(type, "Concatenate") == 0 ? json_pack("{si}", "axis", -1)
                                                                   : json_object());
    if (made < 0) return -1;
    g->layers[made].joins = true;
    g->layers[made].input_count = layer->input_count;
    memcpy(g->layers[made].inputs, inputs, (size_t)layer->input_count * sizeof *inputs);
    return made;
}

static int sum(graph *g)
{
    return join(g, "Add");
}

static int concat(graph *g)
{
    return join(g, "Concatenate");
}

static int multiply(graph *g)
{
    return join(g, "Multiply");
}

static int subtract(graph *g)
{
    return join(g, "Subtract");
}

static int maximum(graph *g)
{
    return join(g, "Maximum");
}

static int minimum(graph *g)
{
    return join(g, "Minimum");
}

/* ---- images of another size or shape */

static int pad_or_crop(graph *g, const char *type, const char *key)
{
    double pads[4];
    option(g, "pads", pads);
    return own(
        g, type,
        json_pack("{s[[ii][ii]]}", key, (int)pads[0], (int)pads[2], (int)pads[1], (int)pads[3]));
}

static int zero_pad(graph *g)
{
    return pad_or_crop(g, "ZeroPadding2D", "padding");
}

static int crop(graph *g)
{
    return pad_or_crop(g, "Cropping2D", "cropping");
}

static int upsample(graph *g)
{
    double factor[4];
    option(g, "factor", factor);
    return own(g, "UpSampling2D",
               json_pack("{s[ii] ss}", "size", (int)factor[0], (int)factor[1], "interpolation",
                         number(g, "method") == CN_UPSAMPLE_BILINEAR ? "bilinear" : "nearest"));
}

static int flatten(graph *g)
{
    return own(g, "Flatten", json_object());
}

static int reshape(graph *g)
{
    const int *n = ours(g)->out.n;
    return own(g, "Reshape", json_pack("{s[iii]}", "target_shape", n[0], n[1], n[2]));
}

/* ---- the table */

static const struct {
    const char *type;
    int (*add)(graph *g);
} rows[] = {
    {"conv2d", convolution},
    {"depthwise_conv2d", convolution},
    {"conv_transpose2d", transposed},
    {"max_pool", pool},
    {"average_pool", pool},
    {"global_average_pool", global_pool},
    {"adaptive_average_pool", adaptive_pool},
    {"dense", dense},
    {"flatten", flatten},
    {"batch_norm", norm},
    {"layer_norm", norm},
    {"group_norm", norm},
    {"dropout", dropout},
    {"relu", relu},
    {"relu6", relu},
    {"clip", clip},
    {"leaky_relu", leaky_relu},
    {"elu", elu},
    {"sigmoid", activation},
    {"hard_sigmoid", activation},
    {"hard_swish", activation},
    {"tanh", activation},
    {"softplus", activation},
    {"silu", activation},
    {"gelu", activation},
    {"softmax", activation},
    {"log_softmax", activation},
    {"scale", scale},
    {"shift", shift},
    {"add", sum},
    {"plus", sum},
    {"concat", concat},
    {"multiply", multiply},
    {"subtract", subtract},
    {"maximum", maximum},
    {"minimum", minimum},
    {"zero_pad2d", zero_pad},
    {"crop2d", crop},
    {"upsample2d", upsample},
    {"reshape", reshape},
};

int cn_keras_layer_add(cn_keras_graph *g)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(ours(g)->type->name, rows[i].type) == 0) return rows[i].add(g);
    return cn_keras_refuse(g, "a layer that Keras has not");
}

/*
 * onnx_images.c - images of any other size, images with something around them, and functions along
 * the channels, as operators of ONNX.
 */
#include "formats/onnx_export.h"

#include <math.h>

typedef cn_onnx_place node;

/* ---- resize2d */

/* The scale of an axis: the one that was given, or what the sizes say. */
static double scale_of(const node *n, int axis)
{
    const cn_resize_opts *o = n->layer->options;
    const double given = axis ? o->scale_w : o->scale_h;
    return given > 0 ? given : (double)n->layer->out.n[axis] / n->layer->in.n[axis];
}

/* Does the scale follow from the sizes? */
static bool is_ratio(const node *n, int axis)
{
    return scale_of(n, axis) == (double)n->layer->out.n[axis] / n->layer->in.n[axis];
}

/* The operator takes sizes or scales. With scales its output has floor(scale n) pixels. */
static const char *write_sizes(const node *n, bool *scales, char name[CN_ONNX_NAME])
{
    const int *in = n->layer->in.n, *out = n->layer->out.n;
    *scales = !is_ratio(n, 0) || !is_ratio(n, 1);
    if (!*scales) {
        cn_onnx_integers(n->g, cn_onnx_parameter_name(name, n, "sizes"), 2, out);
        return name;
    }
    const float values[] = {(float)scale_of(n, 0), (float)scale_of(n, 1)};
    for (int axis = 0; axis < 2; axis++)
        if (floor(in[axis] * (double)values[axis]) != out[axis] && n->g->error.status == CN_OK)
            cn_fail(&n->g->error, CN_ERR_UNSUPPORTED,
                    "%.60s: %d pixels by a scale of %g are not %d: ONNX cannot say both",
                    n->layer->name, in[axis], scale_of(n, axis), out[axis]);
    cn_onnx_floats(n->g, cn_onnx_parameter_name(name, n, "scales"), 1, (const int[]){2}, values);
    return name;
}

/* Where the part of the image begins and ends; "" where it is all of it. */
static const char *write_crop(const node *n, char name[CN_ONNX_NAME])
{
    const cn_resize_opts *o = n->layer->options;
    const float part[] = {(float)o->crop_y, (float)o->crop_x, (float)(o->crop_y + o->crop_h),
                          (float)(o->crop_x + o->crop_w)};
    if (o->coordinates != CN_COORDINATES_CROP) return "";
    cn_onnx_floats(n->g, cn_onnx_parameter_name(name, n, "roi"), 1, (const int[]){4}, part);
    return name;
}

void cn_onnx_resize(const node *n)
{
    static const char *const methods[] = {"nearest", "linear", "cubic"};
    static const char *const places[] = {"half_pixel",           "pytorch_half_pixel",
                                         "align_corners",        "asymmetric",
                                         "half_pixel_symmetric", "tf_crop_and_resize"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    const cn_resize_opts *o = n->layer->options;
    char name[CN_ONNX_NAME], part[CN_ONNX_NAME];
    bool scales;
    const char *numbers = write_sizes(n, &scales, name), *crop = write_crop(n, part);
    size_t begin = cn_onnx_node(n->g, "Resize", n->layer->name,
                                scales ? (const char *[]){n->x, crop, numbers, NULL}
                                       : (const char *[]){n->x, crop, "", numbers, NULL},
                                n->layer->name);
    cn_onnx_ints(n->g, "axes", 2, (const int[]){2, 3});
    cn_onnx_text(n->g, "mode", methods[o->method]);
    cn_onnx_text(n->g, "coordinate_transformation_mode", places[o->coordinates]);
    if (o->method == CN_RESIZE_NEAREST) cn_onnx_text(n->g, "nearest_mode", roundings[o->rounding]);
    if (o->method == CN_RESIZE_CUBIC) cn_onnx_float(n->g, "cubic_coeff_a", o->cubic);
    if (o->inside) cn_onnx_int(n->g, "exclude_outside", 1);
    if (o->antialias) cn_onnx_int(n->g, "antialias", 1);
    if (crop[0] && o->outside != 0) cn_onnx_float(n->g, "extrapolation_value", o->outside);
    cn_onnx_end(n->g, begin);
}

/* ---- pad2d */

void cn_onnx_pad(const node *n)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const cn_pad_opts *o = n->layer->options;
    const float value = (float)o->value;
    const int pads[] = {0, 0, o->pads[0], o->pads[1], 0, 0, o->pads[2], o->pads[3]};
    char numbers[CN_ONNX_NAME], constant[CN_ONNX_NAME];
    cn_onnx_integers(n->g, cn_onnx_parameter_name(numbers, n, "pads"), 8, pads);
    const bool filled = o->mode == CN_PAD_CONSTANT;
    if (filled) cn_onnx_floats(n->g, cn_onnx_parameter_name(constant, n, "value"), 0, NULL, &value);
    size_t begin = cn_onnx_node(n->g, "Pad", n->layer->name,
                                (const char *[]){n->x, numbers, filled ? constant : NULL, NULL},
                                n->layer->name);
    cn_onnx_text(n->g, "mode", modes[o->mode]);
    cn_onnx_end(n->g, begin);
}

/* ---- along the channels */

void cn_onnx_log_softmax(const node *n)
{
    size_t begin = cn_onnx_node(n->g, "LogSoftmax", n->layer->name, (const char *[]){n->x, NULL},
                                n->layer->name);
    cn_onnx_int(n->g, "axis", 1);
    cn_onnx_end(n->g, begin);
}

void cn_onnx_local_response_norm(const node *n)
{
    const cn_local_response_norm_opts *o = n->layer->options;
    size_t begin =
        cn_onnx_node(n->g, "LRN", n->layer->name, (const char *[]){n->x, NULL}, n->layer->name);
    cn_onnx_int(n->g, "size", o->size);
    cn_onnx_float(n->g, "alpha", o->alpha);
    cn_onnx_float(n->g, "beta", o->beta);
    cn_onnx_float(n->g, "bias", o->bias);
    cn_onnx_end(n->g, begin);
}

/*
 * operators_image.c - images of another size: Pad, Resize, Upsample, and channels that become pixels.
 */
#include "onnx/operators.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pad */

static bool read_mode(const cn_graph_node *node, cn_pad_mode *mode)
{
    static const char *const words[] = {"constant", "reflect", "edge", "wrap"};
    for (int i = 0; i < 4; i++)
        if (cn_onnx_get_is(node, "mode", words[i], "constant")) {
            *mode = (cn_pad_mode)i;
            return true;
        }
    return false;
}

/* The pads of the node, before and after each logical axis. */
static cn_status read_pads(cn_importer *im, const cn_value *v, int pads_of[CN_ONNX_RANK][2])
{
    int64_t pads[2 * CN_ONNX_RANK], axes[CN_ONNX_RANK];
    int count, n_axes;
    const char *name = cn_onnx_attribute_find(im->node, "paddings") ? "paddings" : "pads";
    cn_status status = cn_import_ints(im, 1, name, pads, 2 * CN_ONNX_RANK, &count);
    if (status == CN_OK) status = cn_import_ints(im, 3, NULL, axes, CN_ONNX_RANK, &n_axes);
    if (status != CN_OK) return status;
    if (n_axes == 0)
        for (n_axes = 0; n_axes < v->layout.rank + 1; n_axes++) axes[n_axes] = n_axes;
    if (count != 2 * n_axes) return cn_import_fail(im, CN_ERR_FORMAT, "%d pads", count);
    for (int i = 0; i < n_axes; i++)
        for (int side = 0; side < 2; side++) {
            const int64_t pad = pads[side * n_axes + i];
            const int axis = cn_logical_axis(v, axes[i]);
            if (pad == 0) continue;
            if (axis < 0 || pad > INT_MAX / 4 || pad < -INT_MAX / 4)
                return cn_import_unsupported(im, "of examples");
            pads_of[axis][side] = (int)pad;
        }
    return CN_OK;
}

/* An order of the logical axes in memory with those that are padded, at most two of three, before the
 * last: the present one, where that is such, since most often it is rows, columns, channels. */
static bool padded_first(const cn_layout *l, int pads_of[CN_ONNX_RANK][2], int *order)
{
    int present[CN_ONNX_RANK], count = 0;
    const int rank = l->rank, last = rank > 1 ? rank - 1 : rank;
    if (rank < 1 || rank > 3) return false;
    if (!cn_layout_order(l, present))
        for (int k = 0; k < rank; k++) present[k] = (k + 1) % rank;
    for (int pass = 0; pass < 2; pass++) /* those that are padded, then the others */
        for (int k = 0; k < rank; k++) {
            const int *pads = pads_of[present[k]];
            if ((pads[0] || pads[1]) == (pass == 0)) order[count++] = present[k];
        }
    const int *end = pads_of[order[rank - 1]];
    if (last < rank && (end[0] || end[1])) return false;
    const int *now = pads_of[present[rank - 1]];
    if (last == rank || (now[0] == 0 && now[1] == 0))
        memcpy(order, present, (size_t)rank * sizeof *order);
    return true;
}

/* The layers that add, and those that take away where a pad is negative. */
static cn_status add_pads(cn_importer *im, cn_pad_opts *more, const cn_pads_opts *less, cn_node *x)
{
    const bool zeros = more->mode == CN_PAD_CONSTANT && more->value == 0;
    cn_pads_opts plain = {.name = NULL};
    memcpy(plain.pads, more->pads, sizeof plain.pads);
    cn_status status = zeros ? cn_import_add(im, "zero_pad2d", &plain, x, 1, NULL, x)
                             : cn_import_add(im, "pad2d", more, x, 1, NULL, x);
    if (status == CN_OK && (less->pads[0] || less->pads[1] || less->pads[2] || less->pads[3]))
        status = cn_import_add(im, "crop2d", less, x, 1, NULL, x);
    return status;
}

static cn_status import_pad(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    cn_onnx_constant *value;
    int pads_of[CN_ONNX_RANK][2] = {{0}}, order[CN_ONNX_RANK], dims[CN_ONNX_RANK],
        size[3] = {1, 1, 1};
    cn_node x;
    cn_pad_opts more = {.name = NULL};
    cn_pads_opts less = {.name = NULL};
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status == CN_OK) status = cn_import_constant(im, 2, &value);
    if (status == CN_OK) status = read_pads(im, given, pads_of);
    if (status != CN_OK) return status;
    if (!read_mode(node, &more.mode)) return cn_import_unsupported(im, "its mode");
    more.value = value && value->real && value->count == 1 ? cn_onnx_decimal(value->reals[0])
                                                           : cn_onnx_get_decimal(node, "value", 0);
    if (!isfinite(more.value)) more.value = more.value > 0 ? 3e38 : -3e38;
    cn_value v = *given;
    const int rank = v.layout.rank;
    if (!padded_first(&v.layout, pads_of, order))
        return cn_import_unsupported(im, "of more than two axes of an example");
    status = cn_value_order(im, &v, order);
    /* (rows, columns, channels), (columns, channels), (columns) */
    const int first = rank == 3 ? 0 : 1;
    for (int k = 0; k < rank; k++) {
        const int *pads = pads_of[order[k]];
        size[first + k] = v.layout.dims[order[k]];
        dims[order[k]] = size[first + k] + pads[0] + pads[1];
        for (int side = 0; side < 2 && first + k < 2; side++)
            (pads[side] > 0 ? more.pads : less.pads)[2 * side + first + k] = abs(pads[side]);
    }
    if (status == CN_OK) status = cn_value_image(im, &v, size[0], size[1], size[2], &x);
    if (status == CN_OK) status = add_pads(im, &more, &less, &x);
    if (status != CN_OK) return status;
    cn_layout_set(&v.layout, rank, dims, order);
    cn_give(im, 0, x, &v.layout);
    return CN_OK;
}

/* ---- Resize, Upsample */

typedef struct resizing {
    double scale[CN_ONNX_RANK]; /* of every axis, the batch's too; 0: not given */
    int64_t size[CN_ONNX_RANK]; /* 0: not given */
} resizing;

/* Numbers of input i, one per axis that the node names, or, without names, for every axis. */
static cn_status read_numbers(cn_importer *im, int i, int rank, bool sizes, resizing *r)
{
    cn_onnx_constant *c;
    int64_t axes[CN_ONNX_RANK];
    cn_status status = cn_import_constant(im, i, &c);
    if (status != CN_OK || !c || c->count == 0) return status;
    int count = cn_onnx_get_ints(im->node, "axes", axes, CN_ONNX_RANK);
    if (count == 0)
        for (; count < rank; count++) axes[count] = count;
    if (count < 0 || c->count != (size_t)count || c->real == sizes)
        return cn_import_fail(im, CN_ERR_FORMAT, "%zu sizes or scales", c->count);
    for (int k = 0; k < count; k++) {
        const int64_t axis = axes[k] < 0 ? axes[k] + rank : axes[k];
        if (axis < 0 || axis >= rank) return cn_import_fail(im, CN_ERR_FORMAT, "axis %d", k);
        if (axis == 0 && c->of_batch && c->of_batch[k]) continue;
        if (c->of_batch && c->of_batch[k])
            return cn_import_unsupported(im, "by the number of examples");
        if (sizes && !(axis == 0 && c->ints[k] == im->batch)) r->size[axis] = c->ints[k];
        if (!sizes) r->scale[axis] = cn_onnx_decimal(c->reals[k]);
    }
    return CN_OK;
}

static cn_status read_resizing(cn_importer *im, const cn_value *v, resizing *r)
{
    const int rank = v->layout.rank + 1;
    float scales[CN_ONNX_RANK];
    *r = (resizing){.scale = {0}};
    if (cn_onnx_attribute_find(im->node, "scales")) { /* Upsample of version 7 */
        if (cn_onnx_get_floats(im->node, "scales", scales, CN_ONNX_RANK) != rank)
            return cn_import_malformed(im, "scales");
        for (int k = 0; k < rank; k++) r->scale[k] = (double)scales[k];
        return CN_OK;
    }
    if (cn_onnx_attribute_find(im->node, "height_scale")) { /* of version 1, for images */
        for (int k = 0; k < rank; k++) r->scale[k] = 1;
        r->scale[rank - 2] = (double)cn_onnx_get_float(im->node, "height_scale", 1);
        r->scale[rank - 1] = (double)cn_onnx_get_float(im->node, "width_scale", 1);
        return CN_OK;
    }
    const bool old = im->file->opset < 11;
    bool given = false;
    cn_status status = read_numbers(im, old ? 1 : 2, rank, false, r);
    if (status == CN_OK && !old) status = read_numbers(im, 3, rank, true, r);
    for (int k = 0; k < rank; k++) given = given || r->scale[k] != 0 || r->size[k] != 0;
    if (status != CN_OK || given) return status;
    return cn_import_malformed(im, "neither scales nor sizes");
}

/* How pixels are found, from the attributes. */
static cn_status read_method(cn_importer *im, cn_resize_opts *o)
{
    static const char *const methods[] = {"nearest", "linear", "cubic"};
    static const char *const places[] = {"half_pixel",           "pytorch_half_pixel",
                                         "align_corners",        "asymmetric",
                                         "half_pixel_symmetric", "tf_crop_and_resize"};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
    const cn_graph_node *node = im->node;
    const bool old = im->file->opset < 11;
    int method = -1, place = old ? 3 : -1, rounding = old ? 2 : -1;
    for (int i = 0; i < 3; i++)
        if (cn_onnx_get_is(node, "mode", methods[i], "nearest")) method = i;
    if (cn_onnx_get_is(node, "mode", "bilinear", "nearest")) method = 1;
    for (int i = 0; i < 6 && !old; i++)
        if (cn_onnx_get_is(node, "coordinate_transformation_mode", places[i], "half_pixel"))
            place = i;
    for (int i = 0; i < 4 && !old; i++)
        if (cn_onnx_get_is(node, "nearest_mode", roundings[i], "round_prefer_floor")) rounding = i;
    if (method < 0 || place < 0 || rounding < 0)
        return cn_import_unsupported(im, "its mode, or how its coordinates are found");
    o->method = (cn_resize_method)method;
    o->coordinates = (cn_coordinates)place;
    o->rounding = (cn_rounding)rounding;
    o->cubic = cn_onnx_get_decimal(node, "cubic_coeff_a", -0.75f);
    o->inside = cn_onnx_get_int(node, "exclude_outside", 0) != 0;
    o->antialias = method > 0 && cn_onnx_get_int(node, "antialias", 0) != 0;
    return CN_OK;
}

/* tf_crop_and_resize: input 1 has where the part of each axis that is named begins, then where they
 * end. `axes` are those of pixels, 1 or 2. */
static cn_status read_crop(cn_importer *im, int axes, cn_resize_opts *o)
{
    const int rank = axes + 2;
    double *const crop[2][2] = {{&o->crop_y, &o->crop_h}, {&o->crop_x, &o->crop_w}};
    cn_onnx_constant *c;
    int64_t named[CN_ONNX_RANK];
    if (o->coordinates != CN_COORDINATES_CROP) return CN_OK;
    o->outside = cn_onnx_get_decimal(im->node, "extrapolation_value", 0);
    cn_status status = cn_import_constant(im, 1, &c);
    if (status != CN_OK) return status;
    int count = cn_onnx_get_ints(im->node, "axes", named, CN_ONNX_RANK);
    if (count == 0)
        for (; count < rank; count++) named[count] = count;
    if (!c || !c->real || count < 0 || c->count != 2 * (size_t)count)
        return cn_import_malformed(im, "the part of the image that it takes");
    for (int k = 0; k < count; k++) {
        const int64_t axis = named[k] < 0 ? named[k] + rank : named[k], place = axis - axes;
        const double begin = cn_onnx_decimal(c->reals[k]),
                     end = cn_onnx_decimal(c->reals[count + k]);
        if (axis < 0 || axis >= rank) return cn_import_fail(im, CN_ERR_FORMAT, "axis %d", k);
        if (!isfinite(begin) || !isfinite(end) || (axis > 1 && begin == end))
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a part from %g to %g", begin, end);
        if (axis < 2 && (begin != 0 || end != 1))
            return cn_import_unsupported(im, "of examples or channels");
        if (axis < 2) continue;
        *crop[place][0] = begin;
        *crop[place][1] = end - begin;
    }
    return CN_OK;
}

/* Whole factors, from the middle of pixels: what upsample2d is for. It rounds linear shares in another
 * way than resize2d, which is written with sizes: so with sizes it stays that. */
static bool is_upsampling(const cn_resize_opts *o, const int shape[3], bool sizes)
{
    const bool half =
        o->coordinates == CN_COORDINATES_HALF_PIXEL ||
        (o->coordinates == CN_COORDINATES_PYTORCH && o->size[0] > 1 && o->size[1] > 1);
    for (int k = 0; k < 2; k++)
        if (o->size[k] % shape[k] || (k ? o->scale_w : o->scale_h) * shape[k] != o->size[k])
            return false;
    if (o->method == CN_RESIZE_LINEAR) return half && !o->inside && !o->antialias && !sizes;
    if (o->method == CN_RESIZE_CUBIC) return false;
    return o->coordinates == CN_COORDINATES_ASYMMETRIC ? o->rounding == CN_ROUNDING_FLOOR
                                                       : half && o->rounding <= CN_ROUNDING_UP;
}

/* keep_aspect_ratio_policy: one scale for all axes that have a size, the smallest or the largest that
 * the sizes ask for. */
static void keep_aspect(const cn_graph_node *node, const cn_value *v, resizing *r)
{
    const bool larger = cn_onnx_get_is(node, "keep_aspect_ratio_policy", "not_smaller", "stretch");
    double scale = 0;
    if (!larger && !cn_onnx_get_is(node, "keep_aspect_ratio_policy", "not_larger", "stretch"))
        return;
    for (int axis = 1; axis <= v->layout.rank; axis++) {
        const double asked = (double)r->size[axis] / v->layout.dims[axis - 1];
        if (r->size[axis] && (scale == 0 || (larger ? asked > scale : asked < scale)))
            scale = asked;
    }
    for (int axis = 1; axis <= v->layout.rank; axis++) {
        if (!r->size[axis]) continue;
        r->size[axis] = (int64_t)floor(scale * v->layout.dims[axis - 1] + 0.5);
        r->scale[axis] = scale;
    }
}

static cn_status import_resize(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    resizing r;
    cn_resize_opts o = {.size = {1, 1}};
    int shape[3];
    cn_node x;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = read_resizing(im, v, &r);
    if (status == CN_OK) status = read_method(im, &o);
    if (status != CN_OK) return status;
    keep_aspect(node, v, &r);
    const int axes = v->layout.rank - 1;
    const double scales[2] = {r.scale[0], r.scale[1]};
    if ((scales[0] != 0 && scales[0] != 1) || (scales[1] != 0 && scales[1] != 1) || r.size[0] ||
        (r.size[1] && r.size[1] != v->layout.dims[0]))
        return cn_import_unsupported(im, "of examples or channels");
    status = cn_value_pixels(im, v, &x, shape);
    if (status == CN_OK) status = read_crop(im, axes, &o);
    for (int k = 2 - axes; k < 2 && status == CN_OK; k++) {
        const int axis = k + axes; /* counted with the batch's */
        const double given = r.scale[axis];
        const double n =
            r.size[axis] ? (double)r.size[axis] : floor(shape[k] * (given > 0 ? given : 1));
        if (!(n >= 1 && n <= INT_MAX / 4)) return cn_import_fail(im, CN_ERR_FORMAT, "%g pixels", n);
        o.size[k] = (int)n;
        *(k ? &o.scale_w : &o.scale_h) = given > 0 ? given : r.size[axis] ? n / shape[k] : 1;
    }
    if (axes == 1) o.scale_h = 1;
    const cn_upsample_opts whole = {.factor = {o.size[0] / shape[0], o.size[1] / shape[1]},
                                    .method = o.method == CN_RESIZE_LINEAR ? CN_UPSAMPLE_BILINEAR
                                                                           : CN_UPSAMPLE_NEAREST};
    if (status == CN_OK)
        status = is_upsampling(&o, shape, r.size[2] != 0)
                     ? cn_import_add(im, "upsample2d", &whole, &x, 1, NULL, &x)
                     : cn_import_add(im, "resize2d", &o, &x, 1, NULL, &x);
    if (status == CN_OK) cn_give_pixels(im, axes, x, o.size[0], o.size[1], shape[2]);
    return status;
}

/* ---- channels and pixels */

/* The value cut into `rank` axes, these put into another order, and joined to three. */
static cn_status regroup(cn_importer *im, const cn_value *given, const int dims[5],
                         const int order[5], const int out[3])
{
    cn_value v = *given;
    cn_layout turned;
    if (!cn_layout_reshape(&v.layout, 5, dims)) {
        cn_status status = cn_value_order(im, &v, (int[]){0, 1, 2});
        if (status != CN_OK) return status;
        if (!cn_layout_reshape(&v.layout, 5, dims))
            return cn_import_malformed(im, "the block does not divide the image");
    }
    turned = v.layout;
    for (int k = 0; k < 5; k++) {
        turned.dims[k] = v.layout.dims[order[k]];
        turned.parts[k] = v.layout.parts[order[k]];
        memcpy(turned.part[k], v.layout.part[order[k]], sizeof turned.part[k]);
    }
    if (!cn_layout_reshape(&turned, 3, out))
        return cn_import_malformed(im, "the block does not divide the image");
    cn_give(im, 0, v.node, &turned);
    return CN_OK;
}

static cn_status import_depth_to_space(cn_importer *im, const cn_graph_node *node)
{
    static const int dcr[] = {2, 3, 0, 4, 1}, crd[] = {0, 3, 1, 4, 2};
    const cn_value *v;
    cn_status status = cn_import_tensor(im, 0, 3, &v);
    if (status != CN_OK) return status;
    const int64_t block = cn_onnx_get_int(node, "blocksize", 0);
    const int *n = v->layout.dims;
    if (block < 1 || block > 32768 || n[0] % (block * block) || n[1] > INT_MAX / block ||
        n[2] > INT_MAX / block)
        return cn_import_fail(im, CN_ERR_FORMAT, "blocks of %lld", (long long)block);
    const int b = (int)block, c = n[0] / (b * b), out[] = {c, n[1] * b, n[2] * b};
    const bool first = cn_onnx_get_is(node, "mode", "CRD", "DCR");
    return first ? regroup(im, v, (int[]){c, b, b, n[1], n[2]}, crd, out)
                 : regroup(im, v, (int[]){b, b, c, n[1], n[2]}, dcr, out);
}

static cn_status import_space_to_depth(cn_importer *im, const cn_graph_node *node)
{
    static const int order[] = {2, 4, 0, 1, 3};
    const cn_value *v;
    cn_status status = cn_import_tensor(im, 0, 3, &v);
    if (status != CN_OK) return status;
    const int64_t block = cn_onnx_get_int(node, "blocksize", 0);
    const int *n = v->layout.dims;
    if (block < 1 || block > 32768 || n[1] % block || n[2] % block ||
        n[0] > INT_MAX / (block * block))
        return cn_import_fail(im, CN_ERR_FORMAT, "blocks of %lld", (long long)block);
    const int b = (int)block, out[] = {n[0] * b * b, n[1] / b, n[2] / b};
    return regroup(im, v, (int[]){n[0], n[1] / b, b, n[2] / b, b}, order, out);
}

const cn_operator cn_operators_image[] = {
    {"Pad", import_pad},
    {"Resize", import_resize},
    {"Upsample", import_resize},
    {"DepthToSpace", import_depth_to_space},
    {"SpaceToDepth", import_space_to_depth},
    {NULL, NULL},
};

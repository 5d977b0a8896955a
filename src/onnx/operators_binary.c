/*
 * operators_binary.c - functions of two values.
 *
 * Of two tensors, the one with the smaller memory is moved to the order of the other, and both get
 * the shapes that the layer spreads: up to three runs of axes, in each of which both have all
 * elements, or one of them one. A constant is an array that is learnt, or, where it has a number
 * per channel or one for all, a layer of its own kind.
 */
#include "onnx/fold.h"

#include <string.h>

/* ---- a constant on one side */

/* The one number of a constant. */
static bool is_number(const cn_onnx_constant *c, double *number)
{
    if (c->count != 1 || !c->loaded) return false;
    *number = c->real ? cn_onnx_decimal(c->reals[0]) : (double)c->ints[0];
    return true;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* y becomes this tensor; the layout may be its own. */
static cn_status set(cn_value *y, cn_node node, const cn_layout *layout)
{
    const cn_layout l = *layout;
    y->kind = CN_VALUE_TENSOR;
    y->node = node;
    y->layout = l;
    return CN_OK;
}

static cn_status shift(cn_importer *im, const cn_value *x, double offset, cn_value *y)
{
    if (offset == 0) return set(y, x->node, &x->layout);
    return cn_import_map(im, "shift", &(cn_shift_opts){.offset = offset}, x, y);
}

static cn_status scale(cn_importer *im, const cn_value *x, double factor, cn_value *y)
{
    if (factor == 1) return set(y, x->node, &x->layout);
    /* Twice and then half is neither: GELUs are written so. Exact, as other factors are not. */
    const cn_layer *layer = &im->model->layers[x->node];
    if (factor == 0.5 && is(layer->type->name, "scale") &&
        ((const cn_scale_opts *)layer->options)->factor == 2)
        return set(y, layer->inputs[0], &x->layout);
    return cn_import_map(im, "scale", &(cn_scale_opts){.factor = factor}, x, y);
}

/* x with a number; *done tells whether there is a layer for it. */
static cn_status with_number(cn_importer *im, const char *type, const cn_value *x, double number,
                             bool first, cn_value *y, bool *done)
{
    const bool two = number == 2 && !first && is(type, "power");
    const cn_node both[] = {x->node, x->node};
    cn_node node;
    cn_status status = CN_OK;
    *done = true;
    if (is(type, "plus")) return shift(im, x, number, y);
    if (is(type, "subtract") && !first) return shift(im, x, -number, y);
    if (is(type, "multiply") && number != 0) return scale(im, x, number, y);
    if (is(type, "divide") && !first && number != 0) return scale(im, x, 1 / number, y);
    if (is(type, "maximum") && number == 0) return cn_import_map(im, "relu", NULL, x, y);
    if (is(type, "subtract")) {
        status = scale(im, x, -1, y);
        return status == CN_OK ? shift(im, y, number, y) : status;
    }
    if (is(type, "power") && !first && number == 1) return shift(im, x, 0, y);
    if (two) {
        status = cn_import_add(im, "multiply", NULL, both, 2, NULL, &node);
        return status == CN_OK ? set(y, node, &x->layout) : status;
    }
    *done = false;
    return CN_OK;
}

/* The one logical axis along which the constant has more than one element; -1 where there are more,
 * or where it has more elements than the value along an axis. */
static int axis_of(const cn_onnx_constant *c, const cn_layout *l)
{
    int found = -1;
    for (int k = 0; k < c->rank; k++) {
        const int axis = k - (c->rank - l->rank);
        if (c->dims[k] == 1) continue;
        if (found >= 0 || axis < 0 || c->dims[k] != l->dims[axis]) return -1;
        found = axis;
    }
    return found;
}

/* A number per channel, which is the last axis of memory: a scale or a shift of each. */
static cn_status with_channels(cn_importer *im, bool scales, const cn_value *given,
                               cn_onnx_constant *c, int axis, float factor, cn_value *y)
{
    cn_value v = *given;
    cn_node x, node;
    const cn_affine_opts o = {.no_scale = !scales, .no_shift = scales};
    cn_status status = cn_value_channels(im, &v, axis, &x);
    if (status == CN_OK) status = cn_import_add(im, "affine", &o, &x, 1, c, &node);
    if (status == CN_OK)
        status = cn_fill_channels(im, node, scales ? "weight" : "bias", c, v.layout.dims[axis]);
    if (status != CN_OK) return status;
    im->fills[im->fill_count - 1].factor = factor;
    return set(y, node, &v.layout);
}

/* The constant as a value of the model: an array, in channels-last order where it is an image. */
static cn_status as_value(cn_importer *im, cn_onnx_constant *c, int rank, cn_value *v)
{
    static const int orders[4][3] = {{0}, {0}, {1, 0}, {1, 2, 0}};
    int dims[CN_ONNX_RANK], shape[3] = {1, 1, 1};
    size_t strides[CN_ONNX_RANK];
    cn_fill *fill;
    if (rank > 3 || c->rank > rank + 1 || (c->rank == rank + 1 && c->dims[0] != 1))
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a constant of rank %d with a batch",
                              c->rank);
    cn_constant_strides(c, strides);
    for (int k = 0; k < rank; k++) {
        const int own = k + c->rank - rank;
        dims[k] = own < 0 ? 1 : (int)c->dims[own];
    }
    const int *order = orders[rank];
    for (int k = 0; k < rank; k++) shape[3 - rank + k] = dims[order[k]];
    const cn_constant_opts o = {
        .size = {shape[0], shape[1]}, .channels = shape[2], .fixed = !c->learnt || c->count == 1};
    const cn_node input = cn_input(im->model);
    *v = (cn_value){.kind = CN_VALUE_TENSOR};
    cn_status status = cn_import_add(im, "constant", &o, &input, 1, c, &v->node);
    if (status == CN_OK) status = cn_import_fill(im, v->node, "weight", c, &fill);
    if (status != CN_OK) return status;
    for (int k = 0; k < rank; k++) {
        const int own = order[k] + c->rank - rank;
        cn_fill_axis(fill, own < 0 ? 1 : (size_t)c->dims[own], own < 0 ? 0 : strides[own]);
    }
    if (rank == 0) cn_fill_axis(fill, 1, 0);
    cn_layout_set(&v->layout, rank, dims, order);
    return CN_OK;
}

/* x with a constant, which is the first of the two where `first`. */
static cn_status with_constant(cn_importer *im, const char *type, const cn_value *x,
                               cn_onnx_constant *c, bool first, cn_value *y)
{
    double number = 0;
    bool done = false;
    cn_value other;
    cn_status status = c->count == 1 ? cn_constant_load(im, c) : CN_OK;
    if (status != CN_OK) return status;
    if (c->step) return cn_import_unsupported(im, "numbers that differ by example");
    if (!c->real && !first && is(type, "power") && !c->of_batch) {
        cn_onnx_constant *exponent = cn_constant_new(im, true, c->rank, c->dims);
        if (!exponent) return im->err->status;
        status = cn_constant_load(im, c);
        if (status != CN_OK) return status;
        for (size_t i = 0; i < c->count; i++) exponent->reals[i] = (float)c->ints[i];
        c = exponent;
    }
    if (!c->real) return cn_import_unsupported(im, "integers and fractions");
    if (is_number(c, &number)) {
        status = with_number(im, type, x, number, first, y, &done);
        if (done || status != CN_OK) return status;
    }
    const int axis = c->rank <= x->layout.rank + 1 ? axis_of(c, &x->layout) : -1;
    if (axis >= 0 && is(type, "multiply")) return with_channels(im, true, x, c, axis, 1, y);
    if (axis >= 0 && is(type, "plus")) return with_channels(im, false, x, c, axis, 1, y);
    if (axis >= 0 && is(type, "subtract") && !first)
        return with_channels(im, false, x, c, axis, -1, y);
    status = as_value(im, c, x->layout.rank, &other);
    if (status != CN_OK) return status;
    return first ? cn_import_binary(im, type, &other, x, y)
                 : cn_import_binary(im, type, x, &other, y);
}

/* ---- two tensors */

/* A gate: x sigmoid(x), and x hard_sigmoid(x), are layers of their own. */
static cn_status gate(cn_importer *im, const cn_value *x, const cn_value *s, cn_value *y,
                      bool *done)
{
    const cn_layer *layer = &im->model->layers[s->node];
    const char *type = is(layer->type->name, "sigmoid")        ? "silu"
                       : is(layer->type->name, "hard_sigmoid") ? "hard_swish"
                                                               : NULL;
    *done = type && layer->inputs[0] == x->node && cn_layout_same(&x->layout, &s->layout);
    return *done ? cn_import_map(im, type, NULL, x, y) : CN_OK;
}

static bool same_dims(const cn_layout *a, const cn_layout *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

/* The shapes of both for the layer: runs of axes, in memory's order, that are spread alike. */
static bool shapes_of(const cn_layout *a, const cn_layout *b, const int *order, int shape[2][3])
{
    int runs[2][CN_ONNX_RANK], count = 0, last = -1;
    for (int k = 0; k < a->rank; k++) {
        const int u = a->dims[order[k]], v = b->dims[order[k]];
        const int kind = u == v ? 0 : u == 1 ? 1 : 2;
        if (u == 1 && v == 1) continue;
        if (kind != last) runs[0][count] = runs[1][count] = 1, count++;
        last = kind;
        runs[0][count - 1] *= u;
        runs[1][count - 1] *= v;
    }
    if (count > 3) return false;
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < 3; k++)
            shape[side][k] = k < 3 - count ? 1 : runs[side][k - (3 - count)];
    return true;
}

/* Both in one order of logical axes: that of the larger, where it has one. */
static cn_status align(cn_importer *im, cn_value *a, cn_value *b, int *order)
{
    cn_value *larger = cn_layout_count(&a->layout) >= cn_layout_count(&b->layout) ? a : b;
    cn_value *smaller = larger == a ? b : a;
    if (!cn_layout_order(&larger->layout, order) && !cn_layout_order(&smaller->layout, order))
        for (int k = 0; k < a->layout.rank; k++) order[k] = k;
    cn_status status = cn_value_order(im, larger, order);
    return status == CN_OK ? cn_value_order(im, smaller, order) : status;
}

cn_status cn_import_binary(cn_importer *im, const char *type, const cn_value *first,
                           const cn_value *second, cn_value *y)
{
    int order[CN_ONNX_RANK], shape[2][3], dims[CN_ONNX_RANK];
    cn_value v[2] = {*first, *second};
    cn_node x[2] = {v[0].node, v[1].node}, node;
    const cn_layout *a = &v[0].layout, *b = &v[1].layout;
    bool done = false;
    cn_status status = CN_OK;
    if (a->rank != b->rank)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "tensors of rank %d and %d", a->rank + 1,
                              b->rank + 1);
    for (int k = 0; k < a->rank; k++) {
        if (a->dims[k] != b->dims[k] && a->dims[k] != 1 && b->dims[k] != 1)
            return cn_import_fail(im, CN_ERR_FORMAT, "axis %d has %d and %d elements", k + 1,
                                  a->dims[k], b->dims[k]);
        dims[k] = a->dims[k] > b->dims[k] ? a->dims[k] : b->dims[k];
    }
    if (is(type, "multiply")) status = gate(im, &v[0], &v[1], y, &done);
    if (is(type, "multiply") && !done && status == CN_OK) status = gate(im, &v[1], &v[0], y, &done);
    if (done || status != CN_OK) return status;
    const bool equal = same_dims(a, b);
    if (!equal || !cn_layout_same(a, b)) status = align(im, &v[0], &v[1], order);
    if (status != CN_OK) return status;
    const cn_shape *out[2] = {&im->model->layers[v[0].node].out, &im->model->layers[v[1].node].out};
    x[0] = v[0].node, x[1] = v[1].node;
    const bool alike = out[0]->rank == out[1]->rank &&
                       memcmp(out[0]->n, out[1]->n, (size_t)out[0]->rank * sizeof(int)) == 0;
    if (!equal && !shapes_of(a, b, order, shape))
        return cn_import_unsupported(im, "axes spread in more than three runs");
    for (int k = 0; k < 2 && status == CN_OK; k++) {
        if (!equal)
            status = cn_value_image(im, &v[k], shape[k][0], shape[k][1], shape[k][2], &x[k]);
        else if (!alike)
            status = cn_value_row(im, &v[k], &x[k]);
    }
    if (status == CN_OK && equal && is(type, "plus")) type = "add";
    if (status == CN_OK) status = cn_import_add(im, type, NULL, x, 2, NULL, &node);
    if (status != CN_OK) return status;
    y->kind = CN_VALUE_TENSOR;
    y->node = node;
    if (equal)
        y->layout = v[0].layout;
    else
        cn_layout_set(&y->layout, a->rank, dims, order);
    return CN_OK;
}

/* ---- operators */

cn_status cn_import_two(cn_importer *im, const char *type, const cn_value *a, const cn_value *b,
                        cn_value *y)
{
    const cn_value u = *a, v = *b; /* y may be one of them */
    bool done;
    cn_status status = cn_import_part_of_gelu(im, type, &u, &v, y, &done);
    if (done || status != CN_OK) return status;
    if (u.kind == CN_VALUE_CONSTANT) return with_constant(im, type, &v, u.constant, true, y);
    if (v.kind == CN_VALUE_CONSTANT) return with_constant(im, type, &u, v.constant, false, y);
    return cn_import_binary(im, type, &u, &v, y);
}

cn_status cn_import_from_axis(cn_importer *im, const cn_value *x, int64_t axis, cn_value *v)
{
    const int rank = x->layout.rank + 1;
    if (v->kind != CN_VALUE_CONSTANT || x->kind != CN_VALUE_TENSOR) return CN_OK;
    const cn_onnx_constant *c = v->constant;
    if (axis < 0) axis += rank;
    if (axis < 0 || axis + c->rank > rank)
        return cn_import_fail(im, CN_ERR_FORMAT, "axis %lld of %d", (long long)axis, rank);
    if (axis + c->rank == rank) return CN_OK;
    cn_status status = cn_constant_load(im, v->constant);
    if (status != CN_OK) return status;
    walk w = cn_walk_of(c);
    w.rank = rank - (int)axis;
    for (int k = c->rank; k < w.rank; k++) w.dims[k] = 1;
    cn_onnx_constant *spread = cn_walk(im, c, &w);
    if (!spread) return im->err->status;
    spread->tensor.name = c->tensor.name;
    v->constant = spread;
    return CN_OK;
}

static cn_status import_binary(cn_importer *im, const cn_graph_node *node)
{
    static const struct {
        const char *op, *type;
    } names[] = {
        {"Add", "plus"},   {"Sub", "subtract"}, {"Mul", "multiply"},
        {"Div", "divide"}, {"Max", "maximum"},  {"Min", "minimum"},
        {"Pow", "power"},  {"Sum", "plus"},     {"Mean", "plus"},
    };
    const char *type = NULL;
    cn_value *y = cn_import_output(im, 0), sum;
    if (!y) return cn_import_malformed(im, "no output");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cn_span_is(node->op, names[i].op)) type = names[i].type;
    const cn_value *first = cn_import_input(im, 0);
    if (!first || !type) return cn_import_malformed(im, "no input");
    sum = *first;
    if (node->input_count == 1) cn_give(im, 0, sum.node, &sum.layout);
    for (int i = 1; i < node->input_count; i++) {
        const cn_value *given = cn_import_input(im, i);
        if (!given) return cn_import_fail(im, CN_ERR_FORMAT, "input %d is missing", i);
        if (sum.kind == CN_VALUE_CONSTANT && given->kind == CN_VALUE_CONSTANT)
            return cn_import_unsupported(im, "several constants");
        cn_value next = *given;
        cn_status status = CN_OK;
        if (im->file->opset < 7 && cn_onnx_attribute_find(node, "axis"))
            status = cn_import_from_axis(im, &sum, cn_onnx_get_int(node, "axis", 0), &next);
        if (status == CN_OK) status = cn_import_two(im, type, &sum, &next, y);
        if (status != CN_OK) return status;
        sum = *y;
    }
    if (!cn_span_is(node->op, "Mean") || node->input_count == 1) return CN_OK;
    return scale(im, &sum, 1.0 / node->input_count, y);
}

cn_status cn_import_spread(cn_importer *im, cn_onnx_constant *c, int rank, const int64_t *dims)
{
    const int more = c->rank - rank; /* 1: the constant has the batch's axis, too */
    bool fits = c->real && (more == 0 || (more == 1 && c->dims[0] == 1));
    for (int k = 0; k < rank && fits; k++) fits = c->dims[k + more] == dims[k];
    if (!fits) return cn_import_unsupported(im, "a constant of another shape for each example");
    cn_value v;
    cn_status status = as_value(im, c, rank, &v);
    if (status == CN_OK) cn_give(im, 0, v.node, &v.layout);
    return status;
}

/* A value with axes of one element made as long as the shape says. */
static cn_status import_expand(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value zeros = {.kind = CN_VALUE_CONSTANT};
    cn_onnx_constant *shape;
    int64_t dims[CN_ONNX_RANK] = {1};
    bool same = true;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = cn_import_constant(im, 1, &shape);
    if (status != CN_OK) return status;
    const int rank = x->layout.rank + 1;
    if (!shape || shape->real || shape->count > (size_t)rank)
        return cn_import_unsupported(im, "to more axes");
    for (int k = 0; k < (int)shape->count; k++) {
        const int axis = k + rank - (int)shape->count;
        const bool batch = shape->of_batch && shape->of_batch[k];
        dims[axis] = shape->ints[k];
        if (axis == 0 && (batch || dims[0] == 1 || dims[0] == im->batch)) continue;
        if (axis == 0 || batch) return cn_import_unsupported(im, "of examples");
        same = same && (dims[axis] == 1 || dims[axis] == x->layout.dims[axis - 1]);
    }
    for (int axis = 1; axis < rank - (int)shape->count; axis++) dims[axis] = 1;
    dims[0] = 1;
    if (same) return cn_give(im, 0, x->node, &x->layout), CN_OK;
    zeros.constant = cn_constant_new(im, true, rank, dims);
    if (!zeros.constant) return im->err->status;
    return cn_import_two(im, "plus", x, &zeros, cn_import_output(im, 0));
}

const cn_operator cn_operators_binary[] = {
    {"Add", import_binary},    {"Sub", import_binary}, {"Mul", import_binary},
    {"Div", import_binary},    {"Max", import_binary}, {"Min", import_binary},
    {"Pow", import_binary},    {"Sum", import_binary}, {"Mean", import_binary},
    {"Expand", import_expand}, {NULL, NULL},
};

/*
 * fold.c - operators of constants alone: what exporters write down to calculate with shapes.
 *
 * Integers may be multiples of the number of examples, which is not known: Shape of a batch begins
 * with such a one. It may be passed on, multiplied and divided; what would have to know it is not
 * supported.
 */
#include "onnx/operators.h"

#include <math.h>
#include <string.h>

static cn_status of_batch_error(cn_importer *im)
{
    return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a calculation with the number of examples");
}

static bool is_of_batch(const cn_onnx_constant *c, size_t i)
{
    return c->of_batch && c->of_batch[i];
}

static cn_status give(cn_importer *im, int output, cn_onnx_constant *c)
{
    cn_value *y = cn_import_output(im, output);
    if (!c) return im->err->status;
    if (!y) return CN_OK;
    y->kind = CN_VALUE_CONSTANT;
    y->constant = c;
    return CN_OK;
}

/* Room for marks of multiples of the batch, where `like` has them. */
static bool mark_like(cn_importer *im, cn_onnx_constant *c, bool marked)
{
    if (!marked || c->real) return true;
    c->of_batch = cn_allocate(c->count + 1, sizeof *c->of_batch, im->file->path, im->err);
    return c->of_batch != NULL;
}

static void copy_element(cn_onnx_constant *to, size_t i, const cn_onnx_constant *from, size_t j)
{
    if (to->real)
        to->reals[i] = from->real ? from->reals[j] : (float)from->ints[j];
    else
        to->ints[i] = from->real ? (int64_t)from->reals[j] : from->ints[j];
    if (to->of_batch) to->of_batch[i] = is_of_batch(from, j);
}

/* ---- elements in another arrangement: y[i] = x[start + i . strides] */

typedef struct walk {
    int rank;
    int64_t dims[CN_ONNX_RANK], strides[CN_ONNX_RANK], start;
} walk;

static cn_onnx_constant *arrange(cn_importer *im, const cn_onnx_constant *x, const walk *w)
{
    cn_onnx_constant *y = cn_constant_new(im, x->real, w->rank, w->dims);
    if (!y || !mark_like(im, y, x->of_batch != NULL)) return NULL;
    int64_t index[CN_ONNX_RANK] = {0}, at = w->start;
    for (size_t i = 0; i < y->count; i++) {
        copy_element(y, i, x, (size_t)at);
        for (int k = w->rank - 1; k >= 0; k--) {
            at += w->strides[k];
            if (++index[k] < w->dims[k]) break;
            at -= w->strides[k] * w->dims[k];
            index[k] = 0;
        }
    }
    y->learnt = x->learnt;
    return y;
}

static walk walk_of(const cn_onnx_constant *x)
{
    walk w = {.rank = x->rank};
    size_t strides[CN_ONNX_RANK];
    cn_constant_strides(x, strides);
    for (int k = 0; k < x->rank; k++) {
        w.dims[k] = x->dims[k];
        w.strides[k] = (int64_t)strides[k];
    }
    return w;
}

/* The constant with another shape of as many elements. */
static cn_status give_reshaped(cn_importer *im, const cn_onnx_constant *x, int rank,
                               const int64_t *dims)
{
    walk w = {.rank = rank};
    int64_t stride = 1;
    for (int k = rank - 1; k >= 0; k--) {
        w.dims[k] = dims[k];
        w.strides[k] = stride;
        if (dims[k] < 0 || (dims[k] && stride > (int64_t)x->count)) stride = 0;
        stride *= dims[k] < 0 ? 0 : dims[k];
    }
    if (stride != (int64_t)x->count)
        return cn_import_fail(im, CN_ERR_FORMAT, "a shape of another number of elements");
    return give(im, 0, arrange(im, x, &w));
}

/* Input i, loaded; an error where it is left out. */
static cn_status input(cn_importer *im, int i, cn_onnx_constant **c)
{
    cn_status status = cn_import_constant(im, i, c);
    if (status == CN_OK && !*c)
        status = cn_import_fail(im, CN_ERR_FORMAT, "input %d is missing", i);
    return status;
}

static cn_status same(cn_importer *im, const cn_graph_node *node)
{
    cn_value *x = cn_import_input(im, 0), *y = cn_import_output(im, 0);
    (void)node;
    if (!x || !y) return cn_import_fail(im, CN_ERR_FORMAT, "no input or no output");
    y->kind = x->kind;
    y->constant = x->constant;
    return CN_OK;
}

static cn_status cast(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *like = NULL;
    int64_t type = cn_onnx_get_int(node, "to", CN_ONNX_FLOAT);
    cn_status status = input(im, 0, &x);
    if (status == CN_OK && cn_span_is(node->op, "CastLike")) {
        status = input(im, 1, &like);
        if (status == CN_OK) type = like->real ? CN_ONNX_FLOAT : CN_ONNX_INT64;
    }
    if (status != CN_OK) return status;
    if (cn_onnx_type_size(type) == 0)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "elements of type %lld", (long long)type);
    if (cn_onnx_type_is_real(type) == x->real) return same(im, node);
    for (size_t i = 0; i < x->count; i++) {
        if (!x->real && is_of_batch(x, i)) return of_batch_error(im);
        if (x->real && !(fabsf(x->reals[i]) < 0x1p62f))
            return cn_import_fail(im, CN_ERR_FORMAT, "a fraction that is no integer");
    }
    cn_onnx_constant *y = cn_constant_new(im, !x->real, x->rank, x->dims);
    if (!y) return im->err->status;
    for (size_t i = 0; i < x->count; i++) copy_element(y, i, x, i);
    return give(im, 0, y);
}

static cn_status constant(cn_importer *im, const cn_graph_node *node)
{
    const cn_onnx_attribute *value = cn_onnx_attribute_find(node, "value"), *a;
    float reals[64];
    int64_t ints[64], one = 1;
    int count = 1;
    if (value) {
        cn_onnx_tensor t;
        cn_status status = cn_onnx_tensor_read(&t, value->tensor, im->file->path, im->err);
        if (status != CN_OK) return status;
        if (t.external)
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "external data of an attribute");
        status = cn_onnx_tensor_check(im->file, &t, im->err);
        if (status != CN_OK) return status;
        cn_onnx_constant *c = cn_constant_new(im, cn_onnx_type_is_real(t.type), t.rank, t.dims);
        if (!c) return im->err->status;
        status = c->real ? cn_onnx_tensor_reals(im->file, &t, c->reals, im->err)
                         : cn_onnx_tensor_ints(im->file, &t, c->ints, im->err);
        return status == CN_OK ? give(im, 0, c) : status;
    }
    const bool real =
        cn_onnx_attribute_find(node, "value_float") || cn_onnx_attribute_find(node, "value_floats");
    const bool single =
        cn_onnx_attribute_find(node, "value_float") || cn_onnx_attribute_find(node, "value_int");
    if ((a = cn_onnx_attribute_find(node, "value_float")))
        reals[0] = a->f;
    else if ((a = cn_onnx_attribute_find(node, "value_int")))
        ints[0] = a->i;
    else if (real)
        count = cn_onnx_get_floats(node, "value_floats", reals, 64);
    else if (cn_onnx_attribute_find(node, "value_ints"))
        count = cn_onnx_get_ints(node, "value_ints", ints, 64);
    else
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a constant of another kind");
    if (count < 0) return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a list of more than 64");
    if (!single) one = count;
    cn_onnx_constant *c = cn_constant_new(im, real, !single, &one);
    if (!c) return im->err->status;
    for (int i = 0; i < count; i++)
        if (real)
            c->reals[i] = reals[i];
        else
            c->ints[i] = ints[i];
    return give(im, 0, c);
}

static cn_status constant_of_shape(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *shape;
    const cn_onnx_attribute *value = cn_onnx_attribute_find(node, "value");
    cn_onnx_tensor t = {.type = CN_ONNX_FLOAT};
    float real = 0;
    int64_t whole = 0;
    cn_status status = input(im, 0, &shape);
    if (status == CN_OK && value) {
        status = cn_onnx_tensor_read(&t, value->tensor, im->file->path, im->err);
        if (status == CN_OK && (t.external || t.count != 1))
            status = cn_import_fail(im, CN_ERR_FORMAT, "a value of one element expected");
        if (status == CN_OK) status = cn_onnx_tensor_check(im->file, &t, im->err);
        if (status == CN_OK)
            status = cn_onnx_type_is_real(t.type)
                         ? cn_onnx_tensor_reals(im->file, &t, &real, im->err)
                         : cn_onnx_tensor_ints(im->file, &t, &whole, im->err);
    }
    if (status != CN_OK) return status;
    if (shape->real || shape->count > CN_ONNX_RANK)
        return cn_import_fail(im, CN_ERR_FORMAT, "a shape of at most %d integers expected",
                              CN_ONNX_RANK);
    for (size_t i = 0; i < shape->count; i++)
        if (is_of_batch(shape, i)) return of_batch_error(im);
    cn_onnx_constant *c =
        cn_constant_new(im, cn_onnx_type_is_real(t.type), (int)shape->count, shape->ints);
    if (!c) return im->err->status;
    for (size_t i = 0; i < c->count; i++)
        if (c->real)
            c->reals[i] = real;
        else
            c->ints[i] = whole;
    return give(im, 0, c);
}

/* ---- shapes */

/* An axis counted from the end where it is negative; -1 where it is none. */
static int axis_of(int64_t axis, int rank)
{
    if (axis < 0) axis += rank;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

static cn_status no_axis(cn_importer *im)
{
    return cn_import_fail(im, CN_ERR_FORMAT, "an axis that is none");
}

static cn_status unsqueeze(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t axes[CN_ONNX_RANK], dims[CN_ONNX_RANK];
    bool added[CN_ONNX_RANK] = {false};
    int count, at = 0;
    (void)node;
    cn_status status = input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    const int rank = x->rank + count;
    if (rank > CN_ONNX_RANK) return no_axis(im);
    for (int i = 0; i < count; i++) {
        int axis = axis_of(axes[i], rank);
        if (axis < 0 || added[axis]) return no_axis(im);
        added[axis] = true;
    }
    if (x->step && added[0]) return of_batch_error(im);
    for (int k = 0; k < rank; k++) dims[k] = added[k] ? 1 : x->dims[at++];
    status = give_reshaped(im, x, rank, dims);
    cn_value *y = cn_import_output(im, 0);
    if (status == CN_OK && y) y->constant->step = x->step;
    return status;
}

static cn_status squeeze(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t axes[CN_ONNX_RANK], dims[CN_ONNX_RANK];
    bool gone[CN_ONNX_RANK] = {false};
    int count, rank = 0;
    (void)node;
    cn_status status = input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int i = 0; i < count; i++) {
        int axis = axis_of(axes[i], x->rank);
        if (axis < 0) return no_axis(im);
        gone[axis] = true;
    }
    for (int k = 0; k < x->rank; k++) {
        if (count == 0 ? x->dims[k] == 1 : gone[k]) continue;
        dims[rank++] = x->dims[k];
    }
    return give_reshaped(im, x, rank, dims);
}

static cn_status reshape(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t shape[CN_ONNX_RANK], known = 1;
    int count, unknown = -1;
    cn_status status = input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "shape", shape, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int k = 0; k < count; k++) {
        if (shape[k] == 0 && !cn_onnx_get_int(node, "allowzero", 0) && k < x->rank)
            shape[k] = x->dims[k];
        if (shape[k] == -1)
            unknown = k;
        else if (shape[k] < 0 || (shape[k] && known > (int64_t)x->count / shape[k] + 1))
            return cn_import_fail(im, CN_ERR_FORMAT, "a shape of another number of elements");
        else
            known *= shape[k];
    }
    if (unknown >= 0) shape[unknown] = known ? (int64_t)x->count / known : 0;
    return give_reshaped(im, x, count, shape);
}

static cn_status transpose(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t perm[CN_ONNX_RANK];
    cn_status status = input(im, 0, &x);
    if (status != CN_OK) return status;
    int count = cn_onnx_get_ints(node, "perm", perm, CN_ONNX_RANK);
    walk from = walk_of(x), w = {.rank = x->rank};
    if (count != 0 && count != x->rank) return no_axis(im);
    for (int k = 0; k < x->rank; k++) {
        int axis = count ? axis_of(perm[k], x->rank) : x->rank - 1 - k;
        if (axis < 0) return no_axis(im);
        w.dims[k] = from.dims[axis];
        w.strides[k] = from.strides[axis];
    }
    if (x->rank == 0) return same(im, node);
    cn_onnx_constant *y = arrange(im, x, &w);
    return give(im, 0, y);
}

static cn_status expand(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *to;
    int64_t shape[CN_ONNX_RANK];
    int count;
    (void)node;
    cn_status status = input(im, 0, &x);
    if (status == CN_OK) status = cn_import_constant(im, 1, &to);
    if (status != CN_OK) return status;
    if (to && !to->real && to->count && is_of_batch(to, 0) && to->ints[0] == 1 &&
        to->count <= CN_ONNX_RANK)
        return cn_import_spread(im, x, (int)to->count - 1, to->ints + 1);
    status = cn_import_ints(im, 1, NULL, shape, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    walk from = walk_of(x), w = {.rank = count > x->rank ? count : x->rank};
    for (int k = 0; k < w.rank; k++) {
        int own = k - (w.rank - x->rank), asked = k - (w.rank - count);
        int64_t a = own < 0 ? 1 : x->dims[own], b = asked < 0 ? 1 : shape[asked];
        if (a != b && a != 1 && b != 1) return no_axis(im);
        w.dims[k] = a == 1 ? b : a;
        w.strides[k] = a == 1 ? 0 : from.strides[own];
    }
    return give(im, 0, arrange(im, x, &w));
}

static cn_status gather(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *indices;
    cn_status status = input(im, 0, &x);
    if (status == CN_OK) status = input(im, 1, &indices);
    if (status != CN_OK) return status;
    int axis = axis_of(cn_onnx_get_int(node, "axis", 0), x->rank);
    if (x->step || indices->step) return of_batch_error(im);
    if (axis < 0 || indices->real || x->rank - 1 + indices->rank > CN_ONNX_RANK) return no_axis(im);
    int64_t dims[CN_ONNX_RANK], outer = 1, inner = 1, n = x->dims[axis];
    int rank = 0;
    for (int k = 0; k < axis; k++) outer *= dims[rank++] = x->dims[k];
    for (int k = 0; k < indices->rank; k++) dims[rank++] = indices->dims[k];
    for (int k = axis + 1; k < x->rank; k++) inner *= dims[rank++] = x->dims[k];
    cn_onnx_constant *y = cn_constant_new(im, x->real, rank, dims);
    if (!y || !mark_like(im, y, x->of_batch != NULL)) return im->err->status;
    size_t at = 0;
    for (int64_t o = 0; o < outer; o++)
        for (size_t j = 0; j < indices->count; j++) {
            int64_t index = indices->ints[j] < 0 ? indices->ints[j] + n : indices->ints[j];
            if (index < 0 || index >= n || is_of_batch(indices, j)) return no_axis(im);
            for (int64_t k = 0; k < inner; k++)
                copy_element(y, at++, x, (size_t)((o * n + index) * inner + k));
        }
    return give(im, 0, y);
}

static cn_status slice(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t starts[CN_ONNX_RANK], ends[CN_ONNX_RANK], axes[CN_ONNX_RANK], steps[CN_ONNX_RANK];
    int count, n_ends, n_axes, n_steps;
    (void)node;
    cn_status status = input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "starts", starts, CN_ONNX_RANK, &count);
    if (status == CN_OK) status = cn_import_ints(im, 2, "ends", ends, CN_ONNX_RANK, &n_ends);
    if (status == CN_OK) status = cn_import_ints(im, 3, "axes", axes, CN_ONNX_RANK, &n_axes);
    if (status == CN_OK) status = cn_import_ints(im, 4, "steps", steps, CN_ONNX_RANK, &n_steps);
    if (status != CN_OK) return status;
    walk w = walk_of(x);
    if (n_ends != count || (n_axes && n_axes != count) || (n_steps && n_steps != count))
        return no_axis(im);
    for (int i = 0; i < count; i++) {
        int axis = axis_of(n_axes ? axes[i] : i, x->rank);
        int64_t step = n_steps ? steps[i] : 1;
        if (axis < 0 || step == 0) return no_axis(im);
        int64_t n = x->dims[axis], low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
        int64_t from = starts[i] < 0 ? starts[i] + n : starts[i];
        int64_t to = ends[i] < -n ? low : ends[i] < 0 ? ends[i] + n : ends[i];
        from = from < 0 ? 0 : from > high ? high : from;
        to = to < low ? low : to > high ? high : to;
        int64_t length = step > 0 ? to - from : from - to, size = step > 0 ? step : -step;
        w.dims[axis] = length > 0 ? (length - 1) / size + 1 : 0;
        w.start += from * w.strides[axis];
        w.strides[axis] *= w.dims[axis] > 1 ? step : 1;
    }
    return give(im, 0, arrange(im, x, &w));
}

static cn_status concat(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *first;
    bool marked = false;
    cn_status status = input(im, 0, &first);
    if (status != CN_OK) return status;
    int axis = axis_of(cn_onnx_get_int(node, "axis", 0), first->rank);
    if (axis < 0) return no_axis(im);
    int64_t dims[CN_ONNX_RANK], outer = 1, inner = 1;
    memcpy(dims, first->dims, sizeof dims);
    dims[axis] = 0;
    for (int i = 0; i < node->input_count; i++) {
        status = input(im, i, &x);
        if (status != CN_OK) return status;
        if (x->rank != first->rank || x->real != first->real) return no_axis(im);
        for (int k = 0; k < x->rank; k++)
            if (k != axis && x->dims[k] != first->dims[k]) return no_axis(im);
        dims[axis] += x->dims[axis];
        marked = marked || x->of_batch;
    }
    for (int k = 0; k < axis; k++) outer *= dims[k];
    for (int k = axis + 1; k < first->rank; k++) inner *= dims[k];
    cn_onnx_constant *y = cn_constant_new(im, first->real, first->rank, dims);
    if (!y || !mark_like(im, y, marked)) return im->err->status;
    size_t at = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int i = 0; i < node->input_count; i++) {
            status = input(im, i, &x);
            if (status != CN_OK) return status;
            const size_t block = (size_t)(x->dims[axis] * inner);
            for (size_t k = 0; k < block; k++) copy_element(y, at++, x, (size_t)o * block + k);
        }
    return give(im, 0, y);
}

static cn_status range(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *c[3];
    double v[3];
    (void)node;
    for (int i = 0; i < 3; i++) {
        cn_status status = input(im, i, &c[i]);
        if (status != CN_OK) return status;
        if (c[i]->count != 1 || (is_of_batch(c[i], 0) && i != 1)) return of_batch_error(im);
        v[i] = c[i]->real ? (double)c[i]->reals[0] : (double)c[i]->ints[0];
    }
    const bool of_batch = is_of_batch(c[1], 0);
    if (of_batch && (c[0]->real || v[0] != 0 || v[1] != 1 || v[2] != 1)) return of_batch_error(im);
    double n = ceil((v[1] - v[0]) / v[2]);
    if (!(n < 1e9)) return cn_import_fail(im, CN_ERR_FORMAT, "a range without an end");
    int64_t count = n > 0 ? (int64_t)n : 0;
    cn_onnx_constant *y = cn_constant_new(im, c[0]->real, 1, &count);
    if (!y) return im->err->status;
    for (int64_t i = 0; i < count; i++)
        if (y->real)
            y->reals[i] = (float)(v[0] + (double)i * v[2]);
        else
            y->ints[i] = c[0]->ints[0] + i * c[2]->ints[0];
    y->step = of_batch; /* 0, 1, .. up to the number of examples */
    return give(im, 0, y);
}

static cn_status shape(cn_importer *im, const cn_graph_node *node)
{
    cn_value *x = cn_import_input(im, 0);
    (void)node;
    if (!x || x->kind != CN_VALUE_CONSTANT) return cn_import_fail(im, CN_ERR_FORMAT, "no constant");
    if (x->constant->step) return of_batch_error(im);
    int64_t rank = x->constant->rank;
    cn_onnx_constant *y = cn_constant_new(im, false, 1, &rank);
    if (!y) return im->err->status;
    memcpy(y->ints, x->constant->dims, (size_t)rank * sizeof *y->ints);
    return give(im, 0, y);
}

/* ---- arithmetic */

typedef struct arithmetic {
    const char *op;
    double (*real)(double a, double b);
    bool (*whole)(int64_t a, int64_t b, int64_t *y); /* false: no number */
    bool compares;
} arithmetic;

static double add(double a, double b)
{
    return a + b;
}
static double sub(double a, double b)
{
    return a - b;
}
static double mul(double a, double b)
{
    return a * b;
}
static double divide(double a, double b)
{
    return a / b;
}
static double least(double a, double b)
{
    return a < b ? a : b;
}
static double most(double a, double b)
{
    return a > b ? a : b;
}
static double equal(double a, double b)
{
    return a == b;
}
static double less(double a, double b)
{
    return a < b;
}
static double greater(double a, double b)
{
    return a > b;
}
static double less_equal(double a, double b)
{
    return a <= b;
}
static double greater_equal(double a, double b)
{
    return a >= b;
}
static double both(double a, double b)
{
    return a != 0 && b != 0;
}
static double either(double a, double b)
{
    return a != 0 || b != 0;
}

static bool add_whole(int64_t a, int64_t b, int64_t *y)
{
    return !__builtin_add_overflow(a, b, y);
}
static bool sub_whole(int64_t a, int64_t b, int64_t *y)
{
    return !__builtin_sub_overflow(a, b, y);
}
static bool mul_whole(int64_t a, int64_t b, int64_t *y)
{
    return !__builtin_mul_overflow(a, b, y);
}
static bool div_whole(int64_t a, int64_t b, int64_t *y)
{
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *y = a / b;
    return true;
}
static bool mod_whole(int64_t a, int64_t b, int64_t *y)
{
    if (b == 0 || b == -1) return *y = 0, b != 0;
    *y = a % b;
    if (*y != 0 && (*y < 0) != (b < 0)) *y += b;
    return true;
}

static const arithmetic arithmetics[] = {
    {"Add", add, add_whole, false},
    {"Sub", sub, sub_whole, false},
    {"Mul", mul, mul_whole, false},
    {"Div", divide, div_whole, false},
    {"Mod", fmod, mod_whole, false},
    {"Pow", pow, NULL, false},
    {"Min", least, NULL, false},
    {"Max", most, NULL, false},
    {"Equal", equal, NULL, true},
    {"Less", less, NULL, true},
    {"Greater", greater, NULL, true},
    {"LessOrEqual", less_equal, NULL, true},
    {"GreaterOrEqual", greater_equal, NULL, true},
    {"And", both, NULL, true},
    {"Or", either, NULL, true},
};

static const arithmetic *find_arithmetic(const cn_graph_node *node)
{
    for (size_t i = 0; i < sizeof arithmetics / sizeof *arithmetics; i++)
        if (cn_span_is(node->op, arithmetics[i].op)) return &arithmetics[i];
    return NULL;
}

/* The shape that both are spread to, and the strides of each in it. */
static bool broadcast(const cn_onnx_constant *a, const cn_onnx_constant *b, walk *wa, walk *wb)
{
    const walk from[2] = {walk_of(a), walk_of(b)};
    walk *to[2] = {wa, wb};
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < rank; k++) {
            int own = k - (rank - from[side].rank);
            to[side]->rank = rank;
            to[side]->dims[k] = own < 0 ? 1 : from[side].dims[own];
            to[side]->strides[k] = to[side]->dims[k] == 1 ? 0 : from[side].strides[own];
        }
    for (int k = 0; k < rank; k++) {
        if (wa->dims[k] != wb->dims[k] && wa->dims[k] != 1 && wb->dims[k] != 1) return false;
        wa->dims[k] = wb->dims[k] = wa->dims[k] == 1 ? wb->dims[k] : wa->dims[k];
    }
    return true;
}

/* Of two integers, where one or both may be multiples of the number of examples. */
static bool of_two(const arithmetic *f, const cn_onnx_constant *a, const cn_onnx_constant *b,
                   cn_onnx_constant *y, size_t i)
{
    const bool ma = is_of_batch(a, i), mb = is_of_batch(b, i);
    const int64_t u = a->ints[i], v = b->ints[i];
    if (f->compares) {
        if (ma != mb && f->real != equal) return false;
        y->ints[i] = ma == mb ? f->real((double)u, (double)v) != 0 : 0;
        return true;
    }
    const bool product = f->whole == mul_whole, quotient = f->whole == div_whole;
    if ((product && ma && mb) || (quotient && mb && !ma) || (!product && !quotient && ma != mb))
        return false;
    const bool marked = product ? ma || mb : quotient ? ma && !mb : ma;
    if (marked && y->of_batch) y->of_batch[i] = true;
    if (f->whole) return f->whole(u, v, &y->ints[i]);
    const double result = f->real((double)u, (double)v);
    if (!(fabs(result) < 0x1p62)) return false;
    y->ints[i] = (int64_t)result;
    return true;
}

/* What each further example adds to the sum or the product y of a and b. */
static bool find_step(const arithmetic *f, const cn_onnx_constant *a, const cn_onnx_constant *b,
                      cn_onnx_constant *y)
{
    const cn_onnx_constant *by = a->step ? a : b, *other = by == a ? b : a;
    if (by->step == 0) return true;
    if (y->rank != by->rank || y->rank < 1 || y->dims[0] != 1 || other->step || other->of_batch)
        return false;
    y->step = by->step;
    if (f->whole == add_whole) return true;
    return f->whole == mul_whole && other->count == 1 &&
           mul_whole(by->step, other->ints[0], &y->step) && y->step != 0;
}

static cn_status fold_arithmetic(cn_importer *im, const cn_graph_node *node, const arithmetic *f)
{
    cn_onnx_constant *a, *b;
    walk wa = {.start = 0}, wb = {.start = 0};
    if (node->input_count == 1) return same(im, node); /* Max and Min of one */
    cn_status status = input(im, 0, &a);
    if (status == CN_OK) status = input(im, 1, &b);
    if (status != CN_OK) return status;
    if (node->input_count > 2)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "more than two constants");
    if (a->real != b->real || !broadcast(a, b, &wa, &wb)) return no_axis(im);
    const cn_onnx_constant *u = arrange(im, a, &wa), *v = arrange(im, b, &wb);
    if (!u || !v) return im->err->status;
    cn_onnx_constant *y = cn_constant_new(im, a->real && !f->compares, wa.rank, wa.dims);
    if (!y || !mark_like(im, y, u->of_batch || v->of_batch)) return im->err->status;
    for (size_t i = 0; i < y->count; i++)
        if (!a->real) {
            if (!of_two(f, u, v, y, i)) return of_batch_error(im);
        } else {
            const double result = f->real((double)u->reals[i], (double)v->reals[i]);
            if (f->compares)
                y->ints[i] = result != 0;
            else
                y->reals[i] = (float)result;
        }
    if (!find_step(f, a, b, y)) return of_batch_error(im);
    y->learnt = u->learnt || v->learnt;
    return give(im, 0, y);
}

/* ---- one input */

static double negate(double x)
{
    return -x;
}
static double reciprocal(double x)
{
    return 1 / x;
}
static double not_(double x)
{
    return x == 0;
}

static const struct {
    const char *op;
    double (*f)(double x);
} functions[] = {
    {"Neg", negate}, {"Floor", floor}, {"Ceil", ceil}, {"Sqrt", sqrt}, {"Reciprocal", reciprocal},
    {"Exp", exp},    {"Log", log},     {"Abs", fabs},  {"Not", not_},  {"Round", nearbyint},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static cn_status fold_function(cn_importer *im, double (*f)(double x))
{
    cn_onnx_constant *x;
    cn_status status = input(im, 0, &x);
    if (status != CN_OK) return status;
    cn_onnx_constant *y = cn_constant_new(im, x->real, x->rank, x->dims);
    if (!y) return im->err->status;
    for (size_t i = 0; i < x->count; i++) {
        if (is_of_batch(x, i)) return of_batch_error(im);
        if (x->real)
            y->reals[i] = (float)f((double)x->reals[i]);
        else
            y->ints[i] = (int64_t)f((double)x->ints[i]);
    }
    y->learnt = x->learnt;
    return give(im, 0, y);
}

/* The product of all elements, of a shape most often. */
static cn_status reduce_prod(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t one[CN_ONNX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1}, product = 1;
    cn_status status = input(im, 0, &x);
    if (status != CN_OK) return status;
    if (x->real || x->rank > 1)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "of anything but a shape");
    cn_onnx_constant *y =
        cn_constant_new(im, false, cn_onnx_get_int(node, "keepdims", 1) ? x->rank : 0, one);
    if (!y || !mark_like(im, y, x->of_batch != NULL)) return im->err->status;
    for (size_t i = 0; i < x->count; i++) {
        if (is_of_batch(x, i)) {
            if (y->of_batch[0]) return of_batch_error(im);
            y->of_batch[0] = true;
        }
        if (!mul_whole(product, x->ints[i], &product)) return of_batch_error(im);
    }
    y->ints[0] = product;
    return give(im, 0, y);
}

static cn_status where(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *c, *a, *b;
    (void)node;
    cn_status status = input(im, 0, &c);
    if (status == CN_OK) status = input(im, 1, &a);
    if (status == CN_OK) status = input(im, 2, &b);
    if (status != CN_OK) return status;
    walk wa = {.start = 0}, wb = {.start = 0}, wc = {.start = 0}, wy = {.start = 0};
    if (c->real || a->real != b->real || !broadcast(a, b, &wa, &wb)) return no_axis(im);
    const cn_onnx_constant *u = arrange(im, a, &wa), *v = arrange(im, b, &wb);
    if (!u || !v) return im->err->status;
    if (!broadcast(c, u, &wc, &wy) || wy.rank != u->rank ||
        memcmp(wy.dims, u->dims, (size_t)wy.rank * sizeof *wy.dims) != 0)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a condition larger than the choices");
    const cn_onnx_constant *choice = arrange(im, c, &wc);
    cn_onnx_constant *y = cn_constant_new(im, a->real, u->rank, u->dims);
    if (!choice || !y || !mark_like(im, y, u->of_batch || v->of_batch)) return im->err->status;
    for (size_t i = 0; i < y->count; i++) copy_element(y, i, choice->ints[i] ? u : v, i);
    return give(im, 0, y);
}

/* ---- the table */

static const struct {
    const char *op;
    cn_operator_function *fold;
} folds[] = {
    {"Constant", constant},   {"ConstantOfShape", constant_of_shape},
    {"Identity", same},       {"Dropout", same},
    {"Cast", cast},           {"CastLike", cast},
    {"Unsqueeze", unsqueeze}, {"Squeeze", squeeze},
    {"Reshape", reshape},     {"Transpose", transpose},
    {"Expand", expand},       {"Gather", gather},
    {"Slice", slice},         {"Concat", concat},
    {"Range", range},         {"Shape", shape},
    {"Where", where},         {"ReduceProd", reduce_prod},
};
enum { FOLDS = sizeof folds / sizeof *folds };

bool cn_folds(const cn_graph_node *node)
{
    for (int i = 0; i < FOLDS; i++)
        if (cn_span_is(node->op, folds[i].op)) return true;
    for (int i = 0; i < FUNCTIONS; i++)
        if (cn_span_is(node->op, functions[i].op)) return true;
    return find_arithmetic(node) != NULL;
}

cn_status cn_fold(cn_importer *im, const cn_graph_node *node)
{
    for (int i = 0; i < FOLDS; i++)
        if (cn_span_is(node->op, folds[i].op)) return folds[i].fold(im, node);
    for (int i = 0; i < FUNCTIONS; i++)
        if (cn_span_is(node->op, functions[i].op)) return fold_function(im, functions[i].f);
    if (find_arithmetic(node)) return fold_arithmetic(im, node, find_arithmetic(node));
    return cn_import_fail(im, CN_ERR_UNSUPPORTED, "of constants alone");
}

/*
 * fold.c - operators of constants alone: what exporters write down to calculate with shapes.
 *
 * Integers may be multiples of the number of examples, which is not known: Shape of a batch begins
 * with such a one. It may be passed on, multiplied and divided; what would have to know it is not
 * supported.
 */
#include "onnx/fold.h"

#include <math.h>
#include <string.h>

cn_status cn_fold_batch_error(cn_importer *im)
{
    return cn_import_unsupported(im, "a calculation with the number of examples");
}

bool cn_fold_is_of_batch(const cn_onnx_constant *c, size_t i)
{
    return c->of_batch && c->of_batch[i];
}

cn_status cn_fold_give(cn_importer *im, int output, cn_onnx_constant *c)
{
    cn_value *y = cn_import_output(im, output);
    if (!c) return im->err->status;
    if (!y) return CN_OK;
    y->kind = CN_VALUE_CONSTANT;
    y->constant = c;
    return CN_OK;
}

/* Room for marks of multiples of the batch, where `like` has them. */
bool cn_fold_mark_like(cn_importer *im, cn_onnx_constant *c, bool marked)
{
    if (!marked || c->real) return true;
    c->of_batch = cn_allocate(c->count + 1, sizeof *c->of_batch, im->file->path, im->err);
    return c->of_batch != NULL;
}

void cn_fold_copy_element(cn_onnx_constant *to, size_t i, const cn_onnx_constant *from, size_t j)
{
    if (to->real)
        to->reals[i] = from->real ? from->reals[j] : (float)from->ints[j];
    else
        to->ints[i] = from->real ? (int64_t)from->reals[j] : from->ints[j];
    if (to->of_batch) to->of_batch[i] = cn_fold_is_of_batch(from, j);
}

cn_onnx_constant *cn_walk(cn_importer *im, const cn_onnx_constant *x, const walk *w)
{
    cn_onnx_constant *y = cn_constant_new(im, x->real, w->rank, w->dims);
    if (!y || !cn_fold_mark_like(im, y, x->of_batch != NULL)) return NULL;
    int64_t index[CN_ONNX_RANK] = {0}, at = w->start;
    for (size_t i = 0; i < y->count; i++) {
        cn_fold_copy_element(y, i, x, (size_t)at);
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

walk cn_walk_of(const cn_onnx_constant *x)
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
        return cn_import_malformed(im, "a shape of another number of elements");
    return cn_fold_give(im, 0, cn_walk(im, x, &w));
}

/* Input i, loaded; an error where it is left out. */
cn_status cn_fold_input(cn_importer *im, int i, cn_onnx_constant **c)
{
    cn_status status = cn_import_constant(im, i, c);
    if (status == CN_OK && !*c)
        status = cn_import_fail(im, CN_ERR_FORMAT, "input %d is missing", i);
    return status;
}

cn_status cn_fold_same(cn_importer *im, const cn_graph_node *node)
{
    cn_value *x = cn_import_input(im, 0), *y = cn_import_output(im, 0);
    (void)node;
    if (!x || !y) return cn_import_malformed(im, "no input or no output");
    y->kind = x->kind;
    y->constant = x->constant;
    return CN_OK;
}

static cn_status cast(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *like = NULL;
    int64_t type = cn_onnx_get_int(node, "to", CN_ONNX_FLOAT);
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK && cn_span_is(node->op, "CastLike")) {
        status = cn_fold_input(im, 1, &like);
        if (status == CN_OK) type = like->real ? CN_ONNX_FLOAT : CN_ONNX_INT64;
    }
    if (status != CN_OK) return status;
    if (cn_onnx_type_size(type) == 0)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "elements of type %lld", (long long)type);
    if (cn_onnx_type_is_real(type) == x->real) return cn_fold_same(im, node);
    for (size_t i = 0; i < x->count; i++) {
        if (!x->real && cn_fold_is_of_batch(x, i)) return cn_fold_batch_error(im);
        if (x->real && !(fabsf(x->reals[i]) < 0x1p62f))
            return cn_import_malformed(im, "a fraction that is no integer");
    }
    cn_onnx_constant *y = cn_constant_new(im, !x->real, x->rank, x->dims);
    if (!y) return im->err->status;
    for (size_t i = 0; i < x->count; i++) cn_fold_copy_element(y, i, x, i);
    return cn_fold_give(im, 0, y);
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
        if (t.external) return cn_import_unsupported(im, "external data of an attribute");
        status = cn_onnx_tensor_check(im->file, &t, im->err);
        if (status != CN_OK) return status;
        cn_onnx_constant *c = cn_constant_new(im, cn_onnx_type_is_real(t.type), t.rank, t.dims);
        if (!c) return im->err->status;
        status = c->real ? cn_onnx_tensor_reals(im->file, &t, c->reals, im->err)
                         : cn_onnx_tensor_ints(im->file, &t, c->ints, im->err);
        return status == CN_OK ? cn_fold_give(im, 0, c) : status;
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
        return cn_import_unsupported(im, "a constant of another kind");
    if (count < 0) return cn_import_unsupported(im, "a list of more than 64");
    if (!single) one = count;
    cn_onnx_constant *c = cn_constant_new(im, real, !single, &one);
    if (!c) return im->err->status;
    for (int i = 0; i < count; i++)
        if (real)
            c->reals[i] = reals[i];
        else
            c->ints[i] = ints[i];
    return cn_fold_give(im, 0, c);
}

static cn_status constant_of_shape(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *shape;
    const cn_onnx_attribute *value = cn_onnx_attribute_find(node, "value");
    cn_onnx_tensor t = {.type = CN_ONNX_FLOAT};
    float real = 0;
    int64_t whole = 0;
    cn_status status = cn_fold_input(im, 0, &shape);
    if (status == CN_OK && value) {
        status = cn_onnx_tensor_read(&t, value->tensor, im->file->path, im->err);
        if (status == CN_OK && (t.external || t.count != 1))
            status = cn_import_malformed(im, "a value of one element expected");
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
        if (cn_fold_is_of_batch(shape, i)) return cn_fold_batch_error(im);
    cn_onnx_constant *c =
        cn_constant_new(im, cn_onnx_type_is_real(t.type), (int)shape->count, shape->ints);
    if (!c) return im->err->status;
    for (size_t i = 0; i < c->count; i++)
        if (c->real)
            c->reals[i] = real;
        else
            c->ints[i] = whole;
    return cn_fold_give(im, 0, c);
}

/* ---- shapes */

/* An axis counted from the end where it is negative; -1 where it is none. */
static int axis_of(int64_t axis, int rank)
{
    if (axis < 0) axis += rank;
    return axis >= 0 && axis < rank ? (int)axis : -1;
}

cn_status cn_fold_no_axis(cn_importer *im)
{
    return cn_import_malformed(im, "an axis that is none");
}

static cn_status unsqueeze(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t axes[CN_ONNX_RANK], dims[CN_ONNX_RANK];
    bool added[CN_ONNX_RANK] = {false};
    int count, at = 0;
    (void)node;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    const int rank = x->rank + count;
    if (rank > CN_ONNX_RANK) return cn_fold_no_axis(im);
    for (int i = 0; i < count; i++) {
        int axis = axis_of(axes[i], rank);
        if (axis < 0 || added[axis]) return cn_fold_no_axis(im);
        added[axis] = true;
    }
    if (x->step && added[0]) return cn_fold_batch_error(im);
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
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int i = 0; i < count; i++) {
        int axis = axis_of(axes[i], x->rank);
        if (axis < 0) return cn_fold_no_axis(im);
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
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "shape", shape, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int k = 0; k < count; k++) {
        if (shape[k] == 0 && !cn_onnx_get_int(node, "allowzero", 0) && k < x->rank)
            shape[k] = x->dims[k];
        if (shape[k] == -1)
            unknown = k;
        else if (shape[k] < 0 || (shape[k] && known > (int64_t)x->count / shape[k] + 1))
            return cn_import_malformed(im, "a shape of another number of elements");
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
    cn_status status = cn_fold_input(im, 0, &x);
    if (status != CN_OK) return status;
    int count = cn_onnx_get_ints(node, "perm", perm, CN_ONNX_RANK);
    walk from = cn_walk_of(x), w = {.rank = x->rank};
    if (count != 0 && count != x->rank) return cn_fold_no_axis(im);
    for (int k = 0; k < x->rank; k++) {
        int axis = count ? axis_of(perm[k], x->rank) : x->rank - 1 - k;
        if (axis < 0) return cn_fold_no_axis(im);
        w.dims[k] = from.dims[axis];
        w.strides[k] = from.strides[axis];
    }
    if (x->rank == 0) return cn_fold_same(im, node);
    cn_onnx_constant *y = cn_walk(im, x, &w);
    return cn_fold_give(im, 0, y);
}

static cn_status expand(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *to;
    int64_t shape[CN_ONNX_RANK];
    int count;
    (void)node;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_import_constant(im, 1, &to);
    if (status != CN_OK) return status;
    if (to && !to->real && to->count && cn_fold_is_of_batch(to, 0) && to->ints[0] == 1 &&
        to->count <= CN_ONNX_RANK)
        return cn_import_spread(im, x, (int)to->count - 1, to->ints + 1);
    status = cn_import_ints(im, 1, NULL, shape, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    walk from = cn_walk_of(x), w = {.rank = count > x->rank ? count : x->rank};
    for (int k = 0; k < w.rank; k++) {
        int own = k - (w.rank - x->rank), asked = k - (w.rank - count);
        int64_t a = own < 0 ? 1 : x->dims[own], b = asked < 0 ? 1 : shape[asked];
        if (a != b && a != 1 && b != 1) return cn_fold_no_axis(im);
        w.dims[k] = a == 1 ? b : a;
        w.strides[k] = a == 1 ? 0 : from.strides[own];
    }
    return cn_fold_give(im, 0, cn_walk(im, x, &w));
}

static cn_status gather(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *indices;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_fold_input(im, 1, &indices);
    if (status != CN_OK) return status;
    int axis = axis_of(cn_onnx_get_int(node, "axis", 0), x->rank);
    if (x->step || indices->step) return cn_fold_batch_error(im);
    if (axis < 0 || indices->real || x->rank - 1 + indices->rank > CN_ONNX_RANK)
        return cn_fold_no_axis(im);
    int64_t dims[CN_ONNX_RANK], outer = 1, inner = 1, n = x->dims[axis];
    int rank = 0;
    for (int k = 0; k < axis; k++) outer *= dims[rank++] = x->dims[k];
    for (int k = 0; k < indices->rank; k++) dims[rank++] = indices->dims[k];
    for (int k = axis + 1; k < x->rank; k++) inner *= dims[rank++] = x->dims[k];
    cn_onnx_constant *y = cn_constant_new(im, x->real, rank, dims);
    if (!y || !cn_fold_mark_like(im, y, x->of_batch != NULL)) return im->err->status;
    size_t at = 0;
    for (int64_t o = 0; o < outer; o++)
        for (size_t j = 0; j < indices->count; j++) {
            int64_t index = indices->ints[j] < 0 ? indices->ints[j] + n : indices->ints[j];
            if (index < 0 || index >= n || cn_fold_is_of_batch(indices, j))
                return cn_fold_no_axis(im);
            for (int64_t k = 0; k < inner; k++)
                cn_fold_copy_element(y, at++, x, (size_t)((o * n + index) * inner + k));
        }
    return cn_fold_give(im, 0, y);
}

static cn_status slice(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t starts[CN_ONNX_RANK], ends[CN_ONNX_RANK], axes[CN_ONNX_RANK], steps[CN_ONNX_RANK];
    int count, n_ends, n_axes, n_steps;
    (void)node;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_import_ints(im, 1, "starts", starts, CN_ONNX_RANK, &count);
    if (status == CN_OK) status = cn_import_ints(im, 2, "ends", ends, CN_ONNX_RANK, &n_ends);
    if (status == CN_OK) status = cn_import_ints(im, 3, "axes", axes, CN_ONNX_RANK, &n_axes);
    if (status == CN_OK) status = cn_import_ints(im, 4, "steps", steps, CN_ONNX_RANK, &n_steps);
    if (status != CN_OK) return status;
    walk w = cn_walk_of(x);
    if (n_ends != count || (n_axes && n_axes != count) || (n_steps && n_steps != count))
        return cn_fold_no_axis(im);
    for (int i = 0; i < count; i++) {
        int axis = axis_of(n_axes ? axes[i] : i, x->rank);
        int64_t step = n_steps ? steps[i] : 1;
        if (axis < 0 || step == 0) return cn_fold_no_axis(im);
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
    return cn_fold_give(im, 0, cn_walk(im, x, &w));
}

static cn_status concat(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *first;
    bool marked = false;
    cn_status status = cn_fold_input(im, 0, &first);
    if (status != CN_OK) return status;
    int axis = axis_of(cn_onnx_get_int(node, "axis", 0), first->rank);
    if (axis < 0) return cn_fold_no_axis(im);
    int64_t dims[CN_ONNX_RANK], outer = 1, inner = 1;
    memcpy(dims, first->dims, sizeof dims);
    dims[axis] = 0;
    for (int i = 0; i < node->input_count; i++) {
        status = cn_fold_input(im, i, &x);
        if (status != CN_OK) return status;
        if (x->rank != first->rank || x->real != first->real) return cn_fold_no_axis(im);
        for (int k = 0; k < x->rank; k++)
            if (k != axis && x->dims[k] != first->dims[k]) return cn_fold_no_axis(im);
        dims[axis] += x->dims[axis];
        marked = marked || x->of_batch;
    }
    for (int k = 0; k < axis; k++) outer *= dims[k];
    for (int k = axis + 1; k < first->rank; k++) inner *= dims[k];
    cn_onnx_constant *y = cn_constant_new(im, first->real, first->rank, dims);
    if (!y || !cn_fold_mark_like(im, y, marked)) return im->err->status;
    size_t at = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int i = 0; i < node->input_count; i++) {
            status = cn_fold_input(im, i, &x);
            if (status != CN_OK) return status;
            const size_t block = (size_t)(x->dims[axis] * inner);
            for (size_t k = 0; k < block; k++)
                cn_fold_copy_element(y, at++, x, (size_t)o * block + k);
        }
    return cn_fold_give(im, 0, y);
}

static cn_status range(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *c[3];
    double v[3];
    (void)node;
    for (int i = 0; i < 3; i++) {
        cn_status status = cn_fold_input(im, i, &c[i]);
        if (status != CN_OK) return status;
        if (c[i]->count != 1 || (cn_fold_is_of_batch(c[i], 0) && i != 1))
            return cn_fold_batch_error(im);
        v[i] = c[i]->real ? (double)c[i]->reals[0] : (double)c[i]->ints[0];
    }
    const bool of_batch = cn_fold_is_of_batch(c[1], 0);
    if (of_batch && (c[0]->real || v[0] != 0 || v[1] != 1 || v[2] != 1))
        return cn_fold_batch_error(im);
    double n = ceil((v[1] - v[0]) / v[2]);
    if (!(n < 1e9)) return cn_import_malformed(im, "a range without an end");
    int64_t count = n > 0 ? (int64_t)n : 0;
    cn_onnx_constant *y = cn_constant_new(im, c[0]->real, 1, &count);
    if (!y) return im->err->status;
    for (int64_t i = 0; i < count; i++)
        if (y->real)
            y->reals[i] = (float)(v[0] + (double)i * v[2]);
        else
            y->ints[i] = c[0]->ints[0] + i * c[2]->ints[0];
    y->step = of_batch; /* 0, 1, .. up to the number of examples */
    return cn_fold_give(im, 0, y);
}

static cn_status shape(cn_importer *im, const cn_graph_node *node)
{
    cn_value *x = cn_import_input(im, 0);
    (void)node;
    if (!x || x->kind != CN_VALUE_CONSTANT) return cn_import_malformed(im, "no constant");
    if (x->constant->step) return cn_fold_batch_error(im);
    int64_t rank = x->constant->rank;
    cn_onnx_constant *y = cn_constant_new(im, false, 1, &rank);
    if (!y) return im->err->status;
    memcpy(y->ints, x->constant->dims, (size_t)rank * sizeof *y->ints);
    return cn_fold_give(im, 0, y);
}

/* ---- the table */

static const struct {
    const char *op;
    cn_operator_function *fold;
} folds[] = {
    {"Constant", constant},
    {"ConstantOfShape", constant_of_shape},
    {"Identity", cn_fold_same},
    {"Dropout", cn_fold_same},
    {"Cast", cast},
    {"CastLike", cast},
    {"Unsqueeze", unsqueeze},
    {"Squeeze", squeeze},
    {"Reshape", reshape},
    {"Transpose", transpose},
    {"Expand", expand},
    {"Gather", gather},
    {"Slice", slice},
    {"Concat", concat},
    {"Range", range},
    {"Shape", shape},
    {"DequantizeLinear", cn_fold_dequantize},
    {"If", cn_import_if},
};
enum { FOLDS = sizeof folds / sizeof *folds };

bool cn_folds(const cn_graph_node *node)
{
    for (int i = 0; i < FOLDS; i++)
        if (cn_span_is(node->op, folds[i].op)) return true;
    return cn_folds_elements(node);
}

cn_status cn_fold(cn_importer *im, const cn_graph_node *node)
{
    for (int i = 0; i < FOLDS; i++)
        if (cn_span_is(node->op, folds[i].op)) return folds[i].fold(im, node);
    if (cn_folds_elements(node)) return cn_fold_elements(im, node);
    return cn_import_unsupported(im, "of constants alone");
}

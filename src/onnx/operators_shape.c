/* operators_shape.c - operators that look at, rename, cut or join axes. */
#include "onnx/operators.h"

#include <limits.h>
#include <string.h>

/* ---- the shape itself */

static cn_status import_shape(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    cn_value *y = cn_import_output(im, 0);
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status != CN_OK || !y) return status;
    const int64_t rank = v->layout.rank + 1;
    int64_t start = cn_onnx_get_int(node, "start", 0), end = cn_onnx_get_int(node, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < start ? start : end > rank ? rank : end;
    cn_onnx_constant *c = cn_constant_new(im, false, 1, (int64_t[]){end - start});
    if (!c) return im->err->status;
    c->of_batch = cn_allocate(c->count + 1, sizeof *c->of_batch, im->file->path, im->err);
    if (!c->of_batch) return CN_ERR_MEMORY;
    for (int64_t k = start; k < end; k++) {
        c->ints[k - start] = k == 0 ? 1 : v->layout.dims[k - 1];
        c->of_batch[k - start] = k == 0;
    }
    y->kind = CN_VALUE_CONSTANT;
    y->constant = c;
    return CN_OK;
}

/* ---- what depends on it */

cn_status cn_import_if(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v = cn_import_input(im, 0);
    cn_onnx_constant *c = v ? v->constant : NULL;
    if (!c || c->real || c->count != 1 || c->step || (c->of_batch && c->of_batch[0]))
        return cn_import_unsupported(im, "expected a condition that does not depend on the input");
    im->chosen = (int)(node - im->file->nodes);
    cn_status status = cn_constant_load(im, c);
    if (status == CN_OK) im->branch = c->ints[0] ? "then_branch" : "else_branch";
    return status;
}

/* ---- other axes for the same elements */

/* The value with other logical axes; elements move only where they must. */
static cn_status give_reshaped(cn_importer *im, const cn_value *given, int rank, const int *dims)
{
    cn_value v = *given;
    int order[CN_ONNX_RANK];
    if (rank > CN_ONNX_RANK || rank < 0)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "%d axes", rank);
    if (!cn_layout_reshape(&v.layout, rank, dims)) {
        for (int k = 0; k < v.layout.rank; k++) order[k] = k;
        cn_status status = cn_value_order(im, &v, order);
        /* In one piece, it can be cut anywhere. */
        const int n = (int)cn_layout_count(&v.layout);
        if (status == CN_OK &&
            (!cn_layout_reshape(&v.layout, 1, &n) || !cn_layout_reshape(&v.layout, rank, dims)))
            status = cn_import_malformed(im, "a shape of another number of elements");
        if (status != CN_OK) return status;
    }
    cn_give(im, 0, v.node, &v.layout);
    return CN_OK;
}

/* The shape of a Reshape's output without its first axis, which must be the batch's. */
static cn_status read_shape(cn_importer *im, const cn_value *v, const cn_onnx_constant *c,
                            int *dims)
{
    const bool zero = cn_onnx_get_int(im->node, "allowzero", 0) == 0;
    const int64_t count = (int64_t)cn_layout_count(&v->layout), *n = c->ints;
    int64_t known = 1;
    int unknown = -1;
    for (int k = 1; k < (int)c->count; k++) {
        int64_t size = n[k];
        if (c->of_batch && c->of_batch[k])
            return cn_import_unsupported(im, "the batch as an axis of an example");
        if (size == 0 && zero && k <= v->layout.rank) size = v->layout.dims[k - 1];
        if (size == -1 && unknown < 0 && n[0] != -1)
            unknown = k;
        else if (size < 1 || size > count / known)
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "axis %d of %lld elements", k,
                                  (long long)size);
        else
            known *= size;
        dims[k - 1] = (int)size;
    }
    if (unknown > 0) dims[unknown - 1] = (int)(count / known);
    if (count % known || (unknown < 0 && known != count))
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "%lld elements of an example as %lld",
                              (long long)count, (long long)known);
    const bool batch = c->of_batch && c->of_batch[0]
                           ? n[0] == 1
                           : n[0] == -1 || (n[0] == 0 && zero) || n[0] == im->batch;
    return batch ? CN_OK : cn_import_unsupported(im, "the first axis is not the batch's");
}

static cn_status import_reshape(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    cn_onnx_constant *c, attribute = {.rank = 1};
    int dims[CN_ONNX_RANK];
    int64_t shape[CN_ONNX_RANK];
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = cn_import_constant(im, 1, &c);
    if (status != CN_OK) return status;
    if (!c) { /* before version 5 */
        const int count = cn_onnx_get_ints(node, "shape", shape, CN_ONNX_RANK);
        attribute.count = count < 0 ? 0 : (size_t)count;
        attribute.ints = shape;
        c = &attribute;
    }
    if (c->real || c->count < 1 || c->count > CN_ONNX_RANK)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a shape of %zu axes", c->count);
    const int n = (int)cn_layout_count(&v->layout);
    const bool all = c->count == 1 && c->ints[0] == -1 && !(c->of_batch && c->of_batch[0]);
    if (n > 1 && (all || (im->batch == 1 && c->count == 1 && c->ints[0] == n))) {
        status = give_reshaped(im, v, 1, &n);
        if (status == CN_OK) cn_import_output(im, 0)->flat = true;
        return status;
    }
    status = read_shape(im, v, c, dims);
    return status == CN_OK ? give_reshaped(im, v, (int)c->count - 1, dims) : status;
}

static cn_status import_flatten(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status != CN_OK) return status;
    const int64_t axis = cn_onnx_get_int(node, "axis", 1);
    if (axis != 1 && axis != -v->layout.rank)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "at axis %lld, expected 1", (long long)axis);
    const int n = (int)cn_layout_count(&v->layout);
    return give_reshaped(im, v, 1, &n);
}

static cn_status import_squeeze(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    int64_t axes[CN_ONNX_RANK];
    int count, rank = 0, dims[CN_ONNX_RANK];
    bool gone[CN_ONNX_RANK] = {false};
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int i = 0; i < count; i++) {
        const int axis = cn_logical_axis(v, axes[i]);
        if (axis < 0 || v->layout.dims[axis] != 1)
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "axis %lld", (long long)axes[i]);
        gone[axis] = true;
    }
    for (int k = 0; k < v->layout.rank; k++)
        if (count ? !gone[k] : v->layout.dims[k] != 1) dims[rank++] = v->layout.dims[k];
    return give_reshaped(im, v, rank, dims);
}

static cn_status import_unsqueeze(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    int64_t axes[CN_ONNX_RANK];
    int count, at = 0, dims[CN_ONNX_RANK];
    bool added[CN_ONNX_RANK] = {false};
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    const int rank = v->layout.rank + 1 + count;
    if (rank > CN_ONNX_RANK) return cn_import_fail(im, CN_ERR_UNSUPPORTED, "%d axes", rank);
    for (int i = 0; i < count; i++) {
        const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        if (axis < 1 || axis >= rank || added[axis])
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "axis %lld", (long long)axes[i]);
        added[axis] = true;
    }
    for (int k = 1; k < rank; k++) dims[k - 1] = added[k] ? 1 : v->layout.dims[at++];
    return give_reshaped(im, v, rank - 1, dims);
}

static cn_status import_transpose(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    int64_t perm[CN_ONNX_RANK];
    bool taken[CN_ONNX_RANK] = {false};
    const cn_value *given = cn_import_input(im, 0);
    if (given && (given->kind == CN_VALUE_WINDOWS || cn_turns_to_windows(node)))
        return cn_import_turn(im, node);
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status != CN_OK) return status;
    const cn_layout *from = &v->layout;
    cn_layout l = *from;
    const int count = cn_onnx_get_ints(node, "perm", perm, CN_ONNX_RANK);
    if (count != from->rank + 1 || perm[0] != 0)
        return cn_import_unsupported(im, "the batch's axis does not stay the first");
    for (int k = 0; k < from->rank; k++) {
        const int64_t axis = perm[k + 1] - 1;
        if (axis < 0 || axis >= from->rank || taken[axis])
            return cn_import_malformed(im, "perm is no order of axes");
        taken[axis] = true;
        l.dims[k] = from->dims[axis];
        l.parts[k] = from->parts[axis];
        memcpy(l.part[k], from->part[axis], sizeof l.part[k]);
    }
    cn_give(im, 0, v->node, &l);
    return CN_OK;
}

/* ---- cutting */

/* Elements begin, begin + step, .. of a logical axis as a value of its own. */
static cn_status cut(cn_importer *im, const cn_value *given, int axis, int begin, int count,
                     int step, cn_value *y)
{
    cn_value v = *given;
    cn_layout *l = &v.layout;
    cn_node x;
    int outer = 1, inner = 1;
    cn_status status = CN_OK;
    if (count == l->dims[axis] && step == 1) {
        *y = (cn_value){.name = y->name, .kind = v.kind, .node = v.node, .layout = *l};
        return CN_OK;
    }
    if (l->parts[axis] != 1) status = cn_value_last(im, &v, axis);
    const int at = l->part[axis][0];
    for (int k = 0; k < at; k++) outer *= l->size[k];
    for (int k = at + 1; k < l->axes; k++) inner *= l->size[k];
    cn_slice_opts o = {.count = count, .begin = begin, .step = step, .axis = CN_AXIS_CHANNELS};
    x = v.node;
    const cn_shape *out = &im->model->layers[x].out;
    const bool last = inner == 1 && out->n[out->rank - 1] == l->size[at];
    if (status == CN_OK && !last) {
        o.axis = CN_AXIS_COLUMNS;
        status = cn_value_image(im, &v, outer, l->size[at], inner, &x);
    }
    if (status == CN_OK) status = cn_import_add(im, "slice", &o, &x, 1, NULL, &x);
    if (status != CN_OK) return status;
    l->size[at] = l->dims[axis] = count;
    if (count == 1) {
        l->parts[axis] = 0;
        l->axes--;
        memmove(l->size + at, l->size + at + 1, (size_t)(l->axes - at) * sizeof *l->size);
        for (int k = 0; k < l->rank; k++)
            for (int j = 0; j < l->parts[k]; j++) l->part[k][j] -= l->part[k][j] > at;
    }
    y->kind = CN_VALUE_TENSOR;
    y->node = x;
    y->layout = *l;
    return CN_OK;
}

static cn_status import_split(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v;
    enum { MOST = 256 };
    int64_t sizes[MOST], begin = 0;
    int count;
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = cn_import_ints(im, 1, "split", sizes, MOST, &count);
    if (status != CN_OK) return status;
    const int axis = cn_logical_axis(v, cn_onnx_get_int(node, "axis", 0));
    const int outputs = node->output_count;
    if (axis < 0 || outputs < 1 || outputs > MOST || (count && count != outputs))
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "into %d parts along this axis", outputs);
    const int64_t n = v->layout.dims[axis], each = (n + outputs - 1) / outputs;
    for (int i = 0; i < outputs; i++) {
        cn_value *y = cn_import_output(im, i);
        const int64_t size = count ? sizes[i] : n - begin < each ? n - begin : each;
        if (size < 1 || size > n - begin)
            return cn_import_fail(im, CN_ERR_FORMAT, "part %d has %lld elements", i,
                                  (long long)size);
        if (y) status = cut(im, v, axis, (int)begin, (int)size, 1, y);
        if (status != CN_OK) return status;
        begin += size;
    }
    return CN_OK;
}

static cn_status import_slice(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    int64_t starts[CN_ONNX_RANK], ends[CN_ONNX_RANK], axes[CN_ONNX_RANK], steps[CN_ONNX_RANK];
    int count, n_ends, n_axes, n_steps;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status == CN_OK) status = cn_import_ints(im, 1, "starts", starts, CN_ONNX_RANK, &count);
    if (status == CN_OK) status = cn_import_ints(im, 2, "ends", ends, CN_ONNX_RANK, &n_ends);
    if (status == CN_OK) status = cn_import_ints(im, 3, "axes", axes, CN_ONNX_RANK, &n_axes);
    if (status == CN_OK) status = cn_import_ints(im, 4, "steps", steps, CN_ONNX_RANK, &n_steps);
    if (status != CN_OK) return status;
    cn_value v = *given;
    if (n_ends != count || (n_axes && n_axes != count) || (n_steps && n_steps != count))
        return cn_import_malformed(im, "lists of different lengths");
    for (int i = 0; i < count; i++) {
        const int64_t which = n_axes ? axes[i] : i, step = n_steps ? steps[i] : 1;
        const int axis = cn_logical_axis(&v, which);
        const bool batch = which == 0 || which == -(v.layout.rank + 1);
        if (batch && starts[i] == 0 && step == 1 && ends[i] >= INT_MAX) continue; /* all of it */
        if (axis < 0 || step < 1 || step > INT_MAX)
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "axis %lld with a step of %lld",
                                  (long long)which, (long long)step);
        const int64_t n = v.layout.dims[axis];
        int64_t from = starts[i] < -n ? 0 : starts[i] < 0 ? starts[i] + n : starts[i];
        int64_t to = ends[i] < -n ? 0 : ends[i] < 0 ? ends[i] + n : ends[i];
        from = from > n ? n : from;
        to = to > n ? n : to;
        if (to <= from) return cn_import_unsupported(im, "no elements are left");
        status = cut(im, &v, axis, (int)from, (int)((to - from - 1) / step) + 1, (int)step, &v);
        if (status != CN_OK) return status;
    }
    cn_give(im, 0, v.node, &v.layout);
    return CN_OK;
}

/* Takes the logical axis, of one element, out of the layout. */
static void drop_axis(cn_layout *l, int axis)
{
    l->rank--;
    for (int k = axis; k < l->rank; k++) {
        l->dims[k] = l->dims[k + 1];
        l->parts[k] = l->parts[k + 1];
        memcpy(l->part[k], l->part[k + 1], sizeof l->part[k]);
    }
}

/* All elements of each example, in their order, in another shape: PyTorch's as_strided. */
static cn_status gather_flat(cn_importer *im, const cn_value *v, const cn_onnx_constant *c)
{
    int dims[CN_ONNX_RANK];
    bool all =
        c && !c->real && c->rank >= 1 && c->dims[0] == 1 && c->count == cn_layout_count(&v->layout);
    all = all && (c->step == (int64_t)c->count || (c->step == 0 && im->batch == 1));
    for (size_t i = 0; all && i < c->count; i++) all = c->ints[i] == (int64_t)i;
    if (!all) return cn_import_unsupported(im, "the batch's axis is no longer there");
    for (int k = 1; k < c->rank; k++) dims[k - 1] = (int)c->dims[k];
    return give_reshaped(im, v, c->rank - 1, dims);
}

/* Of one index, or of several at equal distances. */
static cn_status import_gather(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *given;
    cn_onnx_constant *c;
    cn_status status = cn_import_tensor(im, 0, -1, &given);
    if (status == CN_OK) status = cn_import_constant(im, 1, &c);
    if (status != CN_OK) return status;
    if (given->flat) return gather_flat(im, given, c);
    cn_value v = *given;
    const int axis = cn_logical_axis(&v, cn_onnx_get_int(node, "axis", 0));
    if (axis < 0 || !c || c->step || c->real || c->rank > 1 || c->count < 1)
        return cn_import_unsupported(im, "along this axis, or with these indices");
    const int64_t n = v.layout.dims[axis], first = c->ints[0] < 0 ? c->ints[0] + n : c->ints[0];
    const int64_t step = c->count > 1 ? c->ints[1] - c->ints[0] : 1;
    for (size_t i = 0; i < c->count; i++) {
        const int64_t index = c->ints[i] < 0 ? c->ints[i] + n : c->ints[i];
        if (index < 0 || index >= n) return cn_import_malformed(im, "an index");
        if (step < 1 || index != first + (int64_t)i * step)
            return cn_import_unsupported(im, "indices that are not in a row");
    }
    status = cut(im, &v, axis, (int)first, (int)c->count, (int)step, &v);
    if (status != CN_OK) return status;
    if (c->rank == 0) drop_axis(&v.layout, axis);
    cn_give(im, 0, v.node, &v.layout);
    return CN_OK;
}

/* ---- joining */

/* The inputs of a concatenation, in one order of memory, the axis last. */
typedef struct joining {
    cn_node *nodes;
    int count;
    cn_layout layout; /* of the result */
    int rest;         /* elements of an example beside the axis */
} joining;

/* A concatenation that is there already of the first inputs of this one: DenseNet's blocks join a
 * growing list again and again. Returns how many inputs it covers. */
static int find_joined(const cn_importer *im, const joining *j, cn_node *found)
{
    for (cn_node i = im->model->layer_count - 1; i > 0; i--) {
        /* Chains of concatenations, walked along their first inputs, from the last one back. */
        cn_node leaves[CN_MAX_INPUTS * 64];
        int at = CN_MAX_INPUTS * 64;
        cn_node node = i;
        while (im->model->layers[node].type == &cn_concat_type &&
               at >= im->model->layers[node].input_count) {
            const cn_layer *layer = &im->model->layers[node];
            for (int k = layer->input_count - 1; k > 0; k--) leaves[--at] = layer->inputs[k];
            node = layer->inputs[0];
        }
        const int count = CN_MAX_INPUTS * 64 - at + 1;
        if (node == i || count > j->count || j->nodes[0] != node) continue;
        if (memcmp(leaves + at, j->nodes + 1, (size_t)(count - 1) * sizeof *leaves) != 0) continue;
        *found = i;
        return count;
    }
    return 0;
}

static cn_status join(cn_importer *im, const joining *j, cn_node *node)
{
    cn_node inputs[CN_MAX_INPUTS];
    int at = find_joined(im, j, node);
    if (at == 0) *node = j->nodes[at++];
    while (at < j->count) {
        int n = 1;
        inputs[0] = *node;
        while (n < CN_MAX_INPUTS && at < j->count) inputs[n++] = j->nodes[at++];
        cn_status status = cn_import_add(im, "concat", NULL, inputs, n, NULL, node);
        if (status != CN_OK) return status;
    }
    return CN_OK;
}

/* Input i as it is joined: with the axis last in memory and the others in `order`, as an image
 * whose pixels are the others' elements. */
static cn_status add_joined(cn_importer *im, joining *j, const cn_value *given, int axis,
                            const int *order)
{
    cn_value v = *given;
    const int n = v.layout.dims[axis];
    cn_status status = cn_value_order(im, &v, order);
    const cn_shape *out = &im->model->layers[v.node].out;
    const cn_shape *first = &im->model->layers[j->count ? j->nodes[0] : v.node].out;
    bool fits = out->n[out->rank - 1] == n && out->rank == first->rank;
    for (int k = 0; k + 1 < out->rank && fits; k++) fits = out->n[k] == first->n[k];
    if (status == CN_OK && (!fits || j->count == 0))
        status = first->rank == 3 && j->count
                     ? cn_value_image(im, &v, first->n[0], first->n[1], n, &v.node)
                 : fits     ? CN_OK
                 : j->count ? cn_value_row(im, &v, &v.node)
                            : cn_value_image(im, &v, 1, j->rest, n, &v.node);
    if (status == CN_OK) j->nodes[j->count++] = v.node;
    return status;
}

static cn_status import_concat(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *first, *v;
    int order[CN_ONNX_RANK], dims[CN_ONNX_RANK], last = 0;
    int64_t total = 0;
    joining j = {.count = 0};
    cn_node y;
    cn_status status = cn_import_tensor(im, 0, -1, &first);
    if (status != CN_OK) return status;
    const int axis = cn_logical_axis(first, cn_onnx_get_int(node, "axis", 1));
    if (axis < 0) return cn_import_unsupported(im, "along the batch");
    if (!cn_layout_order(&first->layout, order))
        for (int k = 0; k < first->layout.rank; k++) order[k] = k;
    for (int k = 0; k < first->layout.rank; k++)
        if (order[k] != axis) order[last++] = order[k];
    order[last] = axis;
    memcpy(dims, first->layout.dims, sizeof dims);
    j.rest = (int)(cn_layout_count(&first->layout) / (size_t)dims[axis]);
    j.nodes = cn_allocate((size_t)node->input_count, sizeof *j.nodes, im->file->path, im->err);
    if (!j.nodes) return CN_ERR_MEMORY;
    for (int i = 0; i < node->input_count && status == CN_OK; i++) {
        status = cn_import_tensor(im, i, first->layout.rank, &v);
        for (int k = 0; status == CN_OK && k < first->layout.rank; k++)
            if (k != axis && v->layout.dims[k] != dims[k])
                status = cn_import_malformed(im, "inputs of different sizes");
        if (status == CN_OK) total += v->layout.dims[axis];
        if (status == CN_OK && total > INT_MAX) status = cn_import_malformed(im, "size");
        if (status == CN_OK) status = add_joined(im, &j, v, axis, order);
    }
    if (status == CN_OK) status = join(im, &j, &y);
    cn_release(j.nodes);
    if (status != CN_OK) return status;
    dims[axis] = (int)total;
    cn_layout_set(&j.layout, first->layout.rank, dims, order);
    cn_give(im, 0, y, &j.layout);
    return CN_OK;
}

const cn_operator cn_operators_shape[] = {
    {"Shape", import_shape},
    {"Reshape", import_reshape},
    {"Flatten", import_flatten},
    {"Squeeze", import_squeeze},
    {"Unsqueeze", import_unsqueeze},
    {"Transpose", import_transpose},
    {"Split", import_split},
    {"Slice", import_slice},
    {"Gather", import_gather},
    {"Concat", import_concat},
    {"If", cn_import_if},
    {NULL, NULL},
};

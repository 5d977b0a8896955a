/* layout.c - how tensors lie in memory, and moving their elements where that is needed. */
#include "onnx/import.h"

#include <string.h>

/* ---- layouts */

void cn_layout_set(cn_layout *l, int rank, const int *dims, const int *order)
{
    *l = (cn_layout){.rank = rank};
    for (int k = 0; k < rank; k++) {
        const int at = order[k];
        l->dims[at] = dims[at];
        if (dims[at] == 1) continue;
        l->size[l->axes] = dims[at];
        l->parts[at] = 1;
        l->part[at][0] = l->axes++;
    }
}

void cn_layout_set_image(cn_layout *l, int c, int h, int w)
{
    cn_layout_set(l, 3, (int[]){c, h, w}, (int[]){1, 2, 0});
}

size_t cn_layout_count(const cn_layout *l)
{
    size_t count = 1;
    for (int k = 0; k < l->axes; k++) count *= (size_t)l->size[k];
    return count;
}

bool cn_layout_same(const cn_layout *a, const cn_layout *b)
{
    if (a->rank != b->rank || a->axes != b->axes ||
        memcmp(a->size, b->size, (size_t)a->axes * sizeof *a->size) != 0)
        return false;
    for (int k = 0; k < a->rank; k++)
        if (a->dims[k] != b->dims[k] || a->parts[k] != b->parts[k] ||
            memcmp(a->part[k], b->part[k], (size_t)a->parts[k] * sizeof *a->part[k]) != 0)
            return false;
    return true;
}

/* Axis `at` of memory and the next one become one, where they are neighbors in a logical axis. */
static bool merge_at(cn_layout *l, int at)
{
    int axis = -1, place = 0;
    for (int k = 0; k < l->rank; k++)
        for (int j = 0; j + 1 < l->parts[k]; j++)
            if (l->part[k][j] == at && l->part[k][j + 1] == at + 1) axis = k, place = j;
    if (axis < 0) return false;
    l->size[at] *= l->size[at + 1];
    l->axes--;
    memmove(l->size + at + 1, l->size + at + 2, (size_t)(l->axes - at - 1) * sizeof *l->size);
    int *part = l->part[axis];
    l->parts[axis]--;
    memmove(part + place + 1, part + place + 2,
            (size_t)(l->parts[axis] - place - 1) * sizeof *part);
    for (int k = 0; k < l->rank; k++)
        for (int j = 0; j < l->parts[k]; j++) l->part[k][j] -= l->part[k][j] > at;
    return true;
}

static void normalize(cn_layout *l)
{
    for (int at = 0; at + 1 < l->axes;) at += !merge_at(l, at);
}

/* While a layout is cut into other logical axes: the axes of memory in logical order. */
typedef struct cutting {
    cn_layout *l;
    int row[2 * CN_AXES], count, next;
} cutting;

/* Cuts the axis of memory row[next] into `first` and the rest, which comes after it. */
static bool split(cutting *c, cn_layout *made, int first)
{
    const int at = c->row[c->next];
    cn_layout *l = c->l;
    if (l->axes == CN_AXES || c->count == 2 * CN_AXES) return false;
    memmove(l->size + at + 2, l->size + at + 1, (size_t)(l->axes - at - 1) * sizeof *l->size);
    l->size[at + 1] = l->size[at] / first;
    l->size[at] = first;
    l->axes++;
    for (int k = 0; k < c->count; k++) c->row[k] += c->row[k] > at;
    for (int k = 0; k < made->rank; k++)
        for (int j = 0; j < made->parts[k]; j++) made->part[k][j] += made->part[k][j] > at;
    memmove(c->row + c->next + 2, c->row + c->next + 1,
            (size_t)(c->count - c->next - 1) * sizeof *c->row);
    c->row[c->next + 1] = at + 1;
    c->count++;
    return true;
}

bool cn_layout_reshape(cn_layout *given, int rank, const int *dims)
{
    cn_layout l = *given, made = {.rank = rank};
    cutting c = {.l = &l};
    for (int k = 0; k < l.rank; k++)
        for (int j = 0; j < l.parts[k]; j++) c.row[c.count++] = l.part[k][j];
    for (int k = 0; k < rank; k++) {
        int need = made.dims[k] = dims[k];
        while (need > 1) {
            if (c.next == c.count) return false;
            const int size = l.size[c.row[c.next]];
            if (need % size != 0 && (size % need != 0 || !split(&c, &made, need))) return false;
            made.part[k][made.parts[k]++] = c.row[c.next];
            need /= l.size[c.row[c.next++]];
        }
    }
    if (c.next != c.count) return false;
    made.axes = l.axes;
    memcpy(made.size, l.size, sizeof l.size);
    normalize(&made);
    *given = made;
    return true;
}

bool cn_layout_order(const cn_layout *l, int *logical)
{
    int count = 0, at = 0;
    for (int k = 0; k < l->rank; k++)
        if (l->parts[k] == 0) logical[count++] = k; /* one element: anywhere */
    while (at < l->axes) {
        int found = -1;
        for (int k = 0; k < l->rank; k++)
            if (l->parts[k] && l->part[k][0] == at) found = k;
        if (found < 0) return false;
        for (int j = 0; j < l->parts[found]; j++)
            if (l->part[found][j] != at++) return false;
        logical[count++] = found;
    }
    return true;
}

/* ---- moving elements */

static int product(const int *sizes, const int *axes, int from, int to)
{
    int n = 1;
    for (int k = from; k < to; k++) n *= sizes[axes[k]];
    return n;
}

/* The axes now[from..middle-1] and now[middle..to-1] change places. */
static cn_status swap(cn_importer *im, cn_node *node, const int *sizes, int *now, int count,
                      int from, int middle, int to)
{
    int moved[CN_AXES];
    cn_transpose_opts o = {
        .axes = {product(sizes, now, from, middle), product(sizes, now, middle, to)},
        .inner = product(sizes, now, to, count)};
    cn_status status = cn_import_add(im, "transpose", &o, node, 1, NULL, node);
    memcpy(moved, now + from, (size_t)(middle - from) * sizeof *now);
    memmove(now + from, now + middle, (size_t)(to - middle) * sizeof *now);
    memcpy(now + from + to - middle, moved, (size_t)(middle - from) * sizeof *now);
    return status;
}

cn_status cn_value_permute(cn_importer *im, cn_value *v, const int *order)
{
    cn_layout *l = &v->layout, moved = *l;
    int now[CN_AXES], place[CN_AXES];
    for (int k = 0; k < l->axes; k++) now[k] = k;
    for (int k = 0; k < l->axes; k++) {
        int from = k, to;
        while (now[from] != order[k]) from++;
        if (from == k) continue;
        for (to = from; to < l->axes && now[to] == order[k + to - from];) to++;
        cn_status status = swap(im, &v->node, l->size, now, l->axes, k, from, to);
        if (status != CN_OK) return status;
    }
    for (int k = 0; k < l->axes; k++) {
        moved.size[k] = l->size[order[k]];
        place[order[k]] = k;
    }
    for (int k = 0; k < l->rank; k++)
        for (int j = 0; j < l->parts[k]; j++) moved.part[k][j] = place[l->part[k][j]];
    normalize(&moved);
    *l = moved;
    return CN_OK;
}

cn_status cn_value_order(cn_importer *im, cn_value *v, const int *logical)
{
    int order[CN_AXES], count = 0;
    for (int k = 0; k < v->layout.rank; k++)
        for (int j = 0; j < v->layout.parts[logical[k]]; j++)
            order[count++] = v->layout.part[logical[k]][j];
    return cn_value_permute(im, v, order);
}

cn_status cn_value_last(cn_importer *im, cn_value *v, int axis)
{
    const cn_layout *l = &v->layout;
    int order[CN_AXES], count = 0;
    for (int at = 0; at < l->axes; at++) {
        bool own = false;
        for (int j = 0; j < l->parts[axis]; j++) own = own || l->part[axis][j] == at;
        if (!own) order[count++] = at;
    }
    for (int j = 0; j < l->parts[axis]; j++) order[count++] = l->part[axis][j];
    return cn_value_permute(im, v, order);
}

/* ---- shapes of nodes */

cn_status cn_value_image(cn_importer *im, const cn_value *v, int h, int w, int c, cn_node *node)
{
    const cn_shape *out = &im->model->layers[v->node].out;
    const cn_reshape_opts o = {.size = {h, w}};
    *node = v->node;
    if (out->rank == 3 && out->n[0] == h && out->n[1] == w && out->n[2] == c) return CN_OK;
    return cn_import_add(im, "reshape", &o, node, 1, NULL, node);
}

cn_status cn_value_row(cn_importer *im, const cn_value *v, cn_node *node)
{
    *node = v->node;
    if (im->model->layers[v->node].out.rank == 1) return CN_OK;
    return cn_import_add(im, "flatten", NULL, node, 1, NULL, node);
}

cn_status cn_value_pixels(cn_importer *im, const cn_value *given, cn_node *node, int shape[3])
{
    cn_value v = *given;
    const int rank = v.layout.rank, *n = v.layout.dims;
    static const int image[] = {1, 2, 0}, line[] = {1, 0};
    if (rank != 3 && rank != 2)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED,
                              "an input of rank %d, expected 4, (m, C, H, W), or 3", rank + 1);
    cn_status status = cn_value_order(im, &v, rank == 3 ? image : line);
    if (status != CN_OK) return status;
    shape[0] = rank == 3 ? n[1] : 1;
    shape[1] = rank == 3 ? n[2] : n[1];
    shape[2] = n[0];
    return cn_value_image(im, &v, shape[0], shape[1], shape[2], node);
}

/*
 * operators_gather.c - adaptive average pooling as PyTorch's exporter writes it: every window's pixels
 * are gathered, and their mean is taken.
 *
 *     Transpose  (m, C, H, W)            -> (H, W, m, C)
 *     GatherND   indices (p, r, q, s, 2) -> (p, r, q, s, m, C): row r of window p, column s of window q
 *     Transpose                          -> (m, C, p, r, q, s)
 *     ReduceMean along axes 3 and 5      -> (m, C, p, q)
 *
 * Window p of P begins at floor(p H / P) and ends before ceil((p + 1) H / P); here all windows have the
 * same size (where they have not, the exporter masks some, and that is not read). Between the first
 * node and the last a value is CN_VALUE_WINDOWS, which nothing else takes.
 */
#include "onnx/operators.h"

bool cn_turns_to_windows(const cn_graph_node *node)
{
    int64_t perm[CN_ONNX_RANK];
    return cn_onnx_get_ints(node, "perm", perm, CN_ONNX_RANK) == 4 && perm[0] == 2 &&
           perm[1] == 3 && perm[2] == 0 && perm[3] == 1;
}

static cn_status give_windows(cn_importer *im, cn_node node, const cn_layout *layout, int step)
{
    cn_value *y = cn_import_output(im, 0);
    cn_give(im, 0, node, layout);
    if (y) y->kind = CN_VALUE_WINDOWS;
    if (y) y->step = step;
    return CN_OK;
}

static cn_status refuse(cn_importer *im)
{
    return cn_import_unsupported(im,
                                 "pixels that are gathered, but not as the windows of a pooling");
}

cn_status cn_import_turn(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v = cn_import_input(im, 0);
    int64_t perm[CN_ONNX_RANK];
    if (v->kind == CN_VALUE_TENSOR) {
        cn_status status = cn_import_tensor(im, 0, 3, &v);
        return status == CN_OK ? give_windows(im, v->node, &v->layout, 1) : status;
    }
    const int count = cn_onnx_get_ints(node, "perm", perm, CN_ONNX_RANK);
    bool back = v->step == 2 && count == 6;
    for (int k = 0; k < 6 && back; k++) back = perm[k] == (k + 4) % 6;
    return back ? give_windows(im, v->node, &v->layout, 3) : refuse(im);
}

/* Is the index along axis `k` (0: rows, 1: columns) that of a pooling of n pixels, of which the
 * indices' axes 2 k and 2 k + 1 are the windows and what they hold? */
static bool are_windows(const cn_onnx_constant *c, int k, int64_t n)
{
    const int64_t *d = c->dims, windows = d[2 * k], size = d[2 * k + 1];
    size_t at = (size_t)k;
    for (int64_t p = 0; p < windows; p++)
        if ((p + 1) * n / windows + ((p + 1) * n % windows != 0) - p * n / windows != size)
            return false;
    for (int64_t p = 0; p < d[0]; p++)
        for (int64_t r = 0; r < d[1]; r++)
            for (int64_t q = 0; q < d[2]; q++)
                for (int64_t s = 0; s < d[3]; s++, at += 2) {
                    const int64_t window = k ? q : p, place = k ? s : r;
                    if (c->ints[at] != window * n / windows + place) return false;
                }
    return true;
}

static cn_status import_gather_nd(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v = cn_import_input(im, 0);
    cn_onnx_constant *c;
    cn_node x, y;
    int shape[3];
    cn_status status = cn_import_constant(im, 1, &c);
    if (status != CN_OK) return status;
    bool fits = v && v->kind == CN_VALUE_WINDOWS && v->step == 1 && c && !c->real && !c->of_batch &&
                !c->step && c->rank == 5 && c->dims[4] == 2 && c->count > 0 &&
                cn_onnx_get_int(node, "batch_dims", 0) == 0;
    for (int k = 0; k < 2 && fits; k++)
        fits = c->dims[2 * k] <= v->layout.dims[k + 1] && are_windows(c, k, v->layout.dims[k + 1]);
    if (!fits) return refuse(im);
    status = cn_value_pixels(im, v, &x, shape);
    const cn_adaptive_pool_opts o = {.size = {(int)c->dims[0], (int)c->dims[2]}};
    if (status == CN_OK) status = cn_import_add(im, "adaptive_average_pool", &o, &x, 1, NULL, &y);
    if (status != CN_OK) return status;
    cn_layout l;
    cn_layout_set_image(&l, shape[2], o.size[0], o.size[1]);
    return give_windows(im, y, &l, 2);
}

cn_status cn_import_window_means(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v = cn_import_input(im, 0);
    int64_t axes[CN_ONNX_RANK];
    int count;
    cn_status status = cn_import_ints(im, 1, "axes", axes, CN_ONNX_RANK, &count);
    if (status != CN_OK) return status;
    for (int k = 0; k < count; k++) axes[k] += axes[k] < 0 ? 6 : 0;
    if (v->step != 3 || count != 2 || axes[0] + axes[1] != 8 || (axes[0] != 3 && axes[0] != 5) ||
        cn_onnx_get_int(node, "keepdims", 1) != 0)
        return refuse(im);
    cn_give(im, 0, v->node, &v->layout);
    return CN_OK;
}

const cn_operator cn_operators_gather[] = {
    {"GatherND", import_gather_nd},
    {NULL, NULL},
};

/*
 * operators_pool.c - pooling, and reductions along axes.
 *
 * A reduction is a pooling over everything: the axes that go are moved to the front of memory, the
 * others are its channels. The spatial axes of an image lie there already.
 */
#include "onnx/operators.h"

#include <string.h>

/* ---- windows */

/* A maximum over a window with gaps is that of the window's taps, each a cut of the padded image. */
static cn_status add_dilated(cn_importer *im, const cn_onnx_window *w, const int pads[4],
                             cn_node *node)
{
    enum { MOST_TAPS = 64 };
    cn_pad_opts beside = {.value = -3e38};
    cn_node image, both[2];
    memcpy(beside.pads, pads, sizeof beside.pads);
    if (w->kernel[0] > MOST_TAPS || w->kernel[1] > MOST_TAPS / w->kernel[0])
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a dilated window of more than %d taps",
                              MOST_TAPS);
    cn_status status = cn_import_add(im, "pad2d", &beside, node, 1, NULL, &image);
    for (int k = 0; k < w->kernel[0] * w->kernel[1] && status == CN_OK; k++) {
        const int u = k / w->kernel[1], v = k % w->kernel[1];
        const cn_slice_opts rows = {.count = w->out[0],
                                    .begin = u * w->dilation[0],
                                    .step = w->stride[0],
                                    .axis = CN_AXIS_ROWS};
        const cn_slice_opts columns = {.count = w->out[1],
                                       .begin = v * w->dilation[1],
                                       .step = w->stride[1],
                                       .axis = CN_AXIS_COLUMNS};
        both[0] = *node;
        status = cn_import_add(im, "slice", &rows, &image, 1, NULL, &both[1]);
        if (status == CN_OK)
            status = cn_import_add(im, "slice", &columns, &both[1], 1, NULL, &both[1]);
        if (status == CN_OK && k > 0)
            status = cn_import_add(im, "maximum", NULL, both, 2, NULL, &both[1]);
        *node = both[1];
    }
    return status;
}

static cn_status import_pool(cn_importer *im, bool average)
{
    const cn_value *v;
    cn_onnx_window w;
    cn_node x;
    int shape[3];
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status != CN_OK) return status;
    const int axes = v->layout.rank - 1;
    status = cn_value_pixels(im, v, &x, shape);
    if (status == CN_OK) status = cn_onnx_window_read(im, shape, axes, NULL, &w);
    if (status != CN_OK) return status;
    if (axes == 1) w.kernel[0] = 1;
    if (average && (w.dilation[0] != 1 || w.dilation[1] != 1))
        return cn_import_unsupported(im, "dilation");
    if (cn_import_gives(im, 1)) return cn_import_unsupported(im, "indices of the maxima");
    /* Padding takes no part in ours; where it counts, it has to be there. */
    if (average && cn_onnx_get_int(im->node, "count_include_pad", 0) &&
        (w.pads[0] || w.pads[1] || w.pads[2] || w.pads[3])) {
        cn_pads_opts pads = {.name = NULL};
        memcpy(pads.pads, w.pads, sizeof pads.pads);
        memset(w.pads, 0, sizeof w.pads);
        status = cn_import_add(im, "zero_pad2d", &pads, &x, 1, NULL, &x);
    }
    cn_pool_opts o = {.size = {w.kernel[0], w.kernel[1]}, .stride = {w.stride[0], w.stride[1]}};
    for (int k = 0; k < 4; k++) o.pads[k] = w.pads[k] + (k >= 2 ? w.extra[k - 2] : 0);
    const char *type = average ? "average_pool" : "max_pool";
    if (status == CN_OK)
        status = w.dilation[0] * w.dilation[1] != 1 ? add_dilated(im, &w, o.pads, &x)
                                                    : cn_import_add(im, type, &o, &x, 1, NULL, &x);
    if (status != CN_OK) return status;
    const int *out = im->model->layers[x].out.n;
    cn_give_pixels(im, axes, x, out[0], out[1], out[2]);
    return CN_OK;
}

static cn_status import_max_pool(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_pool(im, false);
}

static cn_status import_average_pool(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_pool(im, true);
}

/* ---- reductions */

typedef enum reduction { MEAN, SUM, MAXIMUM, MINIMUM } reduction;

/* The layers of a reduction over the first axis of (n, 1, c). */
static cn_status add_reduction(cn_importer *im, reduction kind, int n, cn_node *node)
{
    const cn_pool_opts window = {.size = {n, 1}};
    const cn_scale_opts minus = {.factor = -1}, times = {.factor = n};
    cn_status status = CN_OK;
    if (kind == MINIMUM) status = cn_import_add(im, "scale", &minus, node, 1, NULL, node);
    if (status == CN_OK)
        status = kind == MEAN || kind == SUM
                     ? cn_import_add(im, "global_average_pool", NULL, node, 1, NULL, node)
                     : cn_import_add(im, "max_pool", &window, node, 1, NULL, node);
    if (status == CN_OK && kind == SUM && n > 1)
        status = cn_import_add(im, "scale", &times, node, 1, NULL, node);
    if (status == CN_OK && kind == MINIMUM)
        status = cn_import_add(im, "scale", &minus, node, 1, NULL, node);
    return status;
}

/* Takes the chosen axes out of the layout: they are the first of memory. */
static void drop_axes(cn_layout *l, const bool *chosen, bool keep)
{
    int gone = 0, rank = 0;
    for (int k = 0; k < l->rank; k++) gone += chosen[k] ? l->parts[k] : 0;
    cn_layout from = *l;
    l->axes -= gone;
    memmove(l->size, l->size + gone, (size_t)l->axes * sizeof *l->size);
    for (int k = 0; k < from.rank; k++) {
        if (chosen[k] && !keep) continue;
        l->dims[rank] = chosen[k] ? 1 : from.dims[k];
        l->parts[rank] = chosen[k] ? 0 : from.parts[k];
        for (int j = 0; j < l->parts[rank]; j++) l->part[rank][j] = from.part[k][j] - gone;
        rank++;
    }
    l->rank = rank;
}

static cn_status reduce_to(cn_importer *im, const cn_value *given, const bool *chosen, bool keep,
                           reduction kind, cn_value *y)
{
    cn_value v = *given;
    const cn_layout *l = &v.layout;
    int order[CN_AXES], count = 0, n = 1;
    bool own[CN_AXES] = {false};
    for (int k = 0; k < l->rank; k++) {
        for (int j = 0; chosen[k] && j < l->parts[k]; j++) own[l->part[k][j]] = true;
        if (chosen[k]) n *= l->dims[k];
    }
    for (int at = 0; at < l->axes; at++)
        if (own[at]) order[count++] = at;
    for (int at = 0; at < l->axes; at++)
        if (!own[at]) order[count++] = at;
    cn_status status = cn_value_permute(im, &v, order);
    cn_node x = v.node;
    if (status == CN_OK) {
        const cn_shape *out = &im->model->layers[v.node].out;
        const int rest = (int)(cn_layout_count(&v.layout) / (size_t)n);
        /* The image as it is will do for a mean. */
        if (out->rank != 3 || out->n[2] != rest || (kind != MEAN && kind != SUM))
            status = cn_value_image(im, &v, n, 1, rest, &x);
    }
    if (status == CN_OK) status = add_reduction(im, kind, n, &x);
    if (status != CN_OK) return status;
    /* Permuting may have joined axes: the chosen ones are those that make up n. */
    drop_axes(&v.layout, chosen, keep);
    *y = (cn_value){.kind = CN_VALUE_TENSOR, .node = x, .layout = v.layout};
    return CN_OK;
}

static cn_status reduce(cn_importer *im, const cn_value *given, const bool *chosen, bool keep,
                        reduction kind)
{
    cn_value y;
    cn_status status = reduce_to(im, given, chosen, keep, kind, &y);
    if (status == CN_OK) cn_give(im, 0, y.node, &y.layout);
    return status;
}

cn_status cn_import_mean(cn_importer *im, const cn_value *v, const bool *chosen, cn_value *mean)
{
    return reduce_to(im, v, chosen, true, MEAN, mean);
}

static cn_status import_reduce(cn_importer *im, reduction kind)
{
    const cn_value *v;
    bool chosen[CN_ONNX_RANK];
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status == CN_OK) status = cn_axes_read(im, v, 1, chosen);
    return status == CN_OK
               ? reduce(im, v, chosen, cn_onnx_get_int(im->node, "keepdims", 1) != 0, kind)
               : status;
}

#define REDUCTION(name, kind)                                         \
    static cn_status name(cn_importer *im, const cn_graph_node *node) \
    {                                                                 \
        (void)node;                                                   \
        return import_reduce(im, kind);                               \
    }
REDUCTION(import_reduce_sum, SUM)
REDUCTION(import_reduce_max, MAXIMUM)
REDUCTION(import_reduce_min, MINIMUM)

static cn_status import_reduce_mean(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *v = cn_import_input(im, 0);
    if (v && v->kind == CN_VALUE_WINDOWS) return cn_import_window_means(im, node);
    return import_reduce(im, MEAN);
}

/* The sum of |x| or of x^2, and the root of that. */
static cn_status import_norm(cn_importer *im, bool squares, bool root)
{
    const cn_value *x;
    cn_value minus = {.kind = CN_VALUE_NONE}, v = minus, half = {.kind = CN_VALUE_CONSTANT};
    bool chosen[CN_ONNX_RANK];
    cn_value *y = cn_import_output(im, 0);
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = cn_axes_read(im, x, 1, chosen);
    if (status == CN_OK && !squares)
        status = cn_import_map(im, "scale", &(cn_scale_opts){.factor = -1}, x, &minus);
    if (status == CN_OK)
        status = squares ? cn_import_binary(im, "multiply", x, x, &v)
                         : cn_import_binary(im, "maximum", x, &minus, &v);
    if (status == CN_OK)
        status = reduce(im, &v, chosen, cn_onnx_get_int(im->node, "keepdims", 1) != 0, SUM);
    if (status != CN_OK || !root) return status;
    half.constant = cn_constant_new(im, true, 0, NULL);
    if (!half.constant) return im->err->status;
    half.constant->reals[0] = 0.5f;
    return cn_import_two(im, "power", y, &half, y);
}

static cn_status import_reduce_l1(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_norm(im, false, false);
}

static cn_status import_reduce_l2(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_norm(im, true, true);
}

static cn_status import_reduce_squares(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_norm(im, true, false);
}

static cn_status import_global(cn_importer *im, reduction kind)
{
    const cn_value *v;
    bool chosen[CN_ONNX_RANK] = {false};
    cn_status status = cn_import_tensor(im, 0, -1, &v);
    if (status != CN_OK) return status;
    for (int k = 1; k < v->layout.rank; k++) chosen[k] = true;
    return reduce(im, v, chosen, true, kind);
}

static cn_status import_global_average(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_global(im, MEAN);
}

static cn_status import_global_max(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return import_global(im, MAXIMUM);
}

/* ---- adaptive averages */

bool cn_is_averaging(const cn_onnx_constant *matrix, bool transposed)
{
    const int64_t to = matrix->dims[transposed], from = matrix->dims[!transposed];
    for (int64_t p = 0; p < to; p++) {
        const int64_t first = p * from / to, end = ((p + 1) * from + to - 1) / to;
        for (int64_t r = 0; r < from; r++) {
            const float want = r >= first && r < end ? 1.0f / (float)(end - first) : 0.0f;
            if (matrix->reals[transposed ? r * to + p : p * from + r] != want) return false;
        }
    }
    return true;
}

static cn_status add_adaptive(cn_importer *im, cn_node x, int h, int w)
{
    const cn_adaptive_pool_opts o = {.size = {h, w}};
    const int c = im->model->layers[x].out.n[2];
    cn_node y;
    cn_status status = cn_import_add(im, "adaptive_average_pool", &o, &x, 1, NULL, &y);
    if (status == CN_OK) cn_give_pixels(im, 2, y, h, w, c);
    return status;
}

cn_status cn_import_row_means(cn_importer *im, const cn_value *v, int rows)
{
    cn_node x;
    int shape[3];
    if (v->layout.rank != 3)
        return cn_import_unsupported(im, "means of rows of anything but images");
    cn_status status = cn_value_pixels(im, v, &x, shape);
    return status == CN_OK ? add_adaptive(im, x, rows, shape[1]) : status;
}

cn_status cn_import_column_means(cn_importer *im, const cn_value *v, cn_onnx_constant *matrix,
                                 bool *done)
{
    const cn_layer *rows = &im->model->layers[v->node];
    *done = false;
    if (v->layout.rank != 3 || rows->type != &cn_adaptive_average_pool_type ||
        rows->out.n[1] != rows->in.n[1])
        return CN_OK;
    cn_status status = cn_constant_load(im, matrix);
    *done = status == CN_OK && cn_is_averaging(matrix, true);
    return *done ? add_adaptive(im, rows->inputs[0], rows->out.n[0], (int)matrix->dims[1]) : status;
}

const cn_operator cn_operators_pool[] = {
    {"MaxPool", import_max_pool},
    {"AveragePool", import_average_pool},
    {"GlobalAveragePool", import_global_average},
    {"GlobalMaxPool", import_global_max},
    {"ReduceMean", import_reduce_mean},
    {"ReduceSum", import_reduce_sum},
    {"ReduceMax", import_reduce_max},
    {"ReduceMin", import_reduce_min},
    {"ReduceL1", import_reduce_l1},
    {"ReduceL2", import_reduce_l2},
    {"ReduceSumSquare", import_reduce_squares},
    {NULL, NULL},
};

/*
 * resize.c - images of any other size, and images with something around them.
 *
 *     resize2d    Y[i,p,q,c] = sum over r, s of a(p, r) b(q, s) X[i,r,s,c]
 *     pad2d       Y[i,p,q,c] = X[i, row(p - above), column(q - left), c], or `value` beyond X
 *
 * Row p of the output lies at x in the input, with the scale f = n / n_prev or the one given:
 *
 *     half_pixel      x = (p + 1/2) / f - 1/2
 *     pytorch         the same, but x = 0 where n is 1
 *     align_corners   x = p (n_prev - 1) / (f n_prev - 1), 0 where n is 1
 *     asymmetric      x = p / f
 *     symmetric       as half_pixel, moved by n_prev (1 - n / (f n_prev)) / 2: both centers coincide
 *                     also where f n_prev is not n
 *
 * and a(p, .) is 1 at the nearest row, or shared by the two rows around x (linear), or by the four
 * around it (cubic; Keys 1981, with the coefficient `cubic`). Rows beyond the border are the
 * border's. Columns alike. Both layers are sums of pixels of X, and backward adds to the same ones.
 */
#include "layers/layer.h"

#include <math.h>
#include <string.h>

static const char *const methods[] = {"nearest", "linear", "cubic", NULL};
static const char *const coordinates[] = {
    "half_pixel", "pytorch", "align_corners", "asymmetric", "symmetric", "crop", NULL};
static const char *const roundings[] = {"round_down", "round_up", "floor", "ceil", NULL};
static const char *const pad_modes[] = {"constant", "reflect", "edge", "wrap", NULL};

/* ---- resize */

#define AT(member) offsetof(cn_resize_opts, member)
static const cn_option resize_options[] = {
    {"size", CN_OPTION_PAIR, .bare = true, .offset = AT(size), .least = 1},
    {"method", CN_OPTION_ENUM, .offset = AT(method), .words = methods},
    {"coordinates", CN_OPTION_ENUM, .offset = AT(coordinates), .words = coordinates},
    {"rounding", CN_OPTION_ENUM, .offset = AT(rounding), .words = roundings},
    {"cubic_a", CN_OPTION_FLOAT, .offset = AT(cubic), .least = -INFINITY, .fallback = -0.75},
    {"inside", CN_OPTION_BOOL, .offset = AT(inside)},
    {"scale_h", CN_OPTION_FLOAT, .offset = AT(scale_h), .least = -1},
    {"scale_w", CN_OPTION_FLOAT, .offset = AT(scale_w), .least = -1},
    {"antialias", CN_OPTION_BOOL, .offset = AT(antialias)},
    {"crop_y", CN_OPTION_FLOAT, .offset = AT(crop_y), .least = -INFINITY},
    {"crop_x", CN_OPTION_FLOAT, .offset = AT(crop_x), .least = -INFINITY},
    {"crop_h", CN_OPTION_FLOAT, .offset = AT(crop_h), .least = -INFINITY, .fallback = 1},
    {"crop_w", CN_OPTION_FLOAT, .offset = AT(crop_w), .least = -INFINITY, .fallback = 1},
    {"outside", CN_OPTION_FLOAT, .offset = AT(outside), .least = -INFINITY},
    {0},
};
#undef AT

static cn_status check_image(const cn_layer *layer, const char *place, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (layer->in.rank == 3) return CN_OK;
    return cn_fail(err, CN_ERR_SHAPE, "%s: input has shape %s, expected (n_H, n_W, n_C)", place,
                   cn_shape_text(layer->in.rank, layer->in.n, text));
}

/* The scale of an axis. */
static double scale_of(const cn_resize_opts *o, int axis, int n_prev, int n)
{
    const double given = axis ? o->scale_w : o->scale_h;
    return given > 0 ? given : (double)n / n_prev;
}

static cn_status resize_infer(cn_layer *layer, const char *place, cn_error *err)
{
    const cn_resize_opts *o = layer->options;
    cn_status status = check_image(layer, place, err);
    if (status != CN_OK) return status;
    if (o->antialias && o->method == CN_RESIZE_NEAREST)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: antialias is for linear and cubic, found nearest",
                       place);
    for (int axis = 0; axis < 2; axis++) {
        const int n_prev = layer->in.n[axis];
        const double f = scale_of(o, axis, n_prev, o->size[axis]);
        if (o->antialias && f * n_prev < 0.5)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: antialias with a scale of %g: %d %s would be less than half of one",
                           place, f, n_prev, axis ? "columns" : "rows");
        layer->out.n[axis] = o->size[axis];
    }
    return CN_OK;
}

/* The rows that row p is a sum of: `count` from `first`, which may lie beyond the border. */
typedef struct taps {
    const cn_resize_opts *o;
    int n_prev, count;   /* 0: of none, row p is `outside` */
    double x, first;     /* x of the head comment */
    double stretch, sum; /* s; what the shares are divided by */
} taps;

static double place_of(const cn_resize_opts *o, int axis, int p, int n_prev, int n)
{
    const double f = scale_of(o, axis, n_prev, n);
    const double begin = axis ? o->crop_x : o->crop_y, extent = axis ? o->crop_w : o->crop_h;
    switch (o->coordinates) {
    case CN_COORDINATES_ALIGN_CORNERS: return n > 1 ? p * (n_prev - 1.0) / (f * n_prev - 1) : 0;
    case CN_COORDINATES_ASYMMETRIC: return p / f;
    case CN_COORDINATES_SYMMETRIC: return (n_prev - n / f) / 2 + (p + 0.5) / f - 0.5;
    case CN_COORDINATES_PYTORCH: return n > 1 ? (p + 0.5) / f - 0.5 : 0;
    case CN_COORDINATES_CROP:
        return (begin + extent * (n > 1 ? p / (f * n_prev - 1) : 0.5)) * (n_prev - 1);
    default: return (p + 0.5) / f - 0.5;
    }
}

static int clamp_row(double row, int n)
{
    return row < 0 ? 0 : row > n - 1 ? n - 1 : (int)row;
}

static double nearest_row(const cn_resize_opts *o, double x)
{
    const double low = floor(x), part = x - low;
    bool up = part > 0.5;
    if (o->rounding == CN_ROUNDING_UP) up = part >= 0.5;
    if (o->rounding == CN_ROUNDING_FLOOR) up = false;
    if (o->rounding == CN_ROUNDING_CEIL) up = part > 0;
    return low + up;
}

/* Keys's piecewise cubic, at a distance t. */
static double cubic_share(double a, double t)
{
    t = fabs(t);
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/* The share of tap k, before the division by the sum. */
static double kernel_at(const taps *t, int k)
{
    const double row = t->first + k, distance = t->stretch * (t->x - row);
    if (t->o->method == CN_RESIZE_NEAREST) return 1;
    if (t->o->inside && (row < 0 || row > t->n_prev - 1)) return 0;
    if (t->o->method == CN_RESIZE_CUBIC) return cubic_share(t->o->cubic, distance);
    const double share = 1 - fabs(distance);
    return share > 0 ? share : 0;
}

static float share_of(const taps *t, int k)
{
    return (float)(kernel_at(t, k) / t->sum);
}

static int row_of(const taps *t, int k)
{
    return clamp_row(t->first + k, t->n_prev);
}

static taps find_taps(const cn_resize_opts *o, int axis, int p, int n_prev, int n)
{
    const double rounding = 1e-6, f = scale_of(o, axis, n_prev, n);
    const double x = place_of(o, axis, p, n_prev, n);
    const bool cubic = o->method == CN_RESIZE_CUBIC;
    taps t = {.o = o, .n_prev = n_prev, .x = x, .stretch = 1, .sum = 1};
    if (o->coordinates == CN_COORDINATES_CROP && (x < -rounding || x > n_prev - 1 + rounding))
        return t;
    if (o->method == CN_RESIZE_NEAREST) {
        t.first = nearest_row(o, x);
        t.count = 1;
        return t;
    }
    t.first = floor(x) - cubic;
    t.count = cubic ? 4 : 2;
    if (o->antialias && f < 1) {
        t.stretch = f;
        t.first = floor(x - (cubic ? 2 : 1) / f) + 1;
        t.count = (int)(ceil(x + (cubic ? 2 : 1) / f) - t.first);
    }
    if (!o->inside && !o->antialias) return t;
    t.sum = 0;
    for (int k = 0; k < t.count; k++) t.sum += kernel_at(&t, k);
    return t;
}

static void resize_image(const cn_call *call, int image, bool backward)
{
    const cn_resize_opts *o = call->layer->options;
    const int *in = call->layer->in.n, *out = call->layer->out.n, c = in[2];
    const size_t in_count = cn_shape_count(&call->layer->in);
    const size_t out_count = cn_shape_count(&call->layer->out);
    const float *x = (const float *)call->x[0] + (size_t)image * in_count;
    float *y = (float *)call->y + (size_t)image * out_count;
    const float *dy = call->dy;
    float *dx = call->dx[0];
    if (backward) {
        dy += (size_t)image * out_count;
        dx += (size_t)image * in_count;
        memset(dx, 0, in_count * sizeof *dx);
    } else {
        memset(y, 0, out_count * sizeof *y);
    }
    for (int p = 0; p < out[0]; p++) {
        const taps rows = find_taps(o, 0, p, in[0], out[0]);
        for (int q = 0; q < out[1]; q++) {
            const taps columns = find_taps(o, 1, q, in[1], out[1]);
            const size_t to = ((size_t)p * (size_t)out[1] + (size_t)q) * (size_t)c;
            if (!backward && (rows.count == 0 || columns.count == 0))
                for (int k = 0; k < c; k++) y[to + (size_t)k] = (float)o->outside;
            for (int k = 0; k < rows.count * columns.count; k++) {
                const int r = k / columns.count, s = k % columns.count;
                const float share = share_of(&rows, r) * share_of(&columns, s);
                const size_t row = (size_t)row_of(&rows, r) * (size_t)in[1];
                const size_t from = (row + (size_t)row_of(&columns, s)) * (size_t)c;
                if (backward)
                    call->kernels->add_scaled(c, share, dy + to, dx + from);
                else
                    call->kernels->add_scaled(c, share, x + from, y + to);
            }
        }
    }
}

static void resize_forward_unit(void *argument, int image, int worker)
{
    (void)worker;
    resize_image(argument, image, false);
}

static void resize_backward_unit(void *argument, int image, int worker)
{
    (void)worker;
    resize_image(argument, image, true);
}

static void resize_forward(const cn_call *call)
{
    cn_pool_run(call->pool, call->m, resize_forward_unit, (void *)(uintptr_t)call);
}

/* Y = sum of shares of pixels of X:  dX of each += its share of dY */
static void resize_backward(const cn_call *call)
{
    if (call->dx[0])
        cn_pool_run(call->pool, call->m, resize_backward_unit, (void *)(uintptr_t)call);
}

const cn_layer_type cn_resize2d_type = {
    .name = "resize2d",
    .word = "resize",
    .options = resize_options,
    .options_size = sizeof(cn_resize_opts),
    .infer = resize_infer,
};

const cn_layer_ops cn_resize2d_cpu = {
    .forward = resize_forward,
    .backward = resize_backward,
};

/* ---- pad */

#define AT(member) offsetof(cn_pad_opts, member)
static const cn_option pad_options[] = {
    {"pads", CN_OPTION_PADS, .bare = true, .offset = AT(pads)},
    {"mode", CN_OPTION_ENUM, .offset = AT(mode), .words = pad_modes},
    {"value", CN_OPTION_FLOAT, .offset = AT(value), .least = -INFINITY},
    {0},
};
#undef AT

static cn_status pad_infer(cn_layer *layer, const char *place, cn_error *err)
{
    const cn_pad_opts *o = layer->options;
    cn_status status = check_image(layer, place, err);
    if (status != CN_OK) return status;
    for (int axis = 0; axis < 2; axis++) {
        const double n = (double)layer->in.n[axis] + o->pads[axis] + o->pads[axis + 2];
        const int most = o->pads[axis] > o->pads[axis + 2] ? o->pads[axis] : o->pads[axis + 2];
        if (n > INT32_MAX || (o->mode == CN_PAD_REFLECT && most >= layer->in.n[axis]) ||
            (o->mode == CN_PAD_WRAP && most > layer->in.n[axis]))
            return cn_fail(err, CN_ERR_SHAPE, "%s: %d more beside %d %s are too many", place, most,
                           layer->in.n[axis], axis ? "columns" : "rows");
        layer->out.n[axis] = (int)n;
    }
    return CN_OK;
}

/* The row of n that stands at row r, which may lie beyond the border; -1: none. */
static int row_at(cn_pad_mode mode, int r, int n)
{
    if (r >= 0 && r < n) return r;
    switch (mode) {
    case CN_PAD_REFLECT: return r < 0 ? -r : 2 * (n - 1) - r;
    case CN_PAD_EDGE: return r < 0 ? 0 : n - 1;
    case CN_PAD_WRAP: return r < 0 ? r + n : r - n;
    default: return -1;
    }
}

static void pad_image(const cn_call *call, int image, bool backward)
{
    const cn_pad_opts *o = call->layer->options;
    const int *in = call->layer->in.n, *out = call->layer->out.n, c = in[2];
    const size_t in_count = cn_shape_count(&call->layer->in);
    size_t to = (size_t)image * cn_shape_count(&call->layer->out);
    const float *x = call->x[0], *dy = call->dy;
    float *y = call->y, *dx = call->dx[0];
    if (backward) memset(dx + (size_t)image * in_count, 0, in_count * sizeof *dx);
    for (int p = 0; p < out[0]; p++)
        for (int q = 0; q < out[1]; q++, to += (size_t)c) {
            const int r = row_at(o->mode, p - o->pads[0], in[0]);
            const int s = row_at(o->mode, q - o->pads[1], in[1]);
            const bool inside = r >= 0 && s >= 0;
            const size_t pixel = inside ? (size_t)r * (size_t)in[1] + (size_t)s : 0;
            const size_t from = (size_t)image * in_count + pixel * (size_t)c;
            if (backward && inside)
                call->kernels->add_scaled(c, 1, dy + to, dx + from);
            else if (!backward && inside)
                memcpy(y + to, x + from, (size_t)c * sizeof *y);
            else if (!backward)
                for (int k = 0; k < c; k++) y[to + (size_t)k] = (float)o->value;
        }
}

static void pad_forward_unit(void *argument, int image, int worker)
{
    (void)worker;
    pad_image(argument, image, false);
}

static void pad_backward_unit(void *argument, int image, int worker)
{
    (void)worker;
    pad_image(argument, image, true);
}

static void pad_forward(const cn_call *call)
{
    cn_pool_run(call->pool, call->m, pad_forward_unit, (void *)(uintptr_t)call);
}

/* Y is a pixel of X:  dX of it += dY */
static void pad_backward(const cn_call *call)
{
    if (call->dx[0]) cn_pool_run(call->pool, call->m, pad_backward_unit, (void *)(uintptr_t)call);
}

const cn_layer_type cn_pad2d_type = {
    .name = "pad2d",
    .word = "pad",
    .options = pad_options,
    .options_size = sizeof(cn_pad_opts),
    .infer = pad_infer,
};

const cn_layer_ops cn_pad2d_cpu = {
    .forward = pad_forward,
    .backward = pad_backward,
};

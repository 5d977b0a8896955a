/*
 * upsample.c - enlarges images by an integer factor f per axis.
 *
 *     nearest     Y[i,p,q,c] = X[i, floor(p / f_H), floor(q / f_W), c]
 *     bilinear    Y[i,p,q,c] = X interpolated at row (p + 1/2) / f_H - 1/2, clamped to the image,
 *                 and the column alike: PyTorch's align_corners=False, ONNX's half_pixel
 *
 *     X (m, n_H, n_W, n_C); Y (m, f_H n_H, f_W n_W, n_C).
 *
 * Both are weighted sums of up to four pixels of X, and backward adds to the same four.
 */
#include "layers/layer.h"

#include <limits.h>
#include <string.h>

static const char *const methods[] = {"nearest", "bilinear", NULL};

#define AT(member) offsetof(cn_upsample_opts, member)
static const cn_option options[] = {
    {"factor", CN_OPTION_PAIR, .bare = true, .offset = AT(factor), .least = 1},
    {"method", CN_OPTION_ENUM, .offset = AT(method), .words = methods},
    {0},
};

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_upsample_opts *o = layer->options;
    char text[CN_SHAPE_TEXT];
    if (layer->in.rank != 3)
        return cn_fail(err, CN_ERR_SHAPE, "%s: input has shape %s, expected (n_H, n_W, n_C)",
                       context, cn_shape_text(layer->in.rank, layer->in.n, text));
    for (int axis = 0; axis < 2; axis++) {
        if (o->factor[axis] > INT_MAX / layer->in.n[axis])
            return cn_fail(err, CN_ERR_SHAPE, "%s: %d times %d %s are more than %d", context,
                           o->factor[axis], layer->in.n[axis], axis ? "columns" : "rows", INT_MAX);
        layer->out.n[axis] = o->factor[axis] * layer->in.n[axis];
    }
    return CN_OK;
}

/* The two elements of n that element p of the output lies between; returns the second's weight. */
static float between(cn_upsample_method method, int p, int factor, int n, int at[2])
{
    at[0] = at[1] = p / factor;
    if (method == CN_UPSAMPLE_NEAREST) return 0;
    double center = (p + 0.5) / factor - 0.5;
    if (center < 0) center = 0;
    at[0] = (int)center;
    at[1] = at[0] + 1 < n ? at[0] + 1 : at[0];
    return (float)(center - at[0]);
}

/* One image, forward or backward: calls for every pixel of Y with its four pixels of X. */
static void run_image(const cn_call *call, int image, bool backward)
{
    const cn_upsample_opts *o = call->layer->options;
    const int *in = call->layer->in.n, *out = call->layer->out.n;
    int c = in[2], rows[2], columns[2];
    size_t y_at = (size_t)image * cn_shape_count(&call->layer->out);
    const float *x = (const float *)call->x[0] + (size_t)image * cn_shape_count(&call->layer->in);
    const float *dy = call->dy;
    float *y = call->y;
    float *dx = call->dx[0];
    if (backward) {
        dx += (size_t)image * cn_shape_count(&call->layer->in);
        memset(dx, 0, cn_shape_count(&call->layer->in) * sizeof *dx);
    }
    for (int p = 0; p < out[0]; p++) {
        float below = between(o->method, p, o->factor[0], in[0], rows);
        for (int q = 0; q < out[1]; q++, y_at += (size_t)c) {
            float right = between(o->method, q, o->factor[1], in[1], columns);
            float w[4] = {(1 - below) * (1 - right), (1 - below) * right, below * (1 - right),
                          below * right};
            size_t at[4];
            for (int k = 0; k < 4; k++)
                at[k] = ((size_t)rows[k / 2] * (size_t)in[1] + (size_t)columns[k % 2]) * (size_t)c;
            if (backward)
                for (int k = 0; k < 4; k++) {
                    if (w[k] != 0) call->kernels->add_scaled(c, w[k], dy + y_at, dx + at[k]);
                }
            else if (o->method == CN_UPSAMPLE_NEAREST)
                memcpy(y + y_at, x + at[0], (size_t)c * sizeof(float));
            else
                call->kernels->weighted_sum4(
                    c, w, (const float *[]){x + at[0], x + at[1], x + at[2], x + at[3]}, y + y_at);
        }
    }
}

static void forward_task(void *argument, int task, int worker)
{
    (void)worker;
    run_image(argument, task, false);
}

static void backward_task(void *argument, int task, int worker)
{
    (void)worker;
    run_image(argument, task, true);
}

static void forward(const cn_call *call)
{
    cn_call own = *call;
    cn_pool_run(call->pool, call->m, forward_task, &own);
}

static void backward(const cn_call *call)
{
    cn_call own = *call;
    /* Y = sum over k of w[k] X[k]:  dX[k] += w[k] dY */
    if (call->dx[0]) cn_pool_run(call->pool, call->m, backward_task, &own);
}

const cn_layer_type cn_upsample2d_type = {
    .name = "upsample2d",
    .word = "upsample",
    .options = options,
    .options_size = sizeof(cn_upsample_opts),
    .infer = infer,
};

const cn_layer_ops cn_upsample2d_cpu = {
    .forward = forward,
    .backward = backward,
};

cn_node cn_upsample2d(cn_model *model, cn_node x, const cn_upsample_opts *opts)
{
    return cn_model_add(model, &cn_upsample2d_type, opts, opts ? opts->name : NULL, &x, 1);
}

/*
 * zero_pad.c - adds zeros around each image, or crops it.
 *
 *     zero_pad2d   Y[i, above + r, left + s, c] = X[i,r,s,c], and 0 elsewhere
 *     crop2d       Y[i,r,s,c] = X[i, above + r, left + s, c]
 *
 *     X (m, n_H, n_W, n_C); Y (m, n_H + above + below, n_W + left + right, n_C), with - for a crop.
 *
 * The gradient of each is the other one.
 */
#include "layers/layer.h"

#include <limits.h>
#include <string.h>

static const cn_option options[] = {
    {"pads", CN_OPTION_PADS, .bare = true, .offset = offsetof(cn_pads_opts, pads)},
    {0},
};

/* sign 1: pads; -1: crops */
static cn_status resize(cn_layer *layer, int sign, const char *context, cn_error *err)
{
    const cn_pads_opts *o = layer->options;
    char text[CN_SHAPE_TEXT];
    if (layer->in.rank != 3)
        return cn_fail(err, CN_ERR_SHAPE, "%s: input has shape %s, expected (n_H, n_W, n_C)",
                       context, cn_shape_text(layer->in.rank, layer->in.n, text));
    for (int axis = 0; axis < 2; axis++) {
        double n = layer->in.n[axis] + sign * ((double)o->pads[axis] + o->pads[axis + 2]);
        if (n < 1 || n > INT_MAX)
            return cn_fail(err, CN_ERR_SHAPE,
                           "%s: pads %d %d %d %d make %.0f %s of %d, expected at least 1", context,
                           o->pads[0], o->pads[1], o->pads[2], o->pads[3], n,
                           axis ? "columns" : "rows", layer->in.n[axis]);
        layer->out.n[axis] = (int)n;
    }
    return CN_OK;
}

static cn_status pad_infer(cn_layer *layer, const char *context, cn_error *err)
{
    return resize(layer, 1, context, err);
}

static cn_status crop_infer(cn_layer *layer, const char *context, cn_error *err)
{
    return resize(layer, -1, context, err);
}

typedef struct copy_job {
    const float *from;
    float *to;
    cn_shape small, large;
    const int *pads;
    bool pad; /* from small to large */
} copy_job;

/* One image. */
static void copy_task(void *argument, int task, int worker)
{
    const copy_job *job = argument;
    size_t c = (size_t)job->small.n[2], row = (size_t)job->small.n[1] * c;
    size_t large_row = (size_t)job->large.n[1] * c;
    size_t small = (size_t)task * cn_shape_count(&job->small);
    size_t large = (size_t)task * cn_shape_count(&job->large);
    size_t inside = large + (size_t)job->pads[0] * large_row + (size_t)job->pads[1] * c;
    (void)worker;
    if (job->pad) memset(job->to + large, 0, cn_shape_count(&job->large) * sizeof(float));
    for (int r = 0; r < job->small.n[0]; r++, small += row, inside += large_row)
        if (job->pad)
            memcpy(job->to + inside, job->from + small, row * sizeof(float));
        else
            memcpy(job->to + small, job->from + inside, row * sizeof(float));
}

static void run(const cn_call *call, const cn_shape *small, const cn_shape *large, bool pad,
                const float *from, float *to)
{
    const cn_pads_opts *o = call->layer->options;
    copy_job job = {from, to, *small, *large, o->pads, pad};
    cn_pool_run(call->pool, call->m, copy_task, &job);
}

static void pad_forward(const cn_call *call)
{
    run(call, &call->layer->in, &call->layer->out, true, call->x[0], call->y);
}

static void pad_backward(const cn_call *call)
{
    /* Y[i, above + r, left + s, c] = X[i,r,s,c]:  dX is that part of dY */
    if (call->dx[0]) run(call, &call->layer->in, &call->layer->out, false, call->dy, call->dx[0]);
}

static void crop_forward(const cn_call *call)
{
    run(call, &call->layer->out, &call->layer->in, false, call->x[0], call->y);
}

static void crop_backward(const cn_call *call)
{
    /* Y[i,r,s,c] = X[i, above + r, left + s, c]:  dX is dY there, and 0 elsewhere */
    if (call->dx[0]) run(call, &call->layer->out, &call->layer->in, true, call->dy, call->dx[0]);
}

const cn_layer_type cn_zero_pad2d_type = {
    .name = "zero_pad2d",
    .word = "zeropad",
    .options = options,
    .options_size = sizeof(cn_pads_opts),
    .infer = pad_infer,
};

const cn_layer_ops cn_zero_pad2d_cpu = {
    .forward = pad_forward,
    .backward = pad_backward,
};

const cn_layer_type cn_crop2d_type = {
    .name = "crop2d",
    .word = "crop",
    .options = options,
    .options_size = sizeof(cn_pads_opts),
    .infer = crop_infer,
};

const cn_layer_ops cn_crop2d_cpu = {
    .forward = crop_forward,
    .backward = crop_backward,
};

cn_node cn_zero_pad2d(cn_model *model, cn_node x, const cn_pads_opts *opts)
{
    return cn_model_add(model, &cn_zero_pad2d_type, opts, opts ? opts->name : NULL, &x, 1);
}

cn_node cn_crop2d(cn_model *model, cn_node x, const cn_pads_opts *opts)
{
    return cn_model_add(model, &cn_crop2d_type, opts, opts ? opts->name : NULL, &x, 1);
}

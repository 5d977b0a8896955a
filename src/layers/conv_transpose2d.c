/*
 * conv_transpose2d.c - transposed convolution: backward data of a convolution from Z to A_prev.
 *
 *     Z[i, r, t, g(c) K + k] += A_prev[i,p,q,c] W[u,v,k,c]
 *     with  r = p s_H + u d_H - pad_top,  t = q s_W + v d_W - pad_left
 *
 * for every pixel (p, q), tap (u, v), channel c and k < K, on top of the bias b; what falls outside
 * Z is dropped.
 *
 *     A_prev (m, n_H_prev, n_W_prev, n_C_prev); W (f_H, f_W, K, n_C_prev) with K = n_C / groups;
 *     b (n_C); Z (m, n_H, n_W, n_C) with
 *     n = (n_prev - 1) s + (f - 1) d + 1 - pads + output_padding;
 *     g(c) = floor(c groups / n_C_prev), c's group.
 *
 * So forward is that convolution's backward data, and backward its forward. The layer's window and
 * filters are that convolution's, too.
 */
#include "layers/layer.h"

#include <limits.h>
#include <string.h>

#define AT(member) offsetof(cn_conv_transpose2d_opts, member)
static const cn_option options[] = {
    {"filters", CN_OPTION_INT, .bare = true, .offset = AT(filters), .least = 1},
    {"kernel", CN_OPTION_PAIR, .bare = true, .offset = AT(kernel), .least = 1},
    {"stride", CN_OPTION_PAIR, .offset = AT(stride), .least = 1, .fallback = 1},
    {"pad", CN_OPTION_ENUM, .offset = AT(pad), .words = cn_padding_words},
    {"pads", CN_OPTION_PADS, .offset = AT(pads)},
    {"output_padding", CN_OPTION_PAIR, .zero = true, .offset = AT(output_padding)},
    {"no_bias", CN_OPTION_BOOL, .offset = AT(no_bias)},
    {"init", CN_OPTION_ENUM, .offset = AT(init), .words = cn_init_words},
    {"dilation", CN_OPTION_PAIR, .offset = AT(dilation), .least = 1, .fallback = 1},
    {"groups", CN_OPTION_INT, .offset = AT(groups), .least = 1, .fallback = 1},
    {0},
};

/* The window of the convolution from Z to A_prev, whose output has A_prev's size. */
static cn_status fit_window(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_conv_transpose2d_opts *o = layer->options;
    cn_window w = {.kernel = {o->kernel[0], o->kernel[1]},
                   .stride = {o->stride[0], o->stride[1]},
                   .dilation = {o->dilation[0], o->dilation[1]},
                   .before = {o->pads[0], o->pads[1]},
                   .after = {o->pads[2], o->pads[3]}};
    for (int axis = 0; axis < 2; axis++) {
        const char *side = axis ? "columns" : "rows";
        int n_prev = layer->in.n[axis], more = o->output_padding[axis];
        if (more >= w.stride[axis])
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: output_padding %d x %d, expected less than the stride, %d x %d",
                           context, o->output_padding[0], o->output_padding[1], w.stride[0],
                           w.stride[1]);
        int64_t full = (int64_t)(n_prev - 1) * w.stride[axis] + cn_window_extent(&w, axis);
        int64_t n = full - w.before[axis] - w.after[axis] + more;
        if (o->pad == CN_PADDING_SAME) n = (int64_t)n_prev * w.stride[axis];
        if (n < 1)
            return cn_fail(err, CN_ERR_SHAPE,
                           "%s: pads %d and %d leave nothing of the output's %lld %s", context,
                           w.before[axis], w.after[axis], (long long)full + more, side);
        if (n > INT_MAX || full > INT_MAX)
            return cn_fail(err, CN_ERR_SHAPE, "%s: an output of %lld %s is too large", context,
                           (long long)(n > full ? n : full), side);
        w.in[axis] = (int)n;
    }
    layer->window = w;
    return cn_window_fit(&layer->window, o->pad, context, err);
}

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_conv_transpose2d_opts *o = layer->options;
    char text[CN_SHAPE_TEXT];
    if (layer->in.rank != 3)
        return cn_fail(err, CN_ERR_SHAPE, "%s: input has shape %s, expected (n_H, n_W, n_C)",
                       context, cn_shape_text(layer->in.rank, layer->in.n, text));
    bool padded = o->pads[0] || o->pads[1] || o->pads[2] || o->pads[3];
    if (o->pad == CN_PADDING_SAME && (padded || o->output_padding[0] || o->output_padding[1]))
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s, but \"same\" finds the output's size itself",
                       context, padded ? "pads are given" : "output_padding is given");
    int n_C_prev = layer->in.n[2], n_C = o->filters, K = n_C / o->groups;
    cn_status status = cn_check_groups(o->groups, n_C_prev, n_C, context, err);
    if (status == CN_OK) status = fit_window(layer, context, err);
    if (status != CN_OK) return status;

    const cn_window *w = &layer->window;
    double window = (double)w->kernel[0] * w->kernel[1], meet = 1; /* taps at an element of Z */
    for (int axis = 0; axis < 2; axis++)
        if (w->kernel[axis] > w->stride[axis]) meet *= (double)w->kernel[axis] / w->stride[axis];
    layer->groups = o->groups;
    layer->out = (cn_shape){3, {w->in[0], w->in[1], n_C}};
    layer->parameters[0] = (cn_layer_parameter){
        .role = "weight",
        .shape = {4, {w->kernel[0], w->kernel[1], K, n_C_prev}},
        .init = o->init,
        .fan_in = meet * n_C_prev / o->groups, /* on average, where a window reaches */
        .fan_out = window * K,
    };
    layer->parameters[1] = (cn_layer_parameter){.role = "bias", .shape = {1, {n_C}}};
    layer->parameter_count = o->no_bias ? 1 : 2;
    return CN_OK;
}

/* ---- the bias: one row of Z is a pixel */

/* db is summed in parts, whose number depends on the shape alone, and which are added in order. */
enum { BIAS_PARTS = 32, BIAS_ROWS = 256 };

typedef struct bias_job {
    const cn_call *call;
    size_t rows;
    int columns, parts;
    float *sums; /* of each part */
} bias_job;

static bias_job bias_of(const cn_call *call)
{
    const int *n = call->layer->out.n;
    bias_job job = {.call = call, .columns = n[2]};
    job.rows = (size_t)call->m * (size_t)n[0] * (size_t)n[1];
    size_t parts = job.rows / BIAS_ROWS;
    job.parts = parts < 1 ? 1 : parts < BIAS_PARTS ? (int)parts : BIAS_PARTS;
    return job;
}

/* Where part `task` of the rows begins. */
static size_t first_row(const bias_job *job, int task)
{
    return job->rows / (size_t)job->parts * (size_t)task +
           job->rows % (size_t)job->parts * (size_t)task / (size_t)job->parts;
}

static void bias_task(void *argument, int task, int worker)
{
    const bias_job *job = argument;
    size_t first = first_row(job, task), end = first_row(job, task + 1);
    float *y = job->call->y;
    (void)worker;
    job->call->kernels->conv->bias(end - first, job->columns, job->call->w[1],
                                   job->call->activation, y + first * (size_t)job->columns);
}

static void bias_backward_task(void *argument, int task, int worker)
{
    const bias_job *job = argument;
    size_t first = first_row(job, task), end = first_row(job, task + 1);
    float *sum = job->sums + (size_t)task * (size_t)job->columns;
    const float *dy = job->call->dy;
    (void)worker;
    memset(sum, 0, (size_t)job->columns * sizeof *sum);
    job->call->kernels->conv->bias_backward(end - first, job->columns,
                                            dy + first * (size_t)job->columns, sum);
}

/* ---- running */

/* The plan is that of the convolution from Z to A_prev: this layer writes that one's input. */
static void requirements(const cn_call *call, int threads, cn_requirements *r)
{
    size_t sums = (size_t)BIAS_PARTS * (size_t)call->layer->out.n[2];
    cn_conv2d_requirements(call, threads, r);
    if (sums > r->scratch) r->scratch = sums;
}

static void forward(const cn_call *call)
{
    const cn_conv_args args = {.m = call->m,
                               .w = call->w[0],
                               .dy = call->x[0],
                               .dx = call->y,
                               .scratch = call->scratch,
                               .pool = call->pool};
    bias_job job = bias_of(call);
    cn_conv_run(call->conv, CN_CONV_BACKWARD_DATA, &args);
    if (call->w[1] || call->activation.kind) cn_pool_run(call->pool, job.parts, bias_task, &job);
}

static void backward(const cn_call *call)
{
    cn_conv_args args = {.m = call->m,
                         .x = call->dy,
                         .dy = call->x[0],
                         .dw = call->dw[0],
                         .scratch = call->scratch,
                         .pool = call->pool};
    /* Z[i, p s_H + u d_H - pad_top, ..., g(c) K + k] += A_prev[i,p,q,c] W[u,v,k,c]
     *     dW[u,v,k,c] += dZ[i, p s_H + u d_H - pad_top, ..., g(c) K + k] A_prev[i,p,q,c] */
    if (call->dw[0]) cn_conv_run(call->conv, CN_CONV_BACKWARD_WEIGHTS, &args);
    /* The same line, in its other factor:
     *     dA_prev[i,p,q,c] += dZ[i, p s_H + u d_H - pad_top, ..., g(c) K + k] W[u,v,k,c] */
    args.w = call->packed;
    args.y = call->dx[0];
    if (call->dx[0]) cn_conv_run(call->conv, CN_CONV_FORWARD, &args);
    /* Z[i,p,q,k] = b[k] + ...
     *     db[k] += dZ[i,p,q,k] */
    bias_job job = bias_of(call);
    job.sums = call->scratch;
    if (!call->dw[1]) return;
    cn_pool_run(call->pool, job.parts, bias_backward_task, &job);
    for (int i = 0; i < job.parts; i++)
        call->kernels->add((size_t)job.columns, job.sums + (size_t)i * (size_t)job.columns,
                           call->dw[1]);
}

/* As forward and backward above: in the words of the convolution from Z to A_prev. */
static void describe(const cn_requirements *r, cn_pass pass, char text[CN_METHOD_TEXT])
{
    static const cn_pass passes[] = {CN_BACKWARD_DATA, CN_FORWARD, CN_BACKWARD_WEIGHTS};
    cn_conv2d_describe(r, passes[pass], text);
}

static size_t multiply_adds(const cn_layer *layer)
{
    return cn_shape_count(&layer->parameters[0].shape) * (size_t)layer->in.n[0] *
           (size_t)layer->in.n[1];
}

const cn_layer_type cn_conv_transpose2d_type = {
    .name = "conv_transpose2d",
    .word = "convtranspose",
    .options = options,
    .options_size = sizeof(cn_conv_transpose2d_opts),
    .backward_reads = CN_READS_X,
    .fuses_relu = true,
    .infer = infer,
    .multiply_adds = multiply_adds,
};

const cn_layer_ops cn_conv_transpose2d_cpu = {
    .requirements = requirements,
    .pack = cn_conv2d_pack,
    .backward_reads_packed = true,
    .forward = forward,
    .backward = backward,
    .describe = describe,
};

cn_node cn_conv_transpose2d(cn_model *model, cn_node x, const cn_conv_transpose2d_opts *opts)
{
    return cn_model_add(model, &cn_conv_transpose2d_type, opts, opts ? opts->name : NULL, &x, 1);
}

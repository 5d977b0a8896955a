/*
 * arrange.c - the same elements in another shape, in another order, or some of them.
 *
 *     reshape      Y[i, e] = X[i, e], an example's elements e in the order of memory
 *     transpose    Y[i, o, b, a, k] = X[i, o, a, b, k]: an example is read as (.., A, B, inner), and
 *                  its axes A and B are exchanged; its shape stays the same
 *     slice        Y[i, .., j, ..] = X[i, .., begin + j step, ..], j < count, along one axis
 *
 * Any permutation of axes is a sequence of transpositions: a channel shuffle of g groups is that of
 * (g, n_C / g), and channels first become channels last by that of (n_C, n_H n_W).
 */
#include "layers/layer.h"

#include <limits.h>
#include <string.h>

/* ---- reshape */

static const cn_option reshape_options[] = {
    {"size", CN_OPTION_PAIR, .bare = true, .offset = offsetof(cn_reshape_opts, size), .least = 1},
    {0},
};

static cn_status reshape_infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_reshape_opts *o = layer->options;
    int64_t pixels = (int64_t)o->size[0] * o->size[1], n = (int64_t)cn_shape_count(&layer->in);
    if (n % pixels != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: %lld elements, expected a multiple of %d x %d",
                       context, (long long)n, o->size[0], o->size[1]);
    layer->out = (cn_shape){3, {o->size[0], o->size[1], (int)(n / pixels)}};
    return CN_OK;
}

const cn_layer_type cn_reshape_type = {
    .name = "reshape",
    .options = reshape_options,
    .options_size = sizeof(cn_reshape_opts),
    .view = true,
    .infer = reshape_infer,
};

const cn_layer_ops cn_reshape_cpu = {.forward = NULL};

/* ---- transpose */

#define AT(member) offsetof(cn_transpose_opts, member)
static const cn_option transpose_options[] = {
    {"axes", CN_OPTION_PAIR, .bare = true, .offset = AT(axes), .least = 1},
    {"inner", CN_OPTION_INT, .offset = AT(inner), .least = 1, .fallback = 1},
    {0},
};
#undef AT

static cn_status transpose_infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_transpose_opts *o = layer->options;
    double block = (double)o->axes[0] * o->axes[1] * o->inner;
    size_t n = cn_shape_count(&layer->in);
    if (block > INT_MAX || n % (size_t)block != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: %zu elements, expected a multiple of %d x %d x %d",
                       context, n, o->axes[0], o->axes[1], o->inner);
    return CN_OK;
}

/* All blocks (A, B, inner) of all examples, one after the other. */
typedef struct transpose_job {
    const float *from;
    float *to;
    size_t a, b, inner; /* of `from` */
    size_t blocks;
    int parts; /* of all blocks: tasks */
} transpose_job;

enum { TILE = 16 }; /* floats, a cache line: both arrays are walked in whole ones */

static void transpose_block(const transpose_job *job, const float *from, float *to)
{
    const size_t a = job->a, b = job->b, inner = job->inner;
    for (size_t i = 0; inner > 1 && i < a; i++)
        for (size_t j = 0; j < b; j++)
            memcpy(to + (j * a + i) * inner, from + (i * b + j) * inner, inner * sizeof *to);
    for (size_t i = 0; inner == 1 && i < a; i += TILE)
        for (size_t j = 0; j < b; j += TILE)
            for (size_t r = i; r < a && r < i + TILE; r++)
                for (size_t s = j; s < b && s < j + TILE; s++) to[s * a + r] = from[r * b + s];
}

/* A channel shuffle of two groups. */
static void transpose_pairs(const float *restrict from, size_t b, float *restrict to)
{
    for (size_t s = 0; s < b; s++) {
        to[2 * s] = from[s];
        to[2 * s + 1] = from[b + s];
    }
}

static void transpose_task(void *argument, int task, int worker)
{
    const transpose_job *job = argument;
    const size_t block = job->a * job->b * job->inner, parts = (size_t)job->parts;
    const size_t first = job->blocks * (size_t)task / parts;
    const size_t end = job->blocks * ((size_t)task + 1) / parts;
    (void)worker;
    for (size_t at = first * block; at < end * block; at += block)
        if (job->a == 2 && job->inner == 1)
            transpose_pairs(job->from + at, job->b, job->to + at);
        else
            transpose_block(job, job->from + at, job->to + at);
}

static void transpose(const cn_call *call, bool back, const float *from, float *to)
{
    const cn_transpose_opts *o = call->layer->options;
    transpose_job job = {.from = from,
                         .to = to,
                         .a = (size_t)o->axes[back],
                         .b = (size_t)o->axes[!back],
                         .inner = (size_t)o->inner};
    const size_t each = cn_shape_count(&call->layer->in) / (job.a * job.b * job.inner);
    job.blocks = (size_t)call->m * each;
    job.parts = call->m * cn_pool_parts(call->pool, call->m, each);
    cn_pool_run(call->pool, job.parts, transpose_task, &job);
}

static void transpose_forward(const cn_call *call)
{
    transpose(call, false, call->x[0], call->y);
}

/* Y[i, o, b, a, k] = X[i, o, a, b, k]:  dX[i, o, a, b, k] = dY[i, o, b, a, k] */
static void transpose_backward(const cn_call *call)
{
    if (call->dx[0]) transpose(call, true, call->dy, call->dx[0]);
}

const cn_layer_type cn_transpose_type = {
    .name = "transpose",
    .options = transpose_options,
    .options_size = sizeof(cn_transpose_opts),
    .infer = transpose_infer,
};

const cn_layer_ops cn_transpose_cpu = {
    .forward = transpose_forward,
    .backward = transpose_backward,
};

/* ---- slice */

static const char *const axis_words[] = {"channels", "columns", "rows", NULL};

#define AT(member) offsetof(cn_slice_opts, member)
static const cn_option slice_options[] = {
    {"count", CN_OPTION_INT, .bare = true, .offset = AT(count), .least = 1},
    {"begin", CN_OPTION_INT, .offset = AT(begin)},
    {"step", CN_OPTION_INT, .offset = AT(step), .least = 1, .fallback = 1},
    {"axis", CN_OPTION_ENUM, .offset = AT(axis), .words = axis_words},
    {0},
};
#undef AT

static cn_status slice_infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_slice_opts *o = layer->options;
    int axis = layer->in.rank - 1 - (int)o->axis;
    int64_t last = o->begin + (int64_t)(o->count - 1) * o->step;
    if (axis < 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: the input has no %s", context, axis_words[o->axis]);
    if (last >= layer->in.n[axis])
        return cn_fail(err, CN_ERR_SHAPE, "%s: takes %s %d to %lld of %d", context,
                       axis_words[o->axis], o->begin, (long long)last, layer->in.n[axis]);
    layer->out.n[axis] = o->count;
    return CN_OK;
}

/* All examples as (outer, n, inner), of which n is sliced. */
typedef struct slice_job {
    const cn_slice_opts *o;
    size_t outer, n, inner;
    const float *from;
    float *to;
    int parts; /* of outer: tasks */
    bool back;
} slice_job;

static void slice_task(void *argument, int task, int worker)
{
    const slice_job *job = argument;
    const size_t count = (size_t)job->o->count, inner = job->inner, whole = job->n * inner;
    const size_t step = (size_t)job->o->step, together = step == 1 ? count : 1;
    const size_t first = job->outer * (size_t)task / (size_t)job->parts;
    const size_t end = job->outer * ((size_t)task + 1) / (size_t)job->parts;
    (void)worker;
    if (job->back) memset(job->to + first * whole, 0, (end - first) * whole * sizeof *job->to);
    for (size_t i = first; i < end; i++)
        for (size_t j = 0; j < count; j += together) {
            size_t in = i * whole + ((size_t)job->o->begin + j * step) * inner;
            size_t out = (i * count + j) * inner;
            memcpy(job->to + (job->back ? in : out), job->from + (job->back ? out : in),
                   together * inner * sizeof *job->to);
        }
}

static void slice(const cn_call *call, bool back, const float *from, float *to)
{
    const cn_shape *in = &call->layer->in;
    slice_job job = {
        .o = call->layer->options, .outer = 1, .inner = 1, .from = from, .to = to, .back = back};
    int axis = in->rank - 1 - (int)job.o->axis;
    for (int k = 0; k < axis; k++) job.outer *= (size_t)in->n[k];
    for (int k = axis + 1; k < in->rank; k++) job.inner *= (size_t)in->n[k];
    job.n = (size_t)in->n[axis];
    job.parts = call->m * cn_pool_parts(call->pool, call->m, job.outer);
    job.outer *= (size_t)call->m;
    cn_pool_run(call->pool, job.parts, slice_task, &job);
}

static void slice_forward(const cn_call *call)
{
    slice(call, false, call->x[0], call->y);
}

/* Y[i, .., j, ..] = X[i, .., begin + j step, ..]:  dX is dY there, and 0 elsewhere */
static void slice_backward(const cn_call *call)
{
    if (call->dx[0]) slice(call, true, call->dy, call->dx[0]);
}

const cn_layer_type cn_slice_type = {
    .name = "slice",
    .options = slice_options,
    .options_size = sizeof(cn_slice_opts),
    .infer = slice_infer,
};

const cn_layer_ops cn_slice_cpu = {
    .forward = slice_forward,
    .backward = slice_backward,
};

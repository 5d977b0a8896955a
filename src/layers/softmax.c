/*
 * softmax.c - turns the logits of each row into probabilities.
 *
 *     A[j] = exp(Z[j]) / sum over k of exp(Z[k])
 *
 * A row is the last axis: n_C elements of a pixel, or a whole example of rank 1. The kernel
 * subtracts the row's maximum first, so that no exponential overflows; the result is the same.
 */
#include "layers/layer.h"

static int columns(const cn_layer *layer)
{
    return layer->out.n[layer->out.rank - 1];
}

/* Rows first .. first + n - 1 of a task: whole rows, about a chunk of elements. */
static size_t task_rows(const cn_call *call, int task, size_t *first)
{
    size_t width = (size_t)columns(call->layer);
    size_t rows = (size_t)call->m * cn_shape_count(&call->layer->out) / width;
    size_t most = width < CN_MAP_CHUNK ? CN_MAP_CHUNK / width : 1;
    *first = (size_t)task * most;
    return rows - *first < most ? rows - *first : most;
}

static void forward_task(void *argument, int task, int worker)
{
    const cn_call *call = argument;
    size_t first, n = task_rows(call, task, &first);
    size_t from = first * (size_t)columns(call->layer);
    const float *x = call->x[0];
    float *y = call->y;
    (void)worker;
    call->kernels->softmax(n, columns(call->layer), x + from, y + from);
}

static void backward_task(void *argument, int task, int worker)
{
    const cn_call *call = argument;
    size_t first, n = task_rows(call, task, &first);
    size_t from = first * (size_t)columns(call->layer);
    const float *y = call->y, *dy = call->dy;
    float *dx = call->dx[0];
    (void)worker;
    /* A[j] = exp(Z[j]) / sum over k of exp(Z[k]):
     *     dZ[j] = A[j] (dA[j] - sum over k of dA[k] A[k]) */
    call->kernels->softmax_backward(n, columns(call->layer), y + from, dy + from, dx + from);
}

static int tasks(const cn_call *call)
{
    size_t first, most = task_rows(call, 0, &first);
    size_t rows =
        (size_t)call->m * cn_shape_count(&call->layer->out) / (size_t)columns(call->layer);
    return (int)((rows + most - 1) / most);
}

static void forward(const cn_call *call)
{
    cn_pool_run(call->pool, tasks(call), forward_task, (void *)call);
}

static void backward(const cn_call *call)
{
    if (call->dx[0]) cn_pool_run(call->pool, tasks(call), backward_task, (void *)call);
}

const cn_layer_type cn_softmax_type = {
    .name = "softmax",
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .loss = CN_LOSS_CROSS_ENTROPY,
};

const cn_layer_ops cn_softmax_cpu = {
    .forward = forward,
    .backward = backward,
};

cn_node cn_softmax(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_softmax_type, NULL, NULL, &x, 1);
}

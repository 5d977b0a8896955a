/*
 * add.c - the sum of two branches, which makes a block residual (He et al. 2015).
 *
 *     Y = A + B
 *     dA = dB = dY
 */
#include "layers/layer.h"

#include <string.h>

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    char first[CN_SHAPE_TEXT], second[CN_SHAPE_TEXT];
    const cn_shape *a = &layer->inputs_of[0], *b = &layer->inputs_of[1];
    if (a->rank == b->rank && memcmp(a->n, b->n, (size_t)a->rank * sizeof *a->n) == 0) return CN_OK;
    return cn_fail(err, CN_ERR_SHAPE, "%s: inputs have shapes %s and %s, expected equal ones",
                   context, cn_shape_text(a->rank, a->n, first),
                   cn_shape_text(b->rank, b->n, second));
}

typedef struct add_job {
    const cn_call *call;
    size_t n;
} add_job;

static void add_task(void *argument, int task, int worker)
{
    const add_job *job = argument;
    const cn_call *call = job->call;
    size_t from = (size_t)task * CN_MAP_CHUNK;
    size_t n = job->n - from < CN_MAP_CHUNK ? job->n - from : CN_MAP_CHUNK;
    const float *a = call->x[0], *b = call->x[1];
    float *y = call->y;
    (void)worker;
    call->kernels->sum(n, a + from, b + from, call->activation, y + from);
}

static void forward(const cn_call *call)
{
    add_job job = {call, (size_t)call->m * cn_shape_count(&call->layer->out)};
    cn_pool_run(call->pool, (int)((job.n + CN_MAP_CHUNK - 1) / CN_MAP_CHUNK), add_task, &job);
}

static void backward(const cn_call *call)
{
    size_t n = (size_t)call->m * cn_shape_count(&call->layer->out);
    /* Y = A + B:  dA = dY, dB = dY */
    for (int k = 0; k < 2; k++)
        if (call->dx[k] && call->dx[k] != call->dy)
            memcpy(call->dx[k], call->dy, n * sizeof(float));
}

const cn_layer_type cn_add_type = {
    .name = "add",
    .most_inputs = 2,
    .in_place = true,
    .fuses_relu = true,
    .sum = true,
    .infer = infer,
};

const cn_layer_ops cn_add_cpu = {
    .forward = forward,
    .backward = backward,
};

cn_node cn_add(cn_model *model, cn_node a, cn_node b)
{
    return cn_model_add(model, &cn_add_type, NULL, NULL, (cn_node[]){a, b}, 2);
}

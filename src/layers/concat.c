/*
 * concat.c - joins its inputs along the channels, as in U-Nets and Inception blocks.
 *
 *     Y[.., first[k] + c] = X_k[.., c]     first[k] = the channels of the inputs before the k-th
 */
#include "layers/layer.h"

#include <limits.h>
#include <string.h>

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    char first[CN_SHAPE_TEXT], other[CN_SHAPE_TEXT];
    const cn_shape *a = &layer->inputs_of[0];
    double channels = a->n[a->rank - 1];
    for (int k = 1; k < layer->input_count; k++) {
        const cn_shape *b = &layer->inputs_of[k];
        if (a->rank != b->rank || memcmp(a->n, b->n, (size_t)(a->rank - 1) * sizeof *a->n) != 0)
            return cn_fail(err, CN_ERR_SHAPE,
                           "%s: inputs have shapes %s and %s, expected equal ones but for the "
                           "last axis",
                           context, cn_shape_text(a->rank, a->n, first),
                           cn_shape_text(b->rank, b->n, other));
        channels += b->n[b->rank - 1];
    }
    if (channels > INT_MAX)
        return cn_fail(err, CN_ERR_SHAPE, "%s: more than %d channels", context, INT_MAX);
    layer->out.n[a->rank - 1] = (int)channels;
    return CN_OK;
}

enum { ROWS = 64 }; /* pixels that a thread takes at a time */

typedef struct concat_job {
    const cn_call *call;
    size_t rows;
    bool backward;
} concat_job;

static void concat_task(void *argument, int task, int worker)
{
    const concat_job *job = argument;
    const cn_call *call = job->call;
    const cn_layer *layer = call->layer;
    size_t c_out = (size_t)layer->out.n[layer->out.rank - 1], first = 0;
    size_t from = (size_t)task * ROWS, to = from + ROWS < job->rows ? from + ROWS : job->rows;
    (void)worker;
    for (int k = 0; k < layer->input_count; k++) {
        const cn_shape *shape = &layer->inputs_of[k];
        size_t c = (size_t)shape->n[shape->rank - 1];
        const float *x = call->x[k], *dy = call->dy;
        float *y = call->y, *dx = call->dx[k];
        for (size_t row = from; row < to; row++) {
            size_t out = row * c_out + first, in = row * c;
            if (!job->backward)
                memcpy(y + out, x + in, c * sizeof(float));
            else if (dx)
                memcpy(dx + in, dy + out, c * sizeof(float));
        }
        first += c;
    }
}

static void run(const cn_call *call, bool backward)
{
    const cn_shape *out = &call->layer->out;
    size_t rows = (size_t)call->m * cn_shape_count(out) / (size_t)out->n[out->rank - 1];
    concat_job job = {call, rows, backward};
    cn_pool_run(call->pool, (int)((rows + ROWS - 1) / ROWS), concat_task, &job);
}

static void forward(const cn_call *call)
{
    run(call, false);
}

/* Y[.., first[k] + c] = X_k[.., c]:  dX_k[.., c] = dY[.., first[k] + c] */
static void backward(const cn_call *call)
{
    run(call, true);
}

const cn_layer_type cn_concat_type = {
    .name = "concat",
    .most_inputs = CN_MAX_INPUTS,
    .infer = infer,
};

const cn_layer_ops cn_concat_cpu = {
    .forward = forward,
    .backward = backward,
};

cn_node cn_concat(cn_model *model, const cn_node *inputs, int count)
{
    return cn_model_add(model, &cn_concat_type, NULL, NULL, inputs, count);
}

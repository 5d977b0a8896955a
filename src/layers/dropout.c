/*
 * dropout.c - zeroes elements at random in training (Srivastava et al. 2014) and scales up the
 * others ("inverted" dropout), so that prediction needs no correction.
 *
 *     Y = X M / (1 - rate),   M = 0 with probability rate, else 1
 *
 * M is not stored: it is a function of (seed, layer, step, element), so that backward, and any
 * number of threads, find the same. Each chunk of 16384 elements has a key of two words, Philox of
 * (chunk, layer, step) under the seed. The kernel hashes key and element to 24 bits, and compares
 * them with the rate. In a session that does not train the layer is the identity.
 */
#include "base/counter.h"
#include "layers/layer.h"

static const cn_option options[] = {
    {"rate", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_dropout_opts, rate), .below = 1},
    {0},
};

typedef struct drop_job {
    const cn_call *call;
    const float *from;
    float *to;
    size_t n;
} drop_job;

static void drop_task(void *argument, int task, int worker)
{
    const drop_job *job = argument;
    const cn_call *call = job->call;
    const double rate = ((const cn_dropout_opts *)call->layer->options)->rate;
    size_t first = (size_t)task * CN_MAP_CHUNK, left = job->n - first;
    uint32_t key[4];
    const uint32_t counter[4] = {(uint32_t)task, (uint32_t)call->index, (uint32_t)call->step,
                                 (uint32_t)(call->step >> 32)};
    (void)worker;
    cn_philox(counter, (const uint32_t[]){(uint32_t)call->seed, (uint32_t)(call->seed >> 32)}, key);
    call->kernels->dropout(left < CN_MAP_CHUNK ? left : CN_MAP_CHUNK, key,
                           (int)(rate * 0x1p24 + 0.5), (float)(1 / (1 - rate)), job->from + first,
                           job->to + first);
}

static void run(const cn_call *call, const float *from, float *to)
{
    drop_job job = {call, from, to, (size_t)call->m * cn_shape_count(&call->layer->out)};
    cn_pool_run(call->pool, (int)((job.n + CN_MAP_CHUNK - 1) / CN_MAP_CHUNK), drop_task, &job);
}

static void forward(const cn_call *call)
{
    run(call, call->x[0], call->y);
}

static void backward(const cn_call *call)
{
    /* Y = X M / (1 - rate):  dX = dY M / (1 - rate) */
    if (call->dx[0]) run(call, call->dy, call->dx[0]);
}

const cn_layer_type cn_dropout_type = {
    .name = "dropout",
    .options = options,
    .options_size = sizeof(cn_dropout_opts),
    .in_place = true,
    .training_only = true,
};

const cn_layer_ops cn_dropout_cpu = {
    .forward = forward,
    .backward = backward,
};

cn_node cn_dropout(cn_model *model, cn_node x, const cn_dropout_opts *opts)
{
    return cn_model_add(model, &cn_dropout_type, opts, opts ? opts->name : NULL, &x, 1);
}

/*
 * across.c - functions along the last axis of each pixel, beside softmax (softmax.c).
 *
 *     log_softmax              A[j] = Z[j] - ln(sum over k of exp(Z[k]))
 *     local_response_norm      A[j] = Z[j] D[j]^-beta,
 *                              D[j] = bias + alpha / size sum of Z[k]^2 over the `size` channels k
 *                              around j: from floor((size - 1) / 2) below on
 *                              (Krizhevsky, Sutskever and Hinton 2012; ONNX's LRN)
 */
#include "base/math.h"
#include "layers/layer.h"

#include <math.h>

static size_t columns_of(const cn_layer *layer)
{
    return (size_t)layer->out.n[layer->out.rank - 1];
}

/* ---- log_softmax */

static void log_softmax_unit(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const size_t count = cn_shape_count(&call->layer->out), n = columns_of(call->layer);
    const float *x = (const float *)call->x[0] + (size_t)image * count;
    float *y = (float *)call->y + (size_t)image * count;
    (void)worker;
    for (size_t row = 0; row < count; row += n) {
        float most = x[row];
        double sum = 0;
        for (size_t j = 1; j < n; j++) most = x[row + j] > most ? x[row + j] : most;
        for (size_t j = 0; j < n; j++) sum += cn_exp((double)x[row + j] - (double)most);
        const double shift = (double)most + cn_log(sum);
        for (size_t j = 0; j < n; j++) y[row + j] = (float)((double)x[row + j] - shift);
    }
}

/* A[j] = Z[j] - ln(sum of exp(Z[k])):  dZ[j] = dA[j] - exp(A[j]) sum over k of dA[k] */
static void log_softmax_backward_unit(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const size_t count = cn_shape_count(&call->layer->out), n = columns_of(call->layer);
    const float *y = (const float *)call->y + (size_t)image * count;
    const float *dy = (const float *)call->dy + (size_t)image * count;
    float *dx = (float *)call->dx[0] + (size_t)image * count;
    (void)worker;
    for (size_t row = 0; row < count; row += n) {
        double sum = 0;
        for (size_t j = 0; j < n; j++) sum += (double)dy[row + j];
        for (size_t j = 0; j < n; j++)
            dx[row + j] = (float)((double)dy[row + j] - cn_exp((double)y[row + j]) * sum);
    }
}

static void log_softmax_forward(const cn_call *call)
{
    cn_pool_run(call->pool, call->m, log_softmax_unit, (void *)(uintptr_t)call);
}

static void log_softmax_backward(const cn_call *call)
{
    if (call->dx[0])
        cn_pool_run(call->pool, call->m, log_softmax_backward_unit, (void *)(uintptr_t)call);
}

const cn_layer_type cn_log_softmax_type = {
    .name = "log_softmax",
    .backward_reads = CN_READS_Y,
    .in_place = true,
};

const cn_layer_ops cn_log_softmax_cpu = {
    .forward = log_softmax_forward,
    .backward = log_softmax_backward,
};

/* ---- local_response_norm */

#define AT(member) offsetof(cn_local_response_norm_opts, member)
static const cn_option response_options[] = {
    {"size", CN_OPTION_INT, .bare = true, .offset = AT(size), .least = 1},
    {"alpha", CN_OPTION_FLOAT, .offset = AT(alpha), .fallback = 1e-4},
    {"beta", CN_OPTION_FLOAT, .offset = AT(beta), .fallback = 0.75},
    {"bias", CN_OPTION_FLOAT, .offset = AT(bias), .fallback = 1},
    {0},
};
#undef AT

/* d^-beta; roots, which are exact to the last bit, where they do. */
static double power_of(double d, double beta)
{
    if (beta == 0.75) return 1 / (sqrt(d) * sqrt(sqrt(d)));
    if (beta == 0.5) return 1 / sqrt(d);
    return 1 / cn_pow(d, beta);
}

/* D[j] of a pixel of n channels. */
static double divisor(const cn_local_response_norm_opts *o, const float *x, int n, int j)
{
    const int first = j - (o->size - 1) / 2;
    double sum = 0;
    for (int k = first < 0 ? 0 : first; k < n && k < first + o->size; k++)
        sum += (double)x[k] * (double)x[k];
    return o->bias + o->alpha / o->size * sum;
}

static void response_unit(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const size_t count = cn_shape_count(&call->layer->out), n = columns_of(call->layer);
    const float *x = (const float *)call->x[0] + (size_t)image * count;
    const cn_local_response_norm_opts *o = call->layer->options;
    float *y = (float *)call->y + (size_t)image * count;
    (void)worker;
    for (size_t row = 0; row < count; row += n)
        for (size_t j = 0; j < n; j++)
            y[row + j] = (float)((double)x[row + j] *
                                 power_of(divisor(o, x + row, (int)n, (int)j), o->beta));
}

/*
 * A[j] = Z[j] D[j]^-beta, and Z[k] is in D[j] where k is in j's window:
 *
 *     dZ[k] = dA[k] D[k]^-beta - 2 alpha beta / size Z[k] sum over such j of dA[j] Z[j] D[j]^(-beta - 1)
 */
static void response_backward_unit(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const size_t count = cn_shape_count(&call->layer->out), c = columns_of(call->layer);
    const cn_local_response_norm_opts *o = call->layer->options;
    const float *x = (const float *)call->x[0] + (size_t)image * count;
    const float *dy = (const float *)call->dy + (size_t)image * count;
    float *dx = (float *)call->dx[0] + (size_t)image * count;
    float *part = (float *)call->scratch + (size_t)image * c;
    const int n = (int)c, below = (o->size - 1) / 2, above = o->size - 1 - below;
    (void)worker;
    for (size_t row = 0; row < count; row += c) {
        for (int j = 0; j < n; j++) {
            const double d = divisor(o, x + row, n, j), power = power_of(d, o->beta);
            const double own = (double)dy[row + (size_t)j];
            part[j] = (float)(own * (double)x[row + (size_t)j] * power / d);
            dx[row + (size_t)j] = (float)(own * power);
        }
        for (int k = 0; k < n; k++) {
            double sum = 0;
            for (int j = k - above < 0 ? 0 : k - above; j < n && j <= k + below; j++)
                sum += (double)part[j];
            dx[row + (size_t)k] -=
                (float)(2 * o->alpha * o->beta / o->size * (double)x[row + (size_t)k] * sum);
        }
    }
}

static void response_requirements(const cn_call *call, int threads, cn_requirements *r)
{
    (void)threads;
    r->scratch = call->training ? (size_t)call->m * columns_of(call->layer) : 0;
}

static void response_forward(const cn_call *call)
{
    cn_pool_run(call->pool, call->m, response_unit, (void *)(uintptr_t)call);
}

static void response_backward(const cn_call *call)
{
    if (call->dx[0])
        cn_pool_run(call->pool, call->m, response_backward_unit, (void *)(uintptr_t)call);
}

const cn_layer_type cn_local_response_norm_type = {
    .name = "local_response_norm",
    .word = "lrn",
    .options = response_options,
    .options_size = sizeof(cn_local_response_norm_opts),
    .backward_reads = CN_READS_X,
};

const cn_layer_ops cn_local_response_norm_cpu = {
    .requirements = response_requirements,
    .forward = response_forward,
    .backward = response_backward,
};

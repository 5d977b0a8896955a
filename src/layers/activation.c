/*
 * activation.c - the element-wise layers, and the table of them:
 *
 *     A = f(Z)        dZ = dA f'(Z)
 *
 * Each entry gives f, then dZ. Where the output A determines f'(Z), dZ is computed from A, which
 * may then overwrite Z; elsewhere from the input Z. The loops are the kernels' rows of the same
 * name (src/kernels/elementwise/activation_template.h).
 */
#include "layers/layer.h"

#include <math.h>

/* ---- what they share */

typedef struct element_job {
    const cn_elementwise *function;
    const cn_activation *activation;
    size_t n;
    const float *from; /* Z, or, as the derivative asks for, A */
    const float *dy;   /* NULL: forward */
    float *to;
} element_job;

static void element_task(void *argument, int task, int worker)
{
    const element_job *job = argument;
    size_t at = (size_t)task * CN_MAP_CHUNK;
    size_t n = job->n - at < CN_MAP_CHUNK ? job->n - at : CN_MAP_CHUNK;
    (void)worker;
    if (job->dy)
        job->function->backward(n, job->activation, job->from + at, job->dy + at, job->to + at);
    else
        job->function->forward(n, job->activation, job->from + at, job->to + at);
}

static void run(const cn_call *call, const cn_activation *activation, const float *from,
                const float *dy, float *to)
{
    element_job job = {.function = &call->kernels->elementwise[activation->kind],
                       .activation = activation,
                       .n = (size_t)call->m * cn_shape_count(&call->layer->out),
                       .from = from,
                       .dy = dy,
                       .to = to};
    cn_pool_run(call->pool, (int)((job.n + CN_MAP_CHUNK - 1) / CN_MAP_CHUNK), element_task, &job);
}

void cn_mask_relu(const cn_call *call, void *dy)
{
    const cn_activation relu = {.kind = CN_ACTIVATION_CLIP, .upper = INFINITY};
    run(call, &relu, call->y, call->dy, dy);
}

/* A = f(Z) */
static void forward(const cn_call *call)
{
    run(call, &call->layer->activation, call->x[0], NULL, call->y);
}

/* A = f(Z):  dZ = dA f'(Z) */
static void backward(const cn_call *call)
{
    const bool reads_x = call->layer->type->backward_reads & CN_READS_X;
    if (call->dx[0])
        run(call, &call->layer->activation, reads_x ? call->x[0] : call->y, call->dy, call->dx[0]);
}

const cn_layer_ops cn_activation_cpu = {.forward = forward, .backward = backward};

/* The function: the type's bounds, or the kernels' row of the type's name and its one option. */
static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_option *option = layer->type->options;
    layer->activation = layer->type->activation;
    if (!layer->activation.kind) layer->activation.kind = cn_elementwise_find(layer->type->name);
    if (!layer->activation.kind)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: %s has no row in the kernels' table", context,
                       layer->type->name);
    if (option) {
        const char *at = (const char *)layer->options + option->offset;
        layer->activation.parameter =
            option->kind == CN_OPTION_BOOL ? (float)*(const bool *)at : (float)*(const double *)at;
    }
    return CN_OK;
}

#define ELEMENT_BY_ELEMENT .in_place = true, .infer = infer
#define FROM_A             .backward_reads = CN_READS_Y, ELEMENT_BY_ELEMENT
#define FROM_Z             .backward_reads = CN_READS_X, ELEMENT_BY_ELEMENT
#define OPTIONS(opts)      .options = opts##_options, .options_size = sizeof(cn_##opts##_opts)

/* ---- piecewise linear */

/*
 * relu - the rectified linear unit (Nair and Hinton 2010). A NaN stays one, here and below.
 *
 *     A = max(Z, 0)
 *     dZ = dA where A > 0, else 0: 0 at the kink itself
 */
const cn_layer_type cn_relu_type = {
    .name = "relu",
    .activation = {.kind = CN_ACTIVATION_CLIP, .upper = INFINITY},
    FROM_A,
};

cn_node cn_relu(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_relu_type, NULL, NULL, &x, 1);
}

/*
 * relu6 - a ReLU that ends at 6 (Krizhevsky 2010), as in MobileNet.
 *
 *     A = min(max(Z, 0), 6)
 *     dZ = dA where 0 < A < 6, else 0
 */
static const cn_layer_type relu6_type = {
    .name = "relu6",
    .activation = {.kind = CN_ACTIVATION_CLIP, .upper = 6},
    FROM_A,
};

cn_node cn_relu6(cn_model *model, cn_node x)
{
    return cn_model_add(model, &relu6_type, NULL, NULL, &x, 1);
}

/*
 * leaky_relu - a ReLU with a small slope for negative inputs (Maas, Hannun and Ng 2013).
 *
 *     A = Z where Z > 0, else slope Z
 *     dZ = dA where A > 0, else slope dA: A has the sign of Z
 */
static const cn_option leaky_relu_options[] = {
    {"slope", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_leaky_relu_opts, slope),
     .fallback = 0.01},
    {0},
};
static const cn_layer_type leaky_relu_type = {.name = "leaky_relu", OPTIONS(leaky_relu), FROM_A};

cn_node cn_leaky_relu(cn_model *model, cn_node x, const cn_leaky_relu_opts *opts)
{
    return cn_model_add(model, &leaky_relu_type, opts, opts ? opts->name : NULL, &x, 1);
}

/*
 * hard_sigmoid - a piecewise linear sigmoid (Howard et al. 2019, MobileNetV3).
 *
 *     A = min(max(Z + 3, 0), 6) / 6
 *     dZ = dA / 6 where 0 < A < 1, else 0
 */
static const cn_layer_type hard_sigmoid_type = {.name = "hard_sigmoid", FROM_A};

cn_node cn_hard_sigmoid(cn_model *model, cn_node x)
{
    return cn_model_add(model, &hard_sigmoid_type, NULL, NULL, &x, 1);
}

/*
 * hard_swish - SiLU with a hard sigmoid (Howard et al. 2019). A is not monotonic.
 *
 *     A = Z min(max(Z + 3, 0), 6) / 6
 *     dZ = dA (2 Z + 3) / 6 where -3 < Z < 3; dA from 3 on, 0 up to -3
 */
static const cn_layer_type hard_swish_type = {.name = "hard_swish", FROM_Z};

cn_node cn_hard_swish(cn_model *model, cn_node x)
{
    return cn_model_add(model, &hard_swish_type, NULL, NULL, &x, 1);
}

/*
 * scale - a number times the input.
 *
 *     A = factor Z
 *     dZ = factor dA: neither A nor Z is needed
 */
static const cn_option scale_options[] = {
    {"factor", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_scale_opts, factor),
     .least = -INFINITY, .fallback = 1},
    {0},
};
static const cn_layer_type scale_type = {.name = "scale", OPTIONS(scale), ELEMENT_BY_ELEMENT};

cn_node cn_scale(cn_model *model, cn_node x, const cn_scale_opts *opts)
{
    return cn_model_add(model, &scale_type, opts, opts ? opts->name : NULL, &x, 1);
}

/*
 * shift - a number added to the input.
 *
 *     A = Z + offset
 *     dZ = dA
 */
static const cn_option shift_options[] = {
    {"offset", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_shift_opts, offset),
     .least = -INFINITY},
    {0},
};
static const cn_layer_type shift_type = {.name = "shift", OPTIONS(shift), ELEMENT_BY_ELEMENT};

/*
 * clip - what lies beyond a bound becomes the bound.
 *
 *     A = min(max(Z, lower), upper)
 *     dZ = dA where lower < A < upper, else 0
 */
static const cn_option clip_options[] = {
    {"lower", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_clip_opts, lower),
     .least = -INFINITY},
    {"upper", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_clip_opts, upper),
     .least = -INFINITY},
    {0},
};

static cn_status infer_clip(cn_layer *layer, const char *context, cn_error *err)
{
    const cn_clip_opts *o = layer->options;
    if (o->lower > o->upper)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: lower %g, expected at most upper, which is %g",
                       context, o->lower, o->upper);
    layer->activation = (cn_activation){
        .kind = CN_ACTIVATION_CLIP, .lower = (float)o->lower, .upper = (float)o->upper};
    return CN_OK;
}

const cn_layer_type cn_clip_type = {
    .name = "clip",
    OPTIONS(clip),
    .backward_reads = CN_READS_Y,
    .in_place = true,
    .infer = infer_clip,
};

const cn_layer_ops cn_clip_cpu = {.forward = forward, .backward = backward};

/* ---- with an exponential */

/*
 * sigmoid - the logistic function.
 *
 *     A = 1 / (1 + exp(-Z))
 *     dZ = dA A (1 - A)
 */
const cn_layer_type cn_sigmoid_type = {
    .name = "sigmoid", .loss = CN_LOSS_BINARY_CROSS_ENTROPY, FROM_A};

cn_node cn_sigmoid(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_sigmoid_type, NULL, NULL, &x, 1);
}

/*
 * tanh - the hyperbolic tangent.
 *
 *     A = tanh(Z)
 *     dZ = dA (1 - A^2)
 */
const cn_layer_type cn_tanh_type = {.name = "tanh", FROM_A};

cn_node cn_tanh(cn_model *model, cn_node x)
{
    return cn_model_add(model, &cn_tanh_type, NULL, NULL, &x, 1);
}

/*
 * elu - the exponential linear unit (Clevert, Unterthiner and Hochreiter 2015).
 *
 *     A = Z where Z > 0, else alpha (exp(Z) - 1)
 *     dZ = dA where A > 0, else dA alpha exp(Z) = dA (A + alpha)
 */
static const cn_option elu_options[] = {
    {"alpha", CN_OPTION_FLOAT, .bare = true, .offset = offsetof(cn_elu_opts, alpha), .fallback = 1},
    {0},
};
static const cn_layer_type elu_type = {.name = "elu", OPTIONS(elu), FROM_A};

cn_node cn_elu(cn_model *model, cn_node x, const cn_elu_opts *opts)
{
    return cn_model_add(model, &elu_type, opts, opts ? opts->name : NULL, &x, 1);
}

/*
 * softplus - a smooth ReLU (Dugas et al. 2000).
 *
 *     A = ln(1 + exp(Z))
 *     dZ = dA / (1 + exp(-Z)) = dA (1 - exp(-A))
 */
static const cn_layer_type softplus_type = {.name = "softplus", FROM_A};

cn_node cn_softplus(cn_model *model, cn_node x)
{
    return cn_model_add(model, &softplus_type, NULL, NULL, &x, 1);
}

/*
 * silu - the sigmoid linear unit, or swish (Elfwing, Uchibe and Doya 2017). A is not monotonic.
 *
 *     A = Z s,   s = 1 / (1 + exp(-Z))
 *     dZ = dA (s + Z s (1 - s))
 */
static const cn_layer_type silu_type = {.name = "silu", FROM_Z};

cn_node cn_silu(cn_model *model, cn_node x)
{
    return cn_model_add(model, &silu_type, NULL, NULL, &x, 1);
}

/*
 * gelu - the Gaussian error linear unit (Hendrycks and Gimpel 2016). A is not monotonic.
 *
 *     A = Z G(Z),   G(Z) = (1 + erf(Z / sqrt(2))) / 2, the normal distribution function
 *     approximate:  G(Z) = (1 + tanh(sqrt(2 / pi) (Z + 0.044715 Z^3))) / 2
 *     dZ = dA (G(Z) + Z G'(Z))
 */
static const cn_option gelu_options[] = {
    {"approximate", CN_OPTION_BOOL, .offset = offsetof(cn_gelu_opts, approximate), .alias = "tanh"},
    {0},
};
static const cn_layer_type gelu_type = {.name = "gelu", OPTIONS(gelu), FROM_Z};

cn_node cn_gelu(cn_model *model, cn_node x, const cn_gelu_opts *opts)
{
    return cn_model_add(model, &gelu_type, opts, opts ? opts->name : NULL, &x, 1);
}

/* ---- the table */

const cn_layer_type *const cn_activation_types[] = {
    &cn_relu_type,    &relu6_type, &leaky_relu_type, &hard_sigmoid_type,
    &hard_swish_type, &scale_type, &shift_type,      &cn_sigmoid_type,
    &cn_tanh_type,    &elu_type,   &softplus_type,   &silu_type,
    &gelu_type,       NULL,
};

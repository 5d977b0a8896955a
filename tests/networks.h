/* networks.h - small networks and examples for the tests of plans and sessions. */
#ifndef TEST_NETWORKS_H
#define TEST_NETWORKS_H

#include "base/counter.h"
#include "model/plan.h"
#include "model/session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- models */

static inline cn_model *parse(const char *text)
{
    cn_model *m = NULL;
    cn_error err = {0};
    if (cn_model_parse(&m, text, (int[]){9, 8, 2}, 3, 5, &err) != CN_OK)
        fail_msg("%s: %s", text, err.text);
    return m;
}

/* Branches, joins, a value read by three layers, one that is added to itself, flattened views. */
static inline cn_model *residual(void)
{
    cn_model *m;
    cn_error err = {0};
    cn_conv2d_opts conv = {.filters = 4, .kernel = {3}, .pad = CN_PADDING_SAME};
    assert_int_equal(cn_model_create(&m, (int[]){9, 8, 2}, NULL), CN_OK);
    cn_node x = cn_conv2d(
        m, cn_input(m),
        &(cn_conv2d_opts){.filters = 4, .kernel = {4}, .stride = {3}, .pad = CN_PADDING_SAME});
    x = cn_relu(m, x);
    cn_node side = cn_tanh(m, x);
    cn_node y = cn_relu(m, cn_conv2d(m, x, &conv));
    y = cn_add(m, cn_conv2d(m, y, &conv), x);
    y = cn_relu(m, cn_add(m, y, side));
    cn_node average = cn_average_pool(m, y, &(cn_pool_opts){.size = {2}});
    y = cn_add(m, average, cn_max_pool(m, y, &(cn_pool_opts){.size = {2}}));
    cn_node flat = cn_flatten(m, y);
    cn_node a = cn_dense(m, flat, &(cn_dense_opts){.units = 6});
    cn_node b = cn_relu(m, cn_dense(m, flat, &(cn_dense_opts){.units = 6}));
    a = cn_add(m, cn_add(m, a, b), b);
    a = cn_tanh(m, cn_add(m, a, a));
    a = cn_dense(m, a, &(cn_dense_opts){.units = 3});
    a = cn_softmax(m, a);
    if (cn_model_finish(m, a, 3, &err) != CN_OK) fail_msg("%s", err.text);
    return m;
}

static const char *const network_texts[] = {
    "conv 4 3x3 same, relu, maxpool 2, conv 5 3x3, relu, flatten, dense 7, relu, dense 3",
    "conv 4 3x3, tanh, avgpool 2, sigmoid, dense 3",
    "conv 4 3x3 stride 2 same, maxpool 2 stride 1, relu, maxpool 2 same, tanh, dense 3, softmax",
    "relu, conv 3 2x2, relu, maxpool 3 stride 1 pads 1, relu, avgpool 2, dense 1, sigmoid",
    "maxpool 2, dense 6, softmax, dense 4, sigmoid, dense 3, softmax",
    "flatten, dense 5, relu, tanh, relu, dense 3, softmax, sigmoid",
    "conv 6 3x3, groupnorm 3 epsilon 0.1, gelu, upsample 2 bilinear, layernorm, silu, zeropad 1, "
    "leaky_relu, "
    "gap, "
    "dense 3",
    "conv 64 1x1, tanh, softmax, sigmoid, avgpool 3, dense 3", /* element-wise work in several
                                                                  pieces */
};
enum { TEXTS = sizeof network_texts / sizeof *network_texts };

/* One of the texts, then the residual network. */
static inline cn_model *model_number(int i)
{
    return i < TEXTS ? parse(network_texts[i]) : residual();
}

static inline cn_session *create(cn_model *m, cn_session_opts opts)
{
    cn_session *s = NULL;
    cn_error err = {0};
    if (cn_session_create(&s, m, &opts, &err) != CN_OK) fail_msg("%s", err.text);
    return s;
}

/* The block of a session's activations, on the CPU. */
static inline float *activations_of(cn_session *s, const cn_plan *plan)
{
    return cn_session_input(s) - plan->buffers[plan->steps[0].y].offset / sizeof(float);
}

enum { MOST = 8, EXAMPLE = 9 * 8 * 2 };

typedef struct batch {
    float x[MOST * EXAMPLE];
    int32_t labels[MOST];
    float targets[MOST * 3]; /* of no particular sum */
    cn_tensor X, Y, soft;
} batch;

/* The first m of MOST fixed examples. */
static inline batch *make_batch(batch *b, int m, int classes)
{
    for (int i = 0; i < MOST * EXAMPLE; i++) b->x[i] = (float)cn_counter_normal(11, 0, (uint64_t)i);
    for (int i = 0; i < MOST; i++) b->labels[i] = i % (classes > 1 ? classes : 2);
    b->X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, 9, 8, 2}, b->x);
    for (int i = 0; i < MOST * 3; i++)
        b->targets[i] = (float)cn_counter_uniform(12, 0, (uint64_t)i);
    b->Y = cn_tensor_view(CN_DTYPE_I32, 1, &m, b->labels);
    b->soft = cn_tensor_view(CN_DTYPE_F32, 2, (int[]){m, classes}, b->targets);
    return b;
}

static inline double forward_loss(cn_session *s, const batch *b)
{
    double loss = NAN;
    cn_error err = {0};
    if (cn_session_forward(s, &b->X, &err) != CN_OK ||
        cn_session_loss(s, &b->Y, &loss, &err) != CN_OK)
        fail_msg("%s", err.text);
    return loss;
}

#endif

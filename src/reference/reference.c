/* reference.c - the table of twins: every layer type under one pair of signatures. */
#include "reference/reference.h"

#include <string.h>

static size_t count_in(const cn_conv_shape *s)
{
    return cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0);
}

/* Softmax runs over the last axis. */
static size_t rows_in(const cn_conv_shape *s)
{
    return cn_ref_at(s->h, s->w, 1, s->m, 0, 0, 0);
}

static void conv2d_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                           double *y)
{
    cn_ref_conv2d_forward(s, x, p[0], p[1], y);
}

static void conv2d_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                            const double *dy, double *dx, double *const *g)
{
    cn_ref_conv2d_backward(s, x, p[0], dy, dx, g[0], g[1]);
}

/* An input of rank 3 is flattened: its (h, w, c) are contiguous, so it needs no copy. */
static void dense_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                          double *y)
{
    cn_ref_dense_forward(s->m, s->h * s->w * s->c, s->oc, x, p[0], p[1], y);
}

static void dense_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                           const double *dy, double *dx, double *const *g)
{
    cn_ref_dense_backward(s->m, s->h * s->w * s->c, s->oc, x, p[0], dy, dx, g[0], g[1]);
}

static void max_pool_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                             double *y)
{
    (void)p;
    cn_ref_max_pool_forward(s, x, y);
}

static void max_pool_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                              const double *dy, double *dx, double *const *g)
{
    (void)p, (void)g;
    cn_ref_max_pool_backward(s, x, dy, false, dx);
}

static void average_pool_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                                 double *y)
{
    (void)p;
    cn_ref_average_pool_forward(s, x, y);
}

static void average_pool_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                                  const double *dy, double *dx, double *const *g)
{
    (void)x, (void)p, (void)g;
    cn_ref_average_pool_backward(s, dy, dx);
}

static void flatten_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                            double *y)
{
    (void)p;
    memcpy(y, x, sizeof(double) * count_in(s));
}

static void flatten_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                             const double *dy, double *dx, double *const *g)
{
    (void)x, (void)p, (void)g;
    memcpy(dx, dy, sizeof(double) * count_in(s));
}

static void relu_forward(const cn_conv_shape *s, const double *x, const double *const *p, double *y)
{
    (void)p;
    cn_ref_relu_forward(count_in(s), x, y);
}

static void relu_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                          const double *dy, double *dx, double *const *g)
{
    (void)p, (void)g;
    cn_ref_relu_backward(count_in(s), x, dy, dx);
}

static cn_ref_decisions relu_decisions(const cn_conv_shape *s, const double *x, double reach)
{
    return cn_ref_relu_decisions(count_in(s), x, reach);
}

static void sigmoid_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                            double *y)
{
    (void)p;
    cn_ref_sigmoid_forward(count_in(s), x, y);
}

static void sigmoid_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                             const double *dy, double *dx, double *const *g)
{
    (void)p, (void)g;
    cn_ref_sigmoid_backward(count_in(s), x, dy, dx);
}

static void tanh_forward(const cn_conv_shape *s, const double *x, const double *const *p, double *y)
{
    (void)p;
    cn_ref_tanh_forward(count_in(s), x, y);
}

static void tanh_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                          const double *dy, double *dx, double *const *g)
{
    (void)p, (void)g;
    cn_ref_tanh_backward(count_in(s), x, dy, dx);
}

static void softmax_forward(const cn_conv_shape *s, const double *x, const double *const *p,
                            double *y)
{
    (void)p;
    cn_ref_softmax_forward(rows_in(s), s->c, x, y);
}

static void softmax_backward(const cn_conv_shape *s, const double *x, const double *const *p,
                             const double *dy, double *dx, double *const *g)
{
    (void)p, (void)g;
    cn_ref_softmax_backward(rows_in(s), s->c, x, dy, dx);
}

/* One row a layer type; tests/test_layers.c fails while a type of the layer table has none. */
static const cn_twin twins[] = {
    {"conv2d", conv2d_forward, conv2d_backward, NULL},
    {"max_pool", max_pool_forward, max_pool_backward, cn_ref_max_pool_decisions},
    {"average_pool", average_pool_forward, average_pool_backward, NULL},
    {"dense", dense_forward, dense_backward, NULL},
    {"flatten", flatten_forward, flatten_backward, NULL},
    {"relu", relu_forward, relu_backward, relu_decisions},
    {"sigmoid", sigmoid_forward, sigmoid_backward, NULL},
    {"tanh", tanh_forward, tanh_backward, NULL},
    {"softmax", softmax_forward, softmax_backward, NULL},
};

const cn_twin *cn_twin_find(const char *type)
{
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
        if (!strcmp(twins[i].type, type)) return &twins[i];
    return NULL;
}

/*
 * ref_conv_transpose2d.c - transposed convolution, from its equation:
 *
 *     y[i, p sh + u dilation_h - pt, q sw + v dilation_w - pl, g(j) K + k] += x[i,p,q,j] w[u,v,k,j]
 *
 * on top of b, with k < K = oc / groups and g(j) = j / (c / groups) the group that channel j
 * belongs to. Every product is one visit. Backward makes the same visits: y += x w has the
 * derivatives dx += dy w and dw += dy x.
 */
#include "reference/reference.h"

#include <string.h>

/* One product: where it is read, and where in y it goes. */
typedef void visitor(size_t y, size_t x, size_t w, void *arrays);

static void visit(const cn_conv_problem *s, visitor *each, void *arrays)
{
    const int groups = s->groups, K = s->oc / groups;
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->h; p++)
            for (int q = 0; q < s->w; q++)
                for (int u = 0; u < s->fh; u++)
                    for (int v = 0; v < s->fw; v++) {
                        int row = p * s->sh + u * s->dilation_h - s->pt;
                        int column = q * s->sw + v * s->dilation_w - s->pl;
                        if (row < 0 || row >= s->oh || column < 0 || column >= s->ow) continue;
                        for (int k = 0; k < K; k++)
                            for (int j = 0; j < s->c; j++) {
                                int channel = j / (s->c / groups) * K + k;
                                each(cn_ref_at(s->oh, s->ow, s->oc, i, row, column, channel),
                                     cn_ref_at(s->h, s->w, s->c, i, p, q, j),
                                     cn_ref_at(s->fw, K, s->c, u, v, k, j), arrays);
                            }
                    }
}

typedef struct forward_arrays {
    const double *x, *w;
    double *y;
} forward_arrays;

static void visit_forward(size_t y, size_t x, size_t w, void *arrays)
{
    const forward_arrays *a = arrays;
    a->y[y] += a->x[x] * a->w[w];
}

typedef struct backward_arrays {
    const double *x, *w, *dy;
    double *dx, *dw;
} backward_arrays;

static void visit_backward(size_t y, size_t x, size_t w, void *arrays)
{
    const backward_arrays *a = arrays;
    a->dx[x] += a->dy[y] * a->w[w];
    a->dw[w] += a->dy[y] * a->x[x];
}

void cn_ref_conv_transpose2d_forward(const cn_conv_problem *s, const double *x, const double *w,
                                     const double *b, double *y)
{
    size_t pixels = cn_ref_at(s->oh, s->ow, 1, s->m, 0, 0, 0);
    forward_arrays arrays = {x, w, y};
    for (size_t i = 0; i < pixels; i++)
        for (int k = 0; k < s->oc; k++) y[i * (size_t)s->oc + (size_t)k] = b ? b[k] : 0;
    visit(s, visit_forward, &arrays);
}

void cn_ref_conv_transpose2d_backward(const cn_conv_problem *s, const double *x, const double *w,
                                      const double *dy, double *dx, double *dw, double *db)
{
    size_t pixels = cn_ref_at(s->oh, s->ow, 1, s->m, 0, 0, 0);
    int K = s->oc / (s->groups ? s->groups : 1);
    backward_arrays arrays = {x, w, dy, dx, dw};
    memset(dx, 0, sizeof(double) * cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0));
    memset(dw, 0, sizeof(double) * cn_ref_at(s->fw, K, s->c, s->fh, 0, 0, 0));
    visit(s, visit_backward, &arrays);
    for (int k = 0; db && k < s->oc; k++) db[k] = 0;
    for (size_t i = 0; db && i < pixels; i++)
        for (int k = 0; k < s->oc; k++) db[k] += dy[i * (size_t)s->oc + (size_t)k];
}

/*
 * ref_conv2d.c - convolution, from its equation:
 *
 *     y[i,p,q,k] = b[k] + sum over u, v, j of
 *                  x[i, p sh + u dilation_h - pt, q sw + v dilation_w - pl, g(k) c / groups + j]
 *                  w[u,v,j,k]
 *
 * with j < c / groups, and g(k) = k / (oc / groups) the group that channel k belongs to. Every
 * product is one visit. Backward makes the same visits: a product y += x w has the derivatives
 * dx += dy w and dw += dy x.
 */
#include "reference/reference.h"

#include <string.h>

void cn_ref_conv2d_forward(const cn_conv_problem *s, const double *x, const double *w,
                           const double *b, double *y)
{
    const int c = s->c / s->groups; /* input channels of a group */
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->oc; k++) {
                    double sum = b ? b[k] : 0;
                    int first = k / (s->oc / s->groups) * c;
                    for (int u = 0; u < s->fh; u++)
                        for (int v = 0; v < s->fw; v++) {
                            int row = p * s->sh + u * s->dilation_h - s->pt;
                            int column = q * s->sw + v * s->dilation_w - s->pl;
                            if (row < 0 || row >= s->h || column < 0 || column >= s->w) continue;
                            for (int j = 0; j < c; j++)
                                sum += x[cn_ref_at(s->h, s->w, s->c, i, row, column, first + j)] *
                                       w[cn_ref_at(s->fw, c, s->oc, u, v, j, k)];
                        }
                    y[cn_ref_at(s->oh, s->ow, s->oc, i, p, q, k)] = sum;
                }
}

void cn_ref_conv2d_backward(const cn_conv_problem *s, const double *x, const double *w,
                            const double *dy, double *dx, double *dw, double *db)
{
    const int c = s->c / s->groups; /* input channels of a group */
    memset(dx, 0, sizeof(double) * cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0));
    memset(dw, 0, sizeof(double) * cn_ref_at(s->fw, c, s->oc, s->fh, 0, 0, 0));
    if (db) memset(db, 0, sizeof(double) * (size_t)s->oc);

    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->oc; k++) {
                    double d = dy[cn_ref_at(s->oh, s->ow, s->oc, i, p, q, k)];
                    int first = k / (s->oc / s->groups) * c;
                    if (db) db[k] += d;
                    for (int u = 0; u < s->fh; u++)
                        for (int v = 0; v < s->fw; v++) {
                            int row = p * s->sh + u * s->dilation_h - s->pt;
                            int column = q * s->sw + v * s->dilation_w - s->pl;
                            if (row < 0 || row >= s->h || column < 0 || column >= s->w) continue;
                            for (int j = 0; j < c; j++) {
                                size_t at_x =
                                    cn_ref_at(s->h, s->w, s->c, i, row, column, first + j);
                                size_t at_w = cn_ref_at(s->fw, c, s->oc, u, v, j, k);
                                dx[at_x] += d * w[at_w];
                                dw[at_w] += d * x[at_x];
                            }
                        }
                }
}

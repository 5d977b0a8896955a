/*
 * ref_pool.c - pooling, from its equations, over the elements of each window that lie in the
 * image (padding takes no part):
 *
 *     maximum    y[i,p,q,k] = max over u, v of x[i, p sh + u - pt, q sw + v - pl, k]
 *     average    y[i,p,q,k] = (sum over u, v of the same elements) / their number
 *
 * A NaN in a window is its maximum. A window without elements has the maximum -infinity and the
 * average NaN; the geometry of layers excludes it.
 */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

/* The elements of window (p, q) that lie in the image: rows [top, bottom), columns [left,
 * right). */
typedef struct inside {
    int top, bottom, left, right;
} inside;

static inside clip(const cn_conv_problem *s, int p, int q)
{
    inside r = {p * s->sh - s->pt, p * s->sh - s->pt + s->fh, q * s->sw - s->pl,
                q * s->sw - s->pl + s->fw};
    if (r.top < 0) r.top = 0;
    if (r.left < 0) r.left = 0;
    if (r.bottom > s->h) r.bottom = s->h;
    if (r.right > s->w) r.right = s->w;
    return r;
}

static double maximum(const cn_conv_problem *s, const double *x, int i, inside r, int k)
{
    double best = -INFINITY;
    for (int row = r.top; row < r.bottom; row++)
        for (int column = r.left; column < r.right; column++) {
            double value = x[cn_ref_at(s->h, s->w, s->c, i, row, column, k)];
            if (value > best || isnan(value)) best = value;
            if (isnan(best)) return best;
        }
    return best;
}

void cn_ref_max_pool_forward(const cn_conv_problem *s, const double *x, double *y)
{
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++)
                    y[cn_ref_at(s->oh, s->ow, s->c, i, p, q, k)] =
                        maximum(s, x, i, clip(s, p, q), k);
}

/* Where y is NaN, the NaNs of the window count as its maxima. */
void cn_ref_max_pool_backward(const cn_conv_problem *s, const double *x, const double *dy,
                              bool ties, double *dx)
{
    memset(dx, 0, sizeof(double) * cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0));

    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    inside r = clip(s, p, q);
                    double best = maximum(s, x, i, r, k);
                    double d = dy[cn_ref_at(s->oh, s->ow, s->c, i, p, q, k)];
                    bool taken = false;
                    for (int row = r.top; row < r.bottom; row++)
                        for (int column = r.left; column < r.right; column++) {
                            size_t at = cn_ref_at(s->h, s->w, s->c, i, row, column, k);
                            bool equal = x[at] == best || (isnan(x[at]) && isnan(best));
                            if (!equal || (taken && !ties)) continue;
                            dx[at] += d;
                            taken = true;
                        }
                }
}

void cn_ref_average_pool_forward(const cn_conv_problem *s, const double *x, double *y)
{
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    inside r = clip(s, p, q);
                    double sum = 0;
                    for (int row = r.top; row < r.bottom; row++)
                        for (int column = r.left; column < r.right; column++)
                            sum += x[cn_ref_at(s->h, s->w, s->c, i, row, column, k)];
                    y[cn_ref_at(s->oh, s->ow, s->c, i, p, q, k)] =
                        sum / ((double)(r.bottom - r.top) * (r.right - r.left));
                }
}

void cn_ref_average_pool_backward(const cn_conv_problem *s, const double *dy, double *dx)
{
    memset(dx, 0, sizeof(double) * cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0));

    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    inside r = clip(s, p, q);
                    double share = dy[cn_ref_at(s->oh, s->ow, s->c, i, p, q, k)] /
                                   ((double)(r.bottom - r.top) * (r.right - r.left));
                    for (int row = r.top; row < r.bottom; row++)
                        for (int column = r.left; column < r.right; column++)
                            dx[cn_ref_at(s->h, s->w, s->c, i, row, column, k)] += share;
                }
}

/* A window decides for the place of its first maximum. It is near to another decision when some
 * lesser element is within `reach` of the maximum, relative to the larger of 1 and that maximum.
 * Equal elements do not count: they are the zeros that a ReLU has left, in float32 as well. */
cn_ref_decisions cn_ref_max_pool_decisions(const cn_conv_problem *s, const double *x, double reach)
{
    cn_ref_decisions found = {0, 0};
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    inside r = clip(s, p, q);
                    double best = maximum(s, x, i, r, k);
                    double margin = reach * fmax(1, fabs(best));
                    size_t first = SIZE_MAX;
                    bool near = false;
                    for (int row = r.top; row < r.bottom; row++)
                        for (int column = r.left; column < r.right; column++) {
                            size_t at = cn_ref_at(s->h, s->w, s->c, i, row, column, k);
                            if (x[at] == best && first == SIZE_MAX) first = at;
                            near = near || (x[at] < best && x[at] >= best - margin);
                        }
                    found.pattern = (found.pattern ^ first) * UINT64_C(0x9e3779b97f4a7c15);
                    found.near += near;
                }
    return found;
}

/*
 * ref_resize.c - images of another size, padded ones, and functions across channels:
 *
 *     resize      y[p, q] = sum over r, s of a(p, r) b(q, s) x[r, s]: a(p, r) is the sum of the shares
 *                 of all rows, also those beyond the border, that the border's rule makes row r;
 *                 a crop has `outside` where p or q is none of the image's
 *     pad         y[p, q] = x[row(p - above), column(q - left)], or the value
 *     log softmax y[j] = x[j] - ln sum of exp(x[k])
 *     response    y[j] = x[j] (bias + alpha / size sum of x[k]^2)^-beta
 */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

/* ---- resize */

static double center(const cn_resize_opts *o, int axis, int p, int n_prev, int n)
{
    double scale = axis ? o->scale_w : o->scale_h;
    if (!(scale > 0)) scale = (double)n / (double)n_prev;
    if (o->coordinates == CN_COORDINATES_ASYMMETRIC) return p / scale;
    if (o->coordinates == CN_COORDINATES_CROP) { /* from the part's first pixel to its last */
        const double first = (axis ? o->crop_x : o->crop_y) * (n_prev - 1);
        const double length = (axis ? o->crop_w : o->crop_h) * (n_prev - 1);
        return n == 1 ? first + length / 2 : first + length * p / (scale * n_prev - 1);
    }
    if (o->coordinates == CN_COORDINATES_SYMMETRIC) /* distances from the centers */
        return (n_prev - 1) / 2.0 + (p - (n - 1) / 2.0) / scale;
    if (n == 1 && o->coordinates != CN_COORDINATES_HALF_PIXEL) return 0;
    if (o->coordinates == CN_COORDINATES_ALIGN_CORNERS)
        return p * (double)(n_prev - 1) / (scale * n_prev - 1);
    return (p + 0.5) / scale - 0.5;
}

/* What row `row`, which may lie beyond the border, gives to x; `width`: how much wider the kernel is. */
static double share_of(const cn_resize_opts *o, double x, int row, double width)
{
    const double t = fabs(x - row) / width, a = o->cubic;
    if (o->method == CN_RESIZE_LINEAR) return t < 1 ? 1 - t : 0;
    if (o->method == CN_RESIZE_CUBIC)
        return t <= 1  ? (a + 2) * pow(t, 3) - (a + 3) * pow(t, 2) + 1
               : t < 2 ? a * pow(t, 3) - 5 * a * pow(t, 2) + 8 * a * t - 4 * a
                       : 0;
    double nearest = ceil(x - 0.5); /* a half goes down */
    if (o->rounding == CN_ROUNDING_UP) nearest = floor(x + 0.5);
    if (o->rounding == CN_ROUNDING_FLOOR) nearest = floor(x);
    if (o->rounding == CN_ROUNDING_CEIL) nearest = ceil(x);
    return row == nearest;
}

static double weight_of(const cn_resize_opts *o, int axis, int p, int r, int n_prev, int n)
{
    const double x = center(o, axis, p, n_prev, n), given = axis ? o->scale_w : o->scale_h;
    const double shrink = given > 0 ? 1 / given : (double)n_prev / n;
    const double width = o->antialias && shrink > 1 ? shrink : 1, reach = 3 * width;
    double own = 0, all = 0;
    for (int row = (int)floor(x - reach); row <= (int)ceil(x + reach); row++) {
        const int at = row < 0 ? 0 : row >= n_prev ? n_prev - 1 : row;
        if (o->inside && at != row && o->method != CN_RESIZE_NEAREST) continue;
        all += share_of(o, x, row, width);
        if (at == r) own += share_of(o, x, row, width);
    }
    return (o->inside || o->antialias) && o->method != CN_RESIZE_NEAREST ? own / all : own;
}

/* Is pixel p one of a crop that lies beyond the image, by more than a rounding? */
static bool is_outside(const cn_resize_opts *o, int axis, int p, int n_prev, int n)
{
    const double x = center(o, axis, p, n_prev, n);
    return o->coordinates == CN_COORDINATES_CROP && (x < -1e-6 || x > n_prev - 1 + 1e-6);
}

void cn_ref_resize(const cn_conv_problem *s, const cn_resize_opts *o, bool backward,
                   const double *from, double *to)
{
    const size_t count = backward ? cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0)
                                  : cn_ref_at(s->oh, s->ow, s->c, s->m, 0, 0, 0);
    memset(to, 0, count * sizeof *to);
    for (int p = 0; p < s->oh; p++)
        for (int q = 0; q < s->ow; q++) {
            if (is_outside(o, 0, p, s->h, s->oh) || is_outside(o, 1, q, s->w, s->ow)) {
                for (int i = 0; !backward && i < s->m; i++)
                    for (int k = 0; k < s->c; k++)
                        to[cn_ref_at(s->oh, s->ow, s->c, i, p, q, k)] = o->outside;
                continue;
            }
            for (int r = 0; r < s->h; r++)
                for (int t = 0; t < s->w; t++) {
                    const double w =
                        weight_of(o, 0, p, r, s->h, s->oh) * weight_of(o, 1, q, t, s->w, s->ow);
                    for (int i = 0; w != 0 && i < s->m; i++)
                        for (int k = 0; k < s->c; k++) {
                            const size_t x = cn_ref_at(s->h, s->w, s->c, i, r, t, k);
                            const size_t y = cn_ref_at(s->oh, s->ow, s->c, i, p, q, k);
                            to[backward ? x : y] += w * from[backward ? y : x];
                        }
                }
        }
}

/* ---- pad */

/* Which of n elements stands at r; -1: none. The reflected ones have a period of 2 (n - 1). */
static int source(const cn_pad_opts *o, int r, int n)
{
    if (o->mode == CN_PAD_EDGE) return r < 0 ? 0 : r >= n ? n - 1 : r;
    if (o->mode == CN_PAD_WRAP) return ((r % n) + n) % n;
    if (o->mode == CN_PAD_REFLECT) {
        const int period = n > 1 ? 2 * (n - 1) : 1, at = ((r % period) + period) % period;
        return at < n ? at : period - at;
    }
    return r < 0 || r >= n ? -1 : r;
}

void cn_ref_pad(const cn_conv_problem *s, const cn_pad_opts *o, bool backward, const double *from,
                double *to)
{
    if (backward) memset(to, 0, cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0) * sizeof *to);
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    const int r = source(o, p - o->pads[0], s->h);
                    const int t = source(o, q - o->pads[1], s->w);
                    const size_t y = cn_ref_at(s->oh, s->ow, s->c, i, p, q, k);
                    if (r >= 0 && t >= 0 && backward)
                        to[cn_ref_at(s->h, s->w, s->c, i, r, t, k)] += from[y];
                    if (!backward)
                        to[y] = r < 0 || t < 0 ? o->value
                                               : from[cn_ref_at(s->h, s->w, s->c, i, r, t, k)];
                }
}

/* ---- across channels */

void cn_ref_log_softmax(size_t rows, int n, const double *x, const double *dy, double *to)
{
    for (size_t i = 0; i < rows; i++, x += n, to += n) {
        double most = x[0], sum = 0, total = 0;
        for (int k = 1; k < n; k++) most = fmax(most, x[k]);
        for (int k = 0; k < n; k++) sum += exp(x[k] - most);
        for (int k = 0; dy && k < n; k++) total += dy[k];
        for (int k = 0; k < n; k++)
            to[k] = dy ? dy[k] - exp(x[k] - most) / sum * total : x[k] - most - log(sum);
        if (dy) dy += n;
    }
}

/* d y[j] / d x[k] = [j = k] D[j]^-beta - 2 alpha beta / size x[j] x[k] D[j]^(-beta - 1), the second
 * where k is in j's window. */
void cn_ref_local_response_norm(size_t rows, int n, const cn_local_response_norm_opts *o,
                                const double *x, const double *dy, double *to)
{
    for (size_t i = 0; i < rows; i++, x += n, to += n) {
        for (int k = 0; dy && k < n; k++) to[k] = 0;
        for (int j = 0; j < n; j++) {
            const int first = j - (int)floor((o->size - 1) / 2.0);
            double d = o->bias;
            for (int k = first; k < first + o->size; k++)
                if (k >= 0 && k < n) d += o->alpha / o->size * x[k] * x[k];
            if (!dy) to[j] = x[j] * pow(d, -o->beta);
            for (int k = 0; dy && k < n; k++) {
                if (k == j) to[k] += dy[j] * pow(d, -o->beta);
                if (k >= first && k < first + o->size)
                    to[k] -= dy[j] * 2 * o->alpha * o->beta / o->size * x[j] * x[k] *
                             pow(d, -o->beta - 1);
            }
        }
        if (dy) dy += n;
    }
}

/*
 * ref_image.c - layers that change an image's size, and dropout, from their equations:
 *
 *     adaptive pool   y[i,p,q,k] = mean of x[i,r,s,k] over
 *                     floor(p h / oh) <= r < ceil((p + 1) h / oh), columns s alike
 *     pad, crop       y[i,r,s,k] = x[i, r - above, s - left, k], 0 outside x; crops are negative
 *     upsample        y[i,p,q,k] = sum over r, s of a(p, r) b(q, s) x[i,r,s,k]
 *     dropout         y[e] = x[e] / (1 - rate) where e is kept, else 0
 */
#include "base/counter.h"
#include "reference/reference.h"

#include <math.h>
#include <string.h>

/* Is element r of n in window p of `windows`? */
static bool in_window(int r, int p, int n, int windows)
{
    double share = (double)n / windows;
    return r >= floor(p * share + 1e-9) && r < ceil((p + 1) * share - 1e-9);
}

static int window_size(int p, int n, int windows)
{
    int size = 0;
    for (int r = 0; r < n; r++) size += in_window(r, p, n, windows);
    return size;
}

/* y += share x (forward) or dx += share dy (backward). */
static void adaptive(const cn_conv_problem *s, const double *from, double *to, bool backward)
{
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++) {
                double share = 1.0 / (window_size(p, s->h, s->oh) * window_size(q, s->w, s->ow));
                for (int r = 0; r < s->h; r++)
                    for (int c = 0; c < s->w; c++)
                        for (int k = 0; k < s->c; k++) {
                            size_t x = cn_ref_at(s->h, s->w, s->c, i, r, c, k);
                            size_t y = cn_ref_at(s->oh, s->ow, s->c, i, p, q, k);
                            if (!in_window(r, p, s->h, s->oh) || !in_window(c, q, s->w, s->ow))
                                continue;
                            to[backward ? x : y] += share * from[backward ? y : x];
                        }
            }
}

void cn_ref_adaptive_pool_forward(const cn_conv_problem *s, const double *x, double *y)
{
    memset(y, 0, cn_ref_at(s->oh, s->ow, s->c, s->m, 0, 0, 0) * sizeof *y);
    adaptive(s, x, y, false);
}

void cn_ref_adaptive_pool_backward(const cn_conv_problem *s, const double *dy, double *dx)
{
    memset(dx, 0, cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0) * sizeof *dx);
    adaptive(s, dy, dx, true);
}

/* ---- pad and crop */

static void shift(const cn_conv_problem *s, int above, int left, const double *from, double *to,
                  bool backward)
{
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                for (int k = 0; k < s->c; k++) {
                    int r = p - above, c = q - left;
                    if (r < 0 || r >= s->h || c < 0 || c >= s->w) continue;
                    size_t x = cn_ref_at(s->h, s->w, s->c, i, r, c, k);
                    size_t y = cn_ref_at(s->oh, s->ow, s->c, i, p, q, k);
                    to[backward ? x : y] = from[backward ? y : x];
                }
}

void cn_ref_shift_forward(const cn_conv_problem *s, int above, int left, const double *x, double *y)
{
    memset(y, 0, cn_ref_at(s->oh, s->ow, s->c, s->m, 0, 0, 0) * sizeof *y);
    shift(s, above, left, x, y, false);
}

void cn_ref_shift_backward(const cn_conv_problem *s, int above, int left, const double *dy,
                           double *dx)
{
    memset(dx, 0, cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0) * sizeof *dx);
    shift(s, above, left, dy, dx, true);
}

/* ---- upsample */

/* The weight of element r of n in element p of the output. */
static double weight(bool bilinear, int p, int factor, int n, int r)
{
    if (!bilinear) return p / factor == r;
    double center = fmin(fmax((p + 0.5) / factor - 0.5, 0), n - 1);
    return fmax(0, 1 - fabs(center - r));
}

static void upsample(const cn_conv_problem *s, bool bilinear, const double *from, double *to,
                     bool backward)
{
    int f_h = s->oh / s->h, f_w = s->ow / s->w;
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int r = 0; r < s->h; r++) {
                double a = weight(bilinear, p, f_h, s->h, r);
                for (int q = 0; q < s->ow && a > 0; q++)
                    for (int c = 0; c < s->w; c++) {
                        double b = weight(bilinear, q, f_w, s->w, c);
                        for (int k = 0; k < s->c && b > 0; k++) {
                            size_t x = cn_ref_at(s->h, s->w, s->c, i, r, c, k);
                            size_t y = cn_ref_at(s->oh, s->ow, s->c, i, p, q, k);
                            to[backward ? x : y] += a * b * from[backward ? y : x];
                        }
                    }
            }
}

void cn_ref_upsample_forward(const cn_conv_problem *s, bool bilinear, const double *x, double *y)
{
    memset(y, 0, cn_ref_at(s->oh, s->ow, s->c, s->m, 0, 0, 0) * sizeof *y);
    upsample(s, bilinear, x, y, false);
}

void cn_ref_upsample_backward(const cn_conv_problem *s, bool bilinear, const double *dy, double *dx)
{
    memset(dx, 0, cn_ref_at(s->h, s->w, s->c, s->m, 0, 0, 0) * sizeof *dx);
    upsample(s, bilinear, dy, dx, true);
}

/* ---- dropout */

/* The random word of element `at` of a run that shares a key: lowbias32 with the key's two words.
 */
static uint32_t scramble(uint32_t at, const uint32_t key[4])
{
    uint64_t h = (at + key[0]) & 0xffffffff;
    h ^= h >> 16;
    h = h * 0x21f0aaad & 0xffffffff;
    h ^= key[1];
    h ^= h >> 15;
    h = h * 0x735a2d97 & 0xffffffff;
    h ^= h >> 15;
    return (uint32_t)h;
}

void cn_ref_dropout(size_t n, double rate, uint64_t seed, uint64_t step, int layer, const double *x,
                    double *y)
{
    const uint32_t seeds[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t i = 0; i < n; i++) {
        const uint32_t counter[4] = {(uint32_t)(i / 16384), (uint32_t)layer, (uint32_t)step,
                                     (uint32_t)(step >> 32)};
        uint32_t key[4];
        cn_philox(counter, seeds, key);
        bool kept = scramble((uint32_t)(i % 16384), key) >> 8 >= floor(rate * 16777216 + 0.5);
        y[i] = kept ? x[i] / (1 - rate) : 0;
    }
}

/*
 * Convolution and pooling of cn_kernels, for every instruction set that this processor has, against
 * their twins.
 *
 * Most cases run on small integers: all sums are then exact in float32 in any order, and the kernel
 * must equal the twin. The others run on real numbers in [-1, 1), and may differ by what rounding
 * can do: a sum of n products, added up in any order, is off by at most (n + 1) 2^-24 times the sum
 * of the magnitudes (Higham 2002, section 3.1), and that sum is the twin run on magnitudes.
 *
 *     test_kernels                               everything
 *     test_kernels FUNCTION INSTRUCTIONS CASE    one case, as a failure prints it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel_walk.h"

/* ---- convolution */

/*
 * A kernel may compute up to `lanes` neighbours of a row of y together, as channels of a wider
 * window that has weights of zero, and zero times NaN is NaN. So beside a NaN, in its row and
 * closer than a vector, a NaN is as good as the number; nowhere else. With dilation neighbours are
 * those that many columns apart.
 */
static float *forgive_neighbours(job *j, const cn_kernels *k, const float *y, const double *want)
{
    const cn_conv_shape *s = &j->s;
    size_t line = count(s->ow, s->oc, 1, 1), n = count(s->m, s->oh, s->ow, s->oc);
    size_t reach = count(k->lanes - 1, s->oc, s->dw, 1) + (size_t)s->oc - 1;
    float *seen = take_copy(j, "y", n, y);
    for (size_t i = 0; i < n; i++) {
        size_t start = i / line * line, end = start + line;
        size_t from = i - start > reach ? i - reach : start;
        for (size_t near = from; isnan(y[i]) && near < end && near <= i + reach; near++)
            if (isnan(want[near])) seen[i] = (float)want[i];
    }
    return seen;
}

/* The floats of scratch memory of a call. A session has what its batch needs, and its last batch
 * may be smaller. */
static size_t scratch_of(job *j, const cn_kernels *k, int threads)
{
    const size_t floats = k->conv_scratch(&j->s, threads);
    cn_conv_shape less = j->s;
    less.batch = j->s.m;
    for (less.m = 1; less.m < j->s.m; less.m++) {
        const size_t needed = k->conv_scratch(&less, threads);
        if (needed > floats)
            complain(j, k, "a batch of %d needs more scratch memory, %zu floats, than %d, %zu",
                     less.m, needed, j->s.m, floats);
    }
    return floats;
}

static void conv_forward(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c / s->groups, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc);
    static const float limits[] = {0, INFINITY, 1};
    float relu = limits[draw(&j->random) % 3];
    bool biased = draw(&j->random) % 4;
    float *x = take_input(j, "x", n_x, 3), *w = take_input(j, "w", n_w, 2);
    float *b = biased ? take_input(j, "b", (size_t)s->oc, 5) : NULL, *first = NULL;
    double *sum = take_doubles(j, n_y), *want = take_doubles(j, n_y), *slack = NULL;
    spoil(j, n_x, x);
    cn_ref_conv2d_forward(s, widen(j, n_x, x), widen(j, n_w, w),
                          b ? widen(j, (size_t)s->oc, b) : NULL, sum);
    relu > 0 ? cn_ref_relu_forward(n_y, sum, want) : (void)memcpy(want, sum, n_y * sizeof *want);
    for (size_t i = 0; i < n_y; i++) want[i] = relu > 0 && want[i] > relu ? relu : want[i];
    if (j->real) {
        slack = take_doubles(j, n_y);
        cn_ref_conv2d_forward(s, magnitudes(j, n_x, x), magnitudes(j, n_w, w),
                              b ? magnitudes(j, (size_t)s->oc, b) : NULL, slack);
        scaled(n_y, slack, (s->fh * s->fw * s->c / s->groups + 2) * ROUNDING);
    }
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        for (int p = 0; p < POOLS; p++) {
            float *packed = take(j, "packed", k->conv_packed(s));
            k->conv_pack(s, w, packed, j->pools[p]);
            float *y = take(j, "y", n_y);
            float *scratch = take(j, "scratch", scratch_of(j, k, cn_pool_threads(j->pools[p])));
            k->conv_forward(s, x, packed, b, relu, y, scratch, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "y", n_y, y, first)
              : compare(j, k, "y", n_y, forgive_neighbours(j, k, first = y, want), want, slack);
        }
    }
}

/* To what is in y already a dense convolution adds the very numbers that it writes elsewhere. */
static void conv_forward_add(job *j)
{
    cn_conv_shape *s = &j->s, adding = *s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc);
    static const float limits[] = {0, INFINITY, 1};
    float relu = limits[draw(&j->random) % 3];
    if (s->groups > 1 || s->dh > 1 || s->dw > 1) return;
    adding.add = true;
    bool biased = draw(&j->random) % 4;
    float *x = take_input(j, "x", n_x, 3), *w = take_input(j, "w", n_w, 2);
    float *b = biased ? take_input(j, "b", (size_t)s->oc, 5) : NULL;
    float *before = take_input(j, "y before", n_y, 9);
    double *want = take_doubles(j, n_y);
    spoil(j, n_x, x);
    spoil(j, n_y, before);
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *packed = take(j, "packed", k->conv_packed(s)), *plain = take(j, "y", n_y);
        k->conv_pack(s, w, packed, NULL);
        k->conv_forward(s, x, packed, b, 0, plain, take(j, "scratch", scratch_of(j, k, 1)), NULL);
        for (size_t i = 0; i < n_y; i++) {
            const float sum = before[i] + plain[i];
            want[i] = (double)(relu > 0 && sum < 0 ? 0 : relu > 0 && sum > relu ? relu : sum);
        }
        for (int p = 0; p < POOLS; p++) {
            float *y = take_copy(j, "y", n_y, before);
            float *scratch = take(j, "scratch", scratch_of(j, k, cn_pool_threads(j->pools[p])));
            k->conv_forward(&adding, x, packed, b, relu, y, scratch, j->pools[p]);
            check_canaries(j, k);
            compare(j, k, "y", n_y, y, want, NULL);
        }
    }
}

static void conv_backward_data(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c / s->groups, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc);
    float *w = take_input(j, "w", n_w, 2), *dy = take_input(j, "dy", n_y, 3), *first = NULL;
    double *x = take_doubles(j, n_x), *dw = take_doubles(j, n_w);
    double *want = take_doubles(j, n_x), *slack = NULL;
    spoil(j, n_y, dy);
    cn_ref_conv2d_backward(s, x, widen(j, n_w, w), widen(j, n_y, dy), want, dw, NULL);
    if (j->real) {
        slack = take_doubles(j, n_x);
        cn_ref_conv2d_backward(s, x, magnitudes(j, n_w, w), magnitudes(j, n_y, dy), slack, dw,
                               NULL);
        scaled(n_x, slack, (s->fh * s->fw * s->oc / s->groups + 1) * ROUNDING);
    }
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *dx = take(j, "dx", n_x);
            float *scratch = take(j, "scratch", k->conv_scratch(s, cn_pool_threads(j->pools[p])));
            k->conv_backward_data(s, dy, w, dx, scratch, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "dx", n_x, dx, first)
              : compare(j, k, "dx", n_x, first = dx, want, slack);
        }
}

/* What was in dw and db before stays in the sum. */
static void conv_backward_weights(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c / s->groups, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc), n_b = (size_t)s->oc;
    bool biased = draw(&j->random) % 4;
    float *x = take_input(j, "x", n_x, 3), *dy = take_input(j, "dy", n_y, 3);
    float *before_w = take_input(j, "dw before", n_w, 9), *first_w = NULL;
    float *before_b = take_input(j, "db before", n_b, 9), *first_b = NULL;
    double *w = take_doubles(j, n_w), *dx = take_doubles(j, n_x);
    double *want_w = take_doubles(j, n_w), *want_b = take_doubles(j, n_b);
    double *slack_w = take_doubles(j, n_w), *slack_b = take_doubles(j, n_b);
    if (s->dh == 1 && s->dw == 1) spoil(j, n_x, x); /* else it may spread: see kernels.h */
    cn_ref_conv2d_backward(s, widen(j, n_x, x), w, widen(j, n_y, dy), dx, want_w, want_b);
    cn_ref_conv2d_backward(s, magnitudes(j, n_x, x), w, magnitudes(j, n_y, dy), dx, slack_w,
                           slack_b);
    double rounding = j->real ? (s->m * s->oh * s->ow + 2) * ROUNDING : 0;
    for (size_t i = 0; i < n_w; i++) {
        want_w[i] += (double)before_w[i];
        slack_w[i] = rounding * (slack_w[i] + fabs((double)before_w[i]));
    }
    for (size_t i = 0; i < n_b; i++) {
        want_b[i] += (double)before_b[i];
        slack_b[i] = rounding * (slack_b[i] + fabs((double)before_b[i]));
    }
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *dw = take_copy(j, "dw", n_w, before_w);
            float *db = biased ? take_copy(j, "db", n_b, before_b) : NULL;
            float *scratch = take(j, "scratch", k->conv_scratch(s, cn_pool_threads(j->pools[p])));
            k->conv_backward_weights(s, x, dy, dw, db, scratch, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "dw", n_w, dw, first_w)
              : compare(j, k, "dw", n_w, first_w = dw, want_w, slack_w);
            if (!biased) continue;
            p ? compare_bits(j, k, "db", n_b, db, first_b)
              : compare(j, k, "db", n_b, first_b = db, want_b, slack_b);
        }
}

/* ---- rounding to bf16, seen through a product with 1 */

/* The nearest number of 8 significant bits, a tie to the even one. */
static double to_bf16(float x)
{
    int exponent;
    if (!isfinite(x)) return (double)x;
    const double part = frexp((double)x, &exponent);
    const double y = ldexp(nearbyint(ldexp(part, 8)), exponent - 8);
    return fabs(y) < 0x1p128 ? y : copysign(INFINITY, y);
}

/* Any float but the smallest, which AVX-512's products take for zeros; many ties, and what lies
 * beside them. */
static float draw_float(uint64_t *random)
{
    static const uint32_t special[] = {0,          0x80000000, 0x7f800000, 0xff800000, 0x7f800001,
                                       0x7fffffff, 0x7fc00000, 0x7f7fffff, 0x7f7f8000, 0x00800000};
    static const uint32_t lower[] = {0x8000, 0x7fff, 0x8001, 0};
    uint32_t bits = (uint32_t)draw(random);
    if (draw(random) % 8 == 0) return pattern(special[bits % 10]);
    if (draw(random) % 2) bits = (bits & 0xffff0000) | lower[bits % 4];
    return pattern((bits & 0x7f800000) == 0 || (bits & 0x7f800000) == 0x7f800000 ? bits ^ 0x40000000
                                                                                 : bits);
}

/* A pass whose output is its one input that is not of ones and zeros, rounded; the other is NULL.
 */
typedef struct unit_product {
    const char *what;
    cn_conv_shape s;
    const float *x, *w, *dy;
    size_t n; /* of the output */
    const double *want;
} unit_product;

static void check_product(job *j, const cn_kernels *k, const unit_product *p)
{
    const cn_conv_shape *s = &p->s;
    float *scratch = take(j, "scratch", k->conv_scratch(s, 1));
    float *packed = take(j, "packed", k->conv_packed(s)), *out = take(j, "out", p->n);
    memset(out, 0, p->n * sizeof *out);
    if (!p->dy) {
        k->conv_pack(s, p->w, packed, NULL);
        k->conv_forward(s, p->x, packed, NULL, 0, out, scratch, NULL);
    } else if (!p->x) {
        k->conv_backward_data(s, p->dy, p->w, out, scratch, NULL);
    } else {
        k->conv_backward_weights(s, p->x, p->dy, out, NULL, scratch, NULL);
    }
    check_canaries(j, k);
    compare(j, k, p->what, p->n, out, p->want, NULL);
}

/* Of numbers v: each times 1, plus 0 times 0. */
static void bf16_rounding(job *j)
{
    enum { MANY = 40 }; /* no folding, and more than a vector */
    const int n = j->s.m + 1;
    const size_t size = count(n, 1, 1, 1), wide = size * MANY;
    const cn_conv_shape one = {
        .m = 1, .h = 1, .w = 1, .fh = 1, .fw = 1, .sh = 1, .sw = 1, .oh = 1, .ow = 1, .bf16 = true};
    cn_conv_shape pixels = one, filters = one, data = one, weights = one;
    pixels.w = pixels.ow = data.w = data.ow = n;
    pixels.c = filters.c = data.oc = weights.w = weights.ow = 2;
    pixels.oc = data.c = weights.oc = MANY;
    filters.oc = weights.c = n;
    float *v = take(j, "v, then zeros", 2 * size + 16), *v_0 = take(j, "(v, 0)", 2 * size + 16);
    float *one_0 = take(j, "(1, 0)", 2 * MANY), *ones = take(j, "ones, then zeros", 2 * MANY);
    double *want = take_doubles(j, size), *repeated = take_doubles(j, wide);
    memset(v, 0, (2 * size + 16) * sizeof *v);
    memset(v_0, 0, (2 * size + 16) * sizeof *v_0);
    for (size_t i = 0; i < size; i++) {
        v[i] = v_0[2 * i] = draw_float(&j->random);
        want[i] = to_bf16(v[i]);
        for (size_t k = 0; k < MANY; k++) repeated[i * MANY + k] = want[i];
    }
    for (int i = 0; i < 2 * MANY; i++) one_0[i] = i % 2 == 0, ones[i] = i < MANY;
    const unit_product all[] = {
        {"y of x rounded", pixels, .x = v_0, .w = ones, .n = wide, .want = repeated},
        {"y of w rounded", filters, .x = one_0, .w = v, .n = size, .want = want},
        {"dx of dy rounded", data, .dy = v_0, .w = one_0, .n = wide, .want = repeated},
        {"dw of x rounded", weights, .x = v, .dy = ones, .n = wide, .want = repeated},
    };
    for (int t = 0; j->tables[t]; t++)
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            check_product(j, j->tables[t], &all[i]);
}

/* ---- pooling */

static void max_pool_forward(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_y = count(s->m, s->oh, s->ow, s->c);
    float *x = take_input(j, "x", n_x, 9), *first = NULL;
    double *want = take_doubles(j, n_y);
    spoil(j, n_x, x);
    cn_ref_max_pool_forward(s, widen(j, n_x, x), want);
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *y = take(j, "y", n_y);
            k->max_pool_forward(s, x, y, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "y", n_y, y, first)
              : compare(j, k, "y", n_y, first = y, want, NULL);
        }
}

/* Few different values in x make many ties; dy is of integers, so that sums are exact. */
static void max_pool_backward(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_y = count(s->m, s->oh, s->ow, s->c);
    bool ties = draw(&j->random) % 2;
    float *x = take_input(j, "x", n_x, 2), *first = NULL, *y = take(j, "y", n_y);
    j->real = false;
    float *dy = take_input(j, "dy", n_y, 3);
    spoil(j, n_x, x);
    double *wide = widen(j, n_x, x), *wide_y = take_doubles(j, n_y), *want = take_doubles(j, n_x);
    cn_ref_max_pool_forward(s, wide, wide_y);
    for (size_t i = 0; i < n_y; i++) y[i] = (float)wide_y[i];
    cn_ref_max_pool_backward(s, wide, widen(j, n_y, dy), ties, want);
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *dx = take(j, "dx", n_x);
            k->max_pool_backward(s, x, y, dy, ties, dx, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "dx", n_x, dx, first)
              : compare(j, k, "dx", n_x, first = dx, want, NULL);
        }
}

/* The sum of a window of n is divided by n or multiplied by the rounded 1/n: n + 1 roundings of
 * real numbers, 2 of integers, whose sum is exact. */
static void average_pool_forward(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_y = count(s->m, s->oh, s->ow, s->c);
    float *x = take_input(j, "x", n_x, 9), *first = NULL;
    double *want = take_doubles(j, n_y), *slack = take_doubles(j, n_y);
    spoil(j, n_x, x);
    cn_ref_average_pool_forward(s, widen(j, n_x, x), want);
    cn_ref_average_pool_forward(s, magnitudes(j, n_x, x), slack);
    scaled(n_y, slack, (j->real ? s->fh * s->fw + 1 : 2) * ROUNDING);
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *y = take(j, "y", n_y);
            k->average_pool_forward(s, x, y, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "y", n_y, y, first)
              : compare(j, k, "y", n_y, first = y, want, slack);
        }
}

/* An element is in at most fh fw windows, and each share takes 2 roundings. */
static void average_pool_backward(job *j)
{
    const cn_conv_shape *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_y = count(s->m, s->oh, s->ow, s->c);
    float *dy = take_input(j, "dy", n_y, 9), *first = NULL;
    double *want = take_doubles(j, n_x), *slack = take_doubles(j, n_x);
    cn_ref_average_pool_backward(s, widen(j, n_y, dy), want);
    cn_ref_average_pool_backward(s, magnitudes(j, n_y, dy), slack);
    scaled(n_x, slack, (s->fh * s->fw + 2) * ROUNDING);
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *dx = take(j, "dx", n_x);
            k->average_pool_backward(s, dy, dx, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "dx", n_x, dx, first)
              : compare(j, k, "dx", n_x, first = dx, want, slack);
        }
}

static const row rows[] = {
    {"conv_forward", conv_forward, CONVOLUTION, 1000},
    {"conv_forward_add", conv_forward_add, CONVOLUTION, 1000},
    {"conv_backward_data", conv_backward_data, CONVOLUTION, 1000},
    {"conv_backward_weights", conv_backward_weights, CONVOLUTION, 1000},
    {"conv_forward_bf16", conv_forward, CONVOLUTION, 500},
    {"conv_forward_add_bf16", conv_forward_add, CONVOLUTION, 500},
    {"conv_backward_data_bf16", conv_backward_data, CONVOLUTION, 500},
    {"conv_backward_weights_bf16", conv_backward_weights, CONVOLUTION, 500},
    {"bf16_rounding", bf16_rounding, ELEMENTS, 100},
    {"max_pool_forward", max_pool_forward, POOLING, 1000},
    {"max_pool_backward", max_pool_backward, POOLING, 1000},
    {"average_pool_forward", average_pool_forward, POOLING, 1000},
    {"average_pool_backward", average_pool_backward, POOLING, 1000},
};

int main(int argc, char **argv)
{
    return walk("test_kernels", rows, sizeof rows / sizeof *rows, argc, argv);
}

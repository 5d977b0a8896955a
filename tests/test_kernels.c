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
 * A kernel may compute up to `lanes` neighbors of a row of y together, as channels of a wider
 * window that has weights of zero, and zero times NaN is NaN. So beside a NaN, in its row and
 * closer than a vector, a NaN is as good as the number; nowhere else. With dilation neighbors are
 * those that many columns apart.
 */
static float *forgive_neighbors(job *j, const cn_kernels *k, const float *y, const double *want)
{
    const cn_conv_problem *s = &j->s;
    size_t line = count(s->ow, s->oc, 1, 1), n = count(s->m, s->oh, s->ow, s->oc);
    size_t reach = count(k->lanes - 1, s->oc, s->dilation_w, 1) + (size_t)s->oc - 1;
    float *seen = take_copy(j, "y", n, y);
    for (size_t i = 0; i < n; i++) {
        size_t start = i / line * line, end = start + line;
        size_t from = i - start > reach ? i - reach : start;
        for (size_t near = from; isnan(y[i]) && near < end && near <= i + reach; near++)
            if (isnan(want[near])) seen[i] = (float)want[i];
    }
    return seen;
}

/* A case planned for a pool, with memory as the plan says; now and then for a larger batch than is
 * then run. */
typedef struct planned {
    cn_conv_plan plan;
    float *packed, *scratch;
    cn_pool *pool;
} planned;

static planned plan_case(job *j, const cn_kernels *k, cn_pool *pool, int more)
{
    planned c = {.pool = pool};
    cn_conv_problem problem = j->s;
    cn_conv_options how = j->how;
    problem.m += more;
    how.threads = cn_pool_threads(pool);
    cn_conv_plan_make(&c.plan, k->conv->methods, &problem, how);
    c.packed = take(j, "packed", c.plan.packed);
    c.scratch = take(j, "scratch", c.plan.scratch);
    return c;
}

static void run_planned(planned *c, cn_conv_direction direction, cn_conv_args args)
{
    args.pool = c->pool;
    args.scratch = c->scratch;
    if (direction == CN_CONV_FORWARD) {
        cn_conv_pack(&c->plan, args.w, c->packed, c->pool);
        args.w = c->packed;
    }
    cn_conv_run(&c->plan, direction, &args);
}

static int draw_more(job *j)
{
    return draw(&j->random) % 3 ? 0 : draw_int(&j->random, 1, 9);
}

static cn_activation draw_activation(job *j)
{
    static const float limits[] = {0, INFINITY, 1};
    const float upper = limits[draw(&j->random) % 3];
    return (cn_activation){.kind = upper > 0 ? CN_ACTIVATION_CLIP : CN_ACTIVATION_NONE,
                           .upper = upper};
}

static void conv_forward(job *j)
{
    const cn_conv_problem *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c / s->groups, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc);
    const cn_activation activation = draw_activation(j);
    const float relu = activation.upper;
    const int more = draw_more(j);
    bool biased = draw(&j->random) % 4;
    float *x = take_input(j, "x", n_x, 3), *w = take_input(j, "w", n_w, 2);
    float *b = biased ? take_input(j, "b", (size_t)s->oc, 5) : NULL, *first = NULL;
    double *sum = take_doubles(j, n_y), *want = take_doubles(j, n_y), *slack = NULL;
    spoil(j, n_x, x);
    cn_ref_conv2d_forward(s, widen(j, n_x, x), widen(j, n_w, w),
                          b ? widen(j, (size_t)s->oc, b) : NULL, sum);
    for (size_t i = 0; i < n_y; i++)
        want[i] = relu > 0 && sum[i] < 0 ? 0 : relu > 0 && sum[i] > relu ? relu : sum[i];
    if (j->real) {
        slack = take_doubles(j, n_y);
        cn_ref_conv2d_forward(s, magnitudes(j, n_x, x), magnitudes(j, n_w, w),
                              b ? magnitudes(j, (size_t)s->oc, b) : NULL, slack);
        scaled(n_y, slack, (s->fh * s->fw * s->c / s->groups + 2) * ROUNDING);
    }
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        for (int p = 0; p < POOLS; p++) {
            planned c = plan_case(j, k, j->pools[p], more);
            float *y = take(j, "y", n_y);
            run_planned(&c, CN_CONV_FORWARD,
                        (cn_conv_args){
                            .m = s->m, .x = x, .w = w, .b = b, .activation = activation, .y = y});
            check_canaries(j, k);
            p ? compare_bits(j, k, "y", n_y, y, first)
              : compare(j, k, "y", n_y, forgive_neighbors(j, k, first = y, want), want, slack);
        }
    }
}

/* To what is in y already a dense convolution adds the very numbers that it writes elsewhere. */
static void conv_forward_add(job *j)
{
    const cn_conv_problem *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc);
    const cn_activation activation = draw_activation(j);
    const float relu = activation.upper;
    const int more = draw_more(j);
    if (s->groups > 1 || s->dilation_h > 1 || s->dilation_w > 1) return;
    bool biased = draw(&j->random) % 4;
    float *x = take_input(j, "x", n_x, 3), *w = take_input(j, "w", n_w, 2);
    float *b = biased ? take_input(j, "b", (size_t)s->oc, 5) : NULL;
    float *before = take_input(j, "y before", n_y, 9);
    double *want = take_doubles(j, n_y);
    spoil(j, n_x, x);
    spoil(j, n_y, before);
    for (int t = 0; j->tables[t]; t++) {
        const cn_kernels *k = j->tables[t];
        float *plain = take(j, "y", n_y);
        planned alone = plan_case(j, k, NULL, more);
        cn_conv_args args = {.m = s->m, .x = x, .w = w, .b = b, .y = plain};
        run_planned(&alone, CN_CONV_FORWARD, args);
        args.add = true;
        args.activation = activation;
        for (size_t i = 0; i < n_y; i++) {
            const float sum = before[i] + plain[i];
            want[i] = (double)(relu > 0 && sum < 0 ? 0 : relu > 0 && sum > relu ? relu : sum);
        }
        for (int p = 0; p < POOLS; p++) {
            planned c = plan_case(j, k, j->pools[p], more);
            args.y = take_copy(j, "y", n_y, before);
            run_planned(&c, CN_CONV_FORWARD, args);
            check_canaries(j, k);
            compare(j, k, "y", n_y, args.y, want, NULL);
        }
    }
}

static void conv_backward_data(job *j)
{
    const cn_conv_problem *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c / s->groups, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc);
    float *w = take_input(j, "w", n_w, 2), *dy = take_input(j, "dy", n_y, 3), *first = NULL;
    double *x = take_doubles(j, n_x), *dw = take_doubles(j, n_w);
    double *want = take_doubles(j, n_x), *slack = NULL;
    const int more = draw_more(j);
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
            planned c = plan_case(j, k, j->pools[p], more);
            float *dx = take(j, "dx", n_x);
            run_planned(&c, CN_CONV_BACKWARD_DATA,
                        (cn_conv_args){.m = s->m, .w = w, .dy = dy, .dx = dx});
            check_canaries(j, k);
            p ? compare_bits(j, k, "dx", n_x, dx, first)
              : compare(j, k, "dx", n_x, first = dx, want, slack);
        }
}

/* What was in dw and db before stays in the sum. */
static void conv_backward_weights(job *j)
{
    const cn_conv_problem *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_w = count(s->fh, s->fw, s->c / s->groups, s->oc);
    size_t n_y = count(s->m, s->oh, s->ow, s->oc), n_b = (size_t)s->oc;
    const int more = draw_more(j);
    bool biased = draw(&j->random) % 4;
    float *x = take_input(j, "x", n_x, 3), *dy = take_input(j, "dy", n_y, 3);
    float *before_w = take_input(j, "dw before", n_w, 9), *first_w = NULL;
    float *before_b = take_input(j, "db before", n_b, 9), *first_b = NULL;
    double *w = take_doubles(j, n_w), *dx = take_doubles(j, n_x);
    double *want_w = take_doubles(j, n_w), *want_b = take_doubles(j, n_b);
    double *slack_w = take_doubles(j, n_w), *slack_b = take_doubles(j, n_b);
    if (s->dilation_h == 1 && s->dilation_w == 1)
        spoil(j, n_x, x); /* else it may spread: see conv.h */
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
            planned c = plan_case(j, k, j->pools[p], more);
            run_planned(&c, CN_CONV_BACKWARD_WEIGHTS,
                        (cn_conv_args){.m = s->m, .x = x, .dy = dy, .dw = dw, .db = db});
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
    cn_conv_problem s;
    const float *x, *w, *dy;
    size_t n; /* of the output */
    const double *want;
} unit_product;

static void check_product(job *j, const cn_kernels *k, const unit_product *p)
{
    const cn_conv_direction direction = !p->dy  ? CN_CONV_FORWARD
                                        : !p->x ? CN_CONV_BACKWARD_DATA
                                                : CN_CONV_BACKWARD_WEIGHTS;
    float *out = take(j, "out", p->n);
    cn_conv_args args = {.m = 1, .x = p->x, .w = p->w, .dy = p->dy};
    planned c = {.pool = NULL};
    cn_conv_plan_make(&c.plan, k->conv->methods, &p->s, (cn_conv_options){.bf16 = true});
    c.packed = take(j, "packed", c.plan.packed);
    c.scratch = take(j, "scratch", c.plan.scratch);
    args.y = args.dx = args.dw = out;
    memset(out, 0, p->n * sizeof *out);
    run_planned(&c, direction, args);
    check_canaries(j, k);
    compare(j, k, p->what, p->n, out, p->want, NULL);
}

/* Of numbers v: each times 1, plus 0 times 0. */
static void bf16_rounding(job *j)
{
    enum { MANY = 40 }; /* no folding, and more than a vector */
    const int n = j->s.m + 1;
    const size_t size = count(n, 1, 1, 1), wide = size * MANY;
    cn_conv_problem one;
    if (!parse_case("m1h1x1c1k1f1x1s1x1p0x0x0x0", &one)) abort();
    cn_conv_problem pixels = one, filters = one, data = one, weights = one;
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
    const cn_conv_problem *s = &j->s;
    size_t n_x = count(s->m, s->h, s->w, s->c), n_y = count(s->m, s->oh, s->ow, s->c);
    float *x = take_input(j, "x", n_x, 9), *first = NULL;
    double *want = take_doubles(j, n_y);
    spoil(j, n_x, x);
    cn_ref_max_pool_forward(s, widen(j, n_x, x), want);
    for (int t = 0; j->tables[t]; t++)
        for (int p = 0; p < POOLS; p++) {
            const cn_kernels *k = j->tables[t];
            float *y = take(j, "y", n_y);
            k->pool->max_forward(s, x, y, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "y", n_y, y, first)
              : compare(j, k, "y", n_y, first = y, want, NULL);
        }
}

/* Few different values in x make many ties; dy is of integers, so that sums are exact. */
static void max_pool_backward(job *j)
{
    const cn_conv_problem *s = &j->s;
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
            k->pool->max_backward(s, x, y, dy, ties, dx, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "dx", n_x, dx, first)
              : compare(j, k, "dx", n_x, first = dx, want, NULL);
        }
}

/* The sum of a window of n is divided by n or multiplied by the rounded 1/n: n + 1 roundings of
 * real numbers, 2 of integers, whose sum is exact. */
static void average_pool_forward(job *j)
{
    const cn_conv_problem *s = &j->s;
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
            k->pool->average_forward(s, x, y, j->pools[p]);
            check_canaries(j, k);
            p ? compare_bits(j, k, "y", n_y, y, first)
              : compare(j, k, "y", n_y, first = y, want, slack);
        }
}

/* An element is in at most fh fw windows, and each share takes 2 roundings. */
static void average_pool_backward(job *j)
{
    const cn_conv_problem *s = &j->s;
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
            k->pool->average_backward(s, dy, dx, j->pools[p]);
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

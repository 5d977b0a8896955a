/*
 * conv_plain.c - the method for every problem: the sums of geometry.h as they are written.
 *
 * The last row of every table of methods. The others are faster, and together they support every
 * problem, too; this one is their fallback, and a baseline for a new one.
 */
#include "kernels/conv/conv.h"

#include <string.h>

static bool supports(const cn_conv_pass *pass)
{
    (void)pass;
    return true;
}

static size_t weights_of(const cn_conv_problem *p)
{
    return (size_t)p->fh * (size_t)p->fw * (size_t)(p->c / p->groups) * (size_t)p->oc;
}

static void plan(cn_conv_pass *pass)
{
    if (pass->direction == CN_CONV_FORWARD) pass->packed = weights_of(&pass->problem);
}

static void pack(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool)
{
    (void)pool;
    memcpy(packed, w, weights_of(&pass->problem) * sizeof *w);
}

/* The pixel of x under tap (u, v) of the window of output pixel (i, p, q), counted in pixels from
 * the first of x; -1 outside the image. */
static ptrdiff_t pixel_seen(const cn_conv_problem *s, int i, int p, int q, int u, int v)
{
    const int64_t row = (int64_t)p * s->sh + (int64_t)u * s->dilation_h - s->pt;
    const int64_t column = (int64_t)q * s->sw + (int64_t)v * s->dilation_w - s->pl;
    if (row < 0 || row >= s->h || column < 0 || column >= s->w) return -1;
    return (ptrdiff_t)(((int64_t)i * s->h + row) * s->w + column);
}

/* A task is an image, or in backward weights a kernel row. */
typedef struct plain {
    const cn_conv_problem *s;
    const cn_conv_args *a;
} plain;

static void forward_task(void *argument, int i, int worker)
{
    const plain *f = argument;
    const cn_conv_problem *s = f->s;
    const cn_conv_args *a = f->a;
    const int c = s->c / s->groups, oc = s->oc / s->groups;
    float *y = a->y + (ptrdiff_t)i * s->oh * s->ow * s->oc;
    (void)worker;
    for (int p = 0; p < s->oh; p++)
        for (int q = 0; q < s->ow; q++)
            for (int k = 0; k < s->oc; k++, y++) {
                float sum = a->b ? a->b[k] : 0;
                for (int t = 0; t < s->fh * s->fw; t++) {
                    const ptrdiff_t pixel = pixel_seen(s, i, p, q, t / s->fw, t % s->fw);
                    if (pixel < 0) continue;
                    const float *x = a->x + pixel * s->c + k / oc * c;
                    const float *w = a->w + (ptrdiff_t)t * c * s->oc + k;
                    for (int j = 0; j < c; j++) sum += x[j] * w[(ptrdiff_t)j * s->oc];
                }
                if (a->add) sum += *y;
                if (a->activation.kind && sum < a->activation.lower) sum = a->activation.lower;
                if (a->activation.kind && sum > a->activation.upper) sum = a->activation.upper;
                *y = sum;
            }
}

static void backward_data_task(void *argument, int i, int worker)
{
    const plain *f = argument;
    const cn_conv_problem *s = f->s;
    const cn_conv_args *a = f->a;
    const int c = s->c / s->groups, oc = s->oc / s->groups;
    const float *dy = a->dy + (ptrdiff_t)i * s->oh * s->ow * s->oc;
    const size_t image = (size_t)s->h * (size_t)s->w * (size_t)s->c;
    (void)worker;
    memset(a->dx + (size_t)i * image, 0, image * sizeof *a->dx);
    for (int p = 0; p < s->oh; p++)
        for (int q = 0; q < s->ow; q++, dy += s->oc)
            for (int t = 0; t < s->fh * s->fw; t++) {
                const ptrdiff_t pixel = pixel_seen(s, i, p, q, t / s->fw, t % s->fw);
                for (int j = 0; j < s->c && pixel >= 0; j++) {
                    const float *w = a->w + ((ptrdiff_t)t * c + j % c) * s->oc;
                    float sum = 0;
                    for (int k = j / c * oc; k < (j / c + 1) * oc; k++) sum += dy[k] * w[k];
                    a->dx[pixel * s->c + j] += sum;
                }
            }
}

/* Each sum is completed before it is added to dw: the order does not depend on the threads. */
static void backward_weights_task(void *argument, int u, int worker)
{
    const plain *f = argument;
    const cn_conv_problem *s = f->s;
    const cn_conv_args *a = f->a;
    const int c = s->c / s->groups, oc = s->oc / s->groups;
    (void)worker;
    for (int v = 0; v < s->fw; v++)
        for (int j = 0; j < c; j++)
            for (int k = 0; k < s->oc; k++) {
                const float *dy = a->dy + k;
                float sum = 0;
                for (int i = 0; i < s->m; i++)
                    for (int n = 0; n < s->oh * s->ow; n++, dy += s->oc) {
                        const ptrdiff_t pixel = pixel_seen(s, i, n / s->ow, n % s->ow, u, v);
                        if (pixel >= 0) sum += a->x[pixel * s->c + k / oc * c + j] * *dy;
                    }
                a->dw[(((ptrdiff_t)u * s->fw + v) * c + j) * s->oc + k] += sum;
            }
}

static void forward(const cn_conv_pass *pass, const cn_conv_args *args)
{
    cn_conv_problem problem = pass->problem;
    plain f = {&problem, args};
    problem.m = args->m;
    cn_pool_run(args->pool, args->m, forward_task, &f);
}

static void backward_data(const cn_conv_pass *pass, const cn_conv_args *args)
{
    cn_conv_problem problem = pass->problem;
    plain f = {&problem, args};
    problem.m = args->m;
    cn_pool_run(args->pool, args->m, backward_data_task, &f);
}

static void backward_weights(const cn_conv_pass *pass, const cn_conv_args *args)
{
    cn_conv_problem problem = pass->problem;
    plain f = {&problem, args};
    const ptrdiff_t pixels = (ptrdiff_t)args->m * problem.oh * problem.ow;
    problem.m = args->m;
    cn_pool_run(args->pool, problem.fh, backward_weights_task, &f);
    for (int k = 0; args->db && k < problem.oc; k++) {
        float sum = 0;
        for (ptrdiff_t n = 0; n < pixels; n++) sum += args->dy[n * problem.oc + k];
        args->db[k] += sum;
    }
}

const cn_conv_method cn_conv_plain = {
    .name = "plain loops",
    .supports = supports,
    .plan = plan,
    .pack = pack,
    .run = {forward, backward_data, backward_weights},
};

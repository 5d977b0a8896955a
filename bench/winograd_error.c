/*
 * winograd_error.c - what Winograd's method costs in accuracy, and what products of bf16 do.
 *
 * Both methods in float32, and the direct one in bf16, all three directions, against sums in double
 * precision of a sample of the elements: the root of the mean square of the differences, relative
 * to that of the elements.
 */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 4000, SIDE = 12, IMAGES = 8 };

typedef struct data {
    cn_conv_problem s;
    cn_tensor x, w, y, dy, dx, dw, packed, scratch;
} data;

/* The double sums. Windows of 3 x 3 with one zero around the image. */
static double x_at(const float *x, const cn_conv_problem *s, int i, int r, int q, int j)
{
    if (r < 0 || r >= s->h || q < 0 || q >= s->w) return 0;
    return x[(((size_t)i * (size_t)s->h + (size_t)r) * (size_t)s->w + (size_t)q) * (size_t)s->c +
             (size_t)j];
}

static double y_element(const data *d, const int at[4])
{
    const cn_conv_problem *s = &d->s;
    const float *w = d->w.data;
    double sum = 0;
    for (int t = 0; t < 9; t++)
        for (int j = 0; j < s->c; j++)
            sum += x_at(d->x.data, s, at[0], at[1] + t / 3 - 1, at[2] + t % 3 - 1, j) *
                   w[((size_t)t * (size_t)s->c + (size_t)j) * (size_t)s->oc + (size_t)at[3]];
    return sum;
}

/* dy has the shape of x: as many filters as channels. */
static double dx_element(const data *d, const int at[4])
{
    const cn_conv_problem *s = &d->s;
    const float *w = d->w.data;
    double sum = 0;
    for (int t = 0; t < 9; t++)
        for (int k = 0; k < s->oc; k++)
            sum += x_at(d->dy.data, s, at[0], at[1] - t / 3 + 1, at[2] - t % 3 + 1, k) *
                   w[((size_t)t * (size_t)s->c + (size_t)at[3]) * (size_t)s->oc + (size_t)k];
    return sum;
}

static double dw_element(const data *d, const int at[4])
{
    const cn_conv_problem *s = &d->s;
    double sum = 0;
    for (int i = 0; i < s->m; i++)
        for (int p = 0; p < s->oh; p++)
            for (int q = 0; q < s->ow; q++)
                sum += x_at(d->x.data, s, i, p + at[0] - 1, q + at[1] - 1, at[2]) *
                       x_at(d->dy.data, s, i, p, q, at[3]);
    return sum;
}

typedef double element(const data *d, const int at[4]);

static double error_of(const data *d, const cn_tensor *found, const int extents[4], element *exact)
{
    double wrong = 0, all = 0;
    cn_rng rng;
    cn_rng_seed(&rng, 2);
    for (int n = 0; n < SAMPLES; n++) {
        int at[4];
        size_t offset = 0;
        for (int a = 0; a < 4; a++) {
            at[a] = (int)cn_rng_randint(&rng, 0, extents[a]);
            offset = offset * (size_t)extents[a] + (size_t)at[a];
        }
        const double e = exact(d, at), f = ((const float *)found->data)[offset];
        wrong += (f - e) * (f - e);
        all += e * e;
    }
    return sqrt(wrong / all);
}

static bool floats(cn_tensor *t, size_t count, cn_rng *rng)
{
    if (cn_tensor_create(t, CN_DTYPE_F32, 1, (int[]){(int)(count ? count : 1)}, NULL) != CN_OK)
        return false;
    return !rng || cn_rng_fill_randn(rng, t, NULL) == CN_OK;
}

static const struct method {
    const char *name;
    bool direct, bf16;
} methods[] = {{"direct", true, false}, {"Winograd", false, false}, {"bf16", true, true}};

/* A row of the table. False where memory is short. */
static bool print_errors(int channels, const struct method *way)
{
    const cn_conv_problem s = {.m = IMAGES,
                               .h = SIDE,
                               .w = SIDE,
                               .c = channels,
                               .fh = 3,
                               .fw = 3,
                               .sh = 1,
                               .sw = 1,
                               .pt = 1,
                               .pl = 1,
                               .oh = SIDE,
                               .ow = SIDE,
                               .oc = channels,
                               .dilation_h = 1,
                               .dilation_w = 1,
                               .groups = 1};
    const cn_conv_options how = {.no_winograd = way->direct, .bf16 = way->bf16};
    cn_conv_plan plan;
    cn_conv_plan_make(&plan, cn_kernels_get()->conv->methods, &s, how);
    data d = {.s = s};
    const size_t pixels = (size_t)IMAGES * SIDE * SIDE, c = (size_t)channels;
    cn_rng rng;
    cn_rng_seed(&rng, 1);
    /* The 16 floats beyond are for kernels that read a whole vector. */
    const bool ready = floats(&d.x, pixels * c + 16, &rng) && floats(&d.w, 9 * c * c, &rng) &&
                       floats(&d.dy, pixels * c + 16, &rng) && floats(&d.y, pixels * c, NULL) &&
                       floats(&d.dx, pixels * c, NULL) && floats(&d.dw, 9 * c * c, NULL) &&
                       floats(&d.packed, plan.packed, NULL) &&
                       floats(&d.scratch, plan.scratch, NULL);
    if (ready) {
        const int image[] = {IMAGES, SIDE, SIDE, channels}, filter[] = {3, 3, channels, channels};
        cn_conv_args args = {.m = s.m,
                             .x = d.x.data,
                             .w = d.packed.data,
                             .dy = d.dy.data,
                             .y = d.y.data,
                             .dx = d.dx.data,
                             .dw = d.dw.data,
                             .scratch = d.scratch.data};
        cn_conv_pack(&plan, d.w.data, d.packed.data, NULL);
        cn_conv_run(&plan, CN_CONV_FORWARD, &args);
        args.w = d.w.data;
        cn_conv_run(&plan, CN_CONV_BACKWARD_DATA, &args);
        cn_conv_run(&plan, CN_CONV_BACKWARD_WEIGHTS, &args);
        printf("%8d  %-8s  %8.1e  %8.1e  %8.1e\n", channels, way->name,
               error_of(&d, &d.y, image, y_element), error_of(&d, &d.dx, image, dx_element),
               error_of(&d, &d.dw, filter, dw_element));
    }
    cn_tensor *const all[] = {&d.x, &d.w, &d.y, &d.dy, &d.dx, &d.dw, &d.packed, &d.scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cn_tensor_free(all[i]);
    return ready;
}

int main(void)
{
    static const int channels[] = {64, 128, 256, 512};
    printf("Relative error, %s, %d images of %d x %d\n%8s  %-8s  %8s  %8s  %8s\n", cn_isa(), IMAGES,
           SIDE, SIDE, "channels", "method", "forward", "data", "weights");
    bool printed = true;
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (size_t j = 0; j < sizeof methods / sizeof *methods && printed; j++)
            printed = print_errors(channels[i], &methods[j]);
    if (printed) return EXIT_SUCCESS;
    fprintf(stderr, "winograd_error: out of memory\n");
    return EXIT_FAILURE;
}

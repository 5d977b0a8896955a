/*
 * step_by_step.c - a convolutional network's building blocks, one after the other.
 *
 * Follows the sections of the course "Convolutional Neural Networks: Step by Step". Each section
 * draws the course's own random inputs, calls one function of the library, and puts the figures
 * that the course prints beside those that come out. Exits with 1 if any differs.
 *
 *     build/release/examples/step_by_step
 */
#include "convnet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers: stop on an error, draw an input, set a figure beside the published one */

static cn_error err;
static int figures, differences;

static void ok(cn_status status)
{
    if (status == CN_OK) return;
    fprintf(stderr, "%s\n", err.text);
    exit(1);
}

static void section(const char *number, const char *title, const char *text)
{
    printf("\n%s  %s\n\n%s\n", number, title, text);
}

/* A tensor of random numbers: what numpy.random.randn(...) would be at this point. */
static cn_tensor randn(cn_rng *rng, int rank, const int *shape)
{
    cn_tensor t = {0};
    ok(cn_tensor_create(&t, CN_DTYPE_F64, rank, shape, &err));
    ok(cn_rng_fill_randn(rng, &t, &err));
    return t;
}

static const double *element(const cn_tensor *t, int i, int h, int w, int c)
{
    return (const double *)t->data +
           (((ptrdiff_t)i * t->shape[1] + h) * t->shape[2] + w) * t->shape[3] + c;
}

static double mean(const cn_tensor *t)
{
    const double *x = t->data;
    double sum = 0;
    for (size_t i = 0; i < cn_tensor_count(t); i++) sum += x[i];
    return sum / (double)cn_tensor_count(t);
}

/* The digits behind the point of a number in text. */
static int decimals(const char *text, const char *end)
{
    const char *point = memchr(text, '.', (size_t)(end - text));
    return point ? (int)(end - point) - 1 : 0;
}

/* Prints the numbers with as many digits as the course does, `columns` a line, and below them what
 * the course prints. They agree when they differ by no more than the last digit can show. */
static void compare(const char *what, const double *found, int columns, const char *published)
{
    bool same = true;
    int width = 0;
    char *end;
    for (const char *text = published; *text; text = end + strspn(end, " ")) {
        strtod(text, &end);
        width = decimals(text, end) > width ? decimals(text, end) : width;
    }
    width += width > 0 ? 5 : 3; /* sign, a digit or two, point, and a gap */
    for (int line = 0; line < 2; line++) {
        const char *text = published;
        printf("  %-22s %9s ", line == 0 ? what : "", line == 0 ? "computed" : "published");
        for (int i = 0; *text; i++, text = end + strspn(end, " ")) {
            double want = strtod(text, &end);
            int digits = decimals(text, end);
            if (i > 0 && i % columns == 0) printf("\n%35s", "");
            printf("%*.*f", width, digits, line == 0 ? found[i] : want);
            if (!(fabs(found[i] - want) <= 0.5 * pow(10, -digits) + 1e-12)) same = false;
        }
        if (line == 0) printf("\n");
    }
    printf("  %s\n", same ? "same" : "DIFFERENT");
    figures++;
    if (!same) differences++;
}

static void compare_shape(const char *what, const cn_tensor *t, const char *published)
{
    double shape[CN_MAX_RANK];
    for (int i = 0; i < t->rank; i++) shape[i] = t->shape[i];
    compare(what, shape, CN_MAX_RANK, published);
}

/* ---- the sections */

static void zero_padding(void)
{
    cn_rng rng;
    cn_tensor x_pad = {0};
    section("3.1", "Zero-padding",
            "A window centered on a border pixel needs neighbors that the image does not have.\n"
            "Zeros around it let images keep their size from layer to layer, and let the border\n"
            "count as much as the middle. Four images of 3 x 3 pixels with 2 channels, pad 2:\n");
    cn_rng_seed(&rng, 1);
    cn_tensor x = randn(&rng, 4, (int[]){4, 3, 3, 2});
    ok(cn_zero_pad(&x, 2, &x_pad, &err));

    printf("  x_pad[0,:,:,0], the first image's first channel:\n");
    for (int h = 0; h < x_pad.shape[1]; h++) {
        printf("   ");
        for (int w = 0; w < x_pad.shape[2]; w++) {
            double pixel = *element(&x_pad, 0, h, w, 0);
            if (pixel == 0)
                printf("%7s", ".");
            else
                printf("%7.2f", pixel);
        }
        printf("\n");
    }
    printf("\n");
    compare_shape("x.shape", &x, "4 3 3 2");
    compare_shape("x_pad.shape", &x_pad, "4 7 7 2");
    compare("x[1,1]", element(&x, 1, 1, 0, 0), 2,
            "0.90085595 -0.68372786 -0.12289023 -0.93576943 -0.26788808 0.53035547");
    compare("x_pad[1,1]", element(&x_pad, 1, 1, 0, 0), 14, "0 0 0 0 0 0 0 0 0 0 0 0 0 0");
    cn_tensor_free(&x);
    cn_tensor_free(&x_pad);
}

static void single_step(void)
{
    cn_rng rng;
    double Z;
    section(
        "3.2", "A single step of convolution",
        "Lay the filter over one window: multiply what lies on top of each other, add it all\n"
        "up, and add the bias, once. One window gives one number. A 4 x 4 window, 3 channels:\n");
    cn_rng_seed(&rng, 1);
    cn_tensor a_slice_prev = randn(&rng, 3, (int[]){4, 4, 3});
    cn_tensor W = randn(&rng, 3, (int[]){4, 4, 3});
    cn_tensor b = randn(&rng, 3, (int[]){1, 1, 1});
    ok(cn_conv_single_step(&a_slice_prev, &W, &b, &Z, &err));
    compare("Z", &Z, 1, "-6.99908945068");
    cn_tensor_free(&a_slice_prev);
    cn_tensor_free(&W);
    cn_tensor_free(&b);
}

/* What both sections on convolution start from: ten 4 x 4 images, eight 2 x 2 filters. */
typedef struct convolution {
    cn_tensor A_prev, W, b, Z;
    cn_conv_cache cache;
} convolution;

static void convolve(convolution *conv)
{
    cn_rng rng;
    cn_rng_seed(&rng, 1);
    conv->Z = (cn_tensor){0};
    conv->A_prev = randn(&rng, 4, (int[]){10, 4, 4, 3});
    conv->W = randn(&rng, 4, (int[]){2, 2, 3, 8});
    conv->b = randn(&rng, 4, (int[]){1, 1, 1, 8});
    ok(cn_conv_forward(&conv->A_prev, &conv->W, &conv->b, (cn_hparameters){.stride = 2, .pad = 2},
                       &conv->Z, &conv->cache, &err));
}

static void free_convolution(convolution *conv)
{
    cn_tensor_free(&conv->A_prev);
    cn_tensor_free(&conv->W);
    cn_tensor_free(&conv->b);
    cn_tensor_free(&conv->Z);
}

static void convolution_forward(void)
{
    convolution conv;
    section("3.3", "Convolution, forward",
            "Slide the window over the padded image, `stride` pixels at a time, and take the\n"
            "single step everywhere with every filter: each filter paints one channel of Z. Of\n"
            "n_prev pixels a side are left\n\n"
            "    n = floor((n_prev - f + 2 pad) / stride) + 1\n\n"
            "Ten 4 x 4 images with 3 channels, eight 2 x 2 filters, pad 2, stride 2:\n");
    convolve(&conv);
    double mean_Z = mean(&conv.Z);
    compare_shape("Z.shape", &conv.Z, "10 4 4 8");
    compare("mean(Z)", &mean_Z, 1, "0.0489952035289");
    compare("Z[3,2,1]", element(&conv.Z, 3, 2, 1, 0), 4,
            "-0.61490741 -6.7439236 -2.55153897 1.75698377 3.56208902 0.53036437 5.18531798 "
            "8.75898442");
    compare("cache: A_prev[1][2][3]", element(&conv.cache.A_prev, 1, 2, 3, 0), 3,
            "-0.20075807 0.18656139 0.41005165");
    free_convolution(&conv);
}

static void pooling_forward(void)
{
    cn_rng rng;
    cn_tensor max = {0}, average = {0};
    section("4.1", "Pooling, forward",
            "Pooling makes images smaller and keeps what matters: of each window the largest\n"
            "value, or the mean. It has no weights, and channels do not mix. Two 5 x 5 images\n"
            "with 3 channels, a 3 x 3 window, stride 1:\n");
    cn_rng_seed(&rng, 1);
    cn_tensor A_prev = randn(&rng, 4, (int[]){2, 5, 5, 3});
    cn_hparameters h = {.stride = 1, .f = 3};
    ok(cn_pool_forward(&A_prev, h, CN_POOL_MAX, &max, NULL, &err));
    ok(cn_pool_forward(&A_prev, h, CN_POOL_AVERAGE, &average, NULL, &err));
    compare_shape("A.shape", &max, "2 3 3 3");
    compare("max: A[1,1]", element(&max, 1, 1, 0, 0), 3,
            "1.96710175 0.84616065 1.27375593 1.96710175 0.84616065 1.23616403 1.62765075 "
            "1.12141771 1.2245077");
    compare("average: A[1,1]", element(&average, 1, 1, 0, 0), 3,
            "0.44497696 -0.00261695 -0.31040307 0.50811474 -0.23493734 -0.23961183 0.11872677 "
            "0.17255229 -0.22112197");
    cn_tensor_free(&max);
    cn_tensor_free(&average);

    printf("\nThe same window with stride 2 meets only four places:\n\n");
    h.stride = 2;
    ok(cn_pool_forward(&A_prev, h, CN_POOL_MAX, &max, NULL, &err));
    ok(cn_pool_forward(&A_prev, h, CN_POOL_AVERAGE, &average, NULL, &err));
    compare_shape("A.shape", &max, "2 2 2 3");
    compare("max: A[0]", element(&max, 0, 0, 0, 0), 3,
            "1.74481176 0.90159072 1.65980218 1.74481176 1.6924546 1.65980218 1.13162939 "
            "1.51981682 2.18557541 1.13162939 1.6924546 2.18557541");
    compare("average: A[1]", element(&average, 1, 0, 0, 0), 3,
            "-0.17313416 0.32377198 -0.34317572 0.02030094 0.14141479 -0.01231585 0.42944926 "
            "0.08446996 -0.27290905 0.15077452 0.28911175 0.00123239");
    cn_tensor_free(&max);
    cn_tensor_free(&average);
    cn_tensor_free(&A_prev);
}

static void convolution_backward(void)
{
    convolution conv;
    cn_tensor dA_prev = {0}, dW = {0}, db = {0};
    section("5.1", "Convolution, backward",
            "dZ says how the loss changes with each element of Z. That element came from one\n"
            "window, one filter and one bias, so its gradient goes back to these three:\n\n"
            "    dA_prev's window += W[:,:,:,c] dZ[i,h,w,c]\n"
            "    dW[:,:,:,c]      += A_prev's window dZ[i,h,w,c]\n"
            "    db[c]            += dZ[i,h,w,c]\n\n"
            "Windows overlap, so gradients add up. The convolution of 3.3, with dZ = Z:\n");
    convolve(&conv);
    ok(cn_conv_backward(&conv.Z, &conv.cache, &dA_prev, &dW, &db, &err));
    double mean_dA = mean(&dA_prev), mean_dW = mean(&dW), mean_db = mean(&db);
    compare("mean(dA)", &mean_dA, 1, "1.45243777754");
    compare("mean(dW)", &mean_dW, 1, "1.72699145831");
    compare("mean(db)", &mean_db, 1, "7.83923256462");
    free_convolution(&conv);
    cn_tensor_free(&dA_prev);
    cn_tensor_free(&dW);
    cn_tensor_free(&db);
}

static void mask(void)
{
    cn_rng rng;
    cn_tensor marked = {0};
    double as_number[6];
    section("5.2.1", "Max pooling, backward: the mask",
            "Only the largest element of a window reached the output, so only it can have moved\n"
            "the loss. A mask says where it is. A 2 x 3 window:\n");
    cn_rng_seed(&rng, 1);
    cn_tensor x = randn(&rng, 2, (int[]){2, 3});
    ok(cn_create_mask_from_window(&x, &marked, &err));
    for (int i = 0; i < 6; i++) as_number[i] = ((const uint8_t *)marked.data)[i];
    compare("x", x.data, 3, "1.62434536 -0.61175641 -0.52817175 -1.07296862 0.86540763 -2.3015387");
    compare("mask", as_number, 3, "1 0 0 0 0 0");
    cn_tensor_free(&x);
    cn_tensor_free(&marked);
}

static void distribute(void)
{
    cn_tensor a = {0};
    section("5.2.2", "Average pooling, backward: equal shares",
            "Every element of the window had the same part in the mean, so every one gets the\n"
            "same part of the gradient. 2, spread over a 2 x 2 window:\n");
    ok(cn_distribute_value(2, 2, 2, &a, &err));
    compare("a", a.data, 2, "0.5 0.5 0.5 0.5");
    cn_tensor_free(&a);
}

static void pooling_backward(void)
{
    cn_rng rng;
    cn_tensor A = {0}, max = {0}, average = {0};
    cn_pool_cache cache;
    section("5.2.3", "Pooling, backward",
            "For each window: the gradient through the mask, or in equal shares, added to what\n"
            "other windows have left there. Five 5 x 3 images, 2 channels, 2 x 2 windows:\n");
    cn_rng_seed(&rng, 1);
    cn_tensor A_prev = randn(&rng, 4, (int[]){5, 5, 3, 2});
    ok(cn_pool_forward(&A_prev, (cn_hparameters){.stride = 1, .f = 2}, CN_POOL_MAX, &A, &cache,
                       &err));
    cn_tensor dA = randn(&rng, 4, A.shape);
    ok(cn_pool_backward(&dA, &cache, CN_POOL_MAX, &max, &err));
    ok(cn_pool_backward(&dA, &cache, CN_POOL_AVERAGE, &average, &err));
    double mean_dA = mean(&dA);
    compare("mean(dA)", &mean_dA, 1, "0.145713902729");
    compare("max: dA_prev[1,1]", element(&max, 1, 1, 0, 0), 2, "0 0 5.05844394 -1.68282702 0 0");
    compare("average: dA_prev[1,1]", element(&average, 1, 1, 0, 0), 2,
            "0.08485462 0.2787552 1.26461098 -0.25749373 1.17975636 -0.53624893");
    cn_tensor_free(&A_prev);
    cn_tensor_free(&A);
    cn_tensor_free(&dA);
    cn_tensor_free(&max);
    cn_tensor_free(&average);
}

int main(void)
{
    printf("Convolutional networks, step by step, with convnet %s\n", cn_version());
    zero_padding();
    single_step();
    convolution_forward();
    pooling_forward();
    convolution_backward();
    mask();
    distribute();
    pooling_backward();
    printf("\n%d of %d figures are as published.\n", figures - differences, figures);
    return differences == 0 ? 0 : 1;
}

/* bench_layers.c - convolutions of known networks. */
#include "bench_layers.h"

#include <stddef.h>

static const bench_layer layers[] = {
    {"lenet_28_1-6_5x5", 28, 1, 6, 5, 1, 2, 2, 1},
    {"lenet_14_6-16_5x5", 14, 6, 16, 5, 1, 0, 0, 1},
    {"signs_64_3-8_4x4", 64, 3, 8, 4, 1, 1, 2, 1},
    {"vgg_32_3-64_3x3", 32, 3, 64, 3, 1, 1, 1, 1},
    {"vgg_32_64_3x3", 32, 64, 64, 3, 1, 1, 1, 1},
    {"vgg_16_128_3x3", 16, 128, 128, 3, 1, 1, 1, 1},
    {"vgg_8_256_3x3", 8, 256, 256, 3, 1, 1, 1, 1},
    {"resnet_224_3-64_7x7s2", 224, 3, 64, 7, 2, 3, 3, 1},
    {"resnet_56_64_3x3", 56, 64, 64, 3, 1, 1, 1, 1},
    {"resnet_56_64-256_1x1", 56, 64, 256, 1, 1, 0, 0, 1},
    {"resnet_56_128_3x3s2", 56, 128, 128, 3, 2, 1, 1, 1},
    {"resnet_28_128_3x3", 28, 128, 128, 3, 1, 1, 1, 1},
    {"resnet_14_256_3x3", 14, 256, 256, 3, 1, 1, 1, 1},
    {"resnet_14_1024-256_1x1", 14, 1024, 256, 1, 1, 0, 0, 1},
    {"resnet_7_512_3x3", 7, 512, 512, 3, 1, 1, 1, 1},
    {"mobilenet_112_32_3x3", 112, 32, 32, 3, 1, 1, 1, 32},
    {"mobilenet_112_64_3x3s2", 112, 64, 64, 3, 2, 0, 1, 64},
    {"mobilenet_56_128_3x3", 56, 128, 128, 3, 1, 1, 1, 128},
    {"mobilenet_28_256_3x3", 28, 256, 256, 3, 1, 1, 1, 256},
    {"mobilenet_14_512_3x3", 14, 512, 512, 3, 1, 1, 1, 512},
    {"mobilenet_14_512_3x3s2", 14, 512, 512, 3, 2, 0, 1, 512},
    {"mobilenet_7_1024_3x3", 7, 1024, 1024, 3, 1, 1, 1, 1024},
    {"resnext_56_128_3x3g32", 56, 128, 128, 3, 1, 1, 1, 32},
};
enum { LAYERS = sizeof layers / sizeof *layers };

const bench_layer *bench_layer_at(int i)
{
    return i < LAYERS ? &layers[i] : NULL;
}

cn_conv_problem bench_problem(const bench_layer *l, int batch)
{
    cn_window window = {.in = {l->side, l->side},
                        .kernel = {l->kernel, l->kernel},
                        .stride = {l->stride, l->stride},
                        .before = {l->before, l->before},
                        .after = {l->after, l->after}};
    cn_window_fit(&window, CN_PADDING_VALID, l->name, NULL); /* the table's layers do */
    return (cn_conv_problem){.m = batch,
                             .h = l->side,
                             .w = l->side,
                             .c = l->c,
                             .fh = l->kernel,
                             .fw = l->kernel,
                             .sh = l->stride,
                             .sw = l->stride,
                             .pt = l->before,
                             .pl = l->before,
                             .oh = window.out[0],
                             .ow = window.out[1],
                             .oc = l->filters,
                             .dilation_h = 1,
                             .dilation_w = 1,
                             .groups = l->groups};
}

/* bench_layers.h - convolutions of known networks, the table that speed is measured on. */
#ifndef CLI_BENCH_LAYERS_H
#define CLI_BENCH_LAYERS_H

#include "kernels/kernels.h"

/* Sides, channels, filters, kernel, stride, zeros before and after, groups. */
typedef struct bench_layer {
    const char *name;
    int side, c, filters, kernel, stride, before, after, groups;
} bench_layer;

/* NULL past the end. */
const bench_layer *bench_layer_at(int i);
/* The layer's, for so many images. */
cn_conv_problem bench_problem(const bench_layer *l, int batch);

#endif

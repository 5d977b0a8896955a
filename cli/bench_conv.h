/* bench_conv.h - what is timed by `convnet bench` and bench/: a convolution with its data, and
 * nothing but multiply-adds, the processor's peak. */
#ifndef CLI_BENCH_CONV_H
#define CLI_BENCH_CONV_H

#include "kernels/kernels.h"

typedef struct bench_machine {
    const cn_kernels *kernels;
    cn_pool *pool;
} bench_machine;

/* Keeps all threads of a bench_machine busy; and the floating-point operations that it takes. */
void bench_multiply_add(void *machine);
double bench_multiply_add_operations(const bench_machine *machine);

typedef struct bench_conv {
    bench_machine *machine;
    cn_conv_problem s;
    cn_conv_plan plan;
    bool packs; /* forward brings the weights into the kernels' order, as a step of training does */
    cn_tensor x, y, w, b, packed, scratch;
} bench_conv;

/* Random data for this shape. The machine must outlive it. */
cn_status bench_conv_open(bench_conv *conv, bench_machine *machine, const cn_conv_problem *s,
                          cn_conv_options how, bool packs, cn_rng *rng, cn_error *err);
void bench_conv_close(bench_conv *conv);

/* Of a bench_conv: forward with bias and ReLU, backward data, backward weights with the bias's. */
void bench_forward(void *conv);
void bench_backward_data(void *conv);
void bench_backward_weights(void *conv);
/* What each of them takes by the direct method, padding included. */
double bench_operations(const cn_conv_problem *s);

#endif

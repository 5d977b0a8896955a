/* optimizer.h - what a step does with the gradients. convnet.h has the formulas. */
#ifndef CN_OPTIMIZER_H
#define CN_OPTIMIZER_H

#include "model/model.h"

/* A piece of the flat blocks whose elements are treated alike: one call of a kernel. */
typedef struct cn_update_unit {
    size_t from, count;
    double rate, decay; /* factors of the step's rate and decay */
    double squares;     /* the sum of its gradients' squares, for clipping */
} cn_update_unit;

typedef struct cn_update_plan {
    cn_update_unit *units; /* what is frozen is in none of them */
    int count;
} cn_update_plan;

/* Fills defaults in and checks ranges. */
cn_status cn_optimizer_settle(cn_optimizer *o, cn_error *err);
/* Blocks, each as large as the gradients, that a settled optimiser keeps from step to step. */
int cn_optimizer_moments(const cn_optimizer *o);
/* The units for the model as its parameters are now frozen and scaled. */
cn_status cn_optimizer_plan(cn_update_plan *plan, const cn_model *model, const cn_optimizer *o,
                            cn_error *err);

/* The flat blocks of one step. */
typedef struct cn_update_blocks {
    const float *gradients;
    float *moments; /* block after block of `size` floats */
    float *weights;
    size_t size;
} cn_update_blocks;

/* Step t = 1, 2, ... of a settled optimiser. Nothing is allocated; the bits do not depend on the
 * number of threads. */
void cn_optimizer_step(const cn_optimizer *o, const cn_update_plan *plan,
                       const cn_update_blocks *blocks, double rate, uint64_t t,
                       const cn_kernels *kernels, cn_pool *pool);

#endif

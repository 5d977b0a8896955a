/*
 * plan.h - everything that is decided before a session runs: which layers run, what is fused, and
 * where every array lies. plan.c tells how.
 */
#ifndef CN_PLAN_H
#define CN_PLAN_H

#include "layers/loss.h"
#include "model/model.h"
#include "model/optimizer.h"

/* An array in the block of activations. Two share memory only where their lives do not meet. */
typedef struct cn_buffer {
    size_t size, offset; /* floats, both multiples of CN_ALIGN bytes */
    int first, last;     /* moments, both included: see plan.c */
} cn_buffer;

enum { CN_NO_BUFFER = -1 };

/* What is done with one layer. Members that name an array are indices of cn_plan.buffers, or
 * CN_NO_BUFFER. */
typedef struct cn_plan_step {
    bool forward, backward;   /* its functions are called */
    bool alone;               /* by one thread: there is little to do */
    bool add;                 /* forward adds to y, as in cn_call */
    cn_activation activation; /* of the ReLU or ReLU6 fused into this layer, as in cn_call */
    bool mask; /* backward: the ReLU before it masks dy here, where there is less of it */
    int x[CN_MAX_INPUTS], y;
    int dx[CN_MAX_INPUTS], dy;
    int sum[CN_MAX_INPUTS]; /* dx is found apart and then added to this */
    int norm;    /* the batch norm behind it that its packed weights and bias hold; 0: none */
    size_t bias; /* with norm: the bias, floats from the start of the workspace */
    size_t packed, kept; /* floats from the start of the workspace */
    cn_needs needs;
} cn_plan_step;

typedef struct cn_plan {
    const cn_model *model;
    const cn_kernels *kernels;
    cn_session_opts opts; /* defaults filled in */
    cn_loss_plan loss;
    cn_plan_step *steps; /* one a layer */
    cn_buffer *buffers;
    int buffer_count;
    int loss_gradient; /* what the loss writes: a buffer, or CN_NO_BUFFER */
    int input_gradient;
    cn_update_plan updates; /* training only */
    /* Floats of each block; packed, kept and scratch lie behind each other in the workspace. */
    size_t gradients, moments, activations, packed, kept, scratch;
} cn_plan;

cn_status cn_plan_create(cn_plan *plan, const cn_model *model, cn_session_opts opts, cn_error *err);
void cn_plan_free(cn_plan *plan);

#endif

/*
 * plan.h - everything that is decided before a session runs: which layers run, what is fused, and
 * where every array lies.
 *
 * The plan is made by passes, each a file that opens with its rule: plan_values.c, plan_fuse.c,
 * plan_backward.c, plan_lifetimes.c and plan_arena.c. They read the traits of the layers' types.
 * plan_text.c prints the result.
 */
#ifndef CN_PLAN_H
#define CN_PLAN_H

#include "layers/loss.h"
#include "model/model.h"
#include "model/optimizer.h"

/* An array in the block of activations. Two share memory only if their lifetimes do not overlap. */
typedef struct cn_buffer {
    size_t bytes, offset; /* both multiples of CN_ALIGN */
    cn_dtype dtype;
    int first, last; /* times, both included: see plan_lifetimes.c */
} cn_buffer;

enum { CN_NO_BUFFER = -1 };

/* What is done with one layer. Members that name an array are indices of cn_plan.buffers, or
 * CN_NO_BUFFER. */
typedef struct cn_plan_step {
    const cn_layer_ops *ops; /* the backend's for this type; NULL where nothing ever runs */
    bool forward, backward;  /* its functions are called */
    bool alone;              /* by one thread: there is little to do */
    /* The layer whose forward computes this one's output: itself, or one before it that does the
     * work of both. */
    int by;
    bool add;                 /* forward adds to y, as in cn_call */
    cn_activation activation; /* of the ReLU or ReLU6 fused into this layer, as in cn_call */
    bool mask; /* backward: the ReLU before it masks dy here, where there is less of it */
    int x[CN_MAX_INPUTS], y;
    int dx[CN_MAX_INPUTS], dy;
    int sum[CN_MAX_INPUTS]; /* dx is found apart and then added to this */
    int norm; /* the channel_affine layer after it that its packed weights and bias hold; 0: none */
    /* Bytes from the start of their part of the workspace; packed weights, and with norm the bias,
     * lie in the scratch memory where the session repacks. */
    size_t packed, bias, cache, scratch;
    cn_requirements requirements;
} cn_plan_step;

typedef struct cn_plan {
    const cn_model *model;
    const cn_backend *backend;
    cn_session_opts opts; /* defaults filled in */
    cn_loss_plan loss;
    cn_plan_step *steps; /* one per layer */
    cn_buffer *buffers;
    int buffer_count;
    int loss_gradient; /* what the loss writes: a buffer, or CN_NO_BUFFER */
    int input_gradient;
    cn_update_plan updates;            /* once a session trains by the plan: none before */
    size_t gradients, optimizer_state; /* elements */
    /* Bytes; packed weights, caches and scratch follow one another in the workspace. */
    size_t activations, packed, cache, scratch;
} cn_plan;

cn_status cn_plan_create(cn_plan *plan, const cn_model *model, const cn_session_opts *opts,
                         cn_error *err);
/* The same for this backend, whatever the options name. */
cn_status cn_plan_create_on(cn_plan *plan, const cn_model *model, const cn_session_opts *opts,
                            const cn_backend *backend, cn_error *err);
void cn_plan_free(cn_plan *plan);

/* Bytes of activations and workspace. */
static inline size_t cn_plan_arena_size(const cn_plan *plan)
{
    return plan->activations + plan->packed + plan->cache + plan->scratch;
}

/* Bytes of the host's copies of input, output and gradients; 0 where the backend's memory is the
 * host's. */
size_t cn_plan_copies(const cn_plan *plan);

#endif

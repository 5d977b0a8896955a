/*
 * backend.h - what runs a model: a machine's memory, and its functions for every type of layer.
 *
 * A session calls nothing else. To add a machine, write a folder that ends in a `const cn_backend`,
 * and add one row to the table in backends.c.
 *
 * Arrays have the backend's dtype and lie in its memory, at addresses that only it may read. n
 * counts elements. Only open and allocate can fail, and only they allocate.
 */
#ifndef CN_BACKEND_H
#define CN_BACKEND_H

#include "layers/loss.h"

/* ---- the optimizer's step */

/* A chunk of the flat blocks whose elements have the same learning rate and decay. */
typedef struct cn_update_chunk {
    size_t from, count;
    double rate, decay; /* factors of the step's rate and decay */
    double squares;     /* the sum of its gradients' squares, for clipping */
} cn_update_chunk;

typedef struct cn_update_plan {
    cn_update_chunk *chunks; /* frozen parameters are in none */
    int count;
} cn_update_plan;

/* One step: t = 1, 2, ... of a settled optimizer. Where the backend's memory is the host's, a step
 * may be one of some chunks, and may multiply gradients; elsewhere it is of all, and the factor 1. */
typedef struct cn_update_step {
    const cn_optimizer *optimizer;
    const cn_update_plan *plan;
    int first, end; /* the chunks that are stepped */
    double rate;
    uint64_t t;
    void *gradients;
    double factor; /* of the gradients, which are first multiplied by it, in place */
    bool replace;  /* the new weights take the place of their gradients, too */
    void *state;   /* the optimizer's: cn_optimizer_state_blocks blocks of `size` elements */
    void *weights;
    size_t size;
} cn_update_step;

/* How many blocks, each as large as the gradients, a settled optimizer keeps as its state. */
int cn_optimizer_state_blocks(const cn_optimizer *o);

/* ---- the backend */

/* The inputs and results of a loss: as in cn_loss_run. */
typedef struct cn_loss_call {
    const cn_loss_plan *plan;
    int m;
    const void *z, *y_hat;
    const cn_tensor *Y; /* the host's */
    void *gradient;     /* NULL: not wanted */
    void *scratch;
    double *weight; /* may be NULL */
} cn_loss_call;

typedef struct cn_backend {
    const char *name; /* "cpu" */
    cn_dtype dtype;   /* of all arrays */
    bool host;        /* they are floats in the host's memory: the model's parameters, the caller's
                         images and all results are used in place */
    bool plain; /* layers run one by one, as in the model: nothing is fused or computed in place,
                   and no two arrays share memory */

    /* What a session runs on, such as threads or a stream; passed to all functions below. */
    cn_status (*open)(const cn_session_opts *opts, void **device, cn_error *err);
    void (*close)(void *device);

    /* Zeroed memory, aligned to CN_ALIGN bytes; `what` names it in the error. */
    void *(*allocate)(void *device, size_t bytes, const char *what, cn_error *err);
    void (*free)(void *device, void *memory);
    /* Copy from the host's floats, and to them. Upload leaves an element alone that rounds to the
     * host's float already. Both are NULL where `host` is true. */
    void (*upload)(void *device, size_t n, const float *from, void *to);
    void (*download)(void *device, size_t n, const void *from, float *to);
    void (*zero)(void *device, size_t n, void *x);
    /* Returns when all earlier calls are complete; NULL where every function does. */
    void (*synchronize)(void *device);

    /* How it computes a type of layer. NULL: not supported, or a view, for which nothing runs. */
    const cn_layer_ops *(*ops)(const cn_layer_type *type);
    /* Adds to a call what these ops need. While a session is planned, device is NULL. `alone`: the
     * layer has too little work to divide among threads. */
    void (*prepare)(void *device, const cn_session_opts *opts, bool alone, cn_call *call);

    void (*add)(void *device, size_t n, const void *x, void *y);   /* y += x */
    void (*scale)(void *device, size_t n, double factor, void *x); /* x *= factor */
    /* The call's dy where its y, the output of a ReLU, is positive, else 0. NULL where `plain` is
     * true. */
    void (*mask_relu)(const cn_call *call, void *dy);
    /* How many are NaN or infinite; *nan (may be NULL) becomes true where one is NaN. */
    size_t (*count_not_finite)(void *device, size_t n, const void *x, bool *nan);

    /* Elements of scratch memory that a loss needs; NULL: none. */
    size_t (*loss_scratch)(const cn_loss_plan *plan, int batch);
    double (*loss)(void *device, const cn_loss_call *call);
    /* Before the step, where it clips by norm: multiplies the gradients of its chunks, so that the
     * step need not, and leaves their squares in the plan. The step goes by the squares of all
     * chunks. NULL: the step finds all that it needs. */
    void (*measure)(void *device, const cn_update_step *step);
    void (*step)(void *device, const cn_update_step *step);
    /* average += part (w - average), both floats of the host. */
    void (*blend)(void *device, size_t n, double part, const float *w, float *average);
} cn_backend;

/* Every backend, the default first, then NULL. */
extern const cn_backend *const cn_backends[];
/* By name; NULL is the default. CN_ERR_ARGUMENT lists the names. */
cn_status cn_backend_find(const char *name, const cn_backend **backend, cn_error *err);

extern const cn_backend cn_cpu_backend, cn_reference_backend;

#endif

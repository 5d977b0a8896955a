/*
 * twin_model.h - a finished model, run layer by layer by the double-precision twins.
 *
 * Nothing of the engine takes part: no plan, no fusion, no shared buffers. Every activation and
 * every gradient has an array of its own, which gradcheck and the tests can inspect.
 */
#ifndef CN_TWIN_MODEL_H
#define CN_TWIN_MODEL_H

#include "model/model.h"
#include "reference/reference.h"

/* One layer's arrays. */
typedef struct cn_twin_layer {
    const cn_twin *twin; /* NULL for the input */
    cn_conv_problem shape;
    int channels[CN_MAX_INPUTS];   /* of every input */
    int extents[CN_MAX_INPUTS][3]; /* of every input, (h, w, c) */
    size_t count;                  /* elements of y */
    double *y, *dy;                /* output and its gradient */
    double *w[CN_MAX_PARAMETERS];  /* parameters, copied from the model when the twin is made */
    double *dw[CN_MAX_PARAMETERS]; /* their gradients */
    cn_ref_decisions decisions;    /* of the last forward */
    uint64_t pattern;              /* what was decided where the gradients belong to */
} cn_twin_layer;

typedef struct cn_twin_model {
    const cn_model *model;
    int m;
    cn_twin_layer *layers;     /* as many as the model has, in its order */
    double *dx[CN_MAX_INPUTS]; /* each as large as the largest activation */
    uint64_t seed, step;       /* as the engine's session has them */
    cn_ref_targets how;        /* the caller's to set */
} cn_twin_model;

/* For batches of m. CN_ERR_UNSUPPORTED names a layer that has no twin. */
cn_status cn_twin_model_create(cn_twin_model **twin, const cn_model *model, int m, cn_error *err);
void cn_twin_model_free(cn_twin_model *twin);

/* Runs layers first, first + 1, ... again; 0 runs all. Layer 0's y is the caller's to fill.
 * Decisions within `reach` of turning are counted. */
void cn_twin_model_forward(cn_twin_model *twin, int first, double reach);
/* The loss of the last forward against m targets; with `gradient` also the output's dy. */
double cn_twin_model_loss(cn_twin_model *twin, cn_loss_kind kind, const double *target,
                          bool gradient);
/* Every dy and dw, from the output's dy. */
void cn_twin_model_backward(cn_twin_model *twin);

#endif

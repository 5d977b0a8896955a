/* planner.h - what the passes of the planner share, and the passes in their order. */
#ifndef CN_PLANNER_H
#define CN_PLANNER_H

#include "model/plan.h"

/* What the planner knows of a layer. */
typedef struct cn_plan_node {
    int value;           /* the layer that computes what this one is: itself, or a view's root */
    int readers;         /* of the value, views left out */
    int reader;          /* the last of them */
    bool gradient;       /* the value has one */
    bool in_place;       /* forward: y is x's buffer */
    bool in_place_dx;    /* backward: dx is dy's buffer */
    bool shared;         /* the value's gradient is another's, too: backward only reads it */
    bool differentiates; /* dy arrives, and the layer itself finds the gradients of its inputs */
} cn_plan_node;

typedef struct cn_planner {
    cn_plan *plan;
    const cn_model *model;
    cn_plan_node *nodes;
    int n, capacity; /* layers; buffers that there is room for */
    cn_error *err;
    cn_status status; /* the first failure */
} cn_planner;

/* ---- what they share (plan.c) */

const cn_layer *cn_planner_layer(const cn_planner *p, int i);
const cn_layer_type *cn_planner_type(const cn_planner *p, int i);
/* The value that layer i reads as its input k. */
int cn_planner_input(const cn_planner *p, int i, int k);
/* Does the layer only give its input's value another shape, or another name? */
bool cn_planner_is_view(const cn_planner *p, int i);
/* Does a function run for it, its own or that of the layer that it is fused into? */
bool cn_planner_runs(const cn_planner *p, int i);
/* Does a layer between `from` and `to`, both left out, read the value? */
bool cn_planner_read_between(const cn_planner *p, int value, int from, int to);
/* A new buffer for a value of layer i; CN_NO_BUFFER where the planner fails. */
int cn_planner_add_buffer(cn_planner *p, int i);

/* ---- the passes */

void cn_plan_values(cn_planner *p);
void cn_plan_fuse(cn_planner *p);
void cn_plan_backward(cn_planner *p);
void cn_plan_lifetimes(cn_planner *p);
void cn_plan_arena(cn_planner *p);

#endif

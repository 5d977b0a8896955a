/* session_struct.h - what a session is made of, for the files that make it and run it. */
#ifndef CN_SESSION_STRUCT_H
#define CN_SESSION_STRUCT_H

#include "backends/backend.h"
#include "model/plan.h"
#include "model/session.h"

/* The last stage whose results are valid. Stages run in this order. */
typedef enum cn_stage {
    CN_STAGE_NONE,
    CN_STAGE_FORWARD,
    CN_STAGE_LOSS,
    CN_STAGE_BACKWARD,
} cn_stage;

struct cn_session {
    cn_plan plan;
    const cn_model *model;
    cn_model *trained; /* the same where the session trains, else NULL: nothing writes to it */
    const cn_backend *backend;
    void *device; /* the backend's */
    /* The session of the same model and batch whose device and packed weights it uses; NULL: it has
     * its own. */
    const cn_session *beside;
    /* The session whose device and arena it uses, which never runs at the same time; NULL: it has
     * its own. */
    cn_session *lender;
    const cn_session *tenant; /* the last of those that use this session's arena to do so */
    cn_call *calls;           /* one per layer */
    /* In the backend's memory; the parameters are the model's own block where that is the host's.
     */
    void *arena; /* activations, then the workspace */
    size_t arena_size;
    void *workspace, *gradients, *optimizer_state, *parameters;
    /* What callers fill and read: the backend's own arrays where its memory is the host's, else
     * copies in one block. */
    float *input, *output, *host_gradients, *input_gradient, *copies;
    void *own_gradients;                 /* allocated here; `gradients` may lie elsewhere */
    double factor;                       /* that the step multiplies the gradients by */
    float *normalization;                /* room for n_C means, then n_C deviations */
    int m;                               /* examples of the last forward */
    double loss_weight, gradient_weight; /* what the mean of the last loss divides by, and that of
                                            the gradients */
    cn_stage done;
    bool packed;
    bool packs_apart;        /* by cn_session_pack alone, not in a forward */
    uint64_t packed_version; /* model->version that the packed weights belong to */
    uint64_t taken_version;  /* and that of the backend's parameters */
    uint64_t updates;        /* steps of the optimizer */
    uint64_t forwards;       /* in training: the step of layers that draw numbers */
};

/* ---- the halves of forward and backward (session.c), for sessions that run layer by layer side by
 * side; s->m may be 0 */

void cn_session_begin_forward(cn_session *s, int m);
void cn_session_forward_layer(cn_session *s, int i, uint64_t number);
void cn_session_end_forward(cn_session *s);
/* As in cn_session_backward_sum. */
void cn_session_begin_backward_sum(cn_session *s, bool first);
/* Of a layer whose call has totals: its part of them, before its backward. */
void cn_session_backward_sums(cn_session *s, int i, double *sums);
void cn_session_backward_layer(cn_session *s, int i);

/* Gives the model the parameters from `first` on, as the backend has changed them. */
void cn_session_give_parameters(cn_session *s, size_t first);

static inline void *cn_at_byte(void *base, size_t offset)
{
    return (char *)base + offset;
}

static inline void *cn_at_element(const cn_session *s, void *base, size_t index)
{
    return cn_at_byte(base, index * cn_dtype_size(s->backend->dtype));
}

static inline void *cn_session_buffer(const cn_session *s, int index)
{
    if (index == CN_NO_BUFFER) return NULL;
    return cn_at_byte(s->arena, s->plan.buffers[index].offset);
}

/* Elements of a batch at a layer's output. */
static inline size_t cn_batch_elements(const cn_session *s, int layer)
{
    return (size_t)s->plan.opts.batch * cn_shape_count(&s->model->layers[layer].out);
}

#endif

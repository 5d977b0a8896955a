/*
 * learn.h - the gradients of a step: its batches, cut into shards, forward and backward.
 */
#ifndef CN_LEARN_H
#define CN_LEARN_H

#include "train/loader.h"
#include "train/shards.h"

typedef struct cn_together cn_together; /* together.c */

typedef struct cn_learner {
    cn_model *model;
    const cn_dataset *data;
    cn_session *session; /* of a shard's size; what takes the steps */
    /* Where the training is and its highest learning rate, for errors. */
    const cn_progress *progress;
    double learning_rate;
    /* The rest is made by cn_learner_create. */
    cn_loader *loader;
    cn_shards shards;
    cn_together *together; /* NULL: one shard is trained on after the other */
    /* A batch could not be read, and the step has not begun: no gradient, no buffer has changed. */
    bool unread;
} cn_learner;

/* Do the shards of a batch run side by side, so that batch norms see all of it? */
bool cn_runs_together(const cn_fit_opts *opts, const cn_model *model);

/* `session` is what learner->session was made of; of `batches` all but which shards this rank has,
 * and where the images go. */
cn_status cn_learner_create(cn_learner *learner, cn_group *group, const cn_session_opts *session,
                            const cn_loader_opts *batches, bool together, cn_error *err);
void cn_learner_free(cn_learner *learner);
/* The gradients of so many batches, the first of which is batch `number` of the training, so that
 * cn_shards_step can follow. cn_shards_result then has the figures of all shards. */
cn_status cn_learn(cn_learner *learner, int batches, int64_t number, cn_error *err);

/* ---- of one session and its batch (learn.c) */

/* After a forward: the loss, which must be finite, and the figures of batch i of a step. */
cn_status cn_learner_loss(cn_learner *learner, cn_session *session, const cn_batch *batch, int i,
                          cn_error *err);
/* After a backward: CN_OK, or which gradient is not finite. */
cn_status cn_learner_check_gradients(const cn_learner *learner, cn_session *session,
                                     const cn_batch *batch, cn_error *err);

/* ---- shards side by side (together.c) */

/* Sessions beside the learner's, one per shard of this rank. */
cn_status cn_together_create(cn_together **together, cn_session *first, cn_model *model, int count,
                             const cn_session_opts *session, const cn_loader_opts *batches,
                             cn_error *err);
/* To be called once learner->shards has been made of these sessions. */
cn_status cn_together_connect(cn_together *together, cn_shards *shards, cn_error *err);
void cn_together_free(cn_together *together);
cn_session *const *cn_together_sessions(const cn_together *together);
/* Room for the images of a shard. */
float *cn_together_input(const cn_together *together);
/* Batch i of a step, which is batch `number` of the training: all its shards. */
cn_status cn_together_learn(cn_learner *learner, int i, int64_t number, cn_error *err);

#endif

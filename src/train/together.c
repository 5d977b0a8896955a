/*
 * together.c - the shards of a batch side by side, so that batch norms see all of it.
 *
 * Each shard of this rank has a session of its own, with its activations and gradients; threads and
 * packed weights are the first one's (model/team.c). The ranks meet inside the forward and the
 * backward, so that one which could not read its images, or whose loss is not finite, may not
 * simply leave: before each of the two all tell each other whether they can go on.
 */
#include "train/learn.h"

#include "data/dataset.h"
#include "model/model.h"

#include <string.h>

struct cn_together {
    cn_session **sessions;
    int count;
    cn_team *team;
    cn_batch *batches; /* copies of what the loader has made, one per shard */
    float *truth;      /* room for their targets, where there are any */
    int *m;
    float *input;                    /* where the loader puts a shard's images */
    size_t example, labels, targets; /* of one example, how many numbers */
    size_t size;                     /* of a shard, examples */
};

/* ---- life and death */

static cn_status allocate(cn_together *t, const cn_loader_opts *o, cn_error *err)
{
    const size_t count = (size_t)t->count, batch = (size_t)(o->batch / o->shards);
    t->sessions = cn_allocate(count, sizeof(cn_session *), "fit: shards", err);
    t->batches = cn_allocate(count, sizeof *t->batches, "fit: shards", err);
    t->m = cn_allocate(count, sizeof *t->m, "fit: shards", err);
    t->input = cn_allocate(batch, t->example * sizeof *t->input, "fit: batch", err);
    if (!t->sessions || !t->batches || !t->m || !t->input) return CN_ERR_MEMORY;
    t->truth = cn_allocate(count * batch, t->targets * sizeof *t->truth, "fit: targets", err);
    if (!t->truth) return CN_ERR_MEMORY;
    for (int k = 0; k < t->count; k++) {
        cn_batch *b = &t->batches[k];
        b->labels = cn_allocate(batch, t->labels * sizeof *b->labels, "fit: labels", err);
        if (!b->labels) return CN_ERR_MEMORY;
    }
    t->size = batch;
    return CN_OK;
}

cn_status cn_together_create(cn_together **together, cn_session *first, cn_model *model, int count,
                             const cn_session_opts *session, const cn_loader_opts *batches,
                             cn_error *err)
{
    const int *shape = cn_dataset_shape(batches->data);
    cn_together *t = cn_allocate(1, sizeof *t, "fit: shards", err);
    if (!t) return CN_ERR_MEMORY;
    *t = (cn_together){.count = count,
                       .example = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2],
                       .labels = cn_dataset_label_size(batches->data),
                       .targets = (size_t)batches->outputs};
    cn_status status = allocate(t, batches, err);
    /* The first one takes the steps: the others need no optimizer's state. */
    cn_session_opts others = *session;
    others.optimizer = (cn_optimizer){.kind = CN_OPTIMIZER_SGD};
    if (status == CN_OK) t->sessions[0] = first;
    for (int k = 1; k < count && status == CN_OK; k++)
        status = cn_session_create_part(&t->sessions[k], model, &others, first, err);
    if (status == CN_OK)
        *together = t;
    else
        cn_together_free(t);
    return status;
}

cn_status cn_together_connect(cn_together *t, cn_shards *shards, cn_error *err)
{
    return cn_team_create(&t->team, t->sessions, t->count, cn_reducer_sum, shards->reducer, err);
}

void cn_together_free(cn_together *t)
{
    if (!t) return;
    cn_team_free(t->team);
    for (int k = 1; t->sessions && k < t->count; k++) cn_session_free(t->sessions[k]);
    for (int k = 0; t->batches && k < t->count; k++) cn_release(t->batches[k].labels);
    cn_release(t->truth);
    cn_release(t->sessions);
    cn_release(t->batches);
    cn_release(t->m);
    cn_release(t->input);
    cn_release(t);
}

cn_session *const *cn_together_sessions(const cn_together *t)
{
    return t->sessions;
}

float *cn_together_input(const cn_together *t)
{
    return t->input;
}

/* ---- a batch */

/* The images to where the shard's session reads them; the truth is kept until the loss. */
static void take(cn_together *t, int k, const cn_batch *batch)
{
    const size_t m = (size_t)batch->m;
    cn_batch *b = &t->batches[k];
    b->shard = batch->shard;
    b->m = t->m[k] = batch->m;
    b->x = cn_session_input(t->sessions[k]);
    if (m > 0) memcpy(b->x, batch->x, m * t->example * sizeof *b->x);
    if (m > 0) memcpy(b->labels, batch->labels, m * t->labels * sizeof *b->labels);
    b->targets = batch->targets ? t->truth + (size_t)k * t->size * t->targets : NULL;
    if (m > 0 && b->targets)
        memcpy(b->targets, batch->targets, m * t->targets * sizeof *b->targets);
}

static cn_status read_shards(cn_learner *l, int i, int64_t number, cn_error *err)
{
    cn_together *t = l->together;
    cn_shards *s = &l->shards;
    cn_status status = CN_OK;
    for (int k = 0; k < t->count && status == CN_OK; k++) {
        const cn_batch *batch = NULL;
        status = cn_loader_next(l->loader, &batch, err);
        l->unread = status != CN_OK && s->group->size == 1 && i == 0;
        if (status == CN_OK) take(t, k, batch);
    }
    for (int k = 0; k < t->count && status == CN_OK; k++)
        cn_shards_begin_batch(s, s->first + k, i, number);
    return status;
}

/* Of each shard that has examples, up to the first error. */
static cn_status each_loss(cn_learner *l, int i, cn_error *err)
{
    cn_together *t = l->together;
    cn_status status = CN_OK;
    for (int k = 0; k < t->count && status == CN_OK; k++)
        if (t->m[k] > 0) status = cn_learner_loss(l, t->sessions[k], &t->batches[k], i, err);
    return status;
}

static cn_status each_gradient(const cn_learner *l, cn_error *err)
{
    const cn_together *t = l->together;
    cn_status status = CN_OK;
    for (int k = 0; k < t->count && status == CN_OK; k++)
        if (t->m[k] > 0)
            status = cn_learner_check_gradients(l, t->sessions[k], &t->batches[k], err);
    return status;
}

cn_status cn_together_learn(cn_learner *l, int i, int64_t number, cn_error *err)
{
    cn_together *t = l->together;
    cn_shards *s = &l->shards;
    cn_status status = cn_shards_agree(s, read_shards(l, i, number, err), err);
    if (status == CN_OK) status = cn_team_forward(t->team, t->m, err);
    if (status != CN_OK) return status;
    status = cn_shards_agree(s, each_loss(l, i, err), err);
    if (status == CN_OK) status = cn_shards_backward_together(s, t->team, i, err);
    return status == CN_OK ? each_gradient(l, err) : status;
}

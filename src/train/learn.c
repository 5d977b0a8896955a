/*
 * learn.c - the gradients of a step.
 *
 *     for every shard of this rank                 a single one, unless the batch is cut
 *         for every batch of the step              one, unless gradients are accumulated
 *             X, Y = images, labels of the shard
 *             L = loss(forward(X), Y)              L must be finite
 *             g = g + dL/dw
 *     g = mean over the step's examples, of all shards and ranks
 *
 * With synchronized batch norms the two loops change places, and the shards of a batch run side by
 * side (together.c).
 */
#include "train/learn.h"

#include "data/dataset.h"
#include "train/train.h"

#include <math.h>
#include <string.h>

bool cn_runs_together(const cn_fit_opts *o, const cn_model *model)
{
    if (!o->sync_batch_norm || o->shards <= 1) return false;
    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].type == &cn_batch_norm_type) return true;
    return false;
}

cn_status cn_learner_create(cn_learner *l, cn_group *group, const cn_session_opts *session,
                            const cn_loader_opts *batches, bool together, cn_error *err)
{
    cn_loader_opts opts = *batches;
    cn_status status = CN_OK;
    opts.first = cn_group_first(opts.shards, group->rank, group->size);
    opts.count = cn_group_first(opts.shards, group->rank + 1, group->size) - opts.first;
    opts.by_batch = together;
    opts.x = cn_session_input(l->session);
    if (together)
        status =
            cn_together_create(&l->together, l->session, l->model, opts.count, session, &opts, err);
    if (status != CN_OK) return status;
    if (together) opts.x = cn_together_input(l->together);
    status = cn_shards_create(&l->shards, group, l->session,
                              together ? cn_together_sessions(l->together) : NULL, opts.shards,
                              opts.accumulate, err);
    if (status == CN_OK && together) status = cn_together_connect(l->together, &l->shards, err);
    return status == CN_OK ? cn_loader_create(&l->loader, &opts, err) : status;
}

void cn_learner_free(cn_learner *l)
{
    cn_loader_free(l->loader);
    cn_shards_free(&l->shards);
    cn_together_free(l->together);
}

/* The batch's truth in the shape that the loss takes. */
static cn_tensor truth_of(const cn_learner *l, const cn_batch *batch)
{
    const cn_shape *out = &l->model->layers[l->model->output].out;
    int shape[CN_MAX_RANK] = {batch->m};
    if (!batch->targets) return cn_labels_view(l->data, batch->m, batch->labels);
    memcpy(shape + 1, out->n, (size_t)out->rank * sizeof *shape);
    return cn_tensor_view(CN_DTYPE_F32, out->rank + 1, shape, batch->targets);
}

/* The examples of a batch that are right, or the parts of them. */
static double count_correct(const cn_learner *l, const cn_session *session, const cn_batch *batch)
{
    const float *y = cn_session_output(session).data;
    const int columns = cn_model_columns(l->model), m = batch->m;
    if (cn_dataset_task(l->data) == CN_TASK_REGRESSION) return 0;
    if (cn_dataset_targets(l->data))
        return cn_count_labels(y, (size_t)m, columns, batch->targets) / columns;
    cn_tally t =
        cn_tally_correct(y, (size_t)m * cn_dataset_label_size(l->data), columns, batch->labels);
    if (!cn_dataset_masks(l->data)) return (double)t.correct;
    return t.judged ? (double)t.correct / (double)t.judged * m : 0;
}

cn_status cn_learner_loss(cn_learner *l, cn_session *session, const cn_batch *batch, int i,
                          cn_error *err)
{
    double loss;
    const cn_tensor Y = truth_of(l, batch);
    cn_status status = cn_session_loss(session, &Y, &loss, err);
    if (status != CN_OK) return status;
    if (!isfinite(loss))
        return cn_diverged(session, &Y, l->progress, "the loss", l->learning_rate, err);
    *cn_shards_result(&l->shards, batch->shard, i) =
        (cn_shard_result){.loss = loss * batch->m,
                          .weight = cn_session_loss_weight(session),
                          .correct = count_correct(l, session, batch),
                          .examples = batch->m};
    return CN_OK;
}

cn_status cn_learner_check_gradients(const cn_learner *l, cn_session *session,
                                     const cn_batch *batch, cn_error *err)
{
    const cn_tensor Y = truth_of(l, batch);
    if (cn_shards_gradients_finite(&l->shards, session)) return CN_OK;
    return cn_diverged(session, &Y, l->progress, "the gradient", l->learning_rate, err);
}

/* Batch i of a step, or of a shard of it. */
static cn_status learn_batch(cn_learner *l, const cn_batch *batch, int i, cn_error *err)
{
    const int *shape = cn_model_input_shape(l->model);
    const cn_tensor X =
        cn_tensor_view(CN_DTYPE_F32, 4, (int[]){batch->m, shape[0], shape[1], shape[2]}, batch->x);
    cn_status status = cn_session_forward(l->session, &X, err);
    if (status == CN_OK) status = cn_learner_loss(l, l->session, batch, i, err);
    if (status == CN_OK) status = cn_shards_backward(&l->shards, batch->shard, i, err);
    if (status == CN_OK) status = cn_learner_check_gradients(l, l->session, batch, err);
    return status;
}

static cn_status learn_one_by_one(cn_learner *l, int batches, int64_t number, cn_error *err)
{
    cn_shards *s = &l->shards;
    cn_status status = CN_OK;
    for (int k = s->first; k < s->end && status == CN_OK; k++) {
        for (int i = 0; i < batches && status == CN_OK; i++) {
            const cn_batch *batch = NULL;
            status = cn_loader_next(l->loader, &batch, err);
            l->unread = status != CN_OK && s->group->size == 1 && k == s->first && i == 0;
            if (status != CN_OK) break;
            cn_shards_begin_batch(s, k, i, number + i);
            if (batch->m > 0) status = learn_batch(l, batch, i, err);
        }
        if (status == CN_OK) cn_shards_end_shard(s);
    }
    return status;
}

cn_status cn_learn(cn_learner *l, int batches, int64_t number, cn_error *err)
{
    cn_status status = CN_OK;
    cn_shards_begin(&l->shards, batches);
    if (!l->together) status = learn_one_by_one(l, batches, number, err);
    for (int i = 0; l->together && i < batches && status == CN_OK; i++)
        status = cn_together_learn(l, i, number + i, err);
    return cn_shards_finish(&l->shards, status, number + batches, err);
}

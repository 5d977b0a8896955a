/*
 * team.c - sessions that share a batch, each with a part of it, whose batch norms take mean and
 * variance over all of it.
 *
 * They run layer by layer, each layer in all sessions before the next begins. A batch norm meets
 * twice per batch, as its equations have sums over the examples in both passes:
 *
 *     forward     each session's n, sum of X, sum of X^2     -> added up: mu and var of all
 *                 Y = gamma (X - mu) / sqrt(var + epsilon) + beta
 *     backward    each session's sum of dY, sum of dY (X - mu), also its part of d_beta and d_gamma
 *                 dX, with the sums of all
 *
 * How the sums are added is the caller's to say. A session without examples adds none.
 */
#include "model/session_struct.h"

#include <string.h>

struct cn_team {
    cn_session **sessions;
    int count;
    cn_team_sum *sum;
    void *user;
    double *parts;     /* (count, the most that a layer has) */
    double *numbers;   /* all layers' totals, of both passes */
    cn_totals *totals; /* per layer two: of the first session, and of the others */
};

/* The numbers of a layer's sums. */
static size_t sums_of(const cn_layer *layer)
{
    return 1 + 2 * (size_t)layer->in.n[layer->in.rank - 1];
}

static bool meets(const cn_team *t, int i)
{
    return t->sessions[0]->calls[i].totals != NULL;
}

/* ---- life and death */

static bool is_batch_norm(const cn_layer *layer)
{
    return layer->type == &cn_batch_norm_type;
}

static cn_status allocate(cn_team *t, cn_error *err)
{
    const cn_model *model = t->sessions[0]->model;
    size_t most = 0, all = 0;
    for (int i = 0; i < model->layer_count; i++) {
        if (!is_batch_norm(&model->layers[i])) continue;
        const size_t n = sums_of(&model->layers[i]);
        if (n > most) most = n;
        all += 2 * n;
    }
    t->parts = cn_allocate((size_t)t->count * most + 1, sizeof *t->parts, "batch norms", err);
    t->numbers = cn_allocate(all + 1, sizeof *t->numbers, "batch norms", err);
    t->totals = cn_allocate(2 * (size_t)model->layer_count, sizeof *t->totals, "batch norms", err);
    return t->parts && t->numbers && t->totals ? CN_OK : CN_ERR_MEMORY;
}

/* Gives each batch norm's calls the place of its totals. */
static cn_status connect(cn_team *t, cn_error *err)
{
    const cn_session *first = t->sessions[0];
    double *at = t->numbers;
    for (int i = 0; i < first->model->layer_count; i++) {
        const cn_layer *layer = &first->model->layers[i];
        const cn_plan_step *step = &first->plan.steps[i];
        if (!is_batch_norm(layer)) continue;
        if (!step->ops || !step->ops->sums)
            return cn_fail(err, CN_ERR_UNSUPPORTED,
                           "fit: the backend %s has no batch norm over several shards, expected "
                           "cpu, or 1 shard",
                           first->backend->name);
        const size_t n = sums_of(layer);
        cn_totals *totals = &t->totals[2 * i];
        totals[0] = (cn_totals){.forward = at, .backward = at + n, .moves = true};
        totals[1] = (cn_totals){.forward = at, .backward = at + n};
        at[n] = 1; /* should a step be run again before there was a backward */
        at += 2 * n;
        for (int k = 0; k < t->count; k++) t->sessions[k]->calls[i].totals = &totals[k > 0];
    }
    return CN_OK;
}

cn_status cn_team_create(cn_team **team, cn_session *const *sessions, int count, cn_team_sum *sum,
                         void *user, cn_error *err)
{
    cn_team *t = cn_allocate(1, sizeof *t, "batch norms", err);
    if (!t) return CN_ERR_MEMORY;
    *t = (cn_team){.count = count, .sum = sum, .user = user};
    t->sessions = cn_allocate((size_t)count, sizeof *t->sessions, "batch norms", err);
    cn_status status = t->sessions ? CN_OK : CN_ERR_MEMORY;
    if (status == CN_OK) memcpy(t->sessions, sessions, (size_t)count * sizeof *sessions);
    if (status == CN_OK) status = allocate(t, err);
    if (status == CN_OK) status = connect(t, err);
    if (status == CN_OK)
        *team = t;
    else
        cn_team_free(t);
    return status;
}

void cn_team_free(cn_team *t)
{
    if (!t) return;
    cn_release(t->sessions);
    cn_release(t->parts);
    cn_release(t->numbers);
    cn_release(t->totals);
    cn_release(t);
}

/* ---- the passes */

/* Adds up what all sessions know of layer i. */
static cn_status meet(cn_team *t, int i, bool backward, cn_error *err)
{
    const cn_session *first = t->sessions[0];
    const size_t n = sums_of(&first->model->layers[i]);
    const cn_totals *totals = first->calls[i].totals;
    double *all = t->numbers + ((backward ? totals->backward : totals->forward) - t->numbers);
    for (int k = 0; k < t->count; k++) {
        cn_session *s = t->sessions[k];
        double *part = t->parts + (size_t)k * n;
        if (s->m == 0)
            memset(part, 0, n * sizeof *part);
        else if (backward)
            cn_session_backward_sums(s, i, part);
        else
            s->plan.steps[i].ops->sums(&s->calls[i], false, part);
    }
    return t->sum(t->user, n, t->parts, all, err);
}

cn_status cn_team_forward(cn_team *t, const int *m, cn_error *err)
{
    const cn_model *model = t->sessions[0]->model;
    for (int k = 0; k < t->count; k++) cn_session_begin_forward(t->sessions[k], m[k]);
    for (int i = 0; i < model->layer_count; i++) {
        for (int k = 0; k < t->count; k++) t->sessions[k]->calls[i].m = m[k];
        cn_status status = meets(t, i) ? meet(t, i, false, err) : CN_OK;
        if (status != CN_OK) return status;
        /* Without examples, too, the first one moves a batch norm's buffers. */
        for (int k = 0; k < t->count; k++)
            if (m[k] > 0 || (k == 0 && meets(t, i)))
                cn_session_forward_layer(t->sessions[k], i, t->sessions[k]->forwards);
    }
    for (int k = 0; k < t->count; k++) cn_session_end_forward(t->sessions[k]);
    return CN_OK;
}

cn_status cn_team_backward_sum(cn_team *t, bool first, cn_gradients_final *final, void *user,
                               cn_error *err)
{
    const cn_session *leader = t->sessions[0];
    size_t from = leader->plan.gradients;
    for (int k = 0; k < t->count; k++) cn_session_begin_backward_sum(t->sessions[k], first);
    for (int i = leader->model->layer_count - 1; i > 0; i--) {
        const cn_layer *layer = &leader->model->layers[i];
        const bool runs = leader->plan.steps[i].backward;
        cn_status status = runs && meets(t, i) ? meet(t, i, true, err) : CN_OK;
        if (status != CN_OK) return status;
        for (int k = 0; k < t->count && runs; k++)
            if (t->sessions[k]->m > 0) cn_session_backward_layer(t->sessions[k], i);
        if (layer->parameter_count > 0 && !layer->parameters[0].buffer)
            from = layer->parameters[0].offset;
        if (final) final(from, user);
    }
    for (int k = 0; k < t->count; k++) t->sessions[k]->done = CN_STAGE_BACKWARD;
    return CN_OK;
}

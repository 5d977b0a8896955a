/* shards.c - the steps of a training whose batches are cut into shards. shards.h has the formulas. */
#include "train/shards.h"

#include <string.h>

/* A row of what the ranks tell each other after a step. */
typedef struct message {
    cn_status status;
    cn_shard_result results[]; /* of its shards' batches */
} message;

cn_status cn_shards_create(cn_shards *shards, cn_group *group, cn_session *session,
                           cn_session *const *together, int count, int most, cn_error *err)
{
    cn_shards s = {.group = group,
                   .session = session,
                   .together = together,
                   .count = count,
                   .most = most,
                   .batches = 1};
    const cn_model *model = cn_session_model(session);
    const size_t buffers = model->block_size - model->trained_size;
    int share = (count + group->size - 1) / group->size;
    s.first = cn_group_first(count, group->rank, group->size);
    s.end = cn_group_first(count, group->rank + 1, group->size);
    s.row = sizeof(message) + (size_t)share * (size_t)most * sizeof(cn_shard_result);
    s.results = cn_allocate((size_t)count * (size_t)most, sizeof *s.results, "fit: shards", err);
    s.messages = cn_allocate((size_t)group->size + 1, s.row, "fit: shards", err);
    s.buffers = cn_allocate(buffers + 1, sizeof *s.buffers, "fit: shards", err);
    s.packed = cn_allocate((size_t)group->size, sizeof *s.packed, "fit: shards", err);
    const size_t chunks = (size_t)cn_session_updates(session)->count + (size_t)group->size;
    s.squares = cn_allocate(chunks, sizeof *s.squares, "fit: shards", err);
    s.statuses = cn_allocate((size_t)group->size, sizeof *s.statuses, "fit: shards", err);
    cn_status status = s.results && s.messages && s.buffers && s.packed && s.squares && s.statuses
                           ? CN_OK
                           : CN_ERR_MEMORY;
    shards->session = session; /* where the reducer finds it */
    if (status == CN_OK && count > 1)
        status = cn_reducer_create(&s.reducer, group, count, together ? together : &shards->session,
                                   together != NULL, err);
    if (status == CN_OK)
        *shards = s;
    else
        cn_shards_free(&s);
    return status;
}

void cn_shards_free(cn_shards *s)
{
    if (s->packed && s->packed[0]) s->group->comm->unshare(s->group->comm->self, s->packed);
    cn_reducer_free(s->reducer);
    cn_release(s->results);
    cn_release(s->messages);
    cn_release(s->buffers);
    cn_release(s->packed);
    cn_release(s->squares);
    cn_release(s->statuses);
    *s = (cn_shards){0};
}

/* ---- memory that all ranks see */

/* What each rank has written there is seen by all, once all have come here. */
static cn_status meet(cn_shards *s, cn_error *err)
{
    return cn_group_gather(s->group, sizeof *s->statuses, s->statuses, err);
}

/* The packed weights lie in rank 0's part, where all ranks pack them in the same way, which is
 * planned for model, batch and threads. */
static cn_status place_packed(cn_shards *s, cn_error *err)
{
    const cn_communicator *c = s->group->comm;
    const size_t all =
        cn_session_packed_size(s->session, cn_session_model(s->session)->layer_count);
    double *threads = s->squares; /* room for one per rank, too */
    threads[s->group->rank] = cn_session_threads(s->session);
    cn_status status = cn_group_gather(s->group, sizeof *threads, threads, err);
    for (int r = 1; r < s->group->size && status == CN_OK; r++)
        if (threads[r] != threads[0]) return CN_OK;
    if (status == CN_OK) status = c->share(c->self, s->group->rank == 0 ? all : 0, s->packed, err);
    if (status == CN_OK && s->packed[0]) cn_session_place_packed(s->session, s->packed[0]);
    return cn_group_agree(s->group, status, err);
}

cn_status cn_shards_place(cn_shards *s, cn_error *err)
{
    if (!s->reducer) return CN_OK;
    cn_status status = cn_reducer_place(s->reducer, err);
    if (status != CN_OK || s->together || !cn_reducer_shared(s->reducer)) return status;
    return place_packed(s, err);
}

/* The first layer that rank r packs: each has about as much to write. */
static int first_to_pack(const cn_shards *s, int r)
{
    const int layers = cn_session_model(s->session)->layer_count;
    const double all = (double)cn_session_packed_size(s->session, layers);
    int i = 0;
    while (i < layers && (double)(cn_session_packed_size(s->session, i) +
                                  cn_session_packed_size(s->session, i + 1)) *
                                 s->group->size <
                             2 * all * r)
        i++;
    return r == s->group->size ? layers : i;
}

void cn_shards_pack(cn_shards *s)
{
    if (s->packed[0])
        cn_session_pack(s->session, first_to_pack(s, s->group->rank),
                        first_to_pack(s, s->group->rank + 1));
}

bool cn_shards_stale(const cn_shards *s)
{
    return s->packed[0] && !cn_session_is_packed(s->session);
}

cn_status cn_shards_pack_again(cn_shards *s, cn_error *err)
{
    if (!s->packed[0]) return CN_OK;
    cn_shards_pack(s);
    return meet(s, err);
}

/* ---- a step */

static message *row_of(const cn_shards *s, int rank)
{
    return (message *)(void *)((char *)s->messages + (size_t)rank * s->row);
}

/* The model's buffers. */
static size_t buffers_of(const cn_shards *s, const float **at)
{
    const cn_model *model = cn_session_model(s->session);
    *at = model->block + model->trained_size;
    return model->block_size - model->trained_size;
}

void cn_shards_begin(cn_shards *s, int batches)
{
    const float *buffers;
    s->batches = batches;
    s->ended = 0;
    memset(s->results, 0, (size_t)s->count * (size_t)batches * sizeof *s->results);
    if (!s->reducer) return;
    size_t count = buffers_of(s, &buffers);
    memcpy(s->buffers, buffers, count * sizeof *buffers);
    cn_reducer_begin(s->reducer);
}

cn_shard_result *cn_shards_result(const cn_shards *s, int k, int i)
{
    return &s->results[(size_t)k * (size_t)s->batches + (size_t)i];
}

void cn_shards_begin_batch(cn_shards *s, int k, int i, int64_t number)
{
    if (!s->reducer) return;
    cn_session *session = s->together ? s->together[k - s->first] : s->session;
    if (i == 0) {
        cn_session_set_buffers(session, s->buffers);
        cn_session_place_gradients(session, s->together ? NULL : cn_reducer_room(s->reducer));
    }
    cn_session_number_forward(session, (uint64_t)number * (uint64_t)s->count + (uint64_t)k);
}

cn_status cn_shards_backward(cn_shards *s, int k, int i, cn_error *err)
{
    if (!s->reducer)
        return i > 0 ? cn_session_backward_accumulate(s->session, err)
                     : cn_session_backward(s->session, err);
    const cn_communicator *comm = s->group->comm;
    bool last = k == s->end - 1 && i == s->batches - 1;
    cn_shards_result(s, k, i)->weight = cn_session_loss_weight(s->session);
    return cn_session_backward_sum(
        s->session, i == 0, last && comm && comm->start ? cn_reducer_final : NULL, s->reducer, err);
}

cn_status cn_shards_backward_together(cn_shards *s, cn_team *team, int i, cn_error *err)
{
    const cn_communicator *comm = s->group->comm;
    bool last = i == s->batches - 1;
    return cn_team_backward_sum(team, i == 0, last && comm && comm->start ? cn_reducer_final : NULL,
                                s->reducer, err);
}

bool cn_shards_gradients_finite(const cn_shards *s, cn_session *session)
{
    bool finite = s->reducer && !s->together ? cn_reducer_finite(s->reducer)
                                             : cn_session_gradients_finite(session);
    /* Where it began is found by another backward, which must not write to what others read. */
    if (!finite) cn_session_place_gradients(session, NULL);
    return finite;
}

cn_status cn_shards_agree(cn_shards *s, cn_status status, cn_error *err)
{
    cn_error lost;
    s->statuses[s->group->rank] = status;
    cn_status sent = cn_group_gather(s->group, sizeof *s->statuses, s->statuses, &lost);
    if (sent == CN_OK) return cn_group_share_error(s->group, s->statuses, err);
    return status == CN_OK ? cn_fail(err, sent, "%s", lost.text) : status;
}

/* Had it no example in any batch? */
static bool is_empty(const cn_shards *s, int k)
{
    for (int i = 0; i < s->batches; i++)
        if (cn_shards_result(s, k, i)->examples > 0) return false;
    return true;
}

void cn_shards_end_shard(cn_shards *s)
{
    if (s->reducer) cn_reducer_add(s->reducer, is_empty(s, s->first + s->ended));
    s->ended++;
}

/* All ranks' results to all of them, and the first rank's error that there is. */
static cn_status share_results(cn_shards *s, cn_status status, cn_error *err)
{
    const int size = s->group->size;
    const size_t per_shard = (size_t)s->batches;
    message *mine = row_of(s, s->group->rank);
    mine->status = status;
    memcpy(mine->results, cn_shards_result(s, s->first, 0),
           (size_t)(s->end - s->first) * per_shard * sizeof *s->results);
    cn_status sent = cn_group_gather(s->group, s->row, s->messages, err);
    if (sent != CN_OK) return sent;
    for (int rank = 0; rank < size; rank++) {
        const message *row = row_of(s, rank);
        int first = cn_group_first(s->count, rank, size);
        int end = cn_group_first(s->count, rank + 1, size);
        s->statuses[rank] = row->status;
        memcpy(cn_shards_result(s, first, 0), row->results,
               (size_t)(end - first) * per_shard * sizeof *s->results);
    }
    return cn_group_share_error(s->group, s->statuses, err);
}

/* What the step follows, and the buffers that it leaves. */
static void take_sums(cn_shards *s, float *sums)
{
    const float *buffers;
    size_t count = buffers_of(s, &buffers);
    double weight = 0;
    int used = 0;
    for (int k = 0; k < s->count; k++) used += s->together || !is_empty(s, k);
    for (int i = 0; i < s->count * s->batches; i++) weight += s->results[i].weight;
    cn_session_set_gradients(s->session, sums, weight > 0 ? 1 / weight : 0);
    sums += cn_session_model(s->session)->trained_size;
    for (size_t i = 0; i < count; i++) s->buffers[i] = (float)((double)sums[i] / used);
    cn_session_set_buffers(s->session, s->buffers);
}

cn_status cn_shards_finish(cn_shards *s, cn_status status, int64_t number, cn_error *err)
{
    float *sums;
    cn_error lost;
    if (!s->reducer) return status;
    if (status != CN_OK) cn_session_place_gradients(s->session, NULL);
    if (s->together) cn_reducer_add_all(s->reducer);
    while (!s->together && s->ended < s->end - s->first) cn_shards_end_shard(s);
    cn_status sent = cn_reducer_finish(s->reducer, &sums, &lost);
    if (sent != CN_OK) return status == CN_OK ? cn_fail(err, sent, "%s", lost.text) : status;
    status = share_results(s, status, err);
    if (status != CN_OK) return status;
    take_sums(s, sums);
    cn_session_number_forward(s->session, (uint64_t)number * (uint64_t)s->count);
    return CN_OK;
}

/* ---- the optimizer's step, of which each rank that shares memory takes some chunks */

typedef struct chunks {
    const cn_update_plan *plan;
    int first, end; /* this rank's */
} chunks;

static chunks chunks_of(const cn_shards *s)
{
    const cn_update_plan *plan = cn_session_updates(s->session);
    return (chunks){plan, cn_group_first(plan->count, s->group->rank, s->group->size),
                    cn_group_first(plan->count, s->group->rank + 1, s->group->size)};
}

static bool is_mine(const chunks *c, int i)
{
    return i >= c->first && i < c->end;
}

/* The squares of all chunks to all ranks. A chunk's gradients, which have been multiplied, must
 * stay; so the numbers travel. */
static cn_status share_squares(cn_shards *s, const chunks *c, cn_error *err)
{
    cn_group *g = s->group;
    double *squares = s->squares;
    for (int i = c->first; i < c->end; i++) squares[i] = c->plan->chunks[i].squares;
    for (int r = 0; r < g->size; r++) {
        const int first = cn_group_first(c->plan->count, r, g->size);
        const int end = cn_group_first(c->plan->count, r + 1, g->size);
        g->send[r] = (cn_part){squares + c->first, (size_t)(c->end - c->first) * sizeof *squares};
        g->receive[r] = (cn_part){squares + first, (size_t)(end - first) * sizeof *squares};
    }
    cn_status status = cn_group_exchange(g, err);
    for (int i = 0; status == CN_OK && i < c->plan->count; i++)
        c->plan->chunks[i].squares = squares[i];
    return status;
}

cn_status cn_shards_step(cn_shards *s, double learning_rate, cn_error *err)
{
    if (!s->reducer || !cn_reducer_shared(s->reducer))
        return cn_session_step(s->session, learning_rate, err);
    const chunks c = chunks_of(s);
    float *block = cn_session_trained(s->session)->block;
    const float *sums = cn_session_gradients(s->session, 0, 0);
    cn_status status = CN_OK;
    if (cn_session_clips_norm(s->session)) {
        cn_session_measure(s->session, c.first, c.end);
        status = share_squares(s, &c, err);
    }
    if (status == CN_OK)
        status = cn_session_step_part(s->session, learning_rate, c.first, c.end, err);
    if (status == CN_OK) status = meet(s, err);
    for (int i = 0; i < c.plan->count && status == CN_OK; i++) {
        const cn_update_chunk *u = &c.plan->chunks[i];
        if (!is_mine(&c, i)) memcpy(block + u->from, sums + u->from, u->count * sizeof *sums);
    }
    /* Before the next gradients take their place, the ranks tell each other how to go on:
     * fit.c, report. */
    return status;
}

cn_status cn_shards_collect(cn_shards *s, cn_error *err)
{
    float *state = NULL;
    if (!s->reducer || !cn_reducer_shared(s->reducer)) return CN_OK;
    const chunks c = chunks_of(s);
    const size_t size = cn_session_model(s->session)->trained_size;
    int blocks = cn_session_optimizer_state(s->session, &state);
    float *shared = cn_reducer_shared(s->reducer);
    cn_status status = CN_OK;
    for (; blocks > 0 && status == CN_OK; blocks--, state += size) {
        for (int i = c.first; i < c.end; i++) {
            const cn_update_chunk *u = &c.plan->chunks[i];
            memcpy(shared + u->from, state + u->from, u->count * sizeof *state);
        }
        status = meet(s, err);
        for (int i = 0; i < c.plan->count && status == CN_OK; i++) {
            const cn_update_chunk *u = &c.plan->chunks[i];
            if (!is_mine(&c, i))
                memcpy(state + u->from, shared + u->from, u->count * sizeof *state);
        }
        if (status == CN_OK) status = meet(s, err);
    }
    return status;
}

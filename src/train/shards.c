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
    s.statuses = cn_allocate((size_t)group->size, sizeof *s.statuses, "fit: shards", err);
    cn_status status = s.results && s.messages && s.buffers && s.statuses ? CN_OK : CN_ERR_MEMORY;
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
    cn_reducer_free(s->reducer);
    cn_release(s->results);
    cn_release(s->messages);
    cn_release(s->buffers);
    cn_release(s->statuses);
    *s = (cn_shards){0};
}

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
    if (i == 0) cn_session_set_buffers(session, s->buffers);
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
static void take_sums(cn_shards *s, const float *sums)
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
    const float *sums;
    cn_error lost;
    if (!s->reducer) return status;
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

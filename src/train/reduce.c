/*
 * reduce.c - sums of gradients and buffers over all shards, in the order of a tree.
 *
 * The gradients and, after them, the buffers are one array of n floats, cut into buckets from its
 * end to its beginning, which is the order in which backward finishes them. Of each bucket:
 *
 *     1. Every rank adds the blocks of its shards as far as its part of the tree goes. What is left
 *        are the sums of one or more nodes; with R and S powers of two it is a single one.
 *     2. Rank r looks after the r-th of `size` equal segments: it gets the other ranks' sums of it
 *        and adds them all, as the tree says.
 *     3. It sends the result to all others.
 *
 * With one sum per rank each of 2 and 3 sends (R - 1) / R of the array. Sums in step 2 are made
 * where they arrive; nothing here asks who computed what, so the bits are those of one rank.
 *
 * Ranks that share memory keep their sums there. Then 2 adds them where they lie, into the tree's
 * first, which is rank 0's, and nothing is left of the messages but that a bucket is ready: one
 * byte. Nobody but rank r touches its segments, in anyone's memory, from when all are ready until
 * the step is over.
 *
 * While the last of the rank's shards runs its backward, a bucket goes on its way as soon as its
 * gradients are final, where the communicator can do that in the background. Shards that run side
 * by side (together.c) have sessions of their own, and a bucket is final in all of them at once.
 *
 * The few sums that synchronized batch norms need are added in the same tree, in double, by all
 * ranks alike: each sends what its shards leave to all others.
 */
#include "train/shards.h"

#include <sched.h>
#include <string.h>
#include <time.h>

enum { BUCKET = 1 << 20 }; /* floats: 4 MB take milliseconds to send, and microseconds to start */

/* What becomes of a bucket, once the last shard is in it. */
typedef enum stage { WAITING, SCATTERING, GATHERING, DONE } stage;

typedef struct bucket {
    size_t from, count;
    size_t received; /* where the other ranks' sums of this rank's segment begin */
    stage stage;
} bucket;

struct cn_reducer {
    cn_group *group;
    cn_session *const *sessions; /* of each shard, where they run side by side; else of all */
    bool together;
    const float *buffers; /* the model's */
    size_t gradients, n;
    int shards, count; /* of all ranks, and of this one */
    int slot_count;    /* the most sums that this rank holds at a time */
    size_t received_size;
    /* What is left of each rank's shards: nodes[first_node[r]] to nodes[first_node[r + 1] - 1]. */
    cn_tree_node *nodes;
    int *first_node;
    cn_tree local; /* over this rank's shards of this step */
    int added;     /* of them */
    bool open;     /* the next one is being added: */
    int at, merges;
    int in; /* the buckets that it is in */
    float *slots[CN_TREE_DEPTH];
    float *memory, *packed, *received, *sum;
    size_t block; /* floats from one slot to the next */
    void **parts; /* the slots of each rank, in memory that all see; parts[0] NULL: there is none */
    char *signals;      /* a byte for each message that says no more than that it has come */
    bool leaving;       /* gradients go on their way while the shard's backward runs: */
    bool finite;        /* are those that have gone? */
    double *statistics; /* of all nodes */
    bucket *buckets;
    int bucket_count;
    cn_status status; /* of the exchanges of this step */
    cn_error error;
};

/* ---- the tree */

/* Where there are no leaves to the right of a left child, it is its parent. */
static void promote(cn_tree_node *node, int leaves)
{
    while (node->index % 2 == 0 && (int64_t)(node->index + 1) << node->level >= leaves &&
           (node->index > 0 || 1 << node->level < leaves)) {
        node->level++;
        node->index /= 2;
    }
}

int cn_tree_push(cn_tree *t, cn_tree_node node)
{
    int merges = 0;
    promote(&node, t->leaves);
    while (t->depth > 0) {
        const cn_tree_node left = t->open[t->depth - 1];
        if (left.level != node.level || left.index % 2 != 0 || left.index + 1 != node.index) break;
        node = (cn_tree_node){node.level + 1, node.index / 2};
        promote(&node, t->leaves);
        t->depth--;
        merges++;
    }
    t->open[t->depth++] = node;
    return merges;
}

/* ---- life and death */

/* Lists what is left of each rank's shards. Returns the most sums that a rank holds at a time; with
 * `nodes` NULL it only counts. */
static void list_nodes(cn_reducer *r, cn_tree_node *nodes, int *slots)
{
    const int size = r->group->size;
    r->first_node[0] = 0;
    *slots = 1;
    for (int rank = 0; rank < size; rank++) {
        cn_tree tree = {.leaves = r->shards};
        int end = cn_group_first(r->shards, rank + 1, size);
        for (int k = cn_group_first(r->shards, rank, size); k < end; k++) {
            int merges = cn_tree_push(&tree, (cn_tree_node){0, k});
            if (rank == r->group->rank && merges == 0 && tree.depth > *slots) *slots = tree.depth;
        }
        r->first_node[rank + 1] = r->first_node[rank] + tree.depth;
        if (nodes)
            memcpy(nodes + r->first_node[rank], tree.open, (size_t)tree.depth * sizeof *nodes);
    }
}

static int nodes_of(const cn_reducer *r, int rank)
{
    return r->first_node[rank + 1] - r->first_node[rank];
}

/* Where the segment of a rank begins in a bucket. */
static size_t segment(const cn_reducer *r, const bucket *b, int rank)
{
    return b->count * (size_t)rank / (size_t)r->group->size;
}

static size_t segment_length(const cn_reducer *r, const bucket *b, int rank)
{
    return segment(r, b, rank + 1) - segment(r, b, rank);
}

/* From the end to the beginning. Returns how many floats this rank receives. */
static size_t cut(cn_reducer *r)
{
    const int foreign = r->first_node[r->group->size] - nodes_of(r, r->group->rank);
    size_t end = r->n, received = 0;
    for (int i = 0; i < r->bucket_count; i++) {
        bucket *b = &r->buckets[i];
        b->count = end < BUCKET ? end : BUCKET;
        b->from = end -= b->count;
        b->received = received;
        received += segment_length(r, b, r->group->rank) * (size_t)foreign;
    }
    return received;
}

static cn_status allocate(cn_reducer *r, cn_error *err)
{
    const int size = r->group->size;
    r->first_node = cn_allocate((size_t)size + 1, sizeof *r->first_node, "fit: shards", err);
    if (!r->first_node) return CN_ERR_MEMORY;
    list_nodes(r, NULL, &r->slot_count);
    r->nodes = cn_allocate((size_t)r->first_node[size], sizeof *r->nodes, "fit: shards", err);
    r->bucket_count = (int)((r->n + BUCKET - 1) / BUCKET);
    r->buckets = cn_allocate((size_t)r->bucket_count, sizeof *r->buckets, "fit: shards", err);
    r->parts = cn_allocate((size_t)size, sizeof *r->parts, "fit: shards", err);
    r->signals = cn_allocate(2 * (size_t)r->bucket_count, (size_t)size, "fit: shards", err);
    if (!r->nodes || !r->buckets || !r->parts || !r->signals) return CN_ERR_MEMORY;
    list_nodes(r, r->nodes, &r->slot_count);
    r->received_size = (cut(r) + 15) / 16 * 16;
    return CN_OK;
}

static void place_slots(cn_reducer *r, float *memory)
{
    for (int i = 0; i < r->slot_count; i++) r->slots[i] = memory + r->block * (size_t)i;
    r->sum = r->parts[0] ? r->parts[0] : r->slots[0];
}

static cn_status allocate_sums(cn_reducer *r, cn_error *err)
{
    const int size = r->group->size, own = nodes_of(r, r->group->rank);
    const size_t slots = r->block * (size_t)r->slot_count;
    const size_t packed = own > 1 && size > 1 ? r->block * (size_t)own : 0;
    size_t floats = slots + packed + (size > 1 ? r->received_size + r->block : 0);
    r->memory = cn_allocate(floats + 16, sizeof *r->memory, "fit: sums of gradients", err);
    if (!r->memory) return CN_ERR_MEMORY;
    place_slots(r, r->memory);
    r->packed = r->memory + slots;
    r->received = r->packed + packed;
    if (size > 1) r->sum = r->received + r->received_size;
    return CN_OK;
}

cn_status cn_reducer_place(cn_reducer *r, cn_error *err)
{
    const cn_communicator *c = r->group->comm;
    const size_t bytes = r->block * (size_t)r->slot_count * sizeof *r->sum;
    cn_status status = CN_OK;
    if (r->group->size > 1 && c->share && cn_session_on_host(r->sessions[0]))
        status = c->share(c->self, bytes, r->parts, err);
    if (status == CN_OK && r->parts[0])
        place_slots(r, r->parts[r->group->rank]);
    else if (status == CN_OK)
        status = allocate_sums(r, err);
    return cn_group_agree(r->group, status, err);
}

float *cn_reducer_shared(const cn_reducer *r)
{
    return r->parts[0];
}

cn_status cn_reducer_create(cn_reducer **reducer, cn_group *group, int shards,
                            cn_session *const *sessions, bool together, cn_error *err)
{
    const cn_model *model = cn_session_model(sessions[0]);
    cn_reducer *r = cn_allocate(1, sizeof *r, "fit: shards", err);
    if (!r) return CN_ERR_MEMORY;
    *r = (cn_reducer){.group = group,
                      .sessions = sessions,
                      .together = together,
                      .shards = shards,
                      .gradients = model->trained_size,
                      .n = model->block_size,
                      /* Each sum begins at a multiple of CN_ALIGN bytes, as the kernels like it. */
                      .block = (model->block_size + 15) / 16 * 16,
                      .buffers = model->block + model->trained_size};
    r->count = cn_group_first(shards, group->rank + 1, group->size) -
               cn_group_first(shards, group->rank, group->size);
    cn_status status = allocate(r, err);
    if (status == CN_OK && together) {
        /* Per layer 1 + 2 n_C, and batch norms' buffers are 2 n_C. */
        r->statistics = cn_allocate((size_t)r->first_node[group->size],
                                    (model->buffer_elements + 1) * sizeof *r->statistics,
                                    "fit: sums of batch norms", err);
        if (!r->statistics) status = CN_ERR_MEMORY;
    }
    if (status == CN_OK)
        *reducer = r;
    else
        cn_reducer_free(r);
    return status;
}

void cn_reducer_free(cn_reducer *r)
{
    if (!r) return;
    if (r->parts && r->parts[0]) r->group->comm->unshare(r->group->comm->self, r->parts);
    cn_release(r->parts);
    cn_release(r->signals);
    cn_release(r->nodes);
    cn_release(r->first_node);
    cn_release(r->buckets);
    cn_release(r->memory);
    cn_release(r->statistics);
    cn_release(r);
}

/* ---- between ranks */

/* Sends part of a bucket to every rank and receives as much. */
static void start(cn_reducer *r, int index, bool gather)
{
    const cn_communicator *c = r->group->comm;
    if (r->status != CN_OK) return;
    if (c->start)
        r->status =
            c->start(c->self, 2 * index + gather, r->group->send, r->group->receive, &r->error);
    else
        r->status = c->exchange(c->self, r->group->send, r->group->receive, &r->error);
}

/* Tells every rank that a bucket is ready, and hears it from all. */
static void start_signal(cn_reducer *r, int index, bool gather)
{
    char *signals = r->signals + (size_t)(2 * index + gather) * (size_t)r->group->size;
    for (int i = 0; i < r->group->size; i++) {
        r->group->send[i] = (cn_part){&signals[r->group->rank], 1};
        r->group->receive[i] = (cn_part){&signals[i], 1};
    }
    start(r, index, gather);
}

static float *packed_at(const cn_reducer *r, const bucket *b, size_t offset)
{
    const int own = nodes_of(r, r->group->rank);
    return own == 1 ? r->slots[0] + b->from + offset : r->packed + (b->from + offset) * (size_t)own;
}

static void start_scatter(cn_reducer *r, int index)
{
    bucket *b = &r->buckets[index];
    const int own = nodes_of(r, r->group->rank);
    const size_t mine = segment_length(r, b, r->group->rank);
    float *received = r->received + b->received;
    b->stage = SCATTERING;
    if (r->parts[0]) {
        start_signal(r, index, false);
        return;
    }
    for (int i = 0; i < r->group->size; i++) {
        const size_t at = segment(r, b, i), length = segment_length(r, b, i);
        float *out = packed_at(r, b, at);
        const bool other = i != r->group->rank;
        for (int j = 0; j < own && own > 1 && other; j++)
            memcpy(out + length * (size_t)j, r->slots[j] + b->from + at, length * sizeof *out);
        const size_t coming = other ? mine * (size_t)nodes_of(r, i) : 0;
        r->group->send[i] = (cn_part){out, other ? length * (size_t)own * sizeof *out : 0};
        r->group->receive[i] = (cn_part){received, coming * sizeof *received};
        received += coming;
    }
    start(r, index, false);
}

/* Adds all ranks' sums of this rank's segment. */
static void add_segment(cn_reducer *r, const bucket *b)
{
    const int me = r->group->rank;
    const size_t at = b->from + segment(r, b, me), length = segment_length(r, b, me);
    float *received = r->received + b->received, *open[CN_TREE_DEPTH];
    cn_tree tree = {.leaves = r->shards};
    for (int rank = 0, i = 0; rank < r->group->size; rank++)
        for (int j = 0; j < nodes_of(r, rank); j++, i++) {
            float *sum = r->slots[j] + at;
            if (r->parts[0])
                sum = (float *)r->parts[rank] + r->block * (size_t)j + at;
            else if (rank != me)
                sum = received, received += length;
            open[tree.depth] = sum;
            int last = tree.depth;
            for (int k = cn_tree_push(&tree, r->nodes[i]); k > 0; k--, last--)
                cn_session_add(r->sessions[0], length, open[last], open[last - 1]);
        }
    if (open[0] != r->sum + at) memcpy(r->sum + at, open[0], length * sizeof *r->sum);
}

static void start_gather(cn_reducer *r, int index)
{
    bucket *b = &r->buckets[index];
    const int me = r->group->rank;
    add_segment(r, b);
    b->stage = GATHERING;
    if (r->parts[0]) {
        start_signal(r, index, true);
        return;
    }
    for (int i = 0; i < r->group->size; i++) {
        const bool other = i != me;
        const size_t mine = segment_length(r, b, me), theirs = segment_length(r, b, i);
        r->group->send[i] =
            (cn_part){r->sum + b->from + segment(r, b, me), other ? mine * sizeof *r->sum : 0};
        r->group->receive[i] =
            (cn_part){r->sum + b->from + segment(r, b, i), other ? theirs * sizeof *r->sum : 0};
    }
    start(r, index, true);
}

/* Takes note of the exchanges that have ended. False where none has. */
static bool poll(cn_reducer *r)
{
    const cn_communicator *c = r->group->comm;
    bool moved = false;
    for (int i = 0; i < r->bucket_count && r->status == CN_OK; i++) {
        bucket *b = &r->buckets[i];
        bool done = false;
        if (b->stage != SCATTERING && b->stage != GATHERING) continue;
        r->status = c->test(c->self, 2 * i + (b->stage == GATHERING), &done, &r->error);
        if (r->status != CN_OK || !done) continue;
        moved = true;
        if (b->stage == SCATTERING)
            start_gather(r, i);
        else
            b->stage = DONE;
    }
    return moved;
}

/* ---- a step */

void cn_reducer_begin(cn_reducer *r)
{
    r->local = (cn_tree){.leaves = r->shards};
    r->added = 0;
    r->in = 0;
    r->open = false;
    r->status = CN_OK;
    for (int i = 0; i < r->bucket_count; i++) r->buckets[i].stage = WAITING;
}

/* The next shard's place in the tree. */
static void open_shard(cn_reducer *r)
{
    if (r->open) return;
    int k = cn_group_first(r->shards, r->group->rank, r->group->size) + r->added;
    r->open = true;
    r->finite = true;
    if (!r->together) r->in = 0;
    r->at = r->local.depth;
    r->merges = cn_tree_push(&r->local, (cn_tree_node){0, k});
}

float *cn_reducer_room(const cn_reducer *r)
{
    const int k = cn_group_first(r->shards, r->group->rank, r->group->size) + r->added;
    cn_tree local = r->local;
    if (!cn_session_on_host(r->sessions[0])) return NULL;
    return cn_tree_push(&local, (cn_tree_node){0, k}) == 0 ? r->slots[r->local.depth] : NULL;
}

bool cn_reducer_finite(const cn_reducer *r)
{
    const size_t left = !r->open ? r->n : r->in > 0 ? r->buckets[r->in - 1].from : r->n;
    const size_t gradients = left < r->gradients ? left : r->gradients;
    return (!r->open || r->finite) && cn_session_part_finite(r->sessions[0], 0, gradients);
}

/* The shard's own numbers: into `sum`, or added to it. */
static void take(cn_reducer *r, size_t from, size_t count, float *sum)
{
    const size_t end = from + count;
    const size_t middle = end < r->gradients ? end : from > r->gradients ? from : r->gradients;
    const float *g =
        cn_session_gradients(r->sessions[r->together ? r->added : 0], from, middle - from);
    if (r->leaving && !cn_session_part_finite(r->sessions[0], from, middle - from))
        r->finite = false;
    if (r->merges == 0) {
        if (g != sum) memcpy(sum, g, (middle - from) * sizeof *sum);
        memcpy(sum + (middle - from), r->buffers + middle - r->gradients,
               (end - middle) * sizeof *sum);
        return;
    }
    cn_session_add(r->sessions[0], middle - from, g, sum);
    cn_session_add(r->sessions[0], end - middle, r->buffers + middle - r->gradients,
                   sum + (middle - from));
}

static void add_to_bucket(cn_reducer *r, int index, bool empty)
{
    const bucket *b = &r->buckets[index];
    float *sum = r->slots[r->merges ? r->at - 1 : r->at] + b->from;
    if (!empty)
        take(r, b->from, b->count, sum);
    else if (r->merges == 0)
        memset(sum, 0, b->count * sizeof *sum);
    for (int i = 1; i < r->merges; i++)
        cn_session_add(r->sessions[0], b->count, r->slots[r->at - i] + b->from,
                       r->slots[r->at - i - 1] + b->from);
    if (r->added + 1 == r->count && r->group->size > 1) {
        if (r->group->comm->start) start_scatter(r, index);
    }
}

/* The bucket of all of this rank's shards, which are side by side. */
static void add_all_to_bucket(cn_reducer *r, int index)
{
    r->local = (cn_tree){.leaves = r->shards};
    for (r->added = 0; r->added < r->count; r->added++) {
        open_shard(r);
        add_to_bucket(r, index, false);
        r->open = false;
    }
}

void cn_reducer_final(size_t from, void *reducer)
{
    cn_reducer *r = reducer;
    if (r->together) {
        while (r->in < r->bucket_count && r->buckets[r->in].from >= from)
            add_all_to_bucket(r, r->in++);
        poll(r);
        return;
    }
    open_shard(r);
    r->leaving = true;
    while (r->in < r->bucket_count && r->buckets[r->in].from >= from)
        add_to_bucket(r, r->in++, false);
    r->leaving = false;
    poll(r);
}

void cn_reducer_add(cn_reducer *r, bool empty)
{
    open_shard(r);
    while (r->in < r->bucket_count) add_to_bucket(r, r->in++, empty);
    r->open = false;
    r->added++;
}

void cn_reducer_add_all(cn_reducer *r)
{
    while (r->in < r->bucket_count) add_all_to_bucket(r, r->in++);
}

/* Others have to compute first: the processor is theirs. */
static void idle(int *turns)
{
    enum { PATIENT = 64 };
    const struct timespec pause = {.tv_nsec = 20000};
    if (++*turns < PATIENT)
        sched_yield();
    else
        nanosleep(&pause, NULL);
}

static bool all_done(const cn_reducer *r)
{
    for (int i = 0; i < r->bucket_count; i++)
        if (r->buckets[i].stage != DONE) return false;
    return true;
}

cn_status cn_reducer_finish(cn_reducer *r, float **sums, cn_error *err)
{
    *sums = r->sum;
    if (r->group->size == 1) return CN_OK;
    for (int i = 0; !r->group->comm->start && i < r->bucket_count && r->status == CN_OK; i++) {
        start_scatter(r, i);
        start_gather(r, i);
        r->buckets[i].stage = DONE;
    }
    for (int turns = 0; r->status == CN_OK && !all_done(r);)
        if (poll(r))
            turns = 0;
        else
            idle(&turns);
    if (r->status != CN_OK) return cn_fail(err, r->status, "%s", r->error.text);
    return CN_OK;
}

/* ---- sums that are needed at once */

static void push_sum(cn_tree *tree, cn_tree_node node, double **open, size_t n, double *sum)
{
    int last = tree->depth;
    open[last] = sum;
    for (int k = cn_tree_push(tree, node); k > 0; k--, last--)
        for (size_t i = 0; i < n; i++) open[last - 1][i] += open[last][i];
}

cn_status cn_reducer_sum(void *reducer, size_t n, double *parts, double *all, cn_error *err)
{
    cn_reducer *r = reducer;
    cn_group *g = r->group;
    cn_tree local = {.leaves = r->shards}, whole = {.leaves = r->shards};
    double *open[CN_TREE_DEPTH];
    const int first = cn_group_first(r->shards, g->rank, g->size);
    for (int k = 0; k < r->count; k++)
        push_sum(&local, (cn_tree_node){0, first + k}, open, n, parts + (size_t)k * n);
    double *mine = r->statistics + (size_t)r->first_node[g->rank] * n;
    for (int j = 0; j < local.depth; j++) memcpy(mine + (size_t)j * n, open[j], n * sizeof *mine);
    for (int i = 0; i < g->size; i++) {
        double *theirs = r->statistics + (size_t)r->first_node[i] * n;
        g->send[i] = (cn_part){mine, (size_t)local.depth * n * sizeof *mine};
        g->receive[i] = (cn_part){theirs, (size_t)nodes_of(r, i) * n * sizeof *theirs};
    }
    cn_status status = cn_group_exchange(g, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < r->first_node[g->size]; i++)
        push_sum(&whole, r->nodes[i], open, n, r->statistics + (size_t)i * n);
    memcpy(all, open[0], n * sizeof *all);
    return CN_OK;
}

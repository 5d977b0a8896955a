/*
 * shards.h - a step whose batch is cut into shards, and whose gradients are their sum.
 *
 * Of a batch of m examples shard k = 0 .. S-1 has those from m k / S to m (k + 1) / S, and a
 * session of the shard's size runs them: a step with S shards is the same, bit for bit, whoever
 * runs which. Rank r of R has the shards from S r / R to S (r + 1) / R. With
 *
 *     g_k   the sum over the examples of shard k (in all batches of the step) of their gradients,
 *           each with the weight that the loss gives it
 *     D_k   the sum of these weights (the number of examples, without class weights)
 *     b_k   the buffers, such as batch norms' running means, as shard k alone would leave them
 *
 * the step follows g = (g_0 + ... + g_S-1) / (D_0 + ... + D_S-1), and leaves the buffers
 * b = (b_0 + ... + b_S-1) / S, empty shards not counted. The large sums, of g and b, are added in
 * the order of a binary tree over the shards, which is a function of S alone:
 *
 *     ((g_0 + g_1) + (g_2 + g_3)) + ((g_4 + g_5) + (g_6 + g_7))
 *
 * Where batch norms are synchronized, the shards of a batch run side by side, each in a session of
 * its own (together.c). Then all of them leave the same buffers, empty ones, too.
 *
 * A rank adds what its own shards allow, in the memory of one block per open node of the tree; what
 * is left, one to 2 log2(S) sums per rank, meets across the ranks, bucket by bucket (reduce.c).
 */
#ifndef CN_SHARDS_H
#define CN_SHARDS_H

#include "train/group.h"

#include "model/session.h"

/* ---- the tree (reduce.c) */

enum { CN_MOST_SHARDS = 4096, CN_TREE_DEPTH = 26 };

/* A node at height `level` over the leaves index 2^level to (index + 1) 2^level - 1. */
typedef struct cn_tree_node {
    int level, index;
} cn_tree_node;

/* The nodes whose sums are known, and whose parents' are not yet, from left to right. */
typedef struct cn_tree {
    int leaves, depth;
    cn_tree_node open[CN_TREE_DEPTH];
} cn_tree;

/* Adds a node to the right of the others. Returns how many times the two last sums are then to be
 * added into one. */
int cn_tree_push(cn_tree *tree, cn_tree_node node);

/* ---- sums across shards and ranks (reduce.c) */

typedef struct cn_reducer cn_reducer;

/* Of the gradients of sessions[0] and the buffers of its model; where the shards run side by side,
 * `together`, of the gradients of one session per shard of this rank. */
cn_status cn_reducer_create(cn_reducer **reducer, cn_group *group, int shards,
                            cn_session *const *sessions, bool together, cn_error *err);
void cn_reducer_free(cn_reducer *reducer);
/* Makes room for the sums, in memory that all ranks see if there is such. All ranks call it alike,
 * before the first step. */
cn_status cn_reducer_place(cn_reducer *reducer, cn_error *err);
/* That memory, a block, free for others between two steps; NULL: there is none. */
float *cn_reducer_shared(const cn_reducer *reducer);
/* Before a step's first shard. */
void cn_reducer_begin(cn_reducer *reducer);
/* Where the next of this rank's shards may write its gradients, so that they need not be copied;
 * NULL: nowhere, as they are to be added. */
float *cn_reducer_room(const cn_reducer *reducer);
/* The next of this rank's shards has been run, its sums are in the session and the model; or it is
 * empty, and its sums are 0. */
void cn_reducer_add(cn_reducer *reducer, bool empty);
/* Instead of it, where all of this rank's shards have been run side by side. */
void cn_reducer_add_all(cn_reducer *reducer);
/* The last of them, or all together, run the backward: gradients from this element on are final.
 * What can go to other ranks goes. To be followed by cn_reducer_add or cn_reducer_add_all. Errors
 * wait for cn_reducer_finish. */
void cn_reducer_final(size_t from, void *reducer);
/* After the backward of a shard: are its gradients finite? Those that are on their way are not its
 * own any more, and have been looked at before. */
bool cn_reducer_finite(const cn_reducer *reducer);
/* The sums over all shards: the gradients, and after them the buffers. They may be changed until
 * the next step; of shared memory each rank changes what no other reads. */
cn_status cn_reducer_finish(cn_reducer *reducer, float **sums, cn_error *err);
/* A cn_team_sum of a reducer whose shards run together: all ranks call it alike. */
cn_status cn_reducer_sum(void *reducer, size_t n, double *parts, double *all, cn_error *err);

/* ---- the beginning (same.c) */

/* SHA-256 of the library's sources, as hexadecimal digits (made by cmake/source_digest.cmake). */
extern const char cn_source_digest[];

/* CN_ERR_ARGUMENT, on all ranks, with what is not the same on all of them. */
cn_status cn_group_check_same(cn_group *group, const cn_model *model, const cn_state *state,
                              cn_error *err);

/* ---- a step (shards.c) */

/* What a batch's shard adds to the step's figures. */
typedef struct cn_shard_result {
    double loss;    /* its sum over the examples */
    double weight;  /* D_k */
    double correct; /* of segmentation the parts of the images' pixels */
    int examples;
} cn_shard_result;

typedef struct cn_shards {
    cn_group *group;
    cn_session *session;
    cn_session *const *together; /* one per shard of this rank, [0] the above; NULL: one by one */
    cn_reducer *reducer;         /* NULL: a single shard, which is the batch as it is */
    int count;                   /* of shards */
    int first, end;              /* this rank's */
    int most, batches;           /* of a step at most, and of this one */
    int ended;                   /* of this rank's shards, in this step */
    float *buffers;              /* the model's, before the step */
    double *squares;             /* of the optimizer's chunks */
    void **packed; /* [0]: the weights as all ranks' kernels read them; NULL: each has its own */
    cn_shard_result *results;
    cn_status *statuses; /* one per rank, as are the next: what they tell each other */
    void *messages;
    size_t row; /* bytes of a message */
} cn_shards;

/* For steps of at most `most` batches. The session has the size of a shard; `together` (may be
 * NULL) as above. */
cn_status cn_shards_create(cn_shards *shards, cn_group *group, cn_session *session,
                           cn_session *const *together, int count, int most, cn_error *err);
void cn_shards_free(cn_shards *shards);
/* Before the first step, by all ranks: cn_reducer_place. */
cn_status cn_shards_place(cn_shards *shards, cn_error *err);
/* After a step, where ranks share packed weights: each packs some of them. */
void cn_shards_pack(cn_shards *shards);
/* May the weights have changed since then? If so on one rank, all call cn_shards_pack_again before
 * the next step; and before the first. */
bool cn_shards_stale(const cn_shards *shards);
cn_status cn_shards_pack_again(cn_shards *shards, cn_error *err);
/* A step of so many batches: each of the shards first .. end-1 in turn, and in it batch 0, 1, .. */
void cn_shards_begin(cn_shards *shards, int batches);
/* Before the forward of batch i in shard k; it is batch `number` of the training, from 0. */
void cn_shards_begin_batch(cn_shards *shards, int k, int i, int64_t number);
/* The backward of the loss that has just been found. */
cn_status cn_shards_backward(cn_shards *shards, int k, int i, cn_error *err);
/* The same for batch i of all shards of this rank side by side, whose sessions are the team's. */
cn_status cn_shards_backward_together(cn_shards *shards, cn_team *team, int i, cn_error *err);
/* After a shard's backward in this session. */
bool cn_shards_gradients_finite(const cn_shards *shards, cn_session *session);
/* CN_OK where all ranks hand it in, else the error of the first that does not. */
cn_status cn_shards_agree(cn_shards *shards, cn_status status, cn_error *err);
/* What batch i of shard k adds to the step's figures; after cn_shards_finish those of all shards. */
cn_shard_result *cn_shards_result(const cn_shards *shards, int k, int i);
/* After the last batch of this rank's next shard. */
void cn_shards_end_shard(cn_shards *shards);
/* Combines all, so that cn_shards_step can follow. `status` is that of this rank, whose shards may
 * then be left out; an error of any rank is one of all. `number` batches have been trained on. */
cn_status cn_shards_finish(cn_shards *shards, cn_status status, int64_t number, cn_error *err);
/* cn_session_step. Ranks that share memory take a part of it each, and then each other's weights;
 * of the optimizer's state each has its part. They are to meet once more before the next step. */
cn_status cn_shards_step(cn_shards *shards, double learning_rate, cn_error *err);
/* Gives every rank all of the optimizer's state. */
cn_status cn_shards_collect(cn_shards *shards, cn_error *err);

#endif

/*
 * loader.h - the batches of a training, one after the other: shuffled, augmented, normalized.
 */
#ifndef CN_LOADER_H
#define CN_LOADER_H

#include "augment/augment.h"

/* Shard `shard` of batch `step` of an epoch, the last two counted from 1: m examples, maybe none. */
typedef struct cn_batch {
    int epoch, step, shard, m;
    float *x;        /* (m, n_H, n_W, n_C), normalized */
    int32_t *labels; /* (m), or for segmentation (m, n_H, n_W) */
    float *targets;  /* (m, outputs), standardized; NULL where the labels are the truth */
} cn_batch;

typedef struct cn_loader cn_loader;

typedef struct cn_loader_opts {
    const cn_dataset *data;
    cn_augment augment;
    const float *mean, *std;               /* NULL or n_C of each */
    const float *target_mean, *target_std; /* NULL or one per target */
    int outputs;                           /* of the model: classes, or 1 */
    int batch, epochs; /* the last batch of an epoch may be smaller, but is left out where */
    int least;         /* it would be smaller than this */
    /* Of each batch's `shards` (train/shards.h; 0: one) the `count` from `first` on are made, each
     * as a batch of its own; of a step of `accumulate` batches (0: one) all that are in one shard,
     * then all that are in the next, or by_batch all shards of one batch, then of the next. */
    int shards, first, count, accumulate;
    bool by_batch;
    uint64_t seed;
    bool no_shuffle;
    /* Make each batch in a thread of its own while the one before it is trained on. */
    bool background;
    int threads; /* that images which have to be read are divided among; 0: one */
    /* Where every batch's images go that is not made in the background. */
    float *x;
} cn_loader_opts;

/* What the options point to must outlive the loader. */
cn_status cn_loader_create(cn_loader **loader, const cn_loader_opts *opts, cn_error *err);
/* Ends the thread, whatever it is doing. */
void cn_loader_free(cn_loader *loader);

/* The batches of an epoch, whole ones. */
int cn_loader_steps(const cn_loader *loader);
/* To be called once, before the first batch is asked for: how many, counted over all epochs, have
 * been trained on before. */
void cn_loader_start(cn_loader *loader, int64_t done);
/* The next batch, which stays as it is until the one after it is asked for; there must be one.
 * Allocates nothing, but for images that have to be read. The same bits in the background and not,
 * for any number of threads. An error is that of the batch's first image that has one; it stays the
 * next batch. */
cn_status cn_loader_next(cn_loader *loader, const cn_batch **batch, cn_error *err);
/* The seconds that cn_loader_next has waited for the thread so far: what a training would gain if its
 * batches took no time. 0 where they are not made in the background. */
double cn_loader_waited(const cn_loader *loader);
/* Is the next batch made? The thread then rests until it is taken. Never without a thread. */
bool cn_loader_is_ahead(cn_loader *loader);

#endif

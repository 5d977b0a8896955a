/*
 * loader.c - makes the batches of a training, in line or ahead of time in a thread.
 *
 * Batches are numbered over the whole training, and what is in one is a function of its number. In
 * the background two lie in memory: the trainer holds number taken - 1, and the maker works on the
 * next one:
 *
 *     trainer   taken++, then waits until made >= taken
 *     maker     waits until made <= taken, makes batch number `made`, then made++
 *
 * With images that lie in files the maker has a pool, whose tasks are single images. A batch that has an error ends
 * the making: it keeps the error, for the trainer to take.
 *
 * A batch of number k lies in slot k % 2. The maker is at most at number `taken`, whose slot is the
 * one that the trainer does not hold.
 */
#include "train/loader.h"

#include "base/counter.h"
#include "data/dataset.h"
#include "train/group.h"
#include "train/train.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { SLOTS = 2 };

/* The high word keeps these streams apart from those of a model's initialization, which may well
 * start from the same seed. */
static const uint64_t order_streams = UINT64_C(0x6f72646572) << 24; /* "order" */

void cn_order_shuffle(uint64_t seed, int epoch, int n, int *order)
{
    for (int i = 0; i < n; i++) order[i] = i;
    cn_counter_shuffle(seed, order_streams + (uint64_t)epoch, n, order);
}

struct cn_loader {
    cn_loader_opts opts;
    int steps;
    int64_t end;              /* number of the first batch that there is not */
    cn_augmenter *augmenters; /* one per worker */
    cn_pool *pool;            /* NULL: there is one worker */
    bool *failed;             /* of each image of a batch */
    int *order;
    int order_epoch; /* that it is the order of; 0: of none */
    cn_batch slots[SLOTS];
    cn_error errors[SLOTS]; /* of the batches there */

    int64_t taken, made; /* with a maker, under the mutex */
    bool stop;
    double waited; /* seconds, the trainer's alone */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t maker;
    pid_t owner; /* the process that has the maker; 0: there is none */
};

/* ---- a batch */

/* The batch of an epoch, from 0, and the shard in it that are the `at`-th to be made: shard after
 * shard of a step's batches, of which the last step may have fewer, or batch after batch. */
static int find_batch(const cn_loader *f, int64_t at, int *shard)
{
    const cn_loader_opts *o = &f->opts;
    int64_t per_step = (int64_t)o->accumulate * o->count;
    int first = (int)(at / per_step) * o->accumulate, left = f->steps - first;
    int batches = left < o->accumulate ? left : o->accumulate;
    const int made = (int)(at % per_step);
    *shard = o->first + (o->by_batch ? made % o->count : made / batches);
    return first + (o->by_batch ? made / o->count : made % batches);
}

/* The images of a batch, one of which is a unit. */
typedef struct making {
    const cn_loader *loader;
    const cn_batch *batch;
    const int *index;
} making;

static cn_status make_image(void *argument, int unit, int worker, cn_error *err)
{
    const making *m = argument;
    const cn_dataset *data = m->loader->opts.data;
    const int *shape = cn_dataset_shape(data);
    const size_t i = (size_t)unit, outputs = (size_t)m->loader->opts.outputs;
    const size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    return cn_augmenter_run(&m->loader->augmenters[worker], m->batch->epoch, m->index + i, 1,
                            m->batch->x + i * count,
                            m->batch->labels + i * cn_dataset_label_size(data),
                            m->batch->targets ? m->batch->targets + i * outputs : NULL, err);
}

static cn_status make(cn_loader *f, int64_t number, cn_error *err)
{
    const cn_loader_opts *o = &f->opts;
    int size = cn_dataset_size(o->data), shard;
    int64_t epoch_length = (int64_t)f->steps * o->count;
    int epoch = (int)(number / epoch_length) + 1;
    int step = find_batch(f, number % epoch_length, &shard);
    int from = step * o->batch, whole = size - from < o->batch ? size - from : o->batch;
    int first = from + cn_group_first(whole, shard, o->shards);
    int m = from + cn_group_first(whole, shard + 1, o->shards) - first;
    cn_batch *made = &f->slots[number % SLOTS];
    if (f->order_epoch != epoch && !f->opts.no_shuffle)
        cn_order_shuffle(f->opts.seed, epoch, size, f->order);
    f->order_epoch = epoch;
    made->epoch = epoch;
    made->step = step + 1;
    made->shard = shard;
    made->m = m;
    if (m == 0) return CN_OK;
    if (!f->pool)
        return cn_augmenter_run(&f->augmenters[0], epoch, f->order + first, m, made->x,
                                made->labels, made->targets, err);
    making images = {f, made, f->order + first};
    return cn_run_units(f->pool, m, make_image, &images, f->failed, err);
}

/* ---- the maker */

static bool may_make(const cn_loader *f)
{
    return f->made <= f->taken && f->made < f->end;
}

static void *maker_main(void *argument)
{
    cn_loader *f = argument;
    pthread_mutex_lock(&f->mutex);
    while (!f->stop) {
        if (!may_make(f)) {
            pthread_cond_wait(&f->changed, &f->mutex);
            continue;
        }
        int64_t number = f->made;
        pthread_mutex_unlock(&f->mutex);
        cn_error *error = &f->errors[number % SLOTS];
        error->status = make(f, number, error);
        pthread_mutex_lock(&f->mutex);
        f->made++;
        if (error->status != CN_OK) f->end = f->made; /* nothing follows */
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

/* Signals are the caller's business: the maker blocks them all. */
static cn_status start_maker(cn_loader *f, cn_error *err)
{
    sigset_t all, before;
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->changed, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&f->maker, NULL, maker_main, f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        f->owner = getpid();
        return CN_OK;
    }
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->mutex);
    return cn_fail(err, CN_ERR_MEMORY, "fit: the thread that makes batches could not be started");
}

/* ---- life and death */

/* What makes images: one augmenter, or where they have to be read one per thread. */
static cn_status make_workers(cn_loader *f, cn_error *err)
{
    const cn_loader_opts *o = &f->opts;
    bool reads = !cn_dataset_in_memory(o->data) || o->augment.random_resized_crop > 0;
    cn_status status = CN_OK;
    if (reads && o->threads > 1) status = cn_pool_create(&f->pool, o->threads, err);
    if (status != CN_OK) return status;
    int workers = cn_pool_threads(f->pool);
    f->augmenters = cn_allocate((size_t)workers, sizeof *f->augmenters, "fit: batches", err);
    if (f->augmenters) f->failed = cn_allocate((size_t)o->batch, 1, "fit: batches", err);
    if (!f->failed) return CN_ERR_MEMORY;
    for (int i = 0; i < workers && status == CN_OK; i++) {
        cn_augmenter *augmenter = &f->augmenters[i];
        status = cn_augmenter_create(augmenter, o->data, &o->augment, o->seed, o->mean, o->std,
                                     o->outputs, err);
        augmenter->target_mean = o->target_mean;
        augmenter->target_std = o->target_std;
    }
    return status;
}

static cn_status make_room(cn_loader *f, cn_error *err)
{
    const cn_loader_opts *o = &f->opts;
    const int *shape = cn_dataset_shape(o->data);
    size_t batch = (size_t)(o->batch / o->shards), size = (size_t)cn_dataset_size(o->data);
    size_t example = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    size_t outputs = (size_t)o->outputs;
    f->order = cn_allocate(size, sizeof *f->order, "fit: order", err);
    if (!f->order) return CN_ERR_MEMORY;
    for (int i = 0; i < (int)size; i++) f->order[i] = i;
    for (int i = 0; i < SLOTS; i++) {
        cn_batch *slot = &f->slots[i];
        slot->labels = cn_allocate(batch, cn_dataset_label_size(o->data) * sizeof *slot->labels,
                                   "fit: labels", err);
        if (!slot->labels) return CN_ERR_MEMORY;
        slot->x =
            o->background ? cn_allocate(batch, example * sizeof *slot->x, "fit: batch", err) : o->x;
        if (!slot->x) return CN_ERR_MEMORY;
        if (!(o->augment.mixup > 0) && !cn_dataset_targets(o->data)) continue;
        slot->targets = cn_allocate(batch, outputs * sizeof *slot->targets, "fit: targets", err);
        if (!slot->targets) return CN_ERR_MEMORY;
    }
    return CN_OK;
}

cn_status cn_loader_create(cn_loader **loader, const cn_loader_opts *opts, cn_error *err)
{
    cn_loader *f = cn_allocate(1, sizeof *f, "fit: batches", err);
    if (!f) return CN_ERR_MEMORY;
    f->opts = *opts;
    if (opts->shards == 0) f->opts.shards = f->opts.count = 1;
    if (opts->accumulate == 0) f->opts.accumulate = 1;
    int size = cn_dataset_size(opts->data), rest = size % opts->batch;
    f->steps = size / opts->batch + (rest > 0 && rest >= opts->least);
    f->end = f->made = f->taken = (int64_t)opts->epochs * f->steps * f->opts.count;
    cn_status status = make_workers(f, err);
    if (status == CN_OK) status = make_room(f, err);
    if (status == CN_OK && opts->background) status = start_maker(f, err);
    if (status == CN_OK) {
        *loader = f;
        f = NULL;
    }
    cn_loader_free(f);
    return status;
}

void cn_loader_free(cn_loader *f)
{
    if (!f) return;
    /* In a child after fork there is no maker to join. */
    if (f->owner == getpid()) {
        pthread_mutex_lock(&f->mutex);
        f->stop = true;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->mutex);
        pthread_join(f->maker, NULL);
        pthread_cond_destroy(&f->changed);
        pthread_mutex_destroy(&f->mutex);
    }
    for (int i = 0; f->augmenters && i < cn_pool_threads(f->pool); i++)
        cn_augmenter_free(&f->augmenters[i]);
    cn_release(f->augmenters);
    cn_pool_free(f->pool);
    cn_release(f->failed);
    cn_release(f->order);
    for (int i = 0; i < SLOTS; i++) {
        if (f->opts.background) cn_release(f->slots[i].x);
        cn_release(f->slots[i].labels);
        cn_release(f->slots[i].targets);
    }
    cn_release(f);
}

/* ---- the trainer */

int cn_loader_steps(const cn_loader *f)
{
    return f->steps;
}

void cn_loader_start(cn_loader *f, int64_t done)
{
    if (f->owner) pthread_mutex_lock(&f->mutex);
    f->made = f->taken = done * f->opts.count;
    if (f->owner) {
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->mutex);
    }
}

double cn_loader_waited(const cn_loader *f)
{
    return f->waited;
}

bool cn_loader_is_ahead(cn_loader *f)
{
    if (f->owner != getpid()) return false;
    pthread_mutex_lock(&f->mutex);
    bool ahead = f->made > f->taken;
    pthread_mutex_unlock(&f->mutex);
    return ahead;
}

cn_status cn_loader_next(cn_loader *f, const cn_batch **batch, cn_error *err)
{
    int64_t number = f->taken;
    cn_error own = {CN_OK, ""};
    if (f->owner == getpid()) {
        pthread_mutex_lock(&f->mutex);
        f->taken++;
        pthread_cond_broadcast(&f->changed);
        double start = f->made <= number ? cn_seconds() : 0;
        while (f->made <= number) pthread_cond_wait(&f->changed, &f->mutex);
        if (start > 0) f->waited += cn_seconds() - start;
        own = f->errors[number % SLOTS];
        if (own.status != CN_OK) f->taken--;
        pthread_mutex_unlock(&f->mutex);
    } else {
        /* In a child after fork, too, whose parent's maker may have left an order half done. */
        if (f->owner) f->order_epoch = 0;
        own.status = make(f, number, &own);
        f->taken += own.status == CN_OK;
    }
    if (own.status != CN_OK) return cn_fail(err, own.status, "%s", own.text);
    *batch = &f->slots[number % SLOTS];
    return CN_OK;
}

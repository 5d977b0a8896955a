/*
 * threads.c - persistent workers that run the tasks of a region.
 *
 * The tasks of a region are divided into one partition per thread, of consecutive tasks, and the
 * same ones in every region of as many tasks: so a thread reads in one layer what it wrote in the
 * layer before. A thread that has finished its own partition helps with the others. A 64-bit ticket
 * per partition holds the region's number and the number of tasks not yet taken. A thread reads
 * what to run, then takes a task by compare-and-swap: if that succeeds, no other region has begun
 * in between, so what it read belongs to the task. A worker that arrives late finds its partition
 * finished by others, and none of them waits for it.
 *
 * Each ticket has a cache line of its own, which stays with its thread: fetching a line that
 * another processor has changed takes up to half a microsecond.
 *
 * An idle thread watches its atomic for SPIN_NS, longer than the gap between two layers, then
 * sleeps on a condition variable. A sleeper announces itself first and then looks at the atomic;
 * the thread that changes the atomic looks for sleepers afterwards. All four accesses are
 * sequentially consistent, so one of the two sees the other.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/threads.h"

#include "base/cgroup.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Helgrind does not know C11 atomics: built with CN_HELGRIND it is told what they order. */
#ifdef CN_HELGRIND
#include <valgrind/helgrind.h>
#define ORDER_BEFORE(atomic) ANNOTATE_HAPPENS_BEFORE(atomic)
#define ORDER_AFTER(atomic)  ANNOTATE_HAPPENS_AFTER(atomic)
#define HIDE_ATOMICS(pool)   VALGRIND_HG_DISABLE_CHECKING(pool, offsetof(cn_pool, mutex))
#else
#define ORDER_BEFORE(atomic) ((void)0)
#define ORDER_AFTER(atomic)  ((void)0)
#define HIDE_ATOMICS(pool)   ((void)0)
#endif

enum { MAX_THREADS = 1024, SPIN_NS = 500000, SPIN_BURST = 32 };

typedef struct worker {
    _Alignas(
        CN_ALIGN) _Atomic uint64_t ticket; /* region << 32 | tasks of its partition not taken */
    pthread_t thread;
    struct cn_pool *pool;
    int index;
} worker;

struct cn_pool {
    _Alignas(CN_ALIGN) _Atomic(cn_task *) run;
    _Atomic(void *) argument;
    _Atomic int tasks;
    _Alignas(CN_ALIGN) _Atomic int pending; /* tasks not finished */
    _Atomic int sleeping;                   /* workers */
    _Atomic bool caller_sleeps;
    _Atomic bool stop;
    _Alignas(CN_ALIGN) pthread_mutex_t mutex; /* for sleeping only */
    pthread_cond_t work, finished;
    int threads, started; /* workers started: threads - 1 */
    bool spins;
    pid_t owner;
    uint64_t regions; /* begun so far */
    worker workers[]; /* the first is the caller */
};

/* ---- how many threads */

/* Those that this process may run on, but no more than a container pays for. */
static int processors(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cn_cgroup_processors("");
    if (quota > 0 && quota < n) n = quota;
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

cn_status cn_thread_count(int wanted, int *threads, cn_error *err)
{
    if (!threads) return cn_fail(err, CN_ERR_ARGUMENT, "threads: NULL output");
    if (wanted < 0 || wanted > MAX_THREADS)
        return cn_fail(err, CN_ERR_ARGUMENT, "threads: %d, expected 1 to %d, or 0 for the default",
                       wanted, MAX_THREADS);
    const char *text = getenv("OMP_NUM_THREADS");
    if (wanted > 0) {
        *threads = wanted;
    } else if (text && *text) {
        /* OpenMP's list, one number a nesting level: the first is ours. */
        char *end;
        long n = strtol(text, &end, 10);
        while (*end == ' ') end++;
        if (end == text || (*end != '\0' && *end != ',') || n < 1 || n > MAX_THREADS)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "threads: OMP_NUM_THREADS is \"%.32s\", expected 1 to %d", text,
                           MAX_THREADS);
        *threads = (int)n;
    } else {
        *threads = processors();
    }
    return CN_OK;
}

/* ---- waiting */

static void pause_processor(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool has_work(worker *self)
{
    return (uint32_t)atomic_load(&self->ticket) != 0 || atomic_load(&self->pool->stop);
}

static bool is_finished(worker *caller)
{
    return atomic_load(&caller->pool->pending) == 0;
}

/* Watches for a short while; false when the time is up. */
static bool spin_until(worker *self, bool (*ready)(worker *))
{
    const bool spins = self->pool->spins;
    int64_t start = spins ? now_ns() : 0;
    do {
        for (int i = 0; i < SPIN_BURST; i++) {
            if (ready(self)) return true;
            pause_processor();
        }
    } while (spins && now_ns() - start < SPIN_NS);
    return false;
}

static void wait_for_work(worker *self)
{
    cn_pool *p = self->pool;
    if (spin_until(self, has_work)) return;
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleeping, 1);
    while (!has_work(self)) pthread_cond_wait(&p->work, &p->mutex);
    atomic_fetch_sub(&p->sleeping, 1);
    pthread_mutex_unlock(&p->mutex);
}

static void wait_until_finished(worker *caller)
{
    cn_pool *p = caller->pool;
    if (!spin_until(caller, is_finished)) {
        pthread_mutex_lock(&p->mutex);
        atomic_store(&p->caller_sleeps, true);
        while (!is_finished(caller)) pthread_cond_wait(&p->finished, &p->mutex);
        atomic_store(&p->caller_sleeps, false);
        pthread_mutex_unlock(&p->mutex);
    }
    ORDER_AFTER(&p->pending);
}

static void wake(cn_pool *p, pthread_cond_t *sleepers)
{
    pthread_mutex_lock(&p->mutex);
    pthread_cond_broadcast(sleepers);
    pthread_mutex_unlock(&p->mutex);
}

/* ---- working */

/* The first task of thread `index`'s partition. */
static int partition_begin(const cn_pool *p, int tasks, int index)
{
    return (int)((int64_t)tasks * index / p->threads);
}

/* Takes and runs tasks of the owner's partition until none is left. Returns how many. */
static int run_partition(worker *owner, int index)
{
    cn_pool *p = owner->pool;
    int done = 0;
    uint64_t ticket = atomic_load(&owner->ticket);
    while ((uint32_t)ticket != 0) {
        cn_task *run = atomic_load_explicit(&p->run, memory_order_relaxed);
        void *argument = atomic_load_explicit(&p->argument, memory_order_relaxed);
        int tasks = atomic_load_explicit(&p->tasks, memory_order_relaxed);
        if (!atomic_compare_exchange_weak(&owner->ticket, &ticket, ticket - 1)) continue;
        ORDER_AFTER(&owner->ticket);
        run(argument, partition_begin(p, tasks, owner->index + 1) - (int)(uint32_t)ticket, index);
        done++;
        ticket = atomic_load(&owner->ticket);
    }
    return done;
}

/* Its own partition, then the others'. */
static void work(worker *self)
{
    cn_pool *p = self->pool;
    int done = 0;
    for (int i = 0; i < p->threads; i++)
        done += run_partition(&p->workers[(self->index + i) % p->threads], self->index);
    if (done == 0) return;
    ORDER_BEFORE(&p->pending);
    bool last = atomic_fetch_sub(&p->pending, done) == done;
    if (last && atomic_load(&p->caller_sleeps)) wake(p, &p->finished);
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    while (!atomic_load(&self->pool->stop)) {
        work(self);
        wait_for_work(self);
    }
    return NULL;
}

void cn_pool_run(cn_pool *p, int tasks, cn_task *run, void *argument)
{
    /* After fork the child has no workers. */
    if (!p || p->threads == 1 || tasks <= 1 || getpid() != p->owner) {
        for (int task = 0; task < tasks; task++) run(argument, task, 0);
        return;
    }
    p->regions++;
    atomic_store_explicit(&p->run, run, memory_order_relaxed);
    atomic_store_explicit(&p->argument, argument, memory_order_relaxed);
    atomic_store_explicit(&p->tasks, tasks, memory_order_relaxed);
    atomic_store_explicit(&p->pending, tasks, memory_order_relaxed);
    for (int i = 0; i < p->threads; i++) {
        int n = partition_begin(p, tasks, i + 1) - partition_begin(p, tasks, i);
        if (n == 0) continue;
        ORDER_BEFORE(&p->workers[i].ticket);
        atomic_store(&p->workers[i].ticket, p->regions << 32 | (uint32_t)n);
    }
    if (atomic_load(&p->sleeping) > 0) wake(p, &p->work);
    work(&p->workers[0]);
    wait_until_finished(&p->workers[0]);
}

/* ---- life and death */

/* Signals are the caller's business: workers block them all. */
static cn_status start_workers(cn_pool *p, cn_error *err)
{
    sigset_t all, before;
    int error = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (error == 0 && p->started < p->threads - 1) {
        worker *w = &p->workers[p->started + 1];
        error = pthread_create(&w->thread, NULL, worker_main, w);
        if (error == 0) p->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return CN_OK;
    return cn_fail(err, CN_ERR_MEMORY, "threads: thread %d of %d could not be started (%s)",
                   p->started + 2, p->threads,
                   error == EAGAIN ? "the system's limit is reached" : "no memory");
}

cn_status cn_pool_create(cn_pool **pool, int threads, cn_error *err)
{
    if (!pool) return cn_fail(err, CN_ERR_ARGUMENT, "threads: NULL pool");
    cn_status status = cn_thread_count(threads, &threads, err);
    if (status != CN_OK) return status;
    size_t bytes = sizeof(cn_pool) + (size_t)threads * sizeof(worker);
    cn_pool *p = cn_allocate(1, bytes, "threads: pool", err);
    if (!p) return CN_ERR_MEMORY;
    HIDE_ATOMICS(p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    p->threads = threads;
    p->spins = threads <= processors(); /* else it would keep another thread from working */
    p->owner = getpid();
    for (int i = 0; i < threads; i++) {
        p->workers[i].pool = p;
        p->workers[i].index = i;
    }
    status = start_workers(p, err);
    if (status != CN_OK) {
        cn_pool_free(p);
        return status;
    }
    *pool = p;
    return CN_OK;
}

void cn_pool_free(cn_pool *p)
{
    if (!p) return;
    /* In a child after fork there is nobody to join, and the condition variables still count
     * sleepers of the parent: destroying them would wait forever. */
    if (getpid() == p->owner) {
        atomic_store(&p->stop, true);
        wake(p, &p->work);
        for (int i = 1; i <= p->started; i++) pthread_join(p->workers[i].thread, NULL);
        pthread_cond_destroy(&p->finished);
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->mutex);
    }
    cn_release(p);
}

int cn_pool_threads(const cn_pool *p)
{
    return p ? p->threads : 1;
}

int cn_pool_parts(const cn_pool *p, int blocks, size_t most)
{
    enum { TASKS = 4 };
    const int threads = cn_pool_threads(p), wanted = threads > 1 ? TASKS * threads : 1;
    const int parts = blocks < wanted ? (wanted + blocks - 1) / blocks : 1;
    return (size_t)parts < most ? parts : (int)most;
}

bool cn_pool_pays(size_t multiply_adds, size_t elements)
{
    enum { ALONE_MULTIPLY_ADDS = 1 << 18, ALONE_ELEMENTS = ALONE_MULTIPLY_ADDS / 8 };
    const char *share = getenv("CONVNET_SHARE");
    if (share && strcmp(share, "all") == 0) return true;
    return multiply_adds > ALONE_MULTIPLY_ADDS || elements > ALONE_ELEMENTS;
}

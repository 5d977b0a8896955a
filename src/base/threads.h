/* threads.h - a small pool of threads that runs independent tasks. */
#ifndef CN_THREADS_H
#define CN_THREADS_H

#include "base/base.h"

typedef struct cn_pool cn_pool;

/* `task` counts 0 .. tasks-1; `worker`, 0 .. threads-1, selects scratch memory. */
typedef void cn_task(void *argument, int task, int worker);

/* threads 0: OMP_NUM_THREADS, else the processors this process may use. */
cn_status cn_pool_create(cn_pool **pool, int threads, cn_error *err);
void cn_pool_free(cn_pool *pool);
/* 1 for NULL. */
int cn_pool_threads(const cn_pool *pool);

/*
 * Calls run(argument, task, worker) once for every task, on the caller's thread and the pool's, and
 * returns when all are done. What a task computes may depend on its number only, never on the
 * worker, so that the results have the same bits for any number of threads. A NULL pool runs the
 * tasks in order. One caller at a time. In a child process after fork, the caller's thread runs
 * them all.
 */
void cn_pool_run(cn_pool *pool, int tasks, cn_task *run, void *argument);

/* Into how many parts, at most `most`, to divide each of `blocks` equal pieces of work, so that there
 * are a few tasks per thread: 1 where the pieces are enough, or there is one thread. */
int cn_pool_parts(const cn_pool *pool, int blocks, size_t most);

/*
 * Is a job of this many multiply-adds and elements worth dividing among threads? Starting a region
 * takes about a microsecond, so a job of less than ten gains nothing. In one microsecond a
 * processor does about 2^18 multiply-adds, or touches an eighth as many elements. CONVNET_SHARE=all
 * makes every job worth it: tests, whose jobs are small, use it.
 */
bool cn_pool_pays(size_t multiply_adds, size_t elements);

#endif

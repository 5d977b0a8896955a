/* threads.h - a small pool that runs independent units of work. */
#ifndef CN_THREADS_H
#define CN_THREADS_H

#include "base/base.h"

typedef struct cn_pool cn_pool;

/* `unit` counts 0 .. units-1; `worker`, 0 .. threads-1, selects scratch memory. */
typedef void cn_task(void *argument, int unit, int worker);

/* threads 0: OMP_NUM_THREADS, else the processors this process may use. */
cn_status cn_pool_create(cn_pool **pool, int threads, cn_error *err);
void cn_pool_free(cn_pool *pool);
/* 1 for NULL. */
int cn_pool_threads(const cn_pool *pool);

/*
 * Calls task(argument, unit, worker) once for every unit, on the caller's thread and the pool's,
 * and returns when all are done. What a unit computes may depend on the unit only, never on the
 * worker: so results are the same bits for any number of threads. A NULL pool runs them in order.
 * One caller at a time. In a child after fork the caller's thread runs them all.
 */
void cn_pool_run(cn_pool *pool, int units, cn_task *task, void *argument);

/*
 * Is a job of so many multiply-adds and elements worth sharing out? That takes about a microsecond,
 * and a job of fewer than ten gains nothing. In so long a processor does about 2^18 multiply-adds,
 * or an eighth as many elements. Tests, whose jobs are small, have all of them shared out: with
 * CONVNET_SHARE=all.
 */
bool cn_pool_pays(size_t multiply_adds, size_t elements);

#endif

/* test_threads.c - every unit runs exactly once, whatever the pool, the region, the process. */
#include "base/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* Neither ThreadSanitizer nor QEMU can follow threads started after a fork. */
#if defined(__SANITIZE_THREAD__) || defined(TEST_EMULATED)
#define NO_THREADS_AFTER_FORK true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NO_THREADS_AFTER_FORK true
#endif
#endif
#ifndef NO_THREADS_AFTER_FORK
#define NO_THREADS_AFTER_FORK false
#endif

enum { MOST_UNITS = 1000, MOST_THREADS = 9, SCRATCH = 64 };

typedef struct region {
    int threads;
    atomic_int runs[MOST_UNITS];
    atomic_int bad_worker;
    /* One piece a worker: the sanitizer sees it when two threads share an index. */
    int scratch[MOST_THREADS][SCRATCH];
    long sum[MOST_UNITS];
} region;

static void count(void *argument, int unit, int worker)
{
    region *r = argument;
    if (worker < 0 || worker >= r->threads) {
        atomic_fetch_add(&r->bad_worker, 1);
        return;
    }
    int *scratch = r->scratch[worker];
    for (int i = 0; i < SCRATCH; i++) scratch[i] = unit + i;
    long sum = 0;
    for (int i = 0; i < SCRATCH; i++) sum += scratch[i];
    r->sum[unit] = sum;
    atomic_fetch_add(&r->runs[unit], 1);
}

static void check_region(cn_pool *pool, region *r, int units)
{
    memset(r, 0, sizeof *r);
    r->threads = cn_pool_threads(pool);
    cn_pool_run(pool, units, count, r);
    assert_int_equal(r->bad_worker, 0);
    for (int u = 0; u < MOST_UNITS; u++) {
        assert_int_equal(r->runs[u], u < units);
        if (u < units) assert_int_equal(r->sum[u], (long)u * SCRATCH + SCRATCH * (SCRATCH - 1) / 2);
    }
}

static void every_unit_runs_once(void **state)
{
    (void)state;
    static region r;
    const int units[] = {0, 1, 2, 3, 7, 8, 64, 999, MOST_UNITS};
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        cn_pool *pool = NULL;
        assert_int_equal(cn_pool_create(&pool, threads, NULL), CN_OK);
        assert_int_equal(cn_pool_threads(pool), threads);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) check_region(pool, &r, units[i]);
        cn_pool_free(pool);
    }
}

static void null_pool_runs_in_order(void **state)
{
    (void)state;
    static region r;
    check_region(NULL, &r, 17);
    assert_int_equal(cn_pool_threads(NULL), 1);
    cn_pool_free(NULL);
}

static void pieces_are_divided_until_all_threads_have_some(void **state)
{
    cn_pool *pool = NULL;
    (void)state;
    assert_int_equal(cn_pool_parts(NULL, 1, 100), 1);
    assert_int_equal(cn_pool_create(&pool, 2, NULL), CN_OK);
    assert_int_equal(cn_pool_parts(pool, 1, 100), 8);
    assert_int_equal(cn_pool_parts(pool, 3, 100), 3);
    assert_int_equal(cn_pool_parts(pool, 3, 2), 2);
    assert_int_equal(cn_pool_parts(pool, 8, 100), 1);
    assert_int_equal(cn_pool_parts(pool, 100, 100), 1);
    cn_pool_free(pool);
}

static void add_unit(void *argument, int unit, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_long *)argument, unit + 1);
}

/* Regions back to back, and after gaps long enough for the workers to fall asleep. */
static void many_regions(void **state)
{
    (void)state;
    cn_pool *pool = NULL;
    assert_int_equal(cn_pool_create(&pool, 2, NULL), CN_OK);
    atomic_long sum = 0;
    for (int i = 0; i < 20000; i++) cn_pool_run(pool, 4, add_unit, &sum);
    for (int i = 0; i < 50; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        cn_pool_run(pool, 4, add_unit, &sum);
    }
    assert_int_equal(sum, 20050 * 10);
    cn_pool_free(pool);
}

typedef struct meeting {
    int threads;
    atomic_int arrived;
} meeting;

/* Waits until all units run: each on a thread of its own, as the others are busy. */
static void meet(void *argument, int unit, int worker)
{
    (void)unit;
    (void)worker;
    meeting *m = argument;
    atomic_fetch_add(&m->arrived, 1);
    while (m->arrived < m->threads) nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
}

static void check_meeting(cn_pool *pool)
{
    meeting m = {.threads = cn_pool_threads(pool)};
    cn_pool_run(pool, m.threads, meet, &m);
    assert_int_equal(m.arrived, m.threads);
}

static void units_run_at_the_same_time(void **state)
{
    (void)state;
    cn_pool *pool = NULL;
    assert_int_equal(cn_pool_create(&pool, 2, NULL), CN_OK);
    check_meeting(pool);
    cn_pool_free(pool);
}

static double thread_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void idle_workers_sleep(void **state)
{
    (void)state;
    static region r;
    cn_pool *pool = NULL;
    assert_int_equal(cn_pool_create(&pool, 2, NULL), CN_OK);
    check_region(pool, &r, 64);
    double used = 1; /* of a fifth of a second, or on a busy machine of one of the next */
    for (int i = 0; i < 50 && used >= 0.05; i++) {
        double before = thread_seconds();
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
        used = thread_seconds() - before;
    }
    assert_true(used < 0.05);
    cn_pool_free(pool);
}

static void a_forked_child_runs_alone(void **state)
{
    (void)state;
    static region r;
    cn_pool *pool = NULL;
    assert_int_equal(cn_pool_create(&pool, 4, NULL), CN_OK);
    /* All workers have begun: one that begins in AddressSanitizer's runtime may hold a lock of its
     * allocator, which would stay locked in the child. */
    check_meeting(pool);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(600); /* a hang becomes a failure */
        memset(&r, 0, sizeof r);
        r.threads = 1;
        cn_pool_run(pool, 100, count, &r);
        int runs = 0;
        for (int u = 0; u < 100; u++) runs += r.runs[u];
        if (!NO_THREADS_AFTER_FORK) {
            cn_pool *own = NULL; /* a pool of the child's own has workers again */
            if (cn_pool_create(&own, 2, NULL) != CN_OK) _exit(2);
            meeting m = {.threads = 2};
            cn_pool_run(own, 2, meet, &m);
            cn_pool_free(own);
            if (m.arrived != 2) _exit(3);
        }
        cn_pool_free(pool);
        _exit(runs == 100 && r.bad_worker == 0 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    check_region(pool, &r, 100); /* the parent's pool is as it was */
    cn_pool_free(pool);
}

static void expect_error(int threads, const char *text)
{
    cn_error err = {0};
    cn_pool *pool = NULL;
    assert_int_equal(cn_pool_create(&pool, threads, &err), CN_ERR_ARGUMENT);
    assert_null(pool);
    assert_string_equal(err.text, text);
}

static void thread_counts_are_validated(void **state)
{
    (void)state;
    expect_error(-1, "threads: -1, expected 1 to 1024, or 0 for the default");
    expect_error(1025, "threads: 1025, expected 1 to 1024, or 0 for the default");
    assert_int_equal(cn_pool_create(NULL, 1, NULL), CN_ERR_ARGUMENT);

    const char *wrong[] = {"0", "-2", "two", "3x", "4096"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[100];
        setenv("OMP_NUM_THREADS", wrong[i], 1);
        snprintf(text, sizeof text, "threads: OMP_NUM_THREADS is \"%s\", expected 1 to 1024",
                 wrong[i]);
        expect_error(0, text);
    }
    const struct {
        const char *text;
        int asked, threads;
    } right[] = {{"3", 0, 3}, {"2,4", 0, 2}, {" 2 ", 0, 2}, {"3", 5, 5}, {"wrong", 2, 2}};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        cn_pool *pool = NULL;
        setenv("OMP_NUM_THREADS", right[i].text, 1);
        assert_int_equal(cn_pool_create(&pool, right[i].asked, NULL), CN_OK);
        assert_int_equal(cn_pool_threads(pool), right[i].threads);
        cn_pool_free(pool);
    }
    unsetenv("OMP_NUM_THREADS");
    cn_pool *pool = NULL;
    assert_int_equal(cn_pool_create(&pool, 0, NULL), CN_OK);
    assert_in_range(cn_pool_threads(pool), 1, 1024);
    cn_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_divided_until_all_threads_have_some),
        cmocka_unit_test(every_unit_runs_once),
        cmocka_unit_test(null_pool_runs_in_order),
        cmocka_unit_test(many_regions),
        cmocka_unit_test(units_run_at_the_same_time),
        cmocka_unit_test(idle_workers_sleep),
        cmocka_unit_test(a_forked_child_runs_alone),
        cmocka_unit_test(thread_counts_are_validated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

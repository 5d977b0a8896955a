/*
 * communicator_mpi.c - ranks that mpirun, mpiexec or srun has started, by MPI 3. The only file that
 * knows of MPI, where the library is built with it (CONVNET_MPI).
 *
 * An exchange is a receive and a send per other rank, none of them blocking, in pieces of at most a
 * gigabyte, as MPI counts in int. Waiting looks again and again and leaves the processor to others
 * in between: ranks may share one, and MPI's own waits do not.
 *
 * Ranks on one machine share memory by windows of MPI.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/base.h"
#include "base/cgroup.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A number of ranks, 0 where the text is none. */
static int read_size(const char *text)
{
    double number;
    const char *end = text ? cn_number_scan(text, &number) : NULL;
    return end && *end == '\0' && number >= 1 && number <= INT_MAX ? (int)number : 0;
}

int cn_mpi_launched(void)
{
    /* Open MPI; MPICH and Intel MPI; Slurm with PMI-2 or PMIx, whose number of tasks is Slurm's. */
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    static const char *const ranks[] = {"PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int size = read_size(getenv(sizes[i]));
        if (size > 0) return size;
    }
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        const int size = read_size(getenv("SLURM_NTASKS"));
        if (getenv(ranks[i])) return size > 0 ? size : 1;
    }
    return 0;
}

#ifndef CONVNET_HAVE_MPI

cn_status cn_mpi_open(cn_communicator *comm, cn_error *err)
{
    (void)comm;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "built without MPI, so that several processes cannot train together; CMake's "
                   "option is CONVNET_MPI");
}

void cn_mpi_close(cn_communicator *comm)
{
    (void)comm;
}

#else

#include <mpi.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <time.h>

enum { PIECE = 1 << 30 };

/* What is under way with a tag, and room for it. */
typedef struct transfer {
    int tag, count, room;
    MPI_Request *requests;
    struct transfer *next;
} transfer;

/* Memory that the ranks share. */
typedef struct window {
    MPI_Win win;
    const void *first; /* where rank 0's part begins here */
    struct window *next;
} window;

typedef struct state {
    MPI_Comm comm;
    int rank, size;
    bool ours; /* initialized here */
    transfer *transfers;
    window *windows;
} state;

static cn_status check(int code, cn_error *err)
{
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (code == MPI_SUCCESS) return CN_OK;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS) length = 0;
    return cn_fail(err, CN_ERR_IO, "MPI: %.*s", length < 200 ? length : 200, text);
}

/* ---- exchanges */

/* What this rank has written to shared memory is seen by others, and the other way round. */
static void synchronize(const state *s)
{
    for (const window *w = s->windows; w; w = w->next) MPI_Win_sync(w->win);
}

static int pieces(size_t bytes)
{
    return (int)((bytes + PIECE - 1) / PIECE);
}

/* The transfer with this tag, with room for what it has to do. */
static transfer *transfer_for(state *s, int tag, int count, cn_error *err)
{
    transfer *t = s->transfers;
    while (t && t->tag != tag) t = t->next;
    if (!t) {
        t = cn_allocate(1, sizeof *t, "MPI: exchange", err);
        if (!t) return NULL;
        *t = (transfer){.tag = tag, .next = s->transfers};
        s->transfers = t;
    }
    if (count > t->room) {
        MPI_Request *requests = cn_allocate((size_t)count, sizeof *requests, "MPI: exchange", err);
        if (!requests) return NULL;
        cn_release(t->requests);
        t->requests = requests;
        t->room = count;
    }
    t->count = 0;
    return t;
}

static int post(state *s, transfer *t, int rank, const cn_part *part, bool send)
{
    for (size_t at = 0, n; at < part->bytes; at += n) {
        char *data = (char *)part->data + at;
        MPI_Request *request = &t->requests[t->count];
        n = part->bytes - at < PIECE ? part->bytes - at : PIECE;
        int code = send ? MPI_Isend(data, (int)n, MPI_BYTE, rank, t->tag, s->comm, request)
                        : MPI_Irecv(data, (int)n, MPI_BYTE, rank, t->tag, s->comm, request);
        if (code != MPI_SUCCESS) return code;
        t->count++;
    }
    return MPI_SUCCESS;
}

/* Tag 0 is that of the exchanges that are waited for. */
static cn_status begin(state *s, int tag, const cn_part *send, const cn_part *receive,
                       transfer **begun, cn_error *err)
{
    int count = 0, code = MPI_SUCCESS;
    synchronize(s);
    for (int r = 0; r < s->size; r++)
        if (r != s->rank) count += pieces(send[r].bytes) + pieces(receive[r].bytes);
    transfer *t = transfer_for(s, tag, count, err);
    if (!t) return CN_ERR_MEMORY;
    for (int r = 0; r < s->size && code == MPI_SUCCESS; r++)
        if (r != s->rank) code = post(s, t, r, &receive[r], false);
    /* Each rank begins with the next one, so that not all send to the same. */
    for (int i = 1; i < s->size && code == MPI_SUCCESS; i++) {
        int r = (s->rank + i) % s->size;
        code = post(s, t, r, &send[r], true);
    }
    *begun = t;
    return check(code, err);
}

static cn_status is_done(const state *s, transfer *t, bool *done, cn_error *err)
{
    int flag = 0;
    int code = MPI_Testall(t->count, t->requests, &flag, MPI_STATUSES_IGNORE);
    *done = flag;
    if (flag) synchronize(s);
    return check(code, err);
}

static cn_status start(void *self, int tag, const cn_part *send, const cn_part *receive,
                       cn_error *err)
{
    transfer *t;
    return begin(self, tag + 1, send, receive, &t, err);
}

static cn_status test(void *self, int tag, bool *done, cn_error *err)
{
    const state *s = self;
    transfer *t = s->transfers;
    while (t && t->tag != tag + 1) t = t->next;
    if (!t) return cn_fail(err, CN_ERR_ARGUMENT, "MPI: no exchange with tag %d", tag);
    return is_done(s, t, done, err);
}

static cn_status exchange(void *self, const cn_part *send, const cn_part *receive, cn_error *err)
{
    enum { PATIENT = 256 };
    const struct timespec pause = {.tv_nsec = 20000};
    transfer *t = NULL;
    bool done = false;
    cn_status status = begin(self, 0, send, receive, &t, err);
    for (int turns = 0; status == CN_OK; turns++) {
        status = is_done(self, t, &done, err);
        if (done) break;
        if (turns < PATIENT)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
    return status;
}

/* ---- shared memory */

/* Is there room for all ranks' parts? Open MPI keeps windows there, and a process that touches what
 * there is no room for ends at once. */
static bool there_is_room(const state *s, size_t bytes)
{
    struct statvfs found;
    unsigned long long mine = bytes, all = 0;
    if (MPI_Allreduce(&mine, &all, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, s->comm) != MPI_SUCCESS)
        return false;
    if (statvfs("/dev/shm", &found) != 0) return false;
    return all < (unsigned long long)found.f_bavail * found.f_frsize / 10 * 9;
}

/* All ranks, or none. */
static bool all_can(const state *s, bool can)
{
    int mine = can, all = 0;
    if (MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, s->comm) != MPI_SUCCESS) return false;
    return all;
}

static MPI_Win make_window(const state *s, size_t bytes)
{
    MPI_Win win = MPI_WIN_NULL;
    MPI_Info info = MPI_INFO_NULL;
    void *mine;
    /* Each rank's part on pages of its own. */
    if (MPI_Info_create(&info) == MPI_SUCCESS) MPI_Info_set(info, "alloc_shared_noncontig", "true");
    int code = MPI_Win_allocate_shared((MPI_Aint)(bytes + CN_ALIGN), 1, info, s->comm, &mine, &win);
    if (info != MPI_INFO_NULL) MPI_Info_free(&info);
    return code == MPI_SUCCESS ? win : MPI_WIN_NULL;
}

/* Pages begin at the same place in all processes, and so does what is aligned. */
static bool find_part(MPI_Win win, int rank, void **part)
{
    MPI_Aint bytes;
    int unit;
    char *at;
    if (MPI_Win_shared_query(win, rank, &bytes, &unit, &at) != MPI_SUCCESS) return false;
    *part = at + (CN_ALIGN - (uintptr_t)at % CN_ALIGN) % CN_ALIGN;
    return true;
}

static cn_status share_memory(void *self, size_t bytes, void **parts, cn_error *err)
{
    state *s = self;
    window *w = cn_allocate(1, sizeof *w, "MPI: shared memory", err);
    parts[0] = NULL;
    const cn_status status = w ? CN_OK : CN_ERR_MEMORY;
    bool can = there_is_room(s, bytes) && w;
    if (!all_can(s, can)) {
        cn_release(w);
        return status;
    }
    w->win = make_window(s, bytes);
    can = w->win != MPI_WIN_NULL;
    for (int r = 0; r < s->size && can; r++) can = find_part(w->win, r, &parts[r]);
    can = can && MPI_Win_lock_all(MPI_MODE_NOCHECK, w->win) == MPI_SUCCESS;
    if (!all_can(s, can)) {
        parts[0] = NULL;
        cn_release(w);
        return CN_OK;
    }
    w->first = parts[0];
    w->next = s->windows;
    s->windows = w;
    return CN_OK;
}

static void free_memory(void *self, void **parts)
{
    state *s = self;
    window **at = &s->windows;
    while (*at && (*at)->first != parts[0]) at = &(*at)->next;
    window *w = *at;
    if (!w) return;
    *at = w->next;
    MPI_Win_unlock_all(w->win);
    MPI_Win_free(&w->win);
    cn_release(w);
}

/* ---- where the ranks run */

/* Threads for this rank: its processors, shared with the ranks of this machine that may run on the
 * same ones; and its part of what a container may use. 0: OMP_NUM_THREADS says. */
static int threads_of(MPI_Comm local)
{
    int rank, size, sharing = 0, quota = cn_cgroup_processors("");
    const char *told = getenv("OMP_NUM_THREADS");
    cpu_set_t mine, common;
    MPI_Comm_rank(local, &rank);
    MPI_Comm_size(local, &size);
    cpu_set_t *all = cn_allocate((size_t)size, sizeof *all, "MPI: processors", NULL);
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) CPU_ZERO(&mine);
    if (!all) return 1;
    if (MPI_Allgather(&mine, (int)sizeof mine, MPI_BYTE, all, (int)sizeof mine, MPI_BYTE, local) !=
        MPI_SUCCESS)
        memset(all, 0, (size_t)size * sizeof *all);
    for (int r = 0; r < size; r++) {
        CPU_AND(&common, &mine, &all[r]);
        sharing += CPU_COUNT(&common) > 0;
    }
    cn_release(all);
    int threads = CPU_COUNT(&mine) / (sharing > 0 ? sharing : 1);
    if (quota > 0 && quota / size < threads) threads = quota / size;
    if (told && *told) return 0;
    return threads < 1 ? 1 : threads;
}

/* How many machines: each has one rank that is the first there. */
static cn_status look_around(state *s, cn_communicator *comm, cn_error *err)
{
    MPI_Comm local;
    int rank, first;
    cn_status status =
        check(MPI_Comm_split_type(s->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local), err);
    if (status != CN_OK) return status;
    comm->threads = threads_of(local);
    MPI_Comm_rank(local, &rank);
    first = rank == 0;
    status = check(MPI_Allreduce(&first, &comm->hosts, 1, MPI_INT, MPI_SUM, s->comm), err);
    MPI_Comm_free(&local);
    return status;
}

/* ---- life and death */

void cn_mpi_close(cn_communicator *comm)
{
    state *s = comm->self;
    if (!s) return;
    while (s->transfers) {
        transfer *t = s->transfers;
        s->transfers = t->next;
        cn_release(t->requests);
        cn_release(t);
    }
    if (s->comm != MPI_COMM_NULL) MPI_Comm_free(&s->comm);
    if (s->ours) MPI_Finalize();
    cn_release(s);
    *comm = (cn_communicator){.size = 1};
}

cn_status cn_mpi_open(cn_communicator *comm, cn_error *err)
{
    int initialized = 0, provided;
    state *s = cn_allocate(1, sizeof *s, "MPI", err);
    if (!s) return CN_ERR_MEMORY;
    *s = (state){.comm = MPI_COMM_NULL, .size = 1};
    cn_communicator made = {.self = s, .exchange = exchange, .start = start, .test = test};
    cn_status status = check(MPI_Initialized(&initialized), err);
    if (status == CN_OK && !initialized) {
        /* The pool's threads and the loader's do not call MPI. */
        status = check(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided), err);
        s->ours = status == CN_OK;
    }
    if (status == CN_OK) status = check(MPI_Comm_dup(MPI_COMM_WORLD, &s->comm), err);
    if (status == CN_OK) status = check(MPI_Comm_set_errhandler(s->comm, MPI_ERRORS_RETURN), err);
    if (status == CN_OK) status = check(MPI_Comm_rank(s->comm, &s->rank), err);
    if (status == CN_OK) status = check(MPI_Comm_size(s->comm, &s->size), err);
    if (status == CN_OK) status = look_around(s, &made, err);
    made.rank = s->rank;
    made.size = s->size;
    if (made.hosts == 1 && made.size > 1) {
        made.share = share_memory;
        made.unshare = free_memory;
    }
    if (status == CN_OK)
        *comm = made;
    else
        cn_mpi_close(&made);
    return status;
}

#endif

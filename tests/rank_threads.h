/* rank_threads.h - ranks as threads of one process: a communicator over shared memory. */
#ifndef TEST_RANK_THREADS_H
#define TEST_RANK_THREADS_H

#include "convnet.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS_MOST = 8, SHARES_MOST = 4 };

/* What one rank has sent to another, and that one has not yet received. */
typedef struct letter {
    int from, to, tag;
    size_t bytes;
    void *data;
    struct letter *next;
} letter;

typedef struct post_office {
    pthread_mutex_t mutex;
    letter *first, **last;
    int size;
    size_t sent;                           /* bytes, all of them together */
    bool shares;                           /* do the ranks have memory that all see? */
    void *shared[SHARES_MOST][RANKS_MOST]; /* of each time that they asked for some */
} post_office;

/* An exchange that a rank has started; tag 0 is the blocking one. */
typedef struct pending {
    int tag;
    cn_part receive[RANKS_MOST];
    bool arrived[RANKS_MOST];
    struct pending *next;
} pending;

typedef struct rank_self {
    post_office *office;
    int rank;
    pending *first;
    int shares; /* how often it has asked */
} rank_self;

static inline void post(post_office *office, int from, int to, int tag, const cn_part *part)
{
    letter *l = calloc(1, sizeof *l);
    *l = (letter){.from = from, .to = to, .tag = tag, .bytes = part->bytes};
    l->data = malloc(part->bytes + 1);
    if (part->bytes) memcpy(l->data, part->data, part->bytes);
    pthread_mutex_lock(&office->mutex);
    *office->last = l;
    office->last = &l->next;
    office->sent += part->bytes;
    pthread_mutex_unlock(&office->mutex);
}

/* Takes the oldest letter of its kind into the part; false where there is none yet. */
static inline bool collect(post_office *office, int from, int to, int tag, const cn_part *part)
{
    pthread_mutex_lock(&office->mutex);
    letter **at = &office->first;
    while (*at && ((*at)->from != from || (*at)->to != to || (*at)->tag != tag)) at = &(*at)->next;
    letter *l = *at;
    if (l) {
        *at = l->next;
        if (office->last == &l->next) office->last = at;
    }
    pthread_mutex_unlock(&office->mutex);
    if (!l) return false;
    if (l->bytes != part->bytes) abort(); /* the two ranks do not agree */
    if (l->bytes) memcpy(part->data, l->data, l->bytes);
    free(l->data);
    free(l);
    return true;
}

static inline cn_status rank_start(void *self, int tag, const cn_part *send, const cn_part *receive,
                                   cn_error *err)
{
    rank_self *s = self;
    pending *p = calloc(1, sizeof *p);
    (void)err;
    p->tag = tag + 1;
    p->next = s->first;
    s->first = p;
    for (int r = 0; r < s->office->size; r++) {
        p->receive[r] = receive[r];
        p->arrived[r] = r == s->rank;
        if (r != s->rank) post(s->office, s->rank, r, tag + 1, &send[r]);
    }
    return CN_OK;
}

static inline cn_status rank_test(void *self, int tag, bool *done, cn_error *err)
{
    rank_self *s = self;
    pending **at = &s->first;
    (void)err;
    while ((*at)->tag != tag + 1) at = &(*at)->next;
    pending *p = *at;
    *done = true;
    for (int r = 0; r < s->office->size; r++) {
        if (!p->arrived[r]) p->arrived[r] = collect(s->office, r, s->rank, p->tag, &p->receive[r]);
        if (!p->arrived[r]) *done = false;
    }
    if (*done) {
        *at = p->next;
        free(p);
    }
    return CN_OK;
}

static inline cn_status rank_exchange(void *self, const cn_part *send, const cn_part *receive,
                                      cn_error *err)
{
    bool done = false;
    rank_start(self, -1, send, receive, err);
    while (!done) {
        rank_test(self, -1, &done, err);
        sched_yield();
    }
    return CN_OK;
}

/* All ranks have come here. */
static inline void rank_meet(rank_self *s)
{
    cn_part nothing[RANKS_MOST] = {{NULL, 0}};
    rank_exchange(s, nothing, nothing, NULL);
}

static inline cn_status rank_share(void *self, size_t bytes, void **parts, cn_error *err)
{
    rank_self *s = self;
    (void)err;
    if (s->shares == SHARES_MOST) abort();
    void **row = s->office->shared[s->shares++];
    row[s->rank] = aligned_alloc(64, (bytes + 64) / 64 * 64);
    rank_meet(s);
    memcpy(parts, row, (size_t)s->office->size * sizeof *parts);
    return CN_OK;
}

static inline void rank_unshare(void *self, void **parts)
{
    rank_self *s = self;
    rank_meet(s);
    free(parts[s->rank]);
}

static inline void office_open(post_office *office, int size)
{
    *office = (post_office){.size = size};
    office->last = &office->first;
    pthread_mutex_init(&office->mutex, NULL);
}

static inline void office_close(post_office *office)
{
    pthread_mutex_destroy(&office->mutex);
}

static inline cn_communicator rank_communicator(rank_self *self, post_office *office, int rank,
                                                bool background)
{
    *self = (rank_self){.office = office, .rank = rank};
    return (cn_communicator){.rank = rank,
                             .size = office->size,
                             .self = self,
                             .exchange = rank_exchange,
                             .start = background ? rank_start : NULL,
                             .test = background ? rank_test : NULL,
                             .share = office->shares ? rank_share : NULL,
                             .unshare = office->shares ? rank_unshare : NULL};
}

#endif

/*
 * group.h - what the ranks of a training do together, made of nothing but a communicator's
 * exchanges. Every rank makes the same calls in the same order. Of a single rank they are no-ops.
 */
#ifndef CN_GROUP_H
#define CN_GROUP_H

#include "base/base.h"

typedef struct cn_group {
    const cn_communicator *comm; /* NULL: this process alone */
    int rank, size;
    cn_part *send, *receive; /* `size` of each */
} cn_group;

/* The communicator may be NULL, and must outlive the group. */
cn_status cn_group_create(cn_group *group, const cn_communicator *comm, cn_error *err);
void cn_group_free(cn_group *group);

/* What the caller has put into `send` and `receive`. */
cn_status cn_group_exchange(cn_group *group, cn_error *err);
/* all (size, bytes): each rank's row is sent to all others. */
cn_status cn_group_gather(cn_group *group, size_t bytes, void *all, cn_error *err);
/* CN_OK where all ranks hand in CN_OK; else, on all of them, the error of the first that does not,
 * which says its rank unless all fail. `err` is that of the status. */
cn_status cn_group_agree(cn_group *group, cn_status status, cn_error *err);
/* The same where the ranks' statuses, `size` of them, are known already. */
cn_status cn_group_share_error(cn_group *group, const cn_status *statuses, cn_error *err);

/* The first of n things that rank r looks after: neighbors, as evenly as n allows. */
int cn_group_first(int n, int r, int size);

#endif

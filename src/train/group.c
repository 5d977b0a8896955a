/* group.c - gathers, broadcasts and agreements of ranks, by exchanges. */
#include "train/group.h"

#include <string.h>

cn_status cn_group_create(cn_group *g, const cn_communicator *comm, cn_error *err)
{
    cn_group made = {.comm = comm, .size = 1};
    if (comm) {
        if (comm->size < 1 || comm->rank < 0 || comm->rank >= comm->size)
            return cn_fail(err, CN_ERR_ARGUMENT, "communicator: rank %d of %d", comm->rank,
                           comm->size);
        if (!comm->exchange || !comm->start != !comm->test)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "communicator: expected exchange, and start and test or neither");
        if (!comm->share != !comm->unshare)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "communicator: expected share and unshare, or neither");
        made.rank = comm->rank;
        made.size = comm->size;
    }
    made.send = cn_allocate(2 * (size_t)made.size, sizeof *made.send, "communicator", err);
    if (!made.send) return CN_ERR_MEMORY;
    made.receive = made.send + made.size;
    *g = made;
    return CN_OK;
}

void cn_group_free(cn_group *g)
{
    cn_release(g->send);
    *g = (cn_group){.size = 1};
}

cn_status cn_group_exchange(cn_group *g, cn_error *err)
{
    if (g->size == 1) return CN_OK;
    return g->comm->exchange(g->comm->self, g->send, g->receive, err);
}

cn_status cn_group_gather(cn_group *g, size_t bytes, void *all, cn_error *err)
{
    if (g->size == 1) return CN_OK;
    for (int r = 0; r < g->size; r++) {
        g->send[r] = (cn_part){(char *)all + (size_t)g->rank * bytes, bytes};
        g->receive[r] = (cn_part){(char *)all + (size_t)r * bytes, bytes};
    }
    return cn_group_exchange(g, err);
}

/* Data of the rank `root` becomes that of all. */
static cn_status broadcast(cn_group *g, int root, size_t bytes, void *data, cn_error *err)
{
    if (g->size == 1) return CN_OK;
    for (int r = 0; r < g->size; r++) {
        g->send[r] = (cn_part){data, g->rank == root ? bytes : 0};
        g->receive[r] = (cn_part){data, r == root ? bytes : 0};
    }
    return cn_group_exchange(g, err);
}

cn_status cn_group_share_error(cn_group *g, const cn_status *statuses, cn_error *err)
{
    cn_error shared = {CN_OK, ""};
    int first = 0, failed = 0;
    for (int r = g->size - 1; r >= 0; r--) {
        if (statuses[r] == CN_OK) continue;
        first = r;
        failed++;
    }
    if (failed == 0) return CN_OK;
    if (g->size == 1) return statuses[0];
    if (first == g->rank && err) shared = *err;
    cn_status status = broadcast(g, first, sizeof shared, &shared, err);
    if (status != CN_OK) return status;
    shared.text[sizeof shared.text - 1] = '\0';
    if (failed == g->size) return cn_fail(err, statuses[0], "%s", shared.text);
    return cn_fail(err, statuses[first], "rank %d of %d: %.230s", first, g->size, shared.text);
}

cn_status cn_group_agree(cn_group *g, cn_status status, cn_error *err)
{
    cn_error lost;
    if (g->size == 1) return status;
    cn_status *all = cn_allocate((size_t)g->size, sizeof *all, "communicator", NULL);
    if (!all) return cn_fail(err, CN_ERR_MEMORY, "communicator: no memory to agree");
    all[g->rank] = status;
    cn_status sent = cn_group_gather(g, sizeof *all, all, &lost);
    if (sent == CN_OK)
        status = cn_group_share_error(g, all, err);
    else if (status == CN_OK)
        status = cn_fail(err, sent, "%s", lost.text);
    cn_release(all);
    return status;
}

int cn_group_first(int n, int r, int size)
{
    return (int)((int64_t)n * r / size);
}

/* order.c - the order in which an epoch visits the examples. */
#include "train/train.h"

#include "base/counter.h"

/* The high word keeps these streams apart from those of a model's initialisation, which may well
 * start from the same seed. */
static const uint64_t order_streams = UINT64_C(0x6f72646572) << 24; /* "order" */

void cn_order_shuffle(uint64_t seed, int epoch, int n, int *order)
{
    for (int i = 0; i < n; i++) order[i] = i;
    cn_counter_shuffle(seed, order_streams + (uint64_t)epoch, n, order);
}

/*
 * counter.h - random numbers without state: a draw is a function of (seed, stream, index).
 *
 * For initialization, shuffling, dropout: any thread computes any draw in any order, and stopping
 * and resuming needs nothing but the index. A stream serves one purpose (a parameter's
 * initialization, an epoch's order) and one kind of draw.
 */
#ifndef CN_COUNTER_H
#define CN_COUNTER_H

#include "base/base.h"

/* Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011): four random words from a counter. */
void cn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

uint32_t cn_counter_uint32(uint64_t seed, uint64_t stream, uint64_t index);
/* Uniform in [0, 1), 53 bits. */
double cn_counter_uniform(uint64_t seed, uint64_t stream, uint64_t index);
/* Standard normal. */
double cn_counter_normal(uint64_t seed, uint64_t stream, uint64_t index);
/* Shuffles items[0..n-1] in place (Fisher and Yates); the result depends on their order before. */
void cn_counter_shuffle(uint64_t seed, uint64_t stream, int n, int *items);

#endif

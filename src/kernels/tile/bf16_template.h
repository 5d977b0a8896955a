/*
 * bf16_template.h - products of bfloat16, which is the upper half of a float: all of its exponent,
 * and 8 of the 24 bits of its significand.
 *
 * Arrays hold floats. Operands are rounded when they are copied for a product, and two that follow
 * each other in a sum form a *pair*, which takes the space of a float:
 *
 *     sum over k < K of a[k] b[k] = sum over h of a[2 h] b[2 h] + a[2 h + 1] b[2 h + 1]
 *
 * with a zero appended where K is odd. So code that moves floats moves pairs as well, and half as
 * many; only the multiplication differs. The sums are floats.
 *
 * Parameter: LANES. Provides: pairs of bf16, their products (dot_pairs), weights as pairs.
 */
#ifndef CN_BF16_TEMPLATE_H
#define CN_BF16_TEMPLATE_H

#include "base/geometry.h"
#include "base/threads.h"
#include "kernels/tile/vector_template.h"

#if LANES == 16 && defined(__AVX512F__) && defined(CONVNET_HAVE_AVX512BF16)
#define BF16_INSTRUCTION 1
#else
#define BF16_INSTRUCTION 0
#endif

typedef uint16_t vh __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

/* v rounded to the nearest bf16, ties to even, NaN to NaN, in the lower half of each lane. */
INLINE vu round_to_bf16(vf v)
{
    const vu bits = (vu)v, odd = bits >> 16 & 1, quiet = bits | 0x400000;
    return (vu)select(v == v, (vf)(bits + 0x7fff + odd), (vf)quiet) >> 16;
}

/* (first, second) lane by lane. */
INLINE vf pair_lanes(vf first, vf second)
{
    return (vf)(round_to_bf16(first) | round_to_bf16(second) << 16);
}

INLINE void store_pair(float *p, float first, float second)
{
    const vu pair = (vu)pair_lanes(broadcast(first), broadcast(second));
    const uint32_t one = pair[0];
    memcpy(p, &one, sizeof one);
}

/* The pair at p in all lanes, without float arithmetic: its bits are not those of a float. */
INLINE vf broadcast_pair(const float *p)
{
    uint32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (vf)((vu){0} | pair);
}

/* sum + a[1] b[1] + a[0] b[0]. The products are exact, so fusing them changes nothing. The
 * instruction treats numbers below 2^-126 as zeros. The AVX-512 kernels contain it:
 * cn_kernels_with_bf16 checks that the processor supports it. */
INLINE vf dot_pairs(vf sum, vf a, vf b)
{
#if BF16_INSTRUCTION
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); /* as in fma_in_place */
    return sum;
#else
    sum = fmadd((vf)((vu)a & 0xffff0000), (vf)((vu)b & 0xffff0000), sum);
    return fmadd((vf)((vu)a << 16), (vf)((vu)b << 16), sum);
#endif
}

INLINE int pairs_of(int n)
{
    return (n + 1) / 2;
}

/* n neighbors as pairs of neighbors. */
INLINE void pair_run(const float *from, int n, float *to)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES)
        *(vh *)(to + j / 2) = __builtin_convertvector(round_to_bf16(load(from + j)), vh);
    for (; j < n; j += 2) store_pair(to + j / 2, from[j], j + 1 < n ? from[j + 1] : 0);
}

/* Pixels of n channels, each as pairs_of(n) pairs of neighboring channels. */
static void pair_pixels(const float *from, ptrdiff_t pixels, int n, float *to)
{
    if (n % 2 == 0 && pixels * n <= INT32_MAX) {
        pair_run(from, (int)pixels * n, to);
        return;
    }
    for (ptrdiff_t p = 0; p < pixels; p++) pair_run(from + p * n, n, to + p * pairs_of(n));
}

/* Two rows of n numbers as a row of n pairs; b NULL stands for zeros. */
static void pair_rows(const float *a, const float *b, int n, float *to)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES)
        store(to + j, pair_lanes(load(a + j), b ? load(b + j) : (vf){0}));
    for (; j < n; j++) store_pair(to + j, a[j], b ? b[j] : 0);
}

/* ---- weights, as pairs in memory */

enum { PAIRED_ROWS = 64 }; /* rows of the result per task */

static size_t paired_weights(int fh, int fw, int c, int oc)
{
    return (size_t)fh * (size_t)fw * (size_t)c * (size_t)oc;
}

typedef struct pairing {
    int c, oc;
    const float *w;
    float *pairs;
    int rows; /* of the result */
} pairing;

static void pair_filters_task(void *argument, int task, int worker)
{
    const pairing *z = argument;
    const int row = task * PAIRED_ROWS, rows = min(PAIRED_ROWS, z->rows - row), n = z->oc;
    (void)worker;
    pair_pixels(z->w + (ptrdiff_t)row * n, rows, n, z->pairs + (ptrdiff_t)row * pairs_of(n));
}

/* w (fh, fw, c, oc) as (fh, fw, c, pairs): channel k with k + 1, which backward data sums over. */
static void pair_filters(const cn_conv_problem *s, const float *w, float *pairs, cn_pool *pool)
{
    pairing z = {s->c, s->oc, w, pairs, s->fh * s->fw * s->c};
    cn_pool_run(pool, div_ceil(z.rows, PAIRED_ROWS), pair_filters_task, &z);
}

static void pair_channels_task(void *argument, int task, int worker)
{
    const pairing *z = argument;
    const int c = z->c, oc = z->oc, last = min(z->rows, (task + 1) * PAIRED_ROWS);
    (void)worker;
    for (int row = task * PAIRED_ROWS; row < last; row++) {
        const int tap = row / pairs_of(c), j = 2 * (row % pairs_of(c));
        const float *from = z->w + ((ptrdiff_t)tap * c + j) * oc;
        pair_rows(from, j + 1 < c ? from + oc : NULL, oc, z->pairs + (ptrdiff_t)row * oc);
    }
}

/* As (fh, fw, pairs, oc): channel j with j + 1, which forward sums over. */
static void pair_channels(const cn_conv_problem *s, const float *w, float *pairs, cn_pool *pool)
{
    pairing z = {s->c, s->oc, w, pairs, s->fh * s->fw * pairs_of(s->c)};
    cn_pool_run(pool, div_ceil(z.rows, PAIRED_ROWS), pair_channels_task, &z);
}

#endif

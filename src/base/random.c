/*
 * random.c - numpy's legacy random stream, bit for bit.
 *
 * The generator is MT19937 (Matsumoto and Nishimura 1998); the normal draws are Marsaglia's polar
 * method (1964). The order in which draws are taken from the stream is part of the contract, and
 * so is every rounding: this file must be compiled without fused multiply-adds.
 */
#include "base/base.h"

#include <math.h>

enum { N = 624, M = 397 };

void cn_rng_seed(cn_rng *rng, uint32_t seed)
{
    *rng = (cn_rng){.position = N}; /* all used up: the first draw makes new words */
    for (int i = 0; i < N; i++) {
        rng->key[i] = seed;
        seed = 1812433253u * (seed ^ seed >> 30) + (uint32_t)i + 1;
    }
}

/* The next 624 words of the recurrence, in place. */
static void regenerate(uint32_t key[N])
{
    for (int i = 0; i < N; i++) {
        uint32_t y = (key[i] & 0x80000000u) | (key[(i + 1) % N] & 0x7fffffffu);
        key[i] = key[(i + M) % N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
}

static uint32_t next32(cn_rng *rng)
{
    if (rng->position >= N) {
        regenerate(rng->key);
        rng->position = 0;
    }
    uint32_t y = rng->key[rng->position++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

static uint64_t next64(cn_rng *rng)
{
    uint64_t high = next32(rng);
    return high << 32 | next32(rng);
}

double cn_rng_rand(cn_rng *rng)
{
    uint32_t a = next32(rng) >> 5, b = next32(rng) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0; /* (a 2^26 + b) / 2^53 */
}

double cn_rng_randn(cn_rng *rng)
{
    if (rng->has_gauss) {
        double kept = rng->gauss;
        rng->has_gauss = false;
        rng->gauss = 0;
        return kept;
    }
    double x1, x2, r2;
    do {
        x1 = 2.0 * cn_rng_rand(rng) - 1.0;
        x2 = 2.0 * cn_rng_rand(rng) - 1.0;
        r2 = x1 * x1 + x2 * x2;
    } while (r2 >= 1.0 || r2 == 0.0);
    double f = sqrt(-2.0 * log(r2) / r2);
    rng->gauss = f * x1;
    rng->has_gauss = true;
    return f * x2;
}

/* Uniform in 0 .. max: draws under the smallest mask 2^k - 1 >= max until one is not above it. */
static uint64_t interval(cn_rng *rng, uint64_t max)
{
    if (max == 0) return 0;
    uint64_t mask = max;
    for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
    for (;;) {
        uint64_t draw = (max <= UINT32_MAX ? next32(rng) : next64(rng)) & mask;
        if (draw <= max) return draw;
    }
}

int64_t cn_rng_randint(cn_rng *rng, int64_t low, int64_t high)
{
    if (high <= low) return low;
    uint64_t draw = interval(rng, (uint64_t)high - (uint64_t)low - 1);
    return (int64_t)((uint64_t)low + draw);
}

void cn_rng_permutation(cn_rng *rng, int n, int *out)
{
    for (int i = 0; i < n; i++) out[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)interval(rng, (uint64_t)i);
        int kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}

cn_status cn_rng_fill_randn(cn_rng *rng, cn_tensor *t, cn_error *err)
{
    size_t n = cn_tensor_count(t);
    if (!rng) return cn_fail(err, CN_ERR_ARGUMENT, "rng_fill_randn: NULL rng");
    if (n == 0) return cn_fail(err, CN_ERR_ARGUMENT, "rng_fill_randn: the tensor is empty");
    if (t->dtype == CN_DTYPE_F64)
        for (size_t i = 0; i < n; i++) ((double *)t->data)[i] = cn_rng_randn(rng);
    else if (t->dtype == CN_DTYPE_F32)
        for (size_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)cn_rng_randn(rng);
    else
        return cn_fail(err, CN_ERR_ARGUMENT, "rng_fill_randn: dtype %d, expected F32 or F64",
                       (int)t->dtype);
    return CN_OK;
}

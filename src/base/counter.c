/* counter.c - Philox4x32-10 and the draws made of it. */
#include "base/counter.h"

#include "base/math.h"

#include <math.h>

void cn_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* the golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void block(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                                 (uint32_t)(stream >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    cn_philox(counter, key, out);
}

/* Two words as a multiple of 2^-53 in [0, 1). */
static double unit(uint32_t a, uint32_t b)
{
    return ((a >> 5) * 67108864.0 + (b >> 6)) / 9007199254740992.0;
}

uint32_t cn_counter_uint32(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t word[4];
    block(seed, stream, index, word);
    return word[0];
}

double cn_counter_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t word[4];
    block(seed, stream, index, word);
    return unit(word[0], word[1]);
}

double cn_counter_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t word[4];
    block(seed, stream, index, word);
    /* Box and Muller (1958); 1 - u lies in (0, 1], where the logarithm is finite. */
    double radius = sqrt(-2.0 * cn_log(1.0 - unit(word[0], word[1])));
    return radius * cn_cos(6.283185307179586 * unit(word[2], word[3]));
}

void cn_counter_shuffle(uint64_t seed, uint64_t stream, int n, int *items)
{
    for (int i = n - 1; i > 0; i--) {
        /* Rounds to below i + 1: the largest uniform is 1 - 2^-53. */
        int j = (int)(cn_counter_uniform(seed, stream, (uint64_t)i) * (i + 1.0));
        int kept = items[i];
        items[i] = items[j];
        items[j] = kept;
    }
}

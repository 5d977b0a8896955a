/* draw.h - random numbers for tests: splitmix64 (Steele, Lea and Flood 2014). */
#ifndef TEST_DRAW_H
#define TEST_DRAW_H

#include <stdint.h>

static inline uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in low .. high, both included. */
static inline int draw_int(uint64_t *state, int low, int high)
{
    return low + (int)(draw(state) % (uint64_t)(high - low + 1));
}

static inline double draw_real(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(draw(state) >> 11) * 0x1p-53;
}

#endif

/*
 * vector_template.h - the vocabulary of the kernels: a vector of LANES floats.
 *
 * With GCC's and Clang's vector extensions one source serves every instruction set: + and * work
 * element by element, and a scalar operand is broadcast to all lanes. Each kernels_*.c defines
 * LANES and ISA and includes the templates; everything they define is static. A template that is
 * compiled by itself has 4 lanes.
 *
 * Every compiler produces the same bits: it must not contract a b + c into a fused multiply-add
 * (cmake/kernels.cmake), which it would do in one place and not in another. Fused operations have
 * names: fmadd and its variants round once with AVX2, with AVX-512 and on aarch64, and twice in the
 * portable kernels of other processors.
 *
 * Parameter: LANES. Provides: vectors (vf, vi, vu) and their operations; min, max, div_ceil.
 */
#ifndef CN_VECTOR_TEMPLATE_H
#define CN_VECTOR_TEMPLATE_H

#ifndef LANES
#define LANES 4
#endif

#include "base/activation.h"
#include "base/base.h"

#include <math.h>
#include <string.h>
#ifdef __SSE__
#include <immintrin.h>
#endif
#ifdef __aarch64__
#include <arm_neon.h>
#endif

/* aligned(4): tensors of odd channel counts start their pixels anywhere. */
typedef float vf __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint32_t vu __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
/* Runs once, when a session is planned: optimized for size. */
#define PLANNING static __attribute__((cold, noinline))

/* Loops over a tile must be unrolled fully, or its accumulators do not stay in registers. IVDEP:
 * the iterations are independent, although an output may be the same array as an input. Never used
 * for a sum over the iterations, whose order clang might then change. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define IVDEP  _Pragma("clang loop vectorize(assume_safety)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define IVDEP  _Pragma("GCC ivdep")
#endif

INLINE vf load(const float *p)
{
    return *(const vf *)p;
}

INLINE void store(float *p, vf v)
{
    *(vf *)p = v;
}

/* Prefetches the cache line at p, which may be any address. */
INLINE void prefetch(const float *p)
{
    __builtin_prefetch(p);
}

/* Copies n < LANES floats, without a loop. */
INLINE void copy_few(const float *from, float *to, int n)
{
    UNROLL
    for (int piece = LANES / 2; piece > 0; piece /= 2) {
        if (!(n & piece)) continue;
        memcpy(to, from, (size_t)piece * sizeof *to);
        from += piece;
        to += piece;
    }
}

/* The first n < LANES lanes, the others 0: for the last pixel of an array. */
static vf load_part(const float *p, int n)
{
    float lanes[LANES] = {0};
    copy_few(p, lanes, n);
    return load(lanes);
}

static void store_part(float *p, vf v, int n)
{
    float lanes[LANES];
    store(lanes, v);
    copy_few(lanes, p, n);
}

INLINE vf broadcast(float x)
{
    return x - (vf){0};
}

/* Fused multiply-adds: a b + c. */
INLINE vf fmadd(vf a, vf b, vf c)
{
#if LANES == 16 && defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LANES == 8 && defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif LANES == 4 && defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

/* The same with a scalar factor, or with a scalar addend: a step of Horner's rule. */
INLINE vf fmadd_by(float a, vf b, vf c)
{
    return fmadd(broadcast(a), b, c);
}

INLINE vf horner(vf a, vf b, float c)
{
    return fmadd(a, b, broadcast(c));
}

/* The same for scalars, in loops that the compiler vectorizes. */
INLINE float fmadd1(float a, float b, float c)
{
#if (LANES >= 8 && defined(__FMA__)) || (LANES == 4 && defined(__aarch64__))
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* fmadd(e, v, sum) in the register of `sum`: GCC would otherwise copy sums between registers. */
INLINE vf fma_in_place(vf sum, vf e, vf v)
{
#if (LANES == 8 && defined(__FMA__)) || (LANES == 16 && defined(__AVX512F__))
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(e), "v"(v));
    return sum;
#else
    return fmadd(e, v, sum);
#endif
}

/* p, opaque to the compiler: since it no longer knows that p is another pointer plus an offset, it
 * keeps both in registers instead of computing one from the other at each use. */
INLINE void *opaque_pointer(const void *p)
{
    __asm__("" : "+r"(p));
    return (void *)p;
}

/* The same for a stride: addresses that depend on it are not computed before a loop, which would
 * take one register each, but in it, as part of a load. */
INLINE ptrdiff_t opaque_stride(ptrdiff_t stride)
{
    __asm__("" : "+r"(stride));
    return stride;
}

/* mask ? a : b, lane by lane; a mask's lanes are 0 or -1. */
INLINE vf select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* The mask of lanes 0 .. n-1. */
INLINE vi first_lanes(int n)
{
    vi lane;
    UNROLL
    for (int j = 0; j < LANES; j++) lane[j] = j;
    return lane < n;
}

/* max(v, least) and min(v, most). Where v is NaN both return it, so that a NaN can be traced to its
 * origin. The instructions do so, too: they return their second operand if either is NaN. */
INLINE vf at_least(vf v, float least)
{
    const vf low = broadcast(least);
#if LANES == 16 && defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)low, (__m512)v);
#elif LANES == 8 && defined(__AVX__)
    return (vf)_mm256_max_ps((__m256)low, (__m256)v);
#elif LANES == 4 && defined(__SSE__)
    return (vf)_mm_max_ps((__m128)low, (__m128)v);
#else
    return select(v < low, low, v);
#endif
}

INLINE vf at_most(vf v, float most)
{
    const vf high = broadcast(most);
#if LANES == 16 && defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)high, (__m512)v);
#elif LANES == 8 && defined(__AVX__)
    return (vf)_mm256_min_ps((__m256)high, (__m256)v);
#elif LANES == 4 && defined(__SSE__)
    return (vf)_mm_min_ps((__m128)high, (__m128)v);
#else
    return select(v > high, high, v);
#endif
}

INLINE vf relu_lanes(vf v)
{
    return at_least(v, 0);
}

/* A fused activation: its kind is CLIP. */
INLINE vf activate_lanes(vf v, cn_activation a)
{
    return at_most(at_least(v, a.lower), a.upper);
}

/* The same for a scalar, in loops that the compiler vectorizes. */
INLINE float activate1(float v, cn_activation a)
{
    v = v < a.lower ? a.lower : v;
    return v > a.upper ? a.upper : v;
}

INLINE int min(int a, int b)
{
    return a < b ? a : b;
}

INLINE int max(int a, int b)
{
    return a > b ? a : b;
}

/* n / size, rounded up. */
INLINE int div_ceil(int n, int size)
{
    return (n + size - 1) / size;
}

/* The greatest common divisor. */
INLINE int common_divisor(int a, int b)
{
    while (b) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

#endif

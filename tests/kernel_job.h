/*
 * kernel_job.h - one case of test_kernels.c or test_elements.c: its data, its memory, its verdict.
 *
 * A case is known by three words, "conv_forward avx2 m2h5x7c3k4f3x2s1x2p1x0x2x1": its data and its
 * options are drawn from a stream that the first and the last of them seed, so that the three words
 * reproduce it. Every buffer of a case stands between two canaries, and starts one float off the
 * alignment now and then; outputs and scratch are filled with NaN before the kernel sees them.
 */
#ifndef TEST_KERNEL_JOB_H
#define TEST_KERNEL_JOB_H

#include "draw.h"
#include "kernels/kernels.h"
#include "reference/reference.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 4, POOLS = 4, MAX_BLOCKS = 128, CANARY = 32 };

/* Half the distance between 1 and the next float: the relative error of one rounding. */
#define ROUNDING 0x1p-24

typedef struct block {
    const char *what;
    float *data;
    size_t n;
    void *memory;
} block;

typedef struct job {
    const char *program, *function, *text;
    cn_conv_problem s;
    cn_conv_options how;
    bool real; /* numbers from [-1, 1); else small integers, whose sums are exact */
    uint64_t random;
    const cn_kernels *tables[TABLES + 1]; /* up to a NULL */
    cn_pool *const *pools;                /* POOLS of them, the first one NULL */
    block blocks[MAX_BLOCKS];
    int used;
    int failures;
} job;

/* ---- memory */

static inline float pattern(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Two NaNs that no arithmetic makes, so that neither can be written by accident. The canary is a
 * signaling one: a kernel that adds even 0 to it makes it quiet, and so is found out. */
#define CANARY_BITS 0x7f80cafeu
#define POISON_BITS 0x7fc0dead

static inline float *take(job *j, const char *what, size_t n)
{
    block *b = &j->blocks[j->used++];
    if (j->used > MAX_BLOCKS) abort();
    size_t shift = strcmp(what, "scratch") && strcmp(what, "packed") && !(draw(&j->random) % 4);
    b->memory = aligned_alloc(64, (4 * (n + 2 * CANARY + 1) + 63) / 64 * 64);
    if (!b->memory) abort();
    b->what = what, b->n = n, b->data = (float *)b->memory + CANARY + shift;
    for (int i = 0; i < CANARY; i++)
        b->data[i - CANARY] = b->data[n + (size_t)i] = pattern(CANARY_BITS);
    for (size_t i = 0; i < n; i++) b->data[i] = pattern(POISON_BITS);
    return b->data;
}

/* A buffer for doubles, which only twins touch. */
static inline double *take_doubles(job *j, size_t n)
{
    block *b = &j->blocks[j->used++];
    if (j->used > MAX_BLOCKS) abort();
    *b = (block){.what = "doubles", .memory = calloc(n + 1, sizeof(double))};
    if (!b->memory) abort();
    return b->memory;
}

/* The bf16 below x in magnitude. */
static inline float shortened(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return pattern(bits & 0xffff0000u);
}

/* An input: integers in -range .. range, or numbers from [-1, 1). For products of bf16 they are
 * bf16 already: whether a kernel rounds is then nothing that its twin must know. */
static inline float *take_input(job *j, const char *what, size_t n, int range)
{
    float *data = take(j, what, n);
    for (size_t i = 0; i < n; i++) {
        data[i] = j->real ? (float)draw_real(&j->random, -1, 1)
                          : (float)draw_int(&j->random, -range, range);
        if (j->how.bf16) data[i] = shortened(data[i]);
    }
    return data;
}

/* Puts a few NaNs into an input, in one case out of four. */
static inline void spoil(job *j, size_t n, float *data)
{
    if (n && !j->real && draw(&j->random) % 4 == 0)
        for (int i = 0; i < 3; i++) data[draw(&j->random) % n] = NAN;
}

static inline float *take_copy(job *j, const char *what, size_t n, const float *from)
{
    float *data = take(j, what, n);
    if (n) memcpy(data, from, n * sizeof *data);
    return data;
}

static inline double *widen(job *j, size_t n, const float *x)
{
    double *wide = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) wide[i] = (double)x[i];
    return wide;
}

static inline double *magnitudes(job *j, size_t n, const float *x)
{
    double *wide = take_doubles(j, n);
    for (size_t i = 0; i < n; i++) wide[i] = fabs((double)x[i]);
    return wide;
}

static inline double *scaled(size_t n, double *x, double factor)
{
    for (size_t i = 0; i < n; i++) x[i] *= factor;
    return x;
}

/* ---- the verdict */

CN_PRINTF(3, 4)
static inline void complain(job *j, const cn_kernels *k, const char *format, ...)
{
    va_list rest;
    if (j->failures++) return; /* the first complaint of a case tells enough */
    printf("%s %s %s %s\n    ", j->program, j->function, k->isa, j->text);
    va_start(rest, format);
    vprintf(format, rest);
    va_end(rest);
    printf("\n");
}

/* Every element within its slack (NULL: equal) of what the twin says, a NaN where it says NaN. */
static inline void compare(job *j, const cn_kernels *k, const char *what, size_t n,
                           const float *got, const double *want, const double *slack)
{
    for (size_t i = 0; i < n; i++) {
        double g = (double)got[i], margin = slack ? slack[i] : 0;
        if (isnan(g) && isnan(want[i])) continue;
        if (g == want[i] || fabs(g - want[i]) <= margin) continue;
        complain(j, k, "%s[%zu] is %.9g, the twin says %.9g", what, i, g, want[i]);
        return;
    }
}

static inline void compare_bits(job *j, const cn_kernels *k, const char *what, size_t n,
                                const float *got, const float *first)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &first[i], sizeof *got)) {
            complain(j, k, "%s[%zu] is %.9g, but %.9g with another number of threads", what, i,
                     (double)got[i], (double)first[i]);
            return;
        }
}

/* After each kernel: has it written past an end of any buffer? */
static inline void check_canaries(job *j, const cn_kernels *k)
{
    for (int i = 0; i < j->used; i++) {
        const block *b = &j->blocks[i];
        uint32_t bits;
        for (int at = -CANARY; b->data && at < CANARY; at++) {
            memcpy(&bits, at < 0 ? b->data + at : b->data + b->n + at, sizeof bits);
            if (bits == CANARY_BITS) continue;
            complain(j, k, "the canary of %s (%zu elements) has died at %s %+d", b->what, b->n,
                     at < 0 ? "start" : "end", at);
            return;
        }
    }
}

static inline void release(job *j)
{
    for (int i = 0; i < j->used; i++) free(j->blocks[i].memory);
    j->used = 0;
}

#endif

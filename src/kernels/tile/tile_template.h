/*
 * tile_template.h - the inner loop of convolutions and dense layers, in all three passes.
 *
 *     C[i][j] (+)= bias[j] + sum over n < N, t < T, k < K of
 *                  A[n an + t at + (i, k)] B[n bn + t bt + k ldb + j]
 *
 * for i < MR rows and j < NV LANES columns, that is NV vectors. (i, k) is i lda + k, or with TA (A
 * transposed) i + k lda; without TA the rows of B are contiguous, ldb = NV LANES. The MR NV sums
 * stay in registers: each step loads NV vectors of B and broadcasts MR scalars of A, for MR NV
 * multiply-adds. With PAIRS A and B hold pairs of bf16.
 *
 *     use               A               n      t           k             B
 *     forward           rows of x       -      kernel row  (v, channel)  packed weights
 *     backward data     rows of dy      -      kernel row  (v, channel)  flipped weights
 *     backward weights  rows of x, TA   image  image row   pixel         a panel of dy
 *
 * Parameter: LANES. Provides: tile, run_rows, run_row, prefetch_panel.
 */
#ifndef CN_TILE_TEMPLATE_H
#define CN_TILE_TEMPLATE_H

#include "kernels/tile/bf16_template.h"

/* As many rows as fit the registers: 32 with AVX-512, else 16, of which one holds the broadcast
 * scalar and NV hold B. The portable kernels have fewer rows, and less code; pairs, too, where no
 * instruction multiplies them. */
#if LANES == 16
#define TILE_ROWS_2     12
#define TILE_ROWS_1     12
#define TILE_ROWS_PAIRS 12
#elif LANES == 8
#define TILE_ROWS_2     6
#define TILE_ROWS_1     12
#define TILE_ROWS_PAIRS 4
#else
#define TILE_ROWS_2     4
#define TILE_ROWS_1     4
#define TILE_ROWS_PAIRS 4
#endif
#define PANEL (2 * LANES) /* columns of the widest tile */

typedef struct tile {
    const float *a, *b;
    float *c;
    int N, T, K; /* N is 1 without TA */
    ptrdiff_t an, at, lda, bn, bt, ldb, ldc;
    const float *bias;       /* NV vectors, or NULL */
    int columns;             /* of C, at most NV LANES: nothing beyond them is written */
    ptrdiff_t spare;         /* floats after C's last row that may be overwritten */
    const float *next_panel; /* prefetched while these tiles run: see prefetch_panel */
    int prefetch_stride;
    bool accumulate;
    cn_activation activation; /* of C, NONE or CLIP */
    bool pairs;               /* A and B are of pairs */
} tile;

/* Writes a tile of C from its sums, [rows][width], where they are not simply stored. Not inlined,
 * to keep the tiles small. */
static __attribute__((noinline)) void finish_tile(const tile *job, const float *sums, int rows,
                                                  int width, float *c)
{
    for (int i = 0; i < rows; i++, sums += width, c += job->ldc) {
        for (int j = 0; j < job->columns; j += LANES) {
            const int n = job->columns - j;
            vf sum = load(sums + j);
            if (job->accumulate) sum += n < LANES ? load_part(c + j, n) : load(c + j);
            if (job->activation.kind) sum = activate_lanes(sum, job->activation);
            if (n < LANES)
                store_part(c + j, sum, n);
            else
                store(c + j, sum);
        }
    }
}

/* sum + *e b, of floats or of pairs. */
INLINE vf add_one(const bool PAIRS, vf sum, const float *e, vf b)
{
    if (PAIRS) return dot_pairs(sum, broadcast_pair(e), b);
    return fma_in_place(sum, broadcast(*e), b);
}

/*
 * The sum over k < steps. STEPS steps are unrolled, so that nearly all instructions are loads,
 * broadcasts and multiply-adds. For the same reason there is a pointer to every third row of A: the
 * offsets, lda or 2 lda and a constant, are part of the load instruction. The loop also prefetches:
 * of A, the next tile's rows, where rows are contiguous; and lines from *next_panel on,
 * `prefetch_stride` floats apart.
 */
enum {
    STEPS = 8,
    STEPS_TA = 4,                            /* with A transposed */
    PREFETCH_INTERVAL = LANES == 16 ? 1 : 4, /* steps per line prefetched from *next_panel */
    FLOATS_PER_LINE = 16,
    ROW_POINTERS = (TILE_ROWS_1 + 2) / 3,
};

/* Only with AVX2: tiles of 16 lanes do twice the arithmetic per step, and pairs take several
 * instructions. */
INLINE bool unrolling_pays(const bool PAIRS)
{
    return LANES == 8 && !PAIRS;
}

INLINE void sum_step(const int MR, const int NV, const bool TA, const bool PAIRS,
                     vf acc[TILE_ROWS_1][2], const float *const *a, ptrdiff_t lda, const float *b,
                     const int k)
{
    vf v[2];
    UNROLL
    for (int j = 0; j < NV; j++) v[j] = load(b + j * LANES);
    UNROLL
    for (int i = 0; i < MR; i++) {
        const float *e = TA ? a[0] + (i + k * lda) : a[i / 3] + (i % 3 * lda + k);
        UNROLL
        for (int j = 0; j < NV; j++) acc[i][j] = add_one(PAIRS, acc[i][j], e, v[j]);
    }
}

/* COUNT steps; moves `a` past them. */
INLINE void sum_steps(const int COUNT, const int MR, const int NV, const bool PAIRS,
                      vf acc[TILE_ROWS_1][2], const float **a, ptrdiff_t lda, const float *b)
{
    UNROLL
    for (int s = 0; s < COUNT; s++)
        sum_step(MR, NV, false, PAIRS, acc, a, lda, b + s * NV * LANES, s);
    UNROLL
    for (int g = 0; g < ROW_POINTERS; g++) a[g] = opaque_pointer(a[g] + COUNT);
}

INLINE void sum_run(const int MR, const int NV, const bool PAIRS, vf acc[TILE_ROWS_1][2], int steps,
                    const float *top, ptrdiff_t lda, const float *b, const float **next_panel,
                    int prefetch_stride)
{
    const ptrdiff_t next_step = lda == steps ? MR * STEPS : 0, line = NV * LANES;
    const float *a[ROW_POINTERS], *next = top + MR * lda;
    int k = 0;
    UNROLL
    for (int g = 0; g < ROW_POINTERS; g++) a[g] = opaque_pointer(top + 3 * g * lda);
    if (unrolling_pays(PAIRS)) {
        for (; k + STEPS <= steps; k += STEPS, b += STEPS * line, next += next_step) {
            UNROLL
            for (int i = 0; i < MR * STEPS; i += FLOATS_PER_LINE) prefetch(next + i);
            UNROLL
            for (int i = 0; i < STEPS; i += PREFETCH_INTERVAL, *next_panel += prefetch_stride)
                prefetch(*next_panel);
            lda = opaque_stride(lda);
            sum_steps(STEPS, MR, NV, PAIRS, acc, a, lda, b);
        }
        if (k + STEPS / 2 <= steps) {
            sum_steps(STEPS / 2, MR, NV, PAIRS, acc, a, lda, b);
            k += STEPS / 2;
            b += STEPS / 2 * line;
        }
    }
    for (; k < steps; k++, b += line) {
        if (PREFETCH_INTERVAL == 1) prefetch(*next_panel), *next_panel += prefetch_stride;
        sum_steps(1, MR, NV, PAIRS, acc, a, lda, b);
    }
}

/* The same with A transposed: the numbers of a step are contiguous, and rows of B lie ldb apart. */
INLINE void sum_run_ta(const int MR, const int NV, const bool PAIRS, vf acc[TILE_ROWS_1][2],
                       int steps, const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb)
{
    int k = 0;
    for (; unrolling_pays(PAIRS) && k + STEPS_TA <= steps; k += STEPS_TA) {
        UNROLL
        for (int s = 0; s < STEPS_TA; s++) {
            sum_step(MR, NV, true, PAIRS, acc, &a, lda, b, 0);
            a = opaque_pointer(a + lda);
            b = opaque_pointer(b + ldb);
        }
    }
    for (; k < steps; k++, a += lda, b += ldb) sum_step(MR, NV, true, PAIRS, acc, &a, lda, b, 0);
}

/* The two walk over C with a pointer that moves every third row: see sum_run. */
INLINE void add_tile(const int MR, const int NV, vf acc[TILE_ROWS_1][2], const float *c,
                     ptrdiff_t ldc)
{
    UNROLL
    for (int i = 0; i < MR; i++) {
        UNROLL
        for (int j = 0; j < NV; j++) acc[i][j] += load(c + i % 3 * ldc + j * LANES);
        if (i % 3 == 2) c = opaque_pointer(c + 3 * ldc);
    }
}

INLINE void store_tile(const int MR, const int NV, vf acc[TILE_ROWS_1][2], float *c, ptrdiff_t ldc)
{
    UNROLL
    for (int i = 0; i < MR; i++) {
        UNROLL
        for (int j = 0; j < NV; j++) store(c + i % 3 * ldc + j * LANES, acc[i][j]);
        if (i % 3 == 2) c = opaque_pointer(c + 3 * ldc);
    }
}

/* `count` tiles, one below the other, for which pointers and strides are set up once. C overlaps
 * nothing that is read, *job included. */
INLINE void run_tile(const int MR, const int NV, const bool TA, const bool PAIRS,
                     const tile *restrict job, int count)
{
    const int N = TA ? job->N : 1, width = NV * LANES;
    const bool whole = job->columns >= width;
    const ptrdiff_t lda = job->lda, ldc = job->ldc;
    const float *top = job->a, *next_panel = job->next_panel ? job->next_panel : job->b;
    float *c = job->c;
    for (; count > 0; count--, top += TA ? MR : MR * lda, c += MR * ldc) {
        vf acc[TILE_ROWS_1][2];
        UNROLL
        for (int i = 0; i < MR; i++) {
            UNROLL
            for (int j = 0; j < NV; j++)
                acc[i][j] = job->bias ? load(job->bias + j * LANES) : (vf){0};
        }
        /* Arrives while the sums are computed. */
        for (int i = 0; i < MR && job->accumulate; i++) prefetch(c + i * ldc);
        for (int n = 0; n < N; n++) {
            for (int t = 0; t < job->T; t++) {
                const float *a = top + n * job->an + t * job->at;
                const float *b = job->b + n * job->bn + t * job->bt;
                if (TA)
                    sum_run_ta(MR, NV, PAIRS, acc, job->K, a, lda, b, job->ldb);
                else
                    sum_run(MR, NV, PAIRS, acc, job->K, a, lda, b, &next_panel,
                            job->prefetch_stride);
            }
        }
        if (whole && job->accumulate) add_tile(MR, NV, acc, c, ldc);
        if (whole && job->activation.kind) {
            UNROLL
            for (int i = 0; i < MR; i++) {
                UNROLL
                for (int j = 0; j < NV; j++) acc[i][j] = activate_lanes(acc[i][j], job->activation);
            }
        }
        float sums[TILE_ROWS_1 * PANEL];
        store_tile(MR, NV, acc, whole ? c : sums, whole ? ldc : width);
        if (!whole) finish_tile(job, sums, MR, width, c);
    }
}

/* There is a tile for every number of rows, so that n rows split into nearly equal tiles, without a
 * loop over remaining rows. */
typedef void tile_function(const tile *job, int count);

#define TILE(MR, NV)                                                  \
    static void tile_##MR##x##NV(const tile *restrict job, int count) \
    {                                                                 \
        run_tile(MR, NV, false, false, job, count);                   \
    }                                                                 \
    static void tile_##MR##x##NV##_ta(const tile *job, int count)     \
    {                                                                 \
        run_tile(MR, NV, true, false, job, count);                    \
    }
#define TILE_PAIRS(MR, NV)                                              \
    static void tile_##MR##x##NV##_pairs(const tile *job, int count)    \
    {                                                                   \
        run_tile(MR, NV, false, true, job, count);                      \
    }                                                                   \
    static void tile_##MR##x##NV##_ta_pairs(const tile *job, int count) \
    {                                                                   \
        run_tile(MR, NV, true, true, job, count);                       \
    }
#define TILES_TO_4(X, NV) X(1, NV) X(2, NV) X(3, NV) X(4, NV)
#define TILES_TO_6(X, NV) TILES_TO_4(X, NV) X(5, NV) X(6, NV)
#define TILES_TO_12(X, NV) \
    TILES_TO_6(X, NV) X(7, NV) X(8, NV) X(9, NV) X(10, NV) X(11, NV) X(12, NV)
#if LANES == 16
#define TILES_2(X, NV)     TILES_TO_12(X, NV)
#define TILES_1(X, NV)     TILES_TO_12(X, NV)
#define TILES_PAIRS(X, NV) TILES_TO_12(X, NV)
#elif LANES == 8
#define TILES_2(X, NV)     TILES_TO_6(X, NV)
#define TILES_1(X, NV)     TILES_TO_12(X, NV)
#define TILES_PAIRS(X, NV) TILES_TO_4(X, NV)
#else
#define TILES_2(X, NV)     TILES_TO_4(X, NV)
#define TILES_1(X, NV)     TILES_TO_4(X, NV)
#define TILES_PAIRS(X, NV) TILES_TO_4(X, NV)
#endif

TILES_1(TILE, 1)
TILES_2(TILE, 2)
TILES_PAIRS(TILE_PAIRS, 1)
TILES_PAIRS(TILE_PAIRS, 2)

#define TILE_ENTRY(MR, NV)          tile_##MR##x##NV,
#define TILE_ENTRY_TA(MR, NV)       tile_##MR##x##NV##_ta,
#define TILE_ENTRY_PAIRS(MR, NV)    tile_##MR##x##NV##_pairs,
#define TILE_ENTRY_TA_PAIRS(MR, NV) tile_##MR##x##NV##_ta_pairs,

/* [pairs][TA][vectors - 1][rows - 1] */
static tile_function *const tiles[2][2][2][TILE_ROWS_1] = {
    {{{TILES_1(TILE_ENTRY, 1)}, {TILES_2(TILE_ENTRY, 2)}},
     {{TILES_1(TILE_ENTRY_TA, 1)}, {TILES_2(TILE_ENTRY_TA, 2)}}},
    {{{TILES_PAIRS(TILE_ENTRY_PAIRS, 1)}, {TILES_PAIRS(TILE_ENTRY_PAIRS, 2)}},
     {{TILES_PAIRS(TILE_ENTRY_TA_PAIRS, 1)}, {TILES_PAIRS(TILE_ENTRY_TA_PAIRS, 2)}}},
};

/* The most rows of a tile with this many vectors. */
INLINE int panel_rows(int vectors, bool pairs)
{
    if (pairs) return TILE_ROWS_PAIRS;
    return vectors == 2 ? TILE_ROWS_2 : TILE_ROWS_1;
}

/* The number of nearly equal tiles, of at most `most` rows each, for `rows` rows. */
INLINE int tiles_of(int rows, int most)
{
    return (rows + most - 1) / most;
}

/*
 * Where C has few rows, a panel of B is soon used up, and the next one may still be in memory. So
 * the next `runs` runs of the job, of `rows` rows each, prefetch as many floats as their panel has,
 * from `next_panel` on: each tile prefetches its part.
 */
INLINE void prefetch_panel(tile *job, const float *next_panel, int runs, int rows, int vectors)
{
    const int count = runs * tiles_of(rows, panel_rows(vectors, job->pairs));
    job->next_panel = next_panel;
    job->prefetch_stride = div_ceil(PREFETCH_INTERVAL * vectors * LANES, count);
}

/* Runs the job for `count` tiles of n rows of C (with TA, n columns of A), and moves it past them.
 */
INLINE void run_tiles(tile *job, const bool TA, int n, int count, int vectors)
{
    if (count > 0) tiles[job->pairs][TA][vectors - 1][n - 1](job, count);
    job->a += n * count * (TA ? 1 : job->lda);
    job->c += n * count * job->ldc;
    if (job->next_panel)
        job->next_panel += (ptrdiff_t)count * job->N * job->T * (job->K / PREFETCH_INTERVAL) *
                           job->prefetch_stride;
}

/*
 * Runs the job for `rows` rows, and moves it past them: first the tiles with one row more, then the
 * others. Where a tile is wider than C and the rows of C are contiguous, later rows overwrite what
 * a row writes past its end, so only tiles near the end need to write exactly.
 */
INLINE void run_rows(tile *job, const bool TA, int rows, int vectors)
{
    const int parts = tiles_of(rows, panel_rows(vectors, job->pairs));
    const int n = rows / parts, more = rows % parts;
    const int columns = job->columns, width = vectors * LANES;
    if (columns == width || columns != job->ldc || job->accumulate) {
        run_tiles(job, TA, n + 1, more, vectors);
        run_tiles(job, TA, n, parts - more, vectors);
        return;
    }
    ptrdiff_t after = (ptrdiff_t)rows * columns + job->spare; /* floats after this tile */
    for (int i = 0; i < parts; i++) {
        after -= (n + (i < more)) * columns;
        job->columns = after >= width - columns ? width : columns;
        run_tiles(job, TA, n + (i < more), 1, vectors);
    }
    job->columns = columns;
}

/*
 * One row of C, for several panels at a time, whose B lie `panel` floats apart: with a single panel
 * each multiply-add would wait for the one before it. The last panel may have one vector. The sums
 * are those of the tiles, with T = 1.
 */
enum { ROW_PANELS = 4 };

INLINE void run_row_of(const int vectors, const bool PAIRS, const tile *job, ptrdiff_t panel)
{
    const bool half = vectors % 2 == 1;
    const float *b = job->b, *last = b + vectors / 2 * panel;
    vf acc[2 * ROW_PANELS];
    UNROLL
    for (int j = 0; j < vectors; j++) acc[j] = job->bias ? load(job->bias + j * LANES) : (vf){0};
    for (int k = 0; k < job->K * job->T; k++, b += PANEL, last += LANES) {
        UNROLL
        for (int j = 0; j < vectors; j++) {
            const float *from = half && j == vectors - 1 ? last : b + j / 2 * panel + j % 2 * LANES;
            acc[j] = add_one(PAIRS, acc[j], job->a + k, load(from));
        }
    }
    if (job->columns < vectors * LANES || job->accumulate) {
        float sums[2 * ROW_PANELS * LANES];
        UNROLL
        for (int j = 0; j < vectors; j++) store(sums + j * LANES, acc[j]);
        finish_tile(job, sums, 1, vectors * LANES, job->c);
        return;
    }
    UNROLL
    for (int j = 0; j < vectors; j++)
        store(job->c + j * LANES,
              job->activation.kind ? activate_lanes(acc[j], job->activation) : acc[j]);
}

INLINE void run_row_with(const bool PAIRS, const tile *job, ptrdiff_t panel)
{
    switch (div_ceil(job->columns, LANES)) {
    case 1: run_row_of(1, PAIRS, job, panel); break;
    case 2: run_row_of(2, PAIRS, job, panel); break;
    case 3: run_row_of(3, PAIRS, job, panel); break;
    case 4: run_row_of(4, PAIRS, job, panel); break;
    case 5: run_row_of(5, PAIRS, job, panel); break;
    case 6: run_row_of(6, PAIRS, job, panel); break;
    case 7: run_row_of(7, PAIRS, job, panel); break;
    default: run_row_of(8, PAIRS, job, panel);
    }
}

/* Pairs gain nothing from it without their instruction. */
INLINE bool rows_in_panels(bool pairs)
{
    return BF16_INSTRUCTION || !pairs;
}

static void run_row(const tile *job, ptrdiff_t panel)
{
    if (BF16_INSTRUCTION && job->pairs)
        run_row_with(true, job, panel);
    else
        run_row_with(false, job, panel);
}

#endif

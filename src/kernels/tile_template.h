/*
 * tile_template.h - the one inner loop of convolutions and dense layers, in all three directions.
 *
 *     C[i][j] (+)= bias[j] + sum over n < N, t < T, k < K of
 *                  A[n an + t at + (i, k)] B[n bn + t bt + k ldb + j]
 *
 * for i < MR rows and j < NV vectors of LANES columns. (i, k) is i lda + k, or with TA (A
 * transposed) i + k lda. The MR NV sums stay in registers: each step loads NV vectors of B and
 * spreads MR scalars of A, for MR NV multiply-adds.
 *
 * use               A                 n        t           k             B
 * forward           rows of x                  kernel row  (v, channel)  packed weights
 * backward data     rows of dy                 kernel row  (v, channel)  flipped weights
 * backward weights  rows of x, TA     picture  image row   pixel         a panel of dy
 */

/* How many sums fit the registers: 32 of them with AVX-512, else 16. One is left for the spread
 * scalar, NV for B. */
#define TILE_ROWS_1 12
#if LANES == 16
#define TILE_ROWS_2 12
#else
#define TILE_ROWS_2 6
#endif
#define PANEL (2 * LANES) /* columns of the widest tile */

typedef struct tile {
    const float *a, *b;
    float *c;
    int N, T, K;
    ptrdiff_t an, at, lda, bn, bt, ldb, ldc;
    const float *bias; /* NV vectors, or NULL */
    int columns;       /* of C that exist, at most NV LANES: what lies beyond is not written */
    bool accumulate, relu;
} tile;

/* Writes row i's NV vectors exactly. */
INLINE void store_row(const int NV, float *c, const vf *row, int columns)
{
    UNROLL
    for (int j = 0; j < NV; j++) {
        if (columns >= (j + 1) * LANES)
            store(c + j * LANES, row[j]);
        else if (columns > j * LANES)
            store_part(c + j * LANES, row[j], columns - j * LANES);
    }
}

/* The rows of a tile that is wider than C. Out of line: the tiles stay small. */
static __attribute__((noinline)) void write_sums(const float *sums, int rows, int width,
                                                 const tile *job)
{
    float *c = job->c;
    for (int i = 0; i < rows; i++, sums += width, c += job->ldc)
        for (int j = 0; j < job->columns; j++) c[j] = job->accumulate ? c[j] + sums[j] : sums[j];
}

INLINE void run_tile(const int MR, const int NV, const bool TA, const tile *job)
{
    vf acc[TILE_ROWS_1][2];
    const ptrdiff_t lda = job->lda, ldb = job->ldb, ldc = job->ldc;
    UNROLL
    for (int i = 0; i < MR; i++) {
        UNROLL
        for (int j = 0; j < NV; j++) acc[i][j] = job->bias ? load(job->bias + j * LANES) : (vf){0};
    }
    const int steps = job->K;
    for (int n = 0; n < job->N; n++) {
        for (int t = 0; t < job->T; t++) {
            const float *a = job->a + n * job->an + t * job->at;
            const float *b = job->b + n * job->bn + t * job->bt;
            for (int k = 0; k < steps; k++) {
                vf v[2];
                UNROLL
                for (int j = 0; j < NV; j++) v[j] = load(b + j * LANES);
                UNROLL
                for (int i = 0; i < MR; i++) {
                    const float e = TA ? a[i] : a[i * lda];
                    UNROLL
                    for (int j = 0; j < NV; j++) acc[i][j] += e * v[j];
                }
                a += TA ? lda : 1;
                b += ldb;
            }
        }
    }
    if (job->relu) {
        UNROLL
        for (int i = 0; i < MR; i++) {
            UNROLL
            for (int j = 0; j < NV; j++) acc[i][j] = relu_lanes(acc[i][j]);
        }
    }
    float *c = job->c;
    const int columns = job->columns;
    if (columns == NV * LANES) {
        UNROLL
        for (int i = 0; i < MR; i++) {
            UNROLL
            for (int j = 0; j < NV; j++) {
                float *p = c + i * ldc + j * LANES;
                if (job->accumulate) acc[i][j] += load(p);
                store(p, acc[i][j]);
            }
        }
    } else if (columns == ldc && !job->accumulate) {
        /* Rows lie end to end: what a row writes too much, the next ones overwrite. */
        UNROLL
        for (int i = 0; i < MR; i++) {
            if ((MR - i) * ldc < NV * LANES) {
                store_row(NV, c + i * ldc, acc[i], columns);
                continue;
            }
            UNROLL
            for (int j = 0; j < NV; j++) store(c + i * ldc + j * LANES, acc[i][j]);
        }
    } else {
        float sums[TILE_ROWS_1 * PANEL];
        UNROLL
        for (int i = 0; i < MR; i++) {
            UNROLL
            for (int j = 0; j < NV; j++) store(sums + (i * NV + j) * LANES, acc[i][j]);
        }
        write_sums(sums, MR, NV * LANES, job);
    }
}

/* Every number of rows has its tile, so that n rows split into nearly equal tiles without a tail.
 */
typedef void tile_function(const tile *job);

#define TILE(MR, NV)                                   \
    static void tile_##MR##x##NV(const tile *job)      \
    {                                                  \
        run_tile(MR, NV, false, job);                  \
    }                                                  \
    static void tile_##MR##x##NV##_ta(const tile *job) \
    {                                                  \
        run_tile(MR, NV, true, job);                   \
    }
#define TILES_TO_6(X, NV) X(1, NV) X(2, NV) X(3, NV) X(4, NV) X(5, NV) X(6, NV)
#define TILES_TO_12(X, NV) \
    TILES_TO_6(X, NV) X(7, NV) X(8, NV) X(9, NV) X(10, NV) X(11, NV) X(12, NV)
#if LANES == 16
#define TILES_2(X) TILES_TO_12(X, 2)
#else
#define TILES_2(X) TILES_TO_6(X, 2)
#endif

TILES_TO_12(TILE, 1)
TILES_2(TILE)

#define TILE_ENTRY(MR, NV)    tile_##MR##x##NV,
#define TILE_ENTRY_TA(MR, NV) tile_##MR##x##NV##_ta,
#define TILES_1_ENTRIES(X)    TILES_TO_12(X, 1)

static tile_function *const tiles[2][2][TILE_ROWS_1] = {
    {{TILES_1_ENTRIES(TILE_ENTRY)}, {TILES_2(TILE_ENTRY)}},
    {{TILES_1_ENTRIES(TILE_ENTRY_TA)}, {TILES_2(TILE_ENTRY_TA)}},
};

/* The most rows of a tile. */
INLINE int panel_rows(int vectors)
{
    return vectors == 2 ? TILE_ROWS_2 : TILE_ROWS_1;
}

/* n rows split into nearly equal tiles of at most `most`. */
INLINE int tiles_of(int rows, int most)
{
    return (rows + most - 1) / most;
}

/* Runs the job for `rows` rows of C, and leaves it behind them. */
INLINE void run_rows(tile *job, int rows, int vectors)
{
    const int count = tiles_of(rows, panel_rows(vectors));
    for (int i = 0; i < count; i++) {
        const int n = rows / count + (i < rows % count);
        tiles[0][vectors - 1][n - 1](job);
        job->a += n * job->lda;
        job->c += n * job->ldc;
    }
}

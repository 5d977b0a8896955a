/*
 * packing_template.h - weights as the tiles read them; few output channels folded into more.
 *
 * Parameter: LANES. Provides: folded, choose_fold, pack_folded, transpose, threads_for.
 */
#ifndef CN_PACKING_TEMPLATE_H
#define CN_PACKING_TEMPLATE_H

#include "kernels/conv/conv.h"
#include "kernels/tile/tile_template.h"

/* ---- folding */

/*
 * Six channels fill six of eight lanes, and a tile that is one vector wide spends its time on
 * broadcasts. So neighboring output pixels become channels: in memory y (oh, ow, oc) is also
 * (oh, ow / g, g oc), and
 *
 *     y'[p, q, (e, k)] = sum_{u,v,j} x[p sh + u, (q g + e) sw + v, j] w[u,v,j,k]
 *
 * is a convolution of stride g sw whose window is (g - 1) sw wider, with the weights
 *
 *     w'[u, v + e sw, j, (e, k)] = w[u,v,j,k], and zero elsewhere.
 */
typedef struct fold {
    cn_conv_problem s;
    int g;
} fold;

static fold folded(const cn_conv_problem *s, int g)
{
    fold f = {.s = *s, .g = g};
    f.s.fw += (g - 1) * s->sw;
    f.s.sw *= g;
    f.s.ow /= g;
    f.s.oc *= g;
    return f;
}

/* The g that divides ow with the fewest vector operations per pixel, where those of tiles of one
 * vector count 1.5 times (measured: 1.4 on Zen 3). */
PLANNING int choose_fold(const cn_conv_problem *s)
{
    int best = 1, cost = INT32_MAX;
    for (int g = 1; g <= LANES && (g == 1 || g * s->oc <= PANEL); g++) {
        if (s->ow % g != 0) continue;
        const int vectors = div_ceil(g * s->oc, LANES);
        const int wider = s->fw + (g - 1) * s->sw;
        const int now = min(1 << 15, wider) * vectors * (vectors == 1 ? 1680 : 1120) / g;
        if (now < cost) {
            cost = now;
            best = g;
        }
    }
    return best;
}

/* ---- packed weights */

/*
 * A [depth][columns] matrix in panels of PANEL columns, each [depth][width]: the width is the
 * panel's columns rounded up to whole vectors, with zeros beyond the last one. A panel begins at
 * depth * its first column.
 */
static size_t packed_floats(int depth, int columns)
{
    return (size_t)depth * (size_t)div_ceil(columns, LANES) * LANES;
}

INLINE int panel_vectors_at(int columns, int column)
{
    return columns - column > LANES ? 2 : 1;
}

/* Of a folded problem. */
static size_t direct_packed(const cn_conv_problem *folded)
{
    return packed_floats(folded->fh * folded->fw * folded->c, folded->oc);
}

/* Transposes LANES x LANES floats, whose rows lie `stride` apart. */
#if LANES == 8 && defined(__AVX__)
/* Interleaves pairs of rows, then pairs of pairs, then exchanges halves. */
INLINE void transpose(const float *from, ptrdiff_t stride, vf to[LANES])
{
    __m256 a[LANES], b[LANES];
    UNROLL
    for (int i = 0; i < LANES; i += 2) {
        const __m256 x = (__m256)load(from + i * stride), y = (__m256)load(from + (i + 1) * stride);
        a[i] = _mm256_unpacklo_ps(x, y);
        a[i + 1] = _mm256_unpackhi_ps(x, y);
    }
    UNROLL
    for (int i = 0; i < LANES; i += 4) {
        UNROLL
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0x44);
            b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + j + 2], 0xee);
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        to[i] = (vf)_mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        to[i + 4] = (vf)_mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
#elif LANES == 16 && defined(__AVX512F__)
/* Exchanges the lanes of row a whose numbers contain n with those of b that lie n before them. */
INLINE void swap_lanes(const int n, vf *a, vf *b)
{
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, upper = (lane & n) != 0;
    const __m512i first = (__m512i)(lane + (upper & (LANES - n)));
    const __m512i second = (__m512i)(lane + (upper & LANES) + (~upper & n));
    const __m512 x = (__m512)*a, y = (__m512)*b;
    *a = (vf)_mm512_permutex2var_ps(x, first, y);
    *b = (vf)_mm512_permutex2var_ps(x, second, y);
}

INLINE void swap_blocks(const int n, vf rows[LANES])
{
    UNROLL
    for (int i = 0; i < LANES; i++)
        if (!(i & n)) swap_lanes(n, &rows[i], &rows[i + n]);
}

INLINE void transpose(const float *from, ptrdiff_t stride, vf to[LANES])
{
    UNROLL
    for (int i = 0; i < LANES; i++) to[i] = load(from + i * stride);
    swap_blocks(8, to);
    swap_blocks(4, to);
    swap_blocks(2, to);
    swap_blocks(1, to);
}
#else
INLINE void transpose(const float *from, ptrdiff_t stride, vf to[LANES])
{
    float square[LANES][LANES];
    UNROLL
    for (int l = 0; l < LANES; l++) {
        const vf line = load(from + l * stride);
        UNROLL
        for (int i = 0; i < LANES; i++) square[i][l] = line[i];
    }
    UNROLL
    for (int i = 0; i < LANES; i++) to[i] = load(square[i]);
}
#endif

/* The threads that pack n floats: small jobs do not repay synchronization. */
INLINE cn_pool *threads_for(size_t n, cn_pool *pool)
{
    return n < 32 * 1024 ? NULL : pool;
}

typedef struct packing {
    const cn_conv_problem *s;
    fold f;
    const float *w;
    float *packed;
} packing;

/* Packs one panel. w [fh][fw][c][oc] is already the matrix: depth (u, v, j), columns k. Folded
 * weights are a single panel. */
static void pack_task(void *argument, int task, int worker)
{
    const packing *z = argument;
    const cn_conv_problem *s = z->s;
    const fold *f = &z->f;
    const int column = task * PANEL, width = panel_vectors_at(f->s.oc, column) * LANES;
    const int n = min(width, s->oc - column);
    float *packed = z->packed + (ptrdiff_t)s->fh * f->s.fw * s->c * column;
    (void)worker;
    for (int u = 0; u < s->fh; u++) {
        for (int v = 0; v < f->s.fw; v++) {
            for (int j = 0; j < s->c; j++, packed += width) {
                if (f->g == 1 && n == width) {
                    const float *row = z->w + (((ptrdiff_t)u * s->fw + v) * s->c + j) * s->oc;
                    for (int k = 0; k < width; k += LANES)
                        store(packed + k, load(row + column + k));
                    continue;
                }
                for (int k = 0; k < width; k += LANES) store(packed + k, (vf){0});
                for (int e = 0; e < f->g; e++) {
                    const int tap = v - e * s->sw;
                    if (tap < 0 || tap >= s->fw) continue;
                    const float *row =
                        z->w + (((ptrdiff_t)u * s->fw + tap) * s->c + j) * s->oc + column;
                    for (int k = 0; k < n; k++) packed[e * s->oc + k] = row[k];
                }
            }
        }
    }
}

static void pack_folded(const cn_conv_problem *s, int g, const float *w, float *packed,
                        cn_pool *pool)
{
    packing z = {.s = s, .f = folded(s, g), .w = w, .packed = packed};
    cn_pool_run(threads_for(direct_packed(&z.f.s), pool), div_ceil(z.f.s.oc, PANEL), pack_task, &z);
}

#endif

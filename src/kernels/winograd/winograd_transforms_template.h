/*
 * winograd_transforms_template.h - the transforms of Winograd's method, for one row or column of a
 * tile.
 *
 * The points of F(4x4, 3x3), 0, +-1/sqrt 2, +-sqrt 2 and infinity instead of the textbook's 0, +-1,
 * +-2 and infinity, take as many operations, and have a fraction of the error (the family +-c,
 * +-1/c: arXiv 2201.10369). With a = 1/sqrt 2, b = sqrt 2 and M(x) = x (x^2 - 1/2) (x^2 - 2), rows
 * in the order of the points:
 *
 *     A'[i][j] = point_j^i                                      infinity: 1 at i = 3
 *     G[j][k]  = point_j^k / M'(point_j)                        infinity: 1 at k = 2
 *     B'[j]    = the coefficients of M(x) / (x - point_j)       infinity: those of M(x)
 *
 * F(2x2, 3x3) has the points 0, +-1 and infinity.
 *
 * Elements lie `s` vectors apart, those of the result `t` vectors.
 *
 * Parameter: LANES. Provides: transform, and the lines that it applies.
 */
#ifndef CN_WINOGRAD_TRANSFORMS_TEMPLATE_H
#define CN_WINOGRAD_TRANSFORMS_TEMPLATE_H

#include "kernels/tile/vector_template.h"

#define POINT_A 0.70710678f
#define POINT_B 1.41421356f

/* ---- F(4x4, 3x3) */

/* B' d: 6 to 6. */
INLINE void input_line(const vf *d, const int s, vf *o, const int t)
{
    const vf even_a = fmadd_by(-2, d[2 * s], d[4 * s]), odd_a = fmadd_by(-2, d[s], d[3 * s]);
    const vf even_b = fmadd_by(-0.5f, d[2 * s], d[4 * s]), odd_b = fmadd_by(-0.5f, d[s], d[3 * s]);
    o[0] = fmadd_by(-2.5f, d[2 * s], d[0]) + d[4 * s];
    o[t] = fmadd_by(POINT_A, odd_a, even_a);
    o[2 * t] = fmadd_by(-POINT_A, odd_a, even_a);
    o[3 * t] = fmadd_by(POINT_B, odd_b, even_b);
    o[4 * t] = fmadd_by(-POINT_B, odd_b, even_b);
    o[5 * t] = fmadd_by(-2.5f, d[3 * s], d[s]) + d[5 * s];
}

/* A' m: 6 to 4. */
INLINE void output_line(const vf *m, const int s, vf *o, const int t)
{
    const vf sum_a = m[s] + m[2 * s], odd_a = POINT_A * (m[s] - m[2 * s]);
    const vf sum_b = m[3 * s] + m[4 * s], difference_b = m[3 * s] - m[4 * s];
    o[0] = m[0] + sum_a + sum_b;
    o[t] = fmadd_by(POINT_B, difference_b, odd_a);
    o[2 * t] = fmadd_by(0.5f, sum_a, 2 * sum_b);
    o[3 * t] = fmadd_by(0.5f, odd_a, fmadd_by(2 * POINT_B, difference_b, m[5 * s]));
}

/* A y: 4 to 6. */
INLINE void gradient_line(const vf *y, const int s, vf *o, const int t)
{
    const vf even_a = fmadd_by(0.5f, y[2 * s], y[0]), odd_a = fmadd_by(0.5f, y[3 * s], y[s]);
    const vf even_b = fmadd_by(2, y[2 * s], y[0]), odd_b = fmadd_by(2, y[3 * s], y[s]);
    o[0] = y[0];
    o[t] = fmadd_by(POINT_A, odd_a, even_a);
    o[2 * t] = fmadd_by(-POINT_A, odd_a, even_a);
    o[3 * t] = fmadd_by(POINT_B, odd_b, even_b);
    o[4 * t] = fmadd_by(-POINT_B, odd_b, even_b);
    o[5 * t] = y[3 * s];
}

/* G g: 3 to 6. M' is -3/2 at +-a, 6 at +-b. */
INLINE void filter_line(const vf *g, const int s, vf *o, const int t)
{
    const vf even_a = (-2.0f / 3) * fmadd_by(0.5f, g[2 * s], g[0]);
    const vf even_b = (1.0f / 6) * fmadd_by(2, g[2 * s], g[0]);
    o[0] = g[0];
    o[t] = fmadd_by(-2.0f / 3 * POINT_A, g[s], even_a);
    o[2 * t] = fmadd_by(2.0f / 3 * POINT_A, g[s], even_a);
    o[3 * t] = fmadd_by(1.0f / 6 * POINT_B, g[s], even_b);
    o[4 * t] = fmadd_by(-1.0f / 6 * POINT_B, g[s], even_b);
    o[5 * t] = g[2 * s];
}

/* G' u: 6 to 3. */
INLINE void filter_gradient_line(const vf *u, const int s, vf *o, const int t)
{
    const vf sum_a = u[s] + u[2 * s], odd_a = u[s] - u[2 * s];
    const vf sum_b = u[3 * s] + u[4 * s], odd_b = u[3 * s] - u[4 * s];
    o[0] = fmadd_by(1.0f / 6, sum_b, fmadd_by(-2.0f / 3, sum_a, u[0]));
    o[t] = fmadd_by(1.0f / 6 * POINT_B, odd_b, (-2.0f / 3 * POINT_A) * odd_a);
    o[2 * t] = fmadd_by(1.0f / 3, sum_b, fmadd_by(-1.0f / 3, sum_a, u[5 * s]));
}

/* ---- F(2x2, 3x3) */

/* B' d: 4 to 4. */
INLINE void input_line_2(const vf *d, const int s, vf *o, const int t)
{
    o[0] = d[0] - d[2 * s];
    o[t] = d[s] + d[2 * s];
    o[2 * t] = d[2 * s] - d[s];
    o[3 * t] = d[3 * s] - d[s];
}

/* A' m: 4 to 2. */
INLINE void output_line_2(const vf *m, const int s, vf *o, const int t)
{
    o[0] = m[0] + m[s] + m[2 * s];
    o[t] = m[s] - m[2 * s] + m[3 * s];
}

/* G g: 3 to 4. */
INLINE void filter_line_2(const vf *g, const int s, vf *o, const int t)
{
    const vf even = 0.5f * (g[0] + g[2 * s]);
    o[0] = g[0];
    o[t] = fmadd_by(0.5f, g[s], even);
    o[2 * t] = fmadd_by(-0.5f, g[s], even);
    o[3 * t] = g[2 * s];
}

/* ---- both sides of a tile */

typedef void line_transform(const vf *in, int s, vf *out, int t);

/* A [from][from] tile to a [to][to] one. */
INLINE void transform(line_transform *line, const int from, const int to, const vf *in, vf *out)
{
    vf half[6 * 6];
    UNROLL
    for (int j = 0; j < from; j++) line(in + j, from, half + j, from);
    UNROLL
    for (int i = 0; i < to; i++) line(half + i * from, 1, out + i * to, 1);
}

#endif

/*
 * math.c - exp, log, pow, sin and cos from additions and multiplications.
 *
 * Each function reduces its argument to a short interval, where a series converges to the last bit
 * of a double within a dozen terms, and puts the result back together:
 *
 *     e^x    = 2^n e^r           x = n ln 2 + r,            |r| <= ln 2 / 2
 *     log x  = n ln 2 + log m    x = 2^n m,                 sqrt(1/2) <= m < sqrt 2
 *     sin x  = +-sin r, +-cos r  x = n pi / 2 + r,          |r| <= pi / 4
 *
 * ln 2 and pi / 2 come in parts, the first ones short enough that their products with n are exact.
 */
#include "base/math.h"

#include "base/base.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define LN2_HIGH 6.93147180369123816490e-01 /* 33 bits of ln 2 */
#define LN2_LOW  1.90821492927058770002e-10 /* ln 2 - LN2_HIGH */

/* c[0] + c[1] x + .. + c[n - 1] x^(n - 1) */
static double polynomial(double x, const double *c, int n)
{
    double sum = c[n - 1];
    for (int i = n - 2; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

double cn_exp(double x)
{
    /* 1 / k! from k = 2 on: the first term left out, r^14 / 14!, is below 5e-18. */
    static const double c[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                               1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                               1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
    if (isnan(x)) return x;
    if (x > 710) return INFINITY;
    if (x < -746) return 0;
    const double n = floor(x * 1.44269504088896338700 + 0.5);
    const double high = x - n * LN2_HIGH, low = n * LN2_LOW, r = high - low;
    /* e^r = 1 + r + r^2 q, where r's own rounding error counts in the second term alone. */
    const double q = polynomial(r, c, (int)(sizeof c / sizeof *c));
    return ldexp(1 + (r + (r * r * q + ((high - r) - low))), (int)n);
}

double cn_log(double x)
{
    /* log m = 2 artanh s = 2 s (1 + s^2/3 + s^4/5 + ..), s = (m - 1) / (m + 1), s^2 < 0.0295: the
     * first term left out, s^22 / 23, is below 7e-19. */
    static const double c[] = {1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11,
                               1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
    int n;
    if (isnan(x) || x < 0) return NAN;
    if (x == 0) return -INFINITY;
    if (isinf(x)) return x;
    double m = frexp(x, &n);
    if (m < 0.70710678118654752440) m *= 2, n--;
    const double f = m - 1, s = f / (2 + f), z = s * s;
    const double rest = s * (z * polynomial(z, c, (int)(sizeof c / sizeof *c)));
    /* 2 s = f - s f: the largest term is then exact. */
    return n * LN2_HIGH + (f - (s * f - (2 * rest + n * LN2_LOW)));
}

double cn_log1p(double x)
{
    const double u = 1 + x;
    if (!(u > 0) || isinf(u)) return cn_log(u);
    return cn_log(u) + (x - (u - 1)) / u; /* what rounding 1 + x has lost */
}

double cn_pow(double x, double y)
{
    if (floor(y) != y || fabs(y) >= 2147483648.0) return y == 0 ? 1 : cn_exp(y * cn_log(x));
    double power = 1;
    for (uint32_t n = (uint32_t)fabs(y); n > 0; n /= 2, x *= x)
        if (n % 2 == 1) power *= x;
    return y < 0 ? 1 / power : power;
}

/* sin r and cos r for |r| <= pi / 4, z = r^2: the first terms left out, r^19 / 19! and r^18 / 18!,
 * are below 2e-18. */
static double sine(double r)
{
    static const double c[] = {
        -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
        -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
    const double z = r * r;
    return r + r * (z * polynomial(z, c, (int)(sizeof c / sizeof *c)));
}

static double cosine(double r)
{
    static const double c[] = {
        1.0 / 24,        -1.0 / 720,         1.0 / 40320,         -1.0 / 3628800,
        1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000};
    const double z = r * r, half = z / 2, w = 1 - half;
    return w + (((1 - w) - half) + z * z * polynomial(z, c, (int)(sizeof c / sizeof *c)));
}

/* x - n pi / 2 for the nearest n, which is returned modulo 4; NaN where x is too large. */
static int quadrant(double x, double *r)
{
    *r = NAN;
    if (!(fabs(x) <= 1e6)) return 0;
    const double n = floor(x * 0.63661977236758134308 + 0.5);
    *r = ((x - n * 1.57079632673412561417) - n * 6.07710050630396597660e-11) -
         n * 2.02226624879595063154e-21;
    return (int)(n - 4 * floor(n / 4));
}

double cn_sin(double x)
{
    double r;
    switch (quadrant(x, &r)) {
    case 0: return sine(r);
    case 1: return cosine(r);
    case 2: return -sine(r);
    default: return -cosine(r);
    }
}

double cn_cos(double x)
{
    double r;
    switch (quadrant(x, &r)) {
    case 0: return cosine(r);
    case 1: return -sine(r);
    case 2: return -cosine(r);
    default: return sine(r);
    }
}

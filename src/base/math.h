/*
 * math.h - elementary functions of doubles that give the same bits everywhere.
 *
 * The C library's functions differ in their last bits between versions and processors, and weights
 * computed with them would differ, too. These use only +, -, *, / and exact operations, which
 * IEEE 754 defines to the last bit, in a fixed order. Unless stated otherwise they are within 2
 * units in the last place of the true value.
 */
#ifndef CN_MATH_H
#define CN_MATH_H

#include <stdbool.h>
#include <stddef.h>

/* e^x. Below -745 it is 0, above 709.8 infinity. */
double cn_exp(double x);
/* The natural logarithm: -infinity of 0, NaN below. */
double cn_log(double x);
/* log(1 + x), also where x is small. */
double cn_log1p(double x);
/* x^y for x >= 0. For a whole y below 2^31 by repeated multiplication, whose rounding errors grow
 * with log2 y; else exp(y log x), whose relative error grows with |y log x|. */
double cn_pow(double x, double y);
/* Of an angle in radians, NaN where |x| exceeds 1e6; the absolute error is below 3e-16. */
double cn_sin(double x);
double cn_cos(double x);

/* How many of x[0..n-1] are NaN or infinite; *nan (may be NULL) becomes true where one is NaN
 * (finite.c). */
size_t cn_count_not_finite(size_t n, const float *x, bool *nan);

#endif

/*
 * ref_arrange.c - elements in another order, some of them, and functions of two inputs:
 *
 *     transpose    y[o, j, i, k] = x[o, i, j, k]
 *     slice        y[o, j, k] = x[o, begin + j step, k]
 *
 *     plus         y = a + b        1               1
 *     multiply     y = a b          b               a
 *     subtract     y = a - b        1               -1
 *     divide       y = a / b        1 / b           -a / b^2
 *     maximum      y = max(a, b)    1 for the first of the larger, else 0, and the rest
 *     minimum      y = min(a, b)    alike
 *     power        y = a^b          b a^(b - 1)     a^b ln a, 0 where a is 0 or less
 */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

void cn_ref_transpose(size_t n, int a, int b, int inner, const double *x, double *y)
{
    for (size_t o = 0; o < n; o++)
        for (int i = 0; i < a; i++)
            for (int j = 0; j < b; j++)
                for (int k = 0; k < inner; k++)
                    y[cn_ref_at(b, a, inner, (int)o, j, i, k)] =
                        x[cn_ref_at(a, b, inner, (int)o, i, j, k)];
}

static size_t from(const cn_ref_cut *c, size_t o, int j, size_t k)
{
    return (o * c->n + (size_t)(c->begin + j * c->step)) * c->inner + k;
}

void cn_ref_slice_forward(const cn_ref_cut *c, const double *x, double *y)
{
    for (size_t o = 0; o < c->outer; o++)
        for (int j = 0; j < c->count; j++)
            for (size_t k = 0; k < c->inner; k++) *y++ = x[from(c, o, j, k)];
}

void cn_ref_slice_backward(const cn_ref_cut *c, const double *dy, double *dx)
{
    for (size_t o = 0; o < c->outer; o++)
        for (int j = 0; j < c->count; j++)
            for (size_t k = 0; k < c->inner; k++) dx[from(c, o, j, k)] += *dy++;
}

/* ---- functions of two inputs */

static double plus(double a, double b)
{
    return a + b;
}

static double one(double a, double b)
{
    (void)a, (void)b;
    return 1;
}

static double minus_one(double a, double b)
{
    (void)a, (void)b;
    return -1;
}

static double multiply(double a, double b)
{
    return a * b;
}

static double first(double a, double b)
{
    (void)b;
    return a;
}

static double second(double a, double b)
{
    (void)a;
    return b;
}

static double subtract(double a, double b)
{
    return a - b;
}

static double divide(double a, double b)
{
    return a / b;
}

static double divide_in_a(double a, double b)
{
    (void)a;
    return 1 / b;
}

static double divide_in_b(double a, double b)
{
    return -a / (b * b);
}

static double maximum(double a, double b)
{
    return a < b ? b : a;
}

static double not_below(double a, double b)
{
    return a >= b;
}

static double below(double a, double b)
{
    return a < b;
}

static double minimum(double a, double b)
{
    return a > b ? b : a;
}

static double not_above(double a, double b)
{
    return a <= b;
}

static double above(double a, double b)
{
    return a > b;
}

static double power(double a, double b)
{
    return pow(a, b);
}

static double power_in_a(double a, double b)
{
    return b * pow(a, b - 1);
}

static double power_in_b(double a, double b)
{
    return a > 0 ? pow(a, b) * log(a) : 0;
}

static const cn_ref_binary binaries[] = {
    {"plus", plus, one, one, false},
    {"multiply", multiply, second, first, false},
    {"subtract", subtract, one, minus_one, false},
    {"divide", divide, divide_in_a, divide_in_b, false},
    {"maximum", maximum, not_below, below, true},
    {"minimum", minimum, not_above, above, true},
    {"power", power, power_in_a, power_in_b, false},
};

const cn_ref_binary *cn_ref_binary_find(const char *name)
{
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (strcmp(binaries[i].name, name) == 0) return &binaries[i];
    return NULL;
}

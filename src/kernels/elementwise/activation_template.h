/*
 * activation_template.h - the element-wise functions and their derivatives, and the table of them.
 *
 * Over n elements: y = f(x), and dx = dy f'(x), computed from the output y where that determines
 * f'(x), else from the input x (in `from`). An output may be the same array as an input. At an
 * infinity a function and its derivative are their limits; a NaN stays NaN.
 *
 * The first ones are plain loops that compilers vectorize; the others are functions of vectors,
 * which `map` and `map_backward` apply to arrays.
 *
 * Parameter: LANES. Provides: elementwise.
 */
#ifndef CN_ACTIVATION_TEMPLATE_H
#define CN_ACTIVATION_TEMPLATE_H

#include "kernels/elementwise/element_template.h"

/* ---- plain loops */

static void sigmoid(size_t n, const cn_activation *unused, const float *x, float *y)
{
    (void)unused;
    IVDEP
    for (size_t i = 0; i < n; i++) y[i] = 1 / (1 + exp_lane(-x[i]));
}

/* y = 1 / (1 + e^-x):  dx = dy y (1 - y) */
static void sigmoid_backward(size_t n, const cn_activation *unused, const float *y, const float *dy,
                             float *dx)
{
    (void)unused;
    IVDEP
    for (size_t i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1 - y[i]);
}

/* Near zero (e^2x - 1) / (e^2x + 1) would cancel: there x + x^3 P(x^2), with the minimax polynomial
 * of the Cephes library. */
static void tanh_(size_t n, const cn_activation *unused, const float *x, float *y)
{
    (void)unused;
    IVDEP
    for (size_t i = 0; i < n; i++) {
        const float v = x[i], z = v * v;
        float p = -5.70498872745e-3f;
        p = fmadd1(p, z, 2.06390887954e-2f);
        p = fmadd1(p, z, -5.37397155531e-2f);
        p = fmadd1(p, z, 1.33314422036e-1f);
        p = fmadd1(p, z, -3.33332819422e-1f);
        const float near = fmadd1(v * z, p, v);
        const float far = 1 - 2 / (exp_lane(2 * v) + 1);
        y[i] = z < 0.390625f ? near : far;
    }
}

/* y = tanh x:  dx = dy (1 - y^2) */
static void tanh_backward(size_t n, const cn_activation *unused, const float *y, const float *dy,
                          float *dx)
{
    (void)unused;
    IVDEP
    for (size_t i = 0; i < n; i++) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

static void scale_by(size_t n, const cn_activation *a, const float *x, float *y)
{
    scale(n, a->parameter, x, y);
}

/* y = factor x:  dx = factor dy */
static void scale_by_backward(size_t n, const cn_activation *a, const float *from, const float *dy,
                              float *dx)
{
    (void)from;
    scale(n, a->parameter, dy, dx);
}

static void shift_by(size_t n, const cn_activation *a, const float *x, float *y)
{
    const float offset = a->parameter;
    for (size_t i = 0; i < n; i++) y[i] = x[i] + offset;
}

/* y = x + offset:  dx = dy */
static void shift_by_backward(size_t n, const cn_activation *unused, const float *from,
                              const float *dy, float *dx)
{
    (void)unused, (void)from;
    for (size_t i = 0; i < n; i++) dx[i] = dy[i];
}

/* ---- functions of vectors, along an array */

typedef vf lanes_function(vf x, cn_activation a);
typedef vf lanes_derivative(vf from, vf dy, cn_activation a); /* from y or x */

INLINE void map(size_t n, const cn_activation *given, const float *x, float *y, lanes_function *f)
{
    const cn_activation a = *given; /* a copy that no write to y can change */
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(y + i, f(load(x + i), a));
    if (i < n) store_part(y + i, f(load(x + i), a), (int)(n - i));
}

INLINE void map_backward(size_t n, const cn_activation *given, const float *from, const float *dy,
                         float *dx, lanes_derivative *f)
{
    const cn_activation a = *given;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) store(dx + i, f(load(from + i), load(dy + i), a));
    if (i < n) store_part(dx + i, f(load(from + i), load(dy + i), a), (int)(n - i));
}

/* ---- vocabulary */

INLINE vf abs_lanes(vf x)
{
    return (vf)((vi)x & 0x7fffffff);
}

/* mask ? 0 : x */
INLINE vf zero_where(vi mask, vf x)
{
    return (vf)(~mask & (vi)x);
}

/*
 * e^x = (1 + r q) 2^n for -87 <= x <= 88. x = n ln 2 + r with |r| <= ln 2 / 2; 1 + r q by the
 * polynomial of degree 6 with the smallest relative error, 4e-9, its terms in pairs, which need not
 * wait for one another; 2^n by the exponent's bits. Adding 1.5 2^23 rounds to an integer, which
 * then stands in the low bits. ln 2 comes in two parts, the first short enough that its product
 * with n is exact.
 */
typedef struct exponential {
    vf r, q, power;
} exponential;

INLINE exponential exp_parts(vf x)
{
    const vf shifted = fmadd_by(1.44269504f, x, broadcast(12582912.0f)), n = shifted - 12582912.0f;
    const vf r = fmadd_by(2.12194440e-4f, n, fmadd_by(-0.693359375f, n, x)), square = r * r;
    const vf low = horner(r, broadcast(0.499999934f), 1.0f);
    const vf middle = horner(r, broadcast(0.0416683908f), 0.166665204f);
    const vf high = horner(r, broadcast(0.00138145401f), 0.00836874518f);
    return (exponential){
        .r = r,
        .q = fmadd(square, fmadd(square, high, middle), low),
        .power = (vf)(((vi)shifted + 127) << 23), /* the low 9 bits of `shifted` are n */
    };
}

/* e^x for x <= 0, to about 1 ulp; below -87 it is taken for 0. */
INLINE vf exp_below(vf x)
{
    const exponential e = exp_parts(at_least(x, -87));
    return zero_where(x < -87.0f, horner(e.q, e.r, 1.0f) * e.power);
}

/* e^x - 1 for x <= 0, to about 2 ulp: 2^n (1 + r q) - 1 = (2^n - 1) + 2^n r q, where 2^n - 1 is
 * exact, and 0 near zero. */
INLINE vf expm1_below(vf x)
{
    const exponential e = exp_parts(at_least(x, -87));
    return fmadd(e.power, e.r * e.q, e.power - 1.0f);
}

/* ---- functions with kinks */

/* y = min(max(x, lower), upper):  dx = dy where lower < y < upper, else 0. An infinite upper bound
 * is none: the derivative at infinity is 1, and no y compares with a NaN. */
INLINE vf clip_derivative(vf y, vf dy, cn_activation a)
{
    const float upper = a.upper < INFINITY ? a.upper : NAN;
    return zero_where((y <= a.lower) | (y >= upper), dy);
}

INLINE vf leaky_relu_lanes(vf x, cn_activation a)
{
    return select(x < 0, a.parameter * x, x);
}

/* dx = dy where y > 0, else slope dy */
INLINE vf leaky_relu_derivative(vf y, vf dy, cn_activation a)
{
    return select(y > 0, dy, a.parameter * dy);
}

/* 6 (1/6) rounds to 1, so that the function is exactly 0 and 1 beyond its kinks. */
INLINE vf hard_sigmoid_lanes(vf x, cn_activation unused)
{
    (void)unused;
    return at_most(relu_lanes(x + 3.0f), 6) * (1.0f / 6);
}

/* y = clamp(x + 3, 0, 6) / 6:  dx = dy / 6 where 0 < y < 1, else 0 */
INLINE vf hard_sigmoid_derivative(vf y, vf dy, cn_activation unused)
{
    (void)unused;
    return zero_where((y <= 0) | (y >= 1), dy * (1.0f / 6));
}

INLINE vf hard_swish_lanes(vf x, cn_activation unused)
{
    return at_least(x, -3) * hard_sigmoid_lanes(x, unused);
}

/* y = x clamp(x + 3, 0, 6) / 6:  dx = dy (2 x + 3) / 6 where -3 < x < 3; dy above, 0 below */
INLINE vf hard_swish_derivative(vf x, vf dy, cn_activation unused)
{
    (void)unused;
    const vf inside = dy * horner(x, broadcast(1.0f / 3), 0.5f);
    return zero_where(x <= -3, select(x >= 3, dy, inside));
}

/* ---- functions with an exponential */

INLINE vf elu_lanes(vf x, cn_activation a)
{
    return select(x > 0, x, a.parameter * expm1_below(at_most(x, 0)));
}

/* y = alpha (e^x - 1) where x <= 0:  dx = dy alpha e^x = dy (y + alpha) there, else dy */
INLINE vf elu_derivative(vf y, vf dy, cn_activation a)
{
    return select(y > 0, dy, dy * (y + a.parameter));
}

/*
 * ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), where nothing overflows. For t = e^-|x|, 0 <= t <= 1,
 *
 *     ln(1 + t) = 2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...) with s = t / (2 + t) <= 1/3,
 *
 * the series by the polynomial of degree 3 in s^2 with the smallest error, 5e-9 of the whole.
 */
INLINE vf softplus_lanes(vf x, cn_activation unused)
{
    (void)unused;
    const vf t = exp_below(-abs_lanes(x)), s = t / (t + 2.0f), z = s * s;
    vf p = horner(z, broadcast(0.14012235f), 0.13999569f);
    p = horner(p, z, 0.2001085f);
    p = horner(p, z, 0.33333207f);
    const vf twice = s + s;
    return relu_lanes(x) + fmadd(twice, z * p, twice);
}

/* y = ln(1 + e^x):  dx = dy / (1 + e^-x) = dy (1 - e^-y) */
INLINE vf softplus_derivative(vf y, vf dy, cn_activation unused)
{
    (void)unused;
    return dy * -expm1_below(-y);
}

/*
 * ---- x G(x), where G rises from 0 to 1 and G(-x) = 1 - G(x)
 *
 * With t = |x| both signs need G(-t) alone, the small part, whose digits 1 - G(t) would lose:
 *
 *     x G(x)           = max(x, 0) - t G(-t)
 *     G(x) + x G'(x)   = w where x < 0, else 1 - w,   w = G(-t) - t G'(t)
 *
 * t is cut off where G(-t) has come to 0: an infinite t would make 0 t a NaN.
 */
INLINE vf gated(vf x, vf t, vf tail)
{
    return fmadd(-t, tail, relu_lanes(x));
}

INLINE vf gated_derivative(vf x, vf w, vf dy)
{
    return dy * select(x < 0, w, 1.0f - w);
}

/* SiLU: G(-t) = e / (1 + e) with e = e^-t, and G'(t) = e / (1 + e)^2. */
INLINE vf silu_lanes(vf x, cn_activation unused)
{
    (void)unused;
    const vf t = at_most(abs_lanes(x), 88), e = exp_below(-t);
    return gated(x, t, e / (e + 1.0f));
}

INLINE vf silu_derivative(vf x, vf dy, cn_activation unused)
{
    (void)unused;
    const vf t = at_most(abs_lanes(x), 88), e = exp_below(-t), r = 1.0f / (e + 1.0f);
    return gated_derivative(x, e * r * horner(-t, r, 1.0f), dy);
}

/*
 * GELU: G is the normal distribution's integral Phi, and for t <= 14
 *
 *     Phi(-t) = e^(-t^2/2) Q(t),   Q falling slowly from 1/2 to 1 / (t sqrt(2 pi)).
 *
 * Q is the quotient of polynomials of degree 4 and 5 with the smallest relative error over 0 .. 14,
 * which is 6e-9, and 3e-8 with coefficients rounded to floats. All of these are positive: nothing
 * cancels. What is left is the rounding of t^2/2, a relative error of 2^-24 t^2/2.
 */
INLINE vf mills_ratio(vf t)
{
    vf p = horner(t, broadcast(0.00407756635f), 0.0403722682f);
    p = horner(p, t, 0.182460995f);
    p = horner(p, t, 0.437249802f);
    p = horner(p, t, 0.5f);
    vf q = horner(t, broadcast(0.0102208143f), 0.101205079f);
    q = horner(q, t, 0.467426891f);
    q = horner(q, t, 1.19928729f);
    q = horner(q, t, 1.67238456f);
    q = horner(q, t, 1.0f);
    return p / q;
}

INLINE vf gelu_exact_lanes(vf x, cn_activation unused)
{
    (void)unused;
    const vf t = at_most(abs_lanes(x), 14), bell = exp_below(t * t * -0.5f);
    return gated(x, t, bell * mills_ratio(t));
}

/* Phi'(t) = e^(-t^2/2) / sqrt(2 pi) */
INLINE vf gelu_exact_derivative(vf x, vf dy, cn_activation unused)
{
    (void)unused;
    const vf t = at_most(abs_lanes(x), 14), bell = exp_below(t * t * -0.5f);
    return gated_derivative(x, bell * fmadd_by(-0.398942280f, t, mills_ratio(t)), dy);
}

/* The tanh form: (1 + tanh(u)) / 2 = 1 / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
#define GELU_1 1.59576912f               /* 2 sqrt(2/pi) */
#define GELU_3 (1.59576912f * 0.044715f) /* of 2u */

INLINE vf gelu_tanh_lanes(vf x, cn_activation unused)
{
    (void)unused;
    const vf t = at_most(abs_lanes(x), 14),
             e = exp_below(-t * horner(t * t, broadcast(GELU_3), GELU_1));
    return gated(x, t, e / (e + 1.0f));
}

INLINE vf gelu_tanh_derivative(vf x, vf dy, cn_activation unused)
{
    (void)unused;
    const vf t = at_most(abs_lanes(x), 14),
             e = exp_below(-t * horner(t * t, broadcast(GELU_3), GELU_1));
    const vf r = 1.0f / (e + 1.0f), slope = horner(t * t, broadcast(3 * GELU_3), GELU_1);
    return gated_derivative(x, e * r * horner(-t * r, slope, 1.0f), dy);
}

/* ---- the table */

#define ALONG_AN_ARRAY(name)                                                         \
    static void name(size_t n, const cn_activation *a, const float *x, float *y)     \
    {                                                                                \
        map(n, a, x, y, name##_lanes);                                               \
    }                                                                                \
    static void name##_backward(size_t n, const cn_activation *a, const float *from, \
                                const float *dy, float *dx)                          \
    {                                                                                \
        map_backward(n, a, from, dy, dx, name##_derivative);                         \
    }
ALONG_AN_ARRAY(leaky_relu)
ALONG_AN_ARRAY(hard_sigmoid)
ALONG_AN_ARRAY(hard_swish)
ALONG_AN_ARRAY(elu)
ALONG_AN_ARRAY(softplus)
ALONG_AN_ARRAY(silu)
ALONG_AN_ARRAY(gelu_exact)
ALONG_AN_ARRAY(gelu_tanh)

static void clip(size_t n, const cn_activation *a, const float *x, float *y)
{
    map(n, a, x, y, activate_lanes);
}

static void clip_backward(size_t n, const cn_activation *a, const float *y, const float *dy,
                          float *dx)
{
    map_backward(n, a, y, dy, dx, clip_derivative);
}

/* A parameter that is not 0 selects the tanh form. */
static void gelu(size_t n, const cn_activation *a, const float *x, float *y)
{
    (a->parameter == 0 ? gelu_exact : gelu_tanh)(n, a, x, y);
}

static void gelu_backward(size_t n, const cn_activation *a, const float *x, const float *dy,
                          float *dx)
{
    (a->parameter == 0 ? gelu_exact_backward : gelu_tanh_backward)(n, a, x, dy, dx);
}

/* One row per function, under its layer's name; the row number is cn_activation.kind. */
static const cn_elementwise elementwise[] = {
    [CN_ACTIVATION_CLIP] = {"clip", clip, clip_backward},
    {"sigmoid", sigmoid, sigmoid_backward},
    {"tanh", tanh_, tanh_backward},
    {"scale", scale_by, scale_by_backward},
    {"shift", shift_by, shift_by_backward},
    {"leaky_relu", leaky_relu, leaky_relu_backward},
    {"hard_sigmoid", hard_sigmoid, hard_sigmoid_backward},
    {"hard_swish", hard_swish, hard_swish_backward},
    {"elu", elu, elu_backward},
    {"softplus", softplus, softplus_backward},
    {"silu", silu, silu_backward},
    {"gelu", gelu, gelu_backward},
    {NULL, NULL, NULL},
};

#endif

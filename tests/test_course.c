/*
 * test_course.c - every published test case of the course, from its seed, in F64 and in F32.
 *
 * A case draws its inputs, runs its function through the public API, and compares its figures:
 * first the digits as published, to the last one printed, then the same figure as an independent
 * implementation computed it, element by element.
 */
#include "convnet.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef enum function {
    ZERO_PAD,
    CONV_SINGLE_STEP,
    CONV_FORWARD,
    POOL_FORWARD,
    CONV_BACKWARD,
    CREATE_MASK_FROM_WINDOW,
    DISTRIBUTE_VALUE,
    POOL_BACKWARD,
} function;

/* What a case draws and computes, by the names in which its figures speak. */
typedef enum result {
    X,
    X_PAD,
    A_PREV,
    W,
    B,
    Z,
    A_MAX,
    A_AVERAGE,
    DA,
    DA_PREV,
    DA_PREV_AVERAGE,
    DW,
    DB,
    MASK,
    DISTRIBUTED,
    RESULTS,
} result;

typedef enum kind { ELEMENTS, SHAPE, MEAN, SUM, EQUALS_INPUT } kind;

typedef struct figure {
    const char *what;
    result result;
    kind kind;
    int first[4], end[4]; /* the part that ELEMENTS and EQUALS_INPUT are about; -1: to the end */
    int count;
    const char *published;  /* the printed digits; NULL: never printed */
    const double *computed; /* NULL: as published */
} figure;

typedef struct course_case {
    const char *name;
    function function;
    uint32_t seed;
    int draws[5][4];
    cn_hparameters hparameters;
    int bias_times; /* above 1: a withdrawn figure, which counted the bias once a product */
    int shape[2];   /* of inputs that are given, not drawn */
    int values[9];
    int first_figure, figures;
} course_case;

#include "course_figures.h"

/* ---- running a case */

static cn_error err;

static void ok(cn_status status)
{
    if (status != CN_OK) fail_msg("%s", err.text);
}

static int rank_of(const int *shape)
{
    int rank = 0;
    while (rank < 4 && shape[rank] > 0) rank++;
    return rank;
}

static void draw(cn_rng *rng, cn_tensor *t, cn_dtype dtype, const int *shape)
{
    cn_tensor_free(t);
    ok(cn_tensor_create(t, dtype, rank_of(shape), shape, &err));
    ok(cn_rng_fill_randn(rng, t, &err));
}

static double get(const cn_tensor *t, size_t i)
{
    switch (t->dtype) {
    case CN_DTYPE_F32: return ((float *)t->data)[i];
    case CN_DTYPE_F64: return ((double *)t->data)[i];
    case CN_DTYPE_I32: return ((int32_t *)t->data)[i];
    case CN_DTYPE_U8: return ((uint8_t *)t->data)[i];
    }
    return NAN;
}

static void set(cn_tensor *t, size_t i, double value)
{
    if (t->dtype == CN_DTYPE_F32)
        ((float *)t->data)[i] = (float)value;
    else
        ((double *)t->data)[i] = value;
}

static void single_step(const course_case *c, cn_tensor r[RESULTS])
{
    double z;
    ok(cn_conv_single_step(&r[A_PREV], &r[W], &r[B], &z, &err));
    ok(cn_tensor_create(&r[Z], CN_DTYPE_F64, 1, (int[]){1}, &err));
    set(&r[Z], 0, z + (c->bias_times - 1) * get(&r[B], 0));
}

static void forward(const course_case *c, cn_tensor r[RESULTS], cn_conv_cache *cache)
{
    ok(cn_conv_forward(&r[A_PREV], &r[W], &r[B], c->hparameters, &r[Z], cache, &err));
    assert_ptr_equal(cache->A_prev.data, r[A_PREV].data);
    size_t n_C = cn_tensor_count(&r[B]);
    for (size_t i = 0; c->bias_times > 1 && i < cn_tensor_count(&r[Z]); i++)
        set(&r[Z], i, get(&r[Z], i) + (c->bias_times - 1) * get(&r[B], i % n_C));
}

static void pool(const course_case *c, cn_tensor r[RESULTS], cn_pool_cache *cache)
{
    ok(cn_pool_forward(&r[A_PREV], c->hparameters, CN_POOL_MAX, &r[A_MAX], cache, &err));
    ok(cn_pool_forward(&r[A_PREV], c->hparameters, CN_POOL_AVERAGE, &r[A_AVERAGE], cache, &err));
    assert_ptr_equal(cache->A_prev.data, r[A_PREV].data);
}

static void mask_of(const course_case *c, cn_tensor r[RESULTS], cn_dtype dtype)
{
    if (!r[X].data) {
        ok(cn_tensor_create(&r[X], dtype, 2, c->shape, &err));
        for (size_t i = 0; i < cn_tensor_count(&r[X]); i++) set(&r[X], i, c->values[i]);
    }
    ok(cn_create_mask_from_window(&r[X], &r[MASK], &err));
}

static void distribute(const course_case *c, cn_tensor r[RESULTS], cn_dtype dtype)
{
    ok(cn_tensor_create(&r[DISTRIBUTED], dtype, 2, c->shape, &err));
    ok(cn_distribute_value(c->values[0], c->shape[0], c->shape[1], &r[DISTRIBUTED], &err));
}

static void run(const course_case *c, cn_tensor r[RESULTS], cn_dtype dtype)
{
    const bool is_image = c->function == ZERO_PAD || c->function == CREATE_MASK_FROM_WINDOW;
    const result inputs[] = {is_image ? X : A_PREV, c->function == POOL_BACKWARD ? DA : W, B, W, B};
    cn_conv_cache conv_cache;
    cn_pool_cache pool_cache;
    cn_rng rng;
    cn_rng_seed(&rng, c->seed);
    for (int i = 0; i < 5; i++)
        if (c->draws[i][0] > 0) draw(&rng, &r[inputs[i]], dtype, c->draws[i]);
    switch (c->function) {
    case ZERO_PAD: ok(cn_zero_pad(&r[X], c->hparameters.pad, &r[X_PAD], &err)); break;
    case CONV_SINGLE_STEP: single_step(c, r); break;
    case CONV_FORWARD: forward(c, r, &conv_cache); break;
    case POOL_FORWARD: pool(c, r, &pool_cache); break;
    case CONV_BACKWARD: /* the course takes Z itself for dZ */
        forward(c, r, &conv_cache);
        ok(cn_conv_backward(&r[Z], &conv_cache, &r[DA_PREV], &r[DW], &r[DB], &err));
        break;
    case CREATE_MASK_FROM_WINDOW: mask_of(c, r, dtype); break;
    case DISTRIBUTE_VALUE: distribute(c, r, dtype); break;
    case POOL_BACKWARD:
        pool(c, r, &pool_cache);
        ok(cn_pool_backward(&r[DA], &pool_cache, CN_POOL_MAX, &r[DA_PREV], &err));
        ok(cn_pool_backward(&r[DA], &pool_cache, CN_POOL_AVERAGE, &r[DA_PREV_AVERAGE], &err));
        break;
    }
}

/* ---- comparing its figures */

/* The elements of t in the figure's part, in C order; returns their number. */
static int part_of(const cn_tensor *t, const figure *f, double *out)
{
    int n[4] = {1, 1, 1, 1}, end[4] = {1, 1, 1, 1}, count = 0;
    for (int i = 0; i < t->rank; i++) {
        n[i] = t->shape[i];
        end[i] = f->end[i] < 0 ? n[i] : f->end[i];
        assert_in_range(end[i], 1, n[i]);
    }
    for (int i = f->first[0]; i < end[0]; i++)
        for (int j = f->first[1]; j < end[1]; j++)
            for (int k = f->first[2]; k < end[2]; k++)
                for (int l = f->first[3]; l < end[3]; l++)
                    out[count++] = get(t, (size_t)(((i * n[1] + j) * n[2] + k) * n[3] + l));
    return count;
}

enum { MOST = 1000 };

/* The figure's numbers as they are in the results; returns how many. */
static int evaluate(const figure *f, const cn_tensor r[RESULTS], double *out)
{
    const cn_tensor *t = &r[f->result];
    assert_non_null(t->data);
    size_t n = cn_tensor_count(t);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += get(t, i);
    switch (f->kind) {
    case ELEMENTS: return part_of(t, f, out);
    case SHAPE:
        for (int i = 0; i < t->rank; i++) out[i] = t->shape[i];
        return t->rank;
    case MEAN: out[0] = sum / (double)n; return 1;
    case SUM: out[0] = sum; return 1;
    case EQUALS_INPUT: {
        int count = part_of(t, f, out);
        bool same = count == (int)cn_tensor_count(&r[X]);
        for (int i = 0; same && i < count; i++) same = out[i] == get(&r[X], (size_t)i);
        out[0] = same;
        return 1;
    }
    }
    return 0;
}

/* Half a unit of the last printed digit. */
static double half_unit(const char *text, const char *end)
{
    const char *point = memchr(text, '.', (size_t)(end - text));
    return point ? 0.5 * pow(10, -(double)(end - point - 1)) : 0;
}

/* Sums are taken in another order than numpy's, so equality is to rounding: 1e-12 of the larger
 * of the figure and 1 in double precision, 5e-5 in single (the mean of db sums 490 pixels, half of
 * them alike, one after the other: 3e-5). Returns whether the figure is published. */
static bool check_figure(const course_case *c, const figure *f, const cn_tensor r[RESULTS],
                         cn_dtype dtype)
{
    static double found[MOST];
    const double rounding = dtype == CN_DTYPE_F64 ? 1e-12 : 5e-5;
    const char *text = f->published;
    assert_int_equal(evaluate(f, r, found), f->count);
    for (int i = 0; i < f->count; i++) {
        if (f->published) {
            char *end;
            double want = strtod(text, &end);
            assert_ptr_not_equal(end, text);
            double allowed = half_unit(text, end) + rounding * fmax(1, fabs(want));
            if (!(fabs(found[i] - want) <= allowed))
                fail_msg("%s: %s [%d] is %.17g, published %.17g", c->name, f->what, i, found[i],
                         want);
            text = end;
        }
        if (f->computed) {
            double want = f->computed[i];
            if (!(fabs(found[i] - want) <= rounding * fmax(1, fabs(want))))
                fail_msg("%s: %s [%d] is %.17g, computed %.17g", c->name, f->what, i, found[i],
                         want);
        }
    }
    if (text) assert_int_equal(strspn(text, " "), strlen(text)); /* no digits left over */
    return f->published != NULL;
}

static void check_all(cn_dtype dtype)
{
    int n_cases = 0, n_published = 0, n_figures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++, n_cases++) {
        cn_tensor r[RESULTS] = {0};
        run(&cases[i], r, dtype);
        for (int j = 0; j < cases[i].figures; j++, n_figures++)
            n_published += check_figure(&cases[i], &figures[cases[i].first_figure + j], r, dtype);
        for (int j = 0; j < RESULTS; j++) cn_tensor_free(&r[j]);
    }
    assert_int_equal(n_cases, 30);
    assert_int_equal(n_published, 82);
    assert_int_equal(n_figures, sizeof figures / sizeof *figures);
}

static void every_published_figure_in_f64(void **state)
{
    (void)state;
    check_all(CN_DTYPE_F64);
}

static void every_published_figure_in_f32(void **state)
{
    (void)state;
    check_all(CN_DTYPE_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_published_figure_in_f64),
        cmocka_unit_test(every_published_figure_in_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fold_elements.c - arithmetic on the elements of constants, two by two or one by one.
 *
 * Of multiples of the number of examples (fold.c) sums, products and quotients are known where
 * their result is such a multiple, or none, whatever that number is.
 */
#include "onnx/fold.h"

#include <math.h>
#include <string.h>

/* ---- arithmetic */

typedef struct arithmetic {
    const char *op;
    double (*real)(double a, double b);
    bool (*whole)(int64_t a, int64_t b, int64_t *y); /* false: no number */
    bool compares;
} arithmetic;

static double add(double a, double b)
{
    return a + b;
}
static double sub(double a, double b)
{
    return a - b;
}
static double mul(double a, double b)
{
    return a * b;
}
static double divide(double a, double b)
{
    return a / b;
}
static double least(double a, double b)
{
    return a < b ? a : b;
}
static double most(double a, double b)
{
    return a > b ? a : b;
}
static double equal(double a, double b)
{
    return a == b;
}
static double less(double a, double b)
{
    return a < b;
}
static double greater(double a, double b)
{
    return a > b;
}
static double less_equal(double a, double b)
{
    return a <= b;
}
static double greater_equal(double a, double b)
{
    return a >= b;
}
static double both(double a, double b)
{
    return a != 0 && b != 0;
}
static double either(double a, double b)
{
    return a != 0 || b != 0;
}

static bool add_whole(int64_t a, int64_t b, int64_t *y)
{
    return !__builtin_add_overflow(a, b, y);
}
static bool sub_whole(int64_t a, int64_t b, int64_t *y)
{
    return !__builtin_sub_overflow(a, b, y);
}
static bool mul_whole(int64_t a, int64_t b, int64_t *y)
{
    return !__builtin_mul_overflow(a, b, y);
}
static bool div_whole(int64_t a, int64_t b, int64_t *y)
{
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *y = a / b;
    return true;
}
static bool mod_whole(int64_t a, int64_t b, int64_t *y)
{
    if (b == 0 || b == -1) return *y = 0, b != 0;
    *y = a % b;
    if (*y != 0 && (*y < 0) != (b < 0)) *y += b;
    return true;
}

static const arithmetic arithmetics[] = {
    {"Add", add, add_whole, false},
    {"Sub", sub, sub_whole, false},
    {"Mul", mul, mul_whole, false},
    {"Div", divide, div_whole, false},
    {"Mod", fmod, mod_whole, false},
    {"Pow", pow, NULL, false},
    {"Min", least, NULL, false},
    {"Max", most, NULL, false},
    {"Equal", equal, NULL, true},
    {"Less", less, NULL, true},
    {"Greater", greater, NULL, true},
    {"LessOrEqual", less_equal, NULL, true},
    {"GreaterOrEqual", greater_equal, NULL, true},
    {"And", both, NULL, true},
    {"Or", either, NULL, true},
};

static const arithmetic *find_arithmetic(const cn_graph_node *node)
{
    for (size_t i = 0; i < sizeof arithmetics / sizeof *arithmetics; i++)
        if (cn_span_is(node->op, arithmetics[i].op)) return &arithmetics[i];
    return NULL;
}

/* The shape that both are spread to, and the strides of each in it. */
static bool broadcast(const cn_onnx_constant *a, const cn_onnx_constant *b, walk *wa, walk *wb)
{
    const walk from[2] = {cn_walk_of(a), cn_walk_of(b)};
    walk *to[2] = {wa, wb};
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    for (int side = 0; side < 2; side++)
        for (int k = 0; k < rank; k++) {
            int own = k - (rank - from[side].rank);
            to[side]->rank = rank;
            to[side]->dims[k] = own < 0 ? 1 : from[side].dims[own];
            to[side]->strides[k] = to[side]->dims[k] == 1 ? 0 : from[side].strides[own];
        }
    for (int k = 0; k < rank; k++) {
        if (wa->dims[k] != wb->dims[k] && wa->dims[k] != 1 && wb->dims[k] != 1) return false;
        wa->dims[k] = wb->dims[k] = wa->dims[k] == 1 ? wb->dims[k] : wa->dims[k];
    }
    return true;
}

/* Of two integers, where one or both may be multiples of the number of examples. */
static bool of_two(const arithmetic *f, const cn_onnx_constant *a, const cn_onnx_constant *b,
                   cn_onnx_constant *y, size_t i)
{
    const bool ma = cn_fold_is_of_batch(a, i), mb = cn_fold_is_of_batch(b, i);
    const int64_t u = a->ints[i], v = b->ints[i];
    if (f->compares) {
        if (ma != mb && f->real != equal) return false;
        y->ints[i] = ma == mb ? f->real((double)u, (double)v) != 0 : 0;
        return true;
    }
    const bool product = f->whole == mul_whole, quotient = f->whole == div_whole;
    if ((product && ma && mb) || (quotient && mb && !ma) || (!product && !quotient && ma != mb))
        return false;
    const bool marked = product ? ma || mb : quotient ? ma && !mb : ma;
    if (marked && y->of_batch) y->of_batch[i] = true;
    if (f->whole) return f->whole(u, v, &y->ints[i]);
    const double result = f->real((double)u, (double)v);
    if (!(fabs(result) < 0x1p62)) return false;
    y->ints[i] = (int64_t)result;
    return true;
}

/* What each further example adds to the sum or the product y of a and b. */
static bool find_step(const arithmetic *f, const cn_onnx_constant *a, const cn_onnx_constant *b,
                      cn_onnx_constant *y)
{
    const cn_onnx_constant *by = a->step ? a : b, *other = by == a ? b : a;
    if (by->step == 0) return true;
    if (y->rank != by->rank || y->rank < 1 || y->dims[0] != 1 || other->step || other->of_batch)
        return false;
    y->step = by->step;
    if (f->whole == add_whole) return true;
    return f->whole == mul_whole && other->count == 1 &&
           mul_whole(by->step, other->ints[0], &y->step) && y->step != 0;
}

static cn_status fold_arithmetic(cn_importer *im, const cn_graph_node *node, const arithmetic *f)
{
    cn_onnx_constant *a, *b;
    walk wa = {.start = 0}, wb = {.start = 0};
    if (node->input_count == 1) return cn_fold_same(im, node); /* Max and Min of one */
    cn_status status = cn_fold_input(im, 0, &a);
    if (status == CN_OK) status = cn_fold_input(im, 1, &b);
    if (status != CN_OK) return status;
    if (node->input_count > 2) return cn_import_unsupported(im, "more than two constants");
    if (im->file->opset < 7 && a->rank != b->rank && cn_onnx_attribute_find(node, "axis"))
        return cn_import_unsupported(im, "constants along an axis");
    if (a->real != b->real || !broadcast(a, b, &wa, &wb)) return cn_fold_no_axis(im);
    const cn_onnx_constant *u = cn_walk(im, a, &wa), *v = cn_walk(im, b, &wb);
    if (!u || !v) return im->err->status;
    cn_onnx_constant *y = cn_constant_new(im, a->real && !f->compares, wa.rank, wa.dims);
    if (!y || !cn_fold_mark_like(im, y, u->of_batch || v->of_batch)) return im->err->status;
    for (size_t i = 0; i < y->count; i++)
        if (!a->real) {
            if (!of_two(f, u, v, y, i)) return cn_fold_batch_error(im);
        } else {
            const double result = f->real((double)u->reals[i], (double)v->reals[i]);
            if (f->compares)
                y->ints[i] = result != 0;
            else
                y->reals[i] = (float)result;
        }
    if (!find_step(f, a, b, y)) return cn_fold_batch_error(im);
    y->learnt = u->learnt || v->learnt;
    return cn_fold_give(im, 0, y);
}

/* ---- one input */

static double negate(double x)
{
    return -x;
}
static double reciprocal(double x)
{
    return 1 / x;
}
static double not_(double x)
{
    return x == 0;
}

static const struct {
    const char *op;
    double (*f)(double x);
} functions[] = {
    {"Neg", negate}, {"Floor", floor}, {"Ceil", ceil}, {"Sqrt", sqrt}, {"Reciprocal", reciprocal},
    {"Exp", exp},    {"Log", log},     {"Abs", fabs},  {"Not", not_},  {"Round", nearbyint},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static cn_status fold_function(cn_importer *im, double (*f)(double x))
{
    cn_onnx_constant *x;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status != CN_OK) return status;
    cn_onnx_constant *y = cn_constant_new(im, x->real, x->rank, x->dims);
    if (!y) return im->err->status;
    for (size_t i = 0; i < x->count; i++) {
        if (cn_fold_is_of_batch(x, i)) return cn_fold_batch_error(im);
        const double result = f(x->real ? (double)x->reals[i] : (double)x->ints[i]);
        if (!x->real && !(fabs(result) < 0x1p62)) /* exp(1000), 1 / 0, ln(-1) */
            return cn_import_fail(im, CN_ERR_FORMAT, "%g is no integer", result);
        if (x->real)
            y->reals[i] = (float)result;
        else
            y->ints[i] = (int64_t)result;
    }
    y->learnt = x->learnt;
    return cn_fold_give(im, 0, y);
}

/* The product of all elements, of a shape most often. */
static cn_status reduce_prod(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x;
    int64_t one[CN_ONNX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1}, product = 1;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status != CN_OK) return status;
    if (x->real || x->rank > 1) return cn_import_unsupported(im, "of anything but a shape");
    cn_onnx_constant *y =
        cn_constant_new(im, false, cn_onnx_get_int(node, "keepdims", 1) ? x->rank : 0, one);
    if (!y || !cn_fold_mark_like(im, y, x->of_batch != NULL)) return im->err->status;
    for (size_t i = 0; i < x->count; i++) {
        if (cn_fold_is_of_batch(x, i)) {
            if (y->of_batch[0]) return cn_fold_batch_error(im);
            y->of_batch[0] = true;
        }
        if (!mul_whole(product, x->ints[i], &product)) return cn_fold_batch_error(im);
    }
    y->ints[0] = product;
    return cn_fold_give(im, 0, y);
}

static cn_status where(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *c, *a, *b;
    (void)node;
    cn_status status = cn_fold_input(im, 0, &c);
    if (status == CN_OK) status = cn_fold_input(im, 1, &a);
    if (status == CN_OK) status = cn_fold_input(im, 2, &b);
    if (status != CN_OK) return status;
    walk wa = {.start = 0}, wb = {.start = 0}, wc = {.start = 0}, wy = {.start = 0};
    if (c->real || a->real != b->real || !broadcast(a, b, &wa, &wb)) return cn_fold_no_axis(im);
    const cn_onnx_constant *u = cn_walk(im, a, &wa), *v = cn_walk(im, b, &wb);
    if (!u || !v) return im->err->status;
    if (!broadcast(c, u, &wc, &wy) || wy.rank != u->rank ||
        memcmp(wy.dims, u->dims, (size_t)wy.rank * sizeof *wy.dims) != 0)
        return cn_import_unsupported(im, "a condition larger than the choices");
    const cn_onnx_constant *choice = cn_walk(im, c, &wc);
    cn_onnx_constant *y = cn_constant_new(im, a->real, u->rank, u->dims);
    if (!choice || !y || !cn_fold_mark_like(im, y, u->of_batch || v->of_batch))
        return im->err->status;
    for (size_t i = 0; i < y->count; i++) cn_fold_copy_element(y, i, choice->ints[i] ? u : v, i);
    return cn_fold_give(im, 0, y);
}

/* ---- the table */

bool cn_folds_elements(const cn_graph_node *node)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (cn_span_is(node->op, functions[i].op)) return true;
    return find_arithmetic(node) || cn_span_is(node->op, "Where") ||
           cn_span_is(node->op, "ReduceProd");
}

cn_status cn_fold_elements(cn_importer *im, const cn_graph_node *node)
{
    if (cn_span_is(node->op, "Where")) return where(im, node);
    if (cn_span_is(node->op, "ReduceProd")) return reduce_prod(im, node);
    for (int i = 0; i < FUNCTIONS; i++)
        if (cn_span_is(node->op, functions[i].op)) return fold_function(im, functions[i].f);
    return fold_arithmetic(im, node, find_arithmetic(node));
}

/* ---- quantized weights */

cn_status cn_fold_dequantize(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *x, *scale, *zero = NULL;
    cn_status status = cn_fold_input(im, 0, &x);
    if (status == CN_OK) status = cn_fold_input(im, 1, &scale);
    if (status == CN_OK) status = cn_import_constant(im, 2, &zero);
    if (status != CN_OK) return status;
    if (x->real || !scale->real || (zero && zero->real) || cn_onnx_get_int(node, "block_size", 0))
        return cn_import_unsupported(im, "of this kind");
    const int64_t given = cn_onnx_get_int(node, "axis", 1),
                  axis = given < 0 ? given + x->rank : given;
    const bool along = scale->count > 1;
    if ((along && (axis < 0 || axis >= x->rank || (size_t)x->dims[axis] != scale->count)) ||
        scale->count < 1 || (zero && zero->count != scale->count))
        return cn_import_malformed(im, "scales or zero points that do not fit");
    size_t inner = 1;
    for (int64_t k = axis + 1; along && k < x->rank; k++) inner *= (size_t)x->dims[k];
    cn_onnx_constant *y = cn_constant_new(im, true, x->rank, x->dims);
    if (!y) return im->err->status;
    for (size_t i = 0; i < y->count; i++) {
        const size_t part = along ? i / inner % scale->count : 0;
        const int64_t from = zero ? zero->ints[part] : 0;
        y->reals[i] = (float)(x->ints[i] - from) * scale->reals[part];
    }
    y->learnt = x->learnt;
    y->tensor.name = x->tensor.name;
    return cn_fold_give(im, 0, y);
}

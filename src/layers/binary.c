/*
 * binary.c - a function of two inputs, element by element, one of which may be broadcast.
 *
 *     plus        Y = A + B          dA = dY                 dB = dY
 *     multiply    Y = A B            dA = dY B               dB = dY A
 *     subtract    Y = A - B          dA = dY                 dB = -dY
 *     divide      Y = A / B          dA = dY / B             dB = -dY Y / B
 *     maximum     Y = max(A, B)      dA = dY where A >= B    dB = dY where A < B
 *     minimum     Y = min(A, B)      dA = dY where A <= B    dB = dY where A > B
 *     power       Y = A^B            dA = dY B A^(B-1)       dB = dY Y ln A
 *
 * Along an axis where one input has a single element, this is broadcast: combined with every element
 * of the other. The channel weights of squeeze-and-excitation (Hu et al. 2018) are (1, 1, n_C), or
 * just (n_C), beside (n_H, n_W, n_C). The gradient of a broadcast input is the sum over all elements
 * that it was combined with.
 *
 * A power of a base below 0 is NaN unless the exponent is an integer. `plus` is `add` for inputs of
 * different shapes; `add` is fused with its neighbors and needs no memory.
 */
#include "base/math.h"
#include "layers/layer.h"

#include <math.h>
#include <string.h>

typedef enum binary_kind { PLUS, MULTIPLY, SUBTRACT, DIVIDE, MAXIMUM, MINIMUM, POWER } binary_kind;

static const char *const kind_names[] = {"plus",    "multiply", "subtract", "divide",
                                         "maximum", "minimum",  "power"};

static binary_kind kind_of(const cn_layer *layer)
{
    int kind = PLUS;
    while (strcmp(kind_names[kind], layer->type->name) != 0) kind++;
    return (binary_kind)kind;
}

/* (n) as (1, 1, n) */
static cn_shape image_shape(const cn_shape *shape)
{
    cn_shape image = {3, {1, 1, 1}};
    for (int k = 0; k < shape->rank; k++) image.n[3 - shape->rank + k] = shape->n[k];
    return image;
}

static cn_status infer(cn_layer *layer, const char *context, cn_error *err)
{
    char first[CN_SHAPE_TEXT], second[CN_SHAPE_TEXT];
    const cn_shape a = image_shape(&layer->inputs_of[0]), b = image_shape(&layer->inputs_of[1]);
    cn_shape y = a;
    for (int k = 0; k < 3; k++) {
        if (a.n[k] != b.n[k] && a.n[k] != 1 && b.n[k] != 1)
            return cn_fail(err, CN_ERR_SHAPE,
                           "%s: inputs have shapes %s and %s, expected equal extents, or 1 on one "
                           "side",
                           context, cn_shape_text(layer->in.rank, layer->in.n, first),
                           cn_shape_text(layer->inputs_of[1].rank, layer->inputs_of[1].n, second));
        y.n[k] = a.n[k] > b.n[k] ? a.n[k] : b.n[k];
    }
    if (layer->in.rank == 1 && layer->inputs_of[1].rank == 1) y = (cn_shape){1, {y.n[2]}};
    layer->out = y;
    return CN_OK;
}

/* ---- one row of n elements */

static float power(float a, float b)
{
    if (a >= 0) return (float)cn_pow((double)a, (double)b);
    if (b != floorf(b)) return NAN;
    const double size = cn_pow(-(double)a, (double)b);
    return (float)(fmod((double)b, 2) != 0 ? -size : size);
}

static void forward_row(binary_kind kind, size_t n, const float *a, const float *b, float *y)
{
    switch (kind) {
    case PLUS:
        for (size_t k = 0; k < n; k++) y[k] = a[k] + b[k];
        break;
    case MULTIPLY:
        for (size_t k = 0; k < n; k++) y[k] = a[k] * b[k];
        break;
    case SUBTRACT:
        for (size_t k = 0; k < n; k++) y[k] = a[k] - b[k];
        break;
    case DIVIDE:
        for (size_t k = 0; k < n; k++) y[k] = a[k] / b[k];
        break;
    case MAXIMUM: /* a NaN stays, on either side */
        for (size_t k = 0; k < n; k++) y[k] = a[k] >= b[k] || a[k] != a[k] ? a[k] : b[k];
        break;
    case MINIMUM:
        for (size_t k = 0; k < n; k++) y[k] = a[k] <= b[k] || a[k] != a[k] ? a[k] : b[k];
        break;
    default:
        for (size_t k = 0; k < n; k++) y[k] = power(a[k], b[k]);
    }
}

/* The gradient in A, as the table above has it. */
static void gradient_a(binary_kind kind, size_t n, const float *a, const float *b, const float *dy,
                       float *da)
{
    switch (kind) {
    case MULTIPLY:
        for (size_t k = 0; k < n; k++) da[k] = dy[k] * b[k];
        break;
    case DIVIDE:
        for (size_t k = 0; k < n; k++) da[k] = dy[k] / b[k];
        break;
    case MAXIMUM:
        for (size_t k = 0; k < n; k++) da[k] = a[k] >= b[k] ? dy[k] : 0;
        break;
    case MINIMUM:
        for (size_t k = 0; k < n; k++) da[k] = a[k] <= b[k] ? dy[k] : 0;
        break;
    case POWER:
        for (size_t k = 0; k < n; k++) da[k] = dy[k] * b[k] * power(a[k], b[k] - 1);
        break;
    default: memcpy(da, dy, n * sizeof *da);
    }
}

/* The gradient in B. */
static void gradient_b(binary_kind kind, size_t n, const float *a, const float *b, const float *dy,
                       float *db)
{
    switch (kind) {
    case MULTIPLY:
        for (size_t k = 0; k < n; k++) db[k] = dy[k] * a[k];
        break;
    case SUBTRACT:
        for (size_t k = 0; k < n; k++) db[k] = -dy[k];
        break;
    case DIVIDE:
        for (size_t k = 0; k < n; k++) db[k] = -dy[k] * (a[k] / b[k]) / b[k];
        break;
    case MAXIMUM:
        for (size_t k = 0; k < n; k++) db[k] = a[k] < b[k] ? dy[k] : 0;
        break;
    case MINIMUM:
        for (size_t k = 0; k < n; k++) db[k] = a[k] > b[k] ? dy[k] : 0;
        break;
    case POWER:
        for (size_t k = 0; k < n; k++)
            db[k] = a[k] > 0 ? dy[k] * power(a[k], b[k]) * (float)cn_log((double)a[k]) : 0;
        break;
    default: memcpy(db, dy, n * sizeof *db);
    }
}

/* ---- walking over an image */

enum { RUN_FLOATS = 1024 }; /* of operands at a time: both and the results stay in the cache */

/* `operands` is where a run of pixels of an input is written, where it is broadcast; `sum` a row's
 * contribution to the gradient of an input that is broadcast over it. */
typedef struct walk {
    const cn_call *call;
    binary_kind kind;
    cn_shape in[2], out;
    float *operands[2], *gradient, *sum; /* a thread's */
} walk;

/* Pixels of a run. */
static int run_of(const cn_shape *out)
{
    const int pixels = RUN_FLOATS / out->n[2];
    return pixels < 1 ? 1 : pixels < out->n[1] ? pixels : out->n[1];
}

static size_t run_floats(const cn_shape *out)
{
    return (size_t)run_of(out) * (size_t)out->n[2];
}

static size_t worker_floats(const cn_shape *out)
{
    return 2 * run_floats(out) + 2 * (size_t)out->n[2];
}

static walk walk_of(const cn_call *call, int worker)
{
    walk w = {.call = call, .kind = kind_of(call->layer), .out = image_shape(&call->layer->out)};
    const size_t c = (size_t)w.out.n[2];
    float *room = (float *)call->scratch + (size_t)worker * worker_floats(&w.out);
    for (int k = 0; k < 2; k++) {
        w.in[k] = image_shape(&call->layer->inputs_of[k]);
        w.operands[k] = room + (size_t)k * run_floats(&w.out);
    }
    w.gradient = room + 2 * run_floats(&w.out);
    w.sum = w.gradient + c;
    return w;
}

/* The element of input k for row p and column q of the image's output. */
static size_t offset_of(const walk *w, int k, int image, int p, int q)
{
    const int *n = w->in[k].n;
    const size_t row = n[0] == 1 ? 0 : (size_t)p, column = n[1] == 1 ? 0 : (size_t)q;
    return (((size_t)image * (size_t)n[0] + row) * (size_t)n[1] + column) * (size_t)n[2];
}

/* The channels of input k there, in place or written to `room`. */
static const float *channels_at(const walk *w, int k, int image, int p, int q, float *room)
{
    const float *x = (const float *)w->call->x[k] + offset_of(w, k, image, p, q);
    if (w->in[k].n[2] == w->out.n[2]) return x;
    for (int j = 0; j < w->out.n[2]; j++) room[j] = *x;
    return room;
}

/* The operands of input k for n pixels of the image's row p, from column q on: in place, or
 * written. Where all are the same pixel, a whole run of them is written the first time. */
static const float *operands_at(const walk *w, int k, int image, int p, int q, int n, bool first)
{
    const int *in = w->in[k].n, *out = w->out.n;
    const size_t c = (size_t)out[2];
    if (in[1] == out[1] && in[2] == out[2])
        return (const float *)w->call->x[k] + offset_of(w, k, image, p, q);
    const bool same = in[0] == 1 && in[1] == 1;
    const int written = !same ? n : first ? run_of(&w->out) : 0;
    for (int j = 0; j < written; j++) {
        float *to = w->operands[k] + (size_t)j * c;
        const float *from = channels_at(w, k, image, p, q + j, to);
        if (from != to) memcpy(to, from, c * sizeof *to);
    }
    return w->operands[k];
}

typedef struct forward_job {
    const cn_call *call;
    int runs, parts; /* of a row; of all runs of an image */
} forward_job;

static void forward_task(void *argument, int task, int worker)
{
    const forward_job *job = argument;
    const walk w = walk_of(job->call, worker);
    const int image = task / job->parts, part = task % job->parts, run = run_of(&w.out);
    const int64_t all = (int64_t)w.out.n[0] * job->runs;
    const int first = (int)(part * all / job->parts), end = (int)((part + 1) * all / job->parts);
    float *y = (float *)job->call->y + (size_t)image * cn_shape_count(&w.out);
    for (int i = first; i < end; i++) {
        const int p = i / job->runs, q = i % job->runs * run;
        const int n = run < w.out.n[1] - q ? run : w.out.n[1] - q;
        const size_t at = ((size_t)p * (size_t)w.out.n[1] + (size_t)q) * (size_t)w.out.n[2];
        forward_row(w.kind, (size_t)n * (size_t)w.out.n[2],
                    operands_at(&w, 0, image, p, q, n, i == first),
                    operands_at(&w, 1, image, p, q, n, i == first), y + at);
    }
}

/* Adds output row p's contribution to the gradient of input k, column by column. Where the input is
 * broadcast over columns, their sum is computed first: sums of few terms each round less. */
static void backward_row(const walk *w, int k, int image, int p, float *dx)
{
    const cn_call *call = w->call;
    const int columns = w->out.n[1];
    const bool broadcast = w->in[k].n[1] == 1 && columns > 1;
    const size_t c = (size_t)w->out.n[2], own = (size_t)w->in[k].n[2];
    const float *dy = (const float *)call->dy +
                      ((size_t)image * (size_t)w->out.n[0] + (size_t)p) * (size_t)columns * c;
    memset(w->sum, 0, c * sizeof *w->sum);
    for (int q = 0; q < columns; q++, dy += c) {
        const float *a = channels_at(w, 0, image, p, q, w->operands[0]);
        const float *b = channels_at(w, 1, image, p, q, w->operands[1]);
        float *to = broadcast ? w->sum : dx + offset_of(w, k, image, p, q);
        (k ? gradient_b : gradient_a)(w->kind, c, a, b, dy, w->gradient);
        if (own == c) {
            for (size_t j = 0; j < c; j++) to[j] += w->gradient[j];
        } else {
            double sum = 0;
            for (size_t j = 0; j < c; j++) sum += (double)w->gradient[j];
            to[0] += (float)sum;
        }
    }
    float *to = dx + offset_of(w, k, image, p, 0);
    for (size_t j = 0; broadcast && j < own; j++) to[j] += w->sum[j];
}

static bool same_shape(const cn_shape *a, const cn_shape *b)
{
    return memcmp(a->n, b->n, 3 * sizeof *a->n) == 0;
}

static void backward_task(void *argument, int image, int worker)
{
    const cn_call *call = argument;
    const walk w = walk_of(call, worker);
    const size_t count = cn_shape_count(&w.out);
    for (int k = 0; k < 2; k++) {
        float *dx = call->dx[k];
        const size_t own = cn_shape_count(&w.in[k]), at = (size_t)image * own;
        if (!dx) continue;
        if (same_shape(&w.in[0], &w.in[1])) {
            (k ? gradient_b : gradient_a)(w.kind, count, (const float *)call->x[0] + at,
                                          (const float *)call->x[1] + at,
                                          (const float *)call->dy + at, dx + at);
            continue;
        }
        memset(dx + at, 0, own * sizeof *dx);
        for (int p = 0; p < w.out.n[0]; p++) backward_row(&w, k, image, p, dx);
    }
}

static void forward(const cn_call *call)
{
    const cn_shape out = image_shape(&call->layer->out);
    forward_job job = {.call = call, .runs = (out.n[1] + run_of(&out) - 1) / run_of(&out)};
    job.parts = cn_pool_parts(call->pool, call->m, (size_t)out.n[0] * (size_t)job.runs);
    cn_pool_run(call->pool, call->m * job.parts, forward_task, &job);
}

static void backward(const cn_call *call)
{
    cn_pool_run(call->pool, call->m, backward_task, (void *)(uintptr_t)call);
}

static void requirements(const cn_call *call, int threads, cn_requirements *r)
{
    const cn_shape out = image_shape(&call->layer->out);
    r->scratch = (size_t)threads * worker_floats(&out);
}

#define BINARY(type)                         \
    const cn_layer_type cn_##type##_type = { \
        .name = #type,                       \
        .most_inputs = 2,                    \
        .backward_reads = CN_READS_X,        \
        .infer = infer,                      \
    };                                       \
    const cn_layer_ops cn_##type##_cpu = {   \
        .requirements = requirements, .forward = forward, .backward = backward};
BINARY(plus)
BINARY(multiply)
BINARY(subtract)
BINARY(divide)
BINARY(maximum)
BINARY(minimum)
BINARY(power)

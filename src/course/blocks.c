/*
 * blocks.c - the course's eight functions as they are called: arguments checked, outputs prepared,
 * then the textbook loops for F64 or the engine's kernels for F32.
 *
 * Every function goes the same way: check the inputs, fit the window, prepare the outputs and the
 * scratch memory; from there on nothing can fail, so the outputs are handed over at the end.
 */
#include "course/textbook.h"
#include "kernels/kernels.h"

#include <string.h>

/* ---- inputs */

static const char *dtype_name(cn_dtype dtype)
{
    switch (dtype) {
    case CN_DTYPE_F32: return "F32";
    case CN_DTYPE_F64: return "F64";
    case CN_DTYPE_I32: return "I32";
    case CN_DTYPE_U8: return "U8";
    }
    return "unknown";
}

/* A non-empty F32 or F64 tensor; `axes` is the shape it should have, as "(f, f, n_C_prev, n_C)",
 * and rank the number of these axes, or 0 for any. */
static cn_status check_tensor(const char *call, const char *name, const cn_tensor *t, int rank,
                              const char *axes, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (!t) return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s is NULL", call, name);
    if (!t->data) return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s is empty", call, name);
    if (t->dtype != CN_DTYPE_F32 && t->dtype != CN_DTYPE_F64)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s has dtype %s, expected F32 or F64", call, name,
                       dtype_name(t->dtype));
    if (t->rank < 1 || t->rank > CN_MAX_RANK || (rank != 0 && t->rank != rank))
        return cn_fail(err, CN_ERR_SHAPE, "%s: %s has rank %d, expected %s", call, name, t->rank,
                       axes);
    for (int i = 0; i < t->rank; i++)
        if (t->shape[i] < 1)
            return cn_fail(err, CN_ERR_SHAPE, "%s: %s has shape %s, with an extent below 1", call,
                           name, cn_shape_text(t->rank, t->shape, text));
    return CN_OK;
}

static cn_status check_dtype(const char *call, const char *name, const cn_tensor *t,
                             const char *first_name, const cn_tensor *first, cn_error *err)
{
    if (t->dtype == first->dtype) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s is %s, %s is %s", call, name, dtype_name(t->dtype),
                   first_name, dtype_name(first->dtype));
}

static cn_status check_shape(const char *call, const char *name, const cn_tensor *t, int rank,
                             const int *shape, cn_error *err)
{
    char found[CN_SHAPE_TEXT], expected[CN_SHAPE_TEXT];
    if (t->rank == rank && memcmp(t->shape, shape, (size_t)rank * sizeof *shape) == 0) return CN_OK;
    return cn_fail(err, CN_ERR_SHAPE, "%s: %s has shape %s, expected %s", call, name,
                   cn_shape_text(t->rank, t->shape, found), cn_shape_text(rank, shape, expected));
}

static cn_status check_mode(const char *call, cn_pool_mode mode, cn_error *err)
{
    if (mode == CN_POOL_MAX || mode == CN_POOL_AVERAGE) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "%s: unknown mode %d, expected CN_POOL_MAX or "
                   "CN_POOL_AVERAGE",
                   call, (int)mode);
}

#define TRY(expression)                       \
    do {                                      \
        cn_status status_ = (expression);     \
        if (status_ != CN_OK) return status_; \
    } while (0)

/* The geometry of f x f windows, oc channels out, in the kernels' terms. */
static cn_status fit(const char *call, const cn_tensor *A_prev, int f, int stride, int pad, int oc,
                     cn_conv_problem *s, cn_error *err)
{
    cn_window window = {.in = {A_prev->shape[1], A_prev->shape[2]},
                        .kernel = {f, f},
                        .stride = {stride, stride},
                        .before = {pad, pad},
                        .after = {pad, pad}};
    TRY(cn_window_fit(&window, CN_PADDING_VALID, call, err));
    *s = (cn_conv_problem){.m = A_prev->shape[0],
                           .h = A_prev->shape[1],
                           .w = A_prev->shape[2],
                           .c = A_prev->shape[3],
                           .fh = f,
                           .fw = f,
                           .sh = stride,
                           .sw = stride,
                           .pt = pad,
                           .pl = pad,
                           .oh = window.out[0],
                           .ow = window.out[1],
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .groups = 1,
                           .oc = oc};
    /* One window goes nowhere, whatever its stride; the kernels' time grows with a stride. */
    if (s->oh == 1) s->sh = 1;
    if (s->ow == 1) s->sw = 1;
    return CN_OK;
}

/* A_prev, W and b, and the geometry that they and the hyper-parameters make. */
static cn_status check_conv(const char *call, const cn_tensor *A_prev, const cn_tensor *W,
                            const cn_tensor *b, cn_hparameters hparameters, cn_conv_problem *s,
                            cn_error *err)
{
    TRY(check_tensor(call, "A_prev", A_prev, 4, "(m, n_H_prev, n_W_prev, n_C_prev)", err));
    TRY(check_tensor(call, "W", W, 4, "(f, f, n_C_prev, n_C)", err));
    TRY(check_tensor(call, "b", b, 4, "(1, 1, 1, n_C)", err));
    TRY(check_dtype(call, "W", W, "A_prev", A_prev, err));
    TRY(check_dtype(call, "b", b, "A_prev", A_prev, err));
    if (W->shape[0] != W->shape[1])
        return cn_fail(err, CN_ERR_SHAPE, "%s: W is %d x %d, expected a square f x f", call,
                       W->shape[0], W->shape[1]);
    if (W->shape[2] != A_prev->shape[3])
        return cn_fail(err, CN_ERR_SHAPE, "%s: W has %d input channels, A_prev has %d", call,
                       W->shape[2], A_prev->shape[3]);
    TRY(check_shape(call, "b", b, 4, (const int[]){1, 1, 1, W->shape[3]}, err));
    return fit(call, A_prev, W->shape[0], hparameters.stride, hparameters.pad, W->shape[3], s, err);
}

static cn_status check_pool(const char *call, const cn_tensor *A_prev, cn_hparameters hparameters,
                            cn_pool_mode mode, cn_conv_problem *s, cn_error *err)
{
    TRY(check_tensor(call, "A_prev", A_prev, 4, "(m, n_H_prev, n_W_prev, n_C_prev)", err));
    TRY(check_mode(call, mode, err));
    return fit(call, A_prev, hparameters.f, hparameters.stride, 0, A_prev->shape[3], s, err);
}

/* ---- outputs */

/* An output on its way: what the caller gave, and what the call will give back. */
typedef struct output {
    cn_tensor *given, made;
} output;

static bool overlap(const cn_tensor *a, const cn_tensor *b)
{
    uintptr_t from_a = (uintptr_t)a->data, from_b = (uintptr_t)b->data;
    return from_a < from_b + cn_tensor_count(b) * cn_dtype_size(b->dtype) &&
           from_b < from_a + cn_tensor_count(a) * cn_dtype_size(a->dtype);
}

/* Makes the output, in memory of the caller's or its own, but leaves the caller's tensor alone.
 * `what` names it: "conv_forward: Z". */
static cn_status prepare(output *o, cn_tensor *given, cn_dtype dtype, int rank, const int *shape,
                         const char *what, cn_error *err)
{
    if (!given) return cn_fail(err, CN_ERR_ARGUMENT, "%s is NULL", what);
    cn_tensor made = *given;
    TRY(cn_tensor_output(&made, dtype, rank, shape, what, err));
    *o = (output){.given = given, .made = made};
    return CN_OK;
}

/* Memory of its own for every output: the loops read their inputs until the end. */
static cn_status check_apart(const char *call, const output *outputs, int n_outputs,
                             const cn_tensor *const *inputs, int n_inputs, cn_error *err)
{
    for (int i = 0; i < n_outputs; i++) {
        for (int j = 0; j < n_inputs; j++)
            if (overlap(&outputs[i].made, inputs[j]))
                return cn_fail(err, CN_ERR_ARGUMENT, "%s: an output shares memory with an input",
                               call);
        for (int j = 0; j < i; j++)
            if (outputs[i].given == outputs[j].given || overlap(&outputs[i].made, &outputs[j].made))
                return cn_fail(err, CN_ERR_ARGUMENT, "%s: two outputs share memory", call);
    }
    return CN_OK;
}

/* Ends an output's preparation: the caller's tensor becomes the result, or what was made for a
 * call that fails is freed. An output that was never prepared is left alone. */
static void finish(output *o, cn_status status)
{
    if (!o->given) return;
    if (status == CN_OK)
        *o->given = o->made;
    else if (!o->given->data)
        cn_tensor_free(&o->made);
}

static cn_tensor view(const cn_tensor *t)
{
    return cn_tensor_view(t->dtype, t->rank, t->shape, t->data);
}

/* The kernels read some arrays a vector past their end: a copy has the room, the caller's memory
 * may not. */
static float *copy_with_room(const cn_tensor *t, const char *what, cn_error *err)
{
    float *copy = cn_allocate(cn_tensor_count(t), sizeof(float), what, err);
    if (copy) memcpy(copy, t->data, cn_tensor_count(t) * sizeof(float));
    return copy;
}

/* ---- 1. zero padding */

cn_status cn_zero_pad(const cn_tensor *X, int pad, cn_tensor *X_pad, cn_error *err)
{
    const char *call = "zero_pad";
    output out;
    TRY(check_tensor(call, "X", X, 4, "(m, n_H, n_W, n_C)", err));
    /* A 1 x 1 window that visits every pixel: its output has the padded size. */
    cn_window window = {.in = {X->shape[1], X->shape[2]},
                        .kernel = {1, 1},
                        .stride = {1, 1},
                        .before = {pad, pad},
                        .after = {pad, pad}};
    TRY(cn_window_fit(&window, CN_PADDING_VALID, call, err));
    const int shape[] = {X->shape[0], window.out[0], window.out[1], X->shape[3]};
    TRY(prepare(&out, X_pad, X->dtype, 4, shape, "zero_pad: X_pad", err));
    cn_status status = check_apart(call, &out, 1, &X, 1, err);
    if (status == CN_OK) cn_course_zero_pad(X, pad, &out.made);
    finish(&out, status);
    return status;
}

/* ---- 2. a single step of convolution */

cn_status cn_conv_single_step(const cn_tensor *a_slice_prev, const cn_tensor *W, const cn_tensor *b,
                              double *Z, cn_error *err)
{
    const char *call = "conv_single_step";
    TRY(check_tensor(call, "a_slice_prev", a_slice_prev, 3, "(f, f, n_C_prev)", err));
    TRY(check_tensor(call, "W", W, 3, "(f, f, n_C_prev)", err));
    TRY(check_tensor(call, "b", b, 3, "(1, 1, 1)", err));
    TRY(check_dtype(call, "W", W, "a_slice_prev", a_slice_prev, err));
    TRY(check_dtype(call, "b", b, "a_slice_prev", a_slice_prev, err));
    TRY(check_shape(call, "W", W, 3, a_slice_prev->shape, err));
    TRY(check_shape(call, "b", b, 3, (const int[]){1, 1, 1}, err));
    if (!Z) return cn_fail(err, CN_ERR_ARGUMENT, "%s: Z is NULL", call);
    *Z = cn_course_conv_single_step(a_slice_prev, W, b);
    return CN_OK;
}

/* ---- 3. convolution, forward */

static cn_status engine_conv_forward(const cn_conv_problem *s, const cn_tensor *A_prev,
                                     const cn_tensor *W, const cn_tensor *b, const cn_tensor *Z,
                                     cn_error *err)
{
    cn_conv_plan plan;
    cn_conv_args args = {.m = s->m, .x = A_prev->data, .b = b->data, .y = Z->data};
    cn_status status = CN_ERR_MEMORY;
    cn_conv_plan_make(&plan, cn_kernels_get()->conv->methods, s, (cn_conv_options){0});
    float *packed = cn_allocate(plan.packed, sizeof(float), "conv_forward: packed W", err);
    if (!packed) goto done;
    args.scratch = cn_allocate(plan.scratch, sizeof(float), "conv_forward: scratch", err);
    if (!args.scratch) goto done;
    cn_conv_pack(&plan, W->data, packed, NULL);
    args.w = packed;
    cn_conv_run(&plan, CN_CONV_FORWARD, &args);
    status = CN_OK;
done:
    cn_release(args.scratch);
    cn_release(packed);
    return status;
}

cn_status cn_conv_forward(const cn_tensor *A_prev, const cn_tensor *W, const cn_tensor *b,
                          cn_hparameters hparameters, cn_tensor *Z, cn_conv_cache *cache,
                          cn_error *err)
{
    const char *call = "conv_forward";
    cn_conv_problem s;
    output out;
    TRY(check_conv(call, A_prev, W, b, hparameters, &s, err));
    const int shape[] = {s.m, s.oh, s.ow, s.oc};
    TRY(prepare(&out, Z, A_prev->dtype, 4, shape, "conv_forward: Z", err));
    cn_status status = check_apart(call, &out, 1, (const cn_tensor *[]){A_prev, W, b}, 3, err);
    if (status == CN_OK && A_prev->dtype == CN_DTYPE_F64)
        cn_course_conv_forward(A_prev, W, b, hparameters, &out.made);
    else if (status == CN_OK)
        status = engine_conv_forward(&s, A_prev, W, b, &out.made, err);
    if (status == CN_OK && cache)
        *cache = (cn_conv_cache){view(A_prev), view(W), view(b), hparameters};
    finish(&out, status);
    return status;
}

/* ---- 4. pooling, forward */

static cn_status engine_pool_forward(const cn_conv_problem *s, const cn_tensor *A_prev,
                                     cn_pool_mode mode, const cn_tensor *A, cn_error *err)
{
    const cn_kernels *k = cn_kernels_get();
    float *x = copy_with_room(A_prev, "pool_forward: copy of A_prev", err);
    if (!x) return CN_ERR_MEMORY;
    if (mode == CN_POOL_MAX)
        k->pool->max_forward(s, x, A->data, NULL);
    else
        k->pool->average_forward(s, x, A->data, NULL);
    cn_release(x);
    return CN_OK;
}

cn_status cn_pool_forward(const cn_tensor *A_prev, cn_hparameters hparameters, cn_pool_mode mode,
                          cn_tensor *A, cn_pool_cache *cache, cn_error *err)
{
    const char *call = "pool_forward";
    cn_conv_problem s;
    output out;
    TRY(check_pool(call, A_prev, hparameters, mode, &s, err));
    const int shape[] = {s.m, s.oh, s.ow, s.oc};
    TRY(prepare(&out, A, A_prev->dtype, 4, shape, "pool_forward: A", err));
    cn_status status = check_apart(call, &out, 1, &A_prev, 1, err);
    if (status == CN_OK && A_prev->dtype == CN_DTYPE_F64)
        cn_course_pool_forward(A_prev, hparameters, mode, &out.made);
    else if (status == CN_OK)
        status = engine_pool_forward(&s, A_prev, mode, &out.made, err);
    if (status == CN_OK && cache) *cache = (cn_pool_cache){view(A_prev), hparameters};
    finish(&out, status);
    return status;
}

/* ---- 5. convolution, backward */

static cn_status engine_conv_backward(const cn_conv_problem *s, const cn_tensor *dZ,
                                      const cn_conv_cache *cache, const cn_tensor *dA_prev,
                                      const cn_tensor *dW, const cn_tensor *db, cn_error *err)
{
    cn_conv_plan plan;
    cn_conv_args args = {.m = s->m,
                         .x = cache->A_prev.data,
                         .w = cache->W.data,
                         .dx = dA_prev->data,
                         .dw = dW->data,
                         .db = db->data};
    cn_status status = CN_ERR_MEMORY;
    cn_conv_plan_make(&plan, cn_kernels_get()->conv->methods, s, (cn_conv_options){0});
    float *dy = copy_with_room(dZ, "conv_backward: copy of dZ", err);
    if (!dy) goto done;
    args.scratch = cn_allocate(plan.scratch, sizeof(float), "conv_backward: scratch", err);
    if (!args.scratch) goto done;
    args.dy = dy;
    memset(args.dw, 0, cn_tensor_count(dW) * sizeof(float));
    memset(args.db, 0, cn_tensor_count(db) * sizeof(float));
    cn_conv_run(&plan, CN_CONV_BACKWARD_DATA, &args);
    cn_conv_run(&plan, CN_CONV_BACKWARD_WEIGHTS, &args);
    status = CN_OK;
done:
    cn_release(args.scratch);
    cn_release(dy);
    return status;
}

cn_status cn_conv_backward(const cn_tensor *dZ, const cn_conv_cache *cache, cn_tensor *dA_prev,
                           cn_tensor *dW, cn_tensor *db, cn_error *err)
{
    const char *call = "conv_backward";
    cn_conv_problem s;
    TRY(check_tensor(call, "dZ", dZ, 4, "(m, n_H, n_W, n_C)", err));
    if (!cache) return cn_fail(err, CN_ERR_ARGUMENT, "%s: cache is NULL", call);
    if (!cache->A_prev.data)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: cache is empty: conv_forward fills it", call);
    const cn_tensor *A_prev = &cache->A_prev, *W = &cache->W, *b = &cache->b;
    TRY(check_conv(call, A_prev, W, b, cache->hparameters, &s, err));
    TRY(check_dtype(call, "dZ", dZ, "the cache's A_prev", A_prev, err));
    TRY(check_shape(call, "dZ", dZ, 4, (const int[]){s.m, s.oh, s.ow, s.oc}, err));

    output out[3] = {0};
    cn_dtype dtype = dZ->dtype;
    cn_status status =
        prepare(&out[0], dA_prev, dtype, 4, A_prev->shape, "conv_backward: dA_prev", err);
    if (status == CN_OK)
        status = prepare(&out[1], dW, dtype, 4, W->shape, "conv_backward: dW", err);
    if (status == CN_OK)
        status = prepare(&out[2], db, dtype, 4, b->shape, "conv_backward: db", err);
    if (status == CN_OK)
        status = check_apart(call, out, 3, (const cn_tensor *[]){dZ, A_prev, W}, 3, err);
    if (status == CN_OK && dtype == CN_DTYPE_F64)
        cn_course_conv_backward(dZ, A_prev, W, cache->hparameters, &out[0].made, &out[1].made,
                                &out[2].made);
    else if (status == CN_OK)
        status = engine_conv_backward(&s, dZ, cache, &out[0].made, &out[1].made, &out[2].made, err);
    for (int i = 0; i < 3; i++) finish(&out[i], status);
    return status;
}

/* ---- 6. and 7. the two ways through a pooling window */

cn_status cn_create_mask_from_window(const cn_tensor *x, cn_tensor *mask, cn_error *err)
{
    const char *call = "create_mask_from_window";
    output out;
    TRY(check_tensor(call, "x", x, 0, "1 to 4", err));
    TRY(prepare(&out, mask, CN_DTYPE_U8, x->rank, x->shape, "create_mask_from_window: mask", err));
    cn_status status = check_apart(call, &out, 1, &x, 1, err);
    if (status == CN_OK) cn_course_create_mask_from_window(x, &out.made);
    finish(&out, status);
    return status;
}

cn_status cn_distribute_value(double dz, int n_H, int n_W, cn_tensor *a, cn_error *err)
{
    output out;
    if (n_H < 1 || n_W < 1)
        return cn_fail(err, CN_ERR_SHAPE,
                       "distribute_value: shape (%d, %d), expected at least "
                       "(1, 1)",
                       n_H, n_W);
    cn_dtype dtype = a && a->data && a->dtype == CN_DTYPE_F32 ? CN_DTYPE_F32 : CN_DTYPE_F64;
    TRY(prepare(&out, a, dtype, 2, (const int[]){n_H, n_W}, "distribute_value: a", err));
    cn_course_distribute_value(dz, &out.made);
    finish(&out, CN_OK);
    return CN_OK;
}

/* ---- 8. pooling, backward */

static cn_status engine_pool_backward(const cn_conv_problem *s, const cn_tensor *dA,
                                      const cn_tensor *A_prev, cn_pool_mode mode,
                                      const cn_tensor *dA_prev, cn_error *err)
{
    const cn_kernels *k = cn_kernels_get();
    cn_status status = CN_ERR_MEMORY;
    float *x = NULL, *y = NULL;
    float *dy = copy_with_room(dA, "pool_backward: copy of dA", err);
    if (!dy) goto done;
    if (mode == CN_POOL_MAX) {
        x = copy_with_room(A_prev, "pool_backward: copy of A_prev", err);
        if (!x) goto done;
        /* The course's cache has no A: the maxima are found again. */
        y = cn_allocate(cn_tensor_count(dA), sizeof(float), "pool_backward: maxima", err);
        if (!y) goto done;
        k->pool->max_forward(s, x, y, NULL);
        k->pool->max_backward(s, x, y, dy, true, dA_prev->data, NULL);
    } else {
        k->pool->average_backward(s, dy, dA_prev->data, NULL);
    }
    status = CN_OK;
done:
    cn_release(y);
    cn_release(x);
    cn_release(dy);
    return status;
}

cn_status cn_pool_backward(const cn_tensor *dA, const cn_pool_cache *cache, cn_pool_mode mode,
                           cn_tensor *dA_prev, cn_error *err)
{
    const char *call = "pool_backward";
    cn_conv_problem s;
    output out;
    TRY(check_tensor(call, "dA", dA, 4, "(m, n_H, n_W, n_C)", err));
    if (!cache) return cn_fail(err, CN_ERR_ARGUMENT, "%s: cache is NULL", call);
    if (!cache->A_prev.data)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: cache is empty: pool_forward fills it", call);
    const cn_tensor *A_prev = &cache->A_prev;
    TRY(check_pool(call, A_prev, cache->hparameters, mode, &s, err));
    TRY(check_dtype(call, "dA", dA, "the cache's A_prev", A_prev, err));
    TRY(check_shape(call, "dA", dA, 4, (const int[]){s.m, s.oh, s.ow, s.oc}, err));
    TRY(prepare(&out, dA_prev, dA->dtype, 4, A_prev->shape, "pool_backward: dA_prev", err));
    cn_status status = check_apart(call, &out, 1, (const cn_tensor *[]){dA, A_prev}, 2, err);
    if (status == CN_OK && dA->dtype == CN_DTYPE_F64)
        cn_course_pool_backward(dA, A_prev, cache->hparameters, mode, &out.made);
    else if (status == CN_OK)
        status = engine_pool_backward(&s, dA, A_prev, mode, &out.made, err);
    finish(&out, status);
    return status;
}

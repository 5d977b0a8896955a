/* reference.c - the table of twins: every layer type under one pair of signatures. */
#include "reference/reference.h"

#include <math.h>
#include <string.h>

static size_t count_in(const cn_twin_call *t)
{
    return cn_ref_at(t->s.h, t->s.w, t->s.c, t->s.m, 0, 0, 0);
}

/* Softmax runs over the last axis. */
static size_t rows_in(const cn_twin_call *t)
{
    return cn_ref_at(t->s.h, t->s.w, 1, t->s.m, 0, 0, 0);
}

static void conv2d_forward(const cn_twin_call *t)
{
    cn_ref_conv2d_forward(&t->s, t->x[0], t->w[0], t->w[1], t->y);
}

static void conv2d_backward(const cn_twin_call *t)
{
    cn_ref_conv2d_backward(&t->s, t->x[0], t->w[0], t->dy, t->dx[0], t->dw[0], t->dw[1]);
}

static void conv_transpose2d_forward(const cn_twin_call *t)
{
    cn_ref_conv_transpose2d_forward(&t->s, t->x[0], t->w[0], t->w[1], t->y);
}

static void conv_transpose2d_backward(const cn_twin_call *t)
{
    cn_ref_conv_transpose2d_backward(&t->s, t->x[0], t->w[0], t->dy, t->dx[0], t->dw[0], t->dw[1]);
}

/* An input of rank 3 is flattened: its (h, w, c) are contiguous, so it needs no copy. */
static void dense_forward(const cn_twin_call *t)
{
    cn_ref_dense_forward(t->s.m, t->s.h * t->s.w * t->s.c, t->s.oc, t->x[0], t->w[0], t->w[1],
                         t->y);
}

static void dense_backward(const cn_twin_call *t)
{
    cn_ref_dense_backward(t->s.m, t->s.h * t->s.w * t->s.c, t->s.oc, t->x[0], t->w[0], t->dy,
                          t->dx[0], t->dw[0], t->dw[1]);
}

static void max_pool_forward(const cn_twin_call *t)
{
    cn_ref_max_pool_forward(&t->s, t->x[0], t->y);
}

static void max_pool_backward(const cn_twin_call *t)
{
    cn_ref_max_pool_backward(&t->s, t->x[0], t->dy, false, t->dx[0]);
}

static cn_ref_decisions max_pool_decisions(const cn_twin_call *t, double reach)
{
    return cn_ref_max_pool_decisions(&t->s, t->x[0], reach);
}

static void average_pool_forward(const cn_twin_call *t)
{
    cn_ref_average_pool_forward(&t->s, t->x[0], t->y);
}

static void average_pool_backward(const cn_twin_call *t)
{
    cn_ref_average_pool_backward(&t->s, t->dy, t->dx[0]);
}

static void flatten_forward(const cn_twin_call *t)
{
    memcpy(t->y, t->x[0], sizeof(double) * count_in(t));
}

static void flatten_backward(const cn_twin_call *t)
{
    memcpy(t->dx[0], t->dy, sizeof(double) * count_in(t));
}

/* ---- functions of one element */

static double parameter_of(const cn_twin_call *t, const cn_ref_activation *f)
{
    return f->parameter ? f->parameter(t->options) : 0;
}

static void activation_forward(const cn_twin_call *t)
{
    const cn_ref_activation *f = cn_ref_activation_find(t->type);
    const double parameter = parameter_of(t, f);
    for (size_t i = 0; i < count_in(t); i++) t->y[i] = f->value(t->x[0][i], parameter);
}

static void activation_backward(const cn_twin_call *t)
{
    const cn_ref_activation *f = cn_ref_activation_find(t->type);
    const double parameter = parameter_of(t, f);
    for (size_t i = 0; i < count_in(t); i++)
        t->dx[0][i] = t->dy[i] * f->derivative(t->x[0][i], parameter);
}

/* On which sides of the kinks the elements are. One is near to the other side when within `reach`
 * of the kink; on the kink itself it does not count: zero is a dark pixel or a lost unit, in
 * float32 as well. */
static cn_ref_decisions activation_decisions(const cn_twin_call *t, double reach)
{
    const cn_ref_activation *f = cn_ref_activation_find(t->type);
    cn_ref_decisions found = {0, 0};
    for (size_t i = 0; i < count_in(t); i++)
        for (int k = 0; k < f->kinks; k++) {
            double beyond = t->x[0][i] - f->kink[k];
            found.pattern = (found.pattern ^ (beyond > 0)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
            found.near += beyond != 0 && fabs(beyond) <= reach;
        }
    return found;
}

/* The function of one element that has two parameters. */
static void clip_forward(const cn_twin_call *t)
{
    const cn_clip_opts *o = t->options;
    for (size_t i = 0; i < count_in(t); i++) {
        const double x = t->x[0][i];
        t->y[i] = x < o->lower ? o->lower : x > o->upper ? o->upper : x;
    }
}

static void clip_backward(const cn_twin_call *t)
{
    const cn_clip_opts *o = t->options;
    for (size_t i = 0; i < count_in(t); i++)
        t->dx[0][i] = t->x[0][i] > o->lower && t->x[0][i] < o->upper ? t->dy[i] : 0;
}

static cn_ref_decisions clip_decisions(const cn_twin_call *t, double reach)
{
    const cn_clip_opts *o = t->options;
    cn_ref_decisions found = {0, 0};
    for (size_t i = 0; i < count_in(t); i++)
        for (int k = 0; k < 2; k++) {
            double beyond = t->x[0][i] - (k ? o->upper : o->lower);
            found.pattern = (found.pattern ^ (beyond > 0)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
            found.near += beyond != 0 && fabs(beyond) <= reach;
        }
    return found;
}

static void softmax_forward(const cn_twin_call *t)
{
    cn_ref_softmax_forward(rows_in(t), t->s.c, t->x[0], t->y);
}

static void softmax_backward(const cn_twin_call *t)
{
    cn_ref_softmax_backward(rows_in(t), t->s.c, t->x[0], t->dy, t->dx[0]);
}

/* Without a scale, the first weight is the shift. */
static void batch_norm_forward(const cn_twin_call *t)
{
    const cn_batch_norm_opts *o = t->options;
    const double *gamma = o->no_scale ? NULL : t->w[0];
    const double *beta = o->no_shift ? NULL : t->w[!o->no_scale];
    double *const *running = t->w + !o->no_scale + !o->no_shift; /* mean and variance */
    if (t->mode == CN_TWIN_PREDICTS) {
        cn_ref_batch_norm_predict(rows_in(t), t->s.c, o->epsilon, t->x[0], gamma, beta, running[0],
                                  running[1], t->y);
        return;
    }
    cn_ref_batch_norm_forward(rows_in(t), t->s.c, o->epsilon, t->x[0], gamma, beta, t->y);
    if (t->mode == CN_TWIN_TRAINS)
        cn_ref_batch_norm_move(rows_in(t), t->s.c, o->momentum, t->x[0], running[0], running[1]);
}

static void batch_norm_backward(const cn_twin_call *t)
{
    const cn_batch_norm_opts *o = t->options;
    const double *gamma = o->no_scale ? NULL : t->w[0];
    cn_ref_batch_norm_backward(rows_in(t), t->s.c, o->epsilon, t->x[0], gamma, t->dy, t->dx[0],
                               o->no_scale ? NULL : t->dw[0],
                               o->no_shift ? NULL : t->dw[!o->no_scale]);
}

/* Set i of `count` of a norm's. */
typedef cn_ref_set chooser(const cn_twin_call *t, size_t i, size_t *count);

static cn_ref_set layer_set(const cn_twin_call *t, size_t i, size_t *count)
{
    const cn_layer_norm_opts *o = t->options;
    int c = o->all_axes ? t->s.h * t->s.w * t->s.c : t->s.c;
    *count = count_in(t) / (size_t)c;
    return (cn_ref_set){i * (size_t)c, 1, c, c, (size_t)c};
}

static cn_ref_set group_set(const cn_twin_call *t, size_t i, size_t *count)
{
    size_t groups = (size_t)((const cn_group_norm_opts *)t->options)->groups;
    size_t pixels = (size_t)t->s.h * (size_t)t->s.w, c = (size_t)t->s.c;
    *count = (size_t)t->s.m * groups;
    return (cn_ref_set){i / groups * pixels * c + i % groups * (c / groups), pixels,
                        (int)(c / groups), t->s.c, c};
}

static void set_norm(const cn_twin_call *t, chooser *choose, double epsilon, bool no_scale,
                     bool no_shift, bool backward)
{
    const double *gamma = no_scale ? NULL : t->w[0], *beta = no_shift ? NULL : t->w[!no_scale];
    double *d_gamma = !backward || no_scale ? NULL : t->dw[0];
    double *d_beta = !backward || no_shift ? NULL : t->dw[!no_scale];
    size_t count = 1, period = choose(t, 0, &count).period;
    if (d_gamma) memset(d_gamma, 0, period * sizeof *d_gamma);
    if (d_beta) memset(d_beta, 0, period * sizeof *d_beta);
    for (size_t i = 0; i < count; i++) {
        cn_ref_set s = choose(t, i, &count);
        if (backward)
            cn_ref_set_norm_backward(&s, epsilon, t->x[0], gamma, t->dy, t->dx[0], d_gamma, d_beta);
        else
            cn_ref_set_norm_forward(&s, epsilon, t->x[0], gamma, beta, t->y);
    }
}

#define SET_NORM(type, set)                                            \
    static void type##_forward(const cn_twin_call *t)                  \
    {                                                                  \
        const cn_##type##_opts *o = t->options;                        \
        set_norm(t, set, o->epsilon, o->no_scale, o->no_shift, false); \
    }                                                                  \
    static void type##_backward(const cn_twin_call *t)                 \
    {                                                                  \
        const cn_##type##_opts *o = t->options;                        \
        set_norm(t, set, o->epsilon, o->no_scale, o->no_shift, true);  \
    }
SET_NORM(layer_norm, layer_set)
SET_NORM(group_norm, group_set)

static void adaptive_pool_forward(const cn_twin_call *t)
{
    cn_ref_adaptive_pool_forward(&t->s, t->x[0], t->y);
}

static void adaptive_pool_backward(const cn_twin_call *t)
{
    cn_ref_adaptive_pool_backward(&t->s, t->dy, t->dx[0]);
}

static void zero_pad2d_forward(const cn_twin_call *t)
{
    const cn_pads_opts *o = t->options;
    cn_ref_shift_forward(&t->s, o->pads[0], o->pads[1], t->x[0], t->y);
}

static void zero_pad2d_backward(const cn_twin_call *t)
{
    const cn_pads_opts *o = t->options;
    cn_ref_shift_backward(&t->s, o->pads[0], o->pads[1], t->dy, t->dx[0]);
}

static void crop2d_forward(const cn_twin_call *t)
{
    const cn_pads_opts *o = t->options;
    cn_ref_shift_forward(&t->s, -o->pads[0], -o->pads[1], t->x[0], t->y);
}

static void crop2d_backward(const cn_twin_call *t)
{
    const cn_pads_opts *o = t->options;
    cn_ref_shift_backward(&t->s, -o->pads[0], -o->pads[1], t->dy, t->dx[0]);
}

static void upsample2d_forward(const cn_twin_call *t)
{
    const cn_upsample_opts *o = t->options;
    cn_ref_upsample_forward(&t->s, o->method == CN_UPSAMPLE_BILINEAR, t->x[0], t->y);
}

static void upsample2d_backward(const cn_twin_call *t)
{
    const cn_upsample_opts *o = t->options;
    cn_ref_upsample_backward(&t->s, o->method == CN_UPSAMPLE_BILINEAR, t->dy, t->dx[0]);
}

static void dropout_forward(const cn_twin_call *t)
{
    const cn_dropout_opts *o = t->options;
    double rate = t->mode == CN_TWIN_PREDICTS ? 0 : o->rate;
    cn_ref_dropout(count_in(t), rate, t->seed, t->step, t->layer, t->x[0], t->y);
}

static void dropout_backward(const cn_twin_call *t)
{
    const cn_dropout_opts *o = t->options;
    cn_ref_dropout(count_in(t), o->rate, t->seed, t->step, t->layer, t->dy, t->dx[0]);
}

static void add_forward(const cn_twin_call *t)
{
    for (size_t i = 0; i < count_in(t); i++) t->y[i] = t->x[0][i] + t->x[1][i];
}

static void add_backward(const cn_twin_call *t)
{
    for (int k = 0; k < 2; k++) memcpy(t->dx[k], t->dy, sizeof(double) * count_in(t));
}

/* Channels side by side, pixel by pixel. */
static void concat_forward(const cn_twin_call *t)
{
    for (size_t row = 0; row < rows_in(t); row++)
        for (int k = 0, at = 0; k < t->input_count; at += t->channels[k++])
            for (int c = 0; c < t->channels[k]; c++)
                t->y[row * (size_t)t->s.oc + (size_t)(at + c)] =
                    t->x[k][row * (size_t)t->channels[k] + (size_t)c];
}

static void concat_backward(const cn_twin_call *t)
{
    for (size_t row = 0; row < rows_in(t); row++)
        for (int k = 0, at = 0; k < t->input_count; at += t->channels[k++])
            for (int c = 0; c < t->channels[k]; c++)
                t->dx[k][row * (size_t)t->channels[k] + (size_t)c] =
                    t->dy[row * (size_t)t->s.oc + (size_t)(at + c)];
}

/* ---- arrangements */

static void transpose_forward(const cn_twin_call *t)
{
    const cn_transpose_opts *o = t->options;
    size_t blocks = count_in(t) / ((size_t)o->axes[0] * (size_t)o->axes[1] * (size_t)o->inner);
    cn_ref_transpose(blocks, o->axes[0], o->axes[1], o->inner, t->x[0], t->y);
}

static void transpose_backward(const cn_twin_call *t)
{
    const cn_transpose_opts *o = t->options;
    size_t blocks = count_in(t) / ((size_t)o->axes[0] * (size_t)o->axes[1] * (size_t)o->inner);
    cn_ref_transpose(blocks, o->axes[1], o->axes[0], o->inner, t->dy, t->dx[0]);
}

static cn_ref_cut cut_of(const cn_twin_call *t)
{
    const cn_slice_opts *o = t->options;
    const size_t n[4] = {(size_t)t->s.m, (size_t)t->s.h, (size_t)t->s.w, (size_t)t->s.c};
    cn_ref_cut cut = {1, 1, 1, o->begin, o->step, o->count};
    for (int k = 0; k < 4; k++)
        *(k < 3 - (int)o->axis ? &cut.outer : k == 3 - (int)o->axis ? &cut.n : &cut.inner) *= n[k];
    return cut;
}

static void slice_forward(const cn_twin_call *t)
{
    const cn_ref_cut cut = cut_of(t);
    cn_ref_slice_forward(&cut, t->x[0], t->y);
}

static void slice_backward(const cn_twin_call *t)
{
    const cn_ref_cut cut = cut_of(t);
    memset(t->dx[0], 0, sizeof(double) * count_in(t));
    cn_ref_slice_backward(&cut, t->dy, t->dx[0]);
}

/* ---- other sizes, and functions across channels */

static void resize2d_forward(const cn_twin_call *t)
{
    cn_ref_resize(&t->s, t->options, false, t->x[0], t->y);
}

static void resize2d_backward(const cn_twin_call *t)
{
    cn_ref_resize(&t->s, t->options, true, t->dy, t->dx[0]);
}

static void pad2d_forward(const cn_twin_call *t)
{
    cn_ref_pad(&t->s, t->options, false, t->x[0], t->y);
}

static void pad2d_backward(const cn_twin_call *t)
{
    cn_ref_pad(&t->s, t->options, true, t->dy, t->dx[0]);
}

static void log_softmax_forward(const cn_twin_call *t)
{
    cn_ref_log_softmax(rows_in(t), t->s.c, t->x[0], NULL, t->y);
}

static void log_softmax_backward(const cn_twin_call *t)
{
    cn_ref_log_softmax(rows_in(t), t->s.c, t->x[0], t->dy, t->dx[0]);
}

static void local_response_norm_forward(const cn_twin_call *t)
{
    cn_ref_local_response_norm(rows_in(t), t->s.c, t->options, t->x[0], NULL, t->y);
}

static void local_response_norm_backward(const cn_twin_call *t)
{
    cn_ref_local_response_norm(rows_in(t), t->s.c, t->options, t->x[0], t->dy, t->dx[0]);
}

/* ---- channels scaled and shifted, and a constant */

static void affine_forward(const cn_twin_call *t)
{
    const cn_affine_opts *o = t->options;
    const double *scale = o->no_scale ? NULL : t->w[0];
    const double *shift = o->no_shift ? NULL : t->w[!o->no_scale];
    for (size_t i = 0; i < count_in(t); i++) {
        size_t c = i % (size_t)t->s.c;
        t->y[i] = (scale ? scale[c] : 1) * t->x[0][i] + (shift ? shift[c] : 0);
    }
}

static void affine_backward(const cn_twin_call *t)
{
    const cn_affine_opts *o = t->options;
    const double *scale = o->no_scale ? NULL : t->w[0];
    double *d_scale = o->no_scale ? NULL : t->dw[0];
    double *d_shift = o->no_shift ? NULL : t->dw[!o->no_scale];
    for (int c = 0; d_scale && c < t->s.c; c++) d_scale[c] = 0;
    for (int c = 0; d_shift && c < t->s.c; c++) d_shift[c] = 0;
    for (size_t i = 0; i < count_in(t); i++) {
        size_t c = i % (size_t)t->s.c;
        t->dx[0][i] = (scale ? scale[c] : 1) * t->dy[i];
        if (d_scale) d_scale[c] += t->dy[i] * t->x[0][i];
        if (d_shift) d_shift[c] += t->dy[i];
    }
}

static size_t count_out(const cn_twin_call *t, int m)
{
    return cn_ref_at(t->s.oh, t->s.ow, t->s.oc, m, 0, 0, 0);
}

static void constant_forward(const cn_twin_call *t)
{
    for (size_t i = 0; i < count_out(t, t->s.m); i++) t->y[i] = t->w[0][i % count_out(t, 1)];
}

static void constant_backward(const cn_twin_call *t)
{
    memset(t->dx[0], 0, sizeof(double) * count_in(t));
    memset(t->dw[0], 0, sizeof(double) * count_out(t, 1));
    for (size_t i = 0; i < count_out(t, t->s.m); i++) t->dw[0][i % count_out(t, 1)] += t->dy[i];
}

/* ---- functions of two inputs */

/* The element of input k that meets element i of y: along an axis of one element, always that. */
static size_t element_of(const cn_twin_call *t, int k, size_t i)
{
    const int *n = t->extents[k];
    size_t c = i % (size_t)t->s.oc, q = i / (size_t)t->s.oc % (size_t)t->s.ow;
    size_t p = i / (size_t)t->s.oc / (size_t)t->s.ow % (size_t)t->s.oh;
    int image = (int)(i / count_out(t, 1));
    return cn_ref_at(n[0], n[1], n[2], image, n[0] == 1 ? 0 : (int)p, n[1] == 1 ? 0 : (int)q,
                     n[2] == 1 ? 0 : (int)c);
}

static void binary_forward(const cn_twin_call *t)
{
    const cn_ref_binary *f = cn_ref_binary_find(t->type);
    for (size_t i = 0; i < count_out(t, t->s.m); i++)
        t->y[i] = f->value(t->x[0][element_of(t, 0, i)], t->x[1][element_of(t, 1, i)]);
}

static void binary_backward(const cn_twin_call *t)
{
    const cn_ref_binary *f = cn_ref_binary_find(t->type);
    for (int k = 0; k < 2; k++) {
        const int *n = t->extents[k];
        memset(t->dx[k], 0, sizeof(double) * cn_ref_at(n[0], n[1], n[2], t->s.m, 0, 0, 0));
    }
    for (size_t i = 0; i < count_out(t, t->s.m); i++) {
        size_t first = element_of(t, 0, i), second = element_of(t, 1, i);
        t->dx[0][first] += t->dy[i] * f->in_a(t->x[0][first], t->x[1][second]);
        t->dx[1][second] += t->dy[i] * f->in_b(t->x[0][first], t->x[1][second]);
    }
}

/* Which of the two is the larger, where that is a kink. */
static cn_ref_decisions binary_decisions(const cn_twin_call *t, double reach)
{
    cn_ref_decisions found = {0, 0};
    if (!cn_ref_binary_find(t->type)->kink) return found;
    for (size_t i = 0; i < count_out(t, t->s.m); i++) {
        double beyond = t->x[0][element_of(t, 0, i)] - t->x[1][element_of(t, 1, i)];
        found.pattern = (found.pattern ^ (beyond > 0)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
        found.near += beyond != 0 && fabs(beyond) <= reach;
    }
    return found;
}

/* One row per layer type, but for the functions of one element or of two; tests/test_layers.c fails
 * while a type of the layer table has none. */
static const cn_twin twins[] = {
    {"conv2d", conv2d_forward, conv2d_backward, NULL},
    {"depthwise_conv2d", conv2d_forward, conv2d_backward, NULL},
    {"conv_transpose2d", conv_transpose2d_forward, conv_transpose2d_backward, NULL},
    {"max_pool", max_pool_forward, max_pool_backward, max_pool_decisions},
    {"average_pool", average_pool_forward, average_pool_backward, NULL},
    {"dense", dense_forward, dense_backward, NULL},
    {"flatten", flatten_forward, flatten_backward, NULL},
    {"softmax", softmax_forward, softmax_backward, NULL},
    {"batch_norm", batch_norm_forward, batch_norm_backward, NULL},
    {"layer_norm", layer_norm_forward, layer_norm_backward, NULL},
    {"group_norm", group_norm_forward, group_norm_backward, NULL},
    {"global_average_pool", adaptive_pool_forward, adaptive_pool_backward, NULL},
    {"adaptive_average_pool", adaptive_pool_forward, adaptive_pool_backward, NULL},
    {"zero_pad2d", zero_pad2d_forward, zero_pad2d_backward, NULL},
    {"crop2d", crop2d_forward, crop2d_backward, NULL},
    {"upsample2d", upsample2d_forward, upsample2d_backward, NULL},
    {"dropout", dropout_forward, dropout_backward, NULL},
    {"add", add_forward, add_backward, NULL},
    {"concat", concat_forward, concat_backward, NULL},
    {"clip", clip_forward, clip_backward, clip_decisions},
    {"reshape", flatten_forward, flatten_backward, NULL},
    {"transpose", transpose_forward, transpose_backward, NULL},
    {"slice", slice_forward, slice_backward, NULL},
    {"resize2d", resize2d_forward, resize2d_backward, NULL},
    {"pad2d", pad2d_forward, pad2d_backward, NULL},
    {"log_softmax", log_softmax_forward, log_softmax_backward, NULL},
    {"local_response_norm", local_response_norm_forward, local_response_norm_backward, NULL},
    {"affine", affine_forward, affine_backward, NULL},
    {"constant", constant_forward, constant_backward, NULL},
};

static const cn_twin binary_twin = {"binary", binary_forward, binary_backward, binary_decisions};

/* That of every function of one element, whose call says which. */
static const cn_twin activation_twin = {"activation", activation_forward, activation_backward,
                                        activation_decisions};

const cn_twin *cn_twin_find(const char *type)
{
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
        if (!strcmp(twins[i].type, type)) return &twins[i];
    if (cn_ref_binary_find(type)) return &binary_twin;
    return cn_ref_activation_find(type) ? &activation_twin : NULL;
}

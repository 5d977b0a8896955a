/*
 * trouble.c - finds where NaN or infinity begins.
 *
 * A sum, a maximum and a ReLU hand a NaN on, so by the time that a loss is NaN nearly everything
 * is. What tells is which number is the first: the step is run again, and every array looked at as
 * soon as it is computed, before another takes its memory.
 */
#include "model/trouble.h"

#include "model/session.h"

#include <stdio.h>
#include <string.h>

/* All bits of a float's exponent are set in an infinity and in a NaN, and in nothing else. As a
 * number without its sign, an infinity is the smallest of these: integers are compared, which
 * compilers do many at a time. */
static const uint32_t infinity_bits = 0x7f800000;

size_t cn_count_not_finite(size_t n, const float *x, bool *nan)
{
    enum { PART = 4096 }; /* so that few bits are enough to count with */
    size_t count = 0;
    for (size_t from = 0; from < n; from += PART) {
        size_t part = n - from < PART ? n - from : PART;
        uint32_t bits[PART], bad = 0, nans = 0;
        memcpy(bits, x + from, part * sizeof *bits);
        for (size_t i = 0; i < part; i++) {
            int32_t size = (int32_t)(bits[i] & 0x7fffffff);
            bad += size >= (int32_t)infinity_bits;
            nans += size > (int32_t)infinity_bits;
        }
        count += bad;
        if (nan && nans > 0) *nan = true;
    }
    return count;
}

/* Fills in what was found where there is anything; `format` and `name` say what x is. */
static bool examine(cn_trouble *t, const cn_layer *layer, int index, const char *what, size_t n,
                    const float *x)
{
    bool nan = false;
    size_t count = cn_count_not_finite(n, x, &nan);
    if (count == 0) return false;
    *t = (cn_trouble){
        .layer = layer->name, .index = index, .nan = nan, .count = count, .elements = n};
    snprintf(t->what, sizeof t->what, "%s", what);
    return true;
}

/* The layer's parameters at `block`, or their gradients. */
static bool examine_weights(cn_trouble *t, const cn_layer *layer, int index, float *const *arrays,
                            const char *prefix)
{
    char what[sizeof t->what];
    for (int k = 0; k < layer->weight_count; k++) {
        const cn_weight *weight = &layer->weights[k];
        if (!arrays[k]) continue;
        snprintf(what, sizeof what, "%s%s.%s", prefix, layer->name, weight->role);
        if (examine(t, layer, index, what, cn_shape_count(&weight->shape), arrays[k])) return true;
    }
    return false;
}

static bool look(const cn_call *call, bool backward, void *user)
{
    cn_trouble *t = user;
    const cn_layer *layer = call->layer;
    char what[sizeof t->what];
    size_t m = (size_t)call->m;
    if (!backward) {
        if (examine_weights(t, layer, call->index, call->w, "")) return true;
        snprintf(what, sizeof what, call->index == 0 ? "the pictures" : "the output of %s",
                 layer->name);
        return call->y &&
               examine(t, layer, call->index, what, m * cn_shape_count(&layer->out), call->y);
    }
    if (examine_weights(t, layer, call->index, call->dw, "the gradient of ")) return true;
    snprintf(what, sizeof what, "the gradient that %s passes back", layer->name);
    for (int k = 0; k < layer->input_count; k++)
        if (call->dx[k] && examine(t, layer, call->index, what,
                                   m * cn_shape_count(&layer->inputs_of[k]), call->dx[k]))
            return true;
    return false;
}

cn_status cn_session_not_finite(cn_session *s, const char *what, cn_error *err)
{
    cn_trouble t = {.layer = NULL};
    if (!cn_model_find_trouble(cn_session_model(s), &t)) cn_session_replay(s, NULL, look, &t);
    if (!t.layer) return cn_fail(err, CN_ERR_DIVERGED, "%s: the output is not finite", what);
    return cn_fail(err, CN_ERR_DIVERGED,
                   "%s: the output is not finite; the first %s is in %.95s (%zu of %zu numbers)",
                   what, t.nan ? "NaN" : "infinity", t.what, t.count, t.elements);
}

cn_status cn_find_trouble(cn_session *s, const cn_tensor *Y, cn_trouble *trouble, cn_error *err)
{
    if (!trouble) return cn_fail(err, CN_ERR_ARGUMENT, "trouble: NULL output");
    cn_status status = cn_session_can_replay(s, Y, err);
    if (status != CN_OK) return status;

    /* A forward of a training moves the statistics: once is enough. */
    cn_model *model = cn_session_model(s);
    size_t count = model->block_size - model->trained_size;
    float *statistics = cn_allocate(count, sizeof *statistics, "trouble: statistics", err);
    if (!statistics) return CN_ERR_MEMORY;
    memcpy(statistics, model->block + model->trained_size, count * sizeof *statistics);
    cn_trouble found = {.layer = NULL};
    cn_session_replay(s, Y, look, &found);
    memcpy(model->block + model->trained_size, statistics, count * sizeof *statistics);
    cn_release(statistics);
    *trouble = found;
    return CN_OK;
}

bool cn_model_find_trouble(const cn_model *model, cn_trouble *trouble)
{
    float *arrays[CN_MAX_PARAMETERS];
    for (int i = 0; i < model->layer_count; i++) {
        const cn_layer *layer = &model->layers[i];
        for (int k = 0; k < layer->weight_count; k++)
            arrays[k] = model->block + layer->weights[k].offset;
        if (examine_weights(trouble, layer, i, arrays, "")) return true;
    }
    return false;
}

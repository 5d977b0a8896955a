/*
 * nonfinite.c - finds where NaN or infinity begins.
 *
 * Sums, maxima and ReLUs propagate a NaN, so by the time a loss is NaN nearly everything is. What
 * matters is which one came first: the step is run again, and every array is inspected as soon as
 * it is computed, before another array takes its memory.
 */
#include "model/nonfinite.h"

#include "base/math.h"
#include "model/session.h"

#include <stdio.h>
#include <string.h>

/* What is looked through: a session's arrays or, where that is NULL, the host's floats. */
typedef struct search {
    const cn_session *session;
    cn_nonfinite *found;
} search;

/* Fills in what was found where there is anything; `what` names x. */
static bool examine(const search *s, const cn_layer *layer, int index, const char *what, size_t n,
                    const void *x)
{
    bool nan = false;
    cn_nonfinite *t = s->found;
    size_t count = s->session ? cn_session_count_not_finite(s->session, n, x, &nan)
                              : cn_count_not_finite(n, x, &nan);
    if (count == 0) return false;
    *t = (cn_nonfinite){
        .layer = layer->name, .index = index, .nan = nan, .count = count, .elements = n};
    snprintf(t->what, sizeof t->what, "%s", what);
    return true;
}

/* The layer's parameters at `block`, or their gradients. */
static bool examine_weights(const search *s, const cn_layer *layer, int index, void *const *arrays,
                            const char *prefix)
{
    char what[sizeof s->found->what];
    for (int k = 0; k < layer->parameter_count; k++) {
        const cn_layer_parameter *parameter = &layer->parameters[k];
        if (!arrays[k]) continue;
        snprintf(what, sizeof what, "%s%s.%s", prefix, layer->name, parameter->role);
        if (examine(s, layer, index, what, cn_shape_count(&parameter->shape), arrays[k]))
            return true;
    }
    return false;
}

static bool look(const cn_call *call, bool backward, void *user)
{
    const search *s = user;
    const cn_layer *layer = call->layer;
    char what[sizeof s->found->what];
    size_t m = (size_t)call->m;
    if (!backward) {
        if (examine_weights(s, layer, call->index, call->w, "")) return true;
        snprintf(what, sizeof what, call->index == 0 ? "the images" : "the output of %s",
                 layer->name);
        return call->y &&
               examine(s, layer, call->index, what, m * cn_shape_count(&layer->out), call->y);
    }
    if (examine_weights(s, layer, call->index, call->dw, "the gradient of ")) return true;
    snprintf(what, sizeof what, "the gradient that %s passes back", layer->name);
    for (int k = 0; k < layer->input_count; k++)
        if (call->dx[k] && examine(s, layer, call->index, what,
                                   m * cn_shape_count(&layer->inputs_of[k]), call->dx[k]))
            return true;
    return false;
}

cn_status cn_session_not_finite(cn_session *s, const char *what, cn_error *err)
{
    cn_nonfinite t = {.layer = NULL};
    search looked = {s, &t};
    if (!cn_model_find_nonfinite(cn_session_model(s), &t)) cn_session_rerun(s, NULL, look, &looked);
    if (!t.layer) return cn_fail(err, CN_ERR_DIVERGED, "%s: the output is not finite", what);
    return cn_fail(err, CN_ERR_DIVERGED,
                   "%s: the output is not finite; the first %s is in %.95s (%zu of %zu numbers)",
                   what, t.nan ? "NaN" : "infinity", t.what, t.count, t.elements);
}

cn_status cn_session_find_nonfinite(cn_session *s, const cn_tensor *Y, cn_nonfinite *nonfinite,
                                    cn_error *err)
{
    if (!nonfinite) return cn_fail(err, CN_ERR_ARGUMENT, "find_nonfinite: NULL output");
    cn_status status = cn_session_can_rerun(s, Y, err);
    if (status != CN_OK) return status;

    /* A forward of a training updates the buffers: once is enough. */
    cn_model *model = cn_session_trained(s);
    size_t count = model->block_size - model->trained_size;
    float *buffers = cn_allocate(count, sizeof *buffers, "find_nonfinite: buffers", err);
    if (!buffers) return CN_ERR_MEMORY;
    memcpy(buffers, model->block + model->trained_size, count * sizeof *buffers);
    cn_nonfinite found = {.layer = NULL};
    search looked = {s, &found};
    cn_session_rerun(s, Y, look, &looked);
    memcpy(model->block + model->trained_size, buffers, count * sizeof *buffers);
    cn_release(buffers);
    *nonfinite = found;
    return CN_OK;
}

bool cn_model_find_nonfinite(const cn_model *model, cn_nonfinite *nonfinite)
{
    void *arrays[CN_MAX_PARAMETERS];
    const search s = {NULL, nonfinite};
    for (int i = 0; i < model->layer_count; i++) {
        const cn_layer *layer = &model->layers[i];
        for (int k = 0; k < layer->parameter_count; k++)
            arrays[k] = model->block + layer->parameters[k].offset;
        if (examine_weights(&s, layer, i, arrays, "")) return true;
    }
    return false;
}

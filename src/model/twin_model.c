/* twin_model.c - runs a model by its double-precision twins: see twin_model.h. */
#include "model/twin_model.h"

#include "backends/reference_backend.h"

#include <string.h>

static cn_status create_layer(cn_twin_model *t, int i, cn_error *err)
{
    const cn_layer *layer = &t->model->layers[i];
    cn_twin_layer *at = &t->layers[i];
    at->twin = cn_twin_find(layer->type->name);
    if (i > 0 && !at->twin)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "gradcheck: %s has no double-precision twin",
                       layer->name);
    at->shape = cn_twin_shape(layer, t->m);
    for (int k = 0; k < layer->input_count; k++) {
        const cn_shape *in = &t->model->layers[layer->inputs[k]].out;
        at->channels[k] = in->n[in->rank - 1];
        cn_twin_extents(in, at->extents[k]);
    }
    if (!cn_multiply(cn_shape_count(&layer->out), (size_t)t->m, &at->count))
        return cn_fail(err, CN_ERR_MEMORY, "gradcheck: a batch of %d is too large at %s", t->m,
                       layer->name);
    at->y = cn_allocate(at->count, sizeof *at->y, "gradcheck", err);
    at->dy = cn_allocate(at->count, sizeof *at->dy, "gradcheck", err);
    if (!at->y || !at->dy) return CN_ERR_MEMORY;
    for (int j = 0; j < layer->parameter_count; j++) {
        const cn_layer_parameter *parameter = &layer->parameters[j];
        size_t n = cn_shape_count(&parameter->shape);
        at->w[j] = cn_allocate(n, sizeof *at->w[j], "gradcheck", err);
        at->dw[j] = cn_allocate(n, sizeof *at->dw[j], "gradcheck", err);
        if (!at->w[j] || !at->dw[j]) return CN_ERR_MEMORY;
        for (size_t k = 0; k < n; k++) at->w[j][k] = (double)t->model->block[parameter->offset + k];
    }
    return CN_OK;
}

cn_status cn_twin_model_create(cn_twin_model **twin, const cn_model *model, int m, cn_error *err)
{
    size_t largest = 0;
    int inputs = 0;
    cn_status status = CN_ERR_MEMORY;
    cn_twin_model *t = cn_allocate(1, sizeof *t, "gradcheck", err);
    if (!t) return status;
    t->model = model;
    t->m = m;
    t->layers = cn_allocate((size_t)model->layer_count, sizeof *t->layers, "gradcheck", err);
    if (!t->layers) goto done;
    for (int i = 0; i < model->layer_count; i++) {
        status = create_layer(t, i, err);
        if (status != CN_OK) goto done;
        if (t->layers[i].count > largest) largest = t->layers[i].count;
        if (model->layers[i].input_count > inputs) inputs = model->layers[i].input_count;
    }
    for (int k = 0; k < inputs && status == CN_OK; k++) {
        t->dx[k] = cn_allocate(largest, sizeof *t->dx[k], "gradcheck", err);
        if (!t->dx[k]) status = CN_ERR_MEMORY;
    }
done:
    if (status == CN_OK)
        *twin = t;
    else
        cn_twin_model_free(t);
    return status;
}

void cn_twin_model_free(cn_twin_model *t)
{
    if (!t) return;
    for (int i = 0; t->layers && i < t->model->layer_count; i++) {
        cn_twin_layer *at = &t->layers[i];
        cn_release(at->y);
        cn_release(at->dy);
        for (int j = 0; j < CN_MAX_PARAMETERS; j++) {
            cn_release(at->w[j]);
            cn_release(at->dw[j]);
        }
    }
    cn_release(t->layers);
    for (int k = 0; k < CN_MAX_INPUTS; k++) cn_release(t->dx[k]);
    cn_release(t);
}

/* The call of layer i, whose inputs' arrays are put into x. */
static cn_twin_call call_of(const cn_twin_model *t, int i, const double *x[CN_MAX_INPUTS])
{
    const cn_layer *layer = &t->model->layers[i];
    const cn_twin_layer *at = &t->layers[i];
    for (int k = 0; k < layer->input_count; k++) x[k] = t->layers[layer->inputs[k]].y;
    return (cn_twin_call){
        .type = layer->type->name,
        .s = at->shape,
        .options = layer->options,
        .seed = t->seed,
        .step = t->step,
        .layer = i,
        .input_count = layer->input_count,
        .channels = at->channels,
        .extents = (const int(*)[3])at->extents,
        .x = x,
        .w = at->w,
        .y = at->y,
        .dy = at->dy,
        .dx = t->dx,
        .dw = at->dw,
    };
}

void cn_twin_model_forward(cn_twin_model *t, int first, double reach)
{
    for (int i = first > 1 ? first : 1; i < t->model->layer_count; i++) {
        const double *x[CN_MAX_INPUTS];
        const cn_twin_call call = call_of(t, i, x);
        cn_twin_layer *at = &t->layers[i];
        if (at->twin->decisions) at->decisions = at->twin->decisions(&call, reach);
        at->twin->forward(&call);
    }
}

double cn_twin_model_loss(cn_twin_model *t, cn_loss_kind kind, const double *target, bool gradient)
{
    cn_twin_layer *output = &t->layers[t->model->output];
    const cn_shape *out = &t->model->layers[t->model->output].out;
    size_t columns = (size_t)out->n[out->rank - 1];
    const cn_layer_type *type = t->model->layers[t->model->output].type;
    t->how.rows = cn_shape_count(out) / columns;
    t->how.binary = type->loss == CN_LOSS_BINARY_CROSS_ENTROPY;
    return cn_ref_loss_of(kind)(output->count / columns, columns, output->y, target, t->how,
                                gradient ? output->dy : NULL);
}

void cn_twin_model_backward(cn_twin_model *t)
{
    for (int i = 0; i < t->model->layer_count; i++)
        if (i != t->model->output) memset(t->layers[i].dy, 0, t->layers[i].count * sizeof(double));
    for (int i = t->model->layer_count - 1; i > 0; i--) {
        const double *x[CN_MAX_INPUTS];
        const cn_twin_call call = call_of(t, i, x);
        cn_twin_layer *at = &t->layers[i];
        at->twin->backward(&call);
        at->pattern = at->decisions.pattern;
        /* What several layers read gets the sum of their gradients. */
        for (int input = 0; input < call.input_count; input++) {
            cn_twin_layer *before = &t->layers[t->model->layers[i].inputs[input]];
            for (size_t k = 0; k < before->count; k++) before->dy[k] += t->dx[input][k];
        }
    }
}

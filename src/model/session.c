/*
 * session.c - runs a plan: forward, loss, backward, step. Nothing here allocates after
 * cn_session_create, and nothing fails but by a wrong argument.
 */
#include "model/session.h"

#include "backends/backend.h"
#include "base/pixels.h"
#include "model/averages.h"
#include "model/optimizer.h"
#include "model/plan.h"
#include "model/trouble.h"

#include <math.h>
#include <string.h>

/* What the session holds results of; each needs the one before it. */
typedef enum progress { NOTHING, FORWARD, LOSS, BACKWARD } progress;

struct cn_session {
    cn_plan plan;
    cn_model *model;
    const cn_backend *backend;
    void *device;   /* the backend's */
    cn_call *calls; /* one per layer */
    /* In the backend's memory; the parameters are the model's own block where that is the host's.
     */
    void *activations, *workspace, *gradients, *moments, *parameters;
    /* What callers fill and read: the backend's own arrays where its memory is the host's, else
     * copies in one block. */
    float *input, *output, *host_gradients, *input_gradient, *copies;
    float *mean, *std;                   /* n_C of each, for pixels */
    int m;                               /* examples of the last forward */
    double loss_weight, gradient_weight; /* what the mean of the last loss divides by, and that of
                                            the gradients */
    progress done;
    bool packed;
    uint64_t packed_version; /* model->version that the packed weights belong to */
    uint64_t taken_version;  /* and that of the backend's parameters */
    uint64_t updates;        /* steps of the optimizer */
    uint64_t forwards;       /* in training: the step of layers that draw numbers */
};

static void *at_byte(void *base, size_t offset)
{
    return (char *)base + offset;
}

static void *at_element(const cn_session *s, void *base, size_t index)
{
    return at_byte(base, index * cn_dtype_size(s->backend->dtype));
}

static void *buffer(const cn_session *s, int index)
{
    if (index == CN_NO_BUFFER) return NULL;
    return at_byte(s->activations, s->plan.buffers[index].offset);
}

/* Elements of a batch at a layer's output. */
static size_t batch_elements(const cn_session *s, int layer)
{
    return (size_t)s->plan.opts.batch * cn_shape_count(&s->model->layers[layer].out);
}

/* n elements to the host, unless they are there. */
static float *to_host(const cn_session *s, size_t n, const void *from, float *to)
{
    if (!s->backend->host) s->backend->download(s->device, n, from, to);
    return to;
}

/* ---- making */

static void fill_call(cn_session *s, int i)
{
    const cn_layer *layer = &s->model->layers[i];
    const cn_plan_step *step = &s->plan.steps[i];
    cn_call *call = &s->calls[i];
    *call = (cn_call){
        .layer = layer,
        .m = s->plan.opts.batch,
        .batch = s->plan.opts.batch,
        .no_winograd = s->plan.opts.no_winograd,
        .precision = s->plan.opts.precision,
        .training = s->plan.opts.training,
        .add = step->add,
        .activation = step->activation,
        .seed = s->plan.opts.seed,
        .index = i,
        .y = buffer(s, step->y),
        .dy = buffer(s, step->dy),
        .conv = &step->requirements.conv,
        .packed = at_byte(s->workspace, step->packed),
        .kept = at_byte(s->workspace, s->plan.packed + step->kept),
        .scratch = at_byte(s->workspace, s->plan.packed + s->plan.kept),
    };
    s->backend->prepare(s->device, &s->plan.opts, step->alone, call);
    for (int k = 0; k < layer->input_count; k++) {
        call->x[k] = buffer(s, step->x[k]);
        call->dx[k] = buffer(s, step->dx[k]);
    }
    for (int k = 0; k < layer->weight_count; k++) {
        call->w[k] = at_element(s, s->parameters, layer->weights[k].offset);
        if (s->gradients && !layer->weights[k].statistic && cn_layer_learns(layer))
            call->dw[k] = at_element(s, s->gradients, layer->weights[k].offset);
    }
    if (step->norm) call->w[1] = at_byte(s->workspace, step->bias);
}

static void *allocate(const cn_session *s, size_t bytes, const char *what, cn_error *err)
{
    return s->backend->allocate(s->device, bytes, what, err);
}

/* The backend's arrays. */
static cn_status allocate_arrays(cn_session *s, cn_error *err)
{
    const cn_plan *plan = &s->plan;
    const size_t size = cn_dtype_size(s->backend->dtype);
    s->activations = allocate(s, plan->activations, "session: activations", err);
    if (!s->activations) return CN_ERR_MEMORY;
    s->workspace =
        allocate(s, plan->packed + plan->kept + plan->scratch, "session: workspace", err);
    if (!s->workspace) return CN_ERR_MEMORY;
    s->parameters = s->model->block;
    if (!s->backend->host)
        s->parameters = allocate(s, s->model->block_size * size, "session: parameters", err);
    if (!s->parameters) return CN_ERR_MEMORY;
    if (!plan->opts.training) return CN_OK;
    s->gradients = allocate(s, plan->gradients * size, "session: gradients", err);
    if (!s->gradients) return CN_ERR_MEMORY;
    s->moments = allocate(s, plan->moments * size, "session: optimizer", err);
    return s->moments ? CN_OK : CN_ERR_MEMORY;
}

/* What callers fill and read. */
static cn_status place_on_host(cn_session *s, cn_error *err)
{
    const size_t input = batch_elements(s, 0);
    if (s->backend->host) {
        s->input = s->calls[0].y;
        s->output = s->calls[s->model->output].y;
        s->host_gradients = s->gradients;
        s->input_gradient = buffer(s, s->plan.input_gradient);
        return CN_OK;
    }
    s->copies = cn_allocate(cn_plan_copies(&s->plan), 1, "session: copies for the host", err);
    if (!s->copies) return CN_ERR_MEMORY;
    s->input = s->copies;
    s->input_gradient = s->input + input;
    s->output = s->input_gradient + input;
    s->host_gradients = s->output + batch_elements(s, s->model->output);
    return CN_OK;
}

static cn_status create(cn_session *s, cn_model *model, cn_error *err)
{
    if (model->outline)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: the model is an outline, without weights");
    cn_status status = CN_OK;
    if (s->plan.opts.training)
        status = cn_check_averages(model, s->plan.opts.batch, "session", err);
    if (status == CN_OK) status = s->backend->open(&s->plan.opts, &s->device, err);
    if (status == CN_OK) status = allocate_arrays(s, err);
    if (status != CN_OK) return status;
    s->calls = cn_allocate((size_t)model->layer_count, sizeof *s->calls, "session", err);
    if (!s->calls) return CN_ERR_MEMORY;
    for (int i = 0; i < model->layer_count; i++) fill_call(s, i);
    size_t channels = (size_t)model->layers[0].out.n[2];
    s->mean = cn_allocate(2 * channels, sizeof *s->mean, "session: normalisation", err);
    if (!s->mean) return CN_ERR_MEMORY;
    s->std = s->mean + channels;
    return place_on_host(s, err);
}

cn_status cn_session_create_on(cn_session **session, cn_model *model, cn_session_opts opts,
                               const cn_backend *backend, cn_error *err)
{
    cn_session *s = cn_allocate(1, sizeof *s, "session", err);
    if (!s) return CN_ERR_MEMORY;
    s->model = model;
    s->backend = backend;
    cn_status status = cn_plan_create_on(&s->plan, model, opts, backend, err);
    if (status == CN_OK) status = create(s, model, err);
    if (status == CN_OK)
        *session = s;
    else
        cn_session_free(s);
    return status;
}

cn_status cn_session_create(cn_session **session, cn_model *model, cn_session_opts opts,
                            cn_error *err)
{
    const cn_backend *backend = NULL;
    if (!session) return cn_fail(err, CN_ERR_ARGUMENT, "session: NULL output");
    cn_status status = cn_backend_find(opts.backend, &backend, err);
    return status == CN_OK ? cn_session_create_on(session, model, opts, backend, err) : status;
}

void cn_session_free(cn_session *s)
{
    if (!s) return;
    const cn_backend *b = s->backend;
    b->free(s->device, s->activations);
    b->free(s->device, s->workspace);
    b->free(s->device, s->gradients);
    b->free(s->device, s->moments);
    if (!b->host) b->free(s->device, s->parameters);
    if (s->device) b->close(s->device);
    cn_plan_free(&s->plan);
    cn_release(s->calls);
    cn_release(s->copies);
    cn_release(s->mean);
    cn_release(s);
}

/* ---- forward */

/* The weights and the bias that do the work of a layer and of the batch norm after it: the weights
 * in the scratch memory, for the layer to pack, the bias where it stays. */
static void fold_norm(cn_session *s, int i, cn_call *call)
{
    const cn_layer *layer = call->layer;
    const int norm = s->plan.steps[i].norm;
    const void *bias = NULL;
    size_t channels = (size_t)layer->out.n[layer->out.rank - 1];
    if (layer->weight_count > 1) bias = at_element(s, s->parameters, layer->weights[1].offset);
    s->plan.steps[norm].ops->fold(&s->calls[norm],
                                  cn_shape_count(&layer->weights[0].shape) / channels, call->w[0],
                                  bias, call->scratch, call->w[1]);
    call->w[0] = call->scratch;
}

/* Takes the model's weights over, where they may have changed. */
static void take_weights(cn_session *s)
{
    const cn_model *model = s->model;
    if (s->packed && s->packed_version == model->version) return;
    if (!s->backend->host && (!s->packed || s->taken_version != model->version))
        s->backend->upload(s->device, model->block_size, model->block, s->parameters);
    s->taken_version = model->version;
    for (int i = 0; i < model->layer_count; i++) {
        const cn_plan_step *step = &s->plan.steps[i];
        cn_call call = s->calls[i];
        call.m = s->plan.opts.batch;
        if (step->norm) fold_norm(s, i, &call);
        if (step->ops && step->ops->pack) step->ops->pack(&call);
    }
    s->packed = true;
    s->packed_version = model->version;
}

static void run_layer_forward(cn_session *s, int i)
{
    const cn_plan_step *step = &s->plan.steps[i];
    if (step->forward) step->ops->forward(&s->calls[i]);
}

/* Gives the model the parameters from `first` on, as the backend has changed them. */
static void give_parameters(cn_session *s, size_t first)
{
    cn_model *model = s->model;
    to_host(s, model->block_size - first, at_element(s, s->parameters, first),
            model->block + first);
}

static void synchronize(const cn_session *s)
{
    if (s->backend->synchronize) s->backend->synchronize(s->device);
}

/* Over the m examples that lie in the input buffer. */
static void run_forward(cn_session *s, int m)
{
    take_weights(s);
    if (!s->backend->host)
        s->backend->upload(s->device, (size_t)m * cn_shape_count(&s->model->layers[0].out),
                           s->input, s->calls[0].y);
    for (int i = 0; i < s->model->layer_count; i++) {
        s->calls[i].m = m;
        s->calls[i].step = s->forwards;
        run_layer_forward(s, i);
    }
    synchronize(s);
    if (s->plan.opts.training) give_parameters(s, s->model->trained_size); /* the statistics */
    s->m = m;
    s->forwards++;
    s->done = FORWARD;
}

float *cn_session_input(cn_session *s)
{
    return s->input;
}

/* An (m, n_H, n_W, n_C) of the model's examples. */
static cn_status check_examples(const cn_session *s, const cn_tensor *X, const char *what,
                                cn_error *err)
{
    char found[CN_SHAPE_TEXT];
    const int *n = s->model->layers[0].out.n;
    if (!X || !X->data) return cn_fail(err, CN_ERR_ARGUMENT, "%s: NULL or empty X", what);
    if (X->rank != 4 || X->shape[0] < 1 || memcmp(X->shape + 1, n, 3 * sizeof *n) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: X has shape %s, expected (m, %d, %d, %d)", what,
                       cn_shape_text(X->rank, X->shape, found), n[0], n[1], n[2]);
    return CN_OK;
}

cn_status cn_forward(cn_session *s, const cn_tensor *X, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "forward: NULL session");
    cn_status status = check_examples(s, X, "forward", err);
    if (status != CN_OK) return status;
    if (X->dtype != CN_F32)
        return cn_fail(err, CN_ERR_ARGUMENT, "forward: X has dtype %d, expected F32 (%d)",
                       (int)X->dtype, (int)CN_F32);
    if (X->shape[0] > s->plan.opts.batch)
        return cn_fail(err, CN_ERR_SHAPE, "forward: %d examples, expected at most the batch of %d",
                       X->shape[0], s->plan.opts.batch);
    if (s->plan.opts.training) status = cn_check_averages(s->model, X->shape[0], "forward", err);
    if (status != CN_OK) return status;
    if (X->data != cn_session_input(s))
        memcpy(cn_session_input(s), X->data, cn_tensor_count(X) * sizeof(float));
    run_forward(s, X->shape[0]);
    return CN_OK;
}

/* A view of the last m values of a layer. */
static cn_tensor view_of(const cn_session *s, const cn_layer *layer, float *data)
{
    int shape[CN_MAX_RANK] = {s->m};
    memcpy(shape + 1, layer->out.n, (size_t)layer->out.rank * sizeof *shape);
    return cn_tensor_view(CN_F32, layer->out.rank + 1, shape, data);
}

cn_tensor cn_output(const cn_session *s)
{
    if (!s || s->done == NOTHING) return (cn_tensor){0};
    const cn_layer *layer = &s->model->layers[s->model->output];
    return view_of(s, layer,
                   to_host(s, (size_t)s->m * cn_shape_count(&layer->out),
                           s->calls[s->model->output].y, s->output));
}

/* Examples from .. from+m-1 into the input buffer. */
static void take_examples(cn_session *s, const cn_tensor *X, int from, int m)
{
    size_t example = cn_shape_count(&s->model->layers[0].out);
    cn_tensor part = *X;
    part.shape[0] = m;
    part.data = (char *)X->data + (size_t)from * example * cn_dtype_size(X->dtype);
    if (X->dtype == CN_U8)
        cn_pixels_normalize(&part, 1.0F / 255, NULL, m, s->mean, s->std, cn_session_input(s));
    else
        memcpy(cn_session_input(s), part.data, (size_t)m * example * sizeof(float));
}

bool cn_session_output_finite(const cn_session *s)
{
    size_t count = (size_t)s->m * (size_t)cn_model_output_size(s->model);
    return cn_session_count_not_finite(s, count, s->calls[s->model->output].y, NULL) == 0;
}

cn_status cn_predict(cn_session *s, const cn_tensor *X, cn_tensor *Y, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "predict: NULL session");
    cn_status status = check_examples(s, X, "predict", err);
    if (status != CN_OK) return status;
    if (X->dtype != CN_F32 && X->dtype != CN_U8)
        return cn_fail(err, CN_ERR_ARGUMENT, "predict: X has dtype %d, expected F32 or U8",
                       (int)X->dtype);
    int count = X->shape[0], size = cn_model_output_size(s->model);
    bool given = Y && Y->data;
    status = cn_tensor_output(Y, CN_F32, 2, (int[]){count, size}, "predict: Y", err);
    if (status != CN_OK) return status;

    cn_model_normalization(s->model, 0, 1, s->mean, s->std);
    for (int from = 0; from < count; from += s->m) {
        int m = count - from < s->plan.opts.batch ? count - from : s->plan.opts.batch;
        take_examples(s, X, from, m);
        run_forward(s, m);
        if (!cn_session_output_finite(s)) {
            take_examples(s, X, from, m);
            status = cn_session_not_finite(s, "predict", err);
            break;
        }
        memcpy((float *)Y->data + (size_t)from * (size_t)size, cn_output(s).data,
               (size_t)m * (size_t)size * sizeof(float));
    }
    if (status != CN_OK && !given) cn_tensor_free(Y);
    return status;
}

/* ---- loss and backward */

/* The loss of the last forward against Y, and its gradient where the session trains. */
static double run_loss(cn_session *s, const cn_tensor *Y, double *weight)
{
    const cn_call *output = &s->calls[s->model->output];
    const cn_loss_call call = {.plan = &s->plan.loss,
                               .m = s->m,
                               .z = output->x[0],
                               .y_hat = output->y,
                               .Y = Y,
                               .gradient = buffer(s, s->plan.loss_gradient),
                               .scratch = output->scratch,
                               .weight = weight};
    return s->backend->loss(s->device, &call);
}

cn_status cn_loss(cn_session *s, const cn_tensor *Y, double *loss, cn_error *err)
{
    if (!s || !loss) return cn_fail(err, CN_ERR_ARGUMENT, "loss: NULL argument");
    if (s->done == NOTHING)
        return cn_fail(err, CN_ERR_ARGUMENT, "loss: no outputs yet, call cn_forward first");
    cn_status status = cn_loss_check(&s->plan.loss, s->m, Y, err);
    if (status != CN_OK) return status;
    *loss = run_loss(s, Y, &s->loss_weight);
    s->done = LOSS;
    return CN_OK;
}

static void run_layer_backward(cn_session *s, int i)
{
    const cn_plan_step *step = &s->plan.steps[i];
    const cn_call *call = &s->calls[i];
    if (step->mask) s->backend->mask_relu(call, buffer(s, step->dy));
    step->ops->backward(call);
    for (int k = 0; k < call->layer->input_count; k++)
        if (step->sum[k] != CN_NO_BUFFER)
            s->backend->add(s->device, (size_t)s->m * cn_shape_count(&call->layer->inputs_of[k]),
                            call->dx[k], buffer(s, step->sum[k]));
}

static void scale(cn_session *s, size_t n, double factor, void *x)
{
    if (x) s->backend->scale(s->device, n, factor, x);
}

static cn_status check_backward(const cn_session *s, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "backward: NULL session");
    if (!s->plan.opts.training)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "backward: the session was not created with .training = true");
    if (s->done != LOSS)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "backward: no loss to start from, call cn_forward and cn_loss first");
    return CN_OK;
}

static void run_backward(cn_session *s)
{
    for (int i = s->model->layer_count - 1; i > 0; i--)
        if (s->plan.steps[i].backward) run_layer_backward(s, i);
    synchronize(s);
    s->done = BACKWARD;
}

cn_status cn_backward(cn_session *s, cn_error *err)
{
    cn_status status = check_backward(s, err);
    if (status != CN_OK) return status;
    s->backend->zero(s->device, s->plan.gradients, s->gradients);
    s->gradient_weight = s->loss_weight;
    run_backward(s);
    return CN_OK;
}

/* The mean over both parts: (a A + b B) / (a + b) for the means A and B over the weights a and b.
 */
cn_status cn_backward_more(cn_session *s, cn_error *err)
{
    if (s && s->gradient_weight == 0) return cn_backward(s, err);
    cn_status status = check_backward(s, err);
    if (status != CN_OK) return status;
    double before = s->gradient_weight, both = before + s->loss_weight;
    size_t rows = (size_t)s->m * (size_t)s->plan.loss.size;
    scale(s, s->plan.gradients, before / both, s->gradients);
    scale(s, rows, s->loss_weight / both, buffer(s, s->plan.loss_gradient));
    s->gradient_weight = both;
    run_backward(s);
    return CN_OK;
}

bool cn_gradient(const cn_session *s, int i, cn_parameter *out)
{
    if (!s || !out || !s->gradients || i < 0 || i >= s->model->parameter_count) return false;
    if (s->model->parameters[i].statistic) return false;
    *out = s->model->parameters[i];
    size_t at = (size_t)((const float *)out->value.data - s->model->block);
    out->value.data = to_host(s, cn_tensor_count(&out->value), at_element(s, s->gradients, at),
                              s->host_gradients + at);
    return true;
}

cn_tensor cn_input_gradient(const cn_session *s)
{
    if (!s || s->done != BACKWARD || s->plan.input_gradient == CN_NO_BUFFER) return (cn_tensor){0};
    const cn_layer *layer = &s->model->layers[0];
    return view_of(s, layer,
                   to_host(s, (size_t)s->m * cn_shape_count(&layer->out),
                           buffer(s, s->plan.input_gradient), s->input_gradient));
}

/* ---- looking at what has been computed */

cn_status cn_session_can_replay(const cn_session *s, const cn_tensor *Y, cn_error *err)
{
    if (!s || !s->plan.opts.training || s->done == NOTHING)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "trouble: expected a session with .training = true, after cn_forward");
    return Y ? cn_loss_check(&s->plan.loss, s->m, Y, err) : CN_OK;
}

bool cn_session_replay(cn_session *s, const cn_tensor *Y, cn_look *look, void *user)
{
    int n = s->model->layer_count;
    s->done = FORWARD; /* what the loss left is overwritten */
    if (!s->backend->host)
        s->packed = false; /* the backend's statistics move, the model's do not */
    for (int i = 0; i < n; i++) {
        s->calls[i].step = s->forwards - 1;
        run_layer_forward(s, i);
        if (look(&s->calls[i], false, user)) return true;
    }
    if (!Y) return false;
    run_loss(s, Y, NULL);
    s->backend->zero(s->device, s->plan.gradients, s->gradients);
    for (int i = n - 1; i > 0; i--) {
        if (!s->plan.steps[i].backward) continue;
        run_layer_backward(s, i);
        if (look(&s->calls[i], true, user)) return true;
    }
    s->done = BACKWARD;
    return false;
}

size_t cn_session_count_not_finite(const cn_session *s, size_t n, const void *x, bool *nan)
{
    return s->backend->count_not_finite(s->device, n, x, nan);
}

bool cn_session_gradients_finite(const cn_session *s)
{
    return cn_session_count_not_finite(s, s->plan.gradients, s->gradients, NULL) == 0;
}

cn_model *cn_session_model(const cn_session *s)
{
    return s->model;
}

/* ---- the optimiser */

cn_status cn_step(cn_session *s, double learning_rate, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "step: NULL session");
    if (s->done != BACKWARD)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "step: no gradients to follow, call cn_backward first");
    if (!(learning_rate >= 0) || !isfinite(learning_rate))
        return cn_fail(err, CN_ERR_ARGUMENT, "step: learning rate %g, expected 0 or more",
                       learning_rate);
    const cn_update_step step = {.optimizer = &s->plan.opts.optimizer,
                                 .plan = &s->plan.updates,
                                 .rate = learning_rate,
                                 .t = ++s->updates,
                                 .gradients = s->gradients,
                                 .moments = s->moments,
                                 .weights = s->parameters,
                                 .size = s->plan.gradients};
    s->backend->step(s->device, &step);
    synchronize(s);
    give_parameters(s, 0);
    s->taken_version = ++s->model->version;
    s->gradient_weight = 0;
    s->done = FORWARD; /* the outputs are still there; gradients and weights no longer match */
    return CN_OK;
}

void cn_session_state(cn_session *s, cn_state *state)
{
    static const char *const names[] = {"moment_1", "moment_2"};
    size_t size = s->model->trained_size;
    for (size_t i = 0; i * size < s->plan.moments; i++)
        cn_state_add_array(state, names[i], CN_STATE_TRAINED, s->backend->dtype,
                           at_element(s, s->moments, i * size));
    if (!s->backend->host)
        cn_state_add_array(state, "parameters", CN_STATE_BLOCK, s->backend->dtype, s->parameters);
    cn_state_add(state, "updates", CN_STATE_COUNT, &s->updates);
    cn_state_add(state, "forwards", CN_STATE_COUNT, &s->forwards);
}

void cn_session_blend(cn_session *s, double part, float *average)
{
    s->backend->blend(s->device, s->model->block_size, part, s->model->block, average);
}

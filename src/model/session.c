/*
 * session.c - runs a plan: forward, loss, backward, step. Nothing here allocates after
 * cn_session_create, and nothing fails but by a wrong argument.
 */
#include "model/session.h"

#include "backends/backend.h"
#include "model/averages.h"
#include "model/nonfinite.h"
#include "model/optimizer.h"
#include "model/plan.h"

#include <math.h>
#include <string.h>

/* What the session holds results of; each needs the one before it. */
typedef enum progress { NOTHING, FORWARD, LOSS, BACKWARD } progress;

struct cn_session {
    cn_plan plan;
    const cn_model *model;
    cn_model *trained; /* the same where the session trains, else NULL: nothing writes to it */
    const cn_backend *backend;
    void *device;   /* the backend's */
    cn_call *calls; /* one per layer */
    /* In the backend's memory; the parameters are the model's own block where that is the host's.
     */
    void *activations, *workspace, *gradients, *moments, *parameters;
    /* What callers fill and read: the backend's own arrays where its memory is the host's, else
     * copies in one block. */
    float *input, *output, *host_gradients, *input_gradient, *copies;
    float *normalization;                /* room for n_C means, then n_C deviations */
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
        if (s->gradients && !layer->weights[k].buffer && cn_layer_learns(layer))
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

static cn_status create(cn_session *s, const cn_model *model, cn_error *err)
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
    s->normalization = cn_allocate(2 * channels, sizeof(float), "session: normalization", err);
    return s->normalization ? place_on_host(s, err) : CN_ERR_MEMORY;
}

/* `trained` is the model where the session trains it, else NULL. */
static cn_status create_session(cn_session **session, const cn_model *model, cn_model *trained,
                                const cn_session_opts *opts, const cn_backend *backend,
                                cn_error *err)
{
    cn_session *s = cn_allocate(1, sizeof *s, "session", err);
    if (!s) return CN_ERR_MEMORY;
    s->model = model;
    s->trained = trained;
    s->backend = backend;
    cn_status status = cn_plan_create_on(&s->plan, model, opts, backend, err);
    if (status == CN_OK) status = create(s, model, err);
    if (status == CN_OK)
        *session = s;
    else
        cn_session_free(s);
    return status;
}

cn_status cn_session_create_on(cn_session **session, cn_model *model, const cn_session_opts *opts,
                               const cn_backend *backend, cn_error *err)
{
    return create_session(session, model, opts->training ? model : NULL, opts, backend, err);
}

cn_status cn_session_create(cn_session **session, cn_model *model, const cn_session_opts *opts,
                            cn_error *err)
{
    const cn_session_opts chosen = opts ? *opts : (cn_session_opts){0};
    const cn_backend *backend = NULL;
    if (!session) return cn_fail(err, CN_ERR_ARGUMENT, "session: NULL output");
    cn_status status = cn_backend_find(chosen.backend, &backend, err);
    return status == CN_OK ? cn_session_create_on(session, model, &chosen, backend, err) : status;
}

cn_status cn_session_create_inference(cn_session **session, const cn_model *model,
                                      const cn_session_opts *opts, cn_error *err)
{
    const cn_session_opts chosen = opts ? *opts : (cn_session_opts){0};
    const cn_backend *backend = NULL;
    if (!session) return cn_fail(err, CN_ERR_ARGUMENT, "session: NULL output");
    if (chosen.training)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: .training = true, but an inference session never trains");
    cn_status status = cn_backend_find(chosen.backend, &backend, err);
    return status == CN_OK ? create_session(session, model, NULL, &chosen, backend, err) : status;
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
    cn_release(s->normalization);
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
    cn_model *model = s->trained;
    to_host(s, model->block_size - first, at_element(s, s->parameters, first),
            model->block + first);
}

static void synchronize(const cn_session *s)
{
    if (s->backend->synchronize) s->backend->synchronize(s->device);
}

/* Over the m examples that lie in the input buffer; false where the visitor, which may be NULL,
 * stopped it. */
static bool run_forward(cn_session *s, int m, cn_visitor *visit, void *user)
{
    s->m = m;
    s->done = NOTHING;
    take_weights(s);
    if (!s->backend->host)
        s->backend->upload(s->device, (size_t)m * cn_shape_count(&s->model->layers[0].out),
                           s->input, s->calls[0].y);
    for (int i = 0; i < s->model->layer_count; i++) {
        s->calls[i].m = m;
        s->calls[i].step = s->forwards;
        run_layer_forward(s, i);
        if (visit && visit(&s->calls[i], false, user)) return false;
    }
    synchronize(s);
    if (s->trained) give_parameters(s, s->model->trained_size); /* the buffers */
    s->forwards++;
    s->done = FORWARD;
    return true;
}

float *cn_session_input(cn_session *s)
{
    return s->input;
}

void cn_session_normalization(const cn_session *s, float **mean, float **std)
{
    *mean = s->normalization;
    *std = s->normalization + s->model->layers[0].out.n[2];
    cn_model_normalization(s->model, 0, 1, *mean, *std);
}

/* An (m, n_H, n_W, n_C) of the model's examples. */
cn_status cn_session_check_examples(const cn_session *s, const cn_tensor *X, const char *what,
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

static cn_status check_forward(const cn_session *s, const cn_tensor *X, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "forward: NULL session");
    cn_status status = cn_session_check_examples(s, X, "forward", err);
    if (status != CN_OK) return status;
    if (X->dtype != CN_DTYPE_F32)
        return cn_fail(err, CN_ERR_ARGUMENT, "forward: X has dtype %d, expected F32 (%d)",
                       (int)X->dtype, (int)CN_DTYPE_F32);
    if (X->shape[0] > s->plan.opts.batch)
        return cn_fail(err, CN_ERR_SHAPE, "forward: %d examples, expected at most the batch of %d",
                       X->shape[0], s->plan.opts.batch);
    return s->trained ? cn_check_averages(s->model, X->shape[0], "forward", err) : CN_OK;
}

static cn_status forward(cn_session *s, const cn_tensor *X, cn_visitor *visit, void *user,
                         cn_error *err)
{
    cn_status status = check_forward(s, X, err);
    if (status != CN_OK) return status;
    if (X->data != s->input) memcpy(s->input, X->data, cn_tensor_count(X) * sizeof(float));
    if (run_forward(s, X->shape[0], visit, user)) return CN_OK;
    return cn_fail(err, CN_ERR_STOPPED, "forward: stopped by the visitor");
}

cn_status cn_session_forward(cn_session *s, const cn_tensor *X, cn_error *err)
{
    return forward(s, X, NULL, NULL, err);
}

/* A view of the last m values of a layer. */
static cn_tensor view_of(const cn_session *s, const cn_layer *layer, float *data)
{
    int shape[CN_MAX_RANK] = {s->m};
    memcpy(shape + 1, layer->out.n, (size_t)layer->out.rank * sizeof *shape);
    return cn_tensor_view(CN_DTYPE_F32, layer->out.rank + 1, shape, data);
}

cn_tensor cn_session_output(const cn_session *s)
{
    if (!s || s->done == NOTHING) return (cn_tensor){0};
    const cn_layer *layer = &s->model->layers[s->model->output];
    return view_of(s, layer,
                   to_host(s, (size_t)s->m * cn_shape_count(&layer->out),
                           s->calls[s->model->output].y, s->output));
}

bool cn_session_output_finite(const cn_session *s)
{
    size_t count = (size_t)s->m * (size_t)cn_model_output_size(s->model);
    return cn_session_count_not_finite(s, count, s->calls[s->model->output].y, NULL) == 0;
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

cn_status cn_session_loss(cn_session *s, const cn_tensor *Y, double *loss, cn_error *err)
{
    if (!s || !loss) return cn_fail(err, CN_ERR_ARGUMENT, "loss: NULL argument");
    if (s->done == NOTHING)
        return cn_fail(err, CN_ERR_ARGUMENT, "loss: no outputs yet, call cn_session_forward first");
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
        return cn_fail(
            err, CN_ERR_ARGUMENT,
            "backward: no loss to start from, call cn_session_forward and cn_session_loss first");
    return CN_OK;
}

static void run_backward(cn_session *s)
{
    for (int i = s->model->layer_count - 1; i > 0; i--)
        if (s->plan.steps[i].backward) run_layer_backward(s, i);
    synchronize(s);
    s->done = BACKWARD;
}

cn_status cn_session_backward(cn_session *s, cn_error *err)
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
cn_status cn_session_backward_accumulate(cn_session *s, cn_error *err)
{
    if (s && s->gradient_weight == 0) return cn_session_backward(s, err);
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

bool cn_session_gradient(const cn_session *s, int i, cn_parameter *out)
{
    if (!s || !out || !s->gradients || i < 0 || i >= s->model->parameter_count) return false;
    if (s->model->parameters[i].buffer) return false;
    *out = s->model->parameters[i];
    size_t at = (size_t)((const float *)out->value.data - s->model->block);
    out->value.data = to_host(s, cn_tensor_count(&out->value), at_element(s, s->gradients, at),
                              s->host_gradients + at);
    return true;
}

cn_tensor cn_session_input_gradient(const cn_session *s)
{
    if (!s || s->done != BACKWARD || s->plan.input_gradient == CN_NO_BUFFER) return (cn_tensor){0};
    const cn_layer *layer = &s->model->layers[0];
    return view_of(s, layer,
                   to_host(s, (size_t)s->m * cn_shape_count(&layer->out),
                           buffer(s, s->plan.input_gradient), s->input_gradient));
}

/* ---- visiting each layer */

typedef struct outputs {
    const cn_session *session;
    bool (*visit)(int layer, const cn_tensor *y, void *user);
    void *user;
    float *copy; /* room for any layer's output, where the backend's memory is not the host's */
} outputs;

static bool visit_output(const cn_call *call, bool backward, void *user)
{
    const outputs *o = user;
    const cn_session *s = o->session;
    int last = call->index; /* of the layers that it has computed */
    (void)backward;
    if (!s->plan.steps[call->index].forward) return false;
    for (int i = last + 1; i < s->model->layer_count; i++)
        if (s->plan.steps[i].by == call->index) last = i;
    const cn_layer *layer = &s->model->layers[last];
    size_t n = (size_t)s->m * cn_shape_count(&layer->out);
    float *data = s->backend->host ? call->y : o->copy;
    const cn_tensor y = view_of(s, layer, to_host(s, n, call->y, data));
    return o->visit(last, &y, o->user);
}

cn_status cn_session_visit(cn_session *s, const cn_tensor *X,
                           bool (*visit)(int layer, const cn_tensor *y, void *user), void *user,
                           cn_error *err)
{
    outputs o = {.session = s, .visit = visit, .user = user};
    size_t most = 0;
    if (!s || !visit) return cn_fail(err, CN_ERR_ARGUMENT, "visit: NULL argument");
    for (int i = 0; i < s->model->layer_count && !s->backend->host; i++)
        if (batch_elements(s, i) > most) most = batch_elements(s, i);
    if (most) o.copy = cn_allocate(most, sizeof *o.copy, "visit: a layer's output", err);
    if (most && !o.copy) return CN_ERR_MEMORY;
    cn_status status = forward(s, X, visit_output, &o, err);
    cn_release(o.copy);
    return status;
}

/* ---- looking at what has been computed */

cn_status cn_session_can_rerun(const cn_session *s, const cn_tensor *Y, cn_error *err)
{
    if (!s || !s->plan.opts.training || s->done == NOTHING)
        return cn_fail(
            err, CN_ERR_ARGUMENT,
            "find_nonfinite: expected a session with .training = true, after cn_session_forward");
    return Y ? cn_loss_check(&s->plan.loss, s->m, Y, err) : CN_OK;
}

bool cn_session_rerun(cn_session *s, const cn_tensor *Y, cn_visitor *visit, void *user)
{
    int n = s->model->layer_count;
    s->done = FORWARD; /* what the loss left is overwritten */
    if (!s->backend->host)
        s->packed = false; /* the backend's statistics move, the model's do not */
    for (int i = 0; i < n; i++) {
        s->calls[i].step = s->forwards - 1;
        run_layer_forward(s, i);
        if (visit(&s->calls[i], false, user)) return true;
    }
    if (!Y) return false;
    run_loss(s, Y, NULL);
    s->backend->zero(s->device, s->plan.gradients, s->gradients);
    for (int i = n - 1; i > 0; i--) {
        if (!s->plan.steps[i].backward) continue;
        run_layer_backward(s, i);
        if (visit(&s->calls[i], true, user)) return true;
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

const cn_model *cn_session_model(const cn_session *s)
{
    return s->model;
}

cn_model *cn_session_trained(const cn_session *s)
{
    return s->trained;
}

int cn_session_batch(const cn_session *s)
{
    return s->plan.opts.batch;
}

/* ---- the optimiser */

cn_status cn_session_step(cn_session *s, double learning_rate, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "step: NULL session");
    if (s->done != BACKWARD)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "step: no gradients to follow, call cn_session_backward first");
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
    s->taken_version = ++s->trained->version;
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

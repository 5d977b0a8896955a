/*
 * session.c - runs a plan: forward, loss, backward, step. Only cn_session_visit allocates; the
 * others fail on wrong arguments alone.
 */
#include "model/session_struct.h"

#include "model/averages.h"
#include "model/nonfinite.h"

#include <string.h>

/* Copies n elements to the host, unless they are there already. */
static float *to_host(const cn_session *s, size_t n, const void *from, float *to)
{
    if (!s->backend->host) s->backend->download(s->device, n, from, to);
    return to;
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
    if (layer->parameter_count > 1)
        bias = cn_at_element(s, s->parameters, layer->parameters[1].offset);
    s->plan.steps[norm].ops->fold(&s->calls[norm],
                                  cn_shape_count(&layer->parameters[0].shape) / channels,
                                  call->w[0], bias, call->scratch, call->w[1]);
    call->w[0] = call->scratch;
}

/* Before the session writes into its arena: what others have left there is lost. */
static void claim(cn_session *s)
{
    cn_session *owner = s->lender ? s->lender : s;
    if (owner->tenant == s) return;
    s->packed = false;
    if (owner != s) owner->done = CN_STAGE_NONE;
    owner->tenant = s;
}

static void pack_layer(cn_session *s, int i)
{
    const cn_plan_step *step = &s->plan.steps[i];
    cn_call call = s->calls[i];
    call.m = s->plan.opts.batch;
    if (step->norm) fold_norm(s, i, &call);
    if (step->ops && step->ops->pack) step->ops->pack(&call);
}

bool cn_session_is_packed(const cn_session *s)
{
    return s->packed && s->packed_version == s->model->version;
}

/* Takes over the model's weights if they may have changed. */
static void take_weights(cn_session *s)
{
    const cn_model *model = s->model;
    if (s->packs_apart || cn_session_is_packed(s)) return;
    if (!s->backend->host && (!s->packed || s->taken_version != model->version))
        s->backend->upload(s->device, model->block_size, model->block, s->parameters);
    s->taken_version = model->version;
    cn_session_pack(s, 0, s->plan.opts.repack ? 0 : model->layer_count);
}

void cn_session_pack(cn_session *s, int first, int end)
{
    for (int i = first; i < end; i++) pack_layer(s, i);
    s->packed = true;
    s->packed_version = s->model->version;
}

size_t cn_session_packed_size(const cn_session *s, int end)
{
    return end == s->model->layer_count ? s->plan.packed : s->plan.steps[end].packed;
}

void cn_session_forward_layer(cn_session *s, int i, uint64_t number)
{
    const cn_plan_step *step = &s->plan.steps[i];
    s->calls[i].m = s->m;
    s->calls[i].step = number;
    if (s->plan.opts.repack && step->ops && !step->ops->backward_reads_packed) pack_layer(s, i);
    if (step->forward) step->ops->forward(&s->calls[i]);
}

static void synchronize(const cn_session *s)
{
    if (s->backend->synchronize) s->backend->synchronize(s->device);
}

void cn_session_give_parameters(cn_session *s, size_t first)
{
    cn_model *model = s->trained;
    synchronize(s);
    to_host(s, model->block_size - first, cn_at_element(s, s->parameters, first),
            model->block + first);
}

void cn_session_begin_forward(cn_session *s, int m)
{
    claim(s);
    s->m = m;
    s->done = CN_STAGE_NONE;
    if (!s->beside) take_weights(s);
    if (!s->backend->host)
        s->backend->upload(s->device, (size_t)m * cn_shape_count(&s->model->layers[0].out),
                           s->input, s->calls[0].y);
}

void cn_session_end_forward(cn_session *s)
{
    synchronize(s);
    if (s->trained) cn_session_give_parameters(s, s->model->trained_size); /* the buffers */
    s->forwards++;
    s->done = CN_STAGE_FORWARD;
}

/* Over the m examples that lie in the input buffer; false where the visitor, which may be NULL,
 * stopped it. */
static bool run_forward(cn_session *s, int m, cn_visitor *visit, void *user)
{
    cn_session_begin_forward(s, m);
    for (int i = 0; i < s->model->layer_count; i++) {
        cn_session_forward_layer(s, i, s->forwards);
        if (visit && visit(&s->calls[i], false, user)) return false;
    }
    cn_session_end_forward(s);
    return true;
}

float *cn_session_input(cn_session *s)
{
    claim(s);
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
    if (!s || s->done == CN_STAGE_NONE) return (cn_tensor){0};
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
                               .gradient = cn_session_buffer(s, s->plan.loss_gradient),
                               .scratch = output->scratch,
                               .weight = weight};
    return s->backend->loss(s->device, &call);
}

cn_status cn_session_loss(cn_session *s, const cn_tensor *Y, double *loss, cn_error *err)
{
    if (!s || !loss) return cn_fail(err, CN_ERR_ARGUMENT, "loss: NULL argument");
    if (s->done == CN_STAGE_NONE)
        return cn_fail(err, CN_ERR_ARGUMENT, "loss: no outputs yet, call cn_session_forward first");
    cn_status status = cn_loss_check(&s->plan.loss, s->m, Y, err);
    if (status != CN_OK) return status;
    *loss = run_loss(s, Y, &s->loss_weight);
    s->done = CN_STAGE_LOSS;
    return CN_OK;
}

void cn_session_backward_sums(cn_session *s, int i, double *sums)
{
    const cn_plan_step *step = &s->plan.steps[i];
    const cn_call *call = &s->calls[i];
    if (step->mask) s->backend->mask_relu(call, cn_session_buffer(s, step->dy));
    step->ops->sums(call, true, sums);
}

void cn_session_backward_layer(cn_session *s, int i)
{
    const cn_plan_step *step = &s->plan.steps[i];
    const cn_call *call = &s->calls[i];
    if (step->mask && !call->totals) s->backend->mask_relu(call, cn_session_buffer(s, step->dy));
    if (s->plan.opts.repack && step->ops->backward_reads_packed) pack_layer(s, i);
    step->ops->backward(call);
    for (int k = 0; k < call->layer->input_count; k++)
        if (step->sum[k] != CN_NO_BUFFER)
            s->backend->add(s->device, (size_t)s->m * cn_shape_count(&call->layer->inputs_of[k]),
                            call->dx[k], cn_session_buffer(s, step->sum[k]));
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
    if (s->done != CN_STAGE_LOSS)
        return cn_fail(
            err, CN_ERR_ARGUMENT,
            "backward: no loss to start from, call cn_session_forward and cn_session_loss first");
    return CN_OK;
}

static void run_backward(cn_session *s)
{
    for (int i = s->model->layer_count - 1; i > 0; i--)
        if (s->plan.steps[i].backward) cn_session_backward_layer(s, i);
    synchronize(s);
    s->done = CN_STAGE_BACKWARD;
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
    scale(s, rows, s->loss_weight / both, cn_session_buffer(s, s->plan.loss_gradient));
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
    out->value.data = to_host(s, cn_tensor_count(&out->value), cn_at_element(s, s->gradients, at),
                              s->host_gradients + at);
    return true;
}

cn_tensor cn_session_input_gradient(const cn_session *s)
{
    if (!s || s->done != CN_STAGE_BACKWARD || s->plan.input_gradient == CN_NO_BUFFER)
        return (cn_tensor){0};
    const cn_layer *layer = &s->model->layers[0];
    return view_of(s, layer,
                   to_host(s, (size_t)s->m * cn_shape_count(&layer->out),
                           cn_session_buffer(s, s->plan.input_gradient), s->input_gradient));
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
        if (cn_batch_elements(s, i) > most) most = cn_batch_elements(s, i);
    if (most) o.copy = cn_allocate(most, sizeof *o.copy, "visit: a layer's output", err);
    if (most && !o.copy) return CN_ERR_MEMORY;
    cn_status status = forward(s, X, visit_output, &o, err);
    cn_release(o.copy);
    return status;
}

/* ---- looking at what has been computed */

cn_status cn_session_can_rerun(const cn_session *s, const cn_tensor *Y, cn_error *err)
{
    if (!s || !s->plan.opts.training || s->done == CN_STAGE_NONE)
        return cn_fail(
            err, CN_ERR_ARGUMENT,
            "find_nonfinite: expected a session with .training = true, after cn_session_forward");
    return Y ? cn_loss_check(&s->plan.loss, s->m, Y, err) : CN_OK;
}

bool cn_session_rerun(cn_session *s, const cn_tensor *Y, cn_visitor *visit, void *user)
{
    int n = s->model->layer_count;
    s->done = CN_STAGE_FORWARD;               /* what the loss left is overwritten */
    if (!s->backend->host) s->packed = false; /* the backend's buffers move, the model's do not */
    for (int i = 0; i < n; i++) {
        cn_session_forward_layer(s, i, s->forwards - 1);
        if (visit(&s->calls[i], false, user)) return true;
    }
    if (!Y) return false;
    run_loss(s, Y, NULL);
    s->backend->zero(s->device, s->plan.gradients, s->gradients);
    for (int i = n - 1; i > 0; i--) {
        if (!s->plan.steps[i].backward) continue;
        if (s->calls[i].totals) cn_session_backward_sums(s, i, NULL);
        cn_session_backward_layer(s, i);
        if (visit(&s->calls[i], true, user)) return true;
    }
    s->done = CN_STAGE_BACKWARD;
    return false;
}

size_t cn_session_count_not_finite(const cn_session *s, size_t n, const void *x, bool *nan)
{
    return s->backend->count_not_finite(s->device, n, x, nan);
}

bool cn_session_part_finite(const cn_session *s, size_t from, size_t count)
{
    return cn_session_count_not_finite(s, count, cn_at_element(s, s->gradients, from), NULL) == 0;
}

bool cn_session_gradients_finite(const cn_session *s)
{
    return cn_session_part_finite(s, 0, s->plan.gradients);
}

const cn_model *cn_session_model(const cn_session *s)
{
    return s->model;
}

cn_model *cn_session_trained(const cn_session *s)
{
    return s->trained;
}

int cn_session_threads(const cn_session *s)
{
    return s->plan.opts.threads;
}

int cn_session_batch(const cn_session *s)
{
    return s->plan.opts.batch;
}

/* ---- a batch in shards */

void cn_session_begin_backward_sum(cn_session *s, bool first)
{
    if (first) s->backend->zero(s->device, s->plan.gradients, s->gradients);
    if (s->m > 0)
        scale(s, (size_t)s->m * (size_t)s->plan.loss.size, s->loss_weight,
              cn_session_buffer(s, s->plan.loss_gradient));
}

cn_status cn_session_backward_sum(cn_session *s, bool first, cn_gradients_final *final, void *user,
                                  cn_error *err)
{
    cn_status status = check_backward(s, err);
    if (status != CN_OK) return status;
    cn_session_begin_backward_sum(s, first);
    size_t from = s->plan.gradients;
    for (int i = s->model->layer_count - 1; i > 0; i--) {
        const cn_layer *layer = &s->model->layers[i];
        if (s->plan.steps[i].backward) cn_session_backward_layer(s, i);
        if (layer->parameter_count > 0 && !layer->parameters[0].buffer)
            from = layer->parameters[0].offset;
        if (!final) continue;
        synchronize(s);
        final(from, user);
    }
    synchronize(s);
    s->done = CN_STAGE_BACKWARD;
    return CN_OK;
}

double cn_session_loss_weight(const cn_session *s)
{
    return s->loss_weight;
}

const float *cn_session_gradients(const cn_session *s, size_t from, size_t count)
{
    return to_host(s, count, cn_at_element(s, s->gradients, from), s->host_gradients + from);
}

/* An upload leaves what rounds to the host's float as it is; here the float is the number. */
static void overwrite(cn_session *s, size_t n, const float *from, void *to)
{
    s->backend->zero(s->device, n, to);
    s->backend->upload(s->device, n, from, to);
}

bool cn_session_on_host(const cn_session *s)
{
    return s->backend->host;
}

void cn_session_place_gradients(cn_session *s, float *gradients)
{
    void *before = s->gradients, *after = gradients ? gradients : s->own_gradients;
    if (before == after) return;
    for (int i = 0; i < s->model->layer_count; i++)
        for (int k = 0; k < s->model->layers[i].parameter_count; k++)
            if (s->calls[i].dw[k])
                s->calls[i].dw[k] =
                    cn_at_element(s, after, s->model->layers[i].parameters[k].offset);
    s->gradients = s->host_gradients = after;
}

void cn_session_set_gradients(cn_session *s, float *sum, double factor)
{
    s->done = CN_STAGE_BACKWARD;
    s->factor = factor;
    if (s->backend->host) {
        cn_session_place_gradients(s, sum);
        return;
    }
    overwrite(s, s->plan.gradients, sum, s->gradients);
    scale(s, s->plan.gradients, factor, s->gradients);
    s->factor = 1;
}

void cn_session_set_buffers(cn_session *s, const float *from)
{
    const size_t first = s->model->trained_size, count = s->model->block_size - first;
    memcpy(s->trained->block + first, from, count * sizeof *from);
    if (!s->backend->host) overwrite(s, count, from, cn_at_element(s, s->parameters, first));
}

void cn_session_number_forward(cn_session *s, uint64_t number)
{
    s->forwards = number;
}

void cn_session_add(const cn_session *s, size_t n, const float *x, float *y)
{
    if (s->backend->host) {
        s->backend->add(s->device, n, x, y);
        return;
    }
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

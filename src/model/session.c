/*
 * session.c - runs a plan: forward, loss, backward, step. Nothing here allocates after
 * cn_session_create, and nothing fails but by a wrong argument.
 */
#include "model/session.h"

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
    cn_pool *pool;
    cn_call *calls; /* one a layer */
    float *activations, *workspace, *gradients, *moments;
    float *mean, *std;                   /* n_C of each, for pixels */
    int m;                               /* examples of the last forward */
    double loss_weight, gradient_weight; /* what the mean of the last loss divides by, and that of
                                            the gradients */
    progress done;
    bool packed;
    uint64_t packed_version; /* model->version that the packed weights belong to */
    uint64_t updates;        /* steps of the optimiser */
    uint64_t forwards;       /* in training: the step of layers that draw numbers */
};

static float *buffer(const cn_session *s, int index)
{
    return index == CN_NO_BUFFER ? NULL : s->activations + s->plan.buffers[index].offset;
}

/* ---- making */

static void fill_call(cn_session *s, int i)
{
    const cn_layer *layer = &s->model->layers[i];
    const cn_plan_step *step = &s->plan.steps[i];
    cn_call *call = &s->calls[i];
    *call = (cn_call){
        .layer = layer,
        .kernels = s->plan.kernels,
        .pool = step->alone ? NULL : s->pool,
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
        .conv = &step->needs.conv,
        .packed = s->workspace + step->packed,
        .kept = s->workspace + s->plan.packed + step->kept,
        .scratch = s->workspace + s->plan.packed + s->plan.kept,
    };
    for (int k = 0; k < layer->input_count; k++) {
        call->x[k] = buffer(s, step->x[k]);
        call->dx[k] = buffer(s, step->dx[k]);
    }
    for (int k = 0; k < layer->weight_count; k++) {
        call->w[k] = s->model->block + layer->weights[k].offset;
        if (s->gradients && !layer->weights[k].statistic && cn_layer_learns(layer))
            call->dw[k] = s->gradients + layer->weights[k].offset;
    }
}

cn_status cn_session_create(cn_session **session, cn_model *model, cn_session_opts opts,
                            cn_error *err)
{
    if (!session) return cn_fail(err, CN_ERR_ARGUMENT, "session: NULL output");
    cn_session *s = cn_allocate(1, sizeof *s, "session", err);
    if (!s) return CN_ERR_MEMORY;
    s->model = model;
    cn_status status = cn_plan_create(&s->plan, model, opts, err);
    if (status == CN_OK && model->outline)
        status = cn_fail(err, CN_ERR_ARGUMENT, "session: the model is an outline, without weights");
    if (status == CN_OK && opts.training)
        status = cn_check_averages(model, s->plan.opts.batch, "session", err);
    if (status == CN_OK) status = cn_pool_create(&s->pool, s->plan.opts.threads, err);
    if (status != CN_OK) goto done;

    const cn_plan *plan = &s->plan;
    size_t layers = (size_t)model->layer_count, size = sizeof(float);
    status = CN_ERR_MEMORY;
    s->calls = cn_allocate(layers, sizeof *s->calls, "session", err);
    if (!s->calls) goto done;
    s->activations = cn_allocate(plan->activations, size, "session: activations", err);
    if (!s->activations) goto done;
    s->workspace =
        cn_allocate(plan->packed + plan->kept + plan->scratch, size, "session: workspace", err);
    if (!s->workspace) goto done;
    if (plan->opts.training) {
        s->gradients = cn_allocate(plan->gradients, size, "session: gradients", err);
        if (!s->gradients) goto done;
        s->moments = cn_allocate(plan->moments, size, "session: optimizer", err);
        if (!s->moments) goto done;
    }
    size_t channels = (size_t)model->layers[0].out.n[2];
    s->mean = cn_allocate(2 * channels, size, "session: normalisation", err);
    if (!s->mean) goto done;
    s->std = s->mean + channels;
    for (int i = 0; i < model->layer_count; i++) fill_call(s, i);
    *session = s;
    s = NULL;
    status = CN_OK;
done:
    cn_session_free(s);
    return status;
}

void cn_session_free(cn_session *s)
{
    if (!s) return;
    cn_pool_free(s->pool);
    cn_plan_free(&s->plan);
    cn_release(s->calls);
    cn_release(s->activations);
    cn_release(s->workspace);
    cn_release(s->gradients);
    cn_release(s->moments);
    cn_release(s->mean);
    cn_release(s);
}

/* ---- forward */

/* Puts the folded weights into the scratch memory, for the layer to pack, and the folded bias where
 * it stays. */
static void fold_norm(cn_session *s, int i, cn_call *call)
{
    const cn_layer *layer = call->layer;
    const cn_call *norm = &s->calls[s->plan.steps[i].norm];
    const float *bias = layer->weight_count > 1 ? s->model->block + layer->weights[1].offset : NULL;
    size_t channels = (size_t)layer->out.n[layer->out.rank - 1];
    s->calls[i].w[1] = s->workspace + s->plan.steps[i].bias;
    cn_batch_norm_fold(norm, cn_shape_count(&layer->weights[0].shape) / channels, call->w[0], bias,
                       call->scratch, s->calls[i].w[1]);
    call->w[0] = call->scratch;
}

static void pack_weights(cn_session *s)
{
    if (s->packed && s->packed_version == s->model->version) return;
    for (int i = 0; i < s->model->layer_count; i++) {
        cn_call call = s->calls[i];
        call.m = s->plan.opts.batch;
        if (s->plan.steps[i].norm) fold_norm(s, i, &call);
        if (call.layer->type->pack) call.layer->type->pack(&call);
    }
    s->packed = true;
    s->packed_version = s->model->version;
}

/* Over the m examples that lie in the input buffer. */
static void run_forward(cn_session *s, int m)
{
    pack_weights(s);
    for (int i = 0; i < s->model->layer_count; i++) {
        cn_call *call = &s->calls[i];
        call->m = m;
        call->step = s->forwards;
        if (s->plan.steps[i].forward) call->layer->type->forward(call);
    }
    s->m = m;
    s->forwards++;
    s->done = FORWARD;
}

float *cn_session_input(cn_session *s)
{
    return s->calls[0].y;
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
    return view_of(s, &s->model->layers[s->model->output], s->calls[s->model->output].y);
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
    return cn_count_not_finite(count, s->calls[s->model->output].y, NULL) == 0;
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
        memcpy((float *)Y->data + (size_t)from * (size_t)size, s->calls[s->model->output].y,
               (size_t)m * (size_t)size * sizeof(float));
    }
    if (status != CN_OK && !given) cn_tensor_free(Y);
    return status;
}

/* ---- loss and backward */

cn_status cn_loss(cn_session *s, const cn_tensor *Y, double *loss, cn_error *err)
{
    if (!s || !loss) return cn_fail(err, CN_ERR_ARGUMENT, "loss: NULL argument");
    if (s->done == NOTHING)
        return cn_fail(err, CN_ERR_ARGUMENT, "loss: no outputs yet, call cn_forward first");
    cn_status status = cn_loss_check(&s->plan.loss, s->m, Y, err);
    if (status != CN_OK) return status;
    const cn_call *output = &s->calls[s->model->output];
    *loss = cn_loss_run(&s->plan.loss, s->m, output->x[0], output->y, Y,
                        buffer(s, s->plan.loss_gradient), &s->loss_weight);
    s->done = LOSS;
    return CN_OK;
}

static void run_layer_backward(cn_session *s, int i)
{
    const cn_plan_step *step = &s->plan.steps[i];
    const cn_call *call = &s->calls[i];
    if (step->mask) cn_mask_relu(call, buffer(s, step->dy));
    call->layer->type->backward(call);
    for (int k = 0; k < call->layer->input_count; k++) {
        if (step->sum[k] == CN_NO_BUFFER) continue;
        const cn_layer *x = &s->model->layers[call->layer->inputs[k]];
        cn_map_run(s->pool, s->plan.kernels->add, (size_t)s->m * cn_shape_count(&x->out),
                   call->dx[k], buffer(s, step->sum[k]));
    }
}

static void scale(cn_session *s, size_t n, double factor, float *x)
{
    if (x) cn_map_with_run(s->pool, s->plan.kernels->scale, (float)factor, n, x, x);
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
    s->done = BACKWARD;
}

cn_status cn_backward(cn_session *s, cn_error *err)
{
    cn_status status = check_backward(s, err);
    if (status != CN_OK) return status;
    memset(s->gradients, 0, s->plan.gradients * sizeof *s->gradients);
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
    out->value.data = s->gradients + ((const float *)out->value.data - s->model->block);
    return true;
}

cn_tensor cn_input_gradient(const cn_session *s)
{
    if (!s || s->done != BACKWARD || s->plan.input_gradient == CN_NO_BUFFER) return (cn_tensor){0};
    return view_of(s, &s->model->layers[0], buffer(s, s->plan.input_gradient));
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
    for (int i = 0; i < n; i++) {
        cn_call *call = &s->calls[i];
        call->step = s->forwards - 1;
        if (s->plan.steps[i].forward) call->layer->type->forward(call);
        if (look(call, false, user)) return true;
    }
    if (!Y) return false;
    const cn_call *output = &s->calls[s->model->output];
    cn_loss_run(&s->plan.loss, s->m, output->x[0], output->y, Y, buffer(s, s->plan.loss_gradient),
                NULL);
    memset(s->gradients, 0, s->plan.gradients * sizeof *s->gradients);
    for (int i = n - 1; i > 0; i--) {
        if (!s->plan.steps[i].backward) continue;
        run_layer_backward(s, i);
        if (look(&s->calls[i], true, user)) return true;
    }
    s->done = BACKWARD;
    return false;
}

bool cn_session_gradients_finite(const cn_session *s)
{
    return cn_count_not_finite(s->plan.gradients, s->gradients, NULL) == 0;
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
    const cn_update_blocks blocks = {.gradients = s->gradients,
                                     .moments = s->moments,
                                     .weights = s->model->block,
                                     .size = s->plan.gradients};
    cn_optimizer_step(&s->plan.opts.optimizer, &s->plan.updates, &blocks, learning_rate,
                      ++s->updates, s->plan.kernels, s->pool);
    s->model->version++;
    s->gradient_weight = 0;
    s->done = FORWARD; /* the outputs are still there; gradients and weights no longer match */
    return CN_OK;
}

void cn_session_state(cn_session *s, cn_state *state)
{
    static const char *const names[] = {"moment_1", "moment_2"};
    size_t size = s->model->trained_size;
    for (size_t i = 0; i * size < s->plan.moments; i++)
        cn_state_add(state, names[i], CN_STATE_TRAINED, s->moments + i * size);
    cn_state_add(state, "updates", CN_STATE_COUNT, &s->updates);
    cn_state_add(state, "forwards", CN_STATE_COUNT, &s->forwards);
}

void cn_session_blend(cn_session *s, double part, float *average)
{
    cn_map_with_run(s->pool, s->plan.kernels->optimizer->blend, (float)part, s->model->block_size,
                    s->model->block, average);
}

/*
 * explain_run.c - one image through a network, forward and backward, in double precision.
 *
 * Outputs are the model's own (cn_session_visit). Gradients are those of its twin, which differs
 * where a layer behaves otherwise in training. The score's gradient is found with a squared error
 * whose targets are t = y - n/2 g: with L = 1/n sum of (y - t)^2 its gradient is 2/n (y - t) = g.
 */
#include "explain.h"

#include "base/base.h"
#include "model/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More of them in one forward would take minutes in double precision: then the CPU's floats run. */
static const size_t most_multiply_adds = 1000u * 1000 * 1000;

static const char *backend_for(const cn_model *model)
{
    size_t sum = 0;
    for (int i = 0; i < model->layer_count; i++) {
        const cn_layer *layer = &model->layers[i];
        if (layer->type->multiply_adds) sum += layer->type->multiply_adds(layer);
    }
    return sum > most_multiply_adds ? "cpu" : "reference";
}

/* A layer that only passes its input on runs nothing on the CPU, unless its output is to be seen apart. */
static void pass_forward(const cn_call *call)
{
    memcpy(call->y, call->x[0], (size_t)call->m * cn_shape_count(&call->layer->in) * sizeof(float));
}

static void pass_backward(const cn_call *call)
{
    const size_t n = (size_t)call->m * cn_shape_count(&call->layer->in);
    if (call->dx[0]) memcpy(call->dx[0], call->dy, n * sizeof(float));
}

static const cn_layer_ops *plain_cpu_ops(const cn_layer_type *type)
{
    static const cn_layer_ops pass = {.forward = pass_forward, .backward = pass_backward};
    return type->view || type->training_only ? &pass : cn_cpu_backend.ops(type);
}

/* A backend as a plain one: every layer runs and keeps its output and gradient, which are to be seen. */
static cn_status choose_backend(cli_explained *e, const char *name, cn_error *err)
{
    const cn_backend *found = NULL;
    cn_status status =
        cn_backend_find(strcmp(name, "auto") == 0 ? backend_for(e->model) : name, &found, err);
    if (status != CN_OK) return status;
    e->backend = *found;
    e->backend.plain = true;
    if (e->backend.host) e->backend.ops = plain_cpu_ops;
    return CN_OK;
}

/* A session that finds the gradients of the twin. */
static cn_status open_session(const cli_explained *e, cn_session **session, cn_model *twin,
                              cn_loss_kind loss, cn_error *err)
{
    const cn_session_opts opts = {.batch = 1,
                                  .training = true,
                                  .input_gradient = true,
                                  .loss = {.kind = loss},
                                  .threads = e->threads};
    return cn_session_create_on(session, twin, &opts, &e->backend, err);
}

static size_t layer_size(const cn_model *model, int i)
{
    return cn_shape_count(&model->layers[i].out);
}

static float *copy_floats(const float *x, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    if (copy) memcpy(copy, x, n * sizeof *copy);
    return copy;
}

/* An array of the backend's, as floats. */
static float *copy_elements(const cli_explained *e, const void *x, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = e->backend.host ? ((const float *)x)[i] : (float)((const double *)x)[i];
    return copy;
}

/* ---- forward */

static bool keep_output(int layer, const cn_tensor *y, void *user)
{
    cli_explained *e = user;
    e->y[layer] = copy_floats(y->data, layer_size(e->model, layer));
    return !e->y[layer];
}

static cn_status run_forward(cli_explained *e, cn_error *err)
{
    cn_session *session = NULL;
    const cn_session_opts opts = {.batch = 1, .threads = e->threads};
    cn_status status = cn_session_create_inference_on(&session, e->model, &opts, &e->backend, err);
    if (status == CN_OK) status = cn_session_visit(session, &e->X, keep_output, e, err);
    if (status == CN_OK) {
        cn_tensor Y = cn_session_output(session);
        const float *y = Y.data;
        int n = cn_model_output_size(e->model);
        for (int k = 1; k < n; k++)
            if (y[k] > y[e->predicted]) e->predicted = k;
        if (n == 1) e->predicted = y[0] > 0.5f;
    }
    cn_session_free(session);
    return status;
}

/* ---- backward */

static bool keep_gradient(const cn_call *call, bool backward, void *user)
{
    cli_explained *e = user;
    int i = call->index;
    if (!backward || !call->dy) return false;
    e->dy[i] = copy_elements(e, call->dy, layer_size(e->model, i));
    return !e->dy[i];
}

static bool is_norm(const cn_layer *layer)
{
    return strcmp(layer->type->name, "batch_norm") == 0;
}

/* The gradients of the twin's parameters, where the model has the same. */
static bool keep_weight_gradients(cli_explained *e, const cn_session *session, const cn_model *twin)
{
    int at = 0, from = 0;
    cn_parameter g;
    for (int i = 0; i < e->model->layer_count; i++) {
        const cn_layer *layer = &e->model->layers[i];
        for (int k = 0; k < layer->parameter_count; k++, at++) {
            if (is_norm(layer) || !cn_session_gradient(session, from + k, &g)) continue;
            e->dw[at] = copy_floats(g.value.data, cn_tensor_count(&g.value));
            if (!e->dw[at]) return false;
        }
        if (i < twin->layer_count) from += twin->layers[i].parameter_count;
    }
    return true;
}

/* The labels, (1) or of every pixel: the class given for one, the predicted ones for pixels. */
static cn_status make_labels(const cli_explained *e, cn_tensor *Y, cn_error *err)
{
    int rank;
    const int *n = cn_model_output_shape(e->model, &rank);
    const int shape[3] = {1, n[0], n[1]};
    cn_status status = cn_tensor_create(Y, CN_DTYPE_I32, rank == 3 ? 3 : 1, shape, err);
    if (status != CN_OK) return status;
    int32_t *label = Y->data;
    const float *y = e->y[e->model->output];
    size_t pixels = cn_tensor_count(Y);
    label[0] = e->label;
    for (size_t i = 0; rank == 3 && i < pixels; i++) {
        const float *row = y + i * (size_t)n[2];
        label[i] = 0;
        for (int k = 1; k < n[2]; k++)
            if (row[k] > row[label[i]]) label[i] = k;
        if (n[2] == 1) label[i] = row[0] > 0.5f;
    }
    return CN_OK;
}

static cn_status out_of_memory(cn_error *err)
{
    return cn_fail(err, CN_ERR_MEMORY, "explain: out of memory");
}

static cn_status run_backward(cli_explained *e, cn_error *err)
{
    cn_model *twin = NULL;
    cn_session *session = NULL;
    cn_tensor Y = {0};
    cn_status status = make_labels(e, &Y, err);
    if (status == CN_OK) status = cli_explain_twin(&twin, e->model, false, err);
    if (status == CN_OK) status = open_session(e, &session, twin, e->model->loss, err);
    if (status == CN_OK) status = cn_session_forward(session, &e->X, err);
    if (status == CN_OK) status = cn_session_loss(session, &Y, &e->loss, err);
    if (status == CN_OK && (cn_session_rerun(session, &Y, keep_gradient, e) ||
                            !keep_weight_gradients(e, session, twin)))
        status = out_of_memory(err);
    if (status == CN_OK) {
        cn_tensor dX = cn_session_input_gradient(session);
        e->dy[0] = copy_floats(dX.data, cn_tensor_count(&dX));
        if (!e->dy[0]) status = out_of_memory(err);
    }
    cn_session_free(session);
    cn_model_free(twin);
    cn_tensor_free(&Y);
    return status;
}

/* ---- what the score of the class depends on */

/* The last layer with more than one pixel that comes before anything without pixels, and is no
 * pooling: that would only blur the map. */
static int find_cam_layer(const cn_model *model)
{
    int found = 0;
    for (int i = 1; i <= model->output; i++) {
        const cn_shape *out = &model->layers[i].out;
        if (out->rank != 3) break;
        if (out->n[0] * out->n[1] > 1 && !strstr(model->layers[i].type->name, "pool")) found = i;
    }
    return found;
}

/* Grad-CAM: relu of the sum over channels k of A[.., k] times the mean over pixels of dA[.., k]. */
static float *grad_cam(const float *a, const float *da, const int shape[3])
{
    const size_t pixels = (size_t)shape[0] * (size_t)shape[1], c = (size_t)shape[2];
    float *cam = malloc(pixels * sizeof *cam);
    double *alpha = calloc(c, sizeof *alpha);
    if (cam && alpha) {
        for (size_t i = 0; i < pixels * c; i++) alpha[i % c] += (double)da[i] / (double)pixels;
        for (size_t i = 0; i < pixels; i++) {
            double sum = 0;
            for (size_t k = 0; k < c; k++) sum += alpha[k] * (double)a[i * c + k];
            cam[i] = sum > 0 ? (float)sum : 0;
        }
    } else {
        free(cam);
        cam = NULL;
    }
    free(alpha);
    return cam;
}

static float *largest_magnitudes(const float *dx, const int shape[3])
{
    const size_t pixels = (size_t)shape[0] * (size_t)shape[1], c = (size_t)shape[2];
    float *largest = calloc(pixels, sizeof *largest);
    for (size_t i = 0; largest && i < pixels * c; i++)
        if (fabsf(dx[i]) > largest[i / c]) largest[i / c] = fabsf(dx[i]);
    return largest;
}

/* The gradient of one layer's output, picked out while the session reruns. */
typedef struct pick {
    const cli_explained *e;
    float *dy;
} pick;

static bool keep_picked(const cn_call *call, bool backward, void *user)
{
    pick *p = user;
    if (!backward || call->index != p->e->cam_layer || !call->dy) return false;
    p->dy = copy_elements(p->e, call->dy, layer_size(p->e->model, call->index));
    return !p->dy;
}

/* The targets that make the gradient of the logits that of the class's score: of one output, the
 * logit for class 1, and its negative for class 0. */
static cn_status make_targets(const cli_explained *e, cn_session *session, cn_tensor *Y,
                              cn_error *err)
{
    cn_tensor Z = cn_session_output(session);
    cn_status status = cn_tensor_create(Y, CN_DTYPE_F32, Z.rank, Z.shape, err);
    if (status != CN_OK) return status;
    const size_t n = cn_tensor_count(Y);
    float *t = Y->data;
    memcpy(t, Z.data, n * sizeof *t);
    if (n == 1)
        t[0] -= e->label ? 0.5f : -0.5f;
    else
        t[e->label] -= 0.5f * (float)n;
    return CN_OK;
}

static cn_status run_score(cli_explained *e, cn_error *err)
{
    cn_model *twin = NULL;
    cn_session *session = NULL;
    cn_tensor Y = {0};
    double loss;
    pick picked = {.e = e};
    e->cam_layer = find_cam_layer(e->model);
    cn_status status = cli_explain_twin(&twin, e->model, true, err);
    if (status == CN_OK) status = open_session(e, &session, twin, CN_LOSS_MEAN_SQUARED_ERROR, err);
    if (status == CN_OK) status = cn_session_forward(session, &e->X, err);
    if (status == CN_OK) status = make_targets(e, session, &Y, err);
    if (status == CN_OK) status = cn_session_loss(session, &Y, &loss, err);
    if (status == CN_OK && cn_session_rerun(session, &Y, keep_picked, &picked))
        status = out_of_memory(err);
    if (status == CN_OK) {
        const int *shape = e->model->layers[e->cam_layer].out.n;
        e->saliency = largest_magnitudes(cn_session_input_gradient(session).data,
                                         cn_model_input_shape(e->model));
        if (picked.dy && e->y[e->cam_layer])
            e->cam = grad_cam(e->y[e->cam_layer], picked.dy, shape);
        memcpy(e->cam_shape, shape, sizeof e->cam_shape);
        if (!e->saliency) status = out_of_memory(err);
    }
    free(picked.dy);
    cn_session_free(session);
    cn_model_free(twin);
    cn_tensor_free(&Y);
    return status;
}

/* ---- all of it */

cn_status cli_explain_run(cli_explained *e, const cli_explain_opts *opts, cn_error *err)
{
    int rank;
    const cn_model *model = opts->model;
    *e = (cli_explained){.model = model, .X = *opts->X, .threads = opts->threads};
    cn_status status = choose_backend(e, opts->backend, err);
    if (status != CN_OK) return status;
    e->y = calloc((size_t)model->layer_count, sizeof *e->y);
    e->dy = calloc((size_t)model->layer_count, sizeof *e->dy);
    e->dw = calloc((size_t)model->parameter_count + 1, sizeof *e->dw);
    if (!e->y || !e->dy || !e->dw) return out_of_memory(err);
    e->y[0] = copy_floats(e->X.data, cn_tensor_count(&e->X));
    if (!e->y[0]) return out_of_memory(err);
    status = run_forward(e, err);
    e->label = opts->label >= 0 ? opts->label : e->predicted;
    cn_model_output_shape(model, &rank);
    if (status == CN_OK) status = run_backward(e, err);
    if (status == CN_OK && rank == 1) status = run_score(e, err);
    return status;
}

static void free_all(float **arrays, int n)
{
    for (int i = 0; arrays && i < n; i++) free(arrays[i]);
    free(arrays);
}

void cli_explained_free(cli_explained *e)
{
    if (!e->model) return;
    free_all(e->y, e->model->layer_count);
    free_all(e->dy, e->model->layer_count);
    free_all(e->dw, e->model->parameter_count);
    free(e->saliency);
    free(e->cam);
    *e = (cli_explained){.model = NULL};
}

/* plan.c - plans a model for a batch, pass by pass: everything that can fail fails here. */
#include "model/planner.h"

#include <limits.h>
#include <string.h>

/* The most examples: kernels count a dense layer's as pixels of a row, in int. */
enum { MOST_EXAMPLES = 1 << 24 };

/* ---- what the passes share */

const cn_layer *cn_planner_layer(const cn_planner *p, int i)
{
    return &p->model->layers[i];
}

const cn_layer_type *cn_planner_type(const cn_planner *p, int i)
{
    return p->model->layers[i].type;
}

int cn_planner_input(const cn_planner *p, int i, int k)
{
    return p->nodes[cn_planner_layer(p, i)->inputs[k]].value;
}

bool cn_planner_is_view(const cn_planner *p, int i)
{
    const cn_layer_type *type = cn_planner_type(p, i);
    if (p->plan->backend->plain) return false;
    return type->view || (type->training_only && !p->plan->opts.training);
}

bool cn_planner_runs(const cn_planner *p, int i)
{
    return i > 0 && !cn_planner_is_view(p, i);
}

bool cn_planner_read_between(const cn_planner *p, int value, int from, int to)
{
    for (int j = from + 1; j < to; j++)
        for (int k = 0; k < cn_planner_layer(p, j)->input_count; k++)
            if (cn_planner_runs(p, j) && cn_planner_input(p, j, k) == value) return true;
    return false;
}

static void *grow(cn_planner *p)
{
    int capacity = p->capacity ? 2 * p->capacity : 64;
    cn_buffer *buffers = cn_allocate((size_t)capacity, sizeof *buffers, "session: plan", p->err);
    if (!buffers) return NULL;
    if (p->plan->buffers) memcpy(buffers, p->plan->buffers, (size_t)p->capacity * sizeof *buffers);
    cn_release(p->plan->buffers);
    p->capacity = capacity;
    return p->plan->buffers = buffers;
}

int cn_planner_add_buffer(cn_planner *p, int i)
{
    cn_plan *plan = p->plan;
    const cn_layer *layer = cn_planner_layer(p, i);
    const size_t most = (size_t)1 << 50; /* bytes, so that no sum of them overflows */
    const cn_dtype dtype = plan->backend->dtype;
    size_t bytes;
    if (p->status != CN_OK) return CN_NO_BUFFER;
    if (plan->buffer_count == p->capacity && !grow(p)) {
        p->status = CN_ERR_MEMORY;
        return CN_NO_BUFFER;
    }
    if (!cn_multiply(cn_shape_count(&layer->out), (size_t)plan->opts.batch, &bytes) ||
        !cn_multiply(bytes, cn_dtype_size(dtype), &bytes) || bytes > most) {
        p->status = cn_fail(p->err, CN_ERR_MEMORY, "session: a batch of %d is too large at %s",
                            plan->opts.batch, layer->name);
        return CN_NO_BUFFER;
    }
    /* What a kernel reads past the end is no other buffer, which another thread may be writing. */
    bytes = (bytes + CN_ALIGN - 1) / CN_ALIGN * CN_ALIGN + CN_ALIGN;
    plan->buffers[plan->buffer_count] =
        (cn_buffer){.bytes = bytes, .dtype = dtype, .first = INT_MAX};
    return plan->buffer_count++;
}

/* ---- making a plan */

static cn_status settle_options(cn_session_opts *o, const cn_backend *backend, cn_error *err)
{
    if (o->batch == 0) o->batch = 1;
    if (o->batch < 1 || o->batch > MOST_EXAMPLES)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: batch %d, expected 1 to %d", o->batch,
                       MOST_EXAMPLES);
    if (o->precision != CN_PRECISION_F32 && o->precision != CN_PRECISION_BF16)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: precision %d, expected F32 (%d) or BF16 (%d)", (int)o->precision,
                       (int)CN_PRECISION_F32, (int)CN_PRECISION_BF16);
    if (o->precision != CN_PRECISION_F32 && backend->dtype != CN_DTYPE_F32)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "session: precision BF16 with the backend %s, which computes in double "
                       "precision",
                       backend->name);
    cn_status status = cn_optimizer_settle(&o->optimizer, err);
    if (status != CN_OK) return status;
    return cn_thread_count(o->threads, &o->threads, err);
}

/* What runs each layer. */
static cn_status find_ops(cn_planner *p)
{
    const cn_backend *backend = p->plan->backend;
    for (int i = 1; i < p->n; i++) {
        const cn_layer *layer = cn_planner_layer(p, i);
        p->plan->steps[i].ops = backend->ops(layer->type);
        if (cn_planner_is_view(p, i) || p->plan->steps[i].ops) continue;
        return cn_fail(p->err, CN_ERR_UNSUPPORTED, "session: the backend %s has no %s, which %s is",
                       backend->name, layer->type->name, layer->name);
    }
    return CN_OK;
}

static cn_status run_passes(cn_planner *p)
{
    p->status = find_ops(p);
    if (p->status != CN_OK) return p->status;
    cn_plan_values(p);
    cn_plan_fuse(p);
    cn_plan_backward(p);
    if (p->status != CN_OK) return p->status; /* there are no buffers */
    cn_plan_lifetimes(p);
    cn_plan_arena(p);
    return p->status;
}

cn_status cn_plan_create_on(cn_plan *plan, const cn_model *model, const cn_session_opts *given,
                            const cn_backend *backend, cn_error *err)
{
    cn_session_opts opts = *given;
    if (!model || !model->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: the model is NULL or not finished");
    cn_status status = settle_options(&opts, backend, err);
    if (status != CN_OK) return status;
    cn_plan made = {.model = model, .backend = backend, .opts = opts};
    status = cn_loss_choose(&model->layers[model->output], &opts.loss, &made.loss, err);
    if (status != CN_OK) return status;

    size_t n = (size_t)model->layer_count;
    cn_planner p = {.plan = &made, .model = model, .n = model->layer_count, .err = err};
    made.steps = cn_allocate(n, sizeof *made.steps, "session: plan", err);
    p.nodes = cn_allocate(n, sizeof *p.nodes, "session: plan", err);
    status = made.steps && p.nodes ? run_passes(&p) : CN_ERR_MEMORY;
    cn_release(p.nodes);
    if (status == CN_OK)
        *plan = made;
    else
        cn_plan_free(&made);
    return status;
}

cn_status cn_plan_create(cn_plan *plan, const cn_model *model, const cn_session_opts *opts,
                         cn_error *err)
{
    const cn_backend *backend = NULL;
    cn_status status = cn_backend_find(opts->backend, &backend, err);
    return status == CN_OK ? cn_plan_create_on(plan, model, opts, backend, err) : status;
}

void cn_plan_free(cn_plan *plan)
{
    cn_release(plan->steps);
    cn_release(plan->buffers);
    cn_release(plan->updates.chunks);
    cn_loss_release(&plan->loss);
}

size_t cn_plan_copies(const cn_plan *plan)
{
    const cn_model *model = plan->model;
    const size_t input = cn_shape_count(&model->layers[0].out);
    const size_t output = cn_shape_count(&model->layers[model->output].out);
    if (plan->backend->host) return 0;
    return ((size_t)plan->opts.batch * (2 * input + output) + plan->gradients) * sizeof(float);
}

cn_status cn_session_memory(const cn_model *model, const cn_session_opts *opts, cn_memory *out,
                            cn_error *err)
{
    const cn_session_opts defaults = {0};
    cn_plan plan;
    if (!out) return cn_fail(err, CN_ERR_ARGUMENT, "memory plan: NULL output");
    cn_status status = cn_plan_create(&plan, model, opts ? opts : &defaults, err);
    if (status != CN_OK) return status;
    const size_t size = cn_dtype_size(plan.backend->dtype);
    *out = (cn_memory){
        .parameters = model->block_size * (sizeof(float) + (plan.backend->host ? 0 : size)),
        .gradients = plan.gradients * size,
        .optimizer = plan.optimizer_state * size,
        .activations = plan.activations,
        .workspace = plan.packed + plan.cache + plan.scratch + cn_plan_copies(&plan),
    };
    out->total =
        out->parameters + out->gradients + out->optimizer + out->activations + out->workspace;
    cn_plan_free(&plan);
    return CN_OK;
}

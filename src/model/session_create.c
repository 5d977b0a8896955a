/*
 * session_create.c - makes a session: its plan, its arrays in the backend's memory, and one call
 * per layer. Everything that can fail fails here.
 */
#include "model/session_struct.h"

#include "model/averages.h"
#include "model/optimizer.h"

/* Bytes of the workspace that packed weights take. */
static size_t packed_size(const cn_session *s)
{
    return s->beside ? 0 : s->plan.packed;
}

static size_t arena_size(const cn_session *s)
{
    return cn_plan_arena_size(&s->plan) - (s->beside ? s->plan.packed : 0);
}

/* The packed weights of a step, or with `bias` the bias of its norm. */
static void *find_packed(const cn_session *s, int i, bool bias)
{
    const cn_plan_step *step = &s->plan.steps[i];
    const size_t first = s->plan.opts.repack ? packed_size(s) + s->plan.cache : 0;
    return cn_at_byte(s->workspace, first + (bias ? step->bias : step->packed));
}

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
        .y = cn_session_buffer(s, step->y),
        .dy = cn_session_buffer(s, step->dy),
        .conv = &step->requirements.conv,
        .packed = s->beside ? s->beside->calls[i].packed : find_packed(s, i, false),
        .cache = cn_at_byte(s->workspace, packed_size(s) + step->cache),
        .scratch = cn_at_byte(s->workspace, packed_size(s) + s->plan.cache + step->scratch),
    };
    s->backend->prepare(s->device, &s->plan.opts, step->alone, call);
    for (int k = 0; k < layer->input_count; k++) {
        call->x[k] = cn_session_buffer(s, step->x[k]);
        call->dx[k] = cn_session_buffer(s, step->dx[k]);
    }
    for (int k = 0; k < layer->parameter_count; k++) {
        call->w[k] = cn_at_element(s, s->parameters, layer->parameters[k].offset);
        if (s->gradients && !layer->parameters[k].buffer && cn_layer_learns(layer))
            call->dw[k] = cn_at_element(s, s->gradients, layer->parameters[k].offset);
    }
    if (step->norm) call->w[1] = find_packed(s, i, true);
}

static void *allocate(const cn_session *s, size_t bytes, const char *what, cn_error *err)
{
    return s->backend->allocate(s->device, bytes, what, err);
}

/* Activations and workspace, in memory of at least so many bytes in place of what there was. */
static cn_status allocate_arena(cn_session *s, size_t size, cn_error *err)
{
    s->backend->free(s->device, s->arena);
    s->arena_size = 0;
    s->arena = allocate(s, size, "session: activations and workspace", err);
    if (!s->arena) return CN_ERR_MEMORY;
    s->arena_size = size;
    s->workspace = cn_at_byte(s->arena, s->plan.activations);
    return CN_OK;
}

/* Every call, and what callers fill and read where that is not copied, in the arena as it is. */
static void place(cn_session *s)
{
    for (int i = 0; i < s->model->layer_count; i++) fill_call(s, i);
    if (!s->backend->host) return;
    s->input = s->calls[0].y;
    s->output = s->calls[s->model->output].y;
    s->host_gradients = s->gradients;
    s->input_gradient = cn_session_buffer(s, s->plan.input_gradient);
}

/* The lender's memory, which grows if it must. */
static cn_status borrow_arena(cn_session *s, cn_error *err)
{
    cn_session *lender = s->lender;
    if (arena_size(s) > lender->arena_size) {
        cn_status status = allocate_arena(lender, arena_size(s), err);
        if (status != CN_OK) return status;
        place(lender);
        lender->tenant = s;
        lender->packed = false;
        lender->done = CN_STAGE_NONE;
    }
    s->arena = lender->arena;
    s->workspace = cn_at_byte(s->arena, s->plan.activations);
    return CN_OK;
}

/* The backend's arrays. */
static cn_status allocate_arrays(cn_session *s, cn_error *err)
{
    const cn_plan *plan = &s->plan;
    const size_t size = cn_dtype_size(s->backend->dtype);
    cn_status status = s->lender ? borrow_arena(s, err) : allocate_arena(s, arena_size(s), err);
    if (status != CN_OK) return status;
    s->parameters = s->model->block;
    if (!s->backend->host)
        s->parameters = allocate(s, s->model->block_size * size, "session: parameters", err);
    if (!s->parameters) return CN_ERR_MEMORY;
    if (!plan->opts.training) return CN_OK;
    s->own_gradients = allocate(s, plan->gradients * size, "session: gradients", err);
    s->gradients = s->own_gradients;
    if (!s->gradients) return CN_ERR_MEMORY;
    s->optimizer_state = allocate(s, plan->optimizer_state * size, "session: optimizer", err);
    return s->optimizer_state ? CN_OK : CN_ERR_MEMORY;
}

/* What callers fill and read where the backend's memory is not the host's. */
static cn_status copy_to_host(cn_session *s, cn_error *err)
{
    const size_t input = cn_batch_elements(s, 0);
    if (s->backend->host) return CN_OK;
    s->copies = cn_allocate(cn_plan_copies(&s->plan), 1, "session: copies for the host", err);
    if (!s->copies) return CN_ERR_MEMORY;
    s->input = s->copies;
    s->input_gradient = s->input + input;
    s->output = s->input_gradient + input;
    s->host_gradients = s->output + cn_batch_elements(s, s->model->output);
    return CN_OK;
}

void cn_session_place_packed(cn_session *s, void *packed)
{
    s->packs_apart = true;
    for (int i = 0; i < s->model->layer_count; i++)
        s->calls[i].packed = cn_at_byte(packed, s->plan.steps[i].packed);
}

static cn_status create(cn_session *s, const cn_model *model, cn_error *err)
{
    if (model->shape_only)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: the model has shapes only, no weights");
    cn_status status = CN_OK;
    if (s->beside || s->lender)
        s->device = s->beside ? s->beside->device : s->lender->device;
    else
        status = s->backend->open(&s->plan.opts, &s->device, err);
    if (status == CN_OK) status = allocate_arrays(s, err);
    if (status != CN_OK) return status;
    s->calls = cn_allocate((size_t)model->layer_count, sizeof *s->calls, "session", err);
    if (!s->calls) return CN_ERR_MEMORY;
    place(s);
    size_t channels = (size_t)model->layers[0].out.n[2];
    s->normalization = cn_allocate(2 * channels, sizeof(float), "session: normalization", err);
    return s->normalization ? copy_to_host(s, err) : CN_ERR_MEMORY;
}

/* Beyond what cn_session_opts has. */
typedef struct extras {
    cn_model *trained; /* the model where the session trains it, else NULL */
    const cn_session *beside;
    cn_session *lender;
    bool part; /* normalizations take their means over more than its batch */
} extras;

/* A plan that fits into so much memory if need be by repacking. */
static cn_status plan_within(cn_plan *plan, const cn_model *model, const cn_session_opts *opts,
                             const cn_backend *backend, size_t room, cn_error *err)
{
    cn_session_opts o = *opts;
    cn_status status = cn_plan_create_on(plan, model, &o, backend, err);
    if (status != CN_OK || o.repack || cn_plan_arena_size(plan) <= room) return status;
    cn_plan_free(plan);
    o.repack = true;
    return cn_plan_create_on(plan, model, &o, backend, err);
}

static cn_status create_session(cn_session **session, const cn_model *model, const extras *more,
                                const cn_session_opts *opts, const cn_backend *backend,
                                cn_error *err)
{
    cn_session *s = cn_allocate(1, sizeof *s, "session", err);
    if (!s) return CN_ERR_MEMORY;
    s->model = model;
    s->trained = more->trained;
    s->beside = more->beside;
    s->lender = more->lender;
    s->factor = 1;
    s->backend = backend;
    const size_t room = more->lender ? more->lender->arena_size : SIZE_MAX;
    cn_status status = plan_within(&s->plan, model, opts, backend, room, err);
    if (status == CN_OK && s->plan.opts.training)
        status = cn_optimizer_plan(&s->plan.updates, model, &s->plan.opts.optimizer, err);
    if (status == CN_OK && s->plan.opts.training && !more->part && !model->shape_only)
        status = cn_check_averages(model, s->plan.opts.batch, "session", err);
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
    const extras more = {.trained = opts->training ? model : NULL};
    return create_session(session, model, &more, opts, backend, err);
}

cn_status cn_session_create_part(cn_session **session, cn_model *model, const cn_session_opts *opts,
                                 const cn_session *beside, cn_error *err)
{
    const cn_backend *backend = NULL;
    const extras more = {.trained = model, .beside = beside, .part = true};
    cn_session_opts kept = *opts;
    kept.repack = false; /* all parts read the first one's */
    cn_status status = cn_backend_find(opts->backend, &backend, err);
    return status == CN_OK ? create_session(session, model, &more, &kept, backend, err) : status;
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

cn_status cn_session_create_inference_on(cn_session **session, const cn_model *model,
                                         const cn_session_opts *opts, const cn_backend *backend,
                                         cn_error *err)
{
    const extras none = {.trained = NULL};
    return create_session(session, model, &none, opts, backend, err);
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
    return status == CN_OK ? cn_session_create_inference_on(session, model, &chosen, backend, err)
                           : status;
}

cn_status cn_session_create_inference_in(cn_session **session, cn_session *lender,
                                         const cn_session_opts *opts, cn_error *err)
{
    const extras more = {.lender = lender};
    return create_session(session, lender->model, &more, opts, lender->backend, err);
}

/* The memory of a session that trains with `lender`, and of one in it. */
cn_status cn_session_shared_memory(const cn_model *model, const cn_session_opts *lender,
                                   const cn_session_opts *opts, cn_memory *out, cn_error *err)
{
    const cn_backend *backend = NULL;
    cn_plan plan;
    cn_status status = cn_session_memory(model, lender, out, err);
    if (status == CN_OK) status = cn_backend_find(lender->backend, &backend, err);
    const size_t room = out->activations + out->workspace;
    if (status == CN_OK) status = plan_within(&plan, model, opts, backend, room, err);
    if (status != CN_OK) return status;
    const size_t size = cn_plan_arena_size(&plan);
    if (size > room) out->workspace += size - room, out->total += size - room;
    cn_plan_free(&plan);
    return CN_OK;
}

void cn_session_free(cn_session *s)
{
    if (!s) return;
    const cn_backend *b = s->backend;
    if (!s->lender) b->free(s->device, s->arena);
    b->free(s->device, s->own_gradients);
    b->free(s->device, s->optimizer_state);
    if (!b->host) b->free(s->device, s->parameters);
    if (s->device && !s->beside && !s->lender) b->close(s->device);
    cn_plan_free(&s->plan);
    cn_release(s->calls);
    cn_release(s->copies);
    cn_release(s->normalization);
    cn_release(s);
}

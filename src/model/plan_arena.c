/*
 * plan_arena.c - the last pass: where every array lies.
 *
 * Activations. Buffers are placed one by one, the largest first, each at the lowest offset where it
 * overlaps no placed buffer that lives at the same time: the small ones then fill the gaps.
 *
 * Workspace. Packed weights of all layers, then what forward keeps for backward, then the scratch
 * memory that all layers share. A layer that does the work of a batch norm has its new bias after
 * its packed weights, and its new weights in the scratch memory, until they are packed. Where the
 * session repacks, the scratch memory begins with the packed weights of the layer that runs.
 */
#include "model/planner.h"

/* Places buffer b as low as the buffers that are placed allow: order[0 .. placed - 1], by
 * offset. */
static void place(cn_plan *plan, int b, int *order, int placed)
{
    cn_buffer *buffer = &plan->buffers[b];
    size_t offset = 0;
    for (int i = 0; i < placed; i++) {
        const cn_buffer *other = &plan->buffers[order[i]];
        if (other->first > buffer->last || other->last < buffer->first) continue;
        if (offset + buffer->bytes <= other->offset) break;
        if (other->offset + other->bytes > offset) offset = other->offset + other->bytes;
    }
    buffer->offset = offset;
    if (offset + buffer->bytes > plan->activations) plan->activations = offset + buffer->bytes;
    int at = placed;
    for (; at > 0 && plan->buffers[order[at - 1]].offset > offset; at--) order[at] = order[at - 1];
    order[at] = b;
}

static cn_status place_buffers(cn_plan *plan, cn_error *err)
{
    int n = plan->buffer_count;
    int *order = cn_allocate((size_t)n, sizeof *order, "session: plan", err);
    bool *placed = cn_allocate((size_t)n, sizeof *placed, "session: plan", err);
    if (order && placed)
        for (int i = 0; i < n; i++) {
            int largest = -1;
            for (int b = 0; b < n; b++)
                if (!placed[b] &&
                    (largest < 0 || plan->buffers[b].bytes > plan->buffers[largest].bytes))
                    largest = b;
            place(plan, largest, order, i);
            placed[largest] = true;
        }
    cn_status status = order && placed ? CN_OK : CN_ERR_MEMORY;
    cn_release(order);
    cn_release(placed);
    return status;
}

/* ---- the workspace */

static size_t bytes_of(const cn_plan *plan, size_t elements)
{
    size_t bytes = elements * cn_dtype_size(plan->backend->dtype);
    return (bytes + CN_ALIGN - 1) / CN_ALIGN * CN_ALIGN;
}

static bool runs_alone(const cn_planner *p, int i)
{
    const cn_layer *layer = cn_planner_layer(p, i);
    const size_t m = (size_t)p->plan->opts.batch;
    size_t work = 0, elements = m * cn_shape_count(&layer->out);
    if (layer->type->multiply_adds) work = m * layer->type->multiply_adds(layer);
    for (int k = 0; k < layer->input_count; k++)
        elements += m * cn_shape_count(&p->model->layers[layer->inputs[k]].out);
    /* A dense layer of one example reads little but weights. */
    for (int k = 0; k < layer->parameter_count; k++)
        elements += cn_shape_count(&layer->parameters[k].shape);
    return !cn_pool_pays(work, elements);
}

static void ask_layer(cn_planner *p, int i)
{
    cn_plan *plan = p->plan;
    cn_plan_step *step = &plan->steps[i];
    cn_call call = {.layer = cn_planner_layer(p, i),
                    .m = plan->opts.batch,
                    .batch = plan->opts.batch,
                    .no_winograd = plan->opts.no_winograd,
                    .precision = plan->opts.precision,
                    .training = plan->opts.training};
    plan->backend->prepare(NULL, &plan->opts, step->alone, &call);
    step->ops->requirements(&call, step->alone ? 1 : plan->opts.threads, &step->requirements);
}

/* The packed weights of a layer, and its bias: one after the other, from *packed on. */
static void place_packed(cn_planner *p, int i, size_t *packed)
{
    const cn_layer *layer = cn_planner_layer(p, i);
    cn_plan_step *step = &p->plan->steps[i];
    cn_requirements *r = &step->requirements;
    step->packed = *packed;
    *packed += bytes_of(p->plan, r->packed);
    if (!step->norm) return;
    step->bias = *packed;
    *packed += bytes_of(p->plan, (size_t)layer->out.n[layer->out.rank - 1]);
    size_t folded = cn_shape_count(&layer->parameters[0].shape);
    if (folded > r->scratch) r->scratch = folded;
}

/* Makes room for elements of scratch memory of a layer, after what it packs there. */
static void need_scratch(cn_plan *plan, int i, size_t elements)
{
    size_t bytes = plan->steps[i].scratch + bytes_of(plan, elements);
    if (bytes > plan->scratch) plan->scratch = bytes;
}

static void place_workspace(cn_planner *p)
{
    cn_plan *plan = p->plan;
    for (int i = 1; i < p->n; i++) {
        cn_plan_step *step = &plan->steps[i];
        step->alone = runs_alone(p, i);
        if (step->ops && step->ops->requirements) ask_layer(p, i);
        place_packed(p, i, plan->opts.repack ? &step->scratch : &plan->packed);
        step->cache = plan->cache;
        plan->cache += bytes_of(plan, step->requirements.cache);
        need_scratch(plan, i, step->requirements.scratch);
    }
    if (plan->backend->loss_scratch)
        need_scratch(plan, p->model->output,
                     plan->backend->loss_scratch(&plan->loss, plan->opts.batch));
}

void cn_plan_arena(cn_planner *p)
{
    cn_plan *plan = p->plan;
    if (plan->opts.training) {
        plan->gradients = p->model->trained_size;
        plan->optimizer_state =
            (size_t)cn_optimizer_state_blocks(&plan->opts.optimizer) * plan->gradients;
    }
    place_workspace(p);
    if (p->status == CN_OK) p->status = place_buffers(plan, p->err);
}

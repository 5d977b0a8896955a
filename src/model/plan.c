/*
 * plan.c - made once for a model and a batch: all that can fail fails here.
 *
 * Values. A layer's output is a value; a view (flatten) only gives its input's another shape, so
 * what reads the view reads that value. Every value has a buffer, and in training a second one for
 * its gradient, where a parameter lies before it.
 *
 * In place. A layer that works element by element writes over its input where nothing else reads
 * that: no other layer, and not its producer's backward. A ReLU in place of a convolution's or a
 * dense layer's output is done with it, while the sums are still in registers.
 *
 * Batch norm. In a session that does not train it is a scale and a shift of each channel: behind a
 * convolution or a dense layer, and nowhere else read, it becomes part of the weights.
 *
 * Sums. In a session that does not train, a dense convolution whose output is only read to be added
 * to a value adds it where that value lies, and then does the ReLU behind the sum: if the value was
 * computed before, and nothing but the sum reads it from then on.
 *
 * ReLU and maximum. max(max(z, 0)) = max(max(z), 0): the gradient of a ReLU before a maximum
 * pooling is masked behind it, where there are fewer elements, with the same result.
 *
 * Loss. A softmax before cross-entropy and a sigmoid before its binary kind are fused with it (see
 * loss.c): their backward does not run, and their input, the logits, is kept for the loss.
 *
 * Gradients of a value that several layers read are summed: the first backward writes it, each
 * further one writes a buffer of its own, which is then added.
 *
 * Additions. The gradient of a + b is that of a and of b: where nothing can go wrong by it, all
 * three are one buffer, and nothing runs. Of the two, the one that is computed later goes backward
 * first; it must only read the buffer, and whatever else adds to the other's must come after it.
 *
 * Moments. With n layers, layer i runs forward at moment i, the loss at n, its backward at
 * 2 n - i, and the caller looks at results at 2 n + 1. A buffer lives from the first moment that
 * touches it to the last, and shares memory with those that live at other times.
 */
#include "model/plan.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The most examples: kernels count a dense layer's as pixels of a row, in int. */
enum { FLOATS_ALIGNED = CN_ALIGN / sizeof(float), MOST_EXAMPLES = 1 << 24 };

/* What is known of a layer while planning. */
typedef struct node {
    int value;        /* the layer that computes what this one is: itself, or a view's root */
    int readers;      /* of the value, views left out */
    int reader;       /* the last of them */
    int by;           /* the layer whose forward computes the value: this one, or one before it that
                         does this one's work with its own */
    bool gradient;    /* the value has one */
    bool in_place;    /* forward: y is x's buffer */
    bool in_place_dx; /* backward: dx is dy's buffer */
    bool shared;      /* the value's gradient is another's, too: backward only reads it */
} node;

typedef struct planner {
    cn_plan *plan;
    const cn_model *model;
    node *nodes;
    int n, capacity; /* layers; buffers that there is room for */
    cn_error *err;
    cn_status status; /* the first failure */
} planner;

static const cn_layer *layer_of(const planner *p, int i)
{
    return &p->model->layers[i];
}

/* The value that layer i reads as its input k. */
static int input_value(const planner *p, int i, int k)
{
    return p->nodes[layer_of(p, i)->inputs[k]].value;
}

static bool is_view(const planner *p, int i)
{
    const cn_layer_type *type = layer_of(p, i)->type;
    return type->view || (type->training_only && !p->plan->opts.training);
}

static bool runs(const planner *p, int i)
{
    return i > 0 && !is_view(p, i);
}

/* ---- options */

static cn_status settle_options(cn_session_opts *o, cn_error *err)
{
    if (o->batch == 0) o->batch = 1;
    if (o->batch < 1 || o->batch > MOST_EXAMPLES)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: batch %d, expected 1 to %d", o->batch,
                       MOST_EXAMPLES);
    if (o->precision != CN_PRECISION_F32 && o->precision != CN_PRECISION_BF16)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: precision %d, expected F32 (%d) or BF16 (%d)", (int)o->precision,
                       (int)CN_PRECISION_F32, (int)CN_PRECISION_BF16);
    cn_status status = cn_optimizer_settle(&o->optimizer, err);
    if (status != CN_OK) return status;
    return cn_thread_count(o->threads, &o->threads, err);
}

/* ---- the graph's values */

static void find_values(planner *p)
{
    for (int i = 0; i < p->n; i++) {
        node *at = &p->nodes[i];
        const cn_layer *layer = layer_of(p, i);
        at->value = is_view(p, i) ? input_value(p, i, 0) : i;
        at->by = i;
        at->gradient = i == 0 ? p->plan->opts.input_gradient : cn_layer_learns(layer);
        for (int k = 0; k < layer->input_count; k++) {
            node *x = &p->nodes[input_value(p, i, k)];
            at->gradient = at->gradient || x->gradient;
            if (is_view(p, i)) continue;
            x->readers++;
            x->reader = i;
        }
        at->gradient = at->gradient && p->plan->opts.training;
    }
}

static void find_in_place(planner *p)
{
    int output = p->nodes[p->model->output].value;
    for (int i = 1; i < p->n; i++) {
        const cn_layer_type *type = layer_of(p, i)->type;
        if (!type->in_place || is_view(p, i)) continue;
        int x = input_value(p, i, 0);
        bool needed =
            p->plan->opts.training && ((type->backward_reads & CN_READS_X) != 0 ||
                                       (layer_of(p, x)->type->backward_reads & CN_READS_Y) != 0);
        bool alone = x != 0 && p->nodes[x].readers == 1;
        bool logits = i == output && p->plan->loss.fused;
        p->nodes[i].in_place = alone && !needed && !logits;
        p->nodes[i].in_place_dx = alone && !logits;
    }
}

/* ---- buffers */

static void *grow(planner *p)
{
    int capacity = p->capacity ? 2 * p->capacity : 64;
    cn_buffer *buffers = cn_allocate((size_t)capacity, sizeof *buffers, "session: plan", p->err);
    if (!buffers) return NULL;
    if (p->plan->buffers) memcpy(buffers, p->plan->buffers, (size_t)p->capacity * sizeof *buffers);
    cn_release(p->plan->buffers);
    p->capacity = capacity;
    return p->plan->buffers = buffers;
}

/* A new buffer for a value of layer i. */
static int add_buffer(planner *p, int i)
{
    size_t size;
    size_t most = (size_t)1 << 48; /* so that no sum of them overflows */
    if (p->status != CN_OK) return CN_NO_BUFFER;
    if (p->plan->buffer_count == p->capacity && !grow(p)) {
        p->status = CN_ERR_MEMORY;
        return CN_NO_BUFFER;
    }
    if (!cn_multiply(cn_shape_count(&layer_of(p, i)->out), (size_t)p->plan->opts.batch, &size) ||
        size > most) {
        p->status = cn_fail(p->err, CN_ERR_MEMORY, "session: a batch of %d is too large at %s",
                            p->plan->opts.batch, layer_of(p, i)->name);
        return CN_NO_BUFFER;
    }
    /* What a kernel reads past the end is no other buffer, which another thread may be writing. */
    size = (size + FLOATS_ALIGNED - 1) / FLOATS_ALIGNED * FLOATS_ALIGNED + FLOATS_ALIGNED;
    p->plan->buffers[p->plan->buffer_count] = (cn_buffer){.size = size, .first = INT_MAX};
    return p->plan->buffer_count++;
}

static void touch(planner *p, int buffer, int moment)
{
    if (buffer == CN_NO_BUFFER) return;
    cn_buffer *b = &p->plan->buffers[buffer];
    if (moment < b->first) b->first = moment;
    if (moment > b->last) b->last = moment;
}

/* ---- forward */

/* Is layer i a batch norm that becomes part of the layer before it? */
static bool is_folded(const planner *p, int i)
{
    return layer_of(p, i)->type == &cn_batch_norm_type && p->nodes[i].in_place &&
           !p->plan->opts.training && layer_of(p, input_value(p, i, 0))->type->folds_norm;
}

static void fold_norm(planner *p, int i)
{
    int before = input_value(p, i, 0);
    p->plan->steps[before].norm = i;
    p->nodes[i].by = before;
}

/* The ReLU or ReLU6 i, in place, is done with the layer before it, where that can be. */
static void fuse_relu(planner *p, int i)
{
    const cn_activation *own = &layer_of(p, i)->activation;
    int before = p->nodes[input_value(p, i, 0)].by;
    const cn_layer_type *type = layer_of(p, before)->type;
    if (own->upper < INFINITY ? !type->fuses_relu6 : !type->fuses_relu) return;
    cn_activation *fused = &p->plan->steps[before].activation; /* may hold another one already */
    if (!fused->kind || own->upper < fused->upper) *fused = *own;
    p->nodes[i].by = before;
}

/* Does a layer between `from` and `to`, both left out, read the value? */
static bool read_between(const planner *p, int value, int from, int to)
{
    for (int j = from + 1; j < to; j++)
        for (int k = 0; k < layer_of(p, j)->input_count; k++)
            if (runs(p, j) && input_value(p, j, k) == value) return true;
    return false;
}

/* The value that layer i adds its own to, where that lies, to do the sum `*add` with its own work;
 * or 0, which is the input: that is the caller's. See the head of this file. */
static int find_addend(const planner *p, int i, int *add)
{
    const cn_layer *layer = layer_of(p, i);
    const node *own = &p->nodes[i];
    if (p->plan->opts.training || !layer->type->adds || !layer->type->adds(layer)) return 0;
    if (is_folded(p, own->reader)) own = &p->nodes[own->reader];
    *add = own->reader;
    if (own->readers != 1 || layer_of(p, *add)->type != &cn_add_type) return 0;
    int value = input_value(p, *add, input_value(p, *add, 0) == own->value ? 1 : 0);
    bool ready = value < i && !read_between(p, value, i - 1, *add);
    return ready && p->nodes[value].reader == *add ? value : 0;
}

/* The buffer that layer i writes. */
static int output_buffer(planner *p, int i)
{
    int add = 0, addend = find_addend(p, i, &add);
    if (addend) {
        p->plan->steps[i].add = true;
        p->nodes[add].by = i;
        return p->plan->steps[addend].y;
    }
    /* A sum that is done by another layer is where both of its inputs are. */
    bool over = p->nodes[i].in_place || is_view(p, i) || p->nodes[i].by != i;
    return over ? p->plan->steps[i].x[0] : add_buffer(p, i);
}

static void plan_forward(planner *p)
{
    for (int i = 0; i < p->n; i++) {
        cn_plan_step *step = &p->plan->steps[i];
        const cn_layer *layer = layer_of(p, i);
        for (int k = 0; k < CN_MAX_INPUTS; k++)
            step->x[k] =
                k < layer->input_count ? p->plan->steps[input_value(p, i, k)].y : CN_NO_BUFFER;
        step->y = output_buffer(p, i);
        touch(p, step->y, i);
        for (int k = 0; k < layer->input_count; k++) touch(p, step->x[k], i);
        if (is_folded(p, i)) fold_norm(p, i);
        const bool clips = layer->activation.kind == CN_ACTIVATION_CLIP;
        if (clips && p->nodes[i].in_place) fuse_relu(p, i);
        step->forward = runs(p, i) && p->nodes[i].by == i;
    }
    const cn_plan_step *output = &p->plan->steps[p->nodes[p->model->output].value];
    touch(p, output->y, 2 * p->n + 1);
    if (p->plan->loss.fused) touch(p, output->x[0], p->n);
    /* Kept to the end, so that a step that went wrong can be looked at: cn_session_replay. */
    if (p->plan->opts.training) touch(p, p->plan->steps[0].y, 2 * p->n + 1);
}

/* ---- backward */

/* The gradient buffer of a value that nothing has written yet, as the value's reader i writes it.
 */
static int first_gradient(planner *p, int value, int i)
{
    cn_plan_step *step = &p->plan->steps[value];
    bool over =
        p->nodes[i].in_place_dx && !p->nodes[i].shared && !layer_of(p, i)->type->passes_gradient;
    step->dy = over ? p->plan->steps[i].dy : add_buffer(p, value);
    return step->dy;
}

/* Layer i passes its gradient on: finds the inputs whose gradients are its own buffer, the one that
 * is computed last and maybe one more. See the head of this file. */
static void share_gradient(planner *p, int i)
{
    cn_plan_step *steps = p->plan->steps, *step = &steps[i];
    int late = -1, early = -1, late_input = 0, early_input = 0;
    for (int k = 0; k < layer_of(p, i)->input_count; k++) {
        int value = input_value(p, i, k);
        if (!p->nodes[value].gradient || steps[value].dy != CN_NO_BUFFER || value == late) continue;
        if (value > late) {
            early = late, early_input = late_input;
            late = value, late_input = k;
        } else {
            early = value, early_input = k;
        }
    }
    if (p->nodes[i].shared || late < 0) return;
    step->dx[late_input] = steps[late].dy = step->dy;
    if (early < 0 || p->nodes[late].readers > 1 || layer_of(p, late)->type->passes_gradient ||
        read_between(p, early, late, i))
        return;
    step->dx[early_input] = steps[early].dy = step->dy;
    p->nodes[late].shared = true;
}

/* A ReLU that was done with the layer before it, which masks gradients, too: that layer takes the
 * gradient behind the ReLU. */
static bool hand_to_masker(planner *p, int i)
{
    int before = input_value(p, i, 0);
    cn_plan_step *step = &p->plan->steps[i];
    if (step->forward || !layer_of(p, before)->type->masks_relu) return false;
    step->backward = false;
    p->plan->steps[before].dy = step->dy;
    p->nodes[before].shared = p->nodes[i].shared;
    return true;
}

static void plan_layer_backward(planner *p, int i)
{
    cn_plan_step *step = &p->plan->steps[i];
    const cn_layer *layer = layer_of(p, i);
    int moment = 2 * p->n - i;
    step->backward = runs(p, i) && step->dy != CN_NO_BUFFER;
    if (!step->backward || hand_to_masker(p, i)) return;
    bool passes = layer->type->passes_gradient;
    if (passes) share_gradient(p, i);
    for (int k = 0; k < layer->input_count; k++) {
        int value = input_value(p, i, k);
        if (layer->type->backward_reads & CN_READS_X) touch(p, step->x[k], moment);
        if (!p->nodes[value].gradient) continue;
        int written = p->plan->steps[value].dy;
        if (step->dx[k] != CN_NO_BUFFER) continue; /* shared */
        if (written == CN_NO_BUFFER) {
            step->dx[k] = first_gradient(p, value, i);
        } else {
            step->dx[k] = passes ? step->dy : add_buffer(p, value);
            step->sum[k] = written;
        }
        touch(p, step->dx[k], moment);
        touch(p, step->sum[k], moment);
    }
    if (layer->type->backward_reads & CN_READS_Y) touch(p, step->y, moment);
    touch(p, step->dy, moment);

    /* A ReLU before a maximum: see the head of this file. */
    if (layer->type == &cn_relu_type && p->nodes[i].in_place_dx && p->nodes[i].readers == 1 &&
        !p->nodes[p->nodes[i].reader].shared &&
        layer_of(p, p->nodes[i].reader)->type == &cn_max_pool_type) {
        step->backward = false;
        p->plan->steps[p->nodes[i].reader].mask = true;
    }
}

static void plan_backward(planner *p)
{
    cn_plan *plan = p->plan;
    for (int i = 0; i < p->n; i++) {
        cn_plan_step *step = &plan->steps[i];
        step->dy = CN_NO_BUFFER;
        for (int k = 0; k < CN_MAX_INPUTS; k++) step->dx[k] = step->sum[k] = CN_NO_BUFFER;
    }
    plan->loss_gradient = plan->input_gradient = CN_NO_BUFFER;
    int last = p->nodes[p->model->output].value;
    if (plan->loss.fused) last = input_value(p, last, 0);
    if (p->nodes[last].gradient) {
        plan->loss_gradient = plan->steps[last].dy = add_buffer(p, last);
        touch(p, plan->loss_gradient, p->n);
    }
    for (int i = p->n - 1; i > 0; i--) plan_layer_backward(p, i);
    plan->input_gradient = plan->steps[0].dy;
    touch(p, plan->input_gradient, 2 * p->n + 1);
}

/* ---- memory */

/* Places buffer b as low as the buffers that are placed allow: order[0 .. placed - 1], by
 * offset. */
static void place(cn_plan *plan, int b, int *order, int placed)
{
    cn_buffer *buffer = &plan->buffers[b];
    size_t offset = 0;
    for (int i = 0; i < placed; i++) {
        const cn_buffer *other = &plan->buffers[order[i]];
        if (other->first > buffer->last || other->last < buffer->first) continue;
        if (offset + buffer->size <= other->offset) break;
        if (other->offset + other->size > offset) offset = other->offset + other->size;
    }
    buffer->offset = offset;
    if (offset + buffer->size > plan->activations) plan->activations = offset + buffer->size;
    int at = placed;
    for (; at > 0 && plan->buffers[order[at - 1]].offset > offset; at--) order[at] = order[at - 1];
    order[at] = b;
}

/* The largest first: the small ones then fill the gaps. */
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
                    (largest < 0 || plan->buffers[b].size > plan->buffers[largest].size))
                    largest = b;
            place(plan, largest, order, i);
            placed[largest] = true;
        }
    cn_status status = order && placed ? CN_OK : CN_ERR_MEMORY;
    cn_release(order);
    cn_release(placed);
    return status;
}

static size_t aligned(size_t floats)
{
    return (floats + FLOATS_ALIGNED - 1) / FLOATS_ALIGNED * FLOATS_ALIGNED;
}

/* Sharing a layer out takes about a microsecond, and a layer of fewer than ten gains nothing. In so
 * long a processor does about this many multiply-adds, or an eighth as many elements. Tests, whose
 * networks are small, have all layers shared out: CONVNET_SHARE is "all" there. */
enum { ALONE_MULTIPLY_ADDS = 1 << 18, ALONE_ELEMENTS = ALONE_MULTIPLY_ADDS / 8 };

static bool runs_alone(const planner *p, int i)
{
    const cn_layer *layer = layer_of(p, i);
    const size_t m = (size_t)p->plan->opts.batch;
    const char *share = getenv("CONVNET_SHARE");
    if (share && strcmp(share, "all") == 0) return false;
    size_t work = 0, elements = cn_shape_count(&layer->out);
    if (layer->type->multiply_adds) work = layer->type->multiply_adds(layer);
    for (int k = 0; k < layer->input_count; k++)
        elements += cn_shape_count(&p->model->layers[layer->inputs[k]].out);
    return m * work <= ALONE_MULTIPLY_ADDS && m * elements <= ALONE_ELEMENTS;
}

static void plan_workspace(planner *p)
{
    cn_plan *plan = p->plan;
    for (int i = 1; i < p->n; i++) {
        const cn_layer *layer = layer_of(p, i);
        cn_plan_step *step = &plan->steps[i];
        step->alone = runs_alone(p, i);
        if (!layer->type->needs) continue;
        const cn_call call = {.layer = layer,
                              .kernels = plan->kernels,
                              .m = plan->opts.batch,
                              .batch = plan->opts.batch,
                              .no_winograd = plan->opts.no_winograd,
                              .precision = plan->opts.precision,
                              .training = plan->opts.training};
        layer->type->needs(&call, step->alone ? 1 : plan->opts.threads, &step->needs);
        step->packed = plan->packed;
        step->kept = plan->kept;
        plan->packed += aligned(step->needs.packed);
        plan->kept += aligned(step->needs.kept);
        if (step->norm) {
            step->bias = plan->packed;
            plan->packed += aligned((size_t)layer->out.n[layer->out.rank - 1]);
            size_t folded = cn_shape_count(&layer->weights[0].shape);
            if (folded > step->needs.scratch) step->needs.scratch = folded;
        }
        if (step->needs.scratch > plan->scratch) plan->scratch = step->needs.scratch;
    }
    if (!plan->opts.training) return;
    plan->gradients = p->model->trained_size;
    plan->moments = (size_t)cn_optimizer_moments(&plan->opts.optimizer) * plan->gradients;
}

cn_status cn_plan_create(cn_plan *plan, const cn_model *model, cn_session_opts opts, cn_error *err)
{
    if (!model || !model->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: the model is NULL or not finished");
    cn_status status = settle_options(&opts, err);
    if (status != CN_OK) return status;
    cn_plan made = {.model = model, .kernels = cn_kernels_get(), .opts = opts};
    if (opts.precision == CN_PRECISION_BF16) made.kernels = cn_kernels_with_bf16(made.kernels);
    status = cn_loss_choose(&model->layers[model->output], &opts.loss, &made.loss, err);
    if (status != CN_OK) return status;

    size_t n = (size_t)model->layer_count;
    planner p = {.plan = &made, .model = model, .n = model->layer_count, .err = err};
    made.steps = cn_allocate(n, sizeof *made.steps, "session: plan", err);
    p.nodes = cn_allocate(n, sizeof *p.nodes, "session: plan", err);
    if (!made.steps || !p.nodes) {
        status = CN_ERR_MEMORY;
        goto done;
    }
    find_values(&p);
    find_in_place(&p);
    plan_forward(&p);
    plan_backward(&p);
    plan_workspace(&p);
    status = p.status;
    if (status == CN_OK) status = place_buffers(&made, err);
    if (status == CN_OK && made.opts.training)
        status = cn_optimizer_plan(&made.updates, model, &made.opts.optimizer, err);
done:
    cn_release(p.nodes);
    if (status == CN_OK)
        *plan = made;
    else
        cn_plan_free(&made);
    return status;
}

void cn_plan_free(cn_plan *plan)
{
    cn_release(plan->steps);
    cn_release(plan->buffers);
    cn_release(plan->updates.units);
    cn_loss_release(&plan->loss);
}

cn_status cn_memory_plan(const cn_model *model, cn_session_opts opts, cn_memory *out, cn_error *err)
{
    cn_plan plan;
    if (!out) return cn_fail(err, CN_ERR_ARGUMENT, "memory plan: NULL output");
    cn_status status = cn_plan_create(&plan, model, opts, err);
    if (status != CN_OK) return status;
    *out = (cn_memory){
        .parameters = model->block_size * sizeof(float),
        .gradients = plan.gradients * sizeof(float),
        .optimizer = plan.moments * sizeof(float),
        .activations = plan.activations * sizeof(float),
        .workspace = (plan.packed + plan.kept + plan.scratch) * sizeof(float),
    };
    out->total =
        out->parameters + out->gradients + out->optimizer + out->activations + out->workspace;
    cn_plan_free(&plan);
    return CN_OK;
}

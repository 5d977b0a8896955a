/*
 * reference_backend.c - the double-precision twins as a machine: plain loops on one thread, one
 * layer after another, each with arrays of its own.
 *
 * The twins know nothing of sessions and calls; this file translates. A twin writes the gradients
 * of all inputs, and overwrites those of the weights, where a call may want only some, and
 * accumulates. So the gradients pass through scratch memory: the inputs' first, then the weights'.
 */
#include "backends/reference_backend.h"

#include "reference/reference.h"

#include <math.h>
#include <string.h>

/* ---- memory */

static cn_status open(const cn_session_opts *opts, void **device, cn_error *err)
{
    (void)opts, (void)err;
    *device = NULL;
    return CN_OK;
}

static void close(void *device)
{
    (void)device;
}

static void *allocate(void *device, size_t bytes, const char *what, cn_error *err)
{
    (void)device;
    return cn_allocate(bytes, 1, what, err);
}

static void release(void *device, void *memory)
{
    (void)device;
    cn_release(memory);
}

/* An element that rounds to the host's float keeps its further digits. */
static void upload(void *device, size_t n, const float *from, void *to)
{
    double *x = to;
    (void)device;
    for (size_t i = 0; i < n; i++)
        if (!((float)x[i] == from[i])) x[i] = (double)from[i];
}

static void download(void *device, size_t n, const void *from, float *to)
{
    const double *x = from;
    (void)device;
    for (size_t i = 0; i < n; i++) to[i] = (float)x[i];
}

static void zero(void *device, size_t n, void *x)
{
    (void)device;
    memset(x, 0, n * sizeof(double));
}

/* ---- element by element */

static void add(void *device, size_t n, const void *from, void *to)
{
    const double *x = from;
    double *y = to;
    (void)device;
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void scale(void *device, size_t n, double factor, void *array)
{
    double *x = array;
    (void)device;
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static size_t count_not_finite(void *device, size_t n, const void *array, bool *nan)
{
    const double *x = array;
    size_t count = 0;
    (void)device;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) count++;
        if (nan && isnan(x[i])) *nan = true;
    }
    return count;
}

static void blend(void *device, size_t n, double part, const float *w, float *average)
{
    (void)device;
    for (size_t i = 0; i < n; i++)
        average[i] = (float)((double)average[i] + part * ((double)w[i] - (double)average[i]));
}

/* ---- layers */

cn_conv_problem cn_twin_shape(const cn_layer *layer, int m)
{
    const cn_window *w = &layer->window;
    const int *in = layer->in.n, *out = layer->out.n;
    bool image_in = layer->in.rank == 3, image_out = layer->out.rank == 3;
    return (cn_conv_problem){
        .m = m,
        .h = image_in ? in[0] : 1,
        .w = image_in ? in[1] : 1,
        .c = image_in ? in[2] : in[0],
        .fh = w->kernel[0],
        .fw = w->kernel[1],
        .sh = w->stride[0],
        .sw = w->stride[1],
        .pt = w->before[0],
        .pl = w->before[1],
        .oh = image_out ? out[0] : 1,
        .ow = image_out ? out[1] : 1,
        .oc = image_out ? out[2] : out[0],
        .dilation_h = w->dilation[0],
        .dilation_w = w->dilation[1],
        .groups = layer->groups,
    };
}

void cn_twin_extents(const cn_shape *shape, int extents[3])
{
    extents[0] = extents[1] = 1;
    for (int k = 0; k < shape->rank; k++) extents[3 - shape->rank + k] = shape->n[k];
}

/* The arrays of a call, as a twin names them. */
typedef struct arrays {
    int channels[CN_MAX_INPUTS], extents[CN_MAX_INPUTS][3];
    const double *x[CN_MAX_INPUTS];
    double *w[CN_MAX_PARAMETERS], *dx[CN_MAX_INPUTS], *dw[CN_MAX_PARAMETERS];
} arrays;

static cn_twin_call twin_call(const cn_call *call, arrays *a)
{
    const cn_layer *layer = call->layer;
    *a = (arrays){.channels = {0}};
    for (int k = 0; k < layer->input_count; k++) {
        const cn_shape *in = &layer->inputs_of[k];
        a->channels[k] = in->n[in->rank - 1];
        cn_twin_extents(in, a->extents[k]);
        a->x[k] = call->x[k];
        a->dx[k] = call->dx[k];
    }
    for (int k = 0; k < layer->parameter_count; k++) a->w[k] = call->w[k];
    return (cn_twin_call){
        .type = layer->type->name,
        .s = cn_twin_shape(layer, call->m),
        .options = layer->options,
        .mode = call->training ? CN_TWIN_TRAINS : CN_TWIN_PREDICTS,
        .seed = call->seed,
        .step = call->step,
        .layer = call->index,
        .input_count = layer->input_count,
        .channels = a->channels,
        .extents = (const int(*)[3])a->extents,
        .x = a->x,
        .w = a->w,
        .y = call->y,
        .dy = call->dy,
        .dx = a->dx,
        .dw = a->dw,
    };
}

static size_t input_elements(const cn_layer *layer, int k, int m)
{
    return (size_t)m * cn_shape_count(&layer->inputs_of[k]);
}

static void requirements(const cn_call *call, int threads, cn_requirements *r)
{
    const cn_layer *layer = call->layer;
    (void)threads;
    if (!call->training) return;
    for (int k = 0; k < layer->input_count; k++)
        r->scratch += input_elements(layer, k, call->batch);
    for (int k = 0; k < layer->parameter_count; k++)
        r->scratch += cn_shape_count(&layer->parameters[k].shape);
}

static void forward(const cn_call *call)
{
    arrays a;
    const cn_twin_call t = twin_call(call, &a);
    cn_twin_find(call->layer->type->name)->forward(&t);
}

static void backward(const cn_call *call)
{
    const cn_layer *layer = call->layer;
    double *free_scratch = call->scratch;
    arrays a;
    const cn_twin_call t = twin_call(call, &a);
    for (int k = 0; k < layer->input_count; k++) {
        if (!a.dx[k]) a.dx[k] = free_scratch;
        free_scratch += input_elements(layer, k, call->batch);
    }
    for (int k = 0; k < layer->parameter_count; k++) {
        a.dw[k] = free_scratch;
        free_scratch += cn_shape_count(&layer->parameters[k].shape);
    }
    cn_twin_find(layer->type->name)->backward(&t);
    for (int k = 0; k < layer->parameter_count; k++)
        if (call->dw[k])
            add(NULL, cn_shape_count(&layer->parameters[k].shape), a.dw[k], call->dw[k]);
}

static const cn_layer_ops *ops(const cn_layer_type *type)
{
    static const cn_layer_ops any = {
        .requirements = requirements, .forward = forward, .backward = backward};
    return cn_twin_find(type->name) ? &any : NULL;
}

static void prepare(void *device, const cn_session_opts *opts, bool alone, cn_call *call)
{
    (void)device, (void)opts, (void)alone, (void)call;
}

/* ---- loss and step */

static int class_count(const cn_loss_plan *p)
{
    return p->columns == 1 ? 2 : p->columns;
}

/* The targets of a batch, followed by the class weights. */
static size_t loss_scratch(const cn_loss_plan *p, int batch)
{
    return (size_t)batch * (size_t)p->size + (size_t)class_count(p);
}

static void fill_targets(const cn_loss_plan *p, size_t rows, const cn_tensor *Y, double *y)
{
    const size_t n = (size_t)p->columns;
    for (size_t i = 0; i < rows * n; i++) {
        if (Y->dtype == CN_DTYPE_F32) {
            y[i] = (double)((const float *)Y->data)[i];
        } else {
            int label = ((const int32_t *)Y->data)[i / n];
            double target = n == 1 ? label : (size_t)label == i % n;
            y[i] = label < 0 ? (double)NAN : target; /* NaN: ignored */
        }
    }
}

/* The divisor of the mean: the number of rows, or the sum of their targets' weights. */
static double divisor(const cn_loss_plan *p, size_t rows, const double *y)
{
    const size_t n = (size_t)p->columns;
    double sum = 0;
    if (p->kind == CN_LOSS_DICE) return (double)(rows * n) / p->size;
    for (size_t i = 0; !p->class_weights && i < rows; i++) sum += !isnan(y[i * n]);
    for (size_t i = 0; p->class_weights && i < rows * n; i++)
        sum += isnan(y[i / n * n]) ? 0
               : n == 1
                   ? (double)p->class_weights[1] * y[i] + (double)p->class_weights[0] * (1 - y[i])
                   : (double)p->class_weights[i % n] * y[i];
    return sum;
}

static double loss(void *device, const cn_loss_call *call)
{
    const cn_loss_plan *p = call->plan;
    const size_t rows = (size_t)call->m * (size_t)(p->size / p->columns);
    double *y = call->scratch, *weights = y + (size_t)call->m * (size_t)p->size;
    cn_ref_targets how = {
        .smoothing = p->smoothing, .rows = (size_t)(p->size / p->columns), .binary = p->binary};
    fill_targets(p, rows, call->Y, y);
    for (int j = 0; p->class_weights && j < class_count(p); j++)
        weights[j] = (double)p->class_weights[j];
    if (p->class_weights) how.class_weights = weights;
    const double D = divisor(p, rows, y);
    if (call->weight) *call->weight = D;
    if (D == 0) { /* examples that all weigh nothing have neither loss nor gradient */
        if (call->gradient) zero(device, (size_t)call->m * (size_t)p->size, call->gradient);
        return 0;
    }
    cn_ref_loss *f = p->fused ? cn_ref_loss_of_logits(p->kind) : cn_ref_loss_of(p->kind);
    return f(rows, (size_t)p->columns, p->fused ? call->z : call->y_hat, y, how, call->gradient);
}

static void step(void *device, const cn_update_step *s)
{
    const cn_optimizer *o = s->optimizer;
    const double *g = s->gradients;
    double *w = s->weights, *state = s->state, squares = 0, shrink = 1;
    const int count = cn_optimizer_state_blocks(o);
    (void)device;
    for (int i = 0; i < s->plan->count; i++)
        for (size_t k = 0; k < s->plan->chunks[i].count; k++) {
            double each = g[s->plan->chunks[i].from + k];
            squares += each * each;
        }
    if (o->clip_norm > 0) shrink = o->clip_norm / (sqrt(squares) + 1e-6);
    if (shrink > 1) shrink = 1;
    for (int i = 0; i < s->plan->count; i++) {
        const cn_update_chunk *u = &s->plan->chunks[i];
        const cn_ref_update update = {.optimizer = o,
                                      .rate = s->rate * u->rate,
                                      .decay = o->weight_decay * u->decay,
                                      .shrink = shrink,
                                      .t = s->t};
        cn_ref_update_weights(&update, u->count, g + u->from, count > 0 ? state + u->from : NULL,
                              count > 1 ? state + s->size + u->from : NULL, w + u->from);
    }
}

const cn_backend cn_reference_backend = {
    .name = "reference",
    .dtype = CN_DTYPE_F64,
    .plain = true,
    .open = open,
    .close = close,
    .allocate = allocate,
    .free = release,
    .upload = upload,
    .download = download,
    .zero = zero,
    .ops = ops,
    .prepare = prepare,
    .add = add,
    .scale = scale,
    .count_not_finite = count_not_finite,
    .loss_scratch = loss_scratch,
    .loss = loss,
    .step = step,
    .blend = blend,
};

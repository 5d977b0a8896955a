/* layer.c - what the layers' files share: shapes, windows, and maps over many elements. */
#include "layers/layer.h"

const char *const cn_padding_words[] = {"valid", "same", NULL};
const char *const cn_init_words[] = {
    "default", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "dirac", NULL};

size_t cn_shape_count(const cn_shape *shape)
{
    size_t count = 1;
    for (int i = 0; i < shape->rank; i++) count *= (size_t)shape->n[i];
    return count;
}

bool cn_layer_learns(const cn_layer *layer)
{
    for (int k = 0; k < layer->parameter_count; k++)
        if (!layer->parameters[k].frozen && !layer->parameters[k].buffer) return true;
    return false;
}

cn_status cn_layer_window(cn_layer *layer, const int kernel[2], const int stride[2],
                          const int dilation[2], cn_padding padding, const int pads[4],
                          const char *context, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (layer->in.rank != 3)
        return cn_fail(err, CN_ERR_SHAPE, "%s: input has shape %s, expected (n_H, n_W, n_C)",
                       context, cn_shape_text(layer->in.rank, layer->in.n, text));
    if (padding == CN_PADDING_SAME && (pads[0] || pads[1] || pads[2] || pads[3]))
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: pads are given, but \"same\" finds them itself",
                       context);
    layer->window = (cn_window){
        .in = {layer->in.n[0], layer->in.n[1]},
        .kernel = {kernel[0], kernel[1]},
        .stride = {stride[0], stride[1]},
        .before = {pads[0], pads[1]},
        .after = {pads[2], pads[3]},
        .dilation = {dilation ? dilation[0] : 1, dilation ? dilation[1] : 1},
    };
    return cn_window_fit(&layer->window, padding, context, err);
}

cn_status cn_check_groups(int groups, int channels, int filters, const char *context, cn_error *err)
{
    if (channels % groups != 0 || filters % groups != 0)
        return cn_fail(err, CN_ERR_SHAPE,
                       "%s: %d groups, expected a divisor of the input's %d channels and of the %d "
                       "filters",
                       context, groups, channels, filters);
    return CN_OK;
}

cn_conv_problem cn_layer_problem(const cn_layer *layer, int m)
{
    const cn_window *w = &layer->window;
    const cn_shape *weight = layer->parameter_count > 0 ? &layer->parameters[0].shape : NULL;
    const int groups = weight ? layer->groups : 1;
    return (cn_conv_problem){
        .m = m,
        .h = w->in[0],
        .w = w->in[1],
        .c = weight ? weight->n[weight->rank - 2] * groups : layer->in.n[2],
        .fh = w->kernel[0],
        .fw = w->kernel[1],
        /* A single window has no stride, and the kernels' time grows with it. */
        .sh = w->out[0] == 1 ? 1 : w->stride[0],
        .sw = w->out[1] == 1 ? 1 : w->stride[1],
        .pt = w->before[0],
        .pl = w->before[1],
        .oh = w->out[0],
        .ow = w->out[1],
        .oc = weight ? weight->n[weight->rank - 1] : layer->out.n[2],
        /* A kernel of one element has no gaps. */
        .dilation_h = w->kernel[0] == 1 ? 1 : w->dilation[0],
        .dilation_w = w->kernel[1] == 1 ? 1 : w->dilation[1],
        .groups = groups,
    };
}

/* ---- maps */

typedef struct map_job {
    cn_map *f;
    cn_map_with *f_with;
    float parameter;
    size_t n;
    const float *x;
    float *y;
} map_job;

static void map_task(void *argument, int task, int worker)
{
    const map_job *job = argument;
    size_t from = (size_t)task * CN_MAP_CHUNK;
    size_t n = job->n - from < CN_MAP_CHUNK ? job->n - from : CN_MAP_CHUNK;
    (void)worker;
    if (job->f)
        job->f(n, job->x + from, job->y + from);
    else
        job->f_with(n, job->parameter, job->x + from, job->y + from);
}

static void run_map(cn_pool *pool, map_job job)
{
    cn_pool_run(pool, (int)((job.n + CN_MAP_CHUNK - 1) / CN_MAP_CHUNK), map_task, &job);
}

void cn_map_run(cn_pool *pool, cn_map *f, size_t n, const float *x, float *y)
{
    run_map(pool, (map_job){.f = f, .n = n, .x = x, .y = y});
}

void cn_map_with_run(cn_pool *pool, cn_map_with *f, float parameter, size_t n, const float *x,
                     float *y)
{
    run_map(pool, (map_job){.f_with = f, .parameter = parameter, .n = n, .x = x, .y = y});
}

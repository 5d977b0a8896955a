/*
 * explain_data.c - what the page is told about a network and an image's way through it.
 *
 * The page computes layers itself from the image and the weights, so that it can compute them again
 * after a change. It gets, in this order, for as long as there is room:
 *
 *   1. of every layer maps of 8 bits: a few channels, a few pixels
 *   2. the weights of the first layers, as floats: those are computed in the page ("exact"), by the
 *      rows of layerTypes in cli/pages/layers.js
 *   3. the outputs and gradients of all layers as floats, to compare with and to go backward from
 */
#include "explain.h"
#include "page.h"

#include "layers/loss.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How maps of 8 bits are thinned out: channels and pixels along a side that are kept at most. */
typedef struct thinning {
    int channels, side;
} thinning;

static const thinning thinnings[] = {{32, 64}, {16, 32}, {8, 32}, {4, 16}, {2, 16}, {1, 8}};
enum { THINNINGS = sizeof thinnings / sizeof *thinnings };

/* More of them in one forward would make the page wait after each change. */
static const size_t most_multiply_adds = 200u * 1000 * 1000;

/* What goes into the page. */
typedef struct share {
    thinning maps;
    int exact;    /* layers 0 to exact - 1 are computed in the page */
    bool *floats; /* layer i's output and gradient are floats */
} share;

static size_t layer_size(const cn_model *model, int i)
{
    return cn_shape_count(&model->layers[i].out);
}

/* ---- maps of 8 bits */

/* Pixels along a side that are left when every step-th is taken. */
static int step_of(int n, int side)
{
    return (n + side - 1) / side;
}

/* Rows, columns and channels of a layer's map; a layer without pixels is one row of 256 at most. */
static void map_shape(const cn_shape *out, thinning t, int shape[3], int step[2])
{
    int n[3] = {1, out->n[0], 1};
    if (out->rank == 3) memcpy(n, out->n, sizeof n);
    const int sides[2] = {t.side, out->rank == 3 ? t.side : 256};
    for (int axis = 0; axis < 2; axis++) {
        step[axis] = step_of(n[axis], sides[axis]);
        shape[axis] = (n[axis] + step[axis] - 1) / step[axis];
    }
    shape[2] = n[2] < t.channels ? n[2] : t.channels;
}

static size_t map_size(const cn_shape *out, thinning t)
{
    int shape[3], step[2];
    map_shape(out, t, shape, step);
    return cli_page_text_size((size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2]);
}

/* {"low", "high", "shape", "step", "bytes"}: value = low + byte / 255 (high - low). */
static json_t *map_of(const float *x, const cn_shape *out, thinning t)
{
    int shape[3], step[2];
    map_shape(out, t, shape, step);
    const size_t columns = out->rank == 3 ? (size_t)out->n[1] : (size_t)out->n[0];
    const size_t channels = out->rank == 3 ? (size_t)out->n[2] : 1;
    size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2], at = 0;
    unsigned char *bytes = malloc(count);
    float low = x[0], high = x[0];
    if (!bytes) return NULL;
    for (size_t i = 1; i < cn_shape_count(out); i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    for (int r = 0; r < shape[0]; r++)
        for (int c = 0; c < shape[1]; c++)
            for (int k = 0; k < shape[2]; k++) {
                size_t pixel = (size_t)(r * step[0]) * columns + (size_t)(c * step[1]);
                float value = x[pixel * channels + (size_t)k];
                float part = high > low ? (value - low) / (high - low) : 0;
                bytes[at++] = part >= 0 && part <= 1 ? (unsigned char)lroundf(part * 255) : 0;
            }
    json_t *map = json_object();
    cli_put_number(map, "low", (double)low);
    cli_put_number(map, "high", (double)high);
    json_object_set_new(map, "shape", cli_page_wholes(shape, 3));
    json_object_set_new(map, "step", cli_page_wholes(step, 2));
    json_object_set_new(map, "bytes", cli_page_bytes(bytes, count));
    free(bytes);
    return map;
}

/* ---- what fits */

/* Enough of a gradient to compare with. */
static size_t sample_size(size_t n)
{
    return n < 512 ? n : 512;
}

static size_t weights_size(const cn_layer *layer)
{
    size_t size = 0;
    for (int k = 0; k < layer->parameter_count; k++) {
        size_t n = cn_shape_count(&layer->parameters[k].shape);
        size += cli_page_text_size(4 * n) + cli_page_text_size(4 * sample_size(n));
    }
    return size;
}

static size_t floats_size(const cli_explained *e, int i)
{
    size_t one = cli_page_text_size(4 * layer_size(e->model, i));
    return (e->y[i] ? one : 0) + (e->dy[i] ? one : 0);
}

static size_t maps_size(const cli_explained *e, int i, thinning t)
{
    size_t one = map_size(&e->model->layers[i].out, t);
    return (e->y[i] ? one : 0) + (e->dy[i] ? one : 0);
}

/* The most that the text around a layer's arrays takes, and all layers' beside. */
enum { LAYER_TEXT = 900, OTHER_TEXT = 20000 };

static size_t choose_maps(const cli_explained *e, size_t budget, share *s)
{
    size_t used = 0;
    for (int t = 0; t < THINNINGS; t++) {
        s->maps = thinnings[t];
        used = OTHER_TEXT + (size_t)e->model->layer_count * LAYER_TEXT;
        for (int i = 0; i < e->model->layer_count; i++) used += maps_size(e, i, s->maps);
        if (used <= budget / 2) break;
    }
    return used;
}

/* Layers whose weights fit get them, and leave their 8-bit maps out; the image comes first. */
static size_t choose_exact(const cli_explained *e, size_t budget, size_t used, share *s)
{
    const cn_model *model = e->model;
    size_t work = 0;
    for (s->exact = 0; s->exact < model->layer_count; s->exact++) {
        const cn_layer *layer = &model->layers[s->exact];
        size_t size = s->exact == 0 ? floats_size(e, 0) : weights_size(layer);
        if (layer->type->multiply_adds) work += layer->type->multiply_adds(layer);
        if (used + size > budget || work > most_multiply_adds) break;
        used += size;
        s->floats[s->exact] = s->exact == 0;
    }
    return used;
}

static void choose_floats(const cli_explained *e, size_t budget, size_t used, share *s)
{
    for (int i = 1; i < e->model->layer_count; i++) {
        size_t size = floats_size(e, i);
        s->floats[i] = used + size <= budget;
        if (s->floats[i]) used += size;
    }
}

/* ---- layers */

static void put_options(json_t *object, const cn_model *model, int i)
{
    json_t *options = json_object();
    for (const cn_option *o = model->layers[i].type->options; o && o->name; o++) {
        double value[4];
        json_t *numbers = json_array();
        int n = cn_model_layer_option(model, i, o->name, value);
        for (int k = 0; k < n; k++) json_array_append_new(numbers, json_real(value[k]));
        json_object_set_new(options, o->name, numbers);
    }
    json_object_set_new(object, "options", options);
}

static void put_window(json_t *object, const cn_layer *layer)
{
    const cn_window *w = &layer->window;
    if (w->kernel[0] == 0) return;
    const int pads[4] = {w->before[0], w->before[1], w->after[0], w->after[1]};
    const int dilation[2] = {w->dilation[0] ? w->dilation[0] : 1,
                             w->dilation[1] ? w->dilation[1] : 1};
    json_t *window = json_object();
    json_object_set_new(window, "kernel", cli_page_wholes(w->kernel, 2));
    json_object_set_new(window, "stride", cli_page_wholes(w->stride, 2));
    json_object_set_new(window, "pads", cli_page_wholes(pads, 4));
    json_object_set_new(window, "dilation", cli_page_wholes(dilation, 2));
    json_object_set_new(object, "window", window);
}

static void put_weights(json_t *object, const cli_explained *e, int i, int first, bool exact)
{
    const cn_layer *layer = &e->model->layers[i];
    json_t *weights = json_array();
    for (int k = 0; k < layer->parameter_count; k++) {
        const cn_layer_parameter *parameter = &layer->parameters[k];
        const size_t n = cn_shape_count(&parameter->shape);
        json_t *entry = json_object();
        cli_put_text(entry, "role", parameter->role);
        json_object_set_new(entry, "shape",
                            cli_page_wholes(parameter->shape.n, parameter->shape.rank));
        if (exact)
            json_object_set_new(entry, "floats",
                                cli_page_floats(e->model->block + parameter->offset, n));
        if (exact && e->dw[first + k])
            json_object_set_new(entry, "gradient",
                                cli_page_floats(e->dw[first + k], sample_size(n)));
        json_array_append_new(weights, entry);
    }
    json_object_set_new(object, "weights", weights);
}

/* Floats, 8 bits, or nothing where the page computes it. */
static void put_values(json_t *object, const char *key, const float *x, const cn_shape *out,
                       const share *s, int i)
{
    json_t *value = NULL;
    if (x && s->floats[i]) {
        value = json_object();
        json_object_set_new(value, "floats", cli_page_floats(x, cn_shape_count(out)));
    } else if (x) {
        value = map_of(x, out, s->maps);
    }
    if (value) json_object_set_new(object, key, value);
}

static json_t *layer_of(const cli_explained *e, int i, int first, const share *s)
{
    const cn_layer *layer = &e->model->layers[i];
    json_t *object = json_object();
    cli_put_text(object, "name", layer->name);
    cli_put_text(object, "type", layer->type->name);
    cli_put_text(object, "text", layer->text ? layer->text : "");
    json_object_set_new(object, "inputs", cli_page_wholes(layer->inputs, layer->input_count));
    json_object_set_new(object, "shape", cli_page_wholes(layer->out.n, layer->out.rank));
    put_options(object, e->model, i);
    put_window(object, layer);
    if (layer->groups > 1) cli_put_whole(object, "groups", (size_t)layer->groups);
    put_weights(object, e, i, first, i < s->exact);
    put_values(object, "y", e->y[i], &layer->out, s, i);
    put_values(object, "dy", e->dy[i], &layer->out, s, i);
    return object;
}

static void put_score_maps(json_t *data, const cli_explained *e)
{
    const int *n = cn_model_input_shape(e->model);
    const size_t pixels = (size_t)n[0] * (size_t)n[1];
    const size_t coarse = (size_t)e->cam_shape[0] * (size_t)e->cam_shape[1];
    const cn_shape fine = {3, {n[0], n[1], 1}};
    json_t *saliency = json_object(), *cam;
    if (e->saliency) {
        if (pixels <= 128 * 128) {
            json_object_set_new(saliency, "floats", cli_page_floats(e->saliency, pixels));
        } else {
            json_decref(saliency);
            saliency = map_of(e->saliency, &fine, (thinning){1, 224});
        }
        json_object_set_new(data, "saliency", saliency);
    } else {
        json_decref(saliency);
    }
    if (!e->cam || coarse > 128 * 128) return;
    cam = json_object();
    json_object_set_new(cam, "layer", json_integer(e->cam_layer));
    json_object_set_new(cam, "shape", cli_page_wholes(e->cam_shape, 2));
    json_object_set_new(cam, "floats", cli_page_floats(e->cam, coarse));
    json_object_set_new(data, "cam", cam);
}

static json_t *classes_of(const cn_model *model)
{
    char number[CLI_COUNT_TEXT];
    json_t *classes = json_array(), *name;
    int rank;
    const int *n = cn_model_output_shape(model, &rank);
    int count = n[rank - 1] == 1 ? 2 : n[rank - 1];
    for (int i = 0; i < count; i++) {
        json_t *holder = json_object();
        snprintf(number, sizeof number, "%d", i);
        const char *given = cn_model_class_name(model, i);
        cli_put_text(holder, "name", given ? given : number);
        name = json_incref(json_object_get(holder, "name"));
        json_array_append_new(classes, name);
        json_decref(holder);
    }
    return classes;
}

static void put_normalization(json_t *data, const cn_model *model)
{
    const int channels = cn_model_input_shape(model)[2];
    const float *mean = cn_model_mean(model), *std = cn_model_std(model);
    if (!mean || !std) return;
    json_object_set_new(data, "mean", cli_page_floats(mean, (size_t)channels));
    json_object_set_new(data, "std", cli_page_floats(std, (size_t)channels));
}

/* The loss that the model is trained with. */
static const char *loss_name(const cn_model *model)
{
    static const char *const names[] = {
        [CN_LOSS_CROSS_ENTROPY] = "cross-entropy",
        [CN_LOSS_BINARY_CROSS_ENTROPY] = "binary-cross-entropy",
        [CN_LOSS_MEAN_SQUARED_ERROR] = "mean-squared-error",
        [CN_LOSS_DICE] = "dice",
        [CN_LOSS_FOCAL] = "focal",
        [CN_LOSS_MEAN_ABSOLUTE_ERROR] = "mean-absolute-error",
    };
    return names[cn_loss_resolve(&model->layers[model->output], model->loss)];
}

json_t *cli_explain_data(const cli_explained *e, size_t budget)
{
    const cn_model *model = e->model;
    share s = {.exact = 0};
    json_t *data = json_object(), *layers = json_array();
    s.floats = calloc((size_t)model->layer_count, sizeof *s.floats);
    if (!data || !layers || !s.floats) {
        json_decref(data);
        json_decref(layers);
        free(s.floats);
        return NULL;
    }
    size_t used = choose_exact(e, budget, choose_maps(e, budget, &s), &s);
    choose_floats(e, budget, used, &s);
    int first = 0;
    for (int i = 0; i < model->layer_count; i++) {
        json_array_append_new(layers, layer_of(e, i, first, &s));
        first += model->layers[i].parameter_count;
    }
    json_object_set_new(data, "layers", layers);
    json_object_set_new(data, "exact", json_integer(s.exact));
    json_object_set_new(data, "output", json_integer(model->output));
    json_object_set_new(data, "classes", classes_of(model));
    json_object_set_new(data, "predicted", json_integer(e->predicted));
    json_object_set_new(data, "label", json_integer(e->label));
    cli_put_number(data, "loss", e->loss);
    cli_put_text(data, "loss_kind", loss_name(model));
    put_normalization(data, model);
    put_score_maps(data, e);
    free(s.floats);
    return data;
}

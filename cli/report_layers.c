/* report_layers.c - a model layer by layer: work, memory, time, dead units, the first filters. */
#include "report.h"

#include "page.h"

#include "model/model.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE = 256, REPEATS = 5 };

/* What visits gather. */
typedef struct visits {
    const cn_model *model;
    double last, *seconds; /* per layer, the least of all repeats */
    int **alive;           /* of a layer with a ReLU: which channels were ever above 0; else NULL */
} visits;

static int channels_of(const cn_layer *layer)
{
    return layer->out.n[layer->out.rank - 1];
}

static bool on_layer(int i, const cn_tensor *y, void *user)
{
    visits *v = user;
    double seconds = cli_seconds() - v->last;
    if (v->seconds[i] < 0 || seconds < v->seconds[i]) v->seconds[i] = seconds;
    if (v->alive[i]) {
        const float *values = y->data;
        size_t n = cn_tensor_count(y), c = (size_t)channels_of(&v->model->layers[i]);
        for (size_t k = 0; k < n; k++)
            if (values[k] > 0) v->alive[i][k % c] = 1;
    }
    v->last = cli_seconds();
    return false;
}

static cn_status prepare(visits *v, const cn_model *model, cn_error *err)
{
    const size_t n = (size_t)model->layer_count;
    *v = (visits){.model = model};
    v->seconds = malloc(n * sizeof *v->seconds);
    v->alive = calloc(n, sizeof *v->alive);
    bool whole = v->seconds && v->alive;
    for (size_t i = 0; whole && i < n; i++) {
        const cn_layer *layer = &model->layers[i];
        v->seconds[i] = -1;
        if (strncmp(layer->type->name, "relu", 4) != 0) continue;
        v->alive[i] = calloc((size_t)channels_of(layer), sizeof **v->alive);
        if (!v->alive[i]) whole = false;
    }
    return whole ? CN_OK : cn_fail(err, CN_ERR_MEMORY, "report: out of memory");
}

static void release(visits *v)
{
    for (int i = 0; v->alive && i < v->model->layer_count; i++) free(v->alive[i]);
    free(v->alive);
    free(v->seconds);
}

static cn_status run(visits *v, const cn_dataset *data, int m, int threads, cn_error *err)
{
    const int *n = cn_dataset_shape(data);
    const cn_image_opts range = cn_dataset_image_opts(data);
    cn_session *session = NULL;
    cn_session_opts opts = {.batch = m, .threads = threads};
    int index[SAMPLE];
    size_t size = (size_t)m * (size_t)n[0] * (size_t)n[1] * (size_t)n[2];
    float *x = malloc((size + 2 * (size_t)n[2]) * sizeof *x);
    if (!x) return cn_fail(err, CN_ERR_MEMORY, "report: out of memory");
    cn_model_normalization(v->model, range.low, range.high, x + size, x + size + n[2]);
    for (int i = 0; i < m; i++) index[i] = (int)((int64_t)i * cn_dataset_size(data) / m);
    cn_status status = cn_dataset_batch(data, index, m, x + size, x + size + n[2], x, NULL, err);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, n[0], n[1], n[2]}, x);
    if (status == CN_OK) status = cn_session_create_inference(&session, v->model, &opts, err);
    for (int i = 0; i < REPEATS && status == CN_OK; i++) {
        v->last = cli_seconds();
        status = cn_session_visit(session, &X, on_layer, v, err);
    }
    cn_session_free(session);
    free(x);
    return status;
}

cn_status cli_report_layers(json_t *page, const cn_model *model, const cn_dataset *data,
                            int threads, cn_error *err)
{
    visits v;
    cn_layer_info info;
    int m = cn_dataset_size(data) < SAMPLE ? cn_dataset_size(data) : SAMPLE;
    json_t *layers = json_array();
    cn_status status = prepare(&v, model, err);
    if (status == CN_OK) status = run(&v, data, m, threads, err);
    for (int i = 0; status == CN_OK && cn_model_layer(model, i, &info); i++) {
        json_t *layer = json_object();
        cli_put_text(layer, "name", info.name);
        cli_put_text(layer, "text", info.options);
        cli_put_text(layer, "type", info.type);
        json_object_set_new(layer, "shape", cli_page_wholes(info.shape, info.rank));
        cli_put_whole(layer, "parameters", info.parameters);
        cli_put_whole(layer, "multiply_adds", info.multiply_adds);
        cli_put_whole(layer, "bytes", 4 * cn_shape_count(&model->layers[i].out));
        if (v.seconds[i] >= 0) cli_put_number(layer, "seconds", v.seconds[i] / m);
        if (v.alive[i]) {
            int dead = 0;
            for (int k = 0; k < channels_of(&model->layers[i]); k++) dead += !v.alive[i][k];
            cli_put_whole(layer, "dead", (size_t)dead);
            cli_put_whole(layer, "units", (size_t)channels_of(&model->layers[i]));
        }
        json_array_append_new(layers, layer);
    }
    release(&v);
    json_object_set_new(page, "layers", layers);
    cli_put_whole(page, "sample", (size_t)m);
    return status;
}

void cli_report_filters(json_t *page, const char *key, const cn_model *model)
{
    for (int i = 1; i < model->layer_count; i++) {
        const cn_layer *layer = &model->layers[i];
        if (strcmp(layer->type->name, "conv2d") != 0) continue;
        const cn_layer_parameter *parameter = &layer->parameters[0];
        size_t n = cn_shape_count(&parameter->shape);
        if (n > 65536) return;
        json_t *filters = json_object();
        cli_put_text(filters, "layer", layer->name);
        json_object_set_new(filters, "shape",
                            cli_page_wholes(parameter->shape.n, parameter->shape.rank));
        json_object_set_new(filters, "floats",
                            cli_page_floats(model->block + parameter->offset, n));
        json_object_set_new(page, key, filters);
        return;
    }
}

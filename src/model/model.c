/* model.c - queries of a model, and its data beside the layers: classes, normalization, images. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static char *copy_text(const char *text, cn_error *err)
{
    size_t size = strlen(text) + 1;
    char *copy = cn_allocate(size, 1, "model: text", err);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* The name of class i cannot be kept: its other bytes are written as \xNN. */
static cn_status no_class_name(const char *name, int i, cn_error *err)
{
    char text[100] = "";
    size_t used = 0;
    if (!name) return cn_fail(err, CN_ERR_ARGUMENT, "model: the name of class %d is NULL", i);
    for (const char *at = name; *at && used + 5 < sizeof text; at++)
        used += (size_t)snprintf(text + used, sizeof text - used, *at & 0x80 ? "\\x%02x" : "%c",
                                 (unsigned)(unsigned char)*at);
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "model: the name of class %d, \"%s\", is not UTF-8: rename it", i, text);
}

cn_status cn_model_set_classes(cn_model *m, int n, const char *const *names, cn_error *err)
{
    if (!m || n < 1 || !names)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: no class names, expected 1 or more");
    for (int i = 0; i < n; i++)
        if (!names[i] || !cn_is_utf8(names[i])) return no_class_name(names[i], i, err);
    char **copies = cn_allocate((size_t)n, sizeof *copies, "model: class names", err);
    if (!copies) return CN_ERR_MEMORY;
    int done = 0;
    while (done < n && (copies[done] = copy_text(names[done], err))) done++;
    if (done < n) {
        while (done > 0) cn_release(copies[--done]);
        cn_release(copies);
        return CN_ERR_MEMORY;
    }
    for (int i = 0; i < m->class_count; i++) cn_release(m->class_names[i]);
    cn_release(m->class_names);
    m->class_names = copies;
    m->class_count = n;
    return CN_OK;
}

const char *cn_model_class_name(const cn_model *m, int i)
{
    return m && i >= 0 && i < m->class_count ? m->class_names[i] : NULL;
}

cn_status cn_model_set_normalization(cn_model *m, const float *mean, const float *std,
                                     cn_error *err)
{
    if (!m || !mean || !std) return cn_fail(err, CN_ERR_ARGUMENT, "model: NULL argument");
    size_t n = (size_t)m->layers[0].out.n[2];
    for (size_t c = 0; c < n; c++)
        if (!isfinite(mean[c]) || !isfinite(std[c]) || std[c] <= 0)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "model: channel %zu has mean %g and deviation %g, expected finite "
                           "numbers and a deviation above 0",
                           c, (double)mean[c], (double)std[c]);
    float *means = cn_allocate(n, sizeof *means, "model: normalization", err);
    float *stds = cn_allocate(n, sizeof *stds, "model: normalization", err);
    if (!means || !stds) {
        cn_release(means);
        cn_release(stds);
        return CN_ERR_MEMORY;
    }
    memcpy(means, mean, n * sizeof *means);
    memcpy(stds, std, n * sizeof *stds);
    cn_release(m->mean);
    cn_release(m->std);
    m->mean = means;
    m->std = stds;
    m->images.low = m->images.high = 0; /* of other values, for all we know */
    return CN_OK;
}

/* Both 0 for none. */
static cn_status check_range(double low, double high, cn_error *err)
{
    if (low == 0 && high == 0) return CN_OK;
    if (isfinite(low) && isfinite(high) && low < high) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "model: values of %g to %g, expected finite numbers, the larger one last", low,
                   high);
}

cn_status cn_model_set_image_opts(cn_model *m, const cn_image_opts *opts, cn_error *err)
{
    if (!m || !opts) return cn_fail(err, CN_ERR_ARGUMENT, "model: NULL argument");
    if (opts->fit < CN_FIT_CROP || opts->fit > CN_FIT_STRETCH ||
        opts->background < CN_BACKGROUND_WHITE || opts->background > CN_BACKGROUND_BLACK)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: unknown fit %d or background %d",
                       (int)opts->fit, (int)opts->background);
    if (opts->resize < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: images resized to %d, expected 0 or more",
                       opts->resize);
    cn_status status = check_range(opts->low, opts->high, err);
    if (status == CN_OK) status = check_range(opts->float_low, opts->float_high, err);
    if (status == CN_OK) m->images = *opts;
    return status;
}

cn_image_opts cn_model_image_opts(const cn_model *m)
{
    return m ? m->images : (cn_image_opts){.low = 0};
}

/* With v = low + t (high - low) in both ranges, (v' - mean) / std, v' in the model's, is
 * (v - mean') / std', where k = (high' - low') / (high - low):
 *
 *     mean' = low + (mean - low') / k     std' = std / k
 */
void cn_model_normalization(const cn_model *m, double low, double high, float *mean, float *std)
{
    bool known = m->images.low != m->images.high;
    double k = known ? (m->images.high - m->images.low) / (high - low) : 1;
    bool same = !known || (low == m->images.low && high == m->images.high);
    for (int c = 0; c < m->layers[0].out.n[2]; c++) {
        float mine = m->mean ? m->mean[c] : 0, spread = m->std ? m->std[c] : 1;
        mean[c] = same ? mine : (float)(low + ((double)mine - m->images.low) / k);
        std[c] = same ? spread : (float)((double)spread / k);
    }
}

const int *cn_model_input_shape(const cn_model *m)
{
    return m ? m->layers[0].out.n : NULL;
}

int cn_model_columns(const cn_model *m)
{
    const cn_shape *out = &m->layers[m->output].out;
    return out->n[out->rank - 1];
}

int cn_model_answers(const cn_model *m)
{
    int columns = cn_model_columns(m);
    return columns == 1 && !cn_task_has_targets(m->task) ? 2 : columns;
}

int cn_model_output_size(const cn_model *m)
{
    return m && m->finished ? (int)cn_shape_count(&m->layers[m->output].out) : 0;
}

const int *cn_model_output_shape(const cn_model *m, int *rank)
{
    if (!m || !rank || !m->finished) return NULL;
    const cn_shape *out = &m->layers[m->output].out;
    *rank = out->rank;
    return out->n;
}

int cn_model_class_count(const cn_model *m)
{
    return m ? m->class_count : 0;
}

const float *cn_model_mean(const cn_model *m)
{
    return m ? m->mean : NULL;
}

const float *cn_model_std(const cn_model *m)
{
    return m ? m->std : NULL;
}

void cn_model_weights_changed(cn_model *m)
{
    if (m) m->version++;
}

bool cn_model_parameter(const cn_model *m, int i, cn_parameter *out)
{
    if (!m || !out || i < 0 || i >= m->parameter_count) return false;
    *out = m->parameters[i];
    return true;
}

size_t cn_model_parameter_elements(const cn_model *m)
{
    return m ? m->parameter_elements : 0;
}

size_t cn_model_buffer_elements(const cn_model *m)
{
    return m ? m->buffer_elements : 0;
}

int cn_model_layer_option(const cn_model *m, int i, const char *name, double value[4])
{
    if (!m || !name || !value || i < 0 || i >= m->layer_count) return 0;
    const cn_option *o = cn_option_find(m->layers[i].type, name);
    return o ? cn_option_get(o, m->layers[i].options, value) : 0;
}

bool cn_model_layer(const cn_model *m, int i, cn_layer_info *out)
{
    if (!m || !out || i < 0 || i >= m->layer_count) return false;
    const cn_layer *layer = &m->layers[i];
    *out = (cn_layer_info){
        .name = layer->name,
        .type = layer->type->name,
        .options = layer->text ? layer->text : "",
        .input_count = layer->input_count,
        .inputs = layer->inputs,
        .rank = layer->out.rank,
        .multiply_adds = layer->type->multiply_adds ? layer->type->multiply_adds(layer) : 0,
    };
    memcpy(out->shape, layer->out.n, sizeof out->shape);
    for (int j = 0; j < layer->parameter_count; j++) {
        size_t count = cn_shape_count(&layer->parameters[j].shape);
        *(layer->parameters[j].buffer ? &out->buffers : &out->parameters) += count;
    }
    return true;
}

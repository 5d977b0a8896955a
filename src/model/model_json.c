/*
 * model_json.c - a model's graph as JSON, as a model file carries it.
 *
 *     {"input": [28, 28, 1],
 *      "layers": [{"type": "conv2d", "name": "conv2d_1", "inputs": ["input"],
 *                  "filters": 6, "kernel": [5, 5], "pad": "same"}, ...],
 *      "output": "softmax_1",
 *      "inputs": [{"name": "image", "shape": [28, 28, 1]}, {"name": "table", "shape": [7]}],
 *      "outputs": [{"name": "class", "shape": [10]}],  of several inputs or outputs, both: ports.c
 *      "classes": ["0", "1"],                          where set
 *      "loss": "mean_squared_error",                   where it was trained with another than usual
 *      "normalization": {"mean": [0.13], "std": [0.31]},     where set
 *      "task": "regression",                           or "multi-label"
 *      "targets": {"mean": [41.2], "std": [12.5]},     numbers: what they were standardized with
 *      "thresholds": [0.5, 0.31],                      labels: above which they are there, where set
 *      "images": {"fit": "stretch", "background": "black", "bits": 16, "range": [0, 255]}}
 *
 * Options at their defaults are left out. What is not known is refused by name: a newer file's
 * meaning is never guessed.
 */
#include "model/model.h"

#include <string.h>

/* ---- writing */

static json_t *layer_to_json(const cn_model *m, const cn_layer *layer)
{
    json_t *json =
        json_pack("{s:s, s:s, s:[]}", "type", layer->type->name, "name", layer->name, "inputs");
    json_t *inputs = json_object_get(json, "inputs");
    bool done = json != NULL;
    for (int i = 0; i < layer->input_count && done; i++)
        done = json_array_append_new(inputs, json_string(m->layers[layer->inputs[i]].name)) == 0;
    if (done && cn_options_to_json(layer->type, layer->options, json)) return json;
    json_decref(json);
    return NULL;
}

static json_t *floats_to_json(const float *values, int n)
{
    json_t *json = json_array();
    for (int i = 0; i < n; i++)
        if (json_array_append_new(json, json_real((double)values[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

/* The members of cn_image_opts that are not at their defaults. */
static bool write_images(const cn_model *m, json_t *json)
{
    const cn_image_opts *o = &m->images;
    json_t *images = json_object();
    bool done = images != NULL;
    if (done && o->fit == CN_FIT_STRETCH)
        done = json_object_set_new(images, "fit", json_string("stretch")) == 0;
    if (done && o->background == CN_BACKGROUND_BLACK)
        done = json_object_set_new(images, "background", json_string("black")) == 0;
    if (done && o->deep) done = json_object_set_new(images, "bits", json_integer(16)) == 0;
    if (done && o->resize)
        done = json_object_set_new(images, "resize", json_integer(o->resize)) == 0;
    if (done && o->low != o->high)
        done = json_object_set_new(images, "range", json_pack("[f, f]", o->low, o->high)) == 0;
    if (done && o->float_low != o->float_high)
        done = json_object_set_new(images, "float_range",
                                   json_pack("[f, f]", o->float_low, o->float_high)) == 0;
    if (done && json_object_size(images) > 0) done = json_object_set(json, "images", images) == 0;
    json_decref(images);
    return done;
}

/* The words of cn_loss_kind from 1 on. */
static const char *const losses[] = {
    "cross_entropy", "binary_cross_entropy", "mean_squared_error", "dice",
    "focal",         "mean_absolute_error"};
enum { LOSSES = sizeof losses / sizeof *losses };

static bool write_task(const cn_model *m, json_t *json)
{
    int n = cn_model_output_size(m);
    const char *word = m->task == CN_TASK_REGRESSION ? "regression" : "multi-label";
    if (!cn_task_has_targets(m->task)) return true;
    if (json_object_set_new(json, "task", json_string(word)) != 0) return false;
    if (m->thresholds &&
        json_object_set_new(json, "thresholds", floats_to_json(m->thresholds, n)) != 0)
        return false;
    if (!m->target_mean) return true;
    json_t *both = json_object();
    return json_object_set_new(json, "targets", both) == 0 &&
           json_object_set_new(both, "mean", floats_to_json(m->target_mean, n)) == 0 &&
           json_object_set_new(both, "std", floats_to_json(m->target_std, n)) == 0;
}

static json_t *ports_to_json(const cn_port *ports, int count)
{
    json_t *json = json_array();
    bool done = json != NULL;
    for (int i = 0; i < count && done; i++) {
        json_t *shape = json_array();
        for (int k = 0; k < ports[i].rank; k++)
            json_array_append_new(shape, json_integer(ports[i].shape[k]));
        done = json_array_size(shape) == (size_t)ports[i].rank;
        json_t *port = json_pack("{s:s, s:o}", "name", ports[i].name, "shape", shape);
        done = json_array_append_new(json, port) == 0 && done;
    }
    if (done) return json;
    json_decref(json);
    return NULL;
}

static bool write_ports(const cn_model *m, json_t *json)
{
    if (!m->ports) return true;
    return json_object_set_new(json, "inputs", ports_to_json(m->ports, m->input_ports)) == 0 &&
           json_object_set_new(json, "outputs",
                               ports_to_json(m->ports + m->input_ports, m->output_ports)) == 0;
}

static bool write_extras(const cn_model *m, json_t *json)
{
    if (!write_ports(m, json) || !write_task(m, json)) return false;
    if (m->loss && json_object_set_new(json, "loss", json_string(losses[m->loss - 1])) != 0)
        return false;
    if (m->class_count) {
        json_t *classes = json_array();
        if (json_object_set_new(json, "classes", classes) != 0) return false;
        for (int i = 0; i < m->class_count; i++)
            if (json_array_append_new(classes, json_string(m->class_names[i])) != 0) return false;
    }
    if (m->mean) {
        int n = m->layers[0].out.n[2];
        json_t *both = json_object();
        if (json_object_set_new(json, "normalization", both) != 0 ||
            json_object_set_new(both, "mean", floats_to_json(m->mean, n)) != 0 ||
            json_object_set_new(both, "std", floats_to_json(m->std, n)) != 0)
            return false;
    }
    return write_images(m, json);
}

json_t *cn_model_to_json(const cn_model *m, cn_error *err)
{
    const int *shape = m->layers[0].out.n;
    json_t *json = json_pack("{s:[iii], s:[], s:s}", "input", shape[0], shape[1], shape[2],
                             "layers", "output", m->layers[m->output].name);
    json_t *layers = json_object_get(json, "layers");
    bool done = json != NULL;
    for (int i = 1; i < m->layer_count && done; i++)
        done = json_array_append_new(layers, layer_to_json(m, &m->layers[i])) == 0;
    if (done && write_extras(m, json)) return json;
    json_decref(json);
    cn_fail(err, CN_ERR_MEMORY, "model: no memory for its graph as JSON");
    return NULL;
}

/* ---- reading */

static cn_status check_keys(const json_t *json, cn_error *err)
{
    static const char *const known[] = {"input",   "layers",  "output",  "inputs",
                                        "outputs", "classes", "loss",    "normalization",
                                        "images",  "task",    "targets", "thresholds"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found = found || strcmp(key, known[i]) == 0;
        if (!found)
            return cn_fail(err, CN_ERR_FORMAT, "model: unknown key \"%.60s\" in the graph", key);
    }
    return CN_OK;
}

static cn_status read_shape(const json_t *json, int shape[3], cn_error *err)
{
    for (size_t i = 0; i < 3; i++) {
        const json_t *n = json_array_get(json, i);
        if (json_array_size(json) != 3 || !json_is_integer(n) || json_integer_value(n) < 1 ||
            json_integer_value(n) > INT32_MAX)
            return cn_fail(err, CN_ERR_FORMAT,
                           "model: \"input\" is not a list of three positive integers");
        shape[i] = (int)json_integer_value(n);
    }
    return CN_OK;
}

static cn_node find_layer(const cn_model *m, const json_t *name)
{
    for (int i = 0; json_is_string(name) && i < m->layer_count; i++)
        if (strcmp(m->layers[i].name, json_string_value(name)) == 0) return i;
    return -1;
}

static cn_status read_layer(cn_model *m, const json_t *json, cn_error *err)
{
    const char *type_name = json_string_value(json_object_get(json, "type"));
    const char *name = json_string_value(json_object_get(json, "name"));
    const json_t *from = json_object_get(json, "inputs");
    int number = m->layer_count;
    if (!type_name || !name || !json_is_array(from))
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: layer %d lacks a \"type\", a \"name\" or \"inputs\"", number);
    const cn_layer_type *type = cn_layer_type_find(type_name);
    if (!type)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "model: layer %d, \"%.60s\", has the unknown type "
                       "\"%.60s\"",
                       number, name, type_name);
    cn_node inputs[CN_MAX_INPUTS];
    size_t count = json_array_size(from);
    if (count < 1 || count > CN_MAX_INPUTS)
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: layer \"%.60s\" has %zu inputs, expected 1 to %d", name, count,
                       CN_MAX_INPUTS);
    for (size_t i = 0; i < count; i++) {
        inputs[i] = find_layer(m, json_array_get(from, i));
        if (inputs[i] < 0)
            return cn_fail(err, CN_ERR_FORMAT,
                           "model: input %zu of layer \"%.60s\" is not an earlier layer's name", i,
                           name);
    }
    void *options = NULL;
    if (type->options) {
        options = cn_allocate(1, type->options_size, "model", err);
        if (!options) return CN_ERR_MEMORY;
    }
    cn_status status = cn_options_from_json(type, json, options, name, err);
    if (status == CN_OK && cn_model_add(m, type, options, name, inputs, (int)count) < 0)
        status = cn_fail(err, m->error.status, "%s", m->error.text);
    cn_release(options);
    return status;
}

/* One object of "inputs" or "outputs"; its name stays the JSON's. */
static cn_status read_port(const json_t *json, cn_port *port, cn_error *err)
{
    const json_t *shape = json_object_get(json, "shape");
    const size_t rank = json_array_size(shape);
    *port = (cn_port){.name = json_string_value(json_object_get(json, "name")), .rank = (int)rank};
    bool fits = port->name && (rank == 1 || rank == 3) && json_object_size(json) == 2;
    for (size_t k = 0; k < rank && fits; k++) {
        const json_t *n = json_array_get(shape, k);
        fits =
            json_is_integer(n) && json_integer_value(n) >= 1 && json_integer_value(n) <= INT32_MAX;
        port->shape[k] = (int)json_integer_value(n);
    }
    return fits ? CN_OK
                : cn_fail(err, CN_ERR_FORMAT,
                          "model: one of \"inputs\" or \"outputs\" is no \"name\" with a "
                          "\"shape\" of one or three positive integers");
}

static cn_status read_ports(cn_model *m, const json_t *json, cn_error *err)
{
    const json_t *inputs = json_object_get(json, "inputs"),
                 *outputs = json_object_get(json, "outputs");
    const size_t ins = json_array_size(inputs), outs = json_array_size(outputs);
    if (!inputs && !outputs) return CN_OK;
    if (ins < 1 || ins > CN_MOST_PORTS || outs < 1 || outs > CN_MOST_PORTS)
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: \"inputs\" and \"outputs\" are no two lists of 1 to %d objects",
                       CN_MOST_PORTS);
    cn_port *ports = cn_allocate(ins + outs, sizeof *ports, "model: ports", err);
    if (!ports) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    for (size_t i = 0; i < ins + outs && status == CN_OK; i++)
        status = read_port(json_array_get(i < ins ? inputs : outputs, i < ins ? i : i - ins),
                           &ports[i], err);
    if (status == CN_OK) status = cn_model_set_ports(m, (int)ins, (int)outs, ports, err);
    cn_release(ports);
    return status;
}

static cn_status read_classes(cn_model *m, const json_t *json, cn_error *err)
{
    if (!json) return CN_OK;
    size_t n = json_array_size(json);
    if (n < 1 || n > INT32_MAX)
        return cn_fail(err, CN_ERR_FORMAT, "model: \"classes\" is not a list of names");
    const char **names = cn_allocate(n, sizeof *names, "model: class names", err);
    if (!names) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    for (size_t i = 0; i < n && status == CN_OK; i++) {
        names[i] = json_string_value(json_array_get(json, i));
        if (!names[i]) status = cn_fail(err, CN_ERR_FORMAT, "model: class %zu is not a text", i);
    }
    if (status == CN_OK) status = cn_model_set_classes(m, (int)n, names, err);
    cn_release((void *)names);
    return status;
}

static cn_status read_loss(cn_model *m, const json_t *json, cn_error *err)
{
    if (!json) return CN_OK;
    for (int i = 0; i < LOSSES; i++)
        if (json_is_string(json) && strcmp(json_string_value(json), losses[i]) == 0) {
            m->loss = (cn_loss_kind)(i + 1);
            return CN_OK;
        }
    return cn_fail(err, CN_ERR_FORMAT, "model: \"loss\" is not %s, %s, %s, %s, %s or %s", losses[0],
                   losses[1], losses[2], losses[3], losses[4], losses[5]);
}

static cn_status read_normalization(cn_model *m, const json_t *json, cn_error *err)
{
    if (!json) return CN_OK;
    const json_t *mean = json_object_get(json, "mean"), *std = json_object_get(json, "std");
    size_t n = (size_t)m->layers[0].out.n[2];
    if (json_array_size(mean) != n || json_array_size(std) != n)
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: \"normalization\" has %zu means and %zu deviations, expected %zu",
                       json_array_size(mean), json_array_size(std), n);
    float *values = cn_allocate(2 * n, sizeof *values, "model: normalization", err);
    if (!values) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    for (size_t i = 0; i < 2 * n && status == CN_OK; i++) {
        const json_t *value = json_array_get(i < n ? mean : std, i % n);
        if (!json_is_number(value))
            status = cn_fail(err, CN_ERR_FORMAT, "model: \"normalization\" holds no number at %zu",
                             i % n);
        values[i] = (float)json_number_value(value);
    }
    if (status == CN_OK) status = cn_model_set_normalization(m, values, values + n, err);
    cn_release(values);
    return status;
}

/* n numbers into `values`, of the key `what`. */
static cn_status read_floats(const json_t *json, size_t n, const char *what, float *values,
                             cn_error *err)
{
    if (json_array_size(json) != n)
        return cn_fail(err, CN_ERR_FORMAT, "model: \"%s\" has %zu numbers, expected %zu", what,
                       json_array_size(json), n);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(json, i);
        if (!json_is_number(value))
            return cn_fail(err, CN_ERR_FORMAT, "model: \"%s\" holds no number at %zu", what, i);
        values[i] = (float)json_number_value(value);
    }
    return CN_OK;
}

static cn_status read_task(cn_model *m, const json_t *json, cn_error *err)
{
    const json_t *word = json_object_get(json, "task"), *cuts = json_object_get(json, "thresholds");
    const json_t *targets = json_object_get(json, "targets");
    const char *task = json_string_value(word);
    size_t n = (size_t)cn_model_output_size(m);
    if (!word && !cuts && !targets) return CN_OK;
    if (task && strcmp(task, "regression") == 0)
        m->task = CN_TASK_REGRESSION;
    else if (task && strcmp(task, "multi-label") == 0)
        m->task = CN_TASK_MULTI_LABEL;
    else
        return cn_fail(err, CN_ERR_FORMAT, "model: \"task\" is not regression or multi-label");
    if (!cuts && !targets) return CN_OK;
    float *values = cn_allocate(2 * n, sizeof *values, "model: targets", err);
    cn_status status = values ? CN_OK : CN_ERR_MEMORY;
    if (status == CN_OK && cuts) status = read_floats(cuts, n, "thresholds", values, err);
    if (status == CN_OK && cuts) status = cn_model_set_thresholds(m, values, err);
    if (status == CN_OK && targets)
        status = read_floats(json_object_get(targets, "mean"), n, "mean", values, err);
    if (status == CN_OK && targets)
        status = read_floats(json_object_get(targets, "std"), n, "std", values + n, err);
    if (status == CN_OK && targets) status = cn_model_set_targets(m, values, values + n, err);
    cn_release(values);
    return status;
}

/* 0 for a key that is not there, 1 for the text expected there, -1 for anything else. */
static int read_word(const json_t *json, const char *key, const char *word)
{
    const json_t *value = json_object_get(json, key);
    if (!value) return 0;
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0 ? 1 : -1;
}

/* The two numbers of a range; false where they are anything else. */
static bool read_range(const json_t *json, double *low, double *high)
{
    const json_t *first = json_array_get(json, 0), *last = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !json_is_number(first) || !json_is_number(last)) return false;
    *low = json_number_value(first);
    *high = json_number_value(last);
    return true;
}

static cn_status read_images(cn_model *m, const json_t *json, cn_error *err)
{
    cn_image_opts opts = {.low = 0};
    if (!json) return CN_OK;
    const json_t *range = json_object_get(json, "range"), *bits = json_object_get(json, "bits");
    const json_t *floats = json_object_get(json, "float_range");
    int fit = read_word(json, "fit", "stretch"), over = read_word(json, "background", "black");
    const json_t *resize = json_object_get(json, "resize");
    int known = (fit != 0) + (over != 0) + (range != NULL) + (bits != NULL) + (resize != NULL) +
                (floats != NULL);
    bool ranged = !range || read_range(range, &opts.low, &opts.high);
    ranged = ranged && (!floats || read_range(floats, &opts.float_low, &opts.float_high));
    bool deep = json_is_integer(bits) && json_integer_value(bits) == 16;
    json_int_t side = json_integer_value(resize);
    bool resized = side >= 1 && side <= INT32_MAX;
    if (!json_is_object(json) || json_object_size(json) != (size_t)known || fit < 0 || over < 0 ||
        !ranged || (bits && !deep) || (resize && !resized))
        return cn_fail(err, CN_ERR_FORMAT,
                       "model: \"images\" holds more than \"fit\": \"stretch\", \"background\": "
                       "\"black\", \"bits\": 16, \"resize\": 1 or more and a \"range\" and a "
                       "\"float_range\" of two numbers");
    opts.fit = fit ? CN_FIT_STRETCH : CN_FIT_CROP;
    opts.background = over ? CN_BACKGROUND_BLACK : CN_BACKGROUND_WHITE;
    opts.deep = deep;
    opts.resize = resize ? (int)side : 0;
    return cn_model_set_image_opts(m, &opts, err);
}

cn_status cn_model_read_metadata(cn_model *m, const json_t *json, cn_error *err)
{
    cn_status status = read_classes(m, json_object_get(json, "classes"), err);
    if (status == CN_OK) status = read_loss(m, json_object_get(json, "loss"), err);
    if (status == CN_OK)
        status = read_normalization(m, json_object_get(json, "normalization"), err);
    if (status == CN_OK) status = read_images(m, json_object_get(json, "images"), err);
    if (status == CN_OK) status = read_task(m, json, err);
    return status;
}

cn_status cn_model_from_json(cn_model **model, const json_t *json, bool shape_only, size_t most,
                             cn_error *err)
{
    int shape[3];
    cn_model *m = NULL;
    if (!json_is_object(json) || !json_is_array(json_object_get(json, "layers")))
        return cn_fail(err, CN_ERR_FORMAT, "model: the graph is not an object with \"layers\"");
    cn_status status = check_keys(json, err);
    if (status == CN_OK) status = read_shape(json_object_get(json, "input"), shape, err);
    if (status == CN_OK) status = cn_model_create(&m, shape, err);
    if (status != CN_OK) return status;
    m->shape_only = shape_only;

    const json_t *layers = json_object_get(json, "layers");
    for (size_t i = 0; i < json_array_size(layers) && status == CN_OK; i++)
        status = read_layer(m, json_array_get(layers, i), err);
    if (status != CN_OK) goto done;
    cn_node output = find_layer(m, json_object_get(json, "output"));
    if (output < 0) {
        status = cn_fail(err, CN_ERR_FORMAT, "model: \"output\" is not the name of a layer");
        goto done;
    }
    status = cn_model_finish_zero(m, output, most, err);
    if (status == CN_OK) status = read_ports(m, json, err);
    if (status == CN_OK) status = cn_model_read_metadata(m, json, err);
    if (status != CN_OK) goto done;
    *model = m;
    m = NULL;
done:
    cn_model_free(m);
    return status;
}

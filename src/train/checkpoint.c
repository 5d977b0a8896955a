/*
 * checkpoint.c - a checkpoint is a model file with a training's state beside the model.
 *
 *   tensors                      the parameters, by their names: whatever takes a model file takes
 *                                a checkpoint, too
 *   "training:ITEM:PARAMETER"    a block of the state, such as a moment, parameter by parameter
 *   "training:ITEM"              an array of the state, F32 (n)
 *   __metadata__["convnet"]      the graph (src/formats/model_file.c)
 *   __metadata__["convnet_training"]   JSON as text:
 *
 *     {"format": 1, "version": "0.1.0", "isa": "avx2", "note": "...",
 *      "state": {"epoch": 3, "updates": "140", "loss_sum": 12.5, ...},
 *      "terms": {"batch": 64, "seed": "1", ...}}
 *
 * Unsigned 64-bit numbers, and doubles that are not finite, are texts: JSON has no such numbers.
 * Which items there are is not known here: the state's list says (src/model/state.h).
 */
#include "train/checkpoint.h"

#include "base/json.h"
#include "formats/model_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, VALUE_TEXT = 48, TENSOR_NAME = CN_NAME_SIZE + 80 };

static const char *tail(const char *path)
{
    enum { TAIL = 80 };
    size_t length = strlen(path);
    return length > TAIL ? path + length - TAIL : path;
}

static bool is_tensor(const cn_state_item *item)
{
    return item->kind == CN_STATE_FLOATS || item->kind == CN_STATE_TRAINED ||
           item->kind == CN_STATE_BLOCK;
}

/* ---- an item's tensors */

/* The item's tensor at *at or behind it, as a view, and its name in the file; *at moves behind it.
 * An array is one tensor, a block one a parameter. False where there are no more. */
static bool next_tensor(const cn_state_item *item, const cn_model *model, int *at, cn_tensor *view,
                        char name[TENSOR_NAME])
{
    if (item->kind == CN_STATE_FLOATS) {
        if ((*at)++ > 0 || item->count == 0) return false;
        snprintf(name, TENSOR_NAME, CN_TRAINING_PREFIX "%s", item->name);
        *view = cn_tensor_view(CN_DTYPE_F32, 1, (int[]){(int)item->count}, item->value);
        return true;
    }
    while (is_tensor(item) && *at < model->parameter_count) {
        const cn_parameter *p = &model->parameters[(*at)++];
        if (p->buffer && item->kind == CN_STATE_TRAINED) continue;
        snprintf(name, TENSOR_NAME, CN_TRAINING_PREFIX "%s:%s", item->name, p->name);
        *view = p->value;
        view->dtype = item->dtype;
        view->data = (char *)item->value + (size_t)((const float *)p->value.data - model->block) *
                                               cn_dtype_size(item->dtype);
        return true;
    }
    return false;
}

static size_t count_tensors(const cn_state *state, const cn_model *model)
{
    char name[TENSOR_NAME];
    cn_tensor view;
    size_t count = 0;
    for (int i = 0; i < state->count; i++)
        for (int at = 0; next_tensor(&state->items[i], model, &at, &view, name);) count++;
    return count;
}

/* ---- an item's value as JSON */

/* NULL: out of memory. */
static json_t *number_to_json(double value)
{
    if (isfinite(value)) return json_real(value);
    return json_string(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static json_t *value_to_json(const cn_state_item *item)
{
    char text[VALUE_TEXT];
    switch (item->kind) {
    case CN_STATE_INT:
        return item->words ? json_string(item->words[*(const int *)item->value])
                           : json_integer(*(const int *)item->value);
    case CN_STATE_NUMBER: return number_to_json(*(const double *)item->value);
    case CN_STATE_FLAG: return json_boolean(*(const bool *)item->value);
    case CN_STATE_TEXT: {
        const char *value = *(const char *const *)item->value;
        return json_string(value ? value : "");
    }
    case CN_STATE_COUNT:
    case CN_STATE_DIGEST:
        snprintf(text, sizeof text, "%" PRIu64, *(const uint64_t *)item->value);
        return json_string(text);
    case CN_STATE_FLOATS:
    case CN_STATE_TRAINED:
    case CN_STATE_BLOCK: break;
    }
    return NULL;
}

static bool read_count(const char *text, uint64_t *value)
{
    char *end;
    if (!text || *text < '0' || *text > '9') return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool read_number(const json_t *json, double *value)
{
    const char *text = json_string_value(json);
    if (!text) {
        *value = json_real_value(json);
        return json_is_real(json);
    }
    *value = strcmp(text, "nan") == 0 ? NAN : strcmp(text, "inf") == 0 ? INFINITY : -INFINITY;
    return !isinf(*value) || *value > 0 || strcmp(text, "-inf") == 0;
}

/* Sets the item if `set`; false where the JSON is no value of its kind. */
static bool value_from_json(const cn_state_item *item, const json_t *json, bool set)
{
    uint64_t count = 0;
    double number = 0;
    json_int_t whole = json_integer_value(json);
    switch (item->kind) {
    case CN_STATE_INT:
        if (!json_is_integer(json) || whole < item->least || whole > item->most) return false;
        if (set) *(int *)item->value = (int)whole;
        return true;
    case CN_STATE_COUNT:
        if (!read_count(json_string_value(json), &count)) return false;
        if (set) *(uint64_t *)item->value = count;
        return true;
    case CN_STATE_NUMBER:
        if (!read_number(json, &number)) return false;
        if (set) *(double *)item->value = number;
        return true;
    case CN_STATE_FLAG:
        if (!json_is_boolean(json)) return false;
        if (set) *(bool *)item->value = json_is_true(json);
        return true;
    case CN_STATE_DIGEST:
    case CN_STATE_TEXT:
    case CN_STATE_FLOATS:
    case CN_STATE_TRAINED:
    case CN_STATE_BLOCK: break;
    }
    return false;
}

/* A value for an error: "0.001", "adam". */
static const char *value_text(const json_t *json, char text[VALUE_TEXT])
{
    if (json_is_integer(json))
        snprintf(text, VALUE_TEXT, "%lld", (long long)json_integer_value(json));
    else if (json_is_real(json))
        cn_format(text, VALUE_TEXT, "%.9g", json_real_value(json));
    else if (json_is_string(json))
        snprintf(text, VALUE_TEXT, "\"%.40s\"", json_string_value(json));
    else
        snprintf(text, VALUE_TEXT, "%s", json_is_true(json) ? "yes" : json ? "no" : "nothing");
    return text;
}

/* ---- saving */

/* The training's JSON; NULL: out of memory. */
static json_t *describe(const cn_state *state, const char *note)
{
    json_t *values = json_object(), *terms = json_object();
    json_t *json =
        json_pack("{s:i, s:s, s:s, s:s, s:o, s:o}", "format", FORMAT, "version", cn_version(),
                  "isa", cn_isa(), "note", note ? note : "", "state", values, "terms", terms);
    if (!json) return NULL; /* json_pack gives its arguments back */
    for (int i = 0; i < state->count; i++) {
        const cn_state_item *item = &state->items[i];
        if (is_tensor(item)) continue;
        if (json_object_set_new(item->term ? terms : values, item->name, value_to_json(item)) !=
            0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* The state's tensors, whose names are in *names. */
static cn_status list_tensors(const cn_model *model, const cn_state *state, const char *path,
                              cn_safetensors *more, char (**names)[TENSOR_NAME], cn_error *err)
{
    cn_tensor view;
    size_t count = count_tensors(state, model) + 1;
    more->tensors = cn_allocate(count, sizeof *more->tensors, path, err);
    if (more->tensors) *names = cn_allocate(count, sizeof **names, path, err);
    if (!*names) return CN_ERR_MEMORY;
    for (int i = 0; i < state->count; i++) {
        char *name = (*names)[more->tensor_count];
        for (int at = 0; next_tensor(&state->items[i], model, &at, &view, name);
             name = (*names)[more->tensor_count])
            more->tensors[more->tensor_count++] = (cn_named_tensor){name, view};
    }
    return CN_OK;
}

static cn_status check_list(const cn_state *state, const char *path, cn_error *err)
{
    if (state->count <= CN_STATE_MOST) return CN_OK;
    return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: a state of %d items, expected at most %d",
                   tail(path), state->count, CN_STATE_MOST);
}

cn_status cn_checkpoint_save(const cn_model *model, const cn_state *state, const char *note,
                             const char *path, cn_error *err)
{
    char(*names)[TENSOR_NAME] = NULL, *text = NULL;
    cn_text_pair metadata = {.key = CN_TRAINING_KEY};
    cn_safetensors more = {.metadata = &metadata, .metadata_count = 1};
    cn_status status = check_list(state, path, err);
    if (status != CN_OK) return status;
    if (note && !cn_is_utf8(note))
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: the note is not UTF-8", tail(path));
    json_t *json = describe(state, note);
    if (json)
        text = cn_json_text(json, tail(path), err);
    else
        cn_fail(err, CN_ERR_MEMORY, "%s: no memory for the training's state", tail(path));
    status = text ? list_tensors(model, state, path, &more, &names, err) : CN_ERR_MEMORY;
    metadata.value = text;
    if (status == CN_OK) status = cn_model_file_save(model, &more, path, err);
    json_decref(json);
    cn_release(text);
    cn_release(names);
    cn_release(more.tensors);
    return status;
}

/* ---- loading */

/* A file that has been read, and what it says of the training. */
typedef struct checkpoint {
    const char *path;
    cn_safetensors file;
    json_t *json;
    cn_model *model;
} checkpoint;

static cn_status read_training(checkpoint *c, cn_error *err)
{
    const char *text = cn_safetensors_metadata(&c->file, CN_TRAINING_KEY);
    if (!text)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%s: no checkpoint: expected __metadata__[\"" CN_TRAINING_KEY
                       "\"], found none",
                       tail(c->path));
    cn_status status =
        cn_json_read(&c->json, text, strlen(text), tail(c->path), "training", 0, err);
    if (status != CN_OK) return status;
    const json_t *format = json_object_get(c->json, "format");
    if (!json_is_integer(format) || json_integer_value(format) != FORMAT)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%s: checkpoint format %lld, expected %d",
                       tail(c->path), (long long)json_integer_value(format), FORMAT);
    return CN_OK;
}

static cn_status open_checkpoint(checkpoint *c, const char *path, cn_error *err)
{
    *c = (checkpoint){.path = path};
    cn_status status = cn_safetensors_load(&c->file, path, err);
    return status == CN_OK ? read_training(c, err) : status;
}

static void close_checkpoint(checkpoint *c)
{
    cn_safetensors_free(&c->file);
    json_decref(c->json);
    cn_model_free(c->model);
}

/* The networks are the same, layer by layer, and so is what they know of the images. */
static cn_status check_model(const checkpoint *c, const cn_model *model, cn_error *err)
{
    const cn_model *was = c->model;
    for (int i = 0; i < was->layer_count && i < model->layer_count; i++) {
        const cn_layer *a = &was->layers[i], *b = &model->layers[i];
        if (a->type != b->type || strcmp(a->name, b->name) != 0 ||
            (a->text && b->text && strcmp(a->text, b->text) != 0))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: another network: layer %d was %.50s (%.30s), found %.50s (%.30s)",
                           tail(c->path), i, a->name, a->text ? a->text : "", b->name,
                           b->text ? b->text : "");
    }
    if (was->layer_count != model->layer_count)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: another network: it had %d layers, found %d",
                       tail(c->path), was->layer_count, model->layer_count);
    json_t *before = cn_model_to_json(was, err), *now = cn_model_to_json(model, err);
    cn_status status = CN_OK;
    json_object_del(before, "loss"); /* a term */
    json_object_del(now, "loss");
    if (!before || !now)
        status = CN_ERR_MEMORY;
    else if (!json_equal(before, now))
        status = cn_fail(err, CN_ERR_ARGUMENT,
                         "%s: the network's input, connections, classes or normalization have "
                         "changed since the training began",
                         tail(c->path));
    json_decref(before);
    json_decref(now);
    return status;
}

static cn_status read_tensors(const checkpoint *c, const cn_model *model, const cn_state_item *item,
                              bool set, cn_error *err)
{
    char name[TENSOR_NAME];
    cn_tensor to;
    for (int at = 0; next_tensor(item, model, &at, &to, name);) {
        const cn_named_tensor *from = cn_safetensors_find(&c->file, name);
        size_t bytes = cn_tensor_count(&to) * cn_dtype_size(to.dtype);
        if (!from || from->value.dtype != to.dtype || from->value.rank != to.rank ||
            memcmp(from->value.shape, to.shape, (size_t)to.rank * sizeof *to.shape) != 0)
            return cn_fail(err, item->term ? CN_ERR_ARGUMENT : CN_ERR_FORMAT,
                           "%s: tensor %.80s: %s", tail(c->path), name,
                           from ? "of another shape" : "expected, found none");
        if (item->term && memcmp(to.data, from->value.data, bytes) != 0)
            return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s: not what the training began with",
                           tail(c->path), item->name);
        if (set && !item->term) memcpy(to.data, from->value.data, bytes);
    }
    return CN_OK;
}

static cn_status check_term(const checkpoint *c, const cn_state_item *item, cn_error *err)
{
    char before[VALUE_TEXT], found[VALUE_TEXT];
    const json_t *was = json_object_get(json_object_get(c->json, "terms"), item->name);
    json_t *now = value_to_json(item);
    if (!now) return cn_fail(err, CN_ERR_MEMORY, "%s: no memory to compare", tail(c->path));
    cn_status status = CN_OK;
    bool grown = item->may_grow && json_is_integer(was) &&
                 json_integer_value(was) <= json_integer_value(now);
    if (grown) {
        json_decref(now);
        return CN_OK;
    }
    if (!json_equal(was, now) && item->kind == CN_STATE_DIGEST)
        status = cn_fail(err, CN_ERR_ARGUMENT, "%s: %s: not those that the training began with",
                         tail(c->path), item->name);
    else if (!json_equal(was, now))
        status = cn_fail(err, CN_ERR_ARGUMENT, "%s: %s: the training began with %s, found %s%s",
                         tail(c->path), item->name, value_text(was, before), value_text(now, found),
                         item->may_grow ? ", expected as many or more" : "");
    json_decref(now);
    return status;
}

/* What is done with the items: first of all the terms are compared, whose differences tell more. */
typedef enum pass { CHECK_TERMS, CHECK_STATE, TAKE_STATE } pass;

static cn_status read_items(const checkpoint *c, const cn_model *model, const cn_state *state,
                            pass what, cn_error *err)
{
    const json_t *values = json_object_get(c->json, "state");
    for (int i = 0; i < state->count; i++) {
        const cn_state_item *item = &state->items[i];
        cn_status status = CN_OK;
        if (item->term != (what == CHECK_TERMS)) continue;
        if (is_tensor(item))
            status = read_tensors(c, model, item, what == TAKE_STATE, err);
        else if (item->term)
            status = check_term(c, item, err);
        else if (!value_from_json(item, json_object_get(values, item->name), what == TAKE_STATE))
            status = cn_fail(err, CN_ERR_FORMAT, "%s: state \"%s\": missing, or no such value",
                             tail(c->path), item->name);
        if (status != CN_OK) return status;
    }
    return CN_OK;
}

/* Nothing in the file is left unread: it may be what another version's training depends on. */
static cn_status check_counts(const checkpoint *c, const cn_model *model, const cn_state *state,
                              cn_error *err)
{
    size_t terms = 0, values = 0;
    size_t tensors = (size_t)model->parameter_count + count_tensors(state, model);
    for (int i = 0; i < state->count; i++) {
        const cn_state_item *item = &state->items[i];
        terms += item->term && !is_tensor(item);
        values += !item->term && !is_tensor(item);
    }
    if (json_object_size(json_object_get(c->json, "terms")) == terms &&
        json_object_size(json_object_get(c->json, "state")) == values &&
        (size_t)c->file.tensor_count == tensors)
        return CN_OK;
    char version[VALUE_TEXT];
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%s: holds more than this training has; version %s wrote it, this is \"%s\"",
                   tail(c->path), value_text(json_object_get(c->json, "version"), version),
                   cn_version());
}

cn_status cn_checkpoint_load(cn_model *model, const cn_state *state, const char *path,
                             cn_error *err)
{
    checkpoint c = {.path = path};
    cn_status status = check_list(state, path, err);
    if (status == CN_OK) status = open_checkpoint(&c, path, err);
    if (status == CN_OK) status = cn_model_file_read(&c.model, &c.file, path, err);
    if (status == CN_OK) status = check_model(&c, model, err);
    if (status == CN_OK) status = read_items(&c, model, state, CHECK_TERMS, err);
    if (status == CN_OK) status = read_items(&c, model, state, CHECK_STATE, err);
    if (status == CN_OK) status = check_counts(&c, model, state, err);
    if (status == CN_OK) {
        memcpy(model->block, c.model->block, model->block_size * sizeof *model->block);
        model->version++;
        read_items(&c, model, state, TAKE_STATE, err);
    }
    close_checkpoint(&c);
    return status;
}

cn_status cn_checkpoint_note(const char *path, char *text, size_t size, cn_error *err)
{
    checkpoint c;
    if (!path || !text) return cn_fail(err, CN_ERR_ARGUMENT, "checkpoint_note: NULL argument");
    cn_status status = open_checkpoint(&c, path, err);
    if (status == CN_OK) {
        const char *note = json_string_value(json_object_get(c.json, "note"));
        size_t length = note ? strlen(note) : 0;
        if (length >= size)
            status =
                cn_fail(err, CN_ERR_ARGUMENT, "%s: a note of %zu bytes, but there is room for %zu",
                        tail(path), length, size);
        else
            memcpy(text, note ? note : "", length + 1);
    }
    close_checkpoint(&c);
    return status;
}

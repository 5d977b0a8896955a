/*
 * parse.c - a model from a text: "conv 6 5x5 same, relu, maxpool 2, dense 10".
 *
 *     model   = layer { "," layer }
 *     layer   = type { option }              a type by its name or short name
 *     option  = name                         "add" and "concat": a further input
 *             | numbers                      the bare options, in the table's order
 *             | name numbers                 "stride 2"
 *             | word                         of an enum: "same", "he_normal"
 *             | name                         of a switch: "no_bias"
 *             | "from" name                  reads that layer instead of the one before
 *             | "as" name                    is called so
 *     numbers = number { "x" number }        1 of an int; 1 or 2 of a pair; 1, 2 or 4 of pads
 *             | decimal                      of a float: "0.2", "1e-5"; not 0 where that, in the
 *                                            options struct, stands for another default
 *     number  = digits | "classes"           the number of classes that the caller gave
 *
 * So branches are written:
 *
 *     relu as a, conv 16 3x3 same, conv 16 1x1 from a, add conv2d_1, relu
 *
 * Which options a type has, and of which kind, its option table says. docs/models.md is the same
 * for readers.
 */
#include "model/model.h"
#include "model/zoo.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_SIZE = 64, LIST_SIZE = 200 };

typedef struct reader {
    cn_model *model;
    const char *at;       /* what has not been read yet */
    char word[WORD_SIZE]; /* the last word; "," is one, "" the end */
    int number;           /* of the word, from 1 */
    int classes;
    cn_error *err;
} reader;

/* One layer while it is read. */
typedef struct pending {
    const cn_layer_type *type;
    void *options;
    char name[WORD_SIZE]; /* "": the model chooses one */
    cn_node inputs[CN_MAX_INPUTS];
    int input_count;
    bool from;      /* the first input was named */
    unsigned given; /* a bit for each row of the type's options */
} pending;

/* ---- words */

static cn_status next_word(reader *r)
{
    static const char space[] = " \t\r\n";
    r->at += strspn(r->at, space);
    size_t length = *r->at == ',' ? 1 : strcspn(r->at, " \t\r\n,");
    if (length >= WORD_SIZE)
        return cn_fail(r->err, CN_ERR_ARGUMENT,
                       "model text, word %d: \"%.20s...\" is longer than %d characters",
                       r->number + 1, r->at, WORD_SIZE - 1);
    memcpy(r->word, r->at, length);
    r->word[length] = '\0';
    r->at += length;
    r->number++;
    return CN_OK;
}

static bool at_end_of_layer(const reader *r)
{
    return r->word[0] == '\0' || r->word[0] == ',';
}

static cn_status unexpected(reader *r, const char *expected)
{
    if (r->word[0] == '\0')
        return cn_fail(r->err, CN_ERR_ARGUMENT, "model text: expected %s, found the end", expected);
    return cn_fail(r->err, CN_ERR_ARGUMENT, "model text, word %d: expected %s, found \"%s\"",
                   r->number, expected, r->word);
}

/* Appends a word to a list for an error: "a, b, c". */
static void append(char list[LIST_SIZE], const char *word)
{
    size_t used = strlen(list);
    snprintf(list + used, LIST_SIZE - used, used ? ", %s" : "%s", word);
}

/* ---- options */

/* "5x3" into 5, 3: how many there are, at most 4; 0 for anything else. */
static int read_numbers(const reader *r, double value[4])
{
    if (strcmp(r->word, "classes") == 0) {
        value[0] = r->classes;
        return 1;
    }
    const char *at = r->word;
    for (int n = 0; n < 4;) {
        char *end;
        long number = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : LONG_MAX;
        if (number > INT_MAX) return 0;
        value[n++] = (double)number;
        if (*end == '\0') return n;
        if (*end != 'x') return 0;
        at = end + 1;
    }
    return 0;
}

static cn_status read_float(reader *r, const cn_option *o, void *options)
{
    char expected[WORD_SIZE + 64];
    double value;
    if (cn_number_read(r->word, &value) && cn_option_takes(o, 1, &value)) {
        cn_option_set(o, options, 1, &value);
        return CN_OK;
    }
    snprintf(expected, sizeof expected, "%s as a number%s", o->name,
             o->fallback != 0 ? " other than 0" : "");
    return unexpected(r, expected);
}

static cn_status read_value(reader *r, const cn_option *o, void *options)
{
    char expected[WORD_SIZE + 64];
    double value[4];
    if (o->kind == CN_OPTION_FLOAT) return read_float(r, o, options);
    int n = read_numbers(r, value);
    bool fits = o->kind == CN_OPTION_INT    ? n == 1
                : o->kind == CN_OPTION_PAIR ? n == 1 || n == 2
                                            : n == 1 || n == 2 || n == 4;
    if (n == 1 && strcmp(r->word, "classes") == 0 && r->classes < 1)
        return cn_fail(r->err, CN_ERR_ARGUMENT,
                       "model text, word %d: \"classes\" stands for the number of classes, which "
                       "is %d, expected at least 1",
                       r->number, r->classes);
    bool zero = fits && !cn_option_takes(o, n, value);
    if (!fits || zero) {
        snprintf(expected, sizeof expected, "%s as %s%s", o->name,
                 o->kind == CN_OPTION_INT    ? "a number"
                 : o->kind == CN_OPTION_PAIR ? "5 or 5x3"
                                             : "1, 1x2 or 1x2x1x2",
                 zero ? o->kind == CN_OPTION_INT ? " of 1 or more" : ", of 1 or more" : "");
        return unexpected(r, expected);
    }
    cn_option_set(o, options, n, value);
    return CN_OK;
}

/* The option whose word this is, "same", and which of its words; NULL for any other word. */
static const cn_option *find_enum(const reader *r, const cn_layer_type *type, int *which)
{
    for (const cn_option *o = type->options; o && o->name; o++)
        for (*which = 0; o->kind == CN_OPTION_ENUM && o->words[*which]; ++*which)
            if (strcmp(o->words[*which], r->word) == 0) return o;
    return NULL;
}

static cn_status given_twice(const reader *r, const char *what)
{
    return cn_fail(r->err, CN_ERR_ARGUMENT, "model text, word %d: \"%s\": %s was given before",
                   r->number, r->word, what);
}

/* Marks an option as given, once. */
static cn_status mark(const reader *r, pending *layer, const cn_option *o)
{
    unsigned bit = 1u << (o - layer->type->options);
    if (layer->given & bit) return given_twice(r, o->name);
    layer->given |= bit;
    return CN_OK;
}

static cn_status unknown_option(reader *r, const cn_layer_type *type)
{
    char list[LIST_SIZE] = "";
    for (const cn_option *o = type->options; o && o->name; o++) {
        if (o->kind == CN_OPTION_ENUM)
            for (int i = 0; o->words[i]; i++) append(list, o->words[i]);
        else if (!o->bare)
            append(list, o->name);
    }
    append(list, "from");
    append(list, "as");
    append(list, "a comma");
    return unexpected(r, list);
}

/* The word is the name of an earlier layer. */
static cn_status read_node(reader *r, cn_node *node)
{
    for (int i = 0; i < r->model->layer_count; i++)
        if (strcmp(r->model->layers[i].name, r->word) == 0) {
            *node = i;
            return CN_OK;
        }
    return unexpected(r, "the name of an earlier layer");
}

static cn_status read_further_input(reader *r, pending *layer)
{
    if (layer->input_count == layer->type->most_inputs) return unknown_option(r, layer->type);
    return read_node(r, &layer->inputs[layer->input_count++]);
}

/* The options up to the comma or the end. `bare` is the next bare option that has no value. */
static cn_status read_options(reader *r, pending *layer)
{
    const cn_layer_type *type = layer->type;
    const cn_option *bare = type->options;
    cn_status status;
    int which;
    while ((status = next_word(r)) == CN_OK && !at_end_of_layer(r)) {
        const cn_option *named = cn_option_find(type, r->word);
        const cn_option *chosen = find_enum(r, type, &which);
        while (bare && bare->name && !bare->bare) bare++;
        if (strcmp(r->word, "as") == 0) {
            if (layer->name[0]) return given_twice(r, "a name");
            status = next_word(r);
            if (status == CN_OK && at_end_of_layer(r)) status = unexpected(r, "a name");
            strcpy(layer->name, r->word);
        } else if (strcmp(r->word, "from") == 0) {
            if (layer->from) return given_twice(r, "an input");
            layer->from = true;
            status = next_word(r);
            if (status == CN_OK) status = read_node(r, &layer->inputs[0]);
        } else if (named && named->kind == CN_OPTION_BOOL) {
            status = mark(r, layer, named);
            cn_option_set(named, layer->options, 1, &(double){1});
        } else if (named && named->kind != CN_OPTION_ENUM) {
            status = mark(r, layer, named);
            if (status == CN_OK) status = next_word(r);
            if (status == CN_OK) status = read_value(r, named, layer->options);
        } else if (type->most_inputs) {
            status = read_further_input(r, layer);
        } else if (chosen) {
            status = mark(r, layer, chosen);
            cn_option_set(chosen, layer->options, 1, &(double){which});
        } else if (bare && bare->name) {
            status = mark(r, layer, bare);
            if (status == CN_OK) status = read_value(r, bare++, layer->options);
        } else {
            status = unknown_option(r, type);
        }
        if (status != CN_OK) return status;
    }
    return status;
}

/* ---- layers */

static void take_nearer(const char *word, const char *candidate, int *least, const char **nearest)
{
    int d = candidate ? cn_text_distance(word, candidate) : WORD_SIZE;
    if (d < *least) *least = d, *nearest = candidate;
}

static cn_status unknown_layer(reader *r)
{
    int least = 3;
    const char *nearest = NULL;
    for (int i = 0; cn_layer_type_at(i); i++) {
        take_nearer(r->word, cn_layer_type_at(i)->name, &least, &nearest);
        take_nearer(r->word, cn_layer_type_at(i)->word, &least, &nearest);
    }
    for (int i = 0; r->number == 1 && cn_zoo_at(i); i++)
        take_nearer(r->word, cn_zoo_at(i)->name, &least, &nearest);
    if (!nearest || at_end_of_layer(r))
        return unexpected(r, r->number == 1 ? "a layer such as conv, relu, maxpool or dense, or a "
                                              "network such as lenet5"
                                            : "a layer such as conv, relu, maxpool or dense");
    return cn_fail(r->err, CN_ERR_ARGUMENT,
                   "model text, word %d: \"%s\" is no layer%s, did you mean \"%s\"?", r->number,
                   r->word, r->number == 1 ? " or network" : "", nearest);
}

static cn_status allocate_options(pending *layer, cn_error *err)
{
    if (!layer->type->options) return CN_OK;
    layer->options = cn_allocate(1, layer->type->options_size, "model text", err);
    return layer->options ? CN_OK : CN_ERR_MEMORY;
}

static cn_status read_layer(reader *r, cn_node *x)
{
    cn_status status = next_word(r);
    if (status != CN_OK) return status;
    pending layer = {.type = cn_layer_type_find(r->word), .inputs = {*x}, .input_count = 1};
    if (!layer.type) return unknown_layer(r);
    status = allocate_options(&layer, r->err);
    if (status == CN_OK) status = read_options(r, &layer);
    if (status == CN_OK) {
        *x = cn_model_add(r->model, layer.type, layer.options, layer.name[0] ? layer.name : NULL,
                          layer.inputs, layer.input_count);
        if (*x < 0) status = cn_fail(r->err, r->model->error.status, "%s", r->model->error.text);
    }
    cn_release(layer.options);
    return status;
}

cn_node cn_model_add_layer(cn_model *m, const char *type, const cn_node *inputs, int count,
                           const char *options)
{
    if (!m || m->finished || m->error.status != CN_OK) return -1;
    cn_error *err = &m->error;
    if (!type || !inputs || count < 1 || count > CN_MAX_INPUTS) {
        cn_fail(err, CN_ERR_ARGUMENT, "model: layer %s with %d inputs, expected a type and 1 to %d",
                type ? type : "NULL", count, CN_MAX_INPUTS);
        return -1;
    }
    reader r = {.model = m, .at = options ? options : "", .err = err};
    pending layer = {.type = cn_layer_type_find(type), .input_count = count, .from = true};
    cn_node x = -1;
    memcpy(layer.inputs, inputs, (size_t)count * sizeof *inputs);
    if (!layer.type) {
        cn_fail(err, CN_ERR_ARGUMENT, "model: no layer is called \"%.40s\"", type);
        return -1;
    }
    if (allocate_options(&layer, err) == CN_OK && read_options(&r, &layer) == CN_OK) {
        if (r.word[0] != '\0')
            unexpected(&r, "one layer's options");
        else
            x = cn_model_add(m, layer.type, layer.options, layer.name[0] ? layer.name : NULL,
                             layer.inputs, layer.input_count);
    }
    cn_release(layer.options);
    return x;
}

static cn_status read_layers(cn_model *m, const char *text, int classes, cn_node *x, cn_error *err)
{
    reader r = {.model = m, .at = text, .classes = classes, .err = err};
    cn_status status;
    do status = read_layer(&r, x);
    while (status == CN_OK && r.word[0] == ',');
    return status;
}

static cn_status build_network(cn_model *m, cn_zoo_build *build, int classes, cn_node *x,
                               cn_error *err)
{
    if (classes < 1)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: %d classes, expected at least 1", classes);
    *x = build(m, *x, classes);
    return *x < 0 ? cn_fail(err, m->error.status, "%s", m->error.text) : CN_OK;
}

static cn_status parse(cn_model **model, const char *text, const int shape[3], int classes,
                       cn_task_kind task, bool shape_only, uint64_t seed, cn_error *err)
{
    if (!model || !text || !shape)
        return cn_fail(err, CN_ERR_ARGUMENT, "model text: NULL argument");
    cn_model *m;
    cn_status status = cn_model_create(&m, shape, err);
    if (status != CN_OK) return status;
    m->shape_only = shape_only;

    cn_zoo_build *build = NULL;
    cn_node x = cn_input(m);
    cn_zoo_find(text, &text, &build);
    status =
        build ? build_network(m, build, classes, &x, err) : read_layers(m, text, classes, &x, err);
    if (status != CN_OK) goto done;

    if (m->layers[x].type->loss == CN_LOSS_DEFAULT) x = cn_task_end(m, x, task);
    m->task = cn_task_has_targets(task) ? task : CN_TASK_CLASSIFICATION;
    status = cn_model_finish(m, x, seed, err);
    if (status != CN_OK) goto done;
    *model = m;
    m = NULL;
done:
    cn_model_free(m);
    return status;
}

cn_status cn_model_parse(cn_model **model, const char *text, const int shape[3], int classes,
                         uint64_t seed, cn_error *err)
{
    return parse(model, text, shape, classes, CN_TASK_CLASSIFICATION, false, seed, err);
}

cn_status cn_model_parse_task(cn_model **model, const char *text, const int shape[3], int classes,
                              cn_task_kind task, uint64_t seed, cn_error *err)
{
    if (task < CN_TASK_CLASSIFICATION || task > CN_TASK_REGRESSION)
        return cn_fail(err, CN_ERR_ARGUMENT, "model text: unknown task %d", (int)task);
    return parse(model, text, shape, classes, task, false, seed, err);
}

cn_status cn_model_parse_shapes(cn_model **model, const char *text, const int shape[3], int classes,
                                cn_error *err)
{
    return parse(model, text, shape, classes, CN_TASK_CLASSIFICATION, true, 0, err);
}

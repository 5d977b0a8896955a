/* summary.c - `convnet summary`: what a network is made of and what it takes to run it. */
#include "cli.h"

#include <string.h>

typedef struct options {
    cli_common common;
    int shape[3];
    int classes, batch;
} options;

static const cli_option summary_options[] = {
    {"shape", CLI_SHAPE, offsetof(options, shape), "HxWxC", NULL, 0, 0,
     "one picture's rows, columns and channels (default: what the network was made for, else "
     "28x28x1)"},
    {"classes", CLI_WHOLE, offsetof(options, classes), "N", NULL, 1, 1000000,
     "the classes that a named network tells apart (default: what it was made for)"},
    {"batch", CLI_WHOLE, offsetof(options, batch), "N", "64", 1, 1000000,
     "pictures at once, for the memory that training takes"},
    {.name = NULL},
};

/* A model seen as a whole. */
typedef struct totals {
    size_t parameters, multiply_adds;
    cn_memory run, train;
} totals;

static cn_status measure(cn_model *model, const options *o, totals *t, cn_error *err)
{
    cn_layer_info layer;
    t->parameters = cn_model_parameter_count(model);
    t->multiply_adds = 0;
    for (int i = 0; cn_model_layer(model, i, &layer); i++) t->multiply_adds += layer.multiply_adds;
    cn_session_opts run = {.batch = 1, .threads = o->common.threads};
    cn_session_opts train = {.batch = o->batch, .threads = o->common.threads, .training = true};
    cn_status status = cn_memory_plan(model, run, &t->run, err);
    return status == CN_OK ? cn_memory_plan(model, train, &t->train, err) : status;
}

static void print_memory(const char *what, const cn_memory *m)
{
    const size_t parts[] = {m->total,     m->activations, m->parameters,
                            m->gradients, m->optimizer,   m->workspace};
    char text[CLI_COUNT_TEXT];
    printf("%-20s", what);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        printf("  %11s", parts[i] ? cli_bytes_text(parts[i], text) : "-");
    putchar('\n');
}

static void print_table(const cn_model *model, const options *o, const totals *t)
{
    char parameters[CLI_COUNT_TEXT], adds[CLI_COUNT_TEXT], shape[CLI_COUNT_TEXT * 2];
    cn_layer_info layer;
    int name = 5, about = 5; /* the widths of the first columns */
    for (int i = 0; cn_model_layer(model, i, &layer); i++) {
        int length = (int)strlen(layer.name);
        int text = (int)(strlen(layer.type) + 1 + strlen(layer.options));
        if (length > name) name = length;
        if (text > about) about = text;
    }
    printf("%-*s  %-*s  %-14s  %12s  %13s\n", name, "layer", about, "what", "output", "parameters",
           "multiply-adds");
    for (int i = 0; cn_model_layer(model, i, &layer); i++)
        printf("%-*s  %s%s%-*s  %-14s  %12s  %13s\n", name, layer.name, layer.type,
               *layer.options ? " " : "",
               about - (int)strlen(layer.type) - (*layer.options ? 1 : 0), layer.options,
               cli_shape_text(layer.rank, layer.shape, shape),
               cli_count_text(layer.parameters, parameters),
               cli_count_text(layer.multiply_adds, adds));
    printf("%-*s  %-*s  %-14s  %12s  %13s\n\n", name, "total", about, "", "",
           cli_count_text(t->parameters, parameters), cli_count_text(t->multiply_adds, adds));
    snprintf(shape, sizeof shape, "to train, batch %d", o->batch);
    printf("%-20s  %11s  %11s  %11s  %11s  %11s  %11s\n", "memory", "total", "activations",
           "parameters", "gradients", "optimiser", "workspace");
    print_memory("to run, one picture", &t->run);
    print_memory(shape, &t->train);
}

static json_t *memory_json(const cn_memory *m)
{
    json_t *object = json_object();
    cli_put_whole(object, "parameters", m->parameters);
    cli_put_whole(object, "gradients", m->gradients);
    cli_put_whole(object, "optimizer", m->optimizer);
    cli_put_whole(object, "activations", m->activations);
    cli_put_whole(object, "workspace", m->workspace);
    cli_put_whole(object, "total", m->total);
    return object;
}

static void print_as_json(const cn_model *model, const options *o, const totals *t)
{
    json_t *object = json_object(), *layers = json_array();
    cn_layer_info layer;
    for (int i = 0; cn_model_layer(model, i, &layer); i++) {
        json_t *row = json_object(), *shape = json_array();
        for (int k = 0; k < layer.rank; k++)
            json_array_append_new(shape, json_integer(layer.shape[k]));
        cli_put_text(row, "name", layer.name);
        cli_put_text(row, "type", layer.type);
        cli_put_text(row, "options", layer.options);
        json_object_set_new(row, "shape", shape);
        cli_put_whole(row, "parameters", layer.parameters);
        cli_put_whole(row, "multiply_adds", layer.multiply_adds);
        json_array_append_new(layers, row);
    }
    cli_put_whole(object, "parameters", t->parameters);
    cli_put_whole(object, "multiply_adds", t->multiply_adds);
    json_object_set_new(object, "layers", layers);
    cli_put_whole(object, "batch", (size_t)o->batch);
    json_object_set_new(object, "memory_running", memory_json(&t->run));
    json_object_set_new(object, "memory_training", memory_json(&t->train));
    cli_print_json(object);
}

static int run(const void *given, int count, char *const *operands)
{
    options o = *(const options *)given;
    cn_model *model = NULL;
    cn_error err;
    totals t;
    int shape[3], classes;
    (void)count;

    cli_natural_shape(operands[0], shape, &classes);
    if (o.shape[0] == 0) memcpy(o.shape, shape, sizeof shape);
    if (o.classes == 0) o.classes = classes;
    if (cli_open_model(&model, operands[0], o.shape, o.classes, o.common.seed, &err) != CN_OK ||
        measure(model, &o, &t, &err) != CN_OK) {
        cn_model_free(model);
        return cli_error("summary", "%s", err.text);
    }
    if (o.common.json)
        print_as_json(model, &o, &t);
    else
        print_table(model, &o, &t);
    cn_model_free(model);
    return CLI_DONE;
}

const cli_command cli_summary = {
    .name = "summary",
    .summary = "lists a network's layers, parameters, work and memory",
    .operands = "NAME|LAYERS|FILE",
    .min_operands = 1,
    .max_operands = 1,
    .help = "Shows each layer with the shape of its output, its parameters and the multiply-"
            "adds of one picture, then the memory that predicting and training take. Nothing "
            "is trained.\n"
            "\n"
            "Examples\n"
            "  convnet summary lenet5\n"
            "  convnet summary \"conv 8 3x3 same, relu, maxpool 2, dense 10\" --shape 32x32x3\n"
            "  convnet summary signs --json\n",
    .options = summary_options,
    .size = sizeof(options),
    .run = run,
};

/* summary.c - `convnet summary`: what a network is made of and what it takes to run it. */
#include "cli.h"
#include "learning.h"

#include "formats/model_file.h"
#include "model/plan_text.h"
#include "model/session.h"
#include "train/train.h"

#include <limits.h>

#include <string.h>

typedef struct options {
    cli_common common;
    cli_shapes shape;
    int classes, batch, optimizer;
    bool plan, training;
    const char *backend;
} options;

static const cli_option summary_options[] = {
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0,
     "one image's rows, columns and channels (default: what the network was made for, else "
     "28x28x1); of a file what it leaves open, of several inputs each"},
    {"classes", CLI_WHOLE, offsetof(options, classes), "N", NULL, 1, 1000000,
     "the classes that a named network tells apart (default: what it was made for)"},
    {"batch-size", CLI_WHOLE, offsetof(options, batch), "N", NULL, 1, 1000000,
     "images at once, for the memory that training takes, and for the plan (default: 64, or 4 "
     "where "
     "pixels have classes)"},
    {"optimizer", CLI_CHOICE, offsetof(options, optimizer), CLI_OPTIMIZERS, "adam", 0, 0,
     "what trains it, for the memory that it takes; sgd with momentum"},
    {"plan", CLI_FLAG, offsetof(options, plan), NULL, NULL, 0, 0,
     "show how a session runs it instead: each step with the layers fused into it, how it is "
     "computed, and where its results lie"},
    {"training", CLI_FLAG, offsetof(options, training), NULL, NULL, 0, 0,
     "with --plan: a session that trains"},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", NULL, 0, 0,
     "with --plan: a session that this runs, cpu or reference (default: cpu)"},
    {.name = NULL},
};

enum { ABOUT_TEXT = 512 };

/* "cropped around the center, over white, values of 0 to 1" into text; returns text. */
static const char *images_text(const cn_model *model, char text[ABOUT_TEXT])
{
    cn_image_opts o = cn_model_image_opts(model);
    snprintf(text, ABOUT_TEXT, "%s, over %s, %svalues of %g to %g",
             o.fit == CN_FIT_CROP ? "cropped around the center" : "stretched",
             o.background == CN_BACKGROUND_WHITE ? "white" : "black",
             o.deep ? "more than 8 bits, " : "", o.low, o.high);
    size_t used = strlen(text);
    if (o.float_low < o.float_high)
        snprintf(text + used, ABOUT_TEXT - used, ", floats of files from %g to %g", o.float_low,
                 o.float_high);
    return text;
}

/* Has it learned from images, and remembers how they were made? */
static bool knows_images(const cn_model *model)
{
    cn_image_opts o = cn_model_image_opts(model);
    return o.low != o.high;
}

/* A model seen as a whole. */
typedef struct totals {
    size_t parameters, buffers, multiply_adds;
    cn_memory run, train;
} totals;

/* What a training is asked for, with all defaults. */
static cn_fit_opts fit_opts(const cn_model *model, const options *o)
{
    cn_fit_opts fit = {.batch = o->batch,
                       .threads = o->common.threads,
                       .backend = o->backend,
                       .optimizer.kind = (cn_optimizer_kind)o->optimizer};
    if (fit.optimizer.kind == CN_OPTIMIZER_SGD) fit.optimizer.momentum = 0.9;
    cn_fit_options_complete(&fit, INT_MAX, cn_model_task(model));
    return fit;
}

/* What cn_fit takes beside the data, a validation included. */
static cn_status measure_training(const cn_model *model, const options *o, cn_memory *memory,
                                  cn_error *err)
{
    const cn_fit_opts fit = fit_opts(model, o);
    return cn_fit_memory(model, &fit, memory, err);
}

static cn_status measure(cn_model *model, const options *o, totals *t, cn_error *err)
{
    cn_layer_info layer;
    t->parameters = cn_model_parameter_elements(model);
    t->buffers = cn_model_buffer_elements(model);
    t->multiply_adds = 0;
    for (int i = 0; cn_model_layer(model, i, &layer); i++) t->multiply_adds += layer.multiply_adds;
    cn_session_opts run = {.batch = 1, .threads = o->common.threads};
    cn_status status = cn_session_memory(model, &run, &t->run, err);
    return status == CN_OK ? measure_training(model, o, &t->train, err) : status;
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

/* "conv2d 6 5x5 same", with "(after relu_2)" where it does not read the layer above it. */
static const char *about_layer(const cn_model *model, int i, const cn_layer_info *layer,
                               char text[ABOUT_TEXT])
{
    cn_layer_info before;
    int used = snprintf(text, ABOUT_TEXT, "%s%s%s", layer->type, *layer->options ? " " : "",
                        layer->options);
    if (layer->input_count > 0 && layer->inputs[0] != i - 1 &&
        cn_model_layer(model, layer->inputs[0], &before) && used < ABOUT_TEXT)
        snprintf(text + used, (size_t)(ABOUT_TEXT - used), " (after %s)", before.name);
    return text;
}

static void print_row(const cn_model *model, int i, const int width[2], bool buffers)
{
    char about[ABOUT_TEXT], shape[CLI_COUNT_TEXT * 2], count[CLI_COUNT_TEXT];
    cn_layer_info layer;
    cn_model_layer(model, i, &layer);
    printf("%-*s  %-*s  %-14s", width[0], layer.name, width[1],
           about_layer(model, i, &layer, about), cli_shape_text(layer.rank, layer.shape, shape));
    printf("  %12s", cli_count_text(layer.parameters, count));
    if (buffers) printf("  %10s", cli_count_text(layer.buffers, count));
    printf("  %14s\n", cli_count_text(layer.multiply_adds, count));
}

/* "inputs   image 32 x 32 x 3, table 7": of a model with several. */
static void print_ports(const cn_model *model)
{
    char shape[CLI_COUNT_TEXT * 2];
    cn_port port;
    if (cn_model_input_count(model) < 2 && cn_model_output_count(model) < 2) return;
    for (int i = 0; cn_model_input(model, i, &port); i++)
        printf("%s%s %s", i ? ", " : "\ninputs   ", port.name,
               cli_shape_text(port.rank, port.shape, shape));
    for (int i = 0; cn_model_output(model, i, &port); i++)
        printf("%s%s %s", i ? ", " : "\noutputs  ", port.name,
               cli_shape_text(port.rank, port.shape, shape));
    putchar('\n');
}

static void print_table(const cn_model *model, const options *o, const totals *t)
{
    char text[ABOUT_TEXT], count[CLI_COUNT_TEXT];
    cn_layer_info layer;
    int width[2] = {5, 5};         /* of the first columns */
    bool buffers = t->buffers > 0; /* a column that few networks need */
    for (int i = 0; cn_model_layer(model, i, &layer); i++) {
        int name = (int)strlen(layer.name),
            about = (int)strlen(about_layer(model, i, &layer, text));
        if (name > width[0]) width[0] = name;
        if (about > width[1]) width[1] = about;
    }
    printf("%-*s  %-*s  %-14s  %12s", width[0], "layer", width[1], "what", "output", "parameters");
    printf("%s  %14s\n", buffers ? "  buffers" : "", "multiply-adds");
    for (int i = 0; cn_model_layer(model, i, &layer); i++) print_row(model, i, width, buffers);
    printf("%-*s  %-*s  %-14s  %12s", width[0], "total", width[1], "", "",
           cli_count_text(t->parameters, count));
    if (buffers) printf("  %10s", cli_count_text(t->buffers, count));
    printf("  %14s\n\n", cli_count_text(t->multiply_adds, count));
    snprintf(text, sizeof text, "to train, batch %d", o->batch);
    printf("%-20s  %11s  %11s  %11s  %11s  %11s  %11s\n", "memory", "total", "activations",
           "parameters", "gradients", "optimizer", "workspace");
    print_memory("to run, one image", &t->run);
    print_memory(text, &t->train);
    print_ports(model);
    if (knows_images(model)) printf("\nimages  %s\n", images_text(model, text));
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

static void add_port(json_t *list, const cn_port *port)
{
    json_t *object = json_object(), *shape = json_array();
    cli_put_text(object, "name", port->name);
    for (int k = 0; k < port->rank; k++) json_array_append_new(shape, json_integer(port->shape[k]));
    json_object_set_new(object, "shape", shape);
    json_array_append_new(list, object);
}

static void put_ports(json_t *object, const cn_model *model)
{
    json_t *inputs = json_array(), *outputs = json_array();
    cn_port port;
    for (int i = 0; cn_model_input(model, i, &port); i++) add_port(inputs, &port);
    for (int i = 0; cn_model_output(model, i, &port); i++) add_port(outputs, &port);
    json_object_set_new(object, "inputs", inputs);
    json_object_set_new(object, "outputs", outputs);
}

static void print_as_json(const cn_model *model, const options *o, const totals *t)
{
    json_t *object = json_object(), *layers = json_array();
    cn_layer_info layer;
    for (int i = 0; cn_model_layer(model, i, &layer); i++) {
        json_t *row = json_object(), *shape = json_array(), *inputs = json_array();
        for (int k = 0; k < layer.rank; k++)
            json_array_append_new(shape, json_integer(layer.shape[k]));
        cli_put_text(row, "name", layer.name);
        cli_put_text(row, "type", layer.type);
        cli_put_text(row, "options", layer.options);
        json_object_set_new(row, "shape", shape);
        for (int k = 0; k < layer.input_count; k++) {
            cn_layer_info input;
            cn_model_layer(model, layer.inputs[k], &input);
            json_array_append_new(inputs, json_string(input.name));
        }
        json_object_set_new(row, "inputs", inputs);
        cli_put_whole(row, "parameters", layer.parameters);
        cli_put_whole(row, "buffers", layer.buffers);
        cli_put_whole(row, "multiply_adds", layer.multiply_adds);
        json_array_append_new(layers, row);
    }
    cli_put_whole(object, "parameters", t->parameters);
    cli_put_whole(object, "buffers", t->buffers);
    cli_put_whole(object, "multiply_adds", t->multiply_adds);
    json_object_set_new(object, "layers", layers);
    if (cn_model_input_count(model) > 1 || cn_model_output_count(model) > 1)
        put_ports(object, model);
    if (knows_images(model)) {
        cn_image_opts images = cn_model_image_opts(model);
        json_t *range = json_array(), *about = json_object();
        json_array_append_new(range, json_real(images.low));
        json_array_append_new(range, json_real(images.high));
        cli_put_text(about, "fit", images.fit == CN_FIT_CROP ? "crop" : "stretch");
        cli_put_text(about, "background",
                     images.background == CN_BACKGROUND_WHITE ? "white" : "black");
        cli_put_whole(about, "bits", images.deep ? 16 : 8);
        json_object_set_new(about, "range", range);
        if (images.float_low < images.float_high)
            json_object_set_new(about, "float_range",
                                json_pack("[f, f]", images.float_low, images.float_high));
        json_object_set_new(object, "images", about);
    }
    cli_put_whole(object, "batch", (size_t)o->batch);
    json_object_set_new(object, "memory_running", memory_json(&t->run));
    json_object_set_new(object, "memory_training", memory_json(&t->train));
    cli_print_json(object);
}

static void print_row_json(const cn_plan *plan, const cn_plan_row *row)
{
    json_t *object = json_object(), *layers = json_array(), *buffers = json_array();
    for (int k = 0; k < row->layer_count && k < CN_ROW_LAYERS; k++)
        json_array_append_new(layers, json_string(row->layers[k]));
    for (int k = 0; k < row->buffer_count; k++) {
        const cn_buffer *b = &plan->buffers[row->buffers[k]];
        json_t *buffer = json_object();
        cli_put_whole(buffer, "buffer", (size_t)row->buffers[k]);
        cli_put_whole(buffer, "bytes", b->bytes);
        cli_put_whole(buffer, "offset", b->offset);
        if (row->sums[k] != CN_NO_BUFFER) cli_put_whole(buffer, "added_to", (size_t)row->sums[k]);
        json_array_append_new(buffers, buffer);
    }
    cli_put_text(object, "pass", row->pass);
    json_object_set_new(object, "layers", layers);
    cli_put_text(object, "method", row->method);
    json_object_set_new(object, "adds", json_boolean(row->adds));
    json_object_set_new(object, "buffers", buffers);
    cli_print_json(object);
}

static void print_memory_of_plan(const cn_memory *m, const options *o)
{
    const struct {
        const char *what;
        size_t bytes;
    } parts[] = {{"activations", m->activations},
                 {"parameters", m->parameters},
                 {"gradients", m->gradients},
                 {"optimizer", m->optimizer},
                 {"workspace", m->workspace}};
    char text[CLI_COUNT_TEXT];
    const char *separator = ": ";
    if (o->common.json) {
        json_t *object = json_object();
        json_object_set_new(object, "memory", memory_json(m));
        cli_print_json(object);
        return;
    }
    printf("memory %s", cli_bytes_text(m->total, text));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].bytes == 0) continue;
        printf("%s%s %s", separator, parts[i].what, cli_bytes_text(parts[i].bytes, text));
        separator = ", ";
    }
    putchar('\n');
}

static cn_status print_plan(const cn_model *model, const options *o, cn_error *err)
{
    cn_session_opts opts = {.batch = o->batch,
                            .threads = o->common.threads,
                            .training = o->training,
                            .backend = o->backend};
    char text[CN_ROW_TEXT];
    cn_memory memory;
    cn_plan plan;
    cn_plan_row row;
    const char *pass = "";
    cn_status status = o->training ? measure_training(model, o, &memory, err)
                                   : cn_session_memory(model, &opts, &memory, err);
    if (status == CN_OK) status = cn_plan_create(&plan, model, &opts, err);
    if (status != CN_OK) return status;
    for (int i = 0; cn_plan_row_at(&plan, i, &row); i++) {
        if (o->common.json) {
            print_row_json(&plan, &row);
            continue;
        }
        if (o->training && row.pass[0] != pass[0] && row.pass[0] != 'l') printf("%s\n", row.pass);
        printf("%s%s\n", o->training && row.pass[0] != 'l' ? "  " : "",
               cn_plan_row_text(&plan, &row, text));
        pass = row.pass;
    }
    cn_plan_free(&plan);
    print_memory_of_plan(&memory, o);
    return CN_OK;
}

static int run(const void *given, int count, char *const *operands)
{
    options o = *(const options *)given;
    cn_model *model = NULL;
    cn_error err;
    totals t;
    int shape[3];
    (void)count;

    if ((o.training || o.backend) && !o.plan) {
        cli_error("summary", "--%s wants --plan, too", o.training ? "training" : "backend");
        return CLI_USAGE;
    }
    cn_status status;
    if (cli_is_model_file(operands[0])) {
        status = cn_model_load_shapes(&model, operands[0], o.shape.sizes, o.shape.count, &err);
        cli_explain_open(status, &err);
    } else {
        status = cli_network_shape(operands[0], &o.shape, shape, &o.classes, &err);
        if (status == CN_OK)
            status = cn_model_parse_shapes(&model, operands[0], shape, o.classes, &err);
    }
    if (status == CN_OK && o.batch == 0) o.batch = fit_opts(model, &o).batch;
    if (status == CN_OK)
        status = o.plan ? print_plan(model, &o, &err) : measure(model, &o, &t, &err);
    if (status != CN_OK) {
        cn_model_free(model);
        return cli_error("summary", "%s", err.text);
    }
    if (!o.plan && o.common.json)
        print_as_json(model, &o, &t);
    else if (!o.plan)
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
            "adds of one image, then the memory that predicting and training take. Nothing "
            "runs, and no weights are made or read.\n"
            "\n"
            "Examples\n"
            "  convnet summary lenet5\n"
            "  convnet summary \"conv 8 3x3 same, relu, maxpool 2, dense 10\" --shape 32x32x3\n"
            "  convnet summary signs --json\n"
            "  convnet summary resnet20 --plan --batch-size 1\n",
    .options = summary_options,
    .unused = {"seed"},
    .size = sizeof(options),
    .run = run,
};

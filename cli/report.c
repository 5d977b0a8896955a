/* report.c - `convnet report`: a page about a model, how it learned and what it gets wrong. */
#include "report.h"
#include "reading.h"

#include "base/base.h"
#include "base/json.h"
#include "base/source.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct options {
    cli_common common;
    const char *data, *log, *before, *out;
    bool skip_damaged;
    size_t memory;
    cli_shapes shape;
} options;

static const cli_option report_options[] = {
    {"out", CLI_TEXT, offsetof(options, out), "FILE", "report.html", 0, 0, "the page to write"},
    {"data", CLI_TEXT, offsetof(options, data), "SPEC", "digits", 0, 0,
     "what the model learned from: a set as for convnet train"},
    {"log", CLI_TEXT, offsetof(options, log), "FILE", NULL, 0, 0,
     "what convnet train --json printed, for the curves"},
    {"before", CLI_TEXT, offsetof(options, before), "FILE", NULL, 0, 0,
     "the model that the training began with, to show its first filters beside those of now"},
    {"skip-damaged", CLI_FLAG, offsetof(options, skip_damaged), NULL, NULL, 0, 0, CLI_SKIP_HELP},
    {"memory", CLI_BYTES, offsetof(options, memory), "SIZE", NULL, 0, 0, CLI_MEMORY_HELP},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0, CLI_SHAPE_HELP},
    {.name = NULL},
};

/* A line of the log: epochs are gathered, the end is kept. */
static bool take_line(json_t *page, json_t *epochs, const char *line)
{
    json_t *event = cn_json_value(line, strlen(line));
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (!kind) {
        json_decref(event);
        return false;
    }
    if (strcmp(kind, "epoch") == 0)
        json_array_append(epochs, event);
    else
        json_object_set(page, "end", event);
    json_decref(event);
    return true;
}

static cn_status read_log(json_t *page, const char *path, cn_error *err)
{
    char line[8192];
    int number = 0;
    json_t *epochs = json_array();
    struct stat about;
    int handle = -1;
    json_object_set_new(page, "epochs", epochs);
    cn_status status = cn_file_open(&handle, &about, path, err);
    if (status != CN_OK) return status;
    FILE *file = fdopen(handle, "r");
    if (!file) {
        close(handle);
        return cn_fail(err, CN_ERR_MEMORY, "out of memory");
    }
    while (status == CN_OK && fgets(line, sizeof line, file)) {
        number++;
        if (!take_line(page, epochs, line))
            status = cn_fail(err, CN_ERR_FORMAT,
                             "%.150s, line %d: not an event of convnet train --json", path, number);
    }
    if (status == CN_OK && ferror(file))
        status = cn_fail(err, CN_ERR_IO, "%.150s: reading failed", path);
    if (status == CN_OK && json_array_size(epochs) == 0)
        status = cn_fail(err, CN_ERR_FORMAT, "%.150s: no epoch in it", path);
    fclose(file);
    return status;
}

static cn_status load(const options *o, const cn_model *model, cn_subset part, cn_dataset **data,
                      cn_error *err)
{
    cli_reading reading;
    cli_reading_begin(&reading, &o->common, o->memory, NULL);
    reading.opts.model = model;
    reading.opts.skip_damaged = o->skip_damaged;
    cn_status status = cli_reading_load(&reading, data, o->data, part, err);
    if (status == CN_OK) cli_say_remarks(&o->common, "report", *data, NULL);
    return status == CN_OK ? cn_dataset_match_classes(*data, model, err) : status;
}

static cn_status put_before(json_t *page, const options *o, cn_error *err)
{
    cn_model *before = NULL;
    cn_status status = o->before ? cli_load_model(&before, o->before, &o->shape, err) : CN_OK;
    if (before) cli_report_filters(page, "filters_before", before);
    cn_model_free(before);
    return status;
}

static cn_status make_page(const options *o, const char *file, cn_error *err)
{
    cn_model *model = NULL;
    cn_dataset *train = NULL, *test = NULL;
    json_t *page = json_object();
    cn_status status = page ? CN_OK : cn_fail(err, CN_ERR_MEMORY, "report: out of memory");
    if (status == CN_OK) status = cli_load_model(&model, file, &o->shape, err);
    if (status == CN_OK) status = cn_model_expect_single(model, file, err);
    if (status == CN_OK && o->log) status = read_log(page, o->log, err);
    if (status == CN_OK) status = load(o, model, CN_SUBSET_TRAIN, &train, err);
    if (status == CN_OK) status = load(o, model, CN_SUBSET_TEST, &test, err);
    if (status == CN_OK) status = put_before(page, o, err);
    if (status == CN_OK) {
        cli_put_text(page, "model", file);
        cli_put_text(page, "data", o->data);
        status = cli_report_write(page, model, train, test, o->common.threads, o->out, err);
    }
    json_decref(page);
    cn_dataset_free(train);
    cn_dataset_free(test);
    cn_model_free(model);
    return status;
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_error err;
    (void)count;
    if (make_page(o, operands[0], &err) != CN_OK) return cli_error("report", "%s", err.text);
    if (o->common.json) {
        json_t *object = json_object();
        cli_put_text(object, "page", o->out);
        cli_print_json(object);
    } else {
        printf("The page is in %s\n", o->out);
    }
    return CLI_DONE;
}

const cli_command cli_report = {
    .name = "report",
    .summary = "writes a page about a model: what it gets wrong, and how it learned",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .help =
        "FILE is what convnet train wrote. The page shows, of the test images of --data, the "
        "confusion matrix, precision and recall of each class, the surest mistakes as images, and "
        "whether the probabilities can be trusted; of the training images, those whose label is "
        "probably wrong; and of the model its first filters, units that never fire, and time and "
        "memory of each layer. With --log, the curves of loss, accuracy and learning rate as well. "
        "The page is one file, which needs no other and asks the network for nothing.\n"
        "\n"
        "Examples\n"
        "  convnet report digits.safetensors\n"
        "  convnet train --json >log.json; convnet report digits.safetensors --log log.json\n",
    .options = report_options,
    .unused = {"seed"},
    .size = sizeof(options),
    .run = run,
};

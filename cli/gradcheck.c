/* gradcheck.c - `convnet gradcheck`: a network's gradients against differences of its loss. */
#include "cli.h"

#include <string.h>

typedef struct options {
    cli_common common;
    const char *model;
    cli_shapes shape;
    int classes, batch, samples;
} options;

static const cli_option gradcheck_options[] = {
    {"model", CLI_TEXT, offsetof(options, model), "NAME|LAYERS|FILE", "digits", 0, 0,
     "the network"},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0,
     "one image's rows, columns and channels (default: what the network was made for, else "
     "28x28x1); of a file what it leaves open, of several inputs each"},
    {"classes", CLI_WHOLE, offsetof(options, classes), "N", NULL, 1, 1000000,
     "the classes that a named network tells apart (default: what it was made for)"},
    {"batch-size", CLI_WHOLE, offsetof(options, batch), "N", "2", 1, 1000,
     "images, made at random"},
    {"samples", CLI_WHOLE, offsetof(options, samples), "N", "64", 1, 1000000,
     "elements to check of each tensor"},
    {.name = NULL},
};

/* Differences of a double-precision loss agree to 1e-6 or so; a float32 gradient to 1e-4 or so. A
 * wrong gradient is off by its own size. */
static const double twin_limit = 1e-4, engine_limit = 1e-2;

static bool passes(const cn_gradcheck_row *row)
{
    return row->twin_error <= twin_limit && row->engine_error <= engine_limit;
}

static void print_row(const cn_gradcheck_row *row, void *user)
{
    const options *o = user;
    if (!o->common.json) {
        printf("%-20s  %7zu  %10.1e  %10.1e  %s\n", row->name, row->checked, row->twin_error,
               row->engine_error, passes(row) ? "ok" : "WRONG");
        return;
    }
    json_t *object = json_object();
    cli_put_text(object, "name", row->name);
    cli_put_whole(object, "checked", row->checked);
    cli_put_number(object, "twin_error", row->twin_error);
    cli_put_number(object, "engine_error", row->engine_error);
    json_object_set_new(object, "ok", json_boolean(passes(row)));
    cli_print_json(object);
}

static int run(const void *given, int count, char *const *operands)
{
    options o = *(const options *)given;
    cn_model *model = NULL;
    cn_error err;
    cn_gradcheck_row worst;
    (void)count;
    (void)operands;

    cn_status status = cli_open_model(&model, o.model, &o.shape, o.classes, o.common.seed, &err);
    if (status != CN_OK) return cli_error("gradcheck", "%s", err.text);

    if (!o.common.json)
        printf("%-20s  %7s  %10s  %10s\n", "gradient of", "checked", "double", "float32");
    cn_gradcheck_opts opts = {.batch = o.batch,
                              .samples = o.samples,
                              .seed = o.common.seed,
                              .row = print_row,
                              .user = &o};
    status = cn_gradcheck(model, &opts, &worst, &err);
    cn_model_free(model);
    if (status != CN_OK) return cli_error("gradcheck", "%s", err.text);
    if (passes(&worst)) return CLI_DONE;
    return cli_error("gradcheck", "gradients disagree: double precision by %.1e, float32 by %.1e",
                     worst.twin_error, worst.engine_error);
}

const cli_command cli_gradcheck = {
    .name = "gradcheck",
    .summary = "checks every gradient of a network against differences of its loss",
    .help = "Runs the network forward and backward on random images, and compares each "
            "parameter's gradient, and the input's, three ways: central differences of the "
            "loss, a plain double-precision implementation, and the float32 engine that "
            "trains. The columns are relative errors: \"double\" of the plain implementation "
            "against the differences, \"float32\" of the engine against the plain "
            "implementation. Exit status 1 when one is wrong.\n"
            "\n"
            "Examples\n"
            "  convnet gradcheck\n"
            "  convnet gradcheck --model \"conv 4 3x3 same, tanh, avgpool 2, dense 3\" "
            "--shape 6x7x2\n",
    .options = gradcheck_options,
    .unused = {"threads"},
    .size = sizeof(options),
    .run = run,
};

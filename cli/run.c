/* run.c - `convnet run`: what a model makes of an array of numbers. */
#include "numbers.h"

#include "model/model.h"

#include <string.h>

typedef struct options {
    cli_common common;
    const char *input, *out, *backend;
    int layout, batch, precision;
} options;

static const cli_option run_options[] = {
    {"input", CLI_TEXT, offsetof(options, input), "[NAME=]FILE", NULL, 0, 0,
     "the array to run, a .npy file, and the name of the model's input that takes it (default: the "
     "operand)"},
    {"out", CLI_TEXT, offsetof(options, out), "FILE", NULL, 0, 0,
     "where the outputs go, a .npy file, or .npz under the name of the last layer (required)"},
    {"layout", CLI_CHOICE, offsetof(options, layout), "nhwc|nchw", "nhwc", 0, 0,
     "the order of the axes in both files: channels last, or channels first as in PyTorch and "
     "ONNX"},
    {"batch-size", CLI_WHOLE, offsetof(options, batch), "N", "32", 1, 1000000,
     "examples that run at a time"},
    {"precision", CLI_CHOICE, offsetof(options, precision), CLI_PRECISIONS, "f32", 0, 0,
     CLI_PRECISION_HELP},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", "cpu", 0, 0, CLI_BACKEND_HELP},
    {.name = NULL},
};

/* The file of "NAME=FILE", where NAME must be the model's input, or of "FILE"; NULL with an error.
 */
static const char *input_file(const char *text, const cn_model *model)
{
    const char *name = model->layers[0].name, *equals = strchr(text, '=');
    if (!equals) return text;
    if ((size_t)(equals - text) == strlen(name) && strncmp(text, name, strlen(name)) == 0)
        return equals + 1;
    cli_error("run", "the model has no input \"%.*s\", only \"%s\"", (int)(equals - text), text,
              name);
    return NULL;
}

static cn_status run_file(const options *o, cn_model *model, const char *file, cn_error *err)
{
    cn_tensor X = {0}, Y = {0};
    cn_session_opts opts = {.batch = o->batch,
                            .threads = o->common.threads,
                            .precision = (cn_precision)o->precision,
                            .backend = o->backend};
    cn_status status = cli_numbers_load(&X, model, file, (cli_layout)o->layout, err);
    if (status == CN_OK && X.shape[0] < opts.batch) opts.batch = X.shape[0];
    if (status == CN_OK) status = cli_numbers_run(model, &opts, &X, &Y, err);
    if (status == CN_OK)
        status = cli_numbers_save(&Y, model->layers[model->output].name, o->out,
                                  (cli_layout)o->layout, err);
    cn_tensor_free(&X);
    cn_tensor_free(&Y);
    return status;
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_model *model = NULL;
    cn_error err;
    int shape[3], classes, code = CLI_FAILED;
    if (!o->out || (count == 1) != (o->input != NULL)) {
        cli_error("run", o->out ? "expected one input, as an operand or with --input"
                                : "--out is required");
        return CLI_USAGE;
    }
    cli_natural_shape(operands[0], shape, &classes);
    if (cli_open_model(&model, operands[0], shape, classes, o->common.seed, &err) != CN_OK)
        return cli_error("run", "%s", err.text);
    const char *file = input_file(o->input ? o->input : operands[1], model);
    if (file && run_file(o, model, file, &err) == CN_OK)
        code = CLI_DONE;
    else if (file)
        cli_error("run", "%s", err.text);
    cn_model_free(model);
    return code;
}

const cli_command cli_run = {
    .name = "run",
    .summary = "runs a model on an array of numbers",
    .operands = "MODEL [FILE.npy]",
    .min_operands = 1,
    .max_operands = 2,
    .help = "Reads an array (m, n_H, n_W, n_C) of any numbers, runs the model on it in float32 and "
            "writes the outputs (m, ...). Nothing is normalized: the array is what the first layer "
            "sees, and what the last layer makes is what is written. To compare a model with what "
            "another program makes of it.\n"
            "\n"
            "MODEL is a file, or a network by name or as layers, whose weights then come from the "
            "seed.\n"
            "\n"
            "Examples\n"
            "  convnet run digits.safetensors images.npy --out probabilities.npy\n"
            "  convnet run digits.safetensors --input input=images.npy --layout nchw --out y.npy\n",
    .options = run_options,
    .size = sizeof(options),
    .run = run,
};

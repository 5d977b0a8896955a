/* run.c - `convnet run`: what a model makes of an array of numbers. */
#include "numbers.h"

#include "model/model.h"

#include <stdlib.h>

typedef struct options {
    cli_common common;
    cli_list inputs;
    const char *out, *output, *backend;
    int layout, batch, precision;
    cli_shapes shape;
} options;

static const cli_option run_options[] = {
    {"input", CLI_LIST, offsetof(options, inputs), "[NAME=]FILE", NULL, 0, 0,
     "the array to run, a .npy file, and the name of the model's input that takes it; of several "
     "inputs, each (default: the operands)"},
    {"out", CLI_TEXT, offsetof(options, out), "FILE", NULL, 0, 0,
     "where the outputs go, a .npy file, or .npz under their names; of a model with one output "
     "that is the name of the last layer (required)"},
    {"output", CLI_TEXT, offsetof(options, output), "NAME", NULL, 0, 0,
     "of several outputs this one alone (default: all)"},
    {"layout", CLI_CHOICE, offsetof(options, layout), "nhwc|nchw", "nhwc", 0, 0,
     "the order of the axes in all files: channels last, or channels first as in PyTorch and "
     "ONNX"},
    {"batch-size", CLI_WHOLE, offsetof(options, batch), "N", "32", 1, 1000000,
     "examples that run at a time"},
    {"precision", CLI_CHOICE, offsetof(options, precision), CLI_PRECISIONS, "f32", 0, 0,
     CLI_PRECISION_HELP},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", "cpu", 0, 0, CLI_BACKEND_HELP},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0,
     "rows, columns and channels of an ONNX file's input, where the file leaves them open; of "
     "several inputs, each (default: those of the arrays)"},
    {.name = NULL},
};

/* The model of the output that was asked for, in place of the one of all. */
static cn_status choose_output(const options *o, cn_model **model, cn_error *err)
{
    cn_model *one = NULL;
    if (!o->output) return cli_numbers_expect(*model, o->out, err);
    cn_status status = cn_model_select_output(&one, *model, o->output, err);
    if (status != CN_OK) return status;
    cn_model_free(*model);
    *model = one;
    return CN_OK;
}

/* The model, with the sizes that the arrays have where neither its file nor --shape says them. */
static cn_status open_model(const options *o, cn_model **model, const char *text,
                            const char *const *files, int count, cn_error *err)
{
    cli_shapes shapes = o->shape;
    cn_status status = cli_open_model(model, text, &shapes, 0, o->common.seed, err);
    if (status != CN_ERR_SHAPE || !cli_is_model_file(text)) return status;
    for (int i = 0; i < count && shapes.count < CLI_SHAPES_MOST; i++) {
        status = cli_numbers_shape(files[i], (cli_layout)o->layout, &shapes, err);
        if (status != CN_OK) return status;
        if (count == 1) shapes.sizes[shapes.count - 1].name = NULL;
    }
    return cli_load_model(model, text, &shapes, err);
}

static cn_status run_files(const options *o, cn_model *model, const char *const *files, int count,
                           cn_error *err)
{
    cn_tensor X = {0}, Y = {0};
    cn_session_opts opts = {.batch = o->batch,
                            .threads = o->common.threads,
                            .precision = (cn_precision)o->precision,
                            .backend = o->backend};
    cn_status status = cli_numbers_load(&X, model, files, count, (cli_layout)o->layout, err);
    if (status == CN_OK && X.shape[0] < opts.batch) opts.batch = X.shape[0];
    if (status == CN_OK) status = cli_numbers_run(model, &opts, &X, &Y, err);
    if (status == CN_OK) status = cli_numbers_save(&Y, model, o->out, (cli_layout)o->layout, err);
    cn_tensor_free(&X);
    cn_tensor_free(&Y);
    return status;
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_model *model = NULL;
    cn_error err;
    int files = 0;
    if (!o->out || count - 1 + o->inputs.count == 0) {
        cli_error("run", o->out ? "expected an input, as an operand or with --input"
                                : "--out is required");
        return CLI_USAGE;
    }
    const char **all = malloc((size_t)(count + o->inputs.count) * sizeof *all);
    if (!all) return cli_error("run", "out of memory");
    for (int i = 0; i < o->inputs.count; i++) all[files++] = o->inputs.texts[i];
    for (int i = 1; i < count; i++) all[files++] = operands[i];
    cn_status status = open_model(o, &model, operands[0], all, files, &err);
    if (status == CN_OK) status = choose_output(o, &model, &err);
    if (status == CN_OK) status = run_files(o, model, all, files, &err);
    if (status != CN_OK) cli_error("run", "%s", err.text);
    cn_model_free(model);
    free((void *)all);
    return status == CN_OK ? CLI_DONE : CLI_FAILED;
}

const cli_command cli_run = {
    .name = "run",
    .summary = "runs a model on an array of numbers",
    .operands = "MODEL [[NAME=]FILE.npy...]",
    .min_operands = 1,
    .max_operands = 1 + CN_MOST_PORTS,
    .help =
        "Reads an array (m, n_H, n_W, n_C) of any numbers, runs the model on it in float32 and "
        "writes the outputs (m, ...). Nothing is normalized: the array is what the first layer "
        "sees, and what the last layer makes is what is written. To compare a model with what "
        "another program makes of it.\n"
        "\n"
        "MODEL is a file, or a network by name or as layers, whose weights then come from the "
        "seed. One from an ONNX file may have several inputs and outputs, each with a name: every "
        "input is given as NAME=FILE, and the outputs are written as .npz. A vector is an array "
        "(m, n).\n"
        "\n"
        "Examples\n"
        "  convnet run digits.safetensors images.npy --out probabilities.npy\n"
        "  convnet run digits.safetensors --input input=images.npy --layout nchw --out y.npy\n"
        "  convnet run two.onnx image=images.npy table=numbers.npy --layout nchw --out y.npz\n",
    .options = run_options,
    .size = sizeof(options),
    .run = run,
};

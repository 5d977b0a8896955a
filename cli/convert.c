/* convert.c - `convnet convert`: a model in another format. */
#include "cli.h"

#include <string.h>

typedef struct options {
    cli_common common;
    bool normalize;
    int shape[3], classes;
} options;

static const cli_option convert_options[] = {
    {"normalize", CLI_FLAG, offsetof(options, normalize), NULL, NULL, 0, 0,
     "ONNX: the graph normalizes its input itself, and takes pixels from 0 to 1"},
    {"shape", CLI_SHAPE, offsetof(options, shape), "HxWxC", NULL, 0, 0,
     "of the examples, where FROM is a network by name or as layers (default: what the name was "
     "made for)"},
    {"classes", CLI_WHOLE, offsetof(options, classes), "N", NULL, 1, 1000000,
     "what the word \"classes\" stands for there (default: likewise)"},
    {.name = NULL},
};

static bool ends_in(const char *path, const char *ending)
{
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcmp(path + length - tail, ending) == 0;
}

static cn_status save(const cn_model *model, const char *path, const options *o, cn_error *err)
{
    cn_export_opts opts = {.normalize = o->normalize};
    if (ends_in(path, ".safetensors")) return cn_model_save(model, path, err);
    return cn_model_export(model, path, &opts, err);
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_model *model = NULL;
    cn_error err;
    int shape[3], classes;
    (void)count;
    cli_natural_shape(operands[0], shape, &classes);
    if (o->shape[0]) memcpy(shape, o->shape, sizeof shape);
    if (o->classes) classes = o->classes;
    cn_status status = cli_open_model(&model, operands[0], shape, classes, o->common.seed, &err);
    if (status == CN_OK) status = save(model, operands[1], o, &err);
    cn_model_free(model);
    return status == CN_OK ? CLI_DONE : cli_error("convert", "%s", err.text);
}

const cli_command cli_convert = {
    .name = "convert",
    .summary = "writes a model in another format",
    .operands = "FROM TO",
    .min_operands = 2,
    .max_operands = 2,
    .help = "FROM is a model file, or a network by name or as layers, whose weights then come from "
            "the seed. The ending of TO is the format:\n"
            "\n"
            "  .safetensors  a model file\n"
            "  .onnx         ONNX 1.22 (operator set 27), with any batch\n"
            "\n"
            "Examples\n"
            "  convnet convert digits.safetensors digits.onnx --normalize\n",
    .options = convert_options,
    .size = sizeof(options),
    .run = run,
};

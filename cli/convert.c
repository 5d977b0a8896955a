/* convert.c - `convnet convert`: a model in another format. */
#include "cli.h"

#include <string.h>

typedef struct options {
    cli_common common;
    const char *network, *like;
    bool normalize, partial;
    int shape[3], classes;
} options;

static const cli_option convert_options[] = {
    {"normalize", CLI_FLAG, offsetof(options, normalize), NULL, NULL, 0, 0,
     "ONNX: the graph normalizes its input itself, and takes pixels from 0 to 1"},
    {"network", CLI_TEXT, offsetof(options, network), "NAME|LAYERS", NULL, 0, 0,
     "FROM holds weights alone, as PyTorch or Keras write them: those of this network"},
    {"partial", CLI_FLAG, offsetof(options, partial), NULL, NULL, 0, 0,
     "take what fits of them; what is missing begins as the seed says"},
    {"like", CLI_TEXT, offsetof(options, like), "FILE", NULL, 0, 0,
     "write weights alone, under the names and in the layout of this file of the same network"},
    {"shape", CLI_SHAPE, offsetof(options, shape), "HxWxC", NULL, 0, 0,
     "of the examples, where FROM is a network by name or as layers (default: what the name was "
     "made for)"},
    {"classes", CLI_WHOLE, offsetof(options, classes), "N", NULL, 1, 1000000,
     "what the word \"classes\" stands for there (default: likewise)"},
    {.name = NULL},
};

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_model *model = NULL;
    cn_error err;
    int shape[3], classes;
    (void)count;
    cli_natural_shape(o->network ? o->network : operands[0], shape, &classes);
    if (o->shape[0]) memcpy(shape, o->shape, sizeof shape);
    if (o->classes) classes = o->classes;
    cn_status status =
        o->network ? cli_open_weights(&model, operands[0], o->network, shape, classes, o->partial,
                                      &o->common, &err)
                   : cli_open_model(&model, operands[0], shape, classes, o->common.seed, &err);
    cn_export_opts opts = {.normalize = o->normalize, .like = o->like};
    if (status == CN_OK) status = cn_model_export(model, operands[1], &opts, &err);
    cn_model_free(model);
    return status == CN_OK ? CLI_DONE : cli_error("convert", "%s", err.text);
}

const cli_command cli_convert = {
    .name = "convert",
    .summary = "writes a model in another format",
    .operands = "FROM TO",
    .min_operands = 2,
    .max_operands = 2,
    .help =
        "FROM is a model file, or a network by name or as layers, whose weights then come from "
        "the seed. With --network it holds the weights of that network alone, as PyTorch writes "
        "them: which tensor becomes which parameter is listed, and what does not fit is an "
        "error. The ending of TO is the format:\n"
        "\n"
        "  .safetensors  a model file; with --like, weights alone\n"
        "  .onnx         ONNX 1.22 (operator set 27), with any batch\n"
        "\n"
        "Examples\n"
        "  convnet convert digits.safetensors digits.onnx --normalize\n"
        "  convnet convert torchvision.safetensors resnet18.safetensors --network resnet18\n"
        "  convnet convert resnet18.safetensors back.safetensors --like torchvision.safetensors\n",
    .options = convert_options,
    .size = sizeof(options),
    .run = run,
};

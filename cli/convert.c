/* convert.c - `convnet convert`: a model in another format. */
#include "numbers.h"

#include "base/counter.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    const char *network, *like, *output;
    cli_list inputs;
    bool normalize, partial, verify;
    cli_shapes shape;
    int classes;
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
    {"verify", CLI_FLAG, offsetof(options, verify), NULL, NULL, 0, 0,
     "read TO again, run both and tell the largest difference; more than 1e-4 of the outputs' "
     "range "
     "fails"},
    {"input", CLI_LIST, offsetof(options, inputs), "[NAME=]FILE", NULL, 0, 0,
     "what both run on: a .npy file, (m, n_H, n_W, n_C), of several inputs each (default: 8 random "
     "examples)"},
    {"output", CLI_TEXT, offsetof(options, output), "NAME", NULL, 0, 0,
     "of several outputs this one alone, of the layers that it depends on"},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0,
     "of the examples, where FROM is a network by name or as layers (default: what the name was "
     "made for), or a file that leaves it open; of several inputs, each"},
    {"classes", CLI_WHOLE, offsetof(options, classes), "N", NULL, 1, 1000000,
     "what the word \"classes\" stands for there (default: likewise)"},
    {.name = NULL},
};

/* ---- --verify */

/* The model in the new file; of weights alone, and of Keras's, those of a network like this one. */
static cn_status read_again(cn_model **again, const cn_model *model, const char *path,
                            const options *o, cn_error *err)
{
    cn_model *m = NULL;
    const bool keras = cn_ends_in(path, ".keras") || cn_ends_in(path, ".h5");
    if (!o->like && !keras) return cn_model_load(again, path, err);
    json_t *graph = cn_model_to_json(model, err);
    if (!graph) return CN_ERR_MEMORY;
    cn_status status = cn_model_from_json(&m, graph, false, SIZE_MAX, err);
    json_decref(graph);
    if (status == CN_OK) status = cn_model_load_weights(m, path, NULL, err);
    if (status == CN_OK)
        *again = m;
    else
        cn_model_free(m);
    return status;
}

static cn_status make_input(cn_tensor *X, const cn_model *model, const options *o, cn_error *err)
{
    enum { EXAMPLES = 8 };
    const int *n = cn_model_input_shape(model), shape[4] = {EXAMPLES, n[0], n[1], n[2]};
    if (o->inputs.count)
        return cli_numbers_load(X, model, o->inputs.texts, o->inputs.count, CLI_NHWC, err);
    cn_status status = cn_tensor_create(X, CN_DTYPE_F32, 4, shape, err);
    for (size_t i = 0; status == CN_OK && i < cn_tensor_count(X); i++)
        ((float *)X->data)[i] = (float)cn_counter_normal(o->common.seed, 0, i);
    return status;
}

/* The input as a graph that normalizes takes it, so that both see the same. */
static void denormalize(cn_tensor *X, const cn_model *model)
{
    float *x = X->data;
    const size_t channels = (size_t)X->shape[3];
    for (size_t i = 0; i < cn_tensor_count(X); i++)
        x[i] = x[i] * model->std[i % channels] + model->mean[i % channels];
}

/* The largest difference of two arrays, as a part of the range of the first. */
static double difference(const cn_tensor *a, const cn_tensor *b)
{
    const float *x = a->data, *y = b->data;
    double most = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < cn_tensor_count(a); i++) {
        double apart = fabs((double)x[i] - (double)y[i]);
        if (!(apart <= most)) most = x[i] != x[i] && y[i] != y[i] ? most : apart;
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    return most == 0 ? 0 : most / fmax(high - low, 1e-30);
}

/* The largest of all outputs, each as a part of its own range. */
static cn_status compare(const cn_model *model, const cn_tensor *a, const cn_tensor *b,
                         double *apart, cn_error *err)
{
    cn_port port;
    cn_status status = CN_OK;
    *apart = cn_tensor_count(a) == cn_tensor_count(b) ? 0 : INFINITY;
    for (int i = 0; *apart == *apart && *apart < INFINITY && status == CN_OK &&
                    cn_model_output(model, i, &port);
         i++) {
        cn_tensor x = {0}, y = {0};
        status = cli_numbers_part(a, &port, &x, err);
        if (status == CN_OK) status = cli_numbers_part(b, &port, &y, err);
        const double found = status == CN_OK ? difference(&x, &y) : 0;
        if (!(found <= *apart)) *apart = found;
        cn_tensor_free(&x);
        cn_tensor_free(&y);
    }
    return status;
}

static cn_status verify(cn_model *model, const char *path, const options *o, double *apart,
                        cn_error *err)
{
    cn_model *again = NULL;
    cn_tensor X = {0}, first = {0}, second = {0};
    cn_session_opts opts = {.batch = 8, .threads = o->common.threads};
    cn_status status = read_again(&again, model, path, o, err);
    if (status == CN_OK) status = make_input(&X, model, o, err);
    if (status == CN_OK) status = cli_numbers_run(model, &opts, &X, &first, err);
    if (status == CN_OK && o->normalize) denormalize(&X, model);
    if (status == CN_OK) status = cli_numbers_run(again, &opts, &X, &second, err);
    if (status == CN_OK) status = compare(model, &first, &second, apart, err);
    cn_tensor_free(&X);
    cn_tensor_free(&first);
    cn_tensor_free(&second);
    cn_model_free(again);
    return status;
}

static int report(const options *o, const char *path, double apart)
{
    const double most = 1e-4;
    if (o->common.json) {
        json_t *object = json_object();
        cli_put_text(object, "file", path);
        cli_put_number(object, "difference", apart);
        cli_print_json(object);
    } else {
        printf("%s: outputs differ by at most %.1e of their range\n", path, apart);
    }
    if (apart <= most) return CLI_DONE;
    return cli_error("convert", "%s: another model: expected a difference of at most %.0e", path,
                     most);
}

/* The model in the file or of the text; of several outputs only the one asked for. */
static cn_status open_model(cn_model **model, const options *o, const char *text, cn_error *err)
{
    cn_model *all = NULL;
    int shape[3], classes = o->classes;
    cn_status status = o->network
                           ? cli_network_shape(o->network, &o->shape, shape, &classes, err)
                           : cli_open_model(&all, text, &o->shape, classes, o->common.seed, err);
    if (status == CN_OK && o->network)
        status =
            cli_open_weights(&all, text, o->network, shape, classes, o->partial, &o->common, err);
    if (status != CN_OK || !o->output) {
        *model = all;
        return status;
    }
    status = cn_model_select_output(model, all, o->output, err);
    cn_model_free(all);
    return status;
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_model *model = NULL;
    cn_error err;
    (void)count;
    cn_status status = open_model(&model, o, operands[0], &err);
    cn_export_opts opts = {.normalize = o->normalize, .like = o->like};
    if (status == CN_OK) status = cn_model_export(model, operands[1], &opts, &err);
    double apart = 0;
    if (status == CN_OK && o->verify) status = verify(model, operands[1], o, &apart, &err);
    cn_model_free(model);
    if (status != CN_OK) return cli_error("convert", "%s", err.text);
    return o->verify ? report(o, operands[1], apart) : CLI_DONE;
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
        "  .npz          NumPy's arrays; with --like, weights alone\n"
        "  .onnx         ONNX 1.22 (operator set 27), with any batch\n"
        "  .keras        a model of Keras 3; .weights.h5: the weights of it alone\n"
        "  .h5           with --like, weights alone\n"
        "\n"
        "Examples\n"
        "  convnet convert digits.safetensors digits.onnx --normalize\n"
        "  convnet convert digits.safetensors digits.keras\n"
        "  convnet convert torchvision.safetensors resnet18.safetensors --network resnet18\n"
        "  convnet convert resnet18.safetensors back.safetensors --like torchvision.safetensors\n"
        "  convnet convert detector.onnx boxes.onnx --output boxes\n",
    .options = convert_options,
    .size = sizeof(options),
    .run = run,
};

/* explain.c - `convnet explain`: a page that shows how a network comes to its answer. */
#include "explain.h"
#include "page.h"

#include "data/dataset.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    const char *data, *label, *out, *backend;
    int index, kilobytes;
    cli_shapes shape;
} options;

static const cli_option explain_options[] = {
    {"out", CLI_TEXT, offsetof(options, out), "FILE", "explain.html", 0, 0, "the page to write"},
    {"data", CLI_TEXT, offsetof(options, data), "SPEC", "digits", 0, 0,
     "where the image comes from if none is given: a set as for convnet train"},
    {"index", CLI_WHOLE, offsetof(options, index), "N", "0", 0, 2147483647,
     "which of the test images of that set, counted from 0"},
    {"label", CLI_TEXT, offsetof(options, label), "CLASS", NULL, 0, 0,
     "the right class, by name or number, which the loss is found against (default: that of the "
     "set, or of an image file the predicted one)"},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", "auto", 0, 0,
     "what runs it: reference, double precision, or cpu; auto takes reference for up to "
     "1,000,000,000 multiply-adds"},
    {"size", CLI_WHOLE, offsetof(options, kilobytes), "KB", "1000", 100, 1000000,
     "how large the page may get; of what has no room, numbers become images of 8 bits"},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0, CLI_SHAPE_HELP},
    {.name = NULL},
};

typedef struct job {
    const options *o;
    const char *model_text, *image;
    char source[512]; /* "digits, test image 0" */
    cn_model *model;
    cn_tensor X;
    int label;
    cli_explained explained;
} job;

/* ---- the model */

static const char small_network[] =
    "conv 8 3x3 same, relu, maxpool 2, conv 16 3x3 same, relu, avgpool 2, dense classes";

/* A small network that has just learned to read the embedded digits. */
static cn_status train_small(job *j, cn_error *err)
{
    cn_dataset *digits = NULL;
    cn_fit_opts opts = {.epochs = 15,
                        .seed = j->o->common.seed,
                        .threads = j->o->common.threads,
                        .learning_rate = 0.005};
    cli_say(&j->o->common, "Training \"%s\" on the embedded digits", small_network);
    cn_status status = cn_dataset_load(&digits, "digits", CN_SUBSET_TRAIN, NULL, err);
    if (status == CN_OK)
        status = cn_model_parse(&j->model, small_network, cn_dataset_shape(digits), 10,
                                j->o->common.seed, err);
    if (status == CN_OK) status = cn_fit(j->model, digits, &opts, NULL, err);
    cn_dataset_free(digits);
    j->model_text = "a small network";
    return status;
}

static cn_status open_model(job *j, cn_error *err)
{
    if (!j->model_text) return train_small(j, err);
    if (!cli_is_model_file(j->model_text))
        cli_say(&j->o->common, "%s has learned nothing yet: its weights come from the seed",
                j->model_text);
    cn_status status =
        cli_open_model(&j->model, j->model_text, &j->o->shape, 0, j->o->common.seed, err);
    return status == CN_OK ? cn_model_expect_single(j->model, j->model_text, err) : status;
}

/* ---- the image */

/* The class with this name, or this number; -1: none. */
static int find_class(const cn_model *model, const char *text)
{
    double number;
    int rank;
    const int *n = cn_model_output_shape(model, &rank);
    int count = n[rank - 1] == 1 ? 2 : n[rank - 1];
    for (int i = 0; i < count; i++) {
        const char *name = cn_model_class_name(model, i);
        if (name && strcmp(name, text) == 0) return i;
    }
    if (!cn_number_read(text, &number) || number != (int)number) return -1;
    return number >= 0 && number < count ? (int)number : -1;
}

/* Image --index of a set of another shape, fitted to the model's like an image file. */
static cn_status fit_image(job *j, const cn_dataset *data, cn_error *err)
{
    const int *shape = cn_dataset_shape(data);
    const size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    const cn_image_opts range = cn_dataset_image_opts(data);
    cn_tensor image = {0};
    cn_status status = cn_tensor_create(&image, CN_DTYPE_F32, 3, shape, err);
    if (status == CN_OK)
        status = cn_dataset_batch(data, &j->o->index, 1, NULL, NULL, image.data, NULL, err);
    float *x = image.data;
    for (size_t i = 0; status == CN_OK && i < count; i++)
        x[i] = (x[i] - (float)range.low) / (float)(range.high - range.low);
    if (status == CN_OK) status = cn_image_prepare(j->model, &image, &j->X, err);
    cn_tensor_free(&image);
    return status;
}

/* The set's image as the model sees it. */
static cn_status prepare(job *j, const cn_dataset *data, cn_error *err)
{
    const int *from = cn_dataset_shape(data), *to = cn_model_input_shape(j->model);
    if (memcmp(from, to, 3 * sizeof *from) != 0) return fit_image(j, data, err);
    const int shape[4] = {1, to[0], to[1], to[2]};
    const cn_image_opts range = cn_dataset_image_opts(data);
    float *mean = malloc(2 * (size_t)to[2] * sizeof *mean);
    if (!mean) return cn_fail(err, CN_ERR_MEMORY, "explain: out of memory");
    cn_status status = cn_tensor_create(&j->X, CN_DTYPE_F32, 4, shape, err);
    if (status == CN_OK) {
        cn_model_normalization(j->model, range.low, range.high, mean, mean + to[2]);
        status = cn_dataset_batch(data, &j->o->index, 1, mean, mean + to[2], j->X.data, NULL, err);
    }
    free(mean);
    return status;
}

static cn_status take_from_set(job *j, cn_error *err)
{
    cn_dataset *data = NULL;
    cn_dataset_opts reading = {.model = j->model};
    cn_status status = cn_dataset_load(&data, j->o->data, CN_SUBSET_TEST, &reading, err);
    if (status == CN_OK && j->o->index >= cn_dataset_size(data))
        status = cn_fail(err, CN_ERR_ARGUMENT, "%s: --index %d, but there are %d test images",
                         j->o->data, j->o->index, cn_dataset_size(data));
    bool matched = status == CN_OK && cn_dataset_classes(data) <= cn_model_class_count(j->model) &&
                   cn_dataset_match_classes(data, j->model, NULL) == CN_OK;
    if (status == CN_OK) status = prepare(j, data, err);
    if (matched) j->label = cn_dataset_label(data, j->o->index);
    snprintf(j->source, sizeof j->source, "%s, test image %d", j->o->data, j->o->index);
    cn_dataset_free(data);
    return status;
}

static cn_status take_image(job *j, cn_error *err)
{
    cn_status status;
    j->label = -1;
    if (j->image) {
        snprintf(j->source, sizeof j->source, "%s", j->image);
        status = cn_image_load_for(j->model, j->image, &j->X, err);
    } else {
        status = take_from_set(j, err);
    }
    if (status != CN_OK || !j->o->label) return status;
    j->label = find_class(j->model, j->o->label);
    if (j->label < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "--label %.80s: the model has no such class",
                       j->o->label);
    return CN_OK;
}

/* ---- the page */

static cn_status write_page(job *j, cn_error *err)
{
    const size_t size = (size_t)j->o->kilobytes * 1000;
    const size_t own = cli_page_explain.before_size + cli_page_explain.after_size;
    json_t *data = cli_explain_data(&j->explained, size > own ? size - own : 0);
    if (!data) return cn_fail(err, CN_ERR_MEMORY, "explain: out of memory");
    cli_put_text(data, "model", j->model_text);
    cli_put_text(data, "image", j->source);
    cli_put_text(data, "version", cn_version());
    cn_status status = cli_page_write(&cli_page_explain, data, j->o->out, err);
    json_decref(data);
    return status;
}

static cn_status explain(job *j, cn_error *err)
{
    const cli_explain_opts opts = {.model = j->model,
                                   .X = &j->X,
                                   .label = j->label,
                                   .backend = j->o->backend,
                                   .threads = j->o->common.threads};
    return cli_explain_run(&j->explained, &opts, err);
}

static void report(const job *j)
{
    if (!j->o->common.json) {
        printf("The page is in %s\n", j->o->out);
        return;
    }
    json_t *object = json_object();
    cli_put_text(object, "page", j->o->out);
    cli_put_whole(object, "predicted", (size_t)j->explained.predicted);
    cli_put_whole(object, "label", (size_t)j->explained.label);
    cli_put_number(object, "loss", j->explained.loss);
    cli_print_json(object);
}

static int run(const void *given, int count, char *const *operands)
{
    job j = {.o = given};
    cn_error err;
    int code = CLI_FAILED;
    if (count > 0) j.model_text = operands[0];
    if (count > 1) j.image = operands[1];
    if (open_model(&j, &err) == CN_OK && take_image(&j, &err) == CN_OK &&
        explain(&j, &err) == CN_OK && write_page(&j, &err) == CN_OK) {
        code = CLI_DONE;
        report(&j);
    } else {
        cli_error("explain", "%s", err.text);
    }
    cli_explained_free(&j.explained);
    cn_tensor_free(&j.X);
    cn_model_free(j.model);
    return code;
}

const cli_command cli_explain = {
    .name = "explain",
    .summary = "writes a page that shows how a network comes to its answer",
    .operands = "[MODEL [IMAGE]]",
    .max_operands = 2,
    .help =
        "The page shows each layer's feature maps and their gradients. Every number opens: the "
        "window that it was computed from, the filter, the products, their sum and the bias; "
        "backward, what its gradient adds to those of the window, the filter and the bias, the "
        "mask of a maximum, the distributed value of a mean. Weights and pixels can be changed, "
        "and kernel, stride and padding of a convolution; the page computes everything again, "
        "as the library does. It also shows which pixels the answer depends on: saliency and "
        "Grad-CAM.\n"
        "\n"
        "MODEL is a model file or a network by name or as layers; without it, a small network "
        "learns the embedded digits first. IMAGE is an image file; without it, an "
        "image of --data is taken. The page is one file, which needs no other and asks the "
        "network for nothing. Layers are computed in double precision, those of a network of "
        "more than 1,000,000,000 multiply-adds in single precision; what the page has no room for "
        "it shows as images only, without their numbers, and --size makes room.\n"
        "\n"
        "Examples\n"
        "  convnet explain\n"
        "  convnet explain lenet5.safetensors digit.png --out digit.html\n"
        "  convnet explain signs.safetensors --data hdf5:DIR --index 7\n",
    .options = explain_options,
    .size = sizeof(options),
    .run = run,
};

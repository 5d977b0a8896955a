/* predict.c - `convnet predict`: what a model sees in images. */
#include "cli.h"
#include "columns.h"
#include "masks_out.h"

#include "base/base.h"
#include "base/signature.h"
#include "base/sink.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    int top, precision;
    bool skip_damaged;
    const char *backend, *out;
    cli_shapes shape;
} options;

static const cli_option predict_options[] = {
    {"top", CLI_WHOLE, offsetof(options, top), "N", "3", 1, 1000000,
     "how many classes to show for each image, the most probable first"},
    {"out", CLI_TEXT, offsetof(options, out), "PATH", NULL, 0, 0,
     "also write a table of path, class and probability, or of labels or numbers, to this file; "
     "or, of a model for segmentation, the masks and overlays to this folder"},
    {"precision", CLI_CHOICE, offsetof(options, precision), CLI_PRECISIONS, "f32", 0, 0,
     CLI_PRECISION_HELP},
    {"skip-damaged", CLI_FLAG, offsetof(options, skip_damaged), NULL, NULL, 0, 0,
     "files that cannot be read are named as otherwise, but no reason to fail"},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", "cpu", 0, 0, CLI_BACKEND_HELP},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0, CLI_SHAPE_HELP},
    {.name = NULL},
};

/* A class and what the model gives it. */
typedef struct guess {
    int class_index;
    float probability;
} guess;

/* Descending; equals in the order of the classes. */
static int compare(const void *a, const void *b)
{
    const guess *x = a, *y = b;
    if (x->probability != y->probability) return x->probability < y->probability ? 1 : -1;
    return x->class_index - y->class_index;
}

/* What predicting needs, made once for all images. */
typedef struct predictor {
    const options *o;
    cn_model *model;
    cn_session *session;
    guess *guesses;
    int classes, predicted, skipped;
    bool pixels;  /* a class for each pixel */
    bool targets; /* labels or numbers */
    float *row;   /* these, of the image at hand */
    cn_sink *table;
} predictor;

static void print_text(const predictor *p, const char *file)
{
    enum { BAR = 30 };
    static const char bar[] = "##############################";
    char number[CLI_COUNT_TEXT], cell[CLI_CELL];
    int names = 1;
    for (int i = 0; i < p->o->top && i < p->classes; i++) {
        int length = cli_name_width(cli_class_name(p->model, p->guesses[i].class_index, number));
        if (length > names) names = length;
    }
    printf("%s\n", cli_cell(file, cli_name_width(file), false, cell));
    for (int i = 0; i < p->o->top && i < p->classes; i++) {
        const guess *g = &p->guesses[i];
        int filled = g->probability > 0 ? (int)(g->probability * BAR + 0.5f) : 0;
        printf("  %s  %6.2f %%%s%.*s\n",
               cli_cell(cli_class_name(p->model, g->class_index, number), names, false, cell),
               100 * (double)g->probability, filled ? "  " : "", filled < BAR ? filled : BAR, bar);
    }
}

static void print_as_json(const predictor *p, const char *file)
{
    char number[CLI_COUNT_TEXT];
    json_t *object = json_object(), *rows = json_array();
    for (int i = 0; i < p->o->top && i < p->classes; i++) {
        json_t *row = json_object();
        cli_put_text(row, "class", cli_class_name(p->model, p->guesses[i].class_index, number));
        cli_put_number(row, "probability", (double)p->guesses[i].probability);
        json_array_append_new(rows, row);
    }
    cli_put_text(object, "file", file);
    cli_put_text(object, "class", cli_class_name(p->model, p->guesses[0].class_index, number));
    cli_put_number(object, "probability", (double)p->guesses[0].probability);
    json_object_set_new(object, "top", rows);
    cli_print_json(object);
}

/* The outputs as guesses, the best first. A single output is the probability of class 1. */
static void rank(predictor *p, const cn_tensor *Y)
{
    const float *y = Y->data;
    bool single = cn_model_output_size(p->model) == 1;
    for (int i = 0; i < p->classes; i++)
        p->guesses[i] = (guess){i, !single ? y[i] : i == 1 ? y[0] : 1 - y[0]};
    qsort(p->guesses, (size_t)p->classes, sizeof *p->guesses, compare);
}

/* How many of the pixels are of each class, as guesses. */
static void rank_pixels(predictor *p, const cn_tensor *mask)
{
    const uint8_t *value = mask->data;
    size_t n = cn_tensor_count(mask), counts[256] = {0}, seen = 0;
    for (size_t i = 0; i < n; i++) counts[value[i]]++;
    for (int i = 0; i < p->classes; i++) seen += counts[i];
    for (int i = 0; i < p->classes; i++)
        p->guesses[i] = (guess){i, seen ? (float)counts[i] / (float)seen : 0};
    qsort(p->guesses, (size_t)p->classes, sizeof *p->guesses, compare);
}

/* ---- the table */

static cn_status write_row(const predictor *p, const char *file, cn_error *err)
{
    char number[CLI_COUNT_TEXT], probability[CLI_COUNT_TEXT];
    snprintf(probability, sizeof probability, "%.6f", (double)p->guesses[0].probability);
    cn_status status = cli_write_field(p->table, file, ",", err);
    if (status == CN_OK)
        status = cli_write_field(
            p->table, cli_class_name(p->model, p->guesses[0].class_index, number), ",", err);
    return status == CN_OK ? cli_write_field(p->table, probability, "\n", err) : status;
}

static cn_status open_table(predictor *p, cn_error *err)
{
    static const char head[] = "path,class,probability\n";
    if (!p->o->out || p->pixels) return CN_OK;
    cn_status status = cn_sink_open(&p->table, p->o->out, err);
    if (status == CN_OK && p->targets) return cli_write_answers_head(p->table, p->model, err);
    return status == CN_OK ? cn_sink_write(p->table, head, sizeof head - 1, err) : status;
}

/* ---- an image */

static cn_status predict_classes(predictor *p, const cli_input *input, cn_error *err)
{
    cn_tensor X = {0}, Y = {0};
    cn_status status = cn_image_load_for(p->model, input->path, &X, err);
    if (status == CN_OK) status = cn_session_predict(p->session, &X, &Y, err);
    if (status == CN_OK && p->targets) {
        memcpy(p->row, Y.data, (size_t)p->classes * sizeof *p->row);
        cn_model_restore_targets(p->model, 1, p->row);
        if (p->table) status = cli_write_answers(p->table, p->model, input->path, p->row, err);
        goto done;
    }
    if (status == CN_OK) rank(p, &Y);
    if (status == CN_OK && p->table) status = write_row(p, input->path, err);
done:
    cn_tensor_free(&X);
    cn_tensor_free(&Y);
    return status;
}

static cn_status predict_pixels(predictor *p, const cli_input *input, cn_error *err)
{
    cn_tensor image = {0}, mask = {0};
    cn_status status = cn_image_load(&image, input->path, err);
    if (status == CN_OK) status = cn_session_segment(p->session, &image, &mask, err);
    if (status == CN_OK) rank_pixels(p, &mask);
    if (status == CN_OK && p->o->out)
        status = cli_write_masks(p->o->out, input, &image, &mask, err);
    cn_tensor_free(&image);
    cn_tensor_free(&mask);
    return status;
}

static int predict_file(predictor *p, const cli_input *input)
{
    cn_error err;
    if (input->is_empty)
        return cli_error("predict", "%s: no images in this folder, nor below it", input->path);
    cn_status status = p->pixels ? predict_pixels(p, input, &err) : predict_classes(p, input, &err);
    bool damaged = status == CN_ERR_FORMAT || status == CN_ERR_IO || status == CN_ERR_UNSUPPORTED;
    if (damaged && p->o->skip_damaged) {
        p->skipped++;
        cli_say(&p->o->common, "convnet predict: skipped %s", err.text);
        return CLI_DONE;
    }
    if (status != CN_OK) return cli_error("predict", "%s", err.text);
    p->predicted++;
    if (p->targets && p->o->common.json)
        cli_print_answers_json(p->model, input->path, p->row);
    else if (p->targets)
        cli_print_answers(p->model, input->path, p->row);
    else if (p->o->common.json)
        print_as_json(p, input->path);
    else
        print_text(p, input->path);
    return CLI_DONE;
}

/* Says that the arguments are in the wrong order, where they are. */
static bool are_swapped(const char *model, const char *image)
{
    const cn_signature *first = cn_signature_of_file(model);
    const cn_signature *second = cn_signature_of_file(image);
    if (!first || !second || first->kind != CN_SIGNATURE_IMAGE ||
        second->kind != CN_SIGNATURE_MODEL)
        return false;
    cli_error("predict", "%s is %s, and %s the model: the model comes first", model, first->name,
              image);
    return true;
}

/* The model, a session, and what the images are listed in. */
static cn_status prepare(predictor *p, cli_inputs *inputs, int count, char *const *operands,
                         cn_error *err)
{
    cn_session_opts opts = {.batch = 1,
                            .threads = p->o->common.threads,
                            .precision = (cn_precision)p->o->precision,
                            .backend = p->o->backend};
    int rank;
    cn_status status = cli_load_model(&p->model, operands[0], &p->o->shape, err);
    if (status == CN_OK) status = cn_model_end_in_softmax(&p->model, err);
    if (status == CN_OK) status = cn_session_create(&p->session, p->model, &opts, err);
    if (status != CN_OK) return status;
    const int *shape = cn_model_output_shape(p->model, &rank);
    p->pixels = rank == 3;
    p->classes = p->pixels ? shape[2] : cn_model_output_size(p->model);
    p->targets = cn_task_has_targets(cn_model_task(p->model));
    if (p->classes == 1 && !p->targets) p->classes = 2;
    p->guesses = malloc((size_t)p->classes * sizeof *p->guesses);
    p->row = malloc((size_t)p->classes * sizeof *p->row);
    if (!p->guesses || !p->row) return cn_fail(err, CN_ERR_MEMORY, "out of memory");
    status = cli_inputs_find(inputs, count - 1, operands + 1, err);
    if (status == CN_OK && p->pixels && p->o->out) status = cli_check_masks_out(inputs, err);
    return status == CN_OK ? open_table(p, err) : status;
}

static int run(const void *given, int count, char *const *operands)
{
    predictor p = {.o = given};
    cli_inputs inputs = {.items = NULL};
    cn_error err;
    int code = CLI_DONE;

    if (are_swapped(operands[0], operands[1])) return CLI_USAGE;
    if (prepare(&p, &inputs, count, operands, &err) != CN_OK) {
        code = cli_error("predict", "%s", err.text);
        goto done;
    }
    for (int i = 0; i < inputs.count; i++)
        if (predict_file(&p, &inputs.items[i]) != CLI_DONE) code = CLI_FAILED;
    if (p.table && p.predicted && cn_sink_commit(p.table, &err) != CN_OK)
        code = cli_error("predict", "%s", err.text);
    if (p.skipped)
        cli_say(&p.o->common, "convnet predict: skipped %d damaged image%s of %d", p.skipped,
                cn_plural(p.skipped), inputs.count);
done:
    cn_sink_close(p.table);
    cli_inputs_free(&inputs);
    free(p.guesses);
    free(p.row);
    cn_session_free(p.session);
    cn_model_free(p.model);
    return code;
}

const cli_command cli_predict = {
    .name = "predict",
    .summary = "says what a model sees in images",
    .operands = "FILE IMAGE|FOLDER...",
    .min_operands = 2,
    .max_operands = 1 << 30,
    .help = "FILE is what convnet train wrote; each IMAGE is an image file, which"
            " is made what the model takes as its training images were: turned as Exif says, "
            "cropped around its center, resized, in color or gray. Prints the "
            "most probable classes of each. An image that cannot be read is named, the "
            "others are still looked at, and the exit status is 1, or 0 with --skip-damaged. Of a "
            "FOLDER, all images at every depth are looked at.\n"
            "\n"
            "A model for segmentation has a class for each pixel: the parts of the image that the "
            "classes take are printed, and with --out DIR its mask is written to DIR/masks, as a "
            "PNG image with a palette, and the image with the mask's colors over it to "
            "DIR/overlays, both of the image's own size.\n"
            "\n"
            "Of a model for several labels per image, all labels above their thresholds are "
            "printed; of one for numbers, these. --out FILE then has a column for each of them.\n"
            "\n"
            "A model knows images like those it has learnt from: MNIST's digits are white "
            "on black, so a black digit on white paper has to be inverted before.\n"
            "\n"
            "Examples\n"
            "  convnet predict lenet5.safetensors digit.png\n"
            "  convnet predict lenet5.safetensors --top 1 --json *.png\n"
            "  convnet predict lenet5.safetensors digits/ --out predictions.csv\n"
            "  convnet predict unet-small.safetensors photos/ --out found\n",
    .options = predict_options,
    .unused = {"seed"},
    .size = sizeof(options),
    .run = run,
};

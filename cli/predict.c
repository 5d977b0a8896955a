/* predict.c - `convnet predict`: what a model sees in images. */
#include "cli.h"

#include "base/base.h"

#include "base/signature.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    int top, precision;
    bool skip_damaged;
    const char *backend;
} options;

static const cli_option predict_options[] = {
    {"top", CLI_WHOLE, offsetof(options, top), "N", "3", 1, 1000000,
     "how many classes to show for each image, the most probable first"},
    {"precision", CLI_CHOICE, offsetof(options, precision), CLI_PRECISIONS, "f32", 0, 0,
     CLI_PRECISION_HELP},
    {"skip-damaged", CLI_FLAG, offsetof(options, skip_damaged), NULL, NULL, 0, 0,
     "files that cannot be read are named as otherwise, but no reason to fail"},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", "cpu", 0, 0, CLI_BACKEND_HELP},
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
    int classes, skipped;
} predictor;

static const char *class_name(const predictor *p, int i, char number[CLI_COUNT_TEXT])
{
    const char *name = cn_model_class_name(p->model, i);
    snprintf(number, CLI_COUNT_TEXT, "%d", i);
    return name ? name : number;
}

static void print_text(const predictor *p, const char *file)
{
    enum { BAR = 30 };
    static const char bar[] = "##############################";
    char number[CLI_COUNT_TEXT], cell[CLI_CELL];
    int names = 1;
    for (int i = 0; i < p->o->top && i < p->classes; i++) {
        int length = cli_name_width(class_name(p, p->guesses[i].class_index, number));
        if (length > names) names = length;
    }
    printf("%s\n", cli_cell(file, cli_name_width(file), false, cell));
    for (int i = 0; i < p->o->top && i < p->classes; i++) {
        const guess *g = &p->guesses[i];
        int filled = g->probability > 0 ? (int)(g->probability * BAR + 0.5f) : 0;
        printf("  %s  %6.2f %%%s%.*s\n",
               cli_cell(class_name(p, g->class_index, number), names, false, cell),
               100 * (double)g->probability, filled ? "  " : "", filled < BAR ? filled : BAR, bar);
    }
}

static void print_as_json(const predictor *p, const char *file)
{
    char number[CLI_COUNT_TEXT];
    json_t *object = json_object(), *rows = json_array();
    for (int i = 0; i < p->o->top && i < p->classes; i++) {
        json_t *row = json_object();
        cli_put_text(row, "class", class_name(p, p->guesses[i].class_index, number));
        cli_put_number(row, "probability", (double)p->guesses[i].probability);
        json_array_append_new(rows, row);
    }
    cli_put_text(object, "file", file);
    cli_put_text(object, "class", class_name(p, p->guesses[0].class_index, number));
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

static int predict_file(predictor *p, const char *file)
{
    cn_tensor X = {0}, Y = {0};
    cn_error err;
    cn_status status = cn_image_load_for(p->model, file, &X, &err);
    if (status != CN_OK && status != CN_ERR_MEMORY && p->o->skip_damaged) {
        p->skipped++;
        cli_say(&p->o->common, "convnet predict: skipped %s", err.text);
        return CLI_DONE;
    }
    if (status == CN_OK) status = cn_session_predict(p->session, &X, &Y, &err);
    if (status == CN_OK) {
        rank(p, &Y);
        if (p->o->common.json)
            print_as_json(p, file);
        else
            print_text(p, file);
    }
    cn_tensor_free(&X);
    cn_tensor_free(&Y);
    return status == CN_OK ? CLI_DONE : cli_error("predict", "%s", err.text);
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

static int run(const void *given, int count, char *const *operands)
{
    predictor p = {.o = given};
    cn_error err;
    int code = CLI_FAILED;

    cn_session_opts opts = {.batch = 1,
                            .threads = p.o->common.threads,
                            .precision = (cn_precision)p.o->precision,
                            .backend = p.o->backend};
    if (are_swapped(operands[0], operands[1])) return CLI_USAGE;
    if (cn_model_load(&p.model, operands[0], &err) != CN_OK ||
        cn_model_end_in_softmax(&p.model, &err) != CN_OK ||
        cn_session_create(&p.session, p.model, &opts, &err) != CN_OK) {
        cli_error("predict", "%s", err.text);
        goto done;
    }
    p.classes = cn_model_output_size(p.model);
    if (p.classes == 1) p.classes = 2;
    p.guesses = malloc((size_t)p.classes * sizeof *p.guesses);
    if (!p.guesses) {
        cli_error("predict", "out of memory");
        goto done;
    }
    code = CLI_DONE;
    for (int i = 1; i < count; i++)
        if (predict_file(&p, operands[i]) != CLI_DONE) code = CLI_FAILED;
    if (p.skipped)
        cli_say(&p.o->common, "convnet predict: skipped %d damaged image%s of %d", p.skipped,
                cn_plural(p.skipped), count - 1);
done:
    free(p.guesses);
    cn_session_free(p.session);
    cn_model_free(p.model);
    return code;
}

const cli_command cli_predict = {
    .name = "predict",
    .summary = "says what a model sees in images",
    .operands = "FILE IMAGE...",
    .min_operands = 2,
    .max_operands = 1 << 30,
    .help = "FILE is what convnet train wrote; each IMAGE is a PNG, JPEG or PNM file, which"
            " is made what the model takes as its training images were: turned as Exif says, "
            "cropped around its center, resized, in colour or grey. Prints the "
            "most probable classes of each. An image that cannot be read is named, the "
            "others are still looked at, and the exit status is 1, or 0 with --skip-damaged.\n"
            "\n"
            "A model knows images like those it has learnt from: MNIST's digits are white "
            "on black, so a black digit on white paper has to be inverted before.\n"
            "\n"
            "Examples\n"
            "  convnet predict lenet5.safetensors digit.png\n"
            "  convnet predict lenet5.safetensors --top 1 --json *.png\n",
    .options = predict_options,
    .size = sizeof(options),
    .run = run,
};

/* evaluate.c - `convnet evaluate`: how good a model is on a set of images. */
#include "columns.h"
#include "reading.h"

#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    const char *data;
    int split, tta, precision, loss;
    bool skip_damaged;
    size_t memory;
    const char *backend;
    cli_shapes shape;
} options;

static const cli_option evaluate_options[] = {
    {"data", CLI_TEXT, offsetof(options, data), "SPEC", "digits", 0, 0,
     "the images: digits, a folder or KIND:PATH, as for convnet train"},
    {"split", CLI_CHOICE, offsetof(options, split), "auto|test|train|valid|all", "auto", 0, 0,
     "which part of them: auto is the images set apart for testing, or all where none are; with "
     "test, every fifth where none are"},
    {"tta", CLI_CHOICE, offsetof(options, tta), "none|mirror|shift", "none", 0, 0,
     "average over views of each image: it and its mirror image, or both moved by a pixel, too"},
    {"precision", CLI_CHOICE, offsetof(options, precision), CLI_PRECISIONS, "f32", 0, 0,
     CLI_PRECISION_HELP},
    {"loss", CLI_CHOICE, offsetof(options, loss), CLI_LOSSES, "auto", 0, 0,
     "what to measure; auto is the loss that the model was trained with"},
    {"skip-damaged", CLI_FLAG, offsetof(options, skip_damaged), NULL, NULL, 0, 0, CLI_SKIP_HELP},
    {"memory", CLI_BYTES, offsetof(options, memory), "SIZE", NULL, 0, 0, CLI_MEMORY_HELP},
    {"backend", CLI_TEXT, offsetof(options, backend), "NAME", "cpu", 0, 0, CLI_BACKEND_HELP},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0, CLI_SHAPE_HELP},
    {.name = NULL},
};

/* A model's confusions: [label][prediction], with the names of both. */
typedef struct confusion {
    const cn_dataset *data;
    const int64_t *counts;
    int classes;
} confusion;

static int64_t at(const confusion *c, int label, int named)
{
    return c->counts[(size_t)label * (size_t)c->classes + (size_t)named];
}

static int64_t row_sum(const confusion *c, int label)
{
    int64_t sum = 0;
    for (int k = 0; k < c->classes; k++) sum += at(c, label, k);
    return sum;
}

/* Of the images of a class, the part that is recognized; NAN where there are none. */
static double recall(const confusion *c, int label)
{
    int64_t sum = row_sum(c, label);
    return sum ? (double)at(c, label, label) / (double)sum : NAN;
}

/* Of the pixels that are of a class or taken for it, those that are both; NAN where there are none.
 */
static double iou(const confusion *c, int label)
{
    int64_t both = at(c, label, label), any = row_sum(c, label) - both;
    for (int k = 0; k < c->classes; k++) any += at(c, k, label);
    return any ? (double)both / (double)any : NAN;
}

static double dice(double overlap)
{
    return 2 * overlap / (1 + overlap);
}

/* Names that a table has no room for are cut. */
enum { NAME_WIDTH = 14, TABLE_CLASSES = 40 };

static int digits_of(int64_t n)
{
    int digits = 1;
    while (n >= 10) {
        n /= 10;
        digits++;
    }
    return digits;
}

static void print_confusions(const confusion *c)
{
    char cell[CLI_CELL];
    int names = 5, cells = 3;
    for (int i = 0; i < c->classes; i++) {
        int length = cli_name_width(cn_dataset_class_name(c->data, i));
        if (length > names) names = length < NAME_WIDTH ? length : NAME_WIDTH;
        for (int k = 0; k < c->classes; k++)
            if (digits_of(at(c, i, k)) > cells) cells = digits_of(at(c, i, k));
    }
    bool matrix = c->classes <= TABLE_CLASSES;
    printf("\n%-*s  %8s  %7s%s\n", names, "class", "images", "recall", matrix ? "  taken for" : "");
    if (matrix) {
        printf("%*s  %8s  %7s ", names, "", "", "");
        for (int k = 0; k < c->classes; k++)
            printf(" %s", cli_cell(cn_dataset_class_name(c->data, k), cells, true, cell));
        putchar('\n');
    }
    for (int i = 0; i < c->classes; i++) {
        printf("%s  %8lld  ", cli_cell(cn_dataset_class_name(c->data, i), names, false, cell),
               (long long)row_sum(c, i));
        if (row_sum(c, i))
            printf("%5.1f %% ", 100 * recall(c, i));
        else
            printf("%7s ", "-");
        for (int k = 0; matrix && k < c->classes; k++) {
            if (at(c, i, k))
                printf(" %*lld", cells, (long long)at(c, i, k));
            else
                printf(" %*s", cells, ".");
        }
        putchar('\n');
    }
}

/* A row for each class of pixels. */
static void print_overlaps(const confusion *c)
{
    char cell[CLI_CELL], pixels[CLI_COUNT_TEXT];
    int names = 5;
    for (int i = 0; i < c->classes; i++) {
        int length = cli_name_width(cn_dataset_class_name(c->data, i));
        if (length > names) names = length < NAME_WIDTH ? length : NAME_WIDTH;
    }
    printf("\n%-*s  %13s  %7s  %6s  %6s\n", names, "class", "pixels", "recall", "IoU", "Dice");
    for (int i = 0; i < c->classes; i++) {
        printf("%s  %13s  ", cli_cell(cn_dataset_class_name(c->data, i), names, false, cell),
               cli_count_text((size_t)row_sum(c, i), pixels));
        if (row_sum(c, i))
            printf("%5.1f %%  ", 100 * recall(c, i));
        else
            printf("%7s  ", "-");
        if (isnan(iou(c, i)))
            printf("%6s  %6s\n", "-", "-");
        else
            printf("%6.4f  %6.4f\n", iou(c, i), dice(iou(c, i)));
    }
}

/* The words of --split, as they stand in results. */
static const struct {
    const char *title, *accuracy, *loss;
} parts[] = {{"Test", "test_accuracy", "test_loss"},
             {"Test", "test_accuracy", "test_loss"},
             {"Train", "train_accuracy", "train_loss"},
             {"Validation", "valid_accuracy", "valid_loss"},
             {"Overall", "all_accuracy", "all_loss"}};

static void print_as_json(const options *o, const char *file, const cn_metrics *m,
                          const confusion *c, const cn_column_metrics *columns)
{
    json_t *object = json_object(), *rows = json_array(), *recalls = json_object();
    json_t *ious = json_object(), *dices = json_object();
    bool masks = cn_dataset_task(c->data) == CN_TASK_SEGMENTATION;
    cli_put_text(object, "model", file);
    cli_put_number(object, parts[o->split].accuracy, m->accuracy);
    cli_put_number(object, parts[o->split].loss, m->loss);
    cli_put_whole(object, "count", (size_t)m->count);
    if (columns) cli_put_targets(object, c->data, m, columns);
    if (masks) {
        cli_put_whole(object, "pixels", (size_t)m->judged);
        cli_put_number(object, "mean_iou", m->mean_iou);
        cli_put_number(object, "mean_dice", m->mean_dice);
    }
    if (!columns || m->judged > 0) cli_put_whole(object, "correct", (size_t)m->correct);
    for (int i = 0; i < c->classes && !columns; i++) {
        json_t *row = json_array();
        for (int k = 0; k < c->classes; k++) json_array_append_new(row, json_integer(at(c, i, k)));
        json_array_append_new(rows, row);
        const char *name = cn_dataset_class_name(c->data, i);
        cli_put_number(recalls, name, recall(c, i));
        cli_put_number(ious, name, iou(c, i));
        cli_put_number(dices, name, dice(iou(c, i)));
    }
    if (!columns) json_object_set(object, "recall", recalls);
    json_decref(recalls);
    if (masks) {
        json_object_set(object, "iou", ious);
        json_object_set(object, "dice", dices);
    }
    json_decref(ious);
    json_decref(dices);
    if (!columns) json_object_set(object, "confusion", rows);
    json_decref(rows);
    cli_put_number(object, "seconds", m->seconds);
    cli_print_json(object);
}

static int report(const options *o, const char *file, const cn_metrics *m, const confusion *c,
                  const cn_column_metrics *columns)
{
    char correct[CLI_COUNT_TEXT], count[CLI_COUNT_TEXT];
    if (o->common.json) {
        print_as_json(o, file, m, c, columns);
        return CLI_DONE;
    }
    if (columns) {
        cli_print_targets(c->data, parts[o->split].title, m);
        cli_print_columns(c->data, columns);
        return CLI_DONE;
    }
    if (cn_dataset_task(c->data) == CN_TASK_SEGMENTATION) {
        printf("%s mean IoU %.4f, mean Dice %.4f, pixel accuracy %.2f %% (%s of %s), loss %.4f\n",
               parts[o->split].title, m->mean_iou, m->mean_dice, 100 * m->accuracy,
               cli_count_text((size_t)m->correct, correct),
               cli_count_text((size_t)m->judged, count), m->loss);
        print_overlaps(c);
        return CLI_DONE;
    }
    printf("%s accuracy %.2f %% (%s of %s), loss %.4f\n", parts[o->split].title, 100 * m->accuracy,
           cli_count_text((size_t)m->correct, correct), cli_count_text((size_t)m->count, count),
           m->loss);
    print_confusions(c);
    return CLI_DONE;
}

/* What is measured, and where the counts go. */
typedef struct job {
    const cli_ranks *ranks;
    cn_model *model;
    cn_dataset *data;
    int64_t *counts;
    cn_column_metrics *columns; /* of labels or numbers, else NULL */
    int classes;
} job;

static int get_ready(const options *o, const char *file, job *j)
{
    static const cn_subset splits[] = {CN_SUBSET_TEST_OR_ALL, CN_SUBSET_TEST, CN_SUBSET_TRAIN,
                                       CN_SUBSET_VALIDATION, CN_SUBSET_ALL};
    cn_error err;
    cli_reading reading;
    cn_status status = cli_load_model(&j->model, file, &o->shape, &err);
    if (status == CN_OK) status = cn_model_end_in_softmax(&j->model, &err);
    cli_reading_begin(&reading, &o->common, o->memory, j->ranks);
    reading.opts.skip_damaged = o->skip_damaged;
    reading.opts.model = j->model;
    if (status == CN_OK)
        status = cli_reading_load(&reading, &j->data, o->data, splits[o->split], &err);
    if (status != CN_OK) return cli_error("evaluate", "%s", err.text);
    if (!j->data)
        return cli_error("evaluate",
                         "%s: no images to validate on; training holds out some of --split "
                         "train",
                         o->data);
    if (cn_dataset_match_classes(j->data, j->model, &err) != CN_OK)
        return cli_error("evaluate", "%s on %s: %s", file, o->data, err.text);
    cli_say_remarks(&o->common, "evaluate", j->data, NULL);
    j->classes = cn_dataset_classes(j->data);
    j->counts = calloc((size_t)j->classes * (size_t)j->classes, sizeof *j->counts);
    if (cli_has_targets(j->data)) j->columns = calloc((size_t)j->classes, sizeof *j->columns);
    bool made = j->counts && (j->columns || !cli_has_targets(j->data));
    return made ? CLI_DONE : cli_error("evaluate", "out of memory");
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    const char *file = operands[0];
    cli_ranks ranks;
    job j = {.ranks = &ranks};
    cn_metrics metrics;
    cn_error err;
    (void)count;

    int code = cli_ranks_open(&ranks, "evaluate");
    if (code == CLI_DONE) code = get_ready(o, file, &j);
    code = cli_ranks_agree(&ranks, code);
    if (code == CLI_DONE) {
        /* The words stand in the order of the enums. */
        cn_evaluate_opts opts = {.threads = o->common.threads,
                                 .tta = (cn_tta)o->tta,
                                 .precision = (cn_precision)o->precision,
                                 .loss = (cn_loss_kind)o->loss,
                                 .backend = o->backend,
                                 .communicator = cli_ranks_communicator(&ranks)};
        cn_status status =
            j.columns ? cn_evaluate_columns(j.model, j.data, &opts, &metrics, j.columns, &err)
                      : cn_evaluate(j.model, j.data, &opts, &metrics, j.counts, &err);
        if (status == CN_OK)
            code = report(o, file, &metrics,
                          &(confusion){.data = j.data, .counts = j.counts, .classes = j.classes},
                          j.columns);
        else
            code = cli_error("evaluate", "%s on %s: %s", file, o->data, err.text);
    }
    cli_ranks_close(&ranks);
    free(j.counts);
    free(j.columns);
    cn_dataset_free(j.data);
    cn_model_free(j.model);
    return code;
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .summary = "measures a model: accuracy, loss, what it takes for what",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .help = "FILE is what convnet train wrote. Prints the accuracy and the loss, then a row "
            "for each class: how many images it has, how many of them are recognized "
            "(recall), and what they were taken for.\n"
            "\n"
            "All images are looked at, unless some of them are set apart for testing, which is "
            "then what counts; --split chooses another part. Classes are matched by their names; "
            "images "
            "of a class that the model does not have count as wrong.\n"
            "\n"
            "Examples\n"
            "  convnet evaluate digits.safetensors\n"
            "  convnet evaluate digits.safetensors --split train\n"
            "  convnet evaluate digits.safetensors --tta shift\n"
            "  convnet evaluate lenet5.safetensors --data mnist:DIR --json\n",
    .options = evaluate_options,
    .unused = {"seed"},
    .size = sizeof(options),
    .run = run,
};

/* columns.c - several labels per image, and numbers: what is printed of them. */
#include "columns.h"

#include "base/base.h"
#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool cli_has_targets(const cn_dataset *data)
{
    return cn_dataset_targets(data) != NULL;
}

const char *cli_class_name(const cn_model *model, int i, char number[CLI_COUNT_TEXT])
{
    const char *name = cn_model_class_name(model, i);
    snprintf(number, CLI_COUNT_TEXT, "%d", i);
    return name ? name : number;
}

static bool has_labels(const cn_dataset *data)
{
    return cn_dataset_task(data) == CN_TASK_MULTI_LABEL;
}

/* ---- how good a model is */

void cli_print_targets(const cn_dataset *data, const char *title, const cn_metrics *m)
{
    char correct[CLI_COUNT_TEXT], count[CLI_COUNT_TEXT];
    if (has_labels(data))
        printf(
            "%s mean average precision %.4f, mean AUC %.4f, mean F1 %.4f, label accuracy %.2f %% "
            "(%s of %s), loss %.4f\n",
            title, m->mean_average_precision, m->mean_auc, m->mean_f1, 100 * m->accuracy,
            cli_count_text((size_t)m->correct, correct), cli_count_text((size_t)m->judged, count),
            m->loss);
    else
        printf("%s R squared %.4f, mean absolute error %.6g, mean squared error %.6g, loss %.4f\n",
               title, m->mean_r_squared, m->mean_absolute_error, m->mean_squared_error, m->loss);
}

/* A figure in a column, a dash where there is none. */
static const char *figure(double value, int digits, char text[CLI_COUNT_TEXT])
{
    if (isnan(value))
        snprintf(text, CLI_COUNT_TEXT, "-");
    else
        snprintf(text, CLI_COUNT_TEXT, digits > 4 ? "%.*g" : "%.*f", digits, value);
    return text;
}

void cli_print_columns(const cn_dataset *data, const cn_column_metrics *columns)
{
    enum { NAME_WIDTH = 20, FIGURES = 6 };
    char cell[CLI_CELL], text[FIGURES][CLI_COUNT_TEXT];
    const bool labels = has_labels(data);
    const int n = cn_dataset_classes(data);
    int names = 5;
    for (int i = 0; i < n; i++) {
        int length = cli_name_width(cn_dataset_class_name(data, i));
        if (length > names) names = length < NAME_WIDTH ? length : NAME_WIDTH;
    }
    if (labels)
        printf("\n%-*s  %8s  %9s  %9s  %7s  %7s  %9s  %7s\n", names, "label", "images", "threshold",
               "precision", "recall", "F1", "avg. prec", "AUC");
    else
        printf("\n%-*s  %13s  %15s  %15s\n", names, "number", "R squared", "mean abs. error",
               "mean sq. error");
    for (int i = 0; i < n; i++) {
        const cn_column_metrics *c = &columns[i];
        printf("%s  ", cli_cell(cn_dataset_class_name(data, i), names, false, cell));
        if (labels)
            printf("%8d  %9s  %9s  %7s  %7s  %9s  %7s\n", c->positives,
                   figure(c->threshold, 4, text[0]), figure(c->precision, 4, text[1]),
                   figure(c->recall, 4, text[2]), figure(c->f1, 4, text[3]),
                   figure(c->average_precision, 4, text[4]), figure(c->auc, 4, text[5]));
        else
            printf("%13s  %15s  %15s\n", figure(c->r_squared, 4, text[0]),
                   figure(c->mean_absolute_error, 6, text[1]),
                   figure(c->mean_squared_error, 6, text[2]));
    }
}

/* What of a column becomes an object of its own, for labels or for numbers. */
static const struct member {
    const char *key;
    bool labels;
    size_t offset;
} members[] = {
    {"average_precision", true, offsetof(cn_column_metrics, average_precision)},
    {"auc", true, offsetof(cn_column_metrics, auc)},
    {"f1", true, offsetof(cn_column_metrics, f1)},
    {"precision", true, offsetof(cn_column_metrics, precision)},
    {"recall", true, offsetof(cn_column_metrics, recall)},
    {"threshold", true, offsetof(cn_column_metrics, threshold)},
    {"r_squared", false, offsetof(cn_column_metrics, r_squared)},
    {"absolute_error", false, offsetof(cn_column_metrics, mean_absolute_error)},
    {"squared_error", false, offsetof(cn_column_metrics, mean_squared_error)},
};

void cli_put_targets(json_t *object, const cn_dataset *data, const cn_metrics *m,
                     const cn_column_metrics *columns)
{
    const bool labels = has_labels(data);
    double value;
    if (labels) {
        cli_put_number(object, "mean_average_precision", m->mean_average_precision);
        cli_put_number(object, "mean_auc", m->mean_auc);
        cli_put_number(object, "mean_f1", m->mean_f1);
    } else {
        cli_put_number(object, "mean_r_squared", m->mean_r_squared);
        cli_put_number(object, "mean_absolute_error", m->mean_absolute_error);
        cli_put_number(object, "mean_squared_error", m->mean_squared_error);
    }
    for (size_t k = 0; columns && k < sizeof members / sizeof *members; k++) {
        if (members[k].labels != labels) continue;
        json_t *figures = json_object();
        for (int i = 0; i < cn_dataset_classes(data); i++) {
            memcpy(&value, (const char *)&columns[i] + members[k].offset, sizeof value);
            cli_put_number(figures, cn_dataset_class_name(data, i), value);
        }
        json_object_set_new(object, members[k].key, figures);
    }
}

/* ---- what a model says of an image */

typedef struct answer {
    int label;
    float probability;
} answer;

/* Descending; equals in the order of the labels. */
static int compare(const void *a, const void *b)
{
    const answer *x = a, *y = b;
    if (x->probability != y->probability) return x->probability < y->probability ? 1 : -1;
    return x->label - y->label;
}

/* The labels above their thresholds, the most probable first; NULL: no memory. */
static answer *above(const cn_model *model, const float *y, int *count)
{
    int n = cn_model_output_size(model);
    answer *found = malloc((size_t)n * sizeof *found);
    *count = 0;
    for (int i = 0; found && i < n; i++)
        if (y[i] > cn_model_threshold(model, i)) found[(*count)++] = (answer){i, y[i]};
    if (found && *count) qsort(found, (size_t)*count, sizeof *found, compare);
    return found;
}

void cli_print_answers(const cn_model *model, const char *file, const float *y)
{
    char number[CLI_COUNT_TEXT], cell[CLI_CELL];
    const int n = cn_model_output_size(model);
    int names = 1, count = 0;
    for (int i = 0; i < n; i++) {
        int length = cli_name_width(cli_class_name(model, i, number));
        if (length > names) names = length;
    }
    printf("%s\n", cli_cell(file, cli_name_width(file), false, cell));
    if (cn_model_task(model) == CN_TASK_REGRESSION) {
        for (int i = 0; i < n; i++)
            printf("  %s  %.6g\n", cli_cell(cli_class_name(model, i, number), names, false, cell),
                   (double)y[i]);
        return;
    }
    answer *found = above(model, y, &count);
    for (int i = 0; i < count; i++)
        printf("  %s  %6.2f %%\n",
               cli_cell(cli_class_name(model, found[i].label, number), names, false, cell),
               100 * (double)found[i].probability);
    if (count == 0) printf("  no label is above its threshold\n");
    free(found);
}

void cli_print_answers_json(const cn_model *model, const char *file, const float *y)
{
    char number[CLI_COUNT_TEXT];
    const bool labels = cn_model_task(model) == CN_TASK_MULTI_LABEL;
    const int n = cn_model_output_size(model);
    json_t *object = json_object(), *values = json_object();
    int count = 0;
    cli_put_text(object, "file", file);
    if (labels) {
        answer *found = above(model, y, &count);
        json_t *list = json_array();
        for (int i = 0; i < count; i++) {
            json_t *holder = json_object();
            cli_put_text(holder, "name", cli_class_name(model, found[i].label, number));
            json_array_append(list, json_object_get(holder, "name"));
            json_decref(holder);
        }
        json_object_set_new(object, "labels", list);
        free(found);
    }
    for (int i = 0; i < n; i++)
        cli_put_number(values, cli_class_name(model, i, number), (double)y[i]);
    json_object_set_new(object, labels ? "probabilities" : "values", values);
    cli_print_json(object);
}

/* ---- the table */

cn_status cli_write_field(cn_sink *sink, const char *text, const char *end, cn_error *err)
{
    bool plain = !strpbrk(text, ",\"\r\n");
    cn_status status = plain ? CN_OK : cn_sink_write(sink, "\"", 1, err);
    for (; status == CN_OK && *text; text++) {
        if (*text == '"') status = cn_sink_write(sink, "\"", 1, err);
        if (status == CN_OK) status = cn_sink_write(sink, text, 1, err);
    }
    if (status == CN_OK && !plain) status = cn_sink_write(sink, "\"", 1, err);
    return status == CN_OK ? cn_sink_write(sink, end, strlen(end), err) : status;
}

cn_status cli_write_answers_head(cn_sink *sink, const cn_model *model, cn_error *err)
{
    char number[CLI_COUNT_TEXT];
    const int n = cn_model_output_size(model);
    cn_status status = cli_write_field(sink, "path", ",", err);
    if (status == CN_OK && cn_model_task(model) == CN_TASK_MULTI_LABEL)
        status = cli_write_field(sink, "labels", ",", err);
    for (int i = 0; i < n && status == CN_OK; i++)
        status =
            cli_write_field(sink, cli_class_name(model, i, number), i + 1 < n ? "," : "\n", err);
    return status;
}

/* "dog|cat" in place of a field. */
static cn_status write_labels(cn_sink *sink, const cn_model *model, const float *y, cn_error *err)
{
    char number[CLI_COUNT_TEXT];
    size_t size = 1, used = 0;
    int count = 0;
    answer *found = above(model, y, &count);
    for (int i = 0; i < count; i++)
        size += strlen(cli_class_name(model, found[i].label, number)) + 1;
    char *text = found ? malloc(size) : NULL;
    cn_status status = text ? CN_OK : cn_fail(err, CN_ERR_MEMORY, "out of memory");
    for (int i = 0; i < count && status == CN_OK; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? "|" : "",
                                 cli_class_name(model, found[i].label, number));
    if (text) text[used] = 0;
    if (status == CN_OK) status = cli_write_field(sink, text, ",", err);
    free(text);
    free(found);
    return status;
}

cn_status cli_write_answers(cn_sink *sink, const cn_model *model, const char *file, const float *y,
                            cn_error *err)
{
    char number[CN_NUMBER_TEXT];
    const int n = cn_model_output_size(model);
    cn_status status = cli_write_field(sink, file, ",", err);
    if (status == CN_OK && cn_model_task(model) == CN_TASK_MULTI_LABEL)
        status = write_labels(sink, model, y, err);
    for (int i = 0; i < n && status == CN_OK; i++) {
        snprintf(number, sizeof number, "%.7g", (double)y[i]);
        status = cli_write_field(sink, number, i + 1 < n ? "," : "\n", err);
    }
    return status;
}

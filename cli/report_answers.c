/* report_answers.c - a model's answers about a set, and what they say: confusion, calibration,
 * mistakes. */
#include "report.h"

#include "page.h"

#include "model/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64 };

static int class_count(const cn_model *model)
{
    int n = cn_model_output_size(model);
    return n == 1 ? 2 : n;
}

/* One output is the probability of class 1. */
static void take_rows(const cli_answers *a, int first, int m, const float *y, bool single)
{
    float *p = a->p + (size_t)first * (size_t)a->classes;
    for (int i = 0; i < m && single; i++) {
        p[2 * i] = 1 - y[i];
        p[2 * i + 1] = y[i];
    }
    if (!single) memcpy(p, y, (size_t)m * (size_t)a->classes * sizeof *p);
}

static cn_status ask(const cli_answers *a, const cn_model *model, cn_session *session, float *x,
                     float *mean, cn_error *err)
{
    const int *n = cn_dataset_shape(a->data);
    const cn_image_opts range = cn_dataset_image_opts(a->data);
    cn_status status = CN_OK;
    cn_model_normalization(model, range.low, range.high, mean, mean + n[2]);
    for (int i = 0; i < a->n && status == CN_OK; i += BATCH) {
        int m = a->n - i < BATCH ? a->n - i : BATCH, index[BATCH];
        for (int k = 0; k < m; k++) index[k] = i + k;
        status = cn_dataset_batch(a->data, index, m, mean, mean + n[2], x, NULL, err);
        if (status != CN_OK) break;
        cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, n[0], n[1], n[2]}, x), Y = {0};
        status = cn_session_predict(session, &X, &Y, err);
        if (status == CN_OK) take_rows(a, i, m, Y.data, cn_model_output_size(model) == 1);
        cn_tensor_free(&Y);
    }
    return status;
}

cn_status cli_report_check(const cn_model *model, const char *what, cn_error *err)
{
    if (!cn_task_has_targets(cn_model_task(model))) return CN_OK;
    return cn_fail(
        err, CN_ERR_UNSUPPORTED,
        "%s: a report is about one class per image, the model is for %s; convnet "
        "evaluate has its figures",
        what, cn_model_task(model) == CN_TASK_REGRESSION ? "numbers" : "several labels per image");
}

cn_status cli_answer(cli_answers *a, const cn_model *model, const cn_dataset *data, int threads,
                     cn_error *err)
{
    int rank;
    const int *n = cn_dataset_shape(data);
    cn_session *session = NULL;
    cn_session_opts opts = {.batch = BATCH, .threads = threads};
    *a = (cli_answers){.data = data, .n = cn_dataset_size(data), .classes = class_count(model)};
    cn_model_output_shape(model, &rank);
    if (rank != 1)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "report: the model's output has %d axes, expected one row of classes", rank);
    cn_status fits = cli_report_check(model, "report", err);
    if (fits != CN_OK) return fits;
    if (cn_dataset_classes(data) > a->classes)
        return cn_fail(err, CN_ERR_ARGUMENT, "report: %d classes in the data, %d in the model",
                       cn_dataset_classes(data), a->classes);
    size_t image = (size_t)n[0] * (size_t)n[1] * (size_t)n[2];
    float *x = malloc((BATCH * image + 2 * (size_t)n[2]) * sizeof *x);
    a->p = calloc((size_t)a->n * (size_t)a->classes, sizeof *a->p);
    cn_status status = x && a->p ? CN_OK : cn_fail(err, CN_ERR_MEMORY, "report: out of memory");
    if (status == CN_OK) status = cn_session_create_inference(&session, model, &opts, err);
    if (status == CN_OK) status = ask(a, model, session, x, x + BATCH * image, err);
    cn_session_free(session);
    free(x);
    return status;
}

void cli_answers_free(cli_answers *a)
{
    free(a->p);
    a->p = NULL;
}

static const float *row_of(const cli_answers *a, int i)
{
    return a->p + (size_t)i * (size_t)a->classes;
}

static int best_of(const cli_answers *a, int i)
{
    int best = 0;
    for (int k = 1; k < a->classes; k++)
        if (row_of(a, i)[k] > row_of(a, i)[best]) best = k;
    return best;
}

/* ---- confusion */

void cli_report_confusion(json_t *page, const cli_answers *a)
{
    const size_t n = (size_t)a->classes;
    int *counts = calloc(n * n, sizeof *counts);
    json_t *rows = json_array(), *names = json_array();
    for (int i = 0; counts && i < a->n; i++)
        counts[(size_t)cn_dataset_label(a->data, i) * n + (size_t)best_of(a, i)]++;
    for (size_t k = 0; counts && k < n; k++) {
        json_array_append_new(rows, cli_page_wholes(counts + k * n, a->classes));
        json_t *holder = json_object();
        const char *name =
            (int)k < cn_dataset_classes(a->data) ? cn_dataset_class_name(a->data, (int)k) : "?";
        cli_put_text(holder, "name", name);
        json_array_append(names, json_object_get(holder, "name"));
        json_decref(holder);
    }
    json_object_set_new(page, "confusion", rows);
    json_object_set_new(page, "classes", names);
    free(counts);
}

/* ---- calibration: how often an answer of probability p is right (Guo et al. 2017) */

void cli_report_calibration(json_t *page, const cli_answers *a)
{
    enum { BINS = 10 };
    int count[BINS] = {0}, right[BINS] = {0};
    double sum[BINS] = {0};
    json_t *bins = json_array();
    for (int i = 0; i < a->n; i++) {
        int best = best_of(a, i);
        double p = (double)row_of(a, i)[best];
        int bin = p >= 1 ? BINS - 1 : (int)(p * BINS);
        count[bin]++;
        sum[bin] += p;
        right[bin] += best == cn_dataset_label(a->data, i);
    }
    for (int b = 0; b < BINS; b++) {
        json_t *bin = json_object();
        cli_put_whole(bin, "count", (size_t)count[b]);
        cli_put_number(bin, "confidence", count[b] ? sum[b] / count[b] : NAN);
        cli_put_number(bin, "accuracy", count[b] ? (double)right[b] / count[b] : NAN);
        json_array_append_new(bins, bin);
    }
    json_object_set_new(page, "calibration", bins);
}

/* ---- mistakes */

typedef struct wrong {
    int index, best;
    double sure; /* how much more probable the answer is than the label */
} wrong;

static int compare(const void *x, const void *y)
{
    const wrong *a = x, *b = y;
    if (a->sure != b->sure) return a->sure < b->sure ? 1 : -1;
    return a->index - b->index;
}

/* An image of the set as bytes, thinned out to 64 pixels along its longer side. */
static json_t *image_of(const cn_dataset *data, int index)
{
    enum { SIDE = 64 };
    const int *n = cn_dataset_shape(data);
    const int longest = n[0] > n[1] ? n[0] : n[1], step = (longest + SIDE - 1) / SIDE;
    const int shape[3] = {(n[0] + step - 1) / step, (n[1] + step - 1) / step, n[2]};
    const size_t size = (size_t)n[0] * (size_t)n[1] * (size_t)n[2];
    const cn_image_opts range = cn_dataset_image_opts(data);
    const double low = range.low, span = range.high > low ? range.high - low : 1;
    float *x = malloc(size * sizeof *x);
    unsigned char *bytes = malloc((size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2]);
    json_t *image = json_object();
    size_t at = 0;
    int32_t label;
    /* A file that has just been read may be gone: then the page goes without. */
    if (x && bytes && cn_dataset_batch(data, &index, 1, NULL, NULL, x, &label, NULL) == CN_OK) {
        for (int r = 0; r < shape[0]; r++)
            for (int c = 0; c < shape[1]; c++)
                for (int k = 0; k < n[2]; k++) {
                    size_t from =
                        ((size_t)(r * step) * (size_t)n[1] + (size_t)(c * step)) * (size_t)n[2] +
                        (size_t)k;
                    double value = ((double)x[from] - low) / span;
                    bytes[at++] = value > 0 ? (unsigned char)lround(fmin(value, 1) * 255) : 0;
                }
        json_object_set_new(image, "shape", cli_page_wholes(shape, 3));
        json_object_set_new(image, "bytes", cli_page_bytes(bytes, at));
    }
    free(x);
    free(bytes);
    return image;
}

void cli_report_wrong(json_t *page, const char *key, const cli_answers *a, double least)
{
    enum { SHOWN = 24 };
    int count = 0;
    wrong *found = malloc((size_t)a->n * sizeof *found);
    json_t *list = json_array();
    for (int i = 0; found && i < a->n; i++) {
        int best = best_of(a, i), label = cn_dataset_label(a->data, i);
        double sure = (double)row_of(a, i)[best] - (double)row_of(a, i)[label];
        if (best != label && sure >= least) found[count++] = (wrong){i, best, sure};
    }
    if (found) qsort(found, (size_t)count, sizeof *found, compare);
    for (int i = 0; i < count && i < SHOWN; i++) {
        int label = cn_dataset_label(a->data, found[i].index);
        json_t *entry = json_object();
        cli_put_whole(entry, "index", (size_t)found[i].index);
        cli_put_whole(entry, "label", (size_t)label);
        cli_put_whole(entry, "answer", (size_t)found[i].best);
        cli_put_number(entry, "p", (double)row_of(a, found[i].index)[found[i].best]);
        cli_put_number(entry, "p_label", (double)row_of(a, found[i].index)[label]);
        json_object_set_new(entry, "image", image_of(a->data, found[i].index));
        json_array_append_new(list, entry);
    }
    json_t *part = json_object();
    cli_put_whole(part, "of", (size_t)a->n);
    cli_put_whole(part, "count", (size_t)count);
    json_object_set_new(part, "list", list);
    json_object_set_new(page, key, part);
    free(found);
}

/*
 * columns.c - several labels per image, and numbers: what a model's outputs are worth, column by
 * column.
 *
 * Of a label the images are sorted by their probability, the highest first. Going down the list,
 * after each group of equal probabilities, with tp of the P images that have the label and fp of
 * the N that have not seen:
 *
 *     precision   tp / (tp + fp)        recall   tp / P
 *     average precision = sum of (recall - last recall) precision
 *     AUC               = sum of (fp - last fp) (tp + last tp) / 2 / (P N)      trapezoids
 *
 * as scikit-learn's average_precision_score and roc_auc_score have them.
 */
#include "data/dataset.h"
#include "model/model.h"
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct cn_scored {
    float score;
    bool has; /* the label */
} scored;

cn_status cn_judge_create(cn_judge **judge, int images, int batch, int columns, cn_error *err)
{
    size_t n = (size_t)columns;
    cn_judge *j = cn_allocate(1, sizeof *j, "evaluate: outputs", err);
    if (!j) return CN_ERR_MEMORY;
    j->room = images;
    j->columns = columns;
    j->outputs = cn_allocate((size_t)images, n * sizeof *j->outputs, "evaluate: outputs", err);
    if (j->outputs)
        j->truth = cn_allocate((size_t)batch, n * sizeof *j->truth, "evaluate: targets", err);
    if (j->truth) j->order = cn_allocate((size_t)images, sizeof *j->order, "evaluate: order", err);
    if (j->order) j->found = cn_allocate(n, sizeof *j->found, "evaluate: columns", err);
    if (!j->found) {
        cn_judge_free(j);
        return CN_ERR_MEMORY;
    }
    *judge = j;
    return CN_OK;
}

void cn_judge_free(cn_judge *j)
{
    if (!j) return;
    cn_release(j->outputs);
    cn_release(j->truth);
    cn_release(j->order);
    cn_release(j->found);
    cn_release(j);
}

/* ---- labels */

static int compare(const void *a, const void *b)
{
    float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

/* A column's outputs, the highest first; returns how many images have the label. */
static int sort(cn_judge *j, const cn_dataset *data, int column)
{
    const int n = cn_dataset_size(data), columns = j->columns;
    const float *t = cn_dataset_targets(data)->data;
    int positives = 0;
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * (size_t)columns + (size_t)column;
        j->order[i] = (scored){j->outputs[at], t[at] > 0.5f};
        positives += j->order[i].has;
    }
    qsort(j->order, (size_t)n, sizeof *j->order, compare);
    return positives;
}

static double f1_of(double tp, double fp, double fn)
{
    return tp > 0 ? 2 * tp / (2 * tp + fp + fn) : 0;
}

static void judge_label(cn_judge *j, const cn_model *model, const cn_dataset *data, int column)
{
    const int n = cn_dataset_size(data);
    const float threshold = cn_model_threshold(model, column);
    double P = sort(j, data, column), N = n - P, tp = 0, fp = 0, above_tp = 0, above_fp = 0;
    double precision = 0, area = 0;
    for (int i = 0, next; i < n; i = next) {
        double tp_before = tp, fp_before = fp;
        for (next = i; next < n && j->order[next].score == j->order[i].score; next++) {
            tp += j->order[next].has;
            fp += !j->order[next].has;
        }
        precision += (tp - tp_before) * tp / (tp + fp);
        area += (fp - fp_before) * (tp + tp_before) / 2;
        if (!(j->order[i].score > threshold)) continue;
        above_tp = tp;
        above_fp = fp;
    }
    j->found[column] = (cn_column_metrics){
        .positives = (int)P,
        .threshold = (double)threshold,
        .precision = above_tp + above_fp > 0 ? above_tp / (above_tp + above_fp) : 0,
        .recall = P > 0 ? above_tp / P : NAN,
        .f1 = f1_of(above_tp, above_fp, P - above_tp),
        .average_precision = P > 0 ? precision / P : NAN,
        .auc = P > 0 && N > 0 ? area / (P * N) : NAN,
        .mean_squared_error = NAN,
        .mean_absolute_error = NAN,
        .r_squared = NAN,
    };
}

/* The threshold with the best F1 for the column. */
static float threshold_of(cn_judge *j, const cn_dataset *data, int column)
{
    const int n = cn_dataset_size(data), P = sort(j, data, column);
    double best = 0, tp = 0;
    float threshold = 0.5f;
    if (P == 0 || P == n) return threshold;
    for (int i = 0; i < n; i++) {
        tp += j->order[i].has;
        float score = j->order[i].score, next = i + 1 < n ? j->order[i + 1].score : 0;
        if (i + 1 < n && next == score) continue;
        double f1 = f1_of(tp, i + 1 - tp, P - tp);
        float between = (score + next) / 2;
        bool lies = between < score; /* else two neighbors among the floats, or 0 */
        bool nearer = fabsf(between - 0.5f) < fabsf(threshold - 0.5f);
        if (!lies || f1 < best || (f1 == best && !nearer)) continue;
        best = f1;
        threshold = between;
    }
    return threshold;
}

/* ---- numbers */

static void judge_number(cn_judge *j, const cn_dataset *data, int column)
{
    const int n = cn_dataset_size(data);
    const float *t = cn_dataset_targets(data)->data;
    const size_t columns = (size_t)j->columns;
    double mean = 0, squares = 0, sizes = 0, spread = 0;
    for (int i = 0; i < n; i++) mean += (double)t[(size_t)i * columns + (size_t)column] / n;
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)i * columns + (size_t)column;
        double error = (double)j->outputs[at] - (double)t[at], off = (double)t[at] - mean;
        squares += error * error;
        sizes += fabs(error);
        spread += off * off;
    }
    j->found[column] = (cn_column_metrics){
        .threshold = NAN,
        .precision = NAN,
        .recall = NAN,
        .f1 = NAN,
        .average_precision = NAN,
        .auc = NAN,
        .mean_squared_error = squares / n,
        .mean_absolute_error = sizes / n,
        .r_squared = spread > 0 ? 1 - squares / spread : NAN,
    };
}

/* ---- all of them */

/* The mean of a member over the columns that have it. */
static double mean_of(const cn_judge *j, size_t offset)
{
    double sum = 0, value;
    int count = 0;
    for (int k = 0; k < j->columns; k++) {
        memcpy(&value, (const char *)&j->found[k] + offset, sizeof value);
        if (isnan(value)) continue;
        sum += value;
        count++;
    }
    return count ? sum / count : NAN;
}

void cn_judge_run(cn_judge *j, const cn_model *model, const cn_dataset *data, cn_metrics *m)
{
    bool labels = cn_dataset_task(data) == CN_TASK_MULTI_LABEL;
    for (int k = 0; k < j->columns; k++) {
        if (labels)
            judge_label(j, model, data, k);
        else
            judge_number(j, data, k);
    }
#define MEAN(member) mean_of(j, offsetof(cn_column_metrics, member))
    m->mean_average_precision = MEAN(average_precision);
    m->mean_auc = MEAN(auc);
    m->mean_f1 = MEAN(f1);
    m->mean_squared_error = MEAN(mean_squared_error);
    m->mean_absolute_error = MEAN(mean_absolute_error);
    m->mean_r_squared = MEAN(r_squared);
#undef MEAN
}

/* ---- what a model learns of them */

/* Mean and deviation of each number, n of each; 1 for the deviation of a constant. */
static void find_scale(const cn_dataset *data, int n, float *mean, float *std)
{
    const int size = cn_dataset_size(data);
    const float *t = cn_dataset_targets(data)->data;
    for (int k = 0; k < n; k++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < size; i++) sum += (double)t[(size_t)i * (size_t)n + (size_t)k];
        double center = sum / size;
        for (int i = 0; i < size; i++) {
            double off = (double)t[(size_t)i * (size_t)n + (size_t)k] - center;
            squares += off * off;
        }
        mean[k] = (float)center;
        std[k] = squares > 0 ? (float)sqrt(squares / size) : 1;
        if (!(std[k] > 0)) std[k] = 1;
    }
}

cn_status cn_learn_targets(cn_model *model, const cn_dataset *data, cn_error *err)
{
    const int n = cn_dataset_classes(data);
    model->task = cn_dataset_targets(data) ? cn_dataset_task(data) : CN_TASK_CLASSIFICATION;
    if (model->task != CN_TASK_REGRESSION || model->target_mean) return CN_OK;
    float *mean = cn_allocate((size_t)n, 2 * sizeof *mean, "fit: targets", err);
    if (!mean) return CN_ERR_MEMORY;
    find_scale(data, n, mean, mean + n);
    cn_status status = cn_model_set_targets(model, mean, mean + n, err);
    cn_release(mean);
    return status;
}

cn_status cn_model_choose_thresholds(cn_model *model, const cn_dataset *data,
                                     const cn_evaluate_opts *opts, cn_error *err)
{
    if (!model || !data) return cn_fail(err, CN_ERR_ARGUMENT, "thresholds: NULL argument");
    if (cn_dataset_task(data) != CN_TASK_MULTI_LABEL)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "thresholds: they are for several labels per image, the data have none");
    const int n = cn_dataset_classes(data);
    cn_judge *judge = NULL;
    cn_metrics metrics;
    float *thresholds = cn_allocate((size_t)n, sizeof *thresholds, "thresholds", err);
    cn_status status = thresholds ? CN_OK : CN_ERR_MEMORY;
    if (status == CN_OK) status = cn_evaluate_judged(model, data, opts, &metrics, &judge, err);
    for (int k = 0; status == CN_OK && k < n; k++) thresholds[k] = threshold_of(judge, data, k);
    if (status == CN_OK) status = cn_model_set_thresholds(model, thresholds, err);
    cn_judge_free(judge);
    cn_release(thresholds);
    return status;
}

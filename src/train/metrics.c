/* metrics.c - what a model's outputs say, and how often they are right. */
#include "data/dataset.h"
#include "model/model.h"
#include "train/train.h"

#include <math.h>
#include <string.h>
#include <time.h>

int cn_predicted_class(const float *y, int columns)
{
    if (columns == 1) return y[0] > 0.5f;
    int best = 0;
    for (int k = 1; k < columns; k++)
        if (y[k] > y[best]) best = k;
    return best;
}

cn_tally cn_tally_correct(const float *y, size_t rows, int columns, const int32_t *labels)
{
    cn_tally t = {0, 0};
    for (size_t i = 0; i < rows; i++) {
        if (labels[i] == CN_LABEL_IGNORED) continue;
        t.judged++;
        t.correct += cn_predicted_class(y + i * (size_t)columns, columns) == labels[i];
    }
    return t;
}

double cn_count_labels(const float *y, size_t m, int columns, const float *targets)
{
    double right = 0;
    for (size_t i = 0; i < m * (size_t)columns; i++) right += (y[i] > 0.5f) == (targets[i] > 0.5f);
    return right;
}

cn_tensor cn_labels_view(const cn_dataset *data, int m, int32_t *labels)
{
    const int *shape = cn_dataset_shape(data);
    bool masks = cn_dataset_task(data) == CN_TASK_SEGMENTATION;
    return cn_tensor_view(CN_DTYPE_I32, masks ? 3 : 1, (int[]){m, shape[0], shape[1]}, labels);
}

void cn_mean_overlap(const int64_t *confusion, int classes, double *iou, double *dice)
{
    double sum_iou = 0, sum_dice = 0;
    int count = 0;
    for (int c = 0; c < classes; c++) {
        int64_t of_class = 0, named = 0, both = confusion[(size_t)c * (size_t)classes + (size_t)c];
        for (int k = 0; k < classes; k++) {
            of_class += confusion[(size_t)c * (size_t)classes + (size_t)k];
            named += confusion[(size_t)k * (size_t)classes + (size_t)c];
        }
        if (of_class + named == 0) continue;
        sum_iou += (double)both / (double)(of_class + named - both);
        sum_dice += 2 * (double)both / (double)(of_class + named);
        count++;
    }
    *iou = count ? sum_iou / count : NAN;
    *dice = count ? sum_dice / count : NAN;
}

/* An output for each label or number of the data, and an end that can give them. */
static cn_status check_targets(const cn_model *model, const cn_dataset *data, const char *what,
                               cn_error *err)
{
    const cn_layer *output = &model->layers[model->output];
    const bool labels = cn_dataset_task(data) == CN_TASK_MULTI_LABEL;
    const cn_loss_kind own = output->type->loss;
    int size = cn_model_output_size(model), count = cn_dataset_classes(data);
    if (size != count)
        return cn_fail(err, CN_ERR_SHAPE, "%s: the model has %d output%s, the data %d %s%s", what,
                       size, cn_plural(size), count, labels ? "label" : "number", cn_plural(count));
    if (labels && own != CN_LOSS_BINARY_CROSS_ENTROPY)
        return cn_fail(err, CN_ERR_SHAPE,
                       "%s: the data have several labels per image, which want a sigmoid at the "
                       "end; the model ends in %s",
                       what, output->type->name);
    if (!labels && own != CN_LOSS_DEFAULT)
        return cn_fail(err, CN_ERR_SHAPE,
                       "%s: the data have numbers, which want no %s at the end of the model", what,
                       output->type->name);
    return CN_OK;
}

/* The model has the outputs that the data's task wants: a class per image, or per pixel. */
static cn_status check_task(const cn_model *model, const cn_dataset *data, const char *what,
                            cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    int rank, columns = cn_model_columns(model), classes = cn_dataset_known_classes(data);
    const int *out = cn_model_output_shape(model, &rank), *in = cn_dataset_shape(data);
    bool pixels = cn_dataset_task(data) == CN_TASK_SEGMENTATION;
    bool fits = pixels ? rank == 3 && out[0] == in[0] && out[1] == in[1]
                       : cn_model_output_size(model) == columns;
    if (!fits)
        return cn_fail(err, CN_ERR_SHAPE,
                       "%s: the model's output is %s, but the data have a class per %s: expected "
                       "%s",
                       what, cn_shape_text(rank, out, text), pixels ? "pixel" : "image",
                       pixels ? "the images' rows and columns, and the classes" : "the classes");
    if (classes == 1 && model->layers[model->output].type->loss == CN_LOSS_CROSS_ENTROPY)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%s: the data have one class, %.80s: expected two or more to tell apart",
                       what, cn_dataset_class_name(data, 0));
    if (columns != classes && !(columns == 1 && classes == 2))
        return cn_fail(err, CN_ERR_SHAPE, "%s: the model has %d output%s, the data %d class%s",
                       what, columns, cn_plural(columns), classes, classes == 1 ? "" : "es");
    return CN_OK;
}

cn_status cn_check_fit(const cn_model *model, const cn_dataset *data, const char *what,
                       cn_error *err)
{
    char want[CN_SHAPE_TEXT], got[CN_SHAPE_TEXT];
    const int *in = cn_model_input_shape(model);
    const int *shape = cn_dataset_shape(data);
    if (memcmp(in, shape, 3 * sizeof *in) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: the model takes images of %s, the data has %s", what,
                       cn_shape_text(3, in, want), cn_shape_text(3, shape, got));
    return cn_dataset_targets(data) ? check_targets(model, data, what, err)
                                    : check_task(model, data, what, err);
}

double cn_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

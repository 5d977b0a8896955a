/* metrics.c - what a model's outputs say, and how often they are right. */
#include "data/dataset.h"
#include "train/train.h"

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

int cn_count_correct(const float *y, int rows, int columns, const int32_t *labels)
{
    int correct = 0;
    for (int i = 0; i < rows; i++)
        correct += cn_predicted_class(y + (size_t)i * (size_t)columns, columns) == labels[i];
    return correct;
}

cn_status cn_check_fit(const cn_model *model, const cn_dataset *data, const char *what,
                       cn_error *err)
{
    char want[CN_SHAPE_TEXT], got[CN_SHAPE_TEXT];
    const int *in = cn_model_input_shape(model);
    const int *shape = cn_dataset_shape(data);
    int outputs = cn_model_output_size(model), classes = cn_dataset_known_classes(data);
    if (memcmp(in, shape, 3 * sizeof *in) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "%s: the model takes images of %s, the data has %s", what,
                       cn_shape_text(3, in, want), cn_shape_text(3, shape, got));
    if (outputs != classes && !(outputs == 1 && classes == 2))
        return cn_fail(err, CN_ERR_SHAPE, "%s: the model has %d output%s, the data %d class%s",
                       what, outputs, cn_plural(outputs), classes, classes == 1 ? "" : "es");
    return CN_OK;
}

double cn_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

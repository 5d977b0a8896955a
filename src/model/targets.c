/* targets.c - a model's task: how numbers were standardized, and where a label begins. */
#include "model/model.h"

#include <math.h>
#include <string.h>

bool cn_task_has_targets(cn_task_kind task)
{
    return task == CN_TASK_MULTI_LABEL || task == CN_TASK_REGRESSION;
}

cn_node cn_task_end(cn_model *m, cn_node logits, cn_task_kind task)
{
    if (task == CN_TASK_REGRESSION) return logits;
    return task == CN_TASK_MULTI_LABEL ? cn_sigmoid(m, logits) : cn_softmax(m, logits);
}

cn_task_kind cn_model_task(const cn_model *m)
{
    bool pixels = m && m->finished && m->layers[m->output].out.rank == 3;
    return !m ? CN_TASK_CLASSIFICATION : pixels ? CN_TASK_SEGMENTATION : m->task;
}

cn_status cn_model_set_targets(cn_model *m, const float *mean, const float *std, cn_error *err)
{
    if (!m || !mean || !std || !m->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: NULL argument, or a model not finished");
    size_t n = (size_t)cn_model_output_size(m);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(mean[i]) || !isfinite(std[i]) || std[i] <= 0)
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "model: target %zu has mean %g and deviation %g, expected finite "
                           "numbers and a deviation above 0",
                           i, (double)mean[i], (double)std[i]);
    float *both = cn_allocate(2 * n, sizeof *both, "model: targets", err);
    if (!both) return CN_ERR_MEMORY;
    memcpy(both, mean, n * sizeof *both);
    memcpy(both + n, std, n * sizeof *both);
    cn_release(m->target_mean);
    m->target_mean = both;
    m->target_std = both + n;
    return CN_OK;
}

cn_status cn_model_set_thresholds(cn_model *m, const float *thresholds, cn_error *err)
{
    if (!m || !thresholds || !m->finished)
        return cn_fail(err, CN_ERR_ARGUMENT, "model: NULL argument, or a model not finished");
    size_t n = (size_t)cn_model_output_size(m);
    for (size_t i = 0; i < n; i++)
        if (!(thresholds[i] >= 0 && thresholds[i] <= 1))
            return cn_fail(err, CN_ERR_ARGUMENT, "model: threshold %zu is %g, expected 0 to 1", i,
                           (double)thresholds[i]);
    float *copy = cn_allocate(n, sizeof *copy, "model: thresholds", err);
    if (!copy) return CN_ERR_MEMORY;
    memcpy(copy, thresholds, n * sizeof *copy);
    cn_release(m->thresholds);
    m->thresholds = copy;
    return CN_OK;
}

float cn_model_threshold(const cn_model *m, int j)
{
    bool given = m && m->thresholds && j >= 0 && j < cn_model_output_size(m);
    return given ? m->thresholds[j] : 0.5f;
}

void cn_model_restore_targets(const cn_model *m, int count, float *y)
{
    int n = cn_model_output_size(m);
    if (!m || m->task != CN_TASK_REGRESSION || !m->target_mean || !y) return;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < n; j++, y++) *y = *y * m->target_std[j] + m->target_mean[j];
}

/* evaluate.c - a model's loss, accuracy and confusions on a data set. */
#include "train/train.h"

#include "model/session.h"

#include <string.h>

enum { EVALUATION_BATCH = 64 };

cn_status cn_evaluator_create(cn_evaluator *e, cn_model *model, cn_session_opts opts, cn_error *err)
{
    size_t batch = (size_t)opts.batch;
    cn_evaluator made = {.model = model, .batch = opts.batch};
    opts.training = false;

    cn_status status = cn_session_create(&made.session, model, opts, err);
    if (status != CN_OK) return status;
    made.index = cn_allocate(batch, sizeof *made.index, "evaluate: order", err);
    if (made.index) made.labels = cn_allocate(batch, sizeof *made.labels, "evaluate: labels", err);
    if (!made.labels) {
        cn_evaluator_free(&made);
        return CN_ERR_MEMORY;
    }
    *e = made;
    return CN_OK;
}

void cn_evaluator_free(cn_evaluator *e)
{
    cn_session_free(e->session);
    cn_release(e->index);
    cn_release(e->labels);
    *e = (cn_evaluator){0};
}

/* One batch: pictures first .. first+m-1; its mean loss in *loss, its outputs in the session. */
static cn_status run_batch(cn_evaluator *e, const cn_dataset *data, int first, int m, double *loss,
                           cn_error *err)
{
    const int *shape = cn_model_input_shape(e->model);
    float *x = cn_session_input(e->session);

    for (int i = 0; i < m; i++) e->index[i] = first + i;
    cn_dataset_batch(data, e->index, m, e->model->mean, e->model->std, x, e->labels);
    cn_tensor X = cn_tensor_view(CN_F32, 4, (int[]){m, shape[0], shape[1], shape[2]}, x);
    cn_tensor Y = cn_tensor_view(CN_I32, 1, (int[]){m}, e->labels);
    cn_status status = cn_forward(e->session, &X, err);
    return status == CN_OK ? cn_loss(e->session, &Y, loss, err) : status;
}

cn_status cn_evaluator_run(cn_evaluator *e, const cn_dataset *data, cn_metrics *metrics,
                           int *confusion, cn_error *err)
{
    int n = cn_dataset_size(data), classes = cn_dataset_classes(data);
    int columns = cn_model_output_size(e->model), correct = 0;
    double start = cn_seconds(), total = 0;

    for (int first = 0, m; first < n; first += m) {
        double loss;
        m = n - first < e->batch ? n - first : e->batch;
        cn_status status = run_batch(e, data, first, m, &loss, err);
        if (status != CN_OK) return status;
        const float *y = cn_output(e->session).data;
        total += loss * m;
        correct += cn_count_correct(y, m, columns, e->labels);
        for (int i = 0; confusion && i < m; i++) {
            int named = cn_predicted_class(y + (size_t)i * (size_t)columns, columns);
            confusion[(size_t)e->labels[i] * (size_t)classes + (size_t)named]++;
        }
    }
    *metrics = (cn_metrics){.count = n,
                            .correct = correct,
                            .accuracy = (double)correct / n,
                            .loss = total / n,
                            .seconds = cn_seconds() - start};
    return CN_OK;
}

cn_status cn_evaluate(cn_model *model, const cn_dataset *data, int threads, cn_metrics *metrics,
                      int *confusion, cn_error *err)
{
    if (!model || !data || !metrics)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: model, data or metrics is NULL");
    cn_status status = cn_check_fit(model, data, "evaluate", err);
    if (status != CN_OK) return status;

    size_t classes = (size_t)cn_dataset_classes(data);
    int n = cn_dataset_size(data), *counts = NULL;
    cn_session_opts opts = {.batch = n < EVALUATION_BATCH ? n : EVALUATION_BATCH,
                            .threads = threads};
    cn_evaluator evaluator;
    status = cn_evaluator_create(&evaluator, model, opts, err);
    if (status != CN_OK) return status;
    if (confusion) {
        counts = cn_allocate(classes * classes, sizeof *counts, "evaluate: confusion", err);
        if (!counts) status = CN_ERR_MEMORY;
    }
    if (status == CN_OK) status = cn_evaluator_run(&evaluator, data, metrics, counts, err);
    if (status == CN_OK && confusion) memcpy(confusion, counts, classes * classes * sizeof *counts);
    cn_release(counts);
    cn_evaluator_free(&evaluator);
    return status;
}

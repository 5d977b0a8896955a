/* evaluate.c - a model's loss, accuracy and confusions on a data set. */
#include "data/dataset.h"
#include "train/train.h"

#include "layers/loss.h"
#include "model/nonfinite.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

enum { EVALUATION_BATCH = 64 };

cn_status cn_evaluator_create(cn_evaluator *e, const cn_model *model, cn_session_opts opts,
                              cn_error *err)
{
    size_t batch = (size_t)opts.batch;
    const cn_layer *output = &model->layers[model->output];
    cn_evaluator made = {
        .model = model, .batch = opts.batch, .loss = cn_loss_resolve(output, opts.loss.kind)};
    opts.training = false;

    cn_status status = cn_session_create_inference(&made.session, model, &opts, err);
    if (status != CN_OK) return status;
    made.index = cn_allocate(batch, sizeof *made.index, "evaluate: order", err);
    if (made.index) made.labels = cn_allocate(batch, sizeof *made.labels, "evaluate: labels", err);
    size_t channels = (size_t)cn_model_input_shape(model)[2];
    if (made.labels)
        made.mean = cn_allocate(2 * channels, sizeof *made.mean, "evaluate: normalisation", err);
    if (made.mean) made.std = made.mean + channels;
    if (!made.mean) {
        cn_evaluator_free(&made);
        return CN_ERR_MEMORY;
    }
    *e = made;
    return CN_OK;
}

/* From now on its runs average over several views of each image. */
static cn_status use_tta(cn_evaluator *e, cn_tta tta, cn_error *err)
{
    const int *shape = cn_model_input_shape(e->model);
    size_t batch = (size_t)e->batch, outputs = (size_t)cn_model_output_size(e->model);
    size_t floats = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * sizeof(float);
    if (tta < CN_TTA_NONE || tta > CN_TTA_SHIFT)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: unknown test-time augmentation %d",
                       (int)tta);
    if (tta == CN_TTA_NONE) return CN_OK;
    e->moved = cn_allocate(batch, floats, "evaluate: views", err);
    if (e->moved) e->sum = cn_allocate(batch, outputs * sizeof *e->sum, "evaluate: views", err);
    if (e->sum) e->y = cn_allocate(batch, outputs * sizeof *e->y, "evaluate: views", err);
    if (!e->y) return CN_ERR_MEMORY; /* what there is goes with the evaluator */
    e->tta = tta;
    return CN_OK;
}

void cn_evaluator_free(cn_evaluator *e)
{
    cn_session_free(e->session);
    cn_release(e->moved);
    cn_release(e->sum);
    cn_release(e->y);
    cn_release(e->index);
    cn_release(e->labels);
    cn_release(e->mean);
    *e = (cn_evaluator){0};
}

/* What is found for images first .. first+m-1: the mean loss and the outputs. */
typedef struct result {
    double loss;
    const float *y;
} result;

/* `known`: the images have labels that the model has outputs for. */
static cn_status run_plain(cn_evaluator *e, const cn_dataset *data, int first, int m, bool known,
                           result *out, cn_error *err)
{
    const int *shape = cn_model_input_shape(e->model);
    float *x = cn_session_input(e->session);

    for (int i = 0; i < m; i++) e->index[i] = first + i;
    cn_dataset_batch(data, e->index, m, e->mean, e->std, x, e->labels);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, shape[0], shape[1], shape[2]}, x);
    cn_tensor Y = cn_tensor_view(CN_DTYPE_I32, 1, (int[]){m}, e->labels);
    cn_status status = cn_session_forward(e->session, &X, err);
    if (status == CN_OK && !cn_session_output_finite(e->session)) {
        cn_dataset_batch(data, e->index, m, e->mean, e->std, x, e->labels);
        return cn_session_not_finite(e->session, "evaluate", err);
    }
    if (status == CN_OK && known) status = cn_session_loss(e->session, &Y, &out->loss, err);
    out->y = cn_session_output(e->session).data;
    return status;
}

static cn_status run_views(cn_evaluator *e, const cn_dataset *data, int first, int m, bool known,
                           result *out, cn_error *err)
{
    const int *shape = cn_model_input_shape(e->model);
    size_t n = (size_t)m * (size_t)cn_model_output_size(e->model);
    float *x = cn_session_input(e->session);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, shape[0], shape[1], shape[2]}, x);

    for (int i = 0; i < m; i++) e->labels[i] = cn_dataset_label(data, first + i);
    memset(e->sum, 0, n * sizeof *e->sum);
    for (int i = 0; i < cn_tta_views(e->tta); i++) {
        cn_view view = cn_tta_view(e->tta, i);
        cn_tta_look(data, &view, first, m, e->mean, e->std, e->moved, x);
        cn_status status = cn_session_forward(e->session, &X, err);
        if (status != CN_OK) return status;
        if (!cn_session_output_finite(e->session)) {
            cn_tta_look(data, &view, first, m, e->mean, e->std, e->moved, x);
            return cn_session_not_finite(e->session, "evaluate", err);
        }
        cn_tta_add(e->model, n, cn_session_output(e->session).data, view.weight, e->sum);
    }
    cn_tta_finish(e->model, n, e->sum, e->y);
    if (known) out->loss = cn_tta_loss(e->model, e->loss, m, e->y, e->labels);
    out->y = e->y;
    return CN_OK;
}

cn_status cn_evaluator_run(cn_evaluator *e, const cn_dataset *data, cn_metrics *metrics,
                           int *confusion, cn_error *err)
{
    int n = cn_dataset_size(data), classes = cn_dataset_classes(data);
    int columns = cn_model_output_size(e->model), correct = 0;
    double start = cn_seconds(), total = 0;
    int known = 0; /* images, which come first, of classes that the model has */
    while (known < n && cn_dataset_label(data, known) < cn_dataset_known_classes(data)) known++;

    cn_normalization_of(e->model, data, e->mean, e->std);
    for (int first = 0, m; first < n; first += m) {
        result r = {.loss = 0};
        bool judged = first < known;
        int end = judged ? known : n;
        m = end - first < e->batch ? end - first : e->batch;
        cn_status status = e->tta ? run_views(e, data, first, m, judged, &r, err)
                                  : run_plain(e, data, first, m, judged, &r, err);
        if (status != CN_OK) return status;
        total += r.loss * m;
        correct += cn_count_correct(r.y, m, columns, e->labels);
        for (int i = 0; confusion && i < m; i++) {
            int named = cn_predicted_class(r.y + (size_t)i * (size_t)columns, columns);
            confusion[(size_t)e->labels[i] * (size_t)classes + (size_t)named]++;
        }
    }
    *metrics = (cn_metrics){.count = n,
                            .correct = correct,
                            .accuracy = (double)correct / n,
                            .loss = known ? total / known : NAN,
                            .seconds = cn_seconds() - start};
    return CN_OK;
}

cn_status cn_evaluate(const cn_model *model, const cn_dataset *data, const cn_evaluate_opts *opts,
                      cn_metrics *metrics, int *confusion, cn_error *err)
{
    if (!model || !data || !metrics)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: model, data or metrics is NULL");
    cn_evaluate_opts o = opts ? *opts : (cn_evaluate_opts){0};
    if (o.batch < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: a batch of %d, expected at least 1",
                       o.batch);
    cn_status status = cn_check_fit(model, data, "evaluate", err);
    if (status != CN_OK) return status;

    size_t classes = (size_t)cn_dataset_classes(data);
    int n = cn_dataset_size(data), *counts = NULL;
    if (o.batch == 0) o.batch = EVALUATION_BATCH;
    cn_session_opts session = {.batch = n < o.batch ? n : o.batch,
                               .threads = o.threads,
                               .precision = o.precision,
                               .loss.kind = o.loss ? o.loss : model->loss,
                               .backend = o.backend};
    cn_evaluator evaluator;
    status = cn_evaluator_create(&evaluator, model, session, err);
    if (status != CN_OK) return status;
    status = use_tta(&evaluator, o.tta, err);
    if (status == CN_OK && confusion) {
        counts = cn_allocate(classes * classes, sizeof *counts, "evaluate: confusion", err);
        if (!counts) status = CN_ERR_MEMORY;
    }
    if (status == CN_OK) status = cn_evaluator_run(&evaluator, data, metrics, counts, err);
    if (status == CN_OK && confusion) memcpy(confusion, counts, classes * classes * sizeof *counts);
    cn_release(counts);
    cn_evaluator_free(&evaluator);
    return status;
}

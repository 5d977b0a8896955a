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
    cn_release(e->scores);
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

/* ---- a data set, batch by batch */

/* What is found of a batch. */
typedef struct cn_batch_score {
    double loss; /* its sum over the images */
    int correct;
} cn_batch_score;

cn_status cn_evaluator_share(cn_evaluator *e, cn_group *group, int size, cn_error *err)
{
    /* A batch ends where the images of known classes do, so there may be one more. */
    size_t batches = (size_t)(size / e->batch) + 2;
    if (group->size == 1) return CN_OK;
    e->scores = cn_allocate(batches, sizeof *e->scores, "evaluate: ranks", err);
    if (!e->scores) return CN_ERR_MEMORY;
    e->group = group;
    return CN_OK;
}

/* A pass over n images, of which the first `known` have labels that the model has outputs for. */
typedef struct pass {
    const cn_dataset *data;
    int n, known;
    int judged, batches; /* batches of known images, and all of them */
    int *confusion;
} pass;

static pass begin_pass(const cn_evaluator *e, const cn_dataset *data, int *confusion)
{
    pass p = {.data = data, .n = cn_dataset_size(data), .confusion = confusion};
    while (p.known < p.n && cn_dataset_label(data, p.known) < cn_dataset_known_classes(data))
        p.known++;
    p.judged = (p.known + e->batch - 1) / e->batch;
    p.batches = p.judged + (p.n - p.known + e->batch - 1) / e->batch;
    return p;
}

static cn_status run_batch(cn_evaluator *e, const pass *p, int batch, cn_batch_score *score,
                           cn_error *err)
{
    const bool judged = batch < p->judged;
    const int first = judged ? batch * e->batch : p->known + (batch - p->judged) * e->batch;
    const int left = (judged ? p->known : p->n) - first, m = left < e->batch ? left : e->batch;
    const int columns = cn_model_output_size(e->model), classes = cn_dataset_classes(p->data);
    result r = {.loss = 0};
    cn_status status = e->tta ? run_views(e, p->data, first, m, judged, &r, err)
                              : run_plain(e, p->data, first, m, judged, &r, err);
    if (status != CN_OK) return status;
    *score = (cn_batch_score){r.loss * m, cn_count_correct(r.y, m, columns, e->labels)};
    for (int i = 0; p->confusion && i < m; i++) {
        int named = cn_predicted_class(r.y + (size_t)i * (size_t)columns, columns);
        p->confusion[(size_t)e->labels[i] * (size_t)classes + (size_t)named]++;
    }
    return CN_OK;
}

/* The sums of all ranks' counts. */
static cn_status share_counts(cn_group *g, size_t count, int *counts, cn_error *err)
{
    int *all = cn_allocate((size_t)g->size * count, sizeof *all, "evaluate: confusion", err);
    cn_status status = cn_group_agree(g, all ? CN_OK : CN_ERR_MEMORY, err);
    if (status == CN_OK) {
        memcpy(all + (size_t)g->rank * count, counts, count * sizeof *all);
        status = cn_group_gather(g, count * sizeof *all, all, err);
    }
    for (size_t i = 0; status == CN_OK && i < count; i++) {
        counts[i] = 0;
        for (int r = 0; r < g->size; r++) counts[i] += all[(size_t)r * count + i];
    }
    cn_release(all);
    return status;
}

/* Each rank's scores to all others. */
static cn_status share_scores(cn_evaluator *e, const pass *p, cn_status status, cn_error *err)
{
    cn_group *g = e->group;
    size_t classes = (size_t)cn_dataset_classes(p->data);
    status = cn_group_agree(g, status, err);
    if (status != CN_OK) return status;
    for (int r = 0; r < g->size; r++) {
        int first = cn_group_first(p->batches, r, g->size);
        int end = cn_group_first(p->batches, r + 1, g->size);
        g->receive[r] = (cn_part){e->scores + first, (size_t)(end - first) * sizeof *e->scores};
    }
    for (int r = 0; r < g->size; r++) g->send[r] = g->receive[g->rank];
    status = cn_group_exchange(g, err);
    if (status != CN_OK || !p->confusion) return status;
    return share_counts(g, classes * classes, p->confusion, err);
}

cn_status cn_evaluator_run(cn_evaluator *e, const cn_dataset *data, cn_metrics *metrics,
                           int *confusion, cn_error *err)
{
    const double start = cn_seconds();
    const pass p = begin_pass(e, data, confusion);
    const int rank = e->group ? e->group->rank : 0, ranks = e->group ? e->group->size : 1;
    cn_batch_score sum = {0}, score;
    cn_status status = CN_OK;

    cn_normalization_of(e->model, data, e->mean, e->std);
    int end = cn_group_first(p.batches, rank + 1, ranks);
    for (int i = cn_group_first(p.batches, rank, ranks); i < end && status == CN_OK; i++) {
        status = run_batch(e, &p, i, &score, err);
        if (status != CN_OK) break;
        if (e->scores) e->scores[i] = score;
        sum.loss += score.loss;
        sum.correct += score.correct;
    }
    if (e->group) {
        status = share_scores(e, &p, status, err);
        sum = (cn_batch_score){0};
        for (int i = 0; i < p.batches; i++) {
            sum.loss += e->scores[i].loss;
            sum.correct += e->scores[i].correct;
        }
    }
    if (status != CN_OK) return status;
    *metrics = (cn_metrics){.count = p.n,
                            .correct = sum.correct,
                            .accuracy = (double)sum.correct / p.n,
                            .loss = p.known ? sum.loss / p.known : NAN,
                            .seconds = cn_seconds() - start};
    return CN_OK;
}

/* What can fail on one rank alone. */
static cn_status prepare(cn_evaluator *e, cn_group *group, const cn_model *model,
                         const cn_dataset *data, const cn_evaluate_opts *o, cn_error *err)
{
    const int n = cn_dataset_size(data), threads = o->communicator ? o->communicator->threads : 0;
    if (o->batch < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: a batch of %d, expected at least 1",
                       o->batch);
    cn_status status = cn_check_fit(model, data, "evaluate", err);
    if (status != CN_OK) return status;
    int batch = o->batch ? o->batch : EVALUATION_BATCH;
    cn_session_opts session = {.batch = n < batch ? n : batch,
                               .threads = o->threads ? o->threads : threads,
                               .precision = o->precision,
                               .loss.kind = o->loss ? o->loss : model->loss,
                               .backend = o->backend};
    status = cn_evaluator_create(e, model, session, err);
    if (status == CN_OK) status = use_tta(e, o->tta, err);
    return status == CN_OK ? cn_evaluator_share(e, group, n, err) : status;
}

cn_status cn_evaluate(const cn_model *model, const cn_dataset *data, const cn_evaluate_opts *opts,
                      cn_metrics *metrics, int *confusion, cn_error *err)
{
    if (!model || !data || !metrics)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: model, data or metrics is NULL");
    const cn_evaluate_opts o = opts ? *opts : (cn_evaluate_opts){0};
    const size_t classes = (size_t)cn_dataset_classes(data);
    int *counts = NULL;
    cn_evaluator evaluator = {.model = NULL};
    cn_group group;
    cn_status status = cn_group_create(&group, o.communicator, err);
    if (status != CN_OK) return status;
    status = prepare(&evaluator, &group, model, data, &o, err);
    if (status == CN_OK && confusion) {
        counts = cn_allocate(classes * classes, sizeof *counts, "evaluate: confusion", err);
        if (!counts) status = CN_ERR_MEMORY;
    }
    status = cn_group_agree(&group, status, err);
    if (status == CN_OK) status = cn_evaluator_run(&evaluator, data, metrics, counts, err);
    if (status == CN_OK && confusion) memcpy(confusion, counts, classes * classes * sizeof *counts);
    cn_release(counts);
    cn_evaluator_free(&evaluator);
    cn_group_free(&group);
    return status;
}

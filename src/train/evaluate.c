/* evaluate.c - a model's loss, accuracy and confusions on a data set. */
#include "data/dataset.h"
#include "train/train.h"

#include "layers/loss.h"
#include "model/model.h"
#include "model/nonfinite.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

enum { EVALUATION_BATCH = 64 };

cn_status cn_evaluator_create(cn_evaluator *e, const cn_model *model, cn_session_opts opts,
                              cn_session *training, cn_error *err)
{
    size_t batch = (size_t)opts.batch;
    const cn_layer *output = &model->layers[model->output];
    cn_evaluator made = {
        .model = model, .batch = opts.batch, .loss = cn_loss_resolve(output, opts.loss.kind)};
    opts.training = opts.repack = false;

    cn_status status = training
                           ? cn_session_create_inference_in(&made.session, training, &opts, err)
                           : cn_session_create_inference(&made.session, model, &opts, err);
    if (status != CN_OK) return status;
    made.index = cn_allocate(batch, sizeof *made.index, "evaluate: order", err);
    size_t columns = (size_t)cn_model_columns(model), classes = columns == 1 ? 2 : columns;
    size_t rows = (size_t)cn_model_output_size(model) / columns;
    bool pixels = output->out.rank == 3;
    if (made.index)
        made.labels = cn_allocate(batch, rows * sizeof *made.labels, "evaluate: labels", err);
    if (made.labels && pixels)
        made.confusion =
            cn_allocate(classes * classes, sizeof *made.confusion, "evaluate: confusion", err);
    size_t channels = (size_t)cn_model_input_shape(model)[2];
    if (made.labels && !(pixels && !made.confusion))
        made.mean = cn_allocate(2 * channels, sizeof *made.mean, "evaluate: normalization", err);
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
    e->whole = cn_allocate(batch, floats, "evaluate: views", err);
    if (e->whole) e->moved = cn_allocate(batch, floats, "evaluate: views", err);
    if (e->moved) e->sum = cn_allocate(batch, outputs * sizeof *e->sum, "evaluate: views", err);
    if (e->sum) e->y = cn_allocate(batch, outputs * sizeof *e->y, "evaluate: views", err);
    if (!e->y) return CN_ERR_MEMORY; /* what there is goes with the evaluator */
    e->tta = tta;
    return CN_OK;
}

void cn_evaluator_free(cn_evaluator *e)
{
    cn_session_free(e->session);
    cn_pool_free(e->pool);
    cn_release(e->whole);
    cn_judge_free(e->judge);
    cn_release(e->moved);
    cn_release(e->scores);
    cn_release(e->sum);
    cn_release(e->y);
    cn_release(e->index);
    cn_release(e->labels);
    cn_release(e->confusion);
    cn_release(e->mean);
    *e = (cn_evaluator){0};
}

cn_status cn_evaluator_read(cn_evaluator *e, const cn_dataset *data, int threads, cn_error *err)
{
    if (cn_dataset_in_memory(data) || e->pool) return CN_OK;
    return cn_pool_create(&e->pool, threads, err);
}

/* What is found for images first .. first+m-1: the mean loss and the outputs. */
typedef struct result {
    double loss;
    const float *y;
} result;

/* The targets of a batch's images, as the loss wants them. */
static cn_tensor truth_of(const cn_evaluator *e, const cn_dataset *data, int m)
{
    int rank, shape[CN_MAX_RANK] = {m};
    const int *out = cn_model_output_shape(e->model, &rank);
    memcpy(shape + 1, out, (size_t)rank * sizeof *shape);
    cn_dataset_target_rows(data, e->index, m, e->model->target_mean, e->model->target_std,
                           e->judge->truth);
    return cn_tensor_view(CN_DTYPE_F32, rank + 1, shape, e->judge->truth);
}

/* `known`: the images have labels that the model has outputs for. */
static cn_status run_plain(cn_evaluator *e, const cn_dataset *data, int first, int m, bool known,
                           result *out, cn_error *err)
{
    const int *shape = cn_model_input_shape(e->model);
    float *x = cn_session_input(e->session);

    for (int i = 0; i < m; i++) e->index[i] = first + i;
    cn_status status =
        cn_dataset_batch_on(data, e->pool, e->index, m, e->mean, e->std, x, e->labels, err);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){m, shape[0], shape[1], shape[2]}, x);
    cn_tensor Y = cn_labels_view(data, m, e->labels);
    if (e->judge) Y = truth_of(e, data, m);
    if (status == CN_OK) status = cn_session_forward(e->session, &X, err);
    if (status == CN_OK && !cn_session_output_finite(e->session)) {
        status =
            cn_dataset_batch_on(data, e->pool, e->index, m, e->mean, e->std, x, e->labels, err);
        return status == CN_OK ? cn_session_not_finite(e->session, "evaluate", err) : status;
    }
    if (status == CN_OK && known) status = cn_session_loss(e->session, &Y, &out->loss, err);
    out->y = cn_session_output(e->session).data;
    return status;
}

/* Images first .. first+m-1 as the set has them. */
static cn_status take_images(cn_evaluator *e, const cn_dataset *data, int first, int m,
                             cn_error *err)
{
    size_t bytes = cn_dataset_image_bytes(data);
    for (int i = 0; i < m; i++) {
        char *room = (char *)e->whole + (size_t)i * bytes;
        const void *image;
        cn_status status = cn_dataset_image(data, first + i, NULL, room, &image, err);
        if (status != CN_OK) return status;
        if (image != room) memcpy(room, image, bytes);
    }
    return CN_OK;
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
    cn_status status = take_images(e, data, first, m, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < cn_tta_views(e->tta); i++) {
        cn_view view = cn_tta_view(e->tta, i);
        cn_tta_look(data, &view, e->whole, m, e->mean, e->std, e->moved, x);
        status = cn_session_forward(e->session, &X, err);
        if (status != CN_OK) return status;
        if (!cn_session_output_finite(e->session)) {
            cn_tta_look(data, &view, e->whole, m, e->mean, e->std, e->moved, x);
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
    double loss;   /* its sum over what has a label; 0 unless the model has outputs for it, */
    double weight; /* and what that is a sum over: with the Dice loss the images */
    cn_tally tally;
} cn_batch_score;

cn_status cn_evaluator_take_targets(cn_evaluator *e, const cn_dataset *data, cn_error *err)
{
    if (!cn_dataset_targets(data)) return CN_OK;
    return cn_judge_create(&e->judge, cn_dataset_size(data), e->batch, cn_dataset_classes(data),
                           err);
}

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
    int64_t *confusion;
} pass;

static pass begin_pass(const cn_evaluator *e, const cn_dataset *data, int64_t *confusion)
{
    pass p = {.data = data, .n = cn_dataset_size(data), .confusion = confusion};
    while (p.known < p.n && cn_dataset_label(data, p.known) < cn_dataset_known_classes(data))
        p.known++;
    p.judged = (p.known + e->batch - 1) / e->batch;
    p.batches = p.judged + (p.n - p.known + e->batch - 1) / e->batch;
    return p;
}

/* Keeps the outputs of images from `first` on, and counts which labels are right. */
static cn_tally tally_targets(const cn_evaluator *e, const pass *p, int first, int m,
                              const float *y)
{
    const cn_judge *j = e->judge;
    const size_t columns = (size_t)j->columns, at = (size_t)first * columns;
    const float *t = (const float *)cn_dataset_targets(p->data)->data + at;
    cn_tally found = {0, 0};
    memcpy(j->outputs + at, y, (size_t)m * columns * sizeof *y);
    cn_model_restore_targets(e->model, m, j->outputs + at);
    if (cn_dataset_task(p->data) != CN_TASK_MULTI_LABEL) return found;
    found.judged = (int64_t)m * j->columns;
    for (size_t i = 0; i < (size_t)m * columns; i++)
        found.correct += (y[i] > cn_model_threshold(e->model, (int)(i % columns))) == (t[i] > 0.5f);
    return found;
}

/* Adds what a batch's outputs say of its labels. */
static cn_tally tally(const cn_evaluator *e, const pass *p, int m, const float *y)
{
    const int columns = cn_model_columns(e->model);
    const size_t classes = (size_t)cn_dataset_classes(p->data);
    const size_t rows = (size_t)m * cn_dataset_label_size(p->data);
    int64_t *pixels = cn_dataset_masks(p->data) ? e->confusion : NULL;
    for (size_t i = 0; (p->confusion || pixels) && i < rows; i++) {
        if (e->labels[i] == CN_LABEL_IGNORED) continue;
        int named = cn_predicted_class(y + i * (size_t)columns, columns);
        size_t at = (size_t)e->labels[i] * classes + (size_t)named;
        if (p->confusion) p->confusion[at]++;
        if (pixels) pixels[at]++;
    }
    return cn_tally_correct(y, rows, columns, e->labels);
}

static cn_status run_batch(cn_evaluator *e, const pass *p, int batch, cn_batch_score *score,
                           cn_error *err)
{
    const bool judged = batch < p->judged;
    const int first = judged ? batch * e->batch : p->known + (batch - p->judged) * e->batch;
    const int left = (judged ? p->known : p->n) - first, m = left < e->batch ? left : e->batch;
    result r = {.loss = 0};
    cn_status status = e->tta ? run_views(e, p->data, first, m, judged, &r, err)
                              : run_plain(e, p->data, first, m, judged, &r, err);
    if (status != CN_OK) return status;
    *score = (cn_batch_score){.tally = e->judge ? tally_targets(e, p, first, m, r.y)
                                                : tally(e, p, m, r.y)};
    bool pixels = cn_dataset_masks(p->data) && e->loss != CN_LOSS_DICE;
    if (judged) score->weight = pixels ? (double)score->tally.judged : m;
    score->loss = r.loss * score->weight;
    return CN_OK;
}

/* The sums of all ranks' counts. */
static cn_status share_counts(cn_group *g, size_t count, int64_t *counts, cn_error *err)
{
    int64_t *all = cn_allocate((size_t)g->size * count, sizeof *all, "evaluate: confusion", err);
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

/* Each rank's outputs to all others; every image is of a known class, so batch i begins at image
 * i times the batch. */
static cn_status share_outputs(cn_evaluator *e, const pass *p, cn_error *err)
{
    cn_group *g = e->group;
    const size_t columns = (size_t)e->judge->columns;
    for (int r = 0; r < g->size; r++) {
        int64_t first = (int64_t)cn_group_first(p->batches, r, g->size) * e->batch;
        int64_t end = (int64_t)cn_group_first(p->batches, r + 1, g->size) * e->batch;
        if (first > p->n) first = p->n;
        if (end > p->n) end = p->n;
        g->receive[r] = (cn_part){e->judge->outputs + (size_t)first * columns,
                                  (size_t)(end - first) * columns * sizeof(float)};
    }
    for (int r = 0; r < g->size; r++) g->send[r] = g->receive[g->rank];
    return cn_group_exchange(g, err);
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
    if (status == CN_OK && e->judge) status = share_outputs(e, p, err);
    if (status == CN_OK && p->confusion)
        status = share_counts(g, classes * classes, p->confusion, err);
    if (status == CN_OK && cn_dataset_masks(p->data))
        status = share_counts(g, classes * classes, e->confusion, err);
    return status;
}

static void add_score(cn_batch_score *sum, const cn_batch_score *score)
{
    sum->loss += score->loss;
    sum->weight += score->weight;
    sum->tally.judged += score->tally.judged;
    sum->tally.correct += score->tally.correct;
}

cn_status cn_evaluator_run(cn_evaluator *e, const cn_dataset *data, cn_metrics *metrics,
                           int64_t *confusion, cn_error *err)
{
    const double start = cn_seconds();
    const pass p = begin_pass(e, data, confusion);
    const int rank = e->group ? e->group->rank : 0, ranks = e->group ? e->group->size : 1;
    const int classes = cn_dataset_classes(data);
    const bool masks = cn_dataset_task(data) == CN_TASK_SEGMENTATION;
    cn_batch_score sum = {0}, score;
    cn_status status = CN_OK;

    if (masks) memset(e->confusion, 0, (size_t)classes * (size_t)classes * sizeof *e->confusion);
    cn_normalization_of(e->model, data, e->mean, e->std);
    int end = cn_group_first(p.batches, rank + 1, ranks);
    for (int i = cn_group_first(p.batches, rank, ranks); i < end && status == CN_OK; i++) {
        status = run_batch(e, &p, i, &score, err);
        if (status != CN_OK) break;
        if (e->scores) e->scores[i] = score;
        add_score(&sum, &score);
    }
    if (e->group) {
        status = share_scores(e, &p, status, err);
        sum = (cn_batch_score){0};
        for (int i = 0; i < p.batches; i++) add_score(&sum, &e->scores[i]);
    }
    if (status != CN_OK) return status;
    const double judged = (double)sum.tally.judged;
    *metrics = (cn_metrics){.count = p.n,
                            .judged = sum.tally.judged,
                            .correct = sum.tally.correct,
                            .accuracy = judged > 0 ? (double)sum.tally.correct / judged : NAN,
                            .loss = sum.weight > 0 ? sum.loss / sum.weight : NAN,
                            .mean_iou = NAN,
                            .mean_dice = NAN,
                            .mean_average_precision = NAN,
                            .mean_auc = NAN,
                            .mean_f1 = NAN,
                            .mean_squared_error = NAN,
                            .mean_absolute_error = NAN,
                            .mean_r_squared = NAN,
                            .seconds = cn_seconds() - start};
    if (masks) cn_mean_overlap(e->confusion, classes, &metrics->mean_iou, &metrics->mean_dice);
    if (e->judge) cn_judge_run(e->judge, e->model, data, metrics);
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
    if (status == CN_OK && o->tta != CN_TTA_NONE && cn_dataset_task(data) != CN_TASK_CLASSIFICATION)
        status =
            cn_fail(err, CN_ERR_ARGUMENT,
                    "evaluate: test-time augmentation is for a class per image, not per pixel, "
                    "nor for several labels or numbers");
    if (status != CN_OK) return status;
    int batch = o->batch ? o->batch : EVALUATION_BATCH;
    cn_session_opts session = {.batch = n < batch ? n : batch,
                               .threads = o->threads ? o->threads : threads,
                               .precision = o->precision,
                               .loss.kind = o->loss ? o->loss : model->loss,
                               .backend = o->backend};
    status = cn_evaluator_create(e, model, session, NULL, err);
    if (status == CN_OK) status = cn_evaluator_take_targets(e, data, err);
    if (status == CN_OK) status = use_tta(e, o->tta, err);
    if (status == CN_OK) status = cn_evaluator_read(e, data, session.threads, err);
    return status == CN_OK ? cn_evaluator_share(e, group, n, err) : status;
}

static cn_status evaluate(const cn_model *model, const cn_dataset *data,
                          const cn_evaluate_opts *opts, cn_metrics *metrics, int64_t *confusion,
                          cn_judge **judge, cn_error *err)
{
    const cn_evaluate_opts o = opts ? *opts : (cn_evaluate_opts){0};
    const size_t classes = (size_t)cn_dataset_classes(data);
    int64_t *counts = NULL;
    cn_evaluator evaluator = {.model = NULL};
    cn_group group;
    cn_status status = cn_model_expect_single(model, "evaluate", err);
    if (status == CN_OK) status = cn_group_create(&group, o.communicator, err);
    if (status != CN_OK) return status;
    status = prepare(&evaluator, &group, model, data, &o, err);
    if (status == CN_OK && confusion) {
        counts = cn_allocate(classes * classes, sizeof *counts, "evaluate: confusion", err);
        if (!counts) status = CN_ERR_MEMORY;
    }
    status = cn_group_agree(&group, status, err);
    if (status == CN_OK) status = cn_evaluator_run(&evaluator, data, metrics, counts, err);
    if (status == CN_OK && confusion) memcpy(confusion, counts, classes * classes * sizeof *counts);
    if (status == CN_OK && judge) {
        *judge = evaluator.judge;
        evaluator.judge = NULL;
    }
    cn_release(counts);
    cn_evaluator_free(&evaluator);
    cn_group_free(&group);
    return status;
}

cn_status cn_evaluate(const cn_model *model, const cn_dataset *data, const cn_evaluate_opts *opts,
                      cn_metrics *metrics, int64_t *confusion, cn_error *err)
{
    if (!model || !data || !metrics)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: model, data or metrics is NULL");
    if (cn_dataset_targets(data)) confusion = NULL;
    return evaluate(model, data, opts, metrics, confusion, NULL, err);
}

cn_status cn_evaluate_judged(const cn_model *model, const cn_dataset *data,
                             const cn_evaluate_opts *opts, cn_metrics *metrics, cn_judge **judge,
                             cn_error *err)
{
    if (!cn_dataset_targets(data))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "evaluate: columns are several labels per image or numbers, the data have "
                       "a class per %s",
                       cn_dataset_masks(data) ? "pixel" : "image");
    return evaluate(model, data, opts, metrics, NULL, judge, err);
}

cn_status cn_evaluate_columns(const cn_model *model, const cn_dataset *data,
                              const cn_evaluate_opts *opts, cn_metrics *metrics,
                              cn_column_metrics *columns, cn_error *err)
{
    cn_judge *judge = NULL;
    if (!model || !data || !metrics || !columns)
        return cn_fail(err, CN_ERR_ARGUMENT, "evaluate: NULL argument");
    cn_status status = cn_evaluate_judged(model, data, opts, metrics, &judge, err);
    if (status == CN_OK) memcpy(columns, judge->found, (size_t)judge->columns * sizeof *columns);
    cn_judge_free(judge);
    return status;
}

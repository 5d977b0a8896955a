/* train.h - the parts of training that stand on their own: options, rate, order, metrics,
 * evaluation. */
#ifndef CN_TRAIN_H
#define CN_TRAIN_H

#include "augment/tta.h"
#include "base/threads.h"
#include "model/state.h"
#include "train/group.h"

/* ---- options of a training (fit_options.c) */

/* Those that can be checked without the model and the data. */
cn_status cn_fit_options_check(const cn_fit_opts *opts, cn_error *err);
/* Puts defaults where nothing is given, for so many images. */
void cn_fit_options_complete(cn_fit_opts *opts, int size, cn_task_kind task);
/* That the shards divide the batch, and are enough for the ranks; once the defaults are in. */
cn_status cn_fit_options_check_shards(const cn_fit_opts *opts, cn_error *err);
/* Adds the options that the result depends on, all but those that cn_fit_opts.resume names. */
void cn_fit_options_terms(const cn_fit_opts *opts, int classes, cn_state *state);
/* Of the session that learns, a shard at a time, and of the one that measures the validation set; once the
 * defaults are in. */
cn_session_opts cn_fit_session_opts(const cn_fit_opts *opts);
cn_session_opts cn_fit_validation_opts(const cn_fit_opts *opts);
/* What they take together. */
cn_status cn_fit_memory(const cn_model *model, const cn_fit_opts *opts, cn_memory *memory,
                        cn_error *err);

/* ---- learning rate (schedule.c) */

cn_status cn_schedule_check(const cn_schedule *schedule, cn_error *err);
/* The factor of a plateau's rate after so many falls. */
double cn_schedule_plateau(const cn_schedule *schedule, int falls);

/* ---- averages (average.c) */

typedef struct cn_averager {
    cn_average opts; /* defaults filled in; CN_AVERAGE_NONE: every call does nothing */
    cn_model *model;
    float *block; /* as long as the model's */
    uint64_t updates;
} cn_averager;

cn_status cn_averager_create(cn_averager *averager, cn_model *model, cn_average opts,
                             cn_error *err);
void cn_averager_free(cn_averager *averager);
/* After step 1 <= step <= steps of the training that `session` runs. */
void cn_averager_step(cn_averager *averager, cn_session *session, int64_t step, int64_t steps);
/* Exchanges the model's parameters with their average. */
void cn_averager_swap(cn_averager *averager);
/* Adds what it remembers from step to step. */
void cn_averager_state(cn_averager *averager, cn_state *state);

/* ---- the best epoch (best.c) */

typedef struct cn_best_tracker {
    cn_best opts;
    cn_model *model;
    float *block; /* the best epoch's parameters; NULL unless they are kept */
    double score; /* the best epoch's */
    int epoch;    /* the best; 0: none yet */
    int stale;    /* epochs since then */
    int plateau_patience, plateau, falls; /* the schedule's: epochs since the last fall, falls */
} cn_best_tracker;

cn_status cn_best_tracker_create(cn_best_tracker *best, cn_model *model, cn_best opts,
                                 const cn_schedule *schedule, cn_error *err);
void cn_best_tracker_free(cn_best_tracker *best);
/* After an epoch that the model, as it stands, has been validated in. */
void cn_best_tracker_epoch(cn_best_tracker *best, int epoch, double loss, double accuracy);
/* Has its patience run out? */
bool cn_best_tracker_stops(const cn_best_tracker *best);
/* Adds what it remembers from epoch to epoch, of so many. */
void cn_best_tracker_state(cn_best_tracker *best, int epochs, cn_state *state);
/* Gives the model the best epoch's parameters where they were kept. */
void cn_best_tracker_restore(const cn_best_tracker *best);

/* ---- order of the examples (loader.c) */

/* Fills order[0..n-1] with 0..n-1, shuffled as (seed, epoch) say and nothing else. */
void cn_order_shuffle(uint64_t seed, int epoch, int n, int *order);

/* ---- metrics (metrics.c) */

/* The class that a row of outputs names: the largest one's, the first of equals; a single output
 * names class 1 where it exceeds 0.5. */
int cn_predicted_class(const float *y, int columns);
/* How many of the rows of y (rows, columns) have a label, and how many of these name it. */
typedef struct cn_tally {
    int64_t judged, correct;
} cn_tally;
cn_tally cn_tally_correct(const float *y, size_t rows, int columns, const int32_t *labels);
/* How many of the labels y_hat > 1/2 of m examples are those of the targets, nearer to 1 or to 0. */
double cn_count_labels(const float *y, size_t m, int columns, const float *targets);
/* The labels of m examples as a tensor for cn_session_loss: (m), or (m, n_H, n_W). */
cn_tensor cn_labels_view(const cn_dataset *data, int m, int32_t *labels);
/* The means of cn_metrics over the classes of a confusion matrix. */
void cn_mean_overlap(const int64_t *confusion, int classes, double *iou, double *dice);
/* CN_ERR_SHAPE unless the model takes the data's images and has an output per class (or one output
 * for two classes), of the image or of each pixel. `what` names the caller. */
cn_status cn_check_fit(const cn_model *model, const cn_dataset *data, const char *what,
                       cn_error *err);

/* Seconds of a clock that never goes back. */
double cn_seconds(void);

/* ---- divergence (diverged.c) */

/* CN_ERR_DIVERGED with a text that says where it began. `what` is no longer finite: "the loss". The
 * session has just run the batch with the labels Y; `rate` is the one that was asked for. */
cn_status cn_diverged(cn_session *session, const cn_tensor *Y, const cn_progress *progress,
                      const char *what, double rate, cn_error *err);
/* CN_OK where all parameters are finite, else CN_ERR_DIVERGED that names the first that is not. */
cn_status cn_check_parameters(const cn_model *model, const cn_progress *progress, double rate,
                              cn_error *err);

/* ---- values (values.c) */

/* The model's normalization, n_C of each, for the values that the data have. */
void cn_normalization_of(const cn_model *model, const cn_dataset *data, float *mean, float *std);
/* Makes a model remember the data's task and, of numbers, mean and deviation, unless it has them. */
cn_status cn_learn_targets(cn_model *model, const cn_dataset *data, cn_error *err);
/* What a training makes a model remember of how its images were made. */
cn_image_opts cn_learned_image_opts(const cn_model *model, const cn_dataset *data);

/* ---- labels and numbers (columns.c) */

/* The outputs for all images of a set with targets, and what is found of them. */
typedef struct cn_judge {
    int room, columns;       /* images that there is room for */
    float *outputs;          /* (room, columns), of numbers restored */
    float *truth;            /* (batch, columns), standardized: of the batch at hand */
    struct cn_scored *order; /* of a column, by score */
    cn_column_metrics *found;
} cn_judge;

cn_status cn_judge_create(cn_judge **judge, int images, int batch, int columns, cn_error *err);
void cn_judge_free(cn_judge *judge);
/* Fills judge->found for the data's images, and the means in *metrics. */
void cn_judge_run(cn_judge *judge, const cn_model *model, const cn_dataset *data,
                  cn_metrics *metrics);

/* ---- evaluation (evaluate.c) */

/* A session with room for a batch, made once and used for every pass over a data set. */
typedef struct cn_evaluator {
    const cn_model *model;
    cn_session *session;
    cn_loss_kind loss; /* not CN_LOSS_DEFAULT */
    int batch;
    int *index;
    int32_t *labels;    /* a batch's, of an image or of its pixels */
    int64_t *confusion; /* segmentation: of the pixels, classes x classes */
    float *mean, *std;  /* of the data's values, n_C of each */
    cn_tta tta;
    cn_group *group;               /* that shares the batches out; NULL: nobody does */
    struct cn_batch_score *scores; /* one per batch of the data, with a group */
    cn_pool *pool;                 /* for images that are not in memory; else NULL */
    void *whole;                   /* these four with tta only: a batch's images, and their views */
    void *moved;
    cn_judge *judge; /* of labels or numbers; NULL: none */
    double *sum;
    float *y;
} cn_evaluator;

/* `opts` may be those of the training: it is the session's that stands beside this one, in whose memory
 * it then runs. `training` NULL: there is none. */
cn_status cn_evaluator_create(cn_evaluator *evaluator, const cn_model *model, cn_session_opts opts,
                              cn_session *training, cn_error *err);
void cn_evaluator_free(cn_evaluator *evaluator);
/* From now on runs may be over this set, and read its images by so many threads. */
cn_status cn_evaluator_read(cn_evaluator *evaluator, const cn_dataset *data, int threads,
                            cn_error *err);
/* Makes room for the outputs of a set with targets; nothing for others. */
cn_status cn_evaluator_take_targets(cn_evaluator *evaluator, const cn_dataset *data, cn_error *err);
/* From now on the group shares out runs over data sets of at most so many images. */
cn_status cn_evaluator_share(cn_evaluator *evaluator, cn_group *group, int size, cn_error *err);
/* cn_evaluate of a set with targets; *judge is the caller's to free. */
cn_status cn_evaluate_judged(const cn_model *model, const cn_dataset *data,
                             const cn_evaluate_opts *opts, cn_metrics *metrics, cn_judge **judge,
                             cn_error *err);
/* Allocates nothing. `confusion` (classes x classes) is added to, and may be NULL. */
cn_status cn_evaluator_run(cn_evaluator *evaluator, const cn_dataset *data, cn_metrics *metrics,
                           int64_t *confusion, cn_error *err);

/* FNV-1a over the labels and some of the images, spread evenly, with their masks or targets: enough to
 * tell another data set, or other pixels, at no cost that shows. `room` is of an image's floats. */
cn_status cn_dataset_digest(const cn_dataset *data, float *room, uint64_t *out, cn_error *err);

#endif

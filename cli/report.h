/* report.h - what `convnet report` measures. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli.h"

/* A model's answers about a set: n rows of one probability per class. */
typedef struct cli_answers {
    const cn_dataset *data;
    int n, classes;
    float *p;
} cli_answers;

/* CN_ERR_UNSUPPORTED unless the model tells classes apart, one per image. */
cn_status cli_report_check(const cn_model *model, const char *what, cn_error *err);
/* Asks the model about every image. Its output must be one row of classes. */
cn_status cli_answer(cli_answers *a, const cn_model *model, const cn_dataset *data, int threads,
                     cn_error *err);
void cli_answers_free(cli_answers *a);

/* Each adds its part to the page's data. */
void cli_report_confusion(json_t *page, const cli_answers *a);
void cli_report_calibration(json_t *page, const cli_answers *a);
/* Wrong answers, the surest first, under `key`: of the test images mistakes, of the training images
 * probable errors of the labels. */
void cli_report_wrong(json_t *page, const char *key, const cli_answers *a, double least);
/* Layers with work, memory and time of a forward of `batch` of the set's images, and units of ReLUs
 * that none of them makes positive. */
cn_status cli_report_layers(json_t *page, const cn_model *model, const cn_dataset *data,
                            int threads, cn_error *err);
void cli_report_filters(json_t *page, const char *key, const cn_model *model);

/* ---- the page (report_page.c) */

/* Measures the model and writes the page with what it was told before. */
cn_status cli_report_write(json_t *page, const cn_model *model, const cn_dataset *train,
                           const cn_dataset *test, int threads, const char *out, cn_error *err);
/* The page of a training that is about to begin: its command, the first filters. An error where the
 * model is none that a report can be made of. */
cn_status cli_report_begin(json_t **page, const cn_model *model, const cli_common *common,
                           cn_error *err);
/* The event of an epoch, for --json; also told to the page, which may be NULL. */
json_t *cli_report_epoch(json_t *page, const cn_progress *p);

#endif

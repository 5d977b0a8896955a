/* columns.h - several labels per image, and numbers: what is printed of them. */
#ifndef COLUMNS_H
#define COLUMNS_H

#include "base/sink.h"
#include "cli.h"

/* Does the set have labels or numbers, with a row of targets per image? */
bool cli_has_targets(const cn_dataset *data);

/* ---- how good a model is */

/* "Test mean average precision ...", a line. */
void cli_print_targets(const cn_dataset *data, const char *title, const cn_metrics *m);
/* A row for each label or number. */
void cli_print_columns(const cn_dataset *data, const cn_column_metrics *columns);
/* The means, and unless `columns` is NULL an object for each figure with the labels or numbers as
 * keys. */
void cli_put_targets(json_t *object, const cn_dataset *data, const cn_metrics *m,
                     const cn_column_metrics *columns);

/* ---- what a model says of an image: y has a probability per label, or the numbers */

void cli_print_answers(const cn_model *model, const char *file, const float *y);
void cli_print_answers_json(const cn_model *model, const char *file, const float *y);
/* The table's heading, and a row of it: path and labels above their thresholds, between bars, with all
 * probabilities; or path and numbers. */
cn_status cli_write_answers_head(cn_sink *sink, const cn_model *model, cn_error *err);
cn_status cli_write_answers(cn_sink *sink, const cn_model *model, const char *file, const float *y,
                            cn_error *err);

/* A field in quotes, where it needs them (RFC 4180), and what follows it. */
cn_status cli_write_field(cn_sink *sink, const char *text, const char *end, cn_error *err);
/* The model's name of class, label or number i; its number where it has none. */
const char *cli_class_name(const cn_model *model, int i, char number[CLI_COUNT_TEXT]);

#endif

/* averages.h - normalizations of single values, which learn nothing. */
#ifndef CN_AVERAGES_H
#define CN_AVERAGES_H

#include "model/model.h"

/* CN_ERR_ARGUMENT where a normalization of a training batch of m would see one value at a time.
 * `what` names the caller. */
cn_status cn_check_averages(const cn_model *model, int m, const char *what, cn_error *err);
/* The smallest batch to train on, 1 or 2, of a model that passes with a larger one. */
int cn_least_batch(const cn_model *model);

#endif

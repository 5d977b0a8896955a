/* checkpoint.h - a training's state as a file, from which it goes on as if it had never stopped. */
#ifndef CN_CHECKPOINT_H
#define CN_CHECKPOINT_H

#include "model/model.h"
#include "model/state.h"

/* Writes the model, the state and a note (may be NULL), atomically: see checkpoint.c. */
cn_status cn_checkpoint_save(const cn_model *model, const cn_state *state, const char *note,
                             const char *path, cn_error *err);
/*
 * Sets the model's parameters and the state's items from a file. Refused, with everything
 * untouched, unless graph, classes, normalization and all terms are what they were when it was
 * written; the first that is not is named.
 */
cn_status cn_checkpoint_load(cn_model *model, const cn_state *state, const char *path,
                             cn_error *err);

#endif

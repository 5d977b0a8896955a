/* session.h - what the library's own callers of a session use beside convnet.h. */
#ifndef CN_SESSION_H
#define CN_SESSION_H

#include "backends/backend.h"
#include "model/model.h"
#include "model/state.h"

/* cn_session_create for this backend, whatever the options name. */
cn_status cn_session_create_on(cn_session **session, cn_model *model, cn_session_opts opts,
                               const cn_backend *backend, cn_error *err);

/*
 * The session's own input buffer, (batch, n_H, n_W, n_C). Fill it and hand a tensor over it to
 * cn_forward, and nothing is copied.
 */
float *cn_session_input(cn_session *session);

/* Adds what the session remembers from step to step: the optimiser's moments, and what
 * it counts. */
void cn_session_state(cn_session *session, cn_state *state);

/* average += part (w - average) over the whole block of the model's parameters w. */
void cn_session_blend(cn_session *session, double part, float *average);

/*
 * The last forward once more, layer by layer, and, unless Y is NULL, the loss and the backward that
 * belong to it: the same numbers, at a leisure at which they can be looked at. `look` is called
 * after each layer, forward and then backward, and ends it by returning true, which is what this
 * returns, too. For a session that trains, after cn_forward and before cn_step.
 */
typedef bool cn_look(const cn_call *call, bool backward, void *user);
bool cn_session_replay(cn_session *session, const cn_tensor *Y, cn_look *look, void *user);
/* What cn_find_trouble asks before: CN_ERR_ARGUMENT unless there is such a forward. */
cn_status cn_session_can_replay(const cn_session *session, const cn_tensor *Y, cn_error *err);
/* False where an output of the last forward is NaN or infinite. */
bool cn_session_output_finite(const cn_session *session);
/* How many of n elements of an array of a call are NaN or infinite; *nan (may be NULL) becomes true
 * where one is NaN. */
size_t cn_session_count_not_finite(const cn_session *session, size_t n, const void *x, bool *nan);
/* False where a gradient is NaN or infinite. */
bool cn_session_gradients_finite(const cn_session *session);
/* The model that it runs. */
cn_model *cn_session_model(const cn_session *session);

#endif

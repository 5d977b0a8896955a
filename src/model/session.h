/* session.h - what the library's own callers of a session use beside convnet.h. */
#ifndef CN_SESSION_H
#define CN_SESSION_H

#include "model/model.h"
#include "model/state.h"

/*
 * The session's own input buffer, (batch, n_H, n_W, n_C). Fill it and hand a tensor over it to
 * cn_forward, and nothing is copied.
 */
float *cn_session_input(cn_session *session);

/* Adds what the session remembers from step to step: the optimiser's moments, and what
 * it counts. */
void cn_session_state(cn_session *session, cn_state *state);

#endif

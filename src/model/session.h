/* session.h - what the library's own callers of a session use beside convnet.h. */
#ifndef CN_SESSION_H
#define CN_SESSION_H

#include "backends/backend.h"
#include "model/model.h"
#include "model/state.h"

/* cn_session_create for this backend, whatever the options name. */
cn_status cn_session_create_on(cn_session **session, cn_model *model, const cn_session_opts *opts,
                               const cn_backend *backend, cn_error *err);

/* cn_session_create_inference for this backend. */
cn_status cn_session_create_inference_on(cn_session **session, const cn_model *model,
                                         const cn_session_opts *opts, const cn_backend *backend,
                                         cn_error *err);

/*
 * cn_session_create_inference of the lender's model and backend, on the lender's threads and in its
 * memory, which grows if it must; what cn_session_input of the lender returned is then void. The two
 * take turns: a forward of one voids the other's results. The lender must outlive it.
 */
cn_status cn_session_create_inference_in(cn_session **session, cn_session *lender,
                                         const cn_session_opts *opts, cn_error *err);
/* cn_session_memory of the lender after that, where both have these options. */
cn_status cn_session_shared_memory(const cn_model *model, const cn_session_opts *lender,
                                   const cn_session_opts *opts, cn_memory *out, cn_error *err);

/*
 * The session's own input buffer, (batch, n_H, n_W, n_C). Fill it and hand a tensor over it to
 * cn_session_forward, and nothing is copied.
 */
float *cn_session_input(cn_session *session);

/* Adds the session's state between steps: the optimizer's, and the counters. */
void cn_session_state(cn_session *session, cn_state *state);

/* average += part (w - average) over the whole block of the model's parameters w. */
void cn_session_blend(cn_session *session, double part, float *average);

/* Called after each layer's forward and backward; returns true to stop. */
typedef bool cn_visitor(const cn_call *call, bool backward, void *user);
/*
 * Repeats the last forward and, unless Y is NULL, its loss and backward: the same values, pausing
 * after each layer so that they can be inspected. Returns whether the visitor stopped it. For a
 * session that trains, after cn_session_forward and before cn_session_step.
 */
bool cn_session_rerun(cn_session *session, const cn_tensor *Y, cn_visitor *visit, void *user);
/* What cn_session_find_nonfinite checks first: CN_ERR_ARGUMENT unless there is such a forward. */
cn_status cn_session_can_rerun(const cn_session *session, const cn_tensor *Y, cn_error *err);
/* False where an output of the last forward is NaN or infinite. */
bool cn_session_output_finite(const cn_session *session);
/* How many of n elements of an array of a call are NaN or infinite; *nan (may be NULL) becomes true
 * where one is NaN. */
size_t cn_session_count_not_finite(const cn_session *session, size_t n, const void *x, bool *nan);
/* False where a gradient is NaN or infinite. */
bool cn_session_gradients_finite(const cn_session *session);
/* The same of the elements from .. from + count - 1 of their block. */
bool cn_session_part_finite(const cn_session *session, size_t from, size_t count);
/* The model's normalization of pixels, n_C numbers each, in the session's memory. */
void cn_session_normalization(const cn_session *session, float **mean, float **std);
/* CN_OK for (m, n_H, n_W, n_C) of the model's examples; `what` begins the message. */
cn_status cn_session_check_examples(const cn_session *session, const cn_tensor *X, const char *what,
                                    cn_error *err);
/* The model that it runs; the same where it trains that model, else NULL; the most examples. */
const cn_model *cn_session_model(const cn_session *session);
cn_model *cn_session_trained(const cn_session *session);
int cn_session_batch(const cn_session *session);
/* The threads that it was planned for. */
int cn_session_threads(const cn_session *session);

/* ---- a batch in shards (src/train/shards.h): gradients that are sums over examples, not means */

/* All gradients from element `from` of the block on are what they will be. */
typedef void cn_gradients_final(size_t from, void *user);
/* cn_session_backward with the weights of the loss's mean left in: adds to the gradients, which the
 * `first` sets to zero before. `final` (may be NULL) is called after every layer. */
cn_status cn_session_backward_sum(cn_session *session, bool first, cn_gradients_final *final,
                                  void *user, cn_error *err);
/* The divisor of the last loss's mean. */
double cn_session_loss_weight(const cn_session *session);
/* `count` gradients from element `from` of the block on, as floats of the host. */
const float *cn_session_gradients(const cn_session *session, size_t from, size_t count);
/* Sets the gradients that cn_session_step applies: a whole block of sums, times the factor. Where
 * the backend's memory is the host's, they are used, and changed, where they lie. */
void cn_session_set_gradients(cn_session *session, float *sum, double factor);
/* From the next backward on the gradients are written there, a block of the host; NULL: to the
 * session's own. Only where cn_session_on_host. */
void cn_session_place_gradients(cn_session *session, float *gradients);
/* Are the backend's arrays floats of the host? */
bool cn_session_on_host(const cn_session *session);
/* A step that several processes share, each with all gradients, on the host. Where the step clips
 * by norm, every process measures the chunks from `first` to `end` - 1, after which the plan must be
 * given the squares of all. It steps its chunks, which leaves the new weights where their gradients
 * were, and takes the other chunks' weights over from there. */
const cn_update_plan *cn_session_updates(const cn_session *session);
bool cn_session_clips_norm(const cn_session *session);
void cn_session_measure(cn_session *session, int first, int end);
cn_status cn_session_step_part(cn_session *session, double learning_rate, int first, int end,
                               cn_error *err);
/* Packed weights that several sessions of the same model and batch share, on the host: bytes of
 * those of the layers before `end`. From cn_session_place_packed on, which comes before the first
 * forward, they lie there, and no forward packs them. cn_session_pack packs those of the layers
 * first .. end-1. Before a forward those of all layers must be what the weights make them; false
 * where the weights may have changed since this session's last pack. */
size_t cn_session_packed_size(const cn_session *session, int end);
void cn_session_place_packed(cn_session *session, void *packed);
void cn_session_pack(cn_session *session, int first, int end);
bool cn_session_is_packed(const cn_session *session);
/* The optimizer's state, blocks as long as the gradients, on the host; returns how many. */
int cn_session_optimizer_state(const cn_session *session, float **blocks);
/* The model's buffers, such as running means, from as many floats. */
void cn_session_set_buffers(cn_session *session, const float *from);
/* The next forward is this one, counted from 0: what layers that draw numbers go by. */
void cn_session_number_forward(cn_session *session, uint64_t number);
/* y += x, arrays of the host, by the session's threads. */
void cn_session_add(const cn_session *session, size_t n, const float *x, float *y);

/* ---- sessions that share a batch (team.c) */

/* cn_session_create for a part of a batch over which normalizations take their means. Beside
 * another part's session (or NULL), which has the same batch and must outlive it, it uses that
 * one's threads and packed weights. */
cn_status cn_session_create_part(cn_session **session, cn_model *model, const cn_session_opts *opts,
                                 const cn_session *beside, cn_error *err);

typedef struct cn_team cn_team;
/* parts (count, n): adds up the rows, and those of other processes, into the n of `all`. The rows
 * may be overwritten. */
typedef cn_status cn_team_sum(void *user, size_t n, double *parts, double *all, cn_error *err);

/* Of `count` sessions that train, the first made by itself and the others beside it.
 * CN_ERR_UNSUPPORTED where the backend has no batch norm in two halves. */
cn_status cn_team_create(cn_team **team, cn_session *const *sessions, int count, cn_team_sum *sum,
                         void *user, cn_error *err);
void cn_team_free(cn_team *team);
/* Of m[k] examples, maybe none, that lie in the input of session k. The model's buffers move once.
 * An error is one of `sum`. */
cn_status cn_team_forward(cn_team *team, const int *m, cn_error *err);
/* cn_session_backward_sum of all sessions, after the loss of each that has examples. */
cn_status cn_team_backward_sum(cn_team *team, bool first, cn_gradients_final *final, void *user,
                               cn_error *err);

#endif

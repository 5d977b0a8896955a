/* session_step.c - the optimizer's step of a session, and what it remembers from step to step. */
#include "model/session_struct.h"

#include "model/optimizer.h"

#include <math.h>

static cn_update_step update_of(cn_session *s, int first, int end)
{
    return (cn_update_step){.optimizer = &s->plan.opts.optimizer,
                            .plan = &s->plan.updates,
                            .first = first,
                            .end = end,
                            .gradients = s->gradients,
                            .factor = s->factor,
                            .state = s->optimizer_state,
                            .weights = s->parameters,
                            .size = s->plan.gradients};
}

const cn_update_plan *cn_session_updates(const cn_session *s)
{
    return &s->plan.updates;
}

bool cn_session_clips_norm(const cn_session *s)
{
    return s->plan.opts.optimizer.clip_norm > 0;
}

void cn_session_measure(cn_session *s, int first, int end)
{
    const cn_update_step step = update_of(s, first, end);
    if (!s->backend->measure) return;
    s->backend->measure(s->device, &step);
    s->factor = 1;
}

static cn_status check_step(const cn_session *s, double learning_rate, cn_error *err)
{
    if (!s) return cn_fail(err, CN_ERR_ARGUMENT, "step: NULL session");
    if (s->done != CN_STAGE_BACKWARD)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "step: no gradients to follow, call cn_session_backward first");
    if (!(learning_rate >= 0) || !isfinite(learning_rate))
        return cn_fail(err, CN_ERR_ARGUMENT, "step: learning rate %g, expected 0 or more",
                       learning_rate);
    return CN_OK;
}

static void run_step(cn_session *s, cn_update_step step, double learning_rate)
{
    step.rate = learning_rate;
    step.t = ++s->updates;
    s->backend->step(s->device, &step);
    cn_session_give_parameters(s, 0);
    s->taken_version = ++s->trained->version;
    s->gradient_weight = 0;
    s->factor = 1;
    s->done =
        CN_STAGE_FORWARD; /* the outputs are still there; gradients and weights no longer match */
}

cn_status cn_session_step(cn_session *s, double learning_rate, cn_error *err)
{
    cn_status status = check_step(s, learning_rate, err);
    if (status != CN_OK) return status;
    if (cn_session_clips_norm(s)) cn_session_measure(s, 0, s->plan.updates.count);
    run_step(s, update_of(s, 0, s->plan.updates.count), learning_rate);
    return CN_OK;
}

cn_status cn_session_step_part(cn_session *s, double learning_rate, int first, int end,
                               cn_error *err)
{
    cn_status status = check_step(s, learning_rate, err);
    if (status != CN_OK) return status;
    cn_update_step step = update_of(s, first, end);
    step.replace = true;
    run_step(s, step, learning_rate);
    return CN_OK;
}

int cn_session_optimizer_state(const cn_session *s, float **blocks)
{
    *blocks = s->optimizer_state;
    return cn_optimizer_state_blocks(&s->plan.opts.optimizer);
}

void cn_session_state(cn_session *s, cn_state *state)
{
    static const char *const names[] = {"moment_1", "moment_2"};
    size_t size = s->model->trained_size;
    for (size_t i = 0; i * size < s->plan.optimizer_state; i++)
        cn_state_add_array(state, names[i], CN_STATE_TRAINED, s->backend->dtype,
                           cn_at_element(s, s->optimizer_state, i * size));
    if (!s->backend->host)
        cn_state_add_array(state, "parameters", CN_STATE_BLOCK, s->backend->dtype, s->parameters);
    cn_state_add(state, "updates", CN_STATE_COUNT, &s->updates);
    cn_state_add(state, "forwards", CN_STATE_COUNT, &s->forwards);
}

void cn_session_blend(cn_session *s, double part, float *average)
{
    s->backend->blend(s->device, s->model->block_size, part, s->model->block, average);
}

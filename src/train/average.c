/* average.c - averages of a model's parameters while it trains. convnet.h has the formulas. */
#include "train/train.h"

#include "base/math.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

cn_status cn_averager_create(cn_averager *a, cn_model *model, cn_average opts, cn_error *err)
{
    cn_averager made = {.opts = opts, .model = model};
    bool lookahead = opts.kind == CN_AVERAGE_LOOKAHEAD;
    if (opts.kind < CN_AVERAGE_NONE || opts.kind > CN_AVERAGE_LOOKAHEAD)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: unknown average %d", (int)opts.kind);
    if (made.opts.decay == 0) made.opts.decay = lookahead ? 0.5 : 0.999;
    if (made.opts.every == 0) made.opts.every = lookahead ? 5 : 1;
    if (!(made.opts.decay > 0 && made.opts.decay < 1))
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: average: decay %g, expected between 0 and 1",
                       opts.decay);
    if (made.opts.every < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: average: every %d steps, expected 1 or more",
                       opts.every);
    if (!(opts.power >= 0) || isinf(opts.power))
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: average: power %g, expected 0 or more",
                       opts.power);
    if (opts.kind != CN_AVERAGE_NONE) {
        size_t size = model->block_size;
        made.block = cn_allocate(size, sizeof *made.block, "fit: average", err);
        if (!made.block) return CN_ERR_MEMORY;
        memcpy(made.block, model->block, size * sizeof *made.block);
    }
    *a = made;
    return CN_OK;
}

void cn_averager_free(cn_averager *a)
{
    cn_release(a->block);
    *a = (cn_averager){0};
}

void cn_averager_step(cn_averager *a, cn_session *session, int64_t step, int64_t steps)
{
    if (a->opts.kind == CN_AVERAGE_NONE || step % a->opts.every != 0) return;
    double n = (double)++a->updates, decay = a->opts.decay;
    if (a->opts.kind == CN_AVERAGE_EMA)
        decay = fmin(decay, (1 + n) / (10 + n));
    else
        decay *= cn_pow(fmin((double)step / (double)steps, 1), a->opts.power);
    cn_session_blend(session, 1 - decay, a->block);
    if (a->opts.kind == CN_AVERAGE_LOOKAHEAD) {
        memcpy(a->model->block, a->block, a->model->block_size * sizeof *a->block);
        a->model->version++;
    }
}

void cn_averager_swap(cn_averager *a)
{
    enum { PIECE = 1024 };
    float piece[PIECE];
    if (a->opts.kind == CN_AVERAGE_NONE) return;
    float *w = a->model->block;
    for (size_t from = 0, n; from < a->model->block_size; from += n) {
        n = a->model->block_size - from < PIECE ? a->model->block_size - from : PIECE;
        memcpy(piece, w + from, n * sizeof *w);
        memcpy(w + from, a->block + from, n * sizeof *w);
        memcpy(a->block + from, piece, n * sizeof *w);
    }
    a->model->version++;
}

void cn_averager_state(cn_averager *a, cn_state *state)
{
    if (a->opts.kind == CN_AVERAGE_NONE) return;
    cn_state_add(state, "average", CN_STATE_BLOCK, a->block);
    cn_state_add(state, "average_updates", CN_STATE_COUNT, &a->updates);
}

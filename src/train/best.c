/* best.c - which epoch was the best, and what follows when none gets better for long. */
#include "train/train.h"

#include "model/model.h"

#include <math.h>
#include <string.h>

enum { PLATEAU_PATIENCE = 5 };

cn_status cn_best_tracker_create(cn_best_tracker *j, cn_model *model, cn_best opts,
                                 const cn_schedule *schedule, cn_error *err)
{
    cn_best_tracker made = {.opts = opts, .model = model};
    if (opts.monitor < CN_MONITOR_LOSS || opts.monitor > CN_MONITOR_MEAN_IOU)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: unknown monitor %d", (int)opts.monitor);
    if (opts.patience < 0)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: a patience of %d epochs, expected 1 or more",
                       opts.patience);
    if (!(opts.min_delta >= 0) || isinf(opts.min_delta))
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: min_delta %g, expected a number of 0 or more",
                       opts.min_delta);
    if (schedule->kind == CN_SCHEDULE_PLATEAU)
        made.plateau_patience = schedule->patience > 0 ? schedule->patience : PLATEAU_PATIENCE;
    if (opts.keep || opts.patience > 0) {
        made.block = cn_allocate(model->block_size, sizeof *made.block, "fit: best weights", err);
        if (!made.block) return CN_ERR_MEMORY;
    }
    *j = made;
    return CN_OK;
}

void cn_best_tracker_free(cn_best_tracker *j)
{
    cn_release(j->block);
    *j = (cn_best_tracker){0};
}

void cn_best_tracker_epoch(cn_best_tracker *j, int epoch, double loss, double accuracy)
{
    /* The larger, the better. */
    double score = j->opts.monitor == CN_MONITOR_LOSS ? -loss : accuracy;
    if (j->epoch == 0 ? !isnan(score) : score > j->score + j->opts.min_delta) {
        j->epoch = epoch;
        j->score = score;
        j->stale = j->plateau = 0;
        if (j->block) memcpy(j->block, j->model->block, j->model->block_size * sizeof *j->block);
        return;
    }
    j->stale++;
    if (j->plateau_patience > 0 && ++j->plateau == j->plateau_patience) {
        j->falls++;
        j->plateau = 0;
    }
}

bool cn_best_tracker_stops(const cn_best_tracker *j)
{
    return j->opts.patience > 0 && j->stale >= j->opts.patience;
}

void cn_best_tracker_state(cn_best_tracker *j, int epochs, cn_state *state)
{
    if (j->block) cn_state_add(state, "best", CN_STATE_BLOCK, j->block);
    cn_state_add(state, "best_score", CN_STATE_NUMBER, &j->score);
    cn_state_add_int(state, "best_epoch", &j->epoch, 0, epochs);
    cn_state_add_int(state, "stale", &j->stale, 0, epochs);
    cn_state_add_int(state, "plateau", &j->plateau, 0, epochs);
    cn_state_add_int(state, "falls", &j->falls, 0, epochs);
}

void cn_best_tracker_restore(const cn_best_tracker *j)
{
    if (!j->block || j->epoch == 0) return;
    memcpy(j->model->block, j->block, j->model->block_size * sizeof *j->block);
    j->model->version++;
}

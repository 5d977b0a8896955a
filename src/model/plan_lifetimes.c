/*
 * plan_lifetimes.c - the fourth pass: when each buffer must hold its contents.
 *
 * Moments. With n layers, layer i runs forward at moment i, the loss at n, its backward at
 * 2 n - i, and the caller looks at results at 2 n + 1. A buffer lives from the first moment that
 * touches it to the last. For a backend that is plain all of them live all the time.
 */
#include "model/planner.h"

static void touch(cn_planner *p, int buffer, int moment)
{
    if (buffer == CN_NO_BUFFER) return;
    cn_buffer *b = &p->plan->buffers[buffer];
    if (moment < b->first) b->first = moment;
    if (moment > b->last) b->last = moment;
}

static void touch_forward(cn_planner *p, int i)
{
    const cn_plan_step *step = &p->plan->steps[i];
    touch(p, step->y, i);
    for (int k = 0; k < cn_planner_layer(p, i)->input_count; k++) touch(p, step->x[k], i);
}

static void touch_backward(cn_planner *p, int i)
{
    const cn_plan_step *step = &p->plan->steps[i];
    const unsigned reads = cn_planner_type(p, i)->backward_reads;
    const int moment = 2 * p->n - i;
    for (int k = 0; k < cn_planner_layer(p, i)->input_count; k++) {
        if (reads & CN_READS_X) touch(p, step->x[k], moment);
        touch(p, step->dx[k], moment);
        touch(p, step->sum[k], moment);
    }
    if (reads & CN_READS_Y) touch(p, step->y, moment);
    touch(p, step->dy, moment);
}

void cn_plan_lifetimes(cn_planner *p)
{
    const cn_plan *plan = p->plan;
    const cn_plan_step *output = &plan->steps[p->nodes[p->model->output].value];
    const int end = 2 * p->n + 1;
    for (int i = 0; i < p->n; i++) touch_forward(p, i);
    touch(p, output->y, end);
    if (plan->loss.fused) touch(p, output->x[0], p->n);
    /* Kept to the end, so that a step that went wrong can be looked at: cn_session_rerun. */
    if (plan->opts.training) touch(p, plan->steps[0].y, end);

    touch(p, plan->loss_gradient, p->n);
    for (int i = p->n - 1; i > 0; i--)
        if (p->nodes[i].differentiates) touch_backward(p, i);
    touch(p, plan->input_gradient, end);
    for (int b = 0; b < plan->buffer_count && plan->backend->plain; b++) {
        touch(p, b, 0);
        touch(p, b, end);
    }
}

/*
 * plan_lifetimes.c - the fourth pass: when each buffer must hold its contents.
 *
 * With n layers, layer i runs forward at time i, the loss at time n, layer i's backward at
 * 2 n - i, and the caller reads results at 2 n + 1. A buffer lives from the first time it is used
 * to the last. For a plain backend all buffers live all the time.
 */
#include "model/planner.h"

static void touch(cn_planner *p, int buffer, int time)
{
    if (buffer == CN_NO_BUFFER) return;
    cn_buffer *b = &p->plan->buffers[buffer];
    if (time < b->first) b->first = time;
    if (time > b->last) b->last = time;
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
    const int time = 2 * p->n - i;
    for (int k = 0; k < cn_planner_layer(p, i)->input_count; k++) {
        if (reads & CN_READS_X) touch(p, step->x[k], time);
        touch(p, step->dx[k], time);
        touch(p, step->sum[k], time);
    }
    if (reads & CN_READS_Y) touch(p, step->y, time);
    touch(p, step->dy, time);
}

void cn_plan_lifetimes(cn_planner *p)
{
    const cn_plan *plan = p->plan;
    const cn_plan_step *output = &plan->steps[p->nodes[p->model->output].value];
    const int end = 2 * p->n + 1;
    for (int i = 0; i < p->n; i++) touch_forward(p, i);
    touch(p, output->y, end);
    if (plan->loss.fused) touch(p, output->x[0], p->n);
    /* Until the end, so that a failed step can be inspected: cn_session_rerun. */
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

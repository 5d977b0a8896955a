/*
 * plan_backward.c - the third pass, of sessions that train: where each gradient is written, and
 * which layers run backward. It walks from the last layer to the first.
 *
 * The gradient of a value that several layers read is a sum: the first backward writes it, each
 * further one writes a buffer of its own, which is then added.
 *
 * Loss. Where it is computed from the logits, so is its gradient, and the backward of the layer
 * after them does not run.
 *
 * In place. dx may be dy's buffer where the layer's forward could work in place.
 *
 * Sums. The gradient of a + b is that of a and that of b: where it is safe, all three are one
 * buffer, and nothing runs. The summand that is computed later runs backward first: it must only
 * read the buffer, and whatever else adds to the other's gradient must run after it.
 *
 * ReLU. A layer that masks_relu takes the gradient after a ReLU or ReLU6 fused into it. And
 * max(max(z, 0)) = max(max(z), 0): the gradient of a ReLU before a maximum pooling is masked after
 * the pooling, where there are fewer elements, with the same result.
 */
#include "model/planner.h"

#include <math.h>

/* The gradient buffer of a value that nothing has written yet, as the value's reader i writes it.
 */
static int first_gradient(cn_planner *p, int value, int i)
{
    cn_plan_step *step = &p->plan->steps[value];
    bool over = p->nodes[i].in_place_dx && !p->nodes[i].shared && !cn_planner_type(p, i)->sum;
    step->dy = over ? p->plan->steps[i].dy : cn_planner_add_buffer(p, value);
    return step->dy;
}

/* Layer i is a sum: finds the inputs whose gradients are its own buffer, the one that is computed
 * last and maybe one more. */
static void share_gradient(cn_planner *p, int i)
{
    cn_plan_step *steps = p->plan->steps, *step = &steps[i];
    int late = -1, early = -1, late_input = 0, early_input = 0;
    for (int k = 0; k < cn_planner_layer(p, i)->input_count; k++) {
        int value = cn_planner_input(p, i, k);
        if (!p->nodes[value].gradient || steps[value].dy != CN_NO_BUFFER || value == late) continue;
        if (value > late) {
            early = late, early_input = late_input;
            late = value, late_input = k;
        } else {
            early = value, early_input = k;
        }
    }
    if (p->nodes[i].shared || late < 0) return;
    step->dx[late_input] = steps[late].dy = step->dy;
    if (early < 0 || p->nodes[late].readers > 1 || cn_planner_type(p, late)->sum ||
        cn_planner_read_between(p, early, late, i))
        return;
    step->dx[early_input] = steps[early].dy = step->dy;
    p->nodes[late].shared = true;
}

/* A fused ReLU whose layer masks gradients, too: that layer takes the gradient after the ReLU. */
static bool hand_to_masker(cn_planner *p, int i)
{
    int before = cn_planner_input(p, i, 0);
    cn_plan_step *step = &p->plan->steps[i];
    if (step->forward || !cn_planner_type(p, before)->masks_relu) return false;
    p->plan->steps[before].dy = step->dy;
    p->nodes[before].shared = p->nodes[i].shared;
    return true;
}

/* The buffers that the backward of layer i writes. */
static void find_gradients(cn_planner *p, int i)
{
    cn_plan_step *step = &p->plan->steps[i];
    bool shares = cn_planner_type(p, i)->sum && !p->plan->backend->plain;
    if (shares) share_gradient(p, i);
    for (int k = 0; k < cn_planner_layer(p, i)->input_count; k++) {
        int value = cn_planner_input(p, i, k);
        if (!p->nodes[value].gradient || step->dx[k] != CN_NO_BUFFER) continue;
        int written = p->plan->steps[value].dy;
        if (written == CN_NO_BUFFER) {
            step->dx[k] = first_gradient(p, value, i);
        } else {
            step->dx[k] = shares ? step->dy : cn_planner_add_buffer(p, value);
            step->sum[k] = written;
        }
    }
}

/* A ReLU before a maximum, whose gradient is masked after it. */
static bool mask_after_maximum(cn_planner *p, int i)
{
    const cn_plan_node *node = &p->nodes[i];
    const cn_activation own = cn_planner_layer(p, i)->activation;
    const bool relu = own.kind == CN_ACTIVATION_CLIP && own.lower == 0 && isinf(own.upper);
    if (!relu || !node->in_place_dx || node->readers != 1 || p->nodes[node->reader].shared ||
        !cn_planner_type(p, node->reader)->maximum)
        return false;
    p->plan->steps[node->reader].mask = true;
    return true;
}

void cn_plan_backward(cn_planner *p)
{
    cn_plan *plan = p->plan;
    for (int i = 0; i < p->n; i++) {
        cn_plan_step *step = &plan->steps[i];
        step->dy = CN_NO_BUFFER;
        for (int k = 0; k < CN_MAX_INPUTS; k++) step->dx[k] = step->sum[k] = CN_NO_BUFFER;
    }
    plan->loss_gradient = plan->input_gradient = CN_NO_BUFFER;
    int last = p->nodes[p->model->output].value;
    if (plan->loss.fused) last = cn_planner_input(p, last, 0);
    if (p->nodes[last].gradient)
        plan->loss_gradient = plan->steps[last].dy = cn_planner_add_buffer(p, last);
    for (int i = p->n - 1; i > 0; i--) {
        cn_plan_step *step = &plan->steps[i];
        if (!cn_planner_runs(p, i) || step->dy == CN_NO_BUFFER || hand_to_masker(p, i)) continue;
        p->nodes[i].differentiates = true;
        find_gradients(p, i);
        step->backward = !mask_after_maximum(p, i);
    }
    plan->input_gradient = plan->steps[0].dy;
}

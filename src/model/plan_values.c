/*
 * plan_values.c - the first pass: which values are computed, and which layers read them.
 *
 * A layer's output is a value. A view (flatten, or dropout where the session does not train) is its
 * input's value with another shape, so what reads the view reads that value. In training a value
 * has a gradient if a trained parameter lies before it.
 */
#include "model/planner.h"

void cn_plan_values(cn_planner *p)
{
    for (int i = 0; i < p->n; i++) {
        cn_plan_node *at = &p->nodes[i];
        const cn_layer *layer = cn_planner_layer(p, i);
        const bool view = cn_planner_is_view(p, i);
        at->value = view ? cn_planner_input(p, i, 0) : i;
        at->gradient = i == 0 ? p->plan->opts.input_gradient : cn_layer_learns(layer);
        for (int k = 0; k < layer->input_count; k++) {
            cn_plan_node *x = &p->nodes[cn_planner_input(p, i, k)];
            at->gradient = at->gradient || x->gradient;
            if (view) continue;
            x->readers++;
            x->reader = i;
        }
        at->gradient = at->gradient && p->plan->opts.training;
    }
}

/*
 * plan_fuse.c - the second pass: which layers are fused into others, and the buffer of every value.
 * For a plain backend every layer runs, and has a buffer of its own.
 *
 * In place. An element-wise layer overwrites its input if nothing else reads that: no other layer,
 * and not the backward of the layer that produced it.
 *
 * ReLU. A ReLU or ReLU6 that works in place on the output of a layer that can fuse it is fused into that
 * layer, which applies it while the sums are still in registers.
 *
 * Batch norm. In a session that does not train it is a scale and a shift per channel. After a
 * convolution or a dense layer whose output nothing else reads, it is folded into the weights, and
 * folded again whenever they change.
 *
 * Additions. In a session that does not train, a dense convolution whose output is read by a sum
 * alone adds to the other summand in place, and applies the ReLU after the sum. The other summand
 * must have been computed before, and nothing but the sum may read it afterwards.
 *
 * Loss. Where the loss is computed from the logits (loss.c), the layer that makes probabilities of
 * them must not overwrite them.
 */
#include "model/planner.h"

static void find_in_place(cn_planner *p, int i)
{
    const cn_layer_type *type = cn_planner_type(p, i);
    if (!type->in_place || cn_planner_is_view(p, i)) return;
    int x = cn_planner_input(p, i, 0);
    bool needed =
        p->plan->opts.training && ((type->backward_reads & CN_READS_X) != 0 ||
                                   (cn_planner_type(p, x)->backward_reads & CN_READS_Y) != 0);
    bool alone = x != 0 && p->nodes[x].readers == 1;
    bool logits = i == p->nodes[p->model->output].value && p->plan->loss.fused;
    p->nodes[i].in_place = alone && !needed && !logits;
    p->nodes[i].in_place_dx = alone && !logits;
}

/* Does layer i become part of the weights of the layer before it? */
static bool is_folded(const cn_planner *p, int i)
{
    return cn_planner_type(p, i)->channel_affine && p->nodes[i].in_place &&
           !p->plan->opts.training && cn_planner_type(p, cn_planner_input(p, i, 0))->folds_norm;
}

static void fold_norm(cn_planner *p, int i)
{
    int before = cn_planner_input(p, i, 0);
    p->plan->steps[before].norm = i;
    p->plan->steps[i].by = before;
}

/* Fuses the ReLU or ReLU6 i, which works in place, into the layer before it, if that can. */
static void fuse_relu(cn_planner *p, int i)
{
    const cn_activation own = cn_planner_layer(p, i)->activation;
    int before = p->plan->steps[cn_planner_input(p, i, 0)].by;
    if (!cn_planner_type(p, before)->fuses_relu) return;
    cn_activation *fused = &p->plan->steps[before].activation; /* may hold another one already */
    if (!fused->kind || own.upper < fused->upper) *fused = own;
    p->plan->steps[i].by = before;
}

/* The value that layer i adds its output to, in place, with which the sum `*add` is fused into it.
 * 0 where there is none: value 0 is the input, which belongs to the caller. */
static int find_addend(const cn_planner *p, int i, int *add)
{
    const cn_layer *layer = cn_planner_layer(p, i);
    const cn_plan_node *own = &p->nodes[i];
    if (p->plan->opts.training || !layer->type->adds || !layer->type->adds(layer)) return 0;
    if (is_folded(p, own->reader)) own = &p->nodes[own->reader];
    *add = own->reader;
    if (own->readers != 1 || !cn_planner_type(p, *add)->sum) return 0;
    int first = cn_planner_input(p, *add, 0);
    int value = first == own->value ? cn_planner_input(p, *add, 1) : first;
    bool ready = value < i && !cn_planner_read_between(p, value, i - 1, *add);
    return ready && p->nodes[value].reader == *add ? value : 0;
}

/* The buffer that layer i writes. */
static int output_buffer(cn_planner *p, int i)
{
    cn_plan_step *steps = p->plan->steps;
    int add = 0, addend = p->plan->backend->plain ? 0 : find_addend(p, i, &add);
    if (addend) {
        steps[i].add = true;
        steps[add].by = i;
        return steps[addend].y;
    }
    /* A fused sum lies in the buffer of both of its inputs. */
    bool over = p->nodes[i].in_place || cn_planner_is_view(p, i) || steps[i].by != i;
    return over ? steps[i].x[0] : cn_planner_add_buffer(p, i);
}

void cn_plan_fuse(cn_planner *p)
{
    cn_plan_step *steps = p->plan->steps;
    for (int i = 0; i < p->n; i++) steps[i].by = i;
    for (int i = 1; i < p->n && !p->plan->backend->plain; i++) find_in_place(p, i);
    for (int i = 0; i < p->n; i++) {
        const cn_layer *layer = cn_planner_layer(p, i);
        for (int k = 0; k < CN_MAX_INPUTS; k++)
            steps[i].x[k] =
                k < layer->input_count ? steps[cn_planner_input(p, i, k)].y : CN_NO_BUFFER;
        steps[i].y = output_buffer(p, i);
        if (is_folded(p, i)) fold_norm(p, i);
        const bool clips = layer->activation.kind == CN_ACTIVATION_CLIP;
        if (clips && layer->activation.lower == 0 && layer->activation.upper > 0 &&
            p->nodes[i].in_place)
            fuse_relu(p, i);
        steps[i].forward = cn_planner_runs(p, i) && steps[i].by == i;
    }
}

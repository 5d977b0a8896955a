/*
 * optimizer.c - the options of SGD, Adam, AdamW and RMSprop, and the chunks of their steps.
 *
 * The flat blocks are divided into chunks once, when the session is made: neighbors with the same
 * rate and decay form a run, a run is divided every CN_MAP_CHUNK elements, and frozen parameters
 * are left out. A backend's step runs chunk by chunk.
 */
#include "model/optimizer.h"

#include <math.h>

/* ---- options */

double cn_optimizer_default_rate(cn_optimizer_kind kind)
{
    switch (kind) {
    case CN_OPTIMIZER_SGD: return 0.05;
    case CN_OPTIMIZER_RMSPROP: return 0.001;
    default: return 0.002;
    }
}

static double or_default(double value, double fallback)
{
    return value == 0 ? fallback : value;
}

/* Least <= value < limit: also false for a NaN. */
static bool within(double value, double least, double limit)
{
    return value >= least && value < limit;
}

static cn_status refuse(cn_error *err, const char *what, double value, const char *expected)
{
    return cn_fail(err, CN_ERR_ARGUMENT, "session: %s %g, expected %s", what, value, expected);
}

/* What this kind would not look at. */
static cn_status check_unused(const cn_optimizer *o, cn_error *err)
{
    const bool sgd = o->kind == CN_OPTIMIZER_SGD, rmsprop = o->kind == CN_OPTIMIZER_RMSPROP;
    const bool decays = o->weight_decay > 0 || o->kind == CN_OPTIMIZER_ADAMW;
    const struct {
        bool given, used;
        const char *what, *goes_with;
    } rows[] = {
        {o->momentum != 0, sgd || rmsprop, "momentum", "SGD and RMSprop"},
        {o->dampening != 0, sgd && o->momentum != 0, "dampening", "SGD with momentum"},
        {o->nesterov, sgd, "Nesterov's momentum", "SGD"},
        {o->beta1 != 0, !sgd && !rmsprop, "beta1", "Adam and AdamW"},
        {o->beta2 != 0, !sgd && !rmsprop, "beta2", "Adam and AdamW"},
        {o->alpha != 0, rmsprop, "alpha", "RMSprop"},
        {o->epsilon != 0, !sgd, "epsilon", "Adam, AdamW and RMSprop"},
        {o->decoupled, decays, "decoupled", "weight decay"},
        {o->decay_all, decays, "decay_all", "weight decay"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given && !rows[i].used)
            return cn_fail(err, CN_ERR_ARGUMENT, "session: optimizer: %s goes with %s",
                           rows[i].what, rows[i].goes_with);
    return CN_OK;
}

cn_status cn_optimizer_settle(cn_optimizer *o, cn_error *err)
{
    static const char fraction[] = "from 0 to less than 1", number[] = "a number of 0 or more";
    if (o->kind < CN_OPTIMIZER_ADAM || o->kind > CN_OPTIMIZER_RMSPROP)
        return cn_fail(err, CN_ERR_ARGUMENT, "session: unknown optimizer %d", (int)o->kind);
    const cn_optimizer given = *o;
    if (o->kind == CN_OPTIMIZER_ADAMW) {
        o->decoupled = true;
        o->weight_decay = or_default(o->weight_decay, 0.01);
    }
    o->beta1 = or_default(o->beta1, 0.9);
    o->beta2 = or_default(o->beta2, 0.999);
    o->alpha = or_default(o->alpha, 0.99);
    o->epsilon = or_default(o->epsilon, 1e-8);
    if (!within(o->momentum, 0, 1)) return refuse(err, "momentum", o->momentum, fraction);
    if (!within(o->dampening, 0, 1)) return refuse(err, "dampening", o->dampening, fraction);
    if (!within(o->beta1, 0, 1)) return refuse(err, "beta1", o->beta1, fraction);
    if (!within(o->beta2, 0, 1)) return refuse(err, "beta2", o->beta2, fraction);
    if (!within(o->alpha, 0, 1)) return refuse(err, "alpha", o->alpha, fraction);
    if (!(o->epsilon > 0) || isinf(o->epsilon))
        return refuse(err, "epsilon", o->epsilon, "a number above 0");
    if (!within(o->weight_decay, 0, INFINITY))
        return refuse(err, "weight decay", o->weight_decay, number);
    if (!within(o->clip_norm, 0, INFINITY)) return refuse(err, "clip norm", o->clip_norm, number);
    if (!within(o->clip_value, 0, INFINITY))
        return refuse(err, "clip value", o->clip_value, number);
    if (o->nesterov && (o->momentum == 0 || o->dampening != 0))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "session: Nesterov's momentum with momentum %g and dampening %g, expected "
                       "momentum above 0 and no dampening",
                       o->momentum, o->dampening);
    return check_unused(&given, err);
}

/* ---- chunks */

/* The part of the weight decay that reaches this weight. */
static double decay_of(const cn_optimizer *o, const cn_layer_parameter *parameter)
{
    if (o->weight_decay == 0) return 0;
    return parameter->shape.rank == 1 && !o->decay_all ? 0 : parameter->decay;
}

typedef struct cutter {
    cn_update_chunk *chunks; /* NULL: they are only counted */
    cn_update_chunk last;
    int count;
} cutter;

/* Lets the last chunk end where `u` does, or begins another with it. */
static void put(cutter *c, cn_update_chunk u)
{
    enum { FLOATS_ALIGNED = CN_ALIGN / sizeof(float) };
    size_t last_end = c->last.from + c->last.count, end = u.from + u.count;
    bool joins = c->count > 0 && c->last.rate == u.rate && c->last.decay == u.decay &&
                 u.from < last_end + FLOATS_ALIGNED && end <= c->last.from + CN_MAP_CHUNK;
    if (joins)
        c->last.count = end - c->last.from;
    else
        c->last = u, c->count++;
    if (c->chunks) c->chunks[c->count - 1] = c->last;
}

static void cut(cutter *c, const cn_model *m, const cn_optimizer *o)
{
    for (int i = 0; i < m->layer_count; i++)
        for (int j = 0; j < m->layers[i].parameter_count; j++) {
            const cn_layer_parameter *parameter = &m->layers[i].parameters[j];
            size_t size = cn_shape_count(&parameter->shape), count;
            if (parameter->frozen || parameter->buffer) continue;
            for (size_t from = 0; from < size; from += count) {
                count = size - from < CN_MAP_CHUNK ? size - from : CN_MAP_CHUNK;
                put(c, (cn_update_chunk){.from = parameter->offset + from,
                                         .count = count,
                                         .rate = parameter->rate,
                                         .decay = decay_of(o, parameter)});
            }
        }
}

cn_status cn_optimizer_plan(cn_update_plan *plan, const cn_model *model, const cn_optimizer *o,
                            cn_error *err)
{
    cutter counted = {0}, made = {0};
    cut(&counted, model, o);
    made.chunks =
        cn_allocate((size_t)counted.count, sizeof *made.chunks, "session: optimizer", err);
    if (!made.chunks) return CN_ERR_MEMORY;
    cut(&made, model, o);
    *plan = (cn_update_plan){.chunks = made.chunks, .count = made.count};
    return CN_OK;
}

/* schedule.c - the learning rate as a function of the step. convnet.h has the formulas. */
#include "train/train.h"

#include "base/math.h"

#include <math.h>

static double or_default(double value, double fallback)
{
    return value == 0 ? fallback : value;
}

static cn_status refuse(cn_error *err, const char *what, double value, const char *expected)
{
    return cn_fail(err, CN_ERR_ARGUMENT, "fit: schedule: %s %g, expected %s", what, value,
                   expected);
}

cn_status cn_schedule_check(const cn_schedule *s, cn_error *err)
{
    const int *milestone = s->milestones;
    if (s->kind < CN_SCHEDULE_DEFAULT || s->kind > CN_SCHEDULE_PLATEAU)
        return cn_fail(err, CN_ERR_ARGUMENT, "fit: unknown schedule %d", (int)s->kind);
    if (!(s->warmup >= 0) || isinf(s->warmup))
        return refuse(err, "warm-up", s->warmup, "epochs, 0 or more");
    if (!(s->start >= 0 && s->start <= 1)) return refuse(err, "start", s->start, "0 to 1");
    if (!(s->peak >= 0 && s->peak < 1)) return refuse(err, "peak", s->peak, "0 to less than 1");
    if (!(s->end >= 0 && s->end <= 1)) return refuse(err, "end", s->end, "0 to 1");
    if (!(s->power >= 0) || isinf(s->power)) return refuse(err, "power", s->power, "above 0");
    if (!(s->factor >= 0 && s->factor <= 1)) return refuse(err, "factor", s->factor, "0 to 1");
    if (s->every < 0) return refuse(err, "every", s->every, "1 epoch or more");
    if (s->patience < 0) return refuse(err, "patience", s->patience, "1 epoch or more");
    for (int i = 0; i < CN_MAX_MILESTONES; i++)
        if (milestone[i] != 0 && milestone[i] <= (i > 0 ? milestone[i - 1] : 0))
            return refuse(err, "milestone", milestone[i], "rising epochs");
        else if (milestone[i] != 0 && i > 0 && milestone[i - 1] == 0)
            return refuse(err, "milestone", milestone[i], "none after a zero");
    if (s->kind == CN_SCHEDULE_STEP && s->every == 0 && milestone[0] == 0)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "fit: schedule: steps without milestones, and not every so many epochs");
    return CN_OK;
}

/* How often a step schedule has fallen when so many epochs are over. */
static int falls(const cn_schedule *s, int64_t epochs)
{
    int count = s->every > 0 ? (int)(epochs / s->every) : 0;
    for (int i = 0; i < CN_MAX_MILESTONES && s->milestones[i] > 0; i++)
        count += epochs >= s->milestones[i];
    return count;
}

/* The factor of a kind at the fraction t of the steps after the warm-up. */
static double curve(const cn_schedule *s, double t, int64_t epochs_over)
{
    const double pi = 3.14159265358979323846;
    const double peak = or_default(s->peak, 0.3), start = or_default(s->start, 0.04);
    switch (s->kind) {
    case CN_SCHEDULE_STEP: return cn_pow(or_default(s->factor, 0.1), falls(s, epochs_over));
    case CN_SCHEDULE_POLYNOMIAL:
        return s->end + (1 - s->end) * cn_pow(1 - t, or_default(s->power, 1));
    case CN_SCHEDULE_ONE_CYCLE:
        return t < peak ? start + (1 - start) * t / peak
                        : 1 + (s->end - 1) * (t - peak) / (1 - peak);
    case CN_SCHEDULE_CONSTANT:
    case CN_SCHEDULE_PLATEAU: return 1;
    default: return s->end + (1 - s->end) * (1 + cn_cos(pi * t)) / 2;
    }
}

double cn_schedule_rate(const cn_schedule *s, double rate, int64_t step, int steps, int epochs)
{
    const int64_t all = (int64_t)steps * epochs;
    const double wanted = round(s->warmup * steps);
    const int64_t warmup = wanted < (double)all ? (int64_t)wanted : all;
    const int64_t at = step < all ? step : all - 1; /* after its end it has its last rate */
    if (at < warmup) return rate * (double)(at + 1) / ((double)warmup + 1);
    return rate * curve(s, (double)(at - warmup) / (double)(all - warmup), step / steps);
}

double cn_schedule_plateau(const cn_schedule *s, int falls_so_far)
{
    double factor = cn_pow(or_default(s->factor, 0.1), falls_so_far);
    return factor > s->end ? factor : s->end;
}

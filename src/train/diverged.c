/*
 * diverged.c - says where a training went wrong: the first NaN or infinity, and what may help.
 *
 * The loss of every batch is looked at, and the gradients of every step, whose cost is that of
 * reading them once; the parameters at the end of every epoch and before every checkpoint, so that
 * no checkpoint is overwritten with one that is spoilt. Only then is the step run again.
 */
#include "train/train.h"

#include "model/nonfinite.h"

enum { ADVICE = 96 };

/* What may help against it. */
static const char *advise(const cn_nonfinite *t, const cn_progress *p, double rate,
                          char text[ADVICE])
{
    bool first = p->epoch == 1 && p->step == 1;
    if (t->layer && t->index == 0)
        cn_format(text, ADVICE, "look at the data and its normalization");
    else if (t->layer && first && t->what[0] != 't') /* a parameter, by its name */
        cn_format(text, ADVICE, "the model began with it");
    else
        cn_format(text, ADVICE, "a learning rate below %g, a warm-up or gradient clipping may help",
                  rate);
    return text;
}

/* "12 of 400 NaN" */
static cn_status report(const cn_nonfinite *t, const cn_progress *p, const char *what, double rate,
                        cn_error *err)
{
    char advice[ADVICE];
    advise(t, p, rate, advice);
    if (!t->layer)
        return cn_fail(err, CN_ERR_DIVERGED,
                       "fit: %s became NaN or infinite in epoch %d at step %d of %d, from finite "
                       "numbers; %s",
                       what, p->epoch, p->step, p->steps, advice);
    return cn_fail(err, CN_ERR_DIVERGED,
                   "fit: %s became %s in epoch %d at step %d of %d; the first is %.95s, %zu of %zu "
                   "numbers; %s",
                   what, t->nan ? "NaN" : "infinite", p->epoch, p->step, p->steps, t->what,
                   t->count, t->elements, advice);
}

cn_status cn_diverged(cn_session *session, const cn_tensor *Y, const cn_progress *progress,
                      const char *what, double rate, cn_error *err)
{
    cn_nonfinite found;
    cn_status status = cn_session_find_nonfinite(session, Y, &found, err);
    return status == CN_OK ? report(&found, progress, what, rate, err) : status;
}

cn_status cn_check_parameters(const cn_model *model, const cn_progress *progress, double rate,
                              cn_error *err)
{
    cn_nonfinite found;
    if (!cn_model_find_nonfinite(model, &found)) return CN_OK;
    return report(&found, progress, "the model", rate, err);
}

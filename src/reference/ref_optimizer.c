/*
 * ref_optimizer.c - a step of the optimizers, as convnet.h writes them:
 *
 *     g = clamp(shrink g, -clip_value, clip_value)
 *     g = g + decay w;   decoupled: w = w (1 - rate decay)
 *
 *     SGD       v = momentum v + (1 - dampening) g, the first v is g
 *               w = w - rate v;  nesterov: w = w - rate (g + momentum v)
 *     Adam      m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *               w = w - rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *     RMSprop   v = alpha v + (1 - alpha) g^2,  u = momentum u + g / (sqrt(v) + epsilon)
 *               w = w - rate u
 */
#include "reference/reference.h"

#include <math.h>

/* How far w moves against g, over the rate. */
static double sgd(const cn_ref_update *u, double g, double *v)
{
    const cn_optimizer *o = u->optimizer;
    if (!v) return g;
    *v = u->t == 1 ? g : o->momentum * *v + (1 - o->dampening) * g;
    return o->nesterov ? g + o->momentum * *v : *v;
}

static double adam(const cn_ref_update *u, double g, double *m, double *v)
{
    const cn_optimizer *o = u->optimizer;
    *m = o->beta1 * *m + (1 - o->beta1) * g;
    *v = o->beta2 * *v + (1 - o->beta2) * g * g;
    double m_hat = *m / (1 - pow(o->beta1, (double)u->t));
    double v_hat = *v / (1 - pow(o->beta2, (double)u->t));
    return m_hat / (sqrt(v_hat) + o->epsilon);
}

static double rmsprop(const cn_ref_update *u, double g, double *v, double *past)
{
    const cn_optimizer *o = u->optimizer;
    *v = o->alpha * *v + (1 - o->alpha) * g * g;
    double d = g / (sqrt(*v) + o->epsilon);
    if (!past) return d;
    *past = o->momentum * *past + d;
    return *past;
}

void cn_ref_update_weights(const cn_ref_update *u, size_t n, const double *gradient, double *first,
                           double *second, double *w)
{
    const cn_optimizer *o = u->optimizer;
    for (size_t i = 0; i < n; i++) {
        double g = u->shrink * gradient[i], d;
        if (o->clip_value > 0 && g > o->clip_value) g = o->clip_value;
        if (o->clip_value > 0 && g < -o->clip_value) g = -o->clip_value;
        if (o->decoupled)
            w[i] *= 1 - u->rate * u->decay;
        else
            g += u->decay * w[i];
        switch (o->kind) {
        case CN_OPTIMIZER_SGD: d = sgd(u, g, first ? &first[i] : NULL); break;
        case CN_OPTIMIZER_RMSPROP: d = rmsprop(u, g, &first[i], second ? &second[i] : NULL); break;
        default: d = adam(u, g, &first[i], &second[i]);
        }
        w[i] -= u->rate * d;
    }
}

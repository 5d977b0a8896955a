/* tuning.c - freezes parameters, and sets factors per parameter of learning rate and decay. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>

/* Does the pattern stand for the text? * is any characters, ? any one. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL; /* the last *, and where its part of the text ends */
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            retry = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++, text++;
        } else if (star) {
            pattern = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}

typedef void set_parameter(cn_layer_parameter *parameter, double value);

static cn_status set_matching(cn_model *m, const char *what, const char *pattern, double value,
                              set_parameter *set, cn_error *err)
{
    char name[CN_NAME_SIZE + 16];
    int matched = 0;
    if (!m || !m->finished || !pattern)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s", what,
                       pattern ? "the model is NULL or not finished" : "no pattern");
    if (!(value >= 0) || isinf(value))
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: factor %g, expected a number of 0 or more", what,
                       value);
    for (int i = 0; i < m->layer_count; i++)
        for (int j = 0; j < m->layers[i].parameter_count; j++) {
            cn_layer_parameter *parameter = &m->layers[i].parameters[j];
            snprintf(name, sizeof name, "%s.%s", m->layers[i].name, parameter->role);
            if (parameter->buffer || !matches(pattern, name)) continue;
            set(parameter, value);
            matched++;
        }
    if (matched > 0) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "%s: no parameter's name matches \"%.80s\"; the first is \"%s\"", what, pattern,
                   m->parameter_count > 0 ? m->parameters[0].name : "");
}

static void set_frozen(cn_layer_parameter *parameter, double value)
{
    parameter->frozen = value != 0;
}

static void set_rate(cn_layer_parameter *parameter, double value)
{
    parameter->rate = value;
}

static void set_decay(cn_layer_parameter *parameter, double value)
{
    parameter->decay = value;
}

cn_status cn_model_freeze(cn_model *m, const char *pattern, bool frozen, cn_error *err)
{
    return set_matching(m, "freeze", pattern, frozen, set_frozen, err);
}

cn_status cn_model_scale_rate(cn_model *m, const char *pattern, double factor, cn_error *err)
{
    return set_matching(m, "scale rate", pattern, factor, set_rate, err);
}

cn_status cn_model_scale_decay(cn_model *m, const char *pattern, double factor, cn_error *err)
{
    return set_matching(m, "scale decay", pattern, factor, set_decay, err);
}

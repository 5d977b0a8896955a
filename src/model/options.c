/*
 * options.c - what follows from a type's option table: defaults and ranges, the text form, the
 * JSON form. A new option is one row there, and nothing here.
 */
#include "model/model.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- access: an option as up to 4 doubles, which hold every int */

static int extent(cn_option_kind kind)
{
    return kind == CN_OPTION_PAIR ? 2 : kind == CN_OPTION_PADS ? 4 : 1;
}

static void get(const cn_option *o, const void *options, double value[4])
{
    const char *at = (const char *)options + o->offset;
    if (o->kind == CN_OPTION_BOOL)
        value[0] = *(const bool *)at;
    else if (o->kind == CN_OPTION_FLOAT)
        value[0] = *(const double *)at;
    else
        for (int i = 0; i < extent(o->kind); i++) value[i] = ((const int *)at)[i];
}

static void set(const cn_option *o, void *options, const double value[4])
{
    char *at = (char *)options + o->offset;
    if (o->kind == CN_OPTION_BOOL)
        *(bool *)at = value[0] != 0;
    else if (o->kind == CN_OPTION_FLOAT)
        *(double *)at = value[0];
    else
        for (int i = 0; i < extent(o->kind); i++) ((int *)at)[i] = (int)value[i];
}

/* Does a zero stand for a default? */
static bool is_number(const cn_option *o)
{
    return o->kind == CN_OPTION_INT || o->kind == CN_OPTION_PAIR || o->kind == CN_OPTION_FLOAT;
}

static bool is_default(const cn_option *o, const double value[4])
{
    for (int i = 0; i < extent(o->kind); i++)
        if (value[i] != (is_number(o) ? o->fallback : 0)) return false;
    return true;
}

static int word_count(const cn_option *o)
{
    int n = 0;
    while (o->words[n]) n++;
    return n;
}

int cn_option_get(const cn_option *o, const void *options, double value[4])
{
    get(o, options, value);
    return extent(o->kind);
}

const cn_option *cn_option_find(const cn_layer_type *type, const char *name)
{
    for (const cn_option *o = type->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0 || (o->alias && strcmp(o->alias, name) == 0)) return o;
    return NULL;
}

bool cn_option_takes(const cn_option *o, int count, const double *value)
{
    if (o->kind == CN_OPTION_INT || o->kind == CN_OPTION_FLOAT)
        return value[0] != 0 || o->fallback == 0;
    for (int i = 0; o->kind == CN_OPTION_PAIR && i < count; i++)
        if (value[i] == 0 && !(o->zero && (i == 0 || value[0] == 0))) return false;
    return true;
}

void cn_option_set(const cn_option *o, void *options, int count, const double *value)
{
    double all[4] = {value[0], value[0], value[0], value[0]};
    if (count == 2) all[1] = all[3] = value[1];
    if (count == 4) memcpy(all, value, sizeof all);
    set(o, options, all);
}

/* ---- defaults and ranges */

static cn_status check_range(const cn_option *o, const double value[4], const char *context,
                             cn_error *err)
{
    if (o->kind == CN_OPTION_FLOAT) {
        double below = o->below != 0 ? o->below : INFINITY; /* a NaN is not below it, either */
        if (value[0] > o->least && value[0] < below) return CN_OK;
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s is %g, expected above %g and %s%g", context,
                       o->name, value[0], o->least, o->below != 0 ? "below " : "less than ", below);
    }
    if (o->kind == CN_OPTION_ENUM && (value[0] < 0 || value[0] >= word_count(o)))
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s is %d, expected 0 to %d", context, o->name,
                       (int)value[0], word_count(o) - 1);
    for (int i = 0; i < extent(o->kind); i++)
        if (value[i] < o->least)
            return cn_fail(err, CN_ERR_ARGUMENT, "%s: %s is %d, expected at least %g", context,
                           o->name, (int)value[i], o->least);
    return CN_OK;
}

static cn_status settle(const cn_option *o, void *options, const char *context, cn_error *err)
{
    double value[4] = {0};
    get(o, options, value);
    if (o->kind == CN_OPTION_PAIR && value[1] == 0) value[1] = value[0];
    for (int i = 0; is_number(o) && i < extent(o->kind); i++)
        if (value[i] == 0) value[i] = o->fallback;
    cn_status status = check_range(o, value, context, err);
    if (status != CN_OK) return status;
    set(o, options, value);
    return CN_OK;
}

cn_status cn_options_settle(const cn_layer_type *type, void *options, const char *context,
                            cn_error *err)
{
    for (const cn_option *o = type->options; o && o->name; o++) {
        cn_status status = settle(o, options, context, err);
        if (status != CN_OK) return status;
    }
    return CN_OK;
}

/* ---- the text form */

/* "5x3"; "5x5" where all are alike and the option is bare, else "5". */
static int numbers_text(const cn_option *o, const double value[4], char *text, size_t size)
{
    char number[CN_NUMBER_TEXT];
    int n = extent(o->kind), used = 0;
    bool alike = true;
    for (int i = 1; i < n; i++) alike = alike && value[i] == value[0];
    if (alike && !(o->bare && n == 2)) n = 1;
    for (int i = 0; i < n; i++)
        used += snprintf(text + used, size - (size_t)used, i ? "x%s" : "%s",
                         cn_number_text(value[i], number));
    return used;
}

char *cn_options_text(const cn_layer_type *type, const void *options)
{
    size_t size = 1;
    for (const cn_option *o = type->options; o && o->name; o++) size += strlen(o->name) + 64;
    char *text = cn_allocate(size, 1, "options", NULL);
    if (!text) return NULL;
    size_t used = 0;
    for (const cn_option *o = type->options; o && o->name; o++) {
        double value[4] = {0};
        get(o, options, value);
        if (is_default(o, value)) continue;
        if (used) text[used++] = ' ';
        if (o->kind == CN_OPTION_ENUM) {
            used += (size_t)snprintf(text + used, size - used, "%s", o->words[(int)value[0]]);
            continue;
        }
        if (!o->bare)
            used += (size_t)snprintf(text + used, size - used, "%s%s", o->name,
                                     o->kind == CN_OPTION_BOOL ? "" : " ");
        if (o->kind != CN_OPTION_BOOL)
            used += (size_t)numbers_text(o, value, text + used, size - used);
    }
    return text;
}

/* ---- the JSON form */

static json_t *value_to_json(const cn_option *o, const double value[4])
{
    int n[4] = {0};
    if (o->kind == CN_OPTION_FLOAT) return json_real(value[0]);
    for (int i = 0; i < extent(o->kind); i++) n[i] = (int)value[i];
    if (o->kind == CN_OPTION_ENUM) return json_string(o->words[n[0]]);
    if (o->kind == CN_OPTION_BOOL) return json_boolean(n[0]);
    if (o->kind == CN_OPTION_INT) return json_integer(n[0]);
    return extent(o->kind) == 2 ? json_pack("[ii]", n[0], n[1])
                                : json_pack("[iiii]", n[0], n[1], n[2], n[3]);
}

bool cn_options_to_json(const cn_layer_type *type, const void *options, json_t *object)
{
    for (const cn_option *o = type->options; o && o->name; o++) {
        double value[4] = {0};
        get(o, options, value);
        if (is_default(o, value)) continue;
        if (json_object_set_new(object, o->name, value_to_json(o, value)) != 0) return false;
    }
    return true;
}

static bool integer_from_json(const json_t *json, double *value)
{
    if (!json_is_integer(json)) return false;
    json_int_t n = json_integer_value(json);
    if (n < INT_MIN || n > INT_MAX) return false;
    *value = (double)n;
    return true;
}

static bool value_from_json(const cn_option *o, const json_t *json, double value[4])
{
    size_t n = (size_t)extent(o->kind);
    switch (o->kind) {
    case CN_OPTION_INT: return integer_from_json(json, value);
    case CN_OPTION_BOOL: value[0] = json_is_true(json); return json_is_boolean(json);
    case CN_OPTION_FLOAT: value[0] = json_number_value(json); return json_is_number(json);
    case CN_OPTION_ENUM:
        for (int i = 0; json_is_string(json) && o->words[i]; i++)
            if (strcmp(o->words[i], json_string_value(json)) == 0) {
                value[0] = i;
                return true;
            }
        return false;
    default:
        if (!json_is_array(json) || json_array_size(json) != n) return false;
        for (size_t i = 0; i < n; i++)
            if (!integer_from_json(json_array_get(json, i), &value[i])) return false;
        return true;
    }
}

static const char *const kind_text[] = {
    [CN_OPTION_INT] = "an integer",     [CN_OPTION_PAIR] = "two integers",
    [CN_OPTION_PADS] = "four integers", [CN_OPTION_ENUM] = "one of its words",
    [CN_OPTION_BOOL] = "true or false", [CN_OPTION_FLOAT] = "a number",
};

cn_status cn_options_from_json(const cn_layer_type *type, const json_t *object, void *options,
                               const char *context, cn_error *err)
{
    static const char *const not_options[] = {"type", "name", "inputs"};
    const char *key;
    json_t *json;
    json_object_foreach((json_t *)object, key, json)
    {
        const cn_option *o = cn_option_find(type, key);
        double value[4] = {0};
        if (o && !value_from_json(o, json, value))
            return cn_fail(err, CN_ERR_FORMAT, "%s: \"%s\" is not %s", context, key,
                           kind_text[o->kind]);
        if (o && !cn_option_takes(o, extent(o->kind), value))
            return cn_fail(err, CN_ERR_FORMAT, "%s: \"%s\" is 0, expected another number", context,
                           key);
        if (o) {
            set(o, options, value);
            continue;
        }
        bool known = false;
        for (size_t i = 0; i < sizeof not_options / sizeof *not_options; i++)
            known = known || strcmp(key, not_options[i]) == 0;
        if (!known)
            return cn_fail(err, CN_ERR_FORMAT, "%s: \"%.40s\" is not an option of %s", context, key,
                           type->name);
    }
    return CN_OK;
}

/* recipe.c - from the command's options to those of cn_fit. */
#include "recipe.h"

#include "base/base.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static cn_status wrong(cn_error *err, const char *format, ...) CLI_PRINTF(2, 3);
static cn_status wrong(cn_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return err->status = CN_ERR_ARGUMENT;
}

/* ---- lists of numbers */

/* Numbers from `least` to `most` between commas, at most `room` of them; how many, or 0 where the
 * text is anything else. */
static int read_numbers(const char *text, double least, double most, int room, double *out)
{
    for (int count = 0; count < room;) {
        const char *end = cn_number_scan(text, &out[count]);
        if (!end || out[count] < least || out[count] > most) return 0;
        count++;
        if (*end == '\0') return count;
        if (*end != ',') return 0;
        text = end + 1;
    }
    return 0;
}

static cn_status read_milestones(const char *text, cn_schedule *schedule, cn_error *err)
{
    double epochs[CN_MAX_MILESTONES];
    int count = read_numbers(text, 1, 1e6, CN_MAX_MILESTONES, epochs);
    bool good = count > 0;
    for (int i = 0; i < count; i++) {
        schedule->milestones[i] = (int)epochs[i];
        good = good && epochs[i] == floor(epochs[i]) && (i == 0 || epochs[i] > epochs[i - 1]);
    }
    return good
               ? CN_OK
               : wrong(err, "--milestones wants up to %d rising epochs, as in 30,60, not \"%.60s\"",
                       CN_MAX_MILESTONES, text);
}

static cn_status read_class_weights(const char *text, const cn_dataset *data, float **out,
                                    cn_error *err)
{
    int classes = cn_dataset_classes(data);
    double *numbers = calloc((size_t)classes, sizeof *numbers);
    *out = calloc((size_t)classes, sizeof **out);
    cn_status status = CN_OK;
    if (!numbers || !*out) {
        status = wrong(err, "out of memory");
    } else if (strcmp(text, "balanced") == 0) {
        cn_dataset_class_weights(data, *out);
    } else if (read_numbers(text, 0, 1e6, classes, numbers) == classes) {
        for (int i = 0; i < classes; i++) (*out)[i] = (float)numbers[i];
    } else {
        status = wrong(err,
                       "--class-weights wants \"balanced\" or %d numbers of 0 or more between "
                       "commas, not \"%.60s\"",
                       classes, text);
    }
    free(numbers);
    return status;
}

/* ---- parameters */

/* Several patterns, between commas. */
static cn_status freeze(cn_model *model, const char *patterns, cn_error *err)
{
    char *list = strdup(patterns), *rest = list;
    cn_status status = list ? CN_OK : wrong(err, "out of memory");
    while (status == CN_OK && rest) {
        char *comma = strchr(rest, ',');
        if (comma) *comma = '\0';
        status = cn_model_freeze(model, rest, true, err);
        rest = comma ? comma + 1 : NULL;
    }
    free(list);
    return status;
}

/* ---- all of it */

static const cn_optimizer_kind optimizers[] = {CN_OPTIMIZER_ADAM, CN_OPTIMIZER_SGD,
                                               CN_OPTIMIZER_ADAMW, CN_OPTIMIZER_RMSPROP};
static const cn_schedule_kind schedules[] = {CN_SCHEDULE_COSINE,    CN_SCHEDULE_CONSTANT,
                                             CN_SCHEDULE_STEP,      CN_SCHEDULE_POLYNOMIAL,
                                             CN_SCHEDULE_ONE_CYCLE, CN_SCHEDULE_PLATEAU};

cn_status cli_recipe_check(const cli_recipe *r, const cli_common *typed, cn_error *err)
{
    const cn_optimizer_kind optimizer = optimizers[r->optimizer];
    const cn_schedule_kind schedule = schedules[r->schedule];
    const bool one_cycle = schedule == CN_SCHEDULE_ONE_CYCLE, step = schedule == CN_SCHEDULE_STEP;
    const bool plateau = schedule == CN_SCHEDULE_PLATEAU;
    const bool averages = r->average != CN_AVERAGE_NONE;
    const struct {
        const char *option;
        bool used;
        const char *goes_with;
    } rows[] = {
        {"momentum", optimizer == CN_OPTIMIZER_SGD, "--optimizer sgd"},
        {"nesterov", optimizer == CN_OPTIMIZER_SGD, "--optimizer sgd"},
        {"milestones", step, "--schedule step"},
        {"rate-factor", step || plateau, "--schedule step or plateau"},
        {"rate-start", one_cycle, "--schedule one-cycle"},
        {"rate-peak", one_cycle, "--schedule one-cycle"},
        {"rate-end", !step && schedule != CN_SCHEDULE_CONSTANT,
         "--schedule cosine, polynomial, one-cycle or plateau"},
        {"rate-power", schedule == CN_SCHEDULE_POLYNOMIAL, "--schedule polynomial"},
        {"plateau-patience", plateau, "--schedule plateau"},
        {"min-delta", r->keep > 0 || r->patience > 0 || plateau,
         "--keep best, --patience or --schedule plateau"},
        {"average-decay", averages, "--average ema or lookahead"},
        {"average-every", averages, "--average ema or lookahead"},
        {"average-power", r->average == CN_AVERAGE_LOOKAHEAD, "--average lookahead"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!rows[i].used && cli_is_given(typed, rows[i].option))
            return wrong(err, "--%s goes with %s", rows[i].option, rows[i].goes_with);
    if (step && !r->milestones)
        return wrong(err, "--schedule step wants --milestones, as in 30,60");
    return CN_OK;
}

/* The schedule's members that its kind looks at. */
static cn_schedule schedule_of(const cli_recipe *r)
{
    cn_schedule s = {.kind = schedules[r->schedule], .warmup = r->warmup};
    bool falls = s.kind == CN_SCHEDULE_STEP || s.kind == CN_SCHEDULE_PLATEAU;
    if (s.kind != CN_SCHEDULE_STEP && s.kind != CN_SCHEDULE_CONSTANT) s.end = r->end;
    if (s.kind == CN_SCHEDULE_POLYNOMIAL) s.power = r->power;
    if (s.kind == CN_SCHEDULE_PLATEAU) s.patience = r->plateau;
    if (falls) s.factor = r->factor;
    if (s.kind == CN_SCHEDULE_ONE_CYCLE) {
        s.start = r->start;
        s.peak = r->peak;
    }
    return s;
}

static cn_average average_of(const cli_recipe *r)
{
    cn_average a = {.kind = (cn_average_kind)r->average};
    if (a.kind != CN_AVERAGE_NONE) {
        a.decay = r->average_decay;
        a.every = r->average_every;
    }
    if (a.kind == CN_AVERAGE_LOOKAHEAD) a.power = r->average_power;
    return a;
}

/* An epoch's validation is compared for these. */
static cn_best best_of(const cli_recipe *r)
{
    bool compares = r->keep > 0 || r->patience > 0 || schedules[r->schedule] == CN_SCHEDULE_PLATEAU;
    return (cn_best){.keep = r->keep > 0,
                     .patience = r->patience,
                     .min_delta = compares ? r->min_delta : 0,
                     .monitor = r->keep > 0 ? (cn_monitor)(r->keep - 1) : CN_MONITOR_LOSS};
}

cn_status cli_recipe_apply(const cli_recipe *r, const cn_dataset *data, cn_model *model,
                           cn_fit_opts *opts, float **class_weights, cn_error *err)
{
    bool sgd = optimizers[r->optimizer] == CN_OPTIMIZER_SGD;
    cn_status status = CN_OK;
    opts->accumulate = r->accumulate;
    opts->learning_rate =
        r->rate > 0 ? r->rate : cn_optimizer_default_rate(optimizers[r->optimizer]);
    opts->optimizer = (cn_optimizer){.kind = optimizers[r->optimizer],
                                     .momentum = sgd ? r->momentum : 0,
                                     .nesterov = sgd && r->nesterov,
                                     .weight_decay = r->weight_decay,
                                     .clip_norm = r->clip_norm,
                                     .clip_value = r->clip_value};
    opts->schedule = schedule_of(r);
    /* The words stand in the order of the enums. */
    opts->loss = (cn_loss_opts){.kind = (cn_loss_kind)r->loss, .label_smoothing = r->smoothing};
    opts->average = average_of(r);
    opts->best = best_of(r);
    if (opts->schedule.kind == CN_SCHEDULE_STEP)
        status = read_milestones(r->milestones, &opts->schedule, err);
    if (status == CN_OK && r->class_weights) {
        status = cn_dataset_targets(data) != NULL
                     ? wrong(err, "--class-weights are for a class per image or pixel, the data "
                                  "have labels or numbers")
                     : read_class_weights(r->class_weights, data, class_weights, err);
        opts->loss.class_weights = *class_weights;
    }
    if (status == CN_OK && r->freeze) status = freeze(model, r->freeze, err);
    if (status == CN_OK && r->bias_rate != 1)
        status = cn_model_scale_rate(model, "*.bias", r->bias_rate, err);
    return status;
}

/* The i-th of the words between bars; its length in *length. */
static const char *word_at(const char *words, int i, int *length)
{
    for (; i > 0; i--) words = strchr(words, '|') + 1;
    *length = (int)strcspn(words, "|");
    return words;
}

const char *cli_recipe_text(const cli_recipe *r, const cn_fit_opts *opts,
                            char text[CLI_RECIPE_TEXT])
{
    int length, schedule_length;
    const char *optimizer = word_at(CLI_OPTIMIZERS, r->optimizer, &length);
    const char *schedule = word_at(CLI_SCHEDULES, r->schedule, &schedule_length);
    snprintf(text, CLI_RECIPE_TEXT, "%.*s, rate %g, %.*s", length, optimizer, opts->learning_rate,
             schedule_length, schedule);
    return text;
}

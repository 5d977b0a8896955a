/* learning.c - from the command's options to those of cn_fit. */
#include "learning.h"

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

static const cn_schedule_kind schedules[] = {CN_SCHEDULE_COSINE,    CN_SCHEDULE_CONSTANT,
                                             CN_SCHEDULE_STEP,      CN_SCHEDULE_POLYNOMIAL,
                                             CN_SCHEDULE_ONE_CYCLE, CN_SCHEDULE_PLATEAU};

static void set_kinds(cli_learning *l)
{
    cn_fit_opts *f = &l->fit;
    f->optimizer.kind = (cn_optimizer_kind)l->optimizer;
    f->schedule.kind = schedules[l->schedule];
    f->loss.kind = (cn_loss_kind)l->loss;
    f->average.kind = (cn_average_kind)l->average;
    f->best.keep = l->keep > 0;
    if (l->keep > 0) f->best.monitor = (cn_monitor)(l->keep - 1);
    if (f->learning_rate == 0) f->learning_rate = cn_optimizer_default_rate(f->optimizer.kind);
}

cn_status cli_learning_check(cli_learning *l, const cli_common *typed, cn_error *err)
{
    cn_fit_opts *f = &l->fit;
    set_kinds(l);
    const cn_schedule_kind schedule = f->schedule.kind;
    const bool sgd = f->optimizer.kind == CN_OPTIMIZER_SGD, step = schedule == CN_SCHEDULE_STEP;
    const bool one_cycle = schedule == CN_SCHEDULE_ONE_CYCLE;
    const bool plateau = schedule == CN_SCHEDULE_PLATEAU;
    const bool lookahead = f->average.kind == CN_AVERAGE_LOOKAHEAD;
    const bool averages = f->average.kind != CN_AVERAGE_NONE;
    const bool compares = f->best.keep || f->best.patience > 0 || plateau;
#define MEMBER(member) &f->member, sizeof f->member
    const struct {
        const char *option;
        void *member;
        size_t size;
        bool used;
        const char *goes_with;
    } rows[] = {
        {"momentum", MEMBER(optimizer.momentum), sgd, "--optimizer sgd"},
        {"nesterov", MEMBER(optimizer.nesterov), sgd, "--optimizer sgd"},
        {"milestones", &l->milestones, sizeof l->milestones, step, "--schedule step"},
        {"rate-factor", MEMBER(schedule.factor), step || plateau, "--schedule step or plateau"},
        {"rate-start", MEMBER(schedule.start), one_cycle, "--schedule one-cycle"},
        {"rate-peak", MEMBER(schedule.peak), one_cycle, "--schedule one-cycle"},
        {"rate-end", MEMBER(schedule.end), !step && schedule != CN_SCHEDULE_CONSTANT,
         "--schedule cosine, polynomial, one-cycle or plateau"},
        {"rate-power", MEMBER(schedule.power), schedule == CN_SCHEDULE_POLYNOMIAL,
         "--schedule polynomial"},
        {"plateau-patience", MEMBER(schedule.patience), plateau, "--schedule plateau"},
        {"min-delta", MEMBER(best.min_delta), compares,
         "--keep best, --patience or --schedule plateau"},
        {"average-decay", MEMBER(average.decay), averages, "--average ema or lookahead"},
        {"average-every", MEMBER(average.every), averages, "--average ema or lookahead"},
        {"average-power", MEMBER(average.power), lookahead, "--average lookahead"},
    };
#undef MEMBER
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].used) continue;
        if (cli_is_given(typed, rows[i].option))
            return wrong(err, "--%s goes with %s", rows[i].option, rows[i].goes_with);
        memset(rows[i].member, 0, rows[i].size);
    }
    if (step && !l->milestones)
        return wrong(err, "--schedule step wants --milestones, as in 30,60");
    return CN_OK;
}

cn_status cli_learning_apply(const cli_learning *l, const cn_dataset *data, cn_model *model,
                             cn_fit_opts *opts, float **class_weights, cn_error *err)
{
    cn_status status = CN_OK;
    if (l->milestones) status = read_milestones(l->milestones, &opts->schedule, err);
    if (status == CN_OK && l->class_weights) {
        status = cn_dataset_targets(data) != NULL
                     ? wrong(err, "--class-weights are for a class per image or pixel, the data "
                                  "have labels or numbers")
                     : read_class_weights(l->class_weights, data, class_weights, err);
        opts->loss.class_weights = *class_weights;
    }
    if (status == CN_OK && l->freeze) status = freeze(model, l->freeze, err);
    if (status == CN_OK && l->bias_rate != 1)
        status = cn_model_scale_rate(model, "*.bias", l->bias_rate, err);
    return status;
}

/* The i-th of the words between bars; its length in *length. */
static const char *word_at(const char *words, int i, int *length)
{
    for (; i > 0; i--) words = strchr(words, '|') + 1;
    *length = (int)strcspn(words, "|");
    return words;
}

const char *cli_learning_text(const cli_learning *l, char text[CLI_LEARNING_TEXT])
{
    int length, schedule_length;
    const char *optimizer = word_at(CLI_OPTIMIZERS, l->optimizer, &length);
    const char *schedule = word_at(CLI_SCHEDULES, l->schedule, &schedule_length);
    snprintf(text, CLI_LEARNING_TEXT, "%.*s, rate %g, %.*s", length, optimizer,
             l->fit.learning_rate, schedule_length, schedule);
    return text;
}

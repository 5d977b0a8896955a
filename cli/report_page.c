/* report_page.c - the page of a report, from what is measured and what a training told. */
#include "report.h"

#include <math.h>

#include "page.h"
#include "resume.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

static cn_status measure(json_t *page, const cn_model *model, const cn_dataset *train,
                         const cn_dataset *test, int threads, cn_error *err)
{
    cli_answers answers = {.p = NULL};
    cn_status status = cli_answer(&answers, model, test, threads, err);
    if (status == CN_OK) {
        cli_report_confusion(page, &answers);
        cli_report_calibration(page, &answers);
        cli_report_wrong(page, "mistakes", &answers, 0);
    }
    cli_answers_free(&answers);
    if (status == CN_OK) status = cli_answer(&answers, model, train, threads, err);
    if (status == CN_OK) cli_report_wrong(page, "suspects", &answers, 0.8);
    cli_answers_free(&answers);
    if (status == CN_OK) status = cli_report_layers(page, model, test, threads, err);
    return status;
}

cn_status cli_report_write(json_t *page, const cn_model *model, const cn_dataset *train,
                           const cn_dataset *test, int threads, const char *out, cn_error *err)
{
    cn_status status = measure(page, model, train, test, threads, err);
    if (status != CN_OK) return status;
    cli_report_filters(page, "filters", model);
    cli_put_text(page, "version", cn_version());
    return cli_page_write(&cli_page_report, page, out, err);
}

/* The arguments as a shell takes them again. */
static void put_command(json_t *page, const cli_common *common)
{
    size_t size = sizeof "convnet train";
    for (int i = 0; i < common->argument_count; i++) size += 4 * strlen(common->arguments[i]) + 4;
    char *text = malloc(size), *end = text;
    if (!text) return;
    end += snprintf(end, size, "convnet train");
    for (int i = 0; i < common->argument_count; i++) {
        char *word = cli_shell_word(common->arguments[i]);
        if (word) end += snprintf(end, size - (size_t)(end - text), " %s", word);
        free(word);
    }
    cli_put_text(page, "command", text);
    free(text);
}

cn_status cli_report_begin(json_t **page, const cn_model *model, const cli_common *common,
                           cn_error *err)
{
    int rank;
    cn_model_output_shape(model, &rank);
    if (rank != 1)
        return cn_fail(err, CN_ERR_UNSUPPORTED,
                       "--report: the model's output has %d axes, expected one row of classes",
                       rank);
    cn_status status = cli_report_check(model, "--report", err);
    if (status != CN_OK) return status;
    *page = json_object();
    if (!*page) return cn_fail(err, CN_ERR_MEMORY, "--report: out of memory");
    json_object_set_new(*page, "epochs", json_array());
    cli_report_filters(*page, "filters_before", model);
    put_command(*page, common);
    return CN_OK;
}

json_t *cli_report_epoch(json_t *page, const cn_progress *p)
{
    json_t *event = json_object();
    cli_put_text(event, "event", "epoch");
    cli_put_whole(event, "epoch", (size_t)p->epoch);
    cli_put_number(event, "train_loss", p->train_loss);
    cli_put_number(event, "train_accuracy", p->train_accuracy);
    cli_put_number(event, "valid_loss", p->valid_loss);
    cli_put_number(event, "valid_accuracy", p->valid_accuracy);
    if (!isnan(p->valid_mean_ap)) cli_put_number(event, "valid_mean_ap", p->valid_mean_ap);
    if (!isnan(p->valid_r_squared)) cli_put_number(event, "valid_r_squared", p->valid_r_squared);
    if (!isnan(p->valid_mean_iou)) cli_put_number(event, "valid_mean_iou", p->valid_mean_iou);
    cli_put_number(event, "learning_rate", p->learning_rate);
    cli_put_number(event, "images_per_second", p->images_per_second);
    cli_put_number(event, "wait_seconds", p->wait_seconds);
    cli_put_number(event, "seconds", p->seconds);
    if (page) json_array_append(json_object_get(page, "epochs"), event);
    return event;
}

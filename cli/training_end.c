/* training_end.c - what a training says at its end, and what it saves where it ends early. */
#include "base/json.h"
#include "columns.h"
#include "report.h"
#include "resume.h"
#include "saving.h"
#include "training.h"

#include "base/base.h"

#include <stdlib.h>

int cli_training_report_stop(const cli_training *t, const cn_progress *last, int signal_number)
{
    const cli_train_options *o = t->o;
    const char *file = t->checkpointed ? o->checkpoint : t->out;
    char *word = cli_shell_word(file), *data = cli_shell_word(o->data);
    if (o->common.json) {
        json_t *event = json_object();
        cli_put_text(event, "event", "stopped");
        cli_put_whole(event, "epoch", (size_t)last->epoch);
        cli_put_whole(event, "step", (size_t)last->step);
        cli_put_text(event, t->checkpointed ? "checkpoint" : "model", file);
        cli_print_json(event);
    }
    fprintf(stderr, "Stopped in epoch %d of %d, after step %d of %d. ", last->epoch, last->epochs,
            last->step, last->steps);
    if (t->checkpointed)
        fprintf(stderr, "Go on with\n  convnet train --resume %s\n", word ? word : file);
    else
        fprintf(
            stderr,
            "The model is in %s; go on with\n"
            "  convnet train --data %s --model %s\n"
            "The optimizer then starts afresh; with --checkpoint FILE, a training goes on as if "
            "it had never stopped.\n",
            file, data ? data : o->data, word ? word : file);
    free(word);
    free(data);
    return 128 + signal_number;
}

void cli_training_save_unread(const cli_training *t, const cn_progress *last)
{
    if (!t->checkpointed && cli_save(t->model, t->out) != CLI_DONE) return;
    cli_error("train", "what was learnt up to epoch %d, step %d of %d, is in %s", last->epoch,
              last->step, last->steps, t->checkpointed ? t->o->checkpoint : t->out);
}

int cli_training_report_end(const cli_training *t, const cn_progress *last)
{
    const cli_train_options *o = t->o;
    cn_metrics test, valid;
    cn_error err;
    bool masks = cn_dataset_task(t->train) == CN_TASK_SEGMENTATION;
    bool views = o->tta && t->valid; /* validation was measured without them */
    char correct[CLI_COUNT_TEXT], count[CLI_COUNT_TEXT], rate[CLI_COUNT_TEXT];
    cn_evaluate_opts opts = {.threads = o->common.threads,
                             .tta = (cn_tta)o->tta,
                             .precision = (cn_precision)o->precision,
                             .backend = o->backend,
                             .communicator = cli_ranks_communicator(&t->ranks)};
    if (cn_evaluate(t->model, t->test, &opts, &test, NULL, &err) != CN_OK)
        return cli_error("train", "%s", err.text);
    if (views && cn_evaluate(t->model, t->valid, &opts, &valid, NULL, &err) != CN_OK)
        return cli_error("train", "%s", err.text);
    double images = (double)cn_dataset_size(t->train) * last->epoch;
    double images_per_second = last->seconds > 0 ? images / last->seconds : 0;
    if (o->common.json) {
        json_t *event = json_object();
        cli_put_text(event, "event", "done");
        cli_put_number(event, "test_accuracy", test.accuracy);
        cli_put_number(event, "test_loss", test.loss);
        if (cli_has_targets(t->train)) cli_put_targets(event, t->test, &test, NULL);
        if (masks) cli_put_number(event, "mean_iou", test.mean_iou);
        if (masks) cli_put_number(event, "mean_dice", test.mean_dice);
        if (views) cli_put_number(event, "valid_accuracy", valid.accuracy);
        cli_put_number(event, "seconds", last->seconds);
        cli_put_number(event, "images_per_second", images_per_second);
        cli_put_whole(event, "epochs", (size_t)last->epoch);
        if (last->best_epoch > 0) cli_put_whole(event, "best_epoch", (size_t)last->best_epoch);
        cli_put_text(event, "model", t->out);
        cli_print_json(event);
        return CLI_DONE;
    }
    if (last->epoch < last->epochs)
        printf("Ended after epoch %d of %d: no better validation in %d epoch%s\n", last->epoch,
               last->epochs, o->learning.fit.best.patience,
               cn_plural(o->learning.fit.best.patience));
    if (o->learning.keep > 0 || o->learning.fit.best.patience > 0)
        printf("Kept the weights of epoch %d\n", last->best_epoch);
    if (cli_has_targets(t->train))
        cli_print_targets(t->test, "Test", &test);
    else if (masks)
        printf("Test mean IoU %.4f, mean Dice %.4f, pixel accuracy %.2f %% (%s of %s), loss %.4f\n",
               test.mean_iou, test.mean_dice, 100 * test.accuracy,
               cli_count_text((size_t)test.correct, correct),
               cli_count_text((size_t)test.judged, count), test.loss);
    else
        printf("Test accuracy %.2f %% (%s of %s), loss %.4f\n", 100 * test.accuracy,
               cli_count_text((size_t)test.correct, correct),
               cli_count_text((size_t)test.count, count), test.loss);
    if (views)
        printf("Validation accuracy with the same views %.2f %% (%s of %s)\n", 100 * valid.accuracy,
               cli_count_text((size_t)valid.correct, correct),
               cli_count_text((size_t)valid.count, count));
    printf("Trained in %.1f s at %s images/s; the model is in %s\n", last->seconds,
           cli_rate_text(images_per_second, rate), t->out);
    return CLI_DONE;
}

int cli_training_write_page(const cli_training *t)
{
    cn_error err;
    cli_put_text(t->page, "model", t->out);
    cli_put_text(t->page, "data", t->o->data);
    return cli_report_write(t->page, t->model, t->train, t->test, t->o->common.threads,
                            t->o->report, &err) == CN_OK
               ? CLI_DONE
               : cli_error("train", "%s", err.text);
}

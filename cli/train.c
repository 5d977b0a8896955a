/*
 * train.c - `convnet train`: data and a network in, a model file out.
 *
 * The test set steers nothing: it is looked at once, after training. What an epoch is judged by is
 * held out of the training set, every k-th image, whatever the seed (--validation-seed is
 * another): so a training that is continued with another seed does not validate on what it has
 * learnt from.
 */
#include "base/json.h"
#include "columns.h"
#include "interrupt.h"
#include "progress.h"
#include "ranks.h"
#include "reading.h"
#include "recipe.h"
#include "report.h"
#include "resume.h"
#include "saving.h"
#include "train_options.h"
#include "transfer.h"

#include "base/base.h"
#include "model/model.h"
#include "train/train.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef cli_train_options options;

/* Jordan 2024: what no image has much of is not blown up. */
static const double WHITEN_EPSILON = 5e-4;

/* All that a training needs and makes. */
typedef struct job {
    const options *o;
    cli_ranks ranks;
    int shards;
    cli_reading reading;
    cn_dataset *train, *valid, *test; /* valid NULL with --validation-split 0 */
    cn_model *model;
    const char *model_text;
    char *out;
    cli_progress shown;
    json_t *arguments; /* for the checkpoint's note */
    json_t *page;      /* of --report, else NULL */
    bool checkpointed; /* the last checkpoint could be written */
    float *class_weights;
} job;

/* ---- before */

static cn_status load_data(job *j, cn_error *err)
{
    cli_reading *reading = &j->reading;
    int shape[3], classes;
    cli_reading_begin(reading, &j->o->common, cli_memory_for_images(j->o->memory), &j->ranks);
    reading->opts.skip_damaged = j->o->skip_damaged;
    if (j->o->model && cli_is_zoo(j->o->model)) { /* it brings its own size */
        cli_natural_shape(j->o->model, shape, &classes);
        reading->opts.height = shape[0];
        reading->opts.width = shape[1];
    }
    cn_status status = cli_reading_load(reading, &j->train, j->o->data, CN_SUBSET_TRAIN, err);
    if (status == CN_OK)
        status = cli_reading_load(reading, &j->test, j->o->data, CN_SUBSET_TEST, err);
    bool asked = cli_is_given(&j->o->common, "validation-split") ||
                 cli_is_given(&j->o->common, "validation-seed");
    if (status == CN_OK && !asked)
        status = cli_reading_load(reading, &j->valid, j->o->data, CN_SUBSET_VALIDATION, err);
    if (status == CN_OK) {
        cli_say_remarks(&j->o->common, "train", j->train, NULL);
        cli_say_remarks(&j->o->common, "train", j->test, j->train);
        if (j->valid) cli_say_remarks(&j->o->common, "train", j->valid, j->test);
    }
    if (status != CN_OK || j->o->valid == 0 || j->valid) return status;
    if (cn_dataset_size(j->train) * j->o->valid < 1 && !asked) {
        cli_say(&j->o->common, "convnet train: too few images to hold any out for validation");
        return CN_OK;
    }
    cn_dataset *all = j->train;
    if (cn_dataset_size(all) * j->o->valid < 1) {
        snprintf(
            err->text, sizeof err->text,
            "%s: --validation-split %g of %d image%s would hold out none; --validation-split 0 "
            "trains on all of them",
            j->o->data, j->o->valid, cn_dataset_size(all), cn_plural(cn_dataset_size(all)));
        return err->status = CN_ERR_ARGUMENT;
    }
    status = j->o->valid_seed
                 ? cn_dataset_split(&j->train, &j->valid, all, j->o->valid, j->o->valid_seed, err)
                 : cn_dataset_hold_out(&j->train, &j->valid, all, j->o->valid, err);
    if (status == CN_OK) cn_dataset_free(all);
    return status;
}

static cn_status name_classes(cn_model *model, const cn_dataset *data, cn_error *err)
{
    int classes = cn_dataset_classes(data);
    const char **names = malloc((size_t)classes * sizeof *names);
    if (!names) {
        snprintf(err->text, sizeof err->text, "out of memory");
        return err->status = CN_ERR_MEMORY;
    }
    for (int i = 0; i < classes; i++) names[i] = cn_dataset_class_name(data, i);
    cn_status status = cn_model_set_classes(model, classes, names, err);
    free(names);
    return status;
}

/* The sets speak of the classes that the model has already learnt, in its order. */
static cn_status match_classes(job *j, cn_error *err)
{
    cn_dataset *sets[] = {j->train, j->valid, j->test};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        cn_status status = sets[i] ? cn_dataset_match_classes(sets[i], j->model, err) : CN_OK;
        if (status != CN_OK) return status;
        int known = cn_model_answers(j->model);
        if (sets[i] && cn_dataset_classes(sets[i]) > known) {
            snprintf(err->text, sizeof err->text,
                     "%.80s does not have the class %.60s; --from FILE begins with its weights and "
                     "a new last layer",
                     j->o->resume ? j->o->resume : j->model_text,
                     cn_dataset_class_name(sets[i], known));
            return err->status = CN_ERR_ARGUMENT;
        }
    }
    return CN_OK;
}

static cn_status make_model(job *j, cn_error *err)
{
    j->model_text = j->o->model ? j->o->model : cli_default_model(j->train);
    if (j->o->resume) {
        cn_status loaded = cn_model_load(&j->model, j->o->resume, err);
        return loaded == CN_OK ? match_classes(j, err) : loaded;
    }
    if (j->o->from) {
        j->model_text = j->o->model ? j->o->model : j->o->from;
        cn_status made =
            cli_start_from(&j->model, j->o->from, j->o->model,
                           (cn_dataset *[]){j->train, j->valid, j->test}, &j->o->common, err);
        return made == CN_OK ? name_classes(j->model, j->train, err) : made;
    }
    cn_status status =
        cli_open_model_for(&j->model, j->model_text, j->train, j->o->common.seed, err);
    if (status != CN_OK) return status;
    if (cli_is_model_file(j->model_text)) {
        status = cn_model_end_in_softmax(&j->model, err);
        return status == CN_OK ? match_classes(j, err) : status;
    }
    status = cli_learn_normalization(j->model, j->train, err);
    if (status == CN_OK && j->o->whiten)
        status = cn_model_whiten(j->model, j->o->whiten, j->train, WHITEN_EPSILON, err);
    return status == CN_OK ? name_classes(j->model, j->train, err) : status;
}

/* The file to write: the one asked for, the one continued from, or one named after the network.
 * What a network begins with is not overwritten. */
static char *name_out(const options *o, const char *model_text)
{
    static const char ending[] = ".safetensors";
    bool continued = !o->from && cli_is_model_file(model_text), whole = o->out || continued;
    const char *stem = o->out ? o->out : whole || cli_is_zoo(model_text) ? model_text : "model";
    char *name = malloc(strlen(stem) + sizeof ending);
    if (name) strcpy(name, stem);
    if (name && !whole) strcat(name, ending);
    return name;
}

/* What cn_fit is asked for, but for what calls back. */
static cn_fit_opts fit_opts(const job *j)
{
    const options *o = j->o;
    cn_fit_opts opts = o->learning.fit;
    opts.epochs = o->epochs;
    opts.batch = o->batch;
    opts.shards = j->shards;
    opts.communicator = cli_ranks_communicator(&j->ranks);
    opts.threads = o->common.threads;
    opts.seed = o->common.seed;
    opts.precision = (cn_precision)o->precision;
    opts.backend = o->backend;
    opts.valid = j->valid;
    opts.resume = o->resume;
    opts.schedule_epochs = o->stretch ? o->epochs : 0;
    return opts;
}

/* The same with all defaults. */
static cn_fit_opts complete_fit_opts(const job *j)
{
    cn_fit_opts opts = fit_opts(j);
    cn_fit_options_complete(&opts, cn_dataset_size(j->train), cn_dataset_task(j->train));
    return opts;
}

/* Before the model takes its memory: of --memory, images keep what the training leaves. */
static void leave_room(job *j)
{
    const char *text = j->o->resume ? j->o->resume : j->o->model ? j->o->model : j->o->from;
    cn_fit_opts opts = complete_fit_opts(j);
    size_t takes = cli_reading_leave(&j->reading, text ? text : cli_default_model(j->train), &opts,
                                     (const cn_dataset *[]){j->train, j->valid, j->test});
    if (takes > j->o->memory)
        cli_say(&j->o->common,
                "convnet train: the training takes %zu MB beside its images, more than --memory; "
                "smaller batches take less, and --optimizer sgd",
                takes / 1000000 + 1);
}

/* What is going to happen. */
static void announce(const job *j, const cn_fit_opts *opts, int threads)
{
    char learning[CLI_LEARNING_TEXT];
    const options *o = j->o;
    char ranks[CLI_COUNT_TEXT * 2], shards[CLI_COUNT_TEXT * 2] = "";
    char parameters[CLI_COUNT_TEXT];
    cli_announce_data(&o->common, o->data, j->train, j->valid, j->test);
    cli_say(&o->common, "Model  %s: %s parameters", j->model_text,
            cli_count_text(cn_model_parameter_elements(j->model), parameters));
    cli_ranks_text(&j->ranks, ranks);
    if (j->shards > 1)
        snprintf(shards, sizeof shards, ", cut into %d shards%s", j->shards,
                 opts->sync_batch_norm ? ", batch norms over all of them" : "");
    cli_say(
        &o->common, "Plan   %d epoch%s in batches of %d%s; %s; seed %llu; %s%d thread%s%s, %s%s",
        o->epochs, o->epochs == 1 ? "" : "s", opts->batch, shards,
        cli_learning_text(&o->learning, learning), (unsigned long long)o->common.seed,
        cli_ranks_text(&j->ranks, ranks), threads, threads == 1 ? "" : "s", *ranks ? " each" : "",
        cn_isa(), opts->precision == CN_PRECISION_BF16 ? ", products of bf16" : "");
}

/* ---- while it trains */

static bool on_progress(const cn_progress *p, void *user)
{
    job *j = user;
    if (!p->epoch_end) {
        cli_progress_step(&j->shown, p);
        return cli_interrupted() != 0;
    }
    cli_progress_epoch(&j->shown, p);
    json_t *event = cli_report_epoch(j->page, p);
    if (j->o->common.json)
        cli_print_json(event);
    else
        json_decref(event);
    return cli_interrupted() != 0;
}

static void on_checkpoint(const cn_error *result, void *user)
{
    job *j = user;
    j->checkpointed = result->status == CN_OK;
    if (j->checkpointed) return;
    cli_progress_clear(&j->shown);
    cli_error("train", "%s; the checkpoint before it is kept, and the training goes on",
              result->text);
}

/* ---- after */

/* The training was interrupted and its state or, without checkpoints, its model saved. */
static int report_stop(const job *j, const cn_progress *last, int signal_number)
{
    const options *o = j->o;
    const char *file = j->checkpointed ? o->checkpoint : j->out;
    char *word = cli_shell_word(file), *data = cli_shell_word(o->data);
    if (o->common.json) {
        json_t *event = json_object();
        cli_put_text(event, "event", "stopped");
        cli_put_whole(event, "epoch", (size_t)last->epoch);
        cli_put_whole(event, "step", (size_t)last->step);
        cli_put_text(event, j->checkpointed ? "checkpoint" : "model", file);
        cli_print_json(event);
    }
    fprintf(stderr, "Stopped in epoch %d of %d, after step %d of %d. ", last->epoch, last->epochs,
            last->step, last->steps);
    if (j->checkpointed)
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

/* A file could not be read any more: the training has ended between two steps. */
static void save_unread(const job *j, const cn_progress *last)
{
    if (!j->checkpointed && cli_save(j->model, j->out) != CLI_DONE) return;
    cli_error("train", "what was learnt up to epoch %d, step %d of %d, is in %s", last->epoch,
              last->step, last->steps, j->checkpointed ? j->o->checkpoint : j->out);
}

static int report_end(const job *j, const cn_progress *last)
{
    const options *o = j->o;
    cn_metrics test, valid;
    cn_error err;
    bool masks = cn_dataset_task(j->train) == CN_TASK_SEGMENTATION;
    bool views = o->tta && j->valid; /* validation was measured without them */
    char correct[CLI_COUNT_TEXT], count[CLI_COUNT_TEXT], rate[CLI_COUNT_TEXT];
    cn_evaluate_opts opts = {.threads = o->common.threads,
                             .tta = (cn_tta)o->tta,
                             .precision = (cn_precision)o->precision,
                             .backend = o->backend,
                             .communicator = cli_ranks_communicator(&j->ranks)};
    if (cn_evaluate(j->model, j->test, &opts, &test, NULL, &err) != CN_OK)
        return cli_error("train", "%s", err.text);
    if (views && cn_evaluate(j->model, j->valid, &opts, &valid, NULL, &err) != CN_OK)
        return cli_error("train", "%s", err.text);
    double images = (double)cn_dataset_size(j->train) * last->epoch;
    double images_per_second = last->seconds > 0 ? images / last->seconds : 0;
    if (o->common.json) {
        json_t *event = json_object();
        cli_put_text(event, "event", "done");
        cli_put_number(event, "test_accuracy", test.accuracy);
        cli_put_number(event, "test_loss", test.loss);
        if (cli_has_targets(j->train)) cli_put_targets(event, j->test, &test, NULL);
        if (masks) cli_put_number(event, "mean_iou", test.mean_iou);
        if (masks) cli_put_number(event, "mean_dice", test.mean_dice);
        if (views) cli_put_number(event, "valid_accuracy", valid.accuracy);
        cli_put_number(event, "seconds", last->seconds);
        cli_put_number(event, "images_per_second", images_per_second);
        cli_put_whole(event, "epochs", (size_t)last->epoch);
        if (last->best_epoch > 0) cli_put_whole(event, "best_epoch", (size_t)last->best_epoch);
        cli_put_text(event, "model", j->out);
        cli_print_json(event);
        return CLI_DONE;
    }
    if (last->epoch < last->epochs)
        printf("Ended after epoch %d of %d: no better validation in %d epoch%s\n", last->epoch,
               last->epochs, o->learning.fit.best.patience,
               cn_plural(o->learning.fit.best.patience));
    if (o->learning.keep > 0 || o->learning.fit.best.patience > 0)
        printf("Kept the weights of epoch %d\n", last->best_epoch);
    if (cli_has_targets(j->train))
        cli_print_targets(j->test, "Test", &test);
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
           cli_rate_text(images_per_second, rate), j->out);
    return CLI_DONE;
}

static int write_report(job *j)
{
    cn_error err;
    cli_put_text(j->page, "model", j->out);
    cli_put_text(j->page, "data", j->o->data);
    return cli_report_write(j->page, j->model, j->train, j->test, j->o->common.threads,
                            j->o->report, &err) == CN_OK
               ? CLI_DONE
               : cli_error("train", "%s", err.text);
}

/* Of several labels per image, where each of them begins: on what was not learned from. */
static cn_status choose_thresholds(job *j, cn_error *err)
{
    cn_evaluate_opts opts = {.threads = j->o->common.threads,
                             .precision = (cn_precision)j->o->precision,
                             .backend = j->o->backend,
                             .communicator = cli_ranks_communicator(&j->ranks)};
    if (cn_dataset_task(j->train) != CN_TASK_MULTI_LABEL || !j->valid) return CN_OK;
    return cn_model_choose_thresholds(j->model, j->valid, &opts, err);
}

static int train(job *j)
{
    const options *o = j->o;
    cn_progress last = {.epoch = 0};
    cn_error err;
    int threads;
    cn_fit_opts opts = fit_opts(j);
    opts.progress = on_progress;
    opts.user = j;
    opts.checkpoint.path = o->checkpoint;
    opts.checkpoint.written = on_checkpoint;
    if (o->checkpoint_every) cli_read_interval(o->checkpoint_every, &opts);
    if (cn_thread_count(o->common.threads, &threads, &err) != CN_OK ||
        (o->augment && cn_augment_parse(&opts.augment, o->augment, &err) != CN_OK) ||
        cli_learning_apply(&o->learning, j->train, j->model, &opts, &j->class_weights, &err) !=
            CN_OK)
        return cli_error("train", "%s", err.text);
    char *note = cn_json_text(j->arguments, "the arguments", &err);
    if (!note) return cli_error("train", "%s", err.text);
    opts.checkpoint.note = note;
    if (o->common.threads == 0 && j->ranks.comm.threads > 0) threads = j->ranks.comm.threads;
    cn_fit_opts known = complete_fit_opts(j);
    announce(j, &known, threads);

    cli_catch_interrupts();
    cli_progress_start(&j->shown, &o->common);
    cn_status status = cn_fit(j->model, j->train, &opts, &last, &err);
    cli_progress_clear(&j->shown);
    cn_release(note);
    int code = CLI_DONE;
    if (status == CN_OK) status = choose_thresholds(j, &err);
    bool ended = status == CN_OK || status == CN_ERR_STOPPED, first = j->ranks.comm.rank == 0;
    if (ended && first && (status == CN_OK || !j->checkpointed))
        code = cli_save(j->model, j->out);
    else if (!ended)
        code = cli_error("train", "%s", err.text);
    if (!ended && last.epoch > 0) save_unread(j, &last);
    int signal_number = cli_interrupted();
    cli_release_interrupts();
    if (ended) code = cli_ranks_agree(&j->ranks, code);
    if (code != CLI_DONE) return code;
    /* It may be another rank that was asked to stop. */
    if (signal_number == 0) signal_number = SIGTERM;
    if (status == CN_ERR_STOPPED) return report_stop(j, &last, signal_number);
    code = report_end(j, &last);
    return code == CLI_DONE && j->page && first ? write_report(j) : code;
}

/* What the options' table cannot check. */
static int check_options(const options *o)
{
    cn_fit_opts opts;
    if (o->checkpoint_every && !cli_read_interval(o->checkpoint_every, &opts)) {
        cli_error("train",
                  "--checkpoint-every wants 5 or \"5 epochs\", \"500 steps\", \"90 s\" or "
                  "\"10 min\", not \"%s\"",
                  o->checkpoint_every);
        return CLI_USAGE;
    }
    if (o->checkpoint_every && !o->checkpoint) {
        cli_error("train", "--checkpoint-every wants --checkpoint FILE, too");
        return CLI_USAGE;
    }
    return CLI_DONE;
}

/* The options of the training that is to go on, in place of those given. */
static int take_up(const options *given, options *o, json_t **arguments, char ***expanded)
{
    bool model = cli_is_given(&given->common, "model");
    if (model || cli_is_given(&given->common, "from")) {
        cli_error("train", "--resume FILE goes on with the network in FILE: leave --%s out",
                  model ? "model" : "from");
        return CLI_USAGE;
    }
    int code =
        cli_arguments_resumed(&cli_train, given->resume, &given->common, o, arguments, expanded);
    if (code == CLI_DONE && !o->checkpoint) o->checkpoint = o->resume;
    return code;
}

static int begin_report(job *j)
{
    cn_error err;
    int code = cli_check_out("--report", j->o->report);
    if (code != CLI_DONE) return code;
    return cli_report_begin(&j->page, j->model, &j->o->common, &err) == CN_OK
               ? CLI_DONE
               : cli_error("train", "%s", err.text);
}

/* Loads the data and makes the model: what may fail on one rank and not on another. */
static int get_ready(job *j)
{
    cn_error err;
    int code = check_options(j->o);
    if (code != CLI_DONE) return code;
    if (load_data(j, &err) != CN_OK) return cli_error("train", "%s", err.text);
    if (j->o->memory > 0) leave_room(j);
    if (make_model(j, &err) != CN_OK) return cli_error("train", "%s", err.text);
    j->out = name_out(j->o, j->model_text);
    if (!j->out) return cli_error("train", "out of memory");
    if (j->ranks.comm.rank > 0) return CLI_DONE; /* the first one writes */
    code = cli_check_out("--out", j->out);
    if (code == CLI_DONE && j->o->checkpoint) {
        code = cli_check_out("--checkpoint", j->o->checkpoint);
        if (strcmp(j->o->checkpoint, j->out) == 0)
            code = cli_error("train", "%s: both the checkpoint and the model", j->out);
    }
    if (code == CLI_DONE && j->o->report) code = begin_report(j);
    return code;
}

/* Ranks that MPI's launcher has started share out shards, unless the training began without. A
 * checkpoint keeps how many. */
static int choose_shards(job *j)
{
    enum { RANKS_SHARDS = 8 };
    char text[32];
    j->shards = j->o->shards ? j->o->shards : 1;
    if (j->o->shards || !j->ranks.launched || j->o->resume) return CLI_DONE;
    j->shards = RANKS_SHARDS;
    snprintf(text, sizeof text, "--shards=%d", j->shards);
    if (json_array_append_new(j->arguments, json_string(text)) == 0) return CLI_DONE;
    return cli_error("train", "out of memory");
}

/* The options again, behind those of the recipe that they name. */
static int expand(const options *given, options *o, char ***arguments)
{
    int operands, count = cli_recipe_arguments(given->named, &given->common, arguments);
    return count < 0 ? CLI_USAGE : cli_parse(&cli_train, count, *arguments, o, &operands);
}

/* Options typed that would not be used beside the others. */
static int check_used(const options *typed, options *o)
{
    cn_error err;
    bool new_network = !o->from && !o->resume && !(o->model && cli_is_model_file(o->model));
    if (cli_learning_check(&o->learning, &typed->common, &err) != CN_OK)
        return cli_error("train", "%s", err.text);
    if (cli_is_given(&typed->common, "whiten") && !new_network)
        return cli_error("train", "--whiten goes with a network that is new");
    if (cli_is_given(&typed->common, "validation-seed") && o->valid == 0)
        return cli_error("train", "--validation-seed goes with --validation-split above 0");
    if (typed->stretch && !o->resume)
        return cli_error("train", "--stretch-schedule goes with --resume");
    return CLI_DONE;
}

static int run(const void *given, int count, char *const *operands)
{
    const options *typed = given;
    options used = {.resume = NULL};
    job j = {.o = &used};
    char **expanded = NULL;
    (void)count;
    (void)operands;
    int code = cli_ranks_open(&j.ranks, "train");
    if (code == CLI_DONE && typed->resume) {
        code = take_up(typed, &used, &j.arguments, &expanded);
    } else if (code == CLI_DONE) {
        if (typed->named)
            code = expand(typed, &used, &expanded);
        else
            used = *typed;
        j.arguments = used.checkpoint ? cli_arguments_of(&used.common) : json_array();
        if (!j.arguments) code = cli_error("train", "out of memory, or an argument is not UTF-8");
    }
    if (code == CLI_DONE) code = check_used(typed, &used);
    if (code == CLI_DONE) code = choose_shards(&j);
    if (code == CLI_DONE) code = get_ready(&j);
    code = cli_ranks_agree(&j.ranks, code);
    if (code == CLI_DONE) code = train(&j);
    cli_ranks_close(&j.ranks);
    cn_model_free(j.model);
    cn_dataset_free(j.train);
    cn_dataset_free(j.valid);
    cn_dataset_free(j.test);
    json_decref(j.arguments);
    json_decref(j.page);
    free(j.class_weights);
    free(j.out);
    free(expanded);
    return code;
}

const cli_command cli_train = {
    .name = "train",
    .summary = "trains a network on images and writes a model file",
    .help =
        "Without any option, a small network learns to read handwritten digits, in "
        "seconds.\n"
        "\n"
        "Part of the training images, every tenth unless --validation-split says otherwise, is "
        "held out: what is learnt is measured on them after each epoch, or on the validation "
        "set that the data brings. The test images"
        " are used once, at the end, and change nothing. The same seed writes the same "
        "file, byte for byte, with any number of threads.\n"
        "\n"
        "Ctrl-C ends the training after the step at hand and saves the model; --model "
        "FILE goes on from there, with the weights alone. With --checkpoint FILE it saves "
        "everything, and --resume FILE goes on as if it had never stopped: the same file, "
        "byte for byte. A second Ctrl-C ends it at once.\n"
        "\n"
        "Kinds of data: mnist and idx (the four IDX files), cifar10 and cifar100 (the binary "
        "versions), hdf5 (as in the course), npz and npy (NumPy's arrays), folder (a sub-folder "
        "a class), csv (lines of path,label, of several labels, or of numbers to learn). A folder "
        "or a file (.npz, .npy, .h5, .csv) alone "
        "will do "
        "where it is recognized; docs/data.md has the details. To folder and csv one may add how "
        "large the "
        "images get, their channels, how they are fitted and what shows through where they are "
        "transparent: folder:DIR,size=64x64,channels=3,fit=stretch,background=black. To arrays "
        "one may add layout=nchw, for channels that come first, and the range of their values, "
        "as in range=-1..1.\n"
        "\n"
        "Layers are written in order, with commas between them: conv FILTERS "
        "ROWSxCOLUMNS, maxpool N, avgpool N, dense UNITS, flatten, relu, sigmoid, tanh, "
        "softmax; also depthwise, convtranspose, batchnorm, groupnorm, layernorm, dropout, "
        "gap, upsample, add, concat and others: docs/models.md has all. To conv and pooling "
        "one may add \"stride N\" and \"same\" (padding). \"dense classes\" has a unit for "
        "each class of the data. A softmax at the end need not be written.\n"
        "\n"
        "Examples\n"
        "  convnet train\n"
        "  convnet train --epochs 5 --out mine.safetensors\n"
        "  convnet train --model \"conv 8 3x3 same, relu, maxpool 2, dense classes\"\n"
        "  convnet train --model digits.safetensors --learning-rate 0.0001\n"
        "  convnet train --from digits.safetensors --data idx:DIR --out letters.safetensors\n"
        "  convnet train --checkpoint run.safetensors\n"
        "  convnet train --resume run.safetensors\n"
        "  convnet train --data mnist:DIR --model lenet5 --epochs 5\n"
        "  convnet train --data flowers,size=64x64 --model signs\n"
        "  convnet train --data cifar10:DIR --recipe cifar10\n",
    .options = cli_train_table,
    .size = sizeof(options),
    .run = run,
};

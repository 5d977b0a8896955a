/*
 * training_begin.c - what a training begins with: its data sets, its model, and where it writes.
 *
 * The test set steers nothing: it is looked at once, after training. What an epoch is judged by is held out of
 * the training set, every k-th image, whatever the seed (--validation-seed is another): so a training that is
 * continued with another seed does not validate on what it has learnt from.
 */
#include "report.h"
#include "resume.h"
#include "saving.h"
#include "training.h"
#include "transfer.h"

#include "base/base.h"
#include "model/model.h"
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

/* Jordan 2024: what no image has much of is not blown up. */
static const double WHITEN_EPSILON = 5e-4;

enum { MEGABYTE = 1000000 };

static cn_status load_data(cli_training *t, cn_error *err)
{
    cli_reading *reading = &t->reading;
    int shape[3], classes;
    cli_reading_begin(reading, &t->o->common, cli_memory_for_images(t->o->memory), &t->ranks);
    reading->opts.skip_damaged = t->o->skip_damaged;
    if (t->o->model && cli_is_zoo(t->o->model)) { /* it brings its own size */
        cli_natural_shape(t->o->model, shape, &classes);
        reading->opts.height = shape[0];
        reading->opts.width = shape[1];
    }
    cn_status status = cli_reading_load(reading, &t->train, t->o->data, CN_SUBSET_TRAIN, err);
    if (status == CN_OK)
        status = cli_reading_load(reading, &t->test, t->o->data, CN_SUBSET_TEST, err);
    bool asked = cli_is_given(&t->o->common, "validation-split") ||
                 cli_is_given(&t->o->common, "validation-seed");
    if (status == CN_OK && !asked)
        status = cli_reading_load(reading, &t->valid, t->o->data, CN_SUBSET_VALIDATION, err);
    if (status == CN_OK) {
        cli_say_remarks(&t->o->common, "train", t->train, NULL);
        cli_say_remarks(&t->o->common, "train", t->test, t->train);
        if (t->valid) cli_say_remarks(&t->o->common, "train", t->valid, t->test);
    }
    if (status != CN_OK || t->o->valid == 0 || t->valid) return status;
    if (cn_dataset_size(t->train) * t->o->valid < 1 && !asked) {
        cli_say(&t->o->common, "convnet train: too few images to hold any out for validation");
        return CN_OK;
    }
    cn_dataset *all = t->train;
    if (cn_dataset_size(all) * t->o->valid < 1) {
        snprintf(
            err->text, sizeof err->text,
            "%s: --validation-split %g of %d image%s would hold out none; --validation-split 0 "
            "trains on all of them",
            t->o->data, t->o->valid, cn_dataset_size(all), cn_plural(cn_dataset_size(all)));
        return err->status = CN_ERR_ARGUMENT;
    }
    status = t->o->valid_seed
                 ? cn_dataset_split(&t->train, &t->valid, all, t->o->valid, t->o->valid_seed, err)
                 : cn_dataset_hold_out(&t->train, &t->valid, all, t->o->valid, err);
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
static cn_status match_classes(cli_training *t, cn_error *err)
{
    cn_dataset *sets[] = {t->train, t->valid, t->test};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        cn_status status = sets[i] ? cn_dataset_match_classes(sets[i], t->model, err) : CN_OK;
        if (status != CN_OK) return status;
        int known = cn_model_answers(t->model);
        if (sets[i] && cn_dataset_classes(sets[i]) > known) {
            snprintf(err->text, sizeof err->text,
                     "%.80s does not have the class %.60s; --from FILE begins with its weights and "
                     "a new last layer",
                     t->o->resume ? t->o->resume : t->model_text,
                     cn_dataset_class_name(sets[i], known));
            return err->status = CN_ERR_ARGUMENT;
        }
    }
    return CN_OK;
}

static cn_status make_model(cli_training *t, cn_error *err)
{
    t->model_text = t->o->model ? t->o->model : cli_default_model(t->train);
    if (t->o->resume) {
        cn_status loaded = cn_model_load(&t->model, t->o->resume, err);
        return loaded == CN_OK ? match_classes(t, err) : loaded;
    }
    if (t->o->from) {
        t->model_text = t->o->model ? t->o->model : t->o->from;
        cn_status made =
            cli_start_from(&t->model, t->o->from, t->o->model,
                           (cn_dataset *[]){t->train, t->valid, t->test}, &t->o->common, err);
        return made == CN_OK ? name_classes(t->model, t->train, err) : made;
    }
    cn_status status =
        cli_open_model_for(&t->model, t->model_text, t->train, t->o->common.seed, err);
    if (status != CN_OK) return status;
    if (cli_is_model_file(t->model_text)) {
        status = cn_model_end_in_softmax(&t->model, err);
        return status == CN_OK ? match_classes(t, err) : status;
    }
    status = cli_learn_normalization(t->model, t->train, err);
    if (status == CN_OK && t->o->whiten)
        status = cn_model_whiten(t->model, t->o->whiten, t->train, WHITEN_EPSILON, err);
    return status == CN_OK ? name_classes(t->model, t->train, err) : status;
}

/* The file to write: the one asked for, the one continued from, or one named after the network.
 * What a network begins with is not overwritten. */
static char *name_out(const cli_train_options *o, const char *model_text)
{
    static const char ending[] = ".safetensors";
    bool continued = !o->from && cli_is_model_file(model_text), whole = o->out || continued;
    const char *stem = o->out ? o->out : whole || cli_is_zoo(model_text) ? model_text : "model";
    char *name = malloc(strlen(stem) + sizeof ending);
    if (name) strcpy(name, stem);
    if (name && !whole) strcat(name, ending);
    return name;
}

cn_fit_opts cli_training_fit_opts(const cli_training *t)
{
    const cli_train_options *o = t->o;
    cn_fit_opts opts = o->learning.fit;
    opts.epochs = o->epochs;
    opts.batch = o->batch;
    opts.shards = t->shards;
    opts.communicator = cli_ranks_communicator(&t->ranks);
    opts.threads = o->common.threads;
    opts.seed = o->common.seed;
    opts.precision = (cn_precision)o->precision;
    opts.backend = o->backend;
    opts.valid = t->valid;
    opts.resume = o->resume;
    opts.schedule_epochs = o->stretch ? o->epochs : 0;
    return opts;
}

cn_fit_opts cli_training_complete_fit_opts(const cli_training *t)
{
    cn_fit_opts opts = cli_training_fit_opts(t);
    cn_fit_options_complete(&opts, cn_dataset_size(t->train), cn_dataset_task(t->train));
    return opts;
}

/* Before the model takes its memory: of --memory, images keep what the training leaves. */
static void leave_room(cli_training *t)
{
    const char *text = t->o->resume ? t->o->resume : t->o->model ? t->o->model : t->o->from;
    cn_fit_opts opts = cli_training_complete_fit_opts(t);
    cli_room room = cli_reading_leave(&t->reading, text ? text : cli_default_model(t->train), &opts,
                                      (const cn_dataset *[]){t->train, t->valid, t->test});
    char smaller[80] = "smaller batches do not fit either";
    if (room.fits) return;
    if (room.batch > 0)
        snprintf(smaller, sizeof smaller, "with --batch-size %d it would take %zu MB", room.batch,
                 room.smaller / MEGABYTE + 1);
    cli_say(&t->o->common,
            "convnet train: the training takes %zu MB beside its images, more than --memory has "
            "for it, %zu MB; %s",
            room.training / MEGABYTE + 1, t->reading.budget / MEGABYTE, smaller);
}

/* What the options' table cannot check. */
static int check_options(const cli_train_options *o)
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

static int begin_report(cli_training *t)
{
    cn_error err;
    int code = cli_check_out("--report", t->o->report);
    if (code != CLI_DONE) return code;
    return cli_report_begin(&t->page, t->model, &t->o->common, &err) == CN_OK
               ? CLI_DONE
               : cli_error("train", "%s", err.text);
}

int cli_training_prepare(cli_training *t)
{
    cn_error err;
    int code = check_options(t->o);
    if (code != CLI_DONE) return code;
    if (load_data(t, &err) != CN_OK) return cli_error("train", "%s", err.text);
    if (t->o->memory > 0) leave_room(t);
    if (make_model(t, &err) != CN_OK) return cli_error("train", "%s", err.text);
    t->out = name_out(t->o, t->model_text);
    if (!t->out) return cli_error("train", "out of memory");
    if (t->ranks.comm.rank > 0) return CLI_DONE; /* the first one writes */
    code = cli_check_out("--out", t->out);
    if (code == CLI_DONE && t->o->checkpoint) {
        code = cli_check_out("--checkpoint", t->o->checkpoint);
        if (strcmp(t->o->checkpoint, t->out) == 0)
            code = cli_error("train", "%s: both the checkpoint and the model", t->out);
    }
    if (code == CLI_DONE && t->o->report) code = begin_report(t);
    return code;
}

/* train.c - `convnet train`: data and a network in, a model file out. */
#include "interrupt.h"
#include "recipe.h"
#include "report.h"
#include "resume.h"
#include "saving.h"
#include "training.h"

#include "base/base.h"
#include "base/json.h"
#include "model/model.h"
#include "train/train.h"

#include <signal.h>
#include <stdlib.h>

typedef cli_train_options options;
typedef cli_training job;

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
    cn_fit_opts opts = cli_training_fit_opts(j);
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
    cn_fit_opts known = cli_training_complete_fit_opts(j);
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
    if (!ended && last.epoch > 0) cli_training_save_unread(j, &last);
    int signal_number = cli_interrupted();
    cli_release_interrupts();
    if (ended) code = cli_ranks_agree(&j->ranks, code);
    if (code != CLI_DONE) return code;
    /* It may be another rank that was asked to stop. */
    if (signal_number == 0) signal_number = SIGTERM;
    if (status == CN_ERR_STOPPED) return cli_training_report_stop(j, &last, signal_number);
    code = cli_training_report_end(j, &last);
    return code == CLI_DONE && j->page && first ? cli_training_write_page(j) : code;
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
    if (code == CLI_DONE) code = cli_training_prepare(&j);
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

/* data_line.c - says what a training has understood of its data. */
#include "cli.h"

#include "base/base.h"
#include "data/dataset.h"

static const char *task_name(const cn_dataset *data)
{
    static const char *const names[] = {
        [CN_TASK_CLASSIFICATION] = "classification",
        [CN_TASK_SEGMENTATION] = "segmentation",
        [CN_TASK_MULTI_LABEL] = "multi-label",
        [CN_TASK_REGRESSION] = "regression",
    };
    return names[cn_dataset_task(data)];
}

static size_t size_of(const cn_dataset *data)
{
    return data ? (size_t)cn_dataset_size(data) : 0;
}

static void print_event(const cn_dataset *train, const cn_dataset *valid, const cn_dataset *test)
{
    json_t *event = json_object(), *shape = json_array();
    int skipped = cn_dataset_skipped(train) + cn_dataset_skipped(test);
    for (int i = 0; i < 3; i++)
        json_array_append_new(shape, json_integer(cn_dataset_shape(train)[i]));
    cli_put_text(event, "event", "data");
    cli_put_text(event, "task", task_name(train));
    cli_put_text(event, "layout", cn_dataset_layout(train));
    cli_put_whole(event, "train", size_of(train));
    cli_put_whole(event, "valid", size_of(valid));
    cli_put_whole(event, "test", size_of(test));
    json_object_set_new(event, "shape", shape);
    cli_put_whole(event, "classes", (size_t)cn_dataset_classes(train));
    cli_put_whole(event, "skipped", (size_t)skipped);
    cli_put_whole(event, "shared", (size_t)cn_dataset_shared(train));
    cli_print_json(event);
}

void cli_announce_data(const cli_common *common, const char *spec, const cn_dataset *train,
                       const cn_dataset *valid, const cn_dataset *test)
{
    char n[CLI_COUNT_TEXT], tested[CLI_COUNT_TEXT], held[CLI_COUNT_TEXT];
    char shape[CLI_COUNT_TEXT * 2];
    int classes = cn_dataset_classes(train);
    static const char *const truths[][2] = {
        [CN_TASK_CLASSIFICATION] = {"class", "classes"},
        [CN_TASK_SEGMENTATION] = {"class of pixels (segmentation)",
                                  "classes of pixels (segmentation)"},
        [CN_TASK_MULTI_LABEL] = {"label that each image has or not",
                                 "labels, any number of them per image"},
        [CN_TASK_REGRESSION] = {"number to learn (regression)", "numbers to learn (regression)"},
    };
    cli_say(common, "Data   %s: %s image%s to train on, %s to validate, %s to test; %s%s, %d %s",
            spec, cli_count_text(size_of(train), n), size_of(train) == 1 ? "" : "s",
            cli_count_text(size_of(valid), held), cli_count_text(size_of(test), tested),
            cli_shape_text(3, cn_dataset_shape(train), shape),
            cn_dataset_size_is_median(train) ? " (the median size)" : "", classes,
            truths[cn_dataset_task(train)][classes != 1]);
    if (common->json) print_event(train, valid, test);
}

/*
 * batches.c - how fast a training's batches are made, for script/bench data.
 *
 *     bench_batches FOLDER SIDE BATCH THREADS
 *
 * Reads a folder of classes with next to no memory for images, so that each is decoded when it is
 * asked for, cut out at random, mirrored, and brought to SIDE x SIDE. For every line of its input, a
 * number of seconds, it makes the batches of an epoch and pauses so long after each, as a training
 * would; and prints how many images there were, the seconds, and those spent waiting, without the
 * wait for the first batch.
 */
#include "train/loader.h"
#include "train/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int fail(const cn_error *err)
{
    fprintf(stderr, "bench_batches: %s\n", err->text);
    return 1;
}

static void pause_for(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (seconds > 0) nanosleep(&t, NULL);
}

/* An epoch's batches, made while those before them are "trained on" for so long. */
static cn_status run_epoch(const cn_loader_opts *opts, double work, cn_error *err)
{
    cn_loader *loader = NULL;
    const cn_batch *batch;
    cn_status status = cn_loader_create(&loader, opts, err);
    if (status != CN_OK) return status;
    double start = cn_seconds(), first = 0;
    int images = 0;
    cn_loader_start(loader, 0);
    for (int i = 0; i < cn_loader_steps(loader) && status == CN_OK; i++) {
        status = cn_loader_next(loader, &batch, err);
        if (i == 0) first = cn_loader_waited(loader);
        if (status == CN_OK) images += batch->m;
        pause_for(work);
    }
    if (status == CN_OK)
        printf("{\"images\":%d,\"seconds\":%.6f,\"waited\":%.6f}\n", images, cn_seconds() - start,
               cn_loader_waited(loader) - first);
    fflush(stdout);
    cn_loader_free(loader);
    return status;
}

int main(int count, char **arguments)
{
    enum { SPEC = 4096, LINE = 64 };
    char spec[SPEC], line[LINE];
    static const float mean[3] = {0.485F, 0.456F, 0.406F}, std[3] = {0.229F, 0.224F, 0.225F};
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (count != 5) {
        fprintf(stderr, "usage: bench_batches FOLDER SIDE BATCH THREADS\n");
        return 2;
    }
    int side = atoi(arguments[2]);
    snprintf(spec, sizeof spec, "folder:%s,size=%dx%d,channels=3", arguments[1], side, side);
    cn_dataset_opts set = {.memory = 1};
    if (cn_dataset_load(&data, spec, CN_SUBSET_ALL, &set, &err) != CN_OK) return fail(&err);
    cn_loader_opts opts = {.data = data,
                           .augment = {.flip = CN_FLIP_RANDOM, .random_resized_crop = 0.08},
                           .mean = mean,
                           .std = std,
                           .outputs = cn_dataset_classes(data),
                           .batch = atoi(arguments[3]),
                           .epochs = 1,
                           .seed = 1,
                           .background = true,
                           .threads = atoi(arguments[4])};
    cn_status status = CN_OK;
    while (status == CN_OK && fgets(line, sizeof line, stdin))
        status = run_epoch(&opts, atof(line), &err);
    cn_dataset_free(data);
    return status == CN_OK ? 0 : fail(&err);
}

/*
 * ranks.c - seconds per step of one training on several ranks, which mpirun starts; or on one.
 *
 *   bench_ranks [NETWORK [BATCH [SHARDS [STEPS [THREADS [WORD...]]]]]]
 *
 * trains on images of noise, 32 x 32 x 3, and prints the median of the steps but for the first two:
 * seconds, images per second, and the processor time of one rank, which other programs on the
 * machine change less. Words: "waits" takes the communicator's background exchanges away, so
 * that gradients travel after backward and not during it; "sync" synchronizes batch norms.
 */
#include <convnet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_STEPS = 1000, SIDE = 32, CHANNELS = 3, CLASSES = 10, WARM_UP = 2 };

typedef struct times {
    double last, steps[MOST_STEPS];
    double worked_before, worked[MOST_STEPS]; /* of the processors */
    int count;
} times;

static bool on_progress(const cn_progress *p, void *user)
{
    times *t = user;
    if (p->epoch_end || t->count == MOST_STEPS) return false;
    const double worked = (double)clock() / CLOCKS_PER_SEC;
    t->worked[t->count] = worked - t->worked_before;
    t->worked_before = worked;
    t->steps[t->count++] = p->seconds - t->last;
    t->last = p->seconds;
    return false;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const times *t, double *values)
{
    const int first = t->count > 2 * WARM_UP ? WARM_UP : 0, left = t->count - first;
    qsort(values + first, (size_t)left, sizeof *values, ascending);
    return values[first + left / 2];
}

/* `count` images of noise. */
static cn_status make_data(cn_dataset **data, int count, cn_error *err)
{
    const size_t pixels = (size_t)count * SIDE * SIDE * CHANNELS;
    const int shape[] = {count, SIDE, SIDE, CHANNELS};
    uint8_t *x = malloc(pixels);
    int32_t *labels = calloc((size_t)count, sizeof *labels);
    cn_status status = CN_ERR_MEMORY;
    uint32_t noise = 1;
    if (x && labels) {
        for (size_t i = 0; i < pixels; i++) {
            noise = noise * 1664525 + 1013904223;
            x[i] = (uint8_t)(noise >> 24);
        }
        for (int i = 0; i < count; i++) labels[i] = i % CLASSES;
        const cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, shape, x);
        status = cn_dataset_create(data, &images, labels, CLASSES, err);
    }
    free(x);
    free(labels);
    return status;
}

/* Argument i, a number from 1 on. */
static int number(char **arguments, int count, int i, int otherwise)
{
    long value = i < count ? strtol(arguments[i], NULL, 10) : otherwise;
    return value >= 1 && value < 1000000 ? (int)value : otherwise;
}

static bool has_word(char **arguments, int count, const char *word)
{
    for (int i = 6; i < count; i++)
        if (strcmp(arguments[i], word) == 0) return true;
    return false;
}

int main(int count, char **arguments)
{
    static times t;
    const char *network = count > 1 ? arguments[1] : "resnet18";
    const int batch = number(arguments, count, 2, 64), steps = number(arguments, count, 4, 10);
    cn_communicator comm = {.size = 1};
    cn_dataset *data = NULL;
    cn_model *model = NULL;
    cn_error err = {CN_OK, ""};
    cn_fit_opts opts = {.batch = batch,
                        .shards = number(arguments, count, 3, 2),
                        .threads = number(arguments, count, 5, 1),
                        .sync_batch_norm = has_word(arguments, count, "sync"),
                        .seed = 1,
                        .optimizer = {.kind = CN_OPTIMIZER_SGD, .momentum = 0.9},
                        .progress = on_progress,
                        .user = &t};
    cn_status status = CN_OK;
    if (cn_mpi_launched() > 0) {
        status = cn_mpi_open(&comm, &err);
        if (has_word(arguments, count, "waits")) {
            comm.start = NULL;
            comm.test = NULL;
        }
        opts.communicator = &comm;
    }
    if (status == CN_OK) status = make_data(&data, batch * steps, &err);
    if (status == CN_OK)
        status = cn_model_parse(&model, network, (int[]){SIDE, SIDE, CHANNELS}, CLASSES, 1, &err);
    if (status == CN_OK) status = cn_fit(model, data, &opts, NULL, &err);
    if (status != CN_OK)
        fprintf(stderr, "bench_ranks: %s\n", err.text);
    else if (comm.rank == 0) {
        const double seconds = median(&t, t.steps);
        printf("%.4f s per step, %.1f images/s, %.4f s of processors\n", seconds, batch / seconds,
               median(&t, t.worked));
    }
    cn_model_free(model);
    cn_dataset_free(data);
    if (comm.self) cn_mpi_close(&comm);
    return status == CN_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

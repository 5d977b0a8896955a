/*
 * layers.c - convolutions of known networks by our kernels and by oneDNN, in one process, turn by
 * turn.
 *
 * On a machine that others use, speed varies from second to second. So in every repeat each way
 * runs once, one after the other, beside a measurement of the processor's peak: a ratio compares
 * neighbors in time. What counts is the median of the repeats' ratios, and its quartiles tell how
 * much it varies.
 */
#include "bench_conv.h"
#include "bench_layers.h"
#include "onednn.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_REPEATS = 101, MAX_WAYS = 8 };

static const char *const direction_names[] = {"forward", "backward data", "backward weights"};

typedef struct options {
    const char *layer;
    int batch, threads, repeats;
    bool json;
} options;

/* ---- timing */

/* One thread is timed by the time that it had a processor, so that its neighbors' turns on a busy
 * machine do not count; several by the clock on the wall. */
static double seconds_now(int threads)
{
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct spread {
    double low, median, high; /* quartiles */
} spread;

static spread spread_of(const double *values, int n)
{
    double sorted[MAX_REPEATS];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    return (spread){sorted[n / 4], sorted[n / 2], sorted[n - 1 - n / 4]};
}

typedef void task(void *argument);

/* Something to time, and how often a repeat calls it: 10 ms long. */
typedef struct contender {
    task *run;
    void *argument;
    int threads, calls;
    double seconds[MAX_REPEATS];
} contender;

static void prepare(contender *c, task *run, void *argument, int threads)
{
    c->run = run;
    c->argument = argument;
    c->threads = threads;
    run(argument); /* fetches code and data */
    const double start = seconds_now(c->threads);
    run(argument);
    c->calls = (int)fmin(0.01 / fmax(seconds_now(c->threads) - start, 1e-9), 1e6) + 1;
}

static void time_repeat(contender *c, int repeat)
{
    const double start = seconds_now(c->threads);
    for (int i = 0; i < c->calls; i++) c->run(c->argument);
    c->seconds[repeat] = (seconds_now(c->threads) - start) / c->calls;
}

/* ---- what the memory does: a copy of more than the caches hold */

enum { COPY_BYTES = 64 << 20 };

typedef struct copy {
    char *from, *to;
} copy;

static void copy_memory(void *argument)
{
    const copy *c = argument;
    memcpy(c->to, c->from, COPY_BYTES);
}

/* Bytes read and written a second, in GB; 0 where memory is short. */
static double memory_speed(int repeats)
{
    contender c;
    double speed = 0;
    copy memory = {.from = calloc(1, COPY_BYTES), .to = malloc(COPY_BYTES)};
    if (memory.from && memory.to) {
        memset(memory.from, 1, COPY_BYTES);
        prepare(&c, copy_memory, &memory, 1);
        for (int r = 0; r < repeats; r++) time_repeat(&c, r);
        speed = 2.0 * COPY_BYTES / spread_of(c.seconds, repeats).median / 1e9;
    }
    free(memory.from);
    free(memory.to);
    return speed;
}

/* ---- one layer, one direction */

static task *const ours[DIRECTIONS] = {bench_forward, bench_backward_data, bench_backward_weights};

static void theirs(void *argument)
{
    peer_conv_run(argument);
}

typedef struct result {
    spread gflops, peer_gflops, ratio; /* ratio: how many times oneDNN's speed */
    double share;                      /* of the peak */
    int way;                           /* oneDNN's best; -1: it has none */
} result;

/* The way with the smallest median. */
static int best_way(const contender *ways, int repeats)
{
    int best = -1;
    double least = INFINITY;
    for (int w = 0; w < MAX_WAYS; w++) {
        if (!ways[w].run) continue;
        const double now = spread_of(ways[w].seconds, repeats).median;
        if (now < least) {
            least = now;
            best = w;
        }
    }
    return best;
}

static spread rates(const contender *c, double operations, int repeats)
{
    double values[MAX_REPEATS];
    for (int r = 0; r < repeats; r++) values[r] = operations / c->seconds[r] / 1e9;
    return spread_of(values, repeats);
}

static spread ratios(const contender *slow, const contender *fast, double factor, int repeats)
{
    double values[MAX_REPEATS];
    for (int r = 0; r < repeats; r++) values[r] = factor * slow->seconds[r] / fast->seconds[r];
    return spread_of(values, repeats);
}

static result measure(peer *p, bench_conv *conv, direction d, int repeats)
{
    contender we = {0}, peak = {0}, ways[MAX_WAYS] = {{0}};
    peer_conv *convs[MAX_WAYS] = {NULL};
    bench_machine *const m = conv->machine;
    const int threads = cn_pool_threads(m->pool);
    const double operations = bench_operations(&conv->s);
    const double peak_operations = bench_multiply_add_operations(m);
    prepare(&we, ours[d], conv, threads);
    prepare(&peak, bench_multiply_add, m, threads);
    for (int w = 0; w < MAX_WAYS && peer_way(w); w++) {
        convs[w] = peer_conv_open(p, &conv->s, d, w);
        if (convs[w]) prepare(&ways[w], theirs, convs[w], threads);
    }
    for (int r = 0; r < repeats; r++) {
        time_repeat(&peak, r);
        time_repeat(&we, r);
        for (int w = 0; w < MAX_WAYS; w++)
            if (convs[w]) time_repeat(&ways[w], r);
    }
    result found = {.gflops = rates(&we, operations, repeats), .way = best_way(ways, repeats)};
    found.share = ratios(&peak, &we, operations / peak_operations, repeats).median;
    if (found.way >= 0) {
        found.peer_gflops = rates(&ways[found.way], operations, repeats);
        found.ratio = ratios(&ways[found.way], &we, 1, repeats);
    }
    for (int w = 0; w < MAX_WAYS; w++) peer_conv_close(convs[w]);
    return found;
}

/* ---- printing */

static void print_object(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

/* Operations a byte, where each tensor crosses the memory once. */
static double intensity(const cn_conv_problem *s)
{
    const double window = (double)s->fh * s->fw, outputs = (double)s->m * s->oh * s->ow * s->oc;
    const double inputs = (double)s->m * s->h * s->w * s->c;
    const double c = (double)s->c / s->groups;
    return 2 * outputs * window * c / 4 / (inputs + outputs + window * c * s->oc);
}

static void print_result(const options *o, const char *name, const cn_conv_problem *s, direction d,
                         const result *f)
{
    if (o->json) {
        print_object(json_pack("{ss ss ss si si sf s[fff] sf ss s[fff] s[fff]}", "event", "layer",
                               "layer", name, "direction", direction_names[d], "batch", o->batch,
                               "threads", o->threads, "operations_a_byte", intensity(s), "gflops",
                               f->gflops.low, f->gflops.median, f->gflops.high, "share_of_peak",
                               f->share, "way", f->way < 0 ? "none" : peer_way(f->way),
                               "onednn_gflops", f->peer_gflops.low, f->peer_gflops.median,
                               f->peer_gflops.high, "ratio", f->ratio.low, f->ratio.median,
                               f->ratio.high));
    } else {
        printf("%-24s %-16s %7.1f %4.0f %% %5.1f  ", d == FORWARD ? name : "", direction_names[d],
               f->gflops.median, 100 * f->share, f->gflops.median / intensity(s));
        if (f->way < 0)
            puts("oneDNN has none");
        else
            printf("%7.1f  %-10s  %5.2f  %.2f to %.2f\n", f->peer_gflops.median, peer_way(f->way),
                   f->ratio.median, f->ratio.low, f->ratio.high);
    }
    fflush(stdout);
}

static void print_machine(const options *o, bench_machine *m, peer *p)
{
    contender peak;
    prepare(&peak, bench_multiply_add, m, o->threads);
    for (int r = 0; r < o->repeats; r++) time_repeat(&peak, r);
    const double gflops = rates(&peak, bench_multiply_add_operations(m), o->repeats).median;
    if (o->json) {
        print_object(json_pack("{ss ss ss ss si sf sf}", "event", "machine", "convnet",
                               cn_version(), "isa", m->kernels->isa, "onednn", peer_version(p),
                               "threads", o->threads, "peak_gflops", gflops, "memory_gbytes",
                               memory_speed(o->repeats)));
        return;
    }
    printf("convnet %s (%s) and oneDNN %s, %d thread%s, batch %d; peak %.1f GFLOP/s, copies with "
           "%.1f GB/s\n\n"
           "%-24s %-16s %7s %6s %5s  %7s  %-10s  %5s  %s\n",
           cn_version(), m->kernels->isa, peer_version(p), o->threads, o->threads == 1 ? "" : "s",
           o->batch, gflops, memory_speed(o->repeats), "", "", "GFLOP/s", "peak", "GB/s", "oneDNN",
           "", "ratio", "quartiles");
}

/* The geometric means of the ratios. */
static void print_means(const options *o, const double sums[DIRECTIONS], int count)
{
    if (!o->json) printf("\nGeometric mean of %d ratios\n", count);
    for (int d = 0; d < DIRECTIONS; d++) {
        const double mean = exp(sums[d] / count);
        if (o->json)
            print_object(json_pack("{ss ss si si si sf}", "event", "mean", "direction",
                                   direction_names[d], "batch", o->batch, "threads", o->threads,
                                   "layers", count, "ratio", mean));
        else
            printf("  %-16s %5.2f\n", direction_names[d], mean);
    }
}

/* ---- the program */

static int fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    return EXIT_FAILURE;
}

static int bench(const options *o, bench_machine *m, peer *p)
{
    double sums[DIRECTIONS] = {0};
    int count = 0;
    cn_rng rng;
    cn_error err;
    cn_rng_seed(&rng, 1);
    print_machine(o, m, p);
    const bench_layer *entry;
    for (int i = 0; (entry = bench_layer_at(i)) != NULL; i++) {
        const cn_conv_problem s = bench_problem(entry, o->batch);
        bench_conv conv;
        if (o->layer && !strstr(entry->name, o->layer)) continue;
        /* Training packs the weights anew for every batch; whoever runs one image packed them
         * before. */
        if (bench_conv_open(&conv, m, &s, (cn_conv_options){0}, s.m > 1, &rng, &err) != CN_OK)
            return fail(err.text);
        for (int d = 0; d < DIRECTIONS; d++) {
            const result found = measure(p, &conv, (direction)d, o->repeats);
            print_result(o, entry->name, &s, (direction)d, &found);
            sums[d] += log(found.ratio.median);
        }
        bench_conv_close(&conv);
        count++;
    }
    if (count == 0) return fail("no layer of the table has this name");
    print_means(o, sums, count);
    return EXIT_SUCCESS;
}

static const char usage[] =
    "usage: script/bench layers [options]\n"
    "\n"
    "Convolutions of known networks in their three directions by our kernels and by oneDNN, turn\n"
    "by turn: GFLOP/s (two operations a multiply-add of the direct method, padding included), the\n"
    "share of what the processor does with multiply-adds alone, GB/s if every tensor crosses the\n"
    "memory once, oneDNN's best way, and how many times its speed ours is: medians over the\n"
    "repeats, quartiles of the ratio.\n"
    "\n"
    "  --layer TEXT     only the layers whose name contains it\n"
    "  --batch N        images at once (32)\n"
    "  --threads N      of both (1)\n"
    "  --repeats N      of at least 10 ms each (11)\n"
    "  --json           an object a line\n";

static bool read_whole(const char *text, int most, int *value)
{
    char *end;
    const long n = strtol(text, &end, 10);
    if (end == text || *end || n < 1 || n > most) return false;
    *value = (int)n;
    return true;
}

/* False for options that are not there or out of range. */
static bool read_options(options *o, int argc, char **argv)
{
    static const struct option known[] = {
        {"layer", required_argument, NULL, 'l'},   {"batch", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'}, {"repeats", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},          {NULL, 0, NULL, 0}};
    bool good = true;
    for (int c; good && (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'l': o->layer = optarg; break;
        case 'b': good = read_whole(optarg, 4096, &o->batch); break;
        case 't': good = read_whole(optarg, 256, &o->threads); break;
        case 'r': good = read_whole(optarg, MAX_REPEATS, &o->repeats); break;
        case 'j': o->json = true; break;
        default: good = false;
        }
    }
    return good && optind == argc;
}

int main(int argc, char **argv)
{
    options o = {.batch = 32, .threads = 1, .repeats = 11};
    bench_machine m = {.kernels = cn_kernels_get()};
    cn_error err;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (!read_options(&o, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    if (cn_pool_create(&m.pool, o.threads, &err) != CN_OK) return fail(err.text);
    peer *const p = peer_open(o.threads);
    const int status = p ? bench(&o, &m, p) : fail("oneDNN makes no engine for this processor");
    peer_close(p);
    cn_pool_free(m.pool);
    return status;
}

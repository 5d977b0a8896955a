/* bench.c - `convnet bench`: how fast this machine runs single layers and whole networks. */
#include "bench_conv.h"
#include "bench_layers.h"
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEATS = 101 };

typedef struct options {
    cli_common common;
    const char *layer;
    int batch, repeats;
    bool direct;
    int precision;
    cli_shapes shape;
} options;

static const cli_option bench_options[] = {
    {"layer", CLI_TEXT, offsetof(options, layer), "NAME", NULL, 0, 0,
     "only the layers of the table whose name contains this"},
    {"batch-size", CLI_WHOLE, offsetof(options, batch), "N", NULL, 1, 4096,
     "images at once (default: 32 for layers, 64 to train a network, 1 to run it)"},
    {"repeats", CLI_WHOLE, offsetof(options, repeats), "N", "11", 1, MAX_REPEATS,
     "measurements of at least 10 ms each, of which the median counts"},
    {"no-winograd", CLI_FLAG, offsetof(options, direct), NULL, NULL, 0, 0,
     "3 x 3 convolutions by the direct sum, too"},
    {"precision", CLI_CHOICE, offsetof(options, precision), CLI_PRECISIONS, "f32", 0, 0,
     CLI_PRECISION_HELP},
    {"shape", CLI_SHAPE, offsetof(options, shape), CLI_SHAPE_VALUES, NULL, 0, 0, CLI_SHAPE_HELP},
    {.name = NULL},
};

/* ---- timing */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return values[n / 2];
}

/* How often to call so that it takes 10 ms, found after two calls that fetch code and data. */
static int calls_of(void (*call)(void *), void *argument)
{
    const double start = cli_seconds();
    call(argument);
    call(argument);
    return (int)fmin(0.01 / fmax((cli_seconds() - start) / 2, 1e-9), 1e6) + 1;
}

/* The seconds that one call takes. */
static double seconds_of(void (*call)(void *), void *argument, int calls)
{
    const double start = cli_seconds();
    for (int i = 0; i < calls; i++) call(argument);
    return (cli_seconds() - start) / calls;
}

static double median_seconds(void (*call)(void *), void *argument, int repeats)
{
    double seconds[MAX_REPEATS];
    const int calls = calls_of(call, argument);
    for (int r = 0; r < repeats; r++) seconds[r] = seconds_of(call, argument, calls);
    return median(seconds, repeats);
}

/* ---- one layer */

/* Seconds of a call, and its speed as a share of the peak. The peak is measured anew beside every
 * repeat, so that both see the same clock and the same neighbors. */
typedef struct measured {
    double seconds, share;
} measured;

static measured measure(bench_machine *m, void (*call)(void *), void *argument, double operations,
                        int repeats)
{
    double seconds[MAX_REPEATS], share[MAX_REPEATS];
    const double peak = bench_multiply_add_operations(m);
    const int calls = calls_of(call, argument);
    for (int r = 0; r < repeats; r++) {
        seconds[r] = seconds_of(call, argument, calls);
        share[r] = operations / seconds[r] / (peak / seconds_of(bench_multiply_add, m, 4));
    }
    return (measured){median(seconds, repeats), median(share, repeats)};
}

static const struct direction {
    const char *name;
    void (*run)(void *);
} directions[] = {{"forward", bench_forward},
                  {"backward_data", bench_backward_data},
                  {"backward_weights", bench_backward_weights}};
enum { DIRECTIONS = sizeof directions / sizeof *directions };

static void print_layer(const options *o, const char *name, const cn_conv_problem *s,
                        const measured *found)
{
    if (!o->common.json) printf("%-24s", name);
    for (int d = 0; d < DIRECTIONS; d++) {
        const double rate = bench_operations(s) / found[d].seconds / 1e9;
        if (!o->common.json) {
            printf("  %8.1f %3.0f %%", rate, 100 * found[d].share);
            continue;
        }
        json_t *object = json_object();
        cli_put_text(object, "event", "layer");
        cli_put_text(object, "layer", name);
        cli_put_text(object, "direction", directions[d].name);
        cli_put_whole(object, "batch", (size_t)s->m);
        cli_put_number(object, "seconds", found[d].seconds);
        cli_put_number(object, "gflops", rate);
        cli_put_number(object, "share_of_peak", found[d].share);
        cli_print_json(object);
    }
    if (!o->common.json) putchar('\n');
    fflush(stdout);
}

static bool wanted(const options *o, const bench_layer *l)
{
    return !o->layer || strstr(l->name, o->layer);
}

static int bench_layers(const options *o, bench_machine *m)
{
    cn_rng rng;
    cn_error err;
    cn_rng_seed(&rng, (uint32_t)o->common.seed);
    if (!o->common.json)
        printf("%-24s  %14s  %14s  %14s\n", "GFLOP/s, share of peak", "forward", "backward data",
               "weights");
    const bench_layer *l;
    for (int i = 0; (l = bench_layer_at(i)) != NULL; i++) {
        const cn_conv_problem s = bench_problem(l, o->batch);
        const cn_conv_options how = {.no_winograd = o->direct,
                                     .bf16 = o->precision == CN_PRECISION_BF16};
        bench_conv c;
        measured found[DIRECTIONS];
        if (!wanted(o, l)) continue;
        if (bench_conv_open(&c, m, &s, how, true, &rng, &err) != CN_OK)
            return cli_error("bench", "%s: %s", l->name, err.text);
        for (int d = 0; d < DIRECTIONS; d++)
            found[d] = measure(m, directions[d].run, &c, bench_operations(&s), o->repeats);
        bench_conv_close(&c);
        print_layer(o, l->name, &s, found);
    }
    return CLI_DONE;
}

/* ---- a whole network */

typedef struct network_run {
    cn_session *session;
    cn_tensor x, labels;
    cn_error err;
    cn_status status;
} network_run;

static void network_step(void *argument)
{
    network_run *r = argument;
    double loss;
    r->status = cn_session_forward(r->session, &r->x, &r->err);
    if (r->status == CN_OK) r->status = cn_session_loss(r->session, &r->labels, &loss, &r->err);
    if (r->status == CN_OK) r->status = cn_session_backward(r->session, &r->err);
    if (r->status == CN_OK) r->status = cn_session_step(r->session, 1e-6, &r->err);
}

static void network_forward(void *argument)
{
    network_run *r = argument;
    r->status = cn_session_forward(r->session, &r->x, &r->err);
}

/* Measures training steps or forward passes of `batch` images; prints a row. */
static cn_status bench_network(const options *o, cn_model *model, const char *name, bool training,
                               int batch, cn_error *err)
{
    const int *shape = cn_model_input_shape(model);
    const int extents[] = {batch, shape[0], shape[1], shape[2]};
    int rank, labels[] = {batch, 0, 0}; /* one per image, or per pixel */
    const int *out = cn_model_output_shape(model, &rank);
    if (rank == 3) memcpy(labels + 1, out, 2 * sizeof *out);
    network_run r = {.status = CN_OK};
    cn_rng rng;
    cn_session_opts opts = {.batch = batch,
                            .threads = o->common.threads,
                            .training = training,
                            .no_winograd = o->direct,
                            .precision = (cn_precision)o->precision};
    cn_status status = cn_session_create(&r.session, model, &opts, err);
    if (status == CN_OK) status = cn_tensor_create(&r.x, CN_DTYPE_F32, 4, extents, err);
    if (status == CN_OK) status = cn_tensor_create(&r.labels, CN_DTYPE_I32, rank, labels, err);
    if (status == CN_OK) {
        cn_rng_seed(&rng, (uint32_t)o->common.seed);
        status = cn_rng_fill_randn(&rng, &r.x, err);
    }
    if (status == CN_OK) {
        const double seconds =
            median_seconds(training ? network_step : network_forward, &r, o->repeats);
        const char *what = training ? "train" : "run";
        status = r.status;
        if (status != CN_OK) *err = r.err;
        if (status == CN_OK && o->common.json) {
            json_t *object = json_object();
            cli_put_text(object, "event", "network");
            cli_put_text(object, "network", name);
            cli_put_text(object, "what", what);
            cli_put_whole(object, "batch", (size_t)batch);
            cli_put_number(object, "seconds", seconds);
            cli_put_number(object, "images_per_second", batch / seconds);
            cli_print_json(object);
        } else if (status == CN_OK) {
            printf("%-16s  %-5s  batch %4d  %10.3f ms  %12.*f images/s\n", name, what, batch,
                   1e3 * seconds, batch / seconds < 9.95, batch / seconds);
        }
    }
    cn_session_free(r.session);
    cn_tensor_free(&r.x);
    cn_tensor_free(&r.labels);
    return status;
}

static int bench_networks(const options *o, int count, char *const *operands)
{
    for (int i = 0; i < count; i++) {
        cn_model *model = NULL;
        cn_error err;
        cn_status status = cli_open_model(&model, operands[i], &o->shape, 0, o->common.seed, &err);
        if (status == CN_OK)
            status = bench_network(o, model, operands[i], true, o->batch ? o->batch : 64, &err);
        if (status == CN_OK)
            status = bench_network(o, model, operands[i], false, o->batch ? o->batch : 1, &err);
        cn_model_free(model);
        if (status != CN_OK) return cli_error("bench", "%s", err.text);
    }
    return CLI_DONE;
}

/* ---- the subcommand */

static void print_machine(const options *o, bench_machine *m)
{
    const int threads = cn_pool_threads(m->pool);
    const double peak =
        bench_multiply_add_operations(m) / median_seconds(bench_multiply_add, m, o->repeats) / 1e9;
    if (o->common.json) {
        json_t *object = json_object();
        cli_put_text(object, "event", "machine");
        cli_put_text(object, "isa", m->kernels->isa);
        cli_put_whole(object, "threads", (size_t)threads);
        cli_put_number(object, "peak_gflops", peak);
        cli_print_json(object);
    } else {
        printf("%s, %d thread%s: %.1f GFLOP/s of nothing but multiply-adds\n\n", m->kernels->isa,
               threads, threads == 1 ? "" : "s", peak);
    }
}

static int run(const void *given, int count, char *const *operands)
{
    options o = *(const options *)given;
    bench_machine m = {.kernels = cn_kernels_get()};
    cn_error err;
    int named = 0;
    for (int i = 0; bench_layer_at(i); i++) named += wanted(&o, bench_layer_at(i));
    if (named == 0) return cli_error("bench", "no layer of the table is called \"%s\"", o.layer);
    if (o.precision == CN_PRECISION_BF16) m.kernels = cn_kernels_with_bf16(m.kernels);
    if (cn_pool_create(&m.pool, o.common.threads, &err) != CN_OK)
        return cli_error("bench", "%s", err.text);
    print_machine(&o, &m);
    int result;
    if (count > 0) {
        result = bench_networks(&o, count, operands);
    } else {
        if (o.batch == 0) o.batch = 32;
        result = bench_layers(&o, &m);
    }
    cn_pool_free(m.pool);
    return result;
}

const cli_command cli_bench = {
    .name = "bench",
    .summary = "measures the speed of layers and networks on this machine",
    .operands = "[NAME|LAYERS|FILE...]",
    .min_operands = 0,
    .max_operands = 64,
    .help = "Without a network: convolutions of known networks in their three directions, in "
            "GFLOP/s (two operations a multiply-add of the direct method, padding included) and "
            "as a share of what the processor does with multiply-adds alone. With networks: "
            "training steps and forward passes, in milliseconds and images a second. Medians "
            "over the repeats; random data.\n"
            "\n"
            "Examples\n"
            "  convnet bench --threads 1\n"
            "  convnet bench --layer resnet_56_64_3x3 --threads 1 --json\n"
            "  convnet bench lenet5 signs\n",
    .options = bench_options,
    .size = sizeof(options),
    .run = run,
};

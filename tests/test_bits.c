/*
 * test_bits.c - the same seed gives the same bits: with every compiler, C library and number of
 * threads, for one instruction set.
 *
 * Each row of tests/bits.txt is a digest, recorded once, of all that layers or trainings compute,
 * exact to the last bit. A change that means to alter bits records them anew and says why:
 *
 *     build/release/tests/test_bits --record >tests/bits.txt
 *
 * which keeps the rows of instruction sets that this processor lacks.
 */
#include "base/counter.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what is recorded */

typedef struct subject {
    const char *name, *text; /* a text or a name of the zoo */
    int shape[3];
    int steps; /* of training; 0: outputs and gradients of two batches, and outputs alone */
} subject;

#define MIXED                                                                                    \
    "conv 16 3x3 same, batchnorm, relu as a, conv 16 3x3 same groups 4, groupnorm 4, silu, add " \
    "a, "                                                                                        \
    "depthwise 3x3 same stride 2, relu6, conv 24 3x3 pads 2 dilation 2 as b, "                   \
    "convtranspose 16 2x2 stride 2, gelu, dropout 0.1, maxpool 2, concat b, conv 32 1x1, elu, "  \
    "layernorm, avgpool 2, dense 20, tanh, dense classes"

/* The zoo's, with fewer filters and two levels. */
#define UNET                                                                                    \
    "conv 8 3x3 same, relu, conv 8 3x3 same, relu as a, maxpool 2, conv 16 3x3 same, relu, "    \
    "conv 16 3x3 same, relu as b, maxpool 2, conv 32 3x3 same, relu, conv 32 3x3 same, relu, "  \
    "convtranspose 16 2x2 stride 2, concat b, conv 16 3x3 same, relu, conv 16 3x3 same, relu, " \
    "convtranspose 8 2x2 stride 2, concat a, conv 8 3x3 same, relu, conv 8 3x3 same, relu, "    \
    "conv classes 1x1"

static const subject subjects[] = {
    {"conv", "conv 24 3x3 same, relu, conv 7 5x4 stride 2 pads 1", {13, 11, 5}, 0},
    {"conv_1x1", "conv 40 1x1, conv 12 1x1 stride 2, relu6, conv 9 1x1", {12, 9, 16}, 0},
    {"winograd", "conv 48 3x3 same, relu, conv 32 3x3 pads 2x1", {19, 18, 32}, 0},
    {"winograd_small", "conv 160 3x3 same, conv 160 3x3 same", {5, 6, 160}, 0},
    {"dilated", "conv 12 3x3 dilation 2, conv 10 2x3 same dilation 3x2", {15, 14, 6}, 0},
    {"grouped", "conv 24 3x3 same groups 4, conv 12 5x5 groups 2 stride 2 same", {12, 11, 8}, 0},
    {"depthwise",
     "depthwise 3x3, depthwise 5x5 same stride 2, depthwise 3x2 same",
     {22, 19, 48},
     0},
    {"depthwise_odd",
     "depthwise 4x3 depth_multiplier 2, depthwise 3x3 same dilation 2",
     {13, 12, 19},
     0},
    {"transposed", "convtranspose 9 3x3 stride 2 same, convtranspose 8 4x2 pads 1", {7, 6, 12}, 0},
    {"pools", "maxpool 3 stride 2 same, avgpool 2x3 stride 1 pads 1, maxpool 2", {17, 16, 21}, 0},
    {"averages", "adaptiveavgpool 5x4, gap", {17, 13, 19}, 0},
    {"dense", "dense 130, relu, dense 33", {7, 5, 11}, 0},
    {"batch_norm",
     "batchnorm, conv 18 3x3 same, batchnorm, relu, batchnorm no_scale",
     {9, 8, 13},
     0},
    {"layer_norm", "layernorm, conv 20 1x1, layernorm all_axes, groupnorm 5", {9, 8, 13}, 0},
    {"kinks", "relu, leaky_relu, scale 1.5, relu6, hard_swish, hard_sigmoid", {9, 8, 13}, 0},
    {"exponentials", "elu, silu, gelu, gelu approximate, softplus, tanh, sigmoid", {9, 8, 13}, 0},
    {"softmax", "softmax, scale 4, dense 11, softmax, sigmoid", {9, 8, 13}, 0},
    {"shapes", "zeropad 2x1, crop 1, upsample 2 bilinear, upsample 2x3, flatten", {6, 5, 7}, 0},
    {"dropout", "dropout 0.3, conv 8 3x3 same, dropout 0.5", {9, 8, 13}, 0},
    {"branches",
     "conv 12 3x3 same as a, conv 12 3x3 same from input as b, concat a, conv 24 1x1 as c, relu, "
     "conv 24 3x3 same, add c, relu",
     {9, 8, 6},
     0},
    {"mixed_steps", MIXED, {16, 16, 3}, 100},
    {"lenet5_steps", "lenet5", {28, 28, 1}, 100},
    {"signs_steps", "signs", {64, 64, 3}, 100},
    {"resnet20_steps", "resnet20", {32, 32, 3}, 100},
    {"unet_steps", UNET, {16, 20, 3}, 100},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects, BATCH = 3, CLASSES = 6 };

/* Whole networks under a sanitizer take minutes, and show nothing more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#else
enum { SANITIZED = 0 };
#endif

/* ---- digests: FNV-1a of 64 bits */

static uint64_t digest_bytes(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t digest_tensor(uint64_t h, const cn_tensor *t)
{
    return digest_bytes(h, t->data, cn_tensor_count(t) * cn_dtype_size(t->dtype));
}

/* ---- running them */

static void must(cn_status status, const char *what, const cn_error *err)
{
    if (status != CN_OK) fail_msg("%s: %s", what, err->text);
}

/* Examples, and their targets: labels for trainings, numbers for single layers. */
typedef struct batch {
    cn_tensor X, Y;
} batch;

/* Fills the batch that has this number. */
static void fill_batch(batch *b, int number)
{
    float *x = b->X.data;
    for (size_t i = 0; i < cn_tensor_count(&b->X); i++)
        x[i] = (float)cn_counter_normal(7, (uint64_t)number, i);
    for (size_t i = 0; i < cn_tensor_count(&b->Y); i++) {
        const double u = cn_counter_uniform(8, (uint64_t)number, i);
        if (b->Y.dtype == CN_DTYPE_I32)
            ((int32_t *)b->Y.data)[i] = (int32_t)(u * CLASSES);
        else
            ((float *)b->Y.data)[i] = (float)u;
    }
}

static uint64_t run_step(cn_session *s, cn_model *m, const batch *b, double rate, uint64_t h)
{
    cn_error err = {0};
    double loss;
    must(cn_session_forward(s, &b->X, &err), "forward", &err);
    must(cn_session_loss(s, &b->Y, &loss, &err), "loss", &err);
    must(cn_session_backward(s, &err), "backward", &err);
    if (rate > 0) {
        must(cn_session_step(s, rate, &err), "step", &err);
        return h;
    }
    cn_parameter p;
    const cn_tensor y = cn_session_output(s), dx = cn_session_input_gradient(s);
    h = digest_bytes(digest_tensor(digest_tensor(h, &y), &dx), &loss, sizeof loss);
    for (int i = 0; cn_model_parameter(m, i, &p); i++)
        if (cn_session_gradient(s, i, &p)) h = digest_tensor(h, &p.value);
    return h;
}

static uint64_t digest_outputs(cn_model *m, const batch *b, cn_session_opts opts, uint64_t h)
{
    cn_session *s = NULL;
    cn_error err = {0};
    opts.training = opts.input_gradient = false;
    must(cn_session_create(&s, m, &opts, &err), "session", &err);
    must(cn_session_forward(s, &b->X, &err), "forward", &err);
    const cn_tensor y = cn_session_output(s);
    h = digest_tensor(h, &y);
    cn_session_free(s);
    return h;
}

static uint64_t digest_of(const subject *what, cn_precision precision, int threads)
{
    cn_model *m = NULL;
    cn_session *s = NULL;
    cn_error err = {0};
    batch b = {0};
    const bool steps = what->steps > 0;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    cn_session_opts opts = {
        .batch = BATCH,
        .training = true,
        .input_gradient = !steps,
        .precision = precision,
        .threads = threads,
        .seed = 3,
        .loss = {.kind = steps ? CN_LOSS_CROSS_ENTROPY : CN_LOSS_MEAN_SQUARED_ERROR},
        .optimizer = {.kind = CN_OPTIMIZER_ADAM}};
    must(cn_model_parse(&m, what->text, what->shape, CLASSES, 5, &err), what->name, &err);
    must(cn_session_create(&s, m, &opts, &err), what->name, &err);
    const int x_shape[] = {BATCH, what->shape[0], what->shape[1], what->shape[2]};
    must(cn_tensor_create(&b.X, CN_DTYPE_F32, 4, x_shape, &err), "X", &err);
    must(cn_session_forward(s, &b.X, &err), "forward", &err);
    const cn_tensor y = cn_session_output(s);
    must(cn_tensor_create(&b.Y, steps ? CN_DTYPE_I32 : CN_DTYPE_F32, steps ? y.rank - 1 : y.rank,
                          y.shape, &err),
         "Y", &err);
    const int batches = steps ? what->steps : 2;
    for (int i = 0; i < batches; i++) {
        fill_batch(&b, i);
        h = run_step(s, m, &b, steps ? 1e-3 : 0, h);
    }
    cn_parameter p;
    for (int i = 0; cn_model_parameter(m, i, &p); i++) h = digest_tensor(h, &p.value);
    h = digest_outputs(m, &b, opts, h);
    cn_session_free(s);
    cn_model_free(m);
    cn_tensor_free(&b.X);
    cn_tensor_free(&b.Y);
    return h;
}

/* ---- the records */

/* The instruction sets that are walked through. Where the portable kernels have fused
 * multiply-adds, their bits are others. */
static const char *const isas[] = {"scalar", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof *isas };

static const char *record_isa(const char *isa)
{
#ifdef __aarch64__
    (void)isa;
    return "aarch64";
#else
    return isa;
#endif
}

static const char *const precisions[] = {"f32", "bf16"};

typedef struct records {
    char *text;
} records;

static void read_records(records *r)
{
    FILE *file = fopen(TEST_SOURCE_DIR "/tests/bits.txt", "rb");
    enum { MOST = 1 << 20 };
    r->text = calloc(MOST, 1);
    if (file && r->text && fread(r->text, 1, MOST - 1, file) == MOST - 1) abort();
    if (file) fclose(file);
}

/* The row "isa precision name", digest included, or NULL. */
static const char *find_record(const records *r, const char *key)
{
    const size_t length = strlen(key);
    for (const char *row = r->text; row && *row; row = strchr(row, '\n'), row += row != NULL)
        if (strncmp(row, key, length) == 0 && row[length] == ' ') return row;
    return NULL;
}

enum { KEY = 80 };

static void make_key(char key[KEY], const char *isa, int precision, const subject *what)
{
    snprintf(key, KEY, "%s %s %s", record_isa(isa), precisions[precision], what->name);
}

static bool runs_here(const char *isa, int precision)
{
    const cn_kernels *k = cn_kernels_named(isa);
    return k && (precision == CN_PRECISION_F32 || cn_kernels_with_bf16(k) == k);
}

static void check_isa(const records *r, const char *isa, int precision, int *missing)
{
    for (int i = 0; i < SUBJECTS; i++) {
        char key[KEY], found[32];
        if (SANITIZED && subjects[i].steps > 0) continue;
        make_key(key, isa, precision, &subjects[i]);
        const char *row = find_record(r, key);
        if (!row) {
            printf("test_bits: %s: not recorded\n", key);
            (*missing)++;
            continue;
        }
        for (int threads = 1; threads <= (subjects[i].steps > 0 ? 1 : 3); threads += 2) {
            const uint64_t h = digest_of(&subjects[i], (cn_precision)precision,
                                         subjects[i].steps > 0 ? 2 : threads);
            snprintf(found, sizeof found, " %016" PRIx64, h);
            if (strncmp(row + strlen(key), found, strlen(found)) != 0)
                fail_msg("%s:%s found, tests/bits.txt has%.17s", key, found, row + strlen(key));
        }
    }
}

static void bits_are_those_recorded(void **state)
{
    records r;
    int missing = 0;
    (void)state;
    read_records(&r);
    for (int i = 0; i < ISAS; i++) {
        setenv("CONVNET_ISA", isas[i], 1);
        for (int precision = 0; precision < 2; precision++)
            if (runs_here(isas[i], precision))
                check_isa(&r, isas[i], precision, &missing);
            else
                printf("test_bits: %s %s: this processor has none\n", isas[i],
                       precisions[precision]);
    }
    free(r.text);
    if (missing > 0) skip();
}

/* Prints all rows: new ones where they can be computed here, else those that were. */
static int record(void)
{
    records r;
    read_records(&r);
    for (int i = 0; i < ISAS; i++) {
        setenv("CONVNET_ISA", isas[i], 1);
        for (int precision = 0; precision < 2; precision++)
            for (int j = 0; j < SUBJECTS; j++) {
                char key[KEY];
                make_key(key, isas[i], precision, &subjects[j]);
                const char *row = find_record(&r, key);
                if (runs_here(isas[i], precision))
                    printf("%s %016" PRIx64 "\n", key,
                           digest_of(&subjects[j], (cn_precision)precision, 2));
                else if (row)
                    printf("%.*s\n", (int)strcspn(row, "\n"), row);
            }
    }
    free(r.text);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_are_those_recorded)};
    if (argc > 1 && strcmp(argv[1], "--record") == 0) return record();
    return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}

/*
 * test_allocation.c - memory that runs out, at every allocation of every call that makes any.
 *
 * Each scenario runs with its first allocation failing, then its second, and so on until it
 * succeeds; once with all later ones failing, too, and once with that one alone, which shows
 * whether somebody goes on without what it did not get. Each time the call has to say
 * CN_ERR_MEMORY, leave its outputs as they were, and give back all that it took.
 *
 * The linker sends the library's calls through the functions below (tests/CMakeLists.txt); Jansson
 * and zlib are given them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convnet.h"
#include "files.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <zlib.h>

/* ---- a heap that fails when it is told to */

static struct {
    int until; /* the allocations that succeed before one fails; negative: none fails */
    bool once; /* only that one fails */
    bool failed;
    bool json; /* Jansson reads, which may take missing memory for a mistake in the text */
    int live;  /* blocks that were not given back */
} heap = {.until = -1};

static bool fails(void)
{
    if (heap.until < 0) return false;
    if (heap.until > 0) {
        heap.until--;
        return false;
    }
    if (heap.once) heap.until = -1;
    return heap.failed = true;
}

static void *count(void *block)
{
    heap.live += block != NULL;
    return block;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : count(__real_aligned_alloc(alignment, size));
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count(__real_malloc(size));
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    heap.live -= block != NULL;
    __real_free(block);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    return fails() ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

static void *zlib_allocate(void *user, unsigned items, unsigned size)
{
    (void)user;
    return __wrap_malloc((size_t)items * size);
}

static void zlib_free(void *user, void *block)
{
    (void)user;
    __wrap_free(block);
}

int __real_inflateInit2_(z_stream *z, int bits, const char *version, int size);
int __wrap_inflateInit2_(z_stream *z, int bits, const char *version, int size);
int __wrap_inflateInit2_(z_stream *z, int bits, const char *version, int size)
{
    z->zalloc = zlib_allocate;
    z->zfree = zlib_free;
    return __real_inflateInit2_(z, bits, version, size);
}

/* ---- what the scenarios work on, made while memory is plenty */

static struct {
    char folder[FILES_PATH], model_file[FILES_PATH], image_file[FILES_PATH];
    cn_dataset *digits, *few;
    cn_model *model;
    cn_session *session;
} given;

static const char layers[] = "conv 2 3x3 same, relu, maxpool 2, avgpool 2, dense 8, tanh, dense 10";

static int prepare(void **state)
{
    (void)state;
    static const float mean = 0.3f, std = 0.4f;
    static const char image[] = "P2 3 3 9  1 2 3  4 5 6  7 8 9\n";
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    files_make_folder(given.folder);
    files_join(given.model_file, given.folder, "model.safetensors");
    files_write(files_join(given.image_file, given.folder, "image.pgm"), image, sizeof image - 1);
    assert_int_equal(cn_dataset_load(&given.digits, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&given.few, given.digits, 0, 20, NULL), CN_OK);
    assert_int_equal(cn_model_parse(&given.model, layers, (int[]){8, 8, 1}, 10, 1, NULL), CN_OK);
    assert_int_equal(cn_model_set_normalization(given.model, &mean, &std, NULL), CN_OK);
    assert_int_equal(
        cn_session_create(&given.session, given.model, &(cn_session_opts){.threads = 1}, NULL),
        CN_OK);
    assert_int_equal(cn_model_save(given.model, given.model_file, NULL), CN_OK);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    cn_session_free(given.session);
    cn_model_free(given.model);
    cn_dataset_free(given.few);
    cn_dataset_free(given.digits);
    files_remove_folder(given.folder);
    assert_int_equal(heap.live, 0);
    return 0;
}

/* ---- the scenarios: calls that check their outputs, and free them */

typedef cn_status scenario(cn_error *err);

static cn_status parse(cn_error *err)
{
    cn_model *model = NULL;
    cn_status status = cn_model_parse(&model, layers, (int[]){8, 8, 1}, 10, 1, err);
    assert_true((model != NULL) == (status == CN_OK));
    cn_model_free(model);
    return status;
}

/* More layers than a new model has room for, and what a model carries beside them. */
static cn_status build(cn_error *err)
{
    static const char *const names[] = {"no", "yes"};
    static const float mean = 0.1f, std = 0.2f;
    cn_model *model = NULL;
    cn_status status = cn_model_create(&model, (int[]){4, 4, 1}, err);
    if (status != CN_OK) {
        assert_null(model);
        return status;
    }
    cn_node x = cn_input(model);
    for (int i = 0; i < 20; i++) x = cn_relu(model, x);
    x = cn_dense(model, x, &(cn_dense_opts){.units = 2});
    status = cn_model_finish(model, x, 1, err);
    if (status == CN_OK) status = cn_model_set_classes(model, 2, names, err);
    if (status == CN_OK) status = cn_model_set_normalization(model, &mean, &std, err);
    cn_model_free(model);
    return status;
}

static cn_status load_digits(cn_error *err)
{
    cn_dataset *data = NULL;
    cn_status status = cn_dataset_load(&data, "digits", CN_SUBSET_TRAIN, NULL, err);
    assert_true((data != NULL) == (status == CN_OK));
    cn_dataset_free(data);
    return status;
}

static cn_status hold_out(cn_error *err)
{
    cn_dataset *kept = NULL, *held = NULL;
    cn_status status = cn_dataset_hold_out(&kept, &held, given.few, 0.25, err);
    assert_true((kept != NULL) == (status == CN_OK));
    assert_true((held != NULL) == (status == CN_OK));
    cn_dataset_free(kept);
    cn_dataset_free(held);
    return status;
}

static cn_status create_session(cn_error *err)
{
    cn_session *session = NULL;
    cn_session_opts opts = {.batch = 3, .threads = 3, .training = true, .input_gradient = true};
    cn_status status = cn_session_create(&session, given.model, &opts, err);
    assert_true((session != NULL) == (status == CN_OK));
    cn_session_free(session);
    return status;
}

static cn_status create_reference(cn_error *err)
{
    cn_session *session = NULL;
    cn_session_opts opts = {.batch = 3, .training = true, .backend = "reference"};
    cn_status status = cn_session_create(&session, given.model, &opts, err);
    assert_true((session != NULL) == (status == CN_OK));
    cn_session_free(session);
    return status;
}

static cn_status plan_memory(cn_error *err)
{
    cn_memory memory = {.total = 77};
    cn_status status =
        cn_session_memory(given.model, &(cn_session_opts){.training = true}, &memory, err);
    assert_true((memory.total == 77) == (status != CN_OK));
    return status;
}

/* Starts from the same weights each time; a training that fails has not changed them. */
static cn_status fit(cn_error *err)
{
    cn_model *model = NULL;
    cn_parameter weight;
    cn_progress last = {.epoch = 77};
    cn_fit_opts opts = {.batch = 10, .threads = 2, .valid = given.few};
    int until = heap.until;
    heap.until = -1;
    assert_int_equal(cn_model_load(&model, given.model_file, NULL), CN_OK);
    assert_true(cn_model_parameter(model, 0, &weight));
    float before = *(const float *)weight.value.data;
    heap.until = until;

    cn_status status = cn_fit(model, given.few, &opts, &last, err);
    assert_true((last.epoch == 77) == (status != CN_OK));
    assert_true((*(const float *)weight.value.data == before) == (status != CN_OK));
    cn_model_free(model);
    return status;
}

/* Shards side by side. */
static cn_status fit_together(cn_error *err)
{
    cn_model *model = NULL;
    const cn_fit_opts opts = {.batch = 10, .threads = 1, .shards = 2, .sync_batch_norm = true};
    cn_status status = cn_model_parse(&model, "batchnorm, dense 10", (int[]){8, 8, 1}, 10, 1, err);
    if (status == CN_OK) status = cn_fit(model, given.few, &opts, NULL, err);
    cn_model_free(model);
    return status;
}

/* A checkpoint that finds no memory is reported, and the training goes on. */
static void remember(const cn_error *result, void *user)
{
    *(cn_error *)user = *result;
}

static cn_status checkpoint(cn_error *err)
{
    char path[FILES_PATH];
    cn_model *model = NULL;
    cn_error written = {CN_OK, ""};
    cn_fit_opts opts = {.batch = 10,
                        .threads = 1,
                        .checkpoint.path = files_join(path, given.folder, "checkpoint"),
                        .checkpoint.written = remember,
                        .user = &written};
    cn_status status =
        cn_model_parse(&model, "dense 10", (int[]){8, 8, 1}, 10, 1, err); /* few allocations */
    if (status == CN_OK) status = cn_fit(model, given.few, &opts, NULL, err);
    cn_model_free(model);
    if (status == CN_OK && written.status != CN_OK) *err = written;
    remove(path);
    return status == CN_OK ? written.status : status;
}

static cn_status evaluate(cn_error *err)
{
    int64_t confusion[100] = {77};
    cn_metrics metrics = {.count = 77};
    cn_status status = cn_evaluate(given.model, given.few, &(cn_evaluate_opts){.threads = 2},
                                   &metrics, confusion, err);
    assert_true((metrics.count == 77) == (status != CN_OK));
    assert_true((confusion[0] == 77) == (status != CN_OK));
    return status;
}

static cn_status predict(cn_error *err)
{
    static float x[2 * 64];
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){2, 8, 8, 1}, x), Y = {0};
    cn_status status = cn_session_predict(given.session, &X, &Y, err);
    assert_true((Y.data != NULL) == (status == CN_OK));
    cn_tensor_free(&Y);
    return status;
}

/* A failed save leaves the old file, and nothing else. */
static cn_status save(cn_error *err)
{
    char path[FILES_PATH];
    int until = heap.until;
    heap.until = -1;
    files_write(files_join(path, given.folder, "saved.safetensors"), "old", 3);
    heap.until = until;

    cn_status status = cn_model_save(given.model, path, err);
    heap.until = -1;
    size_t size, expected;
    uint8_t *saved = files_read(path, &size), *right = files_read(given.model_file, &expected);
    if (status == CN_OK) {
        assert_int_equal(size, expected);
        assert_memory_equal(saved, right, size);
    } else {
        assert_int_equal(size, 3);
    }
    assert_int_equal(files_count(given.folder), 3);
    free(saved);
    free(right);
    return status;
}

static cn_status load(cn_error *err)
{
    cn_model *model = NULL;
    heap.json = true;
    cn_status status = cn_model_load(&model, given.model_file, err);
    assert_true((model != NULL) == (status == CN_OK));
    cn_model_free(model);
    return status;
}

static cn_status load_image(cn_error *err)
{
    cn_tensor image = {0}, fitted = {0};
    cn_status status = cn_image_load(&image, given.image_file, err);
    assert_true((image.data != NULL) == (status == CN_OK));
    if (status == CN_OK) {
        status = cn_image_fit(&image, (int[]){8, 8, 1}, NULL, &fitted, err);
        assert_true((fitted.data != NULL) == (status == CN_OK));
    }
    cn_tensor_free(&image);
    cn_tensor_free(&fitted);
    return status;
}

static cn_status check_gradients(cn_error *err)
{
    cn_gradcheck_row worst = {.checked = 77};
    cn_status status = cn_gradcheck(given.model, &(cn_gradcheck_opts){.samples = 1}, &worst, err);
    assert_true((worst.checked == 77) == (status != CN_OK));
    return status;
}

/* ---- the runner */

static void run_out_of_memory(scenario *call, bool once)
{
    enum { PATIENCE = 20000 };
    for (int n = 0; n < PATIENCE; n++) {
        cn_error err = {CN_OK, ""};
        int live = heap.live;
        heap.once = once;
        heap.failed = heap.json = false;
        heap.until = n;
        cn_status status = call(&err);
        heap.until = -1;
        if (heap.live != live)
            fail_msg("allocation %d: %d blocks not given back", n, heap.live - live);
        if (status == CN_OK && !heap.failed && n > 0) return;
        bool told = status == CN_ERR_MEMORY || (heap.json && status == CN_ERR_FORMAT);
        if (!told || err.status != status || !err.text[0])
            fail_msg("allocation %d: status %d, error \"%s\"", n, (int)status, err.text);
    }
    fail_msg("more than %d allocations", PATIENCE);
}

static void try(scenario *call)
{
    run_out_of_memory(call, false);
    /* A single failure makes Jansson's lexer read past the end of a string (src/base/json.c). */
    if (call != load) run_out_of_memory(call, true);
}

/* clang-format off */
#define SCENARIOS(X)                                                        \
    X(parse) X(build) X(load_digits) X(hold_out) X(create_session)          \
    X(create_reference) X(plan_memory) X(fit) X(fit_together) X(checkpoint) X(evaluate) X(predict) X(save) X(load)            \
    X(load_image) X(check_gradients)
/* clang-format on */

#define TEST(name)                        \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        try(name);                        \
    }
SCENARIOS(TEST)

int main(void)
{
#define ENTRY(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {SCENARIOS(ENTRY)};
    return cmocka_run_group_tests(tests, prepare, clean_up);
}

/* The batches of a training: the same in line, in the background, resumed, and after a fork. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "train/loader.h"
#include "train/train.h"

enum { N = 23, SIDE = 5, EACH = SIDE * SIDE, BATCH = 4, STEPS = 6, EPOCHS = 3 };
static const float mean[1] = {0.5f}, std[1] = {0.25f};

/* Image i has the label i; its pixels tell it, too. */
static cn_dataset *numbered(void)
{
    uint8_t pixels[N * EACH];
    int32_t labels[N];
    cn_dataset *data = NULL;
    for (int i = 0; i < N * EACH; i++) pixels[i] = (uint8_t)(i * 37 % 251);
    for (int i = 0; i < N; i++) labels[i] = i;
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){N, SIDE, SIDE, 1}, pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, N, NULL), CN_OK);
    return data;
}

static cn_loader_opts options(const cn_dataset *data, bool background, float *x)
{
    return (cn_loader_opts){
        .data = data,
        .augment = {.crop = 2, .flip = CN_FLIP_RANDOM, .cutout = 1, .mixup = 0.3},
        .mean = mean,
        .std = std,
        .outputs = N,
        .batch = BATCH,
        .epochs = EPOCHS,
        .seed = 4,
        .background = background,
        .x = background ? NULL : x};
}

/* Batch by batch what the head comments promise: order, then augmentation. */
static void expect(const cn_dataset *data, const cn_batch *b, int epoch, int step)
{
    int order[N], first = (step - 1) * BATCH;
    float x[BATCH * EACH];
    float targets[BATCH * N];
    int32_t labels[BATCH];
    cn_augmenter a;
    cn_loader_opts o = options(data, false, NULL);
    assert_int_equal(b->epoch, epoch);
    assert_int_equal(b->step, step);
    assert_int_equal(b->m, step == STEPS ? N - (STEPS - 1) * BATCH : BATCH);
    cn_order_shuffle(o.seed, epoch, N, order);
    assert_int_equal(cn_augmenter_create(&a, data, &o.augment, o.seed, mean, std, N, NULL), CN_OK);
    cn_augmenter_run(&a, epoch, order + first, b->m, x, labels, targets, NULL);
    assert_memory_equal(b->x, x, (size_t)b->m * EACH * sizeof *x);
    assert_memory_equal(b->targets, targets, (size_t)b->m * N * sizeof *targets);
    assert_memory_equal(b->labels, labels, (size_t)b->m * sizeof *labels);
    assert_memory_equal(labels, order + first, (size_t)b->m * sizeof *labels);
    cn_augmenter_free(&a);
}

/* From a batch to the end; a trainer that is at times slower than the maker. */
static const cn_batch *next(cn_loader *loader)
{
    const cn_batch *batch = NULL;
    assert_int_equal(cn_loader_next(loader, &batch, NULL), CN_OK);
    return batch;
}

/* Waits until the maker has made what is asked for next, and has nothing left to do. */
static void let_it_make(cn_loader *loader)
{
    while (!cn_loader_is_ahead(loader)) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void walk(cn_loader *loader, const cn_dataset *data, int epoch, int step)
{
    while (epoch <= EPOCHS) {
        if (step % 3 == 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        expect(data, next(loader), epoch, step);
        epoch += step == STEPS;
        step = step % STEPS + 1;
    }
}

static void batches_are_the_same_in_the_background(void **state)
{
    static const int from[][2] = {{1, 1}, {1, 2}, {2, 6}, {3, 6}};
    float x[BATCH * EACH];
    cn_dataset *data = numbered();
    (void)state;
    for (int background = 0; background < 2; background++)
        for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
            cn_loader *loader = NULL;
            cn_loader_opts opts = options(data, background, x);
            assert_int_equal(cn_loader_create(&loader, &opts, NULL), CN_OK);
            assert_int_equal(cn_loader_steps(loader), STEPS);
            cn_loader_start(loader, (from[i][0] - 1) * STEPS + from[i][1] - 1);
            walk(loader, data, from[i][0], from[i][1]);
            cn_loader_free(loader);
        }
    cn_dataset_free(data);
}

static void a_batch_stays_until_the_next_is_asked_for(void **state)
{
    cn_dataset *data = numbered();
    cn_loader *loader = NULL;
    cn_loader_opts opts = options(data, true, NULL);
    (void)state;
    assert_int_equal(cn_loader_create(&loader, &opts, NULL), CN_OK);
    cn_loader_start(loader, 0);
    for (int step = 1; step <= STEPS; step++) {
        const cn_batch *b = next(loader);
        let_it_make(loader);
        expect(data, b, 1, step);
    }
    cn_loader_free(loader);
    cn_dataset_free(data);
}

static void it_may_end_at_any_time(void **state)
{
    cn_dataset *data = numbered();
    (void)state;
    for (int taken = -1; taken < 8; taken++) {
        cn_loader *loader = NULL;
        cn_loader_opts opts = options(data, true, NULL);
        assert_int_equal(cn_loader_create(&loader, &opts, NULL), CN_OK);
        if (taken >= 0) cn_loader_start(loader, 0);
        for (int i = 0; i < taken; i++) next(loader);
        cn_loader_free(loader);
    }
    cn_loader_free(NULL);
    cn_dataset_free(data);
}

static void images_may_keep_their_order(void **state)
{
    float x[BATCH * EACH];
    cn_dataset *data = numbered();
    cn_loader *loader = NULL;
    cn_loader_opts opts = options(data, false, x);
    (void)state;
    opts.no_shuffle = true;
    assert_int_equal(cn_loader_create(&loader, &opts, NULL), CN_OK);
    cn_loader_start(loader, STEPS);
    for (int step = 1; step <= STEPS; step++) {
        const cn_batch *b = next(loader);
        assert_ptr_equal(b->x, x);
        for (int i = 0; i < b->m; i++) assert_int_equal(b->labels[i], (step - 1) * BATCH + i);
    }
    cn_loader_free(loader);
    cn_dataset_free(data);
}

/* The child of a fork has no maker; it makes its batches itself. */
static void a_child_goes_on_alone(void **state)
{
    int status = -1;
    cn_dataset *data = numbered();
    cn_loader *loader = NULL;
    cn_loader_opts opts = options(data, true, NULL);
    (void)state;
    assert_int_equal(cn_loader_create(&loader, &opts, NULL), CN_OK);
    cn_loader_start(loader, 0);
    expect(data, next(loader), 1, 1);
    /* A maker amid its work may hold a lock of AddressSanitizer's allocator, which would stay locked
     * in the child. */
    let_it_make(loader);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(600); /* a hang becomes a failure */
        walk(loader, data, 1, 2);
        cn_loader_free(loader);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    walk(loader, data, 1, 2);
    cn_loader_free(loader);
    cn_dataset_free(data);
}

static void a_wrong_augmentation_starts_nothing(void **state)
{
    cn_error err;
    cn_dataset *data = numbered();
    cn_loader *loader = NULL;
    cn_loader_opts opts = options(data, true, NULL);
    (void)state;
    opts.augment.crop = SIDE;
    assert_int_equal(cn_loader_create(&loader, &opts, &err), CN_ERR_ARGUMENT);
    assert_null(loader);
    cn_dataset_free(data);
}

/* ---- waiting */

/* A batch that is made while the one before it is worked on costs the training nothing. */
static void a_training_slower_than_the_loader_does_not_wait(void **state)
{
    (void)state;
    cn_dataset *data = numbered();
    cn_loader *loader = NULL;
    const cn_batch *batch;
    cn_loader_opts o = options(data, true, NULL);
    assert_int_equal(cn_loader_create(&loader, &o, NULL), CN_OK);
    cn_loader_start(loader, 0);
    assert_true(cn_loader_waited(loader) == 0);
    assert_int_equal(cn_loader_next(loader, &batch, NULL), CN_OK); /* for which it has to */
    double first = cn_loader_waited(loader);
    for (int i = 1; i < STEPS; i++) {
        let_it_make(loader);
        assert_int_equal(cn_loader_next(loader, &batch, NULL), CN_OK);
    }
    assert_true(cn_loader_waited(loader) == first);
    cn_loader_free(loader);
    cn_dataset_free(data);
}

/* The seconds that a training waits that asks for each batch as soon as it has the one before. */
static double waited_in_haste(const cn_dataset *data)
{
    cn_loader *loader = NULL;
    cn_loader_opts o = options(data, true, NULL);
    assert_int_equal(cn_loader_create(&loader, &o, NULL), CN_OK);
    cn_loader_start(loader, 0);
    for (int i = 0; i < STEPS * EPOCHS; i++) next(loader);
    double waited = cn_loader_waited(loader);
    cn_loader_free(loader);
    return waited;
}

/* It waits for almost all of the time that making them takes; but for none of it where the system
 * has always just let the maker run, so there are many trials. */
static void a_training_faster_than_the_loader_waits(void **state)
{
    (void)state;
    cn_dataset *data = numbered();
    cn_loader *loader = NULL;
    const cn_batch *batch;
    double waited = 0;
    for (int trial = 0; trial < 1000 && !(waited > 0); trial++) waited = waited_in_haste(data);
    assert_true(waited > 0);
    cn_loader_opts o = options(data, false, (float[BATCH * EACH]){0});
    assert_int_equal(cn_loader_create(&loader, &o, NULL), CN_OK);
    cn_loader_start(loader, 0);
    assert_int_equal(cn_loader_next(loader, &batch, NULL), CN_OK);
    assert_true(cn_loader_waited(loader) == 0);
    cn_loader_free(loader);
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_the_same_in_the_background),
        cmocka_unit_test(a_batch_stays_until_the_next_is_asked_for),
        cmocka_unit_test(it_may_end_at_any_time),
        cmocka_unit_test(images_may_keep_their_order),
        cmocka_unit_test(a_child_goes_on_alone),
        cmocka_unit_test(a_wrong_augmentation_starts_nothing),
        cmocka_unit_test(a_training_slower_than_the_loader_does_not_wait),
        cmocka_unit_test(a_training_faster_than_the_loader_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

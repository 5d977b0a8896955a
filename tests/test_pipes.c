/* test_pipes.c - what is no plain file: named pipes are refused, and pipes that are given open are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convnet.h"
#include "folder.h"
#include "formats/model_file.h"

#include <signal.h>

static const char image[] = "P2 2 2 255 0 50 100 150";

static char *make_pipe(char path[FILES_PATH], const char *name)
{
    assert_int_equal(mkfifo(files_join(path, folder, name), 0600), 0);
    return path;
}

static void expect_refusal(const char *what, cn_status status, const cn_error *err)
{
    if (status != CN_ERR_IO || !strstr(err->text, "expected a file, found a named pipe"))
        fail_msg("%s: status %d: %s", what, (int)status, err->text);
}

/* Nobody writes to them: a reader that opened one would wait forever, until the alarm rings. */
static void named_pipes_are_refused_at_once(void **state)
{
    static const char *const kinds[] = {"hdf5", "npz", "npy", "csv"};
    char path[FILES_PATH], spec[FILES_PATH + 8];
    (void)state;
    make_pipe(path, "pipe");
    cn_tensor X = {0};
    cn_model *model = NULL;
    cn_dataset *data = NULL;
    cn_error err;
    expect_refusal("image", cn_image_load(&X, path, &err), &err);
    expect_refusal("model", cn_model_load(&model, path, &err), &err);
    expect_refusal("shapes", cn_model_load_shapes(&model, path, NULL, 0, &err), &err);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
#ifndef CONVNET_HAVE_HDF5
        if (i == 0) continue; /* what is missing is said before any file is looked at */
#endif
        snprintf(spec, sizeof spec, "%s:%s", kinds[i], path);
        expect_refusal(spec, cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err), &err);
    }
    assert_null(model);
    assert_null(data);
    assert_int_equal(remove(path), 0);
}

/* A pipe among the images of a folder is named, and left out where damaged files are. */
static void a_named_pipe_in_a_set_is_named(void **state)
{
    static const char *const names[] = {"b/pipe.tif", "b/2.pgm", "a/1.pgm", "a/2.pgm"};
    char path[FILES_PATH];
    (void)state;
    assert_int_equal(mkdir(files_join(path, folder, "a"), 0700), 0);
    assert_int_equal(mkdir(files_join(path, folder, "b"), 0700), 0);
    make_pipe(path, names[0]);
    for (int i = 1; i < 4; i++)
        files_write(files_join(path, folder, names[i]), image, sizeof image - 1);
    cn_dataset *data = NULL;
    cn_error err;
    expect_refusal("folder", cn_dataset_load(&data, folder, CN_SUBSET_ALL, NULL, &err), &err);
    assert_non_null(strstr(err.text, "b/pipe.tif"));
    const cn_dataset_opts skip = {.skip_damaged = true};
    assert_int_equal(cn_dataset_load(&data, folder, CN_SUBSET_ALL, &skip, &err), CN_OK);
    assert_int_equal(cn_dataset_size(data), 3);
    cn_dataset_free(data);
    for (int i = 0; i < 4; i++) assert_int_equal(remove(files_join(path, folder, names[i])), 0);
    assert_int_equal(rmdir(files_join(path, folder, "a")), 0);
    assert_int_equal(rmdir(files_join(path, folder, "b")), 0);
}

/* As /dev/stdin is, and the /dev/fd/63 that a shell makes of <(...). */
static void a_pipe_given_open_is_read(void **state)
{
    char path[FILES_PATH];
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], image, sizeof image - 1), sizeof image - 1);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    cn_tensor X = {0};
    cn_error err;
    if (cn_image_load(&X, path, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(((const uint8_t *)X.data)[3], 150);
    cn_tensor_free(&X);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(named_pipes_are_refused_at_once),
        cmocka_unit_test(a_named_pipe_in_a_set_is_named),
        cmocka_unit_test(a_pipe_given_open_is_read),
    };
    alarm(600);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

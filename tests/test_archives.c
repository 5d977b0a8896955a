/* NPZ: archives of arrays, stored and deflated, and what is wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "array_files.h"
#include "formats/hdf5_weights.h"
#include "formats/zip.h"

static void archives_hold_both_splits(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "mnist.npz");
    for (int form = 0; form < 8; form++) {
        bool pack = form & 1, wide = form & 2, zip64 = form & 4;
        const member members[] = {{"x_test.npy", make_images(4, 50), pack, wide},
                                  {"notes.txt", make_labels(1), false, false},
                                  {"y_test.npy", make_labels(4), !pack, wide},
                                  {"x_train.npy", make_images(7, 10), pack, !wide},
                                  {"y_train.npy", make_labels(7), pack, wide}};
        bytes b = make_zip(members, 5, zip64);
        files_write(path, b.at, b.size);
        check("npz:", path, CN_SUBSET_TRAIN, 7, 10);
        check("npz:", path, CN_SUBSET_TEST, 4, 50);
        check("", folder, CN_SUBSET_TRAIN, 7, 10);
    }
    files_remove_folder(folder);
}

/* Without a word of testing, every fifth image is for that: number 4 is the first. */
static void other_names_will_do(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    const member members[] = {{"arr_0.npy", make_images(10, 0), true, true},
                              {"arr_1.npy", make_labels(10), true, true}};
    bytes b = make_zip(members, 2, false);
    files_write(files_join(path, folder, "all.npz"), b.at, b.size);
    check("npz:", path, CN_SUBSET_TRAIN, 8, 0);
    check("npz:", path, CN_SUBSET_TEST, 2, 24);
    /* What a file says by its name. */
    files_write(files_join(path, folder, "test_all.npz"), b.at, b.size);
    const member more[] = {{"images.npy", make_images(6, 100), true, true},
                           {"labels.npy", make_labels(6), true, true}};
    b = make_zip(more, 2, false);
    files_write(files_join(path, folder, "train_all.npz"), b.at, b.size);
    check("npz:", path, CN_SUBSET_TRAIN, 6, 100);
    check("npz:", path, CN_SUBSET_TEST, 10, 0);
    check("npz:", folder, CN_SUBSET_TEST, 10, 0);
    files_remove_folder(folder);
}

static void damaged_archives_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    for (int form = 0; form < 2; form++) {
        const member members[] = {{"x.npy", make_images(10, 0), form, form},
                                  {"y.npy", make_labels(10), form, form}};
        bytes b = make_zip(members, 2, form);
        for (size_t size = 0; size < b.size; size++) {
            remove(path); /* some file systems wait for the disk where a file is overwritten */
            files_write(path, b.at, size);
            expect_failure("npz:", path, CN_ERR_FORMAT, "a.npz");
        }
        /* No flipped bit is trusted: either nothing changes, or an error says so. */
        for (size_t bit = 0; bit < 8 * b.size; bit++) {
            cn_dataset *data = NULL;
            bytes bad = b;
            bad.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
            remove(path);
            files_write(path, bad.at, bad.size);
            cn_error err = {CN_OK, ""};
            if (load(&data, "npz:", path, CN_SUBSET_TRAIN, &err) != CN_OK) {
                assert_says(err, "a.npz");
                continue;
            }
            cn_dataset_free(data);
            check("npz:", path, CN_SUBSET_TRAIN, 8, 0);
        }
    }
    files_remove_folder(folder);
}

static void lying_archives_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "a.npz");
    member members[] = {{"x.npy", make_images(10, 0), false, false},
                        {"y.npy", make_labels(10), false, false}};
    bytes good = make_zip(members, 2, false), b = good;
    size_t row = 0;
    while (memcmp(b.at + row, "PK\1\2", 4) != 0) row++;
    b.at[row + 8] = 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "1 of other kinds");
    b = good;
    b.at[row + 16] ^= 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "a.npz: x.npy: damaged: its CRC-32 is");
    b = good;
    b.at[row + 24] ^= 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "a.npz: x.npy: expected");
    b = good;
    b.at[row + 42] ^= 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "expected a ZIP member's header");
    b = good;
    b.at[b.size - 3 - 12] = 0xff;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "a ZIP directory of");
    files_write(path, "", 0);
    expect_failure("npz:", path, CN_ERR_FORMAT, "no ZIP archive");
    expect_failure("npz:", "/dev/null", CN_ERR_UNSUPPORTED, "not a regular file");
    expect_failure("npz:", "", CN_ERR_ARGUMENT, "expected a path after the colon");
    /* A row that claims 4 GiB from a few deflated bytes. */
    members[0].deflated = true;
    members[0].wide = true;
    b = make_zip(members, 2, false);
    for (row = 0; memcmp(b.at + row, "PK\1\2", 4) != 0;) row++;
    b.at[row + 46 + 5 + 8 + 4] = 1;
    files_write(path, b.at, b.size);
    expect_failure("npz:", path, CN_ERR_FORMAT, "deflated ones");
    files_remove_folder(folder);
}

static void pickled_weights_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    const member members[] = {{"model/data.pkl", {"\x80\2.", 3}, false, false},
                              {"model/data/0", {"\0\0\0\0", 4}, false, false}};
    bytes b = make_zip(members, 2, false);
    cn_weight_file file = {.count = 0};
    cn_error err = {CN_OK, ""};
    files_make_folder(folder);
    files_write(files_join(path, folder, "model.pth"), b.at, b.size);
    assert_int_equal(cn_weight_file_load(&file, path, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "model.pth: weights as torch.save writes them");
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_hold_both_splits),
        cmocka_unit_test(other_names_will_do),
        cmocka_unit_test(damaged_archives_are_refused),
        cmocka_unit_test(lying_archives_are_refused),
        cmocka_unit_test(pickled_weights_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

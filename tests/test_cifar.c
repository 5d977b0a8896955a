/* CIFAR-10 and CIFAR-100: true files, packed ones, lying ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <zlib.h>

#include "convnet.h"
#include "files.h"

enum { PLANE = 1024, IMAGE = 3 * PLANE, MOST_RECORDS = 6 };

typedef struct records {
    uint8_t at[MOST_RECORDS * (IMAGE + 2)];
    size_t size;
} records;

/* What an image of the file `file` holds at plane c, element i. */
static uint8_t pixel(int file, int record, int c, int i)
{
    return (uint8_t)(file * 31 + record * 7 + c * 100 + i);
}

/* `labels` is a string of a letter a record: 'a' is 0. */
static records make_records(int file, const char *labels, bool coarse)
{
    records r = {{0}, 0};
    for (int n = 0; labels[n]; n++) {
        if (coarse) r.at[r.size++] = 3;
        r.at[r.size++] = (uint8_t)(labels[n] - 'a');
        for (int c = 0; c < 3; c++)
            for (int i = 0; i < PLANE; i++) r.at[r.size++] = pixel(file, n, c, i);
    }
    return r;
}

static void write_records(const char *folder, const char *name, const records *r)
{
    char path[FILES_PATH];
    files_write(files_join(path, folder, name), r->at, r->size);
}

/* Six batches of two records each, of which the last is the test set. */
static void write_batches(const char *folder, const char *test_name)
{
    for (int file = 1; file <= 6; file++) {
        char name[64];
        const char labels[3] = {(char)('a' + file), (char)('j' - file), 0};
        records r = make_records(file, labels, false);
        snprintf(name, sizeof name, "data_batch_%d.bin", file);
        write_records(folder, file <= 5 ? name : test_name, &r);
    }
}

static cn_status load(cn_dataset **data, const char *kind, const char *folder, cn_subset split,
                      cn_error *err)
{
    char spec[FILES_PATH + 16];
    snprintf(spec, sizeof spec, "%s%s", kind, folder);
    return cn_dataset_load(data, spec, split, NULL, err);
}

static void expect_failure(const char *kind, const char *folder, cn_subset split, cn_status status,
                           const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(load(&data, kind, folder, split, &err), status);
    assert_null(data);
    assert_says(err, part);
}

static void check_image(const cn_dataset *data, int i, int file, int record)
{
    static float x[IMAGE];
    int32_t label;
    cn_dataset_batch(data, &i, 1, NULL, NULL, x, &label, NULL);
    for (int k = 0; k < PLANE; k++)
        for (int c = 0; c < 3; c++)
            assert_float_equal(x[3 * k + c], pixel(file, record, c, k) / 255.0f, 1e-6f);
}

static void five_batches_are_one_set(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    write_batches(folder, "test_batch.bin");
    for (int by_name = 0; by_name < 2; by_name++) {
        cn_dataset *data = NULL;
        assert_int_equal(load(&data, by_name ? "cifar10:" : "", folder, CN_SUBSET_TRAIN, NULL),
                         CN_OK);
        assert_int_equal(cn_dataset_size(data), 10);
        assert_int_equal(cn_dataset_classes(data), 10);
        assert_memory_equal(cn_dataset_shape(data), ((int[]){32, 32, 3}), 12);
        for (int i = 0; i < 10; i++) {
            int file = 1 + i / 2;
            assert_int_equal(cn_dataset_label(data, i), i % 2 ? 9 - file : file);
            check_image(data, i, file, i % 2);
        }
        assert_string_equal(cn_dataset_class_name(data, 0), "airplane");
        assert_string_equal(cn_dataset_class_name(data, 9), "truck");
        cn_dataset_free(data);
        data = NULL;
        assert_int_equal(load(&data, by_name ? "cifar10:" : "", folder, CN_SUBSET_TEST, NULL),
                         CN_OK);
        assert_int_equal(cn_dataset_size(data), 2);
        check_image(data, 1, 6, 1);
        cn_dataset_free(data);
    }
    files_remove_folder(folder);
}

/* Parts of the test set count once, in whatever form, unless all of it is there. */
static void parts_of_the_test_set_will_do(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_dataset *data = NULL;
    files_make_folder(folder);
    write_batches(folder, "test_batch_first.bin");
    records more = make_records(7, "cde", false);
    gzFile gz = gzopen(files_join(path, folder, "test_batch_rest.bin.gz"), "wb");
    assert_int_equal(gzwrite(gz, more.at, (unsigned)more.size), more.size);
    gzclose(gz);
    write_records(folder, "test_batch_rest.bin", &more);
    write_records(folder, "test_batch.txt", &more);
    assert_int_equal(load(&data, "cifar10:", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 5);
    check_image(data, 0, 6, 0);
    check_image(data, 4, 7, 2);
    cn_dataset_free(data);
    data = NULL;
    remove(files_join(path, folder, "test_batch_rest.bin"));
    assert_int_equal(load(&data, "cifar10:", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 5);
    check_image(data, 4, 7, 2);
    cn_dataset_free(data);
    data = NULL;
    write_records(folder, "test_batch.bin", &more);
    assert_int_equal(load(&data, "cifar10:", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 3);
    cn_dataset_free(data);
    files_remove_folder(folder);
}

static void the_hundred_classes_have_fine_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    cn_dataset *data = NULL;
    files_make_folder(folder);
    records r = make_records(0, "ab", true);
    r.at[1] = 99;
    write_records(folder, "train.bin", &r);
    write_records(folder, "test.bin", &r);
    expect_failure("", folder, CN_SUBSET_TRAIN, CN_ERR_UNSUPPORTED, "no data set recognized");
    write_records(folder, "fine_label_names.txt", &r);
    assert_int_equal(load(&data, "", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 2);
    assert_int_equal(cn_dataset_classes(data), 100);
    assert_int_equal(cn_dataset_label(data, 0), 99);
    assert_int_equal(cn_dataset_label(data, 1), 1);
    assert_string_equal(cn_dataset_class_name(data, 99), "worm");
    assert_string_equal(cn_dataset_class_name(data, 1), "aquarium_fish");
    check_image(data, 1, 0, 1);
    cn_dataset_free(data);
    r.at[1] = 100;
    write_records(folder, "train.bin", &r);
    expect_failure("cifar100:", folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "train.bin: byte 1: label 100, expected 0 to 99");
    files_remove_folder(folder);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    expect_failure("cifar10:", "", CN_SUBSET_TRAIN, CN_ERR_ARGUMENT, "expected a folder's path");
    expect_failure("cifar10:", folder, CN_SUBSET_TRAIN, CN_ERR_IO,
                   "expected data_batch_1.bin (or .gz, .xz), found none");
    expect_failure("cifar10:", folder, CN_SUBSET_TEST, CN_ERR_IO,
                   "expected test_batch.bin (or .gz, .xz), found none");
    expect_failure("cifar100:", folder, CN_SUBSET_TEST, CN_ERR_IO, "expected test.bin");
    files_write(files_join(path, folder, "data_batch_1"), "\x80\x02}q", 4);
    expect_failure("", folder, CN_SUBSET_TRAIN, CN_ERR_IO,
                   "expected data_batch_1.bin (or .gz, .xz), found data_batch_1 of the version for "
                   "Python, which is pickled");
    remove(path);
    write_batches(folder, "test_batch.bin");
    remove(files_join(path, folder, "data_batch_4.bin"));
    expect_failure("", folder, CN_SUBSET_TRAIN, CN_ERR_IO, "expected data_batch_4.bin");
    records r = make_records(4, "ab", false);
    r.at[IMAGE + 1] = 10;
    write_records(folder, "data_batch_4.bin", &r);
    expect_failure("cifar10:", folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT,
                   "data_batch_4.bin: byte 3073: label 10, expected 0 to 9");
    const size_t cuts[] = {0, 1, IMAGE, IMAGE + 2, 2 * IMAGE + 1};
    const char *found[] = {"byte 0: expected a record of 3073 bytes, found 0",
                           "byte 0: expected a record of 3073 bytes, found 1",
                           "byte 0: expected a record of 3073 bytes, found 3072",
                           "byte 3073: expected a record of 3073 bytes, found 1",
                           "byte 3073: expected a record of 3073 bytes, found 3072"};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        r = make_records(4, "ab", false);
        r.size = cuts[i];
        write_records(folder, "data_batch_4.bin", &r);
        expect_failure("cifar10:", folder, CN_SUBSET_TRAIN, CN_ERR_FORMAT, found[i]);
    }
    remove(files_join(path, folder, "data_batch_4.bin"));
    assert_int_equal(mkdir(path, 0700), 0);
    expect_failure("cifar10:", folder, CN_SUBSET_TRAIN, CN_ERR_IO,
                   "expected data_batch_4.bin (or .gz, .xz), found none");
    files_remove_folder(folder);
    expect_failure("cifar10:", folder, CN_SUBSET_TEST, CN_ERR_IO, "No such file or directory");
}

/* Zeros without end are images of airplanes without end: gzip's members, one after the other, 300
 * kB that would unpack to 307 MB. */
static void a_bomb_is_stopped(void **state)
{
    (void)state;
    enum { MEMBER = 1 << 20, MEMBERS = 100001LL * (IMAGE + 1) / MEMBER + 1 };
    char folder[FILES_PATH], path[FILES_PATH];
    size_t size;
    files_make_folder(folder);
    files_join(path, folder, "test_batch.bin.gz");
    uint8_t *zeros = calloc(1, MEMBER);
    assert_non_null(zeros);
    gzFile gz = gzopen(path, "wb9");
    assert_int_equal(gzwrite(gz, zeros, MEMBER), MEMBER);
    gzclose(gz);
    uint8_t *member = files_read(path, &size);
    FILE *file = fopen(path, "wb");
    for (int i = 0; i < MEMBERS; i++) assert_int_equal(fwrite(member, 1, size, file), size);
    fclose(file);
    free(member);
    free(zeros);
    expect_failure("cifar10:", folder, CN_SUBSET_TEST, CN_ERR_UNSUPPORTED,
                   "more than 100000 images");
    files_remove_folder(folder);
}

/* A record of zeros, packed by xz 5.4. */
static const uint8_t xz_record[] = {
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00,
    0x21, 0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0xe0, 0x0c, 0x00, 0x00,
    0x17, 0x5d, 0x00, 0x00, 0x6f, 0xfd, 0xff, 0xff, 0xa3, 0xb7, 0xff, 0x47, 0x3e, 0x48,
    0x15, 0x72, 0x39, 0x61, 0x51, 0xb8, 0x90, 0xfd, 0xcc, 0x08, 0x00, 0x00, 0x00, 0x00,
    0x7d, 0x4e, 0xb0, 0x38, 0x00, 0x01, 0x2f, 0x81, 0x18, 0x00, 0x00, 0x00, 0x6c, 0x85,
    0x84, 0x2c, 0x3e, 0x30, 0x0d, 0x8b, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
};

static void xz_is_unpacked(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_write(files_join(path, folder, "test_batch.bin.xz"), xz_record, sizeof xz_record);
#ifdef CONVNET_HAVE_LZMA
    static float x[IMAGE];
    int32_t label, harmless = 0;
    cn_dataset *data = NULL;
    assert_int_equal(load(&data, "cifar10:", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 1);
    assert_int_equal(cn_dataset_label(data, 0), 0);
    cn_dataset_free(data);
    data = NULL;
    for (size_t size = 6; size < sizeof xz_record; size++) {
        files_write(path, xz_record, size);
        expect_failure("cifar10:", folder, CN_SUBSET_TEST, CN_ERR_FORMAT,
                       "the xz stream is cut short");
    }
    for (size_t bit = 8 * 6; bit < 8 * sizeof xz_record; bit++) {
        uint8_t bad[sizeof xz_record];
        memcpy(bad, xz_record, sizeof bad);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        files_write(path, bad, sizeof bad);
        cn_error err = {CN_OK, ""};
        /* Some bits of an LZMA stream's last bytes carry nothing. */
        if (load(&data, "cifar10:", folder, CN_SUBSET_TEST, &err) != CN_OK) {
            assert_says(err, "xz");
            continue;
        }
        assert_int_equal(cn_dataset_size(data), 1);
        cn_dataset_batch(data, (int[]){0}, 1, NULL, NULL, x, &label, NULL);
        for (int i = 0; i < IMAGE; i++) assert_true(x[i] == 0 && label == 0);
        cn_dataset_free(data);
        data = NULL;
        harmless++;
    }
    assert_true(harmless < 40);
#else
    expect_failure("cifar10:", folder, CN_SUBSET_TEST, CN_ERR_UNSUPPORTED, "(CONVNET_LZMA)");
#endif
    files_remove_folder(folder);
}

/* Mean and deviation as everybody gives them, and the first labels. */
static void cifar_10_has_its_published_figures(void **state)
{
    (void)state;
    char folder[FILES_PATH];
#ifndef CONVNET_HAVE_LZMA
    skip();
#endif
    if (!files_shared(folder, "data/cifar-10")) skip();
    cn_dataset *data = NULL;
    float mean[3], std[3];
    assert_int_equal(load(&data, "cifar10:", folder, CN_SUBSET_TEST, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 1000);
    const int32_t first[] = {3, 8, 8, 0, 6, 6, 1, 6, 3, 1};
    for (int i = 0; i < 10; i++) assert_int_equal(cn_dataset_label(data, i), first[i]);
    cn_dataset_statistics(data, mean, std);
    for (int c = 0; c < 3; c++) {
        const float published[] = {0.4914f, 0.4822f, 0.4465f};
        assert_true(fabsf(mean[c] - published[c]) < 0.01f && std[c] > 0.2f && std[c] < 0.3f);
    }
    cn_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_batches_are_one_set),
        cmocka_unit_test(parts_of_the_test_set_will_do),
        cmocka_unit_test(the_hundred_classes_have_fine_labels),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(a_bomb_is_stopped),
        cmocka_unit_test(xz_is_unpacked),
        cmocka_unit_test(cifar_10_has_its_published_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Data sets: IDX files, true and lying, the embedded digits, sets in memory, batches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/pixels.h"
#include "data/dataset.h"
#include "files.h"
#include "formats/idx.h"

/* ---- IDX files made here */

typedef struct bytes {
    uint8_t at[4096];
    size_t size;
} bytes;

static void put_word(bytes *b, uint32_t word)
{
    for (int shift = 24; shift >= 0; shift -= 8) b->at[b->size++] = (uint8_t)(word >> shift);
}

/* A header of this type code and shape, then `count` elements 0, 1, 2 ... of one byte. */
static bytes make_idx(uint8_t type, int rank, const uint32_t *shape, size_t count)
{
    bytes b = {{0, 0, type, (uint8_t)rank}, 4};
    for (int i = 0; i < rank; i++) put_word(&b, shape[i]);
    for (size_t i = 0; i < count; i++) b.at[b.size++] = (uint8_t)i;
    return b;
}

static bytes pack(const bytes *b)
{
    bytes out = {{0}, 0};
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)b->at;
    z.avail_in = (uInt)b->size;
    z.next_out = out.at;
    z.avail_out = sizeof out.at;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.size = z.total_out;
    deflateEnd(&z);
    return out;
}

static cn_status read_bytes(const bytes *b, cn_tensor *t, cn_error *err)
{
    cn_source *source = NULL;
    uint8_t *exact = files_exact(b->at, b->size);
    cn_status status = cn_source_memory(&source, "seed", exact, b->size, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_idx_read(source, t, err);
    cn_source_close(source);
    free(exact);
    return status;
}

static void expect_failure(const bytes *b, cn_status status, const char *part)
{
    cn_error err = {CN_OK, ""};
    cn_tensor t = {0};
    assert_int_equal(read_bytes(b, &t, &err), status);
    assert_null(t.data);
    assert_says(err, "seed");
    assert_says(err, part);
}

static void idx_gives_shape_and_elements(void **state)
{
    (void)state;
    bytes b = make_idx(0x08, 3, (uint32_t[]){2, 3, 4}, 24), gz = pack(&b);
    for (int packed = 0; packed < 2; packed++) {
        cn_tensor t = {0};
        assert_int_equal(read_bytes(packed ? &gz : &b, &t, NULL), CN_OK);
        assert_int_equal(t.dtype, CN_DTYPE_U8);
        assert_int_equal(t.rank, 3);
        assert_int_equal(t.shape[0], 2);
        assert_int_equal(t.shape[2], 4);
        assert_memory_equal(t.data, b.at + 16, 24);
        cn_tensor_free(&t);
    }
}

static void idx_elements_are_big_endian(void **state)
{
    (void)state;
    cn_tensor t = {0};
    bytes b = make_idx(0x0d, 1, (uint32_t[]){2}, 0);
    put_word(&b, 0x3f800000);
    put_word(&b, 0xc0490fdb);
    assert_int_equal(read_bytes(&b, &t, NULL), CN_OK);
    assert_true(((float *)t.data)[0] == 1.0f && ((float *)t.data)[1] == -3.14159274f);
    cn_tensor_free(&t);
    b = make_idx(0x0c, 1, (uint32_t[]){1}, 0);
    put_word(&b, 0xfffffffe);
    assert_int_equal(read_bytes(&b, &t, NULL), CN_OK);
    assert_int_equal(((int32_t *)t.data)[0], -2);
    cn_tensor_free(&t);
    b = make_idx(0x0e, 1, (uint32_t[]){1}, 0);
    put_word(&b, 0xc0000000);
    put_word(&b, 0);
    assert_int_equal(read_bytes(&b, &t, NULL), CN_OK);
    assert_true(((double *)t.data)[0] == -2.0);
    cn_tensor_free(&t);
}

static void idx_lies_are_refused(void **state)
{
    (void)state;
    bytes b = {{0}, 0};
    expect_failure(&b, CN_ERR_FORMAT, "byte 0: magic number: expected 4 bytes, found 0");
    b = make_idx(0x09, 1, (uint32_t[]){1}, 1);
    expect_failure(&b, CN_ERR_FORMAT, "byte 0: expected an IDX magic number");
    b = make_idx(0x08, 0, NULL, 1);
    expect_failure(&b, CN_ERR_FORMAT, "byte 3: rank 0, expected 1 to 4");
    b = make_idx(0x08, 200, (uint32_t[200]){1}, 1);
    expect_failure(&b, CN_ERR_FORMAT, "byte 3: rank 200");
    b = make_idx(0x08, 2, (uint32_t[]){3, 0}, 0);
    expect_failure(&b, CN_ERR_FORMAT, "byte 8: extent 0, expected 1 to 2147483647");
    b = make_idx(0x08, 2, (uint32_t[]){0x80000000u, 1}, 0);
    expect_failure(&b, CN_ERR_FORMAT, "byte 4: extent 2147483648");
    b = make_idx(0x0e, 4, (uint32_t[]){0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff}, 8);
    expect_failure(&b, CN_ERR_FORMAT, "byte 20: expected (2147483647");
    b = make_idx(0x08, 1, (uint32_t[]){5}, 4);
    expect_failure(&b, CN_ERR_FORMAT, "byte 8: expected (5) elements of 1 bytes, found at most 4");
    b = make_idx(0x08, 1, (uint32_t[]){5}, 6);
    expect_failure(&b, CN_ERR_FORMAT, "byte 13: expected the end");
}

static void a_gzip_bomb_is_not_inflated(void **state)
{
    (void)state;
    bytes b = make_idx(0x08, 1, (uint32_t[]){5}, 3000), gz = pack(&b);
    expect_failure(&gz, CN_ERR_FORMAT, "byte 13: expected the end");
    b = make_idx(0x08, 2, (uint32_t[]){0x7fffffff, 2}, 4);
    gz = pack(&b);
    expect_failure(&gz, CN_ERR_FORMAT, "byte 12: expected (2147483647, 2)");
}

static void a_damaged_gzip_is_an_error(void **state)
{
    (void)state;
    bytes b = make_idx(0x08, 3, (uint32_t[]){2, 3, 4}, 24), gz = pack(&b);
    for (size_t size = 2; size < gz.size; size++) {
        bytes cut = gz;
        cut.size = size;
        expect_failure(&cut, CN_ERR_FORMAT, "gzip stream is cut short");
    }
    gz.at[gz.size - 8] ^= 1;
    expect_failure(&gz, CN_ERR_FORMAT, "corrupt: incorrect data check");
    gz.at[gz.size - 8] ^= 1;
    gz.at[gz.size++] = 'x';
    expect_failure(&gz, CN_ERR_FORMAT, "gzip stream");
}

static void every_truncation_of_idx_is_an_error(void **state)
{
    (void)state;
    bytes b = make_idx(0x08, 3, (uint32_t[]){2, 3, 4}, 24);
    for (size_t size = 0; size < b.size; size++) {
        bytes cut = b;
        cut.size = size;
        expect_failure(&cut, CN_ERR_FORMAT, "expected");
    }
}

/* A flipped bit of the header changes the size or the form; one of gzip's changes anything. */
static void every_flipped_bit_of_idx_is_noticed(void **state)
{
    (void)state;
    bytes b = make_idx(0x08, 3, (uint32_t[]){2, 3, 4}, 24), gz = pack(&b);
    for (size_t bit = 0; bit < 8 * 16; bit++) {
        bytes bad = b;
        bad.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect_failure(&bad, CN_ERR_FORMAT, "byte");
    }
    for (size_t bit = 0; bit < 8 * gz.size; bit++) {
        bytes bad = gz;
        cn_tensor t = {0};
        bad.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (read_bytes(&bad, &t, NULL) != CN_OK) continue;
        assert_memory_equal(t.data, b.at + 16, 24);
        cn_tensor_free(&t);
    }
}

/* ---- Folders */

enum { IMAGES = 6, SIDE = 2 };

/* A complete set: 6 images of 2 x 2 to train on, labels 0..5, and 2 to test on. */
static void write_named_set(const char *folder, bool packed, char mark, const char *train,
                            const char *test)
{
    const char *splits[] = {train, test};
    for (int i = 0; i < 2; i++) {
        char name[64], path[FILES_PATH];
        uint32_t n = i == 0 ? IMAGES : 2;
        bytes images = make_idx(0x08, 3, (uint32_t[]){n, SIDE, SIDE}, n * SIDE * SIDE);
        bytes labels = make_idx(0x08, 1, (uint32_t[]){n}, n);
        if (packed) images = pack(&images), labels = pack(&labels);
        snprintf(name, sizeof name, "%s-images%cidx3-ubyte%s", splits[i], mark,
                 packed ? ".gz" : "");
        files_write(files_join(path, folder, name), images.at, images.size);
        snprintf(name, sizeof name, "%s-labels%cidx1-ubyte%s", splits[i], mark,
                 packed ? ".gz" : "");
        files_write(files_join(path, folder, name), labels.at, labels.size);
    }
}

static void write_set(const char *folder, bool packed, char mark)
{
    write_named_set(folder, packed, mark, "train", "t10k");
}

static cn_status load(cn_dataset **data, const char *kind, const char *folder, cn_error *err)
{
    char spec[FILES_PATH + 16];
    snprintf(spec, sizeof spec, "%s%s", kind, folder);
    return cn_dataset_load(data, spec, CN_SUBSET_TRAIN, NULL, err);
}

static void the_four_files_are_found_in_every_spelling(void **state)
{
    (void)state;
    const struct {
        const char *kind;
        int classes;
    } kinds[] = {{"mnist:", 10}, {"idx:", IMAGES}, {"", IMAGES}};
    for (int spelling = 0; spelling < 4; spelling++) {
        char folder[FILES_PATH];
        files_make_folder(folder);
        write_set(folder, spelling & 1, spelling & 2 ? '.' : '-');
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            cn_dataset *data = NULL;
            assert_int_equal(load(&data, kinds[k].kind, folder, NULL), CN_OK);
            assert_int_equal(cn_dataset_size(data), IMAGES);
            assert_int_equal(cn_dataset_classes(data), kinds[k].classes);
            assert_memory_equal(cn_dataset_shape(data), ((int[]){SIDE, SIDE, 1}), 12);
            assert_int_equal(cn_dataset_label(data, 3), 3);
            assert_string_equal(cn_dataset_class_name(data, 5), "5");
            assert_null(cn_dataset_class_name(data, kinds[k].classes));
            cn_dataset_free(data);
        }
        files_remove_folder(folder);
    }
}

/* As EMNIST calls them: the word in front is found where there is one alone, else it has to be given. */
static void names_may_begin_with_a_word(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH], spec[FILES_PATH + 32];
    cn_dataset *data = NULL;
    cn_error err;
    files_make_folder(folder);
    write_named_set(folder, true, '-', "emnist-letters-train", "emnist-letters-test");
    for (int k = 0; k < 3; k++) {
        snprintf(spec, sizeof spec, "%s%s%s", k == 1 ? "" : "idx:", folder,
                 k == 2 ? "/emnist-letters" : "");
        if (cn_dataset_load(&data, spec, CN_SUBSET_ALL, NULL, &err) != CN_OK)
            fail_msg("%s", err.text);
        assert_int_equal(cn_dataset_size(data), IMAGES + 2);
        cn_dataset_free(data);
        data = NULL;
    }
    write_named_set(folder, false, '.', "emnist-digits-train", "emnist-digits-test");
    assert_int_equal(load(&data, "idx:", folder, &err), CN_ERR_IO);
    assert_says(err, "expected train-labels-idx1-ubyte (or .gz, .xz), found none");
    assert_int_equal(load(&data, "idx:", files_join(path, folder, "emnist-digits"), &err), CN_OK);
    assert_int_equal(cn_dataset_size(data), IMAGES);
    cn_dataset_free(data);
    data = NULL;
    assert_int_equal(load(&data, "idx:", files_join(path, folder, "emnist-none"), &err), CN_ERR_IO);
    assert_says(err, "emnist-none: expected train-labels-idx1-ubyte");
    assert_null(data);
    files_remove_folder(folder);
}

static void a_bad_set_is_refused_by_name(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_dataset *data = NULL;
    cn_error err;
    files_make_folder(folder);
    write_set(folder, false, '-');
    files_join(path, folder, "train-labels-idx1-ubyte");
    bytes labels = make_idx(0x08, 1, (uint32_t[]){5}, 5);
    files_write(path, labels.at, labels.size);
    assert_int_equal(load(&data, "mnist:", folder, &err), CN_ERR_SHAPE);
    assert_says(err, "6 images, but 5 labels");
    labels = make_idx(0x08, 1, (uint32_t[]){6}, 6);
    labels.at[10] = 10;
    files_write(path, labels.at, labels.size);
    assert_int_equal(load(&data, "mnist:", folder, &err), CN_ERR_FORMAT);
    assert_says(err, "train-labels-idx1-ubyte: byte 10: label 10, expected 0 to 9");
    labels = make_idx(0x08, 2, (uint32_t[]){6, 1}, 6);
    files_write(path, labels.at, labels.size);
    assert_int_equal(load(&data, "mnist:", folder, &err), CN_ERR_FORMAT);
    assert_says(err, "expected bytes or int32 of rank 1");
    remove(path);
    assert_int_equal(load(&data, "mnist:", folder, &err), CN_ERR_IO);
    assert_says(err, "expected train-labels-idx1-ubyte (or .gz, .xz), found none");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(load(&data, "idx:", folder, &err), CN_ERR_IO);
    assert_says(err, "expected train-labels-idx1-ubyte (or .gz, .xz), found none");
    assert_null(data);
    /* But some archives have a file in a folder of its name. */
    char inner[FILES_PATH];
    labels = make_idx(0x08, 1, (uint32_t[]){6}, 6);
    files_write(files_join(inner, path, "train-labels-idx1-ubyte"), labels.at, labels.size);
    assert_int_equal(load(&data, "idx:", folder, &err), CN_OK);
    assert_int_equal(cn_dataset_size(data), 6);
    cn_dataset_free(data);
    remove(inner);
    remove(path);
    files_remove_folder(folder);
}

static void an_unknown_spec_says_what_there_is(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_dataset *data = NULL;
    cn_error err;
    files_make_folder(folder);
    assert_int_equal(load(&data, "", folder, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "found nothing; the kinds are digits, mnist:DIR, idx:DIR");
    files_write(files_join(path, folder, "notes.txt"), "", 0);
    assert_int_equal(load(&data, "", folder, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "found notes.txt; the kinds are digits, mnist:DIR, idx:DIR");
    /* Names without room are left out whole. */
    files_write(files_join(path, folder, "a name that takes up all of the room"), "", 0);
    assert_int_equal(load(&data, "", folder, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "found a name that takes up all of the room, ...; the kinds");
    files_write(path, "PK\003\004", 4);
    assert_int_equal(load(&data, "", path, &err), CN_ERR_ARGUMENT);
    assert_says(err, "neither a folder nor a kind of data set, but a ZIP archive");
    remove(path);
    files_remove_folder(folder);
    assert_int_equal(load(&data, "", folder, &err), CN_ERR_ARGUMENT);
    assert_says(err, "neither a folder nor a kind of data set; the kinds are digits");
    assert_int_equal(cn_dataset_load(&data, "mnist:", CN_SUBSET_TRAIN, NULL, &err),
                     CN_ERR_ARGUMENT);
    assert_says(err, "expected a folder's path after the colon, found nothing");
    assert_int_equal(load(&data, "digits:", folder, &err), CN_ERR_ARGUMENT);
    assert_says(err, "takes no path");
    assert_int_equal(cn_dataset_load(&data, "digits", (cn_subset)5, NULL, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_dataset_load(NULL, "digits", CN_SUBSET_TRAIN, NULL, &err), CN_ERR_ARGUMENT);
    assert_null(data);
}

static void remarks_are_lines(void **state)
{
    (void)state;
    cn_remarks remarks = {.skipped = 0};
    cn_dataset *data = NULL;
    assert_int_equal(cn_dataset_load(&data, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_string_equal(cn_dataset_remarks(data), "");
    assert_int_equal(cn_remark(&remarks, NULL, "passed over %d", 3), CN_OK);
    assert_int_equal(cn_remark(&remarks, NULL, "a name: %s", "two\nlines"), CN_OK);
    cn_dataset_set_remarks(data, &remarks);
    assert_null(remarks.text);
    assert_string_equal(cn_dataset_remarks(data), "passed over 3\na name: two\\nlines\n");
    cn_dataset_free(data);
}

static void mnist_has_its_published_figures(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    if (!files_shared(folder, "data/mnist")) skip();
    cn_dataset *data = NULL;
    float mean, std;
    assert_int_equal(load(&data, "mnist:", folder, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(data), 60000);
    cn_dataset_statistics(data, &mean, &std);
    assert_true(fabsf(mean - 0.1307f) < 5e-5f && fabsf(std - 0.3081f) < 5e-5f);
    const int32_t first[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4};
    for (int i = 0; i < 10; i++) assert_int_equal(cn_dataset_label(data, i), first[i]);
    cn_dataset_free(data);
}

/* ---- Digits */

/* Counts from the set's own description: a fifth of 1,797 for testing. */
static void digits_are_embedded(void **state)
{
    (void)state;
    cn_dataset *train = NULL, *test = NULL;
    assert_int_equal(cn_dataset_load(&train, "digits", CN_SUBSET_TRAIN, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_load(&test, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(train), 1438);
    assert_int_equal(cn_dataset_size(test), 359);
    assert_int_equal(cn_dataset_classes(test), 10);
    assert_memory_equal(cn_dataset_shape(test), ((int[]){8, 8, 1}), 12);
    assert_string_equal(cn_dataset_class_name(test, 7), "7");
    /* Images 0 to 4 show 0 to 4; number 4 is the first for testing. */
    for (int i = 0; i < 4; i++) assert_int_equal(cn_dataset_label(train, i), i);
    assert_int_equal(cn_dataset_label(train, 4), 5);
    assert_int_equal(cn_dataset_label(test, 0), 4);
    float x[64], most = 0;
    int32_t label;
    cn_dataset_batch(train, (int[]){0}, 1, NULL, NULL, x, &label, NULL);
    const float row[8] = {0, 0, 5, 13, 9, 1, 0, 0};
    for (int i = 0; i < 8; i++) assert_true(x[i] == row[i] / 16);
    for (int i = 0; i < 64; i++) most = fmaxf(most, x[i]);
    assert_true(most <= 1);
    cn_dataset_free(train);
    cn_dataset_free(test);
}

/* ---- In memory */

static void a_set_is_a_copy_that_can_be_sliced(void **state)
{
    (void)state;
    uint8_t pixels[5 * 4];
    int32_t labels[5] = {0, 1, 2, 1, 0};
    for (int i = 0; i < 20; i++) pixels[i] = (uint8_t)(i * 12);
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){5, 2, 2, 1}, pixels);
    cn_dataset *data = NULL, *part = NULL;
    cn_error err;
    assert_int_equal(cn_dataset_create(&data, &images, labels, 3, NULL), CN_OK);
    memset(pixels, 0, sizeof pixels);
    memset(labels, 0, sizeof labels);
    assert_int_equal(cn_dataset_slice(&part, data, 2, 3, NULL), CN_OK);
    assert_int_equal(cn_dataset_size(part), 3);
    assert_int_equal(cn_dataset_label(part, 0), 2);
    float x[8];
    int32_t y[2];
    cn_dataset_batch(part, (int[]){2, 0}, 2, NULL, NULL, x, y, NULL);
    assert_int_equal(y[0], 0);
    assert_int_equal(y[1], 2);
    assert_float_equal(x[0], 16 * 12 / 255.0f, 1e-7f);
    assert_float_equal(x[7], 11 * 12 / 255.0f, 1e-7f);
    cn_dataset_free(part);
    part = NULL;
    assert_int_equal(cn_dataset_slice(&part, data, 3, 3, &err), CN_ERR_ARGUMENT);
    assert_says(err, "3 images from 3 on, expected a part of 0 to 4");
    assert_int_equal(cn_dataset_slice(&part, data, -1, 2, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_dataset_slice(&part, data, 2, INT32_MAX, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_dataset_slice(&part, data, 0, 0, &err), CN_ERR_ARGUMENT);
    assert_null(part);
    cn_dataset_free(data);
    cn_dataset_free(NULL);
}

static void a_wrong_set_is_refused(void **state)
{
    (void)state;
    float pixels[4] = {0, 1, INFINITY, 0};
    int32_t labels[2] = {0, 3};
    cn_tensor images = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){2, 1, 2, 1}, pixels);
    cn_dataset *data = NULL;
    cn_error err;
    assert_int_equal(cn_dataset_create(&data, &images, labels, 3, &err), CN_ERR_FORMAT);
    assert_says(err, "image 1: element 0 is inf");
    pixels[2] = 0;
    assert_int_equal(cn_dataset_create(&data, &images, labels, 3, &err), CN_ERR_FORMAT);
    assert_says(err, "label 1 is 3, expected 0 to 2");
    assert_int_equal(cn_dataset_create(&data, &images, labels, 0, &err), CN_ERR_ARGUMENT);
    images.rank = 3;
    assert_int_equal(cn_dataset_create(&data, &images, labels, 4, &err), CN_ERR_SHAPE);
    images = cn_tensor_view(CN_DTYPE_F64, 4, (int[]){1, 1, 2, 1}, pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 4, &err), CN_ERR_SHAPE);
    assert_int_equal(cn_dataset_create(&data, NULL, labels, 4, &err), CN_ERR_ARGUMENT);
    assert_null(data);
}

/* The fast loop against the formula, for channels that do and do not fill its pattern. */
static void batches_are_normalized_channel_by_channel(void **state)
{
    (void)state;
    enum { MOST = 1100, PIXELS = 2 * 5 * 7 };
    static uint8_t bytes_in[PIXELS * MOST];
    static float floats_in[PIXELS * MOST], out[PIXELS * MOST], plain[PIXELS * MOST];
    static float mean[MOST], std[MOST];
    const int channels[] = {1, 2, 3, 4, 5, 16, 255, 511, 512, 513, 1024, 1100};
    for (int c = 0; c < MOST; c++)
        mean[c] = 0.01f * (float)(c % 50), std[c] = 0.5f + 0.1f * (float)(c % 7);
    for (int i = 0; i < PIXELS * MOST; i++) {
        bytes_in[i] = (uint8_t)(i * 37 % 256);
        floats_in[i] = (float)bytes_in[i] / 16;
    }
    for (size_t k = 0; k < sizeof channels / sizeof *channels; k++) {
        int C = channels[k];
        for (int f32 = 0; f32 < 2; f32++) {
            cn_tensor t = cn_tensor_view(f32 ? CN_DTYPE_F32 : CN_DTYPE_U8, 4, (int[]){2, 5, 7, C},
                                         f32 ? (void *)floats_in : (void *)bytes_in);
            float scale = f32 ? 1.0f : 1 / 255.0f;
            const int order[2] = {1, 0};
            cn_pixels_normalize(&t, scale, order, 2, mean, std, out);
            cn_pixels_normalize(&t, scale, NULL, 2, NULL, NULL, plain);
            for (int i = 0; i < PIXELS * C; i++) {
                int from = (i + 35 * C) % (PIXELS * C), c = i % C;
                double v = f32 ? (double)floats_in[from] : bytes_in[from];
                double w = f32 ? (double)floats_in[i] : bytes_in[i];
                double want = (v * (f32 ? 1 : 1 / 255.0) - mean[c]) / std[c];
                assert_true(fabs(out[i] - want) <= 1e-6 * (1 + fabs(want)));
                assert_true(plain[i] == (float)w * scale);
            }
        }
    }
    uint8_t white = 255;
    cn_tensor t = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){1, 1, 1, 1}, &white);
    cn_pixels_normalize(&t, 1 / 255.0f, NULL, 1, NULL, NULL, out);
    assert_true(out[0] == 1.0f);
}

static void statistics_are_a_channels_mean_and_deviation(void **state)
{
    (void)state;
    uint8_t pixels[8] = {0, 7, 51, 7, 102, 7, 255, 7};
    float mean[2], std[2], floats[8];
    int32_t labels[2] = {0};
    cn_dataset *data = NULL;
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){2, 2, 1, 2}, pixels);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 1, NULL), CN_OK);
    cn_dataset_statistics(data, mean, std);
    assert_float_equal(mean[0], 0.4, 1e-7);
    assert_float_equal(std[0], sqrt(0.14), 1e-7);
    assert_float_equal(mean[1], 7 / 255.0f, 1e-8f);
    assert_true(std[1] == 1.0f);
    cn_dataset_free(data);
    for (int i = 0; i < 8; i++) floats[i] = (float)pixels[i] / 255;
    images = cn_tensor_view(CN_DTYPE_F32, 4, images.shape, floats);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 1, NULL), CN_OK);
    cn_dataset_statistics(data, mean, std);
    assert_float_equal(mean[0], 0.4, 1e-6);
    assert_float_equal(std[0], sqrt(0.14), 1e-6);
    cn_dataset_free(data);
}

/* Neither rounding nor a distance from zero may pass for a spread. */
static void statistics_of_floats_are_exact_enough(void **state)
{
    (void)state;
    enum { COUNT = 999 };
    static float values[2 * COUNT];
    static int32_t labels[COUNT];
    float mean[2], std[2];
    cn_dataset *data = NULL;
    for (int i = 0; i < COUNT; i++) {
        values[2 * i] = 0.1f;
        values[2 * i + 1] = 1e7f + (float)(i % 3 - 1);
    }
    cn_tensor images = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){COUNT, 1, 1, 2}, values);
    assert_int_equal(cn_dataset_create(&data, &images, labels, 1, NULL), CN_OK);
    cn_dataset_statistics(data, mean, std);
    assert_true(mean[0] == 0.1f && std[0] == 1.0f);
    assert_true(mean[1] == 1e7f && fabs((double)std[1] - sqrt(2.0 / 3)) < 1e-6);
    cn_dataset_free(data);
}

/* ---- Whole files */

static bool begins_with_p(const uint8_t *head, size_t size)
{
    return size > 0 && head[0] == 'p';
}

/* A device without an end is not read to its limit to find that it is no image. */
static void what_is_not_accepted_is_not_read(void **state)
{
    char folder[FILES_PATH], path[FILES_PATH];
    uint8_t content[1000] = "p", *read;
    size_t size;
    (void)state;
    files_make_folder(folder);
    files_write(files_join(path, folder, "file"), content, sizeof content);
    assert_int_equal(cn_file_read(path, 5000, begins_with_p, &read, &size, NULL), CN_OK);
    assert_int_equal(size, sizeof content);
    assert_memory_equal(read, content, size);
    cn_release(read);
    content[0] = 'q';
    files_write(path, content, sizeof content);
    assert_int_equal(cn_file_read(path, 5000, begins_with_p, &read, &size, NULL), CN_OK);
    assert_int_equal(size, CN_HEAD);
    assert_memory_equal(read, content, size);
    cn_release(read);
    assert_int_equal(cn_file_read("/dev/zero", SIZE_MAX / 4, begins_with_p, &read, &size, NULL),
                     CN_OK);
    assert_int_equal(size, CN_HEAD);
    cn_release(read);
    files_remove_folder(folder);
}

static void a_file_is_read_up_to_its_limit(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    static uint8_t content[200000];
    uint8_t *read = NULL;
    size_t size = 0;
    cn_error err;
    for (size_t i = 0; i < sizeof content; i++) content[i] = (uint8_t)(i * 7);
    files_make_folder(folder);
    files_join(path, folder, "file");
    const size_t sizes[] = {0, 1, 65535, 65536, 65537, sizeof content};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        files_write(path, content, sizes[i]);
        assert_int_equal(cn_file_read(path, sizes[i], NULL, &read, &size, NULL), CN_OK);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(read, content, size);
        cn_release(read);
    }
    assert_int_equal(cn_file_read(path, sizeof content - 1, NULL, &read, &size, &err),
                     CN_ERR_UNSUPPORTED);
    assert_says(err, "file: 200000 bytes, expected at most 199999");
    assert_int_equal(cn_file_read(folder, 10, NULL, &read, &size, &err), CN_ERR_IO);
    assert_says(err, "expected a file, found a directory");
    remove(path);
    assert_int_equal(cn_file_read(path, 10, NULL, &read, &size, &err), CN_ERR_IO);
    assert_says(err, "file: cannot be opened: No such file");
    /* A long name leaves room for the reason. */
    char name[2000] = "";
    while (strlen(name) < sizeof name - 8) strcat(name, "folder/");
    assert_int_equal(cn_file_read(name, 10, NULL, &read, &size, &err), CN_ERR_IO);
    assert_says(err, "/folder/: cannot be opened: No such file");
    files_remove_folder(folder);
    /* A file without an end or a size: the limit is what ends the reading. */
    assert_int_equal(cn_file_read("/dev/zero", 100000, NULL, &read, &size, &err),
                     CN_ERR_UNSUPPORTED);
    assert_says(err, "/dev/zero: more than 100000 bytes");
    assert_int_equal(cn_file_read("/dev/null", 100000, NULL, &read, &size, &err), CN_OK);
    assert_int_equal(size, 0);
    cn_release(read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idx_gives_shape_and_elements),
        cmocka_unit_test(idx_elements_are_big_endian),
        cmocka_unit_test(idx_lies_are_refused),
        cmocka_unit_test(a_gzip_bomb_is_not_inflated),
        cmocka_unit_test(a_damaged_gzip_is_an_error),
        cmocka_unit_test(every_truncation_of_idx_is_an_error),
        cmocka_unit_test(every_flipped_bit_of_idx_is_noticed),
        cmocka_unit_test(the_four_files_are_found_in_every_spelling),
        cmocka_unit_test(names_may_begin_with_a_word),
        cmocka_unit_test(a_bad_set_is_refused_by_name),
        cmocka_unit_test(an_unknown_spec_says_what_there_is),
        cmocka_unit_test(remarks_are_lines),
        cmocka_unit_test(mnist_has_its_published_figures),
        cmocka_unit_test(digits_are_embedded),
        cmocka_unit_test(a_set_is_a_copy_that_can_be_sliced),
        cmocka_unit_test(a_wrong_set_is_refused),
        cmocka_unit_test(batches_are_normalized_channel_by_channel),
        cmocka_unit_test(statistics_are_a_channels_mean_and_deviation),
        cmocka_unit_test(statistics_of_floats_are_exact_enough),
        cmocka_unit_test(a_file_is_read_up_to_its_limit),
        cmocka_unit_test(what_is_not_accepted_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

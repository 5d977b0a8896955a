/* test_signature.c - what is handed to the wrong reader is named. */
#include "base/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"

static const struct {
    const char *bytes;
    size_t size;
    const char *name;
} files[] = {
#define FILE_OF(bytes, name)          \
    {                                 \
        bytes, sizeof bytes - 1, name \
    }
    FILE_OF("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
            "a Git LFS pointer, which \"git lfs pull\" replaces"),
    FILE_OF("<!DOCTYPE HTML>\n<html></html>", "an HTML page"),
    FILE_OF("<HTML><body></body></HTML>", "an HTML page"),
    FILE_OF("PK\x03\x04 this is an archive",
            "a ZIP archive, such as PyTorch's .pt and NumPy's .npz"),
    FILE_OF("\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P",
            "a Python pickle, such as an old PyTorch's .pt"),
    FILE_OF("\x1f\x8b\x08\0\0\0\0\0\0\x03 some more", "packed with gzip"),
    FILE_OF("\x89HDF\r\n\x1a\n\0\0\0\0\0", "an HDF5 file"),
    FILE_OF("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
    FILE_OF("\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
    FILE_OF("RIFF\x10\0\0\0WEBPVP8 ", "a WebP image"),
    FILE_OF("\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    FILE_OF("P5\n2 2\n255\n....", "a PNM image"),
    FILE_OF("\x93NUMPY\x01\0v\0{'descr'", "a NumPy array (.npy)"),
    FILE_OF("{\"layers\": [1, 2, 3]}", "a JSON file"),
};
enum { FILES = sizeof files / sizeof *files };

static void files_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILES; i++) {
        const cn_signature *s = cn_signature_find((const uint8_t *)files[i].bytes, files[i].size);
        if (!s) fail_msg("file %zu is not known", i);
        assert_string_equal(s->name, files[i].name);
    }
    /* A header of 896 bytes, whose length begins as a pickle does. */
    assert_string_equal(
        cn_signature_find((const uint8_t *)"\x80\x03\0\0\0\0\0\0{\"a\":{}}", 16)->name,
        "a safetensors file");
    uint8_t preamble[CN_HEAD] = {0};
    memcpy(preamble + 128, "DICM", 4);
    assert_string_equal(cn_signature_find(preamble, sizeof preamble)->name, "a DICOM file");
    assert_null(cn_signature_find(preamble, sizeof preamble - 1));
    assert_null(cn_signature_find((const uint8_t *)"", 0));
    assert_null(cn_signature_find((const uint8_t *)"P", 1));
    assert_null(cn_signature_find((const uint8_t *)"Photograph", 10));
    assert_null(cn_signature_find((const uint8_t *)"\0\0\x08\x03", 4));
}

static void a_model_is_none_of_them(void **state)
{
    char path[FILES_PATH], expected[FILES_PATH];
    (void)state;
    files_join(path, folder, "model.safetensors");
    for (size_t i = 0; i < FILES; i++) {
        cn_model *model = NULL;
        cn_error err;
        files_write(path, files[i].bytes, files[i].size);
        assert_int_equal(cn_model_load(&model, path, &err), CN_ERR_FORMAT);
        snprintf(expected, sizeof expected, "not a safetensors file (%s)", files[i].name);
        if (!strstr(err.text, expected)) fail_msg("%s: %s", files[i].name, err.text);
    }
}

/* Where gzip's first bytes pass for the size of a header that the file has room for. */
static void a_large_gzip_is_no_model(void **state)
{
    char path[FILES_PATH];
    cn_model *model = NULL;
    cn_error err;
    enum { SIZE = 1 << 20 };
    uint8_t *bytes = calloc(SIZE, 1);
    (void)state;
    assert_non_null(bytes);
    memcpy(bytes, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
    files_join(path, folder, "model.safetensors");
    files_write(path, bytes, SIZE);
    free(bytes);
    assert_int_equal(cn_model_load(&model, path, &err), CN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "not a safetensors file (packed with gzip)"));
}

/* What has a model's name and no signature is refused by that name. */
static void a_name_tells_what_was_expected(void **state)
{
    char path[FILES_PATH];
    cn_model *model = NULL;
    cn_error err;
    (void)state;
    files_join(path, folder, "model.onnx");
    for (size_t size = 0; size <= 5; size += 5) {
        files_write(path, "hello", size);
        assert_int_equal(cn_model_load(&model, path, &err), CN_ERR_FORMAT);
        assert_non_null(strstr(err.text, "model.onnx: not an ONNX model"));
    }
    remove(path);
}

static void readers_of_data_name_them(void **state)
{
    static const struct {
        const char *file, *spec;
    } readers[] = {
        {"train-images-idx3-ubyte", "idx:%s"},
        {"x.npy", "npy:%s/x.npy"},
        {"x.npz", "npz:%s/x.npz"},
        {"x.csv", "csv:%s/x.csv"},
#ifdef CONVNET_HAVE_HDF5
        {"x.h5", "hdf5:%s/x.h5"},
#endif
    };
    static const char *const others[] = {"train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                         "t10k-labels-idx1-ubyte", "y.npy"};
    char path[FILES_PATH], spec[2 * FILES_PATH];
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        files_write(files_join(path, folder, others[i]), files[0].bytes, files[0].size);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        cn_dataset *data = NULL;
        cn_error err;
        files_write(files_join(path, folder, readers[i].file), files[0].bytes, files[0].size);
        snprintf(spec, sizeof spec, readers[i].spec, folder);
        assert_int_equal(cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err), CN_ERR_FORMAT);
        if (!strstr(err.text, "a Git LFS pointer")) fail_msg("%s: %s", spec, err.text);
    }
    cn_tensor image = {0};
    cn_error err;
    files_write(files_join(path, folder, "x.png"), files[0].bytes, files[0].size);
    assert_int_equal(cn_image_load(&image, path, &err), CN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "found a Git LFS pointer"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_known),
        cmocka_unit_test(a_model_is_none_of_them),
        cmocka_unit_test(a_large_gzip_is_no_model),
        cmocka_unit_test(a_name_tells_what_was_expected),
        cmocka_unit_test(readers_of_data_name_them),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Model files: what is saved is loaded, bit for bit; a file that lies is refused by name. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "files.h"
#include "formats/safetensors.h"

enum { CLASSES = 3 };

/* A scratch folder with a saved model in it. */
typedef struct fixture {
    char folder[FILES_PATH], path[FILES_PATH], forged[FILES_PATH];
    cn_model *model;
} fixture;

static fixture make_fixture(void)
{
    fixture f = {.model = NULL};
    const char *names[CLASSES] = {"caf\xc3\xa9", "\"two\"", ""};
    const float mean = 0.1f, std = 0.7f;
    files_make_folder(f.folder);
    files_join(f.path, f.folder, "model.safetensors");
    files_join(f.forged, f.folder, "forged.safetensors");
    assert_int_equal(cn_model_parse(&f.model, "conv 2 3x3 same, relu, maxpool 2, dense 3",
                                    (int[]){4, 4, 1}, CLASSES, 7, NULL),
                     CN_OK);
    assert_int_equal(cn_model_set_classes(f.model, CLASSES, names, NULL), CN_OK);
    assert_int_equal(cn_model_set_normalization(f.model, &mean, &std, NULL), CN_OK);
    assert_int_equal(cn_model_save(f.model, f.path, NULL), CN_OK);
    return f;
}

static void free_fixture(fixture *f)
{
    cn_model_free(f->model);
    files_remove_folder(f->folder);
}

static void assert_same_file(const char *a, const char *b)
{
    size_t a_size, b_size;
    uint8_t *a_bytes = files_read(a, &a_size), *b_bytes = files_read(b, &b_size);
    assert_int_equal(a_size, b_size);
    assert_memory_equal(a_bytes, b_bytes, a_size);
    free(a_bytes);
    free(b_bytes);
}

static void what_is_saved_is_loaded(void **state)
{
    (void)state;
    fixture f = make_fixture();
    cn_model *back = NULL;
    cn_error err = {CN_OK, ""};
    if (cn_model_load(&back, f.path, &err) != CN_OK) fail_msg("%s", err.text);
    cn_parameter in, out;
    int i = 0;
    for (; cn_model_parameter(f.model, i, &in); i++) {
        assert_true(cn_model_parameter(back, i, &out));
        assert_string_equal(out.name, in.name);
        assert_memory_equal(out.value.shape, in.value.shape, sizeof in.value.shape);
        assert_memory_equal(out.value.data, in.value.data,
                            cn_tensor_count(&in.value) * sizeof(float));
    }
    assert_int_equal(i, 4);
    assert_false(cn_model_parameter(back, i, &out));
    assert_string_equal(cn_model_class_name(back, 0), "caf\xc3\xa9");
    assert_string_equal(cn_model_class_name(back, 1), "\"two\"");
    assert_memory_equal(cn_model_input_shape(back), ((int[]){4, 4, 1}), 12);
    assert_int_equal(cn_model_output_size(back), 3);
    /* The normalization and the layers' options are in the bytes. */
    assert_int_equal(cn_model_save(back, f.forged, NULL), CN_OK);
    assert_same_file(f.path, f.forged);
    cn_model_free(back);
    free_fixture(&f);
}

/* A copy of a text with the first `old` replaced by `fresh`; free it. */
static char *replace(const char *text, const char *old, const char *fresh)
{
    const char *at = strstr(text, old);
    if (!at) fail_msg("no %s in %s", old, text);
    size_t before = (size_t)(at - text), size = strlen(text) + strlen(fresh) + 1;
    char *out = malloc(size);
    assert_non_null(out);
    snprintf(out, size, "%.*s%s%s", (int)before, text, fresh, at + strlen(old));
    return out;
}

static void expect_refusal(const fixture *f, const cn_safetensors *file, cn_status status,
                           const char *part)
{
    cn_model *model = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(cn_safetensors_save(file, f->forged, NULL), CN_OK);
    assert_int_equal(cn_model_load(&model, f->forged, &err), status);
    assert_null(model);
    assert_says(err, "forged.safetensors");
    assert_says(err, part);
}

/* The graph with one piece of its text exchanged. */
static void expect_forged_graph(const fixture *f, const char *old, const char *fresh,
                                cn_status status, const char *part)
{
    cn_safetensors file = {0};
    assert_int_equal(cn_safetensors_load(&file, f->path, NULL), CN_OK);
    char *text = replace(file.metadata[0].value, old, fresh);
    file.metadata[0].value = text;
    expect_refusal(f, &file, status, part);
    free(text);
    cn_safetensors_free(&file);
}

static void a_graph_that_lies_is_refused_by_name(void **state)
{
    (void)state;
    fixture f = make_fixture();
    expect_forged_graph(&f, "\"format\":1", "\"format\":2", CN_ERR_UNSUPPORTED,
                        "model format 2, expected 1");
    expect_forged_graph(&f, "\"format\":1", "\"format\":\"1\"", CN_ERR_UNSUPPORTED, "model format");
    expect_forged_graph(&f, "\"format\":1,", "\"format\":1,\"more\":1,", CN_ERR_FORMAT,
                        "expected \"format\" and \"graph\"");
    expect_forged_graph(&f, "{\"format\"", "{{\"format\"", CN_ERR_FORMAT, ": graph: ");
    expect_forged_graph(&f, "\"relu\"", "\"rely\"", CN_ERR_UNSUPPORTED, "unknown type \"rely\"");
    expect_forged_graph(&f, "\"std\":[0.", "\"std\":[-0.", CN_ERR_FORMAT, "deviation -0.7");
    expect_forged_graph(&f, "\"std\":[0.", "\"std\":[NaN,0.", CN_ERR_FORMAT, ": graph: ");
    expect_forged_graph(&f, "\"mean\":[0.", "\"mean\":[1e300,0.", CN_ERR_FORMAT, "normalization");
    expect_forged_graph(&f, "\"mean\":[0.", "\"mean\":[1e300],\"m\":[0.", CN_ERR_FORMAT,
                        "mean inf");
    expect_forged_graph(&f, "\"filters\":2", "\"filters\":3", CN_ERR_FORMAT, "");
    expect_forged_graph(&f, "\"filters\":2", "\"filters\":2000000000", CN_ERR_FORMAT, "");
    expect_forged_graph(&f, "\"input\":[4,4,1]", "\"input\":[4,4,0]", CN_ERR_FORMAT, "input");
    free_fixture(&f);
}

static void tensors_that_do_not_fit_the_graph_are_refused_by_name(void **state)
{
    (void)state;
    fixture f = make_fixture();
    cn_safetensors file = {0};
    assert_int_equal(cn_safetensors_load(&file, f.path, NULL), CN_OK);
    cn_named_tensor tensors[5], *owned = file.tensors;
    float weight = 0;
    memcpy(tensors, owned, 4 * sizeof *tensors);
    tensors[4] =
        (cn_named_tensor){"left.over", cn_tensor_view(CN_DTYPE_F32, 1, (int[]){1}, &weight)};
    file.tensors = tensors;
    file.tensor_count = 5;
    expect_refusal(&f, &file, CN_ERR_FORMAT, "5 tensors, but the graph has 4 parameters");
    tensors[0] = tensors[4];
    file.tensor_count = 4;
    expect_refusal(&f, &file, CN_ERR_FORMAT, "");
    tensors[0] = owned[0];
    tensors[4].name = "spare";
    file.tensor_count = 5;
    for (int i = 0; i < 4; i++) {
        cn_named_tensor keep = tensors[i];
        tensors[i].name = "renamed";
        expect_refusal(&f, &file, CN_ERR_FORMAT, keep.name);
        tensors[i] = keep;
        tensors[i].value.dtype = CN_DTYPE_I32;
        expect_refusal(&f, &file, CN_ERR_FORMAT, "another dtype");
        tensors[i] = keep;
        if (keep.value.rank < CN_MAX_RANK) {
            tensors[i].value.shape[tensors[i].value.rank++] = 1;
            expect_refusal(&f, &file, CN_ERR_FORMAT, keep.name);
        }
        tensors[i] = keep;
    }
    file.metadata[0].key = "other";
    expect_refusal(&f, &file, CN_ERR_FORMAT, "holds no model");
    file.tensors = owned;
    file.tensor_count = 4;
    cn_safetensors_free(&file);
    free_fixture(&f);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    fixture f = make_fixture();
    cn_model *model = NULL;
    cn_error err;
    assert_int_equal(cn_model_load(&model, f.folder, &err), CN_ERR_IO);
    assert_says(err, "expected a file, found a directory");
    assert_int_equal(cn_model_load(&model, NULL, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_load(NULL, f.path, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_save(NULL, f.path, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_model_save(f.model, "other.onnx", &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text,
                        "other.onnx: model_save writes .safetensors; model_export writes .onnx");
    assert_null(model);
    assert_int_equal(cn_model_create(&model, (int[]){4, 4, 1}, NULL), CN_OK);
    assert_int_equal(cn_model_save(model, f.forged, &err), CN_ERR_ARGUMENT);
    assert_says(err, "not finished");
    cn_model_free(model);
    assert_int_equal(files_count(f.folder), 1);
    free_fixture(&f);
}

/* Shortened in place, byte by byte: writing the file anew each time would take seconds. */
static void every_truncation_is_an_error(void **state)
{
    (void)state;
    fixture f = make_fixture();
    struct stat about;
    assert_int_equal(stat(f.path, &about), 0);
    for (off_t cut = about.st_size - 1; cut >= 0; cut--) {
        cn_model *model = NULL;
        assert_int_equal(truncate(f.path, cut), 0);
        assert_int_equal(cn_model_load(&model, f.path, NULL), CN_ERR_FORMAT);
        assert_null(model);
    }
    free_fixture(&f);
}

/* A flipped bit in the header is an error, or gives a model that can be used: another name of a
 * class, say. One in the weights is another weight. */
static void every_flipped_bit_of_the_header_is_an_error_or_harmless(void **state)
{
    (void)state;
    fixture f = make_fixture();
    size_t size, errors = 0;
    uint8_t *bytes = files_read(f.path, &size);
    size_t header = 8 + (size_t)bytes[0] + ((size_t)bytes[1] << 8);
    int file = open(f.path, O_WRONLY);
    for (size_t bit = 0; bit < 8 * header; bit++) {
        cn_model *model = NULL;
        uint8_t bad = bytes[bit / 8] ^ (uint8_t)(1 << bit % 8);
        assert_int_equal(pwrite(file, &bad, 1, (off_t)(bit / 8)), 1);
        cn_status status = cn_model_load(&model, f.path, NULL);
        assert_int_equal(pwrite(file, bytes + bit / 8, 1, (off_t)(bit / 8)), 1);
        if (status != CN_OK) {
            assert_null(model);
            errors++;
            continue;
        }
        assert_int_equal(cn_model_parameter_elements(model), cn_model_parameter_elements(f.model));
        assert_int_equal(cn_model_output_size(model), 3);
        cn_model_free(model);
    }
    assert_true(errors > 4 * header);
    close(file);
    free(bytes);
    free_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(a_graph_that_lies_is_refused_by_name),
        cmocka_unit_test(tensors_that_do_not_fit_the_graph_are_refused_by_name),
        cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(every_flipped_bit_of_the_header_is_an_error_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

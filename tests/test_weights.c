/*
 * test_weights.c - weights of others: which tensor is which parameter, layouts, element types, and
 * what is said where they do not fit. tests/pytorch_weights.py does it with PyTorch's own networks.
 */
#include "convnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "files.h"
#include "formats/safetensors.h"

static char folder[FILES_PATH], path[FILES_PATH];

static int set_up(void **state)
{
    (void)state;
    files_make_folder(folder);
    files_join(path, folder, "theirs.safetensors");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    files_remove_folder(folder);
    return 0;
}

/* ---- files */

enum { MOST = 16 };

/* Tensors of the values first, first + 1, ... */
typedef struct content {
    cn_named_tensor tensors[MOST];
    int count;
} content;

static void put(content *c, const char *name, int rank, const int *shape, int first)
{
    cn_tensor t = {0};
    assert_int_equal(cn_tensor_create(&t, CN_DTYPE_F32, rank, shape, NULL), CN_OK);
    for (size_t i = 0; i < cn_tensor_count(&t); i++) ((float *)t.data)[i] = (float)(first + (int)i);
    c->tensors[c->count++] = (cn_named_tensor){name, t};
}
#define PUT(c, name, first, ...) \
    put(c, name, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__}, first)

static void save(content *c)
{
    cn_safetensors file = {.tensors = c->tensors, .tensor_count = c->count};
    cn_error err;
    if (cn_safetensors_save(&file, path, &err) != CN_OK) fail_msg("%s", err.text);
    for (int i = 0; i < c->count; i++) cn_tensor_free(&c->tensors[i].value);
    c->count = 0;
}

/* A header and bytes, as they are. */
static void save_bytes(const char *header, const void *bytes, size_t size)
{
    uint8_t all[1024];
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++) all[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(all + 8, header, length);
    if (size) memcpy(all + 8 + length, bytes, size);
    files_write(path, all, 8 + length + size);
}

/* ---- models */

static cn_model *make(const char *text)
{
    cn_model *m = NULL;
    cn_error err;
    if (cn_model_parse(&m, text, (int[]){2, 3, 2}, 2, 1, &err) != CN_OK) fail_msg("%s", err.text);
    return m;
}

static const float *values_of(const cn_model *m, const char *name)
{
    cn_parameter p;
    for (int i = 0; cn_model_parameter(m, i, &p); i++)
        if (strcmp(p.name, name) == 0) return p.value.data;
    fail_msg("no parameter %s", name);
    return NULL;
}

/* All that was said of a file, a line for each tensor. */
typedef struct account {
    char text[2048];
    int lines;
} account;

static void tell(const cn_weight_match *match, void *user)
{
    account *a = user;
    size_t used = strlen(a->text);
    snprintf(a->text + used, sizeof a->text - used, "%s <- %s: %s\n",
             match->name ? match->name : "nothing", match->found ? match->found : "nothing",
             match->problem ? match->problem : "taken");
    a->lines++;
}

static cn_status load(cn_model *m, bool partial, account *a, cn_error *err)
{
    cn_load_weights_opts opts = {.partial = partial, .match = tell, .user = a};
    *a = (account){.lines = 0};
    return cn_model_load_weights(m, path, &opts, err);
}

static void assert_told(const account *a, const char *line)
{
    if (!strstr(a->text, line)) fail_msg("\"%s\" is not in\n%s", line, a->text);
}

/* ---- which is which */

static void names_are_ordered_by_their_numbers(void **state)
{
    cn_model *m = make("conv 2 1x1, relu, conv 2 1x1, conv 2 1x1, dense 2");
    content c = {.count = 0};
    account a;
    cn_error err;
    (void)state;
    PUT(&c, "net.10.weight", 100, 2, 2, 1, 1);
    PUT(&c, "net.10.bias", 110, 2);
    PUT(&c, "net.2.weight", 20, 2, 2, 1, 1);
    PUT(&c, "net.2.bias", 30, 2);
    PUT(&c, "net.0.weight", 0, 2, 2, 1, 1);
    PUT(&c, "net.0.bias", 10, 2);
    PUT(&c, "fc.weight", 200, 2, 12);
    PUT(&c, "fc.bias", 300, 2);
    save(&c);
    if (load(m, false, &a, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(a.lines, 8);
    assert_told(&a, "conv2d_1.weight <- net.0.weight: taken\n");
    assert_told(&a, "conv2d_2.weight <- net.2.weight: taken\n");
    assert_told(&a, "conv2d_3.weight <- net.10.weight: taken\n");
    assert_told(&a, "dense_1.bias <- fc.bias: taken\n");
    assert_true(values_of(m, "conv2d_3.bias")[1] == 111);
    /* (o, i) there, (i, o) here */
    assert_true(values_of(m, "conv2d_1.weight")[1] == 2);
    assert_true(values_of(m, "conv2d_1.weight")[2] == 1);
    cn_model_free(m);
}

/* The dense layer's row is (c, h, w) there and (h, w, c) here; so are those of a batch norm between
 * flatten and it. */
static void flattened_images_are_reordered(void **state)
{
    cn_model *m = make("flatten, relu, batchnorm, dense 2");
    content c = {.count = 0};
    account a;
    cn_error err;
    (void)state;
    PUT(&c, "bn.weight", 0, 12);
    PUT(&c, "bn.bias", 100, 12);
    PUT(&c, "bn.running_mean", 200, 12);
    PUT(&c, "bn.running_var", 300, 12);
    PUT(&c, "fc.weight", 0, 2, 12);
    PUT(&c, "fc.bias", 50, 2);
    save(&c);
    if (load(m, false, &a, &err) != CN_OK) fail_msg("%s", err.text);
    const float *w = values_of(m, "dense_1.weight"),
                *mean = values_of(m, "batch_norm_1.running_mean");
    for (int h = 0; h < 2; h++)
        for (int x = 0; x < 3; x++)
            for (int k = 0; k < 2; k++) {
                int here = (h * 3 + x) * 2 + k, there = (k * 2 + h) * 3 + x;
                assert_true(mean[here] == (float)(200 + there));
                for (int o = 0; o < 2; o++) assert_true(w[here * 2 + o] == (float)(o * 12 + there));
            }
    cn_model_free(m);

    m = make("flatten as a, dense 12, add a, dense 2");
    assert_int_equal(load(m, true, &a, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "flattens images in another order");
    cn_model_free(m);
}

static void what_does_not_fit_is_listed(void **state)
{
    cn_model *m = make("conv 2 1x1 no_bias, batchnorm, dense 2");
    content c = {.count = 0};
    account a;
    cn_error err;
    (void)state;
    PUT(&c, "conv.weight", 1, 2, 2, 1, 1);
    PUT(&c, "conv.bias", 1, 2);
    PUT(&c, "bn.weight", 1, 2);
    PUT(&c, "bn.bias", 1, 2);
    PUT(&c, "bn.running_mean", 1, 2);
    PUT(&c, "fc.weight", 1, 3, 12);
    PUT(&c, "fc.scales", 1, 3);
    save(&c);
    float before = values_of(m, "conv2d_1.weight")[0];
    assert_int_equal(load(m, false, &a, &err), CN_ERR_SHAPE);
    assert_says(err, "2 missing, 2 extra, 1 of another shape");
    assert_says(err, "batch_norm_1.running_var: missing");
    assert_int_equal(a.lines, 9);
    assert_told(&a, "nothing <- conv.bias: extra\n");
    assert_told(&a, "nothing <- fc.scales: extra\n");
    assert_told(&a, "dense_1.weight <- fc.weight: shape (3, 12), expected (2, 12)\n");
    assert_told(&a, "dense_1.bias <- nothing: missing\n");
    assert_true(values_of(m, "conv2d_1.weight")[0] == before);

    assert_int_equal(load(m, true, &a, &err), CN_OK);
    assert_true(values_of(m, "conv2d_1.weight")[0] == 1);
    assert_true(values_of(m, "batch_norm_1.running_var")[0] == 1); /* as it begins */
    cn_model_free(m);

    m = make("relu, softmax");
    assert_int_equal(load(m, true, &a, &err), CN_ERR_SHAPE);
    cn_model_free(m);
}

/* ---- element types */

static void other_floats_are_widened_and_counters_passed_over(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x3e, 0x00, 0xc0,                   /* F16 1.5, -2 */
                                    0xc0, 0x3f, 0x00, 0x00,                   /* BF16 1.5, 0 */
                                    0,    0,    0,    0,    0, 0, 0xf8, 0x3f, /* F64 1.5 */
                                    7,    0,    0,    0,    0, 0, 0,    0};   /* I64 7 */
    cn_model *m = make("conv 1 1x1, conv 1 1x1, softmax");
    account a;
    cn_error err;
    (void)state;
    save_bytes("{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[1,2,1,1],\"data_offsets\":[0,4]},"
               "\"b.weight\":{\"dtype\":\"BF16\",\"shape\":[1,1,1,2],\"data_offsets\":[4,8]},"
               "\"a.bias\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[8,16]},"
               "\"a.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],"
               "\"data_offsets\":[16,24]}}",
               bytes, sizeof bytes);
    assert_int_equal(load(m, true, &a, &err), CN_OK);
    assert_int_equal(a.lines, 4);
    assert_true(values_of(m, "conv2d_1.weight")[0] == 1.5f);
    assert_true(values_of(m, "conv2d_1.weight")[1] == -2);
    assert_true(values_of(m, "conv2d_1.bias")[0] == 1.5f);
    assert_told(&a, "conv2d_2.weight <- b.weight: shape (1, 1, 1, 2), expected (1, 1, 1, 1)\n");
    cn_model_free(m);
}

/* Integers, types that are not known, and texts of any kind beside them. */
static void what_is_no_weight_is_named_where_one_is_missing(void **state)
{
    cn_model *m = make("conv 1 1x1, softmax");
    account a;
    cn_error err;
    (void)state;
    save_bytes("{\"__metadata__\":{\"epoch\":3,\"more\":{\"a\":null}},"
               "\"a.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
               "\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[1,2,1,1],\"data_offsets\":[4,6]},"
               "\"a.zero\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[6,8]}}",
               "1234567", 8);
    assert_int_equal(load(m, false, &a, &err), CN_ERR_SHAPE);
    assert_says(err, "2 missing, 1 extra, 0 of another shape, and 2 arrays passed over; the first "
                     "of these: a.weight: dtype F8_E4M3");
    save_bytes("{\"__metadata__\":null,"
               "\"a.bias\":{\"dtype\":\"F4\",\"shape\":[9],\"data_offsets\":[0,9]}}",
               "12345678", 8);
    assert_int_equal(load(m, true, &a, &err), CN_ERR_FORMAT);
    assert_says(err, "expected 9 bytes of tensors, found 8");
    cn_model_free(m);
}

/* The file, and an index that says where its two weights are. */
static void save_index(const char *index, const char *first, const char *second)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"metadata\": {}, \"weight_map\": {\"a.weight\": %s, \"a.bias\": %s}}", first,
             second);
    files_write(index, text, strlen(text));
}

static void a_model_in_several_files_is_read_by_its_index(void **state)
{
    static const struct {
        const char *first, *says;
    } wrong[] = {
        {"\"../theirs.safetensors\"", "expected the name of a file beside it"},
        {"\"\"", "expected the name of a file beside it"},
        {"3", "a.weight: expected a file's name"},
        {"\"missing.safetensors\"", "missing.safetensors: cannot be opened"},
    };
    char index[FILES_PATH];
    cn_model *m = make("conv 1 1x1, softmax");
    content c = {.count = 0};
    cn_load_weights_opts opts = {.partial = false};
    cn_error err;
    (void)state;
    PUT(&c, "a.weight", 5, 1, 2, 1, 1);
    PUT(&c, "a.bias", 9, 1);
    save(&c);
    snprintf(index, sizeof index, "%.*s.index.json", (int)sizeof index - 16, path);
    save_index(index, "\"theirs.safetensors\"", "\"theirs.safetensors\"");
    if (cn_model_load_weights(m, index, &opts, &err) != CN_OK) fail_msg("%s", err.text);
    assert_true(values_of(m, "conv2d_1.weight")[1] == 6 && values_of(m, "conv2d_1.bias")[0] == 9);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        save_index(index, wrong[i].first, "\"theirs.safetensors\"");
        assert_int_not_equal(cn_model_load_weights(m, index, &opts, &err), CN_OK);
        assert_says(err, wrong[i].says);
    }
    files_write(index, "{}", 2);
    assert_int_equal(cn_model_load_weights(m, index, &opts, &err), CN_ERR_FORMAT);
    assert_says(err, "weight_map: expected an object");
    cn_model_free(m);
}

static void lies_are_refused(void **state)
{
    static const struct {
        const char *header, *says;
    } files[] = {
        {"{\"a\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,8]}}", "expected 24 bytes"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[4294967296],\"data_offsets\":[0,8]}}", "extent 0"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2147483647,2147483647,2147483647],"
         "\"data_offsets\":[0,8]}}",
         "exceeds the address space"},
        {"{\"a\":{\"dtype\":\"BOOL\",\"shape\":[-8],\"data_offsets\":[0,8]}}", "extent 0"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[1,1,1,1,1,4],\"data_offsets\":[0,12]}}",
         "expected 8 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
         "16 bytes of tensors"},
    };
    cn_model *m = make("conv 1 1x1, softmax");
    account a;
    cn_error err;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        save_bytes(files[i].header, "12345678", 8);
        if (load(m, true, &a, &err) != CN_ERR_FORMAT && err.status != CN_ERR_UNSUPPORTED)
            fail_msg("%s: %s", files[i].header, err.text);
        assert_says(err, files[i].says);
    }
    cn_model_free(m);
}

/* ---- and back */

static void weights_are_written_under_their_names(void **state)
{
    cn_model *m = make("depthwise 1x2 depth_multiplier 2, relu, dense 3");
    content c = {.count = 0};
    char again[FILES_PATH];
    size_t size[2];
    account a;
    cn_error err;
    (void)state;
    PUT(&c, "dw.weight", 0, 4, 1, 1, 2);
    PUT(&c, "dw.bias", 10, 4);
    PUT(&c, "fc.weight", 20, 3, 16);
    PUT(&c, "fc.bias", 90, 3);
    save(&c);
    assert_int_equal(load(m, false, &a, &err), CN_OK);
    files_join(again, folder, "again.safetensors");
    if (cn_model_export(m, again, &(cn_export_opts){.like = path}, &err) != CN_OK)
        fail_msg("%s", err.text);
    uint8_t *first = files_read(path, &size[0]), *second = files_read(again, &size[1]);
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(first, second, size[0]);
    free(first);
    free(second);
    cn_model_free(m);

    m = make("depthwise 1x2 depth_multiplier 2, relu, dense 4");
    assert_int_equal(cn_model_export(m, again, &(cn_export_opts){.like = path}, &err),
                     CN_ERR_SHAPE);
    assert_says(err, "dense_1.weight has shape (3, 16), expected (4, 16)");
    assert_int_equal(cn_model_export(m, "x.onnx", &(cn_export_opts){.like = path}, &err),
                     CN_ERR_ARGUMENT);
    cn_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_ordered_by_their_numbers),
        cmocka_unit_test(flattened_images_are_reordered),
        cmocka_unit_test(what_does_not_fit_is_listed),
        cmocka_unit_test(other_floats_are_widened_and_counters_passed_over),
        cmocka_unit_test(what_is_no_weight_is_named_where_one_is_missing),
        cmocka_unit_test(a_model_in_several_files_is_read_by_its_index),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(weights_are_written_under_their_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/*
 * test_keras_export.c - models written for Keras: the weights read back are the same bits, the network
 * has the layers and options that Keras reads, what Keras has not is refused by name; and files of
 * Keras 2 and 3 are read with an optimizer's state in them.
 * tests/keras_models.py has Keras itself run such files.
 */
#include "formats/hdf5_weights.h"
#include "formats/keras_export.h"
#include "formats/weights.h"
#include "formats/zip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"

static cn_model *make(const char *text, uint64_t seed)
{
    cn_model *m = NULL;
    cn_error err;
    if (cn_model_parse(&m, text, (int[]){9, 8, 6}, 3, seed, &err) != CN_OK)
        fail_msg("%s: %s", text, err.text);
    return m;
}

/* Without libhdf5 there is nothing to write with: that is said, and the test ends. */
static void export(const cn_model *m, const char *path)
{
    cn_error err;
    cn_status status = cn_model_export(m, path, NULL, &err);
    if (status == CN_ERR_UNSUPPORTED && strstr(err.text, "without libhdf5")) skip();
    if (status != CN_OK) fail_msg("%s", err.text);
}

static void weights_read_back_are_the_same(void **state)
{
    static const char *const texts[] = {
        "depthwise 3x3 same depth_multiplier 2, batchnorm no_scale, relu, conv 4 3x3 groups 2, "
        "batchnorm no_shift, layernorm, conv 4 3x3 no_bias, groupnorm 2, dense 5, dense 3",
        "conv 4 3x3, convtranspose 5 2x2 stride 2, depthwise 3x3, layernorm all_axes, dense 3",
        "conv 1 1x1, conv 1 1x1, conv 1 1x1, conv 1 1x1, conv 1 1x1, conv 1 1x1, conv 1 1x1, "
        "conv 1 1x1, conv 1 1x1, conv 1 1x1, conv 1 1x1, conv 1 1x1, dense 3",
    };
    static const char *const endings[] = {"m.keras", "m.weights.h5"};
    char path[FILES_PATH];
    (void)state;
    for (size_t i = 0; i < 2 * sizeof texts / sizeof *texts; i++) {
        cn_model *m = make(texts[i / 2], 1), *other = make(texts[i / 2], 2);
        cn_error err;
        files_join(path, folder, endings[i % 2]);
        export(m, path);
        assert_memory_not_equal(m->block, other->block, m->block_size * sizeof *m->block);
        if (cn_model_load_weights(other, path, NULL, &err) != CN_OK) fail_msg("%s", err.text);
        assert_memory_equal(m->block, other->block, m->block_size * sizeof *m->block);
        cn_model_free(other);
        cn_model_free(m);
    }
}

/* A member of the archive as JSON. */
static json_t *read_member(const char *path, const char *name)
{
    cn_zip_member *members = NULL;
    json_t *json = NULL;
    int count = 0;
    assert_int_equal(cn_zip_list(&members, &count, path, NULL), CN_OK);
    assert_int_equal(count, 3);
    for (int i = 0; i < count; i++) {
        cn_source *source = NULL;
        if (strcmp(members[i].name, name) != 0) continue;
        char *text = malloc(members[i].size);
        assert_non_null(text);
        assert_int_equal(cn_zip_open(&source, path, &members[i], NULL), CN_OK);
        assert_int_equal(cn_source_read(source, text, members[i].size, name, NULL), CN_OK);
        json = json_loadb(text, members[i].size, 0, NULL);
        cn_source_close(source);
        free(text);
    }
    cn_release(members);
    assert_non_null(json);
    return json;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void the_network_is_written_layer_by_layer(void **state)
{
    static const struct {
        const char *type, *name;
    } wanted[] = {
        {"InputLayer", "input"},
        {"ZeroPadding2D", "a_pad"},
        {"Conv2D", "a"},
        {"ReLU", "relu_1"},
        {"ZeroPadding2D", "p_pad"},
        {"MaxPooling2D", "p"},
        {"Conv2D", "conv2d_2"},
        {"Add", "add_1"},
        {"Flatten", "d_flatten"},
        {"Dense", "d"},
        {"Activation", "softmax_1"},
    };
    enum { COUNT = sizeof wanted / sizeof *wanted };
    cn_model *m =
        make("conv 4 3x3 pads 1x2x0x1 stride 2 as a, relu, maxpool 3 stride 2 pads 1 as p, "
             "conv 4 3x3 same, add p, dense 3 as d, softmax",
             1);
    char path[FILES_PATH];
    (void)state;
    files_join(path, folder, "network.keras");
    export(m, path);
    json_t *root = read_member(path, "config.json");
    const json_t *config = json_object_get(root, "config"),
                 *layers = json_object_get(config, "layers");
    assert_string_equal(text_at(root, "class_name"), "Functional");
    assert_int_equal(json_array_size(layers), COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const json_t *layer = json_array_get(layers, i);
        assert_string_equal(text_at(layer, "class_name"), wanted[i].type);
        assert_string_equal(text_at(layer, "name"), wanted[i].name);
        assert_string_equal(text_at(json_object_get(layer, "config"), "name"), wanted[i].name);
    }
    /* Rows above and below, columns left and right; two inputs as a list of them. */
    const json_t *pads =
        json_object_get(json_object_get(json_array_get(layers, 1), "config"), "padding");
    char *text = json_dumps(pads, JSON_COMPACT);
    assert_string_equal(text, "[[1,0],[2,1]]");
    free(text);
    const json_t *nodes = json_object_get(json_array_get(layers, 7), "inbound_nodes"),
                 *args = json_object_get(json_array_get(nodes, 0), "args");
    assert_int_equal(json_array_size(json_array_get(args, 0)), 2);
    text = json_dumps(json_object_get(config, "output_layers"), JSON_COMPACT);
    assert_string_equal(text, "[\"softmax_1\",0,0]");
    free(text);
    json_decref(root);
    cn_model_free(m);
}

static void what_keras_has_not_is_refused(void **state)
{
    static const struct {
        const char *text, *layer;
    } rows[] = {
        {"conv 4 3x3, lrn 3 as l, dense 3", "l (local_response_norm)"},
        {"avgpool 3 pads 1 as p, dense 3", "p (average_pool): Keras: pads"},
        {"maxpool 3 pads 1 as p, dense 3", "p (max_pool): Keras: pads"},
        {"conv 4 3x3 stride 2 dilation 2 as c, dense 3", "c (conv2d): Keras: strides"},
        {"gelu approximate as g, dense 3", "g (gelu): Keras"},
        {"conv 4 3x3 same as a, conv 4 3x3 same as a_pad, conv 2 3x3 pads 1 as a/pad, dense 3",
         "two layers would have one name"},
    };
    char path[FILES_PATH];
    (void)state;
    files_join(path, folder, "refused.keras");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cn_model *m = make(rows[i].text, 1);
        cn_error err;
        assert_int_equal(cn_model_export(m, path, NULL, &err), CN_ERR_UNSUPPORTED);
        assert_says(err, rows[i].layer);
        assert_int_not_equal(access(path, F_OK), 0);
        cn_model_free(m);
    }
}

/* Keras's own order of layers, not the file's: the deepest first. */
static void weights_are_numbered_as_keras_numbers_layers(void **state)
{
    cn_model *m = make("conv 6 1x1 as short, conv 5 3x3 same from input as long, conv 6 3x3 same, "
                       "add short, dense 3",
                       1);
    char path[FILES_PATH];
    cn_weight_file file = {.count = 0};
    (void)state;
    files_join(path, folder, "order.weights.h5");
    export(m, path);
    assert_int_equal(cn_weight_file_load(&file, path, NULL), CN_OK);
    assert_int_equal(file.count, 8);
    int found = 0;
    for (int i = 0; i < file.count; i++) {
        const int *shape = file.tensors[i].value.shape;
        const char *name = file.tensors[i].name;
        found += strcmp(name, "layers/conv2d/vars/0") == 0 && shape[3] == 5;
        found += strcmp(name, "layers/conv2d_1/vars/0") == 0 && shape[0] == 3 && shape[3] == 6;
        found += strcmp(name, "layers/conv2d_2/vars/0") == 0 && shape[0] == 1 && shape[3] == 6;
    }
    assert_int_equal(found, 3);
    cn_weight_file_free(&file);
    cn_model_free(m);
}

static void the_same_model_gives_the_same_bytes(void **state)
{
    cn_model *m = make("conv 4 3x3, dense 3", 1);
    char paths[2][FILES_PATH];
    uint8_t *bytes[2];
    size_t sizes[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        files_join(paths[i], folder, i ? "b.keras" : "a.keras");
        export(m, paths[i]);
        assert_int_equal(cn_file_read(paths[i], SIZE_MAX / 4, NULL, &bytes[i], &sizes[i], NULL),
                         CN_OK);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    for (int i = 0; i < 2; i++) cn_release(bytes[i]);
    cn_model_free(m);
}

/* ---- what Keras writes of a network that it has trained */

/* The parameters of the model under these names, and beside them an optimizer's, of other numbers. */
static void write_trained(const cn_model *m, const char *const *names, const char *optimizer,
                          const char *path)
{
    cn_named_tensor tensors[16];
    float *other = calloc(m->block_size, sizeof *other);
    char beside[16][64];
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_error err;
    int count = m->parameter_count;
    assert_non_null(other);
    for (int i = 0; i < count; i++) {
        tensors[i] = (cn_named_tensor){names[i], m->parameters[i].value};
        tensors[count + i] = tensors[i];
        snprintf(beside[i], sizeof beside[i], "%s%d", optimizer, i + 2);
        tensors[count + i].name = beside[i];
        tensors[count + i].value.data = other;
    }
    cn_status status = cn_hdf5_weights_write(tensors, 2 * count, path, &bytes, &size, &err);
    free(other);
    if (status == CN_ERR_UNSUPPORTED) skip();
    assert_int_equal(status, CN_OK);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    cn_release(bytes);
}

static void trained_networks_are_read_without_their_optimizer(void **state)
{
#define KERAS_2(layer, part) "model_weights/" layer "/" layer "/" part ":0"
    static const char *const two[] = {KERAS_2("conv2d", "kernel"),
                                      KERAS_2("conv2d", "bias"),
                                      KERAS_2("batch_normalization", "gamma"),
                                      KERAS_2("batch_normalization", "beta"),
                                      KERAS_2("batch_normalization", "moving_mean"),
                                      KERAS_2("batch_normalization", "moving_variance"),
                                      KERAS_2("dense", "kernel"),
                                      KERAS_2("dense", "bias")};
    static const char *const three[] = {"layers/conv2d/vars/0",
                                        "layers/conv2d/vars/1",
                                        "layers/batch_normalization/vars/0",
                                        "layers/batch_normalization/vars/1",
                                        "layers/batch_normalization/vars/2",
                                        "layers/batch_normalization/vars/3",
                                        "layers/dense/vars/0",
                                        "layers/dense/vars/1"};
    static const struct {
        const char *file, *const *names, *optimizer;
    } rows[] = {{"trained.h5", two, "optimizer_weights/Adam/conv2d/kernel_"},
                {"trained.weights.h5", three, "optimizer/vars/"}};
    const char *text = "conv 4 3x3, batchnorm, relu, dense 3";
    (void)state;
    for (int i = 0; i < 2; i++) {
        cn_model *m = make(text, 1), *other = make(text, 2);
        char path[FILES_PATH];
        cn_error err;
        files_join(path, folder, rows[i].file);
        write_trained(m, rows[i].names, rows[i].optimizer, path);
        if (cn_model_load_weights(other, path, NULL, &err) != CN_OK) fail_msg("%s", err.text);
        assert_memory_equal(m->block, other->block, m->block_size * sizeof *m->block);
        cn_model_free(other);
        cn_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_read_back_are_the_same),
        cmocka_unit_test(the_network_is_written_layer_by_layer),
        cmocka_unit_test(what_keras_has_not_is_refused),
        cmocka_unit_test(weights_are_numbered_as_keras_numbers_layers),
        cmocka_unit_test(the_same_model_gives_the_same_bytes),
        cmocka_unit_test(trained_networks_are_read_without_their_optimizer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

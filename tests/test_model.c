/* test_model.c - building models: shapes, errors, the text form, the JSON form, the zoo. */
#include "base/counter.h"
#include "model/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cn_model *parse(const char *text, int n_H, int n_W, int n_C)
{
    cn_model *m = NULL;
    cn_error err = {0};
    if (cn_model_parse(&m, text, (int[]){n_H, n_W, n_C}, 10, 7, &err) != CN_OK)
        fail_msg("%s: %s", text, err.text);
    return m;
}

/* ---- shapes */

static void shapes_follow_from_the_options(void **state)
{
    static const struct {
        const char *text;
        int in[3], rank, out[3];
        size_t parameters, multiply_adds;
    } cases[] = {
        {"conv 6 5x5 same", {28, 28, 1}, 3, {28, 28, 6}, 156, 28 * 28 * 150},
        {"conv 6 5x5", {28, 28, 1}, 3, {24, 24, 6}, 156, 24 * 24 * 150},
        {"conv 4 3x2 stride 2x3 same no_bias", {9, 10, 3}, 3, {5, 4, 4}, 72, 20 * 72},
        {"conv 64 7x7 stride 2 pads 3", {224, 224, 3}, 3, {112, 112, 64}, 9472, 0},
        {"conv 1 3x3 pads 1x0", {5, 5, 2}, 3, {5, 3, 1}, 19, 15 * 18},
        {"conv 1 3x3 pads 1x0x0x2", {5, 5, 2}, 3, {4, 5, 1}, 19, 20 * 18},
        {"maxpool 2", {7, 6, 5}, 3, {3, 3, 5}, 0, 0},
        {"maxpool 8 same", {64, 60, 8}, 3, {8, 8, 8}, 0, 0},
        {"avgpool 3x2 stride 1 pads 1", {4, 4, 2}, 3, {4, 5, 2}, 0, 0},
        {"maxpool 2x3 stride 1 pads 1x2", {4, 4, 2}, 3, {5, 6, 2}, 0, 0},
        {"dense 10", {4, 4, 2}, 1, {10}, 330, 320},
        {"dense classes no_bias", {4, 4, 2}, 1, {10}, 320, 320},
        {"flatten", {4, 5, 2}, 1, {40}, 0, 0},
        {"tanh", {4, 5, 2}, 3, {4, 5, 2}, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_layer_info info;
        cn_model *m = parse(cases[i].text, cases[i].in[0], cases[i].in[1], cases[i].in[2]);
        assert_true(cn_model_layer(m, 1, &info));
        assert_int_equal(info.rank, cases[i].rank);
        for (int j = 0; j < info.rank; j++) assert_int_equal(info.shape[j], cases[i].out[j]);
        assert_int_equal(info.parameters, cases[i].parameters);
        if (cases[i].multiply_adds) assert_int_equal(info.multiply_adds, cases[i].multiply_adds);
        if (!strchr(cases[i].text, ' ')) assert_string_equal(info.options, "");
        assert_memory_equal(cn_model_input_shape(m), cases[i].in, sizeof cases[i].in);
        assert_true(cn_model_layer(m, 2, &info));
        assert_string_equal(info.name, "softmax_1");
        assert_false(cn_model_layer(m, 3, &info));
        cn_model_free(m);
    }
}

static void the_zoo_has_the_published_sizes(void **state)
{
    static const struct {
        const char *name;
        size_t parameters, statistics;
    } cases[] = {
        {"lenet5", 61706, 0},
        {"signs", 1310, 0},   /* the course's figure */
        {"happy", 37569, 64}, /* 37,633 there, statistics included */
        {"digits", 38282, 0},
        {"vgg-small", 1186378, 0},
        {"mnist-fast", 289642, 832},
        {"signs-fast", 246166, 736},
        {"cifar-fast", 1971640, 2304},
        {"resnet20", 272474, 1568},
        {"resnet18", 11689512, 9600}, /* torchvision's, and so are the next three */
        {"resnet18-cifar", 11173962, 9600},
        {"resnet50", 25557032, 53120},
        {"resnet50-course", 23546886, 53120}, /* 23,600,006, statistics included */
        {"mobilenet-v1", 4231976, 21888},     /* 4,253,864 in Keras, statistics included */
        {"mobilenet-v2", 3504872, 34112},     /* torchvision's */
        {"unet", 31037698, 11776},
    };
    (void)state;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        cn_model *m;
        const cn_zoo_network *network = cn_zoo(i);
        assert_string_equal(network->name, cases[i].name);
        assert_non_null(network->text);
        assert_int_equal(
            cn_model_parse_outline(&m, network->name, network->shape, network->classes, NULL),
            CN_OK);
        assert_int_equal(cn_model_parameter_count(m), cases[i].parameters);
        assert_int_equal(cn_model_statistic_count(m), cases[i].statistics);
        int pixels = strcmp(network->name, "unet") ? 1 : 128 * 128;
        assert_int_equal(cn_model_output_size(m),
                         strcmp(network->name, "happy") ? pixels * network->classes : 1);
        cn_model_free(m);
    }
    assert_null(cn_zoo((int)(sizeof cases / sizeof *cases)));
    assert_null(cn_zoo(-1));
}

/* ---- errors while building */

typedef cn_node build(cn_model *m);

static cn_node large_kernel(cn_model *m)
{
    cn_node x = cn_max_pool(m, cn_input(m), (cn_pool_opts){.size = {2}});
    x = cn_conv2d(m, x, (cn_conv2d_opts){.filters = 1, .kernel = {9}});
    return cn_dense(m, x, (cn_dense_opts){.units = -3}); /* a later error is not the one */
}
static cn_node no_filters(cn_model *m)
{
    return cn_conv2d(m, cn_input(m), (cn_conv2d_opts){.kernel = {3}});
}
static cn_node negative_stride(cn_model *m)
{
    return cn_conv2d(m, cn_input(m), (cn_conv2d_opts){.filters = 1, .kernel = {3}, .stride = {-2}});
}
static cn_node pads_and_same(cn_model *m)
{
    return cn_conv2d(m, cn_input(m),
                     (cn_conv2d_opts){.filters = 1, .kernel = {3}, .pad = CN_SAME, .pads = {0, 1}});
}
static cn_node unknown_padding(cn_model *m)
{
    return cn_conv2d(m, cn_input(m),
                     (cn_conv2d_opts){.filters = 1, .kernel = {3}, .pad = (cn_padding)2});
}
static cn_node wide_pads(cn_model *m)
{
    return cn_max_pool(m, cn_input(m), (cn_pool_opts){.size = {2, 3}, .pads = {1, 2, 2, 2}});
}
static cn_node pool_after_dense(cn_model *m)
{
    cn_node x = cn_dense(m, cn_input(m), (cn_dense_opts){.units = 5, .name = "head"});
    return cn_max_pool(m, x, (cn_pool_opts){.size = {2}});
}
static cn_node foreign_input(cn_model *m)
{
    return cn_relu(m, 4);
}
static cn_node taken_name(cn_model *m)
{
    cn_node x = cn_dense(m, cn_input(m), (cn_dense_opts){.units = 5, .name = "head"});
    return cn_dense(m, x, (cn_dense_opts){.units = 5, .name = "head"});
}
static cn_node bad_name(cn_model *m)
{
    return cn_dense(m, cn_input(m), (cn_dense_opts){.units = 5, .name = "a b"});
}
static cn_node forgotten_branch(cn_model *m)
{
    cn_node x = cn_relu(m, cn_input(m));
    cn_tanh(m, x);
    return cn_sigmoid(m, x);
}
static cn_node huge_output(cn_model *m)
{
    return cn_conv2d(m, cn_input(m), (cn_conv2d_opts){.filters = 1 << 30, .kernel = {1}});
}
static cn_node no_output(cn_model *m)
{
    (void)m;
    return 7;
}

static void the_first_error_is_reported(void **state)
{
    static const struct {
        build *build;
        cn_status status;
        const char *text;
    } cases[] = {
        {large_kernel, CN_ERR_SHAPE,
         "@conv2d_1 (after max_pool_1): kernel 9 x 9 does not fit a 4 x 4"},
        {no_filters, CN_ERR_ARGUMENT, "conv2d_1 (after input): filters is 0, expected at least 1"},
        {negative_stride, CN_ERR_ARGUMENT,
         "conv2d_1 (after input): stride is -2, expected at least 1"},
        {pads_and_same, CN_ERR_ARGUMENT,
         "conv2d_1 (after input): pads are given, but \"same\" finds them itself"},
        {unknown_padding, CN_ERR_ARGUMENT, "conv2d_1 (after input): pad is 2, expected 0 to 1"},
        {wide_pads, CN_ERR_ARGUMENT,
         "max_pool_1 (after input): pads 1 2 2 2, expected less than the window of 2 x 3"},
        {pool_after_dense, CN_ERR_SHAPE,
         "max_pool_1 (after head): input has shape (5), expected (n_H, n_W, n_C)"},
        {foreign_input, CN_ERR_ARGUMENT,
         "relu: input 4 is no layer of this model, which has layers 0 to 0"},
        {taken_name, CN_ERR_ARGUMENT, "dense: the name \"head\" is taken by layer 1"},
        {bad_name, CN_ERR_ARGUMENT,
         "dense: name \"a b\", expected 1 to 63 letters, digits or any of _-./"},
        {forgotten_branch, CN_ERR_ARGUMENT,
         "model: no layer reads tanh_1, and it is not the output, which is sigmoid_1"},
        {huge_output, CN_ERR_SHAPE,
         "conv2d_1 (after input): output (8, 8, 1073741824) has more than 2147483647 elements"},
        {no_output, CN_ERR_ARGUMENT, "model: output 7, expected a layer from 0 to 0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m;
        cn_error err = {0};
        assert_int_equal(cn_model_create(&m, (int[]){8, 8, 2}, &err), CN_OK);
        cn_node x = cases[i].build(m);
        assert_int_equal(cn_model_finish(m, x, 1, &err), cases[i].status);
        assert_int_equal(err.status, cases[i].status);
        if (cases[i].text[0] == '@')
            assert_memory_equal(err.text, cases[i].text + 1, strlen(cases[i].text) - 1);
        else
            assert_string_equal(err.text, cases[i].text);
        cn_model_free(m);
    }
}

static void convolutions_that_do_not_fit_are_explained(void **state)
{
    static const struct {
        const char *text;
        cn_status status;
        const char *error;
    } cases[] = {
        {"conv 3 3x3 groups 2", CN_ERR_SHAPE,
         "conv2d_1 (after input): 2 groups, expected a divisor of the input's 2 channels and of "
         "the 3 filters"},
        {"conv 3 3x3 dilation 3x4", CN_ERR_SHAPE,
         "conv2d_1 (after input): kernel 3 x 3 with dilation 3 x 4 does not fit a 8 x 8 input "
         "padded to 8 columns"},
        {"conv 3 3x3 dilation 2147483647", CN_ERR_SHAPE,
         "conv2d_1 (after input): a kernel that reaches over 4294967295 elements"},
        {"conv 3 3x3 same dilation 1073741823", CN_ERR_SHAPE,
         "conv2d_1 (after input): a padded side of 2147483654 elements is too long"},
        {"relu, depthwise 9", CN_ERR_SHAPE,
         "depthwise_conv2d_1 (after relu_1): kernel 9 x 9 does not fit a 8 x 8 input padded to 8 "
         "rows"},
        {"depthwise 3 multiplier 2000000000", CN_ERR_SHAPE,
         "depthwise_conv2d_1 (after input): multiplier 2000000000 for 2 channels, expected at most "
         "1073741823"},
        {"convtranspose 3 2 groups 2", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after input): 2 groups, expected a divisor of the input's 2 channels "
         "and of the 3 filters"},
        {"convtranspose 3 2 stride 3x1 output_padding 1", CN_ERR_ARGUMENT,
         "conv_transpose2d_1 (after input): output_padding 1 x 1, expected less than the stride, "
         "3 x 1"},
        {"convtranspose 3 2 stride 2 same output_padding 1", CN_ERR_ARGUMENT,
         "conv_transpose2d_1 (after input): output_padding is given, but \"same\" finds the "
         "output's size itself"},
        {"convtranspose 3 1 pads 0x3x0x5", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after input): pads 3 and 5 leave nothing of the output's 8 columns"},
        {"convtranspose 3 1 stride 2147483647", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after input): an output of 15032385530 rows is too large"},
        {"dense 4, convtranspose 3 1", CN_ERR_SHAPE,
         "conv_transpose2d_1 (after dense_1): input has shape (4), expected (n_H, n_W, n_C)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m = NULL;
        cn_error err = {0};
        assert_int_equal(cn_model_parse(&m, cases[i].text, (int[]){8, 8, 2}, 10, 1, &err),
                         cases[i].status);
        assert_string_equal(err.text, cases[i].error);
        assert_null(m);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    cn_error err;
    cn_model *m = NULL;
    (void)state;
    assert_int_equal(cn_model_create(&m, (int[]){8, 0, 1}, &err), CN_ERR_SHAPE);
    assert_string_equal(err.text, "model: input shape (8, 0, 1), expected (n_H, n_W, n_C) with "
                                  "extents of at least 1 and at most 2147483647 elements");
    assert_int_equal(cn_model_create(&m, (int[]){50000, 50000, 1}, NULL), CN_ERR_SHAPE);
    assert_int_equal(cn_model_create(NULL, (int[]){8, 8, 1}, NULL), CN_ERR_ARGUMENT);
    assert_null(m);
    assert_int_equal(cn_model_finish(NULL, 0, 1, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_input(NULL), -1);
    assert_int_equal(cn_relu(NULL, 0), -1);
    m = parse("relu", 2, 2, 1);
    assert_int_equal(cn_model_finish(m, 1, 1, &err), CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "model: it is finished already");
    assert_int_equal(cn_tanh(m, 1), -1);
    cn_model_free(m);
    cn_model_free(NULL);
}

/* ---- the text form */

static void errors_point_at_the_word(void **state)
{
    static const char *const cases[][2] = {
        {"lenet6",
         "model text, word 1: \"lenet6\" is no layer or network, did you mean \"lenet5\"?"},
        {"relu, convv 2", "model text, word 3: \"convv\" is no layer, did you mean \"conv\"?"},
        {"elephant",
         "model text, word 1: expected a layer such as conv, relu, maxpool or dense, or "
         "a network such as lenet5, found \"elephant\""},
        {"relu, elephant 2", "model text, word 3: expected a layer such as conv, relu, maxpool or "
                             "dense, found \"elephant\""},
        {"conv 6 5x5 smae",
         "model text, word 4: expected stride, valid, same, pads, no_bias, default, "
         "glorot_uniform, glorot_normal, he_uniform, he_normal, dirac, dilation, groups, from, as, "
         "a "
         "comma, "
         "found \"smae\""},
        {"conv 6 5x", "model text, word 3: expected kernel as 5 or 5x3, found \"5x\""},
        {"conv 6x2 5", "model text, word 2: expected filters as a number, found \"6x2\""},
        {"conv 6 5x5x5", "model text, word 3: expected kernel as 5 or 5x3, found \"5x5x5\""},
        {"dense 10 20",
         "model text, word 3: expected no_bias, default, glorot_uniform, "
         "glorot_normal, he_uniform, he_normal, dirac, from, as, a comma, found \"20\""},
        {"maxpool 2 pads 1x2x3",
         "model text, word 4: expected pads as 1, 1x2 or 1x2x1x2, found \"1x2x3\""},
        {"maxpool 2 stride", "model text: expected stride as 5 or 5x3, found the end"},
        {"dense 99999999999",
         "model text, word 2: expected units as a number, found \"99999999999\""},
        {"dense -1", "model text, word 2: expected units as a number, found \"-1\""},
        {"relu,",
         "model text: expected a layer such as conv, relu, maxpool or dense, found the end"},
        {"relu, , relu",
         "model text, word 3: expected a layer such as conv, relu, maxpool or dense, found \",\""},
        {"conv 6", "conv2d_1 (after input): kernel is 0, expected at least 1"},
        {"relu 3", "model text, word 2: expected from, as, a comma, found \"3\""},
        {"relu as a, relu from b",
         "model text, word 7: expected the name of an earlier layer, found \"b\""},
        {"relu, add b", "model text, word 4: expected the name of an earlier layer, found \"b\""},
        {"relu, add input relu_1",
         "model text, word 5: expected from, as, a comma, found \"relu_1\""},
        {"relu, add", "add: 1 inputs, expected 2"},
        {"relu as relu, relu as", "model text: expected a name, found the end"},
        {"relu as a, tanh as a", "tanh: the name \"a\" is taken by layer 1"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "model text, word 1: \"aaaaaaaaaaaaaaaaaaaa...\" is longer than 63 characters"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m = NULL;
        cn_error err = {0};
        cn_status status = cn_model_parse(&m, cases[i][0], (int[]){8, 8, 1}, 10, 1, &err);
        assert_int_equal(status, CN_ERR_ARGUMENT);
        assert_null(m);
        assert_string_equal(err.text, cases[i][1]);
    }
    cn_error err;
    cn_model *m = NULL;
    assert_int_equal(cn_model_parse(&m, "dense classes", (int[]){8, 8, 1}, 0, 1, &err),
                     CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "model text, word 2: \"classes\" stands for the number of "
                                  "classes, which is 0, expected at least 1");
}

/* "conv2d 6 5x5 same, relu": what a summary shows is a model text. */
static void text_of(const cn_model *m, char *text, size_t size)
{
    cn_layer_info info;
    size_t used = 0;
    for (int i = 1; cn_model_layer(m, i, &info); i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s %s", i > 1 ? ", " : "", info.type,
                                 info.options);
}

static const char *const texts[] = {
    "lenet5",
    "conv 3 3x2 stride 2x1 same no_bias he_normal, avgpool 2 stride 1 pads 1x0x0x1, tanh, sigmoid",
    "conv 2 4 pads 1x2 glorot_normal, maxpool 2x1 same, flatten, dense 4 he_uniform no_bias, relu",
    "  conv 2\n3x3,relu ,\tdense 5 , softmax",
    ("conv 4 3 dilation 2x1, conv 6 2 groups 2, depthwise 3x2 stride 2 same multiplier 2, relu, "
     "convtranspose 3 2x2 stride 2x3 pads 1x0 output_padding 1x2 no_bias groups 3, relu, dense 2"),
};

static void a_summary_is_a_model_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char first[1000], second[1000];
        cn_model *a = parse(texts[i], 28, 28, 1);
        text_of(a, first, sizeof first);
        cn_model *b = parse(first, 28, 28, 1);
        text_of(b, second, sizeof second);
        assert_string_equal(first, second);
        json_t *json_a = cn_model_to_json(a, NULL), *json_b = cn_model_to_json(b, NULL);
        assert_true(json_equal(json_a, json_b));
        assert_memory_equal(a->block, b->block, a->block_size * sizeof *a->block);
        json_decref(json_a);
        json_decref(json_b);
        cn_model_free(a);
        cn_model_free(b);
    }
}

/* ---- docs/models.md */

static char *read_document(void)
{
    FILE *file = fopen(TEST_SOURCE_DIR "/docs/models.md", "rb");
    char *text = calloc(1, 100000);
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, 99999, file) > 1000);
    fclose(file);
    return text;
}

static void the_document_names_everything(void **state)
{
    char *text = read_document(), quoted[2000];
    (void)state;
    for (int i = 0; cn_layer_types[i]; i++) {
        const cn_layer_type *type = cn_layer_types[i];
        snprintf(quoted, sizeof quoted, type->word ? "`%s` (`%s`)" : "`%s`", type->name,
                 type->word);
        if (!strstr(text, quoted)) fail_msg("docs/models.md lacks %s", quoted);
        for (const cn_option *o = type->options; o && o->name; o++) {
            if (!strstr(text, o->name) && !o->words) fail_msg("docs/models.md lacks %s", o->name);
            for (int j = 0; o->words && o->words[j]; j++)
                if (!strstr(text, o->words[j])) fail_msg("docs/models.md lacks %s", o->words[j]);
        }
    }
    for (int i = 0; cn_zoo(i); i++) {
        snprintf(quoted, sizeof quoted, cn_zoo(i)->layers ? "| `%s` | `%s` |" : "| `%s` | %s |",
                 cn_zoo(i)->name, cn_zoo(i)->layers ? cn_zoo(i)->layers : cn_zoo(i)->text);
        if (!strstr(text, quoted)) fail_msg("docs/models.md lacks %s", quoted);
    }
    free(text);
}

static void the_documents_examples_are_models(void **state)
{
    char *text = read_document();
    (void)state;
    char *line = strstr(text, "```model\n") + strlen("```model\n");
    char *end = strstr(line, "```");
    int models = 0;
    for (char *stop; line < end; line = stop + 1, models++) {
        stop = strchr(line, '\n');
        *stop = '\0';
        cn_model_free(parse(line, 28, 28, 1));
    }
    assert_int_equal(models, 5);
    free(text);
}

static void the_documents_json_is_a_model(void **state)
{
    char *text = read_document();
    cn_model *m = NULL;
    cn_error err = {0};
    (void)state;
    char *start = strstr(text, "```json\n") + strlen("```json\n");
    *strstr(start, "```") = '\0';
    json_t *json = json_loads(start, 0, NULL);
    if (cn_model_from_json(&m, json, false, 1000000, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_model_output_size(m), 2);
    assert_string_equal(cn_model_class_name(m, 1), "dog");
    cn_model_free(m);
    json_decref(json);
    free(text);
}

static void bad_class_names_are_refused(void **state)
{
    (void)state;
    cn_error err;
    cn_model *m = parse("dense 2", 2, 2, 1);
    assert_int_equal(cn_model_set_classes(m, 2, (const char *[]){"yes", "no"}, &err), CN_OK);
    assert_int_equal(cn_model_set_classes(m, 2, (const char *[]){"a", NULL}, &err),
                     CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "model: the name of class 1 is NULL");
    assert_int_equal(cn_model_set_classes(m, 1, (const char *[]){"caf\xe9"}, &err),
                     CN_ERR_ARGUMENT);
    assert_string_equal(err.text, "model: the name of class 0 is not UTF-8");
    assert_int_equal(cn_model_set_classes(m, 0, NULL, &err), CN_ERR_ARGUMENT);
    assert_string_equal(cn_model_class_name(m, 1), "no");
    cn_model_free(m);
}

/* ---- the JSON form */

static void json_brings_the_same_model_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cn_model *b = NULL;
        cn_model *a = parse(texts[i], 28, 28, 1);
        assert_int_equal(cn_model_set_classes(a, 2, (const char *[]){"yes", "n\"o"}, NULL), CN_OK);
        assert_int_equal(cn_model_set_normalization(a, &(float){0.1307F}, &(float){0.3081F}, NULL),
                         CN_OK);
        json_t *json = cn_model_to_json(a, NULL);
        char *text = json_dumps(json, 0);
        json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        size_t count = cn_model_parameter_count(a);
        assert_int_equal(cn_model_from_json(&b, read, false, count, NULL), CN_OK);
        json_t *again = cn_model_to_json(b, NULL);
        assert_true(json_equal(json, again));
        assert_int_equal(cn_model_parameter_count(b), count);
        assert_string_equal(cn_model_class_name(b, 1), "n\"o");
        assert_null(cn_model_class_name(b, 2));
        assert_true(b->mean[0] == 0.1307F && b->std[0] == 0.3081F);
        for (size_t j = 0; j < b->block_size; j++) assert_true(b->block[j] == 0);
        cn_model_free(b);
        b = NULL;
        if (count > 0)
            assert_int_equal(cn_model_from_json(&b, read, false, count - 1, NULL), CN_ERR_SHAPE);
        assert_null(b);
        json_decref(json);
        json_decref(read);
        json_decref(again);
        free(text);
        cn_model_free(a);
    }
}

static void json_that_lies_is_refused(void **state)
{
#define LAYER(options) "{\"input\": [4, 4, 1], \"output\": \"a\", \"layers\": [{" options "}]}"
#define RELU           "\"type\": \"relu\", \"name\": \"a\", \"inputs\": [\"input\"]"
    static const struct {
        const char *json;
        cn_status status;
        const char *text;
    } cases[] = {
        {"[]", CN_ERR_FORMAT, "model: the graph is not an object with \"layers\""},
        {"{\"input\": [4, 4], \"layers\": []}", CN_ERR_FORMAT,
         "model: \"input\" is not a list of three positive integers"},
        {"{\"input\": [4, 4, 99999999999], \"layers\": []}", CN_ERR_FORMAT,
         "model: \"input\" is not a list of three positive integers"},
        {"{\"input\": [4, 4, 1], \"layers\": []}", CN_ERR_FORMAT,
         "model: \"output\" is not the name of a layer"},
        {"{\"input\": [4, 4, 1], \"layers\": [], \"more\": 1}", CN_ERR_FORMAT,
         "model: unknown key \"more\" in the graph"},
        {LAYER("\"type\": \"relu\", \"name\": \"a\""), CN_ERR_FORMAT,
         "model: layer 1 lacks a \"type\", a \"name\" or \"inputs\""},
        {LAYER("\"type\": \"gulp\", \"name\": \"a\", \"inputs\": [\"input\"]"), CN_ERR_UNSUPPORTED,
         "model: layer 1, \"a\", has the unknown type \"gulp\""},
        {LAYER("\"type\": \"relu\", \"name\": \"a\", \"inputs\": [\"a\"]"), CN_ERR_FORMAT,
         "model: input 0 of layer \"a\" is not an earlier layer's name"},
        {LAYER("\"type\": \"relu\", \"name\": \"a\", \"inputs\": []"), CN_ERR_FORMAT,
         "model: layer \"a\" has 0 inputs, expected 1 to 8"},
        {LAYER(RELU ", \"slope\": 1"), CN_ERR_FORMAT, "a: \"slope\" is not an option of relu"},
        {LAYER("\"type\": \"dense\", \"name\": \"a\", \"inputs\": [\"input\"], \"units\": 1.5"),
         CN_ERR_FORMAT, "a: \"units\" is not an integer"},
        {LAYER("\"type\": \"dense\", \"name\": \"a\", \"inputs\": [\"input\"]"), CN_ERR_ARGUMENT,
         "a (after input): units is 0, expected at least 1"},
        {LAYER("\"type\": \"max_pool\", \"name\": \"a\", \"inputs\": [\"input\"], \"size\": [2]"),
         CN_ERR_FORMAT, "a: \"size\" is not two integers"},
        {LAYER("\"type\": \"max_pool\", \"name\": \"a\", \"inputs\": [\"input\"], \"pad\": 1"),
         CN_ERR_FORMAT, "a: \"pad\" is not one of its words"},
        {"{\"input\": [4, 4, 1], \"output\": \"a\", \"classes\": [1], \"layers\": [{" RELU "}]}",
         CN_ERR_FORMAT, "model: class 0 is not a text"},
        {"{\"input\": [4, 4, 1], \"output\": \"a\", \"normalization\": {\"mean\": [0]}, "
         "\"layers\": [{" RELU "}]}",
         CN_ERR_FORMAT, "model: \"normalization\" has 1 means and 0 deviations, expected 1"},
        {"{\"input\": [4, 4, 1], \"output\": \"a\", \"normalization\": {\"mean\": [0], \"std\": "
         "[0]}, \"layers\": [{" RELU "}]}",
         CN_ERR_ARGUMENT,
         "model: channel 0 has mean 0 and deviation 0, expected finite numbers and a deviation "
         "above 0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m = NULL;
        cn_error err = {0};
        json_t *json = json_loads(cases[i].json, 0, NULL);
        assert_non_null(json);
        assert_int_equal(cn_model_from_json(&m, json, false, 1000, &err), cases[i].status);
        assert_string_equal(err.text, cases[i].text);
        assert_null(m);
        json_decref(json);
    }
}

/* ---- parameters */

static void parameters_are_named_and_initialised(void **state)
{
    static const struct {
        const char *words;
        double limit, variance; /* of the weights of a 5 x 5 convolution of 4 into 20 channels */
    } cases[] = {
        {"", 0.1, 0.01 / 3},
        {" glorot_normal", 1, 0.01 / 3},
        {" he_uniform", 0.24494897, 0.02},
        {" he_normal", 1, 0.02},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        cn_parameter w, b, none;
        snprintf(text, sizeof text, "conv 20 5x5%s", cases[i].words);
        cn_model *m = parse(text, 8, 8, 4);
        assert_true(cn_model_parameter(m, 0, &w));
        assert_true(cn_model_parameter(m, 1, &b));
        assert_false(cn_model_parameter(m, 2, &none));
        assert_string_equal(w.name, "conv2d_1.weight");
        assert_string_equal(b.name, "conv2d_1.bias");
        assert_memory_equal(w.value.shape, ((int[]){5, 5, 4, 20}), 4 * sizeof(int));
        double sum = 0, squares = 0;
        const float *value = w.value.data;
        for (int j = 0; j < 2000; j++) {
            assert_true(fabs((double)value[j]) <= cases[i].limit);
            sum += (double)value[j];
            squares += (double)value[j] * (double)value[j];
        }
        /* 2000 draws: the mean and the variance stray by 1/45 and 1/32 (normal), four times that
         * is never seen. */
        assert_true(fabs(sum / 2000) < 4 * sqrt(cases[i].variance / 2000));
        assert_true(fabs(squares / 2000 / cases[i].variance - 1) < 4 * sqrt(2.0 / 2000));
        for (int j = 0; j < 20; j++) assert_true(((float *)b.value.data)[j] == 0);
        cn_model_free(m);
    }
    /* The draws themselves: parameter i takes stream i. */
    cn_model *m = parse("dense 4, dense 2", 2, 2, 1);
    double limit = sqrt(6.0 / (4 + 2));
    const float *second = m->parameters[2].value.data;
    for (uint64_t j = 0; j < 8; j++)
        assert_true(second[j] == (float)(limit * (2 * cn_counter_uniform(7, 2, j) - 1)));
    cn_model_free(m);
}

/* Planning takes time that grows with the square: a file's graph must not ask for hours. */
static void too_many_layers_are_refused(void **state)
{
    (void)state;
    cn_model *model = NULL;
    cn_error err;
    assert_int_equal(cn_model_create(&model, (int[]){1, 1, 1}, NULL), CN_OK);
    cn_node x = cn_input(model);
    for (int i = 1; i < 10000; i++) x = cn_relu(model, x);
    assert_int_equal(x, 9999);
    assert_true(cn_relu(model, x) < 0);
    assert_int_equal(cn_model_finish(model, x, 1, &err), CN_ERR_UNSUPPORTED);
    assert_string_equal(err.text, "model: more than 10000 layers");
    cn_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow_from_the_options),
        cmocka_unit_test(the_zoo_has_the_published_sizes),
        cmocka_unit_test(the_first_error_is_reported),
        cmocka_unit_test(convolutions_that_do_not_fit_are_explained),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(errors_point_at_the_word),
        cmocka_unit_test(a_summary_is_a_model_text),
        cmocka_unit_test(the_document_names_everything),
        cmocka_unit_test(the_documents_examples_are_models),
        cmocka_unit_test(the_documents_json_is_a_model),
        cmocka_unit_test(bad_class_names_are_refused),
        cmocka_unit_test(json_brings_the_same_model_back),
        cmocka_unit_test(json_that_lies_is_refused),
        cmocka_unit_test(parameters_are_named_and_initialised),
        cmocka_unit_test(too_many_layers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

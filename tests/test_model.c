/* test_model.c - building models: shapes, the text form, the JSON form, the zoo. */
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
        size_t parameters, buffers;
    } cases[] = {
        {"lenet5", 61706, 0},
        {"signs", 1310, 0},   /* the course's figure */
        {"happy", 37569, 64}, /* 37,633 there, statistics included */
        {"digits", 38282, 0},
        {"vgg-small", 1186378, 0},
        {"mnist-fast", 289642, 832},
        {"signs-fast", 246166, 736},
        {"cifar-fast", 3149944, 2944},
        {"resnet20", 272474, 1568},
        {"resnet18", 11689512, 9600}, /* torchvision's, and so are the next three */
        {"resnet18-cifar", 11173962, 9600},
        {"resnet50", 25557032, 53120},
        {"resnet50-course", 23546886, 53120}, /* 23,600,006, statistics included */
        {"mobilenet-v1", 4231976, 21888},     /* 4,253,864 in Keras, statistics included */
        {"mobilenet-v2", 3504872, 34112},     /* torchvision's */
        {"unet", 31037698, 11776},
        {"unet-small", 486562, 1472},
        {"unet-course", 8640471, 0}, /* the course's figure */
    };
    (void)state;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        cn_model *m;
        const cn_zoo_network *network = cn_zoo_at(i);
        assert_string_equal(network->name, cases[i].name);
        assert_non_null(network->text);
        assert_int_equal(
            cn_model_parse_shapes(&m, network->name, network->shape, network->classes, NULL),
            CN_OK);
        assert_int_equal(cn_model_parameter_elements(m), cases[i].parameters);
        assert_int_equal(cn_model_buffer_elements(m), cases[i].buffers);
        bool unet = strncmp(network->name, "unet", 4) == 0;
        int pixels = unet ? network->shape[0] * network->shape[1] : 1;
        assert_int_equal(cn_model_output_size(m),
                         strcmp(network->name, "happy") ? pixels * network->classes : 1);
        cn_model_free(m);
    }
    assert_null(cn_zoo_at((int)(sizeof cases / sizeof *cases)));
    assert_null(cn_zoo_at(-1));
}

/* ---- the text form */

static void errors_point_at_the_word(void **state)
{
    static const char *const cases[][2] = {
        {"lenet6",
         "model text, word 1: \"lenet6\" is no layer or network, did you mean \"lenet5\"?"},
        {"conv 8 3x3 stride 0",
         "model text, word 5: expected stride as 5 or 5x3, of 1 or more, found \"0\""},
        {"conv 8 3x3 stride 0x2",
         "model text, word 5: expected stride as 5 or 5x3, of 1 or more, found \"0x2\""},
        {"conv 8 3x0",
         "model text, word 3: expected kernel as 5 or 5x3, of 1 or more, found \"3x0\""},
        {"conv 8 3x3 dilation 0",
         "model text, word 5: expected dilation as 5 or 5x3, of 1 or more, found \"0\""},
        {"conv 8 3x3 groups 0",
         "model text, word 5: expected groups as a number of 1 or more, found \"0\""},
        {"depthwise 3x3 depth_multiplier 0",
         "model text, word 4: expected depth_multiplier as a number of 1 or more, found \"0\""},
        {"maxpool 2 stride 0",
         "model text, word 4: expected stride as 5 or 5x3, of 1 or more, found \"0\""},
        {"convtranspose 4 3x3 stride 2 output_padding 1x0",
         "model text, word 7: expected output_padding as 5 or 5x3, of 1 or more, found \"1x0\""},
        {"conv 8 3x3 stride 2 stride 3", "model text, word 6: \"stride\": stride was given before"},
        {"conv 8 filters 9 3x3", "model text, word 3: \"filters\": filters was given before"},
        {"conv 8 3x3 same valid", "model text, word 5: \"valid\": pad was given before"},
        {"dense 8 no_bias no_bias", "model text, word 4: \"no_bias\": no_bias was given before"},
        {"dropout 0.5 rate 0.1", "model text, word 3: \"rate\": rate was given before"},
        {"relu as a as b", "model text, word 4: \"as\": a name was given before"},
        {"relu as a, relu from a from a",
         "model text, word 8: \"from\": an input was given before"},
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
    ("conv 4 3 dilation 2x1, conv 6 2 groups 2, depthwise 3x2 stride 2 same depth_multiplier 2, "
     "relu, "
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

/* Of the depthwise layer and the GELU of a model in both forms, the option's old name. */
static void old_names_of_options_are_read(void **state)
{
    char now[200], before[200];
    cn_error err;
    cn_model *read = NULL;
    (void)state;
    cn_model *a = parse("depthwise 3 depth_multiplier 2, gelu approximate", 8, 8, 2);
    cn_model *b = parse("depthwise 3 multiplier 2, gelu tanh", 8, 8, 2);
    text_of(a, now, sizeof now);
    text_of(b, before, sizeof before);
    assert_string_equal(now, before);
    assert_non_null(strstr(now, "depth_multiplier 2"));
    assert_non_null(strstr(now, "gelu approximate"));

    json_t *json = cn_model_to_json(a, NULL), *layers = json_object_get(json, "layers");
    json_t *depthwise = json_array_get(layers, 0), *gelu = json_array_get(layers, 1);
    assert_int_equal(json_integer_value(json_object_get(depthwise, "depth_multiplier")), 2);
    assert_true(json_is_true(json_object_get(gelu, "approximate")));
    json_object_del(depthwise, "depth_multiplier");
    json_object_del(gelu, "approximate");
    json_object_set_new(depthwise, "multiplier", json_integer(2));
    json_object_set_new(gelu, "tanh", json_true());
    assert_int_equal(cn_model_from_json(&read, json, false, 1000000, &err), CN_OK);
    text_of(read, before, sizeof before);
    assert_string_equal(now, before);
    json_object_set_new(gelu, "tanh", json_integer(1));
    cn_model_free(read);
    read = NULL;
    assert_int_equal(cn_model_from_json(&read, json, false, 1000000, &err), CN_ERR_FORMAT);
    assert_non_null(strstr(err.text, "\"tanh\" is not true or false"));
    json_decref(json);
    cn_model_free(a);
    cn_model_free(b);
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
    for (int i = 0; cn_layer_type_at(i); i++) {
        const cn_layer_type *type = cn_layer_type_at(i);
        snprintf(quoted, sizeof quoted, type->word ? "`%s` (`%s`)" : "`%s`", type->name,
                 type->word);
        if (!strstr(text, quoted)) fail_msg("docs/models.md lacks %s", quoted);
        for (const cn_option *o = type->options; o && o->name; o++) {
            if (!strstr(text, o->name) && !o->words) fail_msg("docs/models.md lacks %s", o->name);
            for (int j = 0; o->words && o->words[j]; j++)
                if (!strstr(text, o->words[j])) fail_msg("docs/models.md lacks %s", o->words[j]);
        }
    }
    for (int i = 0; cn_zoo_at(i); i++) {
        snprintf(quoted, sizeof quoted, cn_zoo_at(i)->layers ? "| `%s` | `%s` |" : "| `%s` | %s |",
                 cn_zoo_at(i)->name,
                 cn_zoo_at(i)->layers ? cn_zoo_at(i)->layers : cn_zoo_at(i)->text);
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
    assert_string_equal(err.text,
                        "model: the name of class 0, \"caf\\xe9\", is not UTF-8: rename it");
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
        size_t count = cn_model_parameter_elements(a);
        assert_int_equal(cn_model_from_json(&b, read, false, count, NULL), CN_OK);
        json_t *again = cn_model_to_json(b, NULL);
        assert_true(json_equal(json, again));
        assert_int_equal(cn_model_parameter_elements(b), count);
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

static void parameters_are_named_and_initialized(void **state)
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

/* ---- layers by the names of their types, and what can be asked */

static void a_layer_is_added_by_its_name_and_text(void **state)
{
    (void)state;
    cn_model *m = NULL;
    cn_layer_info info;
    cn_parameter w;
    cn_error err = {0};
    double value[4];
    int rank;
    assert_int_equal(cn_model_create(&m, (int[]){9, 8, 2}, NULL), CN_OK);
    cn_node x = cn_input(m);
    cn_node a = cn_model_add_layer(m, "conv2d", &x, 1, "6 5x3 stride 2 same as first");
    cn_node b = cn_model_add_layer(m, "conv", &x, 1, "6 1x1 stride 2");
    cn_node sum = cn_model_add_layer(m, "add", (cn_node[]){a, b}, 2, NULL);
    x = cn_model_add_layer(m, "dense", &sum, 1, "3");
    if (cn_model_finish(m, x, 1, &err) != CN_OK) fail_msg("%s", err.text);
    assert_true(cn_model_layer(m, a, &info));
    assert_string_equal(info.name, "first");
    assert_string_equal(info.options, "6 5x3 stride 2 same as first");
    assert_true(cn_model_layer(m, sum, &info) && info.inputs[0] == a && info.inputs[1] == b);

    assert_int_equal(cn_model_layer_option(m, a, "kernel", value), 2);
    assert_true(value[0] == 5 && value[1] == 3);
    assert_int_equal(cn_model_layer_option(m, a, "filters", value), 1);
    assert_true(value[0] == 6);
    assert_int_equal(cn_model_layer_option(m, b, "dilation", value), 2);
    assert_true(value[0] == 1 && value[1] == 1);
    assert_int_equal(cn_model_layer_option(m, a, "pad", value), 1);
    assert_true(value[0] == CN_PADDING_SAME);
    assert_int_equal(cn_model_layer_option(m, a, "units", value), 0);
    assert_int_equal(cn_model_layer_option(m, 99, "kernel", value), 0);

    assert_int_equal(cn_model_output_shape(m, &rank)[0], 3);
    assert_int_equal(rank, 1);
    assert_true(cn_model_parameter((const cn_model *)m, 0, &w));
    assert_null(cn_model_mean(m));
    assert_int_equal(cn_model_class_count(m), 0);
    assert_int_equal(cn_model_set_classes(m, 3, (const char *[]){"a", "b", "c"}, NULL), CN_OK);
    assert_int_equal(cn_model_set_normalization(m, (float[]){0.5F, 0.25F}, (float[]){1, 2}, NULL),
                     CN_OK);
    assert_int_equal(cn_model_class_count(m), 3);
    assert_true(cn_model_mean(m)[1] == 0.25F && cn_model_std(m)[1] == 2);
    cn_model_free(m);
}

static void a_layer_that_cannot_be_added_is_reported_at_the_end(void **state)
{
    static const struct {
        const char *type, *options;
        int inputs;
        const char *error;
    } cases[] = {
        {"convolution", "6 5x5", 1, "model: no layer is called \"convolution\""},
        {"conv2d", "6 5x5 sane", 1, "model text, word 3: expected"},
        {"conv2d", "6 5x5, relu", 1, "model text, word 3: expected one layer's options"},
        {"conv2d", "6 5x5 from input", 1, "model text, word 3: "},
        {"conv2d", "6", 1, "kernel"},
        {"conv2d", "6 5x5", 2, "2 inputs"},
        {"add", NULL, 1, "1 input"},
        {"relu", "6", 1, "model text, word 1: expected"},
        {NULL, NULL, 1, "model: layer NULL"},
        {"concat", NULL, 9, "9 inputs"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cn_model *m = NULL;
        cn_error err = {0};
        cn_node inputs[9] = {0};
        assert_int_equal(cn_model_create(&m, (int[]){9, 8, 2}, NULL), CN_OK);
        cn_node x = cn_model_add_layer(m, cases[i].type, inputs, cases[i].inputs, cases[i].options);
        assert_true(x < 0);
        assert_true(cn_model_add_layer(m, "relu", inputs, 1, NULL) < 0);
        assert_int_not_equal(cn_model_finish(m, x, 1, &err), CN_OK);
        if (!strstr(err.text, cases[i].error))
            fail_msg("case %zu: \"%s\", expected \"%s\"", i, err.text, cases[i].error);
        cn_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_follow_from_the_options),
        cmocka_unit_test(the_zoo_has_the_published_sizes),
        cmocka_unit_test(errors_point_at_the_word),
        cmocka_unit_test(a_summary_is_a_model_text),
        cmocka_unit_test(old_names_of_options_are_read),
        cmocka_unit_test(the_document_names_everything),
        cmocka_unit_test(the_documents_examples_are_models),
        cmocka_unit_test(the_documents_json_is_a_model),
        cmocka_unit_test(bad_class_names_are_refused),
        cmocka_unit_test(json_brings_the_same_model_back),
        cmocka_unit_test(json_that_lies_is_refused),
        cmocka_unit_test(parameters_are_named_and_initialized),
        cmocka_unit_test(a_layer_is_added_by_its_name_and_text),
        cmocka_unit_test(a_layer_that_cannot_be_added_is_reported_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

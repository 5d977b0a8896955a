/* Transfer learning: what has the same name and shape is copied, and a new head is put on. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "files.h"
#include "model/model.h"

static cn_model *parse(const char *layers, const int shape[3], int classes, uint64_t seed)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model, layers, shape, classes, seed, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

static cn_parameter parameter(cn_model *model, const char *name)
{
    cn_parameter p;
    for (int i = 0; cn_model_parameter(model, i, &p); i++)
        if (strcmp(p.name, name) == 0) return p;
    fail_msg("no parameter %s", name);
    return p;
}

static bool same(cn_model *a, cn_model *b, const char *name)
{
    cn_tensor x = parameter(a, name).value, y = parameter(b, name).value;
    return cn_tensor_count(&x) == cn_tensor_count(&y) &&
           memcmp(x.data, y.data, cn_tensor_count(&x) * sizeof(float)) == 0;
}

static const int small[3] = {8, 8, 1};
static const char layers[] = "conv 4 3x3 same, batch_norm, relu, maxpool 2, dense classes";

static void list(const char *name, void *user)
{
    strcat(strcat(user, name), " ");
}

static void equal_names_and_shapes_are_copied(void **state)
{
    (void)state;
    char left[200] = "";
    int copied = 77;
    cn_model *from = parse(layers, small, 10, 1), *to = parse(layers, small, 6, 2);
    ((float *)parameter(from, "batch_norm_1.running_mean").value.data)[2] = 5;
    assert_false(same(to, from, "conv2d_1.weight"));
    uint64_t version = to->version;
    assert_int_equal(cn_model_transfer(to, from, &copied, list, left, NULL), CN_OK);
    assert_int_equal(copied, 6);
    assert_string_equal(left, "dense_1.weight dense_1.bias ");
    assert_true(same(to, from, "conv2d_1.weight"));
    assert_true(same(to, from, "batch_norm_1.running_mean"));
    assert_true(to->version > version);
    cn_model_free(to);

    /* Nothing in common: said, and nothing done. */
    cn_error err;
    to = parse("dense 3", small, 3, 1);
    copied = 77;
    assert_int_equal(cn_model_transfer(to, from, &copied, NULL, NULL, &err), CN_ERR_ARGUMENT);
    assert_says(err, "no parameter of equal name and shape; the first ones are dense_1.weight and "
                     "conv2d_1.weight");
    assert_int_equal(copied, 77);
    assert_int_equal(cn_model_transfer(NULL, from, NULL, NULL, NULL, &err), CN_ERR_ARGUMENT);
    cn_model_free(to);
    cn_model_free(from);
}

static void the_head_is_replaced_and_the_rest_kept(void **state)
{
    (void)state;
    static const struct {
        const char *layers, *head;
    } cases[] = {
        {layers, "dense_1.weight"},
        {"conv 4 3x3, relu, dense 7, relu, dense classes, softmax", "dense_2.weight"},
        {"conv 4 3x3, relu, conv classes 6x6, flatten", "conv2d_2.weight"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float mean = 0.25f, std = 0.5f;
        cn_model *from = parse(cases[i].layers, small, 10, 1), *made = NULL, *again = NULL;
        cn_error err;
        assert_int_equal(cn_model_set_normalization(from, &mean, &std, NULL), CN_OK);
        if (cn_model_adapt(&made, from, small, 6, 3, &err) != CN_OK) fail_msg("%s", err.text);
        assert_int_equal(cn_model_output_size(made), 6);
        assert_true(same(made, from, "conv2d_1.weight"));
        assert_float_equal(made->mean[0], 0.25f, 0);
        for (int k = 0; k < made->parameter_count; k++)
            if (strncmp(made->parameters[k].name, cases[i].head, 7) != 0)
                assert_true(same(made, from, made->parameters[k].name));
        /* The new weights are drawn, and by the seed. */
        assert_int_equal(cn_model_adapt(&again, from, small, 6, 4, &err), CN_OK);
        assert_false(same(made, again, cases[i].head));
        cn_model_free(again);
        assert_int_equal(cn_model_adapt(&again, from, small, 6, 3, &err), CN_OK);
        assert_true(same(made, again, cases[i].head));
        cn_model_free(again);
        /* As many classes as before: nothing is new. */
        assert_int_equal(cn_model_adapt(&again, from, small, 10, 3, &err), CN_OK);
        for (int k = 0; k < again->parameter_count; k++)
            assert_true(same(again, from, again->parameters[k].name));
        cn_model_free(again);
        cn_model_free(made);
        cn_model_free(from);
    }
}

static void images_may_have_another_size(void **state)
{
    (void)state;
    cn_model *from = parse(layers, small, 10, 1), *made = NULL;
    cn_error err;
    assert_int_equal(cn_model_adapt(&made, from, (int[]){12, 10, 1}, 10, 1, &err), CN_OK);
    assert_true(same(made, from, "conv2d_1.weight"));
    assert_int_equal(parameter(made, "dense_1.weight").value.shape[0], 6 * 5 * 4);
    cn_model_free(made);
    made = NULL;
    assert_int_equal(cn_model_adapt(&made, from, (int[]){1, 1, 1}, 10, 1, &err), CN_ERR_SHAPE);
    assert_says(err, "max_pool_1 (after relu_1)");
    assert_null(made);
    cn_model_free(from);
}

static void a_network_without_a_head_is_refused(void **state)
{
    (void)state;
    cn_model *from = NULL, *made = NULL;
    cn_error err;
    assert_int_equal(cn_model_create(&from, (int[]){1, 1, 5}, NULL), CN_OK);
    assert_int_equal(
        cn_model_finish(from, cn_softmax(from, cn_flatten(from, cn_input(from))), 1, NULL), CN_OK);
    assert_int_equal(cn_model_adapt(&made, from, (int[]){1, 1, 5}, 3, 1, &err), CN_ERR_ARGUMENT);
    assert_says(err, "no layer chooses the 5 outputs, which should become 3");
    assert_int_equal(cn_model_adapt(NULL, from, small, 3, 1, &err), CN_ERR_ARGUMENT);
    cn_model_free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_names_and_shapes_are_copied),
        cmocka_unit_test(the_head_is_replaced_and_the_rest_kept),
        cmocka_unit_test(images_may_have_another_size),
        cmocka_unit_test(a_network_without_a_head_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_sums.c - which convolutions add to a branch where it lies, and that this changes no bit.
 *
 * Each network is built twice: as it is, and with poolings of one pixel, which change nothing,
 * between the branches and their sums, so that each sum runs by itself.
 */
#include "networks.h"

/* A network under construction. */
typedef struct net {
    cn_model *m;
    cn_node input; /* (9, 8, 2) */
    cn_node x;     /* (9, 8, 4), a branch, which is also read by */
    cn_node h;     /* (9, 8, 4) */
    bool apart;    /* the sums run by themselves */
} net;

static cn_node apart(const net *n, cn_node x)
{
    return n->apart ? cn_average_pool(n->m, x, &(cn_pool_opts){.size = {1}}) : x;
}

static cn_node sum(const net *n, cn_node a, cn_node b)
{
    return cn_add(n->m, apart(n, a), apart(n, b));
}

static cn_node conv(const net *n, cn_node x, int filters)
{
    return cn_conv2d(n->m, x,
                     &(cn_conv2d_opts){.filters = filters, .kernel = {3}, .pad = CN_PADDING_SAME});
}

static cn_node norm(const net *n, cn_node x)
{
    return cn_batch_norm(n->m, x, NULL);
}

static cn_node dropout(const net *n, cn_node x)
{
    return cn_dropout(n->m, x, &(cn_dropout_opts){.rate = 0.5});
}

/* ---- networks whose convolutions add */

static cn_node identity_block(const net *n)
{
    return cn_relu(n->m, sum(n, norm(n, conv(n, n->h, 4)), n->x));
}

/* Of two convolutions the later one adds, with its ReLU6 behind. */
static cn_node projection_block(const net *n)
{
    cn_node y = norm(n, conv(n, n->h, 4));
    return cn_relu6(n->m, sum(n, y, norm(n, conv(n, n->x, 4))));
}

static cn_node sum_is_the_output(const net *n)
{
    return sum(n, n->x, conv(n, n->h, 4));
}

static cn_node sum_is_read_twice(const net *n)
{
    cn_node y = sum(n, n->x, conv(n, n->h, 4));
    return cn_concat(n->m, (cn_node[]){cn_relu(n->m, y), cn_tanh(n->m, y)}, 2);
}

static cn_node chain(const net *n)
{
    cn_node y = sum(n, n->x, conv(n, n->h, 4));
    return cn_relu(n->m, sum(n, conv(n, n->h, 4), y));
}

static cn_node blocks(const net *n)
{
    cn_node y = cn_relu(n->m, sum(n, conv(n, n->h, 4), n->x));
    return sum(n, conv(n, cn_relu(n->m, conv(n, y, 3)), 4), y);
}

/* What is a view where the session does not train is no obstacle. */
static cn_node dropped_branch(const net *n)
{
    return sum(n, conv(n, n->h, 4), dropout(n, n->x));
}

static cn_node dropped_convolution(const net *n)
{
    return cn_relu(n->m, sum(n, dropout(n, conv(n, n->h, 4)), n->x));
}

/* ---- and that do not */

static cn_node to_the_input(const net *n)
{
    return sum(n, conv(n, n->h, 2), n->input);
}

static cn_node branch_is_read_after(const net *n)
{
    cn_node y = cn_relu(n->m, sum(n, conv(n, n->h, 4), n->x));
    return cn_concat(n->m, (cn_node[]){y, n->x}, 2);
}

static cn_node branch_is_read_between(const net *n)
{
    cn_node y = conv(n, n->h, 4), between = cn_sigmoid(n->m, n->x);
    return cn_concat(n->m, (cn_node[]){sum(n, y, n->x), between}, 2);
}

static cn_node branch_is_read_by_the_convolution(const net *n)
{
    return cn_concat(n->m, (cn_node[]){sum(n, conv(n, n->x, 4), n->x), n->h}, 2);
}

static cn_node branch_is_computed_after(const net *n)
{
    cn_node y = conv(n, n->h, 4);
    return sum(n, y, cn_sigmoid(n->m, n->x));
}

static cn_node twice_itself(const net *n)
{
    cn_node y = conv(n, n->h, 4);
    return sum(n, y, y);
}

static cn_node convolution_is_read_elsewhere(const net *n)
{
    cn_node y = conv(n, n->h, 4), other = cn_tanh(n->m, y);
    return cn_concat(n->m, (cn_node[]){sum(n, y, n->x), other}, 2);
}

static cn_node norm_is_read_elsewhere(const net *n)
{
    cn_node y = norm(n, conv(n, n->h, 4)), other = cn_tanh(n->m, y);
    return cn_concat(n->m, (cn_node[]){sum(n, y, n->x), other}, 2);
}

static cn_node relu_before_the_sum(const net *n)
{
    return sum(n, cn_relu(n->m, conv(n, n->h, 4)), n->x);
}

static cn_node concatenation(const net *n)
{
    return cn_concat(n->m, (cn_node[]){conv(n, n->h, 4), n->x}, 2);
}

static cn_node groups(const net *n)
{
    return sum(n,
               cn_conv2d(n->m, n->h,
                         &(cn_conv2d_opts){
                             .filters = 4, .kernel = {3}, .pad = CN_PADDING_SAME, .groups = 2}),
               n->x);
}

static cn_node dilation(const net *n)
{
    return sum(
        n,
        cn_conv2d(n->m, n->h,
                  &(cn_conv2d_opts){
                      .filters = 4, .kernel = {3}, .pad = CN_PADDING_SAME, .dilation = {1, 2}}),
        n->x);
}

static cn_node depthwise(const net *n)
{
    return sum(n,
               cn_depthwise_conv2d(
                   n->m, n->h, &(cn_depthwise_conv2d_opts){.kernel = {3}, .pad = CN_PADDING_SAME}),
               n->x);
}

static cn_node transposed(const net *n)
{
    return sum(
        n,
        cn_conv_transpose2d(n->m, n->h, &(cn_conv_transpose2d_opts){.filters = 4, .kernel = {1}}),
        n->x);
}

typedef struct example {
    const char *name;
    cn_node (*build)(const net *n);
    int adding; /* convolutions */
} example;

static const example examples[] = {
    {"identity block", identity_block, 1},
    {"projection block", projection_block, 1},
    {"sum is the output", sum_is_the_output, 1},
    {"sum is read twice", sum_is_read_twice, 1},
    {"chain", chain, 2},
    {"blocks", blocks, 2},
    {"dropped branch", dropped_branch, 1},
    {"dropped convolution", dropped_convolution, 1},
    {"to the input", to_the_input, 0},
    {"branch is read after", branch_is_read_after, 0},
    {"branch is read between", branch_is_read_between, 0},
    {"branch is read by the convolution", branch_is_read_by_the_convolution, 0},
    {"branch is computed after", branch_is_computed_after, 0},
    {"twice itself", twice_itself, 0},
    {"convolution is read elsewhere", convolution_is_read_elsewhere, 0},
    {"norm is read elsewhere", norm_is_read_elsewhere, 0},
    {"ReLU before the sum", relu_before_the_sum, 0},
    {"concatenation", concatenation, 0},
    {"groups", groups, 0},
    {"dilation", dilation, 0},
    {"depthwise", depthwise, 0},
    {"transposed", transposed, 0},
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

/* With parameters, and statistics, of no particular kind. */
static cn_model *build(const example *e, bool sums_apart)
{
    net n = {.apart = sums_apart};
    cn_error err = {0};
    cn_parameter p;
    assert_int_equal(cn_model_create(&n.m, (int[]){9, 8, 2}, NULL), CN_OK);
    n.input = cn_input(n.m);
    n.x = cn_relu(n.m, conv(&n, n.input, 4));
    n.h = cn_tanh(n.m, n.x);
    if (cn_model_finish(n.m, e->build(&n), 3, &err) != CN_OK) fail_msg("%s: %s", e->name, err.text);
    for (int i = 0; cn_model_parameter(n.m, i, &p); i++)
        for (size_t k = 0; k < cn_tensor_count(&p.value); k++)
            ((float *)p.value.data)[k] =
                (float)(0.3 * cn_counter_normal(7, (uint64_t)i, k) + (p.buffer ? 2 : 0));
    return n.m;
}

/* ---- the tests */

static void only_what_may_add_does(void **state)
{
    (void)state;
    for (int i = 0; i < EXAMPLES; i++)
        for (int kind = 0; kind < 3; kind++) { /* as it is, apart, and while it trains */
            cn_plan plan;
            cn_model *m = build(&examples[i], kind == 1);
            int adding = 0, sums = 0;
            cn_session_opts opts = {.training = kind == 2};
            assert_int_equal(cn_plan_create(&plan, m, &opts, NULL), CN_OK);
            for (int k = 0; k < m->layer_count; k++) {
                adding += plan.steps[k].add;
                sums += m->layers[k].type == &cn_add_type && !plan.steps[k].forward;
            }
            if (adding != (kind == 0 ? examples[i].adding : 0) || sums != adding)
                fail_msg("%s: %d convolutions add, and %d sums do not run", examples[i].name,
                         adding, sums);
            cn_plan_free(&plan);
            cn_model_free(m);
        }
}

/* The session's outputs, found twice, each time in memory that holds nothing but NaN. */
static cn_tensor run(cn_session *s, const cn_model *m, cn_session_opts opts, const batch *b)
{
    cn_plan plan;
    assert_int_equal(cn_plan_create(&plan, m, &opts, NULL), CN_OK);
    for (int time = 0; time < 2; time++) {
        float *activations = activations_of(s, &plan);
        for (size_t k = 0; k < plan.activations / sizeof(float); k++) activations[k] = NAN;
        assert_int_equal(cn_session_forward(s, &b->X, NULL), CN_OK);
    }
    cn_plan_free(&plan);
    return cn_session_output(s);
}

static void sums_have_the_same_bits(void **state)
{
    static batch b;
    (void)state;
    for (int i = 0; i < EXAMPLES; i++)
        for (int threads = 1; threads <= 3; threads += 2)
            for (int count = 2; count <= 5; count += 3) {
                cn_session_opts opts = {.batch = 5, .threads = threads};
                cn_model *m = build(&examples[i], false), *apart = build(&examples[i], true);
                cn_session *s = create(m, opts), *other = create(apart, opts);
                make_batch(&b, count, 3);
                cn_tensor y = run(s, m, opts, &b), want = run(other, apart, opts, &b);
                const float *found = y.data, *wanted = want.data;
                for (size_t k = 0; k < cn_tensor_count(&want); k++)
                    if (memcmp(&found[k], &wanted[k], sizeof *found) != 0 || isnan(found[k]))
                        fail_msg("%s, %d threads, %d examples: y[%zu] is %.9g, apart %.9g",
                                 examples[i].name, threads, count, k, (double)found[k],
                                 (double)wanted[k]);
                cn_session_free(s);
                cn_session_free(other);
                cn_model_free(m);
                cn_model_free(apart);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_may_add_does),
        cmocka_unit_test(sums_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Batch norm's statistics: how they move in training, and what a session that does not train makes
 * of them. (The layer itself is in test_layers.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/counter.h"
#include "convnet.h"

enum { M = 3, SIDE = 5, C = 3, ROWS = M * SIDE * SIDE, N = ROWS * C };

static cn_model *build(cn_batch_norm_opts opts)
{
    cn_model *m;
    assert_int_equal(cn_model_create(&m, (int[]){SIDE, SIDE, C}, NULL), CN_OK);
    assert_int_equal(cn_model_finish(m, cn_batch_norm(m, cn_input(m), &opts), 1, NULL), CN_OK);
    return m;
}

static float *values(cn_model *m, int i, bool buffer)
{
    cn_parameter p;
    assert_true(cn_model_parameter(m, i, &p));
    assert_int_equal(p.buffer, buffer);
    return p.value.data;
}

/* A batch whose channels have means 0, 10 and 20 and deviations 1, 2 and 3, about. */
static cn_tensor fill(float x[N], uint64_t stream)
{
    for (int i = 0; i < N; i++)
        x[i] = (float)(cn_counter_normal(3, stream, (uint64_t)i) * (1 + i % C) + 10 * (i % C));
    return cn_tensor_view(CN_DTYPE_F32, 4, (int[]){M, SIDE, SIDE, C}, x);
}

static void statistics_follow_the_batches(void **state)
{
    float x[N];
    double mean[C] = {0}, var[C] = {1, 1, 1};
    cn_session *s;
    (void)state;
    cn_model *m = build((cn_batch_norm_opts){.momentum = 0.7});
    assert_int_equal(cn_model_parameter_elements(m), 2 * C);
    assert_int_equal(cn_model_buffer_elements(m), 2 * C);
    assert_int_equal(
        cn_session_create(&s, m, &(cn_session_opts){.batch = M, .training = true}, NULL), CN_OK);
    for (uint64_t step = 0; step < 4; step++) {
        cn_tensor X = fill(x, step);
        assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
        for (int c = 0; c < C; c++) {
            double sum = 0, square = 0;
            for (int i = 0; i < ROWS; i++) sum += (double)x[i * C + c];
            for (int i = 0; i < ROWS; i++) square += pow((double)x[i * C + c] - sum / ROWS, 2);
            mean[c] = 0.7 * mean[c] + 0.3 * sum / ROWS;
            var[c] = 0.7 * var[c] + 0.3 * square / (ROWS - 1);
            assert_true(fabs((double)values(m, 2, true)[c] - mean[c]) < 1e-5);
            assert_true(fabs((double)values(m, 3, true)[c] - var[c]) < 1e-4);
        }
    }
    cn_parameter g;
    assert_false(cn_session_gradient(s, 2, &g));
    cn_session_free(s);
    cn_model_free(m);
}

static void a_session_that_does_not_train_uses_them(void **state)
{
    float x[N];
    cn_session *s;
    (void)state;
    cn_model *m = build((cn_batch_norm_opts){.epsilon = 0.25});
    assert_int_equal(cn_session_create(&s, m, &(cn_session_opts){.batch = M}, NULL), CN_OK);
    for (int c = 0; c < C; c++) {
        values(m, 0, false)[c] = (float)(c - 1);
        values(m, 1, false)[c] = (float)c / 2;
        values(m, 2, true)[c] = (float)(9 * c);
        values(m, 3, true)[c] = (float)(c + 1);
    }
    cn_tensor X = fill(x, 9);
    for (int m_now = 1; m_now <= M; m_now += 2) {
        X.shape[0] = m_now;
        assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
        cn_tensor Y = cn_session_output(s);
        for (int i = 0; i < m_now * SIDE * SIDE * C; i++) {
            int c = i % C;
            double want = (c - 1) * ((double)x[i] - 9 * c) / sqrt(c + 1 + 0.25) + (double)c / 2;
            assert_true(fabs((double)((float *)Y.data)[i] - want) <= 2e-6 * (1 + fabs(want)));
        }
    }
    assert_true(values(m, 2, true)[1] == 9); /* and leaves them alone */
    cn_session_free(s);
    cn_model_free(m);
}

/* The output for some image of a model whose parameters are drawn. */
static cn_tensor run(const char *text, cn_model **m, cn_session **s)
{
    static float x[N];
    cn_parameter p;
    assert_int_equal(cn_model_parse(m, text, (int[]){SIDE, SIDE, C}, 4, 1, NULL), CN_OK);
    for (int i = 0; cn_model_parameter(*m, i, &p); i++)
        for (size_t k = 0; k < cn_tensor_count(&p.value); k++)
            ((float *)p.value.data)[k] =
                (float)(0.2 * cn_counter_normal(7, (uint64_t)i, k) + (p.buffer ? 1.5 : 0));
    assert_int_equal(cn_session_create(s, *m, &(cn_session_opts){.batch = M}, NULL), CN_OK);
    cn_tensor X = fill(x, 1);
    assert_int_equal(cn_session_forward(*s, &X, NULL), CN_OK);
    return cn_session_output(*s);
}

/* Behind a pooling of one pixel, which changes nothing, a batch norm is not folded. */
static void folding_changes_nothing_but_rounding(void **state)
{
    static const char *const texts[][2] = {
        {"conv 7 3x3 same, batchnorm, relu, conv 5 1x1 no_bias, batchnorm, sigmoid",
         "conv 7 3x3 same, avgpool 1, batchnorm, relu, conv 5 1x1 no_bias, avgpool 1, batchnorm, "
         "sigmoid"},
        {"conv 32 3x3 same, batchnorm as a, conv 32 3x3 same no_bias, batchnorm no_scale, add a, "
         "relu, depthwise 3x3 same, batchnorm no_shift, relu, sigmoid",
         "conv 32 3x3 same, avgpool 1, batchnorm as a, conv 32 3x3 same no_bias, avgpool 1, "
         "batchnorm no_scale, add a, relu, depthwise 3x3 same, avgpool 1, batchnorm no_shift, "
         "relu, sigmoid"},
    };
    (void)state;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        cn_model *m[2];
        cn_session *s[2];
        cn_tensor y[2];
        float least = 1, most = 0;
        for (int k = 0; k < 2; k++) y[k] = run(texts[t][k], &m[k], &s[k]);
        for (size_t i = 0; i < cn_tensor_count(&y[0]); i++) {
            float folded = ((float *)y[0].data)[i], apart = ((float *)y[1].data)[i];
            assert_true(fabsf(folded - apart) < 2e-6F);
            least = fminf(least, apart);
            most = fmaxf(most, apart);
        }
        assert_true(most - least > 0.2F); /* it is not all one number */
        for (int k = 0; k < 2; k++) {
            cn_session_free(s[k]);
            cn_model_free(m[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_follow_the_batches),
        cmocka_unit_test(folding_changes_nothing_but_rounding),
        cmocka_unit_test(a_session_that_does_not_train_uses_them),
    };
    return cmocka_run_group_tests_name("batch_norm", tests, NULL, NULL);
}

/*
 * textbook.c - the course's functions as textbook loops.
 *
 * Indices: example i, row h and column w of the output, channel c of the output; u and v count the
 * rows and columns of a window, k the channels of the input. Where a window reaches into the
 * padding, the input's row or column falls outside the image and the product is zero.
 */
#include "course/textbook.h"

#include <math.h>
#include <string.h>

/* The element [i, j, k, l] of an F64 tensor of rank 4. */
static double *at(const cn_tensor *t, int i, int j, int k, int l)
{
    const int *n = t->shape;
    return (double *)t->data + ((((ptrdiff_t)i * n[1] + j) * n[2] + k) * n[3] + l);
}

/* Element i, in C order, of an F32 or F64 tensor. */
static double value(const cn_tensor *t, size_t i)
{
    return t->dtype == CN_DTYPE_F32 ? (double)((const float *)t->data)[i]
                                    : ((const double *)t->data)[i];
}

static void clear(const cn_tensor *t)
{
    memset(t->data, 0, cn_tensor_count(t) * cn_dtype_size(t->dtype));
}

/* X_pad[i, h + pad, w + pad, c] = X[i, h, w, c], a row at a time; zero elsewhere. */
void cn_course_zero_pad(const cn_tensor *X, int pad, const cn_tensor *X_pad)
{
    int m = X->shape[0], n_H = X->shape[1];
    size_t pixel = (size_t)X->shape[3] * cn_dtype_size(X->dtype);
    size_t row = (size_t)X->shape[2] * pixel, padded_row = (size_t)X_pad->shape[2] * pixel;
    clear(X_pad);
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++) {
            size_t from = (size_t)i * (size_t)n_H + (size_t)h;
            size_t to = (size_t)i * (size_t)X_pad->shape[1] + (size_t)(h + pad);
            memcpy((char *)X_pad->data + to * padded_row + (size_t)pad * pixel,
                   (const char *)X->data + from * row, row);
        }
}

double cn_course_conv_single_step(const cn_tensor *a_slice_prev, const cn_tensor *W,
                                  const cn_tensor *b)
{
    double Z = 0;
    for (size_t j = 0; j < cn_tensor_count(W); j++) Z += value(a_slice_prev, j) * value(W, j);
    return Z + value(b, 0);
}

/* ---- convolution */

/* Z[i,h,w,c] = sum over u,v,k of A_prev_pad[i, h s + u, w s + v, k] W[u,v,k,c], for one i,h,w,c. */
static double window_sum(const cn_tensor *A_prev, const cn_tensor *W, int i, int top, int left,
                         int c)
{
    int n_H_prev = A_prev->shape[1], n_W_prev = A_prev->shape[2], n_C_prev = A_prev->shape[3];
    int f = W->shape[0];
    double sum = 0;
    for (int u = 0; u < f; u++)
        for (int v = 0; v < f; v++) {
            int row = top + u, column = left + v;
            if (row < 0 || row >= n_H_prev || column < 0 || column >= n_W_prev) continue;
            for (int k = 0; k < n_C_prev; k++)
                sum += *at(A_prev, i, row, column, k) * *at(W, u, v, k, c);
        }
    return sum;
}

void cn_course_conv_forward(const cn_tensor *A_prev, const cn_tensor *W, const cn_tensor *b,
                            cn_hparameters hparameters, const cn_tensor *Z)
{
    int m = Z->shape[0], n_H = Z->shape[1], n_W = Z->shape[2], n_C = Z->shape[3];
    int stride = hparameters.stride, pad = hparameters.pad;
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++)
                    *at(Z, i, h, w, c) =
                        window_sum(A_prev, W, i, h * stride - pad, w * stride - pad, c) +
                        *at(b, 0, 0, 0, c);
}

/* Z[i,h,w,c] is a sum of products A_prev W: each factor's gradient is the other factor times
 * dZ[i,h,w,c]. */
static void window_gradients(double dz, const cn_tensor *A_prev, const cn_tensor *W, int i, int top,
                             int left, int c, const cn_tensor *dA_prev, const cn_tensor *dW)
{
    int n_H_prev = A_prev->shape[1], n_W_prev = A_prev->shape[2], n_C_prev = A_prev->shape[3];
    int f = W->shape[0];
    for (int u = 0; u < f; u++)
        for (int v = 0; v < f; v++) {
            int row = top + u, column = left + v;
            if (row < 0 || row >= n_H_prev || column < 0 || column >= n_W_prev) continue;
            for (int k = 0; k < n_C_prev; k++) {
                *at(dA_prev, i, row, column, k) += *at(W, u, v, k, c) * dz;
                *at(dW, u, v, k, c) += *at(A_prev, i, row, column, k) * dz;
            }
        }
}

void cn_course_conv_backward(const cn_tensor *dZ, const cn_tensor *A_prev, const cn_tensor *W,
                             cn_hparameters hparameters, const cn_tensor *dA_prev,
                             const cn_tensor *dW, const cn_tensor *db)
{
    int m = dZ->shape[0], n_H = dZ->shape[1], n_W = dZ->shape[2], n_C = dZ->shape[3];
    int stride = hparameters.stride, pad = hparameters.pad;
    clear(dA_prev);
    clear(dW);
    clear(db);
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++) {
                    double dz = *at(dZ, i, h, w, c);
                    window_gradients(dz, A_prev, W, i, h * stride - pad, w * stride - pad, c,
                                     dA_prev, dW);
                    *at(db, 0, 0, 0, c) += dz;
                }
}

/* ---- pooling */

/* The larger of the two; NaN where either is. */
static double larger(double max, double x)
{
    return x > max || isnan(x) ? x : max;
}

static bool is_max(double x, double max)
{
    return x == max || (isnan(x) && isnan(max));
}

/* The maximum, or the mean, of A_prev[i, top : top + f, left : left + f, c]. */
static double window_max(const cn_tensor *A_prev, int i, int top, int left, int c, int f)
{
    double max = *at(A_prev, i, top, left, c);
    for (int u = 0; u < f; u++)
        for (int v = 0; v < f; v++) max = larger(max, *at(A_prev, i, top + u, left + v, c));
    return max;
}

static double window_mean(const cn_tensor *A_prev, int i, int top, int left, int c, int f)
{
    double sum = 0;
    for (int u = 0; u < f; u++)
        for (int v = 0; v < f; v++) sum += *at(A_prev, i, top + u, left + v, c);
    return sum / ((double)f * f);
}

void cn_course_pool_forward(const cn_tensor *A_prev, cn_hparameters hparameters, cn_pool_mode mode,
                            const cn_tensor *A)
{
    int m = A->shape[0], n_H = A->shape[1], n_W = A->shape[2], n_C = A->shape[3];
    int f = hparameters.f, stride = hparameters.stride;
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++)
                    *at(A, i, h, w, c) = mode == CN_POOL_MAX
                                             ? window_max(A_prev, i, h * stride, w * stride, c, f)
                                             : window_mean(A_prev, i, h * stride, w * stride, c, f);
}

/* A is the maximum: its gradient goes to every element that equals it. */
static void pass_to_maxima(double da, const cn_tensor *A_prev, int i, int top, int left, int c,
                           int f, const cn_tensor *dA_prev)
{
    double max = window_max(A_prev, i, top, left, c, f);
    for (int u = 0; u < f; u++)
        for (int v = 0; v < f; v++)
            if (is_max(*at(A_prev, i, top + u, left + v, c), max))
                *at(dA_prev, i, top + u, left + v, c) += da;
}

/* A is the mean: each of the f x f elements gets its share. */
static void pass_to_all(double da, int i, int top, int left, int c, int f, const cn_tensor *dA_prev)
{
    for (int u = 0; u < f; u++)
        for (int v = 0; v < f; v++) *at(dA_prev, i, top + u, left + v, c) += da / ((double)f * f);
}

void cn_course_pool_backward(const cn_tensor *dA, const cn_tensor *A_prev,
                             cn_hparameters hparameters, cn_pool_mode mode,
                             const cn_tensor *dA_prev)
{
    int m = dA->shape[0], n_H = dA->shape[1], n_W = dA->shape[2], n_C = dA->shape[3];
    int f = hparameters.f, stride = hparameters.stride;
    clear(dA_prev);
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++) {
                    double da = *at(dA, i, h, w, c);
                    if (mode == CN_POOL_MAX)
                        pass_to_maxima(da, A_prev, i, h * stride, w * stride, c, f, dA_prev);
                    else
                        pass_to_all(da, i, h * stride, w * stride, c, f, dA_prev);
                }
}

void cn_course_create_mask_from_window(const cn_tensor *x, const cn_tensor *mask)
{
    size_t n = cn_tensor_count(x);
    double max = value(x, 0);
    for (size_t j = 0; j < n; j++) max = larger(max, value(x, j));
    for (size_t j = 0; j < n; j++) ((uint8_t *)mask->data)[j] = is_max(value(x, j), max);
}

void cn_course_distribute_value(double dz, const cn_tensor *a)
{
    size_t n = cn_tensor_count(a);
    double average = dz / (double)n;
    if (a->dtype == CN_DTYPE_F32)
        for (size_t j = 0; j < n; j++) ((float *)a->data)[j] = (float)average;
    else
        for (size_t j = 0; j < n; j++) ((double *)a->data)[j] = average;
}

/* The eight functions in C, right: what the tutor takes (docs/tutor.md). */
#include <string.h>

static double at(const double *a, int n_H, int n_W, int n_C, int i, int h, int w, int c)
{
    if (h < 0 || h >= n_H || w < 0 || w >= n_W) return 0;
    return a[((i * n_H + h) * n_W + w) * n_C + c];
}

void zero_pad(const double *X, int m, int n_H, int n_W, int n_C, int pad, double *X_pad)
{
    for (int i = 0; i < m; i++)
        for (int h = -pad; h < n_H + pad; h++)
            for (int w = -pad; w < n_W + pad; w++)
                for (int c = 0; c < n_C; c++) *X_pad++ = at(X, n_H, n_W, n_C, i, h, w, c);
}

double conv_single_step(const double *a_slice_prev, const double *W, double b, int f, int n_C_prev)
{
    double sum = 0;
    for (int k = 0; k < f * f * n_C_prev; k++) sum += a_slice_prev[k] * W[k];
    return sum + b;
}

void conv_forward(const double *A_prev, const double *W, const double *b, int m, int n_H_prev,
                  int n_W_prev, int n_C_prev, int f, int n_C, int stride, int pad, double *Z)
{
    int n_H = (n_H_prev - f + 2 * pad) / stride + 1, n_W = (n_W_prev - f + 2 * pad) / stride + 1;
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++) {
                    double sum = 0;
                    for (int u = 0; u < f; u++)
                        for (int v = 0; v < f; v++)
                            for (int k = 0; k < n_C_prev; k++)
                                sum += at(A_prev, n_H_prev, n_W_prev, n_C_prev, i,
                                          h * stride - pad + u, w * stride - pad + v, k) *
                                       W[((u * f + v) * n_C_prev + k) * n_C + c];
                    *Z++ = sum + b[c];
                }
}

void pool_forward(const double *A_prev, int m, int n_H_prev, int n_W_prev, int n_C, int f,
                  int stride, int average, double *A)
{
    int n_H = (n_H_prev - f) / stride + 1, n_W = (n_W_prev - f) / stride + 1;
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++) {
                    double sum = 0, most = 0;
                    for (int u = 0; u < f; u++)
                        for (int v = 0; v < f; v++) {
                            double a = at(A_prev, n_H_prev, n_W_prev, n_C, i, h * stride + u,
                                          w * stride + v, c);
                            sum += a;
                            if ((u == 0 && v == 0) || a > most) most = a;
                        }
                    *A++ = average ? sum / (f * f) : most;
                }
}

void conv_backward(const double *dZ, const double *A_prev, const double *W, const double *b, int m,
                   int n_H_prev, int n_W_prev, int n_C_prev, int f, int n_C, int stride, int pad,
                   double *dA_prev, double *dW, double *db)
{
    int n_H = (n_H_prev - f + 2 * pad) / stride + 1, n_W = (n_W_prev - f + 2 * pad) / stride + 1;
    (void)b;
    memset(dA_prev, 0, sizeof(double) * m * n_H_prev * n_W_prev * n_C_prev);
    memset(dW, 0, sizeof(double) * f * f * n_C_prev * n_C);
    memset(db, 0, sizeof(double) * n_C);
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++) {
                    double g = *dZ++;
                    db[c] += g;
                    for (int u = 0; u < f; u++)
                        for (int v = 0; v < f; v++)
                            for (int k = 0; k < n_C_prev; k++) {
                                int y = h * stride - pad + u, x = w * stride - pad + v;
                                int weight = ((u * f + v) * n_C_prev + k) * n_C + c;
                                int pixel = ((i * n_H_prev + y) * n_W_prev + x) * n_C_prev + k;
                                if (y < 0 || y >= n_H_prev || x < 0 || x >= n_W_prev) continue;
                                dW[weight] += A_prev[pixel] * g;
                                dA_prev[pixel] += W[weight] * g;
                            }
                }
}

void create_mask_from_window(const double *x, int n_H, int n_W, double *mask)
{
    double most = x[0];
    for (int k = 0; k < n_H * n_W; k++)
        if (x[k] > most) most = x[k];
    for (int k = 0; k < n_H * n_W; k++) mask[k] = x[k] == most;
}

void distribute_value(double dz, int n_H, int n_W, double *a)
{
    for (int k = 0; k < n_H * n_W; k++) a[k] = dz / (n_H * n_W);
}

void pool_backward(const double *dA, const double *A_prev, int m, int n_H_prev, int n_W_prev,
                   int n_C, int f, int stride, int average, double *dA_prev)
{
    int n_H = (n_H_prev - f) / stride + 1, n_W = (n_W_prev - f) / stride + 1;
    memset(dA_prev, 0, sizeof(double) * m * n_H_prev * n_W_prev * n_C);
    for (int i = 0; i < m; i++)
        for (int h = 0; h < n_H; h++)
            for (int w = 0; w < n_W; w++)
                for (int c = 0; c < n_C; c++) {
                    double g = *dA++, most = -1e300;
                    for (int u = 0; u < f * f; u++) {
                        int pixel =
                            ((i * n_H_prev + h * stride + u / f) * n_W_prev + w * stride + u % f) *
                                n_C +
                            c;
                        if (A_prev[pixel] > most) most = A_prev[pixel];
                    }
                    for (int u = 0; u < f * f; u++) {
                        int pixel =
                            ((i * n_H_prev + h * stride + u / f) * n_W_prev + w * stride + u % f) *
                                n_C +
                            c;
                        if (average)
                            dA_prev[pixel] += g / (f * f);
                        else if (A_prev[pixel] == most)
                            dA_prev[pixel] += g;
                    }
                }
}

/*
 * ref_dense.c - a dense layer, from its equation:
 *
 *     y[i,k] = b[k] + sum over j of x[i,j] w[j,k]
 */
#include "reference/reference.h"

#include <string.h>

void cn_ref_dense_forward(int m, int n_in, int n_out, const double *x, const double *w,
                          const double *b, double *y)
{
    for (int i = 0; i < m; i++)
        for (int k = 0; k < n_out; k++) {
            double sum = b ? b[k] : 0;
            for (int j = 0; j < n_in; j++)
                sum += x[(size_t)i * (size_t)n_in + (size_t)j] *
                       w[(size_t)j * (size_t)n_out + (size_t)k];
            y[(size_t)i * (size_t)n_out + (size_t)k] = sum;
        }
}

void cn_ref_dense_backward(int m, int n_in, int n_out, const double *x, const double *w,
                           const double *dy, double *dx, double *dw, double *db)
{
    memset(dx, 0, sizeof(double) * (size_t)m * (size_t)n_in);
    memset(dw, 0, sizeof(double) * (size_t)n_in * (size_t)n_out);
    if (db) memset(db, 0, sizeof(double) * (size_t)n_out);

    for (int i = 0; i < m; i++)
        for (int k = 0; k < n_out; k++) {
            double d = dy[(size_t)i * (size_t)n_out + (size_t)k];
            if (db) db[k] += d;
            for (int j = 0; j < n_in; j++) {
                size_t at_x = (size_t)i * (size_t)n_in + (size_t)j;
                size_t at_w = (size_t)j * (size_t)n_out + (size_t)k;
                dx[at_x] += d * w[at_w];
                dw[at_w] += d * x[at_x];
            }
        }
}

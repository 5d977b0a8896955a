/*
 * loss_dice.c - the Dice loss (Milletari et al. 2016): how far the classes' areas are from covering
 * those of the labels, whatever their size. Over m examples of n columns, the sums over an
 * example's rows:
 *
 *     d[i,c] = (2 I + 1) / (S + 1)    I = sum of y_hat[c] y[c]    S = sum of y_hat[c] + y[c]
 *     L      = 1/m sum over i of (1 - 1/n sum over c of d[i,c])
 *     dy_hat[c] = -(2 y[c] (S + 1) - (2 I + 1)) / (S + 1)^2 / (m n)
 *
 * The 1 stands for a class that neither has: then d is 1. Ignored rows are in no sum.
 *
 * After a softmax or a sigmoid the gradient is that of the logits z. With g = dy_hat of a row:
 *
 *     softmax   dz[j] = y_hat[j] sum over k of y_hat[k] (g[j] - g[k])
 *     sigmoid   dz    = y_hat (1 - y_hat) g,  1 - y_hat = 1 / (1 + exp z)
 *
 * In this form nothing cancels where a y_hat has been rounded to 1: the softmax's other y_hat, and
 * z, still tell how far from 1 it is.
 */
#include "layers/loss.h"

#include "base/math.h"

/* I and S of a class over the rows of an example from `first` on. */
static void overlap(const cn_loss_plan *p, size_t first, size_t rows, int c, const float *y_hat,
                    const cn_tensor *Y, double *I, double *S)
{
    *I = *S = 0;
    for (size_t row = first; row < first + rows; row++) {
        if (cn_loss_ignores(Y, row)) continue;
        double y = cn_loss_target(Y, row, p->columns, c);
        double hat = y_hat[row * (size_t)p->columns + (size_t)c];
        *I += hat * y;
        *S += hat + y;
    }
}

/* A row of g becomes one of dz. Differences to the g of the largest y_hat[top] do as well as g. */
static void through_softmax(int n, const float *y_hat, float *g)
{
    double sum = 0, mean = 0;
    int top = 0;
    for (int k = 1; k < n; k++)
        if (y_hat[k] > y_hat[top]) top = k;
    const double base = g[top];
    for (int k = 0; k < n; k++) {
        sum += (double)y_hat[k];
        mean += (double)y_hat[k] * (g[k] - base);
    }
    for (int j = 0; j < n; j++) g[j] = (float)(y_hat[j] * ((g[j] - base) * sum - mean));
}

static void through_sigmoid(int n, const float *z, const float *y_hat, float *g)
{
    for (int j = 0; j < n; j++) {
        double rest = z[j] > 0 ? 1 / (1 + cn_exp((double)z[j])) : 1 - (double)y_hat[j];
        g[j] = (float)(y_hat[j] * rest * g[j]);
    }
}

double cn_loss_dice(const cn_loss_plan *p, int m, const float *z, const float *y_hat,
                    const cn_tensor *Y, float *gradient)
{
    size_t rows = (size_t)(p->size / p->columns);
    double sum = 0, scale = 1 / ((double)m * p->columns);
    for (size_t first = 0; first < (size_t)m * rows; first += rows)
        for (int c = 0; c < p->columns; c++) {
            double I, S;
            overlap(p, first, rows, c, y_hat, Y, &I, &S);
            sum += 1 - (2 * I + 1) / (S + 1);
            for (size_t row = first; gradient && row < first + rows; row++) {
                double y = cn_loss_target(Y, row, p->columns, c);
                double slope = (2 * y * (S + 1) - (2 * I + 1)) / ((S + 1) * (S + 1));
                if (cn_loss_ignores(Y, row)) slope = 0;
                gradient[row * (size_t)p->columns + (size_t)c] = (float)(-slope * scale);
            }
        }
    for (size_t row = 0; gradient && p->fused && row < (size_t)m * rows; row++) {
        size_t at = row * (size_t)p->columns;
        if (p->binary)
            through_sigmoid(p->columns, z + at, y_hat + at, gradient + at);
        else
            through_softmax(p->columns, y_hat + at, gradient + at);
    }
    return sum * scale;
}

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
 */
#include "layers/loss.h"

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

double cn_loss_dice(const cn_loss_plan *p, int m, const float *y_hat, const cn_tensor *Y,
                    float *gradient)
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
    return sum * scale;
}

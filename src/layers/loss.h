/* loss.h - the losses. The formulas are at the head of loss.c. */
#ifndef CN_LOSS_H
#define CN_LOSS_H

#include "layers/layer.h"

/* How a session finds its loss: chosen once, by the plan. */
typedef struct cn_loss_plan {
    cn_loss_kind kind; /* never CN_LOSS_DEFAULT */
    /* The output is a softmax under cross-entropy, a sigmoid under binary cross-entropy, or either
     * under the focal or the Dice loss: the gradient is that of the logits z that went into it. */
    bool fused;
    const cn_layer *output;
    bool binary; /* a focal or Dice loss of a sigmoid */
    int size;    /* elements of one example's output */
    int columns; /* its last extent: the classes of a cross-entropy */
    double smoothing;
    float *class_weights; /* owned; NULL: all 1 */
} cn_loss_plan;

/* The kind that CN_LOSS_DEFAULT stands for where a model ends in this layer; any other as it is. */
cn_loss_kind cn_loss_resolve(const cn_layer *output, cn_loss_kind kind);
/* The plan for a model that ends in this layer; cn_loss_release frees what it holds. */
cn_status cn_loss_choose(const cn_layer *output, const cn_loss_opts *opts, cn_loss_plan *plan,
                         cn_error *err);
void cn_loss_release(cn_loss_plan *plan);

/* Checks Y against m outputs: dtype, shape, labels in range. */
cn_status cn_loss_check(const cn_loss_plan *plan, int m, const cn_tensor *Y, cn_error *err);

/*
 * The mean loss of m outputs y_hat against Y, which cn_loss_check has passed. z are the logits
 * when fused, else not read. Where gradient is not NULL it receives the loss's gradient: of z when
 * fused, else of y_hat; it may not overlap the inputs. *weight (may be NULL) receives the D that
 * loss.c divides by.
 */
double cn_loss_run(const cn_loss_plan *plan, int m, const float *z, const float *y_hat,
                   const cn_tensor *Y, float *gradient, double *weight);

/* The Dice loss (loss_dice.c), whose D is m. */
double cn_loss_dice(const cn_loss_plan *plan, int m, const float *z, const float *y_hat,
                    const cn_tensor *Y, float *gradient);
/* y[j] of a row of targets, or of the row that a label stands for. */
double cn_loss_target(const cn_tensor *Y, size_t row, int columns, int j);
/* A pixel without a label: it has no part in any loss. */
bool cn_loss_ignores(const cn_tensor *Y, size_t row);

#endif

/* tta.h - test-time augmentation: one image seen in several ways. */
#ifndef CN_TTA_H
#define CN_TTA_H

#include "data/dataset.h"
#include "model/model.h"

/* An image seen from `down` and `right` pixels aside, mirrored or not. */
typedef struct cn_view {
    int down, right;
    bool flip;
    double weight; /* of what the model says of it; all of a kind sum to 1 */
} cn_view;

int cn_tta_views(cn_tta tta);
cn_view cn_tta_view(cn_tta tta, int i);
/* m images of the set, as it has them, seen so, normalized, in x; `moved` has room for as many. */
void cn_tta_look(const cn_dataset *data, const cn_view *view, const void *images, int m,
                 const float *mean, const float *std, void *moved, float *x);
/* Adds n outputs, as logits, to sum; makes outputs of the sum. */
void cn_tta_add(const cn_model *model, size_t n, const float *y, double weight, double *sum);
void cn_tta_finish(const cn_model *model, size_t n, const double *sum, float *y);
/* The mean loss of m rows of outputs, of a kind that is not CN_LOSS_DEFAULT. */
double cn_tta_loss(const cn_model *model, cn_loss_kind loss, int m, const float *y,
                   const int32_t *labels);

#endif

/* explain.h - one image's way through a network, forward and backward, for `convnet explain`. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "backends/backend.h"
#include "cli.h"

/*
 * What a network makes of one image; the double-precision twins run it unless it is large. Arrays
 * have one element per layer of the model; a layer that no gradient reaches has NULL.
 */
typedef struct cli_explained {
    const cn_model *model;
    cn_backend backend; /* what ran it, one layer after another */
    int threads;
    cn_tensor X;   /* (1, n_H, n_W, n_C), normalized */
    float **y;     /* outputs */
    float **dy;    /* gradients of the loss with respect to them; that of the image is the first */
    float **dw;    /* gradients of the parameters, one array per parameter of the model; NULL for
                      those of a batch norm, which is run as what it is when it predicts */
    int predicted; /* the class with the largest output */
    int label;     /* that the loss is found against; the prediction unless one was given */
    double loss;
    /* Of the score of the class `label` (its logit), where the output is one row of classes: the
     * largest magnitude over channels of its gradient with respect to the image (n_H, n_W), and
     * Grad-CAM (Selvaraju et al. 2017) at the last layer of feature maps; else NULL. */
    float *saliency, *cam;
    int cam_layer, cam_shape[2];
} cli_explained;

/* Which model, and how: X goes through it. */
typedef struct cli_explain_opts {
    const cn_model *model; /* finished */
    const cn_tensor *X;
    int label;           /* below 0: the predicted class */
    const char *backend; /* cpu or reference; "auto": by the multiply-adds */
    int threads;
} cli_explain_opts;

cn_status cli_explain_run(cli_explained *e, const cli_explain_opts *opts, cn_error *err);
void cli_explained_free(cli_explained *e);

/*
 * The model as it predicts, but so that it can be run in training, where gradients are found: batch
 * norm is the scale and shift that its running statistics make it (a depthwise 1 x 1 convolution),
 * dropout passes its input on. With `logits` it ends before a last softmax or sigmoid. Layers have
 * the indices that they have in the model.
 */
cn_status cli_explain_twin(cn_model **twin, const cn_model *model, bool logits, cn_error *err);

/* What the page is told, in at most `budget` bytes of text as far as that depends on what is left
 * out. NULL: out of memory. */
json_t *cli_explain_data(const cli_explained *e, size_t budget);

#endif

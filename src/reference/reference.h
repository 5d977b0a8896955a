/*
 * reference.h - every layer again, as plain loops over doubles.
 *
 * A twin is what a fast loop is checked against. It is written from the equations alone and shares
 * nothing with kernels/ or layers/, not even a header: the sizes are those of base/geometry.h.
 * Nothing is packed or copied, and padding is a test of the index, so each function can be compared
 * with its formula at a glance. Outputs are overwritten, and must not alias inputs.
 */
#ifndef CN_REFERENCE_H
#define CN_REFERENCE_H

#include "base/geometry.h"

/* Where element (i, p, q, k) of an (m, h, w, c) array lies. */
static inline size_t cn_ref_at(int h, int w, int c, int i, int p, int q, int k)
{
    return (((size_t)i * (size_t)h + (size_t)p) * (size_t)w + (size_t)q) * (size_t)c + (size_t)k;
}

/* ---- convolution (ref_conv2d.c): b and db may be NULL */

void cn_ref_conv2d_forward(const cn_conv_problem *s, const double *x, const double *w,
                           const double *b, double *y);
void cn_ref_conv2d_backward(const cn_conv_problem *s, const double *x, const double *w,
                            const double *dy, double *dx, double *dw, double *db);

/* ---- transposed convolution (ref_conv_transpose2d.c): x (m, h, w, c), w (fh, fw, oc / groups, c),
 * y (m, oh, ow, oc); b and db may be NULL */

void cn_ref_conv_transpose2d_forward(const cn_conv_problem *s, const double *x, const double *w,
                                     const double *b, double *y);
void cn_ref_conv_transpose2d_backward(const cn_conv_problem *s, const double *x, const double *w,
                                      const double *dy, double *dx, double *dw, double *db);

/* ---- pooling (ref_pool.c) */

void cn_ref_max_pool_forward(const cn_conv_problem *s, const double *x, double *y);
/* The gradient goes to the first maximum of a window, row by row, or to all with `ties`. */
void cn_ref_max_pool_backward(const cn_conv_problem *s, const double *x, const double *dy,
                              bool ties, double *dx);
void cn_ref_average_pool_forward(const cn_conv_problem *s, const double *x, double *y);
void cn_ref_average_pool_backward(const cn_conv_problem *s, const double *dy, double *dx);

/* ---- dense (ref_dense.c): x (m, n_in), w (n_in, n_out), y (m, n_out); b and db may be NULL */

void cn_ref_dense_forward(int m, int n_in, int n_out, const double *x, const double *w,
                          const double *b, double *y);
void cn_ref_dense_backward(int m, int n_in, int n_out, const double *x, const double *w,
                           const double *dy, double *dx, double *dw, double *db);

/* ---- batch norm (ref_norm.c): x (rows, c), in training; gamma, beta and their gradients may be
 * NULL
 */

void cn_ref_batch_norm_forward(size_t rows, int c, double epsilon, const double *x,
                               const double *gamma, const double *beta, double *y);
void cn_ref_batch_norm_backward(size_t rows, int c, double epsilon, const double *x,
                                const double *gamma, const double *dy, double *dx, double *d_gamma,
                                double *d_beta);

/* Where the session does not train: from the running mean and variance. The second function moves
 * them as training does, the variance unbiased. */
void cn_ref_batch_norm_predict(size_t rows, int c, double epsilon, const double *x,
                               const double *gamma, const double *beta, const double *mean,
                               const double *var, double *y);
void cn_ref_batch_norm_move(size_t rows, int c, double momentum, const double *x, double *mean,
                            double *var);

/* ---- activations (ref_activation.c): backward from the input x, not from y as the kernels do */

/* An element-wise function, found by its layer's name. The derivative at a kink is that of the left
 * side, or of the flat one. */
typedef double cn_ref_function(double x, double parameter);
typedef struct cn_ref_activation {
    const char *name;
    cn_ref_function *value, *derivative;
    double (*parameter)(const void *options); /* from the public options struct; NULL: none */
    int kinks;
    double kink[2];
} cn_ref_activation;
const cn_ref_activation *cn_ref_activation_find(const char *name);
/* Over rows of `columns`. */
void cn_ref_softmax_forward(size_t rows, int columns, const double *x, double *y);
void cn_ref_softmax_backward(size_t rows, int columns, const double *x, const double *dy,
                             double *dx);

/* ---- layer and group norm (ref_norm.c): one set of elements that share mean and variance */

/* `channels` neighbors of each of `pixels`, which lie `stride` apart, from `first` on; element at
 * has gamma[at mod period]. */
typedef struct cn_ref_set {
    size_t first, pixels;
    int channels, stride;
    size_t period;
} cn_ref_set;

/* Writes the set's elements of y and dx; d_gamma and d_beta accumulated. gamma, beta and their
 * gradients may be NULL. */
void cn_ref_set_norm_forward(const cn_ref_set *s, double epsilon, const double *x,
                             const double *gamma, const double *beta, double *y);
void cn_ref_set_norm_backward(const cn_ref_set *s, double epsilon, const double *x,
                              const double *gamma, const double *dy, double *dx, double *d_gamma,
                              double *d_beta);

/* ---- sizes of images, and dropout (ref_image.c) */

void cn_ref_adaptive_pool_forward(const cn_conv_problem *s, const double *x, double *y);
void cn_ref_adaptive_pool_backward(const cn_conv_problem *s, const double *dy, double *dx);
/* x moved down and right into y; negative: up and left. */
void cn_ref_shift_forward(const cn_conv_problem *s, int above, int left, const double *x,
                          double *y);
void cn_ref_shift_backward(const cn_conv_problem *s, int above, int left, const double *dy,
                           double *dx);
void cn_ref_upsample_forward(const cn_conv_problem *s, bool bilinear, const double *x, double *y);
void cn_ref_upsample_backward(const cn_conv_problem *s, bool bilinear, const double *dy,
                              double *dx);
/* Forward from x to y, and backward from dy to dx. */
void cn_ref_dropout(size_t n, double rate, uint64_t seed, uint64_t step, int layer, const double *x,
                    double *y);

/* ---- arrangements, and functions of two inputs (ref_arrange.c) */

/* Forward from x to y, and backward from dy to dx; n blocks of (a, b, inner). */
void cn_ref_transpose(size_t n, int a, int b, int inner, const double *x, double *y);
/* Of (outer, n, inner) the elements begin + j step, j < count, of the middle axis; backward adds to
 * where they came from. */
typedef struct cn_ref_cut {
    size_t outer, n, inner;
    int begin, step, count;
} cn_ref_cut;
void cn_ref_slice_forward(const cn_ref_cut *cut, const double *x, double *y);
void cn_ref_slice_backward(const cn_ref_cut *cut, const double *dy, double *dx);

/* y = f(a, b) and its derivatives in a and in b; found by the layer's name, NULL: none. */
typedef double cn_ref_function2(double a, double b);
typedef struct cn_ref_binary {
    const char *name;
    cn_ref_function2 *value, *in_a, *in_b;
    bool kink; /* where a = b */
} cn_ref_binary;
const cn_ref_binary *cn_ref_binary_find(const char *name);

/* ---- other sizes, and functions across channels (ref_resize.c) */

/* Forward from x to y, or backward from dy to dx. */
void cn_ref_resize(const cn_conv_problem *s, const cn_resize_opts *o, bool backward,
                   const double *from, double *to);
void cn_ref_pad(const cn_conv_problem *s, const cn_pad_opts *o, bool backward, const double *from,
                double *to);
/* Over rows of n: y, or, where dy is not NULL, dx. */
void cn_ref_log_softmax(size_t rows, int n, const double *x, const double *dy, double *to);
void cn_ref_local_response_norm(size_t rows, int n, const cn_local_response_norm_opts *o,
                                const double *x, const double *dy, double *to);

/* ---- losses (ref_loss.c) */

/* How targets are changed before they count; all zero changes nothing. */
typedef struct cn_ref_targets {
    double smoothing;
    const double *class_weights; /* n, for one output 2; NULL: none */
    size_t rows;                 /* of an example, for the Dice loss; 0 stands for 1 */
    bool binary;                 /* the focal loss of a sigmoid */
} cn_ref_targets;

/* The mean loss over rows of n outputs y_hat and n targets y, without the rows whose targets are NaN;
 * writes its gradient in y_hat to dy, which may be NULL. */
typedef double cn_ref_loss(size_t rows, size_t n, const double *y_hat, const double *y,
                           cn_ref_targets how, double *dy);
/* The twin of a loss; NULL for CN_LOSS_DEFAULT, which is none by itself. */
cn_ref_loss *cn_ref_loss_of(cn_loss_kind kind);
/* The twin of a cross-entropy found from the logits, that of a softmax or, binary, of a sigmoid: in
 * place of y_hat it takes the logits, and dy is their gradient. NULL for the others. */
cn_ref_loss *cn_ref_loss_of_logits(cn_loss_kind kind);

/* ---- the optimizers (ref_optimizer.c) */

/* Step t = 1, 2, ... of weights that share rate and decay. */
typedef struct cn_ref_update {
    const cn_optimizer *optimizer; /* defaults filled in */
    double rate, decay;
    double shrink; /* what clip_norm multiplies gradients by */
    uint64_t t;
} cn_ref_update;

/* Moves w against the gradient. SGD's v is `first`, NULL without momentum; Adam's m and v and
 * RMSprop's v and u are `first` and `second`, u NULL without momentum. */
void cn_ref_update_weights(const cn_ref_update *update, size_t n, const double *gradient,
                           double *first, double *second, double *w);

/* ---- the table (reference.c) */

/*
 * What a layer decides: which side of its kink every element is on. Two inputs with one pattern are
 * joined by smooth ground; `near` counts the decisions that a change of `reach` could turn.
 */
typedef struct cn_ref_decisions {
    uint64_t pattern;
    size_t near;
} cn_ref_decisions;

cn_ref_decisions cn_ref_max_pool_decisions(const cn_conv_problem *s, const double *x, double reach);

/* What the layers that depend on it go by. */
typedef enum cn_twin_mode {
    CN_TWIN_DIFFERENTIATES, /* as in training, but without moving the running buffers */
    CN_TWIN_TRAINS,
    CN_TWIN_PREDICTS,
} cn_twin_mode;

/*
 * What one call of a twin works on. Every layer maps x (m, h, w, c) to y (m, oh, ow, oc); examples
 * of rank 1 are 1 x 1 images. `w` and `dw` are in the layer's order (weight, bias), NULL where it
 * has none; a twin only reads w, except for the running buffers, which training moves.
 */
typedef struct cn_twin_call {
    const char *type;  /* the name of the layer's type */
    cn_conv_problem s; /* of the first input, and the output */
    cn_twin_mode mode;
    const void *options; /* the layer's public options struct, defaults filled in; or NULL */
    uint64_t seed, step; /* as in cn_call, for layers that draw numbers */
    int layer;           /* its place in the model, for the same */
    int input_count;
    const int *channels;     /* of every input */
    const int (*extents)[3]; /* of every input, (h, w, c) */
    const double *const *x;  /* every input */
    double *const *w;
    double *y;
    const double *dy;
    double *const *dx; /* a gradient for every input */
    double *const *dw;
} cn_twin_call;

/* The twin of a layer type, called alike for all of them. */
typedef struct cn_twin {
    const char *type; /* as in the layer table: "conv2d" */
    void (*forward)(const cn_twin_call *call);
    void (*backward)(const cn_twin_call *call);
    /* NULL for a smooth layer. */
    cn_ref_decisions (*decisions)(const cn_twin_call *call, double reach);
} cn_twin;

/* NULL for a type that has no twin. */
const cn_twin *cn_twin_find(const char *type);

#endif

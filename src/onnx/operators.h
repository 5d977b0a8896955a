/* operators.h - what the operators share. */
#ifndef CN_OPERATORS_H
#define CN_OPERATORS_H

#include "onnx/import.h"

/* The window of a convolution or a pooling over (H, W) or (W), from the node's attributes. */
typedef struct cn_onnx_window {
    int axes; /* 1 or 2 */
    int kernel[2], stride[2], dilation[2];
    int pads[4];  /* above, left, below, right: as asked for */
    int extra[2]; /* rows below and columns on the right that ceil_mode adds to them */
    int out[2];
} cn_onnx_window;

/* `kernel` (may be NULL) is the one of the weights, which an attribute may only repeat. */
cn_status cn_onnx_window_read(cn_importer *im, const int shape[3], int axes, const int64_t *kernel,
                              cn_onnx_window *w);
/* One attribute of a number per axis into out[0..1], for one axis out[1] alone. */
cn_status cn_onnx_axes_read(cn_importer *im, const char *name, int axes, int otherwise, int *out);

/* Output i is a tensor of (C, H, W), or of (C, W) where `axes` is 1, in memory (H, W, C). */
void cn_give_pixels(cn_importer *im, int axes, cn_node node, int h, int w, int c);
/* Output i is a tensor with this layout. */
void cn_give(cn_importer *im, int i, cn_node node, const cn_layout *layout);

/* A logical axis from one that the file counts with the batch's, and from the end where it is
 * negative; -1 for the batch's own and for what is none. */
int cn_logical_axis(const cn_value *v, int64_t axis);
/* Axes from input i or an attribute as marks; all of them where there are none. */
cn_status cn_axes_read(cn_importer *im, const cn_value *v, int i, bool chosen[CN_ONNX_RANK]);

/* The marked logical axes are moved to the end of memory, in their order, and the node gets a shape
 * whose last extent is their product. */
cn_status cn_value_trailing(cn_importer *im, cn_value *v, const bool *chosen, cn_node *node);
/* The same for one. */
cn_status cn_value_channels(cn_importer *im, cn_value *v, int axis, cn_node *node);

/* A weight of one number per channel is filled from a constant of as many, or of one. */
cn_status cn_fill_channels(cn_importer *im, cn_node node, const char *role, cn_onnx_constant *c,
                           int channels);

/* The mean along the marked logical axes, which stay as axes of one element (operators_pool.c). */
cn_status cn_import_mean(cn_importer *im, const cn_value *v, const bool *chosen, cn_value *mean);

/*
 * Adaptive average pooling as this library's export writes it where windows differ in size: means of
 * rows and then of columns, two products by constant matrices (operators_pool.c).
 */
/* Does row p of the matrix, or column p where it is transposed, average the elements from
 * floor(p from / to) up to ceil((p + 1) from / to)? */
bool cn_is_averaging(const cn_onnx_constant *matrix, bool transposed);
cn_status cn_import_row_means(cn_importer *im, const cn_value *v, int rows);
/* *done: whether v are means of rows and the matrix averages columns. */
cn_status cn_import_column_means(cn_importer *im, const cn_value *v, cn_onnx_constant *matrix,
                                 bool *done);

/* Before version 7 the axes of a second value lie along those of x from this one on, which counts the
 * batch's, and not along its last. A constant gets axes of one element behind its own, so that they are
 * the same; `v` is the value, which may be none (operators_binary.c). */
cn_status cn_import_from_axis(cn_importer *im, const cn_value *x, int64_t axis, cn_value *v);

/* *done: whether one of both is a part of a GELU, of which y is the next part, or all of it. */
cn_status cn_import_part_of_gelu(cn_importer *im, const char *type, const cn_value *a,
                                 const cn_value *b, cn_value *y, bool *done);

/* A constant, repeated for every example, as a value of the shape (batch, dims) (operators_binary.c).
 */
cn_status cn_import_spread(cn_importer *im, cn_onnx_constant *c, int rank, const int64_t *dims);

#endif

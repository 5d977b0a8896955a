/* fold.h - what the operators of constants share: elements, where they lie, and what is given back. */
#ifndef CN_FOLD_H
#define CN_FOLD_H

#include "onnx/operators.h"

/* ---- elements in another arrangement: y[i] = x[start + i . strides] */

typedef struct walk {
    int rank;
    int64_t dims[CN_ONNX_RANK], strides[CN_ONNX_RANK], start;
} walk;

/* A new constant of the elements that a walk meets; NULL with the error in im->err. */
cn_onnx_constant *cn_walk(cn_importer *im, const cn_onnx_constant *x, const walk *w);
/* The walk over all elements in order. */
walk cn_walk_of(const cn_onnx_constant *x);

/* Whether element i is a multiple of the number of examples. */
bool cn_fold_is_of_batch(const cn_onnx_constant *c, size_t i);
/* Room for marks of such multiples, where `marked` asks for it; false where there is no memory. */
bool cn_fold_mark_like(cn_importer *im, cn_onnx_constant *c, bool marked);
/* to[i] = from[j], its mark, too. */
void cn_fold_copy_element(cn_onnx_constant *to, size_t i, const cn_onnx_constant *from, size_t j);

/* ---- the operator at hand */

/* Input i, loaded; an error where it is left out. */
cn_status cn_fold_input(cn_importer *im, int i, cn_onnx_constant **c);
/* Makes c, or the error that left it NULL, the operator's output. */
cn_status cn_fold_give(cn_importer *im, int output, cn_onnx_constant *c);
/* The first input, as it is. */
cn_status cn_fold_same(cn_importer *im, const cn_graph_node *node);
cn_status cn_fold_batch_error(cn_importer *im);
cn_status cn_fold_no_axis(cn_importer *im);

/* ---- fold_elements.c */

bool cn_folds_elements(const cn_graph_node *node);
cn_status cn_fold_elements(cn_importer *im, const cn_graph_node *node);
/* Weights that are stored as integers: (x - zero_point) scale, all alike or along one axis. */
cn_status cn_fold_dequantize(cn_importer *im, const cn_graph_node *node);

#endif

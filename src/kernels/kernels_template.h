/*
 * kernels_template.h - all kernels, and their tables, for one instruction set.
 *
 * Parameters: ISA, its name; LANES, floats in a vector. Provides: cn_kernels_ISA.
 */
#include "kernels/conv/methods_template.h"
#include "kernels/elementwise/activation_template.h"
#include "kernels/elementwise/element_template.h"
#include "kernels/elementwise/row_template.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm_template.h"
#include "kernels/optimizer/optimizer_template.h"
#include "kernels/pool/pool_template.h"

#define JOIN(a, b)      a##b
#define TABLE_NAME(isa) JOIN(cn_kernels_, isa)
#define QUOTE(x)        #x
#define TEXT(x)         QUOTE(x)

const cn_kernels TABLE_NAME(ISA) = {
    .isa = TEXT(ISA),
    .lanes = LANES,
    .multiply_add = multiply_add,
    .conv = &conv_kernels,
    .pool = &pool_kernels,
    .norm = &norm_kernels,
    .optimizer = &optimizer_kernels,
    .elementwise = elementwise,
    .weighted_sum4 = weighted_sum4,
    .add_scaled = add_scaled,
    .dropout = dropout,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .sum = sum,
    .add = add,
    .scale = scale,
};

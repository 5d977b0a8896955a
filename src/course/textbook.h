/*
 * textbook.h - the functions of "Convolutional Neural Networks: Step by Step" as textbook loops in
 * double precision.
 *
 * The names and letters are the course's: convnet.h says what each function computes. The
 * arguments have been checked and the outputs have their shapes already (src/course/blocks.c does
 * both); outputs are overwritten. Tensors are F64; where a line says so, F32 as well.
 */
#ifndef CN_COURSE_H
#define CN_COURSE_H

#include "base/base.h"

/* F32 or F64, X and X_pad alike. */
void cn_course_zero_pad(const cn_tensor *X, int pad, const cn_tensor *X_pad);
/* F32 or F64, summed in double precision. */
double cn_course_conv_single_step(const cn_tensor *a_slice_prev, const cn_tensor *W,
                                  const cn_tensor *b);
void cn_course_conv_forward(const cn_tensor *A_prev, const cn_tensor *W, const cn_tensor *b,
                            cn_hparameters hparameters, const cn_tensor *Z);
void cn_course_conv_backward(const cn_tensor *dZ, const cn_tensor *A_prev, const cn_tensor *W,
                             cn_hparameters hparameters, const cn_tensor *dA_prev,
                             const cn_tensor *dW, const cn_tensor *db);
void cn_course_pool_forward(const cn_tensor *A_prev, cn_hparameters hparameters, cn_pool_mode mode,
                            const cn_tensor *A);
void cn_course_pool_backward(const cn_tensor *dA, const cn_tensor *A_prev,
                             cn_hparameters hparameters, cn_pool_mode mode,
                             const cn_tensor *dA_prev);
/* x is F32 or F64, mask U8. */
void cn_course_create_mask_from_window(const cn_tensor *x, const cn_tensor *mask);
/* a is F32 or F64. */
void cn_course_distribute_value(double dz, const cn_tensor *a);

#endif

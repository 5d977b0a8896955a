/*
 * methods_template.h - all methods of convolution, best first: the first one that supports a pass
 * computes it. A new one is a file and a row.
 *
 * Parameter: LANES. Provides: conv_kernels.
 */
#ifndef CN_METHODS_TEMPLATE_H
#define CN_METHODS_TEMPLATE_H

#include "kernels/conv/col2im_template.h"
#include "kernels/conv/direct_weights_template.h"
#include "kernels/conv/grouped_template.h"
#include "kernels/conv/strided_1x1_template.h"
#include "kernels/depthwise/depthwise_blocks_template.h"
#include "kernels/depthwise/multiplier_template.h"
#include "kernels/winograd/winograd_template.h"

static const cn_conv_method *const conv_methods[] = {
    &winograd_4x4_method,   &winograd_2x2_method, &blocks_method, &rings_method,
    &multiplier_method,     &grouped_method,      &groups_method, &space_to_batch_method,
    &strided_1x1_method,    &col2im_method,       &phases_method, &direct_forward_method,
    &direct_weights_method, &cn_conv_plain,       NULL,
};

static const cn_conv_kernels conv_kernels = {
    .methods = conv_methods, .bias = bias, .bias_backward = bias_backward};

#endif

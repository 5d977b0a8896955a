/*
 * methods_template.h - all methods of convolution, best first: the first one that supports a pass
 * computes it. To add one is a file and a row.
 */

static const cn_conv_method *const conv_methods[] = {
    &winograd_4x4_method,   &winograd_2x2_method,
    &blocks_method,         &rings_method,
    &multiplier_method,     &groups_method,
    &space_to_batch_method, &strided_1x1_method,
    &col2im_method,         &phases_method,
    &direct_forward_method, &direct_weights_method,
    &cn_conv_plain,         NULL,
};

/*
 * zoo_networks.c - the networks that a list of layers would not show: blocks, repeated.
 *
 * Each function takes the input and returns the logits. Convolutions before a batch norm have no
 * bias, which it would take off again, and weights as He et al. (2015) draw them, unless the
 * published network has it otherwise.
 */
#include "model/zoo.h"

#include "model/model.h"

static int channels(const cn_model *m, cn_node x)
{
    return x < 0 ? 1 : m->layers[x].out.n[2];
}

/* Convolution with (f - 1) / 2 zeros around the image, and batch norm. */
static cn_node conv_norm(cn_model *m, cn_node x, int filters, int f, int stride)
{
    int pad = (f - 1) / 2;
    x = cn_conv2d(m, x,
                  &(cn_conv2d_opts){.filters = filters,
                                    .kernel = {f},
                                    .stride = {stride},
                                    .pads = {pad, pad, pad, pad},
                                    .no_bias = true,
                                    .init = CN_INIT_HE_NORMAL});
    return cn_batch_norm(m, x, NULL);
}

static cn_node conv_norm_relu(cn_model *m, cn_node x, int filters, int f, int stride)
{
    return cn_relu(m, conv_norm(m, x, filters, f, stride));
}

static cn_node classify(cn_model *m, cn_node x, int classes)
{
    return cn_dense(m, cn_global_average_pool(m, x), &(cn_dense_opts){.units = classes});
}

/* ---- residual networks (He et al. 2015), as PyTorch's torchvision has them: the stride is in the
 * 3 x 3 convolution */

typedef cn_node block(cn_model *m, cn_node x, int filters, int stride);

/* The input itself, or where the shape changes its projection. */
static cn_node shortcut(cn_model *m, cn_node x, int filters, int stride)
{
    return stride == 1 && channels(m, x) == filters ? x : conv_norm(m, x, filters, 1, stride);
}

static cn_node basic_block(cn_model *m, cn_node x, int filters, int stride)
{
    cn_node y = conv_norm_relu(m, x, filters, 3, stride);
    y = conv_norm(m, y, filters, 3, 1);
    return cn_relu(m, cn_add(m, y, shortcut(m, x, filters, stride)));
}

static cn_node bottleneck_block(cn_model *m, cn_node x, int filters, int stride)
{
    cn_node y = conv_norm_relu(m, x, filters, 1, 1);
    y = conv_norm_relu(m, y, filters, 3, stride);
    y = conv_norm(m, y, 4 * filters, 1, 1);
    return cn_relu(m, cn_add(m, y, shortcut(m, x, 4 * filters, stride)));
}

/* Stages of `count` blocks each; every stage but the first halves the image and doubles the
 * filters. */
static cn_node stages(cn_model *m, cn_node x, block *add_block, int filters, int stage_count,
                      const int *count)
{
    for (int stage = 0; stage < stage_count; stage++, filters *= 2)
        for (int i = 0; i < count[stage]; i++)
            x = add_block(m, x, filters, stage > 0 && i == 0 ? 2 : 1);
    return x;
}

/* The beginning for images of 224 x 224: a quarter of the side. */
static cn_node large_stem(cn_model *m, cn_node x)
{
    x = conv_norm_relu(m, x, 64, 7, 2);
    return cn_max_pool(m, x, &(cn_pool_opts){.size = {3}, .stride = {2}, .pads = {1, 1, 1, 1}});
}

cn_node cn_zoo_resnet20(cn_model *m, cn_node x, int classes)
{
    x = conv_norm_relu(m, x, 16, 3, 1);
    return classify(m, stages(m, x, basic_block, 16, 3, (int[]){3, 3, 3}), classes);
}

cn_node cn_zoo_resnet18(cn_model *m, cn_node x, int classes)
{
    x = stages(m, large_stem(m, x), basic_block, 64, 4, (int[]){2, 2, 2, 2});
    return classify(m, x, classes);
}

cn_node cn_zoo_resnet18_cifar(cn_model *m, cn_node x, int classes)
{
    x = conv_norm_relu(m, x, 64, 3, 1);
    return classify(m, stages(m, x, basic_block, 64, 4, (int[]){2, 2, 2, 2}), classes);
}

cn_node cn_zoo_resnet50(cn_model *m, cn_node x, int classes)
{
    x = stages(m, large_stem(m, x), bottleneck_block, 64, 4, (int[]){3, 4, 6, 3});
    return classify(m, x, classes);
}

/* ---- the course's ResNet-50: convolutions keep their biases, the stride is in a block's first
 * 1 x 1 convolution, the stem is not padded in its pooling, and 2 x 2 averages end it */

static cn_node course_conv(cn_model *m, cn_node x, int filters, int f, int stride)
{
    x = cn_conv2d(
        m, x,
        &(cn_conv2d_opts){
            .filters = filters, .kernel = {f}, .stride = {stride}, .pad = CN_PADDING_SAME});
    return cn_batch_norm(m, x, &(cn_batch_norm_opts){.momentum = 0.99, .epsilon = 1e-3});
}

static cn_node course_block(cn_model *m, cn_node x, int filters, int stride)
{
    cn_node y = cn_relu(m, course_conv(m, x, filters, 1, stride));
    y = cn_relu(m, course_conv(m, y, filters, 3, 1));
    y = course_conv(m, y, 4 * filters, 1, 1);
    if (channels(m, x) != 4 * filters) x = course_conv(m, x, 4 * filters, 1, stride);
    return cn_relu(m, cn_add(m, y, x));
}

cn_node cn_zoo_resnet50_course(cn_model *m, cn_node x, int classes)
{
    x = cn_conv2d(
        m, x, &(cn_conv2d_opts){.filters = 64, .kernel = {7}, .stride = {2}, .pads = {3, 3, 3, 3}});
    x = cn_relu(m, cn_batch_norm(m, x, &(cn_batch_norm_opts){.momentum = 0.99, .epsilon = 1e-3}));
    x = cn_max_pool(m, x, &(cn_pool_opts){.size = {3}, .stride = {2}});
    x = stages(m, x, course_block, 64, 4, (int[]){3, 4, 6, 3});
    x = cn_average_pool(m, x, &(cn_pool_opts){.size = {2}, .pad = CN_PADDING_SAME});
    return cn_dense(m, x, &(cn_dense_opts){.units = classes});
}

/* ---- MobileNets: a depthwise and a 1 x 1 convolution in place of a dense one */

static cn_node depthwise_norm(cn_model *m, cn_node x, int stride)
{
    x = cn_depthwise_conv2d(m, x,
                            &(cn_depthwise_conv2d_opts){.kernel = {3},
                                                        .stride = {stride},
                                                        .pads = {1, 1, 1, 1},
                                                        .no_bias = true,
                                                        .init = CN_INIT_HE_NORMAL});
    return cn_batch_norm(m, x, NULL);
}

/* Howard et al. 2017. */
cn_node cn_zoo_mobilenet_v1(cn_model *m, cn_node x, int classes)
{
    static const struct {
        int filters, stride;
    } blocks[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                  {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
    x = conv_norm_relu(m, x, 32, 3, 2);
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        x = cn_relu(m, depthwise_norm(m, x, blocks[i].stride));
        x = conv_norm_relu(m, x, blocks[i].filters, 1, 1);
    }
    return classify(m, x, classes);
}

/* Sandler et al. 2018: widened by `expansion`, filtered, narrowed without a ReLU; added to the
 * input where the shape is the same. */
static cn_node inverted_residual(cn_model *m, cn_node x, int expansion, int filters, int stride)
{
    cn_node y = x;
    if (expansion > 1) y = cn_relu6(m, conv_norm(m, y, expansion * channels(m, x), 1, 1));
    y = cn_relu6(m, depthwise_norm(m, y, stride));
    y = conv_norm(m, y, filters, 1, 1);
    return stride == 1 && channels(m, x) == filters ? cn_add(m, y, x) : y;
}

cn_node cn_zoo_mobilenet_v2(cn_model *m, cn_node x, int classes)
{
    static const struct {
        int expansion, filters, count, stride;
    } stage[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                 {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    x = cn_relu6(m, conv_norm(m, x, 32, 3, 2));
    for (size_t i = 0; i < sizeof stage / sizeof *stage; i++)
        for (int j = 0; j < stage[i].count; j++)
            x = inverted_residual(m, x, stage[i].expansion, stage[i].filters,
                                  j == 0 ? stage[i].stride : 1);
    x = cn_global_average_pool(m, cn_relu6(m, conv_norm(m, x, 1280, 1, 1)));
    x = cn_dropout(m, x, &(cn_dropout_opts){.rate = 0.2});
    return cn_dense(m, x, &(cn_dense_opts){.units = classes});
}

/* ---- U-Net (Ronneberger et al. 2015), padded and with batch norm: a class for every pixel */

static cn_node double_conv(cn_model *m, cn_node x, int filters)
{
    return conv_norm_relu(m, conv_norm_relu(m, x, filters, 3, 1), filters, 3, 1);
}

/* Rows below and columns on the right that make both extents whole multiples. */
static void missing_of(const cn_model *m, cn_node x, int multiple, int pads[4])
{
    for (int axis = 0; axis < 2; axis++) {
        int n = x < 0 ? multiple : m->layers[x].out.n[axis];
        pads[2 + axis] = (multiple - n % multiple) % multiple;
    }
}

/* `levels` halvings, the first with so many filters. Images of any size: zeros make them a whole
 * number of the deepest level's pixels, and are cut off again. */
static cn_node unet(cn_model *m, cn_node x, int levels, int filters, int classes)
{
    enum { MOST_LEVELS = 4 };
    cn_node skip[MOST_LEVELS];
    cn_pads_opts missing = {.pads = {0}};
    missing_of(m, x, 1 << levels, missing.pads);
    bool padded = missing.pads[2] > 0 || missing.pads[3] > 0;
    if (padded) x = cn_zero_pad2d(m, x, &missing);
    for (int i = 0; i < levels; i++, filters *= 2) {
        skip[i] = double_conv(m, x, filters);
        x = cn_max_pool(m, skip[i], &(cn_pool_opts){.size = {2}});
    }
    x = double_conv(m, x, filters);
    for (int i = levels - 1; i >= 0; i--) {
        filters /= 2;
        x = cn_conv_transpose2d(
            m, x, &(cn_conv_transpose2d_opts){.filters = filters, .kernel = {2}, .stride = {2}});
        x = double_conv(m, cn_concat(m, (cn_node[]){skip[i], x}, 2), filters);
    }
    x = cn_conv2d(m, x, &(cn_conv2d_opts){.filters = classes, .kernel = {1}});
    return padded ? cn_crop2d(m, x, &missing) : x;
}

cn_node cn_zoo_unet(cn_model *m, cn_node x, int classes)
{
    return unet(m, x, 4, 64, classes);
}

cn_node cn_zoo_unet_small(cn_model *m, cn_node x, int classes)
{
    return unet(m, x, 4, 8, classes);
}

/* ---- the course's U-Net: biases in place of batch norm, dropout in the two deepest levels, and
 * transposed convolutions of 3 x 3 */

static cn_node course_conv_relu(cn_model *m, cn_node x, int filters)
{
    return cn_relu(m, cn_conv2d(m, x,
                                &(cn_conv2d_opts){.filters = filters,
                                                  .kernel = {3},
                                                  .pad = CN_PADDING_SAME,
                                                  .init = CN_INIT_HE_NORMAL}));
}

cn_node cn_zoo_unet_course(cn_model *m, cn_node x, int classes)
{
    enum { LEVELS = 4, FIRST = 32 };
    cn_node skip[LEVELS];
    int filters = FIRST;
    for (int i = 0; i <= LEVELS; i++, filters *= 2) {
        x = course_conv_relu(m, course_conv_relu(m, x, filters), filters);
        if (i >= LEVELS - 1) x = cn_dropout(m, x, &(cn_dropout_opts){.rate = 0.3});
        if (i == LEVELS) break;
        skip[i] = x;
        x = cn_max_pool(m, x, &(cn_pool_opts){.size = {2}});
    }
    for (int i = LEVELS - 1; i >= 0; i--) {
        filters /= 2;
        x = cn_conv_transpose2d(
            m, x,
            &(cn_conv_transpose2d_opts){
                .filters = filters, .kernel = {3}, .stride = {2}, .pad = CN_PADDING_SAME});
        x = cn_concat(m, (cn_node[]){x, skip[i]}, 2);
        x = course_conv_relu(m, course_conv_relu(m, x, filters), filters);
    }
    x = course_conv_relu(m, x, FIRST);
    return cn_conv2d(m, x, &(cn_conv2d_opts){.filters = classes, .kernel = {1}});
}

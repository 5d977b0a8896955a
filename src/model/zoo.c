/* zoo.c - the named networks: one row each, with the layers in the text form, or the function that
 * adds them. */
#include "model/zoo.h"

#include <stddef.h>
#include <string.h>

typedef struct zoo_entry {
    cn_zoo_network network;
    cn_zoo_build *build;
} zoo_entry;

static const zoo_entry zoo[] = {
    {{"lenet5",
      "LeNet-5 (LeCun et al. 1998) with ReLU and maximum pooling, for 28 x 28 digits",
      "conv 6 5x5 same, relu, maxpool 2, conv 16 5x5, relu, maxpool 2, "
      "dense 120, relu, dense 84, relu, dense classes",
      {28, 28, 1},
      10},
     NULL},
    {{"signs",
      "the course's network for 64 x 64 hand signs",
      "conv 8 4x4 same, relu, maxpool 8 same, conv 16 2x2 same, relu, maxpool 4 same, "
      "flatten, dense classes",
      {64, 64, 3},
      6},
     NULL},
    {{"happy",
      "the course's network for smiling and other 64 x 64 faces",
      "conv 32 7x7 pads 3, batchnorm momentum 0.99 epsilon 1e-3, relu, maxpool 2, flatten, "
      "dense 1, sigmoid",
      {64, 64, 3},
      2},
     NULL},
    {{"digits",
      "a small network for the embedded 8 x 8 digits",
      "conv 16 3x3 same, relu, conv 32 3x3 same, relu, maxpool 2, dense 64, relu, dense classes",
      {8, 8, 1},
      10},
     NULL},
    {{"vgg-small",
      "six 3 x 3 convolutions in the manner of VGG, for 32 x 32",
      "conv 64 3x3 same, relu, conv 64 3x3 same, relu, maxpool 2, "
      "conv 128 3x3 same, relu, conv 128 3x3 same, relu, maxpool 2, "
      "conv 256 3x3 same, relu, conv 256 3x3 same, relu, maxpool 2, dense classes",
      {32, 32, 3},
      10},
     NULL},
    {{"mnist-fast",
      "learns MNIST to 99.6 % in minutes",
      "conv 32 5x5 no_bias, batchnorm, relu, maxpool 2, "
      "conv 64 3x3 same no_bias, batchnorm, relu, conv 64 3x3 same no_bias, batchnorm, relu, "
      "maxpool 2, conv 128 3x3 same no_bias, batchnorm, relu, "
      "conv 128 3x3 same no_bias, batchnorm, relu, maxpool 2, dense classes",
      {28, 28, 1},
      10},
     NULL},
    {{"signs-fast",
      "learns 64 x 64 hand signs to 98 % in minutes",
      "conv 16 3x3 stride 2 same no_bias, batchnorm, relu, "
      "conv 32 3x3 same no_bias, batchnorm, relu, maxpool 2, "
      "conv 64 3x3 same no_bias, batchnorm, relu, maxpool 2, "
      "conv 128 3x3 same no_bias, batchnorm, relu, conv 128 3x3 same no_bias, batchnorm, relu, "
      "gap, dense classes",
      {64, 64, 3},
      6},
     NULL},
    {{"cifar-fast",
      "learns CIFAR-10 in few epochs, in the manner of the speed records (Jordan 2024)",
      "conv 24 2x2 as whiten, gelu, "
      "conv 96 3x3 same no_bias dirac, maxpool 2, batchnorm momentum 0.6 epsilon 1e-12 no_scale, "
      "gelu, conv 96 3x3 same no_bias dirac, batchnorm momentum 0.6 epsilon 1e-12 no_scale, gelu, "
      "conv 320 3x3 same no_bias dirac, maxpool 2, batchnorm momentum 0.6 epsilon 1e-12 no_scale, "
      "gelu, conv 320 3x3 same no_bias dirac, batchnorm momentum 0.6 epsilon 1e-12 no_scale, gelu, "
      "conv 320 3x3 same no_bias dirac, maxpool 2, batchnorm momentum 0.6 epsilon 1e-12 no_scale, "
      "gelu, conv 320 3x3 same no_bias dirac, batchnorm momentum 0.6 epsilon 1e-12 no_scale, gelu, "
      "maxpool 3, dense classes no_bias, scale 0.1111111111111111",
      {32, 32, 3},
      10},
     NULL},
    {{"resnet20",
      "ResNet-20 (He et al. 2015) for 32 x 32, with projections",
      NULL,
      {32, 32, 3},
      10},
     cn_zoo_resnet20},
    {{"resnet18", "ResNet-18 for 224 x 224", NULL, {224, 224, 3}, 1000}, cn_zoo_resnet18},
    {{"resnet18-cifar", "ResNet-18 with a stem for 32 x 32", NULL, {32, 32, 3}, 10},
     cn_zoo_resnet18_cifar},
    {{"resnet50", "ResNet-50 for 224 x 224", NULL, {224, 224, 3}, 1000}, cn_zoo_resnet50},
    {{"resnet50-course", "the course's ResNet-50, for 64 x 64 hand signs", NULL, {64, 64, 3}, 6},
     cn_zoo_resnet50_course},
    {{"mobilenet-v1", "MobileNet (Howard et al. 2017) for 224 x 224", NULL, {224, 224, 3}, 1000},
     cn_zoo_mobilenet_v1},
    {{"mobilenet-v2", "MobileNetV2 (Sandler et al. 2018) for 224 x 224", NULL, {224, 224, 3}, 1000},
     cn_zoo_mobilenet_v2},
    {{"unet", "U-Net (Ronneberger et al. 2015), a class per pixel", NULL, {128, 128, 3}, 2},
     cn_zoo_unet},
    {{"unet-small", "a U-Net of four levels with few filters, for 64 x 64", NULL, {64, 64, 3}, 2},
     cn_zoo_unet_small},
    {{"unet-course", "the course's U-Net for 96 x 128 street scenes", NULL, {96, 128, 3}, 23},
     cn_zoo_unet_course},
};

enum { ZOO_SIZE = sizeof zoo / sizeof *zoo };

const cn_zoo_network *cn_zoo_at(int i)
{
    return i >= 0 && i < ZOO_SIZE ? &zoo[i].network : NULL;
}

bool cn_zoo_find(const char *name, const char **layers, cn_zoo_build **build)
{
    for (int i = 0; i < ZOO_SIZE; i++) {
        if (strcmp(zoo[i].network.name, name) != 0) continue;
        *layers = zoo[i].network.layers;
        *build = zoo[i].build;
        return true;
    }
    return false;
}

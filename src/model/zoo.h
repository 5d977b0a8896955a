/* zoo.h - the named networks, for the text form. */
#ifndef CN_ZOO_H
#define CN_ZOO_H

#include "convnet.h"

/* Adds a network's layers after x; returns its logits. */
typedef cn_node cn_zoo_build(cn_model *model, cn_node x, int classes);

/* The network with this name: its layers in the text form, or the function that adds them. */
bool cn_zoo_find(const char *name, const char **layers, cn_zoo_build **build);

/* ---- zoo_networks.c */

cn_zoo_build cn_zoo_resnet20, cn_zoo_resnet18, cn_zoo_resnet18_cifar, cn_zoo_resnet50,
    cn_zoo_resnet50_course, cn_zoo_mobilenet_v1, cn_zoo_mobilenet_v2, cn_zoo_unet,
    cn_zoo_unet_small, cn_zoo_unet_course;

#endif

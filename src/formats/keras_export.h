/* keras_export.h - writes a model as a file of Keras 3. */
#ifndef CN_KERAS_EXPORT_H
#define CN_KERAS_EXPORT_H

#include "model/model.h"

/* Both are atomic. CN_ERR_UNSUPPORTED names layers that Keras has none for, and says where there is no
 * libhdf5. */
cn_status cn_keras_save(const cn_model *model, const char *path, cn_error *err);
/* The weights of that file alone, as Model.save_weights writes them. */
cn_status cn_keras_weights_save(const cn_model *model, const char *path, cn_error *err);

/* ---- what keras_export.c and keras_layers.c share */

enum { CN_KERAS_NAME = CN_NAME_SIZE + 32 };

/* A layer of Keras: one of ours is one of these or several. */
typedef struct cn_keras_layer {
    const char *type; /* "Conv2D" */
    char name[CN_KERAS_NAME];
    int inputs[CN_MAX_INPUTS], input_count; /* layers of Keras, before this one */
    bool joins;                             /* it takes a list of inputs, if only of one */
    cn_shape out;
    json_t *config;
    const cn_layer *weights; /* whose parameters it has; or NULL */
    int depth, first;        /* in the order of Keras: keras_export.c */
} cn_keras_layer;

typedef struct cn_keras_graph {
    const cn_model *model;
    cn_keras_layer *layers;
    int count, room;
    int *value; /* by layers of ours: the layer of Keras that makes its value */
    int layer;  /* of ours, that is being written */
    const char *path;
    cn_error *err;
} cn_keras_graph;

/*
 * Adds a layer with the name of ours, or with "NAME_suffix" beside it, that reads the value of `x`, a
 * layer of Keras; `config` is taken. Returns its number, or -1 with an error.
 */
int cn_keras_add(cn_keras_graph *g, const char *type, const char *suffix, int x, cn_shape out,
                 json_t *config);
/* CN_ERR_UNSUPPORTED, with the layer's name; returns -1. */
int cn_keras_refuse(cn_keras_graph *g, const char *why);

/* Adds layer g->layer of ours: the number of the layer that makes its value, or -1 with an error. */
int cn_keras_layer_add(cn_keras_graph *g);

#endif

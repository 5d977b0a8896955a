/* onnx_export.h - writes a model as an ONNX file. */
#ifndef CN_ONNX_EXPORT_H
#define CN_ONNX_EXPORT_H

#include "formats/protobuf_write.h"
#include "model/model.h"

/* The version of the operators and of the file's own form: those of ONNX 1.22. */
enum { CN_ONNX_OPSET = 27, CN_ONNX_IR = 13 };

/* With `normalize` the graph takes values in the model's range (pixels: from 0 to 1) and normalizes
 * them itself. Atomic. CN_ERR_UNSUPPORTED names layers that ONNX has no operator for. */
cn_status cn_onnx_save(const cn_model *model, const char *path, bool normalize, cn_error *err);

/* ---- what onnx_export.c and onnx_layers.c share */

/* A graph that is being written. A value has the name of the layer that makes it. */
typedef struct cn_onnx_graph {
    cn_proto *out; /* inside the message GraphProto */
    const cn_model *model;
    const cn_shape **order; /* of flattened images (channels_first.h) */
    cn_error error;         /* the first lack of memory */
    const char *source;     /* the name of the value that the input layer makes */
    const cn_model *named;  /* the model itself, where `model` has other names (onnx_ports.c) */
} cn_onnx_graph;

enum { CN_ONNX_NAME = 2 * CN_NAME_SIZE };

/* A node between its inputs and its attributes: returns where it begins, for cn_onnx_end. Inputs
 * end with NULL; "" leaves one out. */
size_t cn_onnx_node(cn_onnx_graph *g, const char *op, const char *name, const char *const *inputs,
                    const char *output);
void cn_onnx_end(cn_onnx_graph *g, size_t begin);
void cn_onnx_int(cn_onnx_graph *g, const char *name, int64_t value);
void cn_onnx_ints(cn_onnx_graph *g, const char *name, int count, const int *values);
void cn_onnx_float(cn_onnx_graph *g, const char *name, double value);
void cn_onnx_text(cn_onnx_graph *g, const char *name, const char *value);

/* An initializer: constants and parameters. Rank 0 is one number. */
void cn_onnx_floats(cn_onnx_graph *g, const char *name, int rank, const int *shape,
                    const float *values);
void cn_onnx_integers(cn_onnx_graph *g, const char *name, int count, const int *values);

/* ---- what onnx_layers.c and onnx_arrange.c share */

/* A layer that is being written, and its first input's name. */
typedef struct cn_onnx_place {
    cn_onnx_graph *g;
    const cn_layer *layer;
    const char *x;
} cn_onnx_place;

/* "conv2d_1/flatten": a value or a node of the layer beside its own; and "conv2d_1.weight". */
const char *cn_onnx_inner_name(char name[CN_ONNX_NAME], const cn_onnx_place *n, const char *last);
const char *cn_onnx_parameter_name(char name[CN_ONNX_NAME], const cn_onnx_place *n,
                                   const char *role);
/* The name of layer i's value. */
const char *cn_onnx_value_name(const cn_onnx_graph *g, cn_node i);
/* A node without attributes from x to y, both named. */
void cn_onnx_plain_node(const cn_onnx_place *n, const char *op, const char *x, const char *y);
void cn_onnx_transpose(const cn_onnx_place *n, const char *x, const char *y, const int order[4]);
extern const int cn_onnx_channels_last[4], cn_onnx_channels_first[4];
/* Writes parameter k as an initializer of its own name. */
void cn_onnx_write_parameter(const cn_onnx_place *n, int k);

/* Layers by the name of their type (onnx_arrange.c). */
void cn_onnx_binary(const cn_onnx_place *n);
void cn_onnx_affine(const cn_onnx_place *n);
void cn_onnx_constant(const cn_onnx_place *n);
void cn_onnx_reshape(const cn_onnx_place *n);
void cn_onnx_transpose_layer(const cn_onnx_place *n);
void cn_onnx_slice(const cn_onnx_place *n);
/* And those of onnx_images.c. */
void cn_onnx_resize(const cn_onnx_place *n);
void cn_onnx_pad(const cn_onnx_place *n);
void cn_onnx_log_softmax(const cn_onnx_place *n);
void cn_onnx_local_response_norm(const cn_onnx_place *n);

/* ---- onnx_ports.c */

/* Several inputs and outputs have names of their own: `copy`, which becomes g->model, is the model
 * with other names for layers that share one with them. Its `layers` are to be released. */
cn_status cn_onnx_rename(cn_onnx_graph *g, cn_model *copy, bool normalize, const char *path,
                         cn_error *err);
/* The graph's inputs, or its outputs with the nodes that give the values their names. */
void cn_onnx_inputs(cn_onnx_graph *g);
void cn_onnx_outputs(cn_onnx_graph *g);
/* Is layer i one that takes an input out of several? Then it is written, if need be. */
bool cn_onnx_unpack(cn_onnx_graph *g, const bool *needed, int i);
/* Marks the layers that the outputs themselves depend on. */
void cn_onnx_mark(const cn_model *m, bool *needed);

/* Writes layer i as nodes and initializers; false where its type has no row. */
bool cn_onnx_layer(cn_onnx_graph *g, int i);
bool cn_onnx_has_layer(const cn_layer_type *type);

#endif

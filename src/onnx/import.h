/*
 * import.h - the inside of the ONNX importer: values, and what operators are made of.
 *
 * The nodes of a file are walked once, in their order. Each value that they pass on is known as
 * either a constant, whose elements can be looked at (constant.c), or a tensor of the model, with
 * an example for each of a batch (layout.c). An operator all of whose inputs are constants is
 * computed at once (fold.c): that is how shapes that an exporter wrote down as a calculation become
 * numbers. Any other adds layers to the model (operators*.c), one row of a table per operator.
 */
#ifndef CN_IMPORT_H
#define CN_IMPORT_H

#include "model/model.h"
#include "onnx/onnx_file.h"

/* ---- values */

enum { CN_AXES = 16 };

/*
 * How a tensor's elements lie in memory. ONNX's axes after the batch's are the logical ones, such
 * as (C, H, W); ours are those of memory, such as (H, W, C). A logical axis is a row of axes of
 * memory, the first the slowest: after a Flatten the only one is (C, H, W), out of (H, W, C). Axes
 * of one element are left out of memory. So Transpose, Reshape, Flatten, Squeeze and Unsqueeze move
 * nothing; what reads the value decides whether the elements have to.
 */
typedef struct cn_layout {
    int rank; /* logical axes */
    int dims[CN_ONNX_RANK];
    int parts[CN_ONNX_RANK], part[CN_ONNX_RANK][CN_AXES];
    int axes; /* of memory */
    int size[CN_AXES];
} cn_layout;

/* A constant. `tensor` is where its elements are until somebody needs them. */
typedef struct cn_onnx_constant {
    bool real; /* fractions in `reals`, else `ints` */
    int rank;
    int64_t dims[CN_ONNX_RANK];
    size_t count;
    float *reals;
    int64_t *ints;
    bool *of_batch; /* ints that are so many times the number of examples; NULL: none */
    int64_t step;   /* not 0: the first axis is the examples', these are the first example's, and
                            each further one's are larger by this */
    bool loaded, learnt; /* learnt: it is an initializer, so perhaps a weight */
    cn_onnx_tensor tensor;
    struct cn_onnx_constant *next;
} cn_onnx_constant;

typedef enum cn_value_kind {
    CN_VALUE_NONE, /* not made yet */
    CN_VALUE_CONSTANT,
    CN_VALUE_TENSOR,
    CN_VALUE_WINDOWS, /* between the nodes of a pooling (operators_gather.c) */
    CN_VALUE_UNKNOWN, /* of a node that is not supported */
} cn_value_kind;

/* Of a GELU of x, whose node the value then has (operators_gelu.c): erf(x / sqrt(2)), 1 + that, and
 * half of the sum. */
typedef enum cn_gelu_part { CN_GELU_NONE, CN_GELU_ERF, CN_GELU_SUM, CN_GELU_PHI } cn_gelu_part;

typedef struct cn_value {
    cn_span name;
    int scope; /* of the name */
    cn_value_kind kind;
    cn_onnx_constant *constant;
    cn_node node;
    cn_layout layout;
    cn_gelu_part part;
    int step;  /* of CN_VALUE_WINDOWS */
    bool flat; /* the elements of all examples, the batch's axis no longer among the others */
} cn_value;

/* What becomes the elements of a weight: those of a constant, walked with strides. */
enum { CN_FILL_AXES = 8 };
typedef struct cn_fill {
    cn_node node;
    const char *role;
    cn_onnx_constant *constant;
    float factor;
    int axes;
    size_t count[CN_FILL_AXES], stride[CN_FILL_AXES];
} cn_fill;

typedef struct cn_importer {
    cn_onnx_file *file;
    cn_model *model;
    cn_error *err;
    const cn_graph_node *node; /* that is being imported, for errors */
    cn_value *values;          /* sorted by name */
    int value_count;
    cn_onnx_constant *constants; /* all of them, to be released */
    size_t budget;               /* elements that folded constants may still have */
    cn_fill *fills;
    int fill_count, fill_capacity;
    int64_t batch;      /* examples that the file is made for; -1: any number */
    bool *read;         /* values that the outputs depend on */
    bool channels_last; /* inputs are, and so are outputs */
    cn_port *ports;     /* inputs, then outputs */
    char (*port_names)[CN_PORT_NAME + 1];
    int input_count;
    int chosen;           /* an If, whose condition is known, */
    const char *branch;   /* and the branch to take; the walk then ends */
    cn_error unsupported; /* the first reason */
    char missing[160];    /* operators, with their nodes */
} cn_importer;

/* ---- errors and values (import.c) */

/* An error that names the operator and its node. */
cn_status cn_import_fail(cn_importer *im, cn_status status, const char *format, ...)
    CN_PRINTF(3, 4);
/* The same without numbers: CN_ERR_UNSUPPORTED, and CN_ERR_FORMAT. */
cn_status cn_import_unsupported(cn_importer *im, const char *text);
cn_status cn_import_malformed(cn_importer *im, const char *text);
/* What the name means in this scope; NULL where there is none. */
cn_value *cn_import_find(const cn_importer *im, cn_span name, int scope);
/* Input i of the node; NULL where it is left out. */
cn_value *cn_import_input(cn_importer *im, int i);
cn_value *cn_import_output(cn_importer *im, int i);
/* Is output i read by anything that matters? */
bool cn_import_gives(cn_importer *im, int i);
/* Input i as a constant, loaded; where it is left out *c is NULL. Anything else is an error. */
cn_status cn_import_constant(cn_importer *im, int i, cn_onnx_constant **c);
/* Integers of input i or, in older operators, of the attribute; *count 0 where neither is there. */
cn_status cn_import_ints(cn_importer *im, int i, const char *attribute, int64_t *out, int most,
                         int *count);
/* Input 0 as a tensor of `rank` logical axes, -1: of any number. */
cn_status cn_import_tensor(cn_importer *im, int i, int rank, const cn_value **v);

/* Adds a layer. `weight` is an initializer after which it is named; or NULL. */
cn_status cn_import_add(cn_importer *im, const char *type, const void *options, const cn_node *x,
                        int count, const cn_onnx_constant *weight, cn_node *node);
/* An element by element layer of a value, which keeps its layout. */
cn_status cn_import_map(cn_importer *im, const char *type, const void *options, const cn_value *x,
                        cn_value *y);

/* ---- inputs and outputs (import_ports.c) */

/* Initializers become constants, inputs tensors of a new model. */
cn_status cn_import_inputs(cn_importer *im);
/* The value of output i, in the order that it has in memory here; port is its. */
cn_status cn_import_output_value(cn_importer *im, int i, cn_node *node);
/* Names the inputs and outputs of the finished model where there are several. */
cn_status cn_import_ports(cn_importer *im, cn_model *model);

/* ---- weights, and the model (import_finish.c) */

/* A weight of the layer is filled from a constant; the axes are set by cn_fill_axis in their order
 * in the weight. */
cn_status cn_import_fill(cn_importer *im, cn_node node, const char *role, cn_onnx_constant *c,
                         cn_fill **fill);
void cn_fill_axis(cn_fill *fill, size_t count, size_t stride);
/* The model of all layers that the outputs depend on, with their weights and the file's metadata. */
cn_status cn_import_finish(cn_importer *im, bool shape_only, cn_model **model);

/* ---- constants (constant.c) */

cn_onnx_constant *cn_constant_new(cn_importer *im, bool real, int rank, const int64_t *dims);
cn_status cn_constant_load(cn_importer *im, cn_onnx_constant *c);
void cn_constants_free(cn_importer *im);
/* The strides of its elements, C order. */
void cn_constant_strides(const cn_onnx_constant *c, size_t *strides);

/* ---- layouts (layout.c) */

/* These logical axes, which lie in memory in this order. */
void cn_layout_set(cn_layout *l, int rank, const int *dims, const int *order);
/* (C, H, W) as (H, W, C); and the same with fewer or more axes before the channels' pixels. */
void cn_layout_set_image(cn_layout *l, int c, int h, int w);
size_t cn_layout_count(const cn_layout *l);
bool cn_layout_same(const cn_layout *a, const cn_layout *b);
/* The same elements in other logical axes; false where they would have to be moved first. */
bool cn_layout_reshape(cn_layout *l, int rank, const int *dims);

/* Moves the elements so that memory has the axes in this order; `order` are all axes of memory. */
cn_status cn_value_permute(cn_importer *im, cn_value *v, const int *order);
/* So that memory has the logical axes in this order, each as one. */
cn_status cn_value_order(cn_importer *im, cn_value *v, const int *logical);
/* So that the logical axis is the last in memory. */
cn_status cn_value_last(cn_importer *im, cn_value *v, int axis);
/* The order of the logical axes in memory, where each of them lies together; false otherwise. */
bool cn_layout_order(const cn_layout *l, int *logical);
/* The node with a shape of rank 3, or of rank 1. */
cn_status cn_value_image(cn_importer *im, const cn_value *v, int h, int w, int c, cn_node *node);
cn_status cn_value_row(cn_importer *im, const cn_value *v, cn_node *node);
/* (C, H, W) or (C, W) in memory as (H, W, C): the node, and the three extents. */
cn_status cn_value_pixels(cn_importer *im, const cn_value *v, cn_node *node, int shape[3]);

/* ---- operators */

typedef cn_status cn_operator_function(cn_importer *im, const cn_graph_node *node);

typedef struct cn_operator {
    const char *name;
    cn_operator_function *import; /* of tensors; NULL: of constants alone */
} cn_operator;

/* Tables that end in a name NULL, by what the operators do. */
extern const cn_operator cn_operators_conv[], cn_operators_pool[], cn_operators_norm[],
    cn_operators_element[], cn_operators_shape[], cn_operators_binary[], cn_operators_image[],
    cn_operators_gelu[], cn_operators_gather[];

/* Computes a node all of whose inputs are constants; CN_ERR_UNSUPPORTED: not this operator. */
cn_status cn_fold(cn_importer *im, const cn_graph_node *node);
/* Is it an operator that constants can be given to? */
bool cn_folds(const cn_graph_node *node);

/* Adaptive pooling in four nodes (operators_gather.c): is it the first one's perm; the two Transposes
 * of it; and the mean. Their first input is a tensor, or CN_VALUE_WINDOWS. */
bool cn_turns_to_windows(const cn_graph_node *node);
cn_status cn_import_turn(cn_importer *im, const cn_graph_node *node);
cn_status cn_import_window_means(cn_importer *im, const cn_graph_node *node);

/* A function of two values, of which one may be a constant (operators_binary.c). */
cn_status cn_import_two(cn_importer *im, const char *type, const cn_value *a, const cn_value *b,
                        cn_value *y);
/* An If: takes its branch. */
cn_status cn_import_if(cn_importer *im, const cn_graph_node *node);
/* A function of two tensors. */
cn_status cn_import_binary(cn_importer *im, const char *type, const cn_value *a, const cn_value *b,
                           cn_value *y);

#endif

/*
 * onnx_file.h - an ONNX file as it was written: nodes, initializers, inputs, outputs.
 *
 * Nothing here is understood yet: names are spans of the file, and elements of tensors stay where
 * they are until they are asked for.
 */
#ifndef CN_ONNX_FILE_H
#define CN_ONNX_FILE_H

#include "onnx/wire.h"

enum { CN_ONNX_RANK = 8, CN_ONNX_BRANCHES = 256 };

/* TensorProto.DataType, those that have a width of whole bytes. */
typedef enum cn_onnx_type {
    CN_ONNX_NONE = 0,
    CN_ONNX_FLOAT = 1,
    CN_ONNX_UINT8 = 2,
    CN_ONNX_INT8 = 3,
    CN_ONNX_UINT16 = 4,
    CN_ONNX_INT16 = 5,
    CN_ONNX_INT32 = 6,
    CN_ONNX_INT64 = 7,
    CN_ONNX_BOOL = 9,
    CN_ONNX_FLOAT16 = 10,
    CN_ONNX_DOUBLE = 11,
    CN_ONNX_UINT32 = 12,
    CN_ONNX_UINT64 = 13,
    CN_ONNX_BFLOAT16 = 16,
} cn_onnx_type;

/* The bytes of an element; 0 for a type that is not read. */
size_t cn_onnx_type_size(int64_t type);
/* float, double, float16 and bfloat16. */
bool cn_onnx_type_is_real(int64_t type);

typedef struct cn_onnx_tensor {
    cn_span name;
    int scope;    /* of the name: 0, or of a branch */
    int64_t type; /* as the file says */
    int rank;
    int64_t dims[CN_ONNX_RANK];
    size_t count;
    bool has_raw, external;
    cn_span message;         /* the whole TensorProto */
    cn_span raw;             /* raw_data */
    cn_span location;        /* of external data: a file's name, */
    uint64_t offset, length; /* and the bytes in it */
    bool has_length;
} cn_onnx_tensor;

typedef struct cn_onnx_attribute {
    cn_span name;
    int64_t type;    /* AttributeProto.AttributeType */
    float f;         /* 1 */
    int64_t i;       /* 2 */
    cn_span s;       /* 3 */
    cn_span tensor;  /* 4, a TensorProto */
    cn_span graph;   /* 5, a GraphProto */
    cn_span message; /* the whole: lists are read from it */
} cn_onnx_attribute;

typedef struct cn_graph_node {
    cn_span name, op, domain;
    int scope, output_scope; /* of the names of inputs, and of outputs */
    int input_count, output_count, attribute_count;
    const cn_span *inputs, *outputs; /* "" for one that is left out */
    const cn_onnx_attribute *attributes;
} cn_graph_node;

/* An input or an output of the graph. A dimension without a fixed size is -1, and may have a name. */
typedef struct cn_onnx_port {
    cn_span name;
    int64_t type;
    bool has_shape;
    int rank;
    int64_t dims[CN_ONNX_RANK];
    cn_span symbols[CN_ONNX_RANK];
    const int
        *order; /* of the axes of an example here; NULL before it is asked for (import_ports.c) */
} cn_onnx_port;

typedef struct cn_onnx_pair {
    cn_span key, value;
} cn_onnx_pair;

typedef struct cn_onnx_file {
    const char *path; /* the caller's; for errors, and to find external data beside it */
    bool in_memory;   /* there is no folder: external data are refused */
    int64_t opset;    /* of the domain "" */
    cn_graph_node *nodes;
    cn_onnx_tensor *tensors;
    cn_onnx_port *inputs, *outputs;
    cn_onnx_pair *metadata;
    int node_count, tensor_count, input_count, output_count, metadata_count;
    int function_count;            /* operators that the file defines itself, which are not read */
    cn_span *names;                /* storage of all nodes' inputs and outputs */
    cn_onnx_attribute *attributes; /* and of their attributes */
    const cn_input_size *sizes;    /* the caller's, of what inputs leave open */
    int size_count;
    uint8_t *owned;                /* the file's bytes; NULL where they are the caller's */
    const uint8_t *bytes;          /* the first of them */
    struct cn_onnx_file *branches; /* that were taken; each has the next */
    int branch_count,
        outer[CN_ONNX_BRANCHES + 1]; /* and the scope around the scope of each, from 1 */
} cn_onnx_file;

/* Do the first bytes, CN_HEAD of them unless the file is shorter, begin an ONNX model? */
bool cn_onnx_detect(const uint8_t *head, size_t size);

/* Reads a file, or bytes that must outlive it. */
cn_status cn_onnx_file_load(cn_onnx_file *file, const char *path, cn_error *err);
cn_status cn_onnx_file_read(cn_onnx_file *file, const char *name, cn_span bytes, cn_error *err);
void cn_onnx_file_free(cn_onnx_file *file);

/*
 * Puts the branch of an If, its attribute `name`, in the node's place: the branch's nodes and tensors
 * become the file's, and an Identity gives each output its name outside. The names of a branch are a
 * scope of their own, which sees those around it.
 */
cn_status cn_onnx_take_branch(cn_onnx_file *file, int node, const char *name, cn_error *err);

/* A TensorProto, such as an attribute's. `what` names it where it has no name. */
cn_status cn_onnx_tensor_read(cn_onnx_tensor *tensor, cn_span message, const char *what,
                              cn_error *err);

/* ---- elements (onnx_data.c) */

/* All elements of a tensor, rounded to float, or as integers; `out` has room for tensor->count. A
 * type, a size or a place that cannot be is an error before anything is written. */
cn_status cn_onnx_tensor_reals(const cn_onnx_file *file, const cn_onnx_tensor *tensor, float *out,
                               cn_error *err);
cn_status cn_onnx_tensor_ints(const cn_onnx_file *file, const cn_onnx_tensor *tensor, int64_t *out,
                              cn_error *err);
/* Are there as many elements as the shape says? To be asked before memory is allocated for them. */
cn_status cn_onnx_tensor_check(const cn_onnx_file *file, const cn_onnx_tensor *tensor,
                               cn_error *err);

/*
 * The number that somebody wrote down, as the shortest decimal that rounds to this float: 0.1 of what
 * as a double is 0.10000000149. Options are doubles here, and in most programs that write ONNX.
 */
double cn_onnx_decimal(float x);

/* ---- attributes */

const cn_onnx_attribute *cn_onnx_attribute_find(const cn_graph_node *node, const char *name);
/* The attribute, or this where there is none. */
int64_t cn_onnx_get_int(const cn_graph_node *node, const char *name, int64_t otherwise);
float cn_onnx_get_float(const cn_graph_node *node, const char *name, float otherwise);
/* The same through cn_onnx_decimal. */
double cn_onnx_get_decimal(const cn_graph_node *node, const char *name, float otherwise);
bool cn_onnx_get_is(const cn_graph_node *node, const char *name, const char *text,
                    const char *otherwise);
/* A list of integers, at most `most`; returns how many, 0 where there is none, -1: too many. */
int cn_onnx_get_ints(const cn_graph_node *node, const char *name, int64_t *out, int most);
int cn_onnx_get_floats(const cn_graph_node *node, const char *name, float *out, int most);

#endif

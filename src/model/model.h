/*
 * model.h - the inside of a cn_model: a graph of layers and one block of parameters.
 *
 * Layers are stored in the order in which they were added, so a layer's inputs always come before
 * it: the order of the array is an order to run them in, and its reverse the order of backward.
 */
#ifndef CN_MODEL_H
#define CN_MODEL_H

#include "layers/layer.h"

#include <jansson.h>

struct cn_model {
    cn_layer *layers; /* [0] is the input */
    int layer_count, layer_capacity;
    cn_node output;
    bool finished;
    bool shape_only; /* shapes and counts, but no memory for parameters: block is NULL */
    cn_error error;  /* the first one while building */

    /* All parameters: first those that are trained, then the buffers. Each tensor starts on a
     * 64-byte boundary, with zeros between. Gradients and each block of the optimizer's state are as
     * long as the first part. */
    float *block;
    size_t block_size, trained_size; /* floats */
    cn_parameter *parameters;        /* views of the block, in layer order */
    char (*parameter_names)[CN_NAME_SIZE + 16];
    int parameter_count;
    size_t parameter_elements, buffer_elements; /* without the zeros between */

    /* Sessions pack weights for their loops, and do so again when this has moved on: by a step, or
     * by cn_model_weights_changed. */
    uint64_t version;

    cn_loss_kind loss;  /* that it was trained with */
    char **class_names; /* NULL, or class_count of them */
    int class_count;
    float *mean, *std;               /* NULL, or n_C of each */
    cn_task_kind task;               /* never segmentation, which the output's rank tells */
    float *target_mean, *target_std; /* NULL, or as many as outputs; one block */
    float *thresholds;               /* NULL, or as many as outputs */
    cn_image_opts images;

    /* Of a model with several inputs or outputs, first those, then these; else none (ports.c). */
    cn_port *ports;
    int input_ports, output_ports;
    cn_node *output_nodes; /* the layer whose value each output is */
    char *port_names;      /* all of them, one after another */
};

/* ---- graph.c */

/* Allocates the block and lists the parameters, all zero: cn_model_finish without the
 * initialization. A graph of more than `most` parameters is refused. */
cn_status cn_model_finish_zero(cn_model *model, cn_node output, size_t most, cn_error *err);

/* ---- model.c */

/* The mean and the deviation, n_C of each, that make of values in low..high what the model's own
 * make of the same images' values in its range. Where that is not known, they are its own. */
void cn_model_normalization(const cn_model *model, double low, double high, float *mean,
                            float *std);

/* ---- ports.c */

enum { CN_MOST_PORTS = 1000, CN_PORT_NAME = 255 };

/* Names several inputs or outputs of a finished model (convnet.h); names are copied, offsets found.
 * CN_ERR_FORMAT unless names are UTF-8 of 1 to CN_PORT_NAME bytes that are no control characters,
 * and differ, shapes fill the input and the output, whatever reads several inputs is a `slice` that
 * is one of them, and the layers that join several outputs have each as a part of its own. */
cn_status cn_model_set_ports(cn_model *model, int inputs, int outputs, const cn_port *ports,
                             cn_error *err);
/* The elements of a port. */
size_t cn_port_count(const cn_port *port);
/* Joins values that may have any shapes into one row; a negative node is an error of the model's. */
cn_node cn_model_join(cn_model *model, const cn_node *nodes, int count, cn_error *err);
/* CN_ERR_UNSUPPORTED, with their names, where there are several; `what` begins the message. */
cn_status cn_model_expect_single(const cn_model *model, const char *what, cn_error *err);
/* The port that this layer, a slice of several inputs, is; -1: none. */
int cn_model_input_of(const cn_model *model, cn_node node);

/* ---- options.c: all that comes from a type's option table */

/* The option with this name, or NULL. */
const cn_option *cn_option_find(const cn_layer_type *type, const char *name);
/* False where one of 1, 2 or 4 numbers of a text or of JSON is a 0, which the options struct would
 * take for a default. */
bool cn_option_takes(const cn_option *option, int count, const double *value);
/* Its 1, 2 or 4 numbers into value; returns how many. */
int cn_option_get(const cn_option *option, const void *options, double value[4]);
/* Sets it from 1, 2 or 4 numbers: one stands for all, two for vertical and horizontal. They are
 * integers unless the kind is FLOAT. */
void cn_option_set(const cn_option *option, void *options, int count, const double *value);
/* Fills defaults in and checks the ranges. */
cn_status cn_options_settle(const cn_layer_type *type, void *options, const char *context,
                            cn_error *err);
/* The text form, "6 5x5 same", allocated; defaults are left out. NULL: out of memory. */
char *cn_options_text(const cn_layer_type *type, const void *options);
/* Adds the options that differ from their defaults to a JSON object; false: out of memory. */
bool cn_options_to_json(const cn_layer_type *type, const void *options, json_t *object);
/* Reads them back; a key that is not an option is an error. */
cn_status cn_options_from_json(const cn_layer_type *type, const json_t *object, void *options,
                               const char *context, cn_error *err);

/* ---- model_json.c: the graph, class names and normalization, without the weights */

/* A new object, or NULL with an error. docs/models.md describes it. */
json_t *cn_model_to_json(const cn_model *model, cn_error *err);
/* A finished model whose parameters are all zero, for a reader to fill, or a shape-only one. A graph
 * of more than `most` parameters (what the file can hold) is refused before anything of their size
 * is allocated. */
cn_status cn_model_from_json(cn_model **model, const json_t *json, bool shape_only, size_t most,
                             cn_error *err);

/* What the object says of the names of the classes, the loss, the normalization and the images, each
 * of which may be missing. The model is finished. */
cn_status cn_model_read_metadata(cn_model *model, const json_t *json, cn_error *err);

/* ---- transfer.c */

/* A classifier whose output is its logits, as other programs write them, gets the softmax that a text
 * without one would get (parse.c): what labels are learnt with and chances read from. The model is
 * replaced; one that ends in a loss's layer stays. */
/* cn_model_adapt for a task: where `from` is for another, its softmax or sigmoid gives way to what
 * this task wants. */
cn_status cn_model_adapt_task(cn_model **model, const cn_model *from, const int shape[3],
                              int classes, cn_task_kind task, uint64_t seed, cn_error *err);
/* What a task's model ends in after its logits, added; the logits themselves where that is nothing. */
cn_node cn_task_end(cn_model *model, cn_node logits, cn_task_kind task);

cn_status cn_model_end_in_softmax(cn_model **model, cn_error *err);

/* ---- parse.c */

/* cn_model_parse of a shape-only model: for a summary, which needs no weights. */
cn_status cn_model_parse_shapes(cn_model **model, const char *text, const int shape[3], int classes,
                                cn_error *err);

/* The last extent of the output: the classes of an image, or of each of its pixels; 1 for two. */
int cn_model_columns(const cn_model *model);
/* The classes, labels or numbers that it has answers for: two where one output tells two classes. */
int cn_model_answers(const cn_model *model);
/* Labels or numbers, whose truth is a row of targets. */
bool cn_task_has_targets(cn_task_kind task);

#endif

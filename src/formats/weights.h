/*
 * weights.h - files of weights alone, as other frameworks write them, and which of them belongs to
 * which parameter of a model.
 */
#ifndef CN_WEIGHTS_H
#define CN_WEIGHTS_H

#include "formats/safetensors.h"
#include "model/model.h"

/* ---- what a file holds (weights_file.c) */

/* How a framework names weights and lays them out. */
typedef enum cn_weight_style {
    CN_STYLE_PYTORCH, /* "layer1.0.conv1.weight", channels first */
    CN_STYLE_KERAS,   /* "layers/conv2d_1/vars/0" or "conv2d_1/kernel:0", as ours */
} cn_weight_style;

typedef struct cn_weight_file {
    cn_named_tensor *tensors; /* F32; names and elements belong to the file */
    int count;
    cn_weight_style style;
    cn_safetensors storage; /* whose tensors they are; else, `room` of them are its own */
    int room;
    int passed_over; /* arrays that are not read as weights, and the first of them, with the reason */
    char passed[CN_PASSED_TEXT];
    bool archive;   /* the tensors come from members of a ZIP archive */
    size_t *places; /* of HDF5: where in the file each tensor's elements lie, as they are in memory;
                       0: in another form. NULL for other formats */
} cn_weight_file;

/* Reads the file, whichever of its formats it is. */
cn_status cn_weight_file_load(cn_weight_file *file, const char *path, cn_error *err);
void cn_weight_file_free(cn_weight_file *file);
/* For readers: adds a tensor, which the file then owns, also on failure, under a copy of the name.
 */
cn_status cn_weight_file_add(cn_weight_file *file, const char *name, cn_tensor *tensor,
                             size_t place, cn_error *err);

/* Counts an array that is passed over: "integers". */
void cn_weight_file_pass(cn_weight_file *file, const char *name, const char *why);

/* ---- which is which (weights_match.c) */

/* A parameter and the tensor that belongs to it, -1 for the one that lacks the other. */
typedef struct cn_weight_pair {
    int parameter, tensor;
} cn_weight_pair;

/*
 * Pairs all parameters and all tensors: *pairs (free with cn_release), *count of them, in the order
 * of the parameters, then those without one.
 *
 * Weights that a name holds together are a module: "layer1.0.conv1" has a weight and perhaps a
 * bias. Modules of one kind (convolution, dense, batch norm, ...) belong to the model's layers of
 * that kind in order, the file's by their names, in which numbers count as numbers: conv2d,
 * conv2d_2, conv2d_10. So is the order in which PyTorch and Keras name the parts of a network that
 * is built front to back. A pair need not have the same shape.
 */
cn_status cn_weights_pair(const cn_model *model, const cn_weight_file *file, cn_weight_pair **pairs,
                          int *count, cn_error *err);

/* The layer that parameter i belongs to, and which of its weights it is. */
const cn_layer *cn_weights_layer(const cn_model *model, int i, int *k);

/* The shape that weight k of a layer has in a file of this style; `flattened` is the order of the
 * layer's input. PyTorch's: `axes` as in channels_first.h. Keras's has the elements as ours. */
void cn_weights_shape(cn_weight_style style, const cn_layer *layer, int k,
                      const cn_shape *flattened, int axes[4], cn_shape *shape);
/* cn_flattened_order. PyTorch flattens with the channels first: CN_ERR_UNSUPPORTED where something
 * else than a dense layer reads such a vector, so that the order of what follows is not known. */
cn_status cn_weights_order(const cn_model *model, cn_weight_style style, const cn_shape **order,
                           cn_error *err);

/* ---- writing (weights_save.c) */

typedef enum cn_weights_form {
    CN_WEIGHTS_SAFETENSORS,
    CN_WEIGHTS_NPZ,
    CN_WEIGHTS_HDF5, /* a copy of `like`, which must be an HDF5 file */
} cn_weights_form;

/* The model's parameters under the names, and in the layout, of the weights in the file `like`. */
cn_status cn_weights_save(const cn_model *model, const char *like, const char *path,
                          cn_weights_form form, cn_error *err);

#endif

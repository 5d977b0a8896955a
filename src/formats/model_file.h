/* model_file.h - a model file that carries more than a model. */
#ifndef CN_MODEL_FILE_H
#define CN_MODEL_FILE_H

#include "formats/safetensors.h"
#include "model/model.h"

/* What a file with the metadata key has beside the parameters: tensors with the prefix. */
#define CN_TRAINING_KEY    "convnet_training"
#define CN_TRAINING_PREFIX "training:"

/* What a file has as metadata "convnet": {"format": 1, "graph": ...} as text, to be released; NULL
 * with an error. */
char *cn_model_graph_text(const cn_model *model, cn_error *err);

/* Saves a model with more metadata and tensors. Atomic, as cn_model_save. */
cn_status cn_model_file_save(const cn_model *model, const cn_safetensors *more, const char *path,
                             cn_error *err);
/* The model in a file that has been loaded from `path`. */
cn_status cn_model_file_read(cn_model **model, const cn_safetensors *file, const char *path,
                             cn_error *err);

/* As cn_model_load_sized, shape-only (model.h): only the header is read. */
cn_status cn_model_load_shapes(cn_model **model, const char *path, const cn_input_size *sizes,
                               int count, cn_error *err);

#endif

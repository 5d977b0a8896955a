/* npz_save.h - writes NumPy's archives of arrays, and models as such. */
#ifndef CN_NPZ_SAVE_H
#define CN_NPZ_SAVE_H

#include "formats/safetensors.h"

/* Writes the tensors, NAME.npy each, stored as they are: what numpy.savez makes of them. Atomic; the
 * same tensors give the same bytes. CN_ERR_UNSUPPORTED from 4 GiB on. */
cn_status cn_npz_save(const cn_named_tensor *tensors, int count, const char *path, cn_error *err);

/* Reads an archive that holds a model: the arrays of float32 as tensors, and the bytes of the array
 * "convnet" as metadata of this name. CN_ERR_FORMAT where that is missing. */
cn_status cn_npz_load(cn_safetensors *file, const char *path, cn_error *err);

#endif

/* hdf5_weights.h - the arrays of floats in an HDF5 file that need not be trusted; and such a file written. */
#ifndef CN_HDF5_WEIGHTS_H
#define CN_HDF5_WEIGHTS_H

#include "formats/weights.h"

/* Adds every array of floats and rank 1 to 4 in the file, whose bytes these are, to file->tensors,
 * as F32, under its path: "layers/conv2d/vars/0". What is none of these is passed over,
 * and so is the state of an optimizer, in the groups that Keras has it in. */
cn_status cn_hdf5_weights_read(cn_weight_file *file, const uint8_t *bytes, size_t size,
                               const char *path, cn_error *err);

/* The bytes of an HDF5 file that holds these arrays of float32 under their paths, by libhdf5 (hdf5.c),
 * in *bytes, to be released. CN_ERR_UNSUPPORTED without libhdf5; `path` is for errors. */
cn_status cn_hdf5_weights_write(const cn_named_tensor *tensors, int count, const char *path,
                                uint8_t **bytes, size_t *size, cn_error *err);

#endif

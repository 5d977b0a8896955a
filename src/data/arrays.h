/* arrays.h - a data set out of files of arrays, whatever their format. */
#ifndef CN_ARRAYS_H
#define CN_ARRAYS_H

#include "data/dataset.h"
#include "formats/array.h"

typedef cn_status (*cn_array_opener)(cn_array_file *file, const char *path, cn_error *err);

/*
 * Which array is what is told by shapes and names, so that most files need no explanation:
 *
 *   pictures   the array of rank 3 (n, n_H, n_W) or 4 (n, n_H, n_W, n_C)
 *   labels     the array (n), (1, n) or (n, 1)
 *   part       "train", "test" or "val" in an array's name, or else in the file's
 *
 * The other parts may lie in other files, whose names say the one word instead of the other:
 * train_signs.h5 and test_signs.h5.
 */
cn_status cn_arrays_load(cn_dataset **data, const char *path, const cn_request *request,
                         cn_array_opener open, cn_error *err);

/* Pictures and labels of any element as a set's tensors, whose memory the array gives up or frees.
 * U8 stays; floats become F32 as they are; U16 becomes F32 in [0, 1]; other integers have to be
 * 0 to 255. `path` is for errors. */
cn_status cn_arrays_pictures(cn_tensor *images, cn_array *array, const char *path, cn_error *err);
/* Whole numbers from 0 on; *most becomes the largest, if it was less. */
cn_status cn_arrays_labels(cn_tensor *labels, const cn_array *array, int *most, const char *path,
                           cn_error *err);

#endif

/* npy_pair.h - two .npy files as one file of arrays: images, and labels beside them. */
#ifndef CN_NPY_PAIR_H
#define CN_NPY_PAIR_H

#include "data/paths.h"
#include "formats/array.h"

/*
 * Where the labels of the images in `path` lie: the same name with "labels" for "images", with y
 * for an x that stands alone (x_train.npy, X.npy, train_set_x.npy), or with _labels added. False
 * where there is no such file.
 */
bool cn_npy_find_labels(char labels[CN_PATH_ROOM], const char *path);

/* Opens both; the arrays have the files' names. */
cn_status cn_npy_open_pair(cn_array_file *file, const char *path, cn_error *err);

#endif

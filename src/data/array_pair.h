/* array_pair.h - two files of arrays as one: images, and labels beside them. */
#ifndef CN_ARRAY_PAIR_H
#define CN_ARRAY_PAIR_H

#include "data/arrays.h"
#include "data/paths.h"

/*
 * Where the labels of the images in `path` lie: the same name with "labels" for "images", with y
 * for an x that stands alone (x_train.npy, X.h5, train_set_x.npz), or with _labels added. False
 * where there is no such file.
 */
bool cn_array_pair_find(char labels[CN_PATH_ROOM], const char *path);

/* Opens a file and, where it has a single array, the one beside it. */
cn_status cn_array_pair_open(cn_array_file *file, const char *path, cn_array_opener open,
                             cn_error *err);

/* A .npy: one array, which has the file's name. */
cn_status cn_npy_open(cn_array_file *file, const char *path, cn_error *err);

#endif

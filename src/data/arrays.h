/* arrays.h - a data set out of files of arrays, whatever their format. */
#ifndef CN_ARRAYS_H
#define CN_ARRAYS_H

#include "data/dataset.h"
#include "data/masks.h"
#include "formats/array.h"

typedef cn_status (*cn_array_opener)(cn_array_file *file, const char *path, cn_error *err);

/*
 * Which array is what is told by shapes and names, so that most files need no explanation:
 *
 *   images   the array of rank 3 (n, n_H, n_W) or 4 (n, n_H, n_W, n_C); where there is none, (n, k)
 *            with the k values of an image side by side
 *   labels   the array (n), (1, n) or (n, 1) of numbers, one-hot (n, classes), or where there is
 *            neither, names (n), (1, n) or (n, 1)
 *   masks    instead of labels, whole numbers (n, n_H, n_W) or (n, n_H, n_W, 1)
 *   part       "train", "test" or "val" in an array's name, or else in the file's
 *
 * The other parts may lie in other files, whose names say the one word instead of the other:
 * train_signs.h5 and test_signs.h5.
 */
cn_status cn_arrays_load(cn_dataset **data, const char *path, const cn_request *request,
                         cn_array_opener open, cn_error *err);

/* Images and labels of any element as a set's tensors, whose memory the array gives up or frees.
 * U8 stays; floats become F32 as they are. Whole numbers of 0 to 255 become U8, whatever the
 * element, and others F32, which cn_arrays_scale then brings from their range to [0, 1]. They have
 * to be of a usual range (range.c), or of 0 to 65535 for U16; `any`: of any. `path` is for errors.
 */
cn_status cn_arrays_images(cn_tensor *images, cn_array *array, bool any, const char *path,
                           cn_error *err);
void cn_arrays_scale(cn_dataset_parts *parts);
/* What whole numbers become that are of `least` to `most`; false where that is refused, which names
 * an element i. */
bool cn_arrays_dtype(cn_dtype *dtype, const cn_array_about *about, double least, double most,
                     bool any);
cn_status cn_arrays_refuse(const cn_array_about *about, size_t i, double value, const char *path,
                           cn_error *err);
/* Of images (n, n_H, n_W, n_C), where axes that the array has not are 1. */
void cn_arrays_shape(int shape[4], const cn_array_about *about);

/* Images that are too many for memory, read from where they lie (arrays_stored.c). *found is false,
 * and nothing is done but a remark, where they fit or do not lie there as they are. */
cn_status cn_arrays_stored(cn_dataset_parts *parts, const cn_array_file *file, int i, bool masked,
                           const cn_request *request, bool *found, cn_error *err);

/* Is an array the masks of these images? By its shape, and by its name or theirs
 * (arrays_masks.c). */
bool cn_arrays_are_masks(const cn_array_about *about, const cn_array_about *images);
/* Sets present[v] for each value v of array i, of masks. */
cn_status cn_arrays_look_at_masks(bool present[256], const cn_array_file *file, int i,
                                  cn_error *err);
/* Masks of classes, read from where they lie if the images are. */
cn_status cn_arrays_masks(cn_dataset_parts *parts, const cn_array_file *file, int i,
                          const cn_mask_table *table, const cn_request *request, cn_error *err);
/* Whole numbers from 0 on, in a list (n), (1, n) or (n, 1); or one-hot, (n, classes), which are no
 * targets. */
cn_status cn_arrays_labels(cn_tensor *labels, const cn_array *array, const char *path,
                           cn_error *err);
/* Are labels no classes, but numbers to learn, or any number of 0 and 1 per image? Floats with fractions
 * in a list, and rows (n, k) without a single 1. */
bool cn_arrays_are_targets(const cn_array *array);
/* These (n, k) as F32; *binary becomes false where any is neither 0 nor 1. */
cn_status cn_arrays_targets(cn_tensor *targets, const cn_array *array, bool *binary, cn_error *err);
/* The names of an array of texts, which is left with them: a list to be freed with cn_release. An
 * empty one is an error. */
cn_status cn_arrays_names(char ***names, cn_array *array, const char *path, cn_error *err);
/* The classes of one-hot labels for n images; 0 where the array is none. */
int cn_arrays_one_hot(const cn_array_about *about, int n);

#endif

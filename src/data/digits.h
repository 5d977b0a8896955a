/* digits.h - the embedded handwriting: gzipped IDX files as bytes, made by cmake/digits.cmake. */
#ifndef CN_DIGITS_H
#define CN_DIGITS_H

#include <stddef.h>

extern const unsigned char cn_digits_images[];
extern const size_t cn_digits_images_size;
extern const unsigned char cn_digits_labels[];
extern const size_t cn_digits_labels_size;

#endif

/* kernels_wide.h - a table for tests alone: see kernels_wide.c. */
#ifndef TEST_KERNELS_WIDE_H
#define TEST_KERNELS_WIDE_H

#include "kernels/kernels.h"

extern const cn_kernels cn_kernels_wide;

#endif

/* tables.h - the tables that kernels_*.c define, one per instruction set. */
#ifndef CN_TABLES_H
#define CN_TABLES_H

#include "kernels/kernels.h"

extern const cn_kernels cn_kernels_scalar;
#ifdef CONVNET_HAVE_AVX2
extern const cn_kernels cn_kernels_avx2;
#endif
#ifdef CONVNET_HAVE_AVX512
extern const cn_kernels cn_kernels_avx512;
#endif

#endif

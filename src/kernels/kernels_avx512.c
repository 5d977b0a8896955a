/* kernels_avx512.c - the kernels with AVX-512 (F, VL, DQ, BW). */
#include "kernels/tables.h"

#ifdef CONVNET_HAVE_AVX512
#define ISA   avx512
#define LANES 16
#include "kernels/kernels_template.h"
#endif

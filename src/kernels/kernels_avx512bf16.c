/* kernels_avx512bf16.c - the kernels with AVX-512 (F, VL, DQ, BW) and its products of bf16. */
#include "kernels/tables.h"

#ifdef CONVNET_HAVE_AVX512BF16
#define ISA   avx512bf16
#define LANES 16
#include "kernels/kernels_template.h"
#endif

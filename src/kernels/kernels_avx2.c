/* kernels_avx2.c - the kernels with AVX2 and FMA. */
#include "kernels/tables.h"

#ifdef CONVNET_HAVE_AVX2
#define ISA   avx2
#define LANES 8
#include "kernels/kernels_template.h"
#endif

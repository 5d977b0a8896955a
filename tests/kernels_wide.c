/*
 * kernels_wide.c - the kernels with vectors of 16 floats, as for AVX-512, in instructions that
 * every processor has: slow, but so their code is tested where no processor with AVX-512 is.
 */
#include "kernels_wide.h"

#define ISA   wide
#define LANES 16
#include "kernels/kernels_template.h"

/* kernels_scalar.c - the kernels with what every processor of the target has (SSE2 on x86-64). */
#include "kernels/tables.h"

#define ISA   scalar
#define LANES 4
#include "kernels/kernels_template.h"

/* elementwise_kernels.h - the table of element-wise functions. */
#ifndef CN_ELEMENTWISE_KERNELS_H
#define CN_ELEMENTWISE_KERNELS_H

#include "base/activation.h"

#include <stddef.h>

/* An element-wise function, over n elements; outputs may alias inputs. The table of an instruction
 * set has that of activation a in row a.kind, and ends in a name NULL. */
typedef struct cn_elementwise {
    const char *name; /* of its layer's type; several types use "clip" */
    void (*forward)(size_t n, const cn_activation *a, const float *x, float *y);
    /* dx = dy f'(x), found from the output y, or, as the layer's type says, from the input x. */
    void (*backward)(size_t n, const cn_activation *a, const float *from, const float *dy,
                     float *dx);
} cn_elementwise;

#endif

/* reference_backend.h - what the gradient check shares with the reference backend. */
#ifndef CN_REFERENCE_BACKEND_H
#define CN_REFERENCE_BACKEND_H

#include "backends/backend.h"

/* The layer's sizes for m examples, as the twins read them: examples of rank 1 are 1 x 1 images. */
cn_conv_problem cn_twin_shape(const cn_layer *layer, int m);
/* An example's (h, w, c); of rank 1 (1, 1, n). */
void cn_twin_extents(const cn_shape *shape, int extents[3]);

#endif

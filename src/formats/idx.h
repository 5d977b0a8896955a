/* idx.h - reads the IDX form of arrays, that of the MNIST files. */
#ifndef CN_IDX_H
#define CN_IDX_H

#include "base/source.h"

/* Reads one array, to the end of the source: unsigned bytes as U8, 32-bit integers as I32, floats
 * as F32, doubles as F64. The tensor is owned by the caller. */
cn_status cn_idx_read(cn_source *source, cn_tensor *out, cn_error *err);

#endif

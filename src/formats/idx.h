/* idx.h - reads the IDX form of arrays, that of the MNIST files. */
#ifndef CN_IDX_H
#define CN_IDX_H

#include "base/source.h"

/* Reads one array, to the end of the source: unsigned bytes as U8, 32-bit integers as I32, floats
 * as F32, doubles as F64. The tensor is owned by the caller. */
cn_status cn_idx_read(cn_source *source, cn_tensor *out, cn_error *err);
/* The same without the elements: a view of them without data, how many bytes they are, and the byte of
 * the file where the first one lies. *found is false where the file is packed. */
cn_status cn_idx_locate(cn_source *source, cn_tensor *out, size_t *bytes, size_t *offset,
                        bool *found, cn_error *err);

#endif

/* npy.h - reads NumPy's form of arrays, by itself and as a member of .npz. */
#ifndef CN_NPY_H
#define CN_NPY_H

#include "base/source.h"
#include "formats/array.h"

/* What is beside the elements in a header. */
typedef struct cn_npy_order {
    bool big_endian, fortran;
} cn_npy_order;

/* Reads the header; about->name is left alone. CN_ERR_UNSUPPORTED for a well-formed array that is
 * none of ours: of other elements, another rank, or empty. */
cn_status cn_npy_header(cn_source *source, cn_array_about *about, cn_npy_order *order,
                        cn_error *err);
/* Reads the elements that follow, to the end, into C order and this machine's order of bytes. */
cn_status cn_npy_elements(cn_source *source, const cn_array_about *about, cn_npy_order order,
                          cn_array *out, cn_error *err);

#endif

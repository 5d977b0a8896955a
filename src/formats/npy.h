/* npy.h - NumPy's form of arrays, by itself and as a member of .npz. */
#ifndef CN_NPY_H
#define CN_NPY_H

#include "base/sink.h"
#include "base/source.h"
#include "formats/array.h"

/* Reads the header; about->name is left alone. CN_ERR_UNSUPPORTED for a well-formed array that is
 * none of ours: of other elements, another rank, or empty. */
cn_status cn_npy_header(cn_source *source, cn_array_about *about, cn_error *err);
/* Reads an array, to the end, into C order and this machine's order of bytes; out->about.name is
 * the name given. */
cn_status cn_npy_read(cn_source *source, const char *name, cn_array *out, cn_error *err);
/* Finds an array's elements in the source's file, as cn_array_file.locate does; place->path is left
 * alone. */
cn_status cn_npy_locate(cn_source *source, cn_array_place *place, bool *found, cn_error *err);
/* What precedes a tensor's elements in a file, into head; returns how many bytes. */
enum { CN_NPY_HEAD = 256 };
size_t cn_npy_head(const cn_tensor *tensor, uint8_t head[CN_NPY_HEAD]);
/* Writes a tensor of any dtype. */
cn_status cn_npy_write(cn_sink *sink, const cn_tensor *tensor, cn_error *err);

#endif

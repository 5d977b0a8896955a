/* safetensors.h - named tensors and texts in one file that every framework reads. */
#ifndef CN_SAFETENSORS_H
#define CN_SAFETENSORS_H

#include "base/source.h"

typedef struct cn_text_pair {
    const char *key, *value;
} cn_text_pair;

typedef struct cn_named_tensor {
    const char *name;
    cn_tensor value;
} cn_named_tensor;

enum { CN_PASSED_TEXT = 112 };

/* What a file holds. Loaded, it owns everything, `storage` included; to be saved, it points at what
 * is the caller's, and `storage` is NULL. */
typedef struct cn_safetensors {
    cn_text_pair *metadata;
    int metadata_count;
    cn_named_tensor *tensors;
    int tensor_count;
    void *storage; /* where a loaded file's names and texts live */
    /* Of cn_safetensors_read_floats: arrays of other elements, and the first of them, "w: dtype I8". */
    int passed_over;
    char passed[CN_PASSED_TEXT];
} cn_safetensors;

/*
 * Reads a file, which must be complete and consistent: see safetensors.c. Tensors come in the order
 * of their bytes. Refused by name: element types that no cn_dtype is (F16, I64 ...), ranks that are
 * not 1 to 4, empty tensors.
 */
cn_status cn_safetensors_load(cn_safetensors *file, const char *path, cn_error *err);
cn_status cn_safetensors_read(cn_safetensors *file, cn_source *source, cn_error *err);
/* The header alone: the tensors have names and shapes, but no data. */
cn_status cn_safetensors_outline(cn_safetensors *file, const char *path, cn_error *err);
/* What another program wrote: every tensor of floats (F16, BF16 and F64, too) and rank 1 to 4, as
 * F32. Others are passed over, those of more than one element are counted: counters are no weights. What
 * the metadata have beside texts is passed over, too. */
cn_status cn_safetensors_load_floats(cn_safetensors *file, const char *path, cn_error *err);
cn_status cn_safetensors_read_floats(cn_safetensors *file, cn_source *source, cn_error *err);
void cn_safetensors_free(cn_safetensors *file);

/* NULL where there is none of this name. */
const cn_named_tensor *cn_safetensors_find(const cn_safetensors *file, const char *name);
const char *cn_safetensors_metadata(const cn_safetensors *file, const char *key);

/* Writes a file, atomically. The same content gives the same bytes, in whatever order the tensors
 * come: the widest elements first, then by name; metadata in the given order. */
cn_status cn_safetensors_save(const cn_safetensors *file, const char *path, cn_error *err);

#endif

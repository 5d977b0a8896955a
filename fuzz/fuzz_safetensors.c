/* Any bytes as a safetensors file: an error, or tensors that fill the file. */
#include <stdlib.h>

#include "formats/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cn_source *source = NULL;
    cn_safetensors file = {0};
    cn_error err = {CN_OK, ""};
    size_t held = 0;
    cn_status status = cn_source_memory(&source, "input", bytes, size, CN_SOURCE_PLAIN, &err);
    if (status == CN_OK) status = cn_safetensors_read(&file, source, &err);
    cn_source_close(source);
    for (int i = 0; i < file.tensor_count; i++) {
        const cn_named_tensor *t = cn_safetensors_find(&file, file.tensors[i].name);
        if (t != &file.tensors[i]) abort();
        held += cn_tensor_count(&t->value) * cn_dtype_size(t->value.dtype);
    }
    if (status == CN_OK ? held + 10 > size : held || err.status != status) abort();
    cn_safetensors_free(&file);

    /* As weights of others: what can be read is a part of it, as floats. */
    status = cn_source_memory(&source, "input", bytes, size, CN_SOURCE_PLAIN, &err);
    if (status == CN_OK) status = cn_safetensors_read_floats(&file, source, &err);
    cn_source_close(source);
    for (int i = 0; i < file.tensor_count; i++)
        if (file.tensors[i].value.dtype != CN_DTYPE_F32) abort();
    if (status != CN_OK && (file.tensor_count || err.status != status)) abort();
    cn_safetensors_free(&file);
    return 0;
}

/* Any bytes as an HDF5 file of weights: an error, or arrays that the file can hold. */
#include <stdlib.h>

#include "formats/hdf5_weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cn_weight_file file = {.count = 0};
    cn_error err = {CN_OK, ""};
    size_t held = 0;
    cn_status status = cn_hdf5_weights_read(&file, bytes, size, "input", &err);
    if (status != CN_OK && (err.status != status || !err.text[0])) abort();
    for (int i = 0; i < file.count; i++) held += cn_tensor_count(&file.tensors[i].value);
    if (held > size / 2) abort(); /* of 2 bytes each, at the least */
    cn_weight_file_free(&file);
    return 0;
}

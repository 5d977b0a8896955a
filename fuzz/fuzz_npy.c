/* Any bytes as a NumPy array: an error, or an array of what the header says. */
#include <stdlib.h>

#include "formats/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cn_source *source = NULL;
    cn_array array = {.data = NULL};
    cn_error err = {CN_OK, ""};
    size_t count = 0;
    cn_status status = cn_source_memory(&source, "input", bytes, size, CN_SOURCE_UNPACK, &err);
    if (status == CN_OK) status = cn_npy_read(source, "input", &array, &err);
    cn_source_close(source);
    if (status == CN_OK ? !array.data : array.data || err.status != status || !err.text[0]) abort();
    if (status == CN_OK && (!cn_array_count(&array.about, &count) || count == 0)) abort();
    cn_release(array.data);
    return 0;
}

/* Any bytes as an IDX file, gzipped or not: an error, or an array. */
#include <stdlib.h>

#include "formats/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cn_source *source = NULL;
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    cn_status status = cn_source_memory(&source, "input", bytes, size, CN_SOURCE_UNPACK, &err);
    if (status == CN_OK) status = cn_idx_read(source, &t, &err);
    cn_source_close(source);
    if (status == CN_OK ? !t.data : t.data || err.status != status || !err.text[0]) abort();
    cn_tensor_free(&t);
    return 0;
}

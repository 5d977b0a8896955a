/* weights_file.c - reads files of weights in any of the formats that frameworks write. */
#include "formats/weights.h"

#include "base/signature.h"

#include <string.h>

static cn_status read_safetensors(cn_weight_file *file, const char *path, cn_error *err)
{
    cn_status status = cn_safetensors_load_floats(&file->storage, path, err);
    file->tensors = file->storage.tensors;
    file->count = file->storage.tensor_count;
    file->style = CN_STYLE_PYTORCH;
    return status;
}

cn_status cn_weight_file_load(cn_weight_file *file, const char *path, cn_error *err)
{
    *file = (cn_weight_file){.count = 0};
    return read_safetensors(file, path, err);
}

void cn_weight_file_free(cn_weight_file *file)
{
    cn_safetensors_free(&file->storage);
    *file = (cn_weight_file){.count = 0};
}

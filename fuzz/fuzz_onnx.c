/* Any bytes as an ONNX file: an error, or a model that is finished. */
#include <stdlib.h>

#include "onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cn_onnx_file file;
    cn_model *model = NULL;
    cn_error err = {CN_OK, ""};
    cn_status status = cn_onnx_file_read(&file, "input", (cn_span){bytes, size}, &err);
    if (status == CN_OK) {
        const cn_input_size size = {NULL, {8, 8, 3}};
        status = cn_onnx_import(&model, &file, false, &err);
        if (status == CN_ERR_SHAPE) {
            file.sizes = &size;
            file.size_count = 1;
            status = cn_onnx_import(&model, &file, false, &err);
        }
        cn_onnx_file_free(&file);
    }
    if (status == CN_OK ? !model || cn_model_output_size(model) < 1 : model || err.status != status)
        abort();
    cn_model_free(model);
    return 0;
}

/* Any bytes as an archive of NumPy arrays: an error, or arrays that can be read or are refused. */
#define _GNU_SOURCE /* memfd_create: archives are read from files */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/array.h"
#include "formats/npz_save.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[64];
    cn_array_file file = {.path = NULL};
    cn_error err = {CN_OK, ""};
    int memory = memfd_create("input", 0);
    if (memory < 0 || write(memory, bytes, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    cn_status status = cn_npz_open(&file, path, &err);
    if (status != CN_OK && (file.count || err.status != status || !err.text[0])) abort();
    for (int i = 0; i < file.count; i++) {
        cn_array array = {.data = NULL};
        status = file.read(&file, i, &array, &err);
        if (status == CN_OK ? !array.data : array.data || err.status != status) abort();
        cn_release(array.data);
    }
    cn_array_file_close(&file);

    /* As a model's archive: tensors and a text. */
    cn_safetensors model = {0};
    status = cn_npz_load(&model, path, &err);
    if (status == CN_OK ? model.metadata_count != 1 : model.tensor_count != 0) abort();
    cn_safetensors_free(&model);
    close(memory);
    return 0;
}

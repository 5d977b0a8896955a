/* Any bytes as a mask: an error, or classes of 0 to 255 that can be laid over an image and saved. */
#define _GNU_SOURCE /* memfd_create: masks are read from files */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/image.h"

/* Indices are bytes, but for gray of 16 bits. */
static void decode(const uint8_t *bytes, size_t size)
{
    cn_tensor image = {0};
    cn_error err = {CN_OK, ""};
    cn_status status = cn_image_decode(&image, "input", bytes, size, CN_IMAGE_INDICES, &err);
    if (status == CN_OK ? !image.data : image.data || err.status != status) abort();
    cn_tensor_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[64];
    cn_tensor mask = {0}, overlay = {0};
    cn_error err = {CN_OK, ""};
    decode(bytes, size);
    int memory = memfd_create("input", 0);
    if (memory < 0 || write(memory, bytes, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    cn_status status = cn_mask_load(&mask, path, &err);
    close(memory);
    if (status != CN_OK && (mask.data || err.status != status || !err.text[0])) abort();
    if (status == CN_OK) {
        if (mask.dtype != CN_DTYPE_U8 || mask.rank != 2) abort();
        const cn_tensor gray =
            cn_tensor_view(CN_DTYPE_U8, 3, (int[]){mask.shape[0], mask.shape[1], 1}, mask.data);
        if (cn_mask_overlay(&gray, &mask, &overlay, &err) != CN_OK) abort();
    }
    cn_tensor_free(&mask);
    cn_tensor_free(&overlay);
    return 0;
}

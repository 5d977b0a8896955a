/* Any bytes as the names and colors of masks' classes: an error, or up to 255 of them, all different. */
#define _GNU_SOURCE /* memfd_create: texts are read from files */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/masks.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[64];
    char **names = NULL;
    cn_mask_colors colors = {.count = 0};
    cn_error err = {CN_OK, ""};
    int memory = memfd_create("input", 0);
    if (memory < 0 || write(memory, bytes, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    cn_status status = cn_mask_colors_read(&colors, &names, path, &err);
    close(memory);
    if (status != CN_OK && (names || err.status != status || !err.text[0])) abort();
    if (status == CN_OK && (colors.count < 1 || colors.count > CN_MASK_IGNORED)) abort();
    for (int v = 0; status == CN_OK && v < colors.count; v++) {
        if (!names[v][0] || !cn_is_utf8(names[v])) abort();
        if (colors.color[v] < 0 || colors.color[v] > 0xffffff) abort();
        for (int k = 0; k < v; k++)
            if (colors.color[v] == colors.color[k]) abort();
    }
    cn_release(names);
    return 0;
}

/* Any bytes as a table beside two images and a mask: an error, or a set of data, whether its rows
 * name images, masks or targets, or are pixels. */
#define _GNU_SOURCE /* mkdtemp */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/dataset.h"

static char folder[] = "/tmp/convnet-fuzz-XXXXXX";
static const char *const files[] = {"a.pgm", "b.pgm", "m.pgm", "table.csv"};
enum { FILES = sizeof files / sizeof *files, PATH = 64 };

static void put(const char *name, const void *bytes, size_t size)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, size, out) != size || fclose(out) != 0) abort();
}

static void clean_up(void)
{
    char path[PATH];
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    if (!mkdtemp(folder) || atexit(clean_up) != 0) abort();
    put("a.pgm", "P5 2 2 255\n\1\2\3\4", 15);
    put("b.pgm", "P5 2 2 255\n\5\6\7\10", 15);
    put("m.pgm", "P5 2 2 255\n\0\1\0\1", 15);
    return 0;
}

/* What a set that was read holds. */
static void check(const cn_dataset *data)
{
    const int n = cn_dataset_size(data), classes = cn_dataset_classes(data);
    if (n < 1 || classes < 1) abort();
    for (int i = 0; i < n && cn_dataset_task(data) == CN_TASK_CLASSIFICATION; i++)
        if (cn_dataset_label(data, i) < 0 || cn_dataset_label(data, i) >= classes) abort();
    for (int k = 0; k < classes; k++)
        if (!cn_dataset_class_name(data, k)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char path[PATH];
    cn_remarks remarks = {.text = NULL};
    cn_data_opts opts = {.given = 0};
    cn_error err = {CN_OK, ""};
    cn_dataset *data = NULL;
    const cn_request request = {.split = (cn_subset)(size % CN_PARTS), /* some of each */
                                .remarks = &remarks,
                                .opts = &opts,
                                .memory = 1 << 24};
    put("table.csv", bytes, size);
    snprintf(path, sizeof path, "%s/table.csv", folder);
    cn_status status = cn_reader_csv.load(&data, path, &request, &err);
    if (status != CN_OK && (data || err.status != status || !err.text[0])) abort();
    if (data) check(data);
    cn_dataset_free(data);
    cn_release(remarks.text);
    return 0;
}

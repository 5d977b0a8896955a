/* masks_out.c - the masks and overlays that `convnet predict --out DIR` writes. */
#include "masks_out.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

/* The length of a name without its ending. */
static int stem_of(const char *name)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    return (int)(dot && (!slash || dot > slash) ? (size_t)(dot - name) : strlen(name));
}

static int compare(const void *a, const void *b)
{
    const char *x = (*(const cli_input *const *)a)->name, *y = (*(const cli_input *const *)b)->name;
    int length = stem_of(x), other = stem_of(y), both = length < other ? length : other;
    int order = memcmp(x, y, (size_t)both);
    return order ? order : (length > other) - (length < other);
}

cn_status cli_check_masks_out(const cli_inputs *inputs, cn_error *err)
{
    size_t n = (size_t)inputs->count;
    const cli_input **sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted) return cn_fail(err, CN_ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) sorted[i] = &inputs->items[i];
    qsort(sorted, n, sizeof *sorted, compare);
    cn_status status = CN_OK;
    for (size_t i = 1; status == CN_OK && i < n; i++)
        if (compare(&sorted[i - 1], &sorted[i]) == 0)
            status =
                cn_fail(err, CN_ERR_ARGUMENT, "%.100s and %.100s would be written to the same mask",
                        sorted[i - 1]->path, sorted[i]->path);
    free(sorted);
    return status;
}

/* The path of one of the two files; free it. */
static char *name_file(const char *dir, const char *folder, const char *name, const char *ending)
{
    size_t size = strlen(dir) + strlen(folder) + strlen(name) + strlen(ending) + 3;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s/%.*s%s", dir, folder, stem_of(name), name, ending);
    return path;
}

/* Writes both with these endings. */
static cn_status write_files(const char *dir, const char *name, const char *const endings[2],
                             const cn_tensor *mask, const cn_tensor *overlay, cn_error *err)
{
    char *mask_path = name_file(dir, "masks", name, endings[0]);
    char *overlay_path = name_file(dir, "overlays", name, endings[1]);
    cn_status status = mask_path && overlay_path ? cli_make_folders(mask_path, err)
                                                 : cn_fail(err, CN_ERR_MEMORY, "out of memory");
    if (status == CN_OK) status = cli_make_folders(overlay_path, err);
    if (status == CN_OK) status = cn_mask_save(mask, mask_path, err);
    if (status == CN_OK) status = cn_image_save(overlay, overlay_path, err);
    free(mask_path);
    free(overlay_path);
    return status;
}

cn_status cli_write_masks(const char *dir, const cli_input *input, const cn_tensor *image,
                          const cn_tensor *mask, cn_error *err)
{
    static const char *const png[] = {".png", ".png"}, *const pnm[] = {".pgm", ".ppm"};
    cn_tensor overlay = {0};
    cn_status status = cn_mask_overlay(image, mask, &overlay, err);
    if (status == CN_OK) status = write_files(dir, input->name, png, mask, &overlay, err);
    if (status == CN_ERR_UNSUPPORTED) /* built without libpng */
        status = write_files(dir, input->name, pnm, mask, &overlay, err);
    cn_tensor_free(&overlay);
    return status;
}

/* images_list.c - lists of image files, with their labels or masks. */
#include "data/images.h"
#include "data/paths.h"

#include <string.h>

/* Room for one more. */
static cn_status grow(cn_image_list *list, bool masked, const char *path, cn_error *err)
{
    int rooms[3] = {list->room, list->room, list->room};
    const int count = list->count;
    cn_status status =
        cn_array_grow(&list->paths, sizeof *list->paths, count, &rooms[0], path, err);
    if (status == CN_OK)
        status = cn_array_grow(&list->labels, sizeof *list->labels, count, &rooms[1], path, err);
    if (status == CN_OK && masked)
        status = cn_array_grow(&list->masks, sizeof *list->masks, count, &rooms[2], path, err);
    if (status == CN_OK) list->room = rooms[0];
    return status;
}

static cn_status add(cn_image_list *list, const char *path, const char *mask, int32_t label,
                     cn_error *err)
{
    cn_status status = grow(list, mask, path, err);
    if (status != CN_OK) return status;
    char *copy = cn_name_copy(path, err);
    char *mask_copy = copy && mask ? cn_name_copy(mask, err) : NULL;
    if (!copy || (mask && !mask_copy)) {
        cn_release(copy);
        return CN_ERR_MEMORY;
    }
    if (mask) list->masks[list->count] = mask_copy;
    list->paths[list->count] = copy;
    list->labels[list->count++] = label;
    return CN_OK;
}

cn_status cn_image_list_add(cn_image_list *list, const char *path, int32_t label, cn_error *err)
{
    return add(list, path, NULL, label, err);
}

cn_status cn_image_list_add_mask(cn_image_list *list, const char *path, const char *mask,
                                 cn_error *err)
{
    return add(list, path, mask, 0, err);
}

void cn_image_set_free(cn_image_set *set)
{
    for (int part = 0; part < CN_PARTS; part++) {
        cn_image_list *list = &set->parts[part];
        for (int i = 0; i < list->count; i++) {
            cn_release(list->paths[i]);
            if (list->masks) cn_release(list->masks[i]);
        }
        cn_release(list->paths);
        cn_release(list->masks);
        cn_release(list->labels);
        *list = (cn_image_list){.count = 0};
    }
}

bool cn_is_image_name(const char *name)
{
    static const char *const endings[] = {".png",  ".jpg", ".jpeg", ".jfif", ".jpe", ".pgm",
                                          ".ppm",  ".pnm", ".pbm",  ".pam",  ".bmp", ".dib",
                                          ".webp", ".gif", ".tif",  ".tiff"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (cn_same_letters(dot, endings[i])) return true;
    return false;
}

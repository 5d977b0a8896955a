/*
 * arrays_masks.c - masks (n, n_H, n_W), (n, n_H, n_W, 1) or (n, 1, n_H, n_W) in files of arrays.
 *
 * Their values are whole numbers of 0 to 255 of any element, and stand for the same classes as those
 * of mask files (masks.h).
 */
#include "data/arrays.h"
#include "data/masks.h"
#include "data/paths.h"
#include "data/stored.h"

#include <string.h>

/* ---- Which array is one */

static bool is_named_mask(const char *name)
{
    static const char *const words[] = {
        "mask",    "masks", "y",    "label",        "labels",     "target",
        "targets", "seg",   "gt",   "segmentation", "annotation", "annotations",
        "ytrain",  "ytest", "yval", "yvalid",       NULL};
    return cn_name_has_any(name, words);
}

/* The rows of a mask, and behind them the columns. */
static const int *sides_of(const cn_array_about *a)
{
    return a->shape + (a->rank == 4 && a->shape[1] == 1 && a->shape[3] != 1 ? 2 : 1);
}

bool cn_arrays_are_masks(const cn_array_about *a, const cn_array_about *images)
{
    const int *n = images->shape, *m = a->shape, *side = sides_of(a);
    bool flat = a->rank == 3 || (a->rank == 4 && (m[3] == 1 || m[1] == 1));
    if (!flat || images->rank < 3 || a->element == CN_ELEMENT_TEXT || m[0] != n[0]) return false;
    bool last = side[0] == n[1] && side[1] == n[2];
    bool first = images->rank == 4 && side[0] == n[2] && side[1] == n[3];
    if (!last && !first) return false;
    if (is_named_mask(a->name)) return !is_named_mask(images->name);
    return a->rank == 3 && images->rank == 4 && !is_named_mask(images->name);
}

/* ---- Values */

/* Bytes that are looked at, or brought to classes, where they lie. */
static cn_stored_form form_of(const cn_array_about *about, const cn_array_place *place,
                              const uint8_t *map)
{
    const int *side = sides_of(about);
    return (cn_stored_form){.element = place->element,
                            .swapped = place->swapped,
                            .shape = {side[0], side[1], 1},
                            .dtype = CN_DTYPE_U8,
                            .map = map};
}

/* (n, n_H, n_W) */
static void shape_of(int shape[3], const cn_array_about *about)
{
    const int *side = sides_of(about);
    shape[0] = about->shape[0];
    shape[1] = side[0];
    shape[2] = side[1];
}

static cn_status open_masks(cn_stored **stored, const cn_array_about *about,
                            const cn_array_place *place, const uint8_t *map, cn_error *err)
{
    const cn_stored_form form = form_of(about, place, map);
    cn_stored *s = NULL;
    cn_status status = cn_stored_create(&s, &form, err);
    if (status == CN_OK)
        status = cn_stored_add(s, place->path, place->offset, about->shape[0], err);
    if (status == CN_OK)
        *stored = s;
    else
        cn_stored_free(s);
    return status;
}

static cn_status look(bool present[256], const cn_array *array, const char *path, cn_error *err)
{
    size_t count = 0;
    if (!cn_array_count(&array->about, &count)) count = 0;
    for (size_t i = 0; i < count; i++) {
        double v = cn_array_value(array, i);
        uint8_t byte = v >= 0 && v <= 255 ? (uint8_t)v : 0;
        if (v != (double)byte) return cn_masks_refuse(path, i, v, err);
        present[byte] = true;
    }
    return CN_OK;
}

cn_status cn_arrays_look_at_masks(bool present[256], const cn_array_file *file, int i,
                                  cn_error *err)
{
    cn_array_place place = {.path = file->path};
    cn_array array = {.data = NULL};
    cn_stored *stored = NULL;
    bool found = false;
    cn_status status = file->locate(file, i, &place, &found, err);
    if (status == CN_OK && found) {
        status = open_masks(&stored, &file->abouts[i], &place, NULL, err);
        if (status == CN_OK) status = cn_stored_values(stored, present, file->path, err);
        cn_stored_free(stored);
        return status;
    }
    if (status == CN_OK) status = file->read(file, i, &array, err);
    if (status == CN_OK) status = look(present, &array, file->path, err);
    cn_release(array.data);
    return status;
}

/* ---- Masks of classes */

static cn_status read_whole(cn_dataset_parts *parts, const cn_array_file *file, int i,
                            const cn_mask_table *table, cn_error *err)
{
    cn_array array = {.data = NULL};
    int shape[3];
    shape_of(shape, &file->abouts[i]);
    cn_status status = file->read(file, i, &array, err);
    if (status == CN_OK) status = cn_tensor_create(&parts->masks, CN_DTYPE_U8, 3, shape, err);
    uint8_t *masks = parts->masks.data;
    for (size_t k = 0; status == CN_OK && k < cn_tensor_count(&parts->masks); k++)
        masks[k] = table->class_of[(uint8_t)cn_array_value(&array, k)];
    cn_release(array.data);
    return status;
}

cn_status cn_arrays_masks(cn_dataset_parts *parts, const cn_array_file *file, int i,
                          const cn_mask_table *table, const cn_request *request, cn_error *err)
{
    const cn_array_about *about = &file->abouts[i];
    cn_array_place place = {.path = file->path};
    cn_stored *stored = NULL;
    int shape[3];
    bool found = false;
    cn_status status = CN_OK;
    shape_of(shape, about);
    if (!parts->images.data) status = file->locate(file, i, &place, &found, err);
    if (status == CN_OK && !found) return read_whole(parts, file, i, table, err);
    if (status == CN_OK) status = open_masks(&stored, about, &place, table->class_of, err);
    if (status != CN_OK) return status;
    size_t used = cn_samples_memory(parts->samples);
    cn_request quiet = *request; /* the images have been counted */
    quiet.report.call = NULL;
    parts->masks = cn_tensor_view(CN_DTYPE_U8, 3, shape, NULL);
    return cn_stored_samples(&parts->mask_samples, stored,
                             cn_memory_left(cn_request_memory(request), used), &quiet, file->path,
                             err);
}

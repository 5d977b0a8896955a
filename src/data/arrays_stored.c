/* arrays_stored.c - arrays of images that are too many for memory, read from where they lie. */
#include "data/arrays.h"
#include "data/stored.h"

#include <string.h>

/* Would reading all of it at once exceed what a set may take? An array of whole numbers needs room
 * for itself, and for the floats that it may become; masks are a byte per pixel or less than that. */
static bool is_large(const cn_array_about *about, bool masked, const cn_request *request)
{
    size_t size = cn_array_element_size(about), count;
    if (about->element != CN_ELEMENT_U8 && size < sizeof(float)) size = sizeof(float);
    if (!cn_array_count(about, &count) || !cn_multiply(count, size + masked, &count)) return true;
    return !cn_request_holds(request, count);
}

/* What the values of whole numbers are, which decides what they become; floats stay, and bytes. */
static cn_status find_whole(cn_stored_form *form, cn_dataset_parts *parts,
                            const cn_array_about *about, const cn_stored *stored,
                            const cn_request *request, const char *path, cn_error *err)
{
    double least = 0, most = 0;
    bool any = request->opts->given & CN_OPTION_RANGE;
    cn_status status = cn_stored_ends(stored, &least, &most, err);
    if (status == CN_OK && !cn_arrays_dtype(&form->dtype, about, least, most, any)) {
        size_t i = 0;
        status = cn_stored_find_large(stored, &i, &least, err);
        if (status == CN_OK) status = cn_arrays_refuse(about, i, least, path, err);
    }
    if (status != CN_OK) return status;
    parts->images.dtype = form->dtype;
    status = cn_find_range_of(parts, (double)(float)least, (double)(float)most, request, path, err);
    if (form->dtype != CN_DTYPE_F32) return status;
    form->low = parts->image_opts.low;
    form->high = parts->image_opts.high;
    parts->image_opts.low = 0;
    parts->image_opts.high = 1;
    return status;
}

/* A form of `place` with all of its images. */
static cn_status open_stored(cn_stored **stored, const cn_stored_form *form,
                             const cn_array_place *place, int count, cn_error *err)
{
    cn_status status = cn_stored_create(stored, form, err);
    if (status == CN_OK) status = cn_stored_add(*stored, place->path, place->offset, count, err);
    if (status == CN_OK) return CN_OK;
    cn_stored_free(*stored);
    *stored = NULL;
    return status;
}

/* What became of whole numbers is known after a first look, and all images are then seen again. */
static cn_status load(cn_dataset_parts *parts, cn_stored_form *form, const cn_array_about *about,
                      const cn_array_place *place, const cn_request *request, const char *path,
                      cn_error *err)
{
    cn_stored *stored = NULL;
    cn_samples *samples = NULL;
    int count = parts->images.shape[0];
    bool whole = !cn_element_is_float(about->element) && about->element != CN_ELEMENT_U8;
    cn_status status = CN_OK;
    if (whole) {
        status = open_stored(&stored, form, place, count, err);
        if (status == CN_OK) status = find_whole(form, parts, about, stored, request, path, err);
        cn_stored_free(stored);
    }
    if (status == CN_OK) status = open_stored(&stored, form, place, count, err);
    if (status == CN_OK)
        status =
            cn_stored_samples(&samples, stored, cn_request_memory(request), request, path, err);
    if (status != CN_OK) return status;
    parts->samples = samples;
    return whole ? CN_OK : cn_find_range(parts, request, path, err);
}

cn_status cn_arrays_stored(cn_dataset_parts *parts, const cn_array_file *file, int i, bool masked,
                           const cn_request *request, bool *found, cn_error *err)
{
    const cn_array_about *about = &file->abouts[i];
    const char *path = file->path;
    cn_array_place place = {.path = path};
    cn_stored_form form = {.dtype = CN_DTYPE_F32};
    *found = false;
    if (!is_large(about, masked, request)) return CN_OK;
    cn_status status = file->locate(file, i, &place, found, err);
    if (status != CN_OK) return status;
    if (!*found)
        return cn_remark(request->remarks, err,
                         "%s: %s exceeds the memory for images, but does not lie there as it is "
                         "(packed, in pieces or in Fortran's order), so that all of it is read",
                         path, about->name);
    form.element = place.element;
    form.swapped = place.swapped;
    if (about->element == CN_ELEMENT_U8) form.dtype = CN_DTYPE_U8;
    int shape[4];
    cn_arrays_shape(shape, about);
    parts->images = cn_tensor_view(form.dtype, 4, shape, NULL);
    if (about->rank == 2)
        status = cn_settle_rows(&parts->images, &form.channels_first, request, path, err);
    if (about->rank == 4)
        status = cn_settle_layout(&parts->images, &form.channels_first, request, path, err);
    if (status != CN_OK) return status;
    memcpy(form.shape, parts->images.shape + 1, sizeof form.shape);
    return load(parts, &form, about, &place, request, path, err);
}

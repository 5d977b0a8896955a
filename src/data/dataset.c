/* dataset.c - sets of labeled images: made, kept in memory, looked at, fed to training. */
#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

struct cn_dataset {
    cn_tensor images, labels, masks,
        targets;              /* of images the shape alone where they are not in memory */
    cn_samples *samples;      /* what makes them; NULL: nothing else than the tensor */
    cn_samples *mask_samples; /* likewise of masks; NULL: they lie in their tensor */
    int *rows;                /* of image i in the samples; NULL: i */
    uint8_t *mask_map;        /* the class of each value of a mask sample; NULL: itself */
    cn_task_kind task;        /* with targets */
    int classes, known;
    float scale;
    cn_image_opts image_opts;
    bool from_files, certain;
    cn_remarks remarks;
    const char *layout;       /* its reader's name; NULL: an array's */
    const char **class_names; /* the pointers and the texts they point to are one block */
};

/* ---- Making */

/* The labels' tensor of a set that has masks or targets instead. */
static cn_status make_labels(cn_dataset_parts *parts, cn_error *err)
{
    if ((!parts->masks.rank && !parts->targets.data) || parts->labels.data) return CN_OK;
    return cn_tensor_create(&parts->labels, CN_DTYPE_I32, 1, parts->images.shape, err);
}

/* Class i's name: the one given, or its number, written into `number`. */
enum { NUMBER = 24 };
static const char *class_name(const char *const *names, size_t i, char number[NUMBER])
{
    snprintf(number, NUMBER, "%zu", i);
    return names ? names[i] : number;
}

static const char **copy_names(const char *const *names, size_t classes, cn_error *err)
{
    char number[NUMBER];
    size_t bytes = classes * sizeof(char *);
    for (size_t i = 0; i < classes; i++) bytes += strlen(class_name(names, i, number)) + 1;
    const char **copy = cn_allocate(bytes, 1, "class names", err);
    if (!copy) return NULL;
    char *text = (char *)(copy + classes);
    for (size_t i = 0; i < classes; i++) {
        copy[i] = strcpy(text, class_name(names, i, number));
        text += strlen(text) + 1;
    }
    return copy;
}

cn_status cn_dataset_adopt(cn_dataset **out, cn_dataset_parts *parts, const char *what,
                           cn_error *err)
{
    cn_status status = cn_check_images(&parts->images, what, err);
    if (status == CN_OK && parts->masks.rank) status = cn_check_masks(parts, what, err);
    if (status == CN_OK && parts->targets.data) status = cn_check_targets(parts, what, err);
    if (status == CN_OK) status = make_labels(parts, err);
    if (status == CN_OK) status = cn_check_labels(parts, what, err);
    if (status != CN_OK) return status;
    cn_dataset *data = cn_allocate(1, sizeof *data, what, err);
    if (!data) return CN_ERR_MEMORY;
    data->class_names = copy_names(parts->class_names, (size_t)parts->classes, err);
    if (!data->class_names) {
        cn_release(data);
        return CN_ERR_MEMORY;
    }
    data->classes = parts->classes;
    data->known = parts->known ? parts->known : parts->classes;
    data->scale = parts->scale;
    data->image_opts = parts->image_opts;
    if (parts->images.dtype == CN_DTYPE_U8) { /* what `scale` makes of them */
        data->image_opts.low = 0;
        data->image_opts.high = 1;
    }
    data->from_files = parts->from_files;
    data->certain = parts->certain;
    data->images = parts->images;
    data->labels = parts->labels;
    data->masks = parts->masks;
    data->targets = parts->targets;
    data->task = parts->task;
    data->samples = parts->samples;
    data->mask_samples = parts->mask_samples;
    data->rows = parts->rows;
    parts->samples = parts->mask_samples = NULL;
    parts->rows = NULL;
    parts->images = parts->labels = parts->masks = parts->targets = (cn_tensor){0};
    *out = data;
    return CN_OK;
}

cn_dataset_parts cn_dataset_parts_like(const cn_dataset *data)
{
    return (cn_dataset_parts){.classes = data->classes,
                              .known = data->known,
                              .scale = data->scale,
                              .class_names = data->class_names,
                              .image_opts = data->image_opts,
                              .from_files = data->from_files,
                              .certain = data->certain,
                              .task = data->task};
}

void cn_dataset_parts_free(cn_dataset_parts *parts)
{
    cn_tensor_free(&parts->images);
    cn_tensor_free(&parts->labels);
    cn_tensor_free(&parts->masks);
    cn_samples_free(parts->samples);
    cn_samples_free(parts->mask_samples);
    cn_release(parts->rows);
    parts->samples = parts->mask_samples = NULL;
    parts->rows = NULL;
    cn_tensor_free(&parts->targets);
}

/* Rows index[0..n-1] of a tensor, NULL for the first n, in memory of their own; none of none. */
static cn_status take_rows(cn_tensor *out, const cn_tensor *all, const int *index, int n,
                           cn_error *err)
{
    if (!all->data) return CN_OK;
    int shape[CN_MAX_RANK];
    size_t bytes = cn_tensor_count(all) / (size_t)all->shape[0] * cn_dtype_size(all->dtype);
    memcpy(shape, all->shape, sizeof shape);
    shape[0] = n;
    cn_status status = cn_tensor_create(out, all->dtype, all->rank, shape, err);
    for (int i = 0; status == CN_OK && i < n; i++)
        memcpy((char *)out->data + (size_t)i * bytes,
               (const char *)all->data + (size_t)(index ? index[i] : i) * bytes, bytes);
    return status;
}

/* Of images index[0..n-1] where they lie in the samples; nothing is copied that has not been. */
static cn_status take_samples(cn_dataset_parts *parts, const cn_dataset *data, const int *index,
                              int n, cn_error *err)
{
    if (!data->images.data) {
        parts->images = data->images;
        parts->images.shape[0] = n;
    }
    if (data->mask_samples) {
        parts->masks = data->masks;
        parts->masks.shape[0] = n;
    }
    if (!data->samples) return CN_OK;
    parts->rows = cn_allocate((size_t)n, sizeof *parts->rows, "dataset", err);
    if (!parts->rows) return CN_ERR_MEMORY;
    for (int i = 0; i < n; i++) parts->rows[i] = data->rows ? data->rows[index[i]] : index[i];
    parts->samples = cn_samples_share(data->samples);
    parts->mask_samples = cn_samples_share(data->mask_samples);
    return CN_OK;
}

/* A set of copies of the tensors in `parts`. */
static cn_status copy_parts(cn_dataset **out, cn_dataset_parts parts, const char *what,
                            cn_error *err)
{
    const cn_dataset_parts given = parts;
    const int n = given.images.shape[0];
    parts.images = parts.labels = parts.masks = parts.targets = (cn_tensor){0};
    cn_status status = take_rows(&parts.images, &given.images, NULL, n, err);
    if (status == CN_OK) status = take_rows(&parts.labels, &given.labels, NULL, n, err);
    if (status == CN_OK) status = take_rows(&parts.masks, &given.masks, NULL, n, err);
    if (status == CN_OK) status = take_rows(&parts.targets, &given.targets, NULL, n, err);
    if (status == CN_OK) status = cn_dataset_adopt(out, &parts, what, err);
    cn_dataset_parts_free(&parts);
    return status;
}

/* Out of tensors of the caller's; `check` (or NULL) is for what they have beside the images. */
static cn_status create(cn_dataset **out, cn_dataset_parts parts,
                        cn_status (*check)(const cn_dataset_parts *parts, const char *what,
                                           cn_error *err),
                        cn_error *err)
{
    parts.scale = 1.0f / 255.0f;
    cn_status status = cn_check_images(&parts.images, "dataset", err);
    if (status == CN_OK && check) status = check(&parts, "dataset", err);
    if (status == CN_OK && parts.images.dtype == CN_DTYPE_F32)
        status = cn_find_range(&parts, NULL, "dataset", err);
    return status == CN_OK ? copy_parts(out, parts, "dataset", err) : status;
}

static cn_status null_argument(cn_error *err)
{
    return cn_fail(err, CN_ERR_ARGUMENT, "dataset: NULL argument");
}

cn_status cn_dataset_create(cn_dataset **out, const cn_tensor *images, const int32_t *labels,
                            int classes, cn_error *err)
{
    if (!out || !images || !images->data || !labels) return null_argument(err);
    cn_dataset_parts parts = {.images = *images, .classes = classes};
    parts.labels = cn_tensor_view(CN_DTYPE_I32, 1, images->shape, (void *)(uintptr_t)labels);
    return create(out, parts, NULL, err);
}

cn_status cn_dataset_create_masks(cn_dataset **out, const cn_tensor *images, const cn_tensor *masks,
                                  int classes, cn_error *err)
{
    if (!out || !images || !images->data || !masks || !masks->data) return null_argument(err);
    cn_dataset_parts parts = {.images = *images, .masks = *masks, .classes = classes};
    return create(out, parts, cn_check_masks, err);
}

cn_status cn_dataset_create_targets(cn_dataset **out, cn_task_kind task, const cn_tensor *images,
                                    const cn_tensor *targets, const char *const *names,
                                    cn_error *err)
{
    if (!out || !images || !images->data || !targets || !targets->data) return null_argument(err);
    cn_dataset_parts parts = {.images = *images,
                              .targets = *targets,
                              .task = task,
                              .classes = targets->rank == 2 ? targets->shape[1] : 0,
                              .class_names = names};
    return create(out, parts, cn_check_targets, err);
}

/* Frees the set on failure. */
static cn_status copy_map(cn_dataset *data, const uint8_t *map, cn_error *err)
{
    data->mask_map = cn_allocate(CN_MASK_IGNORED + 1, 1, "classes", err);
    if (data->mask_map) {
        memcpy(data->mask_map, map, CN_MASK_IGNORED + 1);
        return CN_OK;
    }
    cn_dataset_free(data);
    return CN_ERR_MEMORY;
}

/* A set of rows index[0..n-1], which are there. */
static cn_status select_rows(cn_dataset **out, const cn_dataset *data, const int *index, int n,
                             const char *what, cn_error *err)
{
    cn_dataset_parts parts = cn_dataset_parts_like(data);
    cn_status status = take_rows(&parts.images, &data->images, index, n, err);
    if (status == CN_OK) status = take_samples(&parts, data, index, n, err);
    if (status == CN_OK) status = take_rows(&parts.labels, &data->labels, index, n, err);
    if (status == CN_OK) status = take_rows(&parts.masks, &data->masks, index, n, err);
    if (status == CN_OK) status = take_rows(&parts.targets, &data->targets, index, n, err);
    if (status == CN_OK) status = cn_dataset_adopt(out, &parts, what, err);
    if (status == CN_OK && data->mask_map) status = copy_map(*out, data->mask_map, err);
    if (status == CN_OK) {
        (*out)->layout = data->layout;
        (*out)->remarks = data->remarks;
        (*out)->remarks.text = NULL;
    }
    cn_dataset_parts_free(&parts);
    return status;
}

cn_status cn_dataset_slice(cn_dataset **out, const cn_dataset *data, int first, int count,
                           cn_error *err)
{
    if (!out || !data) return cn_fail(err, CN_ERR_ARGUMENT, "dataset slice: NULL argument");
    int size = cn_dataset_size(data);
    if (first < 0 || count < 1 || first > size - count)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "dataset slice: %d image%s from %d on, expected a part of 0 to %d", count,
                       cn_plural(count), first, size - 1);
    int *index = cn_allocate((size_t)count, sizeof *index, "dataset slice", err);
    if (!index) return CN_ERR_MEMORY;
    for (int i = 0; i < count; i++) index[i] = first + i;
    cn_status status = select_rows(out, data, index, count, "dataset slice", err);
    cn_release(index);
    return status;
}

cn_status cn_dataset_select(cn_dataset **out, const cn_dataset *data, const int *index, int count,
                            cn_error *err)
{
    if (!out || !data || !index)
        return cn_fail(err, CN_ERR_ARGUMENT, "dataset selection: NULL argument");
    int size = cn_dataset_size(data);
    for (int i = 0; i < count; i++)
        if (index[i] < 0 || index[i] >= size)
            return cn_fail(err, CN_ERR_ARGUMENT, "dataset selection: image %d, expected 0 to %d",
                           index[i], size - 1);
    return select_rows(out, data, index, count, "dataset selection", err);
}

/* Images of unknown classes go behind the others, in their order. */
static cn_status move_unknown(cn_dataset *data, cn_error *err)
{
    int size = cn_dataset_size(data), count = 0;
    int *index = cn_allocate((size_t)size, sizeof *index, "classes", err);
    cn_dataset *moved = NULL;
    if (!index) return CN_ERR_MEMORY;
    for (int unknown = 0; unknown < 2; unknown++)
        for (int i = 0; i < size; i++)
            if ((cn_dataset_label(data, i) >= data->known) == (unknown == 1)) index[count++] = i;
    cn_status status = cn_dataset_select(&moved, data, index, size, err);
    if (status == CN_OK) {
        cn_tensor images = data->images, labels = data->labels;
        int *rows = data->rows;
        data->images = moved->images;
        data->labels = moved->labels;
        data->rows = moved->rows;
        moved->images = images;
        moved->labels = labels;
        moved->rows = rows;
    }
    cn_dataset_free(moved);
    cn_release(index);
    return status;
}

/* Target i of every image becomes target map[i] of as many. */
static cn_status reorder_targets(cn_dataset *data, const int *map, int count, cn_error *err)
{
    float *row = cn_allocate((size_t)count, sizeof *row, "targets", err), *at = data->targets.data;
    if (!row) return CN_ERR_MEMORY;
    for (int i = 0; i < cn_dataset_size(data); i++, at += count) {
        for (int k = 0; k < count; k++) row[map[k]] = at[k];
        memcpy(at, row, (size_t)count * sizeof *row);
    }
    cn_release(row);
    return CN_OK;
}

/* Class k of every mask becomes class map[k]. */
static cn_status rename_pixels(cn_dataset *data, const int *map, cn_error *err)
{
    uint8_t *pixels = data->masks.data, next[CN_MASK_IGNORED + 1];
    for (size_t i = 0; pixels && i < cn_tensor_count(&data->masks); i++)
        if (pixels[i] != CN_MASK_IGNORED) pixels[i] = (uint8_t)map[pixels[i]];
    if (!data->mask_samples) return CN_OK;
    for (int v = 0; v <= CN_MASK_IGNORED; v++) {
        int now = data->mask_map ? data->mask_map[v] : v;
        next[v] = (uint8_t)(now < data->classes ? map[now] : CN_MASK_IGNORED);
    }
    if (!data->mask_map) data->mask_map = cn_allocate(sizeof next, 1, "classes", err);
    if (!data->mask_map) return CN_ERR_MEMORY;
    memcpy(data->mask_map, next, sizeof next);
    return CN_OK;
}

cn_status cn_dataset_rename_classes(cn_dataset *data, const int *map, int known, int classes,
                                    const char *const *names, cn_error *err)
{
    const char **copy = copy_names(names, (size_t)classes, err);
    if (!copy) return CN_ERR_MEMORY;
    int32_t *labels = data->labels.data;
    for (int i = 0; i < cn_dataset_size(data); i++) labels[i] = map[labels[i]];
    if (data->masks.rank || data->targets.data)
        memset(labels, 0, (size_t)cn_dataset_size(data) * sizeof *labels);
    cn_status status = rename_pixels(data, map, err);
    if (status == CN_OK && data->targets.data) status = reorder_targets(data, map, classes, err);
    if (status != CN_OK) {
        cn_release(copy);
        return status;
    }
    cn_release(data->class_names);
    data->class_names = copy;
    data->classes = classes;
    data->known = known;
    return known < classes ? move_unknown(data, err) : CN_OK;
}

void cn_dataset_free(cn_dataset *data)
{
    if (!data) return;
    cn_tensor_free(&data->images);
    cn_tensor_free(&data->labels);
    cn_tensor_free(&data->masks);
    cn_samples_free(data->samples);
    cn_samples_free(data->mask_samples);
    cn_release(data->mask_map);
    cn_release(data->rows);
    cn_tensor_free(&data->targets);
    cn_release(data->class_names);
    cn_release(data->remarks.text);
    cn_release(data);
}

/* ---- Looking */

int cn_dataset_size(const cn_dataset *data)
{
    return data->images.shape[0];
}

const int *cn_dataset_shape(const cn_dataset *data)
{
    return data->images.shape + 1;
}

cn_image_opts cn_dataset_image_opts(const cn_dataset *data)
{
    return data->image_opts;
}

bool cn_dataset_is_of_files(const cn_dataset *data)
{
    return data->from_files;
}

bool cn_dataset_range_is_certain(const cn_dataset *data)
{
    return data->certain;
}

int cn_dataset_classes(const cn_dataset *data)
{
    return data->classes;
}

int cn_dataset_known_classes(const cn_dataset *data)
{
    return data->known;
}

const char *cn_dataset_class_name(const cn_dataset *data, int i)
{
    return i >= 0 && i < data->classes ? data->class_names[i] : NULL;
}

void cn_dataset_set_remarks(cn_dataset *data, cn_remarks *remarks)
{
    cn_release(data->remarks.text);
    data->remarks = *remarks;
    *remarks = (cn_remarks){.text = NULL};
}

void cn_dataset_set_layout(cn_dataset *data, const char *layout)
{
    data->layout = layout;
}

const char *cn_dataset_layout(const cn_dataset *data)
{
    return data->layout ? data->layout : "array";
}

int cn_dataset_skipped(const cn_dataset *data)
{
    return data->remarks.skipped;
}

int cn_dataset_shared(const cn_dataset *data)
{
    return data->remarks.shared;
}

bool cn_dataset_size_is_median(const cn_dataset *data)
{
    return data->remarks.median;
}

cn_remarks *cn_dataset_remarks_of(cn_dataset *data)
{
    return &data->remarks;
}

const char *cn_dataset_remarks(const cn_dataset *data)
{
    return data->remarks.text ? data->remarks.text : "";
}

cn_task_kind cn_dataset_task(const cn_dataset *data)
{
    return data->masks.rank     ? CN_TASK_SEGMENTATION
           : data->targets.data ? data->task
                                : CN_TASK_CLASSIFICATION;
}

const cn_tensor *cn_dataset_targets(const cn_dataset *data)
{
    return data->targets.data ? &data->targets : NULL;
}

void cn_dataset_target_rows(const cn_dataset *data, const int *index, int n, const float *mean,
                            const float *std, float *y)
{
    const int count = data->classes;
    for (int i = 0; i < n; i++) {
        const float *t =
            (const float *)data->targets.data + (size_t)(index ? index[i] : i) * (size_t)count;
        for (int k = 0; k < count; k++) *y++ = mean ? (t[k] - mean[k]) / std[k] : t[k];
    }
}

const cn_tensor *cn_dataset_masks(const cn_dataset *data)
{
    return data->masks.rank ? &data->masks : NULL;
}

size_t cn_dataset_label_size(const cn_dataset *data)
{
    const int *n = data->masks.shape;
    return data->masks.rank ? (size_t)n[1] * (size_t)n[2] : 1;
}

const int32_t *cn_dataset_labels(const cn_dataset *data)
{
    return data->labels.data;
}

int32_t cn_dataset_label(const cn_dataset *data, int i)
{
    return ((const int32_t *)data->labels.data)[i];
}

/* Those that were taken when the image was made, or else taken now. */
cn_moments cn_dataset_moments(const cn_dataset *data, int i, int c)
{
    size_t bytes = cn_dataset_image_bytes(data);
    if (!data->images.data)
        return cn_samples_moments(data->samples, data->rows ? data->rows[i] : i)[c];
    return cn_moments_of(&data->images, (const char *)data->images.data + (size_t)i * bytes, c);
}

/* ---- Images */

const cn_tensor *cn_dataset_images(const cn_dataset *data)
{
    return &data->images;
}

float cn_dataset_scale(const cn_dataset *data)
{
    return data->images.dtype == CN_DTYPE_U8 ? data->scale : 1.0f;
}

size_t cn_dataset_memory(const cn_dataset *data)
{
    size_t bytes = data->masks.data ? cn_tensor_count(&data->masks) : 0;
    if (data->mask_samples) bytes += cn_samples_memory(data->mask_samples);
    if (!data->images.data) return bytes + cn_samples_memory(data->samples);
    return bytes + (size_t)cn_dataset_size(data) * cn_dataset_image_bytes(data);
}

void cn_dataset_shrink(const cn_dataset *data, size_t memory)
{
    size_t masks = data->mask_samples ? cn_samples_memory(data->mask_samples) : 0;
    double kept = (double)memory / ((double)cn_dataset_memory(data) + 1);
    if (kept >= 1) return;
    if (masks > 0) cn_samples_shrink(data->mask_samples, (size_t)(kept * (double)masks));
    if (data->samples)
        cn_samples_shrink(data->samples, (size_t)(kept * (double)cn_samples_memory(data->samples)));
}

bool cn_dataset_in_memory(const cn_dataset *data)
{
    return data->images.data != NULL;
}

size_t cn_dataset_image_bytes(const cn_dataset *data)
{
    const int *n = data->images.shape;
    return (size_t)n[1] * (size_t)n[2] * (size_t)n[3] * cn_dtype_size(data->images.dtype);
}

cn_status cn_dataset_image(const cn_dataset *data, int i, const cn_framing *framing, void *room,
                           const void **image, cn_error *err)
{
    const char *all = data->images.data;
    *image = room;
    if (data->samples && (framing || !all))
        return cn_samples_read(data->samples, data->rows ? data->rows[i] : i, framing, room, err);
    *image = all + (size_t)i * cn_dataset_image_bytes(data);
    if (!framing) return CN_OK;
    const void *whole = *image;
    *image = room;
    return cn_frame_image(&data->images, whole, framing, room, err);
}

cn_status cn_dataset_mask(const cn_dataset *data, int i, void *room, const uint8_t **mask,
                          cn_error *err)
{
    const size_t size = cn_dataset_label_size(data);
    uint8_t *made = room;
    *mask = made;
    if (data->masks.data) *mask = (const uint8_t *)data->masks.data + (size_t)i * size;
    if (data->masks.data) return CN_OK;
    cn_status status =
        cn_samples_read(data->mask_samples, data->rows ? data->rows[i] : i, NULL, room, err);
    for (size_t k = 0; status == CN_OK && data->mask_map && k < size; k++)
        made[k] = data->mask_map[made[k]];
    return status;
}

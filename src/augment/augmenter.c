/*
 * augmenter.c - augmented batches: a few images at a time are changed while they lie in the
 * cache, then normalized straight into the floats that a model takes.
 *
 *     pixels --crop, flip--> pixels --warp, jitter--> floats --normalize, cutout, mixup--> x
 *
 * With random-resized-crop the pixels are a part of the original, else the set's image.
 *
 * A step that an augmentation does not ask for is left out.
 */
#include "augment/augment.h"

#include "base/pixels.h"
#include "data/dataset.h"

#include <math.h>
#include <string.h>

/* Half of a first-level cache; several images, so that normalizing has its factors ready once
 * for them all. */
enum { CHUNK_BYTES = 16 * 1024 };

/* ---- life and death */

static bool is_cropped(const cn_augment *a)
{
    return a->crop > 0 || a->flip != CN_FLIP_NONE;
}

static bool is_warped(const cn_augment *a)
{
    return a->shift > 0 || a->rotate > 0 || a->scale > 0;
}

static bool is_jittered(const cn_augment *a)
{
    return a->brightness > 0 || a->contrast > 0 || a->saturation > 0;
}

static size_t image_count(const cn_dataset *data)
{
    const int *shape = cn_dataset_shape(data);
    return (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
}

/* Room for n times `size` bytes where it is wanted; *ok becomes false where there is no memory. */
static void *room(bool wanted, size_t n, size_t size, bool *ok, cn_error *err)
{
    if (!wanted || !*ok) return NULL;
    void *made = cn_allocate(n, size, "augmentation", err);
    *ok = made != NULL;
    return made;
}

/* What cannot be cut out and resized. */
static cn_status check_frames(const cn_dataset *data, cn_error *err)
{
    if (cn_dataset_masks(data))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "augmentation: random-resized-crop is for a class per image, not per pixel");
    if (cn_dataset_shape(data)[2] <= CN_IMAGE_CHANNELS) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "augmentation: random-resized-crop is for images of 1 to %d channels, found %d",
                   CN_IMAGE_CHANNELS, cn_dataset_shape(data)[2]);
}

cn_status cn_augmenter_create(cn_augmenter *augmenter, const cn_dataset *data,
                              const cn_augment *augment, uint64_t seed, const float *mean,
                              const float *std, int outputs, cn_error *err)
{
    const size_t count = image_count(data), floats = count * sizeof(float);
    const size_t bytes = count * cn_dtype_size(cn_dataset_images(data)->dtype);
    const size_t chunk = bytes < CHUNK_BYTES ? CHUNK_BYTES / bytes : 1;
    const bool warped = is_warped(augment), jittered = is_jittered(augment);
    cn_augmenter made = {.data = data,
                         .augment = *augment,
                         .seed = seed,
                         .mean = mean,
                         .std = std,
                         .outputs = outputs,
                         .chunk = (int)chunk};
    cn_status status = cn_augment_check(augment, cn_dataset_shape(data), "augmentation", err);
    if (status == CN_OK && augment->mixup > 0 && cn_dataset_masks(data))
        status = cn_fail(err, CN_ERR_ARGUMENT,
                         "augmentation: mixup is for a class per image, not per pixel");
    if (status == CN_OK && augment->random_resized_crop > 0) status = check_frames(data, err);
    if (status != CN_OK) return status;
    bool ok = true;
    made.draws = room(true, chunk, sizeof *made.draws, &ok, err);
    made.images = room(!cn_dataset_in_memory(data) || augment->random_resized_crop > 0, chunk,
                       bytes, &ok, err);
    made.cropped = room(is_cropped(augment), chunk, bytes, &ok, err);
    made.single = room(warped, 1, floats, &ok, err);
    made.floats = room(warped || jittered, chunk, floats, &ok, err);
    made.masks = room(cn_dataset_masks(data), 3, cn_dataset_label_size(data), &ok, err);
    made.partner = room(augment->mixup > 0, 1, floats, &ok, err);
    if (ok) {
        *augmenter = made;
        return CN_OK;
    }
    cn_augmenter_free(&made);
    return CN_ERR_MEMORY;
}

void cn_augmenter_free(cn_augmenter *a)
{
    cn_release(a->draws);
    cn_release(a->images);
    cn_release(a->cropped);
    cn_release(a->single);
    cn_release(a->floats);
    cn_release(a->partner);
    cn_release(a->masks);
    *a = (cn_augmenter){0};
}

/* ---- an image */

static void crop(const cn_augmenter *a, const cn_augment_draws *draws, const void *in, void *out)
{
    const cn_tensor *all = cn_dataset_images(a->data);
    cn_crop c = {.rows = all->shape[1],
                 .columns = all->shape[2],
                 .pixel = (size_t)all->shape[3] * cn_dtype_size(all->dtype),
                 .border = a->augment.border,
                 .down = draws->down,
                 .right = draws->right,
                 .flip = draws->flip,
                 .turns = draws->turns};
    cn_crop_image(&c, in, out);
}

static void widen(const uint8_t *restrict in, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)in[i];
}

/* Warped and jittered, in the units of the data set. */
static void change(const cn_augmenter *a, const cn_augment_draws *draws, const void *in, float *out)
{
    const int *shape = cn_dataset_shape(a->data);
    const size_t count = image_count(a->data);
    const bool bytes = cn_dataset_images(a->data)->dtype == CN_DTYPE_U8;
    float *plain = a->single ? a->single : out;
    if (bytes)
        widen(in, count, plain);
    else
        memcpy(plain, in, count * sizeof *plain);
    if (a->single) cn_warp_image(&draws->warp, shape, a->augment.border, plain, out);
    /* Bytes stand for 0 to 1, which is what a camera gives; floats may be anything. */
    if (is_jittered(&a->augment))
        cn_jitter_image(&draws->jitter, shape, bytes ? 0 : -INFINITY,
                        bytes ? 1 / cn_dataset_scale(a->data) : INFINITY, out);
}

/* The mask of image `index`, changed as the image is, as labels. What is cut out of the image keeps
 * its classes. */
static cn_status turn_mask(const cn_augmenter *a, const cn_augment_draws *draws, int index,
                           int32_t *labels, cn_error *err)
{
    const cn_tensor *all = cn_dataset_masks(a->data);
    const size_t size = cn_dataset_label_size(a->data);
    const uint8_t *mask;
    cn_crop c = {.rows = all->shape[1],
                 .columns = all->shape[2],
                 .pixel = 1,
                 .border = a->augment.border,
                 .fill = CN_MASK_IGNORED,
                 .down = draws->down,
                 .right = draws->right,
                 .flip = draws->flip,
                 .turns = draws->turns};
    cn_status status = cn_dataset_mask(a->data, index, a->masks + 2 * size, &mask, err);
    if (status != CN_OK) return status;
    if (is_cropped(&a->augment)) {
        cn_crop_image(&c, mask, a->masks);
        mask = a->masks;
    }
    if (is_warped(&a->augment)) {
        cn_warp_mask(&draws->warp, c.rows, c.columns, c.border, mask, a->masks + size);
        mask = a->masks + size;
    }
    cn_mask_labels(mask, size, labels);
    return CN_OK;
}

/* A square of the mean color, which is 0 once images are normalized. */
static void cut_out(const cn_augmenter *a, const cn_augment_draws *draws, float *x)
{
    const int *shape = cn_dataset_shape(a->data);
    int first[2], end[2];
    for (int i = 0; i < 2; i++) {
        first[i] = draws->hole[i] > 0 ? draws->hole[i] : 0;
        end[i] = draws->hole[i] + a->augment.cutout;
        if (end[i] > shape[i]) end[i] = shape[i];
    }
    const size_t channels = (size_t)shape[2];
    for (int r = first[0]; r < end[0]; r++) {
        size_t at = ((size_t)r * (size_t)shape[1] + (size_t)first[1]) * channels;
        memset(x + at, 0, (size_t)(end[1] - first[1]) * channels * sizeof *x);
    }
}

/* ---- a chunk of images */

/* Images index[0..n-1], but for mixup. What they were changed by is then in a->draws. */
static cn_status make(const cn_augmenter *a, int epoch, const int *index, int n, float *x,
                      cn_error *err)
{
    const cn_tensor *all = cn_dataset_images(a->data);
    const size_t count = image_count(a->data), bytes = count * cn_dtype_size(all->dtype);
    cn_tensor from = *all;
    if (a->images) from.data = a->images;
    if (a->cropped) from.data = a->cropped;
    for (int i = 0; i < n; i++) {
        cn_augment_draws *draws = &a->draws[i];
        const cn_framing framing = {cn_frame_choose, &draws->frame};
        const size_t at = (size_t)i * bytes;
        const void *image;
        cn_augment_draw(&a->augment, a->seed, epoch, index[i], all->shape[0], all->shape + 1,
                        draws);
        cn_status status = cn_dataset_image(a->data, index[i],
                                            a->augment.random_resized_crop > 0 ? &framing : NULL,
                                            a->images ? (char *)a->images + at : NULL, &image, err);
        if (status != CN_OK) return status;
        if (a->cropped) {
            crop(a, draws, image, (char *)a->cropped + at);
            image = (char *)a->cropped + at;
        }
        if (a->floats) change(a, draws, image, a->floats + (size_t)i * count);
    }
    if (a->floats) {
        from.data = a->floats;
        from.dtype = CN_DTYPE_F32;
    }
    cn_pixels_normalize(&from, cn_dataset_scale(a->data), from.data == all->data ? index : NULL, n,
                        a->mean, a->std, x);
    for (int i = 0; a->augment.cutout > 0 && i < n; i++)
        cut_out(a, &a->draws[i], x + (size_t)i * count);
    return CN_OK;
}

static void blend(float weight, size_t n, const float *restrict other, float *restrict x)
{
    for (size_t i = 0; i < n; i++) x[i] = weight * x[i] + (1 - weight) * other[i];
}

/* The part of two images' rows of targets. */
static void blend_targets(const cn_augmenter *a, int image, const cn_augment_draws *draws,
                          float *target)
{
    const float *t = cn_dataset_targets(a->data)->data;
    const float *own = t + (size_t)image * (size_t)a->outputs;
    const float *other = t + (size_t)draws->partner * (size_t)a->outputs;
    for (int k = 0; k < a->outputs; k++) {
        float mixed = draws->weight * own[k] + (1 - draws->weight) * other[k];
        target[k] = a->target_mean ? (mixed - a->target_mean[k]) / a->target_std[k] : mixed;
    }
}

static void add_target(const cn_augmenter *a, int image, float weight, float *target)
{
    int32_t label = cn_dataset_label(a->data, image);
    if (a->outputs == 1)
        target[0] += weight * (float)label;
    else
        target[label] += weight;
}

/* x = weight x + (1 - weight) partner, and so the truth. The partner looks as it does in this
 * epoch itself. */
static cn_status mix(const cn_augmenter *a, int epoch, int image, cn_augment_draws draws, float *x,
                     float *target, cn_error *err)
{
    cn_status status = make(a, epoch, &draws.partner, 1, a->partner, err);
    if (status != CN_OK) return status;
    blend(draws.weight, image_count(a->data), a->partner, x);
    if (cn_dataset_targets(a->data)) {
        blend_targets(a, image, &draws, target);
        return CN_OK;
    }
    memset(target, 0, (size_t)a->outputs * sizeof *target);
    add_target(a, image, draws.weight, target);
    add_target(a, draws.partner, 1 - draws.weight, target);
    return CN_OK;
}

cn_status cn_augmenter_run(cn_augmenter *a, int epoch, const int *index, int n, float *x,
                           int32_t *labels, float *targets, cn_error *err)
{
    const size_t count = image_count(a->data), size = cn_dataset_label_size(a->data);
    cn_status status = CN_OK;
    for (int from = 0, m; from < n && status == CN_OK; from += m) {
        m = n - from < a->chunk ? n - from : a->chunk;
        status = make(a, epoch, index + from, m, x + (size_t)from * count, err);
        for (int i = from; status == CN_OK && a->masks && i < from + m; i++)
            status = turn_mask(a, &a->draws[i - from], index[i], labels + (size_t)i * size, err);
    }
    if (status == CN_OK && cn_dataset_targets(a->data))
        cn_dataset_target_rows(a->data, index, n, a->target_mean, a->target_std, targets);
    for (int i = 0; !a->masks && i < n && status == CN_OK; i++) {
        labels[i] = cn_dataset_label(a->data, index[i]);
        if (!a->partner) continue;
        cn_augment_draws draws;
        cn_augment_draw(&a->augment, a->seed, epoch, index[i], cn_dataset_size(a->data),
                        cn_dataset_shape(a->data), &draws);
        status = mix(a, epoch, index[i], draws, x + (size_t)i * count,
                     targets + (size_t)i * (size_t)a->outputs, err);
    }
    return status;
}

/*
 * augmenter.c - augmented batches: a few pictures at a time are changed while they lie in the
 * cache, then normalised straight into the floats that a model takes.
 */
#include "train/augment.h"

#include "base/pixels.h"
#include "data/dataset.h"

#include <string.h>

/* Half of a first-level cache; several pictures, so that normalising has its factors ready once
 * for them all. */
enum { CHUNK_BYTES = 16 * 1024 };

static bool is_cropped(const cn_augment *a)
{
    return a->crop > 0 || a->flip != CN_FLIP_NONE;
}

cn_status cn_augmenter_create(cn_augmenter *augmenter, const cn_dataset *data,
                              const cn_augment *augment, uint64_t seed, const float *mean,
                              const float *std, cn_error *err)
{
    const cn_tensor *all = cn_dataset_images(data);
    size_t bytes = cn_tensor_count(all) / (size_t)all->shape[0] * cn_dtype_size(all->dtype);
    cn_augmenter made = {.data = data, .augment = *augment, .seed = seed, .mean = mean, .std = std};
    cn_status status = cn_augment_check(augment, cn_dataset_shape(data), "augmentation", err);
    if (status != CN_OK) return status;
    made.chunk = bytes < CHUNK_BYTES ? (int)(CHUNK_BYTES / bytes) : 1;
    if (is_cropped(augment)) {
        made.pictures = cn_allocate((size_t)made.chunk, bytes, "augmentation", err);
        if (!made.pictures) return CN_ERR_MEMORY;
    }
    *augmenter = made;
    return CN_OK;
}

void cn_augmenter_free(cn_augmenter *augmenter)
{
    cn_release(augmenter->pictures);
    *augmenter = (cn_augmenter){0};
}

/* Pictures index[0..n-1], n at most a chunk. */
static void run_chunk(cn_augmenter *a, int epoch, const int *index, int n, float *x)
{
    const cn_tensor *all = cn_dataset_images(a->data);
    const int *shape = all->shape;
    size_t pixel = (size_t)shape[3] * cn_dtype_size(all->dtype);
    size_t bytes = (size_t)shape[1] * (size_t)shape[2] * pixel;
    for (int i = 0; i < n; i++) {
        cn_augment_draws draws;
        cn_augment_draw(&a->augment, a->seed, epoch, index[i], &draws);
        cn_crop crop = {.rows = shape[1],
                        .columns = shape[2],
                        .pixel = pixel,
                        .border = a->augment.border,
                        .down = draws.down,
                        .right = draws.right,
                        .flip = draws.flip};
        cn_crop_picture(&crop, (const uint8_t *)all->data + (size_t)index[i] * bytes,
                        (uint8_t *)a->pictures + (size_t)i * bytes);
    }
    cn_tensor changed =
        cn_tensor_view(all->dtype, 4, (int[]){n, shape[1], shape[2], shape[3]}, a->pictures);
    cn_pixels_normalize(&changed, cn_dataset_scale(a->data), NULL, n, a->mean, a->std, x);
}

void cn_augmenter_run(cn_augmenter *a, int epoch, const int *index, int n, float *x,
                      int32_t *labels)
{
    if (!a->pictures) {
        cn_dataset_batch(a->data, index, n, a->mean, a->std, x, labels);
        return;
    }
    const cn_tensor *all = cn_dataset_images(a->data);
    size_t count = cn_tensor_count(all) / (size_t)all->shape[0];
    for (int i = 0, m; i < n; i += m) {
        m = n - i < a->chunk ? n - i : a->chunk;
        run_chunk(a, epoch, index + i, m, x + (size_t)i * count);
    }
    for (int i = 0; i < n; i++) labels[i] = cn_dataset_label(a->data, index[i]);
}

/* digest.c - a number that tells a training's data from other data. */
#include "data/dataset.h"
#include "train/train.h"

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t k = 0; k < size; k++) hash = (hash ^ at[k]) * UINT64_C(1099511628211);
    return hash;
}

cn_status cn_dataset_digest(const cn_dataset *data, float *room, uint64_t *out, cn_error *err)
{
    enum { IMAGES = 64 };
    const int *shape = cn_dataset_shape(data);
    const cn_tensor *targets = cn_dataset_targets(data);
    const size_t bytes = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * sizeof(float);
    const size_t row = targets ? (size_t)targets->shape[1] * sizeof(float) : 0;
    int size = cn_dataset_size(data), stride = (size + IMAGES - 1) / IMAGES;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (int i = 0; i < size; i++) {
        hash = (hash ^ (uint32_t)cn_dataset_label(data, i)) * UINT64_C(1099511628211);
        if (i % stride != 0) continue;
        cn_status status = cn_dataset_batch(data, &i, 1, NULL, NULL, room, NULL, err);
        if (status != CN_OK) return status;
        hash = add_bytes(hash, room, bytes);
        if (cn_dataset_masks(data)) {
            const uint8_t *mask;
            status = cn_dataset_mask(data, i, room, &mask, err);
            if (status != CN_OK) return status;
            hash = add_bytes(hash, mask, cn_dataset_label_size(data));
        }
        if (targets) hash = add_bytes(hash, (const char *)targets->data + (size_t)i * row, row);
    }
    *out = hash;
    return CN_OK;
}

/* feed.c - images as floats, a batch at a time. */
#include "base/cgroup.h"
#include "base/pixels.h"
#include "data/dataset.h"

#include <string.h>

void cn_mask_labels(const uint8_t *mask, size_t n, int32_t *labels)
{
    for (size_t i = 0; i < n; i++)
        labels[i] = mask[i] == CN_MASK_IGNORED ? CN_LABEL_IGNORED : mask[i];
}

/* A batch on its way. */
typedef struct feed {
    const cn_dataset *data;
    const int *index;
    const float *mean, *std;
    float *x;
    int32_t *labels; /* of masks; NULL: not wanted */
    char *rooms;     /* an image and a mask per worker */
} feed;

static cn_status feed_unit(void *argument, int unit, int worker, cn_error *err)
{
    const feed *f = argument;
    size_t pixels = cn_dataset_label_size(f->data);
    size_t bytes = cn_dataset_image_bytes(f->data);
    const int *shape = cn_dataset_shape(f->data);
    size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    cn_tensor one = *cn_dataset_images(f->data);
    const void *image;
    const uint8_t *mask;
    char *room = f->rooms + (size_t)worker * cn_room_bytes(bytes + pixels);
    cn_status status = cn_dataset_image(f->data, f->index[unit], NULL, room, &image, err);
    if (status != CN_OK) return status;
    one.data = (void *)(uintptr_t)image;
    cn_pixels_normalize(&one, cn_dataset_scale(f->data), NULL, 1, f->mean, f->std,
                        f->x + (size_t)unit * count);
    if (!f->labels) return CN_OK;
    status = cn_dataset_mask(f->data, f->index[unit], room + bytes, &mask, err);
    if (status == CN_OK) cn_mask_labels(mask, pixels, f->labels + (size_t)unit * pixels);
    return status;
}

static cn_status feed_images(const cn_dataset *data, cn_pool *pool, const int *index, int n,
                             const float *mean, const float *std, float *x, int32_t *labels,
                             cn_error *err)
{
    size_t workers = (size_t)cn_pool_threads(pool), bytes = cn_dataset_image_bytes(data);
    bool *failed = cn_allocate((size_t)n, sizeof *failed, "batch", err);
    feed f = {.data = data, .index = index, .mean = mean, .std = std, .x = x, .labels = labels};
    bytes = cn_room_bytes(bytes + cn_dataset_label_size(data));
    f.rooms = failed ? cn_allocate(workers, bytes, "batch", err) : NULL;
    cn_status status = f.rooms ? cn_run_units(pool, n, feed_unit, &f, failed, err) : CN_ERR_MEMORY;
    cn_release(failed);
    cn_release(f.rooms);
    return status;
}

cn_status cn_dataset_batch_on(const cn_dataset *data, cn_pool *pool, const int *index, int n,
                              const float *mean, const float *std, float *x, int32_t *labels,
                              cn_error *err)
{
    size_t size = cn_dataset_label_size(data);
    const cn_tensor *images = cn_dataset_images(data), *masks = cn_dataset_masks(data);
    const uint8_t *mask;
    bool in_memory = images->data && (!masks || masks->data);
    for (int i = 0; labels && !masks && i < n; i++) labels[i] = cn_dataset_label(data, index[i]);
    if (!in_memory)
        return feed_images(data, pool, index, n, mean, std, x, masks ? labels : NULL, err);
    cn_pixels_normalize(images, cn_dataset_scale(data), index, n, mean, std, x);
    for (int i = 0; labels && masks && i < n; i++)
        if (cn_dataset_mask(data, index[i], NULL, &mask, err) == CN_OK)
            cn_mask_labels(mask, size, labels + (size_t)i * size);
    return CN_OK;
}

cn_status cn_dataset_batch(const cn_dataset *data, const int *index, int n, const float *mean,
                           const float *std, float *x, int32_t *labels, cn_error *err)
{
    return cn_dataset_batch_on(data, NULL, index, n, mean, std, x, labels, err);
}

/* Half of what is free; where the system does not say, a set may be of any size. */
size_t cn_request_memory(const cn_request *request)
{
    if (request->memory > 0) return request->memory;
    size_t available = cn_memory_available("");
    return available > 0 ? available / 2 : SIZE_MAX;
}

bool cn_request_holds(const cn_request *request, size_t bytes)
{
    const size_t few = (size_t)1 << 20;
    return (request->memory == 0 && bytes <= few) || bytes <= cn_request_memory(request) / 2;
}

size_t cn_memory_left(size_t memory, size_t used)
{
    if (memory == 0) return 0;
    return memory > used ? memory - used : 1;
}

bool cn_fits_in_memory(int count, const cn_tensor *form, bool masked, const cn_request *request)
{
    const int *n = form->shape;
    size_t bytes = cn_dtype_size(form->dtype);
    return cn_multiply(bytes, (size_t)n[3], &bytes) &&
           cn_multiply(bytes + masked, (size_t)count, &bytes) &&
           cn_multiply(bytes, (size_t)n[1], &bytes) && cn_multiply(bytes, (size_t)n[2], &bytes) &&
           cn_request_holds(request, bytes);
}

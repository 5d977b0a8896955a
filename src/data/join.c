/*
 * join.c - two sets of the same kind made one: the images of the first, then those of the second.
 *
 * Images that lie in memory are copied. Where any do not, the joined set is a source of samples that
 * asks the two for theirs, and owns them.
 */
#include "data/dataset.h"

#include <stdatomic.h>
#include <string.h>

/* The rows of x, then those of y; none of none. */
static cn_status join_rows(cn_tensor *out, const cn_tensor *x, const cn_tensor *y, cn_error *err)
{
    int shape[CN_MAX_RANK];
    if (!x || !x->data) return CN_OK;
    size_t size = cn_dtype_size(x->dtype), first = cn_tensor_count(x) * size;
    memcpy(shape, x->shape, sizeof shape);
    shape[0] += y->shape[0];
    cn_status status = cn_tensor_create(out, x->dtype, x->rank, shape, err);
    if (status != CN_OK) return status;
    memcpy(out->data, x->data, first);
    memcpy((char *)out->data + first, y->data, cn_tensor_count(y) * size);
    return CN_OK;
}

/* ---- A source of two sets */

typedef struct pair {
    cn_dataset *sets[2];
    _Atomic int owners; /* the images, and the masks */
} pair;

static const cn_dataset *find_set(const pair *p, int *i)
{
    int first = cn_dataset_size(p->sets[0]);
    if (*i < first) return p->sets[0];
    *i -= first;
    return p->sets[1];
}

static cn_status make_image(const void *source, int i, const cn_framing *framing, void *image,
                            cn_error *err)
{
    const void *at = image;
    const cn_dataset *data = find_set(source, &i);
    cn_status status = cn_dataset_image(data, i, framing, image, &at, err);
    if (status == CN_OK && at != image) memcpy(image, at, cn_dataset_image_bytes(data));
    return status;
}

static cn_status make_mask(const void *source, int i, const cn_framing *framing, void *image,
                           cn_error *err)
{
    const uint8_t *at = image;
    const cn_dataset *data = find_set(source, &i);
    (void)framing;
    cn_status status = cn_dataset_mask(data, i, image, &at, err);
    if (status == CN_OK && at != image) memcpy(image, at, cn_dataset_label_size(data));
    return status;
}

static void free_pair(void *source)
{
    pair *p = source;
    if (atomic_fetch_sub(&p->owners, 1) > 1) return;
    cn_dataset_free(p->sets[0]);
    cn_dataset_free(p->sets[1]);
    cn_release(p);
}

static const cn_samples_ops image_ops = {make_image, free_pair};
static const cn_samples_ops mask_ops = {make_mask, free_pair};

/* Samples of both, with the sums that are known of them. */
static cn_status join_samples(cn_dataset_parts *parts, pair *p, cn_error *err)
{
    const int n = parts->images.shape[0], channels = parts->images.shape[3];
    cn_moments *sums = cn_allocate((size_t)channels, sizeof *sums, "dataset", err);
    cn_status status = sums ? CN_OK : CN_ERR_MEMORY;
    if (status == CN_OK)
        status = cn_samples_create(&parts->samples, &image_ops, p, n, &parts->images, 0, err);
    p->owners += status == CN_OK;
    for (int i = 0; status == CN_OK && i < n; i++) {
        int k = i;
        const cn_dataset *data = find_set(p, &k);
        for (int c = 0; c < channels; c++) sums[c] = cn_dataset_moments(data, k, c);
        cn_samples_set_moments(parts->samples, i, sums);
    }
    cn_release(sums);
    if (status != CN_OK || !parts->masks.rank) return status;
    cn_tensor form = parts->masks;
    form.shape[form.rank++] = 1;
    status = cn_samples_create(&parts->mask_samples, &mask_ops, p, n, &form, 0, err);
    p->owners += status == CN_OK;
    return status;
}

/* Without copies of the images; takes both sets over. */
static cn_status join_sources(cn_dataset_parts *parts, cn_dataset *a, cn_dataset *b, cn_error *err)
{
    pair *p = cn_allocate(1, sizeof *p, "dataset", err);
    if (p) p->sets[0] = a;
    if (p) p->sets[1] = b;
    parts->images = *cn_dataset_images(a);
    parts->images.shape[0] += cn_dataset_size(b);
    parts->images.data = parts->images.owned = NULL;
    if (cn_dataset_masks(a)) {
        parts->masks = *cn_dataset_masks(a);
        parts->masks.shape[0] = parts->images.shape[0];
        parts->masks.data = parts->masks.owned = NULL;
    }
    cn_status status = p ? join_samples(parts, p, err) : CN_ERR_MEMORY;
    if (p && p->owners == 0) { /* nobody has taken them over */
        p->owners = 1;
        free_pair(p);
    } else if (!p) {
        cn_dataset_free(a);
        cn_dataset_free(b);
    }
    return status;
}

static cn_status check(const cn_dataset *a, const cn_dataset *b, cn_error *err)
{
    const cn_tensor *x = cn_dataset_images(a), *y = cn_dataset_images(b);
    if (x->dtype == y->dtype && memcmp(x->shape + 1, y->shape + 1, 3 * sizeof(int)) == 0 &&
        x->shape[0] <= INT32_MAX - y->shape[0] && cn_dataset_task(a) == cn_dataset_task(b))
        return CN_OK;
    return cn_fail(err, CN_ERR_SHAPE,
                   "dataset: parts of (%d, %d, %d) and (%d, %d, %d) cannot be joined", x->shape[1],
                   x->shape[2], x->shape[3], y->shape[1], y->shape[2], y->shape[3]);
}

static cn_status join_labels(cn_dataset_parts *parts, const cn_dataset *a, const cn_dataset *b,
                             cn_error *err)
{
    const int n = cn_dataset_size(a), m = cn_dataset_size(b), all = n + m;
    cn_status status = cn_tensor_create(&parts->labels, CN_DTYPE_I32, 1, &all, err);
    if (status != CN_OK) return status;
    int32_t *labels = parts->labels.data;
    memcpy(labels, cn_dataset_labels(a), (size_t)n * sizeof *labels);
    memcpy(labels + n, cn_dataset_labels(b), (size_t)m * sizeof *labels);
    return join_rows(&parts->targets, cn_dataset_targets(a), cn_dataset_targets(b), err);
}

cn_status cn_dataset_join(cn_dataset **out, cn_dataset *first, cn_dataset *second, cn_error *err)
{
    if (!first || !second) {
        *out = first ? first : second;
        return CN_OK;
    }
    cn_dataset_parts parts = cn_dataset_parts_like(first);
    cn_status status = check(first, second, err);
    bool in_memory = cn_dataset_in_memory(first) && cn_dataset_in_memory(second);
    if (status == CN_OK) status = join_labels(&parts, first, second, err);
    if (status == CN_OK && in_memory) {
        status = join_rows(&parts.images, cn_dataset_images(first), cn_dataset_images(second), err);
        if (status == CN_OK)
            status =
                join_rows(&parts.masks, cn_dataset_masks(first), cn_dataset_masks(second), err);
    } else if (status == CN_OK) {
        status = join_sources(&parts, first, second, err);
        first = second = NULL;
    }
    if (status == CN_OK) status = cn_dataset_adopt(out, &parts, "dataset", err);
    cn_dataset_parts_free(&parts);
    cn_dataset_free(first);
    cn_dataset_free(second);
    return status;
}

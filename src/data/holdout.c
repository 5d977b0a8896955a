/*
 * holdout.c - divides a set into a part to learn from and a part to be measured on.
 *
 * Both ways walk through the images in some order and hold out those at which i * fraction passes
 * a whole number: one in 1 / fraction, spread evenly. The order is the set's own, or, with a seed,
 * class by class and at random within each: so every class is held out in proportion, give or take
 * one image.
 */
#include "base/base.h"
#include "base/counter.h"

static const uint64_t split_stream = UINT64_C(0x73706c6974) << 24; /* "split" */

/* order[0 .. size-1]: the images by class, each class shuffled. `first` has room for a number a
 * class. */
static void order_by_class(const cn_dataset *data, uint64_t seed, int *shuffled, int *first,
                           int *order)
{
    int size = cn_dataset_size(data), at = 0;
    for (int i = 0; i < size; i++) shuffled[i] = i;
    cn_counter_shuffle(seed, split_stream, size, shuffled);
    for (int i = 0; i < size; i++) first[cn_dataset_label(data, i)]++;
    for (int k = 0; k < cn_dataset_classes(data); k++) {
        int count = first[k];
        first[k] = at;
        at += count;
    }
    for (int i = 0; i < size; i++)
        order[first[cn_dataset_label(data, shuffled[i])]++] = shuffled[i];
}

/* The two parts, each in the set's own order; `order` NULL stands for it, `index` is scratch. */
static cn_status divide(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                        double fraction, const int *order, int *index, cn_error *err)
{
    int size = cn_dataset_size(data), hold = 0, keep = 0;
    bool *out = cn_allocate((size_t)size, sizeof *out, "dataset hold-out", err);
    if (!out) return CN_ERR_MEMORY;
    for (int i = 0; i < size; i++) {
        bool passes = (int)((i + 1) * fraction) > (int)(i * fraction);
        out[order ? order[i] : i] = passes;
        hold += passes;
    }
    for (int i = 0, h = size - hold; i < size; i++) index[out[i] ? h++ : keep++] = i;
    cn_release(out);

    cn_dataset *rest = NULL, *part = NULL;
    cn_status status = cn_dataset_select(&rest, data, index, keep, err);
    if (status == CN_OK) status = cn_dataset_select(&part, data, index + keep, hold, err);
    if (status != CN_OK) {
        cn_dataset_free(rest);
        return status;
    }
    *kept = rest;
    *held = part;
    return CN_OK;
}

static cn_status check(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                       double fraction, cn_error *err)
{
    if (!kept || !held || !data)
        return cn_fail(err, CN_ERR_ARGUMENT, "dataset hold-out: NULL argument");
    int size = cn_dataset_size(data);
    int hold = fraction > 0 && fraction < 1 ? (int)(size * fraction) : 0;
    if (hold < 1 || hold >= size)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "dataset hold-out: a fraction of %g of %d image%s, expected at least one "
                       "image and not all",
                       fraction, size, cn_plural(size));
    return CN_OK;
}

cn_status cn_dataset_hold_out(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                              double fraction, cn_error *err)
{
    cn_status status = check(kept, held, data, fraction, err);
    if (status != CN_OK) return status;
    int *index = cn_allocate((size_t)cn_dataset_size(data), sizeof *index, "dataset hold-out", err);
    if (!index) return CN_ERR_MEMORY;
    status = divide(kept, held, data, fraction, NULL, index, err);
    cn_release(index);
    return status;
}

cn_status cn_dataset_split(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                           double fraction, uint64_t seed, cn_error *err)
{
    cn_status status = check(kept, held, data, fraction, err);
    if (status != CN_OK) return status;
    size_t size = (size_t)cn_dataset_size(data), classes = (size_t)cn_dataset_classes(data);
    int *room = cn_allocate(2 * size + classes, sizeof *room, "dataset hold-out", err);
    if (!room) return CN_ERR_MEMORY;
    int *order = room, *index = room + size, *first = index + size;
    order_by_class(data, seed, index, first, order);
    status = divide(kept, held, data, fraction, order, index, err);
    cn_release(room);
    return status;
}

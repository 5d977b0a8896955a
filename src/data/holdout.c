/* holdout.c - divides a set into a part to learn from and a part to be measured on. */
#include "base/base.h"

cn_status cn_dataset_hold_out(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                              double fraction, cn_error *err)
{
    if (!kept || !held || !data)
        return cn_fail(err, CN_ERR_ARGUMENT, "dataset hold-out: NULL argument");
    int size = cn_dataset_size(data);
    int hold = fraction > 0 && fraction < 1 ? (int)(size * fraction) : 0, keep = size - hold;
    if (hold < 1 || keep < 1)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "dataset hold-out: a fraction of %g of %d pictures, expected at least one "
                       "picture and not all",
                       fraction, size);
    int *index = cn_allocate((size_t)size, sizeof *index, "dataset hold-out", err);
    if (!index) return CN_ERR_MEMORY;
    for (int i = 0, k = 0, h = keep; i < size; i++) {
        /* i * fraction passes a whole number at the pictures that are held out. */
        bool out = (int)((i + 1) * fraction) > (int)(i * fraction);
        index[out ? h++ : k++] = i;
    }
    cn_dataset *rest = NULL, *part = NULL;
    cn_status status = cn_dataset_select(&rest, data, index, keep, err);
    if (status == CN_OK) status = cn_dataset_select(&part, data, index + keep, hold, err);
    cn_release(index);
    if (status != CN_OK) {
        cn_dataset_free(rest);
        return status;
    }
    *kept = rest;
    *held = part;
    return CN_OK;
}

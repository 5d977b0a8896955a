/* fifth.c - a test set for pictures that come without one. */
#include "data/dataset.h"

enum { TEST_EVERY = 5 };

bool cn_is_fifth(int i)
{
    return i % TEST_EVERY == TEST_EVERY - 1;
}

cn_status cn_every_fifth(cn_dataset **part, const cn_dataset *all, cn_split split, cn_error *err)
{
    int size = cn_dataset_size(all), count = 0;
    int *index = cn_allocate((size_t)size, sizeof *index, "every fifth picture", err);
    if (!index) return CN_ERR_MEMORY;
    for (int i = 0; i < size; i++)
        if (cn_is_fifth(i) == (split == CN_TEST)) index[count++] = i;
    cn_status status =
        count ? cn_dataset_select(part, all, index, count, err)
              : cn_fail(err, CN_ERR_FORMAT,
                        "%d pictures and no test set: expected at least %d, of which every fifth "
                        "is for testing",
                        size, TEST_EVERY);
    cn_release(index);
    return status;
}

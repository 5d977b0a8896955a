/*
 * parts.c - which images of a set a split is made of.
 *
 * A set may come in three parts: to train on, to test on, to validate on. Where there is nothing to
 * test on, the part to validate on stands in; where there is neither, every fifth image is for
 * testing, unless there are fewer than five.
 */
#include "data/dataset.h"

enum { TEST_EVERY = 5 };

static bool is_fifth(int i)
{
    return i % TEST_EVERY == TEST_EVERY - 1;
}

bool cn_split_takes(const int counts[CN_PARTS], cn_subset split, int part, int i)
{
    bool alone = counts[CN_SUBSET_TEST] == 0 && counts[CN_SUBSET_VALIDATION] == 0;
    bool few = counts[CN_SUBSET_TRAIN] < TEST_EVERY;
    switch (split) {
    case CN_SUBSET_TRAIN: return part == CN_SUBSET_TRAIN && (!alone || few || !is_fifth(i));
    case CN_SUBSET_TEST:
        if (alone) return few || is_fifth(i);
        return part == (counts[CN_SUBSET_TEST] ? CN_SUBSET_TEST : CN_SUBSET_VALIDATION);
    case CN_SUBSET_VALIDATION: return part == CN_SUBSET_VALIDATION;
    case CN_SUBSET_ALL: return true;
    case CN_SUBSET_TEST_OR_ALL:
        return alone || part == (counts[CN_SUBSET_TEST] ? CN_SUBSET_TEST : CN_SUBSET_VALIDATION);
    }
    return false;
}

int cn_split_count(const int counts[CN_PARTS], cn_subset split, int part)
{
    int count = 0;
    for (int i = 0; i < counts[part]; i++) count += cn_split_takes(counts, split, part, i);
    return count;
}

cn_status cn_split_remark(const int counts[CN_PARTS], const cn_request *request, cn_error *err)
{
    int train = counts[CN_SUBSET_TRAIN];
    bool testing = request->split != CN_SUBSET_VALIDATION && request->split != CN_SUBSET_ALL;
    if (!testing || counts[CN_SUBSET_TEST] > 0) return CN_OK;
    if (counts[CN_SUBSET_VALIDATION] > 0)
        return cn_remark(request->remarks, err,
                         "no images to test on: those to validate on stand in for them");
    if (request->split == CN_SUBSET_TEST_OR_ALL)
        return cn_remark(request->remarks, err,
                         "no images set apart for testing: the figures are of all %d", train);
    if (train < TEST_EVERY)
        return cn_remark(request->remarks, err,
                         "too few images to set any apart for testing: training and testing use "
                         "the same %d",
                         train);
    return CN_OK;
}

cn_status cn_dataset_part(cn_dataset **data, const cn_dataset *all, const int counts[CN_PARTS],
                          cn_subset split, int part, cn_error *err)
{
    int *index = cn_allocate((size_t)counts[part] + 1, sizeof *index, "part of a set", err);
    if (!index) return CN_ERR_MEMORY;
    int count = 0;
    for (int i = 0; i < counts[part]; i++)
        if (cn_split_takes(counts, split, part, i)) index[count++] = i;
    cn_status status = cn_dataset_select(data, all, index, count, err);
    cn_release(index);
    return status;
}

/* balance.c - says that a set's classes are of very different sizes: a network then learns to say
 * the frequent one. */
#include "data/dataset.h"

cn_status cn_remark_on_balance(const cn_dataset *data, cn_remarks *remarks, cn_error *err)
{
    enum { MOST_RATIO = 10 };
    const int classes = cn_dataset_classes(data), n = cn_dataset_size(data);
    int least = -1, most = 0;
    if (cn_dataset_task(data) != CN_TASK_CLASSIFICATION) return CN_OK;
    int *count = cn_allocate((size_t)classes, sizeof *count, "class sizes", err);
    if (!count) return CN_ERR_MEMORY;
    for (int i = 0; i < n; i++) count[cn_dataset_label(data, i)]++;
    for (int k = 0; k < classes; k++) {
        if (count[k] > count[most]) most = k;
        if (count[k] > 0 && (least < 0 || count[k] < count[least])) least = k;
    }
    int64_t few = least < 0 ? 0 : count[least], many = count[most];
    cn_release(count);
    if (many <= MOST_RATIO * few) return CN_OK;
    return cn_remark(remarks, err,
                     "classes of very different sizes: %d image%s of %.60s, %d of %.60s; class "
                     "weights can make up for it",
                     (int)few, cn_plural((int)few), cn_dataset_class_name(data, least), (int)many,
                     cn_dataset_class_name(data, most));
}

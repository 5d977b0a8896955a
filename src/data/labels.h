/* labels.h - classes out of labels that are numbers. */
#ifndef CN_LABELS_H
#define CN_LABELS_H

#include "data/dataset.h"

/*
 * Makes labels of 0 and above, in all parts of a set, the numbers of *classes classes, and says
 * where these are others than they were: *names, to be freed with cn_release, then has what they
 * were, and is left as it is otherwise. `what` stands for the set in errors.
 */
cn_status cn_labels_number(int32_t *const labels[CN_PARTS], const int counts[CN_PARTS],
                           int *classes, char ***names, cn_remarks *remarks, const char *what,
                           cn_error *err);

#endif

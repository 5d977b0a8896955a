/* trouble.h - numbers that are not finite. */
#ifndef CN_TROUBLE_H
#define CN_TROUBLE_H

#include "model/model.h"

/* How many of x[0..n-1] are NaN or infinite; *nan (may be NULL) becomes true where one is NaN. */
size_t cn_count_not_finite(size_t n, const float *x, bool *nan);
/* The first parameter that holds such a number; false where all are finite. */
bool cn_model_find_trouble(const cn_model *model, cn_trouble *trouble);

#endif

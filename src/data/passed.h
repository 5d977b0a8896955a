/* passed.h - the files that a reader passes over, counted to be said. */
#ifndef CN_PASSED_H
#define CN_PASSED_H

#include "data/dataset.h"

/* How many files there are of each ending; those that come when it is full count as others. */
enum { CN_ENDINGS = 16, CN_ENDING = 12 };
typedef struct cn_passed {
    struct {
        char ending[CN_ENDING]; /* ".webp", or "" for none, in small letters */
        int count;
    } kinds[CN_ENDINGS];
    int kind_count, others;
} cn_passed;

/* Counts a file. What systems leave in folders (Thumbs.db, desktop.ini) is nobody's data. */
void cn_passed_add(cn_passed *passed, const char *name);
/* "3 .webp, 1 .heic", the most frequent first; "" for none. Returns text. */
enum { CN_PASSED_TEXT = CN_ENDINGS * (CN_ENDING + 32) };
const char *cn_passed_text(const cn_passed *passed, char text[CN_PASSED_TEXT]);
/* Says "passed over " and that, unless there are none. */
cn_status cn_passed_remark(const cn_passed *passed, cn_remarks *remarks, cn_error *err);

#endif

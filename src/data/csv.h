/* csv.h - tables with a label per row, as texts. */
#ifndef CN_CSV_H
#define CN_CSV_H

#include "data/dataset.h"
#include "data/paths.h"

/* The labels of each part's rows. */
typedef struct cn_text_labels {
    char **texts[CN_PARTS];
    int counts[CN_PARTS];
} cn_text_labels;

/* Makes them the numbers of classes: labels[part] (counts[part]) are filled. *names is to be freed
 * with cn_release, and NULL for numbers from 0 on; `what` stands for the set in errors. */
cn_status cn_text_labels_number(const cn_text_labels *texts, int32_t *const labels[CN_PARTS],
                                int *classes, char ***names, cn_remarks *remarks, const char *what,
                                cn_error *err);

/* The tables of the parts: `path` itself, and those beside it. paths[part] is "" for none. */
void cn_csv_find_parts(char paths[CN_PARTS][CN_PATH_ROOM], const char *path);

/* csv_pixels.c: label,pixel0,pixel1,... Does a table have this form? */
bool cn_csv_is_of_pixels(const char *path);
cn_status cn_csv_load_pixels(cn_dataset **data, const char *path, const cn_request *request,
                             cn_error *err);

#endif

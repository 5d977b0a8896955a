/* csv.h - tables with a label per row, as texts. */
#ifndef CN_CSV_H
#define CN_CSV_H

#include "data/dataset.h"
#include "data/paths.h"
#include "data/table.h"

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

/* ---- where files are (csv_files.c) */

/* The table of a folder; a file is its own. */
bool cn_csv_find_table(char path[CN_PATH_ROOM], const char *given);
/* The tables of the parts: `path` itself, and those beside it. paths[part] is "" for none. */
void cn_csv_find_parts(char paths[CN_PARTS][CN_PATH_ROOM], const char *path);
/* The file that a row of a table calls so: below root ("" for none), or else where csv_files.c says. `neighbor`
 * is where one was found that was in none of the usual folders, "" before. */
bool cn_csv_find_file(char path[CN_PATH_ROOM], const char *table, char neighbor[CN_PATH_ROOM],
                      const char *root, const char *name);

/* ---- columns */

/* Which columns are what; -1 for none. */
typedef struct cn_csv_columns {
    int image, label, mask, split;
    int runs; /* masks as lengths of runs, which are not read */
} cn_csv_columns;

/* By the names in the row that the table stands at (csv_columns.c). */
cn_csv_columns cn_csv_find_columns(const cn_table *heading);
/* By a heading: does a column tell the image, or nothing of it, as its row's number? */
bool cn_csv_names_image(const char *field);
bool cn_csv_names_nothing(const char *field);

/* The part that a field of the column `split` tells; CN_SAYS_NOTHING for none. */
cn_said cn_csv_part(const char *field);
/* Does a label or number stand for one that is not there: nothing, "nan", "NA", "None" and the like?
 */
bool cn_csv_is_missing(const char *field);
/* Is it a number, or one with marks: "45%", and with a decimal comma, where the separator is none? */
bool cn_csv_is_number(const char *field, char separator);
/* Takes the marks out of a column's n cells where all that are not missing are such numbers, with
 * percent signs all or none, and says so. *percent: they had these. */
cn_status cn_csv_take_marks(char *const *cells, int n, char separator, bool *percent,
                            cn_remarks *remarks, cn_error *err);

/* csv_pixels.c: label,pixel0,pixel1,... or label,pixels. Does a table have this form? */
bool cn_csv_is_of_pixels(const char *path);
cn_status cn_csv_load_pixels(cn_dataset **data, const char *path, const cn_request *request,
                             cn_error *err);

#endif

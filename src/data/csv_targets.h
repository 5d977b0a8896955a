/* csv_targets.h - tables whose rows have several labels, or numbers. */
#ifndef CN_CSV_TARGETS_H
#define CN_CSV_TARGETS_H

#include "data/csv.h"
#include "data/images.h"
#include "data/table.h"

/* The columns that are targets, of one table. */
typedef struct cn_target_columns {
    int *index;   /* NULL: the table has a column of labels, or of masks */
    char **names; /* as the first table of the set has them; they point into its text */
    int count;
    char ***rows; /* what they hold: rows[i][k]; each row is allocated */
    int row_count, row_room;
} cn_target_columns;

void cn_target_columns_free(cn_target_columns *c);
/*
 * Which of a table's columns are numbers, by the heading and the row that the table stands at:
 * those that are no path and no split and hold a number there; with columns=A|B, those. `like`
 * (NULL: none) has been read before, and its columns are the ones. Remarks on the columns that are
 * passed over. No column at all is no error.
 */
cn_status cn_target_columns_find(cn_target_columns *c, const cn_table *row, char *const *heading,
                                 int heading_count, const int skip[3],
                                 const cn_target_columns *like, const cn_request *request,
                                 cn_error *err);
/* Has columns= named a single one that holds no numbers, or the classes that task= asks for? */
bool cn_target_columns_are_labels(const cn_target_columns *c, const cn_table *row,
                                  const cn_request *request);
/* A remark that names the columns of a heading that are among index[0..] (`inside`), or that are not,
 * but for three others; none where there are none. */
cn_status cn_columns_say(const char *what, char *const *heading, int count, const int *index,
                         int index_count, bool inside, const int skip[3], cn_remarks *remarks,
                         cn_error *err);
/* Takes the row that the table stands at. */
cn_status cn_target_columns_add(cn_target_columns *c, const cn_table *row, cn_error *err);

/* What the rows of a set hold, in the order of the parts. */
typedef struct cn_row_targets {
    float *values;      /* rows x count, or NULL: labels of one class each */
    const char **names; /* count; the pointers alone are owned */
    char *text;         /* what some of them point into; owned */
    int count;
    cn_task_kind task;
} cn_row_targets;

void cn_row_targets_free(cn_row_targets *t);
/* Out of columns, given the row of each image: `rows` (n), its values as texts, and for errors its
 * line. */
cn_status cn_row_targets_of_columns(cn_row_targets *t, const cn_target_columns *c,
                                    char *const *const *rows, const int *lines, int n,
                                    char separator, const cn_request *request, const char *what,
                                    cn_error *err);
/* Out of a column of labels: names between bars, or numbers with fractions or in percent; nothing
 * where they are neither. `name` is the column's, and the separator the table's. */
cn_status cn_row_targets_of_labels(cn_row_targets *t, char *const *labels, const int *lines, int n,
                                   const char *name, char separator, const cn_request *request,
                                   const char *what, cn_error *err);

#endif

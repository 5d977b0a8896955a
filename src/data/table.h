/* table.h - a table as text (RFC 4180), a row at a time. */
#ifndef CN_TABLE_H
#define CN_TABLE_H

#include "base/base.h"

/*
 * Fields stand between commas, semicolons or tabs, whichever the first line has most of. They may be
 * quoted; blanks around them are no part of them. Where the first line has none of these, the last blank of each
 * line stands between two fields. Lines end in LF, CR LF or CR; those
 * without anything in any field are passed over.
 */
typedef struct cn_table {
    const char *path; /* the caller's */
    char *text, *at;  /* fields are cut out where they stand */
    char separator;
    const char *other; /* what the file is instead of a table, or NULL */
    int line;          /* of the row that was read last, from 1 on */
    int inside;        /* how many lines more that row has, within quotes */
    char **fields;
    int count, room; /* of that row */
} cn_table;

/* Reads the file; cn_table_close frees all, also after a failure. */
cn_status cn_table_open(cn_table *table, const char *path, cn_error *err);
void cn_table_close(cn_table *table);
/* The next row, into fields, which stay valid as texts until the table is closed; *more is false at
 * the end. */
cn_status cn_table_next(cn_table *table, bool *more, cn_error *err);

/* ---- lines of JSON (table_json.c) */

/* Does a text begin as they do? */
bool cn_table_is_json(const char *text);
/* Makes a table of fields between commas of them, in memory of its own in place of *bytes. Its heading is a line
 * more than there are. */
cn_status cn_table_from_json(uint8_t **bytes, size_t *size, const char *path, cn_error *err);

#endif

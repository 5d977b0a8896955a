/* csv_columns.c - what the columns of a table are, by the names in its heading, and their cells. */
#include "data/csv.h"

#include <math.h>
#include <string.h>

static const char *const image_names[] = {
    "path",  "imagepath",  "imgpath",   "filepath",         "filepaths", "file",    "filename",
    "fname", "image",      "imagename", "imagefile",        "img",       "imageid", "name",
    "id",    "imageindex", "idcode",    "studyinstanceuid", NULL};
static const char *const label_names[] = {
    "label",   "class",   "target",  "category",      "classname", "labelname", "labels",
    "classid", "labelid", "variety", "findinglabels", "diagnosis", "dx",        "breed",
    "species", "choice",  "tags",    "emotion",       NULL};
static const char *const mask_names[] = {"mask",   "maskpath",     "maskfile", "masks",
                                         "maskid", "segmentation", NULL};
static const char *const split_names[] = {"split",   "subset", "set",   "dataset", "partition",
                                          "isvalid", "phase",  "usage", NULL};
static const char *const run_names[] = {"encodedpixels", "rle", "rlemask", NULL};
/* Numbers that say nothing of an image, as those of its row. */
static const char *const other_names[] = {"", "index", "fold", "kfold", NULL};

/* In small or capital letters; blanks, dashes and underlines are left out. */
static bool is_named(const char *field, const char *name)
{
    for (;; name++, field++) {
        while (*field && strchr(" -_", *field)) field++;
        if (!*name || cn_lower(*field) != *name) return !*name && !*field;
    }
}

static bool is_any_of(const char *field, const char *const *names)
{
    for (; *names; names++)
        if (is_named(field, *names)) return true;
    return false;
}

bool cn_csv_names_image(const char *field)
{
    return is_any_of(field, image_names);
}

bool cn_csv_names_nothing(const char *field)
{
    return is_any_of(field, other_names) || strncmp(field, "Unnamed: ", 9) == 0;
}

/* The column with one of these names, the first name first; -1 for none. */
static int find_column(const cn_table *t, const char *const *names)
{
    for (int k = 0; names[k]; k++)
        for (int i = 0; i < t->count; i++)
            if (is_named(t->fields[i], names[k])) return i;
    return -1;
}

cn_csv_columns cn_csv_find_columns(const cn_table *t)
{
    return (cn_csv_columns){find_column(t, image_names), find_column(t, label_names),
                            find_column(t, mask_names), find_column(t, split_names),
                            find_column(t, run_names)};
}

/* ---- Cells */

cn_said cn_csv_part(const char *field)
{
    static const struct {
        const char *word;
        cn_said part;
    } others[] = {{"false", CN_SAYS_TRAIN},     {"true", CN_SAYS_VALIDATION}, /* of is_valid */
                  {"0", CN_SAYS_TRAIN},         {"1", CN_SAYS_VALIDATION},
                  {"2", CN_SAYS_TEST},          {"PublicTest", CN_SAYS_VALIDATION}, /* FER2013 */
                  {"PrivateTest", CN_SAYS_TEST}};
    cn_said said = cn_name_is(field);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cn_same_letters(field, others[i].word)) said = others[i].part;
    return said;
}

bool cn_csv_is_missing(const char *field)
{
    /* As other programs write it; "none" is the name of a class in some sets. */
    static const char *const words[] = {"",    "nan",  "NaN",  "NAN",  "NA",   "N/A",
                                        "n/a", "#N/A", "<NA>", "null", "NULL", "None"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(field, words[i]) == 0) return true;
    return false;
}

/* Takes the marks out of "1,000,000.5"; false where they do not part groups of three digits. */
static bool ungroup(char *plain, char mark)
{
    static const char digits[] = "0123456789";
    char *at = plain + (plain[0] == '-' || plain[0] == '+'), *to;
    size_t first = strspn(at, digits);
    if (first < 1 || first > 3) return false;
    for (to = at += first; *at == mark; at += 4, to += 3) {
        if (strspn(at + 1, digits) != 3) return false;
        memmove(to, at + 1, 3);
    }
    memmove(to, at, strlen(at) + 1);
    return true;
}

/* A cell's number without marks. Returns those that it had, or -1 where it is no number. */
enum { PERCENT = 1, COMMA = 2, ROOM = 48 };
static int take_marks(char plain[ROOM], const char *cell, char separator)
{
    double value;
    int marks = 0;
    size_t length = strlen(cell);
    if (length >= ROOM) return -1;
    memcpy(plain, cell, length + 1);
    if (length > 0 && plain[length - 1] == '%') {
        marks = PERCENT;
        if (--length > 0 && plain[length - 1] == ' ') length--;
        plain[length] = 0;
    }
    char *comma = strchr(plain, ','), *point = strchr(plain, '.');
    if (comma) {
        bool groups = separator == ',' || (point ? point > comma : strchr(comma + 1, ',') != NULL);
        marks |= COMMA;
        if ((groups || point) && !ungroup(plain, groups ? ',' : '.')) return -1;
        if (!groups) *strchr(plain, ',') = '.';
    }
    return cn_number_read(plain, &value) && isfinite((float)value) ? marks : -1;
}

bool cn_csv_is_number(const char *field, char separator)
{
    char plain[ROOM];
    return take_marks(plain, field, separator) >= 0;
}

cn_status cn_csv_take_marks(char *const *cells, int n, char separator, bool *percent,
                            cn_remarks *remarks, cn_error *err)
{
    char plain[ROOM];
    int any = 0, all = PERCENT, first = 0;
    *percent = false;
    for (int i = 0; i < n; i++) {
        if (cn_csv_is_missing(cells[i])) continue;
        int marks = take_marks(plain, cells[i], separator);
        if (marks < 0) return CN_OK;
        if (!any) first = i;
        any |= marks;
        all &= marks;
    }
    if (!any || (any & PERCENT) != all) return CN_OK;
    *percent = all;
    take_marks(plain, cells[first], separator);
    cn_status status = cn_remark(remarks, err,
                                 "\"%s\" is read as the number %s, and so are all "
                                 "of its column",
                                 cells[first], plain);
    for (int i = 0; i < n; i++)
        if (take_marks(plain, cells[i], separator) > 0) strcpy(cells[i], plain);
    return status;
}

/* csv_columns.c - what the columns of a table are, by the names in its heading. */
#include "data/csv.h"

#include <string.h>

static const char *const image_names[] = {
    "path",     "imagepath", "imgpath", "filepath",   "filepaths", "file",
    "filename", "fname",     "image",   "imagename",  "imagefile", "img",
    "imageid",  "name",      "id",      "imageindex", NULL};
static const char *const label_names[] = {
    "label",  "class",   "target",  "category", "classname",     "labelname",
    "labels", "classid", "labelid", "variety",  "findinglabels", "diagnosis",
    "dx",     "breed",   "species", "choice",   "tags",          NULL};
static const char *const mask_names[] = {"mask",   "maskpath",     "maskfile", "masks",
                                         "maskid", "segmentation", NULL};
static const char *const split_names[] = {"split", "subset", "set", "partition", "isvalid", NULL};
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

/*
 * csv.c - a table of images and their labels, or their masks:
 *
 *   path,label                 columns are found by their names, in any order:
 *   photos/0001.png,cat          path, file, filename, image, image_id, ... and label, class, ...
 *   "photos/a,b.jpg",dog         mask, mask_path in place of the label: segmentation
 *                                split, subset, set: train, test or val
 *
 * A table without a heading has two columns, path and label; a first line whose path is no image's is
 * a heading. csv_files.c says where the files are, table.h what a row is. Labels are names, or
 * numbers from 0 on if all of them are numbers.
 * Names become classes in the order of their bytes. A table whose name says train has its test set
 * in the one that says test, and its validation set in the one that says val or valid.
 */
#include "data/csv.h"
#include "data/csv_targets.h"
#include "data/images.h"
#include "data/labels.h"
#include "data/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CLASSES = 65536 };

/* What the columns hold, of a row each. */
typedef struct row {
    char *image, *label, *mask; /* of label and mask one, or with columns of targets both, NULL */
    char *const *values;        /* of columns of targets, else NULL */
    int line, part;             /* part -1: the table's own */
} row;

typedef struct table {
    const char *path;
    cn_table text;
    cn_csv_columns columns;
    cn_target_columns targets; /* of a heading without labels and masks, or as columns= says */
    bool has_targets;
    char *label_name; /* of the column of labels, where there is a heading */
    int width;        /* fields of the first row */
    char *neighbor;   /* where its images lie beside it, "" for the usual places */
    bool beside;      /* not the one that was asked for, but another part's */
    bool unlabeled;   /* without a column of labels: nothing to learn from or to test on */
    row *rows;
    int count, room;
} table;

static void free_table(table *t)
{
    cn_target_columns_free(&t->targets);
    cn_table_close(&t->text);
    cn_release(t->rows);
    cn_release(t->neighbor);
    *t = (table){.path = NULL};
}

/* ---- Files */

static bool find_image(char path[CN_PATH_ROOM], const table *t, const cn_request *request,
                       const char *name)
{
    return cn_csv_find_file(path, t->path, t->neighbor, request->opts->root, name);
}

/* What a heading without a column of labels is expected to be. */
static cn_status expected_labels(const table *t, int found, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: line %d: expected path,label or a heading with the columns path and "
                   "label, found %d column%s%s",
                   t->path, t->text.line, found, cn_plural(found),
                   t->columns.image < 0 ? "" : "; columns=NAME says which has the labels");
}

/* Does the first row name the columns? Sets them. Without names it is a heading where its first
 * field neither ends as an image's name, nor is there such a file. */
static cn_status read_heading(table *t, const cn_request *request, bool *heading, cn_error *err)
{
    char path[CN_PATH_ROOM];
    t->columns = cn_csv_find_columns(&t->text);
    t->width = t->text.count;
    const cn_csv_columns c = t->columns;
    bool known = c.image >= 0 && (c.label >= 0 || c.mask >= 0);
    const char *first = t->text.fields[0];
    *heading =
        known || (*first && !cn_is_image_name(first) && !find_image(path, t, request, first));
    t->has_targets = c.image >= 0 && (request->opts->columns[0] ||
                                      (c.label < 0 && c.mask < 0 && t->text.count > 2));
    if (c.runs >= 0 && c.label < 0 && c.mask < 0)
        return cn_fail(
            err, CN_ERR_UNSUPPORTED,
            "%.120s: column %.40s: masks as lengths of runs are not read, but as images: "
            "a column mask with their paths",
            t->path, t->text.fields[c.runs]);
    if (*heading) t->label_name = t->text.fields[c.label >= 0 ? c.label : t->text.count - 1];
    if (known || t->has_targets) {
        *heading = *heading || t->has_targets;
        return CN_OK;
    }
    t->unlabeled = t->beside && (c.image >= 0 ? t->text.count != 2 : t->text.count == 1);
    if (t->unlabeled)
        return cn_remark(request->remarks, err, "passed over %s, which has no labels", t->path);
    if (t->text.count == 2) {
        t->columns = (cn_csv_columns){0, 1, -1, -1, -1};
        return CN_OK;
    }
    if (t->text.other)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: expected path,label, found %s",
                       t->path, t->text.line, t->text.other);
    return expected_labels(t, t->text.count, err);
}

/* The columns of targets, told by the heading and the first row behind it, which is read. */
static cn_status find_targets(table *t, const table *before, const cn_request *request, bool *more,
                              cn_error *err)
{
    const int count = t->text.count, skip[3] = {t->columns.image, t->columns.split, -1};
    const cn_target_columns *like = before && before->has_targets ? &before->targets : NULL;
    char **heading = cn_allocate((size_t)count, sizeof *heading, t->path, err);
    if (!heading) return CN_ERR_MEMORY;
    memcpy(heading, t->text.fields, (size_t)count * sizeof *heading);
    cn_status status = cn_table_next(&t->text, more, err);
    if (status == CN_OK && *more)
        status =
            cn_target_columns_find(&t->targets, &t->text, heading, count, skip, like, request, err);
    cn_release(heading);
    if (status != CN_OK || !*more) return status;
    if (cn_target_columns_are_labels(&t->targets, &t->text, request)) {
        t->columns.label = t->targets.index[0];
        t->label_name = t->targets.names[0];
        t->has_targets = false;
        return CN_OK;
    }
    if (t->targets.count > 0) return status;
    if (!t->beside) return expected_labels(t, count, err);
    t->unlabeled = true;
    return cn_remark(request->remarks, err, "passed over %s, which has no labels", t->path);
}

/* Names the columns that nothing is done with. */
static cn_status say_ignored(const table *t, const cn_request *request, cn_error *err)
{
    const cn_csv_columns c = t->columns;
    return cn_columns_say("passed over", t->text.fields, t->text.count, NULL, 0, false,
                          (const int[]){c.image, c.split, c.mask >= 0 ? c.mask : c.label},
                          request->remarks, err);
}

/* ---- Rows */

static cn_status grow(table *t, cn_error *err)
{
    return cn_array_grow(&t->rows, sizeof *t->rows, t->count, &t->room, t->path, err);
}

/* A row of columns of targets. */
static cn_status add_target_row(table *t, cn_said said, cn_error *err)
{
    const cn_csv_columns c = t->columns;
    if (t->text.count != t->width || !*t->text.fields[c.image])
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: line %d: expected a path and %d fields in all, found %d field%s",
                       t->path, t->text.line, t->width, t->text.count, cn_plural(t->text.count));
    cn_status status = grow(t, err);
    if (status == CN_OK) status = cn_target_columns_add(&t->targets, &t->text, err);
    if (status != CN_OK) return status;
    t->rows[t->count++] = (row){.image = t->text.fields[c.image],
                                .values = t->targets.rows[t->targets.row_count - 1],
                                .line = t->text.line,
                                .part = c.split >= 0 ? (int)said : -1};
    return CN_OK;
}

static cn_status read_split(const table *t, cn_said *said, cn_error *err)
{
    const int split = t->columns.split;
    *said = CN_SAYS_TRAIN;
    if (split >= 0 && split < t->text.count) *said = cn_csv_part(t->text.fields[split]);
    if (*said != CN_SAYS_NOTHING) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: line %d: split \"%.40s\", expected train, test or val", t->path,
                   t->text.line, t->text.fields[split]);
}

static cn_status add_row(table *t, cn_error *err)
{
    cn_said said;
    while (t->text.count > t->width && !*t->text.fields[t->text.count - 1]) t->text.count--;
    cn_status status = read_split(t, &said, err);
    if (status != CN_OK) return status;
    if (t->has_targets) return add_target_row(t, said, err);
    const cn_csv_columns c = t->columns;
    char *const *fields = t->text.fields;
    int most = c.image > c.label ? c.image : c.label;
    if (c.mask > most) most = c.mask;
    if (c.split > most) most = c.split;
    bool fits = t->width == 2 ? t->text.count == 2 : t->text.count > most;
    if (!fits || !*fields[c.image] || (c.mask >= 0 && !*fields[c.mask]))
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: expected path,%s, found %d field%s",
                       t->path, t->text.line, c.mask >= 0 ? "mask" : "label", t->text.count,
                       cn_plural(t->text.count));
    status = grow(t, err);
    if (status != CN_OK) return status;
    t->rows[t->count++] = (row){.image = fields[c.image],
                                .label = c.mask >= 0 ? NULL : fields[c.label],
                                .mask = c.mask >= 0 ? fields[c.mask] : NULL,
                                .line = t->text.line,
                                .part = c.split >= 0 ? (int)said : -1};
    return CN_OK;
}

static cn_status read_table(table *t, const char *path, bool beside, const table *before,
                            const cn_request *request, cn_error *err)
{
    bool more = false, heading = false;
    *t = (table){.path = path, .beside = beside};
    t->neighbor = cn_allocate(CN_PATH_ROOM, 1, path, err);
    cn_status status = t->neighbor ? cn_table_open(&t->text, path, err) : CN_ERR_MEMORY;
    if (status == CN_OK) status = cn_table_next(&t->text, &more, err);
    if (status == CN_OK && more) status = read_heading(t, request, &heading, err);
    if (status == CN_OK && t->has_targets) {
        status = find_targets(t, before, request, &more, err);
    } else if (status == CN_OK && heading) {
        status = say_ignored(t, request, err);
        if (status == CN_OK) status = cn_table_next(&t->text, &more, err);
    }
    while (status == CN_OK && more && !t->unlabeled) {
        status = add_row(t, err);
        if (status == CN_OK) status = cn_table_next(&t->text, &more, err);
    }
    return status;
}

/* ---- Classes */

/* A whole number without a sign that is an int32_t, or -1. "007" is a name, and "7.0" is 7. */
static int32_t to_number(const char *label)
{
    int64_t value = 0;
    if (label[0] == '0' && cn_is_digit(label[1])) return -1;
    for (const char *at = label; *at; at++) {
        if (*at == '.' && at > label && at[1] && !at[1 + strspn(at + 1, "0")]) break;
        if (!cn_is_digit(*at)) return -1;
        value = 10 * value + (*at - '0');
        if (value > INT32_MAX) return -1;
    }
    return label[0] ? (int32_t)value : -1;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The different labels of all parts, in order; the texts stay where they are. */
static cn_status list_names(char ***names, int *count, const cn_text_labels *texts,
                            const char *what, cn_error *err)
{
    size_t all = 0, kept = 0;
    for (int k = 0; k < CN_PARTS; k++) all += (size_t)texts->counts[k];
    char **list = cn_allocate(all, sizeof *list, "labels", err);
    if (!list) return CN_ERR_MEMORY;
    for (int k = 0, n = 0; k < CN_PARTS; k++)
        for (int i = 0; i < texts->counts[k]; i++) list[n++] = texts->texts[k][i];
    qsort(list, all, sizeof *list, compare);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || strcmp(list[i], list[kept - 1]) != 0) list[kept++] = list[i];
    if (kept > MOST_CLASSES) {
        cn_release(list);
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %zu different labels, expected at most %d",
                       what, kept, (int)MOST_CLASSES);
    }
    *names = list;
    *count = (int)kept;
    return CN_OK;
}

cn_status cn_text_labels_number(const cn_text_labels *texts, int32_t *const labels[CN_PARTS],
                                int *classes, char ***names, cn_remarks *remarks, const char *what,
                                cn_error *err)
{
    bool numbers = true;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < texts->counts[part]; i++) {
            labels[part][i] = to_number(texts->texts[part][i]);
            numbers = numbers && labels[part][i] >= 0;
        }
    if (numbers) return cn_labels_number(labels, texts->counts, classes, names, remarks, what, err);
    cn_status status = list_names(names, classes, texts, what, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
        for (int i = 0; i < texts->counts[part]; i++) {
            char **found =
                bsearch(&texts->texts[part][i], *names, (size_t)*classes, sizeof *found, compare);
            labels[part][i] = (int32_t)(found - *names);
        }
    return status;
}

/* ---- The images */

/* Where a file is not there, but may be skipped, reading it will say so. */
static cn_status find_file(char path[CN_PATH_ROOM], const table *t, const row *r, const char *name,
                           const cn_request *request, cn_error *err)
{
    if (find_image(path, t, request, name) && access(path, R_OK) == 0) return CN_OK;
    if (cn_image_may_be_skipped(CN_ERR_IO, request) && cn_path_join(path, t->path, name))
        return CN_OK;
    return cn_fail(err, CN_ERR_IO, "%.100s: line %d: no %s %.100s", t->path, r->line,
                   name == r->mask ? "mask" : "image", name);
}

static cn_status add_image(cn_image_list *list, const table *t, const row *r,
                           const cn_request *request, cn_error *err)
{
    char path[CN_PATH_ROOM], mask[CN_PATH_ROOM];
    cn_status status = find_file(path, t, r, r->image, request, err);
    if (status == CN_OK && r->mask) status = find_file(mask, t, r, r->mask, request, err);
    if (status != CN_OK) return status;
    return r->mask ? cn_image_list_add_mask(list, path, mask, err)
                   : cn_image_list_add(list, path, 0, err);
}

/* The rows of a set, each in its part, and what they say. */
typedef struct gathered {
    const row **rows[CN_PARTS];
    cn_text_labels texts;
    cn_row_targets targets;
} gathered;

static void free_gathered(gathered *g)
{
    for (int part = 0; part < CN_PARTS; part++) {
        cn_release((void *)g->rows[part]);
        cn_release(g->texts.texts[part]);
    }
    cn_row_targets_free(&g->targets);
}

/* The rows of all tables, each in its part. */
static cn_status add_images(cn_image_set *set, gathered *g, const table tables[CN_PARTS],
                            const cn_request *request, cn_error *err)
{
    size_t all = 1, added = 0;
    cn_text_labels *texts = &g->texts;
    cn_status status = CN_OK;
    bool numbers = false;
    for (int k = 0; k < CN_PARTS; k++) all += (size_t)tables[k].count;
    for (int k = 0; status == CN_OK && k < CN_PARTS; k++) {
        texts->texts[k] = cn_allocate(all, sizeof *texts->texts[k], "labels", err);
        if (texts->texts[k]) g->rows[k] = cn_allocate(all, sizeof *g->rows[k], "labels", err);
        if (!g->rows[k]) status = CN_ERR_MEMORY;
    }
    for (int k = 0; k < CN_PARTS; k++)
        for (int i = 0; status == CN_OK && i < tables[k].count; i++) {
            const row *r = &tables[k].rows[i];
            int part = r->part >= 0 ? r->part : k;
            if ((set->masked != (r->mask != NULL) || numbers != (r->values != NULL)) && added > 0)
                return cn_fail(err, CN_ERR_FORMAT, "%.120s: %s here, but %s in another part",
                               tables[k].path,
                               r->mask     ? "masks"
                               : r->values ? "columns of numbers"
                                           : "labels",
                               set->masked ? "masks"
                               : numbers   ? "columns of numbers"
                                           : "labels");
            set->masked = r->mask;
            numbers = r->values;
            added++;
            g->rows[part][texts->counts[part]] = r;
            texts->texts[part][texts->counts[part]++] = r->label;
            status = add_image(&set->parts[part], &tables[k], r, request, err);
        }
    for (int k = 0; k < CN_PARTS; k++)
        if (status == CN_OK && tables[k].count > 0 && *tables[k].neighbor)
            status = cn_remark(request->remarks, err, "images of %s lie in folders beside it: %s",
                               tables[k].path, tables[k].neighbor);
    return status;
}

/* Several labels per image, or numbers: all rows as one list, in the order of the parts. */
static cn_status find_row_targets(gathered *g, const table tables[CN_PARTS],
                                  const cn_request *request, const char *what, cn_error *err)
{
    int n = 0, k = 0, missing = 0; /* "nan" and the like, unless the labels are said to be names */
    const bool told =
        request->opts->given & CN_OPTION_TASK && request->opts->task != CN_TASK_MULTI_LABEL;
    for (int part = 0; part < CN_PARTS; part++) n += g->texts.counts[part];
    while (k < CN_PARTS - 1 && tables[k].count == 0) k++;
    const table *first = &tables[k];
    int *lines = cn_allocate((size_t)n, sizeof *lines, what, err);
    char **labels = lines ? cn_allocate((size_t)n, sizeof *labels, what, err) : NULL;
    char *const **values = labels ? cn_allocate((size_t)n, sizeof *values, what, err) : NULL;
    cn_status status = values ? CN_OK : CN_ERR_MEMORY;
    for (int part = 0, at = 0; status == CN_OK && part < CN_PARTS; part++)
        for (int i = 0; i < g->texts.counts[part]; i++, at++) {
            lines[at] = g->rows[part][i]->line;
            labels[at] = g->rows[part][i]->label;
            if (!told && labels[at] && *labels[at] && cn_csv_is_missing(labels[at])) {
                labels[at] += strlen(labels[at]);
                missing++;
            }
            values[at] = g->rows[part][i]->values;
        }
    if (status == CN_OK && first->has_targets)
        status = cn_row_targets_of_columns(&g->targets, &first->targets, values, lines, n,
                                           first->text.separator, request, what, err);
    else if (status == CN_OK)
        status = cn_row_targets_of_labels(&g->targets, labels, lines, n,
                                          first->label_name ? first->label_name : "0",
                                          first->text.separator, request, what, err);
    if (status == CN_OK && missing && g->targets.task == CN_TASK_MULTI_LABEL)
        status = cn_remark(request->remarks, err,
                           "labels such as nan and NA are taken for none: %d", missing);
    /* A label that is missing is no label, which is a class of its own nowhere. */
    for (int i = 0; status == CN_OK && !g->targets.values && i < n; i++)
        if (!*labels[i])
            status =
                cn_fail(err, CN_ERR_FORMAT,
                        "%.120s: line %d: expected path,label, found no label%s", what, lines[i],
                        missing ? " (nan, NA, None and the like stand for none; "
                                  "task=classification makes a class of them)"
                                : "");
    cn_release(lines);
    cn_release(labels);
    cn_release((void *)values);
    return status;
}

/* A column of tags, or with numbers side by side, may have several labels in each row, which nothing but task=
 * tells for sure. */
static cn_status say_whole_labels(const table *t, char *const *labels, int count,
                                  const cn_request *request, cn_error *err)
{
    char plain[40];
    const char *name = t->label_name ? t->label_name : "";
    bool several = cn_same_letters(name, "tags") || cn_same_letters(name, "labels");
    if (request->opts->given & CN_OPTION_TASK) return CN_OK;
    for (int i = 0; i < count; i++) {
        const char *label = labels[i];
        if (!strpbrk(label, " ,;") || !(several || !label[strspn(label, "0123456789 ,;")]))
            continue;
        return cn_remark(request->remarks, err,
                         "labels are taken whole, as \"%s\"; task=multi-label parts them",
                         cn_plain_text(label, plain, sizeof plain));
    }
    return CN_OK;
}

/* What the images of the set show. */
static cn_status find_truth(cn_image_set *set, gathered *g, const table tables[CN_PARTS],
                            const cn_request *request, const char *what, cn_error *err)
{
    int32_t *labels[CN_PARTS], at = 0;
    if (set->masked) return CN_OK;
    cn_status status = find_row_targets(g, tables, request, what, err);
    for (int part = 0; part < CN_PARTS; part++) labels[part] = set->parts[part].labels;
    if (status != CN_OK) return status;
    if (!g->targets.values)
        status = say_whole_labels(&tables[0], g->texts.texts[0], g->texts.counts[0], request, err);
    if (status != CN_OK) return status;
    if (!g->targets.values)
        return cn_text_labels_number(&g->texts, labels, &set->classes, &set->class_names,
                                     request->remarks, what, err);
    const cn_row_targets *t = &g->targets;
    bool one_hot = t->task == CN_TASK_CLASSIFICATION;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < g->texts.counts[part]; i++, at++) {
            const float *values = t->values + (size_t)at * (size_t)t->count;
            labels[part][i] = at;
            if (!one_hot) continue;
            for (labels[part][i] = 0; *values != 1; values++) labels[part][i]++;
        }
    if (!one_hot) set->targets = t->values;
    set->task = t->task;
    set->classes = t->count;
    return CN_OK;
}

static bool detects(const char *dir)
{
    char path[CN_PATH_ROOM];
    return cn_csv_find_table(path, dir);
}

/* The table, and those beside it that are its other parts. */
static cn_status read_tables(table tables[CN_PARTS], char paths[CN_PARTS][CN_PATH_ROOM],
                             const char *path, const cn_request *request, cn_error *err)
{
    int count = 0;
    const table *before = NULL; /* the first that was read */
    cn_status status = CN_OK;
    cn_csv_find_parts(paths, path);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        bool beside = strcmp(paths[part], path) != 0;
        if (paths[part][0])
            status = read_table(&tables[part], paths[part], beside, before, request, err);
        if (!before && tables[part].count > 0) before = &tables[part];
        count += tables[part].count;
    }
    if (status == CN_OK && count == 0)
        status =
            cn_fail(err, CN_ERR_FORMAT, "%.120s: expected lines of path,label, found none", path);
    return status;
}

static cn_status load_images(cn_dataset **data, const char *path, const cn_request *request,
                             cn_error *err)
{
    char(*others)[CN_PATH_ROOM] = cn_allocate(CN_PARTS, sizeof *others, path, err);
    cn_image_set set = {.classes = 0};
    gathered g = {.rows = {NULL}};
    table tables[CN_PARTS] = {{.path = NULL}};
    if (!others) return CN_ERR_MEMORY;
    cn_status status = read_tables(tables, others, path, request, err);
    if (status == CN_OK) status = add_images(&set, &g, tables, request, err);
    if (status == CN_OK) status = find_truth(&set, &g, tables, request, path, err);
    if (status == CN_OK) status = cn_images_find_repeated(&set, request, err);
    char **own = set.class_names;
    if (g.targets.values) set.class_names = (char **)(uintptr_t)g.targets.names;
    if (status == CN_OK) status = cn_images_load(data, &set, request, path, err);
    cn_image_set_free(&set);
    cn_release(own);
    free_gathered(&g);
    for (int part = 0; part < CN_PARTS; part++) free_table(&tables[part]);
    cn_release(others);
    return status;
}

static cn_status load(cn_dataset **data, const char *given, const cn_request *request,
                      cn_error *err)
{
    char path[CN_PATH_ROOM];
    if (!cn_csv_find_table(path, given))
        return cn_fail(err, CN_ERR_IO, "%.120s: expected train.csv or labels.csv, found none",
                       given);
    bool told = (request->opts->given & CN_OPTION_TASK) || request->opts->columns[0];
    if (!told && cn_csv_is_of_pixels(path)) return cn_csv_load_pixels(data, path, request, err);
    return load_images(data, path, request, err);
}

const cn_reader cn_reader_csv = {
    .name = "csv",
    .usage = "csv:PATH",
    .endings = {".csv", ".tsv", ".txt", ".jsonl"},
    .detects = detects,
    .takes =
        CN_OPTIONS_OF_MASKS | CN_OPTION_ROOT | CN_OPTION_RANGE | CN_OPTION_TASK | CN_OPTION_COLUMNS,
    .load = load,
};

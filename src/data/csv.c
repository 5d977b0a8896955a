/*
 * csv.c - a table of images and their labels (RFC 4180):
 *
 *   path,label                 a first line whose path is no image's is a heading
 *   photos/0001.png,cat        paths are relative to the table's folder
 *   "photos/a,b.jpg",dog       labels are names, or numbers from 0 on if all of them are
 *
 * Blanks around a field are no part of it.
 * Names become classes in the order of their bytes. A table whose name says train has its test set
 * in the one that says test, and its validation set in the one that says val or valid.
 */
#include "base/signature.h"
#include "data/images.h"
#include "data/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lines of paths and labels are not larger. */
enum { MOST_BYTES = 256 << 20, MOST_CLASSES = 65536 };

/* A table in memory. Fields are cut out of `text` where they stand. */
typedef struct table {
    const char *path;
    char *text;
    int count, room;
    char **images, **labels;
    int *lines; /* where each stands, from 1 on */
} table;

static void free_table(table *t)
{
    cn_release(t->text);
    cn_release(t->images);
    cn_release(t->labels);
    cn_release(t->lines);
    *t = (table){.path = NULL};
}

/* ---- Reading */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts a field out, undoing quotes and leaving blanks around it out, and steps behind the comma or
 * the end of the line, which is given back (0 at the end). Lines end in LF, CR LF or CR. NULL for a
 * quote that is not closed, or text behind one. */
static char *take_field(char **at, char *ending)
{
    char *from = *at + strspn(*at, " \t"), *field = from, *to = from;
    if (*from == '"') {
        for (from++; *from && !(from[0] == '"' && from[1] != '"'); from++) {
            if (*from == '"') from++;
            *to++ = *from;
        }
        if (*from++ != '"') return NULL;
        from += strspn(from, " \t");
    } else {
        while (*from && *from != ',' && *from != '\n' && *from != '\r') *to++ = *from++;
    }
    while (to > field && (is_blank(to[-1]) || to[-1] == '\r' || to[-1] == '\n')) to--;
    size_t returns = strspn(from, "\r");
    from += returns;
    *ending = returns && *from != '\n' && *from ? '\n' : *from;
    if (returns == 0 && *from && *from != ',' && *from != '\n') return NULL;
    *at = *from && (returns == 0 || *from == '\n') ? from + 1 : from;
    *to = 0;
    return field + (field < to ? strspn(field, " \t\r\n") : 0);
}

static cn_status grow(table *t, cn_error *err)
{
    size_t room = t->room ? 2 * (size_t)t->room : 64, used = (size_t)t->count;
    char **images = cn_allocate(room, sizeof *images, t->path, err);
    char **labels = cn_allocate(room, sizeof *labels, t->path, err);
    int *lines = cn_allocate(room, sizeof *lines, t->path, err);
    if (!images || !labels || !lines) {
        cn_release(images);
        cn_release(labels);
        cn_release(lines);
        return CN_ERR_MEMORY;
    }
    if (used) {
        memcpy(images, t->images, used * sizeof *images);
        memcpy(labels, t->labels, used * sizeof *labels);
        memcpy(lines, t->lines, used * sizeof *lines);
    }
    cn_release(t->images);
    cn_release(t->labels);
    cn_release(t->lines);
    t->images = images;
    t->labels = labels;
    t->lines = lines;
    t->room = (int)room;
    return CN_OK;
}

/* Where a path of the table leads; false where that has no room. */
static bool find_image(char path[CN_PATH_ROOM], const table *t, const char *image)
{
    const char *slash = strrchr(t->path, '/');
    int folder = slash && image[0] != '/' ? (int)(slash - t->path + 1) : 0;
    return snprintf(path, CN_PATH_ROOM, "%.*s%s", folder, t->path, image) < CN_PATH_ROOM;
}

/* Its first field neither ends as an image's name, nor is there such a file. */
static bool is_heading(const table *t, const char *image)
{
    char path[CN_PATH_ROOM];
    return !cn_is_image_name(image) && !(find_image(path, t, image) && access(path, F_OK) == 0);
}

static cn_status read_lines(table *t, cn_error *err)
{
    char *at = t->text;
    const cn_signature *other = cn_signature_find((const uint8_t *)at, strlen(at));
    if (strncmp(at, "\xef\xbb\xbf", 3) == 0) at += 3; /* what some editors begin UTF-8 with */
    for (int line = 1; *at; line++) {
        char ending = 0;
        size_t blank = strspn(at, " \t\r"); /* an empty line */
        if (at[blank] == '\n' || !at[blank]) {
            at += blank + (at[blank] == '\n');
            continue;
        }
        char *image = take_field(&at, &ending);
        char *label = image && ending == ',' ? take_field(&at, &ending) : NULL;
        if (!label || ending == ',' || !*image || !*label)
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: expected path,label%s%s", t->path,
                           line, other ? ", found " : "", other ? other->name : "");
        if (line == 1 && is_heading(t, image)) continue;
        cn_status status = t->count == t->room ? grow(t, err) : CN_OK;
        if (status != CN_OK) return status;
        t->images[t->count] = image;
        t->labels[t->count] = label;
        t->lines[t->count++] = line;
    }
    return CN_OK;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    return !memchr(bytes, 0, size);
}

static cn_status read_table(table *t, const char *path, cn_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    *t = (table){.path = path};
    cn_status status = cn_file_read(path, MOST_BYTES, is_text, &bytes, &size, err);
    if (status != CN_OK) return status;
    if (!is_text(bytes, size)) {
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: expected text, found a byte of 0", path);
        cn_release(bytes);
        return status;
    }
    t->text = (char *)bytes; /* cn_allocate leaves zeros behind it */
    return read_lines(t, err);
}

/* ---- Classes */

/* A whole number without a sign that is an int32_t, or -1. */
static int32_t to_number(const char *label)
{
    int64_t value = 0;
    for (const char *at = label; *at; at++) {
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

/* The different labels of all tables, in order; the texts stay the tables'. */
static cn_status list_names(char ***names, int *count, const table tables[CN_PARTS], cn_error *err)
{
    size_t all = 0, kept = 0;
    for (int k = 0; k < CN_PARTS; k++) all += (size_t)tables[k].count;
    char **list = cn_allocate(all, sizeof *list, "labels", err);
    if (!list) return CN_ERR_MEMORY;
    for (int k = 0, n = 0; k < CN_PARTS; k++)
        for (int i = 0; i < tables[k].count; i++) list[n++] = tables[k].labels[i];
    qsort(list, all, sizeof *list, compare);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || strcmp(list[i], list[kept - 1]) != 0) list[kept++] = list[i];
    if (kept > MOST_CLASSES) {
        cn_release(list);
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: %zu different labels, expected at most %d",
                       tables[0].path ? tables[0].path : "a table", kept, (int)MOST_CLASSES);
    }
    *names = list;
    *count = (int)kept;
    return CN_OK;
}

static bool are_numbers(const table tables[CN_PARTS])
{
    for (int k = 0; k < CN_PARTS; k++)
        for (int i = 0; i < tables[k].count; i++)
            if (to_number(tables[k].labels[i]) < 0) return false;
    return true;
}

/* Sets classes and class_names, and the labels of what the tables list. */
static cn_status find_classes(cn_image_set *set, const table tables[CN_PARTS], cn_remarks *remarks,
                              const char *what, cn_error *err)
{
    int32_t *labels[CN_PARTS];
    int counts[CN_PARTS];
    for (int part = 0; part < CN_PARTS; part++) {
        labels[part] = set->parts[part].labels;
        counts[part] = set->parts[part].count;
        for (int i = 0; i < counts[part]; i++) labels[part][i] = to_number(tables[part].labels[i]);
    }
    if (are_numbers(tables))
        return cn_labels_number(labels, counts, &set->classes, &set->class_names, remarks, what,
                                err);
    cn_status status = list_names(&set->class_names, &set->classes, tables, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
        for (int i = 0; i < counts[part]; i++) {
            char **found = bsearch(&tables[part].labels[i], set->class_names, (size_t)set->classes,
                                   sizeof *found, compare);
            labels[part][i] = (int32_t)(found - set->class_names);
        }
    return status;
}

/* ---- The images */

static cn_status add_images(cn_image_list *list, const table *t, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_status status = CN_OK;
    for (int i = 0; status == CN_OK && i < t->count; i++) {
        const char *image = t->images[i];
        if (!find_image(path, t, image) || access(path, R_OK) != 0)
            status = cn_fail(err, CN_ERR_IO, "%.100s: line %d: no image %.100s", t->path,
                             t->lines[i], image);
        else
            status = cn_image_list_add(list, path, 0, err);
    }
    return status;
}

/* In a folder train.csv or labels.csv; a file as it is. */
static bool find_table(char path[CN_PATH_ROOM], const char *given)
{
    static const char *const names[] = {"train.csv", "Train.csv", "labels.csv"};
    struct stat about;
    if (stat(given, &about) != 0 || !S_ISDIR(about.st_mode))
        return snprintf(path, CN_PATH_ROOM, "%s", given) < CN_PATH_ROOM;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cn_path_join(path, given, names[i]) && access(path, F_OK) == 0) return true;
    return false;
}

static bool detects(const char *dir)
{
    char path[CN_PATH_ROOM];
    return find_table(path, dir);
}

/* The table, and those beside it that are its other parts. */
static cn_status read_tables(table tables[CN_PARTS], char paths[CN_PARTS][CN_PATH_ROOM],
                             const char *path, cn_error *err)
{
    int count = 0;
    cn_said mine = cn_path_says(path);
    if (mine == CN_SAYS_NOTHING) mine = CN_SAYS_TRAIN;
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        if (part == (int)mine)
            status = read_table(&tables[part], path, err);
        else if (cn_path_sibling(paths[part], path, (cn_said)part))
            status = read_table(&tables[part], paths[part], err);
        count += tables[part].count;
    }
    if (status == CN_OK && count == 0)
        status =
            cn_fail(err, CN_ERR_FORMAT, "%.120s: expected lines of path,label, found none", path);
    return status;
}

static cn_status load(cn_dataset **data, const char *given, const cn_request *request,
                      cn_error *err)
{
    char path[CN_PATH_ROOM], others[CN_PARTS][CN_PATH_ROOM];
    cn_image_set set = {.classes = 0};
    table tables[CN_PARTS] = {{.path = NULL}};
    cn_status status = CN_OK;
    if (!find_table(path, given))
        status =
            cn_fail(err, CN_ERR_IO, "%.120s: expected train.csv or labels.csv, found none", given);
    if (status == CN_OK) status = read_tables(tables, others, path, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
        if (tables[part].path) status = add_images(&set.parts[part], &tables[part], err);
    if (status == CN_OK) status = find_classes(&set, tables, request->remarks, path, err);
    if (status == CN_OK) status = cn_images_load(data, &set, request, path, err);
    cn_image_set_free(&set);
    cn_release(set.class_names);
    for (int part = 0; part < CN_PARTS; part++) free_table(&tables[part]);
    return status;
}

const cn_reader cn_reader_csv = {
    .name = "csv",
    .usage = "csv:PATH",
    .endings = {".csv"},
    .detects = detects,
    .takes = CN_OPTIONS_OF_FILES,
    .load = load,
};

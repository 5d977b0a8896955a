/* arrays.c - finds images and labels among the arrays of a file, and of the file beside it. */
#include "data/array_pair.h"
#include "data/csv.h"
#include "data/labels.h"
#include "data/paths.h"

#include <stdio.h>
#include <string.h>

/* ---- Which array is what */

/* The arrays that make up a split; file NULL where there is none. */
typedef struct place {
    const cn_array_file *file;
    int images, labels;
    bool masked; /* the labels are masks */
} place;

/* n elements along one axis, whatever other axes of one there are. */
static bool is_list(const cn_array_about *a, int n)
{
    for (int k = 0; k < a->rank; k++) {
        if (a->shape[k] != 1 && a->shape[k] != n) return false;
        if (a->shape[k] == n) n = 1;
    }
    return n == 1 && strcmp(a->name, "list_classes") != 0;
}

/* Images of one element each are looked for where there are no others: labels may be (n, 1, 1, 1). */
typedef enum role { IMAGES, DOTS, LABELS, ONE_HOT, NAMES } role;

static bool plays(const cn_array_about *a, role r, int n)
{
    bool text = a->element == CN_ELEMENT_TEXT;
    switch (r) {
    case IMAGES: return a->rank >= 3 && !text && !is_list(a, a->shape[0]);
    case DOTS: return a->rank >= 3 && !text;
    case LABELS: return is_list(a, n) && !text;
    case ONE_HOT: return cn_arrays_one_hot(a, n) > 0;
    case NAMES: return is_list(a, n) && text;
    }
    return false;
}

/* Is array i of this part? */
static bool is_of(const cn_array_file *file, int i, cn_said part)
{
    cn_said mine = cn_name_says(file->abouts[i].name);
    return (mine == CN_SAYS_NOTHING ? cn_path_says(file->path) : mine) == part;
}

/* The array of images of which each is a row of values: the one with the longest rows that make an
 * image, as one-hot labels make shorter ones; -1 for none. */
static int find_rows(const cn_array_file *file, cn_said wanted, const cn_request *request)
{
    int found = -1, shape[4];
    for (int i = 0; i < file->count; i++) {
        const cn_array_about *a = &file->abouts[i];
        bool rows = a->rank == 2 && a->element != CN_ELEMENT_TEXT && a->shape[1] >= 4;
        if (!rows || !is_of(file, i, wanted) || !cn_shape_of_row(shape, a->shape[1], request))
            continue;
        if (found < 0 || a->shape[1] > file->abouts[found].shape[1]) found = i;
    }
    return found;
}

/* The one array of a part that is made of images or of the labels of n, but for array `but`; -1 for
 * none, -2 and an error for more than one. */
static int find_array(const cn_array_file *file, cn_said wanted, role r, int n, int but,
                      cn_error *err)
{
    int found = -1;
    for (int i = 0; i < file->count; i++) {
        const cn_array_about *a = &file->abouts[i];
        if (i == but || !is_of(file, i, wanted) || !plays(a, r, n)) continue;
        if (found >= 0) {
            cn_fail(err, CN_ERR_FORMAT, "%.100s: %s: expected one array, found %.40s and %.40s",
                    file->path, r < LABELS ? "images" : "labels", file->abouts[found].name,
                    a->name);
            return -2;
        }
        found = i;
    }
    return found;
}

/* "x (200, 8, 8) u1, y (199) i8", of as many arrays as have room, but for array `but`. */
enum { LIST = 96 };
static const char *list_arrays(const cn_array_file *file, int but, char list[LIST])
{
    char shape[CN_SHAPE_TEXT];
    list[0] = 0;
    for (int i = 0; i < file->count && strlen(list) < 60; i++) {
        const cn_array_about *a = &file->abouts[i];
        size_t used = strlen(list);
        if (i != but)
            snprintf(list + used, LIST - used, "%s%.32s %s %s", used ? ", " : "", a->name,
                     cn_shape_text(a->rank, a->shape, shape), cn_element_name(a->element));
    }
    return list;
}

/* ", and 2 of other kinds (names: strings)", or nothing. */
enum { OTHERS = 208 };
static const char *list_others(const cn_array_file *file, char others[OTHERS])
{
    others[0] = 0;
    if (file->passed_over)
        snprintf(others, OTHERS, ", and %d of other kinds (%s)", file->passed_over, file->passed);
    return others;
}

/* The array of masks of a part, and the images that they belong to; -1 for none. */
static int find_masks(const cn_array_file *file, cn_said wanted, int *images)
{
    for (int i = 0; i < file->count; i++)
        for (int k = 0; is_of(file, i, wanted) && k < file->count; k++)
            if (k != i && is_of(file, k, wanted) &&
                cn_arrays_are_masks(&file->abouts[i], &file->abouts[k])) {
                *images = k;
                return i;
            }
    return -1;
}

static cn_status find_place(place *p, const cn_array_file *file, cn_said wanted,
                            const cn_request *request, cn_error *err)
{
    char list[LIST], others[OTHERS], shape[CN_SHAPE_TEXT];
    int images = -1, labels = find_masks(file, wanted, &images);
    if (labels >= 0) {
        *p = (place){file, images, labels, true};
        return CN_OK;
    }
    images = find_array(file, wanted, IMAGES, 0, -1, err);
    if (images == -1) images = find_array(file, wanted, DOTS, 0, -1, err);
    if (images == -1) images = find_rows(file, wanted, request);
    if (images == -1) return CN_OK;
    if (images == -2) return CN_ERR_FORMAT;
    const cn_array_about *a = &file->abouts[images];
    for (role r = LABELS; labels == -1 && r <= NAMES; r++)
        labels = find_array(file, wanted, r, a->shape[0], images, err);
    if (labels == -2) return CN_ERR_FORMAT;
    if (labels == -1) {
        list_arrays(file, images, list);
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.50s: %.32s is %s: expected labels (%d), or one-hot (%d, classes), found "
                       "%s%s",
                       file->path, a->name, cn_shape_text(a->rank, a->shape, shape), a->shape[0],
                       a->shape[0], list[0] ? list : "none", list_others(file, others));
    }
    *p = (place){file, images, labels, false};
    return CN_OK;
}

static cn_status nothing_found(const cn_array_file *file, cn_error *err)
{
    char list[LIST], others[OTHERS];
    list_arrays(file, -1, list);
    return cn_fail(
        err, CN_ERR_FORMAT,
        "%.60s: expected images (n, rows, columns[, channels]), or (n, values), to train on, "
        "found %s%s",
        file->path, list[0] ? list : "no arrays", list_others(file, others));
}

/* ---- Reading */

/* The images, channels last, and the range of their values. */
static cn_status read_images(cn_dataset_parts *parts, const place *p, const cn_request *request,
                             cn_error *err)
{
    const cn_array_about *about = &p->file->abouts[p->images];
    if (about->rank > 2 && request->opts->given & CN_OPTION_SIZE)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%.120s: size= is for images that are rows of values: %s has rank %d",
                       p->file->path, about->name, about->rank);
    const char *path = p->file->path;
    bool any = request->opts->given & CN_OPTION_RANGE, found = false, first;
    cn_array array = {.data = NULL};
    cn_status status = cn_arrays_stored(parts, p->file, p->images, p->masked, request, &found, err);
    if (status != CN_OK || found) return status;
    status = p->file->read(p->file, p->images, &array, err);
    if (status == CN_OK) status = cn_arrays_images(&parts->images, &array, any, path, err);
    if (status == CN_OK && array.about.rank == 2)
        status = cn_settle_rows(&parts->images, &first, request, path, err);
    if (status == CN_OK && array.about.rank == 4)
        status = cn_settle_layout(&parts->images, &first, request, path, err);
    if (status == CN_OK) status = cn_find_range(parts, request, path, err);
    if (status == CN_OK && !cn_element_is_float(array.about.element)) cn_arrays_scale(parts);
    cn_release(array.data);
    return status;
}

/* The labels of all parts, and the classes that they make together. */
typedef struct classes {
    cn_tensor labels[CN_PARTS];
    cn_array arrays[CN_PARTS]; /* of names, which stay here */
    cn_text_labels texts;
    bool masked, targeted;
    cn_mask_table table;         /* of masks, which have no labels */
    cn_tensor targets[CN_PARTS]; /* of those that are no classes */
    cn_task_kind task;           /* with these */
    int count;
    char *
        *names; /* of numbers that are no classes by themselves; NULL: the file's, if it has any */
} classes;

static void free_classes(classes *c)
{
    for (int part = 0; part < CN_PARTS; part++) {
        cn_tensor_free(&c->labels[part]);
        cn_tensor_free(&c->targets[part]);
        cn_release(c->texts.texts[part]);
        cn_release(c->arrays[part].data);
    }
    cn_release(c->names);
    cn_release(c->table.names);
}

/* Labels that are not what task= says they are. */
static cn_status unfit(const cn_request *request, const char *path, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: labels that do not fit task=, which wants %s", path,
                   request->opts->task == CN_TASK_CLASSIFICATION
                       ? "whole numbers from 0 on or a single 1 per row"
                       : "0 and 1");
}

/* The arrays of labels, and whether they are targets: those of any part, or as task= says. */
static cn_status read_arrays(classes *c, const place places[CN_PARTS], const cn_request *request,
                             cn_error *err)
{
    const bool told = request->opts->given & CN_OPTION_TASK;
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        const place *p = &places[part];
        cn_array *array = &c->arrays[part];
        if (!p->file) continue;
        status = p->file->read(p->file, p->labels, array, err);
        if (status == CN_OK && array->about.element != CN_ELEMENT_TEXT)
            c->targeted = c->targeted || cn_arrays_are_targets(array);
        if (status == CN_OK && told && c->targeted && request->opts->task == CN_TASK_CLASSIFICATION)
            status = unfit(request, p->file->path, err);
    }
    if (told) c->targeted = request->opts->task != CN_TASK_CLASSIFICATION;
    return status;
}

static cn_status mixed(const place *p, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: labels that are names here, expected numbers as in another part or for "
                   "task=",
                   p->file->path);
}

/* Labels that are no classes: several 0 and 1 per image, or numbers. */
static cn_status read_targets(classes *c, const place places[CN_PARTS], const cn_request *request,
                              cn_error *err)
{
    const bool told = request->opts->given & CN_OPTION_TASK;
    bool binary = !told || request->opts->task != CN_TASK_REGRESSION;
    for (int part = 0; part < CN_PARTS; part++) {
        const place *p = &places[part];
        cn_tensor *t = &c->targets[part];
        if (!p->file) continue;
        if (c->arrays[part].about.element == CN_ELEMENT_TEXT) return mixed(p, err);
        cn_status status = cn_arrays_targets(t, &c->arrays[part], &binary, err);
        if (status != CN_OK) return status;
        if (c->count && c->count != t->shape[1])
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: %d labels per image, in another part %d",
                           p->file->path, t->shape[1], c->count);
        c->count = t->shape[1];
        if (told && !binary && request->opts->task == CN_TASK_MULTI_LABEL)
            return unfit(request, p->file->path, err);
    }
    c->task = binary ? CN_TASK_MULTI_LABEL : CN_TASK_REGRESSION;
    if (told) return CN_OK;
    return cn_remark(request->remarks, err, "the labels are no classes, but %s",
                     binary ? "any number of 0 and 1 per image" : "numbers to learn");
}

/* The labels of a part as numbers, or as texts with zeros for their numbers. */
static cn_status read_labels(classes *c, int part, const place *p, cn_error *err)
{
    cn_array *array = &c->arrays[part];
    const char *path = p->file->path;
    cn_status status;
    if (array->about.element == CN_ELEMENT_TEXT) {
        int count = p->file->abouts[p->images].shape[0];
        status = cn_arrays_names(&c->texts.texts[part], array, path, err);
        if (status != CN_OK) return status;
        c->texts.counts[part] = count;
        return cn_tensor_create(&c->labels[part], CN_DTYPE_I32, 1, &count, err);
    }
    status = cn_arrays_labels(&c->labels[part], array, path, err);
    cn_release(array->data);
    array->data = NULL;
    return status;
}

static cn_status read_classes(classes *c, const place places[CN_PARTS], const cn_request *request,
                              cn_error *err)
{
    cn_remarks *remarks = request->remarks;
    int32_t *labels[CN_PARTS] = {NULL};
    int counts[CN_PARTS] = {0}, named = 0, numbered = 0;
    const place *first = NULL;
    cn_status status = read_arrays(c, places, request, err);
    if (status == CN_OK && c->targeted) return read_targets(c, places, request, err);
    for (int part = 0; part < CN_PARTS; part++) {
        const place *p = &places[part];
        if (!p->file) continue;
        if (status == CN_OK) status = read_labels(c, part, p, err);
        if (status != CN_OK) return status;
        labels[part] = c->labels[part].data;
        counts[part] = c->labels[part].shape[0];
        named += c->texts.counts[part] > 0;
        numbered += c->texts.counts[part] == 0;
        if (!first) first = p;
        /* The classes that the file names, and the columns of one-hot labels, are all there are. */
        int told = p->file->classes ? p->file->classes
                                    : cn_arrays_one_hot(&p->file->abouts[p->labels],
                                                        p->file->abouts[p->images].shape[0]);
        if (told > c->count) c->count = told;
    }
    if (named && numbered) return mixed(first, err);
    if (named) {
        c->count = 0; /* the labels are the names */
        return cn_text_labels_number(&c->texts, labels, &c->count, &c->names, remarks,
                                     first->file->path, err);
    }
    return c->count ? CN_OK
                    : cn_labels_number(labels, counts, &c->count, &c->names, remarks,
                                       first->file->path, err);
}

/* What the values of all parts' masks stand for. */
static cn_status read_mask_classes(classes *c, const place places[CN_PARTS],
                                   const cn_request *request, cn_error *err)
{
    bool present[256] = {false};
    const char *path = NULL;
    int named = 0;
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        const place *p = &places[part];
        if (!p->file) continue;
        if (!path) path = p->file->path;
        if (!p->masked)
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: masks in one part, and labels in another",
                           path);
        if (p->file->class_names && p->file->classes > named) named = p->file->classes;
        status = cn_arrays_look_at_masks(present, p->file, p->labels, err);
    }
    if (status == CN_OK) status = cn_mask_table_make(&c->table, present, named, request, path, err);
    c->count = c->table.classes;
    return status;
}

static cn_status find_classes(classes *c, const place places[CN_PARTS], const cn_request *request,
                              cn_error *err)
{
    const place *any = NULL;
    for (int part = 0; part < CN_PARTS; part++) {
        if (places[part].file) any = &places[part];
        c->masked = c->masked || places[part].masked;
    }
    if (any && request->opts->given & (c->masked ? CN_OPTION_TASK : CN_OPTION_IGNORE))
        return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: %s", any->file->path,
                       c->masked ? "task= is for labels, found masks"
                                 : "ignore= is for masks, found labels");
    return c->masked ? read_mask_classes(c, places, request, err)
                     : read_classes(c, places, request, err);
}

/* The set at places[part], which takes its labels over. */
static cn_status read_set(cn_dataset **data, const place *p, classes *c, int part,
                          const cn_request *request, cn_error *err)
{
    char **names = c->names ? c->names : c->table.names ? c->table.names : p->file->class_names;
    cn_dataset_parts parts = {.classes = c->count,
                              .labels = c->labels[part],
                              .targets = c->targets[part],
                              .task = c->task,
                              .class_names = (const char *const *)(c->targeted ? NULL : names)};
    c->labels[part] = c->targets[part] = (cn_tensor){0};
    cn_status status = read_images(&parts, p, request, err);
    if (status == CN_OK && c->masked)
        status = cn_arrays_masks(&parts, p->file, p->labels, &c->table, request, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, p->file->path, err);
    cn_dataset_parts_free(&parts);
    return status;
}

/* Says how many arrays of a file are neither images nor labels. */
static cn_status say_unused(const place places[CN_PARTS], const cn_array_file *file,
                            cn_remarks *remarks, cn_error *err)
{
    const char *first = NULL;
    int count = 0;
    for (int i = 0; i < file->count; i++) {
        const char *name = file->abouts[i].name;
        bool used = strcmp(name, "list_classes") == 0;
        for (int part = 0; part < CN_PARTS; part++)
            used = used || (places[part].file == file &&
                            (places[part].images == i || places[part].labels == i));
        if (used) continue;
        if (count++ == 0) first = name;
    }
    if (count == 0) return CN_OK;
    return cn_remark(remarks, err, "passed over %d array%s of %s: the first is %.40s", count,
                     cn_plural(count), file->path, first);
}

/* Where the parts lie, in a file and those beside it. A file whose arrays say nothing is one to
 * train on, unless the split would be content with any. */
static cn_status find_places(place places[CN_PARTS], const cn_array_file *files, int count,
                             const cn_request *request, cn_error *err)
{
    bool any = false;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < count && !places[part].file; i++) {
            cn_status status = find_place(&places[part], &files[i], (cn_said)part, request, err);
            if (status != CN_OK) return status;
            any = any || places[part].file;
        }
    cn_status status = CN_OK;
    if (!places[CN_SUBSET_TRAIN].file)
        status = find_place(&places[CN_SUBSET_TRAIN], &files[0], CN_SAYS_NOTHING, request, err);
    if (status == CN_OK && !places[CN_SUBSET_TRAIN].file &&
        (!any || request->split == CN_SUBSET_TRAIN))
        status = nothing_found(&files[0], err);
    for (int i = 0; status == CN_OK && i < count; i++)
        status = say_unused(places, &files[i], request->remarks, err);
    return status;
}

/* Reads what the split takes of each part. */
static cn_status read_split(cn_dataset **data, const place places[CN_PARTS],
                            const cn_request *request, cn_error *err)
{
    int counts[CN_PARTS] = {0};
    classes c = {.count = 0};
    cn_dataset *joined = NULL;
    cn_request left = *request; /* with the memory that the parts before have not taken */
    for (int part = 0; part < CN_PARTS; part++)
        if (places[part].file)
            counts[part] = places[part].file->abouts[places[part].images].shape[0];
    cn_status status = cn_split_remark(counts, request, err);
    if (status == CN_OK) status = find_classes(&c, places, request, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        int count = cn_split_count(counts, request->split, part);
        cn_dataset *whole = NULL, *taken = NULL;
        if (count == 0) continue;
        status = read_set(&whole, &places[part], &c, part, &left, err);
        size_t used = whole ? cn_dataset_memory(whole) : 0;
        left.memory = cn_memory_left(left.memory, used);
        if (status == CN_OK && count < counts[part]) {
            status = cn_dataset_part(&taken, whole, counts, request->split, part, err);
            cn_dataset_free(whole);
            whole = taken;
        }
        if (status == CN_OK) {
            cn_dataset *before = joined;
            joined = NULL;
            status = cn_dataset_join(&joined, before, whole, err);
        }
    }
    free_classes(&c);
    if (status == CN_OK && joined)
        *data = joined;
    else
        cn_dataset_free(joined);
    return status;
}

cn_status cn_arrays_load(cn_dataset **data, const char *path, const cn_request *request,
                         cn_array_opener open, cn_error *err)
{
    char siblings[CN_PARTS][CN_PATH_ROOM];
    cn_array_file files[CN_PARTS] = {{.path = NULL}};
    place places[CN_PARTS] = {{.file = NULL}};
    int count = 1;
    cn_status status = cn_array_pair_open(&files[0], path, open, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        if (!cn_path_sibling(siblings[part], path, (cn_said)part)) continue;
        status = cn_array_pair_open(&files[count], siblings[part], open, err);
        count += status == CN_OK;
    }
    if (status == CN_OK) status = find_places(places, files, count, request, err);
    if (status == CN_OK) status = read_split(data, places, request, err);
    for (int i = 0; i < count; i++) cn_array_file_close(&files[i]);
    return status;
}

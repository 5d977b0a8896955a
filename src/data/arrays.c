/* arrays.c - finds pictures and labels among the arrays of a file, and of the file beside it. */
#include "data/arrays.h"
#include "data/paths.h"

#include <stdio.h>
#include <string.h>

/* ---- Which array is what */

/* The arrays that make up a split; file NULL where there is none. */
typedef struct place {
    const cn_array_file *file;
    int images, labels;
} place;

static bool is_list(const cn_array_about *a, int n)
{
    if (strcmp(a->name, "list_classes") == 0) return false;
    return (a->rank == 1 && a->shape[0] == n) ||
           (a->rank == 2 &&
            ((a->shape[0] == 1 && a->shape[1] == n) || (a->shape[0] == n && a->shape[1] == 1)));
}

/* The one array of a split that is made of pictures (n = 0) or of n labels; -1 for none, -2 and an
 * error for more than one. */
static int find_array(const cn_array_file *file, cn_said wanted, int n, cn_error *err)
{
    int found = -1;
    for (int i = 0; i < file->count; i++) {
        const cn_array_about *a = &file->abouts[i];
        cn_said mine = cn_name_says(a->name);
        if (mine == CN_SAYS_NOTHING) mine = cn_path_says(file->path);
        if (mine != wanted || (n ? !is_list(a, n) : a->rank < 3)) continue;
        if (found >= 0) {
            cn_fail(err, CN_ERR_FORMAT, "%.100s: %s: expected one array, found %.40s and %.40s",
                    file->path, n ? "labels" : "pictures", file->abouts[found].name, a->name);
            return -2;
        }
        found = i;
    }
    return found;
}

static cn_status find_place(place *p, const cn_array_file *file, cn_said wanted, cn_error *err)
{
    int images = find_array(file, wanted, 0, err);
    if (images == -1) return CN_OK;
    if (images == -2) return CN_ERR_FORMAT;
    int n = file->abouts[images].shape[0], labels = find_array(file, wanted, n, err);
    if (labels == -2) return CN_ERR_FORMAT;
    if (labels == -1)
        return cn_fail(
            err, CN_ERR_FORMAT,
            "%.120s: %s has %d pictures: expected an array of as many labels, found none",
            file->path, file->abouts[images].name, n);
    *p = (place){file, images, labels};
    return CN_OK;
}

static cn_status nothing_found(const cn_array_file *file, cn_error *err)
{
    char shape[CN_SHAPE_TEXT], list[96] = "", others[32] = "";
    for (int i = 0; i < file->count && strlen(list) < 60; i++) {
        const cn_array_about *a = &file->abouts[i];
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%.32s %s", i ? ", " : "", a->name,
                 cn_shape_text(a->rank, a->shape, shape));
    }
    if (file->passed_over)
        snprintf(others, sizeof others, ", and %d of other kinds", file->passed_over);
    return cn_fail(
        err, CN_ERR_FORMAT,
        "%.60s: expected pictures (n, rows, columns[, channels]) to train on, found %s%s",
        file->path, file->count ? list : "no arrays", others);
}

/* ---- Reading */

static cn_status read_labels(cn_tensor *labels, const place *p, int *most, cn_error *err)
{
    cn_array array = {.data = NULL};
    cn_status status = p->file->read(p->file, p->labels, &array, err);
    if (status == CN_OK) status = cn_arrays_labels(labels, &array, most, p->file->path, err);
    cn_release(array.data);
    return status;
}

/* The images, channels last, and the range of their values. */
static cn_status read_pictures(cn_dataset_parts *parts, const place *p, const cn_request *request,
                               cn_error *err)
{
    const char *path = p->file->path;
    bool any = request->opts->given & CN_OPTION_RANGE;
    cn_array array = {.data = NULL};
    cn_status status = p->file->read(p->file, p->images, &array, err);
    if (status == CN_OK) status = cn_arrays_pictures(&parts->images, &array, any, path, err);
    if (status == CN_OK && array.about.rank == 4)
        status = cn_settle_layout(&parts->images, request, path, err);
    if (status == CN_OK) status = cn_find_range(parts, request, path, err);
    bool whole = array.about.element != CN_ELEMENT_F32 && array.about.element != CN_ELEMENT_F64;
    if (status == CN_OK && whole) cn_arrays_scale(parts);
    cn_release(array.data);
    return status;
}

/* The set at places[part]. The labels of the other parts count among the classes, so that all
 * agree on how many there are. */
static cn_status read_set(cn_dataset **data, const place places[CN_PARTS], int part,
                          const cn_request *request, cn_error *err)
{
    const cn_array_file *file = places[part].file;
    cn_dataset_parts parts = {.class_names = (const char *const *)file->class_names};
    int most = 0;
    cn_status status = read_labels(&parts.labels, &places[part], &most, err);
    for (int i = 0; status == CN_OK && i < CN_PARTS; i++) {
        cn_tensor labels = {0};
        if (i == part || !places[i].file) continue;
        status = read_labels(&labels, &places[i], &most, err);
        cn_tensor_free(&labels);
    }
    parts.classes = file->classes ? file->classes : most + 1;
    if (status == CN_OK) status = read_pictures(&parts, &places[part], request, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, file->path, err);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    return status;
}

/* Where the parts lie, in a file and those beside it. A file whose arrays say nothing is one to
 * train on, unless `split` would be content with any. */
static cn_status find_places(place places[CN_PARTS], const cn_array_file *files, int count,
                             cn_split split, cn_error *err)
{
    bool any = false;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < count && !places[part].file; i++) {
            cn_status status = find_place(&places[part], &files[i], (cn_said)part, err);
            if (status != CN_OK) return status;
            any = any || places[part].file;
        }
    if (places[CN_TRAIN].file) return CN_OK;
    cn_status status = find_place(&places[CN_TRAIN], &files[0], CN_SAYS_NOTHING, err);
    if (status == CN_OK && !places[CN_TRAIN].file && (!any || split == CN_TRAIN))
        status = nothing_found(&files[0], err);
    return status;
}

/* Reads what the split takes of each part. */
static cn_status read_split(cn_dataset **data, const place places[CN_PARTS],
                            const cn_request *request, cn_error *err)
{
    int counts[CN_PARTS] = {0};
    cn_dataset *joined = NULL;
    for (int part = 0; part < CN_PARTS; part++)
        if (places[part].file)
            counts[part] = places[part].file->abouts[places[part].images].shape[0];
    cn_status status = cn_split_remark(counts, request, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        int count = cn_split_count(counts, request->split, part);
        cn_dataset *whole = NULL, *taken = NULL;
        if (count == 0) continue;
        status = read_set(&whole, places, part, request, err);
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
    cn_status status = open(&files[0], path, err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        if (!cn_path_sibling(siblings[part], path, (cn_said)part)) continue;
        status = open(&files[count], siblings[part], err);
        count += status == CN_OK;
    }
    if (status == CN_OK) status = find_places(places, files, count, request->split, err);
    if (status == CN_OK) status = read_split(data, places, request, err);
    for (int i = 0; i < count; i++) cn_array_file_close(&files[i]);
    return status;
}

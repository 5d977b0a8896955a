/* pictures.c - picture files of any sizes brought to one size, and made a set. */
#include "data/pictures.h"
#include "base/threads.h"
#include "formats/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The list */

cn_status cn_picture_list_add(cn_picture_list *list, const char *path, int32_t label, cn_error *err)
{
    enum { MOST = 1 << 28 };
    if (list->count == MOST)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: more than %d pictures", path, MOST);
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 64;
        char **paths = cn_allocate((size_t)room, sizeof *paths, path, err);
        int32_t *labels = cn_allocate((size_t)room, sizeof *labels, path, err);
        if (!paths || !labels) {
            cn_release(paths);
            cn_release(labels);
            return CN_ERR_MEMORY;
        }
        if (list->count) {
            memcpy(paths, list->paths, (size_t)list->count * sizeof *paths);
            memcpy(labels, list->labels, (size_t)list->count * sizeof *labels);
        }
        cn_release(list->paths);
        cn_release(list->labels);
        list->paths = paths;
        list->labels = labels;
        list->room = room;
    }
    char *copy = cn_allocate(strlen(path) + 1, 1, path, err);
    if (!copy) return CN_ERR_MEMORY;
    list->paths[list->count] = strcpy(copy, path);
    list->labels[list->count++] = label;
    return CN_OK;
}

void cn_picture_set_free(cn_picture_set *set)
{
    for (int part = 0; part < CN_PARTS; part++) {
        cn_picture_list *list = &set->parts[part];
        for (int i = 0; i < list->count; i++) cn_release(list->paths[i]);
        cn_release(list->paths);
        cn_release(list->labels);
        *list = (cn_picture_list){.count = 0};
    }
}

bool cn_is_picture_name(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".pnm"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (cn_same_letters(dot, endings[i])) return true;
    return false;
}

/* ---- Reading */

/* The first picture to train on, or else of another part. */
static const char *first_path(const cn_picture_set *set)
{
    int part = 0;
    while (part < CN_PARTS - 1 && set->parts[part].count == 0) part++;
    return set->parts[part].paths[0];
}

/* What all pictures of all parts become, from the options and the first picture. */
static cn_status find_form(int shape[3], cn_image_opts *form, const cn_picture_set *set,
                           const cn_request *request, cn_error *err)
{
    const cn_data_opts opts = *request->opts;
    cn_tensor first = {0};
    cn_status status = cn_picture_load(&first, first_path(set), CN_PICTURE_AS_STORED, err);
    if (status != CN_OK) return status;
    shape[0] = opts.height ? opts.height : first.shape[0];
    shape[1] = opts.height ? opts.width : first.shape[1];
    /* Transparency is no channel unless it is asked for. */
    shape[2] = opts.channels ? opts.channels : first.shape[2] >= 3 ? 3 : 1;
    *form = opts.images;
    if (!request->model) form->deep = first.dtype != CN_U8;
    form->low = 0;
    form->high = 1;
    cn_tensor_free(&first);
    return CN_OK;
}

/* More than this machine has would end in the process being killed. */
static cn_status check_memory(int count, const int shape[3], size_t element, const char *what,
                              cn_error *err)
{
    size_t bytes = element, have = SIZE_MAX;
    char text[CN_SHAPE_TEXT];
#ifdef _SC_PHYS_PAGES
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) have = (size_t)pages * (size_t)page;
#endif
    bool fits = cn_multiply(bytes, (size_t)count, &bytes);
    for (int i = 0; fits && i < 3; i++) fits = cn_multiply(bytes, (size_t)shape[i], &bytes);
    if (fits && bytes <= have) return CN_OK;
    return cn_fail(err, CN_ERR_MEMORY,
                   "%.80s: %d pictures of %s are more than this machine's memory; "
                   "size=HEIGHTxWIDTH makes them smaller",
                   what, count, cn_shape_text(3, shape, text));
}

/* What became of a picture. */
typedef struct outcome {
    cn_status status;
    bool composed, cropped;
} outcome;

/* Is the part that cropping leaves of it less than all, by more than the rounding of a pixel? */
static bool is_cropped(const int *from, const int *to)
{
    int64_t across = (int64_t)from[0] * to[1] - (int64_t)from[1] * to[0];
    return across >= to[1] || -across >= to[0];
}

/* Reads one picture into its place among the others. */
static outcome read_picture(cn_tensor *images, int i, const char *path, const cn_image_opts *form,
                            cn_error *err)
{
    cn_tensor image = {0};
    size_t each = cn_tensor_count(images) / (size_t)images->shape[0];
    cn_tensor to =
        cn_tensor_view(images->dtype, 4, images->shape,
                       (char *)images->data + (size_t)i * each * cn_dtype_size(images->dtype));
    to.shape[0] = 1;
    cn_picture_depth depth = form->deep ? CN_PICTURE_AS_STORED : CN_PICTURE_BYTES;
    outcome o = {.status = cn_picture_load(&image, path, depth, err)};
    if (o.status != CN_OK) return o;
    o.composed = image.shape[2] % 2 == 0 && to.shape[3] % 2 != 0;
    o.cropped = form->fit == CN_FIT_CROP && is_cropped(image.shape, to.shape + 1);
    o.status = cn_image_fit(&image, to.shape + 1, form, &to, err);
    cn_tensor_free(&image);
    return o;
}

/* ---- Many at once */

/* Pictures on their way into a tensor. */
typedef struct reading {
    const char **paths;
    int first;
    cn_image_opts form;
    cn_tensor *images;
    outcome *outcomes;
} reading;

static void read_unit(void *argument, int unit, int worker)
{
    const reading *r = argument;
    int i = r->first + unit;
    (void)worker;
    r->outcomes[i] = read_picture(r->images, i, r->paths[i], &r->form, NULL);
}

/* On all processors, in blocks, so that an error ends it soon. The error is that of the first
 * picture that has one, which is read again for its text. */
static cn_status read_all(reading *r, int count, cn_error *err)
{
    enum { BLOCK = 1024 };
    cn_pool *pool = NULL;
    cn_status status = cn_pool_create(&pool, 0, err);
    for (r->first = 0; status == CN_OK && r->first < count; r->first += BLOCK) {
        int units = count - r->first < BLOCK ? count - r->first : BLOCK;
        cn_pool_run(pool, units, read_unit, r);
        for (int i = r->first; status == CN_OK && i < r->first + units; i++)
            if (r->outcomes[i].status != CN_OK)
                status = read_picture(r->images, i, r->paths[i], &r->form, err).status;
    }
    cn_pool_free(pool);
    return status;
}

/* What was done to the images that their files do not show. */
static cn_status tell(const reading *r, int count, const cn_request *request, const char *what,
                      cn_error *err)
{
    int composed = 0, cropped = 0;
    const int *shape = r->images->shape + 1;
    bool black = r->form.background == CN_BACKGROUND_BLACK;
    cn_status status = CN_OK;
    for (int i = 0; i < count; i++) {
        composed += r->outcomes[i].composed;
        cropped += r->outcomes[i].cropped;
    }
    if (composed)
        status = cn_remark(request->remarks, err,
                           "%s: %d of %d images have an alpha channel and are composed over %s; "
                           "background=%s composes them over %s",
                           what, composed, count, black ? "black" : "white",
                           black ? "white" : "black", black ? "white" : "black");
    if (cropped && status == CN_OK)
        status =
            cn_remark(request->remarks, err,
                      "%s: %d of %d images have other proportions than %d x %d and are cropped "
                      "around their center; fit=stretch squeezes them instead",
                      what, cropped, count, shape[0], shape[1]);
    return status;
}

/* The paths and, into `labels` where it is not NULL, the labels of what the split takes. */
static int choose(const cn_picture_set *set, cn_split split, const char **paths, int32_t *labels)
{
    int counts[CN_PARTS], count = 0;
    for (int part = 0; part < CN_PARTS; part++) counts[part] = set->parts[part].count;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < counts[part]; i++) {
            if (!cn_split_takes(counts, split, part, i)) continue;
            if (paths) paths[count] = set->parts[part].paths[i];
            if (labels) labels[count] = set->parts[part].labels[i];
            count++;
        }
    return count;
}

/* Tensors for pictures and labels, once it is known what all pictures become. */
static cn_status make_parts(cn_dataset_parts *parts, const cn_picture_set *set, int count,
                            const cn_request *request, const char *what, cn_error *err)
{
    int shape[4] = {count};
    cn_status status = find_form(shape + 1, &parts->image_opts, set, request, err);
    if (status != CN_OK) return status;
    cn_dtype dtype = parts->image_opts.deep ? CN_F32 : CN_U8;
    status = check_memory(count, shape + 1, cn_dtype_size(dtype), what, err);
    if (status == CN_OK) status = cn_tensor_create(&parts->images, dtype, 4, shape, err);
    if (status == CN_OK) status = cn_tensor_create(&parts->labels, CN_I32, 1, shape, err);
    return status;
}

/* There is nothing to read: no error where nothing has to be there. */
static cn_status check_count(const cn_picture_set *set, int count, const cn_request *request,
                             const char *what, cn_error *err)
{
    int counts[CN_PARTS], all = 0;
    for (int part = 0; part < CN_PARTS; part++) all += counts[part] = set->parts[part].count;
    if (count == 0 && request->split != CN_VALIDATION)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: expected images to %s, found %d in all", what,
                       request->split == CN_TRAIN ? "train on" : "test on", all);
    return cn_split_remark(counts, request, err);
}

cn_status cn_pictures_load(cn_dataset **data, const cn_picture_set *set, const cn_request *request,
                           const char *what, cn_error *err)
{
    cn_dataset_parts parts = {.classes = set->classes,
                              .scale = 1.0f / 255.0f,
                              .from_files = true,
                              .certain = true,
                              .class_names = (const char *const *)set->class_names};
    reading r = {.images = &parts.images};
    int count = choose(set, request->split, NULL, NULL);
    cn_status status = check_count(set, count, request, what, err);
    if (status != CN_OK || count == 0) return status;
    r.paths = cn_allocate((size_t)count, sizeof *r.paths, what, err);
    r.outcomes = cn_allocate((size_t)count, sizeof *r.outcomes, what, err);
    status =
        r.paths && r.outcomes ? make_parts(&parts, set, count, request, what, err) : CN_ERR_MEMORY;
    if (status == CN_OK) {
        choose(set, request->split, r.paths, parts.labels.data);
        r.form = parts.image_opts;
        status = read_all(&r, count, err);
    }
    if (status == CN_OK) status = tell(&r, count, request, what, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, what, err);
    cn_release(r.paths);
    cn_release(r.outcomes);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    return status;
}

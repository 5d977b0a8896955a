/* images.c - image files of any sizes brought to one size, and made a set. */
#include "data/images.h"
#include "base/threads.h"
#include "data/masks.h"
#include "formats/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- The list */

/* Room for one more. */
static cn_status grow(cn_image_list *list, bool masked, const char *path, cn_error *err)
{
    enum { MOST = 1 << 28 };
    if (list->count == MOST)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: more than %d images", path, MOST);
    if (list->count < list->room) return CN_OK;
    int room = list->room ? 2 * list->room : 64;
    size_t count = (size_t)list->count;
    char **paths = cn_allocate((size_t)room, sizeof *paths, path, err);
    char **masks = masked && paths ? cn_allocate((size_t)room, sizeof *masks, path, err) : NULL;
    int32_t *labels = cn_allocate((size_t)room, sizeof *labels, path, err);
    if (!paths || !labels || (masked && !masks)) {
        cn_release(paths);
        cn_release(masks);
        cn_release(labels);
        return CN_ERR_MEMORY;
    }
    if (count) {
        memcpy(paths, list->paths, count * sizeof *paths);
        memcpy(labels, list->labels, count * sizeof *labels);
        if (masked) memcpy(masks, list->masks, count * sizeof *masks);
    }
    cn_release(list->paths);
    cn_release(list->masks);
    cn_release(list->labels);
    list->paths = paths;
    list->masks = masks;
    list->labels = labels;
    list->room = room;
    return CN_OK;
}

static cn_status add(cn_image_list *list, const char *path, const char *mask, int32_t label,
                     cn_error *err)
{
    cn_status status = grow(list, mask, path, err);
    if (status != CN_OK) return status;
    char *copy = cn_allocate(strlen(path) + 1, 1, path, err);
    char *mask_copy = copy && mask ? cn_allocate(strlen(mask) + 1, 1, path, err) : NULL;
    if (!copy || (mask && !mask_copy)) {
        cn_release(copy);
        return CN_ERR_MEMORY;
    }
    if (mask) list->masks[list->count] = strcpy(mask_copy, mask);
    list->paths[list->count] = strcpy(copy, path);
    list->labels[list->count++] = label;
    return CN_OK;
}

cn_status cn_image_list_add(cn_image_list *list, const char *path, int32_t label, cn_error *err)
{
    return add(list, path, NULL, label, err);
}

cn_status cn_image_list_add_mask(cn_image_list *list, const char *path, const char *mask,
                                 cn_error *err)
{
    return add(list, path, mask, 0, err);
}

void cn_image_set_free(cn_image_set *set)
{
    for (int part = 0; part < CN_PARTS; part++) {
        cn_image_list *list = &set->parts[part];
        for (int i = 0; i < list->count; i++) {
            cn_release(list->paths[i]);
            if (list->masks) cn_release(list->masks[i]);
        }
        cn_release(list->paths);
        cn_release(list->masks);
        cn_release(list->labels);
        *list = (cn_image_list){.count = 0};
    }
}

bool cn_is_image_name(const char *name)
{
    static const char *const endings[] = {".png",  ".jpg", ".jpeg", ".pgm", ".ppm",
                                          ".pnm",  ".pbm", ".pam",  ".bmp", ".dib",
                                          ".webp", ".gif", ".tif",  ".tiff"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (cn_same_letters(dot, endings[i])) return true;
    return false;
}

/* ---- Reading */

/* Files of all parts, one after the other, whose headers are looked at. */
typedef struct look {
    const cn_image_set *set;
    int first;
    cn_image_form *forms;
} look;

static const char *path_of(const cn_image_set *set, int i)
{
    int part = 0;
    while (i >= set->parts[part].count) i -= set->parts[part++].count;
    return set->parts[part].paths[i];
}

static void look_unit(void *argument, int unit, int worker)
{
    const look *l = argument;
    (void)worker;
    cn_image_find_form(&l->forms[l->first + unit], path_of(l->set, l->first + unit));
}

/* What is known of a set's images from their headers: color, more than 8 bits, or more channels than
 * color has, where any one has; the median of the rows, and of the columns. */
typedef struct survey {
    bool color, deep;
    int channels;      /* 0: all are gray or in color */
    int rows, columns; /* 0: no header could be read */
} survey;

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int median(int *values, int count)
{
    if (count == 0) return 0;
    qsort(values, (size_t)count, sizeof *values, compare_ints);
    return values[(count - 1) / 2];
}

/* A file whose header says nothing has no part in it; decoding it tells why. */
static void sum_up(survey *s, const cn_image_form *forms, int count, int *sizes)
{
    int known = 0;
    for (int i = 0; i < count; i++) {
        s->color = s->color || forms[i].color;
        s->deep = s->deep || forms[i].deep;
        if (forms[i].channels > s->channels) s->channels = forms[i].channels;
        if (forms[i].rows < 1) continue;
        sizes[known] = forms[i].rows;
        sizes[count + known++] = forms[i].columns;
    }
    s->rows = median(sizes, known);
    s->columns = median(sizes + count, known);
}

static cn_status look_at_all(survey *s, const cn_image_set *set, int count, cn_error *err)
{
    cn_pool *pool = NULL;
    look l = {.set = set};
    *s = (survey){.rows = 0};
    l.forms = cn_allocate((size_t)count, sizeof *l.forms, "images", err);
    int *sizes = l.forms ? cn_allocate((size_t)count, 2 * sizeof *sizes, "images", err) : NULL;
    cn_status status = sizes ? cn_pool_create(&pool, 0, err) : CN_ERR_MEMORY;
    if (status == CN_OK) {
        cn_pool_run(pool, count, look_unit, &l);
        sum_up(s, l.forms, count, sizes);
    }
    cn_pool_free(pool);
    cn_release(l.forms);
    cn_release(sizes);
    return status;
}

bool cn_image_may_be_skipped(cn_status status, const cn_request *request)
{
    bool damaged = status == CN_ERR_FORMAT || status == CN_ERR_UNSUPPORTED || status == CN_ERR_IO;
    return request->skip_damaged && damaged;
}

/* The size of the first image that can be read, where no header said any. */
static cn_status find_size(int shape[3], const cn_image_set *set, int count,
                           const cn_request *request, cn_error *err)
{
    cn_tensor first = {0};
    cn_status status;
    int i = 0;
    do status = cn_image_read(&first, path_of(set, i), CN_IMAGE_BYTES, err);
    while (cn_image_may_be_skipped(status, request) && ++i < count);
    if (status != CN_OK) return status;
    memcpy(shape, first.shape, 2 * sizeof *shape);
    cn_tensor_free(&first);
    return CN_OK;
}

/* What all images of all parts become, from the options, the caller's wish, and the sizes and
 * samples of all. */
static cn_status find_form(int shape[3], cn_image_opts *form, const cn_image_set *set,
                           const cn_request *request, cn_error *err)
{
    const cn_data_opts opts = *request->opts;
    survey found = {.rows = 0};
    cn_status status = CN_OK;
    int count = 0;
    for (int part = 0; part < CN_PARTS; part++) count += set->parts[part].count;
    shape[0] = opts.height ? opts.height : request->height;
    shape[1] = opts.height ? opts.width : request->width;
    if (!shape[0] || !(request->model && opts.channels))
        status = look_at_all(&found, set, count, err);
    if (status == CN_OK && !shape[0]) {
        shape[0] = found.rows;
        shape[1] = found.columns;
        if (!found.rows) status = find_size(shape, set, count, request, err);
    }
    if (status != CN_OK) return status;
    /* Transparency is no channel unless it is asked for. */
    shape[2] = opts.channels    ? opts.channels
               : found.channels ? found.channels
               : found.color    ? 3
                                : 1;
    *form = opts.images;
    if (!request->model) form->deep = found.deep;
    /* A mask for the whole image is what is wanted. */
    if (set->masked && !request->model && !(opts.given & CN_OPTION_FIT)) form->fit = CN_FIT_STRETCH;
    form->low = 0;
    form->high = 1;
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
                   "%.80s: %d image%s of %s need more than this machine's memory; "
                   "size=HEIGHTxWIDTH makes them smaller",
                   what, count, cn_plural(count), cn_shape_text(3, shape, text));
}

/* What became of an image. */
typedef struct outcome {
    cn_status status;
    bool composed, cropped;
    int size[2]; /* rows and columns of its file */
} outcome;

/* Is the part that cropping leaves of it less than all, by more than the rounding of a pixel? */
static bool is_cropped(const int *from, const int *to)
{
    int64_t across = (int64_t)from[0] * to[1] - (int64_t)from[1] * to[0];
    return across >= to[1] || -across >= to[0];
}

/* Reads one image into its place among the others. */
static outcome read_image(cn_tensor *images, int i, const char *path, const cn_image_opts *form,
                          cn_error *err)
{
    cn_tensor image = {0};
    size_t each = cn_tensor_count(images) / (size_t)images->shape[0];
    cn_tensor to =
        cn_tensor_view(images->dtype, 4, images->shape,
                       (char *)images->data + (size_t)i * each * cn_dtype_size(images->dtype));
    to.shape[0] = 1;
    cn_image_depth depth = form->deep ? CN_IMAGE_AS_STORED : CN_IMAGE_BYTES;
    outcome o = {.status = cn_image_read(&image, path, depth, err)};
    if (o.status != CN_OK) return o;
    memcpy(o.size, image.shape, sizeof o.size);
    int channels = image.shape[2];
    o.composed = (channels == 2 || channels == 4) && to.shape[3] % 2 != 0;
    o.cropped = form->fit == CN_FIT_CROP && is_cropped(image.shape, to.shape + 1);
    o.status = cn_image_check_channels(&image, to.shape[3], path, err);
    if (o.status == CN_OK) o.status = cn_image_fit(&image, to.shape + 1, form, &to, err);
    cn_tensor_free(&image);
    return o;
}

/* ---- Many at once */

/* Images on their way into a tensor. */
typedef struct reading {
    const char **paths;
    const char **masks; /* NULL: none, so the next two */
    const cn_mask_table *table;
    cn_tensor *mask_values;
    int first;
    cn_image_opts form;
    cn_tensor *images, *labels;
    outcome *outcomes;
    const cn_request *request;
    int skipped;
} reading;

/* Image i, and its mask. */
static outcome read_example(const reading *r, int i, cn_error *err)
{
    outcome o = read_image(r->images, i, r->paths[i], &r->form, err);
    const int *shape = r->images->shape + 1;
    size_t pixels = (size_t)shape[0] * (size_t)shape[1];
    if (o.status == CN_OK && r->masks)
        o.status = cn_mask_read((uint8_t *)r->mask_values->data + (size_t)i * pixels, shape,
                                r->masks[i], o.size, r->form.fit, r->table, err);
    return o;
}

static void read_unit(void *argument, int unit, int worker)
{
    const reading *r = argument;
    int i = r->first + unit;
    (void)worker;
    r->outcomes[i] = read_example(r, i, NULL);
}

/* An image that has an error is read again for its text: the end, or a remark. */
static cn_status handle_error(reading *r, int i, cn_error *err)
{
    enum { MOST_NAMED = 10 };
    cn_error own = {CN_OK, ""};
    r->outcomes[i] = read_example(r, i, &own);
    cn_status status = r->outcomes[i].status;
    if (status == CN_OK) return CN_OK; /* there was no memory before */
    if (!cn_image_may_be_skipped(status, r->request)) return cn_fail(err, status, "%s", own.text);
    return r->skipped++ < MOST_NAMED ? cn_remark(r->request->remarks, err, "skipped %s", own.text)
                                     : CN_OK;
}

/* On all processors, in blocks, so that an error ends it soon: that of the first image that has
 * one. */
static cn_status read_all(reading *r, int count, cn_error *err)
{
    enum { BLOCK = 1024 };
    cn_pool *pool = NULL;
    cn_status status = cn_pool_create(&pool, 0, err);
    for (r->first = 0; status == CN_OK && r->first < count; r->first += BLOCK) {
        int units = count - r->first < BLOCK ? count - r->first : BLOCK;
        cn_pool_run(pool, units, read_unit, r);
        for (int i = r->first; status == CN_OK && i < r->first + units; i++)
            if (r->outcomes[i].status != CN_OK) status = handle_error(r, i, err);
    }
    cn_pool_free(pool);
    return status;
}

/* Closes the gaps that skipped images leave; *count becomes less. */
static cn_status close_gaps(reading *r, int *count, const char *what, cn_error *err)
{
    int kept = 0;
    size_t bytes = cn_tensor_count(r->images) / (size_t)*count * cn_dtype_size(r->images->dtype);
    int32_t *labels = r->labels->data;
    char *images = r->images->data;
    uint8_t *masks = r->masks ? r->mask_values->data : NULL;
    size_t pixels = (size_t)r->images->shape[1] * (size_t)r->images->shape[2];
    if (r->skipped == 0) return CN_OK;
    if (r->skipped == *count)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: none of the images could be read", what);
    for (int i = 0; i < *count; i++) {
        if (r->outcomes[i].status != CN_OK) continue;
        if (kept < i) memcpy(images + (size_t)kept * bytes, images + (size_t)i * bytes, bytes);
        if (masks && kept < i)
            memcpy(masks + (size_t)kept * pixels, masks + (size_t)i * pixels, pixels);
        labels[kept] = labels[i];
        r->outcomes[kept++] = r->outcomes[i];
    }
    int all = *count;
    r->request->remarks->skipped += r->skipped;
    r->images->shape[0] = r->labels->shape[0] = *count = kept;
    if (masks) r->mask_values->shape[0] = kept;
    return cn_remark(r->request->remarks, err, "skipped %d damaged image%s of %d", r->skipped,
                     cn_plural(r->skipped), all);
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
                           "%s: %d of %d image%s with an alpha channel, composed over %s; "
                           "background=%s composes them over %s",
                           what, composed, count, cn_plural(count), black ? "black" : "white",
                           black ? "white" : "black", black ? "white" : "black");
    if (cropped && status == CN_OK)
        status =
            cn_remark(request->remarks, err,
                      "%s: %d of %d image%s with other proportions than %d x %d, cropped around "
                      "the center; fit=stretch squeezes them instead",
                      what, cropped, count, cn_plural(count), shape[0], shape[1]);
    return status;
}

/* The paths and, unless they are NULL, masks and labels of what the split takes. */
static int choose(const cn_image_set *set, cn_subset split, const char **paths, const char **masks,
                  int32_t *labels)
{
    int counts[CN_PARTS], count = 0;
    for (int part = 0; part < CN_PARTS; part++) counts[part] = set->parts[part].count;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < counts[part]; i++) {
            if (!cn_split_takes(counts, split, part, i)) continue;
            if (paths) paths[count] = set->parts[part].paths[i];
            if (masks) masks[count] = set->parts[part].masks[i];
            if (labels) labels[count] = set->parts[part].labels[i];
            count++;
        }
    return count;
}

/* Tensors for images and labels, once it is known what all images become. */
static cn_status make_parts(cn_dataset_parts *parts, const cn_image_set *set, int count,
                            const cn_request *request, const char *what, cn_error *err)
{
    int shape[4] = {count};
    cn_status status = find_form(shape + 1, &parts->image_opts, set, request, err);
    if (status != CN_OK) return status;
    cn_dtype dtype = parts->image_opts.deep ? CN_DTYPE_F32 : CN_DTYPE_U8;
    status = check_memory(count, shape + 1, cn_dtype_size(dtype), what, err);
    if (status == CN_OK) status = cn_tensor_create(&parts->images, dtype, 4, shape, err);
    if (status == CN_OK) status = cn_tensor_create(&parts->labels, CN_DTYPE_I32, 1, shape, err);
    if (status == CN_OK && set->masked)
        status = cn_tensor_create(&parts->masks, CN_DTYPE_U8, 3, shape, err);
    return status;
}

/* There is nothing to read: no error where nothing has to be there. */
static cn_status check_count(const cn_image_set *set, int count, const cn_request *request,
                             const char *what, cn_error *err)
{
    int counts[CN_PARTS], all = 0;
    for (int part = 0; part < CN_PARTS; part++) all += counts[part] = set->parts[part].count;
    if (count == 0 && request->split != CN_SUBSET_VALIDATION)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: expected images to %s, found %d in all", what,
                       request->split == CN_SUBSET_TRAIN ? "train on" : "test on", all);
    return cn_split_remark(counts, request, err);
}

/* What the masks stand for, in place of the set's classes. */
static cn_status find_masks(cn_mask_table *table, cn_dataset_parts *parts, const cn_image_set *set,
                            const cn_request *request, const char *what, cn_error *err)
{
    if (!set->masked) return CN_OK;
    cn_status status = cn_mask_table_find(table, set, request, what, err);
    parts->classes = table->classes;
    if (table->names) parts->class_names = (const char *const *)table->names;
    return status;
}

cn_status cn_images_load(cn_dataset **data, const cn_image_set *set, const cn_request *request,
                         const char *what, cn_error *err)
{
    cn_dataset_parts parts = {.classes = set->classes,
                              .scale = 1.0f / 255.0f,
                              .from_files = true,
                              .certain = true,
                              .class_names = (const char *const *)set->class_names};
    cn_mask_table table = {.classes = 0};
    reading r = {.images = &parts.images,
                 .labels = &parts.labels,
                 .mask_values = &parts.masks,
                 .table = &table,
                 .request = request};
    int count = choose(set, request->split, NULL, NULL, NULL);
    cn_status status = check_count(set, count, request, what, err);
    if (status != CN_OK || count == 0) return status;
    status = find_masks(&table, &parts, set, request, what, err);
    if (status != CN_OK) return status;
    r.paths = cn_allocate((size_t)count, sizeof *r.paths, what, err);
    r.outcomes = cn_allocate((size_t)count, sizeof *r.outcomes, what, err);
    if (set->masked) r.masks = cn_allocate((size_t)count, sizeof *r.masks, what, err);
    status = r.paths && r.outcomes && (r.masks || !set->masked)
                 ? make_parts(&parts, set, count, request, what, err)
                 : CN_ERR_MEMORY;
    if (status == CN_OK) {
        choose(set, request->split, r.paths, r.masks, parts.labels.data);
        r.form = parts.image_opts;
        status = read_all(&r, count, err);
    }
    if (status == CN_OK) status = close_gaps(&r, &count, what, err);
    if (status == CN_OK) status = tell(&r, count, request, what, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, what, err);
    cn_release(r.paths);
    cn_release(r.masks);
    cn_release(r.outcomes);
    cn_release(table.names);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    cn_tensor_free(&parts.masks);
    return status;
}

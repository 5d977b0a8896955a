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

/* Images are worked on in blocks, so that an error or whoever waits ends it soon. */
enum { BLOCK = 256 };

/* CN_ERR_STOPPED where whoever waits has had enough. */
static cn_status report(const cn_request *request, int done, int total, const char *what,
                        cn_error *err)
{
    const cn_report *r = &request->report;
    if (!r->call || !r->call(done, total, r->user)) return CN_OK;
    return cn_fail(err, CN_ERR_STOPPED, "%.120s: stopped after %d of %d images", what, done, total);
}

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

static cn_status look_at_all(survey *s, const cn_image_set *set, int count,
                             const cn_request *request, const char *what, cn_error *err)
{
    cn_pool *pool = NULL;
    look l = {.set = set};
    *s = (survey){.rows = 0};
    l.forms = cn_allocate((size_t)count, sizeof *l.forms, "images", err);
    int *sizes = l.forms ? cn_allocate((size_t)count, 2 * sizeof *sizes, "images", err) : NULL;
    cn_status status = sizes ? cn_pool_create(&pool, 0, err) : CN_ERR_MEMORY;
    for (; status == CN_OK && l.first < count; l.first += BLOCK) {
        int units = count - l.first < BLOCK ? count - l.first : BLOCK;
        cn_pool_run(pool, units, look_unit, &l);
        status = report(request, l.first + units, count, what, err);
    }
    if (status == CN_OK) sum_up(s, l.forms, count, sizes);
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
                           const cn_request *request, const char *what, cn_error *err)
{
    const cn_data_opts opts = *request->opts;
    survey found = {.rows = 0};
    cn_status status = CN_OK;
    int count = 0;
    for (int part = 0; part < CN_PARTS; part++) count += set->parts[part].count;
    shape[0] = opts.height ? opts.height : request->height;
    shape[1] = opts.height ? opts.width : request->width;
    if (!shape[0] || !(request->model && opts.channels))
        status = look_at_all(&found, set, count, request, what, err);
    if (status == CN_OK && !shape[0]) {
        shape[0] = found.rows;
        shape[1] = found.columns;
        request->remarks->median = found.rows > 0 && count > 1;
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
    if (set->masked && !request->model && !(opts.given & CN_OPTION_FIT) && !form->resize)
        form->fit = CN_FIT_STRETCH;
    form->low = 0;
    form->high = 1;
    int shorter = shape[0] < shape[1] ? shape[0] : shape[1];
    if (form->resize && form->fit == CN_FIT_STRETCH)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.80s: resize=%d goes with fit=crop, found stretch",
                       what, form->resize);
    if (form->resize && form->resize < shorter)
        return cn_fail(
            err, CN_ERR_ARGUMENT,
            "%.80s: resize=%d is less than the images' size of %d x %d, which is cut out "
            "afterwards",
            what, form->resize, shape[0], shape[1]);
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

/* ---- A source of files */

typedef struct files {
    char **paths; /* into `text` */
    char *text;
    cn_image_opts form;
    int shape[3];
    cn_dtype dtype;
} files;

static void free_files(void *source)
{
    files *f = source;
    cn_release(f->paths);
    cn_release(f->text);
    cn_release(f);
}

/* Takes copies of the paths; *bytes is what they take. */
static cn_status make_files(files **made, const char *const *paths, int count, size_t *bytes,
                            const char *what, cn_error *err)
{
    files *f = cn_allocate(1, sizeof *f, what, err);
    size_t length = 0;
    for (int i = 0; i < count; i++) length += strlen(paths[i]) + 1;
    if (f) f->paths = cn_allocate((size_t)count, sizeof *f->paths, what, err);
    if (f && f->paths) f->text = cn_allocate(length, 1, what, err);
    if (!f || !f->text) {
        if (f) free_files(f);
        return CN_ERR_MEMORY;
    }
    char *at = f->text;
    for (int i = 0; i < count; i++) {
        f->paths[i] = strcpy(at, paths[i]);
        at += strlen(at) + 1;
    }
    *bytes = length + (size_t)count * sizeof *f->paths;
    *made = f;
    return CN_OK;
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

/* Reads image i to where it is wanted. */
static outcome read_image(const files *f, int i, const cn_framing *framing, void *out,
                          cn_error *err)
{
    cn_tensor image = {0};
    cn_image_view view;
    cn_image_aim aim = {f->shape[0], f->shape[1], &f->form, framing};
    cn_tensor to =
        cn_tensor_view(f->dtype, 4, (int[]){1, f->shape[0], f->shape[1], f->shape[2]}, out);
    outcome o = {.status = cn_image_read_for(&image, &view, f->paths[i], &aim, err)};
    if (o.status != CN_OK) return o;
    int channels = image.shape[2];
    o.size[0] = view.rows;
    o.size[1] = view.columns;
    o.composed = (channels == 2 || channels == 4) && f->shape[2] % 2 != 0;
    o.cropped = f->form.fit == CN_FIT_CROP && is_cropped(o.size, f->shape);
    o.status = cn_image_check_channels(&image, f->shape[2], f->paths[i], err);
    if (o.status == CN_OK)
        o.status = cn_image_fit_view(&image, &view, f->shape, &f->form, &to, err);
    cn_tensor_free(&image);
    return o;
}

static cn_status make_image(const void *source, int i, const cn_framing *framing, void *image,
                            cn_error *err)
{
    return read_image(source, i, framing, image, err).status;
}

static const cn_samples_ops file_ops = {make_image, free_files};

/* ---- Many at once */

/* Images on their way into a tensor, or past the samples, which look at them. */
typedef struct reading {
    const char **paths;
    const char **masks; /* NULL: none, so the next two */
    const cn_mask_table *table;
    cn_tensor *mask_values;
    const files *files;
    cn_dataset_parts *parts;
    char *rooms; /* an image per worker, where there is no tensor */
    int first;
    outcome *outcomes;
    const cn_request *request;
    int skipped;
} reading;

/* Image i, and its mask. */
static outcome read_example(const reading *r, int i, int worker, cn_error *err)
{
    const int *shape = r->files->shape;
    size_t pixels = (size_t)shape[0] * (size_t)shape[1];
    size_t bytes = pixels * (size_t)shape[2] * cn_dtype_size(r->files->dtype);
    char *all = r->parts->images.data;
    void *image = all ? all + (size_t)i * bytes : r->rooms + (size_t)worker * bytes;
    outcome o = read_image(r->files, i, NULL, image, err);
    if (o.status == CN_OK && r->masks)
        o.status = cn_mask_read((uint8_t *)r->mask_values->data + (size_t)i * pixels, shape,
                                r->masks[i], o.size, &r->files->form, r->table, err);
    if (o.status == CN_OK && !all)
        o.status = cn_samples_look(r->parts->samples, i, image, r->paths[i], err);
    return o;
}

static void read_unit(void *argument, int unit, int worker)
{
    const reading *r = argument;
    int i = r->first + unit;
    r->outcomes[i] = read_example(r, i, worker, NULL);
}

/* An image that has an error is read again for its text: the end, or a remark. */
static cn_status handle_error(reading *r, int i, cn_error *err)
{
    enum { MOST_NAMED = 10 };
    cn_error own = {CN_OK, ""};
    r->outcomes[i] = read_example(r, i, 0, &own);
    cn_status status = r->outcomes[i].status;
    if (status == CN_OK) return CN_OK; /* there was no memory before */
    if (!cn_image_may_be_skipped(status, r->request)) return cn_fail(err, status, "%s", own.text);
    return r->skipped++ < MOST_NAMED ? cn_remark(r->request->remarks, err, "skipped %s", own.text)
                                     : CN_OK;
}

/* On all processors; the error is that of the first image that has one. */
static cn_status read_all(reading *r, int count, const char *what, cn_error *err)
{
    cn_pool *pool = NULL;
    const int *shape = r->files->shape;
    size_t bytes = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    cn_status status = cn_pool_create(&pool, 0, err);
    if (status == CN_OK && !r->parts->images.data) {
        r->rooms = cn_allocate((size_t)cn_pool_threads(pool),
                               bytes * cn_dtype_size(r->files->dtype), what, err);
        if (!r->rooms) status = CN_ERR_MEMORY;
    }
    for (r->first = 0; status == CN_OK && r->first < count; r->first += BLOCK) {
        int units = count - r->first < BLOCK ? count - r->first : BLOCK;
        cn_pool_run(pool, units, read_unit, r);
        for (int i = r->first; status == CN_OK && i < r->first + units; i++)
            if (r->outcomes[i].status != CN_OK) status = handle_error(r, i, err);
        if (status == CN_OK) status = report(r->request, r->first + units, count, what, err);
    }
    cn_pool_free(pool);
    cn_release(r->rooms);
    return status;
}

/* Moves row `from` of a tensor, if there is one, to row `to` before it. */
static void move_row(cn_tensor *t, int from, int to)
{
    if (!t->data || from == to) return;
    size_t bytes = cn_tensor_count(t) / (size_t)t->shape[0] * cn_dtype_size(t->dtype);
    char *data = t->data;
    memcpy(data + (size_t)to * bytes, data + (size_t)from * bytes, bytes);
}

/* Closes the gaps that skipped images leave; *count becomes less. The samples stay as they are. */
static cn_status close_gaps(reading *r, int *count, const char *what, cn_error *err)
{
    cn_tensor *tensors[] = {&r->parts->images, &r->parts->labels, &r->parts->masks};
    int kept = 0, all = *count;
    if (r->skipped == 0) return CN_OK;
    if (r->skipped == all)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: none of the images could be read", what);
    r->parts->rows = cn_allocate((size_t)all, sizeof *r->parts->rows, what, err);
    if (!r->parts->rows) return CN_ERR_MEMORY;
    for (int i = 0; i < all; i++) {
        if (r->outcomes[i].status != CN_OK) continue;
        for (int k = 0; k < 3; k++) move_row(tensors[k], i, kept);
        r->parts->rows[kept] = i;
        r->outcomes[kept++] = r->outcomes[i];
    }
    for (int k = 0; k < 3; k++)
        if (tensors[k]->rank > 0) tensors[k]->shape[0] = kept;
    *count = kept;
    r->request->remarks->skipped += r->skipped;
    return cn_remark(r->request->remarks, err, "skipped %d damaged image%s of %d", r->skipped,
                     cn_plural(r->skipped), all);
}

/* What was done to the images that their files do not show. */
static cn_status tell(const reading *r, int count, const cn_request *request, const char *what,
                      cn_error *err)
{
    int composed = 0, cropped = 0;
    const int *shape = r->files->shape;
    bool black = r->files->form.background == CN_BACKGROUND_BLACK;
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

/* Tensors for images and labels, once it is known what all images become: images lie in theirs, or
 * it has no more than their shape. */
static cn_status make_tensors(cn_dataset_parts *parts, int *shape, const cn_request *request,
                              bool masked, const char *what, cn_error *err)
{
    enum { FEW = 16 };
    cn_dtype dtype = parts->image_opts.deep ? CN_DTYPE_F32 : CN_DTYPE_U8;
    parts->images = cn_tensor_view(dtype, 4, shape, NULL);
    bool fits = cn_fits_in_memory(shape[0], &parts->images, request);
    /* What is read while it is used lies in memory a few at a time. */
    int least = fits || shape[0] < FEW ? shape[0] : FEW;
    cn_status status = check_memory(least, shape + 1, cn_dtype_size(dtype), what, err);
    if (status == CN_OK && fits) {
        parts->images = (cn_tensor){0};
        status = cn_tensor_create(&parts->images, dtype, 4, shape, err);
    }
    if (status == CN_OK) status = cn_tensor_create(&parts->labels, CN_DTYPE_I32, 1, shape, err);
    if (status == CN_OK && masked)
        status = cn_tensor_create(&parts->masks, CN_DTYPE_U8, 3, shape, err);
    return status;
}

/* The same, and the samples, of files[0..count-1]. */
static cn_status make_parts(reading *r, const cn_image_set *set, int count, const char *what,
                            cn_error *err)
{
    cn_dataset_parts *parts = r->parts;
    int shape[4] = {count};
    size_t bytes = 0;
    files *f = NULL;
    cn_status status = find_form(shape + 1, &parts->image_opts, set, r->request, what, err);
    if (status == CN_OK) status = make_tensors(parts, shape, r->request, set->masked, what, err);
    if (status != CN_OK) return status;
    choose(set, r->request->split, r->paths, r->masks, parts->labels.data);
    status = make_files(&f, r->paths, count, &bytes, what, err);
    if (status != CN_OK) return status;
    memcpy(f->shape, shape + 1, sizeof f->shape);
    f->form = parts->image_opts;
    f->dtype = parts->images.dtype;
    size_t memory = r->request->memory > bytes ? r->request->memory - bytes : 0;
    status = cn_samples_create(&parts->samples, &file_ops, f, count, &parts->images,
                               parts->images.data ? 0 : memory, err);
    if (status != CN_OK) free_files(f);
    r->files = f;
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

/* The rows of targets that the labels number take their place. */
static cn_status take_targets(cn_dataset_parts *parts, const cn_image_set *set, cn_error *err)
{
    if (!set->targets) return CN_OK;
    const int n = parts->labels.shape[0];
    const size_t each = (size_t)set->classes;
    int32_t *row = parts->labels.data;
    parts->task = set->task;
    cn_status status =
        cn_tensor_create(&parts->targets, CN_DTYPE_F32, 2, (int[]){n, set->classes}, err);
    for (int i = 0; status == CN_OK && i < n; i++) {
        memcpy((float *)parts->targets.data + (size_t)i * each,
               set->targets + (size_t)row[i] * each, each * sizeof(float));
        row[i] = 0;
    }
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
    reading r = {.parts = &parts, .mask_values = &parts.masks, .table = &table, .request = request};
    int count = choose(set, request->split, NULL, NULL, NULL);
    cn_status status = check_count(set, count, request, what, err);
    if (status != CN_OK || count == 0) return status;
    if (request->split == CN_SUBSET_TRAIN) status = cn_images_find_shared(set, request, err);
    if (status == CN_OK) status = find_masks(&table, &parts, set, request, what, err);
    if (status != CN_OK) return status;
    r.paths = cn_allocate((size_t)count, sizeof *r.paths, what, err);
    r.outcomes = cn_allocate((size_t)count, sizeof *r.outcomes, what, err);
    if (set->masked) r.masks = cn_allocate((size_t)count, sizeof *r.masks, what, err);
    status = r.paths && r.outcomes && (r.masks || !set->masked)
                 ? make_parts(&r, set, count, what, err)
                 : CN_ERR_MEMORY;
    if (status == CN_OK) status = read_all(&r, count, what, err);
    if (status == CN_OK) status = close_gaps(&r, &count, what, err);
    if (status == CN_OK) status = tell(&r, count, request, what, err);
    if (status == CN_OK) status = take_targets(&parts, set, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, what, err);
    cn_release(r.paths);
    cn_release(r.masks);
    cn_release(r.outcomes);
    cn_release(table.names);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    cn_tensor_free(&parts.masks);
    cn_samples_free(parts.samples);
    cn_release(parts.rows);
    cn_tensor_free(&parts.targets);
    return status;
}

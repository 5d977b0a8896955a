/* images.c - image files of any sizes brought to one size, and made a set. */
#include "data/images.h"
#include "base/threads.h"
#include "data/images_form.h"
#include "data/masks.h"
#include "formats/image.h"

#include <string.h>

bool cn_image_may_be_skipped(cn_status status, const cn_request *request)
{
    bool damaged = status == CN_ERR_FORMAT || status == CN_ERR_UNSUPPORTED || status == CN_ERR_IO;
    return request->skip_damaged && damaged;
}

/* ---- A source of files */

typedef struct files {
    char **paths; /* into `text` */
    char *text;
    cn_image_opts form;
    int shape[3];
    cn_dtype dtype;
    cn_mask_table table; /* of masks: what their values stand for */
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

static cn_status make_mask(const void *source, int i, const cn_framing *framing, void *mask,
                           cn_error *err)
{
    const files *f = source;
    (void)framing;
    return cn_mask_read(mask, f->shape, f->paths[i], NULL, &f->form, &f->table, err);
}

static const cn_samples_ops file_ops = {make_image, free_files};
static const cn_samples_ops mask_ops = {make_mask, free_files};

/* ---- Many at once */

/* Images on their way into a tensor, or past the samples, which look at them. */
typedef struct reading {
    const char **paths;
    const char **masks; /* NULL: none, so the next two */
    const cn_mask_table *table;
    const files *files;
    cn_dataset_parts *parts;
    char *rooms; /* an image and a mask per worker, where there are no tensors */
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
    char *all = r->parts->images.data, *masks = r->parts->masks.data;
    char *room = all ? NULL : r->rooms + (size_t)worker * cn_room_bytes(bytes + pixels);
    void *image = all ? all + (size_t)i * bytes : room;
    void *mask = !r->masks ? NULL : all ? masks + (size_t)i * pixels : room + bytes;
    outcome o = read_image(r->files, i, NULL, image, err);
    if (o.status == CN_OK && mask)
        o.status = cn_mask_read(mask, shape, r->masks[i], o.size, &r->files->form, r->table, err);
    if (o.status == CN_OK && !all)
        o.status = cn_samples_look(r->parts->samples, i, image, r->paths[i], err);
    if (o.status == CN_OK && !all && mask)
        o.status = cn_samples_look(r->parts->mask_samples, i, mask, r->masks[i], err);
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
    size_t pixels = (size_t)shape[0] * (size_t)shape[1];
    size_t bytes = pixels * (size_t)shape[2] * cn_dtype_size(r->files->dtype) + pixels;
    cn_status status = cn_pool_create(&pool, 0, err);
    if (status == CN_OK && !r->parts->images.data) {
        r->rooms = cn_allocate((size_t)cn_pool_threads(pool), cn_room_bytes(bytes), what, err);
        if (!r->rooms) status = CN_ERR_MEMORY;
    }
    for (r->first = 0; status == CN_OK && r->first < count; r->first += CN_IMAGE_BLOCK) {
        int units = count - r->first < CN_IMAGE_BLOCK ? count - r->first : CN_IMAGE_BLOCK;
        cn_pool_run(pool, units, read_unit, r);
        for (int i = r->first; status == CN_OK && i < r->first + units; i++)
            if (r->outcomes[i].status != CN_OK) status = handle_error(r, i, err);
        if (status == CN_OK)
            status = cn_images_report(r->request, r->first + units, count, what, err);
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
    bool fits = cn_fits_in_memory(shape[0], &parts->images, masked, request);
    /* What is read while it is used lies in memory a few at a time. */
    int least = fits || shape[0] < FEW ? shape[0] : FEW;
    cn_status status = cn_images_check_memory(least, shape + 1, cn_dtype_size(dtype), what, err);
    if (status == CN_OK && fits) {
        parts->images = (cn_tensor){0};
        status = cn_tensor_create(&parts->images, dtype, 4, shape, err);
    }
    if (status == CN_OK) status = cn_tensor_create(&parts->labels, CN_DTYPE_I32, 1, shape, err);
    if (masked) parts->masks = cn_tensor_view(CN_DTYPE_U8, 3, shape, NULL);
    if (status == CN_OK && masked && fits) {
        parts->masks = (cn_tensor){0};
        status = cn_tensor_create(&parts->masks, CN_DTYPE_U8, 3, shape, err);
    }
    return status;
}

/* Samples of files, which find room for tables and the cache in *memory. */
static cn_status make_samples(cn_samples **samples, const files **source, const cn_samples_ops *ops,
                              const char *const *paths, const cn_tensor *form, size_t *memory,
                              const reading *r, const char *what, cn_error *err)
{
    files *f = NULL;
    size_t bytes = 0;
    cn_status status = make_files(&f, paths, form->shape[0], &bytes, what, err);
    if (status != CN_OK) return status;
    memcpy(f->shape, r->parts->images.shape + 1, sizeof f->shape);
    f->form = r->parts->image_opts;
    f->dtype = form->dtype;
    f->table = *r->table;
    *memory = *memory > bytes ? *memory - bytes : 0;
    status = cn_samples_create(samples, ops, f, form->shape[0], form, *memory, err);
    if (status != CN_OK) free_files(f);
    *source = f;
    return status;
}

/* Tensors and samples of files[0..count-1]. */
static cn_status make_parts(reading *r, const cn_image_set *set, int count, const char *what,
                            cn_error *err)
{
    cn_dataset_parts *parts = r->parts;
    const files *ignored;
    int shape[4] = {count};
    cn_status status =
        cn_images_find_form(shape + 1, &parts->image_opts, set, r->request, what, err);
    if (status == CN_OK) status = make_tensors(parts, shape, r->request, set->masked, what, err);
    if (status != CN_OK) return status;
    choose(set, r->request->split, r->paths, r->masks, parts->labels.data);
    /* An image and its mask are as likely to be in their caches. */
    bool apart = set->masked && !parts->images.data;
    size_t sample = (size_t)shape[3] * cn_dtype_size(parts->images.dtype);
    size_t memory = parts->images.data ? 0 : cn_request_memory(r->request);
    size_t rest = apart ? memory / (sample + 1) : 0;
    memory -= rest;
    status = make_samples(&parts->samples, &r->files, &file_ops, r->paths, &parts->images, &memory,
                          r, what, err);
    if (status != CN_OK || !apart) return status;
    cn_tensor form = parts->masks;
    form.shape[form.rank++] = 1;
    return make_samples(&parts->mask_samples, &ignored, &mask_ops, r->masks, &form, &rest, r, what,
                        err);
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
    if (!set->masked && request->opts->given & (CN_OPTION_IGNORE | CN_OPTION_COLORS))
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%.120s: ignore= and colors= are for masks, found "
                       "labels",
                       what);
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
    reading r = {.parts = &parts, .table = &table, .request = request};
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
    cn_dataset_parts_free(&parts);
    return status;
}

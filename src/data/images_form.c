/* images_form.c - what the images of a set become: their size, channels and elements, from the headers of
 * all files, the options, and what the machine can hold. */
#include "data/images_form.h"
#include "base/threads.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

cn_status cn_images_report(const cn_request *request, int done, int total, const char *what,
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
 * color has, or floats, where any one has; the median of the rows, and of the columns. */
typedef struct survey {
    bool color, deep, floats;
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
        s->floats = s->floats || forms[i].floats;
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
    for (; status == CN_OK && l.first < count; l.first += CN_IMAGE_BLOCK) {
        int units = count - l.first < CN_IMAGE_BLOCK ? count - l.first : CN_IMAGE_BLOCK;
        cn_pool_run(pool, units, look_unit, &l);
        status = cn_images_report(request, l.first + units, count, what, err);
    }
    if (status == CN_OK) sum_up(s, l.forms, count, sizes);
    cn_pool_free(pool);
    cn_release(l.forms);
    cn_release(sizes);
    return status;
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

cn_status cn_images_find_form(int shape[3], cn_image_opts *form, const cn_image_set *set,
                              const cn_request *request, const char *what, cn_error *err)
{
    const cn_data_opts opts = *request->opts;
    survey found = {.rows = 0};
    cn_status status = CN_OK;
    int count = 0;
    for (int part = 0; part < CN_PARTS; part++) count += set->parts[part].count;
    shape[0] = opts.height ? opts.height : request->height;
    shape[1] = opts.height ? opts.width : request->width;
    bool ranged = opts.given & CN_OPTION_RANGE;
    if (!shape[0] || ranged || !(request->model && opts.channels))
        status = look_at_all(&found, set, count, request, what, err);
    if (status == CN_OK && !shape[0]) {
        shape[0] = found.rows;
        shape[1] = found.columns;
        request->remarks->median = found.rows > 0 && count > 1;
        if (!found.rows) status = find_size(shape, set, count, request, err);
    }
    if (status == CN_OK && ranged && !found.floats)
        status = cn_fail(err, CN_ERR_ARGUMENT,
                         "%.120s: range= is that of floats, which none of the images has", what);
    if (status != CN_OK) return status;
    /* Transparency is no channel unless it is asked for. */
    shape[2] = opts.channels    ? opts.channels
               : found.channels ? found.channels
               : found.color    ? 3
                                : 1;
    *form = opts.images;
    if (ranged) {
        form->float_low = form->low;
        form->float_high = form->high;
    }
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

cn_status cn_images_check_memory(int count, const int shape[3], size_t element, const char *what,
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

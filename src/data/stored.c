/* stored.c - images read from where they lie in files: see the header. */
#include "data/stored.h"

#include "base/source.h"
#include "base/threads.h"
#include "data/masks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Images first .. end - 1 lie in this file. */
typedef struct file {
    int handle, first, end;
    size_t offset;     /* of its first image */
    struct stat about; /* when it was opened */
    char name[128];    /* its tail, where it is longer */
} file;

struct cn_stored {
    cn_stored_form form;
    uint8_t map[256];
    size_t values, bytes; /* of an image in its file */
    int count, files;
    file *file;
};

/* ---- Files */

cn_status cn_stored_create(cn_stored **stored, const cn_stored_form *form, cn_error *err)
{
    cn_stored *s = cn_allocate(1, sizeof *s, "stored images", err);
    if (!s) return CN_ERR_MEMORY;
    s->form = *form;
    if (form->map) s->form.map = memcpy(s->map, form->map, sizeof s->map);
    s->values = (size_t)form->shape[0] * (size_t)form->shape[1] * (size_t)form->shape[2];
    s->bytes = s->values * cn_array_element_size(&(cn_array_about){.element = form->element});
    if (!form->stride) s->form.stride = s->bytes;
    *stored = s;
    return CN_OK;
}

void cn_stored_free(cn_stored *s)
{
    if (!s) return;
    for (int i = 0; i < s->files; i++)
        if (s->file[i].handle >= 0) close(s->file[i].handle);
    cn_release(s->file);
    cn_release(s);
}

static cn_status open_file(file *f, const char *path, cn_error *err)
{
    size_t length = strlen(path), room = sizeof f->name;
    if (length < room)
        memcpy(f->name, path, length + 1);
    else
        snprintf(f->name, room, "...%s", path + length - (room - 4));
    f->handle = -1;
    return cn_file_open(&f->handle, &f->about, path, err);
}

cn_status cn_stored_add(cn_stored *s, const char *path, size_t offset, int count, cn_error *err)
{
    file *files = cn_allocate((size_t)s->files + 1, sizeof *files, path, err);
    if (!files) return CN_ERR_MEMORY;
    if (s->files) memcpy(files, s->file, (size_t)s->files * sizeof *files);
    cn_release(s->file);
    s->file = files;
    file *f = &files[s->files++];
    *f = (file){.first = s->count, .end = s->count + count, .offset = offset};
    s->count += count;
    return open_file(f, path, err);
}

/* A file that has been written to has other images than those that were looked at. */
static cn_status check_file(const file *f, cn_error *err)
{
    struct stat now;
    if (fstat(f->handle, &now) != 0)
        return cn_fail(err, CN_ERR_IO, "%s: cannot be read: %s", f->name, cn_system_text(errno));
    if (now.st_size < f->about.st_size)
        return cn_fail(err, CN_ERR_IO,
                       "%s: the file was cut short while it was used: %lld bytes, found %lld",
                       f->name, (long long)f->about.st_size, (long long)now.st_size);
    if (now.st_size != f->about.st_size || now.st_mtim.tv_sec != f->about.st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != f->about.st_mtim.tv_nsec)
        return cn_fail(err, CN_ERR_IO, "%s: the file was written to while it was used", f->name);
    return CN_OK;
}

static cn_status read_bytes(const cn_stored *s, int i, void *out, cn_error *err)
{
    const file *f = s->file;
    while (i >= f->end) f++;
    size_t at = f->offset + (size_t)(i - f->first) * s->form.stride, done = 0;
    cn_status status = check_file(f, err);
    while (status == CN_OK && done < s->bytes) {
        ssize_t got = pread(f->handle, (char *)out + done, s->bytes - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return cn_fail(err, CN_ERR_IO, "%s: byte %zu: cannot be read: %s", f->name, at + done,
                           cn_system_text(errno));
        if (got == 0)
            return cn_fail(err, CN_ERR_IO, "%s: byte %zu: expected %zu bytes more, found the end",
                           f->name, at + done, s->bytes - done);
        done += (size_t)got;
    }
    return status;
}

/* ---- Images */

/* The values of image i, as they are stored; `room` has s->bytes. */
static cn_status read_values(const cn_stored *s, int i, void *room, cn_array *values, cn_error *err)
{
    *values = (cn_array){.about.element = s->form.element, .data = room};
    cn_status status = read_bytes(s, i, room, err);
    if (status == CN_OK && s->form.swapped) cn_swap_bytes(room, s->values, s->bytes / s->values);
    return status;
}

/* Of 0 to 255 and whole, unless the file has just been written to, which is found elsewhere. */
static uint8_t byte_of(double v)
{
    return v >= 0 && v <= 255 ? (uint8_t)v : 0;
}

/* What value v becomes, in the same steps and so to the same bits as of an array in memory. */
static float scaled(const cn_stored_form *f, double v)
{
    float x = (float)v;
    return f->low == f->high ? x : (float)(((double)x - f->low) * (1 / (f->high - f->low)));
}

static void convert(const cn_stored *s, const cn_array *values, void *image)
{
    const cn_stored_form *f = &s->form;
    const size_t channels = (size_t)f->shape[2], pixels = s->values / channels;
    for (size_t p = 0, to = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++, to++) {
            double v = cn_array_value(values, f->channels_first ? c * pixels + p : to);
            if (f->dtype == CN_DTYPE_F32)
                ((float *)image)[to] = scaled(f, v);
            else
                ((uint8_t *)image)[to] = f->map ? f->map[byte_of(v)] : byte_of(v);
        }
}

/* Do the bytes in the file make an image as they are? */
static bool is_plain(const cn_stored_form *f)
{
    bool same = (f->element == CN_ELEMENT_U8 && f->dtype == CN_DTYPE_U8 && !f->map) ||
                (f->element == CN_ELEMENT_F32 && f->dtype == CN_DTYPE_F32 && f->low == f->high);
    return same && !f->swapped && (!f->channels_first || f->shape[2] == 1);
}

static cn_status read_image(const cn_stored *s, int i, void *image, cn_error *err)
{
    cn_array values;
    if (is_plain(&s->form)) return read_bytes(s, i, image, err);
    void *room = cn_allocate(s->bytes, 1, "stored image", err);
    if (!room) return CN_ERR_MEMORY;
    cn_status status = read_values(s, i, room, &values, err);
    if (status == CN_OK) convert(s, &values, image);
    cn_release(room);
    return status;
}

static cn_tensor form_of(const cn_stored *s)
{
    const int *n = s->form.shape;
    return cn_tensor_view(s->form.dtype, 4, (int[]){s->count, n[0], n[1], n[2]}, NULL);
}

static cn_status make_image(const void *source, int i, const cn_framing *framing, void *image,
                            cn_error *err)
{
    const cn_stored *s = source;
    if (!framing) return read_image(s, i, image, err);
    const cn_tensor form = form_of(s);
    void *whole = cn_allocate(s->values, cn_dtype_size(form.dtype), "stored image", err);
    if (!whole) return CN_ERR_MEMORY;
    cn_status status = read_image(s, i, whole, err);
    if (status == CN_OK) status = cn_frame_image(&form, whole, framing, image, err);
    cn_release(whole);
    return status;
}

static void free_source(void *source)
{
    cn_stored_free(source);
}

static const cn_samples_ops stored_ops = {make_image, free_source};

/* ---- All values */

/* Takes the values of image i; true ends it. */
typedef bool cn_take(const cn_stored *s, int i, const cn_array *values, void *argument);

static cn_status take_all(const cn_stored *s, cn_take *take, void *argument, cn_error *err)
{
    cn_array values;
    void *room = cn_allocate(s->bytes, 1, "stored image", err);
    cn_status status = room ? CN_OK : CN_ERR_MEMORY;
    bool enough = false;
    for (int i = 0; i < s->count && status == CN_OK && !enough; i++) {
        status = read_values(s, i, room, &values, err);
        if (status == CN_OK) enough = take(s, i, &values, argument);
    }
    cn_release(room);
    return status;
}

static bool take_ends(const cn_stored *s, int i, const cn_array *values, void *argument)
{
    double *ends = argument;
    for (size_t k = 0; k < s->values; k++) {
        double v = cn_array_value(values, k);
        if ((i == 0 && k == 0) || v < ends[0]) ends[0] = v;
        if ((i == 0 && k == 0) || v > ends[1]) ends[1] = v;
    }
    return false;
}

cn_status cn_stored_ends(const cn_stored *s, double *least, double *most, cn_error *err)
{
    double ends[2] = {0, 0};
    cn_status status = take_all(s, take_ends, ends, err);
    *least = ends[0];
    *most = ends[1];
    return status;
}

typedef struct large {
    size_t number;
    double value;
} large;

static bool take_large(const cn_stored *s, int i, const cn_array *values, void *argument)
{
    large *found = argument;
    for (size_t k = 0; k < s->values; k++) {
        found->number = (size_t)i * s->values + k;
        found->value = cn_array_value(values, k);
        if (found->value < 0 || found->value > 255) return true;
    }
    return false;
}

cn_status cn_stored_find_large(const cn_stored *s, size_t *number, double *value, cn_error *err)
{
    large found = {0, 0};
    cn_status status = take_all(s, take_large, &found, err);
    *number = found.number;
    *value = found.value;
    return status;
}

/* The values that there are, and the first that is none of them. */
typedef struct census {
    bool *present;
    bool strange;
    large first;
} census;

static bool take_values(const cn_stored *s, int i, const cn_array *values, void *argument)
{
    census *c = argument;
    for (size_t k = 0; k < s->values && !c->strange; k++) {
        double v = cn_array_value(values, k);
        c->strange = v != (double)byte_of(v);
        c->first = (large){(size_t)i * s->values + k, v};
        if (!c->strange) c->present[byte_of(v)] = true;
    }
    return c->strange;
}

cn_status cn_stored_values(const cn_stored *s, bool present[256], const char *what, cn_error *err)
{
    census c = {.present = present};
    cn_status status = take_all(s, take_values, &c, err);
    if (status != CN_OK || !c.strange) return status;
    return cn_masks_refuse(what, c.first.number, c.first.value, err);
}

/* ---- Samples */

/* Images first, first + 1 and so on, looked at by several threads. */
typedef struct look {
    const cn_stored *stored;
    cn_samples *samples;
    char *rooms; /* an image per worker */
    size_t bytes;
    int first;
    const char *what;
} look;

static cn_status look_unit(void *argument, int unit, int worker, cn_error *err)
{
    const look *l = argument;
    void *image = l->rooms + (size_t)worker * l->bytes;
    cn_status status = read_image(l->stored, l->first + unit, image, err);
    if (status != CN_OK) return status;
    return cn_samples_look(l->samples, l->first + unit, image, l->what, err);
}

static cn_status look_at_all(look *l, const cn_request *request, cn_error *err)
{
    enum { BLOCK = 256 };
    const cn_report *report = &request->report;
    const int count = l->stored->count;
    bool failed[BLOCK];
    cn_pool *pool = NULL;
    cn_status status = cn_pool_create(&pool, 0, err);
    if (status != CN_OK) return status;
    l->rooms = cn_allocate((size_t)cn_pool_threads(pool), l->bytes, l->what, err);
    if (!l->rooms) status = CN_ERR_MEMORY;
    for (; status == CN_OK && l->first < count; l->first += BLOCK) {
        int units = count - l->first < BLOCK ? count - l->first : BLOCK, done = l->first + units;
        status = cn_run_units(pool, units, look_unit, l, failed, err);
        if (status == CN_OK && report->call && report->call(done, count, report->user))
            status = cn_fail(err, CN_ERR_STOPPED, "%.120s: stopped after %d of %d images", l->what,
                             done, count);
    }
    cn_pool_free(pool);
    cn_release(l->rooms);
    return status;
}

cn_status cn_stored_samples(cn_samples **samples, cn_stored *stored, size_t memory,
                            const cn_request *request, const char *what, cn_error *err)
{
    const cn_tensor form = form_of(stored);
    look l = {.stored = stored, .bytes = stored->values * cn_dtype_size(form.dtype), .what = what};
    cn_status status =
        cn_samples_create(&l.samples, &stored_ops, stored, stored->count, &form, memory, err);
    if (status != CN_OK) {
        cn_stored_free(stored);
        return status;
    }
    status = look_at_all(&l, request, err);
    if (status == CN_OK)
        *samples = l.samples;
    else
        cn_samples_free(l.samples);
    return status;
}

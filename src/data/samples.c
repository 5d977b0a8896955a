/* samples.c - the cache before a source, the sums of its images, and units run by a pool. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#include "data/samples.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct cn_samples {
    const cn_samples_ops *ops;
    void *source;
    int count;
    cn_tensor form; /* of one image: its extents and elements */
    size_t bytes;   /* of an image */
    cn_moments *moments;
    /* The cache: `rooms` images at `block`. Image i lies in slot place[i] - 1, or in none: whoever
     * reads a place reads what was copied before it was written. */
    char *block;
    size_t block_bytes;
    int rooms;
    _Atomic int *place;
    _Atomic int used;
    _Atomic int owners;
};

/* ---- life and death */

static size_t table_bytes(const cn_samples *s)
{
    return (size_t)s->count * (sizeof *s->place + (size_t)s->form.shape[3] * sizeof *s->moments);
}

size_t cn_samples_memory(const cn_samples *s)
{
    return table_bytes(s) + s->block_bytes;
}

/* Images beside the tables in so many bytes. */
static size_t rooms_in(const cn_samples *s, size_t memory)
{
    size_t tables = table_bytes(s);
    return memory > tables ? (memory - tables) / s->bytes : 0;
}

/* The system gives the pages of the block when they are written to: an empty cache costs nothing. */
static void make_cache(cn_samples *s, size_t memory)
{
    size_t rooms = rooms_in(s, memory);
    if (rooms > (size_t)s->count) rooms = (size_t)s->count;
    if (rooms == 0) return;
    void *block = mmap(NULL, rooms * s->bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) return; /* then without: it changes no result */
    s->block = block;
    s->block_bytes = rooms * s->bytes;
    s->rooms = (int)rooms;
}

void cn_samples_shrink(cn_samples *s, size_t memory)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), rooms = rooms_in(s, memory);
    if (rooms >= (size_t)s->rooms) return;
    for (int i = 0; i < s->count; i++)
        if (s->place[i] > (int)rooms) s->place[i] = 0;
    if (s->used > (int)rooms) s->used = (int)rooms;
    s->rooms = (int)rooms;
    size_t kept = (rooms * s->bytes + page - 1) / page * page;
    if (kept < s->block_bytes) munmap(s->block + kept, s->block_bytes - kept);
    if (kept < s->block_bytes) s->block_bytes = kept;
    if (kept == 0) s->block = NULL;
}

cn_status cn_samples_create(cn_samples **samples, const cn_samples_ops *ops, void *source,
                            int count, const cn_tensor *form, size_t memory, cn_error *err)
{
    size_t n = (size_t)count, channels = (size_t)form->shape[3];
    cn_samples *s = cn_allocate(1, sizeof *s, "samples", err);
    if (!s) return CN_ERR_MEMORY;
    s->moments = cn_allocate(n, channels * sizeof *s->moments, "samples", err);
    s->place = s->moments ? cn_allocate(n, sizeof *s->place, "samples", err) : NULL;
    if (!s->place) {
        cn_release(s->moments);
        cn_release(s);
        return CN_ERR_MEMORY;
    }
    s->ops = ops;
    s->source = source;
    s->count = count;
    s->form = *form;
    s->bytes =
        (size_t)form->shape[1] * (size_t)form->shape[2] * channels * cn_dtype_size(form->dtype);
    atomic_init(&s->owners, 1);
    atomic_init(&s->used, 0);
    make_cache(s, memory);
    *samples = s;
    return CN_OK;
}

cn_samples *cn_samples_share(cn_samples *s)
{
    if (s) atomic_fetch_add(&s->owners, 1);
    return s;
}

void cn_samples_free(cn_samples *s)
{
    if (!s || atomic_fetch_sub(&s->owners, 1) > 1) return;
    s->ops->free(s->source);
    if (s->block) munmap(s->block, s->block_bytes);
    cn_release(s->moments);
    cn_release((void *)s->place);
    cn_release(s);
}

/* ---- images */

/* Two threads may put in the same image: it then takes two slots. */
static void put_in(cn_samples *s, int i, const void *image)
{
    if (atomic_load(&s->place[i]) != 0 || atomic_load(&s->used) >= s->rooms) return;
    int slot = atomic_fetch_add(&s->used, 1);
    if (slot >= s->rooms) return;
    memcpy(s->block + (size_t)slot * s->bytes, image, s->bytes);
    atomic_store(&s->place[i], slot + 1);
}

cn_status cn_samples_read(cn_samples *s, int i, const cn_framing *framing, void *image,
                          cn_error *err)
{
    int place = framing ? 0 : atomic_load(&s->place[i]);
    if (place == 0) return s->ops->make(s->source, i, framing, image, err);
    memcpy(image, s->block + (size_t)(place - 1) * s->bytes, s->bytes);
    return CN_OK;
}

/* ---- sums */

static cn_moments sum_bytes(const uint8_t *x, size_t pixels, size_t stride)
{
    uint64_t sum = 0, squares = 0;
    uint8_t least = UINT8_MAX, most = 0;
    for (size_t i = 0; i < pixels; i++) {
        uint64_t v = x[i * stride];
        sum += v;
        squares += v * v;
        if (v < least) least = (uint8_t)v;
        if (v > most) most = (uint8_t)v;
    }
    return (cn_moments){
        .sum = (double)sum, .squares = (double)squares, .least = least, .most = most};
}

/* Of what the values differ from the first one by: a constant channel gives zeros, however its
 * value rounds, and one far from zero keeps its digits. */
static cn_moments sum_floats(const float *x, size_t pixels, size_t stride)
{
    cn_moments m = {.origin = x[0], .least = x[0], .most = x[0]};
    for (size_t i = 0; i < pixels; i++) {
        float v = x[i * stride];
        double d = (double)v - (double)x[0];
        m.sum += d;
        m.squares += d * d;
        if (v < m.least) m.least = v;
        if (v > m.most) m.most = v;
    }
    return m;
}

cn_moments cn_moments_of(const cn_tensor *form, const void *image, int c)
{
    size_t channels = (size_t)form->shape[3];
    size_t pixels = (size_t)form->shape[1] * (size_t)form->shape[2];
    return form->dtype == CN_DTYPE_U8 ? sum_bytes((const uint8_t *)image + c, pixels, channels)
                                      : sum_floats((const float *)image + c, pixels, channels);
}

cn_status cn_frame_image(const cn_tensor *form, const void *image, const cn_framing *framing,
                         void *out, cn_error *err)
{
    static const cn_image_opts opts = {.fit = CN_FIT_CROP};
    const int *n = form->shape + 1;
    const cn_tensor in = cn_tensor_view(form->dtype, 3, n, (void *)(uintptr_t)image);
    cn_tensor to = cn_tensor_view(form->dtype, 4, (int[]){1, n[0], n[1], n[2]}, out);
    cn_image_aim aim = {.n_H = n[0], .n_W = n[1], .opts = &opts, .framing = framing};
    cn_image_view view = cn_image_view_of(n[0], n[1], &aim);
    return cn_image_fit_view(&in, &view, n, &opts, &to, err);
}

cn_status cn_samples_look(cn_samples *s, int i, const void *image, const char *name, cn_error *err)
{
    size_t count = s->bytes / sizeof(float);
    const float *x = image;
    for (size_t k = 0; s->form.dtype == CN_DTYPE_F32 && k < count; k++)
        if (!isfinite(x[k]))
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: image %d: element %zu is %g, not finite",
                           name, i, k, (double)x[k]);
    for (int c = 0; c < s->form.shape[3]; c++)
        s->moments[(size_t)i * (size_t)s->form.shape[3] + (size_t)c] =
            cn_moments_of(&s->form, image, c);
    put_in(s, i, image);
    return CN_OK;
}

void cn_samples_set_moments(cn_samples *s, int i, const cn_moments *moments)
{
    const size_t channels = (size_t)s->form.shape[3];
    memcpy(s->moments + (size_t)i * channels, moments, channels * sizeof *moments);
}

const cn_moments *cn_samples_moments(const cn_samples *s, int i)
{
    return s->moments + (size_t)i * (size_t)s->form.shape[3];
}

/* ---- many at once */

typedef struct units {
    cn_unit *run;
    void *argument;
    bool *failed;
} units;

static void run_unit(void *argument, int unit, int worker)
{
    const units *u = argument;
    u->failed[unit] = u->run(u->argument, unit, worker, NULL) != CN_OK;
}

cn_status cn_run_units(cn_pool *pool, int n, cn_unit *run, void *argument, bool *failed,
                       cn_error *err)
{
    units u = {run, argument, failed};
    cn_status status = CN_OK;
    cn_pool_run(pool, n, run_unit, &u);
    for (int i = 0; i < n && status == CN_OK; i++)
        if (failed[i]) status = run(argument, i, 0, err);
    return status;
}

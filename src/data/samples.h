/*
 * samples.h - images that are made when they are asked for: what a set larger than memory has in
 * the place of a tensor.
 *
 * A source makes image i, from its file or from where it lies in an array. A cache stands before it,
 * of the images that came first: an epoch looks at each image once, in random order, so that none
 * is worth more than another, and nothing is gained by exchanging them. What the cache holds is
 * what would be made again, so that its size changes no result.
 */
#ifndef CN_SAMPLES_H
#define CN_SAMPLES_H

#include "base/base.h"
#include "base/threads.h"
#include "formats/image.h"

typedef struct cn_samples cn_samples;

typedef struct cn_samples_ops {
    /* Writes image i; of its original the part that the framing chooses, or where that is NULL the
     * part that the set's options say. To be called by any thread. */
    cn_status (*make)(const void *source, int i, const cn_framing *framing, void *image,
                      cn_error *err);
    void (*free)(void *source);
} cn_samples_ops;

/* The sums of a channel's values over an image, of what they differ from `origin` by, and the least
 * and the largest of them. U8: the origin is 0, and the sums are exact. */
typedef struct cn_moments {
    double sum, squares;
    float origin, least, most;
} cn_moments;

/* For `count` images like those of `form`, (any, n_H, n_W, n_C), whose data are not looked at; the
 * source is then the samples'. `memory` is the room for tables and the cache, in bytes. */
cn_status cn_samples_create(cn_samples **samples, const cn_samples_ops *ops, void *source,
                            int count, const cn_tensor *form, size_t memory, cn_error *err);
/* One more owner of the same samples, or NULL of none; each frees them. */
cn_samples *cn_samples_share(cn_samples *samples);
void cn_samples_free(cn_samples *samples);

/* Copies image i into `image`, or makes it there: see cn_samples_ops. To be called by any thread. */
cn_status cn_samples_read(cn_samples *samples, int i, const cn_framing *framing, void *image,
                          cn_error *err);

/* Of image i, which has just been made: takes its sums, and puts it into the cache if there is room.
 * CN_ERR_FORMAT, with the name, where a value is not finite. To be called once per image, by any
 * thread. */
cn_status cn_samples_look(cn_samples *samples, int i, const void *image, const char *name,
                          cn_error *err);
/* Called with how many images are done; true ends it. NULL: nobody wants to know. */
typedef struct cn_report {
    bool (*call)(int done, int total, void *user);
    void *user;
} cn_report;

/* Bytes of the tables and of the cache. */
size_t cn_samples_memory(const cn_samples *samples);
/* Lets go of cached images until that is at most `memory` bytes, or the tables alone. No other
 * thread may use the samples then. */
void cn_samples_shrink(cn_samples *samples, size_t memory);

/* Of an image whose sums are known: they are copied, in place of cn_samples_look. */
void cn_samples_set_moments(cn_samples *samples, int i, const cn_moments *moments);
/* n_C of them, which cn_samples_look took. */
const cn_moments *cn_samples_moments(const cn_samples *samples, int i);
/* The same of channel c of an image that lies in memory: `form` as in cn_samples_create. */
cn_moments cn_moments_of(const cn_tensor *form, const void *image, int c);
/* The part of an image like those of `form` that a framing chooses, at their size. */
cn_status cn_frame_image(const cn_tensor *form, const void *image, const cn_framing *framing,
                         void *out, cn_error *err);

/* ---- many at once */

/* What a worker's room of so many bytes takes among others', so that each begins aligned. */
static inline size_t cn_room_bytes(size_t size)
{
    return (size + 63) / 64 * 64;
}

/* Makes the unit's result; an error's text is wanted where err is not NULL. */
typedef cn_status cn_unit(void *argument, int unit, int worker, cn_error *err);
/* Runs all units on a pool (NULL: in order). Those that have an error are run again, in order, for
 * its text: memory may be there then. Returns the first error. `failed` has room for n. */
cn_status cn_run_units(cn_pool *pool, int n, cn_unit *run, void *argument, bool *failed,
                       cn_error *err);

#endif
